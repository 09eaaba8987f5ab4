//! Git's patterns for one path, compared by bytes.

use std::ops::RangeInclusive;

use crate::{
    error::Result,
    glob::{
        Effort,
        automaton::{Automaton, Step},
    },
};

/// A pattern for whole paths.
#[derive(Debug)]
pub(super) struct Pattern(Automaton);

impl Pattern {
    /// Compiles a pattern; `None` if it is malformed, so that git matches nothing with it.
    pub(super) fn new(pattern: &[u8]) -> Option<Self> {
        let literal = pattern.iter().take_while(|b| !matches!(**b, b'*' | b'?' | b'[' | b'\\')).count();
        let (plain, wild) = pattern.split_at(literal);
        let mut steps: Vec<Step> = plain.iter().map(|byte| exactly(*byte)).collect();
        // Git compares the text in front by itself, so that what follows counts as the start of a pattern.
        translate(wild, &mut steps)?;
        Some(Self(Automaton::new(steps)))
    }

    /// Errors: the effort is exhausted.
    pub(super) fn matches(&self, path: &[u8], effort: &Effort) -> Result<bool> {
        self.0.matches(path.iter().copied().map(u32::from), effort)
    }
}

/// Reads a pattern as steps; `None` if it is malformed.
fn translate(pattern: &[u8], steps: &mut Vec<Step>) -> Option<()> {
    let mut rest = pattern;
    let mut starts = true;
    while let Some((&first, mut after)) = rest.split_first() {
        match first {
            b'*' => after = stars(starts, after, steps),
            b'?' => steps.push(Step::Any),
            b'[' => {
                let (set, behind) = class(after)?;
                steps.push(one_of(&set));
                after = behind;
            }
            b'\\' => {
                let (&escaped, behind) = after.split_first()?;
                steps.push(exactly(escaped));
                after = behind;
            }
            byte => steps.push(exactly(byte)),
        }
        // Of `**/`, too, the last byte is a slash.
        starts = rest.strip_suffix(after).is_some_and(|read| read.ends_with(b"/"));
        rest = after;
    }
    Some(())
}

/// Stars, behind the first of them: two or more that are a whole component match any number of these.
fn stars<'a>(starts: bool, after: &'a [u8], steps: &mut Vec<Step>) -> &'a [u8] {
    let more = after.iter().take_while(|byte| **byte == b'*').count();
    let behind = after.get(more..).unwrap_or_default();
    let component = more > 0 && starts;
    match behind {
        [b'/', rest @ ..] if component => {
            steps.push(Step::Components);
            rest
        }
        [] | [b'\\', b'/', ..] if component => {
            steps.push(Step::Everything);
            behind
        }
        _ => {
            steps.push(Step::Star);
            behind
        }
    }
}

fn exactly(byte: u8) -> Step {
    Step::Exactly(u32::from(byte))
}

/// The bytes that a class matches.
type Set = [bool; 256];

fn one_of(set: &Set) -> Step {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    let bytes = (0..=u8::MAX).filter(|byte| set.get(usize::from(*byte)) == Some(&true)).map(u32::from);
    for byte in bytes {
        match ranges.last_mut() {
            Some(last) if last.end() + 1 == byte => *last = *last.start()..=byte,
            _ => ranges.push(byte..=byte),
        }
    }
    Step::class(ranges, false)
}

/// Reads a class behind its `[`; what follows it. `None` if it has no end, or a name that is none. A slash is in no class.
fn class(pattern: &[u8]) -> Option<(Set, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut set: Set = [false; 256];
    let mut before = None;
    // A `]` in the first place is a member.
    loop {
        let next = member(rest, before)?;
        add(&mut set, &next.bytes);
        (before, rest) = (next.low, next.after);
        if let [b']', after @ ..] = rest {
            let turned = std::array::from_fn(|at| at != usize::from(b'/') && set.get(at) != Some(&negated));
            return Some((turned, after));
        }
    }
}

/// A member of a class.
struct Member<'a> {
    bytes: Vec<RangeInclusive<u8>>,
    /// The byte that may begin a range.
    low: Option<u8>,
    after: &'a [u8],
}

/// The next member of a class, behind the byte that may begin a range.
fn member(rest: &[u8], before: Option<u8>) -> Option<Member<'_>> {
    let one = |byte: u8| (vec![byte..=byte], Some(byte));
    let ((bytes, low), after) = match (rest, before) {
        ([b'\\', byte, after @ ..], _) => (one(*byte), after),
        ([b'\\'], _) => return None,
        ([b'-', b'\\', high, after @ ..], Some(low)) => ((vec![low..=*high], None), after),
        ([b'-', b'\\'], Some(_)) => return None,
        ([b'-', high, after @ ..], Some(low)) if *high != b']' => ((vec![low..=*high], None), after),
        ([b'[', b':', name @ ..], _) => match name.iter().position(|byte| *byte == b']') {
            None => return None,
            Some(end) => match name.get(..end)?.split_last() {
                Some((b':', name_only)) => ((named(name_only)?, None), name.get(end.saturating_add(1)..)?),
                _ => (one(b'['), rest.get(1..)?),
            },
        },
        ([byte, after @ ..], _) => (one(*byte), after),
        ([], _) => return None,
    };
    Some(Member { bytes, low, after })
}

fn add(set: &mut Set, members: &[RangeInclusive<u8>]) {
    for byte in members.iter().flat_map(Clone::clone) {
        if let Some(slot) = set.get_mut(usize::from(byte)) {
            *slot = true;
        }
    }
}

/// The bytes of `[:name:]`; none has bytes beyond ASCII.
fn named(name: &[u8]) -> Option<Vec<RangeInclusive<u8>>> {
    Some(match name {
        b"alnum" => vec![b'0'..=b'9', b'A'..=b'Z', b'a'..=b'z'],
        b"alpha" => vec![b'A'..=b'Z', b'a'..=b'z'],
        b"blank" => vec![b' '..=b' ', b'\t'..=b'\t'],
        b"cntrl" => vec![0..=31, 127..=127],
        b"digit" => vec![b'0'..=b'9'],
        b"graph" => vec![b'!'..=b'~'],
        b"lower" => vec![b'a'..=b'z'],
        b"print" => vec![b' '..=b'~'],
        b"punct" => vec![b'!'..=b'/', b':'..=b'@', b'['..=b'`', b'{'..=b'~'],
        b"space" => vec![b' '..=b' ', b'\t'..=b'\n', b'\r'..=b'\r'],
        b"upper" => vec![b'A'..=b'Z'],
        b"xdigit" => vec![b'0'..=b'9', b'A'..=b'F', b'a'..=b'f'],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, path, yes) in [
            ("a*/b", "ax/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a/", true),
            ("**/a", "a", true),
            ("a/**/**/b", "a/b", true),
            ("a/**b", "a/x/b", false),
            ("*/a**", "x/ab/c", false),
            ("x/a**", "x/ab/c", true),
            ("a[!b]c", "a/c", false),
            ("a[]b]c", "a]c", true),
            ("a[]-b]c", "aac", true),
            ("[a\\-c]", "b", false),
            ("[a-\\c]", "b", true),
            ("[[:digit:]x]", "7", true),
            ("[[:x]", ":", true),
            ("[c-a]", "b", false),
            ("*", "a\nb", true),
        ] {
            let matches = |p: Pattern| p.matches(path.as_bytes(), &Effort::default()).unwrap();
            let matched = Pattern::new(pattern.as_bytes()).is_some_and(matches);
            assert_eq!(matched, yes, "{pattern} {path}");
        }
    }
}
