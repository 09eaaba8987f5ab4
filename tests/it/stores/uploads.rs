//! The part of the exam about content whose digest is not known yet.

use artifact::{
    Kind,
    oci::{Algorithm, Descriptor, Digest},
};
use bytes::Bytes;

use super::{Candidate, content, kind};
use crate::support::samples::noise;

pub(crate) async fn content_of_unknown_digest_is_uploaded_in_pieces(c: Candidate) {
    if !c.uploads {
        assert_eq!(kind(c.store.upload(Algorithm::Sha256).await), Kind::Unsupported);
        return;
    }
    let bytes = Bytes::from(noise(1_500_000, 5));
    for (algorithm, expected) in [
        (Algorithm::Sha256, Some(Algorithm::Sha256)),
        (Algorithm::Sha512, None),
        (Algorithm::Sha256, Some(Algorithm::Sha512)),
    ] {
        let mut upload = c.store.upload(algorithm).await.unwrap();
        for piece in bytes.chunks(333_333) {
            upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(upload.offset(), 1_500_000);
        let expected = expected.map(|algorithm| Digest::with(algorithm, &bytes));
        let found = upload.commit(expected.as_ref()).await.unwrap();
        assert_eq!(found, expected.unwrap_or_else(|| Digest::with(algorithm, &bytes)));
        let desc = Descriptor::new("a/b", found, 1_500_000);
        assert!(c.store.contains(&desc).await.unwrap());
        assert!(content(&c, &desc).await.unwrap() == bytes);
    }
}

pub(crate) async fn an_upload_of_other_content_than_promised_leaves_nothing(c: Candidate) {
    if !c.uploads {
        assert_eq!(kind(c.store.upload(Algorithm::Sha256).await), Kind::Unsupported);
        return;
    }
    let promised = Digest::of(b"promised");
    let mut upload = c.store.upload(Algorithm::Sha256).await.unwrap();
    upload.write(Bytes::from_static(b"delivers")).await.unwrap();
    assert_eq!(kind(upload.commit(Some(&promised)).await), Kind::Mismatch);
    for digest in [promised, Digest::of(b"delivers")] {
        assert!(!c.store.contains(&Descriptor::new("a/b", digest, 8)).await.unwrap());
    }
}
