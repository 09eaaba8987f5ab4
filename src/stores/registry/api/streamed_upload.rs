//! Uploads of content whose digest is not known before the end: POST, PATCH, and PUT with the digest. If the size is
//! known, a single PATCH streams all content; otherwise it is buffered and sent in chunks.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    chunked_upload::{gone, reached},
    repository::RepositoryApi,
    upload::Upload,
};
use crate::{
    error::{Error, Kind, Result, ServerCode},
    oci::{Descriptor, Digest, Hasher, media_type},
    store::{Sink, compare},
    stores::registry::{
        http::{failure::Failure, payload::Payload, response::Response},
        origins::quirks,
    },
};

/// How many chunks wait to be sent; the caller may buffer some, too.
const QUEUE: usize = 1;
/// How many bytes are buffered before they are sent, unless the registry accepts less or requires more.
const PIECE: u64 = 8 << 20;

/// A streaming upload. A separate task sends it, which ends when this is dropped; the upload is then cancelled.
pub(super) struct Streamed {
    repository: RepositoryApi,
    size: Option<u64>,
    offset: u64,
    chunks: Option<mpsc::Sender<Bytes>>,
    sending: JoinSet<Result<Sent>>,
    given_up: watch::Receiver<bool>,
}

/// An upload with all its content.
struct Sent {
    upload: Upload,
    /// The digest, if computed.
    digest: Option<Digest>,
}

impl Streamed {
    /// Opens an upload for content of this size, sent in one PATCH, or of unknown size.
    ///
    /// Errors: kind `Unsupported` if the registry is known not to accept such a PATCH.
    pub(super) async fn open(
        repository: &RepositoryApi,
        size: Option<u64>,
        given_up: watch::Receiver<bool>,
    ) -> Result<Self> {
        let registry = &repository.registry;
        if quirks::is_patchless(&registry.name) || size.is_some_and(|size| size > registry.max_body.get()) {
            let what = size.map_or_else(|| "no large PATCH".into(), |size| format!("no PATCH of {size} bytes"));
            return Err(Error::unsupported(format!("{registry} accepts {what}")));
        }
        let upload = unless(given_up.clone(), repository.open_upload()).await?;
        let (chunks, queue) = mpsc::channel(QUEUE);
        let (sender, mut sending) = (repository.clone(), JoinSet::new());
        sending.spawn(unless(given_up.clone(), async move {
            match size {
                Some(size) => sender.send_whole(size, queue, upload).await,
                None => sender.send_chunked(queue, upload).await,
            }
        }));
        Ok(Self { repository: repository.clone(), size, offset: 0, chunks: Some(chunks), sending, given_up })
    }

    /// The result of the upload.
    async fn sent(&mut self) -> Result<Sent> {
        match self.sending.join_next().await {
            Some(Ok(sent)) => sent,
            Some(Err(e)) => Err(Error::caused(Kind::Internal, "upload task failed", e)),
            None => Err(Error::new(Kind::Internal, "the upload has already failed")),
        }
    }
}

/// The error of a session that has ended.
pub(super) fn ended() -> Error {
    Error::new(Kind::Internal, "the session has already ended")
}

/// Runs `work` unless the session is abandoned first.
async fn unless<T>(mut given_up: watch::Receiver<bool>, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        Ok(_) = given_up.wait_for(|given_up| *given_up) => Err(ended()),
        done = work => done,
    }
}

#[async_trait]
impl Sink for Streamed {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let offset = self.offset.saturating_add(chunk.len() as u64);
        if let Some(size) = self.size.filter(|size| *size < offset) {
            return Err(Error::mismatch(format!("content exceeds the expected {size} bytes")));
        }
        let sent = match &self.chunks {
            Some(chunks) if !chunk.is_empty() => chunks.send(chunk).await.is_ok(),
            _ => true,
        };
        if !sent {
            let sent = self.sent().await;
            let early = |_| Error::new(Kind::Unavailable, format!("{} stopped accepting the upload", self.repository));
            return Err(sent.map_or_else(|e| e, early));
        }
        self.offset = offset;
        Ok(())
    }

    async fn finish(mut self: Box<Self>, expected: Option<&Digest>) -> Result<Descriptor> {
        if let Some(size) = self.size.filter(|size| *size != self.offset) {
            return Err(Error::mismatch(format!("content ends after {} of {size} bytes", self.offset)));
        }
        self.chunks = None;
        let Sent { upload, digest } = self.sent().await?;
        let digest = match (expected, digest) {
            (Some(expected), found) => {
                found
                    .filter(|found| found.algorithm() == expected.algorithm())
                    .map_or(Ok(()), |found| compare(expected, found))?;
                expected.clone()
            }
            (None, Some(found)) => found,
            (None, None) => {
                return Err(Error::unsupported(format!(
                    "cannot store content in {} before its digest is known",
                    self.repository
                )));
            }
        };
        let desc = Descriptor::new(media_type::OCTET_STREAM, digest, self.offset);
        let ending =
            async { self.repository.put_blob(&desc, Payload::Empty, &upload).await.map_err(Failure::into_error) };
        match unless(self.given_up.clone(), ending).await {
            Ok(true) => {
                upload.end();
                Ok(desc)
            }
            Ok(false) => Err(Error::limit(format!("{} does not complete this upload", self.repository))),
            Err(e) if e.kind() == Kind::Invalid && e.server_codes().contains(&ServerCode::DigestInvalid) => {
                Err(Error::mismatch(e.to_string()))
            }
            Err(e) => Err(e),
        }
    }
}

impl RepositoryApi {
    /// Streams content in one PATCH, without retry: the caller can send it in another way.
    async fn send_whole(&self, size: u64, queue: mpsc::Receiver<Bytes>, mut upload: Upload) -> Result<Sent> {
        if size > 0 {
            let content = stream::unfold(queue, |mut queue| async move { Some((Ok(queue.recv().await?), queue)) });
            let content = Mutex::new(Some(content.boxed()));
            let response =
                self.patch_upload(Payload::Once(&content, size), 0, &upload).await.map_err(Failure::into_error)?;
            if response.status == 413 {
                let what = response.what();
                self.too_long(response, size, &upload).await?;
                return Err(Error::limit(format!("{what}: does not accept {size} bytes")));
            }
            self.read_patch_answer(response, size, &mut upload).await?;
        }
        Ok(Sent { upload, digest: None })
    }

    /// Buffers content and sends it in chunks, smaller ones if the registry requires that.
    async fn send_chunked(&self, mut queue: mpsc::Receiver<Bytes>, mut upload: Upload) -> Result<Sent> {
        let (mut hasher, mut at, mut gathered, mut more) = (Hasher::default(), 0_u64, BytesMut::new(), true);
        while more || !gathered.is_empty() {
            let length = upload.piece(self.registry.max_body.get().min(PIECE));
            if more && (gathered.len() as u64) < length {
                let chunk = queue.recv().await;
                more = chunk.is_some();
                if let Some(chunk) = chunk {
                    hasher.update(&chunk);
                    gathered.extend_from_slice(&chunk);
                }
                continue;
            }
            let rest = gathered.freeze();
            let piece = rest.slice(..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
            let sent = piece.len();
            let response = self.patch_upload(Payload::Bytes(piece), at, &upload).await.map_err(Failure::into_error)?;
            if response.status == 413 {
                self.too_long(response, sent as u64, &upload).await?;
                gathered = BytesMut::from(rest);
                continue;
            }
            at = at.saturating_add(sent as u64);
            self.read_patch_answer(response, at, &mut upload).await?;
            gathered = BytesMut::from(rest.slice(sent..));
        }
        Ok(Sent { upload, digest: Some(hasher.finish()) })
    }

    /// Checks the response to a PATCH after which the upload should have `now` bytes.
    async fn read_patch_answer(&self, response: Response, now: u64, upload: &mut Upload) -> Result<()> {
        if response.status == 404 {
            return Err(gone(response).await.into_error());
        }
        let response = response.expect(&[202, 201, 204]).await?;
        if let Some(reached) = reached(&response).filter(|reached| *reached != now) {
            let what = response.what();
            return Err(Error::new(Kind::Unavailable, format!("{what}: stored only {reached} of {now} bytes")));
        }
        upload.place = self.registry.transport.onward(&response)?;
        response.finish().await;
        Ok(())
    }
}
