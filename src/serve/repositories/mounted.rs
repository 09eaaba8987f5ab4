//! Several stores as repositories of one registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::{Bound, Range},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{
    Repositories, clean,
    mounted_names::{Names, Tags},
    usage,
};
use crate::{
    blob::{ByteStream, FileSlice},
    error::{Error, Kind, Result},
    oci::{Descriptor, Platforms, RepositoryName, Tag},
    store::{Home, Inventory, Item, Name, NamePage, Presence, ReadStore, Store, Union, one_page},
};

/// Stores as one registry.
///
/// A tag that is a full reference, such as `ghcr.io/a/b:v1` in bundles, becomes tag `v1` of repository `a/b`, and of
/// `ghcr.io/a/b` for clients that use that name. A bare tag belongs to the repository given with the store. If two
/// stores have the same tag of the same repository, the store added first wins. Content is found in all stores, from
/// any repository, so that a bundle and its delta are served together.
#[derive(Default)]
pub struct Mounted {
    stores: Vec<Mount>,
    writable: BTreeMap<RepositoryName, Arc<dyn Store>>,
}

/// A store with its names.
struct Mount {
    /// The repository of its bare tags.
    base: RepositoryName,
    store: Arc<dyn ReadStore>,
    /// The names last listed, with their version.
    known: Mutex<Option<(u64, Arc<Names>)>>,
}

impl Mount {
    fn new(base: RepositoryName, store: Arc<dyn ReadStore>) -> Self {
        Self { base, store, known: Mutex::default() }
    }

    /// The names, listed again if they may have changed.
    async fn names(&self) -> Result<Arc<Names>> {
        // Read before the list: if names change in between, the next call lists them again.
        let version = self.store.names_version().await?;
        if let Some((known, names)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && Some(*known) == version
        {
            return Ok(Arc::clone(names));
        }
        let names = Arc::new(Names::of(&self.base, self.store.list_names().await?));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            version.map(|version| (version, Arc::clone(&names)));
        Ok(names)
    }
}

impl Mounted {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a store; its bare tags belong to this repository.
    #[must_use]
    pub fn and(mut self, name: RepositoryName, store: Arc<dyn ReadStore>) -> Self {
        self.stores.push(Mount::new(name, store));
        self
    }

    /// Adds a writable store as this repository.
    #[must_use]
    pub fn and_writable(mut self, name: RepositoryName, store: Arc<dyn Store>) -> Self {
        self.stores.push(Mount::new(name.clone(), Arc::clone(&store) as Arc<dyn ReadStore>));
        self.writable.insert(name, store);
        self
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stores.iter().map(|Mount { base, store, .. }| format!("{base}: {store}"))).finish()
    }
}

impl fmt::Display for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.stores.iter().map(|mount| mount.store.to_string()).collect();
        f.write_str(&names.join(", "))
    }
}

#[async_trait]
impl Repositories for Mounted {
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>> {
        let mut here = false;
        let mut named = Vec::new();
        for mount in &self.stores {
            let names = mount.names().await?;
            here |= mount.base == *name || names.repositories.contains_key(name);
            named.push((names, Arc::clone(&mount.store)));
        }
        let all = Union::new(self.stores.iter().map(|mount| Arc::clone(&mount.store)).collect());
        Ok(here.then(|| Arc::new(MountedRepository { name: name.clone(), named, all }) as Arc<dyn ReadStore>))
    }

    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>> {
        let read_only = || Error::new(Kind::ReadOnly, format!("repository `{name}` is read-only"));
        self.writable.get(name).cloned().ok_or_else(read_only)
    }

    async fn names(&self) -> Result<Vec<RepositoryName>> {
        let mut found = BTreeSet::new();
        for mount in &self.stores {
            let names = mount.names().await?;
            found.extend(names.shown.iter().cloned());
        }
        Ok(found.into_iter().collect())
    }

    /// Of those that are written to.
    async fn usage(&self) -> Result<Option<u64>> {
        let mut all = 0_u64;
        for store in self.writable.values() {
            let Some(size) = usage(&**store).await? else { return Ok(None) };
            all = all.saturating_add(size);
        }
        Ok(Some(all))
    }

    async fn clean(&self) -> Result<()> {
        for store in self.writable.values() {
            clean(&**store).await?;
        }
        Ok(())
    }
}

/// One repository, with the names at the time of the request.
struct MountedRepository {
    name: RepositoryName,
    /// Each store with its names.
    named: Vec<(Arc<Names>, Arc<dyn ReadStore>)>,
    all: Union,
}

impl MountedRepository {
    /// The tags of this repository in each store.
    fn tags_of(&self) -> impl Iterator<Item = (&Tags, &Arc<dyn ReadStore>)> {
        self.named.iter().filter_map(|(names, store)| Some((names.repositories.get(&self.name)?, store)))
    }
}

impl fmt::Display for MountedRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository {}", self.name)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for MountedRepository {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        let Name::Ref(tag) = name else {
            return self.all.resolve(name).await;
        };
        for (tags, store) in self.tags_of() {
            let Some(own) = tags.get(tag.as_str()) else { continue };
            let own = own.as_deref().map_or_else(|| name.clone(), |own| own.clone().into());
            match store.resolve(&own).await {
                // Removed after listing.
                Err(e) if e.kind() == Kind::NotFound => {}
                other => return other,
            }
        }
        Err(Error::not_found(format!("`{name}` is not in {self}")))
    }

    /// `None`: a server reads what it resolved.
    async fn manifest_at_once(&self, _name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        Ok(None)
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        self.all.fetch(item, range).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.all.has(items).await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        one_page(self.list_names())
    }

    async fn list_names(&self) -> Result<NamePage> {
        let found: BTreeSet<&Tag> = self.tags_of().flat_map(|(tags, _)| tags.keys()).collect();
        let unreadable = self.named.iter().flat_map(|(names, _)| &names.unreadable).cloned().collect();
        Ok(NamePage { names: found.into_iter().cloned().map(Into::into).collect(), unreadable, more: false })
    }

    /// None: a server lists names only.
    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        Ok(self.list_names().await?.after(last))
    }

    async fn names_after(&self, last: Option<&str>, most: usize) -> Result<Option<NamePage>> {
        let from = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let first = self.tags_of().flat_map(|(tags, _)| tags.range::<str, _>(from).take(most.saturating_add(1)));
        let found: BTreeSet<&Tag> = first.map(|(tag, _)| tag).collect();
        let unreadable = self.named.iter().flat_map(|(names, _)| &names.unreadable).take(1).cloned().collect();
        let names = found.iter().take(most).map(|tag| (*tag).clone().into()).collect();
        Ok(Some(NamePage { names, unreadable, more: found.len() > most }))
    }

    /// `None` for several stores, whose versions cannot be combined into one.
    async fn names_version(&self) -> Result<Option<u64>> {
        match self.named.as_slice() {
            [(names, _)] => Ok(Some(names.version)),
            _ => Ok(None),
        }
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.all.referrers(subject).await
    }

    async fn referrers_in_brief(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        self.all.referrers_in_brief(subject).await
    }

    async fn kept_platforms(&self, index: &Descriptor) -> Result<Option<Platforms>> {
        self.all.kept_platforms(index).await
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.all.local(item)
    }

    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.all.is_local_and_hashed(item)
    }

    fn home(&self, item: &Item) -> Option<Home> {
        self.all.home(item)
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::{Digest, Index, Role},
        store::{self, Intent, NameChange},
        stores::Memory,
    };
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
            write.name(NameChange::set(tag.parse().unwrap(), desc.clone())).unwrap();
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
            assert_eq!(found.list_names().await.unwrap().names, tags, "{repository}");
            assert!(found.resolve(&tags[0].parse().unwrap()).await.is_ok(), "{repository}");
            assert!(found.resolve(&"v9".parse().unwrap()).await.is_err());
        }
        assert!(all.get(&name("b")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_list_of_a_layout_counts_as_what_it_stores_does() {
        let dir = tempfile::tempdir().unwrap();
        let layout = crate::stores::Layout::create(dir.path()).unwrap();
        let all = Mounted::new().and_writable(name("a"), Arc::new(layout.clone()));
        let list = || std::fs::metadata(dir.path().join("index.json")).unwrap().len();
        assert_eq!(all.usage().await.unwrap(), Some(list()));
        let (_, descs) = tagged(&["v1"]).await;
        let bytes = {
            let mut index = Index::of(Vec::new());
            index.annotations.insert("about".into(), "v11".into());
            Bytes::from(serde_json::to_vec(&index).unwrap())
        };
        let write = store::begin(&layout, Intent::default()).await.unwrap();
        write.puts().manifest(&descs[0], &bytes).await.unwrap();
        write.name(NameChange::set("v1".parse().unwrap(), descs[0].clone())).unwrap();
        write.commit().await.unwrap();
        assert_eq!(all.usage().await.unwrap(), Some(list() + descs[0].size));
    }

    #[tokio::test]
    async fn a_reference_with_a_digest_is_of_its_repository_too() {
        let digest = Digest::of(b"x");
        let by_digest = format!("ghcr.io/a/b@{digest}");
        let (store, _) = tagged(&[&by_digest, &format!("localhost:5000/c:v1@{digest}")]).await;
        let all = Mounted::new().and(name("bundle"), Arc::new(store));
        let names: Vec<String> = all.names().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a/b", "c"]);
        for (repository, tags) in [("a/b", vec![]), ("ghcr.io/a/b", vec![]), ("c", vec!["v1"])] {
            let found = all.get(&name(repository)).await.unwrap().unwrap();
            assert_eq!(found.list_names().await.unwrap().names, tags, "{repository}");
        }
    }

    #[tokio::test]
    async fn of_two_stores_with_one_tag_the_first_wins_and_both_give_content() {
        let (first, ones) = tagged(&["x.example/a:v1"]).await;
        let (second, twos) = tagged(&["x.example/a:v1", "x.example/a:v2"]).await;
        let all = Mounted::new().and(name("one"), Arc::new(first)).and(name("two"), Arc::new(second));
        let view = all.get(&name("a")).await.unwrap().unwrap();
        assert_eq!(view.list_names().await.unwrap().names, ["v1", "v2"]);
        assert_eq!(view.resolve(&"v1".parse().unwrap()).await.unwrap().digest, ones[0].digest);
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
