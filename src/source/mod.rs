//! Reading what the user points at: a file or a directory becomes facts. Nothing here writes, and nothing is read
//! outside the source's base directory.
//!
//! * [`Source`]: what was pointed at, and files in it by name ([`Source::resolve`], [`Source::read`]).
//! * [`Listing`]: a directory as [`Member`]s, with globs, [`Ignore`] rules, link policy and limits.
//! * [`Document`]: YAML and JSON with positions; [`Deck`]: markdown slides.
//! * [`Archive`]: a tar archive, looked into. [`Magic`], [`Source::contains`] and their like: what detection asks.

mod archive;
mod deck;
mod files;
mod globs;
mod ignore;
mod list;
mod names;
mod probe;
mod walk;

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{
    archive::Archive,
    deck::{DECK_LIMIT, Deck, Difference, Preprocess, Slide},
    ignore::{Dialect, Ignore, Rules},
    list::{Irregular, Limits, Listing, Member, MemberKind, Symlinks},
    names::{escape, relative},
    probe::Magic,
};
pub use crate::document::{DOCUMENT_LIMIT, Document, Format, Options, Position, Scalars, Strings, printable};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    fs::{Base, open_regular},
};

/// A file or a directory that the user points at.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    base: Arc<Base>,
    /// `base` without links: what the real place of a directory is compared with.
    real: PathBuf,
    file: Option<String>,
    name: String,
    mtime: u64,
}

impl Source {
    /// Looks at a file or a directory. Errors: it is not there, not readable, neither of the two (a FIFO, a device),
    /// or its name cannot be carried (not UTF-8, control characters).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("a source needs a path"));
        }
        if path.as_os_str() == "-" && !path.exists() {
            return Err(Error::invalid("standard input cannot be packed").with_code(Code::NotARegularFile));
        }
        let meta = fs::metadata(&path).context(|| format!("cannot read `{}`", path.display()))?;
        match meta.is_dir() {
            true => Self::directory(path, &meta),
            false => Self::single(path),
        }
    }

    fn directory(path: PathBuf, meta: &fs::Metadata) -> Result<Self> {
        let fail = || format!("cannot read `{}`", path.display());
        fs::read_dir(&path).context(fail)?;
        let real = fs::canonicalize(&path).context(fail)?;
        let name = real.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let base = Arc::new(Base::new(&path)?);
        Ok(Self { base, real, file: None, name, mtime: seconds(meta), path })
    }

    fn single(path: PathBuf) -> Result<Self> {
        let (_, meta) = open_regular(&path)?;
        let file = path.file_name().ok_or_else(|| Error::invalid(format!("`{}` has no name", path.display())))?;
        let file = names::component(file)?.to_owned();
        let base = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let real = fs::canonicalize(&base).context(|| format!("cannot read `{}`", base.display()))?;
        let base = Arc::new(Base::new(base)?);
        Ok(Self { name: file.clone(), file: Some(file), mtime: seconds(&meta), path, base, real })
    }

    /// The path as the user gave it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that everything is confined to: the directory itself, or the one that holds the file.
    #[must_use]
    pub fn base(&self) -> &Path {
        self.base.path()
    }

    /// [`Source::base`], for messages.
    fn place(&self) -> String {
        escape(self.base())
    }

    /// The file's name, when the source is a file.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The last component of the real path: the name of the file, or of the directory (`.` has one, too).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was changed last, in seconds since 1970; 0 for anything before.
    #[must_use]
    pub fn mtime(&self) -> u64 {
        self.mtime
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(self.path.as_os_str()))
    }
}

/// The modification time in seconds since 1970; 0 for anything before.
fn seconds(meta: &fs::Metadata) -> u64 {
    u64::try_from(meta.mtime()).unwrap_or(0)
}

/// An error of kind `Escape`.
fn escapes(message: impl Into<String>) -> Error {
    Error::new(Kind::Escape, message)
}
