//! Tests of `serve`: what the distribution specification does not say, from read-only to hostile requests.

use std::process::Command;

use crate::support::{http::send, peer, run, server};

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_to_and_from_the_server_without_changing_a_digest() {
    let Some(skopeo) = peer("skopeo") else { return };
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

/// An image layout with one small runnable image, tagged `v1`.
fn image(dir: &std::path::Path) {
    use artifact::oci::{Descriptor, Digest, media_type};
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
        serde_json::to_value(Descriptor::of(media_type, bytes)).unwrap()
    };
    let layer = [0; 1024];
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    });
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST,
        "config": put(media_type::IMAGE_CONFIG, config.to_string().as_bytes()),
        "layers": [put(media_type::LAYER_TAR, &layer)],
    });
    let mut root = put(media_type::MANIFEST, manifest.to_string().as_bytes());
    root["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [root]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
