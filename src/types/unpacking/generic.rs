//! Unpacking what no definition knows: every titled layer goes under its title, as oras does it.

use std::collections::BTreeSet;

use crate::{
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, Manifest, annotation, media_type},
    plan::{Action, Compression, Step, Unpacking},
    types::planning::{
        annotations::{UNPACK, UNPACK_DIGEST},
        paths::checked_path,
    },
};

/// The steps that unpack any manifest by its titles.
///
/// A layer that is a directory packed as tar is extracted under its title, which is also the first component of the
/// names inside (oras-go `content/file`). Layers without a title are left out, with a warning. Errors: kind `Exists`
/// for two layers with one title; a title that is not a relative path.
pub fn unpacking(manifest: &Manifest) -> Result<Unpacking> {
    let mut out = Unpacking::default();
    let mut untitled = Vec::new();
    for layer in &manifest.layers {
        match layer.title() {
            Some(_) => out.steps.push(titled_step(layer)?),
            None if layer.media_type == media_type::EMPTY => {}
            None => untitled.push(layer.media_type.clone()),
        }
    }
    if !untitled.is_empty() {
        let kinds = untitled.join("`, `");
        out.warnings.push(format!(
            "{} layers have no title and are left out (`{kinds}`); name the artifact's type to unpack them",
            untitled.len()
        ));
    }
    refuse_same_paths(&out.steps)?;
    Ok(out)
}

/// What becomes of a titled layer.
pub(super) fn titled_step(layer: &Descriptor) -> Result<Step> {
    let title = checked_path(layer.title().unwrap_or_default())?;
    let says = |key: &str| layer.annotations.get(key).is_some_and(|v| v == "true");
    let (compress, digest) = if says(annotation::UNPACK) {
        // oras packs with gzip whatever the media type says, and its users may name any.
        (Compression::Gzip(0), annotation::UNPACK_DIGEST)
    } else if says(UNPACK) {
        (compression_of(&layer.media_type), UNPACK_DIGEST)
    } else {
        return Ok(Step { blob: layer.clone(), path: title, action: Action::Write { mode: 0o644 } });
    };
    let diff_id: Option<Digest> = layer.annotations.get(digest).map(|d| d.parse()).transpose()?;
    let action = Action::Extract { compress, root: Some(title.clone()), links: true, diff_id };
    Ok(Step { blob: layer.clone(), path: title, action })
}

/// How content of this media type is compressed, by its suffix.
pub(super) fn compression_of(media_type: &str) -> Compression {
    match media_type {
        m if m.ends_with("+zstd") => Compression::Zstd(0),
        m if m.ends_with("gzip") || m.ends_with("tgz") || m.ends_with(".gz") => Compression::Gzip(0),
        _ => Compression::None,
    }
}

/// An error of kind `Exists` when two steps would make the same file.
pub(in crate::types) fn refuse_same_paths(steps: &[Step]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for step in steps.iter().filter(|s| s.path != ".") {
        if !seen.insert(step.path.as_str()) {
            return Err(Error::new(Kind::Exists, format!("two layers would become `{}`", step.path)));
        }
    }
    Ok(())
}
