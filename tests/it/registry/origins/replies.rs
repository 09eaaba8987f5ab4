//! Answers that are too long, or that two readers would read differently.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use artifact::{
    Error, Kind, Result,
    oci::{Descriptor, media_type},
    store::{NamePage, ReadStore as _, collect},
    stores::registry::Options,
};
use bytes::Bytes;

use super::super::{kind, repository};
use crate::support::{
    samples::noise,
    scripted::{Scripted, endless, reply},
    writing::{fetch, put},
};

const MIB: usize = 1 << 20;
/// What the buffers of both ends may hold beyond what was read.
const BUFFERS: usize = 16 * MIB;

fn once() -> Options {
    Options { retries: 0, ..Options::default() }
}

/// What a blob of five bytes is when the registry answers this, byte for byte.
async fn blob(answer: Vec<u8>) -> Result<Bytes> {
    let server = Scripted::start(move |_| answer.clone());
    let repository = repository(server.host(), "a", &once());
    collect(fetch(&repository, &Descriptor::of("a/b", b"hello"), 0).await?, 100).await
}

fn raw(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").into_bytes()
}

/// H35: two lengths, and lengths that are none.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_doubtful_length_is_refused() {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    for length in ["5", "3", "15", "100", "0"] {
        for both in [
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        ] {
            let error = blob(raw(&both, chunked)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::NotARegistry, "{both}: {error}");
        }
    }
    for length in ["-1", "-5", "+5", "0x5", "5 5", "5,6", "5.0", "", " ", "99999999999999999999", "five"] {
        let error = blob(raw(&format!("content-length: {length}\r\n"), "hello")).await;
        assert!(error.is_err(), "{length:?}");
    }
    for two in ["content-length: 5\r\ncontent-length: 3\r\n", "content-length: 3\r\ncontent-length: 5\r\n"] {
        assert!(blob(raw(two, "hello")).await.is_err(), "{two}");
    }
    assert_eq!(blob(raw("content-length: 5\r\n", "hello")).await.unwrap(), "hello");
    assert_eq!(blob(raw("transfer-encoding: chunked\r\n", chunked)).await.unwrap(), "hello");
}

/// H35: chunks of impossible lengths, codings that nobody asked for.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_make_no_sense_are_an_error() {
    for body in [
        "5\r\nhel",
        "-5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello",
        "7fffffffffffffff\r\nhello",
        "5\nhello\n0\n\n",
        "5 \r\nhelloX\r\n0\r\n\r\n",
        "hello",
        "5\r\nhello\r\n",
        &format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(MIB)),
        &format!("5\r\nhello\r\n0\r\n{}\r\n", "X-Trailer: x\r\n".repeat(100_000)),
    ] {
        // What came whole is whole, however the answer ends.
        let read = blob(raw("transfer-encoding: chunked\r\n", body)).await;
        assert!(read.is_err() || read.is_ok_and(|bytes| bytes == "hello"), "{body}");
    }
}

/// H35: HTTP/0.9, and heads that only look like one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_an_error() {
    for answer in [
        "hello",
        "<html>hello</html>",
        "HTTP/0.9 200 OK\r\n\r\nhello",
        "HTTP/9.9 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 99999 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 -200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello",
        "ICY 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "",
    ] {
        assert!(blob(answer.into()).await.is_err(), "{answer}");
    }
}

/// H35: an answer that nobody asked for is not taken for the answer to the next request.
#[tokio::test(flavor = "multi_thread")]
async fn two_answers_to_one_request_are_one_answer() {
    let page = |tag: &str| {
        let body = format!(r#"{{"tags":["{tag}"]}}"#);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let server = Scripted::start(move |_| [page("good"), page("evil")].concat().into_bytes());
    let repository = repository(server.host(), "a", &Options::default());
    for _ in 0..5 {
        assert_eq!(repository.list_names().await.unwrap().names, ["good"]);
    }
    assert_eq!(server.seen().len(), 5);
}

/// H35: answers that say that the answer is still to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_interim_answers_ends_with_our_patience() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n";
    let some = [interim.repeat(50), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".into()].concat();
    assert_eq!(blob(some.into()).await.unwrap(), "hello");
    let (host, _) = endless(String::new(), b"HTTP/1.1 100 Continue\r\n\r\n");
    let options = Options { header_timeout: Duration::from_millis(200), ..once() };
    let error = repository(&host, "a", &options).list_names().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

/// A listing of tags that is answered with these headers.
async fn with_headers(headers: Vec<(String, String)>) -> Result<NamePage> {
    let server = Scripted::start(move |_| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        reply(200, &headers, b"{}")
    });
    repository(server.host(), "a", &once()).list_names().await
}

fn header(name: &str, len: usize) -> (String, String) {
    (name.to_owned(), "x".repeat(len))
}

/// H27: a mebibyte of headers, ten thousand warnings; and 64 KiB, or 256 headers, which are allowed.
#[tokio::test(flavor = "multi_thread")]
async fn headers_are_read_up_to_a_limit_in_bytes_and_in_number() {
    // What the server itself adds, each counted with `: ` and the end of its line.
    let own = "connection: close\r\ncontent-length: 2\r\n".len();
    let room = (64 << 10) - own - "x-long: \r\n".len();
    assert!(with_headers(vec![header("x-long", room)]).await.unwrap().names.is_empty());
    assert!(with_headers(vec![header("x", 1); 254]).await.unwrap().names.is_empty());
    for headers in [
        vec![header("x-long", room + 1)],
        vec![header("x-long", MIB)],
        vec![header("x", 1); 255],
        vec![header("warning", 20); 10_000],
    ] {
        let error = with_headers(headers).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Limit, "{error}");
        assert!(error.to_string().contains("65536 bytes") && error.to_string().contains("headers"), "{error}");
    }
}

/// What comes of this when the registry's answer to everything never ends, and how much of it went out at most.
async fn endlessly<T, F: Future<Output = Result<T>>>(
    status: u16,
    headers: &str,
    ask: impl FnOnce(String) -> F,
) -> (Error, usize) {
    let head = format!("HTTP/1.1 {status} Endless\r\n{headers}\r\n");
    let (host, sent) = endless(head, b"                                                                ");
    let error = ask(host).await.err().unwrap();
    // The sender stops when it notices.
    tokio::time::sleep(Duration::from_millis(50)).await;
    (error, sent.load(Ordering::Relaxed))
}

/// A manifest (H24), a token (H25), the text of an error (H26), a page of a listing: without a length and without end.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_read_without_end() {
    let index = Descriptor::of(media_type::INDEX, b"{}");
    let index_type = format!("content-type: {}\r\n", media_type::INDEX);
    let manifest = endlessly(200, &index_type, async |host| fetch(&repository(&host, "a", &once()), &index, 0).await);
    let page = endlessly(200, "", async |host| repository(&host, "a", &once()).list_names().await);
    let refusal = endlessly(400, "", async |host| repository(&host, "a", &once()).list_names().await);
    let token = endlessly(200, "", async |host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        let registry = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
        repository(registry.host(), "a", &once()).list_names().await
    });
    for ((error, sent), limit, want) in [
        (manifest.await, 8 * MIB, Kind::Limit),
        (page.await, 32 * MIB, Kind::Limit),
        (refusal.await, 64 << 10, Kind::Invalid),
        (token.await, 64 << 10, Kind::Limit),
    ] {
        assert_eq!(error.kind(), want, "{error}");
        assert!(want != Kind::Limit || error.to_string().contains(&format!("{limit} bytes")), "{error}");
        assert!(error.to_string().len() < 1000, "{}", error.to_string().len());
        assert!(sent <= limit + BUFFERS, "{sent} sent where {limit} are read");
    }
}

/// H28: a smallest piece that no memory could hold, or that is no number.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_huge_pieces_gets_the_blob_as_one() {
    let bytes = Bytes::from(noise(12 * MIB, 1));
    for (least, in_pieces) in [
        ("4611686018427387904", false),
        ("18446744073709551615", false),
        // No number that we know: as if nothing were said.
        ("99999999999999999999", true),
        ("-1", true),
        ("x", true),
        ("", true),
    ] {
        let refused = Arc::new(AtomicUsize::new(0));
        let server = Scripted::start(move |request| {
            let long = request.line().starts_with("PUT") && !request.body.is_empty();
            match request.line() {
                line if line.starts_with("POST") => {
                    reply(202, &[("location", "/upload"), ("oci-chunk-min-length", least)], b"")
                }
                line if line.starts_with("PATCH") => reply(202, &[("location", "/upload")], b""),
                _ if long && refused.fetch_add(1, Ordering::Relaxed) == 0 => reply(413, &[], b""),
                _ => reply(201, &[], b""),
            }
        });
        let pushed = put(&repository(server.host(), "a", &once()), &Descriptor::of("a/b", &bytes), &bytes).await;
        let seen = server.seen();
        assert_eq!(
            seen.iter().filter(|r| r.line().starts_with("PUT") && r.body.len() == bytes.len()).count(),
            1,
            "{least}"
        );
        let pieces: Vec<usize> = seen.iter().filter(|r| r.line().starts_with("PATCH")).map(|r| r.body.len()).collect();
        if in_pieces {
            pushed.unwrap();
            assert!(pieces.len() > 1 && pieces.iter().sum::<usize>() == bytes.len(), "{least}: {pieces:?}");
        } else {
            // Where shorter ones make no sense, the refusal is the answer.
            assert_eq!((kind(pushed), pieces), (Kind::Limit, Vec::new()), "{least}");
        }
    }
}
