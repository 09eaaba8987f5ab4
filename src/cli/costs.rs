//! The costs of a run, for benchmarks: one process, one measurement.

use std::path::Path;

use artifact::{Result, error::Context as _, oci};
use serde_json::json;

/// Writes the costs of this process so far as a JSON document.
pub(crate) fn write(file: &Path) -> Result<()> {
    let costs = json!({ "hashed": oci::hashed() });
    std::fs::write(file, format!("{costs}\n")).context(|| format!("cannot write `{}`", file.display()))
}
