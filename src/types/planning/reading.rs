//! A source being read by a type: documents and sets in the order of what they need, and the names they give.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use minijinja::{
    Value,
    value::{Enumerator, Object},
};
use serde_json::{Map, Value as Json};

use super::{documents::Read, params, sets::paths};
use crate::{
    error::{Context as _, Error, Result},
    source::{Member, MemberKind, Source},
    types::{
        Inputs,
        check::used_names,
        definition::{
            Definition,
            many::{Expression, Strings, Template},
            texts::Texts,
        },
        language::{
            expr::Engine,
            scope::{Scope, unknown_name},
            typed, values,
        },
    },
};

/// A source being read.
#[derive(Clone)]
pub(in crate::types) struct Reading<'a> {
    pub(super) definition: &'a Definition,
    pub(super) engine: &'a Engine,
    pub(in crate::types) source: &'a Source,
    pub(super) inputs: &'a Inputs,
    pub(in crate::types) form: String,
    pub(in crate::types) scope: Scope,
    documents: Arc<BTreeMap<String, Option<Read>>>,
    sets: Arc<BTreeMap<String, Vec<Member>>>,
    /// Of a member of an index: the set that it is of, and where that begins here.
    pub(super) member: Option<(String, String)>,
}

impl<'a> Reading<'a> {
    /// Reads all documents and sets of this form.
    pub(in crate::types) fn new(
        definition: &'a Definition,
        engine: &'a Engine,
        source: &'a Source,
        inputs: &'a Inputs,
        form: String,
    ) -> Result<Self> {
        let values = params::values(&definition.params, &inputs.set)?;
        let names = [
            ("source", describe(source)),
            ("form", Value::from(form.as_str())),
            ("params", params::to_value(&definition.params, &values)),
            ("now", inputs.now.map(time).transpose()?.map_or(Value::from(()), Value::from)),
            ("cli", Value::from_pairs([("annotations", Value::from_pairs(inputs.annotations.clone()))])),
        ];
        let scope = Scope::default().with_all(names.map(|(name, value)| (name.to_owned(), value)));
        let (documents, sets, member) = Default::default();
        let mut reading = Self { definition, engine, source, inputs, form, scope, documents, sets, member };
        for step in steps(definition, engine)? {
            reading.take(step)?;
        }
        reading.scope = reading.scope.with("vars", vars(&definition.vars, engine, &reading.scope));
        Ok(reading)
    }

    fn take(&mut self, step: Input<'_>) -> Result<()> {
        match step {
            Input::Document(name) => {
                let Some(rule) = self.definition.source.documents.get(name) else { return Ok(()) };
                let read = rule.read(self)?;
                self.scope = self.scope.with(name, rule.to_value(read.as_ref()));
                Arc::make_mut(&mut self.documents).insert(name.into(), read);
            }
            Input::Set(name) => {
                let Some(rule) = self.definition.source.sets.get(name) else { return Ok(()) };
                let members = rule.read(self).context(|| format!("set `{name}`"))?;
                Arc::make_mut(&mut self.sets).insert(name.into(), members);
                self.scope = self.scope.with("sets", self.sets_value());
            }
        }
        Ok(())
    }

    /// Sets as lists of paths; one that is not read yet cannot be named, the steps see to that.
    fn sets_value(&self) -> Value {
        Value::from_pairs(self.sets.iter().map(|(name, members)| {
            let paths: Json = members.iter().map(|m| m.path.as_str()).collect();
            (name.clone(), values::view(&paths, Some(&Json::Object(Map::new()))))
        }))
    }

    /// The same, with one more name.
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        let mut inner = Self { scope: self.scope.with(name, value), ..self.clone() };
        inner.scope = inner.scope.with("vars", vars(&self.definition.vars, self.engine, &inner.scope));
        inner
    }

    /// The same, with more names.
    pub(in crate::types) fn with_all(&self, names: Vec<(String, Value)>) -> Self {
        let mut inner = Self { scope: self.scope.with_all(names), ..self.clone() };
        inner.scope = inner.scope.with("vars", vars(&self.definition.vars, self.engine, &inner.scope));
        inner
    }

    pub(super) fn text(&self, template: &Template) -> Result<String> {
        self.engine.text(&template.0, &self.scope)
    }

    pub(super) fn value(&self, expression: &Expression) -> Result<Value> {
        self.engine.value(&expression.0, &self.scope)
    }

    pub(super) fn truth(&self, expression: &Expression) -> Result<bool> {
        self.engine.truth(&expression.0, &self.scope)
    }

    pub(super) fn strings(&self, strings: &Strings) -> Result<Vec<String>> {
        match strings {
            Strings::List(items) => items.iter().map(|item| self.engine.text(item, &self.scope)).collect(),
            Strings::Expression(e) => paths(&self.engine.value(e, &self.scope)?, e),
        }
    }

    /// The members of a set.
    pub(in crate::types) fn set(&self, name: &str) -> Result<&[Member]> {
        self.sets.get(name).map(Vec::as_slice).ok_or_else(|| {
            let known = self.definition.source.sets.keys().map(String::as_str);
            Error::invalid(unknown_name("the set", name, known))
        })
    }

    /// What an index has members for: the files of a set, and of one that is a directory what lies in that.
    pub(super) fn members_of(&self, name: &str) -> Result<Vec<Member>> {
        let (set, dir) = (self.set(name)?, self.dir_of(name)?);
        if self.definition.source.sets.get(name).is_none_or(|rule| rule.dir.is_none()) {
            return Ok(set.to_vec());
        }
        let inside = |member: &&Member| !inner(&member.path, &dir).contains('/');
        Ok(set.iter().filter(inside).cloned().collect())
    }

    /// The same for one of those: the set holds what belongs to it, and it is `member`.
    pub(super) fn for_member(&self, set: &str, member: &Member) -> Result<Self> {
        let below = format!("{}/", member.path);
        let belongs = |other: &&Member| other.path == member.path || other.path.starts_with(&below);
        let mut own: Vec<Member> = self.set(set)?.iter().filter(belongs).cloned().collect();
        let (mut reading, mut dir) = (self.clone(), self.dir_of(set)?);
        if member.kind == MemberKind::Directory {
            own.retain(|other| other.path != member.path);
            dir.clone_from(&member.path);
        }
        reading.member = Some((set.to_owned(), dir));
        Arc::make_mut(&mut reading.sets).insert(set.to_owned(), own);
        reading.scope = reading.scope.with("sets", reading.sets_value());
        Ok(reading.with("member", super::sets::file_value(member)))
    }

    /// The directory that a set began at: what is in front of the names of its members.
    pub(super) fn dir_of(&self, name: &str) -> Result<String> {
        if let Some((_, dir)) = self.member.as_ref().filter(|(set, _)| set == name) {
            return Ok(dir.clone());
        }
        let dir = self.definition.source.sets.get(name).and_then(|set| set.dir.as_ref());
        let dir = dir.map(|d| self.text(d)).transpose()?.unwrap_or_default();
        if dir.is_empty() { Ok(dir) } else { crate::source::relative(&dir) }
    }

    /// A document that was read.
    pub(super) fn document(&self, name: &str) -> Option<&Read> {
        self.documents.get(name)?.as_ref()
    }

    /// Where a document names this file, as `file:line:column`.
    pub(super) fn position_of(&self, text: &str) -> Option<String> {
        self.documents.values().flatten().find_map(|read| {
            let pointer = find_text(&read.value, text, String::new())?;
            read.document.as_ref().map(|d| d.place(&pointer))
        })
    }
}

/// A path without the directory in front.
fn inner<'a>(path: &'a str, dir: &str) -> &'a str {
    path.strip_prefix(dir).unwrap_or(path).trim_start_matches('/')
}

/// The pointer of the first string in this value that equals a text.
fn find_text(value: &Json, text: &str, at: String) -> Option<String> {
    match value {
        Json::String(s) => (s == text).then_some(at),
        Json::Array(items) => items.iter().enumerate().find_map(|(i, v)| find_text(v, text, format!("{at}/{i}"))),
        Json::Object(map) => map
            .iter()
            .find_map(|(k, v)| find_text(v, text, format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")))),
        _ => None,
    }
}

/// The source as expressions see it.
fn describe(source: &Source) -> Value {
    let file = source.file();
    Value::from_pairs([
        ("path", Value::from(file.unwrap_or("."))),
        ("name", Value::from(source.name())),
        ("directory", Value::from(file.is_none())),
    ])
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn time(seconds: i64) -> Result<String> {
    let time = jiff::Timestamp::from_second(seconds);
    time.map(|t| t.to_string()).map_err(|_| Error::invalid(format!("{seconds} seconds since 1970 is no time")))
}

/// A document or set to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Input<'a> {
    Document(&'a str),
    Set(&'a str),
}

/// All documents and sets, each after those that it names. Errors: they need each other.
fn steps<'a>(definition: &'a Definition, engine: &Engine) -> Result<Vec<Input<'a>>> {
    let mut open: BTreeMap<Input<'a>, BTreeSet<Input<'a>>> = BTreeMap::new();
    for (name, rule) in &definition.source.documents {
        open.insert(Input::Document(name), needs(definition, engine, |texts| rule.texts(texts)));
    }
    for (name, rule) in &definition.source.sets {
        open.insert(Input::Set(name), needs(definition, engine, |texts| rule.texts(texts)));
    }
    let mut steps = Vec::new();
    while !open.is_empty() {
        let Some(next) = open.iter().find(|(_, needs)| needs.iter().all(|n| !open.contains_key(n))) else {
            let names: Vec<_> = open.keys().map(|(Input::Document(n) | Input::Set(n))| format!("`{n}`")).collect();
            return Err(Error::invalid(format!("{} need each other", names.join(" and "))));
        };
        let next = *next.0;
        open.remove(&next);
        steps.push(next);
    }
    Ok(steps)
}

fn needs<'a>(definition: &'a Definition, engine: &Engine, texts: impl FnOnce(&mut Texts<'a>)) -> BTreeSet<Input<'a>> {
    let names = used_names(engine, texts).into_iter();
    let section = &definition.source;
    let step = |name: String| {
        let mut parts = name.split('.');
        let first = parts.next()?;
        if first == "sets" {
            return section.sets.get_key_value(parts.next()?).map(|(n, _)| Input::Set(n));
        }
        section.documents.get_key_value(first).map(|(n, _)| Input::Document(n))
    };
    names.filter_map(step).collect()
}

/// The section `vars`: each is evaluated where it is used, with the names there, and sees those above it.
fn vars(all: &Map<String, Json>, engine: &Engine, scope: &Scope) -> Value {
    if all.is_empty() {
        return values::view(&Json::Object(Map::new()), None);
    }
    Value::from_object(Vars { all: all.clone(), engine: engine.clone(), scope: scope.clone() })
}

struct Vars {
    all: Map<String, Json>,
    engine: Engine,
    scope: Scope,
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.keys()).finish()
    }
}

impl Object for Vars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let tree = self.all.get(name)?;
        let above: Map<String, Json> =
            self.all.iter().take_while(|(k, _)| *k != name).map(|(k, v)| (k.clone(), v.clone())).collect();
        let scope = self.scope.with("vars", vars(&above, &self.engine, &self.scope));
        Some(match typed::evaluate(tree, &self.engine, &scope) {
            Ok(value) => values::view(&value.unwrap_or(Json::Null), None),
            Err(e) => {
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("`vars.{name}`: {e}")).into()
            }
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.all.keys().map(|k| Value::from(k.as_str())).collect())
    }
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reading({}, {})", self.source, self.form)
    }
}
