//! What is counted, and the identities that always hold.

use proptest::prelude::*;

use super::*;

fn origin() -> Origin {
    Origin { connection: "openai".to_owned(), model: "Fast".to_owned() }
}

#[test]
fn usage_is_counted_for_connection_model_and_base() {
    let recorder =
        Recorder::new(vec!["openai".to_owned()], vec!["Fast".to_owned(), "Slow".to_owned()]);
    recorder.call_started(&origin());
    recorder.attempt_started(&origin(), true, 0.0);
    let usage = Usage { tokens_in: 1000, tokens_out: 500, tokens_cached: 200, ..Usage::default() };
    let base = "gpt-4o-mini-2024-07-18";
    let billed = Billed { kind: ProviderKind::OpenAi, id: "gpt-4o-mini", base };
    recorder.used(&origin(), &billed, &usage);
    recorder.call_ended(&origin(), &End::Success, 12.0, By::Provider);
    let metrics = recorder.snapshot();
    assert_eq!(serde_json::to_value(&metrics).unwrap(), metrics.to_json());
    assert_eq!(metrics.tokens_by_connection("openai"), 1500);
    assert_eq!(metrics.tokens_by_model("Fast").tokens_cached, 200);
    assert_eq!(metrics.tokens_by_model("Slow"), 0);
    assert_eq!(metrics.tokens_by_base("gpt-4o-mini-2024-07-18"), 1500);
    let expected = (800.0 * 0.15 + 200.0 * 0.075 + 500.0 * 0.6) / 1e6;
    assert!((metrics.estimated_cost("openai").usd - expected).abs() < 1e-12);
    let counters = metrics.counters("openai").unwrap();
    assert_eq!((counters.calls, counters.successes, counters.in_flight), (1, 1, 0));
    assert!(metrics.is_known("Slow") && !metrics.is_known("other"));
}

#[test]
fn an_unknown_price_is_unknown_and_not_zero() {
    let recorder = Recorder::new(vec!["openai".to_owned()], vec!["Fast".to_owned()]);
    let usage = Usage { tokens_in: 5, tokens_out: 7, ..Usage::default() };
    let billed = Billed { kind: ProviderKind::Custom, id: "some-model", base: "gpt-4o" };
    let cost = recorder.used(&origin(), &billed, &usage);
    assert_eq!(cost, None, "the id that was asked for counts");
    let cost = recorder.snapshot().estimated_cost("openai");
    assert_eq!((cost.usd, cost.unpriced_tokens, cost.is_complete()), (0.0, 12, false));
}

#[test]
fn a_reset_keeps_what_is_in_flight() {
    let recorder = Recorder::new(vec!["openai".to_owned()], vec!["Fast".to_owned()]);
    recorder.call_started(&origin());
    recorder.call_started(&origin());
    recorder.call_ended(&origin(), &End::Success, 1.0, By::Provider);
    recorder.reset();
    let counters = recorder.snapshot().counters("openai").unwrap().clone();
    assert_eq!((counters.calls, counters.successes, counters.in_flight), (1, 0, 1));
    recorder.call_ended(&origin(), &End::Success, 1.0, By::Provider);
    let counters = recorder.snapshot().counters("openai").unwrap().clone();
    assert_eq!((counters.calls, counters.successes, counters.in_flight), (1, 1, 0));
}

/// T-17: each line is a comment or `name{labels} number`, labels are escaped, buckets are cumulative, and nothing is counted twice.
#[test]
fn prometheus_text_is_valid() {
    let name = "a\"b\\c\nd".to_owned();
    let models = vec![("M".to_owned(), name.clone()), ("N".to_owned(), name.clone())];
    let recorder =
        Recorder::with_prices(vec![name.clone()], models, Arc::default(), Clock::system());
    for (model, end) in [("M", End::Success), ("N", End::Error("network"))] {
        let origin = Origin { connection: name.clone(), model: model.to_owned() };
        recorder.call_started(&origin);
        recorder.attempt_started(&origin, true, 7.0);
        recorder.call_ended(&origin, &end, 80.0, By::Provider);
    }
    let text = recorder.snapshot().to_prometheus();
    let label = r#"connection="a\"b\\c\nd""#;
    for line in [
        format!(r#"concerto_calls_total{{{label},model="M"}} 1"#),
        format!(r#"concerto_errors_total{{{label},model="N",kind="network"}} 1"#),
        format!(r#"concerto_queue_time_ms_bucket{{{label},le="5"}} 0"#),
        format!(r#"concerto_queue_time_ms_bucket{{{label},le="10"}} 2"#),
        format!(r#"concerto_latency_ms_bucket{{{label},le="+Inf"}} 2"#),
        format!("concerto_latency_ms_sum{{{label}}} 160"),
        "# TYPE concerto_latency_ms histogram".to_owned(),
        "# TYPE concerto_in_flight gauge".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for line in text.lines() {
        let is_sample = line.rsplit_once("} ").is_some_and(|(series, value)| {
            series.starts_with("concerto_") && value.parse::<f64>().is_ok()
        });
        assert!(line.starts_with("# HELP ") || line.starts_with("# TYPE ") || is_sample, "{line}");
    }
}

/// T-16: waiting attempts are still waiting after a reset.
#[test]
fn a_reset_keeps_what_is_queued() {
    let recorder = Recorder::new(vec!["openai".to_owned()], vec!["Fast".to_owned()]);
    recorder.queued(&origin());
    recorder.reset();
    assert_eq!(recorder.snapshot().counters("openai").unwrap().queued, 1);
    recorder.unqueued(&origin());
    assert_eq!(recorder.snapshot().counters("Fast").unwrap().queued, 0);
}

/// What may happen to a call, in some order.
#[derive(Clone, Debug)]
enum Step {
    Start(Origin),
    Attempt(Origin, bool),
    Use(Origin, Usage),
    End(Origin, End),
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let origins = [("openai", "Fast"), ("openai", "Slow"), ("other", "Third")]
        .map(|(connection, model)| Origin { connection: connection.into(), model: model.into() });
    let origin = prop::sample::select(origins.to_vec());
    let end = prop::sample::select(vec![End::Success, End::Error("network"), End::Cancelled]);
    let tokens = (0..1000_u64, 0..1000_u64);
    let step = prop_oneof![
        3 => origin.clone().prop_map(Step::Start),
        3 => (origin.clone(), any::<bool>()).prop_map(|(o, first)| Step::Attempt(o, first)),
        3 => (origin.clone(), tokens).prop_map(|(o, (tokens_in, tokens_out))| {
            Step::Use(o, Usage { tokens_in, tokens_out, ..Usage::default() })
        }),
        3 => (origin, end).prop_map(|(o, end)| Step::End(o, end)),
        1 => Just(Step::Reset),
    ];
    prop::collection::vec(step, 0..60)
}

/// Plays steps; a call that was not started cannot end.
fn play(steps: Vec<Step>) -> Recorder {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let recorder = Recorder::new(names(&["openai", "other"]), names(&["Fast", "Slow", "Third"]));
    let billed = Billed { kind: ProviderKind::OpenAi, id: "gpt-4o", base: "gpt-4o" };
    for step in steps {
        match step {
            Step::Start(origin) => recorder.call_started(&origin),
            Step::Attempt(origin, first) => {
                recorder.attempt_started(&origin, first, 0.0);
            }
            Step::Use(origin, usage) => {
                recorder.used(&origin, &billed, &usage);
            }
            Step::End(origin, end) => {
                let snapshot = recorder.snapshot();
                if snapshot.counters(&origin.model).unwrap().in_flight > 0 {
                    recorder.call_ended(&origin, &end, 1.0, By::Provider);
                }
            }
            Step::Reset => recorder.reset(),
        }
    }
    recorder
}

proptest! {
    #[test]
    fn the_identities_hold_after_any_mix_of_outcomes(steps in steps()) {
        let metrics = play(steps).snapshot();
        for name in metrics.connections().chain(metrics.models()) {
            let c = metrics.counters(name).unwrap();
            prop_assert!(c.attempts >= c.rounds);
            prop_assert_eq!(c.retries, c.attempts - c.rounds);
            let ended = c.successes + c.errors.values().sum::<u64>() + c.cancelled;
            prop_assert_eq!(c.calls, ended + c.in_flight);
        }
        let of_models = |names: [&str; 2]| names.map(|name| metrics.tokens_by_model(name).total());
        let sum: u64 = of_models(["Fast", "Slow"]).iter().sum();
        prop_assert_eq!(metrics.tokens_by_connection("openai").total(), sum);
        prop_assert_eq!(metrics.tokens_by_connection("other"), metrics.tokens_by_model("Third"));
        prop_assert_eq!(metrics.total_tokens(), metrics.tokens_by_base("gpt-4o").total());
        let summary = metrics.distribution("openai", "latency_ms").unwrap();
        let c = metrics.counters("openai").unwrap();
        prop_assert_eq!(summary.count, c.calls - c.in_flight);
    }
}
