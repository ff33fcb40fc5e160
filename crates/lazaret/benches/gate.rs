//! What the gate costs, held against the same production asked directly in the same run.
//!
//! Knows: a served cluster as production, the real binary before it, and a clock.
//! Does not know: what is fast enough. Machines differ, so it prints ratios, and asserts nothing about time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a measuring instrument

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::Cluster;
use model::AgentId;
use serde_json::{Value, json};

use support::client::{Connection, MERGE};
use support::production::{deployment, service};
use support::{Client, Folder, Gate, Production};

/// How often a read is timed, and a write.
const READS: usize = 1000;
const WRITES: usize = 100;
/// Direct and through the gate take turns of so many requests, so that what else the machine does meets both.
const TURN: usize = 50;
/// How often a verdict alone is timed.
const VERDICTS: usize = 500;
/// How many clients change things at once, and for how long.
const CROWDS: [usize; 3] = [1, 16, 64];
const CROWD_TIME: Duration = Duration::from_secs(8);

fn path(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/shop/deployments/{name}")
}

/// What was timed, in microseconds.
#[derive(Default)]
struct Times(Vec<u64>);

impl Times {
    fn at(&mut self, permille: usize) -> u64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * permille / 1000).copied().unwrap_or(0)
    }
}

/// A client that stays connected, and what its requests took.
struct Runner {
    client: Client,
    connection: Connection,
    times: Times,
    /// How often it was answered with another code than 200, and what was said the first time.
    other: BTreeMap<u16, (usize, String)>,
}

impl Runner {
    async fn of(client: Client) -> Self {
        let connection = client.connect().await;
        Self { client, connection, times: Times::default(), other: BTreeMap::new() }
    }

    async fn time(&mut self, method: &str, path: &str, body: &Value) {
        let (kind, body) = if body.is_null() { ("", String::new()) } else { (MERGE, body.to_string()) };
        let request = self.client.request(method, path, kind, body);
        let begin = Instant::now();
        let answer = self.connection.send(request).await.unwrap();
        if answer.code == 200 {
            self.times.0.push(u64::try_from(begin.elapsed().as_micros()).unwrap());
        } else {
            let said = answer.message();
            self.other.entry(answer.code).or_insert((0, said)).0 += 1;
            if answer.code == 429 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn others(&self) -> String {
        told(&self.other)
    }
}

fn told(other: &BTreeMap<u16, (usize, String)>) -> String {
    other.iter().map(|(code, (count, said))| format!("; {count} answered {code}: {said:.160?}")).collect()
}

/// Prints a row: direct, through the gate, and how many times as long that is.
fn row(what: &str, direct: &mut Runner, gate: &mut Runner) {
    for (name, permille) in [("p50", 500), ("p99", 990)] {
        let (one, two) = (direct.times.at(permille), gate.times.at(permille));
        let ratio = two as f64 / one.max(1) as f64;
        println!("{what:34} {name}  {one:>9} µs  {two:>9} µs  {ratio:>7.2}");
    }
    let (one, two) = (direct.others(), gate.others());
    if !one.is_empty() || !two.is_empty() {
        println!("{:34} direct{one}; gate{two}", "");
    }
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it compiles and starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let crowd = CROWDS.into_iter().max().unwrap_or(1);
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})];
    objects.extend(["read", "direct", "gate"].map(|name| deployment(name, 2)));
    objects.extend([deployment("served", 3), service("served")]);
    objects.extend((0..20).map(|number| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("s-{number}"), "namespace": "shop"},
            "stringData": {"user": "root", "password": format!("hunter{number}")}})
    }));
    objects.extend((0..crowd).map(|number| deployment(&format!("one-{number}"), 2)));
    let folder = Folder::new();
    let production = Production::start(&objects, &folder.join("production")).await;
    // Not through the tap, which would cost something too.
    let gate = Gate::start(&production.served.kubeconfig, &folder.join("data"), "[hold]\npatience_seconds = 0\n", &[]);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("production of {} objects, {profile} build\n", production.cluster().len());
    println!("{:34}      {:>12}  {:>12}  {:>7}", "", "direct", "gate", "ratio");

    for (what, path) in [
        ("get a Deployment", path("read")),
        ("list pods of a namespace", "/api/v1/namespaces/shop/pods".to_owned()),
        ("list Secrets, masked", "/api/v1/namespaces/shop/secrets".to_owned()),
    ] {
        let (mut direct, mut through) =
            (Runner::of(production.client()).await, Runner::of(gate.client(&gate.agent("reader").token)).await);
        for _ in 0..READS / TURN {
            for runner in [&mut direct, &mut through] {
                for _ in 0..TURN {
                    runner.time("GET", &path, &Value::Null).await;
                }
            }
        }
        row(what, &mut direct, &mut through);
    }

    let (mut direct, mut through) =
        (Runner::of(production.client()).await, Runner::of(gate.client(&gate.agent("writer").token)).await);
    for _ in 0..WRITES / TURN {
        for (runner, name) in [(&mut direct, "direct"), (&mut through, "gate")] {
            for number in 0..TURN {
                let replicas = json!({"spec": {"replicas": 2 + (number + 1) % 2}});
                runner.time("PATCH", &path(name), &replicas).await;
            }
            production.rest().await;
        }
    }
    row("scale by one, up and down", &mut direct, &mut through);

    println!("\n{:34} {:>12}  {:>12}  {:>7}", "actions a second, each on its own", "direct", "gate", "ratio");
    for clients in CROWDS {
        let straight = throng((0..clients).map(|_| production.client()).collect()).await;
        production.rest().await;
        let agents = (0..clients).map(|number| gate.client(&gate.agent(&format!("crowd-{clients}-{number}")).token));
        let gated = throng(agents.collect()).await;
        production.rest().await;
        let ratio = gated.0 / straight.0.max(0.001);
        println!(
            "{:34} {:>10.1}/s  {:>10.1}/s  {ratio:>7.2}{}",
            format!("{clients} clients"),
            straight.0,
            gated.0,
            gated.1
        );
    }

    tiers(&gate.ask(&["journal", "export"]).unwrap());
    alone(production.cluster()).await;
}

/// How long a verdict takes by itself, on the same cluster, by what is asked and the tier that decides it. The journal does
/// not keep reads, and what it keeps of writes is in the table before.
async fn alone(cluster: Cluster) {
    let gate = offline::gate(cluster);
    let agent = AgentId::from("asker");
    println!("\n{:34} {:>9}  {:>9}  tier", "a verdict alone", "p50", "p99");
    let scale = |replicas: u64| json!({"spec": {"replicas": replicas}});
    for (what, method, target, body) in [
        ("get a Deployment", "GET", path("read"), Value::Null),
        ("list Secrets", "GET", "/api/v1/namespaces/shop/secrets".to_owned(), Value::Null),
        ("exec into a pod", "POST", "/api/v1/namespaces/shop/pods/x/exec?command=sh".to_owned(), Value::Null),
        ("dry run of a scale", "PATCH", path("read") + "?dryRun=All", scale(3)),
        ("annotate a Deployment", "PATCH", path("read"), json!({"metadata": {"annotations": {"note": "a"}}})),
        ("scale up by one", "PATCH", path("read"), scale(3)),
        ("scale down by one", "PATCH", path("read"), scale(1)),
        ("replace a container", "PATCH", path("read"), offline::image("read", "nginx:2")),
        ("scale to zero", "PATCH", path("served"), scale(0)),
    ] {
        let mut times = Times::default();
        let mut decided = String::new();
        for _ in 0..VERDICTS {
            let asked = offline::asked(&gate, method, &target, &body);
            let begin = Instant::now();
            let case = gate::examine(&gate, &agent, asked).await.unwrap();
            times.0.push(u64::try_from(begin.elapsed().as_micros()).unwrap());
            let ruling = case.ruling();
            decided = format!("{}, {}", ruling.tier, ruling.verdict);
        }
        println!("{what:34} {:>6} µs  {:>6} µs  {decided}", times.at(500), times.at(990));
    }
}

/// A gate in this process, with nothing behind it but a cluster.
mod offline {
    use std::sync::Arc;

    use cluster::Cluster;
    use gate::{Gate, Journal, Parts, Settings, TokioHost, Vault};
    use serde_json::{Value, json};
    use target_kubernetes::decode::{self, Asked};
    use target_kubernetes::mask::Mask;
    use target_kubernetes::message::Received;
    use target_kubernetes::standalone::Standalone;

    pub(super) fn gate(cluster: Cluster) -> Arc<Gate<Standalone>> {
        Gate::new(Parts {
            target: Standalone::new("production".into(), cluster, Mask::new().unwrap()),
            policies: policies::builtin(),
            journal: Journal::in_memory(3_600_000).unwrap(),
            vault: Vault::in_memory().unwrap(),
            host: Arc::new(TokioHost::current().unwrap()),
            settings: Settings { patience_ms: 0, ..Settings::default() },
            probe: None,
        })
    }

    pub(super) fn asked(gate: &Gate<Standalone>, method: &str, target: &str, body: &Value) -> Asked {
        let request = http::Request::builder().method(method).uri(target).header("content-type", super::MERGE);
        let head = request.body(()).unwrap().into_parts().0;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        decode::decode(&gate.target().schema(), &Received { head, body: body.into() }).unwrap()
    }

    pub(super) fn image(name: &str, image: &str) -> Value {
        let requests = json!({"cpu": "100m", "memory": "64Mi"});
        let container = json!({"name": "main", "image": image, "resources": {"requests": requests}});
        json!({"metadata": {"name": name}, "spec": {"template": {"spec": {"containers": [container]}}}})
    }
}

/// Each client scales a Deployment of its own up and down for a while: changes a second, and what else was answered.
async fn throng(clients: Vec<Client>) -> (f64, String) {
    let mut tasks = Vec::new();
    let begin = Instant::now();
    for (number, client) in clients.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            let mut runner = Runner::of(client).await;
            let mut turn = 0;
            while begin.elapsed() < CROWD_TIME {
                turn += 1;
                let replicas = json!({"spec": {"replicas": 2 + turn % 2}});
                runner.time("PATCH", &path(&format!("one-{number}")), &replicas).await;
            }
            runner
        }));
    }
    let (mut done, mut other) = (0, BTreeMap::<u16, (usize, String)>::new());
    for task in tasks {
        let runner = task.await.unwrap();
        done += runner.times.0.len();
        for (code, (count, said)) in runner.other {
            other.entry(code).or_insert((0, said)).0 += count;
        }
    }
    (done as f64 / begin.elapsed().as_secs_f64(), told(&other))
}

/// What each stage took, of the cases that each tier decided.
fn tiers(journal: &str) {
    let mut stages: BTreeMap<(String, String), Times> = BTreeMap::new();
    for line in journal.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        collect(&entry, &mut stages);
    }
    println!("\n{:34} {:>9}  {:>9}  {:>7}", "decided by, stage", "p50", "p99", "cases");
    for ((tier, stage), times) in &mut stages {
        let (half, most, count) = (times.at(500), times.at(990), times.0.len());
        println!("{:34} {half:>6} µs  {most:>6} µs  {count:>7}", format!("{tier}, {stage}"));
    }
}

/// Finds the ruling in an entry, wherever the journal keeps it.
fn collect(value: &Value, stages: &mut BTreeMap<(String, String), Times>) {
    if let (Some(tier), Some(micros)) = (value["tier"].as_str(), value["micros"].as_object()) {
        for (stage, taken) in micros {
            let times = stages.entry((tier.to_owned(), stage.clone())).or_default();
            times.0.extend(taken.as_u64());
        }
        return;
    }
    match value {
        Value::Object(map) => map.values().for_each(|inner| collect(inner, stages)),
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, stages)),
        Value::String(text) if text.starts_with('{') => {
            if let Ok(inner) = serde_json::from_str(text) {
                collect(&inner, stages);
            }
        }
        _ => {}
    }
}
