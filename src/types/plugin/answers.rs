//! Checks of a plug-in's output: plans stay within the source, and files below the destination.

use std::path::Path;

use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Manifest},
    plan::{self, API_VERSION, Content, EntryKind, Part, Plan, Step, Unpacking},
    source::{self, Source},
    types::{planning::paths::shortest, unpacking::generic},
};

/// Parses the output of a plug-in.
pub(super) fn read_answer<T: serde::de::DeserializeOwned>(answer: &[u8], what: &str) -> Result<T> {
    plan::parse(answer).context(|| format!("expected a {what} of version `{API_VERSION}` on stdout"))
}

/// Makes the base absolute. Errors: a plan with files outside the source.
pub(super) fn confine_plan(plan: &mut Plan, source: &Source) -> Result<()> {
    let real = |path: &Path| path.canonicalize().context(|| format!("the base `{}`", plan.base.display()));
    let base = real(&source.base().join(&plan.base))?;
    if !base.starts_with(real(source.base())?) {
        let message = format!("the base `{}` is outside the source", plan.base.display());
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

/// The plug-in's steps with the manifest's own descriptors. Errors: blobs that are not in this manifest, unsafe paths.
pub(super) fn allowed_steps(wanted: Unpacking, manifest: &Manifest) -> Result<Unpacking> {
    let own = |blob: &Descriptor| {
        let mut all = manifest.layers.iter().chain([&manifest.config]);
        let found = all.find(|desc| desc.digest == blob.digest).cloned();
        found.ok_or_else(|| Error::invalid(format!("blob {} is not in this manifest", blob.digest)))
    };
    let step = |step: Step| Ok(Step { blob: own(&step.blob)?, path: shortest(&step.path)?, action: step.action });
    let steps: Vec<Step> = wanted.steps.into_iter().map(step).collect::<Result<_>>()?;
    generic::refuse_same_paths(&steps)?;
    Ok(Unpacking { steps, warnings: wanted.warnings })
}
