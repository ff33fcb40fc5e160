//! What stands in the way of keeping things as they are: of replacing, draining, renewing, deleting and scaling.
//!
//! Knows: budgets without slack, finalizers that nobody takes off, what is rewritten and no longer can be, floors of
//! autoscalers, and what the API server would say to the next pod of a workload.
//! Does not know: when any of that will be needed. It always is.

use std::collections::BTreeSet;

use cluster::apiserver::{self, Call, Options, Output, Subject, User, Verb};
use cluster::quantity::Quantity;
use cluster::{Cluster, ObjectKey, Value};
use model::{Decimal, Forecast, Hazard, HazardKind, ObjectRef};

use super::Run;
use super::ledger::{Ledger, Net, reference};
use super::load::said as load;
use super::templates;

const BUDGETS: &str = "poddisruptionbudgets.policy";
const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";

/// Fills in what can no longer be kept up.
pub(super) fn read(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.of(BUDGETS) {
        without_slack(key, net, forecast);
    }
    for (key, net) in ledger.of(AUTOSCALERS) {
        floors(ledger, key, net, forecast);
    }
    for (key, net) in ledger.net() {
        finalizers(run, ledger, key, net, forecast);
        if matches!(key.resource.as_str(), "configmaps" | "secrets") {
            frozen(ledger, key, net, forecast);
        }
    }
    for namespace in judged_anew(ledger) {
        next_pods(ledger, namespace, forecast);
    }
}

fn warn(forecast: &mut Forecast, kind: HazardKind, object: ObjectRef, because: String) {
    forecast.hazards.insert(Hazard { kind, object, because, sure: true });
}

/// A budget that allows nothing even when every pod is well lets no node be drained.
fn without_slack(key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let slack = |budget: &Value| {
        let number = |field| budget.at(&["status", field]).as_int().unwrap_or(0);
        (number("expectedPods") > 0).then(|| number("expectedPods") - number("desiredHealthy"))
    };
    let Some(after) = net.after.filter(|after| !after.is_terminating()) else { return };
    let had = net.before.and_then(slack);
    if slack(after).is_some_and(|slack| slack <= 0) && had.is_none_or(|slack| slack > 0) {
        let pods = after.at(&["status", "expectedPods"]).as_int().unwrap_or(0);
        let because = format!("it lets none of its {pods} pods go, so that no drain of their nodes would end");
        warn(forecast, HazardKind::BlocksMaintenance, reference(key, after), because);
    }
}

/// A floor or a ceiling below what the load needs lets the autoscaler go there.
fn floors(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(after) = net.after.filter(|after| !after.is_terminating()) else { return };
    let floor = |scaler: &Value| scaler.at(&["spec", "minReplicas"]).as_int().unwrap_or(1);
    let ceiling = |scaler: &Value| scaler.at(&["spec", "maxReplicas"]).as_int().unwrap_or(i64::MAX);
    let scaled = scaled_by(ledger.before, key, after);
    // Without an autoscaler, what the workload asks for is floor and ceiling at once.
    let asked = scaled.as_ref().map_or(0, |(_, workload)| workload.at(&["spec", "replicas"]).as_int().unwrap_or(1));
    let (min, max) = net.before.map_or((asked, asked), |before| (floor(before), ceiling(before)));
    if floor(after) >= min && ceiling(after) >= max {
        return;
    }
    let needs = scaled.and_then(|(workload, object)| {
        let template = templates::template(&workload.resource, object)?;
        let services = ledger.before.selecting("services", &key.namespace, template.labels());
        services
            .filter_map(|(service, object)| {
                Some((endpoints_needed(ledger.before, object)?, reference(service, object)))
            })
            .max()
    });
    let shown = reference(key, after);
    match needs {
        Some((need, service)) => {
            if floor(after) < need.min(min) {
                let because = format!("it may go down to {} replicas, and {service} needs {need}", floor(after));
                warn(forecast, HazardKind::FloorLowered, shown.clone(), because);
            }
            if ceiling(after) < need.min(max) {
                let because = format!("it stops at {} replicas, and {service} needs {need}", ceiling(after));
                warn(forecast, HazardKind::FloorLowered, shown, because);
            }
        }
        // Nobody knows the load: to halve a floor is to bet on it.
        None if net.before.is_some() && floor(after).saturating_mul(2) < min => {
            let because = format!("it may go down to {} replicas, where {min} were kept", floor(after));
            warn(forecast, HazardKind::FloorLowered, shown, because);
        }
        None => {}
    }
}

fn scaled_by<'a>(cluster: &'a Cluster, key: &ObjectKey, scaler: &Value) -> Option<(ObjectKey, &'a Value)> {
    let target = scaler.at(&["spec", "scaleTargetRef"]);
    let resource = match target.at(&["kind"]).str_or_empty() {
        "Deployment" => "deployments.apps",
        "StatefulSet" => "statefulsets.apps",
        "ReplicaSet" => "replicasets.apps",
        _ => return None,
    };
    let workload = key.beside(resource, target.at(&["name"]).str_or_empty());
    let object = cluster.get(&workload)?;
    Some((workload, object))
}

/// How many endpoints a Service's load needs, as far as it is known.
fn endpoints_needed(cluster: &Cluster, service: &Value) -> Option<i64> {
    let load = load(cluster, service)?;
    let (gets, each) = (load.requests_per_second.high(), load.capacity_per_endpoint.low());
    if each <= Decimal::ZERO || load.capacity_per_endpoint.high() == Decimal::MOST {
        return None;
    }
    let micros = |number: Decimal| u64::try_from(number.micros()).unwrap_or(0);
    i64::try_from(micros(gets.over(each)).div_ceil(micros(Decimal::ONE))).ok()
}

/// A finalizer keeps its object until whoever owns it takes it off. One that nobody owns keeps it for ever; one that is
/// taken off by hand no longer protects.
fn finalizers(run: &Run<'_>, ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let set = |object: Option<&Value>| -> BTreeSet<String> {
        object.into_iter().flat_map(Value::finalizers).map(str::to_owned).collect()
    };
    let (had, has) = (set(net.before), set(net.after));
    if had == has && !net.begins_to_terminate() {
        return;
    }
    if let Some(after) = net.after {
        for finalizer in has.iter().filter(|finalizer| !had.contains(*finalizer) || net.begins_to_terminate()) {
            if is_builtin(finalizer) || owner_of(ledger.after, finalizer).is_some() {
                continue;
            }
            let because = format!("nothing that runs here takes off its finalizer {finalizer}");
            let kind = if after.is_terminating() { HazardKind::NeverCompletes } else { HazardKind::CannotChange };
            warn(forecast, kind, reference(key, after), because);
        }
    }
    let Some(before) = net.before.filter(|_| run.named.contains(key)) else { return };
    // Controllers take theirs off when their work is done, which is not then.
    let by_hand = net.after.is_some_and(|after| !after.is_terminating()) || before.is_terminating();
    let told_to_go = net.is_deletion() && !before.is_terminating();
    for finalizer in had.difference(&has).filter(|_| by_hand && !told_to_go) {
        if is_builtin(finalizer) || owner_of(ledger.before, finalizer).is_some() {
            forecast.guards_removed.sure.insert(reference(key, before));
        }
    }
}

/// Finalizers of the control plane itself have no domain, or one of its own.
fn is_builtin(finalizer: &str) -> bool {
    let domain = finalizer.split('/').next().unwrap_or_default();
    matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes")
        || domain == "kubernetes.io"
        || domain.ends_with(".kubernetes.io")
        || domain.ends_with(".k8s.io")
}

/// What runs and speaks of a finalizer or of its domain.
fn owner_of(cluster: &Cluster, finalizer: &str) -> Option<ObjectRef> {
    let domain = finalizer.split('/').next().unwrap_or(finalizer);
    // `issuers.cert-manager.io` belongs to whatever speaks of `cert-manager.io`, or is called `cert-manager`.
    let mut names: Vec<&str> = vec![finalizer, domain];
    names.extend(domain.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.')));
    let mine = |_: &ObjectKey, object: &Value, template: &Value| {
        let spoken = templates::words(template.at(&["spec"])).any(|word| names.iter().any(|name| word.contains(name)));
        let marked = [object.labels(), object.at(&["metadata", "annotations"])]
            .into_iter()
            .flat_map(Value::entries)
            .any(|(key, value)| names.iter().any(|name| key.contains(name) || value.str_or_empty().contains(name)));
        // A project's controllers are called after its domain: `cert-manager` of `cert-manager.io`.
        let called = names.iter().skip(1).filter_map(|name| name.split('.').next()).any(|first| {
            let generic = matches!(first, "example" | "internal" | "company" | "corp" | "www");
            !generic && templates::says(object.name(), first)
        });
        templates::is_alive(object) && (spoken || marked || called)
    };
    templates::workloads(cluster, None)
        .find(|(key, object, template)| mine(key, object, template))
        .map(|(key, object, _)| reference(key, object))
}

/// What somebody rewrites and may not be rewritten any more.
fn frozen(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    if before.at(&["immutable"]).is_true() || !after.at(&["immutable"]).is_true() {
        return;
    }
    if let Some(writer) = writer_of(ledger.before, key, before) {
        let because = format!("{writer} rewrites it, and could no longer");
        warn(forecast, HazardKind::CannotChange, reference(key, after), because);
    }
}

/// Whoever keeps an object's content: its controller, what its annotations name, a custom resource that names it as its
/// output, a workload that is told its name, or who may write it by name.
fn writer_of(cluster: &Cluster, key: &ObjectKey, object: &Value) -> Option<String> {
    if let Some(owner) = object.owners().next() {
        return Some(format!("{}/{}/{}", owner.kind(), key.namespace, owner.name()));
    }
    let notes: Vec<&str> =
        object.at(&["metadata", "annotations"]).entries().iter().map(|(_, value)| value.str_or_empty()).collect();
    for (owner, workload, template) in templates::workloads(cluster, Some(&key.namespace)) {
        let noted = notes.iter().any(|note| templates::says(note, &owner.name));
        let told = templates::words(template.at(&["spec"])).any(|word| templates::says(word, &key.name));
        if noted || told {
            return Some(reference(owner, workload).to_string());
        }
    }
    for (role, rules) in cluster.list("roles.rbac.authorization.k8s.io", Some(&key.namespace)) {
        let writes = rules.at(&["rules"]).items().iter().any(|rule| {
            let lists = |field: &str, wanted: &[&str]| {
                rule.at(&[field]).items().iter().any(|entry| wanted.contains(&entry.str_or_empty()))
            };
            lists("resourceNames", &[&key.name])
                && lists("verbs", &["update", "patch", "*"])
                && lists("resources", &[&key.resource, "*"])
        });
        if writes {
            return Some(format!("whoever {} is given to", reference(role, rules)));
        }
    }
    custom_writer(cluster, key)
}

/// A custom resource that names a Secret or ConfigMap of its namespace as what it makes: a Certificate, an ExternalSecret, a
/// sealed one of the same name.
fn custom_writer(cluster: &Cluster, key: &ObjectKey) -> Option<String> {
    let definitions = cluster.list("customresourcedefinitions.apiextensions.k8s.io", None);
    definitions.flat_map(|(definition, _)| cluster.list(&definition.name, Some(&key.namespace))).find_map(
        |(own, object)| {
            let outputs: [&[&str]; 4] = [
                &["spec", "secretName"],
                &["spec", "target", "name"],
                &["spec", "secretTemplate", "metadata", "name"],
                &["spec", "destination", "name"],
            ];
            let makes = outputs.iter().any(|path| *object.at(path) == *key.name)
                || (object.kind().ends_with("Secret") && own.name == key.name && key.is("secrets"));
            makes.then(|| reference(own, object).to_string())
        },
    )
}

/// The namespaces in which the API server would judge new pods otherwise than before.
fn judged_anew<'a>(ledger: &Ledger<'a>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (key, net) in ledger.net() {
        let spec = |object: Option<&Value>| object.map(|object| object.at(&["spec"]).clone());
        match key.resource.as_str() {
            "limitranges" if spec(net.before) != spec(net.after) => {
                found.insert(key.namespace.as_str());
            }
            "resourcequotas" if spec(net.before) != spec(net.after) => {
                found.insert(key.namespace.as_str());
            }
            "namespaces" if net.before.map(Value::labels) != net.after.map(Value::labels) => {
                found.insert(key.name.as_str());
            }
            _ => {}
        }
    }
    found
}

/// What would be said to the next pod of each workload, compared with before.
fn next_pods(ledger: &Ledger<'_>, namespace: &str, forecast: &mut Forecast) {
    let gone = |namespace: &Value| namespace.is_terminating();
    if ledger.after.get(&ObjectKey::new("namespaces", "", namespace)).is_none_or(gone) {
        return;
    }
    for (key, object, template) in templates::workloads(ledger.after, Some(namespace)) {
        // A pod that nobody keeps has no next one.
        if key.is("pods") || asks_for_nothing(object) {
            continue;
        }
        let Some(refusal) = refusal(ledger.after, key, template) else { continue };
        if refusal_before(ledger.before, key).is_none() {
            let because = format!("its next pod would be refused: {refusal}");
            warn(forecast, HazardKind::CannotStart, reference(key, object), because);
        }
    }
}

fn asks_for_nothing(object: &Value) -> bool {
    object.at(&["spec", "replicas"]).as_int() == Some(0) || object.at(&["spec", "suspend"]).is_true()
}

fn refusal_before(cluster: &Cluster, key: &ObjectKey) -> Option<String> {
    let object = cluster.get(key)?;
    refusal(cluster, key, templates::template(&key.resource, object)?)
}

/// What the API server would answer to a replacement of one of a workload's pods, if it would refuse it.
///
/// The lost pod no longer counts when its like is made, so it fits a quota exactly if the quota is not overdrawn.
pub(crate) fn refusal(cluster: &Cluster, key: &ObjectKey, template: &Value) -> Option<String> {
    let mut fork = cluster.clone();
    let quotas: Vec<(ObjectKey, Value)> = cluster
        .list("resourcequotas", Some(&key.namespace))
        .map(|(quota, object)| (quota.clone(), object.clone()))
        .collect();
    for (quota, mut object) in quotas {
        if let Some(name) = overdrawn(&object) {
            return Some(format!("{} has less {name} than is used", reference(&quota, &object)));
        }
        let nothing: Vec<String> =
            object.at(&["status", "used"]).entries().iter().map(|(name, _)| name.to_string()).collect();
        for name in nothing {
            object.set(&["status", "used", &name], "0");
        }
        fork.write(&quota, Some(object));
    }
    let mut pod = Value::default();
    pod.set(&["apiVersion"], "v1");
    pod.set(&["kind"], "Pod");
    pod.set(&["metadata", "name"], "next");
    pod.set(&["metadata", "namespace"], key.namespace.as_str());
    pod.set(&["metadata", "labels"], template.labels().clone());
    pod.set(&["metadata", "annotations"], template.at(&["metadata", "annotations"]).clone());
    pod.set(&["spec"], template.at(&["spec"]).clone());
    let on = Subject {
        version: "v1".into(),
        resource: "pods".into(),
        namespace: key.namespace.clone(),
        ..Subject::default()
    };
    let call = Call {
        verb: Verb::Create,
        on,
        options: Options { dry_run: true, ..Options::default() },
        body: pod,
        faults: Vec::new(),
        output: Output::default(),
        user_agent: String::new(),
        impersonate: None,
    };
    apiserver::handle(&mut fork, &call, &User::admin()).err().map(|status| status.message)
}

/// What of a quota that pods draw on has been used beyond its limit.
fn overdrawn(quota: &Value) -> Option<&str> {
    let of_pods = |name: &str| {
        matches!(name, "pods" | "count/pods" | "cpu" | "memory" | "ephemeral-storage")
            || (name.starts_with("requests.") && name != "requests.storage")
            || name.starts_with("limits.")
    };
    let used = |name: &str| Quantity::or_zero(quota.at(&["status", "used", name]));
    let mut limits = quota.at(&["spec", "hard"]).entries().iter();
    limits.find(|(name, limit)| of_pods(name) && used(name) > Quantity::or_zero(limit)).map(|(name, _)| name.as_str())
}
