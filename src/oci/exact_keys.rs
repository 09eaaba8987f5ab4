//! Reads JSON documents of the specifications so that every other reader reads the same.
//!
//! Go's `encoding/json`, which most tools of this field use, ignores the case of keys, and of two keys that are equal
//! then, the last one counts. A document with `layers` and `Layers` is one artifact here and another one there. So a
//! key that is equal to a known one only after case folding is refused.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};

/// Like [`serde_json::from_slice`]; refuses keys that are fields only to readers that ignore case.
pub(crate) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Exact { inner: &mut json, fields: &[] })?;
    json.end().map(|()| value)
}

/// Like [`serde_json::from_value`], with the same rule.
pub(crate) fn from_value<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> serde_json::Result<T> {
    T::deserialize(Exact { inner: value, fields: &[] })
}

/// The error for a key that is one of these fields to readers that ignore case, but not to this one.
pub(crate) fn check_key<E: Error>(key: &str, fields: &[&str]) -> Result<(), E> {
    if fields.contains(&key) {
        return Ok(());
    }
    match fields.iter().find(|field| key.chars().map(fold).eq(field.chars().map(fold))) {
        Some(field) => Err(E::custom(format_args!(
            "the key `{key}` counts as `{field}` for readers that ignore case, so they would read something else"
        ))),
        None => Ok(()),
    }
}

/// Errors: two of these keys of one object are the same to readers that ignore case.
#[cfg(feature = "types")]
pub(crate) fn check_distinct<'k>(keys: impl IntoIterator<Item = &'k String>) -> Result<(), String> {
    let mut seen = std::collections::BTreeMap::new();
    for key in keys {
        if let Some(other) = seen.insert(key.chars().map(fold).collect::<String>(), key) {
            return Err(format!("the keys `{other}` and `{key}` are the same to readers that ignore case"));
        }
    }
    Ok(())
}

/// Simple case folding to ASCII (Unicode `CaseFolding.txt`): besides the Latin letters, two signs fold to one.
fn fold(c: char) -> char {
    match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}

/// A part of `serde`'s machinery, around the same part of another deserializer.
///
/// The fields are those of the struct whose keys come next; a text that comes where there are any is such a key.
struct Exact<T> {
    inner: T,
    fields: &'static [&'static str],
}

/// Passes a type on, with the visitor wrapped.
macro_rules! deserialize {
    ($($method:ident($($argument:ident: $type:ty),*)),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Exact { inner: visitor, fields: self.fields })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Exact<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Exact { inner: visitor, fields })
    }

    /// An enum has no keys of its own here: enums of these documents are texts.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    deserialize!(
        deserialize_any(),
        deserialize_bool(),
        deserialize_i8(),
        deserialize_i16(),
        deserialize_i32(),
        deserialize_i64(),
        deserialize_u8(),
        deserialize_u16(),
        deserialize_u32(),
        deserialize_u64(),
        deserialize_f32(),
        deserialize_f64(),
        deserialize_char(),
        deserialize_str(),
        deserialize_string(),
        deserialize_bytes(),
        deserialize_byte_buf(),
        deserialize_option(),
        deserialize_unit(),
        deserialize_unit_struct(name: &'static str),
        deserialize_newtype_struct(name: &'static str),
        deserialize_seq(),
        deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_map(),
        deserialize_identifier(),
        deserialize_ignored_any(),
    );
}

/// Passes a value on.
macro_rules! visit {
    ($($method:ident($type:ty)),* $(,)?) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Exact<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        check_key(text, self.fields)?;
        self.inner.visit_str(text)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<V::Value, E> {
        check_key(text, self.fields)?;
        self.inner.visit_borrowed_str(text)
    }

    fn visit_string<E: Error>(self, text: String) -> Result<V::Value, E> {
        check_key(&text, self.fields)?;
        self.inner.visit_string(text)
    }

    visit!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Exact { inner, fields: self.fields })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Exact { inner, fields: self.fields })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Exact { inner, fields: &[] })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Exact { inner, fields: self.fields })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Exact<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Exact { inner, fields: self.fields })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Exact<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.inner.next_element_seed(Exact { inner: seed, fields: &[] })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Exact<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(Exact { inner: seed, fields: self.fields })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(Exact { inner: seed, fields: &[] })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, value::RawValue};

    use super::*;
    use crate::oci::{Descriptor, Digest, Index, Manifest, media_type};

    fn descriptor() -> Value {
        json!({
            "mediaType": "a/b", "digest": Digest::of(b""), "size": 0, "urls": null, "data": "", "Unknown": {"size": 1},
            "annotations": {"Size": "a key of this map is no field", "size": "nor is this"},
            "platform": {"os": "linux", "architecture": "arm64", "os.features": []},
        })
    }

    fn manifest() -> Value {
        let layers = [descriptor()];
        json!({"schemaVersion": 2, "config": descriptor(), "layers": layers, "subject": descriptor(), "manifest": 1})
    }

    /// All objects in a value whose keys are fields, by their pointers.
    const PLACES: [&str; 5] = ["", "/config", "/layers/0", "/subject", "/layers/0/platform"];

    #[test]
    fn what_has_no_such_key_is_read_as_by_any_reader() {
        let bytes = manifest().to_string();
        let ours: Manifest = from_slice(bytes.as_bytes()).unwrap();
        assert_eq!(ours, serde_json::from_str(&bytes).unwrap());
        assert_eq!(from_value::<Descriptor>(descriptor()).unwrap(), ours.config);
        assert_eq!(from_slice::<Value>(bytes.as_bytes()).unwrap(), manifest());
        assert_eq!(from_slice::<Box<RawValue>>(b" [1.50]").unwrap().get(), "[1.50]");
        assert!(from_slice::<Value>(b"{} {}").is_err());
    }

    #[test]
    fn a_key_that_is_a_field_only_without_regard_to_case_is_refused_wherever_it_stands() {
        for place in PLACES {
            let fields: Vec<String> = manifest().pointer(place).unwrap().as_object().unwrap().keys().cloned().collect();
            for field in fields.iter().filter(|field| !["Unknown", "manifest"].contains(&field.as_str())) {
                let others = [field.to_uppercase(), field.replacen('s', "ſ", 1), field.replacen('o', "O", 1)];
                for other in others.iter().filter(|other| *other != field) {
                    let mut changed = manifest();
                    changed.pointer_mut(place).unwrap()[other] = json!(null);
                    let read = from_slice::<Manifest>(changed.to_string().as_bytes());
                    assert!(read.is_err() && from_value::<Manifest>(changed).is_err(), "{place} {other}");
                }
            }
        }
    }

    #[test]
    fn the_error_names_the_key_and_the_field() {
        let text =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[],"Manifests":[]}}"#, media_type::INDEX);
        let error = from_slice::<Index>(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("the key `Manifests` counts as `manifests`"), "{error}");
    }

    #[cfg(feature = "types")]
    #[test]
    fn keys_that_are_the_same_without_regard_to_case_are_told() {
        let keys = |list: &[&str]| list.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_distinct(&keys(&["name", "names", "titl"])), Ok(()));
        for other in ["Name", "NAME"] {
            let error = check_distinct(&keys(&["name", "size", other])).unwrap_err();
            assert!(error.contains(&format!("`name` and `{other}`")), "{error}");
        }
        assert!(check_distinct(&keys(&["keys", "\u{212a}eyſ"])).is_err());
    }

    #[test]
    fn an_escape_does_not_hide_a_key() {
        assert!(from_slice::<Index>(br#"{"schemaVersion":2,"manifests":[],"\u004danifests":[]}"#).is_err());
        assert!(from_slice::<Index>(br#"{"schemaVersion":2,"manifests":[],"manifest\u017f":[]}"#).is_err());
        assert!(from_slice::<Index>(br#"{"schemaVersion":2,"\u006danifests":[]}"#).is_ok());
    }
}
