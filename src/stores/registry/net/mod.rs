//! Connections to hosts: name resolution, TCP or its replacement, proxies and tunnels, TLS, and connection pools.
//!
//! This module knows hosts and their trust, but no repositories. The content of requests and responses, and
//! authentication, are left to others.

pub(super) mod certificates;
mod client_auth;
pub(super) mod dial;
mod dialer;
pub(super) mod pool;
pub(super) mod proxy;
mod resolver;
mod roots;
pub(super) mod settings;
mod tls;
pub(super) mod tls_failure;
mod trust;
pub(super) mod tunnel;

pub(super) use client_auth::ClientAuthUse;
