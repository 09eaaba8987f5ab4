//! The walk from the list of a store through all manifests to all content.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::de::IgnoredAny;

use super::{Finding, Rules, What, finding_of, held};
use crate::{
    error::{Error, Kind, Result},
    oci::{Annotations, Descriptor, Digest, MAX_MANIFEST, Parsed, Platforms, Role, annotation, exact_keys, media_type},
    store::{self, Flaw, FlawKind, Inventory, Item, Name, ReadStore},
};

/// Limit of manifests and blobs in one check, enough for a large mirror.
const MAX_NODES: usize = 10_000_000;

/// The state of the walk.
pub(super) struct CheckWalk<'a> {
    store: &'a Arc<dyn ReadStore>,
    rules: Option<&'a dyn Rules>,
    findings: Vec<Finding>,
    /// Content by digest and role: its descriptor, and the place that refers to it.
    met: BTreeMap<(Digest, Role), (Descriptor, String)>,
    /// Content that was read and verified.
    done: HashSet<(Digest, Role)>,
    /// Members of indexes that were left out on purpose, and that nothing else needs.
    left_out: HashSet<Digest>,
    /// Those of them that are not in the store.
    absent: HashSet<Digest>,
    subjects: Vec<(Digest, Digest)>,
    /// The identity of listed manifests by their own content.
    said: BTreeMap<Digest, Option<Said>>,
}

/// The identity of a document by its own content.
struct Said {
    media_type: Option<String>,
    artifact_type: Option<String>,
    /// The annotations of a document with a subject.
    annotations: Option<Annotations>,
}

impl Said {
    fn of(bytes: &[u8], parsed: &Parsed) -> Self {
        /// The keys that identify a manifest without a media type.
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            media_type: Option<String>,
            schema_version: Option<u32>,
            config: Option<IgnoredAny>,
            layers: Option<IgnoredAny>,
            manifests: Option<IgnoredAny>,
        }
        let media_type = exact_keys::from_slice(bytes).ok().and_then(|document: Document| match document {
            Document { media_type: Some(own), .. } => Some(own),
            Document { schema_version: Some(2), config: Some(_), layers: Some(_), .. } => {
                Some(media_type::MANIFEST.into())
            }
            Document { schema_version: Some(2), manifests: Some(_), .. } => Some(media_type::INDEX.into()),
            _ => None,
        });
        Self {
            media_type,
            artifact_type: parsed.artifact_type().map(Into::into),
            annotations: parsed.subject().map(|_| parsed.annotations().clone()),
        }
    }

    /// The contradictions between an entry of the list and this document.
    fn doubts(&self, entry: &Descriptor) -> Vec<(What, String)> {
        let mut doubts = Vec::new();
        let own = self.media_type.as_ref().filter(|own| **own != entry.media_type);
        // Already parsed successfully by the entry's type.
        if let Some(own) = own.filter(|_| !media_type::points(&entry.media_type)) {
            let message = format!("is listed as `{:.128}` but is a `{own:.128}`", entry.media_type);
            doubts.push((What::WrongList, message));
        }
        if let Some(listed) = entry.artifact_type.as_ref().filter(|listed| self.artifact_type.as_ref() != Some(listed))
        {
            let message = format!("is listed with the artifact type `{listed:.128}`, which differs from its own");
            doubts.push((What::DoubtfulList, message));
        }
        let Some(own) = &self.annotations else { return doubts };
        let is_own =
            |(key, _): &(&String, &String)| ![annotation::REF_NAME, annotation::PLATFORMS].contains(&key.as_str());
        let mut listed = entry.annotations.iter().filter(is_own).peekable();
        if listed.peek().is_some() && !listed.eq(own.iter().filter(is_own)) {
            doubts.push((What::DoubtfulList, "is listed with annotations that differ from its own".into()));
        }
        doubts
    }
}

impl<'a> CheckWalk<'a> {
    pub(super) fn new(store: &'a Arc<dyn ReadStore>, rules: Option<&'a dyn Rules>) -> Self {
        Self {
            store,
            rules,
            findings: Vec::new(),
            met: BTreeMap::new(),
            done: HashSet::new(),
            left_out: HashSet::new(),
            absent: HashSet::new(),
            subjects: Vec::new(),
            said: BTreeMap::new(),
        }
    }

    fn find(&mut self, what: What, place: impl std::fmt::Display, message: impl Into<String>) {
        self.findings.push(Finding::new(what, place, message));
    }

    /// Adds findings for the flaws that a store reports about its list and file.
    pub(super) fn flaws(&mut self, flaws: &[Flaw]) {
        for Flaw { kind, place, message } in flaws {
            let what = match kind {
                FlawKind::Unreadable => What::UnreadableEntry,
                FlawKind::OneLetter => What::WrongList,
                FlawKind::Doubtful | FlawKind::NotATag => What::DoubtfulList,
                FlawKind::Unmarked => What::MissingMarker,
                FlawKind::Filling => What::DoubtfulArchive,
            };
            self.find(what, place, message);
        }
    }

    /// Follows all entries of a list.
    pub(super) async fn list(&mut self, entries: &[Descriptor]) -> Result<()> {
        self.said = entries.iter().map(|entry| (entry.digest.clone(), None)).collect();
        let mut names: BTreeMap<&str, &Digest> = BTreeMap::new();
        for entry in entries {
            let name = entry.annotations.get(annotation::REF_NAME).map(String::as_str);
            if let Some(name) = name
                && names.insert(name, &entry.digest).is_some_and(|other| *other != entry.digest)
            {
                self.find(What::DuplicateTag, name, "names two manifests");
            }
            let from = name.map_or_else(|| "the list".to_owned(), |name| format!("tag `{name}`"));
            let kept = entry.annotations.get(annotation::PLATFORMS).map(|text| text.as_str().into());
            self.data(entry, "the list");
            self.follow(entry.clone(), from, kept).await?;
        }
        let said = std::mem::take(&mut self.said);
        for entry in entries {
            for doubt in
                said.get(&entry.digest).iter().filter_map(|said| said.as_ref()).flat_map(|said| said.doubts(entry))
            {
                self.find(doubt.0, &entry.digest, doubt.1);
            }
        }
        Ok(())
    }

    /// Follows one tag or digest, and its referrers.
    pub(super) async fn tag(&mut self, tag: &Name) -> Result<()> {
        match self.store.resolve(tag).await {
            Ok(desc) => {
                for referrer in self.store.referrers(&desc).await? {
                    self.follow(referrer, format!("the referrers of {}", desc.digest), None).await?;
                }
                let kept = self.store.kept_platforms(&desc).await?;
                self.follow(desc, format!("tag `{tag}`"), kept).await?;
            }
            Err(e) => self.find(finding_of(e.kind(), What::MalformedManifest)?, tag, e.to_string()),
        }
        Ok(())
    }

    /// Reads a manifest and all its content; for an index of which members were left out, with the platforms that were
    /// not.
    async fn follow(&mut self, desc: Descriptor, from: String, kept: Option<Platforms>) -> Result<()> {
        let root = desc.digest.clone();
        let mut next = vec![(Role::Manifest, desc, from, false)];
        while let Some((role, desc, from, left_out)) = next.pop() {
            if !self.meet(role, &desc, from.clone(), left_out)? || role == Role::Blob {
                continue;
            }
            if let Some(parsed) = self.read(&desc, &from).await? {
                let from = format!("manifest {}", desc.digest);
                let children = parsed.children();
                let members: Vec<&Descriptor> = children.iter().map(|(_, child)| *child).collect();
                let kept = match kept.as_ref().filter(|_| desc.digest == root) {
                    Some(platforms) => platforms.keeps(&members),
                    None => vec![true; members.len()],
                };
                let all = children.into_iter().zip(kept).rev();
                next.extend(all.map(|((role, child), kept)| (role, child.clone(), from.clone(), !kept)));
            }
        }
        Ok(())
    }

    /// Records content in a role; `false` if it is already known in this role. What was left out of one index may be needed
    /// elsewhere.
    fn meet(&mut self, role: Role, desc: &Descriptor, from: String, left_out: bool) -> Result<bool> {
        for known in [Role::Blob, Role::Manifest].map(|role| (desc.digest.clone(), role)) {
            if let Some((known, by)) = self.met.get(&known).filter(|(known, _)| known.size != desc.size) {
                let message = format!("{by} gives {} bytes and {from} gives {}", known.size, desc.size);
                self.find(What::WrongSize, &desc.digest, message);
                break;
            }
        }
        let key = (desc.digest.clone(), role);
        let known = self.met.contains_key(&key);
        match left_out {
            true if !known => drop(self.left_out.insert(desc.digest.clone())),
            true => {}
            false => drop(self.left_out.remove(&desc.digest)),
        }
        if known {
            return Ok(false);
        }
        if self.met.len() >= MAX_NODES {
            return Err(Error::limit(format!("more than {MAX_NODES} manifests and blobs")));
        }
        self.met.insert(key, (desc.clone(), from));
        Ok(true)
    }

    /// Reads a manifest; `None` after a finding about it.
    async fn read(&mut self, desc: &Descriptor, from: &str) -> Result<Option<Parsed>> {
        let bytes = match store::read_manifest(self.store.as_ref(), desc).await {
            Ok(bytes) => bytes,
            Err(e) => {
                let what = finding_of(e.kind(), What::MalformedManifest)?;
                if what != What::Missing {
                    self.find(what, &desc.digest, format!("{from} refers to it: {e}"));
                    self.done.insert((desc.digest.clone(), Role::Manifest));
                } else if self.left_out.contains(&desc.digest) {
                    self.absent.insert(desc.digest.clone());
                }
                return Ok(None);
            }
        };
        self.done.insert((desc.digest.clone(), Role::Manifest));
        match Parsed::read(&desc.media_type, &bytes) {
            Ok(parsed) => {
                let descriptors = parsed.children().into_iter().map(|(_, child)| child).chain(parsed.subject());
                descriptors.for_each(|child| self.data(child, &format!("manifest {}", desc.digest)));
                if let Some(said) = self.said.get_mut(&desc.digest) {
                    *said = Some(Said::of(&bytes, &parsed));
                }
                for broken in self.broken(desc, &parsed).await? {
                    self.find(What::TypeRule, &desc.digest, broken);
                }
                let subject = parsed.subject().map(|subject| (desc.digest.clone(), subject.digest.clone()));
                self.subjects.extend(subject);
                Ok(Some(parsed))
            }
            Err(e) => {
                self.find(What::MalformedManifest, &desc.digest, e.to_string());
                Ok(None)
            }
        }
    }

    /// Compares the content in a descriptor: some readers take it, and fetch nothing.
    fn data(&mut self, desc: &Descriptor, from: &str) {
        if let Some(flaw) = desc.data_flaw() {
            self.find(What::WrongData, &desc.digest, format!("{from} has other content for it in `data`: {flaw}"));
        }
    }

    /// The rules of artifact types that a manifest breaks.
    async fn broken(&mut self, desc: &Descriptor, parsed: &Parsed) -> Result<Vec<String>> {
        let Some(rules) = self.rules else { return Ok(Vec::new()) };
        let (Parsed::Manifest(manifest), Some(limit)) = (parsed, rules.reads_config(parsed)) else {
            return Ok(rules.broken(desc, parsed, &[]));
        };
        match store::read(self.store.as_ref(), &Item::blob(manifest.config.clone()), limit).await {
            Ok(config) => {
                self.done.insert((manifest.config.digest.clone(), Role::Blob));
                Ok(rules.broken(desc, parsed, &config))
            }
            Err(e) if e.kind() == Kind::Limit => Ok(vec![e.to_string()]),
            // Defects of the config itself are found when it is checked as content.
            Err(e) => finding_of(e.kind(), What::Unreadable).map(|_| Vec::new()),
        }
    }

    /// Compares with the inventory: unreferenced content, and files that are not content.
    pub(super) async fn compare(&mut self, inventory: &Inventory) -> Result<()> {
        for (manifest, subject) in std::mem::take(&mut self.subjects) {
            if !inventory.blobs.contains_key(&subject) {
                self.find(What::AbsentSubject, manifest, format!("has the subject {subject}, which is not here"));
            }
        }
        for (digest, size) in &inventory.blobs {
            if !self.is_met(digest) {
                self.unreferenced(digest, *size).await?;
            }
        }
        for path in &inventory.leftovers {
            self.find(What::Leftover, path, "an unfinished file of a running or crashed writer");
        }
        for path in &inventory.strays {
            self.find(What::Stray, path, "is not part of the format");
        }
        Ok(())
    }

    async fn unreferenced(&mut self, digest: &Digest, size: u64) -> Result<()> {
        if size <= 2 * MAX_MANIFEST
            && let Ok(desc) = self.store.resolve(&digest.clone().into()).await
            && let Ok(bytes) = store::read_manifest(self.store.as_ref(), &desc).await
            && let Ok(parsed) = Parsed::read(&desc.media_type, &bytes)
            && let Some(subject) = parsed.subject()
        {
            let message = format!("has the subject {} but is not listed", subject.digest);
            self.find(What::UnlistedReferrer, digest, message);
            return Ok(());
        }
        self.find(What::Unreferenced, digest, format!("no listed manifest refers to it; {size} bytes"));
        Ok(())
    }

    fn is_met(&self, digest: &Digest) -> bool {
        [Role::Blob, Role::Manifest].into_iter().any(|role| self.met.contains_key(&(digest.clone(), role)))
    }

    /// The content still to hash, and the findings.
    pub(super) fn finish(mut self, inventory: Option<&Inventory>) -> (Vec<Item>, Vec<Finding>) {
        let mut content = Vec::new();
        for ((digest, role), (desc, from)) in std::mem::take(&mut self.met) {
            let size = inventory.map(|inventory| held(inventory, &digest));
            match size {
                _ if self.done.contains(&(digest.clone(), role)) => {}
                _ if self.left_out.contains(&digest) && self.absent.contains(&digest) => {
                    let platform =
                        desc.platform.as_ref().map_or_else(String::new, |own| format!(" `{:.128}`", own.to_string()));
                    let message = format!("{from} refers to it; its platform{platform} was left out of the copy");
                    self.find(What::LeftOut, &digest, message);
                }
                Some(None) if desc.is_elsewhere() => {
                    self.find(What::AbsentLayer, &digest, format!("is not here; {from} refers to it"));
                }
                Some(None) => self.find(What::Missing, &digest, format!("is missing; {from} refers to it")),
                Some(Some(size)) if size != desc.size => {
                    let message = format!("{from} gives {} bytes; {size} are here", desc.size);
                    self.find(What::WrongSize, &digest, message);
                }
                // Content in a single role was hashed when it was read as a manifest.
                Some(Some(_)) if self.done.contains(&(digest.clone(), Role::Manifest)) => {}
                _ => content.push(Item { desc: desc.bare(), role }),
            }
            self.done.insert((digest, role));
        }
        for (digest, size) in inventory.iter().flat_map(|inventory| &inventory.blobs) {
            let known = |role| self.done.contains(&(digest.clone(), role));
            if !known(Role::Blob) && !known(Role::Manifest) {
                content.push(Item::blob(Descriptor::new(media_type::OCTET_STREAM, digest.clone(), *size)));
            }
        }
        (content, self.findings)
    }
}
