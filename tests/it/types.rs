//! Tests of `types`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use artifact::{
    Kind, Result,
    oci::{Annotations, Descriptor, Digest, Manifest, json::Encoding, media_type},
    pack::{self, Packed},
    plan::{Action, Compression, Content, EntryKind, Plan},
    source::Source,
    types::{ArtifactType, Catalog, Evidence, Inputs, Origin, Reference, View, generic, plugin},
};
use base64::Engine as _;
use serde_json::json;

/// A directory with these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn plan_with(path: &Path, inputs: &Inputs) -> artifact::Result<Plan> {
    let catalog = Catalog::builtin()?;
    let source = Source::open(path)?;
    let (kind, _) = catalog.detect(&source)?;
    kind.plan(&source, inputs)
}

fn plan(path: &Path) -> Plan {
    plan_with(path, &Inputs::default()).unwrap()
}

fn set(pairs: &[(&str, &str)]) -> Inputs {
    Inputs { set: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), ..Inputs::default() }
}

fn define(text: &str) -> artifact::Result<ArtifactType> {
    ArtifactType::parse(text, Origin::Other("t.yaml".into()))
}

/// A definition with these sections.
fn definition(sections: &str) -> String {
    format!("apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {{name: t}}\n{sections}")
}

#[test]
fn the_tests_of_the_built_in_definitions_pass() {
    for kind in Catalog::builtin().unwrap().list() {
        for outcome in artifact::types::test::run(kind).unwrap() {
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
    assert_eq!(catalog.contested(), Vec::<String>::new());
}

#[test]
fn a_directory_becomes_one_layer_that_oras_can_restore() {
    let dir =
        tree(&[("docs/a.txt", "a"), ("docs/sub/b.md", "b"), ("docs/x.o", "o"), ("docs/.artifactignore", "*.o\n")]);
    let plan = plan(&dir.path().join("docs"));
    assert_eq!(plan.type_name, "file-bundle");
    assert_eq!(plan.manifest.artifact_type.as_deref(), Some("application/vnd.unknown.artifact.v1"));
    assert_eq!(plan.config.content, Content::Empty {});
    let [layer] = &plan.layers[..] else { panic!("{:?}", plan.layers) };
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
    let layers: Vec<_> = plan.layers.iter().map(|l| (l.media_type.as_str(), l.content.clone())).collect();
    assert_eq!(
        layers,
        [("text/plain", Content::File("a.txt".into())), ("text/markdown", Content::File("sub/b.md".into())),]
    );
    assert_eq!(plan.manifest.artifact_type.as_deref(), Some("application/vnd.example.docs"));
}

#[test]
fn a_single_file_is_a_layer_with_its_natural_type() {
    let dir = tree(&[("notes.json", "{}")]);
    let plan = plan(&dir.path().join("notes.json"));
    assert_eq!(plan.layers.len(), 1);
    assert_eq!(plan.layers[0].media_type, "application/json");
    assert_eq!(plan.layers[0].annotations.len(), 1);
}

#[test]
fn what_oras_cannot_unpack_is_marked_in_our_own_way() {
    let dir = tree(&[("d/a", "a")]);
    for (compress, kind) in [("zstd", "+zstd"), ("none", "")] {
        let plan = plan_with(&dir.path().join("d"), &set(&[("compress", compress)])).unwrap();
        assert_eq!(plan.layers[0].media_type, format!("application/vnd.oci.image.layer.v1.tar{kind}"));
        assert!(!plan.layers[0].annotations.contains_key("io.deis.oras.content.unpack"));
        assert_eq!(plan.layers[0].annotations[artifact::types::UNPACK], "true");
    }
}

#[test]
fn a_parameter_that_does_not_fit_is_an_error_that_says_what_does() {
    let dir = tree(&[("d/a", "a")]);
    for (key, value, message) in [
        ("layuot", "files", "did you mean `layout`"),
        ("layout", "flies", "did you mean `files`"),
        ("artifactType", "text/plain; charset=x", "not a media type"),
        ("a[4294967295]", "x", "there is no parameter"),
    ] {
        let error = plan_with(&dir.path().join("d"), &set(&[(key, value)])).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), Kind::Invalid);
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
    let Content::Json { value, encoding } = &plan.config.content else { panic!("{:?}", plan.config) };
    assert_eq!(
        encoding.encode(value).unwrap(),
        br#"{"title":"OCI Images: not just for containers anymore","images":["slides/slide-01.png","slides/slide-02.png"]}"#
    );
    let annotations: BTreeMap<_, _> = plan.manifest.annotations.clone();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert_eq!(plan.reference.tag.as_deref(), Some("latest"));
}

#[test]
fn an_unknown_key_in_a_definition_is_named_with_its_place_and_the_one_that_was_meant() {
    for (text, message) in [
        (definition("detects: []\n"), "t.yaml:4:1: unknown key `detects`; did you mean `detect`"),
        (
            definition("layers:\n  items:\n    - {id: a, eech: [x]}\n"),
            "t.yaml:6:15: unknown key `eech`; did you mean `each`",
        ),
        (definition("layers: {order: digset}\n"), "t.yaml:4:17: `digset` is not one of"),
        (definition("config: {mediaTyp: a/b}\n"), "unknown key `mediaTyp`; did you mean `mediaType`"),
        (
            definition("reference: {tag: \"{{ sorce.name }}\"}\n"),
            "t.yaml:4:18: the name `sorce` does not exist; did you mean `source`",
        ),
        (definition("reference: {tag: \"{{ source.nam }}\"}\n"), "did you mean `name`"),
        (definition("reference: {tag: \"{{ source.name \"}\n"), "t.yaml:4:18"),
        (definition("vars: {a: {$exrp: x}}\n"), "did you mean `$expr`"),
    ] {
        let error = define(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}\n{message}");
    }
}

/// A chart as `tar --format=ustar | gzip -9n` made it: Chart.yaml with `appVersion: 1.10`, `&` and `<`, an annotation that
/// Helm overrides, a dependency; values.yaml; templates/NOTES.txt.
const CHART: &str = "H4sIAAAAAAACA+2WS4vbMBDHc9anED70UiM/4iRg2qUPem0PW3IpOcj2NBGVLSMpyYbg796xt9tNw5ZeatPH/MDYSJrRjP6eQUco\
     otnIxMhqsRjeyPX7ie/VapnO+GI2AXvnpcUtf0eSl8n9JRxR/7c7ab04yVqPp/8yy36q/zKb/6h/kqwS1D8m/UdHtmoN1inT5PyQ\
     skbWkHP8KdjhYTQRqZg/L/ZKVyJjsm3XjzNJzCpwpVWtH0aCW7AH4C8+Kw3uhj/jtbEQsJ3pve68b10eRXAn61aDMHYb9Ts5s7cl\
     uJx/emqFs+WGfYHT0diqXyNDXmxYLVXj8cFQcOx8H/brCicBp3TOZSVfXbjpQv5t0RtTdBsmm8Z42QeN9mdcIEwLTWkenApVyy0I\
     r7xGG7VtMI8q5KX0sDX2NBxRh7mjUYV2Ci7C0KoI+ffjC25eJkHILbTGKT/YBqZUV1mWfQm6ACPzpxZ94DFrVQ4BstHr3wPGgZm5\
     6A/p/1j/y5j6/1T9/1H/9x8+vrsV/s5P2v/j9Fr/eRYn1P+n4HzmYi31HpyQvOvYjPiv6Ov/cK//aBfAX9Z/vLiq/zTJYqr/Se5/\
     eI2joicIgiAIgiAIgiAIgiAIgiAIgvh3+AoJbM8dACgAAA==";

fn chart() -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(CHART).unwrap()
}

async fn packed(plan: &Plan) -> Packed {
    let scratch = tempfile::tempdir().unwrap();
    pack::pack(plan, &pack::Options { scratch: scratch.path().into(), threads: 2 }).await.unwrap()
}

/// Helm v3.22 pushed the same file, its modification time 2001-09-09T01:46:40Z, to a registry; these are the digests that
/// the registry then had.
#[tokio::test]
async fn a_chart_is_packed_to_the_bytes_that_helm_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web-1.2.3+build.4.tgz");
    std::fs::write(&path, chart()).unwrap();
    let plan = plan_with(&path, &set(&[("created", "2001-09-09T01:46:40Z")])).unwrap();
    let packed = packed(&plan).await;
    assert_eq!(
        packed.config().digest.to_string(),
        "sha256:73d0010b92d96abc0fcf9db924458d1233ca0181be3506b7298012c24d55b3de"
    );
    assert_eq!((packed.config().size, packed.manifest().len()), (483, 791));
    assert_eq!(
        packed.root().digest.to_string(),
        "sha256:01a307af87695bb093cbdda423c9dfaf7d7313fc64c75d498dad85aeb5e12e12"
    );
    assert_eq!(plan.reference.tag.as_deref(), Some("1.2.3_build.4"));
    assert_eq!(plan.reference.repository.as_deref(), Some("web"));
}

/// The digests that Helm's own test suite expects of `signtest-0.1.0.tgz` and its provenance file. The two files are not
/// at hand: the plan is made from stand-ins (a chart directory of the same metadata), and their descriptors are put in
/// from Helm's sources. Config and annotations are ours, and so is the manifest that is made of all four.
#[test]
fn the_manifest_of_helms_own_test_is_reproduced() {
    let chart = "apiVersion: v1\ndescription: A Helm chart for Kubernetes\nname: signtest\nversion: 0.1.0\n";
    let dir = tree(&[("signtest/Chart.yaml", chart)]);
    let inputs = set(&[("created", "1977-09-02T22:04:05Z")]);
    let plan = plan_with(&dir.path().join("signtest"), &inputs).unwrap();
    let Content::Json { value, encoding } = &plan.config.content else { panic!("{:?}", plan.config) };
    let config = Descriptor::of(&plan.config.media_type, &encoding.encode(value).unwrap());
    assert_eq!(config.size, 99);
    assert_eq!(config.digest.hex(), "8d17cb6bf6ccd8c29aace9a658495cbd5e2e87fc267876e86117c7db681c9580");
    let layer = |part: &str, hex: &str, size| {
        Descriptor::new(
            format!("application/vnd.cncf.helm.chart.{part}"),
            format!("sha256:{hex}").parse().unwrap(),
            size,
        )
    };
    let mut layers = vec![
        layer("content.v1.tar+gzip", "e5ef611620fb97704d8751c16bab17fedb68883bfb0edc76f78a70e9173f9b55", 973),
        layer("provenance.v1.prov", "b0a02b7412f78ae93324d48df8fcc316d8482e5ad7827b5b238657a29a22f256", 695),
    ];
    layers.sort_by(|a, b| a.digest.cmp(&b.digest));
    let annotations =
        plan.manifest.annotations.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: (!plan.manifest.omit_media_type).then(|| media_type::MANIFEST.into()),
        artifact_type: plan.manifest.artifact_type,
        config,
        layers,
        subject: None,
        annotations,
    };
    let bytes = plan.manifest.encoding.encode(&manifest).unwrap();
    assert_eq!(bytes.len(), 742);
    assert_eq!(Digest::of(&bytes).hex(), "fbbade96da6050f68f94f122881e3b80051a18f13ab5f4081868dd494538f5c2");
}

#[test]
fn a_provenance_file_beside_a_chart_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.tgz");
    std::fs::write(&path, chart()).unwrap();
    assert_eq!(plan(&path).layers.len(), 1);
    std::fs::write(dir.path().join("web.tgz.prov"), "signed").unwrap();
    let plan = plan(&path);
    let ids: Vec<_> = plan.layers.iter().map(|l| l.id.as_str()).collect();
    assert_eq!(ids, ["chart", "provenance"]);
}

#[test]
fn a_chart_may_not_go_under_another_tag_unless_the_user_insists() {
    let dir = tree(&[("c/Chart.yaml", "name: web\nversion: 1.0.0\n")]);
    let reference = Reference { repository: "reg.example/web".into(), tag: Some("latest".into()) };
    let mut inputs = Inputs { reference: Some(reference), ..Inputs::default() };
    let error = plan_with(&dir.path().join("c"), &inputs).unwrap_err();
    assert!(error.to_string().ends_with("the tag must be `1.0.0`, not `latest`"), "{error}");
    inputs.set.insert("strict".into(), "false".into());
    assert!(plan_with(&dir.path().join("c"), &inputs).is_ok());
}

#[test]
fn the_same_source_gives_the_same_plan_and_a_time_only_where_one_is_given() {
    let dir = tree(&[("c/Chart.yaml", "name: web\nversion: 1.0.0\n"), ("c/values.yaml", "")]);
    let path = dir.path().join("c");
    assert_eq!(plan(&path), plan(&path));
    assert!(!plan(&path).manifest.annotations.contains_key("org.opencontainers.image.created"));
    let dated = plan_with(&path, &Inputs { now: Some(0), ..Inputs::default() }).unwrap();
    assert_eq!(dated.manifest.annotations["org.opencontainers.image.created"], "1970-01-01T00:00:00Z");
}

#[test]
fn each_source_has_one_type() {
    let catalog = Catalog::builtin().unwrap();
    let dir = tree(&[
        ("chart/Chart.yaml", "name: a\nversion: 1.0.0\n"),
        ("deck/slides.yaml", "images: [a.png]\n"),
        ("talk.md", "---\ntitle: t\n---\n# One\n---\n# Two\n"),
        ("README.md", "# hello\n"),
        ("kustomization.yaml", "images:\n- {name: a, newTag: b}\n"),
        ("broken.yaml", "images: [\n"),
        ("not-a-chart.tgz", "text"),
    ]);
    for (path, name, form) in [
        ("chart", "helm-chart", "tree"),
        ("deck", "slideshow", "directory"),
        ("deck/slides.yaml", "slideshow", "images"),
        ("talk.md", "slideshow", "markdown"),
        ("README.md", "file-bundle", "file"),
        ("kustomization.yaml", "file-bundle", "file"),
        ("broken.yaml", "file-bundle", "file"),
        ("not-a-chart.tgz", "file-bundle", "file"),
        (".", "file-bundle", "directory"),
    ] {
        let (kind, found) = catalog.detect(&Source::open(dir.path().join(path)).unwrap()).unwrap();
        assert_eq!((kind.name(), found.as_str()), (name, form), "{path}");
    }
    let form = catalog.get("slides").unwrap().form(&Source::open(dir.path().join("README.md")).unwrap());
    assert_eq!(form.unwrap(), "markdown");
}

#[test]
fn a_file_that_should_be_a_slideshow_and_is_malformed_is_not_taken_for_something_else() {
    let dir = tree(&[("slides.yaml", "images: [\n")]);
    let error = Catalog::builtin().unwrap().detect(&Source::open(dir.path().join("slides.yaml")).unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("slides.yaml:"), "{error}");
}

#[test]
fn two_types_that_fit_are_an_error_that_names_both() {
    let mut catalog = Catalog::builtin().unwrap();
    let text = definition("detect: [{form: tree, dir: {contains: values.yaml}}]\nconfig: {empty: true}\n");
    catalog.add(define(&text).unwrap()).unwrap();
    let dir = tree(&[("Chart.yaml", "name: a\nversion: 1.0.0\n"), ("values.yaml", "")]);
    let error = catalog.detect(&Source::open(dir.path()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::Ambiguous);
    assert!(error.to_string().ends_with("could be `helm-chart` (tree) or `t` (tree)"), "{error}");
}

#[test]
fn where_nothing_fits_the_error_says_what_was_looked_for() {
    let mut catalog = Catalog::empty();
    catalog.add(define(&definition("detect: [{form: tree, dir: {contains: values.yaml}}]\n")).unwrap()).unwrap();
    let dir = tree(&[("a", "")]);
    let error = catalog.detect(&Source::open(dir.path()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownType);
    assert!(error.to_string().ends_with("looked for t: a directory with `values.yaml`"), "{error}");
}

#[test]
fn a_name_belongs_to_one_definition_unless_the_user_picks() {
    let dir = tree(&[("types/mine.yaml", &definition("").replace("name: t", "name: mine, aliases: [helm]"))]);
    let error = Catalog::load(&[dir.path().join("types")], &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Exists);
    let message = error.to_string();
    assert!(message.contains("`helm` is defined in both built-in:helm-chart.yaml and "), "{message}");
    assert!(message.ends_with("types/mine.yaml"), "{message}");
    let mut catalog = Catalog::builtin().unwrap();
    catalog.replace_file(&dir.path().join("types/mine.yaml")).unwrap();
    assert_eq!(catalog.get("helm").unwrap().name(), "mine");
    assert_eq!(catalog.get("chart").unwrap().name(), "helm-chart");
    assert!(Catalog::load(&[dir.path().join("absent")], &[]).is_ok());
}

#[test]
fn an_unknown_type_is_an_error_with_the_nearest_name() {
    let error = Catalog::builtin().unwrap().get("slidshow").unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownType);
    assert!(error.to_string().ends_with("did you mean `slideshow`"), "{error}");
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
fn a_manifest_is_recognised_by_the_surest_evidence_there_is() {
    let catalog = Catalog::builtin().unwrap();
    for (manifest, expected) in [
        (manifest(None, HELM_CONFIG, &[(HELM_LAYER, &[])]), Some(("helm-chart", Evidence::Config))),
        (manifest(None, media_type::EMPTY, &[(HELM_LAYER, &[])]), Some(("helm-chart", Evidence::Layers))),
        (manifest(None, media_type::EMPTY, &[("application/tar+gzip", &[])]), None),
        (
            manifest(Some("application/vnd.artifact.slideshow.v1"), HELM_CONFIG, &[]),
            Some(("slideshow", Evidence::ArtifactType)),
        ),
        (
            manifest(Some("application/vnd.unknown.artifact.v1"), media_type::EMPTY, &[]),
            Some(("file-bundle", Evidence::ArtifactType)),
        ),
        (manifest(None, media_type::IMAGE_CONFIG, &[("application/vnd.oci.image.layer.v1.tar", &[])]), None),
    ] {
        let found = catalog.recognise(&manifest);
        assert_eq!(found.as_ref().map(|(t, e)| (t.name(), *e)), expected, "{manifest:?}");
    }
}

#[test]
fn a_chart_unpacks_to_the_file_that_helm_saves_or_to_its_directory() {
    let chart = Catalog::builtin().unwrap().get("helm-chart").unwrap();
    let good = manifest(None, HELM_CONFIG, &[(HELM_LAYER, &[])]);
    let config = br#"{"name":"web","version":"1.2.3"}"#;
    let native = chart.unpacking(&good, config, View::Native).unwrap();
    assert_eq!(
        (native.steps[0].path.as_str(), &native.steps[0].action),
        ("web-1.2.3.tgz", &Action::Write { mode: 0o644 })
    );
    let tree = chart.unpacking(&good, config, View::Tree).unwrap();
    let Action::Extract { root, links, .. } = &tree.steps[0].action else { panic!("{tree:?}") };
    assert_eq!((tree.steps[0].path.as_str(), root.as_deref(), *links), ("web", Some("web"), false));
    for (bad, message) in [
        (manifest(None, HELM_CONFIG, &[]), "has 0 layers of the role `chart`; 1 are expected"),
        (manifest(None, "application/vnd.other+json", &[("text/plain", &[])]), "is not a helm-chart"),
    ] {
        let error = chart.unpacking(&bad, config, View::Native).unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch);
        assert!(error.to_string().contains(message), "{error}");
    }
    for evil in [
        r#"{"name":"../evil","version":"1"}"#,
        r#"{"name":"/etc","version":"1"}"#,
        r#"{"name":"a/b","version":"1"}"#,
        r#"{"name":"C:x","version":"1"}"#,
        r#"{"name":"a\\b","version":"1"}"#,
        r#"{"version":"1"}"#,
        "",
        "[]",
        r#"{"name":"a\u001b","version":"1"}"#,
    ] {
        for view in [View::Native, View::Tree] {
            assert!(chart.unpacking(&good, evil.as_bytes(), view).is_err(), "{evil}");
        }
    }
}

#[test]
fn any_manifest_unpacks_by_its_titles() {
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let digest = Digest::of(b"tar").to_string();
    let oras = [(TITLE, "docs/sub"), ("io.deis.oras.content.unpack", "true"), ("io.deis.oras.content.digest", &digest)];
    let ours = [(TITLE, "z"), (artifact::types::UNPACK, "true"), (artifact::types::UNPACK_DIGEST, &digest)];
    let manifest = manifest(
        Some("application/vnd.nobody"),
        media_type::EMPTY,
        &[
            ("text/plain", &[(TITLE, "a/b.txt")]),
            (tar, &oras),
            ("application/vnd.oci.image.layer.v1.tar+zstd", &ours),
            (tar, &[]),
            (media_type::EMPTY, &[]),
        ],
    );
    let unpacking = generic::unpacking(&manifest).unwrap();
    let paths: Vec<_> = unpacking.steps.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(paths, ["a/b.txt", "docs/sub", "z"]);
    let Action::Extract { compress, root, links, diff_id } = &unpacking.steps[1].action else { panic!() };
    assert!(matches!(compress, Compression::Gzip(_)) && *links);
    assert_eq!((root.as_deref(), diff_id.as_ref().unwrap()), (Some("docs/sub"), &Digest::of(b"tar")));
    assert!(matches!(unpacking.steps[2].action, Action::Extract { compress: Compression::Zstd(_), .. }));
    assert_eq!(unpacking.warnings.len(), 1);
    assert!(unpacking.warnings[0].contains("1 layers have no title"), "{:?}", unpacking.warnings);
}

#[test]
fn one_content_under_two_titles_is_restored_twice_and_one_title_twice_is_an_error() {
    let mut twins = manifest(None, media_type::EMPTY, &[("a/b", &[(TITLE, "foo1")]), ("a/b", &[(TITLE, "foo2")])]);
    twins.layers[1].digest = twins.layers[0].digest.clone();
    assert_eq!(generic::unpacking(&twins).unwrap().steps.len(), 2);
    twins.layers[1].annotations = twins.layers[0].annotations.clone();
    assert_eq!(generic::unpacking(&twins).unwrap_err().kind(), Kind::Exists);
}

#[test]
fn a_title_that_is_no_relative_path_is_refused() {
    let long = "x".repeat(256);
    for title in [
        "",
        " ",
        ".",
        "..",
        "../evil",
        "/etc/cron.d/x",
        "a/../../b",
        "a//b",
        "a/",
        "./a",
        "C:\\x",
        "C:x",
        "a\\b",
        "a\0b",
        "a\nb",
        "\u{202e}b",
        &long,
    ] {
        let bad = manifest(None, media_type::EMPTY, &[("text/plain", &[(TITLE, title)])]);
        assert!(generic::unpacking(&bad).is_err(), "{title:?}");
        let slide = [(TITLE, title), ("vnd.artifact.slideshow.role", "slide")];
        let bad = manifest(Some("application/vnd.artifact.slideshow.v1"), media_type::EMPTY, &[("image/png", &slide)]);
        let slideshow = Catalog::builtin().unwrap().get("slideshow").unwrap();
        assert!(slideshow.unpacking(&bad, b"{}", View::Native).is_err(), "{title:?}");
    }
}

#[tokio::test]
async fn a_slideshow_comes_back_as_the_files_it_was_made_of() {
    let dir =
        tree(&[("slides.yaml", "title: t\nimages: [s/a.png, s/b.png, s/a.png]\n"), ("s/a.png", "a"), ("s/b.png", "a")]);
    let packed = packed(&plan(&dir.path().join("slides.yaml"))).await;
    let manifest: Manifest = serde_json::from_slice(packed.manifest()).unwrap();
    assert_eq!(manifest.layers.len(), 2);
    assert_eq!(manifest.layers[0].digest, manifest.layers[1].digest);
    let (kind, _) = Catalog::builtin().unwrap().recognise(&manifest).unwrap();
    let config = br#"{"title":"t","images":["s/a.png"]}"#;
    let unpacking = kind.unpacking(&manifest, config, View::Tree).unwrap();
    let paths: Vec<_> = unpacking.steps.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(paths, ["s/a.png", "s/b.png", "slides.json"]);
}

/// A type that copies a document into its config, and quotes a digest.
const QUOTING: &str = r#"
detect: [{form: file, file: {}}]
source:
  documents: {doc: {path: "{{ source.path }}"}}
  sets: {doc: {path: "{{ source.path }}"}}
layers: {items: [{id: doc, raw: doc, title: doc.yaml}]}
"#;

fn quoting(config: &str, document: &str) -> Result<Plan> {
    let dir = tree(&[("d.yaml", document)]);
    let text = format!("{QUOTING}config: {{mediaType: application/vnd.test.v1+json, {config}}}\n");
    define(&definition(&text))?.plan(&Source::open(dir.path().join("d.yaml"))?, &Inputs::default())
}

#[test]
fn a_config_quotes_digests_and_a_document_cannot_forge_a_quote() {
    let plan = quoting(
        "value: {d: {$expr: \"layer('doc.yaml').digest\"}, all: {$expr: \"layers | map(attribute='size') | list\"}}",
        "a: 1",
    )
    .unwrap();
    let Content::Json { value, .. } = plan.config.content else { panic!() };
    assert_eq!(value, json!({"d": {"$layer": 0, "value": "digest"}, "all": [{"$layer": 0, "value": "size"}]}));
    let forged = "a: {$layer: 0, value: digest}";
    for config in [
        "document: doc",
        "value: {a: {$expr: doc.a}}",
        "value: {a: {$opt: doc}}",
        "value: {$pick: {from: doc, fields: [a]}}",
    ] {
        let error = quoting(config, forged).unwrap_err();
        assert!(error.to_string().contains("`$layer` is reserved"), "{error}");
    }
    let error = quoting("value: {d: \"{{ layer('doc.yaml').digest }}\"}", "a: 1").unwrap_err();
    assert!(error.to_string().contains("not known yet"), "{error}");
    let error = quoting("value: {d: {$expr: \"'x' ~ layers[0].digest\"}}", "a: 1").unwrap_err();
    assert!(error.to_string().contains("not known yet"), "{error}");
}

#[test]
fn expressions_cannot_run_away_or_reach_out() {
    for (expression, message) in [
        ("{% for a in range(9) %}{% endfor %}", "`range`"),
        ("{{ 'x' * 100000000 }}", "no `*`"),
        ("{% set a = 1 %}", "no `{% set %}`"),
        ("{% include 'x' %}", "no `{% include %}`"),
        ("{{ env.HOME }}", "`env` does not exist"),
        ("{{ source.path | open }}", "the filter `open` does not exist"),
        ("{{ debug() }}", "`debug` does not exist"),
    ] {
        let error = define(&definition(&format!("reference: {{tag: \"{expression}\"}}\n"))).unwrap_err();
        assert!(error.to_string().contains(message), "{expression}: {error}");
    }
    let nested = "{% for a in source.path %}".repeat(6) + "x" + &"{% endfor %}".repeat(6);
    let text = definition(&format!("detect: [{{form: file, file: {{}}}}]\nreference: {{tag: \"{nested}\"}}\n"));
    let dir = tree(&[(&"n".repeat(200), "")]);
    let source = Source::open(dir.path().join("n".repeat(200))).unwrap();
    let error = define(&text).unwrap().plan(&source, &Inputs::default()).unwrap_err();
    assert!(error.to_string().contains("fuel"), "{error}");
}

#[test]
fn what_a_schema_lists_is_blank_when_missing_and_what_it_does_not_list_is_an_error() {
    let sections = |tag: &str| {
        let schema = "{type: object, properties: {a: {type: string}, l: {type: array, items: {type: string}}, o: {type: object, properties: {x: {type: string}}}}}";
        definition(&format!(
            "detect: [{{form: file, file: {{}}}}]\nsource: {{documents: {{doc: {{path: \"{{{{ source.path }}}}\", schema: {schema}}}}}}}\nreference: {{tag: \"{tag}\"}}\n"
        ))
    };
    let dir = tree(&[("d.yaml", "z: 1")]);
    let source = Source::open(dir.path().join("d.yaml")).unwrap();
    for tag in [
        "x{{ doc.a }}{{ doc.l[0] }}{{ doc.o.x }}",
        "{{ doc.a or doc.l[3] or 'x' }}",
        "x{% for i in doc.l %}{{ i }}{% endfor %}",
        "{{ doc.l | first or 'x' }}",
    ] {
        let plan = define(&sections(tag)).unwrap().plan(&source, &Inputs::default()).unwrap();
        assert_eq!(plan.reference.tag.as_deref(), Some("x"), "{tag}");
    }
    for tag in ["{{ doc.b }}", "{{ doc.o.y }}", "{{ doc.z }}"] {
        let error = define(&sections(tag)).unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{tag}: {error}");
    }
}

#[test]
fn a_definition_is_read_within_limits() {
    let lol =
        (0..10).fold("a0: &a0 [x]\n".to_owned(), |text, i| format!("{text}a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1));
    let deep = format!("vars: {{a: {}{}}}\n", "[".repeat(500), "]".repeat(500));
    let big = format!("vars: {{a: \"{}\"}}\n", "x".repeat(2 << 20));
    for text in [
        String::new(),
        "null".into(),
        "[]".into(),
        "a: 1".into(),
        definition(&lol),
        definition(&deep),
        definition(&big),
        definition("vars: {}\nvars: {}\n"),
        definition("layers: null\n"),
        definition("layers: []\n"),
        definition("params: {a: {type: {}}}\n"),
        definition("unpack: {native: [{layer: x, write: y, mode: \"07777\"}]}\n"),
        definition("accept: {layers: {a: {count: 1...2}}}\n"),
        definition("source: {documents: {d: {path: x, schema: {$ref: \"file:///etc/passwd\"}}}}\n"),
        definition("requires: {probes: [wasm/1]}\n"),
        definition("").replace("/v1", "/v2"),
    ] {
        assert!(define(&text).is_err(), "{}", &text[..text.len().min(200)]);
    }
}

#[test]
fn the_published_schema_accepts_the_built_in_definitions_and_the_skeleton() {
    let schema: serde_json::Value = serde_json::from_str(&artifact::types::schema().unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let skeleton = artifact::types::skeleton("pictures");
    define(&skeleton).unwrap();
    assert_eq!(artifact::types::lint::lint(&skeleton, "s.yaml").unwrap(), []);
    let outcomes = artifact::types::test::run(&define(&skeleton).unwrap()).unwrap();
    assert_eq!(outcomes[0].failure, None);
    let catalog = Catalog::builtin().unwrap();
    for text in catalog.list().map(|t| t.text()).chain([skeleton.as_str()]) {
        let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    assert!(!validator.is_valid(
        &json!({"apiVersion": "artifact-type/v1", "kind": "ArtifactType", "metadata": {"name": "x"}, "layer": {}})
    ));
}

#[test]
fn lint_finds_what_would_go_wrong_later() {
    let text = definition(
        "detect: [{form: a, file: {}}, {form: b, file: {}}]\nsource: {sets: {s: {path: x}}}\nlayers:\n  items:\n  - {id: x, raw: s, mediaType: application/x-foo}\nmanifest: {artifactType: application/vnd.a.v1}\naccept: {artifactTypes: application/vnd.b.v1, layers: {y: {mediaTypes: text/plain}}}\nunpack: {native: [{layer: y, write: z}]}\n",
    );
    let findings = artifact::types::lint::lint(&text, "t.yaml").unwrap();
    let shown: Vec<_> = findings.iter().map(|f| format!("{} {}", f.place, f.message)).collect();
    for part in [
        "t.yaml:8:32 `application/x-foo` is unregistered",
        "the form `b` is unreachable",
        "nothing unpacks the layer `x`",
        "does not know the artifact type `application/vnd.a.v1`",
        "no role of `accept` takes the layer type",
    ] {
        assert!(shown.iter().any(|s| s.contains(part)), "{part}\n{shown:#?}");
    }
}

#[test]
fn a_test_in_a_definition_can_fail() {
    let text = Catalog::builtin()
        .unwrap()
        .get("slideshow")
        .unwrap()
        .text()
        .replace("{mediaType: image/png, file: slides/b.png", "{mediaType: image/png, file: slides/c.png");
    let outcomes = artifact::types::test::run(&define(&text).unwrap()).unwrap();
    assert_eq!(outcomes[0].failure.as_deref(), Some("`/layers/1/file` is \"slides/b.png\", not \"slides/c.png\""));
}

/// A plug-in that is this shell script.
fn script(dir: &Path, body: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("artifact-type-sh");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn plug_in(source: &tempfile::TempDir, body: &str) -> Result<Plan> {
    let bin = tempfile::tempdir().unwrap();
    script(bin.path(), body);
    let program = plugin::find("sh", &[bin.path().join("none"), bin.path().to_owned()]).unwrap();
    assert_eq!(plugin::list(&[bin.path().to_owned()]), [("sh".to_owned(), program.clone())]);
    let inputs = set(&[("a", "b")]);
    plugin::run(&program, &Source::open(source.path()).unwrap(), &inputs, Duration::from_secs(20)).await
}

/// The plan that these scripts print; `BASE` stands for its base.
fn printed(base: &str, file: &str) -> String {
    let empty = r#"{"id":"config","mediaType":"application/vnd.oci.empty.v1+json","empty":{}}"#;
    format!(
        r#"printf '{{"apiVersion":"artifact-plan/v1","type":"sh","base":"%s","config":{empty},"manifest":{{"artifactType":"application/vnd.sh"}},"layers":[{{"mediaType":"text/plain","file":"{file}"}}]}}' "{base}""#
    )
}

#[tokio::test]
async fn a_program_can_be_a_type() {
    let source = tree(&[("a.txt", "a")]);
    let plan = plug_in(
        &source,
        &format!("read -r inputs; case $inputs in *'\"a\":\"b\"'*) ;; *) exit 9;; esac\n{}", printed("$1", "a.txt")),
    )
    .await
    .unwrap();
    assert_eq!((plan.type_name.as_str(), plan.layers.len()), ("sh", 1));
    assert_eq!(packed(&plan).await.layers()[0].digest, Digest::of(b"a"));
}

#[tokio::test]
async fn a_program_that_misbehaves_is_an_error_that_says_how() {
    for (body, kind, message) in [
        (
            "printf '\\033[31mno such deck\\nmore' >&2; exit 3".to_owned(),
            Kind::Invalid,
            "failed (exit status: 3): \\u{1b}[31mno such deck",
        ),
        ("exit 1".to_owned(), Kind::Invalid, "without a word"),
        ("echo hello".to_owned(), Kind::Invalid, "it printed no plan"),
        ("yes 0123456789".to_owned(), Kind::Limit, "more than 16777216 bytes"),
        (printed("/", "etc/passwd"), Kind::Escape, "lies outside the source"),
        (printed("$1/..", "x"), Kind::Escape, "lies outside the source"),
        (printed("$1", "../x"), Kind::Escape, "leads upwards"),
        (printed("$1", "a.txt").replace("plan/v1", "plan/v2"), Kind::Unsupported, "version `artifact-plan/v2`"),
    ] {
        let error = plug_in(&tree(&[("a.txt", "a")]), &body).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_program_that_never_answers_is_given_up() {
    let (bin, source) = (tempfile::tempdir().unwrap(), tree(&[("a.txt", "a")]));
    let program = script(bin.path(), "sleep 1000 & wait");
    let source = Source::open(source.path()).unwrap();
    let error = plugin::run(&program, &source, &Inputs::default(), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[test]
fn plans_are_written_and_read_back_as_json() {
    let dir = tree(&[("docs/a.txt", "a")]);
    let plan = plan(&dir.path().join("docs"));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert_eq!(Encoding::Go, plan.manifest.encoding);
}
