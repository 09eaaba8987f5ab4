//! Writing sessions of a layout: content is stored under its digest as it comes, names and lists by `commit`.

use std::{
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Layout, Shared, commit::Change, unsynced::Unsynced};
use crate::{
    blob::Blob,
    error::{Error, Kind, Result},
    fs::blocking,
    oci::{Descriptor, Digest, RefName},
    progress::Outcome,
    store::{Committed, Home, Intent, Item, NameChange, Session, Sink},
    stores::index::Parts,
};

pub(super) struct LayoutSession {
    layout: Layout,
    /// Content that must exist in the end.
    items: Vec<Item>,
    /// Small content that is not durable yet, and invisible to others.
    pub(super) unsynced: Arc<Unsynced>,
    /// The changes for `commit`; `None` once they were handed over or abandoned.
    change: Mutex<Option<Change>>,
    /// Receives the result of the commit.
    outcome: tokio::sync::Mutex<Option<oneshot::Receiver<Result<Committed>>>>,
    /// Shared by all sessions, so that no garbage is collected meanwhile.
    lock: Mutex<Option<File>>,
}

impl LayoutSession {
    /// Begins a session. Blocks on the file system.
    pub(super) fn begin(layout: Layout, intent: Intent) -> Result<Self> {
        let lock = layout.0.files.share_lock()?;
        layout.0.files.keep_open();
        let removals = intent.removals.into_iter().map(|item| item.desc.digest).collect();
        let listed = intent.listed.into_iter().map(|desc| (desc.digest.clone(), desc)).collect();
        let parts = Parts::new(&intent.items, intent.parts);
        let change = Change { names: Vec::new(), listed, removals, parts, wrote: false };
        Ok(Self {
            layout,
            items: intent.items,
            unsynced: Arc::default(),
            change: Mutex::new(Some(change)),
            outcome: tokio::sync::Mutex::default(),
            lock: Mutex::new(lock),
        })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn change(&self) -> MutexGuard<'_, Option<Change>> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a change for `commit`. Errors: the session has ended.
    fn note(&self, note: impl FnOnce(&mut Change)) -> Result<()> {
        self.change().as_mut().map(note).ok_or_else(ended)
    }

    fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs file operations of this session on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &Unsynced) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (shared, unsynced) = (Arc::clone(&self.layout.0), Arc::clone(&self.unsynced));
        blocking(move || work(&shared, &unsynced)).await
    }

    /// Makes all content durable and visible under its digest.
    async fn settle(&self) -> Result<()> {
        self.run(|shared, unsynced| shared.files.settle(unsynced)).await
    }

    /// True if the list says something else about the indexes of this session.
    async fn changes_parts(&self, parts: Parts) -> Result<bool> {
        match parts.is_empty() {
            true => Ok(false),
            false => self.run(move |shared, _| Ok(parts.change(&*shared.index()?))).await,
        }
    }

    /// Errors: kind `NotFound` unless all intended content is stored.
    async fn complete(&self) -> Result<()> {
        let items: Vec<(Digest, u64)> =
            self.items.iter().map(|item| (item.desc.digest.clone(), item.desc.size)).collect();
        self.run(move |shared, _| {
            for (digest, size) in &items {
                if shared.files.blob_size(digest)? != Some(*size) {
                    return Err(Error::not_found(format!(
                        "{digest} was expected in {}, but never written",
                        shared.files
                    )));
                }
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Session for LayoutSession {
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, _mount_from: &[Home]) -> Result<Outcome> {
        let wanted = desc.bare();
        let here = self.run(move |shared, unsynced| {
            let size = unsynced.get(&wanted.digest).map(|draft| draft.len()).transpose()?;
            let size = if size.is_some() { size } else { shared.files.blob_size(&wanted.digest)? };
            Ok(size == Some(wanted.size))
        });
        if here.await? {
            return Ok(Outcome::Present);
        }
        self.push_blob(desc, blob).await?;
        self.note(|change| change.wrote = true)?;
        Ok(Outcome::Moved)
    }

    async fn stream(&self, _size: Option<u64>) -> Result<Box<dyn Sink>> {
        self.note(|change| change.wrote = true)?;
        self.start_stream().await
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        let (outcome, listed) = self.push_manifest(desc, bytes).await?;
        self.note(|change| {
            change.wrote |= outcome == Outcome::Moved;
            if let Some(listed) = listed {
                change.listed.entry(listed.digest.clone()).or_insert(listed);
            }
        })?;
        Ok(outcome)
    }

    fn name(&self, change: NameChange) -> Result<()> {
        if change.to.is_some() {
            change.name.parse::<RefName>()?;
        }
        self.note(|all| all.names.push(change))
    }

    async fn prepare(&self) -> Result<()> {
        self.settle().await?;
        self.run(|shared, _| shared.files.sync_blobs()).await
    }

    async fn commit(&self) -> Result<Committed> {
        self.settle().await?;
        self.complete().await?;
        let mut outcome = self.outcome.lock().await;
        if outcome.is_none() {
            let (idle, parts) = {
                let change = self.change();
                let change = change.as_ref().ok_or_else(ended)?;
                (change.is_empty(), change.parts.clone())
            };
            let idle = idle && !self.changes_parts(parts).await?;
            let change = self.change().take().ok_or_else(ended)?;
            if idle && change.is_empty() {
                self.unlock();
                return Ok(Committed::default());
            }
            *outcome = Some(Arc::clone(&self.layout.0).hand_over(change));
        }
        // A cancelled caller may ask again.
        let written = match outcome.as_mut() {
            Some(outcome) => outcome.await,
            None => return Err(ended()),
        };
        *outcome = None;
        self.unlock();
        written.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "writer of `index.json` aborted")))
    }

    async fn abandon(&self) {
        *self.change() = None;
        // Received content stays for the next attempt; failures to keep it do not matter.
        let _ = self.settle().await;
        self.unlock();
    }
}

fn ended() -> Error {
    Error::new(Kind::Internal, "the session has already ended")
}

impl Drop for LayoutSession {
    fn drop(&mut self) {
        self.layout.0.files.close();
    }
}
