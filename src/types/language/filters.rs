//! The filters and tests of expressions.

use minijinja::{Environment, ErrorKind, Value, filters, tests};

/// Length limit of the output of a template or filter, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;

/// All filters.
pub(super) const FILTERS: [&str; 28] = [
    "lower",
    "upper",
    "trim",
    "replace",
    "join",
    "split",
    "lines",
    "length",
    "default",
    "int",
    "float",
    "string",
    "bool",
    "first",
    "last",
    "list",
    "items",
    "sort",
    "reverse",
    "unique",
    "min",
    "max",
    "sum",
    "map",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
];

/// All tests.
pub(super) const TESTS: [&str; 11] =
    ["none", "string", "number", "boolean", "mapping", "sequence", "startingwith", "endingwith", "in", "eq", "ne"];

pub(super) fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("lower", filters::lower);
    env.add_filter("upper", filters::upper);
    env.add_filter("trim", filters::trim);
    env.add_filter("replace", replace_all);
    env.add_filter("join", join_items);
    env.add_filter("split", filters::split);
    env.add_filter("lines", filters::lines);
    env.add_filter("length", filters::length);
    env.add_filter("default", filters::default);
    env.add_filter("int", filters::int);
    env.add_filter("float", filters::float);
    env.add_filter("string", filters::string);
    env.add_filter("bool", filters::bool);
    env.add_filter("first", |v: Value| v.try_iter().ok().and_then(|mut i| i.next()).unwrap_or_else(|| ().into()));
    env.add_filter("last", |v: Value| v.try_iter().ok().and_then(Iterator::last).unwrap_or_else(|| ().into()));
    env.add_filter("list", filters::list);
    env.add_filter("items", filters::items);
    env.add_filter("sort", filters::sort);
    env.add_filter("reverse", filters::reverse);
    env.add_filter("unique", filters::unique);
    env.add_filter("min", filters::min);
    env.add_filter("max", filters::max);
    env.add_filter("sum", filters::sum);
    env.add_filter("map", filters::map);
    env.add_filter("select", filters::select);
    env.add_filter("reject", filters::reject);
    env.add_filter("selectattr", filters::selectattr);
    env.add_filter("rejectattr", filters::rejectattr);
}

pub(super) fn add_tests(env: &mut Environment<'static>) {
    env.add_test("none", tests::is_none);
    env.add_test("string", tests::is_string);
    env.add_test("number", tests::is_number);
    env.add_test("boolean", tests::is_boolean);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("in", tests::is_in);
    env.add_test("eq", tests::is_eq);
    env.add_test("ne", tests::is_ne);
}

/// `replace` with a size limit: the result of minijinja's own can grow with the product of two lengths.
fn replace_all(text: String, from: String, to: String) -> Result<String, minijinja::Error> {
    let matches = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&from).count() };
    check_length(text.len().saturating_add(matches.saturating_mul(to.len())))?;
    Ok(text.replace(&from, &to))
}

fn join_items(items: Value, with: Option<String>) -> Result<String, minijinja::Error> {
    let with = with.unwrap_or_default();
    let mut out = String::new();
    for (i, item) in items.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(&with);
        }
        out.push_str(&if item.is_none() { String::new() } else { item.to_string() });
        check_length(out.len())?;
    }
    Ok(out)
}

fn check_length(len: usize) -> Result<(), minijinja::Error> {
    if len <= MAX_TEXT {
        return Ok(());
    }
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("the text is longer than {MAX_TEXT} bytes")))
}
