//! What an answer said goes back with the results of its calls, in the next request of the same protocol and of another one.

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::{Quirks, dialect};
use crate::chat::{ChatRequest, ChatResponse, Message, ToolCall, ToolSpec};
use crate::config::{ConnectionSettings, Layer, ProviderKind, merge};
use crate::wire::{HttpResponse, SseEvent};

fn settings(kind: ProviderKind) -> ConnectionSettings {
    let fields = json!({"api_key": "k", "base_url": "http://127.0.0.1:1/v1"});
    let layer = Layer::from_json("c", fields.as_object().unwrap()).unwrap();
    merge("c", kind, &[("program", &layer)]).unwrap()
}

fn asking(messages: Vec<Message>) -> ChatRequest {
    let spec = ToolSpec {
        name: "level".to_owned(),
        description: "d".to_owned(),
        parameters: None,
        is_strict: true,
    };
    let mut chat = ChatRequest { model: "m".to_owned(), messages, ..ChatRequest::default() };
    chat.tools.specs.push(spec);
    chat
}

fn decoded(kind: ProviderKind, chat: &ChatRequest, body: &Json) -> ChatResponse {
    let body = Bytes::from(body.to_string());
    dialect(kind).decode(chat, &HttpResponse { status: 200, headers: Vec::new(), body }).unwrap()
}

fn streamed(kind: ProviderKind, chat: &ChatRequest, events: &[Json]) -> ChatResponse {
    let mut reader = dialect(kind).stream_decoder(chat);
    let mut text = String::new();
    for event in events {
        text.push_str(&reader.push(&SseEvent { name: None, data: event.to_string() }).unwrap());
    }
    ChatResponse { text, ..reader.finish().unwrap() }
}

fn encoded(kind: ProviderKind, chat: &ChatRequest) -> Json {
    let request = dialect(kind).encode(chat, &settings(kind), &Quirks::default()).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

/// The request that follows an answer, each of its calls answered.
fn next(mut chat: ChatRequest, response: &ChatResponse) -> ChatRequest {
    chat.messages.push(Message::calling(response));
    for (call, (result, is_error)) in
        response.tool_calls.iter().zip([("{\"cm\":2}", false), ("broken", true)])
    {
        chat.messages.push(Message::result(call, result, is_error));
    }
    chat
}

fn blocks() -> Json {
    json!([
        {"type": "thinking", "thinking": "Both.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "level", "input": {"gauge": "A"}},
        {"type": "tool_use", "id": "t2", "name": "level", "input": {}}
    ])
}

/// A stream that makes these blocks.
fn events(blocks: &Json) -> Vec<Json> {
    let mut events = vec![json!({"type": "message_start", "message": {}})];
    for (index, block) in blocks.as_array().unwrap().iter().enumerate() {
        let mut start = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap() {
            "thinking" => {
                start["thinking"] = "".into();
                start["signature"] = "".into();
                deltas.push(json!({"type": "thinking_delta", "thinking": "Bo"}));
                deltas.push(json!({"type": "thinking_delta", "thinking": "th."}));
                deltas.push(json!({"type": "signature_delta", "signature": "c2ln"}));
            }
            "text" => {
                start["text"] = "".into();
                deltas.push(json!({"type": "text_delta", "text": "I look."}));
            }
            "tool_use" => {
                start["input"] = json!({});
                let text = block["input"].to_string();
                let (head, tail) = text.split_at(1);
                deltas.push(json!({"type": "input_json_delta", "partial_json": head}));
                deltas.push(json!({"type": "input_json_delta", "partial_json": tail}));
            }
            _ => {}
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}));
    events.push(json!({"type": "message_stop"}));
    events
}

// providers.md 5.4: all blocks unchanged, thinking with its signature; results in one message before any text.
#[test]
fn anthropic_gets_its_blocks_back() {
    let kind = ProviderKind::Anthropic;
    let chat = asking(vec![Message::user("How high?")]);
    let body = json!({"content": blocks(), "stop_reason": "tool_use"});
    let response = decoded(kind, &chat, &body);
    let events = events(&blocks());
    assert_eq!(streamed(kind, &chat, &events), response);

    let mut chat = next(chat, &response);
    chat.messages.push(Message::user("And now?"));
    let expected = json!([
        {"role": "user", "content": "How high?"},
        {"role": "assistant", "content": blocks()},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "{\"cm\":2}"},
            {"type": "tool_result", "tool_use_id": "t2", "content": "broken", "is_error": true},
            {"type": "text", "text": "And now?"}
        ]}
    ]);
    assert_eq!(encoded(kind, &chat)["messages"], expected);
    // Another protocol cannot read the blocks, but it gets text and calls.
    let messages = encoded(ProviderKind::Custom, &chat)["messages"].clone();
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "level", "arguments": arguments}});
    let calls = json!([call("t1", "{\"gauge\":\"A\"}"), call("t2", "{}")]);
    assert_eq!(
        messages[1],
        json!({"role": "assistant", "content": "I look.", "tool_calls": calls})
    );
    assert_eq!(messages[3], json!({"role": "tool", "tool_call_id": "t2", "content": "broken"}));
}

// providers.md 6.3: every part with its signature; ids that we made do not go back.
#[test]
fn gemini_gets_its_parts_back() {
    let kind = ProviderKind::Google;
    let chat = asking(vec![Message::user("How high?")]);
    let parts = json!([
        {"text": "Hm.", "thought": true},
        {"text": "I look."},
        {"functionCall": {"name": "level", "args": {"gauge": "A"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "f2", "name": "level"}}
    ]);
    let body = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]});
    let response = decoded(kind, &chat, &body);
    let mut events: Vec<Json> = Vec::new();
    for part in parts.as_array().unwrap() {
        events.push(json!({"candidates": [{"content": {"parts": [part]}}]}));
    }
    events.push(json!({"candidates": [{"finishReason": "STOP"}]}));
    assert_eq!(streamed(kind, &chat, &events), response);
    let call = |id: &str, is_own_id: bool, arguments: &str| ToolCall {
        id: id.to_owned(),
        is_own_id,
        name: "level".to_owned(),
        arguments: arguments.to_owned(),
    };
    let expected = [call("call_1_0", true, "{\"gauge\":\"A\"}"), call("f2", false, "")];
    assert_eq!(response.tool_calls, expected);

    let contents = encoded(kind, &next(chat, &response))["contents"].clone();
    assert_eq!(contents[1], json!({"role": "model", "parts": parts}));
    let result = |response: Json| json!({"name": "level", "response": response});
    let mut second = result(json!({"error": "broken"}));
    second["id"] = "f2".into();
    let first = result(json!({"output": {"cm": 2}}));
    let expected = json!([{"functionResponse": first}, {"functionResponse": second}]);
    assert_eq!(contents[2], json!({"role": "user", "parts": expected}));
}

fn chat_answer(calls: &Json) -> Json {
    json!({"choices": [{"finish_reason": "stop", "message": {"content": null, "tool_calls": calls}}]})
}

// providers.md 3.3: ids are unique over all rounds, whatever the server sends; 1.4: odd arguments.
#[test]
fn missing_and_repeated_ids_are_made_up_for() {
    let kind = ProviderKind::Custom;
    let chat = asking(vec![Message::user("How high?")]);
    let call = |id: Json, arguments: Json| json!({"id": id, "function": {"name": "level", "arguments": arguments}});
    let calls = json!([
        call(json!("x"), json!("{\"a\":1}")),
        call(json!("x"), json!({"a": 2})),
        call(json!(null), json!("")),
        call(json!(""), json!("{broken")),
        {"id": "y", "type": "custom", "custom": {}}
    ]);
    let response = decoded(kind, &chat, &chat_answer(&calls));
    assert_eq!(response.finish_reason, "tool_calls");
    let found: Vec<_> = response.tool_calls.iter().map(|c| (c.id.as_str(), c.is_own_id)).collect();
    let expected = [("x", false), ("call_1_1", true), ("call_1_2", true), ("call_1_3", true)];
    assert_eq!(found, expected);
    let objects: Vec<_> =
        response.tool_calls.iter().map(|c| c.object().ok().map(Json::from)).collect();
    assert_eq!(objects, [Some(json!({"a": 1})), Some(json!({"a": 2})), Some(json!({})), None]);
    assert_eq!(response.tool_calls[3].arguments, "{broken");
    // The next round knows the ids of the first.
    let chat = next(chat, &response);
    let calls = json!([call(json!("x"), json!("{}")), call(json!("z"), json!("{}"))]);
    let response = decoded(kind, &chat, &chat_answer(&calls));
    let ids: Vec<&str> = response.tool_calls.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["call_2_0", "z"]);
}
