//! Definitions that were found and cannot be used.

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

/// A definition that was found and cannot be used.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub error: Arc<Error>,
    /// What it would be called: by what it says, and by its file.
    pub(super) names: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an artifact type is left out: {}", self.told())
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

    /// The error for who needs it.
    pub(super) fn wanted(&self) -> Error {
        Error::new(self.error.kind(), format!("the artifact type cannot be used: {}", self.told()))
    }

    /// What is wrong, with the file.
    fn told(&self) -> String {
        let (file, error) = (self.file.display().to_string(), self.error.to_string());
        if error.contains(&file) { error } else { format!("`{file}`: {error}") }
    }
}
