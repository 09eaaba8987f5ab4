//! The vectors behind a registry: with the referrers API, without it, and by the command line.

use std::sync::Arc;

use artifact::{
    copy,
    serve::{Mounted, Options, Running},
    store::{ReadStore, Store},
    stores::{Layout, registry},
};

use super::{vector, world};
use crate::support::{
    faulty::Faulty,
    samples::{named, ref_name},
    server,
    signing::{Case, cases, outcome},
};

/// A registry without the referrers API: lists of referrers are under tags.
const OLD: &str = "{on: GET referrers, nth: all, refuse: {status: 404}}, \
    {on: PUT manifest, nth: all, change: {headers: {oci-subject: null}}}";

/// A registry with the layout of this case as the repository `a`.
async fn served(case: &Case) -> Running {
    let layout = Arc::new(Layout::open(vector(&case.layout)).unwrap());
    let mounted = Mounted::new().and("a".parse().unwrap(), layout as _);
    server::start(Options { repositories: Arc::new(mounted), ..Options::in_memory() }).await
}

/// Those of its checks that give another answer than the expected one.
async fn wrong(store: &dyn ReadStore, case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, check) in case.checks.iter().enumerate() {
        let subject = store.resolve(&check.subject(case).parse().unwrap()).await.unwrap();
        let found = outcome(store, &subject, &check.requirement()).await;
        if check.expect != "any" && found != check.expect {
            wrong.push(format!("{} check {at}: {found}, not {}", case.name, check.expect));
        }
    }
    wrong
}

#[tokio::test]
async fn every_check_gives_its_answer_behind_a_registry_with_the_referrers_api() {
    let mut all = Vec::new();
    for case in cases() {
        let running = served(&case).await;
        let options = registry::Options { retries: 0, ..registry::Options::default() };
        let client = registry::Registry::new(&running.addr().to_string(), &options).unwrap();
        all.extend(wrong(&client.repository("a").unwrap(), &case).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test]
async fn every_check_gives_its_answer_where_referrers_are_listed_under_a_tag() {
    let (mut all, mut copied) = (Vec::new(), 0);
    for case in cases() {
        let faulty = Faulty::new(OLD);
        let layout: Arc<dyn ReadStore> = Arc::new(Layout::open(vector(&case.layout)).unwrap());
        let there: Arc<dyn Store> = Arc::new(faulty.repository(&registry::Options::default()));
        let mut whole = true;
        for name in layout.list_names().await.unwrap().names {
            let options = copy::Options { names: vec![ref_name(&name)], referrers: true, ..copy::Options::default() };
            whole &= copy::between(&layout, &named(&name), &there, &options).await.is_ok();
        }
        // What is missing or not what its digest says is not copied.
        assert_eq!(!whole, case.name.starts_with("blob-"), "{}", case.name);
        if whole {
            all.extend(wrong(there.as_ref(), &case).await);
            copied += 1;
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert_eq!(copied, 85);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_gives_its_exit_code_on_the_command_line() {
    let world = world();
    let (mut all, mut checked) = (Vec::new(), 0);
    for case in cases() {
        let registry = served(&case).await;
        for check in case.checks.iter().filter(|check| check.has_flags() && check.expect != "any") {
            let subject = check.subject(&case);
            let separator = if subject.contains(':') { '@' } else { ':' };
            let location = format!("{}/a{separator}{subject}", registry.addr());
            let line = format!("verify {location} {} --retries 0", check.flags());
            let ran = world.run(&line);
            let code = match check.expect.as_str() {
                "verified" => 0,
                "rejected" => 3,
                "unsigned" => 6,
                _ => 1,
            };
            checked += 1;
            let says = format!("{}{}", ran.stdout, ran.stderr).contains("verified");
            if ran.code != code || says != (code == 0) {
                all.push(format!("{} {line}: {}, not {code}\n{}{}", case.name, ran.code, ran.stdout, ran.stderr));
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(checked >= 120, "{checked}");
}
