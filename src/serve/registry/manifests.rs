//! Manifests: read by tag or digest; accepted only if they are valid and all their content exists.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{
    Registry,
    reply::{DOCKER_CONTENT_DIGEST, Refusal, Reply},
    request_body::RequestBody,
    route::{Query, Reference},
};
use crate::{
    blob,
    error::{Error, Kind, ServerCode},
    oci::{Descriptor, Digest, MAX_MANIFEST, Parsed, RepositoryName, media_type},
    progress::Outcome,
    serve::content::budget::FREE,
    store::{self, Intent, Item, NameChange, Presence, ReadStore, Store},
};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Limit of tags set by one request.
const MAX_TAGS: usize = 100;

impl Registry {
    pub(super) async fn head_manifest(&self, name: &RepositoryName, what: &Reference) -> Result<Reply, Refusal> {
        let store = self.repository(name).await?;
        let desc = self.resolve(&*store, what).await?;
        Ok(described(&desc, futures_util::StreamExt::boxed(futures_util::stream::empty())))
    }

    pub(super) async fn get_manifest(&self, name: &RepositoryName, what: &Reference) -> Result<Reply, Refusal> {
        let store = self.repository(name).await?;
        let desc = self.resolve(&*store, what).await?;
        let unknown = || Refusal::reading(ServerCode::ManifestUnknown);
        let item = Item::manifest(desc.bare());
        if desc.size > FREE {
            let range = 0..desc.size;
            let body = self.content(&*store, item, range).await.map_err(unknown())?;
            return Ok(described(&desc, body));
        }
        let bytes = store::read(&*store, &item, FREE).await.map_err(unknown())?;
        Ok(described(&desc, blob::once(bytes)))
    }

    /// The manifest with this tag or digest. What only a digest tells of is read for that.
    async fn resolve(&self, store: &dyn ReadStore, what: &Reference) -> Result<Descriptor, Refusal> {
        let unknown = || Refusal::reading(ServerCode::ManifestUnknown);
        let mut share = None;
        if let Reference::Digest(digest) = what {
            let item = Item::manifest(Descriptor::new(media_type::OCTET_STREAM, digest.clone(), 0));
            // Another registry does not send the manifest.
            if store.home(&item).is_none() {
                let size = store::size(store, digest, item.role).await.map_err(unknown())?;
                share = Some(self.budget.parse(size).await.ok_or_else(Refusal::busy)?);
            }
        }
        let found = store.resolve(&what.clone().into()).await.map_err(unknown());
        drop(share);
        found
    }

    /// Stores a manifest byte for byte (distribution-spec, "Pushing Manifests"). All its content must exist, except its
    /// subject.
    pub(super) async fn put_manifest(
        &self,
        name: &RepositoryName,
        what: Reference,
        query: &Query,
        headers: &HeaderMap,
        content: RequestBody,
    ) -> Result<Reply, Refusal> {
        let (digest, tags, by_query) = match what {
            Reference::Tag(tag) => (None, vec![tag], false),
            Reference::Digest(digest) => (Some(digest), query.tags()?, true),
        };
        if tags.len() > MAX_TAGS {
            return Err(Refusal::new(ServerCode::Unsupported, format!("the request sets more than {MAX_TAGS} tags"))
                .status(414));
        }
        let (bytes, _held) = content.collect(MAX_MANIFEST, &self.budget).await?;
        let _parsed = self.budget.parse(bytes.len() as u64).await.ok_or_else(Refusal::busy)?;
        let algorithm = digest.as_ref().map_or_else(Default::default, Digest::algorithm);
        let found = Digest::with(algorithm, &bytes);
        if digest.is_some_and(|digest| digest != found) {
            return Err(Refusal::new(ServerCode::DigestInvalid, "the digest of the manifest does not match"));
        }
        let media_type = media_type_of(headers, &bytes)?;
        let parsed = Parsed::read(&media_type, &bytes).map_err(invalid)?;
        let store = self.writable(name).await?;
        check_children(&*store, &parsed).await?;
        let desc = Descriptor::new(media_type, found, bytes.len() as u64);
        let names: Vec<_> = tags.iter().map(|tag| NameChange::set(tag.clone().into(), desc.bare())).collect();
        let mut reserved = self.quota.reserve();
        reserved.grow(desc.size).await?;
        let items = vec![Item::manifest(desc.clone())];
        let write = store::begin(&*store, Intent { items, names: names.clone(), ..Intent::default() }).await?;
        let outcome = write.puts().manifest(&desc, &bytes).await?;
        names.into_iter().try_for_each(|change| write.name(change))?;
        write.commit().await?;
        if outcome != Outcome::Present {
            reserved.keep();
        }
        let mut reply = Reply::new(StatusCode::CREATED)
            .header(header::LOCATION, format_args!("/v2/{name}/manifests/{}", desc.digest))
            .header(DOCKER_CONTENT_DIGEST, &desc.digest);
        if let Some(subject) = parsed.subject() {
            reply = reply.header(OCI_SUBJECT, &subject.digest);
        }
        if by_query && !tags.is_empty() {
            reply = reply.header(OCI_TAG, tags.join(", "));
        }
        Ok(reply)
    }

    /// Removes a tag, or a manifest with all its tags.
    pub(super) async fn delete_manifest(&self, name: &RepositoryName, what: Reference) -> Result<Reply, Refusal> {
        let store = self.existing(name).await?;
        let failed = || Refusal::deleting(ServerCode::ManifestUnknown);
        match what {
            Reference::Tag(tag) => store::remove_name(&*store, tag.into()).await.map_err(failed())?,
            Reference::Digest(_) => {
                let desc = self.resolve(&*store, &what).await?;
                let size = desc.size;
                store::delete(&*store, Item::manifest(desc)).await.map_err(failed())?;
                self.quota.removed(size);
            }
        }
        Ok(Reply::new(StatusCode::ACCEPTED))
    }
}

/// A reply with a manifest and its headers.
fn described(desc: &Descriptor, bytes: blob::ByteStream) -> Reply {
    // A layout can give any media type; a browser must never get that of a web page.
    let known = media_type::points(&desc.media_type) || is_json(&desc.media_type);
    let media_type = if known { &desc.media_type } else { media_type::OCTET_STREAM };
    Reply::new(StatusCode::OK)
        .header(DOCKER_CONTENT_DIGEST, &desc.digest)
        .header(header::ETAG, format_args!("\"{}\"", desc.digest))
        .body(media_type, desc.size, bytes)
}

fn is_json(media_type: &str) -> bool {
    media_type::is_valid(media_type) && media_type.starts_with("application/") && media_type.ends_with("json")
}

/// The media type from the client, without parameters, else that in the manifest.
fn media_type_of(headers: &HeaderMap, bytes: &Bytes) -> Result<String, Refusal> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match said.and_then(|said| said.split(';').next()).map(str::trim) {
        Some(said) if media_type::points(said) => Ok(said.to_owned()),
        // Some clients send the default of their HTTP library.
        None | Some("" | "application/json" | media_type::OCTET_STREAM) => Parsed::sniff(bytes).map_err(invalid),
        Some(_) => {
            Err(Refusal::new(ServerCode::ManifestInvalid, "the `Content-Type` is not that of a manifest or index"))
        }
    }
}

fn invalid(error: Error) -> Refusal {
    let refusal = Refusal::new(ServerCode::ManifestInvalid, error.to_string());
    if error.kind() == Kind::Limit { refusal.status(413) } else { refusal }
}

/// Refuses a manifest that refers to missing content, or content of another size.
async fn check_children(store: &dyn Store, parsed: &Parsed) -> Result<(), Refusal> {
    let children = parsed.children().into_iter().filter(|(_, child)| must_be_here(child));
    let items: Vec<Item> = children.map(|(role, child)| Item { desc: child.bare(), role }).collect();
    let found = store.has(&items).await.map_err(Refusal::reading(ServerCode::ManifestBlobUnknown))?;
    for (Item { desc, .. }, presence) in items.iter().zip(found) {
        match presence {
            Presence::Here { size } if size == desc.size => {}
            Presence::Here { size } => {
                let message = format!("{} has {size} bytes, not {}", desc.digest, desc.size);
                return Err(Refusal::new(ServerCode::ManifestInvalid, message));
            }
            Presence::Absent | Presence::Unknown => {
                let message = format!("{} is not in the repository", desc.digest);
                return Err(Refusal::new(ServerCode::ManifestBlobUnknown, message));
            }
        }
    }
    Ok(())
}

/// Whether content must exist in the repository. Non-distributable layers stay at their `urls` (image-spec layer.md,
/// "Non-Distributable Layers"; Docker calls them foreign).
fn must_be_here(desc: &Descriptor) -> bool {
    !desc.media_type.contains(".nondistributable.") && !desc.media_type.contains(".foreign.")
}
