//! Content digests: parsed once, into values that are safe in a path and in a URL.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use ring::digest::{Context, SHA256, SHA512};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;
use crate::error::{Error, Result};

/// The hash algorithms that this library computes (image-spec descriptor.md, "Registered algorithms").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Algorithm {
    /// SHA-256, required by the specification.
    #[default]
    Sha256,
    /// SHA-512, optional in the specification.
    Sha512,
}

impl Algorithm {
    /// All algorithms, in order of preference.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The part before the colon.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| Error::unsupported(format!("unsupported digest algorithm `{name}`")))
    }
}

/// `algorithm:hex`, lower case, of the right length: no other value can be constructed.
///
/// Holds bytes: 40 for SHA-256, by far the most common, without an allocation. SHA-512 is on the heap, so that long
/// lists of digests stay small.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Bytes);

/// Ordered like their text: by the name of the algorithm, then by bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Bytes {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

impl Digest {
    /// The SHA-256 digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::with(Algorithm::Sha256, bytes)
    }

    /// The digest of these bytes with this algorithm.
    #[must_use]
    pub fn with(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest with this SHA-256, which another library computed.
    #[cfg(feature = "sign")]
    pub(crate) fn of_sha256(hash: [u8; 32]) -> Self {
        Self(Bytes::Sha256(hash))
    }

    /// The algorithm, written before the colon.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Bytes::Sha256(_) => Algorithm::Sha256,
            Bytes::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The raw hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Sha256(bytes) => bytes,
            Bytes::Sha512(bytes) => bytes.as_slice(),
        }
    }

    /// The part after the colon: lower-case hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        Hex::of(self.as_bytes()).as_str().to_owned()
    }

    /// The first twelve hexadecimal digits, for display.
    #[must_use]
    pub fn short(&self) -> String {
        self.as_bytes().get(..6).map_or_else(String::new, |first| Hex::of(first).as_str().to_owned())
    }
}

/// The hexadecimal digits of a digest, without an allocation: every path and every URL contains a digest.
struct Hex {
    digits: [u8; 128],
    len: usize,
}

impl Hex {
    fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| DIGITS[usize::from(half & 15)];
        let mut digits = [b'0'; 128];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
        }
        Self { digits, len: bytes.len().saturating_mul(2) }
    }

    fn as_str(&self) -> &str {
        self.digits.get(..self.len).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

/// Decodes lower-case digits; `None` unless there are exactly `2 * LEN`.
fn decode<const LEN: usize>(hex: &str) -> Option<[u8; LEN]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if hex.len() != 2 * LEN {
        return None;
    }
    let mut bytes = [0; LEN];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm().name())?;
        f.write_str(":")?;
        f.write_str(Hex::of(self.as_bytes()).as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads the grammar of image-spec descriptor.md, for the registered algorithms only.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("`{text}` is not a digest such as `sha256:…`"));
        let (algorithm, hex) = text.split_once(':').ok_or_else(bad)?;
        let bytes = match algorithm.parse()? {
            Algorithm::Sha256 => decode(hex).map(Bytes::Sha256),
            Algorithm::Sha512 => decode(hex).map(|bytes| Bytes::Sha512(Box::new(bytes))),
        };
        bytes.map(Self).ok_or_else(bad)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::deserialize(from)
    }
}

/// See [`hashed`].
static HASHED: AtomicU64 = AtomicU64::new(0);

/// How many bytes all hashers of this process have taken so far, to measure the cost of an operation.
#[must_use]
pub fn hashed() -> u64 {
    HASHED.load(Ordering::Relaxed)
}

/// Computes a digest incrementally.
///
/// Uses *ring*, which TLS needs anyway: without SHA instructions it is 1.6 times as fast as `sha2`, with them equally
/// fast.
#[derive(Clone)]
pub struct Hasher(Algorithm, Context);

impl Hasher {
    /// A hasher without input.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(
            algorithm,
            Context::new(match algorithm {
                Algorithm::Sha256 => &SHA256,
                Algorithm::Sha512 => &SHA512,
            }),
        )
    }

    /// Hashes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        HASHED.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.1.update(bytes);
    }

    /// The digest of all bytes.
    #[must_use]
    pub fn finish(self) -> Digest {
        let hash = self.1.finish();
        Digest(match self.0 {
            Algorithm::Sha256 => Bytes::Sha256(array(hash.as_ref())),
            Algorithm::Sha512 => Bytes::Sha512(Box::new(array(hash.as_ref()))),
        })
    }
}

/// The output of an algorithm, whose length is part of its name.
fn array<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    std::array::from_fn(|at| bytes.get(at).copied().unwrap_or_default())
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.0.name())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new(Algorithm::default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_digest_reads_back_and_is_ordered_as_its_text(one: [u8; 32], two: [u8; 32]) {
            for (one, two) in [(Algorithm::Sha256, Algorithm::Sha256), (Algorithm::Sha512, Algorithm::Sha256),
                (Algorithm::Sha256, Algorithm::Sha512), (Algorithm::Sha512, Algorithm::Sha512)]
                .map(|(a, b)| (Digest::with(a, &one), Digest::with(b, &two)))
            {
                let (left, right) = (one.to_string(), two.to_string());
                prop_assert_eq!(&left.parse::<Digest>().unwrap(), &one);
                prop_assert_eq!(&left, &format!("{}:{}", one.algorithm().name(), one.hex()));
                prop_assert_eq!(one.cmp(&two), left.cmp(&right));
                let json = serde_json::to_string(&one).unwrap();
                prop_assert_eq!(&json, &format!("\"{left}\""));
                prop_assert_eq!(&serde_json::from_str::<Digest>(&json).unwrap(), &one);
                prop_assert!(one.hex().starts_with(&one.short()) && one.short().len() == 12);
            }
        }
    }

    #[test]
    fn a_digest_is_small() {
        assert_eq!(size_of::<Digest>(), 40);
    }

    /// NIST's examples of "abc".
    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(Digest::of(b"abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(
            Digest::with(Algorithm::Sha512, b"abc").hex(),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }

    #[test]
    fn the_empty_object_has_the_digest_of_the_image_spec() {
        assert_eq!(
            Digest::of(b"{}").to_string(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }

    #[test]
    fn what_is_hashed_is_counted() {
        let before = hashed();
        let _ = Digest::of(&[0; 1000]);
        assert!(hashed() >= before + 1000);
    }

    #[test]
    fn only_well_formed_digests_of_known_algorithms_parse() {
        let hex = "a".repeat(64);
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
        assert!(format!("sha512:{hex}{hex}").parse::<Digest>().is_ok());
        for bad in [
            String::new(),
            hex.clone(),
            format!("sha256:{}", "A".repeat(64)),
            format!("sha256:{hex}\n"),
            format!("sha256:{hex}0"),
            format!("sha512:{hex}"),
            format!("md5:{}", "a".repeat(32)),
            "sha256:../../etc/passwd".into(),
            format!("sha256::{}", "a".repeat(63)),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
    }
}
