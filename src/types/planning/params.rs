//! The section `params`: the values of parameters.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{
    document::nearest,
    error::{Code, Error, Result},
    types::{
        definition::params::{Param, ParamType},
        language::{schema::Schema, values::Value},
    },
};

/// Length limit of a parameter's value, in bytes.
const MAX_VALUE: usize = 64 << 10;

impl Param {
    /// Parses a value. Errors describe the expected form.
    fn parse(&self, text: &str) -> Result<Json, String> {
        if text.len() > MAX_VALUE {
            return Err(format!("has {} bytes; the limit is {MAX_VALUE}", text.len()));
        }
        let value = match self.kind {
            ParamType::String => Json::String(text.into()),
            ParamType::Boolean => match text {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                _ => return Err("is not `true` or `false`".into()),
            },
            ParamType::Integer => text.parse::<i64>().map(Json::from).map_err(|_| "is not an integer")?,
            ParamType::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Json::from(number),
                _ => return Err("is not a number".into()),
            },
            ParamType::Array if text.starts_with("[\"") => {
                return Err("is a list as JSON has it; here it is written `A,B`".into());
            }
            ParamType::Array => text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect(),
        };
        self.check(&value)?;
        Ok(value)
    }
}

/// The value of every parameter, given or default; blank if neither.
///
/// Errors: an unknown parameter, with a suggestion; an invalid value; a missing required one.
pub(super) fn values(
    params: &BTreeMap<String, Param>,
    set: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Json>> {
    if let Some(key) = set.keys().find(|key| !params.contains_key(*key)) {
        let near = nearest(key, params.keys().map(String::as_str)).map(|n| format!("; did you mean `{n}`"));
        let near = near.unwrap_or_else(|| match params.is_empty() {
            true => "; the type has none".into(),
            false => format!("; the parameters are `{}`", params.keys().cloned().collect::<Vec<_>>().join("`, `")),
        });
        let message = format!("no parameter `{key}`{near}");
        return Err(Error::misuse(message).with_code(Code::NoSuchParameter).with_name(key));
    }
    let mut values = BTreeMap::new();
    for (name, param) in params {
        let value = match set.get(name) {
            Some(text) => {
                param.parse(text).map_err(|why| Error::misuse(format!("parameter `{name}`: `{text}` {why}")))?
            }
            None if param.required && param.default.is_none() => {
                return Err(Error::misuse(format!("parameter `{name}` is required: {}", param.description)));
            }
            None => param.default.clone().unwrap_or(Json::Null),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// The parameters as an expression value.
pub(super) fn to_value(params: &BTreeMap<String, Param>, values: &BTreeMap<String, Json>) -> Value {
    Value::pairs(values.iter().map(|(name, value)| {
        let array = params.get(name).is_some_and(|p| p.kind == ParamType::Array);
        (name.as_str(), Value::view(value, array.then(Schema::array)))
    }))
}
