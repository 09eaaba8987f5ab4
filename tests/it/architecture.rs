//! Tests about the repository: which module may use which, and that no test file is forgotten.

use std::{fs, path::Path, process::Command};

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

/// The orders of modules in `src/README.md`: a folder, and its modules, those of one line in one list.
fn orders() -> Vec<(&'static str, Vec<Vec<&'static str>>)> {
    let sections = include_str!("../../src/README.md").split("\n## ").skip(1);
    let order = |section: &'static str| {
        let (heading, table) = section.split_once('\n')?;
        let folder = heading.strip_prefix("`src")?.strip_suffix('`')?.trim_start_matches('/');
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        Some((folder, rows.map(|(names, _)| names.split("`, `").collect()).collect()))
    };
    sections.filter_map(order).collect()
}

/// The paths that code names by `crate::` and `super::`, as segments from the root of the crate. `module` is where the
/// code stands.
fn imports(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let code = code.split("#[cfg(test)]").next().unwrap();
    let code: String = code.lines().filter(|l| !l.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
    let mut found = Vec::new();
    for prefix in ["crate::", "super::"] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            // `super::super::` is met at its first `super`; `pub(in crate::a)` imports nothing.
            let met = code[..at].ends_with("super::") || code[..at].ends_with("pub(in ");
            if met || before.is_alphanumeric() || before == '_' {
                continue;
            }
            let (mut base, mut rest) = (module.to_vec(), &code[at..]);
            while let Some(next) = rest.strip_prefix("super::") {
                base.pop();
                rest = next;
            }
            if let Some(next) = rest.strip_prefix("crate::") {
                base.clear();
                rest = next;
            }
            tree(rest, base, &mut found);
        }
    }
    found
}

/// Follows `a::b::{c, d::{e, f}}`.
fn tree<'a>(text: &'a str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let mut text = text.trim_start();
    if let Some(mut inner) = text.strip_prefix('{') {
        loop {
            inner = tree(inner, base.clone(), found).trim_start();
            match inner.strip_prefix(',') {
                Some(next) => inner = next,
                None => return inner.strip_prefix('}').unwrap_or(inner),
            }
        }
    }
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    text = &text[name.len()..];
    if !name.is_empty() && name != "self" {
        base.push(name.clone());
    }
    match text.strip_prefix("::") {
        Some(rest) => tree(rest, base, found),
        None => {
            if !name.is_empty() {
                found.push(base);
            }
            // ` as other`
            &text[text.find([',', '}', ';', '\n']).unwrap_or(text.len())..]
        }
    }
}

/// The module that a file is, as segments from the root of the crate.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let names = path.components().map(|part| part.as_os_str().to_str().unwrap().to_owned());
    names.filter(|name| !["mod", "lib", "main"].contains(&name.as_str())).collect()
}

#[test]
fn a_module_uses_only_modules_in_front_of_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let orders = orders();
    assert_eq!(
        orders.iter().map(|(folder, _)| *folder).collect::<Vec<_>>(),
        ["", "types", "stores/registry", "serve", "sign"]
    );
    let (mut followed, mut wrong) = (0, Vec::new());
    for path in files(&src) {
        let file = path.strip_prefix(&src).unwrap();
        if file.ends_with("tests.rs") {
            continue;
        }
        let module = module_of(file);
        let code = fs::read_to_string(&path).unwrap();
        for (folder, order) in &orders {
            let place = |name: &str| order.iter().position(|row| row.contains(&name));
            let above: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
            let within = |path: &[String]| path.len() > above.len() && path.iter().zip(&above).all(|(a, b)| a == b);
            let Some(own) = Some(&module).filter(|path| within(path)).and_then(|path| place(&path[above.len()])) else {
                continue;
            };
            for used in imports(&code, &module).iter().filter(|used| used.starts_with(&module[..above.len()])) {
                followed += 1;
                let name = used.get(above.len()).map(String::as_str).unwrap_or_default();
                // An item of the folder's own `mod.rs`, which comes last unless the order says otherwise.
                let last = if above.is_empty() { 0 } else { place("mod").unwrap_or(order.len()) };
                let other = place(name).unwrap_or(last);
                if other > own {
                    wrong.push(format!("{} uses {}", file.display(), used.join("::")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(followed > 1500, "{followed}");
}

#[test]
fn every_module_is_in_the_map_of_the_source() {
    for (folder, order) in orders() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
        let mut there: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| !["mod", "lib", "main", "README"].contains(&name.as_str()))
            .collect();
        let mut listed: Vec<String> =
            order.concat().into_iter().filter(|name| *name != "mod").map(str::to_owned).collect();
        there.sort();
        listed.sort();
        assert_eq!(there, listed, "src/{folder}");
    }
}

#[test]
fn every_folder_says_what_belongs_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&src).iter().filter(|path| path.ends_with("mod.rs")) {
        assert!(fs::read_to_string(path).unwrap().starts_with("//! "), "{}", path.display());
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
fn the_reader_of_imports_sees_all_forms() {
    let code = "use crate::{\n    error::{Error, Result},\n    oci,\n};\nuse super::{b as c, d::{self, E}};\nfn f() { super::super::g(crate::blob::once()) }\n";
    let module = ["x", "y", "z"].map(str::to_owned);
    let mut found: Vec<String> = imports(code, &module).into_iter().map(|path| path.join("::")).collect();
    found.sort();
    assert_eq!(
        found,
        ["blob::once", "error::Error", "error::Result", "oci", "x::g", "x::y::b", "x::y::d", "x::y::d::E"]
    );
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
    for name in ["minijinja", "jsonschema", "schemars", "include_dir", "ignore", "clap"] {
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
