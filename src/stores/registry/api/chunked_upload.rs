//! Uploads in chunks, for registries and proxies that refuse a large blob in one request (distribution-spec, "Pushing a
//! blob in chunks").

use futures_util::TryStreamExt as _;
use http::{HeaderValue, Method, header};

use super::{repository::RepositoryApi, upload::Upload};
use crate::{
    blob::Blob,
    error::{Error, Kind, Result},
    oci::{Descriptor, media_type},
    store::verified,
    stores::registry::{
        auth::scope::Access,
        http::{failure::Failure, payload::Payload, request::Request, response::Response},
    },
};

/// How often a registry may correct our offset in an upload.
const MAX_TURNS: usize = 16;

impl RepositoryApi {
    /// Records that a body of this length was too long. Errors: the refusal itself, if shorter ones make no sense.
    pub(super) async fn too_long(&self, refusal: Response, length: u64, upload: &Upload) -> Result<()> {
        let error = refusal.into_error().await;
        // An exhausted quota has no space for chunks either.
        let shorter = error.kind() == Kind::Limit && self.registry.max_body.refuse(length, upload.least);
        if shorter { Ok(()) } else { Err(error) }
    }

    /// Sends a blob in chunks to an upload, once; `false` if the chunks must be shorter.
    ///
    /// A blob that is not at hand is read and verified first: this is impossible between its chunks.
    pub(super) async fn put_chunked(
        &self,
        desc: &Descriptor,
        blob: &dyn Blob,
        upload: &mut Upload,
    ) -> Result<bool, Failure> {
        if !blob.is_local_and_hashed() {
            read_through(desc, blob).await?;
        }
        let (length, mut at, mut turns) = (upload.piece(self.registry.max_body.get()), 0, 0);
        while at < desc.size {
            let payload = Payload::Part { blob, from: at, len: length.min(desc.size - at) };
            let (sent, end) = (payload.len(), at + payload.len());
            let response = self.patch_upload(payload, at, upload).await?;
            at = match response.status.as_u16() {
                // Amazon ECR answers 201.
                201 | 202 | 204 => {
                    upload.place = self.registry.transport.onward(&response)?;
                    // Some registries count anything but the whole upload here. If a chunk is missing in the end, the
                    // digest tells.
                    let reached = reached(&response).filter(|reached| at < *reached && *reached <= end);
                    response.finish().await;
                    reached.unwrap_or(end)
                }
                413 => return self.too_long(response, sent, upload).await.map(|()| false).map_err(Failure::Final),
                416 if turns < MAX_TURNS => {
                    response.finish().await;
                    turns += 1;
                    self.upload_offset(upload)
                        .await?
                        .filter(|now| *now != at && *now <= desc.size)
                        .ok_or(astray(desc))?
                }
                404 => return Err(gone(response).await),
                _ => return Err(Failure::Final(response.into_error().await)),
            };
        }
        self.put_blob(desc, Payload::Empty, upload).await
    }

    /// Sends the chunk at this offset, once.
    pub(super) async fn patch_upload(
        &self,
        payload: Payload<'_>,
        at: u64,
        upload: &Upload,
    ) -> Result<Response, Failure> {
        let last = (at + payload.len()).saturating_sub(1);
        let range = HeaderValue::from_str(&format!("{at}-{last}"));
        let mut request = Request::new(Method::PATCH, upload.place.clone())
            .with(header::CONTENT_TYPE, HeaderValue::from_static(media_type::OCTET_STREAM))
            .with(header::CONTENT_RANGE, range.map_err(|e| Error::caused(Kind::Internal, "range", e))?);
        request.payload = payload;
        self.registry.transport.attempt(&request, &self.scope(Access::Push)).await
    }

    /// The offset of an upload according to the registry, if it tells.
    async fn upload_offset(&self, upload: &mut Upload) -> Result<Option<u64>, Failure> {
        let request = Request::new(Method::GET, upload.place.clone());
        let response = self.registry.transport.attempt(&request, &self.scope(Access::Push)).await?;
        if !response.status.is_success() {
            return Err(gone(response).await);
        }
        upload.place = self.registry.transport.onward(&response).unwrap_or_else(|_| upload.place.clone());
        Ok(reached(&response))
    }
}

/// Reads and verifies a blob without keeping it.
pub(super) async fn read_through(desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
    let mut whole = verified(desc, blob.open(0).await?);
    while whole.try_next().await?.is_some() {}
    Ok(())
}

/// The failure of an upload that no longer exists; a new one may succeed.
pub(super) async fn gone(response: Response) -> Failure {
    Failure::passing(response.into_error().await.context("the upload no longer exists"))
}

fn astray(desc: &Descriptor) -> Failure {
    Failure::passing(Error::new(
        Kind::Unavailable,
        format!("the registry reports a wrong offset in the upload of {}", desc.digest),
    ))
}

/// The length of an upload: `Range: 0-LAST`. Some write `0-0` for an empty upload, which also stands for one byte.
pub(super) fn reached(response: &Response) -> Option<u64> {
    let range = response.header(header::RANGE)?;
    let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    (first.trim() == "0").then_some(if last == 0 { 0 } else { last.saturating_add(1) })
}
