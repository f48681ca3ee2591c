//! The JSON line of a measure: what was measured, on what terms, beside which yardsticks, and
//! whether the target is met.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::rounds::Figures;

/// Where the ratio has to be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

/// What a server used for what was measured.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Of the measured rounds together.
    pub(crate) cpu: Duration,
    pub(crate) peak_memory_bytes: u64,
}

/// One measure's outcome.
pub(crate) struct Report {
    pub(crate) parameters: Value,
    /// What the server promises when it answers.
    pub(crate) durability: &'static str,
    pub(crate) figures: Figures,
    pub(crate) usage: Usage,
    /// By name.
    pub(crate) yardsticks: Map<String, Value>,
    /// What the ratio is of what.
    pub(crate) ratio_of: &'static str,
    pub(crate) ratio: f64,
    /// Of each round.
    pub(crate) ratios: Vec<f64>,
    pub(crate) target: Target,
}

impl Report {
    pub(crate) fn is_met(&self) -> bool {
        self.target.is_met(self.ratio)
    }

    /// Prints the line.
    pub(crate) fn print(&self, name: &str, title: &str, rounds: usize) {
        let ratios: Vec<Value> = self.ratios.iter().copied().map(rounded).collect();
        let figures = &self.figures;
        let line = json!({
            "measure": name,
            "title": title,
            "parameters": self.parameters,
            "durability": self.durability,
            "rounds": rounds,
            "n": figures.n,
            "per_s": rounded(figures.per_s),
            "p50_ms": rounded(figures.p50_ms),
            "p99_ms": rounded(figures.p99_ms),
            "server_cpu_s": rounded(self.usage.cpu.as_secs_f64()),
            "server_cpu_each_us": rounded(each_us(self.usage.cpu, figures.n)),
            "server_peak_memory_bytes": self.usage.peak_memory_bytes,
            "yardsticks": self.yardsticks,
            "ratio_of": self.ratio_of,
            "ratio": rounded(self.ratio),
            "ratio_of_each_round": ratios,
            "target": self.target,
            "pass": self.is_met(),
        });
        println!("{line}");
    }
}

/// A yardstick as the line shows it.
pub(crate) fn yardstick(figures: &Figures, cpu: Option<Duration>) -> Value {
    let mut shown = json!({
        "n": figures.n,
        "per_s": rounded(figures.per_s),
        "p50_ms": rounded(figures.p50_ms),
        "p99_ms": rounded(figures.p99_ms),
    });
    if let Some(cpu) = cpu {
        shown["server_cpu_s"] = rounded(cpu.as_secs_f64());
        shown["server_cpu_each_us"] = rounded(each_us(cpu, figures.n));
    }
    shown
}

fn each_us(cpu: Duration, n: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / n as f64
}

/// Four digits say all that a noisy machine can say; what is no number is null.
pub(crate) fn rounded(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return json!(value);
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    json!((value * scale).round() / scale)
}
