//! Text made of parts, and parts found in text.
//!
//! Knows: `format`'s clauses; regular expressions.
//! Does not know: how patterns are read.

use super::time::{show_duration, show_timestamp};
use super::{Context, Entry, mismatch, tenth};
use crate::error::Error;
use crate::meter::Meter;
use crate::pattern;
use crate::types::Type;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("matches", "string.(string) -> bool; (string, string) -> bool", |context, args| {
        let (text, pattern) = pattern(context, args)?;
        Ok(Value::Bool(pattern.is_match(text)))
    }),
    ("find", "string.(string) -> string", |context, args| {
        let (text, pattern) = pattern(context, args).map_err(illegal)?;
        Ok(Value::from(pattern.find(text).map_or("", |found| found.as_str())))
    }),
    ("findAll", "string.(string) -> list(string); string.(string, int) -> list(string)", |context, args| {
        let most = match args {
            [_, _, Value::Int(most)] => usize::try_from(*most).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let (text, pattern) = pattern(context, args).map_err(illegal)?;
        context.meter.work(text.len() as u64)?;
        Ok(Value::list(pattern.find_iter(text).take(most).map(|found| Value::from(found.as_str()))))
    }),
    ("format", "string.(list(dyn)) -> string", |context, args| match args {
        [Value::String(text), Value::List(parts)] => {
            context.meter.spend(tenth(text.len()))?;
            let made = format(text, parts, context.meter)?;
            context.meter.spend(tenth(made.len()))?;
            Ok(Value::from(made))
        }
        _ => mismatch(),
    }),
];

/// How the functions that search say it of a pattern.
fn illegal(error: Error) -> Error {
    match error {
        Error::Failed(why) if why.starts_with("error parsing") => Error::Failed(format!("Illegal regex: {why}")),
        other => other,
    }
}

fn pattern<'a>(context: &mut Context<'_>, args: &'a [Value]) -> Result<(&'a str, regex::Regex), Error> {
    let [Value::String(text), Value::String(source), ..] = args else { return Err(Error::no_overload()) };
    context.meter.spend(tenth(text.len() + 1) * (source.len() as u64).div_ceil(4))?;
    context.meter.work(2000 + (text.len() as u64).saturating_mul(source.len() as u64) / 64)?;
    Ok((text, pattern::read(source).map_err(Error::new)?))
}

fn format(text: &str, parts: &[Value], meter: &mut Meter) -> Result<String, Error> {
    let mut out = String::new();
    let (mut letters, mut parts, mut used) = (text.chars().peekable(), parts.iter(), 0_usize);
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        if letters.peek() == Some(&'%') {
            letters.next();
            out.push('%');
            continue;
        }
        let mut precision = None;
        if letters.peek() == Some(&'.') {
            letters.next();
            let mut digits = String::new();
            while let Some(digit) = letters.peek().filter(|letter| letter.is_ascii_digit()) {
                digits.push(*digit);
                letters.next();
            }
            let many = digits.parse::<usize>().ok().filter(|many| *many <= 1000);
            precision = Some(many.ok_or_else(|| Error::new("error while parsing precision"))?);
        }
        let Some(clause) = letters.next() else {
            return Err(Error::new("unexpected end of string"));
        };
        let Some(part) = parts.next() else {
            return Err(Error::new(format!("index {used} out of range")));
        };
        used += 1;
        out.push_str(&shown(clause, precision, part, meter)?);
    }
    Ok(out)
}

fn shown(clause: char, precision: Option<usize>, part: &Value, meter: &mut Meter) -> Result<String, Error> {
    let wrong = |what: &str| Error::new(format!("error during formatting: {what}, was given {}", part.type_name()));
    match (clause, part) {
        ('s', part) => {
            let mut out = String::new();
            text(part, true, &mut out, meter)?;
            Ok(out)
        }
        ('d', Value::Int(number)) => Ok(number.to_string()),
        ('d', Value::Uint(number)) => Ok(number.to_string()),
        ('d', Value::Double(number)) if !number.is_finite() => Ok(infinite(*number)),
        ('d', _) => Err(wrong("decimal clause can only be used on integers")),
        ('f' | 'e', Value::Double(number)) if !number.is_finite() => Ok(infinite(*number)),
        ('f', part) => real(part)
            .map(|number| format!("{number:.*}", precision.unwrap_or(6)))
            .ok_or_else(|| wrong("fixed-point clause can only be used on doubles")),
        ('e', part) => match real(part) {
            // However precise it is asked to be.
            Some(number) => Ok(exponent(&format!("{number:.6e}"))),
            None => Err(wrong("scientific clause can only be used on doubles")),
        },
        ('b', Value::Int(number)) => Ok(signed(*number, |size| format!("{size:b}"))),
        ('b', Value::Uint(number)) => Ok(format!("{number:b}")),
        ('b', Value::Bool(truth)) => Ok(u8::from(*truth).to_string()),
        ('b', _) => Err(wrong("only integers and bools can be formatted as binary")),
        ('x', part) => {
            hex(part, meter)?.ok_or_else(|| wrong("only integers, byte buffers, and strings can be formatted as hex"))
        }
        ('X', part) => hex(part, meter)?
            .map(|hex| hex.to_uppercase())
            .ok_or_else(|| wrong("only integers, byte buffers, and strings can be formatted as hex")),
        ('o', Value::Int(number)) => Ok(signed(*number, |size| format!("{size:o}"))),
        ('o', Value::Uint(number)) => Ok(format!("{number:o}")),
        ('o', _) => Err(wrong("octal clause can only be used on integers")),
        (other, _) => {
            Err(Error::new(format!("could not parse formatting clause: unrecognized formatting clause \"{other}\"")))
        }
    }
}

fn infinite(number: f64) -> String {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
    .to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "it is what writing a whole number as a real one means")]
fn real(part: &Value) -> Option<f64> {
    match part {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        _ => None,
    }
}

/// `1.5e3` as a person writes it, `1.5×10⁰³`.
fn exponent(text: &str) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("⁻", digits));
    let digits = format!("{digits:0>2}");
    let raised = digits.bytes().filter_map(|digit| RAISED.get(usize::from(digit.wrapping_sub(b'0'))));
    format!("{mantissa}×10{sign}{}", raised.collect::<String>())
}

/// What is wrong with a format and the types of what is to be formatted, as far as that can be told before anything is
/// evaluated: in which part, none if it is the format itself, and why.
pub(crate) fn misformed(text: &str, parts: &[Type]) -> Option<(Option<usize>, String)> {
    let (mut letters, mut used) = (text.chars().peekable(), 0_usize);
    while let Some(letter) = letters.next() {
        if letter != '%' || letters.next_if_eq(&'%').is_some() {
            continue;
        }
        if letters.next_if_eq(&'.').is_some() {
            while letters.next_if(char::is_ascii_digit).is_some() {}
        }
        let Some(clause) = letters.next() else { return Some((None, "unexpected end of string".to_owned())) };
        let (what, fits): (&str, fn(&Type) -> bool) = match clause {
            's' => (
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                     durations, and timestamps",
                |ty| !matches!(ty, Type::Opaque(_) | Type::Optional(_)),
            ),
            'd' => ("decimal clause can only be used on integers", |ty| matches!(ty, Type::Int | Type::Uint)),
            'f' => ("fixed-point clause can only be used on doubles", |ty| matches!(ty, Type::Double)),
            'e' => ("scientific clause can only be used on doubles", |ty| matches!(ty, Type::Double)),
            'b' => ("only integers and bools can be formatted as binary", |ty| {
                matches!(ty, Type::Int | Type::Uint | Type::Bool)
            }),
            'x' | 'X' => ("only integers, byte buffers, and strings can be formatted as hex", |ty| {
                matches!(ty, Type::Int | Type::Uint | Type::String | Type::Bytes)
            }),
            'o' => ("octal clause can only be used on integers", |ty| matches!(ty, Type::Int | Type::Uint)),
            other => {
                let why = format!("could not parse formatting clause: unrecognized formatting clause \"{other}\"");
                return Some((None, why));
            }
        };
        let Some(part) = parts.get(used) else { return Some((None, format!("index {used} out of range"))) };
        if !fits(part) && !part.is_dyn() && !matches!(part, Type::Param(_)) {
            let given = match part {
                Type::Optional(_) => "optional_type".to_owned(),
                Type::List(_) => "list".to_owned(),
                Type::Map(..) => "map".to_owned(),
                other => other.to_string(),
            };
            return Some((Some(used), format!("error during formatting: {what}, was given {given}")));
        }
        used += 1;
    }
    None
}

fn signed(number: i64, show: fn(u64) -> String) -> String {
    format!("{}{}", if number < 0 { "-" } else { "" }, show(number.unsigned_abs()))
}

fn hex(part: &Value, meter: &mut Meter) -> Result<Option<String>, Error> {
    let bytes: &[u8] = match part {
        Value::Int(number) => return Ok(Some(signed(*number, |size| format!("{size:x}")))),
        Value::Uint(number) => return Ok(Some(format!("{number:x}"))),
        Value::String(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        _ => return Ok(None),
    };
    meter.work(bytes.len() as u64)?;
    Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// A value as `%s` shows it; within another, strings and the like are told apart from what looks the same.
fn text(part: &Value, outside: bool, out: &mut String, meter: &mut Meter) -> Result<(), Error> {
    meter.work(1 + part.size() / 16)?;
    match part {
        Value::String(text) if outside => out.push_str(text),
        Value::String(text) => out.push_str(&format!("{:?}", text.as_str())),
        Value::Bytes(bytes) if outside => out.push_str(&String::from_utf8_lossy(bytes)),
        Value::Bytes(bytes) => out.push_str(&format!("b{:?}", String::from_utf8_lossy(bytes))),
        Value::Timestamp(at) if outside => out.push_str(&show_timestamp(*at)),
        Value::Timestamp(at) => out.push_str(&format!("timestamp({:?})", show_timestamp(*at))),
        Value::Duration(nanos) if outside => out.push_str(&show_duration(*nanos)),
        Value::Duration(nanos) => out.push_str(&format!("duration({:?})", show_duration(*nanos))),
        Value::Double(number) if !outside => out.push_str(&format!("{number:.6}")),
        Value::Type(name) => out.push_str(name),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                text(item, false, out, meter)?;
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                text(&key.to_value(), false, out, meter)?;
                out.push(':');
                text(value, false, out, meter)?;
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => out.push_str(&part.shown()),
        other => {
            let name = other.type_name();
            return Err(Error::new(format!(
                "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, \
                 lists, types, durations, and timestamps, was given {name}"
            )));
        }
    }
    Ok(())
}
