//! Plans without types, packed.

use std::collections::BTreeMap;

use artifact::{
    Result,
    oci::{Descriptor, media_type},
    pack::{Options, Packed, pack},
    plan::{Compression, Content, Entry, EntryKind, ManifestPlan, Part, Plan},
};
use tempfile::TempDir;

/// A directory with these files in `source`, and an empty `scratch`.
pub(crate) fn world(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("scratch")).unwrap();
    for (name, text) in files {
        let path = dir.path().join("source").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

pub(crate) fn part(media_type: &str, content: Content) -> Part {
    Part { id: String::new(), media_type: media_type.into(), content, annotations: BTreeMap::new() }
}

/// A plan with an empty config and an artifact type.
pub(crate) fn plan(dir: &TempDir, layers: Vec<Part>) -> Plan {
    let artifact_type = Some("application/vnd.test".into());
    let config = part(media_type::EMPTY, Content::Empty {});
    Plan {
        type_name: "test".into(),
        base: dir.path().join("source"),
        root: ManifestPlan { layers, artifact_type, ..ManifestPlan::of(config) }.into(),
        reference: Default::default(),
        warnings: Vec::new(),
    }
}

pub(crate) async fn run(dir: &TempDir, plan: &Plan) -> Result<Packed> {
    pack(plan, &Options { threads: 2, ..Options::new(dir.path().join("scratch")) }).await
}

pub(crate) async fn bytes(packed: &Packed, desc: &Descriptor) -> Vec<u8> {
    super::writing::read(packed, desc, 1 << 30).await.unwrap().to_vec()
}

pub(crate) fn archive(names: &[&str]) -> Content {
    let entry =
        |name: &&str| Entry { path: (*name).into(), mode: 0o644, mtime: 0, kind: EntryKind::Text((*name).into()) };
    Content::Tar { entries: names.iter().map(entry).collect(), compress: Compression::None }
}

/// Names that need each of the ways a tar has to hold a name.
pub(crate) fn hard_names() -> Vec<String> {
    vec![
        "plain".into(),
        format!("{}/{}", "d".repeat(150), "n".repeat(100)),
        format!("{}/{}", "d".repeat(120), "n".repeat(120)),
        "ümläut/日本".into(),
        "x".repeat(250),
        "new\nline = tab\t".into(),
        "n".repeat(100),
        "n".repeat(101),
    ]
}
