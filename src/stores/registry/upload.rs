//! Writing: blobs in one PUT each, again from their first byte when it fails; mounts, manifests, tags, removal.

use std::sync::{PoisonError, atomic::Ordering};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    Repository,
    answer::quoted,
    auth::{Access, Scope},
    body::Payload,
    download::said_digest,
    is_tag,
    pieces::{gone, read_through},
    retry::Lost,
    session::Session,
    transport::Ask,
};
use crate::{
    blob::Blob,
    error::{Context as _, Error, Kind, Result},
    oci::{Algorithm, Descriptor, MAX_MANIFEST, Parsed, media_type},
    store::{Claim, Home, ReadStore, collect, compare, verified},
};

/// Up to this size, in bytes, a blob is read, and verified unless it is at hand, before anything is sent: one write, and
/// no upload that is begun in vain. Larger ones are hashed while they are sent.
const SMALL: u64 = 1 << 20;
/// The registry lists this manifest among the referrers of its subject by itself (distribution-spec, "Pushing
/// manifests with subject").
const SUBJECT: &str = "oci-subject";

/// The tags that were set beside a digest: the only proof that the registry knows of that.
const TAGGED: &str = "oci-tag";

/// What a registry said to a manifest that it took.
pub(super) struct Put {
    /// Whether it lists the manifest among the referrers of its subject.
    pub(super) listed: bool,
    /// The tags that it set besides.
    pub(super) tagged: Vec<String>,
}

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
    fn neighbour(&self, desc: &Descriptor, from: &dyn ReadStore) -> Option<String> {
        let Home { registry, repository } = from.home(desc)?;
        let here = self.registry.is(&registry) && repository != self.name() && super::is_repository(&repository);
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
    async fn mount_from(&self, desc: &Descriptor, repository: &str) -> Result<Option<bool>> {
        let mut ask = self.ask(Method::POST, "blobs/uploads/", Access::Push)?;
        ask.url.query_pairs_mut().append_pair("mount", &desc.digest.to_string()).append_pair("from", repository);
        let own = repository == self.name();
        ask.scope = Scope { from: (!own).then(|| repository.to_owned()), ..ask.scope };
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

    /// Stores a manifest under its digest, or under tags; keeps the list of referrers where the registry does not.
    pub(super) async fn publish_manifest(&self, desc: &Descriptor, bytes: &Bytes, tags: &[String]) -> Result<()> {
        let bytes = collect(verified(desc, bytes.open(0).await?), desc.size).await?;
        if bytes.len() as u64 > MAX_MANIFEST {
            let message = format!("a manifest of {} bytes; registries take {MAX_MANIFEST}", bytes.len());
            return Err(Error::limit(message));
        }
        if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
            return Err(Error::invalid(format!("`{}` is not a tag", quoted(bad))));
        }
        let listed = self.put_under(desc, &bytes, tags).await?;
        let parsed = Parsed::read(&desc.media_type, &bytes).ok();
        match parsed.as_ref().and_then(Parsed::subject) {
            Some(subject) => {
                let added = self.list_referrer(subject, &referrer(desc, parsed.as_ref()), listed).await;
                added.context(|| format!("list {} among the referrers of {}", desc.digest, subject.digest))
            }
            None => Ok(()),
        }
    }

    /// PUTs a manifest under its tags, or under its digest when it has none; whether the registry lists it.
    async fn put_under(&self, desc: &Descriptor, bytes: &Bytes, tags: &[String]) -> Result<bool> {
        let digest = desc.digest.to_string();
        if tags.is_empty() {
            return Ok(self.put_manifest(desc, bytes, &digest, &[]).await?.listed);
        }
        let (mut listed, mut done) = (false, Vec::new());
        // By tag, a registry computes sha256; content of another algorithm goes by digest, tags beside it.
        if desc.digest.algorithm() != Algorithm::Sha256 {
            let put = self.put_manifest(desc, bytes, &digest, tags).await?;
            (listed, done) = (put.listed, put.tagged);
        }
        for tag in tags.iter().filter(|tag| !done.contains(tag)) {
            listed |= self.put_manifest(desc, bytes, tag, &[]).await?.listed;
        }
        Ok(listed)
    }

    /// PUTs a manifest under a tag or a digest, and asks for more tags beside it, which few registries understand.
    pub(super) async fn put_manifest(
        &self,
        desc: &Descriptor,
        bytes: &Bytes,
        name: &str,
        beside: &[String],
    ) -> Result<Put> {
        let media_type = HeaderValue::from_str(&desc.media_type)
            .map_err(|_| Error::invalid(format!("a media type `{}`", quoted(&desc.media_type))))?;
        let mut ask =
            self.ask(Method::PUT, &format!("manifests/{name}"), Access::Push)?.with(header::CONTENT_TYPE, media_type);
        if !beside.is_empty() {
            ask.url.query_pairs_mut().extend_pairs(beside.iter().map(|tag| ("tag", tag)));
        }
        ask.payload = Payload::Bytes(bytes.clone());
        let answer = self.send(&ask).await?.expect(&[201, 200, 202]).await?;
        said_digest(&answer, Some(&desc.digest))?;
        let listed = answer.headers.contains_key(SUBJECT);
        let values = answer.headers.get_all(TAGGED).iter().filter_map(|value| value.to_str().ok());
        let tagged = values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect();
        answer.finish().await;
        Ok(Put { listed, tagged })
    }

    /// Points a tag at a manifest that is here: reads it and stores it again under the tag.
    pub(super) async fn put_tag(&self, name: &str, desc: &Descriptor) -> Result<()> {
        if !is_tag(name) {
            return Err(Error::invalid(format!("`{}` is not a tag", quoted(name))));
        }
        let found = self.describe(&desc.digest.to_string()).await?;
        let bytes = self.manifest(&found).await?;
        compare(&desc.digest, crate::oci::Digest::with(desc.digest.algorithm(), &bytes))?;
        self.put_under(&found, &bytes, &[name.to_owned()]).await.map(drop)
    }

    /// Removes a tag and nothing else.
    pub(super) async fn remove_tag(&self, name: &str) -> Result<()> {
        if !is_tag(name) {
            return Err(Error::invalid(format!("`{}` is not a tag", quoted(name))));
        }
        let ask = self.ask(Method::DELETE, &format!("manifests/{name}"), Access::Delete)?;
        let answer = self.send(&ask).await?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(()),
            // What registries answer that delete by digest only; a tag that is not there looks the same to some.
            400 | 405 | 501 => {
                self.describe(name).await?;
                let why = answer.into_error().await.to_string();
                Err(Error::unsupported(format!("{} cannot remove a tag ({why})", self.registry)))
            }
            _ => Err(answer.into_error().await),
        }
    }

    /// Removes a manifest or a blob. A manifest with a subject also leaves the list that we keep of its referrers.
    pub(super) async fn remove(&self, desc: &Descriptor) -> Result<()> {
        let manifest = media_type::points(&desc.media_type);
        let subject = if manifest { self.subject_of(desc).await? } else { None };
        let kind = if manifest { "manifests" } else { "blobs" };
        let ask = self.ask(Method::DELETE, &format!("{kind}/{}", desc.digest), Access::Delete)?;
        self.send(&ask).await?.expect(&[200, 202, 204]).await?.finish().await;
        match subject {
            Some(subject) => self.unlist_referrer(&subject, &desc.digest).await,
            None => Ok(()),
        }
    }

    async fn subject_of(&self, desc: &Descriptor) -> Result<Option<Descriptor>> {
        let bytes = self.manifest(desc).await?;
        Ok(Parsed::read(&desc.media_type, &bytes).ok().and_then(|parsed| parsed.subject().cloned()))
    }
}

/// How a list of referrers describes this manifest: with its artifact type and annotations (distribution-spec,
/// "Listing Referrers").
pub(super) fn referrer(desc: &Descriptor, parsed: Option<&Parsed>) -> Descriptor {
    Descriptor {
        artifact_type: parsed.and_then(Parsed::artifact_type).map(Into::into),
        annotations: parsed.map(|parsed| parsed.annotations().clone()).unwrap_or_default(),
        ..desc.bare()
    }
}
