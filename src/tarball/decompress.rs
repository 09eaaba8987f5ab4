//! Decompression with a limit on the output: gzip of one or more members, zstd of one or more frames.
//!
//! The media type determines the compression; data in another format is an error.

use std::{
    fmt,
    io::{self, BufReader, Cursor, Read},
};

use flate2::bufread::MultiGzDecoder;

use super::unsplit::Unsplit;
use crate::{
    error::{Error, Result},
    plan::Compression,
};

/// Limit of a zstd frame's window, as a power of two: 128 MiB, zstd's own default.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// zstd's error for a larger window (`ZSTD_error_frameParameter_windowTooLarge`).
const TOO_MUCH_MEMORY: &str = "Frame requires too much memory";

const BUFFER: usize = 128 << 10;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Default limit of the decompressed size, in bytes, for a blob of this size: 100 times as much, at least 1 GiB.
#[must_use]
pub fn allowance(blob: u64) -> u64 {
    blob.saturating_mul(100).max(1 << 30)
}

/// The content of a compressed blob. Reading gives at most the allowed number of bytes, then an error.
pub struct Decompressed<'a> {
    source: Box<dyn Read + Send + 'a>,
    name: &'static str,
    limit: u64,
    left: u64,
}

impl fmt::Debug for Decompressed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressed").field("name", &self.name).field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'a> Decompressed<'a> {
    /// Decompresses `source`, at most `limit` bytes of output. With [`Compression::None`], the bytes are unchanged, and
    /// must not look like gzip or zstd. The level in `compress` is ignored.
    ///
    /// Errors: the first bytes do not match the compression; those of the source.
    pub fn new(source: impl Read + Send + 'a, compress: Compression, limit: u64) -> Result<Self> {
        let (name, source) = open(source, compress)?;
        Ok(Self { source, name, limit, left: limit })
    }

    /// Distinguishes corrupt data from a failed source.
    fn explain(&self, error: io::Error) -> io::Error {
        let own = error.get_ref().is_some_and(|e| e.is::<Error>());
        if own || error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
            return error;
        }
        if error.to_string().contains(TOO_MUCH_MEMORY) {
            let window = 1_u64 << MAX_ZSTD_WINDOW_LOG;
            return Error::limit(format!("the {} data needs a window of more than {window} bytes", self.name)).into();
        }
        let what = if error.kind() == io::ErrorKind::UnexpectedEof { "is truncated" } else { "is corrupt" };
        Error::mismatch(format!("the {} data {what}: {error}", self.name)).into()
    }
}

impl Read for Decompressed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let len = match self.source.read(buffer) {
            Ok(len) => len,
            Err(error) => return Err(self.explain(error)),
        };
        let Some(left) = self.left.checked_sub(len as u64) else {
            return Err(
                Error::limit(format!("the {} data expands to more than {} bytes", self.name, self.limit)).into()
            );
        };
        self.left = left;
        Ok(len)
    }
}

fn open<'a>(
    mut source: impl Read + Send + 'a,
    compress: Compression,
) -> Result<(&'static str, Box<dyn Read + Send + 'a>)> {
    let mut start = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut start)?;
    let found = recognise(&start);
    let expected = match compress {
        Compression::None => "uncompressed",
        Compression::Gzip(_) => "gzip",
        Compression::Zstd(_) => "zstd",
    };
    if found != expected {
        return Err(Error::mismatch(format!("expected {expected} data, found {found}")));
    }
    let whole = Cursor::new(start).chain(source);
    Ok((
        expected,
        match compress {
            Compression::None => Box::new(whole),
            Compression::Gzip(_) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole))),
            Compression::Zstd(_) => {
                let mut decoder = zstd::Decoder::with_buffer(Unsplit::new(whole, BUFFER))?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        },
    ))
}

/// The format of data with this start. A zstd stream may start with a skippable frame (RFC 8878, 3.1.2).
fn recognise(start: &[u8]) -> &'static str {
    match start {
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] => "zstd",
        _ if start.starts_with(ZSTD) => "zstd",
        _ if start.starts_with(GZIP) => "gzip",
        _ => "uncompressed",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::error::Kind;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zst(data: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], compress: Compression, limit: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        Decompressed::new(bytes, compress, limit)?.read_to_end(&mut all)?;
        Ok(all)
    }

    const KINDS: [Compression; 3] = [Compression::None, Compression::Gzip(6), Compression::Zstd(3)];

    #[test]
    fn all_members_and_all_frames_are_data() {
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(read(&members, KINDS[1], 7).unwrap(), b"one two");
        let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        let frames = [skippable.clone(), zst(b"one "), skippable, zst(b"two")].concat();
        assert_eq!(read(&frames, KINDS[2], 7).unwrap(), b"one two");
    }

    #[test]
    fn more_than_the_limit_is_an_error() {
        for (bytes, kind) in [(vec![b'a'; 4096], KINDS[0]), (gzip(&[0; 4096]), KINDS[1]), (zst(&[0; 4096]), KINDS[2])] {
            assert_eq!(read(&bytes, kind, 4096).unwrap().len(), 4096);
            assert_eq!(read(&bytes, kind, 4095).unwrap_err().kind(), Kind::Limit);
        }
    }

    #[test]
    fn damage_anywhere_is_found() {
        for (good, kind) in [(gzip(&[7; 999]), KINDS[1]), (zst(&[7; 999]), KINDS[2])] {
            for len in 0..good.len() {
                assert_eq!(read(&good[..len], kind, 999).unwrap_err().kind(), Kind::Mismatch, "{kind:?} {len}");
            }
            let mut flipped = good.clone();
            *flipped.last_mut().unwrap() ^= 0x40;
            assert_eq!(read(&flipped, kind, 999).unwrap_err().kind(), Kind::Mismatch, "{kind:?}");
            assert_eq!(read(&[&good[..], b"junk"].concat(), kind, 999).unwrap_err().kind(), Kind::Mismatch, "{kind:?}");
        }
    }

    /// Gives its bytes in two pieces.
    fn split(bytes: &[u8], at: usize) -> impl Read + Send {
        bytes[..at].chain(&bytes[at..])
    }

    #[test]
    fn a_frame_whose_header_looks_like_a_skippable_frame_is_read_alike_however_it_arrives() {
        // Magic, and a header that is the magic of a skippable frame: the size of the content is 6477 bytes. The second
        // block is wrong.
        let frame = b"\x28\xb5\x2f\xfd\x50\x2a\x4d\x18\x0a\0\0\0xyz\x28\xb5\x2f\xfd\0\x04\0";
        let before = zst(b"before");
        for bytes in [frame.to_vec(), [&before[..], frame].concat()] {
            for at in 0..bytes.len() {
                for piece in [1, 7, 64 << 10] {
                    let mut source = Decompressed::new(split(&bytes, at), KINDS[2], 1 << 20).unwrap();
                    let mut buffer = vec![0; piece];
                    let outcome = loop {
                        match source.read(&mut buffer) {
                            Ok(0) => break None,
                            Ok(_) => {}
                            Err(error) => break Some(Error::from(error).kind()),
                        }
                    };
                    assert_eq!(outcome, Some(Kind::Mismatch), "split at {at}, read in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn bytes_of_another_kind_than_said_are_refused() {
        let all = [b"plain text".to_vec(), gzip(b"x"), zst(b"x")];
        for (i, bytes) in all.iter().enumerate() {
            for (j, kind) in KINDS.into_iter().enumerate() {
                assert_eq!(read(bytes, kind, 99).is_ok(), i == j, "{i} read as {kind:?}");
            }
        }
        let error = read(&all[2], KINDS[1], 99).unwrap_err().to_string();
        assert_eq!(error, "expected gzip data, found zstd");
    }

    #[test]
    fn a_frame_that_asks_for_a_huge_window_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&[0; 1 << 20]).unwrap();
        let huge = encoder.finish().unwrap();
        let error = read(&huge, KINDS[2], 1 << 20).unwrap_err();
        assert!(error.kind() == Kind::Limit && error.to_string().contains("134217728 bytes"), "{error}");
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(MAX_ZSTD_WINDOW_LOG).unwrap();
        encoder.write_all(&[0; 1 << 20]).unwrap();
        assert_eq!(read(&encoder.finish().unwrap(), KINDS[2], 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn an_error_of_the_source_stays_what_it_was() {
        let source = Cursor::new(gzip(b"data")[..12].to_vec()).chain(Failing);
        let error = Decompressed::new(source, KINDS[1], 99).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(Error::from(error).kind(), Kind::Unreachable);
    }

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(Kind::Unreachable, "no more").into())
        }
    }
}
