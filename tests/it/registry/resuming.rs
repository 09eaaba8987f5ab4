//! What one run brought of a blob, the next does not fetch again; and what is wrong is not built upon.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use artifact::{
    copy,
    store::{ReadStore, Store},
    stores::{Layout, registry::Options},
};

use super::repository;
use crate::support::{
    faulty::Faulty,
    metered::Metered,
    samples::{Sample, deliver, named, names, noise},
    writing::read,
};

const SIZE: usize = 3 << 20;
const HALF: usize = SIZE / 2;

/// Registries that hold this under `a:v1`.
async fn holding(sample: &Sample) -> Faulty {
    let world = Faulty::new("");
    let store: Arc<dyn Store> = Arc::new(world.healthy());
    deliver(&store, sample, &["v1"]).await.unwrap();
    world
}

async fn pull(host: &str, layout: &Path) -> artifact::Result<copy::Report> {
    let from: Arc<dyn ReadStore> = Arc::new(repository(host, "a", &Options { retries: 0, ..Options::default() }));
    let to: Arc<dyn Store> = Arc::new(Layout::create(layout)?);
    let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
    copy::between(&from, &named("v1"), &to, &options).await
}

/// Where what came of the layer waits for the rest.
fn part(layout: &Path, sample: &Sample) -> PathBuf {
    layout.join(format!(".artifact-tmp-{}", sample.layer().0.digest.hex()))
}

/// Everything is there, and nothing else.
async fn is_whole(layout: &Path, sample: &Sample) {
    let store = Layout::open(layout).unwrap();
    assert_eq!(store.resolve(&named("v1")).await.unwrap().digest, sample.root().digest);
    for (desc, bytes) in sample.all() {
        assert!(read(&store, desc, desc.size).await.unwrap() == bytes);
    }
    let all = store.inventory().await.unwrap().unwrap();
    assert!(all.leftovers.is_empty() && all.strays.is_empty(), "{all:?}");
}

/// Pulls the sample past these faults into a layout; gives the ranges of the layer that were asked for.
async fn asked_for(sample: &Sample, world: &Faulty, layout: &Path, faults: &str) -> Vec<String> {
    let registry = world.listen(faults).await;
    pull(&registry.host(), layout).await.unwrap();
    is_whole(layout, sample).await;
    registry.ranges(&sample.layer().0.digest.hex())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_failed_is_taken_up_by_the_next_one() {
    let sample = Sample::of(&[&noise(SIZE, 1)]);
    let world = holding(&sample).await;
    let dir = tempfile::tempdir().unwrap();
    let layer = sample.layer().0.digest.to_string();
    let breaks = world.listen(&format!("{{on: GET /{layer}, nth: all, lose: {{what: answer, after: {HALF}}}}}")).await;
    assert!(pull(&breaks.host(), dir.path()).await.is_err());
    assert_eq!(std::fs::metadata(part(dir.path(), &sample)).unwrap().len(), HALF as u64);
    assert_eq!(asked_for(&sample, &world, dir.path(), "").await, [format!("bytes={HALF}-")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_wrong_is_thrown_away_and_all_comes_once() {
    let sample = Sample::of(&[&noise(SIZE, 2)]);
    let world = holding(&sample).await;
    let right = &sample.layer().1;
    let flipped: Vec<u8> = right[..HALF].iter().map(|byte| byte ^ 1).collect();
    for (left, asked) in [
        (flipped, vec![format!("bytes={HALF}-"), String::new()]),
        (vec![0; SIZE], vec![String::new()]),
        (vec![0; SIZE + 1], vec![String::new()]),
        (right.to_vec(), vec![]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        Layout::create(dir.path()).unwrap();
        std::fs::write(part(dir.path(), &sample), left).unwrap();
        assert_eq!(asked_for(&sample, &world, dir.path(), "").await, asked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_goes_on_without_ranges_too() {
    let sample = Sample::of(&[&noise(SIZE, 3)]);
    let world = holding(&sample).await;
    let dir = tempfile::tempdir().unwrap();
    Layout::create(dir.path()).unwrap();
    std::fs::write(part(dir.path(), &sample), &sample.layer().1[..HALF]).unwrap();
    let layer = sample.layer().0.digest.to_string();
    let blind = format!("{{on: GET /{layer}, nth: all, ignore: [range]}}");
    let asked = asked_for(&sample, &world, dir.path(), &blind).await;
    assert_eq!(asked.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_want_the_same_blob_do_not_disturb_each_other() {
    let sample = Sample::of(&[&noise(SIZE, 4)]);
    let registry = holding(&sample).await.listen("").await;
    let host = registry.host();
    let dir = tempfile::tempdir().unwrap();
    let all = (0..4).map(|_| pull(&host, dir.path()));
    for done in futures_util::future::join_all(all).await {
        done.unwrap();
    }
    is_whole(dir.path(), &sample).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_changes_nothing_is_one_request() {
    let sample = Sample::of(&[&noise(SIZE, 5), b"small"]);
    let holder = holding(&sample).await;
    let dir = tempfile::tempdir().unwrap();
    for name in ["layout", "x.tar"] {
        let world = dir.path();
        for requests in [vec!["HEAD /v2/a/manifests/v1"], vec![]] {
            let registry = holder.listen("").await;
            let place = format!("{}/a:v1", registry.host());
            let done = Command::new(env!("CARGO_BIN_EXE_artifact"))
                .args(["pull", &place, name])
                .current_dir(world)
                .env_clear()
                .output()
                .unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let lines: Vec<_> = registry.seen().iter().map(|request| request.line().to_owned()).collect();
            match requests.is_empty() {
                true => assert_eq!(lines, ["HEAD /v2/a/manifests/v1"], "{name}"),
                false => assert!(lines.len() > 1, "{name}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_loses_at_most_eight_mebibytes_of_a_blob() {
    const MIB: u64 = 1 << 20;
    let sample = Sample::of(&[&noise(48 << 20, 6)]);
    let registry = holding(&sample).await.listen("").await;
    let dir = tempfile::tempdir().unwrap();
    let (layout, size) = (dir.path().join("layout"), sample.layer().0.size);
    let part = part(&layout, &sample);
    let metered = Metered::before(&registry.host());
    let pull = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_artifact"));
        command.args(["-q", "pull", &format!("{}/a:v1", metered.host())]).arg(&layout).env_clear();
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut had = 0;
    for (kill, odd) in [(9 * MIB, 1), (10 * MIB, 77_777), (12 * MIB, 12_345)] {
        let before = metered.received();
        metered.stop_at(before + kill + odd);
        let mut child = pull();
        // What has come through is written down, all but 8 MiB of it; then the end is sudden.
        let written = || std::fs::metadata(&part).map_or(0, |meta| meta.len());
        while written() + 8 * MIB < had + kill {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        had = written();
        assert!(had < size);
    }
    let before = metered.received();
    metered.let_go();
    assert!(pull().wait().unwrap().success());
    // Manifests, headers, the config and the last bytes of lines that were cut are no more than this.
    assert!(metered.received() - before <= size - had + 256 * 1024);
    is_whole(&layout, &sample).await;
}
