//! The section `vars`: variables.

use std::sync::Arc;

use minijinja::{
    Value,
    value::{Enumerator, Object},
};
use serde_json::{Map, Value as Json};

use crate::types::language::{expr::Engine, scope::Scope, typed, values};

/// The variables as an expression value. Each is evaluated on use, with the names there, and sees earlier variables.
pub(super) fn vars(all: &Map<String, Json>, engine: &Engine, scope: &Scope) -> Value {
    if all.is_empty() {
        return values::view(&Json::Object(Map::new()), None);
    }
    Value::from_object(Vars { all: all.clone(), engine: engine.clone(), scope: scope.clone() })
}

struct Vars {
    all: Map<String, Json>,
    engine: Engine,
    scope: Scope,
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.keys()).finish()
    }
}

impl Object for Vars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let tree = self.all.get(name)?;
        let above: Map<String, Json> =
            self.all.iter().take_while(|(k, _)| *k != name).map(|(k, v)| (k.clone(), v.clone())).collect();
        let scope = self.scope.with("vars", vars(&above, &self.engine, &self.scope));
        Some(match typed::evaluate(tree, &self.engine, &scope) {
            Ok(value) => values::view(&value.unwrap_or(Json::Null), None),
            Err(e) => {
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("`vars.{name}`: {e}")).into()
            }
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.all.keys().map(|k| Value::from(k.as_str())).collect())
    }
}
