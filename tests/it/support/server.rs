//! The embedded registry for tests: on a free loopback port, gone with its handle.

use artifact::serve::{Options, Running, Server};

/// An empty registry in memory that can be pushed to. Its host is `.addr().to_string()`.
pub(crate) async fn in_memory() -> Running {
    start(Options::in_memory()).await
}

/// A registry with these options.
pub(crate) async fn start(options: Options) -> Running {
    Server::bind(([127, 0, 0, 1], 0), options).await.unwrap().spawn()
}
