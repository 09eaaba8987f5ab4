//! Signatures of files: which hash they are of.

use serde_json::{Value, json};

use crate::support::{
    program::World,
    run,
    signing::{KEYS, signing, vector},
};

/// A world with a file, and its bundle by this key.
fn signed(key: &str) -> (World, Value) {
    let world = World::new();
    world.write("file", "what is signed");
    let private = vector(&format!("keys/{key}.key"));
    run(&mut signing(&world, &format!("sign --file file --key {}", private.display())));
    let bundle = std::fs::read(world.path().join("file.sigstore.json")).unwrap();
    (world, serde_json::from_slice(&bundle).unwrap())
}

fn verify(key: &str) -> String {
    format!("verify --file file --key {}", vector(&format!("keys/{key}.pub")).display())
}

#[test]
fn a_bundle_of_a_file_names_the_hash_that_its_key_signs() {
    for key in KEYS {
        let (world, bundle) = signed(key);
        let hash = match key {
            "p384" => "SHA2_384",
            "p521" => "SHA2_512",
            _ => "SHA2_256",
        };
        assert_eq!(bundle["messageSignature"]["messageDigest"]["algorithm"], hash, "{key}");
        world.ok(&verify(key));
    }
}

#[test]
fn a_bundle_may_name_no_digest_of_its_file_but_not_that_of_another() {
    for key in KEYS {
        let (world, mut bundle) = signed(key);
        let named = bundle["messageSignature"]["messageDigest"].take();
        // As cosign writes it for Ed25519.
        bundle["messageSignature"]["messageDigest"] = json!({});
        world.write("file.sigstore.json", &bundle.to_string());
        world.ok(&verify(key));
        bundle["messageSignature"]["messageDigest"] = json!({ "algorithm": named["algorithm"], "digest": "AAAA" });
        world.write("file.sigstore.json", &bundle.to_string());
        world.fails(&verify(key), 3, &[]);
    }
}

#[test]
fn verify_takes_the_format_by_the_name_that_cosign_has_for_it() {
    let (world, _) = signed("p256");
    for option in ["--output json", "--output=json", "--format json"] {
        let document: Value = serde_json::from_str(&world.ok(&format!("{} {option}", verify("p256")))).unwrap();
        assert_eq!(document["verdict"], "verified", "{option}");
    }
    assert!(world.ok(&format!("{} --output text", verify("p256"))).starts_with("file: verified\n"));
}
