//! What bash completes with the script of `artifact completions bash`.

use std::process::Command;

use crate::{
    harness::{Test, tests},
    support::{peer, program::World},
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["bash"]
            plain options_are_offered_to_who_begins_one_and_names_of_types_are_known;
    ]
}

/// Completes the last of these words, as bash takes a line apart, and prints what is offered.
const COMPLETE: &str = r#"
source ./script
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_artifact_words
echo "${COMPREPLY[@]}"
"#;

fn options_are_offered_to_who_begins_one_and_names_of_types_are_known() {
    let world = World::new();
    world.write("script", &world.ok("completions bash"));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_artifact")).parent().unwrap();
    let offered = |line: &str| {
        let mut bash = Command::new(peer("bash"));
        bash.args(["-c", COMPLETE, "bash"]).args(line.split(' ')).current_dir(world.path());
        bash.env("PATH", format!("{}:/usr/bin:/bin", program.display())).env("HOME", world.path());
        let out = bash.output().unwrap();
        assert!(out.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    for (line, expected) in [
        ("artifact inspect localhost : 5000/docs :", ""),
        ("artifact types show ", "file-bundle helm-chart slideshow"),
        ("artifact types show s", "slideshow"),
        ("artifact push talk --type he", "helm-chart"),
        ("artifact pull x --unpack =", "native tree"),
        ("artifact pull x --unpack = t", "tree"),
        ("artifact login ", ""),
        ("artifact inspect --templ", "--template"),
        ("artifact insp", "inspect"),
    ] {
        assert_eq!(offered(line), expected, "{line}");
    }
    let commands = offered("artifact ");
    assert!(commands.starts_with("push pull ") && !commands.contains("--"), "{commands}");
}
