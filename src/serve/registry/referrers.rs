//! Lists of referrers, in pages (distribution-spec, "Listing Referrers"). A page is written while it is sent: its
//! annotations may take megabytes.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, StatusCode, header};

use super::{
    Registry,
    budget::{Budget, FREE, Share},
    reply::{Refusal, Reply},
    route::{Query, parse_digest},
};
use crate::{
    blob::{self, ByteStream},
    error::{Error, Kind, Result, ServerCode},
    oci::{Descriptor, Digest, Index, Parsed, RepositoryName, media_type},
    store::{self, ReadStore},
};

/// Limits of a page: entries, and the bytes of their manifests. A page has one entry at least.
const MAX_ENTRIES: usize = 200;
const MAX_BYTES: u64 = 1 << 20;
/// The same where the store cannot list without annotations, so that a page is held as a whole.
const MAX_HELD: u64 = 64 << 10;
/// Entries are sent in pieces of this size or more, in bytes.
const PIECE: usize = 8 << 10;

/// All referrers of a subject.
#[derive(Debug)]
pub(super) enum Referrers {
    /// Without annotations.
    Brief(Vec<Descriptor>),
    Full(Vec<Descriptor>),
}

impl Referrers {
    async fn of(store: &dyn ReadStore, subject: &Descriptor) -> Result<Self> {
        match store.referrers_in_brief(subject).await? {
            Some(brief) => Ok(Self::Brief(brief)),
            None => store.referrers(subject).await.map(Self::Full),
        }
    }
}

impl Registry {
    /// Lists the manifests with this subject. Never 404, which would mean that the registry lacks the API.
    pub(super) async fn referrers(
        &self,
        name: &RepositoryName,
        subject: Digest,
        query: &Query,
    ) -> Result<Reply, Refusal> {
        let unknown = || Refusal::reading(ServerCode::NameUnknown);
        let found = self.options.repositories.get(name).await.map_err(unknown())?;
        let mut reply = Reply::new(StatusCode::OK);
        let wanted = query.get("artifactType");
        if wanted.is_some() {
            reply = reply.header(HeaderName::from_static("oci-filters-applied"), "artifactType");
        }
        let Some(store) = found else { return reply.json(media_type::INDEX, &Index::of(Vec::new())) };
        let desc = Descriptor::new(media_type::OCTET_STREAM, subject.clone(), 0);
        let list = async || Referrers::of(&*store, &desc).await;
        let all = self.lists.referrers.get(name.clone(), subject.clone(), list).await.map_err(unknown())?;
        let last = query.get("last").map(parse_digest).transpose()?;
        let (page, more) = Page::of(&all, wanted, last.as_ref());
        drop(all);
        if let Some(last) = more {
            let filter = wanted.map(|wanted| format!("&artifactType={}", escaped(wanted))).unwrap_or_default();
            let next = format_args!("</v2/{name}/referrers/{subject}?last={last}{filter}>; rel=\"next\"");
            reply = reply.header(header::LINK, next);
        }
        let share = page.held().map(|bytes| self.budget.hold(bytes));
        let share = match share {
            Some(share) => Some(share.await.ok_or_else(Refusal::busy)?),
            None => None,
        };
        let mut writing = Writing::of(page, store, Arc::clone(&self.budget), share.map(Arc::new))?;
        // A page in one piece has a length, and a failure before the answer has begun.
        let first = writing.next().await.map_err(unknown())?.unwrap_or_default();
        if writing.done {
            return Ok(reply.body(media_type::INDEX, first.len() as u64, blob::once(first)));
        }
        Ok(reply.stream(media_type::INDEX, blob::once(first).chain(writing.stream()).boxed()))
    }
}

/// A page of referrers.
struct Page {
    entries: VecDeque<Descriptor>,
    /// Whether annotations must be read.
    brief: bool,
}

impl Page {
    /// The entries after `last`, and the last of this page if there are more.
    fn of(all: &Referrers, artifact_type: Option<&str>, last: Option<&Digest>) -> (Self, Option<Digest>) {
        let (brief, all, most) = match all {
            Referrers::Brief(all) => (true, all, MAX_BYTES),
            Referrers::Full(all) => (false, all, MAX_HELD),
        };
        let after = |desc: &&Descriptor| last.is_none_or(|last| desc.digest > *last);
        let fits =
            |desc: &&Descriptor| artifact_type.is_none_or(|wanted| desc.artifact_type.as_deref() == Some(wanted));
        let mut rest = all.iter().filter(after).filter(fits).peekable();
        let (mut entries, mut bytes) = (VecDeque::new(), 0_u64);
        while let Some(desc) = rest.next_if(|desc| {
            entries.is_empty() || (entries.len() < MAX_ENTRIES && bytes.saturating_add(desc.size) <= most)
        }) {
            bytes = bytes.saturating_add(desc.size);
            entries.push_back(desc.clone());
        }
        let more = if rest.peek().is_some() { entries.back().map(|desc| desc.digest.clone()) } else { None };
        (Self { entries, brief }, more)
    }

    /// The bytes of entries that are not held without asking.
    fn held(&self) -> Option<u64> {
        let large = self.entries.iter().map(|desc| desc.size).filter(|size| self.brief && *size > FREE);
        large.reduce(u64::saturating_add)
    }
}

/// A page that is being written: an index with its entries.
struct Writing {
    page: Page,
    store: Arc<dyn ReadStore>,
    budget: Arc<Budget>,
    out: Vec<u8>,
    first: bool,
    /// For the large entries of the page, taken before the answer begins: who waits for more holds none.
    share: Option<Arc<Share>>,
    done: bool,
}

impl Writing {
    fn of(
        page: Page,
        store: Arc<dyn ReadStore>,
        budget: Arc<Budget>,
        share: Option<Arc<Share>>,
    ) -> Result<Self, Refusal> {
        let empty = encode(&Index::of(Vec::new()))?;
        let out = empty.strip_suffix(b"]}").unwrap_or(&empty).to_vec();
        Ok(Self { page, store, budget, out, first: true, share, done: false })
    }

    fn stream(self) -> ByteStream {
        stream::try_unfold(self, async |mut writing| Ok(writing.next().await?.map(|piece| (piece, writing)))).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.out.len() < PIECE {
            let Some(desc) = self.page.entries.pop_front() else { break };
            if let Some(entry) = self.entry(desc).await? {
                if !std::mem::take(&mut self.first) {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(&entry);
            }
        }
        if self.page.entries.is_empty() && !std::mem::replace(&mut self.done, true) {
            self.out.extend_from_slice(b"]}");
        }
        if self.out.is_empty() {
            return Ok(None);
        }
        let piece = Piece(std::mem::take(&mut self.out).into_boxed_slice(), self.share.clone());
        Ok(Some(Bytes::from_owner(piece)))
    }

    /// An entry of the document; `None` if its manifest has gone.
    async fn entry(&mut self, desc: Descriptor) -> Result<Option<Vec<u8>>> {
        if !self.page.brief {
            return encode(&desc).map(Some);
        }
        let busy = || Error::new(Kind::Busy, "no memory for a list of referrers");
        let _parsed = self.budget.parse(desc.size).await.ok_or_else(busy)?;
        let bytes = match store::read_manifest(&*self.store, &desc.bare()).await {
            Err(e) if e.kind() == Kind::NotFound => return Ok(None),
            other => other?,
        };
        let annotations = Parsed::read(&desc.media_type, &bytes)?.annotations().clone();
        encode(&Descriptor { annotations, ..desc }).map(Some)
    }
}

/// A part of a document, with its share of memory.
struct Piece(Box<[u8]>, #[expect(dead_code, reason = "held until the bytes are gone")] Option<Arc<Share>>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::caused(Kind::Internal, "cannot encode JSON", e))
}

/// Escapes what ends a value in a query, or has no place in a header.
fn escaped(value: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/+:@!*,;=".contains(byte);
    value.bytes().map(|byte| if plain(&byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(count: u8, size: u64) -> Vec<Descriptor> {
        let mut all: Vec<_> =
            (0..count).map(|i| Descriptor { size, ..Descriptor::of(media_type::MANIFEST, &[i]) }).collect();
        all.sort_by(|a, b| a.digest.cmp(&b.digest));
        all
    }

    fn pages(all: &Referrers) -> Vec<usize> {
        let (mut last, mut pages) = (None, Vec::new());
        loop {
            let (page, more) = Page::of(all, None, last.as_ref());
            pages.push(page.entries.len());
            match more {
                Some(more) => last = Some(more),
                None => return pages,
            }
        }
    }

    #[test]
    fn a_page_has_so_many_entries_and_bytes_and_one_at_least() {
        assert_eq!(pages(&Referrers::Brief(all(0, 1))), [0]);
        assert_eq!(pages(&Referrers::Brief(all(250, 1000))), [200, 50]);
        assert_eq!(pages(&Referrers::Brief(all(100, 20_000))), [52, 48]);
        assert_eq!(pages(&Referrers::Brief(all(3, 8 << 20))), [1, 1, 1]);
        assert_eq!(pages(&Referrers::Full(all(10, 20_000))), [3, 3, 3, 1]);
    }

    #[test]
    fn memory_is_asked_for_large_entries_before_the_answer_begins() {
        let held = |sizes: &[u64]| {
            let entries = sizes.iter().map(|size| Descriptor { size: *size, ..Descriptor::empty() }).collect();
            Page { entries, brief: true }.held()
        };
        assert_eq!(held(&[1, FREE]), None);
        assert_eq!(held(&[FREE + 1, 5, FREE + 2]), Some(2 * FREE + 3));
    }

    #[test]
    fn pages_go_on_where_an_entry_has_gone() {
        let mut all = all(250, 1000);
        let last = Page::of(&Referrers::Brief(all.clone()), None, None).1.unwrap();
        let at = all.iter().position(|desc| desc.digest == last).unwrap();
        let expected = all[at + 1].digest.clone();
        all.remove(at);
        let (page, more) = Page::of(&Referrers::Brief(all), None, Some(&last));
        assert_eq!((&page.entries[0].digest, page.entries.len(), more), (&expected, 50, None));
    }

    #[test]
    fn a_media_type_in_a_link_is_escaped() {
        assert_eq!(escaped("application/a+b.json;x=1"), "application/a+b.json;x=1");
        assert_eq!(escaped("a&b>c%\r\né"), "a%26b%3Ec%25%0D%0A%C3%A9");
    }
}
