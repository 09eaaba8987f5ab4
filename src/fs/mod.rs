//! What everything that works with files shares, each written once: reading up to a limit, opening what lies beneath a
//! directory, temporary files, what tells one state of a file from another, and a thread where all of it may block.
//!
//! It knows paths, descriptors and bytes. What a file means (a blob, a layout, a definition, a source) is not for here.

mod beneath;
mod blocking;
mod dir;
#[cfg(any(feature = "registry", feature = "types"))]
mod found;
mod name;
mod read;
mod stamp;
mod temporary;

#[cfg(feature = "registry")]
pub(crate) use self::found::up_to_async;
pub use self::{
    beneath::Base,
    name::escape,
    read::{read, read_text, up_to},
};
pub(crate) use self::{
    beneath::directory_beneath,
    blocking::blocking,
    dir::{Dir, look},
    read::{open_regular, regular},
    stamp::{Identity, Stamp, StrictStamp},
    temporary::{TEMPORARY, TemporaryFile, replace},
};
#[cfg(any(feature = "registry", feature = "types"))]
pub(crate) use self::{found::read_regular, read::text};
