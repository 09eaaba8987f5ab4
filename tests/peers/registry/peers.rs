//! Together with others: Debian's docker-registry, anonymous and with passwords; oci-client; skopeo.

use std::sync::Arc;

use artifact::{
    Kind,
    store::{self, ReadStore, Store},
    stores::{
        Memory,
        registry::{Greeting, Options, Registry},
    },
};

use super::{carry, repository, there_and_back, with_password};
use crate::{
    harness::{Test, tests},
    support::{
        docker_registry::{Access, DockerRegistry, HTPASSWD, PASSWORD, USER},
        peer, run,
        samples::{Sample, noise},
        server,
        writing::read,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["docker-registry"]
            multi an_artifact_goes_to_a_registry_and_comes_back,
            multi a_password_opens_a_registry_and_a_wrong_one_does_not,
            multi oci_client_and_we_read_each_other_through_docker_registry;
        []
            multi oci_client_and_we_read_each_other_through_the_embedded_registry;
        ["docker-registry", "skopeo"]
            multi skopeo_reads_what_we_push;
    ]
}

async fn an_artifact_goes_to_a_registry_and_comes_back() {
    let server = DockerRegistry::start(Access::Anyone);
    there_and_back(repository(server.host(), "team/art", &Options::default())).await;
}

async fn a_password_opens_a_registry_and_a_wrong_one_does_not() {
    let server = DockerRegistry::start(Access::Htpasswd(HTPASSWD));
    let right = with_password(server.host(), USER, PASSWORD);
    there_and_back(repository(server.host(), "team/art", &right)).await;

    assert_eq!(Registry::new(server.host(), &right).unwrap().ping().await.unwrap(), Greeting::Authenticated);
    let wrong = with_password(server.host(), USER, "wrong-canary");
    let error = Registry::new(server.host(), &wrong).unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(!error.to_string().contains("wrong-canary"));
}

/// The client of the oci-client crate, for plain http.
fn oci_client() -> oci_client::Client {
    // Its TLS library wants to be told which cryptography to use, even for plain http.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let protocol = oci_client::client::ClientProtocol::Http;
    oci_client::Client::new(oci_client::client::ClientConfig { protocol, ..Default::default() })
}

/// oci-client pulls what we push, and we pull what it pushes.
async fn exchange_with_oci_client(host: &str) {
    use oci_client::{Reference, client, manifest::OciImageManifest, secrets::RegistryAuth};
    let (theirs, anonymous) = (oci_client(), RegistryAuth::Anonymous);
    let sample = Sample::of(&[b"hello", &noise(3_000_000, 1)]);
    let from = sample.in_memory(&["v1"]).await;
    let ours: Arc<dyn Store> = Arc::new(repository(host, "team/ours", &Options::default()));
    carry(&from, &ours).await.unwrap();
    let reference: Reference = format!("{host}/team/ours:v1").parse().unwrap();
    let (manifest, digest) = theirs.pull_image_manifest(&reference, &anonymous).await.unwrap();
    assert_eq!(digest, sample.root().digest.to_string());
    for (layer, (desc, bytes)) in manifest.layers.iter().zip(&sample.blobs[1..]) {
        let mut pulled = Vec::new();
        theirs.pull_blob(&reference, layer, &mut pulled).await.unwrap();
        assert!(layer.digest == desc.digest.to_string() && pulled == *bytes);
    }

    let reference: Reference = format!("{host}/team/theirs:v1").parse().unwrap();
    let content = noise(6_000_000, 2);
    let layer = client::ImageLayer::new(content.clone(), "text/plain".into(), None);
    let config = client::Config::oci_v1(b"{}".as_slice(), None);
    let manifest = OciImageManifest::build(std::slice::from_ref(&layer), &config, None);
    theirs.push(&reference, &[layer], config, &anonymous, Some(manifest)).await.unwrap();
    let remote: Arc<dyn ReadStore> = Arc::new(repository(host, "team/theirs", &Options::default()));
    let back: Arc<dyn Store> = Arc::new(Memory::new());
    let report = carry(&remote, &back).await.unwrap();
    assert_eq!(report.moved, 3);
    let bytes = store::read_manifest(back.as_ref(), &report.root).await.unwrap();
    let parsed = artifact::oci::Parsed::read(&report.root.media_type, &bytes).unwrap();
    assert!(read(back.as_ref(), parsed.children()[1].1, 8 << 20).await.unwrap() == content);
}

async fn oci_client_and_we_read_each_other_through_the_embedded_registry() {
    let server = server::in_memory().await;
    exchange_with_oci_client(&server.addr().to_string()).await;
}

async fn oci_client_and_we_read_each_other_through_docker_registry() {
    let server = DockerRegistry::start(Access::Anyone);
    exchange_with_oci_client(server.host()).await;
}

async fn skopeo_reads_what_we_push() {
    let (skopeo, server) = (peer("skopeo"), DockerRegistry::start(Access::Htpasswd(HTPASSWD)));
    let sample = Sample::of(&[b"hello"]);
    let from = sample.in_memory(&["v1"]).await;
    let options = with_password(server.host(), USER, PASSWORD);
    let store: Arc<dyn Store> = Arc::new(repository(server.host(), "team/art", &options));
    carry(&from, &store).await.unwrap();
    let raw = run(std::process::Command::new(skopeo)
        .args(["inspect", "--raw", "--tls-verify=false", "--creds"])
        .arg(format!("{USER}:{PASSWORD}"))
        .arg(format!("docker://{}/team/art:v1", server.host())));
    assert_eq!(raw.as_bytes(), sample.manifests[0].1);
}
