//! What a terminal shows while a command works.

use std::process::Command;

use crate::{
    harness::{Test, tests},
    support::{
        peer,
        program::{Served, World},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["script"]
            plain on_a_terminal_nothing_that_was_drawn_remains;
    ]
}

fn on_a_terminal_nothing_that_was_drawn_remains() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    world.write("big/blob", &"0123456789abcdef".repeat(6400));
    let push = format!(
        "{} push big {}/big:v1 --set layout=files --limit-rate 0.1M",
        env!("CARGO_BIN_EXE_artifact"),
        registry.addr
    );
    let mut script = Command::new(peer("script"));
    script.args(["-qec", &push, "/dev/null"]).current_dir(world.path()).env("TERM", "xterm").env("HOME", world.path());
    let shown = String::from_utf8(script.output().unwrap().stdout).unwrap();
    let (drawn, after) = shown.rsplit_once("\u{1b}[J").unwrap();
    assert!(drawn.contains(" %  [") && drawn.contains("/3"), "{drawn:?}");
    assert_eq!(drawn.matches("\u{1b}[?7l").count(), drawn.matches("\u{1b}[?7h").count());
    let lines: Vec<&str> = after.trim_end().lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("3 items moved") && lines[1].starts_with("sha256:"), "{after:?}");
}
