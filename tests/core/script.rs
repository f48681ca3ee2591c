//! The language of the golden scripts: a line becomes a step. It executes nothing.
//!
//! ```text
//! method NAME [version=N] [query] [object=TEMPLATE] [claim=OPERATION:TYPE:ID]... [cancelable] [retry]
//!     [weight=N] [RETRY] [timeout=MS] [holds] [revertible] [integer=KWARG]
//! attach EXECUTOR [capacity=N] [resume=ID]... [METHOD[@VERSION]]...   without methods: all there are
//! detach EXECUTOR [keep=MS]
//! capacity N
//! register METHOD KWARGS [id=ID] [version=N] [claim=OPERATION:TYPE:ID]... [tag=TAG]... [weight=N]
//!     [start=TIME] [before=TIME] [after=ID[:STATE,...]]... [RETRY] [lease=ID]
//! step NAME METHOD [KWARGS] [version=N] [requires=NAME,...] [RETRY]     of the flow that comes next
//! flow NAME [id=ID] [tag=TAG]... [start=TIME] [before=TIME] [after=ID[:STATE,...]]... [lease=ID]
//! cancel ID | retry ID | skip ID
//! update ID MEMBERS [flush] [attempt=N]
//! error ID CODE MESSAGE [attempt=N]
//! complete ID [RESULT] [update=MEMBERS] [attempt=N]
//! fail ID CODE MESSAGE [data=JSON] [update=MEMBERS] [attempt=N]
//! continue                                                what is due, the rest of a mass wake-up
//! purge ID...
//! after MS                                                the clocks go on
//! wall TIME                                               the wall clock jumps
//! limits [open=N] [claims=N] [tags=N] [errors=N] [after=N] [children=N] [steps=N]
//! repeat FROM..TO COMMAND                                 `#` in the command is the number
//! reasons ID | operation ID | bound ID | object NAME | objects [HEAD] | holders TYPE:ID
//! counts | settled | executors | methods | capacity | due | touched
//! ```
//!
//! RETRY is `attempts=N [initial=MS] [factor=N] [max=MS]`, TIME is milliseconds from the beginning.
//! A value with spaces is written as JSON. Without `attempt` a lease is that of the present attempt.

mod flow;

use std::sync::Arc;

use opstead_core::operation::LastError;
use opstead_core::{
    After, Claim, ClaimOperation, ClaimTemplate, Declaration, Failure, InfoUpdate, Json, Lease,
    Limits, MethodKind, OnInterrupt, OperationInfo, OperationState, Order, Purged, Register,
    RegisterStep, Resource, Retry, Stage, Time, Verdict,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::world::World;

/// What a line says.
pub(crate) enum Step {
    /// A method that executors can offer from here on.
    Declare(Declaration),
    /// A step of the flow that is registered next.
    Add(Box<RegisterStep>),
    /// Something for the core to execute.
    Order(Order),
    /// Time passes, in milliseconds.
    After(u64),
    /// The wall clock shows this from here on.
    Wall(Time),
    /// Other bounds from here on.
    Limits(Limits),
    /// The lines to execute one after the other.
    Repeat(Vec<String>),
    /// A question, and what it asks about.
    Query(String, String),
}

/// The words of one line: plain ones, and those of the form `key=value`.
struct Words {
    plain: Vec<String>,
    keyed: Vec<(String, String)>,
}

/// Reads a line; what it refers to is looked up in the world.
pub(crate) fn parse(line: &str, world: &World) -> Result<Step, String> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    if command == "repeat" {
        return repeat(rest);
    }
    let mut words = Words::read(rest)?;
    let step = match command {
        "method" => Step::Declare(declaration(&mut words)?),
        "step" => Step::Add(Box::new(flow::step(&mut words)?)),
        "after" => Step::After(words.number("MS")?),
        "wall" => Step::Wall(Time(words.number("TIME")?)),
        "limits" => Step::Limits(limits(&mut words, world.limits)?),
        "reasons" | "operation" | "bound" | "object" | "holders" => {
            Step::Query(command.to_owned(), words.next("name")?)
        }
        "capacity" if !words.plain.is_empty() => Step::Order(Order::SetCapacity {
            capacity: words.number("N")? as u32,
        }),
        "objects" | "counts" | "settled" | "executors" | "methods" | "capacity" | "due"
        | "touched" => Step::Query(command.to_owned(), words.next("head").unwrap_or_default()),
        _ => Step::Order(order(command, &mut words, world)?),
    };
    words.finish()?;
    Ok(step)
}

fn order(command: &str, words: &mut Words, world: &World) -> Result<Order, String> {
    Ok(match command {
        "attach" => Order::Attach {
            executor: words.next("EXECUTOR")?.into(),
            capacity: words.key_number("capacity")?.unwrap_or(1),
            declarations: world.declared(&std::mem::take(&mut words.plain))?,
            resume: std::iter::from_fn(|| words.key("resume"))
                .map(|id| present_lease(&id, world))
                .collect::<Result<_, _>>()?,
        },
        "detach" => Order::Detach {
            executor: words.next("EXECUTOR")?.into(),
            keep_ms: words.key_number("keep")?,
        },
        "register" => Order::Register(Box::new(register(words, world)?)),
        "flow" => Order::RegisterFlow(Box::new(flow::flow(words, world)?)),
        "cancel" | "retry" | "skip" => {
            let id: Arc<str> = words.next("ID")?.into();
            let ended = world.archive.get(&id).cloned();
            match command {
                "cancel" => Order::Cancel { id, ended },
                "retry" => Order::RetryRevert { id, ended },
                _ => Order::SkipRevert { id, ended },
            }
        }
        "update" => {
            let id = words.next("ID")?;
            Order::Update {
                update: update(&words.next("MEMBERS")?)?,
                flush: words.flag("flush"),
                lease: lease(&id, words, world)?,
            }
        }
        "error" => {
            let id = words.next("ID")?;
            Order::RecordError {
                failure: failure(words)?,
                lease: lease(&id, words, world)?,
            }
        }
        "complete" | "fail" | "stopped" => {
            let id = words.next("ID")?;
            let verdict = match command {
                "fail" => Verdict::Failed(failure(words)?),
                "stopped" => Verdict::Canceled,
                _ => Verdict::Completed(json(&words.next("RESULT").unwrap_or("null".to_owned()))?),
            };
            let pending = words.key("update").map(|text| update(&text)).transpose()?;
            Order::End {
                lease: lease(&id, words, world)?,
                update: pending.unwrap_or_default(),
                verdict,
            }
        }
        "resize" => Order::Resize {
            executor: words.next("EXECUTOR")?.into(),
            capacity: words.key_number("capacity")?.unwrap_or(1),
        },
        "publish" => Order::Publish {
            alert_name: words.next("NAME")?.into(),
            info: Arc::new(published(&words.next("DESCRIPTION")?)),
        },
        "retire" => Order::Retire {
            alert_name: words.next("NAME")?.into(),
        },
        "continue" => Order::Continue,
        "purge" => Order::Purge {
            operations: std::mem::take(&mut words.plain)
                .iter()
                .map(|id| purged(id, world))
                .collect::<Result<_, _>>()?,
        },
        other => return Err(format!("there is no command {other:?}")),
    })
}

fn published(description: &str) -> OperationInfo {
    OperationInfo {
        description: description.into(),
        ..OperationInfo::new("Running")
    }
}

fn repeat(rest: &str) -> Result<Step, String> {
    let (range, line) = rest.split_once(' ').ok_or("FROM..TO COMMAND is missing")?;
    let (from, to) = range.split_once("..").ok_or("FROM..TO is missing")?;
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_| format!("{text:?} is no number"))
    };
    Ok(Step::Repeat(
        (number(from)?..=number(to)?)
            .map(|n| line.replace('#', &n.to_string()))
            .collect(),
    ))
}

fn declaration(words: &mut Words) -> Result<Declaration, String> {
    let mut claims = Vec::new();
    while let Some(text) = words.key("claim") {
        let (kind, id, operation) = claim_parts(&text)?;
        claims.push(ClaimTemplate {
            kind,
            id,
            operation,
        });
    }
    Ok(Declaration {
        name: words.next("NAME")?.into(),
        version: words.key_number("version")?.unwrap_or(1),
        kind: if words.flag("query") {
            MethodKind::Query
        } else {
            MethodKind::Operation
        },
        summary: "".into(),
        kwargs_schema: words.key("integer").map(|kwarg| integer_schema(&kwarg)),
        object: words.key("object").map(Arc::from),
        claims,
        cancelable: words.flag("cancelable"),
        on_interrupt: if words.flag("retry") {
            OnInterrupt::Retry
        } else {
            OnInterrupt::Fail
        },
        weight: words.key_number("weight")?.unwrap_or_default(),
        retry: retry(words)?,
        attempt_timeout_ms: words.key_number("timeout")?,
        holds_schedule: words.flag("holds"),
        revertible: words.flag("revertible"),
        secrets: Vec::new(),
    })
}

fn register(words: &mut Words, world: &World) -> Result<Register, String> {
    let method = words.next("METHOD")?;
    let kwargs = json(&words.next("KWARGS")?)?;
    let mut register = Register::new(&method, kwargs, &world.next_ulid(), "admin");
    register.version = words.key_number("version")?;
    while let Some(text) = words.key("claim") {
        let (kind, id, operation) = claim_parts(&text)?;
        let resource = Arc::new(Resource { kind, id });
        register.claims.push(Claim {
            resource,
            operation,
        });
    }
    register.weight = words.key_number("weight")?;
    register.start_at = words.key_number("start")?.map(Time);
    register.start_before = words.key_number("before")?.map(Time);
    register.retry = retry(words)?;
    while let Some(text) = words.key("after") {
        register.after.push(after(&text, world)?);
    }
    if let Some(id) = words.key("lease") {
        register.lease = Some(present_lease(&id, world)?);
    }
    while let Some(tag) = words.key("tag") {
        register.tags.push(tag.into());
    }
    if let Some(id) = words.key("id") {
        register.ended = world.archive.get(&*id).cloned();
        register.id = Some(id.into());
    }
    Ok(register)
}

fn integer_schema(kwarg: &str) -> Json {
    let schema = serde_json::json!({"properties": {kwarg: {"type": "integer"}}});
    Json::from_value(&schema).expect("a schema is JSON")
}

fn retry(words: &mut Words) -> Result<Option<Retry>, String> {
    let Some(max_attempts) = words.key_number("attempts")? else {
        return Ok(None);
    };
    Ok(Some(Retry {
        max_attempts,
        initial_ms: words.key_number("initial")?.unwrap_or(100),
        factor: words.key_number("factor")?.unwrap_or(2.0),
        max_ms: words.key_number("max")?.unwrap_or(1_000),
    }))
}

fn after(text: &str, world: &World) -> Result<After, String> {
    let (id, states) = text.split_once(':').unwrap_or((text, "completed"));
    let state = |word: &str| {
        let known = OperationState::ALL.into_iter();
        let mut found = known.filter(|state| state.as_str() == word);
        found.next().ok_or_else(|| format!("{word:?} is no state"))
    };
    Ok(After {
        id: id.into(),
        states: states.split(',').map(state).collect::<Result<_, _>>()?,
        ended: world.archive.get(id).cloned(),
    })
}

fn present_lease(id: &str, world: &World) -> Result<Lease, String> {
    let operation = world.known(id)?;
    Ok(Lease {
        sequence: operation.subject.sequence,
        attempt: operation.attempt,
    })
}

fn claim_parts(text: &str) -> Result<(Arc<str>, Arc<str>, ClaimOperation), String> {
    let mut parts = text.splitn(3, ':');
    let operation = parts.next().unwrap_or_default();
    let operation = ClaimOperation::ALL
        .into_iter()
        .find(|known| known.as_str() == operation)
        .ok_or_else(|| format!("{operation:?} is no claim operation"))?;
    let kind = parts.next().ok_or("OPERATION:TYPE:ID is missing")?;
    let id = parts.next().ok_or("OPERATION:TYPE:ID is missing")?;
    Ok((kind.into(), id.into(), operation))
}

fn lease(id: &str, words: &mut Words, world: &World) -> Result<Lease, String> {
    let operation = world.known(id)?;
    Ok(Lease {
        sequence: operation.subject.sequence,
        attempt: words.key_number("attempt")?.unwrap_or(operation.attempt),
    })
}

fn purged(id: &str, world: &World) -> Result<Purged, String> {
    let operation = world.archive.get(id).ok_or(format!("{id} has not ended"))?;
    Ok(Purged {
        sequence: operation.subject.sequence,
        alert_name: operation.subject.alert_name.clone(),
    })
}

fn failure(words: &mut Words) -> Result<Failure, String> {
    let code = words.next("CODE")?;
    Ok(Failure {
        code: code.parse().map_err(|_| format!("{code:?} is no code"))?,
        message: words.next("MESSAGE")?.into(),
        data: words.key("data").map(|text| json(&text)).transpose()?,
    })
}

fn limits(words: &mut Words, mut limits: Limits) -> Result<Limits, String> {
    for (key, limit) in [
        ("open", &mut limits.open_operations),
        ("claims", &mut limits.claims),
        ("tags", &mut limits.tags),
        ("errors", &mut limits.non_fatal_errors),
        ("after", &mut limits.dependencies),
        ("children", &mut limits.children),
        ("steps", &mut limits.flow_steps),
    ] {
        if let Some(number) = words.key_number::<usize>(key)? {
            *limit = number;
        }
    }
    Ok(limits)
}

fn update(text: &str) -> Result<InfoUpdate, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Members {
        operation_description: Option<String>,
        stage_description: Option<String>,
        stage: Option<(u32, u32)>,
        percentage: Option<f64>,
        last_error: Option<(i32, String)>,
        extra_data: Option<Box<RawValue>>,
    }
    let members: Members = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(InfoUpdate {
        description: members.operation_description.map(Arc::from),
        stage_description: members.stage_description.map(Arc::from),
        stage: members.stage.map(|(number, total)| Stage { number, total }),
        percentage: members.percentage,
        last_error: members.last_error.map(|(code, message)| LastError {
            code,
            message: message.into(),
        }),
        extra_data: members.extra_data.map(Json::from),
    })
}

fn json(text: &str) -> Result<Json, String> {
    Json::from_text(text).map_err(|error| format!("{text}: {error}"))
}

impl Words {
    fn read(mut rest: &str) -> Result<Self, String> {
        let mut words = Self {
            plain: Vec::new(),
            keyed: Vec::new(),
        };
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Ok(words);
            }
            let key = rest
                .split_once('=')
                .map(|(key, _)| key)
                .filter(|key| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase()));
            if let Some(key) = key {
                let (value, after) = Self::value(&rest[key.len() + 1..]);
                words.keyed.push((key.to_owned(), value));
                rest = after;
            } else {
                let (value, after) = Self::value(rest);
                words.plain.push(value);
                rest = after;
            }
        }
    }

    /// A value and what comes behind it: JSON, whose strings are decoded, or all up to a space.
    fn value(text: &str) -> (String, &str) {
        if text.starts_with(['{', '[', '"']) {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
            if let Some(Ok(value)) = values.next() {
                let after = &text[values.byte_offset()..];
                let string = serde_json::from_str::<String>(value.get());
                return (string.unwrap_or(value.get().to_owned()), after);
            }
        }
        let end = text.find(' ').unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    }

    fn next(&mut self, what: &str) -> Result<String, String> {
        if self.plain.is_empty() {
            return Err(format!("{what} is missing"));
        }
        Ok(self.plain.remove(0))
    }

    fn number(&mut self, what: &str) -> Result<u64, String> {
        let text = self.next(what)?;
        text.parse().map_err(|_| format!("{text:?} is no number"))
    }

    fn flag(&mut self, name: &str) -> bool {
        let place = self.plain.iter().position(|word| word == name);
        place.map(|place| self.plain.remove(place)).is_some()
    }

    fn key(&mut self, name: &str) -> Option<String> {
        let place = self.keyed.iter().position(|(key, _)| key == name)?;
        Some(self.keyed.remove(place).1)
    }

    fn key_number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let parse = |text: String| text.parse().map_err(|_| format!("{text:?} is no number"));
        self.key(name).map(parse).transpose()
    }

    fn finish(&self) -> Result<(), String> {
        let left: Vec<_> = self
            .plain
            .iter()
            .chain(self.keyed.iter().map(|(key, _)| key))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?} is too much"))
        }
    }
}
