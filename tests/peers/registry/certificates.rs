//! A certificate of ours: for the registry that asks, and for nobody else.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use artifact::{
    Code, Kind,
    oci::Descriptor,
    store::ReadStore as _,
    stores::registry::{ClientCertificate, Options, Protocol, Proxies, Registry},
};
use bytes::Bytes;

use super::{kind, repository, there_and_back};
use crate::{
    harness::{Test, tests},
    support::{
        peer,
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
            multi a_registry_that_turns_a_client_away_is_told_from_one_that_is_not_there,
            plain a_certificate_and_a_key_that_are_of_no_use_are_errors_at_once;
        ["openssl", "python3"]
            multi a_client_certificate_of_version_1_is_shown_and_left_to_the_server;
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
        (certificate, &other.pem.1, "do not match"),
        (&Identity::version_1().pem.0, &other.pem.1, "do not match"),
    ] {
        let error = ClientCertificate::from_pem(certificate, key).err().unwrap();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}

async fn a_registry_that_turns_a_client_away_is_told_from_one_that_is_not_there() {
    let (identity, stranger) = (Identity::new(), Identity::new());
    let server = server::in_memory().await;
    let host = identity.requiring(&server.addr().to_string()).await;
    there_and_back(repository(&host, "a", &with_certificate(&identity))).await;
    let without = Options { certificate: None, ..with_certificate(&identity) };
    let with_another = Options { certificate: with_certificate(&stranger).certificate, ..with_certificate(&identity) };
    for (options, code, words) in [
        (without, Code::ClientCertificateWanted, "requires a client certificate"),
        (with_another, Code::ClientCertificateRefused, "refuses the client certificate"),
    ] {
        let error = repository(&host, "a", &options).list_names().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unreachable, Some(code)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A server of https that wants a certificate of this authority, and answers each request with a list of tags. rustls
/// itself takes none of version 1.
const SERVER: &str = r#"
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        body = b'{"name":"a","tags":["v1"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations("ca.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

async fn a_client_certificate_of_version_1_is_shown_and_left_to_the_server() {
    let (server, client) = (Identity::new(), Identity::version_1());
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("cert.pem", &server.pem.0), ("key.pem", &server.pem.1), ("ca.pem", &client.authority)] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let mut command = Command::new(peer("python3"));
    command.args(["-c", SERVER]).current_dir(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let certificate = ClientCertificate::from_pem(&client.pem.0, &client.pem.1).unwrap();
    let options = Options { certificate: Some(certificate), ..with_certificate(&server) };
    let listed = repository(&format!("127.0.0.1:{}", port.trim()), "a", &options).list_names().await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(listed.unwrap().names, ["v1"]);
}
