//! What the types that are read from text have in common.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, de::Visitor};

use crate::error::Error;

/// Reads a value from a string of a document, by its [`FromStr`].
pub(super) fn deserialize<'de, T: FromStr<Err = Error>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    from.deserialize_str(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = Error>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
