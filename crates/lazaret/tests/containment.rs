//! Whatever a simulation would say lies within the bounds that are given without one.
//!
//! Random small clusters at rest, and random everyday actions on them, some of them not so everyday. A bound may be missing;
//! one that is given must hold, and must not let anything through that a simulation would stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::apiserver::{self, User};
use cluster::{Cluster, ObjectKey, Value, doc};
use gate::{Stop, Twin as _};
use model::{
    Access, Action, AgentId, Digest, Effect, Evidence, Manner, Moment, ObjectRef, Range, Service, Spent, Tier, Verdict,
};
use proptest::prelude::*;
use target_kubernetes::decode::{Asked, decode};
use target_kubernetes::message::Received;
use target_kubernetes::twin::ClusterTwin;

const APPS: &str = "/apis/apps/v1/namespaces/shop";

fn asked(cluster: &Cluster, line: &str, body: &Value) -> Asked {
    let (method, target) = line.split_once(' ').unwrap();
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(target).header("content-type", kind);
    let head = request.header("user-agent", "kubectl/v1.37").body(()).unwrap().into_parts().0;
    let body = if body.is_empty() { String::new() } else { body.to_json() };
    decode(&cluster.schema, &Received { head, body: body.into() }).unwrap_or_else(|e| panic!("{line}: {}", e.message))
}

fn settle(cluster: &mut Cluster) {
    let until = cluster.now() + Duration::from_secs(600);
    cluster.settle(until);
}

/// What a small cluster is made of.
#[derive(Debug, Clone)]
struct World {
    nodes: usize,
    cordoned: bool,
    workloads: Vec<Made>,
    /// One service stands before the pods of all workloads.
    shared: bool,
    quota: bool,
}

#[derive(Debug, Clone)]
struct Made {
    kind: &'static str,
    replicas: i64,
    cpu: u32,
    service: bool,
    load: Option<u32>,
    budget: Option<(&'static str, Value)>,
    strategy: Option<(Value, Value)>,
    scaler: bool,
    apart: bool,
    staged: Option<&'static str>,
    config: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let kinds =
        prop_oneof![6 => Just("Deployment"), 1 => Just("ReplicaSet"), 1 => Just("StatefulSet"), 1 => Just("DaemonSet")];
    let number = || prop_oneof![(0i64..4).prop_map(Value::from), Just(Value::from("25%")), Just(Value::from("50%"))];
    let budget = (prop_oneof![Just("minAvailable"), Just("maxUnavailable")], number());
    let seldom = || prop::bool::weighted(0.08);
    let staged = prop_oneof![12 => Just(None), 1 => Just(Some("unready")), 1 => Just(Some("crashloop"))];
    let first = (kinds, 0i64..6, prop_oneof![Just(100u32), Just(1500), Just(3000)], prop::bool::weighted(0.7));
    let second = (prop::option::weighted(0.4, 10u32..400), prop::option::weighted(0.35, budget));
    let third = (prop::option::weighted(0.5, (number(), number())), seldom(), seldom(), staged, any::<bool>());
    (first, second, third).prop_map(
        |((kind, replicas, cpu, service), (load, budget), (strategy, scaler, apart, staged, config))| Made {
            kind,
            replicas,
            cpu,
            service,
            load,
            budget,
            strategy,
            scaler,
            apart,
            staged,
            config,
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let workloads = prop::collection::vec(made(), 1..4);
    (1usize..5, prop::bool::weighted(0.2), workloads, prop::bool::weighted(0.2), prop::bool::weighted(0.1))
        .prop_map(|(nodes, cordoned, workloads, shared, quota)| World { nodes, cordoned, workloads, shared, quota })
}

impl World {
    fn build(&self) -> Cluster {
        let mut cluster = cluster::build::fresh(twin::Time::from_millis(1_790_000_000_000), 1);
        cluster::build::add_nodes(&mut cluster, self.nodes);
        cluster.start_controllers();
        let mut send = |line: &str, body: &Value| {
            let call = asked(&cluster, line, body).call;
            // What cannot be made is left out.
            let _ = apiserver::handle(&mut cluster, &call, &User::admin());
        };
        let namespaced = |kind: &str, version: &str, name: &str| doc!({"apiVersion": (version), "kind": (kind), "metadata": {"name": (name), "namespace": "shop"}});
        send("POST /api/v1/namespaces", &doc!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        send("POST /api/v1/namespaces/shop/configmaps", &namespaced("ConfigMap", "v1", "settings"));
        let service = |name: &str, selector: Value, load: Option<u32>| {
            let mut service = namespaced("Service", "v1", name);
            service.set(&["spec"], doc!({"selector": (selector), "ports": [{"port": 80}]}));
            if let Some(load) = load {
                service.set(&["metadata", "annotations", "traffic.lazaret.dev/requests-per-second"], load.to_string());
                service.set(&["metadata", "annotations", "traffic.lazaret.dev/capacity-per-pod"], "100");
            }
            service
        };
        for (at, made) in self.workloads.iter().enumerate() {
            let name = format!("w{at}");
            let mut workload = namespaced(made.kind, "apps/v1", &name);
            let mut container = doc!({"name": "main", "image": "nginx:1",
                "resources": {"requests": {"cpu": (format!("{}m", made.cpu)), "memory": "64Mi"}}});
            if made.config {
                container.set(&["envFrom"], doc!([{"configMapRef": {"name": "settings"}}]));
            }
            let mut spec = doc!({"selector": {"matchLabels": {"app": (&name)}},
                "template": {"metadata": {"labels": {"app": (&name), "tier": "all"}}, "spec": {"containers": [(container)]}}});
            if made.kind != "DaemonSet" {
                spec.set(&["replicas"], made.replicas);
            }
            if made.kind == "StatefulSet" {
                spec.set(&["serviceName"], name.as_str());
            }
            if let Some((surge, unavailable)) = made.strategy.as_ref().filter(|_| made.kind == "Deployment") {
                spec.set(
                    &["strategy"],
                    doc!({"type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": (surge.clone()), "maxUnavailable": (unavailable.clone())}}),
                );
            }
            if let Some(staged) = made.staged {
                spec.set(&["template", "metadata", "annotations", "twin.lazaret.dev/fail"], staged);
            }
            if made.apart {
                let term =
                    doc!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": (&name)}}});
                let path = [
                    "template",
                    "spec",
                    "affinity",
                    "podAntiAffinity",
                    "requiredDuringSchedulingIgnoredDuringExecution",
                ];
                spec.set(&path, doc!([(term)]));
            }
            workload.set(&["spec"], spec);
            send(&format!("POST {APPS}/{}s", made.kind.to_lowercase()), &workload);
            if made.service {
                send("POST /api/v1/namespaces/shop/services", &service(&name, doc!({"app": (&name)}), made.load));
            }
            if let Some((field, number)) = &made.budget {
                let mut budget = namespaced("PodDisruptionBudget", "policy/v1", &name);
                budget.set(&["spec"], doc!({"selector": {"matchLabels": {"app": (&name)}}}));
                budget.set(&["spec", field], number.clone());
                send("POST /apis/policy/v1/namespaces/shop/poddisruptionbudgets", &budget);
            }
            if made.scaler {
                let mut scaler = namespaced("HorizontalPodAutoscaler", "autoscaling/v2", &name);
                scaler.set(
                    &["spec"],
                    doc!({"minReplicas": 1, "maxReplicas": 4,
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": (made.kind), "name": (&name)}}),
                );
                send("POST /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers", &scaler);
            }
        }
        if self.shared {
            send("POST /api/v1/namespaces/shop/services", &service("all", doc!({"tier": "all"}), None));
        }
        if self.quota {
            let mut quota = namespaced("ResourceQuota", "v1", "quota");
            quota.set(&["spec"], doc!({"hard": {"pods": "8"}}));
            send("POST /api/v1/namespaces/shop/resourcequotas", &quota);
        }
        if self.cordoned {
            send("PATCH /api/v1/nodes/node-01", &doc!({"spec": {"unschedulable": true}}));
        }
        settle(&mut cluster);
        cluster
    }
}

/// What is asked of a cluster; `at` chooses among what there is.
#[derive(Debug, Clone)]
enum Deed {
    Scale { at: usize, to: i64, by_subresource: bool },
    Image { at: usize },
    Restart { at: usize },
    Note { at: usize, label: bool },
    Resources { at: usize },
    DeletePod { at: usize, evict: bool, force: bool },
    LabelPod { at: usize },
    Cordon { at: usize, on: bool },
    LabelNode { at: usize },
    Make { kind: &'static str },
    Unmake { what: &'static str },
    DeleteWorkload { at: usize },
    Select { at: usize },
}

fn deed() -> impl Strategy<Value = Deed> {
    let at = || 0usize..12;
    prop_oneof![
        6 => (at(), 0i64..8, any::<bool>()).prop_map(|(at, to, by_subresource)| Deed::Scale { at, to, by_subresource }),
        4 => at().prop_map(|at| Deed::Image { at }),
        3 => at().prop_map(|at| Deed::Restart { at }),
        2 => (at(), any::<bool>()).prop_map(|(at, label)| Deed::Note { at, label }),
        1 => at().prop_map(|at| Deed::Resources { at }),
        4 => (at(), any::<bool>(), any::<bool>()).prop_map(|(at, evict, force)| Deed::DeletePod { at, evict, force }),
        1 => at().prop_map(|at| Deed::LabelPod { at }),
        2 => (at(), any::<bool>()).prop_map(|(at, on)| Deed::Cordon { at, on }),
        1 => at().prop_map(|at| Deed::LabelNode { at }),
        2 => prop_oneof![Just("ConfigMap"), Just("Secret"), Just("ServiceAccount")].prop_map(|kind| Deed::Make { kind }),
        1 => prop_oneof![Just("configmaps/settings"), Just("services/w0"), Just("resourcequotas/quota")].prop_map(|what| Deed::Unmake { what }),
        1 => at().prop_map(|at| Deed::DeleteWorkload { at }),
        1 => at().prop_map(|at| Deed::Select { at }),
    ]
}

impl Deed {
    /// The request. `None` if there is nothing of the sort.
    fn line(&self, cluster: &Cluster) -> Option<(String, Value)> {
        let nth = |resource: &str, at: usize| {
            let all: Vec<&ObjectKey> =
                cluster.list(resource, None).map(|(key, _)| key).filter(|key| key.namespace != "kube-system").collect();
            all.get(at.checked_rem(all.len())?).copied().cloned()
        };
        let workload = |at: usize| {
            let resources = ["deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps"];
            let all: Vec<String> = resources
                .iter()
                .flat_map(|resource| cluster.list(resource, Some("shop")))
                .filter(|(_, object)| object.controller().is_none())
                .map(|(key, _)| format!("PATCH {APPS}/{}/{}", key.resource.split('.').next().unwrap(), key.name))
                .collect();
            all.get(at.checked_rem(all.len())?).cloned()
        };
        let container = |change: Value| {
            let mut container = doc!({"name": "main", "image": "nginx:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
            for (field, value) in change.entries() {
                container.set(&[field], value.clone());
            }
            doc!({"spec": {"template": {"spec": {"containers": [(container)]}}}})
        };
        Some(match self {
            Self::Scale { at, to, by_subresource } => {
                let line = workload(*at)?;
                let sub = if *by_subresource && !line.contains("daemonsets") { "/scale" } else { "" };
                (line + sub, doc!({"spec": {"replicas": (*to)}}))
            }
            Self::Image { at } => {
                let line = workload(*at)?;
                // As it is, but for the image.
                let (_, path) = line.split_once("/shop/").unwrap();
                let (plural, name) = path.split_once('/').unwrap();
                let object = cluster.get(&ObjectKey::new(format!("{plural}.apps"), "shop", name))?;
                let mut containers = object.at(&["spec", "template", "spec", "containers"]).clone();
                for container in containers.as_array_mut()?.edit() {
                    container.set(&["image"], "nginx:2");
                }
                (line, doc!({"spec": {"template": {"spec": {"containers": (containers)}}}}))
            }
            Self::Restart { at } => {
                let note = doc!({"kubectl.kubernetes.io/restartedAt": "2026-11-24T12:00:00Z"});
                (workload(*at)?, doc!({"spec": {"template": {"metadata": {"annotations": (note)}}}}))
            }
            Self::Note { at, label } => {
                let field = if *label { "labels" } else { "annotations" };
                let mut body = doc!({});
                body.set(&["metadata", field, "team"], "blue");
                (workload(*at)?, body)
            }
            Self::Resources { at } => {
                (workload(*at)?, container(doc!({"resources": {"requests": {"cpu": "4000m", "memory": "64Mi"}}})))
            }
            Self::DeletePod { at, evict, force } => {
                let pod = nth("pods", *at)?;
                let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
                if *evict {
                    let name = pod.name.as_str();
                    let body = doc!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": (name), "namespace": "shop"}});
                    (format!("POST {path}/eviction"), body)
                } else {
                    let grace = if *force { "?gracePeriodSeconds=0" } else { "" };
                    (format!("DELETE {path}{grace}"), Value::Null)
                }
            }
            Self::LabelPod { at } => {
                let pod = nth("pods", *at)?;
                let body = doc!({"metadata": {"labels": {"app": "w0", "tier": "all"}}});
                (format!("PATCH /api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name), body)
            }
            Self::Cordon { at, on } => {
                (format!("PATCH /api/v1/nodes/{}", nth("nodes", *at)?.name), doc!({"spec": {"unschedulable": (*on)}}))
            }
            Self::LabelNode { at } => {
                let body = doc!({"metadata": {"labels": {"disk": "fast"}}});
                (format!("PATCH /api/v1/nodes/{}", nth("nodes", *at)?.name), body)
            }
            Self::Make { kind } => {
                let body =
                    doc!({"apiVersion": "v1", "kind": (*kind), "metadata": {"name": "new", "namespace": "shop"}});
                (format!("POST /api/v1/namespaces/shop/{}s", kind.to_lowercase()), body)
            }
            Self::Unmake { what } => (format!("DELETE /api/v1/namespaces/shop/{what}"), Value::Null),
            Self::DeleteWorkload { at } => (workload(*at)?.replacen("PATCH", "DELETE", 1), Value::Null),
            Self::Select { at } => {
                let service = nth("services", *at).filter(|service| service.namespace == "shop")?;
                (
                    format!("PATCH /api/v1/namespaces/shop/services/{}", service.name),
                    doc!({"spec": {"selector": {"tier": "all"}}}),
                )
            }
        })
    }
}

/// What of a simulated effect lies outside of the bounds.
fn outside(bound: &Effect, simulated: &Effect) -> Vec<String> {
    let (wide, narrow) = (&bound.forecast, &simulated.forecast);
    let mut found = Vec::new();
    let mut must = |what: String, holds: bool| {
        if !holds {
            found.push(what);
        }
    };
    let names = wide.services.keys().chain(narrow.services.keys());
    for name in names {
        let steady = |other: &Service| Service { load: other.load.clone(), ..Service::steady(other.ready_before) };
        let (one, two) = (wide.services.get(name), narrow.services.get(name));
        let (b, s) = match (one, two) {
            (Some(b), Some(s)) => (b.clone(), s.clone()),
            (Some(b), None) => (b.clone(), steady(b)),
            (None, Some(s)) => (steady(s), s.clone()),
            (None, None) => continue,
        };
        must(format!("{name} before: {} not {}", b.ready_before, s.ready_before), b.ready_before == s.ready_before);
        must(format!("{name} min: {} not in {}", s.ready_min, b.ready_min), b.ready_min.covers(&s.ready_min));
        must(format!("{name} after: {} not in {}", s.ready_after, b.ready_after), b.ready_after.covers(&s.ready_after));
        must(
            format!("{name} below: {} not in {}", s.below_seconds, b.below_seconds),
            b.below_seconds.covers(&s.below_seconds),
        );
        must(format!("{name} within budget"), !b.within_budget || s.within_budget || two.is_none());
        must(format!("{name} load"), b.load == s.load);
    }
    for (name, s) in &narrow.workloads {
        let Some(b) = wide.workloads.get(name) else {
            let still = s.wanted_after == Range::exact(s.wanted_before)
                && [s.ready_min, s.ready_after].iter().all(|ready| *ready == Range::exact(s.ready_before));
            must(format!("{name} is not in it: {s:?}"), still);
            continue;
        };
        must(
            format!("{name} wanted: {} not in {}", s.wanted_after, b.wanted_after),
            b.wanted_after.covers(&s.wanted_after),
        );
        must(format!("{name} min: {} not in {}", s.ready_min, b.ready_min), b.ready_min.covers(&s.ready_min));
        must(format!("{name} after: {} not in {}", s.ready_after, b.ready_after), b.ready_after.covers(&s.ready_after));
    }
    for (name, s) in &narrow.budgets {
        let violated = wide.budgets.get(name).map_or(Range::exact(0), |budget| budget.violated);
        must(format!("{name} violated: {} not in {violated}", s.violated), violated.covers(&s.violated));
    }
    must("without a place".into(), wide.pods_unschedulable.covers(&narrow.pods_unschedulable));
    must("thrown out".into(), wide.preempted.bounds(&narrow.preempted));
    must("volumes".into(), wide.volumes_lost.bounds(&narrow.volumes_lost));
    must("machines".into(), wide.machines_lost.bounds(&narrow.machines_lost));
    must("claims".into(), wide.claims_deleted.bounds(&narrow.claims_deleted));
    must(
        "reach".into(),
        wide.reach.opened.bounds(&narrow.reach.opened) && wide.reach.closed.bounds(&narrow.reach.closed),
    );
    must("gained".into(), wide.privilege.gained.bounds(&narrow.privilege.gained));
    must("exposed".into(), wide.secrets_exposed.bounds(&narrow.secrets_exposed));
    must("guards".into(), wide.guards_removed.bounds(&narrow.guards_removed));
    must(format!("{:?} not among {:?}", narrow.hazards, wide.hazards), narrow.hazards.is_subset(&wide.hazards));
    must("uncertain".into(), narrow.uncertain.is_subset(&wide.uncertain));
    must("reversibility".into(), narrow.reversibility <= wide.reversibility);
    must("settled".into(), !wide.settled || narrow.settled);
    let (b, s) = (&wide.blast, &narrow.blast);
    for (what, b, s) in [
        ("objects", &b.objects, &s.objects),
        ("deleted", &b.deleted, &s.deleted),
        ("namespaces", &b.namespaces, &s.namespaces),
        ("nodes", &b.nodes, &s.nodes),
        ("services", &b.services, &s.services),
    ] {
        must(format!("{what}: {} not in {}", s.touched, b.touched), b.touched.covers(&s.touched));
    }
    for (object, change) in simulated.objects.touched.iter().filter(|(_, change)| change.replica_of.is_none()) {
        let told = bound.objects.touched.get(object);
        must(format!("{object} {:?}", change.manner), told.is_some_and(|told| told.manner == change.manner));
    }
    // Which of several replicas is touched, and what the set is called that a new one belongs to, is chance.
    let counts = |effect: &Effect| -> BTreeMap<(String, Option<String>, Manner), usize> {
        let mut counts = BTreeMap::new();
        for (object, change) in effect.objects.touched.iter().filter(|(_, change)| change.replica_of.is_some()) {
            *counts.entry((object.kind.clone(), object.namespace.clone(), change.manner)).or_default() += 1;
        }
        counts
    };
    let told = counts(bound);
    for (group, count) in counts(simulated) {
        let named = bound.objects.touched.iter().filter(|(o, c)| o.kind == group.0 && c.manner == group.2).count();
        let most = told.get(&group).copied().unwrap_or(0).max(named);
        must(format!("{count} {group:?}, of {most}"), count <= most);
    }
    found
}

fn verdict(effect: &Effect, tier: Tier) -> Verdict {
    let action = Action {
        agent: AgentId::from("agent"),
        target: "production".into(),
        operation: "change".into(),
        access: Access::Write,
        resources: vec![ObjectRef::global("Path", "/")],
        shape: Default::default(),
        reason: None,
        facts: BTreeMap::new(),
        kind: "change".into(),
        payload: Digest::of_bytes(b""),
    };
    let spent = Spent::default();
    let evidence = Evidence { action: &action, effect, tier, spent: &spent, now: Moment(0) };
    let policies = policies::builtin();
    model::judge(policies.iter().map(|policy| &**policy), &evidence).verdict
}

/// Holds one action to the rule. Whether there was a bound.
fn check(cluster: &Cluster, line: &str, body: &Value) -> Result<bool, String> {
    let asked = asked(cluster, line, body);
    let Some(bound) = ClusterTwin::new(cluster.clone()).bound(&asked) else { return Ok(false) };
    let simulated = ClusterTwin::new(cluster.clone()).apply(&asked, &Stop::default());
    let simulated = simulated.map_err(|error| format!("{line} {}: bounded, and {error}", body.to_json()))?;
    let outside = outside(&bound.effect, &simulated.effect);
    if !outside.is_empty() {
        return Err(format!("{line} {}: {outside:#?}", body.to_json()));
    }
    let (wide, narrow) = (verdict(&bound.effect, Tier::Constraints), verdict(&simulated.effect, Tier::Simulation));
    let stands = !wide.is_settled() || wide.name() == narrow.name();
    if stands { Ok(true) } else { Err(format!("{line}: {wide:?} by bounds, {narrow:?} by simulation")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_simulation_would_say_lies_within_the_bounds(world in world(), deeds in prop::collection::vec(deed(), 12)) {
        let cluster = world.build();
        for deed in deeds {
            let Some((line, body)) = deed.line(&cluster) else { continue };
            let held = check(&cluster, &line, &body);
            prop_assert!(held.is_ok(), "{}", held.unwrap_err());
        }
    }
}

/// The Deployments `web` (4, behind a service, with a budget) and `lone` (1, behind a service), at rest on three nodes.
fn shop() -> Cluster {
    let made = |replicas, budget| Made {
        kind: "Deployment",
        replicas,
        cpu: 100,
        service: true,
        load: None,
        budget,
        strategy: None,
        scaler: false,
        apart: false,
        staged: None,
        config: true,
    };
    let workloads = vec![made(4, Some(("maxUnavailable", Value::from(1)))), made(1, None)];
    World { nodes: 3, cordoned: false, workloads, shared: false, quota: false }.build()
}

#[test]
fn everyday_actions_are_settled_by_bounds_alone() {
    let cluster = shop();
    let pod =
        cluster.list("pods", Some("shop")).find(|(_, pod)| pod.label("app") == Some("w0")).unwrap().0.name.clone();
    let web = "PATCH /apis/apps/v1/namespaces/shop/deployments/w0";
    let eviction = doc!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": (pod.as_str()), "namespace": "shop"}});
    let map = doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new", "namespace": "shop"}});
    for (line, body) in [
        (web.to_owned(), doc!({"spec": {"replicas": 6}})),
        (web.to_owned(), doc!({"spec": {"replicas": 3}})),
        (format!("{web}/scale"), doc!({"spec": {"replicas": 5}})),
        (web.to_owned(), doc!({"metadata": {"labels": {"team": "blue"}, "annotations": {"note": "x"}}})),
        (web.to_owned(), Deed::Image { at: 0 }.line(&cluster).unwrap().1),
        (web.to_owned(), Deed::Restart { at: 0 }.line(&cluster).unwrap().1),
        (format!("DELETE /api/v1/namespaces/shop/pods/{pod}"), Value::Null),
        (format!("POST /api/v1/namespaces/shop/pods/{pod}/eviction"), eviction),
        ("PATCH /api/v1/nodes/node-02".to_owned(), doc!({"spec": {"unschedulable": true}})),
        ("POST /api/v1/namespaces/shop/configmaps".to_owned(), map),
    ] {
        let asked = asked(&cluster, &line, &body);
        let bound = ClusterTwin::new(cluster.clone()).bound(&asked).unwrap_or_else(|| panic!("{line}: no bound"));
        assert_eq!(verdict(&bound.effect, Tier::Constraints), Verdict::Allow, "{line}");
        assert_eq!(check(&cluster, &line, &body), Ok(true));
    }
}

#[test]
fn what_would_go_below_a_floor_is_not_let_through_by_bounds() {
    let cluster = shop();
    let pod =
        cluster.list("pods", Some("shop")).find(|(_, pod)| pod.label("app") == Some("w1")).unwrap().0.name.clone();
    for (line, body) in [
        ("PATCH /apis/apps/v1/namespaces/shop/deployments/w0".to_owned(), doc!({"spec": {"replicas": 1}})),
        ("PATCH /apis/apps/v1/namespaces/shop/deployments/w0".to_owned(), doc!({"spec": {"replicas": 0}})),
        (format!("DELETE /api/v1/namespaces/shop/pods/{pod}"), Value::Null),
    ] {
        let asked = asked(&cluster, &line, &body);
        if let Some(bound) = ClusterTwin::new(cluster.clone()).bound(&asked) {
            assert_ne!(verdict(&bound.effect, Tier::Constraints), Verdict::Allow, "{line}");
        }
    }
}
