//! Connections: name resolution, TCP, TLS, and the pools of kept-alive HTTP/1.1 connections.
//!
//! No proxy and no other setting is taken from the environment.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
    time::Duration,
};

use http::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client, ResponseFuture,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::{Options, body::Outgoing, origin, retry::Lost};
use crate::error::{Error, Kind, Result};

type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// Kept open this long without use; servers commonly close after 60 s or more.
const IDLE: Duration = Duration::from_secs(30);
/// Kernel buffers of a connection, in bytes: a large blob needs fewer wake-ups.
const SOCKET_BUFFER: usize = 1 << 20;
/// Largest piece that is read from a connection at once, and largest head of a response, in bytes.
const READ_BUFFER: usize = 512 << 10;
/// Most headers of a response.
const MAX_HEADERS: usize = 256;

/// Connections that are kept for the next request.
pub(super) struct Pool {
    connector: Connector,
    client: Mutex<Client<Connector, Outgoing>>,
}

impl Pool {
    /// A pool whose connections go anywhere (`public_only` false), or to public addresses only.
    pub(super) fn new(options: &Options, public_only: bool) -> Result<Self> {
        let connector = connector(options, public_only)?;
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

fn connector(options: &Options, public_only: bool) -> Result<Connector> {
    let mut http = HttpConnector::new_with_resolver(Resolver { public_only });
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    http.set_send_buffer_size(Some(SOCKET_BUFFER));
    let tls = tls(options, public_only)?;
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http))
}

/// Looks names up with the system's resolver and leaves out the addresses that may not be used.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    public_only: bool,
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let public_only = self.public_only;
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            // `localhost` was granted plain http as a loopback name, so it must be one.
            let loopback_only = name.as_str() == "localhost";
            let usable: Vec<_> = all
                .filter(|a| !public_only || origin::is_public(a.ip()))
                .filter(|a| !loopback_only || a.ip().is_loopback())
                .collect();
            if usable.is_empty() {
                return Err(io::Error::other("its name leads to no address that may be used"));
            }
            Ok(usable.into_iter())
        })
    }
}

fn tls(options: &Options, verify_always: bool) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::caused(Kind::Internal, "cannot set up TLS", e))?;
    if options.insecure_tls && !verify_always {
        let verifier = Arc::new(Unverified(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots(&options.roots)?).with_no_client_auth())
}

/// Reads certificates, each item one in DER or any number in PEM. Errors: an item without a certificate.
fn roots(items: &[Vec<u8>]) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for item in items {
        let certificates: Vec<CertificateDer<'_>> = if item.starts_with(&[0x30]) {
            vec![CertificateDer::from(item.as_slice())]
        } else {
            let read: Result<_, _> = CertificateDer::pem_slice_iter(item).collect();
            read.map_err(|e| Error::invalid(format!("malformed certificates: {e}")))?
        };
        if certificates.is_empty() {
            return Err(Error::invalid("no certificate in a file of certificates"));
        }
        let given = certificates.len();
        // A system's collection may hold a few that are too old to be understood; one that the user gave must be.
        let (_, ignored) = store.add_parsable_certificates(certificates);
        if ignored == given && items.len() == 1 {
            return Err(Error::invalid("a certificate that cannot be understood"));
        }
    }
    Ok(store)
}

/// Takes every certificate; what `insecure_tls` asks for.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The failure of a request that got no answer: what failed, told from the chain of causes. `known`: this origin has
/// answered before, so that an address that refuses connections is one of a server that restarts.
pub(super) fn no_answer(
    what: &str,
    origin: &origin::Origin,
    error: hyper_util::client::legacy::Error,
    known: bool,
) -> Lost {
    let (connecting, mut malformed) = (error.is_connect(), false);
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(tls) = rustls_error(cause) {
            return Lost::Final(tls_failed(what, origin, tls));
        }
        malformed |= cause.downcast_ref().is_some_and(hyper::Error::is_parse);
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
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
    Lost::Passing { error, asked: None, stale: known && !connecting }
}

/// `io::Error::source` skips the error that it wraps, so that one is looked for by hand, however deep.
fn rustls_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    match cause.downcast_ref::<io::Error>() {
        Some(io) => rustls_error(io.get_ref()?),
        None => cause.downcast_ref(),
    }
}

fn tls_failed(what: &str, origin: &origin::Origin, error: &rustls::Error) -> Error {
    let host = origin.authority();
    let message = match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            format!("https was tried, and `{host}` answers in plain http")
        }
        rustls::Error::InvalidCertificate(why) => {
            let why = match why.to_string() {
                // webpki refuses what `openssl req -x509` makes unless it is told otherwise, even when it is trusted.
                text if text.contains("CaUsedAsEndEntity") => "it is an authority's (`CA:TRUE`), not a server's".into(),
                text => text,
            };
            format!("the certificate of `{host}` is not accepted at {}: {why}", jiff::Timestamp::now())
        }
        other => format!("https with `{host}` failed: {other}"),
    };
    Error::new(Kind::Unreachable, format!("{what}: {message}"))
}
