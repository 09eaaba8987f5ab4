//! Uploads in progress, the specification's sessions: each has a random ID, one repository and a limited lifetime.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OwnedMutexGuard;

use super::reply::Refusal;
use crate::{
    error::{Error, Kind, Result, ServerCode},
    oci::{Descriptor, Digest, RepositoryName},
    store::{Intent, Sink, Store, Write, begin},
};

/// The uploads in progress of a registry.
#[derive(Debug)]
pub(super) struct Uploads {
    open: Mutex<HashMap<String, Arc<Upload>>>,
    most: usize,
    idle: Duration,
}

/// An upload between its first and its last request.
pub(super) struct Upload {
    name: RepositoryName,
    writer: Arc<tokio::sync::Mutex<Option<BlobWriter>>>,
    offset: AtomicU64,
    touched: Mutex<Instant>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "upload to {} at {}", self.name, self.offset())
    }
}

/// A writer of one blob to a store.
pub(super) struct BlobWriter {
    pub(super) sink: Box<dyn Sink>,
    write: Write,
}

impl BlobWriter {
    /// Starts a blob.
    pub(super) async fn begin(store: &dyn Store) -> Result<Self> {
        let write = begin(store, Intent::default()).await?;
        let sink = write.puts().stream(None).await?;
        Ok(Self { sink, write })
    }

    /// Stores the blob. Errors: its digest differs.
    pub(super) async fn finish(self, expected: &Digest) -> Result<Descriptor> {
        let stored = self.sink.finish(Some(expected)).await;
        // Nothing to commit for a blob: its manifest makes both durable.
        self.write.abandon().await;
        stored
    }
}

/// The exclusive right of a request to write to an upload.
pub(super) type WriteGuard = OwnedMutexGuard<Option<BlobWriter>>;

impl Uploads {
    /// An empty set of at most `most` uploads, which expire after the idle time.
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        Self { open: Mutex::default(), most, idle }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Upload>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an upload and returns its ID.
    pub(super) fn start(&self, name: &RepositoryName, writer: BlobWriter) -> Result<String, Refusal> {
        self.expire();
        let id = random_id()?;
        let mut all = self.all();
        if all.len() >= self.most {
            return Err(Refusal::new(ServerCode::TooManyRequests, "too many concurrent uploads")
                .header(http::header::RETRY_AFTER, 60));
        }
        let upload = Upload {
            name: name.clone(),
            writer: Arc::new(tokio::sync::Mutex::new(Some(writer))),
            offset: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
        };
        all.insert(id.clone(), Arc::new(upload));
        Ok(id)
    }

    /// The upload with this ID, in this repository only.
    pub(super) fn get(&self, name: &RepositoryName, id: &str) -> Result<Arc<Upload>, Refusal> {
        let found = self.all().get(id).filter(|upload| upload.name == *name).cloned();
        let found = found.filter(|upload| upload.idle() < self.idle);
        let upload = found.ok_or_else(|| Refusal::new(ServerCode::BlobUploadUnknown, "the upload does not exist"))?;
        upload.touch();
        Ok(upload)
    }

    /// Removes an upload; its content is discarded after its last request.
    pub(super) fn end(&self, id: &str) {
        self.all().remove(id);
    }

    /// Removes expired uploads.
    pub(super) fn expire(&self) {
        self.all().retain(|_, upload| upload.idle() < self.idle);
    }

    /// Removes all uploads.
    pub(super) fn clear(&self) {
        self.all().clear();
    }
}

impl Upload {
    /// The number of bytes received.
    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Records the number of bytes received.
    pub(super) fn reached(&self, offset: u64) {
        self.offset.store(offset, Ordering::Relaxed);
        self.touch();
    }

    /// Locks the writer. Errors: another request has it.
    pub(super) fn lock_writer(&self) -> Result<WriteGuard, Refusal> {
        let busy =
            |_| Refusal::new(ServerCode::BlobUploadInvalid, "another request is writing to this upload").status(409);
        Arc::clone(&self.writer).try_lock_owned().map_err(busy)
    }

    fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// A random UUID (RFC 9562, version 4): 122 bits from the operating system.
fn random_id() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::caused(Kind::Io, "cannot get random numbers", e))?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    Ok([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::Memory;

    async fn writer() -> BlobWriter {
        BlobWriter::begin(&Memory::new()).await.unwrap()
    }

    #[tokio::test]
    async fn an_upload_belongs_to_one_repository() {
        let uploads = Uploads::new(9, Duration::from_secs(9));
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let id = uploads.start(&a, writer().await).unwrap();
        assert!(uploads.get(&a, &id).is_ok() && uploads.get(&b, &id).is_err());
        uploads.end(&id);
        assert!(uploads.get(&a, &id).is_err());
    }

    #[tokio::test]
    async fn one_request_writes_at_a_time() {
        let uploads = Uploads::new(9, Duration::from_secs(9));
        let name = "a".parse().unwrap();
        let id = uploads.start(&name, writer().await).unwrap();
        let upload = uploads.get(&name, &id).unwrap();
        let guard = upload.lock_writer().unwrap();
        assert!(upload.lock_writer().is_err());
        drop(guard);
        assert!(upload.lock_writer().is_ok());
    }

    #[tokio::test]
    async fn uploads_are_few_and_do_not_last() {
        let name = "a".parse().unwrap();
        let few = Uploads::new(1, Duration::from_secs(9));
        few.start(&name, writer().await).unwrap();
        assert_eq!(few.start(&name, writer().await).unwrap_err().code, ServerCode::TooManyRequests);
        let short = Uploads::new(1, Duration::ZERO);
        let id = short.start(&name, writer().await).unwrap();
        assert!(short.get(&name, &id).is_err());
        assert!(short.start(&name, writer().await).is_ok(), "the forgotten one takes no place");
    }

    #[test]
    fn ids_are_random_uuids() {
        let (a, b) = (random_id().unwrap(), random_id().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
        assert_eq!(a.get(14..15), Some("4"));
        assert!(a.get(19..20).is_some_and(|v| "89ab".contains(v)));
    }
}
