//! Where an artifact is, as users write it: `host/repo:tag`, `oci:dir:tag`, `oci-archive:x.tar:tag`.
//!
//! The only list of such forms. skopeo's and oras' habits are kept where they agree.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{
    error::{Error, Result},
    oci::{Digest, annotation::is_ref_name},
    plan::ReferencePlan,
    stores::registry::{is_repository, is_tag, without_userinfo},
};

/// Where an artifact is, or is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The store.
    pub place: Place,
    /// The tag in it, if one was given.
    pub tag: Option<String>,
    /// The digest in it, if one was given; it wins over the tag.
    pub digest: Option<Digest>,
}

/// A store, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository in a registry.
    Registry {
        /// `host[:port]`
        registry: String,
        /// The repository's name.
        repository: String,
    },
    /// An OCI image layout directory.
    Layout(PathBuf),
    /// An OCI image layout in one tar file.
    Archive(PathBuf),
}

impl Location {
    /// The digest, else the tag, else `latest`: what to resolve in the store.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".into(),
        }
    }

    /// The same place under this tag. Errors: a tag that the place cannot hold.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        let fits = match self.place {
            Place::Registry { .. } => is_tag(tag),
            Place::Layout(_) | Place::Archive(_) => is_ref_name(tag),
        };
        if !fits {
            return Err(Error::misuse(format!("`{}` is not a tag", tag.escape_default())));
        }
        Ok(Self { place: self.place.clone(), tag: Some(tag.into()), digest: None })
    }

    /// Where an artifact goes that has a wish of its own: a location with a tag is taken as it is; without one, the
    /// wish's tag is used, and in a registry the wish's last component is appended to the repository where it is
    /// missing, as `helm push` does.
    ///
    /// Errors: with [`ReferencePlan::strict`], a tag or a last component other than the wish's.
    pub fn fill(&self, wish: &ReferencePlan) -> Result<Self> {
        if self.digest.is_some() {
            return Err(Error::misuse(format!("`{self}` names a digest; what is pushed gets its own")));
        }
        let mut filled = self.clone();
        if self.tag.is_none() {
            filled = filled.with_tag(wish.tag.as_deref().unwrap_or("latest"))?;
            if let (Place::Registry { repository, .. }, Some(last)) = (&mut filled.place, &wish.repository)
                && repository.rsplit('/').next() != Some(last)
            {
                *repository = format!("{repository}/{last}");
            }
        }
        if wish.strict {
            filled.agrees(wish)?;
        }
        Ok(filled)
    }

    fn agrees(&self, wish: &ReferencePlan) -> Result<()> {
        let Place::Registry { repository, .. } = &self.place else { return Ok(()) };
        let last = repository.rsplit('/').next().unwrap_or_default();
        if let Some(name) = wish.repository.as_deref().filter(|name| *name != last) {
            return Err(Error::misuse(format!("`{self}` must end in `/{name}`, the name of what is pushed")));
        }
        match wish.tag.as_deref().filter(|tag| self.tag.as_deref() != Some(tag)) {
            Some(tag) => {
                Err(Error::misuse(format!("`{self}` must have the tag `{tag}`, the version of what is pushed")))
            }
            None => Ok(()),
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    /// Reads the forms of this module's head. A path that starts with `./`, `../` or `/` is a layout directory, or an
    /// archive when it ends in `.tar`; everything without a scheme and without such a start is a registry.
    fn from_str(text: &str) -> Result<Self> {
        if text.chars().any(char::is_control) || text.is_empty() {
            return Err(Error::misuse(format!("`{}` is not a location", without_userinfo(text).escape_default())));
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            return local(text, rest, Place::Archive);
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return local(text, rest, Place::Layout);
        }
        if text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || matches!(text, "." | "..") {
            let path = split(text).0;
            if [".tar.gz", ".tgz", ".tar.zst"].iter().any(|end| path.ends_with(end)) {
                let message =
                    format!("`{text}` looks compressed; an archive is a plain `.tar`, and `oci:` names a directory");
                return Err(Error::misuse(message));
            }
            let archive = path.ends_with(".tar");
            return local(text, text, if archive { Place::Archive } else { Place::Layout });
        }
        registry(text)
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
    if tag.is_some_and(|tag| !is_ref_name(tag)) {
        return Err(Error::misuse(format!("`{whole}` has a tag that an OCI layout cannot hold")));
    }
    let digest = digest.map(str::parse).transpose();
    let digest = digest.map_err(|e: Error| Error::misuse(format!("`{whole}` is not a location: {}", e.message())))?;
    Ok(Location { place: place(path.into()), tag: tag.map(Into::into), digest })
}

fn registry(text: &str) -> Result<Location> {
    let bad = |why: &str| Error::misuse(format!("`{}` is not a reference: {why}", without_userinfo(text)));
    let Some((host, rest)) = text.split_once('/') else {
        return Err(bad(
            "it needs a registry and a repository, as in `localhost:5000/name:tag`; a local path starts with `./` or `oci:`",
        ));
    };
    if matches!(host, "http:" | "https:") {
        return Err(bad("leave its `http://` or `https://` away"));
    }
    if host != "localhost" && !host.contains(['.', ':']) {
        return Err(bad(
            "its first part must be a registry such as `ghcr.io`; a local path starts with `./` or `oci:`",
        ));
    }
    let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
    let (repository, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
    if !is_host(host) {
        return Err(bad("its first part is not `host` or `host:port`"));
    }
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(bad("a repository must be lower case"));
    }
    if !is_repository(repository) {
        return Err(bad("what follows the registry is not the name of a repository"));
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(bad("what follows the `:` is not a tag"));
    }
    let digest = digest.map(str::parse).transpose().map_err(|e: Error| bad(e.message()))?;
    let (registry, repository) = at_docker_hub(host, repository);
    Ok(Location { place: Place::Registry { registry, repository }, tag: tag.map(Into::into), digest })
}

/// `host` or `host:port`, the host in labels of ASCII letters, digits and inner hyphens (RFC 1123, section 2.1), and of
/// underscores, which names in private networks have.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    name.split('.').all(label) && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

/// Docker Hub goes by two names, and its official images are written without their `library/`.
fn at_docker_hub(host: &str, repository: &str) -> (String, String) {
    match host {
        "docker.io" | "index.docker.io" if repository.contains('/') => ("docker.io".into(), repository.into()),
        "docker.io" | "index.docker.io" => ("docker.io".into(), format!("library/{repository}")),
        _ => (host.into(), repository.into()),
    }
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
            "oci:dir".into(),
            "oci:some/dir:v1".into(),
            "oci:dir:ghcr.io/a/b:v1".into(),
            format!("oci:dir@{digest}"),
            "oci-archive:x.tar:v1".into(),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
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
            "[::1]:5000/a",
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
            let theirs = text.parse::<oci_client::Reference>().ok().map(|r| {
                let place = Place::Registry { registry: r.registry().into(), repository: r.repository().into() };
                (place, r.tag().map(str::to_owned), r.digest().map(str::to_owned))
            });
            let ours = text.parse::<Location>().ok().map(|l| {
                let tag = l.tag.or(l.digest.is_none().then(|| "latest".into()));
                (l.place, tag, l.digest.map(|digest| digest.to_string()))
            });
            assert_eq!(ours, theirs, "{text}");
        }
    }

    #[test]
    fn a_path_is_a_layout_or_an_archive() {
        assert_eq!("./x:v1".parse::<Location>().unwrap().to_string(), "oci:./x:v1");
        assert_eq!("/t/x.tar:v1".parse::<Location>().unwrap().to_string(), "oci-archive:/t/x.tar:v1");
    }

    #[test]
    fn an_artifact_with_a_name_of_its_own_fills_the_location() {
        let wish = ReferencePlan { repository: Some("web".into()), tag: Some("0.1.0".into()), strict: true };
        let fill = |text: &str| text.parse::<Location>().unwrap().fill(&wish).map(|l| l.to_string());
        assert_eq!(fill("localhost:5000/charts").unwrap(), "localhost:5000/charts/web:0.1.0");
        assert_eq!(fill("localhost:5000/web").unwrap(), "localhost:5000/web:0.1.0");
        assert_eq!(fill("oci:dir").unwrap(), "oci:dir:0.1.0");
        assert!(fill("localhost:5000/charts/web:0.2.0").unwrap_err().to_string().contains("`0.1.0`"));
        assert!(fill("localhost:5000/charts:0.1.0").unwrap_err().to_string().contains("`/web`"));
    }

    /// H19.
    #[test]
    fn a_bad_reference_says_what_is_wrong() {
        for (text, why) in [
            ("localhost:5000/Repo:v1", "lower case"),
            ("repo:v1", "a registry and a repository"),
            ("./x.tar.gz:v1", "plain `.tar`"),
            ("team/repo:v1", "must be a registry"),
            ("localhost:5000/a:", "not a reference"),
            ("localhost:5000/a/../b:v1", "not a reference"),
            ("https://ghcr.io/a:v1", "leave its"),
            ("oci:", "empty"),
            ("oci:x:", "empty"),
            ("ghcr.io/a\u{1b}[31m", "not a location"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
