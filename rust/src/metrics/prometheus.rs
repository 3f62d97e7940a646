//! The text format of Prometheus.

use std::fmt::Write;

use super::Counters;

/// A metric: name, help, and its value in the counters.
type Column = (&'static str, &'static str, fn(&Counters) -> f64);

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
const COLUMNS: [Column; 9] = [
    ("concerto_calls_total", "Model calls.", |c| c.calls as f64),
    ("concerto_attempts_total", "HTTP requests.", |c| c.attempts as f64),
    ("concerto_retries_total", "Repeated HTTP requests.", |c| c.retries as f64),
    ("concerto_successes_total", "Successful calls.", |c| c.successes as f64),
    ("concerto_chunks_total", "Chunks of streams.", |c| c.chunks as f64),
    ("concerto_tokens_in_total", "Tokens of prompts.", |c| c.tokens.tokens_in as f64),
    ("concerto_tokens_out_total", "Tokens of answers.", |c| c.tokens.tokens_out as f64),
    ("concerto_tokens_cached_total", "Tokens of prompts from a cache.", |c| {
        c.tokens.tokens_cached as f64
    }),
    ("concerto_cost_usd_total", "Estimated cost.", |c| c.cost.usd),
];

pub(super) fn render<'a>(
    connections: impl Iterator<Item = (&'a str, &'a Counters)>,
    models: impl Iterator<Item = (&'a str, &'a Counters)>,
) -> String {
    let rows: Vec<_> = connections
        .map(|(name, counters)| ("connection", name, counters))
        .chain(models.map(|(name, counters)| ("model", name, counters)))
        .collect();
    let mut out = String::new();
    for (metric, help, value) in COLUMNS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {metric} {help}\n# TYPE {metric} counter");
        for (label, name, counters) in &rows {
            let _ = writeln!(out, "{metric}{{{label}=\"{name}\"}} {}", value(counters));
        }
    }
    out.push_str(
        "# HELP concerto_errors_total Failed calls.\n# TYPE concerto_errors_total counter\n",
    );
    for (label, name, counters) in &rows {
        for (kind, count) in &counters.errors {
            let _ = writeln!(
                out,
                "concerto_errors_total{{{label}=\"{name}\",kind=\"{kind}\"}} {count}"
            );
        }
    }
    out
}
