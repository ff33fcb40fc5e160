//! What a pod needs from its namespace before its containers can run.
//!
//! Knows: where a pod names ConfigMaps, Secrets and claims, and what a kubelet says when they are missing.
//! Does not know: who makes them.

use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::Value;

/// Every namespace has it, whether or not a snapshot shows it.
const ALWAYS_THERE: &str = "kube-root-ca.crt";

/// The first volume that cannot be mounted, and why. The pod stays in `ContainerCreating` until it can.
pub(super) fn unmountable(cluster: &Cluster, pod: &Value) -> Option<String> {
    pod.at(&["spec", "volumes"]).items().iter().find_map(|volume| {
        let mut sources: Vec<&Value> = vec![volume];
        sources.extend(volume.at(&["projected", "sources"]).items());
        let missing = sources.iter().find_map(|source| {
            let secret = source.at(&["secret"]);
            let secret_name = secret.get("secretName").or_else(|| secret.get("name"));
            absent(cluster, pod, "configmaps", source.at(&["configMap", "name"]), source.at(&["configMap"]))
                .or_else(|| absent(cluster, pod, "secrets", secret_name.unwrap_or(&Value::Null), secret))
        });
        if let Some(why) = missing {
            return Some(format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name_of()));
        }
        let claim = volume.at(&["persistentVolumeClaim", "claimName"]).as_str()?;
        let key = ObjectKey::new("persistentvolumeclaims", pod.namespace(), claim);
        match cluster.get(&key) {
            None => Some(format!("persistentvolumeclaim {claim:?} not found")),
            Some(have) if have.at(&["status", "phase"]) != "Bound" => {
                Some(format!("PVC {}/{claim} is not bound", pod.namespace()))
            }
            Some(_) => None,
        }
    })
}

/// What of a container's environment is missing: the message of its `CreateContainerConfigError`.
pub(super) fn misconfigured(cluster: &Cluster, pod: &Value, container: &Value) -> Option<String> {
    let whole = container.at(&["envFrom"]).items().iter().find_map(|from| {
        let (map, secret) = (from.at(&["configMapRef"]), from.at(&["secretRef"]));
        absent(cluster, pod, "configmaps", map.at(&["name"]), map)
            .or_else(|| absent(cluster, pod, "secrets", secret.at(&["name"]), secret))
    });
    whole.or_else(|| {
        container.at(&["env"]).items().iter().find_map(|variable| {
            let from = variable.at(&["valueFrom"]);
            let (map, secret) = (from.at(&["configMapKeyRef"]), from.at(&["secretKeyRef"]));
            keyless(cluster, pod, "configmaps", map).or_else(|| keyless(cluster, pod, "secrets", secret))
        })
    })
}

fn absent(cluster: &Cluster, pod: &Value, resource: &'static str, name: &Value, reference: &Value) -> Option<String> {
    let name = name.as_str().filter(|name| *name != ALWAYS_THERE)?;
    let there = cluster.get(&ObjectKey::new(resource, pod.namespace(), name)).is_some();
    let kind = resource.trim_end_matches('s');
    (!there && !reference.at(&["optional"]).is_true()).then(|| format!("{kind} {name:?} not found"))
}

fn keyless(cluster: &Cluster, pod: &Value, resource: &'static str, reference: &Value) -> Option<String> {
    if let Some(why) = absent(cluster, pod, resource, reference.at(&["name"]), reference) {
        return Some(why);
    }
    let (name, key) = (reference.at(&["name"]).as_str()?, reference.at(&["key"]).as_str()?);
    let have = cluster.get(&ObjectKey::new(resource, pod.namespace(), name))?;
    let data = [have.at(&["data"]), have.at(&["binaryData"])];
    // A snapshot may have had its secrets taken out: no data at all says nothing about keys.
    let known = resource == "configmaps" || data.iter().any(|data| !data.is_empty());
    let there = data.iter().any(|data| data.get(key).is_some());
    let kind = if resource == "secrets" { "Secret" } else { "ConfigMap" };
    (known && !there && !reference.at(&["optional"]).is_true())
        .then(|| format!("couldn't find key {key} in {kind} {}/{name}", pod.namespace()))
}
