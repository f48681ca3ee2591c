//! How events, replies, refusals and answers are written in the golden scripts.

use std::fmt::Write;

use opstead_core::{
    Change, Claim, Cursor, Event, EventBody, Executed, Failure, Operation, OperationEvent,
    OperationInfo, OperationState, Outcome, Reason, Refusal, Reply, Resource,
};

use crate::world::{World, reply_word};

/// As many events of one kind in a row are written as one line.
const RUN: usize = 6;

/// What came out of one order: its events from the cursor `first` on, then the answer.
pub(crate) fn outcome(first: Cursor, result: &Result<Executed, Refusal>) -> Vec<String> {
    match result {
        Ok(executed) => {
            let mut lines = events(first, &executed.events);
            lines.push(reply(&executed.reply));
            let reasons = match &executed.reply {
                Reply::Registered(registration) => &registration.reasons[..],
                Reply::Operation(_, reasons) => reasons,
                _ => &[],
            };
            lines.extend(reasons.iter().map(reason));
            lines
        }
        Err(refusal) => {
            let mut lines = vec![format!("! {refusal}")];
            if let Refusal::ClaimHeld { reasons } = refusal {
                lines.extend(reasons.iter().map(reason));
            }
            lines
        }
    }
}

/// What came out of many orders: how many events and answers of which kind.
pub(crate) fn summary(first: Cursor, results: &[Result<Executed, Refusal>]) -> Vec<String> {
    let mut events: Vec<(&str, usize)> = Vec::new();
    let mut answers: Vec<(String, usize)> = Vec::new();
    let mut last = first - 1;
    for result in results {
        for event in result.iter().flat_map(|executed| &executed.events) {
            last += 1;
            tally(&mut events, word(&event.body));
        }
        tally(
            &mut answers,
            match result {
                Ok(executed) => format!("= {}", reply_word(&executed.reply)),
                Err(refusal) => format!("! {refusal}"),
            },
        );
    }
    let events: Vec<_> = events
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    let mut lines = Vec::new();
    if last >= first {
        lines.push(format!("{first}..{last} {}", events.join(", ")));
    }
    lines.extend(
        answers
            .iter()
            .map(|(answer, n)| format!("{answer}, {n} times")),
    );
    lines
}

fn tally<T: PartialEq>(tallies: &mut Vec<(T, usize)>, item: T) {
    match tallies.iter_mut().find(|(known, _)| *known == item) {
        Some((_, n)) => *n += 1,
        None => tallies.push((item, 1)),
    }
}

fn events(first: Cursor, events: &[Event]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut cursor = first;
    for run in events.chunk_by(|left, right| word(&left.body) == word(&right.body)) {
        let until = cursor + run.len() as Cursor;
        if run.len() >= RUN {
            let name = |event: &Event| match &event.body {
                EventBody::Operation(event) => event.subject.id.to_string(),
                _ => String::new(),
            };
            let (from, to) = (name(&run[0]), name(&run[run.len() - 1]));
            lines.push(format!(
                "{cursor}..{} {} {from} to {to}",
                until - 1,
                word(&run[0].body)
            ));
        } else {
            let numbered = (cursor..).zip(run);
            lines.extend(numbered.map(|(cursor, event)| format!("{cursor} {}", body(&event.body))));
        }
        cursor = until;
    }
    lines
}

pub(crate) fn word(body: &EventBody) -> &'static str {
    match body {
        EventBody::Operation(event) => event.change.as_str(),
        EventBody::MethodDeclared(_) => "declared",
        EventBody::ExecutorAttached { .. } => "attached",
        EventBody::ExecutorDetached { .. } => "detached",
        EventBody::WakeContinued => "wakeContinued",
        EventBody::CapacitySet { .. } => "capacitySet",
        EventBody::CapacityReserved { .. } => "reserved",
        EventBody::Placed { .. } => "placed",
        EventBody::DelayPassed { .. } => "delayPassed",
        EventBody::ObjectPublished { .. } => "object",
        EventBody::ObjectRetired { .. } => "retired",
        EventBody::Purged { .. } => "purged",
    }
}

fn body(body: &EventBody) -> String {
    let word = word(body);
    match body {
        EventBody::Operation(event) => format!("{word} {}", operation_event(event)),
        EventBody::MethodDeclared(method) => format!("{word} {}@{}", method.name, method.version),
        EventBody::ExecutorAttached {
            executor, capacity, ..
        } => format!("{word} {executor} capacity {capacity}"),
        EventBody::ExecutorDetached { executor, kept } => match kept {
            Some(kept) => format!("{word} {executor}, kept {} ms", kept.ms),
            None => format!("{word} {executor}"),
        },
        EventBody::CapacitySet { capacity } => format!("{word} {capacity}"),
        EventBody::CapacityReserved { sequence } => match sequence {
            Some(sequence) => format!("{word} for the one registered at {sequence}"),
            None => format!("{word} for nobody"),
        },
        EventBody::Placed { sequence } | EventBody::DelayPassed { sequence } => {
            format!("{word}, the one registered at {sequence}")
        }
        EventBody::ObjectPublished {
            alert_name,
            info: how,
        }
        | EventBody::ObjectRetired {
            alert_name,
            info: how,
        } => format!("{word} {alert_name} | {}", info(how)),
        EventBody::WakeContinued => word.to_owned(),
        EventBody::Purged { operations } => {
            let cursors: Vec<_> = operations
                .iter()
                .map(|purged| purged.sequence.to_string())
                .collect();
            format!("{word} those registered at {}", cursors.join(", "))
        }
    }
}

fn operation_event(event: &OperationEvent) -> String {
    let id = &event.subject.id;
    let info = info(&event.info);
    match &event.change {
        Change::Registered(request) => {
            let mut line = format!(
                "{id} {}@{} on {}",
                event.subject.method_name, request.version, event.subject.alert_name
            );
            for claim in &request.claims {
                write!(line, ", {}", claim_text(claim)).expect("a string takes all");
            }
            if !request.tags.is_empty() {
                write!(line, ", tagged {}", request.tags.join(" ")).expect("a string takes all");
            }
            if request.weight() > 0 {
                write!(line, ", weight {}", request.weight()).expect("a string takes all");
            }
            if let Some(step) = request.step().filter(|step| !step.requires.is_empty()) {
                let requires: Vec<_> = step.requires.iter().map(Cursor::to_string).collect();
                write!(line, ", behind {}", requires.join(" ")).expect("a string takes all");
            }
            line
        }
        Change::Postponed if event.state == OperationState::Scheduled => format!("{id}, scheduled"),
        Change::Postponed => id.to_string(),
        Change::Started {
            attempt, executor, ..
        }
        | Change::Reverting {
            attempt, executor, ..
        } => format!("{id} attempt {attempt} by {executor}"),
        Change::AttemptFailed {
            failure: why,
            delay,
        } => {
            format!("{id} in {} ms after {} | {info}", delay.ms, failure(why))
        }
        Change::Progressed { .. } if event.state == OperationState::Canceling => {
            format!("{id}, still canceling | {info}")
        }
        Change::Progressed { .. }
        | Change::Retrying
        | Change::CancelRequested
        | Change::FlowStarted
        | Change::RevertRetried
        | Change::Reverted => {
            format!("{id} | {info}")
        }
        Change::ErrorRecorded(error) => format!("{id} {} | {info}", failure(&error.failure)),
        Change::Completed(result) => format!("{id} {} | {info}", result.as_str()),
        Change::Failed(error)
        | Change::Canceled(error)
        | Change::Skipped(error)
        | Change::FlowReverting(error)
        | Change::RevertFailed(error)
        | Change::FlowRevertFailed(error)
        | Change::FlowReverted(error) => {
            format!("{id} {} | {info}", failure(error))
        }
    }
}

fn claim_text(claim: &Claim) -> String {
    format!("{} {}", claim.operation.as_str(), resource(&claim.resource))
}

fn resource(resource: &Resource) -> String {
    format!("{}:{}", resource.kind, resource.id)
}

fn failure(failure: &Failure) -> String {
    let data = failure
        .data
        .as_ref()
        .map(|data| format!(" {}", data.as_str()));
    format!(
        "{} {:?}{}",
        failure.code,
        failure.message,
        data.unwrap_or_default()
    )
}

/// Description, stage and whatever else is not as it was at first.
fn info(info: &OperationInfo) -> String {
    let mut text = info.description.to_string();
    if !info.stage_description.is_empty() {
        text += &format!(" {:?}", info.stage_description);
    }
    text += &format!(" {}/{}", info.stage.number, info.stage.total);
    if info.percentage != -1.0 {
        text += &format!(" {}%", info.percentage);
    }
    if info.last_error.code != 0 {
        text += &format!(
            " error {} {:?}",
            info.last_error.code, info.last_error.message
        );
    }
    if info.extra_data.as_str() != "{}" {
        text += &format!(" {}", info.extra_data.as_str());
    }
    text
}

fn reply(reply: &Reply) -> String {
    let word = reply_word(reply);
    match reply {
        Reply::Registered(known) if known.existing => {
            let (id, state) = (&known.id, known.state.as_str());
            format!("= existing {id} {state}, registered at {}", known.cursor)
        }
        Reply::Registered(new) => format!("= {word} {}", new.id),
        Reply::Operation(operation, _) => format!("= {} {word}", operation.subject.id),
        Reply::Attached(accepted) if !accepted.is_empty() => {
            format!("= {word}, resumed {}", accepted.len())
        }
        Reply::Attached(_) | Reply::Deferred | Reply::Done => format!("= {word}"),
    }
}

fn reason(reason: &Reason) -> String {
    let mut line = format!("  {}", reason.cause.as_str());
    if let (Some(held), Some(operation)) = (&reason.resource, reason.operation) {
        let others = if reason.more { " and others" } else { "" };
        line += &format!(
            " {}, {} by {}{others}",
            resource(held),
            operation.as_str(),
            reason.blocked_by.join(" ")
        );
    } else if !reason.blocked_by.is_empty() {
        let others = if reason.more { " and others" } else { "" };
        line += &format!(" by {}{others}", reason.blocked_by.join(" "));
    }
    if let Some(detail) = &reason.detail {
        line += &format!(" {detail}");
    }
    if let Some(until) = reason.until {
        line += &format!(" until {}", until.0);
    }
    line
}

/// The answer to a question of a script.
pub(crate) fn answer(world: &World, question: &str, about: &str) -> Vec<String> {
    let state = &world.state;
    let lines: Vec<String> = match question {
        "reasons" => match world.known(about) {
            Ok(operation) => state
                .reasons(operation, world.now)
                .iter()
                .map(reason)
                .collect(),
            Err(unknown) => vec![unknown],
        },
        "operation" => match world.known(about) {
            Ok(known) => operation(known),
            Err(unknown) => vec![unknown],
        },
        "bound" => match world.known(about) {
            Ok(step) => vec![match state.bound(step, &step.request.kwargs) {
                Ok(kwargs) => kwargs.as_str().to_owned(),
                Err(error) => failure(&error),
            }],
            Err(unknown) => vec![unknown],
        },
        "object" => state.object(about).iter().map(object).collect(),
        "objects" => state
            .objects_after(about, "")
            .map(|view| object(&view))
            .collect(),
        "holders" => {
            let (kind, id) = about.split_once(':').unwrap_or((about, ""));
            let (kind, id) = (kind.into(), id.into());
            let holders = state.operations_on(&Resource { kind, id });
            holders
                .iter()
                .map(|operation| format!("{} {}", operation.subject.id, operation.state.as_str()))
                .collect()
        }
        "counts" => state
            .counts()
            .iter()
            .map(|(counted, n)| format!("{n} {}", counted.as_str()))
            .collect(),
        "settled" => vec![
            if state.is_settled(world.now) {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ],
        "executors" => state
            .executors()
            .map(|known| {
                let away = match (known.attached, known.kept) {
                    (true, _) => "".to_owned(),
                    (false, None) => ", away".to_owned(),
                    (false, Some(kept)) => format!(", away, kept until {}", kept.due().0),
                };
                let running = known.running.len();
                format!(
                    "{} carries out {running} of {}{away}",
                    known.name, known.capacity
                )
            })
            .collect(),
        "capacity" => {
            let (whole, used) = state.capacity();
            vec![format!("{used} of {whole} used")]
        }
        "due" => {
            let wall = state.next_time().map(|time| format!("at {}", time.0));
            let steady = state.next_steady().map(|due| format!("after {}", due.0));
            wall.into_iter().chain(steady).collect()
        }
        "touched" => vec![world.newly_touched().to_string()],
        _ => state
            .declarations()
            .map(|method| format!("{}@{}", method.name, method.version))
            .collect(),
    };
    if lines.is_empty() {
        vec!["  none".to_owned()]
    } else {
        lines
            .iter()
            .map(|line| format!("  {}", line.trim_start()))
            .collect()
    }
}

fn object(view: &opstead_core::ObjectView) -> String {
    format!(
        "{} by {} at {}: {}",
        view.alert_name,
        view.operation_id.as_deref().unwrap_or("its subsystem"),
        view.cursor,
        info(&view.info)
    )
}

fn operation(operation: &Operation) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} attempt {}, interrupted {} times, cursor {}",
            operation.state.as_str(),
            operation.attempt,
            operation.interruptions,
            operation.cursor
        ),
        format!("info {}", info(&operation.info)),
        format!("kwargs {}", operation.request.kwargs.as_str()),
        format!(
            "registered {} started {} finished {}",
            operation.request.registered_at.0,
            operation
                .started_at
                .map_or("-".to_owned(), |time| time.0.to_string()),
            operation
                .finished_at
                .map_or("-".to_owned(), |time| time.0.to_string())
        ),
    ];
    if let Some(parent) = &operation.subject.parent {
        lines.push(format!("parent {}", parent.id));
    }
    if !operation.spawned().is_empty() {
        lines.push(format!("spawned {}", operation.spawned().join(" ")));
    }
    match &operation.outcome {
        Some(Outcome::Completed(result)) => lines.push(format!("result {}", result.as_str())),
        Some(
            Outcome::Failed(error)
            | Outcome::Canceled(error)
            | Outcome::Skipped(error)
            | Outcome::Reverted(error),
        ) => {
            lines.push(format!("error {}", failure(error)));
        }
        None => {}
    }
    let stands = operation.failure().filter(|_| !operation.is_done());
    lines.extend(stands.map(|why| format!("stands {}", failure(why))));
    lines.extend(
        operation
            .non_fatal_errors
            .iter()
            .map(|error| format!("non-fatal at {} {}", error.time.0, failure(&error.failure))),
    );
    lines
}
