//! The header of one member, and extensions for values that ustar cannot represent.

use crate::error::{Error, Kind, Result};

/// Block size of a tar archive, in bytes.
pub const BLOCK: usize = 512;

/// Maximum of eleven octal digits.
const MAX_OCTAL: u64 = (1 << 33) - 1;

/// Length limit of a name or link, in bytes. Other tar readers allow 1 MiB and more.
const MAX_NAME: usize = 64 << 10;

/// The type of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
}

/// The extension for values that ustar cannot represent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// POSIX: records `path`, `linkpath` and `size` in a preceding member, also for names beyond ASCII.
    Pax,
    /// GNU: a long name in a preceding member, sizes from 8 GiB on in base 256 in the header itself, names beyond ASCII
    /// unchanged. With a short name, the header is one block for any size.
    Gnu,
}

/// The metadata of one member. Owner and group are always 0, without names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The type.
    pub kind: Type,
    /// The name: relative, without `..`.
    pub path: &'a str,
    /// The target of a symbolic link, else empty.
    pub link: &'a str,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Modification time in seconds since 1970, before the year 2242.
    pub mtime: u64,
    /// Size of the content in bytes.
    pub size: u64,
}

impl<'a> Header<'a> {
    /// A regular file with mode 0644 and time 0, as in an archive of blobs.
    #[must_use]
    pub fn file(path: &'a str, size: u64) -> Self {
        Self { kind: Type::File, path, link: "", mode: 0o644, mtime: 0, size }
    }

    /// The bytes before the content: one block, plus the blocks of an extension if needed.
    ///
    /// Errors: a name that is empty, or contains NUL or more than 64 KiB; kind `Escape` for one that is absolute or
    /// contains `..`; a mode or time out of range.
    pub fn encode(&self, extension: Extension) -> Result<Vec<u8>> {
        self.check()?;
        match extension {
            Extension::Pax => Ok(self.pax()),
            Extension::Gnu => Ok(self.gnu()),
        }
    }

    fn check(&self) -> Result<()> {
        let quoted = || self.path.chars().take(200).collect::<String>();
        let bad = |what: &str| Err(Error::invalid(format!("tar entry `{}` {what}", quoted())));
        if self.path.starts_with('/') || self.path.split('/').any(|step| step == "..") {
            let message = format!("tar entry `{}` has an absolute name or one with `..`", quoted());
            return Err(Error::new(Kind::Escape, message));
        }
        if self.path.is_empty() || self.path.contains('\0') || self.path.len() > MAX_NAME {
            return bad("has a name that is empty, contains a NUL or is longer than 64 KiB");
        }
        if self.kind == Type::File && self.path.ends_with('/') {
            return bad("is a file, but its name ends in `/`");
        }
        let link = self.kind == Type::Symlink;
        if link == self.link.is_empty() || self.link.contains('\0') || self.link.len() > MAX_NAME {
            return bad("has a link target that is empty, contains a NUL or is longer than 64 KiB");
        }
        if self.mode > 0o7777 || self.mtime > MAX_OCTAL {
            return bad("has a mode above 0o7777 or a time after the year 2242");
        }
        Ok(())
    }

    fn pax(&self) -> Vec<u8> {
        let mut records = String::new();
        let split = split(self.path);
        if !fits(self.link, 100) {
            records.push_str(&record("linkpath", self.link));
        }
        // If another field needs records, Go also adds the path, even if ustar could split it.
        if split.is_none() || (!fits(self.path, 100) && (!records.is_empty() || self.size > MAX_OCTAL)) {
            records.push_str(&record("path", self.path));
        }
        if self.size > MAX_OCTAL {
            records.push_str(&record("size", &self.size.to_string()));
        }
        let block = self.block();
        match split {
            Some((prefix, name)) if records.is_empty() => block.ustar(name, prefix, self.link).into(),
            _ => {
                let (dir, name) = self.path.rsplit_once('/').unwrap_or(("", self.path));
                let slash = if dir.is_empty() { "" } else { "/" };
                let named = format!("{}{slash}PaxHeaders.0/{name}", dir.trim_end_matches('/'));
                let mut out = extra(b'x', ascii(&named).trim_end_matches('/'), records.as_bytes());
                out.extend(block.ustar(&ascii(self.path), "", &ascii(self.link)));
                out
            }
        }
    }

    fn gnu(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (flag, name) in [(b'K', self.link), (b'L', self.path)] {
            if name.len() > 100 {
                out.extend(extra(flag, "././@LongLink", &[name.as_bytes(), b"\0"].concat()));
            }
        }
        let block = self.block();
        if out.is_empty() && self.size <= MAX_OCTAL {
            out.extend(block.ustar(self.path, "", self.link));
        } else {
            out.extend(block.gnu(self.path, self.link, self.size));
        }
        out
    }

    fn block(&self) -> Block {
        let flag = match self.kind {
            Type::File => b'0',
            Type::Symlink => b'2',
            Type::Directory => b'5',
        };
        Block::new(flag, self.mode, self.mtime, self.size.min(MAX_OCTAL) * u64::from(self.size <= MAX_OCTAL))
    }
}

/// A member of type `flag` that describes the next one.
fn extra(flag: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let block = Block::new(flag, 0, 0, content.len() as u64);
    let mut out = if flag == b'x' { block.ustar(name, "", "") } else { block.gnu(name, "", 0) }.to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}

/// A PAX record: its total length in decimal, key and value.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n")
}

fn fits(name: &str, len: usize) -> bool {
    name.is_ascii() && name.len() <= len
}

/// Prefix and name of a path in ustar; `None` if it cannot be split.
fn split(path: &str) -> Option<(&str, &str)> {
    if fits(path, 100) {
        return Some(("", path));
    }
    if !path.is_ascii() {
        return None;
    }
    let (head, _) = path.split_at_checked(156).unwrap_or((path.strip_suffix('/').unwrap_or(path), ""));
    let (prefix, name) = path.split_at_checked(head.rfind('/')?)?;
    let name = name.get(1..)?;
    ((1..=155).contains(&prefix.len()) && (1..=100).contains(&name.len())).then_some((prefix, name))
}

fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii).collect()
}

/// A header block under construction, with the fields that do not depend on the extension.
struct Block([u8; BLOCK]);

impl Block {
    fn new(flag: u8, mode: u32, mtime: u64, size: u64) -> Self {
        let mut block = Self([0; BLOCK]);
        block.octal(100, 8, u64::from(mode));
        block.octal(108, 8, 0);
        block.octal(116, 8, 0);
        block.octal(124, 12, size);
        block.octal(136, 12, mtime);
        block.put(156, &[flag], 1);
        block
    }

    fn ustar(mut self, name: &str, prefix: &str, link: &str) -> [u8; BLOCK] {
        self.put(257, b"ustar\x0000", 8);
        self.octal(329, 8, 0);
        self.octal(337, 8, 0);
        self.put(345, prefix.as_bytes(), 155);
        self.finish(name, link)
    }

    fn gnu(mut self, name: &str, link: &str, size: u64) -> [u8; BLOCK] {
        self.put(257, b"ustar  \0", 8);
        if size > MAX_OCTAL {
            self.put(124, &[0x80, 0, 0, 0], 4);
            self.put(128, &size.to_be_bytes(), 8);
        }
        self.finish(name, link)
    }

    /// Adds name, link and checksum: the sum of all bytes, with eight spaces in its own place.
    fn finish(mut self, name: &str, link: &str) -> [u8; BLOCK] {
        self.put(0, name.as_bytes(), 100);
        if name.len() > 100 && self.0.get(99) == Some(&b'/') {
            // A truncated name must not look like a directory's.
            let kept = name.get(..100).unwrap_or_default().trim_end_matches('/').len();
            self.put(kept, &[0], 1);
        }
        self.put(157, link.as_bytes(), 100);
        self.put(148, b"        ", 8);
        let sum = self.0.iter().map(|b| u64::from(*b)).sum();
        self.octal(148, 7, sum);
        self.0
    }

    /// Writes octal digits with leading zeros and a final NUL, which fill the field.
    fn octal(&mut self, at: usize, len: usize, value: u64) {
        let digits = format!("{value:0width$o}\0", width = len.saturating_sub(1));
        self.put(at, digits.as_bytes(), len);
    }

    /// Writes at most `len` bytes at this offset.
    fn put(&mut self, at: usize, bytes: &[u8], len: usize) {
        for (to, from) in self.0.iter_mut().skip(at).take(len).zip(bytes) {
            *to = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
    }

    #[test]
    fn a_short_name_takes_one_block_in_both_extensions() {
        let header = Header::file("blobs/sha256/x", 5);
        let block = header.encode(Extension::Pax).unwrap();
        assert_eq!(block.len(), BLOCK);
        assert_eq!(block, header.encode(Extension::Gnu).unwrap());
        assert_eq!(text(&block[100..108]), "0000644");
        assert_eq!(text(&block[124..136]), "00000000005");
        assert_eq!(&block[257..265], b"ustar\x0000");
        let sum: u64 =
            block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
        assert_eq!(block[148..156], *format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn a_path_is_split_as_late_as_it_fits() {
        let (dir, name) = ("d".repeat(150), "n".repeat(100));
        assert_eq!(split(&format!("{dir}/{name}")), Some((dir.as_str(), name.as_str())));
        assert_eq!(split(&format!("{dir}/{name}x")), None);
        assert_eq!(split(&format!("{}/{name}", "d".repeat(156))), None);
        assert_eq!(split(&format!("{dir}/a/{name}")), Some((format!("{dir}/a").as_str(), name.as_str())));
        assert_eq!(split(&"n".repeat(101)), None);
        assert_eq!(split(&format!("a/{}é", "n".repeat(10))), None);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "x"), "9 path=x\n");
        for len in [1, 2, 85, 86, 87, 88, 89, 90, 91, 980, 985, 990] {
            let record = record("path", &"x".repeat(len));
            assert_eq!(record.split(' ').next().unwrap().parse(), Ok(record.len()));
        }
    }

    #[test]
    fn sizes_from_8_gib_on_fit_one_gnu_block() {
        let block = Header::file("f", 1 << 33).encode(Extension::Gnu).unwrap();
        assert_eq!(block.len(), BLOCK);
        assert_eq!(block[124..136], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(&block[257..265], b"ustar  \0");
        let pax = Header::file("f", 1 << 33).encode(Extension::Pax).unwrap();
        assert!(text(&pax[512..1024]).contains("19 size=8589934592\n"));
    }

    #[test]
    fn a_sha512_path_takes_three_gnu_blocks() {
        let path = format!("blobs/sha512/{}", "a".repeat(128));
        let bytes = Header::file(&path, 1).encode(Extension::Gnu).unwrap();
        assert_eq!(bytes.len(), 3 * BLOCK);
        assert_eq!((bytes[156], text(&bytes[512..1024])), (b'L', path));
    }

    #[test]
    fn names_that_reach_outside_are_refused() {
        for (path, kind) in [
            ("", Kind::Invalid),
            ("/etc/passwd", Kind::Escape),
            ("../x", Kind::Escape),
            ("a/../../x", Kind::Escape),
            ("a\0b", Kind::Invalid),
            ("a/", Kind::Invalid),
        ] {
            assert_eq!(Header::file(path, 0).encode(Extension::Pax).unwrap_err().kind(), kind, "{path:?}");
        }
    }
}
