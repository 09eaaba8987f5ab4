//! Expressions and templates, as they are evaluated. What has no form here is not in the language.

use std::sync::Arc;

use super::{conditions::Condition, filters::Filter, values::Value};

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Value),
    Name(Arc<str>),
    /// `a.key`
    Key(Box<Node>, Arc<str>),
    /// `a[b]`
    Item(Box<(Node, Node)>),
    Slice(Box<Slice>),
    Not(Box<Node>),
    Minus(Box<Node>),
    /// `and`, `or`, which do not always evaluate their right side.
    Both(Box<(Node, Node)>),
    Either(Box<(Node, Node)>),
    Calculate(Arithmetic, Box<(Node, Node)>),
    /// `a < b <= c`
    Compare(Box<Node>, Vec<(Comparison, Node)>),
    /// `a ~ b ~ c`
    Join(Vec<Node>),
    /// `a if b else c`
    If(Box<(Node, Node, Option<Node>)>),
    Filter(&'static Filter, Box<Node>, Box<Arguments>),
    Is(&'static Condition, Box<Node>, Box<Arguments>),
    /// `layer(title)`
    Layer(Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// `a[start:stop:step]`
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) of: Node,
    pub(super) start: Option<Node>,
    pub(super) stop: Option<Node>,
    pub(super) step: Option<Node>,
}

/// The arguments of a filter or test.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) plain: Vec<Node>,
    pub(super) named: Vec<(Arc<str>, Node)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Divide,
    Floor,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    In,
    NotIn,
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Piece {
    Text(Box<str>),
    Print(Node),
    If(Box<Node>, Vec<Piece>, Vec<Piece>),
    For(Box<For>),
}

/// `{% for a, b in items if condition %}`
#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) items: Node,
    pub(super) condition: Option<Node>,
    pub(super) body: Vec<Piece>,
    pub(super) otherwise: Vec<Piece>,
}

/// The names that a `for` gives to an item, or to its parts.
#[derive(Debug)]
pub(super) enum Target {
    Name(Arc<str>),
    Parts(Vec<Target>),
}
