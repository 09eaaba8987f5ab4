//! Writing blobs: in one PUT each, again from their first byte when it fails; mounts.

use std::sync::{PoisonError, atomic::Ordering};

use http::{HeaderValue, Method, StatusCode, header};

use super::{
    Repository,
    auth::{Access, Scope},
    body::Payload,
    download::said_digest,
    pieces::{gone, read_through},
    retry::Lost,
    session::Session,
    transport::Ask,
};
use crate::{
    blob::Blob,
    error::{Context as _, Kind, Result},
    oci::{Descriptor, RepositoryName, media_type},
    store::{Claim, Home, ReadStore, collect, verified},
};

/// Up to this size, in bytes, a blob is read, and verified unless it is at hand, before anything is sent: one write, and
/// no upload that is begun in vain. Larger ones are hashed while they are sent.
const SMALL: u64 = 1 << 20;
impl Repository {
    /// Stores a blob. One that is at hand goes unhashed, and is looked at when the registry does not like it: the
    /// damage of a file here must not pass for a fault of the registry.
    pub(super) async fn push_blob(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        match self.send_blob(desc, blob).await {
            Err(refusal) if blob.at_hand() && matches!(refusal.kind(), Kind::Invalid | Kind::Mismatch) => {
                let place = blob.local().map_or_else(|| "the file".into(), |file| format!("`{}`", file.path.display()));
                read_through(desc, blob).await.context(|| format!("{place} is damaged"))?;
                Err(refusal)
            }
            other => other,
        }
    }

    /// POST for a place to put a blob, one PUT with all of it, or pieces where that is too much.
    async fn send_blob(&self, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
        let payload = if desc.size <= SMALL {
            let stream = blob.open(0).await?;
            let stream = if blob.at_hand() { stream } else { verified(desc, stream) };
            Payload::Bytes(collect(stream, desc.size).await?)
        } else {
            Payload::Blob(desc, blob)
        };
        let (mut kept, mut step) = (self.take_session(desc), self.registry.0.transport.step());
        loop {
            let mut session = match kept.take() {
                Some(session) => session,
                None => self.open_session().await?,
            };
            let sent = if desc.size > self.registry.0.longest.get() {
                self.put_pieces(desc, blob, &mut session).await
            } else {
                self.put_blob(desc, payload.clone(), &session).await
            };
            if matches!(sent, Ok(true)) {
                session.end();
                return Ok(());
            }
            // How much of it arrived is not known, and few registries say: the next attempt starts over.
            session.cancel().await;
            if let Err(lost) = sent {
                step.again(lost).await?;
            }
        }
    }

    /// Opens an upload.
    async fn open_session(&self) -> Result<Session> {
        let ask = self.ask(Method::POST, "blobs/uploads/", Access::Push)?;
        match self.open(ask, &[202, 201, 200]).await? {
            (answer, Some(session)) => {
                answer.finish().await;
                session
            }
            (answer, None) => Err(answer.into_error().await),
        }
    }

    /// Sends all that an upload lacks, once, and ends it; `false` when that is to be tried in pieces.
    pub(super) async fn put_blob(
        &self,
        desc: &Descriptor,
        payload: Payload<'_>,
        session: &Session,
    ) -> Result<bool, Lost> {
        let (mut place, length) = (session.place.clone(), payload.len());
        place.query_pairs_mut().append_pair("digest", &desc.digest.to_string());
        place.set_fragment(None);
        let mut ask = Ask::new(Method::PUT, place, self.scope(Access::Push))
            .with(header::CONTENT_TYPE, HeaderValue::from_static(media_type::OCTET_STREAM));
        ask.payload = payload;
        let answer = self.registry.0.transport.attempt(&ask).await?;
        match answer.status {
            StatusCode::NOT_FOUND => return Err(gone(answer).await),
            StatusCode::PAYLOAD_TOO_LARGE => {
                return self.too_long(answer, length, session).await.map(|()| false).map_err(Lost::Final);
            }
            _ => {}
        }
        let answer = answer.expect(&[201, 200, 204]).await?;
        said_digest(&answer, Some(&desc.digest))?;
        answer.finish().await;
        Ok(true)
    }

    /// Takes a blob from another repository of the same registry. An upload that the registry opens instead is kept
    /// for the push that follows.
    pub(super) async fn mount_blob(&self, desc: &Descriptor, from: &dyn ReadStore) -> Result<bool> {
        match self.neighbour(desc, from) {
            Some(repository) => Ok(self.mount_from(desc, &repository).await? == Some(true)),
            None => Ok(false),
        }
    }

    /// The other repository of the same registry that this blob is in, if it is.
    fn neighbour(&self, desc: &Descriptor, from: &dyn ReadStore) -> Option<RepositoryName> {
        let Home { registry, repository } = from.home(desc)?;
        let here = self.registry.is(&registry) && repository != *self.name();
        (here && !media_type::points(&desc.media_type)).then_some(repository)
    }

    /// Asks whether a blob must be sent. A small one is asked for by a mount from this very repository: it succeeds when
    /// the blob is here, and else opens the upload that is needed then, so that two requests do the work of three.
    pub(super) async fn claim_blob(&self, desc: &Descriptor, from: &dyn ReadStore) -> Result<Claim> {
        let claimless = &self.registry.0.claimless;
        if desc.size <= SMALL && !claimless.load(Ordering::Relaxed) && self.neighbour(desc, from).is_none() {
            match self.mount_from(desc, self.name()).await? {
                Some(true) => return Ok(Claim::Present),
                Some(false) => return Ok(Claim::Absent),
                None => claimless.store(true, Ordering::Relaxed),
            }
        }
        if self.has(desc).await? {
            return Ok(Claim::Present);
        }
        Ok(if self.mount_blob(desc, from).await? { Claim::Mounted } else { Claim::Absent })
    }

    /// Asks for a blob of a repository; `false` when the registry opened an upload instead, `None` when it did neither.
    async fn mount_from(&self, desc: &Descriptor, repository: &RepositoryName) -> Result<Option<bool>> {
        let mut ask = self.ask(Method::POST, "blobs/uploads/", Access::Push)?;
        ask.url.query_pairs_mut().append_pair("mount", &desc.digest.to_string()).append_pair("from", repository);
        let own = repository == self.name();
        ask.scope = Scope { from: (!own).then(|| repository.to_string()), ..ask.scope };
        let (answer, session) = match self.open(ask, &[202]).await {
            Ok(opened) => opened,
            // A token for both repositories may be refused where one for the target alone is not.
            Err(e) if !own && matches!(e.kind(), Kind::Unauthorized | Kind::Denied) => return Ok(None),
            Err(e) => return Err(e),
        };
        match answer.status {
            StatusCode::CREATED => {
                said_digest(&answer, Some(&desc.digest))?;
                answer.finish().await;
                Ok(Some(true))
            }
            StatusCode::ACCEPTED => {
                if let Some(Ok(session)) = session {
                    self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(desc.digest.clone(), session);
                }
                answer.finish().await;
                Ok(Some(false))
            }
            // Whoever may not mount here may not push here.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if own => Err(answer.into_error().await),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                answer.finish().await;
                Ok(None)
            }
            _ => Err(answer.into_error().await),
        }
    }

    fn take_session(&self, desc: &Descriptor) -> Option<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&desc.digest)
    }
}
