//! The members of an index that are kept where others are left out.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

use super::{Descriptor, Digest, annotation};

/// The platform that BuildKit gives attestations.
const ATTESTATIONS: &str = "unknown/unknown";

/// The platforms of an index whose members are kept, where others are left out on purpose, and whether the attestations
/// about these members are kept, too.
///
/// As text, the value of [`annotation::PLATFORMS`]: platforms separated by commas, with `unknown/unknown` for
/// attestations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platforms {
    platforms: BTreeSet<String>,
    attestations: bool,
}

impl Platforms {
    /// The platforms of these members.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Descriptor>, attestations: bool) -> Self {
        Self { platforms: members.into_iter().filter_map(platform).collect(), attestations }
    }

    /// For each member of an index, whether it is kept: those for these platforms and those for none, which no platform
    /// leaves out; attestations, if they are about a member that is kept.
    #[must_use]
    pub fn keeps(&self, members: &[&Descriptor]) -> Vec<bool> {
        let is_image = |member: &&Descriptor| {
            !member.is_attestation() && platform(member).is_none_or(|platform| self.platforms.contains(&platform))
        };
        let images: HashSet<&Digest> = members.iter().filter(|m| is_image(m)).map(|m| &m.digest).collect();
        let is_about_one = |member: &Descriptor| {
            let about = member.annotations.get(annotation::REFERENCE_DIGEST).and_then(|about| about.parse().ok());
            self.attestations && about.is_some_and(|about: Digest| images.contains(&about))
        };
        members.iter().map(|member| is_image(member) || (member.is_attestation() && is_about_one(member))).collect()
    }

    /// What is kept after a copy of these and one of others into one store. Attestations are kept if both have them:
    /// otherwise those of some members are missing.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.platforms.extend(other.platforms.iter().cloned());
        self.attestations &= other.attestations;
        self
    }

    /// The platforms, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.platforms.iter().map(String::as_str)
    }
}

/// The platform of a member as text; `None` for one that has none, or a text that could be mistaken for something else.
fn platform(member: &Descriptor) -> Option<String> {
    let text = member.platform.as_ref()?.to_string();
    (!text.contains(',') && text != ATTESTATIONS).then_some(text)
}

impl From<&str> for Platforms {
    fn from(text: &str) -> Self {
        let (attestations, platforms): (Vec<&str>, Vec<&str>) =
            text.split(',').filter(|part| !part.is_empty()).partition(|part| *part == ATTESTATIONS);
        Self { platforms: platforms.into_iter().map(Into::into).collect(), attestations: !attestations.is_empty() }
    }
}

impl fmt::Display for Platforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attestations = self.attestations.then_some(ATTESTATIONS);
        let all: Vec<&str> = self.names().chain(attestations).collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type;

    fn member(platform: &str) -> Descriptor {
        let (os, architecture) = platform.split_once('/').unwrap_or_default();
        let platform =
            super::super::Platform { os: os.into(), architecture: architecture.into(), ..Default::default() };
        Descriptor { platform: Some(platform.into()), ..Descriptor::of(media_type::MANIFEST, os.as_bytes()) }
    }

    fn about(digest: &str) -> Descriptor {
        let kind = (annotation::REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
        let annotations = [kind, (annotation::REFERENCE_DIGEST.to_owned(), digest.to_owned())].into();
        Descriptor { annotations, ..member("unknown/unknown") }
    }

    #[test]
    fn platforms_read_back_as_they_are_written() {
        for text in ["", "a/b", "a/b,c/d", "a/b,c/d,unknown/unknown", "unknown/unknown"] {
            assert_eq!(Platforms::from(text).to_string(), text);
        }
        assert_eq!(Platforms::from("c/d,,a/b,a/b").to_string(), "a/b,c/d");
    }

    #[test]
    fn members_of_other_platforms_are_left_out_with_the_attestations_about_them() {
        let (one, two, none) = (member("one/x"), member("two/x"), Descriptor::of(media_type::MANIFEST, b"none"));
        let all = [&one, &two, &none, &about(&one.digest.to_string()), &about(&two.digest.to_string()), &about("x")];
        let with = Platforms::of([&one], true);
        assert_eq!(with.keeps(&all), [true, false, true, true, false, false]);
        assert_eq!(Platforms::of([&one], false).keeps(&all), [true, false, true, false, false, false]);
        assert_eq!(Platforms::of([&one, &two], true).keeps(&all), [true, true, true, true, true, false]);
    }

    #[test]
    fn what_cannot_be_told_apart_in_the_text_is_always_kept() {
        let (odd, unknown) = (member("a,b/c"), member("unknown/unknown"));
        let none = Platforms::of([&odd, &unknown], false);
        assert_eq!((none.to_string().as_str(), none.keeps(&[&odd, &unknown])), ("", vec![true, true]));
    }

    #[test]
    fn two_copies_keep_the_platforms_of_both_and_the_attestations_that_neither_lacks() {
        let both = |one: &str, two: &str| Platforms::from(one).and(&Platforms::from(two)).to_string();
        assert_eq!(both("a/b", "c/d"), "a/b,c/d");
        assert_eq!(both("a/b,unknown/unknown", "c/d,unknown/unknown"), "a/b,c/d,unknown/unknown");
        assert_eq!(both("a/b,unknown/unknown", "c/d"), "a/b,c/d");
    }
}
