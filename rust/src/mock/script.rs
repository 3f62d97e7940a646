//! Scripts: which request gets which answer. The format is described in `docs/mock.md`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::Value as Json;

/// What is wrong with a script.
#[derive(Debug, thiserror::Error)]
#[error("the script is wrong: {0}")]
pub struct ScriptError(#[from] serde_json::Error);

/// Rules in order; the first that fits answers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// The key that requests must carry; any other is a 401.
    #[serde(default)]
    pub(super) api_key: Option<String>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default, rename = "match")]
    matches: Match,
    pub(super) reply: Reply,
    /// How often the rule serves; without it, always.
    #[serde(default)]
    times: Option<u64>,
    #[serde(skip)]
    used: AtomicU64,
}

/// Which requests a rule is for: all conditions that are given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    #[serde(default)]
    model: Option<String>,
    /// Part of the last user message.
    #[serde(default)]
    contains: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
}

/// An answer. Of `text`, `json`, `chunks`, `repeat` and `error` at most one is given; without any the default answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    #[serde(default)]
    pub(super) text: Option<String>,
    /// An answer that is the text of this JSON.
    #[serde(default)]
    pub(super) json: Option<Json>,
    /// The pieces of a stream.
    #[serde(default)]
    pub(super) chunks: Option<Vec<String>>,
    /// One piece many times.
    #[serde(default)]
    pub(super) repeat: Option<Repeat>,
    #[serde(default)]
    pub(super) error: Option<ErrorReply>,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) latency_ms: Option<u64>,
    #[serde(default)]
    pub(super) chunk_delay_ms: Option<u64>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    pub(super) usage: Option<UsageReply>,
    #[serde(default)]
    pub(super) fault: Option<Fault>,
    /// After how many chunks a fault happens.
    #[serde(default)]
    pub(super) after: usize,
}

/// One piece many times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    pub(super) text: String,
    pub(super) count: usize,
}

/// A refusal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorReply {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) message: Option<String>,
    /// The whole body, instead of one that is made from the message.
    #[serde(default)]
    pub(super) body: Option<Json>,
}

/// Token counts that the answer reports.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageReply {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    #[serde(default)]
    pub(super) cached_tokens: u64,
}

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The body ends without its end marker.
    Cut,
    /// The connection is reset.
    Reset,
    /// Nothing more comes.
    Stall,
    /// The body is not JSON.
    NotJson,
    /// A proxy answers with HTML.
    Html,
}

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, ScriptError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The answer for a request.
    pub(super) fn reply(&self, model: &str, prompt: &str, stream: bool) -> Reply {
        let fitting =
            self.rules.iter().find(|rule| rule.fits(model, prompt, stream) && rule.take());
        fitting.map_or_else(Reply::default, |rule| rule.reply.clone())
    }
}

impl Rule {
    fn fits(&self, model: &str, prompt: &str, stream: bool) -> bool {
        let m = &self.matches;
        m.model.as_deref().is_none_or(|wanted| wanted == model)
            && m.contains.as_deref().is_none_or(|part| prompt.contains(part))
            && m.stream.is_none_or(|wanted| wanted == stream)
    }

    /// Uses the rule once, if it may serve once more.
    fn take(&self) -> bool {
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        self.times.is_none_or(|times| used < times)
    }
}
