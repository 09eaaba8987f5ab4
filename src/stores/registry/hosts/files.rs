//! Files named in a configuration.

use std::path::Path;

use crate::{
    error::{Context as _, Kind, Result},
    fs,
    stores::registry::net::certificates::{ClientCertificate, check_roots},
};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read_regular(path, MAX_FILE)
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<String>> {
    match read(path) {
        Ok(bytes) => fs::text(bytes, path).map(Some),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Reads a file of trusted certificates. Errors: also a file that holds none.
pub(super) fn roots(path: &Path) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    check_roots(&bytes).context(|| format!("`{}`", path.display()))?;
    Ok(bytes)
}

/// Reads a certificate and its key from two files.
pub(super) fn certificate(certificate: &Path, key: &Path) -> Result<ClientCertificate> {
    let both = || format!("`{}` and `{}`", certificate.display(), key.display());
    ClientCertificate::from_pem(&read(certificate)?, &read(key)?).context(both)
}
