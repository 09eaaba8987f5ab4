//! Connections: TCP, proxies, TLS, and the pools of kept-alive HTTP/1.1 connections.
//!
//! No setting is taken from the environment.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, ResponseFuture, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    Options,
    body::Outgoing,
    dial::Dialer,
    origin::{self, Lane},
    resolve::{Reach, Resolver},
    retry::Lost,
    route::Route,
    tls::{self, Tls},
};
use crate::error::{Error, Kind, Result};

type Connector = HttpsConnector<Dialer>;

/// Kept open this long without use; servers commonly close after 60 s or more.
const IDLE: Duration = Duration::from_secs(30);
/// Kernel buffers of a connection, in bytes: a large blob needs fewer wake-ups.
const SOCKET_BUFFER: usize = 1 << 20;
/// Largest piece that is read from a connection at once, and largest head of a response, in bytes.
const READ_BUFFER: usize = 512 << 10;
/// Most headers of a response.
const MAX_HEADERS: usize = 256;
/// Most bytes of headers of a response.
pub(super) const MAX_HEADER_BYTES: usize = 64 << 10;

/// Connections that are kept for the next request.
pub(super) struct Pool {
    connector: Connector,
    client: Mutex<Client<Connector, Outgoing>>,
}

impl Pool {
    /// A pool of connections to hosts of this kind.
    pub(super) fn new(options: &Options, tls: &Tls, reach: &Reach, lane: Lane) -> Result<Self> {
        let connector = connector(options, tls, reach, lane)?;
        Ok(Self { client: Mutex::new(client(connector.clone())), connector })
    }

    /// Sends a request over a kept connection, else over a new one.
    pub(super) fn request(&self, request: Request<Outgoing>) -> ResponseFuture {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).request(request)
    }

    /// Forgets all idle connections: where one was closed from the other side, the others were, too.
    pub(super) fn renew(&self) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client(self.connector.clone());
    }
}

fn client(connector: Connector) -> Client<Connector, Outgoing> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(READ_BUFFER)
        .http1_max_headers(MAX_HEADERS)
        .build(connector)
}

fn connector(options: &Options, tls: &Tls, reach: &Reach, lane: Lane) -> Result<Connector> {
    let known = Arc::new(options.addresses.clone());
    let tcp = |lane| {
        let resolver = Resolver { lane, reach: reach.clone(), known: Arc::clone(&known) };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(options.connect_timeout));
        tcp.set_send_buffer_size(Some(SOCKET_BUFFER));
        tcp
    };
    // A proxy is no part of the registry: it sees no certificate of ours, and may be at any address.
    let route = Route::new(tcp(lane), tcp(Lane::Trusted), tls.config(Lane::Foreign)?, &options.proxies);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls.config(lane)?);
    // Which addresses are public is known of the network alone.
    let given = options.dial.clone().filter(|_| lane != Lane::Foreign);
    let dialer = given.map_or(Dialer::Net(route), Dialer::Given);
    Ok(https.https_or_http().enable_http1().wrap_connector(dialer))
}

/// The failure of a request that got no answer: what failed, told from the chain of causes. `known`: this origin has
/// answered before, so that an address that refuses connections is one of a server that restarts.
pub(super) fn no_answer(
    what: &str,
    origin: &origin::Origin,
    error: hyper_util::client::legacy::Error,
    known: bool,
) -> Lost {
    let (connecting, mut malformed, mut too_large) = (error.is_connect(), false, false);
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(error) = tls::cause(cause) {
            return Lost::Final(tls::failed(what, origin, error));
        }
        malformed |= cause.downcast_ref().is_some_and(hyper::Error::is_parse);
        too_large |= cause.downcast_ref().is_some_and(hyper::Error::is_parse_too_large);
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
    }
    if too_large {
        return Lost::Final(too_many_headers(what));
    }
    let kind = if connecting { Kind::Unreachable } else { Kind::Unavailable };
    let verb = if connecting { "cannot reach" } else { "no answer from" };
    let error = Error::new(kind, format!("{what}: {verb} `{}`: {cause}", origin.authority()));
    let broke = cause
        .downcast_ref()
        .is_some_and(|e: &io::Error| matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ConnectionReset));
    if malformed || connecting && !known && !broke {
        return Lost::Final(error);
    }
    Lost::Passing { error, asked: None, stale: known && !connecting, quota: false }
}

/// Headers beyond what is read.
pub(super) fn too_many_headers(what: &str) -> Error {
    Error::limit(format!(
        "{what}: answered with more than {MAX_HEADER_BYTES} bytes of headers or {MAX_HEADERS} headers"
    ))
}
