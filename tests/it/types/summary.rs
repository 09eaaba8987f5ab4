//! What a type says of itself to people.

use artifact::types::{ArtifactType, Origin};

/// The rows of a section.
fn rows(kind: &ArtifactType, title: &str) -> Vec<(String, String)> {
    kind.summary().into_iter().find(|section| section.title == title).map(|section| section.rows).unwrap_or_default()
}

fn parsed(sections: &str) -> ArtifactType {
    let text = format!("apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {{name: thing}}\n{sections}");
    ArtifactType::parse(&text, Origin::File("thing.yaml".into())).unwrap()
}

/// Whether the section is just this.
fn is(kind: &ArtifactType, title: &str, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> = wanted.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(rows(kind, title), wanted, "{title}");
}

const WHOLE: &str = r#"
params:
  count: {type: integer, default: 3}
  tags: {type: array, enum: [a, b], default: [a, b]}
  made: {format: date-time, required: true, description: When it was made}
  odd: {pattern: "^x"}
detect:
  - {form: file, file: {name: [a.yaml, b.yaml], yaml: {images: "*", kind: Th*, list: ["*.png", "*.jpg"]}}}
  - {form: packed, file: {glob: "*.bin", magic: gzip, contains: "*/x"}}
  - {form: tree, dir: {contains: [x, y]}, explicit: true}
  - {form: any, dir: {}, fallback: true}
source:
  sets:
    one: {path: "{{ source.path }}"}
    all: {dir: "."}
config:
  - {forms: [file], empty: true}
  - {forms: [packed, tree, any], mediaType: application/vnd.thing.config, typedEmpty: true}
layers:
  items:
    - {id: each, each: [one, all], forms: [file], title: "{{ file.name }}"}
    - {id: tree, tar: {set: all}, when: form == 'tree', compress: gzip}
    - {id: note, text: hello}
    - {id: raw, raw: one, mediaType: application/vnd.thing.raw}
manifest: {artifactType: application/vnd.thing.v2}
accept:
  artifactTypes: [application/vnd.thing.v2]
  config: application/vnd.thing.config
  annotations: {thing: "yes*"}
  layers:
    raw: {mediaTypes: [application/vnd.thing.raw, application/x-raw], count: 1}
    tree: {annotation: {role: tree}}
  otherLayers: error
  also:
    - {artifactTypes: application/vnd.thing.v1}
unpack:
  native:
    - {layer: raw, write: "{{ layer.title }}", when: config.name}
  tree:
    - {layer: tree, extract: {to: "{{ config.name }}"}}
    - {layer: "*", extract: {}}
    - {config: true, write: c.json}
"#;

#[test]
fn what_a_type_takes_and_makes_is_said_in_words() {
    let kind = parsed(WHOLE);
    let keys = "with `images` and `kind: Th*` and a list `list` of `*.png` or `*.jpg`";
    is(
        &kind,
        "takes",
        &[
            ("file", &format!("a file `a.yaml` or `b.yaml` {keys}")),
            ("packed", "a file `*.bin` of gzip data that contains `*/x`"),
            ("tree", "a directory with `x` or `y`, only if the type is named"),
            ("any", "a directory, only if no other type fits"),
        ],
    );
    is(
        &kind,
        "parameters",
        &[
            ("count", "integer; default `3`"),
            ("made", "When it was made\nstring; a time such as `2026-11-22T10:00:00Z`; required"),
            ("odd", "string; matches `^x`"),
            ("tags", "array: `A,B`; one of `a`, `b`; default `a,b`"),
        ],
    );
    is(
        &kind,
        "makes",
        &[
            ("artifact type", "application/vnd.thing.v2"),
            ("config", "application/vnd.oci.empty.v1+json (file)"),
            ("config", "application/vnd.thing.config (packed, tree, any)"),
        ],
    );
    is(
        &kind,
        "layers",
        &[
            ("each", "each file of `one`, `all` (file)\nmedia type: that of the file's name\ntitle: {{ file.name }}"),
            ("tree", "a tar of `all`\nif: form == 'tree'\nmedia type: that of an OCI tar layer\ncompression: gzip"),
            ("note", "a text\nmedia type: text/plain"),
            ("raw", "the file of `one`\nmedia type: application/vnd.thing.raw"),
        ],
    );
}

#[test]
fn what_a_type_accepts_and_unpacks_is_said_in_words() {
    let kind = parsed(WHOLE);
    is(
        &kind,
        "accepts",
        &[
            ("artifact type", "application/vnd.thing.v2"),
            ("config", "application/vnd.thing.config"),
            ("artifact type", "application/vnd.thing.v1"),
            ("annotation", "thing=yes*"),
            ("layer `raw`", "1\napplication/vnd.thing.raw\napplication/x-raw"),
            ("layer `tree`", "any number\nrole=tree"),
            ("other layers", "are an error"),
        ],
    );
    is(
        &kind,
        "unpacks",
        &[
            ("native", "layer `raw`\nfile: {{ layer.title }}\nif: config.name"),
            ("tree", "layer `tree`, extracted\ndirectory: {{ config.name }}"),
            ("tree", "all layers, extracted\ndirectory: ."),
            ("tree", "the config\nfile: c.json"),
        ],
    );
}

#[test]
fn a_view_without_rules_is_the_other_one_and_sections_without_content_are_left_out() {
    let tree = parsed("unpack: {tree: [{config: true, write: c}]}\n");
    is(&tree, "unpacks", &[("native, tree", "the config\nfile: c")]);
    let none = parsed("");
    is(&none, "unpacks", &[("native, tree", "all layers with a title\nfile or directory: the title")]);
    assert_eq!(none.summary().iter().map(|section| section.title).collect::<Vec<_>>(), ["unpacks"]);
}

#[test]
fn an_index_names_the_set_of_its_members() {
    let text = std::fs::read_to_string("examples/types/multi-platform.yaml").unwrap();
    let kind = ArtifactType::parse(&text, Origin::File("m.yaml".into())).unwrap();
    assert_eq!(rows(&kind, "makes")[0], ("index".into(), "one manifest for each member of `programs`".into()));
}
