//! A verification during which something goes wrong: whatever it is, and whenever, what could not be read is no reason to
//! say that something holds, or that nothing is there.

use std::{fs, path::Path, sync::Arc};

use artifact::{
    fault::Faults,
    oci::Descriptor,
    serve::{self, Local, Mounted},
    sign::{Evidence, PublicKey, Requirement, Signer, Verdict, Verification, judge},
    store::ReadStore,
    stores::{
        Layout,
        registry::{Options, Registry, Repository},
    },
};

use super::{PUB, vector, world};
use crate::support::{program::Served, samples::named, tree};

/// Layouts with a signature in each format and in both, and with an attestation in each, by the key of the vectors.
const CASES: [(&str, Option<&str>); 5] = [
    ("bundle-key", None),
    ("legacy-key", None),
    ("both-formats", None),
    ("attest-only", Some("https://spdx.dev/Document")),
    ("legacy-attest", Some("https://spdx.dev/Document")),
];

fn requirement(predicate_type: Option<&str>) -> Requirement {
    let key = Signer::Key(PublicKey::read(&vector("keys/p256.pub")).unwrap());
    match predicate_type {
        Some(wanted) => Requirement::attestation(wanted, vec![key]),
        None => Requirement::signature(vec![key]),
    }
}

/// The case behind a registry that has these faults.
fn served(case: &str, faults: &str) -> (Arc<Faults>, Repository) {
    let layout = Arc::new(Layout::open(vector("layouts").join(case)).unwrap());
    let repositories = Arc::new(Mounted::new().and("a".parse().unwrap(), layout as _));
    let registry = serve::Registry::new(serve::Options { repositories, ..serve::Options::in_memory() });
    let faults = Arc::new(Faults::parse(&format!("faults: [{faults}]")).unwrap());
    let dial = Some(Arc::new(Local::new(faults.around(registry))) as _);
    let client = Registry::new("localhost:5000", &Options { dial, retries: 0, ..Options::default() }).unwrap();
    (faults, client.repository("a").unwrap())
}

/// What a verification comes to; `None` if the artifact itself was not found.
async fn verified(store: &dyn ReadStore, requirement: &Requirement) -> Option<Verification> {
    let subject: Descriptor = store.resolve(&named("v1")).await.ok()?;
    Some(judge(&Evidence::read(store, &subject).await, requirement))
}

/// What holds is what was signed, and how it ends is one of these ways.
fn must(found: &Verification, right: &Verification, allowed: &[Verdict], why: &str) {
    assert!(allowed.contains(&found.verdict), "{why}: {:?} {:?}", found.verdict, found.rejected);
    for signature in &found.signatures {
        let same = |other: &&artifact::sign::Verified| other.statement == signature.statement;
        assert!(right.signatures.iter().any(|other| same(&other)), "{why}: {signature:?}");
    }
    assert_eq!(found.verdict == Verdict::Verified, !found.signatures.is_empty(), "{why}");
}

#[tokio::test]
async fn whichever_request_fails_nothing_is_called_unsigned_or_wrong_for_it() {
    use Verdict::{Rejected, Undecided, Verified};
    let mut undecided = 0;
    for (case, predicate_type) in CASES {
        let requirement = requirement(predicate_type);
        let (log, store) = served(case, "");
        let right = verified(&store, &requirement).await.unwrap();
        assert_eq!(right.verdict, Verified, "{case}: {:?}", right.rejected);
        let requests = log.seen().len();
        assert!((4..20).contains(&requests), "{case}: {requests}");
        for n in 1..=requests {
            for (fault, allowed) in [
                ("refuse: {status: 500}", [Verified, Undecided, Undecided]),
                ("refuse: {status: 429}", [Verified, Undecided, Undecided]),
                ("refuse: {status: 403}", [Verified, Undecided, Undecided]),
                ("lose: {what: request}", [Verified, Undecided, Undecided]),
                ("lose: {what: answer}", [Verified, Undecided, Undecided]),
                ("lose: {what: answer, after: 20, by: reset}", [Verified, Undecided, Undecided]),
                // What is no document at all may be called that.
                ("change: {flip: 0}", [Verified, Undecided, Rejected]),
                ("change: {flip: 1}", [Verified, Undecided, Rejected]),
            ] {
                let (_, store) = served(case, &format!("{{on: '* any', nth: {n}, {fault}}}"));
                let why = format!("{case}, request {n} of {requests}: {fault}");
                let Some(found) = self::verified(&store, &requirement).await else { continue };
                must(&found, &right, &allowed, &why);
                undecided += usize::from(found.verdict == Undecided);
            }
            // From here on, all fail.
            let (_, store) = served(case, &format!("{{on: '* any', nth: {n}-999, refuse: {{status: 503}}}}"));
            if let Some(found) = self::verified(&store, &requirement).await {
                must(&found, &right, &[Verified, Undecided], &format!("{case}, from request {n}"));
            }
        }
    }
    assert!(undecided > 50, "{undecided}");
}

#[tokio::test]
async fn whichever_file_of_a_layout_is_missing_or_another_it_is_not_called_wrong() {
    use Verdict::{Undecided, Unsigned, Verified};
    for (case, predicate_type) in CASES {
        let requirement = requirement(predicate_type);
        let whole = Layout::open(vector("layouts").join(case)).unwrap();
        let right = verified(&whole, &requirement).await.unwrap();
        let mut decided = 0;
        for blob in fs::read_dir(vector("layouts").join(case).join("blobs/sha256")).unwrap() {
            let name = blob.unwrap().file_name().into_string().unwrap();
            for change in ["missing", "empty", "flipped", "longer", "directory"] {
                let dir = tempfile::tempdir().unwrap();
                copy(&vector("layouts").join(case), dir.path());
                let path = dir.path().join("blobs/sha256").join(&name);
                let mut bytes = fs::read(&path).unwrap();
                fs::remove_file(&path).unwrap();
                match change {
                    "empty" => fs::write(&path, "").unwrap(),
                    "flipped" => {
                        let middle = bytes.len() / 2;
                        bytes[middle] ^= 1;
                        fs::write(&path, bytes).unwrap();
                    }
                    "longer" => fs::write(&path, [&bytes[..], b" "].concat()).unwrap(),
                    "directory" => fs::create_dir(&path).unwrap(),
                    _ => {}
                }
                let layout = Layout::open(dir.path()).unwrap();
                let Some(found) = verified(&layout, &requirement).await else { continue };
                let why = format!("{case}: {name} {change}");
                // Of a manifest that is listed and missing, nobody knows what it was about: a layout may hold a part.
                let missing = if change == "missing" && !case.starts_with("legacy") { Unsigned } else { Undecided };
                must(&found, &right, &[Verified, Undecided, missing], &why);
                decided += usize::from(found.verdict == Undecided);
            }
        }
        assert!(decided >= 5 || case == "both-formats", "{case}: {decided}");
        // A list that is cut off, or none, is no list without signatures.
        let index = fs::read(vector("layouts").join(case).join("index.json")).unwrap();
        for cut in [0, 1, index.len() / 2, index.len() - 1] {
            let dir = tempfile::tempdir().unwrap();
            copy(&vector("layouts").join(case), dir.path());
            fs::write(dir.path().join("index.json"), &index[..cut]).unwrap();
            let found = match Layout::open(dir.path()) {
                Ok(layout) => verified(&layout, &requirement).await,
                Err(_) => None,
            };
            assert!(found.is_none(), "{case} cut to {cut}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, content) in tree::content(from) {
        match name.ends_with('/') {
            true => fs::create_dir_all(to.join(name)).unwrap(),
            false => fs::write(to.join(name), content).unwrap(),
        }
    }
}

/// The same on the command line: it ends with success exactly where it says so.
#[test]
fn whichever_request_fails_the_exit_code_and_the_words_agree() {
    let world = world();
    for (case, flags) in [("bundle-key", ""), ("legacy-key", ""), ("attest-only", "--type spdx")] {
        for fault in ["refuse: {status: 500}", "lose: {what: answer, after: 20, by: reset}", "change: {flip: 1}"] {
            let mut ended = Vec::new();
            for n in 1..=9 {
                world.write("f.yaml", &format!("faults: [{{on: '* any', nth: {n}, {fault}}}]"));
                let registry = Served::start(&world, &format!("vectors/layouts/{case} --faults f.yaml"));
                let line = format!("verify {}/{case}:v1 --key {PUB} {flags} --retries 0", registry.addr);
                let ran = world.run(&line);
                let said = format!("{}{}", ran.stdout, ran.stderr);
                assert_eq!(
                    ran.code == 0,
                    said.contains("verified"),
                    "{case}, request {n}, {fault}: {}\n{said}",
                    ran.code
                );
                assert!([0, 1, 3].contains(&ran.code), "{case}, request {n}, {fault}: {}\n{said}", ran.code);
                ended.push(ran.code);
            }
            assert!(ended.contains(&0) && ended.contains(&1), "{case}, {fault}: {ended:?}");
        }
    }
}
