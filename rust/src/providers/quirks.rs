//! Fields that not all servers know: which one to leave out or replace when a server refuses it. Pure.

use super::{Failure, FailureKind};
use crate::chat::ChatRequest;
use crate::config::ProviderKind;

/// What a connection has learned about its server, which changes later requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Model ids that want the other one of `max_tokens` and `max_completion_tokens`.
    pub swapped_limit: Vec<String>,
    /// The server refuses `stream_options`.
    pub no_stream_options: bool,
    /// 0: `json_schema`, 1: `json_object` and instructions, 2: instructions only.
    pub schema_level: u8,
    /// By model id, how many of the ways to ask for a typed answer were refused; for the kinds whose ways depend on the model.
    pub refused_schemas: Vec<(String, usize)>,
}

impl Quirks {
    /// Adds what another call learned.
    pub fn add(&mut self, other: Self) {
        let new = other.swapped_limit.into_iter().filter(|id| !self.swapped_limit.contains(id));
        let new: Vec<_> = new.collect();
        self.swapped_limit.extend(new);
        self.no_stream_options |= other.no_stream_options;
        self.schema_level = self.schema_level.max(other.schema_level);
        for (model, count) in other.refused_schemas {
            self.refuse_schemas(&model, count);
        }
    }

    /// How many of the ways to ask this model for a typed answer were refused.
    pub(super) fn refused_schemas(&self, model: &str) -> usize {
        self.refused_schemas.iter().find(|(own, _)| own == model).map_or(0, |(_, count)| *count)
    }

    /// With one more way refused.
    pub(super) fn with_refused_schema(&self, model: &str) -> Self {
        let mut next = self.clone();
        next.refuse_schemas(model, self.refused_schemas(model) + 1);
        next
    }

    fn refuse_schemas(&mut self, model: &str, count: usize) {
        match self.refused_schemas.iter_mut().find(|(own, _)| own == model) {
            Some((_, own)) => *own = count.max(*own),
            None => self.refused_schemas.push((model.to_owned(), count)),
        }
    }
}

/// The names that a service has for the sampling fields of models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) temperature: &'static str,
    pub(super) top_p: &'static str,
    pub(super) max_tokens: &'static str,
    pub(super) stop: &'static str,
    pub(super) seed: &'static str,
}

/// A refusal whose text names a field of the program names it as its `param` too, in the words of the program.
pub(super) fn blame(chat: &ChatRequest, fields: &Fields, failure: Failure) -> Failure {
    if failure.kind != FailureKind::InvalidRequest || failure.param.is_some() {
        return failure;
    }
    let sampling = &chat.sampling;
    let sent = [
        ("temperature", fields.temperature, sampling.temperature.is_some()),
        ("top_p", fields.top_p, sampling.top_p.is_some()),
        ("max_tokens", fields.max_tokens, sampling.max_tokens.is_some()),
        ("stop_sequences", fields.stop, !sampling.stop.is_empty()),
        ("seed", fields.seed, sampling.seed.is_some()),
    ];
    // Services mix `topP` and `top_p`.
    let plain = |word: &str| word.replace('_', "").to_lowercase();
    let is_named = |field: &str| {
        let words = failure.message.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.map(plain).any(|word| word == plain(field))
    };
    let found = sent.into_iter().find(|(_, field, is_sent)| *is_sent && is_named(field));
    Failure { param: found.map(|(own, ..)| own.to_owned()), ..failure }
}

/// Whether a server does not know one of these fields.
pub(super) fn is_refused(failure: &Failure, fields: &[&str]) -> bool {
    is_bad_request(failure) && names(failure, fields)
}

/// Some servers answer unknown fields with 422.
fn is_bad_request(failure: &Failure) -> bool {
    failure.kind == FailureKind::InvalidRequest && matches!(failure.status, Some(400 | 422))
}

/// A request that a server refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What was asked for.
    pub chat: &'a ChatRequest,
    /// Of which kind of provider.
    pub kind: ProviderKind,
    /// What was known about the server when it was sent.
    pub quirks: &'a Quirks,
    /// The field that carried the limit of the answer.
    pub limit_field: &'a str,
    /// It was itself sent because the one before was refused.
    pub is_second: bool,
}

/// Words of a complaint about a value: another field with the same value would fare no better.
const VALUE: [&str; 9] = [
    "at least",
    "at most",
    "too large",
    "too small",
    "too high",
    "greater than",
    "less than",
    "between",
    "integer",
];

impl Refused<'_> {
    /// What to change before the request is sent once more; `None` if that would not help.
    #[must_use]
    pub fn next(&self, failure: &Failure) -> Option<Quirks> {
        if !is_bad_request(failure) {
            return None;
        }
        self.other_limit(failure)
            .or_else(|| self.no_stream_options(failure))
            .or_else(|| self.simpler_schema(failure))
    }

    /// Only the field that was sent counts, and only once: a server may mention both.
    fn other_limit(&self, failure: &Failure) -> Option<Quirks> {
        let text = failure.message.to_lowercase();
        let is_about_value = VALUE.iter().any(|word| text.contains(word));
        let is_known = self.quirks.swapped_limit.contains(&self.chat.model);
        let is_sent = self.chat.sampling.max_tokens.is_some();
        if !is_sent || is_known || is_about_value || !names(failure, &[self.limit_field]) {
            return None;
        }
        let mut next = self.quirks.clone();
        next.swapped_limit.push(self.chat.model.clone());
        Some(next)
    }

    fn no_stream_options(&self, failure: &Failure) -> Option<Quirks> {
        let helps = self.kind == ProviderKind::Custom
            && self.chat.stream
            && !self.quirks.no_stream_options
            && names(failure, &["stream_options"]);
        helps.then(|| Quirks { no_stream_options: true, ..self.quirks.clone() })
    }

    fn simpler_schema(&self, failure: &Failure) -> Option<Quirks> {
        let level = self.quirks.schema_level;
        let is_named = names(failure, &["response_format", "json_schema", "json_object"]);
        // A second refusal in a row need not name the field again.
        let helps = self.kind == ProviderKind::Custom
            && self.chat.output.is_some()
            && level < 2
            && (is_named || (self.is_second && level == 1));
        helps.then(|| Quirks { schema_level: level + 1, ..self.quirks.clone() })
    }
}

/// Whether the server's `param`, or its text if it has none, names one of these fields.
fn names(failure: &Failure, fields: &[&str]) -> bool {
    match failure.param.as_deref() {
        Some(param) => fields.iter().any(|field| param.split('.').any(|part| part == *field)),
        None => fields.iter().any(|field| failure.message.contains(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{OutputSchema, Sampling};

    fn refusal(status: u16, message: &str) -> Failure {
        Failure { status: Some(status), ..Failure::new(FailureKind::InvalidRequest, message) }
    }

    // C-51, C-53, M-40: what is learned from which refusal.
    #[test]
    fn only_what_was_sent_and_is_named_is_changed() {
        let sampling = Sampling { max_tokens: Some(5), ..Sampling::default() };
        let json = serde_json::json!({});
        let output = Some(OutputSchema::new("T".to_owned(), json).into());
        let chat = ChatRequest {
            model: "m".to_owned(),
            sampling,
            output,
            stream: true,
            ..ChatRequest::default()
        };
        let none = Quirks::default();
        let swapped = Quirks { swapped_limit: vec!["m".to_owned()], ..none.clone() };
        let quiet = Quirks { no_stream_options: true, ..none.clone() };
        let simple = Quirks { schema_level: 1, ..none.clone() };
        for (kind, status, message, expected) in [
            (ProviderKind::Custom, 400, "unknown field max_tokens", Some(&swapped)),
            (
                ProviderKind::OpenAi,
                400,
                "use max_completion_tokens, not max_tokens",
                Some(&swapped),
            ),
            (ProviderKind::Custom, 400, "max_tokens must be at most 4096", None),
            (ProviderKind::Custom, 400, "max_completion_token", None),
            (ProviderKind::Custom, 422, "extra: stream_options", Some(&quiet)),
            (ProviderKind::Custom, 400, "no stream_options here", Some(&quiet)),
            (ProviderKind::OpenAi, 400, "no stream_options here", None),
            (ProviderKind::Custom, 400, "response_format is unknown", Some(&simple)),
            (ProviderKind::Ollama, 400, "response_format is unknown", None),
            (ProviderKind::Custom, 404, "no stream_options here", None),
            (ProviderKind::Custom, 400, "nothing of ours", None),
        ] {
            let refused = Refused {
                chat: &chat,
                kind,
                quirks: &none,
                limit_field: "max_tokens",
                is_second: false,
            };
            let found = refused.next(&refusal(status, message));
            assert_eq!(found.as_ref(), expected, "{kind:?} {message}");
        }
    }

    #[test]
    fn what_two_calls_learned_adds_up() {
        let mut quirks = Quirks::default().with_refused_schema("a");
        quirks.add(Quirks::default().with_refused_schema("a").with_refused_schema("a"));
        quirks.add(Quirks::default().with_refused_schema("b"));
        quirks.add(Quirks { swapped_limit: vec!["a".to_owned()], ..Quirks::default() });
        quirks.add(Quirks { swapped_limit: vec!["a".to_owned()], ..Quirks::default() });
        let counts = ["a", "b", "c"].map(|model| quirks.refused_schemas(model));
        assert_eq!((counts, quirks.swapped_limit), ([2, 1, 0], vec!["a".to_owned()]));
    }

    // C-51: a refusal names the field in the words of the program, whatever the service calls it.
    #[test]
    fn the_field_to_blame_is_found_in_the_text() {
        let fields = Fields {
            temperature: "temperature",
            top_p: "topP",
            max_tokens: "maxOutputTokens",
            stop: "stopSequences",
            seed: "seed",
        };
        let sampling = Sampling { temperature: Some(1.0), top_p: Some(0.5), ..Sampling::default() };
        let chat = ChatRequest { sampling, ..ChatRequest::default() };
        for (message, expected) in [
            ("temperature: Extra inputs are not permitted", Some("temperature")),
            ("`generation_config.top_p` is not supported", Some("top_p")),
            ("has a topP value of 3", Some("top_p")),
            ("the seed is unknown", None),
            ("high temperatures", None),
        ] {
            let blamed = blame(&chat, &fields, refusal(400, message));
            assert_eq!(blamed.param.as_deref(), expected, "{message}");
        }
        let named = Failure { param: Some("x".to_owned()), ..refusal(400, "temperature") };
        assert_eq!(blame(&chat, &fields, named).param.as_deref(), Some("x"));
        let other = Failure::new(FailureKind::ServerError, "temperature");
        assert_eq!(blame(&chat, &fields, other).param, None);
    }
}
