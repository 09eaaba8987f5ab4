//! Patterns for whole texts, as automata whose states are bits. A text takes time in proportion to its length times that
//! of the pattern, whatever both are. A regular expression instead has a cache of about 2 MiB, and where that is too
//! small, the same time with a larger factor.

use std::{iter, ops::RangeInclusive};

use super::Effort;
use crate::error::Result;

/// Symbols (bytes, or characters by their number) whose steps are in a table: all 64 of a word are looked up at once.
const TABLE: u32 = 256;

/// The symbol between components.
pub(super) const SLASH: u32 = 0x2f;

/// A step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// This symbol.
    Exactly(u32),
    /// One symbol, but no slash.
    Any,
    /// One symbol of a class.
    Class(Box<Class>),
    /// Any number of symbols but slashes.
    Star,
    /// Any number of symbols.
    Everything,
    /// Any number of components, each with the slash behind it.
    Components,
}

/// One symbol in these ranges, or with `negated` one in none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) ranges: Vec<RangeInclusive<u32>>,
    pub(crate) negated: bool,
}

impl Step {
    /// This character, where the symbols are characters.
    pub(crate) fn char(c: char) -> Self {
        Self::Exactly(u32::from(c))
    }

    /// One symbol in these ranges, or with `negated` one in none of them.
    pub(crate) fn class(ranges: Vec<RangeInclusive<u32>>, negated: bool) -> Self {
        Self::Class(Box::new(Class { ranges, negated }))
    }

    /// Whether the step is exactly one symbol.
    fn is_one(&self) -> bool {
        matches!(self, Self::Exactly(_) | Self::Any | Self::Class(_))
    }

    /// Whether this symbol leads from the step to the next.
    fn takes(&self, symbol: u32) -> bool {
        match self {
            Self::Exactly(own) => *own == symbol,
            Self::Any => symbol != SLASH,
            Self::Class(class) => class.ranges.iter().any(|range| range.contains(&symbol)) != class.negated,
            Self::Components => symbol == SLASH,
            Self::Star | Self::Everything => false,
        }
    }

    /// Whether a symbol that is not in the table leads from the step to the next.
    fn is_wide(&self) -> bool {
        match self {
            Self::Exactly(own) => *own >= TABLE,
            Self::Any => true,
            Self::Class(class) => class.negated || class.ranges.iter().any(|range| *range.end() >= TABLE),
            Self::Star | Self::Everything | Self::Components => false,
        }
    }
}

/// A compiled pattern: the last steps that are one symbol each, which are compared first, and those before them.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    head: Option<Head>,
    tail: Vec<Step>,
}

/// Steps of which the last can be any number of symbols. The states are one more than the steps; state n: the first n
/// steps have matched what was read.
#[derive(Debug, Clone)]
struct Head {
    /// For each word of states, which steps are of a kind.
    words: Vec<Word>,
    /// The class of each symbol in the table: those of a class lead from the same steps.
    classes: Box<[u8; TABLE as usize]>,
    /// By class, a word of steps for each word of states.
    takes: Vec<u64>,
    /// Steps that symbols beyond the table can lead from, by their places.
    wide: Vec<(usize, Step)>,
    /// The number of steps.
    len: usize,
}

/// Those of 64 steps that any number of symbols may be.
#[derive(Debug, Clone)]
struct Word {
    star: u64,
    everything: u64,
    components: u64,
}

impl Automaton {
    pub(crate) fn new(mut steps: Vec<Step>) -> Self {
        let ones = steps.iter().rev().take_while(|step| step.is_one()).count();
        let tail = steps.split_off(steps.len().saturating_sub(ones));
        Self { head: (!steps.is_empty()).then(|| Head::new(&steps)), tail }
    }

    /// What a symbol of a text costs at most, in steps of [`Effort`], if it is in the table.
    #[cfg(feature = "types")]
    pub(super) fn cost(&self) -> usize {
        1 + self.head.as_ref().map_or(0, |head| head.words.len())
    }

    /// Whether the pattern matches all of these symbols. Errors: the effort is exhausted.
    pub(crate) fn matches(&self, mut symbols: impl DoubleEndedIterator<Item = u32>, effort: &Effort) -> Result<bool> {
        effort.take(self.tail.len() / 8 + 1)?;
        for step in self.tail.iter().rev() {
            if !symbols.next_back().is_some_and(|symbol| step.takes(symbol)) {
                return Ok(false);
            }
        }
        match &self.head {
            Some(head) => head.matches(symbols, effort),
            None => Ok(symbols.next().is_none()),
        }
    }
}

impl Head {
    fn new(steps: &[Step]) -> Self {
        let bits = |is: &dyn Fn(&Step) -> bool| -> Vec<u64> {
            // The state behind the last step has a bit, too.
            let words = steps.chunks(64).chain(steps.len().is_multiple_of(64).then_some(&[][..]));
            words.map(|word| word.iter().rev().fold(0, |bits, step| bits << 1 | u64::from(is(step)))).collect()
        };
        let star = bits(&|step| *step == Step::Star);
        let everything = bits(&|step| *step == Step::Everything);
        let components = bits(&|step| *step == Step::Components);
        let kinds = iter::zip(iter::zip(star, everything), components);
        let words = kinds.map(|((star, everything), components)| Word { star, everything, components }).collect();
        let mut takes: Vec<Vec<u64>> = Vec::new();
        let mut classes = Box::new([0; TABLE as usize]);
        for (symbol, class) in (0..).zip(classes.iter_mut()) {
            let own = bits(&|step| step.takes(symbol));
            let place = takes.iter().position(|other| *other == own).unwrap_or(takes.len());
            if place == takes.len() {
                takes.push(own);
            }
            // There are no more classes than symbols in the table.
            *class = u8::try_from(place).unwrap_or_default();
        }
        let wide = steps.iter().cloned().enumerate().filter(|(_, step)| step.is_wide()).collect();
        Self { words, classes, takes: takes.concat(), wide, len: steps.len() }
    }

    fn matches(&self, symbols: impl Iterator<Item = u32>, effort: &Effort) -> Result<bool> {
        let mut states = vec![0_u64; self.words.len()];
        let mut entered = 1;
        for (state, word) in iter::zip(&mut states, &self.words) {
            (*state, entered) = word.enter(entered);
        }
        let mut beyond = vec![0; self.words.len()];
        for symbol in symbols {
            effort.take(self.words.len())?;
            let takes = match self.taken(symbol) {
                Some(takes) => takes,
                None => {
                    effort.take(self.wide.len())?;
                    self.taken_beyond(symbol, &mut beyond);
                    &beyond
                }
            };
            if !self.step(symbol == SLASH, takes, &mut states) {
                return Ok(false);
            }
        }
        Ok(states.get(self.len / 64).is_some_and(|state| state >> (self.len % 64) & 1 == 1))
    }

    /// Goes from these states to the next; whether there are any. `takes` are the steps that the symbol leads from.
    fn step(&self, slash: bool, takes: &[u64], states: &mut [u64]) -> bool {
        let (mut moved, mut entered, mut alive) = (0, 0, 0);
        for ((state, word), takes) in iter::zip(iter::zip(states, &self.words), takes) {
            let taken = *state & takes;
            let stays = *state & if slash { word.everything } else { word.star | word.everything };
            let inside = *state & word.components;
            (*state, entered) = word.enter(taken << 1 | moved | entered | stays);
            // Within a component, what follows it is not yet entered.
            *state |= inside;
            moved = taken >> 63;
            alive |= *state;
        }
        alive != 0
    }

    /// The steps that a symbol in the table leads from.
    fn taken(&self, symbol: u32) -> Option<&[u64]> {
        let class = self.classes.get(usize::try_from(symbol).ok()?)?;
        let start = usize::from(*class).checked_mul(self.words.len())?;
        self.takes.get(start..)?.get(..self.words.len())
    }

    /// Writes the steps that a symbol beyond the table leads from.
    fn taken_beyond(&self, symbol: u32, takes: &mut [u64]) {
        takes.fill(0);
        for (at, _) in self.wide.iter().filter(|(_, step)| step.takes(symbol)) {
            if let Some(word) = takes.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
    }
}

impl Word {
    /// The states that are reached from these without a symbol, and whether the first of the next word is.
    fn enter(&self, mut states: u64) -> (u64, u64) {
        let optional = self.star | self.everything | self.components;
        loop {
            let more = states | (states & optional) << 1;
            if more == states {
                return (states, (states & optional) >> 63);
            }
            states = more;
        }
    }
}

// The other reader is a dependency of this feature.
#[cfg(test)]
#[cfg(feature = "types")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same as a regular expression.
    fn regex(steps: &[Step]) -> regex::Regex {
        let text: String = steps
            .iter()
            .map(|step| match step {
                Step::Exactly(symbol) => format!("\\x{{{symbol:x}}}"),
                Step::Any => "[^/]".to_owned(),
                Step::Class(class) => {
                    let ranges = class.ranges.iter().map(|r| format!("\\x{{{:x}}}-\\x{{{:x}}}", r.start(), r.end()));
                    format!("[{}{}]", if class.negated { "^" } else { "" }, ranges.collect::<String>())
                }
                Step::Star => "[^/]*".to_owned(),
                Step::Everything => ".*".to_owned(),
                Step::Components => "(?:.*/)?".to_owned(),
            })
            .collect();
        regex::Regex::new(&format!("^(?s:{text})$")).unwrap()
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => prop_oneof![Just('a'), Just('b'), Just('/'), Just('猫')].prop_map(Step::char),
            1 => Just(Step::Any),
            1 => any::<bool>().prop_map(|negated| Step::class(vec![0x61..=0x62, 0x732b..=0x732b], negated)),
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
            let matched = Automaton::new(steps.clone()).matches(path.chars().map(u32::from), &Effort::default());
            prop_assert_eq!(matched.unwrap(), regex(&steps).is_match(&path));
        }
    }

    #[test]
    fn each_word_of_states_costs_a_step_for_each_symbol_and_an_end_that_differs_costs_one() {
        let long = Automaton::new([Step::Star].into_iter().chain(vec![Step::Any; 120]).chain([Step::Star]).collect());
        for (text, ending, steps) in
            [("a".repeat(100), &long, 201), ("b/c".into(), &Automaton::new(vec![Step::Star, Step::char('d')]), 1)]
        {
            let effort = Effort::new(1000);
            ending.matches(text.chars().map(u32::from), &effort).unwrap();
            assert_eq!(effort.left(), 1000 - steps, "{text}");
        }
    }
}
