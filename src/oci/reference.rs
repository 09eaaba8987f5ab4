//! Complete references: registry, repository, and tag or digest.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, RegistryName, RepositoryName, Tag, text};
use crate::error::{Error, Result};

/// `host[:port]/repository[:tag][@digest]`: Docker's grammar of a full reference (distribution/reference), with an IPv6
/// host in brackets.
///
/// Docker Hub is named `docker.io`, and its official images are in `library/`, written or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: RegistryName,
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &RegistryName {
        &self.registry
    }

    /// The repository in it.
    #[must_use]
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The tag, if given.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if given; it takes precedence over the tag.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Parses a reference. The error does not repeat the text, which may contain a password.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let Some((host, rest)) = text.split_once('/') else {
            return Err("expected a registry and a repository, as in `localhost:5000/name:tag`".into());
        };
        if matches!(host, "http:" | "https:") {
            return Err("remove the `http://` or `https://` prefix".into());
        }
        if !RegistryName::is_meant_by(host) {
            return Err("the first part must be a registry such as `ghcr.io`".into());
        }
        let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
        let (repository, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
        let registry = host.parse().map_err(|_| "the first part is not `host` or `host:port`")?;
        if repository.chars().any(|c| c.is_ascii_uppercase()) {
            return Err("the repository must be lower case".into());
        }
        let repository = { repository.parse() }.map_err(|_| "the part after the registry is not a repository name")?;
        let tag = tag.map(|tag| tag.parse().map_err(|_| no_tag(tag))).transpose()?;
        let digest = digest.map(str::parse).transpose().map_err(|e: Error| e.message().to_owned())?;
        let (registry, repository) = at_docker_hub(registry, repository)?;
        Ok(Self { registry, repository, tag, digest })
    }
}

/// Why this is no tag. A version may have a `+`, which a tag may not.
fn no_tag(text: &str) -> String {
    let helm = if text.contains('+') { "; Helm writes `+` as `_`" } else { "" };
    format!("the part after the `:` is not a tag{helm}")
}

/// Normalises references to Docker Hub, which has two names and omits `library/` for official images.
fn at_docker_hub(host: RegistryName, repository: RepositoryName) -> Result<(RegistryName, RepositoryName), String> {
    if !matches!(host.as_str(), "docker.io" | "index.docker.io") {
        return Ok((host, repository));
    }
    let official = !repository.contains('/');
    let full = if official { format!("library/{repository}").parse() } else { Ok(repository) };
    Ok((RegistryName::docker_hub(), full.map_err(|e| e.message().to_owned())?))
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).map_err(|why| Error::invalid(format!("not a reference: {why}")))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::deserialize(from)
    }
}

/// A registry or location as the user typed it, for messages, without a user name and password before an `@`.
#[must_use]
pub fn without_userinfo(text: &str) -> String {
    const ALGORITHMS: [&str; 6] = ["sha256:", "sha512:", "sha384:", "sha1:", "md5:", "blake3:"];
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(_, rest)| text.split_at(text.len() - rest.len()));
    let is_digest = |at: usize| rest.get(at + 1..).is_some_and(|after| ALGORITHMS.iter().any(|a| after.starts_with(a)));
    match rest.rmatch_indices('@').map(|(at, _)| at).find(|at| !is_digest(*at)) {
        Some(at) => format!("{scheme}***{}", rest.get(at..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Registry, repository, tag, digest.
    type Parts = (String, String, Option<String>, Option<String>);

    fn ours(text: &str) -> Option<Parts> {
        let r = text.parse::<Reference>().ok()?;
        let tag = r.tag().cloned().or_else(|| r.digest().is_none().then(Tag::latest));
        Some((
            r.registry().to_string(),
            r.repository().to_string(),
            tag.map(Into::into),
            r.digest().map(ToString::to_string),
        ))
    }

    fn theirs(text: &str) -> Option<Parts> {
        let r = text.parse::<oci_client::Reference>().ok()?;
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Some((r.registry().into(), r.repository().into(), owned(r.tag()), owned(r.digest())))
    }

    /// H19.
    #[test]
    fn a_reference_means_what_it_means_to_oci_client() {
        let digest = Digest::of(b"");
        let texts = [
            "docker.io/busybox",
            "index.docker.io/a/b:1",
            "localhost/a",
            "127.0.0.1:5000/a.b/c_d/e__f/g---h:V_1.0-x",
            "sub-dom1.foo.com/bar/baz:_x",
            "a-.b/c",
            "-a.b/c",
            "a..b/c",
            "a.b:/c",
            "a.b:x/c",
            "a.b:1:2/c",
            "a_b.c/d",
            "a.b/",
            "a.b//c",
            "a.b/c/",
            "a.b/c:",
            "a.b/c:-x",
            "a.b/c:x/y",
            "a.b/c:x:y",
            "a.b/c___d",
            "a.b/c@",
            "a.b/c@sha256:00",
            "a.b/c@sha256:x@sha256:x",
        ];
        for text in texts.map(str::to_owned).into_iter().chain([
            format!("a.b/c@{digest}"),
            format!("a.b/c:x@{digest}"),
            format!("a.b/c@{digest}:x"),
            format!("a.b/{}", "c".repeat(255)),
            format!("a.b/{}", "c".repeat(256)),
            format!("a.b/c:{}", "x".repeat(128)),
            format!("a.b/c:{}", "x".repeat(129)),
        ]) {
            assert_eq!(ours(&text), theirs(&text), "{text}");
        }
    }

    #[test]
    fn a_version_with_a_plus_is_no_tag_and_how_helm_writes_it_is_said() {
        let why = |text: &str| Reference::read(text).unwrap_err();
        assert!(why("a.b/c:1.0+5").contains("Helm writes `+` as `_`"));
        assert!(!why("a.b/c:-x").contains("Helm"));
    }

    #[test]
    fn an_address_may_be_the_registry() {
        let reference: Reference = "[::1]:5000/a/b:v1".parse().unwrap();
        assert_eq!((reference.registry().as_str(), reference.repository().as_str()), ("[::1]:5000", "a/b"));
        assert!("[::1/a".parse::<Reference>().is_err());
    }

    #[test]
    fn what_is_wrong_is_said_without_what_was_written() {
        let error = "user:canary@ghcr.io/a".parse::<Reference>().unwrap_err().to_string();
        assert!(error.contains("the first part") && !error.contains("canary"), "{error}");
    }

    proptest! {
        #[test]
        fn a_reference_reads_back_and_is_a_name_of_a_layout(
            host in "(localhost|[a-z0-9]{1,5}(\\.[a-z0-9]{1,5}){1,3})(:[1-9][0-9]{0,3})?",
            repository in "[a-z0-9]{1,5}(/[a-z0-9]{1,5}((_|__|-{1,3})[a-z0-9]{1,4})?){0,3}",
            tag in proptest::option::of("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}"),
            digest in proptest::option::of(any::<[u8; 4]>().prop_map(|bytes| Digest::of(&bytes))),
        ) {
            let mut text = format!("{host}/{repository}");
            tag.iter().for_each(|tag| text.push_str(&format!(":{tag}")));
            digest.iter().for_each(|digest| text.push_str(&format!("@{digest}")));
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(reference.to_string(), text.clone());
            prop_assert_eq!(&serde_json::from_value::<Reference>(serde_json::json!(text)).unwrap(), &reference);
            prop_assert_eq!(ours(&text), theirs(&text));
            prop_assert_eq!(super::super::RefName::from(reference), text.as_str());
        }

        #[test]
        fn anything_is_a_reference_or_an_error(text in "[a-zA-Z0-9.:/@\\[\\]_-]{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            }
        }
    }

    #[test]
    fn what_was_typed_is_shown_without_user_and_password() {
        for (typed, shown) in [
            ("u:p@h/x", "***@h/x"),
            ("https://u:p@h/x", "https://***@h/x"),
            ("https://u:p/q@r@h/x", "https://***@h/x"),
            ("u:p@h/x@sha256:00", "***@h/x@sha256:00"),
            ("h/x@sha256:00", "h/x@sha256:00"),
            ("token@h", "***@h"),
            ("h:5000/x:v1", "h:5000/x:v1"),
        ] {
            assert_eq!(without_userinfo(typed), shown);
        }
    }
}
