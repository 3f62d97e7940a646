//! From an error answer to what went wrong, by ordered tests of status and body, and how long the server wants us to wait.

use std::time::Duration;

use serde_json::Value as Json;

use super::{Failure, FailureKind as Kind, RetryClass};
use crate::clock;
use crate::wire;

/// Bodies are read up to here.
const MAX_BODY: usize = 64 << 10;

/// What an error body says, wherever its server puts it.
#[derive(Debug, Default)]
struct Said {
    message: String,
    ty: String,
    code: String,
    param: Option<String>,
    google_status: String,
    google_reason: String,
    quotas: Vec<(String, String)>,
    retry_delay: Option<Duration>,
    inner_code: String,
}

/// Signs of a prompt that is too long.
const CONTEXT: [&str; 14] = [
    "maximum context length",
    "prompt is too long",
    "exceed context limit",
    "exceeds the context limit",
    "exceeds the available context size",
    "context size has been exceeded",
    "exceeds the maximum number of tokens allowed",
    "longer than the model's context length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "context length of only",
    "greater than the context length",
    "context window",
    "exceed_context_size_error",
];
const FILTER_CODES: [&str; 3] =
    ["content_policy_violation", "content_filter", "responsibleaipolicyviolation"];
const FILTER: [&str; 2] =
    ["rejected as a result of our safety system", "content management policy"];
const QUOTA_CODES: [&str; 12] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "linked_organization_spend_limit_reached",
    "linked_organization_billing_unavailable",
];
// The mere words "quota" and "billing" prove nothing: Gemini uses them for per-minute limits.
const QUOTA: [&str; 3] =
    ["credit balance is too low", "insufficient balance", "specified api usage limits"];

/// The failure that an HTTP answer outside 2xx means.
#[must_use]
pub fn http_error(status: u16, headers: &[(String, String)], body: &[u8]) -> Failure {
    let body = String::from_utf8_lossy(body.get(..body.len().min(MAX_BODY)).unwrap_or(body));
    let json: Option<Json> = serde_json::from_str(body.trim_start_matches('\u{feff}').trim()).ok();
    let said = json.as_ref().map(read).unwrap_or_default();
    let message = if said.message.is_empty() {
        plain_message(status, &body, json.is_some())
    } else {
        said.message.clone()
    };
    let mut failure = classify(status, said, message);
    failure.request_id = wire::request_id(headers).map(str::to_owned).or(failure.request_id);
    // The server knows best whether another try can help, except about money, size, keys and content.
    let decided = matches!(
        failure.kind,
        Kind::ContextLength
            | Kind::ContentFiltered
            | Kind::QuotaExceeded
            | Kind::Authentication
            | Kind::PermissionDenied
            | Kind::ModelNotFound
    );
    match wire::find(headers, "x-should-retry") {
        Some("false") if !decided => failure.class = None,
        Some("true") if !decided => failure.class = failure.class.or(Some(RetryClass::ServerError)),
        _ => {}
    }
    let wish = explicit_wish(headers)
        .or(failure.retry_after)
        .or_else(|| header_wish(headers))
        .or_else(|| text_wish(&failure.message));
    failure.retry_after = wish.filter(|_| failure.class.is_some());
    if let Some(place) = wire::find(headers, "location").filter(|_| (300..400).contains(&status)) {
        failure.message = format!(
            "the server redirects to {}, and redirects are not followed: check `base_url`",
            origin(place)
        );
    }
    failure
}

/// The failure that an error object inside a 2xx answer or a stream means, if there is one.
#[must_use]
pub fn inside_ok(json: &Json) -> Option<Failure> {
    let error = json.get("error").filter(|e| match e {
        Json::Object(map) => !map.is_empty(),
        Json::String(text) => !text.is_empty(),
        _ => false,
    })?;
    let code = error.get("code");
    let numeric = code
        .and_then(|c| c.as_u64().or_else(|| c.as_str()?.parse().ok()))
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| (400..600).contains(n));
    let by_type = match error.get("type").and_then(Json::as_str).unwrap_or("") {
        "overloaded_error" => 529,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "authentication_error" => 401,
        "permission_error" => 403,
        "billing_error" => 402,
        "not_found_error" => 404,
        "invalid_request_error" => 400,
        _ => 500,
    };
    let said = read(json);
    let message = if said.message.is_empty() { error.to_string() } else { said.message.clone() };
    let mut failure = classify(numeric.unwrap_or(by_type), said, message);
    failure.status = numeric;
    failure.retry_after = failure.retry_after.filter(|_| failure.class.is_some());
    Some(failure)
}

/// Scheme and host of a URL; its path and query may hold what must not be shown.
fn origin(url: &str) -> String {
    let parts: Vec<&str> = url.split('/').take(3).collect();
    match parts.as_slice() {
        [scheme, "", host] if scheme.ends_with(':') => format!("{scheme}//{host}"),
        _ => "another path".to_owned(),
    }
}

fn plain_message(status: u16, body: &str, is_json: bool) -> String {
    let text = body.trim();
    if text.is_empty() || is_json {
        return format!("HTTP status {status}");
    }
    text.chars().take(500).collect()
}

fn read(json: &Json) -> Said {
    let json = json.as_array().and_then(|items| items.first()).unwrap_or(json);
    let error = json.get("error");
    let body = error.filter(|e| e.is_object()).unwrap_or(json);
    let words = |value: &Json| match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let text = |key: &str| body.get(key).and_then(Json::as_str).unwrap_or("").to_owned();
    let message = error
        .and_then(Json::as_str)
        .map(str::to_owned)
        .or_else(|| body.get("message").and_then(words))
        .or_else(|| body.get("detail").and_then(words))
        .or_else(|| json.get("message").and_then(words));
    let mut said = Said {
        message: message.unwrap_or_default(),
        ty: text("type"),
        code: text("code"),
        param: body.get("param").and_then(Json::as_str).map(str::to_owned),
        google_status: text("status"),
        inner_code: body
            .pointer("/innererror/code")
            .or_else(|| body.pointer("/details/error_code"))
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_owned(),
        ..Said::default()
    };
    for detail in body.get("details").and_then(Json::as_array).into_iter().flatten() {
        if let Some(reason) = detail.get("reason").and_then(Json::as_str) {
            reason.clone_into(&mut said.google_reason);
        }
        for violation in detail.get("violations").and_then(Json::as_array).into_iter().flatten() {
            let get = |key: &str| violation.get(key).and_then(words).unwrap_or_default();
            said.quotas.push((get("quotaId"), get("quotaValue")));
        }
        if let Some(delay) = detail.get("retryDelay").and_then(Json::as_str) {
            said.retry_delay = duration(delay);
        }
    }
    said
}

/// The ordered tests; the first that fits decides.
fn classify(status: u16, said: Said, message: String) -> Failure {
    let text = message.to_lowercase();
    let codes = [said.ty.to_lowercase(), said.code.to_lowercase(), said.inner_code.to_lowercase()];
    let has_code = |wanted: &[&str]| codes.iter().any(|code| wanted.contains(&code.as_str()));
    let has_text = |wanted: &[&str]| wanted.iter().any(|sign| text.contains(sign));
    let too_large =
        status == 429 && text.contains("request too large") && text.contains("tokens per min");
    let context = has_code(&["context_length_exceeded", "exceed_context_size_error"])
        || has_text(&CONTEXT)
        || (text.contains("current length is") && text.contains("while limit is"));
    let daily = said.quotas.iter().any(|(id, value)| id.contains("PerDay") || value == "0");
    let (kind, class, detail) = match status {
        400 | 413 | 422 | 500 if context && !too_large => (Kind::ContextLength, None, None),
        400 | 403 | 422 if has_code(&FILTER_CODES) || has_text(&FILTER) => {
            (Kind::ContentFiltered, None, None)
        }
        402 => (Kind::QuotaExceeded, None, None),
        _ if has_code(&QUOTA_CODES) || has_text(&QUOTA) => (Kind::QuotaExceeded, None, None),
        429 if daily => (Kind::QuotaExceeded, None, None),
        401 => (Kind::Authentication, None, None),
        _ if said.google_reason == "API_KEY_INVALID" => (Kind::Authentication, None, None),
        403 => (Kind::PermissionDenied, None, None),
        _ if said.google_status == "FAILED_PRECONDITION" => (Kind::PermissionDenied, None, None),
        404 => (Kind::ModelNotFound, None, None),
        _ if has_code(&["model_not_found"]) => (Kind::ModelNotFound, None, None),
        413 => (Kind::ContextLength, None, None),
        429 if too_large => (Kind::InvalidRequest, None, None),
        429 => (Kind::RateLimited, Some(RetryClass::RateLimit), None),
        408 => (Kind::Timeout, Some(RetryClass::Timeout), None),
        503 | 529 | 498 => (Kind::ServerError, Some(RetryClass::ServerError), Some("overloaded")),
        501 | 505 => (Kind::ServerError, None, None),
        409 | 425 | 500.. => (Kind::ServerError, Some(RetryClass::ServerError), None),
        _ => (Kind::InvalidRequest, None, None),
    };
    Failure {
        status: Some(status),
        class,
        detail,
        code: Some(said.code).filter(|code| !code.is_empty()),
        param: said.param,
        retry_after: said.retry_delay,
        ..Failure::new(kind, message)
    }
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date.
fn explicit_wish(headers: &[(String, String)]) -> Option<Duration> {
    let millis = wire::find(headers, "retry-after-ms").and_then(|text| seconds(text, 0.001));
    millis.or_else(|| {
        let text = wire::find(headers, "retry-after")?;
        seconds(text, 1.0).or_else(|| {
            let date = httpdate::parse_http_date(text.trim()).ok()?;
            Some(date.duration_since(clock::wall()).unwrap_or_default())
        })
    })
}

/// Reset headers whose matching `remaining` is 0: the longest.
fn header_wish(headers: &[(String, String)]) -> Option<Duration> {
    ["requests", "tokens"]
        .iter()
        .filter(|what| wire::find(headers, &format!("x-ratelimit-remaining-{what}")) == Some("0"))
        .filter_map(|what| wire::find(headers, &format!("x-ratelimit-reset-{what}")))
        .filter_map(duration)
        .filter(|wait| !wait.is_zero())
        .max()
}

/// `try again in 5.289s`, `retry in 8.94s`, `retry after 26 seconds`.
fn text_wish(message: &str) -> Option<Duration> {
    let text = message.to_lowercase();
    ["try again in ", "retry in ", "retry after "].iter().find_map(|sign| {
        let rest = text.get(text.find(sign)? + sign.len()..)?;
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || "hmsd".contains(c)))
            .unwrap_or(rest.len());
        duration(rest.get(..end)?.trim_end_matches('.'))
    })
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

/// `12ms`, `6.4s`, `6m0s`, `1h30m`, `1d2h`, or bare seconds.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(bare) = seconds(text, 1.0) {
        return Some(bare);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(seconds(number, unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_many_forms() {
        for (text, millis) in [
            ("12ms", 12),
            ("6.4s", 6400),
            ("6m0s", 360_000),
            ("1h30m", 5_400_000),
            ("1d2h", 93_600_000),
            ("22", 22_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        let huge = "18446744073709551615s18446744073709551615s";
        for bad in ["", "x", "5y", "-3", "NaN", "inf", "1e300", huge] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_server_may_forbid_a_retry() {
        let headers = [("x-should-retry".to_owned(), "false".to_owned())];
        assert_eq!(http_error(500, &headers, b"{}").class, None);
        let headers = [("x-should-retry".to_owned(), "true".to_owned())];
        assert_eq!(http_error(400, &headers, b"{}").class, Some(RetryClass::ServerError));
        assert_eq!(http_error(401, &headers, b"{}").class, None);
    }

    #[test]
    fn words_about_billing_are_no_sign() {
        let body = br#"{"error": {"message": "You exceeded your current quota, please check your plan and billing details"}}"#;
        assert_eq!(http_error(429, &[], body).kind, Kind::RateLimited);
    }
}
