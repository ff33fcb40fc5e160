//! The persistent volume controller: claims find volumes, volumes are made, given back and deleted.
//!
//! Knows: `pkg/controller/volume/persistentvolume` and the protection controllers beside it, and what a provisioner does.
//! Does not know: where data is.
//!
//! The provisioner of a StorageClass is no part of Kubernetes; here every class has one that makes what it is asked for
//! at once, except `kubernetes.io/no-provisioner`.

use std::time::Duration;

use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{Controller, Next, set_alarm};
use crate::doc;
use crate::labels;
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::time;
use crate::value::{Text, Value};

/// Binds claims and volumes, and lets go of both.
pub(crate) struct PersistentVolumes;

const CLIENT: Client = Client::controller("persistentvolume-controller");

/// How long the API server takes to say which pods there are.
const ASKS: Duration = Duration::from_millis(1);
const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";
const CLASSES: &str = "storageclasses.storage.k8s.io";
const BOUND_BY_US: &str = "pv.kubernetes.io/bound-by-controller";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

impl Controller for PersistentVolumes {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        match change.key.resource.as_str() {
            CLAIMS => {
                look(change.key.clone());
                for claim in [&change.before, &change.after].into_iter().flatten() {
                    let volume = claim.at(&["spec", "volumeName"]).str_or_empty();
                    if !volume.is_empty() {
                        look(ObjectKey::new(VOLUMES, "", volume));
                    }
                }
                if change.after.is_none() {
                    // Whatever was bound to it before it knew by which name.
                    for (key, volume) in cluster.list(VOLUMES, None) {
                        if claim_key(volume).as_ref() == Some(&change.key) {
                            look(key.clone());
                        }
                    }
                }
            }
            VOLUMES => {
                look(change.key.clone());
                let gone = change.after.is_none();
                let free = change.after.as_ref().is_some_and(|volume| volume.at(&["status", "phase"]) == "Available");
                let claimed = [&change.before, &change.after].into_iter().flatten().filter_map(claim_key);
                claimed.for_each(&mut *look);
                if free || gone {
                    for (key, claim) in cluster.list(CLAIMS, None) {
                        if !is_bound(claim) {
                            look(key.clone());
                        }
                    }
                }
            }
            CLASSES => {
                for (key, claim) in cluster.list(CLAIMS, None) {
                    if !is_bound(claim) {
                        look(key.clone());
                    }
                }
            }
            // A pod that goes may be the last to use a claim that is to go.
            "pods" => {
                let over = change.after.as_ref().is_none_or(is_over);
                if over && let Some(pod) = &change.before {
                    claims_of(pod).into_iter().for_each(look);
                }
            }
            _ => {}
        }
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _alarm: &str) -> Next {
        let used = users(cluster, key).any(|pod| !is_over(pod));
        if !used && cluster.get(key).is_some_and(Value::is_terminating) {
            unprotect(cluster, key, CLAIM_PROTECTION);
        }
        Next::Done
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        if key.is(CLAIMS) {
            sync_claim(cluster, key)
        } else {
            sync_volume(cluster, key)
        }
        Next::Done
    }
}

fn sync_claim(cluster: &mut Cluster, key: &ObjectKey) {
    let Some(claim) = cluster.get(key).cloned() else { return };
    if claim.is_terminating() {
        // Before it lets go of data it asks the API server itself who uses it, and does not trust what it has seen.
        set_alarm(cluster, CLIENT.name, key, "protection", ASKS);
        return;
    }
    if is_bound(&claim) {
        let amount = |path: &[&str]| Quantity::or_zero(claim.at(path));
        if amount(&["spec", "resources", "requests", "storage"]) > amount(&["status", "capacity", "storage"]) {
            let message = "waiting for an external controller to expand this PVC";
            CLIENT.telling_as("volume_expand").event_once(
                cluster,
                &claim,
                Severity::Normal,
                "ExternalExpanding",
                message,
            );
        }
        let volume = claim.at(&["spec", "volumeName"]).str_or_empty();
        let there = cluster.get(&ObjectKey::new(VOLUMES, "", volume)).is_some();
        if !there && claim.at(&["status", "phase"]) != "Lost" {
            let _ = CLIENT.update_status(cluster, key, |claim| claim.set(&["status", "phase"], "Lost"));
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            CLIENT.event_once(cluster, &claim, Severity::Warning, "ClaimLost", message);
        }
        return;
    }
    let named = claim.at(&["spec", "volumeName"]).str_or_empty();
    if !named.is_empty() {
        match cluster.get(&ObjectKey::new(VOLUMES, "", named)) {
            Some(volume) if is_free_for(volume, &claim) => bind(cluster, key, named),
            Some(volume) if claim_key(volume).is_some_and(|of| of != *key) => {
                let message = format!("volume {named:?} already bound to a different claim.");
                CLIENT.event_once(cluster, &claim, Severity::Warning, "FailedBinding", &message);
            }
            _ => {}
        }
        return;
    }
    // One that was made for this claim is bound whatever the class says.
    let all = candidates(cluster, &claim);
    if let Some(volume) = all.iter().find(|volume| claim_key(volume).as_ref() == Some(key)) {
        bind(cluster, key, volume.name());
        return;
    }
    let class = class_of(cluster, &claim).cloned();
    if class.as_ref().is_some_and(waits_for_consumer) {
        // The scheduler says for which node, if there is no volume to be had.
        let node = claim.annotation(SELECTED_NODE).map(|name| ObjectKey::new("nodes", "", name));
        match node.and_then(|key| cluster.get(&key).cloned()) {
            Some(node) => provision(cluster, key, Some(&node)),
            None => {
                let message = "waiting for first consumer to be created before binding";
                CLIENT.event_once(cluster, &claim, Severity::Normal, "WaitForFirstConsumer", message);
            }
        }
        return;
    }
    if let Some(volume) = all.first() {
        bind(cluster, key, volume.name());
    } else if let Some(class) = class {
        if can_provision(&class) {
            provision(cluster, key, None);
        }
    } else {
        lament(cluster, &claim);
    }
}

fn sync_volume(cluster: &mut Cluster, key: &ObjectKey) {
    let Some(volume) = cluster.get(key).cloned() else { return };
    let claim = claim_key(&volume).and_then(|key| cluster.get(&key).cloned());
    let bound_to = volume.at(&["spec", "claimRef", "uid"]).str_or_empty();
    let in_use = claim.as_ref().is_some_and(|claim| claim.uid() == bound_to);
    if volume.is_terminating() {
        if !(in_use && volume.at(&["status", "phase"]) == "Bound") {
            unprotect(cluster, key, VOLUME_PROTECTION);
        }
        return;
    }
    if claim_key(&volume).is_none() || bound_to.is_empty() {
        set_phase(cluster, key, "Available");
        return;
    }
    if in_use {
        return;
    }
    if volume.at(&["status", "phase"]) != "Failed" {
        set_phase(cluster, key, "Released");
    }
    if volume.at(&["spec", "persistentVolumeReclaimPolicy"]) != "Delete" {
        return;
    }
    if let Some(why) = undeletable(&volume) {
        set_phase(cluster, key, "Failed");
        let _ = CLIENT.update_status(cluster, key, |volume| volume.set(&["status", "message"], why.as_str()));
        CLIENT.event_once(cluster, &volume, Severity::Warning, "VolumeFailedDelete", &why);
    } else if can_delete(&volume) || volume.find(&["spec", "hostPath"]).is_some() {
        // Whoever made it deletes it: the disk, and then the object.
        unprotect(cluster, key, VOLUME_PROTECTION);
        let _ = CLIENT.delete(cluster, key, &Deletion { uid: Some(volume.uid().to_owned()), ..Deletion::default() });
    }
}

/// Whether there is someone to delete what the volume stands for: a driver, but not for a local disk.
fn can_delete(volume: &Value) -> bool {
    volume.find(&["spec", "csi"]).is_some() || volume.annotation("pv.kubernetes.io/provisioned-by").is_some()
}

/// Why a volume that nobody made for a claim cannot be deleted; none if it can, or if that is somebody else's business.
fn undeletable(volume: &Value) -> Option<String> {
    if can_delete(volume) {
        return None;
    }
    if let Some(path) = volume.at(&["spec", "hostPath", "path"]).as_str() {
        let inside = path.strip_prefix("/tmp/").is_some_and(|below| !below.is_empty());
        return (!inside).then(|| format!("host_path deleter only supports /tmp/.+ but received provided {path}"));
    }
    let name = volume.name();
    Some(format!("error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"))
}

fn set_phase(cluster: &mut Cluster, key: &ObjectKey, phase: &str) {
    if cluster.get(key).is_none_or(|volume| *volume.at(&["status", "phase"]) == *phase) {
        return;
    }
    let now = time::format(cluster.now());
    let _ = CLIENT.update_status(cluster, key, |volume| {
        volume.set(&["status", "phase"], phase);
        volume.set(&["status", "lastPhaseTransitionTime"], now);
    });
}

fn unprotect(cluster: &mut Cluster, key: &ObjectKey, finalizer: &str) {
    let _ = CLIENT.update(cluster, key, |object| {
        let kept: Vec<Value> = object.finalizers().filter(|have| *have != finalizer).map(Value::from).collect();
        if object.finalizers().count() == kept.len() {
            return;
        }
        if kept.is_empty() {
            object.remove(&["metadata", "finalizers"]);
        } else {
            object.set(&["metadata", "finalizers"], kept);
        }
    });
}

/// The claims that a pod uses, those made for it included.
pub(crate) fn claims_of(pod: &Value) -> Vec<ObjectKey> {
    let volumes = pod.at(&["spec", "volumes"]).items().iter();
    let named = volumes.filter_map(|volume| {
        if let Some(claim) = volume.find(&["persistentVolumeClaim", "claimName"]) {
            return Some(Text::from(claim.str_or_empty()));
        }
        volume.get("ephemeral")?;
        Some(arcstr::format!("{}-{}", pod.name(), volume.at(&["name"]).str_or_empty()))
    });
    named.map(|name| ObjectKey::new(CLAIMS, pod.namespace(), name)).collect()
}

/// The pods that use a claim.
pub(crate) fn users<'a>(cluster: &'a Cluster, claim: &'a ObjectKey) -> impl Iterator<Item = &'a Value> {
    cluster.users(&claim.namespace, &claim.name).map(|(_, pod)| pod)
}

/// The volume a claim is bound to.
pub(crate) fn volume_of<'a>(cluster: &'a Cluster, claim: &ObjectKey) -> Option<&'a Value> {
    let name = cluster.get(claim)?.at(&["spec", "volumeName"]).str_or_empty();
    cluster.get(&ObjectKey::new(VOLUMES, "", name))
}

/// Whether a volume of a class can be made where a node is.
pub(crate) fn may_be_made_for(class: &Value, node: &Value) -> bool {
    let allowed = class.at(&["allowedTopologies"]).items();
    let holds = |term: &Value| {
        term.at(&["matchLabelExpressions"]).items().iter().all(|expression| {
            let have = node.label(expression.at(&["key"]).str_or_empty());
            expression.at(&["values"]).items().iter().any(|value| value.as_str() == have && have.is_some())
        })
    };
    allowed.is_empty() || allowed.iter().any(holds)
}

fn is_over(pod: &Value) -> bool {
    matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed")
}

/// Whether a claim has its volume.
pub(crate) fn is_bound(claim: &Value) -> bool {
    !claim.at(&["spec", "volumeName"]).is_empty()
        && (claim.annotation(BIND_COMPLETED).is_some() || claim.at(&["status", "phase"]) == "Bound")
}

/// The class of a claim.
pub(crate) fn class_of<'a>(cluster: &'a Cluster, claim: &Value) -> Option<&'a Value> {
    cluster.get(&ObjectKey::new(CLASSES, "", claim.at(&["spec", "storageClassName"]).as_str()?))
}

/// Whether claims of a class are bound only when their pod's place is known.
pub(crate) fn waits_for_consumer(class: &Value) -> bool {
    class.at(&["volumeBindingMode"]) == "WaitForFirstConsumer"
}

/// Says why a claim waits that no volume suits and that nobody makes one for.
fn lament(cluster: &mut Cluster, claim: &Value) {
    let class = claim.at(&["spec", "storageClassName"]).str_or_empty();
    if class.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        CLIENT.event_once(cluster, claim, Severity::Normal, "FailedBinding", message);
    } else {
        let message = format!("storageclass.storage.k8s.io {class:?} not found");
        CLIENT.event_once(cluster, claim, Severity::Warning, "ProvisioningFailed", &message);
    }
}

/// Whether anyone makes volumes of a class.
pub(crate) fn can_provision(class: &Value) -> bool {
    class.at(&["provisioner"]) != "kubernetes.io/no-provisioner"
}

fn claim_key(volume: &Value) -> Option<ObjectKey> {
    let claim = volume.find(&["spec", "claimRef"])?;
    Some(ObjectKey::new(CLAIMS, claim.at(&["namespace"]).str_or_empty(), claim.at(&["name"]).str_or_empty()))
}

fn is_free_for(volume: &Value, claim: &Value) -> bool {
    match claim_key(volume) {
        None => true,
        Some(key) => {
            let uid = volume.at(&["spec", "claimRef", "uid"]).str_or_empty();
            key.namespace == claim.namespace() && key.name == claim.name() && (uid.is_empty() || uid == claim.uid())
        }
    }
}

/// The volumes that a claim could be bound to: those meant for it, then the smallest first.
pub(crate) fn candidates(cluster: &Cluster, claim: &Value) -> Vec<Value> {
    let asked = Quantity::or_zero(claim.at(&["spec", "resources", "requests", "storage"]));
    let field =
        |object: &Value, name: &str, default: &str| object.at(&["spec", name]).as_str().unwrap_or(default).to_owned();
    let class = |object: &Value| field(object, "storageClassName", "");
    let mode = |object: &Value| field(object, "volumeMode", "Filesystem");
    let modes = |object: &Value| object.at(&["spec", "accessModes"]).items().to_vec();
    let size = |volume: &Value| Quantity::or_zero(volume.at(&["spec", "capacity", "storage"]));
    let selector = claim.at(&["spec", "selector"]);
    let mut fitting: Vec<Value> = cluster
        .list(VOLUMES, None)
        .map(|(_, volume)| volume)
        .filter(|volume| !volume.is_terminating() && is_free_for(volume, claim))
        .filter(|volume| class(volume) == class(claim) && mode(volume) == mode(claim) && size(volume) >= asked)
        .filter(|volume| modes(claim).iter().all(|wanted| modes(volume).contains(wanted)))
        .filter(|volume| selector.is_null() || labels::matches(selector, volume.labels()))
        .cloned()
        .collect();
    fitting.sort_by_key(|volume| (claim_key(volume).is_none(), size(volume), Text::from(volume.name())));
    fitting
}

/// Binds a claim and a volume to each other.
pub(crate) fn bind(cluster: &mut Cluster, claim_key: &ObjectKey, volume: &str) {
    let volume_key = ObjectKey::new(VOLUMES, "", volume);
    let Some(claim) = cluster.get(claim_key).cloned() else { return };
    let _ = CLIENT.update(cluster, &volume_key, |volume| {
        let meant = volume.find(&["spec", "claimRef"]).is_some();
        volume.set(
            &["spec", "claimRef"],
            doc!({
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": (claim.namespace()),
                "name": (claim.name()), "uid": (claim.uid()), "resourceVersion": (claim.resource_version()),
            }),
        );
        if !meant {
            volume.set(&["metadata", "annotations", BOUND_BY_US], "yes");
        }
    });
    set_phase(cluster, &volume_key, "Bound");
    let Some(volume) = cluster.get(&volume_key).cloned() else { return };
    let _ = CLIENT.update(cluster, claim_key, |claim| {
        if claim.at(&["spec", "volumeName"]).is_empty() {
            claim.set(&["spec", "volumeName"], volume.name());
            claim.set(&["metadata", "annotations", BOUND_BY_US], "yes");
        }
        claim.set(&["metadata", "annotations", BIND_COMPLETED], "yes");
    });
    let _ = CLIENT.update_status(cluster, claim_key, |claim| {
        claim.set(&["status", "phase"], "Bound");
        claim.set(&["status", "accessModes"], volume.at(&["spec", "accessModes"]));
        claim.set(&["status", "capacity"], volume.at(&["spec", "capacity"]));
    });
}

/// Makes a volume for a claim, as the provisioner of its class would, and binds it.
pub(crate) fn provision(cluster: &mut Cluster, claim_key: &ObjectKey, node: Option<&Value>) {
    let Some(claim) = cluster.get(claim_key).cloned() else { return };
    let Some(class) = class_of(cluster, &claim).filter(|class| can_provision(class)).cloned() else { return };
    let provisioner = class.at(&["provisioner"]).str_or_empty();
    let name = format!("pvc-{}", claim.uid());
    let mut volume = doc!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": (&name), "annotations": {"pv.kubernetes.io/provisioned-by": (provisioner)}},
        "spec": {
            "accessModes": (claim.at(&["spec", "accessModes"])),
            "capacity": {"storage": (claim.at(&["spec", "resources", "requests", "storage"]))},
            "claimRef": {
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": (claim.namespace()),
                "name": (claim.name()), "uid": (claim.uid()), "resourceVersion": (claim.resource_version()),
            },
            "persistentVolumeReclaimPolicy": (class.at(&["reclaimPolicy"]).as_str().unwrap_or("Delete")),
            "storageClassName": (class.name()),
            "volumeMode": (claim.at(&["spec", "volumeMode"]).as_str().unwrap_or("Filesystem")),
        },
    });
    // The name of a CSI driver has no slash; a provisioner that has one makes volumes of another kind, on the node.
    if provisioner.contains('/') {
        volume.set(&["spec", "hostPath"], doc!({"path": (format!("/var/lib/volumes/{name}"))}));
    } else {
        volume.set(&["spec", "csi"], doc!({"driver": (provisioner), "volumeHandle": (&name)}));
    }
    let zone = "topology.kubernetes.io/zone";
    if let Some(at) = node.and_then(|node| node.label(zone)) {
        let term = doc!({"matchExpressions": [{"key": (zone), "operator": "In", "values": [(at)]}]});
        volume.set(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"], doc!([(term)]));
    }
    let _ = CLIENT.update(cluster, claim_key, |claim| {
        for key in ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"] {
            claim.set(&["metadata", "annotations", key], provisioner);
        }
        if let Some(node) = node {
            claim.set(&["metadata", "annotations", SELECTED_NODE], node.name());
        }
    });
    if CLIENT.create(cluster, VOLUMES, volume).is_ok() {
        bind(cluster, claim_key, &name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, delete, pod};
    use std::time::Duration;

    fn volume(name: &str, size: &str, class: &str, policy: &str) -> Value {
        doc!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": (name)},
            "spec": {
                "capacity": {"storage": (size)}, "accessModes": ["ReadWriteOnce"], "storageClassName": (class),
                "persistentVolumeReclaimPolicy": (policy), "csi": {"driver": "disk.test", "volumeHandle": (name)},
            },
        })
    }

    fn claim(name: &str, size: &str, class: &str) -> Value {
        doc!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": (name), "namespace": "shop"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": (class), "resources": {"requests": {"storage": (size)}},
            },
        })
    }

    fn class(name: &str, provisioner: &str, mode: &str) -> Value {
        doc!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": (name)},
            "provisioner": (provisioner), "reclaimPolicy": "Delete", "volumeBindingMode": (mode),
        })
    }

    fn user(name: &str, claim: &str) -> Value {
        let mut pod = pod(name);
        pod.set(&["spec", "volumes"], doc!([{"name": "d", "persistentVolumeClaim": {"claimName": (claim)}}]));
        pod
    }

    /// Settles, and says of every claim and volume which phase it is in and what it is bound to.
    fn phases(cluster: &mut Cluster) -> Vec<String> {
        cluster.advance(cluster.now() + Duration::from_secs(10));
        let mut said: Vec<String> = Vec::new();
        for (key, object) in cluster.list(CLAIMS, None).chain(cluster.list(VOLUMES, None)) {
            let name = if key.name.starts_with("pvc-") { "pvc-*" } else { key.name.as_str() };
            said.push(format!("{name} {}", object.at(&["status", "phase"]).str_or_empty()));
        }
        said
    }

    #[test]
    fn a_claim_takes_the_smallest_volume_that_is_large_enough() {
        let mut cluster = cluster(&["4"]);
        for (name, size) in [("big", "9Gi"), ("small", "1Gi"), ("right", "5Gi")] {
            create(&mut cluster, VOLUMES, volume(name, size, "", "Retain"));
        }
        create(&mut cluster, CLAIMS, claim("data", "2Gi", ""));
        assert_eq!(phases(&mut cluster), ["data Bound", "big Available", "right Bound", "small Available"]);
    }

    #[test]
    fn a_claim_in_use_goes_with_its_pod_and_its_volume_by_the_policy() {
        for (policy, left) in [("Retain", vec!["v Released"]), ("Delete", vec![])] {
            let mut cluster = cluster(&["4"]);
            create(&mut cluster, VOLUMES, volume("v", "1Gi", "", policy));
            create(&mut cluster, CLAIMS, claim("data", "1Gi", ""));
            phases(&mut cluster);
            create(&mut cluster, "pods", user("a", "data"));
            phases(&mut cluster);
            delete(&mut cluster, CLAIMS, "shop", "data", None);
            assert_eq!(phases(&mut cluster), ["data Bound", "v Bound"], "a pod uses it");
            delete(&mut cluster, "pods", "shop", "a", None);
            assert_eq!(phases(&mut cluster), left, "{policy}");
        }
    }

    #[test]
    fn a_volume_is_made_where_the_first_pod_goes_if_the_class_waits_for_it() {
        for provisioner in ["disk.test", "disk.test/local-path"] {
            let mut cluster = cluster(&["4"]);
            create(&mut cluster, CLASSES, class("fast", provisioner, "WaitForFirstConsumer"));
            create(&mut cluster, CLAIMS, claim("data", "1Gi", "fast"));
            assert_eq!(phases(&mut cluster), ["data Pending"]);
            create(&mut cluster, "pods", user("a", "data"));
            assert_eq!(phases(&mut cluster), ["data Bound", "pvc-* Bound"], "{provisioner}");
            let pod = cluster.get(&ObjectKey::new("pods", "shop", "a")).unwrap();
            assert_eq!(pod.at(&["status", "phase"]), &Value::from("Running"));
        }
    }

    #[test]
    fn a_claim_says_once_what_it_waits_for() {
        let waits = "Normal WaitForFirstConsumer x1 waiting for first consumer to be created before binding";
        let alone =
            "Normal FailedBinding x1 no persistent volumes available for this claim and no storage class is set";
        let unknown = "Warning ProvisioningFailed x1 storageclass.storage.k8s.io \"slow\" not found";
        for (asked, want) in [("fast", waits), ("", alone), ("slow", unknown)] {
            let mut cluster = cluster(&["4"]);
            create(&mut cluster, CLASSES, class("fast", "disk.test", "WaitForFirstConsumer"));
            create(&mut cluster, CLAIMS, claim("data", "1Gi", asked));
            phases(&mut cluster);
            create(&mut cluster, VOLUMES, volume("v", "1Gi", "other", "Retain"));
            phases(&mut cluster);
            let said = cluster.list("events", Some("shop")).map(|(_, event)| {
                let text = |field: &str| event.at(&[field]).str_or_empty().to_owned();
                format!("{} {} x{} {}", text("type"), text("reason"), event.at(&["count"]), text("message"))
            });
            assert_eq!(said.collect::<Vec<_>>(), [want]);
        }
    }

    #[test]
    fn a_claim_whose_volume_was_deleted_is_lost() {
        let mut cluster = cluster(&["4"]);
        create(&mut cluster, VOLUMES, volume("v", "1Gi", "", "Retain"));
        create(&mut cluster, CLAIMS, claim("data", "1Gi", ""));
        phases(&mut cluster);
        cluster.write(&ObjectKey::new(VOLUMES, "", "v"), None);
        assert_eq!(phases(&mut cluster), ["data Lost"]);
    }
}
