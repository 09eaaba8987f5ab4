//! Writing blobs: one PUT each, restarted at the first byte if it fails; and mounts.

use std::sync::atomic::Ordering;

use http::{HeaderValue, Method, StatusCode, header};

use super::{
    chunked_upload::{gone, read_through},
    content_digest::checked_digest,
    repository::RepositoryApi,
    upload::Upload,
};
use crate::{
    blob::Blob,
    error::{Context as _, Kind, Result},
    oci::{Descriptor, RepositoryName, media_type},
    progress::Outcome,
    store::{Home, Item, collect, verified},
    stores::registry::{
        auth::scope::{Access, Scope},
        http::{failure::Failure, payload::Payload, request::Request},
    },
};

/// Blobs up to this size, in bytes, are read before anything is sent, and verified unless they are at hand: one write,
/// and no useless upload. Larger ones are hashed while they are sent.
const SMALL: u64 = 1 << 20;

impl RepositoryApi {
    /// Stores a blob. One at hand is sent without hashing; if the registry rejects it, the local file is checked, so
    /// that its damage is not blamed on the registry.
    pub(super) async fn push_blob(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        match self.send_blob(desc, blob).await {
            Err(refusal) if blob.is_local_and_hashed() && matches!(refusal.kind(), Kind::Invalid | Kind::Mismatch) => {
                let place = blob.local().map_or_else(|| "the file".into(), |file| format!("`{}`", file.path.display()));
                read_through(desc, blob).await.context(|| format!("{place} is damaged"))?;
                Err(refusal)
            }
            other => other,
        }
    }

    /// Opens an upload with POST, then sends one PUT with the whole blob, or chunks if that is too large.
    async fn send_blob(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let payload = if desc.size <= SMALL {
            let stream = blob.open(0).await?;
            let stream = if blob.is_local_and_hashed() { stream } else { verified(desc, stream) };
            Payload::Bytes(collect(stream, desc.size).await?)
        } else {
            Payload::Blob(desc, blob)
        };
        let (mut kept, mut attempts) = (self.uploads.take_for_blob(&desc.digest), self.registry.transport.attempts());
        loop {
            let mut upload = match kept.take() {
                Some(upload) => upload,
                None => self.open_upload().await?,
            };
            let sent = if desc.size > self.registry.max_body.get() {
                self.put_chunked(desc, blob, &mut upload).await
            } else {
                self.put_blob(desc, payload.clone(), &upload).await
            };
            if matches!(sent, Ok(true)) {
                upload.end();
                return Ok(());
            }
            // Few registries say how much has arrived: the next attempt starts over.
            upload.cancel().await;
            if let Err(failure) = sent {
                attempts.again(failure).await?;
            }
        }
    }

    /// Opens an upload.
    pub(super) async fn open_upload(&self) -> Result<Upload> {
        let request = self.request(Method::POST, "blobs/uploads/")?;
        match self.uploads.open_with(&self.registry, request, self.scope(Access::Push), &[202, 201, 200]).await? {
            (response, Some(upload)) => {
                response.finish().await;
                upload
            }
            (response, None) => Err(response.into_error().await),
        }
    }

    /// Sends the rest of an upload once and ends it; `false` if it must be sent in chunks.
    pub(super) async fn put_blob(
        &self,
        desc: &Descriptor,
        payload: Payload<'_>,
        upload: &Upload,
    ) -> Result<bool, Failure> {
        let (mut place, length) = (upload.place.clone(), payload.len());
        place.query_pairs_mut().append_pair("digest", &desc.digest.to_string());
        let mut request = Request::new(Method::PUT, place)
            .with(header::CONTENT_TYPE, HeaderValue::from_static(media_type::OCTET_STREAM));
        request.payload = payload;
        let response = self.registry.transport.attempt(&request, &self.scope(Access::Push)).await?;
        match response.status {
            StatusCode::NOT_FOUND => return Err(gone(response).await),
            StatusCode::PAYLOAD_TOO_LARGE => {
                return self.too_long(response, length, upload).await.map(|()| false).map_err(Failure::Final);
            }
            _ => {}
        }
        let response = response.expect(&[201, 200, 204]).await?;
        checked_digest(&response, Some(&desc.digest))?;
        response.finish().await;
        Ok(true)
    }

    /// Ensures that a blob is stored: found, mounted from one of these places, or sent.
    pub(super) async fn ensure_blob(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        if let Some(outcome) = self.find_or_mount(desc, mount_from).await? {
            return Ok(outcome);
        }
        self.push_blob(desc, blob).await?;
        Ok(Outcome::Moved)
    }

    /// The outcome for a blob that need not be sent. To find a small one, mounts it from this very repository: this
    /// succeeds if it is there, and otherwise opens the upload that is needed next, so that two requests do the work of
    /// three.
    async fn find_or_mount(&self, desc: &Descriptor, mount_from: &[Home]) -> Result<Option<Outcome>> {
        let self_mount_refused = &self.registry.self_mount_refused;
        let neighbours = self.neighbours(mount_from);
        if desc.size <= SMALL && !self_mount_refused.load(Ordering::Relaxed) && neighbours.is_empty() {
            match self.mount_from(desc, &self.name).await? {
                Some(true) => return Ok(Some(Outcome::Present)),
                Some(false) => return Ok(None),
                None => self_mount_refused.store(true, Ordering::Relaxed),
            }
        }
        // Some registries omit the size: the digest alone identifies the blob.
        let found = self.head(&Item::blob(desc.clone())).await?;
        if found.is_some_and(|(there, size)| there && size.is_none_or(|size| size == desc.size)) {
            return Ok(Some(Outcome::Present));
        }
        for repository in neighbours {
            match self.mount_from(desc, repository).await? {
                Some(true) => return Ok(Some(Outcome::Mounted)),
                // An upload is open: another one, opened by the next mount, would never be used.
                Some(false) => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    /// The other repositories of this registry among `homes`, unless mounting from them fails.
    fn neighbours<'a>(&self, homes: &'a [Home]) -> Vec<&'a RepositoryName> {
        let mounts = !self.registry.mounting_fails.load(Ordering::Relaxed);
        let beside = |home: &&Home| mounts && self.registry.is_named(&home.registry) && home.repository != self.name;
        homes.iter().filter(beside).map(|home| &home.repository).collect()
    }

    /// Mounts a blob from a repository; `false` if the registry opened an upload instead, `None` if it did neither.
    async fn mount_from(&self, desc: &Descriptor, repository: &RepositoryName) -> Result<Option<bool>> {
        let mut request = self.request(Method::POST, "blobs/uploads/")?;
        request
            .address
            .query_pairs_mut()
            .append_pair("mount", &desc.digest.to_string())
            .append_pair("from", repository);
        let own = repository == &self.name;
        let scope = Scope { from: (!own).then(|| repository.to_string()), ..self.scope(Access::Push) };
        let (response, upload) = match self.uploads.open_with(&self.registry, request, scope, &[202]).await {
            Ok(opened) => opened,
            // A token for both repositories may be refused although one for the target alone is not.
            Err(e) if !own && matches!(e.kind(), Kind::Unauthorized | Kind::Denied) => return Ok(None),
            // A registry that cannot mount may still store what is sent.
            Err(e) if e.facts().status == Some(500) => {
                self.registry.mounting_fails.store(true, Ordering::Relaxed);
                self.registry.self_mount_refused.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        match response.status {
            StatusCode::CREATED => {
                checked_digest(&response, Some(&desc.digest))?;
                response.finish().await;
                Ok(Some(true))
            }
            StatusCode::ACCEPTED => {
                if let Some(Ok(upload)) = upload {
                    self.uploads.keep_for_blob(desc.digest.clone(), upload);
                }
                response.finish().await;
                Ok(Some(false))
            }
            // Without permission to mount here there is none to push.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if own => Err(response.into_error().await),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                response.finish().await;
                Ok(None)
            }
            _ => Err(response.into_error().await),
        }
    }
}
