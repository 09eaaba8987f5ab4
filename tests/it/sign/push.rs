//! `push --sign`: a name stands for what is pushed when its signature is there, and not before.

use serde_json::Value;

use super::{KEY, OTHER_KEY, PUB, bundles, legacy_layers, sig, world};
use crate::support::{faulty::Faulty, program::Served};

#[test]
fn what_is_pushed_to_any_store_is_signed_and_verified_there() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    for (place, legacy) in
        [(format!("{}/app", registry.addr), 1), ("oci:layout".to_owned(), 0), ("oci-archive:archive.tar".to_owned(), 0)]
    {
        let digest = world.ok(&format!("push talk {place}:v1 --sign {KEY} -q")).trim().to_owned();
        assert_eq!(world.ok(&format!("resolve {place}:v1")).trim(), digest);
        assert_eq!(bundles(&world, &place, &digest).len(), 1, "{place}");
        assert_eq!(legacy_layers(&world, &place, &digest).len(), legacy, "{place}");
        world.ok(&format!("verify {place}:v1 --key {PUB}"));
        // The same again is the same; another key adds its own.
        world.ok(&format!("push talk {place}:v2 --sign {KEY}"));
        assert_eq!(bundles(&world, &place, &digest).len(), 1, "{place}");
        world.ok(&format!("push talk {place}:v3 --sign {OTHER_KEY}"));
        assert_eq!(bundles(&world, &place, &digest).len(), 2, "{place}");
        assert_eq!(legacy_layers(&world, &place, &digest).len(), 2 * legacy, "{place}");
        assert_eq!(world.ok(&format!("check {place}")), "");
    }
    // A layout whose names are whole references has repositories.
    let digest = world.ok(&format!("push talk oci:whole:registry.example/team/app:v1 --sign {KEY} -q"));
    let index = std::fs::read_to_string(world.path().join("whole/index.json")).unwrap();
    assert!(index.contains(&sig(&digest)), "{index}");
    world.ok(&format!("verify oci:whole:registry.example/team/app:v1 --key {PUB}"));
    // Nothing is signed in a rehearsal.
    let there = format!("{}/dry", registry.addr);
    let dry = world.run(&format!("push talk {there}:v1 --sign {KEY} --dry-run --format json"));
    assert!(dry.code == 0 && dry.stderr.contains("would sign with the key"), "{}", dry.stderr);
    let document: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(document["signatures"].as_array().unwrap().len(), 2, "{document}");
    assert_eq!(world.run(&format!("resolve {there}:v1")).code, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signatures_are_there_before_the_tag() {
    let world = world();
    let registry = Faulty::new("");
    let listening = registry.listen("").await;
    let digest = world.ok(&format!("push talk {}/app:v1 --sign {KEY} -q", listening.host()));
    let seen = listening.seen();
    let puts: Vec<String> =
        seen.iter().filter(|seen| seen.method == "PUT").map(|seen| seen.uri.path().to_owned()).collect();
    let manifests: Vec<&str> = puts.iter().filter_map(|path| path.strip_prefix("/v2/app/manifests/")).collect();
    let at = |name: &str| manifests.iter().position(|found| *found == name);
    assert_eq!(at("v1"), Some(manifests.len() - 1), "{manifests:?}");
    assert!(at(&sig(&digest)) < at("v1") && at(&sig(&digest)).is_some(), "{manifests:?}");
    let referrer = manifests.iter().position(|name| name.starts_with("sha256:") && *name != digest.trim());
    assert!(referrer.is_some(), "{manifests:?}");
}

#[test]
fn a_registry_that_refuses_the_signature_gets_no_tag() {
    // The manifest of the bundle has a name that is not known before; the others are known.
    let world = world();
    let digest = world.ok("plan talk oci:nowhere:v1 -q").trim().to_owned();
    for (n, on) in [
        ("PUT manifest".to_owned(), "all"),
        (format!("PUT /manifests/{}", sig(&digest)), "all"),
        (format!("PUT /manifests/{digest}"), "all"),
        ("PUT /manifests/sha256:".to_owned(), "2-99"),
        ("PUT upload".to_owned(), "all"),
        ("GET referrers".to_owned(), "all"),
        (format!("GET|HEAD /manifests/{}", sig(&digest)), "all"),
    ]
    .into_iter()
    .enumerate()
    {
        let (pattern, nth) = on;
        for status in [403, 500] {
            let fault = format!("faults: [{{on: \"{pattern}\", nth: {nth}, refuse: {{status: {status}}}}}]");
            world.write("f.yaml", &fault);
            let registry = Served::start(&world, "--writable --faults f.yaml");
            let there = format!("{}/app", registry.addr);
            let ran = world.run(&format!("push talk {there}:v1 --sign {KEY} --retries 0"));
            assert_eq!(ran.code, if status == 403 { 5 } else { 1 }, "{n} {fault}: {}", ran.stderr);
            assert_eq!(ran.stdout, "", "{fault}");
            let resolved = world.run(&format!("resolve {there}:v1"));
            assert_eq!(resolved.code, 4, "{fault}: {}{}", resolved.stdout, resolved.stderr);
        }
    }
}

/// What is there already cannot be read, so that nobody knows what to add the signature to.
#[test]
fn a_layout_or_archive_in_which_it_cannot_be_signed_gets_no_tag() {
    let world = world();
    let digest = world.ok("plan talk oci:nowhere:v1 -q").trim().to_owned();
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    world.write("no-manifest.json", index);
    for place in ["oci:layout", "oci-archive:archive.tar"] {
        // A whole reference is a name with a repository, for which there are legacy signatures.
        let tag = "registry.example/team/app:v1";
        world.ok(&format!("manifest push {place}:{} no-manifest.json", sig(&digest)));
        let ran = world.run(&format!("push talk {place}:{tag} --sign {KEY}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{place}: {}", ran.stderr);
        assert!(ran.stderr.contains(&sig(&digest)), "{place}: {}", ran.stderr);
        assert_eq!(world.run(&format!("resolve {place}:{tag}")).code, 4, "{place}");
        // With another name, nothing is added there, and a bundle is enough.
        world.ok(&format!("push talk {place}:v1 --sign {KEY}"));
        assert_eq!(bundles(&world, place, &digest).len(), 1, "{place}");
        world.ok(&format!("verify {place}:v1 --key {PUB}"));
    }
}

#[test]
fn a_key_that_cannot_be_read_pushes_nothing() {
    let world = world();
    for (key, code) in [("none.key", 2), (PUB, 2), ("vectors/keys/refuse-rsa1024.pem", 2), ("vectors/keys/p256.key", 2)]
    {
        let ran = world.run(&format!("push talk oci:layout:v1 --sign {key}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{key}: {}", ran.stderr);
        assert!(!world.path().join("layout").exists(), "{key}");
    }
    let pushed: Value =
        serde_json::from_str(&world.ok(&format!("push talk oci:layout:v1 --sign {KEY} --format json"))).unwrap();
    assert!(pushed["digest"].as_str().unwrap().starts_with("sha256:"), "{pushed}");
}
