//! Whether a store holds what it claims to hold: the list, every manifest, every byte, and that nothing is missing.
//!
//! Nothing is changed. What can be wrong with a store is a [`Finding`]; an error is what kept the check from looking.

mod walk;

use std::{fmt, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use self::walk::CheckWalk;
use crate::{
    error::{Code, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed},
    progress::{Event, Observer, Outcome},
    store::{Inventory, Item, Name, NamePage, ReadStore, open},
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is damaged or missing: whoever reads it gets an error.
    Error,
    /// Something will surprise somebody.
    Warning,
    /// Worth knowing, and no fault.
    Note,
}

/// What is wrong, as a word that scripts can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// The list of the store cannot be read.
    MalformedList,
    /// An entry of the list cannot be read.
    UnreadableEntry,
    /// A tag stands for two manifests.
    DuplicateTag,
    /// Something points at content that is not there.
    Missing,
    /// Content is shorter or longer than it is described.
    WrongSize,
    /// Content is not what its digest says.
    WrongDigest,
    /// Content is there and cannot be read: a symbolic link, a failing disk.
    Unreadable,
    /// A manifest is none, or not one that can be trusted.
    MalformedManifest,
    /// A manifest breaks a rule of its artifact type.
    TypeRule,
    /// The list says something that nobody would have meant, or that a manifest does not bear out.
    DoubtfulList,
    /// Bytes of an archive that say nothing are not what they should be.
    DoubtfulArchive,
    /// A manifest with a subject is not listed, so that nobody finds it from its subject.
    UnlistedReferrer,
    /// A manifest is about one that is not here.
    AbsentSubject,
    /// Nothing that is listed leads to this content.
    Unreferenced,
    /// An unfinished file that a crash left.
    Leftover,
    /// A file that does not belong to the format.
    Stray,
}

impl What {
    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::MalformedList
            | Self::UnreadableEntry
            | Self::DuplicateTag
            | Self::Missing
            | Self::WrongSize
            | Self::WrongDigest
            | Self::Unreadable
            | Self::MalformedManifest
            | Self::TypeRule => Severity::Error,
            Self::DoubtfulList | Self::DoubtfulArchive | Self::UnlistedReferrer => Severity::Warning,
            Self::AbsentSubject | Self::Unreferenced | Self::Leftover | Self::Stray => Severity::Note,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MalformedList | Self::UnreadableEntry => "restore `index.json` from another copy of the store",
            Self::DoubtfulList => "compare `index.json` with another copy of the store",
            Self::DoubtfulArchive => "the content is whole: copy it to a new archive",
            Self::DuplicateTag => "set the tag again",
            Self::Missing | Self::WrongSize => "copy the artifact here again",
            Self::WrongDigest | Self::Unreadable => "delete the content, then copy the artifact here again",
            Self::MalformedManifest | Self::TypeRule => "ask its publisher for a correct one",
            Self::UnlistedReferrer => "tag it, or copy it here again",
            Self::AbsentSubject => "copy the subject here if it is needed",
            Self::Unreferenced => "tag the manifest it belongs to, or collect garbage",
            Self::Leftover => "nothing: the next writer goes on with it, or removes it",
            Self::Stray => "remove the file if nobody needs it",
        }
    }
}

/// Something about a store that is wrong or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: What,
    /// Where: a digest, a tag or a path in the store.
    pub place: String,
    /// The particulars, on one line.
    pub message: String,
}

impl Finding {
    fn new(what: What, place: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { severity: what.severity(), what, place: place.to_string(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Rules that go beyond the OCI specifications: those of artifact types.
pub trait Rules: Send + Sync {
    /// The largest config, in bytes, that is read to judge this manifest; `None` where the manifest alone tells. A
    /// larger one breaks the rules.
    fn reads_config(&self, _manifest: &Parsed) -> Option<u64> {
        None
    }

    /// What is wrong with this manifest, one line each. `config` is the content of its config, verified, where
    /// [`Rules::reads_config`] asks for it, and empty otherwise. Not called where the config cannot be read: that is a
    /// finding of its own.
    fn broken(&self, desc: &Descriptor, manifest: &Parsed, config: &[u8]) -> Vec<String>;
}

/// How [`check_with`] goes about it.
#[derive(Clone)]
pub struct Options {
    /// Only what this tag or digest stands for, and what refers to it.
    pub only: Option<Name>,
    /// How much content is hashed at a time.
    pub parallel: usize,
    /// Rules of artifact types.
    pub rules: Option<Arc<dyn Rules>>,
    /// Who is told what is read.
    pub progress: Observer,
}

impl Default for Options {
    fn default() -> Self {
        Self { only: None, parallel: 2, rules: None, progress: Observer::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("parallel", &self.parallel).finish_non_exhaustive()
    }
}

/// Checks all that a store holds; of a store that cannot list it, all that its tags lead to. Findings are sorted, the
/// worst first.
///
/// Errors: the store cannot be asked (kinds such as `Unreachable`); kind `NotFound` where one that cannot list its content
/// has no names.
pub async fn check(store: &Arc<dyn ReadStore>) -> Result<Vec<Finding>> {
    check_with(store, &Options::default()).await
}

/// The same with options.
pub async fn check_with(store: &Arc<dyn ReadStore>, options: &Options) -> Result<Vec<Finding>> {
    let mut walk = CheckWalk::new(store, options.rules.as_deref());
    if let Some(name) = &options.only {
        store.resolve(name).await?;
        walk.tag(name).await?;
        return finish(walk, None, store, options).await;
    }
    let inventory = match store.inventory().await {
        Ok(inventory) => inventory,
        Err(e) => {
            return Ok(vec![Finding::new(finding_of(e.kind(), What::MalformedList)?, "index.json", e.to_string())]);
        }
    };
    match &inventory {
        Some(inventory) => {
            walk.flaws(&inventory.flaws);
            walk.list(&inventory.entries).await?;
        }
        None => {
            let page = store.list_names().await?;
            if page == NamePage::default() {
                // Registries say the same of a repository that they do not know.
                let message = format!("{store} is not there, or has no tags");
                return Err(Error::not_found(message).with_code(Code::NoTags));
            }
            walk.flaws(&page.unreadable);
            for name in page.names {
                walk.tag(&name.into()).await?;
            }
        }
    }
    if let Some(inventory) = &inventory {
        walk.compare(inventory).await?;
    }
    finish(walk, inventory.as_ref(), store, options).await
}

/// Hashes what was met, and gives all findings in order.
async fn finish(
    walk: CheckWalk<'_>,
    inventory: Option<&Inventory>,
    store: &Arc<dyn ReadStore>,
    options: &Options,
) -> Result<Vec<Finding>> {
    let (content, mut findings) = walk.finish(inventory);
    findings.extend(hash(store, content, options).await?);
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// A failure that says something about the content, as a finding; any other is an error of the check.
fn finding_of(kind: Kind, what: What) -> Result<What> {
    match kind {
        Kind::NotFound => Ok(What::Missing),
        Kind::Mismatch => Ok(What::WrongDigest),
        Kind::Invalid | Kind::Limit | Kind::Unsupported => Ok(what),
        Kind::Escape | Kind::Io | Kind::Changed => Ok(What::Unreadable),
        other => Err(Error::new(other, "the store cannot be checked")),
    }
}

/// Reads all this content to its end, some of it at a time; memory does not depend on its size.
async fn hash(store: &Arc<dyn ReadStore>, content: Vec<Item>, options: &Options) -> Result<Vec<Finding>> {
    let bytes = content.iter().fold(0_u64, |sum, item| sum.saturating_add(item.desc.size));
    options.progress.tell(Event::Planned { items: content.len(), bytes });
    let tasks = content.into_iter().map(|item| {
        let (store, progress) = (Arc::clone(store), options.progress.clone());
        // A task of its own, so that hashing spreads over threads.
        async move { tokio::spawn(async move { hash_one(store.as_ref(), &item, &progress).await }).await }
    });
    let found: Vec<Option<Finding>> = stream::iter(tasks)
        .buffer_unordered(options.parallel.max(1))
        .map(|joined| joined.map_err(|e| Error::caused(Kind::Internal, "a checking task failed", e))?)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn hash_one(store: &dyn ReadStore, item: &Item, progress: &Observer) -> Result<Option<Finding>> {
    let desc = &item.desc;
    progress.tell(Event::Started(desc.clone()));
    let read = async {
        let mut stream = open(store, item).await?;
        while let Some(chunk) = stream.try_next().await? {
            progress.tell(Event::Moved(desc.digest.clone(), chunk.len() as u64));
        }
        Ok::<_, Error>(())
    };
    let read = read.await;
    progress.tell(Event::Done(desc.clone(), Outcome::Present));
    match read {
        Ok(()) => Ok(None),
        Err(e) => Ok(Some(Finding::new(finding_of(e.kind(), What::Unreadable)?, &desc.digest, e.to_string()))),
    }
}

/// What an inventory says about a digest.
fn held(inventory: &Inventory, digest: &Digest) -> Option<u64> {
    inventory.blobs.get(digest).copied()
}
