//! The cases of the sigstore conformance set (`test/assets/bundle-verify` of `sigstore/sigstore-conformance`), which is no
//! part of this repository. Run with
//!
//! ```sh
//! ARTIFACT_CONFORMANCE=…/test/assets/bundle-verify cargo test --test it -- --ignored sign::conformance
//! ```
//!
//! Each directory has a bundle, and perhaps an artifact, a trusted root, a key, an identity and an issuer of its own; its
//! name ends in `_fail` if the bundle must not hold.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::program::{World, ran};

/// The directory with the cases.
const VARIABLE: &str = "ARTIFACT_CONFORMANCE";
/// The trusted root of the public instance, for cases without one of their own. Without it, these are left out.
const ROOT: &str = "ARTIFACT_CONFORMANCE_ROOT";

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
    .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The arguments of `verify` for this case; `None` if it needs the root of the public instance, and there is none.
fn arguments(case: &Path, predicate_type: Option<&str>) -> Option<Vec<PathBuf>> {
    let own = |name: &str| Some(case.join(name)).filter(|path| path.exists());
    let text = |name: &str, otherwise: &str| {
        own(name).map_or_else(|| otherwise.to_owned(), |path| fs::read_to_string(path).unwrap().trim().to_owned())
    };
    let artifact = own("artifact").unwrap_or_else(|| case.with_file_name("a.txt"));
    let mut all: Vec<PathBuf> = vec!["verify".into(), "--file".into(), artifact];
    all.extend(["--bundle".into(), case.join("bundle.sigstore.json")]);
    let root = own("trusted_root.json").or_else(|| std::env::var_os(ROOT).map(PathBuf::from));
    match own("key.pub") {
        Some(key) => all.extend(["--key".into(), key]),
        None => {
            let (identity, issuer) = (text("identity", IDENTITY), text("issuer", ISSUER));
            all.extend(["--certificate-identity".into(), identity.into()]);
            all.extend(["--certificate-oidc-issuer".into(), issuer.into()]);
            all.extend(["--trusted-root".into(), root?]);
        }
    }
    all.extend(predicate_type.into_iter().flat_map(|found| ["--type".into(), found.into()]));
    Some(all)
}

/// The type of the statement in a bundle, if it holds one: it is asked for by its type.
fn predicate_type(bundle: &Path) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bundle: serde_json::Value = serde_json::from_slice(&fs::read(bundle).ok()?).ok()?;
    let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str()?).ok()?;
    let statement: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    statement["predicateType"].as_str().map(str::to_owned)
}

#[test]
#[ignore = "needs the conformance set: see the head of its file"]
fn every_case_of_the_conformance_set_ends_as_its_name_says() {
    let dir = std::env::var_os(VARIABLE).map(PathBuf::from).unwrap_or_else(|| panic!("{VARIABLE} is not set"));
    let world = World::new();
    let mut cases: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    let (mut right, mut wrong, mut left_out) = (0, Vec::new(), 0);
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let Some(arguments) = arguments(case, predicate_type(&case.join("bundle.sigstore.json")).as_deref()) else {
            left_out += 1;
            continue;
        };
        let ran = ran(world.command("").args(&arguments).output().unwrap());
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let held = ran.code == 0;
        if held != name.ends_with("_fail") && held == said.contains(": verified") && ran.code != 70 {
            right += 1;
        } else {
            wrong.push(format!("{name}: {}\n{said}", ran.code));
        }
    }
    eprintln!("{right} of {} right, {} wrong, {left_out} left out", cases.len(), wrong.len());
    assert!(wrong.is_empty() && right > 0, "{}", wrong.join("\n"));
}
