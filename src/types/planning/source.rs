//! The section `source`: reads documents and sets, in order of their dependencies.

use std::collections::{BTreeMap, BTreeSet};

use super::{inputs::Inputs, parts, reading::Reading};
use crate::{
    error::{Context as _, Error, Result},
    source::Source,
    types::{
        check::used_names,
        definition::{Definition, texts::Texts},
        language::expr::Engine,
    },
};

/// Reads all documents and sets of this form.
pub(super) fn read<'a>(
    definition: &'a Definition,
    engine: &'a Engine,
    source: &'a Source,
    inputs: &'a Inputs,
    form: &str,
) -> Result<Reading<'a>> {
    let mut reading = Reading::new(definition, engine, source, inputs, form)?;
    for input in in_order(definition, engine)? {
        match input {
            Input::Document(name) => {
                let Some(rule) = definition.source.documents.get(name) else { continue };
                let read = rule.read(&reading)?;
                reading.add_document(name, rule.to_value(read.as_ref()), read);
            }
            Input::Set(name) => {
                let Some(rule) = definition.source.sets.get(name) else { continue };
                let members = rule.read(&reading).context(|| format!("set `{name}`"))?;
                reading.add_set(name, members);
            }
        }
    }
    let read = parts::read(&reading)?;
    reading.scope = reading.scope.with("parts", read.value);
    reading.warnings.extend(read.warnings);
    Ok(reading.with_vars())
}

/// A document or set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Input<'a> {
    Document(&'a str),
    Set(&'a str),
}

/// All documents and sets in order of their dependencies. Errors: a cycle.
fn in_order<'a>(definition: &'a Definition, engine: &Engine) -> Result<Vec<Input<'a>>> {
    let mut open: BTreeMap<Input<'a>, BTreeSet<Input<'a>>> = BTreeMap::new();
    for (name, rule) in &definition.source.documents {
        let mut all = needs(definition, engine, |texts| rule.texts(texts));
        all.extend(rule.set.as_deref().map(Input::Set));
        open.insert(Input::Document(name), all);
    }
    for (name, rule) in &definition.source.sets {
        open.insert(Input::Set(name), needs(definition, engine, |texts| rule.texts(texts)));
    }
    let mut order = Vec::new();
    while !open.is_empty() {
        let Some(next) = open.iter().find(|(_, needs)| needs.iter().all(|n| !open.contains_key(n))) else {
            let names: Vec<_> = open.keys().map(|(Input::Document(n) | Input::Set(n))| format!("`{n}`")).collect();
            return Err(Error::invalid(format!("{} depend on each other", names.join(" and "))));
        };
        let next = *next.0;
        open.remove(&next);
        order.push(next);
    }
    Ok(order)
}

/// The documents and sets that these texts name.
fn needs<'a>(definition: &'a Definition, engine: &Engine, texts: impl FnOnce(&mut Texts<'a>)) -> BTreeSet<Input<'a>> {
    let names = used_names(engine, texts).into_iter();
    let section = &definition.source;
    let input = |name: String| {
        let mut parts = name.split('.');
        let first = parts.next()?;
        if first == "sets" {
            return section.sets.get_key_value(parts.next()?).map(|(n, _)| Input::Set(n));
        }
        section.documents.get_key_value(first).map(|(n, _)| Input::Document(n))
    };
    names.filter_map(input).collect()
}
