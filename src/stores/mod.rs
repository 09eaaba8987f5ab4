//! The places that content lives in, each behind [`crate::store::Store`].

mod memory;

pub use memory::Memory;
