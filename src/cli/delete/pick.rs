//! Which tags of a store go: those that match, without the newest.

use std::{collections::BTreeMap, num::NonZeroUsize};

use artifact::{
    Error, Result,
    error::Context as _,
    location::{Location, Place},
    oci::{Digest, RefName},
    store::{NamePattern, ReadStore},
    version::Version,
};

use super::super::{ls::no_tags, report::Report, session::warn_of_odd};

/// How many tags of each repository stay.
#[derive(Clone, Copy)]
pub(super) struct Keep(pub(super) NonZeroUsize);

/// Which tags go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) go: Vec<RefName>,
    /// How many matching tags stay.
    pub(super) stay: usize,
    /// What decided which are the newest: `version` or `name`.
    pub(super) order: &'static str,
}

impl Picked {
    pub(super) fn why_none(&self) -> &'static str {
        if self.stay > 0 { "no more tags match than are kept" } else { "no tag matches" }
    }
}

/// The tags of a store that go.
///
/// Errors: an unreadable part of the list, since what it hides may be the newest; versions and other tags together.
pub(super) async fn pick(
    store: &dyn ReadStore,
    location: &Location,
    filter: Option<&NamePattern>,
    keep: Option<Keep>,
    report: &Report,
) -> Result<Picked> {
    let page = store.list_names().await?;
    warn_of_odd(&page, location, report);
    page.check_complete(location).context(|| "cannot tell which tags to delete")?;
    if page.names.is_empty() && matches!(location.place, Place::Registry { .. }) {
        return Err(no_tags(location));
    }
    let names = page.names.into_iter().filter(|name| !holds_referrers(name)).collect();
    let names = filter.map_or(Ok(Vec::clone(&names)), |filter| filter.select(names))?;
    match keep {
        Some(keep) => without_newest(names, keep).context(|| location.to_string()),
        None => Ok(Picked { go: names, stay: 0, order: "name" }),
    }
}

/// Whether a tag is a list of referrers, or where cosign keeps what is about a manifest: both go with that manifest.
fn holds_referrers(name: &RefName) -> bool {
    let is_list = || name.replacen('-', ":", 1).parse::<Digest>().is_ok();
    name.subject_of_companion().is_some() || is_list()
}

/// These tags without the newest of each repository.
fn without_newest(names: Vec<RefName>, Keep(keep): Keep) -> Result<Picked> {
    let order = if by_version(&names)? { "version" } else { "name" };
    let mut groups: BTreeMap<String, Vec<RefName>> = BTreeMap::new();
    for name in names {
        groups.entry(repository(&name).to_owned()).or_default().push(name);
    }
    let (mut go, mut stay) = (Vec::new(), 0_usize);
    for (_, mut group) in groups {
        group.sort_by_cached_key(|name| (Version::of(name), name.clone()));
        let kept = group.split_off(group.len().saturating_sub(keep.get()));
        stay = stay.saturating_add(kept.len());
        go.extend(group);
    }
    Ok(Picked { go, stay, order })
}

/// What stands before the tag in a name that is a whole reference.
fn repository(name: &RefName) -> &str {
    name.rsplit_once(':').map_or("", |(repository, _)| repository)
}

/// Whether versions decide which are the newest; else names do. Errors: some are versions, and some are not.
fn by_version(names: &[RefName]) -> Result<bool> {
    let version = names.iter().find(|name| Version::of(name).is_some());
    let other = names.iter().find(|name| Version::of(name).is_none());
    match (version, other) {
        (Some(version), Some(other)) => Err(Error::misuse(format!(
            "cannot tell which tags are the newest: `{version}` is a version and `{other}` is not; \
             a `--filter` that matches only one kind helps, such as `*.*.*`"
        ))),
        (version, _) => Ok(version.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<RefName> {
        all.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn picked(all: &[&str], keep: usize) -> Result<Picked> {
        without_newest(names(all), Keep(NonZeroUsize::new(keep).unwrap()))
    }

    #[test]
    fn versions_go_by_their_order_and_other_tags_by_name() {
        let by_version = picked(&["1.10.0", "1.9.0", "v1.11.0", "1.10.0-rc.1"], 2).unwrap();
        assert_eq!(by_version, Picked { go: names(&["1.9.0", "1.10.0-rc.1"]), stay: 2, order: "version" });
        let by_name = picked(&["nightly-2026-11-02", "nightly-2026-11-10", "nightly-2026-10-30"], 1).unwrap();
        assert_eq!(by_name.go, names(&["nightly-2026-10-30", "nightly-2026-11-02"]));
        assert_eq!(picked(&["1.0.0"], 5).unwrap(), Picked { go: Vec::new(), stay: 1, order: "version" });
    }

    #[test]
    fn each_repository_of_a_layout_keeps_its_newest() {
        let all = ["h.example/a:1.0.0", "h.example/a:1.1.0", "h.example/b:9.0.0", "h.example/b:10.0.0"];
        assert_eq!(picked(&all, 1).unwrap().go, names(&["h.example/a:1.0.0", "h.example/b:9.0.0"]));
    }

    #[test]
    fn what_is_newest_of_versions_and_other_tags_is_not_guessed() {
        let error = picked(&["1.0.0", "latest"], 1).unwrap_err().to_string();
        assert!(error.contains("`1.0.0` is a version and `latest` is not"), "{error}");
    }

    #[test]
    fn tags_that_hold_referrers_are_known() {
        let hex = Digest::of(b"").hex();
        for tag in [format!("sha256-{hex}"), format!("sha256-{hex}.sig")] {
            assert!(holds_referrers(&tag.parse().unwrap()), "{tag}");
        }
        assert!(!holds_referrers(&"sha256-x".parse().unwrap()));
    }
}
