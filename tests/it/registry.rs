//! Tests of `registry`: the client against real registries, and against servers that mean harm.

mod peers;

use std::sync::Arc;

use artifact::{
    Result,
    copy::{self, Report, copy},
    store::{ReadStore, Store},
    stores::registry::{Credential, Options, Registry, Repository},
};

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
