//! The protocols: each turns a request into a neutral question, and a neutral answer into bytes.

mod anthropic;
mod gemini;
mod ollama;
pub(super) mod openai;
mod reasoning;
mod responses;
mod strict;

use std::borrow::Cow;
use std::fmt::Debug;

use serde_json::{Value as Json, json};

use super::http::Request;
use super::script::{ErrorReply, UsageReply};
use super::wait::{RateHeaders, Wait};

/// All of them.
pub(super) const ALL: [&dyn Dialect; 5] = [
    &openai::OpenAi,
    &responses::Responses,
    &anthropic::Anthropic,
    &gemini::Gemini,
    &ollama::Ollama,
];

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// An answer of a model.
    Generate,
    /// The tokens of a prompt.
    Count,
    /// The list of models.
    Models,
}

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) dialect: &'static dyn Dialect,
    pub(super) operation: Operation,
    /// The path before the endpoint.
    pub(super) prefix: String,
}

/// Finds the protocol of a request, under any prefix.
pub(super) fn route(request: &Request) -> Option<Route> {
    let path = request.path.as_str();
    let to = |dialect: &'static dyn Dialect, operation, prefix: &str| {
        Some(Route { dialect, operation, prefix: prefix.to_owned() })
    };
    match request.method.as_str() {
        "GET" => {
            if let Some(prefix) = path.strip_suffix("/api/tags") {
                return to(&ollama::Ollama, Operation::Models, prefix);
            }
            let prefix = path.strip_suffix("/models")?;
            if request.header("anthropic-version").is_some() {
                to(&anthropic::Anthropic, Operation::Models, prefix)
            } else if request.header("x-goog-api-key").is_some() {
                to(&gemini::Gemini, Operation::Models, prefix)
            } else {
                to(&openai::OpenAi, Operation::Models, prefix)
            }
        }
        "POST" => {
            let endpoints: [(&str, &'static dyn Dialect, Operation); 6] = [
                ("/chat/completions", &openai::OpenAi, Operation::Generate),
                ("/responses", &responses::Responses, Operation::Generate),
                ("/messages/count_tokens", &anthropic::Anthropic, Operation::Count),
                ("/messages", &anthropic::Anthropic, Operation::Generate),
                ("/api/chat", &ollama::Ollama, Operation::Generate),
                ("/api/generate", &ollama::Ollama, Operation::Generate),
            ];
            for (endpoint, dialect, operation) in endpoints {
                if let Some(prefix) = path.strip_suffix(endpoint) {
                    return to(dialect, operation, prefix);
                }
            }
            let (rest, method) = path.rsplit_once(':')?;
            let (prefix, _) = rest.rsplit_once("/models/")?;
            let operation = match method {
                "generateContent" | "streamGenerateContent" => Operation::Generate,
                "countTokens" => Operation::Count,
                _ => return None,
            };
            to(&gemini::Gemini, operation, prefix)
        }
        _ => None,
    }
}

/// A request in words that no provider owns.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    pub(super) model: String,
    /// The last user message.
    pub(super) prompt: String,
    pub(super) stream: bool,
    /// The schema that the answer must fit.
    pub(super) schema: Option<Json>,
    /// The tool that must be called, with the schema of its arguments.
    pub(super) forced: Option<(String, Json)>,
    /// Whether a stream is to report usage.
    pub(super) wants_usage: bool,
    /// Another shape of the same protocol: Gemini's array of events, Ollama's `/api/generate`.
    pub(super) other_shape: bool,
}

/// What the model says.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) model: Cow<'a, str>,
    pub(super) pieces: Pieces<'a>,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) refusal: Option<&'a str>,
    pub(super) thinking: Option<&'a str>,
    /// A neutral word, or the provider's own.
    pub(super) finish: &'a str,
    pub(super) usage: Option<UsageReply>,
}

impl Answer<'_> {
    fn usage(&self) -> UsageReply {
        self.usage.unwrap_or_default()
    }
}

/// The text of an answer.
#[derive(Debug)]
pub(super) enum Pieces<'a> {
    /// As they are.
    List(Vec<Cow<'a, str>>),
    /// One many times, numbered if it says so.
    Repeat(&'a str, usize),
}

impl Pieces<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Repeat(_, count) => *count,
        }
    }

    pub(super) fn get(&self, index: usize) -> Cow<'_, str> {
        match self {
            Self::List(list) => Cow::Borrowed(list.get(index).map_or("", |piece| piece)),
            Self::Repeat(text, _) if text.contains("{n}") => {
                Cow::Owned(text.replace("{n}", &index.to_string()))
            }
            Self::Repeat(text, _) => Cow::Borrowed(text),
        }
    }

    pub(super) fn concat(&self) -> String {
        (0..self.len()).map(|index| self.get(index)).collect()
    }
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text, or what the script wants instead.
    pub(super) arguments: String,
}

impl ToolCall {
    /// The arguments as an object, for protocols that have no text there.
    fn object(&self) -> Json {
        serde_json::from_str(&self.arguments)
            .unwrap_or_else(|_| json!({"unparsed": self.arguments}))
    }

    /// The arguments in two pieces.
    fn halves(&self) -> [&str; 2] {
        let letters = self.arguments.chars().count() / 2;
        let middle = self.arguments.char_indices().nth(letters).map_or(0, |(at, _)| at);
        let (first, second) = self.arguments.split_at(middle);
        [first, second]
    }
}

/// An error that a provider answers with.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Instead of the provider's usual text.
    pub(super) message: Option<String>,
    pub(super) ty: Option<String>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) wait: Option<Wait>,
}

impl Refusal {
    /// The request is wrong.
    fn bad(message: impl Into<String>) -> Self {
        Self { status: 400, message: Some(message.into()), ..Self::default() }
    }

    /// The request is wrong at this field.
    fn param(param: &str, code: Option<&str>, message: impl Into<String>) -> Self {
        let (param, code) = (Some(param.to_owned()), code.map(str::to_owned));
        Self { param, code, ..Self::bad(message) }
    }

    /// As a script says it.
    pub(super) fn scripted(error: &ErrorReply, status: u16) -> Self {
        Self {
            status,
            message: error.message.clone(),
            ty: error.ty.clone(),
            code: error.code.clone(),
            param: error.param.clone(),
            wait: error.retry_after,
        }
    }

    /// The message: its own, else the usual one.
    fn text(&self, usual: &str) -> String {
        let text = self.message.as_deref().unwrap_or(usual);
        format!("{text}{}", self.wait.map(Wait::words).unwrap_or_default())
    }
}

/// One protocol. Implementations translate; they never write, wait or decide.
pub(super) trait Dialect: Debug + Sync {
    /// Its name in scripts.
    fn word(&self) -> &'static str;

    /// The key that a request carries.
    fn key<'a>(&self, request: &'a Request) -> Option<&'a str>;

    /// The answer to a wrong key.
    fn wrong_key(&self) -> Refusal {
        Refusal { status: 401, ..Refusal::default() }
    }

    /// Reads what rules and answers need.
    fn question(&self, request: &Request, body: &Json) -> Question;

    /// What the real service would refuse.
    fn problem(&self, request: &Request, body: &Json, question: &Question) -> Option<Refusal>;

    /// The body of an error.
    fn error(&self, refusal: &Refusal, id: &str) -> Json;

    /// The status of an overloaded model, as it comes in the middle of a stream.
    fn overloaded(&self) -> u16 {
        503
    }

    /// Whose rate headers it sends.
    fn rate_headers(&self) -> RateHeaders {
        RateHeaders::OpenAi
    }

    /// The header that names the request.
    fn id_header(&self) -> &'static str {
        "x-request-id"
    }

    /// A whole answer.
    fn whole(&self, question: &Question, answer: &Answer<'_>) -> Json;

    /// The content type of streams.
    fn stream_type(&self, _question: &Question) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    /// Writes one streamed answer.
    fn framing<'a>(&self, question: &'a Question, answer: &'a Answer<'a>) -> Box<dyn Framing + 'a>;

    /// The answer to a count.
    fn count(&self, _tokens: u64) -> Json {
        Json::Null
    }

    /// The list of the one model that there is.
    fn models(&self) -> Json;
}

/// One streamed answer, event by event.
pub(super) trait Framing: Send {
    /// What comes before the text.
    fn begin(&mut self, out: &mut Vec<String>);

    /// A piece of text.
    fn text(&mut self, piece: &str, out: &mut Vec<String>);

    /// Calls of tools, the finish, usage and the end marker.
    fn end(&mut self, out: &mut Vec<String>);

    /// An error as an event; `body` is what [`Dialect::error`] gives.
    fn error(&mut self, body: &Json, out: &mut Vec<String>);

    /// An event with this as its data.
    fn raw(&mut self, data: &str, out: &mut Vec<String>);
}

/// The bearer of a request.
fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

fn text<'a>(body: &'a Json, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Json::as_str)
}

fn list<'a>(body: &'a Json, key: &str) -> &'a [Json] {
    body.get(key).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// A field that is there and not null.
fn given<'a>(body: &'a Json, key: &str) -> Option<&'a Json> {
    body.get(key).filter(|value| !value.is_null())
}

/// Sets a field of an object.
fn set(object: &mut Json, key: &str, value: impl Into<Json>) {
    if let Json::Object(fields) = object {
        fields.insert(key.to_owned(), value.into());
    }
}

/// Text from a string, or from the parts of a list that have text.
fn content_text(content: Option<&Json>) -> String {
    match content {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(parts)) => parts.iter().filter_map(|part| text(part, "text")).collect(),
        _ => String::new(),
    }
}

/// The text of the last message with role `user`.
fn last_user_message(messages: &[Json]) -> String {
    let user = messages.iter().rev().find(|message| text(message, "role") == Some("user"));
    content_text(user.and_then(|message| message.get("content")))
}

/// A name that tools may have.
fn is_tool_name(name: &str, longest: usize, more: &[u8]) -> bool {
    (1..=longest).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}
