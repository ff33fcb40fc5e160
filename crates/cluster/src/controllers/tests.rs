//! Workloads over time, told in short lines.

use crate::cluster::Cluster;
use crate::doc;
use crate::testing::{cluster, create, edit, story};
use crate::value::Value;

/// Some fields of an object's status, `-` where there is none.
fn status(object: &Value, fields: &[&str]) -> String {
    let field = |name: &&str| object.at(&["status", name]).as_int().map_or_else(|| "-".to_owned(), |n| n.to_string());
    fields.iter().map(field).collect::<Vec<_>>().join("/")
}

fn template(image: &str) -> Value {
    doc!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": (image)}]},
    })
}

fn stateful(extra: &[(&str, Value)]) -> Value {
    let mut set = doc!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 3, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
            "template": (template("app:1")),
        },
    });
    for (field, value) in extra {
        set.set(&["spec", field], value.clone());
    }
    set
}

/// When each pod came and went, in the order of events: `+web-0` made, `-web-0` gone.
fn comings(cluster: &mut Cluster, seconds: u64) -> String {
    let mut seen: Vec<String> = cluster.list("pods", Some("shop")).map(|(key, _)| key.name.to_string()).collect();
    let mut said = Vec::new();
    for line in story(cluster, seconds, "pods", |_| "here".to_owned()) {
        let (at, what) = line.split_once(": ").expect("when and what");
        let name = at.split_once(' ').expect("when and who").1.to_owned();
        if what == "gone" {
            seen.retain(|have| *have != name);
            said.push(format!("-{name}"));
        } else if !seen.contains(&name) {
            said.push(format!("+{name}"));
            seen.push(name);
        }
    }
    said.join(" ")
}

fn get(cluster: &Cluster, resource: &str, name: &str) -> Value {
    cluster.get(&crate::ObjectKey::new(resource, "shop", name)).expect("it is there").clone()
}

#[test]
fn a_stateful_set_is_made_upwards_and_replaced_downwards_down_to_its_partition() {
    let mut cluster = cluster(&["4", "4"]);
    create(
        &mut cluster,
        "statefulsets.apps",
        stateful(&[("updateStrategy", doc!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}))]),
    );
    assert_eq!(comings(&mut cluster, 30), "+web-0 +web-1 +web-2");
    edit(&mut cluster, "statefulsets.apps", "shop", "web", |set| {
        set.set(&["spec", "template"], template("app:2"));
        set.set(&["metadata", "generation"], 2);
    });
    assert_eq!(comings(&mut cluster, 60), "-web-2 +web-2 -web-1 +web-1");
    let set = get(&cluster, "statefulsets.apps", "web");
    let fields = ["observedGeneration", "replicas", "readyReplicas", "currentReplicas", "updatedReplicas"];
    assert_eq!(status(&set, &fields), "2/3/3/1/2");
    assert_eq!(cluster.list("controllerrevisions.apps", Some("shop")).count(), 2);
}

#[test]
fn a_stateful_set_stops_at_a_pod_that_is_not_ready_unless_it_is_parallel() {
    for (policy, pods) in [("OrderedReady", "+web-0"), ("Parallel", "+web-0 +web-1 +web-2")] {
        let mut cluster = cluster(&["4"]);
        let mut template = template("app:1");
        template.set(&["metadata", "annotations", "twin.lazaret.dev/fail"], "unready");
        let extra = [("podManagementPolicy", Value::from(policy)), ("template", template)];
        create(&mut cluster, "statefulsets.apps", stateful(&extra));
        assert_eq!(comings(&mut cluster, 30), pods, "{policy}");
    }
}

#[test]
fn a_daemon_runs_on_every_node_and_is_replaced_two_at_a_time() {
    let mut cluster = cluster(&["4", "4", "4", "4"]);
    let set = doc!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "template": (template("app:1")),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
        },
    });
    create(&mut cluster, "daemonsets.apps", set);
    let fields = ["desiredNumberScheduled", "currentNumberScheduled", "numberAvailable", "updatedNumberScheduled"];
    story(&mut cluster, 30, "pods", |_| String::new());
    assert_eq!(status(&get(&cluster, "daemonsets.apps", "agent"), &fields), "4/4/4/4");
    edit(&mut cluster, "daemonsets.apps", "shop", "agent", |set| {
        let mut template = template("app:2");
        template.set(&["metadata", "annotations", "twin.lazaret.dev/fail"], "unready");
        set.set(&["spec", "template"], template);
        set.set(&["metadata", "generation"], 2);
    });
    story(&mut cluster, 30, "pods", |_| String::new());
    assert_eq!(status(&get(&cluster, "daemonsets.apps", "agent"), &fields), "4/4/2/2");
}

#[test]
fn a_job_runs_its_pods_to_their_end_and_counts_each_once() {
    for (extra, seconds, wanted) in [
        (doc!({"completions": 3, "parallelism": 2}), 30, "Complete CompletionsReached 3/- left 3"),
        (
            doc!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"}),
            30,
            "Complete CompletionsReached 3/- left 3",
        ),
        (doc!({"backoffLimit": 0, "exit": "1"}), 30, "Failed BackoffLimitExceeded -/1 left 1"),
        (doc!({"backoffLimit": 1, "exit": "1"}), 60, "Failed BackoffLimitExceeded -/2 left 2"),
        (doc!({"suspend": true}), 30, "Suspended JobSuspended -/- left 0"),
    ] {
        let mut cluster = cluster(&["4"]);
        let mut job = doc!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "shop"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]}}},
        });
        for (field, value) in extra.entries().iter().filter(|(field, _)| field != "exit") {
            job.set(&["spec", field], value.clone());
        }
        if let Some(code) = extra.get("exit") {
            let annotations = ["spec", "template", "metadata", "annotations"];
            job.make(&annotations).set(&["twin.lazaret.dev/exit-code"], code.clone());
            job.make(&annotations).set(&["twin.lazaret.dev/exit-after-ms"], "300");
        }
        create(&mut cluster, "jobs.batch", job);
        story(&mut cluster, seconds, "pods", |_| String::new());
        let job = get(&cluster, "jobs.batch", "work");
        let over =
            job.at(&["status", "conditions"]).items().iter().find(|condition| {
                matches!(condition.at(&["type"]).str_or_empty(), "Complete" | "Failed" | "Suspended")
            });
        let over = over.map_or_else(String::new, |condition| {
            format!("{} {}", condition.at(&["type"]).str_or_empty(), condition.at(&["reason"]).str_or_empty())
        });
        let pods: Vec<_> = cluster.list("pods", Some("shop")).collect();
        assert!(pods.iter().all(|(_, pod)| pod.finalizers().next().is_none()), "all are counted: {extra}");
        let said = format!("{over} {} left {}", status(&job, &["succeeded", "failed"]), pods.len());
        assert_eq!(said, wanted, "{extra}");
    }
}

#[test]
fn a_recreated_deployment_has_no_pod_of_the_new_template_before_the_last_old_one_has_stopped() {
    let mut cluster = cluster(&["4"]);
    let mut slow = template("app:1");
    slow.set(&["metadata", "annotations", "twin.lazaret.dev/stop-delay-ms"], "20000");
    let deployment = doc!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "strategy": {"type": "Recreate"}, "template": (slow),
        },
    });
    create(&mut cluster, "deployments.apps", deployment);
    story(&mut cluster, 10, "pods", |_| String::new());
    edit(&mut cluster, "deployments.apps", "shop", "web", |deployment| {
        let containers = deployment.make(&["spec", "template", "spec", "containers"]).array();
        containers.get_mut(0).expect("one").set(&["image"], "app:2");
        deployment.set(&["metadata", "generation"], 2);
    });
    let images = |pod: &Value| pod.at(&["spec", "containers"]).items().first().map(|one| one.at(&["image"]).clone());
    let lines = story(&mut cluster, 60, "pods", |pod| images(pod).unwrap_or_default().to_json());
    let last_gone = lines.iter().rposition(|line| line.ends_with("gone")).expect("the old ones go");
    let first_new = lines.iter().position(|line| line.ends_with("\"app:2\"")).expect("new ones come");
    assert!(last_gone < first_new, "{lines:?}");
    assert_eq!(status(&get(&cluster, "deployments.apps", "web"), &["readyReplicas", "updatedReplicas"]), "2/2");
}

#[test]
fn in_the_middle_of_a_rollout_the_old_pod_goes_whose_node_has_a_new_one() {
    for crowded in ["n1", "n2", "n3"] {
        let mut cluster = cluster(&["4", "4", "4"]);
        let owner = doc!([{
            "apiVersion": "example.test/v1", "kind": "Rollout", "name": "web", "uid": "r", "controller": true,
        }]);
        for (set, nodes) in [("old", vec!["n1", "n2", "n3"]), ("new", vec![crowded])] {
            let labels = doc!({"set": (set)});
            let mut template = template("app:1");
            template.set(&["metadata", "labels"], labels.clone());
            let mut replicas = 0;
            for node in nodes {
                let mut pod = crate::testing::pod(&format!("{set}-{node}"));
                pod.set(&["metadata", "labels"], labels.clone());
                pod.set(&["spec", "nodeName"], node);
                create(&mut cluster, "pods", pod);
                replicas += 1;
            }
            let set = doc!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": (set), "namespace": "shop", "ownerReferences": (owner.clone())},
                "spec": {"replicas": (replicas), "selector": {"matchLabels": (labels)}, "template": (template)},
            });
            create(&mut cluster, "replicasets.apps", set);
        }
        assert_eq!(comings(&mut cluster, 10), "");
        edit(&mut cluster, "replicasets.apps", "shop", "old", |set| set.set(&["spec", "replicas"], 2));
        assert_eq!(comings(&mut cluster, 10), format!("-old-{crowded}"));
    }
}

/// A Job of pods that run for an hour, and the names of those pods once they run.
fn long_job(cluster: &mut Cluster, extra: &Value) -> Vec<String> {
    let mut job = doc!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "shop"},
        "spec": {"parallelism": 2, "template": {
            "metadata": {"annotations": {"twin.lazaret.dev/exit-after-ms": "3600000"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]},
        }},
    });
    for (field, value) in extra.entries() {
        job.set(&["spec", field], value.clone());
    }
    create(cluster, "jobs.batch", job);
    story(cluster, 5, "pods", |_| String::new());
    cluster.list("pods", Some("shop")).map(|(key, _)| key.name.to_string()).collect()
}

#[test]
fn what_a_failing_job_still_runs_has_failed_with_it_and_a_pod_that_ends_well_when_stopped_has_not() {
    let fields = ["active", "succeeded", "failed"];
    let mut late = cluster(&["4"]);
    long_job(&mut late, &doc!({"completions": 2, "activeDeadlineSeconds": 10}));
    story(&mut late, 30, "pods", |_| String::new());
    assert_eq!(status(&get(&late, "jobs.batch", "work"), &fields), "-/-/2", "past its deadline");

    let mut stopped = cluster(&["4"]);
    let pods = long_job(&mut stopped, &doc!({"completions": 2}));
    for pod in &pods {
        crate::testing::delete(&mut stopped, "pods", "shop", pod, None);
    }
    story(&mut stopped, 30, "pods", |_| String::new());
    assert_eq!(status(&get(&stopped, "jobs.batch", "work"), &fields), "-/2/-", "its pods were told to stop");
}

#[test]
fn a_parallel_set_updates_from_the_top_whatever_is_not_well_below() {
    let mut cluster = cluster(&["4"]);
    let mut first = template("app:1");
    first.set(&["metadata", "annotations", "twin.lazaret.dev/ready-delay-ms"], "1000");
    create(
        &mut cluster,
        "statefulsets.apps",
        stateful(&[("podManagementPolicy", Value::from("Parallel")), ("template", first)]),
    );
    assert_eq!(comings(&mut cluster, 10), "+web-0 +web-1 +web-2");
    edit(&mut cluster, "pods", "shop", "web-0", |pod| {
        let conditions = pod.make(&["status", "conditions"]).array();
        conditions.retain(|condition| condition.at(&["type"]) != "Ready");
    });
    edit(&mut cluster, "statefulsets.apps", "shop", "web", |set| {
        set.set(&["spec", "template", "metadata", "annotations"], doc!({"v": "2"}));
        set.set(&["metadata", "generation"], 2);
    });
    assert_eq!(comings(&mut cluster, 60), "-web-2 +web-2 -web-1 +web-1 -web-0 +web-0");
}

#[test]
fn a_workload_adopts_what_is_its_own_and_nothing_else() {
    let mut cluster = cluster(&["4"]);
    let labelled = |name: &str, exits: Option<&str>| {
        let mut pod = crate::testing::pod(name);
        pod.set(&["metadata", "labels"], doc!({"app": "web"}));
        if let Some(after) = exits {
            pod.set(&["spec", "restartPolicy"], "Never");
            pod.set(&["metadata", "annotations", "twin.lazaret.dev/exit-after-ms"], after);
        }
        pod
    };
    create(&mut cluster, "pods", labelled("over", Some("100")));
    create(&mut cluster, "pods", labelled("web-7", None));
    create(&mut cluster, "pods", labelled("stray", None));
    story(&mut cluster, 10, "pods", |_| String::new());
    let owners = |cluster: &Cluster| {
        let line = |(key, pod): (&crate::ObjectKey, &Value)| {
            format!("{}<{}", key.name, pod.controller().map_or("-", |owner| owner.kind()))
        };
        let mut lines: Vec<String> = cluster.list("pods", Some("shop")).map(line).collect();
        lines.sort();
        lines.join(" ")
    };
    // A set of numbered pods takes only those that are named as its own.
    create(
        &mut cluster,
        "statefulsets.apps",
        stateful(&[("replicas", Value::from(0)), ("podManagementPolicy", Value::from("Parallel"))]),
    );
    story(&mut cluster, 10, "pods", |_| String::new());
    assert_eq!(owners(&cluster), "over<- stray<-");
    // Nobody adopts a pod that is over.
    create(
        &mut cluster,
        "replicasets.apps",
        doc!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": (template("app:1"))},
        }),
    );
    story(&mut cluster, 10, "pods", |_| String::new());
    assert_eq!(owners(&cluster), "over<- stray<ReplicaSet");
}

#[test]
fn a_daemon_pod_is_bound_to_its_node_by_name_alone_and_bears_for_ever_what_the_template_bore_for_a_while() {
    let mut cluster = cluster(&["4"]);
    let mut template = template("app:1");
    template.set(
        &["spec", "tolerations"],
        doc!([
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3},
            {"operator": "Exists"},
        ]),
    );
    let terms = doc!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}, {
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n9"]}],
    }]);
    let required = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    template.set(&required, doc!({"nodeSelectorTerms": (terms)}));
    create(
        &mut cluster,
        "daemonsets.apps",
        doc!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": (template)},
        }),
    );
    story(&mut cluster, 10, "pods", |_| String::new());
    let (_, pod) = cluster.list("pods", Some("shop")).next().expect("one pod");
    let only = doc!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]);
    assert_eq!(*pod.at(&required).at(&["nodeSelectorTerms"]), only);
    let first = pod.at(&["spec", "tolerations"]).items().first().expect("it bears something");
    let for_ever = doc!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"});
    assert_eq!(*first, for_ever);
}

#[test]
fn an_indexed_job_that_shrinks_keeps_its_lowest_numbers() {
    let mut cluster = cluster(&["8"]);
    let mut template = doc!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]}});
    template.set(&["metadata", "annotations", "twin.lazaret.dev/exit-after-ms"], "600000");
    create(
        &mut cluster,
        "jobs.batch",
        doc!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "shop"},
            "spec": {"completions": 4, "parallelism": 4, "completionMode": "Indexed", "template": (template)},
        }),
    );
    story(&mut cluster, 10, "pods", |_| String::new());
    edit(&mut cluster, "jobs.batch", "shop", "work", |job| {
        job.set(&["spec", "completions"], 2);
        job.set(&["spec", "parallelism"], 2);
        job.set(&["metadata", "generation"], 2);
    });
    story(&mut cluster, 10, "pods", |_| String::new());
    let index = "batch.kubernetes.io/job-completion-index";
    let mut left: Vec<&str> = cluster.list("pods", Some("shop")).filter_map(|(_, pod)| pod.label(index)).collect();
    left.sort_unstable();
    assert_eq!(left, ["0", "1"]);
}
