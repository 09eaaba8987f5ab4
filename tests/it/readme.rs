//! What README.md shows is true.

use std::sync::Arc;

use artifact::{
    source::Source,
    types::{ArtifactType, Catalog, Inputs, Origin, lint},
};

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
