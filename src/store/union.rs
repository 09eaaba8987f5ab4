//! Several stores as one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};

use super::{Home, Inventory, Item, Name, NamePage, Presence, ReadStore};
use crate::{
    blob::{ByteStream, FileSlice},
    error::{Error, Kind, Result},
    oci::{Descriptor, Platforms},
};

/// Several stores read as one: content comes from the first that has it, a name stands for its manifest in the first
/// that has it, and names and referrers are those of all. For example, a bundle and a later addition to it.
#[derive(Clone, Default)]
pub struct Union {
    stores: Vec<Arc<dyn ReadStore>>,
}

impl Union {
    /// A union of these stores, in the order in which they are asked.
    #[must_use]
    pub fn new(stores: Vec<Arc<dyn ReadStore>>) -> Self {
        Self { stores }
    }

    fn missing(&self, what: impl fmt::Display) -> Error {
        Error::not_found(format!("{what} is not in {self}"))
    }
}

impl fmt::Display for Union {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.stores.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Union {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Union({self})")
    }
}

/// The answer of the first store that has it; any error but `NotFound` ends the search.
macro_rules! first {
    ($union:expr, $what:expr, $store:ident => $call:expr) => {{
        for $store in &$union.stores {
            match $call.await {
                Err(e) if e.kind() == Kind::NotFound => {}
                other => return other,
            }
        }
        Err($union.missing($what))
    }};
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for Union {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        first!(self, format_args!("`{name}`"), store => store.resolve(name))
    }

    /// `None`: the store that has the name is found by asking.
    async fn manifest_at_once(&self, _name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        Ok(None)
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        first!(self, &item.desc.digest, store => store.fetch(item, range.clone()))
    }

    /// Asks each store for the items that those before it lack.
    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let mut found = vec![Presence::Absent; items.len()];
        for store in &self.stores {
            let open = found.iter_mut().zip(items).filter(|(known, _)| !matches!(known, Presence::Here { .. }));
            let (places, asked): (Vec<&mut Presence>, Vec<Item>) =
                open.map(|(known, item)| (known, item.clone())).unzip();
            if asked.is_empty() {
                break;
            }
            for (known, new) in places.into_iter().zip(store.has(&asked).await?) {
                if new != Presence::Absent {
                    *known = new;
                }
            }
        }
        Ok(found)
    }

    /// Each page comes from one store.
    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        let stores: Vec<_> = self.stores.iter().map(|store| store.names()).collect();
        stream::try_unfold(stores, async |stores| {
            if stores.is_empty() {
                return Ok(None);
            }
            let (mut all, mut open) = (NamePage::default(), Vec::new());
            for mut pages in stores {
                let Some(NamePage { names, unreadable, more }) = pages.try_next().await? else { continue };
                all.names.extend(names);
                all.unreadable.extend(unreadable);
                all.more |= more;
                open.extend(more.then_some(pages));
            }
            Ok(Some((all, open)))
        })
        .boxed()
    }

    async fn list_names(&self) -> Result<NamePage> {
        NamePage::all(stream::iter(&self.stores).then(|store| store.list_names())).await
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        NamePage::all(stream::iter(&self.stores).then(|store| store.list_names_after(last))).await
    }

    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        for store in &self.stores {
            found.extend(store.unnamed().await?.into_iter().filter(|desc| known.insert(desc.digest.clone())));
        }
        Ok(found)
    }

    async fn names_after(&self, last: Option<&str>, most: usize) -> Result<Option<NamePage>> {
        let mut all = NamePage::default();
        for store in &self.stores {
            let Some(NamePage { names, unreadable, more }) = store.names_after(last, most).await? else {
                return Ok(None);
            };
            all.names.extend(names);
            all.unreadable.extend(unreadable);
            all.more |= more;
        }
        all.names.sort_unstable();
        all.names.dedup();
        all.more |= all.names.len() > most;
        all.names.truncate(most);
        Ok(Some(all))
    }

    /// `None`: the versions of the stores cannot be combined into one.
    async fn names_version(&self) -> Result<Option<u64>> {
        match self.stores.as_slice() {
            [only] => only.names_version().await,
            _ => Ok(None),
        }
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut found = BTreeMap::new();
        for store in &self.stores {
            for desc in store.referrers(subject).await? {
                found.entry(desc.digest.clone()).or_insert(desc);
            }
        }
        Ok(found.into_values().collect())
    }

    /// `None` if one of the stores cannot.
    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        let mut found = BTreeMap::new();
        for store in &self.stores {
            let Some(referrers) = store.referrers_in_brief(subject).await? else { return Ok(None) };
            for desc in referrers {
                found.entry(desc.digest.clone()).or_insert(desc);
            }
        }
        Ok(Some(found.into_values().collect()))
    }

    /// Those of the first store that knows: what it lacks, others may have.
    async fn kept_platforms(&self, index: &Descriptor) -> Result<Option<Platforms>> {
        for store in &self.stores {
            if let Some(kept) = store.kept_platforms(index).await? {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.stores.iter().find_map(|store| store.local(item))
    }

    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.stores.iter().any(|store| store.is_local_and_hashed(item))
    }

    fn home(&self, item: &Item) -> Option<Home> {
        self.stores.iter().find_map(|store| store.home(item))
    }

    /// `None`: the list of one store does not describe the others.
    async fn inventory(&self) -> Result<Option<Inventory>> {
        match self.stores.as_slice() {
            [only] => only.inventory().await,
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::{Index, media_type},
        store::{self, Intent, NameChange},
        stores::Memory,
    };

    /// A store with a manifest of its own under each of these tags, and these blobs.
    async fn filled(of: &str, tags: &[&str], blobs: &[&'static [u8]]) -> Arc<dyn ReadStore> {
        let store = Memory::new();
        let write = store::begin(&store, Intent::default()).await.unwrap();
        for tag in tags {
            let mut index = Index::of(Vec::new());
            index.annotations.insert("of".into(), format!("{of}:{tag}"));
            let bytes = Bytes::from(serde_json::to_vec(&index).unwrap());
            let desc = Descriptor::of(media_type::INDEX, &bytes);
            write.puts().manifest(&desc, &bytes).await.unwrap();
            write.name(NameChange::set(tag.parse().unwrap(), desc)).unwrap();
        }
        for blob in blobs {
            write.puts().put(&Descriptor::of("a/b", blob), &Bytes::from_static(blob), &[]).await.unwrap();
        }
        write.commit().await.unwrap();
        Arc::new(store)
    }

    fn blob(content: &[u8]) -> Item {
        Item::blob(Descriptor::of("a/b", content))
    }

    #[tokio::test]
    async fn the_first_store_that_has_it_gives_it_and_names_are_those_of_all() {
        let one = filled("one", &["both", "first"], &[b"left"]).await;
        let two = filled("two", &["both", "second"], &[b"right"]).await;
        let union = Union::new(vec![Arc::clone(&one), Arc::clone(&two)]);
        assert_eq!(union.list_names().await.unwrap().names, ["both", "first", "second"]);
        let page = union.names().try_next().await.unwrap().unwrap();
        assert_eq!((page.names.len(), page.more), (4, false));
        let both = union.resolve(&"both".parse().unwrap()).await.unwrap();
        assert_eq!(both, one.resolve(&"both".parse().unwrap()).await.unwrap());
        assert_ne!(both, two.resolve(&"both".parse().unwrap()).await.unwrap());
        assert_eq!(
            union.resolve(&"second".parse().unwrap()).await.unwrap(),
            two.resolve(&"second".parse().unwrap()).await.unwrap()
        );
        for content in [&b"left"[..], b"right"] {
            assert_eq!(store::read(&union, &blob(content), 64).await.unwrap(), content);
        }
        let error = union.resolve(&"third".parse().unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::NotFound, "`third` is not in memory, memory"));
    }

    #[tokio::test]
    async fn each_item_is_found_where_it_is_and_nowhere_else() {
        let union = Union::new(vec![filled("one", &[], &[b"left"]).await, filled("two", &[], &[b"right", b"r"]).await]);
        let items = [blob(b"r"), blob(b"nowhere"), blob(b"left"), blob(b"right")];
        let expected = [Presence::here(1), Presence::Absent, Presence::here(4), Presence::here(5)];
        assert_eq!(union.has(&items).await.unwrap(), expected);
        assert_eq!(Union::default().has(&items).await.unwrap(), [Presence::Absent; 4]);
    }
}
