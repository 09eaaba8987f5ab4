//! Origins: scheme, host and port, and which other origins a registry may refer us to.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

use super::{address::Address, address_scope::NearestScope, quirks, registrable_domain::same_registrable_domain};
use crate::{
    error::{Code, Error, Result},
    oci::without_userinfo,
};

/// The scheme for accessing a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// https; plain http only for `localhost` and loopback addresses.
    #[default]
    Auto,
    /// Plain http.
    Http,
    /// https, for `localhost` too.
    Https,
}

/// Scheme, host and port: the scope of a credential (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of the registry `host[:port]`; Docker Hub's names map to the host of its API.
    ///
    /// Errors: anything but a host with an optional port.
    pub fn of_registry(registry: &str, protocol: Protocol) -> Result<Self> {
        let shown = without_userinfo(registry);
        let bad = || {
            let error = Error::misuse(format!("`{shown}` is not a registry; expected `host[:port]`"));
            if registry.contains("://") { error.with_code(Code::SchemeGiven) } else { error }
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#\\%".contains(c);
        if registry.contains(odd) {
            return Err(bad());
        }
        let api = quirks::api_host(registry);
        let secure = Url::parse(&format!("https://{api}/")).map_err(|_| bad())?;
        let plain = Url::parse(&format!("http://{api}/")).map_err(|_| bad())?;
        let chosen = match protocol {
            Protocol::Http => plain,
            Protocol::Auto if is_loopback(&secure) => plain,
            Protocol::Auto | Protocol::Https => secure,
        };
        // One spelling per host: certificates and credentials have no trailing dot.
        let origin = Self::of(&chosen)?;
        if origin.host.split('.').any(str::is_empty) { Err(bad()) } else { Ok(origin) }
    }

    /// The origin of a URL. Errors: neither http nor https, no host, user information.
    pub fn of(url: &Url) -> Result<Self> {
        // The URL itself is not shown: a server may have put a secret anywhere into it.
        let bad = |why: &str| Error::invalid(format!("a URL {why}"));
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(bad("is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("contains user information"));
        }
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) if !host.is_empty() => Ok(Self { secure, host: host.to_owned(), port }),
            _ => Err(bad("has no host")),
        }
    }

    /// True for https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, without the port; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, written or implied.
    pub(in crate::stores::registry) fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one; `None` for a name.
    pub(in crate::stores::registry) fn address(&self) -> Option<IpAddr> {
        match self.parsed()? {
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(ip.into()),
            Host::Ipv6(ip) => Some(ip.into()),
        }
    }

    /// `host[:port]`, without the scheme's default port.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The address of a path at this origin.
    pub(in crate::stores::registry) fn at(&self, path: &str) -> Result<Address> {
        let url = Url::parse(&format!("{self}{path}")).map_err(|e| Error::invalid(format!("{self}: {e}")))?;
        Ok(Address::own(url))
    }

    /// The host, as a name or as an address.
    fn parsed(&self) -> Option<Host<String>> {
        Host::parse(&self.host).ok()
    }

    pub(in crate::stores::registry) fn is_loopback(&self) -> bool {
        match self.parsed() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

fn is_loopback(url: &Url) -> bool {
    Origin::of(url).is_ok_and(|origin| origin.is_loopback())
}

/// Which addresses and certificates a host may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::registry) enum HostTrust {
    /// The registry itself: any address, and the user's TLS settings.
    Own,
    /// Trusted by the user or by the rules below: any address.
    Trusted,
    /// A host that the registry refers to: https only, and no narrower address scope than the registry's own.
    Foreign,
}

/// May this registry refer us to that URL, by a redirect or by an upload's `Location`?
///
/// Never from https to http. Another origin must be https at a public address, or at one of no narrower scope than the
/// registry's own (`nearest`); a loopback registry may use other loopback ports; hosts listed by the user may be
/// anywhere. Credentials are never sent along.
pub(in crate::stores::registry) fn host_trust(
    registry: &Origin,
    to: &Origin,
    trusted: &[String],
    nearest: &NearestScope,
) -> Result<HostTrust> {
    if registry == to {
        return Ok(HostTrust::Own);
    }
    let refused = |why: &str| Error::invalid(format!("refused redirect from {registry}: {why}"));
    if registry.secure && !to.secure {
        return Err(refused("https to http"));
    }
    if is_listed(to, trusted) || (registry.is_loopback() && to.is_loopback()) {
        return Ok(HostTrust::Trusted);
    }
    if !to.secure {
        return Err(refused("another host must use https").with_code(Code::HostNotTrusted));
    }
    if to.host == "localhost" || to.address().is_some_and(|ip| !nearest.allows(ip)) {
        return Err(refused("its address is not public").with_code(Code::HostNotTrusted));
    }
    Ok(HostTrust::Foreign)
}

/// May credentials for this registry be sent to that token service, and with which trust?
///
/// Yes to the same origin, to https on the same registrable domain, to another port of the same loopback address, and
/// to hosts listed by the user. An IP address matches only itself.
pub(in crate::stores::registry) fn realm(registry: &Origin, realm: &Origin, trusted: &[String]) -> Option<HostTrust> {
    if registry == realm {
        return Some(HostTrust::Own);
    }
    if registry.secure && !realm.secure {
        return None;
    }
    let same_host = registry.host == realm.host && (realm.secure || registry.is_loopback());
    if is_listed(realm, trusted) || same_host {
        return Some(HostTrust::Trusted);
    }
    (realm.secure && same_registrable_domain(&registry.host, &realm.host)).then_some(HostTrust::Foreign)
}

/// May a token service be asked for a token that everybody gets, without credentials, and with which trust?
///
/// Yes where [`realm`] allows credentials; besides, to https at any public address, where a redirect could lead, too.
pub(in crate::stores::registry) fn anonymous_realm(
    registry: &Origin,
    service: &Origin,
    trusted: &[String],
) -> Option<HostTrust> {
    let public = service.secure
        && service.host != "localhost"
        && service.address().is_none_or(|ip| NearestScope::default().allows(ip));
    realm(registry, service, trusted).or(public.then_some(HostTrust::Foreign))
}

fn is_listed(origin: &Origin, trusted: &[String]) -> bool {
    let authority = origin.authority();
    trusted.iter().any(|host| host.eq_ignore_ascii_case(&authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Origin {
        Origin::of(&Url::parse(url).unwrap()).unwrap()
    }

    /// H17, H19.
    #[test]
    fn plain_http_is_for_exact_loopback_names_only() {
        for (registry, url) in [
            ("localhost:5000", "http://localhost:5000"),
            ("127.0.0.1:80", "http://127.0.0.1"),
            ("127.9.9.9", "http://127.9.9.9"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("127.0.0.1.evil.test", "https://127.0.0.1.evil.test"),
            ("localhost.evil.test", "https://localhost.evil.test"),
            ("x.local", "https://x.local"),
            ("10.0.0.1", "https://10.0.0.1"),
            ("ghcr.io:443", "https://ghcr.io"),
            ("GHCR.io", "https://ghcr.io"),
            ("docker.io", "https://registry-1.docker.io"),
        ] {
            assert_eq!(Origin::of_registry(registry, Protocol::Auto).unwrap().to_string(), url);
        }
        for bad in ["", "[::1].evil", "a b", "host:99999", "u@host", "host/x", "host?x", "h%2fx", "https://x"] {
            assert!(Origin::of_registry(bad, Protocol::Auto).is_err(), "{bad}");
        }
    }

    /// Where a registry that was not seen at any address leads.
    fn leads(registry: &Origin, to: &str) -> Result<HostTrust> {
        host_trust(registry, &at(to), &[], &NearestScope::default())
    }

    #[test]
    fn a_private_registry_leads_to_private_https_but_not_to_this_machine_or_its_link() {
        let (registry, nearest) = (at("https://10.0.0.1"), NearestScope::default());
        nearest.saw("10.0.0.1".parse().unwrap());
        for good in
            ["https://10.0.0.2", "https://192.168.1.1", "https://[fd12::1]", "https://8.8.8.8", "https://x.test"]
        {
            assert_eq!(host_trust(&registry, &at(good), &[], &nearest).unwrap(), HostTrust::Foreign, "{good}");
        }
        for bad in [
            "https://127.0.0.1",
            "https://localhost",
            "https://169.254.169.254",
            "https://100.100.100.200",
            "https://[fd00:ec2::254]",
            "https://[::ffff:169.254.169.254]",
            "https://0.0.0.0",
            "http://10.0.0.2",
        ] {
            assert!(host_trust(&registry, &at(bad), &[], &nearest).is_err(), "{bad}");
        }
    }

    /// H3, H8, H9.
    #[test]
    fn a_registry_leads_to_public_https_or_nowhere() {
        let registry = at("https://registry.example.com");
        for good in ["https://registry.example.com/x", "https://blobs.s3.amazonaws.com/x", "https://8.8.8.8/x"] {
            assert!(leads(&registry, good).is_ok(), "{good}");
        }
        for bad in [
            "http://registry.example.com/x",
            "http://registry.example.com:443/x",
            "https://169.254.169.254/x",
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://0.0.0.0/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://2130706433/x",
            "https://0177.0.0.1/x",
            "https://10.1.2.3/x",
            "https://[fd00::1]/x",
            "https://[64:ff9b::7f00:1]/x",
        ] {
            assert!(leads(&registry, bad).is_err(), "{bad}");
        }
        let (listed, nearest) = (["minio.corp:9000".to_owned()], NearestScope::default());
        assert_eq!(
            host_trust(&registry, &at("https://minio.corp:9000/x"), &listed, &nearest).unwrap(),
            HostTrust::Trusted
        );
        assert_eq!(leads(&at("http://127.0.0.1:1"), "http://127.0.0.1:2").unwrap(), HostTrust::Trusted);
        assert!(leads(&at("http://registry.corp"), "http://127.0.0.1:2").is_err());
        assert!(Origin::of(&Url::parse("https://u:p@evil.test/x").unwrap()).is_err());
    }

    /// H10, H11, H12, H32.
    #[test]
    fn credentials_go_to_a_realm_of_the_same_owner_only() {
        let allowed = |registry: &str, service: &str| realm(&at(registry), &at(service), &[]).is_some();
        assert!(allowed("https://registry-1.docker.io", "https://auth.docker.io/token"));
        assert!(allowed("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"));
        assert!(allowed("https://ghcr.io", "https://ghcr.io/token"));
        assert!(allowed("https://registry.corp.co.uk", "https://auth.corp.co.uk/token"));
        assert!(allowed("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"));
        assert!(!allowed("https://ghcr.io", "https://evil.io/token"));
        assert!(!allowed("https://ghcr.io", "http://ghcr.io/token"));
        assert!(!allowed("https://a.co.uk", "https://b.co.uk/token"));
        for (a, b) in [
            ("a.github.io", "b.github.io"),
            ("1.dkr.ecr.us-east-1.amazonaws.com", "2.dkr.ecr.us-east-1.amazonaws.com"),
            ("1.dkr.ecr.us-east-1.amazonaws.com", "evil.s3.us-east-1.amazonaws.com"),
            ("a.s3.amazonaws.com", "b.s3.amazonaws.com"),
            ("a.westeurope.cloudapp.azure.com", "b.westeurope.cloudapp.azure.com"),
            ("a.blob.core.windows.net", "b.blob.core.windows.net"),
            ("a.10.0.0.1.nip.io", "b.10.0.0.1.nip.io"),
            ("registry.example.com.", "evil.com."),
            ("registry.corp", "evil"),
        ] {
            assert!(!allowed(&format!("https://{a}"), &format!("https://{b}/token")), "{a} {b}");
            assert!(allowed(&format!("https://{a}"), &format!("https://{a}/token")), "{a}");
        }
        assert!(!allowed("https://registry.example.com", "https://example.com.evil.test/token"));
        assert!(!allowed("https://registry.example.com", "https://evilexample.com/token"));
        assert!(!allowed("https://10.0.0.1", "https://10.0.0.2/token"));
        assert!(!allowed("https://registry.example.com", "https://169.254.169.254/token"));
        assert!(!allowed("http://127.0.0.1:5000", "http://127.0.0.2:5000/token"));
        assert!(!allowed("http://registry.corp.test", "http://auth.corp.test/token"));
        let host_trust = |service| realm(&at("https://r.a.test"), &at(service), &["b.test".into()]);
        assert_eq!(host_trust("https://b.test"), Some(HostTrust::Trusted));
        assert_eq!(host_trust("https://r.a.test/token"), Some(HostTrust::Own));
        assert_eq!(host_trust("https://r.a.test:444"), Some(HostTrust::Trusted));
        assert_eq!(host_trust("https://inside.a.test"), Some(HostTrust::Foreign));
    }
}
