//! Where a pod's volumes let it go.
//!
//! Knows: claims, what they are bound to, and from which nodes that can be reached.
//! Does not know: how a claim is bound; that is the volume controller's.

use super::{Refusal, World, affinity};
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::value::Value;

/// The claims of a pod, sorted by what they still need.
#[derive(Default)]
pub(super) struct Volumes {
    /// Volumes that its claims are bound to.
    bound: Vec<Value>,
    /// Claims that wait for a node to be chosen, and whether a volume can be made for them.
    waiting: Vec<(Value, bool)>,
}

impl Volumes {
    /// Reads a pod's claims; or why no node will do, whichever it is.
    pub(super) fn of(world: &World<'_>, pod: &Value) -> Result<Self, String> {
        let mut found = Self::default();
        for volume in pod.at(&["spec", "volumes"]).items() {
            let named = volume.at(&["persistentVolumeClaim", "claimName"]).as_str().map(str::to_owned);
            let own = volume.get("ephemeral").map(|_| format!("{}-{}", pod.name(), volume.name_of()));
            let Some(name) = named.or(own) else { continue };
            let claim = world.get(&ObjectKey::new("persistentvolumeclaims", pod.namespace(), name.as_str()));
            let Some(claim) = claim else { return Err(format!("persistentvolumeclaim {name:?} not found")) };
            if claim.is_terminating() {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            let volume = claim.at(&["spec", "volumeName"]).str_or_empty();
            if !volume.is_empty() && claim.at(&["status", "phase"]) != "Pending" {
                match world.get(&ObjectKey::new("persistentvolumes", "", volume)) {
                    Some(volume) => found.bound.push(volume.clone()),
                    // A snapshot of some namespaces shows no volumes: nothing is known against any node.
                    None => continue,
                }
                continue;
            }
            let class = claim.at(&["spec", "storageClassName"]).str_or_empty();
            let class = world.get(&ObjectKey::new("storageclasses.storage.k8s.io", "", class));
            let waits = class.filter(|class| class.at(&["volumeBindingMode"]) == "WaitForFirstConsumer");
            let Some(class) = waits else { return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()) };
            let made = class.at(&["provisioner"]) != "kubernetes.io/no-provisioner";
            found.waiting.push((claim.clone(), made));
        }
        Ok(found)
    }

    /// Whether the pod's volumes can be reached from a node.
    pub(super) fn reach(&self, world: &World<'_>, node: &Value) -> Result<(), Refusal> {
        if !self.bound.iter().all(|volume| reaches(volume, node)) {
            return Err(Refusal::for_good("node(s) didn't match PersistentVolume's node affinity"));
        }
        let found = |(claim, made): &(Value, bool)| {
            let chosen = claim.annotation("volume.kubernetes.io/selected-node");
            chosen.is_none_or(|chosen| chosen == node.name()) && (*made || available(world, claim, node).is_some())
        };
        if !self.waiting.iter().all(found) {
            return Err(Refusal::for_good("node(s) didn't find available persistent volumes to bind"));
        }
        Ok(())
    }

    /// Claims that the choice of a node sets going.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Value> {
        self.waiting.iter().map(|(claim, _)| claim)
    }
}

fn reaches(volume: &Value, node: &Value) -> bool {
    let required = volume.at(&["spec", "nodeAffinity", "required"]);
    required.is_null() || affinity::selects(required, node)
}

/// The smallest free volume that suits a claim and can be reached from a node.
pub(super) fn available<'a>(world: &World<'a>, claim: &Value, node: &Value) -> Option<&'a Value> {
    let suits = |volume: &&Value| suits(volume, claim) && reaches(volume, node);
    world.volumes().filter(suits).min_by_key(|volume| Quantity::or_zero(volume.at(&["spec", "capacity", "storage"])))
}

/// Whether a free volume suits a claim: class, modes, size, selector (`pkg/controller/volume/persistentvolume/index.go`).
pub(crate) fn suits(volume: &Value, claim: &Value) -> bool {
    let (have, want) = (volume.at(&["spec"]), claim.at(&["spec"]));
    let text = |value: &Value, field: &str| value.at(&[field]).str_or_empty().to_owned();
    let mode = |spec: &Value| match text(spec, "volumeMode") {
        mode if mode.is_empty() => "Filesystem".to_owned(),
        mode => mode,
    };
    let holder = have.at(&["claimRef"]);
    let reserved = text(holder, "name") == claim.name()
        && text(holder, "namespace") == claim.namespace()
        && (text(holder, "uid").is_empty() || text(holder, "uid") == claim.uid());
    let free = holder.is_null() && volume.at(&["status", "phase"]) != "Released";
    let named = text(want, "volumeName");
    let selector = want.at(&["selector"]);
    let modes = have.at(&["accessModes"]).items();
    let size = Quantity::or_zero(want.at(&["resources", "requests", "storage"]));
    (free || reserved)
        && !volume.is_terminating()
        && (named.is_empty() || named == volume.name())
        && text(have, "storageClassName") == text(want, "storageClassName")
        && mode(have) == mode(want)
        && want.at(&["accessModes"]).items().iter().all(|mode| modes.contains(mode))
        && Quantity::or_zero(have.at(&["capacity", "storage"])) >= size
        && (selector.is_null() || crate::labels::matches(selector, volume.labels()))
}
