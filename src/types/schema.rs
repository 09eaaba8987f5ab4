//! The JSON Schemas of definitions and plans, for editors and for who writes a program that is a type: made from the
//! structs that read them, so that the two cannot differ.

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

/// The JSON Schema (2020-12) of what a program that is a type prints: a plan, `artifact-plan/v1`.
pub fn plan_schema() -> Result<String> {
    schema_of::<plan::Wire>()
}

fn schema_of<T: JsonSchema>() -> Result<String> {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let text = serde_json::to_string_pretty(&schema);
    text.map(|t| t + "\n").map_err(|e| Error::caused(Kind::Internal, "cannot write the schema", e))
}
