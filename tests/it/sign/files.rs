//! Signatures of files.

use std::{fs, process::Command};

use artifact::oci::Digest;
use serde::Deserialize;
use serde_json::Value;

use super::{KEY, OTHER_PUB, PUB, json, vector, world};
use crate::support::{samples::words, signing::Check};

#[derive(Deserialize)]
struct FileCase {
    bundle: Option<String>,
    signature: Option<String>,
    file: String,
    checks: Vec<Check>,
}

#[test]
fn every_check_of_the_vectors_files_gives_its_answer_on_the_command_line() {
    let world = world();
    let cases: Vec<FileCase> = serde_json::from_slice(&fs::read(vector("files.json")).unwrap()).unwrap();
    let mut checked = 0;
    for case in &cases {
        let proof = match (&case.bundle, &case.signature) {
            (Some(bundle), _) => format!("--bundle vectors/{bundle}"),
            (None, signature) => format!("--signature vectors/{}", signature.as_ref().unwrap()),
        };
        let digest = Digest::of(&fs::read(vector(&case.file)).unwrap()).to_string();
        for check in &case.checks {
            let code = match check.expect.as_str() {
                "verified" => 0,
                "rejected" => 3,
                _ => 6,
            };
            // A key whose hash is not SHA-256 needs the file itself.
            let needs_file = case.bundle.as_ref().is_some_and(|name| name.contains("p384"));
            let files = [format!("vectors/{}", case.file), digest.clone()];
            for file in files.iter().take(if needs_file { 1 } else { 2 }) {
                let line = format!("verify --file {file} {proof} {}", check.flags());
                let ran = world.run(&line);
                assert_eq!(ran.code, code, "{line}\n{}{}", ran.stdout, ran.stderr);
                assert_eq!(ran.stdout.contains(": verified"), code == 0, "{line}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 33);
}

#[test]
fn a_file_of_three_mebibytes_is_signed_by_every_kind_of_key() {
    let world = world();
    fs::write(world.path().join("big"), words(3 << 20, 1)).unwrap();
    let digest = Digest::of(&fs::read(world.path().join("big")).unwrap());
    for (key, public) in [
        ("p256.pkcs8.pem", "p256.pub"),
        ("p256.sec1.pem", "p256-from-sec1.pub"),
        ("rsa2048.pkcs1.pem", "rsa2048.pub"),
        ("p384.key", "p384.pub"),
        ("p521.key", "p521.pub"),
        ("ed25519.key", "ed25519.pub"),
    ] {
        let sign = format!("sign --file big --key vectors/keys/{key}");
        let signed = world.command(&sign).env("COSIGN_PASSWORD", "test-vectors").output().unwrap();
        assert!(signed.status.success(), "{key}: {}", String::from_utf8_lossy(&signed.stderr));
        assert_eq!(String::from_utf8(signed.stdout).unwrap(), "big.sigstore.json\n");
        let text = world.ok(&format!("verify --file big --key vectors/keys/{public}"));
        assert!(text.starts_with("big: verified\n"), "{text}");
        world.fails(
            &format!("verify --file big --key {}", if public == "p256.pub" { OTHER_PUB } else { PUB }),
            3,
            &["holds"],
        );
        // The digest alone is enough where SHA-256 is what is signed.
        let by_digest =
            world.run(&format!("verify --file {digest} --bundle big.sigstore.json --key vectors/keys/{public}"));
        let needs_file = ["p384.pub", "p521.pub", "ed25519.pub"].contains(&public);
        assert_eq!(by_digest.code, if needs_file { 3 } else { 0 }, "{public}: {}", by_digest.stderr);
        assert!(!needs_file || by_digest.stderr.contains("the file itself"), "{}", by_digest.stderr);
        // One byte more, less, and another.
        for change in [0, 1, 2] {
            let mut bytes = fs::read(world.path().join("big")).unwrap();
            match change {
                0 => bytes.push(0),
                1 => drop(bytes.pop()),
                _ => bytes[1 << 20] ^= 1,
            }
            fs::write(world.path().join("changed"), bytes).unwrap();
            let line = format!("verify --file changed --bundle big.sigstore.json --key vectors/keys/{public}");
            world.fails(&line, 3, &["holds"]);
        }
    }
}

#[test]
fn files_are_signed_beside_them_or_where_it_is_said() {
    let world = world();
    world.write("hello.txt", "hello");
    world.write("empty", "");
    let signed = json(&world, &format!("sign --file hello.txt --file empty --key {KEY}"));
    assert_eq!(signed["artifacts"].as_array().unwrap().len(), 2, "{signed}");
    assert_eq!(signed["artifacts"][0]["digest"], Digest::of(b"hello").to_string());
    world.ok(&format!("verify --file empty --key {PUB}"));
    let bundle = fs::read_to_string(world.path().join("hello.txt.sigstore.json")).unwrap();
    let read: Value = serde_json::from_str(&bundle).unwrap();
    assert_eq!(read["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(read["messageSignature"]["messageDigest"]["algorithm"], "SHA2_256");
    assert!(read["verificationMaterial"]["publicKey"]["hint"].is_string(), "{bundle}");
    assert_eq!(bundle.lines().count(), 1);
    world.ok(&format!("sign --file hello.txt --key {KEY} --bundle other.json"));
    world.ok(&format!("verify --file hello.txt --bundle other.json --key {PUB}"));
    // A bare signature, with and without a line end, is what `openssl` and `cosign sign-blob` write.
    let sig = read["messageSignature"]["signature"].as_str().unwrap();
    for text in [sig.to_owned(), format!("{sig}\n")] {
        world.write("hello.sig", &text);
        world.ok(&format!("verify --file hello.txt --signature hello.sig --key {PUB}"));
        world.fails(&format!("verify --file hello.txt --signature hello.sig --key {OTHER_PUB}"), 3, &["holds"]);
        world.fails(&format!("verify --file empty --signature hello.sig --key {PUB}"), 3, &["holds"]);
    }
    world.fails(&format!("sign --file hello.txt --file empty --key {KEY} --bundle one.json"), 2, &["--bundle"]);
    for flags in ["-a k=v", "--recursive", "--sign-container-identity x/y"] {
        world.fails(&format!("sign --file hello.txt --key {KEY} {flags}"), 2, &["--file"]);
    }
}

#[test]
fn what_is_missing_or_no_signature_of_a_file_has_its_exit_code() {
    let world = world();
    world.write("hello.txt", "hello");
    world.write("no.json", "{}");
    world.write("no.sig", "!!");
    world.ok(&format!("sign --file hello.txt --key {KEY}"));
    for (line, code) in [
        ("verify --file none.txt", 4),
        ("verify --file hello.txt --bundle none.json", 4),
        ("verify --file hello.txt --signature none.sig", 4),
        ("verify --file hello.txt --bundle no.json", 3),
        ("verify --file hello.txt --signature no.sig", 3),
        ("verify --file hello.txt --signature no.sig --bundle no.json", 2),
        ("verify --file hello.txt oci:layout:v1", 2),
        ("verify --file sha256:00 --bundle no.json", 2),
        ("verify --file sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", 2),
        ("verify --file hello.txt --type custom", 6),
    ] {
        let ran = world.run(&format!("{line} --key {PUB}"));
        assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("verified"), "{line}: {ran:?}");
    }
    let ran = world.run(&format!("sign --file none.txt --key {KEY}"));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
}

#[test]
fn a_file_is_read_once_and_not_into_memory() {
    let world = world();
    let big = fs::File::create(world.path().join("big")).unwrap();
    big.set_len(300 << 20).unwrap();
    world.ok(&format!("sign --file big --key {KEY}"));
    // An Ed25519 key signs a whole message, which has a limit, and it is said which.
    let mut ed25519: Command = world.command("sign --file big --key vectors/keys/ed25519.key");
    let ran = crate::support::program::ran(ed25519.env("COSIGN_PASSWORD", "test-vectors").output().unwrap());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("268435456"), "{}", ran.stderr);
}
