//! Indexes of which members were left out on purpose: every entry of such an index says which platforms are here.

use std::collections::BTreeMap;

use super::{IndexFile, entry::Entry};
use crate::{
    error::Result,
    oci::{Digest, Platforms, Role, annotation, media_type},
    store::Item,
};

/// The indexes that a session stores: the platforms that are kept of each, all if `None`.
#[derive(Debug, Clone, Default)]
pub(in crate::stores) struct Parts(BTreeMap<Digest, Option<Platforms>>);

/// What a list says about its indexes: the platforms of each, all if `None`.
#[derive(Debug, Default)]
pub(in crate::stores) struct Known(BTreeMap<Digest, Option<Platforms>>);

impl Parts {
    /// The indexes among these items. An index that is not in `parts` is whole.
    pub(in crate::stores) fn new(items: &[Item], parts: BTreeMap<Digest, Platforms>) -> Self {
        let is_index = |item: &&Item| item.role == Role::Manifest && media_type::is_index(&item.desc.media_type);
        let whole = items.iter().filter(is_index).map(|item| (item.desc.digest.clone(), None));
        Self(whole.chain(parts.into_iter().map(|(digest, platforms)| (digest, Some(platforms)))).collect())
    }

    pub(in crate::stores) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if these change what a list says about its indexes.
    pub(in crate::stores) fn change(&self, index: &IndexFile) -> bool {
        let known = index.parts(self);
        known.0.iter().any(|(digest, before)| self.platforms(digest, Some(before)) != *before)
    }

    /// What to say about an index of which the list said this before, if it had it. A list that said nothing of what is
    /// left out has all: what is missing there is lost.
    fn platforms(&self, index: &Digest, before: Option<&Option<Platforms>>) -> Option<Platforms> {
        match (self.0.get(index), before) {
            (None, before) => before.cloned().flatten(),
            (Some(None), _) | (Some(Some(_)), Some(None)) => None,
            (Some(Some(new)), Some(Some(before))) => Some(before.clone().and(new)),
            (Some(Some(new)), None) => Some(new.clone()),
        }
    }
}

impl IndexFile {
    /// The platforms that are here of an index, if others were left out.
    pub(in crate::stores) fn platforms(&self, index: &Digest) -> Option<Platforms> {
        self.entries.iter().filter(|entry| entry.is_part && entry.digest() == Some(index)).find_map(Entry::platforms)
    }

    /// What the list says about indexes of which it has a part, and about these.
    pub(in crate::stores) fn parts(&self, these: &Parts) -> Known {
        let mut known: BTreeMap<Digest, Option<Platforms>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(digest) = entry.digest().filter(|digest| entry.is_part || these.0.contains_key(*digest)) {
                let platforms = known.entry(digest.clone()).or_default();
                *platforms = platforms.take().or_else(|| entry.platforms());
            }
        }
        Known(known)
    }

    /// Notes what there is of the indexes that a session stored, in every entry of each. `known` is what the list said
    /// before it changed: a new name of an index says the same.
    pub(in crate::stores) fn note(&mut self, stored: &Parts, known: &Known) -> Result<()> {
        for entry in &mut self.entries {
            let Some(digest) = entry.digest() else { continue };
            let here = stored.platforms(digest, known.0.get(digest));
            if entry.platforms() != here {
                let text = here.as_ref().map(ToString::to_string);
                *entry = entry.annotated(annotation::PLATFORMS, text.as_deref())?;
                self.changed = true;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn platforms(&self) -> Option<Platforms> {
        let desc = self.desc().filter(|_| self.is_part)?;
        desc.annotations.get(annotation::PLATFORMS).map(|text| text.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, RefName};

    fn index(text: &str) -> Descriptor {
        Descriptor::of(media_type::INDEX, text.as_bytes())
    }

    /// A session that sets these names to one index, of which it brings these platforms; all if `None`.
    fn stored(list: &mut IndexFile, names: &[&str], platforms: Option<&str>) {
        let desc = index("one");
        let parts = platforms.map(|text| (desc.digest.clone(), text.into())).into_iter().collect();
        let parts = Parts::new(&[Item::manifest(desc.clone())], parts);
        written(list, names, &desc, &parts);
    }

    fn written(list: &mut IndexFile, names: &[&str], desc: &Descriptor, parts: &Parts) {
        let known = list.parts(parts);
        let names: BTreeMap<RefName, _> = names.iter().map(|name| (name.parse().unwrap(), desc.clone())).collect();
        let displaced = list.tag(&names).unwrap();
        list.list(&displaced).unwrap();
        list.note(parts, &known).unwrap();
    }

    /// What each entry of that index says.
    fn said(list: &IndexFile) -> Vec<Option<String>> {
        let of_it = list.entries_with(|digest| *digest == index("one").digest);
        of_it.map(|desc| desc.annotations.get(annotation::PLATFORMS).cloned()).collect()
    }

    #[test]
    fn platforms_add_up_until_all_are_there() {
        let mut list = IndexFile::empty().unwrap();
        stored(&mut list, &["v1"], Some("a/b"));
        assert_eq!(said(&list), [Some("a/b".to_owned())]);
        stored(&mut list, &[], Some("c/d"));
        stored(&mut list, &["v2"], Some("a/b"));
        assert_eq!(said(&list), [Some("a/b,c/d".to_owned()), Some("a/b,c/d".to_owned())]);
        assert_eq!(list.platforms(&index("one").digest), Some("a/b,c/d".into()));
        let bytes = list.encode().unwrap();
        assert_eq!(said(&IndexFile::read(bytes).unwrap()).len(), 2);
        stored(&mut list, &[], None);
        assert_eq!(said(&list), [None, None]);
        stored(&mut list, &[], Some("a/b"));
        assert_eq!(said(&list), [None, None], "it stays whole");
    }

    #[test]
    fn a_name_that_is_set_moved_or_removed_changes_nothing_of_what_is_there() {
        let mut list = IndexFile::empty().unwrap();
        stored(&mut list, &["v1"], Some("a/b"));
        written(&mut list, &["v2"], &index("one"), &Parts::default());
        assert_eq!(said(&list), [Some("a/b".to_owned()), Some("a/b".to_owned())]);
        for name in ["v1", "v2"] {
            written(&mut list, &[name], &index("two"), &Parts::default());
        }
        assert_eq!(said(&list), [Some("a/b".to_owned())], "listed without a name");
        written(&mut list, &["v1"], &index("one"), &Parts::default());
        assert!(list.untag("v1").unwrap());
        assert_eq!(said(&list), [Some("a/b".to_owned())]);
    }

    #[test]
    fn only_what_differs_is_written() {
        let mut list = IndexFile::empty().unwrap();
        stored(&mut list, &["v1"], Some("a/b"));
        let mut again = IndexFile::read(list.encode().unwrap()).unwrap();
        let parts = |text: &str| Parts([(index("one").digest, Some(text.into()))].into());
        assert!(!parts("a/b").change(&again) && parts("c/d").change(&again));
        assert!(Parts([(index("one").digest, None)].into()).change(&again));
        stored(&mut again, &["v1"], Some("a/b"));
        assert!(!again.changed());
    }
}
