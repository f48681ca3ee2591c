"""The types of the wire, each as `PROTOCOL.md` describes it.

Generated from `schema/openrpc.json` by `generate.py`: do not edit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Optional

AlertEvent = Literal[
    # An operation is on disk.
    "registered",
    # It has to wait.
    "postponed",
    # An attempt was started.
    "started",
    # Its `operationInfo` changed.
    "progress",
    # An error that did not end it.
    "error",
    # Another attempt will follow.
    "retrying",
    # Its executor was told to stop.
    "canceling",
    # It ended well.
    "completed",
    # It ended with an error.
    "failed",
    # It ended because somebody asked.
    "canceled",
    # It will never start.
    "skipped",
    # It is being undone.
    "reverting",
    # It was undone.
    "reverted",
    # Undoing it failed.
    "revertFailed",
    # An object was changed by its subsystem.
    "object",
    # An object is no more.
    "retired",
]
"""What an alert tells of."""

AssignmentAction = Literal[
    # Carry out an attempt.
    "execute",
    # Undo what an operation did.
    "revert",
    # Stop carrying one out.
    "cancel",
    # Answer a query.
    "query",
]
"""What an executor is told to do."""

BookmarkKind = Literal[
    # Nothing matched for some time.
    "heartbeat",
    # The snapshot is complete.
    "caughtUp",
]
"""Why a bookmark is sent."""

Cause = Literal[
    # Another operation's claim on a resource.
    "resource",
    # Weight: too much is running.
    "capacity",
    # Nobody who carries out the method is here, or free (detail `busy`).
    "executor",
    # Only other versions of the method are offered.
    "version",
    # It is not time yet.
    "startTime",
    # Operations after which it is to start.
    "dependency",
    # The delay before another attempt.
    "retryDelay",
]
"""What kind of thing an operation waits for."""

ClaimOperation = Literal[
    # Reads it.
    "read",
    # Changes it.
    "update",
    # Makes it.
    "create",
    # Takes it away.
    "delete",
]
"""What an operation does to a resource that it claims; later ones are stronger."""

FilterType = Literal[
    # `*`, `?`, `[ab]`, `{a,b}`; also over dots.
    "glob",
    # A regular expression, anchored at both ends.
    "regexp",
]
"""How a filter is written."""

InterruptPolicy = Literal[
    # A new attempt.
    "retry",
    # It fails.
    "fail",
]
"""What becomes of an operation whose attempt was interrupted."""

MethodKind = Literal[
    # With a registration: it becomes an operation.
    "operation",
    # With its own answer, at once.
    "query",
]
"""What a call of the method is answered with."""

OperationDescription = Literal[
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
]
"""The agreed list of words, vague and reusable on purpose. Another word is another version of
the protocol.
"""

OperationState = Literal[
    # It waits for its start time and holds no claims.
    "scheduled",
    # It waits for what its reasons say.
    "waiting",
    # An executor carries it out.
    "running",
    # An executor was told to stop.
    "canceling",
    # It ended well.
    "completed",
    # It ended with an error.
    "failed",
    # It ended because somebody asked.
    "canceled",
    # It is being undone.
    "reverting",
    # It was undone.
    "reverted",
    # Undoing it failed.
    "revertFailed",
    # It will never start.
    "skipped",
]
"""Where an operation stands."""

Percentage = float
"""0 to 100, or -1 for unknown"""

Response = Literal[
    # Nothing holds it.
    "accepted",
    # It waits, and will start by itself.
    "postponed",
]
"""Whether a registered operation may start."""

Timestamp = str
"""RFC 3339, UTC, written with milliseconds"""

WaitMode = Literal[
    # It ends with the first.
    "any",
    # It ends with the last.
    "all",
]
"""How many of the operations a wait is for."""

WaitUntil = Literal[
    # That nothing more will happen to the operation.
    "done",
    # That the operation has changed after a cursor.
    "change",
]
"""What a wait is for."""


@dataclass(frozen=True)
class LastError:
    """The error that an operation ended with, or that an object stands in."""

    code: int
    """The same codes as call errors; 0 for none."""

    message: str
    """For a person; empty for none."""


@dataclass(frozen=True)
class Stage:
    """Stages *completed* out of a total. One stage in progress is `{0,1}`. `number == total`
    exactly when the operation has ended, however it ended.
    """

    number: int
    """Stages completed."""

    total: int
    """Stages there are; with 1, a user interface shows no stages."""


@dataclass(frozen=True)
class OperationInfo:
    """How far an operation or an object is, and how it stands. An update replaces whole
    members.
    """

    lastError: LastError
    """What went wrong last and for good; `{0, ""}` for nothing."""

    operationDescription: OperationDescription
    """A word from the agreed list."""

    percentage: Percentage
    """0 to 100, or -1 for unknown."""

    stage: Stage
    """Stages completed, out of how many."""

    stageDescription: str
    """Free text, finer than `operationDescription`; may be empty."""

    extraData: dict[str, Any] = field(default_factory=dict)
    """The subsystem's own."""


@dataclass(frozen=True)
class Alert:
    """One entry of the log that a subscriber is told of: the params of the notification
    `alert`.
    """

    alertName: str
    """Whom it is about."""

    cursor: int
    """Its place in the log."""

    event: AlertEvent
    """What happened."""

    operationInfo: OperationInfo
    """How that one stands now."""

    time: Timestamp
    """When it happened."""

    methodName: Optional[str] = None
    """What that operation runs."""

    operationId: Optional[str] = None
    """To which operation."""

    parent: Optional[str] = None
    """Which operation registered that one."""

    snapshot: bool = False
    """Nothing happened: this is how the object stands at the snapshot's cursor."""

    state: Optional[OperationState] = None
    """Where that operation stands."""

    subscription: Optional[str] = None
    """Whose alert it is; left out by `alerts.read`. The last member, so that the text before
    it can be shared among subscribers.
    """


@dataclass(frozen=True)
class AlertBookmark:
    """How far a subscription has come: the params of the notification `alertBookmark`."""

    cursor: int
    """The place from which to resume."""

    kind: BookmarkKind
    """Why it is sent."""

    subscription: str
    """Which subscription."""

    time: Timestamp
    """When that was."""


@dataclass(frozen=True)
class ErrorObject:
    """An error in the shape of JSON-RPC. Nothing stands beside these members."""

    code: int
    """What kind of error."""

    message: str
    """For a person."""

    data: Any = None
    """`{reason, retryable, …}` in errors of the daemon; the subsystem's own in others."""


@dataclass(frozen=True)
class AlertClosed:
    """A subscription that the daemon ended: the params of the notification `alertClosed`."""

    cursor: int
    """How far it had come."""

    error: ErrorObject
    """Why."""

    subscription: str
    """Which subscription."""


@dataclass(frozen=True)
class AlertsRead:
    """The answer to `alerts.read`."""

    alerts: list[Alert]
    """The alerts, in cursor order."""

    cursor: int
    """The place from which to read on."""

    more: bool
    """There are more at once."""


@dataclass(frozen=True)
class StepFailure:
    """What went wrong with a step: when it was carried out, or when it was reverted."""

    code: int
    """The same codes as call errors."""

    message: str
    """For a person; of a long one the first 1,024 bytes and `…`."""

    operationId: str
    """Its id."""

    step: str
    """Its name in the flow."""

    data: Any = None
    """Whatever else its executor said; left out in a flow's `error.data.reverts`."""


@dataclass(frozen=True)
class Assignment:
    """What an executor is told to do: the params of the notification `assignment`. Which
    members are there goes by the action.
    """

    action: AssignmentAction
    """What to do."""

    subscription: str
    """That of `executors.attach`."""

    attempt: Optional[int] = None
    """`execute`, `revert`: the number of the attempt, from 1. A revert is an attempt, too."""

    error: Optional[ErrorObject] = None
    """`revert`: how the operation itself ended, if it did not complete."""

    failures: list[StepFailure] = field(default_factory=list)
    """`revert`: the steps of the flow that failed, in the order in which they did; the first
    100.
    """

    kwargs: Optional[dict[str, Any]] = None
    """`execute`, `revert`, `query`: the arguments, with their secrets; of a step, with the
    results that it takes.
    """

    lease: Optional[str] = None
    """`execute`, `revert`, `cancel`: by which every call about the attempt names it."""

    methodName: Optional[str] = None
    """`execute`, `revert`, `query`: which method."""

    operationId: Optional[str] = None
    """`execute`, `revert`, `cancel`: with which operation."""

    queryId: Optional[str] = None
    """`query`: by which `executors.answer` names it."""

    result: Any = None
    """`revert`: what the operation returned, also if that is `null`."""

    startAt: Optional[Timestamp] = None
    """`execute` of a method that holds the schedule: do not begin before."""

    startBefore: Optional[Timestamp] = None
    """`execute` of a method that holds the schedule: do not begin later."""

    version: Optional[int] = None
    """`execute`, `revert`, `query`: in which version."""


@dataclass(frozen=True)
class Attached:
    """The answer to `executors.attach`, sent before the first assignment."""

    accepted: list[str]
    """Leases of `resume` that go on."""

    leaseMs: int
    """How long attempts are kept once the connection is gone."""

    refused: list[str]
    """Leases of `resume` that are over."""

    subscription: str
    """The subscription's id on this connection; while it lasts, the executor is attached."""


@dataclass(frozen=True)
class Claim:
    """An operation's hold on a resource. In a method's declaration `id` is a template:
    `{name}` takes a kwarg.
    """

    id: str
    """Which one of its kind."""

    operation: ClaimOperation
    """What is done to it."""

    type: str
    """What kind of thing is claimed."""


@dataclass(frozen=True)
class Dependency:
    """An operation that another one waits for."""

    id: str
    """Whose end is awaited."""

    states: list[OperationState] = field(default_factory=list)
    """In which states it may have ended; completed if left out by a caller."""


@dataclass(frozen=True)
class Dismissed:
    """The answer to `operations.dismiss`."""

    dismissed: int
    """How many operations were removed."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in parameters."""

    message: str
    """What is wrong and what is allowed."""

    pointer: str
    """JSON pointer to it within the parameters."""


@dataclass(frozen=True)
class Resource:
    """Something that operations claim."""

    id: str
    """Which one of its kind."""

    type: str
    """What kind of thing it is."""


@dataclass(frozen=True)
class Reason:
    """One reason why an operation is not running. There is one for each resource and
    outstanding operation on it.
    """

    cause: Cause
    """What it waits for."""

    blockedBy: list[str] = field(default_factory=list)
    """The ids of the 16 oldest blockers, in registration order."""

    detail: Optional[str] = None
    """Whatever else is to be said."""

    more: bool = False
    """Whether there are blockers beside those named."""

    operation: Optional[ClaimOperation] = None
    """What is outstanding on the resource."""

    resource: Optional[Resource] = None
    """The resource that is claimed."""


@dataclass(frozen=True)
class ErrorDetails:
    """What the daemon's own errors say in `data`. Members are there where the table says so."""

    cursor: Optional[int] = None
    """The cursor in question."""

    faults: list[Fault] = field(default_factory=list)
    """What was found wrong in the parameters, all of it."""

    logId: Optional[str] = None
    """The log that cursors belong to."""

    moreReverts: Optional[int] = None
    """Of a flow that stands in `revertFailed`: how many further steps there are whose revert
    failed.
    """

    notReverted: list[str] = field(default_factory=list)
    """Of a flow: the steps that stay as they are because their methods cannot be reverted."""

    oldestCursor: Optional[int] = None
    """The oldest place from which alerts can still be read."""

    position: Optional[int] = None
    """Where in the filter, in characters from its beginning."""

    reason: str = ""
    """The error's name."""

    reasons: list[Reason] = field(default_factory=list)
    """What the request conflicts with."""

    retryAfterMs: Optional[int] = None
    """When to ask again."""

    retryable: bool = False
    """Whether the same request may succeed later."""

    reverts: list[StepFailure] = field(default_factory=list)
    """Of a flow that stands in `revertFailed`: the steps whose revert failed, and how; the
    first 100.
    """

    state: Optional[OperationState] = None
    """How the operation ended."""

    use: Optional[str] = None
    """The method to use instead."""


@dataclass(frozen=True)
class OfferedMethod:
    """A method that an executor offers."""

    name: str
    """`<subsystem>.<method>`."""

    version: int
    """Its version."""


@dataclass(frozen=True)
class ExecutorInfo:
    """Somebody who carries out methods."""

    attached: bool
    """Whether it is here now; one in process always is."""

    capacity: int
    """How many operations it carries out at a time."""

    executor: str
    """Its name."""

    methods: list[OfferedMethod]
    """What it carries out."""

    running: int
    """How many it carries out now."""


@dataclass(frozen=True)
class ExecutorsList:
    """The answer to `executors.list`."""

    executors: list[ExecutorInfo]
    """Those who carry out methods, by name."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and when a failed attempt is followed by another."""

    factor: float
    """By how much each delay is longer than the one before."""

    initialMs: int
    """The delay before the second one."""

    maxAttempts: int
    """How many attempts there may be."""

    maxMs: int
    """The longest delay."""


@dataclass(frozen=True)
class FlowStep:
    """A step of a flow: an operation whose arguments may take other steps' results."""

    methodName: str
    """What to run: `<subsystem>.<method>`."""

    name: str
    """What the flow calls it; its id is `<flow id>.<name>`."""

    kwargs: dict[str, Any] = field(default_factory=dict)
    """Its arguments, an object. Anywhere within, `{"$result": "step"}` takes the result of
    another step, and `{"$result": "step#/pointer"}` a part of it.
    """

    requires: Optional[list[str]] = None
    """Names of the steps that must have completed, beside those whose results it takes."""

    retry: Optional[RetryPolicy] = None
    """In place of what the method declares of further attempts."""

    version: Optional[int] = None
    """Of the method; the highest declared if left out."""


@dataclass(frozen=True)
class InfoUpdate:
    """Members of an `OperationInfo` that are replaced; the others stay."""

    extraData: Optional[dict[str, Any]] = None
    """The subsystem's own, an object."""

    lastError: Optional[LastError] = None
    """The error that stands."""

    operationDescription: Optional[OperationDescription] = None
    """A word from the agreed list."""

    percentage: Optional[float] = None
    """0 to 100, or -1 for unknown."""

    stage: Optional[Stage] = None
    """Stages completed, out of how many."""

    stageDescription: Optional[str] = None
    """Free text, finer than `operationDescription`."""


@dataclass(frozen=True)
class Limits:
    """The bounds of a daemon. Over them is a typed error, never memory."""

    answerBytes: int
    """Bytes of an answer; over it `answerTooLarge` names the paged method."""

    callsInFlight: int
    """Calls in flight on one connection; further ones wait their turn."""

    claims: int
    """Claims of one operation."""

    connections: int
    """Connections at a time."""

    filterBytes: int
    """Bytes of a filter."""

    openOperations: int
    """Operations that are not done."""

    reportBytes: int
    """Bytes of an `operationInfo`, of a non-fatal error, of a declaration."""

    requestBytes: int
    """Bytes of a request."""

    resultBytes: int
    """Bytes of an operation's result or error."""

    subscriptions: int
    """Subscriptions of one connection."""

    waits: int
    """Waits and long polls in flight on one connection."""

    writeTimeoutMs: int
    """How long a subscriber may leave its connection unread."""

    capacity: int = 0
    """The weight of all that runs."""

    children: int = 0
    """Operations that one may register while it runs."""

    dependencies: int = 0
    """Operations that one may follow."""

    flowSteps: int = 0
    """Steps of a flow."""


@dataclass(frozen=True)
class Matches:
    """The answer to `filters.test`."""

    matches: list[str]
    """Which names match, in the order given."""


@dataclass(frozen=True)
class MethodDeclaration:
    """A method, what it claims and how it behaves."""

    kind: MethodKind
    """Operation or query."""

    name: str
    """`<subsystem>.<method>`."""

    summary: str
    """One line for a person."""

    attemptTimeoutMs: Optional[int] = None
    """How long an attempt may take."""

    cancelable: bool = False
    """Whether it can be canceled while it runs."""

    claims: list[Claim] = field(default_factory=list)
    """Templates of what it claims."""

    holdsSchedule: bool = False
    """Whether its executor keeps the start time itself."""

    kwargsSchema: Optional[dict[str, Any]] = None
    """JSON Schema of its kwargs."""

    object: Optional[str] = None
    """Template of the object that it is about, without the subsystem: `VM.{vmID}`."""

    onInterrupt: InterruptPolicy = "fail"
    """What becomes of it when its attempt is interrupted."""

    retry: Optional[RetryPolicy] = None
    """Whether a failed attempt is followed by another."""

    revertible: bool = False
    """Whether it can be undone."""

    secrets: list[str] = field(default_factory=list)
    """Paths of kwargs that are never shown."""

    version: int = 1
    """Its version."""

    weight: int = 0
    """Its share of the capacity."""


@dataclass(frozen=True)
class MethodsList:
    """The answer to `methods.list`."""

    methods: list[MethodDeclaration]
    """What is declared, by name and version."""


@dataclass(frozen=True)
class NonFatalError:
    """An error that does not end its operation, durable as it is recorded."""

    code: int
    """The same codes as call errors."""

    message: str
    """For a person."""

    time: Timestamp
    """When it was recorded."""

    data: Any = None
    """Whatever else the executor said."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object as it stands."""

    alertName: str
    """Its name: `<subsystem>(.<objectType>)?.<object>(.<subobject>)*`."""

    cursor: int
    """The place of the object's last alert."""

    operationInfo: OperationInfo
    """That of its latest-started operation that has not ended, else of what came last."""

    updatedAt: Timestamp
    """When that was."""

    operationId: Optional[str] = None
    """The operation that says so; none if the subsystem published it."""


@dataclass(frozen=True)
class ObjectsPage:
    """A page of `objects.list`."""

    cursor: int
    """The place in the log at which the page is true."""

    logId: str
    """The log that the cursor belongs to."""

    objects: list[ObjectInfo]
    """The objects of this page, by alert name: perhaps fewer than asked for, though others
    follow.
    """

    nextPageToken: Optional[str] = None
    """What to ask for the next page with; none after the last one."""


@dataclass(frozen=True)
class Operation:
    """The whole record of an operation, true at its `cursor`."""

    after: list[Dependency]
    """What must be done before it starts."""

    alertName: str
    """The name that its alerts bear: that of its object, or one of its own."""

    attempt: int
    """The number of its latest attempt, from 1; 0 before the first."""

    claims: list[Claim]
    """What it claims."""

    cursor: int
    """The place in the log up to which this record is true."""

    done: bool
    """Nothing more will happen to it."""

    id: str
    """Its id, chosen by the caller or made by the daemon."""

    kwargs: dict[str, Any]
    """Its arguments, secrets replaced by `"***"`."""

    maxAttempts: int
    """How many attempts it may have."""

    methodName: str
    """What it runs: `<subsystem>.<method>`."""

    nonFatalErrors: list[NonFatalError]
    """Errors that did not end it, in the order recorded."""

    operationInfo: OperationInfo
    """How far it is."""

    reasons: list[Reason]
    """Why it is not running; empty when nothing holds it."""

    registeredAt: Timestamp
    """When it was registered."""

    registeredBy: str
    """Who registered it."""

    spawnedTasks: list[str]
    """The ids of the operations that it registered."""

    state: OperationState
    """Where it stands."""

    subsystem: str
    """Whose method it is."""

    tags: list[str]
    """The caller's own words."""

    version: int
    """The version of the method."""

    weight: int
    """Its share of the capacity."""

    error: Optional[ErrorObject] = None
    """The fatal error."""

    executor: Optional[str] = None
    """Who carries it out."""

    finishedAt: Optional[Timestamp] = None
    """When it ended."""

    parent: Optional[str] = None
    """The operation that registered it."""

    result: Any = None
    """What the method returned; there, also as `null`, once it is completed. After a fatal
    error the error.
    """

    startAt: Optional[Timestamp] = None
    """Not before."""

    startBefore: Optional[Timestamp] = None
    """Not later."""

    startedAt: Optional[Timestamp] = None
    """When it was first started."""


@dataclass(frozen=True)
class OperationsPage:
    """A page of `operations.list`."""

    cursor: int
    """The place in the log at which the page is true."""

    logId: str
    """The log that the cursor belongs to."""

    operations: list[Operation]
    """The operations of this page: perhaps fewer than asked for, or none, though others
    follow.
    """

    nextPageToken: Optional[str] = None
    """What to ask for the next page with; none after the last one."""


@dataclass(frozen=True)
class Registration:
    """The answer to `operations.register`; given only when the operation is on disk."""

    alertName: str
    """The name that its alerts bear."""

    cursor: int
    """The place of its `registered` alert."""

    existing: bool
    """It had been registered before, with this id."""

    id: str
    """The operation's id."""

    logId: str
    """The log that the cursor belongs to."""

    reasons: list[Reason]
    """What the operation waits for."""

    response: Response
    """`accepted` exactly when `reasons` is empty."""

    state: OperationState
    """Where it stands."""


@dataclass(frozen=True)
class Subscribed:
    """The answer to `alerts.subscribe`, sent before the first alert."""

    cursor: int
    """The place after which alerts are sent."""

    logId: str
    """The log that the cursor belongs to."""

    oldestCursor: int
    """The oldest place from which alerts can still be read."""

    subscription: str
    """The subscription's id on this connection."""


@dataclass(frozen=True)
class SystemStatus:
    """How the daemon is: the answer to `system.status`."""

    counts: dict[str, int]
    """How many operations are kept, by state; states without any may be left out."""

    cursor: int
    """The head of the log."""

    executors: list[ExecutorInfo]
    """Those who carry out methods."""

    limits: Limits
    """Over these, a request is refused or reduced."""

    logId: str
    """The log that its cursors belong to."""

    oldestCursor: int
    """The oldest place from which alerts can still be read."""

    uptimeMs: int
    """How long the daemon has been running."""

    version: str
    """The daemon's version."""


@dataclass(frozen=True)
class Taken:
    """The answer to what an executor says."""

    cursor: int
    """The place in the log at which it was taken."""


@dataclass(frozen=True)
class TaskInfo:
    """An operation that is not done, as `getRunningTasks` shows it."""

    id: str
    """The operation's id."""

    kwargs: dict[str, Any]
    """Its arguments, secrets replaced by `"***"`."""

    methodName: str
    """What it runs: `<subsystem>.<method>`."""


@dataclass(frozen=True)
class WaitResult:
    """The answer to `operations.wait`."""

    cursor: int
    """The place in the log at which the answer is true."""

    operations: list[Operation]
    """Those waited for, as they stand."""

    timedOut: bool
    """The time was over before what was awaited."""
