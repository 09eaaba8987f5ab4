//! The places that content lives in, each behind [`crate::store::Store`].

mod disk;
mod index;
mod layout;
mod memory;

pub use layout::Layout;
pub use memory::Memory;
