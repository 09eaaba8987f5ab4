//! podman's `registries.conf` (containers-registries.conf(5), version 2): the settings of single registries. Short
//! names, the older version and unknown keys are ignored.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::prefix::Prefix;
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirror: Vec<Listed>,
    mirror_by_digest_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<String>,
}

/// The settings for a prefix.
#[derive(Clone)]
pub(super) struct Entry {
    /// The actual location of the prefix; for reading only, as in podman.
    pub(super) location: Option<Prefix>,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirrors: Vec<Mirror>,
}

/// A mirror. podman trusts mirrors for names unless they are `digest-only`.
#[derive(Clone)]
pub(super) struct Mirror {
    pub(super) location: Prefix,
    pub(super) insecure: bool,
    pub(super) names: bool,
}

/// The entries of a file. Errors: malformed text, or an invalid registry.
pub(super) fn parse(text: &str) -> Result<BTreeMap<Prefix, Entry>> {
    let file: File = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        Error::invalid(format!("line {line}: {}", e.message().replace('\n', " ")))
    })?;
    file.registry.into_iter().map(Registry::entry).collect()
}

impl Registry {
    fn entry(self) -> Result<(Prefix, Entry)> {
        let location = self.location.filter(|location| !location.is_empty());
        let Some(prefix) = self.prefix.filter(|prefix| !prefix.is_empty()).or_else(|| location.clone()) else {
            return Err(Error::invalid("a `[[registry]]` has neither `prefix` nor `location`"));
        };
        let mirror = |listed: Listed| {
            let names = !self.mirror_by_digest_only && listed.pull_from_mirror.as_deref() != Some("digest-only");
            Ok(Mirror { location: Prefix::parse(&listed.location, false)?, insecure: listed.insecure, names })
        };
        let entry = Entry {
            location: location.map(|location| Prefix::parse(&location, false)).transpose()?,
            insecure: self.insecure,
            blocked: self.blocked,
            mirrors: self.mirror.into_iter().map(mirror).collect::<Result<_>>()?,
        };
        Ok((Prefix::parse(&prefix, true)?, entry))
    }
}
