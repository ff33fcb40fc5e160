//! What holds by nature, tried at random against the simplest thing that could be right.
//!
//! Knows: the simplest thing: a map and a list for the store, a fixed point for what goes with its owner, a sum for what a node or a
//! quota has given, another's implementation of the two patches that are standards.
//! Does not know: how the cluster does any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::apiserver::{self, Request, Status, User};
use cluster::{Cluster, Value, doc};
use proptest::prelude::*;
use twin::{Store, Time};

const NOW: Time = Time::from_millis(1_700_000_000_000);

fn ask(cluster: &mut Cluster, method: &str, target: &str, kind: &str, body: &[u8]) -> Result<Value, Status> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = [("content-type".to_owned(), kind.to_owned())];
    let request = Request { method, path, query, headers: &headers, body };
    let call = apiserver::decode(&cluster.schema.clone(), &request)?;
    Ok(apiserver::handle(cluster, &call, &User::admin())?.into_document().unwrap_or_default())
}

fn send(cluster: &mut Cluster, method: &str, target: &str, body: &Value) -> Result<Value, Status> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_json_bytes() };
    ask(cluster, method, target, "application/json", &bytes)
}

fn settle(cluster: &mut Cluster) {
    let until = cluster.now() + Duration::from_secs(600);
    cluster.settle(until);
}

/// A cluster with a namespace `shop` and so many nodes of 8 CPUs, 32 GiB and 110 pods.
fn fresh(nodes: usize) -> Cluster {
    let mut cluster = cluster::build::fresh(NOW, 1);
    cluster::build::add_nodes(&mut cluster, nodes);
    cluster.start_controllers();
    let namespace = doc!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    send(&mut cluster, "POST", "/api/v1/namespaces", &namespace).unwrap();
    settle(&mut cluster);
    cluster
}

fn names(cluster: &Cluster, resource: &str) -> BTreeSet<String> {
    let all = cluster.list(resource, Some("shop")).map(|(key, _)| key.name.to_string());
    all.filter(|name| name != "kube-root-ca.crt").collect()
}

// The store, and a map with a list.

/// What can be done to one of several forks.
#[derive(Clone, Debug)]
enum Deed {
    Write(usize, u8, Option<u8>),
    Fork(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        9 => (any::<usize>(), 0..12u8, prop::option::weighted(0.7, any::<u8>())).prop_map(|(on, key, value)| Deed::Write(on, key, value)),
        1 => any::<usize>().prop_map(Deed::Fork),
    ]
}

#[derive(Clone, Default)]
struct Naive {
    map: BTreeMap<u8, u8>,
    changes: Vec<(u8, Option<u8>, Option<u8>)>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_store_and_all_its_forks_are_each_a_map_and_a_list_of_changes(deeds in prop::collection::vec(deed(), 1..80)) {
        let mut pairs = vec![(Store::<u8, u8>::new(1, 1000), Naive::default())];
        for deed in deeds {
            match deed {
                Deed::Fork(of) => {
                    let fork = pairs[of % pairs.len()].clone();
                    pairs.push(fork);
                }
                Deed::Write(on, key, after) => {
                    let at = on % pairs.len();
                    let (store, naive) = &mut pairs[at];
                    let before = naive.map.get(&key).copied();
                    let change = store.write(NOW, key, after);
                    prop_assert_eq!(change.is_some(), before.is_some() || after.is_some());
                    if change.is_some() {
                        naive.changes.push((key, before, after));
                    }
                    match after {
                        Some(value) => naive.map.insert(key, value),
                        None => naive.map.remove(&key),
                    };
                }
            }
        }
        for (store, naive) in &pairs {
            prop_assert_eq!(store.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>(), naive.map.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(store.len(), naive.map.len());
            for key in 0..12 {
                prop_assert_eq!(store.get(&key), naive.map.get(&key));
            }
            let told: Vec<_> = store.changes_since(1).unwrap().map(|change| (change.key, change.before, change.after)).collect();
            prop_assert_eq!(&told, &naive.changes);
            let half = store.version() - u64::try_from(told.len() / 2).unwrap();
            prop_assert_eq!(store.changes_since(half).unwrap().count(), told.len() / 2);
        }
    }
}

// The two patches that are standards, and another's implementation of them.

const KIND: &str = r#"{
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]
    }
}"#;
const THINGS: &str = "/apis/example.com/v1/namespaces/shop/things";

/// Any JSON of few keys, so that a patch meets what it is about.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        (-3..4i64).prop_map(serde_json::Value::from),
        "[ab]{0,2}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            map(inner).prop_map(serde_json::Value::Object),
        ]
    })
}

fn map(
    inner: impl Strategy<Value = serde_json::Value>,
) -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let key = prop::sample::select(vec!["a", "b", "c/d", "e~f"]);
    prop::collection::btree_map(key, inner, 0..4)
        .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn spec() -> impl Strategy<Value = serde_json::Value> {
    map(json()).prop_map(serde_json::Value::Object)
}

/// A path below `/spec` that may lead somewhere.
fn path() -> impl Strategy<Value = String> {
    let step = prop::sample::select(vec!["a", "b", "c~1d", "e~0f", "0", "1", "-"]);
    prop::collection::vec(step, 1..4).prop_map(|steps| format!("/spec/{}", steps.join("/")))
}

fn operation() -> impl Strategy<Value = serde_json::Value> {
    // Not "replace" and "copy": what is not there they add, or take for null, in Go's implementation. Differences of two documents try it below.
    let with = (prop::sample::select(vec!["add", "test"]), path(), json());
    let from = (Just("move"), path(), path());
    prop_oneof![
        with.prop_map(|(op, path, value)| serde_json::json!({"op": op, "path": path, "value": value})),
        path().prop_map(|path| serde_json::json!({"op": "remove", "path": path})),
        // A part that is moved into itself is an error to the standard, and differs between those who implement it.
        from.prop_filter("into itself", |(_, from, path)| !path.starts_with(from.as_str()))
            .prop_map(|(op, from, path)| serde_json::json!({"op": op, "from": from, "path": path})),
    ]
}

fn things(spec: &serde_json::Value) -> Cluster {
    let mut cluster = fresh(0);
    ask(
        &mut cluster,
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "application/json",
        KIND.as_bytes(),
    )
    .unwrap();
    settle(&mut cluster);
    let thing =
        serde_json::json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec});
    ask(&mut cluster, "POST", THINGS, "application/json", thing.to_string().as_bytes()).unwrap();
    cluster
}

fn spec_of(answer: &Value) -> serde_json::Value {
    serde_json::from_str(&answer.at(&["spec"]).to_json()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_merge_patch_does_what_its_standard_says(before in spec(), patch in spec(), gone in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2)) {
        let mut cluster = things(&before);
        let mut patch = serde_json::json!({"spec": patch});
        for key in gone {
            patch["spec"][key] = serde_json::Value::Null;
        }
        let mut want = serde_json::json!({"spec": before});
        json_patch::merge(&mut want, &patch);
        let got = ask(&mut cluster, "PATCH", &format!("{THINGS}/t"), "application/merge-patch+json", patch.to_string().as_bytes());
        prop_assert_eq!(spec_of(&got.unwrap()), want["spec"].clone());
    }

    #[test]
    fn a_json_patch_does_what_its_standard_says_or_is_refused(before in spec(), operations in prop::collection::vec(operation(), 1..4)) {
        let mut cluster = things(&before);
        let patch: json_patch::Patch = serde_json::from_value(operations.clone().into()).unwrap();
        let mut want = serde_json::json!({"spec": before});
        // What it leaves of a patch that fails is not looked at, and its way back from there is broken.
        let refused = json_patch::patch_unsafe(&mut want, &patch).is_err();
        let body = serde_json::Value::from(operations).to_string();
        match ask(&mut cluster, "PATCH", &format!("{THINGS}/t"), "application/json-patch+json", body.as_bytes()) {
            Ok(answer) => {
                prop_assert!(!refused, "{body} on {before} gives {}", answer.at(&["spec"]).to_json());
                prop_assert_eq!(spec_of(&answer), want["spec"].clone());
            }
            Err(status) => {
                prop_assert!(refused, "{body} on {before} is refused: {}", status.message);
                let now = send(&mut cluster, "GET", &format!("{THINGS}/t"), &Value::Null).unwrap();
                prop_assert_eq!(spec_of(&now), before);
            }
        }
    }

    #[test]
    fn the_difference_of_two_documents_makes_the_one_of_the_other(before in spec(), after in spec()) {
        let mut cluster = things(&before);
        let patch = json_patch::diff(&serde_json::json!({"spec": before}), &serde_json::json!({"spec": after}));
        let body = serde_json::to_string(&patch).unwrap();
        let got = ask(&mut cluster, "PATCH", &format!("{THINGS}/t"), "application/json-patch+json", body.as_bytes());
        prop_assert_eq!(spec_of(&got.unwrap()), after);
    }
}

// What goes with its owner, and a fixed point.

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn goes(owners: &[BTreeSet<usize>], root: usize) -> BTreeSet<usize> {
    let mut gone = BTreeSet::from([root]);
    loop {
        let more: Vec<usize> = (0..owners.len())
            .filter(|at| !gone.contains(at) && !owners[*at].is_empty() && owners[*at].is_subset(&gone))
            .collect();
        if more.is_empty() {
            return gone;
        }
        gone.extend(more);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_owned_by_nothing_that_stays_goes_and_nothing_else(
        edges in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 2..12),
        root in any::<prop::sample::Index>(),
        policy in prop::sample::select(vec!["Background", "Foreground", "Orphan"]),
        block in any::<bool>(),
    ) {
        let mut cluster = fresh(0);
        let (mut uids, mut owners): (Vec<String>, Vec<BTreeSet<usize>>) = Default::default();
        for (at, edges) in edges.iter().enumerate() {
            // An owner is older than what it owns.
            let owned_by: BTreeSet<usize> = if at == 0 { BTreeSet::new() } else { edges.iter().map(|edge| edge.index(at)).collect() };
            let references: Vec<Value> = owned_by
                .iter()
                .map(|owner| doc!({"apiVersion": "v1", "kind": "ConfigMap", "name": (format!("m{owner}")), "uid": (uids[*owner].as_str()), "blockOwnerDeletion": (block)}))
                .collect();
            let map = doc!({"metadata": {"name": (format!("m{at}")), "ownerReferences": (references)}});
            let made = send(&mut cluster, "POST", MAPS, &map).unwrap();
            uids.push(made.uid().to_owned());
            owners.push(owned_by);
        }
        settle(&mut cluster);
        prop_assert_eq!(names(&cluster, "configmaps").len(), owners.len());
        let root = root.index(owners.len());
        send(&mut cluster, "DELETE", &format!("{MAPS}/m{root}"), &doc!({"propagationPolicy": (policy)})).unwrap();
        settle(&mut cluster);
        let gone = if policy == "Orphan" { BTreeSet::from([root]) } else { goes(&owners, root) };
        let stay: BTreeSet<String> = (0..owners.len()).filter(|at| !gone.contains(at)).map(|at| format!("m{at}")).collect();
        prop_assert_eq!(names(&cluster, "configmaps"), stay);
    }
}

// What nodes and quotas give, and a sum.

/// A pod that wants so many thousandths of a CPU and GiB of memory, perhaps a port of its node.
#[derive(Clone, Debug)]
struct Wants {
    cpu: u32,
    memory: u32,
    port: Option<u16>,
}

fn wants() -> impl Strategy<Value = Wants> {
    let port = prop::option::weighted(0.3, 8000..8003u16);
    (1..4000u32, 1..14u32, port).prop_map(|(cpu, memory, port)| Wants { cpu, memory, port })
}

impl Wants {
    fn pod(&self, name: &str) -> Value {
        let mut container = doc!({"name": "main", "image": "a", "resources": {"requests": {
            "cpu": (format!("{}m", self.cpu)), "memory": (format!("{}Gi", self.memory))}}});
        if let Some(port) = self.port {
            container.set(&["ports"], doc!([{"containerPort": 80, "hostPort": (i64::from(port))}]));
        }
        let spec = doc!({"containers": [(container)]});
        doc!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": (name)}, "spec": (spec)})
    }
}

const PODS: &str = "/api/v1/namespaces/shop/pods";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_node_gives_more_than_it_has_of_anything(steps in prop::collection::vec(prop::option::weighted(0.8, wants()), 1..40), room in 2..6i64) {
        let mut cluster = fresh(3);
        for node in ["node-01", "node-02", "node-03"] {
            let patch = doc!({"status": {"allocatable": {"pods": (room.to_string())}, "capacity": {"pods": (room.to_string())}}});
            ask(&mut cluster, "PATCH", &format!("/api/v1/nodes/{node}/status"), "application/merge-patch+json", &patch.to_json_bytes()).unwrap();
        }
        let mut wanted = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Some(wants) => {
                    let name = format!("p{number:02}");
                    send(&mut cluster, "POST", PODS, &wants.pod(&name)).unwrap();
                    wanted.insert(name, wants);
                }
                None => {
                    let oldest = wanted.keys().next().cloned();
                    if let Some(name) = oldest {
                        let _ = send(&mut cluster, "DELETE", &format!("{PODS}/{name}"), &Value::Null);
                        wanted.remove(&name);
                    }
                }
            }
            settle(&mut cluster);
            for node in ["node-01", "node-02", "node-03"] {
                let there: Vec<&Wants> = cluster.pods_on(node).filter_map(|(key, _)| wanted.get(key.name.as_str())).collect();
                prop_assert!(there.iter().map(|pod| pod.cpu).sum::<u32>() <= 8000, "{node}: {there:?}");
                prop_assert!(there.iter().map(|pod| pod.memory).sum::<u32>() <= 32, "{node}: {there:?}");
                prop_assert!(i64::try_from(there.len()).unwrap() <= room, "{node}: {there:?}");
                let ports: Vec<u16> = there.iter().filter_map(|pod| pod.port).collect();
                prop_assert_eq!(ports.len(), ports.iter().collect::<BTreeSet<_>>().len(), "{}: {:?}", node, there);
            }
        }
    }

    #[test]
    fn a_quota_never_gives_more_than_it_has_nor_counts_below_nothing(
        steps in prop::collection::vec(prop::option::weighted(0.7, (1..900u32, any::<bool>())), 1..40),
        pods in 1..6i64,
        cpu in 1..4i64,
    ) {
        let mut cluster = fresh(2);
        let hard = doc!({"pods": (pods.to_string()), "requests.cpu": (cpu.to_string()), "count/pods": "5"});
        let quota = doc!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": (hard)}});
        send(&mut cluster, "POST", "/api/v1/namespaces/shop/resourcequotas", &quota).unwrap();
        settle(&mut cluster);
        let mut there: BTreeMap<String, u32> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Some((cpu, rest)) => {
                    let name = format!("p{number:02}");
                    let wants = Wants { cpu, memory: 1, port: None };
                    if send(&mut cluster, "POST", PODS, &wants.pod(&name)).is_ok() {
                        there.insert(name, cpu);
                    }
                    if rest {
                        settle(&mut cluster);
                    }
                }
                None => {
                    let oldest = there.keys().next().cloned();
                    if let Some(name) = oldest {
                        send(&mut cluster, "DELETE", &format!("{PODS}/{name}?gracePeriodSeconds=0"), &Value::Null).unwrap();
                        there.remove(&name);
                    }
                }
            }
            prop_assert!(i64::try_from(there.len()).unwrap() <= pods.min(5), "{there:?}");
            let milli = i64::from(there.values().sum::<u32>());
            prop_assert!(milli <= cpu * 1000, "{there:?}");
            let status = send(&mut cluster, "GET", "/api/v1/namespaces/shop/resourcequotas/q", &Value::Null).unwrap();
            for (what, used) in status.at(&["status", "used"]).entries() {
                prop_assert!(!used.str_or_empty().starts_with('-'), "{what}: {used}");
            }
        }
        settle(&mut cluster);
        let status = send(&mut cluster, "GET", "/api/v1/namespaces/shop/resourcequotas/q", &Value::Null).unwrap();
        prop_assert_eq!(status.at(&["status", "used", "pods"]).str_or_empty(), there.len().to_string());
        let sum = there.values().sum::<u32>();
        let used = cluster::quantity::Quantity::or_zero(status.at(&["status", "used", "requests.cpu"])).as_milli();
        prop_assert_eq!(used, i128::from(sum));
    }
}
