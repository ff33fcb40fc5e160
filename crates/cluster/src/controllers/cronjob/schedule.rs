//! When a cron schedule is due: `*/5 8-18 * * mon-fri`, `@daily`, `@every 1h30m`, in a time zone.
//!
//! Knows: the language of `robfig/cron`, which Kubernetes reads, and what becomes of an hour that a zone skips or repeats.
//! Does not know: what is started then.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};
use twin::Time;

/// How many months and days to look ahead for a match before it is taken never to come; as far as the real one looks.
const YEARS_MAX: i16 = 5;
/// More steps than any search within that takes.
const STEPS_MAX: usize = 4_000;

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Schedule {
    /// At these moments.
    At(Fields, TimeZone),
    /// Again and again after so many seconds.
    Every(i64),
}

/// One bit for each number that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether day and weekday must both match, because one of them says "any"; else one is enough.
    both_days: bool,
}

/// A time zone by its name; none if there is none of that name. It never depends on the machine: what zones there are comes
/// with the program.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

impl Schedule {
    /// Reads a schedule as it is written, in a time zone.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        if let Some(every) = text.strip_prefix("@every ") {
            let seconds = duration(every).ok_or_else(|| format!("failed to parse duration {text}"))?;
            return Ok(Self::Every(seconds.max(1)));
        }
        let spelled = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.starts_with('@') => return Err(format!("unrecognized descriptor: {other}")),
            other => other,
        };
        let fields: Vec<&str> = spelled.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len()));
        };
        let (days, any_day) = field(day, 1, 31, &[])?;
        let (weekdays, any_weekday) = field(weekday, 0, 6, &WEEKDAYS)?;
        let fields = Fields {
            minutes: field(minute, 0, 59, &[])?.0,
            hours: field(hour, 0, 23, &[])?.0,
            days,
            months: field(month, 1, 12, &MONTHS)?.0,
            weekdays,
            both_days: any_day || any_weekday,
        };
        Ok(Self::At(fields, zone))
    }

    /// The first moment after `after`; none if there is none for years.
    pub(super) fn next(&self, after: Time) -> Option<Time> {
        match self {
            Self::Every(seconds) => Some(Time::from_millis((after.as_millis().div_euclid(1000) + seconds) * 1000)),
            Self::At(fields, zone) => {
                let minute = (after.as_millis().div_euclid(60_000) + 1) * 60_000;
                let from = Timestamp::from_millisecond(minute).ok()?.to_zoned_datetime(zone.clone());
                Some(Time::from_millis(fields.first_from(from)?.timestamp().as_millisecond()))
            }
        }
    }

    /// The last moment after `after` and not after `until`.
    pub(super) fn last(&self, after: Time, until: Time) -> Option<Time> {
        // Looks back twice as far each time, so that a long pause costs little.
        let mut window = 3_600_000_i64;
        loop {
            let from = Time::from_millis(until.as_millis().saturating_sub(window)).max(after);
            let mut last = self.next(from).filter(|at| *at <= until);
            while let Some(next) = last.and_then(|at| self.next(at)).filter(|next| *next <= until) {
                last = Some(next);
            }
            if last.is_some() || from <= after {
                return last;
            }
            window = window.saturating_mul(2);
        }
    }
}

impl Fields {
    fn has(bits: u64, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| bits.checked_shr(number).is_some_and(|rest| rest & 1 == 1))
    }

    fn on_day(&self, at: &ZonedDateTime) -> bool {
        let day = Self::has(self.days, at.day());
        let weekday = Self::has(self.weekdays, at.weekday().to_sunday_zero_offset());
        if self.both_days { day && weekday } else { day || weekday }
    }

    /// Goes on in real time, as the real one does: an hour that the zone skips matches nothing, one that it repeats twice.
    fn first_from(&self, mut at: ZonedDateTime) -> Option<ZonedDateTime> {
        let last_year = at.year().saturating_add(YEARS_MAX);
        for _ in 0..STEPS_MAX {
            if at.year() > last_year {
                return None;
            }
            at = if !Self::has(self.months, at.month()) {
                let next = at.date().first_of_month().checked_add(Span::new().months(1)).ok()?;
                next.to_zoned_datetime(at.time_zone().clone()).ok()?
            } else if !self.on_day(&at) {
                at.date().tomorrow().ok()?.to_zoned_datetime(at.time_zone().clone()).ok()?
            } else if !Self::has(self.hours, at.hour()) {
                at.checked_add(Span::new().minutes(60 - i64::from(at.minute()))).ok()?
            } else if !Self::has(self.minutes, at.minute()) {
                at.checked_add(Span::new().minutes(1)).ok()?
            } else {
                return Some(at);
            };
        }
        None
    }
}

const MONTHS: [&str; 13] = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The numbers of one field as bits, and whether it says "any".
fn field(text: &str, min: u32, max: u32, names: &[&str]) -> Result<(u64, bool), String> {
    let number = |word: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| !name.is_empty() && word.eq_ignore_ascii_case(name));
        let number = named.and_then(|at| u32::try_from(at).ok()).or_else(|| word.parse().ok());
        number.ok_or_else(|| format!("failed to parse int from {word}"))
    };
    let (mut bits, mut any) = (0_u64, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map(|step| step.parse::<u32>().map_err(|_| format!("failed to parse int from {step}")));
        let step = step.transpose()?;
        let (first, last) = match range.split_once('-') {
            None if matches!(range, "*" | "?") => {
                any |= step.is_none_or(|step| step <= 1);
                (min, max)
            }
            // A single number with a step goes on to the end.
            None => {
                let first = number(range)?;
                (first, if step.is_some() { max } else { first })
            }
            Some((first, last)) => (number(first)?, number(last)?),
        };
        if first < min {
            return Err(format!("beginning of range ({first}) below minimum ({min}): {part}"));
        }
        if last > max {
            return Err(format!("end of range ({last}) above maximum ({max}): {part}"));
        }
        if first > last {
            return Err(format!("beginning of range ({first}) beyond end of range ({last}): {part}"));
        }
        let step = step.unwrap_or(1);
        let step = usize::try_from(step).ok().filter(|step| *step > 0);
        let step = step.ok_or_else(|| format!("step of range should be a positive number: {part}"))?;
        bits |= (first..=last).step_by(step).fold(0, |bits, number| bits | 1 << number);
    }
    if bits == 0 { Err(format!("empty field {text:?}")) } else { Ok((bits, any)) }
}

/// Whole seconds of a duration as Go writes it: `1h30m`, `90s`.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut millis = 0.0_f64;
    while !rest.is_empty() {
        let (amount, unit) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, more) = unit.split_at(unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len()));
        let scale = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            _ => return None,
        };
        millis += amount.parse::<f64>().ok()? * scale;
        rest = more;
    }
    // No schedule is so long that the whole seconds of it are not exact.
    #[allow(clippy::cast_possible_truncation)]
    let seconds = (millis / 1000.0).floor() as i64;
    (!text.trim().is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    fn moments(text: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(text, zone(zone_name).expect("a zone")).expect("a schedule");
        let mut at = time::parse(after).expect("a time");
        let mut moments = Vec::new();
        while moments.len() < count {
            let Some(next) = schedule.next(at) else { break };
            moments.push(time::format(next));
            at = next;
        }
        moments
    }

    #[test]
    fn a_schedule_is_due_when_the_real_one_is() {
        for (text, zone, after, wanted) in [
            ("* * * * *", "", "2026-01-01T00:00:30Z", "00:01 00:02"),
            ("*/20 3 * * *", "Etc/UTC", "2026-01-01T03:20:00Z", "03:40 02T03:00"),
            ("5/20 * * * *", "", "2026-01-01T00:00:00Z", "00:05 00:25 00:45 01:05"),
            // Either day is enough if both are said; `*/2` says something.
            ("0 0 13 * fri", "", "2026-01-01T00:00:00Z", "02T00:00 09T00:00 13T00:00"),
            ("0 0 1 * *", "", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@weekly", "", "2026-01-01T00:00:00Z", "04T00:00 11T00:00"),
            ("@every 1h30m", "", "2026-01-01T00:00:07Z", "2026-01-01T01:30:07Z"),
            ("0 9 * JAN mon-fri", "America/New_York", "2026-01-01T20:00:00Z", "02T14:00 05T14:00"),
            // 02:30 is skipped on the 29th of March in Berlin, and comes twice on the 25th of October.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-28T01:30:00Z 2026-03-30T00:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z"),
            ("0 0 31 2 *", "", "2026-01-01T00:00:00Z", ""),
        ] {
            let wanted: Vec<String> = wanted
                .split_whitespace()
                .map(|at| match at.len() {
                    5 => format!("2026-01-01T{at}:00Z"),
                    8 => format!("2026-01-{at}:00Z"),
                    _ => at.to_owned(),
                })
                .collect();
            assert_eq!(moments(text, zone, after, wanted.len().max(1)), wanted, "{text}");
        }
    }

    #[test]
    fn the_last_moment_is_found_however_long_ago() {
        for (text, after, until, wanted) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-12-24T10:00:59Z", Some("2026-12-24T10:00:00Z")),
            ("0 0 2 1 *", "2026-01-01T00:00:00Z", "2026-12-24T10:00:59Z", Some("2026-01-02T00:00:00Z")),
            ("0 0 2 1 *", "2026-01-02T00:00:00Z", "2026-12-24T10:00:59Z", None),
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:59Z", None),
        ] {
            let schedule = Schedule::parse(text, TimeZone::UTC).expect("a schedule");
            let at = |text: &str| time::parse(text).expect("a time");
            let last = schedule.last(at(after), at(until)).map(time::format);
            assert_eq!(last.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "* * * *",
            "60 * * * *",
            "* 5-3 * * *",
            "* * * * 7",
            "*/0 * * * *",
            "@sometimes",
            "@every soon",
            "x * * * *",
        ] {
            assert!(Schedule::parse(text, TimeZone::UTC).is_err(), "{text}");
        }
        assert!(zone("Mars/Olympus").is_none());
    }
}
