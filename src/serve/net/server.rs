//! The server: accepts connections up to a limit, and finishes them before it stops.

use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{JoinHandle, JoinSet},
    time::{interval, sleep, timeout},
};

use super::connection::serve_connection;
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    serve::app::{App, Stream},
};

/// Interval between calls of [`App::expire`].
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

impl Stream for TcpStream {
    fn reset(&mut self) {
        // If the system refuses, the connection is closed regularly, which interrupts it too.
        let _ = self.set_zero_linger();
    }
}

/// A server bound to an address, not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    app: Arc<dyn App>,
}

impl Server {
    /// Binds to this address; port 0 selects a free one. Connections wait until the server runs.
    ///
    /// The address determines the reachable clients: with a loopback address, only those on this machine.
    pub async fn bind(addr: impl Into<SocketAddr>, app: impl App) -> Result<Self> {
        let addr = addr.into();
        let listener = TcpListener::bind(addr).await.map_err(|e| {
            let taken = e.kind() == std::io::ErrorKind::AddrInUse;
            let error = Error::from(e).context(format!("cannot listen on {addr}"));
            if taken { error.with_code(Code::AddressInUse) } else { error }
        })?;
        let addr = listener.local_addr().context(|| format!("cannot listen on {addr}"))?;
        Ok(Self { listener, addr, app: Arc::new(app) })
    }

    /// The bound address, with the actual port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Runs in a task of its own until stopped.
    #[must_use]
    pub fn spawn(self) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let addr = self.addr;
        let task = tokio::spawn(self.run(async {
            // Sending and dropping the handle both mean stop.
            let _ = stopped.await;
        }));
        Running { addr, stop, task }
    }

    /// Runs until `shutdown` is ready. Then it accepts no more connections, waits for open requests within the grace
    /// time, and discards unfinished uploads.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
        let limits = self.app.limits().clone();
        let free = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut expiry = interval(EXPIRY_INTERVAL);
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = expiry.tick() => self.app.expire(),
                Some(_) = connections.join_next() => {}
                accepted = next_connection(&self.listener, &free) => {
                    let (stream, permit) = accepted?;
                    // Without this, small responses wait for the acknowledgement of the previous one; a failure only
                    // costs time.
                    let _ = stream.set_nodelay(true);
                    let served = serve_connection(stream, Arc::clone(&self.app), graceful.watcher());
                    connections.spawn(async move {
                        served.await;
                        drop(permit);
                    });
                }
            }
        }
        drop(self.listener);
        // Connections still open are closed with the tasks below.
        let _ = timeout(limits.grace, graceful.shutdown()).await;
        connections.shutdown().await;
        self.app.clear();
        Ok(())
    }
}

/// A server running in a task of its own. Dropping this stops it without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.task.await.map_err(|e| Error::caused(Kind::Internal, "the server failed", e))?
    }
}

/// Accepts a connection, after waiting for a free slot, so that others wait in the kernel's queue.
async fn next_connection(listener: &TcpListener, free: &Arc<Semaphore>) -> Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await;
    let permit = permit.map_err(|e| Error::caused(Kind::Internal, "cannot accept connections", e))?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, permit)),
            // A closed connection or a lack of file descriptors is not a reason to stop serving.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}
