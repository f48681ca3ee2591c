//! The configuration file: TOML, every member optional, unknown ones refused.

mod exec;
mod values;

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::engine::{EngineConfig, Retention};
use crate::filter::MAX_PATTERN_BYTES;
use crate::journal::Options;
use crate::rpc;
use crate::subsystems::exec::{ExecConfig, Program};
use crate::subsystems::storage::StorageConfig;
use exec::{ExecSection, programs};

/// Bytes of an operation's result or error, if an executor from outside gives it.
const RESULT_BYTES: u32 = 1 << 20;

/// Bytes of whatever else such an executor says; the engine bounds declarations by as many.
const REPORT_BYTES: u32 = 64 << 10;

/// The file that runs, also when another version has been put in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// All that can be configured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whom the listener trusts.
    pub listen: Listen,
    /// The subsystem `storage`.
    pub storage: StorageSection,
    /// The subsystem `diagnostic`.
    pub diagnostic: DiagnosticSection,
    /// The subsystem `exec`.
    exec: ExecSection,
    /// How long things are kept.
    pub retention: RetentionSection,
    /// Bounds.
    pub limits: LimitsSection,
    /// The programs, found good.
    #[serde(skip)]
    programs: Vec<Program>,
}

/// Whom the listener trusts beside this machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Further names by which clients may call this host.
    #[serde(deserialize_with = "values::hosts")]
    pub hosts: Vec<String>,
    /// Web pages that may use the daemon, as `https://manager.example`.
    #[serde(deserialize_with = "values::origins")]
    pub origins: Vec<String>,
}

/// The subsystem `storage`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSection {
    /// The folder of the images; `pool` in the data folder if left out.
    pub pool: Option<PathBuf>,
    /// Folders from which images may be imported.
    pub import_folders: Vec<PathBuf>,
    /// How many operations run at once.
    #[serde(deserialize_with = "values::count")]
    pub capacity: Option<NonZeroU32>,
    /// How fast all copies together may write.
    #[serde(deserialize_with = "values::count")]
    pub copy_bytes_per_second: Option<NonZeroU64>,
    /// The program `qemu-img`; looked for in `PATH` if left out.
    pub qemu_img: Option<PathBuf>,
}

/// The subsystem `diagnostic`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosticSection {
    /// Whether it is there.
    pub enabled: bool,
}

/// How long things are kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    /// Days for which alerts can be replayed: 7 if left out.
    #[serde(deserialize_with = "values::count")]
    pub alerts_days: Option<NonZeroU64>,
    /// The most bytes of alerts: 4 GiB if left out.
    pub alerts_bytes: Option<u64>,
    /// Days for which ended operations and their ids are kept: 30 if left out.
    #[serde(deserialize_with = "values::count")]
    pub operations_days: Option<NonZeroU64>,
    /// The most bytes of ended operations: 8 GiB if left out.
    pub operations_bytes: Option<u64>,
}

/// Bounds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Connections at a time, over TCP and on the Unix socket each.
    #[serde(deserialize_with = "values::count")]
    pub connections: Option<NonZeroU32>,
    /// Bytes of one request.
    #[serde(deserialize_with = "values::count")]
    pub request_bytes: Option<NonZeroU32>,
    /// Bytes of one answer.
    #[serde(deserialize_with = "values::count")]
    pub answer_bytes: Option<NonZeroUsize>,
    /// How long a write may be stuck before its connection is given up.
    #[serde(deserialize_with = "values::count")]
    pub write_timeout_ms: Option<NonZeroU64>,
    /// How long the attempts of an executor are kept when its connection is lost.
    #[serde(deserialize_with = "values::count")]
    pub lease_ms: Option<NonZeroU64>,
    /// Operations that are not done.
    #[serde(deserialize_with = "values::count")]
    pub open_operations: Option<NonZeroUsize>,
    /// The weight of all that runs.
    #[serde(deserialize_with = "values::count")]
    pub capacity: Option<NonZeroU32>,
    /// Free bytes on the disk below which nothing new is registered.
    pub least_free_bytes: Option<u64>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is not allowed; the message names lines and columns.
    #[error("the configuration file {} is wrong: {message}", .path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
}

impl Config {
    /// Reads the file; without one everything has its default.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|message| ConfigError::Wrong {
            path: path.to_owned(),
            message,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let parsed = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned());
        let mut config: Self = parsed?;
        config.programs = programs(&config.exec).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(|fault| fault.told(text)).collect();
            faults.join("; ")
        })?;
        Ok(config)
    }

    pub(super) fn exec(&self, data: &Path) -> ExecConfig {
        ExecConfig {
            guard: OWN_PROGRAM.into(),
            data: data.to_owned(),
            programs: self.programs.clone(),
        }
    }

    pub(super) fn journal_options(&self) -> Options {
        let mut options = Options::default();
        if let Some(bytes) = self.limits.least_free_bytes {
            options.least_free_bytes = bytes;
        }
        options
    }

    pub(super) fn core_limits(&self) -> opstead_core::Limits {
        let mut limits = opstead_core::Limits::default();
        if let Some(most) = self.limits.open_operations {
            limits.open_operations = most.get();
        }
        limits
    }

    /// How long the attempts of an executor are kept when its connection is lost.
    pub(super) fn lease_ms(&self) -> u64 {
        self.limits.lease_ms.map_or(30_000, NonZeroU64::get)
    }

    pub(super) fn capacity(&self) -> u32 {
        let default = EngineConfig::default().capacity;
        self.limits.capacity.map_or(default, NonZeroU32::get)
    }

    pub(super) fn retention(&self) -> Retention {
        let days = |days: NonZeroU64| Duration::from_secs(days.get().saturating_mul(24 * 60 * 60));
        let default = Retention::default();
        let own = &self.retention;
        Retention {
            alerts: own.alerts_days.map_or(default.alerts, days),
            alerts_bytes: own.alerts_bytes.unwrap_or(default.alerts_bytes),
            operations: own.operations_days.map_or(default.operations, days),
            operations_bytes: own.operations_bytes.unwrap_or(default.operations_bytes),
        }
    }

    pub(super) fn storage(&self, data: &Path) -> StorageConfig {
        let own = &self.storage;
        let pool = own.pool.clone().unwrap_or_else(|| data.join("pool"));
        let default = StorageConfig::new(pool, OWN_PROGRAM);
        StorageConfig {
            import_folders: own.import_folders.clone(),
            capacity: own.capacity.map_or(default.capacity, NonZeroU32::get),
            copy_bytes_per_second: own.copy_bytes_per_second.map(NonZeroU64::get),
            qemu_img: own.qemu_img.clone().unwrap_or(default.qemu_img),
            ..default
        }
    }

    pub(super) fn rpc_limits(&self) -> rpc::Limits {
        let own = &self.limits;
        let default = rpc::Limits::default();
        rpc::Limits {
            max_connections: own
                .connections
                .map_or(default.max_connections, NonZeroU32::get),
            max_request_bytes: own
                .request_bytes
                .map_or(default.max_request_bytes, NonZeroU32::get),
            max_answer_bytes: own
                .answer_bytes
                .map_or(default.max_answer_bytes, NonZeroUsize::get),
            write_timeout_ms: own
                .write_timeout_ms
                .map_or(default.write_timeout_ms, NonZeroU64::get),
            ..default
        }
    }

    /// The limits as `system.status` tells them.
    pub(super) fn wire_limits(&self, rpc: &rpc::Limits) -> opstead_schema::Limits {
        let core = self.core_limits();
        opstead_schema::Limits {
            request_bytes: u64::from(rpc.max_request_bytes),
            answer_bytes: rpc.max_answer_bytes as u64,
            connections: rpc.max_connections,
            calls_in_flight: rpc.max_calls_in_flight as u32,
            waits: rpc.max_waits as u32,
            subscriptions: rpc.max_subscriptions,
            open_operations: core.open_operations as u64,
            claims: core.claims as u32,
            dependencies: core.dependencies as u32,
            children: core.children as u32,
            flow_steps: core.flow_steps as u32,
            capacity: self.capacity(),
            result_bytes: RESULT_BYTES,
            report_bytes: REPORT_BYTES,
            filter_bytes: MAX_PATTERN_BYTES as u32,
            write_timeout_ms: rpc.write_timeout_ms,
        }
    }
}
