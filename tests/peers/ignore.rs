//! Ignore files, judged by git.

use std::{fs, io::Write as _, path::Path, process::Command};

use artifact::oci::Digest;

use crate::{
    harness::{Test, tests},
    support::{
        ignore_samples::{DIRECTORIES, FILES, VERDICTS, ignored, paths, text},
        peer, run,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![["git"] plain git_ignores_what_we_ignore;]
}

/// The paths that git ignores in this repository.
fn by_git(repository: &Path, input: &Path) -> Vec<String> {
    let output = Command::new(peer("git"))
        .current_dir(repository)
        // What the user has ignored everywhere does not count.
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("XDG_CONFIG_HOME", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .args(["check-ignore", "--no-index", "-z", "--stdin"])
        .stdin(fs::File::open(input).unwrap())
        .output()
        .unwrap();
    // It exits with 1 where nothing is ignored.
    assert!(output.status.code() < Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let ignored = String::from_utf8(output.stdout).unwrap();
    ignored.split_terminator('\0').map(Into::into).collect()
}

fn git_ignores_what_we_ignore() {
    let work = tempfile::tempdir().unwrap();
    let (repository, input) = (work.path().join("r"), work.path().join("paths"));
    run(Command::new(peer("git")).env_remove("GIT_DIR").arg("init").arg("-q").arg(&repository));
    for directory in DIRECTORIES {
        fs::create_dir_all(repository.join(directory)).unwrap();
    }
    let mut list = fs::File::create(&input).unwrap();
    for (path, directory) in paths() {
        if !directory {
            fs::write(repository.join(&path), "").unwrap();
        }
        write!(list, "{path}\0").unwrap();
    }
    let mut verdicts = String::new();
    for number in 0..FILES {
        let text = text(number);
        fs::write(repository.join(".gitignore"), &text).unwrap();
        let git = by_git(&repository, &input);
        assert_eq!(ignored(&text), git, "ignore file {number}: {text:?}");
        verdicts.push_str(&git.join("\n"));
        verdicts.push_str("\n\n");
    }
    assert_eq!(Digest::of(verdicts.as_bytes()).hex(), VERDICTS, "what the ordinary test compares with");
}
