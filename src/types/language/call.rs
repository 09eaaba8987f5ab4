//! The arguments of filters and tests.

use std::sync::Arc;

use super::{
    cost::Meter,
    evaluate::{Fault, Outcome},
    printed::text,
    values::Value,
};
use crate::error::{Error, Result};

/// The arguments of a filter, from which it takes those that it knows.
pub(super) struct Call<'m> {
    name: &'static str,
    plain: std::vec::IntoIter<Value>,
    pub(super) named: Vec<(Arc<str>, Value)>,
    pub(super) meter: &'m Arc<Meter>,
}

impl<'m> Call<'m> {
    pub(super) fn new(
        name: &'static str,
        plain: Vec<Value>,
        named: Vec<(Arc<str>, Value)>,
        meter: &'m Arc<Meter>,
    ) -> Self {
        Self { name, plain: plain.into_iter(), named, meter }
    }

    /// The next argument, which may also have this name.
    pub(super) fn next(&mut self, name: &str) -> Outcome<Option<Value>> {
        match self.plain.next() {
            Some(Value::Undefined) => Err(Fault::Undefined),
            Some(value) => Ok(Some(value)),
            None => self.named(name),
        }
    }

    /// The argument with this name.
    pub(super) fn named(&mut self, name: &str) -> Outcome<Option<Value>> {
        let found = self.named.iter().position(|(own, _)| **own == *name);
        match found.map(|at| self.named.swap_remove(at).1) {
            Some(Value::Undefined) => Err(Fault::Undefined),
            found => Ok(found),
        }
    }

    /// Like [`Call::next`], as text; blank counts as missing.
    pub(super) fn next_text(&mut self, name: &str) -> Outcome<Option<Arc<str>>> {
        match self.next(name)? {
            None | Some(Value::Blank(_)) => Ok(None),
            Some(value) => text(&value, self.meter).map(Some),
        }
    }

    /// Like [`Call::next`]. Errors: there is none.
    pub(super) fn needed(&mut self, name: &str) -> Outcome<Value> {
        match self.next(name)? {
            Some(value) => Ok(value),
            None => Err(Error::invalid(format!("`{}` needs an argument, `{name}`", self.name)).into()),
        }
    }

    /// Whether the argument with this name is true.
    pub(super) fn flag(&mut self, name: &str) -> Outcome<bool> {
        Ok(self.named(name)?.is_some_and(|value| value.is_true()))
    }

    /// All other arguments without names.
    pub(super) fn rest(&mut self) -> Vec<Value> {
        self.plain.by_ref().collect()
    }

    /// All arguments. Errors: one has a name.
    pub(super) fn plain(mut self) -> Result<Vec<Value>> {
        let all = self.rest();
        self.finish().map(|()| all)
    }

    /// Errors: arguments that the filter did not take.
    pub(super) fn finish(mut self) -> Result<()> {
        match (self.plain.next(), self.named.first()) {
            (Some(_), _) => Err(Error::invalid(format!("`{}` has too many arguments", self.name))),
            (None, Some((name, _))) => Err(Error::invalid(format!("`{}` has no argument `{name}`", self.name))),
            (None, None) => Ok(()),
        }
    }
}
