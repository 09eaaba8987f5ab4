//! The embedded registry for tests: on a free loopback port, gone with its handle.

use artifact::serve::{App, Options, Registry, Running, Server};

/// An empty registry in memory that can be pushed to. Its host is `.addr().to_string()`.
pub(crate) async fn in_memory() -> Running {
    start(Options::in_memory()).await
}

/// A registry with these options.
pub(crate) async fn start(options: Options) -> Running {
    serve(Registry::new(options)).await
}

/// A server of this app.
pub(crate) async fn serve(app: impl App) -> Running {
    Server::bind(([127, 0, 0, 1], 0), app).await.unwrap().spawn()
}

/// A registry on a runtime of its own, for tests that cannot wait for one to start.
pub(crate) struct Background {
    running: Running,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Background {
    /// In memory.
    pub(crate) fn start() -> Self {
        Self::with(Options::in_memory())
    }

    /// With these options.
    pub(crate) fn with(options: Options) -> Self {
        Self::serve(Registry::new(options))
    }

    /// A server of this app.
    pub(crate) fn serve(app: impl App) -> Self {
        // A runtime cannot be waited for from inside another one.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            Self { running: runtime.block_on(serve(app)), runtime: Some(runtime) }
        })
        .join()
        .unwrap()
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        self.running.addr().to_string()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}
