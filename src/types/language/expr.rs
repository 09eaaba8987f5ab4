//! The expression engine: templates give strings, expressions give values; neither can read, write, loop for ever or
//! grow without bound.
//!
//! Jinja's syntax, evaluated by `minijinja` with strict undefined names, a fuel limit, no loader and an explicit list
//! of filters and tests. A name or key that may exist and does not (an optional field) is *blank*: it prints as
//! nothing, is false in a condition, and has no items. A name that cannot exist is an error.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use minijinja::{
    Environment, ErrorKind, Expression, Output, State, UndefinedBehavior, Value, filters, tests, value::ValueKind,
};
use regex::Regex;

use super::{scope::Scope, values};
use crate::{
    document::nearest,
    error::{Error, Result},
};

/// Instructions that one evaluation may execute.
const FUEL: u64 = 1_000_000;
/// Longest template or expression, in bytes.
pub(super) const MAX_SOURCE: usize = 4096;
/// Longest text that a template, or one filter in it, may produce, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// All filters.
const FILTERS: [&str; 28] = [
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
const TESTS: [&str; 11] =
    ["none", "string", "number", "boolean", "mapping", "sequence", "startingwith", "endingwith", "in", "eq", "ne"];

/// Whether a string is a template, or stands for itself.
pub(in crate::types) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Evaluates the templates and expressions of one definition. Each is compiled when it is first seen, which is when the
/// definition is checked, and never again; clones share what was compiled.
#[derive(Clone)]
pub(in crate::types) struct Engine(Arc<Compiled>);

struct Compiled {
    /// Keeps the templates, under their texts.
    env: Environment<'static>,
    templates: Once<Names>,
    expressions: Once<(Expression<'static, 'static>, Names)>,
}

/// The names that a template or an expression uses, with their attributes: `chart.name`.
type Names = BTreeSet<String>;

/// What was made of texts, each once.
struct Once<T> {
    made: Mutex<HashMap<String, Arc<T>>>,
}

impl<T> Once<T> {
    fn new() -> Self {
        Self { made: Mutex::new(HashMap::new()) }
    }

    fn get(&self, text: &str, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(text) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(make()?);
        made.insert(text.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}

/// What the language has.
fn language() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_formatter(print);
    add_filters(&mut env);
    add_tests(&mut env);
    env
}

impl Engine {
    /// The engine for reading a source.
    pub(in crate::types) fn new() -> Self {
        Self::with(language())
    }

    /// The engine for naming files: what is interpolated may not bring in a separator, unless it was checked as a path.
    pub(in crate::types) fn for_paths() -> Self {
        let mut env = language();
        env.set_formatter(print_name);
        Self::with(env)
    }

    fn with(mut env: Environment<'static>) -> Self {
        // A template has its text for a name: this reads nothing.
        env.set_loader(|text| Ok(Some(text.to_owned())));
        Self(Arc::new(Compiled { env, templates: Once::new(), expressions: Once::new() }))
    }

    /// The text of a template; a string without `{{` is its own text.
    pub(in crate::types) fn text(&self, template: &str, scope: &Scope) -> Result<String> {
        if !is_template(template) {
            return Ok(template.into());
        }
        let names = self.template(template)?;
        let fail = |e| explain(template, &e, &names, scope);
        let mut out = Bounded(Vec::new());
        let compiled = self.0.env.get_template(template).map_err(fail)?;
        compiled.render_captured_to(scope.to_value(), &mut out).map_err(fail)?;
        let text = String::from_utf8_lossy(&out.0).into_owned();
        if values::holds_quote(&text) {
            let message = "a digest is not known yet: quote it alone, with `$expr`";
            return Err(Error::invalid(format!("`{}`: {message}", shorten(template))));
        }
        Ok(text)
    }

    /// The value of an expression.
    pub(in crate::types) fn value(&self, expression: &str, scope: &Scope) -> Result<Value> {
        let compiled = self.expression(expression)?;
        let (code, names) = &*compiled;
        let fail = |e| explain(expression, &e, names, scope);
        let value = code.eval(scope.to_value()).map_err(fail)?;
        if value.is_undefined() { Err(fail(ErrorKind::UndefinedError.into())) } else { Ok(value) }
    }

    /// Whether an expression holds.
    pub(in crate::types) fn truth(&self, expression: &str, scope: &Scope) -> Result<bool> {
        Ok(self.value(expression, scope)?.is_true())
    }

    /// The names that a template or expression uses, with their attributes: `chart.name`.
    ///
    /// Errors: it is malformed, or uses what the language does not have.
    pub(in crate::types) fn names(&self, source: &str, template: bool) -> Result<BTreeSet<String>> {
        match template {
            true if !is_template(source) => Ok(BTreeSet::new()),
            true => self.template(source).map(|names| (*names).clone()),
            false => self.expression(source).map(|compiled| compiled.1.clone()),
        }
    }

    fn template(&self, source: &str) -> Result<Arc<Names>> {
        self.0.templates.get(source, || {
            check_source(source)?;
            #[cfg(test)]
            unit::COMPILED.with(|n| n.set(n.get() + 1));
            let compiled = self.0.env.get_template(source).map_err(|e| malformed(source, &e))?;
            Ok(compiled.undeclared_variables(true).into_iter().collect())
        })
    }

    fn expression(&self, source: &str) -> Result<Arc<(Expression<'static, 'static>, Names)>> {
        static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(language);
        self.0.expressions.get(source, || {
            check_source(source)?;
            #[cfg(test)]
            unit::COMPILED.with(|n| n.set(n.get() + 1));
            let compiled = LANGUAGE.compile_expression_owned(source.to_owned()).map_err(|e| malformed(source, &e))?;
            let names = compiled.undeclared_variables(true).into_iter().collect();
            Ok((compiled, names))
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// What is wrong with a template or an expression that cannot be compiled.
fn malformed(source: &str, error: &minijinja::Error) -> Error {
    explain(source, error, &Names::new(), &Scope::default())
}

/// A writer that refuses to grow.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(std::io::Error::other(format!("a text of more than {MAX_TEXT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Blank prints as nothing.
fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::None => Ok(()),
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        _ if values::is_absent(value) => Ok(()),
        _ => Ok(write!(out, "{value}")?),
    }
}

fn print_name(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let text = value.to_string();
    let harmful = text.chars().any(|c| matches!(c, '/' | '\\' | ':') || c.is_control()) || text.contains("..");
    if harmful && !value.is_safe() {
        let message = format!("`{text}` may not become part of a file name");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    if value.is_none() || text.trim().is_empty() {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "a part of the file name is empty"));
    }
    print(out, state, value)
}

/// `*` repeats strings a hundred million times, blocks other than these assign and accumulate: neither is needed.
fn check_source(source: &str) -> Result<()> {
    static LITERAL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*""#).ok());
    static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?s)\{\{.*?\}\}|\{%.*?%\}").ok());
    static BLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{%[-+]?\s*(\w+)").ok());
    if source.len() > MAX_SOURCE {
        return Err(Error::limit(format!("an expression of {} bytes; {MAX_SOURCE} are allowed", source.len())));
    }
    let bare = LITERAL.as_ref().map_or_else(|| source.into(), |r| r.replace_all(source, "''"));
    let starred = match CODE.as_ref().filter(|_| is_template(source)) {
        Some(code) => code.find_iter(&bare).any(|m| m.as_str().contains('*')),
        None => bare.contains('*'),
    };
    if starred {
        return Err(Error::invalid(format!("`{}`: there is no `*` in expressions", shorten(source))));
    }
    let blocks = BLOCK.iter().flat_map(|r| r.captures_iter(&bare)).filter_map(|c| c.get(1));
    for block in blocks.map(|m| m.as_str()) {
        if !matches!(block, "for" | "endfor" | "if" | "elif" | "else" | "endif") {
            return Err(Error::invalid(format!("`{}`: there is no `{{% {block} %}}` here", shorten(source))));
        }
    }
    match CODE.as_ref().filter(|_| is_template(source)) {
        Some(code) => code.find_iter(&bare).try_for_each(|m| check_words(m.as_str(), source)),
        None => check_words(&bare, source),
    }
}

/// The engine looks filters and tests up when it comes to them; here, a missing one is found before.
fn check_words(code: &str, source: &str) -> Result<()> {
    static FILTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\|\s*([A-Za-z_]\w*)").ok());
    static TEST: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bis\s+(?:not\s+)?([A-Za-z_]\w*)").ok());
    for (regex, known, what) in [(&FILTER, &FILTERS[..], "filter"), (&TEST, &TESTS[..], "test")] {
        let used = regex.iter().flat_map(|r| r.captures_iter(code)).filter_map(|c| c.get(1));
        if let Some(name) = used.map(|m| m.as_str()).find(|name| !known.contains(name)) {
            let message = unknown_name(&format!("the {what}"), name, known.iter().copied());
            return Err(Error::invalid(format!("`{}`: {message}", shorten(source))));
        }
    }
    Ok(())
}

/// What went wrong, and for an unknown name which one was meant.
fn explain(source: &str, error: &minijinja::Error, names: &Names, scope: &Scope) -> Error {
    let shown = shorten(source);
    if error.kind() == ErrorKind::UndefinedError {
        for name in names {
            if let Some(message) = scope.unknown(name) {
                return Error::invalid(format!("`{shown}`: {message}"));
            }
        }
        let names: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
        return Error::invalid(format!("`{shown}`: one of {} does not exist", names.join(", ")));
    }
    let kind = error.to_string();
    let mut message = kind.split(" (in ").next().unwrap_or(&kind).replace('\n', " ");
    if let Some(cause) = std::error::Error::source(error) {
        message = format!("{message}: {cause}");
    }
    Error::invalid(format!("`{shown}`: {message}"))
}

/// The first 80 characters of a template, on one line.
fn shorten(source: &str) -> String {
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

/// `chart.nam` is unknown: the sentence that says so, with the nearest known name.
pub(in crate::types) fn unknown_name<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("{what} `{name}` does not exist; did you mean `{near}`"),
        None => format!("{what} `{name}` does not exist"),
    }
}

fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("lower", filters::lower);
    env.add_filter("upper", filters::upper);
    env.add_filter("trim", filters::trim);
    env.add_filter("replace", replace);
    env.add_filter("join", join);
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

fn add_tests(env: &mut Environment<'static>) {
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

/// The library's own `replace` and `join` would multiply two lengths.
fn replace(text: String, from: String, to: String) -> Result<String, minijinja::Error> {
    let matches = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&from).count() };
    bounded(text.len().saturating_add(matches.saturating_mul(to.len())))?;
    Ok(text.replace(&from, &to))
}

fn join(items: Value, with: Option<String>) -> Result<String, minijinja::Error> {
    let with = with.unwrap_or_default();
    let mut out = String::new();
    for (i, item) in items.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(&with);
        }
        out.push_str(&if item.is_none() { String::new() } else { item.to_string() });
        bounded(out.len())?;
    }
    Ok(out)
}

fn bounded(len: usize) -> Result<(), minijinja::Error> {
    if len <= MAX_TEXT {
        return Ok(());
    }
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("a text of more than {MAX_TEXT} bytes")))
}

#[cfg(test)]
mod unit {
    use std::cell::Cell;

    use super::*;
    use crate::{
        source::Source,
        types::{ArtifactType, Inputs, Origin},
    };

    thread_local! {
        /// How many templates and expressions this thread has compiled.
        pub(super) static COMPILED: Cell<usize> = const { Cell::new(0) };
    }

    /// Nine texts: six templates, one of them twice, and three expressions. What holds no `{{` is none.
    const MANY: &str = r#"
apiVersion: artifact-type/v1
kind: ArtifactType
metadata: {name: many}
detect: [{form: tree, dir: {}}]
source: {sets: {all: {dir: "."}}}
vars: {kind: "text/{{ source.name | length }}"}
config: {mediaType: application/json, value: {names: {$each: layers, value: "{{ item.id }}"}}}
layers:
  items:
    - id: file
      each: [all]
      when: "form == 'tree'"
      title: "{{ file.path | lower }}"
      mediaType: "{{ vars.kind }}"
      annotations: {one: "{{ file.stem }}-{{ file.size }}", same: "{{ file.path | lower }}", two: {$expr: "file.name"}}
manifest: {annotations: [{set: {all: "{{ layers | length }}"}}]}
"#;

    #[test]
    fn a_definition_is_compiled_when_it_is_read_and_files_compile_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..1000 {
            std::fs::write(dir.path().join(name.to_string()), "x").unwrap();
        }
        COMPILED.set(0);
        let kind = Arc::new(ArtifactType::parse(MANY, Origin::Builtin("many".into())).unwrap());
        assert_eq!(COMPILED.get(), 9);
        let source = Source::open(dir.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(kind.plan(&source, &Inputs::default()).unwrap().manifest().unwrap().layers.len(), 1000);
        }
        assert_eq!(COMPILED.get(), 9);
    }

    #[test]
    fn every_listed_filter_and_test_is_there() {
        let env = language();
        for filter in FILTERS {
            let called =
                env.compile_expression(&format!("x | {filter}")).unwrap().eval(minijinja::context! { x => "1" });
            assert!(!called.is_err_and(|e| e.kind() == ErrorKind::UnknownFilter), "{filter}");
        }
        for test in TESTS {
            let called =
                env.compile_expression(&format!("x is {test}('1')")).unwrap().eval(minijinja::context! { x => "1" });
            assert!(!called.is_err_and(|e| e.kind() == ErrorKind::UnknownTest), "{test}");
        }
    }
}
