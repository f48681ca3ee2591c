//! The measures, one file each, and the running of those that were chosen.

mod compare;
mod deliveries;
mod filters;
mod frozen;
mod lives;
mod memory;
mod registrations;
mod single;

use std::pin::Pin;

use crate::arguments::Plan;
use crate::report::Report;

type Running = Pin<Box<dyn Future<Output = anyhow::Result<Report>>>>;

/// One thing that is measured.
pub(crate) struct Measure {
    /// As the table of targets names it.
    pub(crate) name: &'static str,
    title: &'static str,
    /// Runs it in so many rounds.
    run: fn(usize) -> Running,
}

pub(crate) const ALL: [Measure; 9] = [
    Measure {
        name: "T1",
        title: "durable registrations, 64 connections with 16 in flight",
        run: |rounds| Box::pin(registrations::run(rounds, registrations::READ)),
    },
    Measure {
        name: "T1Q",
        title: "the same in long queues, with 16 reasons in each answer",
        run: |rounds| Box::pin(registrations::run(rounds, registrations::UPDATE)),
    },
    Measure {
        name: "T2",
        title: "durable registration, 1 in flight",
        run: |rounds| Box::pin(single::registration(rounds)),
    },
    Measure {
        name: "T3",
        title: "whole lives, 64 in flight",
        run: |rounds| Box::pin(lives::run(rounds)),
    },
    Measure {
        name: "T5",
        title: "whole life, 1 in flight",
        run: |rounds| Box::pin(single::life(rounds)),
    },
    Measure {
        name: "T6",
        title: "alert deliveries to 1,000 subscribers, each with its own glob",
        run: |rounds| Box::pin(deliveries::run(rounds)),
    },
    Measure {
        name: "T7",
        title: "choosing the subscribers of one alert among 10,000 filters",
        run: |rounds| Box::pin(async move { filters::run(rounds) }),
    },
    Measure {
        name: "T10",
        title: "memory of an open operation with 200 bytes of kwargs",
        run: |_| Box::pin(memory::run()),
    },
    Measure {
        name: "T13",
        title: "what one subscriber that never reads costs",
        run: |rounds| Box::pin(frozen::run(rounds)),
    },
];

/// Runs one measure after another; false if a target was missed. A measure that cannot be taken is
/// reported and counts as missed, so that the others are still seen.
pub(crate) async fn run_all(plan: &Plan) -> anyhow::Result<bool> {
    let mut all_met = true;
    for measure in &plan.measures {
        match (measure.run)(plan.rounds).await {
            Ok(report) => {
                report.print(measure.name, measure.title, plan.rounds);
                all_met &= report.is_met();
            }
            Err(error) => {
                eprintln!("load: {} could not be measured: {error:#}", measure.name);
                all_met = false;
            }
        }
    }
    Ok(all_met)
}
