//! Keeps names unique: no duplicate files, no file and directory with one name. Names that only the file system takes for
//! one are found by the writer, when it makes the second.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use super::name::{ancestors, split};
use crate::{
    error::{Context as _, Error, Kind, Result},
    tarball::read::quoted_name,
};

/// The use of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameUse {
    /// A directory, explicit or implied by its content.
    Directory,
    /// A file.
    File,
    /// A link.
    Link,
}

/// The names in use. They are stored as hashes with random keys, so that a million names of any length fit into memory;
/// a collision, which cannot be forced, is an error.
#[derive(Debug)]
pub(super) struct TakenNames {
    limit: u64,
    taken: HashMap<u64, NameUse>,
    keys: RandomState,
    /// The directory of the last claimed name, whose parents are already claimed.
    last: String,
}

impl TakenNames {
    /// At most `limit` names, those of directories included.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: HashMap::new(), keys: RandomState::new(), last: String::new() }
    }

    /// Claims a name, and its parents as directories. A directory can be claimed again.
    ///
    /// Errors: kind `Exists` if the name is in use; kind `Limit`.
    pub(super) fn claim(&mut self, name: &str, claim: NameUse) -> Result<()> {
        let (parent, _) = split(name);
        if parent != self.last {
            for directory in ancestors(name) {
                self.take(directory, NameUse::Directory).context(|| quoted_name(directory))?;
            }
            parent.clone_into(&mut self.last);
        }
        if name.is_empty() { Ok(()) } else { self.take(name, claim) }
    }

    /// Whether this name has this use.
    pub(super) fn has(&self, name: &str, claim: NameUse) -> bool {
        self.taken.get(&self.keys.hash_one(name)) == Some(&claim)
    }

    fn take(&mut self, name: &str, claim: NameUse) -> Result<()> {
        let full = self.taken.len() as u64 >= self.limit;
        match self.taken.entry(self.keys.hash_one(name)) {
            Entry::Vacant(_) if full => {
                Err(Error::limit(format!("the artifact has more than {} files and directories", self.limit)))
            }
            Entry::Vacant(free) => {
                free.insert(claim);
                Ok(())
            }
            Entry::Occupied(taken) if *taken.get() == claim && claim == NameUse::Directory => Ok(()),
            Entry::Occupied(_) => Err(Error::new(Kind::Exists, "another member has the same name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_and_a_file_is_no_directory() {
        let mut claims = TakenNames::new(9);
        claims.claim("d/f", NameUse::File).unwrap();
        claims.claim("d", NameUse::Directory).unwrap();
        claims.claim("d/e/g", NameUse::Link).unwrap();
        for (name, claim) in [
            ("d/f", NameUse::File),
            ("d/f", NameUse::Directory),
            ("d", NameUse::File),
            ("d/f/x", NameUse::File),
            ("d/e/g/x", NameUse::File),
        ] {
            assert_eq!(claims.claim(name, claim).unwrap_err().kind(), Kind::Exists, "{name} {claim:?}");
        }
        claims.claim("d/x", NameUse::File).unwrap();
        claims.claim("d/X", NameUse::File).unwrap();
    }

    #[test]
    fn directories_on_the_way_count_and_those_that_are_there_do_not() {
        let mut claims = TakenNames::new(4);
        claims.claim("a/b/c", NameUse::File).unwrap();
        claims.claim("a/b", NameUse::Directory).unwrap();
        claims.claim("a/d", NameUse::File).unwrap();
        let error = claims.claim("e", NameUse::File).unwrap_err();
        assert_eq!(error.kind(), Kind::Limit);
        assert_eq!(error.to_string(), "the artifact has more than 4 files and directories");
    }
}
