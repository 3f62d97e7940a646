//! What the effects of a run ask of the run itself: functions of the program as children of the task that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::Place;
use crate::engine::requests::Reply;
use crate::value::{Value, builtin};

/// The value of a function, or the error that left it.
pub(in crate::engine) type Ended = Result<Value, Value>;

/// What becomes of a job that an effect waits for.
pub(in crate::engine) enum Outcome {
    /// It has ended.
    Ended(Ended),
    /// The host does it; `None` if nobody answers.
    Host(Option<Reply>),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ended(_) => "Ended",
            Self::Host(_) => "Host",
        })
    }
}

/// A function that runs as a child of a task.
#[derive(Debug)]
pub(in crate::engine) struct Job {
    pub number: u64,
    /// The task that waits, itself or with an effect.
    pub parent: u64,
    pub what: What,
    pub args: Vec<Value>,
    /// How many of the arguments that may be computed are there.
    pub settled: usize,
    pub waiter: Waiter,
}

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum What {
    /// A method of a tool, on the instance of the run.
    Method(Place),
    /// A function of the program.
    Function(u32),
}

/// Who gets the value.
#[derive(Debug)]
pub(in crate::engine) enum Waiter {
    /// The task itself, as the answer to its effect. An error that leaves the function ends the run.
    Task,
    /// An effect of the task, also for an error.
    Effect(oneshot::Sender<Outcome>),
    /// Another job, of which the value is the argument at this position.
    Argument(Box<Job>, usize),
}

impl Waiter {
    /// Whether an error that leaves the function is told instead of ending the run.
    pub(super) fn takes_errors(&self) -> bool {
        match self {
            Self::Task => false,
            Self::Effect(_) => true,
            Self::Argument(job, _) => job.waiter.takes_errors(),
        }
    }
}

/// What an effect wants of the run.
#[derive(Debug)]
pub(in crate::engine) enum Order {
    /// Run this.
    Run(Job),
    /// Nobody waits for the job with this number any more.
    GiveUp(u64),
}

/// Orders of one task.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Caller {
    pub(super) task: u64,
    pub(super) orders: UnboundedSender<Order>,
    pub(super) numbers: Arc<AtomicU64>,
}

impl Caller {
    /// Runs a function as a child of the task; dropping the future cancels it.
    pub(super) async fn run(&self, what: What, args: Vec<Value>) -> Outcome {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (reply, ended) = oneshot::channel();
        let waiter = Waiter::Effect(reply);
        let job = Job { number, parent: self.task, what, args, settled: 0, waiter };
        let mut pending = Pending { orders: Some(&self.orders), number };
        // The run takes orders as long as it polls its effects.
        let _ = self.orders.send(Order::Run(job));
        let ended = ended.await;
        pending.orders = None;
        ended.unwrap_or_else(|_| {
            Outcome::Ended(Err(builtin::tool_error("it was cancelled", "custom", "", "")))
        })
    }
}

/// A job that runs; if this goes before, nobody waits for it.
struct Pending<'a> {
    orders: Option<&'a UnboundedSender<Order>>,
    number: u64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(orders) = self.orders {
            let _ = orders.send(Order::GiveUp(self.number)); // after the run there is nothing to give up
        }
    }
}
