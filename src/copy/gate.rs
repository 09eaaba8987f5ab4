//! What stands between a plan and its run: whoever must agree reads the plan and the content it wants, and no store.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::plan::{CopyPlan, Part};
use crate::{
    error::{Context as _, Error, Result},
    oci::Digest,
    store::{self, Item, Presence, ReadStore},
};

/// Most bytes of content that the gates of one plan may want.
const MAX_EVIDENCE: u64 = 64 << 20;

/// One who must agree to a copy before it runs.
pub trait Gate: Send + Sync {
    /// The content of the plan that is to be read for this gate: manifests of the plan are at hand without it.
    fn wants(&self, plan: &CopyPlan) -> Vec<Item>;

    /// Errors: why the copy must not run.
    fn judge(&self, plan: &CopyPlan, evidence: &Evidence) -> Result<()>;
}

/// Content that was read for gates, verified.
#[derive(Debug, Default)]
pub struct Evidence(HashMap<Digest, Bytes>);

impl Evidence {
    /// The content of this digest, if it was wanted.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<&Bytes> {
        self.0.get(digest)
    }
}

/// A plan that all gates have let pass: what was judged is what is carried.
#[derive(Debug)]
pub struct Approved(pub(super) CopyPlan);

/// Reads what gates want, and asks each.
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
        left = left.checked_sub(item.desc.size).ok_or_else(|| {
            Error::limit(format!("more than {MAX_EVIDENCE} bytes to be read before the copy is approved"))
        })?;
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

/// Content from the first origin that has it.
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

fn origins<'a>(part: &'a Part, item: &Item) -> Vec<&'a Arc<dyn ReadStore>> {
    let graph = &part.graph;
    let blob = graph.blobs.iter().find(|blob| blob.digest == item.desc.digest).map(|blob| &blob.origins);
    let manifest = || graph.manifest(&item.desc.digest).map(|entry| &entry.origins);
    blob.or_else(manifest).map(|all| graph.origins(all).collect()).unwrap_or_default()
}

/// Hashes what a destination on this machine already has: its size alone is no reason to count on it.
async fn look(part: &Part) -> Result<()> {
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
