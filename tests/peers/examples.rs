//! The programs among the examples run. `cargo test` builds them; `cargo test --test peers` does not.

use std::process::Command;

use artifact::{
    exam::BEHAVIOURS,
    oci::Manifest,
    source::Source,
    types::{
        Inputs, View,
        plugin::{Plugins, Timeouts},
    },
};

use crate::{
    harness::{Test, example, tests},
    support::{
        examples::{packed, plan, root, shown},
        run,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["example custom_store"]
            plain the_custom_store_takes_an_artifact_once,
            plain the_custom_store_passes_the_exam;
        ["example artifact-type-notes"]
            single the_plug_in_packs_notes_and_unpacks_them;
        ["example pack_and_push"]
            single the_whole_way_ends_in_a_layout_with_the_digest_that_packing_gave;
    ]
}

fn the_custom_store_takes_an_artifact_once() {
    let program = example("custom_store");
    let printed = run(&mut Command::new(program));
    assert!(printed.contains(": 3 moved, "), "{printed}");
    assert!(printed.contains("again: 0 moved, 3 present"), "{printed}");
    assert!(printed.contains("3 content\n1 manifests\n1 tags"), "{printed}");
}

fn the_custom_store_passes_the_exam() {
    let printed = run(&mut Command::new(example("custom_store")));
    // All but content of unknown digest, which a store need not take.
    for name in BEHAVIOURS.iter().map(|behaviour| behaviour.name) {
        let line = printed.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap();
        let upload = line.ends_with(": does not apply: it accepts no content with an unknown digest");
        assert!(line.ends_with(": passed") || upload, "{line}");
    }
    assert_eq!(printed.matches("does not apply").count(), 3, "{printed}");
}

async fn the_plug_in_packs_notes_and_unpacks_them() {
    let programs = example("artifact-type-notes").parent().unwrap().to_owned();
    let plugin = Plugins::new(vec![programs], Timeouts::default()).get("notes").await.unwrap().unwrap();
    let source = Source::open(root().join("examples/notes")).unwrap();
    let inputs = Inputs { annotations: [("com.example.by".into(), "me".into())].into(), ..Default::default() };
    let packed = packed(&plugin.plan(&source, &inputs).await.unwrap()).await.unwrap();
    insta::assert_snapshot!("notes", shown(&packed));
    let manifest: Manifest = serde_json::from_slice(packed.manifest()).unwrap();
    let unpacking = plugin.unpacking(&manifest, b"", View::Native).await.unwrap();
    let paths: Vec<_> = unpacking.steps.iter().map(|step| step.path.as_str()).collect();
    assert_eq!(paths, ["notes/air-gap.txt", "notes/names.txt", "notes/talk.txt"]);
}

async fn the_whole_way_ends_in_a_layout_with_the_digest_that_packing_gave() {
    let program = example("pack_and_push");
    let talk = root().join("examples/slides/talk.yaml");
    let printed = run(Command::new(program).arg(&talk));
    let packed = packed(&plan(&talk).unwrap()).await.unwrap();
    assert!(printed.contains(&format!("{}\n", packed.root().digest)), "{printed}");
    // Manifest, config and ten pictures; the tag is the version that the talk gives itself.
    assert!(printed.contains(&format!("@{}: 12 moved, ", packed.root().digest)), "{printed}");
    assert!(printed.contains(":v1: 0 moved, 0 bytes, 12 present"), "{printed}");
}
