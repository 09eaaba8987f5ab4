//! What no template, expression or typed value can do, whatever the document.

use serde_json::{Value as Json, json};

use super::{
    cost::{Account, MAX_STEPS},
    expr::Engine,
    json::size,
    schema::Schema,
    scope::Scope,
    typed,
    values::Value,
};
use crate::error::{Error, Kind, Result};

/// Documents of about a MiB, which is the most that a source may have, in shapes that cost most.
fn hostile_documents() -> Vec<(&'static str, Json)> {
    let texts: Vec<String> = (0..60_000).map(|i| format!("{i:012}")).collect();
    let mut long = texts.clone();
    long.push("y".repeat(200_000));
    let deep = (0..100).fold(json!([1]), |inner, _| json!([inner, 1]));
    let objects: Vec<Json> = (0..40_000).map(|i| json!({"n": i, "e": {}})).collect();
    vec![
        ("one long text", json!("x".repeat(900_000))),
        ("letters that grow", json!("\u{130}ŉΐ".repeat(120_000))),
        ("lines", json!("a\n".repeat(450_000))),
        ("many numbers", json!((0..150_000).collect::<Vec<i32>>())),
        ("many texts", json!(texts)),
        ("many short texts and a long one", json!(long)),
        ("many empty lists", json!(vec![json!([]); 300_000])),
        ("many objects", json!(objects)),
        ("a large map", Json::Object(texts.iter().map(|key| (key.clone(), json!(1))).collect())),
        ("a deep list", deep),
        ("lists of equal lists", json!(vec![json!(vec![1; 300]); 300])),
        ("equal texts", json!(vec!["x".repeat(900); 1000])),
        ("nothing", json!(null)),
    ]
}

/// Expressions that make much of `d`, or look at it often. Each must end, whatever `d` is.
fn hostile_expressions() -> Vec<String> {
    let many = |what: &str, times: usize, between: &str| vec![what; times].join(between);
    let mut all: Vec<String> = [
        "d | list | sort | reverse | unique | join('') | length",
        "d | sort(attribute='n,e') | list",
        "d | sort(reverse=true, case_sensitive=true)",
        "d | unique | sort | list",
        "d | map('string') | map('upper') | map('lower') | list | join(d)",
        "d | map('map', 'string') | list",
        "d | map('join', d) | list",
        "d | map('replace', '', d) | list",
        "d | map('sort') | map('unique') | list",
        "d | select('in', d) | list",
        "d | reject('eq', d) | list",
        "d | selectattr('n', 'in', d) | list",
        "d | map('trim', 'xyzabcdefghijklmnopqrstuvwxyz') | list",
        "d | trim(d)",
        "d | replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy')",
        "d | replace('', d)",
        "d | join(d | string)",
        "d | split('') | map('list') | list",
        "d | split | list",
        "d | lines | map('split', '') | list",
        "d | items | list | map('list') | sort",
        "d | items | map('join', '.') | sort | min",
        "d | min ~ d | max",
        "d | sum",
        "d | string | string | list | string",
        "d | string | upper | lower | reverse | trim | length",
        "d[::-1][::-1][::-1][::2]",
        "d[1:][1:][1:][1:] | list | length",
        "d == d and d <= d and d in d",
        "[d] | select('in', [d]) | list",
        "[d, d, d, d] | map('list') | map('sort') | list",
        "[[d, d], [d, d]] | string",
        "{'a': d, 'b': [d, d]} | string",
        "{'a': d} == {'a': d}",
        "d ~ d ~ d ~ d",
        "d + d + d + d",
        "(d + d) | map('list') | list",
        "d | first | last | first",
        "d | default(d, true) | list",
        "d | int",
        "'9' ~ d | int",
    ]
    .map(String::from)
    .into();
    all.push(format!("[{}] | length", many("d | list", 300, ",")));
    all.push(format!("[{}] | length", many("d | split('')", 250, ",")));
    all.push(format!("[{}] | length", many("d | upper", 300, ",")));
    all.push(format!("[{}] | length", many("d | string", 300, ",")));
    all.push(format!("[{}] | length", many("d[::-1]", 300, ",")));
    all.push(format!("[{}] | length", many("d == d", 300, ",")));
    all.push(format!("[{}] | length", many("'z' in d", 300, ",")));
    all.push(format!("({}) | length", many("d", 1000, "~")));
    all.push(format!("{{{}}} | length", many("'a': d | list", 200, ",")));
    all
}

fn hostile_templates() -> Vec<String> {
    let nested = |open: &str, times: usize| open.repeat(times) + "x" + &"{% endfor %}".repeat(times);
    vec![
        nested("{% for a in d %}", 3),
        nested("{% for a in d %}", 50),
        nested("{% for a in d if d | length %}", 3),
        nested("{% for a in d | sort %}", 2),
        "{% for a in d %}{{ a in d }}{% endfor %}".into(),
        "{% for a in d %}{% for b in d %}{{ a == b }}{% endfor %}{% endfor %}".into(),
        "{% for a in d %}{{ d | string | length }}{% endfor %}".into(),
        "{% for a in d %}{{ d }}{% endfor %}".into(),
        "{% for a in d %}{{ loop.previtem ~ loop.nextitem ~ d }}{% endfor %}".into(),
        "{% for k in d %}{{ d[k] }}{% endfor %}".into(),
        "{{ d }}".repeat(400),
        "{% if d == d %}{{ d }}{% endif %}".repeat(100),
    ]
}

/// Steps of an evaluation in these tests, so that they are quick.
const FEW: u64 = MAX_STEPS / 20;

/// The steps that something took. Errors are those of limits and of kinds that do not fit.
fn cost(document: &Json, run: impl FnOnce(&Engine, &Scope) -> Result<()>) -> (u64, u64, Option<Error>) {
    let scope = Scope::new(Account::with_steps(FEW)).with("d", Value::of(document));
    let error = run(&Engine::new(), &scope).err();
    let (steps, bytes) = scope.account().so_far();
    assert!(error.as_ref().is_none_or(|e| matches!(e.kind(), Kind::Limit | Kind::Invalid)), "{error:?}");
    (steps, bytes, error)
}

#[test]
fn no_template_or_expression_takes_more_than_its_steps_whatever_the_document() {
    let (mut limited, mut finished) = (0, 0);
    for (shape, document) in hostile_documents() {
        let mut check = |text: &str, (steps, bytes, error): (u64, u64, Option<Error>)| {
            assert!(steps <= FEW, "{text} of {shape}: {steps}");
            assert!(bytes <= 1 << 20, "{text} of {shape}: {bytes}");
            match error {
                Some(error) if error.kind() == Kind::Limit => limited += 1,
                Some(_) => {}
                None => finished += 1,
            }
        };
        for text in hostile_expressions() {
            check(&text, cost(&document, |engine, scope| engine.value(&text, scope).map(drop)));
        }
        for text in hostile_templates() {
            check(&text, cost(&document, |engine, scope| engine.text(&text, scope).map(drop)));
        }
    }
    assert!(limited > 100 && finished > 100, "{limited} {finished}");
}

#[test]
fn what_all_evaluations_for_a_source_take_and_leave_behind_has_limits_too() {
    let document = json!(vec!["x".repeat(900); 1000]);
    let each = json!({"$each": "d", "value": {"$each": "d", "as": "b", "value": ["plain", "{{ b }}"]}});
    let literal = json!({"$each": "d", "value": "y".repeat(100_000)});
    let picked = json!({"$pick": {"from": "{'d': d}", "fields": vec!["d"; 10_000]}});
    let many: Vec<Json> = vec![json!({"$expr": "d | join"}); 1000];
    for tree in [each, literal, picked, json!(many)] {
        let (steps, bytes, error) = cost(&document, |engine, scope| typed::evaluate(&tree, engine, scope).map(drop));
        assert_eq!(error.map(|e| e.kind()), Some(Kind::Limit));
        assert!(steps <= 5 * FEW && bytes <= 32 << 20, "{steps} {bytes}");
    }
    // Files have room of their own.
    let scope = Scope::default().with("d", Value::of(&json!("x".repeat(1000))));
    scope.account().has_files(100_000);
    for _ in 0..100_000 {
        Engine::new().text("{{ d }}", &scope).unwrap();
    }
}

#[test]
fn what_the_language_lacks_is_refused_by_its_name_wherever_it_stands() {
    for (text, message) in [
        ("it's {% set a = 'x' %}{{ a }} it's", "do not support `{% set %}`"),
        ("{% set a %}x{% endset %}", "do not support `{% set %}`"),
        ("it's {{ 'x' * 9 }} it's", "do not support `*`"),
        ("5\" {{ 2 ** 9 }} 5\"", "do not support `**`"),
        ("{# ' #}{{ 'x' * 9 }}{# ' #}", "do not support `*`"),
        ("{% macro m() %}{% endmacro %}", "do not support `{% macro %}`"),
        ("'{% include '/etc/passwd' %}'", "do not support `{% include %}`"),
        ("{% import 'x' as y %}", "do not support `{% import %}`"),
        ("{% block a %}{% endblock %}", "do not support `{% block %}`"),
        ("{% with a = 1 %}{{ a }}{% endwith %}", "do not support `{% with %}`"),
        ("{% filter upper %}a{% endfilter %}", "do not support `{% filter %}`"),
        ("{% do layer('a') %}", "do not support `{% do %}`"),
        ("{% autoescape true %}{% endautoescape %}", "do not support `{% autoescape %}`"),
        ("{% for a in d recursive %}{{ loop(a) }}{% endfor %}", "`{% for … recursive %}`"),
        ("{% for a in d %}{{ loop(a) }}{% endfor %}", "the function `loop` does not exist"),
        ("{{ range(9) }}", "the function `range` does not exist"),
        ("{{ d.upper() }}", "the function `upper` does not exist"),
        ("{{ [d][0]() }}", "do not support calling"),
        ("{{ d | open }}", "the filter `open` does not exist"),
        ("{{ d | lowr }}", "did you mean `lower`"),
        ("{{ d is defined }}", "the test `defined` does not exist"),
        ("{{ d | join(*d) }}", "`*` and `**` in arguments"),
        ("{{ d | join(**d) }}", "`*` and `**` in arguments"),
        ("{{ layer() }}", "`layer` takes one title"),
    ] {
        let error = Engine::new().names(text, true).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
        // A text that only looks like one of these is none.
        let within = format!("{{{{ {:?} }}}}", text.replace(['{', '}'], ""));
        Engine::new().names(&within, true).unwrap();
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let nest = |open: &str, inner: &str, close: &str, times: usize| open.repeat(times) + inner + &close.repeat(times);
    for text in [
        nest("(", "1", ")", 1500),
        nest("[", "", "]", 1500),
        nest("not ", "1", "", 900),
        nest("-", "1", "", 3900),
        nest("- ", "1", "", 1900),
        nest("1 if ", "1", "", 600),
        nest("1 if 1 else ", "1", "", 300),
        nest("", "d", ".a", 1800),
        nest("", "d", "[0]", 1200),
        nest("", "d", "|upper", 580),
        nest("", "d", " is none", 450),
        nest("", "d", "+d", 2000),
        nest("", "d", " and d", 600),
    ] {
        let error = Engine::new().names(&text, false).unwrap_err();
        assert!(matches!(error.kind(), Kind::Limit | Kind::Invalid), "{text}: {error}");
    }
    let blocks = nest("{% if 1 %}", "", "{% endif %}", 190);
    assert!(Engine::new().names(&blocks, true).is_err());
    // What the parser nests without meaning to is no nesting here.
    let joined = nest("", "'a'", "~'a'", 500);
    assert_eq!(Engine::new().json(&joined, &Scope::default()).unwrap(), json!("a".repeat(501)));
    let deep = (0..60).fold(json!("x"), |inner, _| json!([inner]));
    let scope = Scope::default().with("d", Value::of(&deep));
    for text in ["d | string", "d == d", "d < d", "d | map('string') | list"] {
        Engine::new().value(text, &scope).unwrap();
    }
}

#[test]
fn what_the_parser_nests_without_a_limit_of_its_own_is_counted_before_it_parses() {
    let chain = |between: &str, times: usize| format!("{{%if 1%}}{}{{%endif%}}", between.repeat(times));
    let target = |times: usize| format!("{{%for {}a{} in [] %}}{{%endfor%}}", "(".repeat(times), ")".repeat(times));
    let choice = |times: usize| format!("{{{{{}1}}}}", "1 if 1 else ".repeat(times));
    let refused = [
        (chain("{%elif 1%}", 400), "more than 64 `else` and `elif`"),
        (chain("{%elif 1%}{%if 1%}{%endif%}", 140), "more than 64 `else` and `elif`"),
        (choice(330), "more than 64 `else` and `elif`"),
        (target(2000), "more than 64 parentheses in parentheses"),
    ];
    let read = [chain("{%elif 1%}", 50), choice(50), target(1), "{{ 1 if (1) else (2) }}".repeat(64)];
    let small = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for (text, limit) in refused {
            let error = Engine::new().names(&text, true).unwrap_err().to_string();
            assert!(error.contains(limit), "{error}");
        }
        for text in read {
            Engine::new().names(&text, true).unwrap();
        }
    });
    small.unwrap().join().unwrap();
}

#[test]
fn equal_numbers_that_are_not_equal_to_a_third_are_sorted_all_the_same() {
    let numbers: Vec<Json> = (0..500)
        .map(|i| if i % 3 == 0 { json!(9_007_199_254_740_992.0) } else { json!(9_007_199_254_740_990_i64 + i % 5) })
        .collect();
    let scope = Scope::default().with("d", Value::of(&json!(numbers)));
    assert_eq!(Engine::new().json("d | sort | length", &scope).unwrap(), json!(500));
    let texts = ["b", "A", "c", "a", "B"];
    let scope = Scope::default().with("d", Value::of(&json!(texts)));
    for (expression, expected) in [
        ("d | sort", json!(["A", "a", "b", "B", "c"])),
        ("d | sort(case_sensitive=true)", json!(["A", "B", "a", "b", "c"])),
        ("d | sort(reverse=true)", json!(["c", "b", "B", "A", "a"])),
        ("d | unique", json!(["b", "A", "c"])),
        ("d | min", json!("A")),
        ("d | max", json!("c")),
    ] {
        assert_eq!(Engine::new().json(expression, &scope).unwrap(), expected, "{expression}");
    }
}

#[test]
fn a_missing_property_costs_nothing_until_it_is_used() {
    let properties: Vec<(String, Json)> =
        (0..100).map(|i| (format!("p{i}"), json!({"default": "x".repeat(1000)}))).collect();
    let schema = json!({"items": {"properties": properties.into_iter().collect::<serde_json::Map<_, _>>()}});
    let document = json!(vec![json!({}); 100_000]);
    let scope = Scope::default().with("d", Value::view(&document, Some(Schema::of(&schema))));
    let value = Engine::new().json("d[99999].p99 | length", &scope).unwrap();
    assert_eq!(value, json!(1000));
    assert!(scope.account().so_far().0 < 100);
    assert!(size(&document) > 8_000_000);
}

#[test]
fn what_a_typed_value_leaves_behind_is_counted_with_its_keys() {
    let document = json!(vec![json!({"a": 1, "b": {"c": ""}}); 100]);
    let long = "k".repeat(2000);
    let picks = [
        json!([format!("{long}!")]),
        json!(["none", "a"]),
        json!(["none!"]),
        json!([{"b": ["c", "d!"]}]),
        json!([{"b!": ["e"]}, {"f!": ["g"]}]),
    ];
    let picks = picks.map(|fields| json!({"$pick": {"from": "d", "fields": fields}}));
    let others = [json!({long: 1}), json!({"$each": "d", "value": []}), json!({"$each": "d", "value": {"a": {}}})];
    for tree in picks.iter().chain(&others) {
        let scope = Scope::default().with("d", Value::of(&document));
        let value = typed::evaluate(tree, &Engine::new(), &scope).unwrap().unwrap();
        let (_, kept) = scope.account().so_far();
        assert!(size(&value) as u64 <= kept, "{tree}: {} of {kept}", size(&value));
    }
    let fields = vec![format!("{}!", "k".repeat(20_000))];
    let pick = json!({"$pick": {"from": "d", "fields": fields}});
    let scope = Scope::default().with("d", Value::of(&json!(vec![json!({}); 100_000])));
    let error = typed::evaluate(&pick, &Engine::new(), &scope).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{error}");
}

#[test]
fn every_part_of_an_attribute_takes_a_step() {
    let item = (0..50).fold(json!(1), |inner, _| json!([inner]));
    let scope = Scope::default().with("d", Value::of(&json!(vec![item; 100])));
    let path = vec!["0"; 50].join(".");
    assert_eq!(Engine::new().json(&format!("d | map(attribute='{path}') | sum"), &scope).unwrap(), json!(100));
    assert!(scope.account().so_far().0 >= 50 * 100);
}
