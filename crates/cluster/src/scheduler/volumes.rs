//! The claims of a pod: which nodes their volumes can be used on, and binding them when the pod's place is known.
//!
//! Knows: plugins VolumeBinding, VolumeZone, VolumeRestrictions and NodeVolumeLimits.
//! Does not know: how a volume is bound or made; `controllers::persistentvolume` does.

use std::collections::BTreeSet;

use super::{Plugin, Refusal, affinity};
use crate::cluster::Cluster;
use crate::controllers::persistentvolume as binder;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

/// What a pod's claims ask of a node.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// Volumes that are bound, by their claims.
    bound: Vec<Value>,
    /// A claim is bound to a volume that is not there.
    lost: bool,
    /// Claims that wait for a node, each with the volumes that it could have.
    delayed: Vec<Delayed>,
    /// Claims that only one pod of the cluster may use, and that one uses.
    exclusive_taken: bool,
}

#[derive(Debug)]
struct Delayed {
    /// Volumes that would do, the smallest first.
    candidates: Vec<Value>,
    /// The class that would make one, if it can.
    maker: Option<Value>,
}

impl Volumes {
    /// Looks the claims up; an error refuses the pod everywhere.
    pub(super) fn prepare(cluster: &Cluster, pod: &Value) -> Result<Self, String> {
        let mut volumes = Self::default();
        let mut immediate = false;
        for key in binder::claims_of(pod) {
            let Some(claim) = cluster.get(&key) else {
                return Err(format!("persistentvolumeclaim {:?} not found", key.name.as_str()));
            };
            if claim.at(&["status", "phase"]) == "Lost" {
                return Err(format!(
                    "persistentvolumeclaim {:?} bound to non-existent persistentvolume {:?}",
                    key.name.as_str(),
                    claim.at(&["spec", "volumeName"]).str_or_empty()
                ));
            }
            if claim.is_terminating() {
                return Err(format!("persistentvolumeclaim {:?} is being deleted", key.name.as_str()));
            }
            if claim.at(&["spec", "accessModes"]).items().iter().any(|mode| *mode == "ReadWriteOncePod") {
                volumes.exclusive_taken |= binder::users(cluster, &key).any(super::state::takes_room);
            }
            if binder::is_bound(claim) {
                let name = claim.at(&["spec", "volumeName"]).str_or_empty();
                match cluster.get(&ObjectKey::new("persistentvolumes", "", name)) {
                    Some(volume) => volumes.bound.push(volume.clone()),
                    None => volumes.lost = true,
                }
                continue;
            }
            let class = binder::class_of(cluster, claim);
            if !claim.at(&["spec", "volumeName"]).is_empty() || !class.is_some_and(binder::waits_for_consumer) {
                immediate = true;
                continue;
            }
            let maker = class.filter(|class| binder::can_provision(class)).cloned();
            volumes.delayed.push(Delayed { candidates: binder::candidates(cluster, claim), maker });
        }
        if immediate {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        Ok(volumes)
    }

    pub(super) fn refusal(&self, cluster: &Cluster, node: &Value) -> Option<Refusal> {
        if self.exclusive_taken {
            let why = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use \
                       by another pod";
            return Some(Refusal::new(Plugin::Volumes, why, false));
        }
        if self.exceeds_limit(cluster, node) {
            return Some(Refusal::new(Plugin::Volumes, "node(s) exceed max volume count", false));
        }
        let refuse = |why: &str| Some(Refusal::new(Plugin::Volumes, why, true));
        if self.lost {
            return refuse("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
        }
        if !self.bound.iter().all(|volume| reaches(volume, node)) {
            return refuse("node(s) didn't match PersistentVolume's node affinity");
        }
        let mut taken = BTreeSet::new();
        for delayed in &self.delayed {
            let found = delayed
                .candidates
                .iter()
                .find(|volume| reaches(volume, node) && is_in_zone(volume, node) && !taken.contains(volume.name()));
            match (found, &delayed.maker) {
                (Some(volume), _) => {
                    taken.insert(volume.name());
                }
                (None, Some(class)) if binder::may_be_made_for(class, node) => {}
                _ => return refuse("node(s) didn't find available persistent volumes to bind"),
            }
        }
        if !self.bound.iter().all(|volume| is_in_zone(volume, node)) {
            return refuse("node(s) had no available volume zone");
        }
        None
    }

    /// Whether the node's driver could not attach that many volumes more.
    fn exceeds_limit(&self, cluster: &Cluster, node: &Value) -> bool {
        let Some(info) = cluster.get(&ObjectKey::new("csinodes.storage.k8s.io", "", node.name())) else { return false };
        info.at(&["spec", "drivers"]).items().iter().any(|driver| {
            let Some(most) = driver.at(&["allocatable", "count"]).as_int() else { return false };
            let of = driver.at(&["name"]).str_or_empty();
            let by_driver = |volume: &&Value| *volume.at(&["spec", "csi", "driver"]) == *of;
            let mut used: BTreeSet<Text> = BTreeSet::new();
            for (_, pod) in cluster.pods_on(node.name()).filter(|(_, pod)| super::state::takes_room(pod)) {
                let volumes = binder::claims_of(pod).into_iter().filter_map(|key| binder::volume_of(cluster, &key));
                used.extend(volumes.filter(by_driver).map(|volume| Text::from(volume.name())));
            }
            let before = used.len();
            used.extend(self.bound.iter().filter(by_driver).map(|volume| Text::from(volume.name())));
            let made = self.delayed.iter().filter_map(|delayed| delayed.maker.as_ref());
            let made = made.filter(|class| *class.at(&["provisioner"]) == *of).count();
            let after = used.len() + made;
            after > before && i64::try_from(after).unwrap_or(i64::MAX) > most
        })
    }
}

/// Whether a volume can be used on a node.
fn reaches(volume: &Value, node: &Value) -> bool {
    let required = volume.at(&["spec", "nodeAffinity", "required"]);
    required.is_null() || affinity::selects(required, node)
}

/// Whether a volume is where a node is, as far as its labels say.
fn is_in_zone(volume: &Value, node: &Value) -> bool {
    ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"].iter().all(|label| {
        // Old volumes say by a label where they are; several zones are separated by `__`.
        match (volume.label(label), node.label(label)) {
            (Some(zones), Some(zone)) => zones.split("__").any(|one| one == zone),
            _ => true,
        }
    })
}

/// Binds the claims that waited for the pod's node. Whether all of the pod's claims are bound now.
pub(super) fn bind(cluster: &mut Cluster, pod: &Value, node: &str) -> bool {
    let Some(node) = cluster.get(&ObjectKey::new("nodes", "", node)).cloned() else { return false };
    for key in binder::claims_of(pod) {
        let Some(claim) = cluster.get(&key).cloned() else { return false };
        if binder::is_bound(&claim) {
            continue;
        }
        let suits = |volume: &Value| reaches(volume, &node) && is_in_zone(volume, &node);
        let found = binder::candidates(cluster, &claim).into_iter().find(suits);
        match found {
            Some(volume) => binder::bind(cluster, &key, volume.name()),
            None => binder::provision(cluster, &key, Some(&node)),
        }
        if !cluster.get(&key).is_some_and(binder::is_bound) {
            return false;
        }
    }
    true
}
