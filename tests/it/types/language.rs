//! The language of definitions: what it says, and what it refuses.

use artifact::{
    Result,
    plan::{Content, Plan},
    source::Source,
    types::{self, Catalog, Inputs},
};
use serde_json::json;

use super::{define, definition, tree};

#[test]
fn an_unknown_key_in_a_definition_is_named_with_its_place_and_the_one_that_was_meant() {
    for (text, message) in [
        (definition("detects: []\n"), "t.yaml:4:1: unknown key `detects`; did you mean `detect`"),
        (
            definition("layers:\n  items:\n    - {id: a, eech: [x]}\n"),
            "t.yaml:6:15: unknown key `eech`; did you mean `each`",
        ),
        (definition("layers: {order: digset}\n"), "t.yaml:4:17: `digset` is not one of"),
        (definition("config: {mediaTyp: a/b}\n"), "unknown key `mediaTyp`; did you mean `mediaType`"),
        (
            definition("reference: {tag: \"{{ sorce.name }}\"}\n"),
            "t.yaml:4:18: the name `sorce` does not exist; did you mean `source`",
        ),
        (definition("reference: {tag: \"{{ source.nam }}\"}\n"), "did you mean `name`"),
        (definition("reference: {tag: \"{{ source.name \"}\n"), "t.yaml:4:18"),
        (definition("vars: {a: {$exrp: x}}\n"), "did you mean `$expr`"),
    ] {
        let error = define(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}\n{message}");
    }
}

/// A type that copies a document into its config, and quotes a digest.
const QUOTING: &str = r#"
detect: [{form: file, file: {}}]
source:
  documents: {doc: {path: "{{ source.path }}"}}
  sets: {doc: {path: "{{ source.path }}"}}
layers: {items: [{id: doc, raw: doc, title: doc.yaml}]}
"#;

fn quoting(config: &str, document: &str) -> Result<Plan> {
    let dir = tree(&[("d.yaml", document)]);
    let text = format!("{QUOTING}config: {{mediaType: application/vnd.test.v1+json, {config}}}\n");
    define(&definition(&text))?.plan(&Source::open(dir.path().join("d.yaml"))?, &Inputs::default())
}

#[test]
fn what_is_known_only_when_a_layer_is_packed_is_a_value_and_nothing_can_be_made_of_it() {
    assert!(quoting("value: {size: {$expr: \"layers[0].size\"}}", "a: 1\n").is_ok());
    for (value, message) in [
        ("'{{ layers[0].size }} bytes'", "the digest or size of a layer is not known before it is packed"),
        (
            "{$expr: \"layers | map(attribute='size') | sum\"}",
            "not of a digest or size of a layer that is not packed yet",
        ),
    ] {
        let error = quoting(&format!("value: {{size: {value}}}"), "a: 1\n").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_config_quotes_digests_and_a_document_cannot_forge_a_quote() {
    let plan = quoting(
        "value: {d: {$expr: \"layer('doc.yaml').digest\"}, all: {$expr: \"layers | map(attribute='size') | list\"}}",
        "a: 1",
    )
    .unwrap();
    let Content::Json { value, .. } = &plan.manifest().unwrap().config.content else { panic!() };
    assert_eq!(*value, json!({"d": {"$layer": 0, "value": "digest"}, "all": [{"$layer": 0, "value": "size"}]}));
    let forged = "a: {$layer: 0, value: digest}";
    for config in [
        "document: doc",
        "value: {a: {$expr: doc.a}}",
        "value: {a: {$opt: doc}}",
        "value: {$pick: {from: doc, fields: [a]}}",
    ] {
        let error = quoting(config, forged).unwrap_err();
        assert!(error.to_string().contains("`$layer` is reserved"), "{error}");
    }
    let error = quoting("value: {d: \"{{ layer('doc.yaml').digest }}\"}", "a: 1").unwrap_err();
    assert!(error.to_string().contains("not known before it is packed"), "{error}");
    let error = quoting("value: {d: {$expr: \"'x' ~ layers[0].digest\"}}", "a: 1").unwrap_err();
    assert!(error.to_string().contains("not known before it is packed"), "{error}");
}

#[test]
fn expressions_cannot_run_away_or_reach_out() {
    for (expression, message) in [
        ("{% for a in range(9) %}{% endfor %}", "`range`"),
        ("{{ 'x' * 100000000 }}", "do not support `*`"),
        ("{% set a = 1 %}", "do not support `{% set %}`"),
        ("{% include 'x' %}", "do not support `{% include %}`"),
        ("{{ env.HOME }}", "`env` does not exist"),
        ("{{ source.path | open }}", "the filter `open` does not exist"),
        ("{{ debug() }}", "`debug` does not exist"),
    ] {
        let error = define(&definition(&format!("reference: {{tag: \"{expression}\"}}\n"))).unwrap_err();
        assert!(error.to_string().contains(message), "{expression}: {error}");
    }
    let nested = "{% for a in source.path %}".repeat(6) + "x" + &"{% endfor %}".repeat(6);
    let text = definition(&format!("detect: [{{form: file, file: {{}}}}]\nreference: {{tag: \"{nested}\"}}\n"));
    let dir = tree(&[(&"n".repeat(200), "")]);
    let source = Source::open(dir.path().join("n".repeat(200))).unwrap();
    let error = define(&text).unwrap().plan(&source, &Inputs::default()).unwrap_err();
    assert!(error.to_string().contains("more than 1000000 steps"), "{error}");
}

/// Definitions that would make much of a small source, or look at it often, in all the ways that there are.
#[test]
fn a_definition_takes_no_more_than_its_share_of_time_and_memory() {
    let dir = tree(&[("d.json", &json!({"a": "x".repeat(400_000), "l": vec![1; 100_000]}).to_string())]);
    let source = Source::open(dir.path().join("d.json")).unwrap();
    let doubled: Vec<String> = (1..200).map(|i| format!("v{i}: \"{{{{ vars.v{0} ~ vars.v{0} }}}}\"", i - 1)).collect();
    let watched: Vec<String> =
        (1..200).map(|i| format!("v{i}: {{$when: vars.v{0} == vars.v{0}, value: x}}", i - 1)).collect();
    let many: Vec<String> = (0..2000).map(|i| format!("a{i}: \"{{{{ d.a }}}}\"")).collect();
    let links: Vec<String> = (0..40)
        .map(|i| format!("x{i}: {{items: {{$ref: \"#/$defs/t\"}}, allOf: [{{$ref: \"#/$defs/x{0}\"}}]}}", i + 1))
        .collect();
    let schema =
        format!("{{properties: {{l: {{$ref: \"#/$defs/x0\"}}}}, $defs: {{t: {{}}, x40: {{}}, {}}}}}", links.join(", "));
    let sets: Vec<String> = (0..501).map(|i| format!("s{i}: {{path: x, optional: true}}")).collect();
    let each = "{$each: d.l, value: {$each: d.l, as: b, value: x}}";
    for (sections, schema, message) in [
        (
            format!(
                "vars: {{v0: \"{{{{ d.a }}}}\", {}}}\nreference: {{tag: \"{{{{ vars.v199 }}}}\"}}\n",
                doubled.join(", ")
            ),
            "{}",
            "nested deeper than 128 levels",
        ),
        (
            format!("vars: {{v0: x, {}}}\nreference: {{tag: \"{{{{ vars.v20 }}}}\"}}\n", watched.join(", ")),
            "{}",
            "more than 1000000 steps",
        ),
        (
            format!("manifest: {{annotations: [{{set: {{{}}}}}]}}\n", many.join(", ")),
            "{}",
            "more than 33558528 bytes of this source",
        ),
        (format!("config: {{mediaType: a/b, value: {each}}}\n"), "{}", "steps for this source"),
        (
            "reference: {tag: \"{{ d.l | map('string') | map('list') | list }}\"}\n".into(),
            "{}",
            "more than 1000000 steps",
        ),
        (String::new(), schema.as_str(), "takes more than 1000000 visits"),
        (String::new(), "{$ref: \"#\"}", "refers to itself without end"),
    ] {
        let text = definition(&format!(
            "detect: [{{form: file, file: {{}}}}]\nsource: {{sets: {{s0: {{path: d.json}}}}, documents: {{d: {{path: d.json, format: json, schema: {schema}}}}}}}\n{sections}"
        ));
        let planned = define(&text).and_then(|kind| kind.plan(&source, &Inputs::default()));
        let error = planned.expect_err(message);
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
    let error = define(&definition(&format!("source: {{sets: {{{}}}}}\n", sets.join(", ")))).unwrap_err();
    assert!(error.to_string().contains("there are 501; the limit is 500"), "{error}");
}

#[test]
fn what_a_schema_lists_is_blank_when_missing_and_what_it_does_not_list_is_an_error() {
    let sections = |tag: &str| {
        let schema = "{type: object, properties: {a: {type: string}, l: {type: array, items: {type: string}}, o: {type: object, properties: {x: {type: string}}}}}";
        definition(&format!(
            "detect: [{{form: file, file: {{}}}}]\nsource: {{documents: {{doc: {{path: \"{{{{ source.path }}}}\", schema: {schema}}}}}}}\nreference: {{tag: \"{tag}\"}}\n"
        ))
    };
    let dir = tree(&[("d.yaml", "z: 1")]);
    let source = Source::open(dir.path().join("d.yaml")).unwrap();
    for tag in [
        "x{{ doc.a }}{{ doc.l[0] }}{{ doc.o.x }}",
        "{{ doc.a or doc.l[3] or 'x' }}",
        "x{% for i in doc.l %}{{ i }}{% endfor %}",
        "{{ doc.l | first or 'x' }}",
    ] {
        let plan = define(&sections(tag)).unwrap().plan(&source, &Inputs::default()).unwrap();
        assert_eq!(plan.reference.tag.as_deref(), Some("x"), "{tag}");
    }
    for tag in ["{{ doc.b }}", "{{ doc.o.y }}", "{{ doc.z }}"] {
        let error = define(&sections(tag)).unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{tag}: {error}");
    }
}

#[test]
fn a_definition_is_read_within_limits() {
    let lol =
        (0..10).fold("a0: &a0 [x]\n".to_owned(), |text, i| format!("{text}a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1));
    let deep = format!("vars: {{a: {}{}}}\n", "[".repeat(500), "]".repeat(500));
    let big = format!("vars: {{a: \"{}\"}}\n", "x".repeat(2 << 20));
    for text in [
        String::new(),
        "null".into(),
        "[]".into(),
        "a: 1".into(),
        definition(&lol),
        definition(&deep),
        definition(&big),
        definition("vars: {}\nvars: {}\n"),
        definition("layers: null\n"),
        definition("layers: []\n"),
        definition("params: {a: {type: {}}}\n"),
        definition("unpack: {native: [{layer: x, write: y, mode: \"07777\"}]}\n"),
        definition("accept: {layers: {a: {count: 1...2}}}\n"),
        definition("source: {documents: {d: {path: x, schema: {$ref: \"file:///etc/passwd\"}}}}\n"),
        definition("requires: {probes: [wasm/1]}\n"),
        definition("").replace("/v1", "/v2"),
    ] {
        assert!(define(&text).is_err(), "{}", &text[..text.len().min(200)]);
    }
}

#[test]
fn the_published_schema_accepts_the_built_in_definitions_and_the_skeleton() {
    let schema: serde_json::Value = serde_json::from_str(&types::schema().unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let skeleton = types::skeleton("pictures").unwrap();
    define(&skeleton).unwrap();
    assert_eq!(types::lint::lint(&skeleton, "s.yaml").unwrap(), []);
    let outcomes = types::test::run(&define(&skeleton).unwrap(), &std::env::temp_dir()).unwrap();
    assert_eq!(outcomes[0].failure, None);
    let catalog = Catalog::builtin().unwrap();
    for text in catalog.list().map(|t| t.text()).chain([skeleton.as_str()]) {
        let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    assert!(!validator.is_valid(
        &json!({"apiVersion": "artifact-type/v1", "kind": "ArtifactType", "metadata": {"name": "x"}, "layer": {}})
    ));
}

#[test]
fn parts_that_could_never_be_found_are_errors() {
    for (parts, message) in [
        ("{dir: sub/, set: s}", "`dir` must be a directory such as `sub`"),
        ("{dir: ./sub, set: s}", "`dir` must be a directory such as `sub`"),
        ("{dir: sub}", "need `set` or `inside`"),
        ("{dir: sub, set: s, exclude: ['[']}", "the glob `[`"),
        ("{dir: sub, set: s, archives: {glob: '/x'}}", "is absolute"),
    ] {
        let sections = format!("source: {{sets: {{s: {{path: x}}}}, parts: {{p: {parts}}}}}\n");
        let error = define(&definition(&sections)).err().unwrap_or_else(|| panic!("{parts}")).to_string();
        assert!(error.contains(message), "{parts}: {error}");
    }
}

#[test]
fn lint_finds_what_would_go_wrong_later() {
    let text = definition(
        "detect: [{form: a, file: {}}, {form: b, file: {}}]\nsource: {sets: {s: {path: x}}}\nlayers:\n  items:\n  - {id: x, raw: s, mediaType: application/x-foo}\nmanifest: {artifactType: application/vnd.a.v1}\naccept: {artifactTypes: application/vnd.b.v1, layers: {y: {mediaTypes: text/plain}}}\nunpack: {native: [{layer: y, write: z}]}\n",
    );
    let findings = types::lint::lint(&text, "t.yaml").unwrap();
    let shown: Vec<_> = findings.iter().map(|f| format!("{} {}", f.place, f.message)).collect();
    for part in [
        "t.yaml:8:32 `application/x-foo` is unregistered",
        "the form `b` is unreachable",
        "no rule in `unpack` covers the layer `x`",
        "does not list the artifact type `application/vnd.a.v1`",
        "no role of `accept` covers the layer media type",
    ] {
        assert!(shown.iter().any(|s| s.contains(part)), "{part}\n{shown:#?}");
    }
}

#[test]
fn a_test_in_a_definition_can_fail() {
    let text = Catalog::builtin()
        .unwrap()
        .get("slideshow")
        .unwrap()
        .text()
        .replace("{mediaType: image/png, file: slides/b.png", "{mediaType: image/png, file: slides/c.png");
    let outcomes = types::test::run(&define(&text).unwrap(), &std::env::temp_dir()).unwrap();
    assert_eq!(
        outcomes[0].failure.as_deref(),
        Some("`/manifest/layers/1/file` is \"slides/b.png\", expected \"slides/c.png\"")
    );
}

#[test]
fn the_definitions_in_the_guide_are_definitions() {
    let guide = include_str!("../../../artifact-types/README.md");
    let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole: Vec<_> = blocks.filter(|block| block.starts_with("apiVersion")).collect();
    assert_eq!(whole.len(), 1);
    for text in whole {
        assert_eq!(types::lint::lint(text, "README.md").unwrap(), []);
        define(text).unwrap();
    }
}

#[test]
fn a_var_is_evaluated_where_it_is_used_and_sees_those_above_it() {
    let text = definition(
        "detect: [{form: file, file: {}}]\nsource: {sets: {f: {path: \"{{ source.path }}\"}}}\nvars: {ext: \"{{ file.ext }}\", kind: \"text/{{ vars.ext }}\"}\nlayers: {items: [{id: f, raw: f, title: t, mediaType: \"{{ vars.kind }}\"}]}\n",
    );
    let dir = tree(&[("a.CSV", "")]);
    let source = Source::open(dir.path().join("a.CSV")).unwrap();
    let plan = define(&text).unwrap().plan(&source, &Inputs::default()).unwrap();
    assert_eq!(plan.manifest().unwrap().layers[0].media_type, "text/csv");
}

#[test]
fn documents_and_sets_that_need_each_other_are_an_error() {
    let text = definition(
        "detect: [{form: file, file: {}}]\nsource:\n  sets: {s: {list: d.files}}\n  documents: {d: {path: \"{{ sets.s[0] }}\"}}\n",
    );
    let dir = tree(&[("a", "")]);
    let source = Source::open(dir.path().join("a")).unwrap();
    let error = define(&text).unwrap().plan(&source, &Inputs::default()).unwrap_err();
    assert!(error.to_string().ends_with("`d` and `s` depend on each other"), "{error}");
}

#[test]
fn a_set_cannot_reach_outside_the_source() {
    let dir = tree(&[("in/a", ""), ("out", "")]);
    std::os::unix::fs::symlink("../out", dir.path().join("in/link")).unwrap();
    let source = Source::open(dir.path().join("in")).unwrap();
    for set in [
        "path: ../out",
        "path: /etc/passwd",
        "path: link",
        "globs: [\"../*\"]",
        "list: \"['../out']\"",
        "dir: ..",
        "dir: \".\", symlinks: follow",
    ] {
        let text = definition(&format!("detect: [{{form: d, dir: {{}}}}]\nsource: {{sets: {{s: {{{set}}}}}}}\n"));
        let error = define(&text).unwrap().plan(&source, &Inputs::default()).unwrap_err();
        assert_eq!(error.kind(), artifact::Kind::Escape, "{set}: {error}");
    }
}

/// Keys of sections that hold expressions, as keys of somebody else's data.
const KEYS: [&str; 12] =
    ["list", "when", "include", "merge", "that", "strict", "globs", "exclude", "schema", "defaults", "as", "value"];

#[test]
fn a_config_and_annotations_may_have_any_keys() {
    let entries: Vec<String> = KEYS.iter().map(|key| format!("{key}: hello world")).collect();
    let all = entries.join(", ");
    let inner = format!("{{{all}, inner: {{{all}, file: \"{{{{ source.name }}}}\"}}, items: [{{{all}}}]}}");
    let text = definition(&format!(
        "detect: [{{form: file, file: {{}}}}]\n\
         source: {{sets: {{f: {{path: \"{{{{ source.path }}}}\"}}}}}}\n\
         vars: {{words: {{{all}}}}}\n\
         layers: {{items: [{{id: f, raw: f, annotations: {{{all}}}}}]}}\n\
         config: {{mediaType: application/vnd.test.v1+json, value: {inner}}}\n\
         manifest: {{annotations: [{{set: {{{all}}}}}]}}\n"
    ));
    let dir = tree(&[("a", "")]);
    let source = Source::open(dir.path().join("a")).unwrap();
    let plan = define(&text).unwrap().plan(&source, &Inputs::default()).unwrap();
    let same: serde_json::Map<String, serde_json::Value> =
        KEYS.iter().map(|key| ((*key).to_owned(), json!("hello world"))).collect();
    let mut expected = same.clone();
    let mut within = same.clone();
    within.insert("file".into(), json!("a"));
    expected.insert("inner".into(), within.into());
    expected.insert("items".into(), json!([same]));
    let Content::Json { value, .. } = &plan.manifest().unwrap().config.content else { panic!() };
    assert_eq!(*value, serde_json::Value::from(expected));
    for key in KEYS {
        assert_eq!(plan.manifest().unwrap().layers[0].annotations[key], "hello world", "{key}");
        assert_eq!(plan.manifest().unwrap().annotations[key], "hello world", "{key}");
    }
}

/// Every place of a definition that holds a template, an expression or a typed value, with a `?` where it stands.
const PLACES: [&str; 46] = [
    "source: {sets: {s: {path: x, when: ?}}}",
    "source: {sets: {s: {path: ?t}}}",
    "source: {sets: {s: {list: ?}}}",
    "source: {sets: {s: {globs: ?}}}",
    "source: {sets: {s: {globs: [a, ?t]}}}",
    "source: {sets: {s: {dir: ?t}}}",
    "source: {sets: {s: {dir: a, include: ?}}}",
    "source: {sets: {s: {dir: a, include: [?t]}}}",
    "source: {sets: {s: {dir: a, exclude: ?}}}",
    "source: {sets: {s: {dir: a, exclude: [?t]}}}",
    "source: {documents: {d: {path: ?t}}}",
    "source: {documents: {d: {path: x, inside: {archive: ?t}}}}",
    "vars: {a: ?t}",
    "vars: {a: {list: [{$expr: ?}]}}",
    "vars: {a: {$opt: ?}}",
    "vars: {a: {$each: ?, value: x}}",
    "vars: {a: {$each: \"['x']\", value: {when: ?t}}}",
    "vars: {a: {$when: ?, value: x}}",
    "vars: {a: {$when: form, value: {$expr: ?}}}",
    "vars: {a: {$when: form, value: x, else: ?t}}",
    "vars: {a: {$pick: {from: ?, fields: [a]}}}",
    "vars: {a: {$pick: {from: [form, ?], fields: [a]}}}",
    "layers: {items: [{id: a, text: a, when: ?}]}",
    "layers: {items: [{id: a, text: a, mediaType: ?t}]}",
    "layers: {items: [{id: a, text: ?t}]}",
    "layers: {items: [{id: a, tar: {set: s, root: ?t}}]}\nsource: {sets: {s: {path: x}}}",
    "layers: {items: [{id: a, tar: {set: s}, compress: ?t}]}\nsource: {sets: {s: {path: x}}}",
    "layers: {items: [{id: a, text: a, title: ?t}]}",
    "layers: {items: [{id: a, text: a, annotations: {when: ?t}}]}",
    "config: {mediaType: ?t, typedEmpty: true}",
    "config: {mediaType: a/b, value: {list: ?t}}",
    "config: [{forms: [], mediaType: a/b, value: {merge: {$expr: ?}}}]",
    "manifest: {artifactType: ?t}",
    "manifest: {annotations: [{when: ?}]}",
    "manifest: {annotations: [{merge: ?}]}",
    "manifest: {annotations: [{set: {strict: ?t}}]}",
    "reference: {appendRepository: ?t}",
    "reference: {tag: ?t}",
    "reference: {strict: ?}",
    "reference: {assert: [{when: ?, that: form, message: x}]}",
    "reference: {assert: [{that: ?, message: x}]}",
    "reference: {assert: [{that: form, message: ?t}]}",
    "validate: [{that: ?, message: x}]",
    "validate: [{that: form, when: ?, message: ?t}]",
    "unpack: {native: [{config: true, when: ?, write: x}]}",
    "unpack: {tree: [{config: true, write: ?t}, {config: true, extract: {to: ?t, root: ?t}}]}",
];

#[test]
fn a_mistake_in_an_expression_is_found_wherever_one_may_stand() {
    for place in PLACES {
        for (mistake, message) in [("nowhere.x", "the name `nowhere` does not exist"), ("form form", "syntax error")] {
            let template = format!("\"{{{{ {mistake} }}}}\"");
            let sections = place.replace("?t", &template).replace('?', &format!("\"{mistake}\""));
            let defined = define(&definition(&format!("{sections}\n")));
            let error = defined.err().unwrap_or_else(|| panic!("{place}: nothing is found")).to_string();
            assert!(error.contains(message), "{place}: {error}");
            assert!(error.starts_with("t.yaml:"), "{place}: {error}");
            let found = types::lint::lint(&definition(&format!("{sections}\n")), "t.yaml");
            let marks = place.matches('?').count();
            if let Ok(found) = found {
                assert_eq!(found.iter().filter(|f| f.message.contains(message)).count(), marks, "{place}: {found:?}");
            }
        }
    }
}
