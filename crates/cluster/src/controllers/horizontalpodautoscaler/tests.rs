//! What an autoscaler does, told at its beats.

use proptest::prelude::*;

use super::*;
use crate::testing::{START, cluster, create, edit, story};

const LOAD: &str = "traffic.lazaret.dev/requests-per-second";
const EACH: &str = "traffic.lazaret.dev/capacity-per-pod";

fn deployment(replicas: i64, notes: &Value) -> Value {
    let labels = doc!({"app": "web"});
    doc!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": (replicas), "selector": {"matchLabels": (&labels)},
            "template": {"metadata": {"labels": (&labels), "annotations": (notes)}, "spec": {"containers": [
                {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "100m"}}},
            ]}},
        },
    })
}

fn autoscaler(bounds: (i64, i64), behavior: &Value) -> Value {
    let mut autoscaler = doc!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": (bounds.0), "maxReplicas": (bounds.1),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    });
    if !behavior.is_null() {
        autoscaler.set(&["spec", "behavior"], behavior.clone());
    }
    autoscaler
}

/// `web` gets so many requests a second, of which each pod serves a hundred.
fn shop(replicas: i64, gets: i64, bounds: (i64, i64), behavior: &Value) -> Cluster {
    let mut cluster = cluster(&["16"]);
    create(&mut cluster, "deployments.apps", deployment(replicas, &doc!({})));
    let notes = doc!({LOAD: (gets.to_string()), EACH: "100"});
    create(
        &mut cluster,
        "services",
        doc!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "annotations": (notes)},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        }),
    );
    create(&mut cluster, AUTOSCALERS, autoscaler(bounds, behavior));
    cluster
}

fn gets(cluster: &mut Cluster, rate: i64) {
    edit(cluster, "services", "shop", "web", |service| {
        service.set(&["metadata", "annotations", LOAD], rate.to_string());
    });
}

fn reasons(autoscaler: &Value) -> String {
    let conditions = autoscaler.at(&["status", "conditions"]).items().iter();
    let reasons: Vec<&str> = conditions.map(|condition| condition.at(&["reason"]).str_or_empty()).collect();
    format!("{} {}", reasons.join(" "), autoscaler.at(&["status", "desiredReplicas"]))
}

/// The replicas of `web` from now on, each change with its second.
fn replicas(cluster: &mut Cluster, seconds: u64) -> Vec<(i64, i64)> {
    let version = cluster.version();
    let until = cluster.now() + Duration::from_secs(seconds);
    cluster.advance(until);
    let mut course = Vec::new();
    for change in cluster.changes_since(version).unwrap() {
        let wanted = change.after.as_ref().and_then(|after| after.at(&["spec", "replicas"]).as_int());
        if change.key.is("deployments.apps")
            && let Some(wanted) = wanted
            && course.last().is_none_or(|(_, have)| *have != wanted)
        {
            course.push((change.at.since(START).as_millis() as i64 / 1000, wanted));
        }
    }
    course
}

#[test]
fn bounds_are_kept_without_any_metric_and_only_at_the_beat() {
    let check = |replicas: Option<i64>, expected: &[&str]| {
        let mut cluster = cluster(&["4"]);
        if let Some(replicas) = replicas {
            create(&mut cluster, "deployments.apps", deployment(replicas, &doc!({})));
        }
        create(&mut cluster, AUTOSCALERS, autoscaler((2, 3), &Value::Null));
        assert_eq!(story(&mut cluster, 100, AUTOSCALERS, reasons), expected);
        assert!(cluster.settle(twin::Time::NEVER).settled, "an autoscaler that has said all is quiet");
    };
    check(Some(5), &["15000 web: SucceededRescale 3", "30000 web: SucceededGetScale FailedGetResourceMetric 3"]);
    check(Some(1), &["15000 web: SucceededRescale 2", "30000 web: SucceededGetScale FailedGetResourceMetric 2"]);
    check(Some(2), &["15000 web: SucceededGetScale FailedGetResourceMetric 0"]);
    // A target at zero, or that is not there, is not scaled.
    check(Some(0), &["15000 web: SucceededGetScale ScalingDisabled 0"]);
    check(None, &["15000 web: FailedGetScale 0"]);
}

#[test]
fn what_a_pod_says_that_it_uses_is_what_counts() {
    let mut cluster = cluster(&["16"]);
    create(&mut cluster, "deployments.apps", deployment(2, &doc!({"metrics.lazaret.dev/cpu": "90m"})));
    cluster.advance(START + Duration::from_secs(20));
    create(&mut cluster, AUTOSCALERS, autoscaler((1, 10), &Value::Null));
    cluster.advance(START + Duration::from_secs(36));
    let autoscaler = cluster.get(&ObjectKey::new(AUTOSCALERS, "shop", "web")).unwrap();
    let status = autoscaler.at(&["status"]);
    let current = status.at(&["currentMetrics"]).items()[0].at(&["resource", "current"]);
    assert_eq!(current, &doc!({"averageValue": "90m", "averageUtilization": 90}));
    assert_eq!(reasons(autoscaler), "SucceededRescale ValidMetricFound DesiredWithinRange 4");
    let events: Vec<&str> = cluster
        .list("events", Some("shop"))
        .filter(|(_, event)| event.at(&["involvedObject", "kind"]) == "HorizontalPodAutoscaler")
        .map(|(_, event)| event.at(&["message"]).str_or_empty())
        .collect();
    assert_eq!(events, ["New size: 4; reason: cpu resource utilization (percentage of request) above target"]);
}

#[test]
fn what_services_get_is_served_by_as_many_as_are_needed_and_no_faster_than_doubling() {
    let mut cluster = shop(2, 600, (1, 20), &Value::Null);
    // A pod cannot be busier than all the time, and for its first seconds nobody has measured it.
    let course = replicas(&mut cluster, 300);
    let counts: Vec<i64> = course.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [2, 4, 8, 12], "{course:?}");
    assert!(cluster.settle(twin::Time::NEVER).settled, "it rests once it fits");
}

#[test]
fn fewer_are_wanted_only_after_five_minutes_of_less() {
    let mut cluster = shop(12, 600, (1, 20), &Value::Null);
    assert_eq!(replicas(&mut cluster, 1000).len(), 1);
    gets(&mut cluster, 100);
    let course = replicas(&mut cluster, 600);
    // The last look at which twelve were right was 990 s; 300 s later it is forgotten.
    assert_eq!(course, [(1290, 2)]);
}

#[test]
fn policies_say_how_fast() {
    let slowly = doc!({"scaleDown": {
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
    }});
    let mut cluster = shop(12, 600, (1, 20), &slowly);
    cluster.advance(START + Duration::from_secs(1000));
    gets(&mut cluster, 300);
    assert_eq!(replicas(&mut cluster, 600), [(1005, 10), (1065, 8), (1125, 7)]);
    let never = doc!({"scaleUp": {"selectPolicy": "Disabled"}});
    let mut cluster = shop(2, 600, (1, 20), &never);
    assert_eq!(replicas(&mut cluster, 600).len(), 1);
}

#[test]
fn whoever_scales_by_hand_is_overruled_by_what_was_right_a_moment_ago() {
    let mut cluster = shop(12, 600, (1, 20), &Value::Null);
    cluster.advance(START + Duration::from_secs(1000));
    let fork = cluster.clone();
    for mut cluster in [cluster, fork] {
        edit(&mut cluster, "deployments.apps", "shop", "web", |web| web.set(&["spec", "replicas"], 6));
        let course = replicas(&mut cluster, 60);
        assert_eq!(course, [(1000, 6), (1005, 12)], "a fork remembers what its origin did");
    }
}

#[test]
fn what_a_real_autoscaler_had_measured_is_what_its_pods_still_use_together() {
    let mut real = shop(12, 600, (1, 20), &Value::Null);
    real.advance(START + Duration::from_secs(1000));
    edit(&mut real, "services", "shop", "web", |service| {
        service.remove(&["metadata", "annotations"]);
    });
    let objects: Vec<Value> = real.objects().map(|(_, object)| object.clone()).collect();
    let mut twin = crate::snapshot::load(objects, Some(real.now()), 0);
    edit(&mut twin, "deployments.apps", "shop", "web", |web| web.set(&["spec", "replicas"], 4));
    let course = replicas(&mut twin, 60);
    assert_eq!(course.last().map(|(_, count)| *count), Some(12), "{course:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Looks that could see nothing new are not made; whoever makes them all must come to the same.
    #[test]
    fn looks_that_are_left_out_are_missed_by_nobody(
        changes in proptest::collection::vec((1u64..40, 0i64..1500), 1..5),
        window in prop_oneof![Just(None), Just(Some(0i64)), Just(Some(120))],
    ) {
        let behavior = window.map_or(Value::Null, |window| doc!({
            "scaleDown": {"stabilizationWindowSeconds": (window)}, "scaleUp": {"stabilizationWindowSeconds": (window)},
        }));
        let course = |every: bool| {
            let mut cluster = shop(3, 300, (1, 30), &behavior);
            let mut beats = 0;
            let mut course = Vec::new();
            for (after, rate) in &changes {
                for _ in 0..*after {
                    beats += 1;
                    if every {
                        edit(&mut cluster, "namespaces", "", "shop", |shop| shop.set(&["metadata", "annotations", "beat"], beats));
                    }
                    course.extend(replicas(&mut cluster, 15));
                }
                gets(&mut cluster, *rate);
            }
            course
        };
        prop_assert_eq!(course(false), course(true));
    }
}
