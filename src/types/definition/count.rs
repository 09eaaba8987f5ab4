//! The number of layers of a role.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number, or a range with an optional end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    least: usize,
    most: Option<usize>,
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Shape;
        impl de::Visitor<'_> for Shape {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a range such as `0..1` or `1..`")
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Count, E> {
                let n = usize::try_from(n).map_err(E::custom)?;
                Ok(Count { least: n, most: Some(n) })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                Count::read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Shape)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a number, or a range such as `0..1` or `1..`",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": r"^\d+(\.\.\d*)?$" }],
        })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            Some(most) if most == self.least => write!(f, "{most}"),
            Some(most) => write!(f, "{}..{most}", self.least),
            None => write!(f, "{}..", self.least),
        }
    }
}

impl Count {
    fn read(text: &str) -> Option<Self> {
        match text.split_once("..") {
            None => text.parse().ok().map(|n| Self { least: n, most: Some(n) }),
            Some((least, "")) => least.parse().ok().map(|least| Self { least, most: None }),
            Some((least, most)) => Some(Self { least: least.parse().ok()?, most: Some(most.parse().ok()?) }),
        }
    }

    /// Whether `n` is in the range.
    pub(in crate::types) fn allows(self, n: usize) -> bool {
        n >= self.least && self.most.is_none_or(|most| n <= most)
    }
}
