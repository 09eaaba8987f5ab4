//! The section `source.parts`: parts of a source that are themselves sources of the same type.
//!
//! Only the documents are read, and archives in memory. Limits count for all parts together.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    reading::{Read, Reading},
    validate,
};
use crate::{
    error::{Context as _, Error, Result},
    glob::Globs,
    source::{Archive, Limits, MemberKind, escape, relative_globs},
    types::{
        definition::{
            documents::{DocumentFormat, Inside},
            parts::PartsRule,
        },
        language::values::Value,
    },
};

/// Limits of all parts of a source: nesting, and bytes of the archives that are looked through.
const MAX_DEPTH: usize = 16;
const MAX_BYTES: u64 = 1 << 30;
/// Steps that a part costs, whatever is evaluated for it.
const PART: u64 = 100;

/// The parts of a source as an expression value, and the warnings about them.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) value: Value,
    pub(super) warnings: Vec<String>,
}

/// Reads all parts. Errors name the part and its file.
pub(super) fn read(reading: &Reading<'_>) -> Result<Parts> {
    let mut warnings = Vec::new();
    let mut all = Vec::new();
    for (name, rule) in &reading.definition.source.parts {
        let mut walk = Walk::new(name, rule, reading)?;
        let files = walk.own().context(|| format!("parts `{name}`"))?;
        let value = walk.parts(&files, &Place::default())?;
        warnings.extend(walk.warnings);
        all.push((name.as_str(), value));
    }
    Ok(Parts { value: Value::pairs(all), warnings })
}

/// Files of a source or a part: the names of all below the directory of parts, and what is in those that matter.
#[derive(Debug, Default)]
struct Files {
    names: BTreeSet<String>,
    content: BTreeMap<String, Vec<Vec<u8>>>,
}

/// Where a part is.
#[derive(Debug, Clone, Default)]
struct Place {
    /// Its path, for messages.
    path: String,
    depth: usize,
    /// Whether it is in an archive that is finished, and is packed as it is.
    finished: bool,
}

struct Walk<'r, 'a> {
    name: &'r str,
    rule: &'r PartsRule,
    reading: &'r Reading<'a>,
    exclude: Globs,
    archives: Globs,
    /// Paths of the documents.
    documents: BTreeSet<String>,
    most: u64,
    left: u64,
    warnings: Vec<String>,
}

impl<'r, 'a> Walk<'r, 'a> {
    fn new(name: &'r str, rule: &'r PartsRule, reading: &'r Reading<'a>) -> Result<Self> {
        let rules = || reading.definition.source.documents.values().filter(|rule| rule.format != DocumentFormat::Deck);
        let archives: Vec<String> = rule.archives.iter().map(|archives| archives.glob.clone()).collect();
        Ok(Self {
            name,
            rule,
            reading,
            exclude: relative_globs(&rule.exclude)?,
            archives: relative_globs(&archives)?,
            documents: rules().map(|rule| reading.text(&rule.path)).collect::<Result<_>>()?,
            most: rules().map(|rule| rule.limit()).max().unwrap_or_default(),
            left: MAX_BYTES,
            warnings: Vec::new(),
        })
    }

    /// The files of the source itself.
    fn own(&mut self) -> Result<Files> {
        let reading = self.reading;
        let counts = |inside: &&Inside| reading.has_form(&inside.forms);
        if let Some(inside) = self.rule.inside.as_ref().filter(counts) {
            let archive = reading.source.archive(&reading.text(&inside.archive)?, inside.strip)?;
            return self.gather(&archive, inside.limits.to_limits());
        }
        let mut files = Files::default();
        let Some(set) = &self.rule.set else { return Ok(files) };
        let dir = reading.dir_of(set)?;
        for member in reading.set(set)?.iter().filter(|member| member.kind == MemberKind::File) {
            let name = member.path.strip_prefix(&dir).unwrap_or(&member.path).trim_start_matches('/');
            if self.is_below(name)? {
                files.names.insert(name.to_owned());
            }
            if self.matters(name)? {
                files.content.insert(name.to_owned(), vec![reading.source.read(&member.path, self.most)?]);
            }
        }
        Ok(files)
    }

    fn gather(&mut self, archive: &Archive, limits: Limits) -> Result<Files> {
        let limits = Limits { total: limits.total.min(self.left), ..limits };
        let mut names = BTreeSet::new();
        let gathered = archive.gather(limits, self.most, |name| {
            if self.is_below(name)? {
                names.insert(name.to_owned());
            }
            Ok(self.documents.contains(name) || self.matters(name)?)
        })?;
        self.left = self.left.saturating_sub(gathered.total);
        Ok(Files { names, content: gathered.files })
    }

    /// Those of these files that belong to a part.
    fn those_below(&self, names: impl Iterator<Item = String>) -> Result<BTreeSet<String>> {
        let below = |name: String| Ok(self.is_below(&name)?.then_some(name));
        names.filter_map(|name| below(name).transpose()).collect()
    }

    /// The name below the directory of parts.
    fn below<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&self.rule.dir)?.strip_prefix('/')
    }

    /// Whether a file belongs to a part.
    fn is_below(&self, name: &str) -> Result<bool> {
        let Some(inner) = self.below(name) else { return Ok(false) };
        let ends = inner.match_indices('/').map(|(at, _)| at).chain([inner.len()]);
        for path in ends.filter_map(|end| inner.get(..end)) {
            if self.exclude.matches(path, self.reading.source.effort())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a file of a part is read: a document, or an archive.
    fn matters(&self, name: &str) -> Result<bool> {
        let Some(inner) = self.below(name) else { return Ok(false) };
        if !self.is_below(name)? {
            return Ok(false);
        }
        match inner.split_once('/') {
            None => self.archives.matches(inner, self.reading.source.effort()),
            Some((_, rest)) => Ok(self.documents.contains(rest) || self.matters(rest)?),
        }
    }

    /// The parts among these files.
    fn parts(&mut self, files: &Files, place: &Place) -> Result<Value> {
        self.reading.scope.account().has_files(files.names.len());
        let entries: BTreeSet<&str> =
            files.names.iter().filter_map(|name| self.below(name)?.split('/').next()).collect();
        let parts = entries.into_iter().map(|entry| self.part(entry, files, place));
        parts.collect::<Result<Vec<_>>>().map(|parts| parts.into_iter().collect())
    }

    fn part(&mut self, entry: &str, files: &Files, parent: &Place) -> Result<Value> {
        let name = format!("{}/{entry}", self.rule.dir);
        let path = if parent.path.is_empty() { name.clone() } else { format!("{}/{name}", parent.path) };
        let place = Place { path, depth: parent.depth + 1, finished: parent.finished };
        let shown = escape(&place.path);
        if place.depth > MAX_DEPTH {
            return Err(Error::limit(format!("`{shown}` lies within more than {MAX_DEPTH} parts")));
        }
        self.reading.scope.account().take(PART)?;
        if self.archives.matches(entry, self.reading.source.effort())? {
            let bytes = files.content.get(&name).and_then(|all| all.first());
            let bytes = bytes.ok_or_else(|| Error::invalid(format!("`{shown}` is not an archive")))?;
            let strip = self.rule.archives.as_ref().map_or(0, |archives| archives.strip);
            let limits = self.rule.inside.as_ref().map(|inside| inside.limits.to_limits()).unwrap_or_default();
            let own = self.gather(&Archive::in_memory(bytes.clone(), &place.path, strip)?, limits)?;
            return self.read_part(entry, &own, &Place { finished: true, ..place });
        }
        let inner = |path: &String| path.strip_prefix(&name)?.strip_prefix('/').map(str::to_owned);
        let own = Files {
            names: self.those_below(files.names.iter().filter_map(inner))?,
            content: files.content.iter().filter_map(|(path, bytes)| Some((inner(path)?, bytes.clone()))).collect(),
        };
        self.read_part(entry, &own, &place)
    }

    /// A part with these files.
    fn read_part(&mut self, entry: &str, files: &Files, place: &Place) -> Result<Value> {
        let mut values = Vec::new();
        for (name, rule) in &self.reading.definition.source.documents {
            if rule.format == DocumentFormat::Deck || !self.reading.has_form(&rule.forms) {
                continue;
            }
            let path = self.reading.text(&rule.path)?;
            let read = match files.content.get(&path) {
                None if rule.optional => None,
                None => return Err(Error::not_found(format!("`{path}` is not in `{}`", escape(&place.path)))),
                Some(bytes) => {
                    let repeated = place.finished || rule.repeated.contains(&self.reading.form);
                    Some(rule.parse(bytes, &format!("{}/{path}", place.path), self.reading, repeated)?)
                }
            };
            self.warn(read.as_ref());
            values.push((name.clone(), rule.to_value(read.as_ref())));
        }
        let inner = self.parts(files, place)?;
        let reading = self.reading.with_all(values.clone()).with("parts", Value::pairs([(self.name, inner)]));
        let found = validate::check_part(&self.reading.definition.validate, &reading);
        let found = found.context(|| escape(&place.path))?;
        self.warnings.extend(found.into_iter().map(|warning| format!("{}: {warning}", escape(&place.path))));
        values.push(("name".into(), Value::from(entry)));
        Ok(Value::pairs(values.iter().map(|(name, value)| (name.as_str(), value.clone()))))
    }

    fn warn(&mut self, read: Option<&Read>) {
        let document = read.and_then(|read| read.document.as_ref());
        self.warnings.extend(document.into_iter().flat_map(|document| document.warnings.iter().cloned()));
    }
}
