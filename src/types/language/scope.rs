//! Names in expressions.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    cost::{Account, Meter},
    values::Value,
};
use crate::document::nearest;

/// Names and their values; an inner scope adds to an outer one. All of them share an account.
#[derive(Debug, Clone, Default)]
pub(in crate::types) struct Scope {
    names: Arc<Names>,
    account: Arc<Account>,
    /// The evaluation that these names are a part of, if they are those of a variable.
    within: Option<Arc<Meter>>,
}

#[derive(Debug, Default)]
struct Names {
    own: BTreeMap<String, Value>,
    outer: Option<Arc<Names>>,
}

impl Names {
    /// These names and those around them, from the inside.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |names| names.outer.as_deref())
    }
}

impl Scope {
    /// An empty scope with this account.
    #[cfg(test)]
    pub(super) fn new(account: Account) -> Self {
        Self { account: Arc::new(account), ..Self::default() }
    }

    /// This scope with one more name.
    #[must_use]
    pub(in crate::types) fn with(&self, name: impl Into<String>, value: Value) -> Self {
        self.with_all([(name.into(), value)])
    }

    /// This scope with more names.
    #[must_use]
    pub(in crate::types) fn with_all(&self, names: impl IntoIterator<Item = (String, Value)>) -> Self {
        let names = Names { own: names.into_iter().collect(), outer: Some(Arc::clone(&self.names)) };
        Self { names: Arc::new(names), ..self.clone() }
    }

    /// This scope within an evaluation, which bears the cost of what is evaluated here.
    #[must_use]
    pub(in crate::types) fn within(&self, meter: &Arc<Meter>) -> Self {
        Self { within: Some(Arc::clone(meter)), ..self.clone() }
    }

    /// What has been evaluated here, and within all scopes made of this one.
    pub(in crate::types) fn account(&self) -> &Account {
        &self.account
    }

    /// The meter of the evaluation that these names are a part of.
    pub(super) fn evaluation(&self) -> Option<&Arc<Meter>> {
        self.within.as_ref()
    }

    /// The meter of an evaluation.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.within.clone().unwrap_or_else(|| Arc::new(Meter::new(&self.account)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.names.chain().find_map(|names| names.own.get(name))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.names.chain().flat_map(|names| names.own.keys().map(String::as_str))
    }

    /// The message about the first undefined part of `a.b.c`, if any.
    pub(super) fn unknown(&self, dotted: &str, say: Say) -> Option<String> {
        let mut parts = dotted.split('.');
        let first = parts.next()?;
        let Some(mut value) = self.get(first).cloned() else {
            return Some(say("the name", first, self.all().collect()));
        };
        let meter = self.meter();
        for part in parts {
            let next = match &value {
                // What a variable is made of is not evaluated for a message.
                Value::Lazy(lazy) if lazy.has(part) => return None,
                other => other.get(part, &meter).ok()?,
            };
            if matches!(next, Value::Undefined) {
                return Some(say("the key", part, value.keys()));
            }
            value = next;
        }
        None
    }
}

/// What says that a name is unknown: what it is, the name, and those that are known.
pub(super) type Say = fn(&str, &str, Vec<&str>) -> String;

/// Names that a message lists at most.
const SHOWN: usize = 40;

/// The message about an unknown name, with the nearest known one, and all that are known.
pub(super) fn unknown_among(what: &str, name: &str, mut known: Vec<&str>) -> String {
    known.sort_unstable();
    let message = unknown_name(what, name, known.iter().copied());
    let more = match known.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match known.get(..SHOWN.min(known.len())) {
        None | Some([]) => message,
        Some(all) => format!("{message}; there are `{}`{more}", all.join("`, `")),
    }
}

/// The message about an unknown name, with the nearest known one.
pub(in crate::types) fn unknown_name<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("{what} `{name}` does not exist; did you mean `{near}`"),
        None => format!("{what} `{name}` does not exist"),
    }
}

impl Drop for Names {
    /// One after the other, as there may be more than the stack has room for.
    fn drop(&mut self) {
        let mut outer = self.outer.take();
        while let Some(mut names) = outer.and_then(Arc::into_inner) {
            outer = names.outer.take();
        }
    }
}
