//! Shared text that knows whether it is ASCII, so that positions cost nothing there.

use std::ops::Deref;
use std::sync::Arc;

/// Immutable text, cheap to clone; appended to in place while it has one owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Arc<Content>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Content {
    text: String,
    is_ascii: bool,
}

impl Text {
    /// Text with this content.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let is_ascii = text.is_ascii();
        Self(Arc::new(Content { text, is_ascii }))
    }

    /// Appends in place if this is the only owner; else to a copy.
    pub fn push_str(&mut self, more: &str) {
        let content = Arc::make_mut(&mut self.0);
        content.is_ascii &= more.is_ascii();
        content.text.push_str(more);
    }

    /// How many Unicode scalar values it has.
    #[must_use]
    pub fn char_count(&self) -> usize {
        if self.0.is_ascii { self.0.text.len() } else { self.0.text.chars().count() }
    }

    /// The scalar values from `start` to before `end`; both are clamped, an inverted range is empty.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> &str {
        let text = self.0.text.as_str();
        let (from, to) = if self.0.is_ascii {
            (start.min(text.len()), end.min(text.len()))
        } else {
            let byte_of = |position: usize| {
                text.char_indices().nth(position).map_or(text.len(), |(byte, _)| byte)
            };
            (byte_of(start), byte_of(end))
        };
        text.get(from..to).unwrap_or("")
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.text
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_scalar_values() {
        for (text, start, end, expected) in [
            ("hello", 1, 3, "el"),
            ("héllo", 1, 3, "él"),
            ("héllo", 4, 99, "o"),
            ("héllo", 3, 1, ""),
            ("", 0, 5, ""),
        ] {
            assert_eq!(Text::new(text).slice(start, end), expected);
        }
        assert_eq!(Text::new("héllo").char_count(), 5);
    }

    #[test]
    fn appending_leaves_copies_alone() {
        let mut text = Text::new("a");
        let copy = text.clone();
        text.push_str("é");
        assert_eq!((&*text, &*copy, text.char_count()), ("aé", "a", 2));
    }
}
