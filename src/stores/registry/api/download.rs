//! Reading: names into descriptors, content as streams, tags.

use std::{collections::HashSet, fmt::Display, ops::Range};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::{
    pages::{MAX_PAGE, Pages},
    resume::Download,
};
use crate::{
    blob::{self, Blob as _, ByteStream},
    error::{Code, Error, Kind, Result, ServerCode},
    oci::{Descriptor, Digest, MAX_MANIFEST, Parsed, Role, Tag, media_type},
    store::{Flaw, FlawKind, Item, NamePage, Presence},
    stores::registry::{
        Repository,
        auth::scope::Access,
        http::{document::Document, response::Response},
        origins::{quirks, redact::excerpt},
    },
};

/// What media type libraries and proxies send for anything.
const ANYTHING: [&str; 4] = ["", "application/json", media_type::OCTET_STREAM, "text/plain"];

/// The media type of a manifest that was served as one of no known type: what it says itself; else what it was served
/// as, unless that says nothing; else what it looks like.
fn own_or(given: String, bytes: &[u8]) -> Result<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        media_type: String,
    }
    match serde_json::from_slice::<Own>(bytes) {
        Err(_) if media_type::is_valid(&given) && !ANYTHING.contains(&&*given) => Ok(given),
        Err(_) => Parsed::sniff(bytes),
        Ok(own) => Ok(own.media_type),
    }
}

/// A stream of all that follows the start of a range, cut at the end of it. Whoever wants content up to its end gets
/// what comes after that, too: it shows that something is wrong.
pub(in crate::stores::registry) fn part(rest: ByteStream, range: &Range<u64>, desc: &Descriptor) -> ByteStream {
    if range.end < desc.size { blob::first(rest, range.end.saturating_sub(range.start)) } else { rest }
}

/// How many questions are asked at a time.
const PARALLEL: usize = 32;

/// The manifest types that are understood; some registries answer 404 unless the right one is listed.
pub(super) const ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     */*;q=0.1",
);

/// The digest of a manifest, as the registry says (distribution-spec, "Pulling manifests").
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

impl Repository {
    /// The descriptor behind a tag or a digest, from the headers of a HEAD, else from the manifest itself.
    pub(in crate::stores::registry) async fn describe(&self, name: &str) -> Result<Descriptor> {
        let wanted = name.parse::<Digest>().ok();
        if wanted.is_none() && name.parse::<Tag>().is_err() {
            return Err(Error::not_found(format!("`{}` in {self}: neither a tag nor a digest", excerpt(name))));
        }
        let request = self.request(Method::HEAD, &format!("manifests/{name}"))?.with(header::ACCEPT, ACCEPT);
        let response = self.send(&request, Access::Pull).await?;
        let response = match response.status {
            StatusCode::OK => response,
            // Some answer HEAD for what they do not have in the type they would serve, some not at all.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => return self.describe_by_get(name).await,
            _ => return Err(refused(response, name, self).await),
        };
        let said = said_digest(&response, wanted.as_ref())?;
        let (media_type, size) = (response.media_type(), response.number(header::CONTENT_LENGTH));
        match (wanted.or(said), size) {
            (Some(digest), Some(size)) if media_type::points(&media_type) => {
                Ok(Descriptor::new(media_type, digest, size))
            }
            _ => self.describe_by_get(name).await,
        }
    }

    async fn describe_by_get(&self, name: &str) -> Result<Descriptor> {
        let wanted = name.parse::<Digest>().ok();
        let response = self.get_manifest(name).await?;
        let (what, given) = (response.what(), response.media_type());
        if given == "text/html" {
            return Err(Error::new(Kind::NotARegistry, format!("{what}: 200 OK and a page: this is not a registry")));
        }
        let said = said_digest(&response, wanted.as_ref())?;
        let bytes = response.bytes(2 * MAX_MANIFEST).await?;
        let algorithm = wanted.as_ref().or(said.as_ref()).map(Digest::algorithm).unwrap_or_default();
        let digest = Digest::with(algorithm, &bytes);
        if let Some(expected) = wanted.or(said).filter(|expected| *expected != digest) {
            return Err(Error::mismatch(format!("{what}: the content of {expected} has digest {digest}")));
        }
        let media_type = if media_type::points(&given) { given } else { own_or(given, &bytes)? };
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// A manifest by tag or digest, at most 8 MiB; asked for again when it breaks off.
    pub(super) async fn get_manifest(&self, name: &str) -> Result<Response> {
        let request = self.request(Method::GET, &format!("manifests/{name}"))?.with(header::ACCEPT, ACCEPT);
        let response = self.send(&request.whole(2 * MAX_MANIFEST), Access::Pull).await?;
        if response.status == StatusCode::OK { Ok(response) } else { Err(refused(response, name, self).await) }
    }

    /// What a tag points at now: digest, media type and bytes; `None` when there is no such tag.
    pub(super) async fn tagged(&self, tag: &str) -> Result<Option<(String, Bytes)>> {
        match self.get_manifest(tag).await {
            Ok(response) => {
                let media_type = response.media_type();
                Ok(Some((media_type, response.bytes(2 * MAX_MANIFEST).await?)))
            }
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The bytes of a manifest, compared with the digest that the registry says they have.
    pub(super) async fn manifest(&self, desc: &Descriptor) -> Result<Bytes> {
        let response = self.get_manifest(&desc.digest.to_string()).await?;
        said_digest(&response, Some(&desc.digest))?;
        response.bytes(2 * MAX_MANIFEST).await
    }

    /// The bytes of a blob from an offset on, in constant memory.
    pub(super) async fn blob(&self, desc: &Descriptor, from: u64) -> Result<ByteStream> {
        if from > 0 && from >= desc.size {
            return Ok(blob::once(Bytes::new()));
        }
        Download::new(self, desc, from)?.start().await
    }

    /// A part of a manifest or of a blob.
    pub(in crate::stores::registry) async fn read(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let rest = match item.role {
            Role::Manifest => self.manifest(&item.desc).await?.open(range.start).await?,
            Role::Blob => self.blob(&item.desc, range.start).await?,
        };
        Ok(part(rest, &range, &item.desc))
    }

    /// Whether content is there. Errors: the registry cannot be reached; whatever it answers is no error.
    async fn presence(&self, item: &Item) -> Result<Presence> {
        Ok(match self.head(item).await? {
            Some((true, Some(size))) => Presence::here(size),
            Some((false, _)) => Presence::Absent,
            _ => Presence::Unknown,
        })
    }

    /// Whether content is there and how many bytes it has, as far as that is said; nothing when the question was
    /// refused.
    pub(super) async fn head(&self, item: &Item) -> Result<Option<(bool, Option<u64>)>> {
        let kind = match item.role {
            Role::Manifest => "manifests",
            Role::Blob => "blobs",
        };
        let request = self.request(Method::HEAD, &format!("{kind}/{}", item.desc.digest))?;
        let response = match self.send(&request.with(header::ACCEPT, ACCEPT), Access::Pull).await {
            Ok(response) => response,
            Err(e) if e.kind() == Kind::Unreachable => return Err(e),
            Err(_) => return Ok(None),
        };
        Ok(match response.status {
            StatusCode::OK => Some((true, response.number(header::CONTENT_LENGTH))),
            StatusCode::NOT_FOUND => Some((false, None)),
            _ => None,
        })
    }

    /// Whether these are there, many at a time.
    pub(in crate::stores::registry) async fn presences(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let asked: Vec<_> = items.iter().map(|item| self.presence(item)).collect();
        stream::iter(asked).buffered(PARALLEL).try_collect().await
    }

    /// All tags of the repository, page by page. None where the registry does not know the repository: registries say
    /// that of one whose content has no tags, too.
    pub(in crate::stores::registry) fn list_tags(&self) -> impl Stream<Item = Result<NamePage>> + Send + '_ {
        let more = |state| async {
            let (mut pages, mut known) = match state {
                None => match self.pages_of_tags().await? {
                    None => return Ok(None),
                    Some(pages) => (pages, HashSet::new()),
                },
                Some(going) => going,
            };
            let Some(document) = pages.next().await? else { return Ok(None) };
            let mut page = tags_of(&document)?;
            let before = known.len();
            page.names.retain(|name| known.insert(name.clone()));
            pages.count(known.len().saturating_sub(before), known.len())?;
            page.more = pages.go_on();
            Ok(Some((page, Some((pages, known)))))
        };
        stream::try_unfold(None, more)
    }

    async fn pages_of_tags(&self) -> Result<Option<Pages<'_>>> {
        let mut request = self.request(Method::GET, "tags/list")?.whole(MAX_PAGE);
        request.url.set_query(Some(&format!("n={}", quirks::PAGE)));
        match self.send(&request, Access::Pull).await?.expect(&[200]).await {
            Err(e) if e.kind() == Kind::NotFound && e.server_codes().contains(&ServerCode::NameUnknown) => Ok(None),
            first => Ok(Some(Pages::from(self, first?))),
        }
    }
}

/// The tags on a page.
fn tags_of(document: &Document) -> Result<NamePage> {
    let list: TagList = document.read()?;
    let mut page = NamePage::default();
    for text in list.tags.unwrap_or_default() {
        match text.parse::<Tag>() {
            Ok(tag) => page.names.push(tag.into()),
            Err(_) => page.unreadable.push(Flaw {
                kind: FlawKind::Unreadable,
                place: document.what.clone(),
                message: format!("lists a tag `{}`", document.excerpt(&text)),
            }),
        }
    }
    Ok(page)
}

/// The error of an answer about something that was asked for by name in this place.
pub(super) async fn refused(response: Response, name: &str, place: &impl Display) -> Error {
    let error = response.into_error().await;
    if error.kind() != Kind::NotFound {
        return error;
    }
    let error = if name.parse::<Digest>().is_ok() { error } else { error.with_code(Code::NoSuchTag) };
    error.context(format!("`{}` is not in {place}", excerpt(name)))
}

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

/// The digest that the registry says its answer has. It is compared only with a digest of the same algorithm:
/// registries answer requests by sha512 with a sha256 header.
pub(super) fn said_digest(response: &Response, wanted: Option<&Digest>) -> Result<Option<Digest>> {
    let said: Option<Digest> = response.header(CONTENT_DIGEST).and_then(|text| text.parse().ok());
    match (&said, wanted) {
        (Some(said), Some(wanted)) if said.algorithm() == wanted.algorithm() && said != wanted => {
            Err(Error::mismatch(format!("{}: answered with {said} instead of {wanted}", response.what())))
        }
        _ => Ok(said),
    }
}
