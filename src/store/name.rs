//! Names of manifests in a store.

use std::{fmt, str::FromStr};

use super::Flaw;
use crate::{
    error::Error,
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
    fn from_str(text: &str) -> Result<Self, Error> {
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
