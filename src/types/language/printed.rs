//! Text that expressions make.

use std::sync::Arc;

use super::{
    cost::Meter,
    evaluate::{Fault, Outcome},
    values::Value,
};
use crate::error::{Error, Result};

/// Length limit of a text that a template or expression makes, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// A text in the making, within its limit.
#[derive(Debug)]
pub(super) struct Printed<'m> {
    text: String,
    meter: &'m Arc<Meter>,
}

impl<'m> Printed<'m> {
    pub(super) fn new(meter: &'m Arc<Meter>) -> Self {
        Self { text: String::new(), meter }
    }

    /// Adds text. Errors (kind `Limit`): the text becomes too long.
    pub(super) fn push(&mut self, text: &str) -> Result<()> {
        self.meter.text(text.len())?;
        if self.text.len() + text.len() > MAX_TEXT {
            return Err(Error::limit(format!("the text is longer than {MAX_TEXT} bytes")));
        }
        self.text.push_str(text);
        Ok(())
    }

    /// Adds a value; blank is nothing.
    pub(super) fn value(&mut self, value: &Value) -> Outcome<()> {
        match value {
            Value::Undefined => return Err(Fault::Undefined),
            Value::Blank(_) => {}
            Value::Text(text) | Value::Path(text) => self.push(text)?,
            other => self.inner(other)?,
        }
        Ok(())
    }

    /// Adds a value as it looks in a list.
    fn inner(&mut self, value: &Value) -> Result<()> {
        let meter = self.meter;
        match value {
            Value::Undefined | Value::Blank(_) => self.push("None"),
            Value::Bool(b) => self.push(if *b { "True" } else { "False" }),
            Value::Int(i) => self.push(&i.to_string()),
            Value::Float(f) => self.push(&float(*f)),
            Value::Text(text) | Value::Path(text) => {
                meter.text(text.len())?;
                self.push(&quoted(text))
            }
            Value::List(items, _) => meter.deeper(|| self.list(items)),
            Value::Map(map, _) => meter.deeper(|| self.map(map.entries())),
            Value::Quote(_) => Err(Error::invalid(
                "the digest or size of a layer is not known before it is packed; use it alone, with `$expr`",
            )),
            Value::Lazy(_) | Value::Layers(_) | Value::Loop(_) => {
                Err(Error::invalid(format!("a {} cannot be printed", value.kind())))
            }
        }
    }

    fn list(&mut self, items: &[Value]) -> Result<()> {
        self.push("[")?;
        for (i, item) in items.iter().enumerate() {
            self.push(if i > 0 { ", " } else { "" })?;
            self.inner(item)?;
        }
        self.push("]")
    }

    fn map(&mut self, entries: &[(Arc<str>, Value)]) -> Result<()> {
        self.push("{")?;
        for (i, (key, value)) in entries.iter().enumerate() {
            self.push(&format!("{}{}: ", if i > 0 { ", " } else { "" }, quoted(key)))?;
            self.inner(value)?;
        }
        self.push("}")
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// The text of a value. Errors: a value that is no text.
pub(super) fn text(value: &Value, meter: &Arc<Meter>) -> Outcome<Arc<str>> {
    match value {
        Value::Text(text) | Value::Path(text) => Ok(Arc::clone(text)),
        other => {
            let mut out = Printed::new(meter);
            out.value(other)?;
            Ok(out.finish().into())
        }
    }
}

/// A text as Jinja shows it in a list: in single quotes, or in double ones if it has single ones only.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote || c == '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn float(number: f64) -> String {
    match number.to_string() {
        text if !number.is_finite() || text.contains('.') => text,
        text => format!("{text}.0"),
    }
}
