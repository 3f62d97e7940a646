//! Methods of tools as tasks of a run: each tool has one instance, and of the methods that change it one runs at a time (TL-7).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    Caller, Ended, Job, Order, Outcome, Place, Waiter, What, declared, refusal, tool_error,
};
use crate::engine::audit;
use crate::engine::emits::Outlet;
use crate::engine::run::Run;
use crate::error::RunError;
use crate::ir::Verified;
use crate::ir::program::{ToolMethod, Type};
use crate::value::Value;
use crate::vm::Resume;

/// The jobs of a run. A program without tools has none.
#[derive(Debug)]
pub(in crate::engine) struct Jobs {
    program: Verified,
    sender: UnboundedSender<Order>,
    orders: UnboundedReceiver<Order>,
    numbers: Arc<AtomicU64>,
    tools: Vec<Instance>,
    /// By task.
    running: HashMap<u64, Job>,
}

/// A tool as the run has it.
#[derive(Debug, Default)]
struct Instance {
    state: Value,
    /// The task that changes it.
    holder: Option<u64>,
    /// Jobs that want to change it, too.
    waiting: VecDeque<Job>,
}

impl Jobs {
    pub(in crate::engine) fn new(program: Verified) -> Option<Self> {
        let count = program.tools().len();
        (count > 0).then(|| {
            let (sender, orders) = unbounded_channel();
            let tools = std::iter::repeat_with(Instance::default).take(count).collect();
            let (numbers, running) = (Arc::default(), HashMap::new());
            Self { program, sender, orders, numbers, tools, running }
        })
    }

    /// Gives a tool the state that it begins with.
    pub(in crate::engine) fn set_state(&mut self, tool: usize, state: Value) {
        if let Some(instance) = self.tools.get_mut(tool) {
            instance.state = state;
        }
    }

    /// For effects of a task.
    pub(in crate::engine) fn caller(&self, task: u64) -> Caller {
        let (orders, numbers) = (self.sender.clone(), Arc::clone(&self.numbers));
        Caller { task, orders, numbers }
    }

    /// An order that is there.
    pub(in crate::engine) fn order(&mut self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// The next order.
    pub(in crate::engine) async fn next_order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    fn state(&self, tool: u32) -> Value {
        self.tools.get(tool as usize).map(|instance| instance.state.clone()).unwrap_or_default()
    }

    fn instance(&mut self, tool: u32) -> Option<&mut Instance> {
        self.tools.get_mut(tool as usize)
    }

    /// Takes a job out that does not run yet.
    fn take_waiting(&mut self, is_it: impl Fn(&Job) -> bool) {
        for instance in &mut self.tools {
            instance.waiting.retain(|job| !is_it(job));
        }
    }
}

fn audited(program: &Verified, place: Place) -> Option<(&'static str, Value)> {
    let (tool, method) = declared(program, place)?;
    let Type::Struct(arguments) = program.types().get(method.arguments as usize)? else {
        return None;
    };
    Some(audit::tool_call(tool, &method.name, &arguments.fields))
}

/// The tool that a job changes, and the method.
fn changed(program: &Verified, what: What) -> Option<(u32, &ToolMethod)> {
    let What::Method(place) = what else { return None };
    let (_, method) = declared(program, place)?;
    method.changes.then_some((place.0, method))
}

/// The instance that a method leaves behind, and its value.
fn split(program: &Verified, method: &ToolMethod, value: Value) -> (Value, Value) {
    let has_value = method.fails || program.types().get(method.result as usize) != Some(&Type::Nil);
    match value {
        Value::Tuple(parts) if has_value => {
            let part = |at| parts.get(at).cloned().unwrap_or_default();
            (part(0), part(1))
        }
        state => (state, Value::Nil),
    }
}

impl<O: Outlet> Run<'_, O> {
    /// A call from the program (TL-10).
    pub(in crate::engine) async fn call_tool(
        &mut self,
        id: u64,
        place: Place,
        args: Vec<Value>,
    ) -> Result<Option<Resume>, RunError> {
        if let Some(refused) = self.engine.refuses(place) {
            return Ok(Some(Resume::Value(Value::err(refused))));
        }
        let (what, waiter) = (What::Method(place), Waiter::Task);
        let job = Job { number: u64::MAX, parent: id, what, args, settled: 0, waiter };
        self.before(id, what).await?;
        self.start_job(job)?;
        Ok(None)
    }

    /// Does what an effect wants.
    pub(in crate::engine) async fn obey(&mut self, order: Order) -> Result<(), RunError> {
        match order {
            Order::Run(job) => {
                self.before(job.parent, job.what).await?;
                self.start_job(job)
            }
            Order::GiveUp(number) => {
                let Some(jobs) = &mut self.jobs else { return Ok(()) };
                jobs.take_waiting(|job| job.number == number);
                let running = jobs.running.iter().find(|(_, job)| job.number == number);
                if let Some(task) = running.map(|(task, _)| *task) {
                    self.tree.cancel(task);
                    self.tell_cancelled().await?;
                }
                Ok(())
            }
        }
    }

    /// Tells of the call of a method where a host asks for it. What waits to be handed over comes before what the host is asked.
    async fn before(&mut self, caller: u64, what: What) -> Result<(), RunError> {
        let What::Method(place) = what else { return Ok(()) };
        let engine = self.engine;
        if engine.shared.audit
            && let Some((channel, told)) = audited(&engine.shared.program, place)
        {
            engine.send(caller, channel.to_owned(), told, self.outlet).await?;
        }
        if engine.is_hosted(place) { engine.flush(self.outlet).await } else { Ok(()) }
    }

    /// Starts a job, or lets it wait for the others that change the same tool.
    fn start_job(&mut self, mut job: Job) -> Result<(), RunError> {
        if let Some(first) = self.default_of(&mut job) {
            let (waiter, parent, number) = (Waiter::Task, job.parent, job.number);
            let (position, what, args) = first;
            let mut computing = Job { number, parent, what, args, settled: 0, waiter };
            computing.waiter = Waiter::Argument(Box::new(job), position);
            return self.launch(computing);
        }
        if let What::Method(place) = job.what
            && self.engine.is_hosted(place)
        {
            return self.ask_stand_in(job, place);
        }
        let Some(jobs) = &mut self.jobs else { return Ok(()) };
        let tool = changed(&jobs.program, job.what).map(|(tool, _)| tool);
        let instance = tool.and_then(|tool| jobs.instance(tool));
        let Some(holder) = instance.and_then(|instance| instance.holder) else {
            return self.launch(job);
        };
        if self.waits_for_itself(holder, job.parent) {
            let What::Method(place) = job.what else { return Ok(()) };
            let program = &self.engine.shared.program;
            let (tool, method) = declared(program, place).map_or(("", ""), |(t, m)| (t, &m.name));
            let message = format!(
                "`{tool}.{method}` would wait for itself: a method that changes `{tool}` is still running, and it waits for this call"
            );
            let refused = refusal(program, place, "execution_failed", &message);
            self.deliver(job.parent, job.waiter, Err(refused))?;
        } else if let Some(instance) = self.jobs.as_mut().and_then(|jobs| jobs.instance(tool?)) {
            instance.waiting.push_back(job);
        }
        Ok(())
    }

    /// The next default that a method needs and that is to be computed: for which argument, by which function, and with what.
    fn default_of(&mut self, job: &mut Job) -> Option<(usize, What, Vec<Value>)> {
        let What::Method(place) = job.what else { return None };
        let jobs = self.jobs.as_mut()?;
        let program = jobs.program.clone();
        let (_, method) = declared(&program, place)?;
        while let Some((position, function)) = method.computed.get(job.settled) {
            let position = *position as usize;
            job.settled += 1;
            match job.args.get_mut(position)? {
                Value::Some(given) => {
                    let value = (***given).clone();
                    job.args.splice(position..=position, [value]);
                }
                _ => {
                    let before = job.args.iter().take(position).cloned();
                    let state = method.takes_self.then(|| jobs.state(place.0));
                    let args = state.into_iter().chain(before).collect();
                    return Some((position, What::Function(*function), args));
                }
            }
        }
        None
    }

    /// Whether the end of a task depends on another one.
    fn waits_for_itself(&self, holder: u64, waiting: u64) -> bool {
        let Some(jobs) = &self.jobs else { return false };
        let around = self.tree.around(waiting);
        let (mut open, mut seen) = (vec![holder], vec![holder]);
        while let Some(task) = open.pop() {
            if around.contains(&task) {
                return true;
            }
            for instance in &jobs.tools {
                let Some(next) = instance.holder.filter(|next| !seen.contains(next)) else {
                    continue;
                };
                let is_inside = |job: &Job| self.tree.around(job.parent).contains(&task);
                if instance.waiting.iter().any(is_inside) {
                    seen.push(next);
                    open.push(next);
                }
            }
        }
        false
    }

    fn launch(&mut self, mut job: Job) -> Result<(), RunError> {
        let Some(jobs) = &mut self.jobs else { return Ok(()) };
        let mut args = std::mem::take(&mut job.args);
        let (function, changed) = match job.what {
            What::Function(function) => (function, None),
            What::Method(place) => {
                let Some((_, method)) = declared(&jobs.program, place) else { return Ok(()) };
                let Some(function) = method.function else { return Ok(()) };
                if method.takes_self {
                    args.insert(0, jobs.state(place.0));
                }
                (function, method.changes.then_some(place.0))
            }
        };
        let parent = job.parent;
        let started = self.tree.start_job(parent, function as usize, args);
        let task = started.map_err(|why| self.refused(parent, why))?;
        if let Some(jobs) = &mut self.jobs {
            if let Some(instance) = changed.and_then(|tool| jobs.instance(tool)) {
                instance.holder = Some(task);
            }
            jobs.running.insert(task, job);
        }
        Ok(())
    }

    /// Hands on the values of the jobs that have ended.
    pub(in crate::engine) fn jobs_ended(&mut self) -> Result<(), RunError> {
        for (task, value) in std::mem::take(&mut self.tree.jobs) {
            self.end_job(task, Some(Ok(value)))?;
        }
        Ok(())
    }

    /// Forgets jobs whose tasks were cancelled, and those that wait for tasks which were.
    pub(in crate::engine) fn jobs_cancelled(&mut self, cancelled: &[u64]) -> Result<(), RunError> {
        let Some(jobs) = &mut self.jobs else { return Ok(()) };
        jobs.take_waiting(|job| cancelled.contains(&job.parent));
        cancelled.iter().try_for_each(|task| self.end_job(*task, None))
    }

    /// An error has left a task. Whether that belongs to a call of a model: then only the job ends, and the model hears of it (LO-7).
    pub(in crate::engine) fn job_raised(
        &mut self,
        task: u64,
        error: &Value,
    ) -> Result<bool, RunError> {
        let Some(jobs) = &self.jobs else { return Ok(false) };
        let is_asked = |task: &u64| {
            let job = jobs.running.get(task);
            job.is_some_and(|job| job.waiter.takes_errors())
        };
        let Some(task) = self.tree.around(task).into_iter().find(is_asked) else {
            return Ok(false);
        };
        self.tree.cancel(task);
        self.end_job(task, Some(Err(error.clone())))?;
        Ok(true)
    }

    /// The end of a job, with its value or error, or with nothing if it was cancelled.
    fn end_job(&mut self, task: u64, ended: Option<Ended>) -> Result<(), RunError> {
        let Some(jobs) = &mut self.jobs else { return Ok(()) };
        let Some(job) = jobs.running.remove(&task) else { return Ok(()) };
        let program = jobs.program.clone();
        let mut ended = ended;
        let mut next = None;
        if let Some((tool, method)) = changed(&program, job.what) {
            let left = match ended {
                Some(Ok(value)) => {
                    let (state, value) = split(&program, method, value);
                    ended = Some(Ok(value));
                    Some(state)
                }
                // What an error or the end of the call cut off has changed nothing.
                _ => None,
            };
            if let Some(instance) = jobs.instance(tool) {
                instance.state = left.unwrap_or_else(|| std::mem::take(&mut instance.state));
                instance.holder = None;
                next = instance.waiting.pop_front();
            }
        }
        if let Some(ended) = ended {
            let ended = match job.what {
                What::Method(place) => named(&program, place, ended),
                What::Function(_) => ended,
            };
            self.deliver(job.parent, job.waiter, ended)?;
        }
        next.map_or(Ok(()), |job| self.launch(job))
    }

    fn deliver(&mut self, parent: u64, waiter: Waiter, ended: Ended) -> Result<(), RunError> {
        match waiter {
            Waiter::Argument(mut job, position) => match ended {
                Ok(value) => {
                    job.args.splice(position..=position, [value]);
                    return self.start_job(*job);
                }
                Err(error) => return self.deliver(parent, job.waiter, Err(error)),
            },
            Waiter::Task => {
                let answer = match ended {
                    Ok(value) => Value::ok(value),
                    Err(refused) => Value::err(refused),
                };
                self.tree.resume(parent, Resume::Value(answer));
            }
            // Who gave up is told nothing.
            Waiter::Effect(reply) => {
                let _ = reply.send(Outcome::Ended(ended));
            }
        }
        Ok(())
    }
}

/// A `ToolError` that a method returns says from now on whose it is.
fn named(program: &Verified, place: Place, ended: Ended) -> Ended {
    match ended {
        Ok(Value::Err(error)) if matches!(&**error, Value::Struct(own) if own.ty.name == "ToolError") => {
            Ok(Value::err(tool_error(program, place, &error)))
        }
        ended => ended,
    }
}
