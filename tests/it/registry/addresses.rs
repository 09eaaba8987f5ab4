//! Names with several addresses, of which the first are dead.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use artifact::{
    store::ReadStore as _,
    stores::registry::{Options, Protocol},
};
use tokio::net::{TcpSocket, TcpStream};

use super::repository;
use crate::support::scripted::{Scripted, reply};

/// Answers no one at this address, as if it were not there: its queue of one is full.
struct Dead {
    _socket: tokio::net::TcpListener,
    _queue: Vec<tokio::task::JoinHandle<std::io::Result<TcpStream>>>,
}

impl Dead {
    /// `None` where the machine has no such address.
    fn at(address: SocketAddr) -> Option<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
        socket.bind(address).ok()?;
        let socket = socket.listen(0).ok()?;
        let queue = (0..3).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        Some(Self { _socket: socket, _queue: queue })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_address_is_tried_when_the_first_is_dead() {
    for dead in ["127.0.0.2", "::1"] {
        let registry = Scripted::start(|_| reply(200, &[], br#"{"name":"a","tags":["v1"]}"#));
        let port = registry.host().rsplit_once(':').unwrap().1.parse().unwrap();
        let dead: IpAddr = dead.parse().unwrap();
        let Some(_dead) = Dead::at(SocketAddr::new(dead, port)) else { continue };
        tokio::time::sleep(Duration::from_millis(100)).await;
        let options = Options {
            protocol: Protocol::Http,
            addresses: [("registry.test".to_owned(), vec![dead, [127, 0, 0, 1].into()])].into(),
            connect_timeout: Duration::from_secs(2),
            retries: 0,
            ..Options::default()
        };
        let tags = repository(&format!("registry.test:{port}"), "a", &options).list_names().await.unwrap().names;
        assert_eq!(tags, ["v1"], "{dead}");
    }
}
