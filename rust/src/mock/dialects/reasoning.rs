//! Which of OpenAI's models refuse which fields, as data.

use serde_json::Value as Json;

use super::{Refusal, given, text};

/// When sampling fields are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampling {
    Always,
    /// Only the default, 1.
    DefaultOnly,
    /// While no reasoning is asked for.
    WithoutEffort,
    /// Only if reasoning is switched off.
    WithEffortNone,
    Never,
}

/// Models by the beginning of their id; the first that fits counts. Others do not reason.
const FAMILIES: [(&str, Sampling); 19] = [
    ("o1", Sampling::DefaultOnly),
    ("o3", Sampling::DefaultOnly),
    ("o4", Sampling::DefaultOnly),
    ("gpt-5-chat", Sampling::Always),
    ("gpt-5.1-chat", Sampling::Never),
    ("gpt-5.2-chat", Sampling::Never),
    ("gpt-5.3-chat", Sampling::Never),
    ("gpt-5.1-codex", Sampling::Never),
    ("gpt-5.2-pro", Sampling::Never),
    ("gpt-5.4-pro", Sampling::Never),
    ("gpt-5.5-pro", Sampling::Never),
    ("gpt-5.1", Sampling::WithoutEffort),
    ("gpt-5.2", Sampling::WithoutEffort),
    ("gpt-5.3", Sampling::WithoutEffort),
    ("gpt-5.4", Sampling::WithoutEffort),
    ("gpt-5.5", Sampling::WithEffortNone),
    ("gpt-5.6", Sampling::WithEffortNone),
    ("gpt-6", Sampling::WithEffortNone),
    ("gpt-5", Sampling::Never),
];

const SAMPLING: [&str; 6] =
    ["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"];

/// Models without structured output.
const NO_SCHEMA: [&str; 5] = ["gpt-4-turbo", "gpt-4-", "gpt-3.5-turbo", "o1-mini", "o1-preview"];

/// Models that answer only on `/responses`.
const RESPONSES_ONLY: [&str; 6] =
    ["o1-pro", "o3-pro", "gpt-5-pro", "gpt-5.2-pro", "gpt-5.4-pro", "gpt-5.5-pro"];

/// The field that this model does not take with this effort.
pub(super) fn refused_field(model: &str, effort: Option<&str>, body: &Json) -> Option<Refusal> {
    let (_, sampling) = FAMILIES.iter().find(|(prefix, _)| model.starts_with(prefix))?;
    if *sampling == Sampling::Always {
        return None;
    }
    if given(body, "max_tokens").is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                       Use 'max_completion_tokens' instead.";
        return Some(Refusal::param("max_tokens", Some("unsupported_parameter"), message));
    }
    let later = !model.starts_with("o1");
    if later && given(body, "stop").is_some() {
        let message = "Unsupported parameter: 'stop' is not supported with this model.";
        return Some(Refusal::param("stop", Some("unsupported_parameter"), message));
    }
    let effort = effort.unwrap_or(match sampling {
        Sampling::WithoutEffort => "none",
        _ => "medium",
    });
    let accepts = matches!(sampling, Sampling::WithoutEffort | Sampling::WithEffortNone);
    if accepts && effort == "none" {
        return None;
    }
    SAMPLING.iter().find_map(|field| {
        let value = given(body, field)?;
        if *sampling == Sampling::DefaultOnly && value.as_f64() == Some(1.0) {
            return None;
        }
        let message = match *field {
            "temperature" | "top_p" if *sampling == Sampling::DefaultOnly => format!(
                "Unsupported value: '{field}' does not support {value} with this model. \
                 Only the default (1) value is supported."
            ),
            _ => format!("Unsupported parameter: '{field}' is not supported with this model."),
        };
        let code =
            if message.contains("value") { "unsupported_value" } else { "unsupported_parameter" };
        Some(Refusal::param(field, Some(code), message))
    })
}

/// Whether the model knows JSON Schemas.
pub(super) fn has_schemas(model: &str) -> bool {
    model != "gpt-4" && !NO_SCHEMA.iter().any(|prefix| model.starts_with(prefix))
}

/// Whether the model is not found under `/chat/completions`.
pub(super) fn is_responses_only(model: &str) -> bool {
    RESPONSES_ONLY.iter().any(|prefix| model.starts_with(prefix))
}

/// A system message, for models that take none.
pub(super) fn refuses_system(model: &str, messages: &[Json]) -> Option<Refusal> {
    let is_old = model.starts_with("o1-mini") || model.starts_with("o1-preview");
    let mut roles = messages.iter().filter_map(|message| text(message, "role"));
    let role = roles.find(|role| is_old && ["system", "developer"].contains(role))?;
    let message =
        format!("Unsupported value: 'messages[0].role' does not support '{role}' with this model.");
    Some(Refusal::param("messages[0].role", Some("unsupported_value"), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasoning_models_refuse_what_the_table_says() {
        for (model, effort, field, value, refused) in [
            ("o3", None, "max_tokens", json!(5), true),
            ("o3", None, "temperature", json!(0.2), true),
            ("o3", None, "temperature", json!(1), false),
            ("o3-mini", None, "stop", json!("x"), true),
            ("o1", None, "stop", json!("x"), false),
            ("gpt-5-chat-latest", None, "temperature", json!(0.2), false),
            ("gpt-5-mini", None, "temperature", json!(1), true),
            ("gpt-5.1", None, "temperature", json!(0.2), false),
            ("gpt-5.1", Some("low"), "temperature", json!(0.2), true),
            ("gpt-5.6-sol", None, "top_p", json!(0.2), true),
            ("gpt-5.6-sol", Some("none"), "top_p", json!(0.2), false),
            ("gpt-4o", None, "max_tokens", json!(5), false),
            ("gpt-5.6-sol", None, "max_completion_tokens", json!(5), false),
        ] {
            let body = json!({ field: value });
            let found = refused_field(model, effort, &body);
            let param = found.and_then(|refusal| refusal.param);
            assert_eq!(param.as_deref(), refused.then_some(field), "{model} {effort:?} {body}");
        }
    }
}
