//! HTTP/2 where a registry offers it: for what is small, and never at the price of an artifact.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use artifact::{
    Kind, Result,
    copy::{self, Report},
    store::{ReadStore, Store},
    stores::{
        Memory,
        registry::{Backoff, Dial, Duplex, Options, Protocol, Registry},
    },
};
use async_trait::async_trait;
use http::{Response, Version};
use http_body_util::Empty;
use hyper::{body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::{repository, there_and_back};
use crate::{
    harness::{Test, tests},
    support::{
        docker_registry::{Access, DockerRegistry},
        http2::{Fate, Http2, Seen},
        samples::{Sample, named, names, noise},
        server,
        tls::Identity,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["openssl"]
            multi what_is_small_shares_a_connection_and_what_is_large_has_its_own,
            multi a_registry_that_breaks_http2_is_spoken_to_in_http_1,
            multi a_connection_that_takes_no_more_requests_is_replaced_without_a_failure,
            multi a_shared_connection_that_died_is_given_up,
            multi more_headers_than_are_read_are_refused_over_http2_too,
            paused a_shared_connection_that_gives_no_sign_of_life_is_not_waited_for;
        ["docker-registry", "openssl"]
            multi docker_registry_is_spoken_to_in_http2;
    ]
}

fn https(identity: &Identity) -> Options {
    let short = Duration::from_millis(5);
    Options {
        protocol: Protocol::Https,
        roots: vec![identity.authority.clone()],
        backoff: Backoff { first: short, longest: short, ..Backoff::default() },
        header_timeout: Duration::from_secs(1),
        ..Options::default()
    }
}

/// Copies four blobs at a time.
async fn carry(from: Arc<dyn ReadStore>, to: impl Store + 'static) -> Result<Report> {
    let options = copy::Options { names: names(&["v1"]), concurrency: Some(4), ..copy::Options::default() };
    copy::between(&from, &named("v1"), &(Arc::new(to) as Arc<dyn Store>), &options).await
}

/// Twenty small layers and a large one.
fn sample() -> Sample {
    let mut layers: Vec<Vec<u8>> = (0..20).map(|n| noise(4000, n)).collect();
    layers.push(noise(3_000_000, 99));
    Sample::of(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Pushes the sample, and pulls it as another client, where HTTP/2 is offered; what the front saw of both, and what the push says of itself.
async fn both_ways(fate: impl Fn(&Seen) -> Fate + Send + Sync + 'static) -> (Vec<Seen>, Vec<Seen>, Report) {
    let identity = Identity::new();
    let backend = server::in_memory().await;
    let front = Http2::before(&backend.addr().to_string(), &identity, fate).await;
    let from = sample().in_memory(&["v1"]).await;
    let report = carry(from, repository(&front.host, "a", &https(&identity))).await.unwrap();
    let pushed = front.seen();
    carry(Arc::new(repository(&front.host, "a", &https(&identity))), Memory::new()).await.unwrap();
    let pulled = front.seen().split_off(pushed.len());
    (pushed, pulled, report)
}

/// The connections that carried requests of this version.
fn connections(seen: &[Seen], version: Version) -> usize {
    let mut all: Vec<usize> = seen.iter().filter(|seen| seen.version == version).map(|seen| seen.connection).collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

async fn what_is_small_shares_a_connection_and_what_is_large_has_its_own() {
    let (pushed, pulled, _) = both_ways(|_| Fate::Pass).await;
    for seen in [&pushed, &pulled] {
        assert_eq!((connections(seen, Version::HTTP_2), connections(seen, Version::HTTP_11)), (1, 1), "{seen:#?}");
    }
    let alone = |seen: &[Seen]| seen.iter().filter(|seen| seen.version == Version::HTTP_11).count();
    assert_eq!((alone(&pushed), alone(&pulled)), (1, 1), "the large layer alone");
}

async fn a_registry_that_breaks_http2_is_spoken_to_in_http_1() {
    let fate = |seen: &Seen| if seen.version == Version::HTTP_2 && seen.number > 5 { Fate::Break } else { Fate::Pass };
    let (pushed, pulled, _) = both_ways(fate).await;
    // All that were on their way together fail; after that nobody tries again.
    for seen in [pushed, pulled] {
        let last = seen.iter().rposition(|seen| seen.version == Version::HTTP_2).unwrap();
        let after = seen.len() - last;
        assert!(after > 12, "{after} of {}", seen.len());
    }
}

async fn a_connection_that_takes_no_more_requests_is_replaced_without_a_failure() {
    let fate = |seen: &Seen| if seen.number % 8 == 7 { Fate::Goodbye } else { Fate::Pass };
    let (pushed, pulled, report) = both_ways(fate).await;
    assert_eq!(report.retried, 0);
    for seen in [pushed, pulled] {
        assert!(connections(&seen, Version::HTTP_2) > 1, "{seen:#?}");
    }
}

async fn a_shared_connection_that_died_is_given_up() {
    // Its first answers come, then none: whoever asks over it again would wait in vain again.
    let first = OnceLock::new();
    let fate = move |seen: &Seen| {
        let dead = seen.connection == *first.get_or_init(|| seen.connection) && seen.number > 3;
        if dead { Fate::Hang } else { Fate::Pass }
    };
    let (pushed, ..) = both_ways(fate).await;
    assert!(connections(&pushed, Version::HTTP_2) > 1, "{pushed:#?}");
}

async fn more_headers_than_are_read_are_refused_over_http2_too() {
    let identity = Identity::new();
    let backend = server::in_memory().await;
    for (bytes, fits) in [(32 << 10, true), (65 << 10, false)] {
        let front = Http2::before(&backend.addr().to_string(), &identity, move |_| Fate::Swell(bytes)).await;
        let registry = Registry::new(&front.host, &https(&identity)).unwrap();
        let greeting = registry.ping().await;
        assert_eq!(greeting.is_ok(), fits, "{greeting:?}");
        if let Err(error) = greeting {
            assert_eq!(error.kind(), Kind::Limit, "{error}");
        }
    }
}

async fn docker_registry_is_spoken_to_in_http2() {
    let identity = Identity::new();
    let server = DockerRegistry::start(Access::Https(&identity));
    there_and_back(repository(server.host(), "team/art", &https(&identity))).await;
    let log = server.access_log();
    let (old, new): (Vec<&str>, Vec<&str>) = log.lines().partition(|line| line.contains(" HTTP/1.1\" "));
    assert!(new.len() > 10 && new.iter().all(|line| line.contains(" HTTP/2.0\" ")), "{log}");
    assert_eq!(old.iter().filter(|line| line.contains("\"PUT ")).count(), 1, "{log}");
    assert_eq!(old.iter().filter(|line| line.contains(" 200 5000000 ")).count(), 1, "{log}");
    assert_eq!(old.len(), 2, "{log}");
}

/// Lines to a server in this process that answers everything, until they fall silent without being closed.
struct Silenced {
    acceptor: TlsAcceptor,
    lines: AtomicUsize,
    silence: Arc<Notify>,
}

#[async_trait]
impl Dial for Silenced {
    async fn dial(&self, _host: &str, _port: u16) -> io::Result<Box<dyn Duplex>> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (acceptor, silence) = (self.acceptor.clone(), Arc::clone(&self.silence));
        self.lines.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let far = TokioIo::new(acceptor.accept(far).await.unwrap());
            let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
            let mut serving = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(far, service));
            tokio::select! {
                _ = &mut serving => {}
                () = silence.notified() => std::future::pending().await,
            }
        });
        Ok(Box::new(near))
    }
}

async fn a_shared_connection_that_gives_no_sign_of_life_is_not_waited_for() {
    let identity = Identity::new();
    let acceptor = identity.offering(&["h2"]);
    let dial = Arc::new(Silenced { acceptor, lines: AtomicUsize::new(0), silence: Arc::default() });
    let patience = Duration::from_secs(60);
    let options = Options { dial: Some(dial.clone()), header_timeout: patience, ..https(&identity) };
    let registry = Registry::new("127.0.0.1:1", &options).unwrap();
    registry.ping().await.unwrap();
    dial.silence.notify_one();
    let start = tokio::time::Instant::now();
    registry.ping().await.unwrap();
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
    assert_eq!(dial.lines.load(Ordering::SeqCst), 2);
}
