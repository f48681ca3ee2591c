//! T7: finding the subscribers of one alert among 10,000 filters, half globs, half regexps, ten of
//! which match. In this process: it is a question of one data structure, without a yardstick.

use std::time::{Duration, Instant};

use anyhow::ensure;
use opstead::filter::{Filter, FilterKind, FilterSet};
use serde_json::{Map, json};

use crate::report::{Report, Target, Usage, rounded};
use crate::rounds::{Figures, median};

const MACHINES: usize = 1_000;
/// Of each machine; all of them match the names of its disks, and no other machine's.
const FILTERS_EACH: usize = 10;
const SEEN_AGAIN: usize = 10;
const SEEN_US: f64 = 20.0;
const NEW_US: f64 = 200.0;

pub(super) fn run(rounds: usize) -> anyhow::Result<Report> {
    let filters = filters()?;
    let (mut seen, mut new, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let names: Vec<String> = (0..MACHINES)
            .map(|machine| format!("vm.VM.web-{machine:04}.disk.vd{round}"))
            .collect();
        let (first, again) = ask(&filters, &names)?;
        ratios.push(f64::max(
            first.p50_ms * 1e3 / NEW_US,
            again.p50_ms * 1e3 / SEEN_US,
        ));
        new.push(first);
        seen.push(again);
    }
    let (seen, new) = (Figures::middle(&seen), Figures::middle(&new));
    Ok(Report {
        parameters: json!({
            "filters": filters.len(),
            "matching": FILTERS_EACH,
            "seen_p50_us": rounded(seen.p50_ms * 1e3),
            "seen_p99_us": rounded(seen.p99_ms * 1e3),
            "seen_target_us": SEEN_US,
            "new_p50_us": rounded(new.p50_ms * 1e3),
            "new_p99_us": rounded(new.p99_ms * 1e3),
            "new_target_us": NEW_US,
        }),
        durability: "none",
        figures: new,
        usage: Usage::default(),
        yardsticks: Map::new(),
        ratio_of: "the worse of p50 over its target, of names seen before and of new ones",
        ratio: median(ratios.clone()),
        ratios,
        target: Target::AtMost(1.0),
    })
}

/// Asks every name once, when it is new, and then several times again.
fn ask(filters: &FilterSet<u64>, names: &[String]) -> anyhow::Result<(Figures, Figures)> {
    let first = time(filters, names)?;
    let mut again = Vec::new();
    for _ in 0..SEEN_AGAIN {
        again.extend(time(filters, names)?);
    }
    Ok((sorted(first), sorted(again)))
}

fn time(filters: &FilterSet<u64>, names: &[String]) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(names.len());
    for name in names {
        let start = Instant::now();
        let matching = filters.matching(name);
        latencies.push(start.elapsed());
        ensure!(
            matching.len() == FILTERS_EACH,
            "{name} matches {matching:?}"
        );
    }
    Ok(latencies)
}

fn sorted(mut latencies: Vec<Duration>) -> Figures {
    latencies.sort_unstable();
    Figures::of_latencies(&latencies)
}

fn filters() -> anyhow::Result<FilterSet<u64>> {
    let mut filters = FilterSet::new();
    let mut key = 0;
    for machine in 0..MACHINES {
        let machine = format!("web-{machine:04}");
        let globs = [
            format!("vm.VM.{machine}.*"),
            format!("vm.*.{machine}.disk.*"),
            format!("*.{machine}.*"),
            format!("vm.?M.{machine}.disk.vd?*"),
            format!("vm.{{VM,Host}}.{machine}.{{disk,nic}}.*"),
        ];
        let regexps = [
            format!(r"vm\.VM\.{machine}\..*"),
            format!(r"vm\.(VM|Host)\.{machine}\.disk\.vd[a-z0-9]+"),
            format!(r".*\.{machine}\.disk\..+"),
            format!(r"[a-z]+\.VM\.{machine}\.[a-z]+\.\w+"),
            format!(r"vm\.\w+\.{machine}\.disk(\.[^.]+)?"),
        ];
        for (kind, patterns) in [(FilterKind::Glob, globs), (FilterKind::Regexp, regexps)] {
            for pattern in patterns {
                filters.insert(key, Filter::parse(kind, &pattern)?);
                key += 1;
            }
        }
    }
    Ok(filters)
}
