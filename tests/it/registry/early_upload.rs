//! Large files leave while they are hashed; when that fails, nobody notices but the registry.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use artifact::{
    Result,
    blob::SourceFile,
    copy::{self, EarlyUpload, Report},
    fault::Seen,
    oci::{Descriptor, Digest, media_type},
    pack::{self, Outlet as _, pack},
    plan::{Content, ManifestPlan, Part, Plan},
    store::{ReadStore, Store},
    stores::registry::{Backoff, Options},
};
use bytes::Bytes;
use tempfile::TempDir;

use super::repository;
use crate::support::{
    faulty::{Faulty, Listening},
    samples::{named, names, noise, ref_name},
    writing::read,
};

const SIZE: usize = 9 << 20;

/// A directory of files with these contents, each a layer.
struct Source {
    dir: TempDir,
    files: Vec<Vec<u8>>,
}

impl Source {
    fn of(files: Vec<Vec<u8>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (n, bytes) in files.iter().enumerate() {
            std::fs::write(dir.path().join(format!("f{n}")), bytes).unwrap();
        }
        Self { dir, files }
    }

    fn plan(&self) -> Plan {
        let part = |media_type: &str, content| Part {
            id: String::new(),
            media_type: media_type.into(),
            content,
            annotations: Default::default(),
        };
        let files = 0..self.files.len();
        let manifest = ManifestPlan {
            layers: files.map(|n| part("application/x-test", Content::File(format!("f{n}").into()))).collect(),
            artifact_type: Some("application/vnd.test".into()),
            ..ManifestPlan::of(part(media_type::EMPTY, Content::Empty {}))
        };
        Plan {
            type_name: "test".into(),
            base: self.dir.path().into(),
            root: manifest.into(),
            reference: Default::default(),
            warnings: Vec::new(),
        }
    }

    /// Packs and copies, the way that a push does.
    async fn push(&self, to: &Arc<dyn Store>) -> Result<Report> {
        let early = Arc::new(EarlyUpload::new(Arc::clone(to), ref_name("v1"), None));
        let options = pack::Options { outlet: Some(early.clone()), ..pack::Options::new(self.dir.path()) };
        let from: Arc<dyn ReadStore> = Arc::new(pack(&self.plan(), &options).await?);
        let options =
            copy::Options { names: names(&["v1"]), early_upload: Some(Arc::clone(&early)), ..Default::default() };
        let done = copy::between(&from, &artifact::store::Name::Only, to, &options).await;
        early.stop().await;
        done
    }
}

/// A registry with these faults, reached through the network.
struct World {
    registry: Faulty,
    listening: Listening,
    to: Arc<dyn Store>,
}

impl World {
    async fn new(faults: &str) -> Self {
        let registry = Faulty::new("");
        let listening = registry.listen(faults).await;
        let short = Duration::from_millis(5);
        let backoff = Backoff { first: short, longest: short, ..Backoff::default() };
        let to = Arc::new(repository(&listening.host(), "a", &Options { backoff, ..Options::default() }));
        Self { registry, listening, to }
    }

    async fn holds(&self, source: &Source) -> bool {
        let there = self.registry.healthy();
        let mut good = there.resolve(&named("v1")).await.is_ok();
        for bytes in &source.files {
            let desc = Descriptor::of("a/b", bytes);
            good &= read(&there, &desc, desc.size).await.is_ok_and(|read| read == *bytes);
        }
        good
    }

    fn lines(&self) -> Vec<String> {
        self.listening.seen().iter().map(Seen::line).collect()
    }

    /// How many requests so far began and went on like this.
    fn count(&self, method: &str, part: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(method) && line.contains(part)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_sent_while_it_is_hashed_and_asked_for_nowhere_else() {
    let (world, source) = (World::new("").await, Source::of(vec![noise(SIZE, 1)]));
    let report = source.push(&world.to).await.unwrap();
    assert!(world.holds(&source).await);
    assert_eq!((report.moved, report.present), (3, 0));
    let digest = Digest::of(&source.files[0]);
    assert_eq!(world.count("HEAD", "/blobs/"), 0, "{:?}", world.lines());
    assert_eq!(world.count("HEAD", "/manifests/"), 2, "the tag, then the digest");
    assert_eq!(world.count("PATCH", ""), 1);
    let named: Vec<_> = world.listening.seen().into_iter().filter(|seen| seen.line().contains(&digest.hex())).collect();
    assert_eq!(named.len(), 1);
    assert_eq!((named[0].method.as_str(), named[0].header("content-length")), ("PUT", "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_arrive_early_is_copied_in_the_ordinary_way() {
    for fault in [
        "{on: PATCH upload, refuse: {status: 401}}",
        "{on: PATCH upload, refuse: {status: 404}}",
        "{on: PATCH upload, refuse: {status: 413, early: true}}",
        "{on: PATCH upload, refuse: {status: 503}}",
        "{on: PATCH upload, lose: {what: request}}",
        "{on: PATCH upload, lose: {what: request, after: 4000000, by: reset}}",
        "{on: PATCH upload, lose: {what: answer}}",
        "{on: POST upload, refuse: {status: 503}}",
        "{on: PUT upload, refuse: {status: 503}}",
        "{on: PUT upload, lose: {what: request}}",
    ] {
        let (world, source) = (World::new(fault).await, Source::of(vec![noise(SIZE, 2)]));
        let report = source.push(&world.to).await.unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert!(world.holds(&source).await, "{fault}");
        assert_eq!(report.moved, 3, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_push_is_one_request() {
    for size in [10, SIZE] {
        let (world, source) = (World::new("").await, Source::of(vec![noise(size, 4)]));
        source.push(&world.to).await.unwrap();
        let before = world.lines().len();
        let report = source.push(&world.to).await.unwrap();
        assert_eq!(report.moved, 0);
        assert_eq!(world.lines()[before..], ["HEAD /v2/a/manifests/v1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_early_for_a_tag_that_exists() {
    let (world, source) = (World::new("").await, Source::of(vec![noise(SIZE, 5)]));
    source.push(&world.to).await.unwrap();
    let changed = Source::of(vec![noise(SIZE, 6)]);
    changed.push(&world.to).await.unwrap();
    assert!(world.holds(&changed).await);
    assert_eq!(world.count("PATCH", ""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_never_leaves_twice() {
    let (world, same) = (World::new("").await, noise(SIZE, 7));
    let source = Source::of(vec![same.clone(), same, noise(SIZE, 8)]);
    source.push(&world.to).await.unwrap();
    assert!(world.holds(&source).await);
    let size = SIZE.to_string();
    let bodies = world.listening.seen().into_iter().filter(|seen| seen.header("content-length") == size);
    assert_eq!(bodies.count(), 2);
}

/// A registry that has every blob of 40 MiB, opens uploads and reads nothing of them; it notes the first lines of requests.
fn stuffed(lines: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || answer(stream, &lines));
        }
    });
    host
}

fn answer(mut stream: TcpStream, lines: &Mutex<Vec<String>>) {
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if !stream.read(&mut byte).is_ok_and(|n| n > 0) {
                return;
            }
            head.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        lines.lock().unwrap().push(line.clone());
        let reply: &[u8] = match line.split_once(' ').unwrap_or_default() {
            ("HEAD", path) if path.contains("/blobs/") => b"HTTP/1.1 200 OK\r\ncontent-length: 41943040\r\n\r\n",
            ("POST", _) => b"HTTP/1.1 202 Accepted\r\nlocation: /v2/a/blobs/uploads/1\r\ncontent-length: 0\r\n\r\n",
            ("PATCH", _) => return std::thread::sleep(Duration::from_secs(60)),
            ("DELETE", _) => b"HTTP/1.1 204 No Content\r\n\r\n",
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        };
        stream.write_all(reply).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hashing_runs_ahead_of_a_slow_line_and_what_is_there_already_is_sent_no_further() {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let host = stuffed(Arc::clone(&lines));
    let source = Source::of(vec![noise(40 << 20, 10)]);
    let to: Arc<dyn Store> = Arc::new(repository(&host, "a", &Options { retries: 0, ..Options::default() }));
    let early = Arc::new(EarlyUpload::new(Arc::clone(&to), ref_name("v1"), None));
    let options = pack::Options { outlet: Some(early.clone()), ..pack::Options::new(source.dir.path()) };
    let packed = pack(&source.plan(), &options).await.unwrap();
    assert_eq!(packed.layers()[0].digest, Digest::of(&source.files[0]));
    let hex = packed.layers()[0].digest.hex();
    let wanted = |line: &String| line.starts_with("DELETE") || line.starts_with("HEAD") && line.contains(&hex);
    until("it is asked for, and its upload cancelled", || {
        lines.lock().unwrap().iter().filter(|line| wanted(line)).count() == 2
    })
    .await;
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines.iter().filter(|line| wanted(line)).count(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("PATCH")), "{lines:?}");
}

/// A piece that shows whether it is still held.
struct Piece(Vec<u8>, #[expect(dead_code)] Arc<()>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_four_pieces_wait_for_a_slow_line() {
    const PIECE: usize = 512 << 10;
    let host = stuffed(Arc::default());
    let source = Source::of(vec![vec![0; 40 << 20]]);
    let to: Arc<dyn Store> = Arc::new(repository(&host, "a", &Options { retries: 0, ..Options::default() }));
    let outlet = EarlyUpload::new(to, ref_name("v1"), None);
    let file = SourceFile::new(source.dir.path().join("f0")).unwrap();
    let mut leaving = outlet.open(&file, &Bytes::from_static(&[0; 10])).unwrap();
    let (held, mut most) = (Arc::new(()), 0);
    for _ in 0..80 {
        let room = leaving.offer(Bytes::from_owner(Piece(vec![0; PIECE], Arc::clone(&held))));
        most = most.max(Arc::strong_count(&held) - 1);
        if !room {
            leaving.room().await;
        }
    }
    // The connection has two at most, a part of one and the next; another was being offered.
    assert!((3..=4 + 3).contains(&most), "{most}");
    assert!(Arc::strong_count(&held) - 1 <= 4 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_cancelled() {
    let fault = "{on: PATCH upload, nth: all, lose: {what: request, by: silence}}";
    let (world, source) = (World::new(fault).await, Source::of(vec![noise(SIZE, 11)]));
    let early = Arc::new(EarlyUpload::new(Arc::clone(&world.to), ref_name("v1"), None));
    let options = pack::Options { outlet: Some(early.clone()), ..pack::Options::new(source.dir.path()) };
    pack(&source.plan(), &options).await.unwrap();
    until("the upload has begun", || world.count("PATCH", "") > 0).await;
    early.stop().await;
    until("the upload is cancelled", || world.count("DELETE", "/uploads/") > 0).await;
}

/// Waits for what must happen; fails when it does not.
async fn until(what: &str, happened: impl Fn() -> bool) {
    for _ in 0..500 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: this has not happened");
}
