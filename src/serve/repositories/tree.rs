//! Repositories in a directory tree: `a/b` is the OCI layout `DIR/a/b`.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Repositories, clean};
use crate::{
    error::{Context as _, Error, Result},
    fs::{Dir, Identity, TEMPORARY, blocking, replace},
    oci::{Algorithm, RepositoryName},
    store::{ReadStore, Store},
    stores::{BLOBS, INDEX, Layout, ListMemory, MARKER, MARKER_CONTENT, WeakLayout},
};

/// The files of a layout. A name must not contain these: `a/blobs` would be inside the layout `a`.
const RESERVED: [&str; 3] = [BLOBS, INDEX, MARKER];
/// Limit of nesting in the search for repositories.
const MAX_DEPTH: usize = 16;
/// Layouts that stay open without being used, each with a file descriptor.
const IDLE: usize = 16;
/// Handles of layouts that nobody uses any more are forgotten once there are so many.
const HANDLES: usize = 1024;

/// A directory of layouts as repositories, each named by its path. The first push creates a repository.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    known: Arc<Mutex<Known>>,
    /// Held while a layout is created or opened, so that an incomplete one is not opened.
    making: Arc<Mutex<()>>,
    /// For the lists of all layouts together.
    memory: Arc<ListMemory>,
}

/// An open layout with its directory.
#[derive(Debug, Clone)]
struct Opened {
    layout: Layout,
    directory: Identity,
}

impl Opened {
    /// Whether it is still the layout at this path.
    fn is_at(&self, path: &Path) -> bool {
        let same = |meta: fs::Metadata| Identity::from(&meta) == self.directory;
        fs::metadata(path).is_ok_and(same) && is_layout(path)
    }
}

/// Handles of layouts: of those in use, so that all who use one share it, and of a few that were used last.
#[derive(Debug, Default)]
struct Known {
    handles: BTreeMap<RepositoryName, (WeakLayout, Identity)>,
    last: VecDeque<(RepositoryName, Layout)>,
}

impl Known {
    fn get(&mut self, name: &RepositoryName) -> Option<Opened> {
        let (layout, directory) = self.handles.get(name)?;
        let opened = Opened { layout: layout.upgrade()?, directory: *directory };
        self.used(name, &opened.layout);
        Some(opened)
    }

    fn put(&mut self, name: &RepositoryName, opened: &Opened) {
        self.used(name, &opened.layout);
        if self.handles.len() >= HANDLES {
            self.handles.retain(|_, (layout, _)| layout.upgrade().is_some());
        }
        self.handles.insert(name.clone(), (opened.layout.downgrade(), opened.directory));
    }

    fn used(&mut self, name: &RepositoryName, layout: &Layout) {
        self.last.retain(|(other, _)| other != name);
        self.last.push_back((name.clone(), layout.clone()));
        while self.last.len() > IDLE {
            self.last.pop_front();
        }
    }

    fn forget(&mut self, name: &RepositoryName) {
        self.last.retain(|(other, _)| other != name);
        self.handles.remove(name);
    }
}

impl Tree {
    /// Opens the repositories in this directory. Errors: it is missing, or not a directory.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let meta = fs::metadata(&root).context(|| format!("cannot serve `{}`", root.display()))?;
        if !meta.is_dir() {
            return Err(Error::invalid(format!("`{}` is not a directory", root.display())));
        }
        Ok(Self { root, known: Arc::default(), making: Arc::default(), memory: Arc::default() })
    }

    /// The path of a repository, existing or not. Paths contain only validated parts of names.
    fn path(&self, name: &RepositoryName) -> Option<PathBuf> {
        let reserved = name.parts().any(|part| RESERVED.contains(&part));
        let shallow = name.parts().count() <= MAX_DEPTH;
        (shallow && !reserved).then(|| name.parts().fold(self.root.clone(), |path, part| path.join(part)))
    }

    /// The layout with this name. All requests at a time share one handle while the directory exists.
    async fn layout(&self, name: &RepositoryName, make: bool) -> Result<Option<Layout>> {
        let Some(path) = self.path(name) else {
            let message = format!("repository name `{name}` is not possible in a directory tree");
            return if make { Err(Error::invalid(message)) } else { Ok(None) };
        };
        let (known, making, memory) = (Arc::clone(&self.known), Arc::clone(&self.making), Arc::clone(&self.memory));
        let name = name.clone();
        blocking(move || {
            let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody holds the lock during a look at the file system, which may take its time.
            let known = lock().get(&name);
            if let Some(known) = known.filter(|known| known.is_at(&path)) {
                return Ok(Some(known.layout));
            }
            let _alone = making.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody may have opened it in the meantime.
            let known = lock().get(&name);
            let opened = open_layout(&path, known, make, &memory).context(|| format!("repository `{name}`"))?;
            // Before others look: what one of them makes is not forgotten.
            match &opened {
                Some(opened) => lock().put(&name, opened),
                None => lock().forget(&name),
            }
            Ok(opened.map(|opened| opened.layout))
        })
        .await
    }
}

/// Whether a layout is at this path.
fn is_layout(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

/// The layout at this path: the known one, unless another directory has replaced it.
fn open_layout(path: &Path, known: Option<Opened>, make: bool, memory: &Arc<ListMemory>) -> Result<Option<Opened>> {
    let here = is_layout(path);
    if !here && !make {
        return Ok(None);
    }
    let made = if here { None } else { Some(create_layout(path, memory)?) };
    if let Some(known) = known.filter(|known| here && known.is_at(path)) {
        return Ok(Some(known));
    }
    let meta = fs::metadata(path).context(|| format!("cannot open `{}`", path.display()))?;
    let directory = Identity::from(&meta);
    Ok(Some(Opened { layout: made.map_or_else(|| Layout::open_within(path, memory), Ok)?, directory }))
}

/// Creates a layout, even if `path` exists because of repositories below it.
fn create_layout(path: &Path, memory: &Arc<ListMemory>) -> Result<Layout> {
    fs::create_dir_all(path).context(|| format!("cannot create the directory `{}`", path.display()))?;
    let below = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        entry.path().is_dir()
            && name.to_str().is_some_and(|name| !RESERVED.contains(&name) && name.parse::<RepositoryName>().is_ok())
    };
    // What an earlier server left that was killed is removed below.
    let unfinished = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(TEMPORARY);
    let entries = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    let ours = entries.iter().all(|entry| below(entry) || unfinished(entry));
    if ours && !entries.is_empty() && !is_layout(path) {
        replace(&Dir::open(path)?, MARKER, MARKER_CONTENT)?;
    }
    Layout::create_within(path, memory)
}

/// All names of layouts below a directory.
fn find_names(dir: &Path, prefix: &str, depth: usize, found: &mut Vec<RepositoryName>) -> Result<()> {
    for entry in fs::read_dir(dir).context(|| format!("cannot list `{}`", dir.display()))? {
        let entry = entry?;
        let Some(part) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let Ok(name) = format!("{prefix}{part}").parse::<RepositoryName>() else { continue };
        // Links are not followed: they could form a loop.
        if RESERVED.contains(&part.as_str()) || !entry.file_type()?.is_dir() {
            continue;
        }
        if is_layout(&entry.path()) {
            found.push(name.clone());
        }
        if depth < MAX_DEPTH {
            find_names(&entry.path(), &format!("{name}/"), depth.saturating_add(1), found)?;
        }
    }
    Ok(())
}

/// Size of the list and all blobs of a layout, in bytes, without unfinished ones.
fn layout_size(layout: &Path) -> Result<u64> {
    let mut all = fs::metadata(layout.join(INDEX)).map_or(0, |meta| meta.len());
    for algorithm in Algorithm::ALL {
        let entries = match fs::read_dir(layout.join(BLOBS).join(algorithm.name())) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.context(|| format!("cannot list `{}`", layout.display()))?,
        };
        for entry in entries {
            let entry = entry?;
            let unfinished = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
            if let Ok(meta) = entry.metadata()
                && meta.is_file()
                && !unfinished
            {
                all = all.saturating_add(meta.len());
            }
        }
    }
    Ok(all)
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}

#[async_trait]
impl Repositories for Tree {
    async fn get(&self, name: &RepositoryName) -> Result<Option<Arc<dyn ReadStore>>> {
        Ok(self.layout(name, false).await?.map(|layout| Arc::new(layout) as Arc<dyn ReadStore>))
    }

    async fn create(&self, name: &RepositoryName) -> Result<Arc<dyn Store>> {
        match self.layout(name, true).await? {
            Some(layout) => Ok(Arc::new(layout)),
            None => Err(Error::not_found(format!("repository `{name}` does not exist"))),
        }
    }

    async fn names(&self) -> Result<Vec<RepositoryName>> {
        let root = self.root.clone();
        let listed = blocking(move || {
            let mut found = Vec::new();
            find_names(&root, "", 1, &mut found).map(|()| found)
        });
        let mut found = listed.await?;
        found.sort_unstable();
        Ok(found)
    }

    async fn usage(&self) -> Result<Option<u64>> {
        let mut all = 0_u64;
        for name in self.names().await? {
            // One at a time, so that other work gets its turn.
            let path = self.path(&name);
            let size = blocking(move || path.map_or(Ok(0), |path| layout_size(&path)));
            all = all.saturating_add(size.await?);
        }
        Ok(Some(all))
    }

    async fn clean(&self) -> Result<()> {
        for name in self.names().await? {
            if let Some(layout) = self.layout(&name, false).await? {
                clean(&layout).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        oci::Descriptor,
        store::{self, Intent, Item},
    };

    #[tokio::test]
    async fn repositories_may_lie_below_each_other_in_either_order() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        for name in ["a/b/c", "a", "a/b", "d"] {
            tree.create(&name.parse().unwrap()).await.unwrap();
        }
        let names: Vec<String> = tree.names().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c", "d"]);
        assert!(Layout::open(dir.path().join("a/b")).is_ok());
        assert!(tree.get(&"a/x".parse().unwrap()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_a_killed_server_left_of_a_new_repository_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        tree.create(&"a/b".parse().unwrap()).await.unwrap();
        let left = dir.path().join("a").join(format!("{TEMPORARY}0123456789abcdef"));
        std::fs::write(&left, "{").unwrap();
        tree.create(&"a".parse().unwrap()).await.unwrap();
        assert!(!left.exists());
        assert_eq!(std::fs::read(dir.path().join("a").join(MARKER)).unwrap(), MARKER_CONTENT);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_finds_nothing_does_not_undo_what_another_makes() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Arc::new(Tree::open(dir.path()).unwrap());
        for i in 0..50 {
            let name: RepositoryName = format!("r{i}").parse().unwrap();
            let reads = (0..4).map(|_| {
                let (tree, name) = (Arc::clone(&tree), name.clone());
                tokio::spawn(async move { tree.layout(&name, false).await.unwrap() })
            });
            let reads: Vec<_> = reads.collect();
            let made = tree.layout(&name, true).await.unwrap().unwrap();
            for read in reads {
                assert!(read.await.unwrap().is_none_or(|read| read.is_same(&made)));
            }
            assert!(tree.layout(&name, false).await.unwrap().unwrap().is_same(&made));
        }
    }

    #[tokio::test]
    async fn few_layouts_stay_open_and_those_in_use_are_shared() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let layout = async |i: usize| {
            let name: RepositoryName = format!("r{i}").parse().unwrap();
            std::fs::create_dir_all(dir.path().join(&*name)).unwrap();
            std::fs::write(dir.path().join(&*name).join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
            tree.layout(&name, false).await.unwrap().unwrap()
        };
        let used = layout(0).await;
        for i in 1..HANDLES + IDLE {
            layout(i).await;
        }
        let open = || {
            let known = tree.known.lock().unwrap();
            (known.handles.values().filter(|(layout, _)| layout.upgrade().is_some()).count(), known.handles.len())
        };
        assert_eq!(open().0, IDLE + 1);
        assert!(open().1 <= HANDLES);
        assert!(layout(0).await.is_same(&used));
    }

    #[tokio::test]
    async fn what_is_gone_is_not_served_and_what_took_its_place_is() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let (name, path) = ("a".parse().unwrap(), dir.path().join("a"));
        let write = store::begin(&*tree.create(&name).await.unwrap(), Intent::default()).await.unwrap();
        let desc = Descriptor::of("a/b", b"content");
        write.puts().put(&desc, &Bytes::from_static(b"content"), &[]).await.unwrap();
        write.commit().await.unwrap();
        std::fs::rename(&path, dir.path().join("away")).unwrap();
        assert!(tree.get(&name).await.unwrap().is_none());
        Layout::create(&path).unwrap();
        let there = tree.get(&name).await.unwrap().unwrap();
        assert!(!store::contains(&*there, &Item::blob(desc)).await.unwrap());
    }

    #[tokio::test]
    async fn no_repository_lies_inside_a_layout_or_in_what_is_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        std::fs::write(dir.path().join("docs/README"), "mine").unwrap();
        for name in ["a/blobs", "blobs", "a/index.json/b", "oci-layout", "docs", &["a"; 20].join("/")] {
            assert!(tree.create(&name.parse().unwrap()).await.is_err(), "{name}");
        }
        assert!(!dir.path().join("a").exists());
    }
}
