//! The expression engine: templates give strings, expressions give values. Neither can read or write files, run forever
//! or grow without limit.
//!
//! Jinja's syntax, evaluated by `minijinja` with strict undefined names, a fuel limit, no loader and an explicit list
//! of filters and tests. A missing optional name or key is *blank*: it prints as nothing, is false in a condition, and
//! has no items. An undefined name is an error.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use minijinja::{Environment, ErrorKind, Expression, Output, State, UndefinedBehavior, Value, value::ValueKind};

use super::{
    filters::{MAX_TEXT, add_filters, add_tests},
    scope::Scope,
    syntax::{check_source, is_template, shorten_source},
    values,
};
use crate::error::{Error, Result};

/// Limit of instructions per evaluation.
const FUEL: u64 = 1_000_000;

/// Evaluates the templates and expressions of one definition. Each is compiled once, usually when the definition is
/// checked; clones share the compiled code.
#[derive(Clone)]
pub(in crate::types) struct Engine(Arc<Compiled>);

struct Compiled {
    /// The templates, with their texts as names.
    env: Environment<'static>,
    templates: Once<Names>,
    expressions: Once<(Expression<'static, 'static>, Names)>,
}

/// The names that a template or an expression uses, with their attributes: `chart.name`.
type Names = BTreeSet<String>;

/// A cache of values computed from texts, each once.
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

/// The features of the language.
fn language() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_formatter(print_value);
    add_filters(&mut env);
    add_tests(&mut env);
    env
}

impl Engine {
    /// An engine for reading sources.
    pub(in crate::types) fn new() -> Self {
        Self::with(language())
    }

    /// An engine for file names: interpolated values cannot contain separators, unless checked as a path.
    pub(in crate::types) fn for_paths() -> Self {
        let mut env = language();
        env.set_formatter(print_name);
        Self::with(env)
    }

    fn with(mut env: Environment<'static>) -> Self {
        // The template's name is its text: nothing is read.
        env.set_loader(|text| Ok(Some(text.to_owned())));
        Self(Arc::new(Compiled { env, templates: Once::new(), expressions: Once::new() }))
    }

    /// The text of a template; a string without `{{` is its own text.
    pub(in crate::types) fn text(&self, template: &str, scope: &Scope) -> Result<String> {
        if !is_template(template) {
            return Ok(template.into());
        }
        let names = self.template(template)?;
        let fail = |e| explain_failure(template, &e, &names, scope);
        let mut out = Bounded(Vec::new());
        let compiled = self.0.env.get_template(template).map_err(fail)?;
        compiled.render_captured_to(scope.to_value(), &mut out).map_err(fail)?;
        let text = String::from_utf8_lossy(&out.0).into_owned();
        if values::holds_quote(&text) {
            let message = "the digest is not known yet; use it alone, with `$expr`";
            return Err(Error::invalid(format!("`{}`: {message}", shorten_source(template))));
        }
        Ok(text)
    }

    /// The value of an expression.
    pub(in crate::types) fn value(&self, expression: &str, scope: &Scope) -> Result<Value> {
        let compiled = self.expression(expression)?;
        let (code, names) = &*compiled;
        let fail = |e| explain_failure(expression, &e, names, scope);
        let value = code.eval(scope.to_value()).map_err(fail)?;
        if value.is_undefined() { Err(fail(ErrorKind::UndefinedError.into())) } else { Ok(value) }
    }

    /// Whether an expression is true.
    pub(in crate::types) fn truth(&self, expression: &str, scope: &Scope) -> Result<bool> {
        Ok(self.value(expression, scope)?.is_true())
    }

    /// The names that a template or expression uses, with their attributes: `chart.name`.
    ///
    /// Errors: malformed syntax, or an unsupported feature.
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

/// The error for a template or expression that does not compile.
fn malformed(source: &str, error: &minijinja::Error) -> Error {
    explain_failure(source, error, &Names::new(), &Scope::default())
}

/// A writer with a size limit.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(std::io::Error::other(format!("the text is longer than {MAX_TEXT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Prints a value; blank prints as nothing.
fn print_value(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
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
        let message = format!("`{text}` cannot be part of a file name");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    if value.is_none() || text.trim().is_empty() {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "a part of the file name is empty"));
    }
    print_value(out, state, value)
}

/// The error of an evaluation; for an unknown name, with a suggestion.
fn explain_failure(source: &str, error: &minijinja::Error, names: &Names, scope: &Scope) -> Error {
    let shown = shorten_source(source);
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

#[cfg(test)]
mod unit {
    use std::cell::Cell;

    use super::*;
    use crate::{
        source::Source,
        types::{
            ArtifactType, Inputs, Origin,
            language::filters::{FILTERS, TESTS},
        },
    };

    thread_local! {
        /// The number of templates and expressions compiled by this thread.
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
