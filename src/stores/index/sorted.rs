//! The names of a list in their order, of which parts are found without a look at the others.

use super::{IndexFile, entry::Entry};
use crate::{
    oci::RefName,
    store::{Flaw, NamePage},
};

/// Where the names of a list are, sorted, without duplicates.
#[derive(Debug)]
pub(in crate::stores) struct Sorted {
    order: Box<[u32]>,
    /// A reason why names may be missing.
    flaw: Option<Flaw>,
}

impl Sorted {
    /// The order of the names of this list.
    pub(in crate::stores) fn of(index: &IndexFile) -> Self {
        let is_name = |entry: &Entry| entry.name().is_some_and(|name| name.parse::<RefName>().is_ok());
        let named = index.entries.iter().zip(0_u32..).filter(|(entry, _)| is_name(entry));
        let mut order: Vec<u32> = named.map(|(_, at)| at).collect();
        order.sort_by(|a, b| name(index, *a).cmp(name(index, *b)));
        order.dedup_by(|a, b| name(index, *a) == name(index, *b));
        Self { order: order.into_boxed_slice(), flaw: index.unreadable_parts().next() }
    }

    /// Names behind `last` of the list that this is the order of: see
    /// [`ReadStore::names_after`](crate::store::ReadStore::names_after).
    pub(in crate::stores) fn after(&self, index: &IndexFile, last: Option<&str>, most: usize) -> NamePage {
        let start = last.map_or(0, |last| self.order.partition_point(|at| name(index, *at) <= last.as_bytes()));
        let rest = self.order.get(start..).unwrap_or_default();
        let entries = rest.iter().take(most).filter_map(|at| index.entries.get(*at as usize)?.name()?.parse().ok());
        NamePage { names: entries.collect(), unreadable: self.flaw.iter().cloned().collect(), more: rest.len() > most }
    }
}

fn name(index: &IndexFile, at: u32) -> &[u8] {
    index.entries.get(at as usize).and_then(Entry::name_bytes).unwrap_or_default()
}
