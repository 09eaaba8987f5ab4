//! Checks the names in expressions, without a source.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::types::{
    definition::{
        Definition,
        texts::{Text, below},
    },
    language::{expr::Engine, scope::unknown_name, typed},
};

/// The known keys of a name.
#[derive(Debug, Clone)]
enum Shape<'a> {
    /// Unknown: any key is allowed.
    Open,
    /// These keys.
    Keys(Vec<&'a str>),
    /// These keys, each with a shape of its own.
    Tree(BTreeMap<&'a str, Shape<'a>>),
    /// The keys in a JSON Schema.
    Schema(&'a Json),
}

type Names<'a> = BTreeMap<&'a str, Shape<'a>>;

/// Errors in templates and expressions and in their names, each with the pointer to the text. Afterwards the engine
/// holds them compiled.
pub(super) fn check(definition: &Definition, engine: &Engine) -> Vec<(String, String)> {
    let mut check = Check { engine, found: Vec::new() };
    let base = base(definition);
    for (section, extra) in sections() {
        let mut names = if section == "unpack" { Names::new() } else { base.clone() };
        names.extend(extra);
        if definition.index.is_some() && OF_A_MEMBER.contains(&section) {
            names.insert("member", Shape::Keys(FILE.to_vec()));
        }
        if section == "source" {
            names.remove("vars");
            names.remove("parts");
        }
        for (pointer, text) in definition.texts(section).found {
            check.text(text, &pointer, &names);
        }
    }
    check.found
}

/// The keys of a file in expressions.
const FILE: [&str; 6] = ["path", "name", "stem", "ext", "mime", "size"];
/// Sections evaluated for each member of an index.
const OF_A_MEMBER: [&str; 6] = ["vars", "config", "layers", "manifest", "index", "validate"];

/// The sections with expressions, each with its own names.
fn sections() -> [(&'static str, Vec<(&'static str, Shape<'static>)>); 9] {
    let file = ("file", Shape::Keys(FILE.to_vec()));
    let quotes = ("layer", Shape::Keys(vec!["digest", "diffId", "size"]));
    let planned = || vec![("layers", Shape::Open), ("layer", Shape::Open)];
    let reference = ("ref", Shape::Keys(vec!["repository", "basename", "tag", "version"]));
    let layer = (
        "layer",
        Shape::Tree(BTreeMap::from([
            ("title", Shape::Open),
            ("mediaType", Shape::Open),
            ("digest", Shape::Open),
            ("annotations", Shape::Open),
        ])),
    );
    [
        ("source", Vec::new()),
        ("vars", [planned(), vec![file.clone()]].concat()),
        ("layers", vec![file, quotes]),
        ("config", planned()),
        ("manifest", planned()),
        ("index", Vec::new()),
        ("reference", [planned(), vec![reference]].concat()),
        ("validate", planned()),
        ("unpack", vec![layer, ("config", Shape::Open)]),
    ]
}

/// The names available in all sections.
fn base(definition: &Definition) -> Names<'_> {
    let keys = |keys: Vec<&'static str>| Shape::Keys(keys);
    let mut names: Names<'_> = BTreeMap::from([
        ("source", keys(vec!["path", "name", "directory"])),
        ("form", keys(Vec::new())),
        ("now", keys(Vec::new())),
        ("params", Shape::Tree(definition.params.keys().map(|k| (k.as_str(), Shape::Open)).collect())),
        ("cli", keys(vec!["annotations"])),
        ("sets", Shape::Keys(definition.source.sets.keys().map(String::as_str).collect())),
        ("vars", Shape::Tree(definition.vars.keys().map(|k| (k.as_str(), Shape::Open)).collect())),
        ("parts", Shape::Tree(definition.source.parts.keys().map(|k| (k.as_str(), Shape::Open)).collect())),
    ]);
    for (name, rule) in &definition.source.documents {
        names.insert(name, rule.shape().map_or(Shape::Open, Shape::Schema));
    }
    names
}

/// Reserved names, which documents cannot have.
pub(super) const RESERVED: [&str; 15] = [
    "source", "form", "now", "params", "cli", "sets", "vars", "parts", "file", "layer", "layers", "ref", "config",
    "item", "member",
];

struct Check<'e> {
    engine: &'e Engine,
    found: Vec<(String, String)>,
}

impl Check<'_> {
    fn text(&mut self, text: Text<'_>, pointer: &str, names: &Names<'_>) {
        match text {
            Text::Template(text) | Text::MediaType(text) => self.names(text, true, pointer, names),
            Text::Expression(text) => self.names(text, false, pointer, names),
            Text::Value(tree) => self.tree(tree, pointer, names),
            Text::Values(map) => self.object(map, pointer, names),
            Text::Name(..) => {}
        }
    }

    /// Checks a typed value.
    fn tree(&mut self, tree: &Json, pointer: &str, names: &Names<'_>) {
        match tree {
            Json::String(text) => self.names(text, true, pointer, names),
            Json::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.tree(item, &format!("{pointer}/{i}"), names);
                }
            }
            Json::Object(map) => self.object(map, pointer, names),
            _ => {}
        }
    }

    fn object(&mut self, map: &Map<String, Json>, pointer: &str, names: &Names<'_>) {
        let directive = match typed::directive(map) {
            Ok(directive) => directive,
            Err(error) => return self.found.push((pointer.to_owned(), error.message().to_owned())),
        };
        let Some(directive) = directive else {
            for (key, value) in map {
                self.tree(value, &below(pointer, key), names);
            }
            return;
        };
        let argument = map.get(directive).unwrap_or(&Json::Null);
        if directive == "$pick" {
            for from in argument.as_object().and_then(typed::sources).into_iter().flatten() {
                self.names(from, false, &format!("{pointer}/$pick/from"), names);
            }
            return;
        }
        let mut inner = names.clone();
        if let Some(expression) = argument.as_str() {
            self.names(expression, false, &below(pointer, directive), names);
            if directive == "$each" {
                let name = map.get("as").and_then(Json::as_str).unwrap_or("item");
                inner.insert(name, items_of(expression, names));
            }
        }
        for (key, value) in map.iter().filter(|(key, _)| matches!(key.as_str(), "value" | "else")) {
            self.tree(value, &below(pointer, key), &inner);
        }
    }

    /// Checks the syntax, then every name.
    fn names(&mut self, source: &str, template: bool, pointer: &str, names: &Names<'_>) {
        let used = match self.engine.names(source, template) {
            Ok(used) => used,
            Err(error) => return self.found.push((pointer.to_owned(), error.message().to_owned())),
        };
        for name in used {
            if let Some(message) = unknown_part(&name, names) {
                self.found.push((pointer.to_owned(), message));
            }
        }
    }
}

/// The shape of the items of a list, if the expression is a plain name.
fn items_of<'a>(list: &str, names: &Names<'a>) -> Shape<'a> {
    let mut parts = list.split('.');
    let mut shape = parts.next().and_then(|first| names.get(first)).cloned();
    for part in parts {
        shape = match shape {
            Some(Shape::Schema(schema)) => schema.get("properties").and_then(|p| p.get(part)).map(Shape::Schema),
            _ => None,
        };
    }
    match shape {
        Some(Shape::Schema(schema)) => schema.get("items").map_or(Shape::Open, Shape::Schema),
        _ => Shape::Open,
    }
}

/// The message about the first undefined part of `a.b.c`.
fn unknown_part(dotted: &str, names: &Names<'_>) -> Option<String> {
    let mut parts = dotted.split('.');
    let first = parts.next()?;
    let Some(shape) = names.get(first) else {
        return Some(unknown_name("the name", first, names.keys().copied()));
    };
    let mut shape = shape.clone();
    for part in parts {
        shape = match shape_behind(&shape, part) {
            Ok(next) => next,
            Err(known) => return Some(unknown_name(&format!("in `{dotted}`, the key"), part, known)),
        };
    }
    None
}

/// The shape of a key. Errors: the known keys, if this is none of them.
fn shape_behind<'a>(shape: &Shape<'a>, key: &str) -> Result<Shape<'a>, Vec<&'a str>> {
    match shape {
        Shape::Open => Ok(Shape::Open),
        Shape::Keys(keys) if keys.contains(&key) => Ok(Shape::Open),
        Shape::Keys(keys) => Err(keys.clone()),
        Shape::Tree(tree) => tree.get(key).cloned().ok_or_else(|| tree.keys().copied().collect()),
        Shape::Schema(schema) => {
            let properties = schema.get("properties").and_then(Json::as_object);
            let others = schema.get("additionalProperties");
            match (properties.and_then(|p| p.get(key)), others, properties) {
                (Some(inner), ..) | (None, Some(inner @ Json::Object(_)), _) => Ok(Shape::Schema(inner)),
                (None, Some(Json::Bool(true)), _) | (None, None, None) => Ok(Shape::Open),
                (None, _, properties) => Err(properties.into_iter().flat_map(Map::keys).map(String::as_str).collect()),
            }
        }
    }
}
