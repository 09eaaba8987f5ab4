//! Keys and passwords are in no output, whatever is asked, and however it ends.

use std::fs;

use artifact::sign::PrivateKey;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

use super::{KEY, PUB, pushed, vector, world};
use crate::support::program::{Served, World};

const PASSWORD: &str = "correct-horse-battery-staple";

/// What must not be said: the password, the lines of the key's file, and the key itself in any base64, wherever it begins.
fn secrets() -> Vec<String> {
    let pem = fs::read_to_string(vector("keys/p256.pkcs8.pem")).unwrap();
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body.concat()).unwrap();
    let mut all = vec![PASSWORD.to_owned(), STANDARD.encode(PASSWORD)];
    // Its public part is at the end, and no secret.
    let secret = &der[..68];
    for start in 0..3 {
        let part = &secret[36 + start..66];
        all.extend([STANDARD_NO_PAD.encode(&part[..27]), URL_SAFE_NO_PAD.encode(&part[..27])]);
        all.push(STANDARD_NO_PAD.encode(&secret[start..start + 60]));
    }
    let hex: String = secret[36..68].iter().map(|byte| format!("{byte:02x}")).collect();
    all.extend([hex.to_uppercase(), hex]);
    all.extend(body[..1].iter().map(|line| (*line).to_owned()));
    all
}

/// Runs a line with everything that can be said about it, and gives all of it.
fn said(world: &World, line: &str) -> (i32, String) {
    let mut all = String::new();
    let mut code = 0;
    for (more, quiet) in [("--verbose --debug", false), ("--verbose --debug --format json", false), ("", true)] {
        let mut command = world.command(&format!("{line} {more}"));
        command.env("COSIGN_PASSWORD", PASSWORD).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        command.env("SIGNING_KEY", fs::read_to_string(vector("keys/p256.pkcs8.pem")).unwrap());
        if quiet {
            command.env_remove("RUST_LOG");
        }
        let out = command.output().unwrap();
        code = out.status.code().unwrap();
        all += &String::from_utf8_lossy(&out.stdout);
        all += &String::from_utf8_lossy(&out.stderr);
    }
    (code, all)
}

#[test]
fn keys_and_passwords_are_in_no_output() {
    let world = world();
    let key = PrivateKey::read(&vector("keys/p256.pkcs8.pem"), &|| Ok(Zeroizing::new(String::new()))).unwrap();
    world.write("mine.key", &key.to_encrypted_pem(PASSWORD).unwrap());
    world.write("password", PASSWORD);
    world.write("wrong", "not this one");
    world.write("both.key", &[KEY, KEY].map(|key| fs::read_to_string(world.path().join(key)).unwrap()).concat());
    let pem = fs::read_to_string(world.path().join(KEY)).unwrap();
    world.write("short.key", &pem.replace("-----END PRIVATE KEY-----", ""));
    world.write("text.key", &pem.replace(['-'], ""));
    let mut lines: Vec<&str> = pem.lines().collect();
    let changed = lines[1].replacen(|c: char| c.is_ascii_lowercase(), "!", 1);
    lines[1] = &changed;
    world.write("no-base64.key", &lines.join("\n"));
    world.write("predicate", "{}");
    pushed(&world, "oci:layout:v1");
    world.write("f.yaml", "faults: [{on: PUT manifest, nth: 2-99, refuse: {status: 500}}]");
    let registry = Served::start(&world, "--writable --faults f.yaml");
    pushed(&world, &format!("{}/app:v1", registry.addr));
    let there = format!("{}/app:v1", registry.addr);
    let refused = format!("sign {there} --key mine.key --retries 0");
    let pushes = format!("push talk {there}2 --sign mine.key --retries 0");
    for (line, code) in [
        ("sign oci:layout:v1 --key mine.key --again", 0),
        ("sign oci:layout:v1 --key mine.key --again --password-file password", 0),
        ("sign oci:layout:v1 --key env://SIGNING_KEY --again", 0),
        ("sign --file talk/1.png --key mine.key", 0),
        ("attest oci:layout:v1 --key mine.key --predicate predicate --type custom", 0),
        ("push talk oci:pushed:v1 --sign mine.key", 0),
        ("keygen made --force", 0),
        ("keygen made --force --import mine.key", 0),
        (&format!("keygen made --force --import {KEY}"), 0),
        ("keygen --public mine.key", 0),
        (&format!("verify oci:layout:v1 --key {PUB}"), 0),
        // And what goes wrong.
        (&refused, 1),
        (&pushes, 1),
        ("sign oci:layout:v1 --key mine.key --password-file wrong", 2),
        ("sign oci:layout:v1 --key mine.key --password-file none", 2),
        ("sign oci:layout:v2 --key mine.key", 4),
        ("sign oci:layout:v1 --key both.key", 2),
        ("sign oci:layout:v1 --key short.key", 2),
        ("sign oci:layout:v1 --key text.key", 2),
        ("sign oci:layout:v1 --key no-base64.key", 2),
        ("sign oci:layout:v1 --key env://COSIGN_PASSWORD", 2),
        ("verify oci:layout:v1 --key mine.key", 2),
        (&format!("verify oci:layout:v1 --key {KEY}"), 2),
        ("verify oci:layout:v1 --key env://SIGNING_KEY", 2),
        ("verify oci:layout:v1 --key env://COSIGN_PASSWORD", 2),
        ("keygen made --password-file none", 1),
        ("keygen none/made", 4),
        ("keygen made --import both.key --force", 2),
        ("keygen --public no-base64.key", 2),
    ] {
        let (ended, said) = said(&world, line);
        assert_eq!(ended, code, "{line}: {said}");
        assert!(!said.is_empty(), "{line}");
        for secret in secrets() {
            assert!(!said.contains(&secret), "{line} says `{secret}`:\n{said}");
        }
    }
    // What is written holds them neither, except encrypted.
    for file in ["made.key", "made.pub", "talk/1.png.sigstore.json"] {
        let text = fs::read_to_string(world.path().join(file)).unwrap();
        assert!(secrets().iter().all(|secret| !text.contains(secret)), "{file}: {text}");
    }
}

/// A key that is typed where its file belongs is not repeated.
#[test]
fn a_key_on_the_command_line_is_not_repeated() {
    let world = world();
    let pem = fs::read_to_string(vector("keys/p256.pkcs8.pem")).unwrap();
    for line in [
        "sign oci:layout:v1 --key",
        "verify oci:layout:v1 --key",
        "keygen --import",
        "keygen --public",
        "public-key --key",
    ] {
        for format in ["text", "json"] {
            let out = world.command(line).arg(&pem).args(["--format", format]).output().unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert_eq!(out.status.code(), Some(2), "{said}");
            let body = pem.lines().nth(1).unwrap();
            assert!(!said.contains(body) && !said.contains(&body[8..40]), "{line}: {said}");
        }
    }
}
