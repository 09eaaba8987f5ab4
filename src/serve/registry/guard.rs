//! `Host` and `Origin` headers, against hostile web pages.

use std::net::IpAddr;

use http::{HeaderMap, header, uri::Authority};

use super::reply::Refusal;
use crate::error::ServerCode;

/// Refuses a request with a `Host` other than `localhost`, an IP address, or a listed name; `*` allows any.
///
/// Web pages cannot set the header: it always has the name that the browser resolved. This detects a page of
/// `evil.example` with a name that now resolves to this machine (DNS rebinding).
pub(super) fn check_host(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let denied = || Refusal::new(ServerCode::Denied, "this registry does not accept this host name").status(421);
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::new(ServerCode::Denied, "the request needs exactly one `Host` header").status(400));
    };
    let authority: Authority = host.to_str().ok().and_then(|h| h.parse().ok()).ok_or_else(denied)?;
    let name = authority.host();
    let rest = authority.as_str().strip_prefix(name).ok_or_else(denied)?;
    if !rest.is_empty() && rest.strip_prefix(':').is_none_or(|port| port.parse::<u16>().is_err()) {
        return Err(denied());
    }
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let listed = |entry: &String| entry == "*" || entry.eq_ignore_ascii_case(name);
    match ip || name.eq_ignore_ascii_case("localhost") || allowed.iter().any(listed) {
        true => Ok(()),
        false => Err(denied()),
    }
}

/// Refuses a request from a web page of another origin.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let own = |origin: &str| origin.split_once("://").map(|(_, host)| host) == text(header::HOST);
    match headers.contains_key(header::ORIGIN) && !text(header::ORIGIN).is_some_and(own) {
        true => Err(Refusal::new(ServerCode::Denied, "this registry refuses requests from web pages of other origins")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_names_that_are_meant_are_answered() {
        let allowed = ["registry.example".to_owned()];
        for good in ["localhost", "LOCALHOST:5000", "127.0.0.1:1", "[::1]:5000", "10.0.0.1", "registry.example:443"] {
            assert!(check_host(&headers(&[("host", good)]), &allowed).is_ok(), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1].evil.example", "a b"]
        {
            assert!(check_host(&headers(&[("host", bad)]), &allowed).is_err(), "{bad}");
        }
        assert!(check_host(&headers(&[]), &allowed).is_err());
        assert!(check_host(&headers(&[("host", "localhost"), ("host", "evil.example")]), &allowed).is_err());
        assert!(check_host(&headers(&[("host", "any.example")]), &["*".into()]).is_ok());
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let own = headers(&[("host", "localhost:5000"), ("origin", "http://localhost:5000")]);
        assert!(check_origin(&own).is_ok() && check_origin(&headers(&[])).is_ok());
        for origin in ["http://evil.example", "null", "http://localhost:5001", "http://localhost:5000.evil.example"] {
            assert!(check_origin(&headers(&[("host", "localhost:5000"), ("origin", origin)])).is_err(), "{origin}");
        }
    }
}
