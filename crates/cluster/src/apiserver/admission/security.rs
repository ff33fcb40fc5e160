//! `PodSecurity`: the Pod Security Standards that a namespace enforces, or warns of.
//!
//! Knows: the checks of the levels baseline and restricted, in the words of `k8s.io/pod-security-admission/policy`.
//! Does not know: the older versions of the standards; a version only shows in the message.

use super::Write;
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::Value;

/// What a check found: in short, and where.
struct Fault {
    reason: String,
    detail: String,
}

fn fault(reason: &str, detail: impl Into<String>) -> Option<Fault> {
    Some(Fault { reason: reason.to_owned(), detail: detail.into() })
}

/// A check of a pod, in the order of its identifier.
type Check = fn(&Pod<'_>) -> Option<Fault>;

/// What both levels check.
const COMMON: &[Check] = &[
    app_armor,
    capabilities,
    host_namespaces,
    host_path,
    host_ports,
    privileged,
    proc_mount,
    se_linux,
    seccomp,
    sysctls,
    host_process,
];

/// What restricted checks besides.
const RESTRICTED: &[Check] =
    &[privilege_escalation, restricted_capabilities, volume_types, non_root, root_user, seccomp_profile];

/// What restricted checks more strictly than baseline does, and so says once.
const OVERRIDDEN: &[Check] = &[capabilities, host_path, seccomp];

/// Refuses a pod that breaks the standard that its namespace enforces.
pub(super) fn check(cluster: &Cluster, write: Write<'_>, pod: &Value) -> Result<(), Status> {
    if !write.is_create() {
        return Ok(());
    }
    match violation(cluster, write.key, "enforce", pod.at(&["spec"]), pod) {
        Some(violation) => Err(write.forbidden(&format!("violates PodSecurity {violation}"))),
        None => Ok(()),
    }
}

/// What a namespace warns of: a pod, or a workload whose pods would be of the kind.
pub(super) fn warning(cluster: &Cluster, write: Write<'_>, object: &Value) -> Option<String> {
    let template: &[&str] = match write.key.resource.as_str() {
        "pods" => &[],
        "podtemplates" => &["template"],
        "deployments.apps"
        | "replicasets.apps"
        | "statefulsets.apps"
        | "daemonsets.apps"
        | "jobs.batch"
        | "replicationcontrollers" => &["spec", "template"],
        "cronjobs.batch" => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    };
    let pod = object.at(template);
    let violation = violation(cluster, write.key, "warn", pod.at(&["spec"]), pod)?;
    Some(format!("would violate PodSecurity {violation}"))
}

/// The standard and how it is broken, if the namespace has one in this mode and it is broken.
fn violation(cluster: &Cluster, key: &ObjectKey, mode: &str, spec: &Value, pod: &Value) -> Option<String> {
    let namespace = cluster.get(&ObjectKey::new("namespaces", "", key.namespace.clone()))?;
    let label = |suffix: &str| namespace.label(&format!("pod-security.kubernetes.io/{mode}{suffix}"));
    let level = label("")?;
    let version = label("-version").unwrap_or("latest");
    let pod = Pod { spec, annotations: pod.at(&["metadata", "annotations"]) };
    let checks: Vec<Check> = match level {
        "baseline" => COMMON.to_vec(),
        "restricted" => {
            let kept = |check: &&Check| !OVERRIDDEN.iter().any(|other| std::ptr::fn_addr_eq(**check, *other));
            COMMON.iter().filter(kept).chain(RESTRICTED).copied().collect()
        }
        _ => return None,
    };
    let faults: Vec<String> = checks
        .iter()
        .filter_map(|check| check(&pod))
        .map(|fault| format!("{} ({})", fault.reason, fault.detail))
        .collect();
    (!faults.is_empty()).then(|| format!("\"{level}:{version}\": {}", faults.join(", ")))
}

/// A pod as the checks look at it.
struct Pod<'a> {
    spec: &'a Value,
    annotations: &'a Value,
}

impl<'a> Pod<'a> {
    fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let spec = self.spec;
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        lists.into_iter().flat_map(move |list| spec.at(&[list]).items())
    }

    fn context(&self) -> &'a Value {
        self.spec.at(&["securityContext"])
    }

    /// The names of the containers of which something holds.
    fn where_container(&self, is_bad: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        let bad = self.containers().filter(|container| is_bad(container));
        bad.map(|container| container.at(&["name"]).str_or_empty()).collect()
    }

    fn is_windows(&self) -> bool {
        self.spec.at(&["os", "name"]) == "windows"
    }
}

fn context(container: &Value) -> &Value {
    container.at(&["securityContext"])
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
fn named(one: &str, names: &[&str]) -> String {
    format!("{} {}", many(one, names.len()), quoted(names))
}

fn many(one: &str, count: usize) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}

/// Sorted, each once.
fn set<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut values: Vec<&str> = values.into_iter().collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The pod, the containers, or both: who set something that may not be.
fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    let mut all = Vec::new();
    if pod {
        all.push("pod".to_owned());
    }
    if !containers.is_empty() {
        all.push(named("container", containers));
    }
    (!all.is_empty()).then(|| all.join(" and "))
}

fn app_armor(pod: &Pod<'_>) -> Option<Fault> {
    let bad = |context: &Value| {
        context
            .at(&["appArmorProfile", "type"])
            .as_str()
            .is_some_and(|kind| !matches!(kind, "RuntimeDefault" | "Localhost"))
    };
    let containers = pod.where_container(|container| bad(context(container)));
    let contexts = pod.containers().map(context).chain([pod.context()]);
    let types = set(contexts.filter(|it| bad(it)).map(|it| it.at(&["appArmorProfile", "type"]).str_or_empty()));
    if let Some(who) = setters(bad(pod.context()), &containers) {
        let detail = format!("{who} must not set AppArmor profile type to {}", quoted(&types));
        return fault(&many("forbidden AppArmor profile", types.len()), detail);
    }
    let annotated = pod.annotations.entries().iter().filter(|(key, value)| {
        let value = value.str_or_empty();
        key.starts_with("container.apparmor.security.beta.kubernetes.io/")
            && !(value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
    });
    let shown: Vec<String> = annotated.map(|(key, value)| format!("\"{key}={}\"", value.str_or_empty())).collect();
    if shown.is_empty() {
        return None;
    }
    fault(
        &many("forbidden AppArmor profile", shown.len()),
        format!("{} {}", many("annotation", shown.len()), shown.join(", ")),
    )
}

/// What a container may have without being privileged.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The containers that add capabilities beyond some, and which.
fn added<'a>(pod: &Pod<'a>, allowed: &[&str]) -> Option<String> {
    let beyond = |container: &'a Value| {
        let added = context(container).at(&["capabilities", "add"]).items().iter();
        added.filter_map(Value::as_str).filter(|name| !allowed.contains(name))
    };
    let names: Vec<&str> = pod
        .containers()
        .filter(|container| beyond(container).next().is_some())
        .map(|container| container.at(&["name"]).str_or_empty())
        .collect();
    let capabilities = set(pod.containers().flat_map(beyond));
    (!names.is_empty()).then(|| {
        let who = named("container", &names);
        format!("{who} must not include {} in securityContext.capabilities.add", quoted(&capabilities))
    })
}

fn capabilities(pod: &Pod<'_>) -> Option<Fault> {
    fault("non-default capabilities", added(pod, CAPABILITIES)?)
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Fault> {
    let used = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|name| pod.spec.at(&[name]).is_true());
    let shown: Vec<String> = used.map(|name| format!("{name}=true")).collect();
    if shown.is_empty() { None } else { fault("host namespaces", shown.join(", ")) }
}

fn host_path(pod: &Pod<'_>) -> Option<Fault> {
    let volumes = pod.spec.at(&["volumes"]).items().iter().filter(|volume| volume.get("hostPath").is_some());
    let names: Vec<&str> = volumes.map(|volume| volume.at(&["name"]).str_or_empty()).collect();
    if names.is_empty() { None } else { fault("hostPath volumes", named("volume", &names)) }
}

fn host_ports(pod: &Pod<'_>) -> Option<Fault> {
    fn of(container: &Value) -> impl Iterator<Item = i64> {
        let ports = container.at(&["ports"]).items().iter();
        ports.filter_map(|port| port.at(&["hostPort"]).as_int()).filter(|port| *port != 0)
    }
    let names = pod.where_container(|container| of(container).next().is_some());
    let mut ports: Vec<String> = pod.containers().flat_map(of).map(|port| port.to_string()).collect();
    ports.sort_unstable();
    ports.dedup();
    if names.is_empty() {
        return None;
    }
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let what = many("hostPort", ports.len());
    fault(&what, format!("{} {uses} {what} {}", named("container", &names), ports.join(", ")))
}

fn privileged(pod: &Pod<'_>) -> Option<Fault> {
    let names = pod.where_container(|container| context(container).at(&["privileged"]).is_true());
    if names.is_empty() {
        return None;
    }
    fault("privileged", format!("{} must not set securityContext.privileged=true", named("container", &names)))
}

fn proc_mount(pod: &Pod<'_>) -> Option<Fault> {
    let bad = |container: &Value| {
        context(container).at(&["procMount"]).as_str().filter(|kind| *kind != "Default").map(str::to_owned)
    };
    let names = pod.where_container(|container| bad(container).is_some());
    let kinds: Vec<String> = pod.containers().filter_map(bad).collect();
    if names.is_empty() {
        return None;
    }
    let kinds = set(kinds.iter().map(String::as_str));
    fault(
        "procMount",
        format!("{} must not set securityContext.procMount to {}", named("container", &names), quoted(&kinds)),
    )
}

fn se_linux(pod: &Pod<'_>) -> Option<Fault> {
    const TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let options = |context: &Value| -> (Option<String>, bool, bool) {
        let options = context.at(&["seLinuxOptions"]);
        let kind = options.at(&["type"]).str_or_empty();
        let bad = (!TYPES.contains(&kind)).then(|| kind.to_owned());
        (bad, !options.at(&["user"]).is_empty(), !options.at(&["role"]).is_empty())
    };
    let bad = |context: &Value| {
        let (kind, user, role) = options(context);
        kind.is_some() || user || role
    };
    let containers = pod.where_container(|container| bad(context(container)));
    let who = setters(bad(pod.context()), &containers)?;
    let all: Vec<_> = pod.containers().map(context).chain([pod.context()]).map(options).collect();
    let kinds = set(all.iter().filter_map(|(kind, _, _)| kind.as_deref()));
    let mut data = Vec::new();
    if !kinds.is_empty() {
        data.push(named("type", &kinds));
    }
    if all.iter().any(|(_, user, _)| *user) {
        data.push("user may not be set".to_owned());
    }
    if all.iter().any(|(_, _, role)| *role) {
        data.push("role may not be set".to_owned());
    }
    fault("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {}", data.join("; ")))
}

/// Who chose a seccomp profile of a type that is refused, and which types those are.
fn seccomp_types(pod: &Pod<'_>, is_bad: fn(&str) -> bool) -> Option<String> {
    let kind = |context: &Value| -> Option<String> {
        context.at(&["seccompProfile", "type"]).as_str().filter(|kind| is_bad(kind)).map(str::to_owned)
    };
    let containers = pod.where_container(|container| kind(context(container)).is_some());
    let who = setters(kind(pod.context()).is_some(), &containers)?;
    let kinds: Vec<String> = pod.containers().map(context).chain([pod.context()]).filter_map(kind).collect();
    let kinds = set(kinds.iter().map(String::as_str));
    Some(format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds)))
}

fn seccomp(pod: &Pod<'_>) -> Option<Fault> {
    fault("seccompProfile", seccomp_types(pod, |kind| !matches!(kind, "RuntimeDefault" | "Localhost"))?)
}

/// What of a kernel concerns the pod alone.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

fn sysctls(pod: &Pod<'_>) -> Option<Fault> {
    let names = pod.context().at(&["sysctls"]).items().iter().map(|sysctl| sysctl.at(&["name"]).str_or_empty());
    let bad: Vec<&str> = names.filter(|name| !SYSCTLS.contains(name)).collect();
    if bad.is_empty() { None } else { fault("forbidden sysctls", bad.join(", ")) }
}

fn host_process(pod: &Pod<'_>) -> Option<Fault> {
    let bad = |context: &Value| context.at(&["windowsOptions", "hostProcess"]).is_true();
    let containers = pod.where_container(|container| bad(context(container)));
    let who = setters(bad(pod.context()), &containers)?;
    fault("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}

fn privilege_escalation(pod: &Pod<'_>) -> Option<Fault> {
    let may = |container: &Value| context(container).at(&["allowPrivilegeEscalation"]).as_bool() != Some(false);
    let names = if pod.is_windows() { Vec::new() } else { pod.where_container(may) };
    if names.is_empty() {
        return None;
    }
    let who = named("container", &names);
    fault("allowPrivilegeEscalation != false", format!("{who} must set securityContext.allowPrivilegeEscalation=false"))
}

fn restricted_capabilities(pod: &Pod<'_>) -> Option<Fault> {
    if pod.is_windows() {
        return None;
    }
    let keeps = |container: &Value| {
        let dropped = context(container).at(&["capabilities", "drop"]).items();
        !dropped.iter().any(|name| name == "ALL")
    };
    let names = pod.where_container(keeps);
    let mut details = Vec::new();
    if !names.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named("container", &names)));
    }
    details.extend(added(pod, &["NET_BIND_SERVICE"]));
    if details.is_empty() { None } else { fault("unrestricted capabilities", details.join("; ")) }
}

fn volume_types(pod: &Pod<'_>) -> Option<Fault> {
    const ALLOWED: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let kind = |volume: &Value| {
        let kinds = volume.entries().iter().map(|(key, _)| key.to_string()).filter(|key| key != "name");
        kinds.into_iter().find(|kind| !ALLOWED.contains(&kind.as_str()))
    };
    let volumes = pod.spec.at(&["volumes"]).items();
    let bad = volumes.iter().filter(|volume| kind(volume).is_some());
    let names: Vec<&str> = bad.map(|volume| volume.at(&["name"]).str_or_empty()).collect();
    let kinds: Vec<String> = volumes.iter().filter_map(kind).collect();
    let kinds = set(kinds.iter().map(String::as_str));
    if names.is_empty() {
        return None;
    }
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let what = many("restricted volume type", kinds.len());
    fault("restricted volume types", format!("{} {uses} {what} {}", named("volume", &names), quoted(&kinds)))
}

fn non_root(pod: &Pod<'_>) -> Option<Fault> {
    let said = |context: &Value| context.at(&["runAsNonRoot"]).as_bool();
    let whole = said(pod.context());
    let refused = pod.where_container(|container| said(context(container)) == Some(false));
    // What the pod says does not count where every container speaks for itself.
    let silent = pod.where_container(|container| said(context(container)).is_none());
    let who = setters(whole == Some(false), &refused);
    if let Some(who) = who {
        return fault("runAsNonRoot != true", format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    if whole == Some(true) || silent.is_empty() {
        return None;
    }
    let who = named("container", &silent);
    fault("runAsNonRoot != true", format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

fn root_user(pod: &Pod<'_>) -> Option<Fault> {
    let root = |context: &Value| context.at(&["runAsUser"]).as_int() == Some(0);
    let containers = pod.where_container(|container| root(context(container)));
    let who = setters(root(pod.context()), &containers)?;
    fault("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

fn seccomp_profile(pod: &Pod<'_>) -> Option<Fault> {
    if pod.is_windows() {
        return None;
    }
    if let Some(detail) = seccomp_types(pod, |kind| !matches!(kind, "RuntimeDefault" | "Localhost")) {
        return fault("seccompProfile", detail);
    }
    let silent = |context: &Value| context.at(&["seccompProfile", "type"]).is_empty();
    let names = pod.where_container(|container| silent(context(container)));
    if !silent(pod.context()) || names.is_empty() {
        return None;
    }
    let who = named("container", &names);
    let detail =
        format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"");
    fault("seccompProfile", detail)
}
