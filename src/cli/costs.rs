//! What a run has cost, for those who measure it: one process, one measurement.

use std::path::Path;

use artifact::{Result, error::Context as _, oci};
use serde_json::json;

/// Writes what this process has cost so far as one JSON document.
pub(crate) fn write(file: &Path) -> Result<()> {
    let costs = json!({ "hashed": oci::hashed() });
    std::fs::write(file, format!("{costs}\n")).context(|| format!("cannot write `{}`", file.display()))
}
