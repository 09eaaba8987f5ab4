//! A certificate of ours: for the registry that asks, and for nobody else.

use artifact::{
    Kind,
    oci::Descriptor,
    store::ReadStore as _,
    stores::registry::{ClientCertificate, Options, Protocol, Proxies, Registry},
};
use bytes::Bytes;

use super::{kind, repository, there_and_back};
use crate::{
    harness::{Test, tests},
    support::{
        scripted::{Scripted, reply},
        server,
        tls::{Identity, Shown},
        writing::{fetch, put},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["openssl"]
            multi a_registry_that_asks_for_a_certificate_gets_it,
            multi storage_token_service_and_proxy_ask_in_vain,
            plain a_certificate_and_a_key_that_are_of_no_use_are_errors_at_once;
    ]
}

fn with_certificate(identity: &Identity) -> Options {
    let certificate = ClientCertificate::from_pem(&identity.pem.0, &identity.pem.1).unwrap();
    let roots = vec![identity.authority.clone()];
    Options { protocol: Protocol::Https, certificate: Some(certificate), roots, retries: 0, ..Options::default() }
}

/// Whether all clients showed a certificate; none if there was no client.
fn all(shown: &Shown) -> Option<bool> {
    let shown = shown.lock().unwrap();
    assert!(shown.iter().all(|one| one == &shown[0]), "{shown:?}");
    shown.first().copied()
}

async fn a_registry_that_asks_for_a_certificate_gets_it() {
    let identity = Identity::new();
    let server = server::in_memory().await;
    let (host, shown) = identity.asking(&server.addr().to_string()).await;
    there_and_back(repository(&host, "a", &with_certificate(&identity))).await;
    assert_eq!(all(&shown), Some(true));
    // Whoever has none is let in without, where the registry allows it.
    let (host, shown) = identity.asking(&server.addr().to_string()).await;
    let options = Options { certificate: None, ..with_certificate(&identity) };
    repository(&host, "a", &options).list_names().await.unwrap();
    assert_eq!(all(&shown), Some(false));
}

/// H6.
async fn storage_token_service_and_proxy_ask_in_vain() {
    let identity = Identity::new();
    let storage = Scripted::start(|request| match request.line() {
        line if line.starts_with("PUT") => reply(201, &[], b""),
        _ => reply(200, &[], b"hello"),
    });
    let (storage, storage_shown) = identity.asking(storage.host()).await;
    let service = Scripted::start(|_| reply(200, &[], br#"{"token":"t"}"#));
    let (service, service_shown) = identity.asking(service.host()).await;
    let (challenge, target) = (format!("Bearer realm=\"https://{service}/\""), format!("https://{storage}/x"));
    let registry = Scripted::start(move |request| match (request.header("authorization"), request.line()) {
        ("", _) => reply(401, &[("www-authenticate", &challenge)], b""),
        (_, line) if line.starts_with("POST") => reply(202, &[("location", &target)], b""),
        _ => reply(307, &[("location", &target)], b""),
    });
    let (host, shown) = identity.asking(registry.host()).await;
    let repository = repository(&host, "a", &with_certificate(&identity));
    let blob = Descriptor::of("a/b", b"hello");
    drop(fetch(&repository, &blob, 0).await.unwrap());
    put(&repository, &blob, &Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!([all(&shown), all(&storage_shown), all(&service_shown)], [Some(true), Some(false), Some(false)]);

    let proxy = Scripted::start(|_| reply(403, &[], b""));
    let (proxy, shown) = identity.asking(proxy.host()).await;
    let options = Options { proxies: Proxies::all(&format!("https://{proxy}")), ..with_certificate(&identity) };
    assert_eq!(kind(Registry::new(&host, &options).unwrap().ping().await), Kind::Unreachable);
    assert_eq!(all(&shown), Some(false));
}

fn a_certificate_and_a_key_that_are_of_no_use_are_errors_at_once() {
    let (one, other) = (Identity::new(), Identity::new());
    let (certificate, key) = &one.pem;
    let both = [certificate.as_slice(), key].concat();
    assert!(ClientCertificate::from_pem(&both, &both).is_ok());
    let text = String::from_utf8(key.clone()).unwrap().replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
    let encrypted = text.replace("END PRIVATE", "END ENCRYPTED PRIVATE").into_bytes();
    for (certificate, key, why) in [
        (certificate, &Vec::new(), "no private key"),
        (certificate, certificate, "no private key"),
        (key, key, "no certificate"),
        (certificate, &encrypted, "is encrypted"),
    ] {
        let error = ClientCertificate::from_pem(certificate, key).err().unwrap();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
    let strange = ClientCertificate::from_pem(certificate, &other.pem.1).unwrap();
    let options = Options { certificate: Some(strange), ..Options::default() };
    let error = Registry::new("registry.test", &options).err().unwrap();
    assert!(error.to_string().contains("do not match"), "{error}");
}
