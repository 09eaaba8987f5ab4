//! Uploads opened by a registry: each ends with its blob stored, or is cancelled, even if its caller was cancelled.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

use super::registry::RegistryApi;
use crate::{
    error::{Error, Kind, Result},
    oci::Digest,
    stores::registry::{
        auth::scope::Scope,
        http::{request::Request, response::Response},
        log,
        origins::address::Address,
        transport::location,
    },
};

/// How long the cancelling of an upload may take.
const CANCEL: Duration = Duration::from_secs(5);
/// The smallest chunk that the registry accepts, in bytes, except for the last.
const MIN_LENGTH: &str = "oci-chunk-min-length";

/// An upload. If dropped before its end, it is cancelled by a background task.
pub(super) struct Upload {
    /// The address of the next request.
    pub(super) place: Address,
    /// The smallest chunk, in bytes.
    pub(super) least: u64,
    /// The registry and scope for cancelling it; `None` once it is over.
    owner: Option<(Arc<RegistryApi>, Scope, Open)>,
}

/// Held while an upload is open.
type Open = watch::Receiver<()>;

/// The uploads of one session.
#[derive(Default)]
pub(super) struct Uploads {
    /// Opened in response to a mount, until they are used.
    waiting: Mutex<HashMap<Digest, Upload>>,
    open: watch::Sender<()>,
}

impl Uploads {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Digest, Upload>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request that opens an upload, indicated by one of these statuses. If the caller is cancelled, an upload
    /// that still opens is cancelled.
    pub(super) async fn open_with(
        &self,
        registry: &Arc<RegistryApi>,
        request: Request<'static>,
        scope: Scope,
        statuses: &'static [u16],
    ) -> Result<(Response, Option<Result<Upload>>)> {
        let (waits, gone) = oneshot::channel::<()>();
        let (registry, open) = (Arc::clone(registry), self.open.subscribe());
        let asked = tokio::spawn(async move {
            let response = tokio::select! {
                response = registry.transport.send(&request, &scope) => response?,
                () = for_a_while_after(gone) => return Err(Error::new(Kind::Internal, "the upload was abandoned")),
            };
            let opened = statuses.contains(&response.status.as_u16());
            let upload = opened.then(|| Upload::of(&response, &registry, &scope, open));
            Ok((response, upload))
        });
        let opened = asked.await.map_err(|e| Error::caused(Kind::Internal, "request aborted", e))?;
        mem::drop(waits);
        opened
    }

    /// Keeps an upload until its blob comes.
    pub(super) fn keep_for_blob(&self, digest: Digest, upload: Upload) {
        self.waiting().insert(digest, upload);
    }

    /// The upload that was opened for this blob.
    pub(super) fn take_for_blob(&self, digest: &Digest) -> Option<Upload> {
        self.waiting().remove(digest)
    }

    /// Cancels unused uploads, and waits until all others have ended or are cancelled, too.
    pub(super) async fn cancel_all(&self) {
        let waiting = mem::take(&mut *self.waiting());
        for upload in waiting.into_values() {
            upload.cancel().await;
        }
        // The time to open an upload and to cancel it.
        let _ = timeout(2 * CANCEL, self.open.closed()).await;
    }
}

impl Upload {
    /// The upload in a response. Errors: no usable `Location`.
    fn of(response: &Response, registry: &Arc<RegistryApi>, scope: &Scope, open: Open) -> Result<Self> {
        let least = response.header(MIN_LENGTH).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let place = location(response)?;
        log::upload(&place, "opened");
        Ok(Self { place, least, owner: Some((Arc::clone(registry), scope.clone(), open)) })
    }

    /// The length of a chunk, given the longest accepted body.
    pub(super) fn piece(&self, max_body: u64) -> u64 {
        max_body.max(self.least)
    }

    /// Marks the blob as stored.
    pub(super) fn end(mut self) {
        log::upload(&self.place, "stored");
        self.owner = None;
    }

    /// Cancels the upload, ignoring failures.
    pub(super) async fn cancel(mut self) {
        if let Some((registry, scope, _open)) = self.owner.clone() {
            delete_upload(&registry, scope, self.place.clone()).await;
        }
        self.owner = None;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Without a runtime nothing can be sent: the registry drops the upload after a while.
        if let (Some((registry, scope, open)), Ok(runtime)) = (self.owner.take(), Handle::try_current()) {
            let place = self.place.clone();
            drop(runtime.spawn(async move {
                delete_upload(&registry, scope, place).await;
                mem::drop(open);
            }));
        }
    }
}

async fn delete_upload(registry: &RegistryApi, scope: Scope, place: Address) {
    if place.origin().is_ok_and(|origin| origin == *registry.origin()) {
        log::upload(&place, "cancelled");
        let request = Request::new(Method::DELETE, place);
        let _ = timeout(CANCEL, registry.transport.attempt(&request, &scope)).await;
    }
}

async fn for_a_while_after(gone: oneshot::Receiver<()>) {
    let _ = gone.await;
    sleep(CANCEL).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_no_smaller_than_the_registry_takes() {
        let upload = Upload { place: Address::own("http://localhost/".parse().unwrap()), least: 6 << 20, owner: None };
        assert_eq!([5 << 20, 7 << 20].map(|max_body| upload.piece(max_body)), [6 << 20, 7 << 20]);
    }
}
