//! Legacy signatures, verified by openssl, which knows nothing of cosign.

use std::{path::Path, process::Command};

use artifact::oci::Digest;

use crate::{
    harness::{Test, tests},
    support::{
        peer,
        program::World,
        run,
        signing::{KEYS, cases, layout_of, legacy, signing, vector},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![["openssl"] single openssl_verifies_the_legacy_signatures_that_we_make;]
}

/// The artifact in the vectors.
fn subject() -> Digest {
    cases()[0].subject.parse().unwrap()
}

/// True if openssl verifies this signature of this payload.
fn verifies(world: &World, key: &Path, algorithm: &str, payload: &[u8], signature: &[u8]) -> bool {
    let (file, sig) = (world.path().join("payload"), world.path().join("signature"));
    std::fs::write(&file, payload).unwrap();
    std::fs::write(&sig, signature).unwrap();
    let mut command = Command::new(peer("openssl"));
    match algorithm {
        "ed25519" => command
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(key)
            .arg("-sigfile")
            .arg(sig)
            .arg("-in"),
        _ => {
            let hash = match algorithm {
                "p384" => "-sha384",
                "p521" => "-sha512",
                _ => "-sha256",
            };
            command.args(["dgst", hash, "-verify"]).arg(key).arg("-signature").arg(sig)
        }
    };
    command.arg(file).output().unwrap().status.success()
}

async fn openssl_verifies_the_legacy_signatures_that_we_make() {
    let world = World::new();
    run(&mut signing(&world, "keygen mine"));
    let name = "registry.example/team/app";
    for key in KEYS.into_iter().chain(["mine"]) {
        layout_of("unsigned", &world.path().join(key));
        let pair = if key == "mine" { world.path().join("mine") } else { vector(&format!("keys/{key}")) };
        let (private, public) = (pair.with_extension("key"), pair.with_extension("pub"));
        let line = format!("sign oci:{key}:v1 --signature-format legacy --sign-container-identity {name}");
        run(&mut signing(&world, &format!("{line} -a team=red --key {}", private.display())));
        let (payload, signature) = legacy(&world.path().join(key)).await;
        assert!(verifies(&world, &public, key, &payload, &signature), "{key}");
        assert!(!verifies(&world, &public, key, &payload[1..], &signature), "{key}");
        let other = vector("keys/other.pub");
        assert!(!verifies(&world, &other, "p256", &payload, &signature), "{key}");
        let text = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":{{"team":"red"}}}}"#,
            subject()
        );
        assert_eq!(String::from_utf8_lossy(&payload), text);
    }
}
