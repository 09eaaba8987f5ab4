//! Clients of registries with secrets that may not get lost, and what is done with them.

use std::sync::Arc;

use artifact::{
    Kind, Result,
    copy::{self, Report},
    oci::Descriptor,
    store::{ReadStore, Store},
    stores::{
        Memory,
        registry::{Credential, Options, Registry, Repository},
    },
};

use super::{
    samples::{Sample, named, names, noise},
    scripted::{Scripted, reply},
    writing::read,
};

/// A repository at this host.
pub(crate) fn repository(host: &str, name: &str, options: &Options) -> Repository {
    Registry::new(host, options).unwrap().repository(name).unwrap()
}

/// Options with a user and a password for this host.
pub(crate) fn with_password(host: &str, user: &str, password: &str) -> Options {
    let registry = Registry::new(host, &Options::default()).unwrap();
    let credential = Credential::password(registry.origin(), user, password).unwrap();
    Options { credentials: Arc::new(credential), ..Options::default() }
}

/// Copies `v1` with all that refers to it.
pub(crate) async fn carry(from: &Arc<dyn ReadStore>, to: &Arc<dyn Store>) -> Result<Report> {
    let options = copy::Options { names: names(&["v1"]), referrers: true, ..copy::Options::default() };
    copy::between(from, &named("v1"), to, &options).await
}

/// A user and a password for this host that no other may ever see.
pub(crate) fn canary(host: &str) -> Options {
    with_password(host, "canary-user", CANARY)
}

pub(crate) const CANARY: &str = "canary-password-91c4";

/// Whether a server saw any form of the canary, or any credential at all.
pub(crate) fn saw_secret(server: &Scripted) -> bool {
    server.saw(CANARY) || server.saw(CANARY_BASIC) || server.saw("uthorization") || server.saw("canary")
}

/// `canary-user:` in base64, as far as it does not depend on what follows.
pub(crate) const CANARY_BASIC: &str = "Y2FuYXJ5LXVzZXI6";

pub(crate) fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("an error").kind()
}

/// Pushes a sample, pulls it into memory and compares every byte.
pub(crate) async fn there_and_back(repository: impl Store + 'static) {
    let sample = Sample::of(&[b"hello", &noise(5_000_000, 1), b""]);
    let from = sample.in_memory(&["v1"]).await;
    let remote: Arc<dyn Store> = Arc::new(repository);
    let report = carry(&from, &remote).await.unwrap();
    assert_eq!((report.moved, report.present), (5, 0));
    assert_eq!(carry(&from, &remote).await.unwrap().moved, 0);
    let back: Arc<dyn Store> = Arc::new(Memory::new());
    let remote: Arc<dyn ReadStore> = remote;
    carry(&remote, &back).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(read(back.as_ref(), desc, 8 << 20).await.unwrap() == bytes);
    }
    assert_eq!(remote.list_names().await.unwrap().names, ["v1"]);
}

/// What a registry sends that wants a password.
pub(crate) const BASIC: (&str, &str) = ("www-authenticate", "Basic realm=\"x\"");

/// Answers 401 until there is a credential, then this.
pub(crate) fn guarded(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request| match request.header("authorization") {
        "" => reply(401, &[BASIC], b""),
        _ => answer(request.line()),
    })
}

/// A blob of five bytes: `hello`.
pub(crate) fn blob() -> Descriptor {
    Descriptor::of("a/b", b"hello")
}
