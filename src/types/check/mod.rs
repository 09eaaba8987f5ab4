//! What is wrong with a definition, found before a source is there: errors and warnings, and names that do not exist.
//!
//! It reads definitions and evaluates nothing: sources, plans and manifests are not for here.

pub mod lint;
mod names;
