//! `journal`: what a stopped daemon's journal holds, for whoever must find out. It is copied and
//! read in the copy; the command alone owns the copy, and removes it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opstead_client::schema::OperationState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::show;
use super::watch::line;
use crate::cli::arguments::JournalArguments;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, note, plain};
use crate::cli::stopped::{Damage, Entry, JournalFault, Recovered, StoppedJournal, Summary, Which};
use crate::cli::tree::Tree;

/// How many events are shown unless told otherwise.
const LIMIT: usize = 1_000;
/// How many interrupted operations a person is told of by name.
const INTERRUPTED: usize = 20;
/// How often removing the copy is tried: threads of sled may end a little later than it does.
const REMOVALS: u32 = 20;
/// How long the copying may take to notice that it is to end.
const COPYING: Duration = Duration::from_secs(5);

pub(in crate::cli) async fn run<S: StoppedJournal>(
    arguments: JournalArguments,
) -> Result<Exit, CliError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Its terminal is gone; the copy is not to stay.
    let mut hangup = signal(SignalKind::hangup())?;
    let workspace = Workspace::make()?;
    let path = workspace.0.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let told = is_over.clone();
    let (sender, copied) = oneshot::channel();
    let work = tokio::task::spawn_blocking(move || {
        let is_over = || told.load(Ordering::Relaxed);
        let opened = S::open(&arguments.folder, &path, &is_over);
        // Nothing is written into the copy any more.
        let _ended = sender.send(());
        look(&arguments, &opened.map_err(CliError::Journal)?)
    });
    let outcome = tokio::select! {
        looked = work => looked.map_err(io::Error::other)?,
        _ = interrupt.recv() => Ok(Exit::Interrupted),
        _ = terminate.recv() => Ok(Exit::Interrupted),
        _ = hangup.recv() => Ok(Exit::Interrupted),
    };
    is_over.store(true, Ordering::Relaxed);
    // Whoever still fills the copy would make it anew.
    let _stuck = timeout(COPYING, copied).await;
    drop(workspace);
    outcome
}

/// A temporary folder, gone when dropped.
struct Workspace(PathBuf);

impl Workspace {
    fn make() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        let process = std::process::id();
        for number in 0..u32::MAX {
            let path = parent.join(format!("opstead-journal-{process}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Of a process that had the same number and was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let message = format!("{} cannot be made: {error}", path.display());
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        note(&format!("{} is left behind", self.0.display()));
    }
}

fn look(arguments: &JournalArguments, journal: &impl StoppedJournal) -> Result<Exit, CliError> {
    let output = Output::new(arguments.json);
    let summary = journal.summary();
    let which = Which {
        after: arguments.after.unwrap_or(0),
        filter: arguments.filter(),
        operation: arguments.id.clone(),
    };
    let wants_events = which.filter.is_some()
        || which.operation.is_some()
        || arguments.after.is_some()
        || arguments.limit.is_some();
    let next = &summary.next_start;
    let is_whole = next.refused.is_none() && !next.begins_anew && summary.damage.is_empty();
    if !wants_events {
        output.show(summary, || summary_lines(summary))?;
    } else {
        if is_whole && which.after > summary.cursor {
            return Err(CliError::Journal(JournalFault::Beyond {
                after: which.after,
                head: summary.cursor,
            }));
        }
        let limit = arguments.limit.map_or(LIMIT, usize::from);
        show_some(journal, &which, limit, output)?;
    }
    if let Some(refused) = &next.refused {
        note(&format!("The daemon would not start: {refused}."));
    }
    if is_whole {
        return Ok(Exit::Done);
    }
    what_to_do(summary);
    Ok(Exit::Failed)
}

/// For whoever has lost something, and wants to lose no more.
fn what_to_do(summary: &Summary) {
    let folder = summary.folder.display();
    if summary.next_start.refused.is_some() {
        note(
            "Hint: opstead serve refuses on purpose, so that nothing that was answered is forgotten in silence.",
        );
    }
    note(&format!(
        "Hint: keep a copy of {folder} as it is, and put a whole backup of the folder in its place. \
         What can still be read: opstead journal {folder} --after 0"
    ));
}

/// The record of an operation, if one is meant, and events.
fn show_some(
    journal: &impl StoppedJournal,
    which: &Which,
    limit: usize,
    output: Output,
) -> Result<(), CliError> {
    let mut is_missing = false;
    if let Some(id) = &which.operation {
        match journal.operation(id) {
            Ok(Some(operation)) => {
                let below = Tree::alone(operation.clone()).lines(output.columns(), None);
                output.show(&operation, || show::lines(&operation, None, below, false))?;
            }
            Ok(None) => is_missing = true,
            Err(sentence) => note(&format!("The record of {id} cannot be read: {sentence}.")),
        }
    }
    let shown = show_events(journal, which, limit, output)?;
    match &which.operation {
        Some(id) if is_missing && shown == 0 => {
            Err(CliError::Journal(JournalFault::NoOperation(id.clone())))
        }
        Some(id) if is_missing => {
            note(&format!("No operation {id} is kept; these are its events."));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn show_events(
    journal: &impl StoppedJournal,
    which: &Which,
    limit: usize,
    output: Output,
) -> Result<usize, CliError> {
    let mut shown = 0;
    let mut last = which.after;
    let mut result = Ok(());
    let mut see = |entry: Entry| {
        if shown == limit {
            note(&format!("There are more: go on with --after {last}"));
            return false;
        }
        last = entry.cursor();
        shown += 1;
        result = output.show(&entry, || vec![entry_line(&entry)]);
        result.is_ok()
    };
    journal.events(which, &mut see).map_err(CliError::Journal)?;
    result.map(|()| shown)
}

fn entry_line(entry: &Entry) -> String {
    match entry {
        Entry::Alert(alert) => line(alert),
        Entry::Other {
            cursor,
            time,
            event,
            detail,
        } => {
            let time = time.to_string();
            plain(&format!("{time}  {cursor:>6}  {event:10}  {detail}"))
        }
        Entry::Damage { damage } => {
            let (cursor, what) = (damage.cursor, &damage.what);
            plain(&format!("{:24}  {cursor:>6}  DAMAGED     {what}", ""))
        }
    }
}

fn summary_lines(summary: &Summary) -> Vec<String> {
    let mut facts = vec![
        ("Folder", summary.folder.display().to_string()),
        ("Log", summary.log_id.clone().unwrap_or("unknown".into())),
        ("Events", events(summary)),
    ];
    for checkpoint in &summary.checkpoints {
        let bytes = size(checkpoint.bytes);
        let state = match &checkpoint.damage {
            None => "whole".to_owned(),
            Some(what) => format!("of no use: {what}"),
        };
        let cursor = checkpoint.cursor;
        facts.push((
            "Checkpoint",
            format!("at cursor {cursor}, {bytes}, {state}"),
        ));
    }
    let sizes = &summary.sizes;
    facts.push((
        "Sizes",
        format!(
            "{} on disk, copied to be read: events {}, ended operations {}",
            size(sizes.log_bytes),
            size(sizes.event_bytes),
            size(sizes.ended_operation_bytes)
        ),
    ));
    for damage in &summary.damage {
        let Damage { cursor, what } = damage;
        facts.push(("Damage", format!("at cursor {cursor}: {what}")));
    }
    if summary.more_damage {
        facts.push(("Damage", "and more".to_owned()));
    }
    facts.push(("Next start", next_start(summary)));
    if let Some(state) = &summary.state {
        facts.extend(recovered(state, summary.next_start.refused.is_some()));
    }
    facts
        .into_iter()
        .map(|(name, value)| plain(&format!("{name:12}{value}")))
        .collect()
}

fn events(summary: &Summary) -> String {
    let acknowledged = match summary.acknowledged {
        Some(cursor) => format!("answered up to {cursor} at least"),
        None => "nothing says how far it was answered".to_owned(),
    };
    let (cursor, oldest) = (summary.cursor, summary.oldest_cursor);
    format!("after cursor {oldest} up to {cursor}, {acknowledged}")
}

fn next_start(summary: &Summary) -> String {
    let next = &summary.next_start;
    if let Some(refused) = &next.refused {
        return format!("refused: {refused}");
    }
    if next.begins_anew {
        return "begins a new log: there is no marker.json and nothing readable in the log".into();
    }
    let from = match next.checkpoint {
        Some(cursor) => format!("from the checkpoint at cursor {cursor} and the events after it"),
        None => "from the events".to_owned(),
    };
    match next.cut_after {
        Some(cursor) => format!("{from}; the unfinished end after cursor {cursor} is cut off"),
        None => from,
    }
}

fn recovered(state: &Recovered, is_refused: bool) -> Vec<(&'static str, String)> {
    let counted = state.counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counted
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let operations = if counts.is_empty() {
        "no operations".to_owned()
    } else {
        counts.join(", ")
    };
    let name = if is_refused { "Readable" } else { "Recovered" };
    let (cursor, objects) = (state.cursor, state.objects);
    let mut facts = vec![(
        name,
        format!("at cursor {cursor}: {operations}; objects: {objects}"),
    )];
    for operation in state.interrupted.iter().take(INTERRUPTED) {
        let (id, method) = (&operation.id, &operation.method_name);
        let stands = match (operation.state, operation.on_interrupt.as_str()) {
            (OperationState::Canceling, _) => "was to be canceled",
            (_, "retry") => "its method lets it be tried again",
            _ => "its method lets it fail",
        };
        let attempt = operation.attempt;
        facts.push((
            "Interrupted",
            format!("{id} ({method}) in attempt {attempt}: {stands}"),
        ));
    }
    let others = state.interrupted.len().saturating_sub(INTERRUPTED);
    if others > 0 {
        facts.push(("Interrupted", format!("and {others} others")));
    }
    facts
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
