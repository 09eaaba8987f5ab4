//! A copy of many artifacts: their sources, their names at the destination, and one plan over all of them.

use std::{
    collections::{HashMap, HashSet},
    path,
    sync::Arc,
};

use artifact::{
    Code, Error, Kind, Result,
    copy::{
        self, Destination,
        naming::{self, Naming, SourceName},
    },
    error::Context as _,
    graph::Root,
    location::{Location, Place, name_in},
    oci::{Descriptor, Digest, RefName, RegistryName, RepositoryName, Tag},
    store::{Name, NamePage, ReadStore},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::super::{
    report::Report,
    session::{RegistryArgs, unreadable},
    text::count,
};
use super::{
    Args, Ends,
    list::{self, End},
    open_destination,
};

/// Limit of concurrent requests.
const QUESTIONS: usize = 32;

/// A requested artifact.
struct Wish {
    /// Its location, for messages.
    from: Location,
    /// Index of its store.
    store: u16,
    /// The tag or digest to look for.
    name: Name,
    /// Its name at the source.
    called: SourceName,
    /// Its destination, if a list gives one.
    to: Option<Location>,
}

/// The source stores, each opened once.
#[derive(Default)]
struct Stores {
    open: Vec<Arc<dyn ReadStore>>,
    by_place: HashMap<String, u16>,
}

impl Stores {
    async fn open_store(&mut self, place: &Place, registry: &RegistryArgs, report: &Report) -> Result<u16> {
        let key = key(place);
        if let Some(at) = self.by_place.get(&key) {
            return Ok(*at);
        }
        let at =
            u16::try_from(self.open.len()).map_err(|_| Error::limit("more than 65536 source stores in one copy"))?;
        self.open.push(registry.read(place, report).await?);
        self.by_place.insert(key, at);
        Ok(at)
    }

    fn get(&self, at: u16) -> Result<&Arc<dyn ReadStore>> {
        self.open.get(usize::from(at)).ok_or_else(|| Error::new(Kind::Internal, "a source store was not opened"))
    }
}

/// The sources of a copy and their destinations.
pub(super) struct Many {
    from: Vec<Arc<dyn ReadStore>>,
    /// Each destination with its roots.
    to: Vec<(Place, Vec<Root>)>,
}

/// The key of a place; spellings of one path have the same key.
fn key(place: &Place) -> String {
    let absolute = |path: &std::path::PathBuf| path::absolute(path).unwrap_or_else(|_| path.clone());
    match place {
        Place::Registry { .. } => place.to_string(),
        Place::Layout(path) => Place::Layout(absolute(path)).to_string(),
        Place::Archive(path) => Place::Archive(absolute(path)).to_string(),
    }
}

impl Many {
    /// Finds all artifacts and names each; writes nothing.
    ///
    /// Errors: two sources for one name; one error for all missing sources.
    pub(super) async fn find(args: &Args, registry: &RegistryArgs, report: &Report) -> Result<Self> {
        let naming = Naming { maps: args.map.clone(), keep_host: args.keep_host };
        let mut stores = Stores::default();
        let mut failed = Vec::new();
        let wishes = wishes(args, &naming, &mut stores, &mut failed, (registry, report)).await?;
        let named = name_all(args, &naming, wishes, report)?;
        let (mut named, mut found) = resolve_all(args, &stores, named, &mut failed).await?;
        if !failed.is_empty() {
            return Err(all_of(&failed, named.len().saturating_add(failed.len()), report));
        }
        if !args.no_referrers {
            leave_named_companions(&mut named, &mut found);
        }
        let mut to: Vec<(Place, Vec<Root>)> = Vec::new();
        let (mut places, mut roots) = (HashMap::new(), HashMap::new());
        for ((wish, place, name), desc) in named.into_iter().zip(found) {
            let at = *places.entry(key(&place)).or_insert_with(|| {
                to.push((place, Vec::new()));
                to.len().saturating_sub(1)
            });
            let Some((_, there)) = to.get_mut(at) else { continue };
            let known = *roots.entry((at, desc.digest.clone(), wish.store)).or_insert_with(|| {
                there.push(Root { desc, names: Vec::new(), origins: vec![wish.store] });
                there.len().saturating_sub(1)
            });
            if let Some(root) = there.get_mut(known) {
                root.names.extend(name);
            }
        }
        Ok(Self { from: stores.open, to })
    }

    /// Opens the destinations.
    pub(super) async fn destinations(self, args: &Args, report: &Report) -> Result<Ends> {
        let (mut destinations, mut places) = (Vec::new(), Vec::new());
        for (place, roots) in self.to {
            destinations.push(Destination { store: open_destination(args, &place, report).await?, roots });
            places.push(place);
        }
        Ok((self.from, destinations, places))
    }

    /// The number of artifacts, counted per destination, and of destinations.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.to.iter().map(|(_, roots)| roots.len()).sum(), self.to.len())
    }
}

async fn wishes(
    args: &Args,
    naming: &Naming,
    stores: &mut Stores,
    failed: &mut Vec<(String, Error)>,
    ways: (&RegistryArgs, &Report),
) -> Result<Vec<Wish>> {
    if let Some(path) = &args.list {
        let mut wishes = Vec::new();
        for list::ListLine { from, to } in list::read_list(path)? {
            match of_location(&from, to, stores, ways).await {
                Ok(wish) => wishes.push(wish),
                Err(e) => failed.push((from.to_string(), e)),
            }
        }
        return Ok(wishes);
    }
    if let Some(place) = &args.repositories {
        return of_repositories(place, stores, ways).await;
    }
    let from = args.source()?;
    let whole = naming.keep_host || !naming.maps.is_empty() || matches!(args.to, Some(End::Registry(_)));
    of_store(&from, args, whole, stores, ways).await
}

/// An artifact named in a list.
async fn of_location(
    from: &Location,
    to: Option<Location>,
    stores: &mut Stores,
    (registry, report): (&RegistryArgs, &Report),
) -> Result<Wish> {
    let store = stores.open_store(&from.place, registry, report).await?;
    let name = name_in(stores.get(store)?.as_ref(), from).await?;
    let called = match (&from.place, &from.tag, &from.digest) {
        (Place::Registry { .. }, ..) => SourceName::Whole(from.to_string().parse()?),
        (_, Some(tag), _) => SourceName::from(tag),
        (_, None, None) => name.as_ref_name().map_or(SourceName::Unnamed, SourceName::from),
        (_, None, Some(_)) => SourceName::Unnamed,
    };
    Ok(Wish { from: from.clone(), store, name, called, to })
}

/// All tags of the repositories in a registry's catalog.
async fn of_repositories(
    place: &End,
    stores: &mut Stores,
    (registry, report): (&RegistryArgs, &Report),
) -> Result<Vec<Wish>> {
    let (host, prefix) = match place {
        End::Registry(host) => (host.clone(), None),
        End::At(Location { place: Place::Registry { registry, repository }, tag: None, digest: None }) => {
            (registry.clone(), Some(repository.clone()))
        }
        End::At(other) => return Err(Error::misuse(format!("`{other}` is not REGISTRY[/PREFIX]"))),
    };
    let below = |name: &RepositoryName| match &prefix {
        None => true,
        Some(prefix) => name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let listed = registry.context(report)?.client(&host)?.repositories().await;
    let listed = listed.context(|| format!("list the repositories of {host}"))?;
    let names = listed.iter().filter_map(|name| name.parse().ok()).filter(below);
    let mut places = Vec::new();
    for repository in names {
        let place = Place::Registry { registry: host.clone(), repository };
        places.push((stores.open_store(&place, registry, report).await?, place));
    }
    let mut asking = Vec::new();
    for (store, _) in &places {
        let store = Arc::clone(stores.get(*store)?);
        asking.push(async move {
            match store.list_names().await {
                // Catalogs still list repositories that are empty.
                Err(e) if e.kind() == Kind::NotFound => Ok(NamePage::default()),
                other => other.context(|| format!("list the tags of {store}")),
            }
        });
    }
    let pages: Vec<NamePage> = stream::iter(asking).buffered(QUESTIONS).try_collect().await?;
    let mut wishes = Vec::new();
    for ((store, place), page) in places.into_iter().zip(pages) {
        all_readable(stores.get(store)?, &page, report)?;
        for name in page.names {
            wishes.push(of_tag(&place, store, name, true)?);
        }
    }
    if wishes.is_empty() {
        return Err(Error::not_found(format!("{place} has no repository with a tag")).with_code(Code::NoTags));
    }
    Ok(wishes)
}

/// A tag of a repository; with `whole`, the name is the whole reference.
fn of_tag(place: &Place, store: u16, name: RefName, whole: bool) -> Result<Wish> {
    let tag: Tag = name.parse()?;
    let called = match whole {
        true => SourceName::Whole(format!("{place}:{tag}").parse()?),
        false => SourceName::Bare(name.clone()),
    };
    let from = Location { place: place.clone(), tag: Some(name.clone()), digest: None };
    Ok(Wish { from, store, name: name.into(), called, to: None })
}

/// All names of one repository, layout or archive.
async fn of_store(
    from: &Location,
    args: &Args,
    whole: bool,
    stores: &mut Stores,
    (registry, report): (&RegistryArgs, &Report),
) -> Result<Vec<Wish>> {
    let at = stores.open_store(&from.place, registry, report).await?;
    let store = stores.get(at)?;
    let page = store.list_names().await?;
    all_readable(store, &page, report)?;
    if page.names.is_empty() {
        return Err(Error::not_found(format!("{store} has no tags")).with_code(Code::NoTags));
    }
    let mut wishes = Vec::new();
    for name in page.names {
        if matches!(from.place, Place::Registry { .. }) {
            wishes.push(of_tag(&from.place, at, name, whole)?);
            continue;
        }
        let called = SourceName::from(&name);
        let from = Location { place: from.place.clone(), tag: Some(name.clone()), digest: None };
        wishes.push(Wish { from, store: at, name: name.into(), called, to: None });
    }
    let to_registry = !matches!(&args.to, Some(End::At(to)) if !matches!(to.place, Place::Registry { .. }));
    if to_registry && !args.no_referrers {
        leave_companions(&mut wishes, store).await?;
    }
    Ok(wishes)
}

/// Errors: an unreadable name in the store, which makes its list of names incomplete.
fn all_readable(store: &Arc<dyn ReadStore>, page: &NamePage, report: &Report) -> Result<()> {
    let bad = unreadable(page, store, report);
    let Some(flaw) = bad.first() else { return Ok(()) };
    let more = match bad.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(", and {more} more like this"),
    };
    let message = format!("cannot list all tags of {store}: {}: {}{more}", flaw.place, flaw.message);
    Err(Error::invalid(message).with_code(Code::ListIncomplete))
}

/// Leaves out cosign's tags for an artifact whose name contains a repository: they follow that artifact into its
/// repository, which their own names do not contain.
async fn leave_companions(wishes: &mut Vec<Wish>, store: &Arc<dyn ReadStore>) -> Result<()> {
    let subject = |wish: &Wish| match &wish.called {
        SourceName::Bare(name) => naming::subject_of_companion(name),
        _ => None,
    };
    if !wishes.iter().any(|wish| subject(wish).is_some()) {
        return Ok(());
    }
    let asking: Vec<_> =
        wishes.iter().filter(|wish| wish.called.says_repository()).map(|wish| store.resolve(&wish.name)).collect();
    let found: HashSet<Digest> =
        stream::iter(asking).buffered(QUESTIONS).map_ok(|desc| desc.digest).try_collect().await?;
    wishes.retain(|wish| subject(wish).is_none_or(|subject| !found.contains(&subject)));
    Ok(())
}

/// Gives each artifact its destination and name; duplicates become one.
fn name_all(args: &Args, naming: &Naming, wishes: Vec<Wish>, report: &Report) -> Result<Vec<Named>> {
    for map in naming.maps.iter().filter(|map| !wishes.iter().any(|wish| map.fits(&wish.called))) {
        report.warn(format!("`--map {map}` matches no artifact in this copy"));
    }
    let is_local = |wish: &Wish| match (&wish.to, &args.to) {
        (Some(to), _) | (None, Some(End::At(to))) => !matches!(to.place, Place::Registry { .. }),
        _ => false,
    };
    if (!naming.maps.is_empty() || naming.keep_host) && wishes.iter().all(is_local) {
        report.warn(
            "`--map` and `--keep-host` apply to registries only: layouts and archives use whole references as names",
        );
    }
    let mut taken: HashMap<(String, Option<RefName>, Option<String>), Location> = HashMap::new();
    let mut named = Vec::new();
    for wish in wishes {
        let (place, name) = target(args, naming, &wish).context(|| format!("copy {}", wish.from))?;
        // Untagged artifacts are told apart by their sources.
        let untagged = name.is_none().then(|| wish.from.to_string());
        match taken.get(&(key(&place), name.clone(), untagged.clone())) {
            None => {
                taken.insert((key(&place), name.clone(), untagged), wish.from.clone());
                named.push((wish, place, name));
            }
            Some(other) if *other == wish.from => {}
            Some(other) => {
                let name = name.map(|name| format!(":{name}")).unwrap_or_default();
                return Err(naming::taken(format_args!("{place}{name}"), other, &wish.from));
            }
        }
    }
    Ok(named)
}

/// The destination and name of an artifact.
fn target(args: &Args, naming: &Naming, wish: &Wish) -> Result<(Place, Option<RefName>)> {
    let called = &wish.called;
    let at_registry = |registry: &RegistryName, base| {
        let (repository, tag) = naming.in_registry(called, base)?;
        Ok((Place::Registry { registry: registry.clone(), repository }, tag.map(RefName::from)))
    };
    let (to, own) = match (&wish.to, &args.to) {
        (Some(to), _) => (to, true),
        (None, Some(End::At(to))) => (to, false),
        (None, Some(End::Registry(registry))) => return at_registry(registry, None),
        (None, None) => return Err(Error::misuse("no destination: add ` -> TO` to its line, or give TO")),
    };
    if to.digest.is_some() {
        return Err(Error::misuse(format!("`{to}` has a digest; a destination takes only a tag")));
    }
    match (&to.place, &to.tag) {
        (place, Some(tag)) => Ok((place.clone(), Some(tag.clone()))),
        (Place::Registry { .. }, None) if own => Ok((to.place.clone(), called.tag()?.map(RefName::from))),
        (Place::Registry { registry, repository }, None) => at_registry(registry, Some(repository)),
        (place, None) => Ok((place.clone(), Naming::in_layout(called))),
    }
}

/// A requested artifact, its destination, and its name there.
type Named = (Wish, Place, Option<RefName>);

/// Resolves all names; failures go to `failed`.
async fn resolve_all(
    args: &Args,
    stores: &Stores,
    named: Vec<Named>,
    failed: &mut Vec<(String, Error)>,
) -> Result<(Vec<Named>, Vec<Descriptor>)> {
    let mut asking = Vec::new();
    for (wish, ..) in &named {
        let (store, name, platform) = (Arc::clone(stores.get(wish.store)?), wish.name.clone(), args.platform.clone());
        asking.push(async move {
            let found = store.resolve(&name).await?;
            if matches!(&name, Name::Digest(asked) if *asked != found.digest) {
                return Err(Error::mismatch(format!("{store} gave {} when asked for {name}", found.digest)));
            }
            copy::select(&store, found, platform.as_ref()).await
        });
    }
    let answers: Vec<Result<Descriptor>> = stream::iter(asking).buffered(QUESTIONS).collect().await;
    let (mut resolved, mut found) = (Vec::new(), Vec::new());
    for (wish, answer) in named.into_iter().zip(answers) {
        match answer {
            Ok(desc) => {
                found.push(desc);
                resolved.push(wish);
            }
            Err(e) => failed.push((wish.0.from.to_string(), e)),
        }
    }
    Ok((resolved, found))
}

/// Leaves out cosign's tags for artifacts that go to the same layout or archive: they follow their artifact, and are
/// found there under their own tags only.
fn leave_named_companions(named: &mut Vec<Named>, found: &mut Vec<Descriptor>) {
    let going: HashSet<(String, u16, Digest)> = named
        .iter()
        .zip(found.iter())
        .map(|((wish, place, _), desc)| (key(place), wish.store, desc.digest.clone()))
        .collect();
    let comes_along = |(wish, place, _): &Named| {
        let SourceName::Whole(whole) = &wish.called else { return false };
        let subject = whole.tag().and_then(|tag| naming::subject_of_companion(&tag.clone().into()));
        let local = !matches!(place, Place::Registry { .. });
        local && subject.is_some_and(|subject| going.contains(&(key(place), wish.store, subject)))
    };
    let leave: Vec<bool> = named.iter().map(comes_along).collect();
    let mut keep = leave.iter().map(|leave| !leave);
    named.retain(|_| keep.next().unwrap_or(true));
    let mut keep = leave.iter().map(|leave| !leave);
    found.retain(|_| keep.next().unwrap_or(true));
}

/// Limit of the sources named in an error; if there are more, each gets a warning.
const NAMED: usize = 20;

/// One error for all failures, of the kind of the worst.
fn all_of(failed: &[(String, Error)], total: usize, report: &Report) -> Error {
    if failed.len() > NAMED {
        failed.iter().for_each(|(from, e)| report.warn(format!("{from}: {e}")));
    }
    let worst = failed.iter().map(|(_, e)| e).find(|e| e.kind() != Kind::NotFound);
    let told: Vec<String> = failed.iter().take(NAMED).map(|(from, e)| format!("{from} ({e})")).collect();
    let more = match failed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let of = format!("{} of {}", failed.len(), count(total, "artifact"));
    let (kind, what) = worst.map_or((Kind::NotFound, "found"), |worst| (worst.kind(), "read"));
    let error = Error::new(kind, format!("{of} cannot be {what}: {}{more}", told.join("; ")));
    match worst.or(failed.first().map(|(_, e)| e)).and_then(Error::code) {
        Some(code) => error.with_code(code),
        None => error,
    }
}
