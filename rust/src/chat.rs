//! A model call in words that no provider owns.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the tool loop of a later release makes the last one")]
pub enum Role {
    /// Instructions.
    System,
    /// The program.
    User,
    /// The model.
    Assistant,
    /// The result of a call that the model asked for.
    Tool,
}

/// One message. The constructors make only those that make sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What.
    pub content: String,
    /// What the model asked for in this message of its own.
    pub calls: Vec<ToolCall>,
    /// The call that a message of role `Tool` answers.
    pub answers: Option<Answered>,
    /// The model's own message as the provider wrote it.
    pub original: Option<Original>,
}

/// Which call a result belongs to, and whether it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The call.
    pub call: ToolCall,
    /// The content is an error text.
    pub is_error: bool,
}

/// A message of the model in the words of its provider, which goes back unchanged: it may hold signatures that the provider wants to see again.
#[derive(Clone, Debug, PartialEq)]
pub struct Original {
    /// Name of the protocol; no other one can read it.
    pub dialect: &'static str,
    /// Its blocks or parts.
    pub json: Json,
}

#[allow(dead_code, reason = "the tool loop of a later release makes the last one")]
impl Message {
    fn plain(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), calls: Vec::new(), answers: None, original: None }
    }

    /// Instructions.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self::plain(Role::System, content)
    }

    /// What the program says.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self::plain(Role::User, content)
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::plain(Role::Assistant, content)
    }

    /// An answer that asks for calls, as the next request repeats it.
    #[must_use]
    pub fn calling(response: &ChatResponse) -> Self {
        Self {
            calls: response.tool_calls.clone(),
            original: response.original.clone(),
            ..Self::assistant(&response.text)
        }
    }

    /// The result of a call.
    #[must_use]
    pub fn result(call: &ToolCall, content: impl Into<String>, is_error: bool) -> Self {
        let answers = Some(Answered { call: call.clone(), is_error });
        Self { answers, ..Self::plain(Role::Tool, content) }
    }
}

/// A call that a model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Unique within the conversation.
    pub id: String,
    /// The server gave no id that could be used, so this one is ours and means nothing to it.
    pub is_own_id: bool,
    /// Which tool.
    pub name: String,
    /// JSON text as the model wrote it; it need not be valid.
    pub arguments: String,
}

#[allow(dead_code, reason = "the tool loop of a later release calls tools")]
impl ToolCall {
    /// The arguments by name; no text means none.
    ///
    /// # Errors
    /// The text is no JSON object: the model is to be told.
    pub fn object(&self) -> Result<Map<String, Json>, serde_json::Error> {
        match self.arguments.trim() {
            "" => Ok(Map::new()),
            text => serde_json::from_str(text),
        }
    }
}

/// A tool that a model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// For the model.
    pub description: String,
    /// JSON Schema of an object; `None` takes no arguments.
    pub parameters: Option<Json>,
    /// Whether the provider is to enforce the parameters, where it can.
    pub is_strict: bool,
}

/// Whether the model calls tools.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the tool loop of a later release chooses")]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// Not at all.
    Never,
    /// At least one.
    Any,
    /// This one.
    Only(String),
}

/// The tools of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    /// In the order in which they are sent.
    pub specs: Vec<ToolSpec>,
    /// `None` leaves it to the provider.
    pub choice: Option<ToolChoice>,
    /// Whether one answer may hold several calls; `None` leaves it to the provider.
    pub parallel: Option<bool>,
}

/// How the model is to answer; what is `None` is not sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Above 0, to 1.
    pub top_p: Option<f64>,
    /// Limit of the answer in tokens.
    pub max_tokens: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Best-effort determinism.
    pub seed: Option<i64>,
}

/// The form that an answer must have. Each type of a program has one, whatever the number of its calls.
#[derive(Clone, Debug)]
pub struct OutputSchema {
    /// The type's name.
    pub name: String,
    /// Its JSON Schema, order kept.
    pub json: Json,
    /// Bytes of the JSON as text.
    length: u64,
    sent: OnceLock<Sent>,
}

/// A schema as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) is_strict: bool,
    pub(crate) schema: Box<RawValue>,
}

impl OutputSchema {
    /// That of a type.
    #[must_use]
    pub fn new(name: String, json: Json) -> Self {
        let length = json.to_string().len() as u64;
        Self { name, json, length, sent: OnceLock::new() }
    }

    /// What is sent to servers of the OpenAI dialect: made for the first request.
    pub(crate) fn sent(&self, make: impl FnOnce(&Json) -> Sent) -> &Sent {
        self.sent.get_or_init(|| make(&self.json))
    }
}

/// One request to a model.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The provider's id.
    pub model: String,
    /// In order.
    pub messages: Vec<Message>,
    /// Sampling fields.
    pub sampling: Sampling,
    /// For typed answers.
    pub output: Option<Arc<OutputSchema>>,
    /// What the model may call.
    pub tools: Tools,
    /// Whether the answer is to come in pieces.
    pub stream: bool,
}

/// Tokens of one answer: `tokens_in` is the whole prompt, cached tokens included; `tokens_out` everything billed as output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt.
    pub tokens_in: u64,
    /// Answer.
    pub tokens_out: u64,
    /// Part of the prompt that came from the provider's cache.
    pub tokens_cached: u64,
    /// Part of the prompt that was written to the provider's cache.
    pub cache_written: u64,
    /// Part of the answer that was reasoning.
    pub reasoning: u64,
    /// Whether the numbers are our estimate.
    pub is_estimated: bool,
}

impl Usage {
    /// Adds the tokens of another answer; a sum with an estimate in it is an estimate.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.tokens_in, other.tokens_in),
            (&mut self.tokens_out, other.tokens_out),
            (&mut self.tokens_cached, other.tokens_cached),
            (&mut self.cache_written, other.cache_written),
            (&mut self.reasoning, other.reasoning),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
        self.is_estimated |= other.is_estimated;
    }

    /// The reported numbers, with our estimate where the server gave none that can be: 0 for a prompt, which is never
    /// empty, or 0 beside a text.
    #[must_use]
    pub fn completed(reported: Option<Self>, prompt: u64, text: &str) -> Self {
        let mut usage = reported.unwrap_or_default();
        if usage.tokens_in == 0 {
            usage.tokens_in = prompt;
            usage.is_estimated = true;
        }
        if usage.tokens_out == 0 && !text.is_empty() {
            usage.tokens_out = estimate_tokens(text);
            usage.is_estimated = true;
        }
        usage
    }
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatResponse {
    /// The text; empty if there is none.
    pub text: String,
    /// The calls that the model asks for, in order.
    pub tool_calls: Vec<ToolCall>,
    /// With calls: the message to send back with their results, if it holds more than text and calls.
    pub original: Option<Original>,
    /// `stop`, `length`, `tool_calls`, `content_filter` or the server's own word.
    pub finish_reason: String,
    /// The id that the server reported.
    pub model: Option<String>,
    /// The server's id of the request, from the body.
    pub request_id: Option<String>,
    /// `None` if the server sent none.
    pub usage: Option<Usage>,
}

/// About how many tokens a text has: a quarter of its bytes.
#[must_use]
pub fn estimate_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// About how many tokens a prompt has: its text, its schema, and 4 for each message.
#[must_use]
pub fn estimate_prompt(messages: &[Message], output: Option<&OutputSchema>) -> u64 {
    let length = |message: &Message| {
        let calls = message.calls.iter().map(|call| call.name.len() + call.arguments.len());
        (message.content.len() + calls.sum::<usize>()) as u64
    };
    let text: u64 = messages.iter().map(length).sum();
    let schema = output.map_or(0, |output| output.length);
    (text + schema).div_ceil(4) + 4 * messages.len() as u64
}
