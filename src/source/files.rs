//! Files of a source by name; all names from documents are resolved here.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    Document, Member, Options, Source, escapes,
    list::{Listing, MemberKind},
    names::{escape, relative},
};
use crate::{
    error::{Context as _, Error, Result},
    fs::{open_regular, up_to},
};

impl Source {
    /// Resolves the file at this relative path.
    ///
    /// Errors: kind `NotFound` if it is missing (the message suggests a similar file in the same directory); kind
    /// `Escape` if the path is absolute, contains `..`, or leaves the base through a link; kind `Invalid` if it is not
    /// a regular file.
    pub fn resolve(&self, path: &str) -> Result<Member> {
        let path = relative(path)?;
        let shown = escape(&path);
        let meta = match self.look(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(self.missing(&path)),
            Err(e) if e.kind() == ErrorKind::CrossesDevices => {
                return Err(escapes(format!("`{shown}` is a link to a place outside `{}`", self.place())));
            }
            Err(e) => return Err(Error::from(e).context(format!("cannot read `{shown}`"))),
        };
        if !meta.is_file() {
            let what = if meta.is_dir() { "a directory, not a file" } else { "not a regular file" };
            return Err(Error::invalid(format!("`{shown}` is {what}")));
        }
        Ok(Member::of(path, MemberKind::File, &meta))
    }

    /// The regular files that match one of these globs, sorted byte-lexically. `listing` gives policies and limits; its
    /// `include` is ignored. No match is not an error.
    pub fn expand(&self, globs: &[String], listing: &Listing) -> Result<Vec<Member>> {
        if globs.is_empty() {
            return Ok(Vec::new());
        }
        let mut members = self.list(&Listing { include: globs.to_vec(), ..listing.clone() })?;
        members.retain(|member| member.kind == MemberKind::File);
        Ok(members)
    }

    /// The bytes of the file at this relative path. Errors: those of [`Source::resolve`]; more than `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let member = self.resolve(path)?;
        let shown = escape(&member.path);
        let bytes = up_to(self.open_file(&member.path)?, limit).context(|| format!("cannot read `{shown}`"))?;
        let more = || Error::limit(format!("`{shown}` is larger than the limit of {limit} bytes"));
        bytes.ok_or_else(more)
    }

    /// Reads the document at this relative path. Errors: those of [`Source::resolve`] and [`Document::parse`].
    pub fn document(&self, path: &str, options: &Options<'_>) -> Result<Document> {
        Document::parse(&self.read(path, options.limit)?, path, options)
    }

    /// Reads all documents in the file at this relative path.
    pub fn documents(&self, path: &str, options: &Options<'_>) -> Result<Vec<Document>> {
        Document::parse_stream(&self.read(path, options.limit)?, path, options)
    }

    /// The metadata at this relative path. The source file itself may be a link to anywhere.
    fn look(&self, path: &str) -> io::Result<Metadata> {
        if self.file() == Some(path) { fs::metadata(self.locate(path)) } else { self.base.look(Path::new(path)) }
    }

    /// Opens the file at this relative path, by the rule of [`Self::look`].
    pub(super) fn open_file(&self, path: &str) -> Result<File> {
        let own = self.file() == Some(path);
        Ok(if own { open_regular(&self.locate(path)) } else { self.base.open_real(Path::new(path)) }?.0)
    }

    /// The full path of the file at this relative path.
    pub(super) fn locate(&self, path: &str) -> PathBuf {
        self.base().join(path)
    }

    fn missing(&self, path: &str) -> Error {
        let shown = escape(path);
        match self.similar(path) {
            Some(name) => Error::not_found(format!("`{shown}` is not in `{}`; `{name}` is", self.place())),
            None => Error::not_found(format!("`{shown}` is not in `{}`", self.place())),
        }
    }

    /// The file in the same directory with the most similar name.
    fn similar(&self, path: &str) -> Option<String> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = fs::read_dir(self.base().join(dir)).ok()?;
        let found = entries
            .take(10_000)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .map(|other| (strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase()), other))
            .filter(|(score, _)| *score > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))?
            .1;
        Some(escape(if dir.is_empty() { found } else { format!("{dir}/{found}") }))
    }
}
