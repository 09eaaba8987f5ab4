//! What went wrong, said so that somebody can act on it, and harmless on a terminal.

use artifact::{
    Kind,
    oci::Descriptor,
    store::ReadStore as _,
    stores::registry::{Options, Protocol, Registry},
};

use super::{kind, repository};
use crate::support::{
    samples::named,
    scripted::{Scripted, reply},
    writing::fetch,
};

async fn tags(answer: Vec<u8>) -> artifact::Error {
    let server = Scripted::start(move |_| answer.clone());
    let once = Options { retries: 0, ..Options::default() };
    repository(server.host(), "a", &once).list_names().await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_kind() {
    for (status, want) in [
        (400, Kind::Invalid),
        (401, Kind::Unauthorized),
        (403, Kind::Denied),
        (404, Kind::NotFound),
        (405, Kind::Unsupported),
        (408, Kind::Unavailable),
        (413, Kind::Limit),
        (429, Kind::Unavailable),
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
        (204, Kind::NotARegistry),
    ] {
        let error = tags(reply(status, &[], br#"{"errors":[{"code":"X","message":"why"}]}"#)).await;
        assert_eq!(error.kind(), want, "{status}");
        let text = error.to_string();
        assert!(text.contains("GET http://127.0.0.1:") && text.contains("/v2/a/tags/list: "), "{text}");
        assert!(text.contains(&status.to_string()) && !text.contains("?n="), "{text}");
        assert!(status == 204 || text.contains("X: why"), "{text}");
    }
    let error = tags(reply(429, &[("retry-after", "120")], b"")).await;
    assert!(error.to_string().contains("asks to wait for 120"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_denied_whatever_the_status() {
    for (status, code, message) in [
        (
            400,
            "TAG_INVALID",
            "The image tag 'v1' already exists and cannot be overwritten because the tag is immutable.",
        ),
        (409, "TAG_IMMUTABLE", ""),
        (412, "PRECONDITION", "Failed to process request due to 'a:v1' configured as immutable."),
        (413, "DENIED", "Quota exceeded"),
        (403, "DENIED", "adding 1 MiB will exceed the configured upper limit of 5 MiB"),
    ] {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        let error = tags(reply(status, &[], body.as_bytes())).await;
        assert!(error.kind() == Kind::Denied && error.to_string().contains(message), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_website_is_not_a_registry() {
    let html = ("content-type", "text/html; charset=utf-8");
    for status in [200, 404] {
        let error = tags(reply(status, &[html], b"<!doctype html>\n<title>Welcome</title>")).await;
        assert_eq!(error.kind(), Kind::NotARegistry);
        assert!(error.to_string().contains("<!doctype html>"), "{error}");
        let server = Scripted::start(move |_| reply(status, &[html], b"<html>"));
        let registry = Registry::new(server.host(), &Options::default()).unwrap();
        assert_eq!(kind(registry.ping().await), Kind::NotARegistry);
    }
}

/// H26: what of it reaches a terminal is a matter of whoever shows it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_is_bounded() {
    for body in [
        vec![b'x'; 10 << 20],
        b"\x1b]52;c;ZXZpbA==\x07\x08\x7f".to_vec(),
        b"\xff\xfe\x1b[2J".to_vec(),
        "{\"errors\":[{\"code\":\"\\u001b[31m\",\"message\":\"\u{202e}\u{200b}\\r\\n\"}]}".into(),
        br#"{"errors":[]}"#.to_vec(),
        br#"{"errors":{"a":1}}"#.to_vec(),
    ] {
        let text = tags(reply(500, &[], &body)).await.to_string();
        assert!(text.len() < 5000, "{}", text.len());
    }
}

/// H27.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_are_refused() {
    let warnings = vec![("warning", "299 - \"x\""); 10_000];
    let error = tags(reply(200, &warnings, b"{}")).await;
    assert!(matches!(error.kind(), Kind::Unavailable | Kind::Limit), "{error}");
    let long = "x".repeat(100_000);
    assert_eq!(tags(reply(200, &[("x-long", &long)], b"{}")).await.kind(), Kind::Limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = repository(&host, "a", &Options::default()).resolve(&named("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains(&format!("cannot reach `{host}`: Connection refused")), "{error}");
    let error = repository("registry.invalid", "a", &Options::default()).resolve(&named("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("`registry.invalid`"), "{error}");
}

/// H16.
#[tokio::test(flavor = "multi_thread")]
async fn https_to_a_server_of_plain_http_says_so_and_sends_nothing() {
    let server = Scripted::trap("127.0.0.1");
    let options = Options { protocol: Protocol::Https, ..super::canary(server.host()) };
    let error = repository(server.host(), "a", &options).resolve(&named("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("in plain http, not https"), "{error}");
    assert!(!super::saw_secret(&server) && !server.saw("HTTP/1.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let server = Scripted::start(|_| reply(404, &[], br#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#));
    let desc = Descriptor::of("a/b", b"x");
    let error = fetch(&repository(server.host(), "a", &Options::default()), &desc, 0).await.err().unwrap();
    assert_eq!(error.kind(), Kind::NotFound);
    let text = error.to_string();
    assert!(text.starts_with(&format!("`{}` is not in {}/a", desc.digest, server.host())), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_which_a_registry_refuses_a_thousand_entries_comes_as_it_likes() {
    for status in [400, 413] {
        let server = Scripted::start(move |request| match request.line().contains("?n=") {
            true => reply(status, &[], br#"{"errors":[{"code":"TOO_MANY_TAGS_REQUESTED"}]}"#),
            false => reply(200, &[], br#"{"tags":["v1"],"repositories":["a"]}"#),
        });
        let tags = repository(server.host(), "a", &Options::default()).list_names().await.unwrap();
        assert_eq!(tags.names, ["v1"], "{status}");
        let registry = Registry::new(server.host(), &Options::default()).unwrap();
        assert_eq!(registry.repositories().await.unwrap(), ["a"], "{status}");
        assert_eq!(server.lines().len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_refused_whatever_its_length_is_an_error_with_the_reason() {
    let error = tags(reply(400, &[], br#"{"errors":[{"code":"NAME_INVALID","message":"no such name"}]}"#)).await;
    assert!(error.to_string().contains("NAME_INVALID: no such name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_page_is_called_a_page() {
    for (media_type, is_page) in [("text/html", true), ("text/plain", false)] {
        let error = tags(reply(206, &[("content-type", media_type)], b"part")).await.to_string();
        assert!(error.contains("206 Partial Content") && error.contains("HTML page") == is_page, "{error}");
    }
}
