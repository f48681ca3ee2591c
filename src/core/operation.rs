//! Operations: the unit of work, from registration to its end, and the words they are described in.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::conditions::{Conditions, Course};
use crate::event::Cursor;
use crate::failure::Failure;
use crate::json::Json;

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// Where an operation stands. The one table of what may follow what is in `decide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperationState {
    /// Registered for a later time; it holds no claims yet.
    Scheduled,
    /// Registered; something is still in its way.
    Waiting,
    /// Handed to an executor.
    Running,
    /// Somebody asked to cancel it; its executor has not answered yet.
    Canceling,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody canceled it.
    Canceled,
    /// Ended before it started, because what it was to follow ended otherwise.
    Skipped,
    /// A step, or a whole flow, is being undone.
    Reverting,
    /// Ended by being undone.
    Reverted,
    /// It could not be undone; somebody has to say how it goes on.
    RevertFailed,
}

impl OperationState {
    /// Every state, in the order in which they are counted and shown.
    pub const ALL: [Self; 11] = [
        Self::Scheduled,
        Self::Waiting,
        Self::Running,
        Self::Canceling,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::Skipped,
        Self::Reverting,
        Self::Reverted,
        Self::RevertFailed,
    ];

    /// Whether it is an end. A step of a flow that is not done may still be reverted after it.
    pub fn has_ended(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Canceled | Self::Skipped | Self::Reverted
        )
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
            Self::RevertFailed => "revertFailed",
        }
    }
}

/// Who an operation is: fixed at registration and named by each of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The cursor of its `registered` event: the order of registration.
    pub sequence: Cursor,
    /// Chosen by the caller, or made from the alert name.
    pub id: Arc<str>,
    /// The object it works on, or its own name when there is none.
    pub alert_name: Arc<str>,
    /// `<subsystem>.<method>`.
    pub method_name: Arc<str>,
    /// Who registered it while it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Arc<Parent>>,
}

/// An operation that registered another while it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its place in the order of registration.
    pub sequence: Cursor,
    /// Its id.
    pub id: Arc<str>,
}

impl Subject {
    /// The part of the method name before the first dot.
    pub fn subsystem(&self) -> &str {
        self.method_name.split('.').next().unwrap_or_default()
    }
}

/// What was asked for: fixed at registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the method.
    pub version: u32,
    /// As the caller wrote them.
    pub kwargs: Json,
    /// At most one for a resource; the strongest counts.
    pub claims: Vec<Claim>,
    /// The caller's labels.
    pub tags: Vec<Arc<str>>,
    /// When it was registered.
    pub registered_at: Time,
    /// Who registered it.
    pub registered_by: Arc<str>,
    /// Whether the alert name is that of an object, not of the operation itself.
    pub has_object: bool,
    /// Whether its executor can be asked to stop.
    pub cancelable: bool,
    /// What becomes of an attempt whose executor is lost.
    pub on_interrupt: OnInterrupt,
    /// Whatever else was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Box<Conditions>>,
}

/// What becomes of an attempt whose executor is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnInterrupt {
    /// The operation ends as `executorLost`.
    #[default]
    Fail,
    /// A new attempt is made; the fifth interruption ends it.
    Retry,
}

/// A hold on a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What is held.
    pub resource: Arc<Resource>,
    /// What for.
    pub operation: ClaimOperation,
}

/// A thing that operations conflict about, as `{type, id}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// The kind of resource, as `image`.
    pub kind: Arc<str>,
    /// Which one of that kind.
    pub id: Arc<str>,
}

/// What a claim is for, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimOperation {
    /// Shared: reads run beside one another.
    Read,
    /// Alone among what is registered before and after, but reads may pass while it waits.
    Update,
    /// Brings the resource into being.
    Create,
    /// Ends the resource's being.
    Delete,
}

impl ClaimOperation {
    /// Every claim operation.
    pub const ALL: [Self; 4] = [Self::Read, Self::Update, Self::Create, Self::Delete];

    /// Those that reads wait for.
    pub(crate) const BARRIERS: [Self; 2] = [Self::Create, Self::Delete];

    /// Whether reads wait for it.
    pub(crate) fn is_barrier(self) -> bool {
        Self::BARRIERS.contains(&self)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Update => "update",
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

/// How far an operation has come, in words that any client understands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationInfo {
    /// A word of the agreed list.
    pub description: Arc<str>,
    /// Free text, finer than `description`; may be empty.
    pub stage_description: Arc<str>,
    /// Stages completed out of all.
    pub stage: Stage,
    /// 0 to 100, or -1 for unknown.
    pub percentage: f64,
    /// The error that stands, code 0 for none.
    pub last_error: LastError,
    /// The subsystem's own, a JSON object.
    pub extra_data: Json,
}

/// Stages completed out of all. A running operation has `number < total`, one that ended `number
/// == total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Completed stages.
    pub number: u32,
    /// All stages, at least 1.
    pub total: u32,
}

/// The error that stands: code 0 and an empty message for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The same codes as call errors.
    pub code: i32,
    /// For people.
    pub message: Arc<str>,
}

/// The agreed list of operation descriptions; any other word is refused.
pub const DESCRIPTIONS: [&str; 26] = [
    "Waiting",
    "Creating",
    "Configuring",
    "Copying",
    "Merging",
    "Moving",
    "Migration",
    "Resizing",
    "Deleting",
    "Updating",
    "Synchronizing",
    "Publishing",
    "Installing",
    "Removing",
    "Verifying",
    "Starting",
    "Running",
    "Pausing",
    "Paused",
    "Stopping",
    "Stopped",
    "Reverting",
    "Canceling",
    "Completed",
    "Failed",
    "Canceled",
];

/// The agreed words, shared by all that they are said of.
static WORDS: LazyLock<[Arc<str>; 26]> = LazyLock::new(|| DESCRIPTIONS.map(Arc::from));

/// What is said of an operation that waits for its first attempt, and of one that has just begun.
static WAITING: LazyLock<Arc<OperationInfo>> =
    LazyLock::new(|| Arc::new(OperationInfo::new("Waiting")));
static RUNNING: LazyLock<Arc<OperationInfo>> =
    LazyLock::new(|| Arc::new(OperationInfo::new("Running")));

impl OperationInfo {
    /// What the daemon says of an operation that no executor has spoken of yet.
    pub fn new(description: &str) -> Self {
        Self {
            description: word(description),
            stage_description: Arc::default(),
            stage: Stage {
                number: 0,
                total: 1,
            },
            percentage: -1.0,
            last_error: LastError::default(),
            extra_data: Json::empty_object(),
        }
    }

    /// The info of a new operation, shared by all of them.
    pub(crate) fn waiting() -> Arc<Self> {
        WAITING.clone()
    }

    /// The same with the daemon's own word as the description.
    pub(crate) fn described(&self, description: &str) -> Self {
        Self {
            description: word(description),
            ..self.clone()
        }
    }

    /// The same, running. The error of an attempt before is behind it.
    pub(crate) fn running(self: &Arc<Self>, attempt_failed: bool) -> Arc<Self> {
        if Arc::ptr_eq(self, &WAITING) {
            return RUNNING.clone();
        }
        let mut info = self.described("Running");
        if attempt_failed {
            info.last_error = LastError::default();
        }
        Arc::new(info)
    }

    /// The same, waiting for another attempt: of its progress nothing is left.
    pub(crate) fn waiting_again(&self) -> Self {
        let mut info = self.described("Waiting");
        info.stage.number = 0;
        info.percentage = -1.0;
        info
    }
}

fn word(description: &str) -> Arc<str> {
    let known = WORDS.iter().find(|word| ***word == *description);
    known.cloned().unwrap_or_else(|| description.into())
}

/// Members of an [`OperationInfo`] that an executor replaces; the others stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InfoUpdate {
    /// A word of the agreed list.
    pub description: Option<Arc<str>>,
    /// Free text.
    pub stage_description: Option<Arc<str>>,
    /// Stages completed out of all.
    pub stage: Option<Stage>,
    /// 0 to 100, or -1 for unknown.
    pub percentage: Option<f64>,
    /// The error that stands.
    pub last_error: Option<LastError>,
    /// A JSON object.
    pub extra_data: Option<Json>,
}

impl InfoUpdate {
    /// Lays a later update over this one.
    pub fn merge(&mut self, later: Self) {
        fn replace<T>(member: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *member = later;
            }
        }
        replace(&mut self.description, later.description);
        replace(&mut self.stage_description, later.stage_description);
        replace(&mut self.stage, later.stage);
        replace(&mut self.percentage, later.percentage);
        replace(&mut self.last_error, later.last_error);
        replace(&mut self.extra_data, later.extra_data);
    }
}

/// An error that was recorded while the operation went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonFatalError {
    /// When it was recorded.
    pub time: Time,
    /// What it was.
    pub failure: Failure,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With this result.
    Completed(Json),
    /// With this error.
    Failed(Failure),
    /// Because somebody canceled it.
    Canceled(Failure),
    /// Before it started, because what it was to follow ended otherwise.
    Skipped(Failure),
    /// A flow: by being reverted because of this error.
    Reverted(Failure),
}

/// The whole record of one operation, open or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Who it is.
    pub subject: Arc<Subject>,
    /// What was asked for.
    pub request: Arc<Request>,
    /// Where it stands.
    pub state: OperationState,
    /// How far it has come.
    pub info: Arc<OperationInfo>,
    /// Whether an executor has set the description of this attempt.
    pub described: bool,
    /// Attempts handed out so far; the lease of the present one is `(sequence, attempt)`.
    pub attempt: u32,
    /// Attempts that were interrupted.
    pub interruptions: u32,
    /// Who carries out, or carried out, the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Arc<str>>,
    /// When the first attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// In the order recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_fatal_errors: Vec<NonFatalError>,
    /// The cursor of its latest event.
    pub cursor: Cursor,
    /// The time of its latest event.
    pub updated_at: Time,
    /// What becomes of its conditions, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Box<Course>>,
    /// What it waits for beside executor and capacity: claims, dependencies, a delay, a place.
    /// Derived, so never written.
    #[serde(skip)]
    pub(crate) unmet: u32,
}
