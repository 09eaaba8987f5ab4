//! Hints about retries in a response: whether one may succeed, after which delay, and the remaining quota.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// True if a status may be temporary: too many requests, timeouts, and failures of the server or of a proxy (499 is
/// nginx's, 522 Cloudflare's). Not 501, which depends on the request.
pub(super) fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// The delay for a `Retry-After` that is neither a number nor a date.
const UNREADABLE: Duration = Duration::from_secs(10);
/// The forms of dates besides the preferred one (RFC 9110 section 5.6.7): RFC 850's and `asctime`'s.
const OLD_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"];

/// The delay that a response with a temporary failure asks for, in seconds or until a date by the server's own clock; of
/// several, the longest.
pub(super) fn asked(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let now = || headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or_else(Timestamp::now);
    let delay = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default().trim();
        seconds(text)
            .or_else(|| Some(Duration::try_from(date(text)?.duration_since(now())).unwrap_or_default()))
            .unwrap_or(UNREADABLE)
    };
    headers.get_all(header::RETRY_AFTER).iter().filter(|_| passes(status)).map(delay).max()
}

/// A number of seconds, rounded up. One that is too large for the type is the largest, and a negative one is zero.
fn seconds(text: &str) -> Option<Duration> {
    let (sign, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    if [whole, part].iter().any(|digits| digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    let whole = whole.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(if sign { 0 } else { whole.saturating_add(more) }))
}

fn date(text: &str) -> Option<Timestamp> {
    let old = |form| Some(DateTime::strptime(form, text).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let preferred = jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    preferred.or_else(|| OLD_DATES.into_iter().find_map(old)).or_else(|| text.parse().ok())
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

    /// The seconds that a response asks for.
    fn of(status: u16, values: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        for value in values {
            headers.append(header::RETRY_AFTER, value.parse().unwrap());
        }
        asked(StatusCode::from_u16(status).unwrap(), &headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_delay_is_read_in_all_forms_from_every_temporary_failure() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(of(status, &["120"]), Some(120));
            assert_eq!(of(status, &["1.5"]), Some(2));
            assert_eq!(of(status, &["0.0"]), Some(0));
            assert_eq!(of(status, &["-1"]), Some(0));
            assert_eq!(of(status, &["5", "120", "7"]), Some(120));
            assert_eq!(of(status, &["Sun, 06 Nov 1994 08:51:37 GMT"]), Some(120));
            assert_eq!(of(status, &["Sunday, 06-Nov-94 08:51:37 GMT"]), Some(120));
            assert_eq!(of(status, &["Sun Nov  6 08:51:37 1994"]), Some(120));
            assert_eq!(of(status, &["1994-11-06T08:51:37Z"]), Some(120));
            assert_eq!(of(status, &["Sun, 06 Nov 1994 08:00:00 GMT"]), Some(0));
        }
        assert_eq!((of(404, &["120"]), of(503, &[])), (None, None));
    }

    #[test]
    fn a_delay_that_cannot_be_read_is_not_ignored() {
        assert_eq!(of(429, &["99999999999999999999999999"]), Some(u64::MAX));
        for text in ["soon", "", "1e3", "0x10", "1,5", ".5", "5.", "120 seconds", "Sun, 99 Nov 1994 08:51:37 GMT"] {
            assert_eq!(of(429, &[text]), Some(UNREADABLE.as_secs()), "{text}");
        }
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
