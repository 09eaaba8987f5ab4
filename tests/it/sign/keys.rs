//! Key files: those of other programs, and those that must be refused.

use artifact::{
    Code, Kind,
    sign::{PrivateKey, PublicKey, key::Algorithm},
};
use zeroize::Zeroizing;

use crate::support::signing::vector;

fn read(name: &str, password: &'static str) -> artifact::Result<PrivateKey> {
    PrivateKey::read(&vector("keys").join(name), &move || Ok(Zeroizing::new(password.to_owned())))
}

fn public(name: &str) -> PublicKey {
    PublicKey::read(&vector("keys").join(name)).unwrap()
}

fn password(name: &str) -> &'static str {
    match name {
        "p256-empty-password.key" => "",
        "variant-password-utf8.key" => "pässwörd",
        _ => "test-vectors",
    }
}

#[test]
fn every_key_file_is_read_or_refused_as_its_name_says() {
    let mut read_at_all = 0;
    for entry in std::fs::read_dir(vector("keys")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let failed = match name.ends_with(".pub") {
            true => PublicKey::read(&vector("keys").join(&name)).err(),
            false => read(&name, password(&name)).err(),
        };
        assert_eq!(failed.is_some(), name.starts_with("refuse-"), "{name}: {failed:?}");
        assert!(failed.is_none_or(|e| e.kind() == Kind::Misuse), "{name}");
        read_at_all += 1;
    }
    assert!(read_at_all >= 50, "{read_at_all}");
}

#[test]
fn the_two_halves_of_a_pair_belong_together_in_every_spelling() {
    for (private, pair) in [
        ("p256.key", "p256.pub"),
        ("p256.pkcs8.pem", "p256.pub"),
        ("p256.sec1.pem", "p256-from-sec1.pub"),
        ("variant-crlf.key", "p256.pub"),
        ("variant-label-cosign.key", "p256.pub"),
        ("variant-n32768.key", "p256.pub"),
        ("variant-n131072.key", "p256.pub"),
        ("variant-password-utf8.key", "p256.pub"),
        ("variant-text-before.key", "p256.pub"),
        ("p256-from-sec1.key", "p256-from-sec1.pub"),
        ("p384.key", "p384.pub"),
        ("p521.key", "p521.pub"),
        ("rsa2048.key", "rsa2048.pub"),
        ("rsa2048.pkcs1.pem", "rsa2048.pub"),
        ("ed25519.key", "ed25519.pub"),
    ] {
        let key = read(private, password(private)).unwrap();
        assert_eq!(*key.public(), public(pair), "{private}");
        assert_eq!(key.was_encrypted(), private.ends_with(".key"), "{private}");
        let signature = key.sign(b"message").unwrap();
        assert!(public(pair).verifies(b"message", &signature), "{private}");
        assert!(!public(pair).verifies(b"massage", &signature), "{private}");
        assert!(!public("other.pub").verifies(b"message", &signature), "{private}");
    }
}

#[test]
fn a_wrong_password_is_called_that() {
    let error = read("p256.key", "nonsense").err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Misuse, Some(Code::PasswordWrong)));
    assert_eq!(error.message(), "wrong password");
}

#[test]
fn the_reason_of_a_refusal_names_what_is_wrong() {
    for (name, why) in [
        ("refuse-n2-30.key", "N = 1073741824"),
        ("refuse-two-keys.key", "several keys"),
        ("refuse-pkcs8-encrypted.pem", "encrypted as PKCS#8"),
        ("refuse-nonce-short.key", "nonce"),
        ("refuse-kdf.key", "`scrypt`"),
        ("refuse-sec1-inside.key", "no key in PKCS#8"),
        ("refuse-rsa1024.pub", "1024 bits"),
        ("refuse-private-as-public.pub", "private key"),
        ("refuse-ed25519-small-order.pub", "small order"),
        ("refuse-empty.pub", "no key in this file"),
    ] {
        let path = vector("keys").join(name);
        let error = match name.ends_with(".pub") {
            true => PublicKey::read(&path).unwrap_err(),
            false => read(name, "test-vectors").err().unwrap(),
        };
        assert!(error.to_string().contains(why), "{name}: {error}");
    }
}

#[test]
fn a_new_key_is_read_back_with_its_password_alone() {
    let key = PrivateKey::generate().unwrap();
    assert_eq!(key.public().algorithm(), Algorithm::P256);
    let file = key.to_encrypted_pem("secret").unwrap();
    assert!(file.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "{file}");
    let back = PrivateKey::from_pem(file.as_bytes(), &|| Ok(Zeroizing::new("secret".to_owned()))).unwrap();
    assert_eq!(back.public(), key.public());
    let wrong = PrivateKey::from_pem(file.as_bytes(), &|| Ok(Zeroizing::new("Secret".to_owned())));
    assert_eq!(wrong.err().unwrap().code(), Some(Code::PasswordWrong));
    assert_eq!(PublicKey::from_pem(key.public().to_pem().as_bytes()).unwrap(), *key.public());
}

#[test]
fn a_hash_that_was_computed_before_is_signed_and_verified_as_the_message_is() {
    for name in ["p256.key", "p384.key", "p521.key", "rsa2048.key"] {
        let key = read(name, "test-vectors").unwrap();
        let mut hash = key.hash().unwrap();
        hash.update(b"mess");
        hash.update(b"age");
        let signature = key.sign_hashed(&hash.clone().finish()).unwrap();
        assert!(key.public().verifies(b"message", &signature), "{name}");
        assert!(key.public().verifies_hashed(&[hash.finish()], &signature), "{name}");
    }
    assert!(read("ed25519.key", "test-vectors").unwrap().hash().is_none());
}
