//! Shared code of layouts and archives: manifests are listed in an `index.json`, and subjects found by reading them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use super::index::{IndexFile, name};
use crate::{
    error::{Code, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed, RefName, Tag, exact_keys, media_type},
    store::{Flaw, FlawKind, Name, NameChange},
};

/// The marker file of a layout (image-spec image-layout.md).
pub(crate) const MARKER: &str = "oci-layout";
/// The list of manifests.
pub(crate) const INDEX: &str = "index.json";
/// The list in an archive of `docker save`.
pub(super) const DOCKER_INDEX: &str = "manifest.json";
/// The directory of content, by algorithm and digest.
pub(crate) const BLOBS: &str = "blobs";
/// The content of the marker; there is only one version of layouts.
pub(crate) const MARKER_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The marker is a few dozen bytes; extra fields are allowed.
pub(super) const MAX_MARKER: u64 = 64 << 10;

/// `blobs/sha256/…`: safe as a path, since a digest is parsed.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Errors: kind `Mismatch` unless the stored content has the described size. Bytes beyond it would never be read, so
/// nobody would notice them.
pub(super) fn same_size(desc: &Descriptor, size: u64, place: &dyn Display) -> Result<()> {
    if desc.size == size {
        return Ok(());
    }
    Err(Error::mismatch(format!("{} has {size} bytes in {place}, not {}", desc.digest, desc.size)))
}

/// Errors: not the content of an `oci-layout` of version 1.0.0.
pub(super) fn check_marker(bytes: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let marker: Marker =
        exact_keys::from_slice(bytes).map_err(|e| Error::caused(Kind::Invalid, "malformed `oci-layout`", e))?;
    if marker.image_layout_version != "1.0.0" {
        let version = marker.image_layout_version;
        return Err(Error::unsupported(format!("OCI layout version `{version:.40}` is not supported")));
    }
    Ok(())
}

/// The flaw of a store without a marker, as Hauler writes it.
pub(super) fn unmarked_flaw() -> Flaw {
    Flaw {
        kind: FlawKind::Unmarked,
        place: MARKER.into(),
        message: "is missing; other tools may refuse the store".into(),
    }
}

/// Most manifests that are found without being listed.
const MAX_UNLISTED: usize = 1000;

/// The subject of a manifest, and its descriptor among the referrers.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) subject: Digest,
    pub(super) shown: Descriptor,
}

impl About {
    pub(super) fn without_annotations(self) -> Self {
        Self { shown: Descriptor { annotations: BTreeMap::new(), ..self.shown }, ..self }
    }
}

/// A source of manifests, on a thread that may block.
pub(super) trait Manifests {
    /// Reads and verifies a manifest. Errors: kind `NotFound`; `Limit` beyond 8 MiB; `Mismatch`.
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>>;

    /// The error for a missing item.
    fn missing(&self, what: std::fmt::Arguments<'_>) -> Error;

    /// The subject of a manifest; `None` if it has none, is not a manifest, or does not exist.
    fn about(&self, desc: &Descriptor) -> Result<Option<About>> {
        let bytes = match self.manifest(&desc.digest) {
            // Content too large for a manifest is not a manifest.
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Limit) => return Ok(None),
            other => other?,
        };
        let Ok(parsed) = Parsed::read(&desc.media_type, &bytes) else { return Ok(None) };
        let Some(subject) = parsed.subject().map(|subject| subject.digest.clone()) else { return Ok(None) };
        let size = bytes.len() as u64;
        let listed = parsed.listed(desc);
        // Longer than any media type, it is none, and would be remembered as long as the manifest.
        let artifact_type = listed.artifact_type.clone().filter(|given| given.len() <= media_type::MAX_LEN);
        let shown = Descriptor { annotations: parsed.annotations().clone(), size, artifact_type, ..listed };
        Ok(Some(About { subject, shown }))
    }

    /// An unlisted manifest, described from its own content. Errors: kind `NotFound` if there is no such content or it
    /// is not a manifest.
    fn sniff(&self, digest: &Digest) -> Result<Descriptor> {
        let bytes = match self.manifest(digest) {
            Err(e) if e.kind() == Kind::Limit => return Err(self.missing(format_args!("a manifest {digest}"))),
            other => other?,
        };
        let media_type = Parsed::sniff(&bytes).ok().filter(|own| media_type::points(own));
        match media_type.filter(|own| Parsed::read(own, &bytes).is_ok()) {
            Some(media_type) => Ok(Descriptor::new(media_type, digest.clone(), bytes.len() as u64)),
            None => Err(self.missing(format_args!("a manifest {digest}"))),
        }
    }

    /// The manifest that a name in `place` stands for.
    fn resolve(&self, index: &IndexFile, name: &Name, place: &dyn Display) -> Result<Descriptor> {
        match name {
            Name::Digest(digest) => {
                let mut of_digest = index.entries_with(|listed| listed == digest);
                let listed = of_digest.find(|desc| media_type::points(&desc.media_type));
                let whole = index.whole().map(|(desc, _)| desc).filter(|desc| desc.digest == *digest);
                match listed.as_ref().or(whole) {
                    Some(found) => Ok(found.bare()),
                    None => self.sniff(digest),
                }
            }
            Name::Ref(name) => {
                let found = index.named(name)?.map(|desc| desc.bare());
                found.ok_or_else(|| self.missing(format_args!("`{name}`")))
            }
            // The store looks for the prefix among all content.
            Name::Prefix(prefix) => Err(self.missing(format_args!("`{prefix}`"))),
            Name::Only => match index.whole() {
                Some((desc, _)) => Ok(desc.clone()),
                None => only(self.unrelated(index)?, place),
            },
        }
    }

    /// The entries of manifests without a subject. Signatures under a tag of cosign's count only where nothing else is.
    fn unrelated(&self, index: &IndexFile) -> Result<Vec<Descriptor>> {
        let mut unrelated = Vec::new();
        for desc in index.entries() {
            if self.about(&desc)?.is_none() {
                unrelated.push(desc);
            }
        }
        let (companions, others): (Vec<_>, Vec<_>) = unrelated.into_iter().partition(is_companion);
        Ok(if others.is_empty() { companions } else { others })
    }

    /// See [`ReadStore::unnamed`](crate::store::ReadStore::unnamed). A damaged manifest is listed as well.
    fn unnamed(&self, index: &IndexFile) -> Result<Vec<Descriptor>> {
        if let Some((desc, _)) = index.whole() {
            return Ok(vec![desc.clone()]);
        }
        let mut known: BTreeSet<Digest> =
            index.entries().filter(|desc| name(desc).is_some()).map(|desc| desc.digest).collect();
        let mut found = Vec::new();
        for desc in index.entries().filter(|desc| media_type::points(&desc.media_type)) {
            let is_about = || match self.about(&desc) {
                Err(e) if e.kind() == Kind::Mismatch => Ok(false),
                other => other.map(|about| about.is_some()),
            };
            if known.insert(desc.digest.clone()) && !is_about()? {
                found.push(desc);
            }
        }
        Ok(found)
    }

    /// Like [`Manifests::about`], but `shown` has no annotations.
    fn about_in_brief(&self, desc: &Descriptor) -> Result<Option<About>> {
        Ok(self.about(desc)?.map(About::without_annotations))
    }

    /// Manifests that may have this subject: listed ones, as oras keeps them, and those in an index under the fallback
    /// tag of distribution-spec ("Referrers Tag Schema"), as regctl keeps them; in order of their digests.
    fn candidates(&self, index: &IndexFile, subject: &Digest) -> Result<BTreeMap<Digest, Descriptor>> {
        let other = |digest: &Digest| !self.is_known_to_lack(digest, subject);
        let mut found: BTreeMap<_, _> =
            index.entries_with(other).map(|desc| (desc.digest.clone(), desc.bare())).collect();
        if let Ok(Some(fallback)) = index.named(&Tag::of_referrers(subject))
            && media_type::is_index(&fallback.media_type)
        {
            let bytes = self.manifest(&fallback.digest)?;
            let parsed = Parsed::read(&fallback.media_type, &bytes)?;
            for (_, child) in parsed.children() {
                found.entry(child.digest.clone()).or_insert_with(|| child.bare());
            }
        }
        Ok(found)
    }

    /// True if it is known without a look that a manifest has another subject or none.
    fn is_known_to_lack(&self, _digest: &Digest, _subject: &Digest) -> bool {
        false
    }

    /// The manifests with this subject, without annotations unless they are wanted.
    ///
    /// Errors: an entry whose manifest is damaged, which may be a signature that somebody wants to hide. One that is
    /// malformed is no manifest, and refers to nothing.
    fn referrers(&self, index: &IndexFile, subject: &Digest, annotations: bool) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for desc in self.candidates(index, subject)?.into_values() {
            let about = if annotations { self.about(&desc)? } else { self.about_in_brief(&desc)? };
            found.extend(about.filter(|about| about.subject == *subject).map(|about| about.shown));
        }
        Ok(found)
    }

    /// The manifests with a subject among this content, for a list that lacks them. What cannot be read is none.
    fn unlisted_referrers(&self, mut blobs: Vec<Digest>) -> Vec<Descriptor> {
        blobs.sort_unstable();
        let about = |digest: &Digest| self.sniff(digest).and_then(|desc| self.about(&desc)).ok().flatten();
        blobs.iter().filter_map(about).map(|about| about.shown).take(MAX_UNLISTED).collect()
    }

    /// Lists names and unnamed manifests. A manifest that lost its name stays listed, since nothing else leads to it;
    /// for a name in `replaces`, only if it has a subject.
    fn list(
        &self,
        index: &mut IndexFile,
        names: &BTreeMap<RefName, Descriptor>,
        replaces: &BTreeSet<&str>,
        untagged: &BTreeMap<Digest, Descriptor>,
    ) -> Result<()> {
        // First, so that a name goes to the entry that also gives the artifact type.
        index.list(untagged.values())?;
        let displaced = index.tag(names)?;
        let stays = |desc: &&Descriptor| {
            let replaced = name(desc).is_some_and(|name| replaces.contains(name));
            !replaced || self.about(desc).is_ok_and(|about| about.is_some())
        };
        index.list(displaced.iter().filter(stays))
    }
}

/// True if this is an entry under a tag of cosign's.
fn is_companion(desc: &Descriptor) -> bool {
    name(desc).and_then(|name| name.parse().ok()).is_some_and(|name: RefName| name.subject_of_companion().is_some())
}

/// Most manifests that an error names.
const SHOWN: usize = 10;

/// The only one of these manifests. `place` is their store, for messages.
///
/// Errors: kind `NotFound` if there is none, `Ambiguous` if there are several.
pub(super) fn only(manifests: Vec<Descriptor>, place: &dyn Display) -> Result<Descriptor> {
    let mut known = BTreeSet::new();
    let different: Vec<&Descriptor> = manifests.iter().filter(|desc| known.insert(&desc.digest)).collect();
    match different.as_slice() {
        [] => Err(Error::not_found(format!("{place} has no artifacts")).with_code(Code::NoTags)),
        [only] => Ok(only.bare()),
        many => {
            let message = format!("{place} has {} artifacts: {}", many.len(), choices(many));
            Err(Error::new(Kind::Ambiguous, message).with_code(Code::NoTags))
        }
    }
}

/// Manifests to choose from, by digest, with name and platform where they have one.
fn choices(manifests: &[&Descriptor]) -> String {
    let shown = manifests.iter().take(SHOWN).map(|desc| {
        let named = name(desc).map(|name| format!("`{name:.128}`"));
        let facts: Vec<String> = named.into_iter().chain(desc.platform.as_ref().map(ToString::to_string)).collect();
        let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
        format!("@{}{facts}", desc.digest)
    });
    let more = match manifests.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

/// The names whose previous manifests are unlisted.
pub(super) fn replaces(changes: &[NameChange]) -> BTreeSet<&str> {
    changes.iter().filter(|change| change.replace).map(|change| change.name.as_str()).collect()
}
