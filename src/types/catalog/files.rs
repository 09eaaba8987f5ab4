//! Definition files and their directories.

use std::path::{Path, PathBuf};

use crate::{
    error::{Context as _, Error, Result},
    fs,
    types::{
        artifact_type::{ArtifactType, Origin},
        definition::MAX_DEFINITION,
    },
};

/// Limit of definitions in a directory.
const MAX_FILES: usize = 1000;

/// The definition files (`*.yaml`, `*.yml`) of a directory, sorted; none if it does not exist.
pub(super) fn definitions(directory: &Path) -> Result<Vec<PathBuf>> {
    let fail = || format!("cannot read `{}`", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(fail)?,
    };
    let mut paths = Vec::new();
    for entry in entries.take(MAX_FILES * 10) {
        paths.push(entry.context(fail)?.path());
    }
    paths.retain(|path| is_definition(path));
    paths.sort();
    if paths.len() > MAX_FILES {
        return Err(Error::limit(format!("`{}` has more than {MAX_FILES} definitions", directory.display())));
    }
    Ok(paths)
}

pub(super) fn is_definition(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

/// Reads the type in a definition file.
pub(super) fn read_definition(path: &Path) -> Result<ArtifactType> {
    let text = fs::text(fs::read_regular(path, MAX_DEFINITION)?, path)?;
    ArtifactType::parse(&text, Origin::File(path.to_owned()))
}
