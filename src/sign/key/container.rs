//! cosign's encrypted key files: JSON with a key of scrypt and a box of NaCl around PKCS#8.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_secretbox::{
    Key, KeyInit as _, Nonce, XSalsa20Poly1305,
    aead::{Aead as _, generic_array::typenum::Unsigned as _},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Kind, Result};

/// The label of these files, and the one of older versions.
pub(super) const LABELS: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

/// The costs (N) that cosign has written or accepts: 32 MiB, 64 MiB and 128 MiB of memory. Others are refused before
/// anything is allocated.
const COSTS: [u64; 3] = [1 << 15, 1 << 16, 1 << 17];
/// The cost of new files, as cosign writes it.
const COST: u64 = 1 << 16;
const BLOCK_SIZE: u32 = 8;
const PARALLELISM: u32 = 1;
/// Bytes of a new salt, and the most that are read.
const SALT: usize = 32;
const MAX_SALT: usize = 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Container {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The content of a container. Takes a third of a second and up to 128 MiB.
///
/// Errors: a malformed container; code `PasswordWrong`.
pub(super) fn open(json: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let container: Container =
        serde_json::from_slice(json).map_err(|e| Error::misuse(format!("this encrypted key is malformed: {e}")))?;
    let Container { kdf, cipher, ciphertext } = container;
    if kdf.name != "scrypt" || cipher.name != "nacl/secretbox" {
        let found = format!("`{}` and `{}`", kdf.name, cipher.name);
        return Err(Error::misuse(format!(
            "this key is encrypted with {found}; `scrypt` and `nacl/secretbox` are read"
        )));
    }
    let Params { n, r, p } = kdf.params;
    if !COSTS.contains(&n) || (r, p) != (BLOCK_SIZE, PARALLELISM) {
        let allowed = COSTS.map(|cost| cost.to_string()).join(", ");
        return Err(Error::misuse(format!(
            "this key wants scrypt with N = {n}, r = {r}, p = {p}; N may be {allowed}, with r = {BLOCK_SIZE} and p = {PARALLELISM}"
        )));
    }
    let salt = decode("salt", &kdf.salt)?;
    let nonce = decode("nonce", &cipher.nonce)?;
    let ciphertext = decode("ciphertext", &ciphertext)?;
    if salt.is_empty() || salt.len() > MAX_SALT {
        return Err(Error::misuse(format!("the salt of this key has {} bytes", salt.len())));
    }
    let size = <XSalsa20Poly1305 as crypto_secretbox::aead::AeadCore>::NonceSize::USIZE;
    if nonce.len() != size {
        return Err(Error::misuse(format!("the nonce of this key has {} bytes, not {size}", nonce.len())));
    }
    let plain = cipher_of(password, &salt, n)?.decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice());
    plain.map(Zeroizing::new).map_err(|_| Error::misuse("wrong password").with_code(Code::PasswordWrong))
}

/// A container with this content. Takes a third of a second and 64 MiB.
pub(super) fn seal(plain: &[u8], password: &[u8]) -> Result<Vec<u8>> {
    let mut salt = [0; SALT];
    let mut nonce = Nonce::default();
    random(&mut salt)?;
    random(&mut nonce)?;
    let sealed = cipher_of(password, &salt, COST)?.encrypt(&nonce, plain);
    let sealed = sealed.map_err(|_| Error::new(Kind::Internal, "the key cannot be encrypted"))?;
    let container = Container {
        kdf: Kdf {
            name: "scrypt".into(),
            params: Params { n: COST, r: BLOCK_SIZE, p: PARALLELISM },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".into(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(sealed),
    };
    serde_json::to_vec(&container).map_err(|e| Error::caused(Kind::Internal, "the key cannot be written", e))
}

fn cipher_of(password: &[u8], salt: &[u8], cost: u64) -> Result<XSalsa20Poly1305> {
    let impossible = |_| Error::new(Kind::Internal, "scrypt refuses its parameters");
    let mut key = Zeroizing::new([0; 32]);
    let log = u8::try_from(cost.ilog2()).unwrap_or(u8::MAX);
    let params = scrypt::Params::new(log, BLOCK_SIZE, PARALLELISM, key.len()).map_err(impossible)?;
    let impossible = |_| Error::new(Kind::Internal, "scrypt refuses its parameters");
    scrypt::scrypt(password, salt, &params, key.as_mut_slice()).map_err(impossible)?;
    Ok(XSalsa20Poly1305::new(Key::from_slice(key.as_slice())))
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|e| Error::misuse(format!("the {what} of this key is no base64: {e}")))
}

fn random(bytes: &mut [u8]) -> Result<()> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| Error::new(Kind::Io, "cannot get random numbers"))
}
