//! The section `layers`: which blobs there are, of what, in which order.

use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::Value as Json;

use super::{
    reading::Reading,
    sets::{file_value, media_type_of, reads},
};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    oci::{annotation, media_type},
    plan::{Compression, Content, Part, Quote, Quoted, Reads},
    source::{Member, MemberKind},
    types::{
        definition::{
            layers::{Layer, Layers},
            tar,
        },
        language::{scope::unknown_name, typed, values},
        unpacking::generic,
    },
};

/// Says that a layer is a directory packed as tar, where oras' own annotation would make oras fail: it reads gzip only.
pub const UNPACK: &str = "vnd.artifact.content.unpack";
/// Digest of the uncompressed tar of such a layer.
pub const UNPACK_DIGEST: &str = "vnd.artifact.content.digest";

/// The layers as they will be planned: parts, and how expressions see them.
#[derive(Debug, Default)]
pub(in crate::types) struct Planned {
    pub(in crate::types) parts: Vec<Part>,
    /// What will be read for them.
    pub(in crate::types) reads: Reads,
    titles: BTreeMap<String, usize>,
}

impl Layers {
    /// Plans all layers.
    pub(in crate::types) fn plan(&self, reading: &Reading<'_>) -> Result<Planned> {
        let mut planned = Planned::default();
        for layer in self.items.iter().filter(|l| l.forms.is_empty() || l.forms.contains(&reading.form)) {
            layer.plan(reading, &mut planned).context(|| format!("layer `{}`", layer.id))?;
        }
        Ok(planned)
    }
}

impl Layer {
    fn plan(&self, reading: &Reading<'_>, planned: &mut Planned) -> Result<()> {
        if !self.when.as_ref().map_or(Ok(true), |e| reading.truth(e))? {
            return Ok(());
        }
        if self.each.is_empty() {
            let file = self.raw.as_ref().map(|set| reading.set(set)).transpose()?;
            return match file.map(<[Member]>::split_first) {
                Some(None) => Ok(()),
                Some(Some((_, [_, ..]))) => Err(Error::invalid("`raw` is a set of several files; use `each`")),
                Some(Some((file, []))) => self.one(reading, Some(file), planned),
                None => self.one(reading, None, planned),
            };
        }
        for set in &self.each.0 {
            for file in reading.set(set)?.iter().filter(|f| f.kind != MemberKind::Directory) {
                if let MemberKind::Symlink { .. } = file.kind {
                    let message = format!("`{}` is a symbolic link: it cannot be a layer of its own", file.path);
                    let (error, params) = (Error::invalid(message), &reading.definition.params);
                    let keeps = params.get("layout").is_some_and(|layout| layout.choices.iter().any(|c| c == "tree"));
                    return Err(if keeps { error.with_code(Code::LinkAsLayer) } else { error });
                }
                self.one(reading, Some(file), planned)?;
            }
        }
        Ok(())
    }

    fn one(&self, reading: &Reading<'_>, file: Option<&Member>, planned: &mut Planned) -> Result<()> {
        let reading = &file.map_or_else(|| reading.clone(), |f| reading.with("file", file_value(f)));
        let title = self.title.as_ref().map(|t| reading.text(t)).transpose()?.filter(|t| !t.is_empty());
        let compress = self.compress.as_ref().map(|c| reading.text(c)).transpose()?;
        let compress = compress.as_deref().map_or(Ok(Compression::None), tar::compression)?;
        let (content, members) = self.content(reading, file, title.as_deref(), compress)?;
        let kind = self.media_type.as_ref().map(|m| reading.text(m)).transpose()?;
        let media_type = kind.unwrap_or_else(|| natural(&content, compress));
        if !media_type::is_valid(&media_type) {
            return Err(Error::invalid(format!("`{media_type}` is not a media type")));
        }
        let index = planned.parts.len();
        if title.as_ref().is_some_and(|t| planned.holds(t, &content)) {
            return Ok(());
        }
        let mut annotations = BTreeMap::new();
        if let Some(title) = &title {
            // What could not be unpacked is not packed.
            generic::checked_path(title).context(|| "title")?;
            planned.claim(title, index, &content)?;
            annotations.extend(titled(title, index, &content));
        }
        annotations.extend(self.annotations(&reading.with("layer", quotes(index)))?);
        planned.reads += reads(members);
        planned.parts.push(Part { id: self.id.clone(), media_type, content, annotations });
        Ok(())
    }

    /// The content, and the members that it consists of.
    fn content<'r>(
        &self,
        reading: &'r Reading<'_>,
        file: Option<&'r Member>,
        title: Option<&str>,
        compress: Compression,
    ) -> Result<(Content, &'r [Member])> {
        if let Some(text) = &self.text {
            return Ok((Content::Text(reading.text(text)?), &[]));
        }
        let Some(tar) = &self.tar else {
            let file = file.ok_or_else(|| Error::new(Kind::Internal, "a layer without content"))?;
            return Ok((Content::File(file.path.clone().into()), std::slice::from_ref(file)));
        };
        let root = match (&tar.root, title) {
            (Some(root), _) => reading.text(root)?,
            (None, title) => title.unwrap_or(".").to_owned(),
        };
        let root = crate::source::relative(&root).map(|r| if r.is_empty() { ".".into() } else { r })?;
        let members = reading.set(&tar.set)?;
        let entries = tar.entries(members, &reading.dir_of(&tar.set)?, &root, reading.inputs.now)?;
        Ok((Content::Tar { entries, compress }, members))
    }

    fn annotations(&self, reading: &Reading<'_>) -> Result<BTreeMap<String, Json>> {
        let mut out = BTreeMap::new();
        for (key, tree) in &self.annotations {
            let value = typed::evaluate(tree, reading.engine, &reading.scope).context(|| format!("`{key}`"))?;
            match annotation_value(value).context(|| format!("annotation `{key}`"))? {
                Some(value) if value != "" => _ = out.insert(key.clone(), value),
                _ => {}
            }
        }
        Ok(out)
    }
}

/// A typed value as an annotation: a string, or a quote; `None` when it is blank.
pub(super) fn annotation_value(value: Option<Json>) -> Result<Option<Json>> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(b)) => Ok(Some(b.to_string().into())),
        Some(Json::Number(n)) => Ok(Some(n.to_string().into())),
        Some(quote) if Quote::from_value(&quote).is_some() => Ok(Some(quote)),
        Some(Json::String(text)) => Ok(Some(text.into())),
        Some(_) => Err(Error::invalid("an annotation is a text, not a list or an object")),
    }
}

/// The annotations of a layer that is a file or directory of this name.
fn titled(title: &str, index: usize, content: &Content) -> Vec<(String, Json)> {
    let mut out = vec![(annotation::TITLE.to_owned(), Json::from(title))];
    if let Content::Tar { compress, .. } = content {
        let (unpack, digest) = match compress {
            Compression::Gzip(_) => (annotation::UNPACK, annotation::UNPACK_DIGEST),
            _ => (UNPACK, UNPACK_DIGEST),
        };
        out.push((unpack.to_owned(), "true".into()));
        out.push((digest.to_owned(), Quote { layer: index, value: Quoted::DiffId }.to_value()));
    }
    out
}

/// The media type of content that nothing is said about.
fn natural(content: &Content, compress: Compression) -> String {
    match (content, compress) {
        (Content::File(path), _) => media_type_of(&path.to_string_lossy()),
        (Content::Tar { .. }, Compression::None) => media_type::LAYER_TAR.into(),
        (Content::Tar { .. }, Compression::Gzip(_)) => format!("{}+gzip", media_type::LAYER_TAR),
        (Content::Tar { .. }, Compression::Zstd(_)) => format!("{}+zstd", media_type::LAYER_TAR),
        _ => "text/plain".into(),
    }
}

/// What can be quoted of the layer with this index.
fn quotes(index: usize) -> Value {
    let quote = |value| values::quote(Quote { layer: index, value });
    Value::from_pairs([
        ("digest", quote(Quoted::Digest)),
        ("diffId", quote(Quoted::DiffId)),
        ("size", quote(Quoted::Size)),
    ])
}

impl Planned {
    /// Whether the same content is there under the same title: a file that two sets name is stored once.
    fn holds(&self, title: &str, content: &Content) -> bool {
        let part = self.titles.get(title).and_then(|i| self.parts.get(*i));
        matches!(content, Content::File(_)) && part.is_some_and(|p| p.content == *content)
    }

    fn claim(&mut self, title: &str, index: usize, content: &Content) -> Result<()> {
        let Some(first) = self.titles.insert(title.to_owned(), index) else { return Ok(()) };
        let mut message = format!("two layers would have the title `{title}`");
        let first = self.parts.get(first).map(|part| &part.content);
        if let (Some(Content::File(one)), Content::File(other)) = (first, content) {
            message = format!("{message}: `{}` and `{}`", one.display(), other.display());
        }
        Err(Error::new(Kind::Exists, message).with_code(Code::TitleTaken))
    }

    /// The names `layers`, a list, and `layer`, a function from title to layer.
    pub(in crate::types) fn names(&self) -> Vec<(String, Value)> {
        let all: Vec<Value> = self.parts.iter().enumerate().map(|(i, part)| described(i, part)).collect();
        let titles: BTreeMap<String, Value> =
            self.titles.iter().filter_map(|(t, i)| Some((t.clone(), all.get(*i)?.clone()))).collect();
        let layer = move |title: String| {
            titles.get(&title).cloned().ok_or_else(|| {
                let message = unknown_name("the layer", &title, titles.keys().map(String::as_str));
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message)
            })
        };
        vec![("layers".into(), Value::from(all)), ("layer".into(), Value::from_function(layer))]
    }
}

fn described(index: usize, part: &Part) -> Value {
    let quote = |value| values::quote(Quote { layer: index, value });
    let title = part.annotations.get(annotation::TITLE).and_then(Json::as_str);
    Value::from_pairs([
        ("id", Value::from(part.id.as_str())),
        ("title", title.map_or(Value::from(()), Value::from)),
        ("mediaType", Value::from(part.media_type.as_str())),
        ("digest", quote(Quoted::Digest)),
        ("diffId", quote(Quoted::DiffId)),
        ("size", quote(Quoted::Size)),
    ])
}
