//! A distribution of times: exact count, sum and extremes, percentiles within 2 %.

use std::collections::VecDeque;

use serde_json::json;

/// Upper bounds of the cumulative buckets, in milliseconds.
pub(super) const BUCKETS: [f64; 14] = [
    5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 30_000.0,
    60_000.0, 120_000.0,
];

/// Cells per factor of two: their width is 1.6 %.
const CELLS_PER_OCTAVE: f64 = 44.0;
/// The smallest time that is told from zero, in milliseconds.
const SMALLEST: f64 = 0.001;

/// Counts times in cells of growing width.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// The number of the lowest cell that is kept.
    first: usize,
    cells: VecDeque<u32>,
    buckets: [u64; BUCKETS.len()],
}

/// What hosts see of a distribution. Times in milliseconds; all zero if there were none.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Summary {
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    /// Upper bound and how many times are at most that.
    pub buckets: Vec<(f64, u64)>,
}

impl Summary {
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!(self)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "cells are small positive numbers"
)]
impl Distribution {
    /// Adds one time in milliseconds.
    pub fn add(&mut self, milliseconds: f64) {
        let time = milliseconds.max(0.0);
        self.min = if self.count == 0 { time } else { self.min.min(time) };
        self.max = self.max.max(time);
        self.count += 1;
        self.sum += time;
        for (bound, bucket) in BUCKETS.iter().zip(&mut self.buckets) {
            *bucket += u64::from(time <= *bound);
        }
        let cell = ((time.max(SMALLEST) / SMALLEST).log2() * CELLS_PER_OCTAVE) as usize;
        if let Some(count) = self.cell(cell) {
            *count = count.saturating_add(1);
        }
    }

    /// A cell; those between it and the kept ones are kept from now on.
    fn cell(&mut self, number: usize) -> Option<&mut u32> {
        if self.cells.is_empty() {
            self.first = number;
        }
        for _ in number..self.first {
            self.cells.push_front(0);
        }
        self.first = self.first.min(number);
        let position = number - self.first;
        if self.cells.len() <= position {
            self.cells.resize(position + 1, 0);
        }
        self.cells.get_mut(position)
    }

    fn percentile(&self, part: f64) -> f64 {
        let wanted = (self.count as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (cell, count) in (self.first..).zip(&self.cells) {
            seen += u64::from(*count);
            if seen >= wanted {
                let middle = SMALLEST * ((cell as f64 + 0.5) / CELLS_PER_OCTAVE).exp2();
                return middle.clamp(self.min, self.max);
            }
        }
        self.max
    }

    /// Everything that is known.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p95: self.percentile(0.95),
            p99: self.percentile(0.99),
            buckets: BUCKETS.iter().copied().zip(self.buckets).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_two_percent() {
        let mut distribution = Distribution::default();
        for time in 1..=1000 {
            distribution.add(f64::from(time));
        }
        let summary = distribution.summary();
        assert_eq!((summary.count, summary.min, summary.max), (1000, 1.0, 1000.0));
        for (found, exact) in [(summary.p50, 500.0), (summary.p90, 900.0), (summary.p99, 990.0)] {
            assert!((found / exact - 1.0_f64).abs() < 0.02, "{found} for {exact}");
        }
        assert_eq!(summary.buckets[4], (100.0, 100));
    }

    #[test]
    fn an_empty_distribution_is_all_zero() {
        let summary = Distribution::default().summary();
        assert_eq!((summary.count, summary.p50, summary.max), (0, 0.0, 0.0));
    }
}
