//! Extension headers before a member: PAX records (POSIX.1-2001, "pax Extended Header") and GNU's long names.

use super::header::{Time, decimal, pax_time, utf8};
use crate::error::{Error, Result};

/// The extension headers of the next member.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<String>,
    pub(super) link: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<Time>,
    /// Whether there are ignored attributes: extended attributes, access control lists.
    pub(super) attributes: bool,
    seen: Vec<u8>,
}

impl Extensions {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Adds the data of an extension header of this type. Errors: PAX and GNU headers on one member, or two of one
    /// type, which programs read differently; a malformed one. If `lenient`, long names need not be UTF-8, and times
    /// are not read.
    pub(super) fn take(&mut self, type_flag: u8, data: &[u8], lenient: bool) -> Result<()> {
        let gnu = |t: &u8| matches!(t, b'L' | b'K');
        if self.seen.iter().any(|t| *t == type_flag || gnu(t) != gnu(&type_flag)) {
            return Err(Error::invalid("a tar member has contradictory extension headers"));
        }
        self.seen.push(type_flag);
        match type_flag {
            b'L' => self.path = Some(long(data, "long name", lenient)?),
            b'K' => self.link = Some(long(data, "long link target", lenient)?),
            _ => records(data, |key, value| self.record(key, value, lenient))?,
        }
        Ok(())
    }

    fn record(&mut self, key: &str, value: &[u8], lenient: bool) -> Result<()> {
        let bad = || Error::invalid(format!("the PAX record `{key}` of a tar member is invalid"));
        let text =
            || utf8(value, "PAX value", false).ok().filter(|v| !v.is_empty() && !v.contains('\0')).ok_or_else(bad);
        match key {
            "path" => self.path = Some(text()?),
            "linkpath" => self.link = Some(text()?),
            "size" => self.size = Some(decimal(&text()?).ok_or_else(bad)?),
            "mtime" if lenient => {}
            "mtime" => self.mtime = Some(pax_time(&text()?)?),
            _ if is_sparse(key) => return Err(Error::unsupported("sparse files in tar archives are not supported")),
            _ if key.starts_with("SCHILY.") || key.starts_with("LIBARCHIVE.") || key.starts_with("RHT.") => {
                self.attributes = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Checks a global PAX header: comments are ignored, records that would change every member are errors.
pub(super) fn global(data: &[u8]) -> Result<()> {
    records(data, |key, _| match key {
        "path" | "linkpath" | "size" | "mtime" => {
            Err(Error::unsupported(format!("global PAX headers that set `{key}` are not supported")))
        }
        _ if is_sparse(key) => Err(Error::unsupported("sparse files in tar archives are not supported")),
        _ => Ok(()),
    })
}

fn is_sparse(key: &str) -> bool {
    key.starts_with("GNU.sparse.") || key == "SCHILY.realsize"
}

/// The text of a GNU long name, without its final NULs.
fn long(data: &[u8], what: &str, lossy: bool) -> Result<String> {
    let end = data.iter().rposition(|b| *b != 0).map_or(0, |last| last.saturating_add(1));
    let text = data.get(..end).unwrap_or_default();
    if text.is_empty() || text.contains(&0) {
        return Err(Error::invalid(format!("the {what} of a tar member is empty or contains a NUL")));
    }
    utf8(text, what, lossy)
}

/// Calls `take` with key and value of each record; the records must fill the data exactly.
fn records(mut data: &[u8], mut take: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
    while !data.is_empty() {
        let (record, rest) = split(data).ok_or_else(|| Error::invalid("a PAX header of a tar archive is malformed"))?;
        data = rest;
        take(record.0, record.1)?;
    }
    Ok(())
}

type Record<'a> = (&'a str, &'a [u8]);

/// The first record, `LENGTH KEY=VALUE\n`, with the length of all of it, and the rest.
fn split(data: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = data.iter().take(8).position(|b| *b == b' ')?;
    let digits = std::str::from_utf8(data.get(..space)?).ok()?;
    if digits.is_empty() || digits.starts_with('0') {
        return None;
    }
    let (record, rest) = data.split_at_checked(usize::try_from(decimal(digits)?).ok()?)?;
    let record = record.get(space.saturating_add(1)..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    let (key, value) = record.split_at_checked(equals)?;
    let key = std::str::from_utf8(key).ok().filter(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_graphic()))?;
    Some(((key, value.get(1..)?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pax(data: &[u8]) -> Result<Extensions> {
        let mut all = Extensions::default();
        all.take(b'x', data, false).map(|()| all)
    }

    #[test]
    fn of_two_records_with_one_key_the_last_wins() {
        assert_eq!(pax(b"9 path=a\n9 path=b\n").unwrap().path.as_deref(), Some("b"));
    }

    #[test]
    fn a_malformed_record_is_an_error() {
        for bad in [
            &b"9 path=a"[..],
            b"8 path=a\n",
            b"11 path=a\n",
            b"0 path=a\n",
            b"09 path=a\n",
            b"+9 path=a\n",
            b" path=a\n",
            b"7 patha\n",
            b"4 =\n",
            b"8 path=\n",
            b"99999999999999999999 path=a\n",
            b"9 path=a\n\0",
            b"10 path=\xff\n",
            b"12 path=a\0b\n",
            b"11 size=+5\n",
            b"11 size=-1\n",
            b"13 size=0x10\n",
            b"29 size=99999999999999999999\n",
        ] {
            assert!(pax(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn long_names_and_pax_headers_do_not_mix() {
        let mut all = Extensions::default();
        all.take(b'L', b"name\0", false).unwrap();
        all.take(b'K', b"target\0", false).unwrap();
        assert!(all.take(b'x', b"9 path=a\n", false).is_err());
        assert!(all.take(b'L', b"name\0", false).is_err());
    }
}
