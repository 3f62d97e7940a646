//! Google Gemini.

use serde_json::{Map, Value as Json, json};

use super::{
    Answer, Dialect, Framing, Question, Refusal, given, is_tool_name, list, set, strict, text,
};
use crate::mock::http::Request;
use crate::mock::script::UsageReply;

#[derive(Debug)]
pub(super) struct Gemini;

/// Fields of a request, in the spelling of protobuf's JSON; `snake_case` is taken too.
const FIELDS: [&str; 9] = [
    "contents",
    "systemInstruction",
    "generationConfig",
    "tools",
    "toolConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "store",
];

const CONFIG_FIELDS: [&str; 23] = [
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "stopSequences",
    "seed",
    "candidateCount",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "thinkingConfig",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "responseModalities",
    "mediaResolution",
    "speechConfig",
    "audioTimestamp",
    "imageConfig",
    "enableEnhancedCivicAnswers",
    "routingConfig",
    "modelSelectionConfig",
];

impl Dialect for Gemini {
    fn word(&self) -> &'static str {
        "gemini"
    }

    fn key<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let in_query = || request.query.split('&').find_map(|part| part.strip_prefix("key="));
        request.header("x-goog-api-key").or_else(in_query)
    }

    fn wrong_key(&self) -> Refusal {
        let message = "API key not valid. Please pass a valid API key.";
        Refusal { code: Some("API_KEY_INVALID".to_owned()), ..Refusal::bad(message) }
    }

    fn question(&self, request: &Request, body: &Json) -> Question {
        let (rest, method) = request.path.rsplit_once(':').unwrap_or((&request.path, ""));
        let id = rest.rsplit_once("/models/").map_or("", |(_, id)| id);
        let config = field(body, "generationConfig").unwrap_or(&Json::Null);
        let schema = ["responseJsonSchema", "responseSchema"];
        let schema = schema.iter().find_map(|name| field(config, name)).cloned();
        let stream = method == "streamGenerateContent";
        Question {
            model: percent_decoded(id),
            prompt: last_user_text(list(body, "contents")),
            stream,
            schema,
            forced: forced(body),
            wants_usage: true,
            other_shape: stream && !request.query.split('&').any(|part| part == "alt=sse"),
        }
    }

    fn problem(&self, request: &Request, body: &Json, question: &Question) -> Option<Refusal> {
        // The counting endpoint may wrap the request.
        let is_count = request.path.ends_with(":countTokens");
        let body = body.get("generateContentRequest").filter(|_| is_count).unwrap_or(body);
        let config = field(body, "generationConfig").unwrap_or(&Json::Null);
        let contents = list(body, "contents");
        unknown(body, &FIELDS, "")
            .or_else(|| unknown(config, &CONFIG_FIELDS, " at 'generation_config'"))
            .or_else(|| wrong_contents(&question.model, contents))
            .or_else(|| wrong_tools(body))
            .or_else(|| wrong_schema(&question.model, body, config))
    }

    fn error(&self, refusal: &Refusal, _id: &str) -> Json {
        let (status, usual) = match refusal.status {
            401 => ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
            402 => ("RESOURCE_EXHAUSTED", "Your prepay credits are depleted."),
            403 => (
                "PERMISSION_DENIED",
                "Generative Language API has not been used in this project before or it is disabled.",
            ),
            404 => {
                ("NOT_FOUND", "The model is not found, or is not supported for generateContent.")
            }
            409 => ("ABORTED", "The operation was aborted."),
            429 => (
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            499 => ("CANCELLED", "The operation was cancelled."),
            503 => ("UNAVAILABLE", "The model is overloaded. Please try again later."),
            504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
            500.. => ("INTERNAL", "An internal error has occurred."),
            _ => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        };
        let mut details = Vec::new();
        if let Some(reason) = &refusal.code {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason, "domain": "googleapis.com",
            }));
        }
        if let Some(quota) = &refusal.param {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": quota}],
            }));
        }
        if let Some(delay) = refusal.wait.and_then(super::Wait::retry_info) {
            details.push(
                json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}),
            );
        }
        let mut error = json!({
            "code": refusal.status,
            "message": refusal.text(usual),
            "status": refusal.ty.as_deref().unwrap_or(status),
        });
        if !details.is_empty() {
            set(&mut error, "details", Json::Array(details));
        }
        json!({ "error": error })
    }

    fn whole(&self, question: &Question, answer: &Answer<'_>) -> Json {
        let mut parts = Vec::new();
        if let Some(thinking) = answer.thinking {
            parts.push(json!({"text": thinking, "thought": true}));
        }
        let text = answer.pieces.concat();
        if !text.is_empty() {
            parts.push(json!({ "text": text }));
        }
        parts.extend(function_calls(question, answer));
        event(answer, &parts, Some(finish(answer)), answer.usage)
    }

    fn stream_type(&self, question: &Question) -> &'static str {
        if question.other_shape { "application/json; charset=UTF-8" } else { "text/event-stream" }
    }

    fn framing<'a>(&self, question: &'a Question, answer: &'a Answer<'a>) -> Box<dyn Framing + 'a> {
        Box::new(Events { question, answer, count: 0, texts: 0 })
    }

    fn count(&self, tokens: u64) -> Json {
        json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
    }

    fn models(&self) -> Json {
        json!({"models": [{
            "name": "models/mock", "version": "1", "displayName": "Mock",
            "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }]})
    }
}

/// A field in either spelling.
fn field<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    given(object, name).or_else(|| given(object, &snake(name)))
}

fn field_list<'a>(object: &'a Json, name: &str) -> &'a [Json] {
    field(object, name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// `topP` → `top_p`
fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or(&[]);
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn last_user_text(contents: &[Json]) -> String {
    let is_user = |content: &&Json| text(content, "role").is_none_or(|role| role == "user");
    let has_text =
        |content: &&Json| list(content, "parts").iter().any(|part| text(part, "text").is_some());
    let last = contents.iter().rev().find(|content| is_user(content) && has_text(content));
    super::content_text(last.and_then(|content| content.get("parts")))
}

/// The one function that must be called.
fn forced(body: &Json) -> Option<(String, Json)> {
    let calling = field(field(body, "toolConfig")?, "functionCallingConfig")?;
    if text(calling, "mode") != Some("ANY") {
        return None;
    }
    let [name] = field_list(calling, "allowedFunctionNames") else { return None };
    let name = name.as_str()?;
    let declaration = declarations(body).find(|each| text(each, "name") == Some(name))?;
    let schema =
        field(declaration, "parametersJsonSchema").or_else(|| field(declaration, "parameters"));
    Some((name.to_owned(), schema.cloned().unwrap_or_default()))
}

fn declarations(body: &Json) -> impl Iterator<Item = &Json> {
    list(body, "tools").iter().flat_map(|tool| field_list(tool, "functionDeclarations"))
}

fn unknown(object: &Json, known: &[&str], place: &str) -> Option<Refusal> {
    let names = object.as_object().into_iter().flat_map(Map::keys);
    let mut names =
        names.filter(|name| !known.iter().any(|own| own == name || snake(own) == **name));
    let name = names.next()?;
    Some(Refusal::bad(format!(
        "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
    )))
}

fn wrong_contents(model: &str, contents: &[Json]) -> Option<Refusal> {
    if contents.is_empty() {
        let message = "* GenerateContentRequest.contents: contents is not specified\n";
        return Some(Refusal::bad(message));
    }
    let role = contents.iter().filter_map(|content| text(content, "role"));
    if role.into_iter().any(|role| !["user", "model", "function"].contains(&role)) {
        return Some(Refusal::bad("Please use a valid role: user, model."));
    }
    for (index, content) in contents.iter().enumerate() {
        let count = |content: Option<&Json>, kind: &str| {
            let parts = content.map_or(&[] as &[Json], |content| list(content, "parts"));
            parts.iter().filter(|part| field(part, kind).is_some()).count()
        };
        let calls = count(Some(content), "functionCall");
        if calls > 0 && calls != count(contents.get(index + 1), "functionResponse") {
            return Some(Refusal::bad(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            ));
        }
        let mut parts = list(content, "parts").iter();
        let first = parts.find(|part| field(part, "functionCall").is_some());
        let is_unsigned = first.is_some_and(|part| field(part, "thoughtSignature").is_none());
        if is_unsigned && signs_thoughts(model) {
            return Some(Refusal::bad(
                "Function call is missing a thought_signature in functionCall parts.",
            ));
        }
    }
    None
}

/// Whether calls must come back with their signatures: from Gemini 3 on.
fn signs_thoughts(model: &str) -> bool {
    let version = model.strip_prefix("gemini-").unwrap_or("");
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    major.parse::<u32>().is_ok_and(|major| major >= 3)
}

fn wrong_tools(body: &Json) -> Option<Refusal> {
    declarations(body).enumerate().find_map(|(index, declaration)| {
        let name = text(declaration, "name").unwrap_or("");
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !is_tool_name(name, 128, b"_.:-") {
            return Some(Refusal::bad(format!(
                "* GenerateContentRequest.tools[0].function_declarations[{index}].name: Invalid function name."
            )));
        }
        let (open, json) =
            (field(declaration, "parameters"), field(declaration, "parametersJsonSchema"));
        if open.is_some() && json.is_some() {
            let message = "Only one of parameters and parameters_json_schema may be set.";
            return Some(Refusal::bad(message));
        }
        let word = open.and_then(strict::openapi)?;
        Some(Refusal::bad(format!(
            "Invalid JSON payload received. Unknown name \"{word}\" at 'tools[0].function_declarations[{index}].parameters': Cannot find field."
        )))
    })
}

fn wrong_schema(model: &str, body: &Json, config: &Json) -> Option<Refusal> {
    let (open, json) = (field(config, "responseSchema"), field(config, "responseJsonSchema"));
    let mime = field(config, "responseMimeType").and_then(Json::as_str);
    if (open.is_some() || json.is_some()) && mime != Some("application/json") {
        let message = "* GenerateContentRequest.generation_config.response_schema: only allowed when response_mime_type is set to a supported value.";
        return Some(Refusal::bad(message));
    }
    if mime == Some("application/json")
        && declarations(body).next().is_some()
        && !signs_thoughts(model)
    {
        let message =
            "Function calling with a response mime type: 'application/json' is unsupported";
        return Some(Refusal::bad(message));
    }
    let word = open.and_then(strict::openapi)?;
    Some(Refusal::bad(format!(
        "Invalid JSON payload received. Unknown name \"{word}\" at 'generation_config.response_schema': Cannot find field."
    )))
}

fn finish<'a>(answer: &Answer<'a>) -> &'a str {
    match answer.finish {
        _ if answer.refusal.is_some() => "SAFETY",
        "stop" | "tool_calls" => "STOP",
        "length" => "MAX_TOKENS",
        "content_filter" => "SAFETY",
        other => other,
    }
}

/// The parts that call functions; from Gemini 3 on the first is signed.
fn function_calls(question: &Question, answer: &Answer<'_>) -> Vec<Json> {
    let calls = answer.tool_calls.iter().enumerate();
    calls
        .map(|(index, call)| {
            let mut part =
                json!({"functionCall": {"id": call.id, "name": call.name, "args": call.object()}});
            if index == 0 && signs_thoughts(&question.model) {
                set(&mut part, "thoughtSignature", json!("bW9jaw=="));
            }
            part
        })
        .collect()
}

fn usage_json(usage: UsageReply) -> Json {
    let visible = usage.completion_tokens.saturating_sub(usage.reasoning_tokens);
    let mut json = json!({
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": visible,
        "totalTokenCount": usage.prompt_tokens + usage.completion_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt_tokens}],
    });
    if usage.reasoning_tokens > 0 {
        set(&mut json, "thoughtsTokenCount", json!(usage.reasoning_tokens));
    }
    if usage.cached_tokens > 0 {
        set(&mut json, "cachedContentTokenCount", json!(usage.cached_tokens));
    }
    json
}

/// A whole response object: every event of a stream is one.
fn event(
    answer: &Answer<'_>,
    parts: &[Json],
    finish: Option<&str>,
    usage: Option<UsageReply>,
) -> Json {
    let mut candidate = json!({"index": 0});
    if !parts.is_empty() {
        set(&mut candidate, "content", json!({"parts": parts, "role": "model"}));
    }
    if let Some(finish) = finish {
        set(&mut candidate, "finishReason", json!(finish));
    }
    let mut whole = json!({ "candidates": [candidate] });
    if let Some(usage) = usage {
        set(&mut whole, "usageMetadata", usage_json(usage));
    }
    set(&mut whole, "modelVersion", json!(answer.model));
    set(&mut whole, "responseId", json!("mockResponse"));
    whole
}

struct Events<'a> {
    question: &'a Question,
    answer: &'a Answer<'a>,
    count: usize,
    texts: u64,
}

impl Events<'_> {
    /// Counts run on with every event and reach the whole with the last.
    fn running(&self) -> Option<UsageReply> {
        let usage = self.answer.usage?;
        let completion_tokens = self.texts.min(usage.completion_tokens);
        Some(UsageReply { completion_tokens, reasoning_tokens: 0, ..usage })
    }

    fn push(&mut self, data: &str, out: &mut Vec<String>) {
        self.count += 1;
        out.push(match (self.question.other_shape, self.count) {
            (true, 1) => format!("[{data}"),
            (true, _) => format!(",\r\n{data}"),
            (false, _) => format!("data: {data}\r\n\r\n"),
        });
    }
}

impl Framing for Events<'_> {
    fn begin(&mut self, out: &mut Vec<String>) {
        if let Some(thinking) = self.answer.thinking {
            let part = json!({"text": thinking, "thought": true});
            let event = event(self.answer, &[part], None, self.running());
            self.push(&event.to_string(), out);
        }
    }

    fn text(&mut self, piece: &str, out: &mut Vec<String>) {
        self.texts += 1;
        let event = event(self.answer, &[json!({ "text": piece })], None, self.running());
        self.push(&event.to_string(), out);
    }

    fn end(&mut self, out: &mut Vec<String>) {
        let mut calls = function_calls(self.question, self.answer);
        let last: Vec<Json> = calls.pop().into_iter().collect();
        for call in calls {
            let event = event(self.answer, &[call], None, self.running());
            self.push(&event.to_string(), out);
        }
        let event = event(self.answer, &last, Some(finish(self.answer)), self.answer.usage);
        self.push(&event.to_string(), out);
        if self.question.other_shape {
            out.push("]".to_owned());
        }
    }

    fn error(&mut self, body: &Json, out: &mut Vec<String>) {
        self.push(&body.to_string(), out);
    }

    fn raw(&mut self, data: &str, out: &mut Vec<String>) {
        self.push(data, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_decoded_and_versions_read() {
        assert_eq!(percent_decoded("tuned%2Fx%zz%4"), "tuned/x%zz%4");
        assert!(signs_thoughts("gemini-3.6-flash") && !signs_thoughts("gemini-2.5-flash"));
        assert!(signs_thoughts("gemini-4-argon") && !signs_thoughts("mock"));
    }

    #[test]
    fn fields_are_known_in_both_spellings() {
        let config = json!({"top_p": 1, "maxOutputTokens": 2, "temperatur": 0});
        let refusal = unknown(&config, &CONFIG_FIELDS, " at 'generation_config'").unwrap();
        let expected = "Invalid JSON payload received. Unknown name \"temperatur\" at 'generation_config': Cannot find field.";
        assert_eq!(refusal.message.as_deref(), Some(expected));
    }
}
