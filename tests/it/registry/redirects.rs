//! Where a registry may send us, and what never goes along. Every place that it must not learn from is a server of
//! ours that remembers all it was sent.

use std::sync::Arc;

use artifact::{
    Kind,
    oci::Descriptor,
    store::{ReadStore as _, Store as _, collect},
    stores::registry::{Credential, Options, Origin, Protocol},
};
use bytes::Bytes;

use super::{canary, kind, repository, saw_secret};
use crate::support::{
    scripted::{Scripted, reply},
    tls::Identity,
};

const BASIC: (&str, &str) = ("www-authenticate", "Basic realm=\"x\"");

/// Answers 401 until there is a credential, then this.
fn guarded(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request| match request.header("authorization") {
        "" => reply(401, &[BASIC], b""),
        _ => answer(request.line()),
    })
}

fn blob() -> Descriptor {
    Descriptor::of("a/b", b"hello")
}

/// H1, H2.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_elsewhere_is_fetched_without_credentials() {
    for ip in ["127.0.0.1", "127.0.0.2"] {
        let storage = Scripted::at(ip, |_| reply(200, &[], b"hello"));
        let target = format!("http://{}/bucket/x?signature=secret", storage.host());
        let registry = guarded(move |_| reply(307, &[("location", &target)], b""));
        let repository = repository(registry.host(), "a", &canary(registry.host()));
        let bytes = collect(repository.fetch(&blob(), 0).await.unwrap(), 10).await.unwrap();
        assert_eq!(bytes, "hello");
        assert!(registry.saw("uthorization") && !saw_secret(&storage));
        let seen = storage.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header("accept-encoding"), "identity");
    }
}

/// H4.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_from_elsewhere_is_not_answered() {
    let trap = Scripted::start(|request| {
        let realm = format!("Bearer realm=\"http://{}/token\", Basic", request.header("host"));
        reply(401, &[("www-authenticate", &realm)], b"")
    });
    let target = format!("http://{}/x", trap.host());
    let registry = guarded(move |_| reply(302, &[("location", &target)], b""));
    let repository = repository(registry.host(), "a", &canary(registry.host()));
    assert_eq!(kind(repository.fetch(&blob(), 0).await), Kind::Unauthorized);
    assert_eq!(trap.lines(), ["GET /x"]);
    assert!(!saw_secret(&trap));
}

/// H9.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_where_nobody_may_send_us_is_an_error() {
    for target in [
        "http://example.com/x",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/x",
        "https://10.0.0.1/x",
        "http://10.0.0.1/x",
        "https://[fe80::1]/x",
        "https://u:p@evil.test/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://",
        "",
    ] {
        let registry = Scripted::start(move |_| reply(302, &[("location", target)], b""));
        let repository = repository(registry.host(), "a", &canary(registry.host()));
        assert!(repository.fetch(&blob(), 0).await.is_err(), "{target}");
        assert_eq!(registry.seen().len(), 1, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_end() {
    let registry = Scripted::start(|_| reply(302, &[("location", "/again")], b""));
    let repository = repository(registry.host(), "a", &canary(registry.host()));
    assert_eq!(kind(repository.fetch(&blob(), 0).await), Kind::Limit);
    assert_eq!(registry.seen().len(), 6);
}

/// H1, H7.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_not_redirected_elsewhere() {
    let trap = Scripted::trap("127.0.0.1");
    let target = format!("http://{}/x", trap.host());
    for status in [301, 302, 303, 307, 308] {
        let target = target.clone();
        let registry = guarded(move |_| reply(status, &[("location", &target)], b""));
        let repository = repository(registry.host(), "a", &canary(registry.host()));
        let manifest = Bytes::from_static(b"{\"schemaVersion\":2,\"manifests\":[]}");
        let desc = Descriptor::of(artifact::oci::media_type::INDEX, &manifest);
        assert_eq!(kind(repository.push(&desc, &manifest).await), Kind::NotARegistry, "{status}");
    }
    assert!(trap.seen().is_empty());
}

/// H7, H8.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_elsewhere_goes_without_credentials() {
    for ip in ["127.0.0.1", "127.0.0.3"] {
        let storage = Scripted::at(ip, |_| reply(201, &[], b""));
        let target = format!("http://{}/put?state=kept", storage.host());
        let registry = guarded(move |_| reply(202, &[("location", &target)], b""));
        let repository = repository(registry.host(), "a", &canary(registry.host()));
        repository.push(&blob(), &Bytes::from_static(b"hello")).await.unwrap();
        let digest = blob().digest.to_string().replace(':', "%3A");
        assert_eq!(storage.lines(), [format!("PUT /put?state=kept&digest={digest}")]);
        assert_eq!(storage.seen()[0].body, b"hello");
        assert!(!saw_secret(&storage));
    }
}

/// H8, H9.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_where_nobody_may_send_us_is_an_error() {
    let long = format!("http://127.0.0.1/{}", "x".repeat(9000));
    for target in [
        "https://169.254.169.254/x",
        "https://0.0.0.0/x",
        "https://[::ffff:127.0.0.1]/x",
        "http://192.168.1.1/x",
        "//10.0.0.1/x",
        "http://evil.test/x",
        "https://u:p@evil.test/x",
        "http://[",
        "",
        long.as_str(),
    ] {
        let target = target.to_owned();
        let registry = Scripted::start(move |request| match request.line() {
            line if line.starts_with("POST") => reply(202, &[("location", &target)], b""),
            _ => reply(201, &[], b""),
        });
        let repository = repository(registry.host(), "a", &canary(registry.host()));
        let pushed = repository.push(&blob(), &Bytes::from_static(b"hello")).await;
        assert!(pushed.is_err(), "{:?}", registry.lines());
        assert_eq!(registry.seen().len(), 1, "{:?}", registry.lines());
    }
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
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_private_address_is_followed_from_private_registries_only() {
    let Some(identity) = Identity::named("DNS:inside.corp.test") else { return };
    // The second address is never connected to; it is enough that the registry could be there.
    for (addresses, followed) in [(&["127.0.0.1"][..], true), (&["127.0.0.1", "8.8.8.8"], false)] {
        let storage = Scripted::start(|_| reply(200, &[], b"hello"));
        let port = identity.in_front_of("127.0.0.1", storage.host()).await.replace("127.0.0.1:", "");
        let target = format!("https://inside.corp.test:{port}/x");
        let registry = guarded(move |_| reply(307, &[("location", &target)], b""));
        let host = registry.host().replace("127.0.0.1", "registry.corp.test");
        let options = Options { roots: vec![identity.authority.clone()], ..known_at(&host, addresses) };
        let fetched = repository(&host, "a", &options).fetch(&blob(), 0).await;
        assert_eq!(fetched.is_ok(), followed, "{addresses:?}");
        assert_eq!(storage.lines(), if followed { vec!["GET /x"] } else { Vec::new() });
        assert!(registry.saw("uthorization") && !saw_secret(&storage));
        if let Err(error) = fetched {
            assert!(error.to_string().contains("`inside.corp.test` leads to no address that may be used"), "{error}");
        }
    }
}

/// H12.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_service_at_a_private_address_gets_nothing_on_the_word_of_a_public_registry() {
    let Some(identity) = Identity::named("DNS:inside.corp.test") else { return };
    let trap = Scripted::trap("127.0.0.1");
    let port = identity.in_front_of("127.0.0.1", trap.host()).await.replace("127.0.0.1:", "");
    let challenge = format!("Bearer realm=\"https://inside.corp.test:{port}/token\"");
    let registry = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
    let host = registry.host().replace("127.0.0.1", "registry.corp.test");
    let options = Options { roots: vec![identity.authority.clone()], ..known_at(&host, &["127.0.0.1", "8.8.8.8"]) };
    assert_eq!(kind(repository(&host, "a", &options).fetch(&blob(), 0).await), Kind::Unreachable);
    assert!(trap.seen().is_empty());
}
