//! Entries of Hauler, which lists signatures under the name of the image that they sign, and of `cosign save`, which lists
//! one image without a name.
//!
//! Both tell the entries apart by the annotation `kind` (Hauler 2: `pkg/consts/consts.go`). In Hauler's, the name of an
//! image is in `io.containerd.image.name`, with its registry; the usual annotation lacks it. cosign (3.1.3) does not list
//! what has the image as its subject at all.

use std::collections::HashMap;

use super::entry::{Entry, NameText};
use crate::{
    oci::{Descriptor, Digest, RefName, Tag, annotation},
    store::{Flaw, FlawKind},
};

/// The annotation for the kind, and the programs that its value starts with; the second one in older versions.
const KIND: &str = "kind";
const PROGRAMS: [&str; 2] = ["dev.hauler/", "dev.cosignproject.cosign/"];
/// The annotation for the whole reference of an image.
const WHOLE_NAME: &str = "io.containerd.image.name";
/// The kinds of what cosign keeps under tags of its own, in the order of [`Tag::companions_of`].
const COMPANIONS: [&str; 3] = ["sigs", "atts", "sboms"];

/// What an entry is by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has none, and is what its name says.
    Plain,
    /// An image, an index, a chart, a file.
    Artifact,
    /// A signature, an attestation or an SBOM of what has the same name: an index into the tags of cosign.
    Companion(u8),
    /// Something with a subject, or of a kind that is not known.
    Other,
}

impl Kind {
    pub(super) fn of(desc: &Descriptor) -> Self {
        let kind = desc.annotations.get(KIND);
        let kind = kind.and_then(|kind| PROGRAMS.iter().find_map(|program| kind.strip_prefix(program)));
        match kind {
            None => Self::Plain,
            Some("image" | "imageIndex") => Self::Artifact,
            Some(kind) => COMPANIONS
                .iter()
                .zip(0..)
                .find(|(known, _)| **known == kind)
                .map_or(Self::Other, |(_, at)| Self::Companion(at)),
        }
    }

    /// The name of an entry of this kind; for a companion, that of what it belongs to.
    pub(super) fn name(self, desc: &Descriptor) -> Option<&str> {
        let usual = desc.annotations.get(annotation::REF_NAME).map(String::as_str);
        match self {
            Self::Plain => usual,
            Self::Other => None,
            Self::Artifact | Self::Companion(_) => {
                let whole = desc.annotations.get(WHOLE_NAME).map(String::as_str);
                whole.filter(|name| name.parse::<RefName>().is_ok()).or(usual)
            }
        }
    }
}

/// Gives companions the tags by which cosign finds them, instead of the names of what they belong to.
pub(super) fn name_companions(entries: &mut [Entry]) {
    let kind = |entry: &Entry| entry.brief.as_ref().map(|brief| brief.kind);
    if !entries.iter().any(|entry| matches!(kind(entry), Some(Kind::Companion(_)))) {
        return;
    }
    let artifacts = || entries.iter().filter(|entry| kind(entry) == Some(Kind::Artifact));
    let owners: HashMap<Box<str>, Digest> =
        artifacts().filter_map(|entry| Some((entry.name()?.into(), entry.digest()?.clone()))).collect();
    let saved = saved(entries).cloned();
    for entry in entries {
        let Some(Kind::Companion(at)) = kind(entry) else { continue };
        let owner = entry.name().map_or(saved.as_ref(), |name| owners.get(name));
        let name = owner.and_then(|owner| tag(owner, at)).map(NameText::Own);
        if let Some(brief) = &mut entry.brief {
            brief.name = name;
        }
    }
}

/// The image of a list that `cosign save` wrote: the only one of its kind, without a name.
pub(super) fn saved(entries: &[Entry]) -> Option<&Digest> {
    let is_artifact = |entry: &&Entry| entry.brief.as_ref().is_some_and(|brief| brief.kind == Kind::Artifact);
    let mut artifacts = entries.iter().filter(is_artifact);
    let only = artifacts.next().filter(|only| only.name().is_none())?;
    if artifacts.next().is_some() { None } else { only.digest() }
}

fn tag(owner: &Digest, at: u8) -> Option<Box<str>> {
    Tag::companions_of(owner).get(usize::from(at)).map(|tag| tag.as_str().into())
}

/// Gives a descriptor the name of its entry, if that is of a kind.
pub(super) fn rename(desc: &mut Descriptor, kind: Kind, name: Option<&str>) {
    if kind != Kind::Plain {
        match name {
            Some(name) => drop(desc.annotations.insert(annotation::REF_NAME.into(), name.to_string())),
            None => drop(desc.annotations.remove(annotation::REF_NAME)),
        }
    }
}

/// Removes from the annotations of an entry what decides its name beside the usual annotation.
pub(super) fn make_plain(annotations: &mut serde_json::Map<String, serde_json::Value>) {
    annotations.shift_remove(KIND);
    annotations.shift_remove(WHOLE_NAME);
}

/// The flaw of a list in which entries have names of others, for programs that do not know the kinds.
pub(super) fn flaw(entries: &[Entry]) -> Option<Flaw> {
    if saved(entries).is_some() {
        return None;
    }
    let kinds = entries.iter().filter_map(|entry| entry.brief.as_ref()).map(|brief| brief.kind);
    let borrowed = kinds.filter(|kind| matches!(kind, Kind::Companion(_) | Kind::Other)).count();
    let message = format!("{borrowed} entries of Hauler have names of others: other tools may take one for an image");
    (borrowed > 0).then(|| Flaw { kind: FlawKind::Doubtful, place: "index.json".into(), message })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stores::index::IndexFile;

    fn entry(byte: u8, annotations: serde_json::Value) -> serde_json::Value {
        let mut desc = serde_json::to_value(Descriptor::of("a/b", &[byte])).unwrap();
        desc["annotations"] = annotations;
        desc
    }

    fn read(entries: serde_json::Value) -> IndexFile {
        IndexFile::read(json!({"schemaVersion": 2, "manifests": entries}).to_string()).unwrap()
    }

    /// As Hauler 2 writes it.
    fn hauled(byte: u8, kind: &str) -> serde_json::Value {
        let name = annotation::REF_NAME;
        entry(byte, json!({KIND: kind, name: "library/a:v1", WHOLE_NAME: "index.docker.io/library/a:v1"}))
    }

    fn names(index: &IndexFile) -> Vec<String> {
        index.names().names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_image_has_its_whole_name_and_its_signatures_have_the_tags_of_cosign() {
        let [sig, att, sbom] = Tag::companions_of(&Digest::of(b"1")).map(|tag| tag.to_string());
        for program in PROGRAMS {
            let kinds = [(2, "sigs"), (1, "image"), (3, "atts"), (4, "sboms"), (5, "referrers/12"), (6, "unheard-of")];
            let index =
                read(kinds.map(|(byte, kind)| hauled(b'0' + byte, &format!("{program}{kind}"))).to_vec().into());
            let image = "index.docker.io/library/a:v1";
            assert_eq!(names(&index), [image, &att, &sbom, &sig]);
            for (name, byte) in [(image, b"1"), (&sig, b"2"), (&att, b"3"), (&sbom, b"4")] {
                let found = index.named(name).unwrap().unwrap();
                assert_eq!(found.digest, Digest::of(byte));
                assert_eq!(found.annotations[annotation::REF_NAME], name);
            }
            let unnamed = index.entries().filter(|desc| !desc.annotations.contains_key(annotation::REF_NAME));
            assert_eq!(unnamed.count(), 2);
            assert_eq!(index.doubtful().len(), 1, "other tools take names differently");
        }
    }

    #[test]
    fn what_has_no_owner_with_a_name_has_none_itself() {
        assert!(names(&read(json!([hauled(2, "dev.hauler/sigs")]))).is_empty());
        let chart =
            read(json!([entry(1, json!({KIND: "dev.hauler/image", annotation::REF_NAME: "hauler/web:1.0.0"}))]));
        assert_eq!(names(&chart), ["hauler/web:1.0.0"]);
    }

    /// As `cosign save` of cosign 3.1.3 writes it.
    #[test]
    fn what_cosign_saved_has_the_tags_of_cosign_and_no_other_name() {
        let kind = |kind: &str| json!({KIND: format!("dev.cosignproject.cosign/{kind}")});
        let [sig, att, _] = Tag::companions_of(&Digest::of(b"1")).map(|tag| tag.to_string());
        let index = read(json!([entry(b'1', kind("image")), entry(b'2', kind("sigs")), entry(b'3', kind("atts"))]));
        assert_eq!(names(&index), [att, sig]);
        assert!(index.lacks_referrers());
        assert!(index.doubtful().is_empty());
        let two = read(json!([entry(b'1', kind("image")), entry(b'4', kind("image")), entry(b'2', kind("sigs"))]));
        assert!(names(&two).is_empty(), "nobody knows whose it is");
        assert!(!two.lacks_referrers());
        assert!(!read(json!([entry(b'1', json!({}))])).lacks_referrers());
    }

    #[test]
    fn a_kind_of_anybody_else_means_nothing() {
        let index =
            read(json!([entry(1, json!({KIND: "sigs", annotation::REF_NAME: "v1", WHOLE_NAME: "a.test/b:v2"}))]));
        assert_eq!(names(&index), ["v1"]);
        assert!(index.doubtful().is_empty());
    }

    #[test]
    fn a_name_that_was_changed_stays_changed() {
        let mut index = read(json!([hauled(1, "dev.hauler/image")]));
        assert!(index.untag("index.docker.io/library/a:v1").unwrap());
        let mut again = IndexFile::read(index.encode().unwrap()).unwrap();
        assert!(names(&again).is_empty());
        let desc = again.entries().next().unwrap();
        again.tag(&[("v2".parse().unwrap(), desc)].into()).unwrap();
        assert_eq!(names(&IndexFile::read(again.encode().unwrap()).unwrap()), ["v2"]);
    }
}
