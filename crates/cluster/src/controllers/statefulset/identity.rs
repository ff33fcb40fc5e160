//! What is one pod's own in a StatefulSet: its name, its labels, its claims, and when those go with it.
//!
//! Knows: `pkg/controller/statefulset/stateful_set_utils.go`.
//! Does not know: in which order pods come and go.

use super::super::children::{self, Kind};
use super::super::client::Severity;
use super::super::history;
use super::CLIENT;
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

const CLAIMS: &str = "persistentvolumeclaims";
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinal of a pod, if its name is one of the set's.
pub(super) fn ordinal(set: &Value, pod: &str) -> Option<i64> {
    pod.strip_prefix(set.name())?.strip_prefix('-')?.parse().ok().filter(|ordinal| *ordinal >= 0)
}

fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", template.name(), set.name())
}

/// Gives a pod back the labels that say who it is, if someone took them.
pub(super) fn label(cluster: &mut Cluster, key: &ObjectKey, ordinal: i64) {
    let _ = CLIENT.update(cluster, key, |pod| {
        for (label, value) in [(POD_NAME, key.name.to_string()), (POD_INDEX, ordinal.to_string())] {
            if pod.label(label) != Some(&value) {
                pod.set(&["metadata", "labels", label], value);
            }
        }
    });
}

/// The pod of an ordinal, as a revision describes it.
pub(super) fn pod(kind: Kind, set: &Value, revision: &Value, ordinal: i64) -> Value {
    let name = format!("{}-{ordinal}", set.name());
    let mut pod = children::pod(kind, set, &history::template(revision), Some(&name));
    pod.set(&["metadata", "generateName"], format!("{}-", set.name()));
    pod.set(&["metadata", "labels", POD_NAME], name.as_str());
    pod.set(&["metadata", "labels", POD_INDEX], ordinal.to_string());
    pod.set(&["metadata", "labels", history::REVISION_LABEL], revision.name());
    pod.set(&["spec", "hostname"], name.as_str());
    let service = set.at(&["spec", "serviceName"]);
    if !service.is_empty() {
        pod.set(&["spec", "subdomain"], service.clone());
    }
    let templates = set.at(&["spec", "volumeClaimTemplates"]).items();
    if !templates.is_empty() {
        let claimed = templates.iter().map(|template| {
            doc!({
                "name": (template.name()),
                "persistentVolumeClaim": {"claimName": (claim_name(set, template, ordinal))},
            })
        });
        // A claim's volume stands in for one of the same name in the template.
        let others = pod.at(&["spec", "volumes"]).items().iter();
        let others =
            others.filter(|volume| !templates.iter().any(|template| *volume.at(&["name"]) == *template.name()));
        let volumes: Value = claimed.chain(others.cloned()).collect();
        pod.set(&["spec", "volumes"], volumes);
    }
    pod
}

/// Makes the claims of an ordinal that are not there. One that is there is taken as it is.
pub(super) fn make_claims(cluster: &mut Cluster, set: &Value, ordinal: i64) -> Result<(), Status> {
    for template in set.at(&["spec", "volumeClaimTemplates"]).items() {
        let name = claim_name(set, template, ordinal);
        let key = ObjectKey::new(CLAIMS, set.namespace(), name.as_str());
        if cluster.get(&key).is_some() {
            continue;
        }
        let mut claim = template.clone();
        claim.set(&["apiVersion"], "v1");
        claim.set(&["kind"], "PersistentVolumeClaim");
        claim.set(&["metadata", "name"], name.as_str());
        claim.set(&["metadata", "namespace"], set.namespace());
        for (label, value) in set.at(&["spec", "selector", "matchLabels"]).entries() {
            claim.set(&["metadata", "labels", label], value.clone());
        }
        claim.remove(&["status"]);
        let (of, pod) = (set.name(), format!("{}-{ordinal}", set.name()));
        match CLIENT.create(cluster, CLAIMS, claim) {
            Ok(_) => {
                let message = format!("Create Claim {name} Pod {pod} in StatefulSet {of} success");
                CLIENT.event(cluster, set, Severity::Normal, "SuccessfulCreate", &message);
            }
            Err(status) => {
                let message = format!("Create Claim {name} for Pod {pod} in StatefulSet {of} failed error: {status}");
                CLIENT.event(cluster, set, Severity::Warning, "FailedCreate", &message);
                return Err(status);
            }
        }
    }
    Ok(())
}

/// Has a pod's claims go with the set, with the pod, or stay, as `persistentVolumeClaimRetentionPolicy` says.
pub(super) fn retain_claims(cluster: &mut Cluster, set: &Value, pod: &Value, condemned: bool) {
    let Some(ordinal) = ordinal(set, pod.name()) else { return };
    let goes = |when: &str| set.at(&["spec", "persistentVolumeClaimRetentionPolicy", when]) == "Delete";
    let with_pod = condemned && goes("whenScaled");
    let with_set = goes("whenDeleted") && !with_pod;
    for template in set.at(&["spec", "volumeClaimTemplates"]).items() {
        let key = ObjectKey::new(CLAIMS, set.namespace(), claim_name(set, template, ordinal));
        let _ = CLIENT.update(cluster, &key, |claim| {
            own(claim, set, "apps/v1", "StatefulSet", with_set);
            own(claim, pod, "v1", "Pod", with_pod);
        });
    }
}

/// Makes sure that a claim names an owner, or does not.
fn own(claim: &mut Value, owner: &Value, api_version: &str, kind: &str, wanted: bool) {
    let have = claim.owners().any(|have| have.uid() == owner.uid());
    if wanted && !have {
        claim.make(&["metadata", "ownerReferences"]).array().push(doc!({
            "apiVersion": (api_version), "kind": (kind), "name": (owner.name()), "uid": (owner.uid()),
            "controller": true, "blockOwnerDeletion": true,
        }));
    } else if have && !wanted {
        claim.make(&["metadata", "ownerReferences"]).array().retain(|have| have.at(&["uid"]) != owner.uid());
        if claim.at(&["metadata", "ownerReferences"]).is_empty() {
            claim.remove(&["metadata", "ownerReferences"]);
        }
    }
}
