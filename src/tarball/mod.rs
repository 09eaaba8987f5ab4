//! Tar archives and their compression, on blocking `std::io`: written deterministically, read with bounds.

pub mod compress;
pub mod decompress;
pub mod read;
pub mod write;
