//! Carrying out a copy: one plan over all artifacts; with `--keep-going`, over all that can be copied.

use std::{collections::HashSet, sync::Arc};

use artifact::{
    Error, Result,
    copy::{self, Destination, NewIndex, Options, PartialIndex, Selected},
    graph::Root,
    location::Place,
    oci::Digest,
    store::{ReadStore, Store},
};

use super::failure::{Failure, among, is_of_all};

/// The sources and destinations of a copy.
pub(super) struct Ends {
    pub(super) from: Vec<Arc<dyn ReadStore>>,
    pub(super) to: Vec<Target>,
    pub(super) narrowed: Narrowed,
    /// Artifacts that cannot be copied, found out so far.
    pub(super) failed: Vec<Failure>,
}

/// Indexes of which not all members are copied.
#[derive(Default)]
pub(super) struct Narrowed {
    /// Those that were made of others.
    indexes: Vec<NewIndex>,
    /// Those that stay as they are.
    partial: Vec<PartialIndex>,
}

impl Narrowed {
    /// Of these artifacts, each index once.
    pub(super) fn of(all: impl IntoIterator<Item = Selected>) -> Self {
        let (mut narrowed, mut known) = (Self::default(), HashSet::new());
        for Selected { made, partial, root, .. } in all {
            if known.insert(root.digest) {
                narrowed.indexes.extend(made);
                narrowed.partial.extend(partial);
            }
        }
        narrowed
    }
}

/// A destination, and what goes there.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) store: Arc<dyn Store>,
    pub(super) wanted: Vec<Wanted>,
}

/// A manifest to copy.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) root: Root,
    /// The locations that stand for it.
    pub(super) from: Vec<String>,
}

/// What was copied, and what could not be.
pub(super) struct Carried {
    pub(super) report: Option<copy::Report>,
    /// The location of each name in the report.
    pub(super) locations: Vec<String>,
    /// The requested manifests.
    pub(super) roots: Vec<Digest>,
    pub(super) failed: Vec<Failure>,
}

/// Which of the artifacts a plan is for: each with the position of its destination.
type Group = Vec<(usize, Wanted)>;

impl Ends {
    fn all(&self) -> Group {
        let all = self.to.iter().enumerate();
        all.flat_map(|(at, target)| target.wanted.iter().map(move |wanted| (at, wanted.clone()))).collect()
    }

    /// Copies all artifacts, or none. Errors: those of the engine, with the number of artifacts.
    pub(super) async fn carry(mut self, options: &Options, dry_run: bool) -> Result<Carried> {
        let all = self.all();
        let mut carried = Carried::none(std::mem::take(&mut self.failed));
        let others = all.len().saturating_sub(1);
        self.attempt(&all, options, dry_run, &mut carried).await.map_err(|e| among(e, others))?;
        Ok(carried.with(self.narrowed))
    }

    /// Copies what can be copied. A group that fails is tried again by its destinations, and then in halves, so that few
    /// broken artifacts cost few plans. A failure that the next artifact would meet as well ends the copy to its destination.
    pub(super) async fn carry_on(mut self, options: &Options, dry_run: bool) -> Carried {
        let mut carried = Carried::none(std::mem::take(&mut self.failed));
        let mut groups = vec![self.all()];
        while let Some(group) = groups.pop() {
            let Err(error) = self.attempt(&group, options, dry_run, &mut carried).await else { continue };
            let to = group.first().map_or(0, |(at, _)| *at);
            let (mut group, others) = divided(group, to);
            if !others.is_empty() {
                groups.extend([others, group]);
            } else if is_of_all(&error) {
                for waiting in groups.iter_mut().rev() {
                    let (same, rest) = divided(std::mem::take(waiting), to);
                    group.extend(same);
                    *waiting = rest;
                }
                carried.failed.push(failure(group, error));
            } else if group.len() < 2 {
                carried.failed.push(failure(group, error));
            } else {
                let second = group.split_off(group.len() / 2);
                groups.extend([second, group]);
            }
        }
        carried.with(self.narrowed)
    }

    /// Copies a group by one plan, and adds to what was carried.
    async fn attempt(&self, group: &Group, options: &Options, dry_run: bool, carried: &mut Carried) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let (mut destinations, mut places) = (Vec::new(), Vec::new());
        for (at, Target { place, store, .. }) in self.to.iter().enumerate() {
            let roots: Vec<Root> = group.iter().filter(|(to, _)| *to == at).map(|(_, one)| one.root.clone()).collect();
            if !roots.is_empty() {
                destinations.push(Destination { store: Arc::clone(store), roots });
                places.push(place);
            }
        }
        let plan = copy::plan(&self.from, destinations, options).await?;
        let parts = plan.destinations().iter().zip(&places);
        let locations =
            parts.flat_map(|(part, place)| part.names().iter().map(move |name| format!("{place}:{}", name.name)));
        let locations: Vec<String> = locations.collect();
        let report = match dry_run {
            true => plan.foresee(),
            false => plan.approve(&[]).await?.run(options).await?,
        };
        carried.locations.extend(locations);
        carried.roots.extend(group.iter().map(|(_, one)| one.root.desc.digest.clone()));
        carried.report = Some(match carried.report.take() {
            Some(earlier) => earlier.and(report),
            None => report,
        });
        Ok(())
    }
}

/// What of a group goes to this destination, and what to others.
fn divided(group: Group, to: usize) -> (Group, Group) {
    group.into_iter().partition(|(at, _)| *at == to)
}

fn failure(group: Group, error: Error) -> Failure {
    Failure { from: group.into_iter().flat_map(|(_, wanted)| wanted.from).collect(), error }
}

impl Carried {
    fn none(failed: Vec<Failure>) -> Self {
        Self { report: None, locations: Vec::new(), roots: Vec::new(), failed }
    }

    /// With the indexes that were copied in part.
    fn with(mut self, Narrowed { indexes, partial }: Narrowed) -> Self {
        if let Some(report) = &mut self.report {
            report.indexes = indexes.into_iter().filter(|made| self.roots.contains(&made.to)).collect();
            report.partial = partial.into_iter().filter(|index| self.roots.contains(&index.digest)).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        ops::Range,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use artifact::{
        Error, Kind,
        blob::ByteStream,
        oci::{Descriptor, Index, media_type},
        store::{self, Abilities, Intent, Item, Name, NamePage, Presence, Session},
        stores::Memory,
    };
    use async_trait::async_trait;
    use futures_util::stream::BoxStream;

    use super::*;

    /// A store that takes the artifacts of some tags, and fails otherwise with this kind.
    struct Picky {
        memory: Memory,
        takes: fn(&str) -> bool,
        fails: Kind,
        begun: AtomicUsize,
    }

    impl fmt::Display for Picky {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("picky")
        }
    }

    #[async_trait]
    impl ReadStore for Picky {
        async fn resolve(&self, name: &Name) -> Result<Descriptor> {
            self.memory.resolve(name).await
        }

        async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
            self.memory.fetch(item, range).await
        }

        async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
            self.memory.has(items).await
        }

        fn names(&self) -> BoxStream<'_, Result<NamePage>> {
            self.memory.names()
        }

        async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
            self.memory.referrers(subject).await
        }
    }

    #[async_trait]
    impl Store for Picky {
        fn abilities(&self) -> Abilities {
            Abilities::ALL
        }

        async fn begin(&self, intent: Intent) -> Result<Arc<dyn Session>> {
            self.begun.fetch_add(1, Ordering::Relaxed);
            match intent.names.iter().find(|change| !(self.takes)(&change.name)) {
                Some(change) => Err(Error::new(self.fails, format!("not {}", change.name))),
                None => self.memory.begin(intent).await,
            }
        }
    }

    /// The copy of sixteen artifacts with the tags `t0` to `tf` into a picky store.
    async fn sixteen(takes: fn(&str) -> bool, fails: Kind) -> (Carried, usize, Vec<String>) {
        let (from, mut wanted) = (Memory::new(), Vec::new());
        let write = store::begin(&from, Intent::default()).await.unwrap();
        for n in 0..16 {
            let mut index = Index::of(Vec::new());
            index.annotations.insert("n".into(), n.to_string());
            let bytes = bytes::Bytes::from(serde_json::to_vec(&index).unwrap());
            let desc = Descriptor::of(media_type::INDEX, &bytes);
            write.puts().manifest(&desc, &bytes).await.unwrap();
            let tag = format!("t{n:x}");
            wanted.push(Wanted { root: Root::new(desc, vec![tag.parse().unwrap()]), from: vec![tag] });
        }
        write.commit().await.unwrap();
        let picky = Arc::new(Picky { memory: Memory::new(), takes, fails, begun: AtomicUsize::new(0) });
        let place = Place::Layout("to".into());
        let to = vec![Target { place, store: Arc::clone(&picky) as Arc<dyn Store>, wanted }];
        let ends = Ends { from: vec![Arc::new(from)], to, narrowed: Narrowed::default(), failed: Vec::new() };
        let carried = ends.carry_on(&Options::default(), false).await;
        let names = picky.memory.list_names().await.unwrap().names.into_iter().map(String::from).collect();
        (carried, picky.begun.load(Ordering::Relaxed), names)
    }

    #[tokio::test]
    async fn one_broken_artifact_of_sixteen_costs_few_plans_and_fails_alone() {
        let (carried, begun, names) = sixteen(|tag| tag != "t5", Kind::Invalid).await;
        let failed: Vec<_> = carried.failed.iter().flat_map(|failure| failure.from.clone()).collect();
        assert_eq!((failed, names.len(), carried.roots.len()), (vec!["t5".to_owned()], 15, 15));
        // Halved four times: 16, 8, 4, 2 and 1 that fail, and four halves that do not.
        assert_eq!(begun, 9);
        let report = carried.report.unwrap();
        assert_eq!((report.moved, report.names.len(), carried.locations.len()), (15, 15, 15));
        for (name, location) in report.names.iter().zip(&carried.locations) {
            assert_eq!(*location, format!("oci:to:{}", name.name));
        }
    }

    #[tokio::test]
    async fn a_full_destination_ends_the_copy_to_it_and_to_no_other() {
        let from = Memory::new();
        let bytes = bytes::Bytes::from(serde_json::to_vec(&Index::of(Vec::new())).unwrap());
        let desc = Descriptor::of(media_type::INDEX, &bytes);
        let write = store::begin(&from, Intent::default()).await.unwrap();
        write.puts().manifest(&desc, &bytes).await.unwrap();
        write.commit().await.unwrap();
        let wanted =
            |tag: &str| Wanted { root: Root::new(desc.clone(), vec![tag.parse().unwrap()]), from: vec![tag.into()] };
        let target = |name: &str, takes: fn(&str) -> bool| {
            let store = Picky { memory: Memory::new(), takes, fails: Kind::NoSpace, begun: AtomicUsize::new(0) };
            let wanted = ["a", "b"].map(|tag| wanted(&format!("{name}-{tag}"))).to_vec();
            Target { place: Place::Layout(name.into()), store: Arc::new(store), wanted }
        };
        let to = vec![target("full", |_| false), target("free", |_| true)];
        let ends = Ends { from: vec![Arc::new(from)], to, narrowed: Narrowed::default(), failed: Vec::new() };
        let carried = ends.carry_on(&Options::default(), false).await;
        assert_eq!(carried.locations, ["oci:free:free-a", "oci:free:free-b"]);
        let failed: Vec<_> = carried.failed.iter().map(|failure| failure.from.clone()).collect();
        assert_eq!(failed, [["full-a", "full-b"]]);
    }

    #[tokio::test]
    async fn a_failure_that_every_artifact_would_meet_ends_the_copy_and_names_all_that_are_left() {
        let (carried, begun, names) = sixteen(|_| false, Kind::NoSpace).await;
        assert_eq!((begun, names.len(), carried.failed.len()), (1, 0, 1));
        assert_eq!((carried.failed[0].from.len(), carried.failed[0].error.kind()), (16, Kind::NoSpace));
        assert!(carried.report.is_none());
        let (carried, begun, _) = sixteen(|_| false, Kind::Unavailable).await;
        assert_eq!((begun, carried.failed.len()), (31, 16));
    }
}
