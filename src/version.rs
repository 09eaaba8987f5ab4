//! Versions in tags (<https://semver.org>, 2.0.0), their order, and ranges of them.
//!
//! Only text is looked at here: which tags there are is a question for a store.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// The version that a tag is. The order is that of the specification; of versions that differ in their build metadata
/// alone, that of the metadata.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(semver::Version);

impl Version {
    /// The version that a tag or other name of an artifact is, if it is one: `1.4.0`, `v1.4.0`. A `_` is the `+` of build
    /// metadata, which no tag can have: Helm writes it so. Of a whole reference (`registry.example/app:1.4.0`), the tag
    /// counts.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let tag = name.rsplit(':').next().unwrap_or(name);
        let text = tag.strip_prefix('v').unwrap_or(tag);
        semver::Version::parse(&text.replace('_', "+")).ok().map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of versions: `^1.2`, `~1.2.3`, `>=1 <2`, `1.x`, `*`. Each part means what it means in Cargo; a version must be
/// in all parts. A pre-release is in a range only if a part names a pre-release of the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    text: String,
    parts: semver::VersionReq,
}

impl VersionRange {
    /// Whether a text is meant as a range. Of these, only `1.x` and its like could also be a tag.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        let operator = |c: char| "^~<>=".contains(c);
        let rest = text.trim_start_matches(|c| operator(c) || c == ' ');
        let begins = rest.strip_prefix('v').unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit() || c == '*');
        let fits = |c: char| c.is_ascii_alphanumeric() || operator(c) || ".+-_*, |".contains(c);
        begins && text.chars().all(fits) && (text.starts_with(operator) || rest.contains('*') || is_wildcard(text))
    }

    /// Whether the range could also be a tag, as `1.x` could.
    #[must_use]
    pub fn could_be_a_tag(&self) -> bool {
        is_wildcard(&self.text)
    }

    /// Whether a version is in the range.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.parts.matches(&version.0)
    }
}

/// Whether a text is one or two numbers and `x` for the others.
fn is_wildcard(text: &str) -> bool {
    let numbers = text.trim_end_matches(".x").trim_end_matches(".X");
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    numbers.len() < text.len() && text.split('.').count() <= 3 && numbers.split('.').all(is_number)
}

impl FromStr for VersionRange {
    type Err = Error;

    /// Parses a range whose parts have spaces or commas between them. Errors: kind `Misuse`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &dyn fmt::Display| {
            let forms = "a range is `^1.2`, `~1.2.3`, `>=1 <2` or `1.x`";
            Error::misuse(format!("`{text}` is not a range of versions: {why}; {forms}"))
        };
        let mut parts: Vec<String> = Vec::new();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            match parts.last_mut().filter(|part| part.ends_with(['^', '~', '<', '>', '='])) {
                // `>= 1` is one part.
                Some(operator) => operator.push_str(word),
                None => parts.push(word.to_owned()),
            }
        }
        if let Some(bare) = parts.iter().find(|part| is_bare(part)) {
            return Err(wrong(&format_args!("`{bare}` has no operator")));
        }
        let plain: Vec<String> = parts.iter().map(|part| without_v(part)).collect();
        let parts = semver::VersionReq::parse(&plain.join(", ")).map_err(|why| wrong(&why))?;
        Ok(Self { text: text.to_owned(), parts })
    }
}

/// Whether a part is a version alone. Cargo takes it for `^`, others for `=`.
fn is_bare(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric()) && !part.contains('*') && !is_wildcard(part)
}

/// A part without the `v` before its version.
fn without_v(part: &str) -> String {
    let version = part.trim_start_matches(['^', '~', '<', '>', '=']);
    let operator = part.strip_suffix(version).unwrap_or_default();
    format!("{operator}{}", version.strip_prefix('v').unwrap_or(version).replace('_', "+"))
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn is_in(version: &str, range: &str) -> bool {
        range.parse::<VersionRange>().unwrap().contains(&Version::of(version).unwrap())
    }

    #[test]
    fn a_tag_is_a_version_with_or_without_v_and_with_the_plus_that_helm_rewrites() {
        for (tag, version) in [
            ("1.4.0", "1.4.0"),
            ("v1.4.0", "1.4.0"),
            ("1.0.0_build.5", "1.0.0+build.5"),
            ("v1.0.0-rc.1_a", "1.0.0-rc.1+a"),
            ("registry.example:5000/app:v2.0.0", "2.0.0"),
        ] {
            assert_eq!(Version::of(tag).unwrap().to_string(), version, "{tag}");
        }
        for none in ["latest", "1", "1.4", "v", "vv1.0.0", "1.0.0_a_b", "01.0.0", "1.0.0-", ""] {
            assert_eq!(Version::of(none), None, "{none}");
        }
    }

    /// semver.org, 11.
    #[test]
    fn versions_have_the_order_of_the_specification() {
        let text = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.10.0"];
        let versions: Vec<Version> = text.iter().map(|text| Version::of(text).unwrap()).collect();
        assert!(versions.is_sorted());
    }

    #[test]
    fn a_range_has_the_versions_that_cargo_says() {
        for (range, inside, outside) in [
            ("^1.2", vec!["1.2.0", "1.9.9"], vec!["1.1.9", "2.0.0"]),
            ("^v1.2", vec!["v1.2.0"], vec!["v2.0.0"]),
            ("^0.2.3", vec!["0.2.4"], vec!["0.3.0"]),
            ("~1.2.3", vec!["1.2.3", "1.2.9"], vec!["1.3.0"]),
            (">=1 <2", vec!["1.0.0", "1.9.0"], vec!["0.9.0", "2.0.0"]),
            (">= 1.1, < 1.3", vec!["1.2.9"], vec!["1.0.0", "1.3.0"]),
            ("1.x", vec!["1.0.0", "1.9.0"], vec!["2.0.0"]),
            ("1.2.x", vec!["1.2.7"], vec!["1.3.0"]),
            ("1.*", vec!["1.3.0"], vec!["2.0.0"]),
            ("*", vec!["0.0.1", "9.9.9"], vec!["1.0.0-rc.1"]),
            ("=1.2.3", vec!["1.2.3", "1.2.3_build"], vec!["1.2.4"]),
        ] {
            assert!(VersionRange::is_meant_by(range), "{range}");
            assert!(inside.iter().all(|version| is_in(version, range)), "{range}");
            assert!(!outside.iter().any(|version| is_in(version, range)), "{range}");
        }
    }

    #[test]
    fn a_prerelease_is_in_a_range_that_names_one_of_the_same_version() {
        assert!(!is_in("2.0.0-rc.1", ">=1"));
        assert!(is_in("2.0.0-rc.2", ">=2.0.0-rc.1") && is_in("2.1.0", ">=2.0.0-rc.1"));
        assert!(!is_in("2.1.0-rc.1", ">=2.0.0-rc.1"));
    }

    #[test]
    fn tags_paths_and_digests_are_not_meant_as_ranges() {
        for other in ["v1", "1", "1.4", "1.4.0", "latest", "x", "1.x-slim", "~/dir", "~dir", "5000/a", "1.2.3.x", ""] {
            assert!(!VersionRange::is_meant_by(other), "{other}");
        }
    }

    #[test]
    fn a_malformed_range_is_misuse_that_shows_the_forms() {
        for (bad, why) in [(">=1 2", "`2` has no operator"), ("^1 || ^2", "||"), ("^a", "'a'"), ("=>1", "not a range")]
        {
            let error = bad.parse::<VersionRange>().unwrap_err();
            let text = error.to_string();
            assert!(error.kind() == Kind::Misuse && text.contains(why) && text.contains("`>=1 <2`"), "{text}");
        }
    }
}
