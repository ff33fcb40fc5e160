//! What the cluster's own rules fill in or refuse: the admission plugins that a stock API server runs, in its order.
//!
//! Knows: the plugins, and what of the cluster each looks at.
//! Does not know: webhooks. What they would say only the real server knows; a rehearsal asks it.
//!
//! A new object passes [`mutate`] after it is defaulted, then the strategy and validation, then [`validate`] last, just
//! before it is stored: so an object that is both invalid and over its quota is told that it is invalid.
//!
//! | file | plugins |
//! |---|---|
//! | `limits` | LimitRanger |
//! | `account` | ServiceAccount |
//! | `certificates` | CertificateApproval, CertificateSigning, CertificateSubjectRestriction, ClusterTrustBundleAttest |
//! | `security` | PodSecurity |
//! | `priority` | Priority, RuntimeClass, DefaultTolerationSeconds: what a pod is given from classes |
//! | `storage` | DefaultStorageClass, StorageObjectInUseProtection, PersistentVolumeClaimResize, DefaultIngressClass |
//! | here | TaintNodesByCondition |
//! | `quota` | ResourceQuota |
//! | `policy`, beside this | ValidatingAdmissionPolicy, MutatingAdmissionPolicy |
//! | `addresses` | no plugin, but like one: what is handed out to Services |

mod account;
mod addresses;
mod certificates;
mod limits;
mod priority;
mod quota;
mod security;
mod storage;
#[cfg(test)]
mod tests;

use super::registry::Writer;
use super::{Status, defaults, policy, subresources};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// What is being written.
#[derive(Clone, Copy)]
pub(super) struct Write<'a> {
    /// Where.
    pub(super) key: &'a ObjectKey,
    /// What is there now, if this is a change.
    pub(super) old: Option<&'a Value>,
    /// Who writes. If nothing will be stored, nothing is charged either.
    pub(super) writer: &'a Writer,
}

impl Write<'_> {
    fn is_create(&self) -> bool {
        self.old.is_none()
    }

    /// The same as policies see it.
    fn attempt<'b>(&'b self, object: Option<&'b Value>) -> policy::Attempt<'b> {
        policy::Attempt { writer: self.writer, key: self.key, object, old: self.old, connects: false }
    }

    /// Tells the writer of something that does not keep it from writing.
    fn warn(&self, warning: String) {
        self.writer.heard.borrow_mut().push(warning);
    }

    /// The refusal of a plugin, in the words of all of them.
    fn forbidden(&self, why: &str) -> Status {
        Status::forbidden(&self.key.resource, &self.key.name, why)
    }
}

/// Fills in what the cluster knows and the object does not say.
///
/// # Errors
/// What a plugin refuses because what it would fill in is not there, or because it was said and may not be.
pub(super) fn mutate(cluster: &mut Cluster, write: Write<'_>, object: &mut Value) -> Result<(), Status> {
    fill(cluster, write, object)?;
    // A scale is no object by itself: what a policy makes of it is made of the number.
    if write.writer.subresource == "scale" {
        return subresources::through_scale(cluster, &write.key.resource, object, |cluster, scale| {
            let before = scale.clone();
            policy::mutate(cluster, &write.attempt(Some(&before)), scale).map(|_| ())
        });
    }
    let before = object.clone();
    if policy::mutate(cluster, &write.attempt(Some(&before)), object)? {
        // What a policy put there may lack something itself, and who filled in before it fills in once more.
        defaults::apply(&write.key.resource, object);
        if write.key.is("pods") && write.is_create() {
            fill(cluster, write, object)?;
        }
        if object.namespace() != write.key.namespace.as_str() {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(why));
        }
    }
    Ok(())
}

fn fill(cluster: &mut Cluster, write: Write<'_>, object: &mut Value) -> Result<(), Status> {
    if !write.is_create() {
        match (write.key.resource.as_str(), write.old) {
            ("services", _) => addresses::hand_out(cluster, write, object)?,
            ("pods", Some(old)) => {
                priority::keep(object, old);
                priority::tolerate(object);
            }
            _ => {}
        }
        return Ok(());
    }
    match write.key.resource.as_str() {
        "pods" => {
            limits::fill(cluster, write, object);
            account::give(cluster, write, object)?;
            priority::resolve(cluster, write, object)?;
            priority::tolerate(object);
            priority::run_with(cluster, write, object)?;
            crate::scheduler::take_topology(cluster, object);
        }
        "persistentvolumeclaims" => {
            storage::class(cluster, object);
            storage::protect(object, "kubernetes.io/pvc-protection");
        }
        "persistentvolumes" => storage::protect(object, "kubernetes.io/pv-protection"),
        "volumeattributesclasses.storage.k8s.io" => storage::protect(object, "kubernetes.io/vac-protection"),
        "ingresses.networking.k8s.io" => storage::ingress_class(cluster, object),
        "services" => addresses::hand_out(cluster, write, object)?,
        "nodes" => taint(object),
        _ => {}
    }
    Ok(())
}

/// `plugin/pkg/admission/nodetaint`: nobody has seen a new node ready.
fn taint(node: &mut Value) {
    const KEY: &str = "node.kubernetes.io/not-ready";
    let same = |taint: &Value| taint.at(&["key"]) == KEY && taint.at(&["effect"]) == "NoSchedule";
    if !node.at(&["spec", "taints"]).items().iter().any(same) {
        let taint = doc!({"key": (KEY), "effect": "NoSchedule"});
        node.make(&["spec", "taints"]).array().push(taint);
    }
}

/// Refuses what breaks a rule of the cluster, and charges what does not to its quota.
///
/// # Errors
/// What the first plugin that refuses says.
pub(super) fn validate(cluster: &mut Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    limits::check(cluster, write, object)?;
    if write.key.is("pods") {
        account::check(cluster, write, object)?;
    }
    security::check(cluster, write, object)?;
    priority::check_class(cluster, write, object)?;
    storage::check_resize(cluster, write, object)?;
    if write.key.is("pods") {
        priority::check_overhead(cluster, write, object)?;
    }
    certificates::check(cluster, write, object)?;
    policy::validate(cluster, &write.attempt(Some(object)))?;
    quota::charge(cluster, write, object)
}

/// Refuses a status that breaks a rule of the cluster. Whoever writes one that is not the main part says so to policies.
///
/// # Errors
/// What the first policy that refuses says.
pub(super) fn validate_status(cluster: &Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    let mut writer = write.writer.clone();
    if writer.subresource.is_empty() {
        writer.subresource = "status".into();
    }
    let write = Write { writer: &writer, ..write };
    certificates::check(cluster, write, object)?;
    policy::validate(cluster, &write.attempt(Some(object)))
}

/// Refuses what is made below an object, such as an eviction, and breaks a rule of the cluster.
///
/// # Errors
/// What the first policy that refuses says.
pub(super) fn validate_below(cluster: &Cluster, key: &ObjectKey, made: &Value, writer: &Writer) -> Result<(), Status> {
    let attempt = policy::Attempt { writer, key, object: Some(made), old: None, connects: false };
    policy::mutate(cluster, &attempt, &mut made.clone())?;
    policy::validate(cluster, &attempt)
}

/// Refuses a stream into an object, opened with certain options, that breaks a rule of the cluster.
///
/// # Errors
/// What the first policy that refuses says.
pub(super) fn validate_connect(
    cluster: &Cluster,
    key: &ObjectKey,
    options: &Value,
    writer: &Writer,
) -> Result<(), Status> {
    policy::validate(cluster, &policy::Attempt { writer, key, object: Some(options), old: None, connects: true })
}

/// Refuses to let go of what a rule of the cluster keeps.
///
/// # Errors
/// What the first policy that refuses says.
pub(super) fn validate_delete(cluster: &Cluster, write: Write<'_>) -> Result<(), Status> {
    policy::validate(cluster, &write.attempt(None))
}

/// Refuses to let go of what the cluster cannot be without.
///
/// # Errors
/// If it is one of the namespaces or priority classes that the API server makes for itself.
pub(super) fn delete(key: &ObjectKey) -> Result<(), Status> {
    let immortal = matches!(key.name.as_str(), "default" | "kube-system" | "kube-public");
    if key.is("namespaces") && immortal {
        return Err(Status::forbidden(&key.resource, &key.name, "this namespace may not be deleted"));
    }
    if key.is("priorityclasses.scheduling.k8s.io") && key.name.starts_with("system-") {
        let why = "this is a system priority class and cannot be deleted";
        return Err(Status::forbidden(&key.resource, &key.name, why));
    }
    Ok(())
}
