//! Checks of a plan, before any file is read.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{index::named, quote};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    graph::MAX_DEPTH,
    oci::{Platform, annotation, media_type},
    plan::{Content, Document, Entry, IndexPlan, ManifestPlan, MemberContent, Part},
    tarball::compress,
};

/// Errors: the plan cannot become an artifact that every registry accepts.
pub(super) fn document(document: &Document) -> Result<()> {
    below(document, 1)
}

fn below(document: &Document, depth: usize) -> Result<()> {
    match document {
        Document::Manifest(planned) => manifest(planned),
        Document::Index(_) if depth >= MAX_DEPTH => {
            Err(Error::limit(format!("indexes are nested more than {MAX_DEPTH} deep")))
        }
        Document::Index(planned) => index(planned, depth),
    }
}

fn index(planned: &IndexPlan, depth: usize) -> Result<()> {
    let subject = planned.subject.iter().map(|subject| &subject.media_type);
    planned.artifact_type.iter().chain(subject).try_for_each(|t| valid(t)).context(|| "index")?;
    if planned.members.is_empty() {
        return Err(Error::invalid("the index has no members"));
    }
    let mut platforms = HashMap::new();
    for (at, member) in planned.members.iter().enumerate() {
        if let MemberContent::Planned(document) = &member.content {
            below(document, depth + 1).context(|| named(at, member))?;
        }
        let Some(platform) = &member.platform else { continue };
        platform.to_string().parse::<Platform>().context(|| format!("the platform of {}", named(at, member)))?;
        if let Some(first) = platforms.insert(platform, at) {
            let message =
                format!("members {first} and {at} have the same platform, {platform}: clients would pull only one");
            return Err(Error::new(Kind::Exists, message));
        }
    }
    Ok(())
}

/// The least size of a manifest in JSON. Large files are sent while they are hashed, before the manifest is written: one
/// that is certainly too large is refused at once.
fn least(planned: &ManifestPlan) -> u64 {
    const DESCRIPTOR: usize = r#"{"mediaType":"","digest":"sha256:","size":0},"#.len() + 64;
    // Four quotes, a colon, and a comma or brace.
    const ANNOTATION: usize = 6;
    let annotations = |all: &BTreeMap<String, Value>| {
        let lengths = all.iter().map(|(key, text)| ANNOTATION + key.len() + text.as_str().map_or(0, str::len));
        lengths.fold(0, usize::saturating_add)
    };
    let layer = |part: &Part| annotations(&part.annotations).saturating_add(DESCRIPTOR + part.media_type.len());
    planned.layers.iter().map(layer).fold(annotations(&planned.annotations), usize::saturating_add) as u64
}

fn manifest(planned: &ManifestPlan) -> Result<()> {
    let count = planned.layers.len();
    part(&planned.config, count).context(|| "config")?;
    for (index, layer) in planned.layers.iter().enumerate() {
        self::layer(layer, count).context(|| super::layer::named(index, layer))?;
    }
    titles(planned.layers.iter().map(|layer| layer.annotations.get(annotation::TITLE).and_then(Value::as_str)))?;
    super::fits(least(planned), "at least ")?;
    fields(planned).context(|| "manifest")
}

/// Checks the manifest's other fields.
fn fields(planned: &ManifestPlan) -> Result<()> {
    let subject = planned.subject.iter().map(|subject| &subject.media_type);
    planned.artifact_type.iter().chain(subject).try_for_each(|t| valid(t))?;
    if planned.artifact_type.is_none() && planned.config.media_type == media_type::EMPTY {
        // image-spec manifest.md, `artifactType`: MUST be set when the config is empty.
        return Err(Error::invalid("an artifact with an empty config needs an artifact type"));
    }
    quotes(planned.annotations.values(), planned.layers.len())
}

fn layer(part: &Part, layers: usize) -> Result<()> {
    if let Content::Json { value, .. } = &part.content
        && !quote::all(value)?.is_empty()
    {
        return Err(Error::invalid("the content of a layer cannot contain quotes; only configs and annotations can"));
    }
    self::part(part, layers)
}

fn part(part: &Part, layers: usize) -> Result<()> {
    valid(&part.media_type)?;
    if media_type::points(&part.media_type) {
        return Err(Error::invalid(format!("`{}` is a media type of manifests, not of blobs", part.media_type)));
    }
    if part.media_type == media_type::EMPTY && !is_empty(&part.content) {
        return Err(Error::invalid(format!("content of type `{}` must be `{{}}`", media_type::EMPTY)));
    }
    quotes(part.annotations.values(), layers)?;
    match &part.content {
        Content::Json { value, .. } => quotes([value], layers),
        Content::Tar { entries, compress } => {
            compress::check(*compress)?;
            names(entries)
        }
        Content::Empty {} | Content::Text(_) | Content::File(_) => Ok(()),
    }
}

fn is_empty(content: &Content) -> bool {
    match content {
        Content::Empty {} => true,
        Content::Json { value, .. } => value.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

fn valid(media_type: &str) -> Result<()> {
    if media_type::is_valid(media_type) {
        return Ok(());
    }
    Err(Error::invalid(format!("`{media_type}` is not a media type such as `text/plain`")))
}

fn quotes<'a>(values: impl IntoIterator<Item = &'a Value>, layers: usize) -> Result<()> {
    for value in values {
        if let Some(quote) = quote::all(value)?.iter().find(|quote| quote.layer >= layers) {
            return Err(quote::missing(quote.layer, layers));
        }
    }
    Ok(())
}

/// Errors (kind `Exists`): two layers have the same title; on pull, one would replace the other.
pub(super) fn titles<'a>(titles: impl Iterator<Item = Option<&'a str>>) -> Result<()> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, title) in titles.enumerate() {
        let Some(title) = title else { continue };
        if let Some(first) = seen.insert(title, index) {
            let message =
                format!("two files are named `{title}` (layers {first} and {index}): unpacking would keep only one");
            return Err(Error::new(Kind::Exists, message).with_code(Code::TitleTaken));
        }
    }
    Ok(())
}

/// Errors (kind `Exists`): two members of an archive have the same name.
fn names(entries: &[Entry]) -> Result<()> {
    let mut seen = HashSet::with_capacity(entries.len());
    for entry in entries {
        if !seen.insert(entry.path.trim_end_matches('/')) {
            let message = format!("two entries of an archive are named `{}`", entry.path);
            return Err(Error::new(Kind::Exists, message).with_code(Code::TitleTaken));
        }
    }
    Ok(())
}
