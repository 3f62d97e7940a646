//! The Rust host of `tests/hosts`: takes the cases as JSON lines on standard input, and prints what each of their steps came to.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a part of a test: it ends at what is not foreseen"
)]

use std::io::BufRead;
use std::sync::{Arc, Mutex};

use concerto::{
    Args, BoxError, Emit, EmitHandler, Error, Program, Run, RunError, Runtime, ToolArgs,
    TraceFrame, Value, to_json,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

#[derive(Deserialize)]
struct Case {
    ir: String,
    config: Map<String, Json>,
    replies: Map<String, Json>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Step {
    /// Run this function, or `main`.
    call: Option<String>,
    /// The same in the background.
    start: Option<String>,
    /// An array or an object.
    args: Json,
    /// Cancel what was started when it emits on this channel.
    cancel_at: Option<String>,
    /// Fail in the handler of this channel.
    stop_at: Option<String>,
    /// Override in the handler of this channel instead of at once.
    at: Option<String>,
    #[serde(rename = "override")]
    fields: Option<Map<String, Json>>,
    /// The connection to override.
    connection: String,
    clear: bool,
    metrics: bool,
    /// Stand in for this method, `Tool.method`.
    tool: Option<String>,
    /// What the stand-in says: `ok`, `error`, or the value of an `argument`.
    answer: Json,
}

/// What a handler sees and does.
struct Watch {
    runtime: Runtime,
    step: Arc<Step>,
    emits: Arc<Mutex<Vec<Json>>>,
}

impl EmitHandler for Watch {
    fn emit(&self, emit: &Emit) -> Result<(), BoxError> {
        self.emits.lock().unwrap().push(json!([emit.channel, to_json(&emit.payload)]));
        if self.step.stop_at.as_ref() == Some(&emit.channel) {
            return Err("stopped".into());
        }
        match &self.step.fields {
            Some(fields) if self.step.at.as_ref() == Some(&emit.channel) => {
                let name = &self.step.connection;
                Ok(self.runtime.override_connection_json(name, fields, false)?)
            }
            _ => Ok(()),
        }
    }
}

fn arguments(step: &Step) -> Args {
    match &step.args {
        Json::Array(items) => Args { positional: items.clone(), ..Args::default() },
        Json::Object(entries) => Args { named: entries.clone(), ..Args::default() },
        _ => Args::default(),
    }
}

async fn call(runtime: &Runtime, step: &Step, name: &str) -> Result<Json, Error> {
    match name {
        "main" => Ok(to_json(&runtime.run().await?)),
        name => runtime.call(name, arguments(step)).await,
    }
}

/// What came of a run: its result, or the error as `shown`.
type Outcome = Result<Json, Json>;

async fn background(
    runtime: &Runtime,
    step: &Step,
    name: &str,
    emits: &Mutex<Vec<Json>>,
) -> Outcome {
    let started = runtime.start(name, arguments(step));
    let run: Run = started.map_err(|error| shown(&error))?;
    'taking: while let Some(batch) = run.emits(1).await {
        for emit in batch {
            emits.lock().unwrap().push(json!([emit.channel, to_json(&emit.payload)]));
            if step.cancel_at.as_ref() == Some(&emit.channel) {
                run.cancel();
                break 'taking;
            }
        }
    }
    match &*run.outcome().await {
        Ok(value) => Ok(to_json(value)),
        Err(error) => Err(shown_run(error)),
    }
}

fn stand_in(runtime: &Runtime, name: &str, answer: &Json) -> Result<(), Error> {
    let (tool, method) = name.split_once('.').unwrap();
    let answer = answer.clone();
    runtime.register_tool(tool, method, move |args: ToolArgs| {
        let said = match &answer["argument"] {
            Json::String(name) => Ok(args.value(name).unwrap().clone()),
            _ => said(&answer),
        };
        async move { said }
    })
}

async fn take(runtime: &Runtime, step: Arc<Step>) -> Json {
    let emits = Arc::new(Mutex::new(Vec::new()));
    let result = if let Some(name) = &step.call {
        let watch =
            Watch { runtime: runtime.clone(), step: Arc::clone(&step), emits: Arc::clone(&emits) };
        let watching = runtime.on("*", watch);
        let result = call(runtime, &step, name).await;
        watching.cancel();
        result.map_err(|error| shown(&error))
    } else if let Some(name) = &step.start {
        background(runtime, &step, name, &emits).await
    } else if step.clear {
        runtime.clear_overrides();
        Ok(Json::Null)
    } else if let Some(name) = &step.tool {
        let set = stand_in(runtime, name, &step.answer);
        set.map(|()| Json::Null).map_err(|error| shown(&error))
    } else if let Some(fields) = &step.fields {
        let set = runtime.override_connection_json(&step.connection, fields, false);
        set.map(|()| Json::Null).map_err(|error| shown(&error.into()))
    } else {
        Ok(runtime.get_metrics().to_json())
    };
    let emits = emits.lock().unwrap().clone();
    match result {
        Ok(value) => json!({"result": value, "emits": emits}),
        Err(error) => json!({"error": error, "emits": emits}),
    }
}

/// By the questions that a Rust host asks an error.
fn shown(error: &Error) -> Json {
    match error {
        Error::Run(error) => shown_run(error),
        other => form(other.kind().as_str(), "", &other.to_string(), other.trace()),
    }
}

fn shown_run(error: &RunError) -> Json {
    let code = match error {
        RunError::Llm { error, .. } => &error.kind,
        RunError::Panic { kind, .. } => kind,
        RunError::Limit { limit } => limit,
        _ => "",
    };
    form(error.kind().as_str(), code, &error.to_string(), error.trace())
}

fn form(kind: &str, code: &str, message: &str, trace: &[TraceFrame]) -> Json {
    let frames = trace.iter().map(|f| json!([f.function, f.path, f.line, f.column]));
    let frames: Vec<_> = frames.collect();
    json!({"kind": kind, "code": code, "message": message, "trace": frames})
}

fn said(answer: &Json) -> Result<Value, BoxError> {
    match &answer["error"] {
        Json::String(message) => Err(message.as_str().into()),
        _ => Ok(value(&answer["ok"])),
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::from(text.as_str()),
        number => Value::Int(number.as_i64().unwrap()),
    }
}

async fn outcomes(case: Case) -> Vec<Json> {
    let made = Program::from_bytes(case.ir.as_bytes()).and_then(|program| {
        Runtime::builder(program).options(&case.config).map_err(Error::from)?.build()
    });
    let runtime = match made {
        Ok(runtime) => runtime,
        Err(error) => return vec![json!({"error": shown(&error), "emits": []})],
    };
    for (channel, answer) in case.replies {
        runtime.on_emit(&channel, move |_channel: String, _payload: Value| {
            let said = said(&answer);
            async move { said }
        });
    }
    let mut outcomes = Vec::new();
    for step in case.steps {
        outcomes.push(take(&runtime, Arc::new(step)).await);
    }
    outcomes
}

#[tokio::main]
async fn main() {
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", Json::from(outcomes(case).await));
    }
}
