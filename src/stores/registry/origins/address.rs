//! Addresses of requests, and what messages may show of them.

use std::{fmt, sync::Arc};

use url::{Host, ParseError, Url, UrlQuery, form_urlencoded::Serializer};

use super::{
    origin::Origin,
    redact::{BLOT, is_in_host},
};

/// The address of a request.
///
/// A server can put anything that it was sent into an address that it chooses: the `Location` of a redirect or an
/// upload, a `Link`, a realm. So its path is shown only as far as it is that of an address which this client built, its
/// host only if it contains no secret, and queries never.
#[derive(Debug, Clone)]
pub(in crate::stores::registry) struct Address {
    url: Url,
    /// How much of the path is shown, in bytes.
    shown: usize,
    /// What the servers that chose it had been sent.
    sent: Arc<[String]>,
}

impl Address {
    /// An address that this client built, without secrets in its path.
    pub(in crate::stores::registry) fn own(url: Url) -> Self {
        Self { shown: url.path().len(), url, sent: Arc::default() }
    }

    /// An address that a server chose after it had been sent these secrets.
    pub(in crate::stores::registry) fn chosen(url: Url, sent: impl IntoIterator<Item = String>) -> Self {
        Self { url, shown: 0, sent: sent.into_iter().collect() }
    }

    /// The address that a server at this one chose, absolute or relative, after it had been sent these secrets.
    pub(in crate::stores::registry) fn join(&self, text: &str, sent: &[String]) -> Result<Self, ParseError> {
        let mut next = Self::chosen(self.url.join(text)?, self.sent.iter().chain(sent).cloned());
        next.url.set_fragment(None);
        if self.is_this_host_over_http(&next.url) {
            // Both are possible for any URL with a host.
            let _ = next.url.set_scheme(self.url.scheme());
            let _ = next.url.set_port(self.url.port());
        }
        if next.url.origin() == self.url.origin() {
            next.shown = common(self.url.path().get(..self.shown).unwrap_or_default(), next.url.path());
        }
        Ok(next)
    }

    /// True if this is https, and the other URL says http with the same host and port, or the default port of each: a
    /// registry behind a proxy that does not tell it about TLS. https is meant, and never given up.
    fn is_this_host_over_http(&self, other: &Url) -> bool {
        let defaults = (self.url.port(), other.port()) == (None, None);
        (self.url.scheme(), other.scheme()) == ("https", "http")
            && self.url.host() == other.host()
            && (defaults || self.url.port_or_known_default() == other.port_or_known_default())
    }

    /// The address itself, to connect to.
    pub(in crate::stores::registry) fn url(&self) -> &Url {
        &self.url
    }

    /// Its origin. Errors: those of [`Origin::of`].
    pub(in crate::stores::registry) fn origin(&self) -> crate::error::Result<Origin> {
        Origin::of(&self.url)
    }

    /// `host[:port]` as messages show it.
    pub(in crate::stores::registry) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let is_sent = |number: String| self.sent.contains(&number);
        let is_number = matches!(self.url.host(), Some(Host::Ipv4(ip)) if is_sent(u32::from(ip).to_string()));
        let host = if is_number || is_in_host(host, &self.sent) { BLOT } else { host };
        match self.url.port() {
            Some(port) if is_sent(port.to_string()) => format!("{host}:{BLOT}"),
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Replaces its query.
    pub(in crate::stores::registry) fn set_query(&mut self, query: Option<&str>) {
        self.url.set_query(query);
    }

    /// Extends its query.
    pub(in crate::stores::registry) fn query_pairs_mut(&mut self) -> Serializer<'_, UrlQuery<'_>> {
        self.url.query_pairs_mut()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.url.scheme() == "https" { "https" } else { "http" }, self.authority())?;
        let path = self.url.path();
        match path.get(..self.shown) {
            Some(shown) if shown == path => f.write_str(path),
            Some(shown) if shown.ends_with('/') => write!(f, "{shown}…"),
            _ => f.write_str("/…"),
        }
    }
}

/// The length of what two paths have in common, up to the end of a segment.
fn common(known: &str, path: &str) -> usize {
    if known == path {
        return path.len();
    }
    let same = known.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    path.get(..same).and_then(|same| same.rfind('/')).map_or(0, |slash| slash + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "Canary-PW9";

    fn own(url: &str) -> Address {
        Address::own(Url::parse(url).unwrap())
    }

    fn joined(base: &str, next: &str) -> String {
        own(base).join(next, &[SECRET.to_owned()]).unwrap().to_string()
    }

    #[test]
    fn an_address_of_this_client_is_shown_without_its_query() {
        assert_eq!(own("https://h:5/v2/a/b/tags/list?n=7#x").to_string(), "https://h:5/v2/a/b/tags/list");
        assert_eq!(own("https://u:hunter2@h/p?X-Amz-Signature=hunter2#hunter2").to_string(), "https://h/p");
    }

    #[test]
    fn of_an_address_that_a_server_chose_only_what_this_client_asked_for_is_shown() {
        let uploads = "https://h/v2/a/blobs/uploads/";
        assert_eq!(joined(uploads, "/v2/a/blobs/uploads/Canary-PW9?x=1"), "https://h/v2/a/blobs/uploads/…");
        assert_eq!(joined(uploads, "/v2/a/blobs/uploadsCanary-PW9"), "https://h/v2/a/blobs/…");
        assert_eq!(joined(uploads, "Canary-PW9"), "https://h/v2/a/blobs/uploads/…");
        assert_eq!(joined(uploads, "/Canary-PW9"), "https://h/…");
        assert_eq!(joined(uploads, "https://cdn.test/v2/a/blobs/uploads/Canary-PW9"), "https://cdn.test/…");
        assert_eq!(joined("https://h/v2/a/tags/list", "/v2/a/tags/list?last=Canary-PW9"), "https://h/v2/a/tags/list");
    }

    #[test]
    fn what_a_server_chose_stays_so_over_several_addresses() {
        let secret = [SECRET.to_owned()];
        let first = own("https://h/v2/a").join("/v2/Canary-PW9/", &secret).unwrap();
        let second = first.join("/v2/Canary-PW9/x", &[]).unwrap();
        assert_eq!(second.to_string(), "https://h/v2/…");
        assert_eq!(second.join("https://canary-pw9.test/", &[]).unwrap().to_string(), "https://***/…");
    }

    #[test]
    fn http_at_the_same_host_and_port_means_https() {
        for (base, next, want) in [
            ("https://h/v2/", "http://h/v2/x", "https://h/v2/x"),
            ("https://h:5000/v2/", "http://h:5000/v2/x?y", "https://h:5000/v2/x?y"),
            ("https://h:80/v2/", "http://h/v2/x", "https://h:80/v2/x"),
            ("https://h/v2/", "http://h:5000/v2/x", "http://h:5000/v2/x"),
            ("https://h:5000/v2/", "http://h/v2/x", "http://h/v2/x"),
            ("https://h/v2/", "http://i/v2/x", "http://i/v2/x"),
            ("http://h/v2/", "https://h/v2/x", "https://h/v2/x"),
        ] {
            assert_eq!(own(base).join(next, &[]).unwrap().url().as_str(), want);
        }
    }

    #[test]
    fn a_host_that_contains_a_secret_is_not_shown() {
        for host in ["canary-pw9.evil.test", "xcanary-pw9x.test:8", "canary.pw9.test", "canarypw9", "%63anary-pw9.test"]
        {
            let shown = joined("https://h/v2/", &format!("https://{host}/"));
            assert!(shown.starts_with("https://***"), "{host}: {shown}");
        }
        assert_eq!(joined("https://h/v2/", "https://cdn.test:8443/x"), "https://cdn.test:8443/…");
        let number = |next| own("https://h/").join(next, &["54321".into(), "2130706433".into()]).unwrap().to_string();
        assert_eq!(number("http://cdn.test:54321/"), "http://cdn.test:***/…");
        assert_eq!(number("http://2130706433:54322/"), "http://***:54322/…");
    }
}
