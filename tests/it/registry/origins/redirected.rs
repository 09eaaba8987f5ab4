//! Nothing secret goes along to where a registry sends us, and nothing comes back by a detour.

use artifact::{
    Kind, Result,
    oci::{Descriptor, media_type},
    store::{ReadStore as _, collect},
    stores::registry::{AuthFiles, Options, Repository},
};
use bytes::Bytes;

use super::{
    super::{kind, repository, saw_secret},
    PROOFS, Proof,
};
use crate::support::{
    samples::{named, noise},
    scripted::{Scripted, reply},
    writing::{fetch, put, size},
};

fn blob() -> Descriptor {
    Descriptor::of("a/b", b"hello")
}

/// Everything that reads, in turn.
async fn read(repository: &Repository, way: usize) -> Result<()> {
    let manifest = Descriptor::of(media_type::MANIFEST, b"hello");
    match way {
        0 => drop(repository.resolve(&named("v1")).await?),
        1 => drop(collect(fetch(repository, &blob(), 0).await?, 10).await?),
        2 => drop(collect(fetch(repository, &blob(), 2).await?, 10).await?),
        3 => drop(fetch(repository, &manifest, 0).await?),
        4 => drop(repository.list_names().await?.names),
        5 => drop(repository.referrers(&manifest).await?),
        6 => drop(size(repository, &blob().digest).await?),
        _ => drop(repository.registry().repositories().await?),
    }
    Ok(())
}

/// To another host (H1) and to another port (H2), whatever the secret, the request and the status are; the target asks
/// for a proof of its own (H4).
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_follows_a_redirect() {
    for proof in PROOFS {
        for ip in ["127.0.0.1", "127.0.0.2"] {
            for (way, status) in [301, 302, 303, 307, 308, 301, 307, 308].into_iter().enumerate() {
                let attacker = Scripted::at(ip, |request| {
                    let realm = format!("Basic, Bearer realm=\"http://{}/token\"", request.header("host"));
                    reply(401, &[("www-authenticate", &realm)], b"")
                });
                let target = format!("http://{}/x", attacker.host());
                let (registry, _service) = proof.wanted(move |_| reply(status, &[("location", &target)], b""));
                let repository = repository(registry.host(), "a", &proof.options(registry.host()));
                assert!(read(&repository, way).await.is_err(), "{proof:?} {way}");
                assert!(registry.saw("uthorization"), "{proof:?} {way}");
                assert!(!attacker.seen().is_empty() && !saw_secret(&attacker), "{proof:?} {way} {status}");
                assert!(attacker.lines().iter().all(|line| !line.contains("token")), "{:?}", attacker.lines());
            }
        }
    }
}

/// To another host (H7), another port (H8): by the answer that opens an upload.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_follows_an_upload() {
    for proof in PROOFS {
        for ip in ["127.0.0.1", "127.0.0.2"] {
            let attacker = Scripted::at(ip, |request| {
                let realm = format!("Basic, Bearer realm=\"http://{}/token\"", request.header("host"));
                reply(401, &[("www-authenticate", &realm)], b"")
            });
            let target = format!("http://{}/x", attacker.host());
            let (registry, _service) = proof.wanted(move |_| reply(202, &[("location", &target)], b""));
            let repository = repository(registry.host(), "a", &proof.options(registry.host()));
            assert_eq!(kind(put(&repository, &blob(), &Bytes::from_static(b"hello")).await), Kind::Unauthorized);
            assert_eq!(attacker.seen().len(), 1);
            assert!(!saw_secret(&attacker), "{proof:?}");
        }
    }
}

/// Who was asked without a secret does not choose what is asked with one (H1).
#[tokio::test(flavor = "multi_thread")]
async fn a_detour_does_not_bring_the_secret_back() {
    for proof in PROOFS {
        let home = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let back = std::sync::Arc::clone(&home);
        let attacker = Scripted::start(move |_| {
            let target = format!("http://{}/v2/private/chosen", back.lock().unwrap());
            reply(307, &[("location", &target)], b"")
        });
        let target = format!("http://{}/x", attacker.host());
        let (registry, _service) = proof.wanted(move |request| match request.line() {
            line if line.contains("chosen") => reply(200, &[], b"hello"),
            _ => reply(307, &[("location", &target)], b""),
        });
        *home.lock().unwrap() = registry.host().to_owned();
        let repository = repository(registry.host(), "a", &proof.options(registry.host()));
        assert_eq!(kind(fetch(&repository, &blob(), 0).await), Kind::Unauthorized);
        let chosen: Vec<_> = registry.seen().into_iter().filter(|r| r.line().contains("chosen")).collect();
        assert!(!chosen.is_empty() && chosen.iter().all(|r| r.header("authorization").is_empty()), "{proof:?}");
    }
}

/// The same for uploads (H7): where the pieces of one go, the registry's storage must not say for the registry.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_elsewhere_does_not_come_back_with_a_secret() {
    let home = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let back = std::sync::Arc::clone(&home);
    let attacker = Scripted::start(move |request| match request.line() {
        line if line.starts_with("PUT") => reply(413, &[], b""),
        _ => {
            let target = format!("http://{}/v2/private/chosen", back.lock().unwrap());
            reply(202, &[("location", &target)], b"")
        }
    });
    let target = format!("http://{}/x", attacker.host());
    let (registry, _service) = Proof::Basic.wanted(move |_| reply(202, &[("location", &target)], b""));
    *home.lock().unwrap() = registry.host().to_owned();
    let repository = repository(registry.host(), "a", &Proof::Basic.options(registry.host()));
    let bytes = Bytes::from(noise(12 << 20, 1));
    assert!(put(&repository, &Descriptor::of("a/b", &bytes), &bytes).await.is_err());
    assert!(attacker.lines().iter().any(|line| line.starts_with("PATCH")), "{:?}", attacker.lines());
    assert!(registry.seen().iter().all(|r| !r.line().contains("chosen") || r.header("authorization").is_empty()));
}

/// A cookie that a registry sets, and the headers that docker's file would have sent with every request (H5, H14): there
/// is no way for them to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_and_custom_headers_go_to_nobody() {
    for proof in [Proof::Basic, Proof::Password] {
        let storage = Scripted::at("127.0.0.2", |_| reply(200, &[("set-cookie", "b=canary-cookie")], b"hello"));
        let target = format!("http://{}/x", storage.host());
        let (registry, service) =
            proof.wanted(move |_| reply(307, &[("location", &target), ("set-cookie", "c=canary-cookie")], b""));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        let auth = serde_json::json!({
            "HttpHeaders": {"X-Canary": "canary-header", "Cookie": "d=canary-cookie"},
            "auths": {registry.host(): {"username": "u", "password": "p"}},
        });
        std::fs::write(&file, auth.to_string()).unwrap();
        let credentials = std::sync::Arc::new(AuthFiles::new(vec![file], Vec::new()));
        let repository = repository(registry.host(), "a", &Options { credentials, ..Options::default() });
        for _ in 0..2 {
            collect(fetch(&repository, &blob(), 0).await.unwrap(), 10).await.unwrap();
        }
        assert!(!storage.seen().is_empty());
        for request in [registry.seen(), storage.seen(), service.seen()].concat() {
            let head = request.head.to_ascii_lowercase();
            assert!(!head.contains("cookie") && !head.contains("x-canary"), "{head}");
            assert!(!head.contains("referer"), "{head}");
        }
    }
}
