//! Text that knows whether it is ASCII, so that positions cost nothing there. The shortest stands in the value itself; other text is shared and counted,
//! short one without memory of its own.

use std::cmp::Ordering;
use std::fmt::{Display, Write};
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use ascii::{AsciiChar, AsciiStr, ToAsciiChar};
use triomphe::Arc;

/// Text, cheap to clone; changed in place while it has one owner.
#[derive(Clone, Debug)]
pub struct Text(Form);

#[derive(Clone, Debug)]
enum Form {
    Inline(Inline),
    Shared(Arc<Content>),
}

/// ASCII as long as a [`Value`](super::Value) is: the first scalar stands for the length, and the values that it cannot have for the kinds of other
/// values. So it is copied as a whole, and compared as two numbers. Null behind the text.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
struct Inline([AsciiChar; 16]);

/// The longest text that may stand inline.
const INLINE: usize = 15;

impl Inline {
    const EMPTY: Self = Self([AsciiChar::Null; 16]);

    fn new(text: &str) -> Option<Self> {
        let mut inline = Self::EMPTY;
        inline.push_str(text).then_some(inline)
    }

    fn len(&self) -> usize {
        let [len, ..] = self.0;
        usize::from(len.as_byte())
    }

    fn text(&self) -> &str {
        <&AsciiStr>::from(self.0.get(1..=self.len()).unwrap_or_default()).as_str()
    }

    /// Whether there is room for as many bytes more.
    fn has_room(&self, more: usize) -> bool {
        1 + self.len() + more <= self.0.len()
    }

    /// False if there is no room, or the text is no ASCII.
    fn push_str(&mut self, more: &str) -> bool {
        let (start, end) = (1 + self.len(), 1 + self.len() + more.len());
        if let Some(free) = self.0.get_mut(start..end)
            && let Ok(more) = AsciiStr::from_ascii(more)
            && let Some(len) = u8::try_from(end - 1).ok().and_then(|len| len.to_ascii_char().ok())
        {
            free.copy_from_slice(more.as_slice());
            self.0[0] = len;
            return true;
        }
        false
    }

    /// Length and text, and the rest of the text; their order as numbers is that of the bytes.
    fn words(&self) -> (u64, u64) {
        let bytes = <&AsciiStr>::from(&self.0[..]).as_bytes();
        let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        (word(bytes.first_chunk()), word(bytes.last_chunk()))
    }

    /// What texts are ordered by.
    fn rank(&self) -> (u64, u64, usize) {
        let (first, last) = self.words();
        (first << 8, last, self.len())
    }

    fn scalars_mut(&mut self) -> &mut [AsciiChar] {
        let len = self.len();
        self.0.get_mut(1..=len).unwrap_or_default()
    }
}

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

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::short(text)
            .unwrap_or_else(|| Self::Long { is_ascii: text.is_ascii(), text: text.to_owned() })
    }
}

impl Text {
    /// Text with this content.
    #[must_use]
    pub fn new(text: impl AsRef<str> + Into<String>) -> Self {
        if let Some(inline) = Inline::new(text.as_ref()) {
            return Self(Form::Inline(inline));
        }
        Self(Form::Shared(Arc::new(Content::short(text.as_ref()).unwrap_or_else(|| {
            let text = text.into();
            Content::Long { is_ascii: text.is_ascii(), text }
        }))))
    }

    /// Empty text, with room for as many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        if bytes <= INLINE {
            return Self(Form::Inline(Inline::EMPTY));
        }
        let content = if bytes <= SHORT {
            Content::Short { is_ascii: true, len: 0, bytes: [0; SHORT] }
        } else {
            Content::Long { is_ascii: true, text: String::with_capacity(bytes) }
        };
        Self(Form::Shared(Arc::new(content)))
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Inline(inline) => inline.len(),
            Form::Shared(content) => content.bytes().len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of text that needs no memory of its own, to be made without a call.
    #[inline(always)]
    pub(crate) fn copied(&self) -> Option<Self> {
        match &self.0 {
            Form::Inline(inline) => Some(Self(Form::Inline(*inline))),
            Form::Shared(_) => None,
        }
    }

    /// Whether it is changed in place.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        match &self.0 {
            Form::Inline(_) => true,
            Form::Shared(content) => content.is_unique(),
        }
    }

    fn is_all_ascii(&self) -> bool {
        match &self.0 {
            Form::Inline(_) => true,
            Form::Shared(content) => content.is_ascii(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Inline(inline) => inline.text().as_bytes(),
            Form::Shared(content) => content.bytes(),
        }
    }

    /// Changes it in place if this is the only owner; else a copy.
    fn change(&mut self, change: impl FnOnce(&mut Content)) {
        match &mut self.0 {
            Form::Inline(inline) => {
                let mut content = inline.text().into();
                change(&mut content);
                self.0 = Form::Shared(Arc::new(content));
            }
            Form::Shared(content) => change(Arc::make_mut(content)),
        }
    }

    /// Appends in place if this is the only owner; else to a copy.
    pub fn push_str(&mut self, more: &str) {
        if let Form::Inline(inline) = &mut self.0
            && inline.push_str(more)
        {
            return;
        }
        self.change(|content| content.push_str(more));
    }

    /// Appends a display form likewise.
    pub fn push_shown(&mut self, more: &impl Display) {
        // Writing to memory cannot fail.
        let _ = write!(self, "{more}");
    }

    /// Makes room for as many bytes more.
    pub fn reserve(&mut self, more: usize) {
        match &self.0 {
            Form::Inline(inline) if inline.has_room(more) => {}
            _ => self.change(|content| content.reserve(more)),
        }
    }

    /// In upper case; ASCII in place if this is the only owner.
    #[must_use]
    pub fn into_uppercase(mut self) -> Self {
        if !self.is_all_ascii() {
            return Self::new(self.to_uppercase());
        }
        match &mut self.0 {
            Form::Inline(inline) => {
                inline.scalars_mut().iter_mut().for_each(AsciiChar::make_ascii_uppercase);
            }
            Form::Shared(content) => Arc::make_mut(content)
                .change_ascii(<[u8]>::make_ascii_uppercase, str::make_ascii_uppercase),
        }
        self
    }

    /// In lower case; ASCII in place if this is the only owner.
    #[must_use]
    pub fn into_lowercase(mut self) -> Self {
        if !self.is_all_ascii() {
            return Self::new(self.to_lowercase());
        }
        match &mut self.0 {
            Form::Inline(inline) => {
                inline.scalars_mut().iter_mut().for_each(AsciiChar::make_ascii_lowercase);
            }
            Form::Shared(content) => Arc::make_mut(content)
                .change_ascii(<[u8]>::make_ascii_lowercase, str::make_ascii_lowercase),
        }
        self
    }

    /// How many Unicode scalar values it has.
    #[must_use]
    pub fn char_count(&self) -> usize {
        if self.is_all_ascii() { self.bytes().len() } else { self.chars().count() }
    }

    /// The scalar values from `start` to before `end`; both are clamped, an inverted range is empty.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> &str {
        let text = &**self;
        let (from, to) = if self.is_all_ascii() {
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

impl Write for Text {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        self.push_str(more);
        Ok(())
    }
}

impl From<char> for Text {
    fn from(scalar: char) -> Self {
        Self::new(&*scalar.encode_utf8(&mut [0; 4]))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Inline(a), Form::Inline(b)) => a.words() == b.words(),
            _ => self.bytes() == other.bytes(),
        }
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
        match (&self.0, &other.0) {
            (Form::Inline(a), Form::Inline(b)) => a.rank().cmp(&b.rank()),
            _ => self.bytes().cmp(other.bytes()),
        }
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let write = |inline: &Inline, state: &mut H| {
            let (first, last) = inline.words();
            state.write_u64(first);
            state.write_u64(last);
        };
        match &self.0 {
            Form::Inline(inline) => write(inline, state),
            // The same of the same text: short ASCII need not stand inline if it grew elsewhere.
            Form::Shared(content) => match Inline::new(content.text()) {
                Some(inline) => write(&inline, state),
                None => state.write(content.bytes()),
            },
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Form::Inline(inline) => inline.text(),
            Form::Shared(content) => content.text(),
        }
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
    fn text_with_room_grows_as_any() {
        for room in [0, 1, 15, 16, 29, 30, 100] {
            let mut text = Text::with_room(room);
            assert!(text.is_empty() && text.is_unique());
            for length in 1..40 {
                text.push_str("a");
                assert_eq!((text.len(), &*text), (length, &*"a".repeat(length)), "{room}");
            }
            let copy = text.clone();
            assert!(!text.is_unique() && !copy.is_unique());
        }
        assert_eq!(Text::new("a").copied(), Some(Text::new("a")));
        assert_eq!(Text::new("a".repeat(16)).copied(), None);
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
        assert_eq!((std::mem::size_of::<Text>(), std::mem::size_of::<Content>()), (16, 32));
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

    #[test]
    fn the_same_text_is_the_same_wherever_it_stands() {
        let hash = |text: &Text| {
            let mut hasher = std::hash::DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        };
        let texts = ["", "\0", "a", "a\0", "ab", "abcdefgh", "abcdefghi", "b", "123456789012345"];
        for left in texts {
            for right in texts.into_iter().chain(["1234567890123456", "é", "~é"]) {
                let (inline, mut grown) = (Text::new(left), Text::new(right));
                grown.reserve(100);
                assert_eq!(inline.cmp(&Text::new(right)), left.cmp(right), "{left:?} {right:?}");
                assert_eq!(inline.cmp(&grown), left.cmp(right), "{left:?} {right:?}");
                assert_eq!(inline == grown, left == right, "{left:?} {right:?}");
                assert_eq!(hash(&grown), hash(&Text::new(right)), "{right:?}");
            }
        }
    }
}
