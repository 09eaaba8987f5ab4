//! Reads sources: files and directories that the user names. Nothing here writes, or reads outside the source's base
//! directory.
//!
//! * [`Source`]: the file or directory, and files in it by name ([`Source::resolve`], [`Source::read`]).
//! * [`Listing`]: a directory as [`Member`]s, with globs, [`Ignore`] rules, link policy and limits.
//! * [`Document`]: YAML and JSON with positions; [`Deck`]: Markdown slides.
//! * [`Archive`]: the content of a tar archive.
//! * [`Magic`], [`Source::contains`] and others: probes for type detection.

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

pub(crate) use self::globs::relative_globs;
pub use self::{
    archive::{Archive, Gathered},
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
    glob::Effort,
};

/// A file or directory named by the user.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    base: Arc<Base>,
    /// `base` with links resolved, to compare real paths with.
    real: PathBuf,
    file: Option<String>,
    name: String,
    mtime: u64,
    /// What may still be spent on comparing names with globs.
    effort: Arc<Effort>,
}

impl Source {
    /// Opens a file or directory. Errors: it is missing, unreadable, another kind of file (a FIFO, a device), or has a
    /// name that is not portable (not UTF-8, control characters).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("the path of the source is empty"));
        }
        if path.as_os_str() == "-" && !path.exists() {
            return Err(Error::invalid("cannot pack standard input").with_code(Code::NotARegularFile));
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
        Ok(Self { base, real, file: None, name, mtime: seconds(meta), path, effort: Arc::default() })
    }

    fn single(path: PathBuf) -> Result<Self> {
        let (_, meta) = open_regular(&path)?;
        let file = path.file_name().ok_or_else(|| Error::invalid(format!("`{}` has no file name", path.display())))?;
        let file = names::component(file)?.to_owned();
        let base = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let real = fs::canonicalize(&base).context(|| format!("cannot read `{}`", base.display()))?;
        let base = Arc::new(Base::new(base)?);
        Ok(Self {
            name: file.clone(),
            file: Some(file),
            mtime: seconds(&meta),
            path,
            base,
            real,
            effort: Arc::default(),
        })
    }

    /// The path as the user gave it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The base directory, to which all reads are confined: the source itself, or the parent of a file.
    #[must_use]
    pub fn base(&self) -> &Path {
        self.base.path()
    }

    /// [`Source::base`], for messages.
    fn place(&self) -> String {
        escape(self.base())
    }

    /// The file's name, if the source is a file.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The last component of the real path: the name of the file or directory (even for `.`).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What may still be spent on comparing names with globs, over all uses of the source.
    pub(crate) fn effort(&self) -> &Effort {
        &self.effort
    }

    /// Modification time in seconds since 1970; 0 for anything before.
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
