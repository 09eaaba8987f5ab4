//! Public keys: they verify signatures.

use std::{fmt, path::Path};

use aws_lc_rs::{
    digest::{self, Context},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA256_ASN1,
        ECDSA_P521_SHA512_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    MAX_FILE,
    der::{self, BIT_STRING, INTEGER, SEQUENCE},
    file::{self, PUBLIC_KEY},
};
use crate::{
    error::{Context as _, Error, Result},
    fs,
    oci::Digest,
};

/// The algorithm of a key. The hash belongs to it: SHA-256 for P-256 and RSA (PKCS#1 v1.5), SHA-384 for P-384, SHA-512 for
/// P-521; Ed25519 takes the message as it is (RFC 8032, not its variant `Ed25519ph`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on the curve P-256.
    P256,
    /// ECDSA on the curve P-384.
    P384,
    /// ECDSA on the curve P-521.
    P521,
    /// RSA with 2,048 to 8,192 bits.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "ECDSA P-256",
            Self::P384 => "ECDSA P-384",
            Self::P521 => "ECDSA P-521",
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// What is before the point in a `SubjectPublicKeyInfo`, whose every length is fixed by the curve.
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::P256 => P256_PREFIX,
            Self::P384 => P384_PREFIX,
            Self::P521 => P521_PREFIX,
            Self::Ed25519 => ED25519_PREFIX,
            Self::Rsa => &[],
        }
    }

    /// Length of the point in bytes, uncompressed.
    fn point(self) -> usize {
        match self {
            Self::P256 => 65,
            Self::P384 => 97,
            Self::P521 => 133,
            Self::Ed25519 => 32,
            Self::Rsa => 0,
        }
    }

    /// The ways to verify: the algorithm's own hash first. Older versions of cosign took SHA-256 for all curves.
    fn ways(self) -> &'static [(&'static dyn VerificationAlgorithm, Option<&'static digest::Algorithm>)] {
        match self {
            Self::P256 => &[(&ECDSA_P256_SHA256_ASN1, Some(&digest::SHA256))],
            Self::P384 => {
                &[(&ECDSA_P384_SHA384_ASN1, Some(&digest::SHA384)), (&ECDSA_P384_SHA256_ASN1, Some(&digest::SHA256))]
            }
            Self::P521 => {
                &[(&ECDSA_P521_SHA512_ASN1, Some(&digest::SHA512)), (&ECDSA_P521_SHA256_ASN1, Some(&digest::SHA256))]
            }
            Self::Rsa => &[(&RSA_PKCS1_2048_8192_SHA256, Some(&digest::SHA256))],
            Self::Ed25519 => &[(&ED25519, None)],
        }
    }
}

const P256_PREFIX: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P384_PREFIX: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const P521_PREFIX: &[u8] =
    b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00";
const ED25519_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// `rsaEncryption` with `NULL` as its parameters (RFC 3279, 2.3.1).
const RSA_ALGORITHM: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// Fewest bits of an RSA key.
const RSA_BITS: usize = 2048;

/// The points of Ed25519 whose order is small, without the sign bit: under such a key, one signature fits many messages.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    edge(0x01, 0x00),
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    edge(0xec, 0xff),
    edge(0xed, 0xff),
    edge(0xee, 0xff),
];

/// A number next to 0 or to the prime of the field.
const fn edge(first: u8, others: u8) -> [u8; 32] {
    let mut bytes = [others; 32];
    bytes[0] = first;
    if others == 0xff {
        bytes[31] = 0x7f;
    }
    bytes
}

/// A public key. Two keys are equal if they are the same key, whatever file they came from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// As `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7), in the one form that is accepted.
    spki: Vec<u8>,
    /// Where the point, or the RSA key (PKCS#1), starts in `spki`.
    at: usize,
}

impl PublicKey {
    /// Reads a file with one PEM block `PUBLIC KEY`.
    ///
    /// Errors: kind `Misuse` for a file that cannot be read, and for what [`PublicKey::from_pem`] refuses.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || format!("read the public key `{}`", path.display());
        let text = fs::read(path, MAX_FILE).map_err(Error::of_configuration).context(what)?;
        Self::from_pem(&text).context(what)
    }

    /// Reads one PEM block `PUBLIC KEY`.
    ///
    /// Errors: kind `Misuse` for anything else, more than one key, a private key, a key of another algorithm, RSA below
    /// 2,048 bits, a point that is compressed or off its curve, and Ed25519 points of small order.
    pub fn from_pem(text: &[u8]) -> Result<Self> {
        let block = file::only_block(text)?;
        match block.tag() {
            PUBLIC_KEY => Self::from_der(block.contents()),
            tag if tag.ends_with("PRIVATE KEY") => {
                Err(Error::misuse(format!("this is a private key (`{tag}`); a public key belongs here")))
            }
            "CERTIFICATE" => Err(Error::misuse("this is a certificate, not a public key")),
            tag => Err(Error::misuse(format!("this is a PEM block `{tag}`, not `PUBLIC KEY`"))),
        }
    }

    /// Reads a `SubjectPublicKeyInfo` in DER. Errors: as for [`PublicKey::from_pem`].
    pub fn from_der(spki: &[u8]) -> Result<Self> {
        let (algorithm, at) = Self::locate(spki)?;
        let key = Self { algorithm, spki: spki.to_vec(), at };
        if algorithm == Algorithm::Ed25519 && is_small_order(key.point()) {
            return Err(Error::misuse(
                "this Ed25519 key has a point of small order, under which one signature fits many messages",
            ));
        }
        for (way, _) in algorithm.ways() {
            // Finds points that are off their curve.
            UnparsedPublicKey::new(*way, key.point())
                .parse()
                .map_err(|_| Error::misuse(format!("this is no valid {} key", algorithm.name())))?;
        }
        Ok(key)
    }

    /// The key with this algorithm and point.
    pub(super) fn of_point(algorithm: Algorithm, point: &[u8]) -> Result<Self> {
        Self::from_der(&[algorithm.prefix(), point].concat())
    }

    fn locate(spki: &[u8]) -> Result<(Algorithm, usize)> {
        use Algorithm::{Ed25519, P256, P384, P521};
        for algorithm in [P256, P384, P521, Ed25519] {
            let prefix = algorithm.prefix();
            let uncompressed = algorithm == Ed25519 || spki.get(prefix.len()) == Some(&4);
            if spki.starts_with(prefix) && spki.len() == prefix.len() + algorithm.point() && uncompressed {
                return Ok((algorithm, prefix.len()));
            }
        }
        if let Some(key) = rsa(spki) {
            let bits = rsa_bits(key).ok_or_else(|| Error::misuse("this is no valid RSA key"))?;
            if bits < RSA_BITS {
                return Err(Error::misuse(format!("this RSA key has {bits} bits; at least {RSA_BITS} are required")));
            }
            return Ok((Algorithm::Rsa, spki.len() - key.len()));
        }
        Err(Error::misuse(
            "this is no public key of a known form: ECDSA on P-256, P-384 or P-521 with an uncompressed point, RSA, or Ed25519",
        ))
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.spki
    }

    /// The key as a PEM block `PUBLIC KEY`.
    #[must_use]
    pub fn to_pem(&self) -> String {
        file::armour(PUBLIC_KEY, &self.spki)
    }

    /// The SHA-256 of the key: its name in messages.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.spki)
    }

    /// What sigstore bundles call the key: its SHA-256 in base64.
    #[must_use]
    pub fn hint(&self) -> String {
        STANDARD.encode(self.fingerprint().as_bytes())
    }

    /// True if this is a signature of `message` by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let holds = |way| UnparsedPublicKey::new(way, self.point()).verify(message, signature).is_ok();
        self.algorithm.ways().iter().any(|(way, _)| holds(*way))
    }

    /// The hashes of a message that [`PublicKey::verifies_hashed`] takes; empty for Ed25519, which needs the message.
    #[must_use]
    pub fn hashes(&self) -> Vec<Context> {
        self.algorithm.ways().iter().filter_map(|(_, hash)| hash.map(Context::new)).collect()
    }

    /// True if this is a signature, by this key, of the message with one of these hashes.
    #[must_use]
    pub fn verifies_hashed(&self, hashes: &[digest::Digest], signature: &[u8]) -> bool {
        let ways = self.algorithm.ways();
        let fits = |hash: &digest::Digest, of: &Option<&digest::Algorithm>| of.is_some_and(|of| of == hash.algorithm());
        let holds = |way, hash| UnparsedPublicKey::new(way, self.point()).verify_digest(hash, signature).is_ok();
        ways.iter().any(|(way, of)| hashes.iter().any(|hash| fits(hash, of) && holds(*way, hash)))
    }

    fn point(&self) -> &[u8] {
        self.spki.get(self.at..).unwrap_or_default()
    }
}

/// The RSA key (PKCS#1) in a `SubjectPublicKeyInfo`.
fn rsa(spki: &[u8]) -> Option<&[u8]> {
    let (algorithm, key) = der::element(SEQUENCE, der::only(SEQUENCE, spki)?)?;
    let key = der::only(BIT_STRING, key)?.strip_prefix(&[0])?;
    (algorithm == RSA_ALGORITHM).then_some(key)
}

/// Number of bits of the modulus.
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (modulus, exponent) = der::element(INTEGER, der::only(SEQUENCE, key)?)?;
    der::only(INTEGER, exponent)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let first = modulus.first().filter(|first| **first != 0)?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

fn is_small_order(point: &[u8]) -> bool {
    SMALL_ORDER.iter().any(|small| {
        let mut bytes = small.iter().zip(point).enumerate();
        bytes.all(|(at, (small, byte))| *small == if at == 31 { byte & 0x7f } else { *byte })
    })
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.algorithm.name(), self.fingerprint())
    }
}
