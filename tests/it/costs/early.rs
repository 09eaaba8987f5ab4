//! What a large file costs that leaves for a registry while it is hashed.

use std::sync::Arc;

use artifact::serve::{Options, Tree};

use crate::support::costs::{Cost, FIRST_PIECE, LARGE, World};

const MIB: u64 = 1 << 20;
/// A file that takes any line a while.
const WIDE: u64 = 200 * MIB;

/// A registry on the disk, since this is too much for memory, and a push of the file to it.
fn pushed() -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let world = World::with("", Options { repositories, ..Options::in_memory() });
    world.wide("wide.bin", WIDE);
    world.cost("push wide.bin R/wide:v1");
    (dir, world)
}

/// Pushes the file again over a line that stops after 8 MiB until all else has been done. So it does not matter how fast
/// anything is: a push that does not find out in time that the file is there, or waits for that line, does not end.
fn again(world: &World, line: &str) -> Cost {
    let cost = world.held(8 * MIB, "PUT manifest", || world.cost(&format!("{line} --timeout 3600")));
    // More than those 8 MiB are what the buffers of a connection held when it stopped.
    assert!(cost.sent < 16 * MIB, "{}", cost.sent);
    assert!(cost.received < 8192, "{}", cost.received);
    cost
}

#[test]
fn a_file_that_is_there_stops_leaving_when_its_digest_is_known() {
    let (_registry, world) = pushed();
    let cost = again(&world, "push wide.bin R/wide:v2 -a note=another");
    let kinds = "HEAD blob 1, HEAD manifest 2, PATCH upload 1, POST mount 1, POST upload 1, PUT manifest 1";
    assert_eq!(cost.requests(), format!("8: DELETE upload 1, {kinds}"));
    assert_eq!(cost.hashed, WIDE + FIRST_PIECE + 1623);
}

#[test]
fn an_artifact_that_is_there_stops_leaving_when_its_digest_is_known() {
    let (_registry, world) = pushed();
    let cost = again(&world, "push wide.bin R/wide:v2");
    // The registry is asked for the blob and for the manifest at the same time, and the second answer ends the push:
    // whether the first is waited for, and whether the registry hears that the upload is given up, is not certain.
    let requests = cost.requests_but(&["HEAD blob", "DELETE upload"]);
    assert_eq!(requests, "5: HEAD manifest 2, PATCH upload 1, POST upload 1, PUT manifest 1");
    assert_eq!(cost.hashed, WIDE + FIRST_PIECE + 1524);
}

#[test]
fn nothing_leaves_when_the_tag_is_there() {
    let (_registry, world) = pushed();
    let cost = world.cost("push wide.bin R/wide:v1");
    assert_eq!((cost.requests().as_str(), cost.sent, cost.received), ("1: HEAD manifest 1", 334, 392));
    // Not even of what is new: it goes once its digest is known.
    let cost = world.cost("push large.bin R/wide:v1");
    let requests = "7: HEAD blob 1, HEAD manifest 2, POST mount 1, POST upload 1, PUT manifest 1, PUT upload 1";
    assert_eq!(cost.requests(), requests);
    assert_eq!((cost.sent, cost.received, cost.hashed), (LARGE + 2502, 2150, LARGE + FIRST_PIECE + 1521));
}

/// Pushes a large file to a registry with this fault. What is sent in vain is less than the file. Whether the registry is
/// asked for the blob in between, and hears that an upload is given up, depends on the line.
fn falls_back(fault: &str) -> String {
    let world = World::with(fault, Options::in_memory());
    let cost = world.cost("push large.bin R/large:v1");
    let lines: Vec<_> = cost.said.lines().collect();
    assert!(lines.len() == 2 && lines[1].contains("3 items moved"), "{fault}: {lines:?}");
    assert!((LARGE..2 * LARGE + 8192).contains(&cost.sent), "{fault}: {}", cost.sent);
    assert_eq!(cost.hashed, LARGE + FIRST_PIECE + 1523, "{fault}");
    world.cost("check R/large:v1");
    cost.requests_but(&["HEAD blob", "DELETE upload"])
}

const WHOLE: &str = "9: HEAD manifest 2, PATCH upload 1, POST mount 1, POST upload 2, PUT manifest 1, PUT upload 2";

#[test]
fn a_registry_without_patch_gets_the_file_once_more_and_whole() {
    assert_eq!(falls_back("{on: PATCH upload, nth: all, refuse: {status: 405}}"), WHOLE);
}

#[test]
fn a_registry_that_takes_less_gets_the_file_once_more_and_in_pieces() {
    let fault = "{on: PUT|PATCH upload, nth: all, longer: 5500000, refuse: {status: 413, early: true}}";
    let pieces = "11: HEAD manifest 2, PATCH upload 3, POST mount 1, POST upload 2, PUT manifest 1, PUT upload 2";
    assert_eq!(falls_back(fault), pieces);
}

#[test]
fn a_registry_whose_connection_breaks_gets_the_file_once_more_and_whole() {
    assert_eq!(falls_back("{on: PATCH upload, lose: {what: request, after: 4000000, by: reset}}"), WHOLE);
}
