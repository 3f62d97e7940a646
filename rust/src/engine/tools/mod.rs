//! Tools: what a model may call, the rounds of a call in which it does, and methods as tasks of the run (rules TL and LO of the LLM reference).
//!
//! A call of a model waits as any effect does; when its model asks for tools it sends an order to the run ([`orders`]), which runs the method as a child
//! of the task that called the model ([`jobs`]), and says the result in the next round ([`rounds`]).

mod hosted;
mod jobs;
mod offered;
mod orders;
mod rounds;

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

pub(super) use jobs::Jobs;
pub(super) use orders::{Caller, Ended, Job, Order, Outcome, Waiter, What};
pub(super) use rounds::Rounds;

use crate::config::{self, ConfigError};
use crate::ir::Verified;
use crate::ir::program::ToolMethod;
use crate::value::{Value, builtin};

/// A method by the number of its tool and its own number in it.
pub type Place = (u32, u32);

/// What a host says about tools.
#[derive(Debug)]
pub struct ToolOptions {
    /// Rounds with calls that one call of a model may have.
    pub max_rounds: u32,
    /// Longer results are cut, in bytes.
    pub max_result_bytes: usize,
    /// Methods that nobody may call.
    pub disabled: RwLock<HashSet<Place>>,
    /// Methods that the host stands in for.
    pub hosted: RwLock<HashSet<Place>>,
}

impl Default for ToolOptions {
    fn default() -> Self {
        let (disabled, hosted) = (RwLock::default(), RwLock::default());
        Self { max_rounds: 10, max_result_bytes: 1 << 20, disabled, hosted }
    }
}

impl ToolOptions {
    /// Replaces what is disabled: a method wins over its tool, whatever the order.
    ///
    /// # Errors
    /// There is no such tool or method.
    pub fn permit(
        &self,
        program: &Verified,
        permissions: &[(String, bool)],
    ) -> Result<(), ConfigError> {
        let mut disabled = HashSet::new();
        let is_method = |(name, _): &&(String, bool)| name.contains('.');
        let tools = permissions.iter().filter(|each| !is_method(each));
        for (name, may) in tools.chain(permissions.iter().filter(is_method)) {
            for place in places(program, name)? {
                if *may {
                    disabled.remove(&place);
                } else {
                    disabled.insert(place);
                }
            }
        }
        *self.disabled.write().unwrap_or_else(PoisonError::into_inner) = disabled;
        Ok(())
    }

    /// From now on the host stands in for a method, `Tool.method`.
    ///
    /// # Errors
    /// There is no such method.
    pub fn host(&self, program: &Verified, name: &str) -> Result<(), ConfigError> {
        let places = places(program, name)?;
        self.hosted.write().unwrap_or_else(PoisonError::into_inner).extend(places);
        Ok(())
    }

    fn is_hosted(&self, place: Place) -> bool {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }

    fn is_disabled(&self, place: Place) -> bool {
        self.disabled.read().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }
}

/// The methods that a name means: `Tool` all of a tool, `Tool.method` one.
fn places(program: &Verified, name: &str) -> Result<Vec<Place>, ConfigError> {
    let (wanted, method) = name.split_once('.').map_or((name, None), |(t, m)| (t, Some(m)));
    let tools = (0..).zip(program.tools());
    let tool = tools.into_iter().find(|(_, tool)| tool.name == wanted);
    let methods = tool.into_iter().flat_map(|(number, tool)| {
        let methods = (0..).zip(&tool.methods);
        methods
            .filter(|(_, own)| method.is_none_or(|wanted| own.name == wanted))
            .map(move |(own, _)| (number, own))
    });
    let found: Vec<Place> = methods.collect();
    if found.is_empty() && (method.is_some() || tool.is_none()) {
        let methods = program.tools().iter().flat_map(|tool| {
            tool.methods.iter().map(|method| format!("{}.{}", tool.name, method.name))
        });
        let declared: Vec<String> =
            program.tools().iter().map(|tool| tool.name.clone()).chain(methods).collect();
        let close = config::closest(name, declared.iter().map(String::as_str));
        return Err(ConfigError::UnknownTool { name: name.to_owned(), close, declared });
    }
    Ok(found)
}

/// The declaration of a method with the name of its tool.
fn declared(program: &Verified, (tool, method): Place) -> Option<(&str, &ToolMethod)> {
    let tool = program.tools().get(tool as usize)?;
    Some((&tool.name, tool.methods.get(method as usize)?))
}

/// Why a method did not run, or ran in vain.
fn refusal(program: &Verified, place: Place, kind: &str, message: &str) -> Value {
    let (tool, method) = declared(program, place).map_or(("", ""), |(tool, m)| (tool, &m.name));
    builtin::tool_error(message, kind, tool, method)
}

/// An error of a method as a `ToolError` that says whose it is.
fn tool_error(program: &Verified, place: Place, error: &Value) -> Value {
    match error {
        Value::Struct(own) if own.ty.name == "ToolError" => {
            let text = |field| own.get(field).and_then(Value::as_str).unwrap_or_default();
            if text("tool").is_empty() {
                refusal(program, place, text("kind"), text("message"))
            } else {
                error.clone()
            }
        }
        other => refusal(program, place, "execution_failed", &other.message()),
    }
}
