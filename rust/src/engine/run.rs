//! Drives the tasks of one run: one at a time, each from one suspension to the next, so that between two of them nothing else happens in the
//! program. Effects of the others make progress meanwhile.

use super::answers::{Answer, Answered, Pending};
use super::emits::Outlet;
use super::outside::read_variable;
use super::pipelines::{Pipelines, Place, Told};
use super::tools::{Jobs, Order};
use super::tree::{Refused, Tree};
use super::{
    BUDGET, EFFECTS, Engine, FIRST_BUDGET, audit, broken, emitted, failed, frames, panicked,
    streams,
};
use crate::error::RunError;
use crate::log::LogLevel;
use crate::value::{Key, MapValue, Text, Value};
use crate::vm::{Effect, PanicKind, Request, Resume, Step};

/// What an effect comes to: an answer at once, or the task has suspended.
pub(super) type Next = Option<Resume>;

/// What a run waits for when no task can go on.
enum Woken {
    /// None if there is nothing to wait for.
    Answer(Option<(u64, Answered)>),
    Order(Order),
}

/// A run that goes on.
pub(super) struct Run<'e, O> {
    pub engine: &'e Engine<'e>,
    pub outlet: &'e mut O,
    pub(super) tree: Tree<'e>,
    pub(super) jobs: Option<Jobs>,
    /// Answers that came while a task was computing.
    arrived: std::collections::VecDeque<(u64, Answered)>,
    /// A task to be cancelled when the one that runs, which belongs to it, suspends.
    doomed: Option<u64>,
    effects: u32,
    pipelines: Pipelines,
    /// It is still in its first poll, on a thread of the host.
    is_with_host: bool,
}

impl<'e, O: Outlet> Run<'e, O> {
    pub(super) fn new(engine: &'e Engine<'e>, outlet: &'e mut O) -> Self {
        let shared = engine.shared;
        let tree = Tree::new(shared.program.clone(), shared.max_call_depth, shared.max_tasks);
        Self {
            engine,
            outlet,
            tree,
            jobs: Jobs::new(shared.program.clone()),
            arrived: std::collections::VecDeque::new(),
            doomed: None,
            effects: 0,
            pipelines: Pipelines::new(shared.clock.clone()),
            is_with_host: engine.begins_with_host,
        }
    }

    /// Makes the instances of all tools (TL-7).
    pub(super) async fn make_tools(&mut self) -> Result<(), RunError> {
        for (tool, declared) in self.engine.shared.program.tools().iter().enumerate() {
            let Some(function) = declared.state else { continue };
            let state = self.call(function as usize, Vec::new()).await?;
            self.jobs.iter_mut().for_each(|jobs| jobs.set_state(tool, state.clone()));
        }
        Ok(())
    }

    /// Calls a function and drives all tasks until it has ended. If the run fails, its pipelines end with that error.
    pub(super) async fn call(
        &mut self,
        function: usize,
        args: Vec<Value>,
    ) -> Result<Value, RunError> {
        let outcome = self.drive(function, args).await;
        if let Err(error) = &outcome
            && !matches!(error, RunError::Handler { .. })
        {
            let told = self.pipelines.cut(|_| true, &error.to_string());
            self.tell_all(0, told).await?;
        }
        outcome
    }

    async fn drive(&mut self, function: usize, args: Vec<Value>) -> Result<Value, RunError> {
        self.tree.start(function, args);
        loop {
            let (id, resume) = self.next().await?;
            self.go_on(id, resume).await?;
            self.jobs_ended()?;
            if let Some(doomed) = self.doomed.take() {
                self.tree.cancel(doomed);
            }
            self.tell_cancelled().await?;
            if let Some(value) = self.tree.result.take() {
                return Ok(value);
            }
        }
    }

    /// The task that goes on next.
    async fn next(&mut self) -> Result<(u64, Resume), RunError> {
        loop {
            if let Some((id, resume)) = self.tree.starts.pop() {
                if self.tree.task(id).is_some() {
                    return Ok((id, resume));
                }
                continue;
            }
            if let Some(order) = self.jobs.as_mut().and_then(Jobs::order) {
                self.obey(order).await?;
                continue;
            }
            let answer = match self.arrived.pop_front() {
                Some(answer) => Some(answer),
                None => match self.woken().await? {
                    Woken::Answer(answer) => answer,
                    Woken::Order(order) => {
                        self.obey(order).await?;
                        continue;
                    }
                },
            };
            let Some((id, answered)) = answer else { return Err(stuck()) };
            if self.tree.answered(id) {
                let resume = self.tell(id, answered?).await?;
                return Ok((id, resume));
            }
        }
    }

    /// What wakes the run: the answer to an effect, or an order of one.
    async fn woken(&mut self) -> Result<Woken, RunError> {
        let (jobs, answers) = (&mut self.jobs, &mut self.tree.answers);
        let next = async {
            let Some(jobs) = jobs else { return Woken::Answer(answers.next().await) };
            tokio::select! {
                biased;
                Some(order) = jobs.next_order() => Woken::Order(order),
                answer = answers.next() => Woken::Answer(answer),
            }
        };
        self.engine.meanwhile(self.outlet, next).await
    }

    /// Ends the pipelines of tasks that were cancelled.
    pub(super) async fn tell_cancelled(&mut self) -> Result<(), RunError> {
        let cancelled = self.tree.cancelled();
        if cancelled.is_empty() {
            return Ok(());
        }
        self.jobs_cancelled(&cancelled)?;
        let told = self.pipelines.cut(|task| cancelled.contains(&task), "cancelled");
        self.tell_all(0, told).await
    }

    async fn tell_all(
        &mut self,
        id: u64,
        told: impl IntoIterator<Item = Told>,
    ) -> Result<(), RunError> {
        for (channel, value) in told {
            self.engine.send(id, channel.to_owned(), value, self.outlet).await?;
        }
        Ok(())
    }

    /// Answers what the code of a pipeline asks, and tells the host.
    async fn pipeline(
        &mut self,
        id: u64,
        request: Request,
        args: &[Value],
    ) -> Result<Value, RunError> {
        let (value, told) = match (request, args) {
            (Request::PipelineStart, [Value::Str(name), Value::Int(stages), input]) => {
                let around = self.tree.around(id);
                let Some((run, told)) = self.pipelines.start(&around, name, *stages, input) else {
                    let message = format!("pipeline `{}` is nested more than 64 deep", &**name);
                    let refused = Refused::Panic(PanicKind::LimitExceeded, message);
                    return Err(self.refused(id, refused));
                };
                (run.into(), Some(told))
            }
            (Request::PipelineAttempt, [Value::Int(run)]) => {
                (self.pipelines.attempt(*run).into(), None)
            }
            (Request::PipelineError, [Value::Int(run), _, error]) => {
                (Value::Nil, self.pipelines.error(*run, &error.message()))
            }
            (Request::PipelineComplete, [Value::Int(run)]) => {
                (Value::Nil, self.pipelines.complete(*run))
            }
            (
                _,
                [
                    Value::Int(run),
                    Value::Str(stage),
                    Value::Int(index),
                    Value::Int(attempt),
                    rest @ ..,
                ],
            ) => {
                let (stage, index, attempt) = (stage.clone(), *index, *attempt);
                let place = Place { run: *run, stage, index, attempt };
                let told = match (request, rest) {
                    (Request::PipelineStageStart, []) => self.pipelines.stage_start(&place),
                    (Request::PipelineStageRetry, [Value::Some(error), Value::Int(delay_ms)]) => {
                        self.pipelines.stage_retry(&place, error, *delay_ms)
                    }
                    _ => self.pipelines.stage_complete(&place),
                };
                (Value::Nil, told)
            }
            _ => return Err(self.refused(id, Refused::Broken)),
        };
        self.tell_all(id, told).await?;
        Ok(value)
    }

    /// Sends the record of an answer to a task.
    async fn tell(&mut self, id: u64, answer: Answer) -> Result<Resume, RunError> {
        if let Some((channel, value)) = answer.record {
            self.engine.send(id, channel, value, self.outlet).await?;
        }
        self.engine.check_limits()?;
        Ok(answer.resume)
    }

    /// Runs a task up to its next suspension or its end.
    async fn go_on(&mut self, id: u64, mut resume: Resume) -> Result<(), RunError> {
        loop {
            let Some(task) = self.tree.task(id) else { return Ok(()) };
            let budget = if self.is_with_host { FIRST_BUDGET } else { BUDGET };
            resume = match task.fiber.run(resume, budget) {
                Step::Done(value) => {
                    return self.tree.ended(id, value).map_err(|(at, why)| self.refused(at, why));
                }
                Step::Failed { error, trace } => {
                    if self.job_raised(id, &error)? {
                        return self.tell_cancelled().await;
                    }
                    return Err(failed(error, &self.tree.trace(id, trace)));
                }
                Step::Panicked(mut panic) => {
                    panic.trace = self.tree.trace(id, panic.trace);
                    return Err(panicked(panic));
                }
                Step::Broken { what, trace } => return Err(broken(what, &trace)),
                Step::Yield => {
                    self.give_way().await;
                    Resume::Continue
                }
                Step::Needs(effect) => {
                    if self.is_with_host {
                        self.give_way().await;
                    }
                    match self.answer(id, effect).await? {
                        Some(resume) => resume,
                        None => return Ok(()),
                    }
                }
            };
        }
    }

    /// Lets other runs and the host have a look; the task that computes stays the one whose turn it is.
    async fn give_way(&mut self) {
        self.is_with_host = false;
        if !self.tree.answers.is_empty() {
            let arrived = self.tree.answers.arrived().await;
            self.arrived.extend(arrived);
        }
        tokio::task::yield_now().await;
    }

    pub(super) fn refused(&self, id: u64, why: Refused) -> RunError {
        let trace = self.tree.waiting_at(id);
        match why {
            Refused::Panic(kind, message) => {
                RunError::Panic { kind: kind.to_string(), message, trace: frames(&trace) }
            }
            Refused::Broken => broken("join", &trace),
        }
    }

    /// Answers an effect of a task, or lets the task wait for its answer.
    async fn answer(&mut self, id: u64, effect: Effect) -> Result<Next, RunError> {
        self.effects = self.effects.wrapping_add(1);
        if self.effects.is_multiple_of(EFFECTS) {
            self.give_way().await;
        }
        if self.engine.shared.audit
            && let Some((channel, told)) = audit::record(&effect)
        {
            self.engine.send(id, channel.to_owned(), told, self.outlet).await?;
        }
        let value = match effect {
            Effect::Emit { channel, payload } => {
                let payload = emitted(payload);
                let sent = self.engine.send(id, channel.to_string(), payload, self.outlet).await;
                sent.map_err(|error| error.at(|| frames(&self.tree.waiting_at(id))))?;
                Value::Nil
            }
            Effect::EmitAsk { channel, payload, ty } => {
                return self.ask_host(id, &channel, emitted(payload), ty).await;
            }
            Effect::Fit { value, ty } => match self.engine.fit(value, ty).await? {
                Ok(value) => value,
                Err(message) => return Ok(Some(Resume::Panic(PanicKind::TypeMismatch, message))),
            },
            Effect::Print { text, newline } => {
                let line = if newline { format!("{text}\n") } else { text.to_string() };
                self.outlet.print(&line).map_err(RunError::handler)?;
                Value::Nil
            }
            Effect::Tool { tool, method, args } => {
                return self.call_tool(id, (tool, method), args).await;
            }
            Effect::Env { name } => read_variable(self.engine.shared, &name),
            Effect::ParseSchema { schema, text } => self.engine.parse_schema(schema, &text).await?,
            Effect::Ask { model, input, answer } => {
                let engine = self.engine;
                let log = engine.log(&model);
                if let Some(log) = &log {
                    let start = log.start(&input);
                    engine.send(id, log.channel().to_owned(), start, self.outlet).await?;
                }
                let offers = engine.offers_tools(&model);
                let caller = self.jobs.as_ref().filter(|_| offers).map(|jobs| jobs.caller(id));
                let call = async move { engine.ask(&model, &input, answer, log, caller).await };
                return self.suspend(id, Box::pin(call), offers).await;
            }
            Effect::Stream { stream, request } => {
                let engine = self.engine;
                if !request.reads() && streams::is_idle(&stream) {
                    let resume = streams::answer(engine, &stream, request, None).await?;
                    let record = streams::record(&stream);
                    return self.tell(id, Answer { resume, record }).await.map(Some);
                }
                let offers = streams::offers_tools(&stream);
                let caller = self.jobs.as_ref().filter(|_| offers).map(|jobs| jobs.caller(id));
                let call = async move {
                    let resume = streams::answer(engine, &stream, request, caller).await?;
                    Ok(Answer { resume, record: streams::record(&stream) })
                };
                return self.suspend(id, Box::pin(call), offers).await;
            }
            Effect::Request { request: Request::TaskYield, .. } => {
                self.tree.resume(id, Resume::Value(Value::Nil));
                return Ok(None);
            }
            Effect::Request { request: Request::TaskIsCancelled, .. } => {
                Value::Bool(self.doomed.is_some_and(|doomed| self.tree.belongs_to(id, doomed)))
            }
            Effect::Request { request, args } if request.is_of_pipelines() => {
                self.pipeline(id, request, &args).await?
            }
            Effect::Request { request, args } => {
                let engine = self.engine;
                if request.waits() {
                    let wait = async move { Ok(engine.request(request, &args).await.into()) };
                    return self.suspend(id, Box::pin(wait), false).await;
                }
                match engine.request(request, &args).await {
                    Resume::Value(value) => value,
                    other => return Ok(Some(other)),
                }
            }
            Effect::FanOut { models } => Value::Int(self.engine.fan_out(&models)),
            Effect::Test(request) => {
                let what = "a test's instruction, outside of a test,";
                let answer = self.engine.test_request(request);
                return answer.map(Some).ok_or_else(|| broken(what, &self.tree.waiting_at(id)));
            }
            tasks => {
                let next = self.answer_tasks(id, tasks)?;
                self.tell_cancelled().await?;
                return Ok(next);
            }
        };
        Ok(Some(Resume::Value(value)))
    }

    /// Effects on other tasks.
    fn answer_tasks(&mut self, id: u64, effect: Effect) -> Result<Next, RunError> {
        let answer = match effect {
            Effect::Join { form, work } => {
                self.tree.join(id, form, work).map(|value| value.map(Resume::Value))
            }
            Effect::Spawn { function } => self.tree.spawn(id, &function).map(|()| None),
            Effect::Await { task, as_result } => self.tree.wait_for(id, &task, as_result),
            Effect::Cancel { task } => {
                if let Some(other) = Tree::running(&task) {
                    if self.tree.belongs_to(id, other) {
                        self.doomed = Some(other);
                    } else {
                        self.tree.cancel(other);
                    }
                }
                Ok(Some(Resume::Value(Value::Nil)))
            }
            _ => Err(Refused::Broken),
        };
        match answer {
            Ok(Some(Resume::Panic(kind, message))) => {
                Err(self.refused(id, Refused::Panic(kind, message)))
            }
            Ok(next) => Ok(next),
            Err(why) => Err(self.refused(id, why)),
        }
    }

    /// Lets a task wait for an effect; where no other task is there, at once, unless the effect itself `orders` some. The effect is on the heap in any
    /// case: else a run that waits would be as large as the largest of its effects, several times over.
    pub(super) async fn suspend(
        &mut self,
        id: u64,
        effect: Pending<'e>,
        orders: bool,
    ) -> Result<Next, RunError> {
        if !orders && self.tree.is_alone() && self.arrived.is_empty() && self.doomed.is_none() {
            let answer = self.engine.meanwhile(self.outlet, effect).await??;
            return self.tell(id, answer).await.map(Some);
        }
        self.tree.wait(id, effect);
        Ok(None)
    }

    /// Tells of spawned tasks that nobody waited for, and cancels those that still run (6.2).
    pub(super) async fn finish(mut self) -> Result<(), RunError> {
        for id in self.tree.unfinished() {
            let place = self.tree.waiting_at(id).pop().filter(|frame| frame.line > 0);
            self.engine.shared.client.log().write(LogLevel::Warn, || {
                let at = place.map_or(String::new(), |frame| {
                    format!(" at {}:{}:{}", frame.path, frame.line, frame.column)
                });
                format!("task {id} was cancelled{at}: it had not ended when the program did")
            });
            self.tree.cancel(id);
        }
        self.tell_cancelled().await?;
        for (id, error) in self.tree.failed() {
            let number = i64::try_from(id).unwrap_or(i64::MAX);
            let fields = [("task", Value::Int(number)), ("error", error.message().into())];
            let record: MapValue =
                fields.into_iter().map(|(name, v)| (Key::Str(Text::new(name)), v)).collect();
            let record = Value::map(record);
            self.engine.send(id, "task:error".to_owned(), record, self.outlet).await?;
        }
        Ok(())
    }
}

fn stuck() -> RunError {
    let message = "each task waits for another one: none can go on".to_owned();
    RunError::Panic { kind: PanicKind::Panic.to_string(), message, trace: Vec::new() }
}
