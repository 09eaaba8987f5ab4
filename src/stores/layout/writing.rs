//! Turning content into files of a layout. All methods block.

use std::{fs::File, os::unix::fs::FileExt as _};

use super::{files::Files, unsynced::Unsynced};
use crate::{
    blob::{CHUNK, FileSlice},
    error::Result,
    fs::{TemporaryFile, open_regular},
    oci::{Algorithm, Descriptor, Digest, Hasher},
    store::compare,
};

impl Files {
    /// Stores small content whose digest the caller has checked.
    pub(super) fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let dir = self.blobs_to_write(digest.algorithm())?;
        let draft = TemporaryFile::new(&dir)?;
        draft.write_at(bytes, 0)?;
        draft.keep(&dir, &digest.hex())
    }

    /// Stores one of many small blobs: it becomes durable and visible together with later ones, at the latest with
    /// [`Files::settle`].
    pub(super) fn write_soon(&self, digest: &Digest, bytes: &[u8], unsynced: &Unsynced) -> Result<()> {
        let dir = self.blobs_to_write(digest.algorithm())?;
        let draft = TemporaryFile::new(&dir)?;
        draft.write_at(bytes, 0)?;
        if unsynced.add(digest, draft, bytes.len() as u64) { self.settle(unsynced) } else { Ok(()) }
    }

    /// Makes pending content durable and visible.
    pub(super) fn settle(&self, unsynced: &Unsynced) -> Result<()> {
        unsynced.settle(|algorithm| self.blobs_to_write(algorithm))
    }

    /// The file for large content: the partial content of an earlier attempt, unless `anew`, with its hash state and
    /// length; else, or if another writer has locked it, a new file.
    ///
    /// Partial files are beside `index.json`: `umoci gc` fails on a name among the blobs that is not a digest.
    pub(super) fn take_up(&self, desc: &Descriptor, anew: bool) -> Result<(TemporaryFile, Hasher, u64)> {
        let dir = self.blobs_to_write(desc.digest.algorithm())?;
        let part = if self.root.is_beside(&dir) { TemporaryFile::resume(&self.root, &desc.digest.hex()) } else { None };
        let draft = part.map_or_else(|| TemporaryFile::new(&dir), Ok)?;
        if anew || draft.len()? > desc.size {
            draft.clear()?;
        }
        let (hasher, len) = hash(&draft, desc.digest.algorithm())?;
        Ok((draft, hasher, len))
    }

    /// Adopts a local file without copying it, if the file system can share blocks between files (`FICLONE`: btrfs,
    /// XFS, bcachefs), and verifies the result. `false` if it cannot.
    ///
    /// Never a hard link: damage to one store would damage the other.
    pub(super) fn share(&self, desc: &Descriptor, source: &FileSlice) -> Result<bool> {
        let (file, meta) = open_regular(&source.path)?;
        if source.offset != 0 || meta.len() != desc.size {
            return Ok(false);
        }
        let dir = self.blobs_to_write(desc.digest.algorithm())?;
        let draft = TemporaryFile::new(&dir)?;
        if !clone_blocks(&file, draft.file()) {
            return Ok(false);
        }
        let (hasher, len) = hash(&draft, desc.digest.algorithm())?;
        if len != desc.size {
            return Ok(false);
        }
        compare(&desc.digest, hasher.finish())?;
        draft.keep(&dir, &desc.digest.hex())?;
        Ok(true)
    }

    /// Names a finished file by its digest; re-reads it if it was hashed with another algorithm.
    pub(super) fn adopt(&self, draft: &TemporaryFile, found: Digest, expected: Option<&Digest>) -> Result<Digest> {
        let found = match expected {
            Some(expected) if expected.algorithm() != found.algorithm() => {
                hash(draft, expected.algorithm())?.0.finish()
            }
            _ => found,
        };
        if let Some(expected) = expected {
            compare(expected, found.clone())?;
        }
        draft.keep(&self.blobs_to_write(found.algorithm())?, &found.hex())?;
        Ok(found)
    }
}

/// The hash state and length of a whole file.
fn hash(draft: &TemporaryFile, algorithm: Algorithm) -> Result<(Hasher, u64)> {
    let (mut hasher, mut at, mut chunk) = (Hasher::new(algorithm), 0_u64, Vec::new());
    if draft.len()? > 0 {
        chunk.resize(CHUNK, 0);
    }
    loop {
        let read = draft.file().read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok((hasher, at));
        }
        hasher.update(chunk.get(..read).unwrap_or_default());
        at = at.saturating_add(read as u64);
    }
}

#[cfg(target_os = "linux")]
fn clone_blocks(from: &File, to: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn clone_blocks(_from: &File, _to: &File) -> bool {
    false
}
