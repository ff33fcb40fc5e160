//! How good a node is for a pod.
//!
//! Knows: the scores of the default profile and their weights.
//! Does not know: whether the node would take the pod at all.

use std::sync::Arc;

use super::fit::Resources;
use super::state::Node;
use super::{affinity, fit, interpod, spread};
use crate::cluster::Cluster;
use crate::value::{Text, Value};

const MAX: i64 = 100;

/// Weights of the default profile (`pkg/scheduler/apis/config/v1/default_plugins.go`).
const TAINTS: i64 = 3;
const AFFINITY: i64 = 2;
const SPREAD: i64 = 2;
const INTERPOD: i64 = 2;

/// The nodes that score highest, in the order of their names.
pub(super) fn best(cluster: &Cluster, pod: &Value, request: &Resources, nodes: &[Arc<Node>]) -> Vec<Text> {
    if let [only] = nodes {
        return vec![Text::from(only.object.name())];
    }
    let objects: Vec<&Value> = nodes.iter().map(|node| &node.object).collect();
    let (cpu, memory) = fit::weighed_requests(pod);
    let mut scores: Vec<i64> = nodes
        .iter()
        .map(|node| {
            let weighed =
                [(node.weighed.0 + cpu, node.allocatable.cpu), (node.weighed.1 + memory, node.allocatable.memory)];
            fit::least_allocated(weighed) + balance(request, node) + images(pod, nodes.len(), &node.object, &objects)
        })
        .collect();
    let mut add = |weight: i64, more: Vec<i64>| {
        for (score, more) in scores.iter_mut().zip(more) {
            *score += weight * more;
        }
    };
    add(TAINTS, normalised(objects.iter().map(|node| unwelcome(pod, node)).collect(), true));
    let preferred = ["spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"];
    let preferred = pod.at(&preferred).items();
    if !preferred.is_empty() {
        add(AFFINITY, normalised(objects.iter().map(|node| preference(preferred, node)).collect(), false));
    }
    if let Some(crowding) = spread::crowding(cluster, pod, &objects) {
        add(SPREAD, uncrowded(&crowding));
    }
    if let Some(pull) = interpod::attraction(cluster, pod, &objects) {
        add(INTERPOD, stretched(&pull));
    }
    let highest = scores.iter().max().copied().unwrap_or(0);
    let best = objects.iter().zip(&scores).filter(|(_, score)| **score == highest);
    best.map(|(node, _)| Text::from(node.name())).collect()
}

/// How many taints would rather not have the pod.
fn unwelcome(pod: &Value, node: &Value) -> i64 {
    if node.at(&["spec", "taints"]).is_empty() {
        return 0;
    }
    let matters = |toleration: &&Value| matches!(toleration.at(&["effect"]).str_or_empty(), "" | "PreferNoSchedule");
    let tolerations: Vec<&Value> = pod.at(&["spec", "tolerations"]).items().iter().filter(matters).collect();
    let taints = node.at(&["spec", "taints"]).items().iter();
    let unwelcome = taints
        .filter(|taint| taint.at(&["effect"]) == "PreferNoSchedule")
        .filter(|taint| !tolerations.iter().any(|toleration| affinity::bears(toleration, taint)));
    i64::try_from(unwelcome.count()).unwrap_or(i64::MAX)
}

/// The weights of the preferred terms that a node matches, added up.
fn preference(terms: &[Value], node: &Value) -> i64 {
    let terms = terms.iter().filter(|term| {
        let preference = term.at(&["preference"]);
        preference.is_empty() || affinity::term_selects(preference, node)
    });
    terms.filter_map(|term| term.at(&["weight"]).as_int()).sum()
}

/// Balance looks at what is really asked for; a pod that asks for nothing changes none.
fn balance(request: &Resources, node: &Node) -> i64 {
    if request.cpu == 0 && request.memory == 0 {
        return 0;
    }
    fit::balanced([
        (node.requested.cpu + request.cpu, node.allocatable.cpu),
        (node.requested.memory + request.memory, node.allocatable.memory),
    ])
}

/// As `DefaultNormalizeScore`: the highest becomes 100; reversed, the lowest does.
fn normalised(scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let highest = scores.iter().max().copied().unwrap_or(0);
    let scale = |score: i64| if highest == 0 { 0 } else { score * MAX / highest };
    scores.into_iter().map(|score| if reverse { MAX - scale(score) } else { scale(score) }).collect()
}

/// The lowest becomes 0, the highest 100.
fn stretched(scores: &[i64]) -> Vec<i64> {
    let (lowest, highest) = (scores.iter().min().copied().unwrap_or(0), scores.iter().max().copied().unwrap_or(0));
    let span = highest - lowest;
    scores.iter().map(|score| if span == 0 { 0 } else { MAX * (score - lowest) / span }).collect()
}

/// The least crowded becomes 100.
fn uncrowded(crowding: &[Option<f64>]) -> Vec<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "counts of pods")]
    let rounded: Vec<Option<i64>> = crowding.iter().map(|crowd| crowd.map(|crowd| crowd.round() as i64)).collect();
    let known = || rounded.iter().copied().flatten();
    let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let score = |crowd: Option<i64>| match crowd {
        None => 0,
        Some(_) if most == 0 => MAX,
        Some(crowd) => MAX * (most + least - crowd) / most,
    };
    rounded.into_iter().map(score).collect()
}

/// As `ImageLocality`: images that are there already count by their size, and by how many nodes have them.
fn images(pod: &Value, total: usize, node: &Value, nodes: &[&Value]) -> i64 {
    const MEGABYTE: i64 = 1024 * 1024;
    if node.at(&["status", "images"]).is_empty() {
        return 0;
    }
    let containers = pod.at(&["spec", "containers"]).items();
    let size_on = |node: &Value, image: &str| {
        let images = node.at(&["status", "images"]).items().iter();
        let mut found = images.filter(|have| have.at(&["names"]).items().iter().any(|name| *name == *image));
        found.next().and_then(|have| have.at(&["sizeBytes"]).as_int())
    };
    let mut sum = 0;
    for container in containers {
        let named = container.at(&["image"]).str_or_empty();
        let last = named.rsplit('/').next().unwrap_or(named);
        let image = if last.contains([':', '@']) { named.to_owned() } else { format!("{named}:latest") };
        if let Some(size) = size_on(node, &image) {
            let spread = nodes.iter().filter(|node| size_on(node, &image).is_some()).count();
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "as the real one computes it"
            )]
            let scaled = (size as f64 * (spread as f64 / total as f64)) as i64;
            sum += scaled;
        }
    }
    let count = i64::try_from(containers.len()).unwrap_or(1);
    let (least, most) = (23 * MEGABYTE, 1000 * MEGABYTE * count);
    MAX * (sum.clamp(least, most) - least) / (most - least)
}
