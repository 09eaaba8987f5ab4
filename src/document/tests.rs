//! What documents as a whole do; scalars are tested beside their rules.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::Kind;

fn yaml(text: &str) -> Result<Document> {
    Document::parse(text.as_bytes(), "x.yaml", &Options::default())
}

fn json(text: &str) -> Result<Document> {
    Document::parse(text.as_bytes(), "x.json", &Options { format: Format::Json, ..Options::default() })
}

const SLIDES: &str =
    "kind: Slideshow\nslides:\n  - file: 01.png\n    notes: |\n      hi\n  - {file: ü.md, \"a/b~c\": [1, 2]}\n";

#[test]
fn a_yaml_document_keeps_the_order_of_its_keys_and_knows_where_they_are() {
    let document = yaml(SLIDES).unwrap();
    let want = json!({"kind": "Slideshow", "slides": [
        {"file": "01.png", "notes": "hi\n"}, {"file": "ü.md", "a/b~c": [1, 2]}]});
    assert_eq!(document.value.to_string(), want.to_string());
    for (pointer, line, column) in [
        ("", 1, 1),
        ("/kind", 1, 7),
        ("/slides", 3, 3),
        ("/slides/0", 3, 5),
        ("/slides/0/file", 3, 11),
        ("/slides/1", 6, 5),
        ("/slides/1/file", 6, 12),
        ("/slides/1/a~1b~0c/1", 6, 31),
    ] {
        assert_eq!(document.position(pointer), Some(Position { line, column }), "{pointer}");
    }
    assert_eq!(document.position("/slides/2"), None);
    assert_eq!(document.place("/slides/1/missing/deep"), "x.yaml:6:5");
}

#[test]
fn a_json_document_does_too() {
    let document = json("{\"b\": [1, {\"ü\": null}],\r\n  \"a\\\"\" : \"x\"}").unwrap();
    assert_eq!(document.value, json!({"b": [1, {"ü": null}], "a\"": "x"}));
    for (pointer, line, column) in
        [("", 1, 1), ("/b", 1, 7), ("/b/0", 1, 8), ("/b/1", 1, 11), ("/b/1/ü", 1, 17), ("/a\"", 2, 11)]
    {
        assert_eq!(document.position(pointer), Some(Position { line, column }), "{pointer}");
    }
}

#[test]
fn errors_say_file_line_and_column() {
    for (text, place) in [
        ("a: 1\na: 2\n", "x.yaml:2:1: the key `a` comes twice; the first is in line 1"),
        ("a:\n  b: 0644\n", "x.yaml:2:6: `0644` is octal"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2:"),
        ("a: 1\n b: 2\n", "x.yaml:2:"),
        ("? [a]\n: 1\n", "x.yaml:1:3: a key that is a list"),
        ("~: 1\n", "x.yaml:1:1: a key that is null"),
        ("<<: {a: 1}\n", "x.yaml:1:1: merge keys"),
        ("a: !foo b\n", "x.yaml:1:"),
        ("a: *b\n", "x.yaml:1:4: "),
        ("a: &b [*b]\n", "x.yaml:1:8: "),
    ] {
        let error = yaml(text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for (text, place) in [
        ("{\"a\": 1,\n \"a\": 2}", "x.json:2:2: the key `a` comes twice"),
        ("{\"a\": \n  x}", "x.json:2:3: "),
        ("[1, 123456789012345678901234567890]", "x.json:1:5: `123456789012345678901234567890` does not fit"),
        ("[1e400]", "x.json:1:"),
        ("[1] x", "x.json:1:5: "),
        ("[NaN]", "x.json:1:"),
    ] {
        let error = json(text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text:?}: {error}");
    }
}

#[test]
fn a_text_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does() {
    let text = "\u{feff}a: 1\r\nb: |\r\n  x\r\n  y\r\n";
    assert_eq!(yaml(text).unwrap().value, json!({"a": 1, "b": "x\ny\n"}));
    assert_eq!(json("\u{feff}{}\r\n").unwrap().value, json!({}));
}

#[test]
fn an_empty_text_is_null() {
    for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
        assert_eq!(yaml(text).unwrap().value, Value::Null, "{text:?}");
    }
    assert_eq!(json(" ").unwrap().value, Value::Null);
}

#[test]
fn a_stream_gives_its_documents_in_order() {
    let text = "a: 1\n---\n# nothing\n---\nb: &x 2\n...\n---\n- *x\n";
    assert!(Document::parse_stream(text.as_bytes(), "s", &Options::default()).is_err(), "anchors end with a document");
    let text = "a: 1\n---\n# nothing\n---\nb: 2\n...\n---\n- 3\n";
    let all = Document::parse_stream(text.as_bytes(), "s", &Options::default()).unwrap();
    assert_eq!(all.iter().map(|d| d.value.clone()).collect::<Vec<_>>(), [json!({"a": 1}), json!({"b": 2}), json!([3])]);
    assert_eq!(all[2].position("/0"), Some(Position { line: 8, column: 3 }));
    assert!(yaml(text).unwrap_err().to_string().contains("holds 3 documents"));
}

#[test]
fn aliases_are_copies_and_few() {
    let document = yaml("a: &x {k: [1]}\nb: *x\n").unwrap();
    assert_eq!(document.value, json!({"a": {"k": [1]}, "b": {"k": [1]}}));
    assert_eq!(document.position("/b"), Some(Position { line: 2, column: 4 }));
    let none = Options { aliases: 0, ..Options::default() };
    assert_eq!(Document::parse(b"a: &x 1\nb: *x\n", "x", &none).unwrap_err().kind(), Kind::Limit);
    assert!(Document::parse(b"a: &x 1\nb: 2\n", "x", &none).is_ok(), "an anchor alone is harmless");
}

#[test]
fn merge_keys_work_as_in_go() {
    let text = "base: &b {a: 1, c: 3}\nx:\n  <<: *b\n  a: 2\nz:\n  <<: [*b, {a: 9, d: 4}]\n";
    let go = Options { scalars: Scalars::GoYaml, ..Options::default() };
    let value = Document::parse(text.as_bytes(), "x", &go).unwrap().value;
    assert_eq!(value.get("x"), Some(&json!({"a": 2, "c": 3})));
    assert_eq!(value.get("z"), Some(&json!({"a": 1, "c": 3, "d": 4})));
}

#[test]
fn bombs_do_not_go_off() {
    let mut laughs = String::from("a0: &a0 [lol]\n");
    for i in 1..10 {
        let item = format!("*a{},", i - 1).repeat(10);
        laughs.push_str(&format!("a{i}: &a{i} [{item}]\n"));
    }
    let many = Options { aliases: usize::MAX, ..Options::default() };
    let long =
        format!("a: &a [\"{}\"]\nb: &b [{}]\nc: [{}]\n", "x".repeat(900_000), "*a,".repeat(30), "*b,".repeat(30));
    for bomb in [laughs, long] {
        assert_eq!(yaml(&bomb).unwrap_err().kind(), Kind::Limit);
        assert_eq!(Document::parse(bomb.as_bytes(), "x", &many).unwrap_err().kind(), Kind::Limit);
    }
    for open in ["[", "{a: ", "- ", "? "] {
        assert!(yaml(&open.repeat(100_000)).is_err(), "{open}");
    }
    for open in ["[", "{\"a\":"] {
        assert!(json(&open.repeat(100_000)).is_err(), "{open}");
    }
    assert_eq!(json(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap_err().kind(), Kind::Limit);
    assert!(json(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    assert_eq!(yaml(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap_err().kind(), Kind::Limit);
    assert!(yaml(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
}

#[test]
fn a_document_has_a_largest_size() {
    let small = Options { limit: 10, ..Options::default() };
    assert!(Document::parse(b"a: 4567890", "x", &small).is_ok());
    assert_eq!(Document::parse(b"a: 45678901", "x", &small).unwrap_err().kind(), Kind::Limit);
    let dense = format!("[{}]", "1,".repeat(500_000));
    assert!(yaml(&dense).is_ok(), "a document within its size is within its memory");
}

#[test]
fn a_document_is_read_only_as_far_as_there_is_memory_for_it() {
    let rest = "x".repeat(1000);
    for (text, format, column) in [
        (format!("[{} {rest}", "1,".repeat(100)), Format::Yaml, 2 + 2 * 12),
        (format!("[{} {rest}", "[],".repeat(100)), Format::Yaml, 2 + 3 * 12),
        (format!("[{}1]", "1,".repeat(100)), Format::Json, 2 + 2 * 12),
        (format!("[{}[]]", "[],".repeat(100)), Format::Json, 2 + 3 * 12),
        (format!("{{{} {rest}", (100..200).map(|i| format!("{i}: 1, ")).collect::<String>()), Format::Yaml, 50),
        (format!("{{{}\"\": 1}}", (10..99).map(|i| format!("\"{i}\":1,")).collect::<String>()), Format::Json, 44),
    ] {
        let read = |memory, taken| {
            let options = Options { format, memory, taken, ..Options::default() };
            let error = Document::parse(text.as_bytes(), "x", &options).unwrap_err();
            assert_eq!(error.kind(), Kind::Limit, "{error}");
            error.to_string()
        };
        let (alone, second) = (read(1000, 0), read(4000, 3000));
        assert_eq!(alone, format!("x:1:{column}: the document takes more than 1000 bytes of memory"));
        assert_eq!(second, format!("x:1:{column}: it and the documents before it take more than 4000 bytes of memory"));
    }
}

#[test]
fn lists_and_maps_have_no_room_to_spare() {
    for text in ["[[1], {\"a\": 1}, [[2]], {\"b\": {}, \"c\": [3, 4, 5, 6, 7]}]", "[]"] {
        for document in [yaml(text).unwrap(), json(text).unwrap()] {
            let mut nodes = vec![&document.root];
            while let Some(node) = nodes.pop() {
                match &node.kind {
                    node::Kind::Scalar(_) => {}
                    node::Kind::List(items) => {
                        assert_eq!(items.capacity(), items.len());
                        nodes.extend(items);
                    }
                    node::Kind::Map(entries) => {
                        assert_eq!(entries.capacity(), entries.len());
                        nodes.extend(entries.iter().map(|(_, node)| node));
                    }
                }
            }
            let mut values = vec![&document.value];
            while let Some(value) = values.pop() {
                if let Value::Array(items) = value {
                    assert_eq!(items.capacity(), items.len());
                    values.extend(items);
                }
            }
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for bytes in [&b"a: \xff"[..], b"a: \0", b"\xff\xfea\0"] {
        let error = Document::parse(bytes, "x\u{1b}", &Options::default()).unwrap_err();
        assert!(error.to_string().starts_with("x\u{1b}: byte "), "{error}");
    }
}

#[test]
fn quotes_and_tags_make_text() {
    assert_eq!(yaml("[\"1\", '2', !!str 3, ! 4, !!int \"5\"]").unwrap().value, json!(["1", "2", "3", "4", 5]));
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "[ \t\n:\\-?,\\[\\]{}#&*!|>'\"%@`a-c0-9.<~\r\u{feff}é\\\\]{0,60}") {
        for scalars in [Scalars::Strict, Scalars::GoYaml] {
            for format in [Format::Yaml, Format::Json] {
                let options = Options { format, scalars, ..Options::default() };
                if let Ok(all) = Document::parse_stream(text.as_bytes(), "x", &options) {
                    all.iter().for_each(|document| drop(document.place("/a/0/b")));
                }
            }
        }
    }

    #[test]
    fn json_reads_as_serde_json_reads_it(value in arbitrary_json()) {
        for text in [value.to_string(), format!("{value:#}")] {
            prop_assert_eq!(&json(&text).unwrap().value, &value);
        }
    }
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1.0e9..1.0e9).prop_map(|f: f64| Value::from(f)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,5}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

mod typed {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::{Document, Options, typed};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Thing {
        name: String,
        #[serde(default)]
        size: Option<u8>,
        #[serde(default)]
        wanted: bool,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        parts: Vec<Thing>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
        Sized(u64),
    }

    fn thing(text: &str) -> Result<Thing, String> {
        let document = Document::parse(text.as_bytes(), "t.yaml", &Options::default()).map_err(|e| e.to_string())?;
        typed(&document).map_err(|e| e.to_string())
    }

    #[test]
    fn text_is_taken_as_it_was_written_and_null_is_what_is_not_there() {
        let read = thing("name: 1.10\nsize: ~\nlabels: {a: true, b: 0x10, c: 'null'}\nkind: {sized: 7}\n").unwrap();
        assert_eq!((read.name.as_str(), read.size, read.kind), ("1.10", None, Some(Kind::Sized(7))));
        let labels: Vec<_> = read.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, [("a", "true"), ("b", "0x10"), ("c", "null")]);
    }

    #[test]
    fn the_words_of_yaml_1_1_are_booleans_where_only_a_boolean_can_be() {
        for (word, wanted) in [("true", true), ("yes", true), ("On", true), ("no", false), ("off", false)] {
            assert_eq!(
                thing(&format!("name: yes\nwanted: {word}\n")).map(|t| (t.name, t.wanted)),
                Ok(("yes".into(), wanted))
            );
        }
        assert_eq!(
            thing("name: a\nwanted: 'yes'\n").unwrap_err(),
            "t.yaml:2:9: expected a boolean, not string \"yes\""
        );
    }

    #[test]
    fn an_error_says_where_it_is_and_what_was_meant() {
        for (text, error) in [
            ("name: a\nlabel: {}\n", "t.yaml:2:1: unknown key `label`; did you mean `labels`"),
            ("name: a\nparts:\n  - name: b\n    size: 300\n", "t.yaml:4:11: expected u8, not integer `300`"),
            ("name: a\nparts:\n  - size: 3\n", "t.yaml:3:5: the key `name` is missing"),
            ("name: a\nkind: plane\n", "t.yaml:2:7: `plane` is not one of `plain`, `sized`; did you mean `plain`"),
            ("name: a\nkind: {plain: 1}\n", "t.yaml:2:15: expected unit, not integer `1`"),
            ("name: a\nkind: [plain]\n", "t.yaml:2:7: expected a word, or a map of one key"),
            ("name: ~\n", "t.yaml:1:7: expected a string, not null"),
            ("name: {a: b}\n", "t.yaml:1:7: expected a string, not map"),
            ("name: a\nparts: [[b]]\n", "t.yaml:2:9: expected struct Thing, not sequence"),
        ] {
            assert_eq!(thing(text).unwrap_err(), error, "{text}");
        }
    }
}
