//! The body of a request. Unknown fields are refused, so only what is set is sent.

use serde_json::{Map, Value as Json, json};

use super::super::answer::put;
use super::super::quirks::Fields;
use super::super::{Quirks, told};
use super::{NAME, schema};
use crate::chat::{Answered, ChatRequest, Message, Role, ToolCall, ToolChoice, ToolSpec};
use crate::models_table;

/// Names of the sampling fields.
pub(super) const FIELDS: Fields = Fields {
    temperature: "temperature",
    top_p: "topP",
    max_tokens: "maxOutputTokens",
    stop: "stopSequences",
    seed: "seed",
};

/// How the model is asked for a typed answer (M-40).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// With `responseJsonSchema`.
    JsonSchema,
    /// With `responseSchema`, in its form of the schema.
    OpenApi(Json),
    /// In words.
    Told,
}

/// The way that the model and its server take; `None` without a schema.
pub(super) fn way(chat: &ChatRequest, quirks: &Quirks) -> Option<Way> {
    let output = chat.output.as_ref()?;
    // Before Gemini 3 a schema beside tools is refused (M-44).
    let beside_tools =
        offers_tools(chat) && models_table::rejects(&chat.model, "schema_beside_tools");
    Some(match quirks.refused_schemas(&chat.model) {
        _ if beside_tools => Way::Told,
        0 => Way::JsonSchema,
        _ => schema::open_api(&output.json).map_or(Way::Told, Way::OpenApi),
    })
}

fn offers_tools(chat: &ChatRequest) -> bool {
    !chat.tools.specs.is_empty()
}

pub(super) fn body(chat: &ChatRequest, quirks: &Quirks) -> Json {
    let way = way(chat, quirks);
    let messages = told::messages(chat, way == Some(Way::Told));
    let mut body = Map::new();
    let system = messages.iter().filter(|message| message.role == Role::System);
    let system: Vec<Json> = system.map(|message| json!({"text": message.content})).collect();
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({"parts": system}));
    }
    body.insert("contents".to_owned(), contents(&messages).into());
    let config = config(chat, way);
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    if offers_tools(chat) {
        let functions: Vec<Json> = chat.tools.specs.iter().map(tool).collect();
        body.insert("tools".to_owned(), json!([{"functionDeclarations": functions}]));
        if let Some(choice) = &chat.tools.choice {
            body.insert("toolConfig".to_owned(), json!({"functionCallingConfig": mode(choice)}));
        }
    }
    Json::Object(body)
}

fn config(chat: &ChatRequest, way: Option<Way>) -> Map<String, Json> {
    let sampling = &chat.sampling;
    let mut config = Map::new();
    let mut field = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    };
    field(FIELDS.temperature, sampling.temperature.map(Json::from));
    field(FIELDS.top_p, sampling.top_p.map(Json::from));
    field(FIELDS.max_tokens, sampling.max_tokens.map(Json::from));
    field(FIELDS.stop, (!sampling.stop.is_empty()).then(|| json!(sampling.stop)));
    field(FIELDS.seed, sampling.seed.map(Json::from));
    let schema = match way {
        None | Some(Way::Told) => None,
        Some(Way::OpenApi(schema)) => Some(("responseSchema", schema)),
        Some(Way::JsonSchema) => {
            chat.output.as_ref().map(|output| ("responseJsonSchema", schema::json(&output.json)))
        }
    };
    if let Some((name, schema)) = schema {
        field("responseMimeType", Some(json!("application/json")));
        field(name, Some(schema));
    }
    config
}

/// Neighbours of one role make one content, so that all results of an answer's calls stand together; the user begins (C-52).
fn contents(messages: &[Message]) -> Vec<Json> {
    let spoken = messages.iter().filter(|message| message.role != Role::System);
    let mut contents: Vec<(&str, Vec<Json>)> = Vec::new();
    for message in spoken.skip_while(|message| message.role != Role::User) {
        let role = if message.role == Role::Assistant { "model" } else { "user" };
        let parts = parts(message);
        match contents.last_mut() {
            _ if parts.is_empty() => {}
            Some((last, all)) if *last == role => all.extend(parts),
            _ => contents.push((role, parts)),
        }
    }
    contents.into_iter().map(|(role, parts)| json!({"role": role, "parts": parts})).collect()
}

fn parts(message: &Message) -> Vec<Json> {
    if let Some(answered) = &message.answers {
        return vec![result(answered, &message.content)];
    }
    // The parts of a thinking model carry signatures that it wants to see again.
    let original = message.original.as_ref().filter(|original| original.dialect == NAME);
    if let Some(parts) = original.and_then(|original| original.json.as_array()) {
        return parts.clone();
    }
    let text = Some(&message.content).filter(|text| !text.is_empty());
    let text = text.map(|text| json!({"text": text}));
    text.into_iter().chain(message.calls.iter().map(call)).collect()
}

fn call(call: &ToolCall) -> Json {
    let args = call.object().unwrap_or_default();
    let mut out = json!({"name": call.name, "args": args});
    put_id(&mut out, call);
    json!({"functionCall": out})
}

/// An id of our own means nothing to the service.
fn put_id(function: &mut Json, call: &ToolCall) {
    if !call.is_own_id {
        put(function, "id", call.id.clone());
    }
}

/// A result must be an object.
fn result(answered: &Answered, content: &str) -> Json {
    let structured = content.starts_with(['{', '[']).then(|| serde_json::from_str(content).ok());
    let value: Json = structured.flatten().unwrap_or_else(|| content.into());
    let response =
        if answered.is_error { json!({"error": content}) } else { json!({"output": value}) };
    let mut out = json!({"name": answered.call.name, "response": response});
    put_id(&mut out, &answered.call);
    json!({"functionResponse": out})
}

fn tool(spec: &ToolSpec) -> Json {
    let mut function = json!({"name": spec.name, "description": spec.description});
    if let Some(parameters) = &spec.parameters {
        put(&mut function, "parametersJsonSchema", schema::json(parameters));
    }
    function
}

fn mode(choice: &ToolChoice) -> Json {
    match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::Never => json!({"mode": "NONE"}),
        ToolChoice::Any => json!({"mode": "ANY"}),
        ToolChoice::Only(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{OutputSchema, Sampling, Tools};

    fn spec() -> ToolSpec {
        ToolSpec {
            name: "level".to_owned(),
            description: "d".to_owned(),
            parameters: None,
            is_strict: true,
        }
    }

    // C-50, C-52, providers.md 6.2: only what is set, roles merged, the user first.
    #[test]
    fn contents_are_merged_and_begin_with_the_user() {
        let messages = vec![
            Message::assistant("cut off"),
            Message::system("a"),
            Message::user("b"),
            Message::user("c"),
            Message::assistant("d"),
            Message::system("e"),
        ];
        let chat = ChatRequest { messages, ..ChatRequest::default() };
        let expected = json!({
            "systemInstruction": {"parts": [{"text": "a"}, {"text": "e"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "b"}, {"text": "c"}]},
                {"role": "model", "parts": [{"text": "d"}]}
            ]
        });
        assert_eq!(body(&chat, &Quirks::default()), expected);
        let sampling = Sampling { seed: Some(1), ..Sampling::default() };
        let chat = ChatRequest { sampling, ..ChatRequest::default() };
        let expected = json!({"contents": [], "generationConfig": {"seed": 1}});
        assert_eq!(body(&chat, &Quirks::default()), expected);
    }

    // M-40, M-44
    #[test]
    fn typed_answers_are_asked_for_in_the_way_that_the_model_takes() {
        let json = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let older = json!({
            "type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "propertyOrdering": ["n"]
        });
        for (model, schema, tools, refused, expected) in [
            ("gemini-2.5-flash", &json, 0, 0, Way::JsonSchema),
            ("gemini-2.5-flash", &json, 0, 1, Way::OpenApi(older.clone())),
            ("gemini-2.5-flash", &map, 0, 1, Way::Told),
            ("gemini-2.5-flash", &json, 1, 0, Way::Told),
            ("gemini-3.5-flash", &json, 1, 0, Way::JsonSchema),
            ("gemini-flash-latest", &json, 1, 1, Way::OpenApi(older)),
        ] {
            let output = Some(OutputSchema::new("T".to_owned(), schema.clone()).into());
            let tools = Tools { specs: vec![spec(); tools], ..Tools::default() };
            let chat =
                ChatRequest { model: model.to_owned(), output, tools, ..ChatRequest::default() };
            let mut quirks = Quirks::default();
            if refused > 0 {
                quirks = quirks.with_refused_schema(model);
            }
            assert_eq!(way(&chat, &quirks), Some(expected.clone()), "{model}");
            let config = body(&chat, &quirks).get("generationConfig").cloned();
            let field = match expected {
                Way::Told => None,
                Way::JsonSchema => Some("responseJsonSchema"),
                Way::OpenApi(_) => Some("responseSchema"),
            };
            assert_eq!(config.is_some(), field.is_some(), "{model}");
            assert!(field.is_none_or(|field| config.unwrap().get(field).is_some()), "{model}");
        }
    }

    #[test]
    fn choices_of_tools_and_functions_without_parameters() {
        for (choice, expected) in [
            (ToolChoice::Auto, json!({"mode": "AUTO"})),
            (ToolChoice::Never, json!({"mode": "NONE"})),
            (ToolChoice::Any, json!({"mode": "ANY"})),
            (
                ToolChoice::Only("a".to_owned()),
                json!({"mode": "ANY", "allowedFunctionNames": ["a"]}),
            ),
        ] {
            assert_eq!(mode(&choice), expected);
        }
        assert_eq!(tool(&spec()), json!({"name": "level", "description": "d"}));
    }

    // Text that only looks like a number stays text.
    #[test]
    fn results_are_objects() {
        let call = ToolCall {
            id: "f".to_owned(),
            is_own_id: false,
            name: "level".to_owned(),
            arguments: String::new(),
        };
        for (content, is_error, expected) in [
            ("42", false, json!({"output": "42"})),
            ("[1]", false, json!({"output": [1]})),
            ("{broken", false, json!({"output": "{broken"})),
            ("{}", true, json!({"error": "{}"})),
        ] {
            let answered = Answered { call: call.clone(), is_error };
            let found = result(&answered, content);
            assert_eq!(found["functionResponse"]["response"], expected, "{content}");
            assert_eq!(found["functionResponse"]["id"], "f");
        }
    }
}
