//! What is wrong with a container (`validateContainerCommon` and what it calls).
//!
//! Knows: images, ports, environment, mounts, resources, probes, security contexts.
//! Does not know: the pod around it, but for the names of its volumes.

use std::collections::BTreeSet;

use super::faults::{At, Faults, go_struct};
use super::{names, resources};
use crate::value::Value;

/// Which list of a pod's a container stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Main,
    Init,
}

/// What all containers of a pod share.
pub(super) struct Around<'a> {
    /// The volumes there are.
    pub(super) volumes: &'a BTreeSet<&'a str>,
    /// Names of the main containers, which init containers may not have.
    pub(super) main: BTreeSet<&'a str>,
}

/// One of a list of containers.
pub(super) fn check<'v>(
    at: &At<'v>,
    kind: Kind,
    around: &Around<'_>,
    taken: &mut BTreeSet<&'v str>,
    faults: &mut Faults,
) {
    common(at, around, faults);
    let name = at.field("name");
    let has_name = !name.text().is_empty();
    let also_main = kind == Kind::Init && around.main.contains(name.text());
    if has_name && (!taken.insert(name.text()) || also_main) {
        faults.duplicate(&name);
    }
    let sidecar = at.field("restartPolicy").text() == "Always";
    if kind == Kind::Init && !sidecar {
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            let field = at.field(field);
            if !field.is_absent() {
                faults.forbidden(&field, "may not be set for init containers without restartPolicy=Always");
            }
        }
        return;
    }
    for hook in ["postStart", "preStop"] {
        let hook = at.down(&["lifecycle", hook]);
        if !hook.is_absent() {
            handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], faults);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe(&at.field(name), name, faults);
    }
}

fn common(at: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    faults.text_of(&at.field("name"), names::label);
    image(at, faults);
    let policy = at.field("terminationMessagePolicy");
    if !policy.text().is_empty() {
        faults.one_of(&policy, &["File", "FallbackToLogsOnError"]);
    }
    ports(&at.field("ports"), faults);
    environment(at, faults);
    mounts(at, around, faults);
    let pull = at.field("imagePullPolicy");
    if !pull.text().is_empty() {
        faults.one_of(&pull, &["Always", "IfNotPresent", "Never"]);
    }
    resources::requirements(&at.field("resources"), faults);
    security_context(&at.field("securityContext"), faults);
}

pub(super) fn image(at: &At<'_>, faults: &mut Faults) {
    let image = at.field("image");
    if faults.some_text(&image) && image.text().trim() != image.text() {
        faults.invalid(&image, "must not have leading or trailing whitespace");
    }
}

fn ports(at: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for port in at.items() {
        let name = port.field("name");
        if !name.text().is_empty() {
            let why = names::port_name(name.text());
            if why.is_empty() && !taken.insert(name.text()) {
                faults.duplicate(&name);
            }
            faults.all(&name, why);
        }
        let number = port.field("containerPort");
        match number.number().unwrap_or(0) {
            0 => faults.required(&number, ""),
            it if !names::is_port(it) => faults.invalid(&number, names::PORT_RANGE),
            _ => {}
        }
        let host = port.field("hostPort");
        if host.number().is_some_and(|number| number != 0 && !names::is_port(number)) {
            faults.invalid(&host, names::PORT_RANGE);
        }
        faults.one_of(&port.field("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

/// Ports of the node that more than one container wants.
pub(super) fn host_port_conflicts(containers: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for port in containers.items().flat_map(|container| container.field("ports").items().collect::<Vec<_>>()) {
        let host = port.field("hostPort");
        let Some(number) = host.number().filter(|number| *number != 0) else { continue };
        let wanted = format!("{}/{}/{number}", port.field("protocol").text(), port.field("hostIP").text());
        if !taken.insert(wanted.clone()) {
            faults.duplicate_as(&host, &super::faults::quote(&wanted));
        }
    }
}

/// What a variable may be told of its pod.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that selectors know, but that a container cannot be told.
const OTHER_FIELDS: &[&str] = &[
    "spec.hostNetwork",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.nominatedNodeName",
    "status.phase",
    "metadata.labels",
    "metadata.annotations",
];

fn environment(at: &At<'_>, faults: &mut Faults) {
    for variable in at.field("env").items() {
        faults.text_of(&variable.field("name"), names::env_name);
        let from = variable.field("valueFrom");
        if !from.is_absent() {
            let said = !variable.field("value").text().is_empty();
            value_from(&from, said, faults);
        }
    }
    let sources = at.field("envFrom");
    for source in sources.items() {
        let prefix = source.field("prefix");
        if !prefix.text().is_empty() {
            faults.all(&prefix, names::env_name(prefix.text()));
        }
        let mut given = 0;
        for kind in ["configMapRef", "secretRef"] {
            let reference = source.field(kind);
            if !reference.is_absent() {
                given += 1;
                let name = reference.field("name");
                for why in names::subdomain(name.text()) {
                    faults.invalid_as(&name, &super::faults::quote(name.text()), &why);
                }
            }
        }
        match given {
            0 => faults.invalid_as(&sources, "\"\"", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => faults.invalid_as(&sources, "\"\"", "may not have more than one field specified at a time"),
        }
    }
}

fn value_from(from: &At<'_>, said: bool, faults: &mut Faults) {
    let mut given = 0;
    for kind in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        let reference = from.field(kind);
        if reference.is_absent() {
            continue;
        }
        given += 1;
        match kind {
            "fieldRef" => field_ref(&reference, ENV_FIELDS, faults),
            "resourceFieldRef" => resource_ref(&reference, false, faults),
            "fileKeyRef" => {
                for field in ["volumeName", "path", "key"] {
                    faults.some_text(&reference.field(field));
                }
            }
            _ => {
                let name = reference.field("name");
                for why in names::subdomain(name.text()) {
                    faults.invalid_as(&name, &super::faults::quote(name.text()), &why);
                }
                faults.text_of(&reference.field("key"), names::config_key);
            }
        }
    }
    let why = match given {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if said => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    faults.invalid_as(from, "\"\"", why);
}

/// A field of the pod that may be told.
pub(super) fn field_ref(at: &At<'_>, allowed: &[&str], faults: &mut Faults) {
    faults.some_text(&at.field("apiVersion"));
    let path = at.field("fieldPath");
    if !faults.some_text(&path) {
        return;
    }
    let subscript = path.text().strip_suffix("']").and_then(|text| text.split_once("['"));
    if let Some((map, key)) = subscript {
        let key_faults = match map {
            "metadata.labels" => names::qualified(key),
            "metadata.annotations" => names::qualified(&key.to_lowercase()),
            _ => vec!["does not support subscript".to_owned()],
        };
        for why in key_faults {
            faults.invalid_as(at, &super::faults::quote(key), &why);
        }
        return;
    }
    if !allowed.contains(&path.text()) {
        if ENV_FIELDS.contains(&path.text()) || OTHER_FIELDS.contains(&path.text()) {
            faults.unsupported(&path, allowed);
        } else {
            let why = format!("error converting fieldPath: field label not supported: {}", path.text());
            faults.invalid(&path, &why);
        }
    }
}

/// An amount of a container's that may be told.
pub(super) fn resource_ref(at: &At<'_>, in_volume: bool, faults: &mut Faults) {
    const RESOURCES: &[&str] = &[
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    if in_volume {
        faults.some_text(&at.field("containerName"));
    }
    let resource = at.field("resource");
    if faults.some_text(&resource) {
        let huge =
            ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.text().starts_with(prefix));
        if !huge {
            faults.one_of(&resource, RESOURCES);
        }
    }
}

fn mounts(at: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    let list = at.field("volumeMounts");
    for mount in list.items() {
        let name = mount.field("name");
        if faults.some_text(&name) && !around.volumes.contains(name.text()) {
            faults.not_found(&name);
        }
        let path = mount.field("mountPath");
        faults.some_text(&path);
        if !taken.insert(path.text()) {
            faults.invalid(&path, "must be unique");
        }
        for field in ["subPath", "subPathExpr"] {
            let sub = list.named(field, mount.field(field).value);
            if !sub.text().is_empty() {
                inner_path(&sub, faults);
            }
        }
        if !mount.field("subPath").text().is_empty() && !mount.field("subPathExpr").text().is_empty() {
            faults.invalid(
                &list.named("subPathExpr", mount.field("subPathExpr").value),
                "subPathExpr and subPath are mutually exclusive",
            );
        }
        faults.one_of(&mount.field("mountPropagation"), &["Bidirectional", "HostToContainer", "None"]);
    }
    let mut devices = BTreeSet::new();
    for device in at.field("volumeDevices").items() {
        let name = device.field("name");
        if faults.some_text(&name) && !around.volumes.contains(name.text()) {
            faults.not_found(&name);
        }
        let path = device.field("devicePath");
        if faults.some_text(&path) && !devices.insert(path.text()) {
            faults.invalid(&path, "must be unique");
        }
    }
}

/// A path below another.
pub(super) fn inner_path(at: &At<'_>, faults: &mut Faults) {
    if at.text().starts_with('/') {
        faults.invalid(at, "must be a relative path");
    }
    no_backsteps(at, faults);
}

/// A path that leads down only.
pub(super) fn no_backsteps(at: &At<'_>, faults: &mut Faults) {
    if at.text().split('/').any(|part| part == "..") {
        faults.invalid(at, "must not contain '..'");
    }
}

fn probe(at: &At<'_>, name: &str, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    handler(at, &["exec", "httpGet", "tcpSocket", "grpc"], faults);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        faults.not_negative(&at.field(field));
    }
    let grace = at.field("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds <= 0) {
        faults.invalid(&grace, "must be greater than 0");
    }
    if name == "readinessProbe" {
        if !grace.is_absent() {
            faults.invalid(&grace, "must not be set for readinessProbes");
        }
    } else {
        let threshold = at.field("successThreshold");
        if threshold.number().is_some_and(|count| count != 1) {
            faults.invalid(&threshold, "must be 1");
        }
    }
}

/// The one thing that a probe or hook does.
fn handler(at: &At<'_>, kinds: &[&str], faults: &mut Faults) {
    let mut given = false;
    for kind in kinds {
        let it = at.field(kind);
        if it.is_absent() {
            continue;
        }
        if given {
            faults.forbidden(&it, "may not specify more than 1 handler type");
            continue;
        }
        given = true;
        match *kind {
            "exec" => {
                let command = it.field("command");
                if command.value.items().is_empty() {
                    faults.required(&command, "");
                }
            }
            "httpGet" => {
                faults.some_text(&it.field("path"));
                port(&it.field("port"), faults);
                let scheme = it.field("scheme");
                if !scheme.text().is_empty() {
                    faults.one_of(&scheme, &["HTTP", "HTTPS"]);
                }
            }
            "tcpSocket" => port(&it.field("port"), faults),
            "grpc" => {
                let number = it.field("port");
                if !number.number().is_some_and(names::is_port) {
                    faults.invalid(&number, names::PORT_RANGE);
                }
            }
            _ => {}
        }
    }
    if !given {
        faults.required(at, "must specify a handler type");
    }
}

/// A port by number or name.
pub(super) fn port(at: &At<'_>, faults: &mut Faults) {
    match at.value {
        Value::Int(number) if names::is_port(*number) => {}
        Value::Int(_) | Value::Null => faults.invalid(at, names::PORT_RANGE),
        _ => faults.all(at, names::port_name(at.text())),
    }
}

const CONTEXT: &[&str] = &[
    "Capabilities",
    "Privileged",
    "SELinuxOptions",
    "WindowsOptions",
    "RunAsUser",
    "RunAsGroup",
    "RunAsNonRoot",
    "ReadOnlyRootFilesystem",
    "AllowPrivilegeEscalation",
    "ProcMount",
    "SeccompProfile",
    "AppArmorProfile",
];

fn security_context(at: &At<'_>, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    id(&at.field("runAsUser"), faults);
    id(&at.field("runAsGroup"), faults);
    faults.one_of(&at.field("procMount"), &["Default", "Unmasked"]);
    profile(&at.field("seccompProfile"), "seccomp", faults);
    if at.field("allowPrivilegeEscalation").value.as_bool() == Some(false) {
        let shown = go_struct(at.value, CONTEXT);
        if at.field("privileged").value.is_true() {
            faults.invalid_as(at, &shown, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        let added = at.down(&["capabilities", "add"]);
        if added.value.items().iter().any(|name| name == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            faults.invalid_as(at, &shown, why);
        }
    }
    profile(&at.field("appArmorProfile"), "AppArmor", faults);
}

/// The number of a user or group.
pub(super) fn id(at: &At<'_>, faults: &mut Faults) {
    if at.number().is_some_and(|number| !(0..=i64::from(i32::MAX)).contains(&number)) {
        faults.invalid(at, "must be between 0 and 2147483647, inclusive");
    }
}

/// A seccomp or AppArmor profile: one of three types, of which one names a file.
pub(super) fn profile(at: &At<'_>, what: &str, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    let kind = at.field("type");
    let file = at.field("localhostProfile");
    if kind.text().is_empty() {
        faults.required(
            &kind,
            &format!("type is required when {what} is set").replace("seccomp is", "seccompProfile is"),
        );
        return;
    }
    faults.one_of(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
    if kind.text() == "Localhost" {
        if file.text().is_empty() {
            faults.required(&file, &format!("must be set when {what} type is Localhost"));
        } else {
            inner_path(&file, faults);
        }
    } else if !file.is_absent() {
        faults.invalid(&file, &format!("can only be set when {what} type is Localhost"));
    }
}
