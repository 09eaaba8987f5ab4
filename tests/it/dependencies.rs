//! What this program is made of besides its own code: under which licences, from where, what is there twice, and why each is
//! there at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value as Json;

/// The licences that others' code may come under. One more is a decision.
const LICENCES: [&str; 7] = ["Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];

/// The crates that are there in several versions, with the number of them and the reason.
const TWICE: [(&str, usize, &str); 8] = [
    ("cipher", 2, "bcrypt has 0.5; crypto_secretbox, whose later version is not released, 0.4"),
    ("crypto-common", 2, "as cipher"),
    ("inout", 2, "as cipher"),
    ("untrusted", 2, "ring and webpki have 0.9, aws-lc-rs 0.7"),
    ("getrandom", 3, "ring has 0.2, jsonschema 0.3 by way of ahash, and tempfile 0.4, as we do"),
    ("r-efi", 2, "belongs to two of getrandom's; only on UEFI"),
    ("syn", 2, "strum, jiff and zerocopy still derive with 2; only while building"),
    ("windows-sys", 2, "ring has 0.52, everybody else 0.61; only on Windows"),
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The packages of a build, without those that only tests need.
struct Packages {
    found: Vec<Json>,
    /// Whether those of all platforms are among them.
    all: bool,
}

fn cargo(command: &str, arguments: &[&str]) -> Result<String, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([command, "--offline", "--locked", "--all-features"]);
    let output = cargo.args(arguments).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Of all platforms where all was fetched (`cargo fetch`), which no build does; else of this one.
///
/// What is reached is what `cargo tree` shows: for `cargo metadata`, what tests ask of a package counts for all.
fn packages() -> Packages {
    let tree = |platforms: &[&str]| {
        let arguments = ["--edges", "no-dev", "--prefix", "none", "--format", "{p}"];
        cargo("tree", &[&arguments, platforms].concat())
    };
    let (all, reached) = match tree(&["--target", "all"]) {
        Ok(reached) => (true, reached),
        Err(why) => {
            eprintln!("only the packages of this platform are looked at: {why}");
            (false, tree(&[]).unwrap())
        }
    };
    let reached: BTreeSet<String> = reached.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    let arguments = ["--format-version=1", "--filter-platform", &host()];
    let metadata = cargo("metadata", if all { &arguments[..1] } else { &arguments }).unwrap();
    let metadata: Json = serde_json::from_str(&metadata).unwrap();
    let found = metadata["packages"].as_array().unwrap().iter().filter(|package| {
        let name = format!("{}v{}", text(&package["name"]), text(&package["version"]));
        !text(&package["source"]).is_empty() && reached.contains(&name)
    });
    Packages { found: found.cloned().collect(), all }
}

/// What `rustc` calls this machine.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether a licence expression (SPDX, annex D) can be satisfied; a `/` is an old way to write `OR`.
fn is_satisfied(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) == Some(true) && rest.is_empty()
}

/// `a OR b`; `None` where something is missing.
fn any(words: &mut &[&str]) -> Option<bool> {
    let mut satisfied = all(words)?;
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        satisfied |= all(words)?;
    }
    Some(satisfied)
}

/// `a AND b`, which binds closer.
fn all(words: &mut &[&str]) -> Option<bool> {
    let mut satisfied = one(words)?;
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        satisfied &= one(words)?;
    }
    Some(satisfied)
}

/// A licence, be it with an exception, which only allows more; or an expression in parentheses.
fn one(words: &mut &[&str]) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let satisfied = any(words)?;
        let [")", rest @ ..] = *words else { return None };
        *words = rest;
        return Some(satisfied);
    }
    if let ["WITH", _, rest @ ..] = *words {
        *words = rest;
    }
    Some(LICENCES.contains(first))
}

#[test]
fn an_expression_of_licences_is_read_as_spdx_has_it() {
    for good in [
        "MIT",
        "GPL-3.0-only OR MIT",
        "MIT/GPL-3.0-only",
        "Unlicense / MIT",
        "(GPL-3.0-only OR MIT) AND ISC",
        "GPL-3.0-only AND ISC OR MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_satisfied(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND (GPL-3.0-only OR MPL-2.0)",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "(MIT",
        "MIT)",
        "MIT MIT",
        "MIT OR",
    ] {
        assert!(!is_satisfied(bad), "{bad}");
    }
}

#[test]
fn every_package_has_a_licence_that_is_allowed_and_comes_from_crates_io() {
    for package in packages().found {
        let (name, licence) = (text(&package["name"]), text(&package["license"]));
        assert!(is_satisfied(&licence), "{name}: `{licence}`");
        assert_eq!(text(&package["source"]), CRATES_IO, "{name}");
    }
}

#[test]
fn what_is_there_in_several_versions_is_listed_with_the_reason() {
    let packages = packages();
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for package in &packages.found {
        versions.entry(text(&package["name"])).or_default().insert(text(&package["version"]));
    }
    versions.retain(|_, versions| versions.len() > 1);
    for (name, versions) in &versions {
        let listed = TWICE.iter().find(|(listed, ..)| listed == name);
        assert!(listed.is_some_and(|(_, most, _)| versions.len() <= *most), "{name}: {versions:?}");
    }
    if packages.all {
        for (name, number, _) in TWICE {
            assert_eq!(versions.get(name).map(BTreeSet::len), Some(number), "{name}: the list says more than is there");
        }
    }
}

#[test]
fn every_dependency_has_its_reason_in_the_line_above() {
    let (mut section, mut before, mut seen) = ("", "", 0);
    for line in include_str!("../../Cargo.toml").lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && !line.is_empty() && !line.starts_with('#') {
            assert!(before.starts_with("# "), "no reason: {line}");
            seen += 1;
        }
        before = line;
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn the_readme_names_the_toolchain_that_is_needed() {
    let needed = concat!("Rust (", env!("CARGO_PKG_RUST_VERSION"), " or newer)");
    assert!(include_str!("../../README.md").contains(needed), "{needed}");
}
