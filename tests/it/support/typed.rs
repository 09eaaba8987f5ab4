//! Sources, and what the built-in types make of them.

use std::path::Path;

use artifact::{
    pack::{self, Packed},
    plan::Plan,
    source::Source,
    types::{Catalog, Inputs},
};

/// A directory with these files.
pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

pub(crate) fn plan_with(path: &Path, inputs: &Inputs) -> artifact::Result<Plan> {
    let catalog = Catalog::builtin()?;
    let source = Source::open(path)?;
    catalog.detect(&source)?.plan(&source, inputs)
}

pub(crate) fn set(pairs: &[(&str, &str)]) -> Inputs {
    Inputs { set: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), ..Inputs::default() }
}

pub(crate) async fn packed(plan: &Plan) -> Packed {
    let scratch = tempfile::tempdir().unwrap();
    pack::pack(plan, &pack::Options { threads: 2, ..pack::Options::new(scratch.path()) }).await.unwrap()
}
