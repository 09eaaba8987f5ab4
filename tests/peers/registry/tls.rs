//! https: trusted, mistrusted, and never given up for http.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use artifact::{
    Code, Kind,
    oci::Descriptor,
    progress::{Event, Observer, Progress},
    store::ReadStore as _,
    stores::registry::{Credential, Options, Origin, Protocol, Registry},
};
use bytes::Bytes;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{CANARY, kind, repository, saw_secret, there_and_back};
use crate::{
    harness::{Test, tests},
    support::{
        scripted::{Scripted, reply},
        server,
        tls::Identity,
        writing::{fetch, put},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["openssl"]
            multi a_registry_is_trusted_for_its_authority_or_on_request,
            multi a_registry_of_another_authority_or_name_gets_not_one_byte,
            multi a_certificate_that_is_its_own_authority_is_taken_from_those_who_trust_it,
            multi a_certificate_that_is_trusted_itself_still_needs_the_right_name_and_time,
            multi the_certificate_of_a_server_is_trusted_for_itself_and_signs_no_other,
            multi a_certificate_that_names_no_host_is_told_from_one_of_another_name,
            multi the_authorities_of_the_system_are_read_once_and_only_for_https,
            multi https_never_leads_to_http,
            multi a_token_service_of_plain_http_gets_nothing_from_a_registry_of_https,
            multi http_may_lead_to_https_and_the_password_stays_behind;
        []
            plain a_file_of_certificates_that_holds_none_is_an_error_at_once;
    ]
}

/// Options for https with a password, trusting this authority.
fn https(host: &str, roots: Vec<Vec<u8>>) -> Options {
    let origin = Origin::of_registry(host, Protocol::Https).unwrap();
    let credential = Credential::password(&origin, "canary-user", CANARY).unwrap();
    Options { protocol: Protocol::Https, roots, credentials: std::sync::Arc::new(credential), ..Options::default() }
}

/// Wants a password, then answers like this.
fn guarded(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        _ => answer(request.line()),
    })
}

async fn a_registry_is_trusted_for_its_authority_or_on_request() {
    let identity = Identity::new();
    for insecure_tls in [false, true] {
        let server = server::in_memory().await;
        let host = identity.in_front_of("127.0.0.1", &server.addr().to_string()).await;
        let roots = if insecure_tls { Vec::new() } else { vec![identity.authority.clone()] };
        there_and_back(repository(&host, "a", &Options { insecure_tls, ..https(&host, roots) })).await;
    }
}

/// H16.
async fn a_registry_of_another_authority_or_name_gets_not_one_byte() {
    let (identity, other) = (Identity::new(), Identity::new());
    let trap = Scripted::trap("127.0.0.1");
    for (ip, authority) in [("127.0.0.1", &other.authority), ("127.0.0.2", &identity.authority)] {
        let host = identity.in_front_of(ip, trap.host()).await;
        let options = https(&host, vec![authority.clone()]);
        let error = repository(&host, "a", &options).resolve(&"v1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains(&format!("the certificate of `{host}` is not trusted")), "{error}");
    }
    assert!(trap.seen().is_empty());
}

/// H3, H8: to another port, and to the very same one.
/// H16.
async fn a_certificate_that_is_its_own_authority_is_taken_from_those_who_trust_it() {
    let (identity, other) = (Identity::of_itself("IP:127.0.0.1"), Identity::of_itself("IP:127.0.0.1"));
    let server = server::in_memory().await;
    let host = identity.in_front_of("127.0.0.1", &server.addr().to_string()).await;
    there_and_back(repository(&host, "a", &https(&host, vec![identity.authority.clone()]))).await;
    for roots in [Vec::new(), vec![other.authority.clone()]] {
        let error = repository(&host, "a", &https(&host, roots)).resolve(&"v1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains("(`CA:TRUE`) and is not itself trusted"), "{error}");
    }
}

/// H16.
async fn a_certificate_that_is_trusted_itself_still_needs_the_right_name_and_time() {
    let (named, outdated) = (Identity::of_itself("DNS:other.test"), Identity::outdated("IP:127.0.0.1"));
    let trap = Scripted::trap("127.0.0.1");
    let year = jiff::Timestamp::now().strftime("clock says %Y-").to_string();
    for (identity, words) in
        [(named, ["not valid for name", "other.test"]), (outdated, ["it expired on 2021-01-01 00:00 UTC", &year])]
    {
        let host = identity.in_front_of("127.0.0.1", trap.host()).await;
        let options = https(&host, vec![identity.authority.clone()]);
        let error = repository(&host, "a", &options).resolve(&"v1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    assert!(trap.seen().is_empty());
}

/// Notes that are told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn event(&self, event: Event) {
        if let Event::Note(message) = event {
            self.0.lock().unwrap().push(message);
        }
    }
}

async fn the_certificate_of_a_server_is_trusted_for_itself_and_signs_no_other() {
    let identity = Identity::new();
    let server = server::in_memory().await;
    let host = identity.in_front_of("127.0.0.1", &server.addr().to_string()).await;
    let notes = Arc::new(Notes::default());
    let trusting = |host: &str, root: &Vec<u8>| Options {
        progress: Observer::new(Arc::clone(&notes) as Arc<dyn Progress>),
        ..https(host, vec![root.clone()])
    };
    there_and_back(repository(&host, "a", &trusting(&host, &identity.pem.0))).await;
    assert!(notes.0.lock().unwrap()[0].contains("the certificate of `127.0.0.1` is trusted because it is itself"));
    // With the authority there is nothing to note.
    notes.0.lock().unwrap().clear();
    there_and_back(repository(&host, "b", &trusting(&host, &identity.authority))).await;
    let both = [identity.pem.0.as_slice(), &identity.authority].concat();
    there_and_back(repository(&host, "c", &trusting(&host, &both))).await;
    assert!(notes.0.lock().unwrap().is_empty());

    let trap = Scripted::trap("127.0.0.1");
    let (other, outdated) = (Identity::new(), Identity::outdated_as("IP:127.0.0.1", "CA:FALSE"));
    let named = Identity::named("DNS:other.test");
    let signed = Identity::signed_by(&other, "IP:127.0.0.1");
    let for_itself = "one without `CA:TRUE` counts for itself only";
    for (shown, given, why) in [
        (&signed, &other, for_itself),
        (&identity, &other, for_itself),
        (&identity, &outdated, for_itself),
        (&outdated, &outdated, "it expired on 2021-01-01"),
        (&named, &named, "not valid for name"),
    ] {
        let host = shown.in_front_of("127.0.0.1", trap.host()).await;
        let options = trusting(&host, &given.pem.0);
        let error = repository(&host, "a", &options).resolve(&"v1".parse().unwrap()).await.unwrap_err();
        assert!(error.kind() == Kind::Unreachable && error.to_string().contains(why), "{why}: {error}");
    }
    assert!(trap.seen().is_empty() && notes.0.lock().unwrap().is_empty());
}

async fn a_certificate_that_names_no_host_is_told_from_one_of_another_name() {
    let trap = Scripted::trap("127.0.0.1");
    for (identity, code, why) in [
        (Identity::nameless(), Code::CertificateNamesNoHost, "it names no host in `subjectAltName`"),
        (Identity::version_1(), Code::CertificateNamesNoHost, "it is of X.509 version 1"),
        (Identity::named("DNS:other.test"), Code::CertificateForAnother, "not valid for name"),
    ] {
        let host = identity.in_front_of("127.0.0.1", trap.host()).await;
        let options = https(&host, vec![identity.authority.clone()]);
        let error = repository(&host, "a", &options).resolve(&"v1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(trap.seen().is_empty());
}

async fn the_authorities_of_the_system_are_read_once_and_only_for_https() {
    let identity = Identity::new();
    let (server, read) = (server::in_memory().await, Arc::new(AtomicUsize::new(0)));
    let addr = server.addr().to_string();
    let host = identity.in_front_of("127.0.0.1", &addr).await;
    let (counter, certificate) = (Arc::clone(&read), CertificateDer::from_pem_slice(&identity.authority).unwrap());
    let options = Options {
        system_roots: Some(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            vec![certificate.to_vec(), b"of another age".to_vec()].into()
        })),
        ..https(&host, Vec::new())
    };
    there_and_back(repository(&addr, "a", &Options { protocol: Protocol::Http, ..options.clone() })).await;
    assert_eq!(read.load(Ordering::Relaxed), 0);
    there_and_back(repository(&host, "b", &options)).await;
    assert_eq!(read.load(Ordering::Relaxed), 1);
}

fn a_file_of_certificates_that_holds_none_is_an_error_at_once() {
    for bytes in [&b""[..], b"-----BEGIN CERTIFICATE-----\n", b"\x30\x00", b"hello"] {
        let options = Options { roots: vec![bytes.to_vec()], ..Options::default() };
        assert_eq!(kind(Registry::new("registry.test", &options)), Kind::Invalid);
    }
}

async fn https_never_leads_to_http() {
    let identity = Identity::new();
    let trap = Scripted::trap("127.0.0.1");
    let elsewhere = trap.host().to_owned();
    for same_port in [false, true] {
        let elsewhere = elsewhere.clone();
        let backend = Scripted::start(move |request| {
            let host = if same_port { request.header("host") } else { &elsewhere };
            let target = format!("http://{host}/x");
            match (request.header("authorization"), request.line()) {
                ("", _) => reply(401, &[("www-authenticate", "Basic")], b""),
                (_, line) if line.starts_with("POST") => reply(202, &[("location", &target)], b""),
                _ => reply(307, &[("location", &target)], b""),
            }
        });
        let host = identity.in_front_of("127.0.0.1", backend.host()).await;
        let repository = repository(&host, "a", &https(&host, vec![identity.authority.clone()]));
        let desc = Descriptor::of("a/b", b"x");
        let fetched = kind(fetch(&repository, &desc, 0).await);
        let put = kind(put(&repository, &desc, &Bytes::from_static(b"x")).await);
        if same_port {
            // A registry behind a front that ends TLS means itself: the address is asked over https, through the front.
            assert_eq!(fetched, Kind::Limit);
            assert!(backend.lines().iter().any(|line| line == "GET /x"), "{:?}", backend.lines());
        } else {
            assert_eq!((fetched, put), (Kind::Invalid, Kind::Invalid));
            assert!(backend.lines().iter().all(|line| !line.ends_with("/x")), "{:?}", backend.lines());
        }
    }
    assert!(trap.seen().is_empty());
}

/// H11.
async fn a_token_service_of_plain_http_gets_nothing_from_a_registry_of_https() {
    let identity = Identity::new();
    let trap = Scripted::trap("127.0.0.1");
    let challenge = format!("Bearer realm=\"http://{}/token\"", trap.host());
    let backend = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
    let host = identity.in_front_of("127.0.0.1", backend.host()).await;
    let repository = repository(&host, "a", &https(&host, vec![identity.authority.clone()]));
    assert_eq!(kind(repository.resolve(&"v1".parse().unwrap()).await), Kind::Unauthorized);
    assert!(trap.seen().is_empty() && !saw_secret(&backend));
}

async fn http_may_lead_to_https_and_the_password_stays_behind() {
    let identity = Identity::new();
    let storage = Scripted::start(|_| reply(200, &[], b"x"));
    let secure = identity.in_front_of("127.0.0.1", storage.host()).await;
    let target = format!("https://{secure}/x");
    let registry = guarded(move |_| reply(307, &[("location", &target)], b""));
    let options = Options { roots: vec![identity.authority.clone()], ..super::canary(registry.host()) };
    let repository = repository(registry.host(), "a", &options);
    drop(fetch(&repository, &Descriptor::of("a/b", b"x"), 0).await.unwrap());
    assert!(registry.saw("uthorization"));
    assert_eq!(storage.lines(), ["GET /x"]);
    assert!(!saw_secret(&storage));
}
