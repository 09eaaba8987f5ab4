//! What is configured about registries: one file of ours, podman's `registries.conf`, and the directories in which
//! docker and podman keep certificates.

mod file;
mod podman;

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{ClientCertificate, Options, Origin, Protocol, Proxies, is_repository};
use crate::{
    blob::open_regular,
    error::{Context as _, Error, Kind, Result},
};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What is known about hosts and repositories.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    ours: BTreeMap<Prefix, file::Entry>,
    podman: BTreeMap<Prefix, podman::Entry>,
    certificates: Vec<PathBuf>,
}

/// A place that has copies of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// `host[:port]`
    pub registry: String,
    /// The repository there.
    pub repository: String,
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
            Error::new(Kind::Denied, format!("{place} is blocked by the configuration"))
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

    /// Where a repository is read from when podman's configuration moves it somewhere else: registry and repository.
    #[must_use]
    pub fn moved(&self, registry: &str, repository: &str) -> Option<(String, String)> {
        let (prefix, entry) = self.podman(registry, repository)?;
        let location = entry.location.as_ref().filter(|location| *location != prefix)?;
        Some(location.with(prefix.rest(repository)))
    }

    /// Where else this repository can be read, in the order in which they are asked.
    #[must_use]
    pub fn replicas(&self, registry: &str, repository: &str) -> Vec<Replica> {
        let replica = |at: &Prefix, rest: &str, names, insecure| {
            let (registry, repository) = at.with(rest);
            Replica { registry, repository, names, insecure }
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
        ours.last().or_else(podman).unwrap_or_default()
    }

    /// The options for a replica, of which `options` are the general ones.
    pub fn options_of(&self, replica: &Replica, options: &Options) -> Result<Options> {
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

fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).context(|| format!("cannot read `{}`", path.display()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::limit(format!("`{}` has more than {MAX_FILE} bytes", path.display())));
    }
    Ok(bytes)
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match read(path) {
        Ok(bytes) => {
            String::from_utf8(bytes).map(Some).map_err(|_| Error::invalid(format!("`{}` is not UTF-8", path.display())))
        }
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// A certificate and its key from two files.
fn certificate(certificate: &Path, key: &Path) -> Result<ClientCertificate> {
    let both = || format!("`{}` and `{}`", certificate.display(), key.display());
    ClientCertificate::from_pem(&read(certificate)?, &read(key)?).context(both)
}

/// `host[:port][/path]`: a registry, or the repositories below a path in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix {
    host: String,
    path: String,
}

impl Prefix {
    /// `wild`: whether `*.domain` may stand in the place of the host. Errors: neither a host nor a path.
    fn parse(text: &str, wild: bool) -> Result<Self> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let plain = host.strip_prefix("*.").filter(|_| wild).unwrap_or(host);
        let bad = || Error::invalid(format!("`{}` is not `host[:port][/path]`", text.escape_default()));
        Origin::of_registry(plain, Protocol::Https).map_err(|_| bad())?;
        if !path.is_empty() && !is_repository(path) {
            return Err(bad());
        }
        Ok(Self { host: host.to_ascii_lowercase(), path: path.to_owned() })
    }

    fn fits(&self, registry: &str, repository: &str) -> bool {
        let host = match self.host.strip_prefix('*') {
            Some(domain) => registry.to_ascii_lowercase().ends_with(domain),
            None => same(&self.host, registry),
        };
        host && (self.path.is_empty() || repository.strip_prefix(&self.path).is_some_and(is_below))
    }

    /// What of a repository that fits is behind the prefix.
    fn rest<'a>(&self, repository: &'a str) -> &'a str {
        repository.strip_prefix(&self.path).unwrap_or(repository).trim_start_matches('/')
    }

    /// The registry, and the repository with this below the path.
    fn with(&self, rest: &str) -> (String, String) {
        let parts: Vec<&str> = [self.path.as_str(), rest].into_iter().filter(|part| !part.is_empty()).collect();
        (self.host.clone(), parts.join("/"))
    }
}

fn is_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// Whether two names are one registry's, however they are written.
fn same(a: &str, b: &str) -> bool {
    let origin = |name| Origin::of_registry(name, Protocol::Https).ok();
    a.eq_ignore_ascii_case(b) || origin(a).is_some_and(|a| origin(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts with this as our file and this as podman's.
    fn hosts(dir: &Path, ours: &str, podman: &[&str]) -> Result<Hosts> {
        std::fs::write(dir.join("hosts.yaml"), ours).unwrap();
        let files: Vec<PathBuf> = (0..podman.len()).map(|i| dir.join(format!("{i}.conf"))).collect();
        for (path, text) in files.iter().zip(podman) {
            std::fs::write(path, text).unwrap();
        }
        Hosts::read(Some(&dir.join("hosts.yaml")), &[&files[..], &[dir.join("absent.conf")]].concat(), Vec::new())
    }

    fn ours(text: &str) -> Result<Hosts> {
        hosts(tempfile::tempdir().unwrap().path(), text, &[])
    }

    fn podman(text: &str) -> Result<Hosts> {
        hosts(tempfile::tempdir().unwrap().path(), "", &[text])
    }

    fn options(hosts: &Hosts, registry: &str, repository: &str) -> Options {
        hosts.options(registry, repository, &Options::default()).unwrap()
    }

    fn copies(hosts: &Hosts, registry: &str, repository: &str) -> Vec<String> {
        let shown = |c: Replica| format!("{}/{}{}", c.registry, c.repository, if c.names { " names" } else { "" });
        hosts.replicas(registry, repository).into_iter().map(shown).collect()
    }

    #[test]
    fn a_host_is_met_however_it_is_written_and_no_other() {
        let hosts = ours("reg.test:443: {plain-http: true}\ndocker.io: {plain-http: true}").unwrap();
        for name in ["reg.test", "REG.test", "reg.test:443", "docker.io", "index.docker.io", "registry-1.docker.io"] {
            assert_eq!(options(&hosts, name, "x").protocol, Protocol::Http, "{name}");
        }
        for name in ["reg.test:5000", "evil-reg.test", "reg.test.evil.test", "test", "x.docker.io"] {
            assert_eq!(options(&hosts, name, "x").protocol, Protocol::Auto, "{name}");
        }
    }

    #[test]
    fn longer_prefixes_have_the_last_word_about_what_they_name() {
        let text = "reg.test: {plain-http: true, trusted: [a.test]}\n\
                    reg.test/team: {insecure: true, blocked: true}\n\
                    reg.test/team/open: {plain-http: false, blocked: false, trusted: [b.test]}";
        let hosts = ours(text).unwrap();
        let blocked = |name: &str| hosts.options("reg.test", name, &Options::default()).map(drop);
        for name in ["team", "team/x", "team/opener"] {
            assert_eq!(blocked(name).unwrap_err().kind(), Kind::Denied, "{name}");
        }
        assert!(blocked("").is_ok() && blocked("teams").is_ok());
        let open = options(&hosts, "reg.test", "team/open/x");
        assert_eq!((open.protocol, open.insecure_tls), (Protocol::Https, true));
        assert_eq!(open.trusted, ["a.test", "b.test"]);
    }

    #[test]
    fn mirrors_stand_for_what_is_below_the_prefix() {
        let text = "docker.io: {mirrors: [{location: \"m.test:5000/hub\", names: true}, {location: n.test}]}\n\
                    docker.io/own: {mirrors: []}\nreg.test/a/b: {mirrors: [{location: m.test/x}]}";
        let hosts = ours(text).unwrap();
        let hub = ["m.test:5000/hub/library/busybox names", "n.test/library/busybox"];
        assert_eq!(copies(&hosts, "docker.io", "library/busybox"), hub);
        assert_eq!(copies(&hosts, "docker.io", "own/x"), [""; 0]);
        assert_eq!(copies(&hosts, "reg.test", "a/b/c"), ["m.test/x/c"]);
        assert_eq!(copies(&hosts, "reg.test", "a/b"), ["m.test/x"]);
        assert_eq!(copies(&hosts, "reg.test", "a/bc"), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_was_meant() {
        for (text, words) in [
            ("reg.test:\n  plain_http: true", ["hosts.yaml:2:3", "did you mean `plain-http`"]),
            ("reg.test:\n  mirrors:\n  - {locaton: x.test}", ["hosts.yaml:3", "did you mean `location`"]),
            ("reg.test:\n  plain-http: maybe", ["hosts.yaml:2", "bool"]),
            ("https://reg.test: {}", ["hosts.yaml:1", "`https://reg.test` is not `host[:port][/path]`"]),
            ("x.test: {}\nreg.test/UPPER: {}", ["hosts.yaml:2", "is not `host[:port][/path]`"]),
            ("x.test: {}\nreg.test: {mirrors: [{location: \"a b\"}]}", ["hosts.yaml:2", "`a b` is not"]),
            ("reg.test: {addresses: [x]}", ["hosts.yaml:1", "IP"]),
            ("[]", ["hosts.yaml:1", "map"]),
        ] {
            let error = ours(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{text}: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(Hosts::read(Some(&dir.path().join("absent.yaml")), &[], Vec::new()).is_err());
        assert!(ours("# nothing yet").is_ok());
    }

    #[test]
    fn files_that_are_named_lie_beside_the_file_and_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), "authority").unwrap();
        let hosts = hosts(dir.path(), "a.test: {ca-file: ca.pem}\nb.test: {ca-file: gone.pem}", &[]).unwrap();
        assert_eq!(options(&hosts, "a.test", "x").roots, [b"authority"]);
        let error = hosts.options("b.test", "x", &Options::default()).err().unwrap();
        assert!(error.kind() == Kind::Invalid && error.to_string().contains("gone.pem"), "{error}");
    }

    #[test]
    fn podmans_file_is_read_as_podman_reads_it() {
        let text = r#"
            unqualified-search-registries = ["docker.io"]
            short-name-mode = "enforcing"
            [[registry]]
            prefix = "example.com/foo"
            location = "internal.test/bar"
            insecure = true
            unknown = [1]
            [[registry.mirror]]
            location = "m.test:5000/foo"
            [[registry.mirror]]
            location = "n.test"
            pull-from-mirror = "digest-only"
            [[registry]]
            location = "example.com/foo/bad"
            blocked = true
            [[registry]]
            prefix = "*.wild.test"
            insecure = true
            [aliases]
            "x" = "docker.io/library/x"
        "#;
        let hosts = podman(text).unwrap();
        assert_eq!(copies(&hosts, "example.com", "foo/x"), ["m.test:5000/foo/x names", "n.test/x"]);
        assert_eq!(hosts.moved("example.com", "foo/x"), Some(("internal.test".into(), "bar/x".into())));
        assert_eq!(hosts.moved("example.com", "other"), None);
        assert!(options(&hosts, "example.com", "foo/x").insecure_tls);
        // The longest that fits is the only one that counts.
        assert_eq!(copies(&hosts, "example.com", "foo/bad/x"), [""; 0]);
        assert!(hosts.options("example.com", "foo/bad/x", &Options::default()).is_err());
        for (name, insecure) in
            [("a.wild.test", true), ("a.b.wild.test", true), ("wild.test", false), ("xwild.test", false)]
        {
            assert_eq!(options(&hosts, name, "x").insecure_tls, insecure, "{name}");
        }
    }

    #[test]
    fn later_files_of_podman_replace_what_earlier_ones_say_of_a_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"]
            .map(|m| format!("[[registry]]\nlocation = \"r.test\"\nmirror = [{{location = \"{m}.test\"}}]"));
        let hosts = hosts(dir.path(), "s.test: {mirrors: []}", &[&one, &two]).unwrap();
        assert_eq!(copies(&hosts, "r.test", "x"), ["two.test/x names"]);
        let hosts = self::hosts(dir.path(), "r.test: {mirrors: []}", &[&one]).unwrap();
        assert_eq!(copies(&hosts, "r.test", "x"), [""; 0]);
    }

    #[test]
    fn a_malformed_file_of_podman_is_an_error_with_its_line() {
        for (text, words) in [
            ("[[registry]]\nlocation = 3", ["0.conf", "line 2"]),
            ("\n\n[[registry", ["0.conf", "line 3"]),
            ("[[registry]]\ninsecure = true", ["0.conf", "without `prefix` and `location`"]),
            ("[[registry]]\nlocation = \"a b\"", ["0.conf", "`a b` is not"]),
        ] {
            let error = podman(text).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }

    #[test]
    fn the_directories_of_docker_and_podman_give_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("second/reg.test:5000");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir(dir.path().join("first")).unwrap();
        std::fs::write(own.join("ca.crt"), "authority").unwrap();
        let dirs = ["first", "second", "absent"].map(|name| dir.path().join(name)).to_vec();
        let hosts = Hosts::read(None, &[], dirs).unwrap();
        assert_eq!(options(&hosts, "reg.test:5000", "x").roots, [b"authority"]);
        assert!(options(&hosts, "reg.test", "x").roots.is_empty());
        std::fs::write(own.join("client.cert"), "x").unwrap();
        let error = hosts.options("reg.test:5000", "x", &Options::default()).err().unwrap().to_string();
        assert!(error.contains("client.key"), "{error}");
    }

    #[test]
    fn the_example_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hosts.yaml");
        let hosts = Hosts::read(Some(&path), &[], Vec::new()).unwrap();
        assert_eq!(copies(&hosts, "docker.io", "library/busybox").len(), 2);
        assert!(hosts.options("docker.io", "untrusted/x", &Options::default()).is_err());
        assert_eq!(options(&hosts, "lab.example:5000", "x").protocol, Protocol::Http);
    }
}
