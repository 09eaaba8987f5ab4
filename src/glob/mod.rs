//! Globs: `*` and `?` match within a component of a path, `**` across components, `{a,b}` and `[a-z]` select.
//!
//! Whoever writes the globs and the names, matching ends: [`Effort`] counts it.

pub(crate) mod automaton;
mod braces;
mod syntax;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::{automaton::Automaton, syntax::Slash};
use crate::{
    error::{Error, Result},
    fs::escape,
};

/// Limits that keep compiled globs small: bytes of a glob, globs of a list, alternatives of all its globs.
pub(crate) const MAX_GLOB: usize = 1024;
const MAX_GLOBS: usize = 10_000;
const MAX_ALTERNATIVES: usize = 20_000;

/// What may still be spent on matching, in steps: 64 states of one pattern and one symbol of a text. Those of the default
/// are less than a second.
#[derive(Debug)]
pub(crate) struct Effort(AtomicU64);

impl Default for Effort {
    fn default() -> Self {
        Self::new(1 << 28)
    }
}

impl Effort {
    pub(crate) const fn new(steps: u64) -> Self {
        Self(AtomicU64::new(steps))
    }

    /// Errors (kind `Limit`): there is less left.
    pub(crate) fn take(&self, steps: usize) -> Result<()> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        match self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(steps)) {
            Ok(_) => Ok(()),
            Err(_) => {
                Err(Error::limit("patterns and names take too long to compare; fewer wildcards in a pattern help"))
            }
        }
    }

    #[cfg(all(test, feature = "types"))]
    pub(crate) fn left(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A compiled list of globs.
#[derive(Debug, Clone)]
pub(crate) struct Globs(Vec<Glob>);

/// A glob, by its alternatives.
#[derive(Debug, Clone)]
struct Glob(Vec<Automaton>);

impl Globs {
    /// Compiles globs for paths. Errors: kind `Invalid` for a malformed one, kind `Limit` for too many.
    pub(crate) fn new<'a>(globs: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        Self::compiled(globs, Slash::Separates)
    }

    /// Compiles a glob for text in which a slash is nothing special. Errors: as for paths.
    pub(crate) fn for_text(glob: &str) -> Result<Self> {
        Self::compiled([glob], Slash::IsOrdinary)
    }

    fn compiled<'a>(globs: impl IntoIterator<Item = &'a str>, slash: Slash) -> Result<Self> {
        let mut compiled = Vec::new();
        let mut left = MAX_ALTERNATIVES;
        for glob in globs {
            if compiled.len() == MAX_GLOBS {
                return Err(Error::limit(format!("the list has more than {MAX_GLOBS} globs")));
            }
            let glob = Glob::new(glob, slash, left)?;
            left = left.saturating_sub(glob.0.len());
            compiled.push(glob);
        }
        Ok(Self(compiled))
    }

    /// What a character of a text costs at most, in steps of [`Effort`].
    #[cfg(feature = "types")]
    pub(crate) fn cost(&self) -> usize {
        self.0.iter().flat_map(|glob| &glob.0).map(Automaton::cost).sum()
    }

    /// Whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a glob matches this text. Errors: the effort is exhausted.
    pub(crate) fn matches(&self, text: &str, effort: &Effort) -> Result<bool> {
        Ok(self.first(text, effort)?.is_some())
    }

    /// The place in the list of the first glob that matches this text. Errors: the effort is exhausted.
    pub(crate) fn first(&self, text: &str, effort: &Effort) -> Result<Option<usize>> {
        for (place, glob) in self.0.iter().enumerate() {
            if glob.matches(text, effort)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Adds the places in the list of the globs that match this text; whether there are any. Errors: the effort is
    /// exhausted.
    #[cfg(feature = "types")]
    pub(crate) fn note(
        &self,
        text: &str,
        places: &mut std::collections::BTreeSet<usize>,
        effort: &Effort,
    ) -> Result<bool> {
        let mut found = false;
        for (place, glob) in self.0.iter().enumerate() {
            if glob.matches(text, effort)? {
                places.insert(place);
                found = true;
            }
        }
        Ok(found)
    }
}

impl Glob {
    fn new(glob: &str, slash: Slash, most: usize) -> Result<Self> {
        if glob.is_empty() || glob.len() > MAX_GLOB {
            return Err(Error::invalid(format!("a glob has 1 to {MAX_GLOB} bytes: `{}`", escape(glob))));
        }
        let Some(alternatives) = braces::expanded(glob, most).map_err(|why| malformed(glob, why))? else {
            return Err(Error::limit(format!("the globs have more than {MAX_ALTERNATIVES} alternatives in braces")));
        };
        let compiled =
            |plain: &String| syntax::steps(plain, slash).map(Automaton::new).map_err(|why| malformed(glob, why));
        alternatives.iter().map(compiled).collect::<Result<_>>().map(Self)
    }

    fn matches(&self, text: &str, effort: &Effort) -> Result<bool> {
        for alternative in &self.0 {
            if alternative.matches(text.chars().map(u32::from), effort)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn malformed(glob: &str, why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("the glob `{}` {why}", escape(glob)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Kind;

    fn globs(list: &[&str]) -> Result<Globs> {
        Globs::new(list.iter().copied())
    }

    fn matches(glob: &str, path: &str) -> bool {
        globs(&[glob]).unwrap().matches(path, &Effort::default()).unwrap()
    }

    #[test]
    fn a_star_stays_within_a_component_and_two_do_not() {
        for (glob, path, yes) in [
            ("*.png", "a.png", true),
            ("*.png", "d/a.png", false),
            ("**/*.png", "a.png", true),
            ("**/*.png", "d/e/a.png", true),
            ("d/**", "d/e/f", true),
            ("d/**", "d", false),
            ("d/**/e", "d/e", true),
            ("d/**/e", "d/x/y/e", true),
            ("d/**/e", "dxe", false),
            ("**", "any/thing", true),
            ("a**b", "axb", true),
            ("a**b", "a/b", false),
            ("[a-c].md", "d.md", false),
            ("[!a].md", "b.md", true),
            ("[!a]", "/", false),
            ("[+-9]", "/", false),
            ("[+-9]", "5", true),
            ("?.md", "é.md", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(matches(glob, path), yes, "{glob} {path}");
        }
    }

    #[test]
    fn braces_hold_alternatives_and_one_may_be_empty() {
        for (glob, path, yes) in [
            ("{a,b}.md", "b.md", true),
            ("{a,b}.md", "c.md", false),
            ("{a,b{c,d}}/*", "bd/x", true),
            ("{**/x,y}", "d/x", true),
            ("{**,y}/x", "d/e/x", true),
            ("{a,*}*", "d/e", false),
            ("a{,.txt}", "a", true),
            ("a{,.txt}", "a.txt", true),
            ("[{,}]", ",", true),
            ("\\{a,b\\}", "{a,b}", true),
            ("a,b", "a,b", true),
            ("{a}", "a", true),
        ] {
            assert_eq!(matches(glob, path), yes, "{glob} {path}");
        }
    }

    #[test]
    fn in_text_a_slash_is_nothing_special() {
        for (glob, text, yes) in
            [("https://*", "https://a/b/c", true), ("a?b", "a/b", true), ("a**b", "a/x/b", true), ("a*", "b", false)]
        {
            assert_eq!(Globs::for_text(glob).unwrap().matches(text, &Effort::default()).unwrap(), yes, "{glob} {text}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused_with_the_reason() {
        for (glob, why) in [
            ("", "1 to 1024"),
            ("[", "no end"),
            ("[]", "no end"),
            ("[b-a]", "`b-a`"),
            ("{a", "no end"),
            ("a}", "no beginning"),
            ("a\\", "backslash"),
            ("a\0", "NUL"),
            (&"*".repeat(2000), "1 to 1024"),
        ] {
            let error = globs(&[glob]).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{glob}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn alternatives_are_counted_over_a_whole_list() {
        let many = "{a,b}".repeat(14);
        assert!(globs(&[&many]).is_ok());
        assert_eq!(globs(&[&many, &many]).unwrap_err().kind(), Kind::Limit);
        assert_eq!(globs(&[&"{a,b}".repeat(200)]).unwrap_err().kind(), Kind::Limit);
        assert_eq!(globs(&vec!["a"; MAX_GLOBS + 1]).unwrap_err().kind(), Kind::Limit);
    }

    #[test]
    fn globs_that_are_in_many_states_at_a_time_end_with_their_effort() {
        let glob = format!("*a{}c*", "?".repeat(120));
        let list = globs(&vec![glob.as_str(); 200]).unwrap();
        let (name, effort) = ("a".repeat(240), Effort::new(1 << 20));
        let error = (0..1000).find_map(|_| list.matches(&name, &effort).err());
        assert_eq!(error.unwrap().kind(), Kind::Limit);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn globs_of_ascii_match_what_those_of_globset_match(
            glob in r"([ab*?/,]|\*\*/|/\*\*|\[!?[ab-]\]|\{[ab*]\}|\{[ab/]{1,2},[ab*]\}|\\[*?]){1,7}",
            path in "[ab/,*]{0,8}",
            slash: bool,
        ) {
            // To globset, a slash is in a negated class, and `**` beside a brace is no component.
            let differs = slash && glob.contains("[!") || glob.contains("**{") || glob.contains("}**");
            if differs {
                return Ok(());
            }
            let theirs = globset::GlobBuilder::new(&glob).literal_separator(slash).backslash_escape(true).build();
            let ours = if slash { globs(&[&glob]) } else { Globs::for_text(&glob) };
            prop_assert_eq!(theirs.is_ok(), ours.is_ok(), "{}", glob);
            if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
                let ours = ours.matches(&path, &Effort::default()).unwrap();
                prop_assert_eq!(theirs.compile_matcher().is_match(&path), ours, "{} {}", glob, path);
            }
        }
    }
}
