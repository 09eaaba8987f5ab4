//! From a part of a plan to a blob with a digest, several parts at a time.

mod tar;

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::{Options, spool::Held};
use crate::{
    blob::{Blob as _, Buffers, SourceFile},
    error::{Context as _, Error, Kind, Result},
    fs::Base,
    oci::{Descriptor, Digest, Hasher, media_type},
    plan::{Content, Part},
    progress::Event,
};

/// What a part is called when something is wrong with it.
pub(super) fn named(index: usize, part: &Part) -> String {
    match part.id.as_str() {
        "" => format!("layer {index}"),
        id => format!("layer {index} (`{id}`)"),
    }
}

/// A blob that is packed.
#[derive(Debug)]
pub(super) struct Made {
    /// Its descriptor; the annotations come later.
    pub(super) desc: Descriptor,
    /// The digest of its content before compression.
    pub(super) diff_id: Digest,
    /// Where its bytes are.
    pub(super) held: Held,
}

impl Made {
    /// A blob of these bytes.
    pub(super) fn of(media_type: &str, bytes: Bytes) -> Self {
        let mut desc = Descriptor::of(media_type, &bytes);
        if media_type == media_type::EMPTY && bytes == "{}" {
            desc = Descriptor::empty();
        }
        Self { diff_id: desc.digest.clone(), desc, held: Held::Memory(bytes) }
    }
}

/// What the threads that pack share.
pub(super) struct Workshop<'a> {
    path: &'a Path,
    base: OnceLock<Base>,
    options: &'a Options,
    /// Set from outside when nobody wants the outcome any more.
    stop: &'a AtomicBool,
    /// Set when a part failed, so that the others end early.
    failed: AtomicBool,
}

impl<'a> Workshop<'a> {
    pub(super) fn new(base: &'a Path, options: &'a Options, stop: &'a AtomicBool) -> Self {
        Self { path: base, base: OnceLock::new(), options, stop, failed: AtomicBool::new(false) }
    }

    /// A regular file beneath the base. The base is opened with the first file, because not every plan has files.
    fn open(&self, path: &Path) -> Result<(SourceFile, File)> {
        let base = match self.base.get() {
            Some(base) => base,
            None => {
                let base = Base::new(self.path)?;
                self.base.get_or_init(|| base)
            }
        };
        SourceFile::beneath(base, path)
    }

    /// Tells that so many more bytes of files were read.
    fn read(&self, bytes: usize) {
        self.options.progress.tell(Event::Read(bytes as u64));
    }

    /// An error when the work is in vain.
    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Internal, STOPPED));
        }
        Ok(())
    }
}

/// The message of an error that only says that another error, or the caller, ended the work.
const STOPPED: &str = "packing was stopped";

/// Packs all layers, as many at a time as there are threads. What fails first ends all.
pub(super) fn all(workshop: &Workshop<'_>, parts: &[Part], threads: usize) -> Result<Vec<Made>> {
    let archives = parts.iter().filter(|part| matches!(part.content, Content::Tar { .. })).count();
    let (lanes, next) = (threads.min(parts.len()), AtomicUsize::new(0));
    let share = threads / archives.clamp(1, threads);
    let lane = || {
        let mut done = Vec::new();
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(part) = parts.get(index)
        {
            let made = one(workshop, part, share).context(|| named(index, part));
            if made.is_err() {
                workshop.failed.store(true, Ordering::Relaxed);
            }
            done.push((index, made));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().map(|lane| lane.join().map_err(|_| panicked())).collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    // The cause comes before its consequences; among causes, the first layer's.
    done.sort_by_key(|(index, made)| (matches!(made, Err(e) if e.message() == STOPPED), *index));
    done.into_iter().map(|(_, made)| made).collect()
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "a packing thread failed")
}

/// Packs one part; `threads` are for compression.
pub(super) fn one(workshop: &Workshop<'_>, part: &Part, threads: usize) -> Result<Made> {
    workshop.go_on()?;
    match &part.content {
        Content::Empty {} => Ok(Made::of(&part.media_type, Bytes::from_static(b"{}"))),
        Content::Text(text) => Ok(Made::of(&part.media_type, Bytes::copy_from_slice(text.as_bytes()))),
        Content::Json { value, encoding } => Ok(Made::of(&part.media_type, encoding.encode(value)?.into())),
        Content::File(path) => file(workshop, &part.media_type, path),
        Content::Tar { entries, compress } => tar::pack(workshop, &part.media_type, entries, *compress, threads),
    }
}

/// Hashes a file, which stays where it is; a large one leaves for its destination at the same time.
fn file(workshop: &Workshop<'_>, media_type: &str, path: &Path) -> Result<Made> {
    let (source, mut file) = workshop.open(path)?;
    let (mut hasher, mut size, mut buffers) = (Hasher::default(), 0_u64, Buffers::of(source.size()));
    let mut feed = None;
    while size < source.size() {
        workshop.go_on()?;
        let mut chunk = buffers.take();
        let read = read(&source, &mut file, &mut chunk)?;
        if read == 0 {
            return Err(changed(&source));
        }
        chunk.truncate(read);
        let chunk = buffers.lend(chunk);
        if size == 0 {
            feed = workshop.options.ahead.as_ref().and_then(|ahead| ahead.begin(&source, &chunk));
        }
        if let Some(feed) = &mut feed {
            feed.give(&chunk);
        }
        hasher.update(&chunk);
        workshop.read(read);
        size = size.saturating_add(read as u64);
    }
    at_end(&source, &mut file)?;
    let desc = Descriptor::new(media_type, hasher.finish(), size);
    if let Some(feed) = feed {
        feed.known(&desc.digest);
    }
    Ok(Made { diff_id: desc.digest.clone(), desc, held: Held::Source(source) })
}

fn read(source: &SourceFile, file: &mut File, chunk: &mut [u8]) -> Result<usize> {
    loop {
        match file.read(chunk) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other.context(|| format!("cannot read `{}`", source.path().display())),
        }
    }
}

/// An error of kind `Changed` when a file that was read to its size goes on, or is not what it was before.
fn at_end(source: &SourceFile, file: &mut File) -> Result<()> {
    // Files of `/proc` have size 0 and content: only reading shows it.
    if read(source, file, &mut [0])? > 0 {
        return Err(changed(source));
    }
    source.check(file)
}

fn changed(source: &SourceFile) -> Error {
    Error::new(Kind::Changed, format!("`{}` changed while it was read", source.path().display()))
}
