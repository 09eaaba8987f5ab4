//! From an artifact back to files: whether a manifest is of a type, what is wrong with it, and which files its layers become.
//!
//! It sees manifests and configs, and decides; nothing here reads a layer or writes a file, and sources are not for here.

pub(super) mod accept;
pub mod generic;
pub(super) mod unpack;
