//! A sigstore of our own: a certificate authority with its certificate log, a transparency log of two leaves, and a timestamp
//! authority, with the trusted root that names them. All keys are made anew; nothing asks any other program.

use artifact::{oci::Digest, sign::BUNDLE};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

const ECDSA_SHA256: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const CODE_SIGNING: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x03";
pub(crate) const TIME_STAMPING: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x08";
const TST_INFO: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04";
/// The origin of the log's checkpoints.
const ORIGIN: &str = "log.virtual.example";

/// DER (X.690): one element.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..0x80 => vec![tag, u8::try_from(length).unwrap()],
        0x80..0x100 => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => [&[tag, 0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    };
    [head, content.to_vec()].concat()
}

fn seq<const N: usize>(parts: [Vec<u8>; N]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn set(part: Vec<u8>) -> Vec<u8> {
    tlv(0x31, &part)
}

fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(6, bytes)
}

fn int(value: u8) -> Vec<u8> {
    tlv(2, &[value])
}

/// A part with a number of its own.
fn numbered(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, content)
}

fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

fn utc(time: Timestamp) -> Vec<u8> {
    tlv(0x17, time.to_zoned(TimeZone::UTC).strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}

fn generalized(time: Timestamp) -> Vec<u8> {
    tlv(0x18, time.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

fn name(common: &str) -> Vec<u8> {
    if common.is_empty() {
        return seq([]);
    }
    let part = |id: &[u8], text: &str| set(seq([oid(id), tlv(0x0c, text.as_bytes())]));
    seq([part(b"\x55\x04\x0a", "virtual sigstore"), part(b"\x55\x04\x03", common)])
}

/// Seconds from now, or before it.
pub(crate) fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_secs(seconds)
}

const YEAR: i64 = 365 * 24 * 60 * 60;

/// A key on P-256.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// As `SubjectPublicKeyInfo`.
    pub(crate) fn public(&self) -> Vec<u8> {
        let algorithm = seq([oid(b"\x2a\x86\x48\xce\x3d\x02\x01"), oid(b"\x2a\x86\x48\xce\x3d\x03\x01\x07")]);
        seq([algorithm, bits(self.0.public_key().as_ref())])
    }

    pub(crate) fn public_pem(&self) -> String {
        pem::encode(&pem::Pem::new("PUBLIC KEY", self.public())).replace("\r\n", "\n")
    }

    fn id(&self) -> Vec<u8> {
        Digest::of(&self.public()).as_bytes().to_vec()
    }
}

/// What a certificate says.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) subject: &'static str,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// It may sign certificates.
    pub(crate) authority: bool,
    /// What it may be used for.
    pub(crate) usage: Option<&'static [u8]>,
    /// An address, and who vouches for it.
    pub(crate) identity: Option<(&'static str, &'static str)>,
    /// Its entry in the certificate log: by none, this one's, or another's.
    pub(crate) logged: Logged,
}

/// Whether a certificate is in the certificate log.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Logged {
    Not,
    Right,
    ElsewhereOrLater,
}

impl Certified {
    fn authority(subject: &'static str) -> Self {
        Self {
            subject,
            from: after(-YEAR),
            to: after(YEAR),
            authority: true,
            usage: Some(CODE_SIGNING),
            identity: None,
            logged: Logged::Not,
        }
    }

    /// Ten minutes around now, for an identity.
    pub(crate) fn signer() -> Self {
        Self {
            subject: "",
            from: after(-300),
            to: after(300),
            authority: false,
            usage: Some(CODE_SIGNING),
            identity: Some(("signer@virtual.example", "https://issuer.virtual.example")),
            logged: Logged::Right,
        }
    }
}

/// A key with its certificate.
pub(crate) struct Holder {
    pub(crate) key: Key,
    pub(crate) said: Certified,
    pub(crate) certificate: Vec<u8>,
    serial: Vec<u8>,
}

/// All authorities.
pub(crate) struct Sigstore {
    pub(crate) root: Holder,
    pub(crate) authority: Holder,
    pub(crate) log: Key,
    certificate_log: Key,
    stamp_root: Holder,
    pub(crate) stamper: Holder,
}

impl Sigstore {
    pub(crate) fn new() -> Self {
        Self::with(|_| (), |_| ())
    }

    /// With another certificate of the authority that signs those of signers, or of the timestamp authority.
    pub(crate) fn with(authority: impl Fn(&mut Certified), stamper: impl Fn(&mut Certified)) -> Self {
        let certificate_log = Key::new();
        let root = holder(Certified::authority("virtual root"), None, &certificate_log);
        let mut said = Certified::authority("virtual authority");
        authority(&mut said);
        let authority = holder(said, Some(&root), &certificate_log);
        let stamp_root = Certified { usage: None, ..Certified::authority("virtual time root") };
        let stamp_root = holder(stamp_root, None, &certificate_log);
        let mut said = Certified { usage: Some(TIME_STAMPING), ..Certified::authority("virtual time") };
        said.authority = false;
        stamper(&mut said);
        let stamper = holder(said, Some(&stamp_root), &certificate_log);
        Self { root, authority, log: Key::new(), certificate_log, stamp_root, stamper }
    }

    /// The document that says whom to believe.
    pub(crate) fn trusted_root(&self) -> Value {
        let start = json!({"start": after(-YEAR).to_string()});
        let log = |key: &Key, url: &str| {
            json!({
                "baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": {"keyId": STANDARD.encode(key.id())},
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.public()), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": start,
                },
            })
        };
        let chain = |first: &Holder, root: &Holder, url: &str| {
            let certificates = [first, root].map(|holder| json!({"rawBytes": STANDARD.encode(&holder.certificate)}));
            json!({
                "subject": {"organization": "virtual sigstore", "commonName": root.said.subject}, "uri": url,
                "certChain": {"certificates": certificates}, "validFor": start,
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.log, &format!("https://{ORIGIN}"))],
            "certificateAuthorities": [chain(&self.authority, &self.root, "https://ca.virtual.example")],
            "ctlogs": [log(&self.certificate_log, "https://ct.virtual.example")],
            "timestampAuthorities": [chain(&self.stamper, &self.stamp_root, "https://tsa.virtual.example")],
        })
    }

    /// A certificate by the authority for a new key.
    pub(crate) fn certify(&self, said: Certified) -> Holder {
        self.certify_by(said, &self.authority)
    }

    /// A certificate by whoever has one.
    pub(crate) fn certify_by(&self, said: Certified, issuer: &Holder) -> Holder {
        holder(said, Some(issuer), &self.certificate_log)
    }

    /// A certificate that its own key signs, under the authority's name.
    pub(crate) fn self_certified(&self, said: Certified) -> Holder {
        let key = Key::new();
        let issuer = Holder { said: self.authority.said.clone(), key, certificate: Vec::new(), serial: Vec::new() };
        holder(said, Some(&issuer), &self.certificate_log)
    }

    /// An entry of the log, the second of two, with this body.
    pub(crate) fn entry(&self, kind: [&str; 2], body: &Value, time: Timestamp) -> Value {
        let body = body.to_string();
        let leaf = |content: &[u8]| hash(&[&[0], content].concat());
        let other = leaf(b"{\"kind\":\"another entry\"}");
        let root = hash(&[&[1], &other[..], &leaf(body.as_bytes())].concat());
        let note = format!("{ORIGIN} - 1\n2\n{}\n", STANDARD.encode(&root));
        let signature = [&self.log.id()[..4], &self.log.sign(note.as_bytes())].concat();
        let hex: String = self.log.id().iter().map(|byte| format!("{byte:02x}")).collect();
        let promised = json!({
            "body": STANDARD.encode(&body), "integratedTime": time.as_second(), "logID": hex, "logIndex": 1,
        });
        json!({
            "logIndex": "1",
            "logId": {"keyId": STANDARD.encode(self.log.id())},
            "kindVersion": {"kind": kind[0], "version": kind[1]},
            "integratedTime": time.as_second().to_string(),
            "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.log.sign(promised.to_string().as_bytes()))},
            "inclusionProof": {
                "logIndex": "1", "rootHash": STANDARD.encode(&root), "treeSize": "2", "hashes": [STANDARD.encode(other)],
                "checkpoint": {"envelope": format!("{note}\n\u{2014} {ORIGIN} {}\n", STANDARD.encode(signature))},
            },
            "canonicalizedBody": STANDARD.encode(body),
        })
    }

    /// The entry of a signature of content with this digest. `verifier`: a certificate or a public key, in PEM.
    pub(crate) fn hashed_entry(&self, digest: &Digest, signature: &[u8], verifier: &str, time: Timestamp) -> Value {
        let body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
            "signature": {"content": STANDARD.encode(signature), "publicKey": {"content": STANDARD.encode(verifier)}},
        }});
        self.entry(["hashedrekord", "0.0.1"], &body, time)
    }

    /// The entry of a signed statement.
    pub(crate) fn statement_entry(&self, payload: &[u8], signature: &[u8], verifier: &str, time: Timestamp) -> Value {
        let hashed = |bytes: &[u8]| json!({"algorithm": "sha256", "value": Digest::of(bytes).hex()});
        let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": hashed(b"not known"),
            "payloadHash": hashed(payload),
            "signatures": [{"signature": STANDARD.encode(signature), "verifier": STANDARD.encode(verifier)}],
        }});
        self.entry(["dsse", "0.0.1"], &body, time)
    }

    /// A timestamp (RFC 3161) of these bytes.
    pub(crate) fn stamp(&self, signature: &[u8], time: Timestamp) -> Vec<u8> {
        let sha256 = || seq([oid(SHA256), tlv(5, &[])]);
        let imprint = seq([sha256(), octets(&hash(signature))]);
        let info = seq([int(1), oid(b"\x2a\x03\x04\x01"), imprint, int(7), generalized(time)]);
        let attribute = |id: &[u8], value: Vec<u8>| seq([oid(id), set(value)]);
        let attributes = [
            attribute(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03", oid(TST_INFO)),
            attribute(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04", octets(&hash(&info))),
        ]
        .concat();
        let signed = self.stamper.key.sign(&set(attributes.clone()));
        let signer = seq([
            int(1),
            seq([name(self.stamp_root.said.subject), self.stamper.serial.clone()]),
            sha256(),
            numbered(0, &attributes),
            seq([oid(ECDSA_SHA256)]),
            octets(&signed),
        ]);
        let content = seq([oid(TST_INFO), numbered(0, &octets(&info))]);
        let data = seq([int(3), set(sha256()), content, set(signer)]);
        let token = seq([oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), numbered(0, &data)]);
        seq([seq([int(0)]), token])
    }

    /// A bundle with a signature of this file by the holder of a certificate, in the log and with a timestamp at this time.
    pub(crate) fn sign_file(&self, file: &[u8], signer: &Holder, time: Timestamp) -> Value {
        let signature = signer.key.sign(file);
        let digest = Digest::of(file);
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(&signer.certificate)},
                "tlogEntries": [self.hashed_entry(&digest, &signature, &signer.pem(), time)],
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{"signedTimestamp": STANDARD.encode(self.stamp(&signature, time))}],
                },
            },
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(digest.as_bytes())},
                "signature": STANDARD.encode(signature),
            },
        })
    }

    /// The same by a key without a certificate.
    pub(crate) fn sign_file_by_key(&self, file: &[u8], key: &Key, time: Timestamp) -> Value {
        let signer = Holder { key: Key::new(), said: Certified::signer(), certificate: Vec::new(), serial: Vec::new() };
        let mut bundle = self.sign_file(file, &signer, time);
        let signature = key.sign(file);
        let entry = self.hashed_entry(&Digest::of(file), &signature, &key.public_pem(), time);
        bundle["verificationMaterial"] = json!({
            "publicKey": {},
            "tlogEntries": [entry],
            "timestampVerificationData": {
                "rfc3161Timestamps": [{"signedTimestamp": STANDARD.encode(self.stamp(&signature, time))}],
            },
        });
        bundle["messageSignature"]["signature"] = STANDARD.encode(signature).into();
        bundle
    }

    /// A bundle with a signed statement by the holder of a certificate, in the log at this time. `signed`: what is signed of it.
    pub(crate) fn sign_statement(&self, payload: &[u8], signed: &[u8], signer: &Holder, time: Timestamp) -> Value {
        let signature = signer.key.sign(signed);
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(&signer.certificate)},
                "tlogEntries": [self.statement_entry(payload, &signature, &signer.pem(), time)],
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload), "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": STANDARD.encode(signature)}],
            },
        })
    }
}

impl Holder {
    pub(crate) fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.certificate.clone())).replace("\r\n", "\n")
    }
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    Digest::of(bytes).as_bytes().to_vec()
}

/// A new key with a certificate by this issuer, or by itself.
fn holder(said: Certified, issuer: Option<&Holder>, certificate_log: &Key) -> Holder {
    let key = Key::new();
    let mut number = [0; 16];
    aws_lc_rs::rand::fill(&mut number).unwrap();
    number[0] = number[0] & 0x7f | 0x40;
    let serial = tlv(2, &number);
    let (by, by_name) = issuer.map_or((&key, said.subject), |issuer| (&issuer.key, issuer.said.subject));
    let to_be_signed = |extensions: &[u8]| {
        seq([
            numbered(0, &int(2)),
            serial.clone(),
            seq([oid(ECDSA_SHA256)]),
            name(by_name),
            seq([utc(said.from), utc(said.to)]),
            name(said.subject),
            key.public(),
            numbered(3, &tlv(0x30, extensions)),
        ])
    };
    let mut extensions = extensions(&said, &key, by);
    match said.logged {
        Logged::Not => {}
        Logged::Right => extensions.extend(logged(&to_be_signed(&extensions), by, certificate_log)),
        Logged::ElsewhereOrLater => extensions.extend(logged(&to_be_signed(&extensions), by, &Key::new())),
    }
    let to_be_signed = to_be_signed(&extensions);
    let certificate = seq([to_be_signed.clone(), seq([oid(ECDSA_SHA256)]), bits(&by.sign(&to_be_signed))]);
    Holder { key, said, certificate, serial }
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    seq([oid(id), critical, octets(value)])
}

fn extensions(said: &Certified, key: &Key, by: &Key) -> Vec<u8> {
    let usage = if said.authority { [1, 6] } else { [7, 0x80] };
    let mut all = extension(b"\x55\x1d\x0f", true, &tlv(3, &usage));
    all.extend(said.usage.iter().flat_map(|usage| {
        let critical = *usage == TIME_STAMPING && !said.authority;
        extension(b"\x55\x1d\x25", critical, &seq([oid(usage)]))
    }));
    let constraints = if said.authority { tlv(1, &[0xff]) } else { Vec::new() };
    all.extend(extension(b"\x55\x1d\x13", true, &seq([constraints])));
    let of = |key: &Key| hash(&key.public())[..20].to_vec();
    all.extend(extension(b"\x55\x1d\x0e", false, &octets(&of(key))));
    all.extend(extension(b"\x55\x1d\x23", false, &seq([tlv(0x80, &of(by))])));
    if let Some((identity, issuer)) = said.identity {
        all.extend(extension(b"\x55\x1d\x11", true, &seq([tlv(0x81, identity.as_bytes())])));
        const ISSUER: &[u8] = b"\x2b\x06\x01\x04\x01\x83\xbf\x30\x01";
        all.extend(extension(&[ISSUER, &[1]].concat(), false, issuer.as_bytes()));
        all.extend(extension(&[ISSUER, &[8]].concat(), false, &tlv(0x0c, issuer.as_bytes())));
    }
    all
}

/// The entry of a certificate in the certificate log (RFC 6962, 3.2 and 3.3), as an extension.
fn logged(to_be_signed: &[u8], by: &Key, log: &Key) -> Vec<u8> {
    let time = u64::try_from(after(-200).as_millisecond()).unwrap().to_be_bytes();
    let length = u32::try_from(to_be_signed.len()).unwrap().to_be_bytes();
    let signed = [&[0, 0], &time[..], &[0, 1], &hash(&by.public()), &length[1..], to_be_signed, &[0, 0]].concat();
    let signature = log.sign(&signed);
    let counted = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let entry = [&[0], &log.id()[..], &time, &[0, 0], &[4, 3], &counted(&signature)].concat();
    extension(b"\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02", false, &octets(&counted(&counted(&entry))))
}
