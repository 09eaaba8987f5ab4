//! What an artifact is called where it goes, when many are copied at once: one rule for all commands. Nothing here asks
//! a store.

use std::{fmt, str::FromStr};

use crate::{
    error::{Code, Error, Result},
    oci::{Digest, RefName, Reference, RegistryName, RepositoryName, Tag},
};

/// What an artifact is called where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// A whole reference: the place of a registry, or a name of a layout that says it. Without a tag and a digest it
    /// means `latest`.
    Whole(Reference),
    /// A name of a layout that says the repository and not the registry.
    Path(RepositoryName, Tag),
    /// A name that says no repository: a tag.
    Bare(RefName),
    /// None: what a layout holds by its digest only.
    Unnamed,
}

impl SourceName {
    /// The repository, with its registry if that is known; `/` stands between the parts.
    fn path(&self) -> Option<String> {
        match self {
            Self::Whole(whole) => Some(format!("{}/{}", whole.registry(), whole.repository())),
            Self::Path(repository, _) => Some(repository.to_string()),
            Self::Bare(_) | Self::Unnamed => None,
        }
    }

    /// The tag that it has at a registry; none: it is reached by its digest there. Errors: a name that is no tag.
    pub fn tag(&self) -> Result<Option<Tag>> {
        match self {
            Self::Whole(whole) => {
                let tag = whole.tag().cloned();
                Ok(tag.or_else(|| whole.digest().is_none().then(Tag::latest)))
            }
            Self::Path(_, tag) => Ok(Some(tag.clone())),
            Self::Bare(name) => name.parse().map(Some).map_err(Error::into_misuse),
            Self::Unnamed => Ok(None),
        }
    }

    /// Whether it says the repository that it is of.
    #[must_use]
    pub fn says_repository(&self) -> bool {
        matches!(self, Self::Whole(_) | Self::Path(..))
    }
}

impl From<&RefName> for SourceName {
    /// What a name of a layout or archive says.
    fn from(name: &RefName) -> Self {
        let bare = || Self::Bare(name.clone());
        // `a.b:c` alone is a tag with a colon, and no reference.
        if let Ok(whole) = name.parse::<Reference>() {
            let named = whole.tag().is_some() || whole.digest().is_some();
            return if named { Self::Whole(whole) } else { bare() };
        }
        let Some((repository, tag)) = name.rsplit_once(':') else { return bare() };
        match (repository.parse(), tag.parse()) {
            (Ok(repository), Ok(tag)) => Self::Path(repository, tag),
            _ => bare(),
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Path(repository, tag) => write!(f, "{repository}:{tag}"),
            Self::Bare(name) => name.fmt(f),
            Self::Unnamed => f.write_str("what has no name"),
        }
    }
}

/// `FROM=TO`: what comes from below `FROM` goes below `TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// `host[:port]`, `host[:port]/path`, or the path of names that say no registry.
    from: String,
    /// Below the destination; none: right there.
    to: Option<RepositoryName>,
}

impl Map {
    /// What is left of a path that is `FROM` or below it.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(&self.from)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// Whether this source comes from `FROM` or below it.
    #[must_use]
    pub fn fits(&self, source: &SourceName) -> bool {
        source.path().is_some_and(|path| self.rest(&path).is_some())
    }
}

impl FromStr for Map {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::misuse(format!("`{text}` is not FROM=TO: {why}"));
        let (from, to) = text.split_once('=').ok_or_else(|| bad("there is no `=`"))?;
        let (first, rest) = from.split_once('/').map_or((from, None), |(first, rest)| (first, Some(rest)));
        let is_path = |path: &str| path.parse::<RepositoryName>().is_ok();
        let known = match RegistryName::is_meant_by(first) {
            true => first.parse::<RegistryName>().is_ok() && rest.is_none_or(is_path),
            false => is_path(from),
        };
        if !known {
            return Err(bad("FROM is a registry, a repository, or the first parts of one"));
        }
        // Docker Hub goes by two names; references have one of them.
        let from = match from.strip_prefix("index.docker.io") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("docker.io{rest}"),
            _ => from.to_owned(),
        };
        let to = match to {
            "" => None,
            to => Some(to.parse().map_err(|_| bad("TO is the name of a repository, below the destination"))?),
        };
        Ok(Self { from, to })
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to.as_deref().unwrap_or_default())
    }
}

/// How names of sources become names at a destination.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Of those that fit, the one with the longest `FROM` counts.
    pub maps: Vec<Map>,
    /// At a registry, what no map fits keeps its registry as the first part of its repository.
    pub keep_host: bool,
}

impl Naming {
    /// The name in a layout or archive: the whole reference, where there is one; none for what has no name.
    #[must_use]
    pub fn in_layout(source: &SourceName) -> Option<RefName> {
        match source {
            SourceName::Whole(whole) => {
                let place = format!("{}/{}", whole.registry(), whole.repository());
                let name = match (whole.tag(), whole.digest()) {
                    (Some(tag), _) => format!("{place}:{tag}"),
                    (None, Some(digest)) => format!("{place}@{digest}"),
                    (None, None) => format!("{place}:{}", Tag::latest()),
                };
                name.parse().ok()
            }
            SourceName::Path(repository, tag) => format!("{repository}:{tag}").parse().ok(),
            SourceName::Bare(name) => Some(name.clone()),
            SourceName::Unnamed => None,
        }
    }

    /// The repository and tag at a registry, below `base` where there is one: by the longest map that fits, else the
    /// path without its registry. A name that says no repository is a tag of `base` itself. Without a tag, it is reached
    /// by its digest.
    ///
    /// Errors, of kind `Misuse`: together they are no name of a repository; a name that is no tag; a name without a
    /// repository, and there is no `base`.
    pub fn in_registry(
        &self,
        source: &SourceName,
        base: Option<&RepositoryName>,
    ) -> Result<(RepositoryName, Option<Tag>)> {
        let tag = source.tag()?;
        let own = self.path(source);
        let parts = base.map(ToString::to_string).into_iter().chain(own).collect::<Vec<_>>();
        if parts.is_empty() {
            let message = format!("`{source}` says no repository, and neither does the destination");
            return Err(Error::misuse(message));
        }
        let repository = parts.join("/").parse().map_err(Error::into_misuse);
        Ok((repository.map_err(|e: Error| e.context(format!("name `{source}` at the destination")))?, tag))
    }

    /// The repository below the destination; none: the destination itself.
    fn path(&self, source: &SourceName) -> Option<String> {
        let path = source.path()?;
        let fitting = self.maps.iter().filter_map(|map| Some((map, map.rest(&path)?)));
        if let Some((map, rest)) = fitting.max_by_key(|(map, _)| map.from.len()) {
            let parts = map.to.as_deref().into_iter().chain((!rest.is_empty()).then_some(rest));
            return Some(parts.collect::<Vec<_>>().join("/")).filter(|path| !path.is_empty());
        }
        Some(match source {
            SourceName::Whole(whole) if self.keep_host => {
                let host = whole.registry().to_lowercase().replace(':', "_");
                format!("{host}/{}", whole.repository())
            }
            SourceName::Whole(whole) => whole.repository().to_string(),
            _ => path,
        })
    }
}

/// The error, of kind `Misuse`, where two sources would get one name at the destination.
pub fn taken(name: impl fmt::Display, one: impl fmt::Display, other: impl fmt::Display) -> Error {
    let message = format!("{one} and {other} would both be {name}");
    Error::misuse(message).with_code(Code::NameTwice)
}

/// The digest of a companion's subject, where a name is a tag that cosign keeps such things under:
/// `sha256-HEX.sig`, `.att`, `.sbom`.
#[must_use]
pub fn subject_of_companion(name: &RefName) -> Option<Digest> {
    let (base, _) = name.rsplit_once('.')?;
    let digest: Digest = base.replacen('-', ":", 1).parse().ok()?;
    Tag::companions_of(&digest).iter().any(|tag| **tag == **name).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn source(name: &str) -> SourceName {
        SourceName::from(&name.parse::<RefName>().unwrap())
    }

    fn naming(maps: &[&str], keep_host: bool) -> Naming {
        Naming { maps: maps.iter().map(|map| map.parse().unwrap()).collect(), keep_host }
    }

    fn there(naming: &Naming, name: &str, base: Option<&str>) -> Result<String> {
        let base = base.map(|base| base.parse().unwrap());
        let (repository, tag) = naming.in_registry(&source(name), base.as_ref())?;
        Ok(tag.map_or_else(|| format!("{repository}@"), |tag| format!("{repository}:{tag}")))
    }

    #[test]
    fn a_registry_gets_the_path_below_its_repository() {
        let by_digest = format!("ghcr.io/a/b@{}", Digest::of(b"x"));
        let pinned = format!("ghcr.io/a/b:v1@{}", Digest::of(b"x"));
        for (name, base, expected, kept) in [
            ("ghcr.io/a/b:v1", Some("mirror"), "mirror/a/b:v1", "mirror/ghcr.io/a/b:v1"),
            ("ghcr.io/a/b:v1", None, "a/b:v1", "ghcr.io/a/b:v1"),
            ("localhost:5000/a:v1", Some("m"), "m/a:v1", "m/localhost_5000/a:v1"),
            ("GHCR.io/a:v1", Some("m"), "m/a:v1", "m/ghcr.io/a:v1"),
            ("docker.io/busybox:1", Some("m"), "m/library/busybox:1", "m/docker.io/library/busybox:1"),
            (&pinned, Some("m"), "m/a/b:v1", "m/ghcr.io/a/b:v1"),
            (&by_digest, Some("m"), "m/a/b@", "m/ghcr.io/a/b@"),
            ("a/b:v1", Some("m"), "m/a/b:v1", "m/a/b:v1"),
            ("v1", Some("m/n"), "m/n:v1", "m/n:v1"),
        ] {
            assert_eq!(there(&naming(&[], false), name, base).unwrap(), expected, "{name}");
            assert_eq!(there(&naming(&[], true), name, base).unwrap(), kept, "{name}");
        }
        let latest = SourceName::Whole("ghcr.io/a".parse().unwrap());
        let (repository, tag) = Naming::default().in_registry(&latest, None).unwrap();
        assert_eq!((repository.as_str(), tag.as_deref()), ("a", Some("latest")));
    }

    #[test]
    fn the_longest_map_of_whole_parts_wins_and_leads_below_the_destination() {
        let all = ["ghcr.io/a/b=deep", "ghcr.io/a=team", "ghcr.io=hub/ghcr", "quay.io/x=", "[::1]:5000=six", "lib=l"];
        for (name, expected) in [
            ("ghcr.io/a/b:v1", "m/deep:v1"),
            ("ghcr.io/a/b/c:v1", "m/deep/c:v1"),
            ("ghcr.io/a/bc:v1", "m/team/bc:v1"),
            ("ghcr.io/ab:v1", "m/hub/ghcr/ab:v1"),
            ("quay.io/x/y:v1", "m/y:v1"),
            ("quay.io/x:v1", "m:v1"),
            ("quay.io/xy:v1", "m/quay.io/xy:v1"),
            ("[::1]:5000/a:v1", "m/six/a:v1"),
            ("lib/a:v1", "m/l/a:v1"),
            ("ghcr.io.example/a:v1", "m/ghcr.io.example/a:v1"),
        ] {
            assert_eq!(there(&naming(&all, true), name, Some("m")).unwrap(), expected, "{name}");
        }
        let hub = naming(&["index.docker.io/library=official"], false);
        assert_eq!(there(&hub, "docker.io/busybox:1", None).unwrap(), "official/busybox:1");
    }

    #[test]
    fn a_layout_gets_whole_references() {
        let by_digest = format!("ghcr.io/a/b@{}", Digest::of(b"x"));
        let pinned = format!("ghcr.io/a/b:v1@{}", Digest::of(b"x"));
        for (name, expected) in [
            ("ghcr.io/a/b:v1", "ghcr.io/a/b:v1"),
            ("docker.io/busybox:1", "docker.io/library/busybox:1"),
            (&pinned, "ghcr.io/a/b:v1"),
            (&by_digest, &by_digest),
            ("a/b:v1", "a/b:v1"),
            ("v1", "v1"),
        ] {
            assert_eq!(Naming::in_layout(&source(name)).unwrap(), expected, "{name}");
        }
        let latest = SourceName::Whole("ghcr.io/a".parse().unwrap());
        assert_eq!(Naming::in_layout(&latest).unwrap(), "ghcr.io/a:latest");
        assert_eq!(Naming::in_layout(&SourceName::Unnamed), None);
    }

    #[test]
    fn what_can_have_no_name_there_is_misuse() {
        let long = format!("ghcr.io/{}:v1", "a".repeat(250));
        for (name, base, keep_host, word) in [
            ("v1", None, false, "says no repository"),
            ("app:1.0+build", Some("m"), false, "is not a tag"),
            ("[::1]:5000/a:v1", Some("m"), true, "not the name of a repository"),
            (long.as_str(), Some("mirror"), false, "not the name of a repository"),
        ] {
            let error = there(&naming(&[], keep_host), name, base).unwrap_err();
            assert!(error.kind() == Kind::Misuse && error.to_string().contains(word), "{name}: {error}");
        }
    }

    #[test]
    fn a_map_that_is_none_says_why() {
        for (text, word) in [
            ("ghcr.io", "no `=`"),
            ("=a", "FROM is"),
            ("ghcr.io/=a", "FROM is"),
            ("ghcr.io/A=a", "FROM is"),
            ("ghcr.io/a=b:v1", "TO is"),
            ("ghcr.io/a=localhost:5000/b", "TO is"),
            ("ghcr.io/a=/b", "TO is"),
        ] {
            let error = text.parse::<Map>().unwrap_err();
            assert!(error.kind() == Kind::Misuse && error.to_string().contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn companions_are_known_by_their_tags() {
        let digest = Digest::of(b"x");
        for tag in Tag::companions_of(&digest) {
            assert_eq!(subject_of_companion(&tag.into()), Some(digest.clone()));
        }
        for other in ["v1", "v1.sig", &format!("sha256-{}", digest.hex()), &format!("sha256-{}.zip", digest.hex())] {
            assert_eq!(subject_of_companion(&other.parse().unwrap()), None, "{other}");
        }
    }
}
