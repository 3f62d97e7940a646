//! Equality and order as the language defines them.

use std::cmp::Ordering;
use std::collections::HashSet;

use triomphe::Arc;

use super::Value;

/// Pairs of containers that were met already, by where they stand: a value may hold its parts many times. Kept for comparisons that take long.
#[derive(Default)]
struct Met {
    steps: usize,
    pairs: HashSet<(usize, usize)>,
}

impl Met {
    const LONG: usize = 1000;

    /// Whether a pair need not be looked at again.
    fn again(&mut self, left: &Value, right: &Value) -> bool {
        self.steps += 1;
        if self.steps < Self::LONG {
            return false;
        }
        match (place(left), place(right)) {
            (Some(a), Some(b)) => !self.pairs.insert((a, b)),
            _ => false,
        }
    }
}

/// Where the content of a container stands.
fn place(value: &Value) -> Option<usize> {
    Some(match value {
        Value::Array(items) | Value::Tuple(items) => Arc::as_ptr(items).addr(),
        Value::Map(map) => Arc::as_ptr(map).addr(),
        Value::Struct(held) => Arc::as_ptr(held).addr(),
        Value::Enum(held) => Arc::as_ptr(held).addr(),
        Value::Some(held) | Value::Ok(held) | Value::Err(held) => Arc::as_ptr(held).addr(),
        _ => return None,
    })
}

/// The outcome of an ordered comparison.
pub type Order = Option<Ordering>;

/// Structural equality. Int and Float compare by their exact values, `nil` equals `None`, `Some(v)` equals a `v` that is not nil; values of different
/// types differ. Values nest without limit, so what is inside waits in a list.
#[must_use]
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => return a == b,
        (Value::Str(a), Value::Str(b)) => return a == b,
        _ => {}
    }
    let mut pending = Vec::new();
    let mut met = Met::default();
    let mut next = Some((left, right));
    while let Some((left, right)) = next {
        // What was met is equal, or waits in the list.
        if !met.again(left, right) && !equal_outside(left, right, &mut pending) {
            return false;
        }
        next = pending.pop();
    }
    true
}

/// Whether two values are equal, provided that the pairs which it adds are.
fn equal_outside<'a>(
    left: &'a Value,
    right: &'a Value,
    inside: &mut Vec<(&'a Value, &'a Value)>,
) -> bool {
    use Value as V;
    let mut all = |a: &'a [Value], b: &'a [Value]| {
        inside.extend(a.iter().zip(b).rev());
        a.len() == b.len()
    };
    match (left, right) {
        (V::Nil | V::None, V::Nil | V::None) => true,
        (V::Bool(a), V::Bool(b)) => a == b,
        (V::Int(a), V::Int(b)) => a == b,
        #[expect(clippy::float_cmp, reason = "the language compares exactly")]
        (V::Float(a), V::Float(b)) => a == b,
        (V::Int(a), V::Float(b)) | (V::Float(b), V::Int(a)) => {
            int_with_float(*a, *b) == Some(Ordering::Equal)
        }
        (V::Str(a), V::Str(b)) => a == b,
        (V::Array(a), V::Array(b)) | (V::Tuple(a), V::Tuple(b)) => all(a, b),
        (V::Map(a), V::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.get(key).is_some_and(|other| {
                        inside.push((value, other));
                        true
                    })
                })
        }
        (V::Struct(a), V::Struct(b)) => a.ty.name == b.ty.name && all(&a.fields, &b.fields),
        (V::Enum(a), V::Enum(b)) => {
            a.ty.name == b.ty.name && a.variant == b.variant && all(&a.fields, &b.fields)
        }
        // Wrapped; but `Some(nil)` is something.
        (V::Some(_), V::Nil | V::None) | (V::Nil | V::None, V::Some(_)) => false,
        (V::Some(a), V::Some(b)) | (V::Ok(a), V::Ok(b)) | (V::Err(a), V::Err(b)) => {
            inside.push((a, b));
            true
        }
        (V::Some(a), b) | (b, V::Some(a)) => {
            inside.push((a, b));
            true
        }
        (V::Range(a), V::Range(b)) => a == b,
        (V::Model(a), V::Model(b)) => a.is_same(b),
        (V::Pipeline(a), V::Pipeline(b)) => a.function == b.function,
        (V::Task(a), V::Task(b)) => Arc::ptr_eq(a, b),
        (V::Collection(a), V::Collection(b)) => a.is_equal(b),
        (V::Foreign(a), V::Foreign(b)) => a.is_same(&***b),
        _ => false,
    }
}

/// Order of numbers, texts, truth values, and tuples and arrays of them; `None` where there is none (NaN, other types, absurd depth).
#[must_use]
pub fn order(left: &Value, right: &Value) -> Order {
    order_at(left, right, 0, &mut Met::default())
}

/// Types of programs are less deep.
const DEEPEST: usize = 128;

fn order_at(left: &Value, right: &Value, depth: usize, met: &mut Met) -> Order {
    use Value as V;
    // Everything before the first difference was equal.
    if depth > 0 && met.again(left, right) {
        return Some(Ordering::Equal);
    }
    match (left, right) {
        (V::Int(a), V::Int(b)) => Some(a.cmp(b)),
        (V::Float(a), V::Float(b)) => a.partial_cmp(b),
        (V::Int(a), V::Float(b)) => int_with_float(*a, *b),
        (V::Float(a), V::Int(b)) => int_with_float(*b, *a).map(Ordering::reverse),
        (V::Str(a), V::Str(b)) => Some(a.cmp(b)),
        (V::Bool(a), V::Bool(b)) => Some(a.cmp(b)),
        (V::Array(a), V::Array(b)) | (V::Tuple(a), V::Tuple(b)) if depth < DEEPEST => {
            for (x, y) in a.iter().zip(b.iter()) {
                match order_at(x, y, depth + 1, met) {
                    Some(Ordering::Equal) => {}
                    other => return other,
                }
            }
            Some(a.len().cmp(&b.len()))
        }
        _ => None,
    }
}

/// Compares without rounding the integer to a float.
fn int_with_float(int: i64, float: f64) -> Order {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if float.is_nan() {
        return None;
    }
    if float >= LIMIT {
        return Some(Ordering::Less);
    }
    if float < -LIMIT {
        return Some(Ordering::Greater);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let whole = float.trunc() as i64;
    Some(int.cmp(&whole).then_with(|| {
        let rest = float - float.trunc();
        0.0_f64.partial_cmp(&rest).unwrap_or(Ordering::Equal)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly() {
        let big = 9_007_199_254_740_993_i64; // 2^53 + 1
        assert!(!equal(&Value::Int(big), &Value::Float(9_007_199_254_740_992.0)));
        assert!(equal(&Value::Int(2), &Value::Float(2.0)));
        assert_eq!(order(&Value::Int(2), &Value::Float(2.5)), Some(Ordering::Less));
        assert_eq!(order(&Value::Float(-2.5), &Value::Int(-2)), Some(Ordering::Less));
        assert_eq!(order(&Value::Int(i64::MAX), &Value::Float(1e19)), Some(Ordering::Less));
        assert_eq!(order(&Value::Int(1), &Value::Float(f64::NAN)), None);
        assert!(equal(&Value::Float(0.0), &Value::Float(-0.0)));
    }

    #[test]
    fn values_that_hold_their_parts_many_times_compare_fast() {
        let build = |mut value: Value| {
            for _ in 0..100 {
                value = Value::array(vec![value.clone(), value]);
            }
            value
        };
        let (left, right, other) = (build(1.into()), build(1.into()), build(2.into()));
        assert!(equal(&left, &right));
        assert!(!equal(&left, &other));
        assert_eq!(order(&left, &right), Some(Ordering::Equal));
        assert_eq!(order(&left, &other), Some(Ordering::Less));
        let nan = build(f64::NAN.into());
        assert!(!equal(&nan, &nan.clone()));
    }

    #[test]
    fn options_equal_their_plain_forms() {
        assert!(equal(&Value::None, &Value::Nil));
        assert!(equal(&Value::some(Value::Int(1)), &Value::Int(1)));
        assert!(!equal(&Value::some(Value::None), &Value::None));
        assert!(!equal(&Value::text("1"), &Value::Int(1)));
    }
}
