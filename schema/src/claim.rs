//! Claims: an operation's hold on a resource.

use serde::{Deserialize, Serialize};

words! {
    /// What an operation does to a resource that it claims; later ones are stronger.
    ClaimOperation {
        /// Reads it.
        Read = "read",
        /// Changes it.
        Update = "update",
        /// Makes it.
        Create = "create",
        /// Takes it away.
        Delete = "delete",
    }
}

/// Something that operations claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Resource {
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one of its kind.
    pub id: String,
}

/// An operation's hold on a resource. In a method's declaration `id` is a template: `{name}` takes
/// a kwarg.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Claim {
    /// What kind of thing is claimed.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one of its kind.
    pub id: String,
    /// What is done to it.
    pub operation: ClaimOperation,
}
