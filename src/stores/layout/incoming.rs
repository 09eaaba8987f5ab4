//! Receiving content into a layout.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{Layout, Shared, session::LayoutSession};
use crate::{
    blob::Blob,
    error::{Error, Kind, Result},
    fs::TemporaryFile,
    oci::{Algorithm, Descriptor, Digest, Hasher, MAX_MANIFEST, Parsed, media_type},
    progress::Outcome,
    store::{Sink, collect, verified, verified_from},
    stores::write_behind::WriteBehind,
};

/// Blobs up to this size are collected in memory and written at once. Larger ones keep their partial content if the
/// transfer breaks off.
const SMALL: u64 = 1 << 20;

impl LayoutSession {
    /// Stores a manifest, after all content that came before it; returns its entry for the list if it has a subject.
    pub(super) async fn push_manifest(
        &self,
        desc: &Descriptor,
        bytes: &Bytes,
    ) -> Result<(Outcome, Option<Descriptor>)> {
        if desc.size > 2 * MAX_MANIFEST {
            return Err(Error::limit(format!(
                "manifest of {} bytes exceeds the maximum of {}",
                desc.size,
                2 * MAX_MANIFEST
            )));
        }
        let bytes = collect(verified(desc, bytes.open(0).await?), desc.size).await?;
        let parsed = Parsed::read(&desc.media_type, &bytes)?;
        let bare = desc.bare();
        let outcome = self.run(move |shared, unsynced| {
            shared.files.settle(unsynced)?;
            match shared.files.blob_size(&bare.digest)? {
                Some(size) if size == bare.size => Ok(Outcome::Present),
                _ => shared.files.write(&bare.digest, &bytes).map(|()| Outcome::Moved),
            }
        });
        Ok((outcome.await?, parsed.subject().map(|_| parsed.listed(desc))))
    }

    /// Stores a missing blob.
    pub(super) async fn push_blob(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        if desc.size <= SMALL {
            let bytes = collect(verified(desc, blob.open(0).await?), desc.size).await?;
            return self.push_small(desc.digest.clone(), bytes).await;
        }
        if let Some(source) = blob.local() {
            let desc = desc.bare();
            if self.run(move |shared, _| shared.files.share(&desc, &source)).await? {
                return Ok(());
            }
        }
        self.push_large(desc, blob).await
    }

    async fn push_small(&self, digest: Digest, bytes: Bytes) -> Result<()> {
        self.run(move |shared, unsynced| shared.files.write_soon(&digest, &bytes, unsynced)).await
    }

    async fn push_large(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let (resumed, outcome) = self.receive(desc, blob, false).await?;
        match outcome {
            // Either part may be wrong, the old or the new: the whole blob is fetched again.
            Err(e) if resumed && e.kind() == Kind::Mismatch => self.receive(desc, blob, true).await?.1,
            outcome => outcome,
        }
    }

    /// Receives a blob, resuming an earlier attempt unless `anew`; returns whether it resumed, and the result.
    async fn receive(&self, desc: &Descriptor, blob: &dyn Blob, anew: bool) -> Result<(bool, Result<()>)> {
        let bare = desc.bare();
        let (draft, hasher, at) = self.run(move |shared, _| shared.files.take_up(&bare, anew)).await?;
        let mut behind = WriteBehind::new(Arc::clone(draft.file()), draft.path(), at);
        let brought = async {
            let mut stream = verified_from(desc, hasher, at, blob.open(at).await?);
            while let Some(chunk) = stream.try_next().await? {
                // A full or failing disk must not be filled with partial content.
                behind.write(chunk).await.inspect_err(|_| draft.discard())?;
            }
            Ok(())
        }
        .await;
        // Received bytes are written even if the rest does not arrive.
        let written = behind.finish().await.inspect_err(|_| draft.discard());
        match brought.and(written) {
            Ok(()) => {}
            Err(e) => {
                if e.kind() == Kind::Mismatch {
                    draft.discard();
                }
                return Ok((at > 0, Err(e)));
            }
        }
        let digest = desc.digest.clone();
        let kept = self.run(move |shared, _| shared.files.adopt(&draft, digest, None)).await;
        Ok((at > 0, kept.map(drop)))
    }

    /// Starts storing content of unknown digest.
    pub(super) async fn start_stream(&self) -> Result<Box<dyn Sink>> {
        let algorithm = Algorithm::default();
        let draft = self.run(move |shared, _| TemporaryFile::new(&shared.files.blobs_to_write(algorithm)?)).await?;
        let behind = WriteBehind::new(Arc::clone(draft.file()), draft.path(), 0);
        let store = self.layout().clone();
        Ok(Box::new(LayoutSink { store, behind, draft, hasher: Hasher::new(algorithm), taken: 0 }))
    }
}

struct LayoutSink {
    store: Layout,
    behind: WriteBehind,
    draft: TemporaryFile,
    hasher: Hasher,
    taken: u64,
}

#[async_trait]
impl Sink for LayoutSink {
    fn offset(&self) -> u64 {
        self.taken
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.hasher.update(&chunk);
        self.taken = self.taken.saturating_add(chunk.len() as u64);
        self.behind.write(chunk).await
    }

    async fn pause(&mut self) -> Result<()> {
        self.behind.flush().await
    }

    async fn finish(mut self: Box<Self>, expected: Option<&Digest>) -> Result<Descriptor> {
        self.behind.finish().await?;
        let Self { store, draft, hasher, taken, .. } = *self;
        let expected = expected.cloned();
        let adopt = move |shared: &Shared| shared.files.adopt(&draft, hasher.finish(), expected.as_ref());
        Ok(Descriptor::new(media_type::OCTET_STREAM, store.run(adopt).await?, taken))
    }
}
