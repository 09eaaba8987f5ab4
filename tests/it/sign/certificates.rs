//! Certificates, logs and timestamps of a sigstore that is made for each test: what holds, and what only looks like it.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    made::{Made, pre_authentication, statement},
    world,
};
use crate::support::{
    program::World,
    sigstore::{Certified, Holder, Key, Logged, Sigstore, TIME_STAMPING, after},
};

const IDENTITY: &str =
    "--certificate-identity signer@virtual.example --certificate-oidc-issuer https://issuer.virtual.example";
const FILE: &[u8] = b"content";
const HOUR: i64 = 60 * 60;

/// A world with a file, and the trusted root of this sigstore.
fn with_root(sigstore: &Sigstore) -> World {
    let world = world();
    world.write("file", std::str::from_utf8(FILE).unwrap());
    world.write("root.json", &sigstore.trusted_root().to_string());
    world
}

/// The exit code of `verify` for this bundle of the file; what it says agrees with it.
fn code(world: &World, bundle: &Value, flags: &str, why: &str) -> i32 {
    world.write("b.json", &bundle.to_string());
    let ran = world.run(&format!("verify --file file --bundle b.json --trusted-root root.json {flags}"));
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(said.contains("verified"), ran.code == 0, "{why}: {said}");
    assert!([0, 3].contains(&ran.code), "{why}: {said}");
    ran.code
}

#[test]
fn a_signature_with_certificate_log_and_time_holds() {
    let sigstore = Sigstore::new();
    let world = with_root(&sigstore);
    let signer = sigstore.certify(Certified::signer());
    let bundle = sigstore.sign_file(FILE, &signer, after(-60));
    assert_eq!(code(&world, &bundle, IDENTITY, "right"), 0);
    assert_eq!(code(&world, &bundle, &format!("{IDENTITY} --use-signed-timestamps"), "with a time"), 0);
    let text = world.ok(&format!("verify --file file --bundle b.json --trusted-root root.json {IDENTITY}"));
    assert!(text.contains("signed by signer@virtual.example (https://issuer.virtual.example)"), "{text}");
    assert!(text.contains("checked: signature, certificate, identity, log entry, timestamp, digest"), "{text}");
    assert!(text.contains("    at 20"), "{text}");
    // Another identity, issuer, and sigstore.
    let other = IDENTITY.replace("signer@", "other@");
    assert_eq!(code(&world, &bundle, &other, "another identity"), 3);
    let other = IDENTITY.replace("//issuer", "//other");
    assert_eq!(code(&world, &bundle, &other, "another issuer"), 3);
    let strange = with_root(&Sigstore::new());
    assert_eq!(code(&strange, &bundle, IDENTITY, "another sigstore"), 3);
    // Without the log's entry, or without the time where no log is asked.
    let mut without = bundle.clone();
    without["verificationMaterial"]["tlogEntries"] = serde_json::json!([]);
    assert_eq!(code(&world, &without, IDENTITY, "no entry"), 3);
    assert_eq!(code(&world, &without, &format!("{IDENTITY} --insecure-ignore-tlog"), "time instead of a log"), 0);
    without["verificationMaterial"].as_object_mut().unwrap().remove("timestampVerificationData");
    assert_eq!(code(&world, &without, &format!("{IDENTITY} --insecure-ignore-tlog"), "neither"), 3);
}

#[test]
fn a_key_with_log_entry_and_time_holds_where_they_are_demanded() {
    let sigstore = Sigstore::new();
    let world = with_root(&sigstore);
    let key = Key::new();
    world.write("k.pub", &key.public_pem());
    let bundle = sigstore.sign_file_by_key(FILE, &key, after(-60));
    for flags in ["", "--require-tlog", "--use-signed-timestamps", "--require-tlog --use-signed-timestamps"] {
        assert_eq!(code(&world, &bundle, &format!("--key k.pub {flags}"), flags), 0);
    }
    let foreign = Sigstore::new();
    for flags in ["--require-tlog", "--use-signed-timestamps"] {
        let other = foreign.sign_file_by_key(FILE, &key, after(-60));
        assert_eq!(code(&world, &other, &format!("--key k.pub {flags}"), "of another sigstore"), 3);
        assert_eq!(code(&world, &other, "--key k.pub", "not asked for"), 0);
        // Of a signature by another key, of the same file.
        let mut mixed = bundle.clone();
        let other = sigstore.sign_file_by_key(FILE, &Key::new(), after(-60));
        mixed["verificationMaterial"] = other["verificationMaterial"].clone();
        assert_eq!(code(&world, &mixed, &format!("--key k.pub {flags}"), "of another key"), 3);
    }
}

/// Files have such bundles from before 2024; keys and artifacts never had.
#[test]
fn an_older_bundle_is_read_beside_a_file_if_a_certificate_says_who_signed() {
    let sigstore = Sigstore::new();
    let world = with_root(&sigstore);
    let (signer, key) = (sigstore.certify(Certified::signer()), Key::new());
    world.write("k.pub", &key.public_pem());
    let by_identity = sigstore.sign_file(FILE, &signer, after(-60));
    let by_key = sigstore.sign_file_by_key(FILE, &key, after(-60));
    for (version, held) in [("0.1", 0), ("0.2", 0), ("0.3", 0), ("0.4", 3), ("0.0", 3)] {
        let of_version = |bundle: &Value| {
            let mut bundle = bundle.clone();
            bundle["mediaType"] = format!("application/vnd.dev.sigstore.bundle+json;version={version}").into();
            bundle
        };
        assert_eq!(code(&world, &of_version(&by_identity), IDENTITY, version), held, "{version}");
        let by_key = code(&world, &of_version(&by_key), "--key k.pub", version);
        assert_eq!(by_key, if version == "0.3" { 0 } else { 3 }, "{version}");
        // The first version has a promise of the log's, or a proof; all later ones the proof.
        let mut promised = of_version(&by_identity);
        promised
            .pointer_mut("/verificationMaterial/tlogEntries/0")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("inclusionProof");
        assert_eq!(code(&world, &promised, IDENTITY, version), if version == "0.1" { 0 } else { 3 }, "{version}");
        let mut neither = promised.clone();
        let entry = neither.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap();
        entry.as_object_mut().unwrap().remove("inclusionPromise");
        assert_eq!(code(&world, &neither, IDENTITY, version), 3, "{version}");
    }
}

#[tokio::test]
async fn an_artifact_signed_with_a_certificate_holds_for_its_identity() {
    let sigstore = Sigstore::new();
    let made = Made::new().await;
    made.world.write("root.json", &sigstore.trusted_root().to_string());
    let signer = sigstore.certify(Certified::signer());
    let sign = |digest: &artifact::oci::Digest| {
        let text = statement(digest).to_string();
        let signed = pre_authentication("application/vnd.in-toto+json", text.as_bytes());
        sigstore.sign_statement(text.as_bytes(), &signed, &signer, after(-60))
    };
    let flags = format!("{IDENTITY} --trusted-root root.json");
    made.bundle(&sign(&artifact::oci::Digest::of(b"another artifact"))).await;
    made.fails(&flags, 3);
    made.bundle(&sign(&made.subject.digest)).await;
    made.holds(&flags);
    made.fails("--key vectors/keys/p256.pub", 3);
}

/// The entry says a time within the certificate's validity unless it is said otherwise.
#[test]
fn s13_a_certificate_that_is_not_right_does_not_hold() {
    let right = Sigstore::new();
    let world = with_root(&right);
    let signer = Certified::signer;
    let sign = |holder: &Holder, time: Timestamp| right.sign_file(FILE, holder, time);
    // Short-lived certificates have always expired when they are looked at.
    let past = Certified { from: after(-2 * HOUR), to: after(-HOUR), ..signer() };
    let held = sign(&right.certify(past.clone()), after(-90 * 60));
    assert_eq!(code(&world, &held, IDENTITY, "signed while it was valid"), 0);
    let other = Sigstore::new();
    let leaf = right.certify(signer());
    let no_identity = Certified { identity: None, ..signer() };
    let authority = Certified { authority: true, ..signer() };
    let future = Certified { from: after(HOUR), to: after(2 * HOUR), ..signer() };
    for (why, holder, time) in [
        ("expired when it signed", right.certify(past.clone()), after(-60)),
        ("not yet valid when it signed", right.certify(past), after(-3 * HOUR)),
        ("not yet valid", right.certify(future.clone()), after(-60)),
        ("not yet valid, signed in the future", right.certify(future), after(90 * 60)),
        ("no use said", right.certify(Certified { usage: None, ..signer() }), after(-60)),
        ("another use", right.certify(Certified { usage: Some(TIME_STAMPING), ..signer() }), after(-60)),
        ("another authority", other.certify(signer()), after(-60)),
        ("signed by itself under the authority's name", right.self_certified(signer()), after(-60)),
        ("signed by another signer", right.certify_by(signer(), &leaf), after(-60)),
        ("in no certificate log", right.certify(Certified { logged: Logged::Not, ..signer() }), after(-60)),
        ("in another log", right.certify(Certified { logged: Logged::ElsewhereOrLater, ..signer() }), after(-60)),
        ("for nobody", right.certify(no_identity), after(-60)),
        ("of an authority", right.certify(authority), after(-60)),
    ] {
        assert_eq!(code(&world, &sign(&holder, time), IDENTITY, why), 3, "{why}");
    }
    // The certificate of the authority itself, which is an anchor: what it may do is said by the trusted root.
    for (why, change) in [
        ("an authority that had expired", (|said| said.to = after(-HOUR)) as fn(&mut Certified)),
        ("an authority that is not yet one", |said| said.from = after(HOUR)),
    ] {
        let sigstore = Sigstore::with(change, |_| ());
        let world = with_root(&sigstore);
        let bundle = sigstore.sign_file(FILE, &sigstore.certify(signer()), after(-60));
        assert_eq!(code(&world, &bundle, IDENTITY, why), 3, "{why}");
    }
}

#[test]
fn s15_a_time_that_is_not_right_does_not_hold() {
    let right = Sigstore::new();
    let world = with_root(&right);
    let key = Key::new();
    world.write("k.pub", &key.public_pem());
    let signer = right.certify(Certified::signer());
    let stamps = "/verificationMaterial/timestampVerificationData";
    // Log entry and signature are right; the timestamp is the one of another time, or by somebody else.
    let with_stamp_of = |sigstore: &Sigstore, time: Timestamp| {
        let signature = |bundle: &Value| {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            STANDARD.decode(bundle["messageSignature"]["signature"].as_str().unwrap()).unwrap()
        };
        let stamped = |mut bundle: Value| {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let stamp = STANDARD.encode(sigstore.stamp(&signature(&bundle), time));
            bundle.pointer_mut(stamps).unwrap()["rfc3161Timestamps"][0]["signedTimestamp"] = stamp.into();
            bundle
        };
        [stamped(right.sign_file(FILE, &signer, after(-60))), stamped(right.sign_file_by_key(FILE, &key, after(-60)))]
    };
    let both = |world: &World, why: &str, [by_identity, by_key]: [Value; 2]| {
        [
            code(world, &by_identity, IDENTITY, why),
            code(world, &by_identity, &format!("{IDENTITY} --use-signed-timestamps"), why),
            code(world, &by_identity, &format!("{IDENTITY} --insecure-ignore-tlog"), why),
            code(world, &by_key, "--key k.pub --use-signed-timestamps", why),
        ]
    };
    assert_eq!(both(&world, "right", with_stamp_of(&right, after(-60))), [0; 4]);
    assert_eq!(both(&world, "in the future", with_stamp_of(&right, after(HOUR))), [3; 4]);
    assert_eq!(both(&world, "by another authority", with_stamp_of(&Sigstore::new(), after(-60))), [3; 4]);
    // Before and after the certificate; a key has no such time.
    assert_eq!(both(&world, "before the certificate", with_stamp_of(&right, after(-HOUR))), [3, 3, 3, 0]);
    assert_eq!(both(&world, "before the authority", with_stamp_of(&right, after(-2 * 365 * 24 * HOUR))), [3; 4]);
    // A timestamp authority whose certificate is not right.
    for (why, change) in [
        ("had expired", (|said| said.to = after(-HOUR)) as fn(&mut Certified)),
        ("is not yet one", |said| said.from = after(HOUR)),
        ("no use said", |said| said.usage = None),
        ("another use", |said| said.usage = Some(b"\x2b\x06\x01\x05\x05\x07\x03\x03")),
    ] {
        let sigstore = Sigstore::with(|_| (), change);
        let world = with_root(&sigstore);
        world.write("k.pub", &key.public_pem());
        let bundle = sigstore.sign_file_by_key(FILE, &key, after(-60));
        assert_eq!(code(&world, &bundle, "--key k.pub --use-signed-timestamps", why), 3, "{why}");
        assert_eq!(code(&world, &bundle, "--key k.pub", why), 0, "{why}");
    }
    // A log that says a time to come.
    let bundle = right.sign_file(FILE, &signer, after(120));
    assert_eq!(code(&world, &bundle, IDENTITY, "logged in the future"), 3);
}
