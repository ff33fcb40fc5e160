use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::testing::{cluster, create, delete, edit, pod, story};
use crate::value::Value;

fn settle(cluster: &mut Cluster) {
    story(cluster, 60, "pods", |_| String::new());
}

fn get<'a>(cluster: &'a Cluster, name: &str) -> &'a Value {
    cluster.get(&ObjectKey::new("pods", "shop", name)).expect("the pod is there")
}

/// Where a pod is, or why nowhere.
fn place(cluster: &Cluster, name: &str) -> String {
    let pod = get(cluster, name);
    let node = pod.at(&["spec", "nodeName"]).str_or_empty();
    if !node.is_empty() {
        return node.to_owned();
    }
    pod.condition("PodScheduled").map_or("", |condition| condition.at(&["message"]).str_or_empty()).to_owned()
}

fn wants(name: &str, cpu: &str, more: Value) -> Value {
    let mut pod = pod(name);
    pod.set(&["metadata", "labels"], doc!({"app": "web"}));
    let resources = doc!({"requests": {"cpu": (cpu)}});
    pod.set(&["spec", "containers"], doc!([{"name": "app", "image": "app:1", "resources": (resources)}]));
    for (field, value) in more.entries() {
        pod.set(&["spec", field], value);
    }
    pod
}

fn apart(key: &str) -> Value {
    let term = doc!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": (key)});
    doc!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [(term)]}}})
}

#[test]
fn a_pod_that_fits_nowhere_says_why_in_the_real_scheduler_s_words() {
    let after = "no new claims to deallocate, preemption: 0/3 nodes are available:";
    let no_help = format!("{after} 3 Preemption is not helpful for scheduling.");
    for (pod, want) in [
        (wants("p", "9", doc!({})), format!("0/3 nodes are available: 3 Insufficient cpu. {no_help}")),
        (
            wants("p", "1", doc!({"nodeSelector": {"disk": "ssd"}})),
            format!("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. {no_help}"),
        ),
        (
            wants("p", "1", doc!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "ghost"}}]})),
            "0/3 nodes are available: persistentvolumeclaim \"ghost\" not found. not found".to_owned(),
        ),
    ] {
        let mut cluster = cluster(&["4", "4", "4"]);
        create(&mut cluster, "pods", pod);
        settle(&mut cluster);
        assert_eq!(place(&cluster, "p"), want);
    }
}

#[test]
fn cordoned_and_tainted_nodes_take_nobody_who_does_not_bear_it() {
    let mut cluster = cluster(&["4", "4", "4"]);
    edit(&mut cluster, "nodes", "", "n1", |node| node.set(&["spec", "unschedulable"], true));
    let taint = doc!({"key": "gpu", "effect": "NoSchedule"});
    for name in ["n2", "n3"] {
        edit(&mut cluster, "nodes", "", name, |node| node.set(&["spec", "taints"], doc!([(&taint)])));
    }
    create(&mut cluster, "pods", wants("p", "1", doc!({})));
    create(&mut cluster, "pods", wants("q", "1", doc!({"tolerations": [{"key": "gpu", "operator": "Exists"}]})));
    settle(&mut cluster);
    let message = place(&cluster, "p");
    assert!(
        message
            .starts_with("0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s). ")
    );
    assert!(["n2", "n3"].contains(&place(&cluster, "q").as_str()));
}

#[test]
fn pods_that_keep_apart_take_a_node_each_and_the_next_waits_for_one() {
    let mut cluster = cluster(&["4", "4"]);
    for name in ["a", "b", "c"] {
        create(&mut cluster, "pods", wants(name, "1", apart("kubernetes.io/hostname")));
    }
    settle(&mut cluster);
    assert_ne!(place(&cluster, "a"), place(&cluster, "b"));
    assert!(place(&cluster, "c").contains("2 node(s) didn't match pod anti-affinity rules"));
    let freed = place(&cluster, "a");
    delete(&mut cluster, "pods", "shop", "a", None);
    settle(&mut cluster);
    assert_eq!(place(&cluster, "c"), freed);
}

#[test]
fn a_pod_may_be_the_first_of_its_kind_and_the_others_follow_it() {
    let term = doc!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "topology.kubernetes.io/zone"});
    let near = doc!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [(term)]}}});
    let mut cluster = cluster(&["4", "4", "4"]);
    for name in ["a", "b"] {
        create(&mut cluster, "pods", wants(name, "1", near.clone()));
        settle(&mut cluster);
    }
    assert_eq!(place(&cluster, "a"), place(&cluster, "b"));
}

#[test]
fn spread_constraints_keep_zones_even() {
    let spread = doc!({"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]});
    let mut cluster = cluster(&["4", "4", "1"]);
    for name in ["a", "b", "c", "d", "e", "f"] {
        create(&mut cluster, "pods", wants(name, "1", spread.clone()));
    }
    settle(&mut cluster);
    let places: Vec<String> = ["a", "b", "c"].iter().map(|name| place(&cluster, name)).collect();
    assert_eq!(places.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    let said = ["d", "e", "f"].map(|name| place(&cluster, name));
    let refused = said.iter().find(|place| place.starts_with("0/3")).expect("zone c is full");
    assert!(
        refused.contains("1 Insufficient cpu, 2 node(s) didn't match pod topology spread constraints"),
        "{refused}"
    );
}

#[test]
fn a_more_important_pod_sends_the_least_important_away() {
    let mut cluster = cluster(&["4"]);
    for (name, value) in [("low", 10), ("mid", 500), ("high", 1000)] {
        let class = doc!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": (name)}, "value": (value),
        });
        create(&mut cluster, "priorityclasses.scheduling.k8s.io", class);
    }
    for class in ["low", "mid"] {
        create(&mut cluster, "pods", wants(class, "2", doc!({"priorityClassName": (class)})));
    }
    settle(&mut cluster);
    create(&mut cluster, "pods", wants("new", "2", doc!({"priorityClassName": "high"})));
    let said = story(&mut cluster, 60, "pods", |pod| {
        let target = pod.condition("DisruptionTarget").map_or("", |found| found.at(&["reason"]).str_or_empty());
        format!("{target}{}", pod.at(&["status", "nominatedNodeName"]).str_or_empty())
    });
    assert!(said.contains(&"60000 low: PreemptionByScheduler".to_owned()), "{said:?}");
    assert!(said.contains(&"60000 new: n1".to_owned()), "{said:?}");
    assert!(said.contains(&"60300 low: gone".to_owned()), "{said:?}");
    assert_eq!((place(&cluster, "mid"), place(&cluster, "new")), ("n1".to_owned(), "n1".to_owned()));
}

#[test]
fn a_node_that_comes_takes_who_waits() {
    let mut small = cluster(&["1"]);
    create(&mut small, "pods", wants("p", "2", doc!({})));
    settle(&mut small);
    assert!(place(&small, "p").starts_with("0/1 nodes are available: 1 Insufficient cpu."));
    edit(&mut small, "nodes", "", "n1", |node| node.set(&["status", "allocatable", "cpu"], "4"));
    settle(&mut small);
    assert_eq!(place(&small, "p"), "n1");
    assert_eq!(get(&small, "p").label("topology.kubernetes.io/zone"), Some("a"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Whatever comes and goes, no node is given more than it has, and what is kept at hand is what a count would find.
    #[test]
    fn no_node_is_ever_given_more_than_it_has(steps in proptest::collection::vec((0_u8..4, 1_u16..2500), 1..60)) {
        let mut cluster = cluster(&["4", "2", "3"]);
        for (number, (what, milli)) in steps.into_iter().enumerate() {
            let oldest = cluster.list("pods", Some("shop")).next().map(|(key, _)| key.name.clone());
            match (what, oldest) {
                (0, Some(name)) => delete(&mut cluster, "pods", "shop", &name, None),
                _ => {
                    create(&mut cluster, "pods", wants(&format!("p{number}"), &format!("{milli}m"), doc!({})));
                }
            }
            story(&mut cluster, 2, "pods", |_| String::new());
            for (key, node) in cluster.list("nodes", None) {
                let mut taken = 0;
                for (_, pod) in cluster.pods_on(&key.name).filter(|(_, pod)| super::request::is_live(pod)) {
                    taken += super::request::of_pod(pod, "requests")["cpu"].as_milli();
                }
                let have = crate::quantity::Quantity::or_zero(node.at(&["status", "allocatable", "cpu"])).as_milli();
                proptest::prop_assert!(taken <= have, "{} of {have}", taken);
                let kept = cluster.scheduling.node(&key.name).map_or(0, |node| i128::from(node.requested.cpu));
                proptest::prop_assert_eq!(taken, kept);
            }
        }
    }
}

#[test]
fn a_pod_waits_for_its_device_claims_and_then_says_why_they_cannot_be_met() {
    let claim = |class: &str| {
        doc!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "gpu", "namespace": "shop"},
            "spec": {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": (class)}}]}},
        })
    };
    let asks = |reference: Value| {
        let mut pod = pod("a");
        pod.set(&["spec", "resourceClaims"], doc!([(reference)]));
        pod
    };
    let by_name = || asks(doc!({"name": "gpu", "resourceClaimName": "gpu"}));
    let mut cluster = cluster(&["4"]);
    create(&mut cluster, "pods", by_name());
    settle(&mut cluster);
    assert_eq!(place(&cluster, "a"), "");
    create(&mut cluster, "resourceclaims.resource.k8s.io", claim("fast"));
    settle(&mut cluster);
    let unhelpful = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let wanted = format!(
        "0/1 nodes are available: request one: device class fast does not exist. no new claims to deallocate, {unhelpful}"
    );
    assert_eq!(place(&cluster, "a"), wanted);
    let class = doc!({
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "fast"}, "spec": {},
    });
    create(&mut cluster, "deviceclasses.resource.k8s.io", class);
    settle(&mut cluster);
    let wanted = format!("0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, {unhelpful}");
    assert_eq!(place(&cluster, "a"), wanted);
    let slice = doc!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "n1-fast"},
        "spec": {
            "driver": "fast.test", "nodeName": "n1", "devices": [{"name": "one"}],
            "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1},
        },
    });
    create(&mut cluster, "resourceslices.resource.k8s.io", slice);
    settle(&mut cluster);
    assert_eq!(place(&cluster, "a"), "n1");
}

#[test]
fn a_claim_is_made_from_a_template_for_one_pod() {
    let mut cluster = cluster(&["4"]);
    let mut pod = pod("a");
    pod.set(&["spec", "resourceClaims"], doc!([{"name": "gpu", "resourceClaimTemplateName": "gpu"}]));
    create(&mut cluster, "pods", pod);
    let template = doc!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate",
        "metadata": {"name": "gpu", "namespace": "shop"},
        "spec": {"spec": {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "fast"}}]}}},
    });
    create(&mut cluster, "resourceclaimtemplates.resource.k8s.io", template);
    settle(&mut cluster);
    let claims = cluster.list("resourceclaims.resource.k8s.io", Some("shop"));
    let claims: Vec<(String, i64)> = claims
        .map(|(key, claim)| {
            let requests = claim.at(&["spec", "devices", "requests"]).items();
            let count = requests.first().and_then(|one| one.at(&["exactly", "count"]).as_int());
            (key.name.to_string(), count.unwrap_or(0))
        })
        .collect();
    let made = get(&cluster, "a").at(&["status", "resourceClaimStatuses"]).items().first().cloned().unwrap_or_default();
    assert_eq!(claims, [(made.at(&["resourceClaimName"]).str_or_empty().to_owned(), 1)]);
}
