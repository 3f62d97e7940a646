//! The tasks of a run: who runs, who waits for whom, and what becomes of a value. Bookkeeping only; `run.rs` drives it.
//!
//! Children start at once, the leftmost first, each up to its first suspension; a task whose wait is over goes to the end of the queue
//! (library reference 6.2). A task that is cancelled is taken out with everything that it waits for, and no code of it runs any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use triomphe::Arc;

use super::answers::{Answers, Pending, Slot};
use crate::ir::Verified;
use crate::value::{FunctionValue, List, Progress, TaskValue, Value, builtin};
use crate::vm::{Fiber, Form, PanicKind, Resume, Trace, Work};

/// One task.
pub(super) struct Task<'e> {
    pub fiber: Fiber,
    owner: Owner,
    wait: Wait<'e>,
    /// Jobs of it that run.
    jobs: Vec<u64>,
}

/// Who gets the value of a task.
enum Owner {
    /// The run itself.
    Run,
    /// A form of another task.
    Form { parent: u64, index: usize },
    /// Whoever ordered it, for another task.
    Job { parent: u64 },
    /// Whoever asks: a spawned task, or a future that was awaited. Each waiter says whether it wants a Result.
    Handle { handle: Arc<TaskValue>, waiters: Vec<(u64, bool)> },
}

enum Wait<'e> {
    Nothing,
    Effect(#[expect(dead_code, reason = "dropping it cancels the effect")] Slot<'e>),
    Children(Group),
    /// Another task.
    For(u64),
}

/// A form that a task waits for.
struct Group {
    form: Form,
    work: Rest,
    running: BTreeSet<u64>,
    /// Values, or errors of `first_ok`, by place.
    values: Vec<Value>,
}

/// What a form has not started yet.
enum Rest {
    Functions,
    Each { function: Arc<FunctionValue>, items: Arc<List>, next: usize },
}

/// Why a form or a task cannot start.
#[derive(Debug)]
pub(super) enum Refused {
    /// The task panics.
    Panic(PanicKind, String),
    /// A function of the wrong kind.
    Broken,
}

/// The tasks of a run.
pub(super) struct Tree<'e> {
    program: Verified,
    depth: usize,
    most: usize,
    tasks: HashMap<u64, Task<'e>>,
    last: u64,
    /// Tasks that go on before any other, the next one at the end.
    pub starts: Vec<(u64, Resume)>,
    pub answers: Answers<'e>,
    /// The value of the run.
    pub result: Option<Value>,
    /// Spawned tasks that ended with an error.
    failed: Vec<Arc<TaskValue>>,
    /// Tasks that were cancelled, until somebody has asked.
    cancelled: Vec<u64>,
    /// Jobs that have ended, with their values, until somebody takes them.
    pub jobs: Vec<(u64, Value)>,
}

impl<'e> Tree<'e> {
    pub(super) fn new(program: Verified, depth: usize, most: usize) -> Self {
        Self {
            program,
            depth,
            most,
            tasks: HashMap::new(),
            last: 0,
            starts: Vec::new(),
            answers: Answers::default(),
            result: None,
            failed: Vec::new(),
            cancelled: Vec::new(),
            jobs: Vec::new(),
        }
    }

    pub(super) fn task(&mut self, id: u64) -> Option<&mut Task<'e>> {
        self.tasks.get_mut(&id)
    }

    /// Whether nothing but one task is there: it may wait for its effects directly.
    pub(super) fn is_alone(&self) -> bool {
        self.tasks.len() == 1 && self.answers.is_empty()
    }

    fn insert(&mut self, fiber: Fiber, owner: Owner) -> u64 {
        self.last += 1;
        let (wait, jobs) = (Wait::Nothing, Vec::new());
        self.tasks.insert(self.last, Task { fiber, owner, wait, jobs });
        self.starts.push((self.last, Resume::Continue));
        self.last
    }

    /// Starts a function as the run itself.
    pub(super) fn start(&mut self, function: usize, args: Vec<Value>) {
        let fiber = Fiber::new(self.program.clone(), function, args, self.depth);
        self.insert(fiber, Owner::Run);
    }

    fn start_value(
        &mut self,
        function: &FunctionValue,
        args: Vec<Value>,
        owner: Owner,
    ) -> Result<u64, Refused> {
        if function.arity != args.len() {
            return Err(Refused::Broken);
        }
        self.check_room()?;
        let fiber = Fiber::of(self.program.clone(), function, args, self.depth);
        Ok(self.insert(fiber, owner))
    }

    fn check_room(&self) -> Result<(), Refused> {
        if self.tasks.len() > self.most {
            let message = format!("more than {} tasks at a time", self.most);
            return Err(Refused::Panic(PanicKind::LimitExceeded, message));
        }
        Ok(())
    }

    /// Starts a function as a child of a task that waits for it in a way of its own.
    pub(super) fn start_job(
        &mut self,
        parent: u64,
        function: usize,
        args: Vec<Value>,
    ) -> Result<u64, Refused> {
        self.check_room()?;
        let fiber = Fiber::new(self.program.clone(), function, args, self.depth);
        let started = self.insert(fiber, Owner::Job { parent });
        if let Some(task) = self.tasks.get_mut(&parent) {
            task.jobs.push(started);
        }
        Ok(started)
    }

    /// Starts a task beside `parent`, which goes on when the task suspends.
    pub(super) fn spawn(&mut self, parent: u64, function: &FunctionValue) -> Result<(), Refused> {
        let handle = Arc::new(TaskValue::task(self.last + 1));
        let value = Value::Task(Arc::clone(&handle));
        self.starts.push((parent, Resume::Value(value)));
        let owner = Owner::Handle { handle, waiters: Vec::new() };
        self.start_value(function, Vec::new(), owner).map(|_| ())
    }

    /// Lets a task wait for an effect.
    pub(super) fn wait(&mut self, id: u64, effect: Pending<'e>) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.wait = Wait::Effect(self.answers.push(id, effect));
        }
    }

    /// A task goes on when those before it have had their turn.
    pub(super) fn resume(&mut self, id: u64, resume: Resume) {
        self.wait(id, Box::pin(std::future::ready(Ok(resume.into()))));
    }

    /// The effect of a task has been answered; false if the task was cancelled meanwhile.
    pub(super) fn answered(&mut self, id: u64) -> bool {
        self.tasks.get_mut(&id).is_some_and(|task| {
            task.wait = Wait::Nothing;
            true
        })
    }

    /// Starts the children of a form; gives its value if there is nothing to wait for.
    pub(super) fn join(
        &mut self,
        parent: u64,
        form: Form,
        work: Work,
    ) -> Result<Option<Value>, Refused> {
        let (count, most) = match &work {
            Work::Functions(functions) => (functions.len(), functions.len()),
            Work::Each { items, most, .. } => (items.len(), *most),
        };
        if count == 0 {
            return match form {
                Form::All => Ok(Some(Value::ok(Value::array(Vec::new())))),
                Form::FirstOk => Ok(Some(Value::ok(Value::err(Value::array(Vec::new()))))),
                Form::Race => {
                    let message = "a race of nothing has no winner".to_owned();
                    Err(Refused::Panic(PanicKind::InvalidArgument, message))
                }
            };
        }
        let first = self.starts.len();
        let mut running = BTreeSet::new();
        let rest = match work {
            Work::Functions(functions) => {
                for (index, function) in functions.into_iter().enumerate() {
                    let Value::Function(function) = function else { return Err(Refused::Broken) };
                    let owner = Owner::Form { parent, index };
                    running.insert(self.start_value(&function, Vec::new(), owner)?);
                }
                Rest::Functions
            }
            Work::Each { function, items, .. } => {
                let next = most.min(count);
                for (index, item) in items.iter().take(next).enumerate() {
                    let owner = Owner::Form { parent, index };
                    running.insert(self.start_value(&function, vec![item.clone()], owner)?);
                }
                Rest::Each { function, items, next }
            }
        };
        // The leftmost goes first.
        if let Some(started) = self.starts.get_mut(first..) {
            started.reverse();
        }
        if let Some(task) = self.tasks.get_mut(&parent) {
            let values = vec![Value::Nil; count];
            task.wait = Wait::Children(Group { form, work: rest, running, values });
        }
        Ok(None)
    }

    /// Lets a task wait for a future or a task; gives the answer if it is there.
    pub(super) fn wait_for(
        &mut self,
        id: u64,
        awaited: &Arc<TaskValue>,
        as_result: bool,
    ) -> Result<Option<Resume>, Refused> {
        awaited.observe();
        enum Now {
            Cold(Arc<FunctionValue>),
            Running(u64),
            Ended(Option<Value>),
        }
        let now = awaited.progress(|progress| match progress {
            Progress::Cold(function) => Now::Cold(Arc::clone(function)),
            Progress::Running(task) => Now::Running(*task),
            Progress::Done(value) => Now::Ended(Some(value.clone())),
            Progress::Cancelled => Now::Ended(None),
        });
        let other = match now {
            Now::Ended(value) => return Ok(Some(outcome(value, as_result))),
            Now::Running(task) => {
                if let Some(Task { owner: Owner::Handle { waiters, .. }, .. }) =
                    self.tasks.get_mut(&task)
                {
                    waiters.push((id, as_result));
                }
                task
            }
            Now::Cold(function) => {
                let waiters = vec![(id, as_result)];
                let owner = Owner::Handle { handle: Arc::clone(awaited), waiters };
                let task = self.start_value(&function, Vec::new(), owner)?;
                awaited.progress(|progress| *progress = Progress::Running(task));
                task
            }
        };
        if let Some(task) = self.tasks.get_mut(&id) {
            task.wait = Wait::For(other);
        }
        Ok(None)
    }

    /// A task has ended with a value.
    pub(super) fn ended(&mut self, id: u64, value: Value) -> Result<(), (u64, Refused)> {
        let Some(task) = self.tasks.remove(&id) else { return Ok(()) };
        match task.owner {
            Owner::Run => self.result = Some(value),
            Owner::Job { parent } => {
                if let Some(task) = self.tasks.get_mut(&parent) {
                    task.jobs.retain(|job| *job != id);
                }
                self.jobs.push((id, value));
            }
            Owner::Form { parent, index } => {
                return self.deliver(parent, id, index, value).map_err(|refused| (parent, refused));
            }
            Owner::Handle { handle, waiters } => {
                if matches!(value, Value::Err(_)) && !handle.is_future() && !handle.is_observed() {
                    self.failed.push(Arc::clone(&handle));
                }
                for (waiter, as_result) in waiters {
                    self.resume(waiter, outcome(Some(value.clone()), as_result));
                }
                handle.progress(|progress| *progress = Progress::Done(value));
            }
        }
        Ok(())
    }

    /// Gives a form the value of one of its children.
    fn deliver(
        &mut self,
        parent: u64,
        child: u64,
        index: usize,
        value: Value,
    ) -> Result<(), Refused> {
        let Some(Task { wait: Wait::Children(group), .. }) = self.tasks.get_mut(&parent) else {
            return Ok(());
        };
        group.running.remove(&child);
        if let Some(answer) = group.take(index, value)? {
            self.settle(parent, answer);
            return Ok(());
        }
        if let Rest::Each { function, items, next } = &mut group.work
            && let Some(item) = items.get(*next)
        {
            let (function, args) = (Arc::clone(function), vec![item.clone()]);
            let owner = Owner::Form { parent, index: *next };
            *next += 1;
            let started = self.start_value(&function, args, owner)?;
            self.after_siblings(parent);
            if let Some(Task { wait: Wait::Children(group), .. }) = self.tasks.get_mut(&parent) {
                group.running.insert(started);
            }
        } else if group.running.is_empty() {
            let answer = group.whole();
            self.settle(parent, answer);
        }
        Ok(())
    }

    /// The task that was started last waits for siblings on its left that have not begun.
    fn after_siblings(&mut self, form: u64) {
        let Some(start) = self.starts.pop() else { return };
        let is_sibling = |(id, _): &&(u64, Resume)| match self.tasks.get(id).map(|t| &t.owner) {
            Some(Owner::Form { parent, .. }) => *parent == form,
            _ => false,
        };
        let before = self.starts.iter().rev().take_while(is_sibling).count();
        self.starts.insert(self.starts.len() - before, start);
    }

    /// Ends a form: children that still run are cancelled.
    fn settle(&mut self, parent: u64, answer: Value) {
        let Some(task) = self.tasks.get_mut(&parent) else { return };
        if let Wait::Children(group) = std::mem::replace(&mut task.wait, Wait::Nothing) {
            for child in group.running {
                self.cancel(child);
            }
        }
        self.resume(parent, Resume::Value(answer));
    }

    /// Takes a task out, with its children, and with the futures that nobody else waits for.
    pub(super) fn cancel(&mut self, id: u64) {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let Some(task) = self.tasks.remove(&id) else { continue };
            self.cancelled.push(id);
            pending.extend(task.jobs);
            match task.wait {
                Wait::Children(group) => pending.extend(group.running.into_iter().rev()),
                Wait::For(other) => {
                    if let Some(Task { owner: Owner::Handle { handle, waiters }, .. }) =
                        self.tasks.get_mut(&other)
                    {
                        waiters.retain(|(waiter, _)| *waiter != id);
                        if waiters.is_empty() && handle.is_future() {
                            pending.push(other);
                        }
                    }
                }
                Wait::Nothing | Wait::Effect(_) => {}
            }
            if let Owner::Handle { handle, waiters } = task.owner {
                handle.progress(|progress| *progress = Progress::Cancelled);
                for (waiter, as_result) in waiters {
                    self.resume(waiter, outcome(None, as_result));
                }
            }
        }
    }

    /// The tasks that were cancelled since this was asked last.
    pub(super) fn cancelled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.cancelled)
    }

    /// A task and those that wait for it, from the inside out.
    pub(super) fn around(&self, mut id: u64) -> Vec<u64> {
        let mut found = vec![id];
        loop {
            id = match self.tasks.get(&id).map(|task| &task.owner) {
                Some(Owner::Form { parent, .. } | Owner::Job { parent }) => *parent,
                Some(Owner::Handle { handle, waiters }) if handle.is_future() => {
                    match waiters.first() {
                        Some((waiter, _)) => *waiter,
                        None => return found,
                    }
                }
                _ => return found,
            };
            found.push(id);
        }
    }

    /// The task behind a handle, if it still runs.
    pub(super) fn running(handle: &TaskValue) -> Option<u64> {
        handle.progress(|progress| match progress {
            Progress::Running(task) => Some(*task),
            _ => None,
        })
    }

    /// Whether a task would go with another one if that is cancelled.
    pub(super) fn belongs_to(&self, mut id: u64, other: u64) -> bool {
        loop {
            if id == other {
                return true;
            }
            match self.tasks.get(&id).map(|task| &task.owner) {
                Some(Owner::Form { parent, .. } | Owner::Job { parent }) => id = *parent,
                Some(Owner::Handle { handle, waiters }) if handle.is_future() => {
                    match waiters[..] {
                        [(only, _)] => id = only,
                        _ => return false,
                    }
                }
                _ => return false,
            }
        }
    }

    /// Active calls of a task that failed at `trace`, and of those that wait for it.
    pub(super) fn trace(&self, id: u64, mut trace: Trace) -> Trace {
        const LONGEST: usize = 64;
        for around in self.around(id).into_iter().skip(1) {
            if trace.len() < LONGEST
                && let Some(task) = self.tasks.get(&around)
            {
                trace.extend(task.fiber.waiting_at());
            }
        }
        trace.truncate(LONGEST);
        trace
    }

    /// Where a task waits.
    pub(super) fn waiting_at(&self, id: u64) -> Trace {
        let own = self.tasks.get(&id).map_or_else(Trace::new, |task| task.fiber.waiting_at());
        self.trace(id, own)
    }

    /// Numbers of the spawned tasks that still run, in order.
    pub(super) fn unfinished(&self) -> Vec<u64> {
        let spawned = |task: &Task<'_>| match &task.owner {
            Owner::Handle { handle, .. } if !handle.is_future() => Some(handle.id),
            _ => None,
        };
        self.tasks.values().filter_map(spawned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Number and error of each spawned task that failed unseen.
    pub(super) fn failed(&self) -> Vec<(u64, Value)> {
        let unseen = self.failed.iter().filter(|handle| !handle.is_observed());
        let errors: BTreeMap<u64, Value> = unseen
            .filter_map(|handle| {
                handle.progress(|progress| match progress {
                    Progress::Done(Value::Err(error)) => Some((handle.id, (***error).clone())),
                    _ => None,
                })
            })
            .collect();
        errors.into_iter().collect()
    }
}

/// What somebody gets who waited for a task; without a value it was cancelled.
fn outcome(value: Option<Value>, as_result: bool) -> Resume {
    match (value, as_result) {
        (Some(value), false) => Resume::Value(value),
        (Some(value), true) => Resume::Value(Value::ok(value)),
        (None, true) => Resume::Value(Value::err(builtin::task_error(CANCELLED, "cancelled"))),
        (None, false) => Resume::Panic(PanicKind::TaskCancelled, CANCELLED.to_owned()),
    }
}

const CANCELLED: &str = "the task was cancelled";

impl Group {
    /// Takes the value of a child; gives the value of the form if it is decided.
    fn take(&mut self, index: usize, value: Value) -> Result<Option<Value>, Refused> {
        let Value::Ok(inner) = &value else {
            // An error leaves the form.
            return if matches!(value, Value::Err(_)) {
                Ok(Some(value))
            } else {
                Err(Refused::Broken)
            };
        };
        let kept = match (self.form, &***inner) {
            (Form::Race, _) | (Form::FirstOk, Value::Ok(_)) => return Ok(Some(value)),
            (Form::All, inner) => inner.clone(),
            (Form::FirstOk, Value::Err(error)) => (***error).clone(),
            (Form::FirstOk, _) => return Err(Refused::Broken),
        };
        if let Some(slot) = self.values.get_mut(index) {
            *slot = kept;
        }
        Ok(None)
    }

    /// The value of a form whose children have all ended.
    fn whole(&mut self) -> Value {
        let values = std::mem::take(&mut self.values);
        let is_tuple = matches!(self.work, Rest::Functions);
        Value::ok(match self.form {
            Form::FirstOk => Value::err(Value::array(values)),
            _ if is_tuple => Value::tuple(values),
            _ => Value::array(values),
        })
    }
}
