//! Names of artifacts at a destination when many are copied at once: one rule for all commands. Nothing here accesses a
//! store.

use std::{fmt, str::FromStr};

use crate::{
    error::{Code, Error, Result},
    oci::{RefName, Reference, RegistryName, RepositoryName, Tag},
};

/// The name of an artifact at its source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// A complete reference, in a registry or as a name in a layout. Without a tag and a digest it means `latest`.
    Whole(Reference),
    /// A name in a layout with a repository but no registry.
    Path(RepositoryName, Tag),
    /// A name without a repository: a tag.
    Bare(RefName),
    /// No name: a layout has it only by its digest.
    Unnamed,
}

impl SourceName {
    /// The repository, with its registry if known, parts separated by `/`.
    fn path(&self) -> Option<String> {
        match self {
            Self::Whole(whole) => Some(format!("{}/{}", whole.registry(), whole.repository())),
            Self::Path(repository, _) => Some(repository.to_string()),
            Self::Bare(_) | Self::Unnamed => None,
        }
    }

    /// The tag in a registry; `None` for an artifact that is reached by its digest. Errors: a name that is not a valid
    /// tag.
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

    /// True if the name contains a repository.
    #[must_use]
    pub fn says_repository(&self) -> bool {
        matches!(self, Self::Whole(_) | Self::Path(..))
    }
}

impl From<&RefName> for SourceName {
    /// Parses a name in a layout or archive.
    fn from(name: &RefName) -> Self {
        let bare = || Self::Bare(name.clone());
        // `a.b:c` alone is a tag with a colon, not a reference.
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
            Self::Unnamed => f.write_str("an unnamed artifact"),
        }
    }
}

/// `FROM=TO`: artifacts below `FROM` are placed below `TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// `host[:port]`, `host[:port]/path`, or the path of names without a registry.
    from: String,
    /// The path below the destination; `None` for the destination itself.
    to: Option<RepositoryName>,
}

impl Map {
    /// The rest of a path that is `FROM` or below it.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(&self.from)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// True if this source is `FROM` or below it.
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
            return Err(bad("FROM must be a registry, a repository, or its first parts"));
        }
        // Docker Hub has two names; references contain only one of them.
        let from = match from.strip_prefix("index.docker.io") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("docker.io{rest}"),
            _ => from.to_owned(),
        };
        let to = match to {
            "" => None,
            to => Some(to.parse().map_err(|_| bad("TO must be a repository name, below the destination"))?),
        };
        Ok(Self { from, to })
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to.as_deref().unwrap_or_default())
    }
}

/// Rules that turn names of sources into names at a destination.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// The map with the longest matching `FROM` applies.
    pub maps: Vec<Map>,
    /// In a registry, sources that no map fits keep their registry as the first part of their repository.
    pub keep_host: bool,
}

impl Naming {
    /// The name in a layout or archive: the whole reference if there is one; `None` for an unnamed artifact.
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

    /// The repository and tag in a registry, below `base` if given: by the longest map that fits, else the path without
    /// its registry. A name without a repository is a tag of `base` itself. Without a tag, the artifact is reached by
    /// its digest.
    ///
    /// Errors, of kind `Misuse`: the result is not a valid repository name; the name is not a valid tag; the name has
    /// no repository, and `base` is not given.
    pub fn in_registry(
        &self,
        source: &SourceName,
        base: Option<&RepositoryName>,
    ) -> Result<(RepositoryName, Option<Tag>)> {
        let tag = source.tag()?;
        let own = self.path(source);
        let parts = base.map(ToString::to_string).into_iter().chain(own).collect::<Vec<_>>();
        if parts.is_empty() {
            let message = format!("neither `{source}` nor the destination names a repository");
            return Err(Error::misuse(message));
        }
        let repository = parts.join("/").parse().map_err(Error::into_misuse);
        Ok((repository.map_err(|e: Error| e.context(format!("name `{source}` at the destination")))?, tag))
    }

    /// The repository below the destination; `None` for the destination itself.
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

/// The error, of kind `Misuse`, for two sources with the same name at the destination.
pub fn taken(name: impl fmt::Display, one: impl fmt::Display, other: impl fmt::Display) -> Error {
    let message = format!("{one} and {other} would both be named {name}");
    Error::misuse(message).with_code(Code::NameTwice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, oci::Digest};

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
            ("v1", None, false, "names a repository"),
            ("app:1.0+build", Some("m"), false, "is not a tag"),
            ("[::1]:5000/a:v1", Some("m"), true, "not a repository name"),
            (long.as_str(), Some("mirror"), false, "not a repository name"),
        ] {
            let error = there(&naming(&[], keep_host), name, base).unwrap_err();
            assert!(error.kind() == Kind::Misuse && error.to_string().contains(word), "{name}: {error}");
        }
    }

    #[test]
    fn a_map_that_is_none_says_why() {
        for (text, word) in [
            ("ghcr.io", "no `=`"),
            ("=a", "FROM must be"),
            ("ghcr.io/=a", "FROM must be"),
            ("ghcr.io/A=a", "FROM must be"),
            ("ghcr.io/a=b:v1", "TO must be"),
            ("ghcr.io/a=localhost:5000/b", "TO must be"),
            ("ghcr.io/a=/b", "TO must be"),
        ] {
            let error = text.parse::<Map>().unwrap_err();
            assert!(error.kind() == Kind::Misuse && error.to_string().contains(word), "{text}: {error}");
        }
    }
}
