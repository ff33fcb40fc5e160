//! Affinity and anti-affinity between pods.
//!
//! Knows: in which domains pods stand that a pod wants near or far, and that want it near or far.
//! Does not know: what else a node wants.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plugin, Refusal, spread, state};
use crate::cluster::Cluster;
use crate::labels;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// A domain: a node label and its value.
type Domain = (Text, Text);

/// What is required between one pod and all others, with what stands where now.
#[derive(Debug, Default)]
pub(super) struct Interpod {
    /// The topology keys of the pods that it must stand near, one for each term.
    near: Vec<Text>,
    /// Where they stand.
    near_domains: BTreeSet<Domain>,
    /// Whether it is the first of pods that want to stand near each other.
    is_first: bool,
    /// Where pods stand that it must stay away from.
    far_domains: BTreeSet<Domain>,
    /// Where pods stand that want it away.
    unwelcome_domains: BTreeSet<Domain>,
    /// Whether anything of this depends on other pods.
    is_particular: bool,
}

impl Interpod {
    /// Looks at all pods that matter, as if some were gone.
    pub(super) fn prepare(cluster: &Cluster, pod: &Value, gone: &BTreeSet<&ObjectKey>) -> Self {
        let near = terms(pod, "podAffinity", REQUIRED);
        let far = terms(pod, "podAntiAffinity", REQUIRED);
        let mut interpod = Self { is_particular: !near.is_empty() || !far.is_empty(), ..Self::default() };
        if let Some(first) = near.first() {
            interpod.near = near.iter().map(|term| term.key.clone()).collect();
            interpod.is_first = near.iter().all(|term| term.selects(cluster, pod));
            // Only a pod that satisfies all terms counts, as the real plugin has it.
            for (_, node) in first.matching(cluster, gone, |other| near.iter().all(|term| term.selects(cluster, other)))
            {
                for term in &near {
                    interpod.near_domains.extend(domain(&term.key, node));
                }
            }
        }
        for term in &far {
            for (_, node) in term.matching(cluster, gone, |other| term.selects(cluster, other)) {
                interpod.far_domains.extend(domain(&term.key, node));
            }
        }
        for (key, other, node) in particular(cluster) {
            if gone.contains(key) {
                continue;
            }
            for term in terms(other, "podAntiAffinity", REQUIRED) {
                interpod.is_particular = true;
                if term.selects(cluster, pod) {
                    interpod.unwelcome_domains.extend(domain(&term.key, node));
                }
            }
        }
        interpod
    }

    /// Whether it asks for no neighbours, and no neighbour wants it away.
    pub(super) fn concerns_nobody(&self) -> bool {
        self.near.is_empty() && self.far_domains.is_empty() && self.unwelcome_domains.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_particular
    }

    pub(super) fn refusal(&self, node: &Value) -> Option<Refusal> {
        let stands_in =
            |domains: &BTreeSet<Domain>| domains.iter().any(|(key, value)| node.label(key) == Some(value.as_str()));
        let near = self.near.iter().all(|key| {
            node.label(key).is_some_and(|value| {
                self.near_domains.contains(&(key.clone(), Text::from(value)))
                    || (self.is_first && self.near_domains.is_empty())
            })
        });
        if !near {
            return Some(Refusal::new(Plugin::Interpod, "node(s) didn't match pod affinity rules", true));
        }
        if stands_in(&self.far_domains) {
            return Some(Refusal::new(Plugin::Interpod, "node(s) didn't match pod anti-affinity rules", false));
        }
        let why = "node(s) didn't satisfy existing pods anti-affinity rules";
        stands_in(&self.unwelcome_domains).then(|| Refusal::new(Plugin::Interpod, why, false))
    }
}

/// How much the pods that stand near a node want the pod there, and it them.
pub(super) fn attraction(cluster: &Cluster, pod: &Value, nodes: &[&Value]) -> Option<Vec<i64>> {
    let mut pull: BTreeMap<Domain, i64> = BTreeMap::new();
    let mut add = |term: &Term<'_>, node: &Value, weight: i64| {
        if let Some(domain) = domain(&term.key, node) {
            *pull.entry(domain).or_insert(0) += weight;
        }
    };
    for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        for term in terms(pod, kind, PREFERRED) {
            for (_, node) in term.matching(cluster, &BTreeSet::new(), |other| term.selects(cluster, other)) {
                add(&term, node, sign * term.weight);
            }
        }
    }
    for (_, other, node) in particular(cluster) {
        for (kind, strength, sign) in
            [("podAffinity", PREFERRED, 1), ("podAntiAffinity", PREFERRED, -1), ("podAffinity", REQUIRED, 1)]
        {
            for term in terms(other, kind, strength) {
                if term.selects(cluster, pod) {
                    add(&term, node, sign * term.weight);
                }
            }
        }
    }
    if pull.is_empty() {
        return None;
    }
    let at = |node: &&Value| {
        pull.iter().filter(|((key, value), _)| node.label(key) == Some(value.as_str())).map(|(_, pull)| pull).sum()
    };
    Some(nodes.iter().map(at).collect())
}

/// Placed pods that say something of others, with their nodes.
fn particular(cluster: &Cluster) -> impl Iterator<Item = (&ObjectKey, &Value, &Value)> {
    cluster.scheduling.particular().filter_map(|key| {
        let pod = cluster.get(key)?;
        let node = cluster.scheduling.node(pod.at(&["spec", "nodeName"]).str_or_empty())?;
        Some((key, pod, &node.object))
    })
}

fn domain(key: &Text, node: &Value) -> Option<Domain> {
    Some((key.clone(), Text::from(node.label(key)?)))
}

/// One term of an affinity.
struct Term<'a> {
    key: Text,
    weight: i64,
    selector: Value,
    term: &'a Value,
    /// The namespace of the pod that says it.
    home: &'a str,
}

fn terms<'a>(pod: &'a Value, kind: &str, strength: &str) -> Vec<Term<'a>> {
    let terms = pod.at(&["spec", "affinity", kind, strength]).items().iter();
    terms
        .map(|stated| {
            let (term, weight) = match stated.get("podAffinityTerm") {
                Some(term) => (term, stated.at(&["weight"]).as_int().unwrap_or(1)),
                None => (stated, 1),
            };
            Term {
                key: term.at(&["topologyKey"]).as_text().cloned().unwrap_or_default(),
                weight,
                selector: spread::narrowed(pod, term.at(&["labelSelector"]), term.at(&["matchLabelKeys"])),
                term,
                home: pod.namespace(),
            }
        })
        .collect()
}

impl Term<'_> {
    /// Whether it speaks of a pod.
    fn selects(&self, cluster: &Cluster, pod: &Value) -> bool {
        self.covers(cluster, pod.namespace()) && labels::matches(&self.selector, pod.labels())
    }

    fn covers(&self, cluster: &Cluster, namespace: &str) -> bool {
        let (named, selector) = (self.term.at(&["namespaces"]).items(), self.term.at(&["namespaceSelector"]));
        if named.is_empty() && selector.is_null() {
            return namespace == self.home;
        }
        let labels = || cluster.get(&ObjectKey::new("namespaces", "", namespace)).map(Value::labels);
        named.iter().any(|name| *name == *namespace)
            || (!selector.is_null() && labels().is_some_and(|labels| labels::matches(selector, labels)))
    }

    /// The namespaces that it covers.
    fn namespaces(&self, cluster: &Cluster) -> BTreeSet<Text> {
        let (named, selector) = (self.term.at(&["namespaces"]).items(), self.term.at(&["namespaceSelector"]));
        if named.is_empty() && selector.is_null() {
            return [Text::from(self.home)].into();
        }
        let named = named.iter().filter_map(Value::as_text).cloned();
        if selector.is_null() {
            return named.collect();
        }
        let all = cluster.list("namespaces", None);
        let selected = all.filter(|(_, namespace)| labels::matches(selector, namespace.labels()));
        named.chain(selected.map(|(key, _)| key.name.clone())).collect()
    }

    /// The placed pods it speaks of, with their nodes.
    fn matching<'c>(
        &self,
        cluster: &'c Cluster,
        gone: &BTreeSet<&ObjectKey>,
        selects: impl Fn(&Value) -> bool,
    ) -> Vec<(&'c ObjectKey, &'c Value)> {
        let namespaces = self.namespaces(cluster);
        let pods = namespaces.iter().flat_map(|namespace| cluster.selected(namespace, &self.selector));
        pods.filter(|(key, pod)| !gone.contains(key) && state::takes_room(pod) && selects(pod))
            .filter_map(|(key, pod)| {
                let node = cluster.scheduling.node(pod.at(&["spec", "nodeName"]).str_or_empty())?;
                Some((key, &node.object))
            })
            .collect()
    }
}
