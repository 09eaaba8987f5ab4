//! The values of expressions.
//!
//! Missing values: a property that the schema lists and the document lacks has the schema's default, or else is
//! *blank*. A missing key where the schema allows any, and an index past the end of a list or text, are blank too. A property that the
//! schema does not list is undefined, and its use an error. Without a schema, only the document's own keys are defined.
//!
//! Values share their content; a copy of one costs nothing.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value as Json;

use super::{
    cost::Meter,
    map::Map,
    schema::{Kind, Schema, Shape, blank},
};
use crate::{error::Result, plan::Quote};

/// A value.
#[derive(Debug, Clone)]
pub(in crate::types) enum Value {
    /// A name or key that does not exist. Its use is an error.
    Undefined,
    /// A missing optional value, with its schema.
    Blank(Shape),
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Arc<str>),
    /// A text that has been checked as a relative path.
    Path(Arc<str>),
    List(Arc<Vec<Value>>, Shape),
    Map(Arc<Map<Self>>, Shape),
    /// A layer's digest, diff ID or size, not yet known.
    Quote(Quote),
    /// Values by name, made on use.
    Lazy(Arc<dyn Lazy>),
    /// The function `layer(title)`.
    Layers(Arc<BTreeMap<String, Value>>),
    /// The name `loop` in a `for`.
    Loop(Arc<Loop>),
}

/// Values by name, each made when it is used.
pub(in crate::types) trait Lazy: fmt::Debug + Send + Sync {
    /// All names, which every list of them shares.
    fn keys(&self) -> Vec<&Arc<str>>;
    /// Whether there is this name.
    fn has(&self, name: &str) -> bool;
    /// Whether there are none.
    fn is_empty(&self) -> bool;
    /// The value of this name, at the cost of the evaluation that uses it.
    fn get(&self, name: &str, meter: &Arc<Meter>) -> Result<Option<Value>>;
}

/// The state of a `for`.
#[derive(Debug)]
pub(in crate::types) struct Loop {
    pub(super) items: Arc<Vec<Value>>,
    pub(super) at: usize,
}

impl Loop {
    fn get(&self, name: &str) -> Option<Value> {
        let (at, len) = (self.at, self.items.len());
        let item = |at: Option<usize>| at.and_then(|at| self.items.get(at)).cloned().unwrap_or(Value::Undefined);
        Some(match name {
            "index" => (at + 1).into(),
            "index0" => at.into(),
            "length" => len.into(),
            "revindex" => (len - at).into(),
            "revindex0" => (len - at - 1).into(),
            "first" => Value::Bool(at == 0),
            "last" => Value::Bool(at + 1 == len),
            "previtem" => item(at.checked_sub(1)),
            "nextitem" => item(Some(at + 1)),
            _ => return None,
        })
    }
}

impl Value {
    /// The value of this JSON, without a schema.
    pub(in crate::types) fn of(json: &Json) -> Self {
        match json {
            Json::Null => Self::Blank(None),
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(i), _) => Self::Int(i.into()),
                (None, Some(u)) => Self::Int(u.into()),
                _ => Self::Float(n.as_f64().unwrap_or_default()),
            },
            Json::String(s) => s.as_str().into(),
            Json::Array(items) => items.iter().map(Self::of).collect(),
            Json::Object(map) => {
                Self::map(map.iter().map(|(key, value)| (Arc::from(key.as_str()), Self::of(value))).collect())
            }
        }
    }

    /// The value of a document with this schema.
    pub(in crate::types) fn view(json: &Json, schema: Option<Arc<Schema>>) -> Self {
        Self::of(json).shaped(schema)
    }

    /// An object with these keys.
    pub(in crate::types) fn pairs<K: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    pub(super) fn map(entries: Vec<(Arc<str>, Self)>) -> Self {
        Self::Map(Arc::new(Map::new(entries)), None)
    }

    /// A text, or blank.
    pub(in crate::types) fn optional(text: Option<impl Into<Arc<str>>>) -> Self {
        text.map_or(Self::Blank(None), |text| Self::Text(text.into()))
    }

    /// This value with a schema.
    pub(in crate::types) fn shaped(self, schema: Shape) -> Self {
        match self {
            Self::Blank(_) => blank(schema.as_ref()),
            Self::List(items, _) => Self::List(items, schema),
            Self::Map(map, _) => Self::Map(map, schema),
            plain => plain,
        }
    }

    /// The value of this key; undefined if there can be none.
    pub(super) fn get(&self, key: &str, meter: &Arc<Meter>) -> Result<Self> {
        meter.take(1)?;
        let missing = |shape: &Shape| shape.as_ref().and_then(|schema| schema.missing(key));
        let found = match self {
            Self::Map(map, shape) => match map.get(key) {
                Some(value) => Some(value.clone().shaped_by(shape, |schema| schema.property(key))),
                None => missing(shape),
            },
            Self::Blank(shape) if self.lacks() == Kind::Object => missing(shape),
            Self::Lazy(lazy) => lazy.get(key, meter)?,
            Self::Loop(state) => state.get(key),
            _ => None,
        };
        Ok(found.unwrap_or(Self::Undefined))
    }

    /// The value of a key that an object has itself.
    pub(super) fn own(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map, _) => map.get(key),
            _ => None,
        }
    }

    /// The item with this index, from the end if it is negative; blank beyond the end.
    pub(super) fn at(&self, index: i128) -> Self {
        let (items, shape) = match self {
            Self::List(items, shape) => (items.as_slice(), shape),
            Self::Blank(shape) if self.lacks() == Kind::Array => (&[][..], shape),
            _ => return Self::Undefined,
        };
        let index = if index < 0 { index + items.len() as i128 } else { index };
        let item = usize::try_from(index).ok().and_then(|index| items.get(index));
        let schema = shape.as_ref().and_then(|schema| schema.items());
        item.map_or_else(|| blank(schema), |item| item.clone().shaped_by(shape, |_| schema.cloned()))
    }

    /// This value as a part of one with this schema. Without that, it keeps its own.
    pub(super) fn shaped_by(self, whole: &Shape, part: impl FnOnce(&Schema) -> Shape) -> Self {
        match whole {
            Some(schema) => self.shaped(part(schema)),
            None => self,
        }
    }

    /// The type of a missing list or object.
    pub(super) fn lacks(&self) -> Kind {
        match self {
            Self::Blank(Some(schema)) => schema.kind(),
            _ => Kind::Other,
        }
    }

    /// The known keys, for suggestions.
    pub(super) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Map(map, shape) => {
                map.entries().iter().map(|(key, _)| &**key).chain(shape.iter().flat_map(|s| s.keys())).collect()
            }
            Self::Blank(shape) => shape.iter().flat_map(|schema| schema.keys()).collect(),
            Self::Lazy(lazy) => lazy.keys().into_iter().map(|key| &**key).collect(),
            _ => Vec::new(),
        }
    }

    pub(in crate::types) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Path(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a condition holds.
    pub(in crate::types) fn is_true(&self) -> bool {
        match self {
            Self::Undefined | Self::Blank(_) => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::Text(text) | Self::Path(text) => !text.is_empty(),
            Self::List(items, _) => !items.is_empty(),
            Self::Map(map, _) => !map.entries().is_empty(),
            Self::Lazy(lazy) => !lazy.is_empty(),
            Self::Quote(_) | Self::Layers(_) | Self::Loop(_) => true,
        }
    }

    /// The word for what it is, in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Blank(_) => match self.lacks() {
                Kind::Array => "list",
                Kind::Object => "map",
                Kind::Other => "blank",
            },
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Float(_) => "number",
            Self::Text(_) | Self::Path(_) => "string",
            Self::List(..) => "list",
            Self::Map(..) | Self::Lazy(_) | Self::Loop(_) => "map",
            Self::Quote(_) => "digest or size of a layer that is not packed yet",
            Self::Layers(_) => "function",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(number as i128)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<T: IntoIterator<Item = Self>>(items: T) -> Self {
        Self::List(Arc::new(items.into_iter().collect()), None)
    }
}
