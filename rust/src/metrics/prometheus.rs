//! The text format of Prometheus.
//!
//! Counters have the labels `connection` and `model`: a model belongs to one connection, so sums over either label count nothing twice.

use std::fmt::Write;

use super::Counters;
use super::distribution::Distribution;
use crate::wire::ServerLimit;

/// A metric: name, help, and its value in the counters.
type Column = (&'static str, &'static str, fn(&Counters) -> f64);

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
const COUNTERS: [Column; 18] = [
    ("calls", "Model calls.", |c| c.calls as f64),
    ("attempts", "HTTP requests.", |c| c.attempts as f64),
    ("retries", "Repeated HTTP requests.", |c| c.retries as f64),
    ("rounds", "Model turns inside calls.", |c| c.rounds as f64),
    ("successes", "Successful calls.", |c| c.successes as f64),
    ("cancelled", "Calls that nobody waited for any more.", |c| c.cancelled as f64),
    ("mocked", "Calls that were answered locally.", |c| c.mocked as f64),
    ("cached", "Calls that were answered by an earlier answer.", |c| c.cached as f64),
    ("chunks", "Chunks of streams.", |c| c.chunks as f64),
    ("bytes_in", "Bytes of answers.", |c| c.bytes_in as f64),
    ("bytes_out", "Bytes of requests.", |c| c.bytes_out as f64),
    ("tokens_in", "Tokens of prompts.", |c| c.tokens.tokens_in as f64),
    ("tokens_out", "Tokens of answers.", |c| c.tokens.tokens_out as f64),
    ("tokens_cached", "Tokens of prompts from a cache.", |c| c.tokens.tokens_cached as f64),
    ("tool_calls", "Calls of tools.", |c| c.tool_calls as f64),
    ("cost_usd", "Estimated cost of the tokens whose price is known.", |c| c.cost.usd),
    ("unpriced_tokens", "Tokens of unknown price.", |c| c.cost.unpriced_tokens as f64),
    ("estimated_tokens", "Tokens whose number is an estimate.", |c| c.cost.estimated_tokens as f64),
];

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
const GAUGES: [Column; 2] = [
    ("in_flight", "Calls that are under way.", |c| c.in_flight as f64),
    ("queued", "HTTP requests that wait for their turn.", |c| c.queued as f64),
];

/// A model's counters with the names of its connection and of itself.
pub(super) type Row<'a> = (&'a str, &'a str, &'a Counters);

/// A connection's distribution of times with its name.
pub(super) type Times<'a> = (&'a str, &'a Distribution);

/// All counters and gauges.
pub(super) fn counters(out: &mut String, rows: &[Row<'_>]) {
    let labels: Vec<String> = rows
        .iter()
        .map(|(connection, model, _)| {
            format!("connection=\"{}\",model=\"{}\"", escaped(connection), escaped(model))
        })
        .collect();
    let totals = COUNTERS.iter().map(|column| (column, "counter", "_total"));
    let gauges = GAUGES.iter().map(|column| (column, "gauge", ""));
    // Writing to a String cannot fail.
    for ((name, help, value), kind, suffix) in totals.chain(gauges) {
        let _ = head(out, &format!("{name}{suffix}"), help, kind);
        for (labels, (_, _, counters)) in labels.iter().zip(rows) {
            let _ = writeln!(out, "concerto_{name}{suffix}{{{labels}}} {}", value(counters));
        }
    }
    let _ = head(out, "errors_total", "Failed calls.", "counter");
    for (labels, (_, _, counters)) in labels.iter().zip(rows) {
        for (kind, count) in &counters.errors {
            let kind = escaped(kind);
            let _ = writeln!(out, "concerto_errors_total{{{labels},kind=\"{kind}\"}} {count}");
        }
    }
}

/// What servers said about their own limits, by connection and by what is limited.
pub(super) fn server_limits(out: &mut String, rows: &[(&str, &str, ServerLimit)]) {
    type Said = fn(&ServerLimit) -> Option<u64>;
    let said: [(&str, &str, Said); 2] = [
        ("server_limit", "What the server allows in its own period.", |told| told.limit),
        ("server_remaining", "What the server says is left of it.", |told| told.remaining),
    ];
    for (name, help, value) in said {
        let _ = head(out, name, help, "gauge");
        for (connection, what, told) in rows {
            let Some(value) = value(told) else { continue };
            let connection = escaped(connection);
            let _ = writeln!(
                out,
                "concerto_{name}{{connection=\"{connection}\",what=\"{what}\"}} {value}"
            );
        }
    }
}

/// One histogram, in milliseconds.
pub(super) fn histogram(out: &mut String, name: &str, help: &str, rows: &[Times<'_>]) {
    let _ = head(out, name, help, "histogram");
    for (connection, distribution) in rows {
        let (summary, connection) = (distribution.summary(), escaped(connection));
        for (bound, count) in &summary.buckets {
            let _ = writeln!(
                out,
                "concerto_{name}_bucket{{connection=\"{connection}\",le=\"{bound}\"}} {count}"
            );
        }
        let _ = writeln!(
            out,
            "concerto_{name}_bucket{{connection=\"{connection}\",le=\"+Inf\"}} {count}\n\
             concerto_{name}_sum{{connection=\"{connection}\"}} {sum}\n\
             concerto_{name}_count{{connection=\"{connection}\"}} {count}",
            count = summary.count,
            sum = summary.sum,
        );
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) -> std::fmt::Result {
    writeln!(out, "# HELP concerto_{name} {help}\n# TYPE concerto_{name} {kind}")
}

/// A label's value: the format escapes these three and nothing else.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
