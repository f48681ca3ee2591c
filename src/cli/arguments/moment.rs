//! Moments as a person writes them: by the clock on the wall, with an offset, or from now on.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use opstead_client::schema::Timestamp;

const EXPECTED: &str = "expected a local time like 2026-12-01T12:00, one with an offset like 2026-12-01T12:00Z, or how \
     long from now on, like 10min";

/// Reads a moment. A time without an offset is that of `TZ`, or else of the machine.
pub(in crate::cli) fn moment(text: &str) -> Result<Timestamp, String> {
    read(text, jiff::Timestamp::now(), TimeZone::try_system)
}

fn read(
    text: &str,
    now: jiff::Timestamp,
    zone: impl FnOnce() -> Result<TimeZone, jiff::Error>,
) -> Result<Timestamp, String> {
    let far = || "it is before 1970 or after 9999".to_owned();
    let found = if let Ok(duration) = humantime::parse_duration(text) {
        now.checked_add(duration).map_err(|_| far())?
    } else if text.contains('[') {
        // The name of a zone would be passed over where there is an offset.
        return Err(EXPECTED.to_owned());
    } else if let Ok(found) = text.parse() {
        found
    } else {
        // A date alone would mean its midnight, and for a deadline hardly anybody means that.
        let local: DateTime = match text.parse() {
            Ok(local) if text.contains(':') => local,
            _ => return Err(EXPECTED.to_owned()),
        };
        let zone = zone().map_err(|error| {
            format!("the local time zone is not known ({error}); write the time with an offset")
        })?;
        let found = zone.to_ambiguous_timestamp(local).unambiguous();
        found.map_err(|_| {
            "the clock is changed then, so this time is twice or not at all; write it with an offset"
                .to_owned()
        })?
    };
    let unix_ms = u64::try_from(found.as_millisecond()).map_err(|_| far())?;
    Ok(Timestamp::from_unix_ms(unix_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_berlin(text: &str) -> Result<String, String> {
        let zone = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3");
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        read(text, now, zone).map(|found| found.to_string())
    }

    #[test]
    fn times_are_local_unless_they_have_an_offset() {
        for (text, moment) in [
            ("2026-12-01T12:00", "2026-12-01T11:00:00.000Z"),
            ("2026-07-01 12:00:30.5", "2026-07-01T10:00:30.500Z"),
            ("2026-12-01T12:00Z", "2026-12-01T12:00:00.000Z"),
            ("2026-12-01T12:00:01-02:30", "2026-12-01T14:30:01.000Z"),
            ("10min", "2026-01-02T03:14:05.000Z"),
            ("1day 30s", "2026-01-03T03:04:35.000Z"),
        ] {
            assert_eq!(read_in_berlin(text).unwrap(), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_or_two_is_refused() {
        for (text, told) in [
            ("", "expected a local time"),
            ("noon", "expected a local time"),
            ("12:00", "expected a local time"),
            ("2026-12-01", "expected a local time"),
            ("2026-02-30T12:00", "expected a local time"),
            ("2026-12-01T12:00[Europe/London]", "expected a local time"),
            ("2026-10-25T02:30", "twice or not at all"),
            ("2026-03-29T02:30", "twice or not at all"),
            ("1960-01-01T00:00Z", "before 1970"),
            ("9000years", "before 1970 or after 9999"),
        ] {
            let error = read_in_berlin(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let error = read("2026-12-01T12:00", jiff::Timestamp::now(), || {
            TimeZone::posix("nowhere")
        });
        assert!(error.unwrap_err().contains("time zone is not known"));
    }
}
