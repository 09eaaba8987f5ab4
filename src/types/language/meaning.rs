//! What expressions mean where it is easy to get wrong.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde_json::{Value as Json, json};

use super::{
    cost::Meter,
    expr::Engine,
    scope::Scope,
    values::{Lazy, Value},
};
use crate::{
    error::Result,
    plan::{Quote, Quoted},
};

fn quote(layer: usize) -> Value {
    Value::Quote(Quote { layer, value: Quoted::Digest })
}

fn json_of(expression: &str) -> Result<Json> {
    let scope = Scope::default().with("a", quote(0)).with("b", quote(1)).with("big", Value::Int(1 << 64));
    Engine::new().json(expression, &scope)
}

#[test]
fn what_is_equal_is_so_in_lists_and_maps_too() {
    for equal in [
        "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
        "[{'a': 1, 'b': 2}] == [{'b': 2, 'a': 1}]",
        "{'x': [{'a': 1, 'b': 2}]} == {'x': [{'b': 2, 'a': 1}]}",
        "a == a",
        "[a] == [a]",
        "{'x': [a, 1]} == {'x': [a, 1]}",
        "[1, 2] == [1.0, 2.0]",
        "[[a]] | select('eq', [a]) | length == 1",
        "[{'a': 1, 'b': 2}, {'b': 2, 'a': 1}] | unique | length == 1",
        "{'a': 1, 'b': 2} <= {'b': 2, 'a': 1}",
    ] {
        assert_eq!(json_of(equal).unwrap(), json!(true), "{equal}");
    }
    for unequal in
        ["[a] == [b]", "[1] == [1, 2]", "[{'a': 1}] == [{'a': 2}]", "[1] == 1", "[] == {}", "[a] == [1, 2]", "{} == a"]
    {
        assert_eq!(json_of(unequal).unwrap(), json!(false), "{unequal}");
    }
    // Keys decide before values that have no order.
    assert_eq!(json_of("{'a': a} < {'b': b}").unwrap(), json!(true));
    assert!(json_of("{'a': a} < {'a': b}").unwrap_err().to_string().contains("cannot be compared"));
}

#[test]
fn a_character_beyond_the_end_of_a_text_is_blank_as_an_item_of_a_list_is() {
    for (expression, expected) in [
        ("'äbc'[0]", json!("ä")),
        ("'äbc'[2]", json!("c")),
        ("'äbc'[-1]", json!("c")),
        ("'äbc'[-3]", json!("ä")),
        ("'äbc'[3]", json!(null)),
        ("'äbc'[-4]", json!(null)),
        ("'äbc'[-10]", json!(null)),
        ("''[0]", json!(null)),
        ("'a'[99999999999999999999]", json!(null)),
        ("[1, 2][2]", json!(null)),
        ("[1, 2][-3]", json!(null)),
    ] {
        assert_eq!(json_of(expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn a_key_that_is_given_twice_is_one_key_with_the_later_value() {
    for others in [0, 3, 30] {
        let rest: String = (0..others).map(|i| format!(", 'k{i}': {i}")).collect();
        let map = format!("{{'a': 1, 'z': 0{rest}, 'a': 2, 'a': 3}}");
        for (expression, expected) in [
            (format!("{map}.a"), json!(3)),
            (format!("{map} | length"), json!(others + 2)),
            (format!("{map} | list | first"), json!("a")),
            (format!("{map} | items | first"), json!(["a", 3])),
            (format!("{map} == {{'a': 3, 'z': 0{rest}}}"), json!(true)),
        ] {
            assert_eq!(json_of(&expression).unwrap(), expected, "{expression}");
        }
    }
    assert_eq!(json_of("{'a': 1, 'a': 1} == {'a': 1, 'b': 2}").unwrap(), json!(false));
}

#[test]
fn a_number_that_json_cannot_hold_is_an_error() {
    for (expression, message) in [
        ("1e308 + 1e308", "is no finite number (inf)"),
        ("[0.0 - 1e308 - 1e308]", "is no finite number (-inf)"),
        ("{'x': 1e308 + 1e308 - 1e308 - 1e308}", "is no finite number"),
        ("'nan' | float", "is no finite number (NaN)"),
        ("big", "18446744073709551616 has more than 64 bits"),
        ("0 - big", "-18446744073709551616 has more than 64 bits"),
    ] {
        let error = json_of(expression).unwrap_err().to_string();
        assert!(error.contains(message), "{expression}: {error}");
    }
    assert_eq!(json_of("[big - 1, big | string]").unwrap(), json!([u64::MAX, "18446744073709551616"]));
}

#[test]
fn what_is_no_whole_number_becomes_none_and_the_default_stands_for_it() {
    for (expression, expected) in [
        ("'ff' | int(0, 16)", 255),
        ("'nan' | int(5)", 5),
        ("'inf' | int(5)", 5),
        ("'1e99' | int(5)", 5),
        ("' 1.9 ' | int", 1),
    ] {
        assert_eq!(json_of(expression).unwrap(), json!(expected), "{expression}");
    }
    for bad in ["'nan' | int", "'1e99' | int", "'1' | int(0, 99)", "'1' | int(0, 'x')"] {
        assert!(json_of(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_does_not_exist_in_a_literal_is_named_where_it_is_known() {
    for (expression, message) in
        [("[1][0].x", "the key `x` does not exist"), ("[{'a': 1}] | map(attribute='x')", "a key in it does not exist")]
    {
        let error = json_of(expression).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn a_test_says_how_many_arguments_it_takes() {
    for (expression, message) in [
        ("1 is eq", "`eq` takes one argument"),
        ("1 is eq(1, 2)", "`eq` takes one argument"),
        ("1 is string(1)", "`string` takes no argument"),
        ("1 is eq(x=1)", "`eq` has no argument `x`"),
        ("[] | select('eq')", "`eq` takes one argument"),
        ("[1] | reject('string', 1)", "`string` takes no argument"),
        ("[1] | select('equals', 1)", "the test `equals` does not exist"),
        ("[1] | map('lowr')", "did you mean `lower`"),
    ] {
        let error = json_of(expression).unwrap_err().to_string();
        assert!(error.contains(message), "{expression}: {error}");
    }
}

#[test]
fn a_part_of_a_file_name_has_no_character_that_a_file_name_may_not_have() {
    for text in ["a/b", "a\u{1b}b", "a\u{202e}b", "a\u{2028}b", "a..b", ""] {
        let scope = Scope::default().with("d", text.into());
        Engine::for_paths().text("x-{{ d }}", &scope).expect_err(&format!("{text:?}"));
        Engine::new().text("x-{{ d }}", &scope).unwrap();
    }
    for text in ["Übersicht 概要 می‌خواهم", "a\\b", "a:b", "a\u{200b}b", " "] {
        Engine::for_paths().text("x-{{ d }}", &Scope::default().with("d", text.into())).unwrap();
    }
}

/// Many names, which counts how often all of them are listed.
#[derive(Debug)]
struct Many {
    names: Vec<Arc<str>>,
    listed: AtomicUsize,
}

impl Lazy for Many {
    fn keys(&self) -> Vec<&Arc<str>> {
        self.listed.fetch_add(1, Relaxed);
        self.names.iter().collect()
    }

    fn has(&self, name: &str) -> bool {
        name == "n7"
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn get(&self, name: &str, _: &Arc<Meter>) -> Result<Option<Value>> {
        Ok(self.has(name).then(|| name.into()))
    }
}

#[test]
fn names_made_on_use_are_listed_only_where_each_of_them_is_paid_for() {
    let many =
        Arc::new(Many { names: (0..5000).map(|i| format!("n{i}").into()).collect(), listed: AtomicUsize::new(0) });
    let lazy: Arc<dyn Lazy> = many.clone();
    let steps = |expression: &str| {
        let scope = Scope::default().with("v", Value::Lazy(Arc::clone(&lazy)));
        Engine::new().value(expression, &scope).unwrap();
        (scope.account().so_far().0, many.listed.swap(0, Relaxed))
    };
    for cheap in ["v.n7", "'n7' in v", "'x' in v", "not v", "v is mapping", "v or 1", "1 if v else 2"] {
        let (steps, listed) = steps(cheap);
        assert!(steps < 20 && listed == 0, "{cheap}: {steps} {listed}");
    }
    for dear in ["v | list | length", "v | length", "v | first"] {
        let (steps, listed) = steps(dear);
        assert!(steps > 5000 && listed == 1, "{dear}: {steps} {listed}");
    }
}
