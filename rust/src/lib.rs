//! Concerto: the runtime of a small, typed language for LLM programs.
pub mod chat;
pub mod clock;
pub mod config;
pub mod error;
pub mod ir;
pub mod llm;
pub mod metrics;
pub mod providers;
pub mod schema;
pub mod secret;
pub mod value;
pub mod vm;
pub mod wire;
pub use config::ConnectionConfig;
