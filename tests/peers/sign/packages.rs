//! What we sign, and what we believe, verified by the sigstore packages of npm and PyPI.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use artifact::{
    oci::Parsed,
    sign::BUNDLE,
    store::{self, Item, ReadStore as _},
    stores::Layout,
};
use serde_json::{Value, json};

use crate::{
    harness::{Test, node, python, tests},
    support::{
        program::World,
        run,
        samples::named,
        signing::{KEYS, cases, layout_of, signing, vector},
    },
};

/// Longest bundle that is read.
const MAX: u64 = 1 << 20;
/// All names of predicate types that are shorter than a URI.
const TYPES: [&str; 10] = [
    "slsaprovenance",
    "slsaprovenance02",
    "slsaprovenance1",
    "link",
    "spdx",
    "spdxjson",
    "cyclonedx",
    "vuln",
    "openvex",
    "custom",
];

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["npm @sigstore/verify 3.1.1"]
            plain sigstore_for_node_verifies_the_files_that_we_sign,
            single sigstore_for_node_verifies_the_artifacts_that_we_sign_and_attest;
        ["pypi sigstore 4.5.1"]
            single sigstore_for_python_agrees_about_what_certificates_signed;
    ]
}

/// Has a script answer questions about bundles: `verified`, or why not.
fn ask(mut command: Command, questions: &[Value]) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(questions).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answers = serde_json::from_slice(&output.stdout);
    let answers: Vec<String> = answers.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(answers.len(), questions.len());
    answers
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/sign")).join(name)
}

fn public(key: &str) -> PathBuf {
    vector(&format!("keys/{key}.pub"))
}

fn sigstore_for_node_verifies_the_files_that_we_sign() {
    let world = World::new();
    run(&mut signing(&world, "keygen mine"));
    world.write("file", "what is signed");
    world.write("other", "something else");
    let mut questions = Vec::new();
    let mut ask_about = |key: &str, private: &Path, public: &Path| {
        let bundle = world.path().join(format!("{key}.json"));
        let line = format!("sign --file file --bundle {} --key {}", bundle.display(), private.display());
        run(&mut signing(&world, &line));
        for (file, public) in [("file", public), ("other", public), ("file", &vector("keys/other.pub"))] {
            let what = if public.ends_with("other.pub") { "other key" } else { file };
            let question = json!({ "bundle": bundle, "key": public, "file": world.path().join(file) });
            // It hashes what Ed25519 signs.
            questions.push((format!("{key}, {what}"), what == "file" && key != "ed25519", question));
        }
    };
    ask_about("mine", &world.path().join("mine.key"), &world.path().join("mine.pub"));
    for key in KEYS {
        ask_about(key, &vector(&format!("keys/{key}.key")), &public(key));
    }
    check(&questions);
}

/// Asks whether each holds, and says which answers are wrong.
fn check(questions: &[(String, bool, Value)]) {
    let asked: Vec<Value> = questions.iter().map(|(_, _, question)| question.clone()).collect();
    let answers = ask(node(&script("verify.mjs")), &asked);
    let answers = questions.iter().zip(answers);
    let wrong: Vec<String> = answers
        .filter(|((_, holds, _), answer)| (answer == "verified") != *holds)
        .map(|((what, _, _), answer)| format!("{what}: {answer}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The bundles that refer to the artifact `v1` of a layout, as files.
async fn bundles(layout: &Path) -> Vec<PathBuf> {
    let store = Layout::open(layout).unwrap();
    let subject = store.resolve(&named("v1")).await.unwrap();
    let mut files = Vec::new();
    for referrer in store.referrers(&subject).await.unwrap() {
        let bytes = store::read_manifest(&store, &referrer).await.unwrap();
        let Parsed::Manifest(manifest) = Parsed::read(&referrer.media_type, &bytes).unwrap() else { continue };
        let [layer] = manifest.layers.as_slice() else { continue };
        if layer.media_type == BUNDLE {
            let bytes = store::read(&store, &Item::blob(layer.bare()), MAX).await.unwrap();
            let file = layout.with_extension(format!("{}.json", files.len()));
            std::fs::write(&file, bytes).unwrap();
            files.push(file);
        }
    }
    files
}

async fn sigstore_for_node_verifies_the_artifacts_that_we_sign_and_attest() {
    let world = World::new();
    world.write("predicate.json", r#"{"made": "here", "with": ["ü", 1.50]}"#);
    let mut questions = Vec::new();
    for key in KEYS {
        let layout = world.path().join(key);
        layout_of("unsigned", &layout);
        let private = vector(&format!("keys/{key}.key"));
        let private = private.display();
        run(&mut signing(&world, &format!("sign oci:{key}:v1 --key {private} -a team=red")));
        for predicate_type in TYPES.iter().filter(|_| key == "p256") {
            let line =
                format!("attest oci:{key}:v1 --key {private} --type {predicate_type} --predicate predicate.json");
            run(&mut signing(&world, &line));
        }
        let bundles = bundles(&layout).await;
        assert_eq!(bundles.len(), if key == "p256" { 1 + TYPES.len() } else { 1 });
        for bundle in bundles {
            // It takes SHA-256 for what is in an envelope, whatever the curve.
            let holds = !["p384", "p521"].contains(&key);
            questions.push((key.to_owned(), holds, json!({ "bundle": bundle, "key": public(key) })));
            let other = json!({ "bundle": bundle, "key": vector("keys/other.pub") });
            questions.push((format!("{key}, other key"), false, other));
        }
    }
    check(&questions);
}

async fn sigstore_for_python_agrees_about_what_certificates_signed() {
    let world = World::new();
    let (mut questions, mut expected) = (Vec::new(), Vec::new());
    for case in cases() {
        let Some(check) = case.checks.iter().find(|check| check.profile == "keyless" && check.expect == "verified")
        else {
            continue;
        };
        let layout = world.path().join(&case.name);
        layout_of(&case.name, &layout);
        let (identity, issuer) = (check.identity.as_ref().unwrap(), check.issuer.as_ref().unwrap());
        let root = vector(check.trusted_root.as_ref().unwrap());
        for bundle in bundles(&layout).await {
            for (who, holds) in [(identity.as_str(), true), ("somebody@else.example", false)] {
                questions.push(json!({ "bundle": bundle, "identity": who, "issuer": issuer, "trustedRoot": root }));
                expected.push((format!("{}: {who}", case.name), holds));
            }
        }
    }
    for (who, holds) in [("signer@vectors.example", true), ("somebody@else.example", false)] {
        questions.push(json!({
            "bundle": vector("files/keyless.sigstore.json"),
            "file": vector("files/file.txt"),
            "identity": who,
            "issuer": "https://issuer.vectors.example",
            "trustedRoot": vector("trust/trusted_root.json"),
        }));
        expected.push((format!("file: {who}"), holds));
    }
    let answers = ask(python(&script("verify.py")), &questions);
    for ((what, holds), answer) in expected.iter().zip(&answers) {
        assert_eq!(answer == "verified", *holds, "{what}: {answer}");
    }
    assert!(expected.len() >= 6, "{expected:?}");
}
