//! Names in expressions.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::value::{Enumerator, Object, Value};

use crate::document::nearest;

/// Names and their values; an inner scope adds to an outer one.
#[derive(Debug, Clone, Default)]
pub(in crate::types) struct Scope(Arc<Names>);

#[derive(Debug, Default)]
struct Names {
    own: BTreeMap<String, Value>,
    outer: Option<Arc<Names>>,
}

impl Names {
    fn get(&self, name: &str) -> Option<Value> {
        self.own.get(name).cloned().or_else(|| self.outer.as_ref()?.get(name))
    }

    fn all(&self) -> Vec<&str> {
        let outer = self.outer.iter().flat_map(|o| o.all());
        self.own.keys().map(String::as_str).chain(outer).collect()
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.all().into_iter().map(Value::from).collect())
    }
}

impl Scope {
    /// This scope with one more name.
    #[must_use]
    pub(in crate::types) fn with(&self, name: impl Into<String>, value: Value) -> Self {
        Self(Arc::new(Names { own: BTreeMap::from([(name.into(), value)]), outer: Some(Arc::clone(&self.0)) }))
    }

    /// This scope with more names.
    #[must_use]
    pub(in crate::types) fn with_all(&self, names: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(Arc::new(Names { own: names.into_iter().collect(), outer: Some(Arc::clone(&self.0)) }))
    }

    pub(super) fn to_value(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.0))
    }

    /// The message about the first undefined part of `a.b.c`, if any.
    pub(super) fn unknown(&self, dotted: &str) -> Option<String> {
        let mut parts = dotted.split('.');
        let first = parts.next()?;
        let Some(mut value) = self.0.get(first) else {
            return Some(unknown_name("the name", first, self.0.all()));
        };
        for part in parts {
            let next = value.get_attr(part).ok()?;
            if next.is_undefined() {
                let keys: Vec<String> = value.try_iter().ok()?.map(|k| k.to_string()).collect();
                return Some(unknown_name("the key", part, keys.iter().map(String::as_str)));
            }
            value = next;
        }
        None
    }
}

/// The message about an unknown name, with the nearest known one.
pub(in crate::types) fn unknown_name<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("{what} `{name}` does not exist; did you mean `{near}`"),
        None => format!("{what} `{name}` does not exist"),
    }
}
