//! What a store calls its manifests.

use std::{fmt, str::FromStr};

use super::Flaw;
use crate::{
    error::Error,
    oci::{Digest, DigestPrefix, RefName, Tag},
};

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Name {
    /// A name: in a registry, a tag.
    Ref(RefName),
    /// Its digest.
    Digest(Digest),
    /// The first digits of its digest, in a store on this machine.
    Prefix(DigestPrefix),
    /// The only artifact of a store that has just one: what is about another manifest does not count. A registry does not
    /// know it.
    Only,
}

impl Name {
    /// The name, unless it is asked for otherwise.
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

    /// A digest, or a name: what reads as the first digits of a digest is a name.
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

/// Some of the names of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePage {
    /// The names.
    pub names: Vec<RefName>,
    /// What of the list cannot be read, or is not a name: nobody knows what it stands for.
    pub unreadable: Vec<Flaw>,
    /// Whether there are more pages.
    pub more: bool,
}
