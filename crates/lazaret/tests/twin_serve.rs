//! `lazaret twin serve`, as a stranger uses it: the command, its line of JSON, and the real kubectl.
//!
//! Needs kubectl in the PATH; `scripts/test` puts one there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

#[path = "support/twin.rs"]
mod twin;

use std::process::Command;

use twin::Twin;

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: app, image: 'registry.test/app:1'}]
";

#[test]
fn kubectl_works_on_a_served_twin_as_on_any_cluster() {
    let twin = Twin::serve(&["--nodes", "3"]);
    let nodes = twin.run("get nodes");
    assert!(nodes.contains("node-01") && nodes.contains("Ready"), "{nodes}");
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
    twin.kubectl(&["apply", "-f", "-"], namespace).unwrap();
    twin.kubectl(&["-n", "shop", "apply", "-f", "-"], DEPLOYMENT).unwrap();
    twin.run("-n shop rollout status deployment/web --timeout=60s");
    let pods = twin.run("-n shop get pods -o wide");
    assert_eq!(pods.matches("Running").count(), 2, "{pods}");
    twin.run("-n shop scale deployment/web --replicas=3");
    twin.run("-n shop rollout status deployment/web --timeout=60s");
    assert_eq!(twin.run("-n shop get pods").matches("Running").count(), 3);
    let changed = DEPLOYMENT.replace("app:1", "app:2");
    let diff = twin.kubectl(&["-n", "shop", "diff", "-f", "-"], &changed).unwrap_err();
    assert!(diff.contains("app:2"), "{diff}");
    twin.kubectl(&["-n", "shop", "apply", "--server-side", "--force-conflicts", "-f", "-"], &changed).unwrap();
    twin.run("-n shop rollout status deployment/web --timeout=60s");
    twin.run("-n shop label deployment web tier=front");
    let described = twin.run("-n shop describe deployment web");
    assert!(described.contains("tier=front") && described.contains("app:2"), "{described}");
    twin.run("cordon node-01");
    assert!(twin.run("get node node-01").contains("SchedulingDisabled"));
    let shell = twin.kubectl(&["-n", "shop", "exec", "deployment/web", "--", "sh"], "").unwrap_err();
    assert!(shell.contains("nothing really runs in a simulated pod"), "{shell}");
    twin.run("delete namespace shop --timeout=60s");
    assert!(twin.kubectl(&["get", "namespace", "shop"], "").unwrap_err().contains("NotFound"));
}

#[test]
fn a_twin_starts_as_its_snapshot_says_and_leaves_nothing_behind() {
    let folder = std::env::temp_dir().join(format!("lazaret-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let objects = [
        r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}"#,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","namespace":"shop"},"data":{"a":"1"}}"#,
    ];
    std::fs::write(folder.join("objects.jsonl"), objects.join("\n")).unwrap();
    let twin = Twin::serve(&["--snapshot", folder.to_str().unwrap()]);
    assert_eq!(twin.run("-n shop get configmap settings -o jsonpath={.data.a}"), "1");
    let kubeconfig = twin.said("kubeconfig").to_owned();
    assert!(std::path::Path::new(&kubeconfig).exists());
    drop(twin);
    assert!(!std::path::Path::new(&kubeconfig).exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_served_is_said_in_one_line() {
    for (arguments, says) in [
        (&["--snapshot", "/nowhere.json"][..], "/nowhere.json"),
        (&["--listen", "192.0.2.1:1"], "192.0.2.1:1"),
        (&["--speed", "never"], "say max, real, or a factor"),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_lazaret")).args(["twin", "serve"]).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && error.contains(says), "{arguments:?}: {error}");
    }
}
