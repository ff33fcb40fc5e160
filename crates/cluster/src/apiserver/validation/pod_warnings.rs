//! What is not wrong with a pod, or with those that a template would make, but does not do what it seems to.
//!
//! Knows: `GetWarningsForPod` and `GetWarningsForPodTemplate`.
//! Does not know: whether anything is wrong.

use std::collections::BTreeMap;

use super::faults::At;
use super::internal;
use super::names;
use super::warnings::{Warnings, claim, old_label};
use crate::quantity::Quantity;
use crate::value::Value;

const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A pod or a template.
pub(super) fn of(at: &At<'_>, template: bool, warnings: &mut Warnings) {
    let spec = at.field("spec");
    let annotations = at.down(&["metadata", "annotations"]);
    for (key, place) in spec.field("nodeSelector").entries() {
        if let Some(what) = old_label(key) {
            warnings.at(&place, what);
        }
    }
    let affinity = spec.field("affinity");
    let node = affinity.field("nodeAffinity");
    for term in node.down(&["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]).items() {
        node_term(&term, false, warnings);
    }
    for term in node.field("preferredDuringSchedulingIgnoredDuringExecution").items() {
        node_term(&term.field("preference"), true, warnings);
    }
    for constraint in spec.field("topologySpreadConstraints").items() {
        let key = constraint.field("topologyKey");
        if let Some(what) = old_label(key.text()) {
            warnings.at(&key, &format!("{} is {what}", key.text()));
        }
        if constraint.field("labelSelector").is_absent() {
            warnings.at(&constraint.field("labelSelector"), NO_SELECTOR);
        }
    }
    old_annotations(&annotations, warnings);
    for volume in spec.field("volumes").items() {
        of_volume(&volume, warnings);
    }
    overlaps(spec.field("volumes").value, warnings);
    repeated(&spec.field("hostAliases"), "ip", warnings);
    repeated(&spec.field("imagePullSecrets"), "name", warnings);
    for secret in spec.field("imagePullSecrets").items() {
        if secret.field("name").text().is_empty() {
            warnings.at(&secret.field("name"), "invalid empty name \"\"");
        }
    }
    for resource in ["memory", "ephemeral-storage"] {
        fraction(&spec.field("overhead").key(resource), warnings);
    }
    let context = spec.field("securityContext");
    let old = annotations.key(SECCOMP_POD);
    if context.field("seccompProfile").is_absent() && !old.is_absent() {
        warnings.at(&old, OLD_SECCOMP);
    }
    for container in internal::containers(&spec) {
        of_container(&container, &annotations, template, &context, warnings);
    }
    ports(&spec, warnings);
    let grace = spec.field("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds < 0) {
        warnings.at(&grace, "must be >= 0; negative values are invalid and will be treated as 1");
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.field(kind);
        for term in pods.field("requiredDuringSchedulingIgnoredDuringExecution").items() {
            unselective(&term, warnings);
        }
        for term in pods.field("preferredDuringSchedulingIgnoredDuringExecution").items() {
            unselective(&term.field("podAffinityTerm"), warnings);
        }
    }
    spec.down(&["dnsConfig", "nameservers"]).items().for_each(|address| warnings.address(&address));
    spec.field("hostAliases").items().for_each(|alias| warnings.address(&alias.field("ip")));
}

const OLD_SECCOMP: &str = r#"non-functional in v1.27+; use the "seccompProfile" field instead"#;

fn unselective(term: &At<'_>, warnings: &mut Warnings) {
    if term.field("labelSelector").is_absent() {
        warnings.at(&term.field("labelSelector"), NO_SELECTOR);
    }
}

/// What a node is like.
pub(super) fn node_term(term: &At<'_>, values: bool, warnings: &mut Warnings) {
    for expression in term.field("matchExpressions").items() {
        let key = expression.field("key");
        if let Some(what) = old_label(key.text()) {
            warnings.at(&key, &format!("{} is {what}", key.text()));
        }
        for value in expression.field("values").items().filter(|_| values) {
            for why in names::label_value(value.text()) {
                warnings.at(&value, &format!("{} is invalid, {why}", value.text()));
            }
        }
    }
}

fn old_annotations(annotations: &At<'_>, warnings: &mut Warnings) {
    const SYSCTLS: &str = r#"non-functional in v1.11+; use the "sysctls" field instead"#;
    for (key, what) in [
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            r#"non-functional in v1.16+; use the "priorityClassName" field instead"#,
        ),
        ("security.alpha.kubernetes.io/sysctls", SYSCTLS),
        ("security.alpha.kubernetes.io/unsafe-sysctls", SYSCTLS),
    ] {
        if !annotations.key(key).is_absent() {
            warnings.at(&annotations.key(key), what);
        }
    }
}

/// Types of volumes that have had their day.
pub(super) fn old_types(volume: &At<'_>, types: &[&str], warnings: &mut Warnings) {
    for kind in types {
        if volume.field(kind).is_absent() {
            continue;
        }
        let (since, until) = match *kind {
            "photonPersistentDisk" => ("1.11", "1.16"),
            "scaleIO" => ("1.16", "1.22"),
            "flocker" | "storageos" | "quobyte" => ("1.22", "1.25"),
            "glusterfs" => ("1.25", "1.26"),
            "cephfs" | "rbd" => ("1.28", "1.31"),
            _ => {
                warnings.at(&volume.field(kind), "deprecated in v1.11, and disabled by default in v1.33+");
                continue;
            }
        };
        let place = if *kind == "storageos" { "storageOS" } else { kind };
        let what = format!("deprecated in v{since}, non-functional in v{until}+");
        warnings.at(&volume.named(place, &Value::Null), &what);
    }
}

fn of_volume(volume: &At<'_>, warnings: &mut Warnings) {
    old_types(
        volume,
        &["photonPersistentDisk", "gitRepo", "scaleIO", "flocker", "storageos", "quobyte", "glusterfs"],
        warnings,
    );
    let template = volume.down(&["ephemeral", "volumeClaimTemplate"]);
    if !template.is_absent() {
        claim(&template.field("spec"), warnings);
    }
    old_types(volume, &["cephfs", "rbd"], warnings);
}

/// The same thing twice in a list.
fn repeated(list: &At<'_>, field: &str, warnings: &mut Warnings) {
    let mut known: Vec<&str> = Vec::new();
    for item in list.items() {
        let name = item.field(field);
        if known.contains(&name.text()) {
            warnings.at(&name, &format!("duplicate {field} {:?}", name.text()));
        }
        known.push(name.text());
    }
}

/// There is no part of a byte.
pub(super) fn fraction(amount: &At<'_>, warnings: &mut Warnings) {
    let Some(read) = Quantity::of(amount.value) else { return };
    if read.as_milli() % 1000 != 0 {
        warnings.at(amount, &format!("fractional byte value {:?} is invalid, must be an integer", read.to_string()));
    }
}

fn of_container(at: &At<'_>, annotations: &At<'_>, template: bool, pod: &At<'_>, warnings: &mut Warnings) {
    let context = at.field("securityContext");
    let named = |prefix: &str| annotations.key(&format!("{prefix}{}", at.field("name").text()));
    if context.field("seccompProfile").is_absent() && !named(SECCOMP).is_absent() {
        warnings.at(&named(SECCOMP), OLD_SECCOMP);
    }
    let armored = [&context, pod].iter().any(|context| !context.field("appArmorProfile").is_absent());
    if template && !armored && !named(APP_ARMOR).is_absent() {
        warnings.at(&named(APP_ARMOR), r#"deprecated since v1.30; use the "appArmorProfile" field instead"#);
    }
    for resource in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            fraction(&at.down(&["resources", list]).key(resource), warnings);
        }
    }
    let mut known: Vec<&str> = Vec::new();
    for variable in at.field("env").items() {
        let name = variable.field("name").text();
        if !known.contains(&name) {
            known.push(name);
            continue;
        }
        // One that is made from the one that it hides does not hide it.
        let (value, own) = (variable.field("value").text(), format!("$({name})"));
        if !variable.field("valueFrom").is_absent() || value == own || !value.contains(&own) {
            let what = format!("hides previous definition of {name:?}, which may be dropped when using apply");
            warnings.at(&variable, &what);
        }
    }
}

fn ports(spec: &At<'_>, warnings: &mut Warnings) {
    let all: Vec<At<'_>> =
        internal::containers(spec).flat_map(|one| one.field("ports").items().collect::<Vec<_>>()).collect();
    for (index, port) in all.iter().enumerate() {
        let number = |port: &At<'_>, field: &str| port.field(field).number().unwrap_or(0);
        let (address, host) = (port.field("hostIP").text(), number(port, "hostPort"));
        if !address.is_empty() && host == 0 {
            let text = |field: &str| port.field(field).text().to_owned();
            warnings.at(
                port,
                &format!(
                    "hostIP set without hostPort: {{Name:{} HostPort:{host} ContainerPort:{} Protocol:{} HostIP:{address}}}",
                    text("name"),
                    number(port, "containerPort"),
                    text("protocol"),
                ),
            );
        }
        let alike = |other: &&At<'_>| {
            number(other, "containerPort") == number(port, "containerPort")
                && other.field("protocol").text() == port.field("protocol").text()
        };
        for other in all.iter().take(index).filter(alike) {
            let (its_address, its_host) = (other.field("hostIP").text(), number(other, "hostPort"));
            let what = if its_address == address && its_host == host {
                "duplicate"
            } else if its_host == 0 || host == 0 {
                "overlapping"
            } else if its_host == host && its_address.is_empty() != address.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            warnings.at(port, &format!("{what} port definition with {}", other.path()));
        }
    }
    let mut named: BTreeMap<&str, &At<'_>> = BTreeMap::new();
    for port in &all {
        let name = port.field("name").text();
        if name.is_empty() {
            continue;
        }
        match named.get(name) {
            Some(first) => {
                let first = first.path();
                let what = format!(
                    "duplicate port name {name:?} with {first}, services and probes that select ports by name will use {first}"
                );
                warnings.at(port, &what);
            }
            None => {
                named.insert(name, port);
            }
        }
    }
}

/// A file, and which source of its volume it comes from.
#[derive(Clone, PartialEq)]
struct File {
    path: String,
    source: String,
}

impl File {
    fn shown(&self) -> String {
        if self.source.is_empty() { format!("{:?}", self.path) } else { format!("{:?} ({})", self.path, self.source) }
    }
}

/// Files that are in each other's way.
fn overlaps(volumes: &Value, warnings: &mut Warnings) {
    for volume in volumes.items() {
        let name = volume.at(&["name"]).str_or_empty();
        let named = |kind: &str, value: &Value, field: &str| format!("{kind} {:?}", value.at(&[field]).str_or_empty());
        let plain = [
            ("configMap", named("ConfigMap", volume.at(&["configMap"]), "name")),
            ("secret", named("Secret", volume.at(&["secret"]), "secretName")),
            ("downwardAPI", "DownwardAPI".to_owned()),
        ];
        for (kind, what) in plain {
            among(name, &what, files(volume.at(&[kind, "items"]), ""), warnings);
        }
        let mut all = Vec::new();
        for source in volume.at(&["projected", "sources"]).items() {
            if source.entries().is_empty() {
                warnings.all.push(format!("volume {name:?} (Projected) has no sources provided"));
            }
            for (kind, it) in source.entries() {
                all.extend(match kind.as_str() {
                    "configMap" => files(it.at(&["items"]), &named("ConfigMap", it, "name")),
                    "secret" => files(it.at(&["items"]), &named("Secret", it, "name")),
                    "downwardAPI" => files(it.at(&["items"]), "DownwardAPI"),
                    "serviceAccountToken" => file(it, "path", "ServiceAccountToken"),
                    "clusterTrustBundle" => {
                        let field = if it.at(&["name"]).is_null() { "signerName" } else { "name" };
                        file(it, "path", &named("ClusterTrustBundle", it, field))
                    }
                    "podCertificate" => [
                        ("certificateChainPath", "PodCertificate chain"),
                        ("keyPath", "PodCertificate key"),
                        ("credentialBundlePath", "PodCertificate credential bundle"),
                    ]
                    .into_iter()
                    .flat_map(|(field, what)| file(it, field, what))
                    .filter(|file| !file.path.is_empty())
                    .collect(),
                    _ => Vec::new(),
                });
            }
        }
        among(name, "Projected", all, warnings);
    }
}

fn file(source: &Value, field: &str, what: &str) -> Vec<File> {
    let path = source.at(&[field]).str_or_empty().trim_end_matches('/').to_owned();
    vec![File { path, source: what.to_owned() }]
}

fn files(items: &Value, what: &str) -> Vec<File> {
    items.items().iter().flat_map(|item| file(item, "path", what)).collect()
}

fn among(volume: &str, what: &str, files: Vec<File>, warnings: &mut Warnings) {
    let within = |inner: &File, outer: &File| format!("{}/", inner.path).starts_with(&format!("{}/", outer.path));
    for (index, file) in files.iter().enumerate().filter(|(_, file)| !file.path.is_empty()) {
        for other in files.iter().take(index).filter(|other| !other.path.is_empty()) {
            if within(file, other) || within(other, file) {
                let (file, other) = (file.shown(), other.shown());
                warnings.all.push(format!("volume {volume:?} ({what}): overlapping paths: {file} with {other}"));
            }
        }
    }
}
