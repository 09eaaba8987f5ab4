//! Documents: manifests, plans, definitions, faults.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::{
    fault::{Faults, Scenario},
    oci::{Parsed, media_type},
    plan::{self, Plan, Unpacking},
    source::Source,
    types::{ArtifactType, Inputs, Origin, lint::lint},
};

/// An image manifest. What is accepted is written and read again as the same, and other readers read the same.
pub(super) fn manifest(bytes: &[u8]) {
    if let Ok(Parsed::Manifest(read)) = Parsed::read(media_type::MANIFEST, bytes) {
        let written = serde_json::to_vec(&read);
        again(media_type::MANIFEST, &written.unwrap_or_default(), &Parsed::Manifest(read));
        reads_alike(bytes, MANIFEST);
    }
}

/// An image index; as [`manifest`].
pub(super) fn index(bytes: &[u8]) {
    if let Ok(Parsed::Index(read)) = Parsed::read(media_type::INDEX, bytes) {
        let written = serde_json::to_vec(&read);
        again(media_type::INDEX, &written.unwrap_or_default(), &Parsed::Index(read));
        reads_alike(bytes, MANIFEST);
    }
}

/// A manifest of a media type that nobody knows.
pub(super) fn other_manifest(bytes: &[u8]) {
    if let Ok(read) = Parsed::read("application/vnd.unknown.manifest+json", bytes) {
        let of_objects = !read.children().is_empty() || read.subject().is_some();
        assert!(!of_objects || bytes.trim_ascii_start().starts_with(b"{"), "content of what is no document");
        if of_objects {
            reads_alike(bytes, OTHER);
        }
    }
}

fn again(media_type: &str, written: &[u8], first: &Parsed) {
    let second = Parsed::read(media_type, written);
    assert_eq!(second.as_ref().ok(), Some(first), "written and read again: {second:?}");
}

/// A plan that a program printed, or how to unpack.
pub(super) fn plan(bytes: &[u8]) {
    if let Ok(read) = plan::parse::<Plan>(bytes) {
        let second = plan::parse::<Plan>(&serde_json::to_vec(&read).unwrap_or_default());
        assert_eq!(second.ok(), Some(read), "a plan is written and read again");
    }
    if let Ok(read) = plan::parse::<Unpacking>(bytes) {
        let second = plan::parse::<Unpacking>(&serde_json::to_vec(&read).unwrap_or_default());
        assert_eq!(second.ok(), Some(read), "an unpacking is written and read again");
    }
}

/// A definition. Lint reads what the parser reads.
pub(super) fn definition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = ArtifactType::parse(text, Origin::File(PathBuf::from("fuzz.yaml")));
    let linted = lint(text, "fuzz.yaml");
    if let Ok(kind) = parsed {
        assert!(linted.is_ok(), "lint refuses what the parser takes");
        assert_eq!(kind.text(), text);
    }
}

/// A template, or after a `=` an expression, evaluated in a definition.
pub(super) fn expression(bytes: &[u8]) {
    let (Ok(text), Some(source)) = (std::str::from_utf8(bytes), source()) else { return };
    let (template, condition) = match text.strip_prefix('=') {
        Some(condition) => ("", condition),
        None => (text, "true"),
    };
    // JSON strings are YAML, too.
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let definition = format!(
        "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {{name: fuzz, description: x}}\n\
         detect: [{{form: file, file: {{}}}}]\nparams: {{p: {{description: x, default: \"a,b\"}}}}\n\
         manifest: {{artifactType: a/b, annotations: {{x: {}}}}}\n\
         validate: [{{that: {}, message: x}}]\n",
        quoted(template),
        quoted(condition)
    );
    let Ok(kind) = ArtifactType::parse(&definition, Origin::File(PathBuf::from("fuzz.yaml"))) else { return };
    let (kind, inputs) = (Arc::new(kind), Inputs::default());
    let (first, second) = (kind.plan(source, &inputs), kind.plan(source, &inputs));
    assert_eq!(first.ok(), second.ok(), "a template gives the same each time");
}

/// A source, the same for all runs: a file with a little text.
fn source() -> Option<&'static Source> {
    static SOURCE: LazyLock<Option<(tempfile::TempDir, Source)>> = LazyLock::new(|| {
        let dir = tempfile::tempdir().ok()?;
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "some text\n").ok()?;
        Some((dir, Source::open(path).ok()?))
    });
    SOURCE.as_ref().map(|(_, source)| source)
}

/// Faults, or scenarios of them.
pub(super) fn faults(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(Faults::parse(text));
    for scenario in Scenario::parse(text).unwrap_or_default() {
        let faults = scenario.faults();
        drop(faults.count(text.lines().next().unwrap_or_default()));
    }
}

/// The fields that decide which content belongs to a document.
const MANIFEST: &[&str] = &["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType"];
const OTHER: &[&str] = &["config", "layers", "blobs", "manifests", "subject", "artifactType"];
/// Those of a descriptor.
const DESCRIPTOR: &[&str] = &["mediaType", "digest", "size", "data", "artifactType", "platform"];

/// Readers that ignore the case of keys, and take the last of several, read the same as this one.
fn reads_alike(bytes: &[u8], fields: &[&str]) {
    let Ok(document) = serde_json::from_slice::<Tree>(bytes) else { return };
    document.check(fields);
    for key in ["config", "subject", "layers", "manifests", "blobs"].iter().filter(|key| fields.contains(key)) {
        document.values(key).for_each(Tree::check_descriptors);
    }
}

/// JSON with all its keys, also those that are there twice.
enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Other,
}

impl Tree {
    fn values(&self, key: &str) -> impl Iterator<Item = &Tree> {
        let pairs = if let Self::Object(pairs) = self { pairs.as_slice() } else { &[] };
        pairs.iter().filter(move |(known, _)| known == key).map(|(_, value)| value)
    }

    fn check_descriptors(&self) {
        match self {
            Self::Array(items) => items.iter().for_each(Self::check_descriptors),
            // What has no digest is no descriptor, and is not read.
            other if other.values("digest").next().is_some() => other.check(DESCRIPTOR),
            _ => {}
        }
    }

    /// No key of this object is one of these fields for some readers only.
    fn check(&self, fields: &[&str]) {
        let Self::Object(pairs) = self else { return };
        for (key, _) in pairs {
            let alike = fields.iter().find(|field| folds(key) == folds(field));
            assert!(alike.is_none_or(|field| field == key), "`{key}` is `{alike:?}` for some readers");
        }
    }
}

fn folds(key: &str) -> String {
    key.to_uppercase().to_lowercase()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Tree::Object(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }
}
