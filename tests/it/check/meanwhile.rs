//! Stores that others change while they are checked.

use std::{path::Path, sync::Arc};

use artifact::{
    check::{Finding, What, check},
    store::{self, Item, ReadStore, Store},
    stores::Layout,
};
use futures_util::future::BoxFuture;

use crate::support::{
    samples::{Sample, deliver},
    watched::{Call, Fault, Watched},
};

/// Artifacts that share nothing.
fn samples() -> [Sample; 3] {
    [b"one", b"two", b"six"].map(|content| Sample::of(&[content]))
}

async fn filled(path: &Path) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(Layout::create(path).unwrap());
    for (sample, tag) in samples().iter().zip(["v1", "v2", "v3"]) {
        deliver(&store, sample, &[tag]).await.unwrap();
    }
    store
}

/// What another process does, which has the layout open, too.
fn deletes(path: &Path, number: usize) -> BoxFuture<'static, ()> {
    let (other, sample) = (Layout::open(path).unwrap(), samples()[number].clone());
    Box::pin(async move { store::delete(&other, Item::manifest(sample.root().clone())).await.unwrap() })
}

fn puts_back(path: &Path, number: usize) -> BoxFuture<'static, ()> {
    let (other, sample) = (Arc::new(Layout::open(path).unwrap()) as Arc<dyn Store>, samples()[number].clone());
    Box::pin(async move { deliver(&other, &sample, &["v9"]).await.unwrap() })
}

fn meanwhile(store: &Arc<dyn Store>, changes: impl IntoIterator<Item = BoxFuture<'static, ()>>) -> Arc<Watched> {
    Watched::new(Arc::clone(store), Fault::Meanwhile(std::sync::Mutex::new(changes.into_iter().collect())))
}

fn errors(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.what == What::Missing || finding.what == What::Unreadable).collect()
}

#[tokio::test]
async fn what_another_process_deletes_meanwhile_is_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let watched = meanwhile(&store, [deletes(dir.path(), 1)]) as Arc<dyn ReadStore>;
    assert!(errors(&check(&watched).await.unwrap()).is_empty());
    // One look after another is disturbed.
    let watched = meanwhile(&store, [deletes(dir.path(), 0), deletes(dir.path(), 2)]) as Arc<dyn ReadStore>;
    assert!(errors(&check(&watched).await.unwrap()).is_empty());
}

#[tokio::test]
async fn what_goes_and_comes_back_is_not_missing_either() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let changes = (0..20).map(|n| if n % 2 == 0 { deletes(dir.path(), 1) } else { puts_back(dir.path(), 1) });
    let watched = meanwhile(&store, changes) as Arc<dyn ReadStore>;
    assert!(errors(&check(&watched).await.unwrap()).is_empty());
}

#[tokio::test]
async fn what_is_missing_stays_a_finding_whatever_else_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let lost = samples()[1].layer().0.digest.clone();
    std::fs::remove_file(dir.path().join("blobs/sha256").join(lost.hex())).unwrap();
    for changes in [vec![], vec![deletes(dir.path(), 0)], vec![puts_back(dir.path(), 0), deletes(dir.path(), 2)]] {
        let watched = meanwhile(&store, changes) as Arc<dyn ReadStore>;
        let findings = check(&watched).await.unwrap();
        let found: Vec<_> = errors(&findings).into_iter().map(|f| (f.what, f.place.as_str())).collect();
        assert_eq!(found, [(What::Missing, lost.to_string().as_str())]);
    }
}

#[tokio::test]
async fn what_was_verified_is_not_read_again_by_the_second_look() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let watched = meanwhile(&store, [deletes(dir.path(), 1)]);
    check(&(Arc::clone(&watched) as Arc<dyn ReadStore>)).await.unwrap();
    let layer = samples()[0].layer().0.digest.clone();
    assert_eq!(watched.calls().iter().filter(|call| **call == Call::Fetch(layer.clone())).count(), 1);
}
