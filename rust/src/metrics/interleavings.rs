//! The counters under many schedules: at any time they agree with each other, and nothing is lost.

use std::sync::Arc;

use shuttle::thread;

use super::{Billed, By, Counters, End, Metrics, Origin, Recorder};
use crate::chat::Usage;
use crate::config::ProviderKind;
use crate::sync::interleaved;

fn recorder() -> Arc<Recorder> {
    Arc::new(Recorder::new(vec!["cloud".to_owned()], vec!["Fast".to_owned()]))
}

fn call(recorder: &Recorder, end: &End) {
    let origin = Origin { connection: "cloud".to_owned(), model: "Fast".to_owned() };
    let billed = Billed { kind: ProviderKind::OpenAi, id: "gpt-4o", base: "gpt-4o-2024" };
    let usage = Usage { tokens_in: 10, tokens_out: 2, ..Usage::default() };
    recorder.call_started(&origin);
    recorder.attempt_started(&origin, true, 0.0);
    recorder.used(&origin, &billed, &usage);
    recorder.call_ended(&origin, end, 1.0, By::Provider);
}

/// Each call is at one place, and the connection and its only model count alike.
fn agrees(metrics: &Metrics) {
    let of = |name: &str| metrics.counters(name).cloned().unwrap_or_default();
    let (cloud, fast) = (of("cloud"), of("Fast"));
    let ended = |c: &Counters| c.successes + c.errors.values().sum::<u64>() + c.cancelled;
    assert_eq!(cloud.calls, ended(&cloud) + cloud.in_flight);
    assert_eq!((cloud.calls, cloud.attempts), (fast.calls, fast.attempts));
    assert_eq!(cloud.tokens, fast.tokens);
    assert_eq!(metrics.tokens_by_base("gpt-4o-2024"), cloud.tokens);
}

#[test]
fn snapshots_agree_with_themselves_and_nothing_is_lost() {
    interleaved(|| {
        let recorder = recorder();
        let ends = [End::Success, End::Error("timeout"), End::Cancelled];
        let callers = ends.map(|end| {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || call(&recorder, &end))
        });
        agrees(&recorder.snapshot());
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        let metrics = recorder.snapshot();
        agrees(&metrics);
        let counters = metrics.counters("cloud").unwrap();
        let ended = (counters.successes, counters.errors["timeout"], counters.cancelled);
        assert_eq!((counters.calls, counters.attempts, ended), (3, 3, (1, 1, 1)));
        assert_eq!(metrics.total_tokens(), 36);
    });
}

#[test]
fn a_reset_in_the_middle_keeps_what_is_in_flight() {
    interleaved(|| {
        let recorder = recorder();
        let callers = [End::Success, End::Cancelled].map(|end| {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || call(&recorder, &end))
        });
        recorder.reset();
        agrees(&recorder.snapshot());
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        let metrics = recorder.snapshot();
        agrees(&metrics);
        assert_eq!(metrics.counters("cloud").unwrap().in_flight, 0);
    });
}
