//! Lists of repositories and tags, in pages.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{StatusCode, header};
use serde_json::json;

use super::{
    Registry,
    referrers::Referrers,
    reply::{Refusal, Reply},
    route::Query,
    shared_work::SharedWork,
};
use crate::{
    error::ServerCode,
    oci::{Digest, RepositoryName, Tag},
    store::{FlawKind, NamePage, ReadStore},
};

/// Limits of a page, whatever the client wants: entries, and their bytes.
const MAX_ENTRIES: usize = 1000;
const MAX_BYTES: usize = 32 << 10;
/// Limit of repositories whose tags, or referrers, are read at a time: a list may take as much memory as all else.
const AT_ONCE: usize = 3;
/// Limit of tags, of all repositories together, that are remembered from one page to the next, in bytes of memory. One
/// list is remembered, whatever its size.
const MAX_KNOWN: usize = 16 << 20;

impl Registry {
    /// Lists all repositories in pages: Docker's `_catalog`, which is not in the specification.
    pub(super) async fn catalog(&self, query: &Query) -> Result<Reply, Refusal> {
        let list = async || {
            let names = self.options.repositories.names().await;
            names.map(|names| sorted(names.into_iter().map(String::from)))
        };
        let all = self.lists.catalog.get((), (), list).await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
        let page = Page::of(&all, query)?;
        page.reply("/v2/_catalog", &json!({"repositories": page.items}))
    }

    /// Lists the tags of a repository in pages (distribution-spec, "Listing Tags").
    pub(super) async fn tags(&self, name: &RepositoryName, query: &Query) -> Result<Reply, Refusal> {
        let store = self.repository(name).await?;
        let reply = |all: &[String]| {
            let page = Page::of(all, query)?;
            page.reply(&format!("/v2/{name}/tags/list"), &json!({"name": name.as_str(), "tags": page.items}))
        };
        let last = query.get("last").map(str::to_owned);
        let some = async || tags_after(&*store, last.clone()).await;
        match &*self.lists.parts.get(name.clone(), last.clone(), some).await? {
            Some(some) => reply(some),
            None => reply(&self.lists.tags_of(name, &*store).await?.all),
        }
    }
}

/// Lists that are being read, few at a time of each sort and one of each repository, and those of tags that were read last.
#[derive(Debug)]
pub(super) struct Lists {
    catalog: SharedWork<(), (), Vec<String>>,
    tags: SharedWork<RepositoryName, (), Tags>,
    /// Tags behind one, of stores that can give a part.
    parts: SharedWork<RepositoryName, Option<String>, Option<Vec<String>>>,
    pub(super) referrers: SharedWork<RepositoryName, Digest, Referrers>,
    known: Mutex<BTreeMap<RepositoryName, Arc<Tags>>>,
}

/// The tags of a repository, with the version of its names.
#[derive(Debug)]
struct Tags {
    version: Option<u64>,
    all: Vec<String>,
}

impl Tags {
    /// About the memory that they take, in bytes.
    fn weight(&self) -> usize {
        let one = |tag: &String| tag.capacity().saturating_add(size_of::<String>());
        self.all.iter().map(one).sum::<usize>().saturating_add(size_of::<Self>())
    }
}

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            catalog: SharedWork::new(1),
            tags: SharedWork::new(AT_ONCE),
            parts: SharedWork::new(AT_ONCE),
            referrers: SharedWork::new(AT_ONCE),
            known: Mutex::default(),
        }
    }

    async fn tags_of(&self, name: &RepositoryName, store: &dyn ReadStore) -> Result<Arc<Tags>, Refusal> {
        let version = async || store.names_version().await.map_err(Refusal::reading(ServerCode::NameUnknown));
        let now = version().await?;
        let known = self.known().get(name).filter(|tags| now.is_some() && tags.version == now).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let list = async || {
            // Read before the list: if names change in between, the next call lists them again.
            let version = version().await?;
            Ok::<_, Refusal>(Tags { version, all: all_tags(store).await? })
        };
        let tags = self.tags.get(name.clone(), (), list).await?;
        if tags.version.is_some() {
            self.remember(name, &tags);
        }
        Ok(tags)
    }

    /// Keeps the tags for the next page, and forgets others if that is too much.
    fn remember(&self, name: &RepositoryName, tags: &Arc<Tags>) {
        let mut known = self.known();
        known.insert(name.clone(), Arc::clone(tags));
        if known.values().map(|tags| tags.weight()).sum::<usize>() > MAX_KNOWN {
            known.retain(|other, _| other == name);
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<RepositoryName, Arc<Tags>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tags behind `last`, at least one more than a page has, if there are so many. `None` if the store cannot give a
/// part.
async fn tags_after(store: &dyn ReadStore, mut last: Option<String>) -> Result<Option<Vec<String>>, Refusal> {
    const MOST: usize = MAX_ENTRIES + 1;
    let mut tags = Vec::new();
    loop {
        let page = store.names_after(last.as_deref(), MOST).await;
        let Some(page) = page.map_err(Refusal::reading(ServerCode::NameUnknown))? else { return Ok(None) };
        let more = page.more;
        last = page.names.last().map(|name| name.to_string());
        tags.extend(tags_of(page)?);
        if tags.len() >= MOST || !more || last.is_none() {
            return Ok(Some(tags));
        }
    }
}

async fn all_tags(store: &dyn ReadStore) -> Result<Vec<String>, Refusal> {
    let all = store.list_names().await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
    Ok(sorted(tags_of(all)?))
}

/// The tags among names. Errors: names are missing, and clients would take an incomplete list for complete.
fn tags_of(NamePage { names, unreadable, .. }: NamePage) -> Result<impl Iterator<Item = String>, Refusal> {
    if let Some(flaw) = unreadable.iter().find(|flaw| flaw.kind == FlawKind::Unreadable) {
        let message = format!("cannot list all tags: {}: {}", flaw.place, flaw.message);
        return Err(Refusal::new(ServerCode::Unknown, message).status(500));
    }
    // A layout can have names that clients cannot request.
    Ok(names.into_iter().filter(|name| name.parse::<Tag>().is_ok()).map(String::from))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = names.collect();
    all.sort_unstable();
    all
}

/// A page of a sorted list, and where the next one starts.
struct Page<'a> {
    items: &'a [String],
    /// The limit of entries, and the last one of this page.
    next: Option<(usize, &'a str)>,
}

impl<'a> Page<'a> {
    /// The items after `last`, at most `n`, and within the limits of a page.
    fn of(all: &'a [String], query: &Query) -> Result<Self, Refusal> {
        let start = query.get("last").map_or(0, |last| all.partition_point(|item| item.as_str() <= last));
        let all = all.get(start..).unwrap_or_default();
        let limit = query.limit()?.unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES);
        let mut bytes = 0_usize;
        let fits = |item: &&String| {
            bytes = bytes.saturating_add(item.len()).saturating_add(3);
            bytes <= MAX_BYTES
        };
        let items = all.get(..all.iter().take(limit).take_while(fits).count()).unwrap_or_default();
        let next = items.last().filter(|_| items.len() < all.len()).map(|last| (limit, last.as_str()));
        Ok(Self { items, next })
    }

    fn reply(&self, path: &str, document: &serde_json::Value) -> Result<Reply, Refusal> {
        let reply = Reply::new(StatusCode::OK).json("application/json", document)?;
        let Some((n, last)) = self.next else { return Ok(reply) };
        // Names and tags contain no characters that need escaping in URLs.
        Ok(reply.header(header::LINK, format_args!("<{path}?n={n}&last={last}>; rel=\"next\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize, len: usize) -> Vec<String> {
        (0..count).map(|i| format!("{i:0len$}")).collect()
    }

    fn page<'a>(all: &'a [String], query: &str) -> Page<'a> {
        Page::of(all, &Query::of(Some(query)).unwrap()).unwrap()
    }

    #[test]
    fn a_page_has_so_many_entries_and_bytes_whatever_is_asked() {
        for (count, len, query, items, next) in [
            (10, 4, "", 10, None),
            (10, 4, "n=3", 3, Some((3, "0002"))),
            (10, 4, "n=3&last=0006", 3, None),
            (10, 4, "n=0", 0, None),
            (2000, 4, "", 1000, Some((1000, "0999"))),
            (2000, 4, "n=5000", 1000, Some((1000, "0999"))),
            (1000, 125, "", 256, Some((1000, &*format!("{:0125}", 255)))),
        ] {
            let all = names(count, len);
            let page = page(&all, query);
            assert_eq!((page.items.len(), page.next), (items, next), "{count} {query}");
        }
    }

    #[test]
    fn pages_go_on_where_an_entry_has_gone() {
        let mut all = names(10, 4);
        all.remove(5);
        assert_eq!(page(&all, "last=0005&n=2").items, ["0006", "0007"]);
        assert!(page(&all, "last=0009").items.is_empty());
    }
}
