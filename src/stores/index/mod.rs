//! The `index.json` of layouts and archives: entries of other writers stay unchanged, and equal content gives equal
//! bytes.

mod entry;
mod flaws;
#[cfg(all(feature = "fuzz", feature = "types"))]
mod fuzz;
mod kinds;
mod parts;
mod reading;
mod sorted;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::DeserializeSeed as _;
use serde_json::value::RawValue;

use crate::{
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, RefName, annotation, media_type},
};

#[cfg(all(feature = "fuzz", feature = "types"))]
pub(crate) use self::fuzz::index_json;
use self::{entry::Entry, reading::Document};
pub(super) use self::{entry::name, parts::Parts, sorted::Sorted};

/// Largest `index.json` that is read or written.
pub(super) const MAX_BYTES: u64 = 32 << 20;
/// Most entries in an `index.json`.
const MAX_ENTRIES: usize = 100_000;
/// What is known of the manifest of an entry besides its text, and its place in the order, in bytes.
const ABOUT: u64 = 128;
/// Annotations of a manifest are repeated in its entry up to this size, in bytes.
const MAX_ANNOTATIONS: usize = 4 << 10;

/// The entries of an `index.json`, and its other fields.
#[derive(Debug, Clone)]
pub(super) struct IndexFile {
    fields: Vec<(String, Box<RawValue>)>,
    entries: Vec<Entry>,
    /// True if there is a list of entries at all.
    listed: bool,
    changed: bool,
    /// See [`IndexFile::whole`].
    whole: Option<Box<(Descriptor, Bytes)>>,
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|e| Error::caused(Kind::Internal, "cannot encode JSON", e))
}

impl IndexFile {
    /// An index without entries.
    pub(super) fn empty() -> Result<Self> {
        let fields = vec![
            ("schemaVersion".to_owned(), raw(&2)?),
            ("mediaType".to_owned(), raw(&media_type::INDEX)?),
            ("manifests".to_owned(), raw(&[0_u8; 0])?),
        ];
        Ok(Self { fields, entries: Vec::new(), listed: true, changed: true, whole: None })
    }

    /// Reads an `index.json`. Entries that are not descriptors are kept and otherwise ignored (image-spec
    /// image-layout.md: unknown media types must not fail).
    ///
    /// Errors: not a JSON object with `schemaVersion` 2, a duplicate key, a key that is a known one only without regard
    /// to case, too large, more than 100 000 entries.
    pub(super) fn read(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::limit(format!("`index.json` has {} bytes; the limit is {MAX_BYTES}", bytes.len())));
        }
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let read = Document(&bytes).deserialize(&mut reader).and_then(|index| reader.end().map(|()| index));
        let mut index = read.map_err(|e| Error::caused(Kind::Invalid, "malformed `index.json`", e))?;
        kinds::name_companions(&mut index.entries);
        let version = index.fields.iter().find(|(key, _)| key == "schemaVersion").map(|(_, value)| value.get());
        if version != Some("2") {
            return Err(Error::invalid("`index.json` must have `schemaVersion` 2"));
        }
        index.whole = index.find_whole(&bytes);
        Ok(index)
    }

    /// The memory that an index of this size in bytes takes at most, with what is known of its manifests. An entry has
    /// at least two bytes of text, `1,`. Texts and names are parts of what was read; those that are not are few, since
    /// they are longer there.
    pub(super) fn weight(bytes: u64) -> u64 {
        let entries = (bytes / 2).min(MAX_ENTRIES as u64);
        bytes.saturating_add(entries.saturating_mul(ABOUT.saturating_add(size_of::<Entry>() as u64)))
    }

    /// Encodes the index: entries sorted by name, then the unnamed; equal ones by digest.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut sorted: Vec<&Entry> = self.entries.iter().collect();
        sorted.sort_by(|a, b| a.key().cmp(&b.key()));
        let mut out = b"{".to_vec();
        for (i, (key, value)) in self.fields.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"" } else { b"," });
            out.extend_from_slice(&serde_json::to_vec(key).unwrap_or_default());
            out.push(b':');
            if key != "manifests" {
                out.extend_from_slice(value.get().as_bytes());
                continue;
            }
            out.push(b'[');
            for (i, entry) in sorted.iter().enumerate() {
                out.extend_from_slice(if i == 0 { b"" } else { b"," });
                out.extend_from_slice(&entry.raw.0);
            }
            out.push(b']');
        }
        out.push(b'}');
        if out.len() as u64 > MAX_BYTES || self.entries.len() > MAX_ENTRIES {
            return Err(Error::limit(format!("`index.json` would exceed {MAX_ENTRIES} entries or {MAX_BYTES} bytes")));
        }
        Ok(out)
    }

    /// True if anything differs from the file that was read.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// All entries that are descriptors.
    pub(super) fn entries(&self) -> impl Iterator<Item = Descriptor> {
        self.entries.iter().filter_map(Entry::desc)
    }

    /// The digests of all entries that are descriptors.
    pub(super) fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.entries.iter().filter_map(Entry::digest)
    }

    /// The entries for which this holds, of all that are descriptors.
    pub(super) fn entries_with(&self, wanted: impl Fn(&Digest) -> bool) -> impl Iterator<Item = Descriptor> {
        self.entries.iter().filter(move |entry| entry.digest().is_some_and(&wanted)).filter_map(Entry::desc)
    }

    /// The manifest that a name stands for. Errors: two different manifests, since readers would disagree.
    pub(super) fn named(&self, wanted: &str) -> Result<Option<Descriptor>> {
        let mut found = self.entries.iter().filter(|entry| entry.name_bytes() == Some(wanted.as_bytes()));
        let Some(first) = found.next() else { return Ok(None) };
        if found.any(|other| other.digest() != first.digest()) {
            return Err(Error::invalid(format!("`{wanted}` stands for two different manifests")));
        }
        Ok(first.desc())
    }

    /// True if manifests with a subject are not listed, as `cosign save` leaves them.
    pub(super) fn lacks_referrers(&self) -> bool {
        kinds::saved(&self.entries).is_some()
    }

    /// Lists manifests that the file lacks. That alone does not change the file.
    pub(super) fn complete<'a>(&mut self, descs: impl IntoIterator<Item = &'a Descriptor>) -> Result<()> {
        let changed = self.changed;
        self.list(descs)?;
        self.changed = changed;
        Ok(())
    }

    /// Lists manifests without a name, with artifact type and annotations, unless listed already.
    pub(super) fn list<'a>(&mut self, descs: impl IntoIterator<Item = &'a Descriptor>) -> Result<()> {
        let mut known: BTreeSet<Digest> = self.digests().cloned().collect();
        for desc in descs {
            if known.insert(desc.digest.clone()) {
                let mut annotations = desc.annotations.clone();
                annotations.remove(annotation::REF_NAME);
                // Annotations and types only inform other tools and must not bloat the list.
                if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_ANNOTATIONS {
                    annotations.clear();
                }
                let artifact_type = desc.artifact_type.clone().filter(|given| given.len() <= media_type::MAX_LEN);
                self.entries.push(Entry::of(&Descriptor { artifact_type, annotations, ..desc.bare() })?);
                self.changed = true;
            }
        }
        Ok(())
    }

    /// Points names at manifests, and returns the manifests that are therefore no longer listed.
    pub(super) fn tag(&mut self, tags: &BTreeMap<RefName, Descriptor>) -> Result<Vec<Descriptor>> {
        let mut left = tags.clone();
        // One such entry is enough; a second one of the same name must not remain.
        let mut displaced = Vec::new();
        let mut kept = Vec::with_capacity(self.entries.len().saturating_add(tags.len()));
        for entry in std::mem::take(&mut self.entries) {
            match entry.name().and_then(|name| tags.get(name).map(|desc| (name, desc))) {
                Some((name, desc)) if entry.digest() == Some(&desc.digest) && left.remove(name).is_some() => {
                    kept.push(entry);
                }
                Some(_) => displaced.extend(entry.desc()),
                None => kept.push(entry),
            }
        }
        self.changed |= !left.is_empty() || !displaced.is_empty();
        let mut untagged: BTreeMap<Digest, usize> = BTreeMap::new();
        for (at, entry) in kept.iter().enumerate().filter(|(_, entry)| entry.name().is_none()) {
            untagged.extend(entry.digest().cloned().map(|digest| (digest, at)));
        }
        for (name, desc) in left {
            match untagged.remove(&desc.digest).and_then(|at| kept.get_mut(at)) {
                Some(entry) => *entry = entry.named(Some(&name))?,
                None => {
                    let annotations = [(annotation::REF_NAME.to_owned(), name.into())].into();
                    kept.push(Entry::of(&Descriptor { annotations, ..desc.bare() })?);
                }
            }
        }
        self.entries = kept;
        let listed: BTreeSet<&Digest> = self.digests().collect();
        displaced.retain(|desc| !listed.contains(&desc.digest));
        Ok(displaced)
    }

    /// Removes a name; its manifest stays listed. `false` if there is no such name.
    pub(super) fn untag(&mut self, wanted: &str) -> Result<bool> {
        let (named, mut rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.entries).into_iter().partition(|entry| entry.name() == Some(wanted));
        for entry in &named {
            if !rest.iter().any(|other| other.digest() == entry.digest()) {
                rest.push(entry.named(None)?);
            }
        }
        self.entries = rest;
        self.changed |= !named.is_empty();
        Ok(!named.is_empty())
    }

    /// Removes all entries of a manifest.
    pub(super) fn forget(&mut self, digest: &Digest) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.digest() != Some(digest));
        self.changed |= self.entries.len() != before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desc(text: &str) -> Descriptor {
        Descriptor::of(media_type::MANIFEST, text.as_bytes())
    }

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<RefName, Descriptor> {
        pairs.iter().map(|(name, text)| (name.parse().unwrap(), desc(text))).collect()
    }

    #[test]
    fn a_type_that_is_longer_than_any_does_not_bloat_the_list() {
        let mut index = IndexFile::empty().unwrap();
        let (long, short) = ("x".repeat(media_type::MAX_LEN + 1), "x".repeat(media_type::MAX_LEN));
        let descs = [&long, &short].map(|given| Descriptor { artifact_type: Some(given.clone()), ..desc(given) });
        index.list(&descs).unwrap();
        let listed: Vec<_> = index.entries().map(|desc| desc.artifact_type).collect();
        assert_eq!(listed, [None, Some(short)]);
    }

    #[test]
    fn the_first_names_are_found_wherever_they_are_and_however_often() {
        let entry = |name: &str| {
            let annotations = [(annotation::REF_NAME.to_owned(), name.to_owned())].into();
            serde_json::to_string(&Descriptor { annotations, ..desc(name) }).unwrap()
        };
        let entries = ["d", "b", "not a name\n", "a", "b", "c", "a"].map(entry).join(",");
        let index = IndexFile::read(format!(r#"{{"schemaVersion":2,"manifests":[{entries},1]}}"#)).unwrap();
        for (last, most, names, more) in [
            (None, 9, &["a", "b", "c", "d"][..], false),
            (None, 4, &["a", "b", "c", "d"], false),
            (None, 2, &["a", "b"], true),
            (None, 0, &[], true),
            (Some("a"), 2, &["b", "c"], true),
            (Some("bb"), 2, &["c", "d"], false),
            (Some("d"), 1, &[], false),
        ] {
            let page = Sorted::of(&index).after(&index, last, most);
            assert_eq!(
                (page.names, page.more),
                (names.iter().map(|n| n.parse().unwrap()).collect(), more),
                "{last:?} {most}"
            );
            assert_eq!(page.unreadable.len(), 1);
        }
    }

    #[test]
    fn what_others_wrote_stays_as_they_wrote_it() {
        let foreign = format!(
            r#"{{ "x-big": 123456789012345678901234567890, "schemaVersion":2, "manifests":[ {{"mediaType":"a/b", "future": [1, 2.50]}}, {{"digest":"{}","size":1,"mediaType":"a/b","extra":{{"a": 1e400}}}}, null ], "annotations":{{"k":"v"}} }}"#,
            Digest::of(b"x")
        );
        let mut index = IndexFile::read(foreign.clone()).unwrap();
        index.tag(&tags(&[("v1", "one")])).unwrap();
        let bytes = String::from_utf8(index.encode().unwrap()).unwrap();
        for part in [
            r#""x-big":123456789012345678901234567890"#,
            r#"{"mediaType":"a/b", "future": [1, 2.50]}"#,
            r#""extra":{"a": 1e400}}"#,
            r#",null"#,
            r#""annotations":{"k":"v"}"#,
        ] {
            assert!(bytes.contains(part), "{part} is not in {bytes}");
        }
        assert_eq!(IndexFile::read(bytes.clone()).unwrap().encode().unwrap(), bytes.as_bytes());
    }

    #[test]
    fn the_order_of_events_does_not_show_in_the_bytes() {
        let mut one = IndexFile::empty().unwrap();
        one.tag(&tags(&[("b", "2"), ("a", "1")])).unwrap();
        one.list([&desc("3")]).unwrap();
        let mut two = IndexFile::empty().unwrap();
        for (name, text) in [("a", "0"), ("b", "2"), ("a", "1")] {
            two.list([&desc("3")]).unwrap();
            two.tag(&tags(&[(name, text)])).unwrap();
        }
        assert_eq!(one.encode().unwrap(), two.encode().unwrap());
    }

    #[test]
    fn a_tag_moves_and_names_what_it_displaced() {
        let mut index = IndexFile::empty().unwrap();
        index.tag(&tags(&[("v1", "one"), ("v2", "one")])).unwrap();
        assert!(index.tag(&tags(&[("v1", "two")])).unwrap().is_empty(), "still listed as v2");
        let displaced = index.tag(&tags(&[("v2", "two")])).unwrap();
        assert_eq!(displaced.iter().map(|d| &d.digest).collect::<Vec<_>>(), [&desc("one").digest]);
        assert_eq!(index.entries().count(), 2);
    }

    #[test]
    fn an_unnamed_entry_gets_its_name_and_loses_it_again() {
        let mut index = IndexFile::empty().unwrap();
        index.list([&desc("one")]).unwrap();
        let before = index.encode().unwrap();
        index.tag(&tags(&[("v1", "one")])).unwrap();
        assert_eq!(index.entries().count(), 1);
        assert!(index.untag("v1").unwrap());
        assert!(!index.untag("v1").unwrap());
        assert_eq!(index.encode().unwrap(), before);
    }

    #[test]
    fn a_name_that_stands_for_two_manifests_is_an_error() {
        let entry = |text: &str| {
            let annotations = [(annotation::REF_NAME.to_owned(), "v1".to_owned())].into();
            serde_json::to_string(&Descriptor { annotations, ..desc(text) }).unwrap()
        };
        let bytes = format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, entry("one"), entry("two"));
        let mut index = IndexFile::read(bytes.clone()).unwrap();
        assert_eq!(index.named("v1").unwrap_err().kind(), Kind::Invalid);
        index.tag(&tags(&[("v1", "one")])).unwrap();
        assert_eq!(index.named("v1").unwrap().unwrap().digest, desc("one").digest);
    }

    #[test]
    fn hostile_documents_are_refused() {
        let many = format!(r#"{{"schemaVersion":2,"manifests":[{}1]}}"#, "1,".repeat(MAX_ENTRIES));
        for bad in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[]}x"#,
            r#"{"schemaVersion":2,"manifests":["#,
            many.as_str(),
        ] {
            assert!(IndexFile::read(bad.to_owned()).is_err(), "{bad:.60}");
        }
    }
}
