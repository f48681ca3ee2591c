//! A program as it is declared, and what may be wrong with that.

use std::collections::BTreeMap;
use std::time::Duration;

use opstead_core::{ClaimTemplate, OnInterrupt};
use serde_json::Value;

/// A program as it is declared.
#[derive(Clone, Debug)]
pub struct ProgramConfig {
    /// The method, without the subsystem.
    pub name: String,
    /// One sentence for people; made from the program if left out.
    pub summary: Option<String>,
    /// The program and its arguments; `{name}` stands for a kwarg, except in the first.
    pub argv: Vec<String>,
    /// The kwargs, each with its JSON Schema.
    pub kwargs: BTreeMap<String, Value>,
    /// Those that may be left out. An argument that one stands in is then left out too.
    pub optional: Vec<String>,
    /// Those that may begin an argument with `-`.
    pub may_begin_with_dash: Vec<String>,
    /// The object, a template without the subsystem.
    pub object: Option<String>,
    /// What each operation claims.
    pub claims: Vec<ClaimTemplate>,
    /// What becomes of an operation whose daemon ends.
    pub on_interrupt: OnInterrupt,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// How long the program has after SIGTERM before it is killed.
    pub kill_after: Duration,
    /// How many of it run at once, at least 1.
    pub concurrency: u32,
    /// A regular expression with groups, tried on each line of output.
    pub progress: Option<String>,
    /// The word for what it does, of the protocol's list.
    pub description: Option<String>,
    /// Variables beside those that are always there.
    pub environment: BTreeMap<String, String>,
}

/// What is wrong with a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFault {
    /// Where.
    pub place: Place,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// A member of a [`ProgramConfig`], or one of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `name`.
    Name,
    /// An entry of `argv`, from 0; also of an empty one.
    Argument(usize),
    /// A kwarg.
    Kwarg(String),
    /// An entry of `optional`.
    Optional(usize),
    /// An entry of `may_begin_with_dash`.
    Dash(usize),
    /// `object`.
    Object,
    /// An entry of `claims`.
    Claim(usize),
    /// `progress`.
    Progress,
    /// `description`.
    Description,
    /// A variable of `environment`.
    Variable(String),
}
