//! The devices that a pod asks for by resource claims.
//!
//! Knows: where a pod names its claims, and when a claim cannot be met: its class is not there, or no driver offers a
//! device on the node.
//! Does not know: which device a claim would get. What a driver offers on a node is believed to do.

use super::{Plugin, Refusal};
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

/// Claims, as the store knows them.
pub(crate) const CLAIMS: &str = "resourceclaims.resource.k8s.io";
const CLASSES: &str = "deviceclasses.resource.k8s.io";
const SLICES: &str = "resourceslices.resource.k8s.io";

/// What a pod's claims ask of a node.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Whether a claim is still to be allocated.
    wanted: bool,
    /// The nodes on which devices are offered; `None` if some are offered everywhere.
    offered: Option<Vec<Text>>,
}

/// The claims of a pod; none in place of one that is still to be made from its template.
pub(crate) fn claims_of<'a>(key: &'a ObjectKey, pod: &'a Value) -> impl Iterator<Item = Option<ObjectKey>> + 'a {
    pod.at(&["spec", "resourceClaims"]).items().iter().filter_map(|reference| {
        let name = match reference.at(&["resourceClaimName"]).as_str() {
            Some(name) => Some(name),
            None => {
                let mut made = pod.at(&["status", "resourceClaimStatuses"]).items().iter();
                let made = made.find(|made| made.at(&["name"]) == reference.at(&["name"]));
                match made {
                    // A template may ask for nothing; then there is no claim to wait for.
                    Some(made) if made.at(&["resourceClaimName"]).is_null() => return None,
                    Some(made) => made.at(&["resourceClaimName"]).as_str(),
                    None => None,
                }
            }
        };
        Some(name.map(|name| key.beside(CLAIMS, name)))
    })
}

/// Whether a pod waits for its claims to be made. Until then nobody tries to place it, and nobody says why.
pub(super) fn are_awaited(cluster: &Cluster, key: &ObjectKey, pod: &Value) -> bool {
    claims_of(key, pod).any(|claim| claim.is_none_or(|claim| cluster.get(&claim).is_none()))
}

impl Devices {
    /// Looks the claims up; an error refuses the pod everywhere.
    pub(super) fn prepare(cluster: &Cluster, key: &ObjectKey, pod: &Value) -> Result<Self, String> {
        let claims = claims_of(key, pod).flatten().filter_map(|claim| cluster.get(&claim));
        let mut wanted = false;
        for claim in claims.filter(|claim| claim.at(&["status", "allocation"]).is_null()) {
            for request in claim.at(&["spec", "devices", "requests"]).items() {
                wanted = true;
                let name = request.at(&["name"]).str_or_empty();
                let class = request.at(&["exactly", "deviceClassName"]).str_or_empty();
                if !class.is_empty() && cluster.get(&ObjectKey::new(CLASSES, "", class)).is_none() {
                    return Err(format!("request {name}: device class {class} does not exist"));
                }
            }
        }
        if !wanted {
            return Ok(Self::default());
        }
        let mut offered = Some(Vec::new());
        for (_, slice) in cluster.list(SLICES, None) {
            if slice.at(&["spec", "devices"]).is_empty() {
                continue;
            }
            match (slice.at(&["spec", "nodeName"]).as_text(), &mut offered) {
                (Some(node), Some(nodes)) => nodes.push(node.clone()),
                _ => offered = None,
            }
        }
        Ok(Self { wanted, offered })
    }

    pub(super) fn refusal(&self, node: &Value) -> Option<Refusal> {
        let none_here =
            self.wanted && self.offered.as_ref().is_some_and(|nodes| !nodes.iter().any(|name| *name == *node.name()));
        none_here.then(|| Refusal::new(Plugin::Devices, "cannot allocate all claims", true))
    }

    /// Whether a claim was looked for: then the refusal of preemption says that this does not help either.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted
    }
}
