//! Which field a custom resource's column shows.
//!
//! Knows: the part of JSONPath that Kubernetes takes in `additionalPrinterColumns`: keys, indexes, slices, wildcards,
//! recursive descent, and filters by one comparison.
//! Does not know: templates around it.

use std::cmp::Ordering;

use crate::value::Value;

/// A path, parsed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Index(i64),
    All,
    Descend,
    Filter(JsonPath, Option<(Operator, Value)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`; none if it is no path.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = path.trim();
        let path = path.strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path);
        let mut rest = path.strip_prefix('$').unwrap_or(path);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("..") {
                steps.push(Step::Descend);
                // What follows is a key without its dot, a wildcard, or a bracket.
                rest = after;
                if rest.starts_with('[') {
                    continue;
                }
            } else if let Some(inside) = rest.strip_prefix('[') {
                let end = closing(inside)?;
                let (inner, after) = (inside.get(..end)?, inside.get(end + 1..)?);
                steps.push(bracket(inner.trim())?);
                rest = after;
                continue;
            } else {
                rest = rest.strip_prefix('.').unwrap_or(rest);
            }
            let (key, after) = key(rest);
            match key.as_str() {
                "" if after.is_empty() => {}
                "" => {
                    if !after.starts_with('[') {
                        return None;
                    }
                }
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Key(key)),
            }
            rest = after;
        }
        Some(Self(steps))
    }

    /// All that it finds, in order.
    pub(super) fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![root];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.take(value)).collect();
        }
        found.retain(|value| !value.is_null());
        found
    }
}

impl Step {
    fn take<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let below = || value.items().iter().chain(value.entries().iter().map(|(_, below)| below));
        match self {
            Self::Key(key) => value.get(key).into_iter().collect(),
            Self::All => below().collect(),
            Self::Descend => {
                let mut all = vec![value];
                all.extend(below().flat_map(|below| self.take(below)));
                all
            }
            Self::Index(index) => place(value.items(), *index).into_iter().collect(),
            Self::Slice { start, end, step } => slice(value.items(), *start, *end, *step),
            Self::Filter(path, test) => value
                .items()
                .iter()
                .filter(|item| {
                    let found = path.find(item);
                    match test {
                        None => !found.is_empty(),
                        Some((operator, wanted)) => found.first().is_some_and(|have| operator.holds(have, wanted)),
                    }
                })
                .collect(),
        }
    }
}

impl Operator {
    fn holds(self, have: &Value, wanted: &Value) -> bool {
        let order = match (have, wanted) {
            (Value::String(one), Value::String(two)) => Some(one.as_str().cmp(two.as_str())),
            (Value::Bool(one), Value::Bool(two)) => Some(one.cmp(two)),
            _ => number(have).zip(number(wanted)).and_then(|(one, two)| one.partial_cmp(&two)),
        };
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order.is_some_and(Ordering::is_ne),
            Self::Less => order.is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order.is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared only")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// The element at an index; negative ones count from the end.
fn place(items: &[Value], index: i64) -> Option<&Value> {
    let length = i64::try_from(items.len()).ok()?;
    let index = if index < 0 { index + length } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn slice(items: &[Value], start: Option<i64>, end: Option<i64>, step: i64) -> Vec<&Value> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let bound = |index: i64| if index < 0 { (index + length).max(0) } else { index.min(length) };
    let (start, end) = (bound(start.unwrap_or(0)), bound(end.unwrap_or(length)));
    let step = usize::try_from(step).ok().filter(|step| *step > 0).unwrap_or(1);
    (start..end).step_by(step).filter_map(|index| place(items, index)).collect()
}

/// A key up to the next dot or bracket, and what follows. A backslash takes the next character as it is.
fn key(text: &str) -> (String, &str) {
    let mut key = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => key.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (key, text.get(at..).unwrap_or_default()),
            other => key.push(other),
        }
    }
    (key, "")
}

/// Where the bracket that was opened before this text is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        return self::filter(filter);
    }
    if let Some(key) = quoted(inner) {
        return Some(Step::Key(key));
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    let mut parts = inner.split(':').map(|part| match part.trim() {
        "" => Some(None),
        part => part.parse().ok().map(Some),
    });
    let (start, end) = (parts.next()??, parts.next()??);
    let step = parts.next().map_or(Some(None), |step| step)?.unwrap_or(1);
    Some(Step::Slice { start, end, step })
}

fn filter(text: &str) -> Option<Step> {
    const OPERATORS: &[(&str, Operator)] = &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let path = |text: &str| JsonPath::parse(text.trim().strip_prefix('@')?);
    for (sign, operator) in OPERATORS {
        if let Some((left, right)) = text.split_once(sign) {
            let right = right.trim();
            let wanted = match quoted(right) {
                Some(text) => Value::from(text),
                None => Value::from_json(right.as_bytes()).ok()?,
            };
            return Some(Step::Filter(path(left)?, Some((*operator, wanted))));
        }
    }
    Some(Step::Filter(path(text)?, None))
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace('\\', ""))
}

/// A value that was found, as text.
pub(super) fn print(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_json(), str::to_owned)
}
