//! Invalid definitions in the catalog's directories.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::Error,
    fs,
    source::{Document, Options},
    types::definition::MAX_DEFINITION,
};

/// An invalid definition.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The error.
    pub error: Arc<Error>,
    /// Its probable names: those in its text, and its file name.
    pub(super) names: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ignored an invalid artifact type: {}", self.told())
    }
}

impl Broken {
    pub(super) fn of(file: &Path, error: Error) -> Self {
        let declared = || {
            let text = fs::text(fs::read_regular(file, MAX_DEFINITION).ok()?, file).ok()?;
            let document = Document::parse(text.as_bytes(), "", &Options::default()).ok()?;
            document.value.pointer("/metadata/name")?.as_str().map(str::to_owned)
        };
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self { file: file.to_owned(), error: Arc::new(error), names: stem.into_iter().chain(declared()).collect() }
    }

    /// The error for a request of this type.
    pub(super) fn wanted(&self) -> Error {
        Error::new(self.error.kind(), format!("the artifact type is invalid: {}", self.told()))
    }

    /// The error with the file name.
    fn told(&self) -> String {
        let (file, error) = (self.file.display().to_string(), self.error.to_string());
        if error.contains(&file) { error } else { format!("`{file}`: {error}") }
    }
}
