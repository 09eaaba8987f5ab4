//! What checking a document by a JSON Schema costs.
//!
//! The unit is a *visit*: one part of the schema looks at one part of the document. A part of a schema may name others, and
//! several may name the same: forty of them in a row, each of which names the next one twice, make more visits than there
//! is time for. So they are counted before a validator starts, each pair of parts once.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};

/// Limit of visits of one document.
pub(in crate::types) const MAX_VISITS: u64 = 1_000_000;
/// Limit of nesting: of parts of the schema that look at the same part of the document, and of both together.
const MAX_DEPTH: usize = 256;
/// Limit of regular expressions in a schema.
pub(super) const MAX_PATTERNS: usize = 64;
/// Bytes of text that cost a visit.
const TEXT: u64 = 32;

/// Keywords with a schema for the same part of the document.
const SAME: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords with a list of them.
const SAME_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords with an object of them.
const SAME_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
/// Keywords with a schema for every item.
const ITEMS: [&str; 4] = ["items", "contains", "unevaluatedItems", "additionalItems"];
/// Keywords with a schema for every property, and one for every name of a property.
const PROPERTIES: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
/// Keywords that look at everything below.
const WHOLE: [&str; 3] = ["uniqueItems", "enum", "const"];

/// A schema whose visits can be counted.
pub(super) struct Visits<'s> {
    root: &'s Json,
    anchors: BTreeMap<&'s str, Vec<&'s Json>>,
    pub(super) patterns: usize,
}

/// How many visits it takes to check this document. Errors: those of [`Visits::of`]; kind `Limit` if there are too many.
pub(in crate::types) fn count(schema: &Json, document: &Json) -> Result<u64> {
    Visits::of(schema)?.count(document)
}

impl<'s> Visits<'s> {
    /// Errors: a reference that leads out of the schema; too many regular expressions.
    pub(super) fn of(root: &'s Json) -> Result<Self> {
        let mut visits = Self { root, anchors: BTreeMap::new(), patterns: 0 };
        visits.collect(root, true)?;
        if visits.patterns > MAX_PATTERNS {
            let message =
                format!("the schema has {} regular expressions; the limit is {MAX_PATTERNS}", visits.patterns);
            return Err(Error::limit(message));
        }
        Ok(visits)
    }

    fn collect(&mut self, node: &'s Json, root: bool) -> Result<()> {
        match node {
            Json::Array(items) => items.iter().try_for_each(|item| self.collect(item, false)),
            Json::Object(map) => {
                for name in ["$anchor", "$dynamicAnchor"].iter().filter_map(|key| map.get(*key)?.as_str()) {
                    self.anchors.entry(name).or_default().push(node);
                }
                if !root && map.get("$id").is_some_and(Json::is_string) {
                    return Err(Error::unsupported("the schema has an `$id` within; only the whole may have one"));
                }
                self.patterns += usize::from(map.get("pattern").is_some_and(Json::is_string));
                self.patterns += map.get("patternProperties").and_then(Json::as_object).map_or(0, Map::len);
                map.values().try_for_each(|inner| self.collect(inner, false))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn count(&self, document: &Json) -> Result<u64> {
        let mut count = Count { visits: self, known: HashMap::new(), steps: 0 };
        let total = count.named(self.root, document, 0)?;
        if total > MAX_VISITS { Err(too_many()) } else { Ok(total) }
    }

    /// The parts of the schema that a reference may stand for.
    fn targets(&self, reference: &str) -> Result<Vec<&'s Json>> {
        let own = self.root.get("$id").and_then(Json::as_str).unwrap_or_default();
        let within = reference.strip_prefix(own).unwrap_or(reference);
        let found = match within.strip_prefix('#') {
            Some("") => vec![self.root],
            Some(pointer) if pointer.starts_with('/') => self.root.pointer(&decoded(pointer)).into_iter().collect(),
            Some(anchor) => self.anchors.get(anchor).cloned().unwrap_or_default(),
            None => Vec::new(),
        };
        if found.is_empty() {
            return Err(Error::invalid(format!("the schema has no `{reference}`")));
        }
        Ok(found)
    }
}

fn too_many() -> Error {
    Error::limit(format!("checking it by its schema takes more than {MAX_VISITS} visits"))
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

/// The name of a property, for which no part of the document stands.
static NAME: Json = Json::Null;

/// A count for one document.
struct Count<'v, 's> {
    visits: &'v Visits<'s>,
    /// The visits of a part of the schema that a reference leads to, and of all below it, by the addresses of the two parts;
    /// nothing while they are being counted.
    known: HashMap<(usize, usize), Option<u64>>,
    /// The steps of the count itself.
    steps: u64,
}

impl<'s> Count<'_, 's> {
    fn step(&mut self, steps: u64) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_VISITS { Err(too_many()) } else { Ok(()) }
    }

    /// The visits of a part that others may name as well, counted once.
    fn named(&mut self, schema: &'s Json, value: &Json, depth: usize) -> Result<u64> {
        let key = (std::ptr::from_ref(schema) as usize, std::ptr::from_ref(value) as usize);
        match self.known.get(&key) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err(Error::invalid("the schema refers to itself without end")),
            None if self.known.len() as u64 > MAX_VISITS / 4 => return Err(too_many()),
            None => {}
        }
        self.known.insert(key, None);
        let visits = self.pair(schema, value, depth)?;
        self.known.insert(key, Some(visits));
        Ok(visits)
    }

    /// The visits of this part of the document by this part of the schema, and of all below both.
    fn pair(&mut self, schema: &'s Json, value: &Json, depth: usize) -> Result<u64> {
        self.step(1)?;
        let Json::Object(map) = schema else { return Ok(1) };
        if depth >= MAX_DEPTH {
            return Err(Error::limit(format!("checking it by its schema goes deeper than {MAX_DEPTH} levels")));
        }
        let mut total = self.looks(map, value)?;
        for inner in same(map) {
            total = total.saturating_add(self.pair(inner, value, depth + 1)?);
        }
        for reference in ["$ref", "$dynamicRef"].iter().filter_map(|key| map.get(*key)?.as_str()) {
            for target in self.visits.targets(reference)? {
                total = total.saturating_add(self.named(target, value, depth + 1)?);
            }
        }
        let below = match value {
            Json::Array(items) => self.items(map, items, depth + 1)?,
            Json::Object(entries) => self.entries(map, entries, depth + 1)?,
            _ => 0,
        };
        Ok(total.saturating_add(below))
    }

    /// What this part of the schema itself costs.
    fn looks(&mut self, map: &Map<String, Json>, value: &Json) -> Result<u64> {
        let len = |key: &str| map.get(key).map_or(0, entries_of);
        let patterns = len("patternProperties");
        let mut looks = 1 + len("required") + len("properties") + len("dependentRequired") + patterns;
        looks += match value {
            Json::String(text) => text.len() as u64 / TEXT,
            Json::Array(items) => items.len() as u64,
            Json::Object(entries) => entries.keys().map(|key| (1 + patterns) * (1 + key.len() as u64 / TEXT)).sum(),
            _ => 0,
        };
        for whole in WHOLE.iter().filter_map(|key| map.get(*key)) {
            looks += self.size(whole)? + self.size(value)?;
        }
        self.step(looks)?;
        Ok(looks)
    }

    /// The parts of a value, and what its text costs.
    fn size(&mut self, value: &Json) -> Result<u64> {
        let own = 1 + value.as_str().map_or(0, |text| text.len() as u64 / TEXT);
        self.step(own)?;
        match value {
            Json::Array(items) => items.iter().try_fold(own, |sum, item| Ok(sum + self.size(item)?)),
            Json::Object(map) => {
                map.iter().try_fold(own, |sum, (key, item)| Ok(sum + key.len() as u64 / TEXT + self.size(item)?))
            }
            _ => Ok(own),
        }
    }

    fn items(&mut self, map: &'s Map<String, Json>, items: &[Json], depth: usize) -> Result<u64> {
        let mut total = 0_u64;
        for list in ["prefixItems", "items"].iter().filter_map(|key| map.get(*key)?.as_array()) {
            for (schema, item) in list.iter().zip(items) {
                total = total.saturating_add(self.pair(schema, item, depth)?);
            }
        }
        for schema in ITEMS.iter().filter_map(|key| map.get(*key)).filter(|schema| !schema.is_array()) {
            for item in items {
                total = total.saturating_add(self.pair(schema, item, depth)?);
            }
        }
        Ok(total)
    }

    fn entries(&mut self, map: &'s Map<String, Json>, entries: &Map<String, Json>, depth: usize) -> Result<u64> {
        let mut total = 0_u64;
        let listed = map.get("properties").and_then(Json::as_object);
        for (key, value) in entries {
            // Which of the patterns match is not known: all of them may.
            let patterns = map.get("patternProperties").and_then(Json::as_object).into_iter().flat_map(Map::values);
            let own = listed.and_then(|listed| listed.get(key)).into_iter().chain(patterns);
            for schema in own.chain(PROPERTIES.iter().filter_map(|key| map.get(*key))) {
                total = total.saturating_add(self.pair(schema, value, depth)?);
            }
            if let Some(schema) = map.get("propertyNames") {
                let text = 1 + key.len() as u64 / TEXT;
                total = total.saturating_add(self.pair(schema, &NAME, depth)?.saturating_mul(text));
            }
        }
        Ok(total)
    }
}

/// The parts of a schema that look at the same part of the document.
fn same(map: &Map<String, Json>) -> impl Iterator<Item = &Json> {
    let lists = SAME_LISTS.iter().filter_map(|key| map.get(*key)?.as_array()).flatten();
    let maps = SAME_MAPS.iter().filter_map(|key| map.get(*key)?.as_object()).flat_map(Map::values);
    SAME.iter().filter_map(|key| map.get(*key)).chain(lists).chain(maps)
}

fn entries_of(value: &Json) -> u64 {
    match value {
        Json::Array(items) => items.len() as u64,
        Json::Object(map) => map.len() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn every_keyword_that_holds_schemas_is_counted() {
        for (schema, document, expected) in [
            (json!(true), json!([1, 2]), 1),
            (json!({}), json!("x"), 1),
            (json!({}), json!("x".repeat(320)), 11),
            (json!({"type": "array"}), json!([1, 2]), 3),
            (json!({"items": {}}), json!([1, 2]), 5),
            (json!({"contains": {}, "unevaluatedItems": true}), json!([1, 2]), 7),
            (json!({"prefixItems": [{}, {}, {}]}), json!([1, 2]), 5),
            (json!({"properties": {"a": {}, "b": {}}}), json!({"a": 1}), 5),
            (json!({"additionalProperties": {}, "propertyNames": {}}), json!({"a": 1}), 4),
            (json!({"patternProperties": {"x": {}, "y": {}}}), json!({"a": 1}), 8),
            (
                json!({"allOf": [{}, {}], "anyOf": [{}], "oneOf": [{}], "not": {}, "if": {}, "then": {}, "else": {}}),
                json!(1),
                9,
            ),
            (json!({"dependentSchemas": {"a": {}}}), json!({}), 2),
            (json!({"$ref": "#/$defs/a%25b", "$defs": {"a%b": {"allOf": [{}]}}}), json!(1), 3),
            (
                json!({"$dynamicRef": "#n", "$defs": {"a": {"$dynamicAnchor": "n"}, "b": {"$dynamicAnchor": "n"}}}),
                json!(1),
                3,
            ),
            (json!({"enum": [1, 2, 3]}), json!(1), 6),
            (json!({"uniqueItems": true}), json!([1, 2]), 7),
            (json!({"required": ["a", "b"]}), json!({}), 3),
        ] {
            assert_eq!(count(&schema, &document).unwrap(), expected, "{schema} {document}");
        }
    }

    /// A chain of definitions, each of which names the next by these references.
    fn chain(length: usize, link: impl Fn(Json) -> Json) -> Json {
        let mut defs: Map<String, Json> =
            (0..length).map(|i| (format!("x{i}"), link(json!({"$ref": format!("#/$defs/x{}", i + 1)})))).collect();
        defs.insert(format!("x{length}"), json!({"type": "null"}));
        json!({"$defs": defs, "$ref": "#/$defs/x0"})
    }

    #[test]
    fn no_schema_with_any_document_is_checked_for_ever() {
        let numbers = json!((0..150_000).collect::<Vec<i32>>());
        let objects = json!(vec![json!({"a": 1}); 40_000]);
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        let keys: Map<String, Json> = (0..20_000).map(|i| (format!("key{i}"), json!(i))).collect();
        let many: Vec<Json> = (0..5000).map(|i| json!(i)).collect();
        let tree = |key: &str| json!({key: [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]});
        for (schema, document) in [
            (chain(40, |next| json!({"anyOf": [next, next]})), json!(1)),
            (chain(40, |next| json!({"oneOf": [next, next]})), json!(1)),
            (chain(40, |next| json!({"allOf": [next, {"not": next}]})), json!(1)),
            (chain(40, |next| json!({"if": next, "then": next, "else": next})), json!(1)),
            (chain(40, |next| json!({"unevaluatedProperties": false, "anyOf": [next, next]})), json!({})),
            (
                chain(40, |next| json!({"propertyNames": {"anyOf": [next, next]}, "anyOf": [next, next]})),
                json!({"a": 1}),
            ),
            (chain(1000, |next| json!({"not": next})), json!(1)),
            (json!({"$ref": "#"}), json!(1)),
            (json!({"anyOf": [{"$ref": "#"}]}), json!(1)),
            (tree("anyOf"), deep.clone()),
            (tree("oneOf"), deep.clone()),
            (json!({"contains": {"$ref": "#"}, "items": {"$ref": "#"}, "prefixItems": [{"$ref": "#"}]}), deep),
            (json!({"items": {"enum": many}}), numbers.clone()),
            (json!({"items": {"allOf": vec![json!({}); 1000]}}), numbers.clone()),
            (json!({"uniqueItems": true, "contains": {"const": numbers}}), numbers),
            (json!({"items": {"required": vec!["x"; 1000]}}), objects.clone()),
            (json!({"items": {"properties": keys}}), objects),
            (
                json!({"patternProperties": (0..60).map(|i| (format!("k{i}"), json!({}))).collect::<Map<_, _>>()}),
                json!(keys),
            ),
            (
                json!({"properties": (0..100).map(|i| (format!("k{i}"), json!({"pattern": "x"}))).collect::<Map<_, _>>()}),
                json!({}),
            ),
        ] {
            let shown: String = schema.to_string().chars().take(120).collect();
            let error = count(&schema, &document).expect_err(&shown);
            assert!(matches!(error.kind(), Kind::Limit | Kind::Invalid), "{shown}: {error}");
        }
    }

    #[test]
    fn a_schema_of_a_tree_is_counted_once_for_every_part_of_the_document() {
        let schema = json!({"$defs": {"tree": {"properties": {"children": {"items": {"$ref": "#/$defs/tree"}}}}}, "$ref": "#/$defs/tree"});
        let leaf = json!({"children": []});
        let one = count(&schema, &json!({"children": [leaf]})).unwrap();
        let many = count(&schema, &json!({"children": vec![leaf; 1000]})).unwrap();
        assert!(many < one * 1000 && many > 1000, "{one} {many}");
    }

    #[test]
    fn a_reference_that_leads_out_of_the_schema_is_an_error() {
        for (schema, message) in [
            (json!({"$ref": "file:///etc/passwd"}), "has no `file:///etc/passwd`"),
            (json!({"$ref": "#/$defs/x"}), "has no `#/$defs/x`"),
            (json!({"$ref": "#x"}), "has no `#x`"),
            (json!({"$defs": {"a": {"$id": "http://x/"}}}), "only the whole may have one"),
        ] {
            let error = count(&schema, &json!(1)).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
        assert_eq!(
            count(&json!({"$id": "https://example.com/x", "$ref": "#/$defs/a", "$defs": {"a": true}}), &json!(1))
                .unwrap(),
            2
        );
    }
}
