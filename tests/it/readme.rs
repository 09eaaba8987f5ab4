//! What README.md shows is true.

use std::{collections::BTreeSet, sync::Arc};

use artifact::{
    source::Source,
    types::{ArtifactType, Catalog, Inputs, Origin, lint, schema},
};
use serde_json::Value;

const README: &str = include_str!("../../README.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_type_in_ten_lines_lints_and_packs_a_poem() {
    let [text] = blocks("yaml")[..] else { panic!("one definition") };
    assert!(lint::lint(text, "README.md").unwrap().is_empty());
    let kind = Arc::new(ArtifactType::parse(text, Origin::File("README.md".into())).unwrap());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rose.poem"), "a rose is a rose").unwrap();
    let plan = kind.plan(&Source::open(dir.path().join("rose.poem")).unwrap(), &Inputs::default()).unwrap();
    assert_eq!(plan.manifest().unwrap().layers.len(), 1);
    assert_eq!(plan.manifest().unwrap().artifact_type.as_deref(), Some("application/vnd.example.poem.v1"));
}

#[test]
fn every_command_line_names_a_command_that_there_is() {
    let commands: Vec<&str> = blocks("console")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("$ artifact "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_artifact"));
        assert!(program.args([command, "--help"]).output().unwrap().status.success(), "{command}");
    }
}

#[test]
fn every_built_in_type_is_found_in_the_guide() {
    let guide = include_str!("../../artifact-types/README.md");
    for kind in Catalog::builtin().unwrap().list() {
        assert!(guide.contains(&format!("[`{}`]", kind.name())), "{}", kind.name());
    }
}

/// The keys and the fixed values in a JSON Schema.
fn words_of(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let texts = map.get("enum").and_then(Value::as_array).into_iter().flatten().chain(map.get("const"));
            words.extend(texts.filter_map(Value::as_str).map(str::to_owned));
            words.extend(
                map.get("properties").and_then(Value::as_object).into_iter().flat_map(|map| map.keys().cloned()),
            );
            map.values().for_each(|inner| words_of(inner, words));
        }
        Value::Array(items) => items.iter().for_each(|inner| words_of(inner, words)),
        _ => {}
    }
}

/// What is code in a page: blocks and spans.
fn code_of(page: &str) -> String {
    let (mut code, mut in_block) = (String::new(), false);
    for line in page.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            code += &format!("{line}\n");
        } else {
            line.split('`').skip(1).step_by(2).for_each(|span| code += &format!("{span}\n"));
        }
    }
    code
}

#[test]
fn every_key_and_value_of_a_definition_is_in_the_guide() {
    let mut words = BTreeSet::new();
    words_of(&serde_json::from_str(&schema().unwrap()).unwrap(), &mut words);
    assert!(words.len() > 100 && words.contains("otherLayers") && words.contains("source-date-epoch"), "{words:?}");
    let code = code_of(include_str!("../../artifact-types/README.md"));
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '/';
    let said: BTreeSet<&str> = code.split(|c| !is_part(c)).collect();
    words.retain(|word| !said.contains(word.as_str()));
    assert_eq!(words, BTreeSet::new());
}
