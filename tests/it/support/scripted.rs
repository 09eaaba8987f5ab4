//! A server that says exactly what a test tells it to, and remembers every byte that it was sent.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Request {
    /// `GET /v2/ HTTP/1.1` and all headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// `GET /v2/?x`
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
    }

    /// A header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// Reads the head of one request, answers it and closes, with whatever is still on its way: gives the `host:port`.
pub(crate) fn hasty(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (answer, stream) in answers.into_iter().zip(listener.incoming()) {
            let (mut stream, mut head, mut byte) = (stream.unwrap(), Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(&answer);
        }
    });
    host
}

/// Answers every request with this head and then with this chunk again and again, 64 MiB of it, or until nobody listens
/// any more; gives the `host:port`, and how many bytes went out on the busiest connection.
pub(crate) fn endless(head: String, chunk: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let most = Arc::new(AtomicUsize::new(0));
    let (head, sent) = (Arc::new(head), Arc::clone(&most));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (head, sent) = (Arc::clone(&head), Arc::clone(&sent));
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 16 << 10]);
                let (mut out, chunk) = (stream.write_all(head.as_bytes()), chunk.repeat((64 << 10) / chunk.len()));
                for n in 0..1024 {
                    if out.is_err() {
                        break;
                    }
                    out = stream.write_all(&chunk);
                    sent.fetch_max(n * chunk.len(), Ordering::Relaxed);
                }
            });
        }
    });
    (host, most)
}

/// The server; its threads end with the test binary.
pub(crate) struct Scripted {
    host: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    /// A server that answers each request with these bytes, and closes.
    pub(crate) fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1", answer)
    }

    /// The same, at this address.
    pub(crate) fn at(ip: &str, answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answer, seen_too) = (Arc::new(answer), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen_too));
                std::thread::spawn(move || serve(stream, answer.as_ref(), &seen));
            }
        });
        Self { host, seen }
    }

    /// An attacker's server: answers everything with 200 and nothing.
    pub(crate) fn trap(ip: &str) -> Self {
        Self::at(ip, |_| reply(200, &[], b""))
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The first lines of all requests so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.line().to_owned()).collect()
    }

    /// Whether any request so far held this text, in its head or its body.
    pub(crate) fn saw(&self, text: &str) -> bool {
        self.seen().iter().any(|r| r.head.contains(text) || String::from_utf8_lossy(&r.body).contains(text))
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Vec<u8>, seen: &Mutex<Vec<Request>>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        // The greeting of TLS has no end that a server of plain http would wait for.
        if bytes.first() == Some(&0x16) {
            break bytes.len();
        }
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ if bytes.is_empty() => return,
            _ => break bytes.len(),
        }
    };
    let mut request = Request { head: String::from_utf8_lossy(&bytes[..end]).into_owned(), body: bytes.split_off(end) };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    while request.body.len() < length {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => request.body.extend_from_slice(&chunk[..n]),
            _ => break,
        }
    }
    seen.lock().unwrap().push(request.clone());
    let _ = stream.write_all(&answer(&request));
}

/// A response with this status, these headers and this body.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head += &format!("content-length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
