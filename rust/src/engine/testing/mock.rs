//! A `mock` statement: what a model answers instead of being called (TE-8 to TE-13). Pure.

use std::time::Duration;

use crate::providers::FailureKind;
use crate::value::{Key, MapValue, Text, Value, to_json};

/// The answers of one model.
#[derive(Debug)]
pub(in crate::engine) struct Mock {
    answers: Vec<Said>,
    /// Whether the first answer is every answer.
    repeats: bool,
    given: usize,
    chunks: Option<Vec<String>>,
    tokens: (u64, u64),
    latency: Duration,
}

/// An answer, or an error of a kind.
type Said = Result<Spoken, (FailureKind, String)>;

/// What a model says: a text, and the calls that it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Spoken {
    pub text: String,
    /// Methods as `Tool.method`, with their arguments as JSON.
    pub calls: Vec<(String, String)>,
}

impl From<&str> for Spoken {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), calls: Vec::new() }
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Reply {
    /// What the model says.
    pub said: Said,
    /// The text as a stream delivers it.
    pub pieces: Vec<String>,
    /// Of prompt and answer, as the program says.
    pub tokens: (u64, u64),
    /// How long it takes.
    pub latency: Duration,
}

impl Mock {
    /// Reads the fields. What the compiler could not see is checked here.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(fields: &MapValue) -> Result<Self, String> {
        let error_kind = match text(fields, "error_kind")? {
            Some(word) => kind(word)?,
            None => FailureKind::Custom,
        };
        let response = text(fields, "response")?.map(|text| Ok(text.into()));
        let error = text(fields, "error")?.map(|text| Err((error_kind, text.to_owned())));
        let (answers, repeats) = match (response.or(error), get(fields, "responses")) {
            (Some(said), None) => (vec![said], true),
            (None, Some(Value::Array(items))) => {
                (items.iter().map(element).collect::<Result<_, _>>()?, false)
            }
            _ => return Err("needs one of `response`, `responses` and `error`".to_owned()),
        };
        let tokens = (whole(fields, "tokens_in")?, whole(fields, "tokens_out")?);
        let latency = Duration::from_millis(whole(fields, "latency_ms")?);
        Ok(Self { answers, repeats, given: 0, chunks: chunks(fields)?, tokens, latency })
    }

    /// The next answer, or the number of the call that there is none for.
    ///
    /// # Errors
    /// The number, from 1.
    pub fn next(&mut self) -> Result<Reply, usize> {
        let position = if self.repeats { 0 } else { self.given };
        self.given += 1;
        let Some(said) = self.answers.get(position).cloned() else { return Err(self.given) };
        let pieces = match (&said, &self.chunks) {
            // The pieces are those of the answer, not of what is said between calls.
            (Ok(said), Some(chunks)) if said.calls.is_empty() => chunks.clone(),
            (Ok(said), _) => said.text.split_inclusive(' ').map(str::to_owned).collect(),
            (Err(_), _) => Vec::new(),
        };
        Ok(Reply { said, pieces, tokens: self.tokens, latency: self.latency })
    }
}

fn get<'a>(fields: &'a MapValue, name: &str) -> Option<&'a Value> {
    fields.get(&Key::Str(Text::new(name)))
}

fn text<'a>(fields: &'a MapValue, name: &str) -> Result<Option<&'a str>, String> {
    match get(fields, name) {
        None => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text)),
        Some(other) => Err(format!("`{name}` must be `String`, found `{}`", other.type_name())),
    }
}

fn whole(fields: &MapValue, name: &str) -> Result<u64, String> {
    match get(fields, name) {
        None => Ok(0),
        Some(Value::Int(number)) => u64::try_from(*number)
            .map_err(|_| format!("`{name}` must be at least 0, found {number}")),
        Some(other) => Err(format!("`{name}` must be `Int`, found `{}`", other.type_name())),
    }
}

fn chunks(fields: &MapValue) -> Result<Option<Vec<String>>, String> {
    match get(fields, "chunks") {
        None => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or("`chunks` are texts".to_owned()))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err("`chunks` are texts".to_owned()),
    }
}

fn kind(word: &str) -> Result<FailureKind, String> {
    let found = FailureKind::ALL.into_iter().find(|kind| kind.word() == word);
    found.ok_or_else(|| format!("unknown kind of error `{word}`"))
}

/// An element of `responses`.
fn element(value: &Value) -> Result<Said, String> {
    let fields = match value {
        Value::Str(text) => return Ok(Ok((&**text).into())),
        Value::Map(fields) => fields,
        other => {
            return Err(format!("an answer is a `String` or a map, found `{}`", other.type_name()));
        }
    };
    for (key, _) in fields.iter() {
        match key {
            Key::Str(name) if ["text", "error", "error_kind", "tool_calls"].contains(&&**name) => {}
            other => return Err(format!("an answer has no field `{}`", other.to_value())),
        }
    }
    let calls = calls(fields)?;
    match (text(fields, "text")?, text(fields, "error")?, text(fields, "error_kind")?) {
        (Some(text), None, None) => Ok(Ok(Spoken { text: text.to_owned(), calls })),
        (None, None, None) if !calls.is_empty() => Ok(Ok(Spoken { text: String::new(), calls })),
        (None, Some(error), word) if calls.is_empty() => {
            Ok(Err((word.map_or(Ok(FailureKind::Custom), kind)?, error.to_owned())))
        }
        _ => Err("an answer has `text` or `error`, which may have an `error_kind`".to_owned()),
    }
}

/// The calls that an answer asks for (TE-13).
fn calls(fields: &MapValue) -> Result<Vec<(String, String)>, String> {
    let wrong = || "`tool_calls` are maps with `tool` and `args`".to_owned();
    match get(fields, "tool_calls") {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                let Value::Map(call) = item else { return Err(wrong()) };
                let is_known = |key: &Key| matches!(key, Key::Str(name) if ["tool", "args"].contains(&&**name));
                if !call.iter().all(|(key, _)| is_known(key)) {
                    return Err(wrong());
                }
                let tool = text(call, "tool")?.ok_or_else(wrong)?.to_owned();
                // Text is sent as it is: it may be broken JSON.
                let args = match get(call, "args") {
                    None => "{}".to_owned(),
                    Some(Value::Str(text)) => text.to_string(),
                    Some(other) => to_json(other).to_string(),
                };
                Ok((tool, args))
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, Value)]) -> MapValue {
        fields.iter().map(|(name, value)| (Key::Str(Text::new(*name)), value.clone())).collect()
    }

    fn texts(items: &[&str]) -> Value {
        Value::array(items.iter().map(|item| Value::from(*item)).collect())
    }

    #[test]
    fn one_response_is_every_answer_and_several_end() {
        let mut one = Mock::read(&map(&[("response", "a b".into())])).unwrap();
        for _ in 0..3 {
            let reply = one.next().unwrap();
            assert_eq!(
                (reply.said, reply.pieces),
                (Ok(Spoken::from("a b")), vec!["a ".into(), "b".into()])
            );
        }
        let mut two = Mock::read(&map(&[("responses", texts(&["a", "b"]))])).unwrap();
        assert_eq!(two.next().unwrap().said, Ok(Spoken::from("a")));
        assert_eq!(two.next().unwrap().said, Ok(Spoken::from("b")));
        assert_eq!(two.next(), Err(3));
    }

    #[test]
    fn what_the_compiler_cannot_see_is_checked() {
        let answer = |fields: &[(&str, Value)]| {
            let element = Value::Map(map(fields).into());
            Mock::read(&map(&[("responses", Value::array(vec![element]))]))
                .map(|mut mock| mock.next().unwrap().said)
        };
        let slow = answer(&[("error", "slow".into()), ("error_kind", "timeout".into())]);
        assert_eq!(slow, Ok(Err((FailureKind::Timeout, "slow".to_owned()))));
        let plain = answer(&[("error", "boom".into())]);
        assert_eq!(plain, Ok(Err((FailureKind::Custom, "boom".to_owned()))));
        for (fields, problem) in [
            (vec![("txt", "a".into())], "an answer has no field `txt`"),
            (vec![("text", 5.into())], "`text` must be `String`, found `Int`"),
            (
                vec![("error", "a".into()), ("error_kind", "no".into())],
                "unknown kind of error `no`",
            ),
            (
                vec![("text", "a".into()), ("error", "b".into())],
                "an answer has `text` or `error`, which may have an `error_kind`",
            ),
            (vec![("tool_calls", Value::Nil)], "`tool_calls` are maps with `tool` and `args`"),
        ] {
            assert_eq!(answer(&fields), Err(problem.to_owned()));
        }
        let negative = Mock::read(&map(&[("response", "a".into()), ("latency_ms", (-1).into())]));
        assert_eq!(negative.unwrap_err(), "`latency_ms` must be at least 0, found -1");
        assert!(Mock::read(&map(&[])).is_err());
    }
}
