use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::testing::{cluster, create, delete, edit, pod, story};
use crate::value::Value;

/// Phase, and of each container what it does; `+` stands for ready.
fn line(pod: &Value) -> String {
    let containers: Vec<String> = ["initContainerStatuses", "containerStatuses"]
        .iter()
        .flat_map(|list| pod.at(&["status", list]).items())
        .map(|status| {
            let state = status.at(&["state"]).entries().first().cloned();
            let (kind, detail) = state.map_or_else(Default::default, |(kind, detail)| (kind.to_string(), detail));
            let reason = detail.at(&["reason"]).as_str().unwrap_or(&kind).to_owned();
            let restarts = status.at(&["restartCount"]).as_int().unwrap_or(0);
            let times = if restarts > 0 { format!("x{restarts}") } else { String::new() };
            let ready = if status.at(&["ready"]).is_true() { "+" } else { "" };
            format!(" {reason}{times}{ready}")
        })
        .collect();
    format!("{}{}", pod.at(&["status", "phase"]).str_or_empty(), containers.concat())
}

fn bound(annotations: Value) -> Value {
    let mut pod = pod("a");
    pod.set(&["spec", "nodeName"], "n1");
    pod.set(&["metadata", "annotations"], annotations);
    pod
}

fn check(pod: Value, seconds: u64, want: &[&str]) -> Cluster {
    let mut cluster = cluster(&["4"]);
    create(&mut cluster, "pods", pod);
    assert_eq!(story(&mut cluster, seconds, "pods", line), want);
    cluster
}

#[test]
fn a_pod_bound_to_a_node_runs_and_is_ready_after_the_clusters_delays() {
    let cluster = check(bound(doc!({})), 60, &["0 a: Pending ContainerCreating", "800 a: Running running+"]);
    let pod = cluster.get(&ObjectKey::new("pods", "shop", "a")).unwrap().clone();
    assert_eq!(pod.at(&["status", "podIP"]), &"10.244.0.2");
    assert_eq!(pod.at(&["status", "hostIP"]), &"10.10.0.2");
    let conditions: Vec<&str> =
        pod.at(&["status", "conditions"]).items().iter().map(|have| have.at(&["type"]).str_or_empty()).collect();
    assert_eq!(conditions, ["PodScheduled", "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"]);
    assert!(conditions.iter().all(|kind| pod.condition_is_true(kind)));
    assert_eq!(cluster.next_due(), None);
}

#[test]
fn annotations_say_when_a_pod_starts_and_is_ready_whatever_else_is_written_meanwhile() {
    let delays = doc!({"twin.lazaret.dev/start-delay-ms": "1500", "twin.lazaret.dev/ready-delay-ms": "2500"});
    let mut cluster = cluster(&["4"]);
    create(&mut cluster, "pods", bound(delays));
    story(&mut cluster, 1, "pods", line);
    edit(&mut cluster, "pods", "shop", "a", |pod| pod.set(&["metadata", "labels", "x"], "y"));
    let want = ["1500 a: Running running", "4000 a: Running running+"];
    assert_eq!(story(&mut cluster, 60, "pods", line), want);
}

#[test]
fn a_readiness_probe_delays_readiness_by_its_initial_delay() {
    let mut pod = bound(doc!({}));
    let probe = doc!({"initialDelaySeconds": 5, "tcpSocket": {"port": 80}});
    pod.set(&["spec", "containers"], doc!([{"name": "app", "image": "app:1", "readinessProbe": (probe)}]));
    check(pod, 60, &["0 a: Pending ContainerCreating", "800 a: Running running", "5800 a: Running running+"]);
}

#[test]
fn a_container_that_crashes_is_restarted_at_once_and_then_ever_later() {
    check(
        bound(doc!({"twin.lazaret.dev/fail": "crashloop"})),
        40,
        &[
            "0 a: Pending ContainerCreating",
            "800 a: Running running+",
            "1800 a: Running Error",
            "1801 a: Running runningx1+",
            "2801 a: Running Errorx1",
            "2802 a: Running CrashLoopBackOffx1",
            "12000 a: Running runningx2+",
            "13000 a: Running Errorx2",
            "13001 a: Running CrashLoopBackOffx2",
            "33000 a: Running runningx3+",
            "34000 a: Running Errorx3",
            "34001 a: Running CrashLoopBackOffx3",
        ],
    );
}

#[test]
fn failures_are_staged_by_annotations() {
    for (fail, want) in [
        ("imagepull", vec!["800 a: Pending ErrImagePull", "1800 a: Pending ImagePullBackOff"]),
        ("unready", vec!["800 a: Running running"]),
    ] {
        let pod = bound(doc!({"twin.lazaret.dev/fail": (fail)}));
        let all = [vec!["0 a: Pending ContainerCreating"], want].concat();
        check(pod, 300, &all);
    }
}

#[test]
fn a_pod_that_ends_by_itself_succeeds_or_fails_by_its_exit_code() {
    for (code, want) in [("0", "1100 a: Succeeded Completed"), ("3", "1100 a: Failed Error")] {
        let mut pod = bound(doc!({"twin.lazaret.dev/exit-after-ms": "300", "twin.lazaret.dev/exit-code": (code)}));
        pod.set(&["spec", "restartPolicy"], "Never");
        check(pod, 60, &["0 a: Pending ContainerCreating", "800 a: Running running+", want]);
    }
}

#[test]
fn a_job_s_pod_runs_two_seconds_and_succeeds() {
    let mut cluster = cluster(&["4"]);
    let template = doc!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]}});
    create(
        &mut cluster,
        "jobs.batch",
        doc!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "shop"},
            "spec": {"template": (template)},
        }),
    );
    let said = story(&mut cluster, 60, "pods", line);
    let at = |end: &str| {
        let line = said.iter().find(|line| line.ends_with(end)).expect(end);
        line.split_once(' ').and_then(|(at, _)| at.parse::<u64>().ok()).expect("it says when")
    };
    assert_eq!(at(": Succeeded Completed") - at(": Running running+"), 2000, "{said:?}");
}

#[test]
fn init_containers_run_one_after_another_before_the_containers() {
    let mut pod = bound(doc!({}));
    pod.set(&["spec", "initContainers"], doc!([{"name": "one", "image": "i:1"}, {"name": "two", "image": "i:1"}]));
    check(
        pod,
        60,
        &[
            "0 a: Pending PodInitializing PodInitializing PodInitializing",
            "800 a: Pending running PodInitializing PodInitializing",
            "1100 a: Pending Completed+ PodInitializing PodInitializing",
            "1101 a: Pending Completed+ running PodInitializing",
            "1401 a: Pending Completed+ Completed+ PodInitializing",
            "1402 a: Running Completed+ Completed+ running+",
        ],
    );
}

#[test]
fn a_deleted_pod_is_gone_after_its_stop_delay_or_never() {
    for (annotation, want) in [
        (doc!({}), Some("1300 a: gone")),
        (doc!({"twin.lazaret.dev/stop-delay-ms": "20000"}), Some("21000 a: gone")),
        (doc!({"twin.lazaret.dev/ignore-sigterm": "true"}), Some("31000 a: gone")),
        (doc!({"twin.lazaret.dev/stuck-terminating": "true"}), None),
    ] {
        let mut cluster = check(bound(annotation), 1, &["0 a: Pending ContainerCreating", "800 a: Running running+"]);
        delete(&mut cluster, "pods", "shop", "a", None);
        let said = story(&mut cluster, 120, "pods", line);
        assert_eq!(said.last().map(String::as_str).filter(|line| line.ends_with("gone")), want);
    }
}

#[test]
fn a_container_that_lacks_its_configuration_waits_for_it() {
    let mut pod = bound(doc!({}));
    let from = doc!({"configMapRef": {"name": "settings"}});
    pod.set(&["spec", "containers"], doc!([{"name": "app", "image": "app:1", "envFrom": [(from)]}]));
    let mut cluster = check(pod, 60, &["0 a: Pending ContainerCreating", "800 a: Pending CreateContainerConfigError"]);
    let map = doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}});
    create(&mut cluster, "configmaps", map);
    assert_eq!(story(&mut cluster, 60, "pods", line), ["60001 a: Running running+"]);
}

#[test]
fn a_silent_kubelet_starts_and_stops_nothing() {
    let mut cluster = check(bound(doc!({})), 10, &["0 a: Pending ContainerCreating", "800 a: Running running+"]);
    edit(&mut cluster, "nodes", "", "n1", |node| {
        node.set(&["metadata", "annotations", "twin.lazaret.dev/heartbeat"], "stop");
    });
    delete(&mut cluster, "pods", "shop", "a", None);
    assert!(story(&mut cluster, 20, "pods", line).iter().all(|line| !line.ends_with("gone")));
}

#[test]
fn a_pod_told_to_stop_says_that_its_kubelet_has_heard() {
    for (how, heard) in [
        (doc!({"twin.lazaret.dev/stop-delay-ms": "20000"}), 2),
        (doc!({"twin.lazaret.dev/stuck-terminating": "true"}), 1),
    ] {
        let annotations = how.clone();
        let mut cluster = check(bound(annotations), 5, &["0 a: Pending ContainerCreating", "800 a: Running running+"]);
        delete(&mut cluster, "pods", "shop", "a", None);
        story(&mut cluster, 10, "pods", line);
        let pod = cluster.get(&ObjectKey::new("pods", "shop", "a")).unwrap();
        let observed = pod.at(&["status", "observedGeneration"]).as_int();
        assert_eq!((pod.generation(), observed), (2, Some(heard)), "{how:?}");
        assert_eq!(pod.label("topology.kubernetes.io/zone"), Some("a"));
    }
}

#[test]
fn a_program_that_hears_the_signal_to_stop_ends_well_and_one_that_is_killed_does_not() {
    for (annotations, want) in [
        (doc!({}), "10300 a: Succeeded Completed"),
        (doc!({"twin.lazaret.dev/ignore-sigterm": "true"}), "40000 a: Failed Error"),
    ] {
        let mut pod = bound(annotations);
        pod.set(&["metadata", "finalizers"], doc!(["example.test/look"]));
        let mut cluster = check(pod, 10, &["0 a: Pending ContainerCreating", "800 a: Running running+"]);
        delete(&mut cluster, "pods", "shop", "a", None);
        let lines = story(&mut cluster, 60, "pods", line);
        assert!(lines.iter().any(|line| line == want), "{lines:?}");
    }
}

#[test]
fn replicas_that_are_made_at_once_are_not_ready_at_once_but_nearly() {
    let mut cluster = cluster(&["4"]);
    for _ in 0..8 {
        let mut pod = bound(doc!({}));
        pod.remove(&["metadata", "name"]);
        pod.set(&["metadata", "generateName"], "web-");
        create(&mut cluster, "pods", pod);
    }
    let lines = story(&mut cluster, 10, "pods", line);
    let times: std::collections::BTreeSet<u64> = lines
        .iter()
        .filter(|line| line.ends_with("running+"))
        .filter_map(|line| line.split_once(' ')?.0.parse().ok())
        .collect();
    assert!(times.len() > 4 && times.iter().all(|at| (800..840).contains(at)), "{times:?}");
}
