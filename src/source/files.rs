//! Files of a source by name: every name that a document gives passes through here.

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
    /// The file at this relative path.
    ///
    /// Errors: kind `NotFound` when it is missing (the message names the most similar file beside it); kind `Escape` when
    /// the path is absolute, has a `..`, or leaves the base through a link; kind `Invalid` when it is no regular file.
    pub fn resolve(&self, path: &str) -> Result<Member> {
        let path = relative(path)?;
        let shown = escape(&path);
        let meta = match self.look(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(self.missing(&path)),
            Err(e) if e.kind() == ErrorKind::CrossesDevices => {
                return Err(escapes(format!("`{shown}` is a link that leaves `{}`", self.place())));
            }
            Err(e) => return Err(Error::from(e).context(format!("cannot read `{shown}`"))),
        };
        if !meta.is_file() {
            let what = if meta.is_dir() { "a directory, not a file" } else { "not a regular file" };
            return Err(Error::invalid(format!("`{shown}` is {what}")));
        }
        Ok(Member::of(path, MemberKind::File, &meta))
    }

    /// The regular files that one of these globs matches, in byte-lexical order. `listing` gives policies and limits;
    /// its own `include` is not used. No match is no error.
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
        let more = || Error::limit(format!("`{shown}` has more than the {limit} bytes that are allowed here"));
        bytes.ok_or_else(more)
    }

    /// The document in the file at this relative path. Errors: those of [`Source::resolve`] and [`Document::parse`].
    pub fn document(&self, path: &str, options: &Options<'_>) -> Result<Document> {
        Document::parse(&self.read(path, options.limit)?, path, options)
    }

    /// All documents in the file at this relative path.
    pub fn documents(&self, path: &str, options: &Options<'_>) -> Result<Vec<Document>> {
        Document::parse_stream(&self.read(path, options.limit)?, path, options)
    }

    /// What is at this relative path. The file that the user pointed at may be a link to anywhere.
    fn look(&self, path: &str) -> io::Result<Metadata> {
        if self.file() == Some(path) { fs::metadata(self.locate(path)) } else { self.base.look(Path::new(path)) }
    }

    /// The file at this relative path, by the same rule.
    pub(super) fn open_file(&self, path: &str) -> Result<File> {
        let own = self.file() == Some(path);
        Ok(if own { open_regular(&self.locate(path)) } else { self.base.open_real(Path::new(path)) }?.0)
    }

    /// Where the file at this relative path lies.
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

    /// The file in the same directory whose name is most like the one asked for.
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
