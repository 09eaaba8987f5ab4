//! One byte of a signature or of its material is another: it never holds.

use std::path::Path;

use artifact::{
    oci::Digest,
    sign::{
        Evidence, FileHashes, LogEntry, PublicKey, Requirement, Signer, Verdict, Verification, judge,
        keyless::{Identity, Pattern, TrustedRoot},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::vector;

/// How the bytes of a part stand in a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Base64,
    Text,
}

/// What is verified, and a bundle of it.
struct Subject {
    name: &'static str,
    bundle: Value,
    digest: Digest,
    requirement: Requirement,
}

impl Subject {
    async fn judge(&self, bundle: &[u8], path: &Path) -> Verification {
        std::fs::write(path, bundle).unwrap();
        let evidence = Evidence::of_file(FileHashes::of_digest(&self.digest).unwrap(), path).await.unwrap();
        judge(&evidence, &self.requirement)
    }
}

fn by_key() -> Requirement {
    Requirement::signature(vec![Signer::Key(PublicKey::read(&vector("keys/p256.pub")).unwrap())])
}

fn rooted(mut requirement: Requirement) -> Requirement {
    requirement.trusted_root = Some(TrustedRoot::read(&vector("trust/trusted_root.json")).unwrap());
    requirement
}

fn keyless() -> Requirement {
    let exact = |text: &str| Pattern::Exact(text.to_owned());
    let (identity, issuer) = (exact("signer@vectors.example"), exact("https://issuer.vectors.example"));
    rooted(Requirement::signature(vec![Signer::Identity(Identity { identity, issuer })]))
}

/// The bundle in a layout that refers to its artifact.
fn bundle_in(layout: &str) -> (Value, Digest) {
    let dir = vector("layouts").join(layout);
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let blob = |digest: &Value| dir.join("blobs/sha256").join(digest.as_str().unwrap().trim_start_matches("sha256:"));
    let index = read(&dir.join("index.json"));
    let listed = index["manifests"].as_array().unwrap().iter().find(|entry| entry["artifactType"].is_string());
    let manifest = read(&blob(&listed.unwrap()["digest"]));
    let bundle = read(&blob(&manifest["layers"][0]["digest"]));
    (bundle, manifest["subject"]["digest"].as_str().unwrap().parse().unwrap())
}

fn bundle_of_file(name: &str) -> (Value, Digest) {
    let read = |name: &str| std::fs::read(vector("files").join(name)).unwrap();
    let bundle = serde_json::from_slice(&read(&format!("{name}.sigstore.json"))).unwrap();
    (bundle, Digest::of(&read("file.txt")))
}

/// Every profile, with bundles of artifacts and of files.
fn subjects() -> Vec<Subject> {
    let (mut time, mut log) = (rooted(by_key()), rooted(by_key()));
    (time.timestamp, log.log) = (true, LogEntry::Demanded);
    let all: [(&'static str, (Value, Digest), Requirement); 8] = [
        ("key", bundle_in("bundle-key"), by_key()),
        ("key+time", bundle_in("bundle-key-tlog-tsa"), time.clone()),
        ("key+tlog", bundle_in("bundle-key-tlog"), log.clone()),
        ("keyless", bundle_in("bundle-keyless"), keyless()),
        ("file, key", bundle_of_file("key"), by_key()),
        ("file, key+time", bundle_of_file("key-tsa"), time),
        ("file, key+tlog", bundle_of_file("key-tlog"), log),
        ("file, keyless", bundle_of_file("keyless"), keyless()),
    ];
    all.into_iter().map(|(name, (bundle, digest), requirement)| Subject { name, bundle, digest, requirement }).collect()
}

/// The parts that must be as they were, where the bundle has them.
const PARTS: [(&str, Form); 9] = [
    ("/dsseEnvelope/payload", Form::Base64),
    ("/dsseEnvelope/payloadType", Form::Text),
    ("/dsseEnvelope/signatures/0/sig", Form::Base64),
    ("/messageSignature/signature", Form::Base64),
    ("/messageSignature/messageDigest/digest", Form::Base64),
    ("/verificationMaterial/certificate/rawBytes", Form::Base64),
    ("/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp", Form::Base64),
    ("/verificationMaterial/tlogEntries/0/canonicalizedBody", Form::Base64),
    ("/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope", Form::Text),
];
/// The other parts of a log entry.
const OF_ENTRY: [(&str, Form); 8] = [
    ("logId/keyId", Form::Base64),
    ("inclusionPromise/signedEntryTimestamp", Form::Base64),
    ("inclusionProof/rootHash", Form::Base64),
    ("inclusionProof/hashes/0", Form::Base64),
    ("inclusionProof/logIndex", Form::Text),
    ("inclusionProof/treeSize", Form::Text),
    ("integratedTime", Form::Text),
    ("kindVersion/kind", Form::Text),
];

/// Whether this part counts for what is demanded.
fn counts(subject: &Subject, part: &str) -> bool {
    let Requirement { timestamp, log, signers, .. } = &subject.requirement;
    let keyless = matches!(signers[0], Signer::Identity(_));
    match part {
        _ if part.contains("timestampVerificationData") => *timestamp || keyless,
        _ if part.contains("tlogEntries") => *log == LogEntry::Demanded || keyless,
        _ => true,
    }
}

/// Whether this byte is of the frame around what is signed, which is then the same: the name in front of a checkpoint's
/// signature, the algorithms and versions beside a timestamp's.
fn is_frame(part: &str, text: &str, at: usize, found: &Verification, right: &Verification) -> bool {
    if part.ends_with("/envelope") {
        let (note, line) = text.split_once("\n\n").unwrap();
        let name = line.rsplit_once(' ').unwrap().0.trim_start_matches('\u{2014}').len();
        let after = text.len() - line.rsplit_once(' ').unwrap().1.len();
        return at >= note.len() && ((after - name - 1..after).contains(&at) || at == text.len() - 1);
    }
    part.ends_with("/signedTimestamp")
        && found.signatures[0].time == right.signatures[0].time
        && outside_of_signed(text, at)
}

/// Whether this byte of a timestamp is neither of its statement, nor of the attributes that are signed, nor of the signature.
fn outside_of_signed(token: &str, at: usize) -> bool {
    let token = STANDARD.decode(token).unwrap();
    let find =
        |bytes: &[u8], from: usize| from + token[from..].windows(bytes.len()).position(|part| part == bytes).unwrap();
    // The statement is an octet string after its type; the signature is the last one.
    let kind = find(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04", 0);
    let statement = kind + 11 + 4;
    let attributes = find(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03", statement) - 4;
    let algorithm = find(b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", attributes);
    let signed =
        [statement..statement + usize::from(token[statement - 1]), attributes..algorithm, algorithm + 14..token.len()];
    !signed.iter().any(|range| range.contains(&at))
}

#[tokio::test]
async fn whatever_byte_of_what_is_demanded_is_another_it_is_not_verified() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.json");
    let (mut tried, mut held) = (0, Vec::new());
    for subject in subjects() {
        let right = subject.judge(subject.bundle.to_string().as_bytes(), &path).await;
        assert_eq!(right.verdict, Verdict::Verified, "{}: {:?}", subject.name, right.rejected);
        let entry = OF_ENTRY.map(|(part, form)| (format!("/verificationMaterial/tlogEntries/0/{part}"), form));
        let parts = PARTS.map(|(part, form)| (part.to_owned(), form));
        for (part, form) in parts.into_iter().chain(entry).filter(|(part, _)| counts(&subject, part)) {
            let Some(text) = subject.bundle.pointer(&part).and_then(Value::as_str) else { continue };
            let bytes = if form == Form::Base64 { STANDARD.decode(text).unwrap() } else { text.as_bytes().to_vec() };
            for at in 0..bytes.len() {
                let bits = [1_u8 << (at % 8), 0xff];
                for change in bits.into_iter().take(if at % 4 == 0 { 2 } else { 1 }) {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    let mut bundle = subject.bundle.clone();
                    *bundle.pointer_mut(&part).unwrap() = match form {
                        Form::Base64 => STANDARD.encode(&changed).into(),
                        Form::Text => String::from_utf8_lossy(&changed).into_owned().into(),
                    };
                    let found = subject.judge(bundle.to_string().as_bytes(), &path).await;
                    tried += 1;
                    if found.verdict == Verdict::Verified && !is_frame(&part, text, at, &found, &right) {
                        held.push(format!("{}: {part} byte {at} of {} by {change:#x}", subject.name, bytes.len()));
                    }
                }
            }
        }
    }
    assert!(held.is_empty(), "{} of {tried} held:\n{}", held.len(), held.join("\n"));
    assert!(tried > 10_000, "{tried}");
}

/// Also the spelling of the bundle may be changed, as far as it then says the same.
#[tokio::test]
async fn whatever_byte_of_a_bundle_is_another_nothing_else_is_verified_than_what_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.json");
    for subject in subjects().into_iter().filter(|subject| !subject.name.starts_with("file")) {
        let text = subject.bundle.to_string().into_bytes();
        let right = subject.judge(&text, &path).await;
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1 << (at % 7);
            let found = subject.judge(&changed, &path).await;
            for (found, right) in found.signatures.iter().zip(&right.signatures) {
                assert_eq!(found.statement, right.statement, "{} at {at}", subject.name);
                assert_eq!(found.signer, right.signer, "{} at {at}", subject.name);
            }
        }
        for end in (0..text.len()).step_by(7) {
            assert_ne!(
                subject.judge(&text[..end], &path).await.verdict,
                Verdict::Verified,
                "{} to {end}",
                subject.name
            );
        }
    }
}
