//! The language of definitions: expressions, templates, names, values, and trees of typed values.
//!
//! Other modules give sections of a definition their meaning, and names their values.

pub(super) mod expr;
mod filters;
pub(super) mod scope;
pub(super) mod syntax;
pub(super) mod typed;
pub(super) mod values;
