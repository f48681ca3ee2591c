//! The parameters of every method. Unknown ones are refused, `null` counts as left out, and values
//! over a bound are reduced to it when they are read.

mod defaults;
mod executors;
mod fault_words;
mod flows;
mod parse;

use serde::{Deserialize, Serialize};

use crate::{Claim, Dependency, Json, OperationState, Resource, RetryPolicy, Timestamp};
pub(crate) use defaults::retry;
pub use defaults::{
    LIMIT_DEFAULT, LIMIT_MOST, PAGE_SIZE_DEFAULT, PAGE_SIZE_MOST, TIMEOUT_DEFAULT_MS,
    TIMEOUT_MOST_MS,
};
use defaults::{
    after, claims, default_bookmark_ms, default_filter, default_kwargs, default_limit,
    default_page_size, default_wait_ms, filter, filter_type, mode, reduced_bookmark_ms,
    reduced_limit, reduced_page_size, reduced_poll_ms, reduced_wait_ms, resource, snapshot, until,
};
pub use executors::{
    ExecutorsAnswerParams, ExecutorsAttachParams, ExecutorsCanceledParams, ExecutorsCapacityParams,
    ExecutorsCompleteParams, ExecutorsFailParams, ExecutorsUpdateParams, InfoUpdate,
    ObjectsPublishParams, ObjectsRetireParams,
};
pub use flows::FlowsRegisterParams;
pub use parse::{InvalidParams, parse_params};

words! {
    /// How a filter is written.
    #[derive(Default)]
    FilterType {
        /// `*`, `?`, `[ab]`, `{a,b}`; also over dots.
        #[default]
        Glob = "glob",
        /// A regular expression, anchored at both ends.
        #[serde(alias = "regex")]
        Regexp = "regexp",
    }
}

words! {
    /// How many of the operations a wait is for.
    #[derive(Default)]
    WaitMode {
        /// It ends with the first.
        Any = "any",
        /// It ends with the last.
        #[default]
        All = "all",
    }
}

words! {
    /// What a wait is for.
    #[derive(Default)]
    WaitUntil {
        /// That nothing more will happen to the operation.
        #[default]
        Done = "done",
        /// That the operation has changed after a cursor.
        Change = "change",
    }
}

/// Of a method without parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Of `getRunningTasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetRunningTasksParams {
    /// On ids.
    #[serde(default = "default_filter", deserialize_with = "filter")]
    pub filter: String,
    /// How the filter is written.
    #[serde(default, deserialize_with = "filter_type")]
    pub filter_type: FilterType,
}

/// Of `getOperationInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetOperationInfoParams {
    /// Of which object.
    pub alert_name: String,
}

/// Of `objects.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectsListParams {
    /// On alert names.
    #[serde(default = "default_filter", deserialize_with = "filter")]
    pub filter: String,
    /// How the filter is written.
    #[serde(default, deserialize_with = "filter_type")]
    pub filter_type: FilterType,
    /// At most 1,000.
    #[serde(default = "default_page_size", deserialize_with = "reduced_page_size")]
    pub page_size: u32,
    /// Of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Of `operations.register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterParams {
    /// What to run: `<subsystem>.<method>`.
    pub method_name: String,
    /// Its arguments, an object.
    #[serde(default = "default_kwargs", deserialize_with = "crate::json::object")]
    #[cfg_attr(test, schemars(with = "crate::openrpc::AnyObject"))]
    pub kwargs: Json,
    /// An id of one's own, 1 to 200 printable characters: the request can then be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of the method; the highest declared if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Added to the declared ones.
    #[serde(
        default,
        deserialize_with = "claims",
        skip_serializing_if = "Option::is_none"
    )]
    pub claims: Option<Vec<Claim>>,
    /// In place of the declared weight; at most the capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// Not later; of the first attempt only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before: Option<Timestamp>,
    /// What must be done before it starts; if one ends in another state, this one is skipped.
    #[serde(
        default,
        deserialize_with = "after",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Vec<Dependency>>,
    /// In place of what the method declares of further attempts.
    #[serde(
        default,
        deserialize_with = "retry",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry: Option<RetryPolicy>,
    /// The caller's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Of the attempt that registers this one as its child, on the connection of its executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
}

/// Of `operations.get`, `operations.cancel`, `operations.retry` and `operations.skip`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OperationParams {
    /// Which operation.
    pub id: String,
}

/// Of `operations.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationsListParams {
    /// On alert names.
    #[serde(default = "default_filter", deserialize_with = "filter")]
    pub filter: String,
    /// How the filter is written.
    #[serde(default, deserialize_with = "filter_type")]
    pub filter_type: FilterType,
    /// In one of these states; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<OperationState>>,
    /// Of this subsystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<String>,
    /// Running this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_name: Option<String>,
    /// Claiming this resource: running ones first, then in the order in which they will execute.
    #[serde(
        default,
        deserialize_with = "resource",
        skip_serializing_if = "Option::is_none"
    )]
    pub resource: Option<Resource>,
    /// Registered by this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Bearing all of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 1,000.
    #[serde(default = "default_page_size", deserialize_with = "reduced_page_size")]
    pub page_size: u32,
    /// Of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Of `operations.wait`: either `ids`, or a filter (`*` if neither is given).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationsWaitParams {
    /// For these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// For those that are not done at the call and whose alert name matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How the filter is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_type: Option<FilterType>,
    /// For one or for all of them; all if left out.
    #[serde(default, deserialize_with = "mode")]
    pub mode: WaitMode,
    /// Until they are done, or changed; done if left out.
    #[serde(default, deserialize_with = "until")]
    pub until: WaitUntil,
    /// The cursor after which a change counts; the moment of the call if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most 300,000.
    #[serde(default = "default_wait_ms", deserialize_with = "reduced_wait_ms")]
    pub timeout_ms: u64,
}

/// Of `operations.dismiss`: either `ids`, or `finishedBefore` with or without `states`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationsDismissParams {
    /// These, if they are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// Those that ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_before: Option<Timestamp>,
    /// And that are in one of these states; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<OperationState>>,
}

/// Of `alerts.subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertsSubscribeParams {
    /// On alert names.
    #[serde(default = "default_filter", deserialize_with = "filter")]
    pub filter: String,
    /// How the filter is written.
    #[serde(default, deserialize_with = "filter_type")]
    pub filter_type: FilterType,
    /// The cursor after which to start; the head if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The log that the cursor belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// First how every matching object stands; not with `after`.
    #[serde(default, deserialize_with = "snapshot")]
    pub snapshot: bool,
    /// After how long without an alert to send a bookmark; 0 for never.
    #[serde(
        default = "default_bookmark_ms",
        deserialize_with = "reduced_bookmark_ms"
    )]
    pub bookmark_ms: u64,
}

/// Of `alerts.unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlertsUnsubscribeParams {
    /// Which subscription.
    pub subscription: String,
}

/// Of `alerts.read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertsReadParams {
    /// On alert names.
    #[serde(default = "default_filter", deserialize_with = "filter")]
    pub filter: String,
    /// How the filter is written.
    #[serde(default, deserialize_with = "filter_type")]
    pub filter_type: FilterType,
    /// The cursor after which to read; 0 is the log's beginning.
    pub after: u64,
    /// The log that the cursor belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// At most 1,000.
    #[serde(default = "default_limit", deserialize_with = "reduced_limit")]
    pub limit: u32,
    /// How long to wait for the first alert, at most 300,000.
    #[serde(default, deserialize_with = "reduced_poll_ms")]
    pub timeout_ms: u64,
}

/// Of `filters.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FiltersTestParams {
    /// The filter in question.
    pub filter: String,
    /// How the filter is written.
    #[serde(default, deserialize_with = "filter_type")]
    pub filter_type: FilterType,
    /// The names to try; the present alert names if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
}

impl RegisterParams {
    /// To run the method with these arguments, and nothing else said.
    #[must_use]
    pub fn new(method_name: impl Into<String>, kwargs: Json) -> Self {
        Self {
            method_name: method_name.into(),
            kwargs,
            id: None,
            version: None,
            claims: None,
            weight: None,
            start_at: None,
            start_before: None,
            after: None,
            retry: None,
            tags: None,
            lease: None,
        }
    }

    /// With an id of one's own, so that the request can be repeated.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

impl Default for GetRunningTasksParams {
    fn default() -> Self {
        Self {
            filter: default_filter(),
            filter_type: FilterType::default(),
        }
    }
}

impl Default for ObjectsListParams {
    fn default() -> Self {
        Self {
            filter: default_filter(),
            filter_type: FilterType::default(),
            page_size: PAGE_SIZE_DEFAULT,
            page_token: None,
        }
    }
}

impl Default for OperationsListParams {
    fn default() -> Self {
        Self {
            filter: default_filter(),
            filter_type: FilterType::default(),
            states: None,
            subsystem: None,
            method_name: None,
            resource: None,
            parent: None,
            tags: None,
            page_size: PAGE_SIZE_DEFAULT,
            page_token: None,
        }
    }
}

impl Default for OperationsWaitParams {
    fn default() -> Self {
        Self {
            ids: None,
            filter: None,
            filter_type: None,
            mode: WaitMode::default(),
            until: WaitUntil::default(),
            after: None,
            timeout_ms: TIMEOUT_DEFAULT_MS,
        }
    }
}

impl Default for AlertsSubscribeParams {
    fn default() -> Self {
        Self {
            filter: default_filter(),
            filter_type: FilterType::default(),
            after: None,
            log_id: None,
            snapshot: false,
            bookmark_ms: default_bookmark_ms(),
        }
    }
}

impl Default for AlertsReadParams {
    fn default() -> Self {
        Self {
            filter: default_filter(),
            filter_type: FilterType::default(),
            after: 0,
            log_id: None,
            limit: LIMIT_DEFAULT,
            timeout_ms: 0,
        }
    }
}
