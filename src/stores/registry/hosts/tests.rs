//! Tests of what is configured per host.

use super::*;
use crate::stores::registry::Protocol;

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
    let shown = |c: MirrorLocation| format!("{}/{}{}", c.registry, c.repository, if c.names { " names" } else { "" });
    hosts.replicas(registry, repository).unwrap().into_iter().map(shown).collect()
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
        ("a.test: {}\nA.test: {}", ["hosts.yaml:", "duplicate key"]),
    ] {
        let error = ours(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{text}: {error}");
    }
    let shown = format!("{:?}", ours("reg.test: {proxy: \"http://u:canary@p\"}").unwrap());
    assert!(shown.contains("reg.test") && !shown.contains("canary"), "{shown}");
    let dir = tempfile::tempdir().unwrap();
    assert!(Hosts::read(Some(&dir.path().join("absent.yaml")), &[], Vec::new()).is_err());
    assert!(ours("# nothing yet").is_ok());
}

/// A file of certificates, as far as its form goes.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

#[test]
fn files_that_are_named_lie_beside_the_file_and_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), AUTHORITY).unwrap();
    std::fs::write(dir.path().join("no.pem"), "none").unwrap();
    let text = "a.test: {ca-file: ca.pem}\nb.test: {ca-file: gone.pem}\nc.test: {ca-file: no.pem}";
    let hosts = hosts(dir.path(), text, &[]).unwrap();
    assert_eq!(options(&hosts, "a.test", "x").roots, [AUTHORITY.as_bytes()]);
    for (host, file) in [("b.test", "gone.pem"), ("c.test", "no.pem")] {
        let error = hosts.options(host, "x", &Options::default()).err().unwrap();
        assert!(error.kind() == Kind::Misuse && error.to_string().contains(file), "{error}");
    }
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
    let moved = hosts.moved("example.com", "foo/x").unwrap().unwrap();
    assert_eq!((moved.0.as_str(), moved.1.as_str()), ("internal.test", "bar/x"));
    assert_eq!(hosts.moved("example.com", "other").unwrap(), None);
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
    let [one, two] =
        ["one", "two"].map(|m| format!("[[registry]]\nlocation = \"r.test\"\nmirror = [{{location = \"{m}.test\"}}]"));
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
        ("[[registry]]\ninsecure = true", ["0.conf", "neither `prefix` nor `location`"]),
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
    std::fs::write(own.join("ca.crt"), AUTHORITY).unwrap();
    let dirs = ["first", "second", "absent"].map(|name| dir.path().join(name)).to_vec();
    let hosts = Hosts::read(None, &[], dirs).unwrap();
    assert_eq!(options(&hosts, "reg.test:5000", "x").roots, [AUTHORITY.as_bytes()]);
    assert!(options(&hosts, "reg.test", "x").roots.is_empty());
    std::fs::write(own.join("other.crt"), "none").unwrap();
    let error = hosts.options("reg.test:5000", "x", &Options::default()).err().unwrap().to_string();
    assert!(error.contains("other.crt") && error.contains("no certificate found"), "{error}");
    std::fs::remove_file(own.join("other.crt")).unwrap();
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
