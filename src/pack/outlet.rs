//! The way out for files that leave while they are hashed: all that packing knows of it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{blob::SourceFile, oci::Digest};

/// Takes files while they are hashed, so that they need not be read again.
pub trait Outlet: fmt::Debug + Send + Sync {
    /// Lets a file leave that begins with these bytes; `None` where it is not to. Must not block.
    fn open(&self, file: &SourceFile, start: &Bytes) -> Option<Box<dyn Leaving>>;
}

/// A file that leaves. Dropped before its digest is known, it is given up.
#[async_trait]
pub trait Leaving: Send {
    /// Takes the next piece of the file. Must not block. `false`: there is no room behind it, and [`Self::room`] comes
    /// before the next piece.
    fn offer(&mut self, chunk: Bytes) -> bool;

    /// Waits for room for as long as that pays. What finds none then is not offered again.
    async fn room(&mut self);

    /// Says what the whole is.
    fn known(self: Box<Self>, digest: &Digest);
}
