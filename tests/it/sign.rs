//! Keys, signatures and attestations.

mod keys;
mod vectors;

use std::path::PathBuf;

/// A file of the signing vectors.
fn vector(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/signing-vectors")).join(path)
}
