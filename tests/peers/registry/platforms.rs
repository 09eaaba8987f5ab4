//! An index with a manifest for each platform, which others pull one of from docker-registry.

use std::{fs, path::PathBuf, process::Command};

use artifact::{Context, oci::Manifest, push};

use crate::{
    harness::{Test, tests},
    support::{
        docker_registry::{Access, DockerRegistry},
        examples::root,
        peer, run,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["docker-registry", "skopeo"]
            multi skopeo_pulls_one_platform_of_an_index;
        ["docker-registry", "oras"]
            multi oras_pulls_one_platform_of_an_index;
    ]
}

/// Pushes the sample of the example type, and gives where it is.
async fn pushed(server: &DockerRegistry) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut context = Context::new(dir.path());
    context.types.files.push(root().join("examples/types/multi-platform.yaml"));
    let mut options = push::Options::default();
    options.type_name = Some("multi-platform".into());
    let location = format!("{}/team/programs:v1", server.host());
    push::push(root().join("examples/programs"), &location, &context, &options).await.unwrap();
    location
}

/// The program for arm64, as it lies in the sample.
fn arm64() -> Vec<u8> {
    fs::read(root().join("examples/programs/linux-arm64/tool")).unwrap()
}

async fn skopeo_pulls_one_platform_of_an_index() {
    let (skopeo, server) = (peer("skopeo"), DockerRegistry::start(Access::Anyone));
    let (location, dir) = (pushed(&server).await, tempfile::tempdir().unwrap());
    run(Command::new(skopeo)
        .args(["copy", "--src-tls-verify=false", "--override-os", "linux", "--override-arch", "arm64"])
        .arg(format!("docker://{location}"))
        .arg(format!("oci:{}:v1", dir.path().display())));
    let blob = |digest: &str| -> PathBuf { dir.path().join("blobs/sha256").join(digest) };
    let index: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let manifest: Manifest = serde_json::from_slice(&fs::read(blob(&digest)).unwrap()).unwrap();
    assert_eq!(fs::read(blob(&manifest.layers[0].digest.hex())).unwrap(), arm64());
}

async fn oras_pulls_one_platform_of_an_index() {
    let (oras, server) = (peer("oras"), DockerRegistry::start(Access::Anyone));
    let (location, dir) = (pushed(&server).await, tempfile::tempdir().unwrap());
    run(Command::new(oras)
        .args(["pull", "--plain-http", "--platform", "linux/arm64", "-o"])
        .arg(dir.path())
        .arg(location));
    assert_eq!(fs::read(dir.path().join("tool")).unwrap(), arm64());
}
