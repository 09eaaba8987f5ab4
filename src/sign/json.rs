//! JSON that is signed, read and written: every reader must read the same, so a key may be there once only, and known keys in one case only.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use crate::{
    error::{Error, Kind, Result},
    oci::exact_keys,
};

/// Reads a document. Errors, for people: malformed JSON, a key twice in one object, a key that differs from one of `T` in
/// case only, and what `T` refuses.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let Unique(value) = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    exact_keys::from_value(value).map_err(|e| e.to_string())
}

/// A document as it is written: compact, its keys in the order of their declaration.
pub(super) fn write(value: &impl Serialize) -> Result<Bytes> {
    let written = serde_json::to_vec(value);
    written.map(Bytes::from).map_err(|e| Error::caused(Kind::Internal, "a signature cannot be encoded", e))
}

/// A value in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(value)) = from.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unique(value))) = from.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` is there twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_there_twice_is_refused_at_any_depth() {
        assert!(read::<Value>(br#"{"a":[{"b":1,"b":2}]}"#).unwrap_err().contains("twice"));
        assert_eq!(read::<Value>(br#"{"b":1,"a":[null,1.5,-1]}"#).unwrap().to_string(), r#"{"b":1,"a":[null,1.5,-1]}"#);
    }
}
