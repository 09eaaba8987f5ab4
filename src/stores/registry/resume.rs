//! Blobs that arrive whole although their download breaks off: it goes on from the byte that was reached.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    Registry, Repository,
    answer::{Answer, quoted},
    auth::Access,
    download::refused,
    retry::{Lost, Step},
    transport::Ask,
};
use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    oci::Descriptor,
    progress::Event,
};

/// A download, and how far it has come.
pub(super) struct Download {
    registry: Registry,
    /// The repository, for messages.
    place: String,
    desc: Descriptor,
    ask: Ask<'static>,
    at: u64,
    /// Up to where it is told that nothing need come again.
    kept: u64,
    /// Whether parts proved wrong: then all is asked for, and what was had already is dropped.
    whole: bool,
    step: Step,
}

/// What one attempt brings.
struct Part {
    stream: ByteStream,
    /// Whether its end is the end that the registry announced for the whole blob.
    announced: bool,
}

impl Download {
    /// A download of a blob from this byte on.
    pub(super) fn new(repository: &Repository, desc: &Descriptor, at: u64) -> Result<Self> {
        let registry = repository.registry().clone();
        let step = registry.0.transport.step();
        let ask = repository.ask(Method::GET, &format!("blobs/{}", desc.digest), Access::Pull)?;
        Ok(Self { registry, place: repository.to_string(), desc: desc.bare(), ask, at, kept: at, whole: false, step })
    }

    /// The bytes. Errors: refusals at once, and what does not pass.
    ///
    /// Nobody has verified them. A registry that knows no ranges sends all again, of which as much is dropped as was
    /// had: only the digest of the whole proves that both halves belong together ([`crate::store::verified`]).
    pub(super) async fn start(mut self) -> Result<ByteStream> {
        let first = self.part().await?;
        let state = (self, first);
        let next = |(mut download, mut part): (Self, Part)| async move {
            let chunk = download.next(&mut part).await?;
            Ok(chunk.map(|chunk| (chunk, (download, part))))
        };
        Ok(stream::try_unfold(state, next).boxed())
    }

    async fn next(&mut self, part: &mut Part) -> Result<Option<Bytes>> {
        loop {
            let lost = match part.stream.try_next().await {
                Ok(Some(chunk)) => {
                    self.at = self.at.saturating_add(chunk.len() as u64);
                    self.step.moved(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
                Ok(None) if part.announced => return Ok(None),
                _ if self.at >= self.desc.size => return Ok(None),
                Ok(None) => Lost::passing(self.short()),
                Err(error) => Lost::body(error),
            };
            self.step.again(lost).await?;
            *part = self.part().await?;
        }
    }

    /// The rest of the blob, asked for until it comes.
    async fn part(&mut self) -> Result<Part> {
        loop {
            match self.attempt().await {
                Ok(part) => return Ok(part),
                Err(lost) => self.step.again(lost).await?,
            }
        }
    }

    async fn attempt(&mut self) -> Result<Part, Lost> {
        let mut ask = self.ask.clone();
        let ranged = self.at > 0 && !self.whole;
        if ranged {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.at));
            ask = ask.with(header::RANGE, range.map_err(|e| Error::caused(Kind::Internal, "range", e))?);
        }
        let answer = self.registry.0.transport.attempt(&ask).await?;
        match answer.status {
            StatusCode::OK => {
                let announced = answer.headers.contains_key(header::CONTENT_LENGTH);
                Ok(Part { stream: skip(answer.stream()?, self.at), announced })
            }
            StatusCode::PARTIAL_CONTENT if ranged => {
                if let Err(wrong) = check_range(&answer, self.at, self.desc.size) {
                    self.whole = true;
                    return Err(Lost::passing(wrong));
                }
                let saved = self.at.saturating_sub(std::mem::replace(&mut self.kept, self.at));
                if saved > 0 {
                    self.step.tell(Event::Resumed(self.desc.digest.clone(), saved));
                }
                Ok(Part { stream: answer.stream()?, announced: false })
            }
            _ => Err(Lost::Final(refused(answer, &self.desc.digest.to_string(), &self.place).await)),
        }
    }

    fn short(&self) -> Error {
        let (digest, at, size) = (&self.desc.digest, self.at, self.desc.size);
        Error::new(Kind::Unavailable, format!("{digest} from {} ends after {at} of {size} bytes", self.place))
    }
}

/// A partial answer must start where it was asked to and belong to content of the right size.
fn check_range(answer: &Answer, from: u64, size: u64) -> Result<()> {
    let given = answer.header(header::CONTENT_RANGE).unwrap_or_default();
    let parsed = given.strip_prefix("bytes ").and_then(|range| {
        let (range, total) = range.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" { size } else { total.parse().ok()? };
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, total))
    });
    match parsed {
        Some((first, last, total)) if first == from && total == size && last < size => Ok(()),
        _ => Err(Error::mismatch(format!(
            "{}: answered with range `{}` where bytes {from} to {size} were asked for",
            answer.what(),
            quoted(given)
        ))),
    }
}

/// A stream without its first bytes: what a whole answer to a request for a part becomes.
fn skip(stream: ByteStream, from: u64) -> ByteStream {
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
            assert_eq!(collect(skip(stream::iter(parts).boxed(), from), 9).await.unwrap(), want);
        }
    }
}
