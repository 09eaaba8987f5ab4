//! Which type a source or a manifest is of.

use std::io::Write as _;

use artifact::{
    Code, Kind,
    oci::media_type,
    source::Source,
    types::{Catalog, Evidence},
};

use super::{HELM_CONFIG, HELM_LAYER, define, definition, manifest, tree};
use crate::support::tar::{Entry, archive};

#[test]
fn a_file_with_the_name_of_a_type_and_not_its_keys_is_an_error_that_names_both_ways_out() {
    let catalog = Catalog::builtin().unwrap();
    for text in ["title: t\nimage:\n- a.png\n", "Images: [a.png]\n", "- a.png\n"] {
        let dir = tree(&[("slides.yaml", text), ("other.yaml", text)]);
        let error = catalog.detect(&Source::open(dir.path().join("slides.yaml")).unwrap()).unwrap_err();
        assert_eq!(error.kind(), Kind::UnknownType, "{text}");
        for said in
            ["its key `images` or `slides`", "name the type `slideshow`", "or `file-bundle` to pack it as any file"]
        {
            assert!(error.to_string().contains(said), "{error}");
        }
        let other = catalog.detect(&Source::open(dir.path().join("other.yaml")).unwrap()).unwrap();
        assert_eq!(other.kind.name(), "file-bundle");
    }
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
    for (path, name, form, why) in [
        ("chart", "helm-chart", "tree", "a directory with `Chart.yaml`"),
        ("deck", "slideshow", "directory", "a directory with `slides.yaml`"),
        ("deck/slides.yaml", "slideshow", "images", "a file `slides.yaml` with `images`"),
        ("talk.md", "slideshow", "markdown", "a file `*.md` or `*.markdown` with front matter"),
        ("README.md", "file-bundle", "file", "a file"),
        ("kustomization.yaml", "file-bundle", "file", "a file"),
        ("broken.yaml", "file-bundle", "file", "a file"),
        ("not-a-chart.tgz", "file-bundle", "file", "a file"),
        (".", "file-bundle", "directory", "a directory"),
    ] {
        let found = catalog.detect(&Source::open(dir.path().join(path)).unwrap()).unwrap();
        assert_eq!((found.kind.name(), found.form.as_str(), found.why.as_str()), (name, form, why), "{path}");
    }
    let named = catalog.get("slides").unwrap().named(&Source::open(dir.path().join("README.md")).unwrap()).unwrap();
    assert_eq!((named.form.as_str(), named.why.as_str()), ("markdown", "named by the user"));
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

/// A project has one definition that is fine, and one that is not: it stops those who need it, and nobody else.
#[test]
fn a_broken_definition_stops_those_who_need_it() {
    let fine = definition("detect: [{form: file, file: {glob: '*.poem'}}]\n").replace("name: t", "name: poem");
    let dir = tree(&[
        ("types/poem.yaml", &fine),
        ("types/broken.yaml", &definition("layerz: {}\n").replace("name: t", "name: verse")),
        ("types/helm-chart.yaml", "kind: [\n"),
        ("a.poem", "roses"),
        ("b.txt", "violets"),
        ("chart/Chart.yaml", "name: web\nversion: 1.0.0\n"),
    ]);
    let catalog = Catalog::load(&[dir.path().join("types")]).unwrap();
    let told: Vec<String> = catalog.broken().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("ignored an invalid artifact type: ")
            && told[0].contains("broken.yaml:")
            && told[0].contains("did you mean `layers`"),
        "{told:?}"
    );
    let detect = |path: &str| catalog.detect(&Source::open(dir.path().join(path)).unwrap());
    assert_eq!(detect("a.poem").unwrap().kind.name(), "poem");
    assert_eq!(detect("b.txt").unwrap().kind.name(), "file-bundle");
    // The definition was to come in the place of the built-in one: that is not used behind the user's back.
    let error = detect("chart").unwrap_err();
    assert!(
        error.to_string().contains("is invalid: ") && error.to_string().contains("types/helm-chart.yaml"),
        "{error}"
    );
    for name in ["verse", "broken", "helm-chart"] {
        let error = catalog.get(name).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.to_string().contains("is invalid"), "{name}: {error}");
    }
    assert!(catalog.get("slideshow").is_ok());
    // What lies nearer and is fine wins, whatever lies farther away.
    let near = tree(&[("types/helm-chart.yaml", Catalog::builtin().unwrap().get("helm-chart").unwrap().text())]);
    let both = Catalog::load(&[dir.path().join("types"), near.path().join("types")]).unwrap();
    assert_eq!(both.get("helm-chart").unwrap().name(), "helm-chart");
    assert_eq!(both.detect(&Source::open(dir.path().join("chart")).unwrap()).unwrap().kind.name(), "helm-chart");
    let chart = manifest(None, HELM_CONFIG, &[(HELM_LAYER, &[])]);
    assert!(catalog.recognise(&chart).is_none() && Catalog::builtin().unwrap().recognise(&chart).is_some());
}

#[test]
fn where_nothing_fits_the_error_says_what_was_looked_for() {
    let mut catalog = Catalog::empty();
    catalog.add(define(&definition("detect: [{form: tree, dir: {contains: values.yaml}}]\n")).unwrap()).unwrap();
    let dir = tree(&[("a", "")]);
    let error = catalog.detect(&Source::open(dir.path()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownType);
    assert!(error.to_string().ends_with("the types expect t: a directory with `values.yaml`"), "{error}");
}

#[test]
fn a_name_belongs_to_one_definition_unless_the_user_picks() {
    let dir = tree(&[("types/mine.yaml", &definition("").replace("name: t", "name: mine, aliases: [helm]"))]);
    let catalog = Catalog::load(&[dir.path().join("types")]).unwrap();
    let [broken] = catalog.broken() else { panic!("{:?}", catalog.broken()) };
    assert_eq!(broken.error.kind(), Kind::Exists);
    assert_eq!(catalog.get("helm").unwrap().name(), "helm-chart", "the one that was there stays");
    assert_eq!(catalog.get("mine").unwrap_err().kind(), Kind::Exists);
    let message = broken.error.to_string();
    assert!(message.contains("`helm` is defined in both built-in:helm-chart.yaml and "), "{message}");
    assert!(message.ends_with("types/mine.yaml"), "{message}");
    let mut catalog = Catalog::builtin().unwrap();
    catalog.replace_file(&dir.path().join("types/mine.yaml")).unwrap();
    assert_eq!(catalog.get("helm").unwrap().name(), "mine");
    assert_eq!(catalog.get("chart").unwrap().name(), "helm-chart");
    assert!(Catalog::load(&[dir.path().join("absent")]).is_ok());
}

#[test]
fn an_unknown_type_is_an_error_with_the_nearest_name() {
    let error = Catalog::builtin().unwrap().get("slidshow").unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownType);
    assert!(error.to_string().ends_with("did you mean `slideshow`"), "{error}");
}

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

/// A type does not fit because a limit kept it from being looked at: that is not known, and is said.
#[test]
fn what_is_too_large_to_be_known_is_an_error_and_not_another_type() {
    let large = "x".repeat(1 << 20);
    let dir = tree(&[
        ("large.yaml", &format!("kind: {large}\n")),
        ("deep.yaml", &format!("{}{}", "[".repeat(65), "]".repeat(65))),
        ("deck.md", &format!("---\ntitle: x\n---\n{}", large.repeat(8))),
    ]);
    let long_name = [Entry::long(b'L', &"n".repeat(5000)), Entry::file("n", ""), Entry::file("a/Chart.yaml", "")];
    let mut chart = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    chart.write_all(&archive(long_name)).unwrap();
    std::fs::write(dir.path().join("a-1.0.0.tgz"), chart.finish().unwrap()).unwrap();
    let catalog = Catalog::builtin().unwrap();
    for (file, name, message) in [
        ("large.yaml", "slideshow", "`large.yaml` is larger than the limit of 1048576 bytes"),
        ("deep.yaml", "slideshow", "recursion limit exceeded"),
        ("deck.md", "slideshow", "`deck.md` is larger than the limit of 8388608 bytes"),
        ("a-1.0.0.tgz", "helm-chart", "the name has 5000 bytes; the limit is 4096"),
    ] {
        let source = Source::open(dir.path().join(file)).unwrap();
        let error = catalog.detect(&source).expect_err(file);
        assert_eq!((error.kind(), error.code()), (Kind::Limit, Some(Code::TypeUndecided)), "{file}: {error}");
        let asked = format!("cannot decide whether `{source}` is a {name}: ");
        assert!(error.to_string().starts_with(&asked) && error.to_string().ends_with(message), "{file}: {error}");
        // Nor is a form guessed for a type that is named.
        let named = catalog.get(name).unwrap().named(&source).unwrap_err();
        assert!(named.kind() == Kind::Limit && named.to_string().ends_with(message), "{file}: {named}");
        // Who says what it is has it packed.
        assert_eq!(catalog.get("file-bundle").unwrap().named(&source).unwrap().form, "file", "{file}");
    }
}
