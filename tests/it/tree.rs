//! What there is about an artifact: found in every store, within limits, and never less than there is without a word.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use artifact::{
    Kind, Result,
    blob::{self, ByteStream},
    oci::{Descriptor, Digest, Index, RefName, Tag, media_type},
    store::{Item, Name, NamePage, Presence, ReadStore, Store, one_page},
    tree::{Filter, MAX_BYTES, MAX_NODES, MAX_SIBLINGS, Node, Tree, tree},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::{
    stores::{archive, exam::registry, layout, memory},
    support::{
        faulty::Faulty,
        samples::{Sample, TYPE, deliver, named},
    },
};

/// An index of two platforms, with a note about it, a note about the note, one about the second member, and a signature that
/// cosign keeps about the first.
struct Scene {
    index: Sample,
    members: [Sample; 2],
    note: Sample,
    reply: Sample,
    review: Sample,
    signature: Sample,
}

impl Scene {
    fn new() -> Self {
        let members = [Sample::of(&[b"amd64"]), Sample::of(&[b"arm64"])];
        let mut index = Sample::index(&members);
        let listed = members.iter().zip(["linux/amd64", "linux/arm64"]).map(|(member, platform)| Descriptor {
            platform: Some(Box::new(platform.parse().unwrap())),
            ..member.root().clone()
        });
        let bytes = Bytes::from(serde_json::to_vec(&Index::of(listed.collect())).unwrap());
        *index.manifests.last_mut().unwrap() = (Descriptor::of(media_type::INDEX, &bytes), bytes);
        let note = Sample::about(index.root(), b"note");
        let reply = Sample::about(note.root(), b"reply");
        let review = Sample::about(members[1].root(), b"review");
        let signature = Sample::of(&[b"first", b"second"]);
        Self { index, members, note, reply, review, signature }
    }

    async fn deliver(&self, to: &Arc<dyn Store>) {
        deliver(to, &self.index, &["v1"]).await.unwrap();
        for sample in [&self.note, &self.reply, &self.review] {
            deliver(to, sample, &[]).await.unwrap();
        }
        let [tag, ..] = Tag::companions_of(&self.members[0].root().digest);
        deliver(to, &self.signature, &[&tag]).await.unwrap();
    }
}

fn digest(sample: &Sample) -> &Digest {
    &sample.root().digest
}

fn digests(nodes: &[Node]) -> Vec<&Digest> {
    nodes.iter().map(|node| &node.digest).collect()
}

fn depth(node: &Node) -> usize {
    let below = node.children.iter().chain(&node.referrers).chain(&node.companions);
    below.map(depth).max().map_or(0, |below| below + 1)
}

fn size(node: &Node) -> usize {
    let below = node.children.iter().chain(&node.referrers).chain(&node.companions);
    below.map(size).sum::<usize>() + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_has_members_referrers_of_referrers_and_what_cosign_keeps_in_every_store() {
    let scene = Scene::new();
    for candidate in [memory(), layout(), archive(), registry()] {
        scene.deliver(&candidate.store).await;
        let store = candidate.again();
        let found = tree(store.as_ref(), &named("v1")).await.unwrap();
        found.whole().unwrap();
        let root = &found.root;
        assert_eq!(
            (&root.digest, root.tags.as_slice()),
            (digest(&scene.index), &["v1".parse().unwrap()][..]),
            "{store}"
        );
        assert_eq!(digests(&root.children), scene.members.each_ref().map(digest), "{store}");
        let platforms: Vec<String> =
            root.children.iter().map(|child| child.platform.as_ref().unwrap().to_string()).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        let [note] = root.referrers.as_slice() else { panic!("{store}: {root:?}") };
        assert_eq!((&note.digest, note.artifact_type.as_deref()), (digest(&scene.note), Some(TYPE)), "{store}");
        assert_eq!(note.annotations["org.example.note"], "sample", "{store}");
        assert_eq!(digests(&note.referrers), [digest(&scene.reply)], "{store}");
        let [amd, arm] = root.children.as_slice() else { panic!() };
        assert_eq!(digests(&arm.referrers), [digest(&scene.review)], "{store}");
        let [signature] = amd.companions.as_slice() else { panic!("{store}: {amd:?}") };
        let [tag, ..] = Tag::companions_of(&amd.digest);
        assert_eq!(signature.tags, [RefName::from(tag)]);
        assert_eq!((&signature.digest, signature.layers.as_ref().unwrap().len()), (digest(&scene.signature), 2));
        assert_eq!(size(root), 7, "{store}");
    }
}

/// As many seconds as requests in sequence: each answer takes one, and no time passes otherwise.
async fn trips(world: &Faulty, name: &str) -> u64 {
    let store = world.repository(&Default::default());
    let start = Instant::now();
    tree(&store, &named(name)).await.unwrap().whole().unwrap();
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn one_level_is_read_in_three_trips_and_each_further_one_in_one() {
    let scene = Scene::new();
    let faults = ["GET manifest", "HEAD manifest", "GET referrers", "GET tags"]
        .map(|request| format!("{{on: {request}, nth: all, delay: 1}}"));
    let world = Faulty::new(&faults.join(", "));
    let store: Arc<dyn Store> = world.store().await;
    let image = Sample::of(&[b"image"]);
    deliver(&store, &image, &["none", "v2"]).await.unwrap();
    assert_eq!(trips(&world, "none").await, 2);
    deliver(&store, &Sample::about(image.root(), b"sbom"), &[]).await.unwrap();
    let [tag, ..] = Tag::companions_of(digest(&image));
    deliver(&store, &scene.signature, &[&tag]).await.unwrap();
    assert_eq!(trips(&world, "v2").await, 3);
    // Members, and what is about them, take no trip more.
    deliver(&store, &scene.index, &["v1"]).await.unwrap();
    deliver(&store, &scene.review, &[]).await.unwrap();
    assert_eq!(trips(&world, "v1").await, 3);
    deliver(&store, &scene.note, &[]).await.unwrap();
    deliver(&store, &scene.reply, &[]).await.unwrap();
    assert_eq!(trips(&world, "v1").await, 4);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_listed_is_an_error_and_never_nothing() {
    let scene = Scene::new();
    let [signature, ..] = Tag::companions_of(digest(&scene.members[0]));
    let note = digest(&scene.note);
    for (faults, kind) in [
        ("{on: GET referrers, nth: all, refuse: {status: 429}}".to_owned(), Kind::Unavailable),
        ("{on: GET referrers, nth: all, refuse: {status: 500}}".to_owned(), Kind::Unavailable),
        ("{on: GET referrers, nth: all, refuse: {status: 403}}".to_owned(), Kind::Denied),
        // Of the second level.
        (format!("{{on: GET /referrers/{note}, nth: all, refuse: {{status: 503}}}}"), Kind::Unavailable),
        (format!("{{on: GET /manifests/{signature}, nth: all, refuse: {{status: 403}}}}"), Kind::Denied),
    ] {
        let world = Faulty::new(&faults);
        scene.deliver(&world.store().await).await;
        let store = world.repository(&Default::default());
        assert_eq!(tree(&store, &named("v1")).await.unwrap_err().kind(), kind, "{faults}");
    }
    // Without a list of tags, each tag is asked for.
    let world = Faulty::new("{on: GET tags, nth: all, refuse: {status: 403}}");
    scene.deliver(&world.store().await).await;
    let store = world.repository(&Default::default());
    assert_eq!(size(&tree(&store, &named("v1")).await.unwrap().root), 7);
    assert_eq!(tree(&store, &named("none")).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_filter_leaves_what_fits_and_what_leads_to_it() {
    let scene = Scene::new();
    let store = memory().store;
    scene.deliver(&store).await;
    let all = tree(store.as_ref(), &named("v1")).await.unwrap();
    let kept = |artifact_types: &[&str], annotations: &[(&str, &str)]| -> Tree {
        let mut found = all.clone();
        let annotations = annotations.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let artifact_types = artifact_types.iter().map(|own| (*own).into()).collect();
        found.keep(&Filter { artifact_types, annotations });
        found
    };
    assert_eq!(kept(&[], &[]), all);
    assert_eq!(kept(&["a/b", TYPE], &[("org.example.note", "sample")]), all);
    for none in [kept(&["a/b"], &[]), kept(&[TYPE], &[("org.example.note", "other")]), kept(&[], &[("x", "sample")])] {
        assert!(none.root.is_bare() && none.root.children.is_empty(), "{none:?}");
    }
    // A reply to a note that does not fit is still found below it.
    let mut own = all.clone();
    own.root.referrers[0].artifact_type = None;
    own.keep(&Filter { artifact_types: vec![TYPE.into()], ..Filter::default() });
    assert_eq!(digests(&own.root.referrers[0].referrers), [digest(&scene.reply)]);
}

/// A store that lists as referrers of a manifest whatever a function says.
struct Lists<F> {
    root: Sample,
    list: F,
    asked: AtomicUsize,
}

impl<F: Fn(&Descriptor) -> Vec<Descriptor> + Send + Sync> Lists<F> {
    fn new(list: F) -> Self {
        Self { root: Sample::of(&[b"root"]), list, asked: AtomicUsize::new(0) }
    }

    async fn tree(&self) -> Tree {
        tree(self, &named("v1")).await.unwrap()
    }
}

impl<F> fmt::Display for Lists<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that lists")
    }
}

#[async_trait]
impl<F: Fn(&Descriptor) -> Vec<Descriptor> + Send + Sync> ReadStore for Lists<F> {
    async fn resolve(&self, _name: &Name) -> Result<Descriptor> {
        Ok(self.root.root().clone())
    }

    async fn fetch(&self, _item: &Item, _range: Range<u64>) -> Result<ByteStream> {
        Ok(blob::once(self.root.manifests[0].1.clone()))
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        Ok(vec![Presence::Unknown; items.len()])
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        one_page(async { Ok(NamePage::default()) })
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok((self.list)(subject))
    }
}

/// A referrer as a list has it.
fn listed(text: &str) -> Descriptor {
    Descriptor { artifact_type: Some(TYPE.into()), ..Descriptor::of(media_type::MANIFEST, text.as_bytes()) }
}

/// So many referrers of a manifest.
fn many(subject: &Descriptor, count: usize) -> Vec<Descriptor> {
    (0..count).map(|n| listed(&format!("{} {n}", subject.digest))).collect()
}

fn lacks(found: &Tree, words: &str) {
    let error = found.whole().unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn a_chain_ends_at_a_depth_which_is_said() {
    let store = Lists::new(|subject| many(subject, 1));
    let found = store.tree().await;
    assert_eq!((depth(&found.root), store.asked.into_inner()), (16, 17));
    lacks(&found, "1 manifest more: a tree has at most 16 levels");
    let short = Lists::new(
        |subject| if subject.digest == *digest(&Sample::of(&[b"root"])) { many(subject, 3) } else { vec![] },
    );
    let found = short.tree().await;
    assert_eq!((size(&found.root), found.lacks.len()), (4, 0));
}

#[tokio::test]
async fn a_flood_ends_at_a_number_which_is_said() {
    let root = digest(&Sample::of(&[b"root"])).clone();
    let wide = Lists::new(|subject| if subject.digest == root { many(subject, MAX_SIBLINGS + 234) } else { vec![] });
    let found = wide.tree().await;
    assert_eq!(found.root.referrers.len(), MAX_SIBLINGS);
    assert_eq!(found.root.notes, ["234 more: a tree has at most 1000 referrers or members of one manifest"]);
    lacks(&found, "234 manifests more");
    let everywhere = Lists::new(|subject| many(subject, 90));
    let found = everywhere.tree().await;
    assert_eq!(size(&found.root), MAX_NODES);
    let asked = everywhere.asked.into_inner();
    assert!(asked < 1 + 90 + 100, "{asked}: nobody asks about what does not fit");
    lacks(&found, "a tree has at most 10000 manifests");
    let heavy = Lists::new(|subject| {
        let text = "x".repeat(MAX_BYTES / 100);
        let heavy = |desc| Descriptor { annotations: [("a".to_owned(), text.clone())].into(), ..desc };
        many(subject, 60).into_iter().map(heavy).collect()
    });
    let found = heavy.tree().await;
    assert!(size(&found.root) <= 101, "{}", size(&found.root));
    lacks(&found, "a tree has at most 32 MiB");
}

#[tokio::test]
async fn a_circle_is_gone_around_once() {
    let (one, two, root) = (listed("one"), listed("two"), Sample::of(&[b"root"]).root().clone());
    let (first, second) = (one.clone(), two.clone());
    let circle = Lists::new(move |subject| match &subject.digest {
        digest if *digest == one.digest => vec![second.clone(), root.clone(), one.clone()],
        digest if *digest == second.digest => vec![one.clone()],
        _ => vec![first.clone(), root.clone()],
    });
    let found = circle.tree().await;
    assert_eq!(circle.asked.into_inner(), 3);
    found.whole().unwrap();
    let [one, root] = found.root.referrers.as_slice() else { panic!("{found:?}") };
    assert!(root.repeated && root.referrers.is_empty() && !one.repeated);
    let repeated: Vec<bool> = one.referrers.iter().map(|node| node.repeated).collect();
    assert_eq!((repeated, digests(&one.referrers)[0]), (vec![false, true, true], &two.digest));
}

/// As registries do that know no artifact types: the manifest says what the list does not.
#[tokio::test(start_paused = true)]
async fn what_a_list_does_not_tell_is_read_from_the_manifest() {
    let subject = Sample::of(&[b"subject"]);
    let world = Faulty::new("");
    let store: Arc<dyn Store> = world.store().await;
    deliver(&store, &subject, &["v1"]).await.unwrap();
    let note = Sample::about(subject.root(), b"note");
    deliver(&store, &note, &[]).await.unwrap();
    let silent = Silent(Arc::clone(&store), note.root().bare());
    let found = tree(&silent, &named("v1")).await.unwrap();
    let [shown] = found.root.referrers.as_slice() else { panic!("{found:?}") };
    assert_eq!(shown.artifact_type.as_deref(), Some(TYPE));
    assert_eq!(shown.annotations["org.example.note"], "sample");
    found.whole().unwrap();
    // One that is listed and not there is told.
    let gone = Silent(store, Descriptor::of(media_type::MANIFEST, b"gone"));
    let found = tree(&gone, &named("v1")).await.unwrap();
    let error = found.whole().unwrap_err();
    assert_eq!((error.kind(), found.root.referrers[0].notes.len()), (Kind::Invalid, 1));
    assert!(error.to_string().contains(&Digest::of(b"gone").to_string()), "{error}");
}

/// A store whose list of referrers has only this one, with nothing but its digest.
struct Silent(Arc<dyn Store>, Descriptor);

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ReadStore for Silent {
    async fn resolve(&self, name: &Name) -> Result<Descriptor> {
        self.0.resolve(name).await
    }

    async fn fetch(&self, item: &Item, range: Range<u64>) -> Result<ByteStream> {
        self.0.fetch(item, range).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<Presence>> {
        self.0.has(items).await
    }

    fn names(&self) -> BoxStream<'_, Result<NamePage>> {
        self.0.names()
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        Ok(if subject.digest == self.1.digest { vec![] } else { vec![self.1.clone()] })
    }
}
