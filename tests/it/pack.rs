//! Tests of `pack`: the digests that other tools published, determinism, quotes, and plans that are refused.

mod outlet;

use std::{collections::BTreeMap, os::unix::fs::symlink, sync::Arc};

use artifact::{
    Kind,
    oci::{Descriptor, Digest, media_type},
    pack::{Options, Packed, pack},
    plan::{Compression, Content, Entry, EntryKind, ManifestPlan, Order, Part, Plan, Quote, Quoted},
    store::{self, Name, ReadStore},
    stores::Memory,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    packing::{archive, bytes, part, plan, run, world},
    samples::{named, names},
    writing::read,
};

const TITLE: &str = "org.opencontainers.image.title";

fn file(media_type: &str, path: &str) -> Part {
    let annotations = BTreeMap::from([(TITLE.to_owned(), path.into())]);
    Part { annotations, ..part(media_type, Content::File(path.into())) }
}

fn text(content: &str) -> Part {
    part("text/plain", Content::Text(content.into()))
}

fn json(value: Value) -> Part {
    part("application/json", Content::Json { value, encoding: Default::default() })
}

async fn fails(dir: &TempDir, plan: &Plan) -> (Kind, String) {
    let error = run(dir, plan).await.unwrap_err();
    (error.kind(), error.to_string())
}

fn with_config(mut plan: Plan, config: Part) -> Plan {
    plan.manifest_mut().unwrap().config = config;
    plan
}

fn manifest(packed: &Packed) -> Value {
    serde_json::from_slice(packed.manifest()).unwrap()
}

#[tokio::test]
async fn oras_foobar_has_the_digest_that_oras_published() {
    let dir = world(&[("foo1", "foo"), ("foo2", "foo"), ("bar", "bar")]);
    let layers = ["foo1", "foo2", "bar"].map(|name| file("application/vnd.oci.image.layer.v1.tar", name)).into();
    let mut plan = plan(&dir, layers);
    plan.manifest_mut().unwrap().config = part("application/vnd.unknown.config.v1+json", Content::Empty {});
    plan.manifest_mut().unwrap().artifact_type = None;
    let packed = run(&dir, &plan).await.unwrap();
    assert_eq!(packed.root().size, 851);
    let golden = "sha256:fd6ed2f36b5465244d5dc86cb4e7df0ab8a9d24adc57825099f522fe009a22bb";
    assert_eq!(packed.root().digest.to_string(), golden);
}

#[tokio::test]
async fn configs_have_the_digests_that_other_tools_published() {
    let helm = json!({"name": "signtest", "version": "0.1.0", "description": "A Helm chart for Kubernetes", "apiVersion": "v1"});
    for (config, size, digest) in [
        (helm, 99, "sha256:8d17cb6bf6ccd8c29aace9a658495cbd5e2e87fc267876e86117c7db681c9580"),
        (
            json!({"architecture": "arm64", "os": "darwin"}),
            38,
            "sha256:e94c0ba80a1157ffab5b5c6656fffc089c6446c7ed0604f3382910d1ef7dd40d",
        ),
        (
            json!({"architecture": "amd64", "os": "linux"}),
            37,
            "sha256:9d99a75171aea000c711b34c0e5e3f28d3d537dd99d110eafbfbc2bd8e52c2bf",
        ),
    ] {
        let dir = world(&[]);
        let packed = run(&dir, &with_config(plan(&dir, vec![]), json(config))).await.unwrap();
        assert_eq!(
            (packed.config().unwrap().size, packed.config().unwrap().digest.to_string().as_str()),
            (size, digest)
        );
    }
}

#[tokio::test]
async fn without_layers_there_is_one_empty_layer() {
    let dir = world(&[]);
    let packed = run(&dir, &plan(&dir, vec![])).await.unwrap();
    let empty = json!({
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
        "data": "e30="
    });
    assert_eq!(
        manifest(&packed),
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.test",
            "config": empty,
            "layers": [empty],
        })
    );
    assert!(packed.layers().is_empty());
    assert_eq!(bytes(&packed, packed.config().unwrap()).await, b"{}");
}

#[tokio::test]
async fn the_manifest_says_what_the_plan_says_and_nothing_else() {
    let dir = world(&[("b", "bee"), ("a", "ay")]);
    let mut plan = plan(&dir, vec![file("text/plain", "b"), file("text/plain", "a")]);
    plan.manifest_mut().unwrap().omit_media_type = true;
    plan.manifest_mut().unwrap().order = Order::Digest;
    plan.manifest_mut().unwrap().subject = Some(Descriptor::of(media_type::MANIFEST, b"subject"));
    plan.manifest_mut().unwrap().annotations.insert("html".into(), "<&>".into());
    let packed = run(&dir, &plan).await.unwrap();
    let text = std::str::from_utf8(packed.manifest()).unwrap();
    assert!(text.starts_with(r#"{"schemaVersion":2,"artifactType":"application/vnd.test","config":{"#), "{text}");
    assert!(text.ends_with(r#","annotations":{"html":"\u003c\u0026\u003e"}}"#), "{text}");
    assert_eq!(packed.layers().iter().map(|l| l.title().unwrap()).collect::<Vec<_>>(), ["b", "a"]);
    let digests: Vec<_> = manifest(&packed)["layers"].as_array().unwrap().iter().map(|l| l["digest"].clone()).collect();
    let (a, b) = (Digest::of(b"ay").to_string(), Digest::of(b"bee").to_string());
    assert_eq!(digests, if a < b { [a, b] } else { [b, a] });
    let summary = serde_json::to_value(packed.summary()).unwrap();
    assert_eq!(summary["digest"], packed.root().digest.to_string());
    assert_eq!(summary["totalSize"], packed.root().size + 2 + 3 + 2);
    assert_eq!(summary["annotations"], json!({"html": "<&>"}));
    let subject = plan.manifest().unwrap().subject.as_ref().unwrap();
    let referrers = packed.referrers(subject).await.unwrap();
    assert_eq!(referrers[0].artifact_type.as_deref(), Some("application/vnd.test"));
    assert_eq!(packed.referrers(packed.root()).await.unwrap(), []);
}

/// The directory `source` as a tar layer, sorted by name, with what a type would say about modes and times.
fn tar(dir: &TempDir, compress: Compression) -> Part {
    let mut entries = Vec::new();
    let mut open = vec![String::new()];
    while let Some(at) = open.pop() {
        let path = dir.path().join("source").join(&at);
        if path.is_dir() {
            let names = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            open.extend(names.map(|name| if at.is_empty() { name } else { format!("{at}/{name}") }));
        }
        let (mode, kind) =
            if path.is_dir() { (0o755, EntryKind::Directory) } else { (0o644, EntryKind::File(at.clone().into())) };
        let path = if at.is_empty() { "root".into() } else { format!("root/{at}") };
        entries.push(Entry { path, mode, mtime: 0, kind });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    part("application/vnd.oci.image.layer.v1.tar+gzip", Content::Tar { entries, compress })
}

#[tokio::test]
async fn the_same_files_have_the_same_digest_whatever_made_them() {
    let big = "0123456789abcdef".repeat(100_000);
    let tree: Vec<(&str, &str)> = vec![("a/1", "one"), ("a/2", &big), ("b", ""), ("c/d/e", "deep"), ("z", "last")];
    for compress in [Compression::None, Compression::Gzip(6), Compression::Zstd(3)] {
        let mut digests = Vec::new();
        for threads in [1, 2, 8] {
            let mut tree = tree.clone();
            tree.rotate_left(threads % 5);
            let dir = world(&tree);
            for (name, _) in &tree {
                let file = std::fs::File::options().append(true).open(dir.path().join("source").join(name)).unwrap();
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 * threads as u64);
                file.set_modified(time).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(if threads == 2 { 0o600 } else { 0o664 });
                file.set_permissions(mode).unwrap();
            }
            let options = Options { threads, ..Options::new(dir.path().join("scratch")) };
            let plan = plan(&dir, vec![tar(&dir, compress), file("text/plain", "z")]);
            digests.push(pack(&plan, &options).await.unwrap().root().digest.clone());
        }
        digests.dedup();
        assert_eq!(digests.len(), 1, "{compress:?}: {digests:?}");
    }
}

#[tokio::test]
async fn quotes_are_replaced_by_what_was_packed() {
    let dir = world(&[("f", "file")]);
    let quote = |layer, value| Quote { layer, value }.to_value();
    let mut layer = tar(&dir, Compression::Gzip(6));
    layer.annotations.insert("own".into(), quote(0, Quoted::DiffId));
    layer.annotations.insert("size".into(), quote(1, Quoted::Size));
    let mut plan = plan(&dir, vec![layer, text("hello")]);
    let value = json!({"layers": [{"d": quote(0, Quoted::Digest)}], "diff": quote(0, Quoted::DiffId), "n": quote(1, Quoted::Size)});
    plan.manifest_mut().unwrap().config = json(value);
    plan.manifest_mut().unwrap().annotations.insert("second".into(), quote(1, Quoted::Digest));
    let packed = run(&dir, &plan).await.unwrap();

    let layer = &packed.layers()[0];
    let mut plain = Vec::new();
    let compressed = bytes(&packed, layer).await;
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*compressed), &mut plain).unwrap();
    let diff_id = Digest::of(&plain).to_string();
    assert_eq!(layer.annotations["own"], diff_id);
    assert_eq!(layer.annotations["size"], "5");
    let config: Value = serde_json::from_slice(&bytes(&packed, packed.config().unwrap()).await).unwrap();
    assert_eq!(config, json!({"layers": [{"d": layer.digest.to_string()}], "diff": diff_id, "n": 5}));
    assert_eq!(manifest(&packed)["annotations"]["second"], Digest::of(b"hello").to_string());
}

#[tokio::test]
async fn a_packed_artifact_is_copied_like_any_other() {
    let big: String = (0..100_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_string()).collect();
    let dir = world(&[("big", &big), ("small", "small")]);
    let layers =
        vec![tar(&dir, Compression::Zstd(3)), tar(&dir, Compression::None), file("text/plain", "big"), text("t")];
    let packed = run(&dir, &plan(&dir, layers)).await.unwrap();
    assert_eq!(packed.resolve(&Name::Only).await.unwrap(), *packed.root());
    assert_eq!(packed.resolve(&named("anything")).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(packed.resolve(&named(Digest::of(b"").to_string())).await.unwrap_err().kind(), Kind::NotFound);
    let scratch = dir.path().join("scratch");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "temporary files have no name");

    let root = packed.root().clone();
    let from: Arc<dyn ReadStore> = Arc::new(packed);
    let to = Memory::new();
    let into: Arc<dyn store::Store> = Arc::new(to.clone());
    let options = artifact::copy::Options { names: names(&["v1"]), ..Default::default() };
    artifact::copy::between(&from, &Name::Only, &into, &options).await.unwrap();
    assert_eq!(to.resolve(&named("v1")).await.unwrap(), root);
}

#[tokio::test]
async fn a_source_file_that_changes_after_packing_is_an_error() {
    let dir = world(&[("f", "before")]);
    let packed = run(&dir, &plan(&dir, vec![file("text/plain", "f")])).await.unwrap();
    std::fs::write(dir.path().join("source/f"), "afterwards").unwrap();
    let error = read(&packed, &packed.layers()[0], 100).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Changed);
}

#[tokio::test]
async fn a_file_with_more_content_than_size_is_an_error() {
    let dir = world(&[]);
    let status = || "status".into();
    let entries = vec![Entry { path: "x".into(), mode: 0o644, mtime: 0, kind: EntryKind::File(status()) }];
    for content in [Content::File(status()), Content::Tar { entries, compress: Compression::Gzip(6) }] {
        // Files of `/proc` have size 0, whatever is in them.
        let base = format!("/proc/{}", std::process::id()).into();
        let plan = Plan { base, ..plan(&dir, vec![part("text/plain", content)]) };
        assert_eq!(fails(&dir, &plan).await.0, Kind::Changed);
    }
}

#[tokio::test]
async fn files_outside_the_source_are_refused() {
    let dir = world(&[("in/f", "x")]);
    std::fs::write(dir.path().join("secret"), "s").unwrap();
    symlink("../secret", dir.path().join("source/link")).unwrap();
    symlink("../..", dir.path().join("source/in/up")).unwrap();
    symlink("/etc", dir.path().join("source/etc")).unwrap();
    for path in ["../secret", "/etc/passwd", "link", "in/up/secret", "etc/passwd", "in/../../secret"] {
        let raw = plan(&dir, vec![part("a/b", Content::File(path.into()))]);
        let (kind, message) = fails(&dir, &raw).await;
        assert_eq!(kind, Kind::Escape, "{path}: {message}");
        assert!(message.contains(path) && message.starts_with("layer 0: "), "{message}");
        let entries = vec![Entry { path: "x".into(), mode: 0o644, mtime: 0, kind: EntryKind::File(path.into()) }];
        let archive = plan(&dir, vec![part("a/b", Content::Tar { entries, compress: Compression::Gzip(6) })]);
        assert_eq!(fails(&dir, &archive).await.0, Kind::Escape, "{path}");
    }
}

#[tokio::test]
async fn plans_that_cannot_become_artifacts_are_refused() {
    type Change = fn(&mut ManifestPlan);
    let cases: Vec<(&str, Kind, Change)> = vec![
        ("needs an artifact type", Kind::Invalid, |p| p.artifact_type = None),
        ("not a media type", Kind::Invalid, |p| p.artifact_type = Some("x".into())),
        ("layer 0: `text/plain; x=y` is not a media type", Kind::Invalid, |p| {
            p.layers[0].media_type = "text/plain; x=y".into();
        }),
        ("config: `` is not a media type", Kind::Invalid, |p| p.config.media_type = String::new()),
        ("type of manifests", Kind::Invalid, |p| p.layers[0].media_type = media_type::INDEX.into()),
        ("must be `{}`", Kind::Invalid, |p| p.layers[0].media_type = media_type::EMPTY.into()),
        ("two files are named `same` (layers 0 and 1)", Kind::Exists, |p| {
            for layer in &mut p.layers {
                layer.annotations.insert(TITLE.into(), "same".into());
            }
        }),
        ("the quote of layer 2 is out of range; the plan has 2 layers", Kind::Invalid, |p| {
            p.config = json(json!([Quote { layer: 2, value: Quoted::Size }.to_value()]));
        }),
        ("the quote of layer 7", Kind::Invalid, |p| {
            p.layers[1].annotations.insert("k".into(), Quote { layer: 7, value: Quoted::Size }.to_value());
        }),
        ("is not a quote", Kind::Invalid, |p| {
            p.annotations.insert("k".into(), json!({"$layer": 0, "value": "colour"}));
        }),
        ("annotation `k`: the value must be a string or a quote", Kind::Invalid, |p| {
            p.annotations.insert("k".into(), json!(5));
        }),
        ("cannot contain quotes", Kind::Invalid, |p| {
            p.layers[1] = json(json!({"x": Quote { layer: 0, value: Quoted::Digest }.to_value()}));
        }),
        ("the manifest has at least 5", Kind::Limit, |p| {
            p.annotations.insert("k".into(), "x".repeat(5 << 20).into());
        }),
        ("gzip level 10", Kind::Invalid, |p| {
            p.layers[1].content = Content::Tar { entries: vec![], compress: Compression::Gzip(10) };
        }),
        ("tar entry `../x`", Kind::Escape, |p| p.layers[1].content = archive(&["../x"])),
        ("tar entry `/x`", Kind::Escape, |p| p.layers[1].content = archive(&["/x"])),
        ("tar entry ``", Kind::Invalid, |p| p.layers[1].content = archive(&[""])),
        ("tar entry `a\0b`", Kind::Invalid, |p| p.layers[1].content = archive(&["a\0b"])),
        ("named `x`", Kind::Exists, |p| p.layers[1].content = archive(&["x", "y", "x"])),
        ("missing", Kind::NotFound, |p| p.layers[1].content = Content::File("missing".into())),
        ("is not a regular file", Kind::Invalid, |p| p.layers[1].content = Content::File("directory".into())),
    ];
    let dir = world(&[("directory/f", "x")]);
    for (message, kind, change) in cases {
        let mut plan = plan(&dir, vec![text("one"), text("two")]);
        change(plan.manifest_mut().unwrap());
        let (found, text) = fails(&dir, &plan).await;
        assert!(found == kind && text.contains(message), "{message}: {found:?} {text}");
    }
}

#[tokio::test]
async fn the_cause_is_reported_when_several_layers_are_packed() {
    let big = "x".repeat(20 << 20);
    let dir = world(&[("big", &big)]);
    let mut layers = vec![part("a/b", archive(&["ok"])), part("a/b", Content::File("big".into()))];
    layers.push(part("a/b", Content::File("missing".into())));
    for _ in 0..10 {
        assert_eq!(fails(&dir, &plan(&dir, layers.clone())).await.0, Kind::NotFound);
    }
}

#[tokio::test]
async fn a_scratch_directory_that_is_missing_is_named() {
    let noise: String = (0..50_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_string()).collect();
    let dir = world(&[("f", &noise)]);
    std::fs::remove_dir(dir.path().join("scratch")).unwrap();
    for compress in [Compression::None, Compression::Gzip(6), Compression::Zstd(3)] {
        let (kind, message) = fails(&dir, &plan(&dir, vec![tar(&dir, compress)])).await;
        assert!(kind == Kind::NotFound && message.contains("/scratch"), "{kind:?} {message}");
    }
}
