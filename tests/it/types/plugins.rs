//! Types that are programs.

use std::{path::Path, time::Duration};

use artifact::{
    Kind, Result,
    oci::Digest,
    plan::Plan,
    source::Source,
    types::{Inputs, plugin},
};

use super::{packed, set, tree};

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
            "failed (exit status: 3): \u{1b}[31mno such deck",
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
