//! The table of methods that the daemon answers itself. What registers, documents or calls methods
//! goes by it.

use crate::ErrorCode;

/// The OpenRPC document of [`METHODS`], as `rpc.discover` answers it. A test of this package makes
/// it anew and fails if the committed file differs.
pub const OPENRPC: &str = include_str!("../openrpc.json");

/// A method that the daemon answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name on the wire.
    pub name: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// Its parameters in the order of the protocol, by which they are read from an array.
    pub params: &'static [Param],
    /// The type of its answer; `[]` after a name says an array of it.
    pub result: &'static str,
    /// What it can refuse, beside parameters and what can happen to any call.
    pub errors: &'static [ErrorCode],
    /// It changes something, so it takes effect in the order sent.
    pub mutates: bool,
    /// It pushes, so HTTP is not enough.
    pub needs_web_socket: bool,
    /// It may take long to answer, and counts among the waits rather than the calls in flight.
    pub waits: bool,
}

/// A parameter of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name on the wire.
    pub name: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// It cannot be left out.
    pub required: bool,
}

/// The method of this name, if the daemon answers it itself.
#[must_use]
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Every method that the daemon answers itself, in the order of the protocol.
pub const METHODS: &[Method] = &[
    Method {
        params: &[optional("filter", "On ids; all if left out."), FILTER_TYPE],
        errors: &[ErrorCode::InvalidFilter, ErrorCode::AnswerTooLarge],
        ..read(
            "getRunningTasks",
            "Every operation that is not done.",
            "TaskInfo[]",
        )
    },
    Method {
        params: &[required("alertName", "The object's alert name.")],
        errors: &[ErrorCode::ObjectNotFound],
        ..read("getOperationInfo", "How an object stands.", "ObjectInfo")
    },
    Method {
        params: &[FILTER, FILTER_TYPE, PAGE_SIZE, PAGE_TOKEN],
        errors: &[ErrorCode::InvalidFilter, ErrorCode::InvalidPageToken],
        ..read(
            "objects.list",
            "The objects there are, by alert name.",
            "ObjectsPage",
        )
    },
    Method {
        params: &[
            required("methodName", "What to run: <subsystem>.<method>."),
            optional("kwargs", "Its arguments, an object."),
            optional("id", OWN_ID),
            optional(
                "version",
                "Of the method; the highest declared if left out.",
            ),
            optional("claims", "Claims beside the declared ones."),
            optional("weight", "Replaces the declared weight."),
            optional("startAt", START_AT),
            optional("startBefore", START_BEFORE),
            optional("after", AFTER),
            optional("retry", "Replaces what is declared of further attempts."),
            optional("tags", TAGS),
            optional(
                "lease",
                "Of the attempt that registers this one as its child.",
            ),
        ],
        errors: REGISTER_ERRORS,
        mutates: true,
        ..read(
            "operations.register",
            "Register an operation durably.",
            "Registration",
        )
    },
    Method {
        params: &[ID],
        errors: &[ErrorCode::OperationNotFound],
        ..read(
            "operations.get",
            "The whole record of an operation.",
            "Operation",
        )
    },
    Method {
        params: &[
            FILTER,
            FILTER_TYPE,
            optional("states", "In one of these states; all if left out."),
            optional("subsystem", "Of this subsystem."),
            optional("methodName", "Running this method."),
            optional(
                "resource",
                "Claiming this resource; in the order of execution.",
            ),
            optional("parent", "Registered by this operation."),
            optional("tags", "Bearing all of these."),
            PAGE_SIZE,
            PAGE_TOKEN,
        ],
        errors: &[ErrorCode::InvalidFilter, ErrorCode::InvalidPageToken],
        ..read(
            "operations.list",
            "The operations that are kept.",
            "OperationsPage",
        )
    },
    Method {
        params: &[
            optional("ids", "For these; not with filter."),
            optional(
                "filter",
                "For those not done at the call whose alert name matches; all if left out.",
            ),
            FILTER_TYPE,
            optional("mode", "any or all of them; all if left out."),
            optional("until", "done, or change; done if left out."),
            optional("after", "The cursor after which a change counts."),
            TIMEOUT,
        ],
        errors: &[
            ErrorCode::OperationNotFound,
            ErrorCode::InvalidFilter,
            ErrorCode::CursorUnknown,
            ErrorCode::Overloaded,
        ],
        waits: true,
        ..read(
            "operations.wait",
            "Wait for operations; a time-out is no error.",
            "WaitResult",
        )
    },
    Method {
        params: &[ID],
        errors: &[
            ErrorCode::OperationNotFound,
            ErrorCode::OperationEnded,
            ErrorCode::NotCancelable,
            ErrorCode::Overloaded,
            ErrorCode::ShuttingDown,
            ErrorCode::StorageFailed,
        ],
        mutates: true,
        ..read("operations.cancel", "Cancel an operation.", "Operation")
    },
    Method {
        params: &[REVERT_FAILED],
        errors: UNSTICK_ERRORS,
        mutates: true,
        ..read(
            "operations.retry",
            "Try again to revert what could not be reverted.",
            "Operation",
        )
    },
    Method {
        params: &[REVERT_FAILED],
        errors: UNSTICK_ERRORS,
        mutates: true,
        ..read(
            "operations.skip",
            "Take for reverted what could not be reverted.",
            "Operation",
        )
    },
    Method {
        params: &[
            optional(
                "ids",
                "These; who is unknown or not done is passed over. Or by finishedBefore.",
            ),
            optional("finishedBefore", "Those that ended before."),
            optional("states", "And that are in one of these states."),
        ],
        errors: &[
            ErrorCode::Overloaded,
            ErrorCode::ShuttingDown,
            ErrorCode::StorageFailed,
        ],
        mutates: true,
        ..read(
            "operations.dismiss",
            "Forget operations that are done.",
            "Dismissed",
        )
    },
    Method {
        params: &[
            optional("id", OWN_ID),
            required("name", "What the flow is called."),
            required("steps", "What it consists of; at least one."),
            optional("tags", TAGS),
            optional("startAt", START_AT),
            optional("startBefore", START_BEFORE),
            optional("after", AFTER),
            optional(
                "lease",
                "Of the attempt that registers the flow as its child.",
            ),
        ],
        errors: REGISTER_ERRORS,
        mutates: true,
        ..read(
            "flows.register",
            "Register operations that succeed or are reverted together.",
            "Registration",
        )
    },
    Method {
        params: &[
            FILTER,
            FILTER_TYPE,
            optional(
                "after",
                "The cursor after which to start; the head if left out.",
            ),
            LOG_ID,
            optional(
                "snapshot",
                "First how every matching object stands; not with after.",
            ),
            optional(
                "bookmarkMs",
                "Send a bookmark after that long without an alert; 0: never.",
            ),
        ],
        errors: &[
            ErrorCode::InvalidFilter,
            ErrorCode::CursorExpired,
            ErrorCode::CursorUnknown,
            ErrorCode::NeedsWebSocket,
            ErrorCode::Overloaded,
        ],
        needs_web_socket: true,
        ..read(
            "alerts.subscribe",
            "Be sent the alerts that match a filter.",
            "Subscribed",
        )
    },
    Method {
        params: &[required("subscription", "Which subscription.")],
        errors: &[ErrorCode::NeedsWebSocket],
        needs_web_socket: true,
        ..read("alerts.unsubscribe", "End a subscription.", "true")
    },
    Method {
        params: &[
            FILTER,
            FILTER_TYPE,
            required(
                "after",
                "The cursor after which to read; 0 is the log's beginning.",
            ),
            LOG_ID,
            optional("limit", "How many at most; 1,000 if left out, and at most."),
            optional(
                "timeoutMs",
                "How long to wait for the first one; 0 if left out.",
            ),
        ],
        errors: &[
            ErrorCode::InvalidFilter,
            ErrorCode::CursorExpired,
            ErrorCode::CursorUnknown,
            ErrorCode::Overloaded,
        ],
        waits: true,
        ..read(
            "alerts.read",
            "The alerts after a cursor, without a subscription.",
            "AlertsRead",
        )
    },
    Method {
        params: &[
            required("filter", "The filter in question."),
            FILTER_TYPE,
            optional(
                "names",
                "The names to try; the present alert names if left out.",
            ),
        ],
        errors: &[ErrorCode::InvalidFilter],
        ..read("filters.test", "Which names a filter matches.", "Matches")
    },
    Method {
        params: &[
            required("executor", "Its name."),
            required("methods", "What it carries out: declarations."),
            optional(
                "capacity",
                "How many operations at a time; 1 if left out, 0 for none.",
            ),
            optional("resume", "Leases of attempts that it goes on with."),
        ],
        errors: &[
            ErrorCode::NeedsWebSocket,
            ErrorCode::Overloaded,
            ErrorCode::ShuttingDown,
            ErrorCode::StorageFailed,
        ],
        mutates: true,
        needs_web_socket: true,
        ..read(
            "executors.attach",
            "Carry out operations, which are assigned from then on.",
            "Attached",
        )
    },
    Method {
        params: &[
            LEASE,
            optional("operationInfo", "The members that are replaced."),
            optional("nonFatalError", "An error that does not end it."),
        ],
        ..say("executors.update", "Report how far an attempt is.")
    },
    Method {
        params: &[LEASE, optional("result", "Any JSON; null if left out.")],
        ..say("executors.complete", "End an attempt with its result.")
    },
    Method {
        params: &[LEASE, required("error", "Why.")],
        ..say("executors.fail", "End an attempt with an error.")
    },
    Method {
        params: &[LEASE],
        ..say(
            "executors.canceled",
            "End an attempt because it was to stop.",
        )
    },
    Method {
        params: &[
            required("queryId", "Which query."),
            optional("result", "Its answer; or an error."),
            optional("error", "Why there is no answer."),
        ],
        ..say("executors.answer", "Answer a query.")
    },
    Method {
        params: &[required(
            "capacity",
            "How many operations at a time; 0 for none.",
        )],
        ..say(
            "executors.capacity",
            "Carry out more, fewer or none at a time.",
        )
    },
    Method {
        params: &[
            required("alertName", "Which object, of a subsystem of one's own."),
            required("operationInfo", "How it stands."),
        ],
        ..say("objects.publish", "Tell how an object stands.")
    },
    Method {
        params: &[required(
            "alertName",
            "Which object, of a subsystem of one's own.",
        )],
        errors: &[
            ErrorCode::ObjectNotFound,
            ErrorCode::StaleLease,
            ErrorCode::NeedsWebSocket,
            ErrorCode::Overloaded,
            ErrorCode::ShuttingDown,
            ErrorCode::StorageFailed,
        ],
        ..say("objects.retire", "Tell that an object is no more.")
    },
    read("methods.list", "What is declared.", "MethodsList"),
    read(
        "executors.list",
        "Who carries out methods.",
        "ExecutorsList",
    ),
    read(
        "system.status",
        "How the daemon is, and its limits.",
        "SystemStatus",
    ),
    read("rpc.discover", "This description.", "OpenRpcDocument"),
];

const OWN_ID: &str = "An id of one's own, so that the request can be repeated.";
const START_AT: &str = "Start not before.";
const START_BEFORE: &str = "Start not later.";
const AFTER: &str = "Start when these operations are done.";
const TAGS: &str = "Words of one's own, to find it by.";
const REGISTER_ERRORS: &[ErrorCode] = &[
    ErrorCode::Conflict,
    ErrorCode::OperationNotFound,
    ErrorCode::IdReused,
    ErrorCode::StaleLease,
    ErrorCode::WeightTooLarge,
    ErrorCode::Canceled,
    ErrorCode::Overloaded,
    ErrorCode::ShuttingDown,
    ErrorCode::StorageFailed,
];
const UNSTICK_ERRORS: &[ErrorCode] = &[
    ErrorCode::OperationNotFound,
    ErrorCode::OperationEnded,
    ErrorCode::Overloaded,
    ErrorCode::ShuttingDown,
    ErrorCode::StorageFailed,
];
const FILTER: Param = optional("filter", "On alert names; all if left out.");
const FILTER_TYPE: Param = optional("filterType", "glob or regexp; glob if left out.");
const PAGE_SIZE: Param = optional(
    "pageSize",
    "Entries of a page; 100 if left out, 1,000 at most.",
);
const PAGE_TOKEN: Param = optional("pageToken", "nextPageToken of the page before.");
const TIMEOUT: Param = optional(
    "timeoutMs",
    "How long; 30,000 if left out, 300,000 at most.",
);
const LOG_ID: Param = optional("logId", "The log that the cursor belongs to.");
const ID: Param = required("id", "The operation's id.");
const REVERT_FAILED: Param = required("id", "Of a step in revertFailed, or of its flow for all.");
const LEASE: Param = required("lease", "Of which attempt.");

/// A method without parameters that changes nothing and answers at once, from which others differ.
const fn read(name: &'static str, summary: &'static str, result: &'static str) -> Method {
    Method {
        name,
        summary,
        params: &[],
        result,
        errors: &[],
        mutates: false,
        needs_web_socket: false,
        waits: false,
    }
}

/// What only an attached executor calls, on its own connection.
const fn say(name: &'static str, summary: &'static str) -> Method {
    Method {
        errors: &[
            ErrorCode::StaleLease,
            ErrorCode::NeedsWebSocket,
            ErrorCode::Overloaded,
            ErrorCode::ShuttingDown,
            ErrorCode::StorageFailed,
        ],
        mutates: true,
        needs_web_socket: true,
        ..read(name, summary, "Taken")
    }
}

const fn required(name: &'static str, summary: &'static str) -> Param {
    Param {
        name,
        summary,
        required: true,
    }
}

const fn optional(name: &'static str, summary: &'static str) -> Param {
    Param {
        name,
        summary,
        required: false,
    }
}
