//! A copy of many artifacts: their sources, their names at the destination, and one plan over all of them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use artifact::{
    Code, Error, Kind, Result,
    copy::{
        self, Selected,
        naming::{self, Naming, SourceName},
    },
    error::Context as _,
    graph::Root,
    location::{Location, Place, ReadLocation, name_in},
    oci::{Descriptor, Digest, RefName, RegistryName, RepositoryName, Tag},
    store::{Name, NamePage, ReadStore},
};
use futures_util::{StreamExt as _, stream};

use super::super::{
    report::Report,
    session::{RegistryArgs, exact_in, warn_of_odd},
};
use super::{
    Args,
    carry::{Ends, Narrowed, Target, Wanted},
    failure::{Failure, all_of, kept_going},
    list::{self, End},
    open_destination,
    sources::Stores,
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

/// The sources of a copy and their destinations.
pub(super) struct Many {
    from: Vec<Arc<dyn ReadStore>>,
    /// Each destination with what goes there.
    to: Vec<(Place, Vec<Wanted>)>,
    narrowed: Narrowed,
    failed: Vec<Failure>,
}

impl Many {
    /// Finds all artifacts and names each; writes nothing.
    ///
    /// Errors: two sources for one name; without --keep-going, one error for all missing sources.
    pub(super) async fn find(args: &Args, registry: &RegistryArgs, report: &Report) -> Result<Self> {
        let naming = Naming { maps: args.map.clone(), keep_host: args.keep_host };
        let mut stores = Stores::default();
        let mut failed = Vec::new();
        let wishes = wishes(args, &naming, &mut stores, &mut failed, (registry, report)).await?;
        let named = name_all(args, &naming, wishes, report)?;
        let (mut named, mut found) = resolve_all(args, &stores, named, &mut failed).await?;
        if !failed.is_empty() && !args.keep_going {
            return Err(all_of(&failed, named.len().saturating_add(failed.len()), report));
        }
        if !args.no_referrers {
            leave_named_companions(&mut named, &mut found);
        }
        stores.add_made(named.iter().map(|(wish, ..)| wish.store).zip(&found));
        let narrowed = Narrowed::of(found.iter().cloned());
        Ok(Self { from: stores.open, to: by_place(named, found), narrowed, failed })
    }

    /// Opens the destinations. Errors: one cannot be opened; with --keep-going, what goes there has failed.
    pub(super) async fn destinations(self, args: &Args, report: &Report) -> Result<Ends> {
        let (mut to, mut failed) = (Vec::new(), self.failed);
        for (place, wanted) in self.to {
            match open_destination(args, &place, report).await {
                Ok(store) => to.push(Target { store, place, wanted }),
                Err(error) if args.keep_going => {
                    let from = wanted.into_iter().flat_map(|wanted| wanted.from).collect();
                    failed.push(Failure { from, error });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ends { from: self.from, to, narrowed: self.narrowed, failed })
    }

    /// The number of artifacts, counted per destination, and of destinations.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.to.iter().map(|(_, wanted)| wanted.len()).sum(), self.to.len())
    }
}

/// What goes to each place; what one store has under several names is one manifest with these names.
fn by_place(named: Vec<Named>, found: Vec<Selected>) -> Vec<(Place, Vec<Wanted>)> {
    let mut to: Vec<(Place, Vec<Wanted>)> = Vec::new();
    let (mut places, mut roots) = (HashMap::new(), HashMap::new());
    for ((wish, place, name), selected) in named.into_iter().zip(found) {
        let at = *places.entry(place.key()).or_insert_with(|| {
            to.push((place, Vec::new()));
            to.len().saturating_sub(1)
        });
        let Some((_, there)) = to.get_mut(at) else { continue };
        let known = *roots.entry((at, selected.root.digest.clone(), wish.store)).or_insert_with(|| {
            let root = Root { origins: vec![wish.store], ..selected.to_root(Vec::new()) };
            there.push(Wanted { root, from: Vec::new() });
            there.len().saturating_sub(1)
        });
        if let Some(wanted) = there.get_mut(known) {
            wanted.root.names.extend(name);
            wanted.from.push(wish.from.to_string());
        }
    }
    to
}

async fn wishes(
    args: &Args,
    naming: &Naming,
    stores: &mut Stores,
    failed: &mut Vec<Failure>,
    ways: (&RegistryArgs, &Report),
) -> Result<Vec<Wish>> {
    if let Some(path) = &args.list {
        let mut wishes = Vec::new();
        for list::ListLine { from, to } in list::read_list(path)? {
            match of_location(&from, to, stores, ways).await {
                Ok(wish) => wishes.push(wish),
                Err(error) => failed.push(Failure::of(&from, error)),
            }
        }
        return Ok(wishes);
    }
    if let Some(place) = &args.repositories {
        return of_repositories(args, place, stores, failed, ways).await;
    }
    let from = args.source()?;
    let whole = naming.keep_host || !naming.maps.is_empty() || matches!(args.to, Some(End::Registry(_)));
    of_store(&from, args, whole, stores, failed, ways).await
}

/// An artifact named in a list.
async fn of_location(
    from: &ReadLocation,
    to: Option<Location>,
    stores: &mut Stores,
    (registry, report): (&RegistryArgs, &Report),
) -> Result<Wish> {
    let store = stores.open_store(&from.location.place, registry, report).await?;
    let from = exact_in(stores.get(store)?.as_ref(), from, report).await?;
    let name = name_in(stores.get(store)?.as_ref(), &from).await?;
    let called = match (&from.place, &from.tag, &from.digest) {
        (Place::Registry { .. }, ..) => SourceName::Whole(from.to_string().parse()?),
        (_, Some(tag), _) => SourceName::from(tag),
        (_, None, None) => name.as_ref_name().map_or(SourceName::Unnamed, SourceName::from),
        (_, None, Some(_)) => SourceName::Unnamed,
    };
    Ok(Wish { from, store, name, called, to })
}

/// All tags of the repositories in a registry's catalog.
async fn of_repositories(
    args: &Args,
    place: &End,
    stores: &mut Stores,
    failed: &mut Vec<Failure>,
    (registry, report): (&RegistryArgs, &Report),
) -> Result<Vec<Wish>> {
    let mut places = Vec::new();
    for place in cataloged(place, registry, report).await? {
        places.push((stores.open_store(&place, registry, report).await?, place));
    }
    let asking: Result<Vec<_>> = places.iter().map(|(at, _)| stores.get(*at).cloned().map(tags_of)).collect();
    let pages: Vec<Result<NamePage>> = stream::iter(asking?).buffered(QUESTIONS).collect().await;
    let mut wishes = Vec::new();
    for ((store, place), page) in places.into_iter().zip(pages) {
        let Some(page) = kept_going(args, &place, page, failed)? else { continue };
        kept_going(args, &place, all_readable(stores.get(store)?, &page, report), failed)?;
        for name in page.names {
            wishes.push(of_tag(&place, store, name, true)?);
        }
    }
    if wishes.is_empty() && failed.is_empty() {
        return Err(Error::not_found(format!("{place} has no repository with a tag")).with_code(Code::NoTags));
    }
    Ok(wishes)
}

/// The repositories in a registry's catalog, or those of them that are below a prefix.
async fn cataloged(place: &End, registry: &RegistryArgs, report: &Report) -> Result<Vec<Place>> {
    let (host, prefix) = match place {
        End::Registry(host) => (host.clone(), None),
        End::At(Location { place: Place::Registry { registry, repository }, tag: None, digest: None }) => {
            (registry.clone(), Some(repository.clone()))
        }
        other => return Err(Error::misuse(format!("`{other}` is not REGISTRY[/PREFIX]"))),
    };
    let below = |name: &RepositoryName| match &prefix {
        None => true,
        Some(prefix) => name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let listed = registry.context(report)?.client(&host)?.repositories().await;
    let listed = listed.context(|| format!("list the repositories of {host}"))?;
    let names = listed.iter().filter_map(|name| name.parse().ok()).filter(below);
    Ok(names.map(|repository| Place::Registry { registry: host.clone(), repository }).collect())
}

/// The tags of a repository in a catalog.
async fn tags_of(store: Arc<dyn ReadStore>) -> Result<NamePage> {
    match store.list_names().await {
        // Catalogs still list repositories that are empty.
        Err(e) if e.kind() == Kind::NotFound => Ok(NamePage::default()),
        other => other.context(|| format!("list the tags of {store}")),
    }
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
    failed: &mut Vec<Failure>,
    (registry, report): (&RegistryArgs, &Report),
) -> Result<Vec<Wish>> {
    let at = stores.open_store(&from.place, registry, report).await?;
    let store = stores.get(at)?;
    let page = store.list_names().await?;
    kept_going(args, &from.place, all_readable(store, &page, report), failed)?;
    if page.names.is_empty() && failed.is_empty() {
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
        leave_companions(&mut wishes, store).await;
    }
    Ok(wishes)
}

/// Errors: an unreadable entry in the list of the store.
fn all_readable(store: &Arc<dyn ReadStore>, page: &NamePage, report: &Report) -> Result<()> {
    warn_of_odd(page, store, report);
    page.check_complete(store)
}

/// Leaves out cosign's tags for an artifact whose name contains a repository: they follow that artifact into its
/// repository, which their own names do not contain.
async fn leave_companions(wishes: &mut Vec<Wish>, store: &Arc<dyn ReadStore>) {
    let subject = |wish: &Wish| match &wish.called {
        SourceName::Bare(name) => name.subject_of_companion(),
        _ => None,
    };
    if !wishes.iter().any(|wish| subject(wish).is_some()) {
        return;
    }
    let asking: Vec<_> =
        wishes.iter().filter(|wish| wish.called.says_repository()).map(|wish| store.resolve(&wish.name)).collect();
    let found: Vec<Result<Descriptor>> = stream::iter(asking).buffered(QUESTIONS).collect().await;
    // One that fails is told of when it is to be copied.
    let found: HashSet<Digest> = found.into_iter().flatten().map(|desc| desc.digest).collect();
    wishes.retain(|wish| subject(wish).is_none_or(|subject| !found.contains(&subject)));
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
        match taken.get(&(place.key(), name.clone(), untagged.clone())) {
            None => {
                taken.insert((place.key(), name.clone(), untagged), wish.from.clone());
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
        (None, None | Some(End::Newest(_))) => {
            return Err(Error::misuse("no destination: add ` -> TO` to its line, or give TO"));
        }
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
    failed: &mut Vec<Failure>,
) -> Result<(Vec<Named>, Vec<Selected>)> {
    let selection = args.selection.selection();
    let mut asking = Vec::new();
    for (wish, ..) in &named {
        let (store, name, selection) = (Arc::clone(stores.get(wish.store)?), wish.name.clone(), &selection);
        asking.push(async move {
            let found = store.resolve(&name).await?;
            if matches!(&name, Name::Digest(asked) if *asked != found.digest) {
                return Err(Error::mismatch(format!("{store} gave {} when asked for {name}", found.digest)));
            }
            copy::narrow(&store, found, selection).await
        });
    }
    let answers: Vec<Result<Selected>> = stream::iter(asking).buffered(QUESTIONS).collect().await;
    let (mut resolved, mut found) = (Vec::new(), Vec::new());
    for (wish, answer) in named.into_iter().zip(answers) {
        match answer {
            Ok(desc) => {
                found.push(desc);
                resolved.push(wish);
            }
            Err(error) => failed.push(Failure::of(&wish.0.from, error)),
        }
    }
    Ok((resolved, found))
}

/// Leaves out cosign's tags for artifacts that go to the same layout or archive: they follow their artifact, and are
/// found there under their own tags only.
fn leave_named_companions(named: &mut Vec<Named>, found: &mut Vec<Selected>) {
    let going: HashSet<(String, u16, Digest)> = named
        .iter()
        .zip(found.iter())
        .map(|((wish, place, _), selected)| (place.key(), wish.store, selected.root.digest.clone()))
        .collect();
    let comes_along = |(wish, place, _): &Named| {
        let SourceName::Whole(whole) = &wish.called else { return false };
        let subject = whole.tag().and_then(|tag| RefName::from(tag.clone()).subject_of_companion());
        let local = !matches!(place, Place::Registry { .. });
        local && subject.is_some_and(|subject| going.contains(&(place.key(), wish.store, subject)))
    };
    let leave: Vec<bool> = named.iter().map(comes_along).collect();
    let mut keep = leave.iter().map(|leave| !leave);
    named.retain(|_| keep.next().unwrap_or(true));
    let mut keep = leave.iter().map(|leave| !leave);
    found.retain(|_| keep.next().unwrap_or(true));
}
