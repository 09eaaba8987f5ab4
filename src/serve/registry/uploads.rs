//! Uploads in progress, the specification's sessions: each has a random ID, one repository and a limited lifetime.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::OwnedMutexGuard,
    time::{Duration, Instant},
};

use super::{blob_writer::BlobWriter, reply::Refusal};
use crate::{
    error::{Error, Kind, Result, ServerCode},
    oci::RepositoryName,
};

/// An upload that had a request within this time is not given up for one of the same client.
const IDLE: Duration = Duration::from_secs(10);

/// The uploads in progress of a registry.
#[derive(Debug)]
pub(super) struct Uploads {
    open: Mutex<HashMap<String, Arc<Upload>>>,
    most: usize,
    lifetime: Duration,
}

/// An upload between its first and its last request.
pub(super) struct Upload {
    name: RepositoryName,
    client: Option<IpAddr>,
    writer: Arc<tokio::sync::Mutex<Option<BlobWriter>>>,
    offset: AtomicU64,
    touched: Mutex<Instant>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "upload to {} at {}", self.name, self.offset())
    }
}

/// The exclusive right of a request to write to an upload.
pub(super) type WriteGuard = OwnedMutexGuard<Option<BlobWriter>>;

impl Uploads {
    /// An empty set of at most `most` uploads, which expire after this time without requests.
    pub(super) fn new(most: usize, lifetime: Duration) -> Self {
        Self { open: Mutex::default(), most, lifetime }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Upload>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for an upload of a client, before anything is made for it. Errors: there are too many, and all are
    /// busy.
    pub(super) fn start(self: &Arc<Self>, name: &RepositoryName, client: Option<IpAddr>) -> Result<Starting, Refusal> {
        self.expire();
        let id = random_id()?;
        let mut all = self.all();
        if !self.make_room(&mut all, client) {
            return Err(Refusal::new(ServerCode::TooManyRequests, "too many concurrent uploads")
                .header(http::header::RETRY_AFTER, IDLE.as_secs()));
        }
        let upload = Upload {
            name: name.clone(),
            client,
            writer: Arc::default(),
            offset: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
        };
        let guard = upload.lock_writer()?;
        all.insert(id.clone(), Arc::new(upload));
        Ok(Starting { uploads: Arc::clone(self), id, guard })
    }

    /// Whether there is room for an upload of this client, after giving up another one if necessary. One client may
    /// have three quarters of all. Where all are taken, the client with the most loses one.
    fn make_room(&self, all: &mut HashMap<String, Arc<Upload>>, client: Option<IpAddr>) -> bool {
        let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for upload in all.values() {
            let count = counts.entry(upload.client).or_default();
            *count = count.saturating_add(1);
        }
        let own = counts.get(&client).copied().unwrap_or_default();
        let loser = if own >= self.most.saturating_sub(self.most / 4) {
            Some((client, IDLE))
        } else if all.len() >= self.most {
            let largest = counts.into_iter().max_by_key(|(_, count)| *count);
            // What another has much of is given up even if it is used.
            largest.map(|(holder, count)| (holder, if count > own.saturating_add(1) { Duration::ZERO } else { IDLE }))
        } else {
            None
        };
        let Some((loser, idle)) = loser else { return true };
        let of_loser = all.iter().filter(|(_, upload)| upload.client == loser && upload.is_unused_for(idle));
        let oldest = of_loser.max_by_key(|(_, upload)| upload.idle()).map(|(id, _)| id.clone());
        oldest.is_some_and(|id| all.remove(&id).is_some())
    }

    /// The upload with this ID, in this repository only.
    pub(super) fn get(&self, name: &RepositoryName, id: &str) -> Result<Arc<Upload>, Refusal> {
        let found = self.all().get(id).filter(|upload| upload.name == *name).cloned();
        let found = found.filter(|upload| upload.idle() < self.lifetime);
        let upload = found.ok_or_else(|| Refusal::new(ServerCode::BlobUploadUnknown, "the upload does not exist"))?;
        upload.touch();
        Ok(upload)
    }

    /// Removes an upload; its content is discarded after its last request.
    pub(super) fn end(&self, id: &str) {
        self.all().remove(id);
    }

    /// Removes an upload that is stored or has failed. An interrupted one can continue.
    pub(super) fn end_if_over(&self, id: &str, upload: &Upload) {
        if upload.lock_writer().is_ok_and(|writer| writer.is_none()) {
            self.end(id);
        }
    }

    /// Removes expired uploads.
    pub(super) fn expire(&self) {
        self.all().retain(|_, upload| upload.idle() < self.lifetime);
    }

    /// Removes all uploads.
    pub(super) fn clear(&self) {
        self.all().clear();
    }
}

/// A place for an upload that has no writer yet; free again when dropped.
pub(super) struct Starting {
    uploads: Arc<Uploads>,
    id: String,
    guard: WriteGuard,
}

impl Starting {
    /// Begins the upload, and returns its ID.
    pub(super) fn begin(mut self, writer: BlobWriter) -> String {
        *self.guard = Some(writer);
        self.id.clone()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.guard.is_none() {
            self.uploads.end(&self.id);
        }
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

    /// True if no request writes to it, and none has for this time.
    fn is_unused_for(&self, idle: Duration) -> bool {
        self.idle() >= idle && self.writer.try_lock().is_ok()
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
    use crate::{
        serve::{InMemory, registry::quota::Quota},
        stores::Memory,
    };

    async fn writer() -> BlobWriter {
        let quota = Quota::new(u64::MAX, Arc::new(InMemory::new()));
        BlobWriter::begin(&Memory::new(), &quota).await.unwrap()
    }

    fn uploads(most: usize) -> Arc<Uploads> {
        Arc::new(Uploads::new(most, Duration::from_secs(3600)))
    }

    /// Starts an upload from this address.
    async fn start(uploads: &Arc<Uploads>, client: &str) -> Result<String, ServerCode> {
        let name = "a".parse().unwrap();
        let place = uploads.start(&name, Some(client.parse().unwrap())).map_err(|refusal| refusal.code)?;
        Ok(place.begin(writer().await))
    }

    fn is_open(uploads: &Uploads, id: &str) -> bool {
        uploads.all().contains_key(id)
    }

    #[tokio::test]
    async fn an_upload_belongs_to_one_repository() {
        let uploads = uploads(9);
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let id = uploads.start(&a, None).ok().unwrap().begin(writer().await);
        assert!(uploads.get(&a, &id).is_ok() && uploads.get(&b, &id).is_err());
        uploads.end(&id);
        assert!(uploads.get(&a, &id).is_err());
    }

    #[tokio::test]
    async fn a_place_counts_before_it_has_a_writer_and_is_free_again_without_one() {
        let uploads = uploads(1);
        let name = "a".parse().unwrap();
        let place = uploads.start(&name, None).ok().unwrap();
        assert_eq!(uploads.start(&name, None).err().map(|refusal| refusal.code), Some(ServerCode::TooManyRequests));
        drop(place);
        assert!(uploads.all().is_empty());
        let id = uploads.start(&name, None).ok().unwrap().begin(writer().await);
        assert!(uploads.get(&name, &id).unwrap().lock_writer().unwrap().is_some());
    }

    #[tokio::test]
    async fn one_request_writes_at_a_time() {
        let uploads = uploads(9);
        let name = "a".parse().unwrap();
        let id = uploads.start(&name, None).ok().unwrap().begin(writer().await);
        let upload = uploads.get(&name, &id).unwrap();
        let guard = upload.lock_writer().unwrap();
        assert!(upload.lock_writer().is_err());
        drop(guard);
        assert!(upload.lock_writer().is_ok());
    }

    #[tokio::test]
    async fn uploads_do_not_last() {
        let name = "a".parse().unwrap();
        let short = Arc::new(Uploads::new(1, Duration::ZERO));
        let id = short.start(&name, None).ok().unwrap().begin(writer().await);
        assert!(short.get(&name, &id).is_err());
        assert!(short.start(&name, None).is_ok(), "the forgotten one takes no place");
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_gives_its_own_idle_uploads_up_and_leaves_room_for_others() {
        let uploads = uploads(4);
        let mut own = Vec::new();
        for _ in 0..3 {
            own.push(start(&uploads, "10.0.0.1").await.unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(start(&uploads, "10.0.0.1").await, Err(ServerCode::TooManyRequests));
        assert!(start(&uploads, "10.0.0.2").await.is_ok());
        tokio::time::advance(IDLE).await;
        own.push(start(&uploads, "10.0.0.1").await.unwrap());
        assert_eq!(own.iter().map(|id| is_open(&uploads, id)).collect::<Vec<_>>(), [false, true, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_taken_the_client_with_the_most_loses_the_one_that_is_idle_for_longest() {
        let uploads = uploads(4);
        let (first, second) = (start(&uploads, "::").await.unwrap(), start(&uploads, "::").await.unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        start(&uploads, "::").await.unwrap();
        start(&uploads, "10.0.0.1").await.unwrap();
        let name = "a".parse().unwrap();
        let writing = uploads.get(&name, &first).unwrap();
        let _guard = writing.lock_writer().unwrap();
        start(&uploads, "10.0.0.2").await.unwrap();
        assert!(is_open(&uploads, &first) && !is_open(&uploads, &second));
        assert_eq!(start(&uploads, "10.0.0.3").await.err(), None, "two are still more than one");
        assert_eq!(start(&uploads, "10.0.0.4").await, Err(ServerCode::TooManyRequests));
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
