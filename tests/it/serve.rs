//! Tests of `serve`: what the distribution specification does not say, from read-only to hostile requests.

mod files;
mod hostile;
mod lifetime;
mod many;
mod mounted;
mod remote;

use std::sync::{Arc, Mutex};

use artifact::{
    oci::{Digest, media_type},
    serve::{Access, Credentials, Htpasswd, InMemory, LogLine, Options},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::support::{http::send, server};

#[tokio::test]
async fn a_read_only_registry_refuses_every_write_and_changes_nothing() {
    let repositories = Arc::new(InMemory::new());
    let writable = server::start(Options { repositories: repositories.clone(), ..Options::in_memory() }).await;
    let blob = push_blob(&writable, "a", b"{}").await;
    let manifest = push_index(&writable, "a", "v1").await;
    let session = send(writable.addr(), "POST", "/v2/a/blobs/uploads/", &[], "").await;
    let session = session.header("location").to_owned();
    let reader = server::start(Options { repositories, ..Options::default() }).await;
    let other = Digest::of(b"other");
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/a/blobs/uploads/?digest={other}")),
        ("POST", format!("/v2/b/blobs/uploads/?mount={blob}&from=a")),
        ("PATCH", session.clone()),
        ("PUT", format!("{session}?digest={other}")),
        ("DELETE", session),
        ("PUT", "/v2/a/manifests/v1".into()),
        ("PUT", format!("/v2/a/manifests/{manifest}?tag=v2")),
        ("DELETE", "/v2/a/manifests/v1".into()),
        ("DELETE", format!("/v2/a/manifests/{manifest}")),
        ("DELETE", format!("/v2/a/blobs/{blob}")),
        ("OPTIONS", "/v2/".into()),
        ("TRACE", "/v2/".into()),
    ] {
        let answer = send(reader.addr(), method, &path, &[], "other").await;
        assert_eq!((answer.status, answer.codes()), (405, vec!["UNSUPPORTED".into()]), "{method} {path}");
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
    let get = async |path: String| send(reader.addr(), "GET", &path, &[], "").await;
    assert_eq!(get(format!("/v2/a/blobs/{blob}")).await.body, "{}");
    assert_eq!(get("/v2/a/manifests/v1".into()).await.header("docker-content-digest"), manifest.to_string());
    assert_eq!(get("/v2/a/tags/list".into()).await.json()["tags"], serde_json::json!(["v1"]));
    assert_eq!(get("/v2/_catalog".into()).await.json()["repositories"], serde_json::json!(["a"]));
    assert_eq!(get(format!("/v2/a/blobs/{other}")).await.status, 404);
}

#[tokio::test]
async fn only_the_right_user_and_password_come_in() {
    let access = Access::User(Credentials { user: "ann".into(), password: "secret".into() });
    let server = server::start(Options { access, ..Options::in_memory() }).await;
    let ask = async |authorization: &str| {
        let headers = [("authorization", authorization)];
        send(server.addr(), "GET", "/v2/", if authorization.is_empty() { &[] } else { &headers }, "").await
    };
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    assert_eq!(ask(&basic("ann:secret")).await.status, 200);
    let (nobody, wrong) = (ask("").await, ask(&basic("ann:Secret")).await);
    assert!(nobody.header("www-authenticate").starts_with("Basic "));
    let unknown = ask(&basic("bob:secret")).await;
    for answer in [&nobody, &wrong, &unknown, &ask("Bearer x").await] {
        assert_eq!((answer.status, &answer.body), (401, &nobody.body), "every failure looks alike");
    }
    assert_eq!(ask(&basic(&format!("ann:{}", "x".repeat(80_000)))).await.status, 431);
}

#[tokio::test]
async fn the_users_of_an_htpasswd_file_come_in_with_their_passwords() {
    let hash = bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY);
    let access = Access::Htpasswd(Htpasswd::parse(&format!("ann:{hash}\n")).unwrap());
    let server = server::start(Options { access, ..Options::in_memory() }).await;
    let ask = async |text: &str| {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(text));
        let answer = send(server.addr(), "GET", "/v2/", &[("authorization", &authorization)], "").await;
        (answer.status, answer.body)
    };
    assert_eq!([ask("ann:secret").await.0, ask("ann:secret").await.0], [200, 200]);
    let wrong = ask("ann:other").await;
    assert_eq!(wrong.0, 401);
    assert_eq!(ask("bob:secret").await, wrong, "nobody learns who is a user");
}

#[tokio::test]
async fn the_catalog_comes_in_pages() {
    let server = server::in_memory().await;
    for name in ["c", "a/b", "a"] {
        push_blob(&server, name, b"{}").await;
    }
    let page = async |path: &str| {
        let answer = send(server.addr(), "GET", path, &[], "").await;
        (answer.json()["repositories"].clone(), answer.header("link").to_owned())
    };
    assert_eq!(page("/v2/_catalog").await, (serde_json::json!(["a", "a/b", "c"]), String::new()));
    let (first, link) = page("/v2/_catalog?n=2").await;
    assert_eq!(first, serde_json::json!(["a", "a/b"]));
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    assert_eq!(page(next).await.0, serde_json::json!(["c"]));
}

#[tokio::test]
async fn every_request_is_logged_once() {
    let lines: Arc<Mutex<Vec<LogLine>>> = Arc::default();
    let sink = Arc::clone(&lines);
    let log: artifact::serve::Log = Arc::new(move |line| sink.lock().unwrap().push(line.clone()));
    let server = server::start(Options { log: Some(log), ..Options::in_memory() }).await;
    let digest = push_blob(&server, "a", b"hello").await;
    send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=1-3")], "").await;
    send(server.addr(), "GET", "/v2/a/tags/list?n=-1", &[], "").await;
    // A request is logged when its response has gone: stopping waits for that.
    server.stop().await.unwrap();
    let lines = lines.lock().unwrap();
    let seen: Vec<_> = lines.iter().map(|line| (line.method.as_str(), line.status)).collect();
    assert_eq!(seen, [("POST", 201), ("GET", 206), ("GET", 400)]);
    assert_eq!((lines[1].bytes, lines[2].path.as_str()), (3, "/v2/a/tags/list?n=-1"));
}

/// Pushes a blob in one request.
async fn push_blob(server: &artifact::serve::Running, name: &str, content: &'static [u8]) -> Digest {
    let digest = Digest::of(content);
    let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
    assert_eq!(send(server.addr(), "POST", &path, &[], content).await.status, 201);
    digest
}

/// Pushes an empty index under a tag.
async fn push_index(server: &artifact::serve::Running, name: &str, tag: &str) -> Digest {
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [], "annotations": {"tag": tag}}).to_string();
    let (digest, path) = (Digest::of(index.as_bytes()), format!("/v2/{name}/manifests/{tag}"));
    let answer = send(server.addr(), "PUT", &path, &[("content-type", media_type::INDEX)], index).await;
    assert_eq!(answer.status, 201);
    digest
}
