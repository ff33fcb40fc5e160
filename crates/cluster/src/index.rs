//! What a cluster keeps at hand so that nobody has to look at everything.
//!
//! Knows: by what objects are asked for: owners, nodes, labels, selectors, claims, whom services call; and how one write changes the answers.
//! Does not know: the objects themselves, or who asks.
//!
//! Every index is kept write by write and never made anew, and cloning all of them is O(1).

use std::collections::BTreeSet;

use imbl::{OrdMap, OrdSet};

use crate::controllers::persistentvolume::claims_of;
use crate::kin::Kins;
use crate::object::ObjectKey;
use crate::traffic;
use crate::value::{Text, Value};

/// What controllers adopt if it matches their selector.
const ADOPTABLE: &[&str] = &["pods", "replicasets.apps", "controllerrevisions.apps"];

const SLICES: &str = "endpointslices.discovery.k8s.io";

/// Where each kind that selects pods keeps its selector.
const SELECTORS: &[(&str, &[&str])] = &[
    ("daemonsets.apps", &["spec", "selector"]),
    ("deployments.apps", &["spec", "selector"]),
    ("jobs.batch", &["spec", "selector"]),
    ("poddisruptionbudgets.policy", &["spec", "selector"]),
    ("replicasets.apps", &["spec", "selector"]),
    ("replicationcontrollers", &["spec", "selector"]),
    ("services", &["spec", "selector"]),
    ("statefulsets.apps", &["spec", "selector"]),
];

/// Keys under a term.
type Terms = OrdSet<(Text, ObjectKey)>;

/// The indexes of a cluster.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// How many objects there are of each resource.
    counts: OrdMap<Text, usize>,
    /// By the uid of an owner; what can be adopted stands under the empty uid.
    dependents: Terms,
    /// Pods by their node; those that are bound to none under the empty name.
    bound: Terms,
    /// Pods that are bound and whose containers have not started, all under the empty name.
    starting: Terms,
    /// Pods by the claims they use.
    claims: Terms,
    /// EndpointSlices by the service they say they belong to.
    slices: Terms,
    /// Services by those that they say they call.
    callers: Terms,
    /// Pods that nobody can tell apart.
    kins: Kins,
    /// What selects pods, by one of the labels that it demands (`app=web`); what demands none stands under the empty one.
    selecting: Terms,
}

impl Index {
    /// Takes in what became of one object.
    pub(crate) fn change(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (None, Some(_)) => *self.counts.entry(key.resource.clone()).or_default() += 1,
            (Some(_), None) => {
                let count = self.counts.entry(key.resource.clone()).or_default();
                *count = count.saturating_sub(1);
            }
            _ => {}
        }
        let owners = |object: &Value| object.at(&["metadata", "ownerReferences"]).clone();
        if before.map(owners) != after.map(owners) {
            file(&mut self.dependents, key, before, after, |object| owners_of(key, object));
        }
        match key.resource.as_str() {
            "pods" => self.pod_changed(key, before, after),
            "services" => file(&mut self.callers, key, before, after, |service| {
                traffic::called(&key.namespace, service).map(Text::from).collect()
            }),
            SLICES => {
                file(&mut self.slices, key, before, after, |slice| {
                    label(slice, "kubernetes.io/service-name").into_iter().collect()
                });
            }
            _ => {}
        }
        if let Some((_, path)) = SELECTORS.iter().find(|(resource, _)| key.is(resource)) {
            file(&mut self.selecting, key, before, after, |object| demanded(object.at(path)).into_iter().collect());
        }
    }

    fn pod_changed(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        file(&mut self.bound, key, before, after, |pod| [node(pod)].into());
        file(&mut self.starting, key, before, after, |pod| {
            let starting = pod.at(&["status", "phase"]) == "Pending" && !node(pod).is_empty();
            starting.then(Text::new).into_iter().collect()
        });
        let volumes = |pod: &Value| pod.at(&["spec", "volumes"]).clone();
        if before.map(volumes) != after.map(volumes) {
            file(&mut self.claims, key, before, after, |pod| {
                claims_of(pod).into_iter().map(|claim| claim.name).collect()
            });
        }
        self.kins.change(key, before, after);
    }

    /// The pods by what they have in common.
    pub(crate) fn kins(&self) -> &Kins {
        &self.kins
    }

    /// How many objects there are of a resource.
    pub(crate) fn count(&self, resource: &str) -> usize {
        self.counts.get(&Text::from(resource)).copied().unwrap_or(0)
    }

    /// What names the owner with this uid.
    pub(crate) fn dependents(&self, uid: &str) -> impl Iterator<Item = &ObjectKey> {
        under(&self.dependents, uid)
    }

    /// What of a resource in a namespace no controller manages.
    pub(crate) fn orphans(&self, resource: &str, namespace: &str) -> impl Iterator<Item = &ObjectKey> {
        under_in(&self.dependents, "", resource, namespace)
    }

    /// The pods bound to a node, or (the empty name) to none.
    pub(crate) fn bound(&self, node: &str) -> impl Iterator<Item = &ObjectKey> {
        under(&self.bound, node)
    }

    /// The pods of a namespace that have a node and whose containers have not started.
    pub(crate) fn starting(&self, namespace: &str) -> impl Iterator<Item = &ObjectKey> {
        under_in(&self.starting, "", "pods", namespace)
    }

    /// The pods of a namespace that use a claim.
    pub(crate) fn users(&self, namespace: &str, claim: &str) -> impl Iterator<Item = &ObjectKey> {
        under_in(&self.claims, claim, "pods", namespace)
    }

    /// The slices of a service.
    pub(crate) fn slices(&self, namespace: &str, service: &str) -> impl Iterator<Item = &ObjectKey> {
        under_in(&self.slices, service, SLICES, namespace)
    }

    /// The Services that say they call one (`namespace/name`).
    pub(crate) fn callers(&self, service: &str) -> impl Iterator<Item = &ObjectKey> {
        under(&self.callers, service)
    }

    /// What of a resource in a namespace may select a pod with these labels, in order: all that does is among it.
    pub(crate) fn selecting<'a>(&'a self, resource: &str, namespace: &str, labels: &Value) -> BTreeSet<&'a ObjectKey> {
        let demands = labels.entries().iter().map(|(key, value)| demand(key, value)).chain([Text::new()]);
        demands.flat_map(|demanded| under_in(&self.selecting, &demanded, resource, namespace)).collect()
    }
}

fn owners_of(key: &ObjectKey, object: &Value) -> Vec<Text> {
    let owners = object.at(&["metadata", "ownerReferences"]).items().iter();
    let mut owners: Vec<Text> = owners.map(|owner| owner.at(&["uid"]).as_text().cloned().unwrap_or_default()).collect();
    if ADOPTABLE.contains(&key.resource.as_str()) && object.controller().is_none() {
        owners.push(Text::new());
    }
    owners
}

fn node(pod: &Value) -> Text {
    pod.at(&["spec", "nodeName"]).as_text().cloned().unwrap_or_default()
}

fn label(object: &Value, key: &str) -> Option<Text> {
    object.labels().get(key)?.as_text().cloned()
}

/// One label that a selector demands; the empty one if it demands none, nothing if it is missing and selects nothing.
fn demanded(selector: &Value) -> Option<Text> {
    let map = selector.as_object()?;
    let structured = map.contains_key("matchLabels") || map.contains_key("matchExpressions");
    let labels = if structured { selector.at(&["matchLabels"]) } else { selector };
    Some(labels.entries().first().map_or_else(Text::new, |(key, value)| demand(key, value)))
}

fn demand(key: &Text, value: &Value) -> Text {
    arcstr::format!("{key}={}", value.str_or_empty())
}

/// The keys under a term.
fn under<'a>(index: &'a Terms, term: &str) -> impl Iterator<Item = &'a ObjectKey> + use<'a> {
    from(index, term, ObjectKey::default())
}

/// The keys under a term that are of one resource and namespace.
fn under_in<'a>(
    index: &'a Terms,
    term: &str,
    resource: &str,
    namespace: &str,
) -> impl Iterator<Item = &'a ObjectKey> + use<'a> {
    let start = ObjectKey::new(resource, namespace, "");
    let (resource, namespace) = (start.resource.clone(), start.namespace.clone());
    from(index, term, start).take_while(move |key| key.resource == resource && key.namespace == namespace)
}

fn from<'a>(index: &'a Terms, term: &str, start: ObjectKey) -> impl Iterator<Item = &'a ObjectKey> + use<'a> {
    let term = Text::from(term);
    index.range((term.clone(), start)..).take_while(move |(have, _)| *have == term).map(|(_, key)| key)
}

/// Moves a key from the terms it stood under to those it stands under now.
fn file(
    index: &mut Terms,
    key: &ObjectKey,
    before: Option<&Value>,
    after: Option<&Value>,
    terms: impl Fn(&Value) -> Vec<Text>,
) {
    let (old, new) = (before.map(&terms).unwrap_or_default(), after.map(&terms).unwrap_or_default());
    if old == new {
        return;
    }
    for term in old {
        index.remove(&(term, key.clone()));
    }
    for term in new {
        index.insert((term, key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use twin::{Random, Time};

    use crate::cluster::Cluster;
    use crate::doc;
    use crate::labels;
    use crate::object::ObjectKey;
    use crate::schema::Schema;
    use crate::value::Value;

    fn keys<'a>(found: impl Iterator<Item = (&'a ObjectKey, &'a Value)>) -> Vec<ObjectKey> {
        found.map(|(key, _)| key.clone()).collect()
    }

    /// One of a few words, or none.
    fn word(random: &mut Random) -> Option<&'static str> {
        ["a", "b", "c"].get(usize::try_from(random.below(4)).unwrap()).copied()
    }

    fn map(random: &mut Random) -> Value {
        let mut map = doc!({});
        for key in ["app", "tier"] {
            if let Some(value) = word(random) {
                map.set(&[key], value);
            }
        }
        map
    }

    fn object(resource: &str, random: &mut Random) -> Value {
        let labels = map(random);
        match resource {
            "pods" => {
                let mut pod = doc!({"metadata": {"labels": (labels)}, "spec": {}, "status": {"phase": "Pending"}});
                if let Some(node) = word(random) {
                    pod.set(&["spec", "nodeName"], node);
                }
                if let Some(claim) = word(random) {
                    pod.set(
                        &["spec", "volumes"],
                        doc!([{"name": "v", "persistentVolumeClaim": {"claimName": (claim)}}]),
                    );
                }
                pod
            }
            "services" => doc!({"spec": {"selector": (labels)}}),
            "endpointslices.discovery.k8s.io" => {
                doc!({"metadata": {"labels": {"kubernetes.io/service-name": (word(random).unwrap_or("none"))}}})
            }
            _ => doc!({"spec": {"selector": {
                "matchLabels": (labels), "matchExpressions": [{"key": "tier", "operator": "Exists"}],
            }}}),
        }
    }

    #[test]
    fn what_is_looked_up_is_what_a_look_at_everything_finds() {
        const RESOURCES: [&str; 4] =
            ["pods", "services", "poddisruptionbudgets.policy", "endpointslices.discovery.k8s.io"];
        let mut random = Random::new(7);
        let mut cluster = Cluster::new(Schema::default(), Time::from_millis(0), 0);
        for _ in 0..600 {
            let resource = RESOURCES[usize::try_from(random.below(4)).unwrap()];
            let namespace = word(&mut random).unwrap_or("d");
            let key = ObjectKey::new(resource, namespace, format!("n{}", random.below(8)));
            let object = (random.below(4) > 0).then(|| object(resource, &mut random));
            cluster.write(&key, object);

            let (wanted, labels) = (map(&mut random), map(&mut random));
            let all = |resource: &'static str| cluster.list(resource, Some(namespace));
            assert_eq!(cluster.count(resource), cluster.list(resource, None).count());
            assert_eq!(
                keys(cluster.selected(namespace, &wanted)),
                keys(all("pods").filter(|(_, pod)| labels::matches(&wanted, pod.labels())))
            );
            for selecting in ["services", "poddisruptionbudgets.policy"] {
                let selects = |object: &Value| {
                    let selector = object.at(&["spec", "selector"]);
                    labels::matches(selector, &labels) && !(selecting == "services" && selector.is_empty())
                };
                assert_eq!(
                    keys(cluster.selecting(selecting, namespace, &labels)),
                    keys(all(selecting).filter(|(_, object)| selects(object)))
                );
            }
            let on = |pod: &Value, node: &str| *pod.at(&["spec", "nodeName"]) == *node;
            assert_eq!(keys(cluster.pods_on("a")), keys(cluster.list("pods", None).filter(|(_, pod)| on(pod, "a"))));
            let uses = |pod: &Value| {
                pod.at(&["spec", "volumes"])
                    .items()
                    .iter()
                    .any(|volume| *volume.at(&["persistentVolumeClaim", "claimName"]) == *"b")
            };
            assert_eq!(keys(cluster.users(namespace, "b")), keys(all("pods").filter(|(_, pod)| uses(pod))));
            let starts = |pod: &Value| !pod.at(&["spec", "nodeName"]).is_empty();
            assert_eq!(keys(cluster.starting(namespace)), keys(all("pods").filter(|(_, pod)| starts(pod))));
            let of = |slice: &Value| slice.label("kubernetes.io/service-name") == Some("c");
            assert_eq!(
                keys(cluster.slices(namespace, "c")),
                keys(all("endpointslices.discovery.k8s.io").filter(|(_, slice)| of(slice)))
            );
        }
    }
}
