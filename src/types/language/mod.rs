//! The language of definitions: expressions, templates, names, values, and trees of typed values.
//!
//! Other modules give sections of a definition their meaning, and names their values.

mod arithmetic;
mod call;
mod conditions;
pub(super) mod cost;
mod evaluate;
pub(super) mod expr;
mod filters;
pub(super) mod json;
mod lists;
mod map;
mod node;
mod numbers;
mod operators;
mod order;
mod printed;
mod reader;
pub(super) mod schema;
pub(super) mod scope;
pub(super) mod syntax;
pub(super) mod typed;
pub(super) mod values;

#[cfg(test)]
mod meaning;
#[cfg(test)]
mod tests;
