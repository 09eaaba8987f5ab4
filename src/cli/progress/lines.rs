//! The progress display as lines of text that fit the terminal.

use std::time::{Duration, Instant};

use super::{
    super::text::{escape, size},
    state::{Blob, Phase, State},
    width::{cut_to_width, without_path},
};

/// A transfer gets a line of its own after this time, so that small blobs do not flicker.
const WORTH: Duration = Duration::from_millis(500);
/// Shorter transfers show no rate.
const SHOWN: Duration = Duration::from_secs(1);
/// Limit of blobs with a line of their own.
const MOST: usize = 8;
/// From this many columns on, fields are aligned.
const WIDE: usize = 60;
/// Maximum width of a bar, in columns.
const BAR: usize = 30;
/// Minimum width of a bar, in columns.
const NARROW: usize = 8;

/// A block of at most `height` lines of at most `width` columns: the total, the waits, the transfers.
pub(super) fn block(state: &State, now: Instant, width: usize, height: usize) -> Vec<String> {
    let mut lines = vec![total_line(state, now, width)];
    let waits = state.waits(now);
    if let Some(last) = waits.last() {
        let more = if waits.len() > 1 { format!(" (and {} more)", waits.len() - 1) } else { String::new() };
        let seconds = last.until.saturating_duration_since(now).as_secs_f64().ceil();
        let why = escape(&without_path(&last.why));
        let room = width.saturating_sub(more.len());
        lines.push(format!("{}{more}", cut_to_width(&format!("waiting {seconds} s: {why}"), room)));
    }
    let mut blobs = state.blobs();
    blobs.retain(|blob| now.saturating_duration_since(blob.since) >= WORTH);
    // Half the screen at most, so that earlier output stays visible.
    let room = MOST.min((height / 2).saturating_sub(lines.len()));
    let shown = if blobs.len() > room { room.saturating_sub(1) } else { blobs.len() };
    lines.extend(blobs.iter().take(shown).map(|blob| blob_line(blob, width)));
    if blobs.len() > shown && room > 0 {
        lines.push(format!("  … and {} more", blobs.len() - shown));
    }
    lines.truncate(height.max(1));
    lines.into_iter().map(|line| cut_to_width(&line, width)).collect()
}

/// The line for the total. On narrow terminals, minor fields are dropped.
fn total_line(state: &State, now: Instant, width: usize) -> String {
    if state.phase == Phase::Looking {
        return format!("reading, {} s", now.saturating_duration_since(state.start).as_secs());
    }
    let word = doing(state.phase);
    let percent = format!("{word}{:>3} %", percent(state));
    let items = if state.phase == Phase::Moving { format!("{}/{}", state.done, state.items) } else { String::new() };
    // In the order in which they are dropped.
    let mut extras = [items, bytes(state), rate(state), left(state)];
    if width >= WIDE {
        // Fixed widths keep the bar from changing its width with every digit.
        let widths = extras.iter_mut().zip([0, 20, 10, 9]).filter(|(text, _)| !text.is_empty());
        widths.for_each(|(text, width)| *text = format!("{text:>width$}"));
    }
    loop {
        let texts: usize = extras.iter().filter(|text| !text.is_empty()).map(|text| text.chars().count() + 2).sum();
        let room = width.saturating_sub(percent.chars().count() + texts + 4).min(BAR);
        let bar = if room >= NARROW { format!("  [{}]", bar(state.fraction(), room)) } else { String::new() };
        let next = extras.iter().position(|text| !text.is_empty()).filter(|_| room < NARROW);
        match next.and_then(|at| extras.get_mut(at)) {
            Some(extra) => extra.clear(),
            None => {
                let texts: String = extras.iter().filter(|t| !t.is_empty()).map(|t| format!("  {t}")).collect();
                return format!("{percent}{bar}{texts}");
            }
        }
    }
}

fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Looking | Phase::Moving => "",
        Phase::Packing => "packing ",
        Phase::Decompressing => "decompressing ",
    }
}

/// The line for one blob; its name comes last and is cut to fit.
fn blob_line(blob: &Blob, width: usize) -> String {
    let fraction = if blob.desc.size == 0 { 1.0 } else { blob.at as f64 / blob.desc.size as f64 };
    let bar = if width >= WIDE { format!("  [{}]", bar(fraction, 12)) } else { String::new() };
    let state = if blob.again {
        "again: "
    } else if blob.resumed {
        "resumed: "
    } else {
        ""
    };
    let name = blob.desc.title().unwrap_or(&blob.desc.media_type);
    let line =
        format!("  {:>3} %{bar}  {:>8}  {state}{}", (fraction * 100.0).floor(), size(blob.desc.size), escape(name));
    cut_to_width(&line, width)
}

/// One line for a log.
pub(super) fn log_line(state: &State) -> Option<String> {
    let doing = match state.phase {
        Phase::Looking => return None,
        Phase::Packing => "packing: ",
        Phase::Decompressing => "decompressing: ",
        Phase::Moving => "",
    };
    let extras = [rate(state), left(state)].into_iter().filter(|text| !text.is_empty());
    let extras: String = extras.map(|text| format!(", {text}")).collect();
    Some(format!("{doing}{} %, {}{extras}", percent(state), bytes(state)))
}

/// Whole percents, rounded down: 100 only when complete.
fn percent(state: &State) -> u64 {
    (state.fraction() * 100.0).floor() as u64
}

fn bytes(state: &State) -> String {
    format!("{} of {}", size(state.position()), size(state.total))
}

fn rate(state: &State) -> String {
    state.rate().map(per_second).unwrap_or_default()
}

/// `9.8 MiB/s`
fn per_second(rate: f64) -> String {
    format!("{}/s", size(rate as u64))
}

fn left(state: &State) -> String {
    let Some(left) = state.left() else { return String::new() };
    let seconds = left.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (100.., _, _) => "days left".into(),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02} left"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02} left"),
    }
}

fn bar(fraction: f64, width: usize) -> String {
    let full = ((fraction.clamp(0.0, 1.0) * width as f64).floor() as usize).min(width);
    let head = if full < width { ">" } else { "" };
    format!("{}{head}{}", "=".repeat(full), " ".repeat(width.saturating_sub(full + head.len())))
}

/// The end of a summary: resumed bytes, retries, time, and the rate of `bytes`.
pub(super) fn account(bytes: u64, resumed: u64, retried: u64, took: Duration) -> String {
    let resumed = if resumed > 0 { format!(", {} resumed", size(resumed)) } else { String::new() };
    let retried = match retried {
        0 => String::new(),
        1 => ", 1 retry".into(),
        n => format!(", {n} retries"),
    };
    let seconds = took.as_secs_f64();
    let time = match took.as_secs() {
        0..60 => format!("{seconds:.1} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    };
    let rate = if took >= SHOWN { format!(" ({})", per_second(bytes as f64 / seconds)) } else { String::new() };
    format!("{resumed}{retried} in {time}{rate}")
}

#[cfg(test)]
mod tests {
    use artifact::{
        oci::{Descriptor, Digest},
        progress::{Event, Outcome},
    };

    use super::{super::width::columns, *};

    const MIB: u64 = 1 << 20;

    /// Half of a gibibyte has moved, at 10 MiB/s: a blob is at 256 of 512 MiB, one started over, one is small, one has
    /// a hostile name; something is waited for.
    fn busy() -> (State, Instant) {
        let start = Instant::now();
        let mut state = State::new(start);
        let named = |name: &str, size| {
            let annotations = [("org.opencontainers.image.title".to_owned(), name.to_owned())].into();
            Descriptor { annotations, ..Descriptor::new("a/b", Digest::of(name.as_bytes()), size) }
        };
        state.apply(&Event::Planned { items: 20, bytes: 1024 * MIB }, start);
        let (large, again, hostile) = (
            named("model.gguf", 512 * MIB),
            named("tokenizer.json", 8 * MIB),
            named(&"e\u{301}👩‍👩‍👧\u{1b}[2J".repeat(40), MIB),
        );
        state.apply(&Event::Done(named("there", 240 * MIB), Outcome::Present), start);
        state.sample(start);
        for desc in [&large, &again, &hostile] {
            state.apply(&Event::Started(desc.clone()), start);
        }
        state.apply(&Event::Moved(large.digest.clone(), 256 * MIB), start);
        state.apply(&Event::Moved(again.digest.clone(), 8 * MIB), start);
        state.apply(&Event::Restarted(again.digest.clone()), start);
        state.apply(&Event::Moved(again.digest.clone(), 2 * MIB), start);
        let now = start + Duration::from_secs(10);
        state.apply(&Event::Started(named("new", MIB)), now);
        let why = "GET https://registry.example/v2/a/blobs/sha256:0: 429 Too Many Requests (asks to wait for 7)";
        state.apply(&Event::Waiting { why: why.into(), time: Duration::from_millis(6_400) }, now);
        state.sample(now);
        (state, now)
    }

    #[test]
    fn a_usual_terminal_shows_all() {
        let (state, now) = busy();
        let lines = block(&state, now, 80, 24);
        assert_eq!(lines[0], " 49 %  [=========>          ]  1/20    504 MiB of 1.0 GiB    27 MiB/s  0:20 left");
        assert_eq!(lines[1], "waiting 7 s: registry.example: 429 Too Many Requests (asks to wait for 7)");
        let moving: Vec<&str> = lines[2..].iter().map(|line| line.split("  ").last().unwrap()).collect();
        assert_eq!(moving.len(), 3, "{lines:?}");
        assert!(lines.contains(&"   50 %  [======>     ]   512 MiB  model.gguf".into()), "{lines:?}");
        assert!(lines.contains(&"   25 %  [===>        ]   8.0 MiB  again: tokenizer.json".into()), "{lines:?}");
    }

    #[test]
    fn on_a_narrow_terminal_what_matters_less_gives_way() {
        let (state, now) = busy();
        let first = |width| block(&state, now, width, 24).remove(0);
        assert_eq!(first(59), " 49 %  [====>    ]  504 MiB of 1.0 GiB  27 MiB/s  0:20 left");
        assert_eq!(first(40), " 49 %  [====>     ]  27 MiB/s  0:20 left");
        assert_eq!(first(30), " 49 %  [====>     ]  0:20 left");
        assert_eq!(first(20), " 49 %  [=====>     ]");
        assert_eq!(first(12), " 49 %");
        assert_eq!(first(3), " 4…");
    }

    #[test]
    fn no_line_is_wider_and_no_block_higher_than_the_terminal() {
        let (state, now) = busy();
        for width in 0..130 {
            for height in 0..30 {
                let lines = block(&state, now, width, height);
                assert!(lines.len() <= height.max(1), "{width}x{height}: {lines:?}");
                for line in lines {
                    assert!(columns(&line) <= width, "{width}x{height}: {line}");
                    assert!(!line.chars().any(char::is_control), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn a_log_gets_one_line_with_all_that_matters() {
        let (state, _) = busy();
        assert_eq!(log_line(&state).unwrap(), "49 %, 504 MiB of 1.0 GiB, 27 MiB/s, 0:20 left");
        assert_eq!(log_line(&State::new(Instant::now())), None);
    }

    #[test]
    fn an_account_says_only_what_there_is() {
        assert_eq!(account(MIB, 0, 0, Duration::from_millis(140)), " in 0.1 s");
        assert_eq!(account(2 * MIB, MIB, 1, 2 * SHOWN), ", 1.0 MiB resumed, 1 retry in 2.0 s (1.0 MiB/s)");
        assert_eq!(account(125 * MIB, 0, 3, 125 * SHOWN), ", 3 retries in 2 min 5 s (1.0 MiB/s)");
    }
}
