//! Private keys: they sign.

use std::path::Path;

use aws_lc_rs::{
    digest::{self, Context},
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    },
};
use zeroize::Zeroizing;

use super::{
    Algorithm, MAX_FILE, PublicKey,
    container::{self, LABELS},
    file,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    fs,
};

/// The curves, with how they sign.
const CURVES: [(Algorithm, &EcdsaSigningAlgorithm); 3] = [
    (Algorithm::P256, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (Algorithm::P384, &ECDSA_P384_SHA384_ASN1_SIGNING),
    (Algorithm::P521, &ECDSA_P521_SHA512_ASN1_SIGNING),
];

/// A private key. It is in no message: it cannot be printed, and its memory is wiped.
#[allow(missing_debug_implementations)]
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
    was_encrypted: bool,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// A new key: ECDSA on P-256, which every reader has.
    pub fn generate() -> Result<Self> {
        let failed = |_| Error::new(Kind::Internal, "no key can be generated");
        Self::of(Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?), Algorithm::P256)
    }

    /// Reads a key file: see [`PrivateKey::from_pem`].
    pub fn read(path: &Path, password: &dyn Fn() -> Result<Zeroizing<String>>) -> Result<Self> {
        let what = || format!("read the key `{}`", path.display());
        let text = Zeroizing::new(fs::read(path, MAX_FILE).map_err(Error::of_configuration).context(what)?);
        Self::from_pem(&text, password).context(what)
    }

    /// Reads one PEM block: cosign's encrypted form, or PKCS#8, SEC1 or PKCS#1 without encryption. `password` is asked only
    /// for the first, which takes a third of a second and up to 128 MiB.
    ///
    /// Errors: kind `Misuse` for anything else, several keys, and parameters that cosign does not have; code `PasswordWrong`;
    /// those of `password`.
    pub fn from_pem(text: &[u8], password: &dyn Fn() -> Result<Zeroizing<String>>) -> Result<Self> {
        let block = file::only_block(text)?;
        let tag = block.tag().to_owned();
        // The block is made to be wiped.
        let content = Zeroizing::new(block.into_contents());
        match tag.as_str() {
            tag if LABELS.contains(&tag) => {
                let plain = container::open(&content, password()?.as_bytes())?;
                let key = Self::from_pkcs8(&plain)
                    .ok_or_else(|| Error::misuse("what is encrypted here is no key in PKCS#8"))?;
                Ok(Self { was_encrypted: true, ..key })
            }
            "PRIVATE KEY" => Self::from_pkcs8(&content).ok_or_else(|| unreadable("PKCS#8")),
            "EC PRIVATE KEY" => Self::from_sec1(&content).ok_or_else(|| unreadable("SEC1")),
            "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&content)
                .ok()
                .and_then(|pair| Self::of(Pair::Rsa(pair), Algorithm::Rsa).ok())
                .ok_or_else(|| unreadable("PKCS#1")),
            "ENCRYPTED PRIVATE KEY" => Err(Error::misuse(
                "this key is encrypted as PKCS#8 does it; decrypt it (`openssl pkcs8 -in KEY`) and import the result",
            )),
            "PUBLIC KEY" => Err(Error::misuse("this is a public key; a private key belongs here")),
            "OPENSSH PRIVATE KEY" => Err(Error::misuse("this is a key of OpenSSH, which is not read")),
            tag => Err(Error::misuse(format!("this is a PEM block `{tag}`, and no private key of a known form"))),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Self::of(Pair::Ed25519(pair), Algorithm::Ed25519).ok();
        }
        let curve = CURVES.iter().find_map(|(algorithm, signing)| {
            EcdsaKeyPair::from_pkcs8(signing, der).ok().map(|pair| (Pair::Ecdsa(pair), *algorithm))
        });
        let found = curve.or_else(|| rsa::KeyPair::from_pkcs8(der).ok().map(|pair| (Pair::Rsa(pair), Algorithm::Rsa)));
        found.and_then(|(pair, algorithm)| Self::of(pair, algorithm).ok())
    }

    fn from_sec1(der: &[u8]) -> Option<Self> {
        CURVES.iter().find_map(|(algorithm, signing)| {
            let pair = EcdsaKeyPair::from_private_key_der(signing, der).ok()?;
            Self::of(Pair::Ecdsa(pair), *algorithm).ok()
        })
    }

    fn of(pair: Pair, algorithm: Algorithm) -> Result<Self> {
        let public = match &pair {
            Pair::Ecdsa(pair) => PublicKey::of_point(algorithm, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => PublicKey::of_point(algorithm, pair.public_key().as_ref()),
            Pair::Rsa(pair) => {
                let der = pair.public_key().as_der().map_err(|_| Error::misuse("this is no valid RSA key"))?;
                PublicKey::from_der(der.as_ref())
            }
        }?;
        Ok(Self { pair, public, was_encrypted: false })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// True if the file was encrypted.
    #[must_use]
    pub fn was_encrypted(&self) -> bool {
        self.was_encrypted
    }

    /// The key in cosign's encrypted form. Takes a third of a second and 64 MiB.
    pub fn to_encrypted_pem(&self, password: &str) -> Result<String> {
        let failed = |_| Error::new(Kind::Internal, "the key cannot be encoded");
        let sealed = match &self.pair {
            Pair::Ecdsa(pair) => container::seal(pair.to_pkcs8v1().map_err(failed)?.as_ref(), password.as_bytes()),
            Pair::Ed25519(pair) => container::seal(pair.to_pkcs8v1().map_err(failed)?.as_ref(), password.as_bytes()),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                container::seal(der.as_ref(), password.as_bytes())
            }
        }?;
        Ok(file::armour(LABELS[0], &sealed))
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.pair {
            Pair::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|made| made.as_ref().to_vec()).map_err(unsigned)
            }
            Pair::Ed25519(pair) => pair.try_sign(message).map(|made| made.as_ref().to_vec()).map_err(unsigned),
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut made).map_err(unsigned)?;
                Ok(made)
            }
        }
    }

    /// The hash that [`PrivateKey::sign_hashed`] takes; `None` for Ed25519, which needs the message.
    #[must_use]
    pub fn hash(&self) -> Option<Context> {
        self.public.hashes().into_iter().next()
    }

    /// Signs the message with this hash. Errors: kind `Internal` for another hash than [`PrivateKey::hash`] computes.
    pub fn sign_hashed(&self, hash: &digest::Digest) -> Result<Vec<u8>> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign_digest(hash).map(|made| made.as_ref().to_vec()).map_err(unsigned),
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, hash, &mut made).map_err(unsigned)?;
                Ok(made)
            }
            Pair::Ed25519(_) => Err(Error::new(Kind::Internal, "Ed25519 signs whole messages")),
        }
    }
}

fn unsigned(_: aws_lc_rs::error::Unspecified) -> Error {
    Error::new(Kind::Internal, "the key does not sign")
}

fn unreadable(form: &str) -> Error {
    Error::misuse(format!(
        "this is no key in {form}, or of no known algorithm: ECDSA on P-256, P-384 or P-521, RSA with at least 2048 bits, Ed25519"
    ))
}
