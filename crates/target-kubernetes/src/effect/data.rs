//! Claims given up and volumes lost.
//!
//! Knows: PersistentVolumeClaims, PersistentVolumes and their reclaim policies.
//! Does not know: what is on a volume, or who keeps a copy of it elsewhere.

use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, ObjectRef};

use super::ledger::{Ledger, Net, reference};

const SNAPSHOTS: &str = "volumesnapshots.snapshot.storage.k8s.io";

/// Fills in what becomes of stored data.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.of("persistentvolumeclaims") {
        let Some(claim) = net.before else { continue };
        // A claim that waits for its pods before it goes is given up all the same: nothing stops it but their stay.
        if net.is_deletion() || net.begins_to_terminate() {
            forecast.claims_deleted.sure.insert(reference(key, claim));
        }
    }
    for (key, net) in ledger.of("persistentvolumes") {
        let Some(volume) = net.before else { continue };
        let volume_ref = reference(key, volume);
        match fate(net) {
            Fate::Kept => {}
            Fate::Lost => {
                forecast.volumes_lost.sure.insert(volume_ref);
            }
            Fate::Unsure => {
                forecast.volumes_lost.possible.insert(volume_ref);
            }
        }
    }
    lost_with_pods(ledger, forecast);
    last_copies(ledger, forecast);
}

/// A snapshot is worth what it is the last of: its source may be read again, and another one restored.
fn last_copies(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let ready = |snapshot: &Value| snapshot.at(&["status", "readyToUse"]).is_true() && !snapshot.is_terminating();
    let source = |snapshot: &Value| snapshot.at(&["spec", "source"]).clone();
    for (key, net) in ledger.of(SNAPSHOTS) {
        let goes = net.is_deletion() || net.begins_to_terminate();
        let Some(gone) = net.before.filter(|old| ready(old) && goes) else { continue };
        let mut others = ledger.after.list(SNAPSHOTS, Some(&key.namespace));
        if !others.any(|(_, other)| ready(other) && source(other) == source(gone)) {
            forecast.volumes_lost.sure.insert(reference(key, gone));
        }
    }
}

enum Fate {
    Kept,
    Lost,
    /// Whether the storage goes too is up to a driver that is not simulated.
    Unsure,
}

fn fate(net: &Net<'_>) -> Fate {
    let reclaim = |volume: &Value| volume.at(&["spec", "persistentVolumeReclaimPolicy"]).str_or_empty().to_owned();
    let phase = |volume: &Value| volume.at(&["status", "phase"]).str_or_empty().to_owned();
    let Some(before) = net.before else { return Fate::Kept };
    let Some(after) = net.after.filter(|_| !net.is_deletion()) else {
        // Deleting the object under Retain leaves the storage where it is.
        return if reclaim(before) == "Retain" { Fate::Kept } else { Fate::Lost };
    };
    let released = phase(after) == "Released" || phase(after) == "Failed";
    if released && phase(before) != phase(after) && reclaim(after) == "Delete" {
        if after.annotation("pv.kubernetes.io/provisioned-by").is_some() { Fate::Lost } else { Fate::Unsure }
    } else {
        Fate::Kept
    }
}

/// Pods may keep state in volumes that end with them. Whether anybody minds is not known, unless the pod says that it must
/// not be lost.
fn lost_with_pods(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.of("pods") {
        let Some(pod) = net.before.filter(|_| net.is_deletion() || net.begins_to_terminate()) else { continue };
        let kept = pod.annotation("cluster-autoscaler.kubernetes.io/safe-to-evict") == Some("false");
        let scratch = pod.at(&["spec", "volumes"]).items().iter().any(|volume| volume.get("emptyDir").is_some());
        if kept && scratch {
            forecast.volumes_lost.possible.insert(ObjectRef::namespaced(
                "Pod",
                key.namespace.as_str(),
                key.name.as_str(),
            ));
        }
    }
}

/// Of what a forecast said would be lost: what is.
pub(crate) fn observed(cluster: &Cluster, told: &Forecast, seen: &mut Forecast) {
    let gone = |resource: &str, object: &ObjectRef| {
        let key = ObjectKey::new(resource, object.namespace.as_deref().unwrap_or(""), object.name.as_str());
        cluster.get(&key).is_none_or(Value::is_terminating)
    };
    let lost = told.volumes_lost.iter().map(|(object, _)| object);
    seen.volumes_lost.sure = lost.filter(|object| gone("persistentvolumes", object)).cloned().collect();
    let given_up = told.claims_deleted.iter().map(|(object, _)| object);
    seen.claims_deleted.sure = given_up.filter(|object| gone("persistentvolumeclaims", object)).cloned().collect();
}
