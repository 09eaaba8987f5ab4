//! The help: topics, examples, and the keys of JSON documents, which one table explains.

use std::{collections::BTreeSet, fs::File, process::Stdio};

use serde_json::Value;

use super::{Served, World, ran};

/// The commands with a document, each as a command line.
const DOCUMENTS: &[&str] = &[
    "push talk oci:out:v1",
    "push talk oci:out:v1 -n",
    "push talk REGISTRY/talk:v1",
    "plan talk",
    "pull oci:out:v1 again",
    "pull oci:out:v1 files --unpack",
    "copy oci:out:v1 oci:other:v1",
    "copy oci:out:v1 oci:other:v1 -n",
    "copy --all-tags oci:out oci:all",
    "attach oci:out:v1 talk/1.png",
    "attach oci:out:v1 talk/1.png talk/2.png",
    "inspect oci:out:v1",
    "tree oci:out:v1",
    "ls oci:out",
    "ls REGISTRY",
    "ls -l oci:out",
    "delete oci:all:v0 oci:all:v1 -n",
    "delete oci:all --filter v* -n",
    "tag oci:out:v1 v2",
    "resolve oci:out:v1",
    "resolve oci:out:v1 oci:out:v2",
    "manifest push oci:out:v3 manifest.json",
    "blob push oci:out talk/1.png",
    "annotate oci:out:v3 a=b",
    "delete oci:out:v2",
    "keygen k",
    "keygen --public k.key",
    "sign oci:out:v1 --key k.key",
    "attest oci:out:v1 --key k.key --predicate manifest.json --type custom",
    "verify oci:out:v1 --key k.pub",
    "verify oci:out:v1 oci:out:v1 --key k.pub --type custom",
    "sign --file manifest.json --key k.key",
    "verify --file manifest.json --key k.pub",
    "check oci:out",
    "types list",
    "types show slideshow",
    "types new recipe",
    "types lint",
    "types test",
    "version",
];

/// The keys that the table of `help json` explains.
fn explained(world: &World) -> BTreeSet<String> {
    let text = world.ok("help json");
    let (_, table) = text.split_once("\n\n").unwrap();
    let keys = table.lines().filter_map(|line| line.split("  ").next());
    keys.flat_map(|keys| keys.split(", ")).map(str::to_owned).collect()
}

#[test]
fn every_command_prints_one_document_whose_keys_the_help_explains() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.ok("push talk oci:out:v0 -q");
    world.ok("manifest get oci:out:v0 -o manifest.json");
    let (explained, mut seen) = (explained(&world), BTreeSet::new());
    for line in DOCUMENTS {
        let line = line.replace("REGISTRY", &registry.addr);
        let text = world.ok(&format!("{line} --format json"));
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line}: {e}: {text}"));
        let document = document.as_object().unwrap_or_else(|| panic!("{line}: {text}"));
        let command = document["command"].as_str().unwrap();
        assert!(line.starts_with(command), "{line}: {command}");
        // A template sees what the document has. The first run of some lines changes what the second one finds.
        if ["inspect", "resolve", "types list", "types show", "check", "version", "plan"].contains(&command) {
            let mut templated = world.command(&line);
            templated.arg("--template={{ command }}");
            let templated = ran(templated.output().unwrap());
            assert_eq!((templated.code, templated.stdout), (0, format!("{command}\n")), "{line}: {}", templated.stderr);
        }
        for key in document.keys() {
            assert!(explained.contains(key), "{line}: `{key}` is not in `help json`");
            seen.insert(key.clone());
        }
        let about_one = ["push", "plan", "pull", "inspect", "tree", "tag", "annotate", "manifest push", "blob push"];
        if about_one.contains(&command) {
            for key in ["digest", "mediaType", "size"] {
                assert!(document.contains_key(key), "{line} has no `{key}`");
            }
        }
    }
    let rare: BTreeSet<&str> =
        ["about", "failed", "indexes", "leftOut", "notes", "partial", "platform", "repeated", "subject"].into();
    for key in explained.iter().filter(|key| !rare.contains(key.as_str())) {
        assert!(seen.contains(key), "no command of this test has `{key}`");
    }
    for line in ["tour", "completions bash", "help"] {
        world.fails_as_json(line, 2, "does not support `--format json`");
    }
}

#[test]
fn a_dry_run_prints_the_document_of_the_run() {
    let world = World::new();
    for (line, differs) in [
        ("push talk oci:out:v1", vec!["seconds"]),
        ("copy oci:out:v1 oci:other:v1", vec!["seconds"]),
        ("delete oci:out --filter v* --yes", vec![]),
    ] {
        let document = |line: String| -> serde_json::Map<String, Value> {
            let document: Value = serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap();
            document.as_object().unwrap().clone()
        };
        let mut dry = document(format!("{line} -n"));
        let mut done = document(line.to_owned());
        assert_eq!(dry.remove("dryRun"), Some(true.into()));
        for key in &differs {
            assert!(dry.remove(*key).is_some() && done.remove(*key).is_some());
        }
        assert_eq!(dry, done, "{line}");
    }
}

#[test]
fn an_error_is_an_object_with_the_command() {
    let world = World::new();
    let ran = world.run("types show nothing --format json");
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((ran.code, &error["command"]), (4, &"types show".into()), "{}", ran.stderr);
    assert!(error["error"]["message"].as_str().unwrap().contains("nothing"), "{}", ran.stderr);
    for line in ["push --format json", "--format=json nonsense", "inspect oci:x --no-such --format json"] {
        let ran = world.run(line);
        let error: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|e| panic!("{line}: {e}: {}", ran.stderr));
        assert_eq!((ran.code, &error["event"]), (2, &"error".into()), "{line}");
        assert!(!error["error"]["message"].as_str().unwrap().is_empty(), "{line}");
    }
}

#[test]
fn help_is_there_for_commands_and_topics() {
    let world = World::new();
    assert_eq!(world.ok("help push"), world.ok("push --help"));
    assert_eq!(world.ok("help types new"), world.ok("types new --help"));
    assert_eq!(world.ok("help"), world.ok("--help"));
    for (topic, words) in [
        ("locations", "oci-archive:"),
        ("exit-codes", "128 + n"),
        ("environment", "DOCKER_CONFIG"),
        ("json", "mediaType"),
    ] {
        assert!(world.ok(&format!("help {topic}")).contains(words), "{topic}");
    }
    world.fails("help nothing", 2, &["`nothing`", "locations, json"]);
    assert!(world.ok("version").starts_with("artifact "));
}

#[test]
fn commands_have_the_names_of_other_tools_too_which_no_help_shows() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    world.ok("cp oci:out:v1 oci:other:v1");
    assert_eq!(world.ok("list oci:other"), "v1\n");
    world.ok("rm oci:other:v1");
    let help = world.ok("help");
    assert!(["  cp ", "  rm ", "  list "].iter().all(|alias| !help.contains(alias)), "{help}");
}

#[test]
fn a_short_help_leaves_out_what_is_about_registries_and_fits_on_a_screen() {
    let world = World::new();
    for command in
        ["push", "pull", "attach", "inspect", "tree", "ls", "tag", "delete", "cat", "check", "resolve", "annotate"]
    {
        let short = world.ok(&format!("{command} -h"));
        assert!(short.lines().count() <= 45, "{command}: {}", short.lines().count());
        assert!(!short.contains("--plain-http") && short.contains("--help"), "{command}");
        assert!(world.ok(&format!("{command} --help")).contains("--plain-http"), "{command}");
    }
}

/// The example lines of a help text.
fn examples(help: &str) -> Vec<&str> {
    let lines = help.split_once("Examples:\n").map_or("", |(_, examples)| examples).lines();
    lines.map_while(|line| line.strip_prefix("  artifact ")).collect()
}

/// The words of a line, as a shell reads them: what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let parts = parts.flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() });
    parts.map(str::to_owned).collect()
}

#[test]
fn the_examples_of_every_command_work_in_the_order_of_a_day() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.write("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
    world.write("chart/values.yaml", "a: 1\n");
    world.write("report.txt", "all is well");
    world.write("sbom.spdx.json", "{}");
    let day = [
        "push",
        "pull",
        "copy",
        "attach",
        "inspect",
        "tree",
        "ls",
        "tag",
        "resolve",
        "cat",
        "manifest get",
        "manifest push",
        "blob get",
        "blob push",
        "keygen",
        "sign",
        "attest",
        "verify",
        "annotate",
        "check",
        "delete",
        "plan",
        "types new",
        "types list",
        "types show",
        "types lint",
        "types test",
        "types schema",
        "completions",
        "help",
        "tour",
    ];
    for command in day {
        let help = world.ok(&format!("{command} --help"));
        let lines = examples(&help);
        assert!(!lines.is_empty(), "{command} has no examples");
        for line in lines {
            let (line, _) = line.split_once(" > ").unwrap_or((line, ""));
            let (line, input) = line.split_once(" < ").map_or((line, None), |(line, file)| (line, Some(file)));
            let line = line.replace("registry.example", &registry.addr);
            let mut command = world.command("");
            command.args(words(&line));
            command.stdin(input.map_or(Stdio::null(), |file| File::open(world.path().join(file)).unwrap().into()));
            let ran = ran(command.output().unwrap());
            assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        }
    }
    // These wait for clients, or for a password.
    for command in ["serve", "login", "logout"] {
        assert!(!examples(&world.ok(&format!("{command} --help"))).is_empty(), "{command}");
    }
}

fn templated(world: &World, line: &str, template: &str) -> super::Ran {
    ran(world.command(line).args(["--template", template]).output().unwrap())
}

#[test]
fn a_template_prints_the_document_as_it_is_asked_to() {
    let world = World::new();
    let digest = world.ok("push talk oci:out:v1 -q").trim().to_owned();
    let pushed = templated(&world, "push talk oci:out:v2", "{{ reference }} {{ tags | join(',') }}");
    assert_eq!(pushed.stdout, format!("oci:out@{digest} v2\n"), "{}", pushed.stderr);
    assert!(pushed.stderr.starts_with("slideshow (directory): "), "talk stays: {}", pushed.stderr);
    for (template, printed) in [
        ("{% for layer in layers %}{{ layer.title }}\n{% endfor %}", "1.png\n2.png\n"),
        ("{{ type }}\t{{ subject.digest | default('none') }}", "slideshow\tnone\n"),
        ("no key", "no key\n"),
        ("\u{1b}[31m{{ type }}", "\\u{1b}[31mslideshow\n"),
    ] {
        let ran = templated(&world, "inspect oci:out:v1 --quiet", template);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.code), (printed, "", 0), "{template}");
    }
    let ran = templated(&world, "inspect oci:out:v1 --format json", "{{ type }}");
    assert_eq!((ran.stdout.as_str(), ran.code), ("slideshow\n", 0), "{}", ran.stderr);
}

#[test]
fn a_key_that_a_document_lacks_is_told_with_those_that_it_has() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    for (template, words) in [
        ("{{ digst }}", vec!["`digst` does not exist", "did you mean `digest`", "`annotations`", "`reference`"]),
        ("{% for l in layers %}{{ l.name }}{% endfor %}", vec!["`name` does not exist", "`mediaType`", "`title`"]),
    ] {
        let ran = templated(&world, "inspect oci:out:v1", template);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{template}");
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{template}: {}", ran.stderr);
    }
}

#[test]
fn a_bad_template_is_refused_before_anything_is_done() {
    let world = World::new();
    for (line, template, word) in [
        ("push talk oci:out:v1", "{{ digest", "invalid value"),
        ("push talk oci:out:v1", "{{ digest | shout }}", "shout"),
        ("push talk oci:out:v1", "{% set a = 1 %}", "set"),
        ("push talk oci:out:v1 --format text", "{{ digest }}", "`--format text`"),
        ("types new recipe -", "{{ file }}", "does not support `--template`"),
        ("cat oci:none", "{{ digest }}", "does not support `--template`"),
        ("manifest get oci:none", "{{ digest }}", "does not support `--template`"),
        ("blob get oci:none", "{{ digest }}", "does not support `--template`"),
        ("types schema", "{{ digest }}", "does not support `--template`"),
        ("types show slideshow --raw", "{{ digest }}", "does not support `--template`"),
        ("plan talk --raw", "{{ digest }}", "does not support `--template`"),
        ("serve", "{{ digest }}", "does not support `--template`"),
        ("tour", "{{ digest }}", "does not support `--template`"),
        ("help", "{{ digest }}", "does not support `--template`"),
        ("completions bash", "{{ digest }}", "does not support `--template`"),
    ] {
        let ran = templated(&world, line, template);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "{line}: {}", ran.stderr);
    }
    assert!(!world.path().join("out").exists());
}
