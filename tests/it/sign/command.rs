//! `sign` and `verify` in every kind of store.

use std::{fs, sync::Arc};

use artifact::{
    oci::{Algorithm, Digest, Tag, media_type},
    store::Store,
    stores::Layout,
};
use serde_json::{Value, json};

use super::{KEY, OTHER_KEY, OTHER_PUB, PUB, bundles, json, legacy_layers, pushed, sig, world};
use crate::support::{
    program::{Served, World},
    samples::{Sample, deliver},
};

/// A store of each kind, with the sample under `v1`, and its digest.
fn stores(world: &World, registry: &Served) -> ([String; 3], String) {
    let places = [format!("{}/app", registry.addr), "oci:layout".to_owned(), "oci-archive:archive.tar".to_owned()];
    let digests: Vec<String> = places.iter().map(|place| pushed(world, &format!("{place}:v1"))).collect();
    (places, digests[0].clone())
}

#[test]
fn what_is_signed_in_a_registry_a_layout_or_an_archive_is_verified_there() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let (places, digest) = stores(&world, &registry);
    for place in &places {
        world.fails(&format!("verify {place}:v1 --key {PUB}"), 6, &["is not signed"]);
        let signed = world.ok(&format!("sign {place}:v1 --key {KEY}"));
        assert_eq!(signed, format!("{place}@{digest}\n"));
        let formats = if place.starts_with("oci") { 1 } else { 2 };
        for location in [format!("{place}:v1"), format!("{place}@{digest}")] {
            let text = world.ok(&format!("verify {location} --key {PUB}"));
            assert!(text.starts_with(&format!("{place}@{digest}: verified\n")), "{text}");
            assert!(text.contains("    checked: signature, digest, type"), "{text}");
            assert!(!text.contains("log") && !text.contains("timestamp"), "nothing was logged: {text}");
            assert_eq!(text.matches("signed by the key sha256:").count(), formats, "{text}");
            world.fails(&format!("verify {location} --key {OTHER_PUB}"), 3, &["no signature of", "holds"]);
        }
        let found = json(&world, &format!("verify {place}:v1 --key {PUB} --key {OTHER_PUB}"));
        assert_eq!((&found["verdict"], &found["digest"]), (&json!("verified"), &json!(digest)), "{found}");
        assert_eq!(found["signatures"].as_array().unwrap().len(), formats, "{found}");
        for signature in found["signatures"].as_array().unwrap() {
            for key in [
                "format",
                "location",
                "predicateType",
                "statementDigest",
                "signer",
                "annotations",
                "time",
                "checked",
                "notChecked",
            ] {
                assert!(signature.get(key).is_some(), "{key}: {signature}");
            }
        }
        world.fails(
            &format!("verify {place}:v1 --key {PUB} --key {OTHER_PUB} --min 2"),
            3,
            &["by 1 of those named, not by 2"],
        );
        world.ok(&format!("sign {place}:v1 --key {OTHER_KEY}"));
        world.ok(&format!("verify {place}:v1 --key {PUB} --key {OTHER_PUB} --min 2"));
        assert_eq!(world.ok(&format!("check {place}")), "");
    }
}

#[test]
fn each_format_alone_is_enough() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let named = "--sign-container-identity registry.example/app";
    let (places, digest) = stores(&world, &registry);
    for place in &places {
        for (flags, format, count) in [
            (format!("--signature-format bundle --key {KEY}"), "bundle", (1, 0)),
            (format!("--new-bundle-format=false --key {OTHER_KEY} {named}"), "legacy", (1, 1)),
            (format!("--signature-format legacy --key vectors/keys/rsa2048.pkcs1.pem {named}"), "legacy", (1, 2)),
        ] {
            let signed =
                json(&world, &format!("sign {place}:v1 {flags} -y --tlog-upload=false --use-signing-config=false"));
            let [one] = signed["signatures"].as_array().unwrap().as_slice() else { panic!("{signed}") };
            assert_eq!(
                (&one["format"], &one["outcome"], &one["subject"]),
                (&json!(format), &json!("new"), &json!(digest))
            );
            let found = (bundles(&world, place, &digest).len(), legacy_layers(&world, place, &digest).len());
            assert_eq!(found, count, "{place} {flags}");
        }
        for key in [PUB, OTHER_PUB, "vectors/keys/rsa2048.pub"] {
            assert_eq!(json(&world, &format!("verify {place}:v1 --key {key}"))["verdict"], "verified", "{place} {key}");
        }
    }
}

#[test]
fn a_legacy_signature_names_the_repository_and_without_one_the_name_that_is_given() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let name_of = |location: &str| {
        let found = json(&world, &format!("verify {location} --key {PUB}"));
        let mut names = found["signatures"].as_array().unwrap().iter().map(|found| found["name"].clone());
        names.find(|name| !name.is_null()).unwrap_or_default()
    };
    let there = format!("{}/team/app", registry.addr);
    pushed(&world, &format!("{there}:v1"));
    world.ok(&format!("sign {there}:v1 --key {KEY}"));
    assert_eq!(name_of(&format!("{there}:v1")), there, "the repository without its tag");
    // A layout has no name, unless its names are whole references.
    let digest = pushed(&world, "oci:layout:v1");
    world.ok(&format!("sign oci:layout:v1 --key {KEY}"));
    assert!(legacy_layers(&world, "oci:layout", &digest).is_empty());
    world.fails(
        &format!("sign oci:layout:v1 --key {KEY} --signature-format legacy"),
        2,
        &["--sign-container-identity"],
    );
    world.fails(&format!("sign oci:layout:v1 --key {KEY} --signature-format both"), 2, &["--sign-container-identity"]);
    pushed(&world, "oci:whole:registry.example/team/app:v1");
    world.ok(&format!("sign oci:whole:registry.example/team/app:v1 --key {KEY}"));
    assert_eq!(name_of("oci:whole:registry.example/team/app:v1"), "registry.example/team/app");
    pushed(&world, "oci:given:v1");
    world.ok(&format!("sign oci:given:v1 --key {KEY} --sign-container-identity registry.example/other"));
    assert_eq!(name_of("oci:given:v1"), "registry.example/other");
}

#[test]
fn what_this_key_signed_already_is_not_signed_again_without_asking() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let (places, digest) = stores(&world, &registry);
    for place in &places {
        let count = || (bundles(&world, place, &digest).len(), legacy_layers(&world, place, &digest).len());
        let line = format!("sign {place}:v1 --key {KEY} --sign-container-identity registry.example/app");
        world.ok(&line);
        assert_eq!(count(), (1, 1));
        let again = world.run(&line);
        assert_eq!(
            (again.code, again.stderr.matches("is signed by this key already").count()),
            (0, 2),
            "{}",
            again.stderr
        );
        let same = json(&world, &line);
        assert!(same["signatures"].as_array().unwrap().iter().all(|one| one["outcome"] == "same"), "{same}");
        assert_eq!(count(), (1, 1), "{place}");
        // Other content is not the same, and another name is other content of the legacy form alone.
        world.ok(&format!("{line} -a build=7"));
        assert_eq!(count(), (2, 2), "{place}");
        world.ok(&format!("sign {place}:v1 --key {KEY} --sign-container-identity registry.example/moved"));
        assert_eq!(count(), (2, 3), "{place}");
        world.ok(&format!("sign {place}:v1 --key {OTHER_KEY} --sign-container-identity registry.example/app"));
        assert_eq!(count(), (3, 4), "{place}");
        world.ok(&format!("{line} --again"));
        assert_eq!(count(), (4, 5), "{place}");
        world.ok(&line);
        assert_eq!(count(), (4, 5), "{place}");
    }
}

#[test]
fn annotations_are_signed_along_and_can_be_asked_for() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let place = format!("{}/app", registry.addr);
    pushed(&world, &format!("{place}:v1"));
    world.ok(&format!("sign {place}:v1 --key {KEY} -a build=7 -a by=me"));
    let text = world.ok(&format!("verify {place}:v1 --key {PUB} -a build=7"));
    assert_eq!(text.matches("annotations: build=7, by=me").count(), 2, "{text}");
    for wrong in ["build=8", "Build=7", "none="] {
        world.fails(&format!("verify {place}:v1 --key {PUB} -a {wrong}"), 3, &["holds"]);
        let ran = world.run(&format!("verify {place}:v1 --key {PUB} -a {wrong}"));
        assert_eq!(ran.stderr.matches("does not count: the annotation").count(), 2, "{}", ran.stderr);
    }
}

#[test]
fn several_locations_are_signed_and_verified_in_one_run() {
    let world = world();
    world.ok("push talk/1.png oci:one:v1");
    world.ok("push talk/2.png oci:two:v1");
    let signed = world.ok(&format!("sign oci:one:v1 oci:two:v1 --key {KEY}"));
    assert_eq!(signed.lines().count(), 2, "{signed}");
    let found = json(&world, &format!("verify oci:one:v1 oci:two:v1 --key {PUB}"));
    assert_eq!(found["artifacts"].as_array().unwrap().len(), 2);
    world.ok("push talk oci:three:v1");
    let ran = world.run(&format!("verify oci:one:v1 oci:three:v1 oci:none:v1 --key {PUB}"));
    assert_eq!(ran.code, 6, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.matches("verified").count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("oci:one@"), "{}", ran.stdout);
}

#[test]
fn layers_of_other_signers_keep_their_bytes_and_annotations() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    for case in ["legacy-key", "legacy-three-signatures", "legacy-docker-media-types", "legacy-key-tlog"] {
        for to in [format!("oci:{case}"), format!("{}/{case}", registry.addr), format!("oci-archive:{case}.tar")] {
            world.ok(&format!("copy oci:vectors/layouts/{case}:v1 {to}:v1"));
            let digest = world.ok(&format!("resolve {to}:v1"));
            let tag = format!("{to}:{}", sig(&digest));
            let before: Value = serde_json::from_str(&world.ok(&format!("manifest get {tag}"))).unwrap();
            let named = "--sign-container-identity registry.example/app";
            world.ok(&format!("sign {to}:v1 --key {OTHER_KEY} {named} --signature-format legacy"));
            let after: Value = serde_json::from_str(&world.ok(&format!("manifest get {tag}"))).unwrap();
            let (before_layers, after_layers) =
                (before["layers"].as_array().unwrap(), after["layers"].as_array().unwrap());
            assert_eq!(after_layers.len(), before_layers.len() + 1, "{to}");
            assert_eq!(&after_layers[..before_layers.len()], before_layers.as_slice(), "{to}");
            assert_eq!(after["mediaType"], before["mediaType"], "{to}");
            assert_eq!(after["config"]["mediaType"], before["config"]["mediaType"], "{to}");
            let config = after["config"]["digest"].as_str().unwrap();
            let config: Value = serde_json::from_str(&world.ok(&format!("blob get {to}@{config} -o -"))).unwrap();
            let digests: Vec<_> = after_layers.iter().map(|layer| layer["digest"].clone()).collect();
            assert_eq!(config["rootfs"]["diff_ids"], Value::from(digests), "{to}");
            assert_eq!(config["history"].as_array().unwrap().len(), after_layers.len(), "{to}");
            for layer in before_layers {
                let digest = layer["digest"].as_str().unwrap();
                assert_eq!(
                    Digest::of(world.ok(&format!("blob get {to}@{digest} -o -")).as_bytes()).to_string(),
                    digest
                );
            }
            world.ok(&format!("verify {to}:v1 --key {PUB}"));
            world.ok(&format!("verify {to}:v1 --key {OTHER_PUB}"));
        }
    }
}

/// An index of two artifacts under the tag `all`, and the digests of these.
fn index(world: &World, place: &str) -> [String; 2] {
    let members = ["talk/1.png", "talk/2.png"].map(|source| {
        let digest = world.ok(&format!("push {source} {place}:member -q")).trim().to_owned();
        let size = world.ok(&format!("manifest get {place}@{digest}")).len();
        json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": size})
    });
    let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": members});
    world.write("index.json", &index.to_string());
    world.ok(&format!("manifest push {place}:all index.json"));
    members.map(|member| member["digest"].as_str().unwrap().to_owned())
}

#[test]
fn with_recursive_every_manifest_of_an_index_is_signed_and_verified() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/app", registry.addr), "oci:layout".to_owned(), "oci-archive:archive.tar".to_owned()] {
        let members = index(&world, &place);
        world.ok(&format!("sign {place}:all --key {KEY}"));
        world.ok(&format!("verify {place}:all --key {PUB}"));
        let ran = world.run(&format!("verify {place}:all --key {PUB} --recursive"));
        assert_eq!((ran.code, ran.stdout.as_str()), (6, ""), "{}", ran.stderr);
        let signed = json(&world, &format!("sign {place}:all --key {KEY} --recursive --signature-format bundle"));
        let outcomes: Vec<_> =
            signed["signatures"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
        assert_eq!(outcomes, ["new", "new", "same"], "members come first");
        let text = world.ok(&format!("verify {place}:all --key {PUB} -r"));
        for member in &members {
            assert!(text.contains(&format!("\n  {member}\n")), "{text}");
            world.ok(&format!("verify {place}@{member} --key {PUB}"));
        }
    }
}

#[test]
fn with_recursive_what_was_signed_is_told_although_a_later_manifest_fails() {
    let world = world();
    let members = index(&world, "oci:layout");
    let whole = world.ok("resolve oci:layout:all");
    // An index under the tag for legacy signatures: nothing can be added to it.
    world.ok(&format!("tag oci:layout:all {}", sig(&whole)));
    let named = "--sign-container-identity registry.example/app";
    let ran = world.run(&format!("sign oci:layout:all --key {KEY} --recursive {named}"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for member in &members {
        assert!(ran.stderr.contains(&format!("signed {member} (bundle")), "{}", ran.stderr);
        world.ok(&format!("verify oci:layout@{member} --key {PUB}"));
    }
    assert!(!ran.stderr.contains(&format!("signed {}", whole.trim())), "{}", ran.stderr);
}

#[test]
fn with_recursive_a_member_that_is_not_what_its_digest_says_is_not_verified() {
    let world = world();
    let [member, _] = index(&world, "oci:layout");
    world.ok(&format!("sign oci:layout:all --key {KEY} --recursive"));
    world.ok(&format!("verify oci:layout:all --key {PUB} --recursive"));
    let path = world.path().join("layout/blobs").join(member.replace(':', "/"));
    let bytes = fs::read_to_string(&path).unwrap().replace("schemaVersion\":2", "schemaVersion\":1");
    fs::write(&path, bytes).unwrap();
    let ran = world.run(&format!("verify oci:layout:all --key {PUB} --recursive"));
    assert!(ran.code != 0 && !ran.stdout.contains("verified"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_bundle_can_be_written_to_a_file_too_or_only_there() {
    let world = world();
    let digest = pushed(&world, "oci:layout:v1");
    world.fails(&format!("sign oci:layout:v1 --key {KEY} --upload=false"), 2, &["--bundle"]);
    world.ok(&format!("sign oci:layout:v1 --key {KEY} --upload=false --bundle only.json"));
    assert!(bundles(&world, "oci:layout", &digest).is_empty());
    world.fails(&format!("verify oci:layout:v1 --key {PUB}"), 6, &["is not signed"]);
    world.ok(&format!("sign oci:layout:v1 --key {KEY} --bundle too.json"));
    let [listed] = bundles(&world, "oci:layout", &digest).try_into().unwrap();
    let manifest: Value =
        serde_json::from_str(&world.ok(&format!("manifest get oci:layout@{}", listed["digest"].as_str().unwrap())))
            .unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let bundle = fs::read_to_string(world.path().join("too.json")).unwrap();
    assert_eq!(world.ok(&format!("blob get oci:layout@{layer} -o -")), bundle);
    assert!(!bundle.contains('\n') && !bundle.contains("keyid"), "{bundle}");
    world.fails(&format!("sign oci:layout:v1 --key {KEY} --bundle more.json"), 2, &["--again"]);
    for flags in ["--recursive", "oci:layout:v1", "--signature-format legacy"] {
        world.fails(&format!("sign oci:layout:v1 {flags} --key {KEY} --bundle many.json"), 2, &["--bundle"]);
    }
}

#[test]
fn signatures_can_be_kept_in_another_repository() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let (app, other) = (format!("{}/app", registry.addr), format!("{}/signatures", registry.addr));
    let digest = pushed(&world, &format!("{app}:v1"));
    world.ok(&format!("sign {app}:v1 --key {KEY} --signature-repository {other}"));
    assert!(bundles(&world, &app, &digest).is_empty() && legacy_layers(&world, &app, &digest).is_empty());
    assert_eq!(legacy_layers(&world, &other, &digest).len(), 1);
    world.fails(&format!("verify {app}:v1 --key {PUB}"), 6, &["is not signed"]);
    let text = world.ok(&format!("verify {app}:v1 --key {PUB} --signature-repository {other}"));
    assert_eq!(text.matches("signed by the key").count(), 2, "{text}");
    // By cosign's variable, which is said.
    let line = format!("verify {app}:v1 --key {PUB}");
    let ran = crate::support::program::ran(world.command(&line).env("COSIGN_REPOSITORY", &other).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("signatures are in {other} (COSIGN_REPOSITORY)")), "{}", ran.stderr);
    world.fails(&format!("{line} --signature-repository {other}:v1"), 2, &["is not a repository"]);
    // An attestation as well.
    world.write("predicate.json", r#"{"good":true}"#);
    let custom = "--type https://example.com/review/v1";
    world
        .ok(&format!("attest {app}:v1 --key {KEY} --predicate predicate.json {custom} --signature-repository {other}"));
    world.ok(&format!("verify {app}:v1 --key {PUB} {custom} --signature-repository {other}"));
    world.fails(&format!("verify {app}:v1 --key {PUB} {custom}"), 6, &["no attestation"]);
    // What is not there cannot be signed, wherever the signatures would be.
    world.fails(&format!("sign {app}:v2 --key {KEY} --signature-repository {other}"), 4, &["v2"]);
}

#[test]
fn the_digest_is_resolved_once_and_is_what_is_signed_and_verified() {
    let world = world();
    world.write("log.yaml", "faults: [{on: HEAD|GET /manifests/v1, nth: 2-9, refuse: {status: 500}}]");
    let registry = Served::start(&world, "--writable --faults log.yaml");
    let healthy = pushed(&world, "oci:layout:v1");
    world.ok(&format!("copy oci:layout:v1 {}/app:other", registry.addr));
    world.ok(&format!("copy oci:layout:v1 {}/app:v1 --recheck", registry.addr));
    // Asking for the tag a second time would fail.
    let registry = Served::start(&world, "layout --faults log.yaml");
    let ran = world.run(&format!("verify {}/layout:v1 --key {PUB} --retries 0", registry.addr));
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains(&healthy), "{}", ran.stderr);
}

/// What is named by SHA-512 is signed under that name, in both formats; a signature of the same bytes by SHA-256 is none of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_is_named_by_sha512_is_signed_under_that_name() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    let mut sample = Sample::of(&[b"content"]);
    let (root, bytes) = sample.manifests.pop().unwrap();
    let digest = Digest::with(Algorithm::Sha512, &bytes);
    sample.manifests.push((artifact::oci::Descriptor { digest: digest.clone(), ..root }, bytes));
    let store: Arc<dyn Store> = Arc::new(Layout::create(world.path().join("layout")).unwrap());
    deliver(&store, &sample, &["v1"]).await.unwrap();
    world.ok(&format!("copy oci:layout:v1 {}/app:v1", registry.addr));
    for place in ["oci:layout".to_owned(), format!("{}/app", registry.addr)] {
        assert_eq!(world.ok(&format!("resolve {place}@{digest}")).trim(), digest.to_string());
        world.ok(&format!("sign {place}@{digest} --key {KEY} --sign-container-identity registry.example/app"));
        let text = world.ok(&format!("verify {place}@{digest} --key {PUB}"));
        assert_eq!(text.matches("signed by the key").count(), 2, "{text}");
        let [tag, ..] = Tag::companions_of(&digest);
        assert!(text.contains(&format!("legacy: {tag}\n")), "{text}");
        world.write("predicate.json", "{}");
        let attest = "--type https://example.com/review/v1";
        world.ok(&format!("attest {place}@{digest} --key {KEY} --predicate predicate.json {attest}"));
        let line = format!("verify {place}@{digest} --key {PUB} {attest} --statement-output -");
        let statement: Value = serde_json::from_str(&world.ok(&line)).unwrap();
        assert_eq!(statement["subject"][0]["digest"], json!({"sha512": digest.hex()}));
        world.fails(&format!("verify {place}@{digest} --key {OTHER_PUB}"), 3, &["holds"]);
    }
}
