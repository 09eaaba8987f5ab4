//! The JSON Schema of definitions, for editors: made from the structs that read them, so that the two cannot differ.

use schemars::generate::SchemaSettings;

use super::definition::Definition;
use crate::error::{Error, Kind, Result};

/// The JSON Schema (2020-12) of an artifact type definition, as text.
pub fn schema() -> Result<String> {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Definition>();
    let text = serde_json::to_string_pretty(&schema);
    text.map(|t| t + "\n").map_err(|e| Error::caused(Kind::Internal, "cannot write the schema", e))
}
