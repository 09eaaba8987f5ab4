//! From a source and the definition that fits it to a plan: sets and documents are read in the order of what they need, and
//! each section makes its part.
//!
//! It reads what the definition declares, below the source, and nothing else. Stores and artifacts are not for here.

pub(super) mod config;
pub(super) mod documents;
pub(super) mod index;
pub(super) mod layers;
pub(super) mod manifest;
mod params;
pub(super) mod reading;
pub(super) mod reference;
pub(super) mod sets;
pub(super) mod tar;
pub(super) mod validate;
