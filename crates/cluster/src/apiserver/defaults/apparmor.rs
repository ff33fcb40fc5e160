//! AppArmor profiles as annotations, from before there were fields for them.
//!
//! Knows: what an annotation means as a field.
//! Does not know: which profiles may be used.

use crate::doc;
use crate::value::Value;

const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Says in the fields of a new pod what only its annotations say. Gives what its author should be told of it.
#[must_use]
pub(in crate::apiserver) fn from_annotations(pod: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if pod.at(&["spec", "os", "name"]) == "windows" || pod.at(&["metadata", "annotations"]).is_empty() {
        return warnings;
    }
    let of_pod = pod.at(&["spec", "securityContext", "appArmorProfile"]).clone();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let mut containers = pod.at(&["spec", list]).items().to_vec();
        for container in &mut containers {
            let key = format!("{PREFIX}{}", container.at(&["name"]).str_or_empty());
            let Some(annotation) = pod.annotation(&key) else { continue };
            if !container.at(&["securityContext", "appArmorProfile"]).is_null() {
                continue;
            }
            let profile = profile(annotation);
            if profile.as_ref() == Some(&of_pod) {
                continue;
            }
            if let Some(profile) = profile {
                container.set(&["securityContext", "appArmorProfile"], profile);
            }
            let place = format!("metadata.annotations[{key}]");
            warnings.push(format!("{place}: deprecated since v1.30; use the \"appArmorProfile\" field instead"));
        }
        if containers.as_slice() != pod.at(&["spec", list]).items() {
            pod.set(&["spec", list], containers);
        }
    }
    warnings
}

fn profile(annotation: &str) -> Option<Value> {
    match annotation.split_once('/') {
        Some(("runtime", "default")) => Some(doc!({"type": "RuntimeDefault"})),
        Some(("localhost", name)) if !name.trim().is_empty() && name.trim() == name => {
            Some(doc!({"type": "Localhost", "localhostProfile": (name)}))
        }
        None if annotation == "unconfined" => Some(doc!({"type": "Unconfined"})),
        _ => None,
    }
}
