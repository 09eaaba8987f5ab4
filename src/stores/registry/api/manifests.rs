//! Writing manifests under digests and tags; removing manifests and blobs.

use bytes::Bytes;
use http::{HeaderValue, Method, header};

use super::{content_digest::checked_digest, repository::RepositoryApi};
use crate::{
    error::{Context as _, Error, Result},
    oci::{Algorithm, Descriptor, MAX_MANIFEST, Parsed, RefName, Role, Tag},
    store::Item,
    stores::registry::{auth::scope::Access, http::payload::Payload, origins::redact::excerpt},
};

/// Sent by a registry that lists this manifest among the referrers of its subject itself (distribution-spec, "Pushing
/// manifests with subject").
const SUBJECT: &str = "oci-subject";

/// The tags set together with a digest: the only proof that the registry supports this.
const TAGGED: &str = "oci-tag";

/// The response to an accepted manifest.
pub(super) struct Put {
    /// True if the registry lists the manifest among the referrers of its subject.
    pub(super) listed: bool,
    /// The additional tags that it set.
    pub(super) tagged: Vec<String>,
}

impl RepositoryApi {
    /// Verifies a manifest and stores it under its digest, or under tags; updates the list of referrers if the registry
    /// does not.
    pub(super) async fn publish_manifest(&self, desc: &Descriptor, bytes: &Bytes, tags: &[RefName]) -> Result<()> {
        if bytes.len() as u64 > MAX_MANIFEST {
            let message = format!("manifest of {} bytes exceeds the maximum of {MAX_MANIFEST}", bytes.len());
            return Err(Error::limit(message));
        }
        if let Some(bad) = tags.iter().find(|tag| tag.parse::<Tag>().is_err()) {
            return Err(Error::invalid(format!("`{}` is not a tag", excerpt(bad))));
        }
        let listed = self.put_under(desc, bytes, tags).await?;
        let parsed = Parsed::read(&desc.media_type, bytes).ok();
        match parsed.as_ref().and_then(Parsed::subject) {
            Some(subject) => {
                let added = self.list_referrer(subject, &referrer(desc, parsed.as_ref()), listed).await;
                added.context(|| format!("list {} among the referrers of {}", desc.digest, subject.digest))
            }
            None => Ok(()),
        }
    }

    /// PUTs a manifest under its tags, or under its digest if it has none; tells whether the registry lists it as a
    /// referrer.
    pub(super) async fn put_under(&self, desc: &Descriptor, bytes: &Bytes, tags: &[RefName]) -> Result<bool> {
        let digest = desc.digest.to_string();
        if tags.is_empty() {
            return Ok(self.put_manifest(desc, bytes, &digest, &[]).await?.listed);
        }
        let (mut listed, mut done) = (false, Vec::new());
        // For a tag, a registry computes sha256; content with another algorithm is put by digest, with the tags
        // alongside.
        if desc.digest.algorithm() != Algorithm::Sha256 {
            let put = self.put_manifest(desc, bytes, &digest, tags).await?;
            (listed, done) = (put.listed, put.tagged);
        }
        for tag in tags.iter().filter(|tag| !done.iter().any(|set| **tag == **set)) {
            listed |= self.put_manifest(desc, bytes, tag, &[]).await?.listed;
        }
        Ok(listed)
    }

    /// PUTs a manifest under a tag or a digest, and requests additional tags, which few registries support.
    pub(super) async fn put_manifest(
        &self,
        desc: &Descriptor,
        bytes: &Bytes,
        name: &str,
        beside: &[RefName],
    ) -> Result<Put> {
        let media_type = HeaderValue::from_str(&desc.media_type)
            .map_err(|_| Error::invalid(format!("invalid media type `{}`", excerpt(&desc.media_type))))?;
        let mut request =
            self.request(Method::PUT, &format!("manifests/{name}"))?.with(header::CONTENT_TYPE, media_type);
        if !beside.is_empty() {
            request.address.query_pairs_mut().extend_pairs(beside.iter().map(|tag| ("tag", tag.as_str())));
        }
        request.payload = Payload::Bytes(bytes.clone());
        let response = self.send(&request, Access::Push).await?.expect(&[201, 200, 202, 204]).await;
        let response = response.map_err(|e| e.with_digest(&desc.digest))?;
        checked_digest(&response, Some(&desc.digest))?;
        let listed = response.headers.contains_key(SUBJECT);
        let values = response.headers.get_all(TAGGED).iter().filter_map(|value| value.to_str().ok());
        let tagged = values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect();
        response.finish().await;
        Ok(Put { listed, tagged })
    }

    /// Removes a manifest or a blob. A manifest with a subject is also removed from the list of referrers that we
    /// maintain.
    pub(super) async fn remove(&self, Item { desc, role }: &Item) -> Result<()> {
        let (kind, subject) = match role {
            Role::Manifest => ("manifests", self.subject_of(desc).await?),
            Role::Blob => ("blobs", None),
        };
        let request = self.request(Method::DELETE, &format!("{kind}/{}", desc.digest))?;
        self.send(&request, Access::Delete).await?.expect(&[200, 202, 204]).await?.finish().await;
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

/// The descriptor of this manifest in a list of referrers: with its artifact type and annotations (distribution-spec,
/// "Listing Referrers").
pub(super) fn referrer(desc: &Descriptor, parsed: Option<&Parsed>) -> Descriptor {
    Descriptor {
        artifact_type: parsed.and_then(Parsed::artifact_type).map(Into::into),
        annotations: parsed.map(|parsed| parsed.annotations().clone()).unwrap_or_default(),
        ..desc.bare()
    }
}
