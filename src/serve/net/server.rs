//! Connections: accepted up to a limit, dropped when they stall, finished before the server stops.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{JoinHandle, JoinSet},
    time::{interval, sleep, timeout},
};

use super::watch::Activity;
#[cfg(feature = "faults")]
use crate::fault::FaultyConnection;
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    serve::{Options, registry::Registry},
};

/// Longest head of a request: the request line and all headers.
const MAX_HEAD: usize = 64 << 10;
/// How often forgotten upload sessions are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// What carries a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes its end a reset for the other side.
    #[cfg(feature = "faults")]
    fn reset(&mut self);
}

impl Stream for TcpStream {
    #[cfg(feature = "faults")]
    fn reset(&mut self) {
        // Where the system refuses, the connection is closed in good form: broken all the same.
        let _ = self.set_zero_linger();
    }
}

/// A registry that is bound to an address and not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    registry: Arc<Registry>,
}

impl Server {
    /// Binds to this address; port 0 takes a free one. Connections wait until the server runs.
    ///
    /// The address decides who can reach the registry: on a loopback address, only this machine.
    pub async fn bind(addr: impl Into<SocketAddr>, options: Options) -> Result<Self> {
        let addr = addr.into();
        let listener = TcpListener::bind(addr).await.map_err(|e| {
            let taken = e.kind() == std::io::ErrorKind::AddrInUse;
            let error = Error::from(e).context(format!("cannot listen on {addr}"));
            if taken { error.with_code(Code::AddressInUse) } else { error }
        })?;
        let addr = listener.local_addr().context(|| format!("cannot listen on {addr}"))?;
        Ok(Self { listener, addr, registry: Arc::new(Registry::new(options)) })
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
        let limits = self.registry.options.limits.clone();
        let free = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut sweep = interval(SWEEP);
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = sweep.tick() => self.registry.uploads.expire(),
                Some(_) = connections.join_next() => {}
                accepted = accept(&self.listener, &free) => {
                    let (stream, permit) = accepted?;
                    connections.spawn(serve(stream, permit, Arc::clone(&self.registry), graceful.watcher()));
                }
            }
        }
        drop(self.listener);
        // Whoever has not finished by then is cut off with the tasks below.
        let _ = timeout(limits.grace, graceful.shutdown()).await;
        connections.shutdown().await;
        self.registry.uploads.clear();
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

/// The next connection. Waits for a free place first, so that others wait in the kernel's queue.
async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> Result<(TcpStream, OwnedSemaphorePermit)> {
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

/// One connection, to its end.
async fn serve(stream: TcpStream, permit: OwnedSemaphorePermit, registry: Arc<Registry>, watcher: Watcher) {
    // Without it, small responses wait for the acknowledgement of the one before; a failure only costs time.
    let _ = stream.set_nodelay(true);
    talk(stream, registry, watcher).await;
    drop(permit);
}

/// Answers what comes over a stream, until it ends or stalls.
pub(super) async fn talk(stream: impl Stream, registry: Arc<Registry>, watcher: Watcher) {
    let limits = &registry.options.limits;
    let (head, stall) = (limits.head, limits.stall);
    let activity = Activity::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_header_size(MAX_HEAD);
    // How a connection ends is the client's business; failures of ours are in the log of its request.
    let connection = async {
        #[cfg(feature = "faults")]
        if let Some(faults) = &registry.options.faults {
            let order = faults.wire();
            let service = service_fn(|request| {
                let (registry, activity, order) = (Arc::clone(&registry), activity.clone(), order.clone());
                async move { Ok::<_, Infallible>(faults.answer(&registry, request, activity, &order).await) }
            });
            let stream = TokioIo::new(FaultyConnection::new(stream, order.clone()));
            let _ = watcher.watch(http.serve_connection(stream, service)).await;
            return;
        }
        let service = service_fn(|request| {
            let (registry, activity) = (Arc::clone(&registry), activity.clone());
            async move { Ok::<_, Infallible>(registry.answer(request, activity).await) }
        });
        let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
    };
    tokio::select! {
        () = connection => {}
        () = activity.stalled(stall) => {}
    }
}
