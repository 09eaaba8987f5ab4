//! Compression whose bytes depend on the content, the algorithm and the level, and never on the number of threads.
//!
//! The content is cut into blocks of fixed size, which threads compress side by side. For zstd the library does that;
//! it cuts differently with and without threads, so that it is always told to use some.

mod gzip;

use std::io::{self, Write};

use zstd::zstd_safe::CParameter;

use crate::{
    error::{Error, Result},
    plan::Compression,
};

/// Bytes of content per zstd job: a compromise between ratio and memory, and a part of the format of our output.
const ZSTD_JOB: u32 = 2 << 20;

/// Compresses what is written to it. Memory: a few blocks per thread.
///
/// `flush` does nothing, because a flush would show in the bytes; only [`Self::finish`] completes the output.
pub struct Compressor<W: Write>(Inner<W>);

enum Inner<W: Write> {
    None(W),
    Gzip(Box<gzip::Gzip<W>>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// A compressor with so many threads beside the caller's. Errors: a level out of range (gzip 0 to 9, zstd 1
    /// to 19).
    pub fn new(sink: W, compression: Compression, threads: usize) -> Result<Self> {
        check(compression)?;
        Ok(Self(match compression {
            Compression::None => Inner::None(sink),
            Compression::Gzip(level) => Inner::Gzip(Box::new(gzip::Gzip::new(sink, level, threads)?)),
            Compression::Zstd(level) => {
                let mut encoder = zstd::Encoder::new(sink, level)?;
                encoder.set_parameter(CParameter::NbWorkers(u32::try_from(threads).unwrap_or(1).clamp(1, 64)))?;
                encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
                Inner::Zstd(encoder)
            }
        }))
    }

    /// Compresses what is left and gives the sink back, not flushed.
    pub fn finish(self) -> Result<W> {
        Ok(match self.0 {
            Inner::None(sink) => sink,
            Inner::Gzip(gzip) => gzip.finish()?,
            Inner::Zstd(encoder) => encoder.finish()?,
        })
    }
}

/// An error unless the algorithm has this level.
pub fn check(compression: Compression) -> Result<()> {
    match compression {
        Compression::Gzip(level) if level > 9 => {
            Err(Error::invalid(format!("gzip level {level}; there are levels 0 to 9")))
        }
        Compression::Zstd(level) if !(1..=19).contains(&level) => {
            Err(Error::invalid(format!("zstd level {level}; levels 1 to 19 are supported")))
        }
        _ => Ok(()),
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::None(sink) => sink.write(bytes),
            Inner::Gzip(gzip) => gzip.write(bytes),
            Inner::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> std::fmt::Debug for Compressor<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Inner::None(_) => "Compressor(none)",
            Inner::Gzip(_) => "Compressor(gzip)",
            Inner::Zstd(_) => "Compressor(zstd)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::io::Read as _;

    /// Bytes that compress, but not to nothing: words of a small vocabulary in an order without a short period.
    fn sample(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut out = Vec::with_capacity(len + 16);
        while out.len() < len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.extend_from_slice(format!("word{} ", (state >> 33) % 5000).as_bytes());
        }
        out.truncate(len);
        out
    }

    fn compress(content: &[u8], compression: Compression, threads: usize, chunk: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), compression, threads).unwrap();
        for chunk in content.chunks(chunk) {
            compressor.write_all(chunk).unwrap();
            compressor.flush().unwrap();
        }
        compressor.finish().unwrap()
    }

    fn decompress(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::None => out.extend_from_slice(bytes),
            Compression::Gzip(_) => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap()),
            Compression::Zstd(_) => drop(zstd::Decoder::new(bytes).unwrap().read_to_end(&mut out).unwrap()),
        }
        out
    }

    const ALL: [Compression; 7] = [
        Compression::None,
        Compression::Gzip(0),
        Compression::Gzip(1),
        Compression::Gzip(6),
        Compression::Gzip(9),
        Compression::Zstd(1),
        Compression::Zstd(3),
    ];

    #[test]
    fn neither_threads_nor_the_size_of_writes_show_in_the_bytes() {
        let content = sample(5 << 20);
        for compression in ALL {
            let one = compress(&content, compression, 1, 1 << 20);
            assert_eq!(decompress(&one, compression), content, "{compression:?}");
            for (threads, chunk) in [(2, 1 << 20), (8, 1 << 20), (2, 1000), (8, 5 << 20), (0, 77_777)] {
                let other = compress(&content, compression, threads, chunk);
                assert!(one == other, "{compression:?}, {threads} threads, writes of {chunk} bytes");
            }
        }
    }

    /// A change here changes the digest of every archive that is packed from now on: it takes a good reason, and a
    /// line in the changelog. Upgrades of zlib-rs and of zstd are what may bring one about.
    #[test]
    fn the_bytes_stay_the_same_from_release_to_release() {
        for (compression, digest) in [
            (Compression::Gzip(1), "2210dafefa99b9cc09cfa57e64f99ebd135c2456fd79b468d42da888253a3b32"),
            (Compression::Gzip(6), "300d7b485c31369e90cc9e2ddbe2e650d5807749033b92983fcaf4409ed3e9d1"),
            (Compression::Gzip(9), "c2aab07673240f420f002978b19dc6688479a896ff5cc1b7a51f9eb0feaaa482"),
            (Compression::Zstd(3), "d96fa2eddc689ca4a2ff81bb13cc0a3c6005bed89a4ee30b22b882b84bdefa24"),
            (Compression::Zstd(19), "8d32cdea4429c10ccc23f3aeba72aee31a448f4dc58dfe26b382c494cfaa6420"),
        ] {
            let bytes = compress(&sample(1 << 20), compression, 2, 1 << 20);
            assert_eq!(crate::oci::Digest::of(&bytes).hex(), digest, "{compression:?}");
        }
    }

    #[test]
    fn any_length_comes_back() {
        let content = sample((512 << 10) + 1);
        for compression in ALL {
            for len in [0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 512 << 10, (512 << 10) + 1] {
                let content = &content[..len];
                assert_eq!(decompress(&compress(content, compression, 2, 4096), compression), content);
            }
        }
    }

    #[test]
    fn blocks_know_what_came_before_them() {
        let content: Vec<u8> = (0..30_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let noise = &content[..30 << 10];
        // Nothing in `noise` repeats, but it repeats itself across every border of a block.
        let repeated = noise.repeat(40);
        let bytes = compress(&repeated, Compression::Gzip(6), 2, 1 << 20);
        assert!(bytes.len() < 60 << 10, "{} bytes", bytes.len());
    }

    #[test]
    fn gzip_says_nothing_about_name_time_and_system() {
        let bytes = compress(b"x", Compression::Gzip(6), 1, 1);
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn levels_out_of_range_are_refused() {
        for bad in [Compression::Gzip(10), Compression::Zstd(0), Compression::Zstd(-5), Compression::Zstd(20)] {
            assert_eq!(Compressor::new(Vec::new(), bad, 1).unwrap_err().kind(), Kind::Invalid);
        }
    }

    #[test]
    fn a_sink_that_fails_fails_the_compressor() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let taken = bytes.len().min(self.0);
                self.0 -= taken;
                if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for compression in [Compression::Gzip(1), Compression::Zstd(1)] {
            let run = || {
                let mut compressor = Compressor::new(Full(20), compression, 2)?;
                compressor.write_all(&sample(8 << 20))?;
                compressor.finish().map(drop)
            };
            assert_eq!(run().unwrap_err().kind(), Kind::NoSpace);
        }
    }
}
