//! Runs of pipelines that have begun and not ended, and what the host is told of them (library reference 9).
//!
//! The order of stages is code of the program; here is what must hold whatever happens to it: each run that began ends with one record.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::clock::{self, Clock};
use crate::value::{Key, MapValue, Text, Value, to_json};

/// Runs inside of runs.
const DEEPEST: usize = 64;
/// Bytes of an input that are told.
const LONGEST: usize = 4096;

/// A channel and a value for the host.
pub(super) type Told = (&'static str, Value);

#[derive(Debug)]
struct Open {
    task: u64,
    name: Text,
    parent: Option<i64>,
    depth: usize,
    began: Instant,
    stage: Text,
    stage_began: Instant,
    attempt: i64,
}

/// The runs of pipelines of one run of a program.
#[derive(Debug)]
pub(super) struct Pipelines {
    clock: Clock,
    open: BTreeMap<i64, Open>,
    last: i64,
}

/// Which attempt of which stage.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub run: i64,
    pub stage: Text,
    pub index: i64,
    pub attempt: i64,
}

impl Pipelines {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, open: BTreeMap::new(), last: 0 }
    }

    fn since(&self, then: Instant) -> Value {
        i64::try_from(clock::millis(self.clock.since(then))).unwrap_or(i64::MAX).into()
    }

    /// A run begins in a task; `around` are the tasks that wait for it, itself included. Gives its number, or `None` if it is nested too deep.
    pub(super) fn start(
        &mut self,
        around: &[u64],
        name: &Text,
        stages: i64,
        input: &Value,
    ) -> Option<(i64, Told)> {
        let inside = self.open.iter().rev().find(|(_, open)| around.contains(&open.task));
        let (parent, depth) = inside.map_or((None, 1), |(run, open)| (Some(*run), open.depth + 1));
        if depth > DEEPEST {
            return None;
        }
        self.last += 1;
        let (run, now) = (self.last, self.clock.now());
        let open = Open {
            task: around.first().copied().unwrap_or_default(),
            name: name.clone(),
            parent,
            depth,
            began: now,
            stage: Text::new(""),
            stage_began: now,
            attempt: 0,
        };
        let more = [("stages", stages.into()), ("input", shortened(input))];
        let told = ("pipeline:start", open.record(run, more));
        self.open.insert(run, open);
        Some((run, told))
    }

    /// An attempt of a stage begins.
    pub(super) fn stage_start(&mut self, place: &Place) -> Option<Told> {
        let now = self.clock.now();
        let open = self.open.get_mut(&place.run)?;
        open.stage = place.stage.clone();
        open.attempt = place.attempt;
        if place.attempt == 1 {
            open.stage_began = now;
        }
        Some(("pipeline:stage_start", open.record(place.run, place.fields())))
    }

    /// A stage is tried again after a delay.
    pub(super) fn stage_retry(&self, place: &Place, error: &Value, delay_ms: i64) -> Option<Told> {
        let more = [("error", error.message().into()), ("delay_ms", delay_ms.into())];
        let open = self.open.get(&place.run)?;
        Some((
            "pipeline:stage_retry",
            open.record(place.run, place.fields().into_iter().chain(more)),
        ))
    }

    /// A stage has given its value.
    pub(super) fn stage_complete(&self, place: &Place) -> Option<Told> {
        let open = self.open.get(&place.run)?;
        let more = [("duration_ms", self.since(open.stage_began))];
        let fields = place.fields().into_iter().chain(more);
        Some(("pipeline:stage_complete", open.record(place.run, fields)))
    }

    /// The attempt that a run is at.
    pub(super) fn attempt(&self, run: i64) -> i64 {
        self.open.get(&run).map_or(1, |open| open.attempt)
    }

    /// A run has ended with its value.
    pub(super) fn complete(&mut self, run: i64) -> Option<Told> {
        let open = self.open.remove(&run)?;
        Some(("pipeline:complete", open.record(run, [("duration_ms", self.since(open.began))])))
    }

    /// A run has ended with an error; without a stage it is the one that it is at.
    pub(super) fn error(&mut self, run: i64, error: &str) -> Option<Told> {
        let open = self.open.remove(&run)?;
        let stage = Value::Str(open.stage.clone());
        let more =
            [("stage", stage), ("error", error.into()), ("duration_ms", self.since(open.began))];
        Some(("pipeline:error", open.record(run, more)))
    }

    /// Ends all runs of some tasks, the innermost first.
    pub(super) fn cut(&mut self, tasks: impl Fn(u64) -> bool, error: &str) -> Vec<Told> {
        let runs = self.open.iter().rev().filter(|(_, open)| tasks(open.task));
        let runs: Vec<i64> = runs.map(|(run, _)| *run).collect();
        runs.into_iter().filter_map(|run| self.error(run, error)).collect()
    }
}

impl Open {
    fn record(&self, run: i64, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        let name = || Value::Str(self.name.clone());
        let own = [("name", name()), ("pipeline", name()), ("run_id", run.into())];
        let parent = self.parent.map(|parent| ("parent", parent.into()));
        let map: MapValue = own
            .into_iter()
            .chain(parent)
            .chain(more)
            .map(|(name, value)| (Key::Str(Text::new(name)), value))
            .collect();
        Value::map(map)
    }
}

impl Place {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("stage", Value::Str(self.stage.clone())),
            ("index", self.index.into()),
            ("attempt", self.attempt.into()),
        ]
    }
}

/// The input itself, or the begin of its text if it is long.
fn shortened(input: &Value) -> Value {
    if to_json(input).to_string().len() <= LONGEST {
        return input.clone();
    }
    let mut text = input.to_string();
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_once_and_long_inputs_are_cut() {
        let mut pipelines = Pipelines::new(Clock::system());
        let name = Text::new("P");
        let (run, (channel, value)) =
            pipelines.start(&[1], &name, 2, &Value::from("ä".repeat(9000))).unwrap();
        assert_eq!((run, channel), (1, "pipeline:start"));
        let Value::Map(map) = value else { panic!("no map") };
        let input = map.get(&Key::Str(Text::new("input"))).and_then(Value::as_str).unwrap();
        assert_eq!(input.len(), LONGEST);
        assert_eq!(pipelines.start(&[2, 1], &name, 0, &Value::Nil).unwrap().0, 2);
        assert_eq!(pipelines.cut(|task| task == 2, "cancelled").len(), 1);
        assert!(pipelines.error(1, "no").is_some());
        assert!(pipelines.error(1, "no").is_none() && pipelines.complete(1).is_none());
    }

    #[test]
    fn runs_nest_64_deep() {
        let mut pipelines = Pipelines::new(Clock::system());
        let name = Text::new("P");
        for _ in 0..DEEPEST {
            assert!(pipelines.start(&[1], &name, 1, &Value::Nil).is_some());
        }
        assert!(pipelines.start(&[1], &name, 1, &Value::Nil).is_none());
        assert!(pipelines.start(&[2], &name, 1, &Value::Nil).is_some());
    }
}
