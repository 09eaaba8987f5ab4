//! One 512-byte header: V7, ustar (POSIX.1-1988) or GNU, with its checksum verified, read strictly.

use std::time::Duration;

use super::quoted_name;
use crate::error::{Error, Result};

/// Block size of headers and data, in bytes.
pub(super) const BLOCK: usize = 512;

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// A header with a valid checksum.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// Errors: a missing or wrong checksum.
    pub(super) fn new(block: &'a [u8; BLOCK]) -> Result<Self> {
        let this = Self(block);
        let claimed = octal(this.field(148, 8)).filter(|_| this.field(148, 8).iter().any(u8::is_ascii_digit));
        if claimed != Some(this.sum()) {
            return Err(Error::mismatch("the checksum of a tar header does not match"));
        }
        Ok(this)
    }

    /// The sum of all bytes, with blanks in place of the checksum.
    fn sum(&self) -> u64 {
        self.0.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum()
    }

    /// Whether the checksum has one of the two usual formats: six digits, NUL and blank, or seven digits and NUL.
    pub(super) fn has_usual_checksum(&self) -> bool {
        let sum = self.sum();
        [format!("{sum:06o}\0 "), format!("{sum:07o}\0")].iter().any(|usual| self.field(148, 8) == usual.as_bytes())
    }

    fn field(&self, start: usize, len: usize) -> &'a [u8] {
        self.0.get(start..start.saturating_add(len)).unwrap_or_default()
    }

    /// The type of the member.
    pub(super) fn type_flag(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or_default()
    }

    /// The name, with the prefix of POSIX headers (GNU has times in that field). If `lossy`, what is not UTF-8 is
    /// replaced.
    pub(super) fn path(&self, lossy: bool) -> Result<String> {
        let name = text(self.field(0, 100), "name", lossy)?;
        if self.field(257, 6) != b"ustar\0" {
            return Ok(name);
        }
        let prefix = text(self.field(345, 155), "name prefix", lossy)?;
        Ok(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
    }

    /// The target of a link.
    pub(super) fn link(&self, lossy: bool) -> Result<String> {
        text(self.field(157, 100), "link target", lossy)
    }

    /// The size of the data, in bytes.
    pub(super) fn size(&self) -> Result<u64> {
        number(self.field(124, 12)).ok_or_else(|| Error::invalid("the size in a tar header is not a number"))
    }

    /// Permission bits, with set-id and sticky bits.
    pub(super) fn mode(&self) -> Result<u32> {
        let mode =
            number(self.field(100, 8)).ok_or_else(|| Error::invalid("the mode in a tar header is not a number"))?;
        Ok(u32::try_from(mode & 0o7777).unwrap_or_default())
    }

    /// Modification time. Errors: it is not a number.
    pub(super) fn mtime(&self) -> Result<Time> {
        let field = self.field(136, 12);
        match field.first() {
            Some(0xff) => Ok(Time::BEFORE),
            Some(0x80) => Ok(Time::of(number(field).unwrap_or(u64::MAX), 0)),
            _ => Ok(Time::of(number(field).ok_or_else(bad_time)?, 0)),
        }
    }
}

fn bad_time() -> Error {
    Error::invalid("the modification time of a tar member is not a number")
}

/// A modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    /// Since 1970, until the end of 9999.
    pub(super) since_1970: Duration,
    /// True if the archive has a time outside of these years: this is the nearest one.
    pub(super) moved: bool,
}

impl Time {
    /// A time before 1970.
    const BEFORE: Self = Self { since_1970: Duration::ZERO, moved: true };

    fn of(seconds: u64, nanos: u32) -> Self {
        match seconds {
            0..=LAST_SECOND => Self { since_1970: Duration::new(seconds, nanos), moved: false },
            _ => Self { since_1970: Duration::from_secs(LAST_SECOND), moved: true },
        }
    }
}

/// A PAX time: decimal seconds, optionally with a fraction, cut to nanoseconds. Errors: another form.
pub(super) fn pax_time(text: &str) -> Result<Time> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if [seconds, fraction].iter().any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit())) {
        return Err(bad_time());
    }
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos = nanos.parse().map_err(|_| bad_time())?;
    let time = Time::of(seconds.parse().unwrap_or(u64::MAX), nanos);
    Ok(if negative && time.since_1970 != Duration::ZERO { Time::BEFORE } else { time })
}

/// A number of decimal digits only.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A text field, up to the first NUL, with only NULs after it.
fn text(field: &[u8], what: &str, lossy: bool) -> Result<String> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at_checked(end).unwrap_or((field, &[]));
    if rest.iter().any(|b| *b != 0) {
        let shown = quoted_name(&String::from_utf8_lossy(text));
        return Err(Error::invalid(format!("the {what} {shown} of a tar member contains a NUL")));
    }
    utf8(text, what, lossy)
}

/// Text that must be UTF-8, unless it is `lossy`.
pub(super) fn utf8(text: &[u8], what: &str, lossy: bool) -> Result<String> {
    if lossy {
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    let lossy = || quoted_name(&String::from_utf8_lossy(text));
    String::from_utf8(text.to_vec())
        .map_err(|_| Error::invalid(format!("the {what} {} of a tar member is not UTF-8", lossy())))
}

/// A number in octal digits, or in GNU's base-256 if the first bit is set. `None` if negative or beyond 64 bits.
fn number(field: &[u8]) -> Option<u64> {
    let Some((0x80, rest)) = field.split_first() else { return octal(field) };
    rest.iter().try_fold(0_u64, |sum, b| sum.checked_mul(256)?.checked_add(u64::from(*b)))
}

/// A number in octal digits with blanks around them; blanks alone are 0, as in V7.
fn octal(field: &[u8]) -> Option<u64> {
    let blank = |b: &u8| matches!(b, 0 | b' ');
    let start = field.iter().position(|b| *b != b' ').unwrap_or(field.len());
    let digits = field.get(start..).unwrap_or_default();
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if !rest.iter().all(blank) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, b| match b {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_never_negative() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"00000000144", Some(100)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"\x80\0\0\0\0\0\0\0\x01\0\0\0", Some(1 << 24)),
            (b"\x80\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"-0000001", None),
            (b"0000008\0", None),
            (b"644 1\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }

    #[test]
    fn pax_times_have_at_most_one_fraction() {
        let kept = |text: &str| pax_time(text).ok().filter(|time| !time.moved).map(|time| time.since_1970);
        assert_eq!(kept("12.5"), Some(Duration::new(12, 500_000_000)));
        assert_eq!(kept("7"), Some(Duration::new(7, 0)));
        assert_eq!(kept("1.1234567899"), Some(Duration::new(1, 123_456_789)));
        assert_eq!(kept("-0.0"), Some(Duration::ZERO));
        for bad in ["", "-", "+1", "--1", "nan", "inf", "1e5", "1.", ".5", "-.5", "1.2.3"] {
            assert!(pax_time(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_time_outside_of_the_years_1970_to_9999_is_the_nearest_one() {
        for (text, seconds) in [
            ("-1", 0),
            ("-0.5", 0),
            ("-99999999999999999999", 0),
            ("253402300799", LAST_SECOND),
            ("253402300800", LAST_SECOND),
            ("99999999999999999999", LAST_SECOND),
        ] {
            let time = pax_time(text).unwrap();
            assert_eq!((time.since_1970.as_secs(), time.moved), (seconds, text != "253402300799"), "{text}");
        }
    }
}
