//! `@cache` on a model: the same question gets the answer that it got before, for a while. Answers are kept by the runtime, so that all its runs
//! share them; errors and streams are not kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::ir::program::Cache;
use crate::llm::Call;
use crate::metrics::{By, End};
use crate::value::Value;

/// The kept answers of all models, by the model's number.
#[derive(Debug, Default)]
pub struct Answers(Mutex<HashMap<u32, Kept>>);

/// The kept answers of one model. All are kept equally long, so the oldest ends first.
#[derive(Debug, Default)]
struct Kept {
    by_question: HashMap<Arc<str>, Answer>,
    /// By the order of their arrival.
    questions: BTreeMap<u64, Arc<str>>,
    arrived: u64,
}

#[derive(Debug)]
struct Answer {
    value: Value,
    number: u64,
    until: Instant,
}

impl Kept {
    fn forget(&mut self, question: &str) {
        if let Some(answer) = self.by_question.remove(question) {
            self.questions.remove(&answer.number);
        }
    }

    /// Drops the oldest until one more has room, and those whose time is over.
    fn make_room(&mut self, most: usize, now: Instant) {
        while let Some(oldest) = self.questions.first_key_value().map(|(_, q)| Arc::clone(q)) {
            let is_over = self.by_question.get(&oldest).is_none_or(|answer| answer.until <= now);
            if !is_over && self.by_question.len() < most {
                return;
            }
            self.forget(&oldest);
        }
    }

    fn keep(&mut self, question: &str, value: Value, until: Instant) {
        self.arrived += 1;
        let (question, number): (Arc<str>, u64) = (question.into(), self.arrived);
        self.questions.insert(number, Arc::clone(&question));
        self.by_question.insert(question, Answer { value, number, until });
    }
}

impl Answers {
    fn of<T>(&self, model: u32, work: impl FnOnce(&mut Kept) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(model).or_default())
    }

    fn find(&self, model: u32, question: &str, now: Instant) -> Option<Value> {
        self.of(model, |kept| {
            let answer = kept.by_question.get(question).filter(|answer| now < answer.until);
            answer.map(|answer| answer.value.clone())
        })
    }

    fn keep(&self, question: &Question, value: Value, now: Instant) {
        let until = now + Duration::from_secs(question.cache.ttl_seconds.into());
        self.of(question.model, |kept| {
            kept.forget(&question.text);
            kept.make_room(question.cache.max_entries as usize, now);
            kept.keep(&question.text, value, until);
        });
    }
}

/// A question that is not answered yet, and whose answer is to be kept.
pub(super) struct Question {
    model: u32,
    cache: Cache,
    /// All that makes it different from others.
    text: String,
}

/// What is known of a question before it is asked.
pub(super) enum Known {
    /// The answer, which is counted.
    Answer(Value),
    /// Nothing; `None` where answers are not kept.
    Nothing(Option<Question>),
}

impl Engine<'_> {
    /// Looks whether a question was answered before.
    pub(super) fn known(&self, model: u32, call: &Call) -> Known {
        let declared = self.shared.program.models().get(model as usize);
        let Some(cache) = declared.and_then(|model| model.fields.cache) else {
            return Known::Nothing(None);
        };
        let settings = &call.settings;
        let server = (&settings.name, &settings.base_url, settings.kind);
        let output = call.output.as_ref().map(|output| (&output.name, &output.json));
        let form = (output, &call.tools);
        let asked = (server, &call.model_id, &call.messages, &call.sampling, form);
        let question = Question { model, cache, text: format!("{asked:?}") };
        let now = self.shared.clock.now();
        let Some(value) = self.shared.answers.find(model, &question.text, now) else {
            return Known::Nothing(Some(question));
        };
        for recorder in &self.recorders {
            recorder.call_started(&call.origin);
            recorder.call_ended(&call.origin, &End::Success, 0.0, By::Cache);
        }
        Known::Answer(value)
    }

    /// Keeps a good answer.
    pub(super) fn keep(&self, question: Option<Question>, answer: &Value) {
        if let (Some(question), Value::Ok(value)) = (question, answer) {
            self.shared.answers.keep(&question, (***value).clone(), self.shared.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn question(text: &str) -> Question {
        let cache = Cache { max_entries: 2, ttl_seconds: 60 };
        Question { model: 0, cache, text: text.to_owned() }
    }

    // library 8: `ttl_seconds`, `max_entries`.
    #[test]
    fn the_oldest_answer_goes() {
        let (answers, began) = (Answers::default(), clock::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let find = |text, seconds| answers.find(0, text, at(seconds)).is_some();
        for (seconds, text) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
            answers.keep(&question(text), Value::Nil, at(seconds));
        }
        assert_eq!((find("a", 3), find("b", 3), find("c", 3)), (true, false, true));
        assert_eq!((find("a", 61), find("a", 62), find("c", 62)), (true, false, true));
        assert!(answers.find(1, "c", at(4)).is_none(), "another model's");
        answers.keep(&question("d"), Value::Nil, at(90));
        answers.of(0, |kept| {
            assert_eq!((kept.by_question.len(), kept.questions.len()), (1, 1), "old ones are gone");
        });
    }
}
