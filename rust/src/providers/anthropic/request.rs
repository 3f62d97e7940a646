//! The body of a request.

use serde_json::{Map, Value as Json, json};

use super::super::Quirks;
use super::super::answer::{put, word};
use super::super::quirks::Fields;
use super::super::told::{self, wire_name};
use super::{NAME, schema};
use crate::chat::{ChatRequest, Message, OutputSchema, Role, ToolChoice, ToolSpec};
use crate::models_table;

/// The service demands a limit; this one is for programs that set none.
const MAX_TOKENS: u64 = 4096;

/// Names of the sampling fields.
pub(super) const FIELDS: Fields = Fields {
    temperature: "temperature",
    top_p: "top_p",
    max_tokens: "max_tokens",
    stop: "stop_sequences",
    seed: "seed",
};

/// How the model is asked for a typed answer (M-40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// With `output_config.format`.
    Native,
    /// With a tool whose arguments are the answer.
    Tool,
    /// In words.
    Told,
}

impl Way {
    /// The field that a server may not know.
    pub(super) fn field(self) -> Option<&'static str> {
        match self {
            Self::Native => Some("output_config"),
            Self::Tool => Some("tool_choice"),
            Self::Told => None,
        }
    }
}

/// The first way that the model and its server take; `None` without a schema.
pub(super) fn way(chat: &ChatRequest, quirks: &Quirks) -> Option<Way> {
    let output = chat.output.as_ref()?;
    let has_native = models_table::has(&chat.model, "json_schema");
    let native = has_native && schema::supported(&output.json).is_some();
    let tool = !models_table::rejects(&chat.model, "forced_tool");
    let ways = [(native, Way::Native), (tool, Way::Tool), (true, Way::Told)];
    let mut open = ways.into_iter().filter(|(is_open, _)| *is_open).map(|(_, way)| way);
    Some(open.nth(quirks.refused_schemas(&chat.model)).unwrap_or(Way::Told))
}

/// The tool whose arguments are the answer.
pub(super) fn respond_name(output: &OutputSchema) -> String {
    format!("respond_{}", wire_name(&output.name))
}

pub(super) fn body(chat: &ChatRequest, quirks: &Quirks) -> Json {
    let way = way(chat, quirks);
    let messages = told::messages(chat, way == Some(Way::Told));
    let sampling = &chat.sampling;
    let mut body = Map::new();
    let mut field = |key: &str, value: Option<Json>| {
        body.extend(value.map(|value| (key.to_owned(), value)));
    };
    field("model", Some(json!(chat.model)));
    field(FIELDS.max_tokens, Some(json!(sampling.max_tokens.unwrap_or(MAX_TOKENS))));
    field("system", system(&messages).map(Json::from));
    field("messages", Some(turns(&messages).into()));
    field(FIELDS.temperature, sampling.temperature.map(Json::from));
    field(FIELDS.top_p, sampling.top_p.map(Json::from));
    field(FIELDS.stop, (!sampling.stop.is_empty()).then(|| json!(sampling.stop)));
    let respond = chat.output.as_deref().filter(|_| way == Some(Way::Tool));
    let tools = tools(chat, respond);
    if !tools.is_empty() {
        field("tools", Some(tools.into()));
        field("tool_choice", choice(chat, respond));
    }
    let native = chat.output.as_deref().filter(|_| way == Some(Way::Native));
    field(
        "output_config",
        native.and_then(|output| schema::supported(&output.json)).map(|schema| format(&schema)),
    );
    field("stream", chat.stream.then(|| json!(true)));
    Json::Object(body)
}

fn format(schema: &Json) -> Json {
    json!({"format": {"type": "json_schema", "schema": schema}})
}

fn system(messages: &[Message]) -> Option<String> {
    let texts = messages.iter().filter(|message| message.role == Role::System);
    let texts: Vec<&str> = texts.map(|m| m.content.as_str()).filter(|t| !is_blank(t)).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// Neighbours of one role make one turn, so that all results of an answer's calls stand together; a turn begins with the user (C-52).
fn turns(messages: &[Message]) -> Vec<Json> {
    let spoken = messages.iter().filter(|message| message.role != Role::System);
    let mut turns: Vec<(&str, Vec<Json>)> = Vec::new();
    for message in spoken.skip_while(|message| message.role != Role::User) {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        let blocks = blocks(message);
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, all)) if *last == role => all.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns
        .into_iter()
        .map(|(role, blocks)| json!({"role": role, "content": content(blocks)}))
        .collect()
}

/// One plain text is written as such.
fn content(mut blocks: Vec<Json>) -> Json {
    match blocks.as_mut_slice() {
        [Json::Object(block)] if block.get("type") == Some(&json!("text")) && block.len() == 2 => {
            block.remove("text").unwrap_or_default()
        }
        _ => blocks.into(),
    }
}

fn blocks(message: &Message) -> Vec<Json> {
    if let Some(answered) = &message.answers {
        let mut block = json!({
            "type": "tool_result", "tool_use_id": answered.call.id, "content": message.content,
        });
        if answered.is_error {
            put(&mut block, "is_error", true);
        }
        return vec![block];
    }
    let original = message.original.as_ref().filter(|original| original.dialect == NAME);
    if let Some(blocks) = original.and_then(|original| original.json.as_array()) {
        let is_blank_text = |block: &&Json| {
            word(block, "type") == Some("text") && word(block, "text").is_some_and(is_blank)
        };
        return blocks.iter().filter(|block| !is_blank_text(block)).cloned().map(legal).collect();
    }
    // Blank texts are refused.
    let text = Some(&message.content).filter(|text| !is_blank(text));
    let text = text.map(|text| json!({"type": "text", "text": text}));
    let calls = message.calls.iter().map(|call| {
        let input = call.object().unwrap_or_default();
        json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
    });
    text.into_iter().chain(calls).collect()
}

/// Arguments that were no JSON are refused.
fn legal(mut block: Json) -> Json {
    if word(&block, "type") == Some("tool_use") && !block.get("input").is_some_and(Json::is_object)
    {
        put(&mut block, "input", json!({}));
    }
    block
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn tools(chat: &ChatRequest, respond: Option<&OutputSchema>) -> Vec<Json> {
    let respond = respond.map(|output| {
        json!({
            "name": respond_name(output),
            "description": "Return the result with this tool.",
            "input_schema": output.json,
        })
    });
    chat.tools.specs.iter().map(tool).chain(respond).collect()
}

fn tool(spec: &ToolSpec) -> Json {
    let nothing = || json!({"type": "object", "properties": {}});
    let plain = spec.parameters.clone().unwrap_or_else(nothing);
    let enforced = schema::supported(&plain).filter(|_| spec.is_strict);
    let is_strict = enforced.is_some();
    let mut tool = json!({
        "name": spec.name, "description": spec.description, "input_schema": enforced.unwrap_or(plain),
    });
    if is_strict {
        put(&mut tool, "strict", true);
    }
    tool
}

/// A typed answer by tool ends the loop of calls; without other tools it is the only way to answer (M-44).
fn choice(chat: &ChatRequest, respond: Option<&OutputSchema>) -> Option<Json> {
    let tools = &chat.tools;
    if let Some(output) = respond {
        let is_alone = tools.specs.is_empty() || tools.choice == Some(ToolChoice::Never);
        let name = respond_name(output);
        let only = json!({"type": "tool", "name": name, "disable_parallel_tool_use": true});
        return Some(if is_alone { only } else { json!({"type": "any"}) });
    }
    let single = tools.parallel == Some(false);
    let mut choice = match tools.choice.as_ref() {
        None if !single => return None,
        None | Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::Never) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::Only(name)) => json!({"type": "tool", "name": name}),
    };
    if single {
        put(&mut choice, "disable_parallel_tool_use", true);
    }
    Some(choice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Tools;

    fn asking(model: &str, messages: Vec<Message>) -> ChatRequest {
        ChatRequest { model: model.to_owned(), messages, ..ChatRequest::default() }
    }

    fn typed(model: &str, json: Json) -> ChatRequest {
        let output = Some(OutputSchema::new("Array<T>".to_owned(), json).into());
        ChatRequest { output, ..asking(model, vec![Message::user("x")]) }
    }

    fn object() -> Json {
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    }

    // C-50, C-52, providers.md 5.2
    #[test]
    fn turns_are_merged_begin_with_the_user_and_hold_no_blank_text() {
        let messages = vec![
            Message::system("a"),
            Message::assistant("cut off"),
            Message::user("b"),
            Message::system(" "),
            Message::user("c"),
            Message::assistant(" \n"),
            Message::assistant("d"),
            Message::system("e"),
            Message::user("f"),
        ];
        let chat = ChatRequest { stream: true, ..asking("m", messages) };
        let text = |text: &str| json!({"type": "text", "text": text});
        let expected = json!({
            "model": "m",
            "max_tokens": 4096,
            "system": "a\n\ne",
            "messages": [
                {"role": "user", "content": [text("b"), text("c")]},
                {"role": "assistant", "content": "d"},
                {"role": "user", "content": "f"}
            ],
            "stream": true
        });
        assert_eq!(body(&chat, &Quirks::default()), expected);
    }

    // M-40, by model and by schema.
    #[test]
    fn typed_answers_are_asked_for_in_the_way_that_the_model_takes() {
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let refused = |count| {
            let none = Quirks::default();
            (0..count).fold(none, |quirks, _| quirks.with_refused_schema("claude-haiku-4-5"))
        };
        for (model, schema, quirks, expected) in [
            ("claude-haiku-4-5", object(), refused(0), Way::Native),
            ("claude-haiku-4-5", object(), refused(1), Way::Tool),
            ("claude-haiku-4-5", object(), refused(2), Way::Told),
            ("claude-haiku-4-5", object(), refused(3), Way::Told),
            ("claude-haiku-4-5", map.clone(), refused(0), Way::Tool),
            ("claude-sonnet-4-20250514", object(), refused(0), Way::Tool),
            ("claude-sonnet-7", object(), refused(0), Way::Native),
            ("claude-sonnet-5-5", map, refused(0), Way::Told),
            ("another", object(), refused(0), Way::Tool),
        ] {
            assert_eq!(way(&typed(model, schema), &quirks), Some(expected), "{model}");
        }
    }

    // M-42
    #[test]
    fn where_no_way_is_open_the_model_is_told() {
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let body = body(&typed("claude-sonnet-5-5", map.clone()), &Quirks::default());
        let system = body["system"].as_str().unwrap();
        assert!(system.ends_with(&format!("It must fit this JSON Schema:\n{map}")), "{system}");
        assert_eq!((body.get("tools"), body.get("output_config")), (None, None));
    }

    // M-44
    #[test]
    fn tools_stay_available_beside_a_typed_answer() {
        let spec = |name: &str| ToolSpec {
            name: name.to_owned(),
            description: "d".to_owned(),
            parameters: None,
            is_strict: false,
        };
        let tools = Tools { specs: vec![spec("a")], ..Tools::default() };
        let chat = ChatRequest { tools, ..typed("claude-sonnet-4-20250514", object()) };
        let body = body(&chat, &Quirks::default());
        let names: Vec<&str> =
            body["tools"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
        assert_eq!(names, ["a", "respond_Array_T_"]);
        assert_eq!(body["tool_choice"], json!({"type": "any"}));
        assert_eq!(body["tools"][0]["input_schema"], json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn choices_of_tools() {
        let chat = |choice, parallel| {
            let tools = Tools { specs: Vec::new(), choice, parallel };
            ChatRequest { tools, ..ChatRequest::default() }
        };
        for (asked, parallel, expected) in [
            (None, None, None),
            (None, Some(true), None),
            (None, Some(false), Some(json!({"type": "auto", "disable_parallel_tool_use": true}))),
            (Some(ToolChoice::Never), Some(false), Some(json!({"type": "none"}))),
            (Some(ToolChoice::Any), None, Some(json!({"type": "any"}))),
            (
                Some(ToolChoice::Only("a".to_owned())),
                None,
                Some(json!({"type": "tool", "name": "a"})),
            ),
        ] {
            assert_eq!(choice(&chat(asked, parallel), None), expected);
        }
    }
}
