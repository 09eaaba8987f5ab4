//! A line to a host: names into addresses, TCP or what stands in its place, proxies and tunnels, TLS, and the pools that
//! keep connections for the next request.
//!
//! It knows hosts and how far they are trusted, and no repository. What a request asks for, what an answer means and who asks
//! is not for here.

pub(super) mod certificates;
pub(super) mod dial;
mod dialer;
pub(super) mod pool;
pub(super) mod proxy;
mod resolver;
pub(super) mod settings;
pub(super) mod tls;
pub(super) mod tunnel;
