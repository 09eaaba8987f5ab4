//! The order and offsets of an archive: determined by its content alone, so that equal content gives equal bytes.

use std::collections::{BTreeMap, HashSet};

use crate::{
    error::{Error, Result},
    oci::Digest,
    stores::listing::{INDEX, MARKER, MARKER_CONTENT, blob_path},
    tarball::write::{BLOCK, Extension, Header, padding},
};

/// Blobs up to this size come first, with the manifests: a reader of a pipe or a tape needs them first.
const SMALL: u64 = 64 << 10;

/// The layout of an archive.
#[derive(Debug)]
pub(super) struct Plan {
    /// Headers and small files, by offset; between them are only blobs and zeros.
    pub(super) fixed: Vec<(u64, Vec<u8>)>,
    /// Offset and size of the data of each blob.
    pub(super) slots: BTreeMap<Digest, (u64, u64)>,
    /// Size of the archive.
    pub(super) total: u64,
    /// The bytes of its list.
    pub(super) index: Vec<u8>,
}

impl Plan {
    /// Lays out an archive: `oci-layout`, the list, manifests and small blobs by digest, then blobs by descending size,
    /// then by digest. No directories, no PAX headers (oras 1.3 reads sizes from PAX headers as 0).
    ///
    /// Errors: more bytes than a file can have.
    pub(super) fn of(index: Vec<u8>, blobs: &BTreeMap<Digest, u64>, manifests: &HashSet<Digest>) -> Result<Self> {
        let mut order: Vec<(bool, u64, &Digest, u64)> = Vec::with_capacity(blobs.len());
        for (digest, size) in blobs {
            let large = *size > SMALL && !manifests.contains(digest);
            order.push((large, if large { u64::MAX.saturating_sub(*size) } else { 0 }, digest, *size));
        }
        order.sort();
        let mut plan = Self { fixed: Vec::new(), slots: BTreeMap::new(), total: 0, index: Vec::new() };
        for (name, content) in [(MARKER, MARKER_CONTENT), (INDEX, &index)] {
            let at = plan.entry(name, content.len() as u64)?;
            plan.fixed.push((at, content.to_vec()));
        }
        for (_, _, digest, size) in order {
            let at = plan.entry(&blob_path(digest), size)?;
            plan.slots.insert(digest.clone(), (at, size));
        }
        plan.total = plan.total.checked_add(2 * BLOCK as u64).ok_or_else(too_large)?;
        Ok(Self { index, ..plan })
    }

    /// Appends an entry and returns the offset of its data.
    fn entry(&mut self, name: &str, size: u64) -> Result<u64> {
        let header = Header::file(name, size).encode(Extension::Gnu)?;
        let start = self.total.checked_add(header.len() as u64).ok_or_else(too_large)?;
        self.fixed.push((self.total, header));
        let padded = size.checked_add(padding(size)).ok_or_else(too_large)?;
        self.total = start.checked_add(padded).filter(|end| *end <= i64::MAX as u64).ok_or_else(too_large)?;
        Ok(start)
    }
}

fn too_large() -> Error {
    Error::limit("the archive would exceed 8 EiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn manifests_and_small_blobs_come_first_then_large_ones_by_size() {
        let digest = |n: u8| Digest::of(&[n]);
        let sizes = [(1, 70_000), (2, 10), (3, 90_000), (4, 70_000), (5, 80_000)];
        let blobs = sizes.iter().map(|(n, size)| (digest(*n), *size)).collect();
        let plan = Plan::of(b"{}".to_vec(), &blobs, &[digest(5)].into()).unwrap();
        let mut order: Vec<_> = plan.slots.iter().map(|(digest, (at, _))| (*at, digest.clone())).collect();
        order.sort();
        let mut small = [digest(2), digest(5)];
        small.sort();
        let mut equal = [digest(1), digest(4)];
        equal.sort();
        let expected = [&small[..], &[digest(3)], &equal].concat();
        assert_eq!(order.into_iter().map(|(_, digest)| digest).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_blob_of_more_than_8_gib_has_one_header_block() {
        let digest = Digest::of(b"x");
        let plan = Plan::of(Vec::new(), &[(digest.clone(), 9 << 30)].into(), &HashSet::new()).unwrap();
        let (_, header) = plan.fixed.last().unwrap();
        assert_eq!((header.len(), header[124]), (512, 0x80));
        assert_eq!(plan.total, plan.slots[&digest].0 + (9 << 30) + 1024);
    }

    #[test]
    fn a_sha512_blob_has_a_long_name_and_an_endless_archive_is_an_error() {
        let digest = Digest::with(Algorithm::Sha512, b"x");
        let plan = Plan::of(Vec::new(), &[(digest.clone(), 1)].into(), &HashSet::new()).unwrap();
        assert_eq!(plan.fixed.last().unwrap().1.len(), 3 * 512);
        assert!(Plan::of(Vec::new(), &[(digest, u64::MAX - 10)].into(), &HashSet::new()).is_err());
    }
}
