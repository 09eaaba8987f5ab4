//! Compression with output that depends on the content, the algorithm and the level, but not on the number of threads.
//!
//! The content is divided into blocks of fixed size, which threads compress in parallel. For zstd, the library does
//! that; it divides differently without threads, so it always gets some.

mod gzip;

use std::io::{self, Write};

use zstd::zstd_safe::CParameter;

use crate::{
    error::{Error, Result},
    plan::Compression,
};

/// Bytes of content per zstd job, a compromise between ratio and memory; changing it changes the output.
const ZSTD_JOB: u32 = 2 << 20;

/// A writer that compresses its data. Memory: a few blocks per thread.
///
/// `flush` does nothing, because a flush would change the output; only [`Self::finish`] completes it.
pub struct Compressor<W: Write>(Inner<W>);

enum Inner<W: Write> {
    None(W),
    Gzip(Box<gzip::Gzip<W>>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// A compressor with `threads` threads besides the caller's. Errors: a level out of range (gzip 0 to 9, zstd 1 to
    /// 19).
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

    /// Compresses the remaining data and returns the sink, not flushed.
    pub fn finish(self) -> Result<W> {
        Ok(match self.0 {
            Inner::None(sink) => sink,
            Inner::Gzip(gzip) => gzip.finish()?,
            Inner::Zstd(encoder) => encoder.finish()?,
        })
    }
}

/// Errors: a level that the algorithm does not have.
pub fn check(compression: Compression) -> Result<()> {
    match compression {
        Compression::Gzip(level) if level > 9 => {
            Err(Error::invalid(format!("gzip level {level} is out of range, 0 to 9")))
        }
        Compression::Zstd(level) if !(1..=19).contains(&level) => {
            Err(Error::invalid(format!("zstd level {level} is out of range, 1 to 19")))
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
        // More than one block of each. All levels of gzip, and of zstd one for each way of searching that it has.
        let content = sample(5 << 19);
        for (compression, digest) in [
            (Compression::Gzip(0), "4a77a4ea22964ffc4632d4717aafa4b877d9bcb9d7d4f3f5e1180e71950b6a93"),
            (Compression::Gzip(1), "bf92a61c344cab04ee1fa47a2c79908a9f86b8c3f58eef4f2101cec30c8e3d70"),
            (Compression::Gzip(2), "ca7d518b41cfb8989928dc6098932c401ba3bfb44d613822081d2b63389f1a71"),
            (Compression::Gzip(3), "04741add7d415342119c3b460e234388f228f67ec64fa355245c2488f96f0fa1"),
            (Compression::Gzip(4), "921f2d1b62d444a35c4b664f8b8083c1ff31f2093174805b40b5e01bf37de120"),
            (Compression::Gzip(5), "27b8e840b52ab385dca64790f4de6d484cc8e75850ae0f8955516871698cf315"),
            (Compression::Gzip(6), "5acbfb73a76f08e673ac22d0268aaa677a7a4d7dbdc56e67de3b54bded5cafc3"),
            (Compression::Gzip(7), "c474fed6ccbe4eef968f3f44c0dc9b7d531dba5c14766b64b9528631294b7e03"),
            (Compression::Gzip(8), "77d823bb03ec3e263936e31a0ff627562bacfc27929b2571c1ae49f480990d7e"),
            (Compression::Gzip(9), "f1394ebd61d02c590fc630cf68f80e937331e928f6d5b3cae62f32f8f68bccd5"),
            (Compression::Zstd(1), "a05362ba3fe213549676f3f2586e551b7078537aeb39368743063be55ccf5c5c"),
            (Compression::Zstd(3), "5db6dcad0711871dfbedce84b9fb309e03d599bbac62f7767700dc6cccc107ce"),
            (Compression::Zstd(5), "9b6c7ec41f9142f0c9351ee4f9e299a1cd4b5c22f32598613424d089dff2f25e"),
            (Compression::Zstd(7), "37c06a1e2832d733f835c049da0708bc1f9d8150227630d37aa59c6b4c53d0b5"),
            (Compression::Zstd(9), "eb092d2823a0cf66e10067b48998263eb4659ace816ea69d98a9a0c11cb43ed0"),
            (Compression::Zstd(13), "1406f951b3af10dee3a6a2ecf1bdaca6667fe610b13193f5cca6591934529d4f"),
            (Compression::Zstd(16), "ccfbb98f3c6020051af8743e9bbe332d4ddf1efa13e06f74aed0d597560e0b20"),
            (Compression::Zstd(18), "2b6aa44e6215705581c05b6d6a8ee36a24886782700dbf2d2b4ca2d7eb255591"),
            (Compression::Zstd(19), "aef7d19168a4e574347bc05438f077eaf831f327bb3550fc5325896272ea5fc9"),
        ] {
            let quick = !matches!(compression, Compression::Zstd(13..));
            for threads in if quick { &[1, 3][..] } else { &[3] } {
                let bytes = compress(&content, compression, *threads, 1 << 20);
                assert_eq!(crate::oci::Digest::of(&bytes).hex(), digest, "{compression:?}, {threads} threads");
            }
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
