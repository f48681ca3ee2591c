//! What is said when something does not succeed: one sentence, what there is to know, and a hint;
//! and the exit code that goes with it.

use std::io::{self, Write};

use opstead_client::Error;
use opstead_client::schema::{
    ErrorCode, ErrorObject, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, to_json,
};
use serde::Serialize;
use serde_json::json;

use super::exit::Exit;
use super::failure;
use super::flow_file::FileFault;
use super::output::note;
use super::reasons;
use super::stopped::JournalFault;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The daemon refused, or was not there.
    #[error(transparent)]
    Daemon(#[from] Error),
    /// The command line is understood, but not meant so.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// The connection was lost before the answer, so nobody knows whether it was registered.
    #[error("the connection was lost before the daemon answered")]
    Unanswered { has_id: bool },
    /// The daemon went away while an operation was followed, and did not come back.
    #[error("the daemon is gone, and {id} was not done")]
    Gone { id: String },
    /// There was no event in time.
    #[error("no event within {}", humantime::format_duration(*.within))]
    NoEvent { within: std::time::Duration },
    /// There was no event in time, and at its end no daemon.
    #[error("the daemon is away, and no event came within {}", humantime::format_duration(*.within))]
    Away { within: std::time::Duration },
    /// The daemon refused, and the command knows what helps.
    #[error("{refusal}")]
    Advised { refusal: ErrorObject, hint: String },
    /// A file does not say what it should.
    #[error("{}", in_file(.name, .faults))]
    File {
        name: String,
        faults: Vec<FileFault>,
    },
    /// The daemon refused what a file says, or the options beside it.
    #[error("{refusal}")]
    FileRefused {
        refusal: ErrorObject,
        options: Vec<String>,
        name: String,
        faults: Vec<FileFault>,
    },
    /// A place in a log was given that is not the daemon's.
    #[error("that is another log: the daemon's is {present}, not {given}")]
    OtherLog {
        refusal: ErrorObject,
        given: String,
        present: String,
    },
    /// A journal could not be looked into.
    #[error("{0}")]
    Journal(JournalFault),
    /// The demo did not show what it should.
    #[error("{0}")]
    Demo(String),
    /// The user broke it off.
    #[error("interrupted")]
    Interrupted { hint: String },
    /// The machine refused something.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// A refusal of the daemon as JSON.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a ErrorObject,
}

/// An error as it is told.
struct Told {
    exit: Exit,
    sentence: String,
    details: Vec<String>,
    hint: String,
}

impl CliError {
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Tells it on stderr, and on stdout where JSON is wanted.
    pub(super) fn report(&self, json: bool) -> Exit {
        // Whoever read our output has gone, and wants no more of it.
        if matches!(self, Self::System(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return Exit::Done;
        }
        let told = self.tell();
        if json {
            // The exit code says the same, should nobody read.
            let _nobody_reads = writeln!(io::stdout(), "{}", self.document());
        }
        let lines = std::iter::once(told.sentence).chain(told.details);
        tell(lines, &told.hint);
        told.exit
    }

    /// Written as the daemon's own errors are: a code, a message, and a reason in one word.
    fn document(&self) -> String {
        let error = match self {
            // Its data is foreign JSON, so it goes through no value of ours.
            Self::Daemon(Error::Refused(error))
            | Self::Advised { refusal: error, .. }
            | Self::FileRefused { refusal: error, .. }
            | Self::OtherLog { refusal: error, .. } => return document(error),
            Self::Daemon(Error::CursorExpired { oldest_cursor }) => {
                let message = self.to_string();
                ErrorObject::with(ErrorCode::CursorExpired, message, |details| {
                    details.oldest_cursor = Some(*oldest_cursor);
                })
            }
            own => {
                let (reason, retryable) = own.reason();
                return own_document(own.tell().exit, &own.message(), reason, retryable);
            }
        };
        document(&error)
    }

    /// An error of the program itself in one word, and whether trying again may help.
    fn reason(&self) -> (&'static str, bool) {
        match self {
            Self::Daemon(error) => match error {
                Error::TimedOut => ("timedOut", true),
                Error::Disconnected => ("disconnected", true),
                Error::Connect { source, .. } => match source.kind() {
                    io::ErrorKind::PermissionDenied => ("notPermitted", false),
                    _ => ("unreachable", true),
                },
                Error::Token { .. } => ("noToken", false),
                Error::Params(_) => ("usage", false),
                Error::Protocol(_) => ("notUnderstood", false),
                _ => ("failed", false),
            },
            Self::Usage { .. } | Self::File { .. } => ("usage", false),
            Self::Unanswered { .. } => ("unanswered", true),
            Self::Gone { .. } | Self::Away { .. } => ("gone", true),
            Self::NoEvent { .. } => ("noEvent", true),
            Self::OtherLog { .. } => ("cursorUnknown", false),
            Self::Advised { .. } | Self::FileRefused { .. } => ("refused", false),
            Self::Journal(fault) => fault.reason(),
            Self::Interrupted { .. } => ("interrupted", true),
            Self::Demo(_) | Self::System(_) => ("failed", false),
        }
    }

    /// The error with its cause.
    fn message(&self) -> String {
        match self {
            Self::Daemon(Error::Connect { source, .. } | Error::Token { source, .. }) => {
                format!("{self} ({source})")
            }
            _ => self.to_string(),
        }
    }

    fn tell(&self) -> Told {
        match self {
            Self::Daemon(Error::Refused(refusal)) => tell_refusal(refusal),
            Self::Advised { refusal, hint } => Told {
                hint: hint.clone(),
                ..tell_refusal(refusal)
            },
            Self::FileRefused {
                refusal,
                options,
                name,
                faults,
            } => Told {
                details: options
                    .iter()
                    .map(|option| format!("  {option}"))
                    .chain(told_in_file(name, faults))
                    .collect(),
                hint: FILE_HINT.to_owned(),
                ..tell_refusal(refusal)
            },
            Self::File { name, faults } => Told {
                exit: Exit::Usage,
                sentence: format!("opstead: {name} is not as it should be."),
                details: told_in_file(name, faults),
                hint: FILE_HINT.to_owned(),
            },
            own => {
                let (exit, hint) = own.exit_and_hint();
                Told {
                    exit,
                    sentence: format!("opstead: {}.", own.message()),
                    details: Vec::new(),
                    hint,
                }
            }
        }
    }

    /// Of what one sentence says all.
    fn exit_and_hint(&self) -> (Exit, String) {
        let (exit, hint) = match self {
            Self::Daemon(error) => exit_and_hint_of(error),
            Self::Usage { hint, .. } => (Exit::Usage, hint.as_str()),
            Self::Unanswered { has_id: true } => (
                Exit::Unreachable,
                "repeat the command: with the same id it registers once",
            ),
            Self::Unanswered { has_id: false } => (
                Exit::Unreachable,
                "opstead tasks shows whether it is registered; with an --id it can be repeated",
            ),
            Self::Gone { .. } => (
                Exit::Unreachable,
                "the operation goes on when the daemon is back; see opstead tasks",
            ),
            Self::NoEvent { .. } => (
                Exit::TimedOut,
                "wait longer with --timeout, or see what there is with opstead tasks",
            ),
            Self::Away { .. } => (
                Exit::Unreachable,
                "when it is back, opstead list --all and opstead watch --after tell what has happened",
            ),
            Self::OtherLog { .. } => (
                Exit::Rejected,
                "a cursor is a place of one log only: begin anew with --after 0, or without",
            ),
            Self::Journal(fault) => return fault.advice(),
            Self::Interrupted { hint } => (Exit::Interrupted, hint.as_str()),
            _ => (Exit::Failed, ""),
        };
        (exit, hint.to_owned())
    }
}

const FILE_HINT: &str = "opstead flow --help shows how a flow is written";

/// Every fault on a line, where editors and people look for it: `deploy.toml:3:7: …`.
fn told_in_file(name: &str, faults: &[FileFault]) -> Vec<String> {
    let line = |fault: &FileFault| format!("  {name}:{fault}");
    faults.iter().map(line).collect()
}

/// All of it in one sentence.
fn in_file(name: &str, faults: &[FileFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    format!("{name} is not as it should be: {}", faults.join("; "))
}

/// One of the program's own, as JSON. Its code is the exit code, which is none of the daemon's.
fn own_document(exit: Exit, message: &str, reason: &str, retryable: bool) -> String {
    let error = ErrorObject {
        code: i32::from(exit as u8),
        message: message.to_owned(),
        data: to_json(&json!({"reason": reason, "retryable": retryable})).ok(),
    };
    document(&error)
}

fn document(error: &ErrorObject) -> String {
    serde_json::to_string(&Refusal { error }).unwrap_or_default()
}

/// What the command line does not understand, where JSON is wanted.
pub(super) fn usage_document(message: &str) -> String {
    own_document(Exit::Usage, message, "usage", false)
}

/// Sentence and hint on stderr, each on lines of its own.
pub(super) fn tell(lines: impl IntoIterator<Item = String>, hint: &str) {
    for line in lines {
        note(&line);
    }
    if !hint.is_empty() {
        note(&format!("Hint: {hint}"));
    }
}

fn exit_and_hint_of(error: &Error) -> (Exit, &'static str) {
    match error {
        Error::TimedOut => (
            Exit::TimedOut,
            "the daemon may be busy; what was asked may still take effect",
        ),
        Error::Disconnected | Error::Protocol(_) => (Exit::Unreachable, "see opstead status"),
        Error::CursorExpired { .. } => (
            Exit::Rejected,
            "begin with a later cursor, or without --after",
        ),
        Error::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => (
            Exit::NotPermitted,
            "the socket is for the daemon's own user and for root",
        ),
        Error::Connect { .. } => (
            Exit::Unreachable,
            "start a daemon with opstead serve, or say which one with --data DIR or --connect URL",
        ),
        Error::Token { .. } => (Exit::NotPermitted, TOKEN_HINT),
        Error::Params(_) => (Exit::Usage, ""),
        _ => (Exit::Failed, ""),
    }
}

const TOKEN_HINT: &str = "the token is in the file admin.token of the daemon's data folder: --data DIR beside --connect, \
     or --token-file FILE";

fn tell_refusal(error: &ErrorObject) -> Told {
    let details = error.details().unwrap_or_default();
    let known = error.known();
    if known == Some(ErrorCode::Conflict) {
        return Told {
            exit: Exit::Rejected,
            sentence: "Rejected: it cannot be queued behind what is outstanding; nothing of it is \
                       stored."
                .to_owned(),
            details: reasons::lines(&details.reasons, None),
            hint: "opstead show ID tells more of an operation that is outstanding".to_owned(),
        };
    }
    let lines: Vec<String> = details
        .faults
        .iter()
        .map(|fault| format!("  {}", failure::fault(fault)))
        .collect();
    let (exit, hint) = exit_and_hint(error.code, known);
    let hint = match (details.use_method, details.state) {
        (Some(method), _) => format!("use opstead call {method}"),
        (None, Some(_)) => "opstead show ID tells how it ended".to_owned(),
        (None, None) => hint.to_owned(),
    };
    let mut faults = details.faults.iter();
    // Faults have a line each; the message lists them once more.
    let sentence = match lines.is_empty() {
        true => format!("opstead: {}.", failure::sentence(error)),
        false if faults.any(|fault| fault.pointer.starts_with("/kwargs")) => format!(
            "opstead: the arguments are not the method's ({}).",
            error.code
        ),
        false => format!("opstead: the request cannot be met ({}).", error.code),
    };
    Told {
        exit,
        sentence,
        details: lines,
        hint,
    }
}

/// The exit code of a refusal, and what the user can do.
fn exit_and_hint(code: i32, known: Option<ErrorCode>) -> (Exit, &'static str) {
    use ErrorCode as Code;
    match (code, known) {
        (METHOD_NOT_FOUND, _) => (Exit::Usage, "opstead methods shows the methods"),
        (INVALID_PARAMS, _) => (
            Exit::Usage,
            "opstead methods NAME shows the arguments of a method, opstead call --help the daemon's own",
        ),
        (PARSE_ERROR | INVALID_REQUEST, _) => (Exit::Usage, ""),
        (_, Some(Code::InvalidFilter)) => (
            Exit::Usage,
            "a filter is a glob like storage.*, or a regular expression with --type regexp",
        ),
        (_, Some(Code::InvalidPageToken | Code::WeightTooLarge | Code::NeedsWebSocket)) => {
            (Exit::Usage, "")
        }
        (_, Some(Code::AnswerTooLarge)) => (Exit::Usage, "ask for less at a time"),
        (_, Some(Code::IdReused)) => (
            Exit::Rejected,
            "an id belongs to one method and its arguments; choose another --id",
        ),
        (_, Some(Code::OperationNotFound)) => (Exit::Rejected, "opstead list --all shows the ids"),
        (_, Some(Code::CursorUnknown)) => (
            Exit::Rejected,
            "opstead status shows the log and its cursor",
        ),
        (_, Some(Code::ObjectNotFound | Code::OperationEnded | Code::StaleLease)) => {
            (Exit::Rejected, "")
        }
        (_, Some(Code::NotCancelable)) => (
            Exit::Rejected,
            "its method cannot be canceled while it runs",
        ),
        (_, Some(Code::CursorExpired)) => (Exit::Rejected, "begin with a later cursor"),
        (_, Some(Code::Overloaded | Code::ShuttingDown | Code::ExecutorUnavailable)) => {
            (Exit::Unreachable, "try again in a moment")
        }
        (_, Some(Code::StorageFailed)) => (
            Exit::Unreachable,
            "the outcome is unknown: repeat the call with the same --id, or see opstead tasks",
        ),
        (_, Some(Code::Unauthenticated)) => (Exit::NotPermitted, TOKEN_HINT),
        (_, Some(Code::PermissionDenied)) => (
            Exit::NotPermitted,
            "over TCP the Host of the URL must be an address of the daemon's, or be named in hosts of [listen] \
             in its configuration",
        ),
        _ => (Exit::Failed, ""),
    }
}

#[cfg(test)]
mod tests {
    use opstead_client::schema::{Cause, ClaimOperation, Fault, Reason, Resource};

    use super::*;

    fn refused(error: ErrorObject) -> Told {
        CliError::Daemon(Error::Refused(error)).tell()
    }

    #[test]
    fn a_conflict_is_told_in_words() {
        let reason = Reason {
            resource: Some(Resource {
                kind: "image".to_owned(),
                id: "vm".to_owned(),
            }),
            operation: Some(ClaimOperation::Delete),
            blocked_by: vec!["storage.Image.vm.1".to_owned()],
            ..Reason::of(Cause::Resource)
        };
        let told = refused(ErrorObject::with(ErrorCode::Conflict, "no", |details| {
            details.reasons = vec![reason];
        }));
        assert_eq!(told.exit, Exit::Rejected);
        assert!(told.sentence.starts_with("Rejected: "));
        assert_eq!(
            told.details,
            [
                "  Blocked by: storage.Image.vm.1, whose claim is",
                "    Resource: image vm",
                "    Operation: delete",
            ]
        );
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let fault = |pointer: &str| Fault {
            pointer: pointer.to_owned(),
            message: "is wrong".to_owned(),
        };
        let told = refused(ErrorObject::invalid_params(
            "kwargs",
            vec![fault("/a"), fault("/b/0")],
        ));
        assert_eq!(told.exit, Exit::Usage);
        assert_eq!(told.details, ["  a: is wrong", "  b/0: is wrong"]);
    }

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        use ErrorCode as Code;
        for (code, exit) in [
            (Code::InvalidFilter, Exit::Usage),
            (Code::IdReused, Exit::Rejected),
            (Code::OperationEnded, Exit::Rejected),
            (Code::Overloaded, Exit::Unreachable),
            (Code::Unauthenticated, Exit::NotPermitted),
            (Code::PermissionDenied, Exit::NotPermitted),
        ] {
            assert_eq!(refused(ErrorObject::new(code, "no")).exit, exit, "{code:?}");
        }
        assert_eq!(
            CliError::Daemon(Error::TimedOut).tell().exit,
            Exit::TimedOut
        );
        let connect = |kind: io::ErrorKind| {
            CliError::Daemon(Error::Connect {
                target: "unix:x".to_owned(),
                source: kind.into(),
            })
            .tell()
            .exit
        };
        assert_eq!(connect(io::ErrorKind::NotFound), Exit::Unreachable);
        assert_eq!(connect(io::ErrorKind::PermissionDenied), Exit::NotPermitted);
    }
}
