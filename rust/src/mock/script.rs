//! Scripts: which request gets which answer. The format is described in `docs/mock.md`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::Value as Json;

use super::dice::Dice;
use super::wait::Wait;

/// What is wrong with a script: where, and what is expected there.
#[derive(Debug, thiserror::Error)]
#[error("the script is wrong: {place}{problem}")]
pub struct ScriptError {
    /// Such as `rules[2].reply: `; empty if the text itself says line and column.
    place: String,
    problem: String,
}

/// Rules in order; the first that fits answers.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The key that requests must carry.
    pub(super) api_key: Option<String>,
    rules: Vec<Rule>,
    default_reply: Reply,
}

/// The outer form; rules are read one by one, so that errors can name them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    rules: Vec<Json>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OuterRule {
    #[serde(default, rename = "match")]
    matches: Option<Json>,
    reply: Json,
    #[serde(default)]
    times: Option<u64>,
    #[serde(default)]
    chance: Option<f64>,
}

/// One rule.
#[derive(Debug)]
struct Rule {
    matches: Match,
    regex: Option<regex::Regex>,
    reply: Reply,
    /// How often the rule serves; without it, always.
    times: Option<u64>,
    used: AtomicU64,
    /// With which probability a fitting request is served.
    chance: Option<f64>,
}

/// Which requests a rule is for: all conditions that are given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Match {
    /// `openai`, `responses`, `anthropic`, `gemini` or `ollama`.
    dialect: Option<String>,
    /// A part of the path before the endpoint.
    connection: Option<String>,
    model: Option<String>,
    /// Part of the last user message.
    contains: Option<String>,
    /// Found in the last user message.
    regex: Option<String>,
    stream: Option<bool>,
}

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) dialect: &'a str,
    /// The path before the endpoint.
    pub(super) prefix: &'a str,
    pub(super) model: &'a str,
    pub(super) prompt: &'a str,
    pub(super) stream: bool,
}

/// An answer; without any content the default answer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reply {
    pub(super) text: Option<String>,
    /// An answer that is the text of this JSON.
    pub(super) json: Option<Json>,
    /// The pieces of a stream.
    pub(super) chunks: Option<Vec<String>>,
    /// One piece many times.
    pub(super) repeat: Option<Repeat>,
    pub(super) tool_calls: Vec<ToolReply>,
    /// The model declines, with this text.
    pub(super) refusal: Option<String>,
    /// What the model thought.
    pub(super) thinking: Option<String>,
    pub(super) error: Option<ErrorReply>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) latency_ms: Option<u64>,
    /// Waits until so many requests wait for one another.
    pub(super) together: Option<usize>,
    pub(super) chunk_delay_ms: Option<u64>,
    pub(super) finish_reason: Option<String>,
    /// The id that the answer names, instead of the one that was asked for.
    pub(super) model: Option<String>,
    pub(super) usage: Option<UsageReply>,
    /// Reports no usage at all.
    pub(super) no_usage: bool,
    pub(super) fault: Option<Fault>,
    /// After how many chunks a fault happens.
    pub(super) after: usize,
    /// Sends every byte as a piece of its own.
    pub(super) bytewise: bool,
}

/// One piece many times.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    /// `{n}` in it is the number of the piece, from 0.
    pub(super) text: String,
    pub(super) count: usize,
}

/// A tool that the model calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolReply {
    pub(super) name: String,
    /// An object; or text as it is, which may be broken JSON.
    #[serde(default)]
    pub(super) arguments: Json,
    #[serde(default)]
    pub(super) id: Option<String>,
}

/// An error as the provider would send it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorReply {
    #[serde(default)]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default, rename = "type")]
    pub(super) ty: Option<String>,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) param: Option<String>,
    #[serde(default)]
    pub(super) retry_after: Option<Wait>,
    /// The whole body, instead of one in the provider's form.
    #[serde(default)]
    pub(super) body: Option<Json>,
}

/// Token counts that the answer reports: all of the prompt, and all that is billed as output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageReply {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    #[serde(default)]
    pub(super) cached_tokens: u64,
    #[serde(default)]
    pub(super) reasoning_tokens: u64,
}

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The body ends without its end marker.
    Cut,
    /// The connection is closed in the middle.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing comes, not even a status.
    StallHeaders,
    /// Nothing comes after the headers.
    StallBody,
    /// Nothing more comes.
    Stall,
    /// An error arrives as an event.
    ErrorEvent,
    /// An event that is not JSON.
    MalformedEvent,
    /// An event, or a body, that is too large.
    Oversized,
    /// The body is not JSON.
    NotJson,
    /// There is no body.
    Empty,
    /// A stream is answered by plain JSON, a plain request by text.
    WrongType,
    /// A proxy answers with HTML.
    Html,
}

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, ScriptError> {
        let outer: Outer = serde_json::from_str(text).map_err(|error| at("", &error))?;
        let rules = outer.rules.into_iter().enumerate().map(|(n, rule)| Rule::read(n, rule));
        Ok(Self {
            api_key: outer.api_key,
            rules: rules.collect::<Result<_, _>>()?,
            default_reply: Reply::default(),
        })
    }

    /// Finds what only a server can do.
    pub(super) fn check_local(&self) -> Result<(), ScriptError> {
        let server = "only a server does that: `concerto mock --script`";
        if self.api_key.is_some() {
            return Err(at("api_key: ", &format!("answers in this process need no key; {server}")));
        }
        for (number, rule) in self.rules.iter().enumerate() {
            for (key, given) in
                [("fault", rule.reply.fault.is_some()), ("bytewise", rule.reply.bytewise)]
            {
                if given {
                    return Err(at(&format!("rules[{number}].reply.{key}: "), &server));
                }
            }
        }
        Ok(())
    }

    /// The answer for a request, and the number of its rule.
    pub(super) fn reply(&self, facts: Facts<'_>, dice: &Dice) -> (Option<usize>, &Reply) {
        let mut rules = self.rules.iter().enumerate();
        let found = rules.find(|(_, rule)| rule.fits(facts) && rule.is_lucky(dice) && rule.take());
        found.map_or((None, &self.default_reply), |(number, rule)| (Some(number), &rule.reply))
    }
}

fn at(place: &str, problem: &dyn std::fmt::Display) -> ScriptError {
    ScriptError { place: place.to_owned(), problem: problem.to_string() }
}

impl Rule {
    fn read(number: usize, json: Json) -> Result<Self, ScriptError> {
        let place = |part: &str| format!("rules[{number}]{part}: ");
        let outer: OuterRule =
            serde_json::from_value(json).map_err(|error| at(&place(""), &error))?;
        let matches: Match = match outer.matches {
            None => Match::default(),
            Some(json) => {
                serde_json::from_value(json).map_err(|error| at(&place(".match"), &error))?
            }
        };
        let regex = matches.regex.as_deref().map(regex::Regex::new).transpose();
        let regex = regex.map_err(|error| at(&place(".match.regex"), &error))?;
        let reply: Reply =
            serde_json::from_value(outer.reply).map_err(|error| at(&place(".reply"), &error))?;
        let wrong = matches.problem().map(|text| (".match", text));
        let wrong = wrong.or_else(|| reply.problem().map(|text| (".reply", text)));
        let lucky = outer.chance.is_none_or(|chance| (0.0..=1.0).contains(&chance));
        let wrong = wrong.or((!lucky).then(|| (".chance", "must be 0 to 1".to_owned())));
        if let Some((part, problem)) = wrong {
            return Err(at(&place(part), &problem));
        }
        Ok(Self {
            matches,
            regex,
            reply,
            times: outer.times,
            used: AtomicU64::new(0),
            chance: outer.chance,
        })
    }

    fn fits(&self, facts: Facts<'_>) -> bool {
        let m = &self.matches;
        m.dialect.as_deref().is_none_or(|wanted| wanted == facts.dialect)
            && m.connection
                .as_deref()
                .is_none_or(|wanted| facts.prefix.split('/').any(|part| part == wanted))
            && m.model.as_deref().is_none_or(|wanted| wanted == facts.model)
            && m.contains.as_deref().is_none_or(|part| facts.prompt.contains(part))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(facts.prompt))
            && m.stream.is_none_or(|wanted| wanted == facts.stream)
    }

    fn is_lucky(&self, dice: &Dice) -> bool {
        self.chance.is_none_or(|chance| dice.hit(chance))
    }

    /// Uses the rule once, if it may serve once more.
    fn take(&self) -> bool {
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        self.times.is_none_or(|times| used < times)
    }
}

impl Match {
    fn problem(&self) -> Option<String> {
        let words: Vec<&str> = super::dialects::ALL.iter().map(|dialect| dialect.word()).collect();
        let unknown = self.dialect.as_deref().filter(|word| !words.contains(word))?;
        Some(format!("there is no dialect `{unknown}`; there are {}", words.join(", ")))
    }
}

impl Reply {
    /// What does not go together.
    fn problem(&self) -> Option<String> {
        let contents = [
            ("text", self.text.is_some()),
            ("json", self.json.is_some()),
            ("chunks", self.chunks.is_some()),
            ("repeat", self.repeat.is_some()),
            ("refusal", self.refusal.is_some()),
            ("error", self.error.is_some() && self.fault != Some(Fault::ErrorEvent)),
        ];
        let given: Vec<&str> =
            contents.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if let [first, second, ..] = given.as_slice() {
            return Some(format!("`{first}` and `{second}` exclude one another: keep one"));
        }
        let status = self.error.as_ref().and_then(|error| error.status);
        if self.error.is_some() && status.is_none() && self.fault != Some(Fault::ErrorEvent) {
            return Some("an `error` needs a `status`, such as 429".to_owned());
        }
        if let Some(status) = status.filter(|status| !(300..=599).contains(status)) {
            return Some(format!("`error.status` is {status}, but errors are 300 to 599"));
        }
        if self.after > 0 && self.fault.is_none() {
            return Some("`after` says when a `fault` happens, but there is none".to_owned());
        }
        let broken = self.headers.iter().find(|(name, value)| {
            name.is_empty()
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                || value.contains(['\r', '\n'])
        });
        broken.map(|(name, _)| {
            format!(
                "the header `{name}` cannot be sent: a name is letters, digits and `-`, a value one line"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(script: &str) -> String {
        Script::parse(script).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_script_names_the_place_and_what_would_be_right() {
        for (script, expected) in [
            (r#"{"rule": []}"#, "unknown field `rule`, expected `api_key` or `rules` at line 1"),
            (
                r#"{"rules": [{"reply": {}}, {"when": {}, "reply": {}}]}"#,
                "rules[1]: unknown field `when`, expected one of `match`, `reply`",
            ),
            (
                r#"{"rules": [{"match": {"modle": "x"}, "reply": {}}]}"#,
                "rules[0].match: unknown field `modle`, expected one of `dialect`",
            ),
            (
                r#"{"rules": [{"match": {"dialect": "claude"}, "reply": {}}]}"#,
                "rules[0].match: there is no dialect `claude`; there are openai, responses, anthropic, gemini, ollama",
            ),
            (r#"{"rules": [{"match": {"regex": "("}, "reply": {}}]}"#, "rules[0].match.regex: "),
            (
                r#"{"rules": [{"reply": {"fault": "cutt"}}]}"#,
                "rules[0].reply: unknown variant `cutt`, expected one of `cut`",
            ),
            (
                r#"{"rules": [{"reply": {"text": "a", "json": 1}}]}"#,
                "rules[0].reply: `text` and `json` exclude one another: keep one",
            ),
            (
                r#"{"rules": [{"reply": {"error": {"message": "no"}}}]}"#,
                "rules[0].reply: an `error` needs a `status`, such as 429",
            ),
            (
                r#"{"rules": [{"reply": {"error": {"status": 200}}}]}"#,
                "rules[0].reply: `error.status` is 200, but errors are 300 to 599",
            ),
            (
                r#"{"rules": [{"reply": {"text": "a", "after": 2}}]}"#,
                "rules[0].reply: `after` says when a `fault` happens",
            ),
            (
                r#"{"rules": [{"reply": {"headers": [["a b", "c"]]}}]}"#,
                "rules[0].reply: the header `a b` cannot be sent",
            ),
            (r#"{"rules": [{"chance": 2, "reply": {}}]}"#, "rules[0].chance: must be 0 to 1"),
            (
                r#"{"rules": [{"reply": {"error": {"status": 429, "retry_after": {"minutes": 1}}}}]}"#,
                "unknown variant `minutes`, expected one of `seconds`",
            ),
        ] {
            let found = message(script);
            let found = found.strip_prefix("the script is wrong: ").unwrap();
            assert!(found.contains(expected), "{script}: {found}");
        }
    }

    fn facts(prompt: &str) -> Facts<'_> {
        Facts { dialect: "openai", prefix: "/eu/v1", model: "gpt-4o", prompt, stream: false }
    }

    fn number(script: &Script, facts: Facts<'_>) -> Option<usize> {
        script.reply(facts, &Dice::new(0)).0
    }

    #[test]
    fn the_first_rule_that_fits_answers() {
        let script = Script::parse(
            r#"{"rules": [
                {"match": {"dialect": "gemini"}, "reply": {}},
                {"match": {"connection": "us"}, "reply": {}},
                {"match": {"model": "gpt-4"}, "reply": {}},
                {"match": {"stream": true}, "reply": {}},
                {"times": 1, "match": {"regex": "^w.*r$"}, "reply": {}},
                {"match": {"connection": "eu", "contains": "eath"}, "reply": {}},
                {"chance": 0.0, "reply": {}}
            ]}"#,
        )
        .unwrap();
        assert_eq!(number(&script, facts("weather")), Some(4));
        assert_eq!(number(&script, facts("weather")), Some(5));
        assert_eq!(number(&script, facts("other")), None);
        assert_eq!(number(&script, Facts { stream: true, ..facts("other") }), Some(3));
    }

    #[test]
    fn chances_repeat_with_the_seed() {
        let script = Script::parse(r#"{"rules": [{"chance": 0.5, "reply": {}}]}"#).unwrap();
        let draw = |seed| {
            let dice = Dice::new(seed);
            let one = |_| script.reply(facts("x"), &dice).0.is_some();
            (0..64).map(one).collect::<Vec<bool>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
