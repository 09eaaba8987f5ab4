//! The section `source.documents`: files that expressions can read.

use serde_json::Value as Json;

use super::reading::{Read, Reading};
use crate::{
    document::{DOCUMENT_MEMORY as MAX_HELD, NODE},
    error::{Context as _, Error, Kind, Result},
    fs::escape,
    source::{self, Document, Options, Scalars},
    types::{
        definition::{
            documents::{DocumentFormat, DocumentRule},
            visits,
        },
        language::{
            cost::TEXT,
            json::size,
            schema::{Schema, blank},
            values::Value,
        },
        probe::deck,
    },
};

/// Limit of visits of a document whose errors are looked for.
const MAX_EXPLAINED: u64 = visits::MAX_VISITS / 10;
/// Limit of the files of all documents of a source, in bytes.
const MAX_TEXT: usize = 4 << 20;

impl DocumentRule {
    /// Reads the document; `None` if this form has none, or if it is optional and missing.
    pub(super) fn read(&self, reading: &Reading<'_>) -> Result<Option<Read>> {
        if !reading.has_form(&self.forms) {
            return Ok(None);
        }
        let path = reading.text(&self.path)?;
        if self.format == DocumentFormat::Deck {
            let read = deck::read(&path, reading.source).and_then(|value| {
                let held = held(&value, reading).context(|| escape(&path))?;
                Ok(Some(Read { value, document: None, text: 0, held }))
            });
            return read.or_else(|e| if self.optional && e.kind() == Kind::NotFound { Ok(None) } else { Err(e) });
        }
        let bytes = match self.bytes(&path, reading) {
            Err(e) if self.optional && e.kind() == Kind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        self.parse(&bytes, &path, reading, self.repeated.contains(&reading.form)).map(Some)
    }

    /// Reads the document from these files, of which the keys of a later one replace those of an earlier one, as in Go; in
    /// messages, each is called `path`.
    pub(super) fn parse(&self, files: &[Vec<u8>], path: &str, reading: &Reading<'_>, repeated: bool) -> Result<Read> {
        let text = files.iter().map(Vec::len).sum();
        take_text(text, reading).context(|| source::escape(path))?;
        let format = if self.format == DocumentFormat::Json { source::Format::Json } else { source::Format::Yaml };
        let options = Options {
            format,
            scalars: self.scalars,
            strings: self.strings,
            schema: self.schema.as_ref(),
            limit: self.limit(),
            memory: MAX_HELD,
            taken: taken(reading),
            repeated,
            ..Options::default()
        };
        let mut all = files.iter().map(|bytes| Document::parse(bytes, path, &options));
        let mut document =
            all.next().ok_or_else(|| Error::not_found(format!("`{}` is missing", source::escape(path))))??;
        let mut value = std::mem::take(&mut document.value);
        for later in all {
            document = later?;
            match (&mut value, std::mem::take(&mut document.value)) {
                (Json::Object(map), Json::Object(other)) => map.extend(other),
                (value, other) => *value = other,
            }
        }
        let held = held(&value, reading).context(|| source::escape(path))?;
        self.fill_defaults(&mut value);
        if self.scalars == Scalars::GoYaml {
            sort_free_maps(&mut value, self.schema.as_ref());
        }
        self.check_by_schema(&value, &document, reading)?;
        Ok(Read { value, document: Some(document), text, held })
    }

    /// The size limit in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit.unwrap_or(source::DOCUMENT_LIMIT)
    }

    /// The document as an expression value.
    pub(super) fn to_value(&self, read: Option<&Read>) -> Value {
        let schema = self.shape().map(Schema::of);
        match read.filter(|_| !self.check_only) {
            Some(read) => Value::view(&read.value, schema),
            None => blank(Some(&schema.unwrap_or_else(Schema::object))),
        }
    }

    fn bytes(&self, path: &str, reading: &Reading<'_>) -> Result<Vec<Vec<u8>>> {
        if let Some(inside) = self.inside.as_ref().filter(|inside| reading.has_form(&inside.forms)) {
            let archive = reading.source.archive(&reading.text(&inside.archive)?, inside.strip)?;
            return archive.read(path, inside.limits.to_limits(), self.limit());
        }
        let bytes = reading.source.read(path, self.limit())?;
        self.check_listed(path, reading)?;
        Ok(vec![bytes])
    }

    /// Errors (kind `NotFound`): the set of this document leaves the file out.
    fn check_listed(&self, path: &str, reading: &Reading<'_>) -> Result<()> {
        let Some(name) = &self.set else { return Ok(()) };
        let rule = reading.definition.source.sets.get(name);
        let counts = rule.is_some_and(|rule| reading.has_form(&rule.forms));
        if !counts || reading.set(name)?.iter().any(|member| member.path == path) {
            return Ok(());
        }
        let ignore = rule.and_then(|rule| rule.ignore.as_ref()?.file.as_deref());
        let by = ignore.map_or_else(|| format!("the set `{name}`"), |file| format!("`{file}`"));
        Err(Error::not_found(format!("`{}` is left out by {by}", source::escape(path))))
    }

    fn fill_defaults(&self, value: &mut Json) {
        let Some(map) = value.as_object_mut() else { return };
        for (key, default) in &self.defaults {
            if map.get(key).is_none_or(|v| v.is_null() || v == "") {
                map.insert(key.clone(), default.clone());
            }
        }
    }

    fn check_by_schema(&self, value: &Json, document: &Document, reading: &Reading<'_>) -> Result<()> {
        let (Some(validator), Some(schema)) = (self.validator()?, &self.schema) else { return Ok(()) };
        let count = || {
            let visits = visits::count(schema, value)?;
            reading.scope.account().take(visits).map(|()| visits)
        };
        let visits = count().context(|| document.place(""))?;
        if validator.is_valid(value) {
            return Ok(());
        }
        // What is said of a place may be said of thousands before it is known which of them to tell.
        if visits > MAX_EXPLAINED {
            return Err(
                Error::invalid("it does not fit its schema, and is too large to say where").context(document.place(""))
            );
        }
        match validator.validate(value) {
            Ok(()) => Ok(()),
            Err(error) => {
                let pointer = error.instance_path().to_string();
                let mut message = error.to_string().replace('\n', " ");
                if message.len() > 300 {
                    let cut = (0..=300).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
                    message.truncate(cut);
                    message.push('…');
                }
                let field = if pointer.is_empty() { String::new() } else { format!("`{pointer}`: ") };
                Err(Error::invalid(format!("{field}{message}")).context(document.place(&pointer)))
            }
        }
    }
}

/// Takes the steps of reading a file. Errors (kind `Limit`): it is too much, with those of the documents before it.
fn take_text(text: usize, reading: &Reading<'_>) -> Result<()> {
    let all = reading.documents().map(|read| read.text).sum::<usize>() + text;
    if all > MAX_TEXT {
        return Err(Error::limit(format!("it and the documents before it have more than {MAX_TEXT} bytes")));
    }
    reading.scope.account().take((text / TEXT) as u64)
}

/// What a value takes in memory; takes the steps of making it. Errors (kind `Limit`): it is too much, with those of the
/// documents before it.
fn held(value: &Json, reading: &Reading<'_>) -> Result<usize> {
    let held = size(value);
    if taken(reading) + held as u64 > MAX_HELD {
        return Err(Error::limit(format!("it and the documents before it take more than {MAX_HELD} bytes of memory")));
    }
    reading.scope.account().take((held / NODE) as u64)?;
    Ok(held)
}

/// What the documents so far take in memory.
fn taken(reading: &Reading<'_>) -> u64 {
    reading.documents().map(|read| read.held as u64).sum()
}

/// Sorts the keys of maps whose keys the schema does not list: they are maps in Go, which writes them sorted.
fn sort_free_maps(value: &mut Json, schema: Option<&Json>) {
    match value {
        Json::Array(items) => {
            let schema = schema.and_then(|s| s.get("items"));
            items.iter_mut().for_each(|item| sort_free_maps(item, schema));
        }
        Json::Object(map) => {
            let listed = schema.and_then(|s| s.get("properties"));
            if listed.is_none() {
                map.sort_keys();
            }
            for (key, value) in map {
                sort_free_maps(value, listed.and_then(|l| l.get(key)));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        error::{Kind, Result},
        source::Source,
        types::{ArtifactType, Inputs, Origin},
    };

    /// Plans a source with this file, which the definition reads as so many documents.
    fn read(text: &str, format: &str, documents: usize) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("doc"), text).unwrap();
        let documents: Vec<_> = (0..documents).map(|i| format!("d{i}: {{path: doc, format: {format}}}")).collect();
        let definition = format!(
            "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {{name: t}}\n\
             detect: [{{form: tree, dir: {{contains: doc}}}}]\n\
             source: {{sets: {{all: {{dir: .}}}}, documents: {{{}}}}}\n\
             layers: {{items: [{{id: file, each: [all], title: \"{{{{ file.path }}}}\", mediaType: text/plain}}]}}\n",
            documents.join(", ")
        );
        let kind = Arc::new(ArtifactType::parse(&definition, Origin::File("t.yaml".into()))?);
        kind.plan(&Source::open(dir.path())?, &Inputs::default()).map(drop)
    }

    #[test]
    fn all_documents_of_a_source_together_have_limits() {
        let numbers = format!("[{}1]", "1,".repeat((1 << 19) - 2));
        let lists = format!("[{}[]]", "[],".repeat(340_000));
        let comment = format!("#{}", "x".repeat((1 << 20) - 1));
        read(&numbers, "json", 1).unwrap();
        read(&lists, "json", 1).unwrap();
        read(&comment, "yaml", 4).unwrap();
        read("{\"a\": [1, 2]}", "json", 400).unwrap();
        for (text, format, documents, what) in [
            (numbers.as_str(), "json", 2, "of memory"),
            (&lists, "json", 2, "of memory"),
            (&comment, "yaml", 5, "4194304 bytes"),
        ] {
            let error = read(text, format, documents).unwrap_err();
            assert_eq!(error.kind(), Kind::Limit, "{error}");
            assert!(error.to_string().contains(what) && error.to_string().contains("doc"), "{error}");
            let (text, place) = (error.to_string(), "doc:1:");
            assert_eq!(text.contains(place), what == "of memory", "it is read only as far as there is room: {text}");
        }
    }
}
