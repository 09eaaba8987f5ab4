//! All output: data to stdout, talk to stderr, and nothing that an artifact or a registry supplied unescaped.

use std::{
    borrow::Cow,
    ffi::OsString,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use artifact::{
    Error, Kind, Result,
    oci::without_userinfo,
    progress::{Observer, Progress},
};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::text::{escape, harmful, without_controls};
use super::{
    environment, hint,
    progress::{self, Account, Mode, Screen, Shown, stderr},
};

/// Longest error that is shown, in characters.
const MAX_ERROR: usize = 4000;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Args {
    /// What stdout holds: lines for people, or one JSON document
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Print the digest only: no progress, no talk
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: every blob that moves, every request that is served
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// The one way out.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    format: Format,
    quiet: bool,
    verbose: bool,
    closed: Arc<AtomicBool>,
    screen: Arc<Screen>,
    display: Arc<progress::Display>,
    observer: Observer,
}

impl Report {
    pub(crate) fn new(args: &Args) -> Self {
        let Args { format, quiet, verbose } = *args;
        let mode = match format {
            _ if quiet => Mode::Quiet,
            Format::Json => Mode::Json,
            Format::Text if io::stderr().is_terminal() && environment::can_draw() => Mode::Drawn,
            Format::Text => Mode::Lines,
        };
        let screen = Arc::new(Screen::default());
        let display = progress::Display::new(mode, verbose, Arc::clone(&screen));
        let observer = Observer::new(Arc::clone(&display) as Arc<dyn Progress>);
        Self { format, quiet, verbose, closed: Arc::default(), screen, display, observer }
    }

    /// The one who is told what happens.
    pub(crate) fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Shows what happens, until this is dropped or the work has ended.
    pub(crate) fn shows(&self) -> Shown {
        self.display.show()
    }

    /// Shows no more of the work, which is over; what it took.
    pub(crate) fn ended(&self) -> Account {
        self.display.end()
    }

    /// A result: a JSON document with `--format json`, its digest with `--quiet`, else its lines.
    pub(crate) fn result(&self, digest: Option<&dyn Display>, json: &impl Serialize, lines: &[String]) -> Result<()> {
        match (self.format, digest) {
            (Format::Json, _) => self.document(json),
            (Format::Text, Some(digest)) if self.quiet => self.line(digest),
            (Format::Text, _) => lines.iter().try_for_each(|line| self.line(line)),
        }
    }

    /// A JSON document on stdout, whatever the format.
    pub(crate) fn document(&self, json: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(json).map_err(|e| Error::invalid(e.to_string()))?;
        self.bytes(format!("{}\n", without_controls(&text)).as_bytes())
    }

    /// An error with `--format json`, for output that no document can hold.
    pub(crate) fn lines_only(&self, what: &str) -> Result<()> {
        match self.format {
            Format::Json => Err(Error::misuse(format!("{what} has no JSON form; leave `--format json` away"))),
            Format::Text => Ok(()),
        }
    }

    /// A line on stdout; the caller has escaped what came from elsewhere.
    pub(crate) fn line(&self, line: impl Display) -> Result<()> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Bytes on stdout. A reader that has gone away (`artifact cat … | head`) ends the command without a word.
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

    /// Whether the reader of stdout has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Talk on stderr, unless `--quiet`.
    pub(crate) fn say(&self, line: impl Display) {
        if !self.quiet {
            self.talk("note", &line);
        }
    }

    /// Talk on stderr with `--verbose` only.
    pub(crate) fn detail(&self, line: impl Display) {
        if self.verbose {
            self.talk("note", &line);
        }
    }

    /// Something that the user should know, on stderr, even with `--quiet`.
    pub(crate) fn warn(&self, line: impl Display) {
        match self.format {
            Format::Json => self.talk("warning", &line),
            Format::Text => self.talk("warning", &format_args!("warning: {line}")),
        }
    }

    /// What failed and why, then what was being done, then how to fix it.
    pub(crate) fn error(&self, error: &Error) {
        let hint = hint::for_error(error);
        if self.format == Format::Json {
            let message = shortened(&error.to_string());
            let (code, facts) = (error.code(), error.facts());
            return self
                .object(&json!({ "event": "error", "code": code, "message": message, "facts": facts, "hint": hint }));
        }
        let (places, reason): (Vec<_>, _) = (error.contexts().collect(), error.reason());
        // A short context is a part of the sentence; where there are several, each has a line.
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

    /// Whether every blob and every request is worth a line.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A line, escaped here and nowhere else, or with `--format json` an object of this event.
    fn talk(&self, event: &str, line: &dyn Display) {
        match self.format {
            Format::Json => self.object(&json!({ "event": event, "message": line.to_string() })),
            Format::Text => self.screen.above(|| stderr(&format!("{}\n", escape(&line.to_string())))),
        }
    }

    fn object(&self, json: &Value) {
        self.screen.above(|| stderr(&format!("{}\n", without_controls(&json.to_string()))));
    }
}

/// What is wrong with the command line, or the help that it asks for. A password that somebody put in front of a host is
/// not repeated, and what talks to terminals in an argument is shown as escapes.
pub(crate) fn misuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let colors = if error.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = error.render();
    let given = || arguments.iter().map(|argument| argument.to_string_lossy());
    let mut text = match given().any(|argument| argument.contains(harmful)) {
        false if colors => text.ansi().to_string(),
        false => text.to_string(),
        true => harmless(text.to_string(), given()),
    };
    for given in given() {
        let local = given.starts_with("oci:") || given.starts_with("oci-archive:") || given.starts_with(['.', '/']);
        if !local && given.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
            text = text.replace(given.as_ref(), &without_userinfo(&given));
        }
    }
    let own = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    if let Some(hint) = own.and_then(hint::for_error) {
        text.push_str(&format!("\nhint: {hint}\n"));
    }
    let _ = match error.use_stderr() {
        true => io::stderr().lock().write_all(text.as_bytes()),
        false => io::stdout().lock().write_all(text.as_bytes()),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// A text of several lines that repeats these arguments, or the values in them.
fn harmless<'a>(mut text: String, arguments: impl Iterator<Item = Cow<'a, str>>) -> String {
    for argument in arguments.filter(|argument| argument.contains(harmful)) {
        let value = argument.split_once('=').map_or(&*argument, |(_, value)| value);
        text = text.replace(&*argument, &escape(&argument)).replace(value, &escape(value));
    }
    let lines: Vec<String> = text.split('\n').map(escape).collect();
    lines.join("\n")
}

/// An error as far as somebody reads it: an artifact's own texts may be as long as a manifest.
fn shortened(message: &str) -> String {
    let (shown, more) = message.char_indices().nth(MAX_ERROR).map_or((message, ""), |(at, _)| message.split_at(at));
    match more.chars().count() {
        0 => shown.to_owned(),
        more => format!("{shown}… ({more} more characters)"),
    }
}

/// A value as a JSON object, to which more keys are added.
pub(crate) fn object(value: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        other => Err(Error::new(Kind::Internal, format!("this is no JSON object: {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_escaped_wherever_a_message_of_several_lines_repeats_it() {
        let arguments = ["a\nb\u{1b}", "--type=c\nd"].map(Cow::Borrowed);
        let text = "bad 'a\nb\u{1b}': `a\nb\u{1b}`\nbad 'c\nd', part \u{202e}\n".to_owned();
        let shown = "bad 'a\\nb\\u{1b}': `a\\nb\\u{1b}`\nbad 'c\\nd', part \\u{202e}\n";
        assert_eq!(harmless(text, arguments.into_iter()), shown);
    }

    #[test]
    fn an_error_without_end_is_shown_as_far_as_somebody_reads() {
        assert_eq!(shortened(&"é".repeat(MAX_ERROR)), "é".repeat(MAX_ERROR));
        assert_eq!(shortened(&"é".repeat(MAX_ERROR + 7)), "é".repeat(MAX_ERROR) + "… (7 more characters)");
    }
}
