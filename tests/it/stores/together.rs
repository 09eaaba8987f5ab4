//! Several writers at once: no tag is lost, whether they are threads or processes.

use std::{path::Path, process::Command, sync::Arc};

use artifact::{
    store::{self, ReadStore, Store},
    stores::Layout,
};

use crate::support::{
    samples::{Sample, deliver, named, noise},
    writing::read,
};

const WRITERS: usize = 8;
const ROUNDS: usize = 4;
/// Set for the process that a test starts: where to write, and which tag.
const PLACE: &str = "ARTIFACT_TEST_WRITER";

/// What one writer stores: a blob of its own and one that all share.
fn work(writer: &str) -> Sample {
    Sample::of(&[writer.as_bytes(), &noise(400_000, 1)])
}

async fn write(layout: &Path, writer: &str) {
    let store: Arc<dyn Store> = Arc::new(Layout::create(layout).unwrap());
    deliver(&store, &work(writer), &[writer]).await.unwrap();
}

async fn all_are_there(layout: &Path) {
    let store = Layout::open(layout).unwrap();
    assert_eq!(store.list_names().await.unwrap().names.len(), WRITERS * ROUNDS);
    for tag in store.list_names().await.unwrap().names {
        assert_eq!(store.resolve(&named(&tag)).await.unwrap(), *work(&tag).root());
        for (desc, bytes) in work(&tag).all() {
            assert!(read(&store, desc, 1 << 20).await.unwrap() == bytes);
        }
    }
    assert!(store.inventory().await.unwrap().unwrap().leftovers.is_empty());
}

#[test]
fn eight_threads_make_one_layout_at_the_same_time() {
    for round in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(WRITERS);
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    start.wait();
                    Layout::create(dir.path()).unwrap_or_else(|e| panic!("round {round}: {e}"));
                });
            }
        });
        assert!(Layout::open(dir.path()).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_threads_write_into_one_layout_and_no_tag_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let path = dir.path().to_path_buf();
            tasks.spawn(async move { write(&path, &format!("r{round}w{writer}")).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }
    all_are_there(dir.path()).await;
}

#[tokio::test]
async fn eight_processes_write_into_one_layout_and_no_tag_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "stores::together::one_process_of_many", "--ignored", "--quiet"])
                    .env(PLACE, format!("{}|r{round}w{writer}", dir.path().display()))
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut writer in writers {
            assert!(writer.wait().unwrap().success());
        }
    }
    all_are_there(dir.path()).await;
}

#[tokio::test]
#[ignore = "run by another test, as a process of its own"]
async fn one_process_of_many() {
    let place = std::env::var(PLACE).expect("set by the test that starts this one");
    let (path, tag) = place.split_once('|').unwrap();
    write(Path::new(path), tag).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_are_never_disturbed_by_writers() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "first").await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let path = dir.path().to_path_buf();
        tasks.spawn(async move {
            for round in 0..10 {
                write(&path, &format!("r{round}w{writer}")).await;
            }
        });
        let path = dir.path().to_path_buf();
        tasks.spawn(async move {
            for _ in 0..100 {
                let store = Layout::open(&path).unwrap();
                for tag in store.list_names().await.unwrap().names {
                    let root = store.resolve(&named(&tag)).await.unwrap();
                    store::read_manifest(&store, &root).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
