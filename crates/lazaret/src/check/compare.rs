//! Where two answers differ.
//!
//! Knows: paths, and how a value is shown in one line.
//! Does not know: what an answer means.

use serde_json::{Value, json};

/// A place at which the twin says something else than the cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// The path, as `status.conditions[0].reason`; empty for the whole.
    pub(crate) at: String,
    /// What the cluster has there; none if nothing.
    pub(crate) cluster: Option<Value>,
    /// What the twin has there; none if nothing.
    pub(crate) twin: Option<Value>,
}

impl Difference {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let mut shown = json!({"at": self.at});
        if let Some(shown) = shown.as_object_mut() {
            for (side, value) in [("cluster", &self.cluster), ("twin", &self.twin)] {
                if let Some(value) = value {
                    shown.insert(side.to_owned(), value.clone());
                }
            }
        }
        shown
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = if self.at.is_empty() { "the answer" } else { &self.at };
        write!(f, "{at}: {} here, {} on the twin", brief(self.cluster.as_ref()), brief(self.twin.as_ref()))
    }
}

/// A value in one line, not too long.
fn brief(value: Option<&Value>) -> String {
    const LENGTH_MAX: usize = 180;
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    if text.chars().count() <= LENGTH_MAX {
        return text;
    }
    text.chars().take(LENGTH_MAX).chain("…".chars()).collect()
}

/// Every place at which two answers differ, outermost first.
pub(crate) fn differences(cluster: &Value, twin: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(cluster, twin, String::new(), &mut found);
    found
}

fn walk(cluster: &Value, twin: &Value, at: String, found: &mut Vec<Difference>) {
    match (cluster, twin) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let at = below(&at, key);
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => walk(left, right, at, found),
                    (left, right) => found.push(Difference { at, cluster: left.cloned(), twin: right.cloned() }),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                walk(left, right, format!("{at}[{index}]"), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found.push(Difference { at, cluster: Some(left.clone()), twin: Some(right.clone()) }),
    }
}

fn below(at: &str, key: &str) -> String {
    match (at.is_empty(), key.contains(['.', '/'])) {
        (true, false) => key.to_owned(),
        (false, false) => format!("{at}.{key}"),
        (_, true) => format!("{at}[{key:?}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_at_which_two_answers_differ_is_named_once() {
        let one = json!({"a": 1, "b": {"c": [1, {"d": "x"}]}, "gone": true, "m": {"x/y": 1}, "l": [1]});
        let two = json!({"a": 1, "b": {"c": [1, {"d": "y"}]}, "new": [], "m": {"x/y": 2}, "l": [1, 2]});
        let told: Vec<String> = differences(&one, &two).iter().map(Difference::to_string).collect();
        assert_eq!(
            told,
            [
                r#"b.c[1].d: "x" here, "y" on the twin"#,
                "gone: true here, nothing on the twin",
                "l: [1] here, [1,2] on the twin",
                r#"m["x/y"]: 1 here, 2 on the twin"#,
                "new: nothing here, [] on the twin",
            ]
        );
        assert_eq!(differences(&one, &one), []);
    }
}
