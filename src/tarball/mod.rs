//! Tar archives and their compression, on blocking `std::io`.

pub mod decompress;
pub mod read;
