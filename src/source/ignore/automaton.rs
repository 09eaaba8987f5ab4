//! Patterns for whole paths, as automata whose states are bits. A path takes time in proportion to its length times that
//! of the pattern, whatever both are, and the pattern takes 2 KiB of memory for 64 steps. A regular expression instead
//! has a cache of about 2 MiB for each pattern.

use std::ops::RangeInclusive;

/// Symbols (bytes, or characters by their number) whose steps are in a table: all 64 of a word are looked up at once.
const TABLE: u32 = 256;

const SLASH: u32 = 0x2f;

/// A step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// One symbol in these ranges, or with `negated` one in none of them.
    One { ranges: Vec<RangeInclusive<u32>>, negated: bool },
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
        Self::One { ranges: vec![symbol..=symbol], negated: false }
    }

    /// One symbol, but no slash.
    pub(super) fn any() -> Self {
        Self::One { ranges: vec![SLASH..=SLASH], negated: true }
    }

    /// Whether this symbol leads from the step to the next.
    fn takes(&self, symbol: u32) -> bool {
        match self {
            Self::One { ranges, negated } => ranges.iter().any(|range| range.contains(&symbol)) != *negated,
            Self::Components => symbol == SLASH,
            Self::Star | Self::Everything => false,
        }
    }
}

/// A compiled pattern. Its states are one more than its steps; state n: the first n steps have matched what was read.
#[derive(Debug)]
pub(super) struct Automaton {
    steps: Vec<Step>,
    /// For each word of states, which steps are of a kind.
    words: Vec<Word>,
}

/// The steps of 64 states.
#[derive(Debug)]
struct Word {
    /// By symbol, the steps that it leads from.
    takes: Vec<u64>,
    /// Steps that may be nothing.
    optional: u64,
    /// Steps of each kind that any number of symbols may be.
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
            Word {
                takes: (0..TABLE).map(|symbol| bits(of, &|step| step.takes(symbol))).collect(),
                optional: star | everything | components,
                star,
                everything,
                components,
            }
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

    /// The steps of a word that this symbol leads from.
    fn takes(&self, at: usize, word: &Word, symbol: u32) -> u64 {
        usize::try_from(symbol).ok().and_then(|symbol| word.takes.get(symbol)).copied().unwrap_or_else(|| {
            let of = self.steps.iter().skip(at * 64).take(64);
            (0_u32..).zip(of).fold(0, |bits, (bit, step)| bits | u64::from(step.takes(symbol)) << bit)
        })
    }
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
                Step::One { ranges, negated } => {
                    let ranges = ranges.iter().map(|r| format!("\\x{{{:x}}}-\\x{{{:x}}}", r.start(), r.end()));
                    format!("[{}{}]", if *negated { "^" } else { "" }, ranges.collect::<String>())
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
            1 => any::<bool>().prop_map(|negated| Step::One { ranges: vec![0x61..=0x62, 0x732b..=0x732b], negated }),
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
