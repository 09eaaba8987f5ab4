//! How often a registry is asked.

use crate::support::costs::{AGAIN, FORTY, FORTY_FIRST, OTHER_TAG, World, kind, summary};

#[test]
fn a_file_is_pushed_with_two_requests_a_blob_and_three_and_again_with_one() {
    let pushes = ["push one.txt R/one:v1", "push one.txt R/one:v1", "push one.txt R/one:v2"];
    let first = "7: HEAD manifest 2, POST mount 2, PUT manifest 1, PUT upload 2";
    let other_tag = "5: HEAD blob 2, HEAD manifest 2, PUT manifest 1";
    assert_eq!(World::new().requests(pushes), [first, AGAIN, other_tag]);
}

#[test]
fn forty_files_are_pushed_with_two_requests_a_blob_and_three_and_again_with_one() {
    assert_eq!(World::new().requests(FORTY), [FORTY_FIRST, AGAIN, OTHER_TAG]);
}

#[test]
fn forty_files_are_pushed_to_a_second_repository_as_to_the_first() {
    let world = World::new();
    let second = FORTY[0].replace("R/forty", "R/second");
    assert_eq!(world.requests([FORTY[0], &second]), [FORTY_FIRST, FORTY_FIRST]);
}

#[test]
fn a_large_file_is_pushed_with_one_request_more_and_again_with_one() {
    let (world, slow) = (World::new(), World::new());
    let kinds = "HEAD manifest 2, PATCH upload 1, POST mount 1, POST upload 1, PUT manifest 1, PUT upload 2";
    // Where the line is slower than hashing, the registry is asked in between whether it has the blob. What another tag
    // takes depends on that, too: it is counted in `early`, over a line that is slower.
    let first = world.cost("push large.bin R/large:v1").requests_but(&["HEAD blob"]);
    assert_eq!(first, format!("8: {kinds}"));
    assert_eq!(world.requests(["push large.bin R/large:v1"]), [AGAIN]);
    let [first] = slow.slowly(|| slow.requests(["push large.bin R/large:v1"]));
    assert_eq!(first, format!("9: HEAD blob 1, {kinds}"));
}

#[test]
fn a_pull_asks_for_the_tag_and_once_for_all_that_it_lacks() {
    let world = World::new();
    let lines = ["push one.txt R/one:v1", "push large.bin R/large:v1"];
    world.requests(lines);
    world.requests(FORTY);
    let two = "4: GET blob 2, GET manifest 1, HEAD manifest 1";
    let forty = "43: GET blob 41, GET manifest 1, HEAD manifest 1";
    for (line, wanted) in [
        ("pull R/one:v1 oci:one", two),
        ("pull R/one:v1 oci:one", AGAIN),
        ("pull R/large:v1 oci:large", two),
        ("pull R/forty:v1 oci:all", forty),
        ("pull R/forty:v1 oci:all", AGAIN),
        ("pull R/forty:v2 oci:all", AGAIN),
        ("pull R/forty:v1 files --unpack", forty),
    ] {
        assert_eq!(world.requests([line]), [wanted], "{line}");
    }
}

/// Forty files with a signature, which is signed itself.
fn signed() -> World {
    let world = World::new();
    world.requests(FORTY);
    let [signature, countersignature] = world.requests([
        "push one.txt R/forty:signature --subject R/forty:v1",
        "push forty/01.txt R/forty:countersignature --subject R/forty:signature",
    ]);
    assert_eq!(signature, "8: GET referrers 1, HEAD manifest 3, POST mount 2, PUT manifest 1, PUT upload 1");
    // Its content is in the repository already, and that is known without having sent it.
    assert_eq!(countersignature, "7: GET referrers 1, HEAD manifest 3, POST mount 2, PUT manifest 1");
    world
}

#[test]
fn a_copy_within_a_registry_asks_and_mounts_every_blob() {
    let world = signed();
    let copies = world.requests([
        "copy R/forty:v1 R/bare:v1 --no-referrers",
        "copy R/forty:v1 R/bare:v1 --no-referrers",
        "copy R/forty:v1 R/bare:v2 --no-referrers",
        "copy R/forty:v1 R/with:v1",
        "copy R/forty:v1 R/with:v1",
    ]);
    let [first, again, other_tag, with, with_again] = copies.each_ref().map(String::as_str);
    assert_eq!(first, "87: GET manifest 1, HEAD blob 41, HEAD manifest 3, POST mount 41, PUT manifest 1");
    assert_eq!(again, "2: HEAD manifest 2");
    assert_eq!(other_tag, "46: GET manifest 1, HEAD blob 41, HEAD manifest 3, PUT manifest 1");
    assert_eq!(
        with,
        "101: GET manifest 3, GET referrers 4, GET tags 1, HEAD blob 42, HEAD manifest 5, POST mount 42, PUT manifest 4"
    );
    assert_eq!(with_again, "54: GET manifest 3, GET referrers 3, GET tags 1, HEAD blob 42, HEAD manifest 5");
}

#[test]
fn a_copy_down_asks_for_every_manifest_its_referrers_and_every_blob_once() {
    let copies = signed().requests([
        "copy R/forty:v1 oci:bare --no-referrers",
        "copy R/forty:v1 oci:bare --no-referrers",
        "copy R/forty:v1 oci:with",
        "copy R/forty:v1 oci:with",
        "copy R/forty:v1 oci-archive:with.tar",
    ]);
    let with = "50: GET blob 42, GET manifest 3, GET referrers 3, GET tags 1, HEAD manifest 1";
    let with_again = "5: GET referrers 3, GET tags 1, HEAD manifest 1";
    assert_eq!(copies, ["43: GET blob 41, GET manifest 1, HEAD manifest 1", AGAIN, with, with_again, with]);
}

#[test]
fn a_copy_up_asks_as_a_push_does() {
    let world = signed();
    world.requests(["copy R/forty:v1 oci:with"]);
    let copies = world.requests([
        "copy oci:with:v1 R/bare:v1 --no-referrers",
        "copy oci:with:v1 R/bare:v1 --no-referrers",
        "copy oci:with:v1 R/bare:v2 --no-referrers",
        "copy oci:with:v1 R/with:v1",
        "copy oci:with:v1 R/with:v1",
    ]);
    let with = "93: GET referrers 1, HEAD manifest 4, POST mount 42, PUT manifest 4, PUT upload 42";
    assert_eq!(copies, [FORTY_FIRST, AGAIN, OTHER_TAG, with, "46: HEAD blob 42, HEAD manifest 4"]);
}

#[test]
fn a_copy_between_registries_asks_each_for_its_part() {
    let (from, to) = (signed(), World::new());
    let requests = |repository: &str, more: &str| {
        let before = to.faults.seen().len();
        let cost = from.cost(&format!("copy R/forty:v1 {}/{repository}:v1 {more}", to.line.host()));
        [cost.requests(), summary(to.faults.seen()[before..].iter().map(|seen| kind(seen.method.as_str(), &seen.uri)))]
    };
    let bare = ["43: GET blob 41, GET manifest 1, HEAD manifest 1", FORTY_FIRST];
    assert_eq!(requests("bare", "--no-referrers"), bare);
    assert_eq!(requests("bare", "--no-referrers"), [AGAIN, AGAIN]);
    let up = "93: GET referrers 1, HEAD manifest 4, POST mount 42, PUT manifest 4, PUT upload 42";
    assert_eq!(
        requests("with", ""),
        ["50: GET blob 42, GET manifest 3, GET referrers 3, GET tags 1, HEAD manifest 1", up]
    );
    let again =
        ["8: GET manifest 3, GET referrers 3, GET tags 1, HEAD manifest 1", "46: HEAD blob 42, HEAD manifest 4"];
    assert_eq!(requests("with", ""), again);
}

#[test]
fn a_listing_is_one_request_and_a_look_at_an_artifact_four() {
    let world = signed();
    assert_eq!(world.requests(["ls R/forty", "ls R"]), ["1: GET tags 1", "1: GET catalog 1"]);
    let asked = |line: &str| {
        let seen = world.cost(line).seen;
        seen.iter().map(|seen| seen.uri.query().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(asked("ls R/forty --last v1"), ["n=1000&last=v1"]);
    assert_eq!(asked("ls R/forty --last v%209"), ["n=1000&last=v%25209"]);
    // Whether the repository is there at all is another question.
    assert_eq!(asked("ls R/forty --last w"), ["n=1000&last=w", "n=1000"]);
    assert_eq!(
        world.requests(["inspect R/forty:v1"]),
        ["4: GET manifest 1, GET referrers 1, GET tags 1, HEAD manifest 1"]
    );
}

#[test]
fn a_tree_asks_once_for_the_tags_and_once_about_each_manifest() {
    let world = signed();
    let tree = "5: GET manifest 1, GET referrers 3, GET tags 1";
    assert_eq!(world.requests(["tree R/forty:v1", "tree R/forty:v1 --artifact-type a/b"]), [tree, tree]);
    assert_eq!(world.requests(["tree R/forty:countersignature"]), ["3: GET manifest 1, GET referrers 1, GET tags 1"]);
}

#[test]
fn a_long_list_asks_once_for_each_tag_and_a_range_once_for_the_list() {
    let world = World::new();
    world.requests(["push one.txt R/one:1.0.0", "push one.txt R/one:1.1.0", "push one.txt R/one:2.0.0"]);
    let lines = [
        "ls R/one -l",
        "ls R/one -l --sort version --limit 1",
        "ls R/one --sort date --limit 1",
        "ls R/one --sort version",
        "resolve R/one:^1",
    ];
    let three = "4: GET manifest 3, GET tags 1";
    let expected = [three, "2: GET manifest 1, GET tags 1", three, "1: GET tags 1", "2: GET tags 1, HEAD manifest 1"];
    assert_eq!(world.requests(lines), expected);
}
