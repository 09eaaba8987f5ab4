//! The first digits of a digest, for people who copy them from a screen.

use std::str::FromStr;

use super::{Digest, text::checked_text};
use crate::error::{Error, Result};

/// Minimum number of hexadecimal digits: fewer are too ambiguous.
const LEAST: usize = 8;

/// `algorithm:hex` with at least 8 digits, but fewer than a whole digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestPrefix(Box<str>);

checked_text!(DigestPrefix);

impl DigestPrefix {
    /// True if the digest starts with this prefix.
    #[must_use]
    pub fn fits(&self, digest: &Digest) -> bool {
        digest.to_string().starts_with(&*self.0)
    }
}

impl FromStr for DigestPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let whole = |name: &str| match name {
            "sha256" => Some(64),
            "sha512" => Some(128),
            _ => None,
        };
        let fits = text.split_once(':').is_some_and(|(name, hex)| {
            let digits = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            digits && whole(name).is_some_and(|whole| (LEAST..whole).contains(&hex.len()))
        });
        if fits {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(format!("`{text}` is not a digest or at least its first {LEAST} digits")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_or_more_stand_for_a_digest() {
        let digest = Digest::of(b"hello");
        let text = digest.to_string();
        for good in [15, 20, 70] {
            let prefix: DigestPrefix = text[..good].parse().unwrap();
            assert!(prefix.fits(&digest) && !prefix.fits(&Digest::of(b"")));
            assert_eq!(prefix, &text[..good]);
        }
        for bad in [&text[..14], &text, "sha256:", "2cf24dba5", "md5:2cf24dba", "sha256:2CF24DBA", "sha256:2cf24dbg"] {
            assert!(bad.parse::<DigestPrefix>().is_err(), "{bad}");
        }
    }
}
