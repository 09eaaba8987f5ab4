//! Uploads: content that is hashed while it arrives, in one request or in many.

use std::sync::Arc;

use http::{HeaderName, StatusCode, header};

use super::{
    Registry,
    incoming::{Broken, Incoming},
    open_uploads::{OpenUpload, Turn, UploadState},
    reply::{Code, DOCKER_CONTENT_DIGEST, Refusal, Reply},
    route::Query,
};
use crate::{
    error::{Error, Kind},
    oci::{Descriptor, Digest, RepositoryName, Role, media_type},
    store::{self, Intent, Item, Stored},
};

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

impl Registry {
    /// Mounts a blob, takes it whole, or starts a session (distribution-spec, "Pushing blobs").
    pub(super) async fn start_upload(
        &self,
        name: &RepositoryName,
        query: &Query,
        content: Incoming,
    ) -> Result<Reply, Refusal> {
        if let Some(digest) = query.digest("mount")? {
            if self.mount(name, &digest, query).await? {
                return Ok(stored(name, &digest));
            }
            return self.start_session(name, query).await;
        }
        let Some(digest) = query.digest("digest")? else { return self.start_session(name, query).await };
        let store = self.writable(name).await?;
        let mut upload = UploadState::begin(&*store).await?;
        let expected = digest.clone();
        on_its_own(async move {
            content.write_to(&mut *upload.sink, None).await?;
            Ok(upload.finish(&expected).await?)
        })
        .await?;
        Ok(stored(name, &digest))
    }

    async fn start_session(&self, name: &RepositoryName, query: &Query) -> Result<Reply, Refusal> {
        let store = self.writable(name).await?;
        // The digest decides at the end; that the algorithm is known is said now.
        query.algorithm()?;
        let id = self.uploads.start(name, UploadState::begin(&*store).await?)?;
        Ok(progress(StatusCode::ACCEPTED, name, &id, 0))
    }

    /// Takes a blob from the repository that the client says it is in; from no other, even if another has it.
    async fn mount(&self, name: &RepositoryName, digest: &Digest, query: &Query) -> Result<bool, Refusal> {
        let Some(from) = query.get("from").and_then(|from| from.parse::<RepositoryName>().ok()) else {
            return Ok(false);
        };
        // From itself: a client that asks whether the blob is there, and starts an upload if not, in one request.
        if from == *name && store::size(&*self.writable(name).await?, digest, Role::Blob).await.is_ok() {
            return Ok(true);
        }
        let found = self.options.repositories.get(&from).await.map_err(Refusal::reading(Code::NameUnknown))?;
        let Some(source) = found else { return Ok(false) };
        let Ok(size) = store::size(&*source, digest, Role::Blob).await else { return Ok(false) };
        let item = Item::blob(Descriptor::new(media_type::OCTET_STREAM, digest.clone(), size));
        let store = self.writable(name).await?;
        let write = store::begin(&*store, Intent { items: vec![item.clone()], ..Intent::default() }).await?;
        let homes = Vec::from_iter(source.home(&item));
        let desc = item.desc.clone();
        match write.puts().put(&desc, &Stored::new(source, item), &homes).await {
            Ok(_) => write.commit().await?,
            // What the other repository has is not what its name says: let the client send it.
            Err(e) if e.kind() == Kind::Mismatch => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        Ok(true)
    }

    /// Takes a chunk, or with no `Content-Range` as much as comes.
    pub(super) async fn continue_upload(
        &self,
        name: &RepositoryName,
        id: &str,
        content: Incoming,
    ) -> Result<Reply, Refusal> {
        let session = self.uploads.get(name, id)?;
        let turn = session.turn()?;
        self.check_range(name, id, &session, &content)?;
        let written = on_its_own(write(Arc::clone(&session), turn, content)).await;
        let offset = written.inspect_err(|_| self.end_if_over(id, &session))?.1;
        Ok(progress(StatusCode::ACCEPTED, name, id, offset))
    }

    /// Takes the last chunk, if any, and stores the blob.
    pub(super) async fn finish_upload(
        &self,
        name: &RepositoryName,
        id: &str,
        query: &Query,
        content: Incoming,
    ) -> Result<Reply, Refusal> {
        let session = self.uploads.get(name, id)?;
        let turn = session.turn()?;
        let missing = || Refusal::new(Code::DigestInvalid, "the last request of an upload names its `digest`");
        let digest = query.digest("digest")?.ok_or_else(missing)?;
        self.check_range(name, id, &session, &content)?;
        let expected = digest.clone();
        let writer = Arc::clone(&session);
        let done = on_its_own(async move {
            let (mut turn, _) = write(writer, turn, content).await?;
            let upload = turn.take().ok_or_else(gone)?;
            Ok(upload.finish(&expected).await?)
        });
        let done = done.await;
        self.end_if_over(id, &session);
        done?;
        Ok(stored(name, &digest))
    }

    /// Forgets a session that can take no more: its upload is stored, or failed. One whose request broke off goes on.
    fn end_if_over(&self, id: &str, session: &OpenUpload) {
        if session.turn().is_ok_and(|turn| turn.is_none()) {
            self.uploads.end(id);
        }
    }

    pub(super) fn upload_status(&self, name: &RepositoryName, id: &str) -> Result<Reply, Refusal> {
        let offset = self.uploads.get(name, id)?.offset();
        Ok(progress(StatusCode::NO_CONTENT, name, id, offset))
    }

    pub(super) fn cancel_upload(&self, name: &RepositoryName, id: &str) -> Result<Reply, Refusal> {
        self.uploads.get(name, id)?;
        self.uploads.end(id);
        Ok(Reply::new(StatusCode::NO_CONTENT))
    }

    /// Refuses a chunk that does not start where the last one ended, and tells where that is.
    fn check_range(
        &self,
        name: &RepositoryName,
        id: &str,
        session: &OpenUpload,
        content: &Incoming,
    ) -> Result<(), Refusal> {
        let offset = session.offset();
        let Some((start, end)) = content.range else { return Ok(()) };
        if start != offset {
            return Err(Refusal::new(Code::BlobUploadInvalid, format!("the next chunk starts at {offset}"))
                .status(416)
                .header(header::LOCATION, location(name, id))
                .header(header::RANGE, shown(offset)));
        }
        let len = end.saturating_sub(start).saturating_add(1);
        if content.declared.is_some_and(|declared| declared != len) {
            return Err(Refusal::new(Code::SizeInvalid, "`Content-Range` and `Content-Length` differ"));
        }
        Ok(())
    }
}

fn location(name: &RepositoryName, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// `0-<last byte>`; of nothing it is `0-0`, as registries have always written it.
fn shown(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn progress(status: StatusCode, name: &RepositoryName, id: &str, offset: u64) -> Reply {
    Reply::new(status)
        .header(header::LOCATION, location(name, id))
        .header(header::RANGE, shown(offset))
        .header(DOCKER_UPLOAD_UUID, id)
}

fn stored(name: &RepositoryName, digest: &Digest) -> Reply {
    Reply::new(StatusCode::CREATED)
        .header(header::LOCATION, format_args!("/v2/{name}/blobs/{digest}"))
        .header(DOCKER_CONTENT_DIGEST, digest)
}

fn gone() -> Refusal {
    Refusal::new(Code::BlobUploadUnknown, "this upload has failed")
}

/// Runs to its end even if the connection breaks: a write that is dropped half-way would leave the store's upload in
/// no defined state.
async fn on_its_own<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await.map_err(|e| Error::caused(Kind::Internal, "a request failed", e))?
}

/// Writes to a session and notes how far it came. An upload that failed to write is over.
async fn write(session: Arc<OpenUpload>, mut turn: Turn, content: Incoming) -> Result<(Turn, u64), Refusal> {
    let sink = &mut *turn.as_mut().ok_or_else(gone)?.sink;
    let result = content.write_to(sink, Some(&session)).await;
    let offset = sink.offset();
    session.reached(offset);
    match result {
        Ok(()) => Ok((turn, offset)),
        Err(Broken::Client(refusal)) => Err(refusal),
        Err(Broken::Upload(refusal)) => {
            *turn = None;
            Err(refusal)
        }
    }
}
