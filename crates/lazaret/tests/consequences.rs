//! Pairs of actions that look alike, of which one does harm and the other does not: the first is stopped, the second passes.
//!
//! Knows: the short form in which `consequences/*.yaml` tell a state and an action.
//! Does not know: how a verdict comes about. Nothing here asserts a figure: that is what the rules' own tests do.
//!
//! ```yaml
//! - entry: TAX-K8S-006                 # the kind of mistake
//!   about: …                           # for people
//!   given: [objects]                   # what both share
//!   unsafe: {given: […], prepare: […], do: […], by: rule}
//!   safe: {given: […], prepare: […], do: […]}
//! ```
//!
//! An object is written `{is: Deployment shop/web, …}`: its kind, and where it stands. What most of its kind have is left out
//! (see [`expand`]); namespaces make themselves. A step is a line (`DELETE /api/v1/…`) or `{do: PATCH …, type: merge, body: …}`.
//! `prepare` is done to the state after it has settled; a line `wait SECONDS` lets time pass. `$pod(app=web,0)`,
//! `$node(app=web,0)` and `$uid(Deployment shop/web)` stand for what only the cluster knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cluster::apiserver::{self, User};
use cluster::{Cluster, ObjectKey};
use gate::{Gate, Journal, Parts, Settings, Stop, TokioHost, Vault};
use model::{AgentId, Ruling, TargetName};
use serde_json::{Map, Value, json};
use target_kubernetes::decode::{Asked, decode};
use target_kubernetes::mask::Mask;
use target_kubernetes::message::Received;
use target_kubernetes::standalone::Standalone;
use target_kubernetes::twin::ClusterTwin;
use twin::Time;

/// 2026-09-21T14:13:20Z.
const NOW: Time = Time::from_millis(1_790_000_000_000);
const PATIENCE: Duration = Duration::from_secs(300);

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

/// Fills `more` into `base`: maps key by key, anything else as a whole.
fn merge(base: &mut Value, more: &Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more.clone(),
    }
}

/// Where `Deployment shop/web` stands: kind, namespace, name.
fn place(is: &str) -> (&str, &str, &str) {
    let (kind, rest) = is.split_once(' ').unwrap_or_else(|| panic!("no name in {is}"));
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    (kind, namespace, name)
}

/// An object in full. Short forms: `replicas`, `pod` (what its pods' spec has besides a container called `main`), `labels`
/// (its pods' besides `app: NAME`), `load: [requests a second, what a pod serves]`.
fn expand(cluster: &Cluster, short: &Value) -> Value {
    let (kind, namespace, name) = place(short["is"].as_str().unwrap_or_else(|| panic!("what is {short}?")));
    let mut more = short.as_object().unwrap().clone();
    more.remove("is");
    let mut take = |key: &str| more.remove(key);
    let labels = {
        let mut labels = json!({"app": name});
        merge(&mut labels, &take("labels").unwrap_or(json!({})));
        labels
    };
    let spec = {
        let image = format!("registry.example.com/{name}:1.4.2");
        let asks = json!({"requests": {"cpu": "100m", "memory": "64Mi"}});
        let mut spec = json!({"containers": [{"name": "main", "image": image, "resources": asks}]});
        merge(&mut spec, &take("pod").unwrap_or(json!({})));
        spec
    };
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let selector = json!({"matchLabels": {"app": name}});
    let known = |kind: &str| {
        let mut all = cluster.schema.resources().filter(|resource| resource.kind == kind);
        let found = all.find(|resource| resource.version == resource.storage.kind.version).unwrap_or_else(|| {
            cluster
                .schema
                .resources()
                .find(|resource| resource.kind == kind)
                .unwrap_or_else(|| panic!("no kind {kind}"))
        });
        if found.group.is_empty() { found.version.to_string() } else { format!("{}/{}", found.group, found.version) }
    };
    let mut whole = json!({"apiVersion": known(kind), "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        whole["metadata"]["namespace"] = namespace.into();
    }
    let body = match kind {
        "Deployment" | "ReplicaSet" => json!({"spec": {
            "replicas": take("replicas").unwrap_or(1.into()), "selector": selector, "template": template}}),
        "StatefulSet" => json!({"spec": {"serviceName": name,
            "replicas": take("replicas").unwrap_or(1.into()), "selector": selector, "template": template}}),
        "DaemonSet" => json!({"spec": {"selector": selector, "template": template}}),
        "Job" | "CronJob" => {
            let mut template = template;
            template["spec"]["restartPolicy"] = "Never".into();
            let job = json!({"template": template});
            if kind == "Job" {
                json!({"spec": job})
            } else {
                json!({"spec": {"schedule": "5 4 * * *", "jobTemplate": {"spec": job}}})
            }
        }
        "Pod" => json!({"metadata": {"labels": labels}, "spec": spec}),
        "PodDisruptionBudget" => json!({"spec": {"selector": selector}}),
        "Service" => {
            let load = take("load").map(|load| {
                json!({
                    "traffic.lazaret.dev/requests-per-second": load[0].to_string(),
                    "traffic.lazaret.dev/capacity-per-pod": load[1].to_string(),
                })
            });
            json!({"metadata": {"annotations": load.unwrap_or(json!({}))},
                "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}})
        }
        "PersistentVolumeClaim" => json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "10Gi"}}}}),
        "PersistentVolume" => json!({"spec": {
            "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
            "csi": {"driver": "disk.example.com", "volumeHandle": name}}}),
        _ => json!({}),
    };
    merge(&mut whole, &body);
    merge(&mut whole, &Value::Object(more));
    whole
}

/// Does a request as an administrator would, before anybody judges.
fn make(cluster: &mut Cluster, asked: &Asked, shown: &str) {
    let done = apiserver::handle(cluster, &asked.call, &User::admin());
    done.unwrap_or_else(|status| panic!("{shown}: {}", status.message));
}

fn settle(cluster: &mut Cluster) {
    let until = cluster.now() + PATIENCE;
    cluster.settle(until);
}

/// What all of them begin with.
static BASE: LazyLock<Cluster> = LazyLock::new(|| {
    let mut cluster = cluster::build::fresh(NOW, 1);
    cluster::build::add_nodes(&mut cluster, 5);
    cluster.start_controllers();
    settle(&mut cluster);
    cluster
});

/// The state that an action comes to.
fn state(pair: &Value, side: &Value) -> Cluster {
    let mut cluster = BASE.clone();
    let mut spaces = BTreeSet::new();
    for short in list(pair, "given").iter().chain(list(side, "given")) {
        let (kind, namespace, name) = place(short["is"].as_str().unwrap());
        let space = if kind == "Namespace" { name } else { namespace };
        let known = cluster.get(&ObjectKey::new("namespaces", "", space)).is_some();
        if kind != "Namespace" && !space.is_empty() && !known && spaces.insert(space) {
            let object = json!({"is": format!("Namespace {space}")});
            let object = expand(&cluster, &object);
            create(&mut cluster, &object);
            settle(&mut cluster);
        }
        let object = expand(&cluster, short);
        create(&mut cluster, &object);
        if kind == "CustomResourceDefinition" || kind == "Namespace" {
            settle(&mut cluster);
        }
    }
    settle(&mut cluster);
    for step in list(pair, "prepare").iter().chain(list(side, "prepare")) {
        let wait = step.as_str().and_then(|line| line.strip_prefix("wait "));
        if let Some(seconds) = wait {
            let until = cluster.now() + Duration::from_secs(seconds.parse().unwrap());
            cluster.advance(until);
            continue;
        }
        for asked in requests(&cluster, step) {
            make(&mut cluster, &asked, &step.to_string());
        }
        settle(&mut cluster);
    }
    cluster
}

fn create(cluster: &mut Cluster, object: &Value) {
    let parsed = cluster::Value::from_json(object.to_string().as_bytes()).unwrap();
    let resource = cluster.schema.of(&parsed).unwrap_or_else(|| panic!("nothing defines {object}"));
    let base = if resource.group.is_empty() {
        "/api/v1".into()
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let within = match parsed.namespace() {
        "" => String::new(),
        space => format!("/namespaces/{space}"),
    };
    let step = json!({"do": format!("POST {base}{within}/{}", resource.plural), "body": object});
    let asked = request(cluster, &step);
    make(cluster, &asked, &object.to_string());
}

/// What a step sends. A drain is what kubectl makes of it: a cordon, and an eviction a pod.
fn requests(cluster: &Cluster, step: &Value) -> Vec<Asked> {
    let step = named(cluster, step);
    let line = step.as_str().or(step["do"].as_str()).unwrap_or_default();
    let Some(node) = line.strip_prefix("drain ") else { return vec![request(cluster, &step)] };
    let cordon = json!({"do": format!("PATCH /api/v1/nodes/{node}"), "body": {"spec": {"unschedulable": true}}});
    let moved =
        cluster.pods_on(node).filter(|(_, pod)| pod.controller().is_none_or(|owner| owner.kind() != "DaemonSet"));
    let evictions = moved.map(|(key, _)| {
        let path = format!("POST /api/v1/namespaces/{}/pods/{}/eviction", key.namespace, key.name);
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": key.name.as_str(), "namespace": key.namespace.as_str()}});
        json!({"do": path, "body": body})
    });
    std::iter::once(cordon).chain(evictions).map(|step| request(cluster, &step)).collect()
}

/// A step with the names that only the cluster knows.
fn named(cluster: &Cluster, step: &Value) -> Value {
    let mut text = step.to_string();
    while let Some((left, rest)) =
        text.split_once('$').filter(|(_, rest)| ["pod(", "node(", "uid("].iter().any(|word| rest.starts_with(word)))
    {
        let (asked, right) = rest.split_once(')').unwrap();
        let (what, of) = asked.split_once('(').unwrap();
        let found = if what == "uid" {
            let (kind, namespace, name) = place(of);
            let mut all = cluster.objects();
            let found =
                all.find(|(key, object)| object.kind() == kind && key.namespace == namespace && key.name == name);
            found.unwrap_or_else(|| panic!("no {of}")).1.uid().to_owned()
        } else {
            let (label, number) = of.split_once(',').unwrap();
            let (key, value) = label.split_once('=').unwrap();
            let mut pods = cluster.list("pods", None).filter(|(_, pod)| pod.label(key) == Some(value));
            let (own, pod) = pods.nth(number.parse().unwrap()).unwrap_or_else(|| panic!("no {asked}"));
            if what == "pod" { own.name.to_string() } else { pod.at(&["spec", "nodeName"]).str_or_empty().to_owned() }
        };
        text = format!("{left}{found}{right}");
    }
    serde_json::from_str(&text).unwrap()
}

fn request(cluster: &Cluster, step: &Value) -> Asked {
    try_request(cluster, step).unwrap_or_else(|why| panic!("{step}: {why}"))
}

fn try_request(cluster: &Cluster, step: &Value) -> Result<Asked, String> {
    let line = step.as_str().or(step["do"].as_str()).unwrap_or_else(|| panic!("what does {step} do?"));
    let (method, target) = line.split_once(' ').unwrap();
    let kind = match (step["type"].as_str(), method) {
        (Some("apply"), _) => "application/apply-patch+yaml",
        (Some("strategic"), _) => "application/strategic-merge-patch+json",
        (Some("json"), _) => "application/json-patch+json",
        (Some("yaml"), _) => "application/yaml",
        (_, "PATCH") => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = http::Request::builder().method(method).uri(target).header("user-agent", "kubectl/v1.36.2");
    let body = match (&step["raw"], &step["body"]) {
        (Value::String(raw), _) => raw.clone().into_bytes(),
        (_, Value::Null) => Vec::new(),
        (_, body) => {
            let short = body.get("is").is_some();
            if short { expand(cluster, body).to_string().into_bytes() } else { body.to_string().into_bytes() }
        }
    };
    if !body.is_empty() {
        request = request.header("content-type", kind);
    }
    for (name, value) in step["headers"].as_object().unwrap_or(&Map::new()) {
        request = request.header(name, value.as_str().unwrap());
    }
    let received = Received { head: request.body(()).unwrap().into_parts().0, body: body.into() };
    decode(&cluster.schema, &received).map_err(|status| status.message)
}

/// The verdicts on the actions of a side, each on what those allowed before it left.
async fn judge(pair: &Value, side: &Value) -> Vec<Ruling> {
    let cluster = state(pair, side);
    // As `judge` gets it: a snapshot, in which what was under way goes on.
    let objects: Vec<cluster::Value> = cluster.objects().map(|(_, object)| object.clone()).collect();
    let mut cluster = cluster::snapshot::load(objects, Some(cluster.now()), 0);
    cluster.resume();
    let gate = Gate::new(Parts {
        target: Standalone::new(TargetName::from("kubernetes"), cluster.clone(), Mask::new().unwrap()),
        policies: policies::builtin(),
        journal: Journal::in_memory(24 * 3_600_000).unwrap(),
        vault: Vault::in_memory().unwrap(),
        host: Arc::new(TokioHost::current().unwrap()),
        settings: Settings { patience_ms: 0, simulate_ms: 60_000, ..Settings::default() },
        probe: None,
    });
    let mut rulings = Vec::new();
    for step in list(side, "do") {
        let agent = AgentId::from(step["agent"].as_str().unwrap_or("helper"));
        let asked = match step.as_str().filter(|line| line.starts_with("drain ")) {
            Some(_) => requests(&cluster, step).into_iter().map(Ok).collect(),
            None => vec![try_request(&cluster, &named(&cluster, step))],
        };
        for asked in asked {
            let ruling = match asked {
                Err(why) => Ruling::undecodable("", why),
                Ok(asked) => match gate::examine(&gate, &agent, asked.clone()).await {
                    Err(refusal) => Ruling::undecodable("", refusal.text()),
                    Ok(case) => {
                        let ruling = case.ruling();
                        if ruling.verdict == "allow" {
                            let _ = gate::pass(&gate, &agent, asked).await;
                        }
                        ruling
                    }
                },
            };
            rulings.push(ruling);
        }
    }
    rulings
}

fn said(rulings: &[Ruling]) -> String {
    let mut lines = String::new();
    for ruling in rulings {
        lines.push_str(&format!("    {}", ruling.verdict));
        if let Some(foreseen) = &ruling.foreseen {
            lines.push_str(&format!(" (production would refuse: {foreseen})"));
        }
        for voice in ruling.policies.iter().filter(|voice| voice.opinion != "allow") {
            lines.push_str(&format!("; {} {}: {}", voice.name, voice.opinion, voice.because));
        }
        lines.push('\n');
    }
    lines
}

/// What is wrong with the verdicts on a pair, if anything is.
async fn look(pair: &Value) -> Vec<String> {
    let entry = format!("{} ({})", pair["entry"].as_str().unwrap(), pair["about"].as_str().unwrap_or_default());
    let mut wrong = Vec::new();
    let verbose = std::env::var("SAY").is_ok();
    for label in ["unsafe", "safe"] {
        let side = &pair[label];
        let rulings = judge(pair, side).await;
        assert!(!rulings.is_empty(), "{entry}: {label} does nothing");
        let stopped = rulings.iter().any(|ruling| ruling.verdict != "allow");
        let by = side["by"].as_str();
        let spoke = |name: &str| {
            let mut voices = rulings.iter().flat_map(|ruling| &ruling.policies);
            voices.any(|voice| voice.name == name && voice.opinion != "allow")
        };
        let fails = match label {
            "unsafe" => {
                (!stopped).then_some("passes").or(by.filter(|name| !spoke(name)).map(|_| "is not stopped by its rule"))
            }
            _ => stopped.then_some("is stopped"),
        };
        if let Some(fails) = fails {
            wrong.push(format!("{entry}: the {label} one {fails}\n{}", said(&rulings)));
        } else if verbose {
            println!("{entry}: {label}\n{}", said(&rulings));
        }
    }
    wrong
}

/// Every pair; those whose entry holds what `ONLY` says.
fn pairs() -> Vec<Value> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/consequences");
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut pairs = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let found: Vec<Value> =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        pairs.extend(found.into_iter().filter(|pair| pair["entry"].as_str().unwrap_or_default().contains(&only)));
    }
    assert!(!pairs.is_empty(), "there is nothing to judge");
    pairs
}

/// `ONLY=032 SAY=1 cargo test -p lazaret --test consequences` shows what is said of the pairs whose entry holds `032`.
#[tokio::test(flavor = "multi_thread")]
async fn the_unsafe_one_of_a_pair_is_stopped_and_the_safe_one_passes() {
    let tasks: Vec<_> = pairs().into_iter().map(|pair| tokio::spawn(async move { look(&pair).await })).collect();
    let mut wrong = Vec::new();
    for task in tasks {
        match task.await {
            Ok(found) => wrong.extend(found),
            Err(panicked) => wrong.push(format!("a pair cannot be judged: {panicked}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// An action on a fork, and all that came of it: the effect, and every object as it is then.
fn played(cluster: Cluster, calls: &[Asked]) -> String {
    let mut twin = ClusterTwin::new(cluster);
    let mut told = String::new();
    for asked in calls {
        let prediction = gate::Twin::apply(&mut twin, asked, &Stop::default());
        told.push_str(&format!("{prediction:?}\n"));
    }
    told.push_str(&format!("{:?} {}\n", twin.cluster().now(), twin.cluster().version()));
    for (key, object) in twin.cluster().objects() {
        told.push_str(&format!("{key:?} {}\n", object.to_json()));
    }
    told
}

/// Work of all kinds: what it leaves behind anywhere but in the fork that it is done on, it must not.
fn work(mut cluster: Cluster) {
    let deployments: Vec<ObjectKey> = cluster.list("deployments.apps", None).map(|(key, _)| key.clone()).collect();
    for key in deployments {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}/scale", key.namespace, key.name);
        let step = json!({"do": format!("PATCH {path}"), "body": {"spec": {"replicas": 7}}});
        let asked = request(&cluster, &step);
        let _ = apiserver::handle(&mut cluster, &asked.call, &User::admin());
        settle(&mut cluster);
    }
    let pods: Vec<ObjectKey> = cluster.list("pods", None).map(|(key, _)| key.clone()).collect();
    for key in pods {
        let step = json!(format!("DELETE /api/v1/namespaces/{}/pods/{}", key.namespace, key.name));
        let asked = request(&cluster, &step);
        let _ = apiserver::handle(&mut cluster, &asked.call, &User::admin());
    }
    settle(&mut cluster);
}

#[test]
fn what_comes_of_an_action_is_the_same_to_the_last_bit_wherever_and_after_whatever_it_is_played() {
    let check = |pair: &Value| {
        for label in ["unsafe", "safe"] {
            let side = &pair[label];
            let objects: Vec<cluster::Value> = {
                let cluster = state(pair, side);
                cluster.objects().map(|(_, object)| object.clone()).collect()
            };
            let texts: Vec<String> = objects.iter().map(cluster::Value::to_json).collect();
            let load = || {
                // Read anew, so that nothing is shared with what was loaded before.
                let objects = texts.iter().map(|text| cluster::Value::from_json(text.as_bytes()).unwrap());
                let mut cluster = cluster::snapshot::load(objects, Some(NOW + PATIENCE), 0);
                cluster.resume();
                cluster
            };
            let origin = load();
            let steps = list(side, "do").iter();
            let calls: Vec<Asked> = steps
                .filter_map(|step| match step.as_str().filter(|line| line.starts_with("drain ")) {
                    Some(_) => Some(requests(&origin, step)),
                    // What cannot be decoded, or only after the step before it, is not what this is about.
                    None => try_request(&origin, &named(&origin, step)).ok().map(|asked| vec![asked]),
                })
                .flatten()
                .collect();
            let entry = format!("{} {label}", pair["entry"]);
            let first = played(origin.clone(), &calls);
            std::thread::scope(|scope| {
                let again = scope.spawn(|| played(load(), &calls));
                let after_work = scope.spawn(|| {
                    let fork = origin.clone();
                    work(fork.clone());
                    played(fork.clone(), &calls)
                });
                assert!(again.join().unwrap() == first, "{entry}: loaded anew, something else comes of it");
                assert!(after_work.join().unwrap() == first, "{entry}: on a fork of a fork something else comes of it");
            });
            assert!(played(origin, &calls) == first, "{entry}: the second time something else comes of it");
        }
    };
    let pairs = pairs();
    let (left, right) = pairs.split_at(pairs.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| left.iter().for_each(check));
        scope.spawn(|| right.iter().rev().for_each(check));
    });
}
