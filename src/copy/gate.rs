//! Gates between a plan and its run: each reads the plan and the content that it requests, but no store.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::plan::{CopyPlan, DestinationPlan};
use crate::{
    error::{Context as _, Error, Result},
    oci::Digest,
    store::{self, Item, Presence, ReadStore},
};

/// Most bytes of content that the gates of one plan may request.
const MAX_EVIDENCE: u64 = 64 << 20;

/// A check that must pass before a copy runs.
pub trait Gate: Send + Sync {
    /// The content that this gate must read. Manifests of the plan are available without it.
    fn wants(&self, plan: &CopyPlan) -> Vec<Item>;

    /// Errors: the reason why the copy must not run.
    fn judge(&self, plan: &CopyPlan, evidence: &Evidence) -> Result<()>;
}

/// Verified content that gates requested.
#[derive(Debug, Default)]
pub struct Evidence(HashMap<Digest, Bytes>);

impl Evidence {
    /// The content with this digest, if it was requested.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<&Bytes> {
        self.0.get(digest)
    }
}

/// A plan that all gates have approved: exactly this plan is run.
#[derive(Debug)]
pub struct Approved(pub(super) CopyPlan);

/// Reads the content that gates request, and asks each gate.
pub(super) async fn judge(mut plan: CopyPlan, gates: &[&dyn Gate]) -> Result<Approved> {
    if gates.is_empty() {
        return Ok(Approved(plan));
    }
    let mut evidence = Evidence::default();
    let mut left = MAX_EVIDENCE;
    for item in gates.iter().flat_map(|gate| gate.wants(&plan)) {
        if evidence.0.contains_key(&item.desc.digest) {
            continue;
        }
        left = left
            .checked_sub(item.desc.size)
            .ok_or_else(|| Error::limit(format!("gates request more than {MAX_EVIDENCE} bytes of content")))?;
        let bytes = read(&plan, &item).await?;
        evidence.0.insert(item.desc.digest, bytes);
    }
    gates.iter().try_for_each(|gate| gate.judge(&plan, &evidence))?;
    for part in &plan.parts {
        look(part).await?;
    }
    plan.evidence = evidence.0;
    Ok(Approved(plan))
}

/// Reads content from the first origin that has it.
async fn read(plan: &CopyPlan, item: &Item) -> Result<Bytes> {
    let mut failed = None;
    for store in plan.parts.iter().flat_map(|part| origins(part, item)) {
        match store::read(store.as_ref(), item, MAX_EVIDENCE).await {
            Ok(bytes) => return Ok(bytes),
            Err(e) => failed = Some(e),
        }
    }
    Err(failed.unwrap_or_else(|| Error::not_found(format!("{} is not part of this copy", item.desc.digest))))
}

fn origins<'a>(part: &'a DestinationPlan, item: &Item) -> Vec<&'a Arc<dyn ReadStore>> {
    let graph = &part.graph;
    let blob = graph.blobs.iter().find(|blob| blob.digest == item.desc.digest).map(|blob| &blob.origins);
    let manifest = || graph.manifest(&item.desc.digest).map(|entry| &entry.origins);
    blob.or_else(manifest).map(|all| graph.origins(all).collect()).unwrap_or_default()
}

/// Hashes content that a local destination already has: its size alone does not prove that it is intact.
async fn look(part: &DestinationPlan) -> Result<()> {
    if part.to.abilities().refuses_incomplete {
        return Ok(());
    }
    for (item, presence) in part.items() {
        if let Presence::Here { size } = presence
            && size == item.desc.size
        {
            let whole = async { store::open(part.to.as_ref(), &item).await?.try_for_each(async |_| Ok(())).await };
            whole.await.context(|| format!("{} in {} is damaged", item.desc.digest, part.to))?;
        }
    }
    Ok(())
}
