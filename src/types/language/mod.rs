//! The language of definitions: expressions and templates, the names that they can use, the values that they see, and trees
//! of typed values.
//!
//! It knows values and names. What a section of a definition means, and where names get their values, is not for here.

pub(super) mod expr;
mod filters;
pub(super) mod scope;
pub(super) mod syntax;
pub(super) mod typed;
pub(super) mod values;
