//! Power loss: what is visible is durable. Data is synced before its name changes, names before `index.json` does.

use std::collections::BTreeSet;

use super::{
    points::traced,
    scene::{Job, Scene},
};
use crate::{
    harness::{Test, tests},
    support::strace::{Call, Strace},
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["strace"]
            plain content_is_durable_before_its_name_and_the_list_comes_last;
        []
            plain a_list_that_comes_too_early_is_seen;
    ]
}

/// What a disk may not have yet, as far as a record of operations shows.
#[derive(Default)]
struct Volatile {
    /// Files with data.
    files: BTreeSet<String>,
    /// Directories with names.
    directories: BTreeSet<String>,
}

fn content_is_durable_before_its_name_and_the_list_comes_last() {
    let strace = Strace::find().unwrap();
    let scene = Scene::new(std::time::Duration::from_secs(3600));
    for job in [Job::PushLayout, Job::Pull, Job::CopyLayouts, Job::CopyArchive] {
        for seeded in [false, true] {
            let trial = scene.trial(job, seeded);
            let traced = traced(&strace, &scene, &trial, None);
            assert_eq!(traced.code, Some(0), "{}", traced.said);
            let place = trial.dir().join("out").display().to_string();
            let made = |call: &&Call| call.name == "mkdir" && call.text.starts_with("\"out/dest\"");
            let made = traced.calls.iter().find(made).is_some_and(|call| !call.text.contains("= -1 "));
            assert_eq!(made, !seeded && job != Job::CopyArchive, "a layout is made by `mkdir` or not at all");
            let published = follow(&traced.calls, &place).unwrap_or_else(|e| panic!("{job:?} (seeded: {seeded}): {e}"));
            let list = if job == Job::CopyArchive { "dest.tar" } else { "index.json" };
            assert!(published.last().is_some_and(|last| last.ends_with(list)), "{job:?}: {published:?}");
            assert_eq!(published.iter().any(|path| path.contains("blobs/")), job != Job::CopyArchive, "{published:?}");
        }
    }
}

/// Follows a record; the names that were given, in order.
fn follow(calls: &[Call], place: &str) -> Result<Vec<String>, String> {
    let (mut volatile, mut published) = (Volatile::default(), Vec::new());
    let mut events: Vec<(usize, &Call)> = calls.iter().map(|call| (moment(call), call)).collect();
    events.sort_by_key(|(at, _)| *at);
    for (_, call) in events.into_iter().filter(|(_, call)| !call.text.contains("= -1 ")) {
        let paths: Vec<&str> = descriptors(&call.text);
        let first = paths.first().copied().unwrap_or_default();
        if call.name == "mkdir" && call.text.starts_with("\"out/dest\"") {
            volatile.directories.insert(place.to_owned());
        }
        if !paths.iter().any(|path| path.starts_with(place)) {
            continue;
        }
        match call.name.as_str() {
            "write" | "pwrite64" | "ftruncate" | "fallocate" => drop(volatile.files.insert(first.to_owned())),
            "copy_file_range" | "sendfile" => volatile.files.extend(paths.iter().take(2).map(|p| (*p).to_owned())),
            "fsync" | "fdatasync" => {
                volatile.files.remove(first);
                volatile.directories.remove(first);
            }
            "syncfs" => volatile = Volatile::default(),
            "mkdirat" => drop(volatile.directories.insert(first.to_owned())),
            "rename" | "renameat" | "renameat2" => rename(call, &paths, &mut volatile, &mut published)?,
            _ => {}
        }
    }
    if volatile.files.is_empty() && volatile.directories.is_empty() {
        return Ok(published);
    }
    Err(format!("not durable at the end: {:?} {:?}", volatile.files, volatile.directories))
}

fn rename(call: &Call, dirs: &[&str], volatile: &mut Volatile, published: &mut Vec<String>) -> Result<(), String> {
    let names: Vec<&str> = call.text.split('"').skip(1).step_by(2).collect();
    let ([from_dir, to_dir, ..], [from, to, ..]) = (dirs, names.as_slice()) else {
        return Err(format!("a renaming that is not understood: {}", call.text));
    };
    let (from, to) = (format!("{from_dir}/{from}"), format!("{to_dir}/{to}"));
    if volatile.files.contains(&from) {
        return Err(format!("{to} was published before its content was durable"));
    }
    let list = to.ends_with("index.json");
    let blobs = |paths: &BTreeSet<String>| paths.iter().find(|path| path.contains("/blobs")).cloned();
    if let Some(early) = { blobs(&volatile.files) }.or_else(|| blobs(&volatile.directories)).filter(|_| list) {
        return Err(format!("the list was published before {early} was durable"));
    }
    volatile.directories.insert((*to_dir).to_owned());
    published.push(to);
    Ok(())
}

/// Data is durable when a sync has ended, and volatile, or visible, when an operation begins.
fn moment(call: &Call) -> usize {
    if matches!(call.name.as_str(), "fsync" | "fdatasync" | "syncfs") { call.ended } else { call.began }
}

/// The paths behind the descriptors that an operation is given.
fn descriptors(text: &str) -> Vec<&str> {
    let arguments = text.rsplit_once(" = ").map_or(text, |(arguments, _)| arguments);
    let between = arguments.split('<').skip(1).filter_map(|part| part.split_once('>'));
    between.map(|(path, _)| path).filter(|path| path.starts_with('/')).collect()
}

fn a_list_that_comes_too_early_is_seen() {
    let call = |at, name: &str, text: &str| Call {
        thread: "1".into(),
        name: name.into(),
        text: text.into(),
        began: at,
        ended: at,
    };
    let write = call(0, "pwrite64", "5</x/blobs/sha256/.t>, \"\"..., 9, 0) = 9");
    let sync = call(1, "fsync", "5</x/blobs/sha256/.t>) = 0");
    let name = call(2, "renameat", "4</x/blobs/sha256>, \".t\", 4</x/blobs/sha256>, \"ab\") = 0");
    let names = call(3, "fsync", "4</x/blobs/sha256>) = 0");
    let list = call(4, "renameat", "3</x>, \".i\", 3</x>, \"index.json\") = 0");
    let last = call(5, "fsync", "3</x>) = 0");
    let all = [write, sync, name, names, list, last];
    assert_eq!(follow(&all, "/x").unwrap(), ["/x/blobs/sha256/ab", "/x/index.json"]);
    for (left_out, word) in [(1, "its content"), (3, "the list"), (5, "at the end")] {
        let calls: Vec<Call> = all.iter().filter(|call| call.began != left_out).cloned().collect();
        assert!(follow(&calls, "/x").unwrap_err().contains(word), "{left_out}");
    }
}
