//! A line to a registry that counts what comes over it, and that can be held up.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The line; its threads end with the test binary.
pub(crate) struct Metered {
    host: String,
    passed: Arc<AtomicU64>,
    stop: Arc<AtomicU64>,
}

impl Metered {
    /// A line to this registry.
    pub(crate) fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (passed, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        let (upstream, counted, limit) = (upstream.to_owned(), Arc::clone(&passed), Arc::clone(&stop));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&upstream).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let (counted, limit) = (Arc::clone(&counted), Arc::clone(&limit));
                std::thread::spawn(move || down(server, client, &counted, &limit));
            }
        });
        Self { host, passed, stop }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// How many bytes have come from the registry.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// From now on nothing passes once so many bytes have.
    pub(crate) fn stop_at(&self, bytes: u64) {
        self.stop.store(bytes, Ordering::SeqCst);
    }
}

/// Passes on what comes from the server.
fn down(mut server: TcpStream, mut client: TcpStream, passed: &AtomicU64, stop: &AtomicU64) {
    let mut chunk = vec![0; 64 << 10];
    loop {
        while passed.load(Ordering::SeqCst) >= stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let Ok(read) = server.read(&mut chunk) else { break };
        if read == 0 || client.write_all(&chunk[..read]).is_err() {
            break;
        }
        passed.fetch_add(read as u64, Ordering::SeqCst);
    }
    let _ = client.shutdown(Shutdown::Both);
}
