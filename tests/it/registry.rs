//! Tests of `registry`: the client against real registries, and against servers that mean harm.

mod addresses;
mod ahead;
mod authentication;
mod certificates;
mod downloads;
mod errors;
mod faults;
mod http2;
mod mirrors;
mod origins;
mod peers;
mod pieces;
mod proxies;
mod ranges;
mod redirects;
mod referrers;
mod resuming;
mod scenarios;
mod tls;
mod tokens;
mod uploads;

use std::sync::Arc;

use artifact::{
    Kind, Result,
    copy::{self, Report, copy},
    store::{ReadStore, Store},
    stores::registry::{Credential, Options, Registry, Repository},
};

use crate::support::scripted::Scripted;

/// A repository at this host.
fn repository(host: &str, name: &str, options: &Options) -> Repository {
    Registry::new(host, options).unwrap().repository(name).unwrap()
}

/// Options with a user and a password for this host.
fn with_password(host: &str, user: &str, password: &str) -> Options {
    let registry = Registry::new(host, &Options::default()).unwrap();
    let credential = Credential::password(registry.origin(), user, password).unwrap();
    Options { credentials: Arc::new(credential), ..Options::default() }
}

/// Copies `v1` with all that refers to it.
async fn carry(from: &Arc<dyn ReadStore>, to: &Arc<dyn Store>) -> Result<Report> {
    let options = copy::Options { tags: vec!["v1".into()], referrers: true, ..copy::Options::default() };
    copy(from, "v1", to, &options).await
}

/// A user and a password for this host that no other may ever see.
fn canary(host: &str) -> Options {
    with_password(host, "canary-user", CANARY)
}

const CANARY: &str = "canary-password-91c4";

/// Whether a server saw any form of the canary, or any credential at all.
fn saw_secret(server: &Scripted) -> bool {
    server.saw(CANARY) || server.saw(CANARY_BASIC) || server.saw("uthorization") || server.saw("canary")
}

/// `canary-user:` in base64, as far as it does not depend on what follows.
const CANARY_BASIC: &str = "Y2FuYXJ5LXVzZXI6";

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("an error").kind()
}
