//! The implementations of [`crate::store::Store`].

mod archive;
mod index;
mod layout;
mod listing;
mod memory;
#[cfg(feature = "registry")]
pub mod registry;
mod write_behind;

pub(crate) use archive::is_named_compressed;
pub use archive::{Archive, Decompression};
#[cfg(all(feature = "fuzz", feature = "types"))]
pub(crate) use index::index_json;
pub use layout::Layout;
#[cfg(feature = "serve")]
pub(crate) use layout::{Memory as ListMemory, WeakLayout};
#[cfg(feature = "serve")]
pub(crate) use listing::{BLOBS, INDEX, MARKER, MARKER_CONTENT};
pub use memory::Memory;
