//! The scope of a configuration entry: a registry, or the repositories below a path in it.

use crate::{
    error::{Error, Result},
    oci::{RegistryName, RepositoryName},
    stores::registry::origins::origin::{Origin, Protocol},
};

/// `host[:port][/path]`: a registry, or the repositories below a path in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    pub(super) host: String,
    pub(super) path: String,
}

impl Prefix {
    /// Parses a prefix; `wild` permits `*.domain` as host. Errors: an invalid host or path.
    pub(super) fn parse(text: &str, wild: bool) -> Result<Self> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let plain = host.strip_prefix("*.").filter(|_| wild).unwrap_or(host);
        let bad = || Error::invalid(format!("`{text}` is not `host[:port][/path]`"));
        Origin::of_registry(plain, Protocol::Https).map_err(|_| bad())?;
        plain.parse::<RegistryName>().map_err(|_| bad())?;
        if !path.is_empty() && path.parse::<RepositoryName>().is_err() {
            return Err(bad());
        }
        Ok(Self { host: host.to_ascii_lowercase(), path: path.to_owned() })
    }

    pub(super) fn fits(&self, registry: &str, repository: &str) -> bool {
        let host = match self.host.strip_prefix('*') {
            Some(domain) => registry.to_ascii_lowercase().ends_with(domain),
            None => same(&self.host, registry),
        };
        host && (self.path.is_empty() || repository.strip_prefix(&self.path).is_some_and(is_below))
    }

    /// The part of a matching repository after the prefix.
    pub(super) fn rest<'a>(&self, repository: &'a str) -> &'a str {
        repository.strip_prefix(&self.path).unwrap_or(repository).trim_start_matches('/')
    }

    /// The registry, and the repository at `rest` below the path.
    pub(super) fn with(&self, rest: &str) -> Result<(RegistryName, RepositoryName)> {
        let parts: Vec<&str> = [self.path.as_str(), rest].into_iter().filter(|part| !part.is_empty()).collect();
        Ok((self.host.parse()?, parts.join("/").parse()?))
    }
}

fn is_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// True if both names are of one registry, in any spelling.
fn same(a: &str, b: &str) -> bool {
    let origin = |name| Origin::of_registry(name, Protocol::Https).ok();
    a.eq_ignore_ascii_case(b) || origin(a).is_some_and(|a| origin(b) == Some(a))
}
