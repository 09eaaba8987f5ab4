//! Hints about retries in a response: whether one may succeed, after which delay, and the remaining quota.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

/// True if a status may be temporary: too many requests, timeouts, and failures of the server or of a proxy (499 is
/// nginx's, 522 Cloudflare's). Not 501, which depends on the request.
pub(super) fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// The delay that a response asks for, in seconds or until a date by the server's own clock.
pub(super) fn asked(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if !matches!(status.as_u16(), 429 | 503) {
        return None;
    }
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    let now = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(date(text)?.duration_since(now)).unwrap_or_default())
}

/// An exhausted quota in the headers of a response, in the form of Docker Hub: `ratelimit-limit: 100;w=21600`, one
/// hundred in six hours. Requests beyond it may count as well.
pub(super) fn quota(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let remaining = text("ratelimit-remaining").filter(|_| status == StatusCode::TOO_MANY_REQUESTS)?;
    let left: u64 = remaining.split(';').next()?.trim().parse().ok()?;
    let limit = text("ratelimit-limit").unwrap_or("unknown");
    (left == 0).then(|| format!("ratelimit-limit {limit}, ratelimit-remaining {remaining}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_read_in_both_forms_and_from_two_statuses() {
        let of = |status: u16, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            asked(StatusCode::from_u16(status).unwrap(), &headers).map(|wait| wait.as_secs())
        };
        for status in [429, 503] {
            assert_eq!(of(status, "120"), Some(120));
            assert_eq!(of(status, "Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
            assert_eq!(of(status, "Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
            assert_eq!(of(status, "soon"), None);
            assert_eq!(of(status, "-1"), None);
        }
        assert_eq!(of(500, "120"), None);
    }

    #[test]
    fn a_quota_is_used_up_when_nothing_of_it_remains() {
        let of = |status: u16, remaining: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit-limit", "100;w=21600".parse().unwrap());
            headers.insert("ratelimit-remaining", remaining.parse().unwrap());
            quota(StatusCode::from_u16(status).unwrap(), &headers)
        };
        let text = "ratelimit-limit 100;w=21600, ratelimit-remaining 0;w=21600";
        assert_eq!(of(429, "0;w=21600").as_deref(), Some(text));
        for (status, remaining) in [(200, "0;w=21600"), (429, "7;w=21600"), (429, ""), (429, "x")] {
            assert_eq!(of(status, remaining), None, "{status} {remaining}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing: Vec<u16> = (100..600).filter(|s| passes(StatusCode::from_u16(*s).unwrap())).collect();
        assert_eq!(passing, [408, 429, 499, 500, 502, 503, 504, 522]);
    }
}
