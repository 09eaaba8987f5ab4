//! What cosign signed stays signed wherever it goes, also when where it came from is gone.

use std::sync::Arc;

use artifact::{
    sign::{PublicKey, Requirement, Signer},
    store::{ReadStore, Store},
    stores::{Archive, Layout, registry::Options},
};

use super::carry;
use crate::{
    harness::{Test, tests},
    support::{
        client::repository,
        docker_registry::{Access, DockerRegistry},
        samples::named,
        server,
        signing::{layout_of, outcome, vector},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![["docker-registry"] multi what_cosign_signed_stays_signed_on_its_way_through_all_stores;]
}

/// The predicate type of the attestations in the vectors.
const ATTESTATION: &str = "https://spdx.dev/Document";

async fn what_cosign_signed_stays_signed_on_its_way_through_all_stores() {
    for (case, attested) in [
        ("bundle-key", false),
        ("legacy-key", false),
        ("both-formats", false),
        ("legacy-three-signatures", false),
        ("attest-only", true),
        ("legacy-attest", true),
    ] {
        let work = tempfile::tempdir().unwrap();
        let signer = vec![Signer::Key(PublicKey::read(&vector("keys/p256.pub")).unwrap())];
        let requirement = match attested {
            true => Requirement::attestation(ATTESTATION, signer),
            false => Requirement::signature(signer),
        };
        let verified = async |store: &dyn ReadStore, place: &str| {
            let subject = store.resolve(&named("v1")).await.unwrap();
            assert_eq!(outcome(store, &subject, &requirement).await, "verified", "{case} in {place}");
        };

        let first = work.path().join("first");
        layout_of(case, &first);
        let from: Arc<dyn ReadStore> = Arc::new(Layout::open(&first).unwrap());
        let server = DockerRegistry::start(Access::Anyone);
        let registry: Arc<dyn Store> = Arc::new(repository(server.host(), "one", &Options::default()));
        carry(&from, &named("v1"), &registry, "v1").await.unwrap();
        drop(from);
        std::fs::remove_dir_all(&first).unwrap();
        verified(registry.as_ref(), "a registry without a list of referrers").await;

        let file = work.path().join("archive.tar");
        let archive: Arc<dyn Store> = Arc::new(Archive::create(&file).unwrap());
        let from: Arc<dyn ReadStore> = registry;
        carry(&from, &named("v1"), &archive, "v1").await.unwrap();
        drop((from, archive, server));
        let archive: Arc<dyn ReadStore> = Arc::new(Archive::open(&file).unwrap());
        verified(archive.as_ref(), "an archive").await;

        let other = server::in_memory().await;
        let registry: Arc<dyn Store> = Arc::new(repository(&other.addr().to_string(), "two", &Options::default()));
        carry(&archive, &named("v1"), &registry, "v1").await.unwrap();
        drop(archive);
        std::fs::remove_file(&file).unwrap();
        verified(registry.as_ref(), "another registry").await;

        let last = work.path().join("last");
        let layout: Arc<dyn Store> = Arc::new(Layout::create(&last).unwrap());
        let from: Arc<dyn ReadStore> = registry;
        carry(&from, &named("v1"), &layout, "v1").await.unwrap();
        drop((from, layout, other));
        verified(&Layout::open(&last).unwrap(), "a layout").await;
    }
}
