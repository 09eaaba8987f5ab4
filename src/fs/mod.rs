//! Shared file operations: reading up to a limit, opening files beneath a directory, temporary files, room on a disk,
//! detecting changes of a file, and a thread for blocking calls.
//!
//! This module knows paths, descriptors and bytes. The meaning of a file (a blob, a layout, a definition, a source) is
//! left to others.

mod beneath;
mod blocking;
mod dir;
#[cfg(any(feature = "registry", feature = "types"))]
mod found;
mod name;
mod portable;
mod read;
mod room;
mod stamp;
mod temporary;

#[cfg(feature = "types")]
pub(crate) use self::portable::{fold, windows_fault};
pub use self::{
    beneath::Base,
    name::escape,
    read::{read, read_text, up_to},
};
pub(crate) use self::{
    beneath::directory_beneath,
    blocking::blocking,
    dir::{Dir, look},
    portable::{RESERVED, is_unsafe, name_fault},
    read::{large_up_to, open_regular, regular, returning},
    room::Room,
    stamp::{Identity, Stamp, StrictStamp},
    temporary::{TEMPORARY, TemporaryFile, replace},
};
#[cfg(any(feature = "registry", feature = "types"))]
pub(crate) use self::{found::read_regular, read::text};
