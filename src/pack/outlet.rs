//! The interface for taking files while they are hashed.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{blob::SourceFile, oci::Digest};

/// Takes files while they are hashed, so that they need not be read again.
pub trait Outlet: fmt::Debug + Send + Sync {
    /// Starts to take a file that begins with these bytes; `None` to decline. Must not block.
    fn open(&self, file: &SourceFile, start: &Bytes) -> Option<Box<dyn Leaving>>;
}

/// A file being taken. Dropping it before [`Self::known`] abandons the file.
#[async_trait]
pub trait Leaving: Send {
    /// Takes the next chunk of the file. Must not block. `false` means that the buffer is now full: call [`Self::room`]
    /// before the next chunk.
    fn offer(&mut self, chunk: Bytes) -> bool;

    /// Waits for space, as long as that is worthwhile; after that, the file is abandoned.
    async fn room(&mut self);

    /// Reports the digest of the whole file.
    fn known(self: Box<Self>, digest: &Digest);
}
