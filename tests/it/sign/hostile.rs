//! Signatures that were made to deceive, or to exhaust whoever verifies them. The names begin with their numbers in the
//! list of what is tried (S13 and S15 are in `certificates.rs`).

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use artifact::{
    oci::{Descriptor, Digest, Manifest, Tag, media_type},
    sign::BUNDLE,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    KEY, OTHER_KEY, OTHER_PUB, bundles, legacy_layers,
    made::{
        Made, SIMPLE_SIGNING, bundle, bundle_with, key, legacy, legacy_with, payload, pre_authentication, referrer,
        statement,
    },
    pushed, vector, world,
};
use crate::support::{
    program::{Served, World, ran},
    samples::{Sample, deliver},
};

const BY_KEY: &str = "--key vectors/keys/p256.pub";
const IN_TOTO: &str = "application/vnd.in-toto+json";
const KEYLESS: &str = "--certificate-identity signer@vectors.example --certificate-oidc-issuer \
    https://issuer.vectors.example --trusted-root vectors/trust/trusted_root.json";

/// The line must end with this code, and no output of it says that anything is verified.
fn fails(world: &World, line: &str, code: i32) {
    for line in [line.to_owned(), format!("{line} --format json"), format!("{line} --verbose")] {
        let ran = world.run(&line);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, code, "{line}: {said}");
        assert!(!said.contains("verified"), "{line}: {said}");
    }
}

#[test]
fn s01_what_has_no_signature_is_unsigned_whoever_is_asked_for() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/app", registry.addr), "oci:layout".to_owned(), "oci-archive:archive.tar".to_owned()] {
        pushed(&world, &format!("{place}:v1"));
        for flags in [BY_KEY.to_owned(), format!("{BY_KEY} --type custom"), KEYLESS.to_owned(), format!("{BY_KEY} -r")]
        {
            fails(&world, &format!("verify {place}:v1 {flags}"), 6);
        }
    }
}

#[test]
fn s02_a_signature_by_another_key_does_not_hold() {
    let world = world();
    let registry = Served::start(&world, "--writable");
    for place in [format!("{}/app", registry.addr), "oci:layout".to_owned(), "oci-archive:archive.tar".to_owned()] {
        pushed(&world, &format!("{place}:v1"));
        world.ok(&format!("sign {place}:v1 --key {OTHER_KEY} --sign-container-identity r.example/app"));
        fails(&world, &format!("verify {place}:v1 {BY_KEY}"), 3);
    }
}

#[tokio::test]
async fn s03_a_signature_of_another_artifact_does_not_hold() {
    let other = Digest::of(b"another artifact");
    for what in ["bundle", "legacy"] {
        let made = Made::new().await;
        match what {
            "bundle" => drop(made.bundle(&bundle(&key("p256.key"), statement(&other).to_string().as_bytes())).await),
            _ => made.legacy(&[legacy(&key("p256.key"), payload(&other).to_string().as_bytes())]).await,
        }
        let ran = made.fails(BY_KEY, 3);
        assert!(ran.stderr.contains("about another artifact"), "{}", ran.stderr);
    }
}

/// The tag moves while the referrers are listed: what is judged is what it stood for, and that is what is named.
#[test]
fn s04_a_tag_that_moves_meanwhile_changes_nothing() {
    let world = world();
    let unsigned = pushed(&world, "oci:layout:unsigned");
    let signed = world.ok("push talk/1.png oci:layout:signed -q").trim().to_owned();
    world.ok(&format!("sign oci:layout:signed --key {KEY}"));
    world.write("slow.yaml", "faults: [{on: GET referrers, nth: all, delay: 1.5}]");
    for (before, after, code, named) in [("unsigned", "signed", 6, &unsigned), ("signed", "unsigned", 0, &signed)] {
        world.ok(&format!("tag oci:layout:{before} v1"));
        let registry = Served::start(&world, "layout --faults slow.yaml");
        let mut command = world.command(&format!("verify {}/layout:v1 {BY_KEY}", registry.addr));
        let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        world.ok(&format!("tag oci:layout:{after} v1"));
        let ran = ran(running.wait_with_output().unwrap());
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, code, "{said}");
        assert!(said.contains(named.as_str()), "{named}: {said}");
        assert_eq!(said.contains("verified"), code == 0, "{said}");
    }
}

/// A layout whose list of manifests has so many referrers, which share one bundle.
async fn flooded(count: usize) -> Made {
    let made = Made::new().await;
    let other = bundle(&key("p256-from-sec1.key"), statement(&made.subject.digest).to_string().as_bytes());
    let other = Bytes::from(other.to_string());
    let first = referrer(&made.subject, other);
    deliver(&made.store, &first, &[]).await.unwrap();
    let dir = made.world.path().join("layout");
    let index = fs::read(dir.join("index.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    let manifest: Manifest = serde_json::from_slice(&first.manifests[0].1).unwrap();
    for n in 1..count {
        let mut manifest = manifest.clone();
        manifest.annotations.insert("n".to_owned(), n.to_string());
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let mut desc = Descriptor::of(media_type::MANIFEST, &bytes);
        desc.artifact_type = Some(BUNDLE.to_owned());
        fs::write(dir.join("blobs/sha256").join(desc.digest.hex()), bytes).unwrap();
        index["manifests"].as_array_mut().unwrap().push(serde_json::to_value(desc).unwrap());
    }
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
    made
}

#[tokio::test]
async fn s05_ten_thousand_signatures_are_not_all_read_and_that_is_said() {
    let begun = Instant::now();
    let made = flooded(10_000).await;
    let ran = made.world.run(&format!("verify oci:layout:v1 {BY_KEY}"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("10000") && ran.stderr.contains("only 1000 are read"), "{}", ran.stderr);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("verified"));
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn s05_of_many_signatures_a_hundred_are_checked_those_that_name_the_key_first() {
    let made = flooded(150).await;
    let ran = made.fails(BY_KEY, 1);
    assert!(ran.stderr.contains("more signatures than are checked") && ran.stderr.contains("100"), "{}", ran.stderr);
    // Ours says that it is ours, and is found whatever else is there.
    made.world.ok(&format!("sign oci:layout:v1 --key {KEY} --again --upload=false --bundle ours.json"));
    let ours = fs::read(made.world.path().join("ours.json")).unwrap();
    made.bundle_bytes(ours.into()).await;
    made.holds(BY_KEY);
}

#[tokio::test]
async fn s06_a_signature_of_a_gibibyte_is_not_read() {
    for what in ["bundle", "legacy"] {
        for described in [1 << 30, 900] {
            let made = Made::new().await;
            // The descriptor says how large it is, or lies.
            let layer = Descriptor { size: described, ..Descriptor::of(BUNDLE, b"x") };
            let blob = made.world.path().join("layout/blobs/sha256").join(layer.digest.hex());
            let mut sample = referrer(&made.subject, Bytes::from_static(b"x"));
            if what == "bundle" {
                let mut manifest: Manifest = serde_json::from_slice(&sample.manifests[0].1).unwrap();
                manifest.layers = vec![layer];
                let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
                sample.manifests = vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)];
                write_directly(&made, &sample, None);
            } else {
                let layer = Descriptor { media_type: SIMPLE_SIGNING.to_owned(), ..layer };
                let sample = legacy_manifest(vec![layer]);
                let [tag, ..] = Tag::companions_of(&made.subject.digest);
                write_directly(&made, &sample, Some(tag.as_ref()));
            }
            fs::File::create(blob).unwrap().set_len(1 << 30).unwrap();
            let ran = made.fails(BY_KEY, if described == 900 { 1 } else { 3 });
            assert!(described == 900 || ran.stderr.contains("the limit is 4194304"), "{what}: {}", ran.stderr);
        }
    }
}

fn legacy_manifest(layers: Vec<Descriptor>) -> Sample {
    let config = Bytes::from_static(b"{}");
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::of(media_type::IMAGE_CONFIG, &config),
        layers,
        subject: None,
        annotations: Default::default(),
    };
    let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
    let config = (Descriptor::of(media_type::IMAGE_CONFIG, &config), config);
    Sample { blobs: vec![config], manifests: vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)] }
}

/// Puts it into the layout without any of the store's own checks.
fn write_directly(made: &Made, sample: &Sample, name: Option<&str>) {
    let dir = made.world.path().join("layout");
    for (desc, bytes) in sample.all() {
        fs::write(dir.join("blobs/sha256").join(desc.digest.hex()), bytes).unwrap();
    }
    let mut index: Value = serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap();
    let mut entry = serde_json::to_value(sample.root()).unwrap();
    match name {
        Some(name) => entry["annotations"] = json!({"org.opencontainers.image.ref.name": name}),
        None => entry["artifactType"] = json!(BUNDLE),
    }
    index["manifests"].as_array_mut().unwrap().push(entry);
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
}

#[tokio::test]
async fn s07_a_manifest_with_a_hundred_thousand_layers_is_not_read_to_its_end() {
    // So many layers make a manifest that no registry takes; fewer fit into one, and are too many as well.
    for (count, words) in [(100_000, ""), (20_000, "only 1000 are read")] {
        let made = Made::new().await;
        let layer = Descriptor { media_type: SIMPLE_SIGNING.to_owned(), ..Descriptor::of("a/b", b"x") };
        fs::write(made.world.path().join("layout/blobs/sha256").join(layer.digest.hex()), "x").unwrap();
        let [tag, ..] = Tag::companions_of(&made.subject.digest);
        write_directly(&made, &legacy_manifest(vec![layer; count]), Some(tag.as_ref()));
        let ran = made.world.run(&format!("verify oci:layout:v1 {BY_KEY}"));
        assert_eq!(ran.code, 1, "{count}: {}", ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("verified"));
        assert!(ran.stderr.contains(words), "{count}: {}", &ran.stderr[ran.stderr.len().saturating_sub(500)..]);
    }
}

#[tokio::test]
async fn s08_a_payload_that_others_read_otherwise_does_not_hold() {
    let made = Made::new().await;
    let signer = key("p256.key");
    let right = payload(&made.subject.digest).to_string();
    let other = payload(&Digest::of(b"x")).to_string();
    let image = |text: &str| text.split_once("\"image\":").unwrap().1.split_once('}').unwrap().0.to_owned() + "}";
    let (ours, theirs) = (image(&right), image(&other));
    for wrong in [
        right.replace(&format!("\"image\":{ours}"), &format!("\"image\":{theirs},\"image\":{ours}")),
        right.replace(&format!("\"image\":{ours}"), &format!("\"image\":{ours},\"image\":{theirs}")),
        right.replace(&format!("\"image\":{ours}"), &format!("\"Image\":{theirs},\"image\":{ours}")),
        right.replace("docker-manifest-digest", "Docker-Manifest-Digest"),
        right.replace("\"critical\":", "\"critical\":{},\"critical\":"),
        right.replace("cosign container image signature", "atomic container signature"),
        right.replace("cosign container image signature", ""),
        format!("{right}{right}"),
        format!("{right} x"),
        format!("\u{feff}{right}"),
    ] {
        assert_ne!(wrong, right);
        made.legacy(&[legacy(&signer, wrong.as_bytes())]).await;
        made.fails(BY_KEY, 3);
    }
    // Spaces and further fields are no deceit: the signature covers the bytes.
    let spaced =
        right.replace(":", " : ").replace("sha256 : ", "sha256:").replace("\"optional\"", "\"more\" : 1, \"optional\"");
    made.legacy(&[legacy(&signer, spaced.as_bytes())]).await;
    made.holds(BY_KEY);
}

#[test]
fn s09_a_log_entry_of_something_else_does_not_count() {
    let world = world();
    let flags = format!("{BY_KEY} --require-tlog --trusted-root vectors/trust/trusted_root.json");
    for case in ["tlog-of-another-signature", "tlog-root-hash", "tlog-time-changed", "tlog-checkpoint-forged"] {
        fails(&world, &format!("verify oci:vectors/layouts/{case}:v1 {flags}"), 3);
    }
    // Without any entry, too; and by another key with an entry of its own.
    fails(&world, &format!("verify oci:vectors/layouts/bundle-key:v1 {flags}"), 3);
    let other = flags.replace("p256.pub", "other.pub");
    fails(&world, &format!("verify oci:vectors/layouts/bundle-key-tlog:v1 {other}"), 3);
}

#[test]
fn s10_parts_that_hold_alone_do_not_hold_together() {
    let world = world();
    let root = "--trusted-root vectors/trust/trusted_root.json";
    fails(&world, &format!("verify oci:vectors/layouts/keyless-tlog-swapped:v1 {KEYLESS}"), 3);
    let timestamped = format!("{BY_KEY} --use-signed-timestamps {root}");
    fails(&world, &format!("verify oci:vectors/layouts/timestamp-of-another-signature:v1 {timestamped}"), 3);
    // Parts of files' bundles, exchanged.
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(vector("files").join(format!("{name}.sigstore.json"))).unwrap()).unwrap()
    };
    let (plain, logged, stamped, keyless) = (read("key"), read("key-tlog"), read("key-tsa"), read("keyless"));
    let tlog = format!("{BY_KEY} --require-tlog {root}");
    for (name, mut base, from, part, flags, code) in [
        ("log of another", plain.clone(), &logged, "/verificationMaterial/tlogEntries", tlog.as_str(), 3),
        (
            "time of another",
            plain.clone(),
            &stamped,
            "/verificationMaterial/timestampVerificationData",
            &timestamped,
            3,
        ),
        ("signature of a key", keyless.clone(), &plain, "/messageSignature", KEYLESS, 3),
        ("log of a key", keyless.clone(), &logged, "/verificationMaterial/tlogEntries", KEYLESS, 3),
        ("certificate, key's signature", logged.clone(), &keyless, "/verificationMaterial", KEYLESS, 3),
        ("key's signature with a certificate", plain.clone(), &keyless, "/verificationMaterial", BY_KEY, 3),
    ] {
        let (parent, key) = part.rsplit_once('/').unwrap();
        base.pointer_mut(parent).unwrap()[key] = from.pointer(part).unwrap().clone();
        world.write("b.json", &base.to_string());
        let line = format!("verify --file vectors/files/file.txt --bundle b.json {flags}");
        let said = world.run(&line);
        assert_eq!(said.code, code, "{name}: {}{}", said.stdout, said.stderr);
        fails(&world, &line, code);
    }
}

#[tokio::test]
async fn s11_only_a_statement_about_this_artifact_is_a_signature_of_it() {
    let signer = key("p256.key");
    let made = Made::new().await;
    let text = statement(&made.subject.digest).to_string();
    let other = Digest::of(b"x");
    for payload_type in
        ["application/vnd.in-toto", "application/vnd.in-toto+json ", "APPLICATION/VND.IN-TOTO+JSON", "", "text/plain"]
    {
        let made = Made::new().await;
        let signature = signer.sign(&pre_authentication(payload_type, text.as_bytes())).unwrap();
        made.bundle(&bundle_with(text.as_bytes(), payload_type, &signature)).await;
        made.fails(BY_KEY, 3);
    }
    // The signature covers the payload's type.
    let signature = signer.sign(&pre_authentication("text/plain", text.as_bytes())).unwrap();
    made.bundle(&bundle_with(text.as_bytes(), IN_TOTO, &signature)).await;
    // And it is one of the encoding, not of the payload.
    made.bundle(&bundle_with(text.as_bytes(), IN_TOTO, &signer.sign(text.as_bytes()).unwrap())).await;
    let subject = |digests: Value| {
        let mut wrong = statement(&other);
        wrong["subject"] = digests;
        wrong.to_string()
    };
    let hex = made.subject.digest.hex();
    for wrong in [
        subject(json!([])),
        subject(json!([{"digest": {"sha256": other.hex()}}])),
        subject(json!([{"digest": {"sha512": hex}}])),
        subject(json!([{"digest": {"sha256": hex.to_uppercase()}}])),
        subject(json!([{"digest": {"SHA256": hex}}])),
        subject(json!([{"digest": {}, "name": format!("sha256:{hex}")}])),
        subject(json!(vec![json!({"digest": {"sha256": hex}}); 65])),
        text.replace("\"subject\":", "\"subject\":[],\"subject\":"),
        text.replace("\"subject\":", "\"Subject\":[],\"subject\":"),
        text.replace("Statement/v1", "Statement/v2"),
    ] {
        made.bundle(&bundle(&signer, wrong.as_bytes())).await;
    }
    made.fails(BY_KEY, 3);
    // Another digest first is another artifact that was signed along.
    let both = subject(json!([{"digest": {"sha256": other.hex()}}, {"digest": {"sha256": hex}}]));
    made.bundle(&bundle(&signer, both.as_bytes())).await;
    made.holds(BY_KEY);
}

#[tokio::test]
async fn s12_a_payload_that_does_not_parse_is_no_signature() {
    let signer = key("p256.key");
    let deep = "[".repeat(100_000);
    for wrong in ["", "{", "null", "[]", "\"x\"", "{}", "\u{0}", deep.as_str(), "{\"critical\":{}}", "\u{1b}[31m"] {
        let made = Made::new().await;
        made.legacy(&[legacy(&signer, wrong.as_bytes())]).await;
        made.fails(BY_KEY, 3);
        let made = Made::new().await;
        made.bundle(&bundle(&signer, wrong.as_bytes())).await;
        made.fails(BY_KEY, 3);
        let made = Made::new().await;
        made.bundle_bytes(Bytes::copy_from_slice(wrong.as_bytes())).await;
        made.fails(BY_KEY, 3);
    }
    let made = Made::new().await;
    made.bundle_bytes(Bytes::from_static(b"\xff\xfe{\x00}\x00")).await;
    made.fails(BY_KEY, 3);
}

#[tokio::test]
async fn s14_one_key_in_two_spellings_is_one_signer() {
    let made = Made::new().await;
    let signer = key("p256.key");
    let text = statement(&made.subject.digest).to_string();
    // Twice in one format, and in the other.
    made.bundle(&bundle(&signer, text.as_bytes())).await;
    made.bundle(&bundle(&signer, text.replace("\"predicate\":{}", "\"predicate\":{\"n\":2}").as_bytes())).await;
    made.legacy(&[legacy(&signer, payload(&made.subject.digest).to_string().as_bytes())]).await;
    let pem = fs::read_to_string(vector("keys/p256.pub")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let spellings = [
        format!("# the same\n{pem}\n"),
        format!("-----BEGIN PUBLIC KEY-----\r\n{body}\r\n-----END PUBLIC KEY-----\r\n"),
    ];
    for (n, spelling) in spellings.iter().enumerate() {
        made.world.write(&format!("same-{n}.pub"), spelling);
        made.holds(&format!("--key same-{n}.pub"));
        made.fails(&format!("{BY_KEY} --key same-{n}.pub --min 2"), 2);
        made.fails(&format!("{BY_KEY} --key same-{n}.pub --key {OTHER_PUB} --min 2"), 3);
    }
    // A point in its short form, and an algorithm without its parameters, are no further spellings.
    let der = STANDARD.decode(&body).unwrap();
    let mut short = der[..der.len() - 64].to_vec();
    let last = short.len() - 1;
    short[last] = 2 + (der[der.len() - 1] & 1);
    short.extend(&der[der.len() - 64..der.len() - 32]);
    (short[1], short[24]) = (0x39, 0x22);
    let short = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(short));
    made.world.write("short.pub", &short);
    made.fails("--key short.pub", 2);
    made.bundle(&bundle(&key("p256-from-sec1.key"), text.as_bytes())).await;
    made.holds(&format!("{BY_KEY} --key {OTHER_PUB} --min 2"));
}

/// A pipe that nobody reads, a full disk, and too little memory: never success, and never the word.
#[tokio::test]
async fn s18_who_could_not_say_it_did_not_verify_it() {
    let made = Made::new().await;
    let world = &made.world;
    made.fails(BY_KEY, 6);
    for place in ["unsigned", "signed"] {
        if place == "signed" {
            world.ok(&format!("sign oci:layout:v1 --key {KEY} --sign-container-identity r.example/app"));
            world.write("predicate", "{}");
            world.ok(&format!("attest oci:layout:v1 --key {KEY} --predicate predicate --type https://x.example/v1"));
        }
        for format in ["", "--format json"] {
            for key in [BY_KEY, "--key vectors/keys/other.pub"] {
                let line = format!("verify oci:layout:v1 {key} {format}");
                // Nobody reads.
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                let out = world.command(&line).stdout(writer).stderr(Stdio::piped()).output().unwrap();
                let silent = place == "unsigned" || key != BY_KEY;
                assert_ne!(out.status.code(), Some(0), "{line}");
                assert!(!silent || format.len() > 1 || out.status.code() != Some(1), "{line}: {out:?}");
                assert!(!String::from_utf8_lossy(&out.stderr).contains("verified"), "{line}");
                // Nothing can be written.
                let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
                let out = world.command(&line).stdout(full).stderr(Stdio::piped()).output().unwrap();
                assert!(!matches!(out.status.code(), Some(0)), "{line}: {out:?}");
                assert!(!String::from_utf8_lossy(&out.stderr).contains("verified"), "{line}");
            }
        }
    }
    for output in ["--predicate-output", "--statement-output"] {
        let line = format!("verify oci:layout:v1 {BY_KEY} --type https://x.example/v1 {output}");
        fails(world, &format!("{line} /dev/full"), 1);
        fails(world, &format!("{line} none/file"), 4);
    }
}

/// The limit of memory starts where the program cannot even start, and ends where it can verify.
#[tokio::test]
async fn s18_without_memory_nothing_is_verified() {
    let made = Made::new().await;
    made.world.ok(&format!("sign oci:layout:v1 --key {KEY} --sign-container-identity r.example/app"));
    let mut ended = Vec::new();
    for kib in (10_000..400_000).step_by(30_000) {
        let mut command = Command::new("sh");
        let line = format!("ulimit -v {kib}; exec \"$0\" verify oci:layout:v1 {BY_KEY}");
        command
            .args(["-c", &line, env!("CARGO_BIN_EXE_artifact")])
            .arg0("sh")
            .current_dir(made.world.path())
            .env_clear();
        let out = command.env("HOME", made.world.path()).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).contains(": verified\n");
        assert_eq!(said, out.status.success(), "{kib}: {out:?}");
        ended.push(out.status.success());
    }
    assert!(ended.contains(&false), "{ended:?}");
}

#[test]
fn s19_a_pattern_fits_a_whole_name_and_no_part_of_it() {
    let world = world();
    let verify = |identity: &str, issuer: &str| {
        format!(
            "verify oci:vectors/layouts/bundle-keyless:v1 --trusted-root vectors/trust/trusted_root.json \
             --certificate-identity-regexp {identity} --certificate-oidc-issuer-regexp {issuer}"
        )
    };
    const ISSUER: &str = "https://issuer\\.vectors\\.example";
    for identity in [
        "signer",
        "vectors.example",
        "signer@vectors",
        "igner@vectors.example",
        "a|b",
        "signer|x@vectors.example",
        "",
        "(?m)^x$|signer",
        ".*@vectors",
    ] {
        if !identity.is_empty() {
            fails(&world, &verify(identity, ISSUER), 3);
        }
    }
    for issuer in ["issuer", "https://issuer", "https://issuer.vectors.exampl"] {
        fails(&world, &verify("signer@vectors\\.example", issuer), 3);
    }
    for identity in
        ["signer@vectors\\.example", ".*@vectors\\.example", "x|signer@vectors\\.example", "^signer@vectors.example$"]
    {
        world.ok(&verify(identity, ISSUER));
    }
}

/// The two numbers of an ECDSA signature, and the signature with two numbers, each 32 bytes.
fn numbers(der: &[u8]) -> [Vec<u8>; 2] {
    let padded = |bytes: &[u8]| {
        let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        [vec![0; 32 - bytes.len()], bytes.to_vec()].concat()
    };
    let first = usize::from(der[3]);
    [padded(&der[4..4 + first]), padded(&der[6 + first..])]
}

fn der(numbers: [&[u8]; 2]) -> Vec<u8> {
    let integers: Vec<u8> = numbers
        .iter()
        .flat_map(|number| {
            let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len().saturating_sub(1));
            let digits = &number[start..];
            let sign = digits.first().is_some_and(|first| *first >= 0x80);
            let content = if sign { [&[0], digits].concat() } else { digits.to_vec() };
            [vec![2, u8::try_from(content.len()).unwrap()], content].concat()
        })
        .collect();
    [vec![0x30, u8::try_from(integers.len()).unwrap()], integers].concat()
}

/// `a - b`, big-endian.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut out: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let left = i16::from(*a) - i16::from(*b) - borrow;
            borrow = i16::from(left < 0);
            left.rem_euclid(256).to_le_bytes()[0]
        })
        .collect();
    out.reverse();
    out
}

const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[tokio::test]
async fn s20_a_signature_in_another_spelling_does_not_hold() {
    let signer = key("p256.key");
    let digest = Made::new().await.subject.digest.clone();
    let (text, legacy_text) = (statement(&digest).to_string(), payload(&digest).to_string());
    let signatures = [
        signer.sign(&pre_authentication(IN_TOTO, text.as_bytes())).unwrap(),
        signer.sign(legacy_text.as_bytes()).unwrap(),
    ];
    let change = |signature: &[u8]| {
        let [r, s] = numbers(signature);
        assert_eq!(der([&r, &s]), signature, "our own reader of DER");
        let zero = [0; 32];
        let mut longer = signature.to_vec();
        longer.push(0);
        let mut inside = longer.clone();
        inside[1] += 1;
        let mut long_form = signature.to_vec();
        long_form.splice(1..2, [0x81, signature[1]]);
        let mut padded = signature.to_vec();
        padded.splice(2..4, [2, signature[3] + 1, 0]);
        padded[1] += 1;
        let over = |number: &[u8]| {
            let mut carry = 0;
            let mut sum: Vec<u8> = number
                .iter()
                .zip(ORDER)
                .rev()
                .map(|(a, b)| {
                    let all = u16::from(*a) + u16::from(b) + carry;
                    carry = all >> 8;
                    all.to_le_bytes()[0]
                })
                .collect();
            sum.push(u8::try_from(carry).unwrap());
            sum.reverse();
            sum
        };
        vec![
            longer,
            inside,
            long_form,
            padded,
            [r.clone(), s.clone()].concat(),
            der([&zero, &s]),
            der([&r, &zero]),
            der([&zero, &zero]),
            der([&over(&r), &s]),
            der([&r, &over(&s)]),
            der([&ORDER, &s]),
            der([&s, &r]),
            Vec::new(),
            vec![0x30, 0],
            signature[..signature.len() - 1].to_vec(),
        ]
    };
    let made = Made::new().await;
    for wrong in change(&signatures[0]) {
        made.bundle(&bundle_with(text.as_bytes(), IN_TOTO, &wrong)).await;
    }
    let layers: Vec<_> =
        change(&signatures[1]).iter().map(|wrong| legacy_with(legacy_text.as_bytes(), wrong)).collect();
    made.legacy(&layers).await;
    let ran = made.fails(BY_KEY, 3);
    assert_eq!(ran.stderr.matches("does not count").count(), 2 * change(&signatures[0]).len(), "{}", ran.stderr);
    // (r, n - s) is a signature by whoever has the key of what was signed: it holds, and it is nobody else's.
    let [r, s] = numbers(&signatures[0]);
    let mirrored = der([&r, &minus(&ORDER, &s)]);
    made.bundle(&bundle_with(text.as_bytes(), IN_TOTO, &mirrored)).await;
    made.bundle(&bundle_with(text.as_bytes(), IN_TOTO, &signatures[0])).await;
    made.fails(&format!("{BY_KEY} --key {OTHER_PUB} --min 2"), 3);
}

#[tokio::test]
async fn s20_keys_off_their_curve_and_of_small_order_are_none() {
    let made = Made::new().await;
    made.world.ok(&format!("sign oci:layout:v1 --key {KEY}"));
    let pem = fs::read_to_string(vector("keys/p256.pub")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut point = STANDARD.decode(body).unwrap();
    let armoured =
        |der: &[u8]| format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let last = point.len() - 1;
    point[last] ^= 1;
    let prefix = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let small = |first: u8, rest: u8, end: u8| [&prefix[..], &[first], &[rest; 30], &[end]].concat();
    for wrong in [
        point,
        small(0, 0, 0),
        small(1, 0, 0),
        small(1, 0, 0x80),
        small(0xec, 0xff, 0x7f),
        small(0xed, 0xff, 0x7f),
        small(0xee, 0xff, 0xff),
    ] {
        made.world.write("wrong.pub", &armoured(&wrong));
        made.fails("--key wrong.pub", 2);
    }
    // A number that is too large by the order of the group.
    let signer = key("ed25519.key");
    let text = statement(&made.subject.digest).to_string();
    let mut signature = signer.sign(&pre_authentication(IN_TOTO, text.as_bytes())).unwrap();
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let right = bundle_with(text.as_bytes(), IN_TOTO, &signature);
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let all = u16::from(*byte) + add + carry;
        (*byte, carry) = (all.to_le_bytes()[0], all >> 8);
    }
    made.bundle(&bundle_with(text.as_bytes(), IN_TOTO, &signature)).await;
    made.fails("--key vectors/keys/ed25519.pub", 3);
    made.bundle(&right).await;
    made.holds("--key vectors/keys/ed25519.pub");
}

#[test]
fn s21_key_files_that_harm_or_are_no_keys_are_refused_at_once() {
    let world = world();
    let begun = Instant::now();
    for (name, words) in [
        ("refuse-n2-30.key", "N = 1073741824"),
        ("refuse-two-keys.key", "several keys"),
        ("refuse-pkcs8-encrypted.pem", "PKCS#8"),
        ("refuse-rsa1024.pem", ""),
    ] {
        let line = format!("sign --file talk/1.png --key vectors/keys/{name}");
        let out = ran(world.command(&line).env("COSIGN_PASSWORD", "test-vectors").output().unwrap());
        assert_eq!((out.code, out.stdout.as_str()), (2, ""), "{name}: {}", out.stderr);
        assert!(out.stderr.contains(words) && !out.stderr.contains("verified"), "{name}: {}", out.stderr);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // One that is open to others, or not encrypted, is used, with one warning.
    let warned = |line: &str| {
        let out = ran(world.command(line).env("COSIGN_PASSWORD", "test-vectors").output().unwrap());
        assert_eq!(out.code, 0, "{line}: {}", out.stderr);
        out.stderr.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    fs::copy(vector("keys/p256.key"), world.path().join("mine.key")).unwrap();
    for (mode, count) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o644, 1)] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(world.path().join("mine.key"), fs::Permissions::from_mode(mode)).unwrap();
        let warnings = warned("sign --file talk/1.png --key mine.key");
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|line| line.contains("other users can read")), "{warnings:?}");
    }
    let plain = warned(&format!("sign --file talk/1.png --key {KEY}"));
    assert!(plain.len() == 1 && plain[0].contains("not encrypted"), "{plain:?}");
    // A key is no argument.
    let text = "-----BEGIN PRIVATE KEY-----";
    let out = ran(world.command("sign --file talk/1.png --key").arg(text).output().unwrap());
    assert_eq!(out.code, 2, "{}", out.stderr);
}

#[tokio::test]
async fn s22_an_index_that_is_signed_says_nothing_about_a_member_that_was_replaced() {
    let made = Made::new().await;
    let members = [Sample::of(&[b"one"]), Sample::of(&[b"two"])];
    let index = Sample::index(&members);
    deliver(&made.store, &index, &["all"]).await.unwrap();
    made.world.ok(&format!("sign oci:layout:all --key {KEY} --recursive"));
    made.world.ok(&format!("verify oci:layout:all {BY_KEY} --recursive"));
    // The bytes of a member are others.
    let blobs = made.world.path().join("layout/blobs/sha256");
    let (member, bytes) = &members[1].manifests[0];
    fs::write(blobs.join(member.digest.hex()), String::from_utf8_lossy(bytes).replace("sample", "simple")).unwrap();
    let there = format!("oci:layout@{}", member.digest);
    let ran = made.world.run(&format!("pull {there} pulled"));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    fs::write(blobs.join(member.digest.hex()), bytes).unwrap();
    // The index names another member: it is another index.
    let evil = Sample::index(&[members[0].clone(), Sample::of(&[b"evil"])]);
    deliver(&made.store, &evil, &["all"]).await.unwrap();
    fails(&made.world, &format!("verify oci:layout:all {BY_KEY}"), 6);
    // Signed as a whole, a member that nobody signed is found with `--recursive` alone.
    made.world.ok(&format!("sign oci:layout:all --key {KEY}"));
    fails(&made.world, &format!("verify oci:layout:all {BY_KEY} --recursive"), 6);
    let evil = &evil.manifests[1].0.digest;
    fails(&made.world, &format!("verify oci:layout@{evil} {BY_KEY}"), 6);
}

/// The list of the registry is one thing, the list under a tag another; both are read where the registry has none.
#[test]
fn s23_signatures_are_found_under_the_fallback_tag_and_in_the_list() {
    let world = world();
    let without = "faults: [{on: GET referrers, nth: all, refuse: {status: 404}}, \
        {on: PUT manifest, nth: all, change: {headers: {oci-subject: null}}}]";
    world.write("old.yaml", without);
    for flags in ["--writable --faults old.yaml", "--writable"] {
        let registry = Served::start(&world, flags);
        let place = format!("{}/app", registry.addr);
        let digest = pushed(&world, &format!("{place}:v1"));
        world.ok(&format!("sign {place}:v1 --key {KEY} --signature-format bundle"));
        world.ok(&format!("verify {place}:v1 {BY_KEY}"));
        fails(&world, &format!("verify {place}:v1 --key {OTHER_PUB}"), 3);
        world.ok(&format!("sign {place}:v1 --key {OTHER_KEY} --signature-format legacy"));
        // One format each, and both are read.
        world.ok(&format!("verify {place}:v1 {BY_KEY} --key {OTHER_PUB} --min 2"));
        let counts = (bundles(&world, &place, &digest).len(), legacy_layers(&world, &place, &digest).len());
        assert_eq!(counts, (1, 1), "{flags}");
        let fallback = world.run(&format!("manifest get {place}:{}", digest.replace(':', "-")));
        assert_eq!(fallback.code == 0, flags.contains("old"), "{flags}: {}", fallback.stderr);
        // A tag in place of the list that lists what is about something else adds nothing.
        let stranger = world.ok(&format!("push talk/1.png {place}:other -q")).trim().to_owned();
        world.ok(&format!("sign {place}:other --key vectors/keys/rsa2048.pkcs1.pem --signature-format bundle"));
        let listed = bundles(&world, &place, &stranger);
        let size = world.ok(&format!("manifest get {place}@{}", listed[0]["digest"].as_str().unwrap())).len();
        let list = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [{
            "mediaType": media_type::MANIFEST, "digest": listed[0]["digest"], "size": size, "artifactType": BUNDLE,
        }]});
        world.write("list.json", &list.to_string());
        world.ok(&format!("manifest push {place}:{} list.json", digest.replace(':', "-")));
        let registry_again = format!("verify {place}:v1 --key vectors/keys/rsa2048.pub");
        // The legacy signature is still there, and is not by this key.
        fails(&world, &registry_again, 3);
    }
}
