//! Methods that are declared while others register them: what is stored was checked, and its
//! secrets hidden, by the declaration that it is registered under.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use opstead::engine::{
    Assignment, AttachRequest, EngineError, Handed, Outlet, RegisterRequest, Said, Seat,
};
use opstead_core::{Declaration, Json, Lease, Refusal, Registration, Verdict};
use serde_json::{Value, json};

use crate::world::{PATIENCE, Setup, World, declared, percentage, request};

/// What must not be found in the log.
const SECRET: &str = "correct-horse-battery-staple";

/// An executor outside, as far as the engine sees it.
struct Line(Sender<Assignment>);

impl Outlet for Line {
    fn assign(&self, assignment: Assignment) {
        // The test may have no ear for it any more.
        let _ = self.0.send(assignment);
    }

    fn close(&self) {}
}

/// An executor that has come, or is about to.
struct Agent {
    seat: Seat,
    assigned: Receiver<Assignment>,
    accepted: std::pin::Pin<Box<dyn Future<Output = Result<Vec<Lease>, EngineError>> + Send>>,
}

impl Agent {
    /// Comes; whether it has come is left open.
    fn send(world: &World, declarations: Vec<Declaration>, resume: Vec<Lease>) -> Self {
        let (line, assigned) = channel();
        let request = AttachRequest {
            executor: "agent".into(),
            capacity: 10,
            declarations,
            resume,
            outlet: Arc::new(Line(line)),
        };
        let (seat, accepted) = world.handle.attach(request).unwrap();
        Self {
            seat,
            assigned,
            accepted: Box::pin(accepted),
        }
    }

    fn attach(world: &World, declarations: Vec<Declaration>) -> Self {
        let mut agent = Self::send(world, declarations, Vec::new());
        agent.accepted(world);
        agent
    }

    fn accepted(&mut self, world: &World) -> Vec<Lease> {
        world.wait(self.accepted.as_mut()).unwrap()
    }

    fn handed(&self) -> Handed {
        match self.assigned.recv_timeout(PATIENCE) {
            Ok(Assignment::Execute(handed)) => *handed,
            other => panic!("{other:?}"),
        }
    }

    fn complete(&self, world: &World, lease: Lease) {
        let verdict = Verdict::Completed(Json::null());
        let said = world.handle.say(&self.seat, Said::End { lease, verdict });
        world.wait(said).unwrap();
    }
}

/// `vm.login` with a password, which must be a text.
fn login(secrets: &[&str]) -> Declaration {
    let schema = json!({"properties": {"password": {"type": "string"}}});
    Declaration {
        kwargs_schema: Json::from_value(&schema).ok(),
        secrets: secrets.iter().map(|place| (*place).into()).collect(),
        ..declared("vm.login")
    }
}

fn with(id: &str, kwargs: &Value) -> RegisterRequest {
    RegisterRequest {
        kwargs: Json::from_value(kwargs).unwrap(),
        ..request(id, "vm.login")
    }
}

fn pointers(refused: Result<Registration, EngineError>) -> Vec<String> {
    match refused {
        Err(EngineError::Refused(Refusal::Invalid { faults })) => {
            faults.into_iter().map(|fault| fault.pointer).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn shown(world: &World, id: &str) -> String {
    let operation = world.operation(id).unwrap();
    operation.request.kwargs.as_str().to_owned()
}

fn assert_nothing_leaked(world: &World) {
    let log = format!("{:?}", world.log());
    assert!(log.contains("***"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

/// Registers within the turn in which the executor comes, with a password that is good and one
/// that is not.
fn race(world: &World, declarations: Vec<Declaration>) -> Agent {
    let paused = world.pause();
    let mut agent = Agent::send(world, declarations, Vec::new());
    let good = with("good", &json!({"password": SECRET}));
    let good = world.handle.register(good);
    let bad = world.handle.register(with("bad", &json!({"password": 7})));
    drop(paused);
    agent.accepted(world);
    world.wait(good).unwrap();
    assert_eq!(pointers(world.wait(bad)), ["/kwargs/password"]);
    assert!(world.operation("bad").is_none());
    assert_eq!(shown(world, "good"), r#"{"password":"***"}"#);
    let whole = json!({"password": SECRET}).to_string();
    assert_eq!(agent.handed().kwargs.as_str(), whole);
    assert_nothing_leaked(world);
    agent
}

#[test]
fn a_registration_behind_the_first_declaration_is_checked_and_its_secrets_are_hidden() {
    race(&World::new(), vec![login(&["password"])]);
}

#[test]
fn a_registration_behind_another_declaration_of_the_version_goes_by_that() {
    let world = World::new();
    let _before = Agent::attach(&world, vec![declared("vm.login")]);
    race(&world, vec![login(&["password"])]);
}

#[test]
fn a_registration_behind_a_higher_version_goes_by_that() {
    let world = World::new();
    let second = Declaration {
        version: 2,
        ..login(&["password"])
    };
    let _before = Agent::attach(&world, vec![declared("vm.login")]);
    race(&world, vec![declared("vm.login"), second]);
    assert_eq!(world.operation("good").unwrap().request.version, 2);
}

/// Nothing is refused, hidden or kept back by a declaration that has just been replaced.
#[test]
fn a_registration_behind_a_laxer_declaration_goes_by_that() {
    let world = World::new();
    let _before = Agent::attach(&world, vec![login(&["password"])]);
    let paused = world.pause();
    let mut agent = Agent::send(&world, vec![declared("vm.login")], Vec::new());
    let number = with("number", &json!({"password": 7}));
    let number = world.handle.register(number);
    let text = world
        .handle
        .register(with("text", &json!({"password": "x"})));
    drop(paused);
    agent.accepted(&world);
    assert!(world.wait(number).is_ok() && world.wait(text).is_ok());
    assert_eq!(shown(&world, "text"), r#"{"password":"x"}"#);
}

/// Protocol §3: the same id with the same method and kwargs answers the first registration.
#[test]
fn a_repeat_is_known_whatever_has_been_declared_since() {
    let world = World::new();
    let agent = Agent::attach(&world, vec![login(&["password"])]);
    let kwargs = json!({"password": SECRET, "note": "n"});
    for id in ["open", "ended"] {
        world.register(with(id, &kwargs)).unwrap();
        let handed = agent.handed();
        if id == "ended" {
            agent.complete(&world, handed.lease);
        }
    }
    let strict = json!({"properties": {"password": {"maxLength": 1}}});
    let strict = Json::from_value(&strict).ok();
    let later = [
        // Another secret in the same version.
        login(&["password", "note"]),
        // None at all in a version that refuses these kwargs.
        Declaration {
            version: 2,
            kwargs_schema: strict,
            ..declared("vm.login")
        },
    ];
    let _agent = Agent::attach(&world, later.to_vec());
    for id in ["open", "ended"] {
        assert!(world.register(with(id, &kwargs)).unwrap().existing, "{id}");
        let named = RegisterRequest {
            version: Some(1),
            ..with(id, &kwargs)
        };
        assert!(world.register(named).unwrap().existing, "{id}");
        let other = with(id, &json!({"password": SECRET, "note": "m"}));
        let error = world.register(other).unwrap_err();
        let differs = "kwargs";
        let expected = Refusal::IdReused {
            id: id.into(),
            differs,
        };
        assert_eq!(error, EngineError::Refused(expected), "{id}");
    }
    for password in ["***", "another"] {
        let other = with("open", &json!({"password": password, "note": "n"}));
        assert!(world.register(other).is_err(), "{password}");
    }
    assert_eq!(
        pointers(world.register(with("new", &kwargs))),
        ["/kwargs/password"]
    );
    assert_nothing_leaked(&world);
}

/// What is progress is durable or will be: never answered and dropped.
#[test]
fn progress_right_behind_a_resumption_is_kept() {
    let world = World::new();
    let agent = Agent::attach(&world, vec![declared("vm.run")]);
    world.register(request("a", "vm.run")).unwrap();
    let lease = agent.handed().lease;
    let world = Setup::on(&world.disk).start();
    let paused = world.pause();
    let mut agent = Agent::send(&world, vec![declared("vm.run")], vec![lease]);
    let say = |tenths: u32| {
        let update = Some(percentage(f64::from(tenths) / 10.0));
        let error = None;
        let said = Said::Update {
            lease,
            update,
            error,
        };
        world.handle.say(&agent.seat, said)
    };
    let said = [say(1), say(2)];
    drop(paused);
    let cursors = said.map(|said| world.wait(said).unwrap());
    assert_eq!(agent.accepted(&world), [lease]);
    let operation = world.operation("a").unwrap();
    assert_eq!(operation.info.percentage, 0.2);
    assert_eq!(operation.cursor, cursors[1]);
    agent.complete(&world, lease);
}
