//! Tar archives and their compression, on blocking `std::io`: written deterministically, read within limits.

pub mod compress;
pub mod decompress;
pub mod read;
mod unsplit;
pub mod write;
