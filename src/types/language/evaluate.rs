//! Evaluates expressions and templates, at a cost that is known before it arises.

use std::sync::Arc;

use super::{
    call::Call,
    cost::Meter,
    node::{Arguments, Comparison, For, Node, Piece, Slice, Target},
    operators::{self, items},
    printed::{Printed, text},
    scope::{Say, Scope, unknown_name},
    values::{Loop, Value},
};
use crate::error::{Error, Result};

/// Why an evaluation failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// A name or key that does not exist was used.
    Undefined,
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

pub(super) type Outcome<T> = Result<T, Fault>;

/// An evaluation.
pub(super) struct Run<'a> {
    scope: &'a Scope,
    meter: &'a Arc<Meter>,
    /// The names that a `for` defines, from the outside.
    local: Vec<(Arc<str>, Value)>,
    /// What a template may print.
    printable: fn(&Value, &Arc<Meter>) -> Outcome<()>,
    /// The last name that was not there, or the last key, with what lacks it.
    missing: Option<(Arc<str>, Option<Value>)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        scope: &'a Scope,
        meter: &'a Arc<Meter>,
        printable: fn(&Value, &Arc<Meter>) -> Outcome<()>,
    ) -> Self {
        Self { scope, meter, local: Vec::new(), printable, missing: None }
    }

    pub(super) fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// The message about the last name or key that was not there, if there was one.
    pub(super) fn missing(&self, say: Say) -> Option<String> {
        self.missing.as_ref().map(|(missing, whole)| match whole {
            Some(whole) => say("the key", missing, whole.keys()),
            None => say("the name", missing, self.scope.all().collect()),
        })
    }

    /// The value of an expression, which may be undefined.
    pub(super) fn value(&mut self, node: &Node) -> Outcome<Value> {
        let meter = self.meter;
        meter.take(1)?;
        meter.deeper(|| self.evaluate(node))
    }

    /// The value of an expression that must have one.
    fn defined(&mut self, node: &Node) -> Outcome<Value> {
        match self.value(node)? {
            Value::Undefined => Err(Fault::Undefined),
            value => Ok(value),
        }
    }

    fn holds(&mut self, node: &Node) -> Outcome<bool> {
        Ok(self.defined(node)?.is_true())
    }

    fn optional(&mut self, node: Option<&Node>) -> Outcome<Option<Value>> {
        node.map(|node| self.defined(node)).transpose()
    }

    fn all(&mut self, nodes: &[Node]) -> Outcome<Vec<Value>> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    fn evaluate(&mut self, node: &Node) -> Outcome<Value> {
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Name(name) => Ok(self.name_or_missing(name)),
            Node::Key(of, key) => self.key(of, key),
            Node::Item(pair) => operators::item(&self.value(&pair.0)?, &self.value(&pair.1)?, self.meter),
            Node::Slice(slice) => self.slice(slice),
            Node::Not(inner) => Ok(Value::Bool(!self.holds(inner)?)),
            Node::Minus(inner) => operators::minus(&self.value(inner)?),
            Node::Both(pair) => {
                let left = self.defined(&pair.0)?;
                if left.is_true() { self.value(&pair.1) } else { Ok(left) }
            }
            Node::Either(pair) => {
                let left = self.defined(&pair.0)?;
                if left.is_true() { Ok(left) } else { self.value(&pair.1) }
            }
            Node::Calculate(how, pair) => {
                operators::calculate(*how, &self.value(&pair.0)?, &self.value(&pair.1)?, self.meter)
            }
            Node::Compare(first, others) => self.compare(first, others).map(Value::Bool),
            Node::Join(parts) => operators::join(&self.all(parts)?, self.meter),
            Node::If(parts) => self.choose(parts),
            Node::Filter(filter, input, arguments) => {
                let input = self.value(input)?;
                let call = self.call(filter.name, arguments)?;
                filter.apply(input, call)
            }
            Node::Is(condition, input, arguments) => {
                let input = self.value(input)?;
                let call = self.call(condition.name, arguments)?;
                condition.with(call.plain()?)?.holds(&input, self.meter).map(Value::Bool)
            }
            Node::Layer(title) => self.layer(title),
            Node::List(nodes) => Ok(self.all(nodes)?.into_iter().collect()),
            Node::Map(entries) => self.map(entries),
        }
    }

    fn name(&self, name: &str) -> Value {
        let local = self.local.iter().rfind(|(own, _)| **own == *name).map(|(_, value)| value);
        local.or_else(|| self.scope.get(name)).cloned().unwrap_or(Value::Undefined)
    }

    fn name_or_missing(&mut self, name: &Arc<str>) -> Value {
        let found = self.name(name);
        if matches!(found, Value::Undefined) {
            self.missing = Some((Arc::clone(name), None));
        }
        found
    }

    fn key(&mut self, of: &Node, key: &Arc<str>) -> Outcome<Value> {
        let whole = self.defined(of)?;
        let found = whole.get(key, self.meter)?;
        if matches!(found, Value::Undefined) {
            self.missing = Some((Arc::clone(key), Some(whole)));
        }
        Ok(found)
    }

    fn slice(&mut self, slice: &Slice) -> Outcome<Value> {
        let of = self.value(&slice.of)?;
        let start = self.optional(slice.start.as_ref())?;
        let stop = self.optional(slice.stop.as_ref())?;
        let step = self.optional(slice.step.as_ref())?;
        operators::part(&of, start.as_ref(), stop.as_ref(), step.as_ref(), self.meter)
    }

    fn compare(&mut self, first: &Node, others: &[(Comparison, Node)]) -> Outcome<bool> {
        let mut left = self.value(first)?;
        for (how, node) in others {
            let right = self.value(node)?;
            if !operators::compare(*how, &left, &right, self.meter)? {
                return Ok(false);
            }
            left = right;
        }
        Ok(true)
    }

    fn choose(&mut self, (test, then, otherwise): &(Node, Node, Option<Node>)) -> Outcome<Value> {
        match (self.holds(test)?, otherwise) {
            (true, _) => self.value(then),
            (false, Some(otherwise)) => self.value(otherwise),
            (false, None) => Ok(Value::Blank(None)),
        }
    }

    fn call(&mut self, name: &'static str, arguments: &Arguments) -> Outcome<Call<'a>> {
        let plain = self.all(&arguments.plain)?;
        let mut named = Vec::new();
        for (name, node) in &arguments.named {
            named.push((Arc::clone(name), self.value(node)?));
        }
        Ok(Call::new(name, plain, named, self.meter))
    }

    fn layer(&mut self, title: &Node) -> Outcome<Value> {
        let title = text(&self.value(title)?, self.meter)?;
        let Value::Layers(layers) = self.name("layer") else {
            return Err(Error::invalid("`layer(title)` can be used where all layers are known").into());
        };
        self.meter.text(title.len())?;
        let unknown = || Error::invalid(unknown_name("the layer", &title, layers.keys().map(String::as_str)));
        Ok(layers.get(&*title).cloned().ok_or_else(unknown)?)
    }

    fn map(&mut self, nodes: &[(Node, Node)]) -> Outcome<Value> {
        let mut entries = Vec::new();
        for (key, value) in nodes {
            let key = text(&self.value(key)?, self.meter)?;
            self.meter.text(key.len())?;
            entries.push((key, self.value(value)?));
        }
        Ok(Value::map(entries))
    }

    /// Prints a template.
    pub(super) fn print(&mut self, pieces: &[Piece], out: &mut Printed<'_>) -> Outcome<()> {
        let meter = self.meter;
        for piece in pieces {
            meter.take(1)?;
            match piece {
                Piece::Text(text) => out.push(text)?,
                Piece::Print(node) => {
                    let value = self.defined(node)?;
                    (self.printable)(&value, meter)?;
                    out.value(&value)?;
                }
                Piece::If(test, then, otherwise) => {
                    let chosen = if self.holds(test)? { then } else { otherwise };
                    meter.deeper(|| self.print(chosen, out))?;
                }
                Piece::For(each) => meter.deeper(|| self.each(each, out))?,
            }
        }
        Ok(())
    }

    fn each(&mut self, each: &For, out: &mut Printed<'_>) -> Outcome<()> {
        let all = self.defined(&each.items)?;
        let items = self.chosen(each, items(&all, self.meter)?)?;
        if items.is_empty() {
            return self.print(&each.otherwise, out);
        }
        let outside = self.local.len();
        for at in 0..items.len() {
            self.meter.take(1)?;
            let state = Loop { items: Arc::clone(&items), at };
            self.local.push(("loop".into(), Value::Loop(state.into())));
            self.assign(&each.target, items.get(at).cloned().unwrap_or(Value::Undefined))?;
            self.print(&each.body, out)?;
            self.local.truncate(outside);
        }
        Ok(())
    }

    /// The items for which the condition holds.
    fn chosen(&mut self, each: &For, items: Arc<Vec<Value>>) -> Outcome<Arc<Vec<Value>>> {
        let Some(condition) = &each.condition else { return Ok(items) };
        let (outside, mut chosen) = (self.local.len(), Vec::new());
        for item in items.iter() {
            self.assign(&each.target, item.clone())?;
            if self.holds(condition)? {
                chosen.push(item.clone());
            }
            self.local.truncate(outside);
        }
        Ok(Arc::new(chosen))
    }

    /// Gives an item its name, or its parts theirs.
    fn assign(&mut self, target: &Target, value: Value) -> Outcome<()> {
        let names = match target {
            Target::Name(name) => {
                self.local.push((Arc::clone(name), value));
                return Ok(());
            }
            Target::Parts(names) => names,
        };
        let parts = items(&value, self.meter)?;
        if parts.len() != names.len() {
            let message = format!("an item has {} parts, and there are {} names for them", parts.len(), names.len());
            return Err(Error::invalid(message).into());
        }
        names.iter().zip(parts.iter()).try_for_each(|(name, part)| self.assign(name, part.clone()))
    }
}
