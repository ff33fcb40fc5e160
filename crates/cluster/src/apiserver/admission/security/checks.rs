//! What the Pod Security Standards check of a pod, in the words of `k8s.io/pod-security-admission/policy`.
//!
//! Knows: which checks the levels have, and what each meant in which version of the standards.
//! Does not know: namespaces, or what comes of a fault.

use super::{Level, Standard};
use crate::value::Value;

/// What a check found: in short, and where.
pub(super) struct Fault {
    pub(super) reason: String,
    pub(super) detail: String,
}

fn fault(reason: &str, detail: impl Into<String>) -> Option<Fault> {
    Some(Fault { reason: reason.to_owned(), detail: detail.into() })
}

/// A check of a pod.
type Check = fn(&Pod<'_>) -> Option<Fault>;

/// A check, from which minor version on, and until it is replaced.
struct Versioned {
    level: Level,
    since: u32,
    until: u32,
    /// The restricted level has its own check of the same from this version on.
    overridden: u32,
    check: Check,
}

const NEVER: u32 = u32::MAX;

const fn baseline(since: u32, until: u32, overridden: u32, check: Check) -> Versioned {
    Versioned { level: Level::Baseline, since, until, overridden, check }
}

const fn restricted(since: u32, until: u32, check: Check) -> Versioned {
    Versioned { level: Level::Restricted, since, until, overridden: NEVER, check }
}

/// All checks in the order in which faults are told: that of the checks' identifiers, those of baseline first.
const CHECKS: &[Versioned] = &[
    baseline(0, NEVER, NEVER, app_armor),
    baseline(0, NEVER, 22, capabilities),
    baseline(0, NEVER, NEVER, host_namespaces),
    baseline(0, NEVER, 0, host_path),
    baseline(0, NEVER, NEVER, host_ports),
    baseline(34, NEVER, NEVER, probed_hosts),
    baseline(0, NEVER, NEVER, privileged),
    baseline(0, 35, NEVER, proc_mount),
    baseline(35, NEVER, 35, |pod| if pod.has_own_users() { None } else { proc_mount(pod) }),
    baseline(0, 31, NEVER, |pod| se_linux(pod, false)),
    baseline(31, NEVER, NEVER, |pod| se_linux(pod, true)),
    baseline(0, 19, NEVER, seccomp_annotations),
    baseline(19, NEVER, 19, seccomp),
    baseline(0, 27, NEVER, |pod| sysctls(pod, 0)),
    baseline(27, 29, NEVER, |pod| sysctls(pod, 27)),
    baseline(29, 32, NEVER, |pod| sysctls(pod, 29)),
    baseline(32, NEVER, NEVER, |pod| sysctls(pod, 32)),
    baseline(0, NEVER, NEVER, host_process),
    restricted(8, 25, privilege_escalation),
    restricted(25, NEVER, |pod| if pod.is_windows() { None } else { privilege_escalation(pod) }),
    restricted(22, 25, restricted_capabilities),
    restricted(25, NEVER, |pod| if pod.is_windows() { None } else { restricted_capabilities(pod) }),
    restricted(35, NEVER, proc_mount),
    restricted(0, NEVER, volume_types),
    restricted(0, 35, non_root),
    restricted(35, NEVER, |pod| if pod.has_own_users() { None } else { non_root(pod) }),
    restricted(23, 35, root_user),
    restricted(35, NEVER, |pod| if pod.has_own_users() { None } else { root_user(pod) }),
    restricted(19, 25, seccomp_profile),
    restricted(25, NEVER, |pod| if pod.is_windows() { None } else { seccomp_profile(pod) }),
];

/// How a pod breaks a standard: nothing if it does not.
pub(super) fn faults(standard: Standard, spec: &Value, annotations: &Value) -> Vec<Fault> {
    let pod = Pod { spec, annotations };
    let (level, minor) = (standard.level, standard.minor.unwrap_or(NEVER - 1));
    let applies = |check: &&Versioned| {
        let overridden = level == Level::Restricted && check.overridden <= minor;
        check.level <= level && check.since <= minor && minor < check.until && !overridden
    };
    CHECKS.iter().filter(applies).filter_map(|check| (check.check)(&pod)).collect()
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

    /// Whether root in it is nobody outside.
    fn has_own_users(&self) -> bool {
        self.spec.at(&["hostUsers"]).as_bool() == Some(false)
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
    let mut setters: Vec<String> =
        setters(bad(pod.context()), &pod.where_container(|it| bad(context(it)))).into_iter().collect();
    let contexts = pod.containers().map(context).chain([pod.context()]);
    let types = set(contexts.filter(|it| bad(it)).map(|it| it.at(&["appArmorProfile", "type"]).str_or_empty()));
    let mut shown: Vec<String> = types.into_iter().map(str::to_owned).collect();
    let mut annotated: Vec<String> = pod
        .annotations
        .entries()
        .iter()
        .filter(|(key, value)| {
            let value = value.str_or_empty();
            key.starts_with("container.apparmor.security.beta.kubernetes.io/")
                && !(value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
        })
        .map(|(key, value)| format!("{key}={:?}", value.str_or_empty()))
        .collect();
    annotated.sort_unstable();
    if !annotated.is_empty() {
        setters.push(many("annotation", annotated.len()));
        shown.append(&mut annotated);
    }
    if setters.is_empty() {
        return None;
    }
    let quoted = quoted(&shown.iter().map(String::as_str).collect::<Vec<_>>());
    fault(
        &many("forbidden AppArmor profile", shown.len()),
        format!("{} must not set AppArmor profile type to {quoted}", setters.join(" and ")),
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
    fault("hostPort", format!("{} {uses} {what} {}", named("container", &names), ports.join(", ")))
}

/// Hosts that a node would ask in a container's name.
fn probed_hosts(pod: &Pod<'_>) -> Option<Fault> {
    const WHERE: &[&[&str]] = &[
        &["livenessProbe"],
        &["readinessProbe"],
        &["startupProbe"],
        &["lifecycle", "postStart"],
        &["lifecycle", "preStop"],
    ];
    fn of(container: &Value) -> impl Iterator<Item = &str> {
        let handlers = WHERE.iter().map(|path| container.at(path));
        let hosts = handlers.flat_map(|it| ["httpGet", "tcpSocket"].map(|kind| it.at(&[kind, "host"]).str_or_empty()));
        hosts.filter(|host| !host.is_empty())
    }
    let names = set(pod.where_container(|container| of(container).next().is_some()));
    let hosts = set(pod.containers().flat_map(of));
    if names.is_empty() {
        return None;
    }
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let what = "probe or lifecycle host";
    fault(what, format!("{} {uses} {}", named("container", &names), named(what, &hosts)))
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

fn se_linux(pod: &Pod<'_>, engine: bool) -> Option<Fault> {
    const TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t"];
    let options = |context: &Value| -> (Option<String>, bool, bool) {
        let options = context.at(&["seLinuxOptions"]);
        let kind = options.at(&["type"]).str_or_empty();
        let known = TYPES.contains(&kind) || (engine && kind == "container_engine_t");
        let bad = (!known).then(|| kind.to_owned());
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

/// Profiles as they were said before there were fields for them.
fn seccomp_annotations(pod: &Pod<'_>) -> Option<Fault> {
    let bad = |key: &String| -> Option<String> {
        let value = pod.annotations.get(key)?.str_or_empty();
        let good = matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
        (!good).then(|| format!("{key}={value:?}"))
    };
    let of = |container: &Value| {
        let name = container.at(&["name"]).str_or_empty();
        format!("container.seccomp.security.alpha.kubernetes.io/{name}")
    };
    let pod_key = "seccomp.security.alpha.kubernetes.io/pod".to_owned();
    let found: Vec<String> =
        std::iter::once(pod_key).chain(pod.containers().map(of)).filter_map(|key| bad(&key)).collect();
    let found = set(found.iter().map(String::as_str));
    if found.is_empty() {
        return None;
    }
    fault("seccompProfile", format!("forbidden {} {}", many("annotation", found.len()), found.join(", ")))
}

/// What of a kernel concerns the pod alone, and since which version that is known.
const SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.tcp_wmem", 32),
];

fn sysctls(pod: &Pod<'_>, version: u32) -> Option<Fault> {
    let names = pod.context().at(&["sysctls"]).items().iter().map(|sysctl| sysctl.at(&["name"]).str_or_empty());
    let known = |name: &str| SYSCTLS.iter().any(|(known, since)| *known == name && *since <= version);
    let bad: Vec<&str> = names.filter(|name| !known(name)).collect();
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
    let names = pod.where_container(may);
    if names.is_empty() {
        return None;
    }
    let who = named("container", &names);
    fault("allowPrivilegeEscalation != false", format!("{who} must set securityContext.allowPrivilegeEscalation=false"))
}

fn restricted_capabilities(pod: &Pod<'_>) -> Option<Fault> {
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
