//! From an artifact back to files: recognises and checks manifests, and plans the files of their layers.
//!
//! It sees only manifests and configs; other modules read layers and write files.

pub(super) mod accept;
pub mod generic;
pub(super) mod unpack;
