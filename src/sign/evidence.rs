//! What lies beside an artifact that may be a signature of it: read from its store, and not yet judged.
//!
//! Referrers and cosign's tags are always both read. What cannot be read is an error beside the rest, and never "there is
//! none": see [`Evidence::errors`].

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{
    base64,
    files::FileHashes,
    sigstore_bundle::{
        Certificate, Chain, MEDIA_TYPE_START, Material, MessageSignature, SigstoreBundle, Timestamp, Timestamps,
    },
    simple_signing,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Annotations, Descriptor, Digest, Manifest, Parsed, Tag, media_type},
    store::{self, Item, ReadStore},
};

/// Most referrers of one artifact that are read.
pub const MAX_REFERRERS: usize = 1000;
/// Most layers of one legacy tag that are read.
pub const MAX_LAYERS: usize = 1000;
/// Largest bundle, payload or envelope, in bytes.
pub const MAX_CONTENT: u64 = 4 << 20;
/// How much is read at a time.
const CONCURRENCY: usize = 32;

/// The artifact type of a referrer with legacy signatures, an experiment of cosign's. Read, never written.
const LEGACY_REFERRER: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The media type of legacy attestations.
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Annotations of legacy layers.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// What may be signatures of one artifact.
#[derive(Debug)]
pub struct Evidence {
    /// The artifact.
    pub subject: Descriptor,
    /// All of it.
    pub candidates: Vec<Candidate>,
    /// What could not be read, and limits that were hit: unless the rest suffices, nobody knows whether there is a
    /// signature.
    pub errors: Vec<Error>,
    /// The manifest under the tag for legacy signatures, as it was read.
    pub legacy: Option<(Descriptor, Bytes)>,
    /// The file, if it is not an artifact that is signed.
    pub(super) file: Option<FileHashes>,
}

/// What may be a signature.
#[derive(Debug)]
pub struct Candidate {
    /// Its format.
    pub format: Format,
    /// Where it lies: `sha256:…` of a referrer, or a tag; for a file, its name.
    pub place: String,
    /// The content, or what is wrong with it.
    pub(super) content: Result<Content, String>,
}

/// The format of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A sigstore bundle.
    Bundle,
    /// The older format of cosign: a payload, with its signature in an annotation.
    Legacy,
}

/// The content of a candidate.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bundle: SigstoreBundle,
    /// The payload of a legacy signature, of which the bundle has the signature.
    pub(super) payload: Option<Bytes>,
}

impl Evidence {
    /// Of an artifact with nothing beside it.
    #[must_use]
    pub fn none(subject: Descriptor) -> Self {
        Self { subject, candidates: Vec::new(), errors: Vec::new(), legacy: None, file: None }
    }

    /// Reads all that may be a signature of this artifact. The list of referrers and the tags are asked for at the same
    /// time, then their manifests, then their blobs.
    pub async fn read(store: &dyn ReadStore, subject: &Descriptor) -> Self {
        let [sig, att, _] = Tag::companions_of(&subject.digest);
        let (referrers, signatures, attestations) =
            tokio::join!(read_referrers(store, subject), read_tag(store, &sig), read_tag(store, &att));
        let mut evidence = Self { legacy: signatures.manifest, ..Self::none(subject.clone()) };
        for found in [referrers, signatures.found, attestations.found] {
            evidence.candidates.extend(found.candidates);
            evidence.errors.extend(found.errors);
        }
        evidence
    }
}

#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    errors: Vec<Error>,
}

impl From<Error> for Found {
    fn from(error: Error) -> Self {
        Self { candidates: Vec::new(), errors: vec![error] }
    }
}

impl Found {
    fn and(mut self, other: Self) -> Self {
        self.candidates.extend(other.candidates);
        self.errors.extend(other.errors);
        self
    }
}

async fn read_referrers(store: &dyn ReadStore, subject: &Descriptor) -> Found {
    let listed = match store.referrers(subject).await {
        Ok(listed) => listed,
        Err(e) => return e.context(format!("list the referrers of {}", subject.digest)).into(),
    };
    let mut found = Found::default();
    let mut wanted: Vec<Descriptor> = listed.into_iter().filter(may_be_signature).collect();
    if wanted.len() > MAX_REFERRERS {
        found.errors.push(Error::limit(format!(
            "{} has {} signatures and attestations; only {MAX_REFERRERS} are read",
            subject.digest,
            wanted.len()
        )));
        wanted.truncate(MAX_REFERRERS);
    }
    let read: Vec<Found> =
        stream::iter(wanted).map(|desc| read_referrer(store, desc)).buffered(CONCURRENCY).collect().await;
    read.into_iter().fold(found, Found::and)
}

/// Decided by the type that the list gives; without one, only the manifest can tell.
fn may_be_signature(desc: &Descriptor) -> bool {
    desc.artifact_type.as_deref().is_none_or(|found| is_bundle(found) || found == LEGACY_REFERRER)
}

fn is_bundle(found: &str) -> bool {
    found.starts_with(MEDIA_TYPE_START)
}

async fn read_referrer(store: &dyn ReadStore, desc: Descriptor) -> Found {
    let place = desc.digest.to_string();
    let bytes = match store::read_manifest(store, &desc).await {
        Ok(bytes) => bytes,
        Err(e) => return unreadable(e).into(),
    };
    let manifest = match Parsed::read(&desc.media_type, &bytes) {
        Ok(Parsed::Manifest(manifest)) => manifest,
        Ok(_) => return Found::default(),
        Err(e) => return broken(Format::Bundle, place, e.to_string()),
    };
    let artifact_type = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
    if artifact_type == LEGACY_REFERRER {
        return read_layers(store, &place, &manifest).await;
    }
    if !is_bundle(artifact_type) {
        return Found::default();
    }
    let [layer] = manifest.layers.as_slice() else {
        return broken(
            Format::Bundle,
            place,
            format!("a bundle has one layer, and this one has {}", manifest.layers.len()),
        );
    };
    if !is_bundle(&layer.media_type) {
        return broken(Format::Bundle, place, format!("its layer is a `{}`, not a bundle", layer.media_type));
    }
    match read_content(store, layer).await {
        Ok(Ok(bytes)) => one(Format::Bundle, place, SigstoreBundle::read(&bytes).map(Content::of)),
        Ok(Err(why)) => broken(Format::Bundle, place, why),
        Err(e) => e.into(),
    }
}

/// What is under a legacy tag.
#[derive(Default)]
struct Tagged {
    manifest: Option<(Descriptor, Bytes)>,
    found: Found,
}

/// The layers of a legacy tag, if there is one.
async fn read_tag(store: &dyn ReadStore, tag: &Tag) -> Tagged {
    let (desc, bytes) = match read_tagged(store, tag).await {
        Ok(Some(found)) => found,
        Ok(None) => return Tagged::default(),
        Err(e) => return Tagged { manifest: None, found: unreadable(e).into() },
    };
    let read = if media_type::is_index(&desc.media_type) {
        Err("it is an index, not a manifest".to_owned())
    } else {
        crate::oci::exact_keys::from_slice::<Manifest>(&bytes).map_err(|e| e.to_string())
    };
    let found = match read {
        Ok(manifest) => read_layers(store, tag, &manifest).await,
        Err(why) => broken(Format::Legacy, tag.to_string(), why),
    };
    Tagged { manifest: Some((desc, bytes)), found }
}

/// What the tag stands for; `None` if there is no such tag. Errors: also a tag whose manifest is missing.
pub(super) async fn read_tagged(store: &dyn ReadStore, tag: &Tag) -> Result<Option<(Descriptor, Bytes)>> {
    let (name, what) = (tag.clone().into(), || format!("read the tag `{tag}`"));
    let absent = |e: &Error| e.kind() == Kind::NotFound;
    match store.manifest_at_once(&name).await {
        Ok(None) => {}
        Err(e) if absent(&e) => return Ok(None),
        found => return found.context(what),
    }
    let desc = match store.resolve(&name).await {
        Err(e) if absent(&e) => return Ok(None),
        found => found.context(what)?,
    };
    let bytes = store::read_manifest(store, &desc).await.context(what)?;
    Ok(Some((desc, bytes)))
}

async fn read_layers(store: &dyn ReadStore, place: &str, manifest: &Manifest) -> Found {
    let mut found = Found::default();
    let count = manifest.layers.len();
    if count > MAX_LAYERS {
        found.errors.push(Error::limit(format!("{place} has {count} layers; only {MAX_LAYERS} are read")));
    }
    let layers: Vec<Descriptor> = manifest.layers.iter().take(MAX_LAYERS).cloned().collect();
    let read: Vec<Found> =
        stream::iter(layers).map(|layer| read_layer(store, place, layer)).buffered(CONCURRENCY).collect().await;
    read.into_iter().fold(found, Found::and)
}

async fn read_layer(store: &dyn ReadStore, place: &str, layer: Descriptor) -> Found {
    let envelope = layer.media_type == ENVELOPE;
    if !envelope && layer.media_type != simple_signing::MEDIA_TYPE {
        return Found::default();
    }
    let place = place.to_owned();
    let bytes = match read_content(store, &layer).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(why)) => return broken(Format::Legacy, place, why),
        Err(e) => return e.into(),
    };
    let content = legacy_material(&layer.annotations).and_then(|material| {
        let mut bundle = SigstoreBundle::of_legacy(material);
        if envelope {
            let read = super::json::read(&bytes).map_err(|e| format!("the envelope is malformed: {e}"))?;
            bundle.dsse_envelope = Some(read);
            return Ok(Content::of(bundle));
        }
        let text =
            layer.annotations.get(SIGNATURE).ok_or_else(|| format!("the annotation `{SIGNATURE}` is missing"))?;
        let signature = base64::Bytes::decode(text).map_err(|e| format!("the signature: {e}"))?;
        bundle.message_signature = Some(MessageSignature { message_digest: None, signature });
        Ok(Content { bundle, payload: Some(bytes) })
    });
    one(Format::Legacy, place, content)
}

/// What the annotations of a legacy layer say beside the signature, as parts of a bundle.
fn legacy_material(annotations: &Annotations) -> Result<Material, String> {
    let certificates = |key: &str| {
        let text = annotations.get(key).map(String::as_str).unwrap_or_default();
        let blocks = pem::parse_many(text).map_err(|e| format!("the annotation `{key}` is no PEM: {e}"))?;
        Ok::<_, String>(blocks.into_iter().map(|block| Certificate { raw_bytes: base64::Bytes(block.into_contents()) }))
    };
    let json = |key: &str| {
        let read = |text: &String| super::json::read::<serde_json::Value>(text.as_bytes());
        annotations.get(key).map(read).transpose().map_err(|e| format!("the annotation `{key}` is malformed: {e}"))
    };
    let mut material = Material::default();
    let leaf: Vec<Certificate> = certificates(CERTIFICATE)?.collect();
    if leaf.is_empty() {
        material.public_key = Some(Default::default());
    } else {
        let certificates = leaf.into_iter().chain(certificates(CHAIN)?).collect();
        material.x509_certificate_chain = Some(Chain { certificates });
    }
    if let Some(entry) = json(LOG_ENTRY)? {
        material
            .tlog_entries
            .push(log_entry(&entry).ok_or_else(|| format!("the annotation `{LOG_ENTRY}` lacks a part"))?);
    }
    if let Some(timestamp) = json(TIMESTAMP)? {
        let text = timestamp.get("SignedRFC3161Timestamp").and_then(|text| text.as_str());
        let text = text.ok_or_else(|| format!("the annotation `{TIMESTAMP}` lacks a part"))?;
        let signed_timestamp = base64::Bytes::decode(text)?;
        let rfc3161_timestamps = vec![Timestamp { signed_timestamp }];
        material.timestamp_verification_data = Some(Timestamps { rfc3161_timestamps });
    }
    Ok(material)
}

/// The entry of a log that an annotation of cosign's holds, as bundles have it.
fn log_entry(annotation: &serde_json::Value) -> Option<serde_json::Value> {
    let payload = annotation.get("Payload")?;
    let body = payload.get("body")?.as_str()?;
    let kind: serde_json::Value = super::json::read(&base64::Bytes::decode(body).ok()?).ok()?;
    let log: Vec<u8> = hex(payload.get("logID")?.as_str()?)?;
    Some(serde_json::json!({
        "logIndex": payload.get("logIndex")?.as_i64()?.to_string(),
        "logId": {"keyId": base64::Bytes(log).encode()},
        "kindVersion": {"kind": kind.get("kind")?.as_str()?, "version": kind.get("apiVersion")?.as_str()?},
        "integratedTime": payload.get("integratedTime")?.as_i64()?.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": annotation.get("SignedEntryTimestamp")?.as_str()?},
        "canonicalizedBody": body,
    }))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    format!("sha256:{text}").parse::<Digest>().ok().map(|digest| digest.as_bytes().to_vec())
}

/// The inner error says what is wrong with the content, the outer one that it could not be read.
async fn read_content(store: &dyn ReadStore, layer: &Descriptor) -> Result<Result<Bytes, String>> {
    if layer.size > MAX_CONTENT {
        return Ok(Err(format!("it has {} bytes; the limit is {MAX_CONTENT}", layer.size)));
    }
    let read = store::read(store, &Item::blob(layer.bare()), MAX_CONTENT).await.context(|| "read a signature");
    read.map(Ok).map_err(unreadable)
}

/// A part that is listed and missing, or not what its digest says, leaves open what it was. It is not the artifact that is
/// missing, and no signature that does not hold.
fn unreadable(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound | Kind::Mismatch => error.into_kind(Kind::Invalid),
        _ => error,
    }
}

impl Content {
    pub(super) fn of(bundle: SigstoreBundle) -> Self {
        Self { bundle, payload: None }
    }
}

fn one(format: Format, place: String, content: Result<Content, String>) -> Found {
    Found { candidates: vec![Candidate { format, place, content }], errors: Vec::new() }
}

fn broken(format: Format, place: String, why: String) -> Found {
    one(format, place, Err(why))
}
