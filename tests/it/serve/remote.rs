//! A registry in front of another one.

use std::sync::Arc;

use artifact::{
    copy,
    serve::{Options, Remote},
    store::{ReadStore, Store},
    stores::{
        Memory,
        registry::{self, Registry, Repository},
    },
};

use crate::support::{
    faulty::Faulty,
    samples::{Sample, named, names, noise},
    server,
    writing::read,
};

fn repository(host: &str) -> Repository {
    Registry::new(host, &registry::Options::default()).unwrap().repository("a").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_to_a_registry_in_front_is_in_the_one_behind_and_comes_back() {
    let behind = Faulty::new("");
    let listening = behind.listen("").await;
    let repositories = Arc::new(Remote::new(Registry::new(&listening.host(), &registry::Options::default()).unwrap()));
    let front = server::start(Options { repositories, ..Options::in_memory() }).await;
    let front = Arc::new(repository(&front.addr().to_string()));
    // More than is gathered before it goes on.
    let sample = Sample::of(&[b"small", &noise(20 << 20, 1)]);
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    let to: Arc<dyn Store> = front.clone();
    copy::between(&sample.in_memory(&["v1"]).await, &named("v1"), &to, &options).await.unwrap();
    let there = behind.healthy();
    assert_eq!(there.resolve(&named("v1")).await.unwrap(), *sample.root());
    for (desc, bytes) in sample.all() {
        assert!(read(&there, desc, 64 << 20).await.unwrap() == bytes, "{}", desc.digest);
    }
    let requests = listening.seen();
    let pieces = requests.iter().filter(|seen| seen.method == "PATCH").map(|seen| seen.header("content-length"));
    let large: Vec<u64> = pieces.map(|length| length.parse().unwrap()).filter(|length| *length > 1000).collect();
    assert_eq!(large, [8 << 20, 8 << 20, 4 << 20]);
    let back: Arc<dyn Store> = Arc::new(Memory::new());
    let from: Arc<dyn ReadStore> = front;
    copy::between(&from, &named("v1"), &back, &options).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(read(&*back, desc, 64 << 20).await.unwrap() == bytes, "{}", desc.digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_behind_does_not_have_is_not_there() {
    let behind = server::in_memory().await;
    let registry = Registry::new(&behind.addr().to_string(), &registry::Options::default()).unwrap();
    let options = Options { repositories: Arc::new(Remote::new(registry)), ..Options::in_memory() };
    let front = server::start(options).await;
    let a = repository(&front.addr().to_string());
    assert_eq!(a.resolve(&named("v1")).await.unwrap_err().kind(), artifact::Kind::NotFound);
    assert!(a.list_names().await.unwrap().names.is_empty());
    assert!(a.registry().repositories().await.unwrap().is_empty());
}
