//! Referrers on a registry that does not list them.

use std::sync::Arc;

use artifact::{
    oci::{Descriptor, Index},
    store::{ReadStore as _, Store},
    stores::registry::{Options, Registry},
    tree::tree,
};

use super::repository;
use crate::{
    harness::{Test, tests},
    support::{
        docker_registry::{Access, DockerRegistry},
        samples::{Sample, TYPE, deliver, named},
        writing::{publish, put},
    },
};

fn subject() -> Sample {
    Sample::of(&[b"subject"])
}

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["docker-registry"]
            multi a_registry_without_a_list_gets_one_under_a_tag,
            multi a_tag_that_is_the_subject_itself_becomes_the_list,
            multi many_referrers_at_once_are_all_listed;
    ]
}

async fn a_registry_without_a_list_gets_one_under_a_tag() {
    let server = DockerRegistry::start(Access::Anyone);
    let store: Arc<dyn Store> = Arc::new(repository(server.host(), "a", &Options::default()));
    deliver(&store, &subject(), &["v1"]).await.unwrap();
    assert!(store.referrers(subject().root()).await.unwrap().is_empty());
    let sbom = Sample::about(subject().root(), b"sbom");
    deliver(&store, &sbom, &[]).await.unwrap();
    let expected = Descriptor {
        artifact_type: Some(TYPE.into()),
        annotations: [("org.example.note".to_owned(), "sample".to_owned())].into(),
        ..sbom.root().clone()
    };
    assert_eq!(store.referrers(subject().root()).await.unwrap(), std::slice::from_ref(&expected));
    let tag = format!("sha256-{}", subject().root().digest.hex());
    assert_eq!(store.list_names().await.unwrap().names, [tag.as_str(), "v1"]);
    let list = store.resolve(&named(&tag)).await.unwrap();
    let list: Index =
        serde_json::from_slice(&artifact::store::read_manifest(store.as_ref(), &list).await.unwrap()).unwrap();
    assert_eq!(list.manifests, [expected]);
    deliver(&store, &sbom, &[]).await.unwrap();
    assert_eq!(store.referrers(subject().root()).await.unwrap().len(), 1);
}

/// What `cosign copy` leaves there: the tag of the list stands for the artifact, which may be an index.
async fn a_tag_that_is_the_subject_itself_becomes_the_list() {
    let server = DockerRegistry::start(Access::Anyone);
    let store: Arc<dyn Store> = Arc::new(repository(server.host(), "a", &Options::default()));
    for subject in [subject(), Sample::index(&[subject()])] {
        let root = subject.root();
        let tag = format!("sha256-{}", root.digest.hex());
        deliver(&store, &subject, &["v1", &tag]).await.unwrap();
        let found = tree(store.as_ref(), &named("v1")).await.unwrap();
        assert_eq!(found.root.referrers, []);
        let notes = [Sample::about(root, b"one"), Sample::about(root, b"two")];
        for note in &notes {
            deliver(&store, note, &[]).await.unwrap();
        }
        let found = tree(store.as_ref(), &named("v1")).await.unwrap();
        let mut shown: Vec<_> = found.root.referrers.iter().map(|node| node.digest.clone()).collect();
        let mut expected: Vec<_> = notes.iter().map(|note| note.root().digest.clone()).collect();
        shown.sort();
        expected.sort();
        assert_eq!((shown, &found.root.digest), (expected, &root.digest));
        assert_ne!(store.resolve(&named(&tag)).await.unwrap().digest, root.digest);
    }
}

async fn many_referrers_at_once_are_all_listed() {
    let server = DockerRegistry::start(Access::Anyone);
    let registry = Registry::new(server.host(), &Options::default()).unwrap();
    let samples: Vec<Sample> = (0..20_u8).map(|n| Sample::about(subject().root(), &[n])).collect();
    // First and one after another: docker-registry 2.8 may not see a blob while somebody finishes it a second time, and
    // all of these have the same config.
    for (desc, bytes) in samples.iter().flat_map(|sample| &sample.blobs) {
        put(&registry.repository("a").unwrap(), desc, bytes).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for sample in samples {
        let store = registry.repository("a").unwrap();
        tasks.spawn(async move {
            let [(desc, bytes)] = sample.manifests.as_slice() else { panic!("one manifest") };
            publish(&store, desc, bytes, &[]).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let store = registry.repository("a").unwrap();
    assert_eq!(store.referrers(subject().root()).await.unwrap().len(), 20);
}
