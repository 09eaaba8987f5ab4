//! Tests of `types`: what sources become. What is said of types in other ways is in the modules.

mod catalog;
mod charts;
mod indexes;
mod language;
mod plans;
mod plugins;
mod round_trips;
mod summary;
mod unpacking;
mod verdicts;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use artifact::{
    Kind,
    oci::{Annotations, Descriptor, Manifest, json::Encoding},
    plan::{Compression, Content, EntryKind, Plan},
    types::{ArtifactType, Catalog, Inputs, Origin},
};
use serde_json::json;

use crate::support::typed::{packed, plan_with, set, tree};

fn plan(path: &Path) -> Plan {
    plan_with(path, &Inputs::default()).unwrap()
}

fn define(text: &str) -> artifact::Result<Arc<ArtifactType>> {
    ArtifactType::parse(text, Origin::File("t.yaml".into())).map(Arc::new)
}

/// A definition with these sections.
fn definition(sections: &str) -> String {
    format!("apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {{name: t}}\n{sections}")
}

#[test]
fn the_tests_of_the_built_in_definitions_pass() {
    for kind in Catalog::builtin().unwrap().list() {
        for outcome in artifact::types::test::run(kind, &std::env::temp_dir()).unwrap() {
            assert_eq!(outcome.failure, None, "{}: {}", kind.name(), outcome.name);
        }
        assert!(!kind.definition().tests.is_empty() || kind.name() == "file-bundle", "{}", kind.name());
    }
}

#[test]
fn the_built_in_definitions_are_without_findings() {
    let catalog = Catalog::builtin().unwrap();
    for kind in catalog.list() {
        assert_eq!(artifact::types::lint::lint(kind.text(), kind.name()).unwrap(), [], "{}", kind.name());
    }
}

#[test]
fn a_directory_becomes_one_layer_that_oras_can_restore() {
    let dir =
        tree(&[("docs/a.txt", "a"), ("docs/sub/b.md", "b"), ("docs/x.o", "o"), ("docs/.artifactignore", "*.o\n")]);
    let plan = plan(&dir.path().join("docs"));
    assert_eq!(plan.type_name, "file-bundle");
    assert_eq!(plan.manifest().unwrap().artifact_type.as_deref(), Some("application/vnd.unknown.artifact.v1"));
    assert_eq!(plan.manifest().unwrap().config.content, Content::Empty {});
    let [layer] = &plan.manifest().unwrap().layers[..] else { panic!("{:?}", plan.manifest().unwrap().layers) };
    assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(
        serde_json::to_value(&layer.annotations).unwrap(),
        json!({
            "org.opencontainers.image.title": "docs",
            "io.deis.oras.content.unpack": "true",
            "io.deis.oras.content.digest": {"$layer": 0, "value": "diffId"},
        })
    );
    let Content::Tar { entries, compress: Compression::Gzip(_) } = &layer.content else {
        panic!("{:?}", layer.content)
    };
    let names: Vec<_> = entries.iter().map(|e| (e.path.as_str(), e.mtime)).collect();
    assert_eq!(names, [("docs", 0), ("docs/a.txt", 0), ("docs/sub", 0), ("docs/sub/b.md", 0)]);
    assert_eq!(entries[1].kind, EntryKind::File("a.txt".into()));
}

#[test]
fn a_bundle_can_be_one_layer_for_each_file() {
    let dir = tree(&[("docs/a.txt", "a"), ("docs/sub/b.md", "b"), ("docs/c.bin", "")]);
    let inputs = set(&[("layout", "files"), ("exclude", "*.bin"), ("artifactType", "application/vnd.example.docs")]);
    let plan = plan_with(&dir.path().join("docs"), &inputs).unwrap();
    let layers: Vec<_> =
        plan.manifest().unwrap().layers.iter().map(|l| (l.media_type.as_str(), l.content.clone())).collect();
    assert_eq!(
        layers,
        [("text/plain", Content::File("a.txt".into())), ("text/markdown", Content::File("sub/b.md".into())),]
    );
    assert_eq!(plan.manifest().unwrap().artifact_type.as_deref(), Some("application/vnd.example.docs"));
}

#[test]
fn a_bundle_of_files_that_are_not_there_is_an_error() {
    let dir = tree(&[("docs/a.txt", "a")]);
    for (key, layout) in [("include", "tree"), ("include", "files"), ("exclude", "tree")] {
        let inputs = set(&[("layout", layout), (key, "a.txt,*.md")]);
        let error = plan_with(&dir.path().join("docs"), &inputs).unwrap_err();
        assert!(error.to_string().contains("the glob `*.md` matches nothing"), "{error}");
    }
}

#[test]
fn five_hundred_layers_are_worth_a_warning() {
    let dir = tree(&[]);
    for (count, warns) in [(499, false), (500, true)] {
        std::fs::create_dir_all(dir.path().join("docs")).unwrap();
        (0..count).for_each(|n| std::fs::write(dir.path().join(format!("docs/{n}.txt")), n.to_string()).unwrap());
        let plan = plan_with(&dir.path().join("docs"), &set(&[("layout", "files")])).unwrap();
        assert_eq!(plan.warnings.iter().any(|w| w.contains("500 layers")), warns, "{:?}", plan.warnings);
    }
}

#[test]
fn a_single_file_is_a_layer_with_its_natural_type() {
    let dir = tree(&[("notes.json", "{}")]);
    let plan = plan(&dir.path().join("notes.json"));
    assert_eq!(plan.manifest().unwrap().layers.len(), 1);
    assert_eq!(plan.manifest().unwrap().layers[0].media_type, "application/json");
    assert_eq!(plan.manifest().unwrap().layers[0].annotations.len(), 1);
}

#[test]
fn what_oras_cannot_unpack_is_marked_in_our_own_way() {
    let dir = tree(&[("d/a", "a")]);
    for (compress, kind) in [("zstd", "+zstd"), ("none", "")] {
        let plan = plan_with(&dir.path().join("d"), &set(&[("compress", compress)])).unwrap();
        assert_eq!(
            plan.manifest().unwrap().layers[0].media_type,
            format!("application/vnd.oci.image.layer.v1.tar{kind}")
        );
        assert!(!plan.manifest().unwrap().layers[0].annotations.contains_key("io.deis.oras.content.unpack"));
        assert_eq!(plan.manifest().unwrap().layers[0].annotations[artifact::types::UNPACK], "true");
    }
}

#[test]
fn a_parameter_that_does_not_fit_is_an_error_that_says_what_does() {
    let dir = tree(&[("d/a", "a")]);
    for (key, value, message) in [
        ("layuot", "files", "did you mean `layout`"),
        ("layout", "flies", "did you mean `files`"),
        ("artifactType", "text/plain; charset=x", "not a media type"),
        ("a[4294967295]", "x", "no parameter"),
    ] {
        let error = plan_with(&dir.path().join("d"), &set(&[(key, value)])).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), Kind::Misuse);
    }
}

#[test]
fn the_plain_slideshow_is_its_specification_and_its_slides() {
    let dir = tree(&[
        (
            "deck.yaml",
            "title: \"OCI Images: not just for containers anymore\"\nimages:\n- slides/slide-01.png\n- slides/slide-02.png\n",
        ),
        ("slides/slide-01.png", "1"),
        ("slides/slide-02.png", "2"),
    ]);
    let plan = plan(&dir.path().join("deck.yaml"));
    assert_eq!(plan.type_name, "slideshow");
    let Content::Json { value, encoding } = &plan.manifest().unwrap().config.content else {
        panic!("{:?}", plan.manifest().unwrap().config)
    };
    assert_eq!(
        encoding.encode(value).unwrap(),
        br#"{"title":"OCI Images: not just for containers anymore","images":["slides/slide-01.png","slides/slide-02.png"]}"#
    );
    let annotations: BTreeMap<_, _> = plan.manifest().unwrap().annotations.clone();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert_eq!(plan.reference.tag.as_deref(), Some("latest"));
}

#[test]
fn the_same_source_gives_the_same_plan_and_a_time_only_where_one_is_given() {
    let dir = tree(&[("c/Chart.yaml", "name: web\nversion: 1.0.0\n"), ("c/values.yaml", "")]);
    let path = dir.path().join("c");
    assert_eq!(plan(&path), plan(&path));
    assert!(!plan(&path).manifest().unwrap().annotations.contains_key("org.opencontainers.image.created"));
    let dated = plan_with(&path, &Inputs { now: Some(0), ..Inputs::default() }).unwrap();
    assert_eq!(dated.manifest().unwrap().annotations["org.opencontainers.image.created"], "1970-01-01T00:00:00Z");
}

/// A layer: its media type and its annotations.
type Layer<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn manifest(artifact_type: Option<&str>, config: &str, layers: &[Layer<'_>]) -> Manifest {
    let layer = |(i, (kind, annotations)): (usize, &Layer<'_>)| Descriptor {
        annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Descriptor::of(*kind, i.to_string().as_bytes())
    };
    Manifest {
        schema_version: 2,
        media_type: None,
        artifact_type: artifact_type.map(Into::into),
        config: Descriptor::of(config, b"{}"),
        layers: layers.iter().enumerate().map(layer).collect(),
        subject: None,
        annotations: Annotations::new(),
    }
}

const TITLE: &str = "org.opencontainers.image.title";
const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const HELM_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

#[test]
fn plans_are_written_and_read_back_as_json() {
    let dir = tree(&[("docs/a.txt", "a")]);
    let mut plan = plan(&dir.path().join("docs"));
    let text = serde_json::to_string(&plan).unwrap();
    // What was counted for progress stays here.
    assert!(plan.manifest_mut().unwrap().reads.take().is_some());
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert_eq!(Encoding::Go, plan.manifest().unwrap().encoding);
}
