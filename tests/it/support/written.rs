//! What tests there are, and what the comments in front of them say: read from the sources, for tables of what is shown.

use std::{fs, path::Path};

/// A test function.
pub(crate) struct Written {
    /// Its name.
    pub(crate) name: String,
    /// The comment in front of it.
    pub(crate) comment: String,
}

/// All test functions of the library and of this binary.
pub(crate) fn tests() -> Vec<Written> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src", "tests/it"].iter().flat_map(|dir| sources(&root.join(dir))).flat_map(|code| of(&code)).collect()
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
    for line in code.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if line.starts_with("#[") {
            test |= line.contains("test");
        } else {
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|_| test) {
                all.push(Written { name: name.to_owned(), comment: comment.clone() });
            }
            (comment, test) = (String::new(), false);
        }
    }
    all
}

#[test]
fn tests_are_found_with_their_comments() {
    let code =
        "/// One (X1).\n#[tokio::test(x)]\nasync fn one() {\n}\n/// No test.\nfn two() {}\n#[test]\nfn three() {}\n";
    let found: Vec<_> = of(code).into_iter().map(|test| (test.name, test.comment)).collect();
    assert_eq!(found, [("one".into(), " One (X1).".into()), ("three".into(), String::new())]);
}
