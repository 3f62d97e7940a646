//! Methods of Array. Mutating ones change an array with one owner in place.

use std::cmp::Ordering;

use triomphe::Arc;

use super::{
    Failure, Function, Outcome, Table, clamped, counted, int, length, panic, sized, take, text,
};
use crate::value::{List, MapValue, Text, Value, equal, order};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    ("array.len", Function::Pure(1, |a| Ok(length(array(a, 0)?.len())))),
    ("array.is_empty", Function::Pure(1, |a| Ok(array(a, 0)?.is_empty().into()))),
    (
        "array.get",
        Function::Pure(2, |a| {
            let index = usize::try_from(int(a, 1)?).ok();
            Ok(Value::option(index.and_then(|i| array(a, 0).ok()?.get(i).cloned())))
        }),
    ),
    ("array.first", Function::Pure(1, |a| Ok(Value::option(array(a, 0)?.first().cloned())))),
    ("array.last", Function::Pure(1, |a| Ok(Value::option(array(a, 0)?.last().cloned())))),
    (
        "array.contains",
        Function::Pure(2, |a| {
            let wanted = take(a, 1)?;
            Ok(array(a, 0)?.iter().any(|item| equal(item, &wanted)).into())
        }),
    ),
    (
        "array.index_of",
        Function::Pure(2, |a| {
            let wanted = take(a, 1)?;
            Ok(Value::option(array(a, 0)?.iter().position(|item| equal(item, &wanted)).map(length)))
        }),
    ),
    (
        "array.concat",
        Function::Pure(2, |a| {
            let mut joined = owned(a, 0)?;
            counted(joined.len() + array(a, 1)?.len())?;
            joined.extend_from_slice(array(a, 1)?);
            Ok(Value::array(joined))
        }),
    ),
    (
        "array.reversed",
        Function::Pure(1, |a| {
            let mut items = owned(a, 0)?;
            items.reverse();
            Ok(Value::array(items))
        }),
    ),
    (
        "array.sorted",
        Function::Pure(1, |a| {
            let mut items = owned(a, 0)?;
            sort(&mut items);
            Ok(Value::array(items))
        }),
    ),
    (
        "array.sorted_with",
        Function::Pure(2, |a| {
            let mut items = owned(a, 0)?;
            let keys = array(a, 1)?;
            if items.len() != keys.len() {
                return Err(Failure::Broken);
            }
            let places = order_of(keys);
            let sorted = places.into_iter().filter_map(|at| items.get_mut(at).map(std::mem::take));
            Ok(Value::array(sorted.collect()))
        }),
    ),
    (
        "array.slice",
        Function::Pure(3, |a| {
            let (start, end) = (clamped(int(a, 1)?), clamped(int(a, 2)?));
            Ok(Value::array(slice(array(a, 0)?, start, end).to_vec()))
        }),
    ),
    (
        "array.take",
        Function::Pure(2, |a| {
            Ok(Value::array(slice(array(a, 0)?, 0, count(int(a, 1)?)?).to_vec()))
        }),
    ),
    (
        "array.skip",
        Function::Pure(2, |a| {
            Ok(Value::array(slice(array(a, 0)?, count(int(a, 1)?)?, usize::MAX).to_vec()))
        }),
    ),
    (
        "array.join",
        Function::Pure(2, |a| {
            let (items, between) = (array(a, 0)?, text(a, 1)?);
            let mut whole = Text::new("");
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    whole.push_str(between);
                }
                match item {
                    Value::Str(part) => whole.push_str(part),
                    other => whole.push_shown(other),
                }
                sized(whole.len())?;
            }
            Ok(Value::Str(whole))
        }),
    ),
    (
        "array.enumerate",
        Function::Pure(1, |a| {
            let pairs = array(a, 0)?.iter().enumerate();
            Ok(Value::array(pairs.map(|(i, v)| pair(length(i), v.clone())).collect()))
        }),
    ),
    (
        "array.zip",
        Function::Pure(2, |a| {
            let pairs = array(a, 0)?.iter().zip(array(a, 1)?.iter());
            Ok(Value::array(pairs.map(|(x, y)| pair(x.clone(), y.clone())).collect()))
        }),
    ),
    ("array.sum_int", Function::Pure(1, sum_int)),
    (
        "array.sum_float",
        Function::Pure(1, |a| {
            let mut sum = 0.0;
            for item in array(a, 0)? {
                let Value::Float(number) = item else { return Err(Failure::Broken) };
                sum += number;
            }
            Ok(Value::Float(sum))
        }),
    ),
    (
        "array.chunks",
        Function::Pure(2, |a| {
            let (size, items) = (positive(int(a, 1)?)?, array(a, 0)?);
            let chunks = items.chunks(size.min(items.len().max(1)));
            Ok(Value::array(chunks.map(|chunk| Value::array(chunk.to_vec())).collect()))
        }),
    ),
    (
        "array.windows",
        Function::Pure(2, |a| {
            let (size, items) = (positive(int(a, 1)?)?, array(a, 0)?);
            let size = size.min(items.len().max(1));
            counted((items.len() + 1 - size).saturating_mul(size))?;
            let windows = items.windows(size);
            Ok(Value::array(windows.map(|window| Value::array(window.to_vec())).collect()))
        }),
    ),
    (
        "array.flatten",
        Function::Pure(1, |a| {
            let mut flat = Vec::new();
            for item in array(a, 0)? {
                let Value::Array(inner) = item else { return Err(Failure::Broken) };
                counted(flat.len() + inner.len())?;
                flat.extend_from_slice(inner);
            }
            Ok(Value::array(flat))
        }),
    ),
    (
        "array.to_map",
        Function::Pure(1, |a| {
            let entries = array(a, 0)?.iter().map(|item| match item {
                Value::Tuple(pair) => Some((pair.first()?.to_key()?, pair.get(1)?.clone())),
                _ => None,
            });
            let map = entries.collect::<Option<MapValue>>().ok_or(Failure::Broken)?;
            Ok(Value::map(map))
        }),
    ),
    ("array.min", Function::Pure(1, |a| extreme(array(a, 0)?, Ordering::Less))),
    ("array.max", Function::Pure(1, |a| extreme(array(a, 0)?, Ordering::Greater))),
    (
        "array.unique",
        Function::Pure(1, |a| {
            let mut unique: Vec<Value> = Vec::new();
            for item in array(a, 0)? {
                if !unique.iter().any(|seen| equal(seen, item)) {
                    unique.push(item.clone());
                }
            }
            Ok(Value::array(unique))
        }),
    ),
    (
        "array.push",
        Function::Mutating(1, |r, a| {
            let item = take(a, 0)?;
            items(r)?.push(item);
            Ok(Value::Nil)
        }),
    ),
    ("array.pop", Function::Mutating(0, |r, _| Ok(Value::option(items(r)?.pop())))),
    (
        "array.insert",
        Function::Mutating(2, |r, a| {
            let (at, item) = (int(a, 0)?, take(a, 1)?);
            let items = items(r)?;
            match usize::try_from(at) {
                Ok(index) if index <= items.len() => {
                    items.insert(index, item);
                    Ok(Value::Nil)
                }
                _ => out_of_bounds(at, items.len()),
            }
        }),
    ),
    (
        "array.remove",
        Function::Mutating(1, |r, a| {
            let at = int(a, 0)?;
            let items = items(r)?;
            match usize::try_from(at) {
                Ok(index) if index < items.len() => Ok(items.remove(index)),
                _ => out_of_bounds(at, items.len()),
            }
        }),
    ),
    (
        "array.extend",
        Function::Mutating(1, |r, a| {
            let more = owned(a, 0)?;
            let items = items(r)?;
            counted(items.len() + more.len())?;
            items.extend(more);
            Ok(Value::Nil)
        }),
    ),
    (
        "array.clear",
        Function::Mutating(0, |r, _| {
            items(r)?.clear();
            Ok(Value::Nil)
        }),
    ),
    (
        "array.reverse",
        Function::Mutating(0, |r, _| {
            items(r)?.reverse();
            Ok(Value::Nil)
        }),
    ),
    (
        "array.sort",
        Function::Mutating(0, |r, _| {
            sort(items(r)?);
            Ok(Value::Nil)
        }),
    ),
];

fn array(args: &[Value], index: usize) -> Result<&Vec<Value>, Failure> {
    match args.get(index) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(Failure::Broken),
    }
}

fn owned(args: &mut [Value], index: usize) -> Result<Vec<Value>, Failure> {
    match take(args, index)? {
        Value::Array(items) => {
            Ok(Arc::try_unwrap(items).map_or_else(|shared| shared.to_vec(), List::into_vec))
        }
        _ => Err(Failure::Broken),
    }
}

fn items(receiver: &mut Value) -> Result<&mut Vec<Value>, Failure> {
    match receiver {
        Value::Array(items) => Ok(&mut *Arc::make_mut(items)),
        _ => Err(Failure::Broken),
    }
}

/// How many elements; a negative number is no count.
fn count(number: i64) -> Result<usize, Failure> {
    if number < 0 {
        return panic(PanicKind::InvalidArgument, "the count is negative");
    }
    Ok(clamped(number))
}

/// A size, which is at least 1.
fn positive(number: i64) -> Result<usize, Failure> {
    if number < 1 {
        return panic(PanicKind::InvalidArgument, "the size must be at least 1");
    }
    Ok(clamped(number))
}

fn pair(left: Value, right: Value) -> Value {
    Value::tuple(vec![left, right])
}

/// Elements from `start` to before `end`, both clamped.
pub(crate) fn slice(items: &[Value], start: usize, end: usize) -> &[Value] {
    items.get(start.min(items.len())..end.min(items.len())).unwrap_or(&[])
}

pub(crate) fn out_of_bounds<T>(index: i64, len: usize) -> Result<T, Failure> {
    panic(
        PanicKind::IndexOutOfBounds,
        format!("index {index} is out of bounds: the length is {len}"),
    )
}

/// Sorts by [`sort_order`]; equal elements keep their order. Numbers, texts, and tuples that begin with a number are mostly compared by what stands beside them.
fn sort(items: &mut [Value]) {
    let first = |item: &Value| match item {
        Value::Tuple(parts) => parts.first().and_then(number),
        _ => None,
    };
    let pair = |item: &Value| match item {
        Value::Tuple(parts) => parts.first().and_then(number).zip(parts.get(1).and_then(number)),
        _ => None,
    };
    if items.iter().all(|item| number(item).is_some()) {
        items.sort_unstable_by_key(number);
    } else if items.iter().all(|item| pair(item).is_some()) {
        sort_by_key(items, pair);
    } else if items.iter().all(|item| first(item).is_some()) {
        sort_by_key(items, first);
    } else if items.iter().all(|item| first_bytes(item).is_some()) {
        sort_by_key(items, first_bytes);
    } else {
        items.sort_by(sort_order);
    }
}

/// Sorts by a key that decides most comparisons, kept beside each element.
fn sort_by_key<K: Ord>(items: &mut [Value], key: impl Fn(&Value) -> K) {
    let mut keyed: Vec<_> =
        items.iter_mut().map(|item| (key(item), std::mem::take(item))).collect();
    keyed.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| sort_order(left, right)));
    for (slot, (_, item)) in items.iter_mut().zip(keyed) {
        *slot = item;
    }
}

/// The places of values in the order of [`sort_order`]; equal ones keep their order.
fn order_of(keys: &[Value]) -> Vec<usize> {
    if keys.iter().all(|key| number(key).is_some()) {
        order_by(keys, number)
    } else if keys.iter().all(|key| first_bytes(key).is_some()) {
        order_by(keys, first_bytes)
    } else {
        order_by(keys, |_| ())
    }
}

/// Likewise, with something that decides most comparisons beside each place.
fn order_by<K: Ord>(keys: &[Value], key: impl Fn(&Value) -> K) -> Vec<usize> {
    let mut places: Vec<_> = keys.iter().map(key).zip(keys).zip(0..).collect();
    places
        .sort_by(|((a, left), _), ((b, right), _)| a.cmp(b).then_with(|| sort_order(left, right)));
    places.into_iter().map(|(_, at)| at).collect()
}

fn number(item: &Value) -> Option<i64> {
    match item {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// Those of a text as a number, which is in the order of texts.
fn first_bytes(item: &Value) -> Option<u64> {
    let text = item.as_str()?;
    let mut first = [0; 8];
    for (slot, byte) in first.iter_mut().zip(text.bytes()) {
        *slot = byte;
    }
    Some(u64::from_be_bytes(first))
}

/// A total order for sorting, also inside of elements: NaN comes after all other numbers. The sort of the standard library may panic without one.
fn sort_order(left: &Value, right: &Value) -> Ordering {
    sort_order_at(left, right, 0)
}

fn sort_order_at(left: &Value, right: &Value, depth: usize) -> Ordering {
    /// Types of programs are less deep.
    const DEEPEST: usize = 128;
    let is_nan = |value: &Value| matches!(value, Value::Float(number) if number.is_nan());
    match (left, right) {
        (Value::Array(a), Value::Array(b)) | (Value::Tuple(a), Value::Tuple(b))
            if depth < DEEPEST =>
        {
            let mut pairs = a.iter().zip(b.iter());
            let unequal = pairs.find_map(|(x, y)| match sort_order_at(x, y, depth + 1) {
                Ordering::Equal => None,
                other => Some(other),
            });
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => order(left, right).unwrap_or_else(|| is_nan(left).cmp(&is_nan(right))),
    }
}

fn sum_int(args: &mut [Value]) -> Outcome {
    let mut sum = 0_i64;
    for item in array(args, 0)? {
        let Value::Int(number) = item else { return Err(Failure::Broken) };
        let Some(next) = sum.checked_add(*number) else {
            return panic(PanicKind::ArithmeticOverflow, "the sum does not fit into 64 bits");
        };
        sum = next;
    }
    Ok(Value::Int(sum))
}

fn extreme(items: &[Value], wanted: Ordering) -> Outcome {
    let mut best: Option<&Value> = None;
    for item in items {
        if best.is_none_or(|best| order(item, best) == Some(wanted)) {
            best = Some(item);
        }
    }
    Ok(Value::option(best.cloned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_has_a_total_order_with_nan_inside_of_elements() {
        let pair = |x: f64, y: i64| pair(Value::Float(x), Value::Int(y));
        let mut items = vec![pair(f64::NAN, 1), pair(1.0, 2), pair(f64::NAN, 0), pair(0.5, 3)];
        items.sort_by(sort_order);
        let shown = Value::array(items).to_string();
        assert_eq!(shown, "[(0.5, 3), (1.0, 2), (NaN, 0), (NaN, 1)]");
    }

    #[test]
    fn keys_beside_elements_give_the_same_order() {
        let texts = ["b", "abcdefgh2", "", "a\0", "abcdefgh1", "a", "é", "abcdefgh"];
        let cases: [Vec<Value>; 5] = [
            [3, -1, i64::MIN, i64::MAX, 0].map(Value::Int).to_vec(),
            texts.map(Value::from).to_vec(),
            [(2, 1), (-1, 3), (2, -1)].map(|(m, n): (i64, i64)| pair(m.into(), n.into())).to_vec(),
            [(2, "x"), (-1, "z"), (2, "a")].map(|(n, t)| pair(n.into(), t.into())).to_vec(),
            vec![Value::Int(2), Value::Float(1.5), Value::Int(1)],
        ];
        for items in cases {
            let (mut found, mut expected) = (items.clone(), items.clone());
            let places = order_of(&found);
            sort(&mut found);
            expected.sort_by(sort_order);
            assert_eq!(found, expected);
            assert!(places.iter().map(|at| &items[*at]).eq(&expected));
        }
    }
}
