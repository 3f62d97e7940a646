//! A fiber: its explicit frames, how it starts and goes on, and the trace of where it is. `execute.rs` is the loop.

#![expect(clippy::indexing_slicing, reason = "the verifier checked every index")]

use super::effect::{Effect, Frame, Panic, PanicKind, Resume, Step, Trace};
use super::natives::Failure;
use crate::ir::Verified;
use crate::value::{FunctionValue, Value};

/// One execution of one function.
pub struct Fiber {
    pub(super) program: Verified,
    pub(super) stack: Vec<Value>,
    /// Of the callers, the first that are `current.depth`; the others are room.
    pub(super) callers: Vec<Caller>,
    pub(super) current: Active,
    pub(super) max_depth: usize,
    pub(super) pending: Pending,
}

#[derive(Clone, Copy)]
pub(super) struct Active {
    pub(super) function: usize,
    pub(super) base: usize,
    pub(super) pc: usize,
    /// How many functions wait for it.
    pub(super) depth: usize,
}

/// A function that waits for one that it has called. Small, as calls write and returns read one; what a document holds can be counted with 32 bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Caller {
    pub(super) function: u32,
    /// Where it goes on.
    pub(super) pc: u32,
    /// Its register where those of the called function begin.
    pub(super) window: u16,
    /// Its register that receives the result.
    pub(super) result: u16,
}

/// What happens with the answer to the last effect.
#[derive(Clone, Copy)]
pub(super) enum Pending {
    Nothing,
    Store { register: usize },
    Chunk { register: usize, end: usize, error: usize },
}

/// Why the loop stopped, before the trace is known.
pub(super) enum Stop {
    Done(Value),
    Failed(Value),
    Panic(PanicKind, String),
    Broken,
    Needs(Effect),
    Yield,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panic(kind, message) => Self::Panic(kind, message),
            Failure::Broken => Self::Broken,
        }
    }
}

impl Fiber {
    /// A fiber that will execute `function` with `args`, of which it takes as many as the function has parameters.
    #[must_use]
    pub fn new(program: Verified, function: usize, args: Vec<Value>, max_depth: usize) -> Self {
        let registers = program.function(function).map_or(0, |f| f.registers as usize);
        let mut stack = args;
        stack.resize(registers, Value::Nil);
        let current = Active { function, base: 0, pc: 0, depth: 0 };
        Self { program, stack, callers: Vec::new(), current, max_depth, pending: Pending::Nothing }
    }

    /// A fiber that will execute a function value: its arguments, then what it captured.
    #[must_use]
    pub fn of(
        program: Verified,
        function: &FunctionValue,
        mut args: Vec<Value>,
        max_depth: usize,
    ) -> Self {
        args.extend(function.captures.iter().cloned());
        Self::new(program, function.index, args, max_depth)
    }

    /// Goes on until the function ends, needs the world, or has executed about `budget` instructions.
    pub fn run(&mut self, resume: Resume, budget: u32) -> Step {
        if let Err(stop) = self.take_answer(resume) {
            return self.stopped(stop);
        }
        let stop = self.execute(budget);
        self.stopped(stop)
    }

    fn take_answer(&mut self, resume: Resume) -> Result<(), Stop> {
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        match (resume, pending) {
            (Resume::Continue, _) => {}
            (Resume::Panic(kind, message), _) => {
                self.current.pc -= 1; // the position of the effect, not of what follows
                return Err(Stop::Panic(kind, message));
            }
            (
                Resume::Value(value),
                Pending::Store { register } | Pending::Chunk { register, .. },
            ) => {
                self.stack[register] = value;
            }
            (Resume::End, Pending::Chunk { end, .. }) => self.current.pc = end,
            (Resume::Error(value), Pending::Chunk { register, error, .. }) => {
                self.stack[register] = value;
                self.current.pc = error;
            }
            (Resume::Value(_), Pending::Nothing) => {}
            (Resume::End | Resume::Error(_), _) => return Err(Stop::Broken),
        }
        Ok(())
    }

    /// A register of the current function.
    #[cfg(test)]
    pub(crate) fn register(&self, register: usize) -> Option<&Value> {
        self.stack.get(self.current.base + register)
    }

    fn stopped(&mut self, stop: Stop) -> Step {
        match stop {
            Stop::Done(value) => Step::Done(value),
            Stop::Needs(effect) => Step::Needs(effect),
            Stop::Yield => Step::Yield,
            Stop::Failed(error) => Step::Failed { error, trace: self.trace() },
            Stop::Panic(kind, message) => {
                Step::Panicked(Panic { kind, message, trace: self.trace() })
            }
            Stop::Broken => {
                Step::Broken { what: self.instruction().unwrap_or("call"), trace: self.trace() }
            }
        }
    }

    /// The name of the current instruction in the document.
    fn instruction(&self) -> Option<&'static str> {
        let place = self.program.origin(self.current.function, self.current.pc)?;
        let code = &self.program.function(self.current.function)?.code;
        Some(code.get(place)?.op.signature().0)
    }

    /// Active calls of a fiber that waits for the answer to an effect.
    #[must_use]
    pub fn waiting_at(&self) -> Trace {
        self.trace_at(self.current.pc.saturating_sub(1))
    }

    fn trace(&self) -> Trace {
        self.trace_at(self.current.pc)
    }

    fn trace_at(&self, pc: usize) -> Trace {
        // A caller's saved pc is that of the instruction after its call.
        let callers = self.callers.iter().take(self.current.depth).rev();
        let place =
            |caller: &Caller| (caller.function as usize, caller.pc.saturating_sub(1) as usize);
        let callers = callers.map(place);
        std::iter::once((self.current.function, pc))
            .chain(callers)
            .take(64)
            .filter_map(|(function, pc)| {
                let place = self.program.origin(function, pc)?;
                let position = self.program.position(function, place)?;
                Some(Frame {
                    function: self.program.function(function)?.name.clone(),
                    path: position.path,
                    line: position.line,
                    column: position.column,
                })
            })
            .collect()
    }
}
