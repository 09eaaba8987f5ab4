//! Where an artifact is, as users write it: `host/repo:tag`, `oci:dir:tag`, `oci-archive:x.tar:tag`.
//!
//! This is the only list of such forms. It follows skopeo and oras where the two agree.

mod context;
mod copying;
#[cfg(not(feature = "registry"))]
mod no_registries;
mod range;
#[cfg(feature = "registry")]
mod registries;
mod spelling;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

pub use self::context::{Context, HostFiles, TypeFiles};
pub use self::copying::{CopyOptions, copy};
pub use self::range::ReadLocation;
#[cfg(feature = "registry")]
pub use self::registries::Amend;

use crate::{
    error::{Code, Error, Kind, Result},
    oci::{Descriptor, Digest, DigestPrefix, RefName, Reference, RegistryName, RepositoryName, Tag, without_userinfo},
    plan::ReferencePlan,
    store::{Flaw, Name, NamePage, ReadStore},
    stores::is_named_compressed,
};

/// Where an artifact is, or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The store.
    pub place: Place,
    /// The tag in it, if given; in a registry, a [`Tag`].
    pub tag: Option<RefName>,
    /// The digest in it, if given; it takes precedence over the tag.
    pub digest: Option<Pin>,
}

/// A digest as a location gives it, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// A whole digest.
    Digest(Digest),
    /// The first digits of a digest; not for a registry.
    Prefix(DigestPrefix),
}

impl From<Pin> for Name {
    fn from(pin: Pin) -> Self {
        match pin {
            Pin::Digest(digest) => Self::Digest(digest),
            Pin::Prefix(prefix) => Self::Prefix(prefix),
        }
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self::Digest).or_else(|_| text.parse().map(Self::Prefix))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

/// A store, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository in a registry.
    Registry {
        /// `host[:port]`
        registry: RegistryName,
        /// The repository's name.
        repository: RepositoryName,
    },
    /// An OCI image layout directory.
    Layout(PathBuf),
    /// An OCI image layout in one tar file.
    Archive(PathBuf),
}

impl Place {
    /// A text that all spellings of one place have: paths are absolute in it. Links are not resolved.
    #[must_use]
    pub fn key(&self) -> String {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        match self {
            Self::Registry { .. } => self.to_string(),
            Self::Layout(path) => Self::Layout(absolute(path)).to_string(),
            Self::Archive(path) => Self::Archive(absolute(path)).to_string(),
        }
    }
}

impl Location {
    /// The digest, else the tag, else `latest`: what to resolve in the store.
    #[must_use]
    pub fn name(&self) -> Name {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.clone().into(),
            (None, Some(tag)) => tag.clone().into(),
            (None, None) => Tag::latest().into(),
        }
    }

    /// This place with another tag. Errors: a tag that the place cannot hold.
    pub fn with_tag(&self, tag: &RefName) -> Result<Self> {
        if matches!(self.place, Place::Registry { .. }) {
            tag.parse::<Tag>().map_err(Error::into_misuse)?;
        }
        Ok(Self { place: self.place.clone(), tag: Some(tag.clone()), digest: None })
    }

    /// Opens the store for reading. Errors: kind `NotFound` if the layout or archive does not exist.
    pub async fn open(&self, context: &Context) -> Result<Opened> {
        Ok(Opened { location: self.clone(), store: context.read(&self.place).await? })
    }

    /// The target of a push, filled in from the reference that the artifact prefers: a location with a tag is kept as
    /// it is; without a tag, the preferred one is used, and in a registry the preferred last component is appended to
    /// the repository if missing, as `helm push` does.
    ///
    /// Errors: with [`ReferencePlan::strict`], a different tag or last component.
    pub fn fill(&self, wish: &ReferencePlan) -> Result<Self> {
        if self.digest.is_some() {
            return Err(Error::misuse(format!("`{self}` has a digest, but a push computes its own")));
        }
        let mut filled = self.clone();
        if self.tag.is_none() {
            filled.tag = Some(wish.tag.clone().unwrap_or_else(Tag::latest).into());
            if let (Place::Registry { repository, .. }, Some(last)) = (&mut filled.place, &wish.repository)
                && repository.last() != last
            {
                *repository = repository.below(last)?;
            }
        }
        if wish.strict {
            filled.agrees(wish)?;
        }
        Ok(filled)
    }

    fn agrees(&self, wish: &ReferencePlan) -> Result<()> {
        let Place::Registry { repository, .. } = &self.place else { return Ok(()) };
        if let Some(name) = wish.repository.as_deref().filter(|name| *name != repository.last()) {
            let message = format!("`{self}` must end in `/{name}`, the name of the artifact");
            return Err(Error::misuse(message).with_code(Code::ReferenceFixed));
        }
        match wish.tag.as_deref().filter(|tag| self.tag.as_deref() != Some(tag)) {
            Some(tag) => {
                let message = format!("`{self}` must have the tag `{tag}`, the version of the artifact");
                Err(Error::misuse(message).with_code(Code::ReferenceFixed))
            }
            None => Ok(()),
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    /// Reads the forms given in the module documentation. A path that starts with `./`, `../` or `/` is a layout
    /// directory, or an archive if it ends like a tar file, also a compressed one; anything else without a scheme is in a registry, and so is what
    /// starts with `oci://` or `docker://`.
    fn from_str(text: &str) -> Result<Self> {
        if text.chars().any(char::is_control) || text.is_empty() {
            return Err(Error::misuse(format!("`{}` is not a location", without_userinfo(text))));
        }
        range::refuse_range(text)?;
        if let Some(rest) = spelling::registry_url(text)? {
            return registry(rest);
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            return local(text, rest, Place::Archive);
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return local(text, rest, Place::Layout);
        }
        if text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || matches!(text, "." | "..") {
            let path = split(text).0;
            let archive = path.ends_with(".tar") || is_named_compressed(Path::new(path));
            return local(text, text, if archive { Place::Archive } else { Place::Layout });
        }
        registry(text)
    }
}

/// A store opened for reading by its location.
#[derive(Clone)]
#[non_exhaustive]
pub struct Opened {
    /// The location that was opened.
    pub location: Location,
    /// The store.
    pub store: Arc<dyn ReadStore>,
}

impl Opened {
    /// A store that was opened already, and a location in it.
    #[must_use]
    pub fn new(location: Location, store: Arc<dyn ReadStore>) -> Self {
        Self { location, store }
    }

    /// The manifest at the location. Errors: those of [`name_in`]; kind `NotFound` if it does not exist.
    pub async fn resolve(&self) -> Result<Descriptor> {
        self.store.resolve(&name_in(self.store.as_ref(), &self.location).await?).await
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.location).finish()
    }
}

/// Opens the store of a location for reading: `registry.example/team/site:v1`, `oci:dir:v1`, `oci-archive:x.tar`; a range
/// of versions (`registry.example/team/site:^1.2`) is its newest tag.
///
/// Errors: a malformed location; those of [`ReadLocation::exact_in`]; kind `NotFound` if the layout or archive does not exist.
pub async fn open(text: &str, context: &Context) -> Result<Opened> {
    text.parse::<ReadLocation>()?.open(context).await
}

/// The name that a location stands for: its digest or tag; without either, `latest` in a registry, and in a layout or
/// archive its only tag, else its only artifact. Signatures under a tag of cosign's count only where nothing else is.
///
/// Errors: kind `Ambiguous` if there are several tags and none is `latest`, or an unreadable entry beside the only one;
/// a store that fails.
pub async fn name_in(store: &dyn ReadStore, location: &Location) -> Result<Name> {
    if location.tag.is_some() || location.digest.is_some() || matches!(location.place, Place::Registry { .. }) {
        return Ok(location.name());
    }
    let NamePage { mut names, unreadable, .. } = store.list_names().await?;
    names.retain(|name| name.subject_of_companion().is_none());
    match (names.as_slice(), unreadable.first()) {
        ([only], None) => Ok(only.clone().into()),
        ([only], Some(Flaw { place, message, .. })) => {
            let message = format!("{location} has the tag `{only}` and an unreadable entry ({place}: {message})");
            Err(Error::new(Kind::Ambiguous, message).with_code(Code::SeveralTags))
        }
        ([], _) => Ok(Name::Only),
        (many, _) if many.iter().any(|name| *name == "latest") => Ok(Tag::latest().into()),
        (many, _) => {
            let listed = many.iter().take(10).map(RefName::as_str).collect::<Vec<_>>().join("`, `");
            let more = if many.len() > 10 { format!(" and {} more", many.len() - 10) } else { String::new() };
            let message = format!("{location} has several tags: `{listed}`{more}");
            Err(Error::new(Kind::Ambiguous, message).with_code(Code::SeveralTags))
        }
    }
}

/// `path[:tag][@digest]`, as skopeo splits it: at the first colon.
fn split(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) = match text.rsplit_once('@') {
        Some((rest, digest)) if digest.contains(':') && !digest.contains('/') => (rest, Some(digest)),
        _ => (text, None),
    };
    match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag), digest),
        None => (rest, None, digest),
    }
}

fn local(whole: &str, text: &str, place: fn(PathBuf) -> Place) -> Result<Location> {
    let (path, tag, digest) = split(text);
    if path.is_empty() || tag.is_some_and(str::is_empty) {
        return Err(Error::misuse(format!("`{whole}` has an empty path or tag")));
    }
    let tag = tag.map(str::parse).transpose();
    let tag =
        tag.map_err(|_: Error| Error::misuse(format!("`{whole}` has a tag that is not valid in an OCI layout")))?;
    let digest = digest.map(str::parse).transpose();
    let digest = digest.map_err(|e: Error| Error::misuse(format!("`{whole}` is not a location: {}", e.message())))?;
    // `oci://` means a registry.
    let path = if path.starts_with("//") { format!("/{}", path.trim_start_matches('/')) } else { path.to_owned() };
    Ok(Location { place: place(path.into()), tag, digest })
}

fn registry(text: &str) -> Result<Location> {
    let reference = Reference::read(text).map_err(|why| {
        if let Some(Ok(Pin::Prefix(prefix))) = text.rsplit_once('@').map(|(_, pin)| pin.parse()) {
            let message = format!(
                "`{}` has only the first digits of a digest, {prefix}: a registry needs all of them",
                without_userinfo(text)
            );
            return Error::misuse(message);
        }
        let local = text.split_once('/').is_none_or(|(first, _)| !RegistryName::is_meant_by(first));
        let advice = match spelling::local_path(text) {
            Some(path) => format!("; did you mean `{path}`"),
            None if local => "; a local path starts with `./` or `oci:`".to_owned(),
            None => String::new(),
        };
        Error::misuse(format!("`{}` is not a reference: {why}{advice}", without_userinfo(text)))
    })?;
    let place = Place::Registry { registry: reference.registry().clone(), repository: reference.repository().clone() };
    Ok(Location {
        place,
        tag: reference.tag().cloned().map(Into::into),
        digest: reference.digest().cloned().map(Pin::Digest),
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { registry, repository } => write!(f, "{registry}/{repository}"),
            Self::Layout(path) => write!(f, "oci:{}", path.display()),
            Self::Archive(path) => write!(f, "oci-archive:{}", path.display()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_it_was_written() {
        let digest = Digest::of(b"");
        for text in [
            "localhost:5000/a/b:v1".to_owned(),
            format!("ghcr.io/a/b@{digest}"),
            format!("ghcr.io/a/b:v1@{digest}"),
            "oci:dir@sha256:e3b0c442".into(),
            "oci:dir".into(),
            "oci:some/dir:v1".into(),
            "oci:dir:ghcr.io/a/b:v1".into(),
            "[::1]:5000/a/b:v1".into(),
            "oci:dir:[::1]:5000/a/b:v1".into(),
            format!("oci:dir@{digest}"),
            "oci-archive:x.tar:v1".into(),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_path_is_a_layout_or_an_archive() {
        assert_eq!("./x:v1".parse::<Location>().unwrap().to_string(), "oci:./x:v1");
        for end in ["tar", "tar.gz", "tgz", "tar.zst", "TAR.XZ"] {
            let text = format!("/t/x.{end}:v1");
            assert_eq!(text.parse::<Location>().unwrap().to_string(), format!("oci-archive:{text}"));
        }
    }

    #[test]
    fn an_artifact_with_a_name_of_its_own_fills_the_location() {
        let wish = ReferencePlan { repository: Some("web".into()), tag: Some("0.1.0".parse().unwrap()), strict: true };
        let fill = |text: &str| text.parse::<Location>().unwrap().fill(&wish).map(|l| l.to_string());
        assert_eq!(fill("localhost:5000/charts").unwrap(), "localhost:5000/charts/web:0.1.0");
        assert_eq!(fill("localhost:5000/web").unwrap(), "localhost:5000/web:0.1.0");
        assert_eq!(fill("oci:dir").unwrap(), "oci:dir:0.1.0");
        assert!(fill("localhost:5000/charts/web:0.2.0").unwrap_err().to_string().contains("`0.1.0`"));
        assert!(fill("localhost:5000/charts:0.1.0").unwrap_err().to_string().contains("`/web`"));
    }

    #[test]
    fn a_name_that_no_registry_allows_matters_in_a_registry_only() {
        let wish = ReferencePlan { repository: Some("Web".into()), ..ReferencePlan::default() };
        let fill = |text: &str| text.parse::<Location>().unwrap().fill(&wish).map(|l| l.to_string());
        assert_eq!(fill("oci:dir").unwrap(), "oci:dir:latest");
        let error = fill("localhost:5000/charts").unwrap_err().to_string();
        assert!(error.contains("`charts/Web` is not a repository name"), "{error}");
    }

    #[test]
    fn a_tag_must_fit_the_place() {
        let name: RefName = "ghcr.io/a/b:v1".parse().unwrap();
        let at = |text: &str| text.parse::<Location>().unwrap().with_tag(&name).map(|l| l.to_string());
        assert_eq!(at("oci:dir:v0").unwrap(), "oci:dir:ghcr.io/a/b:v1");
        assert!(at("localhost:5000/a").unwrap_err().to_string().contains("is not a tag"));
    }

    /// H19.
    #[test]
    fn a_bad_reference_says_what_is_wrong() {
        for (text, why) in [
            ("localhost:5000/Repo:v1", "lower case"),
            ("repo:v1", "a registry and a repository"),
            ("team/repo:v1", "must be a registry"),
            ("localhost:5000/a:", "not a reference"),
            ("localhost:5000/a/../b:v1", "not a reference"),
            ("https://ghcr.io/a:v1", "remove the"),
            ("oci:", "empty"),
            ("oci:x:", "empty"),
            ("oci:x:a b", "not valid in an OCI layout"),
            (&format!("oci:x:{}", Digest::of(b"")), "not valid in an OCI layout"),
            ("ghcr.io/a\u{1b}[31m", "not a location"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
