//! Large blobs where a registry, or a proxy before it, refuses them in one request.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use artifact::{
    Kind, Result,
    fault::Seen,
    oci::Descriptor,
    store::{Intent, begin},
    stores::registry::{Options, Repository},
};
use bytes::Bytes;

use crate::support::{
    faulty::Faulty,
    samples::noise,
    scripted::{Scripted, reply},
    writing::{has, put, read},
};

const MIB: usize = 1 << 20;
const SIZE: usize = 20 * MIB + 1;

/// A registry behind a proxy that takes so many bytes in a request, and has these faults besides.
struct World {
    faulty: Faulty,
    repository: Repository,
}

impl World {
    fn new(longest: usize, faults: &str) -> Self {
        let refuse =
            format!("{{on: PUT|PATCH upload, nth: all, longer: {longest}, refuse: {{status: 413, early: true}}}}");
        let faulty = Faulty::new(&format!("{refuse}, {faults}"));
        let repository = faulty.repository(&Options::default());
        Self { faulty, repository }
    }

    async fn push(&self, seed: u64) -> Result<()> {
        let (desc, bytes) = blob(seed);
        put(&self.repository, &desc, &bytes).await?;
        assert!(read(&self.faulty.healthy(), &desc, desc.size).await? == bytes);
        Ok(())
    }

    /// The pieces that were taken, as their requests name them.
    fn pieces(&self) -> Vec<String> {
        let taken = |seen: &&Seen| seen.method == "PATCH" && !seen.faults.contains(&0);
        self.faulty.seen().iter().filter(taken).map(|seen| seen.header("content-range").to_owned()).collect()
    }
}

fn blob(seed: u64) -> (Descriptor, Bytes) {
    let bytes = Bytes::from(noise(SIZE, seed));
    (Descriptor::of("a/b", &bytes), bytes)
}

#[tokio::test(start_paused = true)]
async fn pieces_are_as_short_as_they_must_be_and_that_is_remembered() {
    let world = World::new(6 * MIB, "");
    world.push(1).await.unwrap();
    let quarters = ["0-5242880", "5242881-10485761", "10485762-15728642", "15728643-20971520"];
    assert_eq!(world.pieces(), quarters);
    // The whole, then halves, were refused.
    assert_eq!(world.faulty.count("POST upload"), 3);
    world.push(2).await.unwrap();
    assert_eq!(world.pieces().len(), 8);
    assert_eq!(world.faulty.count("POST upload"), 4);
}

#[tokio::test(start_paused = true)]
async fn content_of_unknown_size_is_sent_in_pieces_as_short_as_they_must_be() {
    let world = World::new(6 * MIB, "");
    let (desc, bytes) = blob(3);
    let write = begin(&world.repository, Intent::default()).await.unwrap();
    let mut sink = write.puts().stream(None).await.unwrap();
    for chunk in bytes.chunks(MIB) {
        sink.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(sink.finish(None).await.unwrap().digest, desc.digest);
    assert_eq!(
        world.pieces(),
        ["0-5242879", "5242880-10485759", "10485760-15728639", "15728640-20971519", "20971520-20971520"]
    );
    assert_eq!(world.faulty.count("PATCH upload"), 6, "the first was too long");
    assert!(read(&world.faulty.healthy(), &desc, desc.size).await.unwrap() == bytes);
    // In one request it is not taken, which is known now.
    let whole = write.puts().stream(Some(desc.size)).await;
    assert_eq!(whole.err().unwrap().kind(), Kind::Unsupported);
    write.abandon().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_less_than_five_mebibytes_is_quoted() {
    let world = World::new(MIB, "");
    let error = world.push(1).await.unwrap_err();
    assert!(error.kind() == Kind::Limit && error.to_string().contains("PATCH"), "{error}");
    assert!(world.pieces().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pieces_are_as_long_as_the_registry_wants_them() {
    let least = "{on: POST upload, nth: all, change: {headers: {OCI-Chunk-Min-Length: '11534336'}}}";
    let world = World::new(12 * MIB, least);
    world.push(1).await.unwrap();
    assert_eq!(world.pieces(), ["0-11534335", "11534336-20971520"]);
    let world = World::new(10 * MIB, least);
    assert_eq!(world.push(1).await.unwrap_err().kind(), Kind::Limit);
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_is_created_is_accepted() {
    let world = World::new(12 * MIB, "{on: PATCH upload, nth: all, change: {status: 201}}");
    world.push(1).await.unwrap();
    assert_eq!(world.pieces().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_on_where_the_registry_says_that_it_stands() {
    let world = World::new(12 * MIB, "{on: PATCH upload, change: {status: 416}}");
    world.push(1).await.unwrap();
    assert_eq!(world.pieces(), ["0-10485760", "10485761-20971520"]);
    assert_eq!(world.faulty.count("POST upload"), 2);
}

#[tokio::test(start_paused = true)]
async fn pieces_start_over_when_one_fails() {
    for fault in [
        "refuse: {status: 503}",
        "refuse: {status: 404}",
        "refuse: {status: 416}",
        "lose: {what: request}",
        "lose: {what: answer}",
        "lose: {what: request, after: 1048576, by: reset}",
    ] {
        let world = World::new(12 * MIB, &format!("{{on: PATCH upload, nth: 2, {fault}}}"));
        world.push(1).await.unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert_eq!(world.faulty.count("POST upload"), 3, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_never_finds_its_place_is_given_up() {
    let world = World::new(12 * MIB, "{on: PATCH upload, nth: all, refuse: {status: 416}}");
    let error = world.push(1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(world.faulty.count("POST upload"), 7);
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_on_wherever_the_registry_stands() {
    // Inside a piece, and at its end without a word.
    for lose in ["what: request, after: 5000000", "what: answer"] {
        let lose = format!("{{on: PATCH upload, nth: 2, lose: {{{lose}}}}}");
        let world = World::new(12 * MIB, &lose);
        world.push(1).await.unwrap_or_else(|e| panic!("{lose}: {e}"));
    }
    // Where it says that it has nothing, although we were told otherwise.
    let nothing =
        "{on: PATCH upload, nth: 2, refuse: {status: 416}}, {on: GET upload, change: {headers: {Range: 0-0}}}";
    World::new(12 * MIB, nothing).push(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_range_that_cannot_be_right_is_not_believed() {
    for range in ["0-0", "0-9", "0-99999999999", "5-9", "x"] {
        let told = format!("{{on: PATCH upload, nth: all, change: {{headers: {{Range: '{range}'}}}}}}");
        World::new(12 * MIB, &told).push(1).await.unwrap_or_else(|e| panic!("{range}: {e}"));
    }
}

/// A registry that takes no blob at once, and of the second piece only so much that it stands here then, and says 416.
fn standing(stands: usize) -> Scripted {
    let (had, patches) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    Scripted::start(move |request| {
        let mut had = had.lock().unwrap();
        let method = request.line().split(' ').next().unwrap_or_default();
        let mut taken = false;
        match method {
            "POST" => had.clear(),
            "PATCH" if request.header("content-range").starts_with(&format!("{}-", had.len())) => {
                had.extend_from_slice(&request.body);
                taken = patches.fetch_add(1, Ordering::Relaxed) != 1;
                had.truncate(if taken { usize::MAX } else { stands });
            }
            _ => {}
        }
        let status = match method {
            "POST" => 202,
            "PUT" if !request.body.is_empty() => 413,
            "PUT" if *had == noise(SIZE, 1) => 201,
            "PATCH" if taken => 202,
            "PATCH" => 416,
            "GET" | "DELETE" => 204,
            _ => 404,
        };
        let range = format!("0-{}", had.len().saturating_sub(1));
        reply(status, &[("location", "/v2/a/blobs/uploads/1"), ("range", &range)], b"")
    })
}

#[tokio::test]
async fn a_registry_that_stands_at_any_offset_gets_what_it_lacks_and_no_more() {
    const SECOND: usize = 10_485_761;
    let (desc, bytes) = blob(1);
    // At nothing, inside the first piece, one byte before the second, inside that, and at the end.
    for stands in [0, 1_000_000, SECOND - 1, 15_000_000, SIZE] {
        let server = standing(stands);
        let repository = super::repository(server.host(), "a", &Options::default());
        put(&repository, &desc, &bytes).await.unwrap_or_else(|e| panic!("{stands}: {e}"));
        let requests = server.seen().into_iter();
        let (patches, others): (Vec<_>, Vec<_>) = requests.partition(|request| request.line().starts_with("PATCH"));
        let sent: usize = patches.iter().map(|request| request.body.len()).sum();
        assert_eq!(sent, SIZE + (SIZE - stands), "{stands}");
        let opened = others.iter().filter(|request| request.line().starts_with("POST")).count();
        assert_eq!(opened, 2, "{stands}: the whole was refused, and then it never started over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_takes_a_hundred_mebibytes_gets_them_in_two_pieces() {
    let world = World::new(100 * MIB, "");
    let bytes = Bytes::from(vec![7; 101 * MIB]);
    let desc = Descriptor::of("a/b", &bytes);
    put(&world.repository, &desc, &bytes).await.unwrap();
    assert!(has(&world.faulty.healthy(), &desc).await.unwrap());
    assert_eq!(world.pieces(), ["0-52953087", "52953088-105906175"]);
}
