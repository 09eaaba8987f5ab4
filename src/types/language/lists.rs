//! The filters that sort, compare and pair the items of lists.

use std::{cmp::Ordering, sync::Arc};

use super::{
    call::Call, cost::Meter, evaluate::Outcome, filters::attribute, operators::items, order::order, values::Value,
};
use crate::error::{Error, Result};

/// The pairs of keys and values of a map.
pub(super) fn pairs(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    if !matches!(value, Value::Map(..) | Value::Blank(_) | Value::Lazy(_)) {
        return Err(Error::invalid(format!("a {} has no keys", value.kind())).into());
    }
    let mut pairs = Vec::new();
    for key in items(&value, call.meter)?.iter() {
        call.meter.take(3)?;
        let behind = value.get(key.as_text().unwrap_or_default(), call.meter)?;
        pairs.push([key.clone(), behind].into_iter().collect());
    }
    Ok(pairs.into_iter().collect())
}

pub(super) fn reverse(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    if let Some(text) = value.as_text() {
        call.meter.text(text.len().saturating_mul(2))?;
        return Ok(text.chars().rev().collect::<String>().into());
    }
    let all = items(&value, call.meter)?;
    call.meter.take(all.len())?;
    Ok(all.iter().rev().cloned().collect())
}

/// What an item is compared by.
struct By {
    attributes: Vec<Value>,
    /// Whether `A` and `a` differ.
    exact: bool,
}

impl By {
    fn of(call: &mut Call<'_>) -> Outcome<Self> {
        let attribute = call.named("attribute")?;
        let exact = call.flag("case_sensitive")?;
        let attributes = match attribute {
            Some(Value::Text(all)) => all.split(',').map(|one| Value::from(one.trim())).collect(),
            other => other.into_iter().collect(),
        };
        Ok(Self { attributes, exact })
    }

    fn key(&self, item: &Value, meter: &Arc<Meter>) -> Outcome<Value> {
        match self.attributes.as_slice() {
            [] => self.folded(item.clone(), meter),
            [one] => self.folded(attribute(item, one, meter)?, meter),
            all => all.iter().map(|one| self.folded(attribute(item, one, meter)?, meter)).collect(),
        }
    }

    fn folded(&self, value: Value, meter: &Arc<Meter>) -> Outcome<Value> {
        meter.take(1)?;
        match value.as_text() {
            Some(text) if !self.exact => {
                meter.text(text.len().saturating_mul(2))?;
                Ok(text.to_ascii_lowercase().into())
            }
            _ => Ok(value),
        }
    }

    /// The items with their keys.
    fn keyed(&self, value: &Value, meter: &Arc<Meter>) -> Outcome<Vec<(Value, Value)>> {
        let mut keyed = Vec::new();
        for item in items(value, meter)?.iter() {
            meter.take(2)?;
            keyed.push((self.key(item, meter)?, item.clone()));
        }
        Ok(keyed)
    }
}

/// A sort, which adds up what its comparisons cost.
struct Sorting<'m> {
    meter: &'m Arc<Meter>,
    /// Comparisons, and groups of eight bytes that were compared, which have not been paid for.
    open: usize,
}

/// How many comparisons of short texts cost a step.
const CHEAP: usize = 16;

impl<'m> Sorting<'m> {
    fn new(meter: &'m Arc<Meter>) -> Self {
        Self { meter, open: 0 }
    }

    fn order(&mut self, a: &Value, b: &Value) -> Result<Ordering> {
        let (Some(one), Some(other)) = (a.as_text(), b.as_text()) else { return order(a, b, self.meter) };
        self.open += 1 + one.len().min(other.len()) / 8;
        self.meter.take(self.open / CHEAP)?;
        self.open %= CHEAP;
        Ok(one.cmp(other))
    }

    /// Sorts items by their keys; equal ones stay in their order. It ends whatever the order is: some numbers are equal
    /// to two others that are not, which `slice::sort` may refuse.
    fn sort<T>(&mut self, mut items: Vec<(Value, T)>, reverse: bool) -> Result<Vec<(Value, T)>> {
        if items.len() < 2 {
            return Ok(items);
        }
        let right = items.split_off(items.len() / 2);
        let mut left = self.sort(items, reverse)?.into_iter().peekable();
        let mut right = self.sort(right, reverse)?.into_iter().peekable();
        let mut all = Vec::with_capacity(left.len() + right.len());
        while let (Some((a, _)), Some((b, _))) = (left.peek(), right.peek()) {
            let order = self.order(b, a)?;
            let right_first = if reverse { order.is_gt() } else { order.is_lt() };
            all.extend(if right_first { right.next() } else { left.next() });
        }
        all.extend(left.chain(right));
        Ok(all)
    }
}

pub(super) fn sort(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let (by, reverse) = (By::of(call)?, call.flag("reverse")?);
    let sorted = Sorting::new(call.meter).sort(by.keyed(&value, call.meter)?, reverse)?;
    Ok(sorted.into_iter().map(|(_, item)| item).collect())
}

/// The first of equal items.
pub(super) fn unique(value: Value, call: &mut Call<'_>) -> Outcome<Value> {
    let keyed = By::of(call)?.keyed(&value, call.meter)?;
    let placed = keyed.into_iter().enumerate().map(|(at, (key, item))| (key, (at, item))).collect();
    let mut sorting = Sorting::new(call.meter);
    let (mut first, mut last): (Vec<(usize, Value)>, Option<Value>) = Default::default();
    for (key, placed) in sorting.sort(placed, false)? {
        let again = match &last {
            Some(last) => sorting.order(last, &key)?.is_eq(),
            None => false,
        };
        if !again {
            first.push(placed);
            last = Some(key);
        }
    }
    first.sort_by_key(|(at, _)| *at);
    Ok(first.into_iter().map(|(_, item)| item).collect())
}

/// The item that comes first or last; blank if there are none.
pub(super) fn extreme(value: &Value, call: &mut Call<'_>, better: fn(Ordering) -> bool) -> Outcome<Value> {
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in By::of(call)?.keyed(value, call.meter)? {
        let takes = match &best {
            Some((other, _)) => better(order(&key, other, call.meter)?),
            None => true,
        };
        if takes {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::Blank(None), |(_, item)| item))
}
