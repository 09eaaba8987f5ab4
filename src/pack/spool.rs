//! Storage for the bytes of blobs: small ones in memory, archives in temporary files.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    blob::{Blob, ByteStream, SourceFile, read_file},
    error::{Context as _, Result},
    oci::{Digest, Hasher},
};

/// Limit of bytes per archive in memory; an artifact can have hundreds of archives.
const IN_MEMORY: usize = 64 << 10;

/// The bytes of a blob.
#[derive(Debug)]
pub(super) enum BlobContent {
    /// In memory.
    Memory(Bytes),
    /// In a source file, as it was when hashed.
    Source(SourceFile),
    /// In a temporary file.
    Temporary(Nameless),
}

impl BlobContent {
    pub(super) fn blob(&self) -> &dyn Blob {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Source(file) => file,
            Self::Temporary(file) => file,
        }
    }
}

/// An unnamed temporary file: it disappears with its last handle, even if the process is killed.
#[derive(Debug)]
pub(super) struct Nameless {
    file: Arc<File>,
    /// Its directory, for messages.
    dir: PathBuf,
    size: u64,
}

#[async_trait]
impl Blob for Nameless {
    fn size(&self) -> u64 {
        self.size
    }

    async fn open(&self, from: u64) -> Result<ByteStream> {
        Ok(read_file(Arc::clone(&self.file), self.dir.clone(), from, self.size.saturating_sub(from)))
    }

    fn is_local_and_hashed(&self) -> bool {
        true
    }
}

/// A writer that hashes and stores its data, in memory if small.
pub(super) struct Spool<'a> {
    scratch: &'a Path,
    memory: Vec<u8>,
    file: Option<File>,
    hasher: Hasher,
    size: u64,
}

impl<'a> Spool<'a> {
    pub(super) fn new(scratch: &'a Path) -> Self {
        Self { scratch, memory: Vec::new(), file: None, hasher: Hasher::default(), size: 0 }
    }

    /// Digest, size and place of the data.
    pub(super) fn finish(self) -> (Digest, u64, BlobContent) {
        let held = match self.file {
            None => BlobContent::Memory(self.memory.into()),
            Some(file) => BlobContent::Temporary(Nameless {
                file: Arc::new(file),
                dir: self.scratch.to_path_buf(),
                size: self.size,
            }),
        };
        (self.hasher.finish(), self.size, held)
    }

    /// The file; on first use, creates it and writes the data in memory to it.
    fn file(&mut self) -> Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut file = tempfile::tempfile_in(self.scratch)?;
                file.write_all(&std::mem::take(&mut self.memory))?;
                file
            }
        };
        Ok(self.file.insert(file))
    }
}

impl Write for Spool<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = if self.file.is_none() && self.memory.len().saturating_add(bytes.len()) <= IN_MEMORY {
            self.memory.write(bytes)?
        } else {
            let scratch = self.scratch;
            self.file()
                .and_then(|file| Ok(file.write(bytes)?))
                .map_err(|e| e.with_path(scratch))
                .context(|| format!("cannot write a temporary file in `{}`", scratch.display()))?
        };
        self.hasher.update(bytes.get(..taken).unwrap_or_default());
        self.size = self.size.saturating_add(taken as u64);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
