//! The section `index`: the artifact is an index with one member per file or directory.

use super::reading::Reading;
use crate::{
    error::{Context as _, Error, Result},
    oci::Platform,
    plan::{IndexPlan, ManifestPlan, Member, MemberContent},
    types::definition::index::IndexRule,
};

impl IndexRule {
    /// Plans the index; `manifest` plans a member.
    ///
    /// It has the members' common artifact type, and the user's annotations.
    pub(super) fn plan(
        &self,
        reading: &Reading<'_>,
        mut manifest: impl FnMut(&Reading<'_>) -> Result<ManifestPlan>,
    ) -> Result<IndexPlan> {
        let (mut members, mut artifact_types) = (Vec::new(), Vec::new());
        for (member, files) in reading.members_of(&self.each)? {
            let named = || format!("member `{}`", member.path);
            let reading = reading.for_member(&self.each, &member, &files)?;
            let platform = self.platform(&reading).context(named)?;
            let manifest = manifest(&reading).context(named)?;
            artifact_types.push(manifest.artifact_type.clone());
            let content = MemberContent::Planned(manifest.into());
            members.push(Member { content, platform, annotations: Default::default() });
        }
        if members.is_empty() {
            return Err(Error::invalid(format!(
                "the set `{}` is empty; an index needs at least one member",
                self.each
            )));
        }
        artifact_types.dedup();
        let artifact_type = artifact_types.pop().filter(|_| artifact_types.is_empty()).flatten();
        let annotations = reading.inputs.annotations.clone();
        Ok(IndexPlan { members, artifact_type, annotations, ..IndexPlan::default() })
    }

    fn platform(&self, reading: &Reading<'_>) -> Result<Option<Platform>> {
        let text = reading.optional_text(self.platform.as_ref())?.filter(|text| !text.trim().is_empty());
        text.map(|text| text.parse().context(|| format!("platform `{text}`"))).transpose()
    }
}
