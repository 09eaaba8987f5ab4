//! Archives and compressed data.

use std::io::{Cursor, Read as _};

use crate::{
    error::Result,
    plan::Compression,
    tarball::{
        decompress::Decompressed,
        read::{Limits, Member, Reader},
    },
};

/// Limit of the files of an archive, in bytes.
const MAX: u64 = 1 << 20;

/// Limit of decompressed data, in bytes; small, since it is read in small pieces.
const MAX_OUTPUT: u64 = 64 << 10;

/// An archive. Reading and skipping find the same members, the strict reader finds no others, and limits hold.
pub(super) fn tar(bytes: &[u8]) {
    let limits = Limits { entries: 1000, total: MAX, ..Limits::default() };
    let read = members(Reader::new(Cursor::new(bytes), limits.clone()), false);
    let jumped = members(Reader::new(Cursor::new(bytes), limits.clone()), true);
    let strict = members(Reader::new(Cursor::new(bytes), limits.clone()).strict(), false);
    let all = |found: &Result<Vec<Member>>| found.as_ref().ok().cloned();
    assert_eq!(all(&read), all(&jumped), "reading and skipping differ");
    assert!(strict.is_err() || all(&strict) == all(&read), "the strict reader finds something else");
    for member in read.iter().flatten() {
        assert!(!member.path.is_empty() && member.path.len() <= limits.path && !member.path.contains('\0'));
    }
    let total: u64 = read.iter().flatten().map(|member| member.size).sum();
    assert!(total <= MAX);
}

fn members(mut reader: Reader<Cursor<&[u8]>>, jump: bool) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    while let Some(member) = reader.next_member()? {
        if jump {
            reader.jump()?;
        } else {
            let len = reader.data().read_to_end(&mut Vec::new())?;
            assert_eq!(len as u64, member.size);
        }
        found.push(member);
    }
    Ok(found)
}

/// gzip. The output has a limit, and does not depend on how it is read.
pub(super) fn gzip(bytes: &[u8]) {
    let (whole, pieces) = outputs(bytes, Compression::Gzip(6));
    assert!(whole == pieces, "the output depends on how it is read");
}

/// zstd; as [`gzip`]. But whether a frame may have less content than its header says, if its last block is empty, depends
/// on the size of the reads in libzstd 1.5.7.
pub(super) fn zstd(bytes: &[u8]) {
    let (whole, pieces) = outputs(bytes, Compression::Zstd(3));
    assert!(whole == pieces || whole.is_none() || pieces.is_none(), "the output depends on how it is read");
}

/// The output, read in large pieces and in small ones.
fn outputs(bytes: &[u8], compress: Compression) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let outputs = (output(bytes, compress, 64 << 10), output(bytes, compress, 7));
    assert!(outputs.0.as_ref().is_none_or(|output| output.len() as u64 <= MAX_OUTPUT));
    outputs
}

/// All output, read in pieces of this size; `None` for an error.
fn output(bytes: &[u8], compress: Compression, piece: usize) -> Option<Vec<u8>> {
    let (mut output, mut buffer) = (Vec::new(), vec![0; piece]);
    let mut source = Decompressed::new(bytes, compress, MAX_OUTPUT).ok()?;
    loop {
        match source.read(&mut buffer).ok()? {
            0 => return Some(output),
            len => output.extend_from_slice(buffer.get(..len)?),
        }
    }
}
