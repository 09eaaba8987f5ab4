//! One entry of an `index.json`: its text, and what is asked of all entries.

use bytes::Bytes;
use serde_json::Value;

use super::kinds::{self, Kind as EntryKind};
use crate::{
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, annotation, exact_keys},
};

/// The text of an entry: a part of that of the list, which it keeps in memory, or one of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(pub(super) Bytes);

/// One entry: its text, and what is asked of all entries if it is a valid descriptor. A descriptor takes several times
/// as much memory as its text, and a list has up to 100 000: the whole one is read again when it is wanted.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) raw: Text,
    pub(super) brief: Option<Brief>,
    /// True if a key is one letter away from one that leads to the name.
    pub(super) near_miss: bool,
    /// True if members of this index are left out.
    pub(super) is_part: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Brief {
    pub(super) digest: Digest,
    pub(super) name: Option<NameText>,
    pub(super) kind: EntryKind,
}

/// The text of a name: where it stands in the text of its entry; itself where that has it in other characters, which
/// JSON allows. Names are what most lists consist of, and so are in memory once.
#[derive(Debug, Clone)]
pub(super) enum NameText {
    Part(u32, u32),
    Own(Box<str>),
}

impl NameText {
    pub(super) fn of(name: &str, raw: &Text) -> Self {
        let at = std::str::from_utf8(&raw.0).ok().and_then(|raw| raw.find(name));
        match (at.map(u32::try_from), u32::try_from(name.len())) {
            (Some(Ok(at)), Ok(len)) => Self::Part(at, len),
            _ => Self::Own(name.into()),
        }
    }

    pub(super) fn bytes<'a>(&'a self, raw: &'a Text) -> &'a [u8] {
        match self {
            Self::Part(at, len) => {
                let at = *at as usize;
                raw.0.get(at..at.saturating_add(*len as usize)).unwrap_or_default()
            }
            Self::Own(name) => name.as_bytes(),
        }
    }
}

impl Entry {
    pub(super) fn of(value: &impl serde::Serialize) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(|e| Error::caused(Kind::Internal, "cannot encode JSON", e))?;
        Ok(Self::read(Text(text.into())))
    }

    pub(super) fn read(raw: Text) -> Self {
        let desc: Option<Descriptor> = exact_keys::from_slice(&raw.0).ok();
        let brief = desc.as_ref().map(|desc| {
            let kind = EntryKind::of(desc);
            let name = kind.name(desc).map(|name| NameText::of(name, &raw));
            Brief { digest: desc.digest.clone(), name, kind }
        });
        let is_part = desc.as_ref().is_some_and(|desc| desc.annotations.contains_key(annotation::PLATFORMS));
        let mut entry = Self { raw, brief, near_miss: false, is_part };
        entry.near_miss = desc.is_some_and(|desc| !entry.near_misses(&desc).is_empty());
        entry
    }

    /// The descriptor, with the name of this entry in the usual annotation.
    pub(super) fn desc(&self) -> Option<Descriptor> {
        let brief = self.brief.as_ref()?;
        let mut desc = exact_keys::from_slice(&self.raw.0).ok()?;
        kinds::rename(&mut desc, brief.kind, self.name());
        Some(desc)
    }

    pub(super) fn name(&self) -> Option<&str> {
        std::str::from_utf8(self.name_bytes()?).ok()
    }

    pub(super) fn name_bytes(&self) -> Option<&[u8]> {
        Some(self.brief.as_ref()?.name.as_ref()?.bytes(&self.raw))
    }

    pub(super) fn digest(&self) -> Option<&Digest> {
        self.brief.as_ref().map(|brief| &brief.digest)
    }

    /// Its place in the list: named ones first, by name, then by digest.
    pub(super) fn key(&self) -> (bool, Option<&[u8]>, Option<&Digest>, &Text) {
        let name = self.name_bytes();
        (name.is_none(), name, self.digest(), &self.raw)
    }

    /// This entry with this name, or without one, otherwise unchanged.
    pub(super) fn named(&self, name: Option<&str>) -> Result<Self> {
        self.annotated(annotation::REF_NAME, name)
    }

    /// This entry with this annotation, or without it, otherwise unchanged.
    pub(super) fn annotated(&self, key: &str, value: Option<&str>) -> Result<Self> {
        let malformed = |e| Error::caused(Kind::Internal, "cannot edit an entry of `index.json`", e);
        let mut own: Value = serde_json::from_slice(&self.raw.0).map_err(malformed)?;
        if let Some(entry) = own.as_object_mut() {
            let mut annotations = match entry.remove("annotations") {
                Some(Value::Object(map)) => map,
                _ => serde_json::Map::new(),
            };
            if key == annotation::REF_NAME && self.brief.as_ref().is_some_and(|brief| brief.kind != EntryKind::Plain) {
                kinds::make_plain(&mut annotations);
            }
            match value {
                Some(value) => drop(annotations.insert(key.into(), value.into())),
                None => drop(annotations.shift_remove(key)),
            }
            if !annotations.is_empty() {
                entry.insert("annotations".into(), Value::Object(annotations));
            }
        }
        Self::of(&own)
    }
}

/// The name of an entry of an `index.json`.
pub(in crate::stores) fn name(desc: &Descriptor) -> Option<&str> {
    desc.annotations.get(annotation::REF_NAME).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::index::{IndexFile, MAX_BYTES};

    #[test]
    fn a_name_is_in_memory_once_however_it_is_written() {
        let entry = |name: &str| {
            format!(
                r#"{{"digest":"{}","size":1,"mediaType":"a/b","annotations":{{"{}":"{name}"}}}}"#,
                Digest::of(b"x"),
                annotation::REF_NAME
            )
        };
        let read = |name| Entry::read(Text(entry(name).into()));
        for (written, own) in [("v1", false), (r"v\u0031", true)] {
            let entry = read(written);
            assert_eq!(entry.name(), Some("v1"));
            assert_eq!(matches!(entry.brief.unwrap().name, Some(NameText::Own(_))), own, "{written}");
        }
        assert_eq!(read("").name(), Some(""));
        // With the text, an index of 32 MiB and 100 000 entries takes less than the memory of all layouts of a server.
        assert!(size_of::<Entry>() <= 112, "{}", size_of::<Entry>());
        assert!(IndexFile::weight(MAX_BYTES) < 64 << 20);
    }
}
