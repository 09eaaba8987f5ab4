//! The contents of an archive file: one pass over its headers, then positional reads.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::compressed::{Decompression, Format};
use crate::{
    blob::{CHUNK, FileSlice},
    error::{Code, Context as _, Error, Kind, Result},
    fs::{open_regular, up_to},
    oci::{Algorithm, Digest, Hasher, MAX_MANIFEST, Parsed, Role},
    store::{Flaw, FlawKind, compare},
    stores::{
        index::{IndexFile, MAX_BYTES},
        listing::{BLOBS, DOCKER_INDEX, INDEX, MARKER, MAX_MARKER, Manifests, check_marker, unmarked_flaw},
    },
    tarball::read::{Limits, MemberKind, Reader, quoted_name},
};

/// Most names of foreign files that are remembered.
const MAX_STRAYS: usize = 1000;

/// The part of an open file that holds a blob. It stays readable after the file is unlinked.
#[derive(Debug, Clone)]
pub(super) struct BlobSlice {
    pub(super) file: Arc<File>,
    pub(super) slice: FileSlice,
    /// True if this process has verified the digest.
    pub(super) verified: bool,
}

impl BlobSlice {
    /// Reads and verifies the bytes. Errors: more than `limit`; another digest.
    pub(super) fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        if self.slice.len > limit {
            return Err(Error::limit(format!("{digest} has {} bytes; the limit is {limit}", self.slice.len)));
        }
        let mut bytes = vec![0; usize::try_from(self.slice.len).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, self.slice.offset).context(|| self.cannot_read())?;
        compare(digest, Digest::with(digest.algorithm(), &bytes))?;
        Ok(bytes)
    }

    /// Copies the bytes to a position in another file, verifying them.
    pub(super) fn copy_to(&self, digest: &Digest, to: &File, at: u64) -> Result<()> {
        let (mut hasher, mut done, mut chunk) = (Hasher::new(digest.algorithm()), 0_u64, vec![0; CHUNK]);
        while done < self.slice.len {
            let want = usize::try_from(self.slice.len.saturating_sub(done)).unwrap_or(CHUNK).min(CHUNK);
            let part = chunk.get_mut(..want).unwrap_or_default();
            self.file.read_exact_at(part, self.slice.offset.saturating_add(done)).context(|| self.cannot_read())?;
            to.write_all_at(part, at.saturating_add(done)).context(|| format!("cannot write {digest}"))?;
            if !self.verified {
                hasher.update(part);
            }
            done = done.saturating_add(part.len() as u64);
        }
        if self.verified { Ok(()) } else { compare(digest, hasher.finish()) }
    }

    fn cannot_read(&self) -> String {
        format!("cannot read `{}`", self.slice.path.display())
    }
}

/// An archive: its list, and the positions of its blobs.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) path: PathBuf,
    file: Option<Arc<File>>,
    pub(super) index: IndexFile,
    pub(super) blobs: BTreeMap<Digest, BlobSlice>,
    /// Names of files that do not belong to the format.
    pub(super) strays: Vec<String>,
    /// True if the file `oci-layout` is missing.
    pub(super) unmarked: bool,
    /// True if `file` is a decompressed copy.
    pub(super) is_copy: bool,
}

impl Contents {
    /// The contents of a new archive.
    pub(super) fn empty(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.into(),
            file: None,
            index: IndexFile::empty()?,
            blobs: BTreeMap::new(),
            strays: Vec::new(),
            unmarked: false,
            is_copy: false,
        })
    }

    /// Reads an archive, with entries in any order. Entries that are neither content nor part of the format may be
    /// anything.
    ///
    /// Errors: kind `NotFound`; no `index.json`; a link or device in the place of content; a duplicate file; more than a
    /// million entries; an archive that ends early; a compressed archive (kind `Unsupported`), unless it is to be
    /// decompressed, and then those of decompression.
    pub(super) fn read(path: &Path, how: Option<&Decompression>) -> Result<Self> {
        let file = open_regular(path)?.0;
        Self::of(file, path, how).context(|| path.display().to_string())
    }

    fn of(file: File, path: &Path, how: Option<&Decompression>) -> Result<Self> {
        let (file, is_copy) = match (Format::of(&file)?, how) {
            (None, _) => (Arc::new(file), false),
            (Some(format), Some(how)) => (Arc::new(format.decompress(&file, path, how)?), true),
            (Some(format), None) => return Err(format.refuse()),
        };
        let walk = HeaderWalk {
            file: &file,
            path,
            seen: HashSet::new(),
            strays: Vec::new(),
            index: None,
            marked: false,
            docker: false,
        };
        Ok(Self { is_copy, ..walk.run()? })
    }

    /// The contents of an archive to be written, and whether it exists. An empty file, such as `mktemp` makes, is none yet.
    ///
    /// Errors: those of [`Contents::read`], except that it does not exist.
    pub(super) fn before(path: &Path) -> Result<(Self, bool)> {
        let is_empty = || std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0);
        match Self::read(path, None) {
            Err(e) if e.kind() == Kind::NotFound || is_empty() => Ok((Self::empty(path)?, false)),
            other => Ok((other?, true)),
        }
    }

    /// Flaws of the list and the file. Reads everything between blobs.
    pub(super) fn flaws(&self) -> Result<Vec<Flaw>> {
        let mut flaws = [self.index.unreadable(), self.index.doubtful()].concat();
        flaws.extend(self.unmarked.then(unmarked_flaw));
        let Some(file) = &self.file else { return Ok(flaws) };
        let mut reader = Reader::new(SmallReads::new(file), Limits::default()).strict().lenient();
        let walked = loop {
            match reader.next_member() {
                Ok(Some(_)) => drop(reader.jump()?),
                Ok(None) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        match walked {
            Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Mismatch) => {
                let place = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned();
                flaws.push(Flaw { kind: FlawKind::Filling, place, message: e.to_string() });
            }
            other => other?,
        }
        Ok(flaws)
    }

    /// The blob with this digest. Errors: kind `NotFound` if there is none.
    pub(super) fn piece(&self, digest: &Digest) -> Result<BlobSlice> {
        self.blobs.get(digest).cloned().ok_or_else(|| self.missing(format_args!("{digest}")))
    }

    /// These contents as a writer changes them: see [`IndexFile::settled`].
    pub(super) fn settled(self) -> Result<Self> {
        Ok(Self { index: self.index.settled()?.unwrap_or(self.index), ..self })
    }

    /// Digests of all manifests reachable from the list, as far as they are present and readable.
    pub(super) fn manifests(&self) -> HashSet<Digest> {
        let mut found = HashSet::new();
        let mut next: Vec<_> = self.index.entries().collect();
        while let Some(desc) = next.pop() {
            if !found.insert(desc.digest.clone()) {
                continue;
            }
            let parsed = self.manifest(&desc.digest).and_then(|bytes| Parsed::read(&desc.media_type, &bytes));
            let children = parsed.iter().flat_map(Parsed::children);
            next.extend(children.filter(|(role, _)| *role == Role::Manifest).map(|(_, child)| child.clone()));
        }
        found
    }
}

impl Manifests for Contents {
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.piece(digest)?.read(digest, 2 * MAX_MANIFEST)
    }

    fn missing(&self, what: std::fmt::Arguments<'_>) -> Error {
        Error::not_found(format!("{what} is not in oci-archive:{}", self.path.display()))
    }
}

/// Reads a file a few blocks at a time: between two headers lies data to skip, and reading ahead would dominate the
/// cost of opening an archive.
///
/// It has its own position, so that several can read one open file.
struct SmallReads<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> SmallReads<'a> {
    fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for SmallReads<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = target.len().min(4096);
        let read = self.file.read_at(target.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for SmallReads<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        // As for a file: no offset beyond the range of a signed number.
        self.at = to.filter(|at| i64::try_from(*at).is_ok()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// A pass over the headers of an archive.
struct HeaderWalk<'a> {
    file: &'a Arc<File>,
    path: &'a Path,
    seen: HashSet<String>,
    strays: Vec<String>,
    index: Option<IndexFile>,
    marked: bool,
    /// True if the list of a Docker archive is there.
    docker: bool,
}

impl HeaderWalk<'_> {
    fn run(mut self) -> Result<Contents> {
        let (mut blobs, mut list) = (BTreeMap::new(), None);
        let mut reader = Reader::new(SmallReads::new(self.file), Limits::default()).lenient();
        while let Some(member) = reader.next_member()? {
            let name = member.path.trim_start_matches("./").to_owned();
            let digest = blob_digest(&name);
            let what = match member.kind {
                MemberKind::Directory => continue,
                MemberKind::File => None,
                MemberKind::Symlink(_) | MemberKind::HardLink(_) => Some("a link"),
                MemberKind::Special => Some("a device or FIFO"),
            };
            match (what, digest) {
                (Some(what), digest) if digest.is_some() || is_reserved(&name) => {
                    return Err(Error::invalid(format!("entry {} is {what}", quoted_name(&member.path))));
                }
                (Some(_), _) => self.stray(&name),
                (None, None) => self.other(&name, &mut reader)?,
                (None, Some(digest)) => {
                    let slice = FileSlice { path: self.path.into(), offset: reader.jump()?, len: member.size };
                    let piece = BlobSlice { file: Arc::clone(self.file), slice, verified: false };
                    if blobs.insert(digest, piece).is_some() {
                        return Err(Error::invalid(format!("duplicate entry {}", quoted_name(&name))));
                    }
                }
            }
            let end = reader.jump()?;
            if name == INDEX {
                let offset = end.saturating_sub(member.size);
                let slice = FileSlice { path: self.path.into(), offset, len: member.size };
                list = Some(BlobSlice { file: Arc::clone(self.file), slice, verified: true });
            }
        }
        self.finish(blobs, list)
    }

    /// The contents, once all headers are read.
    fn finish(self, mut blobs: BTreeMap<Digest, BlobSlice>, list: Option<BlobSlice>) -> Result<Contents> {
        let not_one = |what| Error::invalid(format!("not an OCI archive: no `{what}`")).with_code(Code::NotAStore);
        let Some(index) = self.index else {
            return Err(if self.docker { docker_archive(self.path) } else { not_one(INDEX) });
        };
        // Hauler writes no marker. A list alone could be anything.
        let unmarked = !self.marked;
        if unmarked && blobs.is_empty() {
            return Err(not_one(MARKER));
        }
        if let (Some((desc, _)), Some(list)) = (index.whole(), list) {
            blobs.entry(desc.digest.clone()).or_insert(list);
        }
        let file = Some(Arc::clone(self.file));
        let (path, strays) = (self.path.into(), self.strays);
        let mut contents = Contents { path, file, index, blobs, strays, unmarked, is_copy: false };
        if contents.index.lacks_referrers() {
            let small = contents.blobs.iter().filter(|(_, piece)| piece.slice.len <= MAX_MANIFEST);
            let found = contents.unlisted_referrers(small.map(|(digest, _)| digest.clone()).collect());
            contents.index.complete(&found)?;
        }
        Ok(contents)
    }

    fn other(&mut self, name: &str, reader: &mut Reader<SmallReads<'_>>) -> Result<()> {
        if matches!(name, MARKER | INDEX) && !self.seen.insert(name.to_owned()) {
            return Err(Error::invalid(format!("duplicate entry `{name}`")));
        }
        match name {
            MARKER => {
                check_marker(&small(reader, MAX_MARKER).context(|| MARKER)?)?;
                self.marked = true;
            }
            INDEX => self.index = Some(IndexFile::read(small(reader, MAX_BYTES).context(|| INDEX)?)?),
            _ => self.stray(name),
        }
        Ok(())
    }

    fn stray(&mut self, name: &str) {
        self.docker |= name == DOCKER_INDEX;
        if self.strays.len() < MAX_STRAYS {
            self.strays.push(name.to_owned());
        }
    }
}

/// What `docker save` wrote before version 25, and `skopeo copy … docker-archive:` still writes.
fn docker_archive(path: &Path) -> Error {
    let message = format!("a Docker archive (`{DOCKER_INDEX}`), not an OCI archive: no `{INDEX}`");
    Error::unsupported(message).with_code(Code::DockerArchive).with_path(path)
}

/// True for the files and directories of a layout.
fn is_reserved(name: &str) -> bool {
    let name = name.trim_end_matches('/');
    let is_algorithm = |rest: &str| rest.strip_prefix('/').is_some_and(|name| name.parse::<Algorithm>().is_ok());
    matches!(name, MARKER | INDEX | BLOBS) || name.strip_prefix(BLOBS).is_some_and(is_algorithm)
}

/// The digest in a blob's name; `None` for any other name.
fn blob_digest(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix(BLOBS)?.strip_prefix('/')?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

fn small(reader: &mut Reader<SmallReads<'_>>, limit: u64) -> Result<Vec<u8>> {
    up_to(reader.data(), limit)?.ok_or_else(|| Error::limit(format!("more than {limit} bytes")))
}
