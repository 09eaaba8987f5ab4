//! All output: data to stdout, messages to stderr, with text from artifacts and registries escaped.

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use artifact::{
    Code, Error, Kind, Result,
    error::Context as _,
    oci::Descriptor,
    progress::{Observer, Progress},
    stores::registry::SentSecrets,
    types::Template,
};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    environment, hint, other_tools,
    progress::{self, Account, Mode, Shown},
    screen::{Screen, stderr},
    text::{escape, escape_but_white_space, without_controls},
};

/// Length limit of a printed error, in characters.
const MAX_ERROR: usize = 4000;

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Args {
    /// Format of stdout: text, or one JSON document [default: text]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) format: Option<Format>,
    /// Print the JSON document through this template: `{{ digest }}`; `artifact help json` lists the keys
    #[arg(long, global = true, value_name = "TEMPLATE")]
    template: Option<Template>,
    /// Print only the digest: no progress, no messages
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Show every blob transferred and every request served
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Colour the words `error`, `warning` and `hint`: on a terminal without NO_COLOR, always or never
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    fn is_on(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal && !environment::no_colors(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whether a command line that cannot be parsed asks for colours.
pub(crate) fn wants_colors(arguments: &[OsString], terminal: bool) -> bool {
    let values = arguments.iter().zip(arguments.iter().skip(1)).filter(|(option, _)| *option == "--color");
    let values = values.map(|(_, value)| value.to_string_lossy());
    let joined = arguments.iter().filter_map(|word| Some(word.to_str()?.strip_prefix("--color=")?.into()));
    let color = values.chain(joined).find_map(|value| Color::from_str(&value, true).ok());
    color.unwrap_or_default().is_on(terminal)
}

/// The words that lines of talk begin with, with their colours.
const WORDS: [(&str, &str); 3] = [("error:", "1;31"), ("warning:", "1;33"), ("hint:", "1;36")];

/// A line, its first word in its colour.
pub(crate) fn colored(line: &str) -> String {
    let found = WORDS.iter().find_map(|(word, color)| Some((word, color, line.strip_prefix(word)?)));
    found.map_or_else(|| line.to_owned(), |(word, color, rest)| format!("\u{1b}[{color}m{word}\u{1b}[0m{rest}"))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// The output of a command.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The command that writes, such as `types list`.
    command: Arc<str>,
    /// The command line, for advice.
    typed: Arc<[String]>,
    format: Format,
    template: Option<Template>,
    quiet: bool,
    verbose: bool,
    colors: bool,
    closed: Arc<AtomicBool>,
    judges: bool,
    screen: Arc<Screen>,
    display: Arc<progress::Display>,
    observer: Observer,
    /// What was sent to registries: no message repeats it.
    sent: SentSecrets,
}

impl Report {
    pub(crate) fn new(args: &Args, command: String, arguments: &[OsString]) -> Self {
        let typed = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let Args { quiet, verbose, color, .. } = *args;
        let (format, template) = (args.format.unwrap_or_default(), args.template.clone());
        let colors = color.is_on(io::stderr().is_terminal());
        let mode = match format {
            _ if quiet => Mode::Quiet,
            Format::Json => Mode::Json,
            Format::Text if io::stderr().is_terminal() && environment::can_draw() => Mode::Drawn,
            Format::Text => Mode::Lines,
        };
        let screen = Arc::new(Screen::default());
        let display = progress::Display::new(mode, verbose, Arc::clone(&screen));
        let observer = Observer::new(Arc::clone(&display) as Arc<dyn Progress>);
        let (closed, sent) = (Arc::default(), SentSecrets::default());
        Self {
            command: command.into(),
            typed,
            format,
            template,
            quiet,
            verbose,
            colors,
            closed,
            judges: false,
            screen,
            display,
            observer,
            sent,
        }
    }

    /// What is sent to registries from now on.
    pub(crate) fn sent(&self) -> SentSecrets {
        self.sent.clone()
    }

    /// The observer that receives progress events.
    pub(crate) fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Shows progress until the result is dropped or the work has ended.
    pub(crate) fn shows(&self) -> Shown {
        self.display.show()
    }

    /// Ends the progress display and returns the costs of the work.
    pub(crate) fn ended(&self) -> Account {
        self.display.end()
    }

    /// Prints a result: with `--template`, what it makes of the JSON document; with `--format json`, the document; with
    /// `--quiet`, the digest; else lines.
    pub(crate) fn result(&self, digest: Option<&dyn Display>, json: &impl Serialize, lines: &[String]) -> Result<()> {
        let document = || {
            let mut all = Map::from_iter([("command".to_owned(), Value::from(&*self.command))]);
            all.extend(object(json)?.into_iter().filter(|(key, _)| key != "command"));
            Ok::<_, Error>(all)
        };
        if let Some(template) = &self.template {
            let text = template.render(&document()?).context(|| "--template")?;
            return self.bytes(ended(escape_but_white_space(&text)).as_bytes());
        }
        match (self.format, digest) {
            (Format::Json, _) => self.document(&document()?),
            (Format::Text, Some(digest)) if self.quiet => self.line(digest),
            (Format::Text, _) => lines.iter().try_for_each(|line| self.line(line)),
        }
    }

    /// Prints a JSON document on stdout, regardless of `--format`.
    pub(crate) fn document(&self, json: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(json).map_err(|e| Error::invalid(e.to_string()))?;
        self.bytes(format!("{}\n", without_controls(&text)).as_bytes())
    }

    /// Errors: `--format text` and `--template`, of which one has to go.
    pub(crate) fn check(args: &Args) -> Result<()> {
        match (args.format, &args.template) {
            (Some(Format::Text), Some(_)) => {
                Err(Error::misuse("`--template` prints the JSON document, not `--format text`: give one of them"))
            }
            _ => Ok(()),
        }
    }

    /// Errors: `--format json` or `--template`, for output without a JSON form.
    pub(crate) fn lines_only(&self, what: &str) -> Result<()> {
        match self.format {
            Format::Json => Err(Error::misuse(format!("{what} does not support `--format json`"))),
            Format::Text => self.no_template(what),
        }
    }

    /// Errors: `--template`, for output that is no document of this program.
    pub(crate) fn no_template(&self, what: &str) -> Result<()> {
        match self.template {
            Some(_) => Err(Error::misuse(format!("{what} does not support `--template`"))),
            None => Ok(()),
        }
    }

    /// Prints a line on stdout; the caller escapes external text.
    pub(crate) fn line(&self, line: impl Display) -> Result<()> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes bytes to stdout. A closed pipe (`artifact cat … | head`) ends the command silently.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        };
        self.screen.above(write).map_err(|e| {
            if e.kind() == io::ErrorKind::BrokenPipe {
                self.closed.store(true, Ordering::Relaxed);
            }
            Error::from(e).context("cannot write to stdout")
        })
    }

    /// Whether the command ended because the reader has closed stdout, and that is no failure.
    pub(crate) fn may_end_early(&self) -> bool {
        self.closed.load(Ordering::Relaxed) && !self.judges
    }

    /// The output of a command whose exit code is a judgement: it succeeds only if it came to its end.
    pub(crate) fn of_judgement(self) -> Self {
        Self { judges: true, ..self }
    }

    /// Prints a message on stderr, unless `--quiet`.
    pub(crate) fn say(&self, line: impl Display) {
        if !self.quiet {
            self.talk("note", &line);
        }
    }

    /// Prints a message on stderr with `--verbose` only.
    pub(crate) fn detail(&self, line: impl Display) {
        if self.verbose {
            self.talk("note", &line);
        }
    }

    /// Prints a warning on stderr, even with `--quiet`.
    pub(crate) fn warn(&self, line: impl Display) {
        match self.format {
            Format::Json => self.talk("warning", &line),
            Format::Text => self.talk("warning", &format_args!("warning: {line}")),
        }
    }

    /// Prints the failure and its cause, the context, and a hint.
    pub(crate) fn error(&self, error: &Error) {
        if self.format == Format::Json {
            return self.object(&json!({ "event": "error", "command": &*self.command, "error": self.failure(error) }));
        }
        let hint = self.hint(error);
        let (places, reason): (Vec<_>, _) = (error.contexts().collect(), error.reason());
        // A single context is part of the sentence; several have a line each.
        match places.as_slice() {
            [] => self.talk("error", &format_args!("error: {}", shortened(&reason))),
            [only] => self.talk("error", &format_args!("error: {}", shortened(&format!("{only}: {reason}")))),
            [outer @ .., inner] => {
                self.talk("error", &format_args!("error: {}", shortened(&format!("{inner}: {reason}"))));
                for place in outer.iter().rev() {
                    self.talk("error", &format_args!("  in: {}", shortened(place)));
                }
            }
        }
        if let Some(hint) = hint {
            self.talk("error", &format_args!("hint: {hint}"));
        }
    }

    /// What to do about a failure: for a command line of another tool, the line to use.
    fn hint(&self, error: &Error) -> Option<String> {
        let over_http = error.code() == Some(Code::PlainHttpAnswered);
        let typed = over_http || matches!(error.kind(), Kind::Misuse | Kind::NotFound | Kind::Invalid);
        let line = typed.then(|| other_tools::advice(&self.typed, over_http)).flatten();
        line.map(|line| format!("`{line}`")).or_else(|| hint::for_error(error))
    }

    fn failure(&self, error: &Error) -> Value {
        let mut json = failure(error);
        if let (Some(json), Some(hint)) = (json.as_object_mut(), self.hint(error)) {
            json.insert("hint".to_owned(), hint.into());
        }
        json
    }

    /// True with `--format json`: stdout holds a document, stderr objects.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes an escaped line of the log to stderr.
    pub(crate) fn log(&self, line: &str) {
        self.screen.above(|| stderr(&format!("{line}\n")));
    }

    /// Whether every blob and every request gets a line.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Prints a line, escaped here and nowhere else, or, with `--format json`, an object.
    fn talk(&self, event: &str, line: &dyn Display) {
        match self.format {
            Format::Json => self.object(&json!({ "event": event, "message": line.to_string() })),
            Format::Text => {
                let line = self.sent.without(&line.to_string());
                let line = escape(&line);
                let line = if self.colors { colored(&line) } else { line };
                self.screen.above(|| stderr(&format!("{line}\n")));
            }
        }
    }

    fn object(&self, json: &Value) {
        let json = self.without_secrets(json);
        self.screen.above(|| stderr(&format!("{}\n", without_controls(&json.to_string()))));
    }

    /// The value with secrets in its texts replaced.
    fn without_secrets(&self, json: &Value) -> Value {
        match json {
            Value::String(text) => self.sent.without(text).into(),
            Value::Array(items) => items.iter().map(|item| self.without_secrets(item)).collect(),
            Value::Object(object) => {
                object.iter().map(|(key, value)| (key.clone(), self.without_secrets(value))).collect()
            }
            other => other.clone(),
        }
    }
}

/// The text with a line break at its end, unless it has one.
fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// An error as JSON.
pub(crate) fn failure(error: &Error) -> Value {
    let (code, facts, message) = (error.code(), error.facts(), shortened(&error.to_string()));
    json!({ "code": code, "message": message, "facts": facts, "hint": hint::for_error(error) })
}

/// Cuts an error to a readable length: text from an artifact can be as long as a manifest.
fn shortened(message: &str) -> String {
    let (shown, more) = message.char_indices().nth(MAX_ERROR).map_or((message, ""), |(at, _)| message.split_at(at));
    match more.chars().count() {
        0 => shown.to_owned(),
        more => format!("{shown}… ({more} more characters)"),
    }
}

/// The facts about an artifact that are in every document about one.
pub(crate) fn about(place: &impl Display, desc: &Descriptor) -> Result<Map<String, Value>> {
    let mut json = Map::from_iter([("reference".to_owned(), Value::from(format!("{place}@{}", desc.digest)))]);
    json.extend(object(&desc.bare())?);
    Ok(json)
}

/// Converts a value to a JSON object, for more keys.
pub(crate) fn object(value: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        other => Err(Error::new(Kind::Internal, format!("expected a JSON object, got {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_word_of_a_line_has_a_colour() {
        assert_eq!(colored("error: no hint: x"), "\u{1b}[1;31merror:\u{1b}[0m no hint: x");
        assert_eq!(colored("an error: x"), "an error: x");
    }

    #[test]
    fn an_error_without_end_is_shown_as_far_as_somebody_reads() {
        assert_eq!(shortened(&"é".repeat(MAX_ERROR)), "é".repeat(MAX_ERROR));
        assert_eq!(shortened(&"é".repeat(MAX_ERROR + 7)), "é".repeat(MAX_ERROR) + "… (7 more characters)");
    }
}
