//! Building a graph: level by level, each manifest read once, with its referrers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    BlobEntry, Entry, Graph, MAX_DEPTH, MAX_ENTRIES, MAX_MANIFEST_BYTES, Origins, Root, lacking::lacking, parts,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed, Platforms, RefName, Role, Tag, media_type},
    store::{self, Name, ReadStore},
};

/// How many manifests are fetched at a time.
const PARALLEL: usize = 8;
/// How many lists of referrers are fetched at a time.
const QUESTIONS: usize = 32;

/// See [`Graph::of`].
pub(super) async fn walk(stores: &[Arc<dyn ReadStore>], roots: Vec<Root>, referrers: bool) -> Result<Graph> {
    let mut walk = GraphWalk { stores, parts: parts(&roots), ..GraphWalk::default() };
    let mut level: Vec<(Descriptor, Origins)> = Vec::new();
    for root in &roots {
        let origins = walk.origins(&root.origins);
        walk.meet(Role::Manifest, &root.desc, &origins, &mut level)?;
        walk.also.entry(root.desc.digest.clone()).or_default().push(origins);
    }
    walk.also.retain(|_, origins| origins.iter().collect::<HashSet<_>>().len() > 1);
    let mut order: Vec<Digest> = Vec::new();
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        if depth > MAX_DEPTH {
            return Err(Error::limit(format!("manifests are nested more than {MAX_DEPTH} levels deep")));
        }
        let reading = level.into_iter().map(|(desc, origins)| async move {
            let digest = desc.digest.clone();
            read(stores, desc, origins).await.map_err(|e| (digest, e))
        });
        let mut reading = stream::iter(reading).buffered(PARALLEL);
        let (mut entries, mut next) = (Vec::new(), Vec::new());
        // One document at a time: parsed, it takes several times the memory of its bytes.
        loop {
            let (desc, bytes, origins) = match reading.try_next().await {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err((digest, e)) => return Err(walk.unread(&digest, e, depth).await),
            };
            let parsed = Parsed::read(&desc.media_type, &bytes).context(|| format!("manifest {}", desc.digest))?;
            entries.push(walk.enter(desc, bytes, origins, &parsed, &mut next)?);
        }
        if referrers {
            walk.meet_referrers(&entries, &mut next).await?;
            walk.meet_companions(&entries, &mut next).await?;
        }
        for entry in entries {
            order.push(entry.desc.digest.clone());
            walk.entries.insert(entry.desc.digest.clone(), entry);
        }
        level = next;
    }
    let GraphWalk { mut entries, blobs, companions, mut notes, refusal, refused, .. } = walk;
    notes.extend(refusal.map(|first| match refused.saturating_sub(1) {
        0 => first,
        more => format!("{first} (and {more} more such tags)"),
    }));
    let manifests = sorted(&order, &entries).iter().filter_map(|digest| entries.remove(digest)).collect();
    Ok(Graph { stores: stores.to_vec(), roots, companions, notes, manifests, blobs })
}

/// Size and roles of a digest, as described so far.
struct Met {
    size: u64,
    blob: bool,
    manifest: bool,
}

#[derive(Default)]
struct GraphWalk<'a> {
    stores: &'a [Arc<dyn ReadStore>],
    /// Indexes of which members are left out.
    parts: BTreeMap<Digest, Platforms>,
    entries: HashMap<Digest, Entry>,
    met: HashMap<Digest, Met>,
    items: usize,
    blobs: Vec<BlobEntry>,
    /// Media types and origins repeat: each is kept once.
    media_types: HashSet<Arc<str>>,
    all_origins: HashSet<Origins>,
    /// Manifests found from several roots, each with its own origins, whose referrers may differ.
    also: HashMap<Digest, Vec<Origins>>,
    /// Listed referrers, and the manifest for which each was listed.
    about: HashMap<Digest, Digest>,
    manifest_bytes: u64,
    companions: Vec<Root>,
    companion_tags: HashMap<Tag, Digest>,
    notes: Vec<String>,
    /// The first failed tag query, with the number of failures: a store that refuses one refuses all.
    refusal: Option<String>,
    refused: usize,
    /// The tags of a store, by its position, if it lists them in one answer.
    tags: HashMap<u16, Option<HashSet<RefName>>>,
}

impl GraphWalk<'_> {
    fn origins(&mut self, own: &[u16]) -> Origins {
        let all = (0..self.stores.len()).filter_map(|at| u16::try_from(at).ok());
        let origins: Origins = if own.is_empty() { all.collect() } else { own.into() };
        self.all_origins.get(&origins).cloned().unwrap_or_else(|| {
            self.all_origins.insert(Arc::clone(&origins));
            origins
        })
    }

    /// Adds a manifest and the content that it points to.
    fn enter(
        &mut self,
        desc: Descriptor,
        bytes: Bytes,
        origins: Origins,
        parsed: &Parsed,
        next: &mut Vec<(Descriptor, Origins)>,
    ) -> Result<Entry> {
        let all = parsed.children();
        let children = all.iter().filter(|(role, _)| *role == Role::Manifest).map(|(_, child)| child.digest.clone());
        let (children, subject): (Vec<_>, _) = (children.collect(), parsed.subject().map(|about| about.digest.clone()));
        let entry = Entry { desc: parsed.listed(&desc), bytes, subject, origins, children };
        self.check_subject(&entry)?;
        for (role, child) in self.kept(&entry.desc.digest, all) {
            self.meet(role, child, &entry.origins, next)?;
            if let Some(also) = self.also.get(&entry.desc.digest).filter(|_| role == Role::Manifest) {
                self.also.insert(child.digest.clone(), also.clone());
            }
        }
        Ok(entry)
    }

    /// The children of a manifest that are not left out.
    fn kept<'c>(&self, of: &Digest, all: Vec<(Role, &'c Descriptor)>) -> Vec<(Role, &'c Descriptor)> {
        let Some(platforms) = self.parts.get(of) else { return all };
        let members: Vec<&Descriptor> = all.iter().map(|(_, member)| *member).collect();
        all.into_iter().zip(platforms.keeps(&members)).filter(|(_, kept)| *kept).map(|(child, _)| child).collect()
    }

    /// The error for a manifest at this depth that cannot be read. One that another names and no store has is no request
    /// for what is not there, unless it is for a platform that was asked for.
    async fn unread(&self, digest: &Digest, error: Error, depth: usize) -> Error {
        if error.kind() != Kind::NotFound || depth == 0 {
            return error;
        }
        // Of several, always the same one.
        let parents = self.entries.values().filter(|entry| entry.children.contains(digest));
        let parent = parents.min_by_key(|entry| (self.parts.contains_key(&entry.desc.digest), &entry.desc.digest));
        let told = match parent {
            Some(index) => lacking(self.stores, index, self.parts.get(&index.desc.digest)).await,
            None => None,
        };
        told.unwrap_or_else(|| error.into_kind(Kind::Invalid))
    }

    /// Records content that something points to, once per role: a manifest to be read next, or a blob.
    fn meet(
        &mut self,
        role: Role,
        desc: &Descriptor,
        origins: &Origins,
        next: &mut Vec<(Descriptor, Origins)>,
    ) -> Result<()> {
        let met = self.met.entry(desc.digest.clone());
        let met = met.or_insert(Met { size: desc.size, blob: false, manifest: false });
        if met.size != desc.size {
            let message = format!("{} is described with two sizes, {} and {} bytes", desc.digest, met.size, desc.size);
            return Err(Error::mismatch(message));
        }
        let known = match role {
            Role::Blob => &mut met.blob,
            Role::Manifest => &mut met.manifest,
        };
        if std::mem::replace(known, true) {
            if role == Role::Manifest && media_type::points(&desc.media_type) {
                prefer(desc, next);
            }
            return Ok(());
        }
        self.items = self.items.saturating_add(1);
        if self.items > MAX_ENTRIES {
            return Err(Error::limit(format!("artifact has more than {MAX_ENTRIES} manifests and blobs")));
        }
        if role == Role::Blob {
            let media_type = self.media_type(&desc.media_type);
            let (digest, size, origins) = (desc.digest.clone(), desc.size, Arc::clone(origins));
            let title = desc.title().map(Into::into);
            let elsewhere = desc.is_elsewhere();
            self.blobs.push(BlobEntry { media_type, title, digest, size, origins, elsewhere });
            return Ok(());
        }
        self.manifest_bytes = self.manifest_bytes.saturating_add(desc.size);
        if self.manifest_bytes > MAX_MANIFEST_BYTES {
            return Err(Error::limit(format!("artifact has more than {MAX_MANIFEST_BYTES} bytes of manifests")));
        }
        next.push((desc.bare(), Arc::clone(origins)));
        Ok(())
    }

    fn media_type(&mut self, text: &str) -> Arc<str> {
        self.media_types.get(text).cloned().unwrap_or_else(|| {
            let kept: Arc<str> = text.into();
            self.media_types.insert(Arc::clone(&kept));
            kept
        })
    }

    /// Lists the referrers of manifests at their origins, many at a time.
    async fn meet_referrers(&mut self, entries: &[Entry], next: &mut Vec<(Descriptor, Origins)>) -> Result<()> {
        let ask = |(entry, origins, origin): (&Entry, Origins, Arc<dyn ReadStore>)| {
            let desc = entry.desc.clone();
            async move {
                let found =
                    origin.referrers(&desc).await.context(|| format!("list the referrers of {}", desc.digest))?;
                Ok::<_, Error>((desc.digest, origins, found))
            }
        };
        let places = entries.iter().flat_map(|entry| self.places(entry));
        let asking: Vec<_> = places.map(|(entry, origins, _, origin)| ask((entry, origins, origin))).collect();
        let found: Vec<(Digest, Origins, Vec<Descriptor>)> =
            stream::iter(asking).buffered(QUESTIONS).try_collect().await?;
        for (subject, origins, referrers) in found {
            for referrer in referrers {
                self.about.insert(referrer.digest.clone(), subject.clone());
                self.meet(Role::Manifest, &referrer, &origins, next)?;
            }
        }
        Ok(())
    }

    /// Looks for cosign tags at the origins of manifests: in the list of all tags if that is one answer, else one by
    /// one. Refused queries count as "none", with one note.
    async fn meet_companions(&mut self, entries: &[Entry], next: &mut Vec<(Descriptor, Origins)>) -> Result<()> {
        let mut asking = Vec::new();
        for (entry, origins, at, origin) in entries.iter().flat_map(|entry| self.places(entry)).collect::<Vec<_>>() {
            let tags = match self.tags.get(&at) {
                Some(tags) => tags,
                None => {
                    let listed = store::names_at_once(origin.as_ref()).await.map(HashSet::from_iter);
                    self.tags.entry(at).or_insert(listed)
                }
            };
            for tag in Tag::companions_of(&entry.desc.digest) {
                if tags.as_ref().is_none_or(|tags| tags.contains(&*tag)) {
                    let (origin, origins) = (Arc::clone(&origin), Arc::clone(&origins));
                    let name = Name::from(tag.clone());
                    asking.push(async move { (origin.resolve(&name).await, tag, origins, origin) });
                }
            }
        }
        let found: Vec<_> = stream::iter(asking).buffered(QUESTIONS).collect().await;
        for (found, tag, origins, origin) in found {
            match found {
                Ok(desc) => self.meet_companion(desc, &tag, origins, &origin, next)?,
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => {
                    self.refused = self.refused.saturating_add(1);
                    self.refusal.get_or_insert_with(|| format!("cannot tell whether tag `{tag}` exists: {e}"));
                }
            }
        }
        Ok(())
    }

    /// Records the manifest of an origin under a cosign tag. If two origins differ, the first counts, since the tag can
    /// stand for one manifest only.
    fn meet_companion(
        &mut self,
        desc: Descriptor,
        tag: &Tag,
        origins: Origins,
        origin: &Arc<dyn ReadStore>,
        next: &mut Vec<(Descriptor, Origins)>,
    ) -> Result<()> {
        match self.companion_tags.get(tag) {
            Some(known) if *known == desc.digest => Ok(()),
            Some(known) => {
                let theirs = &desc.digest;
                self.notes.push(format!(
                    "left out tag `{tag}` of {origin}: it stands for {theirs} there and for {known} elsewhere"
                ));
                Ok(())
            }
            None => {
                self.companion_tags.insert(tag.clone(), desc.digest.clone());
                self.meet(Role::Manifest, &desc, &origins, next)?;
                let (names, origins) = (vec![tag.clone().into()], origins.to_vec());
                self.companions.push(Root { origins, ..Root::new(desc, names) });
                Ok(())
            }
        }
    }

    /// Where to look for the referrers of a manifest: its farthest origin, with its position; several if it was found
    /// from several roots.
    fn places<'e>(&self, entry: &'e Entry) -> Vec<(&'e Entry, Origins, u16, Arc<dyn ReadStore>)> {
        let all = self.also.get(&entry.desc.digest).map_or(std::slice::from_ref(&entry.origins), Vec::as_slice);
        let mut known = HashSet::new();
        let farthest = |origins: &Origins| {
            let at = *origins.last()?;
            let store = self.stores.get(usize::from(at)).filter(|_| known.insert(at))?;
            Some((entry, Arc::clone(origins), at, Arc::clone(store)))
        };
        all.iter().filter_map(farthest).collect()
    }

    /// A listed referrer must have the right subject: otherwise unrelated content would be copied and shown as a
    /// referrer.
    fn check_subject(&self, entry: &Entry) -> Result<()> {
        let Some(listed) = self.about.get(&entry.desc.digest) else { return Ok(()) };
        if entry.subject.as_ref() == Some(listed) {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "{} is listed as a referrer of {listed}, but has another subject",
            entry.desc.digest
        )))
    }
}

/// If an index describes a manifest with two media types, prefers the known one.
fn prefer(desc: &Descriptor, next: &mut [(Descriptor, Origins)]) {
    let known = next.iter_mut().find(|(known, _)| known.digest == desc.digest);
    if let Some((known, _)) = known.filter(|(known, _)| !media_type::points(&known.media_type)) {
        known.media_type.clone_from(&desc.media_type);
    }
}

/// Reads a manifest from the first origin that has it. Errors: none has it; all failures are named.
async fn read(
    stores: &[Arc<dyn ReadStore>],
    desc: Descriptor,
    origins: Origins,
) -> Result<(Descriptor, Bytes, Origins)> {
    let mut failed: Option<Error> = None;
    for store in origins.iter().filter_map(|at| stores.get(usize::from(*at))) {
        let mut bytes = store::read_manifest(store.as_ref(), &desc).await;
        if bytes.as_ref().is_err_and(|e| e.kind() == Kind::Mismatch) {
            // A bit flipped in transit; wrong bytes at the origin will be wrong again.
            bytes = store::read_manifest(store.as_ref(), &desc).await;
        }
        match bytes {
            Ok(bytes) => return Ok((desc, bytes, origins)),
            // A nearer store that lacks the content has not failed.
            Err(e) => failed = Some(with_earlier(e, failed)),
        }
    }
    Err(failed.unwrap_or_else(|| Error::not_found(format!("no store has {}", desc.digest))))
}

/// The failure of the last origin, with those of nearer ones in front, except for "not found".
fn with_earlier(error: Error, earlier: Option<Error>) -> Error {
    match earlier {
        Some(earlier) if earlier.kind() != Kind::NotFound => error.context(format!("{earlier}; then")),
        _ => error,
    }
}

/// Children before parents and subjects before referrers: depth first, in the order of discovery. Not recursive: a
/// chain may be as long as the number of manifests.
fn sorted(order: &[Digest], entries: &HashMap<Digest, Entry>) -> Vec<Digest> {
    let (mut seen, mut out) = (HashSet::new(), Vec::new());
    for start in order {
        let mut stack = vec![Visit::Enter(start)];
        while let Some(step) = stack.pop() {
            match step {
                Visit::Leave(digest) => out.push(digest.clone()),
                Visit::Enter(digest) => {
                    let Some(entry) = entries.get(digest).filter(|_| seen.insert(digest)) else { continue };
                    stack.push(Visit::Leave(digest));
                    let below: Vec<_> = entry.children.iter().chain(&entry.subject).map(Visit::Enter).collect();
                    stack.extend(below.into_iter().rev());
                }
            }
        }
    }
    out
}

/// A step of the depth-first search: entering a manifest, and leaving it after all its children.
enum Visit<'a> {
    Enter(&'a Digest),
    Leave(&'a Digest),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type;

    fn desc(name: &str) -> Descriptor {
        Descriptor::of(media_type::INDEX, name.as_bytes())
    }

    fn entry(name: &str, below: &[&str], subject: Option<&str>) -> Entry {
        let children = below.iter().map(|child| desc(child).digest).collect();
        let subject = subject.map(|subject| desc(subject).digest);
        Entry { desc: desc(name), bytes: Bytes::new(), subject, origins: Arc::new([]), children }
    }

    fn graph(edges: &[(&str, &[&str])]) -> (Vec<Digest>, HashMap<Digest, Entry>) {
        let entries = edges.iter().map(|(name, below)| (desc(name).digest, entry(name, below, None)));
        (edges.iter().map(|(name, _)| desc(name).digest).collect(), entries.collect())
    }

    fn sequence(edges: &[(&str, &[&str])]) -> Vec<String> {
        let (order, nodes) = graph(edges);
        let name = |digest: &Digest| edges.iter().find(|(name, _)| desc(name).digest == *digest).unwrap().0.to_owned();
        sorted(&order, &nodes).iter().map(name).collect()
    }

    #[test]
    fn children_come_before_parents_and_each_once() {
        let edges: [(&str, &[&str]); 4] = [("root", &["a", "b"]), ("a", &["c"]), ("b", &["c", "a"]), ("c", &[])];
        assert_eq!(sequence(&edges), ["c", "a", "b", "root"]);
    }

    #[test]
    fn a_cycle_ends() {
        assert_eq!(sequence(&[("a", &["b"]), ("b", &["a"]), ("self", &["self"])]), ["b", "a", "self"]);
    }

    #[test]
    fn a_subject_comes_before_what_is_about_it() {
        let (mut order, mut nodes) = graph(&[("root", &[])]);
        order.insert(0, desc("about").digest);
        nodes.insert(desc("about").digest, entry("about", &[], Some("root")));
        assert_eq!(sorted(&order, &nodes), [desc("root").digest, desc("about").digest]);
    }

    #[test]
    fn a_chain_of_twenty_thousand_neighbours_needs_no_stack() {
        let names: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let mut nodes = HashMap::new();
        for (n, name) in names.iter().enumerate() {
            let below: Vec<&str> = names.get(n + 1).map(String::as_str).into_iter().collect();
            nodes.insert(desc(name).digest, entry(name, &below, None));
        }
        let order: Vec<Digest> = names.iter().map(|name| desc(name).digest).collect();
        let sorted = sorted(&order, &nodes);
        assert_eq!((sorted.len(), &sorted[0]), (20_000, &order[19_999]));
    }
}
