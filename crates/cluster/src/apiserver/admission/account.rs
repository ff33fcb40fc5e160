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
    if references_secrets(pod) {
        return Err(write.forbidden("a mirror pod may not reference secrets"));
    }
    let sources = pod.at(&["spec", "volumes"]).items().iter().flat_map(|it| it.at(&["projected", "sources"]).items());
    if sources.into_iter().any(|source| source.get("serviceAccountToken").is_some()) {
        return Err(write.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// Lists of containers, and what one of each is called.
const CONTAINERS: &[(&str, &str)] = &[
    ("initContainers", "init container"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral container"),
];

/// Whether anything of a pod comes from a secret.
fn references_secrets(pod: &Value) -> bool {
    // Where volumes of several kinds name theirs.
    const PLACES: &[&[&str]] = &[
        &["secret", "secretName"],
        &["azureFile", "secretName"],
        &["csi", "nodePublishSecretRef", "name"],
        &["cephfs", "secretRef", "name"],
        &["cinder", "secretRef", "name"],
        &["flexVolume", "secretRef", "name"],
        &["iscsi", "secretRef", "name"],
        &["rbd", "secretRef", "name"],
        &["scaleIO", "secretRef", "name"],
        &["storageos", "secretRef", "name"],
    ];
    let spec = pod.at(&["spec"]);
    let named = |value: &Value| !value.str_or_empty().is_empty();
    let in_volume = |volume: &Value| {
        let projected = volume.at(&["projected", "sources"]).items();
        PLACES.iter().any(|place| named(volume.at(place)))
            || projected.iter().any(|source| named(source.at(&["secret", "name"])))
    };
    let in_container = |container: &Value| from_secrets(container).next().is_some();
    spec.at(&["imagePullSecrets"]).items().iter().any(|secret| named(secret.at(&["name"])))
        || CONTAINERS.iter().any(|(list, _)| spec.at(&[list]).items().iter().any(in_container))
        || spec.at(&["volumes"]).items().iter().any(in_volume)
}

/// The secrets that a container's environment comes from, each with where that is said.
fn from_secrets(container: &Value) -> impl Iterator<Item = (String, &str)> {
    let variables = container.at(&["env"]).items().iter().filter_map(|variable| {
        let secret = variable.find(&["valueFrom", "secretKeyRef"])?;
        let place = format!("envVar {}", variable.at(&["name"]).str_or_empty());
        Some((place, secret.at(&["name"]).str_or_empty()))
    });
    let whole =
        container.at(&["envFrom"]).items().iter().filter_map(|source| {
            Some(("envFrom".to_owned(), source.find(&["secretRef"])?.at(&["name"]).str_or_empty()))
        });
    variables.chain(whole)
}

/// Refuses secrets that the account does not list, if the account says that it lists all.
pub(super) fn check(cluster: &Cluster, write: Write<'_>, pod: &Value) -> Result<(), Status> {
    let ephemeral = write.writer.subresource == "ephemeralcontainers";
    if !(write.is_create() || ephemeral) || pod.annotation(MIRROR).is_some() {
        return Ok(());
    }
    let name = pod.at(&["spec", "serviceAccountName"]).str_or_empty();
    let Some(account) = cluster.get(&write.key.beside("serviceaccounts", name)) else { return Ok(()) };
    let enforced = account.annotation("kubernetes.io/enforce-mountable-secrets");
    if !enforced.is_some_and(|text| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")) {
        return Ok(());
    }
    let lists = |field: &str, name: &str| account.at(&[field]).items().iter().any(|it| it.at(&["name"]) == name);
    let spec = pod.at(&["spec"]);
    let unlisted = |what: &str, secret: &str| {
        let why = format!(
            "{what} secret.secretName=\"{secret}\" is not allowed because service account {name} does not reference \
             that secret"
        );
        Err(write.forbidden(&why))
    };
    if !ephemeral {
        for secret in spec.at(&["volumes"]).items().iter().filter_map(|volume| volume.find(&["secret"])) {
            let secret = secret.at(&["secretName"]).str_or_empty();
            if !lists("secrets", secret) {
                // This one says nothing of where.
                return unlisted("volume with", secret);
            }
        }
    }
    for (list, what) in CONTAINERS.iter().filter(|(list, _)| (*list == "ephemeralContainers") == ephemeral) {
        for container in spec.at(&[list]).items() {
            let found = from_secrets(container).find(|(_, secret)| !lists("secrets", secret));
            if let Some((place, secret)) = found {
                let container = container.at(&["name"]).str_or_empty();
                return unlisted(&format!("{what} {container} with {place} referencing"), secret);
            }
        }
    }
    let pulled = if ephemeral { &[] } else { spec.at(&["imagePullSecrets"]).items() };
    for (at, secret) in pulled.iter().enumerate() {
        let secret = secret.at(&["name"]).str_or_empty();
        if !lists("imagePullSecrets", secret) {
            return Err(write.forbidden(&format!(
                "imagePullSecrets[{at}].name=\"{secret}\" is not allowed because service account {name} does not \
                 reference that imagePullSecret"
            )));
        }
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
