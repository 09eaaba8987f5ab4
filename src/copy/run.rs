//! Running an approved plan: blobs, then manifests with children first, then all names.

use std::{
    collections::{HashMap, HashSet},
    ptr,
};

use super::{
    NameReport, Options, Report,
    blobs::{copy_again, copy_blobs},
    gate::Approved,
    plan::{DestinationPlan, PlannedName},
};
use crate::{
    error::{Code, Context as _, Error, Result},
    graph::{BlobEntry, Entry, parts},
    oci::{Descriptor, Digest, Parsed, RefName, Role, media_type},
    progress::{Event, Outcome},
    store::{self, Committed, Intent, Item, NameChange, NameOutcome, Presence, Puts, Write},
};

impl Approved {
    /// Copies the content that the destinations lack, and sets the names once all content is everywhere.
    ///
    /// Errors: content that no origin has as described; a destination that fails. No name has moved then, except those
    /// in a registry that the error names; content copied so far stays for the next attempt.
    pub async fn run(self, options: &Options) -> Result<Report> {
        let before = options.progress.counts();
        let plan = &self.0;
        let root = plan.root().cloned().unwrap_or_else(Descriptor::empty);
        let mut report = Report::of(root);
        let items = plan.parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        let bytes = plan.parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.graph.size()));
        options.progress.tell(Event::Planned { items, bytes });
        let mut writes = Vec::new();
        let filled = fill_all(&self, &mut writes, options, &mut report).await;
        if let Err(e) = filled {
            for (_, write) in writes {
                write.abandon().await;
            }
            return Err(e);
        }
        let mut writes = writes.into_iter().peekable();
        for part in &plan.parts {
            // If there is nothing to write, no session was begun.
            let committed = match writes.next_if(|(begun, _)| ptr::eq(*begun, part)) {
                Some((_, write)) => commit(write, part, &self, options, &mut report).await,
                None => Ok(Committed::default()),
            };
            report.names.extend(names(part, &committed.context(|| format!("finish writing to {}", part.to))?));
        }
        report.notes = plan.parts.iter().flat_map(DestinationPlan::notes).collect();
        Ok(report.with(options.progress.counts().since(before)))
    }
}

/// Copies all content to all destinations. The sessions begun are in `writes`, even after an error.
async fn fill_all<'a>(
    approved: &'a Approved,
    writes: &mut Vec<(&'a DestinationPlan, Write)>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let parts = &approved.0.parts;
    for (at, part) in parts.iter().enumerate() {
        for desc in &part.complete {
            report.count(desc, Outcome::Present);
            options.progress.tell(Event::Done(desc.clone(), Outcome::Present));
        }
        if part.graph.is_empty() && part.names.iter().all(|name| name.change().is_none()) {
            continue;
        }
        let write = store::begin(part.to.as_ref(), intent(part)).await?;
        let puts = write.puts();
        writes.push((part, write));
        offer(&puts, part).await?;
        let earlier = parts.get(..at).unwrap_or_default();
        copy_blobs(&puts, part, earlier, &approved.0.evidence, options, report).await?;
        copy_manifests(&puts, part, approved, options, report).await?;
        let names = part.names.iter().filter_map(PlannedName::change);
        if let Some((_, write)) = writes.last() {
            names.into_iter().try_for_each(|change| write.name(change))?;
        }
    }
    Ok(())
}

/// All changes of a plan at one destination.
fn intent(part: &DestinationPlan) -> Intent {
    let graph = &part.graph;
    let untagged = graph.roots.iter().filter(|root| root.names.is_empty()).map(|root| &root.desc);
    let untagged = untagged.filter_map(|desc| graph.manifest(&desc.digest));
    let about = graph.manifests.iter().filter(|entry| entry.subject.is_some());
    let listed = untagged.chain(about).map(|entry| entry.desc.clone()).collect();
    let names: Vec<NameChange> = part.names.iter().filter_map(PlannedName::change).collect();
    Intent { items: graph.items().collect(), parts: parts(&graph.roots), listed, names, removals: Vec::new() }
}

/// Offers manifests of unknown media types to a destination that may refuse them, before any content is sent in vain.
async fn offer(puts: &Puts, part: &DestinationPlan) -> Result<()> {
    if part.to.abilities().any_media_type {
        return Ok(());
    }
    for (Entry { desc, bytes, .. }, presence) in part.graph.manifests.iter().zip(&part.presence) {
        if media_type::points(&desc.media_type) || presence.fits(desc) {
            continue;
        }
        let tags = part.names.iter().filter(|planned| planned.to.digest == desc.digest);
        let tags: Vec<String> = tags.map(|planned| format!("`{}`", planned.name)).collect();
        let place = if tags.is_empty() { String::new() } else { format!(" under {}", tags.join(", ")) };
        let offered = puts.offer(&desc.bare(), bytes).await;
        offered.context(|| format!("copy manifest {} to {}{place}", desc.digest, part.to))?;
    }
    Ok(())
}

/// Stores the manifests that the destination lacks, children first.
async fn copy_manifests(
    puts: &Puts,
    part: &DestinationPlan,
    approved: &Approved,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let anew = part.named_anew();
    for (entry, presence) in part.graph.manifests.iter().zip(&part.presence) {
        let present = presence.fits(&entry.desc);
        let mut outcome = Outcome::Present;
        // A registry sets a name by storing the manifest under it.
        if !present || anew.contains(&entry.desc.digest) {
            let mut stored = puts.manifest(&entry.desc.bare(), &entry.bytes).await;
            if let Err(e) = &stored
                && is_missing(e)
            {
                bring_again(puts, part, (&entry.desc.digest, e), approved, options, report).await?;
                stored = puts.manifest(&entry.desc.bare(), &entry.bytes).await;
            }
            outcome = stored.context(|| format!("copy manifest {} to {}", entry.desc.digest, part.to))?;
        }
        let outcome = if present { Outcome::Present } else { outcome };
        report.count(&entry.desc, outcome);
        options.progress.tell(Event::Done(entry.desc.bare(), outcome));
    }
    Ok(())
}

/// Sets the names. If the destination reports missing content of a manifest, that is sent once more.
async fn commit(
    mut write: Write,
    part: &DestinationPlan,
    approved: &Approved,
    options: &Options,
    report: &mut Report,
) -> Result<Committed> {
    let mut again = HashSet::new();
    loop {
        let error = match write.try_commit().await {
            Err(e) if is_missing(&e) => e,
            committed => return committed,
        };
        let of: Option<Digest> = error.facts().digest.as_ref().and_then(|digest| digest.parse().ok());
        let of = of.filter(|digest| again.insert(digest.clone()));
        let brought = match of {
            Some(digest) => bring_again(&write.puts(), part, (&digest, &error), approved, options, report).await,
            None => Err(error.context("after sending all its content again")),
        };
        if let Err(e) = brought {
            write.abandon().await;
            return Err(e);
        }
    }
}

/// The outcomes of the names. If a store does not report the previous manifests at commit, those of the plan are used.
fn names(part: &DestinationPlan, committed: &Committed) -> Vec<NameReport> {
    let done: HashMap<&RefName, &NameOutcome> = committed.names.iter().map(|(name, outcome)| (name, outcome)).collect();
    let report = |planned: &PlannedName| {
        let told = |from| PlannedName { from, refused: None, ..planned.clone() };
        NameReport::from(&match done.get(&planned.name) {
            Some(NameOutcome::New) => told(None),
            Some(NameOutcome::Moved(from)) => told(Some(from.clone())),
            Some(NameOutcome::Same) => told(Some(planned.to.digest.clone())),
            Some(NameOutcome::Set | NameOutcome::Removed) | None => planned.clone(),
        })
    };
    part.names.iter().map(report).collect()
}

fn is_missing(error: &Error) -> bool {
    error.code() == Some(Code::ContentMissing)
}

/// Sends all content of a manifest again, despite what the destination said before: it now reports some as missing.
async fn bring_again(
    puts: &Puts,
    part: &DestinationPlan,
    (digest, why): (&Digest, &Error),
    approved: &Approved,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let graph = &part.graph;
    let (mut of, mut blobs, mut manifests) = (HashSet::from([digest]), HashSet::new(), Vec::new());
    // Parents come after their children.
    for entry in graph.manifests.iter().rev() {
        if !of.contains(&entry.desc.digest) {
            continue;
        }
        of.extend(entry.children());
        let parsed = Parsed::read(&entry.desc.media_type, &entry.bytes)?;
        blobs.extend(
            parsed.children().iter().filter(|(role, _)| *role == Role::Blob).map(|(_, desc)| desc.digest.clone()),
        );
        if entry.desc.digest != *digest {
            manifests.push(entry);
        }
    }
    options.progress.tell(Event::Retried { why: why.to_string() });
    let blobs: Vec<&BlobEntry> = graph.blobs.iter().filter(|blob| blobs.contains(&blob.digest)).collect();
    let bytes = blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    options.progress.tell(Event::Planned { items: blobs.len(), bytes });
    copy_again(puts, part, &blobs, &approved.0.evidence, options, report).await?;
    for entry in manifests.into_iter().rev() {
        let stored = puts.manifest(&entry.desc.bare(), &entry.bytes).await;
        stored.context(|| format!("copy manifest {} to {} again", entry.desc.digest, part.to))?;
    }
    Ok(())
}

/// The effects of a run, as far as they can be known in advance: content that could be mounted counts as moved.
pub(super) fn foresee(part: &DestinationPlan, report: &mut Report) {
    part.complete.iter().for_each(|desc| report.count(desc, Outcome::Present));
    for (Item { desc, .. }, presence) in part.items() {
        let present = presence.fits(&desc);
        report.unknown |= presence == Presence::Unknown;
        report.count(&desc, if present { Outcome::Present } else { Outcome::Moved });
    }
    report.names.extend(part.names.iter().map(Into::into));
    report.notes.extend(part.notes());
}
