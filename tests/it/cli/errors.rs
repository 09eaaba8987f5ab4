//! Every code of an error is reached by a real command, with its exit code.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, process::Command};

use artifact::Code;
use serde_json::Value;

use super::{Served, World, ran};
use crate::support::{
    scripted::{Scripted, reply},
    tar,
};

/// Codes that no command of these tests can reach, and where they are reached, or why nowhere.
const ELSEWHERE: [(Code, &str); 11] = [
    (Code::CertificateNotNow, "peers, cli::access: certificates are made by openssl"),
    (Code::CertificateForAnother, "peers, cli::access: certificates are made by openssl"),
    (Code::CertificateNamesNoHost, "peers, cli::access: certificates are made by openssl"),
    (Code::ClientCertificateWanted, "peers, cli::access: certificates are made by openssl"),
    (Code::ClientCertificateRefused, "peers, cli::access: certificates are made by openssl"),
    (Code::CertificateNotTrusted, "peers, cli::access: certificates are made by openssl"),
    (Code::SourceChanged, "unit tests of blob: no command can be stopped between two reads"),
    (Code::StoreBusy, "stores::tar: a command waits for a minute first"),
    (Code::ReadOnlyDisk, "a file system that may only be read takes a mount"),
    (Code::PermissionDenied, "the tests may run as root, who may do everything"),
    (Code::Bug, "there is none that is known"),
];

/// The codes that commands failed with, and those that failed otherwise than they should.
#[derive(Default)]
struct Reached {
    codes: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Reached {
    /// Runs a command that must fail with this exit code and this code.
    fn by(&mut self, mut command: Command, code: Code, exit: i32) {
        command.args(["--format", "json"]);
        let ran = ran(command.output().unwrap());
        let mut events = ran.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let error = events.rfind(|event| event["event"] == "error").unwrap_or_default();
        let error = &error["error"];
        let name = serde_json::to_value(code).unwrap();
        self.codes.insert(name.as_str().unwrap().to_owned());
        if (&error["code"], ran.code) != (&name, exit) {
            let line: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
            self.wrong.push(format!("{}: {code:?}, {exit}: {}{}", line.join(" "), ran.code, ran.stderr));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_is_reached_by_a_command() {
    let (world, mut reached) = (World::new(), Reached::default());
    sources_and_types(&world, &mut reached);
    stores_and_names(&world, &mut reached);
    keys(&world, &mut reached);
    registries(&world, &mut reached);
    proxies(&world, &mut reached);
    assert!(reached.wrong.is_empty(), "{}", reached.wrong.join("\n"));
    let name = |code: &Code| serde_json::to_value(code).unwrap().as_str().unwrap().to_owned();
    for code in Code::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(other, _)| other == code);
        assert_ne!(reached.codes.contains(&name(code)), elsewhere, "{code:?}");
    }
}

fn sources_and_types(world: &World, reached: &mut Reached) {
    world.write("chart/Chart.yaml", "name: web\nversion: 1.0.0\n");
    world.write("plain/f", "1");
    std::os::unix::fs::symlink("f", world.path().join("plain/l")).unwrap();
    world.write("big.yaml", &format!("a: {}\n", "b".repeat(1 << 20)));
    let twin = world.ok("types show helm-chart --raw").replace("name: helm-chart", "name: twin");
    world.write("twin.yaml", &twin.replace("aliases: [helm, chart]", "aliases: []"));
    let each = "detect: [{form: dir, dir: {}}]\nsource: {sets: {all: {dir: '.'}}}\n";
    let layers = "layers: {items: [{id: f, each: all, title: same}]}\n";
    let head = "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {name: two, description: two}\n";
    world.write("two.yaml", &format!("{head}{each}{layers}manifest: {{artifactType: application/vnd.two.v1}}\n"));
    world.write("artifact-types/there.yaml", "x");
    for (line, code, exit) in [
        ("push chart oci:x:v9", Code::ReferenceFixed, 1),
        ("push talk oci:x --type nosuch", Code::NoSuchType, 2),
        ("types show nosuch", Code::NoSuchType, 4),
        ("push chart oci:x --type-file twin.yaml", Code::SeveralTypes, 1),
        ("push big.yaml oci:x", Code::TypeUndecided, 1),
        ("push plain oci:x --set layout=files", Code::LinkAsLayer, 1),
        ("push talk oci:x --type two --type-file two.yaml", Code::TitleTaken, 1),
        ("push /dev/null oci:x", Code::NotARegularFile, 1),
        ("push /dev/null oci:x", Code::NotARegularFile, 1),
        ("push nothing oci:x", Code::NoSuchFile, 4),
        ("push talk oci:x --type-file nothing.yaml", Code::NoSuchConfiguration, 2),
        ("ls localhost:1/a --config nothing.yaml", Code::NoSuchConfiguration, 2),
        ("ls localhost:1/a --ca-file nothing.pem", Code::NoSuchConfiguration, 2),
        ("ls localhost:1/a --auth-file nothing.json", Code::NoSuchConfiguration, 2),
        ("push talk oci:x --set nosuch=1", Code::NoSuchParameter, 2),
        ("types new a/b", Code::NotATypeName, 2),
        ("types new there", Code::FileExists, 1),
        ("plan talk/1.png --type two --type-file two.yaml", Code::NoTypeFits, 1),
    ] {
        reached.by(world.command(line), code, exit);
    }
    std::fs::remove_dir_all(world.path().join("artifact-types")).unwrap();
    let about = r#"{"apiVersion":"artifact-plan/v1","name":"mine","description":"What is mine"}"#;
    world.write("bin/artifact-type-mine", &format!("#!/bin/sh\necho '{about}'\n"));
    let program = world.path().join("bin/artifact-type-mine");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.ok("push talk oci:packed:v1");
    let mut unpack = world.command("pull oci:packed:v1 files --unpack --type mine");
    unpack.env("PATH", world.path().join("bin"));
    reached.by(unpack, Code::TypeOnlyPacks, 2);
}

fn keys(world: &World, reached: &mut Reached) {
    world.ok("keygen k");
    world.ok("push plain oci:signed:v1");
    let mut command = world.command("sign oci:signed:v1 --key k.key");
    command.env("COSIGN_PASSWORD", "another");
    reached.by(command, Code::PasswordWrong, 2);
}

fn stores_and_names(world: &World, reached: &mut Reached) {
    world.ok("push talk oci:two:a");
    world.ok("push talk/1.png oci:two:b");
    world.ok("push talk oci:none:a");
    world.ok("push talk/1.png oci:none:a");
    world.ok("delete oci:none:a");
    world.ok("push talk oci:odd:a");
    world.write("odd/index.json", r#"{"schemaVersion":2,"manifests":[{"mediaType":"x"}]}"#);
    world.write("taken/1.png", "mine");
    world.write("file", "1");
    world.write("empty/x", "1");
    let saved = tar::archive([tar::Entry::file("manifest.json", b"[]")]);
    std::fs::write(world.path().join("saved.tar"), saved).unwrap();
    for (name, text) in [("linux-amd64", "1"), ("linux-arm64", "2"), ("linux-arm", "3")] {
        world.write(&format!("programs/{name}/tool"), text);
    }
    let definition = std::fs::read_to_string("examples/types/multi-platform.yaml").unwrap();
    world.write("multi-platform.yaml", &definition);
    world.ok("push programs oci:index:v1 --type multi-platform --type-file multi-platform.yaml");
    world.ok("copy oci:index:v1 oci:part:v1 --platform linux/amd64,linux/arm64");
    world.write("list", "localhost:1/x/a:v1\nlocalhost:2/x/a:v1\n");
    for (line, code, exit) in [
        ("inspect oci:two", Code::SeveralTags, 1),
        ("inspect oci:none", Code::NoTags, 1),
        ("ls oci:odd", Code::ListIncomplete, 1),
        ("copy --list list localhost:3/m", Code::NameTwice, 2),
        ("pull oci:two:a taken --unpack", Code::DestinationTaken, 1),
        ("pull oci:two:a large --unpack --max-size 1", Code::ExpandsTooFar, 1),
        ("pull oci:two:a file", Code::DestinationIsFile, 1),
        ("ls ./file", Code::NotAStore, 1),
        ("ls ./empty", Code::NotAStore, 1),
        ("ls ./saved.tar", Code::DockerArchive, 1),
        ("pull oci:index:v1 files --unpack", Code::PlatformWanted, 1),
        ("pull oci:index:v1 out --platform linux/s390x", Code::NoSuchPlatform, 4),
        ("copy oci:part:v1 oci:more:v1", Code::MembersMissing, 1),
        ("cat oci:two:a nosuch", Code::NoSuchPart, 4),
        ("pull oci:two:a files --unpack --include nosuch", Code::NothingMatches, 4),
        ("serve oci:two:a", Code::StoreWithName, 2),
    ] {
        reached.by(world.command(line), code, exit);
    }
    // A manifest of more than 4 MiB: 1,300 layers with titles of 3,500 bytes.
    let deep = ["d".repeat(250).as_str(); 14].join("/");
    (0..1300).for_each(|n| world.write(&format!("long/{deep}/{n}"), ""));
    reached.by(world.command("plan long --set layout=files"), Code::ManifestTooLarge, 1);
    let text = world.run("tag oci:two:a -- .c");
    assert!(text.code == 2 && text.stderr.contains("hint: a tag has up to 128"), "{}", text.stderr);
    reached.codes.insert("not-a-tag".into());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut listing = world.command("ls oci:two --format json");
    let listing = ran(listing.stdout(full).output().unwrap());
    assert!(listing.code == 1 && listing.stderr.contains("\"code\":\"disk-full\""), "{}", listing.stderr);
    reached.codes.insert("disk-full".into());
}

fn registries(world: &World, reached: &mut Reached) {
    let json = |code: &str| format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    let realm = ("www-authenticate", r#"Bearer realm="http://elsewhere.test/token""#);
    let basic = ("www-authenticate", "Basic");
    for (status, header, body, code, exit) in [
        (400, None, "Client sent an HTTP request to an HTTPS server.".to_owned(), Code::HttpsExpected, 1),
        (409, None, json("TAG_IMMUTABLE"), Code::TagImmutable, 5),
        (405, None, json("UNSUPPORTED"), Code::MethodRefused, 1),
        (429, Some(("ratelimit-remaining", "0;w=21600")), json("TOOMANYREQUESTS"), Code::RequestsUsedUp, 1),
        (401, Some(realm), json("UNAUTHORIZED"), Code::RealmNotTrusted, 5),
        (307, Some(("location", "http://elsewhere.test/x")), String::new(), Code::HostNotTrusted, 1),
        (401, Some(basic), json("UNAUTHORIZED"), Code::CredentialsWanted, 5),
        (403, None, json("DENIED"), Code::AccessDenied, 5),
        (200, None, "<html>".into(), Code::NotARegistry, 1),
        (200, None, r#"{"name":"a","tags":[]}"#.into(), Code::NoTags, 4),
    ] {
        let registry = Scripted::start(move |_| reply(status, header.as_slice(), body.as_bytes()));
        reached.by(world.command(&format!("ls {}/a --retries 0", registry.host())), code, exit);
    }
    let closed = Scripted::start(move |_| reply(401, &[basic], b""));
    world.write("password", "secret\n");
    let mut login = world.command(&format!("login {} -u ann --password-stdin", closed.host()));
    login.stdin(std::fs::File::open(world.path().join("password")).unwrap());
    reached.by(login, Code::LoginRefused, 5);
    let mut listing = world.command(&format!("ls {}/a -u ann --password-stdin", closed.host()));
    listing.stdin(std::fs::File::open(world.path().join("password")).unwrap());
    reached.by(listing, Code::CredentialsRefused, 5);
    world.write("no.pem", "none");
    reached.by(world.command("ls localhost:1/a --ca-file no.pem"), Code::NoCertificate, 2);
    reached.by(world.command("login http://localhost:1"), Code::SchemeGiven, 2);
    let plain = Scripted::start(|_| reply(200, &[], b"{}"));
    reached.by(world.command(&format!("ls {}/a --plain-http=false", plain.host())), Code::PlainHttpAnswered, 1);
    let lossy = Scripted::start(|request| match request.line() {
        line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
        line if line.starts_with("PUT /upload") => reply(201, &[], b""),
        line if line.starts_with("PUT") => reply(400, &[], br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#),
        _ => reply(404, &[], b""),
    });
    reached.by(world.command(&format!("push talk {}/a:v1", lossy.host())), Code::ContentMissing, 1);
    let part = format!("copy oci:index:v1 {}/a:v1 --platform linux/amd64,linux/arm64", lossy.host());
    reached.by(world.command(&part), Code::ContentMissing, 1);
    let served = Served::start(world, "--writable");
    let part = part.replace(lossy.host(), &served.addr);
    reached.by(world.command(&part), Code::PartialIndexRefused, 1);
    helpers(world, &closed, reached);
    let reticent = Scripted::start(|request| match request.line() {
        line if line.contains("/referrers/") => reply(403, &[], b""),
        line if line.contains("/manifests/") => {
            let manifest = br#"{"schemaVersion":2,"manifests":[]}"#;
            reply(200, &[("content-type", "application/vnd.oci.image.index.v1+json")], manifest)
        }
        _ => reply(404, &[], b""),
    });
    let copy = format!("copy {}/a:v1 oci:copied:v1", reticent.host());
    reached.by(world.command(&copy), Code::ReferrersRefused, 5);
    world.ok(&format!("{copy} --no-referrers"));
    let shown = world.run(&format!("inspect {}/a:v1", reticent.host()));
    assert!(shown.code == 0 && shown.stderr.contains("cannot list the referrers"), "{}", shown.stderr);
    for (status, reason, code) in
        [(412, "PRECONDITION", Code::RefusedForGood), (413, "QUOTA_EXCEEDED", Code::RegistryFull)]
    {
        let body = format!(r#"{{"errors":[{{"code":"{reason}","message":"immutable"}}]}}"#);
        let refuses = Scripted::start(move |request| match request.line() {
            line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
            line if line.starts_with("PUT /upload") => reply(201, &[], b""),
            line if line.starts_with("PUT") => reply(status, &[], body.as_bytes()),
            _ => reply(404, &[], b""),
        });
        reached.by(world.command(&format!("push talk {}/a:v1", refuses.host())), code, 5);
    }
    reached.by(world.command("ls 127.0.0.1:1/a --retries 0"), Code::RegistryUnreachable, 1);
    let registry = Served::start(world, "--writable");
    world.ok(&format!("push talk {}/a:v1", registry.addr));
    reached.by(world.command(&format!("inspect {}/a:v2", registry.addr)), Code::NoSuchTag, 4);
    reached.by(world.command(&format!("tag {0}/a:v1 {0}/a:v2", registry.addr)), Code::TagExpected, 2);
    reached.by(world.command(&format!("serve oci:two --listen {}", registry.addr)), Code::AddressInUse, 1);
    let keeps_tags = Scripted::start(|request| match request.line() {
        line if line.starts_with("DELETE") => reply(400, &[], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#),
        _ => reply(200, &[("content-type", "application/vnd.oci.image.manifest.v1+json")], b"{}"),
    });
    reached.by(world.command(&format!("delete {}/a:v1", keeps_tags.host())), Code::TagsNotRemovable, 1);
    let blocked = "[[registry]]\nlocation = \"registry.test\"\nblocked = true";
    world.write(".config/containers/registries.conf", blocked);
    reached.by(world.command("ls registry.test/a"), Code::Blocked, 5);
}

fn proxies(world: &World, reached: &mut Reached) {
    let wants = Scripted::start(|_| reply(407, &[], b""));
    for (proxy, code) in [
        ("socks5://127.0.0.1:1", Code::ProxyUnsupported),
        ("http://[", Code::ProxyMalformed),
        (wants.host(), Code::ProxyWantsLogin),
        ("127.0.0.1:1", Code::ProxyFailed),
    ] {
        let mut command = world.command("ls elsewhere.test/a --retries 0");
        command.env("HTTPS_PROXY", proxy);
        reached.by(command, code, 1);
    }
}

/// Credential helpers, at a registry that wants a password.
fn helpers(world: &World, registry: &Scripted, reached: &mut Reached) {
    world.write("bin/docker-credential-bad", "#!/bin/sh\necho no session; exit 1\n");
    let program = world.path().join("bin/docker-credential-bad");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.write("bad.json", r#"{"credsStore":"bad"}"#);
    let mut listing = world.command(&format!("ls {}/a --auth-file bad.json", registry.host()));
    listing.env("PATH", world.path().join("bin"));
    reached.by(listing, Code::HelperFailed, 5);
    world.write("gone.json", r#"{"credsStore":"gone"}"#);
    let open = Scripted::start(|_| reply(200, &[], b"{}"));
    let mut login = world.command(&format!("login {} -u a --password-stdin --auth-file gone.json", open.host()));
    login.stdin(std::fs::File::open(world.path().join("password")).unwrap());
    reached.by(login, Code::HelperMissing, 1);
}
