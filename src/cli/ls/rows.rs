//! What each tag stands for: one request a tag, several at a time.

use std::collections::BTreeMap;

use artifact::{
    Result,
    location::Location,
    oci::{Descriptor, Digest, Parsed, RefName, annotation},
    store::{self, ReadStore},
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::super::{
    report::about,
    several::Failure,
    text::{escape, size, table as aligned},
};

/// Limit of concurrent requests.
const QUESTIONS: usize = 32;

/// What is listed: a tag, or an artifact without one.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Tag(RefName),
    Untagged(Descriptor),
}

impl Entry {
    pub(super) fn tag(&self) -> Option<&RefName> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Untagged(_) => None,
        }
    }

    pub(super) fn untagged(&self) -> Option<&Descriptor> {
        match self {
            Self::Tag(_) => None,
            Self::Untagged(desc) => Some(desc),
        }
    }

    /// As text. No tag starts with `@`: whoever reads tags does not take a digest for one.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Tag(tag) => escape(tag),
            Self::Untagged(desc) => format!("@{}", desc.digest),
        }
    }

    fn name(&self) -> store::Name {
        match self {
            Self::Tag(tag) => tag.clone().into(),
            Self::Untagged(desc) => desc.digest.clone().into(),
        }
    }

    fn location(&self, of: &Location) -> String {
        match self {
            Self::Tag(tag) => format!("{of}:{tag}"),
            Self::Untagged(desc) => format!("{of}@{}", desc.digest),
        }
    }
}

/// An artifact in the list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) entry: Entry,
    /// With what the manifest says of itself: artifact type, annotations.
    desc: Descriptor,
    /// Size of manifest, config and layers in bytes; none of an index, whose members have sizes of their own.
    pub(super) total: Option<u64>,
}

impl Row {
    fn new(entry: Entry, desc: Descriptor, bytes: &[u8]) -> Result<Self> {
        let parsed = Parsed::read(&desc.media_type, bytes)?;
        let total = matches!(parsed, Parsed::Manifest(_)).then(|| total(&desc, &parsed));
        let artifact_type = parsed.artifact_type().map(ToOwned::to_owned);
        let annotations = parsed.annotations().clone();
        Ok(Self { entry, total, desc: Descriptor { artifact_type, annotations, ..desc.bare() } })
    }

    /// The date of creation that its author gave.
    pub(super) fn created(&self) -> Option<&str> {
        self.desc.annotations.get(annotation::CREATED).map(String::as_str)
    }

    pub(super) fn json(&self, location: &Location) -> Result<Value> {
        let mut json = about(&location.place, &self.desc)?;
        json.insert("location".into(), self.entry.location(location).into());
        json.insert("tags".into(), self.entry.tag().into_iter().map(|tag| Value::from(tag.as_str())).collect());
        json.insert("artifactType".into(), self.desc.artifact_type.clone().into());
        json.insert("annotations".into(), serde_json::json!(self.desc.annotations));
        json.extend(self.total.map(|total| ("totalSize".to_owned(), Value::from(total))));
        Ok(Value::Object(json))
    }

    fn cells(&self) -> Vec<String> {
        let or_none = |text: Option<&str>| escape(text.unwrap_or("-"));
        vec![
            self.entry.tag().map_or_else(|| "-".into(), |tag| escape(tag)),
            self.desc.digest.short(),
            self.total.map_or_else(|| "-".into(), size),
            or_none(self.created()),
            or_none(self.desc.artifact_type.as_deref()),
        ]
    }
}

/// Size of a manifest and of each blob that it names, in bytes.
fn total(desc: &Descriptor, parsed: &Parsed) -> u64 {
    let sizes: BTreeMap<&Digest, u64> =
        parsed.children().into_iter().map(|(_, part)| (&part.digest, part.size)).collect();
    sizes.into_values().fold(desc.size, u64::saturating_add)
}

/// The artifacts that could be read, and those that could not.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) failed: Vec<Failure>,
}

/// Reads the manifest of each entry.
pub(super) async fn read(store: &dyn ReadStore, location: &Location, entries: Vec<Entry>) -> Rows {
    let asking = entries.into_iter().map(|entry| async move {
        let row = match store::read_named(store, &entry.name()).await {
            Ok((desc, bytes)) => Row::new(entry.clone(), desc, &bytes),
            Err(error) => Err(error),
        };
        row.map_err(|error| Failure::of(&entry.location(location), error))
    });
    let answers: Vec<_> = stream::iter(asking).buffered(QUESTIONS).collect().await;
    let mut found = Rows { rows: Vec::new(), failed: Vec::new() };
    for answer in answers {
        match answer {
            Ok(row) => found.rows.push(row),
            Err(failure) => found.failed.push(failure),
        }
    }
    found
}

/// A table with a heading, if it has rows.
pub(super) fn table(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let heading = ["TAG", "DIGEST", "SIZE", "CREATED", "TYPE"].map(str::to_owned).to_vec();
    let all: Vec<Vec<String>> = [heading].into_iter().chain(rows.iter().map(Row::cells)).collect();
    aligned(&all)
}
