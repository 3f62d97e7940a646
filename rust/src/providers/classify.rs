//! From an error answer to what went wrong, by ordered tests of status and body, and how long the server wants us to wait.

use std::time::{Duration, SystemTime};

use serde_json::Value as Json;

use super::{Failure, FailureKind as Kind, RetryClass, answer, waits};
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
    request_id: Option<String>,
}

/// Signs of a prompt that is too long.
const CONTEXT_CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];
const CONTEXT: [&str; 13] = [
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

/// The failure that an HTTP answer outside 2xx means, `now` being when it came.
#[must_use]
pub fn http_error(
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    now: SystemTime,
) -> Failure {
    let body = answer::body(body.get(..body.len().min(MAX_BODY)).unwrap_or(body));
    let json: Option<Json> = serde_json::from_str(&body).ok();
    let said = json.as_ref().map(read).unwrap_or_default();
    let message = if said.message.is_empty() {
        plain_message(status, &body, json.is_some())
    } else {
        said.message.clone()
    };
    let told = said.retry_delay;
    let (mut failure, is_settled) = classify(status, said, message);
    failure.request_id = wire::request_id(headers).map(str::to_owned).or(failure.request_id);
    // The server knows best whether another try can help, except where the row itself rules it out.
    match wire::find(headers, "x-should-retry") {
        Some("false") => failure.class = None,
        Some("true") if !is_settled => {
            failure.class = failure.class.or(Some(RetryClass::ServerError));
        }
        _ => {}
    }
    let wish = waits::wish(headers, told, &failure.message, now);
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
    let json = json.as_array().and_then(|items| items.first()).unwrap_or(json);
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
    let told = said.retry_delay;
    let (failure, _) = classify(numeric.unwrap_or(by_type), said, message);
    let retry_after = told.filter(|_| failure.class.is_some());
    Some(Failure { status: numeric, retry_after, ..failure })
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
    if body.is_empty() || is_json {
        return format!("HTTP status {status}");
    }
    body.chars().take(500).collect()
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
        request_id: json.get("request_id").and_then(Json::as_str).map(str::to_owned),
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
            said.retry_delay = waits::duration(delay);
        }
    }
    said
}

/// The ordered tests; the first that fits decides. Also says whether it is one of those that no wish of the server changes.
fn classify(status: u16, said: Said, message: String) -> (Failure, bool) {
    let text = message.to_lowercase();
    let codes = [said.ty.to_lowercase(), said.code.to_lowercase(), said.inner_code.to_lowercase()];
    let has_code = |wanted: &[&str]| codes.iter().any(|code| wanted.contains(&code.as_str()));
    let has_text = |wanted: &[&str]| wanted.iter().any(|sign| text.contains(sign));
    let too_large =
        status == 429 && text.contains("request too large") && text.contains("tokens per min");
    let context = has_code(&CONTEXT_CODES)
        || has_text(&CONTEXT)
        || (text.contains("current length is") && text.contains("while limit is"));
    let daily = said.quotas.iter().any(|(id, value)| id.contains("PerDay") || value == "0");
    let settled = |kind| (kind, None, None, true);
    let open = |kind, class| (kind, class, None, false);
    let server_error = Some(RetryClass::ServerError);
    let (kind, class, detail, is_settled) = match status {
        400 | 413 | 422 | 500 if context => settled(Kind::ContextLength),
        400 | 403 | 422 if has_code(&FILTER_CODES) || has_text(&FILTER) => {
            settled(Kind::ContentFiltered)
        }
        402 => settled(Kind::QuotaExceeded),
        _ if has_code(&QUOTA_CODES) || has_text(&QUOTA) => settled(Kind::QuotaExceeded),
        429 if daily => settled(Kind::QuotaExceeded),
        401 => settled(Kind::Authentication),
        _ if said.google_reason == "API_KEY_INVALID" => settled(Kind::Authentication),
        403 => settled(Kind::PermissionDenied),
        _ if said.google_status == "FAILED_PRECONDITION" => settled(Kind::PermissionDenied),
        404 => settled(Kind::ModelNotFound),
        _ if has_code(&["model_not_found"]) => settled(Kind::ModelNotFound),
        413 => settled(Kind::ContextLength),
        429 if too_large => settled(Kind::InvalidRequest),
        429 => open(Kind::RateLimited, Some(RetryClass::RateLimit)),
        408 => open(Kind::Timeout, Some(RetryClass::Timeout)),
        503 | 529 | 498 => (Kind::ServerError, server_error, Some("overloaded"), false),
        501 | 505 => open(Kind::ServerError, None),
        409 | 425 | 500.. => open(Kind::ServerError, server_error),
        _ => open(Kind::InvalidRequest, None),
    };
    let failure = Failure {
        status: Some(status),
        class,
        detail,
        code: Some(said.code).filter(|code| !code.is_empty()),
        param: said.param,
        request_id: said.request_id,
        ..Failure::new(kind, message)
    };
    (failure, is_settled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
        let headers: Vec<_> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        http_error(status, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    fn said(message: &str) -> Json {
        json!({"error": {"message": message}})
    }

    const LIMIT: Option<RetryClass> = Some(RetryClass::RateLimit);
    const SERVER: Option<RetryClass> = Some(RetryClass::ServerError);
    const TIME: Option<RetryClass> = Some(RetryClass::Timeout);

    // C-72, E-4, providers.md 9.2, row by row.
    #[test]
    fn the_first_row_that_fits_decides() {
        use Kind as K;
        let code = |code: &str| json!({"error": {"code": code, "message": "x"}});
        let ty = |ty: &str| json!({"error": {"type": ty, "message": "x"}});
        let quota = |id: &str, value: &str| json!({"error": {"code": 429, "message": "x", "details": [{"violations": [{"quotaId": id, "quotaValue": value}]}]}});
        let key = json!({"error": {"message": "x", "details": [{"reason": "API_KEY_INVALID"}]}});
        let anthropic = json!({"error": {"message": "x", "details": {"error_code": "enforced_spend_limit_reached"}}});
        let azure = json!({"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
        let region = json!({"error": {"status": "FAILED_PRECONDITION", "message": "x"}});
        let large = said("Request too large for m on tokens per min (TPM): Limit 1, Requested 2");
        for (status, body, kind, class) in [
            (400, code("context_length_exceeded"), K::ContextLength, None),
            (413, said("prompt is too long"), K::ContextLength, None),
            (422, ty("exceed_context_size_error"), K::ContextLength, None),
            (500, said("Context size has been exceeded."), K::ContextLength, None),
            (503, said("prompt is too long"), K::ServerError, SERVER),
            (400, code("content_policy_violation"), K::ContentFiltered, None),
            (403, said("see our content management policy"), K::ContentFiltered, None),
            (422, azure, K::ContentFiltered, None),
            (402, json!({}), K::QuotaExceeded, None),
            (429, ty("insufficient_quota"), K::QuotaExceeded, None),
            (400, said("Your credit balance is too low"), K::QuotaExceeded, None),
            (429, anthropic, K::QuotaExceeded, None),
            (429, quota("RequestsPerDay", "250"), K::QuotaExceeded, None),
            (429, quota("RequestsPerMinute", "0"), K::QuotaExceeded, None),
            (429, quota("RequestsPerMinute", "5"), K::RateLimited, LIMIT),
            (401, json!({}), K::Authentication, None),
            (400, key, K::Authentication, None),
            (403, json!({}), K::PermissionDenied, None),
            (400, region, K::PermissionDenied, None),
            (404, json!({}), K::ModelNotFound, None),
            (400, code("model_not_found"), K::ModelNotFound, None),
            (413, json!({}), K::ContextLength, None),
            (429, large, K::InvalidRequest, None),
            (429, json!({}), K::RateLimited, LIMIT),
            (408, json!({}), K::Timeout, TIME),
            (503, json!({}), K::ServerError, SERVER),
            (529, json!({}), K::ServerError, SERVER),
            (498, json!({}), K::ServerError, SERVER),
            (501, json!({}), K::ServerError, None),
            (505, json!({}), K::ServerError, None),
            (409, json!({}), K::ServerError, SERVER),
            (425, json!({}), K::ServerError, SERVER),
            (500, json!({}), K::ServerError, SERVER),
            (522, json!({}), K::ServerError, SERVER),
            (400, json!({}), K::InvalidRequest, None),
            (422, json!({}), K::InvalidRequest, None),
            (302, json!({}), K::InvalidRequest, None),
        ] {
            let failure = error(status, &[], &body.to_string());
            assert_eq!((failure.kind, failure.class), (kind, class), "{status} {body}");
            let is_overloaded = matches!(status, 503 | 529 | 498);
            assert_eq!(failure.detail.is_some(), is_overloaded, "{status} {body}");
        }
    }

    // providers.md 9.3
    #[test]
    fn every_sign_counts() {
        for text in [
            "This model's maximum context length is 8 tokens",
            "prompt is too long: 9 tokens > 8 maximum",
            "input length and `max_tokens` exceed context limit: 9",
            "the input exceeds the context limit",
            "the request exceeds the available context size",
            "Context size has been exceeded.",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            "The prompt is longer than the model's context length",
            "Input tokens exceed the configured limit of 8 tokens",
            "`inputs` tokens + `max_new_tokens` must be <= 8",
            "Current length is 9 while limit is 8",
            "a context length of only 8 tokens",
            "9 is greater than the context length 8",
            "does not fit the context window",
        ] {
            let failure = error(400, &[], &said(text).to_string());
            assert_eq!(failure.kind, Kind::ContextLength, "{text}");
        }
        for text in ["rejected as a result of our safety system", "our content management policy"] {
            assert_eq!(error(400, &[], &said(text).to_string()).kind, Kind::ContentFiltered);
        }
        for text in
            ["credit balance is too low", "Insufficient Balance", "your specified API usage limits"]
        {
            assert_eq!(error(429, &[], &said(text).to_string()).kind, Kind::QuotaExceeded);
        }
        for code in QUOTA_CODES {
            for field in ["type", "code"] {
                let body = json!({"error": {field: code, "message": "x"}}).to_string();
                assert_eq!(error(429, &[], &body).kind, Kind::QuotaExceeded, "{field} {code}");
            }
        }
        // Mere words prove nothing.
        let text = "You exceeded your current quota, please check your plan and billing details";
        assert_eq!(error(429, &[], &said(text).to_string()).kind, Kind::RateLimited);
    }

    // C-72: `x-should-retry` changes rows 10 to 15 only.
    #[test]
    fn the_server_may_forbid_or_ask_for_a_retry() {
        let large = said("Request too large, tokens per min");
        for (status, body, wish, class) in [
            (500, json!({}), "false", None),
            (429, json!({}), "false", None),
            (400, json!({}), "true", SERVER),
            (501, json!({}), "true", SERVER),
            (429, json!({}), "true", LIMIT),
            (401, json!({}), "true", None),
            (404, json!({}), "true", None),
            (413, json!({}), "true", None),
            (429, large, "true", None),
        ] {
            let failure = error(status, &[("x-should-retry", wish)], &body.to_string());
            assert_eq!(failure.class, class, "{status} {body}");
        }
    }

    // providers.md 9.2, step 1
    #[test]
    fn what_a_body_says_is_found_wherever_it_stands() {
        for (body, message) in [
            (r#"{"error": "busy"}"#, "busy"),
            (r#"{"error": {"message": "a"}, "message": "b"}"#, "a"),
            (r#"{"error": {"detail": "a"}}"#, "a"),
            (r#"{"error": {"code": 3}, "message": "b"}"#, "b"),
            (r#"{"object": "error", "message": {"x": [1]}}"#, r#"{"x":[1]}"#),
            (r#"{"detail": "Not Found"}"#, "Not Found"),
            (r#"[{"error": {"message": "first"}}, {"error": {"message": "second"}}]"#, "first"),
            ("\u{feff} <html>busy</html> ", "<html>busy</html>"),
            ("", "HTTP status 418"),
            ("{}", "HTTP status 418"),
        ] {
            assert_eq!(error(418, &[], body).message, message, "{body}");
        }
        let body = json!({"request_id": "b", "error": {"message": "m", "type": "t", "code": "c", "param": "p"}});
        let failure = error(400, &[], &body.to_string());
        let found = (failure.code.as_deref(), failure.param.as_deref());
        assert_eq!(found, (Some("c"), Some("p")));
        assert_eq!(failure.request_id.as_deref(), Some("b"));
        let with_header = error(400, &[("request-id", "h")], &body.to_string());
        assert_eq!(with_header.request_id.as_deref(), Some("h"));
    }

    // C-72, providers.md 8.4 and 9.2: errors with status 200 go by their code, else by their type.
    #[test]
    fn errors_inside_good_answers_are_found() {
        for (body, kind, class) in [
            (json!({"error": {"type": "overloaded_error"}}), Kind::ServerError, SERVER),
            (json!({"error": {"type": "api_error"}}), Kind::ServerError, SERVER),
            (json!({"error": {"type": "rate_limit_error"}}), Kind::RateLimited, LIMIT),
            (json!({"error": {"type": "timeout_error"}}), Kind::ServerError, SERVER),
            (json!({"error": {"type": "authentication_error"}}), Kind::Authentication, None),
            (json!({"error": {"type": "permission_error"}}), Kind::PermissionDenied, None),
            (json!({"error": {"type": "billing_error"}}), Kind::QuotaExceeded, None),
            (json!({"error": {"type": "not_found_error"}}), Kind::ModelNotFound, None),
            (json!({"error": {"type": "invalid_request_error"}}), Kind::InvalidRequest, None),
            (json!({"error": {"code": 429}}), Kind::RateLimited, LIMIT),
            (json!({"error": {"code": "503"}}), Kind::ServerError, SERVER),
            (json!({"error": {"code": 7}}), Kind::ServerError, SERVER),
            (json!({"error": "text"}), Kind::ServerError, SERVER),
            (json!([{"error": {"code": 503}}]), Kind::ServerError, SERVER),
        ] {
            let failure = inside_ok(&body).unwrap();
            assert_eq!((failure.kind, failure.class), (kind, class), "{body}");
        }
        for body in [json!({}), json!({"error": null}), json!({"error": {}}), json!({"error": ""})]
        {
            assert_eq!(inside_ok(&body), None, "{body}");
        }
    }
}
