//! Tests of `serve` with clients of others.

use std::{process::Command, time::Duration};

use artifact::{
    oci::Descriptor,
    serve::{Limits, Options, Registry, Server, Tls},
    stores::registry::{self, Protocol},
};
use bytes::Bytes;

use crate::{
    harness::{Test, tests},
    support::{
        client::repository,
        http::send,
        peer, run,
        samples::{image, words},
        server,
        tls::Identity,
        writing::{put, read},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["skopeo"]
            multi skopeo_copies_to_and_from_the_server_without_changing_a_digest;
        ["openssl"]
            multi a_server_with_a_certificate_is_trusted_by_those_who_trust_its_authority,
            multi a_client_that_never_shakes_hands_makes_room_for_others;
    ]
}

async fn a_server_with_a_certificate_is_trusted_by_those_who_trust_its_authority() {
    let identity = Identity::new();
    let tls = Tls::from_pem(&identity.pem.0, &identity.pem.1).unwrap();
    let server = Server::bind(([127, 0, 0, 1], 0), Registry::new(Options::in_memory())).await.unwrap();
    let server = server.with_tls(tls).spawn();
    let options = |roots| registry::Options { protocol: Protocol::Https, roots, retries: 0, ..Default::default() };
    let host = server.addr().to_string();
    let content = Bytes::from(words(3 << 20, 1));
    let desc = Descriptor::of("a/b", &content);
    let trusting = repository(&host, "a", &options(vec![identity.authority.clone()]));
    put(&trusting, &desc, &content).await.unwrap();
    assert!(read(&trusting, &desc, desc.size).await.unwrap() == content);
    let stranger = repository(&host, "a", &options(vec![Identity::new().authority]));
    assert!(read(&stranger, &desc, desc.size).await.is_err());
    let other = Identity::new();
    assert!(
        Tls::from_pem(&identity.pem.0, &other.pem.1).unwrap_err().to_string().contains("not that of the certificate")
    );
    server.stop().await.unwrap();
}

async fn a_client_that_never_shakes_hands_makes_room_for_others() {
    let identity = Identity::new();
    let tls = Tls::from_pem(&identity.pem.0, &identity.pem.1).unwrap();
    let limits = Limits { connections: 1, head: Duration::from_millis(100), ..Limits::default() };
    let app = Registry::new(Options { limits, ..Options::in_memory() });
    let server = Server::bind(([127, 0, 0, 1], 0), app).await.unwrap().with_tls(tls).spawn();
    let _silent = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let roots = vec![identity.authority.clone()];
    let options = registry::Options { protocol: Protocol::Https, roots, ..Default::default() };
    let client = repository(&server.addr().to_string(), "a", &options);
    put(&client, &Descriptor::of("a/b", b"x"), &Bytes::from_static(b"x")).await.unwrap();
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
