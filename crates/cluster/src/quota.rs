//! What objects count for in the quotas of their namespace (`pkg/quota/v1/evaluator`).
//!
//! Knows: the names that quotas have for things, how much of each an object is, and which objects a quota's scopes mean.
//! Does not know: when that is charged, which admission does, or counted anew, which the quota controller does.

use twin::Time;

use crate::apiserver::defaults::quality;
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::scheduler::request::{self, Amounts, amounts};
use crate::schema::Schema;
use crate::time;
use crate::value::{Text, Value};

/// Kinds that have a name of their own in quotas, besides `count/…`.
const NAMED: &[&str] = &["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];

/// What is named of pods, besides what begins in a certain way.
const OF_PODS: &[&str] = &[
    "count/pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];

/// What quotas never had a name for.
const IGNORED: &[&str] = &["events", "events.events.k8s.io", "bindings", "componentstatuses"];

const CLAIMS: &str = "resourceclaims.resource.k8s.io";
/// How the devices of a class are named: the class, and this.
const DEVICES: &str = ".deviceclass.resource.k8s.io/devices";
/// A request for all devices counts as so many: no allocation has more.
const DEVICES_MAX: i64 = 32;

/// Whether quotas can count objects of a resource at all.
#[must_use]
pub(crate) fn is_counted(schema: &Schema, resource: &str) -> bool {
    let listed = |resource: &crate::schema::Resource| {
        resource.namespaced && ["create", "list", "watch", "delete"].iter().all(|verb| resource.allows(verb))
    };
    !IGNORED.contains(&resource) && schema.stored(resource).is_some_and(|resource| listed(resource))
}

/// Which objects a limit of that name counts.
#[must_use]
pub(crate) fn counted(name: &str) -> Text {
    if let Some(resource) = name.strip_prefix("count/") {
        return Text::from(resource);
    }
    let all = ["services", "persistentvolumeclaims", CLAIMS].iter().chain(NAMED);
    let concerned = all.copied().find(|resource| concerns(name, resource));
    Text::from(concerned.unwrap_or("pods"))
}

/// Whether a limit of that name counts objects of this resource.
#[must_use]
pub(crate) fn concerns(name: &str, resource: &str) -> bool {
    let own = name.strip_prefix("count/") == Some(resource);
    match resource {
        "pods" => {
            let device = name.strip_prefix("requests.").is_some_and(|name| name.contains('/'));
            OF_PODS.contains(&name)
                || name.starts_with("hugepages-")
                || name.starts_with("requests.hugepages-")
                || device
        }
        "services" => own || matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
        "persistentvolumeclaims" => {
            let of_class = name.split_once(".storageclass.storage.k8s.io/").map_or(name, |(_, name)| name);
            own || matches!(of_class, "persistentvolumeclaims" | "requests.storage")
        }
        CLAIMS => own || name.ends_with(DEVICES),
        _ => own || (NAMED.contains(&resource) && name == resource),
    }
}

/// What an object uses of a quota, by the names that quotas have for it.
#[must_use]
pub(crate) fn usage(key: &ObjectKey, object: &Value, now: Time) -> Amounts {
    let one = Quantity::whole(1);
    let mut used = Amounts::from([(arcstr::format!("count/{}", key.resource), one)]);
    match key.resource.as_str() {
        "pods" if is_charged(object, now) => pod_usage(object, &mut used),
        "services" => service_usage(object, &mut used),
        "persistentvolumeclaims" => claim_usage(object, &mut used),
        CLAIMS => device_usage(object, &mut used),
        resource if NAMED.contains(&resource) => {
            used.insert(key.resource.clone(), one);
        }
        _ => {}
    }
    used
}

/// Whether a pod counts as more than an object. One that has ended does not, nor one that should have gone long ago: its
/// node may be lost, and nobody is to wait for that.
pub(crate) fn is_charged(pod: &Value, now: Time) -> bool {
    let until = pod.at(&["metadata", "deletionTimestamp"]).as_str().and_then(time::parse);
    let grace =
        pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().and_then(|grace| u64::try_from(grace).ok());
    let overdue = until.zip(grace).is_some_and(|(until, grace)| now > until + std::time::Duration::from_secs(grace));
    request::is_live(pod) && !overdue
}

fn pod_usage(pod: &Value, used: &mut Amounts) {
    used.insert(Text::from("pods"), Quantity::whole(1));
    for (name, amount) in asked(pod, "requests") {
        let plain = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
        if plain {
            used.insert(name.clone(), amount);
        }
        if plain || name.contains('/') {
            used.insert(arcstr::format!("requests.{name}"), amount);
        }
    }
    for (name, amount) in asked(pod, "limits") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            used.insert(arcstr::format!("limits.{name}"), amount);
        }
    }
}

/// What a pod asks for, or still has of what it asked for before.
fn asked(pod: &Value, which: &str) -> Amounts {
    let infeasible =
        pod.condition("PodResizePending").is_some_and(|condition| condition.at(&["reason"]) == "Infeasible");
    let statuses = ["containerStatuses", "initContainerStatuses"].map(|list| pod.at(&["status", list]).items());
    request::sum(pod, which, |container| {
        let name = container.at(&["name"]);
        let wanted = amounts(container.at(&["resources", which]));
        let mut statuses = statuses.iter().flat_map(|list| list.iter());
        let has = statuses.find(|status| status.at(&["name"]) == name).filter(|it| !it.at(&["resources"]).is_null());
        let Some(status) = has else { return wanted };
        let mut most = if infeasible { Amounts::new() } else { wanted };
        let allocated = if which == "requests" { status.at(&["allocatedResources"]) } else { &Value::Null };
        for part in [status.at(&["resources", which]), allocated] {
            for (name, amount) in amounts(part) {
                let have = most.entry(name).or_default();
                *have = (*have).max(amount);
            }
        }
        most
    })
}

fn service_usage(service: &Value, used: &mut Amounts) {
    let ports = service.at(&["spec", "ports"]).items();
    let chosen = |port: &&Value| port.at(&["nodePort"]).as_int().is_some_and(|port| port != 0);
    let count = match service.at(&["spec", "type"]).str_or_empty() {
        "NodePort" => ports.len(),
        "LoadBalancer" if service.at(&["spec", "allocateLoadBalancerNodePorts"]).as_bool() == Some(false) => {
            ports.iter().filter(chosen).count()
        }
        "LoadBalancer" => ports.len(),
        _ => 0,
    };
    let balancer = service.at(&["spec", "type"]) == "LoadBalancer";
    used.insert(Text::from("services"), Quantity::whole(1));
    used.insert(Text::from("services.nodeports"), Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX)));
    used.insert(Text::from("services.loadbalancers"), Quantity::whole(i64::from(balancer)));
}

fn claim_usage(claim: &Value, used: &mut Amounts) {
    let old_way = claim.annotation("volume.beta.kubernetes.io/storage-class");
    let class = old_way.unwrap_or_else(|| claim.at(&["spec", "storageClassName"]).str_or_empty());
    let of_class = |what: &str| arcstr::format!("{class}.storageclass.storage.k8s.io/{what}");
    used.insert(Text::from("persistentvolumeclaims"), Quantity::whole(1));
    if !class.is_empty() {
        used.insert(of_class("persistentvolumeclaims"), Quantity::whole(1));
    }
    let Some(wanted) = Quantity::of(claim.at(&["spec", "resources", "requests", "storage"])) else { return };
    let allocated = Quantity::or_zero(claim.at(&["status", "allocatedResources", "storage"]));
    let storage = wanted.max(allocated).rounded_up();
    used.insert(Text::from("requests.storage"), storage);
    if !class.is_empty() {
        used.insert(of_class("requests.storage"), storage);
    }
}

/// The devices that a claim may get, by class. Of alternatives, the most expensive.
fn device_usage(claim: &Value, used: &mut Amounts) {
    let of = |request: &Value| -> (Text, Quantity) {
        let class = request.at(&["deviceClassName"]).str_or_empty();
        let all = request.at(&["allocationMode"]) == "All";
        let count = if all { DEVICES_MAX } else { request.at(&["count"]).as_int().unwrap_or(1) };
        (arcstr::format!("{class}{DEVICES}"), Quantity::whole(count))
    };
    for request in claim.at(&["spec", "devices", "requests"]).items() {
        let mut most = Amounts::new();
        let exactly = request.at(&["exactly"]);
        let all = request.at(&["firstAvailable"]).items().iter().chain((!exactly.is_null()).then_some(exactly));
        for (name, amount) in all.map(of) {
            let have = most.entry(name).or_default();
            *have = (*have).max(amount);
        }
        request::add(used, &most);
    }
}

/// Whether a quota's scopes mean an object. Those that are about pods or claims mean nothing else.
#[must_use]
pub(crate) fn covers(quota: &Value, key: &ObjectKey, object: &Value) -> bool {
    let named = quota.at(&["spec", "scopes"]).items().iter().map(|scope| (scope.str_or_empty(), &Value::Null));
    let stated = quota.at(&["spec", "scopeSelector", "matchExpressions"]).items().iter();
    let stated = stated.map(|stated| (stated.at(&["scopeName"]).str_or_empty(), stated));
    named.chain(stated).all(|(scope, stated)| in_scope(scope, stated, key, object))
}

fn in_scope(scope: &str, stated: &Value, key: &ObjectKey, object: &Value) -> bool {
    let spec = object.at(&["spec"]);
    match (key.resource.as_str(), scope) {
        ("pods", "Terminating") => is_limited_in_time(object),
        ("pods", "NotTerminating") => !is_limited_in_time(object),
        ("pods", "BestEffort") => is_best_effort(object),
        ("pods", "NotBestEffort") => !is_best_effort(object),
        ("pods", "PriorityClass") => matches_any(stated, &[spec.at(&["priorityClassName"]).str_or_empty()]),
        ("pods", "CrossNamespacePodAffinity") => crosses_namespaces(spec),
        ("persistentvolumeclaims", "VolumeAttributesClass") => {
            let names = [
                spec.at(&["volumeAttributesClassName"]),
                object.at(&["status", "currentVolumeAttributesClassName"]),
                object.at(&["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"]),
            ];
            matches_any(stated, &names.map(Value::str_or_empty))
        }
        _ => false,
    }
}

/// Whether a pod may only run for so long.
#[must_use]
pub(crate) fn is_limited_in_time(pod: &Value) -> bool {
    pod.at(&["spec", "activeDeadlineSeconds"]).as_int().is_some_and(|seconds| seconds >= 0)
}

fn is_best_effort(pod: &Value) -> bool {
    match pod.at(&["status", "qosClass"]).as_str() {
        Some(known) => known == "BestEffort",
        None => quality(pod) == "BestEffort",
    }
}

/// Whether what is stated of a name is so for one of several, or for none if there is none.
fn matches_any(stated: &Value, names: &[&str]) -> bool {
    let listed = |name: &&&str| stated.at(&["values"]).items().iter().any(|value| value == **name);
    let mut there = names.iter().filter(|name| !name.is_empty()).peekable();
    let none = there.peek().is_none();
    match stated.at(&["operator"]).str_or_empty() {
        "In" => there.any(|name| listed(&name)),
        "NotIn" => none || there.any(|name| !listed(&name)),
        "DoesNotExist" => none,
        _ => !none,
    }
}

fn crosses_namespaces(spec: &Value) -> bool {
    let crosses = |term: &Value| {
        !term.at(&["namespaces"]).is_empty() || term.get("namespaceSelector").is_some_and(|it| !it.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = spec.at(&["affinity", kind]);
        let preferred = affinity.at(&["preferredDuringSchedulingIgnoredDuringExecution"]).items().iter();
        affinity.at(&["requiredDuringSchedulingIgnoredDuringExecution"]).items().iter().any(crosses)
            || preferred.map(|term| term.at(&["podAffinityTerm"])).any(crosses)
    })
}
