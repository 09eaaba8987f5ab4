//! Takes over what the parser gives, part by part.

use std::collections::BTreeSet;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, Stmt, UnaryOpKind};

use super::{
    conditions, filters,
    node::{Arguments, Arithmetic, Comparison, For, Node, Piece, Slice, Target},
    values::Value,
};
use crate::error::{Error, Result};

/// Limit of nesting in a template or expression.
const MAX_DEPTH: usize = 64;

/// What takes over the parts of a template or expression.
#[derive(Default)]
pub(super) struct Reader {
    depth: usize,
    /// The names that a `for` defines, from the outside.
    local: Vec<String>,
    pub(super) used: BTreeSet<String>,
}

impl Reader {
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(Error::limit(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    pub(super) fn pieces(&mut self, all: &[Stmt<'_>]) -> Result<Vec<Piece>> {
        all.iter().map(|piece| self.deeper(|reader| reader.piece(piece))).collect()
    }

    fn piece(&mut self, piece: &Stmt<'_>) -> Result<Piece> {
        let name = match piece {
            Stmt::EmitRaw(text) => return Ok(Piece::Text(text.raw.into())),
            Stmt::EmitExpr(print) => return self.node(&print.expr).map(Piece::Print),
            Stmt::IfCond(cond) => {
                let test = self.node(&cond.expr)?;
                return Ok(Piece::If(test.into(), self.pieces(&cond.true_body)?, self.pieces(&cond.false_body)?));
            }
            Stmt::ForLoop(each) if each.recursive => "for … recursive",
            Stmt::ForLoop(each) => return self.each(each),
            Stmt::Template(_) => "template",
            Stmt::WithBlock(_) => "with",
            Stmt::Set(_) | Stmt::SetBlock(_) => "set",
            Stmt::AutoEscape(_) => "autoescape",
            Stmt::FilterBlock(_) => "filter",
            Stmt::Do(_) => "do",
            // Others are there only where another part of the program has asked for them.
            #[allow(unreachable_patterns)]
            _ => "…",
        };
        Err(unsupported_block(name))
    }

    fn each(&mut self, each: &ast::ForLoop<'_>) -> Result<Piece> {
        let items = self.node(&each.iter)?;
        let outside = self.local.len();
        let target = self.target(&each.target)?;
        let condition = each.filter_expr.as_ref().map(|condition| self.node(condition)).transpose()?;
        self.local.push("loop".into());
        let body = self.pieces(&each.body)?;
        self.local.truncate(outside);
        let otherwise = self.pieces(&each.else_body)?;
        Ok(Piece::For(For { target, items, condition, body, otherwise }.into()))
    }

    fn target(&mut self, target: &Expr<'_>) -> Result<Target> {
        match target {
            Expr::Var(name) => {
                self.local.push(name.id.to_owned());
                Ok(Target::Name(name.id.into()))
            }
            Expr::List(parts) => {
                self.deeper(|reader| parts.items.iter().map(|part| reader.target(part)).collect()).map(Target::Parts)
            }
            other => Err(unsupported(&format!("a {} as the name of an item", other.description()))),
        }
    }

    pub(super) fn node(&mut self, expr: &Expr<'_>) -> Result<Node> {
        self.deeper(|reader| reader.read(expr))
    }

    fn pair(&mut self, left: &Expr<'_>, right: &Expr<'_>) -> Result<Box<(Node, Node)>> {
        Ok(Box::new((self.node(left)?, self.node(right)?)))
    }

    fn all(&mut self, all: &[Expr<'_>]) -> Result<Vec<Node>> {
        all.iter().map(|one| self.node(one)).collect()
    }

    fn optional(&mut self, expr: Option<&Expr<'_>>) -> Result<Option<Node>> {
        expr.map(|expr| self.node(expr)).transpose()
    }

    fn read(&mut self, expr: &Expr<'_>) -> Result<Node> {
        Ok(match expr {
            Expr::Var(name) => self.name(name.id),
            Expr::Const(literal) => Node::Literal(constant(&literal.value)?),
            Expr::GetAttr(attribute) => self.key(attribute)?,
            Expr::GetItem(item) => Node::Item(self.pair(&item.expr, &item.subscript_expr)?),
            Expr::Slice(slice) => Node::Slice(self.slice(slice)?.into()),
            Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => Node::Not(self.node(&unary.expr)?.into()),
                UnaryOpKind::Neg => Node::Minus(self.node(&unary.expr)?.into()),
            },
            Expr::BinOp(binary) => self.binary(binary)?,
            Expr::Compare(compare) => self.compare(compare)?,
            Expr::IfExpr(cond) => {
                let (test, then) = *self.pair(&cond.test_expr, &cond.true_expr)?;
                Node::If(Box::new((test, then, self.optional(cond.false_expr.as_ref())?)))
            }
            Expr::Filter(filter) => self.filter(filter)?,
            Expr::Test(test) => self.test(test)?,
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => Node::List(self.all(&list.items)?),
            Expr::Tuple(tuple) => Node::List(self.all(&tuple.items)?),
            Expr::Map(map) => {
                let entries = map.keys.iter().zip(&map.values);
                Node::Map(entries.map(|(key, value)| Ok((self.node(key)?, self.node(value)?))).collect::<Result<_>>()?)
            }
        })
    }

    fn name(&mut self, name: &str) -> Node {
        if !self.local.iter().any(|local| local == name) {
            self.used.insert(name.to_owned());
        }
        Node::Name(name.into())
    }

    /// `a.b.c`, which counts as one name if `a` is one.
    fn key(&mut self, last: &ast::GetAttr<'_>) -> Result<Node> {
        let (mut keys, mut base) = (vec![last.name], &last.expr);
        while let Expr::GetAttr(next) = base {
            keys.push(next.name);
            base = &next.expr;
        }
        let node = match base {
            Expr::Var(name) if !self.local.iter().any(|local| local == name.id) => {
                let dotted = std::iter::once(name.id).chain(keys.iter().rev().copied());
                self.used.insert(dotted.collect::<Vec<_>>().join("."));
                Node::Name(name.id.into())
            }
            other => self.node(other)?,
        };
        if keys.len() + self.depth > MAX_DEPTH {
            return Err(Error::limit(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(keys.into_iter().rev().fold(node, |node, key| Node::Key(node.into(), key.into())))
    }

    fn slice(&mut self, slice: &ast::Slice<'_>) -> Result<Slice> {
        Ok(Slice {
            of: self.node(&slice.expr)?,
            start: self.optional(slice.start.as_ref())?,
            stop: self.optional(slice.stop.as_ref())?,
            step: self.optional(slice.step.as_ref())?,
        })
    }

    fn binary(&mut self, binary: &ast::BinOp<'_>) -> Result<Node> {
        let comparison = match binary.op {
            BinOpKind::ScAnd => return self.pair(&binary.left, &binary.right).map(Node::Both),
            BinOpKind::ScOr => return self.pair(&binary.left, &binary.right).map(Node::Either),
            BinOpKind::Add => return self.calculate(Arithmetic::Add, binary),
            BinOpKind::Sub => return self.calculate(Arithmetic::Subtract, binary),
            BinOpKind::Div => return self.calculate(Arithmetic::Divide, binary),
            BinOpKind::FloorDiv => return self.calculate(Arithmetic::Floor, binary),
            BinOpKind::Rem => return self.calculate(Arithmetic::Remainder, binary),
            BinOpKind::Concat => return self.join(binary),
            // They make large values from small ones.
            BinOpKind::Mul => return Err(unsupported("`*`")),
            BinOpKind::Pow => return Err(unsupported("`**`")),
            BinOpKind::Eq => Comparison::Equal,
            BinOpKind::Ne => Comparison::Unequal,
            BinOpKind::Lt => Comparison::Less,
            BinOpKind::Lte => Comparison::AtMost,
            BinOpKind::Gt => Comparison::More,
            BinOpKind::Gte => Comparison::AtLeast,
            BinOpKind::In => Comparison::In,
        };
        Ok(Node::Compare(self.node(&binary.left)?.into(), vec![(comparison, self.node(&binary.right)?)]))
    }

    fn calculate(&mut self, how: Arithmetic, binary: &ast::BinOp<'_>) -> Result<Node> {
        Ok(Node::Calculate(how, self.pair(&binary.left, &binary.right)?))
    }

    /// `a ~ b ~ c`, which the parser nests to the left.
    fn join(&mut self, last: &ast::BinOp<'_>) -> Result<Node> {
        let (mut parts, mut left) = (vec![&last.right], &last.left);
        while let Expr::BinOp(next) = left
            && matches!(next.op, BinOpKind::Concat)
        {
            parts.push(&next.right);
            left = &next.left;
        }
        parts.push(left);
        parts.into_iter().rev().map(|part| self.node(part)).collect::<Result<_>>().map(Node::Join)
    }

    fn compare(&mut self, compare: &ast::Compare<'_>) -> Result<Node> {
        let first = self.node(&compare.expr)?;
        let others = compare.ops.iter().map(|op| {
            let comparison = match op.op {
                CompareOpKind::Eq => Comparison::Equal,
                CompareOpKind::Ne => Comparison::Unequal,
                CompareOpKind::Lt => Comparison::Less,
                CompareOpKind::Lte => Comparison::AtMost,
                CompareOpKind::Gt => Comparison::More,
                CompareOpKind::Gte => Comparison::AtLeast,
                CompareOpKind::In => Comparison::In,
                CompareOpKind::NotIn => Comparison::NotIn,
            };
            Ok((comparison, self.node(&op.expr)?))
        });
        Ok(Node::Compare(first.into(), others.collect::<Result<_>>()?))
    }

    fn filter(&mut self, filter: &ast::Filter<'_>) -> Result<Node> {
        let found = filters::find(filter.name)?;
        let input = filter.expr.as_ref().ok_or_else(|| unsupported("a filter of nothing"))?;
        Ok(Node::Filter(found, self.node(input)?.into(), self.arguments(&filter.args)?.into()))
    }

    fn test(&mut self, test: &ast::Test<'_>) -> Result<Node> {
        let found = conditions::find(test.name)?;
        Ok(Node::Is(found, self.node(&test.expr)?.into(), self.arguments(&test.args)?.into()))
    }

    fn arguments(&mut self, all: &[CallArg<'_>]) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        for one in all {
            match one {
                CallArg::Pos(value) => arguments.plain.push(self.node(value)?),
                CallArg::Kwarg(name, value) => arguments.named.push(((*name).into(), self.node(value)?)),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => return Err(unsupported("`*` and `**` in arguments")),
            }
        }
        Ok(arguments)
    }

    /// The one function that there is.
    fn call(&mut self, call: &ast::Call<'_>) -> Result<Node> {
        match (&call.expr, call.args.as_slice()) {
            (Expr::Var(name), [CallArg::Pos(title)]) if name.id == "layer" => {
                self.name(name.id);
                Ok(Node::Layer(self.node(title)?.into()))
            }
            (Expr::Var(name), _) if name.id == "layer" => Err(Error::invalid("`layer` takes one title")),
            (Expr::Var(name), _) => Err(Error::invalid(format!(
                "the function `{}` does not exist; the only one is `layer(title)`",
                name.id
            ))),
            (Expr::GetAttr(method), _) => {
                Err(Error::invalid(format!("the function `{}` does not exist; use filters: `x | {0}`", method.name)))
            }
            (other, _) => Err(unsupported(&format!("calling a {}", other.description()))),
        }
    }
}

/// A literal of the parser.
fn constant(value: &minijinja::Value) -> Result<Value> {
    use minijinja::value::ValueKind;
    Ok(match value.kind() {
        ValueKind::None => Value::Blank(None),
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::String => value.as_str().unwrap_or_default().into(),
        ValueKind::Number if value.is_integer() => Value::Int(
            i128::try_from(value.clone()).map_err(|_| Error::limit(format!("the number `{value}` is too large")))?,
        ),
        ValueKind::Number => Value::Float(f64::try_from(value.clone()).unwrap_or_default()),
        kind => return Err(unsupported(&format!("a literal {kind}"))),
    })
}

pub(super) fn unsupported_block(name: &str) -> Error {
    Error::invalid(format!("templates do not support `{{% {name} %}}`"))
}

fn unsupported(what: &str) -> Error {
    Error::invalid(format!("expressions do not support {what}"))
}
