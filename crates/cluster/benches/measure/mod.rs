//! The ruler that the benchmarks of large clusters share: the clusters, the actions, a clock, and a table with the goals.
//!
//! Knows: a generated cluster of 5,000 nodes and 150,000 pods, one of a tenth of that, and what is done to them.
//! Does not know: what of it is timed. Machines differ, so the table shows the large one beside the small one: work that is
//! proportional to what is touched has a ratio near 1.
//!
//! | variable | |
//! |---|---|
//! | `NODES` | how many nodes the large cluster has; the small one has a tenth, and both have thirty pods for each |
//! | `TIMES` | how often each thing is done at most, each time on a fork of its own; a profile wants it oftener |
//! | `ONLY` | rows whose name holds this text alone |
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::time::Duration;

use cluster::apiserver::{self, Call, Request};
use cluster::population::{self, SHOP, Size};
use cluster::snapshot::Loading;
use cluster::{Cluster, Value, doc};

/// How long one row may take at most, whatever `TIMES` says; it is done five times in any case.
const PATIENCE: Duration = Duration::from_secs(2);

/// Measures what the processor does for this thread. On a machine that others share, the time on the wall tells more of them.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Duration);

impl Clock {
    /// Begins to measure.
    pub(crate) fn start() -> Self {
        Self(Self::now())
    }

    /// How long the processor has worked since.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now() - self.0
    }

    fn now() -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
    }
}

/// What is asked of a figure, in milliseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Goal {
    /// Of the middle one.
    pub(crate) p50: Option<f64>,
    /// Of one in a hundred.
    pub(crate) p99: Option<f64>,
}

/// No goal was set.
pub(crate) const NONE: Goal = Goal { p50: None, p99: None };

/// A goal for the middle one.
pub(crate) const fn within(millis: f64) -> Goal {
    Goal { p50: Some(millis), p99: None }
}

/// Something that is done to a cluster.
pub(crate) struct Action {
    /// What it is called.
    pub(crate) what: &'static str,
    /// What is asked of playing it.
    pub(crate) goal: Goal,
    /// What is asked of judging it.
    pub(crate) judged: Goal,
    method: &'static str,
    path: &'static str,
    body: &'static str,
}

const fn action(what: &'static str, method: &'static str, path: &'static str, body: &'static str) -> Action {
    Action { what, goal: NONE, judged: NONE, method, path, body }
}

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const SCALE: &str = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
const STORE: &str = "/apis/apps/v1/namespaces/shop/deployments/store";
const NODE: &str = "/api/v1/nodes/node-00007";
const NEW_TEMPLATE: &str = r#"{"spec":{"template":{"metadata":{"annotations":{"at":"now"}}}}}"#;

/// What is done: one request each.
pub(crate) const ACTIONS: &[Action] = &[
    Action {
        goal: Goal { p50: Some(1.0), p99: Some(10.0) },
        judged: within(2.0),
        ..action("scale a deployment of 50 by 1", "PATCH", SCALE, r#"{"spec":{"replicas":51}}"#)
    },
    Action {
        goal: Goal { p50: Some(1.0), p99: Some(10.0) },
        judged: within(2.0),
        ..action("scale it down by 1", "PATCH", SCALE, r#"{"spec":{"replicas":49}}"#)
    },
    action("delete a pod of 3", "DELETE", "/api/v1/namespaces/shop/pods/{cart}", ""),
    action("evict a pod of 50", "POST", "/api/v1/namespaces/shop/pods/{web}/eviction", "{eviction}"),
    action("new template of 50 pods", "PATCH", WEB, NEW_TEMPLATE),
    Action { goal: within(50.0), ..action("new template of 100 pods", "PATCH", STORE, NEW_TEMPLATE) },
    action("cordon a node", "PATCH", NODE, r#"{"spec":{"unschedulable":true}}"#),
    action("taint a node NoExecute", "PATCH", NODE, r#"{"spec":{"taints":[{"key":"gone","effect":"NoExecute"}]}}"#),
    action("change a config map", "PATCH", "/api/v1/namespaces/shop/configmaps/web-config", r#"{"data":{"a":"b"}}"#),
    Action { goal: within(50.0), ..action("delete a namespace of 1,000", "DELETE", "/api/v1/namespaces/doomed", "") },
];

fn said(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many nodes the large cluster has.
pub(crate) fn nodes() -> usize {
    said("NODES").unwrap_or(5_000)
}

/// Whether a row is asked for.
pub(crate) fn asked(what: &str) -> bool {
    what.contains(&std::env::var("ONLY").unwrap_or_default())
}

/// A cluster of so many nodes, and thirty pods for each.
pub(crate) fn size(nodes: usize) -> Size {
    Size { nodes, pods: nodes * 30 }
}

/// Loads a cluster of a size from JSON text, one object at a time, and says what that took.
pub(crate) fn loaded(name: &str, size: Size) -> Cluster {
    let (mut text, mut apart, mut count) = (0, 0, 0);
    let (mut parsing, mut loaded) = (Duration::ZERO, Duration::ZERO);
    let before = memory("VmRSS:");
    let mut loading = Loading::new(None, 1);
    population::populate(size, 1, &mut |object| {
        let bytes = object.to_json_bytes();
        (text, apart, count) = (text + bytes.len(), apart + unshared(&object), count + 1);
        drop(object);
        let begin = Clock::start();
        let object = loading.interner().read(&bytes).unwrap();
        parsing += begin.elapsed();
        let begin = Clock::start();
        loading.take_shared(object);
        loaded += begin.elapsed();
    });
    let begin = Clock::start();
    let mut cluster = loading.finish();
    loaded += begin.elapsed();
    let begin = Clock::start();
    cluster.resume();
    let resuming = begin.elapsed();
    let kept = memory("VmRSS:").saturating_sub(before);
    let all = parsing + loaded + resuming;
    println!("{name}: {} nodes, {} pods, {count} objects, {} MB of JSON", size.nodes, size.pods, text >> 20);
    println!(
        "  load {} ms (goal of the large one: 5000): read {}, take in and index {}, look for what is under way {}",
        all.as_millis(),
        parsing.as_millis(),
        loaded.as_millis(),
        resuming.as_millis(),
    );
    println!(
        "  memory {} MB with all indexes (goal: 1024), {} MB at most so far; an object has {} bytes of JSON, {} in memory if \
         nothing were shared, {} as it is",
        kept >> 20,
        memory("VmHWM:") >> 20,
        text / count,
        apart / count,
        kept / count,
    );
    cluster
}

/// What this process has of a kind of memory, as Linux counts it.
pub(crate) fn memory(kind: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(kind));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) << 10
}

/// What a document takes in memory by itself: each string, list and map with the counts before it, as the allocator rounds.
fn unshared(value: &Value) -> usize {
    let block = |bytes: usize| (bytes + 8).next_multiple_of(16);
    let text = |text: &str| block(16 + text.len());
    let parts = |each: usize, count: usize| block(40) + block(each * count);
    match value {
        Value::String(string) => text(string),
        Value::Array(list) => parts(16, list.len()) + list.iter().map(unshared).sum::<usize>(),
        Value::Object(map) => {
            parts(24, map.len()) + map.iter().map(|(key, value)| text(key) + unshared(value)).sum::<usize>()
        }
        _ => 0,
    }
}

/// What was timed, how many objects were read for it, and a digest of what came of it.
pub(crate) struct Cost {
    times: Vec<Duration>,
    reads: u64,
    digest: u64,
}

impl Cost {
    /// Does something again and again. It says how long it took and how many objects were read.
    pub(crate) fn of(mut what: impl FnMut() -> (Duration, u64)) -> Self {
        let most = said("TIMES").unwrap_or(200);
        let mut cost = Self { times: Vec::new(), reads: 0, digest: 0 };
        let begin = Clock::start();
        while cost.times.len() < most && (cost.times.len() < 5 || begin.elapsed() < PATIENCE) {
            let (time, reads) = what();
            cost.times.push(time);
            cost.reads = reads;
        }
        cost.times.sort_unstable();
        cost
    }

    /// With what came of it, as a digest that is the same wherever it is done.
    pub(crate) fn with_digest(self, digest: u64) -> Self {
        Self { digest, ..self }
    }

    fn millis(&self, permille: usize) -> f64 {
        self.times[(self.times.len() - 1) * permille / 1000].as_secs_f64() * 1e3
    }
}

/// FNV-1a over all changes since a version: whoever plays the same on the same cluster gets the same.
pub(crate) fn digest(cluster: &Cluster, since: u64) -> u64 {
    let changes = cluster.changes_since(since).unwrap();
    changes.fold(0xcbf2_9ce4_8422_2325, |hash, change| {
        let after = change.after.as_ref().map(Value::to_json).unwrap_or_default();
        let told = format!("{} {} {} {after}\n", change.version, change.at, change.key);
        told.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// The first line of the table.
pub(crate) fn header() {
    println!(
        "\n{:32} {:>10} {:>10} {:>10} {:>6}  {:24} {:>16}  digest",
        "milliseconds of processor time", "small p50", "large p50", "p99", "ratio", "goal", "objects read"
    );
}

/// A line of the table.
pub(crate) fn row(what: &str, goal: Goal, small: &Cost, large: &Cost) {
    let shown = |millis: f64| if millis < 0.1 { format!("{millis:.5}") } else { format!("{millis:.3}") };
    let (p50, p99) = (large.millis(500), large.millis(990));
    let told = |name: &str, goal: Option<f64>, is: f64| {
        goal.map(|goal| format!("{name} {goal} {}", if is <= goal { "met" } else { "MISSED" }))
    };
    let goals: Vec<String> = told("p50", goal.p50, p50).into_iter().chain(told("p99", goal.p99, p99)).collect();
    println!(
        "{what:32} {:>10} {:>10} {:>10} {:>6.2}  {:24} {:>7} {:>8}  {:08x}",
        shown(small.millis(500)),
        shown(p50),
        shown(p99),
        p50 / small.millis(500),
        goals.join(", "),
        small.reads,
        large.reads,
        large.digest & 0xffff_ffff,
    );
}

impl Action {
    /// The call that it is.
    pub(crate) fn call(&self, cluster: &Cluster) -> Call {
        call(cluster, self.method, self.path, self.body)
    }
}

/// A request as the API server reads it.
pub(crate) fn call(cluster: &Cluster, method: &str, path: &str, body: &str) -> Call {
    let first = |app: &str| {
        let mut pods = cluster.list("pods", Some(SHOP));
        pods.find(|(_, pod)| pod.label("app") == Some(app)).unwrap().0.name.clone()
    };
    let path = path.replace("{cart}", &first("cart")).replace("{web}", &first("web"));
    let eviction = doc!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": (first("web")), "namespace": (SHOP)},
    });
    let body = body.replace("{eviction}", &eviction.to_json());
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers =
        [("content-type", kind), ("accept", "application/json")].map(|(name, value)| (name.into(), value.into()));
    let request = Request { method, path, query, headers: &headers, body: body.as_bytes() };
    apiserver::decode(&cluster.schema, &request).unwrap()
}
