//! Against Debian's docker-registry: anonymous, with passwords, with tokens.

use std::sync::Arc;

use artifact::{
    Kind,
    store::{self, ReadStore, Store},
    stores::{
        Memory,
        registry::{Greeting, Options, Registry},
    },
};

use super::{carry, repository, with_password};
use crate::support::{
    docker_registry::{Access, DockerRegistry, HTPASSWD, PASSWORD, USER},
    samples::{Sample, noise},
};

/// Pushes a sample, pulls it into memory and compares every byte.
pub(super) async fn there_and_back(repository: impl Store + 'static) {
    let sample = Sample::of(&[b"hello", &noise(5_000_000, 1), b""]);
    let from = sample.in_memory(&["v1"]).await;
    let remote: Arc<dyn Store> = Arc::new(repository);
    let report = carry(&from, &remote).await.unwrap();
    assert_eq!((report.moved, report.present), (5, 0));
    assert_eq!(carry(&from, &remote).await.unwrap().moved, 0);
    let back: Arc<dyn Store> = Arc::new(Memory::new());
    let remote: Arc<dyn ReadStore> = remote;
    carry(&remote, &back).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(store::read(back.as_ref(), desc, 8 << 20).await.unwrap() == bytes);
    }
    assert_eq!(remote.tags().await.unwrap(), ["v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_goes_to_a_registry_and_comes_back() {
    let Some(server) = DockerRegistry::start(Access::Anyone) else { return };
    there_and_back(repository(server.host(), "team/art", &Options::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_a_registry_and_a_wrong_one_does_not() {
    let Some(server) = DockerRegistry::start(Access::Htpasswd(HTPASSWD)) else { return };
    let right = with_password(server.host(), USER, PASSWORD);
    there_and_back(repository(server.host(), "team/art", &right)).await;

    assert_eq!(Registry::new(server.host(), &right).unwrap().ping().await.unwrap(), Greeting::Authenticated);
    let wrong = with_password(server.host(), USER, "wrong-canary");
    let error = Registry::new(server.host(), &wrong).unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(!error.to_string().contains("wrong-canary"));
}
