//! The names in a store as repositories and tags.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    oci::{Digest, RefName, RegistryName, RepositoryName, Tag},
    store::{Flaw, NamePage, new_version},
};

/// The names in a store of the tags of a repository, unless they are the tags themselves, as in most stores.
pub(super) type Tags = BTreeMap<Tag, Option<Box<RefName>>>;

/// The repositories and tags in the names of a store.
#[derive(Default)]
pub(super) struct Names {
    /// The name in the store by repository and tag. A repository named with its registry is included twice.
    pub(super) repositories: BTreeMap<RepositoryName, Tags>,
    /// The repositories to list.
    pub(super) shown: BTreeSet<RepositoryName>,
    /// A number of their own.
    pub(super) version: u64,
    /// Unreadable entries of the list, which may belong to any repository.
    pub(super) unreadable: Vec<Flaw>,
}

impl Names {
    pub(super) fn of(base: &RepositoryName, page: NamePage) -> Self {
        let mut names = Self { version: new_version(), unreadable: page.unreadable, ..Self::default() };
        for name in page.names {
            let Some(ParsedName { short, long, tag }) = ParsedName::of(&name) else {
                names.shown.insert(base.clone());
                if let Ok(tag) = name.parse() {
                    names.add_name(base.clone(), Some(tag), &name);
                }
                continue;
            };
            names.shown.insert(short.clone());
            if let Some(long) = long.filter(|long| *long != short) {
                names.add_name(long, tag.clone(), &name);
            }
            names.add_name(short, tag, &name);
        }
        if names.shown.is_empty() {
            names.shown.insert(base.clone());
        }
        names
    }

    /// Adds a name; of two names for one tag, the first in the list wins.
    fn add_name(&mut self, repository: RepositoryName, tag: Option<Tag>, own: &RefName) {
        let tags = self.repositories.entry(repository).or_default();
        if let Some(tag) = tag {
            let other = (tag.as_str() != own.as_str()).then(|| Box::new(own.clone()));
            tags.entry(tag).or_insert(other);
        }
    }
}

/// A name that is a full reference.
struct ParsedName {
    /// The repository without the registry.
    short: RepositoryName,
    /// The repository with the registry; `None` if the registry's name has a port.
    long: Option<RepositoryName>,
    /// The tag; `None` if the reference has only a digest.
    tag: Option<Tag>,
}

impl ParsedName {
    fn of(reference: &str) -> Option<Self> {
        let (rest, pinned) = match reference.rsplit_once('@') {
            Some((rest, digest)) if digest.parse::<Digest>().is_ok() => (rest, true),
            _ => (reference, false),
        };
        let tagged = rest.rsplit_once(':').and_then(|(path, tag)| Some((path, tag.parse().ok()?)));
        let (path, tag) = match tagged {
            Some((path, tag)) => (path, Some(tag)),
            None if pinned => (rest, None),
            None => return None,
        };
        let long = path.parse().ok();
        let short = match path.split_once('/') {
            Some((host, rest)) if RegistryName::is_meant_by(host) => rest.parse().ok()?,
            _ => path.parse().ok()?,
        };
        Some(Self { short, long, tag })
    }
}
