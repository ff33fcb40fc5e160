//! How long images take to arrive on nodes that do not have them.
//!
//! Knows: the images that nodes report, how large each is, how fast a node pulls and how fast a registry serves.
//! Does not know: which pod waits for one.
//!
//! Nodes report the fifty largest images they hold. Where a node reports none, nothing is known of it and nothing is waited
//! for: what a start takes there is what starts take. An image that no node reports is taken to be as large as another tag of
//! the same repository; if there is none, its size is not known, and it is not waited for either.

use std::time::Duration;

use imbl::OrdMap;
use twin::Time;

use crate::cluster::Cluster;
use crate::value::{Text, Value};

/// So many images a kubelet reports (`--node-status-max-images`). Who reports as many may hold smaller ones besides.
const REPORTED_MAX: usize = 50;

/// What a node pulls, in bytes per second, unless its annotation says otherwise.
const NODE_RATE: u64 = 64 << 20;

/// A node says here how many bytes per second it pulls.
const NOTE: &str = "twin.lazaret.dev/pull-bytes-per-second";

/// Images that are on their way or have come since the cluster was taken over. Part of the cluster, so that forks remember.
#[derive(Clone, Default)]
pub(crate) struct Pulls {
    /// By node and image: when it is there.
    there: OrdMap<(Text, Text), Time>,
    /// By node: until when it pulls. One image after the other (`serializeImagePulls`).
    busy: OrdMap<Text, Time>,
    /// Until when the registry has given all that was asked of it.
    registry: Time,
    /// Sizes that were looked up.
    sizes: OrdMap<Text, Option<u64>>,
}

/// How long after now the images of these containers are all on the node. What is not there begins to be pulled.
pub(super) fn wait(cluster: &mut Cluster, node: &Value, containers: &[Value]) -> Duration {
    let reported = node.at(&["status", "images"]).items();
    if reported.is_empty() {
        return Duration::ZERO;
    }
    let now = cluster.now();
    let mut there = now;
    for container in containers {
        let image = tagged(container.at(&["image"]).str_or_empty());
        let policy = container.at(&["imagePullPolicy"]).str_or_empty();
        if image.is_empty() || policy == "Never" || reported.iter().any(|have| is_called(have, &image)) {
            continue;
        }
        there = there.max(arrival(cluster, node, reported, &image, now));
    }
    there.since(now)
}

/// When an image is on a node that does not report it.
fn arrival(cluster: &mut Cluster, node: &Value, reported: &[Value], image: &str, now: Time) -> Time {
    let key = (Text::from(node.name()), Text::from(image));
    if let Some(there) = cluster.pulls.there.get(&key) {
        return *there;
    }
    let least = reported.iter().filter_map(size).min().unwrap_or(0);
    let Some(bytes) = size_of(cluster, image) else { return now };
    if reported.len() >= REPORTED_MAX && bytes < least {
        return now;
    }
    let rate = node.annotation(NOTE).and_then(|rate| rate.parse().ok()).filter(|rate| *rate > 0).unwrap_or(NODE_RATE);
    let takes = |rate: u64| Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1));
    let pulls = &mut cluster.pulls;
    let begins = pulls.busy.get(&key.0).copied().unwrap_or(now).max(now);
    let mut there = begins + takes(rate);
    if let Some(rate) = cluster.settings.registry_bytes_per_second {
        pulls.registry = pulls.registry.max(now) + takes(rate);
        there = there.max(pulls.registry);
    }
    pulls.busy.insert(key.0.clone(), there);
    pulls.there.insert(key, there);
    there
}

/// How large an image is, as the nodes tell.
fn size_of(cluster: &mut Cluster, image: &str) -> Option<u64> {
    if let Some(known) = cluster.pulls.sizes.get(image) {
        return *known;
    }
    let repository = format!("{}:", repository(image));
    let (mut own, mut kin) = (None, None);
    for (_, node) in cluster.list("nodes", None) {
        for have in node.at(&["status", "images"]).items() {
            if is_called(have, image) {
                own = own.max(size(have));
            } else if names(have).any(|name| name.starts_with(&repository)) {
                kin = kin.max(size(have));
            }
        }
        if own.is_some() {
            break;
        }
    }
    let found = own.or(kin);
    cluster.pulls.sizes.insert(Text::from(image), found);
    found
}

fn names(image: &Value) -> impl Iterator<Item = &str> {
    image.at(&["names"]).items().iter().map(Value::str_or_empty)
}

fn is_called(image: &Value, name: &str) -> bool {
    names(image).any(|have| have == name || have.strip_prefix("docker.io/library/") == Some(name))
}

fn size(image: &Value) -> Option<u64> {
    image.at(&["sizeBytes"]).as_int().and_then(|bytes| u64::try_from(bytes).ok())
}

/// An image with its tag, as nodes report it.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if image.is_empty() || last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// An image without its tag or digest.
fn repository(image: &str) -> &str {
    let end = image.rfind(['/']).map_or(0, |slash| slash + 1);
    let tag = image.get(end..).and_then(|last| last.find([':', '@'])).map(|at| end + at);
    tag.and_then(|at| image.get(..at)).unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use crate::doc;
    use crate::testing::{cluster, create, pod, story};

    /// Three nodes, of which the first two report images; `app` comes from a registry that gives so many bytes per second.
    fn started(images: &[(&str, &str)], registry: Option<u64>) -> Vec<String> {
        let mut cluster = cluster(&["4", "4", "4"]);
        let settings = crate::Settings { registry_bytes_per_second: registry, ..crate::Settings::default() };
        cluster.settings = settings.into();
        for node in ["n1", "n2"] {
            crate::testing::edit(&mut cluster, "nodes", "", node, |node| {
                node.set(&["status", "images"], doc!([{"names": ["other:1"], "sizeBytes": 1000}]));
            });
        }
        crate::testing::edit(&mut cluster, "nodes", "", "n2", |node| {
            node.make(&["status", "images"]).array().push(doc!({"names": ["app:1"], "sizeBytes": 671_088_640}));
        });
        for (at, (node, image)) in images.iter().enumerate() {
            let mut pod = pod(&format!("p{at}"));
            pod.set(&["spec", "nodeName"], *node);
            pod.set(&["spec", "containers"], doc!([{"name": "app", "image": (*image)}]));
            create(&mut cluster, "pods", pod);
        }
        let told = story(&mut cluster, 600, "pods", |pod| pod.at(&["status", "phase"]).str_or_empty().to_owned());
        told.into_iter().filter(|line| line.ends_with("Running")).collect()
    }

    #[test]
    fn who_lacks_an_image_waits_for_it_and_the_next_does_not() {
        // 640 MiB at 64 MiB a second.
        assert_eq!(started(&[("n1", "app:1"), ("n2", "app:1")], None), ["800 p1: Running", "10800 p0: Running"]);
        assert_eq!(started(&[("n1", "app:1"), ("n1", "app:1")], None), ["10800 p0: Running", "10800 p1: Running"]);
        // A new tag is as large as the last; one after the other.
        assert_eq!(started(&[("n1", "app:2"), ("n1", "app:1")], None), ["10800 p0: Running", "20800 p1: Running"]);
        // Of what nobody knows nothing is waited for.
        assert_eq!(started(&[("n1", "new:1"), ("n3", "app:1")], None), ["800 p0: Running", "800 p1: Running"]);
    }

    #[test]
    fn a_registry_that_is_slow_is_slow_for_all() {
        let both = [("n1", "app:1"), ("n2", "app:2")];
        assert_eq!(started(&both, None), ["10800 p0: Running", "10800 p1: Running"]);
        assert_eq!(started(&both, Some(32 << 20)), ["20800 p0: Running", "40800 p1: Running"]);
    }

    #[test]
    fn a_name_is_taken_apart() {
        for (image, repository, tagged) in [
            ("app", "app", "app:latest"),
            ("reg:5000/a/app", "reg:5000/a/app", "reg:5000/a/app:latest"),
            ("reg:5000/app:1", "reg:5000/app", "reg:5000/app:1"),
            ("app@sha256:1", "app", "app@sha256:1"),
        ] {
            assert_eq!((super::repository(image), super::tagged(image).as_str()), (repository, tagged), "{image}");
        }
    }
}
