//! The section `detect`: detects sources of a type.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Kind, Result},
    glob::{Effort, Globs},
    source::{Document, Format, Options, Source},
    types::definition::{
        Definition,
        detect::{Detect, DirTest, FileTest},
    },
};

/// The rule of this definition that fits a source, among the fallbacks or among the others.
pub(in crate::types) fn fitting_rule<'a>(
    definition: &'a Definition,
    source: &Source,
    fallback: bool,
) -> Result<Option<&'a Detect>> {
    let asked = definition.detect.iter().filter(|d| d.fallback == fallback && !d.explicit);
    for rule in asked {
        if rule.fits(source)? {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

/// The error for a source that has the name of a source of this type, and not its keys: most likely a key is misspelt. `None`
/// for all others. `other` is the type that it has otherwise.
pub(in crate::types) fn missed_by(definition: &Definition, source: &Source, other: &str) -> Option<Error> {
    let name = source.file()?;
    let tests =
        definition.detect.iter().filter(|rule| !rule.explicit && !rule.fallback).filter_map(|rule| rule.file.as_ref());
    let named = tests.filter(|test| test.name.0.iter().any(|own| own == name));
    let keys: BTreeSet<&str> =
        named.flat_map(|test| test.yaml.keys().chain(test.json.keys())).map(String::as_str).collect();
    if keys.is_empty() {
        return None;
    }
    let (keys, kind) = (keys.into_iter().collect::<Vec<_>>().join("` or `"), &definition.metadata.name);
    let message = format!(
        "`{source}` has the name of a {kind}, and not its key `{keys}`; \
         name the type `{kind}` to be shown the error, or `{other}` to pack it as any file"
    );
    Some(Error::new(Kind::UnknownType, message))
}

/// The form of a source whose type the user named: the first rule that fits, explicit ones included, else the first for
/// the same kind of source, file or directory; errors in the source then appear in planning.
///
/// Errors: kind `Limit` if a limit prevents an answer for a rule.
pub(in crate::types) fn form_of(definition: &Definition, source: &Source) -> Result<String> {
    let mut likely = None;
    for rule in &definition.detect {
        match rule.fits(source) {
            Ok(true) => return Ok(rule.form.clone()),
            Err(e) if e.kind() == Kind::Limit => return Err(e),
            Ok(false) | Err(_) if rule.is_for(source) => _ = likely.get_or_insert_with(|| rule.form.clone()),
            Ok(false) | Err(_) => {}
        }
    }
    likely.ok_or_else(|| {
        let wanted = wanted(definition).join("; ");
        let message = format!("`{source}` is not a source of a {}; expected {wanted}", definition.metadata.name);
        Error::new(Kind::UnknownType, message)
    })
}

/// The rules of a definition in words.
pub(in crate::types) fn wanted(definition: &Definition) -> Vec<String> {
    let name = &definition.metadata.name;
    definition.detect.iter().filter(|d| !d.explicit).map(|d| format!("{name}: {}", d.describe())).collect()
}

impl Detect {
    fn is_for(&self, source: &Source) -> bool {
        if source.file().is_some() { self.file.is_some() } else { self.dir.is_some() }
    }

    fn fits(&self, source: &Source) -> Result<bool> {
        match (source.file(), &self.file, &self.dir) {
            (Some(name), Some(test), _) => test.fits(name, source),
            (None, _, Some(test)) => test.fits(source),
            _ => Ok(false),
        }
    }

    /// The conditions in words.
    pub(in crate::types) fn describe(&self) -> String {
        self.words(|_| true)
    }

    /// Why this source fits, in words: of the alternative names, only the matching one.
    pub(in crate::types) fn why(&self, source: &Source) -> String {
        let own = self.file.iter().any(|file| file.name.0.iter().any(|name| source.file() == Some(name)));
        self.words(|name| !own || source.file() == Some(name))
    }

    /// The conditions in words, with the file names selected by `said`.
    fn words(&self, said: impl Fn(&str) -> bool) -> String {
        let mut words = Vec::new();
        if let Some(file) = &self.file {
            let names = file.name.0.iter().chain(&file.glob.0).filter(|name| said(name));
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            words.push(if names.is_empty() { "a file".into() } else { format!("a file {}", names.join(" or ")) });
            words.extend(file.magic.map(|magic| format!("of {magic} data")));
            let keys: Vec<_> =
                file.yaml.iter().chain(&file.json).map(|(key, pattern)| wanted_key(key, pattern)).collect();
            if !keys.is_empty() {
                words.push(format!("with {}", keys.join(" and ")));
            }
            words.extend(file.contains.iter().map(|glob| format!("that contains `{glob}`")));
            if file.front_matter {
                words.push("with front matter".into());
            }
        }
        if let Some(dir) = &self.dir {
            let files: Vec<_> = dir.contains.0.iter().map(|n| format!("`{n}`")).collect();
            words.push(if files.is_empty() {
                "a directory".into()
            } else {
                format!("a directory with {}", files.join(" or "))
            });
        }
        words.join(" ")
    }
}

impl FileTest {
    fn fits(&self, name: &str, source: &Source) -> Result<bool> {
        let named = self.name.0.iter().any(|n| n == name);
        if !(self.name.is_empty() || named) || !(self.glob.is_empty() || source.is_named(&self.glob.0)?) {
            return Ok(false);
        }
        if self.magic.is_some() && source.magic(name)? != self.magic {
            return Ok(false);
        }
        for (keys, format) in [(&self.yaml, Format::Yaml), (&self.json, Format::Json)] {
            if !keys.is_empty() && !holds_keys(keys, format, name, named, source)? {
                return Ok(false);
            }
        }
        let inside = self.contains.as_ref().map_or(Ok(true), |glob| source.contains(glob))?;
        Ok(inside && (!self.front_matter || source.has_front_matter()?))
    }
}

impl DirTest {
    fn fits(&self, source: &Source) -> Result<bool> {
        for glob in &self.contains.0 {
            if source.contains(glob)? {
                return Ok(true);
            }
        }
        Ok(self.contains.is_empty())
    }
}

/// Whether a document has these keys. A malformed one does not, or is an error if a rule claims its name; one that is
/// too large is an error.
fn holds_keys(keys: &Map<String, Json>, format: Format, name: &str, named: bool, source: &Source) -> Result<bool> {
    let document: Document = match source.document(name, &Options { format, ..Options::default() }) {
        Err(e) if !named && e.kind() == Kind::Invalid => return Ok(false),
        document => document?,
    };
    for (key, pattern) in keys {
        let Some(value) = document.value.get(key) else { return Ok(false) };
        if !matches_pattern(pattern, value, source.effort())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A key and its pattern in words; any value goes without saying.
fn wanted_key(key: &str, pattern: &Json) -> String {
    match pattern {
        Json::String(any) if any == "*" => format!("`{key}`"),
        Json::String(glob) => format!("`{key}: {glob}`"),
        Json::Array(globs) => {
            let globs: Vec<_> =
                globs.iter().map(|glob| glob.as_str().map_or_else(|| glob.to_string(), str::to_owned)).collect();
            format!("a list `{key}` of `{}`", globs.join("` or `"))
        }
        other => format!("`{key}: {other}`"),
    }
}

/// Whether a value is as the pattern wants it. Errors: the effort is exhausted.
fn matches_pattern(pattern: &Json, value: &Json, effort: &Effort) -> Result<bool> {
    match (pattern, value) {
        (_, Json::Null) => Ok(false),
        (Json::String(any), _) if any == "*" => Ok(true),
        (Json::String(glob), Json::String(text)) => Globs::for_text(glob)?.matches(text, effort),
        (Json::Array(globs), Json::Array(items)) => {
            for item in items {
                if !matches_one(globs, item, effort)? {
                    return Ok(false);
                }
            }
            Ok(!items.is_empty())
        }
        (pattern, value) => Ok(pattern == value),
    }
}

fn matches_one(patterns: &[Json], value: &Json, effort: &Effort) -> Result<bool> {
    for pattern in patterns {
        if matches_pattern(pattern, value, effort)? {
            return Ok(true);
        }
    }
    Ok(false)
}
