//! The files of a layout: blobs by digest, `index.json` under a lock. All methods block.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::fs::OFlags;

use super::Read;
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    fs::{Dir, StrictStamp, TEMPORARY, large_up_to, replace},
    oci::{Algorithm, Digest, MAX_MANIFEST},
    store::{Inventory, compare},
    stores::{
        index::{IndexFile, MAX_BYTES},
        listing::{
            BLOBS, DOCKER_INDEX, INDEX, MARKER, MARKER_CONTENT, MAX_MARKER, Manifests as _, check_marker, unmarked_flaw,
        },
    },
};

/// A layout directory.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) root: Dir,
    /// The directories of blobs, kept open while sessions write: one check instead of several opens per blob. A server
    /// has very many layouts and keeps none open.
    kept: Mutex<Kept>,
    /// True if there is no marker.
    pub(super) unmarked: bool,
}

#[derive(Debug, Default)]
struct Kept {
    /// Number of writing sessions.
    sessions: usize,
    dirs: BTreeMap<Algorithm, Dir>,
}

impl Files {
    /// Opens a layout, also one that only lacks its marker. Errors: kind `NotFound` if there is no directory, `Invalid`
    /// if it is not a layout.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.is_file() {
            let message = format!("`{}` is a file; an OCI layout is a directory", path.display());
            return Err(Error::invalid(message).with_code(Code::NotAStore).with_path(path));
        }
        let mut files = Self { root: Dir::open(path)?, kept: Mutex::default(), unmarked: false };
        match files.small(MARKER, MAX_MARKER) {
            Ok(marker) => check_marker(&marker).context(|| path.join(MARKER).display().to_string())?,
            Err(e) if e.kind() == Kind::NotFound && files.is_but_unmarked() => files.unmarked = true,
            Err(e) if e.kind() == Kind::NotFound => return Err(files.no_layout()),
            Err(e) => return Err(e),
        }
        Ok(files)
    }

    /// True if there are content and a sound list, as Hauler leaves them.
    fn is_but_unmarked(&self) -> bool {
        self.root.dir(BLOBS).is_ok() && self.index().is_ok()
    }

    fn no_layout(&self) -> Error {
        let path = self.path();
        let why = match self.root.size(DOCKER_INDEX) {
            Ok(Some(_)) => {
                format!(
                    "`{DOCKER_INDEX}` says that it is a Docker archive or a directory of skopeo; `skopeo copy` converts both"
                )
            }
            _ => format!("`{MARKER}` is missing"),
        };
        let message = format!("`{}` is not an OCI layout: {why}", path.display());
        Error::invalid(message).with_code(Code::NotAStore).with_path(path)
    }

    /// Errors (kind `Unsupported`): there is no marker, so its owner does not expect other writers; and on the marker is
    /// the lock of those that do.
    pub(super) fn check_writable(&self) -> Result<()> {
        if !self.unmarked {
            return Ok(());
        }
        let place = self.path().display();
        Err(Error::unsupported(format!(
            "`{place}` is an OCI layout without `{MARKER}`: it can be read, but not written; `artifact copy --all-tags \
             oci:{place} oci:NEW` copies it to a layout that can"
        )))
    }

    /// Opens or creates a layout. Errors: kind `Exists` if the directory holds other files.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.is_file() {
            let message = format!("`{}` is a file; an OCI layout is a directory", path.display());
            return Err(Error::new(Kind::Exists, message).with_code(Code::DestinationIsFile).with_path(path));
        }
        make(path).context(|| format!("cannot create directory `{}`", path.display()))?;
        let root = Dir::open(path)?;
        if root.size(MARKER)?.is_none() {
            // A layout of another program must not become one of ours.
            Self::open(path).map_or(Ok(()), |found| found.check_writable())?;
            let is_foreign = root.names()?.iter().any(|name| !name.starts_with(TEMPORARY) && name != MARKER);
            // Another writer may have created the layout since the first check: the marker is written first.
            if is_foreign && root.size(MARKER)?.is_none() {
                let message = format!("`{}` is neither empty nor an OCI layout", path.display());
                return Err(Error::new(Kind::Exists, message));
            }
            replace(&root, MARKER, MARKER_CONTENT)?;
        }
        let files = Self::open(path)?;
        files.root.make_dir(BLOBS)?.make_dir(Algorithm::Sha256.name())?;
        if files.root.size(INDEX)?.is_none() {
            let _lock = files.lock()?;
            if files.root.size(INDEX)?.is_none() {
                files.write_index(&IndexFile::empty()?)?;
            }
        }
        files.clean()?;
        Ok(files)
    }

    /// Path of the layout.
    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Removes leftovers of crashed writers, except for parts of missing blobs.
    pub(super) fn clean(&self) -> Result<()> {
        let lacks = |digest: Digest| matches!(self.blob_size(&digest), Ok(None));
        let digest =
            |digits: &str| Algorithm::ALL.iter().find_map(|a| format!("{}:{digits}", a.name()).parse::<Digest>().ok());
        self.root.clean(|digits| digest(digits).is_some_and(lacks))?;
        self.existing_algorithms()?.iter().try_for_each(|(_, dir)| dir.clean(|_| false))
    }

    /// The existing directories of blobs.
    fn existing_algorithms(&self) -> Result<Vec<(Algorithm, Dir)>> {
        let mut found = Vec::new();
        for algorithm in Algorithm::ALL {
            match self.root.dir(BLOBS).and_then(|blobs| blobs.dir(algorithm.name())) {
                Ok(dir) => found.push((algorithm, dir)),
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(found)
    }

    /// The directory of these blobs. Errors: kind `NotFound`.
    fn blobs(&self, algorithm: Algorithm) -> Result<Dir> {
        self.blobs_by(algorithm, || self.root.dir(BLOBS)?.dir(algorithm.name()))
    }

    /// The directory of these blobs, created if missing.
    pub(super) fn blobs_to_write(&self, algorithm: Algorithm) -> Result<Dir> {
        self.blobs_by(algorithm, || self.root.make_dir(BLOBS)?.make_dir(algorithm.name()))
    }

    /// The open directory, if its path still leads to it; otherwise reopens it.
    fn blobs_by(&self, algorithm: Algorithm, open: impl FnOnce() -> Result<Dir>) -> Result<Dir> {
        let kept = self.kept().dirs.get(&algorithm).cloned();
        if let Some(dir) = kept
            && self.root.leads_to(&format!("{BLOBS}/{}", algorithm.name()), &dir)
        {
            return Ok(dir);
        }
        let dir = open()?;
        let mut kept = self.kept();
        if kept.sessions > 0 {
            kept.dirs.insert(algorithm, dir.clone());
        }
        Ok(dir)
    }

    /// A session begins: directories stay open.
    pub(super) fn keep_open(&self) {
        let mut kept = self.kept();
        kept.sessions = kept.sessions.saturating_add(1);
    }

    /// A session ends: after the last one, directories are closed.
    pub(super) fn close(&self) {
        let mut kept = self.kept();
        kept.sessions = kept.sessions.saturating_sub(1);
        if kept.sessions == 0 {
            kept.dirs.clear();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of a blob; `None` if there is no such regular file.
    pub(super) fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        match self.blobs(digest.algorithm()) {
            Ok(dir) => dir.size(&digest.hex()),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// An open blob and its size.
    pub(super) fn blob(&self, digest: &Digest) -> Result<(File, u64)> {
        let opened = self.blobs(digest.algorithm()).and_then(|dir| dir.file(&digest.hex()));
        match opened {
            Ok((file, meta)) => Ok((file, meta.len())),
            Err(e) if e.kind() == Kind::NotFound => Err(self.missing(digest)),
            Err(e) => Err(e),
        }
    }

    pub(super) fn missing(&self, what: impl std::fmt::Display) -> Error {
        Error::not_found(format!("{what} is not in {self}"))
    }

    /// Reads and verifies a manifest. Errors: kind `NotFound`; more than 8 MiB; another digest.
    pub(super) fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        let (file, size) = self.blob(digest)?;
        let bytes = read_all(file, size, 2 * MAX_MANIFEST).context(|| format!("read {digest}"))?;
        compare(digest, Digest::with(digest.algorithm(), &bytes))?;
        Ok(bytes)
    }

    /// Removes a blob; `false` if there was none.
    pub(super) fn remove(&self, digest: &Digest) -> Result<bool> {
        match self.blobs(digest.algorithm()) {
            Ok(dir) => {
                let gone = dir.remove(&digest.hex())?;
                dir.sync()?;
                Ok(gone)
            }
            Err(e) if e.kind() == Kind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Replaces the list. The caller holds the lock and has made the listed content durable.
    pub(super) fn write_index(&self, index: &IndexFile) -> Result<()> {
        replace(&self.root, INDEX, &index.encode()?)
    }

    /// Makes the names of all content durable.
    pub(super) fn sync_blobs(&self) -> Result<()> {
        self.existing_algorithms()?.iter().try_for_each(|(_, dir)| dir.sync())
    }

    /// Reads the current list.
    pub(super) fn index(&self) -> Result<IndexFile> {
        let name = || self.root.path().join(INDEX).display().to_string();
        let mut index = IndexFile::read(self.small(INDEX, MAX_BYTES)?).context(name)?;
        if index.lacks_referrers() {
            index.complete(&Read(self).unlisted_referrers(self.small_blobs()?))?;
        }
        Ok(index)
    }

    /// All content that may be a manifest, by its size.
    fn small_blobs(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for (algorithm, dir) in self.existing_algorithms()? {
            for name in dir.names()? {
                let Ok(digest) = format!("{}:{name}", algorithm.name()).parse() else { continue };
                if dir.size(&name)?.is_some_and(|size| size <= MAX_MANIFEST) {
                    found.push(digest);
                }
            }
        }
        Ok(found)
    }

    /// The memory that the list takes at most, in bytes.
    pub(super) fn index_weight(&self) -> Result<u64> {
        Ok(IndexFile::weight(self.root.file(INDEX)?.1.len()))
    }

    /// A stamp of the current state of the list.
    pub(super) fn index_stamp(&self) -> Result<StrictStamp> {
        Ok(StrictStamp::of(&self.root.file(INDEX)?.1))
    }

    fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let (file, meta) = self.root.file(name)?;
        read_all(file, meta.len(), limit).context(|| format!("read `{}`", self.root.path().join(name).display()))
    }

    /// The shared lock of writers of blobs, held while they write. `None` if the file system does not lock directories
    /// (NFS).
    pub(super) fn share_lock(&self) -> Result<Option<File>> {
        let blobs = self.root.dir(BLOBS)?.into_file()?;
        match blobs.lock_shared() {
            Ok(()) => Ok(Some(blobs)),
            Err(_) => Ok(None),
        }
    }

    /// The exclusive lock for changing the list. It is on the marker file, which exists from the start and is never
    /// replaced by us.
    pub(super) fn lock(&self) -> Result<File> {
        loop {
            let (file, _) = self.root.file_with(MARKER, OFlags::RDWR)?;
            file.lock().context(|| format!("cannot lock `{}`", self.root.path().join(MARKER).display()))?;
            // Another tool may have replaced the file during the wait.
            if self.root.holds(MARKER, &file)? {
                return Ok(file);
            }
        }
    }

    pub(super) fn inventory(&self) -> Result<Inventory> {
        let index = self.index()?;
        let flaws = [index.unreadable(), index.doubtful()].concat();
        let list = self.root.file(INDEX)?.1.len();
        let mut all = Inventory { entries: index.artifacts().collect(), list, flaws, ..Inventory::default() };
        all.blobs.extend(index.whole().map(|(desc, _)| (desc.digest.clone(), desc.size)));
        all.flaws.extend(self.unmarked.then(unmarked_flaw));
        for name in self.root.names()? {
            if ![MARKER, INDEX, BLOBS].contains(&&*name) {
                sort_out(&mut all, name);
            }
        }
        for name in self.root.dir(BLOBS)?.names()? {
            if name.parse::<Algorithm>().is_err() {
                sort_out(&mut all, format!("{BLOBS}/{name}"));
            }
        }
        for (algorithm, dir) in self.existing_algorithms()? {
            for name in dir.names()? {
                let digest = format!("{}:{name}", algorithm.name()).parse();
                match (digest, dir.size(&name)?) {
                    (Ok(digest), Some(size)) => drop(all.blobs.insert(digest, size)),
                    _ => sort_out(&mut all, format!("{BLOBS}/{}/{name}", algorithm.name())),
                }
            }
        }
        Ok(all)
    }
}

impl std::fmt::Display for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "oci:{}", self.path().display())
    }
}

/// Creates a directory and its missing parents, each durable in its parent.
fn make(path: &Path) -> Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    std::fs::create_dir_all(path)?;
    for dir in missing {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        Dir::open(parent.unwrap_or(Path::new(".")))?.sync()?;
    }
    Ok(())
}

/// Separates unfinished files from foreign ones.
fn sort_out(all: &mut Inventory, path: String) {
    let unfinished = path.rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY));
    if unfinished { all.leftovers.push(path) } else { all.strays.push(path) }
}

fn read_all(file: File, size: u64, limit: u64) -> Result<Vec<u8>> {
    let bytes = if size > limit { None } else { large_up_to(file, size, limit)? };
    bytes.ok_or_else(|| Error::limit(format!("larger than {limit} bytes, the maximum")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_goes_where_the_path_leads_also_while_directories_are_kept_open() {
        let temp = tempfile::tempdir().unwrap();
        let files = Files::create(temp.path()).unwrap();
        files.keep_open();
        let (first, second) = (Digest::of(b"first"), Digest::of(b"second"));
        files.write(&first, b"first").unwrap();
        assert_eq!(files.blob_size(&first).unwrap(), Some(5));
        let (blobs, away) = (temp.path().join("blobs"), temp.path().join("away"));
        std::fs::rename(&blobs, &away).unwrap();
        assert_eq!(files.blob_size(&first).unwrap(), None);
        files.write(&second, b"second").unwrap();
        assert!(blobs.join("sha256").join(second.hex()).is_file());
        assert!(away.join("sha256").join(first.hex()).is_file());
        std::fs::remove_dir_all(&blobs).unwrap();
        std::os::unix::fs::symlink(&away, &blobs).unwrap();
        assert_eq!(files.write(&second, b"second").unwrap_err().kind(), Kind::Escape);
    }
}
