//! The disruption controller: how many pods of a budget may be evicted now.
//!
//! Knows: `pkg/controller/disruption`.
//! Does not know: who evicts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::children::count;
use super::client::{Client, Severity};
use super::{Controller, Next};
use crate::apiserver::registry::set_condition;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::kin::Kin;
use crate::labels;
use crate::object::{ObjectKey, Owner};
use crate::schema::split_api_version;
use crate::time;
use crate::value::{Text, Value};

const CLIENT: Client = Client::controller("disruption-controller").telling_as("controllermanager");
const BUDGETS: &str = "poddisruptionbudgets.policy";
/// So long an eviction counts as under way though its pod is not seen to go.
const PATIENCE: Duration = Duration::from_secs(120);

/// The controller.
pub(super) struct Disruptions;

impl Controller for Disruptions {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is(BUDGETS) {
            return look(change.key.clone());
        }
        if !change.key.is("pods") {
            return;
        }
        let shown = |pod: &Value| (pod.labels().clone(), pod.is_terminating(), pod.condition_is_true("Ready"));
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        if before.map(shown) == after.map(shown) {
            return;
        }
        let budgets = |pod: &Value| -> BTreeSet<ObjectKey> {
            cluster.selecting(BUDGETS, &change.key.namespace, pod.labels()).map(|(key, _)| key.clone()).collect()
        };
        let mut covering = before.map(budgets).unwrap_or_default();
        if before.map(Value::labels) != after.map(Value::labels) {
            covering.extend(after.map(budgets).unwrap_or_default());
        }
        covering.into_iter().for_each(look);
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(budget) = cluster.get(key).cloned() else { return Next::Done };
        let pods = cluster.kins_selected(&key.namespace, budget.at(&["spec", "selector"]));
        if pods.is_empty() {
            CLIENT.event_once(cluster, &budget, Severity::Normal, "NoPods", "No matching pods found");
        }
        let pods = cluster.kins_selected(&key.namespace, budget.at(&["spec", "selector"]));
        let up: i64 = pods.iter().map(|(_, kin)| kin.tally.up).sum();
        let expectation = expectation(cluster, &budget, &pods);
        let (expected, desired) = match expectation {
            Ok((scale, desired)) => {
                if scale.has_unmanaged {
                    let message = unmanaged(budget.at(&["spec", "selector"]));
                    CLIENT.event_once(cluster, &budget, Severity::Warning, "UnmanagedPods", &message);
                }
                (scale.pods, desired)
            }
            Err(why) => {
                give_up(cluster, key, &budget, &why);
                return Next::Done;
            }
        };
        let (disrupted, next) = under_way(cluster, &budget);
        let leaving = disrupted.entries().iter().filter_map(|(name, _)| covered(cluster, &budget, name));
        let healthy = up - count(leaving.filter(|pod| pod.condition_is_true("Ready")));
        let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
        let now = time::format(cluster.now());
        let generation = budget.generation();
        let _ = CLIENT.update_status(cluster, key, |budget| {
            for (field, number) in [
                ("currentHealthy", healthy),
                ("desiredHealthy", desired),
                ("disruptionsAllowed", allowed),
                ("expectedPods", expected),
                ("observedGeneration", generation),
            ] {
                budget.set(&["status", field], number);
            }
            if !disrupted.is_empty() {
                budget.set(&["status", "disruptedPods"], disrupted);
            } else if budget.find(&["status", "disruptedPods"]).is_some() {
                budget.remove(&["status", "disruptedPods"]);
            }
            let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
            set_condition(
                budget,
                &now,
                doc!({
                    "type": "DisruptionAllowed", "status": (status), "reason": (reason), "message": "",
                    "observedGeneration": (generation),
                }),
            );
        });
        next
    }
}

/// How many there should be cannot be told: then none may be evicted, and the status says why.
fn give_up(cluster: &mut Cluster, key: &ObjectKey, budget: &Value, why: &str) {
    let message = format!("Failed to calculate the number of expected pods: {why}");
    CLIENT.event(cluster, budget, Severity::Warning, "CalculateExpectedPodCountFailed", &message);
    let now = time::format(cluster.now());
    let _ = CLIENT.update_status(cluster, key, |budget| {
        for field in ["currentHealthy", "desiredHealthy", "expectedPods"] {
            let have = budget.at(&["status", field]).as_int().unwrap_or(0);
            budget.set(&["status", field], have);
        }
        budget.set(&["status", "disruptionsAllowed"], 0);
        let mut failed =
            doc!({"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": (why)});
        if let Some(observed) = budget.at(&["status", "observedGeneration"]).as_int() {
            failed.set(&["observedGeneration"], observed);
        }
        set_condition(budget, &now, failed);
    });
}

/// Evictions that were granted and whose pods have not begun to go; and when the first of them is given up.
fn under_way(cluster: &Cluster, budget: &Value) -> (Value, Next) {
    let (now, mut kept, mut next) = (cluster.now(), doc!({}), Next::Done);
    for (name, since) in budget.at(&["status", "disruptedPods"]).entries() {
        let Some(until) = since.as_str().and_then(time::parse).map(|since| since + PATIENCE) else { continue };
        if covered(cluster, budget, name).is_none() || until <= now {
            continue;
        }
        kept.set(&[name.as_str()], since);
        let wait = until.since(now);
        next = match next {
            Next::After(sooner) if sooner < wait => next,
            _ => Next::After(wait),
        };
    }
    (kept, next)
}

/// The pod of that name, if a budget covers it and it has not begun to go.
fn covered<'a>(cluster: &'a Cluster, budget: &Value, name: &Text) -> Option<&'a Value> {
    let pod = cluster.get(&ObjectKey::new("pods", budget.namespace(), name.clone()))?;
    (!pod.is_terminating() && labels::matches(budget.at(&["spec", "selector"]), pod.labels())).then_some(pod)
}

/// How many pods there should be, and how many of them must be healthy.
///
/// # Errors
/// When it depends on what nobody says: how many pods their controllers are asked for.
fn expectation(cluster: &Cluster, budget: &Value, pods: &[(&Value, &Kin)]) -> Result<(Scale, i64), String> {
    let spec = budget.at(&["spec"]);
    let all = pods.iter().map(|(_, kin)| kin.tally.all).sum();
    let most = spec.at(&["maxUnavailable"]);
    if !most.is_null() {
        let scale = scale(cluster, pods)?;
        let desired = (scale.pods - share(most, scale.pods)).max(0);
        return Ok((scale, desired));
    }
    Ok(match spec.at(&["minAvailable"]) {
        Value::Int(least) => (Scale { pods: all, has_unmanaged: false }, *least),
        // A budget that asks for nothing expects nothing, and so lets nobody evict.
        Value::Null => (Scale::default(), 0),
        least => {
            let scale = scale(cluster, pods)?;
            let desired = share(least, scale.pods);
            (scale, desired)
        }
    })
}

/// How many pods there should be.
#[derive(Default)]
struct Scale {
    pods: i64,
    /// Whether there are pods without a controller, which count for nothing.
    has_unmanaged: bool,
}

/// What is said of a budget that covers pods without a controller. The selector is shown as Go prints it.
fn unmanaged(selector: &Value) -> String {
    let labels = selector.at(&["matchLabels"]).entries().iter();
    let labels: String = labels.map(|(key, value)| format!("{key}: {},", value.str_or_empty())).collect();
    let expressions = selector.at(&["matchExpressions"]).items().iter().map(|expression| {
        let text = |field: &str| expression.at(&[field]).str_or_empty();
        let values: Vec<&str> = expression.at(&["values"]).items().iter().map(Value::str_or_empty).collect();
        let (key, operator, values) = (text("key"), text("operator"), values.join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    });
    let expressions: String = expressions.collect();
    format!(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}) were found to be unmanaged. As a result, the \
         status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these \
         pods please set \".spec.minAvailable\" field of the PDB to an integer value."
    )
}

/// A number, or a percentage of another, rounded up.
fn share(value: &Value, of: i64) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => {
            let percent: i64 = other.str_or_empty().trim_end_matches('%').parse().unwrap_or(0);
            (of * percent + 99) / 100
        }
    }
}

/// How many pods the controllers of these pods are asked for, all together. A pod that has none counts for nothing. Pods of one
/// kin have one controller, so that one of them is asked; of several that cannot be answered for, the first pod's says why.
fn scale(cluster: &Cluster, pods: &[(&Value, &Kin)]) -> Result<Scale, String> {
    let mut first: Vec<(&ObjectKey, &Value)> = pods.iter().filter_map(|(_, kin)| kin.pods.iter().next()).collect();
    first.sort_by(|one, two| one.0.cmp(two.0));
    let mut controllers: BTreeMap<String, i64> = BTreeMap::new();
    let mut has_unmanaged = false;
    for (_, pod) in first {
        let Some(owner) = pod.controller() else {
            has_unmanaged = true;
            continue;
        };
        let (uid, replicas) =
            asked_for(cluster, pod, owner)?.ok_or_else(|| format!("found no controllers for pod {:?}", pod.name()))?;
        controllers.insert(uid, replicas);
    }
    Ok(Scale { pods: controllers.values().sum(), has_unmanaged })
}

/// The uid of an object's controller, and how many pods it is asked for; none if it is not there.
fn asked_for(cluster: &Cluster, object: &Value, owner: Owner<'_>) -> Result<Option<(String, i64)>, String> {
    let (group, version) = split_api_version(owner.api_version());
    let Some(resource) = cluster.schema.by_kind(group, version, owner.kind()) else {
        return Err(format!("no matches for kind {:?} in version {:?}", owner.kind(), owner.api_version()));
    };
    let Some(scale) = resource.subresource("scale") else {
        let name = &resource.storage.resource;
        return Err(format!("{name} does not implement the scale subresource"));
    };
    let key = ObjectKey::new(resource.id(), object.namespace(), owner.name());
    let Some(found) = cluster.get(&key).filter(|found| found.uid() == owner.uid()) else { return Ok(None) };
    // A ReplicaSet of a Deployment speaks for the whole of it, while one replaces another.
    if let Some(above) = found.controller().filter(|above| found.kind() == "ReplicaSet" && above.kind() == "Deployment")
    {
        return asked_for(cluster, found, above);
    }
    let path = scale.scale.as_ref().map_or("spec.replicas", |paths| paths.spec.trim_start_matches('.'));
    let replicas = found.at(&path.split('.').collect::<Vec<_>>()).as_int();
    let default = i64::from(!resource.custom);
    Ok(Some((found.uid().to_owned(), replicas.unwrap_or(default))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, pod, story};

    fn status(spec: Value, bare: usize) -> String {
        let mut cluster = cluster(&["8"]);
        let template = doc!({
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]},
        });
        create(
            &mut cluster,
            "replicasets.apps",
            doc!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": (template)},
            }),
        );
        let mut spec = spec;
        let app = match spec.remove(&["of"]) {
            Some(_) => "job",
            None if bare > 0 => "bare",
            None => "web",
        };
        let mut work = doc!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]}});
        work.set(
            &["metadata"],
            doc!({"labels": {"app": "job"}, "annotations": {"twin.lazaret.dev/exit-after-ms": "600000"}}),
        );
        create(
            &mut cluster,
            "jobs.batch",
            doc!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "shop"},
                "spec": {"template": (work)},
            }),
        );
        for at in 0..bare {
            let mut pod = pod(&format!("bare-{at}"));
            pod.set(&["metadata", "labels"], doc!({"app": "bare"}));
            create(&mut cluster, "pods", pod);
        }
        spec.set(&["selector", "matchLabels", "app"], app);
        create(
            &mut cluster,
            BUDGETS,
            doc!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "shop"},
                "spec": (spec),
            }),
        );
        story(&mut cluster, 60, "pods", |_| String::new());
        let budget = cluster.get(&ObjectKey::new(BUDGETS, "shop", "web")).cloned().unwrap_or_default();
        let number = |field: &str| budget.at(&["status", field]).as_int().unwrap_or(-1);
        let numbers = ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"].map(number);
        let reason = budget.condition("DisruptionAllowed").map_or("", |found| found.at(&["reason"]).str_or_empty());
        format!("{numbers:?} {reason}")
    }

    #[test]
    fn a_selector_is_shown_as_go_prints_it() {
        let selector = doc!({
            "matchLabels": {"app": "web"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["a", "b"]}],
        });
        let shown = unmanaged(&selector);
        let wanted = "(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},\
            MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[a b],},},})";
        assert!(shown.contains(wanted), "{shown}");
    }

    #[test]
    fn a_budget_says_how_many_pods_may_be_evicted() {
        for (spec, bare, want) in [
            (doc!({"minAvailable": 2}), 0, "[3, 2, 3, 1] SufficientPods"),
            (doc!({"minAvailable": 3}), 0, "[3, 3, 3, 0] InsufficientPods"),
            (doc!({"minAvailable": "50%"}), 0, "[3, 2, 3, 1] SufficientPods"),
            (doc!({"maxUnavailable": 1}), 0, "[3, 2, 3, 1] SufficientPods"),
            (doc!({"maxUnavailable": "30%"}), 0, "[3, 2, 3, 1] SufficientPods"),
            (doc!({"maxUnavailable": 1, "of": "a job"}), 0, "[0, 0, 0, 0] SyncFailed"),
            (doc!({"minAvailable": 1, "of": "a job"}), 0, "[1, 1, 1, 0] InsufficientPods"),
            // Nobody says how many pods without a controller there should be.
            (doc!({"maxUnavailable": "50%"}), 2, "[0, 0, 2, 0] InsufficientPods"),
            (doc!({}), 0, "[0, 0, 3, 0] InsufficientPods"),
        ] {
            let said = status(spec.clone(), bare);
            assert_eq!(said, want, "{spec}");
        }
    }
}
