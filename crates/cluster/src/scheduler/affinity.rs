//! Which nodes a pod wants, and which taints it bears.
//!
//! Knows: node selectors, node affinity, taints and tolerations.
//! Does not know: other pods.

use crate::labels;
use crate::value::Value;

/// Whether a node has what the pod's `nodeSelector` and required node affinity ask for.
#[must_use]
pub fn wants_node(pod: &Value, node: &Value) -> bool {
    let selector = pod.at(&["spec", "nodeSelector"]);
    if !selector.is_null() && !labels::matches_map(selector, node.labels()) {
        return false;
    }
    let required = pod.at(&["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    required.is_null() || selects(required, node)
}

/// Whether a `NodeSelector` document selects a node: any of its terms.
#[must_use]
pub fn selects(selector: &Value, node: &Value) -> bool {
    selector.at(&["nodeSelectorTerms"]).items().iter().any(|term| term_selects(term, node))
}

/// Whether a node has all that one term asks for; an empty term selects nothing.
#[must_use]
pub fn term_selects(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (term.at(&["matchExpressions"]).items(), term.at(&["matchFields"]).items());
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |expression: &Value| {
        let key = expression.at(&["key"]).str_or_empty();
        holds(expression, node.label(key))
    };
    expressions.iter().all(label) && fields.iter().all(|field| holds(field, Some(node.name())))
}

fn holds(expression: &Value, have: Option<&str>) -> bool {
    let values = expression.at(&["values"]).items();
    let among = have.is_some_and(|have| values.iter().any(|value| value.as_str() == Some(have)));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let limit = number(values.first().and_then(Value::as_str));
    match expression.at(&["operator"]).str_or_empty() {
        "In" => among,
        "NotIn" => !among,
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        "Gt" => number(have).zip(limit).is_some_and(|(have, limit)| have > limit),
        "Lt" => number(have).zip(limit).is_some_and(|(have, limit)| have < limit),
        _ => false,
    }
}

/// Names of nodes to which the pod is pinned, if every alternative of its node affinity names some (`matchFields`).
#[must_use]
pub fn pinned(pod: &Value) -> Option<Vec<&str>> {
    let required = pod.at(&["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    let terms = required.at(&["nodeSelectorTerms"]).items();
    let mut names = Vec::new();
    for term in terms {
        let named = term
            .at(&["matchFields"])
            .items()
            .iter()
            .find(|field| field.at(&["key"]) == "metadata.name" && field.at(&["operator"]) == "In")?;
        names.extend(named.at(&["values"]).items().iter().filter_map(Value::as_str));
    }
    (!terms.is_empty()).then_some(names)
}

/// Whether a pod's tolerations bear a taint.
#[must_use]
pub fn tolerates(pod: &Value, taint: &Value) -> bool {
    toleration(pod, taint).is_some()
}

/// The first toleration of a pod that bears a taint.
#[must_use]
pub fn toleration<'a>(pod: &'a Value, taint: &Value) -> Option<&'a Value> {
    pod.at(&["spec", "tolerations"]).items().iter().find(|toleration| bears(toleration, taint))
}

/// Whether a toleration bears a taint.
#[must_use]
pub fn bears(toleration: &Value, taint: &Value) -> bool {
    fn text<'a>(value: &'a Value, field: &str) -> &'a str {
        value.at(&[field]).str_or_empty()
    }
    let (effect, key) = (text(toleration, "effect"), text(toleration, "key"));
    if !effect.is_empty() && effect != text(taint, "effect") {
        return false;
    }
    if !key.is_empty() && key != text(taint, "key") {
        return false;
    }
    let (have, want) = (text(taint, "value"), text(toleration, "value"));
    match text(toleration, "operator") {
        "Exists" => true,
        "Gt" => have.parse::<i64>().ok().zip(want.parse().ok()).is_some_and(|(have, want)| have > want),
        "Lt" => have.parse::<i64>().ok().zip(want.parse().ok()).is_some_and(|(have, want)| have < want),
        _ => !key.is_empty() && have == want,
    }
}

/// The taint with one of these effects that a pod does not bear.
#[must_use]
pub fn untolerated<'a>(pod: &Value, node: &'a Value, effects: &[&str]) -> Option<&'a Value> {
    node.at(&["spec", "taints"])
        .items()
        .iter()
        .find(|taint| effects.contains(&taint.at(&["effect"]).str_or_empty()) && !tolerates(pod, taint))
}
