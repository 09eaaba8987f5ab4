//! The log of a run: the events of the library, one line each, on stderr or in a file.
//!
//! Only events of this crate are shown, whatever `RUST_LOG` says: other crates do not know which values are secret.

use std::{
    fmt::{self, Write as _},
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use artifact::{Error, Result, error::Context as _};
use serde_json::{Map, Value, json};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use super::{
    environment,
    report::Report,
    text::{escape, without_controls},
};

/// Options for the log, which every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct LogArgs {
    /// Show every request and response with times, redirects, retries and the source of credentials
    #[arg(long, global = true)]
    debug: bool,
    /// Append these lines to a file; without `--debug`, they go only to the file
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Turns the log on if a flag or `RUST_LOG` asks for it. Errors: the file cannot be written.
pub(crate) fn start(args: &LogArgs, report: &Report) -> Result<()> {
    let variable = environment::log_filter();
    if !args.debug && args.log.is_none() && variable.is_none() {
        return Ok(());
    }
    let (filter, unclear) = Filter::parse(variable.as_deref().unwrap_or("artifact=debug"));
    if args.debug || args.log.is_some() {
        // Without the flags, the variable may be meant for other programs.
        unclear.iter().for_each(|part| report.warn(format!("`RUST_LOG`: `{part}` is neither LEVEL nor TARGET=LEVEL")));
    }
    let file = args.log.as_deref().map(open).transpose()?;
    let shown = (args.debug || file.is_none()).then(|| report.clone());
    let log = Log { filter, start: Instant::now(), json: report.is_json(), shown, file };
    tracing::subscriber::set_global_default(log).map_err(|e| Error::caused(artifact::Kind::Internal, "no log", e))?;
    tracing::debug!(target: "artifact", version = env!("CARGO_PKG_VERSION"), "started");
    Ok(())
}

/// Only its owner may read it: the log has the names of hosts and repositories.
fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.context(|| format!("cannot write `{}`", path.display())).map_err(Error::of_configuration)
}

/// The events to show: the longest rule that is a prefix of an event's target decides.
#[derive(Debug, PartialEq, Eq)]
struct Filter(Vec<(String, LevelFilter)>);

impl Filter {
    /// Parses `LEVEL`, `TARGET=LEVEL` and `TARGET`, separated by commas; also returns the parts that are none of these.
    fn parse(text: &str) -> (Self, Vec<&str>) {
        let (mut rules, mut unclear) = (Vec::new(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let is_target = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c));
            let (target, level) = match part.split_once('=') {
                Some(("", _) | (_, "")) => ("", None),
                Some((target, level)) => (target.trim(), level.trim().parse().ok()),
                None => part.parse().map_or((part, Some(LevelFilter::TRACE)), |level| ("", Some(level))),
            };
            match level.filter(|_| is_target(target)) {
                Some(level) => rules.push((target.to_owned(), level)),
                None => unclear.push(part),
            }
        }
        (Self(rules), unclear)
    }

    fn level_of(&self, target: &str) -> LevelFilter {
        let below = |rule: &str| {
            let rest = target.strip_prefix(rule);
            rule.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let fitting = self.0.iter().filter(|(rule, _)| below(rule));
        fitting.max_by_key(|(rule, _)| rule.len()).map_or(LevelFilter::OFF, |(_, level)| *level)
    }

    fn shows(&self, target: &str, level: Level) -> bool {
        let ours = target == "artifact" || target.starts_with("artifact::");
        ours && level <= self.level_of(target)
    }
}

/// The subscriber, with the destinations of the log.
struct Log {
    filter: Filter,
    start: Instant,
    json: bool,
    /// Writes to stderr, if the log is shown there.
    shown: Option<Report>,
    file: Option<File>,
}

impl Log {
    fn line(&self, metadata: &Metadata<'_>, fields: Fields) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let (level, target) = (metadata.level().as_str().to_ascii_lowercase(), metadata.target());
        let Fields { message, values } = fields;
        if self.json {
            let seconds = (seconds * 1000.0).round() / 1000.0;
            let object = json!({
                "event": "log", "seconds": seconds, "level": level, "target": target, "message": message,
                "fields": values,
            });
            return without_controls(&object.to_string());
        }
        let mut line = format!("{seconds:8.3} {level:5} {target}: {message}");
        for (name, value) in &values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"');
            // Writing into a text does not fail.
            let _ = if plain { write!(line, " {name}={text}") } else { write!(line, " {name}={text:?}") };
        }
        escape(&line)
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.filter.shows(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter.0.iter().map(|(_, level)| *level).max()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = self.line(event.metadata(), fields);
        if let Some(report) = &self.shown {
            report.log(&line);
        }
        if let Some(mut file) = self.file.as_ref() {
            // One write per line, so that lines of two runs do not mix. A failure does not stop the work.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }

    // There are no spans.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    values: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => drop(self.values.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filter: &str, target: &str) -> Option<Level> {
        let (filter, unclear) = Filter::parse(filter);
        assert!(unclear.is_empty(), "{unclear:?}");
        let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        levels.into_iter().find(|level| filter.shows(target, *level))
    }

    #[test]
    fn the_longest_target_decides_and_others_crates_are_never_shown() {
        for (filter, at_registry, at_copy) in [
            ("debug", Some(Level::DEBUG), Some(Level::DEBUG)),
            ("TRACE", Some(Level::TRACE), Some(Level::TRACE)),
            ("artifact", Some(Level::TRACE), Some(Level::TRACE)),
            ("artifact::registry=debug", Some(Level::DEBUG), None),
            ("artifact::registry=off,artifact=info, warn", None, Some(Level::INFO)),
            ("artifact::reg=debug,hyper=trace", None, None),
            ("off", None, None),
            ("", None, None),
        ] {
            assert_eq!(shown(filter, "artifact::registry"), at_registry, "{filter}");
            assert_eq!(shown(filter, "artifact::copy"), at_copy, "{filter}");
            assert_eq!(shown(filter, "artifacts"), None, "{filter}");
            assert_eq!(shown(filter, "h2"), None, "{filter}");
        }
        assert_eq!(
            Filter::parse("x[span]=debug,artifact=debgu,=,a=,=b").1,
            ["x[span]=debug", "artifact=debgu", "=", "a=", "=b"]
        );
    }
}
