//! Progress on stderr: a moving display on a terminal, occasional lines elsewhere, JSON for programs.
//!
//! It turns events into lines. Results, errors and other messages of commands are in `report`.

mod events;
mod lines;
mod state;
mod width;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use artifact::{
    oci::{Descriptor, Digest},
    progress::{Event, Progress},
};
use serde_json::{Value, json};

use self::state::State;
use super::{
    screen::{self, Screen, stderr},
    text::{escape, size, without_controls},
};

/// Interval between updates of a terminal.
const TICK: Duration = Duration::from_millis(100);
/// Work that ends sooner is not drawn.
const SOON: Duration = Duration::from_millis(300);
/// Interval between lines about long work, without a terminal.
const PLAIN: Duration = Duration::from_secs(10);
/// Interval between JSON events about the bytes of one blob.
const TOLD: Duration = Duration::from_secs(1);

/// The form of the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// None.
    Quiet,
    /// A moving display on a terminal.
    Drawn,
    /// Occasional lines.
    Lines,
    /// JSON objects.
    Json,
}

/// Shows progress.
pub(crate) struct Display {
    mode: Mode,
    verbose: bool,
    screen: Arc<Screen>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// The start of the current display, and the end of the last.
    shown: Option<Instant>,
    ended: Option<Instant>,
    /// The time of the last line.
    said: Instant,
    /// The end of the longest announced wait.
    waits: Instant,
    /// The warnings and notes so far: each is given once.
    told_messages: Vec<String>,
    /// The time of the last event per blob; content being packed has no digest.
    told: HashMap<Option<Digest>, Instant>,
}

impl Inner {
    /// The message that an event is, with its kind, unless it was given before.
    fn message(&mut self, event: &Event) -> Option<(&'static str, String)> {
        let (kind, message) = match event {
            Event::Unverified(registry) => {
                ("warning", format!("TLS certificate verification is disabled for {registry}"))
            }
            Event::Warning(message) => ("warning", message.clone()),
            Event::Note(message) => ("note", message.clone()),
            _ => return None,
        };
        if self.told_messages.contains(&message) {
            return None;
        }
        self.told_messages.push(message.clone());
        Some((kind, message))
    }

    fn message_line(&mut self, event: &Event) -> Option<String> {
        self.message(event).map(|(kind, message)| format!("{kind}: {}", escape(&message)))
    }
}

/// Shows progress until dropped.
pub(crate) struct Shown {
    display: Arc<Display>,
    /// Dropped to stop the drawing thread.
    stop: Option<Sender<()>>,
}

/// The costs of finished work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) took: Duration,
    /// Bytes kept from earlier transfers.
    pub(crate) resumed: u64,
    /// Attempts beyond the first.
    pub(crate) retried: u64,
}

impl Account {
    /// The end of a summary of a transfer of `bytes`.
    pub(crate) fn text(&self, bytes: u64) -> String {
        lines::account(bytes, self.resumed, self.retried, self.took)
    }

    /// Duration in seconds, to the millisecond.
    pub(crate) fn seconds(&self) -> f64 {
        (self.took.as_secs_f64() * 1000.0).round() / 1000.0
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Display").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Display {
    pub(crate) fn new(mode: Mode, verbose: bool, screen: Arc<Screen>) -> Arc<Self> {
        let now = Instant::now();
        let (state, told) = (State::new(now), HashMap::new());
        let told_messages = Vec::new();
        let inner = Inner { state, shown: None, ended: None, said: now, waits: now, told_messages, told };
        Arc::new(Self { mode, verbose, screen, inner: Mutex::new(inner) })
    }

    /// Starts the display.
    pub(crate) fn show(self: &Arc<Self>) -> Shown {
        let now = Instant::now();
        {
            let mut inner = self.inner();
            (inner.state, inner.shown, inner.ended) = (State::new(now), Some(now), None);
            (inner.said, inner.waits) = (now, now);
        }
        self.screen.open();
        let moves = matches!(self.mode, Mode::Drawn | Mode::Lines);
        Shown { display: Arc::clone(self), stop: moves.then(|| ticker(Arc::clone(self))) }
    }

    /// Ends the display and returns the costs.
    pub(crate) fn end(&self) -> Account {
        let mut inner = self.inner();
        let now = Instant::now();
        let start = inner.shown.unwrap_or(now);
        let took = inner.ended.get_or_insert(now).saturating_duration_since(start);
        let account = Account { took, resumed: inner.state.resumed, retried: inner.state.retried };
        drop(inner);
        self.screen.close();
        account
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the display.
    fn tick(&self) {
        let (now, mut inner) = (Instant::now(), self.inner());
        inner.state.sample(now);
        let Some(start) = inner.shown.filter(|_| inner.ended.is_none()) else { return };
        match self.mode {
            Mode::Drawn if now.saturating_duration_since(start) >= SOON => {
                let (width, height) = screen::dimensions();
                // The last column stays empty: some terminals wrap the line there.
                let block = lines::block(&inner.state, now, width.saturating_sub(1), height.saturating_sub(1));
                drop(inner);
                self.screen.draw(&block);
            }
            Mode::Lines if now.saturating_duration_since(inner.said) >= PLAIN => {
                inner.said = now;
                let line = lines::log_line(&inner.state);
                drop(inner);
                line.into_iter().for_each(|line| self.write_line(&line));
            }
            _ => {}
        }
    }

    fn write_line(&self, line: &str) {
        self.screen.above(|| stderr(&format!("{line}\n")));
    }

    /// The line for an event, if it gets one.
    fn text_line(&self, event: &Event, inner: &mut Inner, now: Instant) -> Option<String> {
        match event {
            Event::Waiting { why, time } => {
                let drawn = self.mode == Mode::Drawn && inner.shown.is_some() && inner.ended.is_none();
                let until = now + *time;
                // Simultaneous waits share a line.
                if !self.verbose && (drawn || until < inner.waits + TOLD) {
                    return None;
                }
                inner.waits = until;
                Some(format!("waiting {} s: {}", time.as_secs_f64().ceil(), escape(why)))
            }
            Event::Unverified(_) | Event::Warning(_) | Event::Note(_) => inner.message_line(event),
            Event::Decompressing { archive, bytes } => {
                Some(format!("decompressing {}, {}, into a temporary file", escape(archive), size(*bytes)))
            }
            Event::Busy { why, time } => Some(format!("waiting at most {} s: {}", time.as_secs(), escape(why))),
            Event::Retried { why } if self.verbose => Some(format!("retry    {}", escape(why))),
            Event::Done(desc, outcome) if self.verbose => Some(blob_line(events::word(*outcome), desc, desc.size)),
            Event::Restarted(digest) if self.verbose => {
                inner.state.blob(digest).map(|blob| blob_line("again", &blob.desc, blob.desc.size))
            }
            Event::Resumed(digest, bytes) if self.verbose => {
                inner.state.blob(digest).map(|blob| blob_line("resumed", &blob.desc, *bytes))
            }
            _ => None,
        }
    }

    fn json_line(event: &Event, inner: &mut Inner, now: Instant) -> Option<String> {
        if matches!(event, Event::Unverified(_) | Event::Warning(_) | Event::Note(_)) {
            let (kind, message) = inner.message(event)?;
            return Some(without_controls(&json!({ "event": kind, "message": message }).to_string()));
        }
        let of = match event {
            Event::Moved(digest, _) => Some(Some(digest.clone())),
            Event::Read(_) => Some(None),
            Event::Done(desc, _) => {
                inner.told.remove(&Some(desc.digest.clone()));
                None
            }
            _ => None,
        };
        if let Some(of) = of {
            let told = inner.told.entry(of).or_insert(now);
            if now.saturating_duration_since(*told) < TOLD {
                return None;
            }
            *told = now;
        }
        events::object(event, &inner.state).map(|value: Value| without_controls(&value.to_string()))
    }
}

impl Progress for Display {
    fn event(&self, event: Event) {
        let (now, mut inner) = (Instant::now(), self.inner());
        inner.state.apply(&event, now);
        let line = match self.mode {
            Mode::Quiet => match &event {
                Event::Unverified(_) | Event::Warning(_) => inner.message_line(&event),
                _ => None,
            },
            Mode::Json => Self::json_line(&event, &mut inner, now),
            Mode::Drawn | Mode::Lines => self.text_line(&event, &mut inner, now),
        };
        drop(inner);
        line.into_iter().for_each(|line| self.write_line(&line));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.display.end();
    }
}

/// Updates the display until the sender is dropped, on a thread of its own since the work can occupy all others.
fn ticker(display: Arc<Display>) -> Sender<()> {
    let (stop, stopped) = channel();
    std::thread::spawn(move || {
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            display.tick();
        }
    });
    stop
}

/// A line for one blob.
fn blob_line(word: &str, desc: &Descriptor, bytes: u64) -> String {
    let name = escape(desc.title().unwrap_or(&desc.media_type));
    format!("{word:<7}  {}  {:>8}  {name}", desc.digest.short(), size(bytes))
}
