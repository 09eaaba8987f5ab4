//! Deserialises documents into Rust types, and suggests similar words.

use std::fmt;

use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use super::{
    Document, Position,
    node::{Key, Kind, Node, Scalar, Style},
    strict,
};
use crate::error::{Error, Result};

/// Deserialises a document parsed by the rules of YAML 1.2. A number or boolean for a text field becomes its source
/// text. Errors have a position, and suggest similar keys.
pub(crate) fn typed<T: DeserializeOwned>(document: &Document) -> Result<T> {
    T::deserialize(Reader(&document.root)).map_err(|flaw| {
        let at = flaw.at.unwrap_or(document.root.at);
        Error::invalid(flaw.message).context(super::place(&document.origin, at))
    })
}

/// An error with the position of the innermost known part.
#[derive(Debug)]
struct Flaw {
    message: String,
    at: Option<Position>,
}

impl Flaw {
    fn at(self, at: Position) -> Self {
        Self { at: self.at.or(Some(at)), ..self }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Flaw {}

impl de::Error for Flaw {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string().replace('\n', " "), at: None }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match unexpected {
            Unexpected::Unit => Self::custom(format!("expected {expected}, not null")),
            _ => Self::custom(format!("expected {expected}, not {unexpected}")),
        }
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let near = nearest(variant, expected.iter().copied()).map(|n| format!("; did you mean `{n}`"));
        Self::custom(format!("`{variant}` is not {}{}", one_of(expected), near.unwrap_or_default()))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let near = nearest(field, expected.iter().copied()).map(|n| format!("did you mean `{n}`"));
        let near = near.unwrap_or_else(|| format!("expected {}", one_of(expected)));
        Self::custom(format!("unknown key `{field}`; {near}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("the key `{field}` is missing"))
    }
}

fn one_of(expected: &[&str]) -> String {
    format!("one of `{}`", expected.join("`, `"))
}

/// A part of a document, for `serde`.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl Reader<'_> {
    fn value(&self, scalar: &Scalar) -> Result<Value, Flaw> {
        strict::value(scalar).map_err(|message| Flaw { message, at: Some(self.0.at) })
    }

    fn is_null(&self) -> bool {
        matches!(&self.0.kind, Kind::Scalar(scalar) if strict::value(scalar) == Ok(Value::Null))
    }
}

impl<'a> Deserializer<'a> for Reader<'a> {
    type Error = Flaw;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Flaw> {
        let read = match &self.0.kind {
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
            Kind::Scalar(scalar) => match self.value(scalar)? {
                Value::String(_) => visitor.visit_borrowed_str(&scalar.text),
                Value::Null => visitor.visit_unit(),
                Value::Bool(value) => visitor.visit_bool(value),
                Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                    (Some(number), _) => visitor.visit_u64(number),
                    (None, Some(number)) => visitor.visit_i64(number),
                    (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
                },
                Value::Array(_) | Value::Object(_) => {
                    Err(de::Error::custom("expected a scalar, found a list or a map"))
                }
            },
        };
        read.map_err(|flaw: Flaw| flaw.at(self.0.at))
    }

    /// For a boolean field, the words of YAML 1.1 are unambiguous.
    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match &self.0.kind {
            Kind::Scalar(Scalar { text, style: Style::Plain }) => match text.to_ascii_lowercase().as_str() {
                "yes" | "y" | "on" => visitor.visit_bool(true),
                "no" | "n" | "off" => visitor.visit_bool(false),
                _ => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match &self.0.kind {
            Kind::Scalar(scalar) if !self.is_null() => {
                visitor.visit_borrowed_str(&scalar.text).map_err(|flaw: Flaw| flaw.at(self.0.at))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Flaw> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Flaw> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Flaw> {
        visitor.visit_newtype_struct(self).map_err(|flaw: Flaw| flaw.at(self.0.at))
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        let read = match &self.0.kind {
            Kind::Scalar(scalar) => visitor.visit_enum(scalar.text.as_str().into_deserializer()),
            Kind::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant(&entries[0])),
            _ => Err(de::Error::custom("expected a word, or a map of one key")),
        };
        read.map_err(|flaw: Flaw| flaw.at(self.0.at))
    }

    /// Refuses lists, whose items `serde` would take for the fields in order.
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        match &self.0.kind {
            Kind::List(_) => Err(<Flaw as de::Error>::invalid_type(Unexpected::Seq, &visitor).at(self.0.at)),
            Kind::Map(_) | Kind::Scalar(_) => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = Flaw;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Flaw> {
        self.0.next().map(|item| seed.deserialize(Reader(item)).map_err(|flaw| flaw.at(item.at))).transpose()
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = Flaw;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Flaw> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(de::value::BorrowedStrDeserializer::new(&key.name))
            .map(Some)
            .map_err(|flaw: Flaw| flaw.at(key.at))
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, Flaw> {
        let value = self.value.take().ok_or_else(|| Flaw { message: "the value has no key".into(), at: None })?;
        seed.deserialize(Reader(value)).map_err(|flaw| flaw.at(value.at))
    }
}

/// An enum variant as a map, `{KIND: VALUE}`.
struct Variant<'a>(&'a (Key, Node));

impl<'a> EnumAccess<'a> for Variant<'a> {
    type Error = Flaw;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<(T::Value, Self), Flaw> {
        let (key, _) = self.0;
        let kind = seed.deserialize(de::value::BorrowedStrDeserializer::new(&key.name));
        Ok((kind.map_err(|flaw: Flaw| flaw.at(key.at))?, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'a> {
    type Error = Flaw;

    fn unit_variant(self) -> Result<(), Flaw> {
        serde::Deserialize::deserialize(Reader(&self.0.1))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Flaw> {
        seed.deserialize(Reader(&self.0.1))
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Flaw> {
        Reader(&self.0.1).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Flaw> {
        Reader(&self.0.1).deserialize_any(visitor)
    }
}

/// The longest word that is looked for, and the most known words it is compared with: the cost is that of their product.
const MAX_WORD: usize = 64;
const MAX_KNOWN: usize = 1000;

/// The most similar known word, if any is similar enough; a long word is similar to none.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let (word, known) = (word.to_lowercase(), known.into_iter().filter(|known| known.len() <= MAX_WORD));
    let scored = known.take(MAX_KNOWN).map(|known| (strsim::jaro_winkler(&word, &known.to_lowercase()), known));
    scored.filter(|(score, _)| *score > 0.78).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}
