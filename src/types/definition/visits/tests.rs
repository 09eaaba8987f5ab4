use std::cell::Cell;

use serde_json::json;

use super::*;
use crate::error::Kind;

#[test]
fn every_keyword_that_holds_schemas_is_counted() {
    for (schema, document, expected) in [
        (json!(true), json!([1, 2]), 1),
        (json!({}), json!("x"), 1),
        (json!({}), json!("x".repeat(320)), 11),
        (json!({"type": "array"}), json!([1, 2]), 3),
        (json!({"items": {}}), json!([1, 2]), 5),
        (json!({"contains": {}, "items": true}), json!([1, 2]), 7),
        (json!({"prefixItems": [{}, {}, {}]}), json!([1, 2]), 5),
        (json!({"properties": {"a": {}, "b": {}}}), json!({"a": 1}), 5),
        (json!({"additionalProperties": {}, "propertyNames": {}}), json!({"a": 1}), 4),
        (json!({"patternProperties": {"x": {}, "y": {}}}), json!({"a": 1}), 8),
        (
            json!({"allOf": [{}, {}], "anyOf": [{}], "oneOf": [{}], "not": {}, "if": {}, "then": {}, "else": {}}),
            json!(1),
            9,
        ),
        (json!({"dependentSchemas": {"a": {}}}), json!({}), 2),
        (json!({"$ref": "#/$defs/a%25b", "$defs": {"a%b": {"allOf": [{}]}}}), json!(1), 3),
        (
            json!({"$dynamicRef": "#n", "$defs": {"a": {"$dynamicAnchor": "n"}, "b": {"$dynamicAnchor": "n"}}}),
            json!(1),
            3,
        ),
        (json!({"enum": [1, 2, 3]}), json!(1), 6),
        (json!({"uniqueItems": true}), json!([1, 2]), 7),
        (json!({"required": ["a", "b"]}), json!({}), 3),
        // As much again for the search.
        (json!({"unevaluatedProperties": {}}), json!({"a": 1}), 6),
        (json!({"unevaluatedItems": {}, "contains": {}}), json!([1, 2]), 14),
        (json!({"unevaluatedProperties": {}, "anyOf": [{}]}), json!({}), 5),
    ] {
        assert_eq!(count(&schema, &document).unwrap(), expected, "{schema} {document}");
    }
}

/// A chain of definitions, each of which names the next by these references.
fn chain(length: usize, link: impl Fn(Json) -> Json) -> Json {
    let mut defs: Map<String, Json> =
        (0..length).map(|i| (format!("x{i}"), link(json!({"$ref": format!("#/$defs/x{}", i + 1)})))).collect();
    let leaf = json!({"properties": {"a": {"format": "counted"}}, "items": {"format": "counted"}, "format": "counted"});
    defs.insert(format!("x{length}"), leaf);
    json!({"$defs": defs, "$ref": "#/$defs/x0"})
}

#[test]
fn no_schema_with_any_document_is_checked_for_ever() {
    let numbers = json!((0..150_000).collect::<Vec<i32>>());
    let objects = json!(vec![json!({"a": 1}); 40_000]);
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let keys: Map<String, Json> = (0..20_000).map(|i| (format!("key{i}"), json!(i))).collect();
    let many: Vec<Json> = (0..5000).map(|i| json!(i)).collect();
    let tree = |key: &str| json!({key: [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]});
    for (schema, document) in [
        (chain(40, |next| json!({"anyOf": [next, next]})), json!(1)),
        (chain(40, |next| json!({"oneOf": [next, next]})), json!(1)),
        (chain(40, |next| json!({"allOf": [next, {"not": next}]})), json!(1)),
        (chain(40, |next| json!({"if": next, "then": next, "else": next})), json!(1)),
        (chain(40, |next| json!({"unevaluatedProperties": false, "anyOf": [next, next]})), json!({})),
        (chain(40, |next| json!({"unevaluatedProperties": false, "anyOf": [next]})), json!({})),
        (chain(40, |next| json!({"unevaluatedItems": false, "if": next})), json!(1)),
        (chain(40, |next| json!({"unevaluatedItems": false, "contains": next})), deep.clone()),
        (chain(40, |next| json!({"propertyNames": {"anyOf": [next, next]}, "anyOf": [next, next]})), json!({"a": 1})),
        (chain(1000, |next| json!({"not": next})), json!(1)),
        (json!({"$ref": "#"}), json!(1)),
        (json!({"anyOf": [{"$ref": "#"}]}), json!(1)),
        (tree("anyOf"), deep.clone()),
        (tree("oneOf"), deep.clone()),
        (json!({"contains": {"$ref": "#"}, "items": {"$ref": "#"}, "prefixItems": [{"$ref": "#"}]}), deep),
        (json!({"items": {"enum": many}}), numbers.clone()),
        (json!({"items": {"allOf": vec![json!({}); 1000]}}), numbers.clone()),
        (json!({"uniqueItems": true, "contains": {"const": numbers}}), numbers),
        (json!({"items": {"required": vec!["x"; 1000]}}), objects.clone()),
        (json!({"items": {"properties": keys}}), objects),
        (
            json!({"patternProperties": (0..60).map(|i| (format!("k{i}"), json!({}))).collect::<Map<_, _>>()}),
            json!(keys),
        ),
        (
            json!({"properties": (0..100).map(|i| (format!("k{i}"), json!({"pattern": "x"}))).collect::<Map<_, _>>()}),
            json!({}),
        ),
    ] {
        let shown: String = schema.to_string().chars().take(120).collect();
        let error = count(&schema, &document).expect_err(&shown);
        assert!(matches!(error.kind(), Kind::Limit | Kind::Invalid), "{shown}: {error}");
    }
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// How often a validator looks at texts with the format `counted`.
fn looks(schema: &Json, document: &Json) -> u64 {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    let counted = |_: &str| {
        CALLS.set(CALLS.get() + 1);
        true
    };
    let validator = options.with_format("counted", counted).build(schema).unwrap();
    CALLS.set(0);
    assert!(validator.is_valid(document), "{schema}");
    CALLS.get()
}

#[test]
fn a_validator_never_looks_more_often_than_was_counted() {
    let object = json!({"a": "x"});
    let nested = (0..8).fold(json!("x"), |inner, _| json!([inner]));
    let tree = (0..8).fold(object.clone(), |inner, _| json!({"a": inner}));
    let again =
        json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"format": "counted"}], "unevaluatedProperties": false});
    let mut most = 0;
    for (schema, document) in [
        (chain(8, |next| json!({"anyOf": [next], "unevaluatedProperties": false})), &object),
        (chain(8, |next| json!({"anyOf": [next], "unevaluatedItems": false})), &json!(["x"])),
        (chain(8, |next| json!({"allOf": [next], "unevaluatedProperties": false})), &object),
        (chain(8, |next| json!({"oneOf": [next], "unevaluatedProperties": {}})), &object),
        (chain(5, |next| json!({"if": next, "then": next, "unevaluatedProperties": false})), &object),
        (chain(8, |next| json!({"dependentSchemas": {"a": next}, "unevaluatedProperties": false})), &object),
        (chain(8, |next| json!({"contains": next, "unevaluatedItems": false})), &nested),
        (chain(8, |next| json!({"items": next, "unevaluatedItems": next})), &nested),
        (chain(4, |next| json!({"allOf": [next, next], "unevaluatedProperties": false})), &object),
        (chain(8, |next| json!({"allOf": [next, next]})), &object),
        (again, &tree),
    ] {
        let (counted, looks) = (count(&schema, document).unwrap(), looks(&schema, document));
        assert!(counted >= looks, "{schema}: {counted} {looks}");
        most = most.max(looks);
    }
    assert!(most > 1000, "{most}");
}

#[test]
fn what_is_data_in_a_schema_is_no_schema() {
    let data = json!({"$id": "x", "pattern": "y", "$anchor": "z", "patternProperties": {"p": {}}});
    for key in ["const", "default"] {
        let schema = json!({"properties": {"a": {key: data, "enum": [data], "examples": [data]}}});
        assert_eq!(Schemas::of(&schema).unwrap().patterns, 0);
        count(&schema, &json!({})).unwrap();
        for reference in ["#z".to_owned(), format!("#/properties/a/{key}"), "#/properties/a/enum/0".into()] {
            let error = count(&json!({"allOf": [schema, {"$ref": reference.replace("#/", "#/allOf/0/")}]}), &json!(1));
            assert!(error.unwrap_err().to_string().contains("the schema has no"), "{reference}");
        }
    }
    // A property may have the name of a keyword.
    let schema = json!({"properties": {"default": {"pattern": "x", "$anchor": "d"}}, "allOf": [{"$ref": "#d"}]});
    assert_eq!(Schemas::of(&schema).unwrap().patterns, 1);
    count(&schema, &json!({"default": "x"})).unwrap();
}

#[test]
fn a_schema_of_a_tree_is_counted_once_for_every_part_of_the_document() {
    let schema = json!({"$defs": {"tree": {"properties": {"children": {"items": {"$ref": "#/$defs/tree"}}}}}, "$ref": "#/$defs/tree"});
    let leaf = json!({"children": []});
    let one = count(&schema, &json!({"children": [leaf]})).unwrap();
    let many = count(&schema, &json!({"children": vec![leaf; 1000]})).unwrap();
    assert!(many < one * 1000 && many > 1000, "{one} {many}");
}

#[test]
fn a_reference_that_leads_out_of_the_schema_is_an_error() {
    for (schema, message) in [
        (json!({"$ref": "file:///etc/passwd"}), "has no `file:///etc/passwd`"),
        (json!({"$ref": "#/$defs/x"}), "has no `#/$defs/x`"),
        (json!({"$ref": "#x"}), "has no `#x`"),
        (json!({"$defs": {"a": {"$id": "http://x/"}}}), "only the whole may have one"),
    ] {
        let error = count(&schema, &json!(1)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    assert_eq!(
        count(&json!({"$id": "https://example.com/x", "$ref": "#/$defs/a", "$defs": {"a": true}}), &json!(1)).unwrap(),
        2
    );
}

#[test]
fn a_regular_expression_costs_as_much_as_it_is_large_and_its_text_long() {
    let large = "^[ab]*a[ab]{1000}c$";
    let long = "ab".repeat(450_000);
    let counted = |schema: Json, document: &Json| count(&schema, document).map_err(|e| e.kind());
    for (schema, document) in [
        (json!({"pattern": large}), json!(long)),
        (json!({"properties": {"a": {"pattern": large}}}), json!({"a": long})),
        (json!({"patternProperties": {large: {}}}), json!({long.as_str(): 1})),
        (json!({"propertyNames": {"pattern": large}}), json!({long.as_str(): 1})),
        (json!({"items": {"pattern": large}}), json!(vec!["ab".repeat(450); 1000])),
    ] {
        assert_eq!(counted(schema.clone(), &document), Err(Kind::Limit), "{schema}");
    }
    let small = "^[a-z0-9]+([._-][a-z0-9]+)*$";
    assert!(counted(json!({"pattern": small}), &json!(long)).unwrap() < MAX_VISITS);
    let names = json!(vec!["a-usual.name_1"; 10_000]);
    assert!(counted(json!({"items": {"pattern": small}}), &names).unwrap() < MAX_VISITS);
    assert!(counted(json!({"items": {"pattern": large}}), &json!(["a", "b"])).unwrap() < 1000);
}
