//! A credential file itself, and reading it.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Kind, Result},
    fs,
};

/// Largest credential file, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// The content of a credential file.
pub(super) type Config = Map<String, Value>;

/// Reads a credential file; `None` if there is none. Messages never quote its content.
pub(super) fn read(path: &Path) -> Result<Option<Config>> {
    bytes(path)?.map(|bytes| parse(&bytes, path)).transpose()
}

/// Whether users other than the owner may read it.
pub(super) fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o044 != 0)
}

/// The bytes of a credential file; `None` if there is none.
pub(super) fn bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read_regular(path, MAX_CONFIG) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Parses the content of a credential file. Messages never quote it.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Config> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Error::invalid(format!("`{}` is not a JSON object", path.display()))),
        Err(e) => {
            let place = format!("line {} column {}", e.line(), e.column());
            Err(Error::invalid(format!("`{}` is malformed JSON at {place}", path.display())))
        }
    }
}
