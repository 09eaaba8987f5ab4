//! Reading an `index.json`: its entries as they are written, within limits.

use bytes::Bytes;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    IndexFile, MAX_ENTRIES,
    entry::{Entry, Text},
};
use crate::{fs::returning, oci::exact_keys};

/// The keys of an image index (image-spec image-index.md).
pub(super) const FIELDS: [&str; 6] =
    ["schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"];
/// Most keys of an `index.json` itself.
const MAX_FIELDS: usize = 100;

/// Reads a list from this text, of which the entries become parts.
pub(super) struct Document<'a>(pub(super) &'a Bytes);

impl<'de> DeserializeSeed<'de> for Document<'de> {
    type Value = IndexFile;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<IndexFile, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'de> {
    type Value = IndexFile;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an image index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<IndexFile, A::Error> {
        let mut index =
            IndexFile { fields: Vec::new(), entries: Vec::new(), listed: true, changed: false, whole: None };
        let null = || RawValue::from_string("null".to_owned()).map_err(A::Error::custom);
        while let Some(key) = map.next_key::<String>()? {
            if index.fields.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!("duplicate key `{}`", key)));
            }
            exact_keys::check_key(&key, &FIELDS)?;
            if index.fields.len() >= MAX_FIELDS {
                return Err(A::Error::custom(format_args!("more than {MAX_FIELDS} keys")));
            }
            if key == "manifests" {
                index.entries = map.next_value_seed(List(self.0))?;
                index.fields.push((key, null()?));
            } else {
                index.fields.push((key, map.next_value()?));
            }
        }
        if !index.fields.iter().any(|(key, _)| key == "manifests") {
            index.listed = false;
            index.fields.push(("manifests".to_owned(), null()?));
        }
        Ok(index)
    }
}

/// Reads the entries.
struct List<'a>(&'a Bytes);

impl<'de> DeserializeSeed<'de> for List<'de> {
    type Value = Vec<Entry>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<Entry>, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for List<'de> {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of descriptors")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Vec<Entry>, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Vec<Entry>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Vec<Entry>, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Entry>, A::Error> {
        // An entry that is not hostile has a hundred bytes or more.
        let mut entries = returning((self.0.len() / 100).min(MAX_ENTRIES));
        while let Some(raw) = list.next_element::<&'de RawValue>()? {
            if entries.len() >= MAX_ENTRIES {
                return Err(A::Error::custom(format_args!("more than {MAX_ENTRIES} entries")));
            }
            // It is borrowed from the text.
            entries.push(Entry::read(Text(self.0.slice_ref(raw.get().as_bytes()))));
        }
        if entries.len().saturating_mul(size_of::<Entry>()) < self.0.len() / 8 {
            entries.shrink_to_fit();
        }
        Ok(entries)
    }
}
