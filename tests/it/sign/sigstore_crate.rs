//! What we write, read by the crate `sigstore`.

use std::path::Path;

use sigstore::crypto::{CosignVerificationKey, Signature, SigningScheme, signing_key::SigStoreKeyPair};

use crate::support::{
    program::World,
    run,
    signing::{KEYS, PASSWORD, layout_of, legacy, signing, vector},
};

fn scheme(key: &str) -> SigningScheme {
    match key {
        "p384" => SigningScheme::ECDSA_P384_SHA384_ASN1,
        "p521" => SigningScheme::ECDSA_P521_SHA512_ASN1,
        "rsa2048" => SigningScheme::RSA_PKCS1_SHA256(2048),
        "ed25519" => SigningScheme::ED25519,
        _ => SigningScheme::ECDSA_P256_SHA256_ASN1,
    }
}

fn same_text(one: &str, other: &str) -> bool {
    one.replace('\r', "").trim_end() == other.replace('\r', "").trim_end()
}

#[test]
fn the_keys_that_keygen_writes_are_read() {
    let world = World::new();
    for key in KEYS.into_iter().chain(["new"]) {
        let import = vector(&format!("keys/{key}.pkcs8.pem"));
        let import = if key == "new" { String::new() } else { format!("--import {}", import.display()) };
        run(&mut signing(&world, &format!("keygen {key} {import}")));
        let read = |end: &str| std::fs::read(world.path().join(format!("{key}.{end}"))).unwrap();
        let pair = SigStoreKeyPair::from_encrypted_pem(&read("key"), PASSWORD.as_bytes());
        let pair = pair.unwrap_or_else(|e| panic!("{key}: {e}"));
        let public = String::from_utf8(read("pub")).unwrap();
        assert!(same_text(&pair.public_key_to_pem().unwrap(), &public), "{key}");
        CosignVerificationKey::from_pem(public.as_bytes(), &scheme(key)).unwrap();
        assert!(SigStoreKeyPair::from_encrypted_pem(&read("key"), b"another").is_err(), "{key}");
    }
}

fn verifies(key: &str, public: &Path, payload: &[u8], signature: &[u8]) -> bool {
    let public = CosignVerificationKey::from_pem(&std::fs::read(public).unwrap(), &scheme(key)).unwrap();
    public.verify_signature(Signature::Raw(signature), payload).is_ok()
}

#[tokio::test]
async fn the_legacy_signatures_that_we_make_are_verified() {
    let world = World::new();
    for key in KEYS {
        layout_of("unsigned", &world.path().join(key));
        let private = vector(&format!("keys/{key}.key"));
        let line = format!("sign oci:{key}:v1 --sign-container-identity registry.example/team/app");
        run(&mut signing(&world, &format!("{line} --key {}", private.display())));
        let (payload, signature) = legacy(&world.path().join(key)).await;
        let public = vector(&format!("keys/{key}.pub"));
        assert!(verifies(key, &public, &payload, &signature), "{key}");
        assert!(!verifies(key, &public, &payload[1..], &signature), "{key}");
        if key == "p256" {
            assert!(!verifies(key, &vector("keys/other.pub"), &payload, &signature));
        }
    }
}
