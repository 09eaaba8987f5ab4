//! The server: accepts connections up to a limit, and finishes them before it stops.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{interval, sleep, timeout},
};

#[cfg(not(feature = "serve-tls"))]
use super::no_tls::Tls;
#[cfg(feature = "serve-tls")]
use super::tls::Tls;
use super::{connection::serve_connection, flow::Flow, places::Places};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    serve::app::{App, Stream},
};

/// Interval between calls of [`App::expire`].
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// Most bytes that the system holds for a client beyond what the network takes: room then follows the client's pace.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

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
    tls: Option<Tls>,
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
        Ok(Self { listener, addr, app: Arc::new(app), tls: None })
    }

    /// With TLS, and without plain HTTP.
    #[cfg(feature = "serve-tls")]
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
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
        let Self { listener, app, tls, .. } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let expiry = async {
            let mut ticks = interval(EXPIRY_INTERVAL);
            loop {
                ticks.tick().await;
                app.expire();
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = expiry => {}
            () = accept_all(&listener, &app, tls.as_ref(), &graceful, &mut connections) => {}
        }
        drop(listener);
        // Connections still open are closed with the tasks below.
        let _ = timeout(app.limits().grace, graceful.shutdown()).await;
        connections.shutdown().await;
        app.close().await;
        Ok(())
    }
}

/// Accepts connections, each with a place and a task of its own. Others wait in the kernel's queue.
async fn accept_all(
    listener: &TcpListener,
    app: &Arc<dyn App>,
    tls: Option<&Tls>,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) {
    let places = Places::new(app.limits().connections);
    loop {
        let (stream, client) = next_connection(listener).await;
        // What a client has to do counts from here on, not the wait for a place.
        let place = places.take(app.limits().rate).await;
        while connections.try_join_next().is_some() {}
        let served =
            serve_stream(stream, client, tls.cloned(), place.flow.clone(), Arc::clone(app), graceful.watcher());
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
}

/// Serves a connection, after the handshake of TLS.
async fn serve_stream(
    stream: TcpStream,
    client: SocketAddr,
    tls: Option<Tls>,
    flow: Flow,
    app: Arc<dyn App>,
    watcher: Watcher,
) {
    let client = Some(client.ip());
    let Some(tls) = tls else { return serve_connection(stream, client, flow, app, watcher).await };
    let handshake = Box::pin(timeout(app.limits().head, tls.accept(stream)));
    tokio::select! {
        shaken = handshake => {
            if let Ok(Ok(stream)) = shaken {
                serve_connection(stream, client, flow, app, watcher).await;
            }
        }
        // Its place is wanted.
        () = flow.ended() => {}
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

/// Accepts a connection.
async fn next_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                // Without this, small responses wait for the acknowledgement of the previous one; a failure only costs
                // time.
                let _ = stream.set_nodelay(true);
                #[cfg(target_os = "linux")]
                let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
                return (stream, client);
            }
            // A closed connection or a lack of file descriptors is not a reason to stop serving.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}
