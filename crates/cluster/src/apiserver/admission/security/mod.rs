//! `PodSecurity`: the Pod Security Standards that a namespace enforces, or warns of.
//!
//! Knows: what a namespace's labels ask for, and which writes are held to it.
//! Does not know: what the standards say of a pod, which `checks` does.
//!
//! | file | does |
//! |---|---|
//! | `checks` | what the standards check of a pod, version by version |

mod checks;

use std::collections::BTreeMap;

use super::Write;
use crate::apiserver::Status;
use crate::apiserver::status::Cause;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::Value;

/// How strict a standard is, the laxest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A level as some version of Kubernetes understood it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standard {
    level: Level,
    /// The `x` of `v1.x`; none for the latest.
    minor: Option<u32>,
}

impl std::fmt::Display for Standard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.minor {
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.as_str()),
            None => write!(f, "{}:latest", self.level.as_str()),
        }
    }
}

impl Standard {
    /// Why a pod breaks it, in one sentence; nothing if it does not.
    fn violation(self, pod: &Value) -> Option<String> {
        let faults = self.faults(pod);
        let shown: Vec<String> = faults.iter().map(|fault| format!("{} ({})", fault.reason, fault.detail)).collect();
        (!shown.is_empty()).then(|| format!("\"{self}\": {}", shown.join(", ")))
    }

    fn faults(self, pod: &Value) -> Vec<checks::Fault> {
        checks::faults(self, pod.at(&["spec"]), pod.at(&["metadata", "annotations"]))
    }
}

/// What a namespace asks of the pods in it.
struct Policy {
    enforce: Standard,
    warn: Standard,
    /// What is wrong with the labels that say so.
    causes: Vec<Cause>,
}

impl Policy {
    fn of(namespace: &Value) -> Self {
        let mut causes = Vec::new();
        let mut read = |mode: &str| -> (Option<Option<Level>>, Option<Option<u32>>) {
            let mut wrong = |label: &str, value: &str, why: &str| {
                causes.push(Cause::invalid(format!("metadata.labels[{label}]"), value, why));
            };
            let label = format!("pod-security.kubernetes.io/{mode}");
            let level = namespace.label(&label).map(|text| {
                let level = Level::parse(text);
                if level.is_none() {
                    wrong(&label, text, "must be one of privileged, baseline, restricted");
                }
                level
            });
            let label = format!("{label}-version");
            let version = namespace.label(&label).map(|text| {
                version(text).unwrap_or_else(|| {
                    wrong(&label, text, "must be \"latest\" or \"v1.x\"");
                    None
                })
            });
            (level, version)
        };
        let (enforced, enforced_version) = read("enforce");
        // There is no audit log here, but a label may be wrong.
        read("audit");
        let (warned, warned_version) = read("warn");
        // Where what is enforced cannot be read, the strictest is; of what cannot be read nobody is warned.
        let level = enforced.map_or(Level::Privileged, |level| level.unwrap_or(Level::Restricted));
        let enforce = Standard { level, minor: enforced_version.flatten() };
        let mut warn =
            Standard { level: warned.flatten().unwrap_or(Level::Privileged), minor: warned_version.flatten() };
        // Who only says what is enforced wants to hear of it early.
        if let (None, Some(Some(level))) = (warned, enforced)
            && level > warn.level
        {
            warn.level = level;
            if warned_version.is_none() {
                warn.minor = enforce.minor;
            }
        }
        Self { enforce, warn, causes }
    }
}

/// `latest` is no number; none if it is no version at all.
fn version(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let minor = text.strip_prefix("v1.")?;
    let plain = minor.chars().all(|c| c.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
    minor.parse().ok().filter(|_| plain).map(Some)
}

/// Refuses a pod that breaks the standard that its namespace enforces, and labels that say no standard. Tells the writer
/// what they are to be warned of.
pub(super) fn check(cluster: &Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    let subresource = write.writer.subresource.as_str();
    match write.key.resource.as_str() {
        "namespaces" if subresource.is_empty() => return check_namespace(cluster, write, object),
        "pods" if write.old.is_none_or(|old| is_significant(object, old)) => {}
        resource if template(resource).is_some() && subresource.is_empty() => {}
        _ => return Ok(()),
    }
    let Some(namespace) = cluster.get(&ObjectKey::new("namespaces", "", write.key.namespace.clone())) else {
        return Ok(());
    };
    let policy = Policy::of(namespace);
    let pod = match template(&write.key.resource) {
        Some(path) => object.at(path),
        None => {
            if let Some(violation) = policy.enforce.violation(object) {
                return Err(write.forbidden(&format!("violates PodSecurity {violation}")));
            }
            object
        }
    };
    if let Some(violation) = policy.warn.violation(pod) {
        write.warn(format!("would violate PodSecurity {violation}"));
    }
    Ok(())
}

/// Where a workload keeps what its pods will be.
fn template(resource: &str) -> Option<&'static [&'static str]> {
    match resource {
        "podtemplates" => Some(&["template"]),
        "deployments.apps"
        | "replicasets.apps"
        | "statefulsets.apps"
        | "daemonsets.apps"
        | "jobs.batch"
        | "replicationcontrollers" => Some(&["spec", "template"]),
        "cronjobs.batch" => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

/// Whether a change of a pod could change what the standards say of it.
fn is_significant(pod: &Value, old: &Value) -> bool {
    let list = |pod: &Value, name: &str| pod.at(&["spec", name]).items().to_vec();
    let images = |pod: &Value, name: &str| -> Vec<Value> {
        list(pod, name).iter().map(|container| container.at(&["image"]).clone()).collect()
    };
    let known = list(old, "ephemeralContainers");
    ["containers", "initContainers"].iter().any(|name| images(pod, name) != images(old, name))
        || list(pod, "ephemeralContainers").iter().any(|container| {
            let same = |old: &&Value| old.at(&["name"]) == container.at(&["name"]);
            known.iter().find(same).is_none_or(|old| old.at(&["image"]) != container.at(&["image"]))
        })
}

/// A namespace's labels name standards, and whoever enforces a stricter one is told which pods are there that break it.
fn check_namespace(cluster: &Cluster, write: Write<'_>, namespace: &Value) -> Result<(), Status> {
    let policy = Policy::of(namespace);
    let before = write.old.map(Policy::of);
    let changed = before.as_ref().is_none_or(|before| before.causes != policy.causes);
    if !policy.causes.is_empty() && changed {
        return Err(Status::invalid("", "Namespace", &write.key.name, &policy.causes));
    }
    let Some(before) = before else { return Ok(()) };
    let (new, old) = (policy.enforce, before.enforce);
    let relaxed = new.minor == old.minor && new.level <= old.level;
    if new != old && new.level != Level::Privileged && !relaxed {
        for warning in violations_in(cluster, &write.key.name, new) {
            write.warn(warning);
        }
    }
    Ok(())
}

/// What is to be said of the pods in a namespace: those with the same faults are told of together.
fn violations_in(cluster: &Cluster, namespace: &str, standard: Standard) -> Vec<String> {
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (key, pod) in cluster.list("pods", Some(namespace)) {
        let reasons: Vec<String> = standard.faults(pod).into_iter().map(|fault| fault.reason).collect();
        if !reasons.is_empty() {
            found.entry(reasons.join(", ")).or_insert_with(|| (key.name.to_string(), 0)).1 += 1;
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> = found
        .into_iter()
        .map(|(reasons, (first, count))| match count {
            1 => format!("{first}: {reasons}"),
            2 => format!("{first} (and 1 other pod): {reasons}"),
            _ => format!("{first} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    lines.sort();
    let head =
        format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\"");
    lines.insert(0, head);
    lines
}
