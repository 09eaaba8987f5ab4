//! Progress on stderr: one bar with totals on a terminal; with `--verbose` a line for every blob.

use std::sync::Arc;

use artifact::{
    oci::{Descriptor, media_type},
    progress::{Event, Observer, Outcome, Progress},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{Report, escape, size};

/// Says what is being waited for.
#[derive(Debug)]
pub(crate) struct Waits(pub(crate) Report);

impl Progress for Waits {
    fn event(&self, event: Event) {
        if let Event::Waiting { why, time } = event {
            self.0.waiting(&why, time);
        }
    }
}

/// Shows what a copy does.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    report: Report,
}

impl Bar {
    pub(crate) fn observer(report: &Report) -> Observer {
        let bar = if report.draws() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template(
            // Nothing but the bar gives way: more would wrap on a narrow terminal.
            "[{wide_bar}] {binary_bytes}/{binary_total_bytes} {eta}",
        ) {
            bar.set_style(style.progress_chars("=> "));
        }
        report.shows(&bar);
        Observer::new(Arc::new(Self { bar, report: report.clone() }))
    }

    fn done(&self, desc: &Descriptor, outcome: Outcome) {
        let word = match outcome {
            Outcome::Moved => "moved",
            Outcome::Present => "present",
            Outcome::Mounted => "mounted",
        };
        // The bytes of blobs that move are counted as they pass.
        if outcome != Outcome::Moved || media_type::points(&desc.media_type) {
            self.bar.inc(desc.size);
        }
        let name = escape(desc.title().unwrap_or(&desc.media_type));
        let line = format!("{word:<7}  {}  {:>8}  {name}", desc.digest.short(), size(desc.size));
        self.report.detail(line);
    }
}

impl Progress for Bar {
    fn event(&self, event: Event) {
        match event {
            Event::Planned { bytes, .. } => self.bar.set_length(bytes),
            Event::Moved(_, bytes) => self.bar.inc(bytes),
            Event::Done(desc, outcome) => self.done(&desc, outcome),
            _ => {}
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
