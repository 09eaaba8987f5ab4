//! Content whose digest becomes known while it moves: POST, one PATCH with all of it, PUT with the digest.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use http::Method;

use super::{Repository, auth::Access, body::Payload, pieces::reached, quirks, retry::Lost, upload::Upload};
use crate::{
    blob::ByteStream,
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, media_type},
};

impl Repository {
    /// Sends such content, once and without another attempt at anything: whoever sends it can do it in another way.
    pub(super) async fn send_unnamed(
        &self,
        size: u64,
        content: ByteStream,
        digest: BoxFuture<'static, Result<Digest>>,
    ) -> Result<()> {
        if size > self.registry.0.longest.get() || quirks::is_patchless(&self.registry.0.name) {
            return Err(Error::unsupported(format!("{} takes no PATCH of {size} bytes", self.registry)));
        }
        let ask = self.ask(Method::POST, "blobs/uploads/", Access::Push)?;
        let (open, transport) = (self.uploads.opening(), &self.registry.0.transport);
        let answer = transport.attempt(&ask).await.map_err(Lost::into_error)?.expect(&[202, 200]).await?;
        // Dropped before its end, as it is when the content turns out to be there, it is cancelled.
        let mut upload = Upload::of(&answer, &self.registry, &ask.scope, open)?;
        answer.finish().await;
        self.fill(size, content, digest, &mut upload).await?;
        upload.end();
        Ok(())
    }

    /// Sends the content to an upload, and ends that.
    async fn fill(
        &self,
        size: u64,
        content: ByteStream,
        digest: BoxFuture<'static, Result<Digest>>,
        upload: &mut Upload,
    ) -> Result<()> {
        let content = Mutex::new(Some(content));
        let answer = self.patch(Payload::Once(&content, size), 0, upload).await.map_err(Lost::into_error)?;
        if answer.status == 413 {
            let what = answer.what();
            self.too_long(answer, size, upload).await?;
            return Err(Error::limit(format!("{what}: takes less than {size} bytes")));
        }
        let answer = answer.expect(&[202, 201, 204]).await?;
        if let Some(reached) = reached(&answer).filter(|reached| *reached != size) {
            let what = answer.what();
            return Err(Error::new(Kind::Unavailable, format!("{what}: has {reached} of {size} bytes")));
        }
        upload.place = self.registry.0.transport.onward(&answer)?;
        answer.finish().await;
        let desc = Descriptor::new(media_type::OCTET_STREAM, digest.await?, size);
        match self.put_blob(&desc, Payload::Empty, upload).await.map_err(Lost::into_error)? {
            true => Ok(()),
            false => Err(Error::limit(format!("{} does not end an upload of {size} bytes", self.registry))),
        }
    }
}
