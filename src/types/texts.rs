//! The texts of a definition that are evaluated, and where each stands. Every section gives its own, so that what a text
//! is comes from the field that holds it; the keys of typed values are somebody's data and say nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{
    expr::Engine,
    many::{Expression, Strings, Template},
};

/// A text that is evaluated, or several.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    /// A string that may hold `{{ … }}`.
    Template(&'a str),
    /// An expression.
    Expression(&'a str),
    /// A typed value.
    Value(&'a Json),
    /// Typed values by name.
    Values(&'a Map<String, Json>),
}

impl Text<'_> {
    /// The names that a template or an expression uses; those of typed values are not looked for. A definition that
    /// was checked has no malformed ones.
    pub(super) fn names(self, engine: &Engine) -> BTreeSet<String> {
        match self {
            Self::Template(template) => engine.names(template, true).unwrap_or_default(),
            Self::Expression(expression) => engine.names(expression, false).unwrap_or_default(),
            Self::Value(_) | Self::Values(_) => BTreeSet::new(),
        }
    }
}

/// The texts of a part of a definition, each with its JSON pointer.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    at: String,
    pub(super) found: Vec<(String, Text<'a>)>,
}

impl<'a> Texts<'a> {
    /// None yet, of the part that this pointer leads to.
    pub(super) fn at(pointer: impl Into<String>) -> Self {
        Self { at: pointer.into(), found: Vec::new() }
    }

    /// Those of the part under this key.
    pub(super) fn part(&mut self, key: impl std::fmt::Display, texts: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        self.at = below(&self.at, &key.to_string());
        texts(self);
        self.at.truncate(length);
    }

    fn put(&mut self, key: &str, text: Text<'a>) {
        self.found.push((below(&self.at, key), text));
    }

    pub(super) fn template(&mut self, key: &str, template: impl Into<Option<&'a Template>>) {
        template.into().into_iter().for_each(|template| self.put(key, Text::Template(&template.0)));
    }

    pub(super) fn expression(&mut self, key: &str, expression: impl Into<Option<&'a Expression>>) {
        expression.into().into_iter().for_each(|expression| self.put(key, Text::Expression(&expression.0)));
    }

    pub(super) fn strings(&mut self, key: &str, strings: Option<&'a Strings>) {
        match strings {
            None => {}
            Some(Strings::Expression(expression)) => self.put(key, Text::Expression(expression)),
            Some(Strings::List(items)) => self.part(key, |texts| {
                items.iter().enumerate().for_each(|(i, item)| texts.put(&i.to_string(), Text::Template(item)));
            }),
        }
    }

    pub(super) fn value(&mut self, key: &str, value: Option<&'a Json>) {
        value.into_iter().for_each(|value| self.put(key, Text::Value(value)));
    }

    pub(super) fn values(&mut self, key: &str, values: &'a Map<String, Json>) {
        self.put(key, Text::Values(values));
    }
}

/// The pointer to a key below another (RFC 6901).
pub(super) fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}
