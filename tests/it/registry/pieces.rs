//! Large blobs where a registry, or a proxy before it, refuses them in one request.

use std::time::Duration;

use artifact::{
    Kind, Result,
    oci::Descriptor,
    store::{self, Store as _},
    stores::registry::{Backoff, Options, Repository},
};
use bytes::Bytes;

use super::repository;
use crate::support::{
    flaky::{ALWAYS, Fault, Flaky, Rule, on},
    samples::noise,
    server,
};

const MIB: usize = 1 << 20;
const SIZE: usize = 20 * MIB + 1;

/// A registry behind a proxy that takes so many bytes in a request, and has these faults besides.
struct World {
    upstream: artifact::serve::Running,
    flaky: Flaky,
    repository: Repository,
}

impl World {
    async fn new(longest: usize, faults: Vec<Rule>) -> Self {
        let upstream = server::in_memory().await;
        let refuse = |method| on(method, "/uploads/", ALWAYS, Fault::LongestUpload(longest));
        let rules = [vec![refuse("PUT"), refuse("PATCH")], faults].concat();
        let flaky = Flaky::before(&upstream.addr().to_string(), rules);
        let short = Duration::from_millis(5);
        let backoff = Backoff { first: short, longest: short, ..Backoff::default() };
        let repository = repository(flaky.host(), "a", &Options { backoff, ..Options::default() });
        Self { upstream, flaky, repository }
    }

    async fn push(&self, seed: u64) -> Result<()> {
        let (desc, bytes) = blob(seed);
        self.repository.push(&desc, &bytes).await?;
        let there = repository(&self.upstream.addr().to_string(), "a", &Options::default());
        assert!(store::read(&there, &desc, desc.size).await? == bytes);
        Ok(())
    }

    /// The pieces that were taken, as their requests name them.
    fn pieces(&self) -> Vec<String> {
        let patches = self.flaky.seen().into_iter().filter(|r| r.line().starts_with("PATCH") && !r.body.is_empty());
        patches.map(|r| r.header("content-range").to_owned()).collect()
    }
}

fn blob(seed: u64) -> (Descriptor, Bytes) {
    let bytes = Bytes::from(noise(SIZE, seed));
    (Descriptor::of("a/b", &bytes), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_as_short_as_they_must_be_and_that_is_remembered() {
    let world = World::new(6 * MIB, Vec::new()).await;
    world.push(1).await.unwrap();
    let quarters = ["0-5242880", "5242881-10485761", "10485762-15728642", "15728643-20971520"];
    assert_eq!(world.pieces(), quarters);
    // The whole, then halves, were refused.
    assert_eq!(world.flaky.count("POST", "/uploads/"), 3);
    world.push(2).await.unwrap();
    assert_eq!(world.pieces().len(), 8);
    assert_eq!(world.flaky.count("POST", "/uploads/"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_less_than_five_mebibytes_is_quoted() {
    let world = World::new(MIB, Vec::new()).await;
    let error = world.push(1).await.unwrap_err();
    assert!(error.kind() == Kind::Limit && error.to_string().contains("PATCH"), "{error}");
    assert!(world.pieces().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_as_long_as_the_registry_wants_them() {
    let least = || vec![on("POST", "/uploads/", ALWAYS, Fault::Header("oci-chunk-min-length", "11534336"))];
    let world = World::new(12 * MIB, least()).await;
    world.push(1).await.unwrap();
    assert_eq!(world.pieces(), ["0-11534335", "11534336-20971520"]);
    let world = World::new(10 * MIB, least()).await;
    assert_eq!(world.push(1).await.unwrap_err().kind(), Kind::Limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_created_is_accepted() {
    let world = World::new(12 * MIB, vec![on("PATCH", "/uploads/", ALWAYS, Fault::Says(201))]).await;
    world.push(1).await.unwrap();
    assert_eq!(world.pieces().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_the_registry_says_that_it_stands() {
    let world = World::new(12 * MIB, vec![on("PATCH", "/uploads/", 0..1, Fault::Says(416))]).await;
    world.push(1).await.unwrap();
    assert_eq!(world.pieces(), ["0-10485760", "10485761-20971520"]);
    assert_eq!(world.flaky.count("POST", "/uploads/"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_start_over_when_one_fails() {
    for fault in [
        Fault::Status(503, &[]),
        Fault::Status(404, &[]),
        Fault::Status(416, &[]),
        Fault::Close,
        Fault::Forget,
        Fault::ResetUpload(MIB),
    ] {
        let world = World::new(12 * MIB, vec![on("PATCH", "/uploads/", 1..2, fault.clone())]).await;
        world.push(1).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(world.flaky.count("POST", "/uploads/"), 3, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_finds_its_place_is_given_up() {
    let world = World::new(12 * MIB, vec![on("PATCH", "/uploads/", ALWAYS, Fault::Status(416, &[]))]).await;
    let error = world.push(1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(world.flaky.count("POST", "/uploads/"), 7);
}
