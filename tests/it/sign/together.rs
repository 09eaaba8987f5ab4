//! Many signers of one artifact at once: no signature is lost.

use std::{process::Stdio, sync::Arc, time::Duration};

use artifact::{
    sign::{Evidence, PrivateKey, Requirement, Signer, Verdict, judge, sign},
    store::Store,
    stores::{
        Layout, Memory,
        registry::{Options, Registry},
    },
};

use super::{KEY, PUB, bundles, legacy_layers, pushed, world};
use crate::support::{
    program::Served,
    samples::{Sample, deliver},
    server,
};

const SIGNERS: usize = 20;

/// Signs one artifact with so many keys at the same time, and verifies with each of them alone.
async fn signed_at_once(stores: Vec<Arc<dyn Store>>) {
    let sample = Sample::of(&[b"content"]);
    deliver(&stores[0], &sample, &["v1"]).await.unwrap();
    let mut signing = tokio::task::JoinSet::new();
    let mut keys = Vec::new();
    for n in 0..SIGNERS {
        let key = PrivateKey::generate().unwrap();
        keys.push(key.public().clone());
        let (store, subject) = (Arc::clone(&stores[n % stores.len()]), sample.root().clone());
        let mut options = artifact::sign::Options::default();
        (options.bundle, options.legacy) = (true, Some("registry.example/app".to_owned()));
        signing.spawn(async move { sign(&store, &subject, &key, &options).await });
    }
    while let Some(signed) = signing.join_next().await {
        assert_eq!(signed.unwrap().unwrap().written.len(), 2);
    }
    let store = &stores[0];
    let evidence = Evidence::read(store.as_ref(), sample.root()).await;
    assert!(evidence.errors.is_empty(), "{store}: {:?}", evidence.errors);
    assert_eq!(evidence.candidates.len(), 2 * SIGNERS, "{store}");
    for key in keys {
        let found = judge(&evidence, &Requirement::signature(vec![Signer::Key(key)]));
        assert_eq!((found.verdict, found.signatures.len()), (Verdict::Verified, 2), "{store}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_signers_in_one_process_leave_twenty_layers_and_referrers_in_a_layout() {
    let dir = tempfile::tempdir().unwrap();
    signed_at_once(vec![Arc::new(Memory::new())]).await;
    let layout = dir.path().join("layout");
    Layout::create(&layout).unwrap();
    let layouts = (0..4).map(|_| Arc::new(Layout::open(&layout).unwrap()) as Arc<dyn Store>);
    signed_at_once(layouts.collect()).await;
}

/// Each with a connection and a client of its own.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_signers_in_one_process_leave_twenty_layers_and_referrers_in_a_registry() {
    let registry = server::in_memory().await;
    let options = Options { read_timeout: Duration::from_secs(60), ..Options::default() };
    let client = || Registry::new(&registry.addr().to_string(), &options).unwrap().repository("app").unwrap();
    signed_at_once((0..SIGNERS).map(|_| Arc::new(client()) as Arc<dyn Store>).collect()).await;
}

#[test]
fn twenty_signers_in_as_many_processes_leave_twenty_layers_and_referrers_in_a_registry() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let place = format!("{}/app", registry.addr);
    let digest = pushed(&world, &format!("{place}:v1"));
    let mut running = Vec::new();
    for n in 0..SIGNERS {
        let mut command = world.command(&format!("sign {place}:v1 --key {KEY} -a signer={n} -q"));
        running.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    }
    for child in running {
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    assert_eq!(legacy_layers(&world, &place, &digest).len(), SIGNERS);
    assert_eq!(bundles(&world, &place, &digest).len(), SIGNERS);
    for n in 0..SIGNERS {
        let text = world.ok(&format!("verify {place}:v1 --key {PUB} -a signer={n}"));
        assert_eq!(text.matches("signed by").count(), 2, "{text}");
    }
}
