//! A repository read from its mirrors, as far as they have its content.

use std::{
    collections::HashSet,
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};

use super::{Repository, api::download::part, log};
use crate::{
    blob::{Blob as _, ByteStream, FileSlice},
    error::{Error, Kind, Result},
    oci::{Descriptor, Digest, Platforms, Role},
    store::{self, Home, Inventory, Item, Name, NamePage, Presence, ReadStore},
};

/// A repository with copies of another.
#[derive(Debug)]
pub struct Mirror {
    /// The mirror repository.
    pub repository: Repository,
    /// True if it is also trusted for names: targets of tags, lists of tags and of referrers.
    pub names: bool,
}

/// A read-only repository with mirrors. For content, which is identified by its digest, each mirror is asked in order,
/// and then the origin. Names come from the origin, unless a mirror is trusted for them.
///
/// An unreachable mirror is not asked again, nor is one for content that it had wrong. Mirrors are never written to,
/// and each is a separate client: it gets only credentials for its own host.
pub struct Mirrored(Arc<Sources>);

struct Sources {
    mirrors: Vec<Source>,
    origin: Repository,
}

struct Source {
    mirror: Mirror,
    gone: AtomicBool,
    /// Content read from this mirror from the start: a second request means that the first failed verification.
    given: Mutex<HashSet<Digest>>,
}

impl Mirrored {
    /// This repository behind these mirrors, in order.
    #[must_use]
    pub fn new(mirrors: Vec<Mirror>, origin: Repository) -> Self {
        let source = |mirror| Source { mirror, gone: AtomicBool::new(false), given: Mutex::default() };
        Self(Arc::new(Sources { mirrors: mirrors.into_iter().map(source).collect(), origin }))
    }

    /// A mirror by index, or the origin.
    fn at(&self, at: Option<usize>) -> &Repository {
        let source = at.and_then(|at| self.0.mirrors.get(at));
        source.map_or(&self.0.origin, |source| &source.mirror.repository)
    }

    fn turns(&self, wanted: Wanted<'_>) -> Turns {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (at, source) in self.0.mirrors.iter().enumerate() {
            let believed = source.mirror.names || !matches!(wanted, Wanted::Name);
            let turns = if wanted.was_given_by(source) { &mut last } else { &mut first };
            turns.extend((believed && !source.gone.load(Ordering::Relaxed)).then_some(Some(at)));
        }
        let left = first.into_iter().chain([None]).chain(last).rev().collect();
        Turns { sources: Arc::clone(&self.0), left, at: None, failed: None, missed: Vec::new() }
    }
}

/// The request.
enum Wanted<'a> {
    Name,
    Content,
    /// The whole blob, streamed.
    Blob(&'a Digest),
}

impl Wanted<'_> {
    fn was_given_by(&self, source: &Source) -> bool {
        matches!(self, Self::Blob(digest) if source.given().contains(digest))
    }
}

impl Source {
    fn given(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The repositories still to be asked.
struct Turns {
    sources: Arc<Sources>,
    /// Indices of mirrors, `None` for the origin; the next one is last.
    left: Vec<Option<usize>>,
    at: Option<usize>,
    /// The failures so far: that of the origin, and those of mirrors.
    failed: Option<Error>,
    missed: Vec<String>,
}

impl Turns {
    /// The next repository to ask.
    fn next(&mut self) -> &Repository {
        self.at = self.left.pop().flatten();
        let Some(source) = self.source() else { return &self.sources.origin };
        log::mirror(&source.mirror.repository);
        &source.mirror.repository
    }

    /// The current mirror; `None` for the origin.
    fn source(&self) -> Option<&Source> {
        self.sources.mirrors.get(self.at?)
    }

    /// Records a failure. Errors: that of the origin, if no repository is left.
    fn failed(&mut self, error: Error) -> Result<()> {
        match self.source() {
            Some(source) => {
                if error.kind() == Kind::Unreachable {
                    source.gone.store(true, Ordering::Relaxed);
                }
                log::mirror_failed(&source.mirror.repository, &error);
                let missed = format!("mirror {} failed ({error})", source.mirror.repository);
                self.missed.push(missed);
            }
            None => self.failed = Some(error),
        }
        match self.failed.take_if(|_| self.left.is_empty()) {
            Some(error) => Err(self.missed.drain(..).rev().fold(error, Error::context)),
            None => Ok(()),
        }
    }
}

/// Asks one repository after the other until one answers.
macro_rules! in_turn {
    ($turns:expr, $repository:ident => $request:expr) => {{
        let mut turns = $turns;
        loop {
            let $repository = turns.next();
            match $request.await {
                Ok(response) => break response,
                Err(error) => turns.failed(error)?,
            }
        }
    }};
}

/// A blob from the first repository that has it; if the transfer breaks off, the rest comes from the next one.
fn blob(turns: Turns, desc: Descriptor, from: u64) -> ByteStream {
    let state = (turns, desc, from, None::<ByteStream>);
    let next = |(mut turns, desc, mut at, mut open): (Turns, Descriptor, u64, Option<ByteStream>)| async move {
        loop {
            let mut stream = match open.take() {
                Some(stream) => stream,
                None => match turns.next().fetch(&Item::blob(desc.clone()), at..desc.size).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        turns.failed(error)?;
                        continue;
                    }
                },
            };
            match stream.next().await {
                Some(Ok(bytes)) => {
                    at += bytes.len() as u64;
                    if let Some(source) = turns.source().filter(|_| at >= desc.size) {
                        source.given().insert(desc.digest.clone());
                    }
                    return Ok(Some((bytes, (turns, desc, at, Some(stream)))));
                }
                Some(Err(error)) => turns.failed(error)?,
                None => return Ok::<_, Error>(None),
            }
        }
    };
    stream::try_unfold(state, next).boxed()
}

impl fmt::Display for Mirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.origin.fmt(f)
    }
}

impl fmt::Debug for Mirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mirrored({self})")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ReadStore for Mirrored {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        let wanted = if matches!(name, Name::Digest(_)) { Wanted::Content } else { Wanted::Name };
        Ok(in_turn!(self.turns(wanted), repository => repository.resolve(name)))
    }

    async fn manifest_at_once(&self, name: &Name) -> Result<Option<(Descriptor, Bytes)>> {
        let wanted = if matches!(name, Name::Digest(_)) { Wanted::Content } else { Wanted::Name };
        Ok(in_turn!(self.turns(wanted), repository => repository.manifest_at_once(name)))
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        let desc = &item.desc;
        if item.role == Role::Blob {
            let mut stream = blob(self.turns(Wanted::Blob(&desc.digest)), desc.clone(), range.start).peekable();
            // A repository without the content fails before anything is returned.
            return match std::pin::Pin::new(&mut stream).peek().await {
                Some(Err(_)) => stream.try_next().await.map(|_| crate::blob::once(Bytes::new())),
                _ => Ok(part(stream.boxed(), &range, desc)),
            };
        }
        let whole = in_turn!(self.turns(Wanted::Content), repository => store::read_manifest(repository, desc));
        Ok(part(whole.open(range.start).await?, &range, desc))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        let (mut turns, mut found) = (self.turns(Wanted::Content), vec![Presence::Absent; items.len()]);
        loop {
            let lacking = found.iter().enumerate().filter(|(_, known)| !matches!(known, Presence::Here { .. }));
            let (places, asked): (Vec<usize>, Vec<Item>) =
                lacking.filter_map(|(at, _)| Some((at, items.get(at)?.clone()))).unzip();
            if asked.is_empty() || turns.left.is_empty() {
                return Ok(found);
            }
            match turns.next().has(&asked).await {
                Ok(responses) => {
                    for (at, response) in places.into_iter().zip(responses) {
                        if let Some(known) = found.get_mut(at).filter(|_| response != Presence::Absent) {
                            *known = response;
                        }
                    }
                }
                Err(error) => turns.failed(error)?,
            }
        }
    }

    /// All pages come from the repository that gave the first.
    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        let first = async move {
            let mut turns = self.turns(Wanted::Name);
            loop {
                turns.next();
                let mut pages = self.at(turns.at).names();
                match pages.try_next().await {
                    Ok(page) => return Ok::<_, Error>(stream::iter(page.map(Ok)).chain(pages)),
                    Err(error) => turns.failed(error)?,
                }
            }
        };
        stream::once(first).try_flatten().boxed()
    }

    async fn list_names(&self) -> Result<NamePage> {
        Ok(in_turn!(self.turns(Wanted::Name), repository => repository.list_names()))
    }

    async fn list_names_after(&self, last: &str) -> Result<NamePage> {
        Ok(in_turn!(self.turns(Wanted::Name), repository => repository.list_names_after(last)))
    }

    /// None, as of every registry.
    async fn unnamed(&self) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }

    /// `None`, as of every registry.
    async fn names_after(&self, _last: Option<&str>, _most: usize) -> Result<Option<NamePage>> {
        Ok(None)
    }

    /// Registries do not tell.
    async fn names_version(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        Ok(in_turn!(self.turns(Wanted::Name), repository => repository.referrers(subject)))
    }

    /// `None`, as of every registry.
    async fn referrers_in_brief(&self, _subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        Ok(None)
    }

    /// `None`, as of every registry.
    async fn kept_platforms(&self, _index: &Descriptor) -> Result<Option<Platforms>> {
        Ok(None)
    }

    fn local(&self, item: &Item) -> Option<FileSlice> {
        self.0.origin.local(item)
    }

    fn is_local_and_hashed(&self, item: &Item) -> bool {
        self.0.origin.is_local_and_hashed(item)
    }

    fn home(&self, item: &Item) -> Option<Home> {
        self.0.origin.home(item)
    }

    async fn inventory(&self) -> Result<Option<Inventory>> {
        self.0.origin.inventory().await
    }
}
