//! Virtual time as Kubernetes writes it.
//!
//! Knows: RFC 3339, to the second (`metav1.Time`) and to the microsecond (`metav1.MicroTime`).
//! Does not know: what time it is.

use jiff::Timestamp;
use twin::Time;

/// To the second, as `metav1.Time` is written: `2026-11-24T07:29:46Z`.
#[must_use]
pub fn format(at: Time) -> String {
    write(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// To the microsecond, as `metav1.MicroTime` is written: `2026-11-24T07:29:46.000000Z`.
#[must_use]
pub fn format_micro(at: Time) -> String {
    write(at, "%Y-%m-%dT%H:%M:%S%.6fZ")
}

fn write(at: Time, form: &str) -> String {
    Timestamp::from_millisecond(at.as_millis()).unwrap_or(Timestamp::UNIX_EPOCH).strftime(form).to_string()
}

/// Reads any RFC 3339 time.
#[must_use]
pub fn parse(text: &str) -> Option<Time> {
    text.parse::<Timestamp>().ok().map(|at| Time::from_millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_was_read() {
        assert_eq!(parse("2026-11-24T07:29:46Z").map(format).as_deref(), Some("2026-11-24T07:29:46Z"));
        assert_eq!(parse("2026-11-24T07:29:46.25Z").map(format_micro).as_deref(), Some("2026-11-24T07:29:46.250000Z"));
        assert_eq!(parse("yesterday"), None);
    }
}
