//! Instants and lengths of time.
//!
//! Knows: how both are written, and what of an instant can be asked for.
//! Does not know: what time it is. Of time zones it knows those that are a distance from UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::{Context, Entry, mismatch};
use crate::error::Error;
use crate::value::Value;

/// Of an instant, in UTC or where it is said.
const INSTANT: &str = "timestamp.() -> int; timestamp.(string) -> int";
/// The same, and of a length of time all of it in that unit.
const BOTH: &str = "timestamp.() -> int; timestamp.(string) -> int; duration.() -> int";

pub(super) const FUNCTIONS: &[Entry] = &[
    ("getFullYear", INSTANT, |_, args| part(args, |at| i64::from(at.year()))),
    ("getMonth", INSTANT, |_, args| part(args, |at| i64::from(at.month()) - 1)),
    ("getDate", INSTANT, |_, args| part(args, |at| i64::from(at.day()))),
    ("getDayOfMonth", INSTANT, |_, args| part(args, |at| i64::from(at.day()) - 1)),
    ("getDayOfYear", INSTANT, |_, args| part(args, |at| i64::from(at.date().day_of_year()) - 1)),
    ("getDayOfWeek", INSTANT, |_, args| part(args, |at| i64::from(at.weekday().to_sunday_zero_offset()))),
    ("getHours", BOTH, |c, args| either(c, args, 3_600_000_000_000, |at| i64::from(at.hour()))),
    ("getMinutes", BOTH, |c, args| either(c, args, 60_000_000_000, |at| i64::from(at.minute()))),
    ("getSeconds", BOTH, |c, args| either(c, args, 1_000_000_000, |at| i64::from(at.second()))),
    ("getMilliseconds", BOTH, |c, args| either(c, args, 1_000_000, |at| i64::from(at.millisecond()))),
];

fn part(args: &[Value], get: fn(DateTime) -> i64) -> Result<Value, Error> {
    let (at, zone) = match args {
        [Value::Timestamp(at)] => (at, TimeZone::UTC),
        [Value::Timestamp(at), Value::String(zone)] => (at, read_zone(zone)?),
        _ => return mismatch(),
    };
    Ok(Value::Int(get(zone.to_datetime(*at))))
}

fn either(_: &Context<'_>, args: &[Value], unit: i64, get: fn(DateTime) -> i64) -> Result<Value, Error> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / unit)),
        _ => part(args, get),
    }
}

/// `UTC`, a name such as `Europe/Vienna`, or hours and minutes east of UTC: `+02:00`, `-08:00`, `02:00`. Names are looked
/// up in the table that is built in, so that a machine's own cannot change what an expression comes to.
fn read_zone(zone: &str) -> Result<TimeZone, Error> {
    if matches!(zone, "" | "UTC" | "Etc/UTC" | "GMT" | "Z") {
        return Ok(TimeZone::UTC);
    }
    let offset = || {
        let (sign, rest) = match zone.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, zone.strip_prefix('+').unwrap_or(zone)),
        };
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let valid = (0..24).contains(&hours) && (0..60).contains(&minutes);
        Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().filter(|_| valid)
    };
    match offset() {
        Some(offset) => Ok(TimeZone::fixed(offset)),
        None => TimeZoneDatabase::bundled().get(zone).map_err(|_| Error::new(format!("unknown time zone {zone}"))),
    }
}

/// As RFC 3339 writes it.
pub(crate) fn read_timestamp(text: &str) -> Option<Timestamp> {
    // jiff reads more than that.
    let strict = text.len() >= 20 && text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    text.parse().ok().filter(|_| strict)
}

pub(crate) fn show_timestamp(at: Timestamp) -> String {
    at.to_string()
}

/// As Go writes it: `1h30m`, `-1.5s`, `100ms`.
pub(crate) fn read_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let nanos: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let digits = |text: &str| -> Option<i128> { if text.is_empty() { Some(0) } else { text.parse().ok() } };
        total = total.checked_add(digits(whole)?.checked_mul(nanos)?)?;
        let fraction = fraction.get(..fraction.len().min(18))?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(digits(fraction)?.checked_mul(nanos)? / scale)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Seconds, as protobuf writes a duration: `5400s`, `1.5s`.
pub(crate) fn show_duration(nanos: i64) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (seconds, rest) = (size / 1_000_000_000, size % 1_000_000_000);
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}
