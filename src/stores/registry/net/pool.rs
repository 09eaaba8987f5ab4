//! Connections: TCP, proxies, TLS, and pools for reuse.
//!
//! If a host offers HTTP/2 (ALPN, RFC 9113 section 3.2), all small requests share one connection; large ones use
//! HTTP/1.1 with a connection each, so that a lost packet or a full window delays no other request.
//!
//! No setting is taken from the environment.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request as HttpRequest, Response as HttpResponse, Version};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    client_auth::{ClientAuth, ClientAuthUse},
    dialer::Dialer,
    resolver::Resolver,
    settings::NetSettings,
    tls::Tls,
    tunnel::Route,
};
use crate::{
    error::Result,
    stores::registry::origins::{
        address_scope::NearestScope,
        origin::{HostTrust, Origin},
    },
};

pub(in crate::stores::registry) use hyper_util::client::legacy::Error as ClientError;

/// The body of a request. Its error gives the failure of the source of the body.
pub(in crate::stores::registry) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

type Connector = HttpsConnector<Dialer>;

/// How long an unused connection is kept open; servers commonly close after 60 s or more.
const IDLE: Duration = Duration::from_secs(30);
/// Kernel buffers of a connection, in bytes: a large blob then needs fewer wake-ups.
const SOCKET_BUFFER: usize = 1 << 20;
/// HTTP/2 window in bytes: per response, the maximum for a shared connection, and for all responses that share it (RFC
/// 9113 section 5.2).
pub(in crate::stores::registry) const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// A shared connection idle for this long gets a ping, and is dropped without an answer within the same time: many
/// requests depend on it.
const PING: Duration = Duration::from_secs(10);
/// Largest single read from a connection, and largest head of a response, in bytes.
const READ_BUFFER: usize = 512 << 10;
/// Most headers of a response.
pub(in crate::stores::registry) const MAX_HEADERS: usize = 256;
/// Most bytes of headers of a response.
pub(in crate::stores::registry) const MAX_HEADER_BYTES: usize = 64 << 10;

/// One pool for each kind of trust, since their connections have different rights.
pub(in crate::stores::registry) struct Pools {
    own: Pool,
    trusted: Pool,
    foreign: Pool,
}

impl Pools {
    /// Errors: unusable certificates and keys.
    pub(in crate::stores::registry) fn new(settings: &NetSettings, nearest: &NearestScope) -> Result<Self> {
        let tls = Tls::new(settings)?;
        let pool = |host_trust| Pool::new(settings, &tls, nearest, host_trust);
        Ok(Self { own: pool(HostTrust::Own)?, trusted: pool(HostTrust::Trusted)?, foreign: pool(HostTrust::Foreign)? })
    }

    /// The pool for hosts with this trust.
    pub(in crate::stores::registry) fn of(&self, host_trust: HostTrust) -> &Pool {
        match host_trust {
            HostTrust::Own => &self.own,
            HostTrust::Trusted => &self.trusted,
            HostTrust::Foreign => &self.foreign,
        }
    }
}

/// Connections kept for reuse.
pub(in crate::stores::registry) struct Pool {
    /// One connector for all protocols that a host offers, and one for HTTP/1.1 only.
    connectors: (Connector, Connector),
    clients: Mutex<Clients>,
    client_auth: ClientAuth,
    is_own: bool,
}

struct Clients {
    /// For small requests.
    shared: Requests,
    /// For large requests, if a shared connection would otherwise carry them.
    alone: Requests,
    /// Whether hosts that have answered share a connection.
    shares: HashMap<Origin, bool>,
    /// True if HTTP/2 has failed: some servers and proxies offer it but break it.
    broken: bool,
    /// How often all kept connections were dropped.
    round: u64,
}

impl Clients {
    /// The client for a request, and whether it speaks all protocols that the host offers. A host that has not answered
    /// yet may share.
    fn of(&self, origin: &Origin, large: bool) -> (Requests, bool) {
        let alone = large && origin.is_secure() && self.shares.get(origin) != Some(&false);
        if alone { (self.alone.clone(), false) } else { (self.shared.clone(), true) }
    }
}

type Requests = Client<Connector, RequestBody>;

/// A request without a response so far.
struct Pending<'a> {
    pool: &'a Pool,
    round: Option<u64>,
}

impl Drop for Pending<'_> {
    /// Without a response, or if cancelled: drops all kept connections. If one was closed by the peer or is dead, the
    /// others are likely to be, too.
    fn drop(&mut self) {
        self.round.into_iter().for_each(|round| self.pool.renew_clients(round));
    }
}

impl Pool {
    /// A pool of connections to hosts with this trust.
    pub(super) fn new(
        settings: &NetSettings,
        tls: &Tls,
        nearest: &NearestScope,
        host_trust: HostTrust,
    ) -> Result<Self> {
        let connectors = (
            connector(settings, tls, nearest, host_trust, true)?,
            connector(settings, tls, nearest, host_trust, false)?,
        );
        let (shared, alone) = (client(connectors.0.clone()), client(connectors.1.clone()));
        let clients = Mutex::new(Clients { shared, alone, shares: HashMap::new(), broken: false, round: 0 });
        let client_auth = tls.client_auth(host_trust).clone();
        Ok(Self { connectors, clients, client_auth, is_own: host_trust == HostTrust::Own })
    }

    /// Sends a request over a kept connection, else over a new one. `large`: its body or response would delay others on
    /// a shared connection.
    pub(in crate::stores::registry) async fn request(
        &self,
        origin: &Origin,
        request: HttpRequest<RequestBody>,
        large: bool,
    ) -> Result<HttpResponse<Incoming>, ClientError> {
        let (client, shared, round) = {
            let clients = self.clients();
            let (client, shared) = clients.of(origin, large);
            (client, shared, clients.round)
        };
        let mut pending = Pending { pool: self, round: Some(round) };
        let response = client.request(request).await;
        match &response {
            Ok(response) => {
                pending.round = None;
                if shared && origin.is_secure() {
                    self.clients().shares.insert(origin.clone(), response.version() == Version::HTTP_2);
                }
            }
            Err(error) if breaks_http2(error) => {
                let mut clients = self.clients();
                // Connections renewed meanwhile still speak HTTP/2, unless it failed before.
                pending.round = (!clients.broken).then_some(clients.round);
                clients.broken = true;
            }
            Err(_) => {}
        }
        response
    }

    /// What became of the client certificate.
    pub(in crate::stores::registry) fn client_auth(&self) -> ClientAuthUse {
        self.client_auth.what_became(self.is_own)
    }

    /// Starts with new connections, unless that was done since this round.
    fn renew_clients(&self, round: u64) {
        let mut clients = self.clients();
        if clients.round == round {
            clients.round += 1;
            clients.alone = client(self.connectors.1.clone());
            clients.shared = if clients.broken { clients.alone.clone() } else { client(self.connectors.0.clone()) };
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(connector: Connector) -> Requests {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(READ_BUFFER)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_BYTES as u32)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .build(connector)
}

/// True for a failure of HTTP/2 itself, not of the underlying connection, and not for a graceful shutdown.
fn breaks_http2(error: &ClientError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(error) = at.downcast_ref::<h2::Error>() {
            let peaceful = [h2::Reason::NO_ERROR, h2::Reason::REFUSED_STREAM];
            return error.reason().is_some_and(|reason| !peaceful.contains(&reason));
        }
        cause = at.source();
    }
    false
}

fn connector(
    settings: &NetSettings,
    tls: &Tls,
    nearest: &NearestScope,
    host_trust: HostTrust,
    http2: bool,
) -> Result<Connector> {
    let tcp = |host_trust| {
        let resolver = Resolver { host_trust, nearest: nearest.clone(), known: Arc::clone(&settings.addresses) };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        tcp.set_send_buffer_size(Some(SOCKET_BUFFER));
        tcp
    };
    // A proxy is not part of the registry: it gets no client certificate, and may be at any address.
    let route = Route::new(tcp(host_trust), tcp(HostTrust::Trusted), tls.config_for_proxies()?, &settings.proxies);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls.config(host_trust)?).https_or_http().enable_http1();
    // Only the network can tell which addresses are public.
    let given = settings.dial.clone().filter(|_| host_trust != HostTrust::Foreign);
    let dialer = given.map_or(Dialer::Net(route), Dialer::Given);
    Ok(if http2 { https.enable_http2().wrap_connector(dialer) } else { https.wrap_connector(dialer) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::registry::origins::origin::Protocol;

    #[test]
    fn what_is_large_leaves_a_connection_that_others_share_and_no_other() {
        let settings = NetSettings::default();
        let tls = Tls::new(&settings).unwrap();
        let pool = Pool::new(&settings, &tls, &NearestScope::default(), HostTrust::Own).unwrap();
        let plain = Origin::of_registry("localhost:5000", Protocol::Http).unwrap();
        let [new, old, unknown] = ["new", "old", "unknown"]
            .map(|name| Origin::of_registry(&format!("{name}.example"), Protocol::Https).unwrap());
        let mut clients = pool.clients();
        clients.shares.extend([(new.clone(), true), (old.clone(), false)]);
        for (origin, shares_large) in [(plain, true), (new, false), (old, true), (unknown, false)] {
            assert_eq!([false, true].map(|large| clients.of(&origin, large).1), [true, shares_large], "{origin:?}");
        }
    }
}
