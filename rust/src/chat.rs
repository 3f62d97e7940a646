//! A model call in words that no provider owns.

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The program.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// As OpenAI-like services write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// Instructions.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// What the program says.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
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

/// The form that an answer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSchema {
    /// The type's name.
    pub name: String,
    /// Its JSON Schema, order kept.
    pub json: serde_json::Value,
}

/// One request to a model.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The provider's id.
    pub model: String,
    /// In order.
    pub messages: Vec<Message>,
    /// Sampling fields.
    pub sampling: Sampling,
    /// For typed answers.
    pub output: Option<OutputSchema>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatResponse {
    /// The text; empty if there is none.
    pub text: String,
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
    let text: u64 = messages.iter().map(|message| message.content.len() as u64).sum();
    let schema = output.map_or(0, |output| output.json.to_string().len() as u64);
    (text + schema).div_ceil(4) + 4 * messages.len() as u64
}
