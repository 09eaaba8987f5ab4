//! Checks a definition before there is a source, including the names in its expressions.
//!
//! It compiles expressions and evaluates none. Sources, plans and manifests are elsewhere.

pub mod lint;
mod names;
mod placed;

use std::collections::BTreeSet;

use self::placed::Placed;
use super::{
    definition::{
        Definition,
        texts::{Text, Texts},
    },
    language::expr::Engine,
};
use crate::error::{Error, Result};

impl Definition {
    /// Reads and checks a definition; `origin` is the file name in errors, `file:line:column: message`.
    ///
    /// Errors: malformed YAML, an unknown or missing key, a value of the wrong type, a malformed expression, an
    /// undefined name in an expression, contradictory sections.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Self::compile(text, origin, &Engine::new())
    }

    /// Reads a built-in definition, which a test has checked.
    pub(super) fn built_in(text: &str, origin: &str) -> Result<Self> {
        Placed::read(text, origin).map(|placed| placed.definition)
    }

    /// Reads and checks a definition, and compiles its expressions in `engine`.
    pub(super) fn compile(text: &str, origin: &str, engine: &Engine) -> Result<Self> {
        let placed = Placed::read(text, origin)?;
        let findings = lint::errors(&placed, engine);
        match findings.into_iter().next() {
            Some(finding) => Err(Error::invalid(finding.message).context(finding.place)),
            None => Ok(placed.definition),
        }
    }
}

/// The names that some texts of a definition use, typed values excluded. A checked definition has no malformed texts.
pub(super) fn used_names<'a>(engine: &Engine, texts: impl FnOnce(&mut Texts<'a>)) -> BTreeSet<String> {
    let mut all = Texts::at("");
    texts(&mut all);
    let names = |(_, text)| match text {
        Text::Template(template) | Text::MediaType(template) => engine.names(template, true).unwrap_or_default(),
        Text::Expression(expression) => engine.names(expression, false).unwrap_or_default(),
        Text::Value(_) | Text::Values(_) | Text::Name(..) => BTreeSet::new(),
    };
    all.found.into_iter().flat_map(names).collect()
}
