//! What the words of a workload, or of what looks after it, will come to.
//!
//! Knows: probes, limits, requests, owners, autoscalers, schedules, and what was done by a version that is left again.
//! Does not know: what a program really needs, or what it answers.

use std::collections::BTreeSet;

use cluster::quantity::Quantity;
use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, Hazard, HazardKind, ObjectRef};

use super::Run;
use super::ledger::{Ledger, Net, meaning, reference};
use super::load::said as load;
use super::{templates, warn};

const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";
const WORKLOADS: &[&str] = &["deployments.apps", "statefulsets.apps", "daemonsets.apps"];

/// Words that say that the form of stored data is changed.
const RESHAPES: &[&str] = &["migrat", "alter table", "drop column", "rename column", "schema"];

/// Programs that make a copy of what would otherwise exist once.
const COPIES: &[&str] = &[
    "pg_dump",
    "pg_dumpall",
    "pg_basebackup",
    "mysqldump",
    "mongodump",
    "restic",
    "velero",
    "wal-g",
    "pgbackrest",
    "barman",
    "etcdctl snapshot",
    "borg",
    "kopia",
    "xtrabackup",
    "mariabackup",
];

/// Fills in the dangers that lie in what is written.
pub(super) fn read(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.net() {
        if let (Some(before), Some(after)) = (net.before, net.after)
            && !net.is_deletion()
            && !after.is_terminating()
            && let Some(old) = templates::template(&key.resource, before)
            && let Some(new) = templates::template(&key.resource, after)
            && before.controller().is_none()
        {
            if old.at(&["spec"]) != new.at(&["spec"]) {
                let shown = reference(key, after);
                probes(ledger, key, old, new, &shown, forecast);
                limits(old, new, &shown, forecast);
                first_to_go(ledger, key, old, new, &shown, forecast);
                goes_back(ledger, key, before, new, &shown, forecast);
            }
            paused(key, before, after, forecast);
        }
        if WORKLOADS.contains(&key.resource.as_str()) || key.is("replicasets.apps") {
            orphaned(ledger, key, net, forecast);
        }
    }
    for (key, net) in ledger.net().filter(|(key, _)| key.is("configmaps") || key.is("secrets")) {
        keys_removed(ledger, key, net, forecast);
    }
    for (key, net) in ledger.of("secrets") {
        held_in_memory(ledger, key, net, forecast);
    }
    for (key, net) in ledger.of("pods").filter(|(key, _)| run.named.contains(*key)) {
        joined(ledger, key, net, forecast);
    }
    for (key, net) in ledger.net().filter(|(key, _)| run.named.contains(*key) && !key.is("secrets")) {
        confided(key, net, forecast);
    }
    for (key, net) in ledger.of(AUTOSCALERS) {
        unscaled(ledger, key, net, forecast);
    }
    for (key, net) in ledger.of("cronjobs.batch") {
        schedules(key, net, forecast);
    }
    asked_to_change(run, ledger, forecast);
    believed(run, ledger, forecast);
    by_default(ledger, forecast);
    queues(ledger, forecast);
}

/// A probe that asks for something else: whoever answers the new question is not known, unless another probe asks it too.
fn probes(ledger: &Ledger<'_>, key: &ObjectKey, old: &Value, new: &Value, object: &ObjectRef, forecast: &mut Forecast) {
    let question = |probe: &Value| {
        let mut asked = probe.clone();
        for field in [
            "initialDelaySeconds",
            "periodSeconds",
            "timeoutSeconds",
            "successThreshold",
            "failureThreshold",
            "terminationGracePeriodSeconds",
        ] {
            asked.remove(&[field]);
        }
        asked
    };
    const PROBES: [&str; 3] = ["readinessProbe", "livenessProbe", "startupProbe"];
    for container in templates::containers(new.at(&["spec"])) {
        let name = container.at(&["name"]);
        let Some(was) = templates::containers(old.at(&["spec"])).find(|one| one.at(&["name"]) == name) else {
            continue;
        };
        let known: Vec<Value> = PROBES.iter().filter_map(|probe| was.get(probe)).map(question).collect();
        for kind in PROBES {
            let (Some(probe), before) = (container.get(kind), was.get(kind)) else { continue };
            let asks = question(probe);
            if before.map(question).as_ref() == Some(&asks) {
                continue;
            }
            if let Some(other) = asks_others(ledger.after, key, new, &asks) {
                let because = format!("its {kind} asks {other}: if that fails, all of its pods do");
                warn(forecast, HazardKind::Hollow, object.clone(), because);
            } else if before.is_some() && !known.contains(&asks) {
                let because = format!("its {kind} asks for what it was not seen to answer");
                forecast.hazards.insert(Hazard {
                    kind: HazardKind::CannotStart,
                    object: object.clone(),
                    because,
                    sure: false,
                });
            }
        }
    }
}

/// Whom a probe asks, if not the pod itself.
fn asks_others(cluster: &Cluster, key: &ObjectKey, template: &Value, probe: &Value) -> Option<String> {
    let host = ["httpGet", "tcpSocket"].into_iter().map(|way| probe.at(&[way, "host"]).str_or_empty());
    let own = |host: &str| host.is_empty() || host == "localhost" || host.starts_with("127.") || host == "::1";
    if let Some(host) = host.into_iter().find(|host| !own(host)) {
        return Some(host.to_owned());
    }
    let words: Vec<&str> = probe.at(&["exec", "command"]).items().iter().map(Value::str_or_empty).collect();
    let (_, found) = cluster.list("services", Some(&key.namespace)).find_map(|(service, object)| {
        let selector = object.at(&["spec", "selector"]);
        let mine = !selector.is_empty() && cluster::labels::matches_map(selector, template.labels());
        // The name as a host: after an option, in an address, or by itself; not as the name of a program.
        let named = words.iter().skip(1).any(|word| templates::says(word, &service.name));
        (named && !mine).then(|| (service, reference(service, object)))
    })?;
    Some(found.to_string())
}

/// Less at the most than it asked for as its ordinary need.
fn limits(old: &Value, new: &Value, object: &ObjectRef, forecast: &mut Forecast) {
    for container in templates::containers(new.at(&["spec"])) {
        let name = container.at(&["name"]);
        let Some(was) = templates::containers(old.at(&["spec"])).find(|one| one.at(&["name"]) == name) else {
            continue;
        };
        for (what, comes) in [("cpu", "is slowed down"), ("memory", "is killed")] {
            let amount = |of: &Value, field| Quantity::or_zero(of.at(&["resources", field, what]));
            let zero = Quantity::default();
            let (asked, had, has) = (amount(was, "requests"), amount(was, "limits"), amount(container, "limits"));
            let lowered = has > zero && (had == zero || has < had);
            if lowered && asked > zero && has < asked {
                let because = format!(
                    "it asked for {} of {what} and would get {} at the most, at which it {comes}",
                    was.at(&["resources", "requests", what]).str_or_empty(),
                    container.at(&["resources", "limits", what]).str_or_empty()
                );
                forecast.hazards.insert(Hazard {
                    kind: HazardKind::Hollow,
                    object: object.clone(),
                    because,
                    sure: false,
                });
            }
        }
    }
}

/// Who asks for nothing is thrown out before everybody else when its machine runs short.
fn first_to_go(
    ledger: &Ledger<'_>,
    key: &ObjectKey,
    old: &Value,
    new: &Value,
    object: &ObjectRef,
    forecast: &mut Forecast,
) {
    let asks = |template: &Value| {
        templates::containers(template.at(&["spec"])).any(|container| {
            ["requests", "limits"].iter().any(|field| !container.at(&["resources", field]).entries().is_empty())
        })
    };
    let missed =
        key.is("statefulsets.apps") || templates::services_of(ledger.after, &key.namespace, new).next().is_some();
    if missed && asks(old) && !asks(new) {
        let because =
            "it would ask for nothing, and be the first to be thrown out where a machine runs short".to_owned();
        warn(forecast, HazardKind::Unguarded, object.clone(), because);
    }
}

/// Back to an image that ran before, although a later one has changed what is stored meanwhile.
fn goes_back(
    ledger: &Ledger<'_>,
    key: &ObjectKey,
    before: &Value,
    new: &Value,
    object: &ObjectRef,
    forecast: &mut Forecast,
) {
    let images = |template: &Value| -> BTreeSet<String> {
        let containers = templates::containers(template.at(&["spec"]));
        containers.map(|container| container.at(&["image"]).str_or_empty().to_owned()).collect()
    };
    let repository = |image: &str| image.rsplit_once(':').map_or(image, |(repository, _)| repository).to_owned();
    let Some(old) = templates::template(&key.resource, before) else { return };
    let (left, taken) = (images(old), images(new));
    if left == taken {
        return;
    }
    let revisions: Vec<&Value> = ledger
        .before
        .list("replicasets.apps", Some(&key.namespace))
        .filter(|(_, set)| set.controller().is_some_and(|owner| owner.uid() == before.uid()))
        .map(|(_, set)| set)
        .collect();
    let of = |wanted: &BTreeSet<String>| revisions.iter().find(|set| images(set.at(&["spec", "template"])) == *wanted);
    let (Some(_), Some(current)) = (of(&taken), of(&left)) else { return };
    let since = current.created();
    let job = ledger.before.list("jobs.batch", Some(&key.namespace)).find(|(_, job)| {
        let template = job.at(&["spec", "template"]);
        let said: Vec<&str> = templates::words(template.at(&["spec"])).chain([job.name()]).collect();
        let reshapes = said.iter().any(|word| RESHAPES.iter().any(|sign| word.to_ascii_lowercase().contains(sign)));
        let kin = images(template).iter().any(|image| left.iter().any(|one| repository(one) == repository(image)));
        // Whatever ran with the version that is left or after it, and not with the one that is gone back to.
        let later = job.created() >= since
            || images(template).iter().any(|image| left.contains(image) && !taken.contains(image));
        reshapes && kin && later && !job.condition_is_true("Failed")
    });
    if let Some((own, job)) = job {
        let because =
            format!("it goes back to a version from before {}, which changed what is stored", reference(own, job));
        warn(forecast, HazardKind::Hollow, object.clone(), because);
    }
}

/// A rollout that is stopped half way leaves two versions side by side for as long as nobody remembers it.
fn paused(key: &ObjectKey, before: &Value, after: &Value, forecast: &mut Forecast) {
    let is = |object: &Value| object.at(&["spec", "paused"]).is_true();
    if is(before) || !is(after) {
        return;
    }
    let count = |field| before.at(&["status", field]).as_int().unwrap_or(0);
    let wanted = before.at(&["spec", "replicas"]).as_int().unwrap_or(1);
    if count("updatedReplicas") < wanted || count("replicas") > count("updatedReplicas") {
        let because = format!("it is stopped with {} of {wanted} replicas updated", count("updatedReplicas"));
        warn(forecast, HazardKind::NeverCompletes, reference(key, after), because);
    }
}

/// What looked after pods that stay.
fn orphaned(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(before) = net.before.filter(|before| net.is_deletion() && before.controller().is_none()) else { return };
    let Some(template) = templates::template(&key.resource, before) else { return };
    let stays = ["pods", "replicasets.apps"].into_iter().any(|resource| {
        ledger.of(resource).any(|(_, net)| {
            let (Some(was), Some(is)) = (net.before, net.after) else { return false };
            was.controller().is_some_and(|owner| owner.uid() == before.uid())
                && !is.is_terminating()
                && is.controller().is_none()
        })
    });
    let calls = templates::services_of(ledger.after, &key.namespace, template).next();
    if let (true, Some((service, object))) = (stays, calls) {
        let because =
            format!("its pods stay behind {}, and nobody would change or replace them", reference(service, object));
        warn(forecast, HazardKind::Unguarded, reference(key, before), because);
    }
}

/// Nothing follows the load any more.
fn unscaled(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(before) = net.before.filter(|_| net.is_deletion()) else { return };
    let target = before.at(&["spec", "scaleTargetRef"]);
    let others = ledger.after.list(AUTOSCALERS, Some(&key.namespace));
    if others.into_iter().any(|(_, other)| other.at(&["spec", "scaleTargetRef"]) == target) {
        return;
    }
    let kind = target.at(&["kind"]).str_or_empty();
    let scaled = templates::workloads(ledger.after, Some(&key.namespace)).find(|(_, object, _)| {
        object.kind() == kind
            && *target.at(&["name"]) == *object.name()
            && object.at(&["spec", "replicas"]).as_int() != Some(0)
    });
    let Some((own, object, template)) = scaled else { return };
    let busy = templates::services_of(ledger.after, &key.namespace, template).find(|(_, service)| {
        load(ledger.after, service).is_none_or(|load| load.requests_per_second.high() > model::Decimal::ZERO)
    });
    if let Some((service, shown)) = busy {
        let because = format!(
            "{} would stay as it is, whatever {} is asked for",
            reference(own, object),
            reference(service, shown)
        );
        warn(forecast, HazardKind::FloorLowered, reference(key, before), because);
    }
}

/// Runs that no longer wait for each other, and copies that are no longer made.
fn schedules(key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(before) = net.before else { return };
    let after = net.after.filter(|_| !(net.is_deletion() || net.begins_to_terminate()));
    let one_at_a_time =
        |job: &Value| matches!(job.at(&["spec", "concurrencyPolicy"]).str_or_empty(), "Forbid" | "Replace");
    if after.is_some_and(|after| one_at_a_time(before) && !one_at_a_time(after)) {
        forecast.guards_removed.sure.insert(reference(key, before));
    }
    let runs = |job: &Value| !job.at(&["spec", "suspend"]).is_true();
    let spec = before.at(&["spec", "jobTemplate", "spec", "template", "spec"]);
    let copies = templates::words(spec).find_map(|word| {
        let program = word.rsplit('/').next().unwrap_or(word);
        COPIES.iter().find(|copier| templates::says(word, copier) || program == **copier)
    });
    if let Some(program) = copies.filter(|_| runs(before) && !after.is_some_and(runs)) {
        let because = format!("{program} would make no more copies of what it copies");
        warn(forecast, HazardKind::DataLostLater, reference(key, before), because);
    }
}

/// What kubelets say of pods and machines, said by somebody else: controllers believe it, and act on it.
fn believed(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let said = |object: &Value| -> Vec<Value> {
        let condition = |kind| object.condition(kind).map(|one| one.at(&["status"]).clone()).unwrap_or_default();
        let field = |name| object.at(&["status", name]).clone();
        vec![condition("Ready"), condition("ContainersReady"), field("phase"), field("allocatable"), field("capacity")]
    };
    for key in run.named.iter().filter(|key| key.is("pods") || key.is("nodes")) {
        let Some(change) = ledger.changes.iter().find(|change| change.key == *key) else { continue };
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        if said(before) != said(after) && meaning(before) == meaning(after) {
            let because = "what its kubelet says of it would be said by somebody else, and believed".to_owned();
            warn(forecast, HazardKind::Misrouted, reference(key, after), because);
        }
    }
}

/// What everybody gets who does not say what they want.
fn by_default(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    let classes = |cluster: &Cluster| -> Vec<String> {
        let all = cluster.list("storageclasses.storage.k8s.io", None);
        all.filter(|(_, class)| class.annotation(DEFAULT) == Some("true"))
            .map(|(key, _)| key.name.to_string())
            .collect()
    };
    for (key, net) in ledger.of("storageclasses.storage.k8s.io") {
        let (was, is) = (classes(ledger.before), classes(ledger.after));
        if !was.is_empty()
            && was != is
            && let Some(class) = net.after.or(net.before)
        {
            let now = if is.is_empty() { "none".into() } else { is.join(" or ") };
            let because = format!("claims that name no class would get {now}, not {}", was.join(" or "));
            warn(forecast, HazardKind::CannotStart, reference(key, class), because);
        }
    }
    for (key, net) in ledger.of("priorityclasses.scheduling.k8s.io") {
        let everybodys = |class: &Value| class.at(&["globalDefault"]).is_true();
        let news = net.after.filter(|after| everybodys(after) && !net.before.is_some_and(everybodys));
        let Some(after) = news else { continue };
        if after.at(&["preemptionPolicy"]) != "Never" && after.at(&["value"]).as_int().unwrap_or(0) > 0 {
            let because = "whatever is made from now on could throw out what runs now".to_owned();
            warn(forecast, HazardKind::Unguarded, reference(key, after), because);
        }
    }
}

/// Single entries that the next pod cannot start without.
fn keys_removed(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    let has =
        |object: &Value, name: &str| ["data", "binaryData"].iter().any(|part| object.at(&[part]).get(name).is_some());
    let parts = ["data", "binaryData"].into_iter().flat_map(|part| before.at(&[part]).entries());
    let gone: BTreeSet<&str> = parts.map(|(name, _)| name.as_str()).filter(|name| !has(after, name)).collect();
    if gone.is_empty() || net.is_deletion() {
        return;
    }
    let (single, volume, whose) = if key.is("secrets") {
        ("secretKeyRef", "secret", "secretName")
    } else {
        ("configMapKeyRef", "configMap", "name")
    };
    for (owner, object, template) in templates::workloads(ledger.after, Some(&key.namespace)) {
        let spec = template.at(&["spec"]);
        let entries = templates::containers(spec).flat_map(|container| container.at(&["env"]).items());
        let references = entries.map(|entry| entry.at(&["valueFrom", single]));
        let wanted =
            references.filter(|source| *source.at(&["name"]) == *key.name && !source.at(&["optional"]).is_true());
        let volumes = spec.at(&["volumes"]).items().iter().map(|one| one.at(&[volume]));
        let files = volumes
            .filter(|source| *source.at(&[whose]) == *key.name && !source.at(&["optional"]).is_true())
            .flat_map(|source| source.at(&["items"]).items());
        let missed =
            wanted.chain(files).map(|source| source.at(&["key"]).str_or_empty()).find(|name| gone.contains(name));
        if let Some(name) = missed {
            let because = format!("its pods need {name} of {}, which is taken out", reference(key, before));
            warn(forecast, HazardKind::CannotStart, reference(owner, object), because);
        }
    }
}

/// Values of a Secret that running programs were given when they started, and that nobody gives them anew.
fn held_in_memory(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    if net.is_deletion() || before.at(&["data"]) == after.at(&["data"]) {
        return;
    }
    let changed =
        |name: &str| before.at(&["data"]).get(name).is_some_and(|old| after.at(&["data"]).get(name) != Some(old));
    for (owner, object, template) in templates::workloads(ledger.after, Some(&key.namespace)) {
        if !matches!(owner.resource.as_str(), "deployments.apps" | "statefulsets.apps" | "daemonsets.apps" | "pods")
            || !templates::is_alive(object)
        {
            continue;
        }
        let mut containers = templates::containers(template.at(&["spec"]));
        let holds = containers.any(|container| {
            let whole =
                container.at(&["envFrom"]).items().iter().any(|from| *from.at(&["secretRef", "name"]) == *key.name);
            let any = before.at(&["data"]).entries().iter().any(|(name, _)| changed(name));
            let single = container.at(&["env"]).items().iter().any(|entry| {
                let source = entry.at(&["valueFrom", "secretKeyRef"]);
                *source.at(&["name"]) == *key.name && changed(source.at(&["key"]).str_or_empty())
            });
            (whole && any) || single
        });
        // Whoever asked to be restarted with what it reads says so in a note (`reloader.…`, `checksum/…` is somebody's tool).
        let notes = [object, template].into_iter().flat_map(|one| one.at(&["metadata", "annotations"]).entries());
        let reloads =
            notes.into_iter().any(|(note, said)| note.as_str().contains("reload") && said.str_or_empty() != "false");
        if holds && !reloads {
            let because =
                format!("its pods were given {} when they started, and keep what it was", reference(key, before));
            warn(forecast, HazardKind::Hollow, reference(owner, object), because);
        }
    }
}

/// A container that joins a running pod: it shares what the others hold, and stays until the pod goes.
fn joined(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    let had = before.at(&["spec", "ephemeralContainers"]).items();
    let host = |image: &str| image.split_once('/').map_or("", |(host, _)| host).to_owned();
    for container in after.at(&["spec", "ephemeralContainers"]).items().iter().filter(|one| !had.contains(one)) {
        let image = container.at(&["image"]).str_or_empty();
        let known = ledger.before.list("pods", None).any(|(_, pod)| {
            templates::containers(pod.at(&["spec"])).any(|one| host(one.at(&["image"]).str_or_empty()) == host(image))
        });
        let serves = templates::services_of(ledger.after, &key.namespace, after).next().is_some();
        let member = after.controller().is_some_and(|owner| owner.kind() == "StatefulSet");
        if !known || serves || member {
            let because = format!("{image} would run within it, with all that it holds");
            warn(forecast, HazardKind::Leaks, reference(key, after), because);
        }
    }
}

/// Something that its own name calls a secret, where everybody reads.
fn confided(key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(after) = net.after else { return };
    let entries = |object: &Value| -> Vec<(String, String)> {
        let maps = [&["data"][..], &["metadata", "annotations"], &["metadata", "labels"]];
        let written = maps
            .into_iter()
            .filter(|path| path.len() > 1 || key.is("configmaps"))
            .flat_map(|path| object.at(path).entries());
        let mut found: Vec<(String, String)> =
            written.map(|(name, value)| (name.to_string(), value.str_or_empty().to_owned())).collect();
        let variables = templates::template(&key.resource, object).into_iter().flat_map(|template| {
            templates::containers(template.at(&["spec"])).flat_map(|container| container.at(&["env"]).items())
        });
        found.extend(variables.map(|entry| {
            (entry.at(&["name"]).str_or_empty().to_owned(), entry.at(&["value"]).str_or_empty().to_owned())
        }));
        found
    };
    let had: BTreeSet<(String, String)> = net.before.map(entries).unwrap_or_default().into_iter().collect();
    if let Some((name, _)) =
        entries(after).into_iter().find(|entry| !had.contains(entry) && is_confidential(&entry.0, &entry.1))
    {
        let because = format!("its {name} would be readable to everybody who may read it");
        forecast.hazards.insert(Hazard {
            kind: HazardKind::Leaks,
            object: reference(key, after),
            because,
            sure: false,
        });
    }
}

/// Whether a value looks like what its name says it is: a password, and not the name of one, or for how long it is good.
fn is_confidential(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let secret = [
        "password",
        "passwd",
        "secret_key",
        "api_key",
        "apikey",
        "private_key",
        "access_token",
        "auth_token",
        "client_secret",
    ]
    .iter()
    .any(|word| name.ends_with(word));
    let opaque = value.len() >= 8 && !value.contains([' ', '/', '$', '{']) && value.parse::<f64>().is_err();
    value.contains("PRIVATE KEY-----") || (secret && opaque)
}

/// What a request only changes, and what is gone in consequence: by an owner that is not there, or by its own time.
fn asked_to_change(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.net().filter(|(key, _)| run.named.contains(key)) {
        let Some(before) = net.before.filter(|_| net.is_deletion() || net.begins_to_terminate()) else { continue };
        let first = ledger.changes.iter().find(|change| change.key == *key).and_then(|change| change.after.as_ref());
        // Whatever was on its way out, or is sent there by the request itself, was meant to go. An eviction writes first why.
        let meant = before.is_terminating()
            || first.is_none_or(|first| first.is_terminating() || meaning(first) == meaning(before));
        if !meant {
            let because = "it is asked to be changed, and would be deleted in consequence".to_owned();
            warn(forecast, HazardKind::DataLostLater, reference(key, before), because);
        }
    }
}

/// Pods of a Job that wait for room: until they have it, whatever else needs some waits behind them.
fn queues(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let mut waiting: BTreeSet<&ObjectKey> = BTreeSet::new();
    let mut whose: Option<ObjectRef> = None;
    for change in
        ledger.changes.iter().filter(|change| change.key.is("pods") && ledger.before.get(&change.key).is_none())
    {
        let Some(pod) = &change.after else { continue };
        let yields = pod.at(&["spec", "priority"]).as_int().is_some_and(|priority| priority < 0);
        let waits = pod.condition("PodScheduled").is_some_and(|condition| condition.at(&["status"]) == "False");
        if waits && !yields && pod.controller().is_some_and(|owner| owner.kind() == "Job") {
            waiting.insert(&change.key);
            whose.get_or_insert_with(|| templates::root(ledger.after, &change.key, pod));
        }
    }
    if let Some(object) = whose {
        let because = format!("{} of its pods would wait for room, and others behind them", waiting.len());
        warn(forecast, HazardKind::Stampede, object, because);
    }
}
