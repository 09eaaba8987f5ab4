//! The scenarios that `examples/client-conformance` runs against programs, run against our own client in virtual time.

use std::{fs, path::Path, sync::Arc};

use artifact::{
    Result,
    serve::fault::{End, Operation, Scenario},
    store::{self, ReadStore, Store},
    stores::{Memory, registry},
};

use super::carry;
use crate::support::{
    faulty::Faulty,
    samples::{Sample, deliver, noise},
};

async fn holds(store: &dyn ReadStore, sample: &Sample) -> Result<bool> {
    let mut good = store.resolve("v1").await?.digest == sample.root().digest;
    for (desc, bytes) in sample.all() {
        good &= store::read(store, desc, desc.size).await? == bytes;
    }
    Ok(good)
}

/// What the client did wrong, and its own error.
async fn play(scenario: &Scenario) -> Option<String> {
    let layers: Vec<_> = (0..scenario.sample.layers as u64).map(|n| noise(scenario.sample.size, n + 1)).collect();
    let sample = Sample::of(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let world = Faulty::with(scenario.faults());
    let healthy: Arc<dyn Store> = Arc::new(world.healthy());
    let tested = Arc::new(world.repository(&registry::Options::default()));
    let (from, to): (Arc<dyn ReadStore>, Arc<dyn Store>) = match scenario.operation {
        Operation::Pull => {
            deliver(&healthy, &sample, &["v1"]).await.unwrap();
            (tested, Arc::new(Memory::new()))
        }
        Operation::Push => (sample.in_memory(&["v1"]).await, tested),
    };
    let done = tokio::time::timeout(scenario.limit.0, carry(&from, &to)).await;
    let there: &dyn ReadStore = if scenario.operation == Operation::Pull { to.as_ref() } else { healthy.as_ref() };
    let (end, error) = match done {
        Err(_) => (End::Hung, String::new()),
        Ok(Ok(_)) => (End::Succeeded { right: holds(there, &sample).await.unwrap_or_default() }, String::new()),
        Ok(Err(error)) => (End::Failed { clean: there.resolve("v1").await.is_err() }, error.to_string()),
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
