//! A real operator, written with kopf, that manages a custom resource on a served twin.
//!
//! Knows: what the operator is to have done.
//! Does not know: how kopf goes about it: its lists, watches, finalizers, patches of status and annotations.
//!
//! Needs kubectl and a python3 with kopf in the PATH; `scripts/test` puts them there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

#[path = "support/twin.rs"]
mod twin;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use twin::Twin;

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.lazaret.dev}
spec:
  group: lazaret.dev
  scope: Namespaced
  names: {plural: shops, singular: shop, kind: Shop}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Phase, type: string, jsonPath: .status.phase}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {clerks: {type: integer, minimum: 0, default: 2}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

const OPERATOR: &str = r#"
import kopf
import kubernetes

def apps():
    kubernetes.config.load_kube_config()
    return kubernetes.client.AppsV1Api()

@kopf.on.startup()
def configure(settings, **_):
    settings.persistence.finalizer = "lazaret.dev/kopf"
    settings.watching.server_timeout = 5  # its watches end now and then, as they do in life

@kopf.on.create("lazaret.dev", "v1", "shops")
def made(spec, name, namespace, patch, **_):
    body = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": spec["clerks"], "selector": {"matchLabels": {"shop": name}},
            "template": {"metadata": {"labels": {"shop": name}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}},
        },
    }
    kopf.adopt(body)
    apps().create_namespaced_deployment(namespace, body)
    patch.status["phase"] = "open"

@kopf.on.update("lazaret.dev", "v1", "shops", field="spec.clerks")
def changed(new, name, namespace, patch, **_):
    apps().patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": new}})
    patch.status["phase"] = f"open with {new}"

@kopf.on.delete("lazaret.dev", "v1", "shops")
def closed(name, namespace, **_):
    core = kubernetes.client.CoreV1Api(apps().api_client)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-closed"}})

@kopf.timer("lazaret.dev", "v1", "shops", interval=0.5)
def count(status, patch, **_):
    patch.status["ticks"] = status.get("ticks", 0) + 1
"#;

struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again and again until a line of kubectl's says what it should.
fn until(cluster: &Twin, line: &str, good: impl Fn(&str) -> bool) -> String {
    let begin = Instant::now();
    loop {
        let said = cluster.kubectl(&line.split(' ').collect::<Vec<_>>(), "").unwrap_or_else(|error| error);
        if good(&said) {
            return said;
        }
        assert!(begin.elapsed() < Duration::from_secs(90), "kubectl {line} still says {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_operator_made_with_kopf_makes_changes_counts_and_cleans_up() {
    let cluster = Twin::serve(&["--nodes", "3"]);
    cluster.kubectl(&["apply", "-f", "-"], DEFINITION).unwrap();
    cluster.run("wait --for=condition=Established crd/shops.lazaret.dev");
    let folder = std::path::Path::new(cluster.said("kubeconfig")).parent().unwrap();
    std::fs::write(folder.join("shops.py"), OPERATOR).unwrap();
    let process = Command::new("python3")
        .args(["-m", "kopf", "run", "--namespace", "default", "--standalone", "shops.py"])
        .current_dir(folder)
        .env("KUBECONFIG", cluster.said("kubeconfig"))
        .stderr(if std::env::var_os("LAZARET_TEST_VERBOSE").is_some() { Stdio::inherit() } else { Stdio::null() })
        .spawn()
        .expect("this test needs python3 in the PATH: run scripts/test");
    let operator = Operator(process);

    let shop = "{apiVersion: lazaret.dev/v1, kind: Shop, metadata: {name: corner}, spec: {}}";
    cluster.kubectl(&["apply", "-f", "-"], shop).unwrap();
    until(&cluster, "get shop corner -o jsonpath={.status.phase}", |said| said == "open");
    // The definition's default reached the operator, and the deployment it made runs.
    until(&cluster, "get deployment corner -o jsonpath={.status.readyReplicas}", |said| said == "2");
    assert!(cluster.run("get deployment corner -o yaml").contains("kind: Shop"));
    assert!(cluster.run("get shop corner -o yaml").contains("lazaret.dev/kopf"));

    cluster.run("patch shop corner --type merge -p {\"spec\":{\"clerks\":3}}");
    until(&cluster, "get shop corner", |said| said.contains("open with 3"));
    until(&cluster, "get deployment corner -o jsonpath={.status.readyReplicas}", |said| said == "3");
    let ticks = |said: &str| said.parse::<u32>().unwrap_or(0);
    let first = ticks(&until(&cluster, "get shop corner -o jsonpath={.status.ticks}", |said| ticks(said) > 0));
    // Its watches have ended and been taken up again meanwhile.
    until(&cluster, "get shop corner -o jsonpath={.status.ticks}", |said| ticks(said) > first + 12);
    cluster.run("patch shop corner --type merge -p {\"spec\":{\"clerks\":1}}");
    until(&cluster, "get deployment corner -o jsonpath={.status.readyReplicas}", |said| said == "1");

    cluster.run("delete shop corner --timeout=60s");
    cluster.run("get configmap corner-closed");
    until(&cluster, "get deployments,pods -o name", str::is_empty);

    // Without the operator nobody takes the finalizer away.
    cluster.kubectl(&["apply", "-f", "-"], shop).unwrap();
    until(&cluster, "get shop corner -o jsonpath={.status.phase}", |said| said == "open");
    drop(operator);
    cluster.run("delete shop corner --wait=false");
    assert!(cluster.run("get shop corner -o yaml").contains("deletionTimestamp"));
}
