//! What a registry and whoever stands behind it may try on us, H1 to H38: the list of what shows each, and the tests
//! that are about nothing else. Whoever must not learn a secret is a server of ours that remembers all it was sent.

mod keys;
mod output;
mod promises;
mod proofs;
mod redirected;
mod replies;

use std::{collections::BTreeMap, sync::Arc};

use artifact::stores::registry::{Credential, Options, Origin, Protocol};

use super::CANARY;
use crate::support::{
    scripted::{Request, Scripted, reply},
    written,
};

/// Every input of the family, and the tests that show what comes of it.
fn shown() -> BTreeMap<u32, Vec<String>> {
    let id = regex::Regex::new(r"\bH(\d{1,2})\b").unwrap();
    let mut shown: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for test in written::tests() {
        for found in id.captures_iter(&test.comment) {
            shown.entry(found[1].parse().unwrap()).or_default().push(test.name.clone());
        }
    }
    shown
}

#[test]
fn every_hostile_input_of_the_family_has_a_test() {
    let shown = shown();
    let missing: Vec<u32> = (1..=38).filter(|id| !shown.contains_key(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(shown.keys().filter(|id| !(1..=38).contains(*id)).count(), 0, "{shown:?}");
    for (id, tests) in shown {
        eprintln!("H{id}: {}", tests.join(", "));
    }
}

/// What proves who asks, in all kinds; each has the word `canary` in it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Proof {
    /// A password, sent with every request.
    Basic,
    /// A password, sent to the token service; its token is sent with every request.
    Password,
    /// An identity token, sent to the token service.
    Identity,
    /// A token of the user's, sent with every request.
    Bearer,
}

const PROOFS: [Proof; 4] = [Proof::Basic, Proof::Password, Proof::Identity, Proof::Bearer];

/// What the token service hands out.
const TOKEN: &str = "canary-token-7f20";
const IDENTITY: &str = "canary-identity-5b11";
const BEARER: &str = "canary-bearer-c0de";

impl Proof {
    /// A client that has this for the registry at this host, and does nothing twice.
    fn options(self, host: &str) -> Options {
        let origin = Origin::of_registry(host, Protocol::Auto).unwrap();
        let credential = match self {
            Self::Basic | Self::Password => Credential::password(&origin, "canary-user", CANARY).unwrap(),
            Self::Identity => Credential::identity_token(&origin, IDENTITY),
            Self::Bearer => Credential::bearer(&origin, BEARER),
        };
        Options { credentials: Arc::new(credential), retries: 0, ..Options::default() }
    }

    /// A registry that wants this proof and then answers so; and its token service.
    fn wanted(self, answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> (Scripted, Scripted) {
        let token = format!(r#"{{"token":"{TOKEN}"}}"#);
        let service = Scripted::start(move |_| reply(200, &[("set-cookie", "a=canary-cookie")], token.as_bytes()));
        let challenge = match self {
            Self::Basic => "Basic realm=\"x\"".into(),
            _ => format!("Bearer realm=\"http://{}/token\",service=\"x\"", service.host()),
        };
        let registry = Scripted::start(move |request| match request.header("authorization") {
            "" => reply(401, &[("www-authenticate", &challenge), ("set-cookie", "a=canary-cookie")], b""),
            _ => answer(request),
        });
        (registry, service)
    }
}
