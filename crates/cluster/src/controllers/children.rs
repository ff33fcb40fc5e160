//! What a workload owns: pods and their like, adopted and released by selector, made from a template, counted.
//!
//! Knows: `pkg/controller/controller_ref_manager.go` and `controller_utils.go`.
//! Does not know: any one workload's rules.

use std::cmp::Ordering;
use std::time::Duration;

use twin::Time;

use super::client::Client;
use crate::apiserver::Status;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::kin::Kin;
use crate::labels;
use crate::object::ObjectKey;
use crate::value::{Map, Value};

/// A kind that owns: how its children name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// `apps/v1`
    pub(super) api_version: &'static str,
    /// `ReplicaSet`
    pub(super) kind: &'static str,
    /// `replicasets.apps`
    pub(super) resource: &'static str,
}

/// Which children an owner takes for its own, beside those that its selector matches.
pub(super) struct Claim<'a> {
    /// Whether it looks at a child at all; one that it does not see stays what it is.
    pub(super) sees: &'a dyn Fn(&Value) -> bool,
    /// Whether a child that its selector matches is one of its own.
    pub(super) is_member: &'a dyn Fn(&Value) -> bool,
}

/// The children of a resource that an owner manages, after it has adopted those that match and released those that do not.
pub(super) fn claim(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    resource: &str,
) -> Vec<(ObjectKey, Value)> {
    if resource == "pods" {
        settle_pods(cluster, client, kind, owner, &|_| true);
        let pods = cluster.members(own_pods(cluster, owner));
        return pods.map(|(key, pod)| (key.clone(), pod.clone())).collect();
    }
    claim_as(cluster, client, kind, owner, resource, &Claim { sees: &|_| true, is_member: &|_| true })
}

/// The same for an owner that is choosier. What it manages and does not see is among its children.
pub(super) fn claim_as(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    resource: &str,
    claim: &Claim<'_>,
) -> Vec<(ObjectKey, Value)> {
    let selector = owner.at(&["spec", "selector"]);
    let (mut mine, mut strangers) = (Vec::new(), Vec::new());
    for (key, child) in cluster.dependents(owner.uid()).filter(|(key, child)| key.is(resource) && has(owner, child)) {
        if labels::matches(selector, child.labels()) && (claim.is_member)(child) {
            mine.push((key.clone(), child.clone()));
        } else if (claim.sees)(child) {
            strangers.push(key.clone());
        }
    }
    release(cluster, client, owner, strangers);
    mine.extend(adopt(cluster, client, kind, owner, resource, claim));
    mine.sort_by(|one, two| one.0.cmp(&two.0));
    mine
}

/// Has an owner adopt the pods that match and release those that do not, of those that it sees.
pub(super) fn settle_pods(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    sees: &dyn Fn(&Value) -> bool,
) {
    let selector = owner.at(&["spec", "selector"]);
    let strange = cluster.kins_owned(owner.uid()).filter(|(labels, _)| !labels::matches(selector, labels)).collect();
    let strangers = cluster.members(strange).filter(|(_, pod)| sees(pod)).map(|(key, _)| key.clone()).collect();
    release(cluster, client, owner, strangers);
    adopt(cluster, client, kind, owner, "pods", &Claim { sees, is_member: &|_| true });
}

/// The pods that an owner manages and its selector selects, by what they have in common.
pub(super) fn own_pods<'a>(cluster: &'a Cluster, owner: &Value) -> Vec<(&'a Value, &'a Kin)> {
    let selector = owner.at(&["spec", "selector"]);
    cluster.kins_owned(owner.uid()).filter(|(labels, _)| labels::matches(selector, labels)).collect()
}

fn has(owner: &Value, child: &Value) -> bool {
    child.controller().is_some_and(|have| have.uid() == owner.uid())
}

fn release(cluster: &mut Cluster, client: Client, owner: &Value, children: Vec<ObjectKey>) {
    for key in children.into_iter().filter(|_| !owner.is_terminating()) {
        let _ = client.update(cluster, &key, |child| {
            if let Some(list) = child.find_mut(&["metadata", "ownerReferences"]).and_then(Value::as_array_mut) {
                list.edit().retain(|have| have.at(&["uid"]) != owner.uid());
            }
            if child.at(&["metadata", "ownerReferences"]).is_empty() {
                child.remove(&["metadata", "ownerReferences"]);
            }
        });
    }
}

fn adopt(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    resource: &str,
    claim: &Claim<'_>,
) -> Vec<(ObjectKey, Value)> {
    let selector = owner.at(&["spec", "selector"]);
    if owner.is_terminating() || selector.as_object().is_none_or(Map::is_empty) {
        return Vec::new();
    }
    let stray: Vec<ObjectKey> = cluster
        .orphans(resource, owner.namespace())
        .filter(|(_, child)| !child.is_terminating() && (claim.sees)(child))
        .filter(|(_, child)| labels::matches(selector, child.labels()) && (claim.is_member)(child))
        .map(|(key, _)| key.clone())
        .collect();
    let adopted = stray.into_iter().filter_map(|key| {
        let adopted = client.update(cluster, &key, |child| {
            child.make(&["metadata", "ownerReferences"]).array().push(reference(kind, owner));
        });
        Some((key, adopted.ok()?))
    });
    adopted.collect()
}

/// Whether an owner would know its own children: its selector matches its template. The API server sees to that; what a
/// snapshot holds, or a test writes, it has not seen. One that does not would make children, let go of them, and make others.
pub(super) fn knows_its_own(owner: &Value) -> bool {
    let labels = owner.at(&["spec", "template", "metadata", "labels"]);
    labels::matches(owner.at(&["spec", "selector"]), labels)
}

/// How a child names its owner.
pub(super) fn reference(kind: Kind, owner: &Value) -> Value {
    doc!({
        "apiVersion": (kind.api_version), "kind": (kind.kind), "name": (owner.name()), "uid": (owner.uid()),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Which owners of a kind have to look because a child changed: those it names, and for strays those whose selector it
/// matches.
pub(super) fn notice(cluster: &Cluster, change: &Change, kind: Kind, child: &str, look: &mut dyn FnMut(ObjectKey)) {
    if change.key.is(kind.resource) {
        if change.after.is_some() {
            look(change.key.clone());
        }
        return;
    }
    if !change.key.is(child) {
        return;
    }
    let sides = [change.before.as_ref(), change.after.as_ref()];
    let mut managed = false;
    for owner in sides.into_iter().flatten().filter_map(Value::controller) {
        managed = true;
        if owner.kind() == kind.kind {
            look(change.key.beside(kind.resource, owner.name()));
        }
    }
    if let Some(stray) = change.after.as_ref().filter(|_| !managed) {
        let namespace = change.key.namespace.clone();
        let owners: Vec<ObjectKey> =
            cluster.selecting(kind.resource, &namespace, stray.labels()).map(|(key, _)| key.clone()).collect();
        owners.into_iter().for_each(look);
    }
}

/// A pod as a template describes it, owned by its workload. It has a generated name unless it is given one.
pub(super) fn pod(kind: Kind, owner: &Value, template: &Value, name: Option<&str>) -> Value {
    let mut pod = doc!({"apiVersion": "v1", "kind": "Pod", "metadata": {}});
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.find(&["metadata", field]) {
            pod.set(&["metadata", field], value.clone());
        }
    }
    match name {
        Some(name) => pod.set(&["metadata", "name"], name),
        None => pod.set(&["metadata", "generateName"], format!("{}-", owner.name())),
    }
    pod.set(&["metadata", "namespace"], owner.namespace());
    pod.set(&["metadata", "ownerReferences"], vec![reference(kind, owner)]);
    pod.set(&["spec"], template.at(&["spec"]).clone());
    pod
}

/// Neither over nor told to go.
pub(super) fn is_active(pod: &Value) -> bool {
    !pod.is_terminating() && !is_over(pod)
}

/// Succeeded or failed.
pub(super) fn is_over(pod: &Value) -> bool {
    matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed")
}

/// Ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    pod.condition_is_true("Ready")
}

/// Ready for long enough; else when it will have been, if it is ready.
pub(super) fn is_available(pod: &Value, min_ready_seconds: i64, now: Time) -> Result<(), Option<Duration>> {
    let Some(ready) = pod.condition("Ready").filter(|ready| ready.at(&["status"]) == "True") else { return Err(None) };
    let wait = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or(0));
    if wait.is_zero() {
        return Ok(());
    }
    let since = ready.time(&["lastTransitionTime"]).unwrap_or(now);
    if since + wait <= now { Ok(()) } else { Err(Some((since + wait).since(now))) }
}

/// How many times a pod's containers were restarted, the most of them.
fn restarts(pod: &Value) -> i64 {
    let statuses = pod.at(&["status", "containerStatuses"]).items().iter();
    statuses.filter_map(|status| status.at(&["restartCount"]).as_int()).max().unwrap_or(0)
}

/// How workloads tell which of two pods goes first when there are too many.
#[derive(Clone, Copy)]
pub(super) struct Ranking<'a> {
    pub(super) now: Time,
    /// `ActivePodsWithRanks`: the cost that a pod's annotation says counts, and how many of the workload's pods stand on its
    /// node; and pods of about one age are told apart by their uids rather than by seconds. Without it, `ActivePods`.
    pub(super) crowd: Option<&'a dyn Fn(&Value) -> usize>,
}

/// All of a pod that a ranking asks for, read once though it is compared often.
struct Rank<'a> {
    bound: bool,
    phase: u8,
    ready: bool,
    cost: i64,
    crowd: usize,
    ready_since: Option<Time>,
    restarts: i64,
    created: Option<Time>,
    uid: &'a str,
}

impl Ranking<'_> {
    /// Sorts pods so that the one that goes first stands first.
    pub(super) fn sort<T>(self, pods: &mut Vec<T>, pod: impl Fn(&T) -> &Value) {
        let mut ranked: Vec<(usize, Rank<'_>)> = pods.iter().map(|one| self.rank(pod(one))).enumerate().collect();
        ranked.sort_by(|(_, one), (_, two)| self.compare(one, two));
        let order: Vec<usize> = ranked.into_iter().map(|(at, _)| at).collect();
        let mut taken: Vec<Option<T>> = std::mem::take(pods).into_iter().map(Some).collect();
        pods.extend(order.into_iter().filter_map(|at| taken.get_mut(at)?.take()));
    }

    fn rank(self, pod: &Value) -> Rank<'_> {
        let cost = pod.annotation("controller.kubernetes.io/pod-deletion-cost");
        let ready = pod.condition("Ready");
        Rank {
            bound: !pod.at(&["spec", "nodeName"]).is_empty(),
            phase: match pod.at(&["status", "phase"]).str_or_empty() {
                "Pending" => 0,
                "Unknown" => 1,
                _ => 2,
            },
            ready: ready.is_some_and(|ready| ready.at(&["status"]) == "True"),
            cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
            crowd: self.crowd.map_or(0, |crowd| crowd(pod)),
            ready_since: ready.and_then(|ready| ready.time(&["lastTransitionTime"])),
            restarts: restarts(pod),
            created: pod.created(),
            uid: pod.uid(),
        }
    }

    /// The pod that goes first is the lesser.
    fn compare(self, one: &Rank<'_>, two: &Rank<'_>) -> Ordering {
        let crowded = match self.crowd {
            Some(_) => one.cost.cmp(&two.cost).then_with(|| two.crowd.cmp(&one.crowd)),
            None => Ordering::Equal,
        };
        let both_ready = one.ready && two.ready;
        one.bound
            .cmp(&two.bound)
            .then_with(|| one.phase.cmp(&two.phase))
            .then_with(|| one.ready.cmp(&two.ready))
            .then(crowded)
            .then_with(|| match both_ready {
                true => self.younger(one, two, (one.ready_since, two.ready_since)),
                false => Ordering::Equal,
            })
            .then_with(|| two.restarts.cmp(&one.restarts))
            .then_with(|| self.younger(one, two, (one.created, two.created)))
            .then_with(|| one.uid.cmp(two.uid))
    }

    /// The one since the later time, if the times differ. With ranks, they differ by their order of magnitude or not at all,
    /// so that of pods of about one age not always the youngest goes.
    fn younger(self, one: &Rank<'_>, two: &Rank<'_>, (since_one, since_two): (Option<Time>, Option<Time>)) -> Ordering {
        let (Some(since_one), Some(since_two)) = (since_one, since_two) else {
            return since_one.is_some().cmp(&since_two.is_some());
        };
        if since_one == since_two || self.crowd.is_none() {
            return since_two.cmp(&since_one);
        }
        let magnitude = |since: Time| self.now.since(since).as_nanos().checked_ilog2();
        magnitude(since_one).cmp(&magnitude(since_two)).then_with(|| one.uid.cmp(two.uid))
    }
}

/// Whether a write failed because the namespace is going: nothing will come of trying again.
pub(super) fn is_hopeless(status: &Status) -> bool {
    status.details.at(&["causes"]).items().iter().any(|cause| cause.at(&["reason"]) == "NamespaceTerminating")
}

/// A template without what a controller adds to tell its children apart.
pub(super) fn same_template(one: &Value, two: &Value, own_label: &str) -> bool {
    let bare = |template: &Value| {
        let mut bare = template.clone();
        if bare.find(&["metadata", "labels", own_label]).is_some() {
            bare.remove(&["metadata", "labels", own_label]);
        }
        bare
    };
    one == two || bare(one) == bare(two)
}

/// Sets a count that Go leaves out when it is zero.
pub(super) fn set_count(object: &mut Value, path: &[&str], count: i64) {
    if count != 0 {
        object.set(path, count);
    } else if object.find(path).is_some() {
        object.remove(path);
    }
}

/// A length as a 64-bit count.
pub(super) fn count<T>(items: impl IntoIterator<Item = T>) -> i64 {
    i64::try_from(items.into_iter().count()).unwrap_or(i64::MAX)
}

/// A number of replicas, or a share of them (`intstr.GetScaledValueFromIntOrPercent`).
pub(super) fn scaled(value: &Value, of: i64, up: bool) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = percent * of;
            if up { (product + 99) / 100 } else { product / 100 }
        }
        _ => 0,
    }
}
