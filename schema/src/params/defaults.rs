//! What stands for a parameter that was left out, and how values over a bound are reduced.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use super::{FilterType, WaitMode, WaitUntil};
use crate::{
    Claim, ClaimOperation, Dependency, Json, OperationState, Resource, RetryPolicy, empty_object,
};

/// Entries of a page, if the caller does not say.
pub const PAGE_SIZE_DEFAULT: u32 = 100;
/// Entries of a page at most.
pub const PAGE_SIZE_MOST: u32 = 1_000;
/// Alerts of an answer, if the caller does not say.
pub const LIMIT_DEFAULT: u32 = 1_000;
/// Alerts of an answer at most.
pub const LIMIT_MOST: u32 = 1_000;
/// How long `operations.wait` waits, if the caller does not say.
pub const TIMEOUT_DEFAULT_MS: u64 = 30_000;
/// How long a call waits at most.
pub const TIMEOUT_MOST_MS: u64 = 300_000;
/// Longer is as good as never; keeps sums of times far from overflow.
const BOOKMARK_MOST_MS: u64 = 86_400_000;

pub(super) fn default_filter() -> String {
    "*".to_owned()
}

pub(super) fn default_kwargs() -> Json {
    empty_object()
}

pub(super) const fn default_page_size() -> u32 {
    PAGE_SIZE_DEFAULT
}

pub(super) const fn default_limit() -> u32 {
    LIMIT_DEFAULT
}

pub(super) const fn default_wait_ms() -> u64 {
    TIMEOUT_DEFAULT_MS
}

pub(super) const fn default_bookmark_ms() -> u64 {
    60_000
}

pub(super) fn filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_filter))
}

pub(super) fn filter_type<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<FilterType, D::Error> {
    left_out(deserializer)
}

pub(super) fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WaitMode, D::Error> {
    left_out(deserializer)
}

pub(super) fn until<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WaitUntil, D::Error> {
    left_out(deserializer)
}

pub(super) fn snapshot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    left_out(deserializer)
}

pub(super) fn reduced_page_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    count(deserializer, PAGE_SIZE_DEFAULT, PAGE_SIZE_MOST)
}

pub(super) fn reduced_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    count(deserializer, LIMIT_DEFAULT, LIMIT_MOST)
}

pub(super) fn reduced_wait_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    reduced(deserializer, TIMEOUT_DEFAULT_MS, TIMEOUT_MOST_MS)
}

pub(super) fn reduced_poll_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    reduced(deserializer, 0, TIMEOUT_MOST_MS)
}

pub(super) fn reduced_bookmark_ms<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    reduced(deserializer, default_bookmark_ms(), BOOKMARK_MOST_MS)
}

/// Claims with unknown members refused; where the daemon writes them, readers tolerate more.
pub(super) fn claims<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Claim>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(rename = "type")]
        kind: String,
        id: String,
        operation: ClaimOperation,
    }
    let claims = Option::<Vec<Strict>>::deserialize(deserializer)?;
    Ok(claims.map(|claims| {
        claims
            .into_iter()
            .map(
                |Strict {
                     kind,
                     id,
                     operation,
                 }| Claim {
                    kind,
                    id,
                    operation,
                },
            )
            .collect()
    }))
}

/// Dependencies with unknown members refused; without states they are to complete.
pub(super) fn after<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Dependency>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        id: String,
        states: Option<Vec<OperationState>>,
    }
    let dependency = |Strict { id, states }| Dependency {
        id,
        states: states.unwrap_or_else(|| vec![OperationState::Completed]),
    };
    let after = Option::<Vec<Strict>>::deserialize(deserializer)?;
    Ok(after.map(|after| after.into_iter().map(dependency).collect()))
}

/// A retry policy with unknown members refused.
pub(crate) fn retry<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RetryPolicy>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Strict {
        max_attempts: u32,
        initial_ms: u64,
        factor: f64,
        max_ms: u64,
    }
    let retry = Option::<Strict>::deserialize(deserializer)?;
    Ok(retry.map(|strict| RetryPolicy {
        max_attempts: strict.max_attempts,
        initial_ms: strict.initial_ms,
        factor: strict.factor,
        max_ms: strict.max_ms,
    }))
}

/// A resource with unknown members refused.
pub(super) fn resource<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Resource>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(rename = "type")]
        kind: String,
        id: String,
    }
    let resource = Option::<Strict>::deserialize(deserializer)?;
    Ok(resource.map(|Strict { kind, id }| Resource { kind, id }))
}

fn left_out<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn reduced<'de, D: Deserializer<'de>>(
    deserializer: D,
    default: u64,
    most: u64,
) -> Result<u64, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?
        .unwrap_or(default)
        .min(most))
}

/// An empty page would be asked for again and again, so 0 is refused.
fn count<'de, D: Deserializer<'de>>(
    deserializer: D,
    default: u32,
    most: u32,
) -> Result<u32, D::Error> {
    let value = reduced(deserializer, u64::from(default), u64::from(most))?;
    if value == 0 {
        return Err(D::Error::invalid_value(
            Unexpected::Unsigned(0),
            &"at least 1",
        ));
    }
    Ok(u32::try_from(value).unwrap_or(most))
}
