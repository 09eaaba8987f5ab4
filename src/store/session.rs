//! One writing, as a store sees it.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Home, Item};
use crate::{
    blob::Blob,
    error::{Error, Result},
    oci::{Descriptor, Digest, RefName},
    progress::Outcome,
};

/// All that a writing will change, as far as it is known when it begins.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// The content that will be there in the end, each item once; what the store has of it need not be put.
    pub items: Vec<Item>,
    /// Manifests that are to be listed without a name, described as they are in a list: those with a subject, and roots
    /// that get no name.
    pub listed: Vec<Descriptor>,
    /// The names that will be set or removed. Only [`Session::name`] sets one.
    pub names: Vec<NameChange>,
    /// Content that `commit` removes, and with a manifest the names that stand for it.
    pub removals: Vec<Item>,
}

/// A name that is to stand for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// The name.
    pub name: RefName,
    /// The manifest that it is to stand for; `None`: the name is removed.
    pub to: Option<Descriptor>,
    /// What it must stand for when it is changed.
    pub expect: Expect,
    /// What it stood for leaves the list of a layout or archive, unless it has another name or a subject. Otherwise it
    /// stays listed without a name: nothing else leads to it.
    pub replace: bool,
}

impl NameChange {
    /// A name that is set, whatever it stood for.
    #[must_use]
    pub fn set(name: RefName, to: Descriptor) -> Self {
        Self { name, to: Some(to), expect: Expect::Any, replace: false }
    }

    /// A name that is removed, whatever it stood for.
    #[must_use]
    pub fn remove(name: RefName) -> Self {
        Self { name, to: None, expect: Expect::Any, replace: false }
    }
}

/// What a name must stand for when it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expect {
    /// Anything, or nothing.
    #[default]
    Any,
    /// Nothing.
    Absent,
    /// This manifest.
    Digest(Digest),
}

impl Expect {
    /// Whether a name that stands for this is as expected.
    #[must_use]
    pub fn met_by(&self, found: Option<&Digest>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Digest(expected) => found == Some(expected),
        }
    }

    /// An error of kind `Exists` unless a name that stands for `found` is as expected.
    pub fn check(&self, name: &RefName, found: Option<&Digest>) -> Result<()> {
        if self.met_by(found) {
            return Ok(());
        }
        let now = found.map_or_else(|| "nothing".to_owned(), Digest::to_string);
        let expected = match self {
            Self::Digest(digest) => digest.to_string(),
            Self::Any | Self::Absent => "nothing".to_owned(),
        };
        Err(Error::new(
            crate::error::Kind::Exists,
            format!("`{name}` stands for {now}, not for {expected}: it was changed in the meantime"),
        ))
    }
}

/// What became of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOutcome {
    /// It stood for nothing before.
    New,
    /// It stood for this manifest before.
    Moved(Digest),
    /// It stood for the same manifest already.
    Same,
    /// It was removed.
    Removed,
    /// It was set; the store did not say what it stood for before.
    Set,
}

impl NameOutcome {
    /// What becomes of a name that stood for `from` and is to stand for `to`.
    #[must_use]
    pub fn of(from: Option<&Digest>, to: Option<&Digest>) -> Self {
        match (from, to) {
            (_, None) => Self::Removed,
            (None, Some(_)) => Self::New,
            (Some(from), Some(to)) if from == to => Self::Same,
            (Some(from), Some(_)) => Self::Moved(from.clone()),
        }
    }
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The names, in the order in which they were given, and what became of each.
    pub names: Vec<(RefName, NameOutcome)>,
}

/// One writing. Tasks share it; every method may be cancelled at any await and called again.
///
/// What a session promises: before `commit` no name, list or referrer of it can be seen through any handle. `commit`
/// returns `Ok` when everything is durable and every later read, through any handle and process, sees it; `Err` when it
/// is not so: a layout or archive is then as before, for a registry the error names the names that were set. (A handle
/// on an archive that was opened before shows what it opened.) A session that is dropped or abandoned changes no name
/// and no list. Content may stay: whole blobs under their digest, and the part of a large blob that a later session
/// resumes from; content of a stream that did not finish never stays.
#[async_trait]
pub trait Session: Send + Sync {
    /// Sees to it that this blob is here: asks, mounts or sends it, in as few requests as the store can. `blob` may be
    /// opened several times. What arrives is verified.
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome>;

    /// A way to store content whose digest is not known yet; `size` in bytes, where it is known. A registry then gets it
    /// in one request while it comes, once; without a size, it gets it in pieces.
    ///
    /// Errors: kind `Unsupported` where content of unknown digest, or of this size, is not taken: [`Session::put`] may
    /// fare better.
    async fn stream(&self, _size: Option<u64>) -> Result<Box<dyn Sink>> {
        Err(Error::unsupported("this store takes no content of unknown digest"))
    }

    /// Stores a manifest, verified, whose content is here already: children come first.
    ///
    /// Errors: as [`Session::commit`], code `ContentMissing`.
    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome>;

    /// Asks whether a manifest of a media type that is not known here is taken, before anything is sent for it. A
    /// registry can only be asked by sending it: where it is taken, it is there from now on, without a name.
    ///
    /// Errors: kind `Unsupported` when it is not.
    async fn offer(&self, _desc: &Descriptor, _bytes: &Bytes) -> Result<()> {
        Ok(())
    }

    /// Changes a name when the session commits. Errors: the store cannot hold such a name.
    fn name(&self, change: NameChange) -> Result<()>;

    /// Makes all content durable. Afterwards only names and lists are missing, and at a registry manifests with a
    /// subject.
    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Makes all of it visible. One that was cancelled may be called again; after one that returned, a call is an error.
    ///
    /// Errors: code `ContentMissing` where the store says that it lacks content of a manifest, though it was put or said to
    /// be there. That ends nothing: put the content once more, and call `commit` again. Of what this session did not send
    /// itself, the store is not asked a second time whether it has it.
    async fn commit(&self) -> Result<Committed>;

    /// Gives the writing up, and waits until its locks are free and its uploads cancelled.
    async fn abandon(&self) {}
}

/// Content of unknown digest on its way into a store. Dropping it discards it.
#[async_trait]
pub trait Sink: Send + Sync {
    /// How many bytes have been taken.
    fn offset(&self) -> u64;

    /// Takes more bytes.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Stores what was taken as a blob under its digest. With `expected`, any other digest is an error of kind
    /// `Mismatch`, and nothing is stored. A registry that was told the size must be told the digest, too: it computes
    /// that itself, and we need not.
    async fn finish(self: Box<Self>, expected: Option<&Digest>) -> Result<Descriptor>;
}
