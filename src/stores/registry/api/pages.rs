//! Paginated listings: `Link: <…>; rel="next"` (RFC 8288), followed on the origin that answered, within limits.

use std::collections::HashSet;

use http::{Method, header};
use url::{Url, form_urlencoded};

use crate::{
    error::{Error, Kind, Result},
    stores::registry::{
        auth::scope::Scope,
        http::{document::Document, request::Request, response::Response},
        origins::{address::Address, quirks},
        transport::Transport,
    },
};

/// Most pages of one listing.
const MAX_PAGES: usize = 1000;
/// Most entries of one listing.
const MAX_ITEMS: usize = 1_000_000;
/// Largest page, in bytes; a registry without pagination sends all tags in one.
pub(super) const MAX_PAGE: u64 = 32 << 20;
/// Most bytes of one listing.
const MAX_BYTES: u64 = 128 << 20;
/// Longest `Link`, in bytes.
const MAX_LINK: usize = 8 << 10;

/// The pages of a listing, one after another.
pub(super) struct Pages<'a> {
    transport: &'a Transport,
    scope: Scope,
    now: Option<Response>,
    next: Option<Address>,
    seen: HashSet<Url>,
    bytes: u64,
}

impl<'a> Pages<'a> {
    /// The first page of the listing at this address, or the first one behind this entry: with as many entries as most
    /// registries give at once; where the registry refuses so many, as Quay does, with as many as it likes.
    pub(super) async fn first(
        transport: &Transport,
        scope: &Scope,
        mut address: Address,
        last: Option<&str>,
    ) -> Result<Response> {
        let last = last.map(|last| form_urlencoded::Serializer::new(String::new()).append_pair("last", last).finish());
        address.set_query(last.as_deref());
        let mut many = address.clone();
        let size = format!("n={}", quirks::PAGE);
        many.set_query(Some(&last.map_or_else(|| size.clone(), |last| format!("{size}&{last}"))));
        let page = transport.send(&Request::new(Method::GET, many).whole(MAX_PAGE), scope).await?;
        if !matches!(page.status.as_u16(), 400 | 413 | 422) {
            return page.expect(&[200]).await;
        }
        page.finish().await;
        transport.send(&Request::new(Method::GET, address).whole(MAX_PAGE), scope).await?.expect(&[200]).await
    }

    /// The listing that starts with this page.
    pub(super) fn of(transport: &'a Transport, scope: Scope, first: Response) -> Self {
        Self { transport, scope, now: Some(first), next: None, seen: HashSet::new(), bytes: 0 }
    }

    /// The next page.
    pub(super) async fn next(&mut self) -> Result<Option<Document>> {
        let response = match (self.now.take(), self.next.take()) {
            (Some(first), _) => first,
            (None, Some(address)) => {
                let request = Request::new(Method::GET, address).whole(MAX_PAGE);
                self.transport.send(&request, &self.scope).await?.expect(&[200]).await?
            }
            (None, None) => return Ok(None),
        };
        self.seen.insert(response.address.url().clone());
        self.next = next_link(&response)?;
        if let Some(next) = &self.next {
            self.check_next(next, &response.address)?;
        }
        let page = response.document(MAX_PAGE).await?;
        self.bytes = self.bytes.saturating_add(page.bytes.len() as u64);
        if self.bytes > MAX_BYTES {
            return Err(Error::limit(format!("listing exceeds {MAX_BYTES} bytes")));
        }
        Ok(Some(page))
    }

    /// True if there are more pages.
    pub(super) fn go_on(&self) -> bool {
        self.now.is_some() || self.next.is_some()
    }

    /// Called with the number of new entries on the last page, and of all entries.
    pub(super) fn count(&self, new: usize, all: usize) -> Result<()> {
        if new == 0 && self.next.is_some() {
            return Err(Error::new(Kind::NotARegistry, "listing continues with a page without new entries"));
        }
        if all > MAX_ITEMS {
            return Err(Error::limit(format!("listing exceeds {MAX_ITEMS} entries")));
        }
        Ok(())
    }

    /// A page must come from the registry, or from the origin to which it redirected this one; credentials are sent to
    /// the registry only.
    fn check_next(&self, next: &Address, now: &Address) -> Result<()> {
        let home = &self.transport.origin;
        if next.origin()? != *home && next.origin()? != now.origin()? {
            let message = format!("{home} continues a listing at another origin: `{next}`");
            return Err(Error::new(Kind::NotARegistry, message));
        }
        if self.seen.contains(next.url()) {
            return Err(Error::new(Kind::NotARegistry, format!("listing of {home} repeats a page")));
        }
        if self.seen.len() >= MAX_PAGES {
            return Err(Error::limit(format!("listing exceeds {MAX_PAGES} pages")));
        }
        Ok(())
    }
}

/// The URL of the next page. Errors: a malformed `Link`, so that no listing is silently truncated.
fn next_link(response: &Response) -> Result<Option<Address>> {
    let bad = || Error::new(Kind::NotARegistry, format!("{}: answered with a malformed `Link`", response.what()));
    for value in response.headers.get_all(header::LINK) {
        let text = value.to_str().ok().filter(|text| text.len() <= MAX_LINK).ok_or_else(bad)?;
        for (target, parameters) in links(text).ok_or_else(bad)? {
            let is_next = |p: &str| {
                let (name, value) = p.split_once('=').unwrap_or((p, ""));
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"))
            };
            if parameters.split(';').any(is_next) {
                return response.address.join(target, &response.sent).map(Some).map_err(|_| bad());
            }
        }
    }
    Ok(None)
}

/// The `<target>; parameters` parts of a header. `None` if malformed.
pub(in crate::stores::registry) fn links(mut text: &str) -> Option<Vec<(&str, &str)>> {
    let mut all = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(all);
        }
        let (target, rest) = text.strip_prefix('<')?.split_once('>')?;
        let end = rest.find(",<").or_else(|| rest.find(", <")).unwrap_or(rest.len());
        let (parameters, more) = rest.split_at(end);
        all.push((target, parameters));
        text = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::stores::registry::{
        auth::credentials::Anonymous,
        http::settings::HttpSettings,
        net::settings::NetSettings,
        origins::origin::{Origin, Protocol},
        transport::Settings,
    };

    fn pages(transport: &Transport) -> Pages<'_> {
        let (scope, next) = (Scope::registry(), Some(transport.origin.at("/more").unwrap()));
        Pages { transport, scope, now: None, next, seen: HashSet::new(), bytes: 0 }
    }

    fn transport() -> Transport {
        let (http, net) = (HttpSettings::default(), NetSettings::default());
        let settings = Settings { credentials: Arc::new(Anonymous), trusted: Vec::new(), http, net };
        Transport::new(Origin::of_registry("localhost:5000", Protocol::Auto).unwrap(), settings).unwrap()
    }

    #[test]
    fn a_listing_may_have_a_million_entries() {
        let transport = transport();
        assert!(pages(&transport).count(1, MAX_ITEMS).is_ok());
        let error = pages(&transport).count(1, MAX_ITEMS + 1).unwrap_err();
        assert!(error.kind() == Kind::Limit && error.to_string().contains("1000000 entries"), "{error}");
    }

    #[tokio::test]
    async fn a_listing_may_have_so_many_bytes() {
        let transport = transport();
        for (had, want) in [(MAX_BYTES - 2, None), (MAX_BYTES - 1, Some(Kind::Limit))] {
            let mut pages = pages(&transport);
            (pages.now, pages.bytes) = (Some(Response::of(transport.origin.at("/x").unwrap(), b"{}")), had);
            let error = pages.next().await.err();
            assert_eq!(error.as_ref().map(Error::kind), want);
            assert!(error.is_none_or(|e| e.to_string().contains("134217728 bytes")));
        }
    }

    #[test]
    fn links_are_told_apart() {
        assert_eq!(links(r#"</a?b,c>; rel="next""#), Some(vec![("/a?b,c", r#"; rel="next""#)]));
        let two = links(r#"</a>; rel=prev, </b>; title="x"; rel=next"#).unwrap();
        assert_eq!(two, [("/a", "; rel=prev"), ("/b", r#"; title="x"; rel=next"#)]);
        assert_eq!(links(""), Some(vec![]));
        for bad in ["/a; rel=next", "<a; rel=next", "x<a>"] {
            assert_eq!(links(bad), None, "{bad}");
        }
    }
}
