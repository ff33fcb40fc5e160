//! Classes that are chosen for who chooses none, and what is kept while it is in use.
//!
//! Knows: the default classes, the protection finalizers, which claims may grow.
//! Does not know: volumes.

use super::Write;
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::value::{Text, Value};

const STORAGE_CLASSES: &str = "storageclasses.storage.k8s.io";
const DEFAULT_STORAGE: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const DEFAULT_INGRESS: &[&str] = &["ingressclass.kubernetes.io/is-default-class"];

/// `StorageObjectInUseProtection`
pub(super) fn protect(object: &mut Value, finalizer: &str) {
    if !object.finalizers().any(|have| have == finalizer) {
        object.make(&["metadata", "finalizers"]).array().push(Value::from(finalizer));
    }
}

/// `DefaultStorageClass`; an empty name is a choice too.
pub(super) fn class(cluster: &Cluster, claim: &mut Value) {
    let old_way = claim.annotation("volume.beta.kubernetes.io/storage-class").is_some();
    if claim.find(&["spec", "storageClassName"]).is_none()
        && !old_way
        && let Some(name) = default_class(cluster, STORAGE_CLASSES, DEFAULT_STORAGE)
    {
        claim.set(&["spec", "storageClassName"], name);
    }
}

/// `DefaultIngressClass`
pub(super) fn ingress_class(cluster: &Cluster, ingress: &mut Value) {
    let old_way = ingress.annotation("kubernetes.io/ingress.class").is_some();
    if ingress.find(&["spec", "ingressClassName"]).is_none()
        && !old_way
        && let Some(name) = default_class(cluster, "ingressclasses.networking.k8s.io", DEFAULT_INGRESS)
    {
        ingress.set(&["spec", "ingressClassName"], name);
    }
}

/// Of several defaults the newest counts, and of those the first by name.
fn default_class(cluster: &Cluster, resource: &str, annotations: &[&str]) -> Option<Text> {
    let classes = cluster.list(resource, None);
    let defaults = classes.filter(|(_, class)| annotations.iter().any(|name| class.annotation(name) == Some("true")));
    defaults
        .max_by_key(|(key, class)| (class.created(), std::cmp::Reverse(key.name.clone())))
        .map(|(key, _)| key.name.clone())
}

/// `PersistentVolumeClaimResize`: a claim grows only where its class lets it.
pub(super) fn check_resize(cluster: &Cluster, write: Write<'_>, claim: &Value) -> Result<(), Status> {
    let Some(old) = write.old.filter(|_| write.key.is("persistentvolumeclaims")) else { return Ok(()) };
    let size = |claim: &Value| Quantity::or_zero(claim.at(&["spec", "resources", "requests", "storage"]));
    if size(claim) <= size(old) {
        return Ok(());
    }
    let name = claim.at(&["spec", "storageClassName"]).str_or_empty();
    let class = cluster.get(&ObjectKey::new(STORAGE_CLASSES, "", name));
    if class.is_some_and(|class| class.at(&["allowVolumeExpansion"]).is_true()) {
        return Ok(());
    }
    Err(write.forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    ))
}
