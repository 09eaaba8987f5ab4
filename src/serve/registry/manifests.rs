//! Manifests: read by tag or digest; accepted only if they are valid and all their content exists.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{
    Registry,
    budget::{FREE, Share},
    reply::{DOCKER_CONTENT_DIGEST, Refusal, Reply},
    request_body::RequestBody,
    route::{Query, Reference},
};
use crate::{
    blob,
    error::{Error, Kind, ServerCode},
    oci::{Descriptor, Digest, MAX_MANIFEST, Parsed, RepositoryName, Role, Tag, media_type},
    progress::Outcome,
    store::{self, Intent, Item, NameChange, NameOutcome, Presence, ReadStore, Store},
};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Limit of tags set by one request.
const MAX_TAGS: usize = 100;
/// What a tag takes in the list of a repository besides its name, in bytes.
const TAG_BYTES: u64 = 256;
/// How often a manifest is stored that others remove at the same time.
const ATTEMPTS: u32 = 5;

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
        let mut parsing = None;
        if let Reference::Digest(digest) = what
            && is_parsed(store, digest)
        {
            let size = store::size(store, digest, Role::Manifest).await.map_err(unknown())?;
            parsing = Some(self.room_to_parse(size).await?);
        }
        let found = store.resolve(&what.clone().into()).await.map_err(unknown());
        drop(parsing);
        found
    }

    /// Memory for parsing a manifest of this size.
    async fn room_to_parse(&self, size: u64) -> Result<Share, Refusal> {
        self.budget.parse(size).await.ok_or_else(Refusal::busy)
    }

    /// Whether content of this size is a manifest, as far as it can be read. Content that is not what its digest says
    /// is none.
    pub(super) async fn is_manifest(&self, store: &dyn ReadStore, digest: &Digest, size: u64) -> Result<bool, Refusal> {
        if size > 2 * MAX_MANIFEST {
            return Ok(false);
        }
        let _parsing = if is_parsed(store, digest) { Some(self.room_to_parse(size).await?) } else { None };
        match store.resolve(&digest.clone().into()).await {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Mismatch) => Ok(false),
            Err(e) => Err(Refusal::reading(ServerCode::BlobUnknown)(e)),
        }
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
        let algorithm = digest.as_ref().map_or_else(Default::default, Digest::algorithm);
        let found = Digest::with(algorithm, &bytes);
        if digest.is_some_and(|digest| digest != found) {
            return Err(Refusal::new(ServerCode::DigestInvalid, "the digest of the manifest does not match"));
        }
        let media_type = self.media_type_of(headers, &bytes).await?;
        let desc = Descriptor::new(media_type, found, bytes.len() as u64);
        let subject = self.push_manifest(name, &desc, &bytes, &tags).await?;
        let mut reply = Reply::new(StatusCode::CREATED)
            .header(header::LOCATION, format_args!("/v2/{name}/manifests/{}", desc.digest))
            .header(DOCKER_CONTENT_DIGEST, &desc.digest);
        if let Some(subject) = subject {
            reply = reply.header(OCI_SUBJECT, subject);
        }
        if by_query && !tags.is_empty() {
            reply = reply.header(OCI_TAG, tags.join(", "));
        }
        Ok(reply)
    }

    /// The media type from the client, without parameters, else that in the manifest.
    async fn media_type_of(&self, headers: &HeaderMap, bytes: &Bytes) -> Result<String, Refusal> {
        let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match said.and_then(|said| said.split(';').next()).map(str::trim) {
            Some(said) if media_type::points(said) => Ok(said.to_owned()),
            // Some clients send the default of their HTTP library.
            None | Some("" | "application/json" | media_type::OCTET_STREAM) => {
                let _parsing = self.room_to_parse(bytes.len() as u64).await?;
                Parsed::sniff(bytes).map_err(invalid)
            }
            Some(_) => {
                Err(Refusal::new(ServerCode::ManifestInvalid, "the `Content-Type` is not that of a manifest or index"))
            }
        }
    }

    /// Stores a manifest whose content is there, and sets its tags; returns its subject. Begins again where another
    /// request has removed the manifest in the meantime.
    async fn push_manifest(
        &self,
        name: &RepositoryName,
        desc: &Descriptor,
        bytes: &Bytes,
        tags: &[Tag],
    ) -> Result<Option<Digest>, Refusal> {
        let mut left = ATTEMPTS;
        loop {
            left = left.saturating_sub(1);
            let parsing = self.room_to_parse(desc.size).await?;
            let parsed = Parsed::read(&desc.media_type, bytes).map_err(invalid)?;
            let store = self.writable(name).await?;
            check_children(&*store, &parsed).await?;
            let subject = parsed.subject().map(|subject| subject.digest.clone());
            drop((parsed, parsing));
            match self.write_manifest(&*store, desc, bytes, tags).await {
                Ok(()) => return Ok(subject),
                Err(refusal) if left > 0 && refusal.is_conflict() => {}
                Err(refusal) => return Err(refusal),
            }
        }
    }

    async fn write_manifest(
        &self,
        store: &dyn Store,
        desc: &Descriptor,
        bytes: &Bytes,
        tags: &[Tag],
    ) -> Result<(), Refusal> {
        let names: Vec<_> = tags.iter().map(|tag| NameChange::set(tag.clone().into(), desc.bare())).collect();
        let mut reserved = self.quota.reserve();
        reserved.grow(desc.size).await?;
        let mut listed = Vec::new();
        for tag in tags {
            let mut one = self.quota.reserve();
            one.grow(TAG_BYTES.saturating_add(tag.len() as u64)).await?;
            listed.push((tag, one));
        }
        let items = vec![Item::manifest(desc.clone())];
        let write = store::begin(store, Intent { items, names: names.clone(), ..Intent::default() }).await?;
        // The memory is not held while others are waited for.
        let parsing = if is_parsed(store, &desc.digest) { Some(self.room_to_parse(desc.size).await?) } else { None };
        let outcome = write.puts().manifest(desc, bytes).await?;
        drop(parsing);
        names.into_iter().try_for_each(|change| write.name(change))?;
        let committed = write.commit().await?;
        if outcome != Outcome::Present {
            reserved.keep();
        }
        // A tag that was there takes no more than before.
        let is_new =
            |tag: &Tag| committed.names.iter().any(|(name, outcome)| **name == **tag && *outcome == NameOutcome::New);
        listed.into_iter().filter(|(tag, _)| is_new(tag)).for_each(|(_, one)| one.keep());
        Ok(())
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

/// Whether a store parses manifests in this process; another registry does not send them for that.
fn is_parsed<S: ReadStore + ?Sized>(store: &S, digest: &Digest) -> bool {
    store.home(&Item::manifest(Descriptor::new(media_type::OCTET_STREAM, digest.clone(), 0))).is_none()
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

fn invalid(error: Error) -> Refusal {
    let refusal = Refusal::new(ServerCode::ManifestInvalid, error.to_string());
    if error.kind() == Kind::Limit { refusal.status(413) } else { refusal }
}

/// Refuses a manifest that refers to missing content, or content of another size.
async fn check_children(store: &dyn Store, parsed: &Parsed) -> Result<(), Refusal> {
    let children = parsed.children().into_iter().filter(|(_, child)| !child.is_elsewhere());
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
