//! Downloads that resume: after a break, the rest is requested from the byte that was reached.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};

use super::{errors::not_in_repository, registry::RegistryApi, repository::RepositoryApi};
use crate::{
    blob::ByteStream,
    error::{Error, Facts, Kind, Result},
    oci::Descriptor,
    progress::Event,
    stores::registry::{
        auth::scope::{Access, Scope},
        http::{failure::Failure, request::Request, response::Response, retry::Attempts},
        log,
    },
};

/// A download and its progress.
pub(super) struct Download {
    pub(super) registry: Arc<RegistryApi>,
    /// The repository, for messages.
    place: String,
    pub(super) desc: Descriptor,
    request: Request<'static>,
    scope: Scope,
    at: u64,
    /// The offset up to which saved bytes were reported.
    kept: u64,
    /// The end of the requested range, exclusive.
    end: u64,
    /// True if only this range is wanted, and not the rest of the blob.
    range: bool,
    /// True if partial responses proved wrong: everything is then requested, and the bytes already received are
    /// dropped.
    whole: bool,
    attempts: Attempts,
}

/// The body of one attempt.
pub(super) struct RangeBody {
    stream: ByteStream,
    /// True if the registry announced its end as the end of the whole blob.
    announced: bool,
    /// True if the registry claims to support ranges.
    pub(super) ranges: bool,
}

impl Download {
    /// A download of a blob from this offset.
    pub(super) fn new(repository: &RepositoryApi, desc: &Descriptor, at: u64) -> Result<Self> {
        let registry = Arc::clone(&repository.registry);
        let attempts = registry.transport.attempts();
        let request = repository.request(Method::GET, &format!("blobs/{}", desc.digest))?;
        let (request, scope) = (request.expecting(desc.size), repository.scope(Access::Pull));
        let (place, desc) = (repository.to_string(), desc.bare());
        let (end, range, whole) = (desc.size, false, false);
        Ok(Self { registry, place, desc, request, scope, at, kept: at, end, range, whole, attempts })
    }

    /// A download of a part of the blob. Only exactly this range is accepted as response; kind `Unsupported` means that
    /// the registry does not support such requests.
    pub(super) fn range(&self, from: u64, end: u64) -> Self {
        let (registry, attempts) = (Arc::clone(&self.registry), self.registry.transport.attempts());
        let (place, desc) = (self.place.clone(), self.desc.clone());
        let (request, scope) = (self.request.clone(), self.scope.clone());
        Self { registry, place, desc, request, scope, at: from, kept: from, end, range: true, whole: false, attempts }
    }

    /// The next chunk of the range; requests the rest again after a break.
    pub(super) async fn next_chunk(&mut self, part: &mut RangeBody) -> Result<Option<Bytes>> {
        loop {
            // A range is over with its last byte, whatever else the server sends. The whole blob is read to the end of
            // the stream, so that content which is too long is noticed.
            if self.range && self.at >= self.end {
                return Ok(None);
            }
            let failure = match part.stream.try_next().await {
                Ok(Some(mut chunk)) => {
                    if self.range {
                        chunk.truncate(usize::try_from(self.left()).unwrap_or(usize::MAX));
                    }
                    self.at = self.at.saturating_add(chunk.len() as u64);
                    self.attempts.moved(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
                Ok(None) if part.announced => return Ok(None),
                _ if self.at >= self.end => return Ok(None),
                Ok(None) => Failure::passing(self.short()),
                Err(error) => Failure::body(error),
            };
            self.again(failure).await?;
            *part = self.part().await?;
        }
    }

    /// The rest of the range, requested until it arrives.
    pub(super) async fn part(&mut self) -> Result<RangeBody> {
        loop {
            match self.request_rest().await {
                Ok(part) => return Ok(part),
                Err(failure) => self.again(failure).await?,
            }
        }
    }

    /// Waits until it is time for another attempt. Errors: the failure itself when there is to be none.
    async fn again(&mut self, failure: Failure) -> Result<()> {
        let again = self.attempts.again(failure).await;
        let repository = || Some(self.place.clone());
        let located = again.map_err(|e| e.with_facts(Facts { repository: repository(), ..Facts::default() }));
        self.registry.located(located)
    }

    /// The current offset.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Records that the next bytes arrived by other means.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.at = self.at.saturating_add(bytes);
        self.kept = self.at;
    }

    /// Number of missing bytes.
    pub(super) fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    async fn request_rest(&mut self) -> Result<RangeBody, Failure> {
        let mut request = self.request.clone();
        let ranged = self.range || self.at > 0 && !self.whole;
        if ranged {
            let last = if self.range { self.end.saturating_sub(1).to_string() } else { String::new() };
            let range = HeaderValue::from_str(&format!("bytes={}-{last}", self.at));
            request = request.with(header::RANGE, range.map_err(|e| Error::caused(Kind::Internal, "range", e))?);
        }
        let response = self.registry.transport.attempt(&request, &self.scope).await?;
        match response.status {
            StatusCode::OK if self.range => Err(Failure::Final(self.no_ranges(&response))),
            StatusCode::OK => {
                let announced = response.headers.contains_key(header::CONTENT_LENGTH);
                let ranges =
                    response.header(header::ACCEPT_RANGES).is_some_and(|said| said.eq_ignore_ascii_case("bytes"));
                Ok(RangeBody { stream: skip_bytes(response.stored(self.desc.size)?, self.at), announced, ranges })
            }
            StatusCode::PARTIAL_CONTENT if ranged => match check_range(&response, self.at, self.end, self.desc.size) {
                Ok(()) => {
                    let saved = self.at.saturating_sub(std::mem::replace(&mut self.kept, self.at));
                    if saved > 0 {
                        log::resumed(&self.desc.digest, self.at);
                        self.attempts.tell(Event::Resumed(self.desc.digest.clone(), saved));
                    }
                    Ok(RangeBody { stream: response.stored(self.left())?, announced: false, ranges: true })
                }
                Err(_) if self.range => Err(Failure::Final(self.no_ranges(&response))),
                Err(wrong) => {
                    self.whole = true;
                    Err(Failure::passing(wrong))
                }
            },
            StatusCode::RANGE_NOT_SATISFIABLE if self.range => Err(Failure::Final(self.no_ranges(&response))),
            // A registry that does not support ranges, or rejects this one, may still serve the whole blob.
            StatusCode::RANGE_NOT_SATISFIABLE if ranged => {
                self.whole = true;
                Err(Failure::passing(response.into_error().await))
            }
            _ => Err(Failure::Final(not_in_repository(response, &self.desc.digest.to_string(), &self.place).await)),
        }
    }

    fn no_ranges(&self, response: &Response) -> Error {
        Error::unsupported(format!("{}: answered without the requested range", response.what()))
    }

    fn short(&self) -> Error {
        let (digest, at, size) = (&self.desc.digest, self.at, self.desc.size);
        Error::new(Kind::Unavailable, format!("{digest} from {} ends after {at} of {size} bytes", self.place))
    }
}

/// A partial response must start at the requested offset, end no later than requested, and belong to content of the
/// right size.
fn check_range(response: &Response, from: u64, end: u64, size: u64) -> Result<()> {
    let given = response.header(header::CONTENT_RANGE).unwrap_or_default();
    match parse_range(given, size) {
        Some((first, last, total)) if first == from && total == size && last < end => Ok(()),
        _ => Err(Error::mismatch(format!(
            "{}: answered with range `{}` instead of bytes {from} to {end} of {size}",
            response.what(),
            response.excerpt(given)
        ))),
    }
}

/// The first and last byte and the size of the whole in a `Content-Range`; `*` stands for this size.
pub(in crate::stores::registry) fn parse_range(text: &str, size: u64) -> Option<(u64, u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { size } else { total.parse().ok()? };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}

/// A stream without its first bytes, for a full response to a range request.
fn skip_bytes(stream: ByteStream, from: u64) -> ByteStream {
    if from == 0 {
        return stream;
    }
    stream::unfold((stream, from), |(mut stream, mut left)| async move {
        loop {
            let item = stream.next().await?;
            let Ok(chunk) = item else { return Some((item, (stream, left))) };
            let cut = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            left = left.saturating_sub(cut as u64);
            if cut < chunk.len() {
                return Some((Ok(chunk.slice(cut..)), (stream, left)));
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::collect;

    #[tokio::test]
    async fn a_whole_answer_to_a_request_for_a_part_is_cut() {
        for (from, want) in [(0, "abcdef"), (1, "bcdef"), (3, "def"), (5, "f"), (6, ""), (9, "")] {
            let parts = ["ab", "c", "def"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
            assert_eq!(collect(skip_bytes(stream::iter(parts).boxed(), from), 9).await.unwrap(), want);
        }
    }
}
