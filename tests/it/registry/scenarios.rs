//! The scenarios that `examples/client-conformance` runs against programs, run against our own client in virtual time.

use std::{fs, path::Path, sync::Arc};

use artifact::{
    Result,
    fault::{self, End, Operation, Scenario},
    oci::{Descriptor, Index, media_type},
    store::{self, ReadStore, Store},
    stores::{Memory, registry},
};
use bytes::Bytes;

use super::carry;
use crate::support::{
    faulty::Faulty,
    samples::{LAYER, Sample, deliver, named, noise},
    writing::{publish, read},
};

/// What a scenario carries, and what is about it.
struct Load {
    sample: Sample,
    about: Option<Descriptor>,
    referrers: Vec<Sample>,
}

impl Load {
    fn new(wanted: &fault::Sample) -> Self {
        let layers = (0..wanted.layers as u64).map(|n| Bytes::from(noise(wanted.size, n + 1)));
        let layers = layers.map(|bytes| (Descriptor::of(LAYER, &bytes), bytes)).collect();
        let about = wanted.subject.then(|| Descriptor::of(media_type::MANIFEST, b"another"));
        let sample = Sample::with_layers(layers, about.clone());
        let note = |n: usize| Sample::about(sample.root(), format!("note {n}").as_bytes());
        Self { referrers: (0..wanted.referrers).map(note).collect(), sample, about }
    }

    /// Brings all of it to a registry, with the list that clients keep where a registry keeps none.
    async fn deliver(&self, to: &Arc<dyn Store>) {
        deliver(to, &self.sample, &["v1"]).await.unwrap();
        for note in &self.referrers {
            deliver(to, note, &[]).await.unwrap();
        }
        if !self.referrers.is_empty() {
            let list = Index::of(self.referrers.iter().map(|note| note.root().clone()).collect());
            let list = Bytes::from(serde_json::to_vec(&list).unwrap());
            let desc = Descriptor::of(media_type::INDEX, &list);
            publish(to.as_ref(), &desc, &list, &[&fallback(self.sample.root())]).await.unwrap();
        }
    }

    /// Whether all that a client was to carry is there.
    async fn is_at(&self, store: &dyn ReadStore) -> Result<bool> {
        let mut good = holds(store, &self.sample).await?;
        let listed = store.referrers(self.sample.root()).await?;
        good &= self.referrers.iter().all(|note| listed.iter().any(|desc| desc.digest == note.root().digest));
        if let Some(about) = &self.about {
            let list = store::read_manifest(store, &store.resolve(&named(fallback(about))).await?).await?;
            let list: Index = serde_json::from_slice(&list).unwrap();
            good &= list.manifests.iter().any(|member| member.digest == self.sample.root().digest);
        }
        Ok(good)
    }
}

/// The tag under which clients list what is about a manifest.
fn fallback(about: &Descriptor) -> String {
    format!("sha256-{}", about.digest.hex())
}

async fn holds(store: &dyn ReadStore, sample: &Sample) -> Result<bool> {
    let mut good = store.resolve(&named("v1")).await?.digest == sample.root().digest;
    for (desc, bytes) in sample.all() {
        good &= read(store, desc, desc.size).await? == bytes;
    }
    Ok(good)
}

/// What the client did wrong, and its own error.
async fn play(scenario: &Scenario) -> Option<String> {
    let load = Load::new(&scenario.sample);
    let world = Faulty::with(scenario.faults());
    let healthy: Arc<dyn Store> = Arc::new(world.healthy());
    let tested = Arc::new(world.repository(&registry::Options::default()));
    let (from, to): (Arc<dyn ReadStore>, Arc<dyn Store>) = match scenario.operation {
        Operation::Pull => {
            load.deliver(&healthy).await;
            (tested, Arc::new(Memory::new()))
        }
        Operation::Push => (load.sample.in_memory(&["v1"]).await, tested),
    };
    let done = tokio::time::timeout(scenario.limit.0, carry(&from, &to)).await;
    let there: &dyn ReadStore = if scenario.operation == Operation::Pull { to.as_ref() } else { healthy.as_ref() };
    let (end, error) = match done {
        Err(_) => (End::Hung, String::new()),
        Ok(Ok(_)) => (End::Succeeded { right: load.is_at(there).await.unwrap_or_default() }, String::new()),
        Ok(Err(error)) => (End::Failed { clean: there.resolve(&named("v1")).await.is_err() }, error.to_string()),
    };
    let idle = scenario.tokens.is_none() && world.seen().iter().all(|seen| seen.faults.is_empty());
    let idle = (idle && !SPARED.contains(&scenario.name.as_str())).then(|| "no fault happened".to_owned());
    let wrong = scenario.judge(end, &world.faults).or(idle)?;
    Some(format!("{}: {wrong}: {error}", scenario.name))
}

/// What never happens to us, since we send no pieces unless we must.
const SPARED: [&str; 1] = ["the registry takes blobs in one request only"];

fn scenarios() -> Vec<Scenario> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/client-conformance/scenarios");
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.extend(Scenario::parse(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}")));
    }
    all
}

async fn all(operation: Operation) -> Vec<String> {
    let mut wrong = Vec::new();
    for scenario in scenarios().iter().filter(|scenario| scenario.operation == operation) {
        wrong.extend(play(scenario).await);
    }
    wrong
}

#[tokio::test(start_paused = true)]
async fn our_client_makes_the_best_of_every_pull() {
    assert_eq!(all(Operation::Pull).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn our_client_makes_the_best_of_every_push() {
    assert_eq!(all(Operation::Push).await, Vec::<String>::new());
}
