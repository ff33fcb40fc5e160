//! Strings.
//!
//! Knows: cel-go's extension of strings, counted in characters.
//! Does not know: `format` and regular expressions, which are `text`'s.

use super::{Context, Entry, mismatch, tenth};
use crate::error::Error;
use crate::value::Value;

const FIND: &str = "string.(string) -> int; string.(string, int) -> int";

pub(super) const FUNCTIONS: &[Entry] = &[
    ("contains", "string.(string) -> bool", |context, args| match args {
        [Value::String(text), Value::String(part)] => {
            context.meter.spend(tenth(text.len()) * tenth(part.len()))?;
            Ok(Value::Bool(text.contains(part.as_str())))
        }
        _ => mismatch(),
    }),
    ("startsWith", "string.(string) -> bool", |context, args| match args {
        [Value::String(text), Value::String(part)] => {
            context.meter.spend(tenth(part.len()))?;
            Ok(Value::Bool(text.starts_with(part.as_str())))
        }
        _ => mismatch(),
    }),
    ("endsWith", "string.(string) -> bool", |context, args| match args {
        [Value::String(text), Value::String(part)] => {
            context.meter.spend(tenth(part.len()))?;
            Ok(Value::Bool(text.ends_with(part.as_str())))
        }
        _ => mismatch(),
    }),
    ("charAt", "string.(int) -> string", |context, args| match args {
        [Value::String(text), Value::Int(index)] => {
            context.meter.spend(tenth(text.len()))?;
            let length = text.chars().count();
            let letter = usize::try_from(*index).ok().filter(|index| *index <= length);
            let Some(index) = letter else { return Err(out_of_range(*index)) };
            Ok(Value::from(text.chars().nth(index).map(String::from).unwrap_or_default()))
        }
        _ => mismatch(),
    }),
    ("indexOf", FIND, |context, args| find(context, args, false)),
    ("lastIndexOf", FIND, |context, args| find(context, args, true)),
    ("substring", "string.(int) -> string; string.(int, int) -> string", |context, args| {
        let (text, start, end) = match args {
            [Value::String(text), Value::Int(start)] => (text, *start, text.chars().count()),
            [Value::String(text), Value::Int(start), Value::Int(end)] => {
                let length = text.chars().count();
                let valid = usize::try_from(*end).ok().filter(|end| *end <= length);
                (text, *start, valid.ok_or_else(|| out_of_range(*end))?)
            }
            _ => return mismatch(),
        };
        context.meter.spend(tenth(text.len()))?;
        let from = usize::try_from(start).ok().filter(|from| *from <= text.chars().count());
        let from = from.ok_or_else(|| out_of_range(start))?;
        if from > end {
            return Err(Error::new(format!("invalid substring range. start: {from}, end: {end}")));
        }
        Ok(Value::from(text.chars().skip(from).take(end - from).collect::<String>()))
    }),
    ("lowerAscii", "string.() -> string", |context, args| change(context, args, |text| text.to_ascii_lowercase())),
    ("upperAscii", "string.() -> string", |context, args| change(context, args, |text| text.to_ascii_uppercase())),
    ("trim", "string.() -> string", |context, args| change(context, args, |text| text.trim().to_owned())),
    ("jsonpatch.escapeKey", "(string) -> string", |context, args| {
        change(context, args, |text| text.replace('~', "~0").replace('/', "~1"))
    }),
    ("strings.quote", "(string) -> string", |context, args| change(context, args, quoted)),
    ("replace", "string.(string, string) -> string; string.(string, string, int) -> string", |context, args| {
        let (text, from, to, most) = match args {
            [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
            [Value::String(text), Value::String(from), Value::String(to), Value::Int(most)] => (text, from, to, *most),
            _ => return mismatch(),
        };
        context.meter.spend(tenth(text.len()))?;
        let places = text.matches(from.as_str()).count();
        let places = usize::try_from(most).map_or(places, |most| places.min(most));
        context.meter.work((places.saturating_mul(to.len()).saturating_add(text.len()) / 16) as u64)?;
        Ok(Value::from(text.replacen(from.as_str(), to, places)))
    }),
    ("split", "string.(string) -> list(string); string.(string, int) -> list(string)", |context, args| {
        let (text, by, most) = match args {
            [Value::String(text), Value::String(by)] => (text, by, -1),
            [Value::String(text), Value::String(by), Value::Int(most)] => (text, by, *most),
            _ => return mismatch(),
        };
        context.meter.spend(tenth(text.len()))?;
        context.meter.work(text.len() as u64)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Value::list(if by.is_empty() {
            letters(text, most)
        } else if most == 0 {
            Vec::new()
        } else {
            text.splitn(most, by.as_str()).map(Value::from).collect()
        }))
    }),
    ("join", "list(string).() -> string; list(string).(string) -> string", |context, args| {
        let (items, between) = match args {
            [Value::List(items)] => (items, ""),
            [Value::List(items), Value::String(between)] => (items, between.as_str()),
            _ => return mismatch(),
        };
        let mut parts = Vec::with_capacity(items.len());
        for item in items.iter() {
            let Value::String(text) = item else { return mismatch() };
            context.meter.work(1 + (text.len() + between.len()) as u64 / 16)?;
            parts.push(text.as_str());
        }
        let joined = parts.join(between);
        context.meter.spend(tenth(joined.len()))?;
        Ok(Value::from(joined))
    }),
];

fn out_of_range(index: i64) -> Error {
    Error::new(format!("index out of range: {index}"))
}

fn change(context: &mut Context<'_>, args: &[Value], run: fn(&str) -> String) -> Result<Value, Error> {
    let [Value::String(text)] = args else { return mismatch() };
    context.meter.spend(tenth(text.len()))?;
    context.meter.work(text.len() as u64 / 16)?;
    Ok(Value::from(run(text)))
}

/// At most so many pieces, each a letter but the last, which is the rest.
fn letters(text: &str, most: usize) -> Vec<Value> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if pieces.len() >= most {
            break;
        }
        if pieces.len() + 1 == most {
            pieces.push(Value::from(rest));
            break;
        }
        let (first, after) = rest.split_at_checked(letter.len_utf8()).unwrap_or((rest, ""));
        pieces.push(Value::from(first));
        rest = after;
    }
    pieces
}

/// Where a part stands, in characters; -1 if nowhere.
fn find(context: &mut Context<'_>, args: &[Value], last: bool) -> Result<Value, Error> {
    let (text, part, offset) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, Some(*offset)),
        _ => return mismatch(),
    };
    context.meter.spend(tenth(text.len()) * tenth(part.len()))?;
    let length = text.chars().count();
    let offset = match offset {
        None => None,
        Some(offset) => {
            let valid = usize::try_from(offset).ok().filter(|offset| *offset < length || length == 0 || *offset == 0);
            Some(valid.ok_or_else(|| out_of_range(offset))?)
        }
    };
    let byte = |letters: usize| text.char_indices().nth(letters).map_or(text.len(), |(at, _)| at);
    let found = if last {
        // It may begin at the offset at the latest.
        let end = offset.map_or(text.len(), |offset| (byte(offset) + part.len()).min(text.len()));
        let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        text.get(..end).and_then(|text| text.rfind(part.as_str()))
    } else {
        let start = offset.map_or(0, byte);
        text.get(start..).and_then(|rest| rest.find(part.as_str())).map(|at| at + start)
    };
    let letters = found.and_then(|at| text.get(..at)).map(|before| before.chars().count());
    Ok(Value::Int(letters.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

/// A text as a literal of itself.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
