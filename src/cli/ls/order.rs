//! The order of a list.

use std::cmp::Ordering;

use artifact::{oci::RefName, version::Version};
use clap::ValueEnum;

use super::rows::Row;

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// The bytes of the name
    #[default]
    Name,
    /// The version that a tag is, as in `1.4.0` or `v1.4.0`
    Version,
    /// The date of creation
    Date,
    /// The size of all content
    Size,
}

/// Whether names alone do not decide the order.
pub(super) fn is_of_content(sort: Sort) -> bool {
    matches!(sort, Sort::Date | Sort::Size)
}

pub(super) fn sort_names(names: &mut [RefName], sort: Sort, reverse: bool) {
    match sort {
        Sort::Version => order(names, reverse, |name| Version::of(name)),
        Sort::Name | Sort::Date | Sort::Size => order(names, reverse, |name| Some(name.clone())),
    }
}

/// Sorts what was read by its content; an order by names is there already.
pub(super) fn sort_rows(rows: &mut [Row], sort: Sort, reverse: bool) {
    match sort {
        Sort::Date => order(rows, reverse, |row| row.created().and_then(instant)),
        Sort::Size => order(rows, reverse, |row| row.total),
        Sort::Name | Sort::Version => {}
    }
}

/// Sorts by a key, in reverse if asked; what has no key comes last in both. What has the same key stays in its order.
fn order<T, K: Ord>(all: &mut [T], reverse: bool, key: impl Fn(&T) -> Option<K>) {
    all.sort_by_cached_key(|one| Keyed { key: key(one), reverse });
}

/// A key in its place: none is behind all.
#[derive(PartialEq, Eq)]
struct Keyed<K> {
    key: Option<K>,
    reverse: bool,
}

impl<K: Ord> PartialOrd for Keyed<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> Ord for Keyed<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.key, &other.key) {
            (Some(a), Some(b)) if self.reverse => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
}

/// The moment that a date is (RFC 3339): dates of two time zones are comparable so.
fn instant(date: &str) -> Option<jiff::Timestamp> {
    date.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str], sort: Sort, reverse: bool) -> Vec<String> {
        let mut names: Vec<RefName> = names.iter().map(|name| name.parse().unwrap()).collect();
        sort_names(&mut names, sort, reverse);
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn versions_are_in_their_order_and_other_tags_last_in_both_directions() {
        let names = ["1.10.0", "1.10.0-rc.1", "edge", "latest", "v1.9.0"];
        assert_eq!(sorted(&names, Sort::Version, false), ["v1.9.0", "1.10.0-rc.1", "1.10.0", "edge", "latest"]);
        assert_eq!(sorted(&names, Sort::Version, true), ["1.10.0", "1.10.0-rc.1", "v1.9.0", "edge", "latest"]);
        assert_eq!(sorted(&["b", "a", "B"], Sort::Name, true), ["b", "a", "B"]);
    }

    #[test]
    fn dates_are_compared_as_moments() {
        assert!(instant("2026-01-01T00:30:00+02:00") < instant("2025-12-31T23:00:00Z"));
        assert_eq!(instant("yesterday"), None);
    }
}
