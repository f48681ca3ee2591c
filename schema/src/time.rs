//! Times on the wire: RFC 3339, UTC, milliseconds. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;

/// A moment, in unix milliseconds; written as `2026-02-03T04:05:06.789Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A text that is no moment in UTC between 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampError {
    text: String,
}

impl Timestamp {
    /// The moment that many milliseconds after the epoch; later than the year 9999 is its end.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        Self(if unix_ms > LAST_MS { LAST_MS } else { unix_ms })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Cut to milliseconds; before the epoch is the epoch.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::from_unix_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(LAST_MS))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(SystemTime::from(*self)).fmt(formatter)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Any precision is read and cut to milliseconds; the offset must be UTC, `Z` or `+00:00`.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let utc = match text.strip_suffix("+00:00") {
            Some(local) => format!("{local}Z"),
            None => text.to_owned(),
        };
        match humantime::parse_rfc3339(&utc) {
            Ok(time) => Ok(time.into()),
            Err(_) => Err(TimestampError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for TimestampError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invalid value: {:?}, expected a time in UTC like 2026-02-03T04:05:06.789Z",
            self.text
        )
    }
}

impl std::error::Error for TimestampError {}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Owned, because a string with escapes cannot be borrowed.
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, UTC, written with milliseconds",
            "examples": ["2026-02-03T04:05:06.789Z"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_exactly_milliseconds() {
        assert_eq!(
            Timestamp::from_unix_ms(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(1_770_091_506_789).to_string(),
            "2026-02-03T04:05:06.789Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(u64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn other_precisions_of_utc_are_read() {
        for text in [
            "2026-02-03T04:05:06Z",
            "2026-02-03T04:05:06.0Z",
            "2026-02-03T04:05:06.000999Z",
            "2026-02-03T04:05:06.000+00:00",
        ] {
            assert_eq!(
                text.parse(),
                Ok(Timestamp::from_unix_ms(1_770_091_506_000)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_utc_time_is_refused_with_an_example() {
        for text in [
            "",
            "noon",
            "2026-02-03",
            "2026-02-03T04:05:06+01:00",
            "2026-13-03T04:05:06Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("2026-02-03T04:05:06.789Z"),
                "{error}"
            );
        }
    }
}
