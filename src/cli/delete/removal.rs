//! What a deletion takes along and what it leaves; carrying it out.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use artifact::{
    Error, Result,
    location::{Location, Pin, Place},
    oci::{Descriptor, RefName},
    store::{self, Intent, Item, NameChange, Store},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::{
    super::{
        report::{Report, about, object},
        session::RegistryArgs,
        several::Failure,
    },
    Args, is_local,
    related::{Names, Related, kept_by_cosign, referrers},
};

/// Limit of concurrent requests.
pub(super) const QUESTIONS: usize = 32;
/// A tag, or a manifest with its tags, that is to be removed.
pub(super) struct Removal {
    pub(super) location: Location,
    /// What it stands for; unknown where a registry does not say, but may still remove it.
    desc: Option<Descriptor>,
    /// The tags that go.
    tags: Vec<RefName>,
    /// The referrers that go along, each before its subject.
    related: Vec<Related>,
    /// The referrers that stay.
    left: Vec<Related>,
}

impl Removal {
    /// Looks up what is at a location.
    async fn of(store: &dyn Store, location: &Location, args: &Args, report: &Report) -> Result<Self> {
        match (&location.digest, &location.tag) {
            (Some(pin), _) => Self::of_manifest(store, location, pin, args, report).await,
            (None, Some(tag)) => Self::of_tag(store, location, tag, args.dry_run).await,
            (None, None) => Err(Error::misuse(format!("`{location}` has no tag or digest"))),
        }
    }

    /// Looks up what a tag stands for.
    async fn of_tag(store: &dyn Store, location: &Location, tag: &RefName, dry_run: bool) -> Result<Self> {
        let desc = match store.resolve(&tag.clone().into()).await {
            Ok(desc) => Some(desc),
            // A registry may remove a tag whose manifest it has lost: its answer decides.
            Err(_) if !dry_run && !is_local(&location.place) => None,
            Err(error) => return Err(error),
        };
        let tags = vec![tag.clone()];
        Ok(Self { location: location.clone(), desc, tags, related: Vec::new(), left: Vec::new() })
    }

    /// Looks up a manifest, its tags, and what refers to it.
    async fn of_manifest(
        store: &dyn Store,
        location: &Location,
        pin: &Pin,
        args: &Args,
        report: &Report,
    ) -> Result<Self> {
        let desc = store.resolve(&pin.clone().into()).await?;
        let names = match Names::of(store, location).await {
            Ok(names) => {
                for (name, why) in &names.unknown {
                    report.warn(format!("cannot tell whether {name} goes with {}: {why}", desc.digest));
                }
                Some(names)
            }
            Err(e) => {
                report.warn(format!("cannot tell which tags go with {}: {e}", desc.digest));
                None
            }
        };
        let about = match referrers(store, &desc, names.as_ref(), args.referrers).await {
            Err(e) if !args.referrers => {
                report.warn(format!("cannot list the remaining referrers: {e}"));
                kept_by_cosign(store, &desc, names.as_ref()).await?
            }
            about => about?,
        };
        let tags = names.map_or_else(Vec::new, |names| names.standing_for(&desc.digest));
        let (related, left) = about.into_iter().partition(|related| related.goes);
        Ok(Self { location: location.clone(), desc: Some(desc), tags, related, left })
    }

    /// The manifest that is removed; `None` where only a tag is.
    fn manifest(&self) -> Option<&Descriptor> {
        self.desc.as_ref().filter(|_| self.location.digest.is_some())
    }

    /// Whether another removal is part of the same writing: in a layout or archive; a tag that this one takes along.
    fn goes_with(&self, other: &Self) -> bool {
        let covers = || {
            self.manifest().is_some()
                && other.manifest().is_none()
                && other.tags.iter().all(|tag| self.tags.contains(tag))
        };
        self.location.place.key() == other.location.place.key() && (is_local(&self.location.place) || covers())
    }

    /// What goes, in words.
    pub(super) fn lines(&self, dry_run: bool) -> Vec<String> {
        let (word, place) = (if dry_run { "would delete" } else { "deleted" }, &self.location.place);
        let tags = match (self.manifest(), self.tags.as_slice()) {
            (None, _) | (_, []) => String::new(),
            (_, [only]) => format!(", and its tag {only}"),
            (_, all) => format!(", and its tags {}", all.iter().map(RefName::as_str).collect::<Vec<_>>().join(", ")),
        };
        let own = format!("{word} {}{tags}", self.location);
        let along = self.related.iter().rev().map(|related| match (&related.tag, related.is_named_otherwise) {
            (None, _) => format!("{word} {place}{related}, a referrer of it"),
            (Some(_), false) => format!("{word} {place}{related}, which cosign keeps about it"),
            (Some(_), true) => format!("{word} the tag {place}{related}; its manifest may have other names"),
        });
        std::iter::once(own).chain(along).collect()
    }

    /// What refers to it and stays, in words.
    pub(super) fn kept(&self) -> Vec<String> {
        let place = &self.location.place;
        let line = |related: &Related| {
            format!("{} refers to it and was kept: `artifact delete {place}{related}` deletes it", related.desc.digest)
        };
        self.left.iter().map(line).collect()
    }

    pub(super) fn json(&self) -> Result<Map<String, Value>> {
        let place = &self.location.place;
        let names = |all: &[Related]| all.iter().map(|related| format!("{place}{related}")).collect::<Vec<_>>();
        let mut json = self.desc.as_ref().map_or_else(|| Ok(Map::new()), |desc| about(place, desc))?;
        let (related, left) = (names(&self.related), names(&self.left));
        json.extend(object(
            &json!({ "location": self.location.to_string(), "tags": self.tags, "related": related, "left": left }),
        )?);
        Ok(json)
    }
}

/// The stores in which something is deleted, each opened once, by the keys of their places.
#[derive(Default)]
pub(super) struct Targets(Vec<(String, Arc<dyn Store>)>);

impl Targets {
    pub(super) async fn open(
        &mut self,
        place: &Place,
        registry: &RegistryArgs,
        report: &Report,
    ) -> Result<Arc<dyn Store>> {
        if let Some((_, store)) = self.0.iter().find(|(known, _)| *known == place.key()) {
            return Ok(Arc::clone(store));
        }
        let store = registry.write_existing(place, report).await?;
        self.0.push((place.key(), Arc::clone(&store)));
        Ok(store)
    }

    /// Looks up what is to go, each location once; what is not there goes to `failed`.
    pub(super) async fn plan(
        &mut self,
        args: &Args,
        locations: &[Location],
        failed: &mut Vec<Failure>,
        report: &Report,
    ) -> Result<Vec<Removal>> {
        let mut known = HashSet::new();
        let mut asking = Vec::new();
        let key = |location: &Location| {
            (location.place.key(), location.tag.clone(), location.digest.as_ref().map(ToString::to_string))
        };
        for location in locations.iter().filter(|location| known.insert(key(location))) {
            match self.open(&location.place, &args.registry, report).await {
                Ok(store) => asking.push(async move {
                    Removal::of(&*store, location, args, report).await.map_err(|error| Failure::of(location, error))
                }),
                Err(error) => failed.push(Failure::of(location, error)),
            }
        }
        let answers: Vec<_> = stream::iter(asking).buffered(QUESTIONS).collect().await;
        let mut planned = Vec::new();
        for answer in answers {
            match answer {
                Ok(removal) => planned.push(removal),
                Err(failure) => failed.push(failure),
            }
        }
        Ok(planned)
    }

    /// Removes what was planned: from a layout or archive all at once, from a registry one after the other, so that each
    /// failure has its name. What failed goes to `failed`.
    pub(super) async fn remove(&self, planned: Vec<Removal>, failed: &mut Vec<Failure>) -> Vec<Removal> {
        let mut groups: Vec<Vec<Removal>> = Vec::new();
        for removal in planned {
            match groups.iter_mut().find(|group| group.iter().any(|one| one.goes_with(&removal))) {
                Some(group) => group.push(removal),
                None => groups.push(vec![removal]),
            }
        }
        let mut done = Vec::new();
        for mut group in groups {
            for removal in &mut group {
                self.remove_tags(removal, failed).await;
            }
            match self.remove_group(&group).await {
                Ok(()) => done.extend(group),
                Err(error) => {
                    let from = group.iter().map(|one| one.location.to_string()).collect();
                    failed.push(Failure { from, error });
                }
            }
        }
        done
    }

    /// Removes from a registry the tags of cosign whose manifests stay. Many registries remove tags with their manifests only:
    /// such a tag stays, which is told, and hinders nothing else.
    async fn remove_tags(&self, removal: &mut Removal, failed: &mut Vec<Failure>) {
        let place = removal.location.place.clone();
        let Some(store) = self.store_of(&place).filter(|_| !is_local(&place)) else { return };
        for related in std::mem::take(&mut removal.related) {
            let removed = match related.tag.clone().filter(|_| related.is_named_otherwise) {
                Some(tag) => store::remove_name(store, tag.into()).await,
                None => Ok(()),
            };
            match removed {
                Ok(()) => removal.related.push(related),
                Err(error) => failed.push(Failure::of(&format!("{place}{related}"), error)),
            }
        }
    }

    fn store_of(&self, place: &Place) -> Option<&dyn Store> {
        self.0.iter().find(|(known, _)| *known == place.key()).map(|(_, store)| store.as_ref())
    }

    async fn remove_group(&self, group: &[Removal]) -> Result<()> {
        let place = group.first().map(|one| &one.location.place);
        let Some(store) = place.and_then(|place| self.store_of(place)) else { return Ok(()) };
        let (removals, names) = changes(group);
        let write = store::begin(store, Intent { removals, names: names.clone(), ..Intent::default() }).await?;
        names.into_iter().try_for_each(|change| write.name(change))?;
        write.commit().await.map(drop)
    }
}

/// The manifests and the names to remove, each once. A manifest takes its tags along; what cosign keeps and has other names
/// loses only its tag: see [`Targets::remove_tags`] for registries.
fn changes(group: &[Removal]) -> (Vec<Item>, Vec<NameChange>) {
    let (mut removals, mut gone) = (Vec::new(), HashSet::new());
    let mut names = BTreeSet::new();
    let mut covered: HashSet<&RefName> = HashSet::new();
    for removal in group {
        for Related { desc, tag, is_named_otherwise, .. } in &removal.related {
            match tag {
                Some(tag) if *is_named_otherwise => {
                    names.extend(is_local(&removal.location.place).then(|| RefName::from(tag.clone())));
                }
                _ if gone.insert(desc.digest.clone()) => removals.push(Item::manifest(desc.clone())),
                _ => {}
            }
        }
        match removal.manifest() {
            Some(desc) => {
                covered.extend(&removal.tags);
                if gone.insert(desc.digest.clone()) {
                    removals.push(Item::manifest(desc.clone()));
                }
            }
            None => names.extend(removal.tags.iter().cloned()),
        }
    }
    names.retain(|name| !covered.contains(name));
    (removals, names.into_iter().map(NameChange::remove).collect())
}
