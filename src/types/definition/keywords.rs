//! Which parts of a JSON Schema are schemas, and where its references lead.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};

/// Limit of regular expressions in a schema.
pub(super) const MAX_PATTERNS: usize = 64;

/// Keywords with a schema for the same part of the document.
const SAME: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords with a list of them.
const SAME_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords with an object of them.
const SAME_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
/// Other keywords with an object of schemas. Its keys are no keywords.
const MAPS: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// Keywords with data. There is no schema in them.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// A schema, with all schemas in it.
pub(super) struct Schemas<'s> {
    pub(super) root: &'s Json,
    /// The addresses of all of them.
    all: HashSet<usize>,
    anchors: BTreeMap<&'s str, Vec<&'s Json>>,
    pub(super) patterns: usize,
}

impl<'s> Schemas<'s> {
    /// Errors: an `$id` within; too many regular expressions.
    pub(super) fn of(root: &'s Json) -> Result<Self> {
        let mut schemas = Self { root, all: HashSet::new(), anchors: BTreeMap::new(), patterns: 0 };
        schemas.collect(root)?;
        if schemas.patterns > MAX_PATTERNS {
            let message =
                format!("the schema has {} regular expressions; the limit is {MAX_PATTERNS}", schemas.patterns);
            return Err(Error::limit(message));
        }
        Ok(schemas)
    }

    /// A keyword that is not known here may hold schemas.
    fn collect(&mut self, node: &'s Json) -> Result<()> {
        self.all.insert(address(node));
        match node {
            Json::Array(items) => items.iter().try_for_each(|item| self.collect(item)),
            Json::Object(map) => {
                self.note(node, map)?;
                for (key, inner) in map.iter().filter(|(key, _)| !DATA.contains(&key.as_str())) {
                    let of_schemas = MAPS.iter().chain(&SAME_MAPS).any(|known| known == key);
                    match inner.as_object().filter(|_| of_schemas) {
                        Some(schemas) => schemas.values().try_for_each(|schema| self.collect(schema))?,
                        None => self.collect(inner)?,
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a schema says for the whole.
    fn note(&mut self, node: &'s Json, map: &'s Map<String, Json>) -> Result<()> {
        for name in ["$anchor", "$dynamicAnchor"].iter().filter_map(|key| map.get(*key)?.as_str()) {
            self.anchors.entry(name).or_default().push(node);
        }
        if !std::ptr::eq(node, self.root) && map.get("$id").is_some_and(Json::is_string) {
            return Err(Error::unsupported("the schema has an `$id` within; only the whole may have one"));
        }
        self.patterns += usize::from(map.get("pattern").is_some_and(Json::is_string));
        self.patterns += map.get("patternProperties").and_then(Json::as_object).map_or(0, Map::len);
        Ok(())
    }

    /// The schemas that a reference may stand for. Errors: it leads out of the whole, or to what is no schema.
    pub(super) fn targets(&self, reference: &str) -> Result<Vec<&'s Json>> {
        let own = self.root.get("$id").and_then(Json::as_str).unwrap_or_default();
        let within = reference.strip_prefix(own).unwrap_or(reference);
        let found = match within.strip_prefix('#') {
            Some("") => vec![self.root],
            Some(pointer) if pointer.starts_with('/') => {
                let schema = self.root.pointer(&decoded(pointer));
                schema.filter(|schema| self.all.contains(&address(schema))).into_iter().collect()
            }
            Some(anchor) => self.anchors.get(anchor).cloned().unwrap_or_default(),
            None => Vec::new(),
        };
        if found.is_empty() {
            return Err(Error::invalid(format!("the schema has no `{reference}`")));
        }
        Ok(found)
    }
}

/// The schemas in a schema that look at the same part of the document.
pub(super) fn same(map: &Map<String, Json>) -> impl Iterator<Item = &Json> {
    let lists = SAME_LISTS.iter().filter_map(|key| map.get(*key)?.as_array()).flatten();
    let maps = SAME_MAPS.iter().filter_map(|key| map.get(*key)?.as_object()).flat_map(Map::values);
    SAME.iter().filter_map(|key| map.get(*key)).chain(lists).chain(maps)
}

/// What tells one part of a value from another.
pub(super) fn address(part: &Json) -> usize {
    std::ptr::from_ref(part) as usize
}

/// A pointer in a URI, in which `%25` stands for `%`.
fn decoded(pointer: &str) -> String {
    let mut parts = pointer.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(b'%'));
        out.extend_from_slice(if code.is_some() { part.get(2..).unwrap_or_default() } else { part }.as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}
