//! A buffered reader that never hands out a few bytes while there are more, for zstd.

use std::io::{self, BufRead, Read};

/// The longest header of a frame, in bytes (`ZSTD_FRAMEHEADERSIZE_MAX`).
const HEADER: usize = 18;

/// Where the header of a frame comes in two parts, libzstd 1.5.7 may take the second part for the start of a frame: if it
/// looks like a skippable one, all of the real frame is lost without an error (`ZSTD_decompressStream`, "single-pass
/// mode opportunity"). Here, every buffer has at least [`HEADER`] bytes, unless the source ends; and as a decoder reads
/// up to the end of a frame, the next buffer has the whole header of the next one.
pub(super) struct Unsplit<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
}

impl<R: Read> Unsplit<R> {
    /// A reader with a buffer of this size, at least that of a header.
    pub(super) fn new(source: R, size: usize) -> Self {
        Self { source, buffer: vec![0; size.max(HEADER)].into(), start: 0, end: 0, ended: false }
    }

    /// Reads until the buffer has a whole header, or the source ends.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < HEADER && !self.ended {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(len) => self.end += len,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Unsplit<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(target)?;
        self.consume(len);
        Ok(len)
    }
}

impl<R: Read> BufRead for Unsplit<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.end - self.start < HEADER && !self.ended {
            self.fill()?;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start + amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            let one = target.len().min(1);
            self.0.read(target.get_mut(..one).unwrap_or_default())
        }
    }

    #[test]
    fn every_buffer_has_a_whole_header_until_the_source_ends() {
        let bytes: Vec<u8> = (0..100).collect();
        for (size, step) in [(0, 1), (18, 5), (20, 17), (64, 30), (200, 99)] {
            let mut reader = Unsplit::new(Drops(&bytes), size);
            let mut read = Vec::new();
            loop {
                let buffer = reader.fill_buf().unwrap();
                if buffer.is_empty() {
                    break;
                }
                assert!(buffer.len() >= HEADER.min(bytes.len() - read.len()));
                let len = step.min(buffer.len());
                read.extend_from_slice(&buffer[..len]);
                reader.consume(len);
            }
            assert_eq!(read, bytes);
        }
    }
}
