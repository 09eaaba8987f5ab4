//! The section `index`: the artifact is an index, with a member for each of some files or directories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    oci::Platform,
    plan::{IndexPlan, ManifestPlan, Member, MemberContent},
    types::definition::{
        many::Template,
        texts::{Part, Texts},
    },
};

/// The section `index`. Without it, the artifact is a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexRule {
    /// One member for each file of this set, or, where the set is a `dir`, for each file and directory that lies in that.
    /// `config`, `layers` and `manifest` say what a member is: there, the set holds what belongs to it, and its file or
    /// directory is `member`.
    pub each: String,
    /// The platform that a member is for, `os/architecture[/variant]`; blank for none.
    #[serde(default)]
    pub platform: Option<Template>,
}

impl IndexRule {
    /// The texts that mean something.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("each", Part::Set, [&self.each]);
        texts.template("platform", &self.platform);
    }

    /// Plans the index; `manifest` plans a member.
    ///
    /// It has the artifact type that all members have, and the annotations that the user gives.
    pub(in crate::types) fn plan(
        &self,
        reading: &Reading<'_>,
        mut manifest: impl FnMut(&Reading<'_>) -> Result<ManifestPlan>,
    ) -> Result<IndexPlan> {
        let (mut members, mut artifact_types) = (Vec::new(), Vec::new());
        for member in reading.members_of(&self.each)? {
            let named = || format!("member `{}`", member.path);
            let reading = reading.for_member(&self.each, &member)?;
            let platform = self.platform(&reading).context(named)?;
            let manifest = manifest(&reading).context(named)?;
            artifact_types.push(manifest.artifact_type.clone());
            let content = MemberContent::Planned(manifest.into());
            members.push(Member { content, platform, annotations: Default::default() });
        }
        if members.is_empty() {
            return Err(Error::invalid(format!("the set `{}` is empty: an index needs a member", self.each)));
        }
        artifact_types.dedup();
        let artifact_type = artifact_types.pop().filter(|_| artifact_types.is_empty()).flatten();
        let annotations = reading.inputs.annotations.clone();
        Ok(IndexPlan { members, artifact_type, annotations, ..IndexPlan::default() })
    }

    fn platform(&self, reading: &Reading<'_>) -> Result<Option<Platform>> {
        let text = self.platform.as_ref().map(|p| reading.text(p)).transpose()?.filter(|text| !text.trim().is_empty());
        text.map(|text| text.parse().context(|| format!("platform `{text}`"))).transpose()
    }
}
