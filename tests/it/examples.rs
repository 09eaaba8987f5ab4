//! The examples are what they say: samples pack to the manifests that were reviewed, programs run.

use std::{path::Path, process::Command};

use artifact::{
    Result,
    pack::{self, Packed},
    plan::Plan,
};

use crate::support::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn packed(plan: &Plan) -> Result<Packed> {
    let scratch = tempfile::tempdir()?;
    pack::pack(plan, &pack::Options { scratch: scratch.path().into(), threads: 2 }).await
}

/// The manifest for a reviewer, and the digest of the bytes that a registry gets.
fn shown(packed: &Packed) -> String {
    let manifest: serde_json::Value = serde_json::from_slice(packed.manifest()).unwrap();
    format!("{}\n{}", packed.root().digest, serde_json::to_string_pretty(&manifest).unwrap())
}

/// What an example program prints. `cargo test` builds the examples; `cargo test --test it` does not, and skips them
/// visibly where they were never built.
fn example(name: &str, args: &[&str]) -> Option<String> {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    if program.is_file() {
        return Some(run(Command::new(program).args(args).current_dir(root())));
    }
    assert!(std::env::var_os("ARTIFACT_REQUIRE_PEERS").is_none(), "{} is not built", program.display());
    eprintln!("skipped: example {name} is not built");
    None
}

#[test]
fn the_custom_store_takes_an_artifact_once() {
    let Some(printed) = example("custom_store", &[]) else { return };
    assert!(printed.contains(": 3 moved, "), "{printed}");
    assert!(printed.contains("again: 0 moved, 3 present"), "{printed}");
    assert!(printed.contains("3 content\n1 manifests\n1 tags"), "{printed}");
}

#[tokio::test]
async fn the_plug_in_prints_a_plan_that_packs() {
    let Some(printed) = example("artifact-type-notes", &["examples/notes"]) else { return };
    let plan: Plan = serde_json::from_str(&printed).unwrap();
    insta::assert_snapshot!("notes", shown(&packed(&plan).await.unwrap()));
}
