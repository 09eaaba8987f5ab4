//! Writing sessions, as callers use them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{Committed, Home, Intent, Item, NameChange, Session, Sink, Store};
use crate::{
    blob::Blob,
    error::{Code, Error, Kind, Result},
    oci::{Descriptor, RefName, Role},
    progress::Outcome,
};

/// A writing session. Ended by `commit`; if dropped before, it is abandoned in the background.
pub struct Write {
    puts: Puts,
    /// True if nothing is left to do, not even to abandon the session.
    ended: bool,
}

/// The part of a session shared by its tasks: it puts content, but cannot end the session. After the end it rejects
/// everything.
#[derive(Clone)]
pub struct Puts {
    session: Arc<dyn Session>,
    over: Arc<AtomicBool>,
}

/// Begins a session in a store.
///
/// Errors: the store is busy, or cannot do what is intended.
pub async fn begin(store: &dyn Store, intent: Intent) -> Result<Write> {
    let session = store.begin(intent).await?;
    Ok(Write { puts: Puts { session, over: Arc::default() }, ended: false })
}

/// Points a name at a manifest in the store.
pub async fn set_name(store: &dyn Store, name: RefName, desc: &Descriptor) -> Result<()> {
    change(store, NameChange::set(name, desc.bare())).await
}

/// Removes a name, but not its manifest. Errors: kind `NotFound` if it does not exist.
pub async fn remove_name(store: &dyn Store, name: RefName) -> Result<()> {
    change(store, NameChange::remove(name)).await
}

async fn change(store: &dyn Store, change: NameChange) -> Result<()> {
    let write = begin(store, Intent { names: vec![change.clone()], ..Intent::default() }).await?;
    write.name(change)?;
    write.commit().await.map(drop)
}

/// Removes content, and with a manifest the names that stand for it. Errors: kind `NotFound` if it does not exist.
pub async fn delete(store: &dyn Store, item: Item) -> Result<()> {
    begin(store, Intent { removals: vec![item], ..Intent::default() }).await?.commit().await.map(drop)
}

impl Write {
    /// A handle for tasks that put content.
    #[must_use]
    pub fn puts(&self) -> Puts {
        self.puts.clone()
    }

    /// See [`Session::name`].
    pub fn name(&self, change: NameChange) -> Result<()> {
        self.puts.session.name(change)
    }

    /// See [`Session::prepare`].
    pub async fn prepare(&self) -> Result<()> {
        self.puts.session.prepare().await
    }

    /// See [`Session::commit`]. If it fails, the session is abandoned.
    pub async fn commit(mut self) -> Result<Committed> {
        let committed = self.try_commit().await;
        if committed.is_err() && !self.ended {
            self.abandon().await;
        }
        committed
    }

    /// See [`Session::commit`]. After an error with code `ContentMissing` the session stays open, and can be committed
    /// again once the content has been put again; after any other error it is abandoned.
    pub async fn try_commit(&mut self) -> Result<Committed> {
        let committed = self.puts.session.commit().await;
        if committed.as_ref().is_err_and(|e| e.code() == Some(Code::ContentMissing)) {
            return committed;
        }
        self.puts.end();
        self.ended = true;
        if committed.is_err() {
            self.puts.session.abandon().await;
        }
        committed
    }

    /// See [`Session::abandon`].
    pub async fn abandon(mut self) {
        self.puts.end();
        self.puts.session.abandon().await;
        self.ended = true;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.puts.end();
        // Without a runtime, the session's own cleanup on drop must be enough.
        if let Ok(runtime) = Handle::try_current() {
            let session = Arc::clone(&self.puts.session);
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
    fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// The session, unless it has ended: sessions without cleanup do not know that they were abandoned.
    fn session(&self) -> Result<&dyn Session> {
        if self.over.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Internal, "the session has already ended"));
        }
        Ok(self.session.as_ref())
    }

    /// See [`Session::put`].
    pub async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        self.session()?.put(desc, blob, mount_from).await
    }

    /// See [`Session::stream`].
    pub async fn stream(&self, size: Option<u64>) -> Result<Box<dyn Sink>> {
        self.session()?.stream(size).await
    }

    /// See [`Session::manifest`].
    pub async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        self.session()?.manifest(desc, bytes).await
    }

    /// See [`Session::offer`].
    pub async fn offer(&self, desc: &Descriptor, bytes: &Bytes) -> Result<()> {
        self.session()?.offer(desc, bytes).await
    }

    /// Puts content that is in memory, in its role.
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

#[cfg(test)]
mod tests {
    use std::{ops::Range, sync::Mutex};

    use async_trait::async_trait;
    use futures_util::{StreamExt as _, stream, stream::BoxStream};

    use super::*;
    use crate::{
        blob::ByteStream,
        store::{Abilities, Expect, Name, NamePage, Presence, ReadStore},
    };

    /// A store whose sessions answer a commit with this code of an error, or with none, and note what is asked of them.
    #[derive(Clone, Default)]
    struct Noted {
        fails: Option<Option<Code>>,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Noted {
        fn note(&self, what: impl Into<String>) {
            self.asked.lock().unwrap().push(what.into());
        }

        async fn written(fails: Option<Option<Code>>) -> (Result<Committed>, Vec<String>) {
            let store = Self { fails, ..Self::default() };
            let change = NameChange { expect: Expect::Absent, ..NameChange::remove("v1".parse().unwrap()) };
            let intent = Intent { names: vec![change.clone()], ..Intent::default() };
            let write = begin(&store, intent).await.unwrap();
            write.name(change).unwrap();
            let committed = write.commit().await;
            let asked = store.asked.lock().unwrap().clone();
            (committed, asked)
        }
    }

    impl fmt::Display for Noted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("noted")
        }
    }

    #[async_trait]
    impl ReadStore for Noted {
        async fn resolve(&self, _: &Name) -> Result<Descriptor> {
            Err(Error::not_found("nothing is here"))
        }

        async fn fetch(&self, _: &Item, _: Range<u64>) -> Result<ByteStream> {
            Err(Error::not_found("nothing is here"))
        }

        async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
            Ok(vec![Presence::Absent; items.len()])
        }

        fn names(&self) -> BoxStream<'_, Result<NamePage>> {
            stream::empty().boxed()
        }

        async fn referrers(&self, _: &Descriptor) -> Result<Vec<Descriptor>> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl Store for Noted {
        fn abilities(&self) -> Abilities {
            Abilities::default()
        }

        async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
            let names: Vec<&str> = intent.names.iter().map(|change| change.name.as_str()).collect();
            self.note(format!("begin {}", names.join(" ")));
            Ok(Arc::new(self.clone()))
        }
    }

    #[async_trait]
    impl Session for Noted {
        async fn put(&self, _: &Descriptor, _: &dyn Blob, _: &[Home]) -> Result<Outcome> {
            Ok(Outcome::Moved)
        }

        async fn manifest(&self, _: &Descriptor, _: &Bytes) -> Result<Outcome> {
            Ok(Outcome::Moved)
        }

        fn name(&self, change: NameChange) -> Result<()> {
            self.note(format!("name {}", change.name));
            Ok(())
        }

        async fn commit(&self) -> Result<Committed> {
            self.note("commit");
            let Some(code) = self.fails else { return Ok(Committed::default()) };
            Err(code.into_iter().fold(Error::invalid("no"), Error::with_code))
        }

        async fn abandon(&self) {
            self.note("abandon");
        }
    }

    #[tokio::test]
    async fn a_writing_that_cannot_be_committed_is_abandoned_once_and_one_that_is_done_never() {
        let (done, asked) = Noted::written(None).await;
        assert_eq!((done.is_ok(), asked), (true, ["begin v1", "name v1", "commit"].map(String::from).to_vec()));
        for code in [None, Some(Code::ContentMissing)] {
            let (failed, asked) = Noted::written(Some(code)).await;
            assert_eq!(failed.unwrap_err().code(), code);
            assert_eq!(asked, ["begin v1", "name v1", "commit", "abandon"], "{code:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_set_or_removed_is_announced() {
        let (store, name) = (Noted::default(), "v1".parse::<RefName>().unwrap());
        set_name(&store, name.clone(), &Descriptor::empty()).await.unwrap();
        remove_name(&store, name).await.unwrap();
        let once = ["begin v1", "name v1", "commit"];
        assert_eq!(*store.asked.lock().unwrap(), [once, once].concat());
    }

    #[tokio::test]
    async fn a_writing_that_lacks_content_goes_on_and_can_be_committed_again() {
        let store = Noted { fails: Some(Some(Code::ContentMissing)), ..Noted::default() };
        let mut write = begin(&store, Intent::default()).await.unwrap();
        for _ in 0..2 {
            assert!(write.try_commit().await.is_err());
            write.puts().put(&Descriptor::empty(), &Bytes::new(), &[]).await.unwrap();
        }
        write.abandon().await;
        assert_eq!(*store.asked.lock().unwrap(), ["begin ", "commit", "commit", "abandon"]);
        let store = Noted { fails: Some(None), ..Noted::default() };
        let mut write = begin(&store, Intent::default()).await.unwrap();
        assert!(write.try_commit().await.is_err());
        assert!(write.puts().put(&Descriptor::empty(), &Bytes::new(), &[]).await.is_err(), "it has ended");
        drop(write);
        assert_eq!(*store.asked.lock().unwrap(), ["begin ", "commit", "abandon"]);
    }
}
