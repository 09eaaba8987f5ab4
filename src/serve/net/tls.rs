//! TLS for a server: its certificate and its key.

use std::{fmt, io, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    error::{Error, Kind, Result},
    serve::app::Stream,
};

/// Limit of encrypted bytes that wait for room in the socket, per connection.
const BUFFER: usize = 16 << 10;

/// A certificate chain and its private key. TLS 1.2 and 1.3, HTTP/1.1.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

impl Tls {
    /// From PEM: the server's certificate first, then those between it and its authority; and its key (PKCS#8, PKCS#1
    /// or SEC1), not encrypted.
    ///
    /// Errors: kind `Invalid` if there is no certificate or key, or they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|e| Error::invalid(format!("the certificate is not PEM: {e}")))?;
        if chain.is_empty() {
            return Err(Error::invalid("there is no certificate (`-----BEGIN CERTIFICATE-----`) in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| Error::invalid(no_key(&e, key)))?;
        let internal = |e| Error::caused(Kind::Internal, "cannot set up TLS", e);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(internal)?;
        let unfit = |e| match e {
            rustls::Error::InconsistentKeys(_) => Error::invalid("the key is not that of the certificate"),
            other => Error::invalid(format!("the certificate or the key cannot be used: {other}")),
        };
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Takes a client's handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0));
        acceptor.accept_with(stream, |connection| connection.set_buffer_limit(Some(BUFFER))).await
    }
}

/// Why there is no key.
fn no_key(error: &pem::Error, text: &[u8]) -> String {
    let encrypted = String::from_utf8_lossy(text).contains("ENCRYPTED");
    match error {
        _ if encrypted => "the key is encrypted; `openssl pkey -in KEY -out PLAIN` decrypts it".into(),
        pem::Error::NoItemsFound => "there is no private key (`-----BEGIN PRIVATE KEY-----`) in it".into(),
        other => format!("the key is not PEM: {other}"),
    }
}

impl Stream for TlsStream<TcpStream> {
    fn reset(&mut self) {
        self.get_mut().0.reset();
    }
}
