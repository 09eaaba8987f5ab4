//! Names that lead to private addresses.

use std::sync::Arc;

use artifact::{
    Code, Kind,
    stores::registry::{Credential, Options, Origin, Protocol},
};

use super::{blob, guarded, kind, repository, saw_secret};
use crate::{
    harness::{Test, tests},
    support::{
        scripted::{Scripted, reply},
        tls::Identity,
        writing::fetch,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["openssl"]
            multi a_name_that_leads_to_a_private_address_is_followed_from_private_registries_only,
            multi a_token_service_at_a_private_address_gets_nothing_on_the_word_of_a_public_registry;
    ]
}

/// The password of this registry, which is known by name at these addresses; so is `inside.corp.test`, at loopback.
fn known_at(host: &str, addresses: &[&str]) -> Options {
    let at = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
    let names = [("registry.corp.test", at(addresses)), ("inside.corp.test", at(&["127.0.0.1"]))];
    let addresses = names.map(|(name, ips)| (name.to_owned(), ips)).into();
    let origin = Origin::of_registry(host, Protocol::Http).unwrap();
    let credential = Credential::password(&origin, "canary-user", super::CANARY).unwrap();
    Options { protocol: Protocol::Http, addresses, credentials: Arc::new(credential), ..Options::default() }
}

/// H9.
async fn a_name_that_leads_to_a_private_address_is_followed_from_private_registries_only() {
    let identity = Identity::named("DNS:inside.corp.test");
    // The second address is never connected to; it is enough that the registry could be there.
    for (addresses, followed) in [(&["127.0.0.1"][..], true), (&["127.0.0.1", "8.8.8.8"], false)] {
        let storage = Scripted::start(|_| reply(200, &[], b"hello"));
        let port = identity.in_front_of("127.0.0.1", storage.host()).await.replace("127.0.0.1:", "");
        let target = format!("https://inside.corp.test:{port}/x");
        let registry = guarded(move |_| reply(307, &[("location", &target)], b""));
        let host = registry.host().replace("127.0.0.1", "registry.corp.test");
        let options = Options { roots: vec![identity.authority.clone()], ..known_at(&host, addresses) };
        let fetched = fetch(&repository(&host, "a", &options), &blob(), 0).await;
        assert_eq!(fetched.is_ok(), followed, "{addresses:?}");
        assert_eq!(storage.lines(), if followed { vec!["GET /x"] } else { Vec::new() });
        assert!(registry.saw("uthorization") && !saw_secret(&storage));
        if let Err(error) = fetched {
            assert!(error.to_string().contains("no permitted address: `127.0.0.1` is not public"), "{error}");
            assert_eq!(error.code(), Some(Code::HostNotTrusted));
        }
    }
}

/// H12.
async fn a_token_service_at_a_private_address_gets_nothing_on_the_word_of_a_public_registry() {
    let identity = Identity::named("DNS:inside.corp.test");
    let trap = Scripted::trap("127.0.0.1");
    let port = identity.in_front_of("127.0.0.1", trap.host()).await.replace("127.0.0.1:", "");
    let challenge = format!("Bearer realm=\"https://inside.corp.test:{port}/token\"");
    let registry = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
    let host = registry.host().replace("127.0.0.1", "registry.corp.test");
    let options = Options { roots: vec![identity.authority.clone()], ..known_at(&host, &["127.0.0.1", "8.8.8.8"]) };
    assert_eq!(kind(fetch(&repository(&host, "a", &options), &blob(), 0).await), Kind::Unreachable);
    assert!(trap.seen().is_empty());
}
