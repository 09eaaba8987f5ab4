//! One gzip member (RFC 1952) with deflate blocks compressed in parallel.
//!
//! Every block of content has the preceding 32 KiB as dictionary and ends at a byte boundary (a sync flush), so that
//! the compressed blocks can be concatenated.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
};

use flate2::Crc;
use zlib_rs::{Deflate, DeflateError, DeflateFlush};

use crate::error::Result;

/// Bytes of content per block; changing it changes the output.
const BLOCK: usize = 256 << 10;
/// The window of deflate, as a power of two.
const WINDOW_BITS: u8 = 15;
const WINDOW: usize = 1 << WINDOW_BITS;
/// An empty final block, which ends a deflate stream.
const END: [u8; 2] = [3, 0];

/// A writer that compresses its data.
pub(super) struct Gzip<W: Write> {
    sink: W,
    block: Vec<u8>,
    /// The end of the preceding block.
    before: Vec<u8>,
    crc: Crc,
    /// Bytes of content modulo 2^32, for the trailer.
    size: u32,
    workers: Workers,
}

impl<W: Write> Gzip<W> {
    pub(super) fn new(mut sink: W, level: u32, threads: usize) -> Result<Self> {
        let extra = match level {
            1 => 4,
            9 => 2,
            _ => 0,
        };
        sink.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255])?;
        let workers = Workers::start(level, threads)?;
        Ok(Self { sink, block: Vec::with_capacity(BLOCK), before: Vec::new(), crc: Crc::new(), size: 0, workers })
    }

    pub(super) fn finish(mut self) -> Result<W> {
        if !self.block.is_empty() {
            self.send()?;
        }
        while let Some(piece) = self.workers.next()? {
            self.take(&piece)?;
        }
        self.sink.write_all(&END)?;
        self.sink.write_all(&self.crc.sum().to_le_bytes())?;
        self.sink.write_all(&self.size.to_le_bytes())?;
        Ok(self.sink)
    }

    fn send(&mut self) -> io::Result<()> {
        let content = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.size = self.size.wrapping_add(content.len() as u32);
        let window = content.get(content.len().saturating_sub(WINDOW)..).unwrap_or_default().to_vec();
        let dictionary = std::mem::replace(&mut self.before, window);
        self.workers.send(Block { content, dictionary })?;
        while self.workers.full() {
            let Some(piece) = self.workers.next()? else { break };
            self.take(&piece)?;
        }
        Ok(())
    }

    fn take(&mut self, piece: &CompressedBlock) -> io::Result<()> {
        self.crc.combine(&piece.crc);
        self.sink.write_all(&piece.bytes)
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK.saturating_sub(self.block.len()));
        self.block.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block of content.
struct Block {
    content: Vec<u8>,
    dictionary: Vec<u8>,
}

/// A compressed block, with the checksum of its content.
struct CompressedBlock {
    bytes: Vec<u8>,
    crc: Crc,
}

type Job = (Block, SyncSender<io::Result<CompressedBlock>>);

/// Threads that compress blocks; with at most one, the caller's own. Results keep the order of the blocks.
struct Workers {
    jobs: Option<Sender<Job>>,
    level: u32,
    pending: VecDeque<Receiver<io::Result<CompressedBlock>>>,
    most: usize,
}

impl Workers {
    fn start(level: u32, threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..if threads > 1 { threads } else { 0 } {
            let queue = Arc::clone(&queue);
            // The thread ends with the queue, when the compressor is finished or dropped.
            std::thread::Builder::new().name("gzip".into()).spawn(move || work(&queue, level))?;
        }
        Ok(Self { jobs: (threads > 1).then_some(jobs), level, pending: VecDeque::new(), most: threads * 2 })
    }

    fn full(&self) -> bool {
        self.jobs.is_none() || self.pending.len() > self.most
    }

    fn send(&mut self, block: Block) -> io::Result<()> {
        let (reply, piece) = sync_channel(1);
        self.pending.push_back(piece);
        match &self.jobs {
            Some(jobs) => jobs.send((block, reply)).map_err(|_| ended()),
            None => reply.send(deflate(self.level, &block)).map_err(|_| ended()),
        }
    }

    /// Waits for the next compressed block.
    fn next(&mut self) -> io::Result<Option<CompressedBlock>> {
        self.pending.pop_front().map(|piece| piece.recv().map_err(|_| ended())?).transpose()
    }
}

fn ended() -> io::Error {
    io::Error::other("a compressing thread ended early")
}

fn work(queue: &Mutex<Receiver<Job>>, level: u32) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, reply)) = job else { return };
        // The compressor was dropped.
        let _ = reply.send(deflate(level, &block));
    }
}

/// Compresses one block by raw deflate.
///
/// Uses `zlib-rs` itself rather than `flate2`, whose backend, and so its output, depends on features that other crates
/// of the program enable.
///
/// Creates new state for each block: `Deflate::reset` (zlib-rs 0.6) keeps some of the old state, so that the output
/// would depend on the assignment of blocks to threads.
fn deflate(level: u32, block: &Block) -> io::Result<CompressedBlock> {
    let failed = |e: DeflateError| io::Error::other(e.as_str());
    let mut state = Deflate::new(level.cast_signed(), false, WINDOW_BITS);
    if !block.dictionary.is_empty() {
        state.set_dictionary(&block.dictionary).map_err(failed)?;
    }
    let mut crc = Crc::new();
    crc.update(&block.content);
    let mut bytes = Vec::with_capacity(block.content.len() / 2 + 1024);
    let (mut taken, mut made) = (0, 0);
    loop {
        let rest = block.content.get(taken..).unwrap_or_default();
        if rest.is_empty() && taken > 0 && made < bytes.len() {
            bytes.truncate(made);
            return Ok(CompressedBlock { bytes, crc });
        }
        bytes.truncate(made);
        bytes.reserve(BLOCK / 4);
        bytes.resize(bytes.capacity(), 0);
        let room = bytes.get_mut(made..).unwrap_or_default();
        state.compress(rest, room, DeflateFlush::SyncFlush).map_err(failed)?;
        (taken, made) = (size(state.total_in()), size(state.total_out()));
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
