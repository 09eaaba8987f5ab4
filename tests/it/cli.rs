//! The command line as a user meets it: wiring, messages, exit codes. What it calls is tested where it lives.

mod access;
mod debug;
mod deleting;
mod errors;
mod exit_codes;
mod help;
mod hints;
mod keep_going;
mod keys;
mod listing;
mod long_list;
mod many;
mod platforms;
mod progress;
mod ranges;
mod raw;
mod sources;
mod text;
mod tree;
mod types;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::program::{Ran, Served, World, ran};

#[test]
fn a_talk_goes_through_a_registry_and_comes_back() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let there = format!("{}/talks/oci:v1", registry.addr);
    let digest = world.ok(&format!("push talk/slides.yaml {there} --quiet"));
    assert!(digest.starts_with("sha256:"), "{digest}");
    assert_eq!(world.ok(&format!("plan talk/slides.yaml {there} -q")), digest);
    assert_eq!(world.ok(&format!("ls {}", registry.addr)), "talks/oci\n");
    assert_eq!(world.ok(&format!("ls {}/talks/oci", registry.addr)), "v1\n");
    assert_eq!(world.ok(&format!("pull {there} layout -q")), digest);
    assert_eq!(world.ok("copy oci:layout oci-archive:talk.tar -q"), digest);
    for store in ["oci:layout", "oci-archive:talk.tar", &there] {
        world.ok(&format!("check {store}"));
    }
    world.ok("pull oci-archive:talk.tar again --unpack");
    assert_eq!(world.ok("plan again -q"), digest);
    for name in ["1.png", "2.png"] {
        let (before, after) = (world.path().join("talk").join(name), world.path().join("again").join(name));
        assert_eq!(std::fs::read(before).unwrap(), std::fs::read(after).unwrap(), "{name}");
    }
    let inspected: Value = serde_json::from_str(&world.ok(&format!("inspect {there} --format json"))).unwrap();
    assert_eq!(inspected["type"], "slideshow");
    assert_eq!(inspected["layers"].as_array().unwrap().len(), 2);
    let config = world.ok(&format!("cat {there} config"));
    assert_eq!(config, r#"{"title":"A talk","images":["1.png","2.png","1.png"]}"#);
}

/// The samples of the repository, of every built-in type and form.
fn examples() -> [std::path::PathBuf; 5] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    ["slides/slides.yaml", "slides/talk.yaml", "deck/deck.md", "chart", "docs"].map(|path| root.join(path))
}

#[test]
fn what_was_packed_of_every_example_passes_the_check() {
    let world = World::new();
    for (n, source) in examples().iter().enumerate() {
        let pushed = ran(world.command("push").arg(source).arg(format!("oci:layout-{n}")).output().unwrap());
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
        let checked = world.run(&format!("check oci:layout-{n}"));
        assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{}: {}", source.display(), checked.stderr);
    }
}

#[test]
fn a_packed_chart_passes_the_check_and_one_whose_config_has_no_name_does_not() {
    let world = World::new();
    let chart = &examples()[3];
    let archive = world.path().join("notice-board-1.tgz");
    let tar = Command::new("tar").arg("czf").arg(&archive).arg("-C").arg(chart.parent().unwrap()).arg("chart").status();
    assert!(tar.unwrap().success());
    world.ok("push notice-board-1.tgz oci:charts:v1 --set strict=false");
    assert_eq!(world.ok("check oci:charts:v1"), "");
    // The same chart with a config that says nothing.
    let manifest = world.ok("cat oci:charts:v1");
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
    let length = usize::try_from(manifest["config"]["size"].as_u64().unwrap()).unwrap();
    let blobs = world.path().join("charts/blobs/sha256");
    let put = |bytes: &[u8]| {
        let digest = artifact::oci::Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    let (digest, size) = put(b"{\"version\":\"1\"}");
    (manifest["config"]["digest"], manifest["config"]["size"]) = (digest.into(), size.into());
    let (digest, _) = put(manifest.to_string().as_bytes());
    world.ok(&format!("tag oci:charts@{digest} nameless"));
    let nameless = world.run("check oci:charts:nameless");
    assert_eq!(nameless.code, 3, "{}", nameless.stderr);
    assert!(nameless.stdout.contains("a part of the file name is empty"), "{}", nameless.stdout);
    // A damaged config is one finding, not two.
    std::fs::write(blobs.join(&config["sha256:".len()..]), "x".repeat(length)).unwrap();
    let damaged = world.run("check oci:charts:v1");
    assert!(damaged.stdout.starts_with(&format!("error: {config}: ")), "{}", damaged.stdout);
    assert_eq!((damaged.code, damaged.stdout.lines().count()), (3, 1), "{}", damaged.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_another_writer_of_an_archive_and_says_so() {
    use artifact::store::{Intent, begin};
    let world = World::new();
    let digest = world.ok("push talk oci-archive:talk.tar:v1 -q");
    let archive = artifact::stores::Archive::create(world.path().join("talk.tar")).unwrap();
    for line in
        ["push talk oci-archive:talk.tar:v2", "tag oci-archive:talk.tar:v1 v3", "delete oci-archive:talk.tar:v1"]
    {
        let other = begin(&archive, Intent::default()).await.unwrap();
        let mut waiting = world.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
        if line.starts_with("push") {
            assert_eq!(lines.next().unwrap().unwrap(), "slideshow (directory): a directory with `slides.yaml`");
        }
        let said = lines.next().unwrap().unwrap();
        assert!(said.starts_with("waiting at most 60 s: another process is writing `"), "{line}: {said}");
        other.commit().await.unwrap();
        assert!(waiting.wait().unwrap().success(), "{line}");
    }
    assert_eq!(world.ok("ls oci-archive:talk.tar"), "v2\nv3\n");
    assert_eq!(world.ok("inspect oci-archive:talk.tar:v3 -q"), digest);
}

#[test]
fn pushing_what_is_there_moves_nothing_and_says_so() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let line = format!("push talk/slides.yaml {}/talk:v1", registry.addr);
    let first = world.run(&line);
    assert!(first.stderr.contains("moved"), "{}", first.stderr);
    let second = world.run(&line);
    assert_eq!(second.stdout, first.stdout);
    assert!(second.stderr.contains("nothing moved"), "{}", second.stderr);
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let world = World::new();
    let digest = world.ok("push talk/slides.yaml oci:out:v1 --dry-run -q");
    assert!(!world.path().join("out").exists());
    assert_eq!(world.ok("push talk/slides.yaml oci:out:v1 -q"), digest);
}

#[test]
fn a_dry_push_shows_the_plan_of_the_run() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for to in [format!("{}/talk", registry.addr), "oci:out".into(), "oci-archive:out.tar".into()] {
        for (source, names) in
            [("talk/slides.yaml", "new new"), ("talk/1.png", "moved new"), ("talk/1.png", "same same")]
        {
            let line = format!("push {source} {to}:v1 --tag {}", if source.ends_with("png") { "v3" } else { "v2" });
            let document =
                |line: &str| -> Value { serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap() };
            let (foreseen, done) = (document(&format!("{line} -n")), document(&line));
            assert_eq!(foreseen["dryRun"], true);
            let taken = match source {
                "talk/slides.yaml" => ["slideshow", "images", "a file `slides.yaml` with `images`"],
                _ => ["file-bundle", "file", "a file"],
            };
            assert_eq!(["type", "form", "why"].map(|key| foreseen[key].as_str().unwrap()), taken, "{line}");
            assert_eq!(foreseen["layers"].as_array().unwrap().len(), if source.ends_with("png") { 1 } else { 2 });
            for key in ["names", "root", "moved", "bytes", "location"] {
                assert_eq!(foreseen[key], done[key], "{line}: {key}");
            }
            let outcomes: Vec<&str> =
                done["names"].as_array().unwrap().iter().map(|name| name["outcome"].as_str().unwrap()).collect();
            assert_eq!(outcomes.join(" "), names, "{line}");
        }
    }
    let said = world.run(&format!("push talk/slides.yaml {}/talk:v1 -n", registry.addr)).stderr;
    let (taken, said) = said.split_once('\n').unwrap();
    assert_eq!(taken, "slideshow (images): a file `slides.yaml` with `images`");
    assert!(said.starts_with("dry run: nothing was moved\ntag `v1` would move from sha256:"), "{said}");
}

#[test]
fn the_form_that_was_found_is_the_one_that_is_planned() {
    let world = World::new();
    let detect =
        "detect:\n- {form: raw, explicit: true, file: {glob: '*.poem'}}\n- {form: nice, file: {glob: '*.poem'}}\n";
    let head = "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {name: poem, description: A poem}\n";
    let layers = "source: {sets: {poem: {path: '{{ source.path }}'}}}\n\
                  layers: {items: [{id: poem, raw: poem, title: '{{ form }}-{{ source.name }}'}]}\n";
    world.write(
        "artifact-types/poem.yaml",
        &format!("{head}{detect}{layers}manifest: {{artifactType: application/vnd.poem.v1}}\n"),
    );
    world.write("a.poem", "roses are red");
    assert!(world.ok("plan a.poem").contains("nice-a.poem"));
    // Only who names the type gets the form that must be asked for.
    assert!(world.ok("plan a.poem --type poem").contains("raw-a.poem"));
    assert_eq!(
        world.run("plan a.poem").stderr.lines().next(),
        Some("poem (nice) of artifact-types/poem.yaml: a file `*.poem`")
    );
    assert_eq!(
        world.run("plan a.poem --type poem").stderr.lines().next(),
        Some("poem (raw) of artifact-types/poem.yaml: named by the user")
    );
    world.ok("push a.poem oci:out:v1");
    assert_eq!(world.ok("cat oci:out:v1 nice-a.poem"), "roses are red");
}

#[test]
fn a_type_that_is_a_program_says_that_it_does_not_unpack() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let empty = r#"{"id":"config","mediaType":"application/vnd.oci.empty.v1+json","empty":{}}"#;
    let layer =
        r#"{"id":"f","mediaType":"text/plain","file":"f","annotations":{"org.opencontainers.image.title":"f"}}"#;
    let plan = format!(
        r#"{{"apiVersion":"artifact-plan/v1","type":"mine","base":"%s","manifest":{{"config":{empty},"artifactType":"application/vnd.mine","layers":[{layer}]}}}}"#
    );
    let about = r#"{"apiVersion":"artifact-plan/v1","name":"mine","description":"What is mine"}"#;
    let program = format!("case $1 in describe) echo '{about}';; plan) printf '{plan}' \"$2\";; esac");
    world.write("bin/artifact-type-mine", &format!("#!/bin/sh\n{program}\n"));
    let program = world.path().join("bin/artifact-type-mine");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.write("src/f", "mine");
    let run = |line: &str| ran(world.command(line).env("PATH", world.path().join("bin")).output().unwrap());
    let pushed = run("push src oci:out:v1 --type mine");
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let taken = format!("mine: the program `{}`\n", world.path().join("bin/artifact-type-mine").display());
    assert!(pushed.stderr.starts_with(&taken), "{}", pushed.stderr);
    let refused = run("pull oci:out:v1 files --unpack --type mine");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let program = world.path().join("bin/artifact-type-mine");
    let error = format!("error: `mine` is a program, {}, that packs but does not unpack\n", program.display());
    assert!(refused.stderr.contains(&error), "{}", refused.stderr);
    let hint = refused.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
    assert!(hint.contains("without `--type`") && hint.contains("without `--unpack`"), "{}", refused.stderr);
    // Both ways out lead to the file.
    assert_eq!(run("pull oci:out:v1 files --unpack").code, 0);
    assert_eq!(std::fs::read_to_string(world.path().join("files/f")).unwrap(), "mine");
    assert_eq!(run("pull oci:out:v1 layout").code, 0);
    assert_eq!(run("cat oci:layout f").stdout, "mine");
    let listed = run("types list").stdout;
    assert!(listed.contains("mine") && listed.contains("What is mine"), "{listed}");
    // A name that nothing has is told as ever.
    let unknown = run("pull oci:out:v1 more --unpack --type nine");
    assert!(unknown.stderr.contains("there is no artifact type `nine`"), "{}", unknown.stderr);
}

#[test]
fn a_dry_copy_says_what_would_move_and_moves_nothing() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    let dry = |to: &str| -> Value {
        serde_json::from_str(&world.ok(&format!("copy oci:out:v1 {to} --dry-run --format json"))).unwrap()
    };
    assert_eq!(
        (dry("oci:new")["moved"]["items"].as_u64(), dry("oci:new")["present"]["items"].as_u64()),
        (Some(4), Some(0))
    );
    assert!(!world.path().join("new").exists());
    let said = world.run("copy oci:out:v1 oci:new --dry-run").stderr;
    assert!(said.starts_with("dry run: nothing was moved\noci:new: new tag `v1`, 4 items would move ("), "{said}");
    world.ok("copy oci:out:v1 oci:new");
    let said = world.run("copy oci:out:v1 oci:new --dry-run").stderr;
    assert_eq!(said, "dry run: nothing was moved\noci:new: tag `v1` is unchanged, nothing would move, 4 are present\n");
    assert_eq!(
        (dry("oci:new")["moved"]["items"].as_u64(), dry("oci:new")["present"]["items"].as_u64()),
        (Some(0), Some(4))
    );
}

#[test]
fn what_a_run_has_cost_is_written_however_it_ends() {
    let world = World::new();
    let costs = || std::fs::read_to_string(world.path().join("costs.json")).unwrap();
    world.fails("copy oci:none:v1 oci:out --costs costs.json", 4, &["none"]);
    assert_eq!(costs(), "{\"hashed\":0}\n");
    world.ok("plan talk/1.png --costs costs.json");
    let hashed = serde_json::from_str::<Value>(&costs()).unwrap()["hashed"].as_u64().unwrap();
    assert!(hashed > "\u{89}PNG one".len() as u64, "the file, and a manifest: {hashed}");
    world.fails("plan talk/1.png --costs none/costs.json", 4, &["cannot write `none/costs.json`"]);
}

#[test]
fn a_tag_is_set_and_deleted() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    world.ok("tag oci:out:v1 v2 latest");
    assert_eq!(world.ok("ls oci:out"), "latest\nv1\nv2\n");
    world.ok("delete oci:out:v1");
    assert_eq!(world.ok("ls oci:out"), "latest\nv2\n");
    let other = world.ok("push talk/1.png oci:out:v1 -q");
    let said = world.run("tag oci:out:v2 v1 v2 v9").stderr;
    let now = world.ok("inspect oci:out:v2 -q");
    let (other, now) = (other.trim(), now.trim());
    assert_eq!(
        said,
        format!("oci:out:v1 moved from {other} to {now}\noci:out:v2 is unchanged: {now}\noci:out:v9 is new: {now}\n")
    );
    world.ok("delete oci:out:v1");
    world.fails("delete oci:out:v1", 4, &["v1"]);
    world.fails("tag oci:out:v2 bad..tag/", 2, &["bad..tag/"]);
    world.fails("tag oci:nowhere:v2 x", 4, &["nowhere"]);
    assert!(!world.path().join("nowhere").exists());
}

#[test]
fn what_refers_to_a_deleted_manifest_is_named_or_goes_too() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/talk", registry.addr), "oci:out".into(), "oci-archive:out.tar".into()] {
        let push = |line: &str| world.ok(&format!("push {line} -q")).trim().to_owned();
        let stay = |digest: &str| world.run(&format!("cat {place}@{digest}")).code == 0;
        for flag in ["", "--referrers"] {
            let talk = push(&format!("talk/slides.yaml {place}:v1"));
            let about = push(&format!("talk/1.png {place} --subject {place}:v1"));
            let twice = push(&format!("talk/2.png {place} --subject {place}@{about}"));
            let [signature, ..] = artifact::oci::Tag::companions_of(&talk.parse().unwrap());
            let signed = push(&format!("talk/1.png {place}:{signature} --annotation a=b"));
            let deleted = world.run(&format!("delete {place}@{talk} {flag}"));
            assert_eq!(deleted.code, 0, "{}", deleted.stderr);
            for digest in [&about, &twice] {
                let line = format!("artifact delete {place}@{digest}");
                assert_eq!(deleted.stderr.contains(&line), flag.is_empty(), "{place} {flag}: {}", deleted.stderr);
                assert_eq!(stay(digest), flag.is_empty(), "{place} {flag}: {}", deleted.stderr);
            }
            assert!(!stay(&talk) && !stay(&signed), "{place} {flag}: {}", deleted.stderr);
        }
        assert_eq!(world.run(&format!("ls {place}")).stdout, "");
        // What has another name keeps it.
        let talk = push(&format!("talk/slides.yaml {place}:v1"));
        let [signature, ..] = artifact::oci::Tag::companions_of(&talk.parse().unwrap());
        let signed = push(&format!("talk/1.png {place}:{signature} --tag other"));
        world.ok(&format!("delete {place}@{talk} --referrers"));
        assert_eq!(world.ok(&format!("inspect {place}:other -q")).trim(), signed);
        assert_eq!(world.ok(&format!("ls {place}")), "other\n");
        world.ok(&format!("delete {place}@{signed}"));
        world.fails(&format!("delete {place}:v1 --referrers"), 2, &["LOCATION@DIGEST"]);
    }
}

#[test]
fn a_repository_that_is_not_there_is_not_found_to_be_right() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.fails(&format!("check {}/nada", registry.addr), 4, &["does not exist or has no tags"]);
    world.ok(&format!("push talk {}/a:v1", registry.addr));
    world.ok(&format!("check {}/a", registry.addr));
}

#[test]
fn a_server_does_not_hide_what_it_cannot_read() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    let path = world.path().join("out/index.json");
    let index = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, index.replace("\"manifests\":[", "\"manifests\":[{\"mediaType\":\"x\"},")).unwrap();
    let served = Served::start(&world, "out");
    world.ok(&format!("pull {}/out:v1 there", served.addr));
    for line in ["ls", "check"] {
        world.fails(
            &format!("{line} {}/out --retries 0", served.addr),
            1,
            &["cannot list all tags: index.json: entry 0"],
        );
    }
    let copied = world.run(&format!("copy --all-tags {}/out oci:all --retries 0", served.addr));
    assert!(copied.code == 1 && copied.stderr.contains("cannot list all tags"), "{}", copied.stderr);
}

#[test]
fn the_first_digits_of_a_digest_name_a_manifest_of_a_layout_or_archive() {
    let world = World::new();
    for place in ["oci:out", "oci-archive:out.tar"] {
        let talk = world.ok(&format!("push talk/slides.yaml {place}:v1 -q")).trim().to_owned();
        let other = world.ok(&format!("push talk/1.png {place}:v2 -q")).trim().to_owned();
        let short = &talk[.."sha256:".len() + 8];
        for line in ["inspect", "cat", "check"] {
            world.ok(&format!("{line} {place}@{short}"));
        }
        assert_eq!(world.ok(&format!("inspect {place}@{short} -q")).trim(), talk);
        assert_eq!(world.ok(&format!("copy {place}@{short} oci:{} -q", place.len())).trim(), talk);
        world.fails(&format!("inspect {place}@sha256:00000000"), 4, &["starting with sha256:00000000"]);
        world.fails(&format!("inspect {place}@{}", &talk[..14]), 2, &["first 8 digits"]);
        // Content that is no manifest does not count.
        let image = world.ok(&format!("inspect {place}:v2 --format json"));
        let image: Value = serde_json::from_str(&image).unwrap();
        let layer = image["layers"][0]["digest"].as_str().unwrap().to_owned();
        world.fails(&format!("inspect {place}@{}", &layer[..20]), 4, &["no manifest"]);
        world.ok(&format!("delete {place}@{}", &other[..20]));
        assert_eq!(world.ok(&format!("ls {place}")), "v1\n");
    }
    world.fails("inspect localhost:1/a@sha256:12345678", 2, &["sha256:12345678"]);
}

#[test]
fn what_is_attached_is_listed_with_its_subject() {
    let world = World::new();
    world.write("report.json", "{}");
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/talk", registry.addr), "oci:out".into(), "oci-archive:out.tar".into()] {
        let talk = world.ok(&format!("push talk/slides.yaml {place}:v1 -q")).trim().to_owned();
        let dry = world.run(&format!("attach {place}:v1 report.json -n"));
        assert!(dry.stderr.contains(&format!("would be attached to {place}@{talk}\n")), "{}", dry.stderr);
        world.fails(&format!("attach {place}:v1 report.json --artifact-type no"), 2, &["expected a media type"]);
        let by_tag = "--artifact-type application/spdx+json --annotation made=today";
        let attached = world.ok(&format!("attach {place}:v1 report.json {by_tag} -q")).trim().to_owned();
        let by_digest = world.ok(&format!("attach {place}@{talk} talk/1.png --tag picture -q")).trim().to_owned();
        let document: Value = serde_json::from_str(&world.ok(&format!("inspect {place}:v1 --format json"))).unwrap();
        let referrers = document["referrers"].as_array().unwrap();
        let mut found: Vec<&str> = referrers.iter().map(|desc| desc["digest"].as_str().unwrap()).collect();
        let mut expected = [attached.as_str(), by_digest.as_str()];
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{place}");
        let report = referrers.iter().find(|desc| desc["digest"] == attached.as_str()).unwrap();
        assert_eq!(
            (&report["artifactType"], &report["annotations"]["made"]),
            (&"application/spdx+json".into(), &"today".into())
        );
        assert_eq!(world.ok(&format!("inspect {place}:picture -q")).trim(), by_digest);
        assert!(world.ok(&format!("inspect {place}:v1")).contains(&format!("\nreferrers:\n  {}", expected[0])));
        assert_eq!(document["reference"], format!("{place}@{talk}"));
        world.fails(&format!("attach {place}:v9 report.json"), 4, &["v9"]);
        world.fails(&format!("attach {place}:v1 nothing.json"), 4, &["nothing.json"]);
    }
    world.fails("attach oci:nowhere:v1 report.json", 4, &["nowhere"]);
    assert!(!world.path().join("nowhere").exists());
}

/// The digests of what refers to what is called `v1`.
fn referrers(world: &World, place: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(&world.ok(&format!("inspect {place}:v1 --format json"))).unwrap();
    let all = document["referrers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut digests: Vec<String> = all.iter().map(|desc| desc["digest"].as_str().unwrap().to_owned()).collect();
    digests.sort_unstable();
    digests
}

#[test]
fn several_sources_are_attached_each_by_itself() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.write("report.json", "{\"packages\": []}");
    world.write("licence.txt", "do as you like");
    for place in [format!("{}/talk", registry.addr), "oci:out".into(), "oci-archive:out.tar".into()] {
        let talk = world.ok(&format!("push talk/slides.yaml {place}:v1 -q")).trim().to_owned();
        let line = format!("attach {place}:v1 report.json licence.txt --artifact-type application/spdx+json");
        let dry: Value = serde_json::from_str(&world.ok(&format!("{line} -n --format json"))).unwrap();
        assert_eq!((&dry["dryRun"], &dry["artifacts"][1]["dryRun"]), (&true.into(), &true.into()));
        assert!(referrers(&world, &place).is_empty(), "{place}");

        let done: Value = serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap();
        assert_eq!(done["command"], "attach");
        let digests: Vec<&str> =
            done["artifacts"].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap()).collect();
        for (foreseen, one) in dry["artifacts"].as_array().unwrap().iter().zip(done["artifacts"].as_array().unwrap()) {
            assert_eq!(foreseen["digest"], one["digest"]);
            assert_eq!(one["names"].as_array().unwrap().len(), 0);
        }
        let mut expected = digests.clone();
        expected.sort_unstable();
        assert_eq!(referrers(&world, &place), expected, "{place}");

        // Again, and by themselves, they are the same.
        let again = world.run(&line);
        assert_eq!(again.stdout.lines().collect::<Vec<_>>(), digests, "{}", again.stderr);
        assert_eq!(world.ok(&format!("{line} -q")), again.stdout);
        let said = format!("`licence.txt` attached to {place}@{talk} as {}\n", digests[1]);
        assert!(again.stderr.contains(&said), "{}", again.stderr);
        let alone = world.ok(&format!("attach {place}:v1 licence.txt --artifact-type application/spdx+json -q"));
        assert_eq!(alone.trim(), digests[1]);
        assert_eq!(referrers(&world, &place).len(), 2, "{place}");
        world.ok(&format!("check {place}"));
    }
}

#[test]
fn of_several_sources_nothing_is_attached_when_one_cannot_be_read() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.write("report.json", "{}");
    for place in [format!("{}/talk", registry.addr), "oci:out".into(), "oci-archive:out.tar".into()] {
        world.ok(&format!("push talk/slides.yaml {place}:v1"));
        world.fails(&format!("attach {place}:v1 report.json nothing.json"), 4, &["nothing.json"]);
        world.fails(&format!("attach {place}:v9 report.json talk/1.png"), 4, &["v9"]);
        let one_name = ["`v2` can name only one artifact, but there are 2 sources"];
        world.fails(&format!("attach {place}:v1 report.json talk/1.png --tag v2"), 2, &one_name);
        assert!(referrers(&world, &place).is_empty(), "{place}");
        assert!(!world.ok(&format!("ls {place}")).contains("v2"));
    }
}

#[test]
fn twenty_that_are_attached_at_once_are_twenty_referrers() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/talk", registry.addr), "oci:out".into(), "oci-archive:out.tar".into()] {
        world.ok(&format!("push talk/slides.yaml {place}:v1"));
        let attaching: Vec<_> = (0..20)
            .map(|n| {
                world.write(&format!("note-{n}.txt"), &format!("note {n}"));
                let mut command = world.command(&format!("attach {place}:v1 note-{n}.txt"));
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in attaching {
            let done = ran(child.wait_with_output().unwrap());
            assert_eq!(done.code, 0, "{place}: {}", done.stderr);
        }
        let document: Value = serde_json::from_str(&world.ok(&format!("inspect {place}:v1 --format json"))).unwrap();
        assert_eq!(document["referrers"].as_array().unwrap().len(), 20, "{place}");
        world.ok(&format!("check {place}"));
    }
}

#[test]
fn the_only_tag_is_not_taken_for_granted_beside_what_cannot_be_read() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    assert_eq!(world.run("inspect oci:out").code, 0);
    let path = world.path().join("out/index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    index["manifests"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"mediaType": "x", "digest": "md5:00", "size": 1}));
    std::fs::write(&path, index.to_string()).unwrap();
    for line in ["inspect oci:out", "copy oci:out oci:two", "pull oci:out files --unpack"] {
        world.fails(line, 1, &["has the tag `v1` and an unreadable entry"]);
    }
    world.ok("copy oci:out:v1 oci:two");
}

#[test]
fn every_tag_is_carried_at_once() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    world.ok("push talk/slides.yaml oci:out:v2 --annotation x=y");
    world.ok("tag oci:out:v1 latest");
    world.ok("copy oci:out oci-archive:all.tar --all-tags");
    assert_eq!(world.ok("ls oci-archive:all.tar"), "latest\nv1\nv2\n");
    world.fails("copy oci-archive:all.tar:v3 oci:x", 4, &["v3"]);
    world.fails("pull oci-archive:missing.tar:v3 x", 4, &["missing.tar"]);
    assert!(!world.path().join("x/index.json").exists());
}

#[test]
fn bad_sources_are_named() {
    let world = World::new();
    world.write("gone/slides.yaml", "title: x\nimages:\n- 3.png\n");
    world.fails("push gone/slides.yaml oci:out:v1", 4, &["slides.yaml:3:3: `3.png` is not in `gone`"]);
    world.write("outside/slides.yaml", "title: x\nimages:\n- ../talk/1.png\n");
    world.fails("push outside/slides.yaml oci:out:v1", 1, &["../talk/1.png"]);
    std::fs::create_dir(world.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.path().join("link/passwd")).unwrap();
    world.fails("push link oci:out:v1", 1, &["passwd"]);
    world.fails("push nowhere oci:out:v1", 4, &["nowhere"]);
    world.fails("push talk/slides.yaml oci:out:v1 --type slidesow", 2, &["slidesow", "slideshow"]);
    world.fails("push talk/slides.yaml oci:out:v1 --set nosuch=1", 2, &["nosuch"]);
    world.fails("push talk oci:out:v1 -t file-bundle --set include=1.png --set include=2.png", 2, &["twice", "A,B"]);
    world.fails("push talk oci:out:v1 -a key=1 -a key=2", 2, &["key", "twice"]);
    assert!(!world.path().join("out").exists());
}

#[test]
fn a_definition_with_a_typo_gets_line_column_and_the_nearest_key() {
    let world = World::new();
    world.write("bad.yaml", "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadta:\n  name: x\n");
    world.fails("types lint bad.yaml", 1, &["bad.yaml:3:1", "metadta", "metadata"]);
    world.fails("push talk oci:out:v1 --type-file bad.yaml", 2, &["bad.yaml:3:1"]);
}

#[test]
fn a_new_definition_lints_and_tests_as_it_is() {
    let world = World::new();
    world.ok("types new recipe");
    world.ok("types lint artifact-types/recipe.yaml");
    world.ok("types test artifact-types/recipe.yaml");
    assert!(world.ok("types list").contains("recipe"));
    world.fails("types new recipe", 1, &["recipe.yaml"]);
}

#[test]
fn bad_references_are_refused_before_anything_is_read() {
    let world = World::new();
    for (line, word) in [
        ("push talk/slides.yaml localhost:5000/Talk:v1", "lower case"),
        ("pull talk:v1", "registry"),
        ("copy oci: oci:x", "empty"),
    ] {
        let ran = world.run(line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_registry_that_is_not_there_or_is_none_is_named() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    world.fails(&format!("push talk/slides.yaml {addr}/talk:v1"), 1, &[&addr.to_string()]);
    world.fails(&format!("pull {addr}/talk:v1 out"), 1, &[&addr.to_string()]);
    assert!(!world.path().join("out").exists());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = "<html>hello\u{1b}[31m</html>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let body = if request.starts_with(b"HEAD") { "" } else { body };
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    world.fails(&format!("ls {addr}/talk"), 1, &[&addr.to_string(), "with unexpected `"]);
    world.fails(&format!("pull {addr}/talk:v1 out"), 1, &[&addr.to_string(), "not an OCI registry"]);
    world.fails(&format!("push talk/slides.yaml {addr}/talk:v1"), 1, &[&addr.to_string(), "not an OCI registry"]);
}

#[test]
fn a_registry_that_is_busy_is_waited_for_and_that_is_said() {
    let world = World::new();
    let served = Served::start(&world, "--writable tree");
    world.ok(&format!("push talk/slides.yaml {}/talk:v1", served.addr));
    world.write("busy.yaml", "faults:\n- {on: HEAD manifest, refuse: {status: 503, headers: {Retry-After: '1'}}}\n");
    let served = Served::start(&world, "tree --faults busy.yaml");
    let ran = world.run(&format!("inspect {}/talk:v1", served.addr));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("waiting 1 s: HEAD http://127.0.0.1:") && ran.stderr.contains("503"), "{}", ran.stderr);
    let served = Served::start(&world, "tree --faults busy.yaml");
    let ran = world.run(&format!("inspect --retries 0 {}/talk:v1", served.addr));
    assert!(ran.code == 1 && !ran.stderr.contains("waiting"), "{}", ran.stderr);
}

#[test]
fn a_registry_serves_faults_and_scenarios_from_files() {
    let world = World::new();
    let served = Served::start(&world, "--writable tree");
    world.ok(&format!("push talk/slides.yaml {}/talk:v1", served.addr));
    let silent = "name: silence\noperation: pull\nlimit: 9\nfaults:\n\
                  - {on: GET|HEAD manifest, nth: all, lose: {what: request, by: silence}}\n";
    world.write("days.yaml", &format!("name: a good day\noperation: pull\nlimit: 9\n---\n{silent}"));
    let served = Served::start(&world, "tree --faults days.yaml --scenario silence");
    world.fails(&format!("inspect --retries 0 --timeout 1 {}/talk:v1", served.addr), 1, &["no answer within 2 s"]);
    world.fails("serve --faults days.yaml --scenario storm", 2, &["days.yaml", "no scenario `storm`", "silence"]);
    world.write("bad.yaml", "faults:\n- {on: HEAD thing}\n");
    world.fails("serve --faults bad.yaml", 2, &["bad.yaml", "faults:2:8", "`thing` must be part of a path"]);
}

#[test]
fn files_that_are_named_on_the_command_line_are_read_up_to_a_limit() {
    let world = World::new();
    world.write("big.file", &"#".repeat((1 << 20) + 1));
    for (line, code) in [
        ("types lint big.file", 1),
        ("types test big.file", 1),
        ("serve --faults big.file", 2),
        ("ls 127.0.0.1:1/a --ca-file big.file", 2),
        ("ls 127.0.0.1:1/a --cert-file big.file", 2),
    ] {
        world.fails(line, code, &["`big.file` is larger than 1048576 bytes, the maximum"]);
    }
}

#[test]
fn a_read_only_registry_takes_nothing() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:talks:v1");
    let registry = Served::start(&world, "oci:talks");
    assert_eq!(world.ok(&format!("ls {}", registry.addr)), "talks\n");
    world.ok(&format!("pull {}/talks:v1 out", registry.addr));
    world.fails(&format!("push talk/slides.yaml {}/talks:v2", registry.addr), 1, &["405"]);
    world.fails(&format!("ls {} --ca-file nowhere.pem", registry.addr), 2, &["nowhere.pem"]);
    world.fails(&format!("pull {}/talks:v2 out", registry.addr), 4, &["v2"]);
}

#[test]
fn an_unwritable_destination_is_named() {
    let world = World::new();
    world.write("file", "not a directory");
    world.fails("push talk/slides.yaml oci:file:v1", 1, &["file"]);
    world.fails("push talk/slides.yaml oci:file/x:v1", 1, &["file"]);
    world.fails("push talk/slides.yaml oci:talk:v1", 1, &["talk"]);
    assert!(!world.path().join("talk/blobs").exists());
}

#[test]
fn files_in_the_way_are_kept_unless_told_otherwise() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    world.write("again/1.png", "mine");
    world.fails("pull oci:out:v1 again --unpack", 1, &["1.png"]);
    assert_eq!(std::fs::read_to_string(world.path().join("again/1.png")).unwrap(), "mine");
    assert!(!world.path().join("again/2.png").exists());
    world.ok("pull oci:out:v1 again --unpack --overwrite");
    assert_ne!(std::fs::read(world.path().join("again/1.png")).unwrap(), b"mine");
    world.ok("pull oci:out:v1 some --unpack --include 2.*");
    assert!(!world.path().join("some/1.png").exists());
    assert!(world.path().join("some/2.png").exists());
}

#[test]
fn files_never_land_among_those_of_a_layout() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:store/talk:v1");
    world.ok("pull oci:store/talk:v1 copy");
    world.fails("pull oci:store/talk:v1 copy --unpack", 1, &["copy", "OCI layout"]);
    assert!(!world.path().join("copy/1.png").exists());
}

#[test]
fn names_that_talk_to_terminals_are_escaped() {
    let world = World::new();
    world.write("red/slides.yaml", "title: \"red \\e[31m\"\nimages:\n- 1.png\n");
    world.write("red/1.png", "x");
    world.ok("push red/slides.yaml oci:out:v1");
    let shown = world.ok("inspect oci:out:v1");
    assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}"), "{shown:?}");
}

#[test]
fn a_corrupted_store_is_found_and_nothing_of_it_is_unpacked() {
    let world = World::new();
    world.ok("push talk/slides.yaml oci:out:v1");
    let manifest: Value = serde_json::from_str(&world.ok("cat oci:out:v1")).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    let blob = world.path().join("out/blobs").join(digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[3] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    assert_eq!(world.run("check oci:out").code, 3);
    world.fails("pull oci:out:v1 again --unpack", 3, &["sha256:"]);
    assert!(!world.path().join("again").exists());
    world.fails("copy oci:out:v1 oci:other:v1", 3, &["sha256:"]);
    assert_eq!(world.run("ls oci:other").stdout, "");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_without_a_word() {
    let world = World::new();
    world.write("big/blob.bin", &"0123456789abcdef".repeat(1 << 16));
    world.ok("push big oci:out:v1 --set layout=files");
    let mut child = world.command("cat oci:out:v1 0").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = ran(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
}

#[test]
fn credentials_are_proved_before_they_are_kept() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let mut child =
        world.command(&format!("login {addr} -u ann --password-stdin")).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!world.path().join(".docker/config.json").exists());
}

#[test]
fn the_tour_runs() {
    let world = World::new();
    let ran = world.run("tour");
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.matches("no problems found").count(), 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing moved"), "{}", ran.stderr);
}

/// The help texts are an interface: a change of them is seen in review.
#[test]
fn help_says_what_each_command_does() {
    let world = World::new();
    let commands = [
        "",
        "push",
        "pull",
        "plan",
        "copy",
        "attach",
        "inspect",
        "tree",
        "ls",
        "tag",
        "delete",
        "cat",
        "types",
        "types list",
        "types show",
        "types new",
        "types lint",
        "types test",
        "types schema",
        "serve",
        "check",
        "login",
        "logout",
        "tour",
        "completions",
    ];
    let mut all = String::new();
    for command in commands {
        all.push_str(&format!("$ artifact {command} --help\n{}\n", world.ok(&format!("{command} --help"))));
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn a_definition_of_the_project_takes_the_place_of_the_built_in_one() {
    let world = World::new();
    let built_in = world.ok("types show slideshow --raw");
    let digest = world.ok("plan talk -q");
    world.write("artifact-types/slideshow.yaml", &built_in);
    assert_eq!(world.ok("plan talk -q"), digest);
    assert!(world.ok("types list").contains("artifact-types/slideshow.yaml"));
    // Whoever runs a command in somebody's repository is told, even with `--quiet`; who names a file knows.
    let other = "the type `slideshow` of artifact-types/slideshow.yaml takes the place of built-in:slideshow.yaml";
    for line in ["plan talk -q", "push talk oci:out:v1 -q", "pull oci:out:v1 files --unpack -q"] {
        assert!(world.run(line).stderr.contains(other), "{line}");
    }
    let named = world.run("plan talk -q --type-file artifact-types/slideshow.yaml");
    assert_eq!((named.code, named.stderr.as_str()), (0, ""));
    world.write("artifact-types/second.yaml", &built_in);
    let listed = world.run("types list");
    // Not all are listed.
    assert!(listed.code == 1 && listed.stderr.starts_with("warning: ignored an invalid artifact type: `slideshow` is"));
    assert!(listed.stderr.contains("second.yaml") && !listed.stdout.contains("slideshow"), "{}", listed.stdout);
    world.fails("plan talk", 1, &["is invalid: `slideshow` is defined in both"]);
    let linted = world.run("types lint");
    let finding = |line: &str| line.contains(".yaml: error: `slideshow` is defined in both") && line.contains("second");
    assert!(linted.code == 1 && linted.stdout.lines().any(finding), "{}", linted.stdout);
    assert!(linted.stderr.starts_with("error: 1 error in "), "{}", linted.stderr);
    let pushed = world.run("push talk/1.png oci:out:v1");
    assert!(
        pushed.code == 0 && pushed.stderr.contains("ignored an invalid artifact type: `slideshow`"),
        "{}",
        pushed.stderr
    );
    std::fs::remove_file(world.path().join("artifact-types/slideshow.yaml")).unwrap();
    let mine = built_in.replace("aliases: [slides, deck]", "aliases: [helm-chart]");
    world.write("artifact-types/second.yaml", &mine);
    let listed = world.run("types list");
    assert!(listed.code == 1 && listed.stderr.contains("`helm-chart` is defined in both"), "{}", listed.stderr);
}

#[test]
fn advice_fits_what_failed() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let hint = |line: &str, code: i32, hint: &str| {
        let ran = world.run(line);
        assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
        let said = ran.stderr.lines().find(|l| l.starts_with("hint: ")).unwrap_or_default();
        assert!(if hint.is_empty() { said.is_empty() } else { said.contains(hint) }, "{line}: {}", ran.stderr);
    };
    world.ok("types new recipe");
    hint("types new recipe", 1, "choose another name");
    hint("tour --keep talk", 1, "");
    world.ok("push talk oci:out:v1");
    world.ok("pull oci:out:v1 files --unpack");
    world.write("files/1.png", "mine");
    hint("pull oci:out:v1 files --unpack", 1, "--overwrite");
    std::fs::remove_file(world.path().join("files/1.png")).unwrap();
    std::fs::create_dir(world.path().join("files/1.png")).unwrap();
    hint("pull oci:out:v1 files --unpack --overwrite", 1, "");
    world.ok(&format!("push talk {}/talk:v1", registry.addr));
    hint(&format!("inspect {}/talk", registry.addr), 4, "artifact ls");
    world.write("two/a/x", "1");
    world.write("two/b/x", "2");
    let each = "detect: [{form: dir, dir: {}}]\nsource: {sets: {all: {dir: '.'}}}\n";
    let layers = "layers: {items: [{id: f, each: all, title: '{{ file.name }}'}]}\n";
    let head = "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {name: two, description: two}\n";
    world.write("two.yaml", &format!("{head}{each}{layers}manifest: {{artifactType: application/vnd.two.v1}}\n"));
    world.fails("plan two --type-file two.yaml -t two", 1, &["`x`", "`a/x`", "`b/x`"]);
    hint("plan two --type-file two.yaml -t two", 1, "rename");
    world.write("bundle/f", "1");
    std::os::unix::fs::symlink("f", world.path().join("bundle/l")).unwrap();
    hint("plan bundle --set layout=files", 1, "layout=tree");
}

#[test]
fn what_is_misused_ends_with_2() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    for line in [
        "delete localhost:5000/talk",
        "push talk oci:out --concurrency 0",
        "login localhost:5000 --password-stdin",
        "inspect oci:out --type slideshow",
        "pull oci:out --include x",
        "pull oci:out other::v1",
        "pull oci:out oci-archive:",
        "pull oci:out files --unpack --include [",
        "push talk localhost:1/talk --tag a/../b",
        "push talk oci:out@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "push talk oci:out --subject oci:other:v1",
        "push talk oci:out --type nosuch",
        "push talk oci:out --set nosuch=1",
        "ls oci:out:v1",
        "ls nowhere",
        "ls oci:out@sha256:x",
        "tag oci:out:v1 a!b",
        "inspect oci:out --limit-rate 0",
        "inspect oci:out --limit-rate 10X",
        "inspect oci:out --limit-rate -1K",
    ] {
        let ran = world.run(line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_repository_that_is_not_there_has_no_tags_to_list() {
    let world = World::new();
    let registry = Served::start(&world, "");
    world.fails(&format!("ls {}/nothing", registry.addr), 4, &["nothing"]);
}

#[test]
fn an_index_is_chosen_from_by_platform_before_anything_is_made() {
    let world = World::new();
    world.ok("push talk oci:image:v1");
    let (size, digest) = (world.ok("cat oci:image:v1").len(), world.ok("plan talk -q"));
    let children = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.trim(), "size": size,
        "platform": {"os": "linux", "architecture": "arm64"},
    }]})
    .to_string();
    let digest = artifact::oci::Digest::of(children.as_bytes());
    world.write(&format!("image/blobs/sha256/{}", digest.hex()), &children);
    let roots = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": children.len(),
        "annotations": {"org.opencontainers.image.ref.name": "all"},
    }]});
    world.write("image/index.json", &roots.to_string());
    world.fails("copy oci:image:all oci:none:v1 --platform linux/s390x", 4, &["linux/s390x"]);
    assert!(!world.path().join("none").exists());
    world.ok("copy oci:image:all oci:one:v1 --platform linux/arm64");
    assert!(world.ok("inspect oci:image:all").contains("\nmanifests:\n"));
    let only = world.run("pull oci:image:all files --unpack");
    assert!(only.code == 0 && only.stderr.contains("is an index; unpacking its member"), "{}", only.stderr);
}

#[test]
fn of_an_index_without_members_nothing_can_be_unpacked_and_that_is_said() {
    let world = World::new();
    world.ok("push talk oci:image:v1");
    let empty = r#"{"schemaVersion":2,"manifests":[]}"#;
    let digest = artifact::oci::Digest::of(empty.as_bytes());
    world.write(&format!("image/blobs/sha256/{}", digest.hex()), empty);
    let roots = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": empty.len(),
        "annotations": {"org.opencontainers.image.ref.name": "none"},
    }]});
    world.write("image/index.json", &roots.to_string());
    world.fails("pull oci:image:none files --unpack", 4, &["an index without members"]);
}

#[test]
fn of_an_index_with_more_members_than_are_looked_at_none_is_taken_for_the_only_one() {
    let world = World::new();
    world.ok("push talk oci:image:v1");
    let put = |bytes: &str| {
        let digest = artifact::oci::Digest::of(bytes.as_bytes());
        world.write(&format!("image/blobs/sha256/{}", digest.hex()), bytes);
        digest
    };
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let talk = serde_json::json!({
        "mediaType": kind, "digest": world.ok("plan talk -q").trim(), "size": world.ok("cat oci:image:v1").len(),
    });
    let config =
        serde_json::json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": put("{}"), "size": 2});
    let other = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
    let other = serde_json::json!({"mediaType": kind, "digest": put(&other), "size": other.len()});
    for (others, taken) in [(31, true), (32, false)] {
        let members: Vec<_> = std::iter::once(&talk).chain(std::iter::repeat_n(&other, others)).collect();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": members}).to_string();
        let roots = serde_json::json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": put(&index), "size": index.len(),
            "annotations": {"org.opencontainers.image.ref.name": "all"},
        }]});
        world.write("image/index.json", &roots.to_string());
        let pulled = world.run(&format!("pull oci:image:all files{others} --unpack"));
        assert_eq!(pulled.code == 0, taken, "{}", pulled.stderr);
        assert_eq!(pulled.stderr.contains(", and 1 more"), !taken, "{}", pulled.stderr);
    }
}

#[test]
fn what_no_type_knows_and_no_title_names_unpacks_to_nothing_with_a_note() {
    let world = World::new();
    let head = "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {name: bare, description: bare}\n";
    let source = "detect: [{form: file, file: {}}]\nsource: {sets: {all: {path: '{{ source.path }}'}}}\n";
    let rest = "layers: {items: [{id: f, raw: all}]}\nmanifest: {artifactType: application/vnd.bare.v1}\n";
    world.write("bare.yaml", &format!("{head}{source}{rest}"));
    world.ok("push talk/1.png oci:out:v1 --type-file bare.yaml --type bare");
    let pulled = world.run("pull oci:out:v1 files --unpack");
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    assert!(pulled.stderr.contains("skipped for lack of a title"), "{}", pulled.stderr);
}

#[test]
#[cfg(unix)]
fn a_server_that_is_told_to_stop_says_by_which_signal() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let world = World::new();
        let mut served = Served::start(&world, "");
        let sent = Command::new("kill").args([&format!("-{signal}"), &served.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(served.child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_program_that_is_a_type_and_what_it_started_end_with_the_command() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let about = r#"{"apiVersion":"artifact-plan/v1","name":"slow"}"#;
    world.write(
        "bin/artifact-type-slow",
        &format!("#!/bin/sh\ncase $1 in describe) echo '{about}';; *) sleep 1000 & echo $! >pid.new; mv pid.new pid; wait;; esac\n"),
    );
    std::fs::set_permissions(world.path().join("bin/artifact-type-slow"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let pid = world.path().join("pid");
        let mut command = world.command("plan talk --type slow");
        let path = format!("{}:/usr/bin:/bin", world.path().join("bin").display());
        let mut child = command.env("PATH", path).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        while !pid.exists() {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let status = format!("/proc/{}/stat", std::fs::read_to_string(&pid).unwrap().trim());
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        // Whoever takes in orphans may need a moment.
        while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::remove_file(&pid).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn a_server_stops_although_its_clients_stand_still_and_leaves_nothing_unfinished() {
    use std::io::{Read as _, Write as _};
    let world = World::new();
    let mut served = Served::start(&world, "--writable tree");
    let connect = || std::net::TcpStream::connect(&served.addr).unwrap();
    let mut starting = connect();
    starting.write_all(b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    starting.read_to_string(&mut answer).unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let mut uploading = connect();
    write!(uploading, "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n").unwrap();
    uploading.write_all(&vec![0; 3 << 20]).unwrap();
    let blobs = world.path().join("tree/a/blobs/sha256");
    assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 1);
    let sent = Command::new("kill").args(["-TERM", &served.child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(served.child.wait().unwrap().code(), Some(143));
    assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 0);
}

#[test]
fn a_server_asks_for_the_users_of_a_file_and_says_what_is_wrong_with_one() {
    let world = World::new();
    let ann = format!("ann:{}", bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap());
    std::fs::write(world.path().join("users"), format!("# users\n{ann}\n")).unwrap();
    for (text, expected) in [
        (format!("{ann}\nbob:$apr1$x$y\n"), &["users", "line 2", "`bob` is MD5", "htpasswd -nB bob"][..]),
        ("# nobody\n".into(), &["users", "no user"]),
    ] {
        std::fs::write(world.path().join("bad-users"), text).unwrap();
        world.fails("serve --htpasswd bad-users --listen 127.0.0.1:0", 2, expected);
    }
    world.fails("serve --htpasswd missing --listen 127.0.0.1:0", 2, &["missing"]);
    let served = Served::start(&world, "--writable tree --htpasswd users");
    world.fails(&format!("push talk/slides.yaml {}/talk:v1", served.addr), 5, &["401"]);
}

#[test]
fn a_certificate_or_a_quota_that_cannot_be_used_is_an_error_of_the_command_line() {
    let world = World::new();
    std::fs::write(world.path().join("no.pem"), "hello").unwrap();
    for (line, missing) in [
        ("serve --tls-cert no.pem", "--tls-key"),
        ("serve --tls-key no.pem", "--tls-cert"),
        ("serve --quota 1G", "--writable"),
        ("serve --max-uploads 3", "--writable"),
    ] {
        let ran = world.run(line);
        assert!(ran.code == 2 && ran.stderr.contains(missing), "{line}: {}", ran.stderr);
    }
    world.fails("serve --tls-cert missing.pem --tls-key no.pem", 2, &["missing.pem"]);
    world.fails("serve --tls-cert no.pem --tls-key no.pem", 2, &["no.pem", "no certificate"]);
    let pem = |label: &str, headers: &str| format!("-----BEGIN {label}-----\n{headers}AAAA\n-----END {label}-----\n");
    world.write("cert.pem", &pem("CERTIFICATE", ""));
    world.write("pkcs8.key", &pem("ENCRYPTED PRIVATE KEY", ""));
    world.write("old.key", &pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"));
    for key in ["pkcs8.key", "old.key"] {
        let decrypts = "is encrypted; `openssl pkey -in KEY -out PLAIN` decrypts it";
        world.fails(&format!("serve --tls-cert cert.pem --tls-key {key}"), 2, &[key, decrypts]);
        let client = format!("ls localhost:1/a --cert-file cert.pem --key-file {key}");
        world.fails(&client, 2, &[key, decrypts]);
    }
    world.fails("serve --writable --quota lots", 2, &["--quota"]);
}
