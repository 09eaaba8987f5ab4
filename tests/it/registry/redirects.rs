//! Where a registry may send us, and what never goes along. Every place that it must not learn from is a server of
//! ours that remembers all it was sent.

use artifact::{Kind, oci::Descriptor, store::collect};
use bytes::Bytes;

use super::{blob, canary, guarded, kind, repository, saw_secret};
use crate::support::{
    scripted::{Scripted, reply},
    writing::{fetch, publish, put},
};

/// H1, H2.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_elsewhere_is_fetched_without_credentials() {
    for ip in ["127.0.0.1", "127.0.0.2"] {
        let storage = Scripted::at(ip, |_| reply(200, &[], b"hello"));
        let target = format!("http://{}/bucket/x?signature=secret", storage.host());
        let registry = guarded(move |_| reply(307, &[("location", &target)], b""));
        let repository = repository(registry.host(), "a", &canary(registry.host()));
        let bytes = collect(fetch(&repository, &blob(), 0).await.unwrap(), 10).await.unwrap();
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
    assert_eq!(kind(fetch(&repository, &blob(), 0).await), Kind::Unauthorized);
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
        assert!(fetch(&repository, &blob(), 0).await.is_err(), "{target}");
        assert_eq!(registry.seen().len(), 1, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_end() {
    let registry = Scripted::start(|_| reply(302, &[("location", "/again")], b""));
    let repository = repository(registry.host(), "a", &canary(registry.host()));
    assert_eq!(kind(fetch(&repository, &blob(), 0).await), Kind::Limit);
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
        assert_eq!(kind(publish(&repository, &desc, &manifest, &[]).await), Kind::NotARegistry, "{status}");
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
        put(&repository, &blob(), &Bytes::from_static(b"hello")).await.unwrap();
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
        let pushed = put(&repository, &blob(), &Bytes::from_static(b"hello")).await;
        assert!(pushed.is_err(), "{:?}", registry.lines());
        // Where the answer has no place in it at all, it is asked for once more, without a mount.
        let lines = registry.lines();
        assert!(lines.len() <= 2 && lines.iter().all(|line| line.starts_with("POST")), "{lines:?}");
    }
}
