//! Runs the tests in a definition: sources with expected results.

use std::{path::Path, sync::Arc};

use serde_json::Value as Json;

pub use super::definition::test::TestCase;
use super::{artifact_type::ArtifactType, planning::inputs::Inputs};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Digest, json::Encoding},
    plan::Plan,
    source::{Source, relative},
};

/// The outcome of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// The failure; `None` if it passed.
    pub failure: Option<String>,
}

/// Runs the tests in a type's definition, with their sources in a temporary directory in `scratch`. Errors: the
/// directory cannot be created.
pub fn run(kind: &Arc<ArtifactType>, scratch: &Path) -> Result<Vec<Outcome>> {
    let run = |case: &TestCase| {
        let failure = case.run(kind, scratch).map(|()| None).or_else(|e| match e.kind() {
            Kind::Io | Kind::NoSpace => Err(e),
            _ => Ok(Some(e.to_string())),
        })?;
        Ok(Outcome { name: case.name.clone(), failure })
    };
    kind.definition().tests.iter().map(run).collect()
}

impl TestCase {
    fn run(&self, kind: &Arc<ArtifactType>, scratch: &Path) -> Result<()> {
        let dir = tempfile::tempdir_in(scratch).context(|| "cannot create a directory for a test")?;
        self.write_files(dir.path())?;
        let path = match &self.source {
            Some(path) => dir.path().join(relative(path)?),
            None => dir.path().to_owned(),
        };
        let inputs = Inputs { set: self.set.clone(), now: self.now, ..Inputs::default() };
        match (Source::open(path).and_then(|source| kind.plan(&source, &inputs)), &self.error) {
            (Ok(_), Some(wanted)) => Err(Error::invalid(format!("expected the error `{wanted}`, got none"))),
            (Err(e), Some(wanted)) if e.to_string().contains(wanted) => Ok(()),
            (Err(e), Some(wanted)) => Err(Error::invalid(format!("expected the error `{wanted}`, got `{e}`"))),
            (plan, None) => self.compare_plan(&plan?),
        }
    }

    fn write_files(&self, dir: &Path) -> Result<()> {
        for (name, text) in &self.files {
            let path = dir.join(relative(name)?);
            let fail = || format!("cannot write `{}`", path.display());
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).context(fail)?;
            }
            std::fs::write(&path, text).context(fail)?;
        }
        Ok(())
    }

    fn compare_plan(&self, plan: &Plan) -> Result<()> {
        let actual =
            serde_json::to_value(plan).map_err(|e| Error::caused(Kind::Internal, "cannot encode a plan", e))?;
        first_difference("", &Json::Object(self.expect.clone()), &actual)
            .map_or(Ok(()), |why| Err(Error::invalid(why)))?;
        let digest = plan_digest(plan)?.to_string();
        match &self.plan_digest {
            Some(wanted) if *wanted != digest => {
                Err(Error::mismatch(format!("expected the plan {wanted}, got {digest}")))
            }
            _ => Ok(()),
        }
    }
}

/// The digest of a plan as canonical JSON without `base`: independent of the source's location.
pub fn plan_digest(plan: &Plan) -> Result<Digest> {
    let mut value = serde_json::to_value(plan).map_err(|e| Error::caused(Kind::Internal, "cannot encode a plan", e))?;
    value.as_object_mut().and_then(|map| map.remove("base"));
    Ok(Digest::of(&Encoding::Canonical.encode(&value)?))
}

/// The first difference between the expected and the actual value.
fn first_difference(at: &str, wanted: &Json, actual: &Json) -> Option<String> {
    match (wanted, actual) {
        (Json::Object(wanted), Json::Object(actual)) => wanted.iter().find_map(|(key, value)| {
            let at = format!("{at}/{key}");
            actual
                .get(key)
                .map_or_else(|| Some(format!("`{at}` is missing")), |actual| first_difference(&at, value, actual))
        }),
        (Json::Array(wanted), Json::Array(actual)) if wanted.len() == actual.len() => {
            let pairs = wanted.iter().zip(actual).enumerate();
            pairs.into_iter().find_map(|(i, (wanted, actual))| first_difference(&format!("{at}/{i}"), wanted, actual))
        }
        (wanted, actual) if wanted == actual => None,
        (wanted, actual) => Some(format!("`{at}` is {actual}, expected {wanted}")),
    }
}
