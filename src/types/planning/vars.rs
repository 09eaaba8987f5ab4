//! The section `vars`: variables.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value as Json};

use crate::{
    error::{Context as _, Result},
    types::language::{
        cost::Meter,
        expr::Engine,
        scope::Scope,
        typed,
        values::{Lazy, Value},
    },
};

/// The variables of a definition, in their order.
pub(super) struct Variables {
    listed: Vec<(Arc<str>, Json)>,
    /// Their places, by name.
    places: HashMap<String, usize>,
}

impl Variables {
    pub(super) fn new(all: &Map<String, Json>) -> Self {
        let places = all.keys().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        Self { listed: all.iter().map(|(name, tree)| (name.as_str().into(), tree.clone())).collect(), places }
    }
}

/// The variables as an expression value. Each is evaluated on use, with the names there, and sees earlier variables.
pub(super) fn vars(all: &Arc<Variables>, engine: &Engine, scope: &Scope) -> Value {
    some(all, all.listed.len(), engine, scope)
}

/// The first of the variables.
fn some(all: &Arc<Variables>, count: usize, engine: &Engine, scope: &Scope) -> Value {
    let (all, engine, scope) = (Arc::clone(all), engine.clone(), scope.clone());
    Value::Lazy(Arc::new(Vars { all, count, engine, scope }))
}

struct Vars {
    all: Arc<Variables>,
    count: usize,
    engine: Engine,
    scope: Scope,
}

impl Vars {
    fn place(&self, name: &str) -> Option<usize> {
        self.all.places.get(name).copied().filter(|at| *at < self.count)
    }
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

impl Lazy for Vars {
    fn keys(&self) -> Vec<&Arc<str>> {
        self.all.listed.iter().take(self.count).map(|(name, _)| name).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn get(&self, name: &str, meter: &Arc<Meter>) -> Result<Option<Value>> {
        let Some(at) = self.place(name) else { return Ok(None) };
        let Some((_, tree)) = self.all.listed.get(at) else { return Ok(None) };
        let scope = self.scope.within(meter).with("vars", some(&self.all, at, &self.engine, &self.scope));
        let value = typed::evaluate(tree, &self.engine, &scope).context(|| format!("`vars.{name}`"))?;
        Ok(Some(Value::of(&value.unwrap_or(Json::Null))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_names_of_variables_share_them_however_long_they_are() {
        let name = "n".repeat(1 << 20);
        let all: Map<String, Json> = [(name.clone(), Json::from("{{ 1 }}"))].into_iter().collect();
        let (engine, scope) = (Engine::new(), Scope::default());
        let scope = scope.with("vars", vars(&Arc::new(Variables::new(&all)), &engine, &scope));
        let texts =
            ["[vars, vars] | map('list') | map('first') | list", "[vars | list | first, vars | items | first | first]"];
        for text in texts {
            let Value::List(names, _) = engine.value(text, &scope).unwrap() else { panic!("{text} is no list") };
            let [Value::Text(one), Value::Text(other)] = names.as_slice() else { panic!("{text}: {}", names.len()) };
            assert_eq!(**one, *name);
            assert!(Arc::ptr_eq(one, other), "{text}");
        }
    }
}
