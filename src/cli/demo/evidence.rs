//! What a subscriber received against what is in the log: the demo's last line.

use std::collections::BTreeMap;
use std::fmt;

use opstead_client::schema::{Alert, AlertEvent};

/// What is compared of an alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fact {
    pub(super) cursor: u64,
    alert_name: String,
    event: AlertEvent,
    operation_id: Option<String>,
}

/// The outcome of the comparison.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    received: usize,
    lost: usize,
    repeated: usize,
    /// Received, but not in the log: a promise that was taken back.
    untrue: usize,
    /// Received after one that comes later in the log.
    out_of_order: usize,
}

impl Fact {
    pub(super) fn of(alert: &Alert) -> Self {
        Self {
            cursor: alert.cursor,
            alert_name: alert.alert_name.clone(),
            event: alert.event,
            operation_id: alert.operation_id.clone(),
        }
    }
}

impl Evidence {
    /// Compares what was received with the whole log.
    pub(super) fn of(received: &[Fact], log: &[Fact]) -> Self {
        let mut times: BTreeMap<&Fact, usize> = BTreeMap::new();
        for fact in received {
            *times.entry(fact).or_default() += 1;
        }
        let logged: BTreeMap<&Fact, ()> = log.iter().map(|fact| (fact, ())).collect();
        let pairs = received.iter().zip(received.iter().skip(1));
        Self {
            received: received.len(),
            lost: logged
                .keys()
                .filter(|fact| !times.contains_key(*fact))
                .count(),
            repeated: times.values().map(|count| count - 1).sum(),
            untrue: times
                .keys()
                .filter(|fact| !logged.contains_key(*fact))
                .count(),
            out_of_order: pairs.filter(|(one, next)| one.cursor > next.cursor).count(),
        }
    }

    /// Every alert once, in order, and nothing else.
    pub(super) const fn is_clean(&self) -> bool {
        self.lost + self.repeated + self.untrue + self.out_of_order == 0
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            received,
            lost,
            repeated,
            untrue,
            out_of_order,
        } = self;
        write!(
            formatter,
            "{received} alerts received, {lost} lost, {repeated} repeated"
        )?;
        if untrue + out_of_order > 0 {
            write!(
                formatter,
                ", {untrue} not in the log, {out_of_order} out of order"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(cursors: &[u64]) -> Vec<Fact> {
        let fact = |&cursor: &u64| Fact {
            cursor,
            alert_name: "storage.Image.a".to_owned(),
            event: AlertEvent::Progress,
            operation_id: None,
        };
        cursors.iter().map(fact).collect()
    }

    #[test]
    fn what_is_lost_or_repeated_is_counted() {
        for (received, line, clean) in [
            (
                &[1, 2, 3][..],
                "3 alerts received, 0 lost, 0 repeated",
                true,
            ),
            (&[1, 3], "2 alerts received, 1 lost, 0 repeated", false),
            (
                &[1, 2, 2, 2, 3],
                "5 alerts received, 0 lost, 2 repeated",
                false,
            ),
            (
                &[1, 3, 2],
                "3 alerts received, 0 lost, 0 repeated, 0 not in the log, 1 out of order",
                false,
            ),
            (
                &[1, 2, 3, 4],
                "4 alerts received, 0 lost, 0 repeated, 1 not in the log, 0 out of order",
                false,
            ),
            (&[], "0 alerts received, 3 lost, 0 repeated", false),
        ] {
            let evidence = Evidence::of(&facts(received), &facts(&[1, 2, 3]));
            assert_eq!(evidence.to_string(), line);
            assert_eq!(evidence.is_clean(), clean);
        }
    }

    #[test]
    fn another_alert_at_the_same_place_is_not_the_same_alert() {
        let log = facts(&[1]);
        let mut received = log.clone();
        received[0].event = AlertEvent::Completed;
        let evidence = Evidence::of(&received, &log);
        assert_eq!((evidence.lost, evidence.untrue), (1, 1));
    }
}
