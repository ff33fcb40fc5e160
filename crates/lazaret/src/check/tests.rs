//! The suite on twins alone: the same seed gives the same answers and the same cluster, to the last bit.

use std::path::Path;
use std::time::Duration;

use cluster::{Cluster, build, doc};
use target_kubernetes::serve::{self, Options, Served};
use target_kubernetes::upstream::Upstream;
use twin::Time;

use super::side::{Clock, Side};
use super::suite::Case;
use super::{steps, suite};

fn fresh() -> Cluster {
    let mut cluster = build::fresh(Time::from_millis(1_790_000_000_000), 7);
    build::add_nodes(&mut cluster, 3);
    cluster.start_controllers();
    let namespace = doc!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "scratch", "uid": "1", "labels": {"kubernetes.io/metadata.name": "scratch"}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    });
    cluster.write(&cluster::ObjectKey::new("namespaces", "", "scratch"), Some(namespace));
    let until = cluster.now() + Duration::from_secs(60);
    cluster.settle(until);
    cluster
}

/// What is answered, as it is, and every object then.
async fn told(cluster: Cluster, case: &Case, folder: &Path) -> (Vec<String>, Vec<String>) {
    let schema = cluster.schema.clone();
    let Served { kubeconfig, handle, .. } = serve::serve(cluster, Options::new(folder)).await.unwrap();
    handle.live().settle(Duration::ZERO);
    let upstream = Upstream::from_file(&kubeconfig, None).await.unwrap();
    let side = Side::new(upstream, Clock::Virtual(handle.live().clone()), "scratch", "pause");
    let answers = steps(&schema, case, side, None).await.unwrap();
    let objects = handle.live().fork().objects().map(|(key, object)| format!("{key:?} {}", object.to_json())).collect();
    handle.stop().await;
    (answers.into_iter().map(|answer| format!("{answer:?}")).collect(), objects)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_suite_comes_to_the_same_on_a_fresh_twin_and_on_a_fork_of_one_that_has_worked() {
    target_kubernetes::tls::install_default();
    let folder = crate::cli::private_folder().unwrap();
    let origin = fresh();
    let mut tasks = Vec::new();
    for (number, case) in suite().unwrap().into_iter().flat_map(|area| area.cases).enumerate() {
        let (origin, folder) = (origin.clone(), folder.join(number.to_string()));
        tasks.push(tokio::spawn(async move {
            let first = told(fresh(), &case, &folder).await;
            // What is done to a fork stays there.
            let fork = origin.clone();
            let _ = told(fork.clone(), &case, &folder).await;
            let second = told(fork.clone(), &case, &folder).await;
            assert_eq!(first.0, second.0, "{}", case.name);
            let differ = first.1.iter().zip(&second.1).find(|(one, two)| one != two);
            assert!(differ.is_none() && first.1.len() == second.1.len(), "{}: {differ:?}", case.name);
        }));
        if tasks.len() == 8 {
            for task in tasks.drain(..) {
                task.await.unwrap();
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let _ = std::fs::remove_dir_all(folder);
}
