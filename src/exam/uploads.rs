//! Behaviours of content with a yet unknown digest.

use bytes::Bytes;

use super::{
    Candidate, Outcome,
    questions::{content, has, kind},
    samples::noise,
};
use crate::{
    error::{Error, Kind},
    oci::{Algorithm, Descriptor, Digest},
    store::{Intent, begin},
};

const NO_STREAMS: Outcome = Outcome::DoesNotApply("it accepts no content with an unknown digest");

pub(super) async fn content_of_unknown_digest_is_uploaded_in_pieces(c: Candidate) -> Outcome {
    if !streams(&c).await {
        return NO_STREAMS;
    }
    let bytes = Bytes::from(noise(1_500_000, 5));
    for (size, expected) in [(None, None), (Some(1_500_000), Some(Algorithm::Sha256)), (None, Some(Algorithm::Sha512))]
    {
        let write = begin(&*c.store, Intent::default()).await.unwrap();
        let mut upload = write.puts().stream(size).await.unwrap();
        for piece in bytes.chunks(333_333) {
            upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(upload.offset(), 1_500_000);
        let expected = expected.map(|algorithm| Digest::with(algorithm, &bytes));
        let desc = upload.finish(expected.as_ref()).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(desc.digest, expected.unwrap_or_else(|| Digest::of(&bytes)));
        assert_eq!(desc.size, 1_500_000);
        assert!(has(&*c.store, &desc).await.unwrap());
        assert!(content(&c, &desc).await.unwrap() == bytes);
    }
    Outcome::Passed
}

pub(super) async fn an_upload_of_other_content_than_promised_leaves_nothing(c: Candidate) -> Outcome {
    if !streams(&c).await {
        return NO_STREAMS;
    }
    let promised = Digest::of(b"promised");
    for size in [None, Some(8)] {
        let write = begin(&*c.store, Intent::default()).await.unwrap();
        let mut upload = write.puts().stream(size).await.unwrap();
        upload.write(Bytes::from_static(b"delivers")).await.unwrap();
        assert_eq!(kind(upload.finish(Some(&promised)).await), Kind::Mismatch);
        write.commit().await.unwrap();
    }
    for digest in [promised, Digest::of(b"delivers")] {
        assert!(!has(&*c.store, &Descriptor::new("a/b", digest, 8)).await.unwrap());
    }
    Outcome::Passed
}

pub(super) async fn a_stream_that_is_dropped_leaves_nothing(c: Candidate) -> Outcome {
    if !streams(&c).await {
        return NO_STREAMS;
    }
    let bytes = Bytes::from(noise(3_000_000, 6));
    let write = begin(&*c.store, Intent::default()).await.unwrap();
    let mut upload = write.puts().stream(Some(3_000_000)).await.unwrap();
    for piece in [bytes.slice(..2_000_000), bytes.slice(2_000_000..)] {
        upload.write(piece).await.unwrap();
    }
    drop(upload);
    write.commit().await.unwrap();
    assert!(!has(&*c.store, &Descriptor::of("a/b", &bytes)).await.unwrap());
    let left = c.again().inventory().await.unwrap().unwrap_or_default();
    assert!(left.blobs.is_empty() && left.leftovers.is_empty(), "{left:?}");
    Outcome::Passed
}

/// Whether the store accepts content with an unknown digest, by its abilities.
async fn streams(c: &Candidate) -> bool {
    let write = begin(&*c.store, Intent::default()).await.unwrap();
    let stream = write.puts().stream(None).await;
    let streams = c.store.abilities().streams;
    assert_eq!(stream.as_ref().err().map(Error::kind), (!streams).then_some(Kind::Unsupported));
    drop(stream);
    write.abandon().await;
    streams
}
