//! Tags: names of manifests in a registry.

use std::str::FromStr;

use super::{Digest, text::checked_text};
use crate::error::{Code, Error, Result};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

checked_text!(Tag);

impl Tag {
    /// `latest`, the default tag.
    #[must_use]
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// The tag of the list of referrers in registries without the referrers API: the algorithm cut to 32 characters,
    /// `-`, the encoded part cut to 64 (distribution-spec, "Referrers Tag Schema").
    #[must_use]
    pub fn of_referrers(subject: &Digest) -> Self {
        let mut encoded = subject.hex();
        encoded.truncate(64);
        Self(format!("{}-{encoded}", subject.algorithm().name()).into())
    }

    /// The tags of cosign for signatures, attestations and an SBOM of this manifest (`sha256-HEX.sig`, `.att`,
    /// `.sbom`). These are not referrers: nothing in them points back.
    #[must_use]
    pub fn companions_of(subject: &Digest) -> [Self; 3] {
        let base = Self::of_referrers(subject);
        ["sig", "att", "sbom"].map(|kind| Self(format!("{}.{kind}", base.0).into()))
    }
}

/// The error for an invalid tag or other name of an artifact.
pub(super) fn not_a_tag(text: &str) -> Error {
    let (message, location) = (format!("`{text}` is not a tag"), text.contains(['/', ':']));
    let code = if location { Code::TagExpected } else { Code::NotATag };
    Error::invalid(message).with_code(code).with_name(text)
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fits = text.len() <= 128
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(|b| first(b) || matches!(b, b'.' | b'-'));
        if fits { Ok(Self(text.into())) } else { Err(not_a_tag(text)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::{Algorithm, RefName};

    #[test]
    fn tags_follow_the_grammar_of_the_distribution_specification() {
        for good in ["v1", "_", "_x", "_a-", "1.0-rc..1", "1.0-rc.1_a", &"a".repeat(128)] {
            assert_eq!(good.parse::<Tag>().unwrap(), good);
        }
        for bad in ["", "-x", ".x", "-a", "a/b", "a:b", "a b", "a\n", "ä", "+", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn referrers_are_listed_under_a_tag_of_64_digits() {
        let short = Digest::of(b"{}");
        assert_eq!(*Tag::of_referrers(&short), *format!("sha256-{}", short.hex()));
        let long = Digest::with(Algorithm::Sha512, b"{}");
        assert_eq!(*Tag::of_referrers(&long), *format!("sha512-{}", &long.hex()[..64]));
        assert!(Tag::of_referrers(&long).parse::<Tag>().is_ok());
    }

    proptest! {
        #[test]
        fn every_tag_reads_back_and_is_a_name_of_a_layout(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            let tag: Tag = text.parse().unwrap();
            prop_assert_eq!(tag.to_string(), text.clone());
            prop_assert_eq!(&serde_json::from_value::<Tag>(serde_json::json!(text)).unwrap(), &tag);
            prop_assert_eq!(RefName::from(tag), text.parse::<RefName>().unwrap());
        }

        #[test]
        fn nothing_else_is_a_tag(text in "\\PC{0,140}") {
            let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            let fits = !text.is_empty() && text.len() <= 128 && text.chars().all(word) && !text.starts_with(['.', '-']);
            prop_assert_eq!(text.parse::<Tag>().is_ok(), fits);
        }
    }
}
