//! What is read from source files, and how often a copy waits for a disk: as strace records it.

use std::{path::Path, process::Stdio};

use crate::{
    harness::{Test, tests},
    support::{
        costs::{LARGE, SMALL, World},
        strace::{Strace, Traced},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["strace"]
            plain a_small_file_is_read_to_hash_it_and_once_more_to_send_it,
            plain files_that_are_packed_into_one_are_read_once,
            plain a_file_is_looked_at_by_its_name_once_whoever_is_told_how_much_there_is,
            plain a_large_file_is_read_once_where_the_line_keeps_up,
            plain a_large_file_is_read_twice_where_it_goes_to_a_disk,
            plain a_large_file_is_read_at_most_twice_where_the_line_does_not_keep_up,
            plain a_copy_into_a_layout_syncs_and_renames_every_blob_once_and_a_few_more,
            plain a_copy_into_an_archive_syncs_twice_and_renames_once_whatever_is_in_it
    ]
}

/// Bytes of the forty small files together.
const FORTY: u64 = 16 * SMALL as u64;

/// What a run does with files.
struct Disk(Traced);

impl World {
    /// Runs a line under strace, which must succeed.
    fn disk(&self, line: &str) -> Disk {
        let strace = Strace::find().unwrap();
        let traced = strace.run(&self.path().join("strace.log"), None, |words| {
            let mut command = self.command(words, line);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        });
        assert_eq!(traced.code, Some(0), "{line}: {}", traced.said);
        Disk(traced)
    }
}

impl Disk {
    /// How many bytes were read of what lies here, by these operations.
    fn read_by(&self, operations: &[&str], place: &Path) -> u64 {
        let place = format!("<{}", place.display());
        let calls = self.0.calls.iter().filter(|call| operations.contains(&&*call.name) && call.text.contains(&place));
        let results = calls.map(|call| call.text.rsplit_once(" = ").unwrap().1);
        results.map(|result| result.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// How many bytes were read of what lies here.
    fn read(&self, place: &Path) -> u64 {
        self.read_by(&["read", "pread64", "copy_file_range", "sendfile"], place)
    }

    /// How often the disk was waited for, and how often a name changed.
    fn syncs_and_renames(&self) -> (usize, usize) {
        let count = |names: &[&str]| self.0.calls.iter().filter(|call| names.contains(&&*call.name)).count();
        (count(&["fsync", "fdatasync", "syncfs"]), count(&["rename", "renameat", "renameat2"]))
    }
}

fn a_small_file_is_read_to_hash_it_and_once_more_to_send_it() {
    let world = World::new();
    for (source, size, line) in [
        ("one.txt", 4, "push one.txt R/one:v1"),
        ("forty", FORTY, "push forty R/forty:v1 --set layout=files"),
        ("one.txt", 4, "push one.txt oci:one-file:v1"),
        ("forty", FORTY, "push forty oci:all:v1 --set layout=files"),
    ] {
        let source = world.path().join(source);
        let first = world.disk(line);
        assert_eq!(first.read(&source), 2 * size, "{line}");
        assert_eq!(world.disk(line).read(&source), size, "again: {line}");
        let other_tag = line.replace(":v1", ":v2");
        assert_eq!(world.disk(&other_tag).read(&source), size, "{other_tag}");
    }
}

fn files_that_are_packed_into_one_are_read_once() {
    let world = World::new();
    let first = world.disk("push forty R/forty:v1");
    assert_eq!(first.read(&world.path().join("forty")), FORTY);
    let again = world.disk("push forty R/forty:v1");
    assert_eq!(again.read(&world.path().join("forty")), FORTY);
}

fn a_file_is_looked_at_by_its_name_once_whoever_is_told_how_much_there_is() {
    let world = World::new();
    for line in ["push forty oci:all:v1 --format json", "push forty oci:all:v1 --set layout=files --quiet"] {
        let Disk(traced) = world.disk(line);
        assert_eq!(traced.said.contains("\"packing\""), line.ends_with("json"), "{}", traced.said);
        let looks = traced.calls.iter().filter(|call| ["statx", "newfstatat"].contains(&&*call.name));
        assert_eq!(looks.filter(|call| call.text.contains(".txt\"")).count(), SMALL, "{line}");
    }
}

fn a_large_file_is_read_once_where_the_line_keeps_up() {
    let world = World::new();
    let source = world.path().join("large.bin");
    // Whether the line keeps up is for the machine to say: of some pushes one has such a line.
    let reads: Vec<u64> = (0..20)
        .map(|n| world.disk(&format!("push large.bin R/large{n}:v1")))
        .map(|disk| disk.read(&source))
        .inspect(|read| assert!((LARGE..=2 * LARGE).contains(read), "{read}"))
        .take_while(|read| *read > LARGE)
        .collect();
    assert!(reads.len() < 20, "{reads:?}");
    assert_eq!(world.disk("push large.bin R/large0:v1").read(&source), LARGE);
}

fn a_large_file_is_read_twice_where_it_goes_to_a_disk() {
    let world = World::new();
    let first = world.disk("push large.bin oci:store:v1");
    assert_eq!(first.read(&world.path().join("large.bin")), 2 * LARGE);
}

fn a_large_file_is_read_at_most_twice_where_the_line_does_not_keep_up() {
    const SIZE: u64 = 40 << 20;
    let world = World::new();
    let source = world.wide("wide.bin", SIZE);
    let disk = world.slowly(|| world.disk("push wide.bin R/wide:v1"));
    // Hashing reads by `read`, whoever sends the rest by position.
    assert_eq!(disk.read_by(&["read"], &source), SIZE);
    assert!(disk.read(&source) > SIZE && disk.read(&source) <= 2 * SIZE, "{}", disk.read(&source));
    assert_eq!(world.faults.count("PATCH upload").unwrap(), 1);
}

/// Syncs and renames of each of these lines.
fn syncs_and_renames<const N: usize>(world: &World, lines: [&str; N]) -> [(usize, usize); N] {
    lines.map(|line| world.disk(line).syncs_and_renames())
}

fn a_copy_into_a_layout_syncs_and_renames_every_blob_once_and_a_few_more() {
    let world = World::new();
    world.cost("push one.txt R/one:v1");
    world.cost("push large.bin R/large:v1");
    world.cost("push forty R/forty:v1 --set layout=files");
    world.cost("pull R/forty:v1 oci:origin");
    let copies = [
        "copy R/one:v1 oci:one",
        "copy R/large:v1 oci:large",
        "copy R/forty:v1 oci:down",
        "copy R/forty:v1 oci:down",
        "copy R/forty:v1 oci:down:v2",
        "copy R/one:v1 oci:down:one",
        "copy oci:origin oci:beside",
        "copy oci:origin oci:beside",
    ];
    let found = syncs_and_renames(&world, copies);
    let (small, forty) = ((13, 6), (52, 45));
    assert_eq!(found, [small, small, forty, (0, 0), (3, 1), (5, 3), forty, (0, 0)]);
}

fn a_copy_into_an_archive_syncs_twice_and_renames_once_whatever_is_in_it() {
    let world = World::new();
    world.cost("push one.txt R/one:v1");
    world.cost("push large.bin R/large:v1");
    world.cost("push forty R/forty:v1 --set layout=files");
    world.cost("pull R/forty:v1 oci:origin");
    let copies = [
        "copy R/one:v1 oci-archive:all.tar",
        "copy R/large:v1 oci-archive:all.tar:large",
        "copy R/forty:v1 oci-archive:all.tar:forty",
        "copy R/forty:v1 oci-archive:all.tar:forty",
        "copy R/forty:v1 oci-archive:all.tar:again",
        "copy oci:origin oci-archive:beside.tar",
        "copy oci:origin oci-archive:beside.tar",
    ];
    let found = syncs_and_renames(&world, copies);
    assert_eq!(found, [(2, 1), (2, 1), (2, 1), (0, 0), (2, 1), (2, 1), (0, 0)]);
}
