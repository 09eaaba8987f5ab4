//! Tests of `serve` with clients of others.

use std::process::Command;

use crate::{
    harness::{Test, tests},
    support::{http::send, peer, run, samples::image, server},
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["skopeo"]
            multi skopeo_copies_to_and_from_the_server_without_changing_a_digest;
    ]
}

async fn skopeo_copies_to_and_from_the_server_without_changing_a_digest() {
    let skopeo = peer("skopeo");
    let server = server::in_memory().await;
    let dir = tempfile::tempdir().unwrap();
    let (from, back) = (dir.path().join("from"), dir.path().join("back"));
    image(&from);
    let remote = format!("docker://{}/a/b:v1", server.addr());
    let skopeo = |args: &[&str]| {
        let mut command = Command::new(&skopeo);
        command.arg("--insecure-policy").args(args);
        tokio::task::spawn_blocking(move || run(&mut command))
    };
    let (from, back) = (format!("oci:{}:v1", from.display()), format!("oci:{}:v1", back.display()));
    skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &remote]).await.unwrap();
    skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &remote, &back]).await.unwrap();
    let digest = |text: String| text.trim().to_owned();
    let before = digest(skopeo(&["inspect", "--format={{.Digest}}", &from]).await.unwrap());
    let after = digest(skopeo(&["inspect", "--format={{.Digest}}", &back]).await.unwrap());
    assert_eq!(before, after);
    let head = send(server.addr(), "HEAD", "/v2/a/b/manifests/v1", &[], "").await;
    assert_eq!(head.header("docker-content-digest"), before);
}
