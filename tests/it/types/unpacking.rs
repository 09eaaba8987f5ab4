//! Which files a manifest becomes.

use artifact::{
    Kind,
    oci::{Digest, Manifest, media_type},
    plan::{Action, Compression},
    types::{self, Catalog, View, generic},
};

use super::{HELM_CONFIG, HELM_LAYER, TITLE, manifest, packed, plan, tree};

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
    let Action::Extract { root: None, strip, links, .. } = &tree.steps[0].action else { panic!("{tree:?}") };
    assert_eq!((tree.steps[0].path.as_str(), *strip, *links), ("web", 1, false));
    for (bad, message) in [
        (manifest(None, HELM_CONFIG, &[]), "layers of the role `chart`: expected 1, found 0"),
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
fn a_config_that_helm_reads_otherwise_gives_no_file_a_name() {
    let chart = Catalog::builtin().unwrap().get("helm-chart").unwrap();
    let good = manifest(None, HELM_CONFIG, &[(HELM_LAYER, &[])]);
    let unpacking = |config: &str| chart.unpacking(&good, config.as_bytes(), View::Native);
    for config in [
        r#"{"name":"good","Name":"evil","version":"1.2.3"}"#,
        r#"{"NAME":"evil","name":"good","version":"1.2.3"}"#,
        r#"{"name":"good","version":"1.2.3","ver\u017fion":"6.6.6"}"#,
        r#"{"Name":"evil","version":"1.2.3"}"#,
    ] {
        let error = unpacking(config).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{config}");
        assert!(error.to_string().contains("ignore case"), "{error}");
    }
    // What no rule uses may be named as it likes.
    let plan = unpacking(r#"{"name":"web","version":"1.2.3","annotations":{"A":"1","a":"2"},"Other":1,"other":2}"#);
    assert_eq!(plan.unwrap().steps[0].path, "web-1.2.3.tgz");
}

#[test]
fn any_manifest_unpacks_by_its_titles() {
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let digest = Digest::of(b"tar").to_string();
    let oras = [(TITLE, "docs/sub"), ("io.deis.oras.content.unpack", "true"), ("io.deis.oras.content.digest", &digest)];
    let ours = [(TITLE, "z"), (types::UNPACK, "true"), (types::UNPACK_DIGEST, &digest)];
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
    let Action::Extract { compress, root, links, diff_id, .. } = &unpacking.steps[1].action else { panic!() };
    assert!(matches!(compress, Compression::Gzip(_)) && *links);
    assert_eq!((root.as_deref(), diff_id.as_ref().unwrap()), (Some("docs/sub"), &Digest::of(b"tar")));
    assert!(matches!(unpacking.steps[2].action, Action::Extract { compress: Compression::Zstd(_), .. }));
    assert_eq!(unpacking.warnings.len(), 1);
    assert!(unpacking.warnings[0].contains("1 layer was skipped for lack of a title"), "{:?}", unpacking.warnings);
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
fn a_title_means_the_shortest_path_that_it_can_be_written_as_and_an_empty_one_means_none() {
    let unpack = [("io.deis.oras.content.unpack", "true")];
    for (title, path) in
        [("./a", "a"), ("a//b", "a/b"), ("d/", "d"), (".", "."), ("./", "."), ("C:x", "C:x"), (" ", " ")]
    {
        let layer = [&[(TITLE, title)], &unpack[..]].concat();
        let unpacking =
            generic::unpacking(&manifest(None, media_type::EMPTY, &[("a/tar+gzip", &layer), ("a/b", &[(TITLE, "")])]));
        let unpacking = unpacking.unwrap();
        let [step] = unpacking.steps.as_slice() else { panic!("{unpacking:?}") };
        let Action::Extract { root, .. } = &step.action else { panic!("{step:?}") };
        assert_eq!((step.path.as_str(), root.as_deref()), (path, Some(path)), "{title:?}");
        assert!(unpacking.warnings[0].contains("for lack of a title"), "{:?}", unpacking.warnings);
    }
    let twice = [("a/b", &[(TITLE, "a/b")][..]), ("a/c", &[(TITLE, "./a//b")])];
    assert_eq!(generic::unpacking(&manifest(None, media_type::EMPTY, &twice)).unwrap_err().kind(), Kind::Exists);
}

#[test]
fn a_title_that_leads_elsewhere_or_is_no_name_is_refused() {
    let long = "x".repeat(256);
    for title in
        ["..", "../evil", "/etc/cron.d/x", "a/../../b", "./..", "a\0b", "a\nb", "\u{202e}b", ".artifact-x", &long]
    {
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
