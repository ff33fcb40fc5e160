//! What a pod asks of a node, and what a node has.
//!
//! Knows: requests of containers, init containers and overhead; the resources a node lists.
//! Does not know: which pods are where.

use std::collections::BTreeMap;

use crate::quantity::Quantity;
use crate::value::{Text, Value};

/// Amounts by resource: `cpu`, `memory`, `example.com/gpu`.
pub type Amounts = BTreeMap<Text, Quantity>;

/// Reads a map of quantities.
#[must_use]
pub fn amounts(map: &Value) -> Amounts {
    map.entries().iter().map(|(name, amount)| (name.clone(), Quantity::or_zero(amount))).collect()
}

/// Adds amounts to others.
pub fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *to.entry(name.clone()).or_default() += *amount;
    }
}

fn at_least(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let have = to.entry(name.clone()).or_default();
        *have = (*have).max(*amount);
    }
}

/// What a pod requests (`requests`) or is limited to (`limits`): its containers together, or its hungriest init
/// container with the sidecars that run by then, whichever is more; and its overhead (`PodRequests` in
/// `component-helpers/resource`). The request of a resource that only a limit names is that limit.
#[must_use]
pub fn of_pod(pod: &Value, which: &str) -> Amounts {
    sum(pod, which, |container| amounts(container.at(&["resources", which])))
}

/// The same where something else says what each container counts for.
pub(crate) fn sum(pod: &Value, which: &str, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let spec = pod.at(&["spec"]);
    let mut total = Amounts::new();
    for container in spec.at(&["containers"]).items() {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec.at(&["initContainers"]).items() {
        let mut own = of(container);
        if container.at(&["restartPolicy"]) == "Always" {
            add(&mut sidecars, &own);
            add(&mut total, &own);
            at_least(&mut peak, &sidecars);
        } else {
            add(&mut own, &sidecars);
            at_least(&mut peak, &own);
        }
    }
    at_least(&mut total, &peak);
    for (name, amount) in amounts(spec.at(&["resources", which])) {
        total.insert(name, amount);
    }
    add(&mut total, &amounts(spec.at(&["overhead"])));
    total
}

/// Whether a pod still holds what it requested.
#[must_use]
pub fn is_live(pod: &Value) -> bool {
    !matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed")
}
