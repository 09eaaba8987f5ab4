//! `KEY=VALUE` on the command line.

use std::collections::BTreeMap;

use artifact::{Error, Result};

/// Reads `key=value`.
pub(crate) fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// Pairs by key. Errors: a key given twice, since one value would be lost.
pub(crate) fn distinct(pairs: &[(String, String)], flag: &str, advice: &str) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in pairs {
        if all.insert(key.clone(), value.clone()).is_some() {
            return Err(Error::misuse(format!("`{flag} {key}=…` is given twice{advice}")));
        }
    }
    Ok(all)
}
