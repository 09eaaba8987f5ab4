//! The signing vectors from a registry that lists no referrers.

use std::sync::Arc;

use artifact::{
    store::{ReadStore, Store},
    stores::{Layout, registry::Options},
};

use super::carry;
use crate::{
    harness::{Test, tests},
    support::{
        client::repository,
        docker_registry::{Access, DockerRegistry},
        signing::{cases, outcome, vector},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![["docker-registry"] multi every_vector_gives_the_expected_answer_on_a_registry_without_a_list_of_referrers;]
}

/// What cannot be copied: its content is not there, or is not what its digest says.
const BROKEN: [&str; 2] = ["blob-replaced", "blob-missing"];

async fn every_vector_gives_the_expected_answer_on_a_registry_without_a_list_of_referrers() {
    let server = DockerRegistry::start(Access::Anyone);
    let (mut wrong, mut checked, mut left_out) = (Vec::new(), 0, Vec::new());
    for case in cases() {
        let layout: Arc<dyn ReadStore> = Arc::new(Layout::open(vector(&case.layout)).unwrap());
        let name = format!("v/{}", case.name.to_lowercase());
        let store: Arc<dyn Store> = Arc::new(repository(server.host(), &name, &Options::default()));
        let mut subjects: Vec<&str> = case.checks.iter().map(|check| check.subject(&case)).collect();
        subjects.sort_unstable();
        subjects.dedup();
        for (at, subject) in subjects.iter().enumerate() {
            if let Err(e) = carry(&layout, &subject.parse().unwrap(), &store, &format!("v{at}")).await {
                left_out.push(case.name.clone());
                assert!(BROKEN.contains(&case.name.as_str()), "{}: {e}", case.name);
            }
        }
        if left_out.contains(&case.name) {
            continue;
        }
        for (at, check) in case.checks.iter().enumerate() {
            let subject = store.resolve(&check.subject(&case).parse().unwrap()).await.unwrap();
            let found = outcome(store.as_ref(), &subject, &check.requirement()).await;
            checked += 1;
            if check.expect != "any" && found != check.expect {
                wrong.push(format!("{} check {at} ({}): {found}, not {}", case.name, check.profile, check.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(left_out, BROKEN);
}
