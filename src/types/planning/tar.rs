//! Tar layers: a set of files becomes entries, in an order and with headers that do not depend on the machine.

use globset::{Glob, GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    plan::{Compression, Entry, EntryKind},
    source::{Member, MemberKind},
    types::definition::{
        many::Template,
        texts::{Part, Texts},
    },
};

/// Level of gzip where none is said.
const GZIP: u32 = 6;
/// Level of zstd where none is said: the format's own, which its tools use.
const ZSTD: i32 = 3;

/// A tar archive of a set. Owners are always 0 and have no names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tar {
    /// The set.
    pub set: String,
    /// A directory that every entry is put in; `.` for none. The layer's title when nothing is said.
    #[serde(default)]
    pub root: Option<Template>,
    /// Which entries there are.
    #[serde(default)]
    pub entries: Entries,
    /// Globs of the files that come first, in this order; the rest follow byte-lexically.
    #[serde(default)]
    pub first: Vec<String>,
    /// What the headers say.
    #[serde(default)]
    pub header: Header,
}

/// Which entries a tar archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Entries {
    /// Files, links and directories, the root first.
    #[default]
    All,
    /// Files and links only.
    Files,
}

/// What the headers of a tar archive say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Permission bits of files. When nothing is said: 0755 for a file that its owner may execute, else 0644, so that no
    /// umask shows, as git keeps files. Octal digits in quotes: these. `keep`: those of the file, without write
    /// permission for group and others. Directories have 0755.
    #[serde(default)]
    pub mode: Option<String>,
    /// Modification time.
    #[serde(default)]
    pub mtime: Mtime,
}

/// Which modification time entries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mtime {
    /// 1970.
    #[default]
    Zero,
    /// The time that the caller gives for `now`, else 1970.
    SourceDateEpoch,
}

impl Header {
    fn mode_of(&self, member: &Member) -> u32 {
        match (&member.kind, self.mode.as_deref()) {
            (MemberKind::Symlink { .. }, _) => 0o777,
            (MemberKind::File, None) if member.mode & 0o100 == 0 => 0o644,
            (MemberKind::File, Some(mode)) => u32::from_str_radix(mode, 8).unwrap_or(member.mode & 0o755 | 0o400),
            (MemberKind::File, None) | (MemberKind::Directory, _) => 0o755,
        }
    }

    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<()> {
        let good = |m: &str| m == "keep" || u32::from_str_radix(m, 8).is_ok_and(|mode| mode <= 0o777);
        match self.mode.as_deref().filter(|m| !good(m)) {
            Some(mode) => Err(Error::invalid(format!("`mode` is `keep` or octal digits such as `0644`, not `{mode}`"))),
            None => Ok(()),
        }
    }
}

impl Tar {
    /// The texts that mean something.
    pub(super) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("set", Part::Set, [&self.set]);
        texts.template("root", &self.root);
    }

    /// The entries for these members of a listing that began at `dir`, below `root`.
    pub(super) fn entries(&self, members: &[Member], dir: &str, root: &str, now: Option<i64>) -> Result<Vec<Entry>> {
        let mtime = match self.header.mtime {
            Mtime::Zero => 0,
            Mtime::SourceDateEpoch => now.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        };
        let mut ranked = Vec::new();
        let order = order(&self.first)?;
        for member in members {
            let inner = member.path.strip_prefix(dir).unwrap_or(&member.path).trim_start_matches('/');
            let kind = match &member.kind {
                MemberKind::Directory if self.entries == Entries::Files => continue,
                MemberKind::Directory => EntryKind::Directory,
                MemberKind::File => EntryKind::File(member.path.clone().into()),
                MemberKind::Symlink { target } => EntryKind::Symlink(target.clone()),
            };
            let rank = order.iter().position(|glob| glob.is_match(inner)).unwrap_or(order.len());
            let path = if root == "." { inner.to_owned() } else { format!("{root}/{inner}") };
            ranked.push((rank, Entry { path, mode: self.header.mode_of(member), mtime, kind }));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let parents = if self.entries == Entries::All && root != "." { parents(root, mtime) } else { Vec::new() };
        Ok(parents.into_iter().chain(ranked.into_iter().map(|(_, entry)| entry)).collect())
    }
}

/// The directories that make up the root, outermost first: oras wants a parent before what is in it.
fn parents(root: &str, mtime: u64) -> Vec<Entry> {
    let ends = root.match_indices('/').map(|(at, _)| at).chain([root.len()]);
    let paths = ends.filter_map(|end| root.get(..end));
    paths.map(|path| Entry { path: path.into(), mode: 0o755, mtime, kind: EntryKind::Directory }).collect()
}

fn order(globs: &[String]) -> Result<Vec<GlobMatcher>> {
    let compile = |glob: &String| {
        let built = GlobBuilder::new(glob).literal_separator(true).build();
        built.map(|g: Glob| g.compile_matcher()).map_err(|e| Error::invalid(format!("the glob `{glob}`: {}", e.kind())))
    };
    globs.iter().map(compile).collect()
}

/// Reads `none`, `gzip`, `zstd`, with a level behind a colon.
pub(in crate::types) fn compression(text: &str) -> Result<Compression> {
    let bad = || {
        Error::invalid(format!("`compress` is `none`, `gzip` or `zstd`, with a level as in `zstd:19`, not `{text}`"))
    };
    let (name, level) = match text.split_once(':') {
        Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| bad())?)),
        None => (text, None),
    };
    match (name, level) {
        ("none", None) => Ok(Compression::None),
        ("gzip", level) if level.is_none_or(|l| l <= 9) => Ok(Compression::Gzip(level.unwrap_or(GZIP))),
        ("zstd", None) => Ok(Compression::Zstd(ZSTD)),
        ("zstd", Some(level @ 1..=19)) => i32::try_from(level).map(Compression::Zstd).map_err(|_| bad()),
        _ => Err(bad()),
    }
}
