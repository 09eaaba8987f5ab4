//! Markdown decks: front matter, slides and their files, by the conventions of `maaslalani/slides`, but aware of fenced
//! code.

mod fence;
mod links;
mod programs;
mod settings;

use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

use self::{fence::Fences, settings::Settings};
use super::{Document, Options, Source};
use crate::{
    document,
    error::{Context as _, Result},
};

/// Default size limit of a deck, in bytes.
pub const DECK_LIMIT: u64 = 8 << 20;

/// Keys that identify front matter without an opening `---`.
const KNOWN: [&str; 4] = ["theme", "author", "date", "paging"];

/// The line between two slides.
const SEPARATOR: &str = "---";

/// A Markdown deck.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deck {
    /// The map before the first slide; null if there is none.
    pub front_matter: Value,
    /// The title in the front matter, else the first heading.
    pub title: Option<String>,
    /// The authors in the front matter, of `author` and `authors`, each a text or a list of texts.
    pub authors: Vec<String>,
    /// The date in the front matter.
    pub date: Option<String>,
    /// The form of the page numbers in the front matter.
    pub paging: Option<String>,
    /// The theme in the front matter: a name, a file or an address.
    pub theme: Option<String>,
    /// What of the front matter is not used, with place and reason.
    pub unused: Vec<String>,
    /// The slides, in order.
    pub slides: Vec<Slide>,
    /// Local files linked in slides, or named in style, in order, without duplicates. Paths may be absolute or contain `..`.
    pub local_links: Vec<String>,
    /// Blocks that `slides` replaces by the output of a program if the deck is executable.
    pub preprocess: Vec<Preprocess>,
    /// Places that `slides` itself reads differently.
    pub differs: Vec<Difference>,
}

/// A slide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slide {
    /// Its Markdown.
    pub text: String,
    /// The text of its first heading.
    pub heading: Option<String>,
    /// Its first line, counted from 1.
    pub line: usize,
}

/// A `~~~command` block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preprocess {
    /// Its first line, counted from 1.
    pub line: usize,
    /// The command, which gets the block on standard input.
    pub command: String,
}

/// A place that `slides` reads differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The line.
    pub line: usize,
    /// The reading of `slides`.
    pub what: &'static str,
}

impl Deck {
    /// Parses a deck; `origin` is its name in errors. Errors: not UTF-8, more than `limit` bytes.
    pub fn parse(bytes: &[u8], origin: &str, limit: u64) -> Result<Self> {
        let text = document::decode(bytes, limit).context(|| super::escape(origin))?.replace('\r', "");
        let (opened, text) = text.strip_prefix("---\n").map_or((false, text.as_str()), |rest| (true, rest));
        let first = if opened { 2 } else { 1 };
        Ok(Reader { lines: text.split('\n').collect(), first, opened, origin }.deck(text))
    }

    /// Whether this looks like a deck, and not like any other Markdown with front matter: it has front matter, read or not,
    /// and a key in it that `slides` knows, or several slides.
    #[must_use]
    pub fn is_likely(&self) -> bool {
        let known =
            || self.front_matter.as_object().is_some_and(|map| map.keys().any(|key| KNOWN.contains(&key.as_str())));
        match self.front_matter {
            // What could not be read counts as a slide.
            Value::Null => !self.unused.is_empty() && (self.slides.len() > 2 || self.names_a_setting()),
            _ => self.slides.len() > 1 || known(),
        }
    }

    fn names_a_setting(&self) -> bool {
        let lines = || self.slides.first().into_iter().flat_map(|slide| slide.text.lines());
        lines().filter_map(|line| line.split_once(':')).any(|(key, _)| KNOWN.contains(&key))
    }
}

impl Source {
    /// Reads the deck at this relative path. Errors: those of [`Source::resolve`] and [`Deck::parse`].
    pub fn deck(&self, path: &str, limit: u64) -> Result<Deck> {
        Deck::parse(&self.read(path, limit)?, path, limit)
    }
}

/// The state of parsing.
struct Reader<'a> {
    lines: Vec<&'a str>,
    /// The number of the first of them.
    first: usize,
    /// Whether a `---` precedes them.
    opened: bool,
    /// The name of the deck.
    origin: &'a str,
}

impl Reader<'_> {
    fn deck(&self, text: &str) -> Deck {
        let fences = Fences::find(&self.lines);
        let (mut chunks, mut differs) = self.split(&fences);
        let (front_matter, settings) = self.front_matter(&mut chunks, &mut differs);
        let slides: Vec<Slide> = chunks.iter().map(|chunk| self.slide(chunk, &fences)).collect();
        let title = front_matter.get("title").and_then(Value::as_str).map(str::to_owned);
        let begin = chunks.first().map_or(0, |chunk| chunk.start);
        Deck {
            title: title.or_else(|| slides.iter().find_map(|slide| slide.heading.clone())),
            local_links: links::local(
                self.text_lines(begin..self.lines.len(), &fences),
                self.text_lines(0..self.lines.len(), &fences),
            ),
            preprocess: programs::find(text, self.first),
            authors: settings.authors,
            date: settings.date,
            paging: settings.paging,
            theme: settings.theme,
            unused: settings.unused,
            front_matter,
            slides,
            differs,
        }
    }

    /// The lines between separators. A separator is a line `---` between two lines, the first of them not a separator.
    fn split(&self, fences: &Fences) -> (Vec<Range<usize>>, Vec<Difference>) {
        let (mut chunks, mut differs) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (at, line) in self.lines.iter().enumerate() {
            if *line != SEPARATOR || at == start || at + 1 == self.lines.len() {
                continue;
            }
            if fences.cover(at) {
                differs.push(Difference { line: self.first + at, what: "it begins a slide within fenced code" });
                continue;
            }
            chunks.push(start..at);
            start = at + 1;
        }
        chunks.push(start..self.lines.len());
        (chunks, differs)
    }

    /// Removes and returns the front matter, if the first chunk is that. `slides` accepts any YAML, even a slide of
    /// only
    /// `# headings`, which are comments in YAML; here it must be a map, with an opening `---` or a well-known key.
    fn front_matter(&self, chunks: &mut Vec<Range<usize>>, differs: &mut Vec<Difference>) -> (Value, Settings) {
        let none = (Value::Null, Settings::default());
        let Some(chunk) = chunks.first().filter(|_| chunks.len() > 1).cloned() else {
            return none;
        };
        let text = self.lines.get(chunk.clone()).unwrap_or_default().join("\n");
        // Lines in front, so that places are those in the deck.
        let placed = format!("{}{text}", "\n".repeat(self.first + chunk.start - 1));
        let document = match Document::parse(placed.as_bytes(), self.origin, &Options::default()) {
            Ok(document) => document,
            Err(error) if self.opened && begins_a_map(&text) => {
                let unused = vec![format!("the front matter cannot be read, and counts as a slide: {error}")];
                return (Value::Null, Settings { unused, ..Settings::default() });
            }
            Err(_) => return none,
        };
        let value = document.value.clone();
        let known = |map: &serde_json::Map<String, Value>| map.keys().all(|key| KNOWN.contains(&key.as_str()));
        let ours = match &value {
            Value::Object(map) => self.opened || known(map),
            Value::Null => self.opened && text.trim().is_empty(),
            _ => return none,
        };
        if !ours {
            let what = "the first slide reads as front matter, and is not shown";
            differs.insert(0, Difference { line: self.first + chunk.start, what });
            return none;
        }
        if KNOWN.iter().any(|key| value.get(key).is_some_and(|value| value.is_array() || value.is_object())) {
            let what = "a setting that is no text makes the front matter a slide";
            differs.insert(0, Difference { line: self.first + chunk.start, what });
        }
        chunks.remove(0);
        (value, Settings::of(&document))
    }

    fn slide(&self, chunk: &Range<usize>, fences: &Fences) -> Slide {
        let lines = self.lines.get(chunk.clone()).unwrap_or_default();
        let heading = heading(self.text_lines(chunk.clone(), fences));
        Slide { text: lines.join("\n"), heading, line: self.first + chunk.start }
    }

    /// The lines outside of code.
    fn text_lines<'a>(&'a self, range: Range<usize>, fences: &'a Fences) -> impl Iterator<Item = &'a str> {
        let start = range.start;
        let lines = self.lines.get(range).unwrap_or_default();
        lines.iter().enumerate().filter(move |(at, _)| !fences.cover(start + at)).map(|(_, line)| *line)
    }
}

/// Whether the first line that has text is the key of a map.
fn begins_a_map(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let key = first.and_then(|line| line.split_once(':')).filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '));
    key.is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')))
}

/// The first heading among these lines: `# text`, or text over a line of `=`.
fn heading<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut before = "";
    for line in lines {
        // Further in, it is code.
        if line.starts_with("    ") || line.starts_with('\t') {
            before = "";
            continue;
        }
        let line = line.trim();
        let level = line.len() - line.trim_start_matches('#').len();
        let text = line.get(level..).unwrap_or_default();
        if (1..=6).contains(&level) && (text.is_empty() || text.starts_with([' ', '\t'])) {
            let closed = text.trim_end_matches('#');
            let text = if closed.ends_with([' ', '\t']) || closed.is_empty() { closed } else { text };
            return Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        if !before.is_empty() && !line.is_empty() && line.bytes().all(|b| b == b'=') {
            return Some(before.to_owned());
        }
        before = line;
    }
    None
}

#[cfg(test)]
mod tests;
