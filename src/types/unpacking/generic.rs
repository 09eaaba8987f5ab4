//! Unpacking without a definition: layers become files named by their titles, as in oras.

use std::collections::BTreeSet;

use crate::{
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, Manifest, annotation, media_type},
    plan::{Action, Compression, Step, Unpacking},
    types::planning::{
        annotations::{UNPACK, UNPACK_DIGEST},
        paths::shortest,
    },
};

/// The steps that unpack any manifest by its titles.
///
/// A directory packed as tar is extracted under its title, which is also the first component of the names inside
/// (oras-go `content/file`). Layers without a title are skipped, with a warning. Errors: kind `Exists` for two layers
/// with one title; a title that is absolute or leads upwards.
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
            "{} skipped for lack of a title (`{kinds}`); name the artifact's type to unpack all layers",
            if untitled.len() == 1 { "1 layer was".into() } else { format!("{} layers were", untitled.len()) }
        ));
    }
    refuse_same_paths(&out.steps)?;
    Ok(out)
}

/// The step for a titled layer.
pub(super) fn titled_step(layer: &Descriptor) -> Result<Step> {
    let title = shortest(layer.title().unwrap_or_default())?;
    let says = |key: &str| layer.annotations.get(key).is_some_and(|v| v == "true");
    let (compress, digest) = if says(annotation::UNPACK) {
        // oras always packs with gzip, and its users may set any media type.
        (Compression::Gzip(0), annotation::UNPACK_DIGEST)
    } else if says(UNPACK) {
        (compression_of(&layer.media_type), UNPACK_DIGEST)
    } else {
        return Ok(Step { blob: layer.clone(), path: title, action: Action::Write { mode: 0o644 } });
    };
    let diff_id: Option<Digest> = layer.annotations.get(digest).map(|d| d.parse()).transpose()?;
    let action = Action::Extract { compress, root: Some(title.clone()), strip: 0, links: true, diff_id };
    Ok(Step { blob: layer.clone(), path: title, action })
}

/// The compression of a media type, by its suffix.
pub(super) fn compression_of(media_type: &str) -> Compression {
    match media_type {
        m if m.ends_with("+zstd") => Compression::Zstd(0),
        m if m.ends_with("gzip") || m.ends_with("tgz") || m.ends_with(".gz") => Compression::Gzip(0),
        _ => Compression::None,
    }
}

/// Errors: kind `Exists` if two steps would create the same file.
pub(in crate::types) fn refuse_same_paths(steps: &[Step]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for step in steps.iter().filter(|s| s.path != ".") {
        if !seen.insert(step.path.as_str()) {
            return Err(Error::new(Kind::Exists, format!("two layers would become `{}`", step.path)));
        }
    }
    Ok(())
}
