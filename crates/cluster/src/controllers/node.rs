//! What the control plane makes of nodes: silence, pressure and cordons become taints; taints send pods away; the pods of
//! nodes that are gone go too.
//!
//! Knows: `pkg/controller/nodelifecycle`, `tainteviction`, `podgc`, `ttl`.
//! Does not know: what runs on a node. A node's annotations say whether its kubelet is heard and how it fares.

use std::time::Duration;

use super::client::{Client, Severity};
use super::{Controller, Next, set_alarm};
use crate::apiserver::registry::{Deletion, set_condition};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::scheduler::affinity;
use crate::time;
use crate::value::Value;

const LIFECYCLE: Client = Client::controller("node-controller");
const EVICTION: Client = Client::controller("taint-eviction-controller");
const PODS: Client = Client::controller("pod-garbage-collector");

const HEARTBEAT: &str = "twin.lazaret.dev/heartbeat";
const PRESSURE: &str = "twin.lazaret.dev/pressure";
const TTL: &str = "node.alpha.kubernetes.io/ttl";

/// In place of a namespace, which nodes have none of: look at what the node's kubelet says.
const KUBELET: &str = "kubelet";

/// So long a kubelet may be silent (`--node-monitor-grace-period`).
const GRACE: Duration = Duration::from_secs(50);
/// So long the pods of a node that is gone are kept, in case it comes back.
const QUARANTINE: Duration = Duration::from_secs(40);

/// (condition, reason and message when well, reason and message when not, taint)
const PRESSURES: [(&str, &str, &str, &str, &str, &str); 3] = [
    (
        "MemoryPressure",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
        "KubeletHasInsufficientMemory",
        "kubelet has insufficient memory available",
        "memory-pressure",
    ),
    (
        "DiskPressure",
        "KubeletHasNoDiskPressure",
        "kubelet has no disk pressure",
        "KubeletHasDiskPressure",
        "kubelet has disk pressure",
        "disk-pressure",
    ),
    (
        "PIDPressure",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
        "KubeletHasInsufficientPID",
        "kubelet has insufficient PID available",
        "pid-pressure",
    ),
];

/// Conditions and taints of nodes.
pub(super) struct NodeLifecycle;

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        LIFECYCLE.name
    }

    fn notice(&self, _: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if !change.key.is("nodes") || change.after.is_none() {
            return;
        }
        look(change.key.clone());
        let staged = |node: &Option<Value>| {
            let said = |what: &str| node.as_ref().and_then(|node| node.annotation(what)).map(str::to_owned);
            (said(HEARTBEAT), said(PRESSURE))
        };
        if staged(&change.before) != staged(&change.after) {
            // Only now does the kubelet have something to say; a node that is dead or under pressure without being told
            // to be stays so, whatever else changes.
            look(ObjectKey { namespace: KUBELET.into(), ..change.key.clone() });
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let staged = key.namespace == KUBELET;
        let key = &ObjectKey::new("nodes", "", key.name.clone());
        let Some(node) = cluster.get(key).cloned() else { return Next::Done };
        if staged && is_silent(&node) {
            set_alarm(cluster, LIFECYCLE.name, key, &format!("silent/{}", node.uid()), GRACE);
        } else if staged {
            heard(cluster, key, &node);
        }
        keep(cluster, key);
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _: &str) -> Next {
        let Some(node) = cluster.get(key).cloned().filter(is_silent) else { return Next::Done };
        let unknown = |condition: &Value| condition.at(&["status"]) == "Unknown";
        if node.condition("Ready").is_some_and(unknown) {
            return Next::Done;
        }
        let now = time::format(cluster.now());
        let _ = LIFECYCLE.update_status(cluster, key, |node| {
            for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
                let mut condition = node.condition(kind).cloned().unwrap_or_else(|| doc!({"type": (kind)}));
                condition.set(&["status"], "Unknown");
                condition.set(&["reason"], "NodeStatusUnknown");
                condition.set(&["message"], "Kubelet stopped posting node status.");
                set_condition(node, &now, condition);
            }
        });
        let message = format!("Node {} status is now: NodeNotReady", key.name);
        LIFECYCLE.event(cluster, &node, Severity::Normal, "NodeNotReady", &message);
        let pods: Vec<ObjectKey> = cluster.pods_on(&key.name).map(|(pod, _)| pod.clone()).collect();
        for pod in pods {
            if let Some(ready) = cluster.get(&pod).filter(|pod| pod.condition_is_true("Ready")).cloned() {
                LIFECYCLE.event(cluster, &ready, Severity::Warning, "NodeNotReady", "Node is not ready");
            }
            let _ = LIFECYCLE.update_status(cluster, &pod, |pod| {
                if let Some(mut ready) = pod.condition("Ready").cloned() {
                    ready.set(&["status"], "False");
                    set_condition(pod, &now, ready);
                }
            });
        }
        keep(cluster, key);
        Next::Done
    }
}

fn is_silent(node: &Value) -> bool {
    node.annotation(HEARTBEAT) == Some("stop")
}

/// What a kubelet says of its node when it is heard again, or when pressure begins or ends.
fn heard(cluster: &mut Cluster, key: &ObjectKey, node: &Value) {
    let was_silent = node.condition("Ready").is_some_and(|ready| ready.at(&["status"]) == "Unknown");
    let pressure = node.annotation(PRESSURE).unwrap_or("").to_owned();
    let now = time::format(cluster.now());
    let say = |node: &mut Value, kind: &str, status: &str, reason: &str, message: &str| {
        let beat = node.condition(kind).map(|have| have.at(&["lastHeartbeatTime"]).clone());
        let mut condition = doc!({"type": (kind), "status": (status), "reason": (reason), "message": (message)});
        condition.set(&["lastHeartbeatTime"], beat.filter(|beat| !beat.is_null()).unwrap_or_else(|| Value::from(&now)));
        set_condition(node, &now, condition);
    };
    let _ = LIFECYCLE.update_status(cluster, key, |node| {
        for (kind, well, well_message, ill, ill_message, taint) in PRESSURES {
            if taint.strip_suffix("-pressure") == Some(pressure.as_str()) {
                say(node, kind, "True", ill, ill_message);
            } else {
                say(node, kind, "False", well, well_message);
            }
        }
        if was_silent {
            say(node, "Ready", "True", "KubeletReady", "kubelet is posting ready status");
        }
    });
}

/// Makes the taints that follow from conditions what they should be, and gives a node its annotation.
fn keep(cluster: &mut Cluster, key: &ObjectKey) {
    let now = time::format(cluster.now());
    let _ = LIFECYCLE.update(cluster, key, |node| {
        if node.annotation(TTL).is_none() {
            node.set(&["metadata", "annotations", TTL], "0");
        }
        let ready = node.condition("Ready").map(|ready| ready.at(&["status"]).str_or_empty().to_owned());
        let ready = ready.as_deref();
        let cordoned = node.at(&["spec", "unschedulable"]).is_true();
        let network = node.condition_is_true("NetworkUnavailable");
        let mut wanted = vec![
            ("not-ready", "NoSchedule", ready == Some("False")),
            ("unreachable", "NoSchedule", ready == Some("Unknown")),
            ("not-ready", "NoExecute", ready == Some("False")),
            ("unreachable", "NoExecute", ready == Some("Unknown")),
            ("unschedulable", "NoSchedule", cordoned),
            ("network-unavailable", "NoSchedule", network),
        ];
        for (kind, .., taint) in PRESSURES {
            wanted.push((taint, "NoSchedule", node.condition_is_true(kind)));
        }
        let mut taints = node.at(&["spec", "taints"]).items().to_vec();
        for (name, effect, on) in wanted {
            let name = format!("node.kubernetes.io/{name}");
            let same = |taint: &Value| *taint.at(&["key"]) == *name.as_str() && taint.at(&["effect"]) == effect;
            if on && !taints.iter().any(same) {
                taints.push(doc!({"key": (&name), "effect": (effect), "timeAdded": (&now)}));
            } else if !on {
                taints.retain(|taint| !same(taint));
            }
        }
        if taints.as_slice() == node.at(&["spec", "taints"]).items() {
            return;
        }
        if taints.is_empty() {
            node.remove(&["spec", "taints"]);
        } else {
            node.set(&["spec", "taints"], taints);
        }
    });
}

/// Pods leave nodes whose `NoExecute` taints they do not bear, or bear no longer.
pub(super) struct TaintEviction;

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        EVICTION.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let taints = |node: Option<&Value>| node.map(executing).unwrap_or_default();
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        match change.key.resource.as_str() {
            "nodes" if after.is_some() && taints(before) != taints(after) => {
                cluster.pods_on(&change.key.name).for_each(|(pod, _)| look(pod.clone()));
            }
            "pods" => {
                let part = |pod: Option<&Value>| {
                    pod.map(|pod| (pod.at(&["spec", "nodeName"]).clone(), pod.at(&["spec", "tolerations"]).clone()))
                };
                if after.is_some_and(|pod| !pod.at(&["spec", "nodeName"]).is_empty()) && part(before) != part(after) {
                    look(change.key.clone());
                }
            }
            _ => {}
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        evict(cluster, key, None);
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, alarm: &str) -> Next {
        evict(cluster, key, Some(alarm));
        Next::Done
    }
}

/// The taints of a node that send pods away.
fn executing(node: &Value) -> Vec<Value> {
    node.at(&["spec", "taints"]).items().iter().filter(|taint| taint.at(&["effect"]) == "NoExecute").cloned().collect()
}

fn evict(cluster: &mut Cluster, key: &ObjectKey, alarm: Option<&str>) {
    let Some(pod) = cluster.get(key).cloned() else { return };
    let Some(name) = pod.at(&["spec", "nodeName"]).as_text().cloned() else { return };
    let Some(node) = cluster.get(&ObjectKey::new("nodes", "", name)) else { return };
    let taints = executing(node);
    if taints.is_empty() || pod.is_terminating() {
        return;
    }
    let mut soonest: Option<u64> = None;
    for taint in &taints {
        match affinity::toleration(&pod, taint) {
            None => soonest = Some(0),
            Some(toleration) => {
                if let Some(seconds) = toleration.at(&["tolerationSeconds"]).as_int() {
                    let seconds = u64::try_from(seconds).unwrap_or(0);
                    soonest = Some(soonest.map_or(seconds, |sooner| sooner.min(seconds)));
                }
            }
        }
    }
    let Some(seconds) = soonest else { return };
    let stand = Value::from(taints).to_json();
    let name = format!("evict/{}/{seconds}/{stand}", pod.uid());
    if seconds > 0 && alarm != Some(name.as_str()) {
        set_alarm(cluster, EVICTION.name, key, &name, Duration::from_secs(seconds));
        return;
    }
    let message = "Taint manager: deleting due to NoExecute taint";
    go(cluster, EVICTION, key, "DeletionByTaintManager", message, false);
    let said = format!("Marking for deletion Pod {}/{}", pod.namespace(), pod.name());
    EVICTION.event(cluster, &pod, Severity::Normal, "TaintManagerEviction", &said);
}

/// Says in a pod's status why it has to go, and deletes it.
fn go(cluster: &mut Cluster, client: Client, key: &ObjectKey, reason: &str, message: &str, by_force: bool) {
    let now = time::format(cluster.now());
    let _ = client.update_status(cluster, key, |pod| {
        let condition = doc!({
            "type": "DisruptionTarget", "status": "True", "reason": (reason), "message": (message),
            "lastProbeTime": null, "observedGeneration": (pod.generation()),
        });
        set_condition(pod, &now, condition);
        let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
        if by_force && !over {
            pod.set(&["status", "phase"], "Failed");
        }
    });
    let deletion = Deletion { grace_period_seconds: by_force.then_some(0), ..Deletion::default() };
    let _ = client.delete(cluster, key, &deletion);
}

/// Pods whose node is gone go too.
pub(super) struct PodGarbage;

impl Controller for PodGarbage {
    fn name(&self) -> &'static str {
        PODS.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let node = match (&change.before, &change.after) {
            (Some(_), None) if change.key.is("nodes") => Some(change.key.name.clone()),
            (None, Some(pod)) if change.key.is("pods") => pod.at(&["spec", "nodeName"]).as_text().cloned(),
            _ => None,
        };
        if let Some(name) = node.filter(|name| !name.is_empty()) {
            let key = ObjectKey::new("nodes", "", name);
            if cluster.get(&key).is_none() {
                look(key);
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        set_alarm(cluster, PODS.name, key, "gone", QUARANTINE);
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _: &str) -> Next {
        if cluster.get(key).is_some() {
            return Next::Done;
        }
        let pods: Vec<ObjectKey> = cluster.pods_on(&key.name).map(|(pod, _)| pod.clone()).collect();
        for pod in pods {
            go(cluster, PODS, &pod, "DeletionByPodGC", "PodGC: node no longer exists", true);
        }
        Next::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, edit, pod, story};

    fn line(pod: &Value) -> String {
        let ready = if pod.condition_is_true("Ready") { "ready" } else { "unready" };
        let target = pod.condition("DisruptionTarget").map_or("", |found| found.at(&["reason"]).str_or_empty());
        format!("{ready} {target}{}", if pod.is_terminating() { " going" } else { "" })
    }

    fn running() -> Cluster {
        let mut cluster = cluster(&["4"]);
        create(&mut cluster, "pods", pod("a"));
        story(&mut cluster, 10, "pods", line);
        cluster
    }

    fn mark(cluster: &mut Cluster, annotation: &str, value: Option<&str>) {
        edit(cluster, "nodes", "", "n1", |node| match value {
            Some(value) => node.set(&["metadata", "annotations", annotation], value),
            None => drop(node.remove(&["metadata", "annotations", annotation])),
        });
    }

    #[test]
    fn pods_of_a_silent_node_are_unready_then_told_to_go_and_stay_until_it_speaks() {
        let mut cluster = running();
        mark(&mut cluster, HEARTBEAT, Some("stop"));
        let want = [
            "60000 a: unready ",
            "360000 a: unready DeletionByTaintManager",
            "360000 a: unready DeletionByTaintManager going",
        ];
        assert_eq!(story(&mut cluster, 1000, "pods", line), want);
        let told = cluster.list("events", Some("shop")).filter(|(_, event)| event.at(&["reason"]) == "NodeNotReady");
        let told: Vec<&str> = told.map(|(_, event)| event.at(&["message"]).str_or_empty()).collect();
        assert_eq!(told, ["Node is not ready"]);
        mark(&mut cluster, HEARTBEAT, None);
        assert_eq!(story(&mut cluster, 60, "pods", line).last().map(String::as_str), Some("1010300 a: gone"));
        let node = cluster.get(&ObjectKey::new("nodes", "", "n1")).cloned().unwrap_or_default();
        assert!(node.condition_is_true("Ready") && node.at(&["spec", "taints"]).is_null());
    }

    #[test]
    fn conditions_and_cordons_become_taints() {
        for (annotation, value, want) in [
            (PRESSURE, "memory", "memory-pressure:NoSchedule"),
            (PRESSURE, "disk", "disk-pressure:NoSchedule"),
            (HEARTBEAT, "stop", "unreachable:NoSchedule unreachable:NoExecute"),
        ] {
            let mut cluster = running();
            mark(&mut cluster, annotation, Some(value));
            story(&mut cluster, 60, "pods", line);
            let node = cluster.get(&ObjectKey::new("nodes", "", "n1")).cloned().unwrap_or_default();
            let taints: Vec<String> = node
                .at(&["spec", "taints"])
                .items()
                .iter()
                .map(|taint| {
                    let key = taint.at(&["key"]).str_or_empty().trim_start_matches("node.kubernetes.io/").to_owned();
                    format!("{key}:{}", taint.at(&["effect"]).str_or_empty())
                })
                .collect();
            assert_eq!(taints.join(" "), want);
        }
    }

    #[test]
    fn a_node_that_was_dead_before_stays_dead_when_it_is_cordoned() {
        let mut cluster = running();
        let dead = doc!([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]);
        edit(&mut cluster, "nodes", "", "n1", |node| node.set(&["status", "conditions"], dead));
        edit(&mut cluster, "nodes", "", "n1", |node| node.set(&["spec", "unschedulable"], true));
        story(&mut cluster, 60, "pods", line);
        let node = cluster.get(&ObjectKey::new("nodes", "", "n1")).cloned().unwrap_or_default();
        assert_eq!(node.condition("Ready").map(|ready| ready.at(&["status"]).str_or_empty()), Some("Unknown"));
    }

    #[test]
    fn a_no_execute_taint_sends_away_at_once_who_does_not_bear_it() {
        let mut cluster = running();
        let taint = doc!({"key": "repair", "effect": "NoExecute"});
        edit(&mut cluster, "nodes", "", "n1", |node| node.set(&["spec", "taints"], doc!([(taint)])));
        assert_eq!(story(&mut cluster, 60, "pods", line).last().map(String::as_str), Some("10300 a: gone"));
    }

    #[test]
    fn pods_of_a_node_that_is_gone_are_collected() {
        let mut cluster = running();
        cluster.write(&ObjectKey::new("nodes", "", "n1"), None);
        assert_eq!(
            story(&mut cluster, 60, "pods", line),
            ["50000 a: ready DeletionByPodGC", "50000 a: ready DeletionByPodGC going", "50000 a: gone"]
        );
    }
}
