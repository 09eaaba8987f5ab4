//! Probes for type detection: names, first bytes, content. Each answers yes or no; a malformed file is a no. If a disk
//! fails or a limit ends the search, there is no answer but an error.

use std::{
    fs,
    io::{ErrorKind, Read as _},
    path::Path,
};

use super::{Source, globs::relative_globs, names::relative};
use crate::{
    error::{Context as _, Error, Kind, Result},
    glob::Effort,
};

/// Number of bytes read from the start of a file.
const HEAD: u64 = 512;

/// Limit of directory entries searched for a marker, equal to that of a listing.
const MAX_ENTRIES: usize = 1_000_000;

/// A file format, recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Magic {
    /// A gzip stream.
    Gzip,
    /// A zstd stream.
    Zstd,
    /// An xz stream.
    Xz,
    /// A bzip2 stream.
    Bzip2,
    /// A tar archive with a ustar, PAX or GNU header.
    Tar,
    /// A zip archive.
    Zip,
    /// A WebAssembly module or component.
    Wasm,
    /// An ELF program or library.
    Elf,
    /// An RPM package.
    Rpm,
    /// A Singularity image.
    Sif,
    /// A GGUF model.
    Gguf,
    /// A PDF document.
    Pdf,
    /// A PNG image.
    Png,
    /// A JPEG image.
    Jpeg,
    /// A GIF image.
    Gif,
    /// A WebP image.
    Webp,
}

impl std::fmt::Display for Magic {
    /// The name that definitions use.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        serde::Serialize::serialize(self, f)
    }
}

/// The magic bytes with their offsets.
const MAGICS: &[(Magic, usize, &[u8])] = &[
    (Magic::Gzip, 0, b"\x1f\x8b"),
    (Magic::Zstd, 0, b"\x28\xb5\x2f\xfd"),
    (Magic::Xz, 0, b"\xfd7zXZ\0"),
    (Magic::Bzip2, 0, b"BZh"),
    (Magic::Tar, 257, b"ustar"),
    (Magic::Zip, 0, b"PK\x03\x04"),
    (Magic::Zip, 0, b"PK\x05\x06"),
    (Magic::Wasm, 0, b"\0asm"),
    (Magic::Elf, 0, b"\x7fELF"),
    (Magic::Rpm, 0, b"\xed\xab\xee\xdb"),
    // A SIF file begins with a line that makes it executable.
    (Magic::Sif, 32, b"SIF_MAGIC\0"),
    (Magic::Gguf, 0, b"GGUF"),
    (Magic::Pdf, 0, b"%PDF-"),
    (Magic::Png, 0, b"\x89PNG\r\n\x1a\n"),
    (Magic::Jpeg, 0, b"\xff\xd8\xff"),
    (Magic::Gif, 0, b"GIF8"),
    (Magic::Webp, 8, b"WEBP"),
];

impl Magic {
    /// The format that begins with these bytes; 512 are enough.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let stands = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
        MAGICS.iter().find(|(_, at, magic)| stands(*at, magic)).map(|(magic, ..)| *magic)
    }
}

impl Source {
    /// Whether the source is a file with a name that matches one of these globs. Errors: a malformed glob.
    pub fn is_named(&self, globs: &[String]) -> Result<bool> {
        let globs = relative_globs(globs)?;
        self.file().map_or(Ok(false), |name| globs.matches(name, &self.effort))
    }

    /// The format of the file at this relative path. Errors: those of [`Source::resolve`].
    pub fn magic(&self, path: &str) -> Result<Option<Magic>> {
        let member = self.resolve(path)?;
        let mut head = Vec::new();
        self.open_file(&member.path)?
            .take(HEAD)
            .read_to_end(&mut head)
            .context(|| format!("cannot read `{}`", super::escape(&member.path)))?;
        Ok(Magic::of(&head))
    }

    /// Whether the source, a directory or tar archive, contains an entry that matches this glob. In a directory, `**`
    /// is not supported.
    ///
    /// Errors: a malformed glob, or one with `..`; kind `Limit` if the search found nothing before reaching a limit.
    pub fn contains(&self, glob: &str) -> Result<bool> {
        let Some(file) = self.file() else {
            relative_globs(&[glob.to_owned()])?;
            let parts: Vec<&str> = glob.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            return marked(self.base(), &parts, MAX_ENTRIES, &self.effort);
        };
        no_on_nonsense(self.archive(file, 0).and_then(|archive| archive.contains(glob, &self.effort)))
    }

    /// Whether the source is Markdown with front matter that looks like a deck ([`Deck::is_likely`](super::Deck::is_likely)).
    /// Errors: the file exceeds the limit.
    pub fn has_front_matter(&self) -> Result<bool> {
        let Some(file) = self.file() else {
            return Ok(false);
        };
        no_on_nonsense(self.deck(file, super::DECK_LIMIT).map(|deck| deck.is_likely()))
    }
}

/// Turns errors about malformed content into a no. All others stay errors: what was not looked at may be a yes.
fn no_on_nonsense(answer: Result<bool>) -> Result<bool> {
    match answer.as_ref().map_err(Error::kind) {
        Err(Kind::Invalid | Kind::Mismatch | Kind::Unsupported | Kind::Escape) => Ok(false),
        _ => answer,
    }
}

/// Whether an entry below this directory matches, component by component: reads only matching directories and does not
/// follow links. Errors: a directory has more than `most` entries, none of which matches.
fn marked(dir: &Path, parts: &[&str], most: usize, effort: &Effort) -> Result<bool> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(true);
    };
    if relative(part).is_ok() && !part.contains(['*', '?', '[', '{', '\\']) {
        let next = dir.join(part);
        return match next.symlink_metadata() {
            Ok(meta) => Ok(rest.is_empty() || meta.is_dir() && marked(&next, rest, most, effort)?),
            Err(e)
                if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename) =>
            {
                Ok(false)
            }
            // An unreadable entry may exist.
            Err(e) => Err(e).context(|| format!("cannot read `{}`", super::escape(&next))),
        };
    }
    let globs = relative_globs(&[(*part).to_owned()])?;
    let entries = fs::read_dir(dir).context(|| format!("cannot read `{}`", super::escape(dir)))?;
    for (seen, entry) in entries.enumerate() {
        let entry = entry.context(|| format!("cannot read `{}`", super::escape(dir)))?;
        if seen == most {
            return Err(Error::limit(format!("`{}` has more than {most} entries", super::escape(dir))));
        }
        let name = entry.file_name();
        if !name.to_str().map_or(Ok(false), |name| globs.matches(name, effort))? {
            continue;
        }
        let kind = entry.file_type().context(|| format!("cannot read `{}`", super::escape(entry.path())))?;
        if (rest.is_empty() || kind.is_dir()) && marked(&entry.path(), rest, most, effort)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_a_file_is() {
        let at = |offset: usize, magic: &[u8]| [vec![0; offset].as_slice(), magic].concat();
        for (head, magic) in [
            (b"\x1f\x8b\x08".to_vec(), Some(Magic::Gzip)),
            (at(257, b"ustar  \0"), Some(Magic::Tar)),
            (at(257, b"ustar\x0000"), Some(Magic::Tar)),
            (b"RIFF\x10\0\0\0WEBPVP8 ".to_vec(), Some(Magic::Webp)),
            (b"\0asm\x0d\0\x01\0".to_vec(), Some(Magic::Wasm)),
            (at(32, b"SIF_MAGIC\0"), Some(Magic::Sif)),
            (b"\x89PNG".to_vec(), None),
            (b"kind: Slideshow".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(Magic::of(&head), magic, "{head:?}");
        }
    }

    #[test]
    fn only_what_is_malformed_is_no_for_an_answer() {
        for (kind, no) in [
            (Kind::Invalid, true),
            (Kind::Mismatch, true),
            (Kind::Unsupported, true),
            (Kind::Escape, true),
            (Kind::Limit, false),
            (Kind::Io, false),
            (Kind::NoSpace, false),
            (Kind::NotFound, false),
            (Kind::Changed, false),
        ] {
            let answer = no_on_nonsense(Err(Error::new(kind, "x")));
            assert_eq!(answer.map_err(|e| e.kind()), if no { Ok(false) } else { Err(kind) });
        }
        assert!(no_on_nonsense(Ok(true)).unwrap());
    }

    #[test]
    fn a_directory_in_which_a_search_ends_at_a_limit_gives_an_error_and_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let effort = Effort::default();
        assert!(!marked(dir.path(), &["*.yaml"], 3, &effort).unwrap());
        assert!(marked(dir.path(), &["*"], 0, &effort).is_err());
        assert_eq!(marked(dir.path(), &["*.yaml"], 2, &effort).unwrap_err().kind(), Kind::Limit);
        // One that is named is not searched for.
        assert!(marked(dir.path(), &["c"], 0, &effort).unwrap());
    }
}
