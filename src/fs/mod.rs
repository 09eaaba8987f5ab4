//! What everything that works with files shares, each written once: reading up to a limit.
//!
//! It knows paths, descriptors and bytes. What a file means (a blob, a layout, a definition, a source) is not for here.

mod read;

pub(crate) use self::read::{open_regular, read_regular, regular, text, up_to_async};
pub use self::read::{read, read_text, up_to};
