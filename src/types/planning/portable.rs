//! Names that are packed as they are, and that other systems cannot hold: a warning, since the files may stay on this one.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use serde_json::Value as Json;

use crate::{
    fs::{fold, windows_fault},
    oci::annotation,
    plan::{Content, ManifestPlan, Part, Plan},
    tarball::read::quoted_name,
};

/// Number of names in the warning.
const SHOWN: usize = 3;

/// The warning about names in this plan that Windows or macOS refuse, or take for one; `None` if there are none.
pub(in crate::types) fn warning(plan: &Plan) -> Option<String> {
    let mut found = Found::default();
    for manifest in plan.manifests() {
        found.manifest(manifest);
    }
    found.told()
}

#[derive(Default)]
struct Found {
    shown: Vec<String>,
    count: usize,
}

/// The names of a manifest. By the hash of the form in which a file system may compare them, with random keys, so that a
/// million names fit into memory.
#[derive(Default)]
struct Names<'a> {
    seen: HashMap<u64, &'a str>,
    /// Those that are taken for another, by their own hash.
    told: HashSet<u64>,
    keys: RandomState,
}

impl Found {
    fn manifest(&mut self, manifest: &ManifestPlan) {
        let mut names = Names::default();
        for part in &manifest.layers {
            paths(part).for_each(|path| self.path(path, &mut names));
        }
    }

    /// A path, and the directories on its way.
    fn path<'a>(&mut self, path: &'a str, names: &mut Names<'a>) {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).for_each(|path| self.name(path, names));
    }

    fn name<'a>(&mut self, path: &'a str, names: &mut Names<'a>) {
        match names.seen.entry(names.keys.hash_one(fold(path).as_ref())) {
            Entry::Vacant(free) => {
                free.insert(path);
                if let Some(fault) = windows_fault(last(path)) {
                    self.add(path, &format!("Windows refuses {fault}"));
                }
            }
            Entry::Occupied(taken) => {
                let first = *taken.get();
                // Once for a directory, and not for all that is in it.
                let clash = first != path && parent(first) == parent(path);
                if clash && names.told.insert(names.keys.hash_one(path)) {
                    self.add(path, &format!("{} it for {}", who_takes(first, path), quoted_name(first)));
                }
            }
        }
    }

    fn add(&mut self, path: &str, why: &str) {
        self.count = self.count.saturating_add(1);
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{} ({why})", quoted_name(path)));
        }
    }

    fn told(mut self) -> Option<String> {
        let (what, more) = match self.count {
            0 => return None,
            1 => ("1 name does".to_owned(), 0),
            count => (format!("{count} names do"), count.saturating_sub(SHOWN)),
        };
        if more > 0 {
            self.shown.push(format!("and {more} more"));
        }
        Some(format!("{what} not fit on all systems: {}", self.shown.join(", ")))
    }
}

/// The paths that this layer becomes: its title, and the names in its archive.
fn paths(part: &Part) -> impl Iterator<Item = &str> {
    let title = part.annotations.get(annotation::TITLE).and_then(Json::as_str);
    let entries = match &part.content {
        Content::Tar { entries, .. } => entries.as_slice(),
        _ => &[],
    };
    title.into_iter().chain(entries.iter().map(|entry| entry.path.as_str()))
}

/// The systems that take these names for one.
fn who_takes(one: &str, other: &str) -> &'static str {
    if one.to_lowercase() == other.to_lowercase() { "Windows and macOS take" } else { "macOS takes" }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(paths: &[&str]) -> Option<String> {
        let (mut found, mut names) = (Found::default(), Names::default());
        for path in paths {
            found.path(path, &mut names);
        }
        found.told()
    }

    #[test]
    fn names_that_fit_everywhere_are_not_mentioned() {
        assert_eq!(told(&["d", "d/a", "d/b", "e", "e/a", "a", "d"]), None);
    }

    #[test]
    fn a_name_that_does_not_fit_is_told_once_with_the_system_and_why() {
        let one = "1 name does not fit on all systems: `d/x:y` (Windows refuses a colon)";
        assert_eq!(told(&["d/x:y", "d/x:y/a", "d/x:y/b", "d/x:y"]).unwrap(), one);
        let one = "1 name does not fit on all systems: `m/readme` (Windows and macOS take it for `m/README`)";
        assert_eq!(told(&["m/README", "m/readme", "m/README", "m/readme"]).unwrap(), one);
        let one = "1 name does not fit on all systems: `D` (Windows and macOS take it for `d`)";
        assert_eq!(told(&["d/a", "d/b", "D/a", "D/c"]).unwrap(), one);
        assert!(told(&["\u{e9}", "e\u{301}"]).unwrap().ends_with("(macOS takes it for `\u{e9}`)"));
    }

    #[test]
    fn the_first_names_are_shown_and_all_are_counted() {
        let all = told(&["aux.c", "b.", "c?", "d ", "con", "e"]).unwrap();
        assert!(all.starts_with("5 names do not fit on all systems: `aux.c` (Windows refuses the name of a device), "));
        assert!(all.ends_with("`c?` (Windows refuses one of `<>\"|?*`), and 2 more"), "{all}");
    }
}
