//! Executes one fiber of a verified program.
//!
//! Synchronous and deterministic; owns no resource. [`Fiber::run`] goes on until the program ends or needs the world, and says which
//! [`Effect`] it wants; the engine answers with [`Resume`]. Dropping a fiber cancels it.

mod effect;
mod execute;
mod machine;
pub mod natives;
mod operate;
pub mod request;
mod tasks;

pub use effect::{
    Answer, Effect, Form, Panic, PanicKind, Resume, Step, StreamRequest, TestRequest, Trace, Work,
};
pub use machine::Fiber;
pub use request::Request;
