//! Tests about the repository: which room may use which, and that no test file is forgotten.

use std::{fs, path::Path, process::Command};

/// A module may use only modules in front of it, and its neighbour in the same place.
const ORDER: [&[&str]; 26] = [
    &["error"],
    &["oci"],
    &["fs"],
    &["progress"],
    &["blob"],
    &["plan"],
    &["tarball"],
    &["document"],
    &["source"],
    &["types"],
    &["store"],
    &["graph"],
    &["pack"],
    &["stores"],
    &["copy"],
    &["location"],
    &["environment"],
    &["unpack"],
    &["check"],
    &["describe"],
    &["push"],
    &["pull"],
    &["exam"],
    &["serve"],
    &["fault"],
    &["cli"],
];

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The rooms that a file names: every `crate::NAME`, and every name in `use crate::{…}`, tests aside.
fn used(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]").next().unwrap();
    let code: String = code.lines().filter(|l| !l.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
    let mut names = Vec::new();
    for part in code.split("crate::").skip(1) {
        if !part.starts_with('{') {
            names.push(part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
            continue;
        }
        let mut depth = 0;
        let mut name = String::new();
        for c in part.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            match c {
                ',' | ':' | '{' | '}' if !name.is_empty() => names.push(std::mem::take(&mut name)),
                c if depth == 1 && (c.is_ascii_lowercase() || c == '_') => name.push(c),
                _ => name.clear(),
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn a_module_uses_only_modules_in_front_of_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let place = |name: &str| ORDER.iter().position(|rooms| rooms.contains(&name));
    for path in files(&src) {
        let room = path.strip_prefix(&src).unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = place(room) else { continue };
        for name in used(&fs::read_to_string(&path).unwrap()) {
            if let Some(other) = place(&name) {
                assert!(other <= own, "{} uses `{name}`, which comes after `{room}`", path.display());
            }
        }
    }
}

#[test]
fn the_command_line_uses_the_public_interface_only() {
    let cli = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    for path in files(&cli) {
        let code = fs::read_to_string(&path).unwrap();
        assert!(!code.contains("crate::"), "{} reaches into its own crate", path.display());
    }
}

#[test]
fn every_test_file_is_run() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for path in ["it", "peers"].iter().flat_map(|binary| files(&tests.join(binary))) {
        let (name, dir) = (path.file_stem().unwrap().to_str().unwrap(), path.parent().unwrap());
        let (declared, in_dir) = match name {
            "main" => continue,
            "mod" => (dir.file_name().unwrap().to_str().unwrap(), dir.parent().unwrap()),
            _ => (name, dir),
        };
        // A module is declared beside it, or in the file that has the name of its directory.
        let parents = [in_dir.join("main.rs"), in_dir.join("mod.rs"), in_dir.with_extension("rs")];
        let declares = |parent: &std::path::PathBuf| {
            fs::read_to_string(parent).is_ok_and(|code| code.contains(&format!("mod {declared};")))
        };
        assert!(parents.iter().any(declares), "{} is declared nowhere", path.display());
    }
}

/// Where the harness is not the standard one, a function with its attribute is left out, and nobody notices.
#[test]
fn no_test_of_the_peers_waits_for_the_standard_harness() {
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")) {
        let code = fs::read_to_string(&path).unwrap();
        let attribute = code.lines().find(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        assert_eq!(attribute, None, "{}", path.display());
    }
}

#[test]
fn the_reader_of_imports_sees_both_forms() {
    let code = "use crate::{\n    error::{Error, Result},\n    oci,\n};\nfn f() { crate::blob::once() }\n";
    assert_eq!(used(code), ["error", "oci", "blob"]);
}

/// Whoever uses the library decides what it may know: variables are read in one module, where a caller asks for it.
#[test]
fn the_library_reads_the_environment_in_one_place() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&src) {
        let place = path.strip_prefix(&src).unwrap().display().to_string();
        if place.starts_with("cli/") || ["environment.rs", "main.rs"].contains(&place.as_str()) {
            continue;
        }
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        for name in ["env::var", "env::temp_dir", "env::args", "env::home_dir", "load_native_certs", "\"/etc/"] {
            assert!(!code.contains(name), "{place} has `{name}`");
        }
    }
}

/// The packages of a build of the library with these features alone: name, version, and its own features.
fn packages(features: &str) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--offline", "--locked", "--edges=normal"]);
    cargo.args(["--prefix=none", "--format={p} {f}", "--no-default-features", "--features", features]);
    let tree = cargo.output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn has(packages: &[String], name: &str) -> bool {
    packages.iter().any(|package| package.split(' ').next() == Some(name))
}

#[test]
fn a_client_of_registries_builds_no_template_engine_no_validator_and_no_server() {
    let packages = packages("registry");
    assert!(has(&packages, "hyper") && has(&packages, "rustls"), "{packages:?}");
    for name in ["minijinja", "jsonschema", "schemars", "include_dir", "ignore", "semver", "clap"] {
        assert!(!has(&packages, name), "{name}");
    }
    let server = |package: &&String| package.starts_with("hyper") && package.contains("server");
    assert_eq!(packages.iter().find(server), None);
}

#[test]
fn whoever_packs_by_types_builds_no_client_and_no_server() {
    for (features, engine) in [("types", true), ("", false)] {
        let packages = packages(features);
        assert_eq!(has(&packages, "minijinja"), engine, "{features}");
        for name in ["hyper", "hyper-util", "rustls", "h2", "http", "toml", "clap"] {
            assert!(!has(&packages, name), "{features}: {name}");
        }
    }
}

#[test]
fn a_server_builds_no_client_and_no_tls() {
    let packages = packages("faults");
    assert!(has(&packages, "hyper"), "{packages:?}");
    for name in ["minijinja", "rustls", "hyper-rustls", "h2"] {
        assert!(!has(&packages, name), "{name}");
    }
}

#[test]
fn every_feature_is_explained() {
    let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    for feature in manifest["features"].as_table().unwrap().keys().filter(|feature| *feature != "default") {
        let row = format!("| `{feature}` |");
        assert!(include_str!("../../README.md").contains(&row), "README.md has no {row}");
        let item = format!("`{feature}`: ");
        assert!(include_str!("../../src/lib.rs").contains(&item), "the documentation has no {item}");
    }
}
