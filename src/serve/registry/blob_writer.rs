//! Writing one blob to a store, within the quota.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    quota::{Quota, Reserved},
    reply::Refusal,
};
use crate::{
    error::Result,
    oci::{Descriptor, Digest},
    store::{Intent, Sink, Store, Write, begin},
};

/// A writer of one blob to a store, within the quota.
pub(super) struct BlobWriter {
    sink: Box<dyn Sink>,
    write: Write,
    reserved: Reserved,
}

impl BlobWriter {
    /// Starts a blob.
    pub(super) async fn begin(store: &dyn Store, quota: &Arc<Quota>) -> Result<Self> {
        let write = begin(store, Intent::default()).await?;
        let sink = write.puts().stream(None).await?;
        Ok(Self { sink, write, reserved: quota.reserve() })
    }

    /// The number of bytes written.
    pub(super) fn offset(&self) -> u64 {
        self.sink.offset()
    }

    /// Writes more. Errors: the quota is exhausted.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.reserved.grow(chunk.len() as u64).await?;
        Ok(self.sink.write(chunk).await?)
    }

    /// No more for a while.
    pub(super) async fn pause(&mut self) -> Result<(), Refusal> {
        Ok(self.sink.pause().await?)
    }

    /// Stores the blob. Errors: its digest differs.
    pub(super) async fn finish(self, expected: &Digest) -> Result<Descriptor> {
        let stored = self.sink.finish(Some(expected)).await;
        // Nothing to commit for a blob: its manifest makes both durable.
        self.write.abandon().await;
        if stored.is_ok() {
            self.reserved.keep();
        }
        stored
    }
}
