//! Extracts the members of an archive.

use std::io::{self, BufRead as _, Read};

use super::{
    blob_reader::BlobReader,
    budget::Budget,
    name::{Name, check_target},
    select::Select,
    taken_names::NameUse,
    writer::{LinkTarget, Writer, stamp},
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Digest, Hasher},
    plan::Compression,
    store,
    tarball::{
        decompress::Decompressed,
        read::{Limits, Member, MemberKind, Reader, quoted_name},
    },
};

/// The extraction of an archive.
pub(super) struct Extract<'a> {
    pub(super) compress: Compression,
    /// The first components of every member's name, which are stripped.
    pub(super) root: Name,
    /// How many components behind it are stripped.
    pub(super) strip: usize,
    pub(super) links: bool,
    pub(super) diff_id: Option<&'a Digest>,
    /// The target directory.
    pub(super) place: &'a Name,
    pub(super) limits: &'a Limits,
    pub(super) budget: &'a Budget,
    pub(super) select: &'a Select,
}

impl Extract<'_> {
    /// Writes the members of the current blob, an archive, and reads it to its end.
    pub(super) fn run(&self, blobs: &mut BlobReader, writer: &mut Writer) -> Result<()> {
        self.members(&mut *blobs, writer)?;
        blobs.end()
    }

    fn members(&self, blobs: &mut BlobReader, writer: &mut Writer) -> Result<()> {
        let source = Decompressed::new(blobs, self.compress, u64::MAX)?;
        let hasher = self.diff_id.map(|digest| Hasher::new(digest.algorithm()));
        let mut content = Counted { source, budget: self.budget, hasher };
        let mut reader = Reader::new(&mut content, self.limits.clone());
        if self.select.includes(self.place)? {
            writer.implied(self.place)?;
        }
        while let Some(member) = reader.next_member()? {
            self.member(&member, &mut reader, writer).context(|| quoted_name(&member.path))?;
        }
        if let (Some(expected), Some(hasher)) = (self.diff_id, content.hasher) {
            store::compare(expected, hasher.finish()).context(|| "uncompressed")?;
        }
        Ok(())
    }

    fn member<R: Read>(&self, member: &Member, reader: &mut Reader<R>, writer: &mut Writer) -> Result<()> {
        let inner = self.inner(&member.path)?;
        if inner.is_empty() && member.kind != MemberKind::Directory {
            return Err(Error::invalid("it is where the archive's top directory must be, and no directory"));
        }
        let name = self.place.join(&inner);
        if member.path.starts_with('/') {
            writer.absolute = writer.absolute.saturating_add(1);
        }
        if member.attributes {
            writer.ignored = writer.ignored.saturating_add(1);
        }
        if member.mtime_moved {
            writer.times = writer.times.saturating_add(1);
        }
        let claim = match &member.kind {
            MemberKind::Directory => NameUse::Directory,
            MemberKind::File => NameUse::File,
            MemberKind::Symlink(_) | MemberKind::HardLink(_) => NameUse::Link,
            MemberKind::Special => return Err(Error::unsupported("devices and FIFOs are not supported")),
        };
        let target = self.target(&member.kind, &inner, writer)?;
        writer.claims.claim(name.as_str(), claim)?;
        if name.is_empty() || !self.select.includes(&name)? {
            return Ok(());
        }
        match target {
            Some(target) => writer.link(&name, target, member.mtime),
            None if claim == NameUse::Directory => writer.directory(&name, member.mode, member.mtime),
            None => write(member, &name, reader, writer),
        }
    }

    /// The name of a member below the target directory. A slash at the start is dropped, as by all tar programs.
    fn inner(&self, path: &str) -> Result<Name> {
        let inner = Name::parse(path.trim_start_matches('/'), self.limits)?.below(&self.root).ok_or_else(|| {
            Error::new(Kind::Escape, format!("the member is not below {}", quoted_name(self.root.as_str())))
        })?;
        Ok(inner.without_first(self.strip))
    }

    fn target(&self, kind: &MemberKind, inner: &Name, writer: &Writer) -> Result<Option<LinkTarget>> {
        let (MemberKind::Symlink(text) | MemberKind::HardLink(text)) = kind else { return Ok(None) };
        if !self.links {
            return Err(Error::unsupported(format!(
                "unexpected link to {}: the artifact type does not allow links",
                quoted_name(text)
            )));
        }
        if matches!(kind, MemberKind::Symlink(_)) {
            check_target(text, inner)?;
            return Ok(Some(LinkTarget::Symbolic(text.clone())));
        }
        let target = self.place.join(&self.inner(text).context(|| "target of the link")?);
        if !writer.claims.has(target.as_str(), NameUse::File) || !self.select.includes(&target)? {
            return Err(Error::invalid(format!(
                "the hard link to {} needs an earlier file with that name",
                quoted_name(text)
            )));
        }
        Ok(Some(LinkTarget::Hard(target.to_string())))
    }
}

fn write<R: Read>(member: &Member, name: &Name, reader: &mut Reader<R>, writer: &mut Writer) -> Result<()> {
    let mut file = writer.file(name, member.mode)?;
    let mut data = reader.data();
    loop {
        let chunk = data.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        writer.write(&mut file, chunk)?;
        let len = chunk.len();
        data.consume(len);
    }
    stamp(&file, member.mtime).context(|| "cannot set the time")
}

/// A reader that hashes its data, and counts it.
struct Counted<'a, R> {
    source: R,
    budget: &'a Budget,
    hasher: Option<Hasher>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(buffer)?;
        self.budget.take(len)?;
        if let (Some(hasher), Some(read)) = (&mut self.hasher, buffer.get(..len)) {
            hasher.update(read);
        }
        Ok(len)
    }
}
