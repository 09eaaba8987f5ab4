//! Writing sessions, as stores implement them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Home, Item};
use crate::{
    blob::Blob,
    error::{Error, Result},
    oci::{Descriptor, Digest, Platforms, RefName},
    progress::Outcome,
};

/// All changes of a session, as far as known when it begins.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// All content that must exist in the end, each item once; content that the store has need not be put.
    pub items: Vec<Item>,
    /// Indexes among `items` of which members are left out on purpose, with the platforms that they keep here; every other
    /// index among `items` is whole. A layout or archive notes it in its list; a registry may refuse such an index.
    pub parts: BTreeMap<Digest, Platforms>,
    /// Manifests to list without a name, with their descriptors for the list: those with a subject, and unnamed roots.
    pub listed: Vec<Descriptor>,
    /// The names that will be set or removed. Only [`Session::name`] sets one.
    pub names: Vec<NameChange>,
    /// Content that `commit` removes; with a manifest, also the names that stand for it.
    pub removals: Vec<Item>,
}

/// A change of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// The name.
    pub name: RefName,
    /// The manifest that it will stand for; `None` removes the name.
    pub to: Option<Descriptor>,
    /// The expected state of the name before the change.
    pub expect: Expect,
    /// In a layout or archive, unlists the previous manifest, unless it has another name or a subject. Otherwise it
    /// stays listed without a name, since nothing else leads to it.
    pub replace: bool,
}

impl NameChange {
    /// Sets a name, whatever it stood for.
    #[must_use]
    pub fn set(name: RefName, to: Descriptor) -> Self {
        Self { name, to: Some(to), expect: Expect::Any, replace: false }
    }

    /// Removes a name, whatever it stood for.
    #[must_use]
    pub fn remove(name: RefName) -> Self {
        Self { name, to: None, expect: Expect::Any, replace: false }
    }
}

/// The expected state of a name before a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expect {
    /// Anything or nothing.
    #[default]
    Any,
    /// No manifest.
    Absent,
    /// This manifest.
    Digest(Digest),
}

impl Expect {
    /// True if a name that stands for `found` is as expected.
    #[must_use]
    pub fn met_by(&self, found: Option<&Digest>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Digest(expected) => found == Some(expected),
        }
    }

    /// Errors: kind `Exists` unless a name that stands for `found` is as expected.
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
            format!("`{name}` stands for {now}, not for {expected}: it has changed in the meantime"),
        ))
    }
}

/// The outcome for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOutcome {
    /// It did not exist before.
    New,
    /// It stood for this manifest before.
    Moved(Digest),
    /// It already stood for this manifest.
    Same,
    /// It was removed.
    Removed,
    /// It was set; the store did not report its previous manifest.
    Set,
}

impl NameOutcome {
    /// The outcome for a name that stood for `from` and will stand for `to`.
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

/// The result of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The names in the given order, with their outcomes.
    pub names: Vec<(RefName, NameOutcome)>,
}

/// A writing session. Tasks share it; every method may be cancelled at any await and called again.
///
/// Guarantees: before `commit`, no handle sees any name, list or referrer of the session. `commit` returns `Ok` once
/// everything is durable and visible to every later read, through any handle and process. After `Err`, a layout or
/// archive is unchanged; for a registry, the error lists the names that were set. (A handle on an archive keeps showing
/// the file that it opened.) A session that is dropped or abandoned changes no name and no list. Content may stay:
/// whole blobs under their digest, and parts of large blobs for a later session to resume. Content of an unfinished
/// stream never stays.
#[async_trait]
pub trait Session: Send + Sync {
    /// Ensures that this blob is stored: queries, mounts or sends it, in as few requests as possible. `blob` may be
    /// opened several times. Received content is verified.
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome>;

    /// Starts storing content of unknown digest; `size` in bytes, if known. With a size, a registry gets it in a single
    /// streaming request; without, in chunks.
    ///
    /// Errors: kind `Unsupported` if the store does not accept content of unknown digest, or of this size;
    /// [`Session::put`] may still work.
    async fn stream(&self, _size: Option<u64>) -> Result<Box<dyn Sink>> {
        Err(Error::unsupported("cannot store content before its digest is known"))
    }

    /// Stores a verified manifest. Its content must be stored already: children come first.
    ///
    /// Errors: code `ContentMissing`, as for [`Session::commit`]; code `PartialIndexRefused` if the store does not take an
    /// index of which members are left out.
    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome>;

    /// Checks whether a manifest of an unknown media type is accepted, before its content is sent. A registry can only
    /// be asked by sending the manifest: if accepted, it stays there without a name.
    ///
    /// Errors: kind `Unsupported` if it is not accepted.
    async fn offer(&self, _desc: &Descriptor, _bytes: &Bytes) -> Result<()> {
        Ok(())
    }

    /// Schedules the change of a name for `commit`. Errors: a name that the store cannot hold.
    fn name(&self, change: NameChange) -> Result<()>;

    /// Makes all content durable. Afterwards only names and lists are missing, and in a registry manifests with a
    /// subject.
    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Makes all changes visible. A cancelled call may be repeated; after a completed one, another call is an error.
    ///
    /// Errors: code `ContentMissing` if the store reports missing content of a manifest, although it was put or
    /// reported as present. The session then stays open: put the content again and call `commit` again. The store's
    /// earlier answers about content that this session did not send are no longer trusted.
    async fn commit(&self) -> Result<Committed>;

    /// Abandons the session and waits until its locks are released and its uploads cancelled.
    async fn abandon(&self) {}
}

/// Content of unknown digest being written to a store. Dropping it discards the content.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Number of bytes written so far.
    fn offset(&self) -> u64;

    /// Writes more bytes.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// No more bytes for a while: stores those that are still in memory, where there is a place for them.
    async fn pause(&mut self) -> Result<()> {
        Ok(())
    }

    /// Stores the content as a blob under its digest. If `expected` is given and differs, fails with kind `Mismatch`
    /// and stores nothing. For a stream with a known size to a registry, `expected` is required: the registry computes
    /// the digest, not the client.
    async fn finish(self: Box<Self>, expected: Option<&Digest>) -> Result<Descriptor>;
}
