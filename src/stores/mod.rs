//! The implementations of [`crate::store::Store`].

mod archive;
mod index;
mod layout;
mod listing;
mod memory;
#[cfg(feature = "registry")]
pub mod registry;
mod write_behind;

pub use archive::Archive;
pub use layout::Layout;
pub use memory::Memory;
