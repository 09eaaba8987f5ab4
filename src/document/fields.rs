//! The keys of Go's structs: without an equal one, a field has the key that differs only in case, as in
//! `encoding/json`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    coerce::target,
    node::{Key, Kind, Node},
};

/// Renames keys to the fields that they are for, by the properties of a schema. Of several keys for one field, the
/// greatest in byte order counts: Go sorts them and takes the last.
pub(super) fn rename(root: &mut Node, schema: &Value) {
    Fields { schema, folded: HashMap::new() }.node(root, Some(target(schema, Some(schema))));
}

struct Fields<'a> {
    schema: &'a Value,
    /// The properties of each part of the schema, by their folded names.
    folded: HashMap<usize, HashMap<String, &'a str>>,
}

impl<'a> Fields<'a> {
    fn node(&mut self, node: &mut Node, schema: Option<&'a Value>) {
        let Some(schema) = schema else { return };
        match &mut node.kind {
            Kind::Scalar(_) => {}
            Kind::List(items) => {
                let inner = self.child(schema.get("items"));
                items.iter_mut().for_each(|item| self.node(item, inner));
            }
            Kind::Map(entries) => self.map(entries, schema),
        }
    }

    fn map(&mut self, entries: &mut Vec<(Key, Node)>, schema: &'a Value) {
        let properties = schema.get("properties");
        let mut taken: HashMap<&'a str, usize> = HashMap::new();
        let mut beaten = HashSet::new();
        for at in 0..entries.len() {
            let Some(field) = entries.get(at).and_then(|(key, _)| self.field(schema, &key.name)) else { continue };
            let Some(first) = taken.insert(field, at) else { continue };
            let wins = entries.get(first).map(|(key, _)| &key.name) < entries.get(at).map(|(key, _)| &key.name);
            beaten.insert(if wins { first } else { at });
            if !wins {
                taken.insert(field, first);
            }
        }
        for (field, at) in taken {
            entries.get_mut(at).into_iter().for_each(|(key, _)| field.clone_into(&mut key.name));
        }
        let mut at = 0..;
        entries.retain(|_| at.next().is_none_or(|at| !beaten.contains(&at)));
        let free = self.child(schema.get("additionalProperties"));
        for (key, node) in entries {
            let inner = self.child(properties.and_then(|properties| properties.get(&key.name))).or(free);
            self.node(node, inner);
        }
    }

    /// The property that a key is for.
    fn field(&mut self, schema: &'a Value, key: &str) -> Option<&'a str> {
        let properties = schema.get("properties")?.as_object()?;
        if let Some((name, _)) = properties.get_key_value(key) {
            return Some(name);
        }
        let all = self.folded.entry(std::ptr::from_ref(schema).addr()).or_insert_with(|| {
            let names = properties.keys().rev();
            names.map(|name| (folded(name), name.as_str())).collect()
        });
        all.get(&folded(key)).copied()
    }

    fn child(&self, schema: Option<&'a Value>) -> Option<&'a Value> {
        schema.filter(|s| s.is_object()).map(|s| target(s, Some(self.schema)))
    }
}

/// A key without its case, as Go folds it: also the signs for kelvin and the long s are letters.
fn folded(key: &str) -> String {
    key.chars().flat_map(char::to_lowercase).map(|c| if c == 'ſ' { 's' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Document, Options, Position, Scalars};

    fn read(text: &str, scalars: Scalars) -> Document {
        let schema = json!({"properties": {
            "name": {"type": "string"},
            "apiVersion": {"type": "string"},
            "people": {"items": {"$ref": "#/$defs/person"}},
            "free": {"additionalProperties": {"type": "string"}},
        }, "$defs": {"person": {"properties": {"email": {"type": "string"}}}}});
        let options = Options { scalars, schema: Some(&schema), ..Options::default() };
        Document::parse(text.as_bytes(), "x", &options).unwrap()
    }

    fn go(text: &str) -> Value {
        read(text, Scalars::GoYaml).value
    }

    #[test]
    fn a_key_in_other_letters_is_the_field_at_every_depth() {
        assert_eq!(
            go("NAME: 1.0\nPeople: [{EMAIL: 2}, {eMail: b}]\nother: 1\n"),
            json!({"name": "1", "people": [{"email": "2"}, {"email": "b"}], "other": 1})
        );
        assert_eq!(go("free: {Name: a, NAME: b}\n"), json!({"free": {"NAME": "b", "Name": "a"}}));
        assert_eq!(read("NAME: a\n", Scalars::Strict).value, json!({"NAME": "a"}));
    }

    #[test]
    fn of_two_spellings_the_one_that_go_sorts_last_counts() {
        assert_eq!(go("name: a\nName: b\nNAME: c\n"), json!({"name": "a"}));
        assert_eq!(go("apiversion: a\napiVersion: b\n"), json!({"apiVersion": "a"}));
        assert_eq!(go("APIVersion: a\napiversion: c\napiVersion: b\nx: 1\n"), json!({"apiVersion": "c", "x": 1}));
    }

    #[test]
    fn a_renamed_key_keeps_its_place() {
        let document = read("x: 1\nNAME: a\n", Scalars::GoYaml);
        assert_eq!(document.position("/name"), Some(Position { line: 2, column: 7 }));
    }
}
