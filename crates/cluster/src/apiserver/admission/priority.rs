//! What a pod is given from classes, and how long it outlives its node's silence.
//!
//! Knows: PriorityClasses, RuntimeClasses, and the default tolerations.
//! Does not know: what the scheduler makes of them.

use super::Write;
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::value::{Text, Value};

const CLASSES: &str = "priorityclasses.scheduling.k8s.io";

/// `plugin/pkg/admission/priority`: a pod's priority is its class's, and the pod does not choose it.
pub(super) fn resolve(cluster: &Cluster, write: Write<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = pod.at(&["spec", "priorityClassName"]).str_or_empty();
    let class = if name.is_empty() {
        // Should there be two defaults, the lower one counts.
        let defaults =
            cluster.list(CLASSES, None).map(|(_, class)| class).filter(|class| class.at(&["globalDefault"]).is_true());
        defaults.min_by_key(|class| class.at(&["value"]).as_int())
    } else {
        let found = cluster.get(&ObjectKey::new(CLASSES, "", name));
        Some(found.ok_or_else(|| write.forbidden(&format!("no PriorityClass with name {name} was found")))?)
    };
    let value = class.and_then(|class| class.at(&["value"]).as_int()).unwrap_or(0);
    let policy = class.and_then(|class| class.at(&["preemptionPolicy"]).as_text().cloned());
    let policy = policy.unwrap_or_else(|| Text::from("PreemptLowerPriority"));
    if let Some(said) = pod.at(&["spec", "priority"]).as_int().filter(|said| *said != value) {
        return Err(write.forbidden(&format!(
            "the integer value of priority ({said}) must not be provided in pod spec; \
             priority admission controller computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(said) = pod.at(&["spec", "preemptionPolicy"]).as_str().filter(|said| *said != policy.as_str()) {
        return Err(write.forbidden(&format!(
            "the string value of PreemptionPolicy ({said}) must not be provided in pod spec; \
             priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    if let Some(class) = class.filter(|_| name.is_empty()) {
        pod.set(&["spec", "priorityClassName"], class.name());
    }
    pod.set(&["spec", "priority"], value);
    pod.set(&["spec", "preemptionPolicy"], policy);
    Ok(())
}

/// A pod that is written again without its priority keeps it.
pub(super) fn keep(pod: &mut Value, old: &Value) {
    for field in ["priority", "preemptionPolicy"] {
        let had = old.at(&["spec", field]);
        if pod.at(&["spec", field]).is_null() && !had.is_null() {
            pod.set(&["spec", field], had.clone());
        }
    }
}

/// There is one default priority at most.
pub(super) fn check_class(cluster: &Cluster, write: Write<'_>, class: &Value) -> Result<(), Status> {
    if !write.key.is(CLASSES) || !class.at(&["globalDefault"]).is_true() {
        return Ok(());
    }
    let other = cluster
        .list(CLASSES, None)
        .find(|(key, other)| key.name != write.key.name && other.at(&["globalDefault"]).is_true());
    other.map_or(Ok(()), |(key, _)| {
        let why = format!("PriorityClass {} is already marked as default. Only one default can exist", key.name);
        Err(write.forbidden(&why))
    })
}

/// `plugin/pkg/admission/defaulttolerationseconds`: pods outlive a node's silence by five minutes.
pub(super) fn tolerate(pod: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = pod.at(&["spec", "tolerations"]).items().iter().any(|toleration| {
            let (have, effect) = (toleration.at(&["key"]).str_or_empty(), toleration.at(&["effect"]).str_or_empty());
            (have == key || have.is_empty()) && matches!(effect, "NoExecute" | "")
        });
        if !tolerated {
            pod.make(&["spec", "tolerations"])
                .array()
                .push(doc!({"key": (key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

/// `plugin/pkg/admission/runtimeclass`: what a runtime takes besides its containers, and the nodes that have it.
pub(super) fn run_with(cluster: &Cluster, write: Write<'_>, pod: &mut Value) -> Result<(), Status> {
    let Some(class) = runtime_class(cluster, write, pod)? else { return Ok(()) };
    let overhead = class.at(&["overhead", "podFixed"]);
    if !overhead.is_empty() {
        let said = pod.at(&["spec", "overhead"]);
        if !said.is_empty() && !same_amounts(said, overhead) {
            return Err(write.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
        }
        pod.set(&["spec", "overhead"], overhead.clone());
    }
    for (label, value) in class.at(&["scheduling", "nodeSelector"]).clone().entries() {
        let have = pod.make(&["spec", "nodeSelector", label]);
        if !have.is_null() && have != value {
            return Err(write.forbidden(&format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{label}] = {}; pod.spec.nodeSelector[{label}] = {}",
                value.str_or_empty(),
                have.str_or_empty()
            )));
        }
        *have = value.clone();
    }
    let given = class.at(&["scheduling", "tolerations"]).items();
    if !given.is_empty() {
        let all: Vec<Value> = pod.at(&["spec", "tolerations"]).items().iter().chain(given).cloned().collect();
        pod.set(&["spec", "tolerations"], merged(&all));
    }
    Ok(())
}

/// Tolerations without those that others make needless.
fn merged(all: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let later = all.iter().skip(at + 1).any(|other| other != toleration && tolerates_all(other, toleration));
        if !later && !kept.iter().any(|have| tolerates_all(have, toleration)) {
            kept.push(toleration.clone());
        }
    }
    kept
}

/// Whether one toleration tolerates all that another does.
fn tolerates_all(one: &Value, other: &Value) -> bool {
    let text = |toleration: &Value, field: &str| toleration.at(&[field]).str_or_empty().to_owned();
    let seconds = |toleration: &Value| toleration.at(&["tolerationSeconds"]).as_int();
    let wide = |field: &str| text(one, field).is_empty() || text(one, field) == text(other, field);
    let long = text(one, "effect") != "NoExecute"
        || seconds(one).is_none_or(|have| seconds(other).is_some_and(|wanted| have >= wanted));
    let exists = text(one, "operator") == "Exists";
    let value = exists || (text(other, "operator") != "Exists" && text(one, "value") == text(other, "value"));
    one == other || (wide("key") && wide("effect") && long && value)
}

/// Only a runtime has overhead.
pub(super) fn check_overhead(cluster: &Cluster, write: Write<'_>, pod: &Value) -> Result<(), Status> {
    let overhead = pod.at(&["spec", "overhead"]);
    if overhead.is_empty() || !write.is_create() {
        return Ok(());
    }
    let class = runtime_class(cluster, write, pod)?;
    if class.is_some_and(|class| !class.at(&["overhead"]).is_empty()) {
        return Ok(());
    }
    Err(write.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
}

fn runtime_class(cluster: &Cluster, write: Write<'_>, pod: &Value) -> Result<Option<Value>, Status> {
    let name = pod.at(&["spec", "runtimeClassName"]).str_or_empty();
    if name.is_empty() {
        return Ok(None);
    }
    let found = cluster.get(&ObjectKey::new("runtimeclasses.node.k8s.io", "", name)).cloned();
    found.map(Some).ok_or_else(|| write.forbidden(&format!("pod rejected: RuntimeClass \"{name}\" not found")))
}

fn same_amounts(one: &Value, two: &Value) -> bool {
    one.entries().len() == two.entries().len()
        && one.entries().iter().all(|(name, amount)| Quantity::of(amount) == two.get(name).and_then(Quantity::of))
}
