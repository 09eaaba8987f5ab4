//! Verifies a store: its list, every manifest, every byte, and that nothing is missing.
//!
//! Nothing is changed. A defect of the store is a [`Finding`]; an error means that the check itself failed.

mod walk;

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use self::walk::CheckWalk;
use crate::{
    error::{Code, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed, Role},
    progress::{Event, Observer, Outcome},
    store::{Inventory, Item, Name, NamePage, ReadStore, open},
};

/// The most looks at a store that others change all the time.
const LOOKS: usize = 5;

/// Content that was hashed and is what its digest says.
type Verified = HashSet<(Digest, Role)>;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is damaged or missing; reading it fails.
    Error,
    /// Something is unexpected and can cause problems.
    Warning,
    /// Information, not a defect.
    Note,
}

/// The kind of a finding, as a stable word for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// The list of the store is unreadable.
    MalformedList,
    /// An entry of the list is unreadable.
    UnreadableEntry,
    /// A tag names two manifests.
    DuplicateTag,
    /// Referenced content is missing.
    Missing,
    /// The size of content differs from its descriptor.
    WrongSize,
    /// The digest of content differs from its descriptor.
    WrongDigest,
    /// The content in a descriptor (`data`) differs from its digest or size.
    WrongData,
    /// Content exists but is unreadable: a symbolic link, a failing disk.
    Unreadable,
    /// A manifest is malformed or ambiguous.
    MalformedManifest,
    /// A manifest breaks a rule of its artifact type.
    TypeRule,
    /// The list is readable, but certainly not as it was written: one letter away from what every writer writes, or with
    /// another media type than that of the manifest.
    WrongList,
    /// The list has an unlikely value, or one that contradicts a manifest.
    DoubtfulList,
    /// Padding or a checksum of an archive is unusual.
    DoubtfulArchive,
    /// The file `oci-layout` is missing.
    MissingMarker,
    /// A manifest with a subject is not listed, so that it cannot be found from its subject.
    UnlistedReferrer,
    /// The subject of a manifest is not in the store.
    AbsentSubject,
    /// A layer that may be elsewhere by its licence is not in the store.
    AbsentLayer,
    /// A member of an index was left out when it was copied here.
    LeftOut,
    /// No listed manifest refers to this content.
    Unreferenced,
    /// An unfinished file, left by a crash.
    Leftover,
    /// A file that does not belong to the format.
    Stray,
}

impl What {
    /// The severity.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::MalformedList
            | Self::UnreadableEntry
            | Self::DuplicateTag
            | Self::Missing
            | Self::WrongSize
            | Self::WrongDigest
            | Self::WrongData
            | Self::Unreadable
            | Self::MalformedManifest
            | Self::WrongList
            | Self::TypeRule => Severity::Error,
            Self::DoubtfulList | Self::DoubtfulArchive | Self::MissingMarker | Self::UnlistedReferrer => {
                Severity::Warning
            }
            Self::AbsentSubject
            | Self::AbsentLayer
            | Self::LeftOut
            | Self::Unreferenced
            | Self::Leftover
            | Self::Stray => Severity::Note,
        }
    }

    /// The remedy.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MalformedList | Self::UnreadableEntry | Self::WrongList => {
                "restore `index.json` from another copy of the store"
            }
            Self::DoubtfulList => "compare `index.json` with another copy of the store",
            Self::DoubtfulArchive => "the content is intact: copy it to a new archive",
            Self::MissingMarker => "copy the artifacts to a new layout or archive",
            Self::DuplicateTag => "set the tag again",
            Self::Missing | Self::WrongSize => "copy the artifact here again",
            Self::WrongDigest | Self::Unreadable => "delete the content, then copy the artifact here again",
            Self::MalformedManifest | Self::TypeRule | Self::WrongData => "ask the publisher for a correct artifact",
            Self::UnlistedReferrer => "tag it, or copy it here again",
            Self::AbsentSubject => "copy the subject here if it is needed",
            Self::AbsentLayer => {
                "no action needed: whoever runs the image fetches it from the addresses in its manifest"
            }
            Self::LeftOut => "no action needed: copy its platform here if it is needed",
            Self::Unreferenced => "tag the manifest that refers to it, or collect garbage",
            Self::Leftover => "no action needed: the next writer resumes or removes it",
            Self::Stray => "remove the file if it is not needed",
        }
    }
}

/// A defect of a store, or information about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The kind.
    pub what: What,
    /// The place: a digest, a tag or a path in the store.
    pub place: String,
    /// The details, on one line.
    pub message: String,
}

impl Finding {
    fn new(what: What, place: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { severity: what.severity(), what, place: place.to_string(), message: message.into() }
    }

    /// Whether a writer that removes content at this moment can be the cause.
    fn may_pass(&self) -> bool {
        matches!(self.what, What::Missing | What::Unreadable)
    }

    fn identity(&self) -> (What, String) {
        (self.what, self.place.clone())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Rules beyond the OCI specifications: those of artifact types.
pub trait Rules: Send + Sync {
    /// Size limit, in bytes, of the config needed to check this manifest; a larger config is a finding. `None` if the
    /// check needs no config.
    fn reads_config(&self, _manifest: &Parsed) -> Option<u64> {
        None
    }

    /// The rules that this manifest breaks, one line each. `config` is the verified content of the config, or empty
    /// unless [`Rules::reads_config`] asks for it. Not called if the config is unreadable, which is a finding of its
    /// own.
    fn broken(&self, desc: &Descriptor, manifest: &Parsed, config: &[u8]) -> Vec<String>;
}

/// Options for [`check_with`].
#[derive(Clone)]
pub struct Options {
    /// Check only the artifact with this tag or digest, and its referrers.
    pub only: Option<Name>,
    /// Number of blobs hashed in parallel.
    pub parallel: usize,
    /// Rules of artifact types.
    pub rules: Option<Arc<dyn Rules>>,
    /// Observer of progress.
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

/// Checks all content of a store or, if it cannot list that, all content reachable from its tags. Findings are sorted,
/// the worst first.
///
/// Errors: the store fails (kinds such as `Unreachable`); kind `NotFound` if a store that cannot list its content has
/// no names.
pub async fn check(store: &Arc<dyn ReadStore>) -> Result<Vec<Finding>> {
    check_with(store, &Options::default()).await
}

/// Checks a store as [`check`] does, with options.
///
/// Others may change the store meanwhile. Content that is gone because what named it is gone, too, is no finding: where
/// some is missing, the list and the manifests are read again, until nothing changes any more. What is verified is not
/// read twice.
pub async fn check_with(store: &Arc<dyn ReadStore>, options: &Options) -> Result<Vec<Finding>> {
    let mut verified = HashSet::new();
    let mut findings = look(store, options, &mut verified).await?;
    for _ in 1..LOOKS {
        let before = passing(&findings);
        if before.is_empty() {
            break;
        }
        findings = look(store, options, &mut verified).await?;
        let now = passing(&findings);
        // What only one look found came or went in between.
        findings.retain(|finding| !finding.may_pass() || before.contains(&finding.identity()));
        if now == before {
            break;
        }
    }
    Ok(findings)
}

/// The findings that another look may not confirm.
fn passing(findings: &[Finding]) -> BTreeSet<(What, String)> {
    findings.iter().filter(|finding| finding.may_pass()).map(Finding::identity).collect()
}

/// One look at everything. What is in `verified` is not hashed; what was hashed and is good is added.
async fn look(store: &Arc<dyn ReadStore>, options: &Options, verified: &mut Verified) -> Result<Vec<Finding>> {
    let mut walk = CheckWalk::new(store, options.rules.as_deref());
    if let Some(name) = &options.only {
        store.resolve(name).await?;
        walk.tag(name).await?;
        return finish(walk, None, store, options, verified).await;
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
            walk.compare(inventory).await?;
        }
        None => tags(&mut walk, store).await?,
    }
    finish(walk, inventory.as_ref(), store, options, verified).await
}

/// Follows all tags of a store that cannot list its content.
async fn tags(walk: &mut CheckWalk<'_>, store: &Arc<dyn ReadStore>) -> Result<()> {
    let page = store.list_names().await?;
    if page == NamePage::default() {
        // Registries respond the same for an unknown repository.
        let message = format!("{store} does not exist or has no tags");
        return Err(Error::not_found(message).with_code(Code::NoTags));
    }
    walk.flaws(&page.unreadable);
    for name in page.names {
        walk.tag(&name.into()).await?;
    }
    Ok(())
}

/// Hashes the content and returns all findings in order.
async fn finish(
    walk: CheckWalk<'_>,
    inventory: Option<&Inventory>,
    store: &Arc<dyn ReadStore>,
    options: &Options,
    verified: &mut Verified,
) -> Result<Vec<Finding>> {
    let (mut content, mut findings) = walk.finish(inventory);
    content.retain(|item| !verified.contains(&(item.desc.digest.clone(), item.role)));
    findings.extend(hash(store, content, options, verified).await?);
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// A failure caused by the content, as a finding; any other is an error of the check.
fn finding_of(kind: Kind, what: What) -> Result<What> {
    match kind {
        Kind::NotFound => Ok(What::Missing),
        Kind::Mismatch => Ok(What::WrongDigest),
        Kind::Invalid | Kind::Limit | Kind::Unsupported => Ok(what),
        Kind::Escape | Kind::Io | Kind::Changed => Ok(What::Unreadable),
        other => Err(Error::new(other, "cannot check the store")),
    }
}

/// Reads all this content, several blobs in parallel; memory does not depend on its size.
async fn hash(
    store: &Arc<dyn ReadStore>,
    content: Vec<Item>,
    options: &Options,
    verified: &mut Verified,
) -> Result<Vec<Finding>> {
    let bytes = content.iter().fold(0_u64, |sum, item| sum.saturating_add(item.desc.size));
    if !content.is_empty() {
        options.progress.tell(Event::Planned { items: content.len(), bytes });
    }
    let tasks = content.into_iter().map(|item| {
        let (store, progress) = (Arc::clone(store), options.progress.clone());
        // A task per blob, so that hashing uses several threads.
        async move {
            tokio::spawn(async move {
                let found = hash_one(store.as_ref(), &item, &progress).await;
                found.map(|found| found.ok_or((item.desc.digest, item.role)))
            })
            .await
        }
    });
    let hashed: Vec<std::result::Result<Finding, _>> = stream::iter(tasks)
        .buffer_unordered(options.parallel.max(1))
        .map(|joined| joined.map_err(|e| Error::caused(Kind::Internal, "a checking task failed", e))?)
        .try_collect()
        .await?;
    let mut findings = Vec::new();
    for outcome in hashed {
        match outcome {
            Ok(finding) => findings.push(finding),
            Err(good) => drop(verified.insert(good)),
        }
    }
    Ok(findings)
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
        Err(e) => {
            let what = match finding_of(e.kind(), What::Unreadable)? {
                What::Missing if desc.is_elsewhere() => What::AbsentLayer,
                what => what,
            };
            Ok(Some(Finding::new(what, &desc.digest, e.to_string())))
        }
    }
}

/// The size of content in an inventory.
fn held(inventory: &Inventory, digest: &Digest) -> Option<u64> {
    inventory.blobs.get(digest).copied()
}
