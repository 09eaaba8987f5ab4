//! What a program printed, checked: a plan stays within its source, and files below their destination.

use std::path::Path;

use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Manifest},
    plan::{self, API_VERSION, Action, Content, EntryKind, Part, Plan, Step, Unpacking},
    source::{self, Source},
    types::{planning::paths::checked_path, unpacking::generic},
};

/// Reads what a program printed.
pub(super) fn read_answer<T: serde::de::DeserializeOwned>(answer: &[u8], what: &str) -> Result<T> {
    plan::parse(answer).context(|| format!("it printed no {what} of version `{API_VERSION}`"))
}

/// Makes the base absolute. Errors: a plan that reaches outside the source.
pub(super) fn confine_plan(plan: &mut Plan, source: &Source) -> Result<()> {
    let real = |path: &Path| path.canonicalize().context(|| format!("the base `{}`", plan.base.display()));
    let base = real(&source.base().join(&plan.base))?;
    if !base.starts_with(real(source.base())?) {
        let message = format!("the base `{}` lies outside the source", plan.base.display());
        return Err(Error::new(Kind::Escape, message));
    }
    let manifests = plan.manifests().into_iter();
    manifests.flat_map(|manifest| manifest.layers.iter().chain([&manifest.config])).try_for_each(confine_part)?;
    plan.base = base;
    Ok(())
}

fn confine_part(part: &Part) -> Result<()> {
    let check = |path: &Path| source::relative(&path.to_string_lossy()).map(drop);
    match &part.content {
        Content::File(path) => check(path),
        Content::Tar { entries, .. } => entries.iter().try_for_each(|entry| match &entry.kind {
            EntryKind::File(path) => check(path),
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}

/// What a program wants unpacked, with the manifest's own descriptors. Errors: blobs that are not of this manifest, paths
/// that may not be.
pub(super) fn allowed_steps(wanted: Unpacking, manifest: &Manifest) -> Result<Unpacking> {
    let own = |blob: &Descriptor| {
        let mut all = manifest.layers.iter().chain([&manifest.config]);
        let found = all.find(|desc| desc.digest == blob.digest).cloned();
        found.ok_or_else(|| Error::invalid(format!("{} is no blob of this manifest", blob.digest)))
    };
    let path = |step: &Step| match &step.action {
        Action::Extract { .. } if step.path == "." => Ok(step.path.clone()),
        _ => checked_path(&step.path),
    };
    let step = |step: Step| Ok(Step { blob: own(&step.blob)?, path: path(&step)?, action: step.action });
    let steps: Vec<Step> = wanted.steps.into_iter().map(step).collect::<Result<_>>()?;
    generic::refuse_same_paths(&steps)?;
    Ok(Unpacking { steps, warnings: wanted.warnings })
}
