//! The corpora of the fuzzers, and many small changes of each of their files, as ordinary tests.

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use artifact::fuzz::{TARGETS, Target};

fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The files of a corpus, in the order of their names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(corpora().join(target.name)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap().display().to_string(), fs::read(path).unwrap())).collect()
}

/// Runs a target; what it fails on is shown, so that it can be a file of the corpus.
fn run(target: &Target, name: &str, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        panic!("{} fails on {name} or a change of it: b\"{}\"", target.name, bytes.escape_ascii());
    }
}

/// Xorshift: the same changes in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    /// A few changes, of bits, bytes and parts, some from another file.
    fn change(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.next(3) {
            let at = self.next(bytes.len());
            let end = bytes.len().min(at + 1 + self.next(16));
            match self.next(7) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.next(8),
                1 if !bytes.is_empty() => bytes[at] = [0, 0xff, b'0', b'"', b'/', b'\n', b'{', b'-'][self.next(8)],
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                4 => bytes.truncate(at),
                5 => {
                    let from = self.next(other.len());
                    let to = other.len().min(from + 1 + self.next(32));
                    drop(bytes.splice(at..at, other[from..to].to_vec()));
                }
                _ => bytes.insert(at, self.next(256) as u8),
            }
        }
        bytes
    }
}

/// A share of the targets: the tests of several run at the same time.
fn share(number: usize) {
    for target in TARGETS.iter().skip(number).step_by(4) {
        let files = corpus(target);
        assert!(files.len() >= 10, "{}", target.name);
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for (name, bytes) in &files {
            run(target, name, bytes);
            for _ in 0..if target.slow { 20 } else { 300 } {
                let other = &files[dice.next(files.len())].1;
                run(target, name, &dice.change(bytes, other));
            }
        }
    }
}

#[test]
fn every_reader_keeps_its_promises_for_its_corpus_and_for_changes_of_it_1() {
    share(0);
}

#[test]
fn every_reader_keeps_its_promises_for_its_corpus_and_for_changes_of_it_2() {
    share(1);
}

#[test]
fn every_reader_keeps_its_promises_for_its_corpus_and_for_changes_of_it_3() {
    share(2);
}

#[test]
fn every_reader_keeps_its_promises_for_its_corpus_and_for_changes_of_it_4() {
    share(3);
}

#[test]
fn every_target_has_a_corpus_and_a_harness_and_there_are_no_others() {
    let names = |dir: PathBuf| -> BTreeSet<String> {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path().file_stem().unwrap().display().to_string()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(corpora()), targets);
    assert_eq!(names(corpora().with_file_name("fuzz_targets")), targets);
    let manifest = fs::read_to_string(corpora().with_file_name("Cargo.toml")).unwrap();
    for target in &targets {
        let harness = fs::read_to_string(corpora().with_file_name(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(harness.contains(&format!("run(\"{target}\", bytes)")), "{target}: {harness}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}
