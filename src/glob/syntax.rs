//! A glob without braces, as steps.

use std::{iter::Peekable, ops::RangeInclusive, str::Chars};

use super::{
    automaton::{SLASH, Step},
    braces::JOINT,
};

/// Whether a slash separates components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slash {
    Separates,
    IsOrdinary,
}

/// Reads a glob. Errors: why it is malformed.
pub(super) fn steps(glob: &str, slash: Slash) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = glob.chars().peekable();
    let mut starts = true;
    while let Some(c) = rest.next() {
        let step = match c {
            JOINT => continue,
            '*' => stars(starts, slash, &mut rest),
            '?' if slash == Slash::IsOrdinary => Step::class(Vec::new(), true),
            '?' => Step::Any,
            '[' => class(&mut rest, slash)?,
            '\\' => Step::char(rest.next().ok_or("ends in a backslash")?),
            c => Step::char(c),
        };
        // `**/` ends a component, too.
        starts = c == '/' || step == Step::Components;
        push(step, &mut steps);
    }
    // `**/` alone: all directories, with what is in them.
    Ok(if steps == [Step::Components] { vec![Step::Everything] } else { steps })
}

/// Adds a step. One that matches any number matches the same twice in a row.
fn push(step: Step, steps: &mut Vec<Step>) {
    let repeats = matches!(step, Step::Star | Step::Everything | Step::Components) && steps.last() == Some(&step);
    if !repeats {
        steps.push(step);
    }
}

/// Stars, behind the first of them: two that are a whole component match any number of these.
fn stars(starts: bool, slash: Slash, rest: &mut Peekable<Chars<'_>>) -> Step {
    let one = if slash == Slash::Separates { Step::Star } else { Step::Everything };
    let mut ahead = rest.clone();
    if !starts || ahead.next_if_eq(&'*').is_none() {
        return one;
    }
    match ahead.find(|c| *c != JOINT) {
        None => {
            *rest = ahead;
            Step::Everything
        }
        Some('/') => {
            *rest = ahead;
            Step::Components
        }
        Some(_) => one,
    }
}

/// Reads a class, after its `[`.
fn class(rest: &mut Peekable<Chars<'_>>, slash: Slash) -> Result<Step, String> {
    let unclosed = || "has a `[` that has no end".to_owned();
    let negated = rest.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut members = vec![rest.next().ok_or_else(unclosed)?];
    loop {
        match rest.next().ok_or_else(unclosed)? {
            ']' => break,
            c => members.push(c),
        }
    }
    let mut ranges = Vec::new();
    let mut members = members.into_iter().peekable();
    while let Some(low) = members.next() {
        let mut ahead = members.clone();
        let high = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                members = ahead;
                high
            }
            _ => low,
        };
        if high < low {
            return Err(format!("has the range `{low}-{high}`, which is reversed"));
        }
        ranges.push(u32::from(low)..=u32::from(high));
    }
    // A slash that separates is in no class.
    if slash == Slash::Separates && negated {
        ranges.push(SLASH..=SLASH);
    } else if slash == Slash::Separates {
        ranges = ranges.into_iter().flat_map(around_slash).filter(|range| !range.is_empty()).collect();
    }
    Ok(Step::class(ranges, negated))
}

/// The parts of a range on both sides of the slash; some are empty.
fn around_slash(range: RangeInclusive<u32>) -> [RangeInclusive<u32>; 2] {
    let (low, high) = range.into_inner();
    [low..=high.min(SLASH - 1), low.max(SLASH + 1)..=high]
}
