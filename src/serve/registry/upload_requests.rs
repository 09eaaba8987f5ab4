//! Upload requests: content is hashed while it arrives, in one or more requests.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderName, StatusCode, header};

use super::{
    Registry,
    reply::{DOCKER_CONTENT_DIGEST, Refusal, Reply},
    request_body::{Broken, RequestBody},
    route::Query,
    uploads::{BlobWriter, Upload, WriteGuard},
};
use crate::{
    error::{Error, Kind, ServerCode},
    oci::{Descriptor, Digest, RepositoryName, Role, media_type},
    progress::Outcome,
    store::{self, Intent, Item, Stored},
};

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

impl Registry {
    /// Mounts a blob, accepts it whole, or starts an upload (distribution-spec, "Pushing blobs").
    pub(super) async fn start_upload(
        &self,
        name: &RepositoryName,
        query: &Query,
        client: Option<IpAddr>,
        content: RequestBody,
    ) -> Result<Reply, Refusal> {
        if let Some(digest) = query.digest("mount")? {
            if self.mount_blob(name, &digest, query).await? {
                return Ok(stored(name, &digest));
            }
            return self.create_upload(name, query, client).await;
        }
        let Some(digest) = query.digest("digest")? else {
            return self.create_upload(name, query, client).await;
        };
        let store = self.writable(name).await?;
        let mut writer = BlobWriter::begin(&*store, &self.quota).await?;
        let expected = digest.clone();
        self.on_its_own(async move {
            content.write_to(&mut writer, None).await?;
            Ok(writer.finish(&expected).await?)
        })
        .await?;
        Ok(stored(name, &digest))
    }

    async fn create_upload(
        &self,
        name: &RepositoryName,
        query: &Query,
        client: Option<IpAddr>,
    ) -> Result<Reply, Refusal> {
        let store = self.writable(name).await?;
        // The digest is checked at the end, the algorithm now.
        query.algorithm()?;
        let id = self.uploads.start(name, client, BlobWriter::begin(&*store, &self.quota).await?)?;
        Ok(progress(StatusCode::ACCEPTED, name, &id, 0))
    }

    /// Mounts a blob from the repository named by the client, and from no other.
    async fn mount_blob(&self, name: &RepositoryName, digest: &Digest, query: &Query) -> Result<bool, Refusal> {
        let Some(from) = query.get("from").and_then(|from| from.parse::<RepositoryName>().ok()) else {
            return Ok(false);
        };
        // From itself: in one request, the client checks for the blob and otherwise starts an upload.
        if from == *name && store::size(&*self.writable(name).await?, digest, Role::Blob).await.is_ok() {
            return Ok(true);
        }
        let found = self.options.repositories.get(&from).await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
        let Some(source) = found else { return Ok(false) };
        let Ok(size) = store::size(&*source, digest, Role::Blob).await else { return Ok(false) };
        let item = Item::blob(Descriptor::new(media_type::OCTET_STREAM, digest.clone(), size));
        let store = self.writable(name).await?;
        let mut reserved = self.quota.reserve();
        reserved.grow(size).await?;
        let write = store::begin(&*store, Intent { items: vec![item.clone()], ..Intent::default() }).await?;
        let homes = Vec::from_iter(source.home(&item));
        let desc = item.desc.clone();
        match write.puts().put(&desc, &Stored::new(source, item), &homes).await {
            Ok(outcome) => {
                write.commit().await?;
                if outcome != Outcome::Present {
                    reserved.keep();
                }
            }
            // The content in the other repository is wrong: let the client send it.
            Err(e) if e.kind() == Kind::Mismatch => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        Ok(true)
    }

    /// Accepts a chunk or, without `Content-Range`, a stream.
    pub(super) async fn continue_upload(
        &self,
        name: &RepositoryName,
        id: &str,
        content: RequestBody,
    ) -> Result<Reply, Refusal> {
        let upload = self.uploads.get(name, id)?;
        let guard = upload.lock_writer()?;
        self.check_range(name, id, &upload, &content)?;
        let written = self.on_its_own(write_content(Arc::clone(&upload), guard, content)).await;
        let offset = written.inspect_err(|_| self.end_if_over(id, &upload))?.1;
        Ok(progress(StatusCode::ACCEPTED, name, id, offset))
    }

    /// Accepts the last chunk, if any, and stores the blob.
    pub(super) async fn finish_upload(
        &self,
        name: &RepositoryName,
        id: &str,
        query: &Query,
        content: RequestBody,
    ) -> Result<Reply, Refusal> {
        let upload = self.uploads.get(name, id)?;
        let guard = upload.lock_writer()?;
        let missing =
            || Refusal::new(ServerCode::DigestInvalid, "the last request of an upload needs the parameter `digest`");
        let digest = query.digest("digest")?.ok_or_else(missing)?;
        self.check_range(name, id, &upload, &content)?;
        let expected = digest.clone();
        let writing = Arc::clone(&upload);
        let done = self.on_its_own(async move {
            let (mut guard, _) = write_content(writing, guard, content).await?;
            let writer = guard.take().ok_or_else(gone)?;
            Ok(writer.finish(&expected).await?)
        });
        let done = done.await;
        self.end_if_over(id, &upload);
        done?;
        Ok(stored(name, &digest))
    }

    /// Removes an upload that is stored or has failed. An interrupted one can continue.
    fn end_if_over(&self, id: &str, upload: &Upload) {
        if upload.lock_writer().is_ok_and(|writer| writer.is_none()) {
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

    /// Refuses a chunk that does not continue the last one; the answer has the right offset.
    fn check_range(
        &self,
        name: &RepositoryName,
        id: &str,
        upload: &Upload,
        content: &RequestBody,
    ) -> Result<(), Refusal> {
        let offset = upload.offset();
        let Some((start, end)) = content.range else { return Ok(()) };
        if start != offset {
            return Err(Refusal::new(ServerCode::BlobUploadInvalid, format!("the next chunk must start at {offset}"))
                .status(416)
                .header(header::LOCATION, location(name, id))
                .header(header::RANGE, range_up_to(offset)));
        }
        let len = end.saturating_sub(start).saturating_add(1);
        if content.declared.is_some_and(|declared| declared != len) {
            return Err(Refusal::new(ServerCode::SizeInvalid, "`Content-Range` and `Content-Length` differ"));
        }
        Ok(())
    }

    /// Runs work to its end even if the connection is lost: dropping an unfinished write would leave the store's upload
    /// in an undefined state. The end of the server waits for it.
    async fn on_its_own<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let working = Arc::clone(&self.working).read_owned().await;
        let work = async move {
            let done = work.await;
            drop(working);
            done
        };
        tokio::spawn(work).await.map_err(|e| Error::caused(Kind::Internal, "a request failed", e))?
    }
}

fn location(name: &RepositoryName, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// `0-<last byte>`, and `0-0` for no bytes, as is common in registries.
fn range_up_to(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn progress(status: StatusCode, name: &RepositoryName, id: &str, offset: u64) -> Reply {
    Reply::new(status)
        .header(header::LOCATION, location(name, id))
        .header(header::RANGE, range_up_to(offset))
        .header(DOCKER_UPLOAD_UUID, id)
}

fn stored(name: &RepositoryName, digest: &Digest) -> Reply {
    Reply::new(StatusCode::CREATED)
        .header(header::LOCATION, format_args!("/v2/{name}/blobs/{digest}"))
        .header(DOCKER_CONTENT_DIGEST, digest)
}

fn gone() -> Refusal {
    Refusal::new(ServerCode::BlobUploadUnknown, "this upload has failed")
}

/// Writes to an upload and records its offset. A failed write ends the upload.
async fn write_content(
    upload: Arc<Upload>,
    mut guard: WriteGuard,
    content: RequestBody,
) -> Result<(WriteGuard, u64), Refusal> {
    let writer = guard.as_mut().ok_or_else(gone)?;
    let result = content.write_to(writer, Some(&upload)).await;
    let offset = writer.offset();
    upload.reached(offset);
    match result {
        Ok(()) => Ok((guard, offset)),
        Err(Broken::Client(refusal)) => Err(refusal),
        Err(Broken::Upload(refusal)) => {
            *guard = None;
            Err(refusal)
        }
    }
}
