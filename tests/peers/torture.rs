//! Torture: processes are killed and told to stop, disks fail, and many share one store. Whatever happens, stores stay
//! whole, earlier content stays, the next run finishes, and nothing is left behind.
//!
//! The short form is part of the suite. `ARTIFACT_TORTURE=1000` kills so many processes at random moments, and makes
//! everything else long, too: up to so many faults and kills at the file operations of each job, 8 writers in 20 rounds,
//! a minute of readers and writers. `ARTIFACT_TORTURE_SEED` repeats a run; `ARTIFACT_TORTURE_PROGRAM` is another build of
//! the program.

mod content;
mod crowd;
mod faults;
mod full;
mod kills;
#[cfg(target_os = "linux")]
mod lasting;
mod order;
mod points;
mod scene;
mod signals;

use std::{
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    let all = [crowd::tests(), faults::tests(), full::tests(), kills::tests(), order::tests(), signals::tests()];
    #[cfg(target_os = "linux")]
    let all = all.into_iter().chain([lasting::tests()]);
    all.into_iter().flatten().collect()
}

/// How many kills the long form makes; `None` in the short form.
fn long() -> Option<usize> {
    std::env::var("ARTIFACT_TORTURE").ok().map(|n| n.parse().expect("ARTIFACT_TORTURE is a number of kills"))
}

/// What makes a run repeatable, as far as the machine allows.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| match std::env::var("ARTIFACT_TORTURE_SEED") {
        Ok(seed) => seed.parse().expect("ARTIFACT_TORTURE_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64,
    })
}

/// Numbers that follow from the seed and a name (xorshift64).
struct Dice(u64);

impl Dice {
    fn of(name: &str) -> Self {
        let mixed = name.bytes().fold(seed(), |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(mixed | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    /// So many of these, or all, in any order.
    fn some<T>(&mut self, mut from: Vec<T>, most: usize) -> Vec<T> {
        let mut chosen = Vec::new();
        while chosen.len() < most && !from.is_empty() {
            let at = self.below(from.len() as u64) as usize;
            chosen.push(from.swap_remove(at));
        }
        chosen
    }
}

/// What went wrong in a trial.
type Outcome = Result<(), String>;

/// Fails with all that went wrong, and with how to see it again.
fn conclude(what: &str, trials: usize, failures: &[String]) {
    let seed = seed();
    eprintln!("{what}: {trials} trials, {} failures (ARTIFACT_TORTURE_SEED={seed})", failures.len());
    let shown: Vec<_> = failures.iter().take(10).map(String::as_str).collect();
    assert!(failures.is_empty(), "{what}: {} of {trials}, seed {seed}:\n{}", failures.len(), shown.join("\n"));
}
