//! An `index.json` that is itself the index of an image for several platforms, as `crane` and Cloud Native Buildpacks
//! write it (image-spec image-layout.md: "index.json" is an image index).

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{IndexFile, entry::Entry};
use crate::{
    error::Result,
    oci::{Descriptor, Digest, Parsed, media_type},
};

/// The annotation under which containerd and Docker keep a whole reference.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Most platforms of one image.
const MAX_PLATFORMS: usize = 1000;

impl IndexFile {
    /// This file as an index, with its bytes as they stand, if it can be nothing else: several manifests without a
    /// name, each for another platform. Two for the same platform may be two images, as skopeo lists them, which gives
    /// every image the platform of the machine that it ran on.
    pub(in crate::stores) fn whole(&self) -> Option<(&Descriptor, &Bytes)> {
        self.whole.as_ref().filter(|_| !self.changed).map(|whole| (&whole.0, &whole.1))
    }

    /// The bytes of this file, if it is the index with this digest.
    pub(in crate::stores) fn whole_as(&self, digest: &Digest) -> Option<Bytes> {
        self.whole().filter(|(desc, _)| desc.digest == *digest).map(|(_, bytes)| bytes.clone())
    }

    /// All entries, and this file itself, if it is an index.
    pub(in crate::stores) fn artifacts(&self) -> impl Iterator<Item = Descriptor> {
        self.entries().chain(self.whole().map(|(desc, _)| desc.clone()))
    }

    /// If this file is an index, a list of that index instead, to which a writer can add: the bytes of this file must
    /// then be stored as content.
    pub(in crate::stores) fn settled(&self) -> Result<Option<Self>> {
        let Some((desc, _)) = self.whole() else { return Ok(None) };
        let mut settled = Self::empty()?;
        settled.list([desc])?;
        Ok(Some(Self { changed: false, ..settled }))
    }

    pub(super) fn find_whole(&self, bytes: &Bytes) -> Option<Box<(Descriptor, Bytes)>> {
        if !self.is_one_image() {
            return None;
        }
        let media_type = Parsed::sniff(bytes).ok().filter(|own| media_type::is_index(own))?;
        Parsed::read(&media_type, bytes).ok()?;
        Some(Box::new((Descriptor::of(media_type, bytes), bytes.clone())))
    }

    fn is_one_image(&self) -> bool {
        let mut platforms = BTreeSet::new();
        (2..=MAX_PLATFORMS).contains(&self.entries.len())
            && self.entries.iter().all(|entry| entry.is_part_of_an_image(&mut platforms))
            && !platforms.is_empty()
    }
}

impl Entry {
    /// True for a manifest without a name, for a platform that is not among these yet, or about one of the others.
    fn is_part_of_an_image(&self, platforms: &mut BTreeSet<String>) -> bool {
        if self.near_miss || self.name().is_some() {
            return false;
        }
        let Some(desc) = self.desc().filter(|desc| media_type::points(&desc.media_type)) else { return false };
        let own = desc.platform.as_ref().filter(|own| !own.os.is_empty() && !own.architecture.is_empty());
        let Some(own) = own.filter(|_| !desc.annotations.contains_key(CONTAINERD_NAME)) else { return false };
        desc.is_attestation() || platforms.insert(format!("{own} {}", own.os_features.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Index, Platform, annotation};

    fn entry(text: &str, platform: Option<&str>) -> Descriptor {
        let platform = platform.map(|text| Box::new(text.parse::<Platform>().unwrap()));
        Descriptor { platform, ..Descriptor::of(media_type::MANIFEST, text.as_bytes()) }
    }

    fn with(desc: Descriptor, key: &str, value: &str) -> Descriptor {
        Descriptor { annotations: [(key.to_owned(), value.to_owned())].into(), ..desc }
    }

    fn whole(entries: &[Descriptor]) -> Option<Descriptor> {
        let bytes = serde_json::to_vec(&Index::of(entries.to_vec())).unwrap();
        let index = IndexFile::read(bytes.clone()).unwrap();
        index.whole().map(|(desc, kept)| {
            assert_eq!(*kept, bytes);
            desc.clone()
        })
    }

    #[test]
    fn a_list_of_unnamed_platforms_is_the_index_that_its_bytes_are() {
        let both = [entry("1", Some("linux/amd64")), entry("2", Some("linux/arm64"))];
        let bytes = serde_json::to_vec(&Index::of(both.to_vec())).unwrap();
        assert_eq!(whole(&both), Some(Descriptor::of(media_type::INDEX, &bytes)));
        let about = with(entry("3", Some("unknown/unknown")), "vnd.docker.reference.type", "attestation-manifest");
        let other = with(entry("4", Some("unknown/unknown")), "vnd.docker.reference.type", "attestation-manifest");
        assert!(whole(&[both.to_vec(), vec![about.clone(), other.clone()]].concat()).is_some());
        assert!(whole(&[about, other]).is_none(), "attestations of nothing");
    }

    #[test]
    fn a_list_that_may_be_several_artifacts_is_no_index() {
        let [amd, arm] = [entry("1", Some("linux/amd64")), entry("2", Some("linux/arm64"))];
        for (entries, why) in [
            (vec![amd.clone()], "one entry"),
            (vec![amd.clone(), entry("2", None)], "no platform"),
            (vec![amd.clone(), entry("2", Some("linux/amd64"))], "two images for one platform"),
            (vec![amd.clone(), with(arm.clone(), annotation::REF_NAME, "v1")], "a name"),
            (vec![amd.clone(), with(arm.clone(), CONTAINERD_NAME, "docker.io/library/x:v1")], "a name of containerd's"),
            (vec![amd.clone(), with(arm.clone(), "org.opencontainers.image.ref.nane", "v1")], "a damaged name"),
            (vec![amd, Descriptor { media_type: "application/xml".into(), ..arm }], "no manifest"),
        ] {
            assert_eq!(whole(&entries), None, "{why}");
        }
    }

    #[test]
    fn a_list_that_was_changed_is_no_longer_the_index_that_it_was() {
        let both = [entry("1", Some("linux/amd64")), entry("2", Some("linux/arm64"))];
        let mut index = IndexFile::read(serde_json::to_vec(&Index::of(both.to_vec())).unwrap()).unwrap();
        index.list([&entry("3", None)]).unwrap();
        assert_eq!(index.whole(), None);
    }
}
