//! The real kubectl, and the Python client, through the real gate to a served cluster.
//!
//! Needs kubectl 1.37 and Python's `kubernetes` in the PATH; `scripts/test` puts them there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Agent, Station, until};

/// Nodes of the kubelet kind that a drain can move pods between.
const PATIENT: &str = "[hold]\npatience_seconds = 1\nretry_after_seconds = 1\n";
/// A gate that answers a held request at once, so that a test sees the answer.
const IMPATIENT: &str = "[hold]\npatience_seconds = 0\nretry_after_seconds = 0\n";

struct Kubectl<'a>(&'a Agent);

impl Kubectl<'_> {
    fn with(&self, arguments: &[&str], input: &str) -> Output {
        let mut kubectl = Command::new("kubectl")
            .args(["--kubeconfig", self.0.kubeconfig.to_str().unwrap(), "-n", "shop", "--request-timeout=60s"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need kubectl in the PATH: run scripts/test");
        kubectl.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        kubectl.wait_with_output().unwrap()
    }

    /// What kubectl prints, one line a blank-separated word of arguments; `ok` or `no` says how it ended.
    fn says(&self, line: &str) -> String {
        self.says_to(line, "")
    }

    fn says_to(&self, line: &str, input: &str) -> String {
        let Output { status, stdout, stderr } = self.with(&line.split(' ').collect::<Vec<_>>(), input);
        let end = if status.success() { "ok" } else { "no" };
        format!("{end}: {}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
    }

    /// Checks each command's answer for what it must hold.
    fn check(&self, cases: &[(&str, &str, &str)]) {
        for (line, end, holds) in cases {
            let said = self.says(line);
            assert!(
                said.starts_with(end) && said.contains(holds),
                "kubectl {line}\n  wants {end}: …{holds}…\n  {said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everyday_commands_work_as_they_do_without_a_gate() {
    let station = Station::start().await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    kubectl.check(&[
        ("get deployments", "ok", "web    3/3     3            3"),
        ("get pods -o wide", "ok", "Running"),
        ("get pods -l app=web -o name", "ok", "pod/web-"),
        ("describe deployment web", "ok", "3 desired | 3 updated | 3 total | 3 available | 0 unavailable"),
        ("create configmap settings --from-literal=a=b", "ok", "configmap/settings created"),
        ("create deployment extra --image=nginx --replicas=2", "ok", "deployment.apps/extra created"),
        ("rollout status deployment/extra --timeout=60s", "ok", "successfully rolled out"),
        ("wait --for=condition=Available deployment/extra --timeout=60s", "ok", "condition met"),
        ("label deployment extra tier=front", "ok", "labeled"),
        ("annotate deployment extra note=seen", "ok", "annotated"),
        (r#"patch deployment extra -p {"spec":{"minReadySeconds":1}}"#, "ok", "patched"),
        (r#"patch deployment extra --type=merge -p {"spec":{"minReadySeconds":0}}"#, "ok", "patched"),
        (
            r#"patch deployment extra --type=json -p [{"op":"replace","path":"/spec/revisionHistoryLimit","value":5}]"#,
            "ok",
            "patched",
        ),
        ("set image deployment/extra nginx=nginx:2", "ok", "image updated"),
        ("rollout status deployment/extra --timeout=60s", "ok", "successfully rolled out"),
        ("rollout history deployment/extra", "ok", "2         <none>"),
        ("rollout undo deployment/extra", "ok", "rolled back"),
        ("rollout restart deployment/extra", "ok", "restarted"),
        ("scale deployment/extra --replicas=3", "ok", "scaled"),
        ("auth can-i delete pods", "ok", "yes"),
        ("explain deployment.spec.replicas", "ok", "FIELD: replicas <integer>"),
        ("api-resources --api-group=apps", "ok", "statefulsets"),
        ("delete configmap settings", "ok", "deleted"),
        ("wait --for=delete configmap/settings --timeout=60s", "ok", ""),
        ("get configmap settings", "no", r#"Error from server (NotFound): configmaps "settings" not found"#),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_applied_by_both_sides_and_diffed() {
    let station = Station::start().await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    let manifest = |replicas: u32| {
        let mut manifest = support::production::deployment("applied", replicas);
        manifest["metadata"]["labels"] = json!({"app": "applied"});
        manifest.to_string()
    };
    assert!(kubectl.says_to("apply -f -", &manifest(1)).contains("deployment.apps/applied created"));
    let diff = kubectl.says_to("diff -f -", &manifest(2));
    assert!(diff.contains("-  replicas: 1") && diff.contains("+  replicas: 2"), "{diff}");
    assert!(kubectl.says_to("apply -f -", &manifest(2)).contains("deployment.apps/applied configured"));
    assert!(kubectl.says_to("apply -f -", &manifest(2)).contains("deployment.apps/applied unchanged"));
    let applied = kubectl.says_to("apply --server-side --force-conflicts -f -", &manifest(3));
    assert!(applied.contains("deployment.apps/applied serverside-applied"), "{applied}");
    assert!(kubectl.says("get deployment applied -o jsonpath={.spec.replicas}").contains("ok: 3"));
    // What another manager owns is a conflict without force, as without a gate.
    let other = kubectl.says_to("apply --server-side --field-manager=other -f -", &manifest(1));
    assert!(
        other.starts_with("no") && other.contains("conflict with \"kubectl\"") && other.contains(".spec.replicas"),
        "{other}"
    );
    let fresh = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fresh"}, "data": {"a": "1"}});
    let fresh = kubectl.says_to("apply --server-side -f -", &fresh.to_string());
    assert!(fresh.contains("configmap/fresh serverside-applied"), "{fresh}");
    assert!(kubectl.says_to("delete -f -", &manifest(3)).contains("deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_twins_knowledge_is_refused_and_says_why() {
    let station = Station::start().await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    let pod = kubectl.says("get pods -l app=web -o jsonpath={.items[0].metadata.name}");
    let pod = pod.strip_prefix("ok: ").unwrap();
    let cases = [
        ("logs deploy/web", "no", "the output of a workload may hold secrets, and nobody masks it (policy signature"),
        ("exec deploy/web -- env", "no", "exec opens a session in which nothing can be simulated, judged or undone"),
        ("attach deploy/web", "no", "attach opens a session in which nothing can be simulated, judged or undone"),
        ("cp shop/POD:/etc/passwd /tmp/lazaret-never", "no", "exec opens a session in which nothing can be simulated"),
        ("cp Cargo.toml shop/POD:/tmp", "no", "exec opens a session in which nothing can be simulated"),
        ("port-forward deploy/web 0:80", "no", "is denied"),
        ("get pods --as=admin", "no", "an agent acts as itself"),
    ];
    for (line, end, holds) in cases {
        kubectl.check(&[(&line.replace("POD", pod), end, holds)]);
    }
    assert!(station.production.writes().is_empty(), "{:?}", station.production.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_value_is_ever_read_and_no_mask_is_ever_stored() {
    let station = Station::start().await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    for line in ["get secret db -o yaml", "get secrets -o json", "get secret db -o jsonpath={.data.password}"] {
        let said = kubectl.says(line);
        assert!(!said.contains("aHVudGVyMg"), "kubectl {line}: {said}");
    }
    let masked = kubectl.says("get secret db -o json");
    let manifest = masked.strip_prefix("ok: ").unwrap();
    let back = kubectl.says_to("replace -f -", manifest);
    assert!(back.starts_with("no") && back.contains("holds a mask, not a value"), "{back}");
    assert!(station.production.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_scale_up_passes_and_the_only_backend_stays() {
    let station = Station::start().await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    kubectl.check(&[
        ("scale deployment/web --replicas=5", "ok", "scaled"),
        (
            "scale deployment/lone --replicas=0",
            "no",
            "service shop/lone would have 0 of 1 endpoints (policy availability-floor, tier simulation)",
        ),
        ("scale deployment/lone --replicas=0", "no", "Would pass: replicas >= 1"),
    ]);
    let replicas = |name: &str| {
        let object = station.production.object("deployments.apps", "shop", name).unwrap();
        object.at(&["spec", "replicas"]).as_int()
    };
    assert_eq!((replicas("web"), replicas("lone")), (Some(5), Some(1)));
    let show = station.gate.ask(&["show"]).unwrap();
    assert!(show.contains("committed") && show.contains("deny"), "{show}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_as_far_as_the_disruption_budget_lets_it() {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    });
    let mut objects = support::shop();
    // What has one replica and a service of its own would have none for a moment: that is not what this test is about.
    objects.retain(|object| object["metadata"]["name"] != "lone");
    objects.push(budget);
    let station = Station::of(&objects, "", &[]).await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    let node = kubectl.says("get pods -l app=web -o jsonpath={.items[0].spec.nodeName}");
    let node = node.strip_prefix("ok: ").unwrap().to_owned();
    let drained = kubectl.says(&format!("drain {node} --ignore-daemonsets --timeout=60s"));
    assert!(drained.starts_with("ok") && drained.contains("drained"), "{drained}");
    let left = kubectl.says(&format!("get pods --field-selector=spec.nodeName={node} -o name"));
    assert!(!left.contains("pod/web"), "{left}");
    assert!(kubectl.says(&format!("uncordon {node}")).contains("uncordoned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_observes_forwards_and_tells_until_it_enforces() {
    let station = Station::of(&support::shop(), "[target]\nmode = \"observe\"\n", &[]).await;
    let agent = station.gate.agent("oncall");
    let kubectl = Kubectl(&agent);
    let replicas =
        || station.production.object("deployments.apps", "shop", "lone").unwrap().at(&["spec", "replicas"]).as_int();
    kubectl.check(&[("scale deployment/lone --replicas=0", "ok", "scaled")]);
    assert_eq!(replicas(), Some(0));
    let story = until("the case is in the record", async || {
        let latest = station.gate.json(&["show"]);
        let case = latest.as_array()?.iter().find(|case| case["title"] == "scale Deployment/shop/lone")?;
        let story = station.gate.ask(&["show", case["case"].as_str()?]).unwrap();
        story.contains("production did it").then_some(story)
    })
    .await;
    for part in ["would be denied", "would have 0 of 1 endpoints", "as this gate only observes"] {
        assert!(story.contains(part), "{part} is not in\n{story}");
    }
    kubectl.check(&[("scale deployment/lone --replicas=1", "ok", "scaled")]);
    kubectl.check(&[("rollout status deployment/lone --timeout=60s", "ok", "successfully rolled out")]);
    station.gate.ask(&["mode", "enforce", "--as", "ana"]).unwrap();
    kubectl.check(&[("scale deployment/lone --replicas=0", "no", "is denied")]);
    assert_eq!(replicas(), Some(1));
}

/// A namespace whose deletion would lose the only copy of something.
fn archive() -> Vec<Value> {
    let mut objects = support::shop();
    objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "archive"}}));
    objects.push(json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": "orders", "annotations": {"pv.kubernetes.io/provisioned-by": "ebs.csi.aws.com"}},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "ssd",
            "persistentVolumeReclaimPolicy": "Delete", "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "archive", "name": "orders"}},
    }));
    objects.push(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "orders", "namespace": "archive"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "ssd", "volumeName": "orders",
            "resources": {"requests": {"storage": "1Gi"}}},
    }));
    objects
}

/// Waits until a case is held, and gives its id.
async fn held(station: &Station) -> String {
    until("a case that waits for a person", async || {
        station.gate.json(&["pending"])[0]["case"].as_str().map(str::to_owned)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_waits_for_a_person_and_goes_on_once_after_approval() {
    let station = Station::of(&archive(), PATIENT, &[]).await;
    let agent = station.gate.agent("oncall");
    let waits = tokio::task::spawn_blocking(move || Kubectl(&agent).says("delete namespace archive --wait=false"));
    let case = held(&station).await;
    station.gate.ask(&["approve", &case, "--as", "ana", "--note", "archived elsewhere"]).unwrap();
    let said = waits.await.unwrap();
    assert!(said.starts_with("ok") && said.contains("deleted"), "{said}");
    let deletes =
        station.production.writes().iter().filter(|seen| seen.method == "DELETE" && !seen.is_rehearsal()).count();
    assert_eq!(deletes, 1, "{:?}", station.production.writes());
    // The client is answered before the record has what it was answered.
    let story = support::until("the story is told to its end", async || {
        let story = station.gate.ask(&["show", &case]).unwrap();
        story.contains("production did it").then_some(story)
    })
    .await;
    for part in [
        "asked to delete Namespace/archive",
        "lose the data of PersistentVolume/orders",
        "policy data-loss",
        "ana approved: \"archived elsewhere\"",
        "intent written",
        "production did it: Namespace/archive is gone, or going",
    ] {
        assert!(story.contains(part), "{part} is not in\n{story}");
    }
    assert!(station.gate.ask(&["journal", "verify"]).unwrap().contains("whole"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_the_effect_that_was_seen() {
    let station = Station::of(&archive(), IMPATIENT, &[]).await;
    let agent = station.gate.agent("oncall");
    let client = station.gate.client(&agent.token);
    let path = "/api/v1/namespaces/archive";
    let first = client.delete(path).await;
    assert_eq!((first.code, first.headers.contains_key("warning")), (429, true), "{}", first.message());
    let case = held(&station).await;
    station.gate.ask(&["approve", &case, "--as", "ana"]).unwrap();
    // Meanwhile somebody else moves a service into the namespace that is to go.
    let production = station.production.client();
    let mut deployment = support::production::deployment("moved", 2);
    deployment["metadata"]["namespace"] = json!("archive");
    assert_eq!(production.post("/apis/apps/v1/namespaces/archive/deployments", &deployment).await.code, 201);
    station.production.rest().await;
    until("the gate has seen what was moved", async || {
        let seen = client.get("/apis/apps/v1/namespaces/archive/deployments/moved").await;
        (seen.code == 200).then_some(())
    })
    .await;
    // The gate's twin follows a moment later than a read, which production answers; ask until the effect has grown.
    let second = until("the same deletion is held anew", async || {
        let asked = client.delete(path).await;
        assert_eq!(asked.code, 429, "{}", asked.message());
        let pending = station.gate.json(&["pending"]);
        let deleted = &pending[0]["ruling"]["effect"]["objects"]["deleted"];
        deleted.as_array().is_some_and(|deleted| deleted.contains(&json!("Deployment/archive/moved"))).then_some(asked)
    })
    .await;
    assert!(second.message().contains("held for a person"), "{}", second.message());
    let deleted = station.production.writes().iter().any(|seen| seen.method == "DELETE" && !seen.is_rehearsal());
    assert!(!deleted, "it was deleted with an effect that nobody saw");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_reads_makes_watches_deletes_and_is_told_why_not() {
    let station = Station::of(&support::shop(), IMPATIENT, &[]).await;
    let agent = station.gate.agent("oncall");
    let script = r#"
import sys
from kubernetes import client, config, watch
config.load_kube_config(sys.argv[1])
apps, core = client.AppsV1Api(), client.CoreV1Api()
print(sorted(item.metadata.name for item in apps.list_namespaced_deployment("shop").items))
scale = lambda name, count: apps.patch_namespaced_deployment_scale(name, "shop", {"spec": {"replicas": count}})
print(scale("web", 4).spec.replicas)
try:
    scale("lone", 0)
except client.ApiException as error:
    print(error.status, "availability-floor" in error.body)
print("hunter" in str(core.read_namespaced_secret("db", "shop").data))
made = core.create_namespaced_config_map("shop", {"metadata": {"name": "made"}, "data": {"a": "b"}})
seen = watch.Watch().stream(core.list_namespaced_config_map, "shop", field_selector="metadata.name=made", timeout_seconds=30)
print(next((event["type"], event["object"].data) for event in seen))
core.delete_namespaced_config_map("made", "shop")
print(len(core.list_namespaced_config_map("shop", field_selector="metadata.name=made").items))
configuration = client.Configuration.get_default_copy()
configuration.retries = False
try:
    client.CoreV1Api(client.ApiClient(configuration)).delete_namespaced_service("web", "shop")
except client.ApiException as error:
    print(error.status, error.headers["Retry-After"], "would be gone, with its 4 endpoints" in error.body)
"#;
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(Path::new(&agent.kubeconfig))
        .output()
        .expect("this test needs python3 in the PATH: run scripts/test");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "['lone', 'web']\n4\n403 True\nFalse\n('ADDED', {'a': 'b'})\n0\n429 1 True\n");
}
