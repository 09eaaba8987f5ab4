//! What can be pushed, and how the arguments say it: several files, stdin, media types, a config, several tags; and
//! what users of other tools type.

use serde_json::Value;

use super::{Served, World};

fn manifest(world: &World, location: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("cat {location}"))).unwrap()
}

/// Title and media type of each layer.
fn layers(manifest: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|l| (text(&l["annotations"]["org.opencontainers.image.title"]), text(&l["mediaType"]))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn several_files_and_directories_become_one_file_bundle_and_come_back_where_they_were() {
    let world = World::new();
    world.write("a.txt", "a");
    world.write("sub/b.json", "{}");
    world.write("dir/x/y.md", "y");
    let pushed = world.run("push a.txt sub/b.json:application/spdx+json dir ./sub/../a.txt oci:out:v1");
    assert_eq!((pushed.code, pushed.stdout.as_str()), (1, ""), "{}", pushed.stderr);
    assert!(pushed.stderr.contains("`a.txt`"), "{}", pushed.stderr);
    world.ok("push a.txt sub/b.json:application/spdx+json dir oci:out:v1");
    let manifest = manifest(&world, "oci:out:v1");
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    assert_eq!(
        layers(&manifest),
        pairs(&[("a.txt", "text/plain"), ("sub/b.json", "application/spdx+json"), ("dir", tar)])
    );
    assert_eq!(manifest["artifactType"], "application/vnd.unknown.artifact.v1");
    world.ok("pull oci:out:v1 back --unpack");
    for file in ["a.txt", "sub/b.json", "dir/x/y.md"] {
        let read = |dir: &str| std::fs::read(world.path().join(dir).join(file)).unwrap();
        assert_eq!(read(""), read("back"), "{file}");
    }
    // The same from elsewhere, in another order of directories: each layer has the digest that it has alone.
    world.ok("push dir oci:alone:v1");
    let alone: Value = serde_json::from_str(&world.ok("cat oci:alone:v1")).unwrap();
    assert_eq!(manifest["layers"][2]["digest"], alone["layers"][0]["digest"]);
    assert_eq!(manifest["layers"][2]["annotations"], alone["layers"][0]["annotations"]);
}

#[test]
fn two_directories_have_the_uncompressed_digests_of_their_own_layers() {
    let world = World::new();
    world.write("one/f", "1");
    world.write("two/f", "2");
    world.ok("push one two oci:out:v1");
    let both = manifest(&world, "oci:out:v1");
    for (at, name) in ["one", "two"].iter().enumerate() {
        world.ok(&format!("push {name} oci:{name}-alone:v1"));
        assert_eq!(both["layers"][at], manifest(&world, &format!("oci:{name}-alone:v1"))["layers"][0]);
    }
    world.ok("pull oci:out:v1 back --unpack");
}

#[test]
fn a_file_whose_name_ends_like_a_media_type_is_that_file() {
    let world = World::new();
    world.write("notes:a/b", "x");
    world.ok("push notes:a/b oci:out:v1");
    assert_eq!(layers(&manifest(&world, "oci:out:v1"))[0].0, "b");
    world.ok("attach oci:out:v1 talk/1.png:image/x-own");
}

#[test]
fn stdin_is_a_file_with_the_name_that_it_is_given() {
    let world = World::new();
    let pushed = world.run_with_stdin("push - oci:out:v1 --name report.json", "{}");
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_eq!(layers(&manifest(&world, "oci:out:v1")), pairs(&[("report.json", "application/json")]));
    assert_eq!(world.ok("cat oci:out:v1 report.json"), "{}");
    world.write("f", "x");
    for line in [
        "push - oci:out:v2",
        "push f oci:out:v2 --name x",
        "push - - oci:out:v2 --name x",
        "push - oci:out:v2 --name a/b",
    ] {
        assert_eq!(world.run_with_stdin(line, "x").code, 2, "{line}");
    }
    assert_eq!(world.run_with_stdin("plan - -q --name report.json", "{}").stdout, world.ok("resolve oci:out:v1"));
}

#[test]
fn media_types_artifact_type_and_config_are_as_they_are_named() {
    let world = World::new();
    world.write("a.txt", "a");
    world.write("b.txt", "b");
    world.write("config/c.json", r#"{"a": 1}"#);
    let flags = "--media-type *.txt=text/x-own --artifact-type application/x-thing";
    world.ok(&format!("push a.txt b.txt oci:out:v1 {flags}"));
    let typed = manifest(&world, "oci:out:v1");
    assert_eq!(layers(&typed), pairs(&[("a.txt", "text/x-own"), ("b.txt", "text/x-own")]));
    assert_eq!(typed["artifactType"], "application/x-thing");
    world.ok("push a.txt oci:out:v2 --config-blob config/c.json:application/x-config+json");
    let own = manifest(&world, "oci:out:v2");
    assert_eq!(
        (&own["config"]["mediaType"], &own["artifactType"]),
        (&"application/x-config+json".into(), &Value::Null)
    );
    assert_eq!(world.ok("cat oci:out:v2 config"), r#"{"a": 1}"#);
    world.ok("check oci:out");
    for line in [
        "push a.txt oci:out:v3 --media-type *.md=text/x-own",
        "push a.txt oci:out:v3 --media-type *.txt=nothing",
        "push a.txt b.txt oci:out:v3 -t slideshow",
        "push talk/slides.yaml oci:out:v3 -t slideshow --config-blob config/c.json",
    ] {
        assert_eq!(world.run(line).code, 2, "{line}");
    }
}

#[test]
fn several_tags_may_stand_behind_one_colon() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/talk", registry.addr), "oci:out".to_owned()] {
        let pushed = world.run(&format!("push talk {place}:v1,v2,latest"));
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
        assert_eq!(world.ok(&format!("ls {place}")), "latest\nv1\nv2\n");
    }
    assert_eq!(world.run("push talk localhost:1/talk:v1,a!b").code, 2);
}

#[test]
fn users_of_other_tools_get_the_line_to_paste_and_it_works() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let at = &registry.addr;
    world.write("f.txt", "x");
    world.write("c.json", "{}");
    world.ok("push talk oci:out:v1 -q");
    world.write("g.json", r#"{"architecture": "amd64"}"#);
    for (line, code) in [
        (format!("push {at}/a:v1 f.txt"), 2),
        (format!("push {at}/a:v1 ./f.txt"), 4),
        (format!("push f.txt {at}/a:1.0+b"), 2),
        (format!("push --config c.json:application/json f.txt {at}/a:v2"), 2),
        (format!("push --config c.json f.txt {at}/a:v4"), 2),
        (format!("push --config g.json f.txt {at}/a:v5"), 2),
        // Where no registry is asked, too.
        ("push --config c.json f.txt oci:layout:v1".to_owned(), 2),
        ("push f.txt oci-archive:a.tar:v1 --config=g.json".to_owned(), 2),
        (format!("pull {at}/a:v1 -d dir"), 2),
        (format!("pull {at}/a:v1 --unpack native dir2"), 2),
        (format!("tag {at}/a:v1 {at}/a:v3"), 2),
        (format!("push {at}/a:v1 f.txt -d"), 2),
        (format!("inspect {at}/a:v1 -d"), 2),
        (format!("pull -d {at}/a:v1"), 2),
        (format!("cp -r {at}/a:v1 {at}/b"), 2),
        (format!("cp --from-oci-layout out:v1 {at}/c"), 2),
        (format!("ls {at}/a -k"), 2),
        (format!("manifest fetch {at}/a:v1"), 2),
        (format!("blob fetch {at}/a@{}", artifact::oci::Digest::of(b"{}")), 2),
        (format!("repo tags {at}/a"), 2),
        (format!("list-tags docker://{at}/a"), 2),
        (format!("discover {at}/a:v1 -o json"), 2),
        (format!("inspect {at}/a:v1 --tls-verify=false"), 2),
        (format!("delete {at}/b:v1 -f"), 2),
    ] {
        let refused = world.run(&line);
        assert_eq!((refused.code, refused.stdout.as_str()), (code, ""), "{line}: {}", refused.stderr);
        assert!(!refused.stderr.contains("tip: "), "{}", refused.stderr);
        let hints: Vec<&str> = refused.stderr.lines().filter(|l| l.starts_with("hint: ")).collect();
        let [hint] = hints.as_slice() else { panic!("{line}: {}", refused.stderr) };
        let meant =
            hint.strip_prefix("hint: `artifact ").and_then(|l| l.strip_suffix('`')).unwrap_or_else(|| panic!("{hint}"));
        let done = world.run(meant);
        assert_eq!(done.code, 0, "{meant}: {}", done.stderr);
    }
    world.fails("push --config g.json f.txt oci:layout:v2", 2, &["g.json:1:18", "expected the settings of a host"]);
    let refused = world.run(&format!("login {at} -u ann -p geheim"));
    assert!(refused.code == 2 && refused.stderr.contains("--password-stdin`"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("geheim"), "{}", refused.stderr);
    for line in [
        "push f.txt AT/a",
        "pull AT/a",
        "ls AT/a",
        "inspect AT/a:v1",
        "copy AT/a AT/b",
        "tag AT/a v9",
        "delete AT/a:v1",
    ] {
        let line = line.replace("AT", at);
        let refused = world.run(&format!("{line} -u ann -p geheim"));
        let meant = format!("hint: `artifact {line} -u ann --password-stdin`\n");
        assert!(refused.code == 2 && refused.stderr.ends_with(&meant), "{line}: {}", refused.stderr);
        assert!(!refused.stderr.contains("geheim"), "{}", refused.stderr);
    }
}

#[test]
fn a_type_from_a_file_is_told_with_its_file() {
    let world = World::new();
    let mine = world.ok("types show slideshow --raw").replace("name: slideshow", "name: mine");
    world.write("artifact-types/mine.yaml", &mine.replace("aliases: [slides, deck]", "aliases: []"));
    let pushed = world.run("push talk oci:out:v1 --type mine");
    assert!(pushed.stderr.starts_with("mine (directory) of artifact-types/mine.yaml: "), "{}", pushed.stderr);
    let origin = |line: &str| {
        let document: Value = serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap();
        document["origin"].clone()
    };
    assert_eq!(origin("plan talk --type mine"), "artifact-types/mine.yaml");
    assert_eq!(origin("push talk/1.png talk/2.png oci:out:v2"), "built-in:file-bundle.yaml");
}

#[test]
fn a_list_for_a_parameter_is_no_json() {
    let world = World::new();
    let mut plan = world.command("plan talk --type file-bundle --set layout=files --set");
    let ran = super::ran(plan.arg(r#"include=["*.png"]"#).output().unwrap());
    assert!(ran.code == 2 && ran.stderr.contains("is written `A,B`"), "{}", ran.stderr);
}

#[test]
fn the_digits_that_inspect_shows_name_a_layer() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    let shown = world.ok("inspect oci:out:v1");
    let line = shown.lines().find(|line| line.ends_with("2.png")).unwrap();
    let short = line.split_whitespace().next().unwrap();
    assert_eq!(world.ok(&format!("cat oci:out:v1 {short}")), "\u{89}PNG two");
    world.fails(&format!("inspect localhost:1/a@sha256:{short}"), 2, &["only the first digits", "needs all of them"]);
}

#[test]
fn options_may_stand_anywhere_among_sources_and_destination() {
    let world = World::new();
    world.write("f.txt", "x");
    let digest = world.ok("push f.txt oci:out:v1 -q");
    for line in ["push -q f.txt oci:out:v1", "push f.txt -q oci:out:v1", "push f.txt --set layout=files -q oci:out:v1"]
    {
        assert_eq!(world.ok(line), digest, "{line}");
    }
    world.ok("push f.txt -q talk/1.png --tag v3 oci:out:v2");
    world.fails("push f.txt", 2, &["then the destination"]);
    world.fails("push f.txt -q", 2, &["then the destination"]);
    world.fails_as_json("push f.txt", 2, "then the destination");
}

#[test]
fn a_word_that_is_on_the_disk_is_told_wherever_a_location_is_expected() {
    let world = World::new();
    world.ok("push talk oci:shop:v1");
    world.ok("push talk oci-archive:shop.tar:v1");
    world.ok("push talk oci:shop-1.2:v1");
    world.write("f.txt", "x");
    world.write("list", "shop.tar\n");
    let forgotten = world.run("push f.txt talk/1.png f.txt");
    assert!(forgotten.code == 2 && forgotten.stderr.contains("`f.txt` is a file; the last"), "{}", forgotten.stderr);
    for (line, meant) in [
        ("inspect f.txt", "oci-archive:f.txt"),
        ("inspect shop", "./shop"),
        ("inspect shop:v1", "./shop:v1"),
        ("inspect shop-1.2", "./shop-1.2"),
        ("inspect shop.tar", "./shop.tar"),
        ("ls shop", "./shop"),
        ("ls shop.tar", "./shop.tar"),
        ("ls shop-1.2", "./shop-1.2"),
        ("cat shop", "./shop"),
        ("check shop.tar", "./shop.tar"),
        ("resolve shop.tar", "./shop.tar"),
        ("tag shop:v1 v2", "./shop:v1"),
        ("delete shop.tar:v1", "./shop.tar:v1"),
        ("annotate shop:v1 a=b", "./shop:v1"),
        ("manifest get shop", "./shop"),
        ("manifest push shop:v2 f.txt", "./shop:v2"),
        ("blob get shop", "./shop"),
        ("blob push shop f.txt", "./shop"),
        ("pull shop.tar files", "./shop.tar"),
        ("copy shop.tar oci:x", "./shop.tar"),
        ("copy shop-1.2 oci:x", "./shop-1.2"),
        ("copy oci:shop shop.tar", "./shop.tar"),
        ("copy --all-tags shop oci:x", "./shop"),
        ("copy --list list oci:x", "./shop.tar"),
        ("attach shop:v1 f.txt", "./shop:v1"),
        ("push f.txt shop", "./shop"),
        ("push f.txt shop.tar:v1", "./shop.tar:v1"),
        ("push f.txt oci:shop --subject shop:v1", "./shop:v1"),
        ("plan f.txt shop", "./shop"),
    ] {
        let refused = world.run(line);
        let words = format!("did you mean `{meant}`");
        assert!(refused.code == 2 && refused.stderr.contains(&words), "{line}: {}", refused.stderr);
    }
}

#[test]
fn several_sources_have_the_form_that_all_of_them_have() {
    let world = World::new();
    world.write("a.txt", "a");
    world.write("dir/f", "f");
    let form = |line: &str| {
        let document: Value = serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap();
        document["form"].clone()
    };
    assert_eq!(form("push a.txt talk/1.png oci:out:v1"), form("push a.txt oci:out:v2"));
    assert_eq!(form("push a.txt dir oci:out:v3"), Value::Null);
    let pushed = world.run("push a.txt dir oci:out:v4");
    assert!(pushed.stderr.starts_with("file-bundle: 2 sources\n"), "{}", pushed.stderr);
}

#[test]
fn what_could_not_be_unpacked_beside_each_other_is_not_packed() {
    let world = World::new();
    world.write("dir/x", "x");
    world.write("sub/dir/y", "y");
    world.fails("push dir dir/x oci:out:v1", 1, &["`dir/x`", "`dir`"]);
    world.fails("push dir sub/dir oci:out:v1", 1, &["two files are named `dir`"]);
    let refused = world.run("push dir/x oci:out:v1 --media-type *.md=text/x");
    assert!(refused.code == 2 && refused.stderr.contains("hint: "), "{}", refused.stderr);
    assert!(!world.path().join("out").exists());
    // One source is called as it always is.
    world.ok("push sub/dir/y:text/x oci:out:v1");
    assert_eq!(layers(&manifest(&world, "oci:out:v1")), pairs(&[("y", "text/x")]));
}

#[test]
fn an_archive_is_pulled_into_a_directory_that_is_called_as_it_is_without_its_ending() {
    let world = World::new();
    world.ok("push talk oci-archive:img.tar:v1 -q");
    let status = std::process::Command::new("gzip").arg("-k").arg(world.path().join("img.tar")).status();
    assert!(status.unwrap().success());
    let before = std::fs::read(world.path().join("img.tar")).unwrap();
    world.ok("pull ./img.tar.gz");
    assert!(world.path().join("img/index.json").exists());
    assert_eq!(std::fs::read(world.path().join("img.tar")).unwrap(), before);
}
