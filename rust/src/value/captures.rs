//! What a function captured: mostly one value or two, which stand in the function itself and need no memory of their own.

use std::ops::{Deref, DerefMut};

use super::Value;

/// Values in order.
#[derive(Debug, Default)]
pub enum Captures {
    /// Nothing.
    #[default]
    None,
    /// One value.
    One([Value; 1]),
    /// Two values.
    Two([Value; 2]),
    /// More than two.
    More(Vec<Value>),
}

impl Captures {
    /// Takes the values out of a window.
    #[must_use]
    pub fn taken(window: &mut [Value]) -> Self {
        use std::mem::take;
        match window {
            [] => Self::None,
            [only] => Self::One([take(only)]),
            [first, second] => Self::Two([take(first), take(second)]),
            more => Self::More(more.iter_mut().map(take).collect()),
        }
    }
}

impl Deref for Captures {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        match self {
            Self::None => &[],
            Self::One(values) => values,
            Self::Two(values) => values,
            Self::More(values) => values,
        }
    }
}

impl DerefMut for Captures {
    fn deref_mut(&mut self) -> &mut [Value] {
        match self {
            Self::None => &mut [],
            Self::One(values) => values,
            Self::Two(values) => values,
            Self::More(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_values_is_taken_in_order() {
        for count in 0..5 {
            let mut window: Vec<_> = (0..count).map(Value::Int).collect();
            let expected = window.clone();
            let mut found = Captures::taken(&mut window);
            assert_eq!(*found, *expected);
            assert_eq!(found.iter_mut().count(), expected.len());
            assert!(window.iter().all(|left| matches!(left, Value::Nil)));
        }
    }
}
