//! Selectors over labels.
//!
//! Knows: `matchLabels` and `matchExpressions` as they stand in documents, and selectors as they stand in queries
//! (`app=web,tier notin (db)`).
//! Does not know: what is selected.

use crate::value::Value;

/// Whether labels match a `LabelSelector` document, or a plain map of labels as a Service's selector is. An empty selector
/// matches everything, a missing one (`null`) nothing.
#[must_use]
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let Some(map) = selector.as_object() else { return false };
    if map.contains_key("matchLabels") || map.contains_key("matchExpressions") {
        return matches_map(selector.at(&["matchLabels"]), labels)
            && selector
                .at(&["matchExpressions"])
                .items()
                .iter()
                .all(|expression| expression_holds(expression, labels));
    }
    matches_map(selector, labels)
}

/// Whether labels hold every entry of a plain map.
#[must_use]
pub fn matches_map(wanted: &Value, labels: &Value) -> bool {
    wanted.entries().iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn expression_holds(expression: &Value, labels: &Value) -> bool {
    let have = labels.get(expression.at(&["key"]).str_or_empty());
    let among = || expression.at(&["values"]).items().iter().any(|value| Some(value) == have);
    match expression.at(&["operator"]).str_or_empty() {
        "In" => have.is_some() && among(),
        "NotIn" => have.is_none() || !among(),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        _ => false,
    }
}

/// A `LabelSelector` document, or a plain map of labels, as it would stand in a query.
#[must_use]
pub fn print(selector: &Value) -> String {
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let map = if structured { selector.at(&["matchLabels"]) } else { selector };
    let mut parts: Vec<String> =
        map.entries().iter().map(|(key, value)| format!("{key}={}", value.str_or_empty())).collect();
    for expression in selector.at(&["matchExpressions"]).items() {
        let key = expression.at(&["key"]).str_or_empty();
        let mut values: Vec<&str> = expression.at(&["values"]).items().iter().map(Value::str_or_empty).collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match expression.at(&["operator"]).str_or_empty() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}

/// A selector as it stands in a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Greater,
    Less,
}

impl Selector {
    /// Reads a selector as `k8s.io/apimachinery/pkg/labels.Parse` does.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in split(text)? {
            requirements.push(requirement(part.trim(), text)?);
        }
        Ok(Self(requirements))
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels match.
    #[must_use]
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let have = labels.get(&self.key).and_then(Value::as_str);
        let among = |have: &str| self.values.iter().any(|value| value == have);
        let compared = |against: fn(i64, i64) -> bool| {
            let number = |text: &str| text.parse::<i64>().ok();
            have.and_then(number)
                .zip(self.values.first().and_then(|value| number(value)))
                .is_some_and(|(have, limit)| against(have, limit))
        };
        match self.operator {
            Operator::In => have.is_some_and(among),
            Operator::NotIn => !have.is_some_and(among),
            Operator::Exists => have.is_some(),
            Operator::DoesNotExist => have.is_none(),
            Operator::Greater => compared(|have, limit| have > limit),
            Operator::Less => compared(|have, limit| have < limit),
        }
    }
}

/// The requirements of a selector: split at commas that stand outside of parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).ok_or_else(|| unparsable(text, "found ')', expected: identifier"))?,
            b',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text.get(start..).unwrap_or_default();
    if depth > 0 {
        return Err(unparsable(text, "found '', expected: ',' or ')'"));
    }
    if !last.trim().is_empty() {
        parts.push(last);
    } else if start > 0 {
        return Err(unparsable(text, "found '', expected: identifier after ','"));
    }
    Ok(parts)
}

fn unparsable(_text: &str, why: &str) -> String {
    format!("unable to parse requirement: {why}")
}

fn requirement(part: &str, whole: &str) -> Result<Requirement, String> {
    let make = |key: &str, operator, values: Vec<String>| {
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) || key.contains(['(', ')', '=', '!']) {
            return Err(unparsable(whole, &format!("found '{part}', expected: identifier")));
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::DoesNotExist, Vec::new());
    }
    if let Some((key, value)) = part.split_once("!=") {
        return make(key, Operator::NotIn, one(value));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return make(key, Operator::In, one(value));
    }
    if let Some((key, value)) = part.split_once('>') {
        return make(key, Operator::Greater, one(value));
    }
    if let Some((key, value)) = part.split_once('<') {
        return make(key, Operator::Less, one(value));
    }
    if let Some((head, list)) = part.split_once('(') {
        let Some(list) = list.strip_suffix(')') else {
            return Err(unparsable(whole, &format!("found '{part}', expected: ',' or ')'")));
        };
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace).unwrap_or((head, ""));
        return match operator {
            "in" => make(key, Operator::In, values),
            "notin" => make(key, Operator::NotIn, values),
            _ => Err(unparsable(whole, &format!("found '{operator}', expected: in, notin, =, ==, !=, gt, lt"))),
        };
    }
    make(part, Operator::Exists, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn a_selector_in_a_query_selects_by_equality_sets_and_existence() {
        let labels = doc!({"app": "web", "tier": "front", "n": "7"});
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=db", true),
            ("app in (api, web),tier notin (db)", true),
            ("app,!gone", true),
            ("n>6,n<8", true),
            ("app=api", false),
            ("gone in (a)", false),
            ("gone notin (a)", true),
            ("!app", false),
        ];
        for (text, want) in cases {
            assert_eq!(Selector::parse(text).map(|selector| selector.matches(&labels)), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["a=b,", "a in (b", "a)b", "a b", "in (a)", "=x"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_selector_selects_nothing_and_an_empty_one_everything() {
        let labels = doc!({"app": "web"});
        assert!(!matches(&Value::Null, &labels));
        assert!(matches(&doc!({}), &labels));
        assert!(matches(&doc!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), &labels));
        assert!(!matches(
            &doc!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}),
            &labels
        ));
        assert!(matches(&doc!({"app": "web"}), &labels));
    }
}
