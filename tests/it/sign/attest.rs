//! Attestations: what is said about an artifact goes in and comes back as it is.

use std::fs;

use serde_json::{Value, json};

use super::{KEY, OTHER_PUB, PUB, bundles, pushed, world};
use crate::support::program::{Served, World, ran};

/// The statement that the only attestation of this type holds.
fn statement(world: &World, location: &str, type_name: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("verify {location} --key {PUB} --type {type_name} --statement-output -")))
        .unwrap()
}

#[test]
fn a_predicate_comes_back_byte_for_byte_from_every_store() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    // Spaces, the order of keys, and spellings of numbers are part of what is signed.
    let predicate = "{ \"z\":1.0, \"a\" : [ 1e3, -0.0, \"\\u00e9\" ],\n  \"big\": 123456789012345678901234567890 }";
    world.write("predicate.json", predicate);
    for place in [format!("{}/app", registry.addr), "oci:layout".to_owned(), "oci-archive:archive.tar".to_owned()] {
        let location = format!("{place}:v1");
        let digest = pushed(&world, &location);
        let review = "https://example.com/review/v1";
        world.ok(&format!("attest {location} --key {KEY} --predicate predicate.json --type {review}"));
        let text = world.ok(&format!("verify {location} --key {PUB} --type {review}"));
        assert!(text.contains(&format!("attested ({review}) by the key")), "{text}");
        let line = format!("verify {location} --key {PUB} --type {review} --predicate-output");
        world.ok(&format!("{line} out.json"));
        assert_eq!(fs::read_to_string(world.path().join("out.json")).unwrap(), predicate, "{place}");
        for format in ["", "--format json", "--verbose"] {
            assert_eq!(world.ok(&format!("{line} - {format}")), predicate, "{place}");
        }
        // Another key, another type, and no signature.
        world.fails(&format!("verify {location} --key {OTHER_PUB} --type {review}"), 3, &["holds"]);
        world.fails(
            &format!("verify {location} --key {PUB} --type cyclonedx"),
            6,
            &["no attestation of the type", review],
        );
        world.fails(&format!("verify {location} --key {PUB}"), 6, &["has attestations, and no signature", review]);
        // Nothing is written where it does not hold.
        world.run(&format!("verify {location} --key {OTHER_PUB} --type {review} --predicate-output wrong.json"));
        assert!(!world.path().join("wrong.json").exists());
        let listed = bundles(&world, &place, &digest);
        assert_eq!(listed[0]["predicateType"], review, "{listed:?}");
        // A signature beside it does not make it one, or the other way round.
        world.ok(&format!("sign {location} --key {KEY}"));
        world.ok(&format!("verify {location} --key {PUB}"));
        assert_eq!(bundles(&world, &place, &digest).len(), 2);
    }
}

#[test]
fn short_names_stand_for_their_types_and_two_of_them_wrap_text() {
    let world = world();
    pushed(&world, "oci:layout:v1");
    world.write("predicate.json", "{\"a\":1}\n");
    world.write("text", "no JSON\n");
    for (name, uri, file) in [
        ("slsaprovenance", "https://slsa.dev/provenance/v0.2", "predicate.json"),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1", "predicate.json"),
        ("link", "https://in-toto.io/Link/v1", "predicate.json"),
        ("cyclonedx", "https://cyclonedx.org/bom", "predicate.json"),
        ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1", "predicate.json"),
        ("openvex", "https://openvex.dev/ns", "predicate.json"),
        ("spdx", "https://spdx.dev/Document", "text"),
        ("custom", "https://cosign.sigstore.dev/attestation/v1", "text"),
    ] {
        let line = format!("attest oci:layout:v1 --key {KEY} --predicate {file} --type {name}");
        let attested = ran(world.command(&line).env("SOURCE_DATE_EPOCH", "86400").output().unwrap());
        assert_eq!(attested.code, 0, "{name}: {}", attested.stderr);
        let found = statement(&world, "oci:layout:v1", name);
        assert_eq!(found, statement(&world, "oci:layout:v1", uri), "{name}");
        assert_eq!(found["predicateType"], uri);
        let expected = match name {
            "spdx" => json!("no JSON\n"),
            "custom" => json!({"Data": "no JSON\n", "Timestamp": "1970-01-02T00:00:00Z"}),
            _ => json!({"a": 1}),
        };
        assert_eq!(found["predicate"], expected, "{name}");
    }
    // Of the same type, and not wrapped.
    pushed(&world, "oci:other:v1");
    world.ok(&format!("attest oci:other:v1 --key {KEY} --predicate vectors/predicates/sbom.spdx.json --type spdxjson"));
    let found = world.ok(&format!("verify oci:other:v1 --key {PUB} --type spdx --predicate-output -"));
    assert_eq!(found, fs::read_to_string(world.path().join("vectors/predicates/sbom.spdx.json")).unwrap().trim_end());
}

/// Of a file, too, stdout holds what is written there and nothing else.
#[test]
fn what_an_attestation_of_a_file_says_is_written_alone() {
    let world = world();
    let line = format!(
        "verify --file vectors/files/file.txt --bundle vectors/files/attestation.sigstore.json --key {PUB} --type custom"
    );
    for format in ["", "--format json"] {
        let predicate = world.ok(&format!("{line} --predicate-output - {format}"));
        let read: Value = serde_json::from_str(&predicate).unwrap();
        assert!(read["Data"].is_string() && read.get("verdict").is_none(), "{predicate}");
        let statement = world.ok(&format!("{line} --statement-output - {format}"));
        let read: Value = serde_json::from_str(&statement).unwrap();
        assert_eq!(read["predicateType"], "https://cosign.sigstore.dev/attestation/v1", "{statement}");
        assert!(statement.contains(&predicate), "{statement}");
    }
    world.ok(&format!("{line} --predicate-output out.json"));
    let written = fs::read_to_string(world.path().join("out.json")).unwrap();
    assert_eq!(written, world.ok(&format!("{line} --predicate-output -")));
}

#[test]
fn a_whole_statement_is_signed_as_it_is_if_it_is_about_the_artifact() {
    let world = world();
    let digest = pushed(&world, "oci:layout:v1");
    let hex = digest.trim_start_matches("sha256:");
    let statement = |digest: &str| {
        format!(
            "{{\"_type\": \"https://in-toto.io/Statement/v1\", \"subject\": [{{\"name\": \"x\", \"digest\": {{\"sha256\": \"{digest}\"}}}}],\n \
             \"predicateType\": \"https://example.com/review/v1\", \"predicate\": {{\"b\": 1, \"a\": 2}}}}\n"
        )
    };
    world.write("good.json", &statement(hex));
    world.ok(&format!("attest oci:layout:v1 --key {KEY} --statement good.json"));
    let found = world
        .ok(&format!("verify oci:layout:v1 --key {PUB} --type https://example.com/review/v1 --statement-output -"));
    assert_eq!(found, statement(hex));
    world.write("other.json", &statement(&"0".repeat(64)));
    world.fails(&format!("attest oci:layout:v1 --key {KEY} --statement other.json"), 3, &["about another artifact"]);
    world.write("twice.json", &statement(hex).replace("\"b\": 1", "\"a\": 1"));
    world.fails(&format!("attest oci:layout:v1 --key {KEY} --statement twice.json"), 1, &["twice"]);
    assert_eq!(bundles(&world, "oci:layout", &digest).len(), 1);
}

#[test]
fn what_cannot_be_attested_is_refused_before_anything_is_written() {
    let world = world();
    let digest = pushed(&world, "oci:layout:v1");
    world.write("good.json", "{}");
    world.write("twice.json", r#"{"a":{"b":1,"b":2}}"#);
    world.write("text", "no JSON");
    for (flags, code, word) in [
        ("--predicate twice.json --type https://example.com/v1", 1, "twice"),
        ("--predicate text --type https://example.com/v1", 1, "malformed"),
        ("--predicate good.json --type nonsense", 2, "no predicate type"),
        ("--predicate good.json", 2, "--type"),
        ("--type custom", 2, "--predicate"),
        ("--statement good.json", 1, "malformed"),
        ("--statement good.json --type custom", 2, "--type"),
        ("--predicate none.json --type custom", 4, "none.json"),
        ("--predicate good.json --type custom --new-bundle-format=false", 2, "read, not written"),
        ("--predicate good.json --type custom --rekor-url https://x", 2, "--rekor-url"),
    ] {
        let line = format!("attest oci:layout:v1 --key {KEY} {flags}");
        let ran = world.run(&line);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "{line}: {}", ran.stderr);
    }
    assert!(bundles(&world, "oci:layout", &digest).is_empty());
    world.fails(
        "attest oci:layout:v2 --key vectors/keys/p256.pkcs8.pem --predicate good.json --type custom",
        4,
        &["v2"],
    );
}
