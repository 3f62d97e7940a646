//! What a run sends to its host while it goes on.

use crate::error::BoxError;
use crate::value::Value;

/// One value that a program sent with `emit`.
#[derive(Clone, Debug)]
pub struct Emit {
    /// The channel's name.
    pub channel: String,
    /// The value, as it was when the program emitted it.
    pub payload: Value,
    /// Seconds since the Unix epoch.
    pub time: f64,
    /// Counts from 0 within the run.
    pub sequence: u64,
}

/// Receives what a run sends. The run goes on when the future is ready, so a slow receiver slows the program.
pub trait Outlet {
    /// Takes one emit. An error ends the run.
    fn emit(&mut self, emit: Emit) -> impl Future<Output = Result<(), BoxError>>;

    /// Takes text of `print` or `println`. An error ends the run.
    fn print(&mut self, text: &str) -> Result<(), BoxError>;
}
