//! Signatures of files: one pass over the file, in constant memory.

use std::{io::Read as _, path::Path};

use aws_lc_rs::digest::{self, SHA256, SHA384};
use bytes::Bytes;

use super::{
    base64,
    evidence::{Candidate, Content, Evidence, Format, MAX_CONTENT},
    json,
    key::{PrivateKey, PublicKey},
    sigstore_bundle::{Material, MessageDigest, MessageSignature, PublicKeyHint, SigstoreBundle},
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    fs::{self, blocking},
    oci::{Descriptor, Digest, media_type},
    progress::{Event, Observer},
};

/// Largest file that keys sign which need the whole message (Ed25519), in bytes: it is read into memory.
pub const MAX_MESSAGE: u64 = 256 << 20;
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// A file, as far as signatures need it.
#[derive(Debug, Clone)]
pub struct FileHashes {
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes; 0 where only the digest was given.
    pub size: u64,
    hashes: Vec<digest::Digest>,
    message: Option<Bytes>,
}

impl FileHashes {
    /// Reads a file once, for signatures by these keys.
    ///
    /// Errors: the file cannot be read, or is larger than [`MAX_MESSAGE`] and one of the keys needs all of it.
    pub async fn read(path: &Path, keys: &[PublicKey], progress: &Observer) -> Result<Self> {
        let mut hashes = vec![digest::Context::new(&SHA256)];
        for hash in keys.iter().flat_map(PublicKey::hashes) {
            if hashes.iter().all(|other| other.algorithm() != hash.algorithm()) {
                hashes.push(hash);
            }
        }
        let whole = keys.iter().any(|key| key.hashes().is_empty());
        let (path, progress) = (path.to_owned(), progress.clone());
        let what = format!("read `{}`", path.display());
        blocking(move || Self::read_now(&path, hashes, whole, &progress)).await.context(|| what)
    }

    fn read_now(path: &Path, mut hashes: Vec<digest::Context>, whole: bool, progress: &Observer) -> Result<Self> {
        let (mut file, metadata) = fs::open_regular(path)?;
        if whole && metadata.len() > MAX_MESSAGE {
            let message = format!(
                "an Ed25519 key signs a file as a whole, and this one has {} bytes; the limit is {MAX_MESSAGE}",
                metadata.len()
            );
            return Err(Error::limit(message));
        }
        progress.tell(Event::Packing { files: 1, bytes: metadata.len() });
        let (mut buffer, mut message, mut size) = (vec![0; CHUNK], Vec::new(), 0_u64);
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            };
            let chunk = buffer.get(..count).unwrap_or_default();
            hashes.iter_mut().for_each(|hash| hash.update(chunk));
            size += count as u64;
            if whole {
                if size > MAX_MESSAGE {
                    return Err(Error::new(Kind::Changed, "the file grew while it was read"));
                }
                message.extend_from_slice(chunk);
            }
            progress.tell(Event::Read(count as u64));
        }
        let hashes: Vec<digest::Digest> = hashes.into_iter().map(digest::Context::finish).collect();
        let digest = hashes.first().and_then(|hash| Some(Digest::of_sha256(hash.as_ref().try_into().ok()?)));
        let digest = digest.ok_or_else(|| Error::new(Kind::Internal, "no hash was computed"))?;
        Ok(Self { digest, size, hashes, message: whole.then(|| message.into()) })
    }

    /// A file of which only the SHA-256 is known. Keys that need another hash, or the file, do not verify it.
    pub fn of_digest(digest: &Digest) -> Result<Self> {
        let odd = |_| Error::misuse(format!("`{digest}` is no SHA-256"));
        let hash = digest::Digest::import_less_safe(digest.as_bytes(), &SHA256).map_err(odd)?;
        Ok(Self { digest: digest.clone(), size: 0, hashes: vec![hash], message: None })
    }

    /// True if this is a signature of the file by this key.
    pub(super) fn is_signed(&self, key: &PublicKey, signature: &[u8]) -> bool {
        match &self.message {
            Some(message) if key.hashes().is_empty() => key.verifies(message, signature),
            _ => key.verifies_hashed(&self.hashes, signature),
        }
    }

    /// What a key lacks to verify the file, if anything.
    pub(super) fn lacks(&self, key: &PublicKey) -> Option<&'static str> {
        let Some(wanted) = key.hashes().into_iter().next() else {
            return self.message.is_none().then_some("an Ed25519 key verifies the file itself, not its digest");
        };
        let has = self.hashes.iter().any(|own| own.algorithm() == wanted.algorithm());
        (!has).then_some("this key signs another hash than SHA-256: give the file itself")
    }

    /// Signs the file: a sigstore bundle. The file must have been read for this key.
    pub fn sign(&self, key: &PrivateKey) -> Result<Bytes> {
        let unread = || Error::new(Kind::Internal, "the file was read for another key");
        let wanted = key.hash().map_or(&SHA256, |hash| hash.algorithm());
        let hash = self.hashes.iter().find(|hash| hash.algorithm() == wanted).ok_or_else(unread)?;
        let signature = match key.hash() {
            Some(_) => key.sign_hashed(hash)?,
            None => key.sign(self.message.as_ref().ok_or_else(unread)?)?,
        };
        let mut bundle = SigstoreBundle::of_key(key.public().hint());
        // The hash that is signed, by which other readers know how to verify.
        let digest = base64::Bytes(hash.as_ref().to_vec());
        bundle.message_signature = Some(MessageSignature {
            message_digest: Some(MessageDigest { algorithm: name(hash).to_owned(), digest }),
            signature: base64::Bytes(signature),
        });
        json::write(&bundle)
    }

    /// Errors: the bundle names another digest than that of this file. It may name none, as cosign does for Ed25519.
    pub(super) fn fits(&self, named: Option<&MessageDigest>) -> Result<(), String> {
        let Some(named) = named else { return Ok(()) };
        match self.hashes.iter().find(|hash| name(hash) == named.algorithm) {
            Some(hash) if *hash.as_ref() != *named.digest => Err("it is a signature of another file".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The name of a hash in bundles.
fn name(hash: &digest::Digest) -> &'static str {
    match hash.algorithm() {
        algorithm if *algorithm == SHA256 => "SHA2_256",
        algorithm if *algorithm == SHA384 => "SHA2_384",
        _ => "SHA2_512",
    }
}

impl Evidence {
    /// A sigstore bundle that lies beside a file: `bundle` is its path.
    pub async fn of_file(file: FileHashes, bundle: &Path) -> Result<Self> {
        let content = read_small(bundle, "bundle").await?;
        Ok(Self::of(file, Format::Bundle, bundle, SigstoreBundle::read_of_file(&content).map(Content::of)))
    }

    /// A bare signature in base64 that lies beside a file: `signature` is its path.
    pub async fn of_file_with_bare_signature(file: FileHashes, signature: &Path) -> Result<Self> {
        let content = read_small(signature, "signature").await?;
        let decoded = std::str::from_utf8(&content).map_err(|_| "this is no base64".to_owned());
        let decoded = decoded.and_then(|text| base64::Bytes::decode(text.trim()));
        let content = decoded.map(|signature| {
            let material = Material { public_key: Some(PublicKeyHint::default()), ..Material::default() };
            let mut bundle = SigstoreBundle::of_legacy(material);
            bundle.message_signature = Some(MessageSignature { message_digest: None, signature });
            Content::of(bundle)
        });
        Ok(Self::of(file, Format::Legacy, signature, content))
    }

    fn of(file: FileHashes, format: Format, place: &Path, content: Result<Content, String>) -> Self {
        let subject = Descriptor::new(media_type::OCTET_STREAM, file.digest.clone(), file.size);
        let candidates = vec![Candidate { format, place: place.display().to_string(), content }];
        Self { subject, candidates, errors: Vec::new(), legacy: None, file: Some(file) }
    }
}

async fn read_small(path: &Path, what: &str) -> Result<Vec<u8>> {
    let shown = format!("read the {what} `{}`", path.display());
    let path = path.to_owned();
    blocking(move || fs::read(&path, MAX_CONTENT)).await.context(|| shown)
}
