//! Tar layers: one thread reads files and writes the tar, another hashes, compresses and stores it.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{Made, Packing, panicked};
use crate::{
    blob::{Blob as _, CHUNK},
    error::Result,
    oci::{Descriptor, Hasher},
    pack::spool::Spool,
    plan::{Compression, Entry, EntryKind},
    tarball::{compress::Compressor, write::Writer},
};

/// Limit of chunks read ahead of the compression.
const AHEAD: usize = 8;

/// Packs these entries. The whole tar is never in memory, nor on disk before compression.
pub(super) fn pack(
    packing: &Packing,
    media_type: &str,
    entries: &[Entry],
    compression: Compression,
    threads: usize,
) -> Result<Made> {
    let (chunks, queue) = sync_channel(AHEAD);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(packing, entries, chunks));
        let made = keep(packing, media_type, queue, compression, threads);
        let written = writer.join().map_err(|_| panicked())?;
        // If the storing thread failed, so did the writing one, but that is not the cause.
        let made = made?;
        written.map(|()| made)
    })
}

fn write(packing: &Packing, entries: &[Entry], chunks: SyncSender<Vec<u8>>) -> Result<()> {
    let mut tar = Writer::new(Chunks { chunk: Vec::with_capacity(CHUNK), to: chunks });
    for entry in entries {
        packing.go_on()?;
        add(packing, &mut tar, entry)?;
    }
    Ok(tar.finish()?.send()?)
}

fn add(packing: &Packing, tar: &mut Writer<Chunks>, entry: &Entry) -> Result<()> {
    let Entry { path, mode, mtime, kind } = entry;
    match kind {
        EntryKind::Directory => tar.directory(path, *mode, *mtime),
        EntryKind::Symlink(target) => tar.symlink(path, target, *mode, *mtime),
        EntryKind::Text(text) => tar.file(path, *mode, *mtime, text.len() as u64, &mut text.as_bytes()),
        EntryKind::File(from) => {
            let (source, mut file) = packing.open(from)?;
            let mut told = CountedFile { packing, file: &mut file };
            tar.file(path, *mode, *mtime, source.size(), &mut told)?;
            super::at_end(&source, &mut file)
        }
    }
}

fn keep(
    packing: &Packing,
    media_type: &str,
    queue: Receiver<Vec<u8>>,
    compression: Compression,
    threads: usize,
) -> Result<Made> {
    let mut plain = (compression != Compression::None).then(Hasher::default);
    let mut compressor = Compressor::new(Spool::new(&packing.options.scratch), compression, threads)?;
    for chunk in queue {
        packing.go_on()?;
        if let Some(hasher) = &mut plain {
            hasher.update(&chunk);
        }
        compressor.write_all(&chunk)?;
    }
    let (digest, size, held) = compressor.finish()?.finish();
    let diff_id = plain.map_or_else(|| digest.clone(), Hasher::finish);
    Ok(Made { desc: Descriptor::new(media_type, digest, size), diff_id, held })
}

/// A file whose reads are reported.
struct CountedFile<'a> {
    packing: &'a Packing,
    file: &'a mut File,
}

impl Read for CountedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.packing.read(read);
        Ok(read)
    }
}

/// A writer that sends its data to another thread in chunks of [`CHUNK`] bytes.
struct Chunks {
    chunk: Vec<u8>,
    to: SyncSender<Vec<u8>>,
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.to.send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK.saturating_sub(self.chunk.len()));
        self.chunk.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.chunk.len() == CHUNK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
