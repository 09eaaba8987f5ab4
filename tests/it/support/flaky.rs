//! A registry on a bad day: passes everything on to a real one, except for the faults that a test orders.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::scripted::Request;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status with these headers, and the real registry hears nothing.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// The registry does what it was asked to, and the answer has this status instead of its own.
    Says(u16),
    /// The connection closes before the answer; the registry heard nothing.
    Close,
    /// The connection closes before the answer; the registry did what it was asked to.
    Forget,
    /// No answer, and the connection stays open.
    Silence,
    /// The answer, and a connection that is closed then without a word about that.
    Part,
    /// The connection breaks after so many bytes of the request's body.
    ResetUpload(usize),
    /// The connection closes after so many bytes of the request's body.
    CloseUpload(usize),
    /// A body of a request that is longer is refused, unread.
    LongestUpload(usize),
    /// The connection breaks after so many bytes of the answer's body.
    Reset(usize),
    /// The connection closes after so many bytes of the answer's body.
    Short(usize),
    /// Nothing more comes after so many bytes of the answer's body.
    Stall(usize),
    /// So many bytes of the answer's body are followed by one every 20 ms.
    Trickle(usize),
    /// This byte of the answer's body is another one.
    Flip(usize),
    /// A header of the answer is another one.
    Header(&'static str, &'static str),
    /// The request's `Range` is not seen.
    NoRange,
}

/// A fault, and when it happens: in these of the requests with this method and this part of a path.
#[derive(Clone)]
pub(crate) struct Rule {
    method: &'static str,
    path: String,
    when: Range<usize>,
    fault: Fault,
}

/// This happens to these of the requests with this method and this part of a path.
pub(crate) fn on(method: &'static str, path: &str, when: Range<usize>, fault: Fault) -> Rule {
    Rule { method, path: path.into(), when, fault }
}

/// Every request from the first on.
pub(crate) const ALWAYS: Range<usize> = 0..usize::MAX;

struct Plan {
    upstream: String,
    rules: Vec<(Rule, AtomicUsize)>,
    /// How often a token may be used, if one is asked for.
    tokens: Option<usize>,
    uses: Mutex<(usize, usize)>,
    seen: Mutex<Vec<Request>>,
}

/// The registry; its threads end with the test binary.
pub(crate) struct Flaky {
    host: String,
    plan: Arc<Plan>,
}

impl Flaky {
    /// In front of this registry, with these faults.
    pub(crate) fn before(upstream: &str, rules: Vec<Rule>) -> Self {
        Self::with(upstream, rules, None)
    }

    /// The same, which asks for a token of its own that can be used so often.
    pub(crate) fn with_tokens(upstream: &str, rules: Vec<Rule>, uses: usize) -> Self {
        Self::with(upstream, rules, Some(uses))
    }

    fn with(upstream: &str, rules: Vec<Rule>, tokens: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let rules = rules.into_iter().map(|rule| (rule, AtomicUsize::new(0))).collect();
        let (upstream, seen) = (upstream.to_owned(), Mutex::default());
        let plan = Arc::new(Plan { upstream, rules, tokens, uses: Mutex::default(), seen });
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let plan = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let mut connection = Connection { stream, plan };
                    while connection.serve().is_ok_and(|stays| stays) {}
                });
            }
        });
        Self { host, plan }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// All requests so far, those that were cut off included.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.plan.seen.lock().unwrap().clone()
    }

    /// How many requests so far had this method and this part of a path.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.seen().iter().filter(|r| r.line().starts_with(method) && r.line().contains(path)).count()
    }
}

impl Plan {
    /// What goes wrong with this request.
    fn faults(&self, request: &Request) -> Vec<Fault> {
        let (method, path) = request.line().split_once(' ').unwrap_or_default();
        let hit = |(rule, count): &(Rule, AtomicUsize)| {
            let meant = rule.method == method && path.contains(&rule.path);
            (meant && rule.when.contains(&count.fetch_add(1, Ordering::SeqCst))).then(|| rule.fault.clone())
        };
        self.rules.iter().filter_map(hit).collect()
    }

    /// What the token service, or the lack of a good token, answers; `None` when the request may pass.
    fn gate(&self, request: &Request) -> Option<Vec<u8>> {
        let limit = self.tokens?;
        let (issued, uses) = &mut *self.uses.lock().unwrap();
        if request.line().starts_with("GET /token") {
            (*issued, *uses) = (*issued + 1, 0);
            return Some(answer(200, &[], format!(r#"{{"token":"t{issued}","expires_in":3600}}"#).as_bytes()));
        }
        if request.header("authorization") == format!("Bearer t{issued}") && *uses < limit {
            *uses += 1;
            return None;
        }
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"x\"", request.header("host"));
        Some(answer(401, &[("www-authenticate", &challenge)], b""))
    }
}

struct Connection {
    stream: TcpStream,
    plan: Arc<Plan>,
}

impl Connection {
    /// Answers one request; whether the connection stays open.
    fn serve(&mut self) -> io::Result<bool> {
        let mut request = Request { head: String::new(), body: Vec::new() };
        while !request.head.ends_with("\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            request.head.push(char::from(byte[0]));
        }
        let length: usize = request.header("content-length").parse().unwrap_or(0);
        let faults = self.plan.faults(&request);
        let taken = faults.iter().find_map(|fault| match fault {
            Fault::ResetUpload(at) | Fault::CloseUpload(at) => Some(*at),
            Fault::LongestUpload(most) if length > *most => Some(0),
            _ => None,
        });
        request.body = vec![0; taken.unwrap_or(length).min(length)];
        self.stream.read_exact(&mut request.body)?;
        self.plan.seen.lock().unwrap().push(request.clone());
        for fault in &faults {
            match fault {
                Fault::Status(status, headers) => return self.send(&answer(*status, headers, b"")).map(|()| true),
                Fault::Close | Fault::CloseUpload(_) => return Ok(false),
                Fault::ResetUpload(_) => return self.reset(),
                Fault::LongestUpload(_) if taken.is_some() => return self.refuse(length),
                Fault::Silence => return self.wait(),
                Fault::NoRange => request.head = without(&request.head, "range"),
                _ => {}
            }
        }
        if let Some(answer) = self.plan.gate(&request) {
            return self.send(&answer).map(|()| true);
        }
        let whole = self.upstream(&request)?;
        self.answer(whole, &faults)
    }

    /// What the real registry answers.
    fn upstream(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(&self.plan.upstream)?;
        let head = without(&without(&request.head, "connection"), "authorization");
        upstream.write_all(head.trim_end().as_bytes())?;
        upstream.write_all(b"\r\nconnection: close\r\n\r\n")?;
        upstream.write_all(&request.body)?;
        let mut whole = Vec::new();
        upstream.read_to_end(&mut whole)?;
        Ok(whole)
    }

    fn answer(&mut self, whole: Vec<u8>, faults: &[Fault]) -> io::Result<bool> {
        let end = whole.windows(4).position(|w| w == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)? + 4;
        let mut head = without(&String::from_utf8_lossy(&whole[..end]), "connection");
        let mut body = whole[end..].to_vec();
        for fault in faults {
            match fault {
                Fault::Header(name, value) => {
                    head = format!("{}\r\n{name}: {value}\r\n\r\n", without(&head, name).trim_end());
                }
                Fault::Says(status) => {
                    let (_, rest) = head.split_once("\r\n").unwrap_or_default();
                    head = format!("HTTP/1.1 {status} Flaky\r\n{rest}");
                }
                Fault::Flip(at) => body[*at] ^= 1,
                _ => {}
            }
        }
        for fault in faults {
            if let Fault::Reset(at) | Fault::Short(at) | Fault::Stall(at) | Fault::Trickle(at) = fault {
                self.send(head.as_bytes())?;
                self.send(&body[..(*at).min(body.len())])?;
            }
            match fault {
                Fault::Forget | Fault::Short(_) => return Ok(false),
                Fault::Reset(_) => return self.reset(),
                Fault::Stall(_) => return self.wait(),
                Fault::Trickle(at) => return self.trickle(&body[(*at).min(body.len())..]),
                _ => {}
            }
        }
        self.send(head.as_bytes())?;
        self.send(&body)?;
        Ok(!faults.iter().any(|fault| matches!(fault, Fault::Part)))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Answers 413, and takes what still comes, so that the answer is not lost to a reset.
    fn refuse(&mut self, length: usize) -> io::Result<bool> {
        self.send(&answer(413, &[("connection", "close")], b""))?;
        io::copy(&mut (&mut self.stream).take(length as u64), &mut io::sink())?;
        Ok(false)
    }

    /// Closes with a reset instead of a farewell.
    fn reset(&mut self) -> io::Result<bool> {
        tokio::net::TcpSocket::from_std_stream(self.stream.try_clone()?).set_zero_linger()?;
        Ok(false)
    }

    /// Says nothing until the other side goes.
    fn wait(&mut self) -> io::Result<bool> {
        io::copy(&mut self.stream, &mut io::sink()).map(|_| false)
    }

    fn trickle(&mut self, rest: &[u8]) -> io::Result<bool> {
        for byte in rest {
            std::thread::sleep(std::time::Duration::from_millis(20));
            self.send(&[*byte])?;
        }
        Ok(false)
    }
}

/// A response with this status, these headers and this body, after which the connection stays open.
fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Flaky\r\ncontent-length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A head without this header.
fn without(head: &str, name: &str) -> String {
    let other = |line: &&str| !line.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
    head.split("\r\n").filter(other).collect::<Vec<_>>().join("\r\n")
}
