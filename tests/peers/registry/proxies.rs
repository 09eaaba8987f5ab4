//! Through proxies, of which some do not want us, and all of which learn as little as possible.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use artifact::{
    Kind,
    serve::{self, Running},
    store::ReadStore as _,
    stores::registry::{Credential, Options, Origin, Protocol, Proxies},
};

use super::{CANARY, kind, repository, there_and_back};
use crate::{
    harness::{Test, tests},
    support::{
        scripted::{Scripted, reply},
        server,
        tls::Identity,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["openssl"]
            multi https_goes_through_a_tunnel_that_learns_the_name_of_the_host_alone,
            multi a_proxy_may_be_spoken_to_in_https_itself;
        []
            multi plain_http_names_the_host_to_the_proxy_in_each_request,
            multi hosts_that_need_no_proxy_get_none,
            multi the_login_of_a_proxy_reaches_no_registry_and_no_message,
            multi a_proxy_that_refuses_says_why,
            multi a_proxy_of_plain_http_that_wants_a_password_or_shows_a_page_is_told_from_a_registry,
            multi a_proxy_that_is_not_there_or_not_supported_is_named;
    ]
}

const PROXY_PASSWORD: &str = "proxy-canary";
/// `proxy:proxy-canary` in base64.
const PROXY_LOGIN: &str = "Basic cHJveHk6cHJveHktY2FuYXJ5";

/// A proxy that tunnels everything to one place, and remembers what it was asked.
struct Tunnels {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    fn to(backend: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (host, asked) = (listener.local_addr().unwrap().to_string(), Arc::new(Mutex::new(Vec::new())));
        let (backend, seen) = (backend.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut outside, backend, seen) = (stream.unwrap(), backend.clone(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && outside.read(&mut byte).is_ok_and(|n| n > 0) {
                        head.push(byte[0]);
                    }
                    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                    let inside = TcpStream::connect(backend).unwrap();
                    outside.write_all(b"HTTP/1.1 200 Go ahead\r\nvia: test\r\n\r\n").unwrap();
                    let (mut from, mut to) = (outside.try_clone().unwrap(), inside.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                    let _ = std::io::copy(&mut &inside, &mut outside);
                    let _ = outside.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { host, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A registry called `registry.test`, which only a proxy could find, with a password for it.
fn behind(proxy: &str, protocol: Protocol, roots: Vec<Vec<u8>>) -> Options {
    let origin = Origin::of_registry("registry.test", protocol).unwrap();
    let credential = Credential::password(&origin, "canary-user", CANARY).unwrap();
    let proxies = Proxies::new(Some(proxy), Some(proxy), "other.test");
    Options { protocol, roots, proxies, credentials: Arc::new(credential), retries: 0, ..Options::default() }
}

/// A registry that goes by the names of these tests.
async fn named() -> Running {
    let hosts = ["registry.test", "other.test"].map(String::from).to_vec();
    server::start(serve::Options { hosts, ..serve::Options::in_memory() }).await
}

fn with_login(host: &str) -> String {
    format!("http://proxy:{PROXY_PASSWORD}@{host}")
}

async fn https_goes_through_a_tunnel_that_learns_the_name_of_the_host_alone() {
    let identity = Identity::named("DNS:registry.test");
    let server = named().await;
    let backend = identity.in_front_of("127.0.0.1", &server.addr().to_string()).await;
    let proxy = Tunnels::to(&backend);
    let options = behind(&with_login(&proxy.host), Protocol::Https, vec![identity.authority.clone()]);
    there_and_back(repository("registry.test", "a", &options)).await;
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for request in asked {
        let login = format!("Proxy-Authorization: {PROXY_LOGIN}");
        assert_eq!(
            request.trim_end().split("\r\n").collect::<Vec<_>>(),
            ["CONNECT registry.test:443 HTTP/1.1", "Host: registry.test:443", &login]
        );
    }
}

async fn a_proxy_may_be_spoken_to_in_https_itself() {
    let (registry, own) = (Identity::named("DNS:registry.test"), Identity::new());
    let server = named().await;
    let backend = registry.in_front_of("127.0.0.1", &server.addr().to_string()).await;
    let proxy = own.in_front_of("127.0.0.1", &Tunnels::to(&backend).host).await;
    let url = format!("https://{proxy}");
    let roots = vec![registry.authority.clone(), own.authority.clone()];
    there_and_back(repository("registry.test", "a", &behind(&url, Protocol::Https, roots))).await;

    // Not taking the registry's certificate for granted does not spare the proxy's.
    let options = Options { insecure_tls: true, ..behind(&url, Protocol::Https, vec![registry.authority.clone()]) };
    let error = repository("registry.test", "a", &options).list_names().await.unwrap_err();
    assert!(error.to_string().contains(&format!("https with the proxy `{url}` failed")), "{error}");
}

async fn plain_http_names_the_host_to_the_proxy_in_each_request() {
    let proxy = Scripted::start(|_| reply(200, &[], br#"{"name":"a","tags":["v1"]}"#));
    let options = behind(&with_login(proxy.host()), Protocol::Http, Vec::new());
    assert_eq!(repository("registry.test:5000", "a", &options).list_names().await.unwrap().names, ["v1"]);
    assert_eq!(proxy.lines(), ["GET http://registry.test:5000/v2/a/tags/list?n=1000"]);
    let seen = &proxy.seen()[0];
    assert_eq!((seen.header("host"), seen.header("proxy-authorization")), ("registry.test:5000", PROXY_LOGIN));
}

async fn hosts_that_need_no_proxy_get_none() {
    let (proxy, server) = (Scripted::trap("127.0.0.1"), named().await);
    let addr = server.addr();
    let addresses = [("other.test".to_owned(), vec![addr.ip()])].into();
    let options = Options { addresses, ..behind(proxy.host(), Protocol::Http, Vec::new()) };
    there_and_back(repository(&format!("other.test:{}", addr.port()), "a", &options)).await;
    there_and_back(repository(&addr.to_string(), "b", &options)).await;
    assert!(proxy.seen().is_empty());
}

async fn the_login_of_a_proxy_reaches_no_registry_and_no_message() {
    let registry = Scripted::start(|_| reply(500, &[], b"broken"));
    let proxy = Tunnels::to(registry.host());
    let options = behind(&with_login(&proxy.host), Protocol::Https, Vec::new());
    let error = repository("registry.test", "a", &options).list_names().await.unwrap_err().to_string();
    assert!(error.contains(&format!("through the proxy `http://{}`", proxy.host)), "{error}");
    assert!(!error.contains(PROXY_PASSWORD) && !format!("{options:?}").contains(PROXY_PASSWORD), "{error}");
    assert!(!registry.saw("roxy"));
}

async fn a_proxy_that_refuses_says_why() {
    let page = b"<html>log in to the hotel</html>";
    for (answer, wanted) in [
        (reply(403, &[], b"no"), "answered CONNECT with 403 Scripted"),
        (reply(502, &[], b"no"), "answered CONNECT with 502 Scripted"),
        (reply(407, &[("proxy-authenticate", "Basic")], b""), "rejected the user name and password"),
        (reply(200, &[("content-type", "text/html")], page), "answered in place of the host"),
        (b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), "malformed HTTP"),
        (b"HTTP/1.1 \x1b[31m\r\n\r\n".to_vec(), "malformed HTTP"),
        (b"HTTP/1.1 200".to_vec(), "did not answer CONNECT"),
        ([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 20 << 10]].concat(), "did not answer CONNECT"),
    ] {
        let proxy = Scripted::start(move |_| answer.clone());
        let options = behind(&with_login(proxy.host()), Protocol::Https, Vec::new());
        let error = repository("registry.test", "a", &options).list_names().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert!(!error.to_string().contains('\u{1b}') && !error.to_string().contains(PROXY_PASSWORD), "{error}");
    }
}

async fn a_proxy_of_plain_http_that_wants_a_password_or_shows_a_page_is_told_from_a_registry() {
    let proxy = Scripted::start(|_| reply(407, &[], b"<html>who are you</html>"));
    let options = behind(proxy.host(), Protocol::Http, Vec::new());
    let error = repository("registry.test", "a", &options).resolve(&"v1".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("requires a user name and password"), "{error}");

    let portal = Scripted::start(|_| reply(200, &[("content-type", "text/html")], b"<html>log in</html>"));
    let options = behind(portal.host(), Protocol::Http, Vec::new());
    assert_eq!(
        kind(repository("registry.test", "a", &options).resolve(&"v1".parse().unwrap()).await),
        Kind::NotARegistry
    );
    assert_eq!(kind(repository("registry.test", "a", &options).list_names().await), Kind::NotARegistry);
}

async fn a_proxy_that_is_not_there_or_not_supported_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = |proxy: String| async move {
        let options = behind(&proxy, Protocol::Https, Vec::new());
        repository("registry.test", "a", &options).list_names().await.unwrap_err().to_string()
    };
    let gone = error(free.clone()).await;
    assert!(gone.contains(&format!("through the proxy `http://{free}`")) && gone.contains("refused"), "{gone}");
    let socks = error(format!("socks5://proxy:{PROXY_PASSWORD}@{free}")).await;
    assert!(socks.contains("the proxy for https has an unsupported scheme: `socks5://`"), "{socks}");
    assert!(!socks.contains(PROXY_PASSWORD), "{socks}");
}
