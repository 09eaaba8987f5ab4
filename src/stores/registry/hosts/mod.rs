//! Configuration of registries: one file of ours, podman's `registries.conf`, and the certificate directories of docker
//! and podman.
//!
//! This module reads files and changes `Options`. It opens no connection, and no module beside it uses it.

mod file;
mod files;
mod podman;
mod prefix;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use self::{
    files::{certificate, read_if_there, roots},
    prefix::Prefix,
};
use super::options::Options;
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    oci::{RegistryName, RepositoryName},
};

/// Configuration of hosts and repositories.
#[derive(Clone, Default)]
pub struct Hosts {
    ours: BTreeMap<Prefix, file::Entry>,
    podman: BTreeMap<Prefix, podman::Entry>,
    certificates: Vec<PathBuf>,
}

/// A location with copies of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorLocation {
    /// `host[:port]`
    pub registry: RegistryName,
    /// The repository on that registry.
    pub repository: RepositoryName,
    /// True if it is also trusted for names.
    pub names: bool,
    /// True if its TLS certificate is not verified.
    insecure: bool,
}

impl Hosts {
    /// Reads the configuration files.
    ///
    /// `ours` is a file in the form of `examples/hosts.yaml`, and must exist. `podman` are files in the form of
    /// containers-registries.conf(5), version 2, where later ones take precedence; `certificates` are directories like
    /// `/etc/docker/certs.d`. Missing files and directories of these two are skipped.
    ///
    /// Errors: malformed files; unknown keys in ours.
    pub fn read(ours: Option<&Path>, podman: &[PathBuf], certificates: Vec<PathBuf>) -> Result<Self> {
        let mut hosts = Self { certificates, ..Self::default() };
        if let Some(path) = ours {
            hosts.ours = file::read(path)?;
        }
        for path in podman {
            if let Some(text) = read_if_there(path)? {
                let entries = podman::parse(&text).context(|| format!("`{}`", path.display()))?;
                hosts.podman.extend(entries);
            }
        }
        Ok(hosts)
    }

    /// True if nothing is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.podman.is_empty() && self.certificates.is_empty()
    }

    /// The options for this repository, or with an empty name for the registry itself: the given ones, overridden by
    /// the configuration. All matching entries of our file apply, longer ones override shorter ones.
    ///
    /// Errors: the repository is blocked; a configured certificate or key cannot be read.
    pub fn options(&self, registry: &str, repository: &str, options: &Options) -> Result<Options> {
        let mut options = options.clone();
        self.certificates(registry, &mut options)?;
        let blocked = || {
            let place = if repository.is_empty() { registry.to_owned() } else { format!("{registry}/{repository}") };
            Error::new(Kind::Denied, format!("{place} is blocked by the configuration")).with_code(Code::Blocked)
        };
        if let Some((_, entry)) = self.podman(registry, repository) {
            if entry.blocked {
                return Err(blocked());
            }
            options.insecure_tls |= entry.insecure;
        }
        let mut is_blocked = false;
        for (_, entry) in fitting(&self.ours, registry, repository) {
            entry.apply(registry, &mut options)?;
            is_blocked = entry.blocked.unwrap_or(is_blocked);
        }
        if is_blocked { Err(blocked()) } else { Ok(options) }
    }

    /// Identifies the options of a repository: within a registry, repositories with equal rules have equal options.
    #[must_use]
    pub fn rules(&self, registry: &str, repository: &str) -> Vec<String> {
        let ours = fitting(&self.ours, registry, repository).map(|(prefix, _)| prefix.path.clone());
        let podman = self.podman(registry, repository).map(|(prefix, _)| format!("{}/{}", prefix.host, prefix.path));
        ours.chain(podman).collect()
    }

    /// The registry and repository to read from, if podman's configuration maps this repository to another location.
    ///
    /// Errors: the target is not a valid repository.
    pub fn moved(&self, registry: &str, repository: &str) -> Result<Option<(RegistryName, RepositoryName)>> {
        let Some((prefix, entry)) = self.podman(registry, repository) else { return Ok(None) };
        let location = entry.location.as_ref().filter(|location| *location != prefix);
        location.map(|location| location.with(prefix.rest(repository))).transpose()
    }

    /// The mirrors of this repository, in order. Errors: one is not a valid repository.
    pub fn replicas(&self, registry: &str, repository: &str) -> Result<Vec<MirrorLocation>> {
        let replica = |at: &Prefix, rest: &str, names, insecure| {
            let (registry, repository) = at.with(rest)?;
            Ok(MirrorLocation { registry, repository, names, insecure })
        };
        let ours = fitting(&self.ours, registry, repository).filter_map(|(prefix, entry)| {
            let all = entry.mirrors.as_ref()?;
            Some(all.iter().map(|m| replica(&m.location, prefix.rest(repository), m.names, false)).collect())
        });
        let podman = || {
            let (prefix, entry) = self.podman(registry, repository)?;
            let all = entry.mirrors.iter();
            Some(all.map(|m| replica(&m.location, prefix.rest(repository), m.names, m.insecure)).collect())
        };
        ours.last().or_else(podman).unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The options for a mirror, derived from the general `options`.
    pub fn options_of(&self, replica: &MirrorLocation, options: &Options) -> Result<Options> {
        let mut options = self.options(&replica.registry, &replica.repository, options)?;
        options.insecure_tls |= replica.insecure;
        Ok(options)
    }

    /// The longest matching entry of podman's configuration; no other applies.
    fn podman(&self, registry: &str, repository: &str) -> Option<(&Prefix, &podman::Entry)> {
        fitting(&self.podman, registry, repository).last()
    }

    /// Applies the files in the first directory with the name of the registry: authorities in `*.crt`, and a client
    /// certificate in `*.cert` with its key in the `*.key` of the same name.
    fn certificates(&self, registry: &str, options: &mut Options) -> Result<()> {
        // A host name, not a parent directory.
        let named = registry.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !registry.contains('/');
        let dirs = self.certificates.iter().filter(|_| named).map(|dir| dir.join(registry));
        let Some(dir) = dirs.into_iter().find(|dir| dir.is_dir()) else { return Ok(()) };
        let Ok(entries) = dir.read_dir() else { return Ok(()) };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let ends_in = |path: &&PathBuf, end: &str| path.extension().is_some_and(|e| e == end);
        for path in paths.iter().filter(|path| ends_in(path, "crt")) {
            options.roots.push(roots(path)?);
        }
        if let Some(path) = paths.iter().find(|path| ends_in(path, "cert")) {
            options.certificate = Some(certificate(path, &path.with_extension("key"))?);
        }
        Ok(())
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = self.ours.keys().chain(self.podman.keys());
        f.debug_set().entries(prefixes.map(|prefix| format!("{}/{}", prefix.host, prefix.path))).finish()
    }
}

/// The matching entries, the shortest first.
fn fitting<'a, T>(
    entries: &'a BTreeMap<Prefix, T>,
    registry: &str,
    repository: &str,
) -> impl Iterator<Item = (&'a Prefix, &'a T)> {
    let mut found: Vec<_> = entries.iter().filter(|(prefix, _)| prefix.fits(registry, repository)).collect();
    found.sort_by_key(|(prefix, _)| (!prefix.host.starts_with("*."), prefix.host.len(), prefix.path.len()));
    found.into_iter()
}
