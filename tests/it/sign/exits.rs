//! Exit codes: what holds, what does not, what is not there, and what nobody could look at.

use artifact::oci::{Digest, media_type};
use serde_json::Value;

use super::{KEY, OTHER_PUB, PUB, json, pushed, sig, vector, world};
use crate::support::program::{Ran, Served, World, ran};

/// Exit code and all output, which must not say that anything is verified.
fn fails(world: &World, line: &str) -> Ran {
    let ran = world.run(line);
    assert_ne!(ran.code, 0, "{line}: {}", ran.stdout);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("verified"), "{line}: {ran:?}");
    ran
}

#[test]
fn each_outcome_has_its_exit_code_in_text_and_in_json() {
    let world = world();
    for (layout, flags, code, verdict) in [
        ("bundle-key", format!("--key {PUB}"), 0, "verified"),
        ("bundle-key", format!("--key {OTHER_PUB}"), 3, "rejected"),
        ("other-subject", format!("--key {PUB}"), 3, "rejected"),
        ("payload-flipped", format!("--key {PUB}"), 3, "rejected"),
        ("signature-flipped", format!("--key {PUB}"), 3, "rejected"),
        ("bundle-key", format!("--key {PUB} -a k=v"), 3, "rejected"),
        ("bundle-key", format!("--key {PUB} --key {OTHER_PUB} --min 2"), 3, "rejected"),
        ("unsigned", format!("--key {PUB}"), 6, "unsigned"),
        ("attest-only", format!("--key {PUB}"), 6, "unsigned"),
        ("attest", format!("--key {PUB} --type cyclonedx"), 6, "unsigned"),
        ("blob-missing", format!("--key {PUB}"), 1, "undecided"),
        ("blob-replaced", format!("--key {PUB}"), 1, "undecided"),
    ] {
        let line = format!("verify oci:vectors/layouts/{layout}:v1 {flags}");
        let text = world.run(&line);
        assert_eq!(text.code, code, "{line}: {}{}", text.stdout, text.stderr);
        assert_eq!(text.stdout.is_empty(), code != 0, "{line}: {}", text.stdout);
        assert_eq!(text.stderr.contains("error: "), code != 0, "{line}: {}", text.stderr);
        for format in ["--format json", "--output json", "-o json"] {
            let ran = world.run(&format!("{line} {format}"));
            let found: Value =
                serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{line} {format}: {e}: {ran:?}"));
            assert_eq!((ran.code, &found["verdict"]), (code, &verdict.into()), "{line}: {found}");
            assert!(found["signatures"].is_array() && found["rejected"].is_array(), "{found}");
        }
    }
}

#[test]
fn what_is_not_there_is_not_unsigned() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    pushed(&world, "oci:layout:v1");
    pushed(&world, &format!("{}/app:v1", registry.addr));
    let none = Digest::of(b"none");
    for location in [
        "oci:layout:v2".to_owned(),
        format!("oci:layout@{none}"),
        "oci:none:v1".to_owned(),
        "oci-archive:none.tar:v1".to_owned(),
        format!("{}/app:v2", registry.addr),
        format!("{}/app@{none}", registry.addr),
        format!("{}/none:v1", registry.addr),
    ] {
        assert_eq!(fails(&world, &format!("verify {location} --key {PUB}")).code, 4, "{location}");
        assert_eq!(fails(&world, &format!("sign {location} --key {KEY}")).code, 4, "{location}");
    }
    assert!(!world.path().join("none").exists() && !world.path().join("none.tar").exists());
}

#[test]
fn who_could_not_look_does_not_say_unsigned() {
    let world = world();
    let digest = pushed(&world, "oci:app:v1");
    let tag = sig(&digest);
    let att = tag.replace(".sig", ".att");
    for on in ["GET referrers".to_owned(), format!("GET|HEAD /manifests/{tag}"), format!("GET|HEAD /manifests/{att}")] {
        for (refuse, code) in [
            ("{status: 429}", 1),
            ("{status: 500}", 1),
            ("{status: 503}", 1),
            ("{status: 401}", 5),
            ("{status: 403}", 5),
            ("{status: 200, headers: {content-type: LIST}, body: 'no list'}", 1),
            ("{status: 200, headers: {content-type: LIST}, body: '[]'}", 1),
            ("{status: 200, headers: {content-type: LIST}, body: '{\"schemaVersion\":2,\"manifests\":7}'}", 1),
        ] {
            if refuse.contains("LIST") && on != "GET referrers" {
                continue;
            }
            let refuse = refuse.replace("LIST", media_type::INDEX);
            world.write("f.yaml", &format!("faults: [{{on: \"{on}\", nth: all, refuse: {refuse}}}]"));
            let registry = Served::start(&world, "app --faults f.yaml");
            let ran = fails(&world, &format!("verify {}/app:v1 --key {PUB} --retries 0", registry.addr));
            assert_eq!(ran.code, code, "{on} {refuse}: {}", ran.stderr);
        }
    }
}

/// An error while one format is listed is an error, whatever the other says, unless that suffices.
#[test]
fn a_format_that_cannot_be_read_is_no_reason_to_believe_the_other_one_less_or_more() {
    let world = world();
    for (layout, on) in [("legacy-key", "GET referrers"), ("bundle-key", "GET|HEAD /manifests/sha256-")] {
        world.write("f.yaml", &format!("faults: [{{on: \"{on}\", nth: all, refuse: {{status: 500}}}}]"));
        let registry = Served::start(&world, &format!("vectors/layouts/{layout} --faults f.yaml"));
        let line = format!("verify {}/{layout}:v1 --retries 0", registry.addr);
        world.ok(&format!("{line} --key {PUB}"));
        let ran = fails(&world, &format!("{line} --key {OTHER_PUB}"));
        assert_eq!(ran.code, 1, "{layout}: {}", ran.stderr);
        let ran = fails(&world, &format!("{line} --key {PUB} --key {OTHER_PUB} --min 2"));
        assert_eq!(ran.code, 1, "{layout}: {}", ran.stderr);
    }
}

#[test]
fn a_signature_that_is_listed_and_not_readable_decides_only_when_nothing_else_is_left() {
    let world = world();
    for (layout, on) in
        [("bundle-key", "GET blob"), ("legacy-key", "GET blob"), ("bundle-key", "GET|HEAD /manifests/sha256:")]
    {
        for refuse in ["{status: 404}", "{status: 500}", "{status: 403}", "{status: 200, body: x}"] {
            // The first manifest is the artifact's own.
            world.write("f.yaml", &format!("faults: [{{on: \"{on}\", nth: all, refuse: {refuse}}}]"));
            let registry = Served::start(&world, &format!("vectors/layouts/{layout} --faults f.yaml"));
            let ran = fails(&world, &format!("verify {}/{layout}:v1 --key {PUB} --retries 0", registry.addr));
            let code = if refuse.contains("403") { 5 } else { 1 };
            assert_eq!(ran.code, code, "{layout} {on} {refuse}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_key_that_is_none_is_a_mistake_in_the_command() {
    let world = world();
    pushed(&world, "oci:layout:v1");
    let mut tried = 0;
    for entry in std::fs::read_dir(vector("keys")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("refuse-") {
            continue;
        }
        let key = format!("vectors/keys/{name}");
        if name.ends_with(".pub") {
            assert_eq!(fails(&world, &format!("verify oci:layout:v1 --key {key}")).code, 2, "{name}");
        } else {
            for line in ["sign oci:layout:v1 --key", "keygen new --import", "keygen --public"] {
                let out =
                    world.command(&format!("{line} {key}")).env("COSIGN_PASSWORD", "test-vectors").output().unwrap();
                let ran = ran(out);
                assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line} {name}: {}", ran.stderr);
            }
        }
        tried += 1;
    }
    assert!(tried >= 15, "{tried}");
    for (line, words) in [
        (format!("verify oci:layout:v1 --key {KEY}"), "private key"),
        ("verify oci:layout:v1 --key vectors/keys/p256.key".to_owned(), "private key"),
        (format!("sign oci:layout:v1 --key {PUB}"), "public key"),
        ("verify oci:layout:v1 --key none.pub".to_owned(), "none.pub"),
        ("sign oci:layout:v1 --key none.key".to_owned(), "none.key"),
        ("verify oci:layout:v1 --key env://NOT_SET".to_owned(), "NOT_SET"),
        ("sign oci:layout:v1 --key env://NOT_SET".to_owned(), "NOT_SET"),
        ("sign oci:layout:v1 --key awskms:///x".to_owned(), "awskms"),
        ("sign oci:layout:v1 --key hashivault://x".to_owned(), "hashivault"),
        ("verify oci:layout:v1 --key vectors/trust/trusted_root.json".to_owned(), "no key"),
        ("sign oci:layout:v1".to_owned(), "--key"),
        ("verify oci:layout:v1".to_owned(), "--key"),
    ] {
        let ran = fails(&world, &line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
    }
    assert!(!world.path().join("new.key").exists());
    let wrong =
        world.command("sign oci:layout:v1 --key vectors/keys/p256.key").env("COSIGN_PASSWORD", "x").output().unwrap();
    let wrong = ran(wrong);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("wrong password"), "{}", wrong.stderr);
}

#[test]
fn flags_that_exclude_each_other_or_need_a_service_are_refused_by_name() {
    let world = world();
    pushed(&world, "oci:layout:v1");
    world.write("no.json", "{}");
    let root = "--trusted-root vectors/trust/trusted_root.json";
    let identity = "--certificate-identity a@example.com --certificate-oidc-issuer https://issuer.example";
    for (line, words) in [
        (format!("verify oci:layout:v1 --key {PUB} --min 0"), "--min"),
        (format!("verify oci:layout:v1 --key {PUB} --min 2"), "--min"),
        (format!("verify oci:layout:v1 --key {PUB} --key {PUB} --min 2"), "different keys"),
        (format!("verify oci:layout:v1 --key {PUB} --require-tlog"), "--trusted-root"),
        (format!("verify oci:layout:v1 --key {PUB} {root} --require-tlog --insecure-ignore-tlog"), "--require-tlog"),
        (format!("verify oci:layout:v1 --key {PUB} --use-signed-timestamps"), "--trusted-root"),
        (format!("verify oci:layout:v1 {identity}"), "--trusted-root"),
        (format!("verify oci:layout:v1 {root}"), "--key"),
        (format!("verify oci:layout:v1 {root} --certificate-identity x"), "--certificate-oidc-issuer"),
        (format!("verify oci:layout:v1 {root} --certificate-oidc-issuer x"), "--certificate-identity"),
        (format!("verify oci:layout:v1 {root} {identity} --certificate-identity-regexp x"), "cannot be used"),
        (
            format!("verify oci:layout:v1 {root} --certificate-identity-regexp ( --certificate-oidc-issuer x"),
            "regular expression",
        ),
        (format!("verify oci:layout:v1 --key {PUB} --trusted-root none.json"), "none.json"),
        (format!("verify oci:layout:v1 --key {PUB} --trusted-root no.json"), "trusted root"),
        (format!("verify oci:layout:v1 --key {PUB} --type nonsense"), "predicate type"),
        (format!("verify oci:layout:v1 --key {PUB} -a k"), "k"),
        (format!("verify oci:layout:v1 --key {PUB} -a k=1 -a k=2"), "given twice"),
        (format!("verify oci:layout:v1 --key {PUB} --predicate-output x"), "--type"),
        (format!("verify oci:layout:v1 --key {PUB} --bundle x"), "--file"),
        (format!("verify oci:layout:v1 --key {PUB} --output yaml"), "yaml"),
        ("verify --key x".to_owned(), "LOCATION"),
        (format!("sign oci:layout:v1 --key {KEY} --rekor-url https://x"), "`--rekor-url` needs a service"),
        (format!("sign oci:layout:v1 --key {KEY} --timestamp-server-url https://x"), "--timestamp-server-url"),
        (format!("sign oci:layout:v1 --key {KEY} --identity-token x"), "--identity-token"),
        (format!("sign oci:layout:v1 --key {KEY} --fulcio-url https://x"), "--fulcio-url"),
        (format!("sign oci:layout:v1 --key {KEY} --tlog-upload=true"), "--tlog-upload"),
        (format!("sign oci:layout:v1 --key {KEY} --use-signing-config"), "--use-signing-config"),
        (format!("sign oci:layout:v1 --key {KEY} -a k=1 -a k=2"), "given twice"),
        (format!("sign oci:layout:v1 --key {KEY} --signature-format nonsense"), "nonsense"),
        (format!("sign --key {KEY}"), "LOCATION"),
        (format!("sign --file no.json --key {KEY} -a k=1"), "--annotation"),
        (format!("sign --file no.json --key {KEY} --recursive"), "--recursive"),
        (format!("sign --file no.json --key {KEY} --again"), "--again"),
        (format!("sign --file no.json --key {KEY} --signature-format bundle"), "--signature-format"),
        (format!("sign --file no.json --key {KEY} --sign-container-identity x/y"), "--sign-container-identity"),
        (format!("sign --file no.json --key {KEY} --signature-repository localhost:5000/y"), "a file, too"),
        (format!("sign --file no.json --key {KEY} --new-bundle-format=false"), "sigstore bundle"),
    ] {
        let ran = fails(&world, &line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: `{words}` is not in: {}", ran.stderr);
    }
}

#[test]
fn flags_of_cosign_that_change_nothing_are_taken() {
    let world = world();
    pushed(&world, "oci:layout:v1");
    world.ok(&format!(
        "sign oci:layout:v1 --key {KEY} -y --tlog-upload=false --use-signing-config=false --new-bundle-format=true"
    ));
    for flags in [
        "--offline",
        "--offline=true",
        "--insecure-ignore-tlog",
        "--insecure-ignore-tlog=true",
        "--private-infrastructure",
    ] {
        world.ok(&format!("verify oci:layout:v1 --key {PUB} {flags}"));
    }
    assert_eq!(json(&world, &format!("verify oci:layout:v1 --key {PUB}"))["command"], "verify");
    let keyless = "--certificate-identity signer@vectors.example --certificate-oidc-issuer https://issuer.vectors.example \
        --trusted-root vectors/trust/trusted_root.json";
    world.ok(&format!("verify oci:vectors/layouts/bundle-keyless:v1 {keyless}"));
    let without =
        fails(&world, &format!("verify oci:vectors/layouts/bundle-keyless:v1 {keyless} --insecure-ignore-tlog"));
    assert_eq!(without.code, 3, "{}", without.stderr);
    assert!(without.stderr.contains("needs a timestamp"), "{}", without.stderr);
}
