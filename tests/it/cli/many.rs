//! Many artifacts in one copy: which they are, and what each is called where it goes.

use artifact::oci::Tag;
use serde_json::Value;

use crate::support::program::{Ran, Served, World};

/// Talks that differ in their title and share their images.
fn write_talks(world: &World) {
    for name in ["one", "two", "three"] {
        world.write(&format!("{name}/slides.yaml"), &format!("title: Talk {name}\nimages:\n- 1.png\n- 2.png\n"));
        world.write(&format!("{name}/1.png"), "\u{89}PNG one");
        world.write(&format!("{name}/2.png"), "\u{89}PNG two");
    }
}

/// Pushes a talk, and gives its digest.
fn push(world: &World, talk: &str, location: &str) -> String {
    world.ok(&format!("push {talk}/slides.yaml {location} -q")).trim().to_owned()
}

fn digest_of(world: &World, location: &str) -> String {
    world.ok(&format!("inspect {location} -q")).trim().to_owned()
}

fn json(world: &World, line: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap()
}

/// Name and outcome of each name of a report.
fn names(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["names"].as_array().unwrap().iter().map(|n| (text(&n["location"]), text(&n["outcome"]))).collect()
}

#[test]
fn a_list_goes_into_a_layout_under_whole_references_and_back_below_a_repository() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    let at = &near.addr;
    let one = push(&world, "one", &format!("{at}/talks/one:v1"));
    let two = push(&world, "two", &format!("{at}/talks/two:latest"));
    let three = push(&world, "three", &format!("{at}/three:v3"));
    world.write(
        "list.txt",
        &format!("# talks\n{at}/talks/one:v1\n\n{at}/talks/two  # the latest\n{at}/three@{three}\n{at}/talks/one:v1\n"),
    );
    for store in ["oci:bundle", "oci-archive:bundle.tar"] {
        let copied = world.ok(&format!("copy --list list.txt {store}"));
        assert_eq!(copied, format!("{one}\n{two}\n{three}\n"));
        let expected = format!("{at}/talks/one:v1\n{at}/talks/two:latest\n{at}/three@{three}\n");
        assert_eq!(world.ok(&format!("ls {store}")), expected, "{store}");
        // Again: nothing moves, and the names are the same.
        let again = json(&world, &format!("copy --list list.txt {store}"));
        assert_eq!((&again["moved"]["items"], &again["names"][0]["outcome"]), (&0.into(), &"same".into()));
        assert_eq!(again["names"][0]["name"], format!("{at}/talks/one:v1"));
        let line = format!("copy --all-tags {store} {}/mirror --recheck", far.addr);
        let back = json(&world, &line);
        let below = |name: &str| format!("{}/mirror/{name}", far.addr);
        let outcome = if store == "oci:bundle" { "new" } else { "same" };
        let expected = [(below("talks/one:v1"), outcome.into()), (below("talks/two:latest"), outcome.into())];
        assert_eq!(names(&back), expected);
        assert_eq!(digest_of(&world, &below("talks/one:v1")), one);
        assert_eq!(digest_of(&world, &below("talks/two:latest")), two);
        assert_eq!(digest_of(&world, &below(&format!("three@{three}"))), three);
    }
    // A layout keeps such names for a layout.
    world.ok("copy --all-tags oci:bundle oci:again");
    assert_eq!(world.ok("ls oci:again"), world.ok("ls oci:bundle"));
}

#[test]
fn what_repositories_share_is_sent_once_and_mounted() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    for talk in ["one", "two", "three"] {
        push(&world, talk, &format!("{}/{talk}:v1", near.addr));
    }
    let done = json(&world, &format!("copy --repositories {} {}", near.addr, far.addr));
    // Two images, three configs, three manifests; the images of two talks are mounted.
    assert_eq!((&done["moved"]["items"], &done["mounted"]["items"]), (&8.into(), &4.into()), "{done}");
    for talk in ["one", "two", "three"] {
        world.ok(&format!("check {}/{talk}:v1", far.addr));
    }
}

#[test]
fn repositories_are_those_of_the_catalog_below_a_prefix() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    let at = &near.addr;
    for place in ["team/a:v1", "team/a:v2", "team:v1", "teammates/b:v1", "other:v1"] {
        push(&world, "one", &format!("{at}/{place}"));
    }
    let line = format!("copy --repositories {at}/team {}/m --map {at}/team=crew", far.addr);
    let done = json(&world, &line);
    let below = |name: &str| (format!("{}/m/{name}", far.addr), "new".to_owned());
    assert_eq!(names(&done), [below("crew:v1"), below("crew/a:v1"), below("crew/a:v2")]);
    world.ok(&format!("copy --repositories {at} {} --keep-host", far.addr));
    let kept = at.replace(':', "_");
    assert_eq!(digest_of(&world, &format!("{}/{kept}/other:v1", far.addr)), done["names"][0]["to"]);
    world.fails(&format!("copy --repositories {at}/nobody oci:out"), 4, &["has no repository with a tag"]);
    assert!(!world.path().join("out").exists());
    let unused = world.run(&format!("copy --repositories {at}/team oci:out --map {at}/tea=x"));
    assert!(unused.code == 0 && unused.stderr.contains("matches no artifact in this copy"), "{}", unused.stderr);
}

#[test]
fn two_sources_for_one_name_are_refused_before_anything_is_asked() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    push(&world, "one", &format!("{}/a:v1", near.addr));
    push(&world, "two", &format!("{}/a:v1", far.addr));
    // A registry that nobody runs could not be asked.
    world.write("closed.txt", "localhost:1/x/a:v1\nlocalhost:2/x/a:v1\n");
    world.fails(
        &format!("copy --list closed.txt {}/m", far.addr),
        2,
        &["localhost:1/x/a:v1 and localhost:2/x/a:v1 would both be named", "/m/x/a:v1"],
    );
    world.write("list.txt", &format!("{}/a:v1\n{}/a:v1\n", near.addr, far.addr));
    let refused = world.run(&format!("copy --list list.txt {}/m", far.addr));
    assert!(refused.code == 2 && refused.stderr.contains("hint: `--keep-host`"), "{}", refused.stderr);
    let done = json(&world, &format!("copy --list list.txt {}/m --keep-host", far.addr));
    let kept = |addr: &str| (format!("{}/m/{}/a:v1", far.addr, addr.replace(':', "_")), "new".to_owned());
    assert_eq!(names(&done), [kept(&near.addr), kept(&far.addr)]);
    // In a layout the names differ by themselves.
    world.ok("copy --list list.txt oci:both");
    let refused = world.run(&format!("copy --all-tags oci:both {}/n", far.addr));
    assert!(refused.code == 2 && refused.stderr.contains("hint: `--keep-host`"), "{}", refused.stderr);
    world.ok(&format!("copy --all-tags oci:both {}/n --keep-host", far.addr));
    let explicit = format!("{}/a:v1 -> oci:one:x\n{}/a:v1 -> oci:./one:x\n", near.addr, far.addr);
    let refused = world.run_with_stdin("copy --list -", &explicit);
    assert!(refused.code == 2 && refused.stderr.contains("would both be named oci:./one:x"), "{}", refused.stderr);
}

#[test]
fn all_sources_that_are_missing_are_named_at_once_and_nothing_is_made() {
    let world = World::new();
    write_talks(&world);
    let near = Served::start(&world, "--writable");
    let at = &near.addr;
    push(&world, "one", &format!("{at}/a:v1"));
    world.write("list.txt", &format!("{at}/a:v1\n{at}/a:v2\n{at}/b:v1\noci:nowhere:v1\n"));
    world.fails("copy --list list.txt oci:out", 4, &["3 of 4 artifacts cannot be found", "oci:nowhere:v1", "b:v1 ("]);
    world.write("list.txt", &format!("{at}/a:v1\n{at}/a:v2\n{at}/b:v1\n"));
    let words = ["2 of 3 artifacts cannot be found", &format!("{at}/a:v2 ("), &format!("{at}/b:v1 (")];
    world.fails("copy --list list.txt oci:out", 4, &words);
    assert!(!world.path().join("out").exists());
    let many: String = (0..25).map(|n| format!("{at}/b:v{n}\n")).collect();
    world.write("list.txt", &many);
    let ran = world.run("copy --list list.txt oci:out");
    assert!(ran.code == 4 && ran.stderr.contains("25 of 25") && ran.stderr.contains("and 5 more"), "{}", ran.stderr);
    for n in 0..25 {
        assert!(ran.stderr.contains(&format!("warning: {at}/b:v{n}: ")), "{n}: {}", ran.stderr);
    }
}

#[test]
fn where_each_of_many_goes_is_said_also_of_one() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    let (at, to) = (&near.addr, &far.addr);
    let one = push(&world, "one", &format!("{at}/lone/z:v1"));
    for (line, place) in [
        (format!("copy --repositories {at}/lone {to}/dest --map {at}/lone/z=other/place"), "dest/other/place"),
        (format!("copy --all-tags {at}/lone/z {to}/dest --map {at}/lone/z=team"), "dest/team"),
    ] {
        let dry = world.run(&format!("{line} -n"));
        assert!(dry.stderr.contains(&format!("{to}/{place}:v1 is new: {one}")), "{line}: {}", dry.stderr);
        let done = world.run(&line);
        assert!(done.stderr.contains(&format!("{to}/{place}:v1 is new: {one}")), "{line}: {}", done.stderr);
        assert!(done.stderr.contains(&format!("\n{to}/{place}: ")), "{line}: {}", done.stderr);
    }
    let flags = world.run(&format!("copy --repositories {at} oci:x --map {at}=one"));
    assert!(flags.code == 0 && flags.stderr.contains("apply to registries only"), "{}", flags.stderr);
    world.fails(&format!("copy --all-tags {at}/lone/z:v1 oci:y"), 2, &["names one artifact"]);
    world.fails(&format!("copy --all-tags {at}/lone/z@{one} oci:y"), 2, &["names one artifact"]);
}

#[test]
fn what_cosign_keeps_is_in_a_layout_once() {
    let world = World::new();
    write_talks(&world);
    let near = Served::start(&world, "--writable");
    let at = &near.addr;
    let one = push(&world, "one", &format!("{at}/a:v1"));
    let [signature, ..] = Tag::companions_of(&one.parse().unwrap());
    push(&world, "two", &format!("{at}/a:{signature}"));
    for to in ["oci:out", "oci-archive:out.tar"] {
        world.ok(&format!("copy --repositories {at} {to}"));
        assert_eq!(world.ok(&format!("ls {to}")), format!("{at}/a:v1\n{signature}\n"));
        world.ok(&format!("copy --repositories {at} {to}-bare --no-referrers"));
        assert_eq!(world.ok(&format!("ls {to}-bare")), format!("{at}/a:{signature}\n{at}/a:v1\n"));
    }
}

#[test]
fn a_line_may_say_where_it_goes() {
    let world = World::new();
    write_talks(&world);
    let near = Served::start(&world, "--writable");
    let at = &near.addr;
    let one = push(&world, "one", &format!("{at}/a:v1"));
    let two = push(&world, "two", "oci:local:v2");
    let list = format!("{at}/a:v1 -> {at}/b\n{at}/a:v1 -> {at}/c:x\noci:local -> {at}/d\n{at}/a:v1 -> oci:out\n");
    let done = world.run_with_stdin("copy --list -", &list);
    assert_eq!((done.code, done.stdout), (0, format!("{one}\n{two}\n")), "{}", done.stderr);
    for (place, digest) in [("b:v1", &one), ("c:x", &one), ("d:v2", &two)] {
        assert_eq!(&digest_of(&world, &format!("{at}/{place}")), digest);
        assert!(done.stderr.contains(&format!("{at}/{place} is new: {digest}")), "{}", done.stderr);
    }
    assert_eq!(world.ok("ls oci:out"), format!("{at}/a:v1\n"));
    let nowhere = world.run_with_stdin("copy --list -", &format!("{at}/a:v1\n"));
    assert!(nowhere.code == 2 && nowhere.stderr.contains("no destination: add"), "{}", nowhere.stderr);
}

#[test]
fn a_dry_run_shows_the_plan_of_the_run() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    let at = &near.addr;
    push(&world, "one", &format!("{at}/a:v1"));
    push(&world, "two", &format!("{at}/b:v1"));
    push(&world, "three", &format!("{}/b:v1", far.addr));
    for to in [far.addr.as_str(), "oci:out", "oci-archive:out.tar"] {
        let line = format!("copy --repositories {at} {to}");
        let said = world.run(&format!("{line} -n"));
        assert!(said.code == 0 && said.stderr.contains(" is new: sha256:"), "{}", said.stderr);
        let foreseen = json(&world, &format!("{line} -n"));
        assert_eq!(foreseen["dryRun"], true);
        assert!(!world.path().join("out").exists() || to != "oci:out");
        let done = json(&world, &line);
        assert_eq!(foreseen["names"], done["names"]);
        assert_eq!(foreseen["present"], done["present"]);
        assert_eq!(
            foreseen["moved"]["items"].as_u64(),
            Some(done["moved"]["items"].as_u64().unwrap() + done["mounted"]["items"].as_u64().unwrap())
        );
    }
}

#[test]
fn what_cosign_keeps_about_an_artifact_goes_into_its_repository() {
    let world = World::new();
    write_talks(&world);
    let far = Served::start(&world, "--writable");
    let one = push(&world, "one", "oci:bundle:ghcr.io/talks/one:v1");
    let [signature, ..] = Tag::companions_of(&one.parse().unwrap());
    push(&world, "two", &format!("oci:bundle:{signature}"));
    push(&world, "three", "oci:bundle:plain");
    let done = json(&world, &format!("copy --all-tags oci:bundle {}/m", far.addr));
    let mut found: Vec<String> = names(&done).into_iter().map(|(name, _)| name).collect();
    found.sort();
    let below = |name: &str| format!("{}/m{name}", far.addr);
    let mut expected = [below(":plain"), below(&format!("/talks/one:{signature}")), below("/talks/one:v1")];
    expected.sort();
    assert_eq!(found, expected);
    // Where nothing comes along, it is a tag like any other.
    world.ok(&format!("copy --all-tags oci:bundle {}/n --no-referrers", far.addr));
    world.ok(&format!("inspect {}/n:{signature}", far.addr));
}

#[test]
fn all_tags_of_a_repository_stay_tags() {
    let world = World::new();
    write_talks(&world);
    let (near, far) = (Served::start(&world, "--writable"), Served::start(&world, "--writable"));
    let at = &near.addr;
    let one = push(&world, "one", &format!("{at}/a:v1"));
    push(&world, "two", &format!("{at}/a:v2"));
    world.ok(&format!("copy --all-tags {at}/a oci:out"));
    assert_eq!(world.ok("ls oci:out"), "v1\nv2\n");
    world.ok(&format!("copy --all-tags oci:out {}/x/y", far.addr));
    assert_eq!(world.ok(&format!("ls {}/x/y", far.addr)), "v1\nv2\n");
    // To a whole registry they go under the name of their repository.
    world.ok(&format!("copy --all-tags {at}/a {}", far.addr));
    assert_eq!(digest_of(&world, &format!("{}/a:v1", far.addr)), one);
    world.fails(
        &format!("copy --all-tags oci:out {}", far.addr),
        2,
        &["neither `v1` nor the destination names a repository"],
    );
}

#[test]
fn every_name_is_new_or_moved_or_the_same() {
    let world = World::new();
    write_talks(&world);
    let near = Served::start(&world, "--writable");
    for place in [near.addr.clone() + "/a", "oci:layout".into(), "oci-archive:x.tar".into()] {
        let line = |talk: &str| format!("push {talk}/slides.yaml {place}:v1");
        let (first, again, other) = (world.run(&line("one")), world.run(&line("one")), world.run(&line("two")));
        let digest = |ran: &Ran| ran.stdout.trim().to_owned();
        let (one, two) = (digest(&first), digest(&other));
        assert!(first.stderr.contains(&format!("{place}:v1: new tag `v1`, ")), "{}", first.stderr);
        assert!(again.stderr.contains(&format!("{place}:v1 is up to date: nothing moved")), "{}", again.stderr);
        assert!(other.stderr.contains(&format!("tag `v1` moved from {one} to {two}\n")), "{}", other.stderr);
        let several = world.run(&format!("{} --tag v2 --tag v3", line("two")));
        for line in [&format!("tag `v1` is unchanged: {two}\n"), &format!("tag `v3` is new: {two}\n")] {
            assert!(several.stderr.contains(line), "{}", several.stderr);
        }
        let told = json(&world, &line("one"));
        let expected = serde_json::json!([
            { "name": "v1", "from": two, "to": one, "outcome": "moved", "location": format!("{place}:v1") }
        ]);
        assert_eq!(told["names"], expected);
        let copied = json(&world, &format!("copy {place}:v1 {place}:v4"));
        assert_eq!(names(&copied), [(format!("{place}:v4"), "new".to_owned())]);
        assert_eq!(copied["names"][0]["from"], Value::Null);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::new();
    world.write("list.txt", "oci:a:v1\n");
    world.write("bad.txt", "oci:a:v1\nnginx\noci:b:v1 ->\n");
    for (line, words) in [
        ("copy --list list.txt oci:a oci:b", &["`oci:a` is one location too many"][..]),
        ("copy --list bad.txt oci:b", &["`bad.txt`", "line 2", "line 3"]),
        ("copy --list list.txt oci:b:v1", &["names one artifact"]),
        ("copy --repositories ghcr.io", &["no destination for the repositories"]),
        ("copy --repositories oci:x oci:y", &["is not REGISTRY[/PREFIX]"]),
        ("copy oci:a ghcr.io", &["expected a registry and a repository"]),
        ("copy --list - oci:b -u me --password-stdin", &["stdin cannot hold both the password and the list"]),
    ] {
        world.fails(line, 2, words);
    }
    for line in [
        "copy oci:a",
        "copy oci:a oci:b --map a=b",
        "copy --list list.txt --all-tags oci:a",
        "copy --list f --map x oci:a",
    ] {
        assert_eq!(world.run(line).code, 2, "{line}");
    }
    assert!(!world.path().join("b").exists());
}

#[test]
fn a_signature_that_is_left_out_is_told_once() {
    let world = World::new();
    world.write("hi", "hi");
    let image = world.ok("push hi oci:one:v1 -t file-bundle -q");
    world.ok("copy oci:one:v1 oci:two:v1");
    let sig = format!("{}.sig", image.trim().replace(':', "-"));
    world.write("list", "oci:one:v1 -> oci:all:one\noci:two:v1 -> oci:all:two\n");
    for place in ["one", "two"] {
        world.write(&format!("sig-{place}"), place);
        world.ok(&format!("push sig-{place} oci:{place}:{sig} -t file-bundle -q"));
    }
    let copied = world.run("copy --list list");
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    assert_eq!(copied.stderr.matches("left out tag").count(), 1, "{}", copied.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_a_list_names_one_platform_is_taken() {
    use artifact::{
        oci::{Descriptor, Index, media_type},
        store::Store,
        stores::Layout,
    };

    use crate::support::samples::{Sample, deliver};

    let world = World::new();
    let platforms = ["linux/amd64", "linux/arm64"];
    let members = platforms.map(|platform| Sample::of(&[platform.as_bytes()]));
    let listed = platforms.iter().zip(&members).map(|(platform, member)| Descriptor {
        platform: Some(Box::new(platform.parse().unwrap())),
        ..member.root().clone()
    });
    let bytes = bytes::Bytes::from(serde_json::to_vec(&Index::of(listed.collect())).unwrap());
    let mut all = Sample::index(&members);
    *all.manifests.last_mut().unwrap() = (Descriptor::of(media_type::INDEX, &bytes), bytes);
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(Layout::create(world.path().join("all")).unwrap());
    deliver(&store, &all, &["one", "two"]).await.unwrap();
    world.write("list.txt", "oci:all:one\noci:all:two -> oci:out:renamed\n");
    for (platform, member) in platforms.iter().zip(&members) {
        world.ok(&format!("copy --list list.txt oci:out --platform {platform}"));
        for name in ["one", "renamed"] {
            assert_eq!(digest_of(&world, &format!("oci:out:{name}")), member.root().digest.to_string(), "{platform}");
        }
    }
    let whole = world.run("pull oci:all:one files --unpack");
    assert!(whole.code == 1 && whole.stderr.contains("hint: `--platform OS/ARCH`, or `@DIGEST`"), "{}", whole.stderr);
    assert!(!world.path().join("files").exists());
    let lacking = world.run("copy --list list.txt oci:other --platform windows/amd64");
    assert!(
        lacking.code == 4 && lacking.stderr.contains("no manifest for platform windows/amd64"),
        "{}",
        lacking.stderr
    );
    assert!(!world.path().join("other").exists());
}
