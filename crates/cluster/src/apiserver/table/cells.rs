//! What stands in columns that are more than a field.
//!
//! Knows: one function for each such column, named after it.
//! Does not know: which kinds have the column.

use std::collections::BTreeSet;

use super::{Row, at, text};
use crate::object::Owner;
use crate::time;
use crate::value::Value;

/// `1/3` of two numbers.
fn of(row: &Row<'_>, have: &str, want: &str) -> Value {
    Value::from(format!("{}/{}", row.number(have), row.number(want)))
}

pub(super) fn ready_replicas(row: &Row<'_>) -> Value {
    of(row, "status.readyReplicas", "spec.replicas")
}

/// A Deployment's selector: nothing where others say `<none>`.
pub(super) fn bare_selector(row: &Row<'_>) -> Value {
    Value::from(text::selector(row.at("spec.selector")))
}

pub(super) fn job_status(row: &Row<'_>) -> Value {
    let is = |condition: &str| row.object.condition_is_true(condition);
    Value::from(match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if row.object.is_terminating() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () => "Running",
    })
}

pub(super) fn job_completions(row: &Row<'_>) -> Value {
    let done = row.number("status.succeeded");
    let parallel = row.number("spec.parallelism");
    Value::from(match row.at("spec.completions").as_int() {
        Some(wanted) => format!("{done}/{wanted}"),
        None if parallel > 1 => format!("{done}/1 of {parallel}"),
        None => format!("{done}/1"),
    })
}

pub(super) fn job_duration(row: &Row<'_>) -> Value {
    let Some(start) = row.object.time(&["status", "startTime"]) else { return Value::from("") };
    let end = row.object.time(&["status", "completionTime"]).unwrap_or(row.now);
    Value::from(text::human_duration(end.since(start)))
}

pub(super) fn cron_job_suspend(row: &Row<'_>) -> Value {
    Value::from(match row.at("spec.suspend").as_bool() {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    })
}

pub(super) fn cron_job_last_schedule(row: &Row<'_>) -> Value {
    let last = row.at("status.lastScheduleTime");
    Value::from(if last.is_null() { "<none>".to_owned() } else { text::age(last, row.now) })
}

pub(super) fn service_cluster_ip(row: &Row<'_>) -> Value {
    let first = row.at("spec.clusterIPs").items().first().map(Value::str_or_empty);
    Value::from(first.unwrap_or("<none>"))
}

pub(super) fn service_external_ip(row: &Row<'_>) -> Value {
    let own: Vec<&str> = row.at("spec.externalIPs").items().iter().map(Value::str_or_empty).collect();
    let or = |list: Vec<&str>, otherwise: &str| if list.is_empty() { otherwise.to_owned() } else { list.join(",") };
    Value::from(match row.text("spec.type") {
        "ClusterIP" | "NodePort" => or(own, "<none>"),
        "LoadBalancer" => {
            let given = load_balancer(row);
            or(given.into_iter().chain(own).collect(), "<pending>")
        }
        "ExternalName" => row.text("spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    })
}

/// Where a load balancer is reached, each address once.
fn load_balancer<'a>(row: &Row<'a>) -> BTreeSet<&'a str> {
    let ingress = row.at("status.loadBalancer.ingress").items().iter();
    ingress
        .map(|entry| text::first([at(entry, "ip").str_or_empty(), at(entry, "hostname").str_or_empty()]))
        .filter(|address| !address.is_empty())
        .collect()
}

pub(super) fn service_ports(row: &Row<'_>) -> Value {
    let ports: Vec<String> = row.at("spec.ports").items().iter().map(service_port).collect();
    Value::from(text::or(&ports.join(","), "<none>"))
}

fn service_port(port: &Value) -> String {
    let (number, protocol) = (at(port, "port"), at(port, "protocol").str_or_empty());
    match at(port, "nodePort").as_int() {
        Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
        _ => format!("{number}/{protocol}"),
    }
}

pub(super) fn ingress_hosts(row: &Row<'_>) -> Value {
    const SHOWN: usize = 3;
    let rules = row.at("spec.rules").items();
    let mut hosts: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= hosts.len() == SHOWN;
        let host = at(rule, "host").str_or_empty();
        if !more && !host.is_empty() {
            hosts.push(host);
        }
    }
    Value::from(match hosts.join(",") {
        hosts if hosts.is_empty() => "*".to_owned(),
        // The real printer counts rules here, with or without a host.
        hosts if more => format!("{hosts} + {} more...", rules.len().saturating_sub(SHOWN)),
        hosts => hosts,
    })
}

pub(super) fn ingress_address(row: &Row<'_>) -> Value {
    Value::from(load_balancer(row).into_iter().collect::<Vec<_>>().join(","))
}

pub(super) fn ingress_ports(row: &Row<'_>) -> Value {
    Value::from(if row.at("spec.tls").items().is_empty() { "80" } else { "80, 443" })
}

pub(super) fn ingress_class_parameters(row: &Row<'_>) -> Value {
    let parameters = row.at("spec.parameters");
    if parameters.is_null() {
        return Value::from("<none>");
    }
    let part = |key: &str| at(parameters, key).str_or_empty();
    let group = at(parameters, "apiGroup").as_str().map(|group| format!(".{group}")).unwrap_or_default();
    Value::from(format!("{}{group}/{}", part("kind"), part("name")))
}

pub(super) fn endpoints(row: &Row<'_>) -> Value {
    let mut list = Vec::new();
    let subsets = row.at("subsets").items();
    for subset in subsets {
        let addresses = || at(subset, "addresses").items().iter().map(|address| at(address, "ip").str_or_empty());
        let ports = at(subset, "ports").items();
        if ports.is_empty() {
            list.extend(addresses().map(str::to_owned));
        }
        for port in ports.iter().map(|port| at(port, "port")) {
            list.extend(
                addresses().map(|ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }),
            );
        }
    }
    Value::from(text::cut(&list, 3, if subsets.is_empty() { "<none>" } else { "" }))
}

pub(super) fn slice_ports(row: &Row<'_>) -> Value {
    let port = |port: &Value| match (at(port, "port").as_int(), at(port, "name").as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = row.at("ports").items().iter().map(port).collect();
    Value::from(text::cut(&ports, 3, "<unset>"))
}

pub(super) fn slice_endpoints(row: &Row<'_>) -> Value {
    let addresses = row.at("endpoints").items().iter().flat_map(|endpoint| at(endpoint, "addresses").items());
    let addresses: Vec<String> = addresses.map(|address| address.str_or_empty().to_owned()).collect();
    Value::from(text::cut(&addresses, 3, "<unset>"))
}

pub(super) fn node_status(row: &Row<'_>) -> Value {
    let mut status = match row.object.condition("Ready") {
        None => "Unknown",
        Some(ready) if at(ready, "status") == "True" => "Ready",
        Some(_) => "NotReady",
    }
    .to_owned();
    if row.at("spec.unschedulable").is_true() {
        status.push_str(",SchedulingDisabled");
    }
    Value::from(status)
}

pub(super) fn node_roles(row: &Row<'_>) -> Value {
    let labels = row.object.labels().entries().iter();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    Value::from(text::or(&roles.into_iter().collect::<Vec<_>>().join(","), "<none>"))
}

fn node_address(row: &Row<'_>, kind: &str) -> Value {
    let mut addresses = row.at("status.addresses").items().iter();
    let found = addresses.find(|address| *at(address, "type") == *kind);
    Value::from(found.map_or("<none>", |address| at(address, "address").str_or_empty()))
}

pub(super) fn node_internal_ip(row: &Row<'_>) -> Value {
    node_address(row, "InternalIP")
}

pub(super) fn node_external_ip(row: &Row<'_>) -> Value {
    node_address(row, "ExternalIP")
}

/// An Event's fields by the name that the core group gives them, or `events.k8s.io`: the same objects are served as both.
fn event<'a>(row: &Row<'a>, core: &str, new: &str) -> &'a Value {
    let found = row.at(core);
    if found.is_null() { row.at(new) } else { found }
}

fn event_first(row: &Row<'_>) -> String {
    let first = event(row, "firstTimestamp", "deprecatedFirstTimestamp");
    text::age(if first.is_null() { row.at("eventTime") } else { first }, row.now)
}

pub(super) fn event_last_seen(row: &Row<'_>) -> Value {
    let series = row.at("series");
    let last = event(row, "lastTimestamp", "deprecatedLastTimestamp");
    Value::from(match (series.is_null(), last.is_null()) {
        (false, _) => text::age(at(series, "lastObservedTime"), row.now),
        (true, false) => text::age(last, row.now),
        (true, true) => event_first(row),
    })
}

pub(super) fn event_first_seen(row: &Row<'_>) -> Value {
    Value::from(event_first(row))
}

pub(super) fn event_count(row: &Row<'_>) -> Value {
    let series = row.at("series");
    let count = if series.is_null() { event(row, "count", "deprecatedCount") } else { at(series, "count") };
    Value::from(match count.as_int().unwrap_or_default() {
        0 if series.is_null() => 1,
        count => count,
    })
}

pub(super) fn event_object(row: &Row<'_>) -> Value {
    let object = event(row, "involvedObject", "regarding");
    let kind = at(object, "kind").str_or_empty().to_lowercase();
    let name = at(object, "name").str_or_empty();
    Value::from(if name.is_empty() { kind } else { format!("{kind}/{name}") })
}

pub(super) fn event_subobject(row: &Row<'_>) -> Value {
    Value::from(at(event(row, "involvedObject", "regarding"), "fieldPath").str_or_empty())
}

pub(super) fn event_source(row: &Row<'_>) -> Value {
    let source = event(row, "source", "deprecatedSource");
    let reporter = event(row, "reportingComponent", "reportingController").str_or_empty();
    let component = text::first([at(source, "component").str_or_empty(), reporter]);
    let instance = text::first([at(source, "host").str_or_empty(), row.text("reportingInstance")]);
    Value::from(if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") })
}

pub(super) fn event_message(row: &Row<'_>) -> Value {
    Value::from(event(row, "message", "note").str_or_empty().trim())
}

/// The phase, unless it is being deleted.
pub(super) fn phase_or_terminating(row: &Row<'_>) -> Value {
    Value::from(if row.object.is_terminating() { "Terminating" } else { row.text("status.phase") })
}

pub(super) fn volume_capacity(row: &Row<'_>) -> Value {
    Value::from(text::quantity(row.at("spec.capacity.storage")))
}

pub(super) fn volume_access_modes(row: &Row<'_>) -> Value {
    Value::from(text::access_modes(row.at("spec.accessModes")))
}

pub(super) fn volume_claim(row: &Row<'_>) -> Value {
    let claim = row.at("spec.claimRef");
    let part = |key: &str| at(claim, key).str_or_empty();
    Value::from(if claim.is_null() { String::new() } else { format!("{}/{}", part("namespace"), part("name")) })
}

/// An annotation named the class before there was a field, and still goes first.
pub(super) fn storage_class(row: &Row<'_>) -> Value {
    let annotated = row.object.annotation("volume.beta.kubernetes.io/storage-class");
    Value::from(annotated.unwrap_or_else(|| row.text("spec.storageClassName")))
}

/// What a claim got, which it has only once it is bound.
fn once_bound(row: &Row<'_>, show: impl Fn() -> String) -> Value {
    Value::from(if row.text("spec.volumeName").is_empty() { String::new() } else { show() })
}

pub(super) fn claim_capacity(row: &Row<'_>) -> Value {
    once_bound(row, || text::quantity(row.at("status.capacity.storage")))
}

pub(super) fn claim_access_modes(row: &Row<'_>) -> Value {
    once_bound(row, || text::access_modes(row.at("status.accessModes")))
}

/// The name, and whether this class is the default one.
fn class_name(row: &Row<'_>, annotations: &[&str]) -> Value {
    let default = annotations.iter().any(|annotation| row.object.annotation(annotation) == Some("true"));
    Value::from(format!("{}{}", row.object.name(), if default { " (default)" } else { "" }))
}

pub(super) fn storage_class_name(row: &Row<'_>) -> Value {
    class_name(
        row,
        &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"],
    )
}

pub(super) fn attributes_class_name(row: &Row<'_>) -> Value {
    class_name(row, &["volumeattributesclass.alpha.kubernetes.io/is-default-class"])
}

pub(super) fn config_map_data(row: &Row<'_>) -> Value {
    Value::from(row.at("data").entries().len().saturating_add(row.at("binaryData").entries().len()))
}

pub(super) fn binding_role(row: &Row<'_>) -> Value {
    Value::from(format!("{}/{}", row.text("roleRef.kind"), row.text("roleRef.name")))
}

/// The subjects of one kind in a role binding.
fn subjects(row: &Row<'_>, kind: &str) -> Value {
    let of_kind = row.at("subjects").items().iter().filter(|subject| *at(subject, "kind") == *kind);
    let names = of_kind.map(|subject| {
        let name = at(subject, "name").str_or_empty();
        if kind == "ServiceAccount" {
            format!("{}/{name}", at(subject, "namespace").str_or_empty())
        } else {
            name.to_owned()
        }
    });
    Value::from(names.collect::<Vec<_>>().join(", "))
}

pub(super) fn binding_users(row: &Row<'_>) -> Value {
    subjects(row, "User")
}

pub(super) fn binding_groups(row: &Row<'_>) -> Value {
    subjects(row, "Group")
}

pub(super) fn binding_service_accounts(row: &Row<'_>) -> Value {
    subjects(row, "ServiceAccount")
}

pub(super) fn request_duration(row: &Row<'_>) -> Value {
    let seconds = row.at("spec.expirationSeconds").as_int().and_then(|seconds| u64::try_from(seconds).ok());
    let duration = seconds.map(|seconds| text::human_duration(std::time::Duration::from_secs(seconds)));
    Value::from(duration.unwrap_or_else(|| "<none>".to_owned()))
}

pub(super) fn request_condition(row: &Row<'_>) -> Value {
    let has = |condition: &str| row.object.condition(condition).is_some();
    let mut status = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !row.at("status.certificate").is_empty() {
        status.push_str(",Issued");
    }
    Value::from(status)
}

/// The condition `Healthy` of a component, and what a column shows of it.
fn component(row: &Row<'_>, show: impl Fn(&Value) -> String, otherwise: &str) -> Value {
    let mut conditions = row.at("conditions").items().iter();
    let healthy = conditions.find(|condition| at(condition, "type") == "Healthy");
    Value::from(healthy.map_or_else(|| otherwise.to_owned(), show))
}

pub(super) fn component_status(row: &Row<'_>) -> Value {
    let word = |healthy: &Value| if at(healthy, "status") == "True" { "Healthy" } else { "Unhealthy" }.to_owned();
    component(row, word, "Unknown")
}

pub(super) fn component_message(row: &Row<'_>) -> Value {
    component(row, |healthy| at(healthy, "message").str_or_empty().to_owned(), "")
}

pub(super) fn component_error(row: &Row<'_>) -> Value {
    component(row, |healthy| at(healthy, "error").str_or_empty().to_owned(), "")
}

pub(super) fn revision_controller(row: &Row<'_>) -> Value {
    let named = |owner: Owner<'_>| {
        let group = owner.api_version().split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
        format!("{}{}/{}", owner.kind().to_lowercase(), group.to_lowercase(), owner.name())
    };
    Value::from(row.object.controller().map_or_else(|| "<none>".to_owned(), named))
}

/// What a quota has used of what it allows, of limits or of all else.
fn quota(row: &Row<'_>, limits: bool) -> Value {
    let used = row.at("status.used");
    let hard = row.at("status.hard").entries().iter();
    let of_kind = hard.filter(|(resource, _)| resource.starts_with("limits.") == limits);
    let shown = of_kind.map(|(resource, hard)| {
        let used = used.get(resource).unwrap_or(&Value::Null);
        format!("{resource}: {}/{}", text::quantity(used), text::quantity(hard))
    });
    Value::from(shown.collect::<Vec<_>>().join(", "))
}

pub(super) fn quota_request(row: &Row<'_>) -> Value {
    quota(row, false)
}

pub(super) fn quota_limit(row: &Row<'_>) -> Value {
    quota(row, true)
}

pub(super) fn driver_token_requests(row: &Row<'_>) -> Value {
    let requests = row.at("spec.tokenRequests");
    if requests.is_null() {
        return Value::from("<unset>");
    }
    let audiences = requests.items().iter().map(|request| at(request, "audience").str_or_empty());
    Value::from(audiences.collect::<Vec<_>>().join(","))
}

pub(super) fn driver_modes(row: &Row<'_>) -> Value {
    let modes: Vec<&str> = row.at("spec.volumeLifecycleModes").items().iter().map(Value::str_or_empty).collect();
    Value::from(text::or(&modes.join(","), "<none>"))
}

pub(super) fn param_kind(row: &Row<'_>) -> Value {
    let kind = row.at("spec.paramKind");
    let part = |key: &str| at(kind, key).str_or_empty();
    Value::from(if kind.is_null() { "<unset>".to_owned() } else { format!("{}/{}", part("apiVersion"), part("kind")) })
}

pub(super) fn param_ref(row: &Row<'_>) -> Value {
    let param = row.at("spec.paramRef");
    let (name, selector) = (at(param, "name").str_or_empty(), at(param, "selector"));
    Value::from(match at(param, "namespace").str_or_empty() {
        // Whether the parameter lives in namespaces at all cannot be told from here.
        "" if !name.is_empty() => format!("*/{name}"),
        namespace if !name.is_empty() => format!("{namespace}/{name}"),
        _ if selector.is_null() => "<unset>".to_owned(),
        _ => go_selector(selector),
    })
}

/// A label selector as Go prints the struct, which is what the real table shows.
fn go_selector(selector: &Value) -> String {
    let labels: String = at(selector, "matchLabels")
        .entries()
        .iter()
        .map(|(key, value)| format!("{key}: {},", value.str_or_empty()))
        .collect();
    let expressions: String = at(selector, "matchExpressions")
        .items()
        .iter()
        .map(|expression| {
            let values: Vec<&str> = at(expression, "values").items().iter().map(Value::str_or_empty).collect();
            let part = |key: &str| at(expression, key).str_or_empty();
            let values = values.join(" ");
            format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", part("key"), part("operator"))
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

pub(super) fn flow_missing(row: &Row<'_>) -> Value {
    let dangling = row.object.condition("Dangling");
    Value::from(dangling.map_or("?", |condition| at(condition, "status").str_or_empty()))
}

/// A number of a limited priority level, if it is there.
fn level(row: &Row<'_>, path: &str) -> Value {
    row.at(path).as_int().map_or_else(|| Value::from("<none>"), Value::from)
}

pub(super) fn level_shares(row: &Row<'_>) -> Value {
    level(row, "spec.limited.nominalConcurrencyShares")
}

pub(super) fn level_queues(row: &Row<'_>) -> Value {
    level(row, "spec.limited.limitResponse.queuing.queues")
}

pub(super) fn level_hand_size(row: &Row<'_>) -> Value {
    level(row, "spec.limited.limitResponse.queuing.handSize")
}

pub(super) fn level_queue_length(row: &Row<'_>) -> Value {
    level(row, "spec.limited.limitResponse.queuing.queueLengthLimit")
}

pub(super) fn claim_state(row: &Row<'_>) -> Value {
    let allocated = !row.at("status.allocation").is_null();
    let words = [
        ("deleted", row.object.is_terminating()),
        ("pending", !allocated && !row.object.is_terminating()),
        ("allocated", allocated),
        ("reserved", allocated && !row.at("status.reservedFor").items().is_empty()),
    ];
    Value::from(words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect::<Vec<_>>().join(","))
}

pub(super) fn cidrs(row: &Row<'_>) -> Value {
    let cidrs = row.at("spec.cidrs").items().iter().map(Value::str_or_empty);
    Value::from(cidrs.collect::<Vec<_>>().join(","))
}

pub(super) fn address_parent(row: &Row<'_>) -> Value {
    let parent = row.at("spec.parentRef");
    if parent.is_null() {
        return Value::from("<none>");
    }
    let part = |key: &str| at(parent, key).str_or_empty();
    let resource = crate::apiserver::status::join(part("resource"), part("group")).to_lowercase();
    let parts = [resource.as_str(), part("namespace"), part("name")];
    Value::from(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
}

pub(super) fn api_service(row: &Row<'_>) -> Value {
    let service = row.at("spec.service");
    let part = |key: &str| at(service, key).str_or_empty();
    Value::from(if service.is_null() { "Local".to_owned() } else { format!("{}/{}", part("namespace"), part("name")) })
}

pub(super) fn api_service_available(row: &Row<'_>) -> Value {
    Value::from(match row.object.condition("Available") {
        None => "Unknown".to_owned(),
        Some(condition) if at(condition, "status") == "True" => "True".to_owned(),
        Some(condition) => {
            format!("{} ({})", at(condition, "status").str_or_empty(), at(condition, "reason").str_or_empty())
        }
    })
}

/// When it was made, as a time; the default table shows it so.
pub(super) fn created_at(row: &Row<'_>) -> Value {
    Value::from(row.object.created().map(time::format))
}
