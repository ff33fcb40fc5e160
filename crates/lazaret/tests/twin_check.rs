//! `lazaret twin check`, on clusters of which it is known whether their twins are right.
//!
//! Knows: that the twin of a served twin is that twin, and that what a twin cannot have seen makes it differ.
//! Does not know: the suite.
//!
//! Needs kubectl in the PATH; `scripts/test` puts one there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

#[path = "support/twin.rs"]
mod twin;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use twin::Twin;

fn check(kubeconfig: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.args(["twin", "check", "--kubeconfig", kubeconfig, "--quiet", "0.2"]).args(arguments);
    command
}

/// What it says, as JSON, and how it ended.
fn checked(kubeconfig: &str, arguments: &[&str]) -> (Value, Option<i32>) {
    let Output { status, stdout, stderr } = check(kubeconfig, arguments).args(["-o", "json"]).output().unwrap();
    let report = serde_json::from_slice(&stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
    });
    (report, status.code())
}

fn cases<'a>(report: &'a Value, verdict: &str) -> Vec<&'a Value> {
    report["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] == verdict).collect()
}

#[test]
fn the_twin_of_a_served_twin_answers_as_it_does_and_nothing_is_left_behind() {
    let production = Twin::serve(&["--nodes", "6"]);
    production.run("create namespace other");
    production.run("create configmap stays -n other --from-literal=k=v");
    let before = production.run("get configmaps,pods,services -A -o name");
    let (report, status) = checked(production.said("kubeconfig"), &["--namespace", "scratch"]);
    let different = cases(&report, "different");
    assert!(different.is_empty(), "{}", serde_json::to_string_pretty(&different).unwrap());
    assert_eq!(status, Some(0), "{}", report["unfinished"]);
    assert!(cases(&report, "skipped").is_empty(), "{:?}", cases(&report, "skipped"));
    assert!(cases(&report, "equal").len() >= 60, "{}", report["total"]);
    assert_eq!(production.run("get configmaps,pods,services -A -o name"), before);
    assert!(production.kubectl(&["get", "namespace", "scratch"], "").unwrap_err().contains("not found"));
}

/// A policy that labels every config map, and someone who may do everything in one namespace and see nothing else.
const SITE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: scratch}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: all, namespace: scratch}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: all, namespace: scratch}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: all}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: mark}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: 'Object{metadata: Object.metadata{labels: {"site": "was-here"}}}'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: mark}
spec:
  policyName: mark
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: scratch}}}
"#;

#[test]
fn what_a_site_changes_and_the_twin_could_not_see_is_found() {
    let production = Twin::serve(&["--nodes", "3"]);
    production.kubectl(&["apply", "-f", "-"], SITE).unwrap();
    let kubeconfig = std::fs::read_to_string(production.said("kubeconfig")).unwrap();
    let alices = std::path::Path::new(production.said("kubeconfig")).with_file_name("alice");
    std::fs::write(&alices, kubeconfig.replace(production.said("token"), "alice")).unwrap();

    let areas = ["crud", "scheduling"];
    let arguments = ["--namespace", "scratch", "--area", areas[0], areas[1]];
    let (report, status) = checked(alices.to_str().unwrap(), &arguments);
    assert_eq!(status, Some(1));
    assert!(report["twin"]["unseen"].to_string().contains("mutatingadmissionpolicies"), "{}", report["twin"]);
    let different = cases(&report, "different");
    assert!(different.iter().all(|case| case["area"] == "crud"), "{different:?}");
    let told = different.iter().flat_map(|case| case["differing"].as_array().unwrap());
    let told = told.flat_map(|step| step["differences"].as_array().unwrap());
    assert!(
        told.clone().any(|place| place["at"] == "body.metadata.labels" && place["cluster"]["site"] == "was-here"),
        "{different:?}"
    );
    let skipped = cases(&report, "skipped");
    assert!(skipped.iter().any(|case| case["because"] == "the cluster's nodes may not be seen"), "{skipped:?}");
    // The namespace was there before, so it stays.
    assert_eq!(production.run("get configmaps -n scratch -o name").trim(), "configmap/kube-root-ca.crt");

    // Whoever sees the policy has it on the twin too.
    let (report, status) = checked(production.said("kubeconfig"), &arguments);
    assert_eq!(status, Some(0), "{:?}", cases(&report, "different"));
    assert!(report["site"].to_string().contains("mutating admission policy mark"), "{}", report["site"]);
}

#[test]
fn a_namespace_that_holds_something_is_refused_unless_it_is_forced_and_then_that_stays_as_it_was() {
    let production = Twin::serve(&["--nodes", "3"]);
    production.run("create namespace busy");
    production.run("create configmap a -n busy --from-literal=k=mine");
    production.run("create deployment web -n busy --image=nginx --replicas=2");
    production.run("wait --for=condition=Available deployment/web -n busy");
    let list = "get configmaps,deployments,pods -n busy -o name";
    let before = production.run(list);

    let Output { status, stderr, .. } =
        check(production.said("kubeconfig"), &["--namespace", "busy"]).output().unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(2), "{told}");
    assert!(told.contains("namespace busy holds") && told.contains("--force"), "{told}");
    assert_eq!(production.run(list), before);

    let arguments = ["--namespace", "busy", "--force", "--area", "crud", "garbage", "defaulting", "admission"];
    let (report, status) = checked(production.said("kubeconfig"), &arguments);
    assert_eq!(status, Some(0), "{:?}", cases(&report, "different"));
    let why: Vec<&str> = cases(&report, "skipped").iter().map(|case| case["because"].as_str().unwrap()).collect();
    assert!(why.contains(&"namespace busy has a configmaps a that is not ours"), "{why:?}");
    assert!(why.contains(&"it would touch what else is in namespace busy"), "{why:?}");
    assert_eq!(production.run(list), before);
    assert!(production.run("get configmap a -n busy -o yaml").contains("k: mine"));
}

#[test]
fn one_that_is_interrupted_takes_away_what_it_made() {
    let production = Twin::serve(&["--nodes", "3"]);
    let arguments = ["--namespace", "scratch", "--area", "rollout", "--quiet", "3"];
    let mut process = Command::new(env!("CARGO_BIN_EXE_lazaret"))
        .args(["twin", "check", "--kubeconfig", production.said("kubeconfig")])
        .args(arguments)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    lines.next().unwrap().unwrap(); // one case is done, the next has begun
    assert!(production.run("get namespace scratch -o yaml").contains("lazaret.dev/scratch"));
    assert!(Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap().success());
    let mut told = String::new();
    process.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(2), "{told}");
    assert!(told.contains("Not everything was tried: it was interrupted"), "{told}");
    assert!(production.kubectl(&["get", "namespace", "scratch"], "").unwrap_err().contains("not found"));
}

#[test]
fn it_can_be_told_what_to_try() {
    let run = |arguments: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_lazaret")).args(["twin", "check"]).args(arguments).output();
        let Output { status, stdout, stderr } = command.unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let (status, told, _) = run(&["--list", "--area", "garbage", "watch"]);
    assert_eq!(status, Some(0));
    assert!(told.contains("garbage: What goes with its owner") && !told.contains("crud"), "{told}");
    let (status, _, told) = run(&["--list", "--area", "astrology"]);
    assert_eq!(status, Some(2));
    assert!(told.contains("there is no area astrology: say crud, "), "{told}");
    let (status, _, told) = run(&["--kubeconfig", "/dev/null/none", "--namespace", "x"]);
    assert_eq!(status, Some(2), "{told}");
}
