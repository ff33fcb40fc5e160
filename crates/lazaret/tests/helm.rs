//! The real Helm, on a served twin and through the gate: install, upgrade, an upgrade that is taken back, rollback, uninstall.
//!
//! Knows: a small chart of our own, and what Helm says of it.
//! Does not know: how Helm goes about it.
//!
//! Needs helm and kubectl in the PATH; `scripts/test` puts them there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

mod support;
#[path = "support/twin.rs"]
mod twin;

use std::path::Path;
use std::process::{Command, Output};

use support::{Folder, Station};
use twin::Twin;

const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", "{apiVersion: v2, name: shop, version: 0.1.0}"),
    ("values.yaml", "{replicas: 2, fail: ''}"),
    (
        "templates/all.yaml",
        r"
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data: {revision: '{{ .Release.Revision }}'}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      {{- with .Values.fail }}
      annotations: {twin.lazaret.dev/fail: {{ . }}}
      {{- end }}
    spec:
      containers: [{name: main, image: nginx, resources: {requests: {cpu: 50m}}}]
",
    ),
];

struct Helm<'a> {
    folder: &'a Folder,
    kubeconfig: &'a Path,
    driver: &'a str,
}

impl Helm<'_> {
    fn run(&self, line: &str) -> Result<String, String> {
        for (name, text) in CHART {
            let file = self.folder.join("chart").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let Output { status, stdout, stderr } = Command::new("helm")
            .args(line.split(' '))
            .current_dir(&self.folder.0)
            .env("KUBECONFIG", self.kubeconfig)
            .env("HELM_DRIVER", self.driver)
            .env("HELM_CACHE_HOME", self.folder.join("cache"))
            .env("HELM_CONFIG_HOME", self.folder.join("config"))
            .env("HELM_DATA_HOME", self.folder.join("data"))
            .output()
            .expect("this test needs helm in the PATH: run scripts/test");
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        if status.success() { Ok(out.into_owned()) } else { Err(format!("{out}{err}")) }
    }

    fn does(&self, line: &str) -> String {
        self.run(line).unwrap_or_else(|error| panic!("helm {line}: {error}"))
    }
}

#[test]
fn a_release_is_installed_upgraded_taken_back_and_uninstalled_on_a_twin() {
    let cluster = Twin::serve(&["--nodes", "3"]);
    let folder = Folder::new();
    let helm = Helm { folder: &folder, kubeconfig: Path::new(cluster.said("kubeconfig")), driver: "secret" };
    let replicas = || cluster.run("get deployment web -o jsonpath={.status.readyReplicas}/{.spec.replicas}");

    assert!(helm.does("install web chart --wait --timeout 60s").contains("STATUS: deployed"));
    assert_eq!(replicas(), "2/2");
    helm.does("upgrade web chart --set replicas=3 --wait --timeout 60s");
    assert_eq!(replicas(), "3/3");
    let told = helm.run("upgrade web chart --set fail=unready --rollback-on-failure --timeout 60s").unwrap_err();
    assert!(told.contains("has been rolled back") && told.contains("Progress deadline exceeded"), "{told}");
    assert_eq!(replicas(), "3/3");
    helm.does("rollback web 1 --wait --timeout 60s");
    assert_eq!(replicas(), "2/2");
    let history: serde_json::Value = serde_json::from_str(&helm.does("history web -o json")).unwrap();
    let history: Vec<&str> = history.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(history, ["superseded", "superseded", "failed", "superseded", "deployed"]);
    assert!(helm.does("get manifest web").contains("name: web-settings"));
    helm.does("uninstall web --wait --timeout 60s");
    assert_eq!(cluster.run("get deployments,services,secrets,pods -l app=web -o name"), "");
    assert!(!cluster.run("get configmaps,services,deployments -o name").contains("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_gate_helm_does_what_is_safe_and_takes_back_what_is_denied() {
    let station = Station::of(&support::shop(), "[hold]\npatience_seconds = 0\nretry_after_seconds = 1\n", &[]).await;
    let agent = station.gate.agent("helm");
    let folder = Folder::new();
    // Helm reads its releases back, and an agent reads no Secret's values.
    let helm = Helm { folder: &folder, kubeconfig: &agent.kubeconfig, driver: "configmap" };
    let object = |resource: &str, name: &str| station.production.object(resource, "shop", name);
    let replicas = || object("deployments.apps", "desk").unwrap().at(&["spec", "replicas"]).as_int();

    helm.does("install desk chart -n shop --wait --timeout 60s");
    assert_eq!(replicas(), Some(2));
    helm.does("upgrade desk chart -n shop --set replicas=3 --wait --timeout 60s");
    assert_eq!(replicas(), Some(3));
    let writes = station.production.writes().len();
    let told = helm.run("upgrade desk chart -n shop --set replicas=0 --timeout 60s").unwrap_err();
    assert!(told.contains("availability-floor"), "{told}");
    assert_eq!(replicas(), Some(3));
    assert!(station.production.writes().len() > writes, "Helm wrote down that it failed");
    helm.does("rollback desk 1 -n shop --wait --timeout 60s");
    assert_eq!(replicas(), Some(2));
    assert!(helm.does("status desk -n shop").contains("STATUS: deployed"));
    let told = helm.run("uninstall desk -n shop --timeout 60s").unwrap_err();
    assert!(told.contains("would be gone"), "{told}");
    assert_eq!(replicas(), Some(2));
}
