//! Random ignore files, the same in every run, and paths to judge by them.

use artifact::source::{Dialect, Rules};

/// The number of ignore files.
pub(crate) const FILES: u64 = 2000;

/// The digest of git's verdicts (2.39): the ignored paths of each file, one a line, and an empty line.
pub(crate) const VERDICTS: &str = "d672e476e963346659d0472341e7002e67ed9708e60ddc72847aa3d5f977223a";

/// What random lines are made of.
const PARTS: [&str; 38] = [
    "a",
    "a",
    "b",
    "b",
    "ab",
    "/",
    "/",
    "/",
    "*",
    "*",
    "**",
    "**/",
    "/**",
    "?",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-c]",
    "[]a]",
    "[a",
    "]",
    "[[:alpha:]]",
    "[[:none:]]",
    "[[:]",
    "[b-a]",
    "\\",
    "\\*",
    "{",
    "}",
    "{a,b}",
    "{}",
    "!",
    "#",
    " ",
    "é",
    ".b",
    "-",
    ",",
];

/// The directories, and the files in each of them and at the top.
pub(crate) const DIRECTORIES: [&str; 6] = ["a", "b", "a/b", "a/b/a", "ab", "{a,b}"];
pub(crate) const NAMES: [&str; 14] =
    ["c", "aa", "a.b", "ab.b", "é", "éa", "*", "{}", "a{}", "!a", "#a", "a ", "[a", "a,b"];

/// All paths, directories before their content, and whether each is one.
pub(crate) fn paths() -> Vec<(String, bool)> {
    let files = |dir: &str| NAMES.iter().map(|name| (format!("{dir}{name}"), false)).collect::<Vec<_>>();
    let mut all = files("");
    for dir in DIRECTORIES {
        all.push((dir.to_owned(), true));
        all.extend(files(&format!("{dir}/")));
    }
    all
}

/// The text of an ignore file.
pub(crate) fn text(number: u64) -> String {
    let mut dice = number;
    let mut below = |limit: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % limit
    };
    let mut text = String::new();
    for _ in 0..=below(4) {
        let line: String = (0..=below(5)).map(|_| PARTS[below(PARTS.len())]).collect();
        text.push_str(&line);
        text.push_str(["\n", "\n", "\n", "\r\n", "  \n"][below(5)]);
    }
    text
}

/// The paths that we ignore, as a listing finds them: what is in an ignored directory is not looked at.
pub(crate) fn ignored(text: &str) -> Vec<String> {
    let rules = Rules::new(Dialect::Gitignore, text, &[]).unwrap();
    let mut ignored: Vec<String> = Vec::new();
    for (path, directory) in paths() {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        if ignored.contains(&parent) || rules.ignores(&path, directory).unwrap() {
            ignored.push(path);
        }
    }
    ignored
}
