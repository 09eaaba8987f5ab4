//! Locations for reading: in place of a tag, they may have a range of versions, of which the newest is meant.

use std::{fmt, str::FromStr};

use super::{Context, Location, Opened, Place};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    oci::RefName,
    store::{NamePage, ReadStore},
    version::{Version, VersionRange},
};

/// Most versions that an error names.
const SHOWN: usize = 5;

/// A location of something that is read: `registry.example/app:1.4.0`, or with a range of versions,
/// `registry.example/app:^1.2`.
///
/// Only the parser of this type takes a range, so that no command writes to a name that was never given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLocation {
    /// The location. With a range, its tag is what stands before the range: a repository, in a layout whose names are
    /// whole references.
    pub location: Location,
    /// The range of versions, if one was given.
    pub range: Option<VersionRange>,
}

impl ReadLocation {
    /// Opens the store for reading. With a range, the location of the result has the tag that was found.
    ///
    /// Errors: as for [`Location::open`] and [`ReadLocation::exact_in`].
    pub async fn open(&self, context: &Context) -> Result<Opened> {
        let Opened { store, .. } = self.location.open(context).await?;
        Ok(Opened { location: self.exact_in(store.as_ref()).await?, store })
    }

    /// The location with the newest tag in the range; as it is without one. Of two tags for one version (`1.4.0`,
    /// `v1.4.0`), the first by its bytes counts. A tag that is called as the range is (`1.x`) counts as that tag.
    ///
    /// Errors: kind `NotFound`, with the newest versions that there are, if none is in the range; an unreadable part of
    /// the list, which may hide a newer one; a store that fails.
    pub async fn exact_in(&self, store: &dyn ReadStore) -> Result<Location> {
        let Some(range) = &self.range else { return Ok(self.location.clone()) };
        let before = self.location.tag.as_ref().map(|tag| format!("{tag}:")).unwrap_or_default();
        if range.could_be_a_tag()
            && let Ok(name) = format!("{before}{range}").parse::<RefName>()
        {
            // A registry that gives no list may well have the tag.
            match store.resolve(&name.clone().into()).await {
                Ok(_) => return Ok(self.at(&name)),
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let page = store.list_names().await?;
        let place = &self.location;
        page.check_complete(place).context(|| format!("cannot tell which tag of {place} is the newest"))?;
        let versions = newest_first(&page.names, &before);
        let found = versions.iter().find(|(version, _)| range.contains(version));
        found.map(|(_, name)| self.at(name)).ok_or_else(|| self.none_of(range, &versions, &page))
    }

    fn at(&self, name: &RefName) -> Location {
        Location { place: self.location.place.clone(), tag: Some(name.clone()), digest: None }
    }

    fn none_of(&self, range: &VersionRange, versions: &[(Version, &RefName)], page: &NamePage) -> Error {
        let place = &self.location;
        let newest: Vec<&str> = versions.iter().take(SHOWN).map(|(_, name)| name.as_str()).collect();
        let there = match newest.as_slice() {
            [] if page.names.is_empty() => "it has no tags".to_owned(),
            [] => "none of its tags is a version".to_owned(),
            [only] if versions.len() == 1 => format!("the only version is `{only}`"),
            all => format!("the newest are `{}`", all.join("`, `")),
        };
        let error = Error::not_found(format!("no tag of {place} is in the range {range}: {there}"));
        if page.names.is_empty() { error.with_code(Code::NoTags) } else { error }
    }
}

/// The names that are a version with this text before it, the newest first, and of one version sorted by bytes.
fn newest_first<'a>(names: &'a [RefName], before: &str) -> Vec<(Version, &'a RefName)> {
    let tag = |name: &'a RefName| name.strip_prefix(before).filter(|tag| !tag.contains(':'));
    let mut versions: Vec<_> = names.iter().filter_map(|name| Some((tag(name).and_then(Version::of)?, name))).collect();
    versions.sort_by(|(a, name), (b, other)| b.cmp(a).then_with(|| name.cmp(other)));
    versions
}

impl From<Location> for ReadLocation {
    fn from(location: Location) -> Self {
        Self { location, range: None }
    }
}

impl FromStr for ReadLocation {
    type Err = Error;

    /// Reads a location, or one whose tag is a range of versions.
    fn from_str(text: &str) -> Result<Self> {
        let Some((place, range)) = ranged(text) else { return text.parse().map(|location: Location| location.into()) };
        let range: VersionRange = range.parse()?;
        let location: Location = place.parse()?;
        let is_registry = matches!(location.place, Place::Registry { .. });
        if location.digest.is_some() || (is_registry && location.tag.is_some()) {
            let message = format!("`{text}` has a tag or digest, and a range of versions: give one of them");
            return Err(Error::misuse(message));
        }
        Ok(Self { location, range: Some(range) })
    }
}

impl fmt::Display for ReadLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)?;
        self.range.iter().try_for_each(|range| write!(f, ":{range}"))
    }
}

/// What stands before a range of versions, and the range; `None` for a text that ends in none.
fn ranged(text: &str) -> Option<(&str, &str)> {
    let (place, range) = text.rsplit_once(':')?;
    let is_scheme = matches!(place, "oci" | "oci-archive");
    (!is_scheme && VersionRange::is_meant_by(range)).then_some((place, range))
}

/// Errors (kind `Misuse`): the text ends in a range of versions, and in nothing that could be a tag.
pub(super) fn refuse_range(text: &str) -> Result<()> {
    match ranged(text) {
        Some((_, range)) if range.parse::<RefName>().is_err() => Err(Error::misuse(format!(
            "`{text}` ends in a range of versions, which stands for an artifact that is read: here, a tag is needed"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Kind,
        oci::Descriptor,
        store::{Item, set_name},
        stores::Memory,
    };

    async fn with_tags(tags: &[&str]) -> Memory {
        let store = Memory::new();
        let bytes = bytes::Bytes::from_static(
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        );
        let desc = Descriptor::of(crate::oci::media_type::INDEX, &bytes);
        let write = crate::store::begin(&store, crate::store::Intent::default()).await.unwrap();
        write.puts().item(&Item::manifest(desc.clone()), &bytes).await.unwrap();
        write.commit().await.unwrap();
        for tag in tags {
            set_name(&store, tag.parse().unwrap(), &desc).await.unwrap();
        }
        store
    }

    async fn found(store: &Memory, text: &str) -> Result<String> {
        Ok(text.parse::<ReadLocation>()?.exact_in(store).await?.to_string())
    }

    #[tokio::test]
    async fn the_newest_tag_in_the_range_is_meant() {
        let store = with_tags(&["1.2.0", "v1.10.0", "1.9.0", "2.0.0-rc.1", "latest", "2.0.0_a", "1.x-slim"]).await;
        for (range, tag) in [
            ("^1.2", "v1.10.0"),
            ("~1.9", "1.9.0"),
            (">=1", "2.0.0_a"),
            ("1.x", "v1.10.0"),
            ("=2.0.0-rc.1", "2.0.0-rc.1"),
        ] {
            for place in ["localhost:5000/a/b", "oci:dir"] {
                assert_eq!(found(&store, &format!("{place}:{range}")).await.unwrap(), format!("{place}:{tag}"));
            }
        }
        assert_eq!(found(&store, "localhost/a:latest").await.unwrap(), "localhost/a:latest");
    }

    #[tokio::test]
    async fn a_tag_that_is_called_as_a_range_is_that_tag_and_of_two_for_one_version_the_first_counts() {
        let store = with_tags(&["1.x", "1.9.0", "v3.0.0", "3.0.0"]).await;
        assert_eq!(found(&store, "oci:dir:1.x").await.unwrap(), "oci:dir:1.x");
        assert_eq!(found(&store, "oci:dir:3.x").await.unwrap(), "oci:dir:3.0.0");
    }

    #[tokio::test]
    async fn in_a_layout_of_whole_references_the_repository_stands_before_the_range() {
        let store = with_tags(&["ghcr.io/a/b:1.2.0", "ghcr.io/a/c:1.9.0", "1.8.0"]).await;
        assert_eq!(found(&store, "oci:dir:ghcr.io/a/b:^1").await.unwrap(), "oci:dir:ghcr.io/a/b:1.2.0");
        assert_eq!(found(&store, "oci:dir:^1").await.unwrap(), "oci:dir:1.8.0");
    }

    #[tokio::test]
    async fn where_no_tag_is_in_the_range_the_newest_are_named() {
        let many = with_tags(&["1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0", "6.0.0"]).await;
        let (one, none) = (with_tags(&["1.0.0"]).await, with_tags(&["latest"]).await);
        for (store, words) in [
            (many, "the newest are `6.0.0`, `5.0.0`, `4.0.0`, `3.0.0`, `2.0.0`"),
            (one, "the only version is `1.0.0`"),
            (none, "none of its tags is a version"),
            (Memory::new(), "it has no tags"),
        ] {
            let error = found(&store, "oci:dir:^9").await.unwrap_err();
            assert!(error.kind() == Kind::NotFound && error.to_string().ends_with(words), "{error}");
        }
    }

    #[test]
    fn a_location_that_may_be_written_takes_no_range() {
        for text in ["ghcr.io/a:^1", "ghcr.io/a:>=1 <2", "oci:dir:*", "./x.tar:~1.2"] {
            assert_eq!(text.parse::<ReadLocation>().unwrap().to_string().rsplit(':').next(), text.rsplit(':').next());
            let error = text.parse::<Location>().unwrap_err();
            assert!(error.kind() == Kind::Misuse && error.to_string().contains("range of versions"), "{error}");
        }
        assert_eq!("ghcr.io/a:1.x".parse::<Location>().unwrap().tag.unwrap(), "1.x");
    }

    #[test]
    fn a_range_stands_in_place_of_a_tag_or_digest() {
        let digest = crate::oci::Digest::of(b"");
        for bad in ["ghcr.io/a:v1:^1".to_owned(), format!("ghcr.io/a@{digest}:^1"), format!("ghcr.io/a:^1@{digest}")] {
            assert_eq!(bad.parse::<ReadLocation>().unwrap_err().kind(), Kind::Misuse, "{bad}");
        }
        for other in ["oci:~/dir", "oci:^1", "localhost:5000/a"] {
            assert!(other.parse::<ReadLocation>().is_ok_and(|read| read.range.is_none()), "{other}");
        }
    }
}
