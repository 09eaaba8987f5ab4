//! One writing, as a caller holds it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{Committed, Home, Intent, Item, NameChange, Session, Sink, Store};
use crate::{
    blob::Blob,
    error::Result,
    oci::{Descriptor, Role},
    progress::Outcome,
};

/// One writing. `commit` uses it up; dropped without it, it is abandoned in the background.
pub struct Write {
    session: Arc<dyn Session>,
    ended: bool,
}

/// What the tasks of a writing share: it puts content, and ends nothing.
#[derive(Clone)]
pub struct Puts(Arc<dyn Session>);

/// Begins to write into a store.
///
/// Errors: the store is busy, or cannot take what is intended.
pub async fn begin(store: &dyn Store, intent: Intent) -> Result<Write> {
    Ok(Write { session: store.begin(intent).await?, ended: false })
}

/// Points a name at a manifest that is in the store.
pub async fn set_name(store: &dyn Store, name: &str, desc: &Descriptor) -> Result<()> {
    change(store, NameChange::set(name, desc.bare())).await
}

/// Removes a name, not what it stands for. Error kind `NotFound` when there is none.
pub async fn remove_name(store: &dyn Store, name: &str) -> Result<()> {
    change(store, NameChange::remove(name)).await
}

async fn change(store: &dyn Store, change: NameChange) -> Result<()> {
    let write = begin(store, Intent { names: vec![change.clone()], ..Intent::default() }).await?;
    write.name(change)?;
    write.commit().await.map(drop)
}

/// Removes content, and with a manifest the names that stand for it. Error kind `NotFound` when it is not there.
pub async fn delete(store: &dyn Store, item: Item) -> Result<()> {
    begin(store, Intent { removals: vec![item], ..Intent::default() }).await?.commit().await.map(drop)
}

impl Write {
    /// For the tasks that put content.
    #[must_use]
    pub fn puts(&self) -> Puts {
        Puts(Arc::clone(&self.session))
    }

    /// See [`Session::name`].
    pub fn name(&self, change: NameChange) -> Result<()> {
        self.session.name(change)
    }

    /// See [`Session::prepare`].
    pub async fn prepare(&self) -> Result<()> {
        self.session.prepare().await
    }

    /// See [`Session::commit`]. A writing that cannot be committed is abandoned.
    pub async fn commit(mut self) -> Result<Committed> {
        let committed = self.session.commit().await;
        self.ended = true;
        if committed.is_err() {
            self.session.abandon().await;
        }
        committed
    }

    /// See [`Session::abandon`].
    pub async fn abandon(mut self) {
        self.session.abandon().await;
        self.ended = true;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Without a runtime, what the session does when it is dropped itself must be enough.
        if let Ok(runtime) = Handle::try_current() {
            let session = Arc::clone(&self.session);
            drop(runtime.spawn(async move { session.abandon().await }));
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Write")
    }
}

impl Puts {
    /// See [`Session::put`].
    pub async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        self.0.put(desc, blob, mount_from).await
    }

    /// See [`Session::stream`].
    pub async fn stream(&self, size: Option<u64>) -> Result<Box<dyn Sink>> {
        self.0.stream(size).await
    }

    /// See [`Session::manifest`].
    pub async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        self.0.manifest(desc, bytes).await
    }

    /// See [`Session::offer`].
    pub async fn offer(&self, desc: &Descriptor, bytes: &Bytes) -> Result<()> {
        self.0.offer(desc, bytes).await
    }

    /// Content that is in memory, in its role.
    pub async fn item(&self, item: &Item, bytes: &Bytes) -> Result<Outcome> {
        match item.role {
            Role::Blob => self.put(&item.desc, bytes, &[]).await,
            Role::Manifest => self.manifest(&item.desc, bytes).await,
        }
    }
}

impl fmt::Debug for Puts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Puts")
    }
}
