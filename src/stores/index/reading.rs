//! Reading an `index.json`: its entries as they are written, within limits.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Entry, IndexFile, MAX_ENTRIES};
use crate::oci::exact_keys;

/// The keys of an image index (image-spec image-index.md).
pub(super) const FIELDS: [&str; 6] =
    ["schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"];
/// Most keys of an `index.json` itself.
const MAX_FIELDS: usize = 100;

impl<'de> Deserialize<'de> for IndexFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Document)
    }
}

struct Document;

impl<'de> Visitor<'de> for Document {
    type Value = IndexFile;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an image index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<IndexFile, A::Error> {
        let mut index = IndexFile { fields: Vec::new(), entries: Vec::new(), listed: true, changed: false };
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
                index.entries = map.next_value::<Option<Entries>>()?.unwrap_or_default().0;
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

#[derive(Default)]
struct Entries(Vec<Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(List)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Entries;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of descriptors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            if entries.len() >= MAX_ENTRIES {
                return Err(A::Error::custom(format_args!("more than {MAX_ENTRIES} entries")));
            }
            entries.push(Entry::read(raw));
        }
        Ok(Entries(entries))
    }
}
