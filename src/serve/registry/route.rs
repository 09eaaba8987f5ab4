//! Parses the path and query of a request into valid values.

use super::reply::Refusal;
use crate::{
    error::ServerCode,
    oci::{Algorithm, Digest, RepositoryName, Tag},
    store::Name,
};

/// The endpoint of a path. The numbers are those of the specification's table of endpoints.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/` (end-1)
    Base,
    /// `/v2/_catalog`, which is Docker's, not the specification's
    Catalog,
    /// `/v2/<name>/blobs/<digest>` (end-2, end-10)
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/manifests/<tag or digest>` (end-3, end-7, end-9)
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/blobs/uploads/` (end-4, end-11)
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<session>` (end-5, end-6, end-13, end-14)
    Upload(RepositoryName, String),
    /// `/v2/<name>/tags/list` (end-8)
    Tags(RepositoryName),
    /// `/v2/<name>/referrers/<digest>` (end-12)
    Referrers(RepositoryName, Digest),
}

/// The reference to a manifest in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// By a tag.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Reference> for Name {
    fn from(reference: Reference) -> Self {
        match reference {
            Reference::Tag(tag) => tag.into(),
            Reference::Digest(digest) => digest.into(),
        }
    }
}

impl Route {
    /// Parses a path. Components are percent-decoded separately, so that an escaped slash is not a separator.
    pub(super) fn of(path: &str) -> Result<Self, Refusal> {
        let nothing = || Refusal::new(ServerCode::Unsupported, "this path does not exist").status(404);
        let Some(rest) = path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Err(nothing());
        };
        let parts: Option<Vec<String>> = rest.split('/').skip(1).map(percent_decoded).collect();
        let parts = parts.ok_or_else(nothing)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] | [""] => Ok(Self::Base),
            ["_catalog"] => Ok(Self::Catalog),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(repository_name(name)?))
            }
            [name @ .., "blobs", "uploads", session] => Ok(Self::Upload(repository_name(name)?, (*session).to_owned())),
            [name @ .., "blobs", digest] => Ok(Self::Blob(repository_name(name)?, parse_digest(digest)?)),
            [name @ .., "manifests", reference] => {
                Ok(Self::Manifest(repository_name(name)?, parse_reference(reference)?))
            }
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository_name(name)?)),
            [name @ .., "referrers", digest] => Ok(Self::Referrers(repository_name(name)?, parse_digest(digest)?)),
            _ => Err(nothing()),
        }
    }
}

fn repository_name(parts: &[&str]) -> Result<RepositoryName, Refusal> {
    let slashed = parts.iter().any(|part| part.contains('/'));
    let name = (!slashed).then(|| parts.join("/").parse().ok()).flatten();
    name.ok_or_else(|| Refusal::new(ServerCode::NameInvalid, "malformed repository name"))
}

/// Parses a digest in a path or query.
pub(super) fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|_| Refusal::new(ServerCode::DigestInvalid, "malformed sha256 or sha512 digest"))
}

fn parse_reference(text: &str) -> Result<Reference, Refusal> {
    if text.contains(':') {
        return parse_digest(text).map(Reference::Digest);
    }
    parse_tag(text).map(Reference::Tag)
}

fn parse_tag(text: &str) -> Result<Tag, Refusal> {
    text.parse().map_err(|_| Refusal::new(ServerCode::ManifestInvalid, "malformed tag or digest"))
}

/// The query, as key-value pairs.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a query. `+` stays `+`: values of this API have no spaces, but media types have `+`, which not every
    /// client escapes.
    pub(super) fn of(query: Option<&str>) -> Result<Self, Refusal> {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decoded(key)?, percent_decoded(value)?))
        };
        let pairs: Option<Vec<_>> = query.unwrap_or_default().split('&').filter(|p| !p.is_empty()).map(pair).collect();
        Ok(Self(pairs.ok_or_else(|| Refusal::new(ServerCode::Unsupported, "malformed query").status(400))?))
    }

    /// The first value of this key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The digest with this key, if present.
    pub(super) fn digest(&self, key: &str) -> Result<Option<Digest>, Refusal> {
        self.get(key).map(parse_digest).transpose()
    }

    /// The value of `digest-algorithm`, else SHA-256.
    pub(super) fn algorithm(&self) -> Result<Algorithm, Refusal> {
        let unknown = |_| Refusal::new(ServerCode::DigestInvalid, "unsupported digest algorithm");
        self.get("digest-algorithm").map_or(Ok(Algorithm::default()), |name| name.parse().map_err(unknown))
    }

    /// All values of `tag`.
    pub(super) fn tags(&self) -> Result<Vec<Tag>, Refusal> {
        self.0.iter().filter(|(k, _)| k == "tag").map(|(_, v)| parse_tag(v)).collect()
    }

    /// The value of `n`. Never used to allocate memory.
    pub(super) fn limit(&self) -> Result<Option<usize>, Refusal> {
        let bad = || Refusal::new(ServerCode::Unsupported, "`n` must be a non-negative integer").status(400);
        let parse = |n: &str| n.parse::<u64>().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).map_err(|_| bad());
        self.get("n").map(parse).transpose()
    }
}

/// Decodes `%xx`; `None` if malformed, not UTF-8, or a control character.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let hex = |b: u8| char::from(b).to_digit(16);
        out.push(match byte {
            b'%' => u8::try_from(hex(bytes.next()?)? * 16 + hex(bytes.next()?)?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_read_from_its_end_so_that_any_name_works() {
        let digest = Digest::of(b"");
        for (path, route) in [
            ("/v2/".to_owned(), Route::Base),
            ("/v2".into(), Route::Base),
            ("/v2/_catalog".into(), Route::Catalog),
            (format!("/v2/a/b/blobs/{digest}"), Route::Blob(name("a/b"), digest.clone())),
            (format!("/v2/a/blobs/sha256%3A{}", digest.hex()), Route::Blob(name("a"), digest.clone())),
            (
                "/v2/a/blobs/manifests/v1".into(),
                Route::Manifest(name("a/blobs"), Reference::Tag("v1".parse().unwrap())),
            ),
            ("/v2/a/blobs/uploads/".into(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".into(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/x".into(), Route::Upload(name("a"), "x".into())),
            ("/v2/tags/tags/list".into(), Route::Tags(name("tags"))),
            (format!("/v2/a/referrers/{digest}"), Route::Referrers(name("a"), digest.clone())),
        ] {
            assert_eq!(Route::of(&path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn a_path_that_leaves_its_place_names_nothing() {
        for path in [
            "/",
            "/v1/",
            "/v22/",
            "/v2/x",
            "/v2/../../etc/passwd",
            "/v2/a/../b/tags/list",
            "/v2//tags/list",
            "/v2/%2e%2e/tags/list",
            "/v2/a%2fb/tags/list",
            "/v2/a%00/tags/list",
            "/v2/a%/tags/list",
            "/v2/A/tags/list",
            "/v2/a/blobs/sha256:..",
            "/v2/a/blobs/sha256:%2e%2e%2fx",
            "/v2/a/manifests/..",
            "/v2/a/manifests/.hidden",
            "/v2/a/manifests/%0a",
            "/v2/tags/list",
            "/v2/blobs/uploads/",
        ] {
            assert!(Route::of(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_media_type_in_a_query_keeps_its_plus() {
        let query = Query::of(Some("artifactType=a/b+json&tag=x&tag=y&n=3")).unwrap();
        assert_eq!(query.get("artifactType"), Some("a/b+json"));
        assert_eq!(Query::of(Some("artifactType=a%2Fb%2Bjson")).unwrap().get("artifactType"), Some("a/b+json"));
        assert_eq!(query.tags().unwrap(), ["x", "y"]);
        assert_eq!(query.limit().unwrap(), Some(3));
        for bad in ["-1", "x", "", "1e3"] {
            assert!(Query::of(Some(&format!("n={bad}"))).unwrap().limit().is_err(), "{bad}");
        }
    }
}
