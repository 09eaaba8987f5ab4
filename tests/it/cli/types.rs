//! `types list`, `show` and `new` as people and programs read them.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{World, ran};
use crate::support::program::Ran;

const BUILT_IN: [&str; 3] = ["file-bundle", "helm-chart", "slideshow"];

/// The lines that are wider than a page although they could be broken.
fn too_wide(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.chars().count() > 80 && line.trim().contains(' ')).collect()
}

/// A type that is a program.
fn program(world: &World, name: &str, answer: &str) -> String {
    let file = format!("bin/artifact-type-{name}");
    world.write(&file, &format!("#!/bin/sh\necho '{answer}'\n"));
    let path = world.path().join(file);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Runs a command line with the programs of [`program`].
fn with_programs(world: &World, line: &str) -> Ran {
    ran(world.command(line).env("PATH", world.path().join("bin")).output().unwrap())
}

#[test]
fn the_list_of_types_fits_a_page_and_breaks_no_word() {
    let world = World::new();
    let (long, description) = ("n".repeat(64), "words ".repeat(40));
    let head = "apiVersion: artifact-type/v1\nkind: ArtifactType\n";
    world.write(
        "artifact-types/long.yaml",
        &format!("{head}metadata: {{name: {long}, description: {}}}\n", description.trim()),
    );
    let about = r#"{"apiVersion":"artifact-plan/v1","name":"mine","description":"What is mine"}"#;
    let path = program(&world, "mine", about);
    let listed = with_programs(&world, "types list");
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert_eq!(too_wide(&listed.stdout), [""; 0], "{}", listed.stdout);
    let words: Vec<&str> = listed.stdout.split_whitespace().collect();
    for word in [long.as_str(), "artifact-types/long.yaml", path.as_str()] {
        assert!(words.contains(&word), "{}", listed.stdout);
    }
    assert_eq!(words.iter().filter(|word| **word == "words").count(), 40);
    assert_eq!(words.iter().filter(|word| **word == "built-in").count(), 3);
    let json: Value = serde_json::from_str(&with_programs(&world, "types list --format json").stdout).unwrap();
    let types = json["types"].as_array().unwrap();
    assert_eq!(types.len(), 5);
    assert_eq!((&types[0]["name"], &types[0]["origin"]), (&json!("file-bundle"), &json!("built-in:file-bundle.yaml")));
}

#[test]
fn a_type_is_shown_for_people_and_its_definition_on_request() {
    let world = World::new();
    for name in BUILT_IN {
        let shown = world.ok(&format!("types show {name}"));
        assert_eq!(too_wide(&shown), [""; 0], "{shown}");
        assert!(shown.starts_with(&format!("{name}: ")), "{shown}");
        for section in ["takes:", "parameters, given as `--set NAME=VALUE`:", "layers:", "accepts:", "unpacks:"] {
            assert!(shown.lines().any(|line| line == section), "{section}: {shown}");
        }
        let json: Value = serde_json::from_str(&world.ok(&format!("types show {name} --format json"))).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 4);
        assert_eq!((&json["command"], &json["type"]), (&json!("types show"), &json!(name)));
        assert_eq!(json["origin"], format!("built-in:{name}.yaml"));
        let text = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for (param, facts) in json["definition"]["params"].as_object().unwrap() {
            assert!(text.contains(&format!("{param} {}", facts["description"].as_str().unwrap())), "{param}: {shown}");
        }
        let file = std::fs::read_to_string(format!("artifact-types/{name}.yaml")).unwrap();
        assert_eq!(world.ok(&format!("types show {name} --raw")), file);
    }
    let shown = world.ok("types show file-bundle");
    assert!(shown.contains("\n  layout        `tree` packs a directory"), "{shown}");
    assert!(shown.contains("string; one of `tree`, `files`; default `tree`\n"), "{shown}");
    world.fails_as_json("types show slideshow --raw", 2, "`--raw` does not support `--format json`");
}

#[test]
fn a_definition_cannot_draw_lines_of_its_own() {
    let world = World::new();
    let head = "apiVersion: artifact-type/v1\nkind: ArtifactType\n";
    world.write("hostile.yaml", &format!("{head}metadata: {{name: hostile, description: \"a\\nb\\e[31m\"}}\nparams: {{x: {{description: \"c\\nunpacks:\\e[2J\"}}}}\n"));
    for line in ["types show hostile --type-file hostile.yaml", "types list --type-file hostile.yaml"] {
        let shown = world.ok(line);
        assert!(!shown.contains('\u{1b}') && shown.contains("a\\nb\\u{1b}[31m"), "{shown}");
        assert!(shown.lines().filter(|line| line.starts_with("unpacks:")).count() <= 1, "{shown}");
    }
}

#[test]
fn a_type_that_is_a_program_shows_what_it_says_of_itself() {
    let world = World::new();
    let about = json!({
        "apiVersion": "artifact-plan/v1", "name": "mine", "description": "What is mine",
        "artifactTypes": ["application/vnd.mine.v1"], "unpacks": true,
    });
    let path = program(&world, "mine", &about.to_string());
    let shown = with_programs(&world, "types show mine");
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let words: Vec<&str> = shown.stdout.split_whitespace().collect();
    let wanted = "mine: What is mine origin the program PATH accepts application/vnd.mine.v1 unpacks yes";
    assert_eq!(words.join(" "), wanted.replace("PATH", &path));
    let json: Value = serde_json::from_str(&with_programs(&world, "types show mine --format json").stdout).unwrap();
    assert_eq!(json, json!({ "command": "types show", "type": "mine", "origin": path, "about": about }));
    let raw = with_programs(&world, "types show mine --raw");
    assert_eq!((raw.code, raw.stdout.as_str()), (1, ""));
    assert!(raw.stderr.contains(&format!("`mine` has no definition: it is the program {path}")), "{}", raw.stderr);
    program(&world, "broken", "nonsense");
    let broken = with_programs(&world, "types show broken");
    assert!(broken.code == 1 && broken.stderr.contains("artifact-type-broken"), "{}", broken.stderr);
    let unknown = with_programs(&world, "types show nine");
    assert!(unknown.code == 4 && unknown.stderr.contains("there is no artifact type `nine`"), "{}", unknown.stderr);
}

#[test]
fn a_new_definition_is_printed_when_its_file_is_a_dash() {
    let world = World::new();
    let printed = world.ok("types new recipe -");
    assert!(!world.path().join("-").exists() && !world.path().join("artifact-types").exists());
    world.ok("types new recipe");
    assert_eq!(std::fs::read_to_string(world.path().join("artifact-types/recipe.yaml")).unwrap(), printed);
    world.fails_as_json("types new recipe -", 2, "a definition on stdout does not support `--format json`");
}
