//! The class of service of a pod (`pkg/apis/core/v1/helper/qos`).
//!
//! Knows: requests and limits.
//! Does not know: what a class is worth to a kubelet or a quota.

use crate::quantity::Quantity;
use crate::value::Value;

/// `Guaranteed` if every container may have exactly what it asks for, `BestEffort` if none asks, else `Burstable`.
#[must_use]
pub(crate) fn quality(pod: &Value) -> &'static str {
    let spec = pod.at(&["spec"]);
    let whole = spec.at(&["resources"]);
    let parts: Vec<&Value> = if whole.is_empty() {
        let lists = ["containers", "initContainers"].map(|list| spec.at(&[list]).items());
        lists.into_iter().flatten().map(|container| container.at(&["resources"])).collect()
    } else {
        vec![whole]
    };
    let amount = |part: &Value, kind: &str, resource: &str| Quantity::or_zero(part.at(&[kind, resource]));
    let total = |kind: &str, resource: &str| parts.iter().map(|part| amount(part, kind, resource)).sum::<Quantity>();
    let resources = ["cpu", "memory"];
    if resources.iter().all(|name| total("requests", name).is_zero() && total("limits", name).is_zero()) {
        return "BestEffort";
    }
    let limited = parts.iter().all(|part| resources.iter().all(|name| !amount(part, "limits", name).is_zero()));
    let exact = resources.iter().all(|name| total("requests", name) == total("limits", name));
    if limited && exact { "Guaranteed" } else { "Burstable" }
}
