//! Name resolution: the system's resolver, without forbidden addresses.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use hyper_util::client::legacy::connect::dns::Name;

use crate::{
    error::{Code, Error, Kind},
    stores::registry::origins::{address_scope::NearestScope, origin::HostTrust},
};

/// Resolves names, and removes the addresses that are not permitted.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    pub(super) host_trust: HostTrust,
    pub(super) nearest: NearestScope,
    /// Names with preset addresses.
    pub(super) known: Arc<HashMap<String, Vec<IpAddr>>>,
}

impl Resolver {
    async fn look_up(self, name: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let all: Vec<SocketAddr> = match self.known.get(&name) {
            Some(known) => known.iter().map(|ip| SocketAddr::new(*ip, 0)).collect(),
            None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
        };
        let usable: Vec<SocketAddr> = all.iter().copied().filter(|at| self.may_use(&name, at.ip())).collect();
        if usable.is_empty() {
            let found = all.first().map_or_else(String::new, |at| format!(": `{}` is not public", at.ip()));
            let error = Error::new(Kind::Unreachable, format!("no permitted address{found}"));
            let trustable = self.host_trust == HostTrust::Foreign;
            return Err(io::Error::other(if trustable { error.with_code(Code::HostNotTrusted) } else { error }));
        }
        Ok(usable.into_iter())
    }

    fn may_use(&self, name: &str, ip: IpAddr) -> bool {
        // `localhost` may use plain HTTP as a loopback name, so it must be one.
        if name == "localhost" && !ip.is_loopback() {
            return false;
        }
        match self.host_trust {
            HostTrust::Own => {
                self.nearest.saw(ip);
                true
            }
            HostTrust::Trusted => true,
            HostTrust::Foreign => self.nearest.allows(ip),
        }
    }
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().look_up(name.as_str().to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(seen: &[&str]) -> NearestScope {
        let nearest = NearestScope::default();
        seen.iter().for_each(|ip| nearest.saw(ip.parse().unwrap()));
        nearest
    }

    #[tokio::test]
    async fn addresses_that_may_not_be_used_are_left_out_and_told() {
        let known = |name: &str, ips: &[&str]| (name.to_owned(), ips.iter().map(|ip| ip.parse().unwrap()).collect());
        let known = Arc::new(HashMap::from([
            known("mixed.test", &["10.0.0.1", "8.8.8.8", "::1"]),
            known("inside.test", &["10.0.0.1"]),
            known("localhost", &["8.8.8.8"]),
        ]));
        let resolver = |host_trust, nearest| Resolver { host_trust, nearest, known: Arc::clone(&known) };
        let found = async |host_trust, nearest, name: &str| {
            let found = resolver(host_trust, nearest).look_up(name.to_owned()).await;
            found.map(|all| all.map(|at| at.ip().to_string()).collect::<Vec<_>>()).map_err(|e| e.to_string())
        };
        assert_eq!(found(HostTrust::Foreign, NearestScope::default(), "mixed.test").await.unwrap(), ["8.8.8.8"]);
        let error = found(HostTrust::Foreign, NearestScope::default(), "inside.test").await.unwrap_err();
        assert_eq!(error, "no permitted address: `10.0.0.1` is not public");
        assert_eq!(found(HostTrust::Foreign, nearest(&["10.9.9.9"]), "inside.test").await.unwrap(), ["10.0.0.1"]);
        assert_eq!(found(HostTrust::Trusted, NearestScope::default(), "inside.test").await.unwrap(), ["10.0.0.1"]);
        assert!(found(HostTrust::Own, NearestScope::default(), "localhost").await.is_err());
        let own = NearestScope::default();
        assert_eq!(found(HostTrust::Own, own.clone(), "mixed.test").await.unwrap().len(), 3);
        assert!(!own.allows("10.0.0.1".parse().unwrap()));
    }
}
