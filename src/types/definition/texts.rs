//! The texts of a definition with their meaning and position: evaluated texts, media types, and names of parts that
//! other sections define. Every section lists its own texts, next to the field; the keys of typed values are data and
//! have no meaning. Checks, lint and the reading order all use this list.

use serde_json::{Map, Value as Json};

use super::many::{Expression, Many, Strings, Template};

/// One or several texts with a meaning.
#[derive(Debug, Clone, Copy)]
pub(in crate::types) enum Text<'a> {
    /// A string with optional `{{ … }}`.
    Template(&'a str),
    /// A media type, or a template for one.
    MediaType(&'a str),
    /// An expression.
    Expression(&'a str),
    /// A typed value.
    Value(&'a Json),
    /// Typed values by name.
    Values(&'a Map<String, Json>),
    /// The name of a part that another section defines.
    Name(Part, &'a str),
}

/// The kind of a named part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::types) enum Part {
    /// A set of `source`.
    Set,
    /// A document of `source`.
    Document,
    /// A form of `detect`.
    Form,
    /// A role of `accept`; `*` for all.
    Role,
}

/// The texts of a part of a definition, each with its JSON pointer.
#[derive(Debug)]
pub(in crate::types) struct Texts<'a> {
    at: String,
    pub(in crate::types) found: Vec<(String, Text<'a>)>,
}

impl<'a> Texts<'a> {
    /// An empty collection for the part at this pointer.
    pub(in crate::types) fn at(pointer: impl Into<String>) -> Self {
        Self { at: pointer.into(), found: Vec::new() }
    }

    /// Adds the texts of the part with this key.
    pub(in crate::types) fn part(&mut self, key: impl std::fmt::Display, texts: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        self.at = below(&self.at, &key.to_string());
        texts(self);
        self.at.truncate(length);
    }

    fn put(&mut self, key: &str, text: Text<'a>) {
        self.found.push((below(&self.at, key), text));
    }

    pub(in crate::types) fn template(&mut self, key: &str, template: impl Into<Option<&'a Template>>) {
        template.into().into_iter().for_each(|template| self.put(key, Text::Template(&template.0)));
    }

    /// Adds a template for a media type.
    pub(in crate::types) fn media_type(&mut self, key: &str, template: Option<&'a Template>) {
        template.into_iter().for_each(|template| self.put(key, Text::MediaType(&template.0)));
    }

    /// Adds literal media types.
    pub(in crate::types) fn media_types(&mut self, key: &str, all: &'a Many<String>) {
        all.0.iter().for_each(|one| self.put(key, Text::MediaType(one)));
    }

    /// Adds names of parts that other sections define.
    pub(in crate::types) fn names(&mut self, key: &str, of: Part, names: impl IntoIterator<Item = &'a String>) {
        names.into_iter().for_each(|name| self.put(key, Text::Name(of, name)));
    }

    pub(in crate::types) fn expression(&mut self, key: &str, expression: impl Into<Option<&'a Expression>>) {
        expression.into().into_iter().for_each(|expression| self.put(key, Text::Expression(&expression.0)));
    }

    pub(in crate::types) fn strings(&mut self, key: &str, strings: Option<&'a Strings>) {
        match strings {
            None => {}
            Some(Strings::Expression(expression)) => self.put(key, Text::Expression(expression)),
            Some(Strings::List(items)) => self.part(key, |texts| {
                items.iter().enumerate().for_each(|(i, item)| texts.put(&i.to_string(), Text::Template(item)));
            }),
        }
    }

    pub(in crate::types) fn value(&mut self, key: &str, value: Option<&'a Json>) {
        value.into_iter().for_each(|value| self.put(key, Text::Value(value)));
    }

    pub(in crate::types) fn values(&mut self, key: &str, values: &'a Map<String, Json>) {
        self.put(key, Text::Values(values));
    }
}

/// The pointer to a key below another (RFC 6901).
pub(in crate::types) fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::*;
    use crate::types::definition::Definition;

    /// Where the schema of definitions, the one that the structs give, has a template, an expression or either.
    fn of_the_schema(schema: &Json, node: &Json, at: &str, found: &mut BTreeSet<String>) {
        if let Some(name) = node.get("$ref").and_then(|r| r.as_str()?.rsplit('/').next()) {
            return match name {
                "Template" | "Expression" | "Strings" => _ = found.insert(at.to_owned()),
                // Older shapes hold the same as newer ones.
                "Accept" => {}
                _ => of_the_schema(schema, &schema["$defs"][name], at, found),
            };
        }
        for (key, inner) in node["properties"].as_object().into_iter().flatten() {
            of_the_schema(schema, inner, &below(at, key), found);
        }
        for key in ["items", "additionalProperties"] {
            node.get(key).into_iter().for_each(|inner| of_the_schema(schema, inner, &below(at, "0"), found));
        }
        for inner in node["anyOf"].as_array().into_iter().flatten() {
            of_the_schema(schema, inner, at, found);
        }
    }

    /// Every key of a definition that holds a text, names of other parts included; they need not go together.
    fn full() -> Definition {
        let rule = json!({"layer": "role", "when": "x", "write": "x", "extract": {"to": "x", "root": "x"}});
        let assertion = json!({"when": "x", "that": "x", "message": "x"});
        let definition = json!({
            "apiVersion": "artifact-type/v1", "kind": "ArtifactType", "metadata": {"name": "full"},
            "source": {
                "sets": {"0": {"forms": ["form"], "when": "x", "path": "x", "list": "x", "dir": "x", "globs": "x",
                    "include": "x", "exclude": "x"}},
                "documents": {"0": {"forms": ["form"], "path": "x", "inside": {"forms": ["form"], "archive": "x"},
                    "set": "set", "repeated": ["form"]}},
                "parts": {"0": {"dir": "x", "set": "set", "inside": {"forms": ["form"], "archive": "x"}}},
            },
            "layers": {"items": [{"id": "x", "forms": ["form"], "when": "x", "each": ["set"], "mediaType": "x",
                "raw": "set", "tar": {"set": "set", "root": "x"}, "text": "x", "compress": "x", "title": "x"}]},
            "config": {"forms": ["form"], "mediaType": "x", "raw": "set", "document": "document"},
            "manifest": {"artifactType": "x", "annotations": [{"when": "x", "merge": "x"}]},
            "index": {"each": "set", "platform": "x"},
            "reference": {"appendRepository": "x", "tag": "x", "strict": "x", "assert": [assertion]},
            "validate": [{"forms": ["form"], "when": "x", "that": "x", "message": "x"}],
            "unpack": {"native": [rule], "tree": [rule]},
        });
        serde_json::from_value(definition).unwrap()
    }

    #[test]
    fn every_template_and_expression_of_the_structs_is_listed() {
        let schema: Json = serde_json::from_str(&crate::types::schema().unwrap()).unwrap();
        let mut wanted = BTreeSet::new();
        of_the_schema(&schema, &schema, "", &mut wanted);
        // The section may be one config or a list of them.
        wanted.retain(|at| !at.starts_with("/config/0"));
        assert!(wanted.len() > 30, "{wanted:?}");
        let definition = full();
        let evaluated = |text: &Text<'_>| matches!(text, Text::Template(_) | Text::MediaType(_) | Text::Expression(_));
        let listed: BTreeSet<String> =
            definition.all_texts().filter(|(_, text)| evaluated(text)).map(|(at, _)| at).collect();
        assert_eq!(listed, wanted);
    }

    #[test]
    fn every_name_of_another_part_is_listed_as_what_it_is() {
        let definition = full();
        let mut found = BTreeMap::new();
        for (_, text) in definition.all_texts() {
            if let Text::Name(part, name) = text {
                assert_eq!(format!("{part:?}").to_lowercase(), name);
                *found.entry(name).or_insert(0) += 1;
            }
        }
        assert_eq!(found, BTreeMap::from([("set", 7), ("document", 1), ("form", 8), ("role", 2)]));
    }
}
