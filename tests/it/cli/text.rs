//! Names reach a terminal escaped once, and JSON as they are.

use serde_json::Value;

use super::{Served, World, ran};
use crate::support::scripted::{Scripted, reply};

/// A definition of this name.
fn named(name: &str) -> String {
    format!("apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {{name: {name}}}\n")
}

#[test]
fn letters_of_all_scripts_are_shown_as_they_are() {
    let world = World::new();
    world.write("über.yaml", &named("über"));
    let message = "über.yaml:3:18: `über` is not a valid name";
    world.fails("types list --type-file über.yaml", 2, &[message]);
    world.fails_as_json("types list --type-file über.yaml", 2, message);
    for (line, code, word) in [
        ("push übung oci:out", 4, "`übung`"),
        ("push talk oci:out --type übung", 2, "there is no artifact type `übung`"),
        ("push talk oci:out --set übung=1", 2, "no parameter `übung`"),
        ("push talk oci:out --set created=ü", 2, "`ü`"),
        ("inspect oci:übung", 4, "übung"),
        ("tag oci:übung:v1 v2", 4, "übung"),
    ] {
        world.fails(line, code, &[word]);
        world.fails_as_json(line, code, word);
    }
}

#[test]
fn what_talks_to_a_terminal_is_escaped_once_and_is_itself_in_json() {
    let world = World::new();
    let hostile = "a\nb\u{1b}[31m\u{202e}c";
    let shown = "a\\nb\\u{1b}[31m\\u{202e}c";
    let arguments = [
        vec!["push", hostile, "oci:out"],
        vec!["push", "talk", "oci:out", "--type", hostile],
        vec!["push", "talk", "oci:out", "--set", "created=a\nb\u{1b}[31m\u{202e}c"],
        vec!["cat", "oci:talk-layout", hostile],
    ];
    world.ok("push talk oci:talk-layout");
    for arguments in arguments {
        let text = ran(world.command("").args(&arguments).output().unwrap());
        assert!(text.code != 0 && text.stderr.contains(&format!("`{shown}`")), "{arguments:?}: {}", text.stderr);
        assert!(!text.stderr.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{:?}", text.stderr);
        let json = ran(world.command("--format json").args(&arguments).output().unwrap());
        assert!(!json.stderr.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}'), "{:?}", json.stderr);
        let said: Value = serde_json::from_str(&json.stderr).unwrap();
        assert!(said["error"]["message"].as_str().unwrap().contains(&format!("`{hostile}`")), "{arguments:?}: {said}");
    }
    // What the command line itself refuses is shown in the same way.
    for location in [hostile, "oci:a\u{1b}[31m", "localhost:5000/\u{202e}x", "localhost:5000/x:\u{9b}2J"] {
        let refused = ran(world.command("inspect").arg(location).output().unwrap());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!refused.stderr.chars().any(harmful), "{:?}", refused.stderr);
        assert!(!refused.stderr.contains("\\\\"), "{}", refused.stderr);
    }
}

#[test]
fn names_in_talk_are_escaped_too() {
    let world = World::new();
    let layout = "a\u{202e}b";
    let pushed = ran(world.command("push talk").arg(format!("oci:{layout}:v1")).output().unwrap());
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert!(pushed.stderr.contains("oci:a\\u{202e}b:v1: "), "{}", pushed.stderr);
    let shown = ran(world.command("inspect").arg(format!("oci:{layout}:v1")).output().unwrap());
    assert!(shown.stdout.contains("oci:a\\u{202e}b:v1") && !shown.stdout.contains('\u{202e}'), "{}", shown.stdout);
}

#[test]
fn what_a_registry_says_is_escaped_once() {
    let world = World::new();
    let message = "nö\u{1b}[31m \u{202e}\"quoted\"";
    let body = serde_json::json!({ "errors": [{ "code": "DENIED", "message": message }] }).to_string();
    let fault = serde_json::json!({ "faults": [{ "on": "GET tags", "nth": "all", "refuse": { "status": 403, "body": body } }] });
    world.write("faults.yaml", &fault.to_string());
    let served = Served::start(&world, "--faults faults.yaml");
    let line = format!("ls {}/talk", served.addr);
    world.fails(&line, 5, &["nö\\u{1b}[31m \\u{202e}\"quoted\""]);
    world.fails_as_json(&line, 5, message);
}

/// H26.
#[test]
fn nothing_that_a_registry_says_talks_to_a_terminal() {
    let world = World::new();
    for body in [
        vec![b'x'; 10 << 20],
        b"\x1b]52;c;ZXZpbA==\x07\x08\x7f".to_vec(),
        b"\xff\xfe\x1b[2J".to_vec(),
        "\u{9b}2J\u{202e}\u{200b}".into(),
        "{\"errors\":[{\"code\":\"\\u001b[31m\",\"message\":\"\u{202e}\u{200b}\\r\\n\"}]}".into(),
    ] {
        let registry = Scripted::start(move |_| reply(400, &[], &body));
        for line in ["ls HOST/a", "inspect HOST/a:v1", "push talk HOST/a", "ls HOST/a --format json"] {
            let shown = world.run(&line.replace("HOST", registry.host()));
            let harmful = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200b}".contains(c);
            assert!(shown.code != 0 && !shown.stderr.contains(harmful), "{line}: {:?}", shown.stderr);
            // An error, what was being done, and a hint; a push has said what it takes its source for.
            let most = if line.starts_with("push") { 4 } else { 2 };
            assert!(shown.stderr.lines().count() <= most && shown.stderr.len() < 5000, "{line}: {}", shown.stderr);
        }
    }
}

#[test]
fn a_title_that_cannot_be_a_file_is_shown_in_plain_characters() {
    let world = World::new();
    world.ok("push talk oci:out:v1");
    for title in ["a\nb", "a\u{1b}[2J", "a\u{202e}b", "../a\u{85}", "a\u{7f}"] {
        let mut manifest: Value = serde_json::from_str(&world.ok("cat oci:out:v1")).unwrap();
        manifest["layers"][0]["annotations"]["org.opencontainers.image.title"] = title.into();
        let manifest = manifest.to_string();
        let digest = artifact::oci::Digest::of(manifest.as_bytes());
        world.write(&format!("out/blobs/sha256/{}", digest.hex()), &manifest);
        world.ok(&format!("tag oci:out@{digest} hostile"));
        for line in ["pull oci:out:hostile files --unpack", "inspect oci:out:hostile", "check oci:out:hostile"] {
            let ran = world.run(line);
            let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!ran.stderr.contains(harmful) && !ran.stdout.contains(harmful), "{line}: {ran:?}");
            assert!(ran.stderr.lines().count() <= 2, "{line}: {ran:?}");
        }
        assert!(!world.path().join("files").exists());
    }
}

#[test]
fn no_character_that_hides_or_reorders_reaches_a_terminal_and_json_has_it_as_an_escape() {
    let world = World::new();
    let hidden = "\u{61c}\u{200d}\u{ad}\u{fff9}\u{115f}\u{e0041}\u{1d173}";
    let name = format!("a{hidden}b");
    let text = ran(world.command("").args(["push", &name, "oci:out"]).output().unwrap());
    assert!(text.code != 0 && text.stderr.contains("a\\u{61c}\\u{200d}\\u{ad}\\u{fff9}"), "{}", text.stderr);
    let hides = |text: &str| text.contains(|c: char| hidden.contains(c));
    assert!(!hides(&text.stderr), "{:?}", text.stderr);
    let json = ran(world.command("--format json").args(["push", &name, "oci:out"]).output().unwrap());
    assert!(!hides(&json.stderr), "{:?}", json.stderr);
    let said: Value = serde_json::from_str(&json.stderr).unwrap();
    assert!(said["error"]["message"].as_str().unwrap().contains(&name), "{said}");
    // An ordinary emoji is shown.
    let text = ran(world.command("").args(["push", "❤️", "oci:out"]).output().unwrap());
    assert!(text.stderr.contains("❤️"), "{}", text.stderr);
}

#[test]
fn an_annotation_with_line_breaks_is_shown_as_lines_below_one_another() {
    let world = World::new();
    let text = "- name: web\n  image: x\r\n\n\u{1b}[2Jreferrers:\rend\n";
    let pushed = ran(world.command("push talk oci:out:v1 -a").arg(format!("images={text}")).output().unwrap());
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let shown = world.ok("inspect oci:out:v1");
    let wanted = ["- name: web", "  image: x", "", "\\u{1b}[2Jreferrers:\\rend"];
    let (_, annotations) = shown.split_once("annotations:\n").unwrap();
    let mut lines = annotations.lines().skip_while(|line| !line.starts_with("  images"));
    let first = lines.next().unwrap();
    let column = first.find("- name").unwrap();
    assert_eq!(&first[column..], wanted[0]);
    for wanted in &wanted[1..] {
        let line = lines.next().unwrap();
        assert_eq!(line, format!("{}{wanted}", " ".repeat(column)).trim_end());
    }
    // The document has the text itself.
    let json: Value = serde_json::from_str(&world.ok("inspect oci:out:v1 --format json")).unwrap();
    assert_eq!(json["annotations"]["images"], text);
}
