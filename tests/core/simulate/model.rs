//! The naive model: a list of operations, each with the set of those it waits for, taken from the
//! conflict table itself. It knows nothing of how the core is built, and is slow and obvious.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opstead_core::{
    Cause, Claim, ClaimOperation, Cursor, Declaration, Dependency, Lease, Limits, Moment,
    OnInterrupt, OperationInfo, OperationState, Reason, Refusal, Register, Resource, Retry, Steady,
    Time,
};

use OperationState::{Canceling, Running, Scheduled, Waiting};

/// What the table says of a new claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Accept,
    Postpone,
    Reject,
}

/// The conflict table, as the protocol prints it.
pub(crate) fn cell(outstanding: ClaimOperation, new: ClaimOperation) -> Cell {
    use Cell::{Accept, Postpone, Reject};
    use ClaimOperation::{Create, Delete, Read, Update};
    match (outstanding, new) {
        (Create, Create) => Reject,
        (Create, Read) => Postpone,
        (Create, Update) => Postpone,
        (Create, Delete) => Postpone,
        (Read, Create) => Postpone,
        (Read, Read) => Accept,
        (Read, Update) => Postpone,
        (Read, Delete) => Postpone,
        (Update, Create) => Postpone,
        (Update, Read) => Accept,
        (Update, Update) => Postpone,
        (Update, Delete) => Postpone,
        (Delete, Create) => Postpone,
        (Delete, Read) => Reject,
        (Delete, Update) => Reject,
        (Delete, Delete) => Reject,
    }
}

/// One outstanding claim that another waits for.
pub(crate) type Blocker = (Arc<Resource>, ClaimOperation, Cursor);

/// An operation as the model sees it, also after its end.
pub(crate) struct ModelOperation {
    pub sequence: Cursor,
    pub id: Arc<str>,
    pub alert_name: Arc<str>,
    pub has_object: bool,
    pub method: Arc<str>,
    pub version: u32,
    pub kwargs: serde_json::Value,
    pub claims: Vec<Claim>,
    pub cancelable: bool,
    pub on_interrupt: OnInterrupt,
    pub blockers: Vec<Blocker>,
    /// Its place in the queues; 0: none yet.
    pub place: Cursor,
    pub weight: u32,
    pub start_at: Option<Time>,
    pub start_before: Option<Time>,
    pub after: Vec<Dependency>,
    /// Those of them that have not ended.
    pub outstanding: BTreeSet<Cursor>,
    /// One of them ended otherwise.
    pub is_doomed: bool,
    pub retry: Option<Retry>,
    pub timeout_ms: Option<u64>,
    /// While it waits: the end of the delay before another attempt. While it runs: its time-out.
    pub timer: Option<Steady>,
    pub parent: Option<Cursor>,
    pub spawned: Vec<Arc<str>>,
    /// Its parent was canceled.
    pub is_cancel_due: bool,
    pub state: OperationState,
    pub attempt: u32,
    pub interruptions: u32,
    pub executor: Option<Arc<str>>,
    pub errors: usize,
    pub info: Arc<OperationInfo>,
    /// Cursors of its latest start, its end, and its latest event.
    pub started: Option<Cursor>,
    pub ended: Option<Cursor>,
    pub touched: Cursor,
    pub purged: bool,
}

pub(crate) struct ModelExecutor {
    pub name: Arc<str>,
    pub capacity: u32,
    pub offers: Vec<(Arc<str>, u32)>,
}

/// What a registration must lead to.
pub(crate) enum Expected {
    Refused(Refusal),
    /// Refused as invalid, whatever the faults.
    Invalid,
    Existing(Cursor),
    New(Box<ModelOperation>),
}

#[derive(Default)]
pub(crate) struct Model {
    /// Open ones in registration order.
    pub open: Vec<ModelOperation>,
    /// Ended ones, until the last on their object is purged.
    pub past: Vec<ModelOperation>,
    /// Executors that are there, by name.
    pub executors: Vec<ModelExecutor>,
    /// What each carries out now.
    pub carried: BTreeMap<Arc<str>, BTreeSet<Cursor>>,
    pub declarations: BTreeMap<(Arc<str>, u32), Arc<Declaration>>,
    /// Executors that are away, and until when their attempts are kept.
    pub kept: BTreeMap<Arc<str>, Steady>,
    pub capacity: Option<u32>,
    /// For whom weight is kept: its place, and how much younger ones may still use.
    pub reserve: Option<(Cursor, u32)>,
}

impl Model {
    pub(crate) fn operation(&mut self, sequence: Cursor) -> &mut ModelOperation {
        let found = self
            .open
            .iter_mut()
            .find(|known| known.sequence == sequence);
        found.unwrap_or_else(|| panic!("{sequence} is not open, nothing more may happen to it"))
    }

    /// The operation of that id, open or kept.
    pub(crate) fn known(&self, id: &str) -> Option<&ModelOperation> {
        let kept = self.past.iter().filter(|known| !known.purged);
        self.open.iter().chain(kept).find(|known| *known.id == *id)
    }

    pub(crate) fn lease_holds(&self, lease: Lease) -> bool {
        self.open.iter().any(|known| {
            known.sequence == lease.sequence
                && known.attempt == lease.attempt
                && matches!(known.state, Running | Canceling)
        })
    }

    /// What a registration must lead to, were it to get this place.
    pub(crate) fn judge(
        &self,
        register: &Register,
        limits: &Limits,
        sequence: Cursor,
        now: Moment,
    ) -> Expected {
        let kwargs = register.kwargs.parse().expect("kwargs are JSON");
        if let Some(known) = register.id.as_ref().and_then(|id| self.known(id)) {
            let differs = if known.method != register.method_name {
                "method"
            } else if register
                .version
                .is_some_and(|version| version != known.version)
            {
                "version"
            } else if known.kwargs != kwargs {
                "kwargs"
            } else {
                return Expected::Existing(known.sequence);
            };
            let id = known.id.clone();
            return Expected::Refused(Refusal::IdReused { id, differs });
        }
        if let Some(refusal) = self.dependency_unknown(register) {
            return Expected::Refused(refusal);
        }
        let method = self.declarations.values().filter(|method| {
            method.name == register.method_name
                && register
                    .version
                    .is_none_or(|version| version == method.version)
        });
        let Some(method) = method.max_by_key(|method| method.version) else {
            return Expected::Refused(Refusal::MethodUnknown {
                method_name: register.method_name.clone(),
                version: register.version,
            });
        };
        if self.open.len() >= limits.open_operations {
            return Expected::Refused(Refusal::LimitReached {
                what: "open operations",
                limit: limits.open_operations,
            });
        }
        if let Some(expected) = self.impossible(register, method, now) {
            return expected;
        }
        let claims = claims(method, &kwargs, register);
        let operation = self.new_operation(register, method, kwargs, claims, (sequence, now));
        let is_judged = operation.place != 0 && !operation.is_doomed;
        let rejecting = self.rejecting(&operation.claims);
        if is_judged && !rejecting.is_empty() {
            return Expected::Refused(Refusal::ClaimHeld { reasons: rejecting });
        }
        Expected::New(Box::new(operation))
    }

    fn new_operation(
        &self,
        register: &Register,
        method: &Declaration,
        kwargs: serde_json::Value,
        claims: Vec<Claim>,
        (sequence, now): (Cursor, Moment),
    ) -> ModelOperation {
        let subsystem = method
            .name
            .split('.')
            .next()
            .expect("a method has a subsystem");
        let alert_name = match (&method.object, &register.id) {
            (Some(object), _) => format!("{subsystem}.{}", filled(object, &kwargs)),
            (None, Some(id)) => format!("{subsystem}.task.{id}"),
            (None, None) => format!("{subsystem}.task.{}", register.ulid),
        };
        let id = match (&method.object, &register.id) {
            (_, Some(id)) => id.to_string(),
            (Some(_), None) => format!("{alert_name}.{}", register.ulid),
            (None, None) => alert_name.clone(),
        };
        let mut operation = ModelOperation {
            sequence,
            id: id.into(),
            alert_name: alert_name.into(),
            has_object: method.object.is_some(),
            method: method.name.clone(),
            version: method.version,
            kwargs,
            claims,
            cancelable: method.cancelable,
            on_interrupt: method.on_interrupt,
            blockers: Vec::new(),
            place: sequence,
            weight: register.weight.unwrap_or(method.weight),
            start_at: register.start_at,
            start_before: register.start_before,
            after: Vec::new(),
            outstanding: BTreeSet::new(),
            is_doomed: false,
            retry: register.retry.or(method.retry),
            timeout_ms: method.attempt_timeout_ms,
            timer: None,
            parent: register.lease.map(|lease| lease.sequence),
            spawned: Vec::new(),
            is_cancel_due: false,
            state: Waiting,
            attempt: 0,
            interruptions: 0,
            executor: None,
            errors: 0,
            info: Arc::new(OperationInfo::new("Waiting")),
            started: None,
            ended: None,
            touched: sequence,
            purged: false,
        };
        self.condition(&mut operation, register, now);
        operation
    }

    /// Who is in the way of an operation that comes behind all others.
    pub(crate) fn blockers(&self, claims: &[Claim]) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        for (new, earlier, held) in self.pairs(claims) {
            // A cell that rejects, but not against the last barrier, means postpone.
            if cell(held.operation, new.operation) != Cell::Accept {
                blockers.push((held.resource.clone(), held.operation, earlier.sequence));
            }
        }
        blockers
    }

    /// Each new claim with each outstanding one on the same resource, the oldest first.
    fn pairs<'a>(
        &'a self,
        claims: &'a [Claim],
    ) -> impl Iterator<Item = (&'a Claim, &'a ModelOperation, &'a Claim)> {
        claims.iter().flat_map(move |new| {
            self.by_place().into_iter().flat_map(move |earlier| {
                let held = earlier.claims.iter();
                held.filter(|held| held.resource == new.resource)
                    .map(move |held| (new, earlier, held))
            })
        })
    }

    /// Reject holds only against the last outstanding create or delete.
    pub(crate) fn rejecting(&self, claims: &[Claim]) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for new in claims {
            let barrier = self
                .pairs(std::slice::from_ref(new))
                .filter(|(_, _, held)| {
                    matches!(
                        held.operation,
                        ClaimOperation::Create | ClaimOperation::Delete
                    )
                });
            if let Some((_, earlier, held)) = barrier.last()
                && cell(held.operation, new.operation) == Cell::Reject
            {
                let by = vec![earlier.id.clone()];
                reasons.push(held_by(&held.resource, held.operation, by));
            }
        }
        reasons
    }

    /// An executor that could take the operation now, were nothing else in its way.
    pub(crate) fn free_executor(&self, operation: &ModelOperation) -> Option<&ModelExecutor> {
        self.executors.iter().find(|executor| {
            self.carried_out_by(&executor.name) < executor.capacity as usize
                && executor.offers.iter().any(|(method, version)| {
                    *version == operation.version && *method == operation.method
                })
        })
    }

    pub(crate) fn carried_out_by(&self, executor: &str) -> usize {
        self.carried.get(executor).map_or(0, BTreeSet::len)
    }

    /// The operation is with the executor from now on, or with nobody.
    pub(crate) fn carry(&mut self, sequence: Cursor, executor: Option<&Arc<str>>) {
        for carried in self.carried.values_mut() {
            carried.remove(&sequence);
        }
        if let Some(name) = executor {
            self.carried
                .entry(name.clone())
                .or_default()
                .insert(sequence);
        }
    }

    /// The oldest operation that nothing keeps from starting, among those that `count`.
    pub(crate) fn next_start(&self, count: impl Fn(&ModelOperation) -> bool) -> Option<Cursor> {
        let can_start = |known: &&ModelOperation| {
            self.lacks_only_capacity(known) && self.fits(known) && count(known)
        };
        let mut open = self.by_place().into_iter();
        open.find(can_start).map(|known| known.place)
    }

    /// Every reason why an open operation does not run.
    pub(crate) fn reasons(&self, operation: &ModelOperation) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if !matches!(operation.state, Waiting | Scheduled) {
            return reasons;
        }
        if operation.state == Scheduled {
            reasons.push(Model::reason(Cause::StartTime));
        }
        for claim in &operation.claims {
            for outstanding in ClaimOperation::ALL {
                let by = operation.blockers.iter().filter(|(resource, held, _)| {
                    *held == outstanding && *resource == claim.resource
                });
                let ids = by.map(|(_, _, sequence)| {
                    let blocker = self.open.iter().find(|known| known.sequence == *sequence);
                    blocker.expect("a blocker is open").id.clone()
                });
                let ids: Vec<_> = ids.take(17).collect();
                if !ids.is_empty() {
                    reasons.push(held_by(&claim.resource, outstanding, ids));
                }
            }
        }
        self.other_reasons(operation, &mut reasons);
        if self.free_executor(operation).is_none() {
            reasons.push(self.no_executor(operation));
        }
        reasons
    }

    fn no_executor(&self, operation: &ModelOperation) -> Reason {
        let offering = || {
            self.executors
                .iter()
                .filter(|executor| executor.capacity > 0)
        };
        let offers = || offering().flat_map(|executor| &executor.offers);
        let this = offers().any(|offer| *offer == (operation.method.clone(), operation.version));
        let other = offers().any(|(method, _)| *method == operation.method);
        let (cause, detail) = match (this, other) {
            (true, _) => (Cause::Executor, Some("busy".into())),
            (false, true) => (Cause::Version, None),
            (false, false) => (Cause::Executor, None),
        };
        Reason {
            detail,
            ..Model::reason(cause)
        }
    }

    pub(crate) fn reason(cause: Cause) -> Reason {
        Reason {
            cause,
            resource: None,
            operation: None,
            blocked_by: Vec::new(),
            more: false,
            detail: None,
            until: None,
        }
    }

    /// Moves an operation to those that have ended; nobody waits for it any more.
    pub(crate) fn end(&mut self, sequence: Cursor, cursor: Cursor) {
        let place = self
            .open
            .iter()
            .position(|known| known.sequence == sequence);
        let mut ended = self.open.remove(place.expect("only an open one ends"));
        ended.ended = Some(cursor);
        ended.touched = cursor;
        if self.reserve.is_some_and(|(place, _)| place == ended.place) {
            self.reserve = None;
        }
        let state = ended.state;
        self.past.push(ended);
        self.carry(sequence, None);
        for known in &mut self.open {
            known.hear_of_end(sequence, state);
            known
                .blockers
                .retain(|(_, _, blocker)| *blocker != sequence);
        }
    }
}

/// The claims of a request, one for a resource: delete before create before update before read.
fn claims(method: &Declaration, kwargs: &serde_json::Value, register: &Register) -> Vec<Claim> {
    use ClaimOperation::{Create, Delete, Read, Update};
    let declared = method.claims.iter().map(|template| Claim {
        resource: Arc::new(Resource {
            kind: template.kind.clone(),
            id: filled(&template.id, kwargs).into(),
        }),
        operation: template.operation,
    });
    let all: Vec<Claim> = declared.chain(register.claims.iter().cloned()).collect();
    let resources: BTreeSet<&Arc<Resource>> = all.iter().map(|claim| &claim.resource).collect();
    let strongest = |resource: &Arc<Resource>| {
        let has = |operation| {
            all.iter()
                .any(|claim| claim.resource == *resource && claim.operation == operation)
        };
        let found = [Delete, Create, Update, Read]
            .into_iter()
            .find(|operation| has(*operation));
        found.expect("a resource comes from a claim")
    };
    let merged = resources.into_iter().map(|resource| Claim {
        resource: resource.clone(),
        operation: strongest(resource),
    });
    merged.collect()
}

fn filled(template: &str, kwargs: &serde_json::Value) -> String {
    let members = kwargs.as_object().expect("kwargs are an object");
    members
        .iter()
        .fold(template.to_owned(), |text, (key, value)| {
            text.replace(&format!("{{{key}}}"), value.as_str().unwrap_or_default())
        })
}

fn held_by(resource: &Resource, operation: ClaimOperation, mut ids: Vec<Arc<str>>) -> Reason {
    let more = ids.len() > 16;
    ids.truncate(16);
    Reason {
        cause: Cause::Resource,
        resource: Some(resource.clone()),
        operation: Some(operation),
        blocked_by: ids,
        more,
        detail: None,
        until: None,
    }
}
