//! A line to a registry that counts what goes over it in both directions, and that can be held up.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpSocket;

/// What a connection holds, in bytes, of what has been sent and not passed on. The kernel's own measure, which grows to
/// many megabytes, would let a held line take them.
const HOLDS: u32 = 64 << 10;

/// The line; its threads end with the test binary.
pub(crate) struct Metered {
    host: String,
    up: Arc<Way>,
    down: Arc<Way>,
}

/// One direction.
struct Way {
    passed: AtomicU64,
    /// Nothing passes once so many bytes have, of all connections together.
    stop: AtomicU64,
    /// A connection that so many bytes have passed over carries no more.
    hold: AtomicU64,
}

impl Metered {
    /// A line to this registry.
    pub(crate) fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (up, down) = (Way::open(), Way::open());
        let (upstream, ways) = (upstream.to_owned(), (Arc::clone(&up), Arc::clone(&down)));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                TcpSocket::from_std_stream(client.try_clone().unwrap()).set_recv_buffer_size(HOLDS).unwrap();
                let server = TcpStream::connect(&upstream).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (up, down) = (Arc::clone(&ways.0), Arc::clone(&ways.1));
                std::thread::spawn(move || up.carry(from, to));
                std::thread::spawn(move || down.carry(server, client));
            }
        });
        Self { host, up, down }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// How many bytes have gone to the registry.
    pub(crate) fn sent(&self) -> u64 {
        self.up.passed.load(Ordering::SeqCst)
    }

    /// How many bytes have come from the registry.
    pub(crate) fn received(&self) -> u64 {
        self.down.passed.load(Ordering::SeqCst)
    }

    /// From now on nothing comes from the registry once so many bytes have.
    pub(crate) fn stop_at(&self, bytes: u64) {
        self.down.stop.store(bytes, Ordering::SeqCst);
    }

    /// From now on a connection on which so many bytes have gone to the registry takes no more; others go on.
    pub(crate) fn hold_at(&self, bytes: u64) {
        self.up.hold.store(bytes, Ordering::SeqCst);
    }

    /// Everything passes again.
    pub(crate) fn let_go(&self) {
        self.hold_at(u64::MAX);
        self.stop_at(u64::MAX);
    }
}

impl Way {
    fn open() -> Arc<Self> {
        let most = || AtomicU64::new(u64::MAX);
        Arc::new(Self { passed: AtomicU64::new(0), stop: most(), hold: most() })
    }

    /// Passes on what comes of one connection. Counts before that: what has arrived has been counted.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let (mut chunk, mut carried) = (vec![0; 64 << 10], 0_u64);
        loop {
            let stops = || self.passed.load(Ordering::SeqCst) >= self.stop.load(Ordering::SeqCst);
            while stops() || carried >= self.hold.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(2));
            }
            let Ok(read) = from.read(&mut chunk) else { break };
            if read == 0 {
                break;
            }
            self.passed.fetch_add(read as u64, Ordering::SeqCst);
            carried += read as u64;
            if to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
