//! Keys: public ones that verify, private ones that sign, and the files that hold them.
//!
//! This module knows algorithms and bytes. What is signed, and what a signature means, is left to the modules above.

mod container;
mod der;
mod file;
mod pair;
mod private;
mod public;

pub use self::{
    pair::Pair,
    private::PrivateKey,
    public::{Algorithm, PublicKey},
};

/// Largest file with a key, in bytes. A key with 8,192 bits takes 6.5 KiB.
const MAX_FILE: u64 = 64 << 10;
