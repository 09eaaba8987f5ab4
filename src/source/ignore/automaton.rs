//! Patterns for whole paths, as automata whose states are bits: whatever the pattern, a path takes a time in proportion
//! to its length times that of the pattern, of which one operation does 64, and memory is in proportion to the pattern.

use std::ops::RangeInclusive;

/// Symbols (bytes, or characters by their number) whose steps are in a table.
const TABLE: usize = 256;

const SLASH: u32 = 0x2f;

/// A step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// One symbol in these ranges, or with `turned` one in none of them.
    One { ranges: Vec<RangeInclusive<u32>>, turned: bool },
    /// Any number of symbols but slashes.
    Star,
    /// Any number of symbols.
    Everything,
    /// Any number of components, each with the slash behind it.
    Components,
}

impl Step {
    /// Exactly this symbol.
    pub(super) fn exactly(symbol: u32) -> Self {
        Self::One { ranges: vec![symbol..=symbol], turned: false }
    }

    /// One symbol, but no slash.
    pub(super) fn any() -> Self {
        Self::One { ranges: vec![SLASH..=SLASH], turned: true }
    }

    /// Whether the step may end with this symbol, as one that must have one.
    fn takes(&self, symbol: u32) -> bool {
        match self {
            Self::One { ranges, turned } => ranges.iter().any(|range| range.contains(&symbol)) != *turned,
            Self::Components => symbol == SLASH,
            Self::Star | Self::Everything => false,
        }
    }
}

/// A pattern, for whose states a path needs a bit each. Bit n: the first n steps have matched what was read.
#[derive(Debug)]
pub(super) struct Automaton {
    steps: Vec<Step>,
    /// For each word of states, which steps are of a kind.
    words: Vec<Word>,
}

/// The steps of 64 states.
#[derive(Debug)]
struct Word {
    /// By symbol, the steps that it ends.
    takes: Vec<u64>,
    /// Steps that may be nothing.
    optional: u64,
    /// Steps that go on with any symbol but a slash, with any, and with any but only end with a slash.
    star: u64,
    everything: u64,
    components: u64,
}

impl Automaton {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let bits = |steps: &[Step], is: &dyn Fn(&Step) -> bool| {
            steps.iter().rev().fold(0_u64, |bits, step| bits << 1 | u64::from(is(step)))
        };
        // The state behind the last step has a bit, too.
        let count = steps.len() / 64 + 1;
        let words = (0..count).map(|at| {
            let of = steps.get(at * 64..).unwrap_or_default();
            let of = of.get(..64).unwrap_or(of);
            let star = bits(of, &|step| *step == Step::Star);
            let everything = bits(of, &|step| *step == Step::Everything);
            let components = bits(of, &|step| *step == Step::Components);
            Word { takes: takes(of), optional: star | everything | components, star, everything, components }
        });
        Self { words: words.collect(), steps }
    }

    /// Whether the pattern matches all of these symbols.
    pub(super) fn matches(&self, symbols: impl IntoIterator<Item = u32>) -> bool {
        let mut states = vec![0_u64; self.words.len()];
        let mut entered = 1;
        for (state, word) in states.iter_mut().zip(&self.words) {
            (*state, entered) = word.enter(entered);
        }
        for symbol in symbols {
            let (mut moved, mut entered, mut alive) = (0, 0, 0);
            for ((at, state), word) in (0_usize..).zip(&mut states).zip(&self.words) {
                let takes = *state & self.takes(at, word, symbol);
                let stays = *state & if symbol == SLASH { word.everything } else { word.star | word.everything };
                let inside = *state & word.components;
                (*state, entered) = word.enter(takes << 1 | moved | entered | stays);
                // Within a component, what follows it is not yet entered.
                *state |= inside;
                moved = takes >> 63;
                alive |= *state;
            }
            if alive == 0 {
                return false;
            }
        }
        let end = self.steps.len();
        states.get(end / 64).is_some_and(|state| state >> (end % 64) & 1 == 1)
    }

    /// Which steps of a word end with this symbol.
    fn takes(&self, at: usize, word: &Word, symbol: u32) -> u64 {
        usize::try_from(symbol).ok().and_then(|symbol| word.takes.get(symbol)).copied().unwrap_or_else(|| {
            let of = self.steps.iter().skip(at * 64).take(64);
            (0_u32..).zip(of).fold(0, |bits, (bit, step)| bits | u64::from(step.takes(symbol)) << bit)
        })
    }
}

/// By symbol, which of up to 64 steps it ends.
fn takes(steps: &[Step]) -> Vec<u64> {
    let mut table = vec![0; TABLE];
    for (bit, step) in steps.iter().enumerate() {
        let bit = 1 << bit;
        let (ranges, turned) = match step {
            Step::One { ranges, turned } => (&ranges[..], *turned),
            Step::Components => (&[SLASH..=SLASH][..], false),
            Step::Star | Step::Everything => continue,
        };
        if turned {
            table.iter_mut().for_each(|steps| *steps |= bit);
        }
        for range in ranges {
            let last = usize::try_from(*range.end()).unwrap_or(TABLE).min(TABLE - 1);
            let first = usize::try_from(*range.start()).unwrap_or(TABLE);
            for steps in table.get_mut(first..=last).unwrap_or_default() {
                *steps = if turned { *steps & !bit } else { *steps | bit };
            }
        }
    }
    table
}

impl Word {
    /// The states that are reached from these without a symbol, and whether the first of the next word is.
    fn enter(&self, mut states: u64) -> (u64, u64) {
        loop {
            let more = states | (states & self.optional) << 1;
            if more == states {
                return (states, (states & self.optional) >> 63);
            }
            states = more;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same as a regular expression.
    fn regex(steps: &[Step]) -> regex::Regex {
        let text: String = steps
            .iter()
            .map(|step| match step {
                Step::One { ranges, turned } => {
                    let ranges = ranges.iter().map(|r| format!("\\x{{{:x}}}-\\x{{{:x}}}", r.start(), r.end()));
                    format!("[{}{}]", if *turned { "^" } else { "" }, ranges.collect::<String>())
                }
                Step::Star => "[^/]*".to_owned(),
                Step::Everything => ".*".to_owned(),
                Step::Components => "(?:.*/)?".to_owned(),
            })
            .collect();
        regex::Regex::new(&format!("^(?s:{text})$")).unwrap()
    }

    fn step() -> impl Strategy<Value = Step> {
        let one = |c: char| Step::exactly(u32::from(c));
        prop_oneof![
            6 => prop_oneof![Just('a'), Just('b'), Just('/'), Just('猫')].prop_map(one),
            1 => Just(Step::any()),
            1 => any::<bool>().prop_map(|turned| Step::One { ranges: vec![0x61..=0x62, 0x732b..=0x732b], turned }),
            1 => Just(Step::Star),
            1 => Just(Step::Everything),
            1 => Just(Step::Components),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn an_automaton_matches_what_its_regular_expression_matches(
            steps in prop::collection::vec(step(), 0..8),
            repeated in prop_oneof![Just(1_usize), Just(20)],
            path in "[ab/猫]{0,12}",
        ) {
            let steps = vec![steps; repeated].concat();
            let path = path.repeat(repeated);
            let matched = Automaton::new(steps.clone()).matches(path.chars().map(u32::from));
            prop_assert_eq!(matched, regex(&steps).is_match(&path));
        }
    }
}
