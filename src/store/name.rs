//! Names of manifests in a store.

use std::{fmt, str::FromStr};

use futures_util::{Stream, TryStreamExt as _};

use super::{Flaw, FlawKind};
use crate::{
    error::{Code, Error, Result},
    oci::{Digest, DigestPrefix, RefName, Tag},
};

/// How to look up a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Name {
    /// By name: in a registry, a tag.
    Ref(RefName),
    /// By digest.
    Digest(Digest),
    /// By the first digits of the digest, in a local store.
    Prefix(DigestPrefix),
    /// The only artifact of a store, not counting manifests with a subject. Not supported by registries.
    Only,
}

impl Name {
    /// The name, if this is one.
    #[must_use]
    pub fn as_ref_name(&self) -> Option<&RefName> {
        match self {
            Self::Ref(name) => Some(name),
            Self::Digest(_) | Self::Prefix(_) | Self::Only => None,
        }
    }
}

impl FromStr for Name {
    type Err = Error;

    /// Parses a digest or a name; the first digits of a digest count as a name.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self::Digest).or_else(|_| text.parse().map(Self::Ref))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ref(name) => name.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Only => f.write_str("the only artifact"),
        }
    }
}

impl From<RefName> for Name {
    fn from(name: RefName) -> Self {
        Self::Ref(name)
    }
}

impl From<Tag> for Name {
    fn from(tag: Tag) -> Self {
        Self::Ref(tag.into())
    }
}

impl From<Digest> for Name {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// A page of the names of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePage {
    /// The names.
    pub names: Vec<RefName>,
    /// Unreadable or invalid entries of the list, which may hide further names.
    pub unreadable: Vec<Flaw>,
    /// True if there are more pages.
    pub more: bool,
}

/// Flaws that an error names at most.
const SHOWN: usize = 5;

impl NamePage {
    /// All pages as one, sorted by bytes, without duplicates.
    pub(crate) async fn all(pages: impl Stream<Item = Result<Self>>) -> Result<Self> {
        let mut all = Self::default();
        let mut pages = std::pin::pin!(pages);
        while let Some(Self { names, unreadable, .. }) = pages.try_next().await? {
            all.names.extend(names);
            all.unreadable.extend(unreadable);
        }
        all.names.sort_unstable();
        all.names.dedup();
        Ok(all)
    }

    /// Without the names up to this one.
    pub(crate) fn after(mut self, last: &str) -> Self {
        self.names.retain(|name| name.as_str() > last);
        self
    }

    /// Errors (code `ListIncomplete`): an unreadable entry in the list of this store, which may hide names. What a
    /// registry lists although it is no tag hides none.
    pub fn check_complete(&self, store: &dyn fmt::Display) -> Result<()> {
        let bad: Vec<&Flaw> = self.unreadable.iter().filter(|flaw| flaw.kind != FlawKind::NotATag).collect();
        let shown: Vec<String> =
            bad.iter().take(SHOWN).map(|flaw| format!("{}: {}", flaw.place, flaw.message)).collect();
        let more = match bad.len().saturating_sub(SHOWN) {
            0 if shown.is_empty() => return Ok(()),
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let message = format!("the list of {store} is incomplete: {}{more}", shown.join("; "));
        Err(Error::invalid(message).with_code(Code::ListIncomplete))
    }
}
