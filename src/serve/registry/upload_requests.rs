//! Upload requests: content is hashed while it arrives, in one or more requests.

use std::{net::IpAddr, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderName, StatusCode, header};

use super::{
    Registry,
    blob_writer::BlobWriter,
    receiving::{gone, receive, write_content},
    reply::{DOCKER_CONTENT_DIGEST, Refusal, Reply},
    request_body::RequestBody,
    route::Query,
    uploads::Upload,
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
        let work = async move {
            receive(content, &mut writer, None).await?;
            Ok(writer.finish(&expected).await?)
        };
        self.on_its_own(work.boxed()).await?;
        Ok(stored(name, &digest))
    }

    async fn create_upload(
        &self,
        name: &RepositoryName,
        query: &Query,
        client: Option<IpAddr>,
    ) -> Result<Reply, Refusal> {
        // The digest is checked at the end, the algorithm now.
        query.algorithm()?;
        // An upload that is refused leaves no new repository.
        let place = self.uploads.start(name, client)?;
        let store = self.writable(name).await?;
        let id = place.begin(BlobWriter::begin(&*store, &self.quota).await?);
        Ok(progress(StatusCode::ACCEPTED, name, &id, 0))
    }

    /// Mounts a blob from the repository named by the client, and from no other.
    async fn mount_blob(&self, name: &RepositoryName, digest: &Digest, query: &Query) -> Result<bool, Refusal> {
        let Some(from) = query.get("from").and_then(|from| from.parse::<RepositoryName>().ok()) else {
            return Ok(false);
        };
        let found = self.options.repositories.get(&from).await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
        let Some(source) = found else { return Ok(false) };
        // From itself: in one request, the client checks for the blob and otherwise starts an upload.
        if from == *name && store::size(&*self.writable(name).await?, digest, Role::Blob).await.is_ok() {
            return Ok(true);
        }
        let Ok(size) = store::size(&*source, digest, Role::Blob).await else { return Ok(false) };
        let item = Item::blob(Descriptor::new(media_type::OCTET_STREAM, digest.clone(), size));
        let mut reserved = self.quota.reserve();
        reserved.grow(size).await?;
        let store = self.writable(name).await?;
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
        let writing = write_content(Arc::clone(&upload), guard, content);
        let offset = self.on_upload(id, upload, async { Ok(writing.await?.1) }.boxed()).await?;
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
        let work = async move {
            let (mut guard, _) = write_content(writing, guard, content).await?;
            let writer = guard.take().ok_or_else(gone)?;
            Ok(writer.finish(&expected).await?)
        };
        self.on_upload(id, upload, work.boxed()).await?;
        Ok(stored(name, &digest))
    }

    /// Runs work on an upload to its end, and removes the upload if it is over: also if the client has gone, so that it
    /// does not count any more and is not taken for one that has failed.
    async fn on_upload<T: Send + 'static>(
        &self,
        id: &str,
        upload: Arc<Upload>,
        work: BoxFuture<'static, Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let (uploads, id) = (Arc::clone(&self.uploads), id.to_owned());
        let work = async move {
            let done = work.await;
            uploads.end_if_over(&id, &upload);
            done
        };
        self.on_its_own(work.boxed()).await
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
    async fn on_its_own<T: Send + 'static>(&self, work: BoxFuture<'static, Result<T, Refusal>>) -> Result<T, Refusal> {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{StreamExt as _, poll, stream};
    use http::HeaderMap;
    use tokio::{sync::oneshot, task::yield_now, time::timeout};

    use super::*;
    use crate::serve::Options;

    #[tokio::test]
    async fn an_upload_whose_client_has_gone_is_over_once_it_is_stored() {
        let (registry, name) = (Registry::new(Options::in_memory()), "a".parse().unwrap());
        let store = registry.writable(&name).await.unwrap();
        let writer = BlobWriter::begin(&*store, &registry.quota).await.unwrap();
        let id = registry.uploads.start(&name, None).ok().unwrap().begin(writer);
        let digest = Digest::of(b"hello");
        let query = Query::of(Some(&format!("digest={digest}"))).unwrap();
        let (send, receive) = oneshot::channel::<Bytes>();
        let body = stream::once(async { Ok(receive.await.unwrap()) }).boxed();
        let body = RequestBody::new(&HeaderMap::new(), body, u64::MAX).unwrap();
        let mut request = Box::pin(registry.finish_upload(&name, &id, &query, body));
        assert!(poll!(&mut request).is_pending());
        drop(request);
        send.send(Bytes::from_static(b"hello")).unwrap();
        let over = async {
            while registry.uploads.get(&name, &id).is_ok() {
                yield_now().await;
            }
        };
        timeout(std::time::Duration::from_secs(60), over).await.unwrap();
        assert_eq!(store::size(&*store, &digest, Role::Blob).await.unwrap(), 5);
    }
}
