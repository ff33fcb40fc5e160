//! What is wrong with how a pod and its containers are kept apart from the node.
//!
//! Knows: users, groups, profiles, sysctls, and what belongs to which operating system.
//! Does not know: what of it is allowed where; that is admission.

use std::collections::BTreeSet;

use super::faults::{At, Faults, shown};
use super::source::inner_path;
use super::{internal, names};
use crate::value::Value;

/// What a container says.
pub(super) fn of_container(at: &At<'_>, host_users: bool, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    id(&at.field("runAsUser"), faults);
    id(&at.field("runAsGroup"), faults);
    let proc = at.field("procMount");
    faults.one_of(&proc, &["Default", "Unmasked"]);
    if host_users && proc.text() == "Unmasked" {
        faults.invalid(&proc, "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(&at.field("seccompProfile"), faults);
    if at.field("allowPrivilegeEscalation").value.as_bool() == Some(false) {
        let shown = internal::of("SecurityContext", at.value);
        if at.field("privileged").value.is_true() {
            faults.invalid_as(at, &shown, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        for name in at.down(&["capabilities", "add"]).value.items() {
            if name == "CAP_SYS_ADMIN" {
                let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
                faults.invalid_as(at, &shown, why);
            }
        }
    }
    windows(&at.field("windowsOptions"), faults);
    app_armor(&at.field("appArmorProfile"), faults);
}

/// What a pod says. Of what stands in the spec beside its security context, the real paths say that it stands within.
pub(super) fn of_pod(spec: &At<'_>, faults: &mut Faults) {
    let at = spec.field("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&at.field(field), faults);
    }
    for group in at.field("supplementalGroups").items() {
        id(&group, faults);
    }
    let shared = at.named("shareProcessNamespace", spec.value.at(&["shareProcessNamespace"]));
    if shared.value.is_true() && spec.field("hostPID").value.is_true() {
        faults.invalid(&shared, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    sysctls(&at.field("sysctls"), spec.value, faults);
    faults.one_of(&at.field("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    seccomp(&at.field("seccompProfile"), faults);
    windows(&at.field("windowsOptions"), faults);
    app_armor(&at.field("appArmorProfile"), faults);
    faults.one_of(&at.field("supplementalGroupsPolicy"), &["Merge", "Strict"]);
    faults.one_of(&at.field("seLinuxChangePolicy"), &["MountOption", "Recursive"]);
}

fn sysctls(list: &At<'_>, spec: &Value, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for sysctl in list.items() {
        let name = sysctl.field("name");
        if name.text().is_empty() {
            faults.required(&name, "");
        } else if !is_sysctl(name.text()) {
            faults.invalid(
                &name,
                r"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            );
        } else if taken.contains(name.text()) {
            faults.duplicate(&name);
        }
        taken.insert(name.text());
        // Whoever is in the node's namespace would set the node's.
        let dotted = name.text().replace('/', ".");
        let between = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|begin| dotted.starts_with(begin))
            || dotted == "kernel.sem";
        for (namespace, is_its) in [("hostNetwork", dotted.starts_with("net.")), ("hostIPC", between)] {
            if is_its && spec.at(&[namespace]).is_true() {
                faults.invalid(&name, &format!("may not be specified when '{namespace}' is true"));
            }
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let outer = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().copied().is_some_and(outer) && bytes.last().copied().is_some_and(outer);
        ends && bytes.iter().all(|byte| outer(*byte) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(['.', '/']).all(part)
}

/// The number of a user or group.
fn id(at: &At<'_>, faults: &mut Faults) {
    faults.between(at, 0, i64::from(i32::MAX), "must be between 0 and 2147483647, inclusive");
}

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

/// A seccomp profile: one of three types, of which one names a file.
fn seccomp(at: &At<'_>, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    let (kind, file) = (at.field("type"), at.field("localhostProfile"));
    if kind.text().is_empty() {
        faults.required(&kind, "type is required when seccompProfile is set");
    } else {
        faults.one_of(&kind, PROFILES);
    }
    if kind.text() == "Localhost" {
        if file.is_absent() {
            faults.required(&file, "must be set when seccomp type is Localhost");
        } else {
            inner_path(&file, faults);
        }
    } else if !file.is_absent() {
        let shown = internal::of("Profile", at.value);
        faults.invalid_as(&file, &shown, "can only be set when seccomp type is Localhost");
    }
}

/// An AppArmor profile, which is much the same and looked at otherwise.
fn app_armor(at: &At<'_>, faults: &mut Faults) {
    const LONGEST: usize = 4095;
    if at.is_absent() {
        return;
    }
    let (kind, file) = (at.field("type"), at.field("localhostProfile"));
    match kind.text() {
        "" => faults.required(&kind, "type is required when appArmorProfile is set"),
        "Localhost" if file.is_absent() => faults.required(&file, "must be set when AppArmor type is Localhost"),
        "Localhost" => {
            if file.text().trim() != file.text() {
                faults.invalid(&file, "must not be padded with whitespace");
            } else if file.text().is_empty() {
                faults.required(&file, "must be set when AppArmor type is Localhost");
            }
            if file.text().len() > LONGEST {
                faults.too_long(&file, LONGEST);
            }
        }
        "RuntimeDefault" | "Unconfined" if !file.is_absent() => {
            faults.invalid(&file, "can only be set when AppArmor type is Localhost");
        }
        _ => faults.one_of(&kind, PROFILES),
    }
}

fn windows(at: &At<'_>, faults: &mut Faults) {
    const SPEC_LONGEST: usize = 64 * 1024;
    let (name, spec) = (at.field("gmsaCredentialSpecName"), at.field("gmsaCredentialSpec"));
    if !name.is_absent() {
        faults.text_in(&name, names::subdomain);
    }
    if !spec.is_absent() && spec.text().is_empty() {
        faults.invalid(&spec, "gmsaCredentialSpec cannot be an empty string");
    } else if spec.text().len() > SPEC_LONGEST {
        faults.invalid(&spec, "gmsaCredentialSpec size must be under 64 KiB");
    }
    let user = at.field("runAsUserName");
    if !user.is_absent() {
        for why in windows_user(user.text()) {
            faults.invalid(&user, why);
        }
    }
}

/// `DOMAIN\user` or `user`, as Windows has them.
fn windows_user(text: &str) -> Vec<&'static str> {
    const DOMAIN_LONGEST: usize = 256;
    const USER_LONGEST: usize = 104;
    if text.is_empty() {
        return vec!["runAsUserName cannot be an empty string"];
    }
    if text.contains(|letter: char| letter.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters"];
    }
    let (domain, user) = match text.split('\\').collect::<Vec<_>>()[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return vec!["runAsUserName cannot contain more than one backslash"],
    };
    let mut why = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= DOMAIN_LONGEST) {
        why.push("runAsUserName's Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_net_bios(domain) && !is_windows_domain(domain)) {
        why.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        why.push("runAsUserName's User cannot be empty");
    } else if user.len() > USER_LONGEST {
        why.push("runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|letter| matches!(letter, '.' | ' ')) {
        why.push("runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(|letter| r#""/\:;|=,+*?<>@[]"#.contains(letter)) {
        why.push(r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#);
    }
    why
}

fn is_net_bios(domain: &str) -> bool {
    let bad = |letter: char| r#"\/:*?"<>|"#.contains(letter);
    (1..=15).contains(&domain.chars().count()) && !domain.contains(bad) && !domain.starts_with('.')
}

fn is_windows_domain(domain: &str) -> bool {
    domain.split('.').all(|part| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    })
}

/// Containers that are processes of a Windows host are so together, and on its network.
pub(super) fn host_process(spec: &At<'_>, faults: &mut Faults) {
    let said = |context: &Value| context.at(&["securityContext", "windowsOptions", "hostProcess"]).as_bool();
    let pod = said(spec.value);
    let (mut all, mut host) = (0, 0);
    for container in internal::containers(spec) {
        all += 1;
        let own = said(container.value);
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let place = container.down(&["securityContext", "windowsOptions", "hostProcess"]);
            let why = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            faults.invalid(&place, &why);
        }
        if own.or(pod) == Some(true) {
            host += 1;
        }
    }
    if host == 0 {
        return;
    }
    if host != all {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        faults.invalid_as(spec, "\"\"", why);
    }
    let network = spec.field("hostNetwork");
    if !network.value.is_true() {
        faults.invalid_as(&network, "false", "hostNetwork must be true if pod contains any hostProcess containers");
    }
}

/// Whoever has users of its own is not in the host's other namespaces.
pub(super) fn host_users(spec: &At<'_>, faults: &mut Faults) {
    const WHY: &str = "when `hostUsers` is false";
    if spec.field("hostUsers").value.as_bool() != Some(false) {
        return;
    }
    // One of the three is a field to the real paths, the others are not.
    for (field, place) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.field(field).value.is_true() {
            faults.forbidden(&spec.named(place, spec.value.at(&[field])), WHY);
        }
    }
    for container in internal::containers(spec) {
        let devices = container.field("volumeDevices");
        if !devices.value.is_empty() {
            faults.forbidden(&devices, WHY);
        }
    }
}

/// What a pod for one system may not say of another.
pub(super) fn system(spec: &At<'_>, faults: &mut Faults) {
    let os = spec.field("os");
    if os.is_absent() {
        return;
    }
    let name = os.field("name");
    if name.text().is_empty() {
        return faults.required(&name, "");
    }
    match name.text() {
        "linux" => {
            let why = "windows options cannot be set for a linux pod";
            for owner in std::iter::once(spec.clone()).chain(internal::containers(spec)) {
                let options = owner.down(&["securityContext", "windowsOptions"]);
                if !options.is_absent() {
                    faults.forbidden(&options, why);
                }
            }
        }
        "windows" => no_linux(spec, faults),
        _ => faults.unsupported_as(&os, &shown(name.value), &["linux", "windows"]),
    }
}

fn no_linux(spec: &At<'_>, faults: &mut Faults) {
    const WHY: &str = "cannot be set for a windows pod";
    let context = spec.field("securityContext");
    let mut none = |place: At<'_>, set: bool| {
        if set {
            faults.forbidden(&place, WHY);
        }
    };
    for field in [
        "appArmorProfile",
        "seLinuxOptions",
        "/hostUsers",
        "/hostPID",
        "/hostIPC",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "/shareProcessNamespace",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ] {
        match field.strip_prefix('/') {
            // Beside the security context; of two of these, `false` says nothing.
            Some(field) => {
                let place = spec.field(field);
                let set = if field.ends_with('C') || field.ends_with('D') {
                    place.value.is_true()
                } else {
                    !place.is_absent()
                };
                none(place, set);
            }
            None => none(context.field(field), !context.field(field).value.is_empty()),
        }
    }
    for container in internal::containers(spec) {
        for field in [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ] {
            let place = container.field("securityContext").field(field);
            let set = !place.is_absent();
            none(place, set);
        }
    }
}
