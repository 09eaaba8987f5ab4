//! TLS in front of a server of plain http, with a certificate made for the occasion.

use std::{net::SocketAddr, process::Command, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{peer, run};

/// A certificate for `127.0.0.1` and its key.
pub(crate) struct Identity {
    /// The authority that signed it, PEM.
    pub(crate) authority: Vec<u8>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Made by openssl; `None` where that is not installed.
    pub(crate) fn new() -> Option<Self> {
        let (openssl, dir) = (peer("openssl")?, tempfile::tempdir().unwrap());
        let make = |args: &str| run(Command::new(&openssl).args(args.split(' ')).current_dir(dir.path()));
        make("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        make("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=server");
        std::fs::write(dir.path().join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        make("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names");
        Some(Self {
            authority: std::fs::read(dir.path().join("ca.pem")).unwrap(),
            certificate: CertificateDer::from_pem_file(dir.path().join("cert.pem")).unwrap(),
            key: PrivateKeyDer::from_pem_file(dir.path().join("key.pem")).unwrap(),
        })
    }

    /// Listens at this address and passes on what comes, decrypted; gives the `host:port` that it listens at.
    pub(crate) async fn in_front_of(&self, ip: &str, backend: &str) -> String {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let backend: SocketAddr = backend.parse().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust us goes away here.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let mut inside = TcpStream::connect(backend).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        host
    }
}
