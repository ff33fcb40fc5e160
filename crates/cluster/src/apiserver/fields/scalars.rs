//! Leaves that are written as text: what Go says of text that is no time, no amount, no base64.
//!
//! Knows: the forms, and Go's words for what does not have them.
//! Does not know: where in a document the text stands.

/// A layout of Go's `time.Parse`, taken apart.
const SECONDS: &[&str] = &["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", "Z07:00"];
const MICROSECONDS: &[&str] = &["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", ".000000", "Z07:00"];

/// What is wrong with an instant to the second.
pub(super) fn time_fault(text: &str) -> Option<String> {
    instant_fault(text, SECONDS)
}

/// What is wrong with an instant to the microsecond, which wants all six digits.
pub(super) fn micro_time_fault(text: &str) -> Option<String> {
    instant_fault(text, MICROSECONDS)
}

/// Why a part of an instant was not taken.
enum Unread {
    /// It has not the form.
    Form,
    /// There is no such hour.
    Range(&'static str),
}

fn instant_fault(text: &str, layout: &[&str]) -> Option<String> {
    let (mut rest, mut date) = (text.as_bytes(), [0_u32; 3]);
    for part in layout {
        match take(part, rest, layout, &mut date) {
            Ok(left) => rest = left,
            Err(Unread::Range(what)) => return Some(format!("parsing time {text:?}: {what} out of range")),
            Err(Unread::Form) => {
                let (whole, at) = (layout.concat(), String::from_utf8_lossy(rest));
                return Some(format!("parsing time {text:?} as {whole:?}: cannot parse {at:?} as {part:?}"));
            }
        }
    }
    if !rest.is_empty() {
        let extra = String::from_utf8_lossy(rest);
        return Some(format!("parsing time {text:?}: extra text: {extra:?}"));
    }
    let [year, month, day] = date;
    let days = match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (day < 1 || day > days).then(|| format!("parsing time {text:?}: day out of range"))
}

/// Takes one part of a layout off the front of what is left.
fn take<'a>(part: &str, rest: &'a [u8], layout: &[&str], date: &mut [u32; 3]) -> Result<&'a [u8], Unread> {
    let after = |length: usize| rest.get(length..).unwrap_or_default();
    let digits = |from: usize, length: usize| -> Result<u32, Unread> {
        let digits = rest.get(from..from + length).ok_or(Unread::Form)?;
        digits.iter().try_fold(0, |number, byte| match byte {
            b'0'..=b'9' => Ok(number * 10 + u32::from(byte - b'0')),
            _ => Err(Unread::Form),
        })
    };
    let below = |number: u32, limit: u32, what: &'static str| {
        if number < limit { Ok(after(2)) } else { Err(Unread::Range(what)) }
    };
    let [year, month, day] = date;
    match part {
        "2006" => {
            *year = digits(0, 4)?;
            Ok(after(4))
        }
        "01" => {
            *month = digits(0, 2)?;
            if *month == 0 { Err(Unread::Range("month")) } else { below(*month, 13, "month") }
        }
        "02" => {
            *day = digits(0, 2)?;
            Ok(after(2))
        }
        // Go takes an hour of one digit too.
        "15" if digits(0, 2).is_err() => digits(0, 1).map(|_| after(1)),
        "15" => below(digits(0, 2)?, 24, "hour"),
        "04" => below(digits(0, 2)?, 60, "minute"),
        "05" => {
            let left = below(digits(0, 2)?, 60, "second")?;
            // A fraction that the layout does not name is taken too, of any length.
            let fraction = match left {
                [b'.' | b',', digits @ ..] if !layout.contains(&".000000") => {
                    digits.iter().take_while(|byte| byte.is_ascii_digit()).count()
                }
                _ => 0,
            };
            Ok(if fraction == 0 { left } else { after(3 + fraction) })
        }
        ".000000" => match rest.first() {
            Some(b'.' | b',') => digits(1, 6).map(|_| after(7)),
            _ => Err(Unread::Form),
        },
        "Z07:00" => match rest {
            [b'Z', left @ ..] => Ok(left),
            [sign, _, _, b':', _, _, left @ ..] => match (digits(1, 2)?, digits(4, 2)?) {
                (25.., _) => Err(Unread::Range("time zone offset hour")),
                (_, 61..) => Err(Unread::Range("time zone offset minute")),
                _ if matches!(sign, b'+' | b'-') => Ok(left),
                _ => Err(Unread::Form),
            },
            _ => Err(Unread::Form),
        },
        mark => rest.strip_prefix(mark.as_bytes()).ok_or(Unread::Form),
    }
}

/// What is wrong with base64, padded as the standard has it; line ends are no letters.
pub(super) fn base64_fault(text: &str) -> Option<String> {
    base64_end(text.as_bytes()).err().map(|at| format!("illegal base64 data at input byte {at}"))
}

fn base64_end(text: &[u8]) -> Result<(), usize> {
    let line_ends = |mut at: usize| {
        while matches!(text.get(at), Some(b'\n' | b'\r')) {
            at += 1;
        }
        at
    };
    let (mut at, mut letters) = (0, 0);
    while let Some(letter) = text.get(at) {
        match letter {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => letters = (letters + 1) % 4,
            b'\n' | b'\r' => {}
            b'=' if letters >= 2 => {
                let mut end = at + 1;
                if letters == 2 {
                    end = line_ends(end);
                    match text.get(end) {
                        None => return Err(text.len()),
                        Some(b'=') => end += 1,
                        Some(_) => return Err(end - 1),
                    }
                }
                end = line_ends(end);
                return if end < text.len() { Err(end) } else { Ok(()) };
            }
            _ => return Err(at),
        }
        at += 1;
    }
    if letters == 0 { Ok(()) } else { Err(at - letters) }
}

const NO_QUANTITY: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const SUFFIXES: &[&str] = &["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// What is wrong with an amount with a unit.
pub(super) fn quantity_fault(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return Some(NO_QUANTITY.to_owned());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number = unsigned.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let suffix = match number.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|letter: char| letter.is_ascii_digit()),
        None => number,
    };
    let digits = unsigned.len() - suffix.len();
    let after_letters = suffix.trim_start_matches(|letter: char| "eEinumkKMGTP".contains(letter));
    let letters = &suffix.get(..suffix.len() - after_letters.len()).unwrap_or_default();
    let exponent = after_letters.strip_prefix(['-', '+']).unwrap_or(after_letters);
    if !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(NO_QUANTITY.to_owned());
    }
    let known = if after_letters.is_empty() {
        SUFFIXES.contains(letters)
    } else {
        matches!(*letters, "e" | "E") && !exponent.is_empty() && exponent.len() < 19
    };
    if !known {
        return Some("unable to parse quantity's suffix".to_owned());
    }
    // A point alone is no number; nothing at all is zero.
    let point_alone = digits == 1 && unsigned.starts_with('.');
    point_alone.then(|| "unable to parse numeric part of quantity".to_owned())
}

/// What is wrong with a length of time as Go writes it: `1h30m`.
pub(super) fn duration_fault(text: &str) -> Option<String> {
    let invalid = || Some(format!("time: invalid duration {text:?}"));
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return None;
    }
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let number = rest.get(..rest.len() - unit.len()).unwrap_or_default();
        if number.matches('.').count() > 1 || !number.bytes().any(|byte| byte.is_ascii_digit()) {
            return invalid();
        }
        let after = unit.trim_start_matches(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let unit = unit.get(..unit.len() - after.len()).unwrap_or_default();
        match unit {
            "" => return Some(format!("time: missing unit in duration {text:?}")),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => rest = after,
            unit => return Some(format!("time: unknown unit {unit:?} in duration {text:?}")),
        }
    }
    None
}
