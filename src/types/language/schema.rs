//! What a JSON Schema says about names: which keys a value may have, and what stands for a missing one.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value as Json;

use super::values::Value;

/// The schema of a value, if it has one.
pub(super) type Shape = Option<Arc<Schema>>;

/// The parts of a JSON Schema that define names.
#[derive(Debug, Default)]
pub(in crate::types) struct Schema {
    /// The listed properties, if it lists any.
    listed: Option<BTreeMap<String, Arc<Schema>>>,
    /// Whether other keys are allowed, and their schema.
    free: bool,
    others: Shape,
    items: Shape,
    kind: Kind,
    default: Option<Value>,
}

/// The type of a missing value, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    Array,
    Object,
    #[default]
    Other,
}

impl Schema {
    /// Reads a schema. A `$ref` is not followed: what is behind it has no names.
    pub(in crate::types) fn of(schema: &Json) -> Arc<Self> {
        let listed = schema.get("properties").and_then(Json::as_object);
        let listed = listed.map(|all| all.iter().map(|(key, schema)| (key.clone(), Self::of(schema))).collect());
        let others = schema.get("additionalProperties");
        Arc::new(Self {
            free: listed.is_none() || others.is_some_and(|o| o != &Json::Bool(false)),
            listed,
            others: others.filter(|o| o.is_object()).map(Self::of),
            items: schema.get("items").map(Self::of),
            kind: match schema.get("type").and_then(Json::as_str) {
                Some("array") => Kind::Array,
                Some("object") => Kind::Object,
                _ => Kind::Other,
            },
            default: schema.get("default").filter(|d| !d.is_null()).map(Value::of),
        })
    }

    /// A schema of any array.
    pub(in crate::types) fn array() -> Arc<Self> {
        Arc::new(Self { kind: Kind::Array, free: true, ..Self::default() })
    }

    /// A schema of any object; missing keys are blank.
    pub(in crate::types) fn object() -> Arc<Self> {
        Arc::new(Self { kind: Kind::Object, free: true, ..Self::default() })
    }

    /// The schema of a property that is there.
    pub(super) fn property(&self, key: &str) -> Shape {
        self.listed.as_ref().and_then(|listed| listed.get(key)).or(self.others.as_ref()).cloned()
    }

    /// What stands for a property that is missing; `None` if there can be no such property.
    pub(super) fn missing(&self, key: &str) -> Option<Value> {
        match self.listed.as_ref().and_then(|listed| listed.get(key)) {
            Some(schema) => Some(blank(Some(schema))),
            None => self.free.then(|| blank(self.others.as_ref())),
        }
    }

    pub(super) fn items(&self) -> Option<&Arc<Self>> {
        self.items.as_ref()
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The keys of missing objects, for suggestions.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().flat_map(|listed| listed.keys().map(String::as_str))
    }
}

/// The value for a missing one: the schema's default, or blank.
pub(in crate::types) fn blank(schema: Option<&Arc<Schema>>) -> Value {
    match schema.and_then(|schema| schema.default.clone()) {
        Some(default) => default.shaped(schema.cloned()),
        None => Value::Blank(schema.cloned()),
    }
}
