//! The section `vars`: variables.

use std::sync::Arc;

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

/// The variables as an expression value. Each is evaluated on use, with the names there, and sees earlier variables.
pub(super) fn vars(all: &Arc<Map<String, Json>>, engine: &Engine, scope: &Scope) -> Value {
    some(all, all.len(), engine, scope)
}

/// The first of the variables.
fn some(all: &Arc<Map<String, Json>>, count: usize, engine: &Engine, scope: &Scope) -> Value {
    let (all, engine, scope) = (Arc::clone(all), engine.clone(), scope.clone());
    Value::Lazy(Arc::new(Vars { all, count, engine, scope }))
}

struct Vars {
    all: Arc<Map<String, Json>>,
    count: usize,
    engine: Engine,
    scope: Scope,
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

impl Lazy for Vars {
    fn keys(&self) -> Vec<&str> {
        self.all.keys().take(self.count).map(String::as_str).collect()
    }

    fn get(&self, name: &str, meter: &Arc<Meter>) -> Result<Option<Value>> {
        let mut found = self.all.iter().take(self.count).enumerate();
        let Some((at, (_, tree))) = found.find(|(_, (key, _))| *key == name) else { return Ok(None) };
        let scope = self.scope.within(meter).with("vars", some(&self.all, at, &self.engine, &self.scope));
        let value = typed::evaluate(tree, &self.engine, &scope).context(|| format!("`vars.{name}`"))?;
        Ok(Some(Value::of(&value.unwrap_or(Json::Null))))
    }
}
