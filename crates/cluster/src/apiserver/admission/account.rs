//! `plugin/pkg/admission/serviceaccount`: every pod has an account, and its token.
//!
//! Knows: the account, and the volume that carries the token.
//! Does not know: who makes accounts.

use super::Write;
use crate::apiserver::Status;
use crate::apiserver::registry::random_suffix;
use crate::cluster::Cluster;
use crate::doc;
use crate::value::Value;

/// Where a container finds its token.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How the names of volumes with tokens begin.
const VOLUME: &str = "kube-api-access-";

/// The annotation of a pod that a kubelet runs from a file, and that has no account.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Gives a pod its account, the account's pull secrets, and, unless someone said no, the token.
pub(super) fn give(cluster: &mut Cluster, write: Write<'_>, pod: &mut Value) -> Result<(), Status> {
    if pod.annotation(MIRROR).is_some() {
        return mirrored(write, pod);
    }
    if pod.at(&["spec", "serviceAccountName"]).is_empty() {
        pod.set(&["spec", "serviceAccountName"], "default");
    }
    let name = pod.at(&["spec", "serviceAccountName"]).clone();
    pod.set(&["spec", "serviceAccount"], name.clone());
    let name = name.str_or_empty();
    let account = cluster.get(&write.key.beside("serviceaccounts", name)).cloned().ok_or_else(|| {
        let namespace = &write.key.namespace;
        write.forbidden(&format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        ))
    })?;
    let wanted = pod.at(&["spec", "automountServiceAccountToken"]).as_bool();
    if wanted.or(account.at(&["automountServiceAccountToken"]).as_bool()).unwrap_or(true) {
        mount_token(cluster, pod);
    }
    let secrets = account.at(&["imagePullSecrets"]);
    if pod.at(&["spec", "imagePullSecrets"]).is_empty() && !secrets.is_empty() {
        pod.set(&["spec", "imagePullSecrets"], secrets.clone());
    }
    Ok(())
}

fn mirrored(write: Write<'_>, pod: &Value) -> Result<(), Status> {
    if !pod.at(&["spec", "serviceAccountName"]).is_empty() {
        return Err(write.forbidden("a mirror pod may not reference service accounts"));
    }
    let secret = pod.at(&["spec", "volumes"]).items().iter().any(|volume| volume.get("secret").is_some());
    if secret {
        return Err(write.forbidden("a mirror pod may not reference secrets"));
    }
    Ok(())
}

fn mount_token(cluster: &mut Cluster, pod: &mut Value) {
    let named = |volume: &Value| volume.at(&["name"]).as_text().filter(|name| name.starts_with(VOLUME)).cloned();
    let have = pod.at(&["spec", "volumes"]).items().iter().find_map(named);
    let name = have.clone().unwrap_or_else(|| format!("{VOLUME}{}", random_suffix(cluster, 5)).into());
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        let old = pod.at(&["spec", list]).clone();
        let with_mount = |container: &Value| {
            let mounts = container.at(&["volumeMounts"]).items();
            let mut new = container.clone();
            if !mounts.iter().any(|mount| mount.at(&["mountPath"]) == MOUNT) {
                let mount = doc!({"name": (&name), "readOnly": true, "mountPath": (MOUNT)});
                new.make(&["volumeMounts"]).array().push(mount);
            }
            new
        };
        let new: Value = old.items().iter().map(with_mount).collect();
        if new != old && !old.is_empty() {
            mounted = true;
            pod.set(&["spec", list], new);
        }
    }
    if mounted && have.is_none() {
        pod.make(&["spec", "volumes"]).array().push(token_volume(&name));
    }
}

/// The token, who signed it, and which namespace it is for, as files.
fn token_volume(name: &str) -> Value {
    doc!({
        "name": (name),
        "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ]},
    })
}
