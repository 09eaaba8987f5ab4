//! What happens, shown on stderr: lines that move on a terminal, now and then a line elsewhere, JSON for programs.
//!
//! It turns events into lines. Results, errors and what commands say are not for here.

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

/// How often a terminal is drawn anew.
const TICK: Duration = Duration::from_millis(100);
/// What is over sooner is not drawn.
const SOON: Duration = Duration::from_millis(300);
/// How often work that takes long gets a line where no terminal is.
const PLAIN: Duration = Duration::from_secs(10);
/// How often the bytes of one blob are told to programs.
const TOLD: Duration = Duration::from_secs(1);

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all.
    Quiet,
    /// On a terminal.
    Drawn,
    /// As lines.
    Lines,
    /// As JSON.
    Json,
}

/// Shows what happens.
pub(crate) struct Display {
    mode: Mode,
    verbose: bool,
    screen: Arc<Screen>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// Since when there is something to show, and until when there was.
    shown: Option<Instant>,
    ended: Option<Instant>,
    /// When there was a line last.
    said: Instant,
    /// Until when it was said that something is waited for.
    waits: Instant,
    /// The registries that were warned of.
    unverified: Vec<String>,
    /// When the bytes of this content were told last; those that are packed have no digest.
    told: HashMap<Option<Digest>, Instant>,
}

impl Inner {
    /// What there is to say of a registry whose certificate is not looked at, once.
    fn unverified_message(&mut self, registry: &str) -> Option<String> {
        if self.unverified.iter().any(|known| known == registry) {
            return None;
        }
        self.unverified.push(registry.to_owned());
        Some(format!("the certificate of {registry} is not looked at: whoever answers is believed"))
    }

    fn warning_line(&mut self, registry: &str) -> Option<String> {
        self.unverified_message(registry).map(|message| format!("warning: {}", escape(&message)))
    }
}

/// Something to show, until it is dropped.
pub(crate) struct Shown {
    display: Arc<Display>,
    /// Dropped to stop the thread that draws.
    stop: Option<Sender<()>>,
}

/// What it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) took: Duration,
    /// Bytes that did not have to move again.
    pub(crate) resumed: u64,
    /// Attempts beyond the first.
    pub(crate) retried: u64,
}

impl Account {
    /// The end of a summary, when so many bytes moved.
    pub(crate) fn text(&self, bytes: u64) -> String {
        lines::account(bytes, self.resumed, self.retried, self.took)
    }

    /// How long it took, in seconds, to the millisecond.
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
        let unverified = Vec::new();
        let inner = Inner { state, shown: None, ended: None, said: now, waits: now, unverified, told };
        Arc::new(Self { mode, verbose, screen, inner: Mutex::new(inner) })
    }

    /// Starts to show what happens from now on.
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

    /// Shows no more; what it took.
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

    /// Shows where it is.
    fn tick(&self) {
        let (now, mut inner) = (Instant::now(), self.inner());
        inner.state.sample(now);
        let Some(start) = inner.shown.filter(|_| inner.ended.is_none()) else { return };
        match self.mode {
            Mode::Drawn if now.saturating_duration_since(start) >= SOON => {
                let (width, height) = screen::dimensions();
                // The last column is left alone: some terminals go to the next line there.
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

    /// The line that an event is worth.
    fn text_line(&self, event: &Event, inner: &mut Inner, now: Instant) -> Option<String> {
        match event {
            Event::Waiting { why, time } => {
                let drawn = self.mode == Mode::Drawn && inner.shown.is_some() && inner.ended.is_none();
                let until = now + *time;
                // Transfers that wait at the same time are told once.
                if !self.verbose && (drawn || until < inner.waits + TOLD) {
                    return None;
                }
                inner.waits = until;
                Some(format!("waiting {} s: {}", time.as_secs_f64().ceil(), escape(why)))
            }
            Event::Unverified(registry) => inner.warning_line(registry),
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
        if let Event::Unverified(registry) = event {
            let message = inner.unverified_message(registry)?;
            return Some(without_controls(&json!({ "event": "warning", "message": message }).to_string()));
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
                Event::Unverified(registry) => inner.warning_line(registry),
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

/// Moves what is shown until the sender is dropped; in a thread, because the work may keep all others busy.
fn ticker(display: Arc<Display>) -> Sender<()> {
    let (stop, stopped) = channel();
    std::thread::spawn(move || {
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            display.tick();
        }
    });
    stop
}

/// A line about one blob.
fn blob_line(word: &str, desc: &Descriptor, bytes: u64) -> String {
    let name = escape(desc.title().unwrap_or(&desc.media_type));
    format!("{word:<7}  {}  {:>8}  {name}", desc.digest.short(), size(bytes))
}
