//! The resource claim controller: claims that are made from a template for one pod.
//!
//! Knows: `pkg/controller/resourceclaim`: the claim's name and owner, and that the pod's status says which it is.
//! Does not know: devices, or who allocates them.

use super::client::{Client, Severity};
use super::{Controller, Next, children};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::scheduler::CLAIMS;
use crate::value::{Text, Value};

const CLIENT: Client = Client::controller("resource-claim-controller").telling_as("resource_claim");
const TEMPLATES: &str = "resourceclaimtemplates.resource.k8s.io";
/// Says of which of a pod's claims this one is.
const OF: &str = "resource.kubernetes.io/pod-claim-name";

/// The controller.
pub(super) struct ResourceClaims;

impl Controller for ResourceClaims {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is("pods") && change.before.is_none() {
            if change.after.as_ref().is_some_and(|pod| templates(pod).next().is_some()) {
                look(change.key.clone());
            }
        } else if change.key.is(TEMPLATES) && change.before.is_none() {
            let waiting = cluster.list("pods", Some(&change.key.namespace));
            waiting.filter(|(_, pod)| templates(pod).next().is_some()).for_each(|(key, _)| look(key.clone()));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(pod) = cluster.get(key).filter(|pod| children::is_active(pod)).cloned() else { return Next::Done };
        for (name, template) in templates(&pod) {
            let made = pod.at(&["status", "resourceClaimStatuses"]).items();
            if made.iter().any(|made| *made.at(&["name"]) == *name) {
                continue;
            }
            // Without its template the pod waits, and nobody says so.
            let Some(template) = cluster.get(&key.beside(TEMPLATES, template)).cloned() else { continue };
            match CLIENT.create(cluster, CLAIMS, claim(&pod, name, &template)) {
                Ok(made) => {
                    let entry = doc!({"name": (name), "resourceClaimName": (made.name())});
                    let _ = CLIENT.update_status(cluster, key, |pod| {
                        pod.make(&["status", "resourceClaimStatuses"]).array().push(entry);
                    });
                }
                Err(status) => {
                    let message = format!("PodResourceClaim {name}: failed to create ResourceClaim: {status}");
                    CLIENT.event(cluster, &pod, Severity::Warning, "FailedResourceClaimCreation", &message);
                }
            }
        }
        Next::Done
    }
}

/// The claims of a pod that are made from templates: the pod's name for each, and the template's name.
fn templates(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    pod.at(&["spec", "resourceClaims"]).items().iter().filter_map(|reference| {
        Some((reference.at(&["name"]).str_or_empty(), reference.at(&["resourceClaimTemplateName"]).as_str()?))
    })
}

fn claim(pod: &Value, name: &str, template: &Value) -> Value {
    let mut claim = doc!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {
            "generateName": (format!("{}-{name}-", pod.name())), "namespace": (pod.namespace()),
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": (pod.name()), "uid": (pod.uid()), "controller": true},
            ],
        },
        "spec": (template.at(&["spec", "spec"])),
    });
    if let Some(labels) = template.find(&["spec", "metadata", "labels"]) {
        claim.set(&["metadata", "labels"], labels.clone());
    }
    for (key, value) in template.at(&["spec", "metadata", "annotations"]).entries() {
        claim.set(&["metadata", "annotations", key], value.clone());
    }
    claim.set(&["metadata", "annotations", OF], Text::from(name));
    claim
}
