//! The table of exit codes in the README: each row's examples, reached by real commands.

use std::os::unix::fs::PermissionsExt as _;

use artifact::oci::Digest;

use super::{Served, World, ran};
use crate::support::scripted::{Scripted, reply};

/// Command lines, each with what its error or note says.
fn end_with(world: &World, code: i32, lines: &[(String, &str)]) {
    let wrong = lines.iter().filter_map(|(line, words)| {
        let ran = world.run(line);
        let fits = ran.code == code && ran.stderr.contains(words);
        (!fits)
            .then(|| format!("{line}: {} instead of {code}, without `{words}`: {}{}", ran.code, ran.stdout, ran.stderr))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn owned<'a>(lines: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    lines.iter().map(|(line, words)| ((*line).to_owned(), *words)).collect()
}

/// A registry that answers everything with this status.
fn answering(status: u16, code: &str) -> Scripted {
    let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    Scripted::start(move |_| reply(status, &[], body.as_bytes()))
}

/// The file of a blob in a layout.
fn blob(world: &World, layout: &str, content: &str) -> std::path::PathBuf {
    world.path().join(layout).join("blobs/sha256").join(Digest::of(content.as_bytes()).hex())
}

/// A layout with the tag `v1`, a file bundle of one file with this content.
fn layout(world: &World, name: &str) {
    world.write("content.txt", "all is well");
    world.ok(&format!("push content.txt oci:{name}:v1 -q"));
}

#[test]
fn zero_it_happened_or_there_was_nothing_to_do_which_is_said() {
    let world = World::new();
    end_with(
        &world,
        0,
        &owned(&[
            ("push talk oci:x:v1", "new tag `v1`"),
            ("push talk oci:x:v1", "nothing moved"),
            ("copy oci:x:v1 oci:y:v1 --dry-run", "nothing was moved"),
            ("tag oci:x:v1 v1", "is unchanged"),
            ("delete oci:x --filter none* --yes", "nothing to delete"),
            ("annotate oci:x:v1 none-", ""),
            ("check oci:x", "no problems found"),
        ]),
    );
}

#[test]
fn one_it_failed_for_a_reason_that_may_pass_or_that_no_other_code_names() {
    let world = World::new();
    layout(&world, "lacks");
    std::fs::remove_file(blob(&world, "lacks", "all is well")).unwrap();
    world.write("bad/slides.yaml", "title: t\nimages: 7\n");
    world.write("bin/artifact-type-broken", "#!/bin/sh\necho no plan\n");
    let program = world.path().join("bin/artifact-type-broken");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (busy, broken) = (answering(429, "TOOMANYREQUESTS"), answering(500, "UNKNOWN"));
    end_with(
        &world,
        1,
        &[
            ("ls 127.0.0.1:1/a --retries 0".to_owned(), "Connection refused"),
            (format!("ls {}/a --retries 0", busy.host()), "429"),
            (format!("ls {}/a --retries 0", broken.host()), "500"),
            // It could not look.
            (format!("inspect {}/a:v1 --retries 0", broken.host()), "500"),
            (format!("check {}/a --retries 0", broken.host()), "500"),
            ("push bad oci:x --type slideshow".to_owned(), "slides.yaml:2"),
            ("copy oci:lacks:v1 oci:copied:v1".to_owned(), "is not in oci:lacks"),
            ("pull oci:lacks:v1 files --unpack".to_owned(), "is not in oci:lacks"),
            ("cat oci:lacks:v1 content.txt".to_owned(), "is not in oci:lacks"),
            ("pull oci:lacks:v1 content.txt".to_owned(), "content.txt"),
        ],
    );
    let mut plugin = world.command("push content.txt oci:x --type broken");
    let plugin =
        ran(plugin.env("PATH", format!("{}:/bin:/usr/bin", world.path().join("bin").display())).output().unwrap());
    assert!(plugin.code == 1 && plugin.stderr.contains("broken"), "{}", plugin.stderr);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let full = ran(world.command("ls oci:lacks").stdout(full).output().unwrap());
    assert!(full.code == 1 && full.stderr.contains("No space left"), "{}", full.stderr);
}

#[test]
fn two_the_command_line_is_wrong_or_a_file_that_is_named_as_configuration() {
    let world = World::new();
    world.write("bad.yaml", "a: [");
    world.write("list", "localhost:1/x/a:v1\nlocalhost:2/x/a:v1\n");
    world.write("empty", "");
    end_with(
        &world,
        2,
        &owned(&[
            ("push --nonsense", "--nonsense"),
            ("nonsense", "nonsense"),
            ("inspect nonsense", "is not a reference"),
            ("inspect localhost:1/A", "lower case"),
            ("push talk oci:x --type nosuch", "nosuch"),
            ("push talk oci:x --type-file bad.yaml", "bad.yaml"),
            ("push talk oci:x --type-file none.yaml", "none.yaml"),
            ("push talk oci:x --set nosuch=1", "nosuch"),
            ("ls localhost:1/a --hosts bad.yaml", "bad.yaml"),
            ("ls localhost:1/a --hosts none.yaml", "none.yaml"),
            ("ls localhost:1/a --auth-file none.json", "none.json"),
            ("ls localhost:1/a --ca-file empty", "empty"),
            ("serve --htpasswd empty", "empty"),
            ("serve --faults bad.yaml", "bad.yaml"),
            ("copy --list list localhost:3/m", "localhost:3/m/x/a:v1"),
            ("inspect localhost:1/a --template {{", "--template"),
        ]),
    );
}

#[test]
fn three_something_was_checked_and_is_not_what_it_should_be() {
    let world = World::new();
    layout(&world, "digest");
    layout(&world, "size");
    std::fs::write(blob(&world, "digest", "all is well"), "all is hell").unwrap();
    std::fs::write(blob(&world, "size", "all is well"), "all").unwrap();
    world.write("other.json", "{}");
    world.ok("push talk oci:kept:v1 -q");
    let other = Digest::of(b"other");
    end_with(
        &world,
        3,
        &[
            ("copy oci:digest:v1 oci:a".to_owned(), "has digest"),
            ("pull oci:digest:v1 files --unpack".to_owned(), "has digest"),
            ("copy oci:size:v1 oci:b".to_owned(), "bytes"),
            ("check oci:digest".to_owned(), ""),
            ("check oci:size".to_owned(), ""),
            (format!("blob push oci:kept@{other} other.json"), "sha256:"),
            (format!("manifest push oci:kept@{other} other.json"), "sha256:"),
            ("pull oci:kept:v1 chart --unpack --type helm-chart".to_owned(), "helm-chart"),
        ],
    );
}

#[test]
fn four_what_was_named_is_not_there() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let at = &registry.addr;
    world.ok(&format!("push talk {at}/talk:v1"));
    world.ok("push talk oci:kept:v1");
    let none = Digest::of(b"none");
    end_with(
        &world,
        4,
        &[
            ("push nothing oci:x".to_owned(), "nothing"),
            (format!("inspect {at}/talk:v2"), "v2"),
            (format!("inspect {at}/talk@{none}"), "sha256:"),
            (format!("inspect {at}/none:v1"), "none"),
            (format!("ls {at}/none"), "none"),
            (format!("resolve {at}/talk:^9"), "range"),
            ("inspect oci:kept:v2".to_owned(), "v2"),
            ("inspect ./none.tar".to_owned(), "none.tar"),
            ("inspect oci:none".to_owned(), "none"),
            ("cat oci:kept:v1 nosuch".to_owned(), "nosuch"),
            ("pull oci:kept:v1 files --unpack --include nosuch".to_owned(), "no file matches"),
            ("types show nosuch".to_owned(), "nosuch"),
            ("delete oci:kept:v9".to_owned(), "v9"),
            ("logout registry.example".to_owned(), "registry.example"),
        ],
    );
    let world = super::listing::with_platforms();
    end_with(&world, 4, &owned(&[("pull oci:index:v1 out --platform linux/s390x", "linux/s390x")]));
}

#[test]
fn five_it_was_refused_for_good() {
    let world = World::new();
    let (closed, denied) = (answering(401, "UNAUTHORIZED"), answering(403, "DENIED"));
    let immutable = Scripted::start(|request| match request.line() {
        line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
        line if line.starts_with("PUT /upload") => reply(201, &[], b""),
        line if line.starts_with("PUT") => reply(409, &[], br#"{"errors":[{"code":"TAG_IMMUTABLE"}]}"#),
        _ => reply(404, &[], b""),
    });
    let small = Served::start(&world, "--writable --quota 10B tree");
    end_with(
        &world,
        5,
        &[
            (format!("ls {}/a", closed.host()), "401"),
            (format!("ls {}/a", denied.host()), "403"),
            (format!("push talk {}/a:v1", immutable.host()), "TAG_IMMUTABLE"),
            (format!("push talk {}/a:v1 --retries 0", small.addr), "507"),
        ],
    );
}

#[test]
fn of_several_the_worst_decides() {
    let world = World::new();
    world.ok("push talk oci:good:v1 -q");
    layout(&world, "damaged");
    std::fs::write(blob(&world, "damaged", "all is well"), "all is hell").unwrap();
    let denied = answering(403, "DENIED");
    let lines = [
        "127.0.0.1:1/a:v1".to_owned(),
        "oci:good:none".to_owned(),
        format!("{}/a:v1", denied.host()),
        "oci:damaged:v1 -> oci:to:damaged".to_owned(),
    ];
    for (failing, code) in [(1, 1), (2, 4), (3, 5), (4, 3)] {
        world.write("list", &format!("oci:good:v1 -> oci:to:good\n{}\n", lines[..failing].join("\n")));
        end_with(&world, code, &owned(&[("copy --keep-going --list list oci:to --retries 0", "artifacts failed")]));
    }
}
