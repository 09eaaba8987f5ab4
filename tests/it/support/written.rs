//! What tests there are, and what the comments in front of them say: read from the sources, for tables of what is shown.

use std::{fs, path::Path};

/// A test function.
pub(crate) struct Written {
    /// Its name.
    pub(crate) name: String,
    /// The comment in front of it.
    pub(crate) comment: String,
}

/// All test functions of the library and of the test binaries.
pub(crate) fn tests() -> Vec<Written> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src", "tests/it", "tests/peers"]
        .iter()
        .flat_map(|dir| sources(&root.join(dir)))
        .flat_map(|code| of(&code))
        .collect()
}

fn sources(dir: &Path) -> Vec<String> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|e| e == "rs") => vec![fs::read_to_string(path).unwrap()],
        false => Vec::new(),
    };
    paths.flat_map(read).collect()
}

fn of(code: &str) -> Vec<Written> {
    let (mut all, mut comment, mut test) = (Vec::new(), String::new(), false);
    let listed = listed(code);
    for line in code.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if line.starts_with("#[") {
            test |= line.contains("test");
        } else {
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|name| test || listed.contains(name)) {
                all.push(Written { name: name.to_owned(), comment: comment.clone() });
            }
            (comment, test) = (String::new(), false);
        }
    }
    all
}

/// Where no attribute says what is a test, a list does: how each runs, and its name.
fn listed(code: &str) -> Vec<&str> {
    let list =
        code.split_once(" tests![").and_then(|(_, rest)| rest.split_once("    ]\n")).map_or("", |(list, _)| list);
    let words: Vec<&str> = list.split_whitespace().collect();
    let tests = words.windows(2).filter(|pair| matches!(pair[0], "plain" | "single" | "multi" | "paused"));
    tests.map(|pair| pair[1].trim_end_matches([',', ';'])).collect()
}

#[test]
fn tests_are_found_with_their_comments() {
    let listed =
        "    tests![\n        [\"x\"]\n            multi four;\n    ]\n/// X4.\nasync fn four() {\n}\nfn x() {}\n";
    let found: Vec<_> = of(listed).into_iter().map(|test| (test.name, test.comment)).collect();
    assert_eq!(found, [("four".into(), " X4.".into())]);
    let code =
        "/// One (X1).\n#[tokio::test(x)]\nasync fn one() {\n}\n/// No test.\nfn two() {}\n#[test]\nfn three() {}\n";
    let found: Vec<_> = of(code).into_iter().map(|test| (test.name, test.comment)).collect();
    assert_eq!(found, [("one".into(), " One (X1).".into()), ("three".into(), String::new())]);
}
