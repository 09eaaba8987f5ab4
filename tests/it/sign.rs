//! Keys, signatures and attestations.

mod cosign_save;
mod files;
mod keys;
mod sigstore_crate;
mod vectors;
