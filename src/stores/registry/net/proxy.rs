//! Proxies: the choice of a proxy for a request, by the rules of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` in Go
//! programs (golang.org/x/net/http/httpproxy), and CONNECT requests (RFC 9110, section 9.3.6).
//!
//! The matcher of `hyper-util` follows curl's rules: its `NO_PROXY` ignores ports, `.domain` includes the domain
//! itself, `*` is no address; and it ignores an unusable proxy, so that requests would bypass it.

use std::{fmt, net::IpAddr, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::{
    error::{Code, Error, Result},
    stores::registry::origins::origin::Origin,
};

/// The proxies to use, and the hosts reached without one.
///
/// `localhost` and loopback addresses are reached through a proxy only if it is set by [`Proxies::all`]. A proxy
/// resolves names itself, and is then responsible for keeping them from leading to private addresses.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    except: Arc<[Exception]>,
    loopback: bool,
}

/// A proxy, or the error in its setting: reported on use, not before.
type Named = Result<Arc<Proxy>, Unusable>;

/// The error in the setting of a proxy.
type Unusable = (Code, String);

impl Proxies {
    /// The proxies for http and for https hosts; and, as in `NO_PROXY`, the hosts reached without one.
    ///
    /// A URL consists of `http://` or `https://`, user information, host and port; the scheme is optional. Exceptions
    /// are a list of `host`, `.domain`, `address` or `address/bits`, each with or without a `:port`; `*` means all. A
    /// host includes the names below it.
    #[must_use]
    pub fn new(http: Option<&str>, https: Option<&str>, except: &str) -> Self {
        let named = |url: &str| Proxy::parse(url).map(Arc::new);
        let words = except.split(|c: char| c == ',' || c.is_whitespace());
        Self {
            http: http.map(named),
            https: https.map(named),
            except: words.filter_map(Exception::parse).collect(),
            loopback: false,
        }
    }

    /// One proxy for everything, including loopback addresses.
    #[must_use]
    pub fn all(url: &str) -> Self {
        Self { loopback: true, ..Self::new(Some(url), Some(url), "") }
    }

    /// The proxy for this host. Errors: a malformed or unsupported proxy URL.
    pub(in crate::stores::registry) fn of(&self, to: &Origin) -> Result<Option<&Arc<Proxy>>> {
        let scheme = if to.is_secure() { "https" } else { "http" };
        let named = if to.is_secure() { &self.https } else { &self.http };
        match named {
            Some(named) if self.loopback || !(to.is_loopback() || self.except.iter().any(|e| e.covers(to))) => {
                let unusable =
                    |(code, why): &Unusable| Error::invalid(format!("the proxy for {scheme} {why}")).with_code(*code);
                named.as_ref().map(Some).map_err(unusable)
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |named: &Option<Named>| named.as_ref().and_then(|named| Some(named.as_ref().ok()?.to_string()));
        f.debug_struct("Proxies").field("http", &name(&self.http)).field("https", &name(&self.https)).finish()
    }
}

/// A proxy.
pub(in crate::stores::registry) struct Proxy {
    origin: Origin,
    /// The login at the proxy, as the value of `Proxy-Authorization`.
    pub(in crate::stores::registry) login: Option<HeaderValue>,
    /// The password and other secret parts of the login, to keep them out of messages.
    pub(in crate::stores::registry) secrets: Vec<String>,
}

impl Proxy {
    /// Messages never quote the text: it may contain a password.
    fn parse(text: &str) -> Result<Self, Unusable> {
        let malformed = |why: String| (Code::ProxyMalformed, why);
        let text = text.trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&text).map_err(|e| malformed(format!("has a malformed URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            let code = if url.scheme().starts_with("socks") { Code::ProxyUnsupported } else { Code::ProxyMalformed };
            return Err((code, format!("has an unsupported scheme: `{}://`", url.scheme())));
        }
        let (login, secrets) = login(&url).unzip();
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        let origin = bare.ok().and_then(|()| Origin::of(&url).ok()).ok_or_else(|| malformed("has no host".into()))?;
        Ok(Self { origin, login, secrets: secrets.unwrap_or_default() })
    }

    /// Where it is.
    pub(super) fn uri(&self) -> Result<Uri> {
        self.to_string().parse().map_err(|e| Error::invalid(format!("{self}: {e}")))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

fn login(url: &Url) -> Option<(HeaderValue, Vec<String>)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let password = decoded(url.password().unwrap_or_default());
    let basic = BASE64_STANDARD.encode([decoded(url.username()).as_slice(), b":", &password].concat());
    let mut value = HeaderValue::from_str(&format!("Basic {basic}")).ok()?;
    value.set_sensitive(true);
    let unpadded = basic.trim_end_matches('=').to_owned();
    Some((value, vec![String::from_utf8_lossy(&password).into_owned(), unpadded, basic]))
}

/// Hosts reached without a proxy.
#[derive(Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// An address, and the number of leading bits that count.
    Network(IpAddr, u32),
    /// `.domain`: the names below it, and with `true` the domain itself.
    Below(String, bool),
}

impl Exception {
    /// `None` for a word without meaning, as in Go.
    fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        if word == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some((address, bits)) = word.split_once('/') {
            let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
            return (bits <= width(address)).then_some(Self { hosts: Hosts::Network(address, bits), port: None });
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port.parse().ok()?)),
            _ => (word.as_str(), None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = host.parse() {
            return Some(Self { hosts: Hosts::Network(address, width(address)), port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let (name, itself) = host.strip_prefix('.').map_or((host, true), |name| (name, false));
        (!name.is_empty()).then(|| Self { hosts: Hosts::Below(format!(".{name}"), itself), port })
    }

    fn covers(&self, to: &Origin) -> bool {
        if self.port.is_some_and(|port| port != to.port()) {
            return false;
        }
        match (&self.hosts, Host::parse(to.host())) {
            (Hosts::All, _) => true,
            (Hosts::Network(net, bits), Ok(Host::Ipv4(ip))) => begins_alike(*net, ip.into(), *bits),
            (Hosts::Network(net, bits), Ok(Host::Ipv6(ip))) => begins_alike(*net, ip.into(), *bits),
            (Hosts::Below(domain, itself), Ok(Host::Domain(name))) => {
                name.ends_with(domain.as_str()) || *itself && domain.get(1..) == Some(name.as_str())
            }
            _ => false,
        }
    }
}

/// The number of bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// True if two addresses of one family agree in their leading bits.
fn begins_alike(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    width(a) == width(b) && (bits == 0 || (number(a) ^ number(b)) >> (128 - bits) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
        proxies.of(&origin).unwrap().map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_its_proxy_and_loopback_has_none() {
        let proxies = Proxies::new(Some("web:3128"), Some("https://tls.test"), "");
        assert_eq!(chosen(&proxies, "http://registry.test").as_deref(), Some("http://web:3128"));
        assert_eq!(chosen(&proxies, "https://registry.test").as_deref(), Some("https://tls.test"));
        for url in ["http://localhost:5000", "https://127.9.9.9", "http://[::1]:5000"] {
            assert_eq!(chosen(&proxies, url), None, "{url}");
            assert!(chosen(&Proxies::all("web"), url).is_some(), "{url}");
        }
        assert_eq!(chosen(&Proxies::new(None, Some("web"), ""), "http://registry.test"), None);
        assert_eq!(chosen(&Proxies::default(), "https://registry.test"), None);
    }

    #[test]
    fn what_needs_no_proxy_is_told_as_in_go() {
        for (except, without, through) in [
            ("*", &["registry.test", "10.0.0.1"][..], &[][..]),
            ("corp.test", &["corp.test", "a.corp.test", "CORP.test:5000"], &["xcorp.test", "corp.test.evil.test"]),
            (".corp.test", &["a.corp.test"], &["corp.test"]),
            ("*.corp.test", &["a.b.corp.test"], &["corp.test"]),
            ("corp.test:5000", &["corp.test:5000"], &["corp.test", "corp.test:5001"]),
            ("10.0.0.0/8", &["10.1.2.3", "10.1.2.3:5000"], &["11.0.0.1", "ten.test", "[::a00:1]"]),
            ("fd00::/8", &["[fd12::1]"], &["[fe80::1]", "10.0.0.1"]),
            ("10.0.0.1", &["10.0.0.1:9"], &["10.0.0.2", "10.0.0.10"]),
            ("10.0.0.1:9", &["10.0.0.1:9"], &["10.0.0.1:8"]),
            ("[fd00::1]:9,fd00::2", &["[fd00::1]:9", "[fd00::2]:1"], &["[fd00::1]:8"]),
            ("0.0.0.0/0", &["8.8.8.8"], &["registry.test"]),
            (" a.test , b.test\tc.test", &["a.test", "b.test", "c.test"], &["d.test"]),
            ("10.0.0.0/33,:80,.,http://x.test,a.test:x,", &[], &["10.0.0.1", "x.test", "a.test"]),
        ] {
            let proxies = Proxies::new(Some("web"), Some("web"), except);
            for host in without {
                assert_eq!(chosen(&proxies, &format!("https://{host}")), None, "{except}: {host}");
            }
            for host in through {
                assert!(chosen(&proxies, &format!("https://{host}")).is_some(), "{except}: {host}");
            }
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_sent_decoded_and_never_shown() {
        let proxy = Proxy::parse("http://ann:p%40ss%3Aword@web.test:3128/").unwrap();
        let sent = format!("Basic {}", BASE64_STANDARD.encode("ann:p@ss:word"));
        assert_eq!(proxy.login.clone().unwrap().to_str().unwrap(), sent);
        assert_eq!(proxy.to_string(), "http://web.test:3128");
        let all = Proxies::all("http://ann:canary@web.test");
        assert!(!format!("{all:?} {:?}", Proxy::parse("web").unwrap().login).contains("canary"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_where_it_would_be() {
        let registry = Origin::of(&Url::parse("https://registry.test").unwrap()).unwrap();
        for (url, why) in [
            ("socks5://u:canary@web:1080", "unsupported scheme: `socks5://`"),
            ("http://u:canary@:80", "has a malformed URL"),
            ("ftp://canary", "unsupported scheme"),
            ("http://u:canary@web:x", "has a malformed URL"),
        ] {
            let proxies = Proxies::new(None, Some(url), "");
            let error = proxies.of(&registry).err().unwrap().to_string();
            assert!(error.contains(why) && error.starts_with("the proxy for https"), "{error}");
            assert!(!error.contains("canary") && chosen(&proxies, "http://registry.test").is_none(), "{error}");
        }
    }
}
