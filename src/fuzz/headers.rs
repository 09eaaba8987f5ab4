//! What servers, clients and configuration files say.

use std::{path::PathBuf, sync::LazyLock};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::block_on;
use crate::{
    serve::{self, Local},
    stores::registry::{AuthFiles, Credentials as _, Dial as _, Hosts, Options, Origin, Protocol},
};

/// A file that each run writes.
fn file(bytes: &[u8]) -> Option<PathBuf> {
    static DIR: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());
    let name = format!("{:?}", std::thread::current().id());
    let path = DIR.as_ref()?.path().join(name);
    std::fs::write(&path, bytes).ok()?;
    Some(path)
}

/// Docker's `config.json`. Programs are not found, since there are no directories to look in.
pub(super) fn credential_file(bytes: &[u8]) {
    let Some(path) = file(bytes) else { return };
    let files = AuthFiles::new(vec![path], Vec::new());
    for (registry, repository) in [("docker.io", "library/x"), ("registry.example:5000", "a/b"), ("[::1]", "")] {
        let Ok(origin) = Origin::of_registry(registry, Protocol::Auto) else { continue };
        if let Ok(Some(found)) = block_on(files.get(&origin, repository)) {
            assert_eq!(found.origin(), &origin, "a credential belongs to the registry that it was asked for");
        }
    }
}

/// Our `hosts.yaml`, and podman's `registries.conf`.
pub(super) fn hosts(bytes: &[u8]) {
    let Some(path) = file(bytes) else { return };
    for hosts in [Hosts::read(Some(&path), &[], Vec::new()), Hosts::read(None, std::slice::from_ref(&path), Vec::new())]
    {
        let Ok(hosts) = hosts else { continue };
        for (registry, repository) in [("docker.io", "library/x"), ("registry.example:5000", "a/b")] {
            drop(hosts.options(registry, repository, &Options::default()));
            drop(hosts.moved(registry, repository));
            drop(hosts.replicas(registry, repository));
        }
    }
}

/// A client's bytes on a connection to our registry: nothing that is asked is a failure of the server's own.
pub(super) fn request(bytes: &[u8]) {
    let answers = block_on(async {
        let app = serve::Registry::new(serve::Options::in_memory());
        let connection = Local::new(app).dial("localhost", 80).await.ok()?;
        let (mut from, mut to) = tokio::io::split(connection);
        let mut answers = Vec::new();
        let send = async {
            // The server may hang up first.
            drop(to.write_all(bytes).await);
            drop(to.shutdown().await);
        };
        let (read, ()) = tokio::join!(from.read_to_end(&mut answers), send);
        drop(read);
        Some(answers)
    });
    let answers = answers.unwrap_or_default();
    assert!(!answers.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answers));
}
