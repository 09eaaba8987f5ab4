//! What checking a document by a JSON Schema costs.
//!
//! The unit is a *visit*: one part of the schema looks at one part of the document. A part of a schema may name others, and
//! several may name the same: forty of them in a row, each of which names the next one twice, make more visits than there
//! is time for. So they are counted before a validator starts, each pair of parts once. A visit is a step of the account
//! for the source.

use std::collections::HashMap;

use regex::RegexBuilder;
use serde_json::{Map, Value as Json};

use super::{
    documents::MAX_PATTERN,
    keywords::{Schemas, address, same},
};
use crate::{
    error::{Error, Result},
    types::language::cost::{MAX_STEPS, TEXT},
};

/// Limit of visits of one document.
pub(in crate::types) const MAX_VISITS: u64 = MAX_STEPS;
/// A search of a text for a regular expression costs a visit for this product of the bytes of both, the second compiled:
/// at worst, every byte of the text is looked at with all of the expression.
const SEARCH: u64 = 4 << 10;
/// Limit of nesting: of parts of the schema that look at the same part of the document, and of both together.
const MAX_DEPTH: usize = 256;

/// Keywords with a schema for every item.
const ITEMS: [&str; 4] = ["items", "contains", "unevaluatedItems", "additionalItems"];
/// Keywords with a schema for every property.
const PROPERTIES: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
/// Keywords for what no other schema has looked at. To find it, the validator checks once more by every schema that looks
/// at the same part of the document, and by every schema in these.
const UNEVALUATED: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];
/// Keywords that such a search checks items and properties by.
const SEARCHED: [&str; 3] = ["contains", "unevaluatedItems", "unevaluatedProperties"];
/// Keywords that look at everything below.
const WHOLE: [&str; 3] = ["uniqueItems", "enum", "const"];

/// How many visits it takes to check this document. Errors: a reference that leads out of the schema; kind `Limit` if there
/// are too many.
pub(in crate::types) fn count(schema: &Json, document: &Json) -> Result<u64> {
    let schemas = Schemas::of(schema)?;
    let mut count = Count { schemas: &schemas, known: HashMap::new(), sizes: HashMap::new(), steps: 0 };
    let total = count.named(schemas.root, document, 0)?.check;
    if total > MAX_VISITS { Err(too_many()) } else { Ok(total) }
}

fn too_many() -> Error {
    Error::limit(format!("checking it by its schema takes more than {MAX_VISITS} visits"))
}

/// What a text costs, besides the part that it is.
fn text(text: &str) -> u64 {
    (text.len() / TEXT) as u64
}

/// The name of a property, for which no part of the document stands.
static NAME: Json = Json::Null;

/// The visits of a part of the document by a part of the schema, and of all below both.
#[derive(Clone, Copy, Default)]
struct Visits {
    /// To check it.
    check: u64,
    /// To find what it has looked at, for an `unevaluated…` around it.
    search: u64,
}

/// A count for one document.
struct Count<'v, 's> {
    schemas: &'v Schemas<'s>,
    /// The visits of a part of the schema that a reference leads to, by the addresses of the two parts; nothing while they
    /// are being counted.
    known: HashMap<(usize, usize), Option<Visits>>,
    /// The sizes of the regular expressions that look at a text.
    sizes: HashMap<&'s str, u64>,
    /// The steps of the count itself.
    steps: u64,
}

impl<'s> Count<'_, 's> {
    fn step(&mut self, steps: u64) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_VISITS { Err(too_many()) } else { Ok(()) }
    }

    /// The visits of a part that others may name as well, counted once.
    fn named(&mut self, schema: &'s Json, value: &Json, depth: usize) -> Result<Visits> {
        let key = (address(schema), address(value));
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

    fn pair(&mut self, schema: &'s Json, value: &Json, depth: usize) -> Result<Visits> {
        self.step(1)?;
        let Json::Object(map) = schema else { return Ok(Visits { check: 1, search: 1 }) };
        if depth >= MAX_DEPTH {
            return Err(Error::limit(format!("checking it by its schema goes deeper than {MAX_DEPTH} levels")));
        }
        let looks = self.looks(map, value)?;
        let mut total = Visits { check: looks, search: looks };
        for inner in same(map) {
            let inner = self.pair(inner, value, depth + 1)?;
            total.check = total.check.saturating_add(inner.check);
            total.search = total.search.saturating_add(inner.check).saturating_add(inner.search);
        }
        for reference in ["$ref", "$dynamicRef"].iter().filter_map(|key| map.get(*key)?.as_str()) {
            for target in self.schemas.targets(reference)? {
                let target = self.named(target, value, depth + 1)?;
                total.check = total.check.saturating_add(target.check);
                total.search = total.search.saturating_add(target.search);
            }
        }
        let below = match value {
            Json::Array(items) => self.items(map, items, depth + 1)?,
            Json::Object(entries) => self.entries(map, entries, depth + 1)?,
            _ => Visits::default(),
        };
        total.check = total.check.saturating_add(below.check);
        total.search = total.search.saturating_add(below.search);
        if UNEVALUATED.iter().any(|key| map.contains_key(*key)) {
            total.check = total.check.saturating_add(total.search);
        }
        Ok(total)
    }

    /// What this part of the schema itself costs.
    fn looks(&mut self, map: &'s Map<String, Json>, value: &Json) -> Result<u64> {
        let len = |key: &str| map.get(key).map_or(0, entries_of);
        let patterns = len("patternProperties");
        let mut looks = 1 + len("required") + len("properties") + len("dependentRequired") + patterns;
        looks += match value {
            Json::String(own) => text(own),
            Json::Array(items) => items.len() as u64,
            Json::Object(entries) => entries.keys().map(|key| (1 + patterns) * (1 + text(key))).sum(),
            _ => 0,
        };
        for whole in WHOLE.iter().filter_map(|key| map.get(*key)) {
            looks += self.size(whole)? + self.size(value)?;
        }
        looks = looks.saturating_add(self.searches(map, value));
        self.step(looks)?;
        Ok(looks)
    }

    /// What the regular expressions of this part of the schema cost.
    fn searches(&mut self, map: &'s Map<String, Json>, value: &Json) -> u64 {
        let mut cost = |pattern: &'s str, text: usize| {
            let size = *self.sizes.entry(pattern).or_insert_with(|| size_of_pattern(pattern));
            size.saturating_mul(text as u64) / SEARCH
        };
        let own = map.get("pattern").and_then(Json::as_str);
        match value {
            Json::String(text) => own.map_or(0, |own| cost(own, text.len())),
            // It stands for as many bytes of the name as cost a visit.
            name if std::ptr::eq(name, &raw const NAME) => own.map_or(0, |own| cost(own, TEXT)),
            Json::Object(entries) => {
                let text = entries.keys().map(String::len).sum();
                let patterns = map.get("patternProperties").and_then(Json::as_object);
                patterns.into_iter().flat_map(Map::keys).map(|pattern| cost(pattern, text)).sum()
            }
            _ => 0,
        }
    }

    /// The parts of a value, and what its text costs.
    fn size(&mut self, value: &Json) -> Result<u64> {
        let own = 1 + value.as_str().map_or(0, text);
        self.step(own)?;
        match value {
            Json::Array(items) => items.iter().try_fold(own, |sum, item| Ok(sum + self.size(item)?)),
            Json::Object(map) => map.iter().try_fold(own, |sum, (key, item)| Ok(sum + text(key) + self.size(item)?)),
            _ => Ok(own),
        }
    }

    fn items(&mut self, map: &'s Map<String, Json>, items: &[Json], depth: usize) -> Result<Visits> {
        let mut total = Visits::default();
        for list in ["prefixItems", "items"].iter().filter_map(|key| map.get(*key)?.as_array()) {
            for (schema, item) in list.iter().zip(items) {
                self.below("items", schema, item, depth, &mut total)?;
            }
        }
        for (key, schema) in ITEMS.iter().filter_map(|key| Some((key, map.get(*key)?))) {
            for item in items.iter().filter(|_| !schema.is_array()) {
                self.below(key, schema, item, depth, &mut total)?;
            }
        }
        Ok(total)
    }

    fn entries(&mut self, map: &'s Map<String, Json>, entries: &Map<String, Json>, depth: usize) -> Result<Visits> {
        let mut total = Visits::default();
        let listed = map.get("properties").and_then(Json::as_object);
        for (key, value) in entries {
            // Which of the patterns match is not known: all of them may.
            let patterns = map.get("patternProperties").and_then(Json::as_object).into_iter().flat_map(Map::values);
            let own = listed.and_then(|listed| listed.get(key)).into_iter().chain(patterns).map(|own| ("", own));
            for (key, schema) in own.chain(PROPERTIES.iter().filter_map(|key| Some((*key, map.get(*key)?)))) {
                self.below(key, schema, value, depth, &mut total)?;
            }
            if let Some(schema) = map.get("propertyNames") {
                let visits = self.pair(schema, &NAME, depth)?.check.saturating_mul(1 + text(key));
                total.check = total.check.saturating_add(visits);
            }
        }
        Ok(total)
    }

    /// Adds the visits of an item or property by the schema of this keyword.
    fn below(&mut self, key: &str, schema: &'s Json, part: &Json, depth: usize, total: &mut Visits) -> Result<()> {
        let visits = self.pair(schema, part, depth)?.check;
        total.check = total.check.saturating_add(visits);
        if SEARCHED.contains(&key) {
            total.search = total.search.saturating_add(visits);
        }
        Ok(())
    }
}

/// The bytes of a compiled regular expression, up to a power of two; the most for one that is none.
fn size_of_pattern(pattern: &str) -> u64 {
    let fits = |size: &usize| RegexBuilder::new(pattern).size_limit(*size).build().is_ok();
    let sizes = std::iter::successors(Some(1 << 10), |size| Some(size * 2)).take_while(|size| *size < MAX_PATTERN);
    sizes.into_iter().find(fits).unwrap_or(MAX_PATTERN) as u64
}

fn entries_of(value: &Json) -> u64 {
    match value {
        Json::Array(items) => items.len() as u64,
        Json::Object(map) => map.len() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
