//! What is configured about registries: one file of ours, podman's `registries.conf`, and the directories in which
//! docker and podman keep certificates.
//!
//! It reads files and changes `Options`. It opens no connection, and no folder beside it knows it.

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
    files::{certificate, read, read_if_there},
    prefix::Prefix,
};
use super::options::Options;
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    oci::{RegistryName, RepositoryName},
};

/// What is known about hosts and repositories.
#[derive(Clone, Default)]
pub struct Hosts {
    ours: BTreeMap<Prefix, file::Entry>,
    podman: BTreeMap<Prefix, podman::Entry>,
    certificates: Vec<PathBuf>,
}

/// A place that has copies of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorLocation {
    /// `host[:port]`
    pub registry: RegistryName,
    /// The repository there.
    pub repository: RepositoryName,
    /// Whether it is believed about names, too.
    pub names: bool,
    /// Whether any certificate of it is taken.
    insecure: bool,
}

impl Hosts {
    /// Reads what there is.
    ///
    /// `ours` is a file in the form of `examples/hosts.yaml`, and must be there. `podman` are files in the form of
    /// containers-registries.conf(5), version 2, each with more weight than those in front of it; `certificates` are
    /// directories like `/etc/docker/certs.d`: of both, what is not there is left out.
    ///
    /// Errors: malformed files; in ours, unknown keys.
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

    /// The options for this repository, or with an empty name for the registry as such: these, and on top of them what
    /// is configured. Of our file, all entries that fit count, the longer ones more.
    ///
    /// Errors: the repository is blocked; a certificate or key that is named cannot be read.
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

    /// What distinguishes the options of repositories: with the same registry and the same answer, they are the same.
    #[must_use]
    pub fn rules(&self, registry: &str, repository: &str) -> Vec<String> {
        let ours = fitting(&self.ours, registry, repository).map(|(prefix, _)| prefix.path.clone());
        let podman = self.podman(registry, repository).map(|(prefix, _)| format!("{}/{}", prefix.host, prefix.path));
        ours.chain(podman).collect()
    }

    /// Where a repository is read from when podman's configuration moves it somewhere else: registry and repository.
    ///
    /// Errors: that is no repository.
    pub fn moved(&self, registry: &str, repository: &str) -> Result<Option<(RegistryName, RepositoryName)>> {
        let Some((prefix, entry)) = self.podman(registry, repository) else { return Ok(None) };
        let location = entry.location.as_ref().filter(|location| *location != prefix);
        location.map(|location| location.with(prefix.rest(repository))).transpose()
    }

    /// Where else this repository can be read, in the order in which they are asked. Errors: one is no repository.
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

    /// The options for a replica, of which `options` are the general ones.
    pub fn options_of(&self, replica: &MirrorLocation, options: &Options) -> Result<Options> {
        let mut options = self.options(&replica.registry, &replica.repository, options)?;
        options.insecure_tls |= replica.insecure;
        Ok(options)
    }

    /// Of podman's entries, the longest that fits, and no other.
    fn podman(&self, registry: &str, repository: &str) -> Option<(&Prefix, &podman::Entry)> {
        fitting(&self.podman, registry, repository).last()
    }

    /// What docker and podman keep in the first directory with the name of the registry: authorities in `*.crt`, and a
    /// certificate for us in `*.cert` with its key in the `*.key` of the same name.
    fn certificates(&self, registry: &str, options: &mut Options) -> Result<()> {
        // The name of a host, not of a directory above.
        let named = registry.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !registry.contains('/');
        let dirs = self.certificates.iter().filter(|_| named).map(|dir| dir.join(registry));
        let Some(dir) = dirs.into_iter().find(|dir| dir.is_dir()) else { return Ok(()) };
        let Ok(entries) = dir.read_dir() else { return Ok(()) };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let ends_in = |path: &&PathBuf, end: &str| path.extension().is_some_and(|e| e == end);
        for path in paths.iter().filter(|path| ends_in(path, "crt")) {
            options.roots.push(read(path)?);
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

/// The entries that fit, the shortest first.
fn fitting<'a, T>(
    entries: &'a BTreeMap<Prefix, T>,
    registry: &str,
    repository: &str,
) -> impl Iterator<Item = (&'a Prefix, &'a T)> {
    let mut found: Vec<_> = entries.iter().filter(|(prefix, _)| prefix.fits(registry, repository)).collect();
    found.sort_by_key(|(prefix, _)| (!prefix.host.starts_with("*."), prefix.host.len(), prefix.path.len()));
    found.into_iter()
}
