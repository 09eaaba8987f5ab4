//! Many clients of a server at once, with as little work of their own as possible.

use std::{
    io::{Read, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// Reads these paths over as many connections, each path once and each connection its share, and throws the content
/// away. Gives the seconds that it took. Errors: an answer that is not 200, or ends early.
pub(crate) fn gets(host: &str, paths: &[String], connections: usize) -> Result<f64, String> {
    let start = Instant::now();
    thread::scope(|scope| {
        let share = |i: usize| paths.iter().skip(i).step_by(connections);
        let clients: Vec<_> = (0..connections).map(|i| scope.spawn(move || client(host, share(i)))).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap())
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// Reads one path over many connections at once, from each of them a little at a time and not to its end: the server
/// always has more to send than is taken. Gives the seconds that it took. Errors: an answer that is not 200, or that ends.
pub(crate) fn trickle(host: &str, path: &str, connections: usize) -> Result<f64, String> {
    let start = Instant::now();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let open = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    };
    let mut streams: Vec<TcpStream> =
        (0..connections).map(|_| open()).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let mut buffer = vec![0; 16 << 10];
    for round in 0..10 {
        for stream in &mut streams {
            let len = stream.read(&mut buffer).map_err(|e| e.to_string())?;
            if len == 0 || (round == 0 && !buffer.starts_with(b"HTTP/1.1 200")) {
                return Err("an answer is not 200, or ends early".into());
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(start.elapsed().as_secs_f64())
}

fn client<'a>(host: &str, paths: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut stream = TcpStream::connect(host).map_err(|e| e.to_string())?;
    let mut buffer = vec![0; 256 << 10];
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        answer(&mut stream, &mut buffer).map_err(|e| format!("{path}: {e}"))?;
    }
    Ok(())
}

fn answer(stream: &mut impl Read, buffer: &mut [u8]) -> Result<(), String> {
    let mut have = 0;
    let end = loop {
        match stream.read(&mut buffer[have..]).map_err(|e| e.to_string())? {
            0 => return Err("no answer".into()),
            len => have += len,
        }
        if let Some(end) = buffer[..have].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(head.lines().next().unwrap_or_default().into());
    }
    let len = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let mut left = len.ok_or("no length")?.saturating_sub(have - end);
    while left > 0 {
        match stream.read(buffer).map_err(|e| e.to_string())? {
            0 => return Err(format!("{left} bytes are missing")),
            len => left = left.saturating_sub(len),
        }
    }
    Ok(())
}
