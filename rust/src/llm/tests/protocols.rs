//! Calls of the kinds that do not speak chat completions, over HTTP, with recorded answers.

use serde_json::{Value as Json, json};

use super::server::{Reply, Server};
use super::{Call, call_with, client, settings};
use crate::chat::OutputSchema;
use crate::config::ProviderKind;

fn sample(file: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes");
    std::fs::read_to_string(root.join(file)).unwrap()
}

fn asking(kind: ProviderKind, server: &Server, model: &str) -> Call {
    let settings = settings(kind, &server.url, r#"{"api_key": "k-123456"}"#);
    Call { model_id: model.to_owned(), ..call_with(settings) }
}

fn typed(call: Call) -> Call {
    let json =
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    Call { output: Some(OutputSchema::new("N".to_owned(), json).into()), ..call }
}

const KINDS: [(ProviderKind, &str, &str, &str); 2] = [
    (ProviderKind::Anthropic, "claude-haiku-4-5-20251001", "anthropic/messages", "/v1/messages"),
    (
        ProviderKind::Google,
        "gemini-2.5-flash",
        "gemini/generate",
        "/v1beta/models/gemini-2.5-flash:generateContent",
    ),
];

// C-38 to C-42, C-50, C-54
#[tokio::test]
async fn whole_answers_are_read() {
    for (kind, model, folder, path) in KINDS {
        let body = sample(&format!("{folder}_response.json"));
        let server = Server::start(vec![Reply::json(200, &body)]).await;
        // The recorder holds the prices.
        let recorder = super::recorder();
        let call = asking(kind, &server, model);
        let answer = client().execute(call, vec![recorder]).await.unwrap();
        let text = "A tide table is made for one harbour; others add an offset — often ±1 h.";
        assert_eq!((answer.response.text.as_str(), answer.model.as_str()), (text, model));
        assert!(answer.cost.is_some(), "{model}");
        let received = server.received();
        assert_eq!(received[0].path, path);
        let key = if kind == ProviderKind::Google { "x-goog-api-key" } else { "x-api-key" };
        assert_eq!(received[0].header(key), ["k-123456"]);
        assert_eq!(received[0].header("authorization"), [""; 0]);
    }
}

// S-14
#[tokio::test]
async fn streams_are_read() {
    for (kind, model, file, path) in [
        (
            ProviderKind::Anthropic,
            "claude-haiku-4-5",
            "anthropic/messages_stream.sse",
            "/v1/messages",
        ),
        (
            ProviderKind::Google,
            "gemini-2.5-flash",
            "gemini/stream.sse",
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
    ] {
        let body = sample(file);
        let pieces: Vec<&str> = body.split_inclusive('\n').collect();
        let server = Server::start(vec![Reply::events(&pieces)]).await;
        let mut stream = client().stream(asking(kind, &server, model), vec![]).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            text.push_str(&chunk.unwrap().text);
        }
        assert_eq!(text, "Hamburg — im Norden, grüßt 日本 🚢.");
        assert_eq!(server.received()[0].path, path);
    }
}

// S-15
#[tokio::test]
async fn a_plain_answer_to_a_stream_request_is_one_chunk() {
    for (kind, model, folder, _) in KINDS {
        let body = sample(&format!("{folder}_response.json"));
        let server = Server::start(vec![Reply::json(200, &body)]).await;
        let mut stream = client().stream(asking(kind, &server, model), vec![]).await.unwrap();
        let chunk = stream.next().await.unwrap().unwrap();
        assert!(chunk.text.starts_with("A tide table"), "{}", chunk.text);
        assert!(stream.next().await.is_none());
    }
}

// S-11
#[tokio::test]
async fn a_stream_that_is_cut_off_is_an_error_with_its_cause() {
    for (kind, model, file) in [
        (ProviderKind::Anthropic, "claude-haiku-4-5", "anthropic/messages_stream_truncated.sse"),
        (ProviderKind::Google, "gemini-2.5-flash", "gemini/stream_truncated.sse"),
    ] {
        let server = Server::start(vec![Reply::events(&[&sample(file)])]).await;
        let mut stream = client().stream(asking(kind, &server, model), vec![]).await.unwrap();
        let error = loop {
            if let Err(error) = stream.next().await.unwrap() {
                break error;
            }
        };
        let interrupted = error.interrupted.unwrap();
        assert_eq!(interrupted.partial_text, "Hamburg — im Norden");
        assert_eq!(interrupted.cause, "network");
    }
}

fn bodies(server: &Server) -> Vec<Json> {
    server.received().into_iter().map(|received| received.body).collect()
}

// M-40, providers.md 6.4: once, within the same attempt, and remembered for the model.
#[tokio::test]
async fn an_older_gemini_gets_the_older_form_of_schemas() {
    let refusal = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
        "Invalid JSON payload received. Unknown name \"response_json_schema\" at 'generation_config': Cannot find field."}});
    let good = sample("gemini/generate_response.json");
    let refused = Reply::json(400, &refusal.to_string());
    let replies = vec![refused.clone(), Reply::json(200, &good), Reply::json(200, &good), refused];
    let server = Server::start(replies).await;
    let client = client();
    let call = typed(asking(ProviderKind::Google, &server, "gemini-1.5-pro"));
    let answer = client.execute(call.clone(), vec![]).await.unwrap();
    assert_eq!(answer.attempts, 1);
    client.execute(call.clone(), vec![]).await.unwrap();
    let other = Call { model_id: "gemini-2.5-flash".to_owned(), ..call };
    // A second refusal would not help.
    let error = client.execute(other, vec![]).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "network");
    let fields: Vec<bool> = bodies(&server)
        .iter()
        .map(|body| body["generationConfig"].get("responseSchema").is_some())
        .collect();
    assert_eq!(fields, [false, true, true, false]);
}

// M-40, M-42: a gateway that knows neither way is told in words; the complaint about a schema stays readable.
#[tokio::test]
async fn anthropic_gateways_get_the_way_that_they_know() {
    let refuse = |message: &str| {
        let error = json!({"type": "invalid_request_error", "message": message});
        Reply::json(400, &json!({"type": "error", "error": error}).to_string())
    };
    let good = sample("anthropic/messages_response.json");
    let replies = vec![
        refuse("output_config.format: json_schema is not supported by this model"),
        refuse("tool_choice: this model does not support forced tools"),
        Reply::json(200, &good),
        refuse("output_config.format.schema: too complex"),
    ];
    let server = Server::start(replies).await;
    let client = client();
    let call = typed(asking(ProviderKind::Anthropic, &server, "claude-haiku-4-5"));
    assert_eq!(client.execute(call.clone(), vec![]).await.unwrap().attempts, 1);
    let other = Call { model_id: "claude-opus-4-5".to_owned(), ..call };
    let error = client.execute(other, vec![]).await.unwrap_err();
    assert!(error.message.contains("output_config.format.schema: too complex"), "{error}");
    let ways: Vec<[bool; 3]> = bodies(&server)
        .iter()
        .map(|body| ["output_config", "tool_choice", "system"].map(|key| body.get(key).is_some()))
        .collect();
    let (native, tool, told) = ([true, false, false], [false, true, false], [false, false, true]);
    assert_eq!(ways, [native, tool, told, native]);
}

// C-51, M-4: what the program set is sent; a refusal names the field and the model.
#[tokio::test]
async fn a_refused_field_is_named() {
    for (kind, model, sample_file, field) in [
        (
            ProviderKind::Anthropic,
            "claude-opus-5-5",
            "anthropic/error_400_temperature.http",
            "temperature",
        ),
        (ProviderKind::OpenAi, "o3", "openai/error_400_temperature.http", "temperature"),
    ] {
        let body = sample(sample_file).split_once("\n\n").unwrap().1.to_owned();
        let server = Server::start(vec![Reply::json(400, &body)]).await;
        let mut call = asking(kind, &server, model);
        call.sampling.temperature = Some(0.5);
        let error = client().execute(call, vec![]).await.unwrap_err();
        assert_eq!(bodies(&server)[0]["temperature"], json!(0.5));
        assert_eq!(error.failure.param.as_deref(), Some(field));
        assert!(error.message.contains(field) && error.message.contains(model), "{error}");
    }
}
