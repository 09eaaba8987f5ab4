//! Stores that somebody named on a command line, side by side or on top of each other, as repositories.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;

use super::Repositories;
use crate::{
    blob::{ByteStream, FileSlice},
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, RegistryName, RepositoryName, Tag},
    store::{Home, Inventory, Item, Presence, ReadStore, Store},
};

/// Stores as one registry.
///
/// A tag that is a full reference, such as the `ghcr.io/a/b:v1` that bundles have, is tag `v1` of repository `a/b`, and
/// of `ghcr.io/a/b` for clients that ask so. A bare tag is one of the repository that the store was added under. Where
/// two stores have the same tag of the same repository, the one that was added first wins. Content is found in all
/// stores, whatever repository it is asked of: a bundle and the delta on top of it are served as one.
#[derive(Default)]
pub struct Mounted {
    stores: Vec<(RepositoryName, Arc<dyn ReadStore>)>,
    writable: BTreeMap<RepositoryName, Arc<dyn Store>>,
}

impl Mounted {
    /// No store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a store more; its bare tags are those of this repository.
    #[must_use]
    pub fn and(mut self, name: RepositoryName, store: Arc<dyn ReadStore>) -> Self {
        self.stores.push((name, store));
        self
    }

    /// The same with a store more that may be pushed to, as this repository.
    #[must_use]
    pub fn and_writable(mut self, name: RepositoryName, store: Arc<dyn Store>) -> Self {
        self.stores.push((name.clone(), Arc::clone(&store) as Arc<dyn ReadStore>));
        self.writable.insert(name, store);
        self
    }

    fn view(&self, name: &RepositoryName) -> View {
        let stores = self.stores.iter().map(|(base, store)| (base == name, Arc::clone(store))).collect();
        View { name: name.clone(), stores }
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stores.iter().map(|(name, store)| format!("{name}: {store}"))).finish()
    }
}

impl fmt::Display for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.stores.iter().map(|(_, store)| store.to_string()).collect();
        f.write_str(&names.join(", "))
    }
}

#[async_trait]
impl Repositories for Mounted {
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>> {
        let view = self.view(name);
        let here = view.stores.iter().any(|(base, _)| *base) || !view.tags().await?.is_empty();
        Ok(here.then(|| Arc::new(view) as Arc<dyn ReadStore>))
    }

    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>> {
        let read_only = || Error::new(Kind::ReadOnly, format!("repository `{name}` cannot be pushed to"));
        self.writable.get(name).cloned().ok_or_else(read_only)
    }

    async fn names(&self) -> Result<Vec<RepositoryName>> {
        let mut found = BTreeSet::new();
        for (base, store) in &self.stores {
            let tags = store.tags().await?;
            let read: Vec<_> = tags.iter().filter_map(|tag| Reading::of(tag)).collect();
            if read.is_empty() || read.len() < tags.len() {
                found.insert(base.clone());
            }
            found.extend(read.into_iter().map(|reading| reading.short));
        }
        Ok(found.into_iter().collect())
    }
}

/// A tag of a store that is a full reference.
struct Reading<'a> {
    /// The repository without the registry.
    short: RepositoryName,
    /// The repository with the registry; none when the registry's name has a port.
    long: Option<RepositoryName>,
    tag: &'a str,
}

impl<'a> Reading<'a> {
    fn of(reference: &'a str) -> Option<Self> {
        let (path, tag) = reference.rsplit_once(':').filter(|(_, tag)| tag.parse::<Tag>().is_ok())?;
        let long = path.parse().ok();
        let short = match path.split_once('/') {
            Some((host, rest)) if RegistryName::is_meant_by(host) => rest.parse().ok()?,
            _ => path.parse().ok()?,
        };
        Some(Self { short, long, tag })
    }
}

/// One repository, as the stores see it.
struct View {
    name: RepositoryName,
    /// Each store, and whether its bare tags belong to this repository.
    stores: Vec<(bool, Arc<dyn ReadStore>)>,
}

impl View {
    /// What a store's tag is called in this repository, if it is one of it.
    fn called<'a>(&self, base: bool, tag: &'a str) -> Option<&'a str> {
        match Reading::of(tag) {
            Some(reading) if reading.short == self.name || reading.long.as_ref() == Some(&self.name) => {
                Some(reading.tag)
            }
            Some(_) => None,
            None => (base && tag.parse::<Tag>().is_ok()).then_some(tag),
        }
    }

    async fn resolve_tag(&self, name: &str) -> Result<Descriptor> {
        for (base, store) in &self.stores {
            let tags = store.tags().await?;
            if let Some(own) = tags.iter().find(|tag| self.called(*base, tag) == Some(name)) {
                return store.resolve(own).await;
            }
        }
        Err(self.missing(name))
    }

    fn missing(&self, what: impl fmt::Display) -> Error {
        Error::not_found(format!("{what} is not in {self}"))
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository {}", self.name)
    }
}

/// The first store that has it; an error other than `NotFound` ends the search.
macro_rules! first {
    ($view:expr, $what:expr, $store:ident => $call:expr) => {{
        for (_, $store) in &$view.stores {
            match $call.await {
                Err(e) if e.kind() == Kind::NotFound => {}
                other => return other,
            }
        }
        Err($view.missing($what))
    }};
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for View {
    async fn resolve(&self, name: &str) -> Result<Descriptor> {
        if name.parse::<Digest>().is_err() {
            return self.resolve_tag(name).await;
        }
        first!(self, name, store => store.resolve(name))
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        first!(self, &item.desc.digest, store => store.fetch(item, range.clone()))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let mut found = vec![Presence::Absent; items.len()];
        for (_, store) in &self.stores {
            for (known, new) in found.iter_mut().zip(store.has(items).await?) {
                if !matches!(known, Presence::Here { .. }) && new != Presence::Absent {
                    *known = new;
                }
            }
        }
        Ok(found)
    }

    async fn tags(&self) -> Result<Vec<String>> {
        let mut found = BTreeSet::new();
        for (base, store) in &self.stores {
            let tags = store.tags().await?;
            found.extend(tags.iter().filter_map(|tag| self.called(*base, tag)).map(str::to_owned));
        }
        Ok(found.into_iter().collect())
    }

    async fn tags_at_once(&self) -> Result<Option<Vec<String>>> {
        self.tags().await.map(Some)
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut found = BTreeMap::new();
        for (_, store) in &self.stores {
            for desc in store.referrers(subject).await? {
                found.entry(desc.digest.clone()).or_insert(desc);
            }
        }
        Ok(found.into_values().collect())
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.stores.iter().find_map(|(_, store)| store.local(item))
    }

    fn at_hand(&self, item: &Item) -> bool {
        self.stores.iter().any(|(_, store)| store.at_hand(item))
    }

    fn home(&self, item: &Item) -> Option<Home> {
        self.stores.iter().find_map(|(_, store)| store.home(item))
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::{Index, Role},
        store::{self, Intent, NameChange},
        stores::Memory,
    };
    use bytes::Bytes;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    /// A store whose tags point at empty indexes that the tags tell apart.
    async fn tagged(tags: &[&str]) -> (Memory, Vec<Descriptor>) {
        let (store, mut all) = (Memory::new(), Vec::new());
        for tag in tags {
            let mut index = Index::of(Vec::new());
            index.annotations.insert("about".into(), format!("{tag}{}", tags.len()));
            let bytes = Bytes::from(serde_json::to_vec(&index).unwrap());
            let desc = Descriptor::of(crate::oci::media_type::INDEX, &bytes);
            let write = store::begin(&store, Intent::default()).await.unwrap();
            write.puts().manifest(&desc, &bytes).await.unwrap();
            write.name(NameChange::set(*tag, desc.clone())).unwrap();
            write.commit().await.unwrap();
            all.push(desc);
        }
        (store, all)
    }

    #[tokio::test]
    async fn full_references_name_their_repository_and_bare_tags_the_store() {
        let (store, _) = tagged(&["ghcr.io/a/b:v1", "localhost:5000/c:v2", "plain"]).await;
        let all = Mounted::new().and(name("bundle"), Arc::new(store));
        let names: Vec<String> = all.names().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a/b", "bundle", "c"]);
        for (repository, tags) in [("a/b", ["v1"]), ("ghcr.io/a/b", ["v1"]), ("c", ["v2"]), ("bundle", ["plain"])] {
            let found = all.get(&name(repository)).await.unwrap().unwrap();
            assert_eq!(found.tags().await.unwrap(), tags, "{repository}");
            assert!(found.resolve(tags[0]).await.is_ok(), "{repository}");
            assert!(found.resolve("v9").await.is_err());
        }
        assert!(all.get(&name("b")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn of_two_stores_with_one_tag_the_first_wins_and_both_give_content() {
        let (first, ones) = tagged(&["x.example/a:v1"]).await;
        let (second, twos) = tagged(&["x.example/a:v1", "x.example/a:v2"]).await;
        let all = Mounted::new().and(name("one"), Arc::new(first)).and(name("two"), Arc::new(second));
        let view = all.get(&name("a")).await.unwrap().unwrap();
        assert_eq!(view.tags().await.unwrap(), ["v1", "v2"]);
        assert_eq!(view.resolve("v1").await.unwrap().digest, ones[0].digest);
        assert_eq!(store::size(&*view, &twos[0].digest, Role::Manifest).await.unwrap(), twos[0].size);
    }

    #[tokio::test]
    async fn only_what_was_added_as_writable_is_written_to() {
        let all =
            Mounted::new().and(name("a"), Arc::new(Memory::new())).and_writable(name("b"), Arc::new(Memory::new()));
        let refused = all.create(&name("a")).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), Kind::ReadOnly);
        assert!(all.create(&name("b")).await.is_ok());
    }
}
