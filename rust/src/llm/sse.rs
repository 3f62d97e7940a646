//! Bytes of a server-sent stream to events, for any split of the bytes.
//!
//! The rules are those of the HTML standard (section 9.2.6), but for two that servers need: a last event without its empty line is
//! dispatched, and lines of other fields are kept, since some servers answer a stream request with a plain JSON error.

use std::borrow::Cow;

use crate::wire::SseEvent;

/// The longest event and the longest line, in bytes.
const MAX_EVENT: usize = 4 << 20;

/// An event larger than 4 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Holds the half-read state of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    name: Option<String>,
    data: Option<String>,
    other: String,
}

impl Decoder {
    /// Reads the next bytes and appends the events that they complete.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                break;
            };
            let (line, rest) = bytes.split_at(end);
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or(&[]);
            if self.line.is_empty() {
                self.take_line(line, events);
            } else {
                self.line.extend_from_slice(line);
                let whole = std::mem::take(&mut self.line);
                self.take_line(&whole, events);
                self.line = whole;
                self.line.clear();
            }
            self.check_size()?;
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), TooLarge> {
        let data = self.data.as_ref().map_or(0, String::len);
        if self.line.len().max(data).max(self.other.len()) > MAX_EVENT {
            Err(TooLarge)
        } else {
            Ok(())
        }
    }

    /// Ends the stream: the last event need not be followed by an empty line. Also gives the lines that were no SSE, as one block.
    pub fn finish(&mut self, events: &mut Vec<SseEvent>) -> Option<String> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, events);
        }
        self.dispatch(events);
        let other = std::mem::take(&mut self.other);
        (!other.trim().is_empty()).then_some(other)
    }

    fn take_line(&mut self, mut line: &[u8], events: &mut Vec<SseEvent>) {
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(events);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let (field, rest) = line.split_at(colon);
                let value = rest.get(1..).unwrap_or(&[]);
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"" | b"id" | b"retry" => {}
            b"data" => {
                let value = text(value);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(&value);
                    }
                    None => self.data = Some(value.into_owned()),
                }
            }
            b"event" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {
                self.other.push_str(&String::from_utf8_lossy(line));
                self.other.push('\n');
            }
        }
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        let name = self.name.take();
        if let Some(data) = self.data.take().filter(|data| !data.is_empty()) {
            events.push(SseEvent { name, data });
        }
    }
}

/// The text of bytes; what is no UTF-8 is replaced. Looking first whether all is well is much quicker than looking for what to replace.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> (Vec<SseEvent>, Option<String>) {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece, &mut events).unwrap();
        }
        let other = decoder.finish(&mut events);
        (events, other)
    }

    const CORNERS: &[u8] = "\u{feff}: comment\r\ndata: a\rdata:b\n\nevent: x\ndata:  é🙂 \n\n\
        data\n\nid: 7\nretry: 5\ndata: {\"k\":1}\r\n\r\n{\"error\": 1}\ndata: last"
        .as_bytes();

    #[test]
    fn every_split_gives_the_same_events() {
        let whole = decode(&[CORNERS]);
        let data: Vec<_> = whole.0.iter().map(|e| e.data.as_str()).collect();
        assert_eq!(data, ["a\nb", " é🙂 ", "{\"k\":1}", "last"]);
        assert_eq!(whole.0[1].name.as_deref(), Some("x"));
        assert_eq!(whole.1.as_deref(), Some("{\"error\": 1}\n"));
        for first in 0..=CORNERS.len() {
            for second in first..=CORNERS.len() {
                let pieces = [&CORNERS[..first], &CORNERS[first..second], &CORNERS[second..]];
                assert_eq!(decode(&pieces), whole, "split at {first} and {second}");
            }
        }
        let bytes: Vec<_> = CORNERS.chunks(1).collect();
        assert_eq!(decode(&bytes), whole);
    }

    /// Lines of all kinds, with all line ends, in any order: the pieces in which they come change nothing.
    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let line = proptest::sample::select(vec![
            "data: a",
            "data:b",
            "data:  é🙂 ",
            "data",
            "data:",
            "event: x",
            "event:",
            ": ping",
            ":",
            "id: 7",
            "retry: 5",
            "other: y",
            "{",
            "",
            "",
            "",
        ]);
        let end = proptest::sample::select(vec!["\n", "\r", "\r\n"]);
        let lines = proptest::collection::vec((line, end), 0..20);
        (any::<bool>(), lines, any::<bool>()).prop_map(|(bom, lines, ended)| {
            let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
            for (line, end) in lines {
                text.push_str(line);
                text.push_str(end);
            }
            if !ended {
                text.push_str("data: last");
            }
            text.into_bytes()
        })
    }

    proptest! {
        /// R14, `S-14`
        #[test]
        fn no_split_changes_a_stream(stream in any_stream(), at in any::<proptest::sample::Index>()) {
            let whole = decode(&[&stream]);
            for split in 0..=stream.len() {
                prop_assert_eq!(&decode(&[&stream[..split], &stream[split..]]), &whole);
            }
            let bytes: Vec<_> = stream.chunks(1).collect();
            prop_assert_eq!(&decode(&bytes), &whole);
            let pieces: Vec<_> = stream.chunks(1 + at.index(9)).collect();
            prop_assert_eq!(&decode(&pieces), &whole);
        }

        /// Whatever comes, it does not panic, and all splits agree.
        #[test]
        fn any_bytes_are_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = decode(&[&bytes]);
            let singles: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(decode(&singles), whole);
        }
    }

    #[test]
    fn each_rule_of_the_decoder_holds() {
        let event = |name: Option<&str>, data: &str| {
            let name = name.map(str::to_owned);
            SseEvent { name, data: data.to_owned() }
        };
        for (text, events, other) in [
            ("data: a\n\n", vec![event(None, "a")], None),
            ("data:a\r\r", vec![event(None, "a")], None),
            ("\u{feff}data:  a \r\n\r\n", vec![event(None, " a ")], None),
            ("data\n\ndata:\n\n", vec![], None),
            ("data:\ndata: b\n\n", vec![event(None, "\nb")], None),
            ("event: x\n\ndata: a\n\n", vec![event(None, "a")], None),
            ("event: x\ndata: a\ndata: b", vec![event(Some("x"), "a\nb")], None),
            (": ping\n\n:\nid: 1\nretry: 2\n\n", vec![], None),
            ("{\"error\":\n 1}", vec![], Some("{\"error\":\n 1}\n")),
        ] {
            assert_eq!(decode(&[text.as_bytes()]), (events, other.map(str::to_owned)), "{text:?}");
        }
    }

    #[test]
    fn many_short_lines_of_one_event_have_a_largest_size_too() {
        let (mut decoder, line) =
            (Decoder::default(), [b"data: ", &[b'a'; 1000][..], b"\n"].concat());
        let outcome = (0..5000).try_for_each(|_| decoder.push(&line, &mut Vec::new()));
        assert_eq!(outcome, Err(TooLarge));
    }

    #[test]
    fn an_event_has_a_largest_size() {
        let mut decoder = Decoder::default();
        let piece = vec![b'a'; 1 << 20];
        let outcome = (0..8).try_for_each(|_| decoder.push(&piece, &mut Vec::new()));
        assert_eq!(outcome, Err(TooLarge));
    }
}
