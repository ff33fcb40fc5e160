//! What every namespace gets: a default service account, and the certificate of the cluster.
//!
//! Knows: the service account controller and the root CA publisher.
//! Does not know: certificates. The one it publishes is the cluster's own if another namespace has it.

use crate::cluster::{Change, Cluster};
use crate::controllers::client::Client;
use crate::controllers::{Controller, Next};
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// Furnishes namespaces.
pub(crate) struct Furnisher;

const CLIENT: Client = Client::controller("service-account-controller");
const ACCOUNT: &str = "default";
/// The ConfigMap that holds the certificate.
pub(super) const CERTIFICATE: &str = "kube-root-ca.crt";

impl Controller for Furnisher {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, _: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let lost =
            |resource: &str, name: &str| change.key.is(resource) && change.key.name == name && change.after.is_none();
        if change.key.is("namespaces") && change.after.is_some() && change.before.is_none() {
            look(change.key.clone());
        } else if lost("serviceaccounts", ACCOUNT) || lost("configmaps", CERTIFICATE) {
            look(ObjectKey::new("namespaces", "", change.key.namespace.clone()));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        if cluster.get(key).is_none_or(Value::is_terminating) {
            return Next::Done;
        }
        let namespace = key.name.clone();
        if cluster.get(&ObjectKey::new("serviceaccounts", namespace.clone(), ACCOUNT)).is_none() {
            let account = doc!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": (ACCOUNT), "namespace": (&namespace)},
            });
            let _ = CLIENT.create(cluster, "serviceaccounts", account);
        }
        if cluster.get(&ObjectKey::new("configmaps", namespace.clone(), CERTIFICATE)).is_none() {
            let system = ObjectKey::new("configmaps", "kube-system", CERTIFICATE);
            let known = cluster.get(&system).map(|have| have.at(&["data", "ca.crt"]).clone());
            let certificate = doc!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": (CERTIFICATE), "namespace": (&namespace),
                    "annotations": {"kubernetes.io/description": (DESCRIPTION)},
                },
                "data": {"ca.crt": (known.unwrap_or_else(|| Value::from(PLACEHOLDER)))},
            });
            let _ = CLIENT.create(cluster, "configmaps", certificate);
        }
        Next::Done
    }
}

const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

const PLACEHOLDER: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
