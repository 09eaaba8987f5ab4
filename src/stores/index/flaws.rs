//! Parts of an `index.json` that are unreadable, or not what a writer would have meant.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    IndexFile,
    entry::{Entry, name},
    kinds,
    reading::FIELDS,
};
use crate::{
    oci::{Descriptor, RefName, annotation, exact_keys, media_type},
    store::{Flaw, FlawKind, NamePage},
};

/// The keys of a descriptor (image-spec descriptor.md, image-index.md).
const ENTRY_FIELDS: [&str; 8] =
    ["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"];

impl Entry {
    /// The keys of this entry.
    fn keys(&self) -> Vec<String> {
        let keys: Option<BTreeMap<String, IgnoredAny>> = serde_json::from_slice(&self.raw.0).ok();
        keys.unwrap_or_default().into_keys().collect()
    }

    /// Keys that are one letter away from one that leads to the name, each with that one.
    pub(super) fn near_misses(&self, desc: &Descriptor) -> Vec<(String, &'static str)> {
        let of_annotations = desc.annotations.keys().map(|key| (key.clone(), annotation::REF_NAME));
        let of_itself = self.keys().into_iter().map(|key| (key, "annotations"));
        of_annotations.chain(of_itself).filter(|(key, meant)| is_near_miss(key, meant)).collect()
    }
}

impl Entry {
    /// The flaw of this entry, which is no descriptor.
    fn unreadable(&self, at: usize) -> Flaw {
        let why = exact_keys::from_slice::<Descriptor>(&self.raw.0).err();
        let why = why.map_or_else(String::new, |e| format!(": {e}"));
        let named = serde_json::from_slice::<Value>(&self.raw.0).ok();
        let named = named.as_ref().and_then(|value| value.pointer("/annotations")?.get(annotation::REF_NAME));
        let named = named.and_then(Value::as_str).map(|name| format!(" (`{name:.128}`)")).unwrap_or_default();
        flaw(FlawKind::Unreadable, format!("entry {at}{named} is not a descriptor{why}"))
    }

    /// The flaws of this entry: names that are lost under a damaged key.
    fn lost_names(&self, at: usize) -> Vec<Flaw> {
        let lost = self.desc().map(|desc| self.near_misses(&desc)).unwrap_or_default();
        let flaw = |(key, meant)| {
            let message = format!("entry {at} has `{key:.128}`, one letter away from `{meant}`: its name is lost");
            flaw(FlawKind::Unreadable, message)
        };
        lost.into_iter().map(flaw).collect()
    }
}

impl IndexFile {
    /// Unreadable parts: entries that are not descriptors or whose name is under a damaged key, and a missing list.
    pub(in crate::stores) fn unreadable(&self) -> Vec<Flaw> {
        self.unreadable_parts().collect()
    }

    pub(super) fn unreadable_parts(&self) -> impl Iterator<Item = Flaw> {
        let missing = (!self.listed).then(|| flaw(FlawKind::Unreadable, "`manifests` is missing"));
        let entries = || self.entries.iter().enumerate();
        let broken = entries().filter(|(_, entry)| entry.brief.is_none()).map(|(at, entry)| entry.unreadable(at));
        let lost = entries().filter(|(_, entry)| entry.near_miss).flat_map(|(at, entry)| entry.lost_names(at));
        missing.into_iter().chain(broken).chain(lost)
    }

    /// Parts that are readable, but not what a writer would have meant. Most of a list exists nowhere else: an odd key
    /// or type is the only sign of a flipped bit.
    pub(in crate::stores) fn doubtful(&self) -> Vec<Flaw> {
        let mut flaws: Vec<Flaw> = kinds::flaw(&self.entries).into_iter().collect();
        for (key, value) in &self.fields {
            if !FIELDS.contains(&key.as_str()) {
                flaws.push(odd(key, &FIELDS, format!("unknown key `{key:.128}`")));
            }
            let own = serde_json::from_str::<&str>(value.get()).unwrap_or_default();
            if key == "mediaType" && own != media_type::INDEX {
                flaws.push(odd(own, &[media_type::INDEX], format!("`mediaType` is not `{}`", media_type::INDEX)));
            }
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let Some(desc) = entry.desc() else { continue };
            for key in entry.keys().iter().filter(|key| !ENTRY_FIELDS.contains(&key.as_str())) {
                flaws.push(odd(key, &ENTRY_FIELDS, format!("entry {at} has the unknown key `{key:.128}`")));
            }
            if !media_type::is_valid(&desc.media_type) {
                let message = format!("entry {at} has an invalid media type: `{:.128}`", desc.media_type);
                flaws.push(flaw(FlawKind::Doubtful, message));
            }
            if let Some(name) = name(&desc).filter(|name| name.parse::<RefName>().is_err()) {
                flaws.push(flaw(FlawKind::Doubtful, no_name(at, name)));
            }
        }
        flaws
    }

    /// All names, sorted, without duplicates, and entries that may be names.
    pub(in crate::stores) fn names(&self) -> NamePage {
        let mut names = Vec::new();
        let mut unreadable = self.unreadable();
        for (at, text) in self.entries.iter().enumerate().filter_map(|(at, entry)| Some((at, entry.name()?))) {
            match text.parse::<RefName>() {
                Ok(name) => names.push(name),
                Err(_) => unreadable.push(flaw(FlawKind::Doubtful, no_name(at, text))),
            }
        }
        names.sort_unstable();
        names.dedup();
        NamePage { names, unreadable, more: false }
    }
}

fn flaw(kind: FlawKind, message: impl Into<String>) -> Flaw {
    Flaw { kind, place: "index.json".into(), message: message.into() }
}

/// The flaw for a text that is none of those which are meant.
fn odd(text: &str, meant: &[&str], message: String) -> Flaw {
    let kind =
        if meant.iter().any(|meant| is_near_miss(text, meant)) { FlawKind::OneLetter } else { FlawKind::Doubtful };
    flaw(kind, message)
}

/// True if the keys differ in exactly one letter.
fn is_near_miss(key: &str, meant: &str) -> bool {
    key.len() == meant.len() && key.bytes().zip(meant.bytes()).filter(|(own, other)| own != other).count() == 1
}

fn no_name(at: usize, text: &str) -> String {
    format!("entry {at} has an invalid name: `{text:.128}`")
}
