//! Planned layers, and their values in expressions.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value as Json;

use crate::{
    error::{Code, Error, Kind, Result},
    oci::annotation,
    plan::{Content, Part, Quote, Quoted, Reads},
    types::language::values::Value,
};

/// The planned layers of a manifest.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) parts: Vec<Part>,
    /// Their reads.
    pub(super) reads: Reads,
    titles: BTreeMap<String, usize>,
}

impl Planned {
    /// Whether a layer has this title and content: a file in two sets is stored once.
    pub(super) fn holds(&self, title: &str, content: &Content) -> bool {
        let part = self.titles.get(title).and_then(|i| self.parts.get(*i));
        matches!(content, Content::File(_)) && part.is_some_and(|p| p.content == *content)
    }

    /// Reserves a title for the layer with this index. Errors (kind `Exists`): another layer has it.
    pub(super) fn claim(&mut self, title: &str, index: usize, content: &Content) -> Result<()> {
        let Some(first) = self.titles.insert(title.to_owned(), index) else { return Ok(()) };
        let mut message = format!("two layers would have the title `{title}`");
        let first = self.parts.get(first).map(|part| &part.content);
        if let (Some(Content::File(one)), Content::File(other)) = (first, content) {
            message = format!("{message}: `{}` and `{}`", one.display(), other.display());
        }
        Err(Error::new(Kind::Exists, message).with_code(Code::TitleTaken))
    }

    /// The names `layers`, a list, and `layer`, a function from title to layer.
    pub(super) fn names(&self) -> Vec<(String, Value)> {
        let all: Vec<Value> = self.parts.iter().enumerate().map(|(i, part)| described(i, part)).collect();
        let titles: BTreeMap<String, Value> =
            self.titles.iter().filter_map(|(t, i)| Some((t.clone(), all.get(*i)?.clone()))).collect();
        vec![("layers".into(), all.into_iter().collect()), ("layer".into(), Value::Layers(Arc::new(titles)))]
    }
}

fn described(index: usize, part: &Part) -> Value {
    let title = part.annotations.get(annotation::TITLE).and_then(Json::as_str);
    let own = [
        ("id", Value::from(part.id.as_str())),
        ("title", Value::optional(title)),
        ("mediaType", Value::from(part.media_type.as_str())),
    ];
    Value::pairs(own.into_iter().chain(quotes(index)))
}

/// The quotes of the layer with this index.
pub(super) fn quotes(index: usize) -> [(&'static str, Value); 3] {
    let quote = |value| Value::Quote(Quote { layer: index, value });
    [("digest", quote(Quoted::Digest)), ("diffId", quote(Quoted::DiffId)), ("size", quote(Quoted::Size))]
}
