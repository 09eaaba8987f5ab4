//! The server: it accepts connections up to a limit, and lets them finish before it stops.

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

/// How often an app is told to drop what has been left unfinished.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

impl Stream for TcpStream {
    fn reset(&mut self) {
        // Where the system refuses, the connection is closed in good form: broken all the same.
        let _ = self.set_zero_linger();
    }
}

/// A server that is bound to an address and not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    app: Arc<dyn App>,
}

impl Server {
    /// Binds to this address; port 0 takes a free one. Connections wait until the server runs.
    ///
    /// The address decides who can reach the app: on a loopback address, only this machine.
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

    /// The address that it is bound to, with the real port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Runs in a task of its own until told to stop.
    #[must_use]
    pub fn spawn(self) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let addr = self.addr;
        let task = tokio::spawn(self.run(async {
            // Sent, or dropped with its handle: both mean stop.
            let _ = stopped.await;
        }));
        Running { addr, stop, task }
    }

    /// Runs until `shutdown` is ready. Then nothing more is accepted, requests in flight may finish within the grace
    /// time, and unfinished uploads are discarded.
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
                    // Without it, small responses wait for the acknowledgement of the one before; a failure only costs time.
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
        // Whoever has not finished by then is cut off with the tasks below.
        let _ = timeout(limits.grace, graceful.shutdown()).await;
        connections.shutdown().await;
        self.app.clear();
        Ok(())
    }
}

/// A server that runs in a task of its own. Dropping this tells it to stop, without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// The address that it is bound to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops it, and waits until it has.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.task.await.map_err(|e| Error::caused(Kind::Internal, "the server failed", e))?
    }
}

/// Waits for a free place first, so that others wait in the kernel's queue.
async fn next_connection(listener: &TcpListener, free: &Arc<Semaphore>) -> Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await;
    let permit = permit.map_err(|e| Error::caused(Kind::Internal, "cannot accept connections", e))?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, permit)),
            // A client that has gone again, or no file descriptor left: neither is a reason to stop serving.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}
