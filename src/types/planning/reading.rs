//! A source being read: its documents and sets so far, and their names in expressions.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use serde_json::Value as Json;

use super::{
    files::file_value,
    inputs::Inputs,
    params,
    vars::{Variables, vars},
};
use crate::{
    error::{Error, Result},
    source::{Document, Member, MemberKind, Source, relative},
    types::{
        definition::{
            Definition,
            many::{Expression, Strings, Template},
            texts::below,
        },
        language::{
            expr::Engine,
            schema::Schema,
            scope::{Scope, unknown_name},
            values::Value,
        },
    },
};

/// A source being read.
#[derive(Clone)]
pub(super) struct Reading<'a> {
    pub(super) definition: &'a Definition,
    pub(super) engine: &'a Engine,
    pub(super) source: &'a Source,
    pub(super) inputs: &'a Inputs,
    pub(super) form: String,
    pub(super) scope: Scope,
    documents: Arc<BTreeMap<String, Option<Read>>>,
    /// Each is shared: a member of an index replaces one of them.
    sets: Arc<BTreeMap<String, Arc<Vec<Member>>>>,
    /// The paths of the sets, as expression values.
    paths: BTreeMap<Arc<str>, Value>,
    vars: Arc<Variables>,
    /// Warnings about documents and parts.
    pub(super) warnings: Vec<String>,
    /// In a member of an index: the member's set, and that set's directory.
    pub(super) member: Option<(String, String)>,
}

/// A document after reading.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) value: Json,
    /// The positions of its parts; decks have none.
    pub(super) document: Option<Document>,
    /// The bytes of its file, as far as they count.
    pub(super) text: usize,
    /// What its value takes in memory, in bytes.
    pub(super) held: usize,
}

impl<'a> Reading<'a> {
    /// A source without documents and sets.
    pub(super) fn new(
        definition: &'a Definition,
        engine: &'a Engine,
        source: &'a Source,
        inputs: &'a Inputs,
        form: &str,
    ) -> Result<Self> {
        let values = params::values(&definition.params, &inputs.set)?;
        let given = inputs.annotations.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
        let given = Value::pairs(given);
        let names = [
            ("source", source_value(source)),
            ("form", Value::from(form)),
            ("params", params::to_value(&definition.params, &values)),
            ("now", Value::optional(inputs.now.map(rfc3339).transpose()?)),
            ("cli", Value::pairs([("annotations", given)])),
        ];
        let scope = Scope::default().with_all(names.map(|(name, value)| (name.to_owned(), value)));
        let (documents, sets, paths, member, warnings) = Default::default();
        let (form, vars) = (form.to_owned(), Arc::new(Variables::new(&definition.vars)));
        Ok(Self { definition, engine, source, inputs, form, scope, documents, sets, paths, vars, warnings, member })
    }

    /// Adds a document and its value in expressions.
    pub(super) fn add_document(&mut self, name: &str, value: Value, read: Option<Read>) {
        let read_warnings = read.iter().filter_map(|read| read.document.as_ref()).flat_map(|read| &read.warnings);
        self.warnings.extend(read_warnings.cloned());
        self.scope = self.scope.with(name, value);
        Arc::make_mut(&mut self.documents).insert(name.into(), read);
    }

    /// Adds a set, or replaces it.
    pub(super) fn add_set(&mut self, name: &str, members: Vec<Member>) {
        self.scope.account().has_files(members.len());
        // As lists of paths. The reading order ensures that expressions name only sets read before.
        let paths: Value = members.iter().map(|member| Value::from(member.path.as_str())).collect();
        self.paths.insert(name.into(), paths.shaped(Some(Schema::array())));
        Arc::make_mut(&mut self.sets).insert(name.into(), Arc::new(members));
        self.scope = self.scope.with("sets", Value::pairs(self.paths.clone()));
    }

    /// Adds the variables, which see the current names.
    pub(super) fn with_vars(mut self) -> Self {
        self.scope = self.scope.with("vars", vars(&self.vars, self.engine, &self.scope));
        self
    }

    /// Adds a name.
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        Self { scope: self.scope.with(name, value), ..self.clone() }.with_vars()
    }

    /// Adds names.
    pub(super) fn with_all(&self, names: Vec<(String, Value)>) -> Self {
        Self { scope: self.scope.with_all(names), ..self.clone() }.with_vars()
    }

    /// Whether `forms` includes this form; no forms means all.
    pub(super) fn has_form(&self, forms: &[String]) -> bool {
        forms.is_empty() || forms.contains(&self.form)
    }

    pub(super) fn text(&self, template: &Template) -> Result<String> {
        self.engine.text(&template.0, &self.scope)
    }

    /// The text of an optional template.
    pub(super) fn optional_text(&self, template: Option<&Template>) -> Result<Option<String>> {
        template.map(|template| self.text(template)).transpose()
    }

    pub(super) fn json(&self, expression: &Expression) -> Result<Json> {
        self.engine.json(&expression.0, &self.scope)
    }

    pub(super) fn truth(&self, expression: &Expression) -> Result<bool> {
        self.engine.truth(&expression.0, &self.scope)
    }

    /// Whether an optional condition is true; without one, it is.
    pub(super) fn holds(&self, condition: Option<&Expression>) -> Result<bool> {
        condition.map_or(Ok(true), |condition| self.truth(condition))
    }

    pub(super) fn strings(&self, strings: &Strings) -> Result<Vec<String>> {
        match strings {
            Strings::List(items) => items.iter().map(|item| self.engine.text(item, &self.scope)).collect(),
            Strings::Expression(expression) => self.list(expression),
        }
    }

    /// The list of strings from an expression, without blank ones.
    pub(super) fn list(&self, expression: &str) -> Result<Vec<String>> {
        let bad = || Error::invalid(format!("`{expression}` is not a list of strings"));
        match self.engine.json(expression, &self.scope)? {
            Json::Null => Ok(Vec::new()),
            Json::Array(items) => {
                let items = items.into_iter().filter(|item| !item.is_null());
                items.map(|item| item.as_str().map(str::to_owned).ok_or_else(bad)).collect()
            }
            _ => Err(bad()),
        }
    }

    /// The members of a set.
    pub(super) fn set(&self, name: &str) -> Result<&[Member]> {
        self.sets.get(name).map(|members| members.as_slice()).ok_or_else(|| {
            let known = self.definition.source.sets.keys().map(String::as_str);
            Error::invalid(unknown_name("the set", name, known))
        })
    }

    /// The members of an index, the files of a set or the direct children of a `dir` set; each with the part of the set
    /// that belongs to it, itself and what is below it, as places in the set.
    pub(super) fn members_of(&self, name: &str) -> Result<Vec<(Member, Vec<usize>)>> {
        let (set, dir) = (self.set(name)?, self.dir_of(name)?);
        let whole = self.definition.source.sets.get(name).is_none_or(|rule| rule.dir.is_none());
        let inside = |member: &&Member| {
            let inner = member.path.strip_prefix(&dir).unwrap_or(&member.path).trim_start_matches('/');
            whole || !inner.contains('/')
        };
        let mut members: Vec<(Member, Vec<usize>)> =
            set.iter().filter(inside).map(|member| (member.clone(), Vec::new())).collect();
        let places: HashMap<String, usize> =
            members.iter().enumerate().map(|(at, (member, _))| (member.path.clone(), at)).collect();
        for (place, file) in set.iter().enumerate() {
            let ends = file.path.match_indices('/').map(|(at, _)| at).chain([file.path.len()]);
            for end in ends {
                self.scope.account().take(1)?;
                let at = file.path.get(..end).and_then(|above| places.get(above));
                if let Some((_, own)) = at.and_then(|at| members.get_mut(*at)) {
                    own.push(place);
                }
            }
        }
        Ok(members)
    }

    /// The reading for one member of an index: the set holds only the member's files, and `member` is its name.
    pub(super) fn for_member(&self, set: &str, member: &Member, places: &[usize]) -> Result<Self> {
        let all = self.set(set)?;
        let mut own: Vec<Member> = places.iter().filter_map(|place| all.get(*place).cloned()).collect();
        let (mut reading, mut dir) = (self.clone(), self.dir_of(set)?);
        if member.kind == MemberKind::Directory {
            own.retain(|other| other.path != member.path);
            dir.clone_from(&member.path);
        }
        reading.member = Some((set.to_owned(), dir));
        reading.add_set(set, own);
        Ok(reading.with("member", file_value(member)))
    }

    /// The directory of a set, the prefix of its members' paths.
    pub(super) fn dir_of(&self, name: &str) -> Result<String> {
        if let Some((_, dir)) = self.member.as_ref().filter(|(set, _)| set == name) {
            return Ok(dir.clone());
        }
        let dir = self.definition.source.sets.get(name).and_then(|set| set.dir.as_ref());
        let dir = self.optional_text(dir)?.unwrap_or_default();
        if dir.is_empty() { Ok(dir) } else { relative(&dir) }
    }

    /// A document after reading.
    pub(super) fn document(&self, name: &str) -> Option<&Read> {
        self.documents.get(name)?.as_ref()
    }

    /// All documents so far.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Read> {
        self.documents.values().flatten()
    }

    /// The position at which a document names this file, `file:line:column`.
    pub(super) fn position_of(&self, text: &str) -> Option<String> {
        self.documents().find_map(|read| {
            let pointer = find_text(&read.value, text, String::new())?;
            read.document.as_ref().map(|d| d.place(&pointer))
        })
    }
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({}, {})", self.source, self.form)
    }
}

/// The pointer to the first string in this value that equals `text`.
fn find_text(value: &Json, text: &str, at: String) -> Option<String> {
    match value {
        Json::String(s) => (s == text).then_some(at),
        Json::Array(items) => items.iter().enumerate().find_map(|(i, v)| find_text(v, text, format!("{at}/{i}"))),
        Json::Object(map) => map.iter().find_map(|(k, v)| find_text(v, text, below(&at, k))),
        _ => None,
    }
}

/// The source as an expression value.
fn source_value(source: &Source) -> Value {
    let file = source.file();
    Value::pairs([
        ("path", Value::from(file.unwrap_or("."))),
        ("name", Value::from(source.name())),
        ("directory", Value::from(file.is_none())),
    ])
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(seconds: i64) -> Result<String> {
    let time = jiff::Timestamp::from_second(seconds);
    time.map(|t| t.to_string()).map_err(|_| Error::invalid(format!("{seconds} seconds since 1970 is out of range")))
}
