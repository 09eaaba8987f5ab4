//! `index.json`, for fuzzing.

use super::IndexFile;
use crate::oci::Descriptor;

/// An `index.json`. What is written is read as the same; a name that is set stands for what it was set to.
pub(crate) fn index_json(bytes: &[u8]) {
    let Ok(mut index) = IndexFile::read(bytes.to_vec()) else { return };
    let Ok(written) = index.encode() else { return };
    let again = IndexFile::read(written.clone()).map(|again| again.encode());
    assert_eq!(again.ok().and_then(Result::ok), Some(written), "written and read again");
    let (Ok(name), desc) = ("fuzz".parse(), Descriptor::of("a/b", b"x")) else { return };
    if index.tag(&[(name, desc.clone())].into()).is_err() {
        return;
    }
    let Ok(tagged) = index.encode() else { return };
    let read = IndexFile::read(tagged.clone());
    let named = read.as_ref().ok().and_then(|read| read.named("fuzz").ok().flatten());
    assert_eq!(named.map(|named| named.digest), Some(desc.digest.clone()), "the name that was set");
    assert!(index.untag("fuzz").is_ok_and(|there| there));
    assert!(index.named("fuzz").is_ok_and(|left| left.is_none()), "the name that was removed");
}
