//! Repositories in a directory tree: `a/b` is the OCI layout `DIR/a/b`.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::Repositories;
use crate::{
    error::{Context as _, Error, Result},
    fs::{Identity, blocking},
    oci::RepositoryName,
    store::{ReadStore, Store},
    stores::Layout,
};

/// The files of a layout. A name must not contain these: `a/blobs` would be inside the layout `a`.
const RESERVED: [&str; 3] = ["blobs", "index.json", "oci-layout"];
/// Limit of nesting in the search for repositories.
const MAX_DEPTH: usize = 16;

/// A directory of layouts as repositories, each named by its path. The first push creates a repository.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    open: Mutex<BTreeMap<RepositoryName, Known>>,
    /// Held while a layout is created or opened, so that an incomplete one is not opened.
    making: Arc<Mutex<()>>,
}

/// An open layout with its directory.
#[derive(Debug, Clone)]
struct Known {
    layout: Layout,
    directory: Identity,
}

impl Known {
    /// Whether it is still the layout at this path.
    fn is_at(&self, path: &Path) -> bool {
        let same = |meta: fs::Metadata| Identity::from(&meta) == self.directory;
        fs::metadata(path).is_ok_and(same) && path.join("oci-layout").is_file()
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
        Ok(Self { root, open: Mutex::default(), making: Arc::default() })
    }

    /// The path of a repository, existing or not. Paths contain only validated parts of names.
    fn path(&self, name: &RepositoryName) -> Option<PathBuf> {
        let reserved = name.parts().any(|part| RESERVED.contains(&part));
        let shallow = name.parts().count() <= MAX_DEPTH;
        (shallow && !reserved).then(|| name.parts().fold(self.root.clone(), |path, part| path.join(part)))
    }

    /// The layout with this name. All requests share one handle while the directory exists.
    async fn layout(&self, name: &RepositoryName, make: bool) -> Result<Option<Layout>> {
        let Some(path) = self.path(name) else {
            let message = format!("repository name `{name}` is not possible in a directory tree");
            return if make { Err(Error::invalid(message)) } else { Ok(None) };
        };
        let (known, making) = (self.known().get(name).cloned(), Arc::clone(&self.making));
        let opened = blocking(move || {
            if let Some(known) = &known
                && known.is_at(&path)
            {
                return Ok(Some(known.clone()));
            }
            let _alone = making.lock().unwrap_or_else(PoisonError::into_inner);
            open_layout(&path, known, make)
        });
        let Some(known) = opened.await.context(|| format!("repository `{name}`"))? else {
            self.known().remove(name);
            return Ok(None);
        };
        let layout = known.layout.clone();
        self.known().insert(name.clone(), known);
        Ok(Some(layout))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<RepositoryName, Known>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layout at this path: the known one, unless another directory has replaced it.
fn open_layout(path: &Path, known: Option<Known>, make: bool) -> Result<Option<Known>> {
    let here = path.join("oci-layout").is_file();
    if !here && !make {
        return Ok(None);
    }
    let made = if here { None } else { Some(create_layout(path)?) };
    if let Some(known) = known.filter(|known| here && known.is_at(path)) {
        return Ok(Some(known));
    }
    let meta = fs::metadata(path).context(|| format!("cannot open `{}`", path.display()))?;
    let directory = Identity::from(&meta);
    Ok(Some(Known { layout: made.map_or_else(|| Layout::open(path), Ok)?, directory }))
}

/// Creates a layout, even if `path` exists because of repositories below it.
fn create_layout(path: &Path) -> Result<Layout> {
    fs::create_dir_all(path).context(|| format!("cannot create the directory `{}`", path.display()))?;
    let below = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        entry.path().is_dir()
            && name.to_str().is_some_and(|name| !RESERVED.contains(&name) && name.parse::<RepositoryName>().is_ok())
    };
    let entries = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    if !entries.is_empty() && entries.iter().all(below) {
        let new = fs::File::options().write(true).create_new(true).open(path.join("oci-layout"));
        match new {
            Ok(mut file) => std::io::Write::write_all(&mut file, br#"{"imageLayoutVersion":"1.0.0"}"#)?,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.into()),
        }
    }
    Layout::create(path)
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
        if entry.path().join("oci-layout").is_file() {
            found.push(name.clone());
        }
        if depth < MAX_DEPTH {
            find_names(&entry.path(), &format!("{name}/"), depth.saturating_add(1), found)?;
        }
    }
    Ok(())
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
