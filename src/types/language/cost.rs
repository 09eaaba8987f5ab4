//! What evaluating a definition costs, and how much it may cost.
//!
//! The unit is a *step*: a part of an expression that is evaluated, an item of a list that is looked at or made, 32 bytes
//! of text that are read or made, a part of a document that is read, a visit of one by its schema. Everything that
//! evaluates takes its steps before it works or allocates, so a limit holds for every definition and every document. One
//! evaluation has 1,000,000 steps, which is far less than a second and at most 32 MiB of values. All evaluations for one
//! source together have 5,000,000 steps, and 1,000 more for every file; what they leave behind (texts, configs,
//! annotations) has 32 MiB, and 4 KiB more for every file.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use crate::error::{Error, Result};

/// Limit of steps in one evaluation.
pub(in crate::types) const MAX_STEPS: u64 = 1_000_000;
/// Evaluations at their limit that one source may have, without its files.
const MAX_FULL: u64 = 5;
/// Steps that every file adds to the limit for its source.
const STEPS_OF_A_FILE: u64 = 1_000;
/// Limit of bytes that evaluations leave behind for one source, without its files.
const MAX_KEPT: u64 = 32 << 20;
/// Bytes that every file adds to that limit.
const KEPT_OF_A_FILE: u64 = 4 << 10;
/// Bytes of text that cost a step.
pub(in crate::types) const TEXT: usize = 32;
/// Steps of planning one layer, whatever is evaluated for it: it takes about as much memory as that much text.
pub(in crate::types) const LAYER: u64 = 50;
/// Steps of planning one entry of a tar, for the same reason.
pub(in crate::types) const ENTRY: u64 = 20;
/// Limit of nesting while evaluating: of parts in an expression, and of variables in variables.
pub(super) const MAX_DEPTH: u32 = 128;

/// What all evaluations for one source have cost so far.
#[derive(Debug)]
pub(in crate::types) struct Account {
    /// The limit of steps in one evaluation.
    each: u64,
    steps: AtomicU64,
    kept: AtomicU64,
    files: AtomicU64,
}

impl Default for Account {
    fn default() -> Self {
        Self::with_steps(MAX_STEPS)
    }
}

impl Account {
    /// An account for evaluations of this many steps.
    pub(super) fn with_steps(each: u64) -> Self {
        Self { each, steps: AtomicU64::new(0), kept: AtomicU64::new(0), files: AtomicU64::new(0) }
    }

    /// Raises the limits: the source has this many files.
    pub(in crate::types) fn has_files(&self, files: usize) {
        self.files.fetch_max(files as u64, Relaxed);
    }

    /// Takes steps. Errors (kind `Limit`): the definition has taken too many.
    pub(in crate::types) fn take(&self, steps: u64) -> Result<()> {
        let limit = MAX_FULL * self.each + self.files.load(Relaxed).saturating_mul(STEPS_OF_A_FILE);
        let over = || Error::limit(format!("the definition takes more than {limit} steps for this source"));
        add(&self.steps, steps, limit).ok_or_else(over)
    }

    /// Takes room for what an evaluation leaves behind. Errors (kind `Limit`): the definition has taken too much.
    pub(super) fn keep(&self, bytes: usize) -> Result<()> {
        let (bytes, files) = (bytes as u64, self.files.load(Relaxed));
        let limit = MAX_KEPT + files.saturating_mul(KEPT_OF_A_FILE);
        let over = || Error::limit(format!("the definition makes more than {limit} bytes of this source"));
        add(&self.kept, bytes, limit).ok_or_else(over)
    }

    /// The steps and the bytes so far.
    #[cfg(test)]
    pub(super) fn so_far(&self) -> (u64, u64) {
        (self.steps.load(Relaxed), self.kept.load(Relaxed))
    }
}

/// Adds to a sum, unless that would exceed the limit.
fn add(sum: &AtomicU64, more: u64, limit: u64) -> Option<()> {
    let within = |sum: u64| sum.checked_add(more).filter(|sum| *sum <= limit);
    sum.fetch_update(Relaxed, Relaxed, within).ok().map(drop)
}

/// What one evaluation has cost so far.
#[derive(Debug)]
pub(in crate::types) struct Meter {
    account: Arc<Account>,
    steps: AtomicU64,
    depth: AtomicU32,
}

impl Meter {
    pub(super) fn new(account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), steps: AtomicU64::new(0), depth: AtomicU32::new(0) }
    }

    /// Takes steps. Errors (kind `Limit`): this evaluation, or all for this source, have taken too many.
    pub(super) fn take(&self, steps: usize) -> Result<()> {
        let steps = steps as u64;
        let limit = self.account.each;
        let over = || Error::limit(format!("it takes more than {limit} steps"));
        add(&self.steps, steps, limit).ok_or_else(over)?;
        self.account.take(steps)
    }

    /// Takes the steps for reading or making this many bytes of text.
    pub(super) fn text(&self, bytes: usize) -> Result<()> {
        self.take(1 + bytes / TEXT)
    }

    /// Takes room for what this evaluation leaves behind.
    pub(super) fn keep(&self, bytes: usize) -> Result<()> {
        self.account.keep(bytes)
    }

    /// Runs a part one level deeper. Errors (kind `Limit`): too deep.
    pub(super) fn deeper<T, E: From<Error>>(&self, part: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.depth.fetch_add(1, Relaxed) >= MAX_DEPTH {
            self.depth.fetch_sub(1, Relaxed);
            return Err(Error::limit(format!("it is nested deeper than {MAX_DEPTH} levels")).into());
        }
        let result = part();
        self.depth.fetch_sub(1, Relaxed);
        result
    }
}
