//! The state of a display: events in, numbers out. Nothing here draws or reads a clock.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use artifact::{
    oci::{Descriptor, Digest},
    progress::{Event, Outcome},
};

/// The period over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Minimum period for a rate.
const SHORTEST: Duration = Duration::from_millis(500);

/// The phase of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Sources and destinations are read, to plan the work.
    Looking,
    /// A compressed archive is decompressed.
    Decompressing,
    /// Files are read and packed.
    Packing,
    /// Content moves.
    Moving,
}

/// A transfer in progress.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) desc: Descriptor,
    pub(super) since: Instant,
    /// Bytes so far in this attempt.
    pub(super) at: u64,
    /// Most bytes of any attempt, so that a restart does not reduce the total.
    high: u64,
    /// Whether it started over.
    pub(super) again: bool,
    /// Whether it continues an earlier transfer.
    pub(super) resumed: bool,
}

/// A wait: its reason and end.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) why: String,
    pub(super) until: Instant,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) start: Instant,
    pub(super) phase: Phase,
    /// Files to pack, or manifests and blobs to move.
    pub(super) items: usize,
    /// Finished items.
    pub(super) done: usize,
    /// Bytes of all items.
    pub(super) total: u64,
    /// Bytes of finished items.
    finished: u64,
    blobs: HashMap<Digest, Blob>,
    waits: Vec<Wait>,
    /// Bytes transferred in this phase, repeated ones included.
    passed: u64,
    /// Bytes kept from earlier transfers.
    pub(super) resumed: u64,
    /// Attempts beyond the first.
    pub(super) retried: u64,
    samples: VecDeque<(Instant, u64)>,
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            phase: Phase::Looking,
            items: 0,
            done: 0,
            total: 0,
            finished: 0,
            blobs: HashMap::new(),
            waits: Vec::new(),
            passed: 0,
            resumed: 0,
            retried: 0,
            samples: VecDeque::new(),
        }
    }

    pub(super) fn apply(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Decompressing { bytes, .. } => self.enter_phase(Phase::Decompressing, 1, *bytes),
            Event::Packing { files, bytes } => self.enter_phase(Phase::Packing, *files, *bytes),
            Event::Planned { items, bytes } => self.enter_phase(Phase::Moving, *items, *bytes),
            Event::Read(bytes) => {
                self.finished = self.finished.saturating_add(*bytes);
                self.passed = self.passed.saturating_add(*bytes);
            }
            Event::Started(desc) => {
                let new = Blob { desc: desc.clone(), since: now, at: 0, high: 0, again: false, resumed: false };
                self.blobs.entry(desc.digest.clone()).or_insert(new);
            }
            Event::Moved(digest, bytes) => {
                self.passed = self.passed.saturating_add(*bytes);
                self.change_blob(digest, |blob| blob.advance_to(blob.at.saturating_add(*bytes)));
            }
            Event::Restarted(digest) => self.change_blob(digest, |blob| (blob.at, blob.again) = (0, true)),
            Event::Resumed(digest, bytes) => {
                self.resumed = self.resumed.saturating_add(*bytes);
                self.change_blob(digest, |blob| {
                    blob.resumed = true;
                    blob.advance_to(blob.at.max(*bytes));
                });
            }
            Event::Done(desc, outcome) => self.finish_blob(desc, *outcome),
            Event::Retried { .. } => self.retried = self.retried.saturating_add(1),
            Event::Waiting { why, time } => self.waits.push(Wait { why: why.clone(), until: now + *time }),
            _ => {}
        }
        self.waits.retain(|wait| wait.until > now);
    }

    fn enter_phase(&mut self, phase: Phase, items: usize, total: u64) {
        (self.phase, self.items, self.total) = (phase, items, total);
        (self.done, self.finished, self.passed) = (0, 0, 0);
        self.samples.clear();
    }

    fn change_blob(&mut self, digest: &Digest, change: impl FnOnce(&mut Blob)) {
        if let Some(blob) = self.blobs.get_mut(digest) {
            change(blob);
        }
    }

    fn finish_blob(&mut self, desc: &Descriptor, outcome: Outcome) {
        let counted = self.blobs.remove(&desc.digest).is_some();
        self.finished = self.finished.saturating_add(desc.size);
        self.done = self.done.saturating_add(1);
        if !counted && outcome == Outcome::Moved {
            self.passed = self.passed.saturating_add(desc.size);
        }
    }

    /// Records the bytes so far, for the rate.
    pub(super) fn sample(&mut self, now: Instant) {
        self.samples.push_back((now, self.passed));
        while self.samples.front().is_some_and(|(then, _)| now.saturating_duration_since(*then) > WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes of the total that have arrived; never decreases during a phase.
    pub(super) fn position(&self) -> u64 {
        let moving = self.blobs.values().fold(0_u64, |sum, blob| sum.saturating_add(blob.high));
        self.finished.saturating_add(moving).min(self.total)
    }

    /// Completed fraction, 0 to 1; an artifact without bytes is complete.
    pub(super) fn fraction(&self) -> f64 {
        if self.total == 0 { 1.0 } else { self.position() as f64 / self.total as f64 }
    }

    /// Recent rate in bytes per second.
    pub(super) fn rate(&self) -> Option<f64> {
        let ((then, before), (now, passed)) = (self.samples.front()?, self.samples.back()?);
        let time = now.saturating_duration_since(*then);
        (time >= SHORTEST).then(|| passed.saturating_sub(*before) as f64 / time.as_secs_f64())
    }

    /// Remaining time at this rate.
    pub(super) fn left(&self) -> Option<Duration> {
        let rate = self.rate().filter(|rate| *rate >= 1.0)?;
        Duration::try_from_secs_f64(self.total.saturating_sub(self.position()) as f64 / rate).ok()
    }

    pub(super) fn blob(&self, digest: &Digest) -> Option<&Blob> {
        self.blobs.get(digest)
    }

    /// Transfers in progress, oldest first.
    pub(super) fn blobs(&self) -> Vec<&Blob> {
        let mut blobs: Vec<&Blob> = self.blobs.values().collect();
        blobs.sort_by(|a, b| (a.since, &a.desc.digest).cmp(&(b.since, &b.desc.digest)));
        blobs
    }

    /// Current waits, the longest last.
    pub(super) fn waits(&self, now: Instant) -> Vec<&Wait> {
        let mut waits: Vec<&Wait> = self.waits.iter().filter(|wait| wait.until > now).collect();
        waits.sort_by_key(|wait| wait.until);
        waits
    }
}

impl Blob {
    fn advance_to(&mut self, at: u64) {
        self.at = at.min(self.desc.size);
        self.high = self.high.max(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str, size: u64) -> Descriptor {
        Descriptor::new("a/b", Digest::of(name.as_bytes()), size)
    }

    fn state(total: u64, items: usize) -> (State, Instant) {
        let now = Instant::now();
        let mut state = State::new(now);
        state.apply(&Event::Planned { items, bytes: total }, now);
        (state, now)
    }

    #[test]
    fn what_starts_over_does_not_move_the_total_backwards() {
        let (mut state, now) = state(1000, 2);
        let (one, two) = (blob("one", 600), blob("two", 400));
        let (a, b) = (one.digest.clone(), two.digest.clone());
        let events = [
            (Event::Started(one.clone()), 0),
            (Event::Moved(a.clone(), 500), 500),
            (Event::Started(two.clone()), 500),
            (Event::Moved(b.clone(), 100), 600),
            (Event::Restarted(a.clone()), 600),
            (Event::Moved(a.clone(), 400), 600),
            (Event::Done(two, Outcome::Moved), 900),
            (Event::Moved(a.clone(), 150), 950),
            (Event::Moved(a.clone(), 9999), 1000),
            (Event::Done(one, Outcome::Moved), 1000),
        ];
        for (event, position) in events {
            state.apply(&event, now);
            assert_eq!(state.position(), position, "{event:?}");
        }
        assert_eq!((state.done, state.blobs().len()), (2, 0));
    }

    #[test]
    fn what_an_earlier_transfer_brought_counts_at_once_and_not_twice() {
        let (mut state, now) = state(1000, 1);
        let one = blob("one", 1000);
        state.apply(&Event::Started(one.clone()), now);
        state.apply(&Event::Resumed(one.digest.clone(), 700), now);
        assert_eq!((state.position(), state.blob(&one.digest).unwrap().at), (700, 700));
        state.apply(&Event::Moved(one.digest.clone(), 200), now);
        state.apply(&Event::Resumed(one.digest.clone(), 200), now);
        assert_eq!(state.position(), 900);
    }

    #[test]
    fn only_what_passes_makes_the_rate_and_what_is_left_the_time() {
        let (mut state, now) = state(10_000, 3);
        let (one, there) = (blob("one", 4000), blob("there", 4000));
        state.sample(now);
        state.apply(&Event::Done(there, Outcome::Present), now);
        state.apply(&Event::Started(one.clone()), now);
        assert_eq!(state.rate(), None);
        for second in 1..=20 {
            let now = now + Duration::from_secs(second);
            state.apply(&Event::Moved(one.digest.clone(), 100), now);
            state.sample(now);
            assert_eq!(state.rate(), Some(100.0));
        }
        assert_eq!((state.position(), state.left()), (6000, Some(Duration::from_secs(40))));
    }

    #[test]
    fn a_wait_is_over_when_its_time_is() {
        let (mut state, now) = state(1, 1);
        let second = Duration::from_secs(1);
        state.apply(&Event::Waiting { why: "long".into(), time: 7 * second }, now);
        state.apply(&Event::Waiting { why: "short".into(), time: second }, now);
        let whys = |state: &State, at| state.waits(at).iter().map(|wait| wait.why.clone()).collect::<Vec<_>>();
        assert_eq!(whys(&state, now), ["short", "long"]);
        assert_eq!(whys(&state, now + 2 * second), ["long"]);
        assert!(whys(&state, now + 7 * second).is_empty());
    }

    #[test]
    fn packing_has_numbers_of_its_own() {
        let now = Instant::now();
        let mut state = State::new(now);
        assert_eq!(state.phase, Phase::Looking);
        state.apply(&Event::Packing { files: 3, bytes: 30 }, now);
        state.apply(&Event::Read(45), now);
        assert_eq!((state.phase, state.items, state.position()), (Phase::Packing, 3, 30));
        state.apply(&Event::Planned { items: 2, bytes: 20 }, now);
        assert_eq!((state.phase, state.items, state.position()), (Phase::Moving, 2, 0));
        let (mut empty, _) = (State::new(now), ());
        empty.apply(&Event::Planned { items: 0, bytes: 0 }, now);
        assert!((empty.fraction() - 1.0).abs() < f64::EPSILON);
    }
}
