//! What is wrong with selectors, tolerations, affinities and spread: how pods choose, and are chosen.
//!
//! Knows: their forms.
//! Does not know: who matches.

use super::faults::{At, Faults, quote};
use super::metadata::labels;
use super::names;

const NEEDS_VALUES: &str = "must be specified when `operator` is 'In' or 'NotIn'";
const HAS_VALUES: &str = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";

/// A key of a label, not of a map.
pub(super) fn label_name(at: &At<'_>, faults: &mut Faults) {
    for why in names::qualified(at.text()) {
        faults.invalid_as(at, &quote(at.text()), &why);
    }
}

/// `metav1.LabelSelector`
pub(super) fn label_selector(at: &At<'_>, faults: &mut Faults) {
    labels(&at.field("matchLabels"), faults);
    for term in at.field("matchExpressions").items() {
        let values = term.field("values");
        match term.field("operator").text() {
            "In" | "NotIn" if values.value.is_empty() => faults.required(&values, NEEDS_VALUES),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.value.is_empty() => faults.forbidden(&values, HAS_VALUES),
            "Exists" | "DoesNotExist" => {}
            _ => operator(&term, faults),
        }
        label_name(&term.field("key"), faults);
        for value in values.items() {
            faults.all(&value, names::label_value(value.text()));
        }
    }
}

fn operator(term: &At<'_>, faults: &mut Faults) {
    let operator = term.field("operator");
    faults.invalid_as(&operator, &quote(operator.text()), "not a valid selector operator");
}

/// Whether no term of a selector is wrong.
pub(super) fn is_sound(at: &At<'_>) -> bool {
    let mut faults = Faults::default();
    label_selector(at, &mut faults);
    faults.is_empty()
}

/// `core.NodeSelector`
pub(super) fn node_selector(at: &At<'_>, faults: &mut Faults) {
    let terms = at.field("nodeSelectorTerms");
    if terms.value.is_empty() {
        faults.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(&term, true, faults);
    }
}

/// What a node is like. Of what is only preferred, values are not looked at.
fn node_term(at: &At<'_>, required: bool, faults: &mut Faults) {
    for term in at.field("matchExpressions").items() {
        let values = term.field("values");
        match term.field("operator").text() {
            "In" | "NotIn" if values.value.is_empty() => faults.required(&values, NEEDS_VALUES),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.value.is_empty() => faults.forbidden(&values, HAS_VALUES),
            "Exists" | "DoesNotExist" => {}
            "Gt" | "Lt" if values.value.items().len() != 1 => {
                faults.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "Gt" | "Lt" => {}
            _ => operator(&term, faults),
        }
        label_name(&term.field("key"), faults);
        for value in values.items().filter(|_| required) {
            faults.all(&value, names::label_value(value.text()));
        }
    }
    for term in at.field("matchFields").items() {
        let values = term.field("values");
        match term.field("operator").text() {
            "In" | "NotIn" if values.value.items().len() != 1 => faults
                .required(&values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"),
            "In" | "NotIn" => {}
            _ => operator(&term, faults),
        }
        let key = term.field("key");
        if key.text() == "metadata.name" {
            for value in values.items() {
                faults.all(&value, names::subdomain(value.text()));
            }
        } else {
            faults.invalid_as(&key, &quote(key.text()), "not a valid field selector key");
        }
    }
}

fn weight(at: &At<'_>, faults: &mut Faults) {
    let weight = at.field("weight");
    let number = weight.number().unwrap_or(0);
    if !(1..=100).contains(&number) {
        faults.invalid_as(&weight, &number.to_string(), "must be in the range 1-100");
    }
}

/// `core.Affinity`
pub(super) fn affinity(at: &At<'_>, faults: &mut Faults) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = at.field("nodeAffinity");
    if !node.field(REQUIRED).is_absent() {
        node_selector(&node.field(REQUIRED), faults);
    }
    for term in node.field(PREFERRED).items() {
        weight(&term, faults);
        node_term(&term.field("preference"), false, faults);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = at.field(kind);
        for term in pods.field(REQUIRED).items() {
            pod_term(&term, faults);
        }
        for term in pods.field(PREFERRED).items() {
            weight(&term, faults);
            pod_term(&term.field("podAffinityTerm"), faults);
        }
    }
}

fn pod_term(at: &At<'_>, faults: &mut Faults) {
    label_selector(&at.field("labelSelector"), faults);
    label_selector(&at.field("namespaceSelector"), faults);
    for namespace in at.field("namespaces").value.items() {
        let place = at.named("namespace", namespace);
        faults.text_in(&place, names::label);
    }
    label_keys(at, faults);
    let key = at.field("topologyKey");
    if key.text().is_empty() {
        faults.required(&key, "can not be empty");
    }
    label_name(&key, faults);
}

/// Labels of the pod itself that a selector goes by.
fn label_keys(at: &At<'_>, faults: &mut Faults) {
    let selector = at.field("labelSelector");
    let lists = [at.field("matchLabelKeys"), at.field("mismatchLabelKeys")];
    for keys in &lists {
        if keys.value.is_empty() {
            continue;
        }
        if selector.is_absent() {
            faults.forbidden(keys, "must not be specified when labelSelector is not set");
            continue;
        }
        for key in keys.items() {
            label_name(&key, faults);
        }
    }
    let [matched, mismatched] = lists;
    let place = |key: &str| matched.value.items().iter().rposition(|have| *have == key);
    let mut said: Vec<&str> =
        selector.field("matchLabels").value.entries().iter().map(|(key, _)| key.as_str()).collect();
    for term in selector.field("matchExpressions").value.items() {
        let key = term.at(&["key"]).str_or_empty();
        if let Some(index) = place(key)
            && said.contains(&key)
        {
            // The real path leaves out which list it is.
            let place = at.element(index);
            faults.invalid_as(&place, &quote(key), "exists in both matchLabelKeys and labelSelector");
        }
        said.push(key);
    }
    for key in matched.items() {
        if mismatched.value.items().iter().any(|other| *other == key.text()) {
            faults.invalid(&key, "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
}

/// `core.Toleration`
pub(super) fn tolerations(at: &At<'_>, faults: &mut Faults) {
    for toleration in at.items() {
        let (key, operator, value) = (toleration.field("key"), toleration.field("operator"), toleration.field("value"));
        if !key.text().is_empty() {
            label_name(&key, faults);
        }
        if key.text().is_empty() && operator.text() != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            faults.invalid_as(&operator, &quote(operator.text()), why);
        }
        let effect = toleration.field("effect");
        if !toleration.field("tolerationSeconds").is_absent() && effect.text() != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            faults.invalid_as(&effect, &quote(effect.text()), why);
        }
        match operator.text() {
            "Equal" | "" => {
                let why = names::label_value(value.text());
                if !why.is_empty() {
                    faults.invalid_as(&operator, &quote(value.text()), &why.join(";"));
                }
            }
            "Exists" if !value.text().is_empty() => {
                faults.invalid_as(&operator, &quote(value.text()), "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            _ => faults.unsupported(&operator, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            taint_effect(&effect, faults);
        }
    }
}

/// What a taint does to pods that do not tolerate it.
pub(super) fn taint_effect(at: &At<'_>, faults: &mut Faults) {
    if at.text().is_empty() {
        faults.required(at, "");
    } else {
        faults.one_of(at, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    }
}

/// `core.TopologySpreadConstraint`
pub(super) fn spread(at: &At<'_>, faults: &mut Faults) {
    let constraints: Vec<At<'_>> = at.items().collect();
    for (number, constraint) in constraints.iter().enumerate() {
        let skew = constraint.field("maxSkew");
        if skew.number().unwrap_or(0) <= 0 {
            faults.invalid_as(&skew, &skew.number().unwrap_or(0).to_string(), "must be greater than zero");
        }
        let key = constraint.field("topologyKey");
        if key.text().is_empty() {
            faults.required(&key, "can not be empty");
        }
        let when = constraint.field("whenUnsatisfiable");
        faults.word(&when, &["DoNotSchedule", "ScheduleAnyway"]);
        let same = |other: &&At<'_>| {
            other.field("topologyKey").text() == key.text() && other.field("whenUnsatisfiable").text() == when.text()
        };
        if constraints.iter().skip(number + 1).any(|other| same(&other)) {
            let pair = constraint.named("{topologyKey, whenUnsatisfiable}", constraint.value);
            faults.duplicate_as(&pair, &quote(&format!("{{{}, {}}}", key.text(), when.text())));
        }
        let domains = constraint.field("minDomains");
        if domains.number().is_some_and(|count| count <= 0) {
            faults.invalid(&domains, "must be greater than zero");
        }
        if !domains.is_absent() && when.text() != "DoNotSchedule" {
            let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}", when.text());
            faults.invalid(&domains, &why);
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            faults.one_of(&constraint.field(policy), &["Honor", "Ignore"]);
        }
        label_keys(constraint, faults);
        label_selector(&constraint.field("labelSelector"), faults);
    }
}
