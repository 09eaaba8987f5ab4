//! Reading: resolving names, and streaming content.

use std::{ops::Range, sync::atomic::Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    content_digest::checked_digest, errors::not_in_repository, parallel_download::ParallelDownload,
    repository::RepositoryApi, resume::Download,
};
use crate::{
    blob::{self, Blob as _, ByteStream},
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, MAX_MANIFEST, Parsed, Role, Tag, media_type},
    store::{Item, Presence, collect, verified},
    stores::registry::{
        auth::scope::Access,
        http::{failure::Failure, response::Response},
        origins::redact::excerpt,
    },
};

/// Media types that libraries and proxies use for arbitrary content.
const ANYTHING: [&str; 4] = ["", "application/json", media_type::OCTET_STREAM, "text/plain"];

/// The media type of a manifest: its own; else the one that it was served with, unless that is generic; else inferred
/// from its keys.
fn own_or(given: String, bytes: &[u8]) -> Result<String> {
    match Parsed::own_media_type(bytes)? {
        Some(own) => Ok(own),
        None if media_type::is_valid(&given) && !ANYTHING.contains(&&*given) => Ok(given),
        None => Parsed::sniff(bytes),
    }
}

/// The part of a stream, starting at a range, that lies in the range. If the range is open-ended, excess bytes are
/// included: they reveal an error.
pub(in crate::stores::registry) fn part(rest: ByteStream, range: &Range<u64>, desc: &Descriptor) -> ByteStream {
    if range.end < desc.size { blob::first(rest, range.end.saturating_sub(range.start)) } else { rest }
}

/// No manifest or index is shorter, in bytes: `{"manifests":[]}`.
const SMALLEST: u64 = 16;

/// How many queries run at a time.
const PARALLEL: usize = 32;

/// The known manifest types; some registries answer 404 unless the right one is listed.
const ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     */*;q=0.1",
);

impl RepositoryApi {
    /// The descriptor of a tag or digest, from the headers of a HEAD request, else from the manifest itself.
    ///
    /// Some registries refuse HEAD and answer GET, some answer HEAD with 404 whatever is there, and only GET says why
    /// something is refused. So a refusal of HEAD counts only if GET is refused, too; a 404 also if HEAD is known to
    /// work, or for a repository that is written to, where most names are new.
    pub(in crate::stores::registry) async fn describe(&self, name: &str) -> Result<Descriptor> {
        let wanted = self.wanted(name)?;
        let request = self.request(Method::HEAD, &format!("manifests/{name}"))?.with(header::ACCEPT, ACCEPT);
        let mut attempts = self.registry.transport.attempts();
        let response = loop {
            match self.registry.transport.attempt(&request, &self.scope(Access::Pull)).await {
                Ok(response) => break response,
                Err(Failure::Final(error)) => return Err(error),
                Err(failure) if failure.asks_to_wait() => attempts.again(failure).await?,
                Err(_) => return self.described(name).await,
            }
        };
        match response.status {
            StatusCode::OK => self.registry.head_works.store(true, Ordering::Relaxed),
            StatusCode::NOT_FOUND if self.is_written_to() || self.registry.head_works.load(Ordering::Relaxed) => {
                return Err(not_in_repository(response, name, self).await);
            }
            _ => return self.described(name).await,
        }
        let said = checked_digest(&response, wanted.as_ref())?;
        let (media_type, size) = (response.media_type(), response.size_of_content());
        match (wanted.or(said), size) {
            (Some(digest), Some(size)) if media_type::points(&media_type) => {
                let desc = Descriptor::new(media_type, digest, size);
                if (SMALLEST..=2 * MAX_MANIFEST).contains(&size) { Ok(desc) } else { self.sized(name, desc).await }
            }
            _ => self.described(name).await,
        }
    }

    /// The descriptor from the manifest itself, in place of one whose size no manifest has; that one, if the manifest is
    /// indeed too large to be read: it can still be deleted.
    async fn sized(&self, name: &str, by_head: Descriptor) -> Result<Descriptor> {
        match self.described(name).await {
            Err(e) if e.kind() == Kind::Limit => Ok(by_head),
            found => found,
        }
    }

    async fn described(&self, name: &str) -> Result<Descriptor> {
        self.describe_by_get(name).await.map(|(desc, _)| desc)
    }

    /// The manifest with this name, a tag or digest, and its verified bytes.
    pub(in crate::stores::registry) async fn describe_by_get(&self, name: &str) -> Result<(Descriptor, Bytes)> {
        let wanted = self.wanted(name)?;
        let response = self.get_manifest(name).await?;
        let (what, given) = (response.what(), response.media_type());
        if given == "text/html" {
            return Err(Error::new(
                Kind::NotARegistry,
                format!("{what}: got an HTML page; this is not an OCI registry"),
            ));
        }
        let said = checked_digest(&response, wanted.as_ref())?;
        let bytes = response.bytes(2 * MAX_MANIFEST).await?;
        let algorithm = wanted.as_ref().or(said.as_ref()).map(Digest::algorithm).unwrap_or_default();
        let digest = Digest::with(algorithm, &bytes);
        if let Some(expected) = wanted.or(said).filter(|expected| *expected != digest) {
            return Err(Error::mismatch(format!("{what}: the content of {expected} has digest {digest}")));
        }
        let media_type = if media_type::points(&given) { given } else { own_or(given, &bytes)? };
        Ok((Descriptor::new(media_type, digest, bytes.len() as u64), bytes))
    }

    /// The digest that a name is, if it is none of a tag. Errors: kind `NotFound` for a name that is neither.
    fn wanted(&self, name: &str) -> Result<Option<Digest>> {
        let wanted = name.parse::<Digest>().ok();
        if wanted.is_none() && name.parse::<Tag>().is_err() {
            return Err(Error::not_found(format!(
                "cannot resolve `{}` in {self}: it is neither a tag nor a digest",
                excerpt(name)
            )));
        }
        Ok(wanted)
    }

    /// A manifest by tag or digest, at most 8 MiB; requested again if the transfer breaks off.
    pub(super) async fn get_manifest(&self, name: &str) -> Result<Response> {
        let request = self.request(Method::GET, &format!("manifests/{name}"))?.with(header::ACCEPT, ACCEPT);
        let response = self.send(&request.whole(2 * MAX_MANIFEST), Access::Pull).await?;
        if response.status == StatusCode::OK {
            Ok(response)
        } else {
            Err(not_in_repository(response, name, self).await)
        }
    }

    /// The list under the tag for this subject: media type and bytes; `None` if there is no such tag.
    ///
    /// Artifactory answers 403 for a tag that is not there. So a refusal counts as none, but only if the subject itself can
    /// be read, and if the tag is refused again: a list that is there must not be overwritten.
    pub(super) async fn tagged(&self, tag: &str, subject: &Digest) -> Result<Option<(String, Bytes)>> {
        let refused = |e: &Error| matches!(e.kind(), Kind::Unauthorized | Kind::Denied);
        let mut found = self.get_manifest(tag).await;
        if found.as_ref().is_err_and(refused) {
            self.get_manifest(&subject.to_string()).await?.finish().await;
            found = self.get_manifest(tag).await;
        }
        match found {
            Ok(response) => {
                let media_type = response.media_type();
                Ok(Some((media_type, response.bytes(2 * MAX_MANIFEST).await?)))
            }
            Err(e) if e.kind() == Kind::NotFound || refused(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The bytes of a manifest, checked against the digest that the registry gives.
    pub(super) async fn manifest(&self, desc: &Descriptor) -> Result<Bytes> {
        let response = self.get_manifest(&desc.digest.to_string()).await?;
        checked_digest(&response, Some(&desc.digest))?;
        response.bytes(2 * MAX_MANIFEST).await
    }

    /// A verified manifest: at most 8 MiB, twice the maximum for writing.
    pub(super) async fn verified_manifest(&self, desc: &Descriptor) -> Result<Bytes> {
        let (digest, size, limit) = (&desc.digest, desc.size, 2 * MAX_MANIFEST);
        if size > limit {
            return Err(Error::limit(format!("{digest} has {size} bytes; the limit is {limit}")));
        }
        let bytes = blob::once(self.manifest(desc).await?);
        collect(verified(desc, bytes), size).await.context(|| format!("read {digest} from {self}"))
    }

    /// The bytes of a blob from an offset, in constant memory.
    pub(super) async fn blob(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        if from > 0 && from >= desc.size {
            return Ok(blob::once(Bytes::new()));
        }
        ParallelDownload::start(Download::new(self, desc, from)?).await
    }

    /// A part of a manifest or of a blob.
    pub(in crate::stores::registry) async fn read(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let rest = match item.role {
            Role::Manifest => self.manifest(&item.desc).await?.open(range.start).await?,
            Role::Blob => self.blob(&item.desc, range.start).await?,
        };
        Ok(part(rest, &range, &item.desc))
    }

    /// Presence of content. A size that contradicts the descriptor, or its digest, is not believed before a GET request
    /// has shown the same. Errors: the registry cannot be reached; no response is an error.
    async fn presence(&self, item: &Item) -> Result<Presence> {
        let Item { desc, .. } = item;
        let is_doubtful = |size| match desc.size {
            // Whoever asks for the size gives 0.
            0 => size == 0 && desc.digest != Digest::with(desc.digest.algorithm(), b""),
            expected => size != expected,
        };
        match self.head(item).await? {
            Some((true, Some(size))) if is_doubtful(size) => self.presence_by_get(item).await,
            Some((true, Some(size))) => Ok(Presence::here(size)),
            Some((false, _)) => Ok(Presence::Absent),
            _ => Ok(Presence::Unknown),
        }
    }

    /// Presence of content by the response to a GET request, of which only a manifest's body is read.
    async fn presence_by_get(&self, item: &Item) -> Result<Presence> {
        let digest = item.desc.digest.to_string();
        let size = match item.role {
            Role::Manifest => self.describe_by_get(&digest).await.map(|(desc, _)| Some(desc.size)),
            Role::Blob => self.blob_size(&digest).await,
        };
        match size {
            Ok(Some(size)) => Ok(Presence::here(size)),
            Err(e) if e.kind() == Kind::NotFound => Ok(Presence::Absent),
            Err(e) if e.kind() == Kind::Unreachable => Err(e),
            Ok(None) | Err(_) => Ok(Presence::Unknown),
        }
    }

    /// The size that a GET request of a blob announces.
    async fn blob_size(&self, digest: &str) -> Result<Option<u64>> {
        let response = self.send(&self.request(Method::GET, &format!("blobs/{digest}"))?, Access::Pull).await?;
        match response.status {
            StatusCode::OK => Ok(response.size_of_content()),
            _ => Err(not_in_repository(response, digest, self).await),
        }
    }

    /// Presence and, if known, size of content; `None` if the query was refused.
    pub(super) async fn head(&self, item: &Item) -> Result<Option<(bool, Option<u64>)>> {
        let kind = match item.role {
            Role::Manifest => "manifests",
            Role::Blob => "blobs",
        };
        let request = self.request(Method::HEAD, &format!("{kind}/{}", item.desc.digest))?;
        let response = match self.send(&request.with(header::ACCEPT, ACCEPT), Access::Pull).await {
            Ok(response) => response,
            Err(e) if e.kind() == Kind::Unreachable => return Err(e),
            Err(_) => return Ok(None),
        };
        Ok(match response.status {
            StatusCode::OK if item.desc.size == 0 => Some((true, response.number(header::CONTENT_LENGTH))),
            StatusCode::OK => Some((true, response.size_of_content())),
            StatusCode::NOT_FOUND => Some((false, None)),
            _ => None,
        })
    }

    /// Presence of these items, many at a time.
    pub(in crate::stores::registry) async fn presences(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let asked: Vec<_> = items.iter().map(|item| self.presence(item)).collect();
        stream::iter(asked).buffered(PARALLEL).try_collect().await
    }
}
