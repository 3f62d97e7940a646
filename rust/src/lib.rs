//! Concerto: the runtime of a small, typed language for LLM programs.
//!
//! A compiled program (`concerto build`) is loaded, verified and executed here; Python is not needed. The way of a program through this crate:
//! [`ir`] (load, verify) → `vm` ⇄ `engine` ⇄ `llm` ⇄ `providers` → the wire. Hosts use [`Program`], [`Runtime`] and [`ConnectionConfig`].
//!
//! ```
//! # fn embed(bytes: &[u8]) -> Result<(), concerto::Error> {
//! use concerto::{ConnectionConfig, Program, Runtime};
//!
//! let runtime = Runtime::builder(Program::from_bytes(bytes)?).build()?;
//! runtime.override_connection("openai", ConnectionConfig {
//!     api_key: "sk-test-key",
//!     base_url: "http://localhost:8080/mock-api",  // Point to mock server for testing
//!     ..Default::default()
//! });
//! runtime.on("result", |emit: &concerto::Emit| println!("{}", emit.payload));
//! runtime.blocking().run()?;
//! println!("{}", runtime.get_metrics().tokens_by_connection("openai"));
//! # Ok(())
//! # }
//! ```

#[cfg(any(feature = "capi", feature = "python"))]
mod bindings;
mod chat;
mod clock;
mod config;
mod engine;
mod error;
mod futures;
pub mod ir;
mod llm;
mod log;
mod metrics;
#[cfg(feature = "mock")]
pub mod mock;
pub mod mock_reply;
mod models_table;
mod providers;
mod runtime;
mod schema;
mod secret;
mod sync;
mod turns;
mod value;
mod vm;
mod wire;

pub use chat::{
    Answered, ChatRequest, ChatResponse, Message, Original, OutputSchema, Role, Sampling, ToolCall,
    ToolChoice, ToolSpec, Tools, Usage,
};
pub use clock::Clock;
pub use config::settings::ConnectionSettings;
pub use config::{ConfigError, ConnectionConfig, PriceConfig, RateLimitConfig, RetryConfig};
pub use engine::Mock;
pub use engine::emits::{Emit, EmitMode, USUAL_BUFFER};
pub use engine::outside::FileMode;
pub use engine::requests::{HostRequest, Question, Refusal, Replied, RequestKind};
pub use engine::world::Variables;
pub use error::{BoxError, Error, ErrorKind, LlmError, RunError, TraceFrame, Violation};
pub use futures::{BoxFuture, BoxStream};
pub use ir::IrError;
pub use ir::program::{Channel, Permissions};
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use llm::parts;
pub use llm::{Chunk, Provider, ProviderError};
#[cfg(feature = "python")]
pub(crate) use llm::{Played, Recording, Take};
pub use log::{LogLevel, LogRecord, LogSink};
pub use metrics::{CostEstimate, Counters, Metrics, Summary, TokenUsage, price_table_date};
pub use providers::FailureKind;
pub use runtime::{
    Args, Blocking, EmitHandler, EndOrRequest, EntryPoint, Events, HandlerErrors, IntoArgs,
    Observer, Program, RequestHandler, Run, Runtime, RuntimeBuilder, RuntimeConfig, Subscription,
    TestCase, TestFailure, TestOptions, TestReport, ToolArgs, ToolHandler,
};
#[cfg(feature = "python")]
pub(crate) use runtime::{OfOneRun, Reader};
pub use secret::Secret;
pub use value::{
    Collection, CollectionKind, EnumValue, Form, Key, StructValue, Text, Value, builtin, to_json,
};
pub use vm::natives::list as native_functions;
pub use vm::request::list as requests;
#[cfg(feature = "python")]
pub(crate) use wire::HttpRequest;
pub use wire::ServerLimit;

/// Makes a value as JSON is written: `value!({"steps": [1, 2.5, null], "by": name})`. Expressions need `Serialize`.
///
/// ```
/// use concerto::{Value, value};
///
/// let name = "Ada";
/// let plan = value!({"by": name, "steps": [1, 2.5, null]});
/// assert_eq!(plan["by"], Value::from("Ada"));
/// assert_eq!(plan["steps"][0], Value::from(1));
/// assert_eq!(plan.to_string(), r#"{"by": "Ada", "steps": [1, 2.5, nil]}"#);
/// ```
#[macro_export]
macro_rules! value {
    ($($json:tt)+) => {
        $crate::Value::from($crate::private::json!($($json)+))
    };
}

/// For the macros of this crate.
#[doc(hidden)]
pub mod private {
    pub use serde_json::json;
}

/// The blocks of that page are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/hosts/rust.md")]
struct DocsOfRustHosts;
