//! Every recorded request (`tests/cassettes`) against what the codecs make of the neutral request that it comes from: path, headers and body.

use serde_json::{Value as Json, json};

use super::Quirks;
use super::cassettes::{bytes, samples, text};
use crate::chat::{
    ChatRequest, ChatResponse, Message, Original, OutputSchema, Sampling, ToolCall, ToolChoice,
    ToolSpec, Tools,
};
use crate::config::{ConnectionSettings, Layer, ProviderKind, merge};

/// Who sends a sample: kind of connection, its fields, and the request.
type Sent = (ProviderKind, Json, ChatRequest);

fn settings(kind: ProviderKind, fields: &Json) -> ConnectionSettings {
    let layer = Layer::from_json("c", fields.as_object().unwrap()).unwrap();
    merge("c", kind, &[("program", &layer)]).unwrap()
}

fn asking(model: &str, messages: Vec<Message>) -> ChatRequest {
    ChatRequest { model: model.to_owned(), messages, ..ChatRequest::default() }
}

fn tide(answer: &str) -> Vec<Message> {
    vec![
        Message::system("You answer in one sentence."),
        Message::user("What does a tide table list?"),
        Message::assistant(answer),
        Message::user("For which place?"),
    ]
}

fn sampling(max_tokens: u64) -> Sampling {
    Sampling {
        temperature: Some(0.2),
        top_p: Some(0.9),
        max_tokens: Some(max_tokens),
        stop: vec!["\n\n".to_owned()],
        seed: Some(7),
    }
}

fn limited(max_tokens: u64) -> Sampling {
    Sampling { max_tokens: Some(max_tokens), ..Sampling::default() }
}

/// The sample's own schema, found where its protocol has it.
fn typed(model: &str, sample: &Json, pointer: &str) -> ChatRequest {
    let output = OutputSchema::new("Ticket".to_owned(), sample.pointer(pointer).unwrap().clone());
    let prompt = Message::user("Sort this ticket: the lamp flickers.");
    ChatRequest { output: Some(output.into()), ..asking(model, vec![prompt]) }
}

/// The second turn of a loop of calls: `ids` of the two calls, or none if the server gave none.
fn tools(
    model: &str,
    response: ChatResponse,
    arguments: [&str; 2],
    ids: Option<[&str; 2]>,
    results: [(&str, bool); 2],
    parameters: &Json,
) -> ChatRequest {
    let calls = [0, 1].map(|index| ToolCall {
        id: ids.map_or_else(|| format!("call_1_{index}"), |ids| ids[index].to_owned()),
        is_own_id: ids.is_none(),
        name: "water_level".to_owned(),
        arguments: arguments[index].to_owned(),
    });
    let response = ChatResponse { tool_calls: calls.to_vec(), ..response };
    let mut messages = vec![
        Message::user("Is the river at Kölbe higher than at Wehrda?"),
        Message::calling(&response),
    ];
    for (call, (result, is_error)) in calls.iter().zip(results) {
        messages.push(Message::result(call, result, is_error));
    }
    let spec = ToolSpec {
        name: "water_level".to_owned(),
        description: "Water level of a gauge, in centimetres.".to_owned(),
        parameters: Some(parameters.clone()),
        is_strict: true,
    };
    let tools = Tools { specs: vec![spec], choice: Some(ToolChoice::Auto), parallel: None };
    ChatRequest { tools, ..asking(model, messages) }
}

fn openai_sample(name: &str, sample: &mut Json) -> Sent {
    let chat = match name {
        "chat_request" => ChatRequest {
            sampling: sampling(200),
            ..asking("gpt-4o-mini", tide("It lists the times and heights of high and low water."))
        },
        "chat_request_stream" => ChatRequest {
            stream: true,
            ..asking("gpt-4o-mini", vec![Message::user("Name a harbour.")])
        },
        "chat_request_schema" => typed("gpt-4o", sample, "/response_format/json_schema/schema"),
        "chat_request_reasoning" => {
            // `system` is sent to all models, since every server knows it; the language has no field for the effort.
            sample["messages"][0]["role"] = "system".into();
            sample.as_object_mut().unwrap().remove("reasoning_effort");
            let prompt = Message::user("How many prime numbers lie below 30?");
            let system = Message::system("You answer in one sentence.");
            ChatRequest { sampling: limited(2000), ..asking("o3", vec![system, prompt]) }
        }
        "chat_request_tools" => {
            let arguments = [
                r#"{"gauge":"Kölbe","hours_back":null}"#,
                r#"{"gauge":"Wehrda","hours_back":null}"#,
            ];
            let ids = Some(["call_a1", "call_b2"]);
            let results = [(r#"{"cm":212}"#, false), (r#"{"cm":187}"#, false)];
            let parameters = &sample["tools"][0]["function"]["parameters"];
            let none = ChatResponse::default();
            let mut chat = tools("gpt-4o", none, arguments, ids, results, parameters);
            chat.tools.parallel = Some(true);
            chat
        }
        other => panic!("no request for {other}"),
    };
    (ProviderKind::OpenAi, json!({"api_key": "sk-test"}), chat)
}

fn anthropic_sample(name: &str, sample: &mut Json) -> Sent {
    let haiku = "claude-haiku-4-5-20251001";
    let mut fields = json!({"api_key": "sk-ant-test"});
    let chat = match name {
        "messages_request" => ChatRequest {
            // The service takes no seed, and these models not both of the others.
            sampling: Sampling { top_p: None, ..sampling(1024) },
            ..asking(haiku, tide("Times and heights of high and low water."))
        },
        "messages_request_new_version" => {
            let version =
                json!({"anthropic-version": "2026-10-21", "authorization": "Bearer sk-ant-test"});
            fields = json!({"headers": version});
            asking("claude-sonnet-5-5", tide("")[..2].to_vec())
        }
        "messages_request_schema" => ChatRequest {
            sampling: limited(1024),
            ..typed(haiku, sample, "/output_config/format/schema")
        },
        "messages_request_forced_tool" => {
            // M-40 names the tool.
            sample["tools"][0]["name"] = "respond_Ticket".into();
            sample["tool_choice"]["name"] = "respond_Ticket".into();
            let chat = typed("claude-sonnet-4-20250514", sample, "/tools/0/input_schema");
            ChatRequest { sampling: limited(1024), ..chat }
        }
        "messages_request_tools" => {
            let response =
                ChatResponse { text: "I look both up.".to_owned(), ..Default::default() };
            let arguments = [r#"{"gauge":"Kölbe"}"#, r#"{"gauge":"Wehrda"}"#];
            let results = [(r#"{"cm":212}"#, false), ("no such gauge", true)];
            let ids = Some(["toolu_a1", "toolu_b2"]);
            let parameters = &sample["tools"][0]["input_schema"];
            let chat = tools(haiku, response, arguments, ids, results, parameters);
            ChatRequest { sampling: limited(1024), ..chat }
        }
        other => panic!("no request for {other}"),
    };
    (ProviderKind::Anthropic, fields, chat)
}

fn gemini_sample(name: &str, sample: &Json) -> Sent {
    let flash = "gemini-2.5-flash";
    let chat = match name {
        "generate_request" => ChatRequest {
            sampling: sampling(1024),
            ..asking(flash, tide("Times and heights of high and low water."))
        },
        "stream_request" => {
            ChatRequest { stream: true, ..asking(flash, vec![Message::user("Name a harbour.")]) }
        }
        "generate_request_schema" => typed(flash, sample, "/generationConfig/responseJsonSchema"),
        "generate_request_schema_openapi" => {
            let area = json!({"type": "string", "enum": ["power", "network", "other"]});
            let note = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
            let json = json!({
                "type": "object",
                "properties": {"area": area, "urgency": {"type": "integer"}, "note": note},
                "required": ["area", "urgency"],
                "additionalProperties": false
            });
            typed(flash, &json, "")
        }
        "generate_request_tools" => {
            let parts = sample["contents"][1]["parts"].clone();
            let original = Some(Original { dialect: "google", json: parts });
            let response = ChatResponse { original, ..ChatResponse::default() };
            let arguments = [r#"{"gauge":"Kölbe"}"#, r#"{"gauge":"Wehrda"}"#];
            let results = [(r#"{"cm":212}"#, false), ("no such gauge", true)];
            let parameters = &sample["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"];
            tools(flash, response, arguments, None, results, parameters)
        }
        other => panic!("no request for {other}"),
    };
    (ProviderKind::Google, json!({"api_key": "g-test"}), chat)
}

// C-40, C-50, M-40, providers.md 3, 5, 6
#[test]
fn requests_are_those_of_the_samples() {
    for (sample, dialect) in samples("request") {
        let file = text(&sample, "file");
        let name = file.rsplit_once('/').unwrap().1.strip_suffix(".json").unwrap();
        let mut expected: Json = serde_json::from_slice(&bytes(&sample)).unwrap();
        let (kind, fields, chat) = match text(&sample, "dialect") {
            "openai_chat" => openai_sample(name, &mut expected),
            "anthropic" => anthropic_sample(name, &mut expected),
            _ => gemini_sample(name, &expected),
        };
        let mut quirks = Quirks::default();
        if name == "generate_request_schema_openapi" {
            quirks = quirks.with_refused_schema(&chat.model);
        }
        let to = settings(kind, &fields);
        let request = dialect.encode(&chat, &to, &quirks).unwrap();
        let found: Json = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(found, expected, "{file}");
        let (_, path) = request.url.split_once("//").unwrap().1.split_once('/').unwrap();
        assert_eq!(format!("/{path}"), text(&sample, "path"), "{file}");
        // As the call layer lays them over one another (C-45).
        let mut headers = json!({"content-type": "application/json"});
        for (name, value) in request.headers.iter().chain(&to.headers) {
            headers[name.to_lowercase()] = value.expose().into();
        }
        assert_eq!(headers, sample["headers"], "{file}");
    }
}
