//! Uploads that break off, requests that meet each other, and the end of the server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use artifact::{
    oci::Digest,
    serve::{Limits, Options, Tree},
};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::push_index;
use crate::support::{http::send, server};

/// Large enough that the server writes a part of it before the rest comes.
const HALF: usize = 300 << 10;

/// Starts an upload of `2 * HALF` bytes, sends the first half, and waits until the server has written some of it.
async fn half_way(addr: SocketAddr) -> (String, TcpStream) {
    let session = send(addr, "POST", "/v2/a/blobs/uploads/", &[], "").await.header("location").to_owned();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!("PATCH {session} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ");
    stream.write_all(format!("{head}{}\r\n\r\n", 2 * HALF).as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; HALF]).await.unwrap();
    while send(addr, "GET", &session, &[], "").await.header("range") == "0-0" {
        tokio::task::yield_now().await;
    }
    (session, stream)
}

#[tokio::test]
async fn two_requests_do_not_write_to_one_upload() {
    let server = server::in_memory().await;
    let (session, mut first) = half_way(server.addr()).await;
    let second = send(server.addr(), "PATCH", &session, &[], "y").await;
    assert_eq!((second.status, second.codes()), (409, vec!["BLOB_UPLOAD_INVALID".into()]));
    first.write_all(&[b'x'; HALF]).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let digest = Digest::of(&[b'x'; 2 * HALF]);
    assert_eq!(send(server.addr(), "PUT", &format!("{session}?digest={digest}"), &[], "").await.status, 201);
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_stands() {
    let server = server::in_memory().await;
    let (session, first) = half_way(server.addr()).await;
    drop(first);
    let answer = loop {
        // Until the server has seen that the first client is gone.
        let status = send(server.addr(), "GET", &session, &[], "").await;
        let (_, last) = status.header("range").split_once('-').unwrap();
        let start = last.parse::<usize>().unwrap() + 1;
        let range = format!("{start}-{}", 2 * HALF - 1);
        let rest = vec![b'x'; 2 * HALF - start];
        let answer = send(server.addr(), "PATCH", &session, &[("content-range", &range)], rest).await;
        if !matches!(answer.status, 409 | 416) {
            break answer;
        }
    };
    assert_eq!(answer.status, 202);
    let digest = Digest::of(&[b'x'; 2 * HALF]);
    assert_eq!(send(server.addr(), "PUT", &format!("{session}?digest={digest}"), &[], "").await.status, 201);
}

#[tokio::test]
async fn a_request_in_flight_is_finished_before_the_server_stops() {
    let server = server::in_memory().await;
    let addr = server.addr();
    let (_, mut stream) = half_way(addr).await;
    let stopping = tokio::spawn(server.stop());
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(&[b'x'; HALF]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_grace_time_is_cut_off_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    let server = server::start(Options { repositories, limits, ..Options::in_memory() }).await;
    let (_, mut stream) = half_way(server.addr()).await;
    server.stop().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    let blobs = dir.path().join("a/blobs/sha256");
    // The writer notices the broken connection on its own: until then its file is there, unfinished and unnamed.
    while std::fs::read_dir(&blobs).unwrap().count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pull_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let server = server::start(Options { repositories, ..Options::in_memory() }).await;
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Digest::of(&content);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(send(server.addr(), "POST", &path, &[], content).await.status, 201);
    let path = format!("/v2/a/blobs/{digest}");
    let pulls = (0..64).map(|_| send(server.addr(), "GET", &path, &[], ""));
    for answer in join_all(pulls).await {
        assert_eq!((answer.status, Digest::of(&answer.body)), (200, digest.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_push_at_once_and_no_tag_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let server = server::start(Options { repositories, ..Options::in_memory() }).await;
    let tags: Vec<String> = (10..42).map(|n| format!("t{n}")).collect();
    join_all(tags.iter().map(|tag| push_index(&server, "a", tag))).await;
    let listed = send(server.addr(), "GET", "/v2/a/tags/list", &[], "").await;
    assert_eq!(listed.json()["tags"], serde_json::json!(tags));
}
