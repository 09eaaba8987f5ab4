//! The expression engine: templates give strings, expressions give values. Neither can read or write files, run forever
//! or grow without limit.
//!
//! Jinja's syntax, read by `minijinja`'s parser, with an explicit list of what it may hold, and evaluated here, with a
//! limit on steps. A missing optional name or key is *blank*: it prints as nothing, is false in a condition, and has no
//! items. An undefined name is an error.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value as Json;

use super::{
    cost::Meter,
    evaluate::{Fault, Outcome, Run},
    json,
    node::{Node, Piece},
    operators::items,
    printed::{Printed, text},
    scope::{Say, Scope, unknown_among, unknown_name},
    syntax::{self, Code, about, is_template, shorten_source},
    values::Value,
};
use crate::{
    error::{Error, Result},
    fs::is_unsafe,
};

/// Evaluates the templates and expressions of one definition. Each is compiled once, usually when the definition is
/// checked; clones share the compiled code.
#[derive(Clone)]
pub(in crate::types) struct Engine(Arc<Compiled>);

struct Compiled {
    templates: Once<Code<Vec<Piece>>>,
    expressions: Once<Code<Node>>,
    /// Whether templates give file names.
    names: bool,
    /// What says that a name is unknown.
    unknown: Say,
}

/// A cache of values computed from texts, each once.
struct Once<T> {
    made: Mutex<HashMap<String, Arc<T>>>,
}

impl<T> Once<T> {
    fn new() -> Self {
        Self { made: Mutex::new(HashMap::new()) }
    }

    fn get(&self, text: &str, make: fn(&str) -> Result<T>) -> Result<Arc<T>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(text) {
            return Ok(Arc::clone(known));
        }
        #[cfg(test)]
        unit::COMPILED.with(|n| n.set(n.get() + 1));
        let new = Arc::new(make(text)?);
        made.insert(text.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}

impl Engine {
    /// An engine for reading sources.
    pub(in crate::types) fn new() -> Self {
        Self::with(false, |what, name, known| unknown_name(what, name, known))
    }

    /// An engine for documents whose keys the author of a template does not know: errors list them.
    pub(in crate::types) fn for_documents() -> Self {
        Self::with(false, unknown_among)
    }

    /// An engine for file names: interpolated values cannot contain separators, unless checked as a path.
    pub(in crate::types) fn for_paths() -> Self {
        Self::with(true, |what, name, known| unknown_name(what, name, known))
    }

    fn with(names: bool, unknown: Say) -> Self {
        Self(Arc::new(Compiled { templates: Once::new(), expressions: Once::new(), names, unknown }))
    }

    /// The text of a template; a string without `{{`, `{%` and `{#` is its own text.
    ///
    /// Errors: an undefined name; kind `Limit` if it takes or makes too much.
    pub(in crate::types) fn text(&self, template: &str, scope: &Scope) -> Result<String> {
        let meter = scope.meter();
        if !is_template(template) {
            meter.text(template.len()).and_then(|()| meter.keep(template.len())).map_err(|e| about(template, &e))?;
            return Ok(template.into());
        }
        let compiled = self.0.templates.get(template, syntax::template)?;
        let mut out = Printed::new(&meter);
        let mut run = Run::new(scope, &meter, self.printable());
        let printed = meter.deeper(|| run.print(&compiled.code, &mut out)).and_then(|()| {
            let text = out.finish();
            meter.keep(text.len())?;
            Ok(text)
        });
        printed.map_err(|fault| self.explain(template, fault, &compiled.names, &run))
    }

    /// The value of an expression.
    ///
    /// Errors: those of [`Engine::text`].
    pub(in crate::types) fn value(&self, expression: &str, scope: &Scope) -> Result<Value> {
        self.with_value(expression, scope, |value, _| Ok(value))
    }

    /// Whether an expression is true.
    pub(in crate::types) fn truth(&self, expression: &str, scope: &Scope) -> Result<bool> {
        Ok(self.value(expression, scope)?.is_true())
    }

    /// The value of an expression as JSON; blank becomes `null`.
    pub(in crate::types) fn json(&self, expression: &str, scope: &Scope) -> Result<Json> {
        self.with_value(expression, scope, |value, meter| Ok(json::to_json(&value, meter)?))
    }

    /// The items of an expression's value, a list.
    pub(super) fn items(&self, expression: &str, scope: &Scope) -> Result<Arc<Vec<Value>>> {
        self.with_value(expression, scope, |value, meter| items(&value, meter))
    }

    fn with_value<T>(
        &self,
        expression: &str,
        scope: &Scope,
        then: impl FnOnce(Value, &Arc<Meter>) -> Outcome<T>,
    ) -> Result<T> {
        let compiled = self.0.expressions.get(expression, syntax::expression)?;
        let meter = scope.meter();
        let mut run = Run::new(scope, &meter, self.printable());
        let value = run.value(&compiled.code);
        let then = |value| match value {
            Value::Undefined => Err(Fault::Undefined),
            value => then(value, &meter),
        };
        value.and_then(then).map_err(|fault| self.explain(expression, fault, &compiled.names, &run))
    }

    /// The error of an evaluation; for an unknown name, with a suggestion.
    fn explain(&self, source: &str, fault: Fault, names: &BTreeSet<String>, run: &Run<'_>) -> Error {
        let say = self.0.unknown;
        if let Fault::Other(error) = fault {
            return about(source, &error);
        }
        let in_names = || names.iter().find_map(|name| run.scope().unknown(name, say));
        let message = run.missing(say).or_else(in_names).unwrap_or_else(|| "a key in it does not exist".to_owned());
        Error::invalid(format!("`{}`: {message}", shorten_source(source)))
    }

    fn printable(&self) -> fn(&Value, &Arc<Meter>) -> Outcome<()> {
        if self.0.names { check_name } else { |_, _| Ok(()) }
    }

    /// The names that a template or expression uses, with their attributes: `chart.name`.
    ///
    /// Errors: malformed syntax, or an unsupported feature.
    pub(in crate::types) fn names(&self, source: &str, template: bool) -> Result<BTreeSet<String>> {
        match template {
            true if !is_template(source) => Ok(BTreeSet::new()),
            true => self.0.templates.get(source, syntax::template).map(|compiled| compiled.names.clone()),
            false => self.0.expressions.get(source, syntax::expression).map(|compiled| compiled.names.clone()),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Errors: a value that cannot be a part of a file name.
fn check_name(value: &Value, meter: &Arc<Meter>) -> Outcome<()> {
    let text = text(value, meter)?;
    if text.is_empty() {
        return Err(Error::invalid("a part of the file name is empty").into());
    }
    let harmful = text.contains(|c| c == '/' || is_unsafe(c)) || text.contains("..");
    if harmful && !matches!(value, Value::Path(_)) {
        return Err(Error::invalid(format!("`{text}` cannot be part of a file name")).into());
    }
    Ok(())
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
}
