//! Many processes on one layout: no tag is lost, and no reader sees anything half done.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::{
    conclude, long,
    scene::{Job, Scene, said, succeeds},
};
use crate::harness::{Test, tests};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        []
            plain eight_processes_of_the_program_write_into_one_layout_and_no_tag_is_lost,
            plain four_readers_are_never_disturbed_by_four_writers,
            plain the_scene_tells_a_whole_layout_from_a_broken_one;
    ]
}

const WRITERS: usize = 8;

fn eight_processes_of_the_program_write_into_one_layout_and_no_tag_is_lost() {
    let scene = Scene::new(Duration::from_secs(3600));
    let rounds = if long().is_some() { 20 } else { 3 };
    let mut failures = Vec::new();
    for round in 0..rounds {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| format!("push src oci:shared:r{round}w{n} --set layout=files --annotation of=r{round}w{n}"))
            .map(|line| (scene.command(scene.path(), &line).spawn().unwrap(), line))
            .collect();
        for (writer, line) in writers {
            let out = writer.wait_with_output().unwrap();
            failures.extend((!out.status.success()).then(|| format!("{line}: {}", said(&out))));
        }
    }
    let tags = lines(&mut scene.command(scene.path(), "ls oci:shared"));
    let there = (0..rounds * WRITERS).filter(|n| tags.contains(&format!("r{}w{}", n / WRITERS, n % WRITERS))).count();
    failures.extend((there != rounds * WRITERS).then(|| format!("{there} of {} tags", rounds * WRITERS)));
    failures.extend(scene.layout("shared").err());
    conclude("8 writers in rounds, tags", there, &failures);
}

fn four_readers_are_never_disturbed_by_four_writers() {
    let scene = Scene::new(Duration::from_secs(3600));
    succeeds(&mut scene.command(scene.path(), "push src oci:shared:fixed"), "the first push").unwrap();
    let end = Instant::now() + Duration::from_secs(if long().is_some() { 60 } else { 3 });
    let (runs, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = |number: usize| {
        let mut failures = Vec::new();
        for turn in 0.. {
            if (turn > 1 && Instant::now() > end) || failed.load(Ordering::Relaxed) {
                break;
            }
            for line in commands(number, turn) {
                let out = succeeds(&mut scene.command(scene.path(), &line), &line);
                failed.fetch_or(out.is_err(), Ordering::Relaxed);
                failures.extend(out.err());
                runs.fetch_add(1, Ordering::Relaxed);
            }
        }
        failures
    };
    let mut failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failures.extend(scene.layout("shared").err());
    conclude("4 writers and 4 readers, runs", runs.into_inner(), &failures);
}

/// What one of the eight does in its next turn.
fn commands(number: usize, turn: usize) -> Vec<String> {
    match (number, turn % 3) {
        (0..4, 2) => vec![format!("delete oci:shared:w{number}")],
        (0..4, _) => vec![
            format!("push src oci:shared:w{number} --annotation turn={turn}"),
            format!("push older oci:shared:o{number} --set layout=files --annotation turn={turn}"),
        ],
        (_, 0) => vec!["check oci:shared".into()],
        (_, 1) => vec!["ls oci:shared".into(), "inspect oci:shared:fixed".into()],
        _ => vec![format!("pull oci:shared:fixed files{number}-{turn} --unpack")],
    }
}

fn lines(command: &mut Command) -> Vec<String> {
    let out = succeeds(command, "ls").unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(Into::into).collect()
}

/// What the tests here leave is a layout like any other.
fn the_scene_tells_a_whole_layout_from_a_broken_one() {
    let scene = Scene::new(Duration::from_secs(3600));
    let trial = scene.trial(Job::CopyLayouts, true);
    trial.valid().unwrap();
    let blobs = trial.place().join("blobs/sha256");
    let first = std::fs::read_dir(&blobs).unwrap().next().unwrap().unwrap().path();
    let content = std::fs::read(&first).unwrap();
    std::fs::write(&first, [&content[1..], b"x"].concat()).unwrap();
    assert!(trial.valid().unwrap_err().contains("another digest"));
    std::fs::remove_file(&first).unwrap();
    assert!(trial.valid().unwrap_err().contains("missing"));
    std::fs::write(&first, content).unwrap();
    std::fs::write(trial.place().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    assert!(trial.valid().unwrap_err().contains("earlier tag is lost"));
}
