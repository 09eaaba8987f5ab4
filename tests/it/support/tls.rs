//! TLS in front of a server of plain http, with a certificate made for the occasion.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{peer, run};

/// A server's certificate and its key.
pub(crate) struct Identity {
    /// Whom a client must trust to believe the server: an authority, or the certificate itself; PEM.
    pub(crate) authority: Vec<u8>,
    /// The certificate and its key, PEM each.
    pub(crate) pem: (Vec<u8>, Vec<u8>),
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// For `127.0.0.1`, signed by an authority.
    pub(crate) fn new() -> Self {
        Self::named("IP:127.0.0.1")
    }

    /// For these names, signed by an authority.
    pub(crate) fn named(names: &str) -> Self {
        let made = Made::new();
        made.run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        made.run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=server");
        made.write("names", &format!("subjectAltName={names}\n"));
        made.run(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
        );
        made.identity("ca.pem")
    }

    /// For no name but the common one, signed by an authority.
    pub(crate) fn nameless() -> Self {
        let made = Made::new();
        made.run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        made.run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=127.0.0.1");
        made.write("extensions", "basicConstraints=CA:FALSE\n");
        made.run(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile \
             extensions",
        );
        made.identity("ca.pem")
    }

    /// Of X.509 version 1, signed by an authority: what `openssl x509 -req` makes unless told otherwise.
    pub(crate) fn version_1() -> Self {
        let made = Made::new();
        made.run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        made.run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=127.0.0.1");
        made.run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2");
        let identity = made.identity("ca.pem");
        // The explicit version, [0], is left out only for version 1 (RFC 5280 section 4.1).
        assert!(!identity.certificate.windows(5).take(16).any(|part| part == [0xa0, 3, 2, 1, 2]), "version 3");
        identity
    }

    /// For these names, signed with the certificate of another server.
    pub(crate) fn signed_by(other: &Self, names: &str) -> Self {
        let made = Made::new();
        made.write("ca.pem", std::str::from_utf8(&other.pem.0).unwrap());
        made.write("ca.key", std::str::from_utf8(&other.pem.1).unwrap());
        made.run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=other");
        made.write("names", &format!("subjectAltName={names}\n"));
        made.run(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
        );
        made.identity("ca.pem")
    }

    /// For these names, signed by itself: an authority's (`CA:TRUE`), which `openssl req -x509` makes unless told otherwise.
    pub(crate) fn of_itself(names: &str) -> Self {
        let made = Made::new();
        made.run(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=server -addext \
             subjectAltName={names}"
        ));
        made.identity("cert.pem")
    }

    /// The same, but from January 2020 to January 2021.
    pub(crate) fn outdated(names: &str) -> Self {
        Self::outdated_as(names, "CA:TRUE")
    }

    /// The same with these basic constraints.
    pub(crate) fn outdated_as(names: &str, constraints: &str) -> Self {
        let made = Made::new();
        made.run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=server");
        made.write("db", "");
        made.write(
            "config",
            &format!(
                "[ca]\ndefault_ca=c\n[c]\ndatabase=db\nrand_serial=yes\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n\
                 [p]\ncommonName=supplied\n[x]\nsubjectAltName={names}\nbasicConstraints=critical,{constraints}\n"
            ),
        );
        made.run(
            "ca -batch -selfsign -config config -keyfile key.pem -in request.pem -out cert.pem -startdate \
             20200101000000Z -enddate 20210101000000Z -extensions x -notext",
        );
        made.identity("cert.pem")
    }

    /// The key, encrypted with a password as OpenSSL does now, and as it did before version 1.0.
    pub(crate) fn encrypted_keys(&self) -> [Vec<u8>; 2] {
        let made = Made::new();
        made.write("key.pem", std::str::from_utf8(&self.pem.1).unwrap());
        made.run("pkey -in key.pem -aes256 -passout pass:secret -out new.pem");
        made.run("rsa -in key.pem -aes256 -traditional -passout pass:secret -out old.pem");
        ["new.pem", "old.pem"].map(|name| std::fs::read(made.dir.path().join(name)).unwrap())
    }

    /// Listens at this address and passes on what comes, decrypted; gives the `host:port` that it listens at.
    pub(crate) async fn in_front_of(&self, ip: &str, backend: &str) -> String {
        self.listen(ip, backend, WebPkiClientVerifier::no_client_auth(), Shown::default()).await
    }

    /// The same at loopback, asking every client for a certificate of this one's authority; and of each client, whether
    /// it showed one.
    pub(crate) async fn asking(&self, backend: &str) -> (String, Shown) {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.authority).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.allow_unauthenticated().build().unwrap();
        let shown = Shown::default();
        (self.listen("127.0.0.1", backend, verifier, Arc::clone(&shown)).await, shown)
    }

    /// The same, but turning away whoever shows none of this one's authority.
    pub(crate) async fn requiring(&self, backend: &str) -> String {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.authority).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        self.listen("127.0.0.1", backend, verifier, Shown::default()).await
    }

    /// What accepts connections of https, offering these protocols.
    pub(crate) fn offering(&self, protocols: &[&str]) -> TlsAcceptor {
        self.acceptor(WebPkiClientVerifier::no_client_auth(), protocols)
    }

    fn acceptor(&self, clients: Arc<dyn ClientCertVerifier>, protocols: &[&str]) -> TlsAcceptor {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(self.certified()));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Certificate and key, unseen by rustls, which would take no certificate of version 1.
    fn certified(&self) -> SingleCertAndKey {
        let key = provider().key_provider.load_private_key(self.key.clone_key()).unwrap();
        CertifiedKey::new(vec![self.certificate.clone()], key).into()
    }

    async fn listen(&self, ip: &str, backend: &str, clients: Arc<dyn ClientCertVerifier>, shown: Shown) -> String {
        let acceptor = self.acceptor(clients, &[]);
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let backend: SocketAddr = backend.parse().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shown) = (acceptor.clone(), Arc::clone(&shown));
                tokio::spawn(async move {
                    // A client that does not trust us goes away here.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    shown.lock().unwrap().push(outside.get_ref().1.peer_certificates().is_some());
                    let mut inside = TcpStream::connect(backend).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        host
    }
}

/// Of each client, whether it showed a certificate.
pub(crate) type Shown = Arc<Mutex<Vec<bool>>>;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What openssl makes, in a directory of its own.
struct Made {
    openssl: PathBuf,
    dir: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        Self { openssl: peer("openssl"), dir: tempfile::tempdir().unwrap() }
    }

    fn run(&self, args: &str) {
        run(Command::new(&self.openssl).args(args.split_whitespace()).current_dir(self.dir.path()));
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// `cert.pem` and `key.pem`, to be believed because of this file.
    fn identity(&self, authority: &str) -> Identity {
        let read = |name| std::fs::read(self.dir.path().join(name)).unwrap();
        let pem = (read("cert.pem"), read("key.pem"));
        Identity {
            authority: read(authority),
            certificate: CertificateDer::from_pem_slice(&pem.0).unwrap(),
            key: PrivateKeyDer::from_pem_slice(&pem.1).unwrap(),
            pem,
        }
    }
}
