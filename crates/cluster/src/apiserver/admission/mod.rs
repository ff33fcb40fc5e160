//! What the cluster's own rules fill in or refuse, in the order of the real plugins.
//!
//! Knows: service accounts, tolerations, priorities, protection finalizers, addresses.
//! Does not know: webhooks. What they would say only the real server knows.

use super::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// A new object.
pub(super) fn create(cluster: &mut Cluster, key: &ObjectKey, object: &mut Value) -> Result<(), Status> {
    match key.resource.as_str() {
        "pods" => {
            priority(cluster, key, object)?;
            service_account(cluster, key, object)?;
            tolerations(object);
        }
        "persistentvolumeclaims" => {
            protect(object, "kubernetes.io/pvc-protection");
            storage_class(cluster, object);
        }
        "persistentvolumes" => protect(object, "kubernetes.io/pv-protection"),
        "services" => addresses(cluster, object),
        _ => {}
    }
    Ok(())
}

fn protect(object: &mut Value, finalizer: &str) {
    if !object.finalizers().any(|have| have == finalizer) {
        object.make(&["metadata", "finalizers"]).array().push(Value::from(finalizer));
    }
}

/// `plugin/pkg/admission/priority`
fn priority(cluster: &Cluster, key: &ObjectKey, pod: &mut Value) -> Result<(), Status> {
    const CLASSES: &str = "priorityclasses.scheduling.k8s.io";
    let name = pod.at(&["spec", "priorityClassName"]).str_or_empty().to_owned();
    let class = if name.is_empty() {
        cluster.list(CLASSES, None).map(|(_, class)| class).find(|class| class.at(&["globalDefault"]).is_true())
    } else {
        let found = cluster.get(&ObjectKey::new(CLASSES, "", name.as_str()));
        Some(found.ok_or_else(|| {
            Status::forbidden(&key.resource, &key.name, &format!("no PriorityClass with name {name} was found"))
        })?)
    };
    let (value, policy) = class.map_or((Value::from(0), Value::Null), |class| {
        (class.at(&["value"]).clone(), class.at(&["preemptionPolicy"]).clone())
    });
    if let Some(class) = class.filter(|_| name.is_empty()) {
        pod.set(&["spec", "priorityClassName"], class.name());
    }
    pod.set(&["spec", "priority"], value);
    pod.set(&["spec", "preemptionPolicy"], if policy.is_null() { Value::from("PreemptLowerPriority") } else { policy });
    Ok(())
}

/// `plugin/pkg/admission/serviceaccount`: every pod has an account, and its token.
fn service_account(cluster: &mut Cluster, key: &ObjectKey, pod: &mut Value) -> Result<(), Status> {
    const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    if pod.annotation("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    if pod.at(&["spec", "serviceAccountName"]).is_empty() {
        pod.set(&["spec", "serviceAccountName"], "default");
    }
    let name = pod.at(&["spec", "serviceAccountName"]).str_or_empty().to_owned();
    pod.set(&["spec", "serviceAccount"], name.as_str());
    let account = cluster.get(&key.beside("serviceaccounts", name.as_str())).cloned().ok_or_else(|| {
        let why =
            format!("error looking up service account {}/{name}: serviceaccount \"{name}\" not found", key.namespace);
        Status::forbidden(&key.resource, &key.name, &why)
    })?;
    let secrets = account.at(&["imagePullSecrets"]);
    if pod.at(&["spec", "imagePullSecrets"]).is_empty() && !secrets.is_empty() {
        pod.set(&["spec", "imagePullSecrets"], secrets.clone());
    }
    let wanted = pod.at(&["spec", "automountServiceAccountToken"]).as_bool();
    if !wanted.or(account.at(&["automountServiceAccountToken"]).as_bool()).unwrap_or(true) {
        return Ok(());
    }
    let volumes = pod.at(&["spec", "volumes"]).items();
    let have = volumes
        .iter()
        .map(Value::clone)
        .find(|volume| volume.at(&["name"]).str_or_empty().starts_with("kube-api-access-"));
    let volume = match have {
        Some(volume) => volume.at(&["name"]).str_or_empty().to_owned(),
        None => format!("kube-api-access-{}", super::registry::random_suffix(cluster, 5)),
    };
    let mut used = false;
    for list in ["containers", "initContainers"] {
        let Some(old) = pod.find(&["spec", list]) else { continue };
        let mut containers = old.items().to_vec();
        for container in &mut containers {
            let mounts = container.at(&["volumeMounts"]).items();
            if mounts.iter().any(|mount| mount.at(&["mountPath"]) == MOUNT) {
                continue;
            }
            used = true;
            let mount = doc!({"name": (&volume), "readOnly": true, "mountPath": (MOUNT)});
            container.make(&["volumeMounts"]).array().push(mount);
        }
        if containers.as_slice() != old.items() {
            pod.set(&["spec", list], containers);
        }
    }
    if used && !pod.at(&["spec", "volumes"]).items().iter().any(|have| *have.at(&["name"]) == *volume.as_str()) {
        pod.make(&["spec", "volumes"]).array().push(doc!({
            "name": (&volume),
            "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ]},
        }));
    }
    Ok(())
}

/// `plugin/pkg/admission/defaulttolerationseconds`: pods outlive a node's silence by five minutes.
fn tolerations(pod: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = pod.at(&["spec", "tolerations"]).items().iter().any(|toleration| {
            let (have, effect) = (toleration.at(&["key"]).str_or_empty(), toleration.at(&["effect"]).str_or_empty());
            (have == key || have.is_empty()) && matches!(effect, "NoExecute" | "")
        });
        if !tolerated {
            pod.make(&["spec", "tolerations"])
                .array()
                .push(doc!({"key": (key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

fn storage_class(cluster: &Cluster, claim: &mut Value) {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    if claim.find(&["spec", "storageClassName"]).is_some() {
        return;
    }
    let classes = cluster.list("storageclasses.storage.k8s.io", None).map(|(_, class)| class);
    let newest = classes
        .filter(|class| class.annotation(DEFAULT) == Some("true"))
        .max_by_key(|class| (class.created(), std::cmp::Reverse(class.name().to_owned())));
    if let Some(class) = newest {
        claim.set(&["spec", "storageClassName"], class.name());
    }
}

/// Addresses and node ports of a Service, none of them twice.
fn addresses(cluster: &mut Cluster, service: &mut Value) {
    let kind = service.at(&["spec", "type"]).str_or_empty().to_owned();
    if kind == "ExternalName" {
        return;
    }
    let taken = |cluster: &Cluster, address: &str| {
        cluster.list("services", None).any(|(_, service)| service.at(&["spec", "clusterIP"]) == address)
    };
    if service.at(&["spec", "clusterIP"]).is_empty() {
        for _ in 0..1000 {
            let number = cluster.random().below(65_000) + 256;
            let address = format!("10.96.{}.{}", (number >> 8) & 0xff, number & 0xff);
            if !taken(cluster, &address) {
                service.set(&["spec", "clusterIP"], address);
                break;
            }
        }
    }
    if service.at(&["spec", "clusterIPs"]).is_null() {
        let address = service.at(&["spec", "clusterIP"]).clone();
        service.set(&["spec", "clusterIPs"], vec![address]);
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        let mut ports = service.at(&["spec", "ports"]).items().to_vec();
        for port in &mut ports {
            if port.at(&["nodePort"]).is_empty() {
                port.set(&["nodePort"], 30_000 + cluster.random().below(2768));
            }
        }
        service.set(&["spec", "ports"], ports);
    }
}
