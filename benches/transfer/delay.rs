//! A long line on loopback: everything takes its time, as much as there may be of it.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Forwards every connection to a server, half a round trip late in each direction and without a limit of its own to
/// how much is on the way. A new connection costs a round trip, as it does on a real line. Runs as long as the process.
pub(crate) fn delayed(server: &str, round_trip: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(&server) else { continue };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (Ok(near_end), Ok(far_end)) = (near.try_clone(), far.try_clone()) else { continue };
            let open = Instant::now() + round_trip;
            carry(near, far_end, open, round_trip / 2);
            carry(far, near_end, open, round_trip / 2);
        }
    });
    host
}

/// Carries bytes one way until they end. What comes before the line is `open` starts then.
fn carry(mut from: TcpStream, mut to: TcpStream, open: Instant, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let len = from.read(&mut buffer).unwrap_or(0);
            let due = Instant::now().max(open) + delay;
            if sender.send((due, buffer[..len].to_vec())).is_err() || len == 0 {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
