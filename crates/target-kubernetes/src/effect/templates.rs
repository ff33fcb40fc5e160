//! What workloads are made of: their pod templates, and what is said in them.
//!
//! Knows: where each kind keeps its template, who stands at the top of a pod's owners, and the words of containers.
//! Does not know: what follows from any of it.

use cluster::{Cluster, ObjectKey, Value};
use model::ObjectRef;

use super::ledger::reference;

/// Where a pod template stands in each kind that has one.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("deployments.apps", &["spec", "template"]),
    ("statefulsets.apps", &["spec", "template"]),
    ("daemonsets.apps", &["spec", "template"]),
    ("jobs.batch", &["spec", "template"]),
    ("cronjobs.batch", &["spec", "jobTemplate", "spec", "template"]),
    ("replicasets.apps", &["spec", "template"]),
    ("replicationcontrollers", &["spec", "template"]),
];

/// The template of an object that makes pods, or a pod itself, which is its own template.
pub(super) fn template<'a>(resource: &str, object: &'a Value) -> Option<&'a Value> {
    if resource == "pods" {
        return Some(object);
    }
    let (_, path) = TEMPLATES.iter().find(|(kind, _)| *kind == resource)?;
    object.find(path)
}

/// What makes pods in a namespace (or in all) by its own will: workloads that nothing else makes, and bare pods. Jobs that
/// are over make none.
pub(crate) fn workloads<'a>(
    cluster: &'a Cluster,
    namespace: Option<&'a str>,
) -> impl Iterator<Item = (&'a ObjectKey, &'a Value, &'a Value)> {
    let made_by_nobody = move |resource: &'static str| -> Box<dyn Iterator<Item = (&'a ObjectKey, &'a Value)> + 'a> {
        match namespace {
            // Nearly all of these are somebody's, and who is nobody's is known.
            Some(namespace) if matches!(resource, "pods" | "replicasets.apps") => {
                Box::new(cluster.orphans(resource, namespace))
            }
            _ => Box::new(cluster.list(resource, namespace)),
        }
    };
    let resources = TEMPLATES.iter().map(|(resource, _)| *resource).chain(["pods"]);
    resources
        .flat_map(made_by_nobody)
        .filter(|(_, object)| object.controller().is_none() && !object.is_terminating() && !is_over(object))
        .filter_map(|(key, object)| Some((key, object, template(&key.resource, object)?)))
}

fn is_over(object: &Value) -> bool {
    match object.kind() {
        "Job" => object.condition_is_true("Complete") || object.condition_is_true("Failed"),
        "Pod" => matches!(object.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed"),
        _ => false,
    }
}

/// Whose pod this is, at the top: the Deployment of its ReplicaSet, the CronJob of its Job, or the pod itself.
pub(super) fn root(cluster: &Cluster, key: &ObjectKey, object: &Value) -> ObjectRef {
    let Some(owner) = object.controller() else { return reference(key, object) };
    let resource = match owner.kind() {
        "ReplicaSet" => "replicasets.apps",
        "Job" => "jobs.batch",
        kind => return ObjectRef::namespaced(kind, key.namespace.as_str(), owner.name()),
    };
    let above = key.beside(resource, owner.name());
    match cluster.get(&above) {
        Some(object) => root(cluster, &above, object),
        None => ObjectRef::namespaced(owner.kind(), key.namespace.as_str(), owner.name()),
    }
}

/// The containers of a pod, those that come first and those that stay.
pub(super) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"].into_iter().flat_map(|list| spec.at(&[list]).items())
}

/// Everything that is said to the programs of a pod: commands, arguments, and the values of variables.
pub(super) fn words(spec: &Value) -> impl Iterator<Item = &str> {
    containers(spec).flat_map(|container| {
        let said = ["command", "args"].into_iter().flat_map(|list| container.at(&[list]).items());
        let values = container.at(&["env"]).items().iter().map(|entry| entry.at(&["value"]));
        said.chain(values).map(Value::str_or_empty)
    })
}

/// Everything that a workload is told: words, variables, and the settings it reads them from.
pub(super) fn told(cluster: &Cluster, key: &ObjectKey, template: &Value) -> Vec<String> {
    let spec = template.at(&["spec"]);
    let mut found: Vec<String> = words(spec).map(str::to_owned).collect();
    let maps = containers(spec)
        .flat_map(|container| {
            let whole = container.at(&["envFrom"]).items().iter().map(|source| source.at(&["configMapRef", "name"]));
            let single = container.at(&["env"]).items().iter();
            whole.chain(single.map(|entry| entry.at(&["valueFrom", "configMapKeyRef", "name"])))
        })
        .chain(spec.at(&["volumes"]).items().iter().map(|volume| volume.at(&["configMap", "name"])));
    for name in maps.map(Value::str_or_empty).filter(|name| !name.is_empty()) {
        if let Some(map) = cluster.get(&key.beside("configmaps", name)) {
            found.extend(map.at(&["data"]).entries().iter().map(|(_, value)| value.str_or_empty().to_owned()));
        }
    }
    found
}

/// Whether what a workload is told names a service: by its name from beside it, with its namespace from elsewhere.
pub(super) fn names_service(told: &[String], from: &str, service: &ObjectKey) -> bool {
    let far = format!("{}.{}", service.name, service.namespace);
    let near = from == service.namespace;
    told.iter().any(|word| if near { says(word, &service.name) } else { says(word, &far) })
}

/// The services that send requests to pods of a template.
pub(super) fn services_of<'a>(
    cluster: &'a Cluster,
    namespace: &'a str,
    template: &'a Value,
) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
    cluster.list("services", Some(namespace)).filter(|(_, service)| {
        let selector = service.at(&["spec", "selector"]);
        !selector.is_empty() && cluster::labels::matches_map(selector, template.labels())
    })
}

/// Whether a name stands in a text as a word of its own: `orders` in `http://orders:80`, not in `orders-db`.
pub(super) fn says(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let before = text.get(..at).and_then(|left| left.chars().next_back());
            let after = text.get(at + name.len()..).and_then(|right| right.chars().next());
            !before.is_some_and(part) && !after.is_some_and(part)
        })
}

/// Whether it runs now: something of it is ready, or it comes by the clock.
pub(super) fn is_alive(object: &Value) -> bool {
    let count = |field| object.at(&["status", field]).as_int().unwrap_or(0);
    match object.kind() {
        "CronJob" => !object.at(&["spec", "suspend"]).is_true(),
        "DaemonSet" => count("numberReady") > 0,
        "Pod" => object.condition_is_true("Ready"),
        "Job" => count("active") > 0,
        _ => count("readyReplicas") > 0,
    }
}

/// The secrets that a pod of this spec reads.
pub(super) fn secrets(spec: &Value) -> impl Iterator<Item = &str> {
    let volumes = spec.at(&["volumes"]).items().iter().flat_map(|volume| {
        let projected =
            volume.at(&["projected", "sources"]).items().iter().map(|source| source.at(&["secret", "name"]));
        std::iter::once(volume.at(&["secret", "secretName"])).chain(projected)
    });
    let variables = containers(spec).flat_map(|container| {
        let whole = container.at(&["envFrom"]).items().iter().map(|source| source.at(&["secretRef", "name"]));
        let single = container.at(&["env"]).items().iter();
        whole.chain(single.map(|entry| entry.at(&["valueFrom", "secretKeyRef", "name"])))
    });
    volumes.chain(variables).map(Value::str_or_empty).filter(|name| !name.is_empty())
}
