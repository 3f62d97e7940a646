//! What a program asks through a model value: its messages, and the settings that builders and prompts lay over the model's declaration.
//!
//! Pure. Ranges are those of the declaration (M-3); what is out of range or makes no sense is refused before anything is sent.

use std::time::Duration;

use crate::chat::Message;
use crate::config;
use crate::value::{ModelValue, Setting, StructValue, Value, to_json};

/// The longest prompt, in bytes.
const MAX_PROMPT: usize = 16 << 20;
/// The most stop texts.
const MAX_STOPS: usize = 16;

/// One question.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// In order, without the model's system prompt.
    pub messages: Vec<Message>,
    /// What replaces the declaration.
    pub over: Over,
}

/// Settings of one call; `None` leaves what the model declares.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Over {
    pub base: Option<String>,
    pub system_prompt: Option<String>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_tokens: Option<u64>,
    pub stop: Option<Vec<String>>,
    pub seed: Option<i64>,
    pub timeout: Option<Duration>,
}

/// Why a question is not asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `LlmError::Config` about a field.
    Config {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// `LlmError::InvalidRequest`.
    Invalid {
        /// Its code.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
}

/// Reads a question.
///
/// # Errors
/// [`Refusal`].
pub(super) fn asked(model: &ModelValue, input: &Value) -> Result<Asked, Refusal> {
    if model.is_shut_down() {
        let message = "the reference to the model was shut down".to_owned();
        return Err(Refusal::Invalid { code: "shut_down", message });
    }
    let mut over = settings(model)?;
    let mut messages = match input {
        Value::Str(text) => vec![prompt(text)?],
        Value::Array(items) => conversation(items)?,
        Value::Struct(held) => {
            prompt_settings(held, &mut over)?;
            vec![prompt(held.get("text").and_then(Value::as_str).unwrap_or(""))?]
        }
        other => {
            let message = format!("a prompt is a `String`, found `{}`", other.type_name());
            return Err(Refusal::Invalid { code: "bad_messages", message });
        }
    };
    if let Some(context) = model.setting(Setting::Context)
        && let Some(last) = messages.iter_mut().rev().find(|m| m.role == crate::chat::Role::User)
    {
        let json = serde_json::to_string_pretty(&to_json(context)).unwrap_or_default();
        last.content = format!("{}\n\nContext:\n{json}", last.content);
    }
    Ok(Asked { messages, over })
}

/// A prompt as a message. What every provider refuses is refused here, with one text and for free (PR-5, PR-6).
fn prompt(text: &str) -> Result<Message, Refusal> {
    let (code, message) = if text.trim().is_empty() {
        ("empty_prompt", "the prompt is empty")
    } else if text.len() > MAX_PROMPT {
        ("prompt_too_large", "the prompt is larger than 16 MiB")
    } else {
        return Ok(Message::user(text));
    };
    Err(Refusal::Invalid { code, message: message.to_owned() })
}

/// The messages of `chat` (CA-6).
fn conversation(items: &[Value]) -> Result<Vec<Message>, Refusal> {
    let bad = |message: String| Refusal::Invalid { code: "bad_messages", message };
    if items.is_empty() {
        return Err(bad("a conversation has at least one message".to_owned()));
    }
    let mut messages = Vec::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        let text = |field: &str| match item {
            Value::Struct(message) => message.get(field).and_then(Value::as_str).unwrap_or(""),
            _ => "",
        };
        messages.push(match text("role") {
            "system" => Message::system(text("content")),
            "user" => Message::user(text("content")),
            "assistant" => Message::assistant(text("content")),
            // It belongs to no call that the server could know (ME-8).
            "tool" => Message::user(format!("[tool] {}", text("content"))),
            other => {
                return Err(bad(format!(
                    "message {} has the role `{other}`: it is system, user, assistant or tool",
                    position + 1
                )));
            }
        });
    }
    Ok(messages)
}

fn settings(model: &ModelValue) -> Result<Over, Refusal> {
    let text = |setting| model.setting(setting).and_then(Value::as_str).map(str::to_owned);
    let seed = match model.setting(Setting::Seed) {
        Some(Value::Int(seed)) => Some(*seed),
        _ => None,
    };
    let timeout = whole("timeout", model.setting(Setting::Timeout), 86_400)?;
    Ok(Over {
        base: text(Setting::Base).as_deref().map(checked_base).transpose()?,
        system_prompt: text(Setting::SystemPrompt),
        temperature: temperature(model.setting(Setting::Temperature))?,
        top_p: top_p(model.setting(Setting::TopP))?,
        max_tokens: whole("max_tokens", model.setting(Setting::MaxTokens), 10_000_000)?,
        stop: stops(model.setting(Setting::Stop))?,
        seed,
        timeout: timeout.map(Duration::from_secs),
    })
}

/// What a `Prompt` sets wins over builders (PR-8).
fn prompt_settings(prompt: &StructValue, over: &mut Over) -> Result<(), Refusal> {
    let given = |field: &str| match prompt.get(field) {
        Some(Value::Some(value)) => Some(&***value),
        _ => None,
    };
    if let Some(id) = given("model").and_then(Value::as_str) {
        over.base = Some(checked_base(id)?);
    }
    over.temperature = temperature(given("temperature"))?.or(over.temperature);
    over.max_tokens = whole("max_tokens", given("max_tokens"), 10_000_000)?.or(over.max_tokens);
    Ok(())
}

fn checked_base(id: &str) -> Result<String, Refusal> {
    config::check_model_id("base", id)
        .map_err(|(_, message)| Refusal::Config { field: "base", message })
}

fn out_of_range<T>(field: &'static str, range: &str, found: &Value) -> Result<T, Refusal> {
    Err(Refusal::Config { field, message: format!("must be {range}, found {found}") })
}

fn temperature(value: Option<&Value>) -> Result<Option<f64>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::Float(number)) if (0.0..=2.0).contains(number) => Ok(Some(*number)),
        Some(other) => out_of_range("temperature", "0.0 to 2.0", other),
    }
}

fn top_p(value: Option<&Value>) -> Result<Option<f64>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::Float(number)) if *number > 0.0 && *number <= 1.0 => Ok(Some(*number)),
        Some(other) => out_of_range("top_p", "above 0 and at most 1", other),
    }
}

fn whole(field: &'static str, value: Option<&Value>, most: u64) -> Result<Option<u64>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::Int(number))
            if u64::try_from(*number).is_ok_and(|n| (1..=most).contains(&n)) =>
        {
            Ok(Some(number.unsigned_abs()))
        }
        Some(other) => out_of_range(field, &format!("1 to {most}"), other),
    }
}

fn stops(value: Option<&Value>) -> Result<Option<Vec<String>>, Refusal> {
    let Some(Value::Array(items)) = value else { return Ok(None) };
    let texts: Vec<_> = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if texts.len() > MAX_STOPS || texts.iter().any(String::is_empty) {
        let message = "are at most 16, none of them empty".to_owned();
        return Err(Refusal::Config { field: "stop_sequences", message });
    }
    Ok(Some(texts))
}
