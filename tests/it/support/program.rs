//! The program itself, run in a directory of its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

/// A directory with sources, and the program run in it with an empty environment.
pub(crate) struct World {
    dir: tempfile::TempDir,
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        world.write("talk/slides.yaml", "title: A talk\nimages:\n- 1.png\n- 2.png\n- 1.png\n");
        world.write("talk/1.png", "\u{89}PNG one");
        world.write("talk/2.png", "\u{89}PNG two");
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_artifact"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("HOME", self.path()).env("TMPDIR", self.path());
        command.env("COSIGN_PASSWORD", "of a key");
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        ran(self.command(line).output().unwrap())
    }

    /// Runs a line that must succeed, and gives its standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}\n{}\n{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs a line that gets this on stdin.
    pub(crate) fn run_with_stdin(&self, line: &str, input: &str) -> Ran {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        ran(child.wait_with_output().unwrap())
    }

    /// Runs a line that must fail with this exit code and an error that holds all these words.
    pub(crate) fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let ran = self.run(line);
        assert_eq!(ran.code, code, "{line}\n{}\n{}", ran.stdout, ran.stderr);
        let said = |line: &&str| line.starts_with("error: ") || line.starts_with("  in: ");
        let error = ran.stderr.lines().filter(said).collect::<Vec<_>>().join("\n");
        for word in words {
            assert!(error.contains(word), "{line}: `{word}` is not in: {}", ran.stderr);
        }
        assert!(!ran.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", ran.stderr);
    }
}

impl World {
    /// Runs a line that must fail with this exit code, nothing on stdout and a JSON error that holds this word.
    pub(crate) fn fails_as_json(&self, line: &str, code: i32, word: &str) {
        let ran = self.run(&format!("{line} --format json"));
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {}", ran.stderr);
        let said: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(said["event"], "error");
        assert!(said["error"]["message"].as_str().unwrap().contains(word), "{line}: {}", ran.stderr);
    }
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// A registry as a process of its own, ended with the test.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) addr: String,
}

impl Served {
    pub(crate) fn start(world: &World, args: &str) -> Self {
        let mut command = world.command(&format!("serve --listen 127.0.0.1:0 {args}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().trim_start_matches("http://").to_owned();
        assert!(addr.starts_with("127.0.0.1:"), "{line}");
        Self { child, addr }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
