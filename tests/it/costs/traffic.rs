//! How many bytes go to a registry, and how many come from it: content, and the heads of requests and answers. These
//! hold the version of the program, and a port of five digits.

use crate::support::costs::{LARGE, World};

#[test]
fn a_push_sends_content_once_and_again_one_head() {
    let world = World::new();
    let pushes = [
        "push one.txt R/one:v1",
        "push one.txt R/one:v1",
        "push one.txt R/one:v2",
        "push forty R/forty:v1 --set layout=files",
        "push forty R/forty:v1 --set layout=files",
        "push forty R/forty:v2 --set layout=files",
    ];
    let one = [(2456, 2055), (333, 392), (2208, 1732)];
    let forty = [(30568, 27727), (335, 393), (24761, 17141)];
    assert_eq!(world.traffic(pushes), [one, forty].concat()[..]);
}

#[test]
fn a_large_file_is_sent_once() {
    // Where the line is slower than hashing, a request more asks whether the blob is there.
    let slow = World::new();
    let first = slow.slowly(|| slow.traffic(["push large.bin R/large:v1"]));
    assert_eq!(first, [(LARGE + 3049, 2569)]);
    let world = World::new();
    let cost = world.cost("push large.bin R/large:v1");
    let asked = cost.seen.iter().filter(|seen| seen.line().contains("HEAD /v2/large/blobs/")).count() as u64;
    assert_eq!((cost.sent, cost.received), (LARGE + 2649 + asked * 400, 2374 + asked * 195));
    assert_eq!(world.traffic(["push large.bin R/large:v1"]), [(335, 392)]);
}

#[test]
fn a_pull_receives_content_once_and_again_one_head() {
    let world = World::new();
    world.traffic(["push one.txt R/one:v1", "push forty R/forty:v1 --set layout=files", "push large.bin R/large:v1"]);
    let pulls = [
        "pull R/one:v1 oci:one",
        "pull R/one:v1 oci:one",
        "pull R/forty:v1 oci:all",
        "pull R/forty:v1 oci:all",
        "pull R/forty:v1 files --unpack",
        "pull R/large:v1 oci:large",
        "pull R/large:v1 oci:large",
    ];
    let (one, forty) = ([(1094, 2061), (333, 392)], [(8200, 25047), (335, 393), (8200, 25047)]);
    assert_eq!(world.traffic(pulls), [&one[..], &forty, &[(1102, LARGE + 2085), (335, 392)]].concat()[..]);
}

#[test]
fn a_copy_within_a_registry_moves_no_content() {
    let world = World::new();
    world.traffic(["push large.bin R/large:v1"]);
    let copies = world.traffic([
        "copy R/large:v1 R/bare:v1 --no-referrers",
        "copy R/large:v1 R/bare:v1 --no-referrers",
        "copy R/large:v1 R/with:v1",
        "copy R/large:v1 R/with:v1",
    ]);
    assert_eq!(copies, [(3431, 3135), (669, 784), (3787, 3652), (2629, 3384)]);
}

#[test]
fn a_copy_between_registries_moves_content_once() {
    let (from, to) = (World::new(), World::new());
    from.traffic(["push large.bin R/large:v1"]);
    let traffic = || {
        let before = (to.line.sent(), to.line.received());
        let [from] = from.traffic([&format!("copy R/large:v1 {}/large:v1", to.line.host())]);
        [from, (to.line.sent() - before.0, to.line.received() - before.1)]
    };
    assert_eq!(traffic(), [(1458, LARGE + 2602), (LARGE + 2807, 2260)]);
    assert_eq!(traffic(), [(1094, 1806), (1539, 1578)]);
}

#[test]
fn a_listing_and_a_look_at_an_artifact_receive_no_content() {
    let world = World::new();
    world.traffic(["push large.bin R/large:v1"]);
    assert_eq!(world.traffic(["ls R/large", "inspect R/large:v1"]), [(121, 218), (1094, 1806)]);
}
