//! The status of ValidatingAdmissionPolicies: what is odd about their expressions.
//!
//! Knows: when a policy has to be looked at.
//! Does not know: types; the API server's own part for policies does.

use super::client::Client;
use super::{Controller, Next};
use crate::apiserver::policy_warnings;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

const RESOURCE: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const CLIENT: Client = Client::controller("validatingadmissionpolicy-status-controller");

/// Says in each policy's status what its types have against it.
pub(super) struct PolicyStatus;

impl Controller for PolicyStatus {
    fn name(&self) -> &'static str {
        "validatingadmissionpolicy-status-controller"
    }

    fn notice(&self, _cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is(RESOURCE) && change.after.is_some() {
            look(change.key.clone());
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(policy) = cluster.get(key) else { return Next::Done };
        let generation = policy.generation();
        // Looked at once for each generation, as the real one does.
        if policy.at(&["status", "observedGeneration"]).as_int() >= Some(generation) {
            return Next::Done;
        }
        let warnings: Vec<Value> = policy_warnings(cluster, policy)
            .into_iter()
            .map(|(field, warning)| doc!({"fieldRef": (field), "warning": (warning)}))
            .collect();
        let mut checked = doc!({});
        if !warnings.is_empty() {
            checked.set(&["expressionWarnings"], warnings);
        }
        let _ = CLIENT.update_status(cluster, key, |policy| {
            policy.set(&["status", "observedGeneration"], generation);
            policy.set(&["status", "typeChecking"], checked);
        });
        Next::Done
    }
}
