//! JSON text to values, as `std::json::parse` has it: RFC 8259, and an error says line and column, in characters, from 1.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Key, MapValue, Text, Value};

/// Deeper nesting is refused.
const DEEPEST: usize = 128;

/// Why a text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonProblem {
    /// `syntax` or `depth`.
    pub kind: &'static str,
    /// What was expected or found.
    pub what: &'static str,
    /// From 1.
    pub line: i64,
    /// From 1, in characters.
    pub column: i64,
}

/// Reads a whole text; a byte order mark in front is skipped.
///
/// # Errors
/// [`JsonProblem`] for the first mistake.
pub fn parse_json(text: &str) -> Result<Value, JsonProblem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { text, at: 0, names: HashMap::default(), items: Vec::new(), entries: Vec::new() };
    let result = reader.whole();
    result.map_err(|(kind, what)| {
        let before = text.get(..reader.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        JsonProblem { kind, what, line: number(line), column: number(column) }
    })
}

type Read<T> = Result<T, (&'static str, &'static str)>;

fn wrong<T>(what: &'static str) -> Read<T> {
    Err(("syntax", what))
}

/// A text and how far it is read, in bytes.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Names of entries: records have the same ones again and again.
    names: HashMap<Cow<'a, str>, Text, RandomState>,
    /// What open arrays have so far, the innermost last: when one ends, its size is known.
    items: Vec<Value>,
    /// Likewise of objects.
    entries: Vec<(Key, Value)>,
}

impl<'a> Reader<'a> {
    fn whole(&mut self) -> Read<Value> {
        let value = self.value(0)?;
        self.blanks();
        if self.at < self.text.len() { wrong("text follows the value") } else { Ok(value) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether the next byte is this one, which is then read.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.blanks();
        match self.peek() {
            Some(b'"') => self.string().map(Value::text),
            Some(b'n') => self.word("null", Value::Nil),
            Some(b't') => self.word("true", true.into()),
            Some(b'f') => self.word("false", false.into()),
            Some(b'[' | b'{') if depth == DEEPEST => Err(("depth", "nested deeper than 128")),
            Some(b'[') => self.array(depth + 1),
            Some(b'{') => self.object(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => wrong("expected a value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Read<Value> {
        if !self.text.get(self.at..).unwrap_or("").starts_with(word) {
            return wrong("expected a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let first = self.items.len();
        self.blanks();
        if self.eat(b']') {
            return Ok(Value::array(Vec::new()));
        }
        loop {
            let item = self.value(depth)?;
            self.items.push(item);
            self.blanks();
            if self.eat(b']') {
                return Ok(Value::array(self.items.drain(first..).collect()));
            }
            if !self.eat(b',') {
                return wrong("expected `,` or `]`");
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let first = self.entries.len();
        self.blanks();
        if self.eat(b'}') {
            return Ok(Value::map(MapValue::default()));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return wrong("expected a name in quotes");
            }
            let key = Key::Str(self.name()?);
            self.blanks();
            if !self.eat(b':') {
                return wrong("expected `:`");
            }
            let value = self.value(depth)?;
            self.entries.push((key, value));
            self.blanks();
            if self.eat(b'}') {
                return Ok(Value::map(self.entries.drain(first..).collect()));
            }
            if !self.eat(b',') {
                return wrong("expected `,` or `}`");
            }
        }
    }

    fn name(&mut self) -> Read<Text> {
        let name = self.string()?;
        if let Some(known) = self.names.get(&*name) {
            return Ok(known.clone());
        }
        let text = Text::new(&*name);
        self.names.insert(name, text.clone());
        Ok(text)
    }

    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { wrong("expected a digit") } else { Ok(()) }
    }

    fn number(&mut self) -> Read<Value> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut is_whole = true;
        if self.eat(b'.') {
            is_whole = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            is_whole = false;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        let written = self.text.get(start..self.at).unwrap_or("");
        if is_whole && let Ok(number) = written.parse::<i64>() {
            return Ok(number.into());
        }
        match written.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number.into()),
            _ => {
                self.at = start;
                wrong("the number is too large")
            }
        }
    }

    /// A string; as it stands in the text if nothing in it is escaped.
    fn string(&mut self) -> Read<Cow<'a, str>> {
        self.at += 1;
        let plain = self.plain();
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut content = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(content));
                }
                Some(b'\\') => content.push(self.escape()?),
                Some(_) => return wrong("a control character in a string must be escaped"),
                None => return wrong("the string does not end"),
            }
            content.push_str(self.plain());
        }
    }

    /// The part of a string up to a quote, an escape, or what cannot stand there.
    fn plain(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or("");
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let plain = rest.get(..end.unwrap_or(rest.len())).unwrap_or("");
        self.at += plain.len();
        plain
    }

    fn escape(&mut self) -> Read<char> {
        let start = self.at;
        self.at += 2;
        let read = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let found = self.scalar();
                if found.is_none() {
                    self.at = start;
                }
                return found.map_or_else(|| wrong("bad Unicode escape"), Ok);
            }
            _ => {
                self.at = start;
                return wrong("unknown escape");
            }
        };
        Ok(read)
    }

    /// The digits of `\u`, and of a second one after the first half of a pair.
    fn scalar(&mut self) -> Option<char> {
        let unit = self.unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        if !(self.eat(b'\\') && self.eat(b'u')) {
            return None;
        }
        let second = self.unit().filter(|unit| (0xdc00..0xe000).contains(unit))?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex { u32::from_str_radix(digits, 16).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse_json(text) {
            Ok(value) => value.to_string(),
            Err(p) => format!("{} {}:{} {}", p.kind, p.line, p.column, p.what),
        }
    }

    #[test]
    fn values_keep_their_kinds_and_order() {
        for (text, expected) in [
            (" null ", "nil"),
            ("\u{feff}[1, -0, 2.0, 1e2]", "[1, 0, 2.0, 100.0]"),
            ("12345678901234567890", "1.2345678901234567e19"),
            (r#"{"b":1,"a":2,"b":3}"#, r#"{"b": 3, "a": 2}"#),
            (r#""a\n\u00e9\ud83d\ude00\/""#, "a\né😀/"),
            ("{}", "{}"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, expected) in [
            ("", "syntax 1:1 expected a value"),
            ("[1,\n é]", "syntax 2:2 expected a value"),
            ("[1 2]", "syntax 1:4 expected `,` or `]`"),
            ("{1}", "syntax 1:2 expected a name in quotes"),
            ("{\"a\" 1}", "syntax 1:6 expected `:`"),
            ("01", "syntax 1:2 text follows the value"),
            ("-", "syntax 1:2 expected a digit"),
            ("1e999", "syntax 1:1 the number is too large"),
            ("\"é", "syntax 1:3 the string does not end"),
            (r#""\ud800""#, "syntax 1:2 bad Unicode escape"),
            (r#""\x""#, "syntax 1:2 unknown escape"),
            ("\"a\tb\"", "syntax 1:3 a control character in a string must be escaped"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(parse_json(&("[".repeat(128) + &"]".repeat(128))).is_ok());
        let deep = "[".repeat(129) + &"]".repeat(129);
        assert_eq!(shown(&deep), "depth 1:129 nested deeper than 128");
    }
}
