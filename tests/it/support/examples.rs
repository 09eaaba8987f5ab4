//! The examples of this package, packed.

use std::path::Path;

use artifact::{
    Result,
    pack::{self, Packed},
    plan::Plan,
    source::Source,
    types::{Catalog, Inputs},
};

/// Where this package is.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn plan(source: &Path) -> Result<Plan> {
    let source = Source::open(source)?;
    Catalog::builtin()?.detect(&source)?.plan(&source, &Inputs::default())
}

pub(crate) async fn packed(plan: &Plan) -> Result<Packed> {
    let scratch = tempfile::tempdir()?;
    pack::pack(plan, &pack::Options { threads: 2, ..pack::Options::new(scratch.path()) }).await
}

/// The manifest for a reviewer, and the digest of the bytes that a registry gets.
pub(crate) fn shown(packed: &Packed) -> String {
    let manifest: serde_json::Value = serde_json::from_slice(packed.manifest()).unwrap();
    format!("{}\n{}", packed.root().digest, serde_json::to_string_pretty(&manifest).unwrap())
}
