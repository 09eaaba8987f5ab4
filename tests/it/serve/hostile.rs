//! Requests that nobody honest sends.

use std::time::Duration;

use artifact::{
    oci::{Digest, media_type},
    serve::{Limits, Options},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{push_blob, push_index};
use crate::support::{
    http::{raw, send},
    server,
};

/// A request for this target on a connection that closes behind it.
fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_leads_nowhere() {
    let server = server::in_memory().await;
    push_index(&server, "a", "v1").await;
    for target in [
        "/v2/../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd",
        "//v2/a/tags/list",
        "/v2//a/tags/list",
        "/v2/a//tags/list",
        "/v2/a/%00/tags/list",
        "/v2/a%2f..%2fa/tags/list",
        "/v2/a/./tags/list",
        "/v2/A/tags/list",
        "/v2/a/manifests/..%2fv1",
        "/v2/a/blobs/uploads/..%2f..%2fx",
        "/v2/a/blobs/sha256:../../x",
        "/etc/passwd",
        "*",
        "http://evil.example/v2/a/tags/list%ff",
        &format!("/v2/{}/tags/list", "a/".repeat(400)),
        &format!("/v2/a/tags/list?last={}", "x".repeat(70_000)),
        &format!("/v2/{}", "x".repeat(70_000)),
    ] {
        let code = status(&raw(server.addr(), request("GET", target).as_bytes()).await.unwrap());
        assert!((400..500).contains(&code), "{code} for {target:.60}");
    }
}

#[tokio::test]
async fn who_sends_a_whole_body_before_reading_gets_the_refusal_and_the_next_answer() {
    let server = server::start(Options { writable: false, ..Options::in_memory() }).await;
    let body = vec![b'x'; 48 << 20];
    let digest = Digest::of(&body);
    let head = |expects: &str| {
        format!(
            "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{expects}\r\n",
            body.len()
        )
    };
    let mut client = TcpStream::connect(server.addr()).await.unwrap();
    client.write_all(head("").as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    client.write_all(request("GET", "/v2/").as_bytes()).await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    let codes: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(codes, ["405", "200"], "{answers}");
    // Who asks first is not told to send what nobody wants.
    let mut client = TcpStream::connect(server.addr()).await.unwrap();
    client.write_all(head("Expect: 100-continue\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
}

#[tokio::test]
async fn what_is_not_http_1_is_turned_away() {
    let server = server::in_memory().await;
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"GET /v2/\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0; 200_000],
    ] {
        let answer = raw(server.addr(), bytes).await.unwrap();
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(send(server.addr(), "GET", "/v2/", &[], "").await.status, 200);
}

#[tokio::test]
async fn requests_behind_each_other_are_answered_in_order() {
    let server = server::in_memory().await;
    let both = format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n{}", request("GET", "/v2/none/tags/list"));
    let answer = raw(server.addr(), both.as_bytes()).await.unwrap();
    let (first, second) = (answer.find("200 OK").unwrap(), answer.find("404 Not Found").unwrap());
    assert!(first < second, "{answer}");
}

#[tokio::test]
async fn a_name_that_is_not_meant_is_refused_whatever_is_asked() {
    let server = server::start(Options { hosts: vec!["registry.example".into()], ..Options::in_memory() }).await;
    let digest = Digest::of(b"x");
    for (host, code) in [("evil.example", 421), ("registry.example", 200), ("localhost", 200), ("127.0.0.1:1", 200)] {
        assert_eq!(send(server.addr(), "GET", "/v2/", &[("host", host)], "").await.status, code, "{host}");
    }
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(send(server.addr(), "POST", &path, &[("host", "evil.example")], "x").await.status, 421);
    assert_eq!(send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], "").await.status, 404);
    assert_eq!(status(&raw(server.addr(), b"GET /v2/ HTTP/1.0\r\n\r\n").await.unwrap()), 400);
}

#[tokio::test]
async fn a_web_page_of_another_origin_gets_nothing_in() {
    let server = server::in_memory().await;
    let digest = Digest::of(b"x");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    for origin in ["https://evil.example", "null"] {
        let answer = send(server.addr(), "POST", &path, &[("origin", origin)], "x").await;
        assert_eq!((answer.status, answer.codes()), (403, vec!["DENIED".into()]));
    }
    let preflight = send(server.addr(), "OPTIONS", &path, &[("origin", "https://evil.example")], "").await;
    assert!(preflight.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    assert_eq!(send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], "").await.status, 404);
}

#[tokio::test]
async fn nothing_is_ever_a_page_to_a_browser() {
    let server = server::in_memory().await;
    let digest = push_blob(&server, "a", b"<script>alert(1)</script>").await;
    push_index(&server, "a", "v1").await;
    let page = send(server.addr(), "PUT", "/v2/a/manifests/v2", &[("content-type", "text/html")], "{}").await;
    assert_eq!((page.status, page.codes()), (400, vec!["MANIFEST_INVALID".into()]));
    for path in [format!("/v2/a/blobs/{digest}"), "/v2/a/manifests/v1".into(), "/v2/".into(), "/%3Cb%3E".into()] {
        let answer = send(server.addr(), "GET", &path, &[], "").await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-type").starts_with("application/"), "{path}");
    }
}

#[tokio::test]
async fn a_manifest_without_a_length_is_bounded_too() {
    let server = server::in_memory().await;
    let head = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/vnd.oci.image.index.v1+json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let answer = raw(server.addr(), format!("{head}{}0\r\n\r\n", chunk.repeat(5)).as_bytes()).await.unwrap();
    // The refusal comes while the rest is still on its way, so the connection may be gone before it is read.
    assert!(matches!(status(&answer), 413 | 0), "{answer}");
    assert_eq!(send(server.addr(), "GET", "/v2/a/manifests/v1", &[], "").await.status, 404);
}

#[tokio::test]
async fn connections_that_say_nothing_make_room_for_others() {
    let limits = Limits { connections: 4, head: Duration::from_millis(100), ..Limits::default() };
    let server = server::start(Options { limits, ..Options::in_memory() }).await;
    let mut idle = Vec::new();
    for part in ["", "GET", "GET /v2/ HTTP/1.1\r\nHost:", "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(part.as_bytes()).await.unwrap();
        idle.push(stream);
    }
    assert_eq!(send(server.addr(), "GET", "/v2/", &[], "").await.status, 200);
    for mut stream in idle {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn content_that_stops_coming_is_not_waited_for() {
    let limits = Limits { stall: Duration::from_millis(100), ..Limits::default() };
    let server = server::start(Options { limits, ..Options::in_memory() }).await;
    let digest = Digest::of(b"hello");
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let head = format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: localhost\r\n");
    stream.write_all(format!("{head}Content-Length: 5\r\n\r\nhel").as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    // That this returns at all is the point: the server hangs up.
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], "").await.status, 404);
}

#[tokio::test]
async fn too_large_a_blob_is_refused_with_and_without_a_length() {
    let limits = Limits { blob: 10, ..Limits::default() };
    let server = server::start(Options { limits, ..Options::in_memory() }).await;
    push_blob(&server, "a", b"0123456789").await;
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b"0123456789+"));
    let answer = send(server.addr(), "POST", &path, &[], "0123456789+").await;
    assert_eq!((answer.status, answer.codes()), (413, vec!["SIZE_INVALID".into()]));
    let chunked = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close");
    let answer =
        raw(server.addr(), format!("{chunked}\r\n\r\nb\r\n0123456789+\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(status(&answer), 413);
    let session = send(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], "").await.header("location").to_owned();
    assert_eq!(send(server.addr(), "PATCH", &session, &[], "01234567").await.status, 202);
    assert_eq!(send(server.addr(), "PATCH", &session, &[], "89+").await.status, 413);
    assert_eq!(send(server.addr(), "GET", &session, &[], "").await.status, 404, "the upload is over");
}

#[tokio::test]
async fn too_many_uploads_at_a_time_are_asked_to_come_later() {
    let limits = Limits { uploads: 2, ..Limits::default() };
    let server = server::start(Options { limits, ..Options::in_memory() }).await;
    let start = async || send(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], "").await;
    let first = start().await.header("location").to_owned();
    assert_eq!(start().await.status, 202);
    let refused = start().await;
    assert_eq!((refused.status, refused.codes()), (429, vec!["TOOMANYREQUESTS".into()]));
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    assert_eq!(send(server.addr(), "DELETE", &first, &[], "").await.status, 204);
    assert_eq!(start().await.status, 202);
}

#[tokio::test]
async fn a_manifest_that_others_read_as_another_artifact_is_not_taken_in() {
    let server = server::in_memory().await;
    push_blob(&server, "a", b"{}").await;
    let config = artifact::oci::Descriptor::empty().bare();
    let plain = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST, "artifactType": "a/b", "config": config, "layers": [],
    });
    for (place, key) in [("", "x"), ("", "Layers"), ("", "SUBJECT"), ("/config", "Digest"), ("/config", "ſize")] {
        let mut manifest = plain.clone();
        manifest.pointer_mut(place).unwrap()[key] = serde_json::Value::Null;
        let headers = [("content-type", media_type::MANIFEST)];
        let answer = send(server.addr(), "PUT", "/v2/a/manifests/v1", &headers, manifest.to_string()).await;
        let taken = key == "x";
        assert_eq!(answer.status, if taken { 201 } else { 400 }, "{key}");
        assert_eq!(answer.codes(), if taken { &[][..] } else { &["MANIFEST_INVALID"] }, "{key}");
    }
}
