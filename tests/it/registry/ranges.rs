//! Large blobs over several connections: in order, whole, and never of parts that do not belong together.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use artifact::{
    oci::Descriptor,
    store,
    stores::registry::{Backoff, Options, Ranges},
};

use super::repository;
use crate::support::{
    faulty::Faulty,
    samples::{Sample, deliver, noise},
    writing::read,
};

const SEGMENT: usize = 256 << 10;
const SIZE: usize = 3 << 20;

/// Every connection that is waited for at all is slower than `fast`, unless that is 0.
fn options(fast: u64) -> Options {
    let short = Duration::from_millis(5);
    Options {
        backoff: Backoff { first: short, longest: short, ..Backoff::default() },
        ranges: Ranges { least: 0, fast, segment: SEGMENT as u64, streams: 4 },
        ..Options::default()
    }
}

/// Pulls one blob past these faults of its requests; gives the ranges that were asked for.
async fn pull(fast: u64, faults: &str) -> Vec<String> {
    let (world, sample) = (Faulty::new(""), Sample::of(&[&noise(SIZE, 5)]));
    let store = Arc::new(world.healthy());
    deliver(&(store as Arc<dyn store::Store>), &sample, &["v1"]).await.unwrap();
    let (desc, bytes) = sample.layer();
    let registry = world.listen(faults).await;
    let read = read(&repository(&registry.host(), "a", &options(fast)), desc, desc.size).await.unwrap();
    assert!(read == bytes);
    registry.ranges(&desc.digest.hex())
}

/// The first byte of a range.
fn start(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_blob_comes_in_segments_that_follow_each_other() {
    let asked = pull(u64::MAX, "").await;
    assert_eq!(asked[0], "");
    let mut starts: Vec<usize> = asked[1..].iter().map(|range| start(range).unwrap()).collect();
    starts.sort_unstable();
    assert!(starts.len() >= 4 && starts.windows(2).all(|two| two[1] - two[0] == SEGMENT), "{asked:?}");
    assert!(starts[0] >= SEGMENT && *starts.last().unwrap() + SEGMENT >= SIZE, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_blob_comes_over_one_connection() {
    assert_eq!(pull(0, "").await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_says_nothing_of_ranges_is_not_asked_for_them() {
    let silent = "{on: GET blob, nth: all, change: {headers: {Accept-Ranges: none}}}";
    assert_eq!(pull(u64::MAX, silent).await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_segments_are_not_answered_with_segments_one_connection_fetches_the_rest() {
    for fault in ["ignore: [range]", "change: {headers: {Content-Range: bytes 0-262143/3145728}}"] {
        // Requests of connections that were given up may arrive late: what counts is that the rest was asked for once,
        // as one range or, where that is not answered either, as a whole.
        let asked = pull(u64::MAX, &format!("{{on: GET blob, nth: 2-5, {fault}}}")).await;
        let rest = |range: &String| {
            range.is_empty() || range.ends_with('-') && start(range).is_some_and(|from| from + 2 * SEGMENT < SIZE)
        };
        assert!(asked.iter().skip(1).any(rest), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_breaks_off_goes_on_where_it_was() {
    // Of several on their way at a time, nobody knows which is second.
    let asked = pull(u64::MAX, "{on: GET blob, nth: 2, lose: {what: answer, after: 100000}}").await;
    let rest = |range: &String| Some(format!("bytes={}-{}", start(range)? + 100_000, range.split_once('-')?.1));
    assert!(asked.iter().filter_map(rest).any(|rest| asked.contains(&rest)), "{asked:?}");
}

/// Answers with this content, or with the range of it that is asked for; after a range come other bytes, without end.
/// Gives the `host:port`, and how many of them went out.
fn endless_ranges(content: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (host, sent) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
    let (content, count) = (Arc::new(content), Arc::clone(&sent));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (content, count) = (Arc::clone(&content), Arc::clone(&count));
            std::thread::spawn(move || answer_without_end(stream, &content, &count));
        }
    });
    (host, sent)
}

fn answer_without_end(mut stream: TcpStream, content: &[u8], count: &AtomicUsize) -> Option<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let Some((_, range)) = head.split_once("range: bytes=") else {
        let head = format!("HTTP/1.1 200 OK\r\naccept-ranges: bytes\r\ncontent-length: {}\r\n\r\n", content.len());
        stream.write_all(head.as_bytes()).ok()?;
        return stream.write_all(content).ok();
    };
    let (first, last) = range.lines().next()?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().unwrap_or(content.len() - 1));
    let range = format!("content-range: bytes {first}-{last}/{}", content.len());
    stream.write_all(format!("HTTP/1.1 206 Partial Content\r\n{range}\r\n\r\n").as_bytes()).ok()?;
    stream.write_all(&content[first..=last]).ok()?;
    loop {
        stream.write_all(&[b'z'; 64 << 10]).ok()?;
        count.fetch_add(64 << 10, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_over_with_its_last_byte_whatever_the_server_sends_after_it() {
    let content = noise(SIZE, 5);
    let desc = Descriptor::of("a/b", &content);
    let (host, sent) = endless_ranges(content.clone());
    let repository = repository(&host, "a", &options(u64::MAX));
    let read = tokio::time::timeout(Duration::from_secs(60), read(&repository, &desc, desc.size)).await;
    assert!(read.expect("the download ends").unwrap() == content);
    // What the buffers of a connection take, for each of its ranges.
    let (ranges, buffers) = (SIZE / SEGMENT, 16 << 20);
    assert!(sent.load(Ordering::Relaxed) <= ranges * buffers, "{sent:?}");
}
