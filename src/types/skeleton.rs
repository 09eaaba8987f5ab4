//! A definition to start from.

use super::definition::metadata::is_name;
use crate::error::{Code, Error, Result};

/// The text of a definition with this name that packs single files, as a template for authors.
///
/// Errors (kind `Misuse`): not a valid name of a type.
pub fn skeleton(name: &str) -> Result<String> {
    if !is_name(name) {
        return Err(Error::misuse(format!("`{name}` is not a valid type name")).with_code(Code::NotATypeName));
    }
    let quoted = serde_json::Value::from(name).to_string();
    Ok(SKELETON.replace("NAME", name).replace(&format!("name: {name}\n"), &format!("name: {quoted}\n")))
}

const SKELETON: &str = r#"apiVersion: artifact-type/v1
kind: ArtifactType
metadata:
  name: NAME
  version: 0.1.0
  description: What a NAME is, in one sentence

# How a source of this type is told from others. A form is a shape that a source can have.
detect:
  - form: file
    file: {glob: "*.NAME"}

# Which files are read. Nothing outside these sets is packed.
source:
  sets:
    content: {path: "{{ source.path }}"}

# No metadata of its own: the OCI empty config.
config: {empty: true}

layers:
  items:
    - id: content
      raw: content
      mediaType: application/vnd.example.NAME.content.v1
      title: "{{ source.name }}"

manifest:
  artifactType: application/vnd.example.NAME.v1

# Which manifests are of this type, and which layers they must have.
accept:
  artifactTypes: [application/vnd.example.NAME.v1]
  layers:
    content: {mediaTypes: [application/vnd.example.NAME.content.v1], count: 1}

unpack:
  native:
    - {layer: content, write: "{{ layer.title }}"}

tests:
  - name: a file becomes one layer
    files: {sample.NAME: "hello"}
    source: sample.NAME
    expect:
      manifest: {artifactType: application/vnd.example.NAME.v1}
"#;
