//! The stores that a copy of many artifacts reads.

use std::{collections::HashMap, sync::Arc};

use artifact::{
    Error, Kind, Result,
    copy::Selected,
    location::Place,
    oci::Descriptor,
    store::{Added, ReadStore},
};
use bytes::Bytes;

use super::super::{report::Report, session::RegistryArgs};

/// The source stores, each opened once.
#[derive(Default)]
pub(super) struct Stores {
    pub(super) open: Vec<Arc<dyn ReadStore>>,
    by_place: HashMap<String, u16>,
}

impl Stores {
    pub(super) async fn open_store(&mut self, place: &Place, registry: &RegistryArgs, report: &Report) -> Result<u16> {
        let key = place.key();
        if let Some(at) = self.by_place.get(&key) {
            return Ok(*at);
        }
        let at =
            u16::try_from(self.open.len()).map_err(|_| Error::limit("more than 65536 source stores in one copy"))?;
        self.open.push(registry.read(place, report).await?);
        self.by_place.insert(key, at);
        Ok(at)
    }

    /// Adds the indexes that were made of those in each store.
    pub(super) fn add_made<'a>(&mut self, found: impl Iterator<Item = (u16, &'a Selected)>) {
        let mut made: HashMap<u16, Vec<(Descriptor, Bytes)>> = HashMap::new();
        for (store, selected) in found {
            if let Some(added) = selected.added() {
                made.entry(store).or_default().push(added);
            }
        }
        for (at, added) in made {
            if let Some(store) = self.open.get_mut(usize::from(at)) {
                *store = Arc::new(Added::new(Arc::clone(store), added));
            }
        }
    }

    pub(super) fn get(&self, at: u16) -> Result<&Arc<dyn ReadStore>> {
        self.open.get(usize::from(at)).ok_or_else(|| Error::new(Kind::Internal, "a source store was not opened"))
    }
}
