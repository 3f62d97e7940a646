//! Shared text that knows whether it is ASCII, so that positions cost nothing there. Short text stands where it is counted, without memory of its own.

use std::cmp::Ordering;
use std::fmt::{Display, Write};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Immutable text, cheap to clone; appended to in place while it has one owner.
#[derive(Clone, Debug)]
pub struct Text(Arc<Content>);

/// The longest text that a program makes, in bytes: one that would be larger panics `LimitExceeded`, for memory that runs out ends the whole process.
pub const MAX_TEXT: usize = 256 << 20;

/// Text of up to this many bytes is short: with the length and two flags it takes four words, as long text does.
const SHORT: usize = 29;

#[derive(Clone, Debug)]
enum Content {
    Short { is_ascii: bool, len: u8, bytes: [u8; SHORT] },
    Long { is_ascii: bool, text: String },
}

impl Content {
    /// Short text; `None` if it is too long.
    fn short(text: &str) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self::Short { is_ascii: text.is_ascii(), len, bytes })
    }

    fn is_ascii(&self) -> bool {
        match self {
            Self::Short { is_ascii, .. } | Self::Long { is_ascii, .. } => *is_ascii,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes, .. } => bytes.get(..usize::from(*len)).unwrap_or(&[]),
            Self::Long { text, .. } => text.as_bytes(),
        }
    }

    fn text(&self) -> &str {
        match self {
            // Whole texts went in.
            Self::Short { .. } => std::str::from_utf8(self.bytes()).unwrap_or_default(),
            Self::Long { text, .. } => text,
        }
    }

    fn push_str(&mut self, more: &str) {
        match self {
            Self::Short { is_ascii, len, bytes } => {
                let end = usize::from(*len) + more.len();
                if let Some(free) = bytes.get_mut(usize::from(*len)..end)
                    && let Ok(end) = u8::try_from(end)
                {
                    free.copy_from_slice(more.as_bytes());
                    (*is_ascii, *len) = (*is_ascii && more.is_ascii(), end);
                } else {
                    self.reserve(more.len());
                    self.push_str(more);
                }
            }
            Self::Long { is_ascii, text } => {
                *is_ascii &= more.is_ascii();
                text.push_str(more);
            }
        }
    }

    fn change_ascii(&mut self, short: fn(&mut [u8]), long: fn(&mut str)) {
        match self {
            Self::Short { bytes, .. } => short(bytes),
            Self::Long { text, .. } => long(text),
        }
    }

    /// Makes room for as many bytes more.
    fn reserve(&mut self, more: usize) {
        match self {
            Self::Short { len, .. } if usize::from(*len) + more <= SHORT => {}
            Self::Short { is_ascii, .. } => {
                let is_ascii = *is_ascii;
                let mut text = String::with_capacity(2 * (SHORT + more));
                text.push_str(self.text());
                *self = Self::Long { is_ascii, text };
            }
            Self::Long { text, .. } => text.reserve(more),
        }
    }
}

impl Write for Content {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        self.push_str(more);
        Ok(())
    }
}

impl Text {
    /// Text with this content.
    #[must_use]
    pub fn new(text: impl AsRef<str> + Into<String>) -> Self {
        Self(Arc::new(Content::short(text.as_ref()).unwrap_or_else(|| {
            let text = text.into();
            Content::Long { is_ascii: text.is_ascii(), text }
        })))
    }

    /// Appends in place if this is the only owner; else to a copy.
    pub fn push_str(&mut self, more: &str) {
        Arc::make_mut(&mut self.0).push_str(more);
    }

    /// Appends a display form likewise.
    pub fn push_shown(&mut self, more: &impl Display) {
        // Writing to memory cannot fail.
        let _ = write!(Arc::make_mut(&mut self.0), "{more}");
    }

    /// Makes room for as many bytes more.
    pub fn reserve(&mut self, more: usize) {
        Arc::make_mut(&mut self.0).reserve(more);
    }

    /// In upper case; ASCII in place if this is the only owner.
    #[must_use]
    pub fn into_uppercase(mut self) -> Self {
        if !self.0.is_ascii() {
            return Self::new(self.to_uppercase());
        }
        Arc::make_mut(&mut self.0)
            .change_ascii(<[u8]>::make_ascii_uppercase, str::make_ascii_uppercase);
        self
    }

    /// In lower case; ASCII in place if this is the only owner.
    #[must_use]
    pub fn into_lowercase(mut self) -> Self {
        if !self.0.is_ascii() {
            return Self::new(self.to_lowercase());
        }
        Arc::make_mut(&mut self.0)
            .change_ascii(<[u8]>::make_ascii_lowercase, str::make_ascii_lowercase);
        self
    }

    /// How many Unicode scalar values it has.
    #[must_use]
    pub fn char_count(&self) -> usize {
        if self.0.is_ascii() { self.0.bytes().len() } else { self.chars().count() }
    }

    /// The scalar values from `start` to before `end`; both are clamped, an inverted range is empty.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> &str {
        let text = self.0.text();
        let (from, to) = if self.0.is_ascii() {
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

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes() == other.0.bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    /// That of the bytes, which in UTF-8 is that of the scalar values.
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.bytes().cmp(other.0.bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.bytes());
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.text()
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

    #[test]
    fn cases_change_in_place_and_leave_copies_alone() {
        let long = "aB1".repeat(20);
        for text in ["", "aB1", "straße", &long] {
            let shared = Text::new(text);
            assert_eq!(*shared.clone().into_uppercase(), text.to_uppercase());
            assert_eq!(*shared.clone().into_lowercase(), text.to_lowercase());
            assert_eq!(&*shared, text);
        }
    }

    #[test]
    fn short_text_grows_into_long_text() {
        assert_eq!(std::mem::size_of::<Content>(), 32);
        let mut text = Text::new("");
        let mut expected = String::new();
        for number in 0..40 {
            assert_eq!((&*text, &text), (&*expected, &Text::new(expected.clone())));
            assert_eq!(text.char_count(), expected.chars().count());
            let piece = if number % 9 == 8 { "é" } else { "ab" };
            text.push_str(piece);
            expected.push_str(piece);
            text.push_shown(&number);
            expected.push_str(&number.to_string());
        }
        assert!(Text::new("b") > Text::new("a".repeat(50)) && Text::new("a") < Text::new("aé"));
    }
}
