//! Typed values: a tree in a definition becomes a JSON value, keys in the given order.
//!
//! A string is a template and gives a string. An object with a key that starts with `$` gives a value of any type:
//! `$expr`, an expression; `$opt`, an expression whose key is omitted if it is blank; `$each`, a list with one `value`
//! per item (named by `as`); `$when`, its `value` if a condition is true, else its `else`, else nothing; `$pick`,
//! selected fields of a document, or of several, of which later ones override earlier ones, in the given order.

use serde_json::{Map, Value as Json};

use super::{
    expr::Engine,
    json::{key_size, size},
    scope::Scope,
};
use crate::{
    document::nearest,
    error::{Context as _, Error, Result},
};

/// The directives, each with its other keys.
pub(super) const DIRECTIVES: [(&str, &[&str]); 5] =
    [("$expr", &[]), ("$opt", &[]), ("$each", &["as", "value"]), ("$when", &["value", "else"]), ("$pick", &[])];

/// The keys of a `$pick`.
const PICK: [&str; 3] = ["from", "fields", "omitEmpty"];

/// The directive of this object, if any. Errors: a malformed directive.
pub(in crate::types) fn directive(map: &Map<String, Json>) -> Result<Option<&'static str>> {
    let Some(key) = map.keys().find(|k| k.starts_with('$')) else { return Ok(None) };
    let known = DIRECTIVES.iter().map(|(name, _)| *name);
    let Some((name, beside)) = DIRECTIVES.iter().find(|(name, _)| name == key) else {
        let near = nearest(key, known).map(|n| format!("; did you mean `{n}`")).unwrap_or_default();
        return Err(Error::invalid(format!("`{key}` is not a directive{near}")));
    };
    if let Some(other) = map.keys().find(|k| *k != key && !beside.contains(&k.as_str())) {
        return Err(Error::invalid(format!("`{other}` is not allowed next to `{key}`")));
    }
    Ok(Some(name))
}

/// The value of a tree; `None` if omitted.
///
/// A tree is no deeper than the definition that it is a part of. Those of variables in variables count together.
pub(in crate::types) fn evaluate(tree: &Json, engine: &Engine, scope: &Scope) -> Result<Option<Json>> {
    match scope.evaluation() {
        Some(meter) => meter.deeper(|| part(tree, engine, scope)),
        None => part(tree, engine, scope),
    }
}

fn part(tree: &Json, engine: &Engine, scope: &Scope) -> Result<Option<Json>> {
    match tree {
        Json::String(template) => engine.text(template, scope).map(|text| Some(Json::String(text))),
        Json::Array(items) => {
            keep(&Json::Null, scope)?;
            let items = items.iter().filter_map(|item| evaluate(item, engine, scope).transpose());
            items.collect::<Result<_>>().map(|items| Some(Json::Array(items)))
        }
        Json::Object(map) => match directive(map)? {
            Some(name) => evaluate_directive(name, map, engine, scope),
            None => evaluate_object(map, engine, scope).map(Some),
        },
        plain => {
            keep(plain, scope)?;
            Ok(Some(plain.clone()))
        }
    }
}

/// Takes the cost of a value that stays.
fn keep(value: &Json, scope: &Scope) -> Result<()> {
    let (meter, bytes) = (scope.meter(), size(value));
    meter.text(bytes)?;
    meter.keep(bytes)
}

fn evaluate_object(map: &Map<String, Json>, engine: &Engine, scope: &Scope) -> Result<Json> {
    let mut out = Map::new();
    keep(&Json::Null, scope)?;
    for (key, tree) in map {
        if let Some(value) = evaluate(tree, engine, scope).context(|| format!("`{key}`"))? {
            scope.meter().keep(key_size(key))?;
            out.insert(key.clone(), value);
        }
    }
    Ok(Json::Object(out))
}

fn evaluate_directive(name: &str, map: &Map<String, Json>, engine: &Engine, scope: &Scope) -> Result<Option<Json>> {
    let argument = map.get(name).unwrap_or(&Json::Null);
    if name == "$pick" {
        return evaluate_pick(argument, engine, scope).map(Some);
    }
    let expression = expression(name, argument)?;
    match name {
        "$expr" => engine.json(expression, scope).map(Some),
        "$opt" => {
            let value = engine.json(expression, scope)?;
            Ok(Some(value).filter(|v| !is_blank(v)))
        }
        "$each" => evaluate_each(expression, map, engine, scope).map(Some),
        _ => {
            let branch = if engine.truth(expression, scope)? { "value" } else { "else" };
            map.get(branch).map_or(Ok(None), |tree| evaluate(tree, engine, scope))
        }
    }
}

fn expression<'a>(name: &str, argument: &'a Json) -> Result<&'a str> {
    argument.as_str().ok_or_else(|| Error::invalid(format!("`{name}` takes an expression, a string")))
}

fn evaluate_each(expression: &str, map: &Map<String, Json>, engine: &Engine, scope: &Scope) -> Result<Json> {
    let name = map.get("as").and_then(Json::as_str).unwrap_or("item");
    let items = engine.items(expression, scope)?;
    keep(&Json::Null, scope)?;
    let tree = map.get("value").ok_or_else(|| Error::invalid("`$each` needs a `value`"))?;
    let out = items.iter().filter_map(|item| evaluate(tree, engine, &scope.with(name, item.clone())).transpose());
    out.collect::<Result<_>>().map(Json::Array)
}

fn evaluate_pick(argument: &Json, engine: &Engine, scope: &Scope) -> Result<Json> {
    let bad = || Error::invalid("`$pick` takes `from`, one or more expressions, and `fields`, a list");
    let map = argument.as_object().ok_or_else(bad)?;
    if let Some(other) = map.keys().find(|k| !PICK.contains(&k.as_str())) {
        let near = nearest(other, PICK).map(|n| format!("; did you mean `{n}`")).unwrap_or_default();
        return Err(Error::invalid(format!("`{other}` is not a key of `$pick`{near}")));
    }
    let fields = map.get("fields").and_then(Json::as_array).ok_or_else(bad)?;
    let omit = map.get("omitEmpty").and_then(Json::as_bool).unwrap_or(false);
    let sources = sources(map).ok_or_else(bad)?;
    let mut merged = Json::Null;
    for from in sources {
        merge_into(&mut merged, engine.json(from, scope)?);
    }
    project_fields(&merged, fields, omit, scope)
}

/// The expressions of a `$pick`.
pub(in crate::types) fn sources(pick: &Map<String, Json>) -> Option<Vec<&str>> {
    match pick.get("from")? {
        Json::String(one) => Some(vec![one]),
        Json::Array(many) => many.iter().map(Json::as_str).collect(),
        _ => None,
    }
}

/// Merges objects; values of `later` win.
fn merge_into(into: &mut Json, later: Json) {
    match (into, later) {
        (_, Json::Null) => {}
        (Json::Object(into), Json::Object(later)) => into.extend(later.into_iter().filter(|(_, v)| !v.is_null())),
        (into, later) => *into = later,
    }
}

/// Selected fields of an object, or of every object in a list. `name!` keeps an empty field, and gives a missing one as
/// an empty string; `{name: [fields]}` selects within it.
fn project_fields(value: &Json, fields: &[Json], omit: bool, scope: &Scope) -> Result<Json> {
    keep(&Json::Null, scope)?;
    if let Json::Array(items) = value {
        return items.iter().map(|item| project_fields(item, fields, omit, scope)).collect();
    }
    let mut out = Map::new();
    for field in fields {
        let (name, inner) = match field {
            Json::String(name) => (name.as_str(), None),
            Json::Object(map) if map.len() == 1 => {
                map.iter().next().map(|(k, v)| (k.as_str(), Some(v))).unwrap_or_default()
            }
            _ => return Err(Error::invalid("a field of `$pick` must be a name, or one name with a list")),
        };
        let (name, forced) = name.strip_suffix('!').map_or((name, false), |n| (n, true));
        scope.meter().text(name.len())?;
        let found = match value.get(name).unwrap_or(&Json::Null) {
            Json::Null if !forced => continue,
            found => project(found, inner, omit, scope)?,
        };
        if forced || !omit || !is_empty(&found) {
            scope.meter().keep(key_size(name))?;
            out.insert(name.into(), found);
        }
    }
    Ok(Json::Object(out))
}

/// A field, or what is selected within it.
fn project(found: &Json, inner: Option<&Json>, omit: bool, scope: &Scope) -> Result<Json> {
    match (found, inner.and_then(Json::as_array)) {
        (Json::Null, _) => keep(found, scope).map(|()| "".into()),
        (_, Some(inner)) => project_fields(found, inner, omit, scope),
        (_, None) => keep(found, scope).map(|()| found.clone()),
    }
}

/// Whether `$opt` omits the value.
fn is_blank(value: &Json) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// Whether Go's `omitempty` omits the value: false, zero, and empty strings, lists and maps.
fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(b) => !b,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.is_empty(),
    }
}
