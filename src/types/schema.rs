//! The JSON Schemas of definitions and plans, for editors and for authors of plug-ins. They are generated from the
//! structs that parse the documents, so that both agree.

use schemars::{JsonSchema, generate::SchemaSettings};

use super::definition::Definition;
use crate::{
    error::{Error, Kind, Result},
    plan,
};

/// The JSON Schema (2020-12) of an artifact type definition, as text.
pub fn schema() -> Result<String> {
    schema_of::<Definition>()
}

/// The JSON Schema (2020-12) of a plan, `artifact-plan/v1`, which plug-ins print, as text.
pub fn plan_schema() -> Result<String> {
    schema_of::<plan::Wire>()
}

fn schema_of<T: JsonSchema>() -> Result<String> {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let text = serde_json::to_string_pretty(&schema);
    text.map(|t| t + "\n").map_err(|e| Error::caused(Kind::Internal, "cannot encode the schema", e))
}
