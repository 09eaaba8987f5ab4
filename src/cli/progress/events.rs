//! Progress events as JSON, one object a line, for programs.

use artifact::progress::{Event, Outcome};
use serde_json::{Value, json};

use super::state::State;

/// The object for an event that `state` already counts.
pub(super) fn object(event: &Event, state: &State) -> Option<Value> {
    Some(match event {
        Event::Packing { files, bytes } => json!({ "event": "packing", "files": files, "bytes": bytes }),
        Event::Decompressing { archive, bytes } => {
            json!({ "event": "decompressing", "archive": archive, "bytes": bytes })
        }
        Event::Read(_) => json!({ "event": "read", "bytes": state.position() }),
        Event::Planned { items, bytes } => json!({ "event": "planned", "items": items, "bytes": bytes }),
        Event::Started(desc) => json!({
            "event": "started", "digest": desc.digest, "size": desc.size, "mediaType": desc.media_type,
            "title": desc.title(),
        }),
        Event::Moved(digest, _) => json!({ "event": "moved", "digest": digest, "bytes": state.blob(digest)?.at }),
        Event::Restarted(digest) => json!({ "event": "restarted", "digest": digest }),
        Event::Resumed(digest, bytes) => json!({ "event": "resumed", "digest": digest, "bytes": bytes }),
        Event::Done(desc, outcome) => json!({
            "event": "done", "digest": desc.digest, "size": desc.size, "outcome": word(*outcome),
        }),
        Event::Waiting { why, time } => json!({ "event": "waiting", "seconds": time.as_secs_f64(), "why": why }),
        Event::Busy { why, time } => json!({ "event": "busy", "seconds": time.as_secs_f64(), "why": why }),
        Event::Retried { why } => json!({ "event": "retry", "why": why }),
        _ => return None,
    })
}

/// The outcome of a transfer in one word.
pub(super) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Moved => "moved",
        Outcome::Present => "present",
        Outcome::Mounted => "mounted",
    }
}
