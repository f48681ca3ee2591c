//! What an executor has said of its attempt and the loop has not taken up yet: in order, and
//! bounded however much an executor says. It decides what may be merged and when the loop is to
//! look; whether an alert follows is decided by the core.

use std::collections::VecDeque;
use std::time::Duration;

use opstead_core::{Failure, InfoUpdate};

/// How often the loop is asked to look at progress that is no milestone.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// How long progress may lie before it is told, however little it is.
const MOST_SILENCE: Duration = Duration::from_millis(500);

/// Reports from which on even milestones are merged.
const MOST_REPORTS: usize = 64;

/// What an executor has said.
#[derive(Debug, PartialEq)]
pub(super) enum Report {
    Progress {
        update: InfoUpdate,
        /// Whether it changes description, stage or last error, which is told each time.
        milestone: bool,
    },
    Error(Failure),
}

/// What waits for the loop.
pub(super) struct Reports {
    waiting: VecDeque<Report>,
    /// All progress of the attempt, one laid over the other.
    said: InfoUpdate,
    /// Non-fatal errors that may still come; the core would refuse more.
    errors_left: usize,
    /// Whether the loop has been asked to look and has not done so.
    asked: bool,
    /// When it was asked last.
    asked_at: Option<Duration>,
    /// Since when progress lies here.
    since: Option<Duration>,
}

/// Progress that came too soon after the last, and since when it lies.
pub(super) struct Early {
    pub(super) update: InfoUpdate,
    pub(super) since: Option<Duration>,
}

impl Reports {
    pub(super) fn new(most_errors: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            said: InfoUpdate::default(),
            errors_left: most_errors,
            asked: false,
            asked_at: None,
            since: None,
        }
    }

    /// Takes progress in. Says whether the loop is to be asked to look.
    pub(super) fn progress(&mut self, update: InfoUpdate, now: Duration) -> bool {
        let milestone = changes(&self.said.description, &update.description)
            || changes(&self.said.stage, &update.stage)
            || changes(&self.said.last_error, &update.last_error);
        let urgent = milestone || changes(&self.said.stage_description, &update.stage_description);
        self.said.merge(update.clone());
        self.since.get_or_insert(now);
        let has_room = self.waiting.len() < MOST_REPORTS;
        match self.waiting.back_mut() {
            Some(Report::Progress {
                update: earlier,
                milestone: is_milestone,
            }) if !(milestone && *is_milestone && has_room) => {
                earlier.merge(update);
                *is_milestone |= milestone;
            }
            _ => self
                .waiting
                .push_back(Report::Progress { update, milestone }),
        }
        let rested = |asked_at| now.saturating_sub(asked_at) >= ASK_INTERVAL;
        (urgent || self.asked_at.is_none_or(rested)) && self.ask(now)
    }

    /// Takes a non-fatal error in. Says whether the loop is to be asked to look.
    pub(super) fn error(&mut self, failure: Failure, now: Duration) -> bool {
        let Some(left) = self.errors_left.checked_sub(1) else {
            return false;
        };
        self.errors_left = left;
        self.waiting.push_back(Report::Error(failure));
        self.ask(now)
    }

    /// Hands over what waits, and since when progress lies here.
    pub(super) fn take(&mut self) -> (VecDeque<Report>, Option<Duration>) {
        self.asked = false;
        (std::mem::take(&mut self.waiting), self.since.take())
    }

    /// Puts progress back; what came meanwhile is newer.
    pub(super) fn put_back(&mut self, early: Early) {
        let Early { mut update, since } = early;
        self.since = since.or(self.since);
        if let Some(Report::Progress { update: newer, .. }) = self.waiting.front_mut() {
            update.merge(std::mem::take(newer));
            *newer = update;
        } else {
            let milestone = false;
            self.waiting
                .push_front(Report::Progress { update, milestone });
        }
    }

    /// Whether progress has lain too long.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.since
            .is_some_and(|since| now.saturating_sub(since) >= MOST_SILENCE)
    }

    fn ask(&mut self, now: Duration) -> bool {
        let ask = !self.asked;
        if ask {
            self.asked = true;
            self.asked_at = Some(now);
        }
        ask
    }
}

fn changes<T: PartialEq>(before: &Option<T>, after: &Option<T>) -> bool {
    after.is_some() && before != after
}

#[cfg(test)]
mod tests {
    use opstead_core::Stage;

    use super::*;

    const START: Duration = Duration::from_secs(1);

    fn percentage(percentage: f64) -> InfoUpdate {
        InfoUpdate {
            percentage: Some(percentage),
            ..InfoUpdate::default()
        }
    }

    fn stage(number: u32) -> InfoUpdate {
        InfoUpdate {
            stage: Some(Stage { number, total: 9 }),
            ..percentage(f64::from(number))
        }
    }

    fn numbers(reports: &VecDeque<Report>) -> Vec<f64> {
        let percentage = |report: &Report| match report {
            Report::Progress { update, .. } => update.percentage.unwrap(),
            Report::Error(_) => -2.0,
        };
        reports.iter().map(percentage).collect()
    }

    #[test]
    fn stages_stay_apart_and_percentages_become_one() {
        let mut reports = Reports::new(10);
        assert!(
            reports.progress(percentage(0.5), START),
            "the first is told"
        );
        assert!(!reports.progress(stage(1), START), "asked already");
        reports.progress(stage(2), START);
        reports.error(Failure::canceled(), START);
        reports.progress(percentage(2.5), START);
        reports.progress(stage(3), START);
        reports.progress(percentage(3.5), START);
        let (taken, since) = reports.take();
        assert_eq!(numbers(&taken), [1.0, 2.0, -2.0, 3.5]);
        assert_eq!(since, Some(START));
    }

    #[test]
    fn a_chatty_executor_costs_neither_memory_nor_the_loop() {
        let mut reports = Reports::new(10);
        assert!(reports.progress(stage(0), START));
        reports.take();
        let asked = (0..10_000).filter(|index| {
            let asked = reports.progress(percentage(f64::from(*index) / 100.0), START);
            reports.take();
            asked
        });
        assert_eq!(asked.count(), 0);
        let later = START + ASK_INTERVAL;
        assert!(reports.progress(percentage(1.0), later));
        for number in 0..10_000 {
            reports.progress(stage(number % 7), later);
            reports.error(Failure::canceled(), later);
        }
        let (taken, _) = reports.take();
        assert!(taken.len() <= MOST_REPORTS + 2 * 10, "{}", taken.len());
        assert_eq!(numbers(&taken).last(), Some(&f64::from(9_999 % 7)));
    }

    #[test]
    fn what_is_put_back_keeps_its_age_and_yields_to_what_is_newer() {
        let mut reports = Reports::new(10);
        reports.progress(percentage(1.0), START);
        let (_, since) = reports.take();
        let newer = START + Duration::from_millis(10);
        reports.progress(percentage(2.0), newer);
        reports.put_back(Early {
            update: stage(1),
            since,
        });
        assert!(!reports.is_overdue(newer));
        assert!(reports.is_overdue(START + MOST_SILENCE));
        let (taken, _) = reports.take();
        assert_eq!(numbers(&taken), [2.0]);
    }
}
