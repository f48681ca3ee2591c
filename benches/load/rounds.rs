//! Repeating, and the middle of what was seen. A yardstick and the daemon take turns, so that a
//! noisy machine is noisy for both, and only rounds that are neighbours are compared.

use std::time::Duration;

use crate::closed_loop::Round;

/// The value that stands in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The latency that `share` of them stay within, in ms. They are in ascending order.
pub(crate) fn quantile_ms(latencies: &[Duration], share: f64) -> f64 {
    let last = latencies.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    latencies
        .get(place)
        .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

/// What counts of one round.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) n: usize,
    pub(crate) per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Figures {
    pub(crate) fn of(round: &Round) -> Self {
        Self {
            n: round.latencies.len(),
            per_s: round.latencies.len() as f64 / round.elapsed.as_secs_f64(),
            p50_ms: quantile_ms(&round.latencies, 0.5),
            p99_ms: quantile_ms(&round.latencies, 0.99),
        }
    }

    /// Of what came one after another.
    pub(crate) fn of_latencies(latencies: &[Duration]) -> Self {
        let sum: Duration = latencies.iter().sum();
        Self {
            n: latencies.len(),
            per_s: latencies.len() as f64 / sum.as_secs_f64(),
            p50_ms: quantile_ms(latencies, 0.5),
            p99_ms: quantile_ms(latencies, 0.99),
        }
    }

    /// The medians of several rounds; `n` is their sum.
    pub(crate) fn middle(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            n: rounds.iter().map(|round| round.n).sum(),
            per_s: of(|round| round.per_s),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
        }
    }
}
