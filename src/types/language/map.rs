//! Values by key, in the order in which they were given.

use std::{collections::HashMap, sync::Arc};

/// The values of an object by their keys, each of which is there once, in their order.
#[derive(Debug)]
pub(in crate::types) struct Map<V> {
    entries: Vec<Entry<V>>,
    /// The places of the entries, sorted by key.
    sorted: Vec<u32>,
}

type Entry<V> = (Arc<str>, V);

impl<V: Clone + 'static> Map<V> {
    pub(super) const EMPTY: &'static Self = &Self { entries: Vec::new(), sorted: Vec::new() };

    /// A map; of equal keys, the last one gives the value, and the first one the place.
    pub(super) fn new(entries: Vec<Entry<V>>) -> Self {
        let map = Self::sort(entries);
        if map.by_key().zip(map.by_key().skip(1)).any(|((one, _), (next, _))| one == next) {
            return Self::sort(unique(map.entries));
        }
        map
    }

    fn sort(entries: Vec<Entry<V>>) -> Self {
        let mut sorted: Vec<u32> = (0..entries.len()).filter_map(|i| u32::try_from(i).ok()).collect();
        let key = |i: &u32| entries.get(*i as usize).map(|(key, _)| key);
        sorted.sort_by(|a, b| key(a).cmp(&key(b)));
        Self { entries, sorted }
    }

    pub(super) fn get(&self, key: &str) -> Option<&V> {
        let entry = |i: &u32| self.entries.get(*i as usize);
        let found = self.sorted.binary_search_by(|i| entry(i).map_or("", |(own, _)| own).cmp(key)).ok()?;
        self.sorted.get(found).and_then(entry).map(|(_, value)| value)
    }

    pub(super) fn entries(&self) -> &[Entry<V>] {
        &self.entries
    }

    /// The entries, sorted by key.
    pub(super) fn by_key(&self) -> impl Iterator<Item = &Entry<V>> {
        self.sorted.iter().filter_map(|i| self.entries.get(*i as usize))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// One entry for each key.
fn unique<V: Clone>(entries: Vec<Entry<V>>) -> Vec<Entry<V>> {
    let mut last: HashMap<Arc<str>, V> = entries.iter().cloned().collect();
    entries.into_iter().filter_map(|(key, _)| last.remove(&key).map(|value| (key, value))).collect()
}
