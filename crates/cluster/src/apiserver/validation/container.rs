//! What is wrong with a container (`validateContainerCommon` and what it calls).
//!
//! Knows: images, ports, environment, mounts, and what each list of containers lets its members say.
//! Does not know: probes and hooks, nor security contexts, which have chapters of their own.

use std::collections::BTreeSet;

use super::environment::environment;
pub(super) use super::environment::{field_ref, resource_ref};
use super::faults::{At, Faults, quote};
use super::handlers::{self, lifecycle, probe};
use super::source::{inner_path, no_backsteps};
use super::volume::Volumes;
use super::{names, resources, security};
use crate::value::Value;

/// What all containers of a pod share.
pub(super) struct Around<'a> {
    /// The volumes there are, by name.
    pub(super) volumes: &'a Volumes<'a>,
    /// Volumes of which only the names are known: a StatefulSet's claims.
    pub(super) more: &'a BTreeSet<&'a str>,
    /// The names of the claims to devices.
    pub(super) claims: BTreeSet<&'a str>,
    /// The pod's spec.
    pub(super) spec: &'a Value,
}

impl Around<'_> {
    /// How long the pod has to end.
    pub(super) fn grace(&self) -> Option<i64> {
        self.spec.at(&["terminationGracePeriodSeconds"]).as_int()
    }

    /// The system that the pod says it is for.
    pub(super) fn system(&self) -> Option<&str> {
        self.spec.find(&["os"]).map(|os| os.at(&["name"]).str_or_empty())
    }

    fn uses_host_users(&self) -> bool {
        self.spec.at(&["hostUsers"]).as_bool() != Some(false)
    }

    fn never_restarts(&self) -> bool {
        self.spec.at(&["restartPolicy"]) == "Never"
    }

    fn has_volume(&self, name: &str) -> bool {
        self.volumes.contains_key(name) || self.more.contains(name)
    }
}

/// The containers that a pod is for.
pub(super) fn main(list: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    if list.value.is_empty() {
        return faults.required(list, "");
    }
    let mut taken = BTreeSet::new();
    for one in list.items() {
        common(&one, around, faults);
        let name = one.field("name");
        if !taken.insert(name.text()) {
            faults.duplicate_as(&name, &quote(name.text()));
        }
        works(&one, around, faults);
        restarts(&one, faults);
    }
    host_port_conflicts(list, list.value.items(), faults);
}

/// The containers that run before those.
pub(super) fn init(list: &At<'_>, main: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    let mut taken: BTreeSet<&str> = main.value.items().iter().map(|one| one.at(&["name"]).str_or_empty()).collect();
    for one in list.items() {
        common(&one, around, faults);
        let (policy, rules) = (one.field("restartPolicy"), one.field("restartPolicyRules"));
        let stays = policy.text() == "Always";
        if policy.is_absent() {
            if !rules.value.is_empty() {
                faults.required(&policy, NO_POLICY);
            }
        } else {
            restarts(&one, faults);
        }
        let name = one.field("name");
        if taken.contains(name.text()) {
            faults.duplicate_as(&name, &quote(name.text()));
        } else if !name.text().is_empty() {
            taken.insert(name.text());
        }
        // The real path is that of the first container, whichever it is.
        host_port_conflicts(list, std::slice::from_ref(one.value), faults);
        if stays {
            works(&one, around, faults);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            let field = one.field(field);
            if !field.is_absent() {
                faults.forbidden(&field, "may not be set for init containers without restartPolicy=Always");
            }
        }
        for resize in one.field("resizePolicy").items() {
            let policy = resize.field("restartPolicy");
            if policy.text() == "RestartContainer" {
                faults.invalid(&policy, "must not be set to 'RestartContainer' for non-sidecar initContainers");
            }
        }
    }
}

/// The containers that were put into it while it ran.
pub(super) fn ephemeral(list: &At<'_>, others: &[&At<'_>], around: &Around<'_>, faults: &mut Faults) {
    let named = |at: &&At<'_>| -> Vec<String> {
        at.value.items().iter().map(|one| one.at(&["name"]).str_or_empty().to_owned()).collect()
    };
    let others: BTreeSet<String> = others.iter().flat_map(named).collect();
    let mut taken = others.clone();
    for one in list.items() {
        common(&one, around, faults);
        padded_image(&one, faults);
        let name = one.field("name");
        if !taken.insert(name.text().to_owned()) {
            faults.duplicate_as(&name, &quote(name.text()));
        }
        let target = one.field("targetContainerName");
        if !target.text().is_empty() && !others.contains(target.text()) {
            faults.not_found(&target);
        }
        for field in [
            "ports",
            "resources",
            "resizePolicy",
            "restartPolicy",
            "restartPolicyRules",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
        ] {
            let field = one.field(field);
            if !field.value.is_empty() {
                faults.forbidden(&field, NOT_EPHEMERAL);
            }
        }
        for mount in one.field("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                let field = mount.field(field);
                if !field.text().is_empty() {
                    faults.forbidden(&field, NOT_EPHEMERAL);
                }
            }
        }
    }
}

const NOT_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";
const NO_POLICY: &str = "must specify restartPolicy when restart rules are used";

/// What a container does besides running: only one that stays does it.
fn works(one: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    lifecycle(&one.field("lifecycle"), around, faults);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe(&one.field(name), name, around, faults);
    }
}

/// When a container starts again.
fn restarts(one: &At<'_>, faults: &mut Faults) {
    let (policy, rules) = (one.field("restartPolicy"), one.field("restartPolicyRules"));
    if policy.is_absent() {
        if !rules.value.is_empty() {
            faults.required(&policy, NO_POLICY);
        }
    } else {
        faults.one_of(&policy, &["Always", "Never", "OnFailure"]);
    }
    let count = rules.value.items().len();
    if count > 20 {
        faults.too_many(&rules, count, 20);
    }
    for rule in rules.items() {
        faults.word(&rule.field("action"), &["Restart", "RestartAllContainers"]);
        let codes = rule.field("exitCodes");
        if codes.is_absent() {
            faults.required(&codes, "must be specified");
            continue;
        }
        faults.word(&codes.field("operator"), &["In", "NotIn"]);
        let values = codes.field("values");
        if values.value.items().len() > 255 {
            faults.too_many(&values, values.value.items().len(), 255);
        }
    }
}

fn common(at: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    faults.text_of(&at.field("name"), names::label);
    faults.some_text(&at.field("image"));
    let policy = at.field("terminationMessagePolicy");
    if !policy.text().is_empty() {
        faults.one_of(&policy, &["File", "FallbackToLogsOnError"]);
    }
    ports(&at.field("ports"), faults);
    environment(at, faults);
    mounts(at, around, faults);
    devices(at, around, faults);
    faults.some_of(&at.field("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    resources::requirements(&at.field("resources"), &around.claims, faults);
    resizing(&at.field("resizePolicy"), around, faults);
    security::of_container(&at.field("securityContext"), around.uses_host_users(), faults);
}

/// An image is not looked at very closely.
pub(super) fn padded_image(at: &At<'_>, faults: &mut Faults) {
    let image = at.field("image");
    if image.text().trim() != image.text() {
        faults.invalid(&image, "must not have leading or trailing whitespace");
    }
}

/// What an image may become.
pub(super) fn image(at: &At<'_>, faults: &mut Faults) {
    faults.some_text(&at.field("image"));
    padded_image(at, faults);
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
        faults.some_of(&port.field("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

/// Ports of the node that more than one of some containers want, which are told of as those of `list`.
fn host_port_conflicts(list: &At<'_>, containers: &[Value], faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for (one, value) in list.items().zip(containers) {
        for port in one.sibling(value).field("ports").items() {
            let host = port.field("hostPort");
            let Some(number) = host.number().filter(|number| *number != 0) else { continue };
            let wanted = format!("{}/{}/{number}", port.field("protocol").text(), port.field("hostIP").text());
            if !taken.insert(wanted.clone()) {
                faults.duplicate_as(&host, &quote(&wanted));
            }
        }
    }
}

fn mounts(at: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    let devices = at.field("volumeDevices").value.items();
    let mut taken = BTreeSet::new();
    let list = at.field("volumeMounts");
    for mount in list.items() {
        let (name, path) = (mount.field("name"), mount.field("mountPath"));
        faults.some_text(&name);
        if !around.has_volume(name.text()) {
            faults.not_found(&name);
        }
        faults.some_text(&path);
        if !taken.insert(path.text()) {
            faults.invalid_as(&path, &quote(path.text()), "must be unique");
        }
        if devices.iter().any(|device| device.at(&["name"]) == name.text()) {
            faults.invalid(&name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.at(&["devicePath"]) == path.text()) {
            faults.invalid(&path, "must not already exist as a path in volumeDevices");
        }
        // The real paths name the list, not the mount.
        let place = |field: &str| list.named(field, mount.value.at(&[field]));
        let (sub, made) = (place("subPath"), place("subPathExpr"));
        inner_path(&sub, faults);
        if !made.text().is_empty() {
            if !sub.text().is_empty() {
                faults.invalid(&mount.field("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
            }
            inner_path(&made, faults);
        }
        let spreads = place("mountPropagation");
        faults.one_of(&spreads, &["Bidirectional", "HostToContainer", "None"]);
        if spreads.text() == "Bidirectional" && !at.down(&["securityContext", "privileged"]).value.is_true() {
            faults.forbidden(&spreads, "Bidirectional mount propagation is available only to privileged containers");
        }
        let all = place("recursiveReadOnly");
        match all.text() {
            "Enabled" | "IfPossible" => {
                if !mount.field("readOnly").value.is_true() {
                    faults.forbidden(&all, "may only be specified when readOnly is true");
                }
                if !spreads.is_absent() && spreads.text() != "None" {
                    let why = "may only be specified when mountPropagation is None or not specified";
                    faults.forbidden(&all, why);
                }
            }
            _ => faults.one_of(&all, &["Disabled", "Enabled", "IfPossible"]),
        }
    }
}

fn devices(at: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    let mounts = at.field("volumeMounts").value.items();
    let (mut known, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let list = at.field("volumeDevices");
    for device in list.items() {
        let (name, path) = (device.field("name"), device.field("devicePath"));
        let volume = around.volumes.get(name.text());
        let claims = |volume: &&Value| {
            ["persistentVolumeClaim", "ephemeral"].iter().any(|kind| volume.get(kind).is_some_and(|it| !it.is_null()))
        };
        faults.some_text(&name);
        if known.contains(name.text()) {
            faults.invalid(&name, "must be unique");
        }
        if volume.is_some_and(|volume| !claims(volume)) {
            let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            faults.invalid(&name, why);
        }
        if !around.has_volume(name.text()) {
            faults.not_found(&name);
        }
        faults.some_text(&path);
        if taken.contains(path.text()) {
            faults.invalid_as(&path, &quote(path.text()), "must be unique");
        }
        let mut found = Faults::default();
        no_backsteps(&path, &mut found);
        if found.is_empty() {
            taken.insert(path.text());
        } else {
            faults.invalid(&path, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|mount| mount.at(&["name"]) == name.text()) {
            faults.invalid(&name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.at(&["mountPath"]) == path.text()) {
            faults.invalid(&path, "must not already exist as a path in volumeMounts");
        }
        if !name.text().is_empty() {
            known.insert(name.text());
        }
    }
}

/// What becomes of a container when it is given more or less. The real paths name the list, not the element.
fn resizing(list: &At<'_>, around: &Around<'_>, faults: &mut Faults) {
    let mut known = BTreeSet::new();
    for one in list.items() {
        let resource = list.sibling(one.value.at(&["resourceName"]));
        let policy = list.sibling(one.value.at(&["restartPolicy"]));
        if !known.insert(resource.text()) {
            faults.duplicate_as(&one, &quote(resource.text()));
        }
        faults.some_of(&resource, &["cpu", "memory"]);
        faults.some_of(&policy, &["NotRequired", "RestartContainer"]);
        if around.never_restarts() && policy.text() != "NotRequired" {
            let why = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            faults.invalid_as(&policy, &quote(policy.text()), why);
        }
    }
}

/// A port by number or name.
pub(super) fn port(at: &At<'_>, faults: &mut Faults) {
    handlers::port(at, faults);
}
