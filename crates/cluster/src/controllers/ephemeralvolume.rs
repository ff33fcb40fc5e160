//! The ephemeral volume controller: claims that are made for one pod and go with it.
//!
//! Knows: `pkg/controller/volume/ephemeral`: the claim's name, and that it belongs to the pod.
//! Does not know: where the volume comes from; a claim is a claim.

use super::client::{Client, Severity};
use super::{Controller, Next, children};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

const CLIENT: Client = Client::controller("ephemeral-volume-controller").telling_as("ephemeral_volume");
const CLAIMS: &str = "persistentvolumeclaims";

/// The controller.
pub(super) struct EphemeralVolumes;

impl Controller for EphemeralVolumes {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is("pods") && change.before.is_none() {
            if change.after.as_ref().is_some_and(|pod| volumes(pod).next().is_some()) {
                look(change.key.clone());
            }
        } else if change.key.is(CLAIMS) && change.after.is_none() {
            // It was taken away from under its pod: it comes back.
            let users = cluster.users(&change.key.namespace, &change.key.name);
            users.filter(|(_, pod)| volumes(pod).next().is_some()).for_each(|(key, _)| look(key.clone()));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(pod) = cluster.get(key).filter(|pod| children::is_active(pod)).cloned() else { return Next::Done };
        for volume in volumes(&pod) {
            let name = format!("{}-{}", pod.name(), volume.at(&["name"]).str_or_empty());
            // One of that name that belongs to somebody else is not used: the scheduler says so.
            if cluster.get(&key.beside(CLAIMS, name.as_str())).is_some() {
                continue;
            }
            let template = volume.at(&["ephemeral", "volumeClaimTemplate"]);
            let mut claim = doc!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": (name.as_str()), "namespace": (pod.namespace()),
                    "ownerReferences": [{
                        "apiVersion": "v1", "kind": "Pod", "name": (pod.name()), "uid": (pod.uid()),
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": (template.at(&["spec"])),
            });
            for field in ["labels", "annotations"] {
                if let Some(value) = template.find(&["metadata", field]) {
                    claim.set(&["metadata", field], value.clone());
                }
            }
            if let Err(status) = CLIENT.create(cluster, CLAIMS, claim) {
                let message = format!("ephemeral volume {}: {status}", volume.at(&["name"]).str_or_empty());
                CLIENT.event(cluster, &pod, Severity::Warning, "FailedCreate", &message);
            }
        }
        Next::Done
    }
}

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    pod.at(&["spec", "volumes"]).items().iter().filter(|volume| volume.get("ephemeral").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, delete, pod, story};

    #[test]
    fn a_pod_has_a_volume_of_its_own_made_and_takes_it_along_when_it_goes() {
        let mut cluster = cluster(&["4"]);
        create(
            &mut cluster,
            "storageclasses.storage.k8s.io",
            doc!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
                "provisioner": "disk.test", "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
            }),
        );
        let mut user = pod("a");
        let spec = doc!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}},
        });
        let template = doc!({"metadata": {"labels": {"kind": "scratch"}}, "spec": (spec)});
        user.set(&["spec", "volumes"], doc!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": (template)}}]));
        create(&mut cluster, "pods", user);
        story(&mut cluster, 20, "pods", |_| String::new());
        let phase = |cluster: &Cluster, resource: &str, name: &str| {
            let found = cluster.get(&ObjectKey::new(resource, "shop", name));
            found.map(|found| found.at(&["status", "phase"]).str_or_empty().to_owned())
        };
        assert_eq!(phase(&cluster, "pods", "a").as_deref(), Some("Running"));
        assert_eq!(phase(&cluster, CLAIMS, "a-scratch").as_deref(), Some("Bound"));
        delete(&mut cluster, "pods", "shop", "a", None);
        story(&mut cluster, 20, "pods", |_| String::new());
        assert_eq!(phase(&cluster, CLAIMS, "a-scratch"), None);
        assert_eq!(cluster.list("persistentvolumes", None).count(), 0);
    }
}
