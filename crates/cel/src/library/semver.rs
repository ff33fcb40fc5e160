//! Versions, as semver.org 2.0 writes and orders them.
//!
//! Knows: how they are read, forgivingly if that is asked for.
//! Does not know: what they are versions of.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Entry, mismatch};
use crate::error::Error;
use crate::value::Value;

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    before: Vec<String>,
    build: String,
}

pub(super) const FUNCTIONS: &[Entry] = &[
    ("semver", "(string) -> semver; (string, bool) -> semver", |_, args| {
        read(args)?.map(|version| Value::Semver(Arc::new(version))).map_err(Error::new)
    }),
    ("isSemver", "(string) -> bool; (string, bool) -> bool", |_, args| Ok(Value::Bool(read(args)?.is_ok()))),
    ("major", "semver.() -> int", |_, args| number(args, 0)),
    ("minor", "semver.() -> int", |_, args| number(args, 1)),
    ("patch", "semver.() -> int", |_, args| number(args, 2)),
    ("isLessThan", "semver.(semver) -> bool", |_, args| compare(args, |order| Value::Bool(order.is_lt()))),
    ("isGreaterThan", "semver.(semver) -> bool", |_, args| compare(args, |order| Value::Bool(order.is_gt()))),
    ("compareTo", "semver.(semver) -> int", |_, args| compare(args, |order| Value::Int(order as i64))),
];

fn read(args: &[Value]) -> Result<Result<Semver, String>, Error> {
    match args {
        [Value::String(text)] => Ok(Semver::read(text)),
        [Value::String(text), Value::Bool(forgiving)] => {
            Ok(if *forgiving { Semver::read(&normalized(text)) } else { Semver::read(text) })
        }
        _ => Err(Error::no_overload()),
    }
}

/// Without a `v`, with all three numbers, none of them with zeros before it.
fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let mut numbers: Vec<&str> = numbers
        .split('.')
        .map(|number| {
            let short = number.trim_start_matches('0');
            if short.is_empty() && !number.is_empty() { "0" } else { short }
        })
        .collect();
    while numbers.len() < 3 {
        numbers.push("0");
    }
    format!("{}{rest}", numbers.join("."))
}

impl Semver {
    /// Reads a version.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        let (numbers, before) = rest.split_once('-').map_or((rest, None), |(numbers, before)| (numbers, Some(before)));
        let parts: Vec<&str> = numbers.split('.').collect();
        let [major, minor, patch] = parts.as_slice() else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let number = |text: &str, name: &str| -> Result<u64, String> {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("Invalid character(s) found in {name} number \"{text}\""));
            }
            if text.len() > 1 && text.starts_with('0') {
                return Err(format!("{} number must not contain leading zeroes \"{text}\"", capital(name)));
            }
            text.parse().map_err(|_| format!("Invalid {name} number \"{text}\""))
        };
        let numbers = [number(major, "major")?, number(minor, "minor")?, number(patch, "patch")?];
        let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let before: Vec<String> = before.map_or_else(Vec::new, |text| text.split('.').map(str::to_owned).collect());
        let leading = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
        if before.iter().any(|part| !word(&part.as_str()) || leading(part)) {
            return Err("Invalid prerelease version".to_owned());
        }
        if build.is_some_and(|build| !build.split('.').all(|part| word(&part))) {
            return Err("Build meta data is empty".to_owned());
        }
        Ok(Self { numbers, before, build: build.unwrap_or_default().to_owned() })
    }

    /// Which comes first; what was built from it does not matter.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.before.iter().zip(&other.before).map(|(one, two)| part(one, two));
                pairs.fold(Ordering::Equal, Ordering::then).then(self.before.len().cmp(&other.before.len()))
            }
        })
    }
}

/// Numbers by size and before words, words by letters.
fn part(one: &str, two: &str) -> Ordering {
    match (one.parse::<u64>(), two.parse::<u64>()) {
        (Ok(one), Ok(two)) => one.cmp(&two),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(two),
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn number(args: &[Value], at: usize) -> Result<Value, Error> {
    let [Value::Semver(version)] = args else { return mismatch() };
    let number = version.numbers.get(at).copied().unwrap_or_default();
    i64::try_from(number).map(Value::Int).map_err(|_| Error::new("integer overflow"))
}

fn compare(args: &[Value], show: fn(Ordering) -> Value) -> Result<Value, Error> {
    match args {
        [Value::Semver(one), Value::Semver(two)] => Ok(show(one.compare(two))),
        _ => mismatch(),
    }
}
