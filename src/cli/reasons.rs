//! Why an operation does not run, in words: with lines for each reason, or all in one line.

use opstead_client::schema::{Cause, Reason, Timestamp};

/// Reasons, each with its lines; the start time where it is known.
pub(super) fn lines(reasons: &[Reason], start_at: Option<Timestamp>) -> Vec<String> {
    let lines = |reason| lines_of(reason, start_at);
    reasons.iter().flat_map(lines).collect()
}

/// What an operation waits for, as a table has it; nothing if it waits for nothing.
pub(super) fn brief(reasons: &[Reason], start_at: Option<Timestamp>) -> String {
    let mut brief: Vec<String> = Vec::new();
    for reason in reasons {
        let text = match (reason.cause, &reason.resource) {
            (_, Some(resource)) => format!("{} {}", resource.kind, resource.id),
            (Cause::Dependency, _) => names(reason),
            (Cause::StartTime, _) => match start_at {
                Some(time) => time.to_string(),
                None => "its start time".to_owned(),
            },
            (Cause::Capacity, _) => "capacity".to_owned(),
            (Cause::Version, _) => "an executor with its version".to_owned(),
            (Cause::RetryDelay, _) => match reason.detail.as_deref() {
                Some(until) => format!("its next attempt at {until}"),
                None => "its next attempt".to_owned(),
            },
            (Cause::Executor | Cause::Resource, _) => match reason.detail.as_deref() {
                Some("busy") => "a free executor".to_owned(),
                Some("queued") => "its turn".to_owned(),
                _ => "an executor".to_owned(),
            },
        };
        if !brief.contains(&text) {
            brief.push(text);
        }
    }
    match brief.is_empty() {
        true => String::new(),
        false => format!("Waits for {}", brief.join(", ")),
    }
}

fn lines_of(reason: &Reason, start_at: Option<Timestamp>) -> Vec<String> {
    let names = names(reason);
    let waits_for = |what: &str| vec![format!("  Waits for: {what}")];
    let held_by = |what: &str, whose: &str| {
        let line = format!("    {whose}: {names}");
        [waits_for(what), vec![line]].concat()
    };
    match (reason.cause, reason.detail.as_deref()) {
        (Cause::Resource, _) => claim(reason),
        (Cause::Capacity, Some("kept")) => held_by(
            "capacity; what is free is kept for an older operation",
            "Kept for",
        ),
        (Cause::Capacity, _) => held_by("capacity; too much is running", "Taken by"),
        (Cause::Executor, Some("busy")) => {
            waits_for("an executor; those that carry out its method are busy")
        }
        (Cause::Executor, Some("queued")) => waits_for("its turn; nothing else is in its way"),
        (Cause::Executor, _) => {
            waits_for("an executor; none that carries out its method is attached and takes work")
        }
        (Cause::Version, _) => {
            waits_for("an executor with its version of the method; only others are offered")
        }
        (Cause::StartTime, _) => match start_at {
            Some(time) => waits_for(&format!("its start time, {time}")),
            None => waits_for("its start time"),
        },
        (Cause::Dependency, None) => waits_for(&format!("the end of {names}")),
        (Cause::Dependency, Some(state)) => {
            vec![format!("  About to be skipped: {names} is {state}")]
        }
        (Cause::RetryDelay, Some(until)) => {
            waits_for(&format!("the delay before its next attempt, until {until}"))
        }
        (Cause::RetryDelay, None) => waits_for("the delay before its next attempt"),
    }
}

/// Whose claim it is comes first: the resource and the operation are the other one's.
fn claim(reason: &Reason) -> Vec<String> {
    let mut lines = vec![match reason.blocked_by.len() {
        0 => "  Blocked by a claim:".to_owned(),
        1 if !reason.more => format!("  Blocked by: {}, whose claim is", names(reason)),
        _ => format!("  Blocked by: {}, whose claims are", names(reason)),
    }];
    if let Some(resource) = &reason.resource {
        lines.push(format!("    Resource: {} {}", resource.kind, resource.id));
    }
    if let Some(operation) = reason.operation {
        lines.push(format!("    Operation: {operation}"));
    }
    lines
}

fn names(reason: &Reason) -> String {
    let others = if reason.more { " and others" } else { "" };
    reason.blocked_by.join(", ") + others
}

#[cfg(test)]
mod tests {
    use opstead_client::schema::{ClaimOperation, Resource};

    use super::*;

    fn detailed(cause: Cause, detail: &str, blocked_by: &[&str]) -> Reason {
        Reason {
            detail: (!detail.is_empty()).then(|| detail.to_owned()),
            blocked_by: blocked_by.iter().map(|&id| id.to_owned()).collect(),
            ..Reason::of(cause)
        }
    }

    #[test]
    fn every_cause_is_told_in_words() {
        let time = Timestamp::from_unix_ms(0);
        for (reason, told) in [
            (
                detailed(Cause::Capacity, "", &["a", "b"]),
                "Waits for: capacity; too much is running|Taken by: a, b",
            ),
            (
                detailed(Cause::Capacity, "kept", &["a"]),
                "Waits for: capacity; what is free is kept for an older operation|Kept for: a",
            ),
            (
                detailed(Cause::Executor, "", &[]),
                "Waits for: an executor; none that carries out its method is attached and takes work",
            ),
            (
                detailed(Cause::Executor, "busy", &[]),
                "Waits for: an executor; those that carry out its method are busy",
            ),
            (
                detailed(Cause::Executor, "queued", &[]),
                "Waits for: its turn; nothing else is in its way",
            ),
            (
                Reason::of(Cause::Version),
                "Waits for: an executor with its version of the method; only others are offered",
            ),
            (
                Reason::of(Cause::StartTime),
                "Waits for: its start time, 1970-01-01T00:00:00.000Z",
            ),
            (
                detailed(Cause::Dependency, "", &["a", "b"]),
                "Waits for: the end of a, b",
            ),
            (
                detailed(Cause::Dependency, "failed", &["a"]),
                "About to be skipped: a is failed",
            ),
            (
                Reason::of(Cause::RetryDelay),
                "Waits for: the delay before its next attempt",
            ),
            (
                detailed(Cause::RetryDelay, "2026-11-23T05:42:18.645Z", &[]),
                "Waits for: the delay before its next attempt, until 2026-11-23T05:42:18.645Z",
            ),
        ] {
            let lines = lines(&[reason], Some(time));
            let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
            assert_eq!(lines.join("|"), told);
        }
        let unknown = lines(&[Reason::of(Cause::StartTime)], None);
        assert_eq!(unknown, ["  Waits for: its start time"]);
    }

    #[test]
    fn a_claim_is_told_with_whose_it_is() {
        let claim = Reason {
            resource: Some(Resource {
                kind: "image".to_owned(),
                id: "vm".to_owned(),
            }),
            operation: Some(ClaimOperation::Read),
            more: true,
            ..detailed(Cause::Resource, "", &["copy-1", "copy-2"])
        };
        assert_eq!(
            lines(&[claim], None),
            [
                "  Blocked by: copy-1, copy-2 and others, whose claims are",
                "    Resource: image vm",
                "    Operation: read",
            ]
        );
    }
}
