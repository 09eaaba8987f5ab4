//! Makes signatures and attestations in cosign's formats, and writes them beside what they are about.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    base64,
    dsse::{self, Envelope, EnvelopeSignature},
    evidence::{Evidence, Format, MAX_LAYERS, SIGNATURE as SIGNATURE_ANNOTATION, read_tagged},
    json,
    judging::judge,
    key::PrivateKey,
    requirement::{Requirement, Signer},
    sigstore_bundle::{MEDIA_TYPE, SigstoreBundle},
    simple_signing::{self, Payload},
    statement::{self, Statement, Subject, V1},
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, MAX_MANIFEST, Manifest, Parsed, Tag, annotation, media_type},
    store::{self, Expect, Intent, Item, NameChange, Store},
};

/// How often a legacy tag is written again after another writer changed it.
const ATTEMPTS: u32 = 40;
/// How often a legacy tag is looked at that others keep writing.
const LOOKS: u32 = 40;
/// How long a legacy tag must at least have stayed the same.
const QUIET: Duration = Duration::from_millis(100);
/// The longest pause before another attempt or look.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How to sign.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Writes a sigstore bundle, as a referrer.
    pub bundle: bool,
    /// Writes a legacy signature, which says that the artifact has this name: `registry/repository`, without a tag.
    pub legacy: Option<String>,
    /// Annotations that are signed along.
    pub annotations: BTreeMap<String, String>,
    /// Signs again what this key has signed with the same content.
    pub again: bool,
    /// The date in the manifest of a bundle, in RFC 3339; `None` leaves it out.
    pub created: Option<String>,
}

/// What was signed.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The artifact.
    pub subject: Descriptor,
    /// What was written, and in which format.
    pub written: Vec<Written>,
    /// The formats in which this key had signed the same already.
    pub present: Vec<Format>,
    /// The sigstore bundle, if one was made.
    pub bundle: Option<Bytes>,
}

/// A signature or attestation that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its format.
    pub format: Format,
    /// Its manifest.
    pub descriptor: Descriptor,
    /// Its tag, in the legacy format.
    pub tag: Option<Tag>,
}

/// A sigstore bundle with its manifest.
#[derive(Debug, Clone)]
pub struct BundleArtifact {
    /// The manifest, as lists of referrers have it.
    pub listed: Descriptor,
    /// The manifest itself.
    pub manifest: Bytes,
    /// The bundle.
    pub bundle: Bytes,
}

impl BundleArtifact {
    /// A bundle of this statement, signed, about this artifact.
    pub(super) fn of(
        subject: &Descriptor,
        statement: &[u8],
        predicate_type: &str,
        key: &PrivateKey,
        created: Option<&str>,
    ) -> Result<Self> {
        let sig = base64::Bytes(key.sign(&dsse::signed(dsse::IN_TOTO, statement))?);
        let mut bundle = SigstoreBundle::of_key(key.public().hint());
        bundle.dsse_envelope = Some(Envelope {
            payload: base64::Bytes(statement.to_vec()),
            payload_type: dsse::IN_TOTO.to_owned(),
            signatures: vec![EnvelopeSignature { sig, keyid: None }],
        });
        let bundle = json::write(&bundle)?;
        let mut annotations = BTreeMap::from([
            ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
            (annotation::PREDICATE_TYPE.to_owned(), predicate_type.to_owned()),
        ]);
        annotations.extend(created.map(|created| (annotation::CREATED.to_owned(), created.to_owned())));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: Some(MEDIA_TYPE.to_owned()),
            config: empty(),
            layers: vec![Descriptor::of(MEDIA_TYPE, &bundle)],
            subject: Some(subject.bare()),
            annotations,
        };
        let manifest = json::write(&manifest)?;
        let listed =
            Parsed::read(media_type::MANIFEST, &manifest)?.listed(&Descriptor::of(media_type::MANIFEST, &manifest));
        Ok(Self { listed, manifest, bundle })
    }

    /// The type of what it says.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        self.listed.annotations.get(annotation::PREDICATE_TYPE).map_or("", String::as_str)
    }

    /// The content, the manifest last.
    fn items(&self) -> Vec<Item> {
        let manifest = Item::manifest(self.listed.bare());
        vec![Item::blob(empty()), Item::blob(Descriptor::of(MEDIA_TYPE, &self.bundle)), manifest]
    }

    async fn put(&self, puts: &store::Puts) -> Result<()> {
        let bundle = Descriptor::of(MEDIA_TYPE, &self.bundle);
        let (config, content) = (empty(), Bytes::from_static(b"{}"));
        tokio::try_join!(puts.put(&config, &content, &[]), puts.put(&bundle, &self.bundle, &[]))?;
        puts.manifest(&self.listed.bare(), &self.manifest).await.map(drop)
    }
}

/// The empty descriptor without its data.
fn empty() -> Descriptor {
    Descriptor { data: None, ..Descriptor::empty() }
}

/// Signs an artifact in this store.
///
/// What this key has signed already with the same content is not signed again. A legacy signature is added to those that
/// are there: other layers keep their bytes, also where several signers write at once.
///
/// Errors: what is there cannot be read; the store refuses; 1,000 legacy signatures are there. In a layout or archive,
/// nothing has changed then.
pub async fn sign(store: &Arc<dyn Store>, subject: &Descriptor, key: &PrivateKey, options: &Options) -> Result<Signed> {
    sign_beside(store, Evidence::read(store.as_ref(), subject).await, key, options).await
}

/// Like [`sign`], where what is there was read before, for example while the key was.
pub async fn sign_beside(
    store: &Arc<dyn Store>,
    evidence: Evidence,
    key: &PrivateKey,
    options: &Options,
) -> Result<Signed> {
    let (present, subject, before) = look(evidence, key, options)?;
    let wants = |format: Format| !present.contains(&format);
    let bundle = (options.bundle && wants(Format::Bundle)).then(|| bundle(&subject, key, options)).transpose()?;
    let legacy = options.legacy.as_ref().filter(|_| wants(Format::Legacy));
    let legacy = legacy.map(|name| LegacySignature::new(&subject.digest, name, key, options)).transpose()?;
    let written = write(store, bundle.as_ref(), legacy.as_ref().map(|signature| (signature, before))).await?;
    Ok(Signed { subject, written, present, bundle: bundle.map(|made| made.bundle) })
}

/// A sigstore bundle with a signature of this artifact.
pub fn bundle(subject: &Descriptor, key: &PrivateKey, options: &Options) -> Result<BundleArtifact> {
    let statement = Statement {
        statement_type: V1.to_owned(),
        subject: vec![Subject::of(&subject.digest, options.annotations.clone())],
        predicate_type: statement::SIGNATURE.to_owned(),
        predicate: json!({}),
    };
    BundleArtifact::of(subject, &json::write(&statement)?, statement::SIGNATURE, key, options.created.as_deref())
}

/// Writes a bundle beside what it is about.
pub async fn write_bundle(store: &Arc<dyn Store>, bundle: &BundleArtifact) -> Result<Written> {
    let written = write(store, Some(bundle), None).await?;
    written.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "nothing was written"))
}

/// The manifest under a legacy tag, if there is one.
type Before = Option<(Descriptor, Bytes)>;

/// The formats in which this key has signed the same already, the artifact, and the legacy manifest that is there.
///
/// Errors: what is there could not be read.
fn look(mut evidence: Evidence, key: &PrivateKey, options: &Options) -> Result<(Vec<Format>, Descriptor, Before)> {
    let found = judge(&evidence, &Requirement::signature(vec![Signer::Key(key.public().clone())]));
    let before = evidence.legacy.take();
    if let Some(error) = evidence.errors.into_iter().next() {
        return Err(error.context("look for signatures that are there"));
    }
    let same = |format: Format| {
        let mut of_format = found.signatures.iter().filter(|found| found.format == format);
        of_format.any(|found| {
            let named = format == Format::Bundle || found.name == options.legacy;
            named && found.annotations == options.annotations
        })
    };
    let wanted = [(Format::Bundle, options.bundle), (Format::Legacy, options.legacy.is_some())];
    let present = wanted.into_iter().filter(|(format, wanted)| *wanted && !options.again && same(*format));
    Ok((present.map(|(format, _)| format).collect(), evidence.subject, before))
}

/// A legacy signature: a layer of the manifest under the artifact's `.sig` tag.
struct LegacySignature {
    tag: Tag,
    payload: Bytes,
    layer: Descriptor,
}

impl LegacySignature {
    fn new(digest: &Digest, name: &str, key: &PrivateKey, options: &Options) -> Result<Self> {
        let payload = json::write(&Payload::new(digest, name, &options.annotations))?;
        let mut layer = Descriptor::of(simple_signing::MEDIA_TYPE, &payload);
        let signature = base64::Bytes(key.sign(&payload)?).encode();
        layer.annotations.insert(SIGNATURE_ANNOTATION.to_owned(), signature);
        let [tag, _, _] = Tag::companions_of(digest);
        Ok(Self { tag, payload, layer })
    }

    /// The manifest with this signature added to those that are there.
    fn added_to(&self, before: Before) -> Result<LegacyManifest> {
        let malformed = |e| Error::caused(Kind::Invalid, format!("the tag `{}` is no manifest", self.tag), e);
        let mut manifest: Value = match &before {
            Some((_, bytes)) => serde_json::from_slice(bytes).map_err(malformed)?,
            None => json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": {}, "layers": []}),
        };
        let media_type = before.as_ref().map_or(media_type::MANIFEST, |(desc, _)| desc.media_type.as_str()).to_owned();
        let odd = || Error::invalid(format!("the tag `{}` is no manifest with layers", self.tag));
        let layers = manifest.get_mut("layers").and_then(Value::as_array_mut).ok_or_else(odd)?;
        if layers.len() >= MAX_LAYERS {
            return Err(Error::limit(format!("the tag `{}` has {} signatures already", self.tag, layers.len())));
        }
        layers.push(serde_json::to_value(&self.layer).map_err(malformed)?);
        let digests =
            layers.iter().map(|layer| layer.get("digest").and_then(Value::as_str)).collect::<Option<Vec<_>>>();
        let config = config(&digests.ok_or_else(odd)?);
        let config = Bytes::from(config.to_string());
        let is_docker = media_type == media_type::DOCKER_MANIFEST;
        let config_type = if is_docker { media_type::DOCKER_CONFIG } else { media_type::IMAGE_CONFIG };
        let config_desc = Descriptor::of(config_type, &config);
        let described = serde_json::to_value(&config_desc).map_err(malformed)?;
        manifest.as_object_mut().ok_or_else(odd)?.insert("config".to_owned(), described);
        let bytes = Bytes::from(manifest.to_string());
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(Error::limit(format!("the tag `{}` is full: no registry takes a larger manifest", self.tag)));
        }
        // Checks what was there as well.
        Parsed::read(&media_type, &bytes)?;
        let expect = before.map_or(Expect::Absent, |(desc, _)| Expect::Digest(desc.digest));
        Ok(LegacyManifest { descriptor: Descriptor::of(&media_type, &bytes), bytes, config_desc, config, expect })
    }

    /// True if this manifest has this signature.
    fn is_in(&self, (desc, bytes): &(Descriptor, Bytes)) -> Result<bool> {
        let Parsed::Manifest(manifest) = Parsed::read(&desc.media_type, bytes)? else { return Ok(false) };
        let same =
            |layer: &Descriptor| layer.digest == self.layer.digest && layer.annotations == self.layer.annotations;
        Ok(manifest.layers.iter().any(same))
    }
}

/// The config that cosign writes for layers with these digests.
fn config(digests: &[&str]) -> Value {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let history: Vec<Value> = digests.iter().map(|_| json!({"created": NEVER})).collect();
    json!({
        "architecture": "", "created": NEVER, "history": history, "os": "",
        "rootfs": {"type": "layers", "diff_ids": digests}, "config": {},
    })
}

struct LegacyManifest {
    descriptor: Descriptor,
    bytes: Bytes,
    config_desc: Descriptor,
    config: Bytes,
    /// What the tag stood for when it was read.
    expect: Expect,
}

/// Writes a bundle, and a legacy signature beside those that are there.
///
/// A layout or archive takes both in one session. In a registry, they are two, at the same time: the shorter the time
/// between reading and writing the legacy tag, the fewer signers meet.
async fn write(
    store: &Arc<dyn Store>,
    bundle: Option<&BundleArtifact>,
    legacy: Option<(&LegacySignature, Before)>,
) -> Result<Vec<Written>> {
    let legacy = match legacy {
        None => {
            write_once(store, bundle, None).await?;
            None
        }
        Some((signature, before)) if is_registry(store) => {
            let legacy = write_legacy(store, None, signature, before);
            let (legacy, _) = tokio::try_join!(legacy, write_once(store, bundle, None))?;
            Some(legacy)
        }
        Some((signature, before)) => Some(write_legacy(store, bundle, signature, before).await?),
    };
    let bundle = bundle.map(|made| Written { format: Format::Bundle, descriptor: made.listed.clone(), tag: None });
    Ok(bundle.into_iter().chain(legacy).collect())
}

/// Writes a legacy signature, and a bundle in the same session, until both are there.
async fn write_legacy(
    store: &Arc<dyn Store>,
    bundle: Option<&BundleArtifact>,
    signature: &LegacySignature,
    mut before: Before,
) -> Result<Written> {
    for attempt in 1..=ATTEMPTS {
        // A writer that had seen this signature may have brought it back.
        let there = match &before {
            Some(found) if attempt > 1 && signature.is_in(found)? => Some(found.0.clone()),
            _ => None,
        };
        let (descriptor, written) = match there {
            Some(descriptor) => (descriptor, Ok(Duration::ZERO)),
            None => {
                let manifest = signature.added_to(before)?;
                let written = write_once(store, bundle, Some((signature, &manifest))).await;
                (manifest.descriptor, written)
            }
        };
        match written {
            Err(e) if e.kind() == Kind::Exists => {}
            Err(e) => return Err(e),
            Ok(took) => {
                if stays(store, signature, if attempt > 1 { LONGEST_PAUSE } else { took }).await? {
                    return Ok(Written { format: Format::Legacy, descriptor, tag: Some(signature.tag.clone()) });
                }
            }
        }
        pause(attempt).await?;
        before = read_tagged(store.as_ref(), &signature.tag).await?;
    }
    let message = format!("the tag `{}` keeps changing: other clients are writing it", signature.tag);
    Err(Error::new(Kind::Unavailable, message))
}

/// Writes in one session. Gives how long the names took, from a look at what they stood for.
async fn write_once(
    store: &Arc<dyn Store>,
    bundle: Option<&BundleArtifact>,
    legacy: Option<(&LegacySignature, &LegacyManifest)>,
) -> Result<Duration> {
    let mut intent = Intent::default();
    if let Some(bundle) = bundle {
        intent.items.extend(bundle.items());
        intent.listed.push(bundle.listed.clone());
    }
    if let Some((signature, LegacyManifest { descriptor, config_desc, expect, .. })) = legacy {
        intent.items.extend([Item::blob(signature.layer.bare()), Item::blob(config_desc.clone())]);
        intent.items.push(Item::manifest(descriptor.clone()));
        let change = NameChange::set(signature.tag.clone().into(), descriptor.clone());
        intent.names.push(NameChange { expect: expect.clone(), replace: true, ..change });
    }
    if intent.items.is_empty() {
        return Ok(Duration::ZERO);
    }
    let names = intent.names.clone();
    let write = store::begin(store.as_ref(), intent).await?;
    let puts = write.puts();
    let put_bundle = async {
        match bundle {
            Some(bundle) => bundle.put(&puts).await,
            None => Ok(()),
        }
    };
    let put_legacy = async {
        let Some((signature, manifest)) = legacy else { return Ok(()) };
        let layer = signature.layer.bare();
        tokio::try_join!(
            puts.put(&layer, &signature.payload, &[]),
            puts.put(&manifest.config_desc, &manifest.config, &[])
        )?;
        puts.manifest(&manifest.descriptor, &manifest.bytes).await.map(drop)
    };
    tokio::try_join!(put_bundle, put_legacy)?;
    names.into_iter().try_for_each(|change| write.name(change))?;
    let begun = Instant::now();
    write.commit().await.context(|| "write the signature")?;
    Ok(begun.elapsed())
}

/// True for a store that writes a name without comparing what it stood for: a registry has no conditional writes.
fn is_registry(store: &Arc<dyn Store>) -> bool {
    store.abilities().refuses_incomplete
}

/// True if a legacy signature is still there once all that other writers sent at the same time has arrived.
///
/// A layout and an archive compare and write under a lock. In a registry, a writer that looked at the tag before this one
/// wrote it, and writes after that, removes this signature. `took`: how long this writer was between the two. Another one may
/// be slower, above all on a busy machine: so this waits until the tag has stayed the same for twice that time, and where
/// somebody else was seen to write it, for longer.
async fn stays(store: &Arc<dyn Store>, signature: &LegacySignature, took: Duration) -> Result<bool> {
    if !is_registry(store) {
        return Ok(true);
    }
    let (mut seen, mut quiet): (Option<Digest>, _) = (None, took.saturating_mul(2).clamp(QUIET, LONGEST_PAUSE));
    for _ in 0..LOOKS {
        let Some(found) = read_tagged(store.as_ref(), &signature.tag).await? else { return Ok(false) };
        if !signature.is_in(&found)? {
            return Ok(false);
        }
        let digest = found.0.digest;
        if seen.as_ref() == Some(&digest) {
            return Ok(true);
        }
        if seen.replace(digest).is_some() {
            quiet = LONGEST_PAUSE;
        }
        tokio::time::sleep(quiet).await;
    }
    Ok(true)
}

/// Waits for a moment that differs from writer to writer.
async fn pause(attempt: u32) -> Result<()> {
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::new(Kind::Io, "cannot get random numbers"))?;
    let share = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
    let most = Duration::from_millis(50).saturating_mul(attempt).min(LONGEST_PAUSE);
    tokio::time::sleep(most.mul_f64(share)).await;
    Ok(())
}
