//! The connection layer against recorded traffic and against a real server on loopback.

mod calls;
mod compression;
mod failures;
#[cfg(feature = "interleave")]
mod interleavings;
mod limiter;
mod limits;
mod pools;
mod protocols;
mod retries;
mod server;
mod streams;
#[cfg(feature = "rustls")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use super::{Call, CallOptions, Client, TransportOptions};
use crate::chat::{Message, Sampling, Tools};
use crate::config::{ConnectionSettings, Layer, ProviderKind, merge};
use crate::metrics::{Origin, Recorder};

/// Looks like a key and must never be seen.
const KEY: &str = "sk-canary-0123456789";

fn layer(json: &str) -> Layer {
    Layer::from_json("cloud", &serde_json::from_str(json).unwrap()).unwrap()
}

/// Settings of a connection `cloud` at this URL, with more fields as a JSON object.
fn settings(kind: ProviderKind, url: &str, more: &str) -> ConnectionSettings {
    let base = Layer { base_url: Some(url.to_owned()), ..layer(more) };
    merge("cloud", kind, &[("program", &base)]).unwrap()
}

fn call_with(settings: ConnectionSettings) -> Call {
    Call {
        origin: Origin { connection: "cloud".to_owned(), model: "Fast".to_owned() },
        timeout: settings.timeout,
        settings: Arc::new(settings),
        model_id: "gpt-4o-mini".to_owned(),
        messages: vec![user("Hello")],
        sampling: Sampling::default(),
        output: None,
        tools: Tools::default(),
        deadline: None,
        retry: None,
    }
}

/// A call of kind openai with a key, at this URL.
fn call(url: &str) -> Call {
    call_with(settings(ProviderKind::OpenAi, url, &format!(r#"{{"api_key": "{KEY}"}}"#)))
}

fn user(text: &str) -> Message {
    Message::user(text)
}

fn client() -> Client {
    Client::new(TransportOptions::default(), CallOptions::default())
}

fn recorder() -> Arc<Recorder> {
    Arc::new(Recorder::new(vec!["cloud".to_owned()], vec!["Fast".to_owned(), "Slow".to_owned()]))
}

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
