//! `OperationInfo`: how far an operation or an object is, in words that user interfaces translate.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Json;

words! {
    /// The agreed list of words, vague and reusable on purpose. Another word is another version of
    /// the protocol.
    #[allow(missing_docs, reason = "each word says what it means")]
    OperationDescription {
        Waiting = "Waiting",
        Creating = "Creating",
        Configuring = "Configuring",
        Copying = "Copying",
        Merging = "Merging",
        Moving = "Moving",
        Migration = "Migration",
        Resizing = "Resizing",
        Deleting = "Deleting",
        Updating = "Updating",
        Synchronizing = "Synchronizing",
        Publishing = "Publishing",
        Installing = "Installing",
        Removing = "Removing",
        Verifying = "Verifying",
        Starting = "Starting",
        Running = "Running",
        Pausing = "Pausing",
        Paused = "Paused",
        Stopping = "Stopping",
        Stopped = "Stopped",
        Reverting = "Reverting",
        Canceling = "Canceling",
        Completed = "Completed",
        Failed = "Failed",
        Canceled = "Canceled",
    }
}

/// How far an operation or an object is, and how it stands. An update replaces whole members.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OperationInfo {
    /// A word from the agreed list.
    pub operation_description: OperationDescription,
    /// Free text, finer than `operationDescription`; may be empty.
    pub stage_description: String,
    /// Stages completed, out of how many.
    pub stage: Stage,
    /// 0 to 100, or -1 for unknown.
    pub percentage: Percentage,
    /// What went wrong last and for good; `{0, ""}` for nothing.
    pub last_error: LastError,
    /// The subsystem's own.
    #[serde(default = "crate::empty_object")]
    #[cfg_attr(test, schemars(with = "crate::openrpc::AnyObject"))]
    pub extra_data: Json,
}

/// Stages *completed* out of a total. One stage in progress is `{0,1}`. `number == total` exactly
/// when the operation has ended, however it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stage {
    /// Stages completed.
    pub number: u32,
    /// Stages there are; with 1, a user interface shows no stages.
    pub total: u32,
}

/// The error that an operation ended with, or that an object stands in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LastError {
    /// The same codes as call errors; 0 for none.
    pub code: i32,
    /// For a person; empty for none.
    pub message: String,
}

/// 0 to 100, or unknown, which is -1 on the wire. Whole numbers are written without a fraction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percentage(f64);

/// A number that is no percentage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PercentageOutOfRange(f64);

impl OperationDescription {
    /// The word with this spelling, if it is in the list.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == word)
    }
}

impl Stage {
    /// Whether all stages are completed, so that the operation has ended.
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.number == self.total
    }
}

impl Percentage {
    /// Nobody can tell how far it is.
    pub const UNKNOWN: Self = Self(-1.0);

    /// A percentage of this value.
    ///
    /// # Errors
    /// Anything but 0 to 100 and -1.
    pub fn new(value: f64) -> Result<Self, PercentageOutOfRange> {
        if (0.0..=100.0).contains(&value) || value == -1.0 {
            Ok(Self(value))
        } else {
            Err(PercentageOutOfRange(value))
        }
    }

    /// 0 to 100, or nothing if unknown.
    #[must_use]
    pub fn known(self) -> Option<f64> {
        (self.0 >= 0.0).then_some(self.0)
    }

    /// 0 to 100, or -1, as on the wire.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for PercentageOutOfRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invalid value: {}, expected 0 to 100, or -1 for unknown",
            self.0
        )
    }
}

impl std::error::Error for PercentageOutOfRange {}

impl Serialize for Percentage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            // Exact: the range is checked when the value is made.
            serializer.serialize_i8(self.0 as i8)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Percentage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percentage".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "0 to 100, or -1 for unknown",
            "oneOf": [{"type": "number", "minimum": 0, "maximum": 100}, {"const": -1}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_percentage_has_no_fraction() {
        for (value, text) in [
            (-1.0, "-1"),
            (-0.0, "0"),
            (0.0, "0"),
            (42.0, "42"),
            (99.5, "99.5"),
            (100.0, "100"),
        ] {
            let percentage = Percentage::new(value).unwrap();
            assert_eq!(serde_json::to_string(&percentage).unwrap(), text);
            assert_eq!(
                serde_json::from_str::<Percentage>(text).unwrap(),
                percentage
            );
        }
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for text in ["-0.5", "-2", "100.1", "1e300", "\"7\"", "null"] {
            assert!(serde_json::from_str::<Percentage>(text).is_err(), "{text}");
        }
        assert!(Percentage::new(f64::NAN).is_err());
    }

    #[test]
    fn a_word_outside_the_list_is_refused() {
        assert!(serde_json::from_str::<OperationDescription>("\"Frobnicating\"").is_err());
        assert_eq!(
            OperationDescription::from_word("Copying"),
            Some(OperationDescription::Copying)
        );
        assert_eq!(OperationDescription::from_word("copying"), None);
        assert_eq!(OperationDescription::ALL.len(), 26);
    }
}
