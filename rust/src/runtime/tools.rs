//! Methods of tools that a host stands in for (TL-18).

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Runtime;
use super::responders::without_panic;
use crate::engine::requests::{HostRequest, Question, Refusal, Reply, RequestKind};
use crate::error::{BoxError, Error};
use crate::futures::BoxFuture;
use crate::log::Log;
use crate::value::{Key, MapValue, Value, to_json};

/// What a method of a tool was called with.
#[derive(Clone, Debug)]
pub struct ToolArgs {
    /// The tool.
    pub tool: String,
    /// Its method.
    pub method: String,
    values: Vec<(String, Value)>,
}

impl ToolArgs {
    /// An argument by the name of its parameter.
    ///
    /// # Errors
    /// There is no such parameter, or its value does not fit `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, BoxError> {
        let value = self.value(name).ok_or_else(|| {
            let (tool, method) = (&self.tool, &self.method);
            format!("`{tool}.{method}` has no parameter `{name}`")
        })?;
        let decoded = serde_json::from_value(to_json(value));
        decoded.map_err(|error| format!("the argument `{name}`: {error}").into())
    }

    /// The same as it is.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// All, in the order of the parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn new(tool: String, method: String, map: &MapValue) -> Self {
        let named = |(key, value): (&Key, &Value)| match key {
            Key::Str(name) => Some((name.to_string(), value.clone())),
            _ => None,
        };
        Self { tool, method, values: map.iter().filter_map(named).collect() }
    }
}

/// Stands in for a method of a tool. Closures `Fn(ToolArgs) -> impl Future<Output = Result<Value, BoxError>>` and async closures that own what they use
/// implement it.
pub trait ToolHandler: Send + Sync + 'static {
    /// The value of the method. An error is a `ToolError` in the program. The future is dropped if nobody waits any more.
    fn call(&self, args: ToolArgs) -> BoxFuture<'_, Result<Value, BoxError>>;
}

impl<F, R> ToolHandler for F
where
    F: Fn(ToolArgs) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, BoxError>> + Send + 'static,
{
    fn call(&self, args: ToolArgs) -> BoxFuture<'_, Result<Value, BoxError>> {
        Box::pin(self(args))
    }
}

/// Who stands in for a method.
#[derive(Clone)]
pub(super) enum StandIn {
    Handler(Arc<dyn ToolHandler>),
    /// Whoever drives the run.
    Host(u64),
}

impl StandIn {
    /// Hands a call to it, to a host by `deliver`.
    pub(super) fn ask(
        self,
        question: Question,
        log: Log,
        deliver: impl FnOnce(HostRequest) -> Result<(), BoxError>,
    ) -> Result<Reply, BoxError> {
        let handler = match self {
            Self::Handler(handler) => handler,
            Self::Host(token) => {
                let (request, reply) = HostRequest::new(token, question, log);
                deliver(request)?;
                return Ok(reply);
            }
        };
        Ok(Box::pin(async move {
            let (RequestKind::Tool { tool, method }, Value::Map(map)) =
                (question.kind, question.payload)
            else {
                return Err(Refusal::NoListener);
            };
            let args = ToolArgs::new(tool, method, &map);
            let reply = without_panic(async { handler.call(args).await }).await;
            reply.map_err(|error| Refusal::Handler(error.to_string()))
        }))
    }
}

impl Runtime {
    /// Lets `handler` stand in for a method of a tool, in place of its body if it has one. A second one replaces the first.
    ///
    /// The arguments come by the names of the parameters and are of their types; what the handler gives is checked against the type of the method.
    ///
    /// ```
    /// # fn register(runtime: &concerto::Runtime) -> Result<(), concerto::Error> {
    /// runtime.register_tool("Orders", "status", |args: concerto::ToolArgs| async move {
    ///     Ok(format!("order {} is on its way", args.get::<String>("id")?).into())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`]: the program declares no such method.
    pub fn register_tool(
        &self,
        tool: &str,
        method: &str,
        handler: impl ToolHandler,
    ) -> Result<(), Error> {
        self.stand_in(tool, method, StandIn::Handler(Arc::new(handler)))
    }

    /// The same for a host in another language, which answers itself: the calls go, with this `token`, to the [`Observer`](super::Observer) that drives
    /// the run, or to its [`Run`](super::Run).
    ///
    /// # Errors
    /// As for [`Runtime::register_tool`].
    pub fn register_tool_by_host(&self, tool: &str, method: &str, token: u64) -> Result<(), Error> {
        self.stand_in(tool, method, StandIn::Host(token))
    }

    fn stand_in(&self, tool: &str, method: &str, stand_in: StandIn) -> Result<(), Error> {
        let shared = &self.inner.shared;
        shared.tools.host(&shared.program, &format!("{tool}.{method}"))?;
        self.inner.responders.set_tool(tool, method, stand_in);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogLevel, standard_error};
    use crate::value::MapValue;

    /// It must not end the thread that drives the run.
    #[tokio::test]
    async fn a_stand_in_that_panics_fails_as_one_that_gives_an_error() {
        let panics = |_: ToolArgs| async { panic!("no {}", 1) };
        let fails = |_: ToolArgs| async { Err("no 2".into()) };
        let stand_ins: [(Arc<dyn ToolHandler>, _); 2] =
            [(Arc::new(panics), "it panicked: no 1"), (Arc::new(fails), "no 2")];
        for (handler, expected) in stand_ins {
            let kind = RequestKind::Tool { tool: "T".to_owned(), method: "m".to_owned() };
            let payload = Value::Map(triomphe::Arc::new(MapValue::default()));
            let question = Question { kind, payload, expected: "Int".to_owned() };
            let log = Log::new(LogLevel::Error, standard_error());
            let reply = StandIn::Handler(handler).ask(question, log, |_| Ok(())).unwrap().await;
            assert_eq!(reply.unwrap_err(), Refusal::Handler(expected.to_owned()));
        }
    }
}
