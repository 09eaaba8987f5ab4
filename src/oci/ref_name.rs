//! Names of manifests in a layout.

use std::str::FromStr;

use super::{Digest, Reference, Tag, tag::not_a_tag, text::checked_text};
use crate::error::{Error, Result};

/// Longest accepted name, in bytes.
const MAX: usize = 512;

/// The name of a manifest in an `index.json`, the value of [`REF_NAME`](super::annotation::REF_NAME) (image-spec
/// annotations.md): letters and digits, with any number of the separators `-._:@/+` between them; at most 512 bytes.
///
/// Every [`Tag`] is valid, though a tag may begin with `_` and end with a separator, and so is every [`Reference`]: a
/// layout must be able to hold all names of registries. A digest is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(Box<str>);

checked_text!(RefName);

impl FromStr for RefName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = is_grammatical(text) || text.parse::<Tag>().is_ok() || text.parse::<Reference>().is_ok();
        if named && text.parse::<Digest>().is_err() {
            return Ok(Self(text.into()));
        }
        Err(not_a_tag(text))
    }
}

impl RefName {
    /// The digest in a tag of cosign's (`sha256-HEX.sig`, `.att`, `.sbom`): what the signatures under it are about.
    #[must_use]
    pub fn subject_of_companion(&self) -> Option<Digest> {
        let (base, _) = self.0.rsplit_once('.')?;
        let digest: Digest = base.replacen('-', ":", 1).parse().ok()?;
        Tag::companions_of(&digest).iter().any(|tag| **tag == *self.0).then_some(digest)
    }
}

fn is_grammatical(text: &str) -> bool {
    let separator = |c: char| "-._:@/+".contains(c);
    (1..=MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || separator(c))
        && !text.starts_with(separator)
        && !text.ends_with(separator)
}

impl From<Tag> for RefName {
    fn from(tag: Tag) -> Self {
        Self(String::from(tag).into())
    }
}

impl From<Reference> for RefName {
    fn from(reference: Reference) -> Self {
        Self(reference.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_references_and_names_of_the_image_specification_are_names() {
        let digest = Digest::of(b"");
        for good in [
            "v1",
            "_a-",
            "a/b",
            "stable-release",
            "app:1.0+build",
            "ghcr.io/a/b:v1",
            "ghcr.io/a/b:v1_",
            "[::1]:5000/a:v1",
            &format!("ghcr.io/a/b@{digest}"),
            &"a".repeat(512),
            &format!("ghcr.io/{}:{}@{digest}", "a".repeat(255), "b".repeat(128)),
        ] {
            assert_eq!(good.parse::<RefName>().unwrap(), good);
        }
        for bad in ["", "a b", "a\n", "ä", "/a", "a/", "-a", "[a]", "a*", &digest.to_string(), &"a".repeat(513)] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_grammar_of_the_specification_makes_is_a_name(
            text in "[A-Za-z0-9]{1,4}((-|\\.|_|:|@|\\+|--)[A-Za-z0-9]{1,4}){0,3}(/[A-Za-z0-9]{1,4}((-|--|\\+)[A-Za-z0-9]{1,4}){0,3}){0,3}",
        ) {
            let name: RefName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text.clone());
            prop_assert_eq!(serde_json::to_value(&name).unwrap(), serde_json::json!(text));
        }
    }

    #[test]
    fn companions_are_known_by_their_tags() {
        let digest = Digest::of(b"x");
        for tag in Tag::companions_of(&digest) {
            assert_eq!(RefName::from(tag).subject_of_companion(), Some(digest.clone()));
        }
        for other in ["v1", "v1.sig", &format!("sha256-{}", digest.hex()), &format!("sha256-{}.zip", digest.hex())] {
            assert_eq!(other.parse::<RefName>().unwrap().subject_of_companion(), None, "{other}");
        }
    }
}
