//! How many bytes are hashed. A manifest of one file has about 500 bytes, that of forty files 7,425.

use crate::support::costs::{FIRST_PIECE, LARGE, World};

#[test]
fn a_push_hashes_content_once_and_its_manifest_three_times() {
    let world = World::new();
    let pushes = [
        "push one.txt R/one:v1",
        "push one.txt R/one:v1",
        "push one.txt R/one:v2",
        "push forty R/forty:v1 --set layout=files",
        "push forty R/forty:v1 --set layout=files",
        "push forty R/forty:v2 --set layout=files",
        "push forty oci:store:v1 --set layout=files",
        "push forty oci:store:v1 --set layout=files",
        "push forty oci:store:v1 --set layout=files --dry-run",
    ];
    let (one, forty) = ([1461, 493, 1459], [22923, 8071, 22921]);
    // A dry run plans as the run does, and reads the manifest for that.
    assert_eq!(world.hashed(pushes), [&one[..], &forty, &[23563, 15496, 15496]].concat()[..]);
}

#[test]
fn a_large_file_is_hashed_once_and_its_first_piece_twice() {
    let pushes = ["push large.bin R/large:v1", "push large.bin R/large:v1", "push large.bin R/large:v2"];
    let [first, again, other_tag] = [1523, 511, 1521].map(|more| LARGE + FIRST_PIECE + more);
    assert_eq!(World::new().hashed(pushes), [first, again, other_tag]);
}

#[test]
fn a_pull_hashes_content_once() {
    let world = World::new();
    world.hashed(["push forty R/forty:v1 --set layout=files", "push large.bin R/large:v1"]);
    let pulls = [
        "pull R/forty:v1 oci:all",
        "pull R/forty:v1 oci:all",
        "pull R/forty:v1 files --unpack",
        "pull R/large:v1 oci:large",
        "pull R/large:v1 oci:large",
        "pull R/large:v1 file --unpack",
    ];
    assert_eq!(world.hashed(pulls), [15492, 7425, 8067, LARGE + 1012, 505, LARGE + 507]);
}

#[test]
fn a_copy_hashes_content_that_passes_here_once_and_none_that_is_there() {
    let world = World::new();
    world.hashed(["push forty R/forty:v1 --set layout=files", "push large.bin R/forty:large --subject R/forty:v1"]);
    let copies = [
        "copy R/forty:v1 R/bare:v1 --no-referrers",
        "copy R/forty:v1 R/bare:v1 --no-referrers",
        "copy R/forty:v1 R/with:v1",
        "copy R/forty:v1 R/with:v1",
        "copy R/forty:v1 oci:with",
        "copy R/forty:v1 oci:with",
        "copy oci:with oci:second",
        "copy oci:with oci-archive:second.tar",
        "copy oci-archive:second.tar R/third:v1",
        "copy oci-archive:second.tar R/third:v1",
    ];
    assert_eq!(world.hashed(copies), [14850, 0, 16188, 8094, 8405438, 8094, 8413532, 8413532, 32376, 24282]);
}

#[test]
fn a_look_at_an_artifact_hashes_its_manifest_and_a_listing_nothing() {
    let world = World::new();
    world.hashed(["push forty R/forty:v1 --set layout=files"]);
    assert_eq!(world.hashed(["ls R/forty", "inspect R/forty:v1", "check R/forty:v1"]), [0, 7425, 8069]);
}
