//! The DaemonSet controller: one pod on every node that suits it.
//!
//! Knows: `pkg/controller/daemon`.
//! Does not know: how a pod pinned to a node gets there; the scheduler binds it.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::children::{self, Kind, count, set_count};
use super::client::{Client, Severity};
use super::{Controller, Next, history};
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::kin::Station;
use crate::labels;
use crate::memo::Memo;
use crate::object::ObjectKey;
use crate::scheduler::affinity;
use crate::value::{Text, Value};

const KIND: Kind = Kind { api_version: "apps/v1", kind: "DaemonSet", resource: "daemonsets.apps" };
const CLIENT: Client = Client::controller("daemonset-controller");
/// How long to wait after the API server refused a pod, or a pod failed.
const BACK_OFF: Duration = Duration::from_secs(5);
/// As many as are made or removed at one look.
const BURST: usize = 250;
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// Of so many sets it is kept what they want of the nodes.
const SETS_KEPT: usize = 64;
/// What every daemon bears: taint and effect.
const BORNE: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The controller.
pub(super) struct DaemonSets;

/// Every node, and what a set wants of it: see [`Look::wants`].
type Nodes = Arc<Vec<(Text, (bool, bool))>>;

/// A DaemonSet at one look. What it sees of a large cluster it sees once.
struct Look {
    set: Value,
    /// The hash of the template.
    hash: Text,
    /// None of the nodes changes while it looks.
    nodes: OnceCell<Nodes>,
}

/// A node and the set's pods there.
struct Post<'a> {
    node: &'a Text,
    wants: (bool, bool),
    here: Vec<(&'a ObjectKey, &'a Station)>,
}

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        children::notice(cluster, change, KIND, "pods", look);
        if !change.key.is("nodes") || !matters(change) {
            return;
        }
        let sets: Vec<ObjectKey> = cluster
            .list(KIND.resource, None)
            .filter(|(_, set)| change.after.as_ref().is_none_or(|node| concerns(cluster, set, node)))
            .map(|(key, _)| key.clone())
            .collect();
        sets.into_iter().for_each(look);
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(set) = cluster.get(key).cloned() else { return Next::Done };
        if !children::knows_its_own(&set) {
            return Next::Done;
        }
        if set.is_terminating() || set.at(&["spec", "selector"]).is_empty() {
            return Next::Done;
        }
        let revision = match history::current(cluster, CLIENT, KIND, &set, &history::BY_TEMPLATE) {
            Ok((revision, _)) => revision,
            Err(status) if children::is_hopeless(&status) => return Next::Done,
            Err(_) => return Next::After(BACK_OFF),
        };
        let hash = Text::from(revision.label(history::REVISION_LABEL).unwrap_or_default());
        let look = Look::at(set, hash);
        children::settle_pods(cluster, CLIENT, KIND, &look.set, &|_| true);
        let kept = look.keep(cluster);
        let rolled = match &kept {
            Ok(_) if look.set.at(&["spec", "updateStrategy", "type"]) != "OnDelete" => look.roll(cluster),
            _ => Ok(()),
        };
        let wait = look.report(cluster, key);
        look.forget(cluster);
        match (kept, rolled) {
            (Ok(failed), Ok(())) => match (failed, wait) {
                (true, _) => Next::After(BACK_OFF),
                (false, Some(wait)) => Next::After(wait),
                _ => Next::Done,
            },
            (Err(status), _) | (_, Err(status)) if children::is_hopeless(&status) => Next::Done,
            _ => Next::After(BACK_OFF),
        }
    }
}

/// Whether a change of a node can matter to where daemons run: its labels and taints do, a heartbeat does not.
fn matters(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    before.labels() != after.labels()
        || before.at(&["spec", "taints"]) != after.at(&["spec", "taints"])
        || before.at(&["spec", "unschedulable"]) != after.at(&["spec", "unschedulable"])
}

/// Whether a set has to make or take away a pod on a node. A set whose pod may stay, though none would be made there now, is
/// not looked at: its status goes on counting that node until something else happens to it.
fn concerns(cluster: &Cluster, set: &Value, node: &Value) -> bool {
    let look = Look::at(set.clone(), Text::new());
    let (wants, keeps) = look.wants(&look.example(), node);
    let its = |pod: &Value| pod.controller().is_some_and(|owner| owner.uid() == set.uid());
    let here = |(_, pod): (&ObjectKey, &Value)| its(pod) && node_of(pod) == node.name();
    let runs = cluster.pods_on(node.name()).chain(cluster.unplaced()).any(here);
    if runs { !keeps } else { wants }
}

/// The node that a pod is on, or is pinned to.
fn node_of(pod: &Value) -> Text {
    let bound = pod.at(&["spec", "nodeName"]).str_or_empty();
    if !bound.is_empty() {
        return Text::from(bound);
    }
    affinity::pinned(pod).and_then(|names| names.first().map(|name| Text::from(*name))).unwrap_or_default()
}

fn with_daemon_tolerations(pod: &mut Value) {
    let mut borne = BORNE.to_vec();
    if pod.at(&["spec", "hostNetwork"]).is_true() {
        borne.push(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    }
    let tolerations = pod.make(&["spec", "tolerations"]).array();
    for (key, effect) in borne {
        let new = doc!({"key": (key), "operator": "Exists", "effect": (effect)});
        // One that differs in nothing but how long it holds gives way to this one, which holds for ever.
        let fields = ["key", "operator", "effect", "value"];
        let same = |have: &Value| fields.iter().all(|field| have.at(&[field]) == new.at(&[field]));
        match tolerations.iter_mut().find(|have| same(have)) {
            Some(have) => *have = new,
            None => tolerations.push(new),
        }
    }
}

impl Look {
    fn at(set: Value, hash: Text) -> Self {
        Self { set, hash, nodes: OnceCell::new() }
    }

    fn min_ready(&self) -> i64 {
        self.set.at(&["spec", "minReadySeconds"]).as_int().unwrap_or(0)
    }

    fn is_available(&self, cluster: &Cluster, station: &Station) -> bool {
        let min_ready = self.min_ready();
        station.ready && (min_ready <= 0 || children::is_available(&station.pod, min_ready, cluster.now()).is_ok())
    }

    fn generation(&self) -> String {
        self.set.annotation(GENERATION).map_or_else(|| self.set.generation().to_string(), str::to_owned)
    }

    fn is_updated(&self, station: &Station) -> bool {
        station.revision.as_ref() == Some(&self.hash)
    }

    /// Every node with the pods that are there, and the pods that are nowhere: their node is gone.
    fn posts<'a>(&'a self, cluster: &'a Cluster) -> (Vec<Post<'a>>, Vec<(&'a ObjectKey, &'a Station)>) {
        let selector = self.set.at(&["spec", "selector"]);
        let odd = cluster.kins_owned(self.set.uid()).any(|(labels, _)| !labels::matches(selector, labels));
        let its = move |station: &Station| !odd || labels::matches(selector, station.pod.labels());
        let stations = cluster.stations(self.set.uid()).filter(|(_, _, station)| its(station));
        let mut stations = stations.peekable();
        let mut gone = Vec::new();
        let mut posts = Vec::with_capacity(self.nodes(cluster).len());
        // Both are in the order of the nodes' names.
        for (node, wants) in self.nodes(cluster) {
            while let Some((_, key, station)) = stations.next_if(|(name, ..)| *name < node) {
                gone.push((key, station));
            }
            let mut here = Vec::new();
            while let Some((_, key, station)) = stations.next_if(|(name, ..)| *name == node) {
                here.push((key, station));
            }
            posts.push(Post { node, wants: *wants, here });
        }
        gone.extend(stations.map(|(_, key, station)| (key, station)));
        (posts, gone)
    }

    /// All nodes, each with what the set wants of it. Nodes change seldom in what matters, and sets look often.
    fn nodes(&self, cluster: &Cluster) -> &[(Text, (bool, bool))] {
        thread_local! {
            static WANTED: Memo<Nodes> = const { Memo::of(SETS_KEPT) };
        }
        self.nodes.get_or_init(|| {
            let (faces, template) = ((cluster.scheduling.faces(), 0, 0), self.set.at(&["spec", "template"]));
            WANTED.with(|memo| memo.recall(faces, template)).unwrap_or_else(|| {
                let example = self.example();
                let nodes = cluster.list("nodes", None);
                let nodes: Nodes =
                    Arc::new(nodes.map(|(key, node)| (key.name.clone(), self.wants(&example, node))).collect());
                WANTED.with(|memo| memo.keep(faces, template, nodes.clone()));
                nodes
            })
        })
    }

    /// How many nodes are to have a pod.
    fn wanted(&self, cluster: &Cluster) -> i64 {
        count(self.nodes(cluster).iter().filter(|(_, (wants, _))| *wants))
    }

    /// `NodeShouldRunDaemonPod`: whether a pod is to run on a node, and whether one that is there may stay.
    fn wants(&self, example: &Value, node: &Value) -> (bool, bool) {
        let named = self.set.at(&["spec", "template", "spec", "nodeName"]);
        if (!named.is_empty() && *named != *node.name()) || !affinity::wants_node(example, node) {
            return (false, false);
        }
        if affinity::untolerated(example, node, &["NoExecute", "NoSchedule"]).is_some() {
            return (false, affinity::untolerated(example, node, &["NoExecute"]).is_none());
        }
        (true, true)
    }

    /// A pod as it would be on any node.
    fn example(&self) -> Value {
        let mut pod = children::pod(KIND, &self.set, self.set.at(&["spec", "template"]), None);
        with_daemon_tolerations(&mut pod);
        pod.set(&["metadata", "labels", "pod-template-generation"], self.generation());
        pod.set(&["metadata", "labels", history::REVISION_LABEL], self.hash.clone());
        pod
    }

    /// Makes the pods that are missing and deletes those that are too many. Says whether one had failed.
    fn keep(&self, cluster: &mut Cluster) -> Result<bool, Status> {
        let (surge, _) = self.limits(cluster);
        let (mut make, mut remove, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let (posts, gone) = self.posts(cluster);
        let staying = |(_, station): &&(&ObjectKey, &Station)| !station.pod.is_terminating();
        let key = |(key, _): &(&ObjectKey, &Station)| (*key).clone();
        for Post { node, wants, here } in posts {
            match wants {
                (true, _) if here.is_empty() => make.push(node.clone()),
                // Nearly every node is like this.
                (true, _) if matches!(here.as_slice(), [(_, only)] if only.active) => {}
                (true, _) => {
                    let over = here.iter().filter(staying).filter(|(_, station)| children::is_over(&station.pod));
                    failed.extend(over.map(|(key, station)| ((*key).clone(), station.pod.clone())));
                    let standing: Vec<_> = here.into_iter().filter(|(_, station)| station.active).collect();
                    if surge == 0 {
                        remove.extend(surplus(&standing));
                    } else {
                        let (new, old): (Vec<_>, Vec<_>) =
                            standing.into_iter().partition(|(_, station)| self.is_updated(station));
                        remove.extend(surplus(&new));
                        remove.extend(surplus(&old));
                    }
                }
                (false, false) => remove.extend(here.iter().filter(staying).map(key)),
                (false, true) => {}
            }
        }
        remove.extend(gone.iter().filter(staying).map(key));
        let example = self.example();
        for (key, pod) in &failed {
            let (node, how) = (node_of(pod), pod.at(&["status", "phase"]) == "Failed");
            let (reason, how, severity) = if how {
                ("FailedDaemonPod", "failed", Severity::Warning)
            } else {
                ("SucceededDaemonPod", "succeeded", Severity::Normal)
            };
            let verb = if how == "failed" { "kill" } else { "delete" };
            let message =
                format!("Found {how} daemon pod {}/{} on node {node}, will try to {verb} it", key.namespace, key.name);
            CLIENT.event(cluster, &self.set, severity, reason, &message);
            remove.push(key.clone());
        }
        self.make(cluster, &example, &make)?;
        self.remove(cluster, &remove)?;
        Ok(!failed.is_empty())
    }

    fn make(&self, cluster: &mut Cluster, example: &Value, nodes: &[Text]) -> Result<(), Status> {
        for node in nodes.iter().take(BURST) {
            let mut pod = example.clone();
            pin(&mut pod, node);
            match CLIENT.create(cluster, "pods", pod) {
                Ok(made) => {
                    let message = format!("Created pod: {}", made.name());
                    CLIENT.event(cluster, &self.set, Severity::Normal, "SuccessfulCreate", &message);
                }
                Err(status) => {
                    let message = format!("Error creating: {status}");
                    CLIENT.event(cluster, &self.set, Severity::Warning, "FailedCreate", &message);
                    return Err(status);
                }
            }
        }
        Ok(())
    }

    fn remove(&self, cluster: &mut Cluster, keys: &[ObjectKey]) -> Result<(), Status> {
        for key in keys.iter().take(BURST) {
            match CLIENT.delete(cluster, key, &Deletion::default()) {
                Ok(_) => {
                    let message = format!("Deleted pod: {}", key.name);
                    CLIENT.event(cluster, &self.set, Severity::Normal, "SuccessfulDelete", &message);
                }
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// `maxSurge` and `maxUnavailable` as numbers of the nodes that want a pod.
    fn limits(&self, cluster: &Cluster) -> (usize, usize) {
        let rolling = self.set.at(&["spec", "updateStrategy", "rollingUpdate"]);
        if self.set.at(&["spec", "updateStrategy", "type"]) == "OnDelete" {
            return (0, 0);
        }
        let wanted = self.wanted(cluster);
        let number = |field: &str| usize::try_from(children::scaled(rolling.at(&[field]), wanted, true)).unwrap_or(0);
        let (surge, unavailable) = (number("maxSurge"), number("maxUnavailable"));
        (surge, if surge == 0 { unavailable.max(1) } else { unavailable })
    }

    /// Replaces pods of old templates, node by node.
    fn roll(&self, cluster: &mut Cluster) -> Result<(), Status> {
        let example = self.example();
        let (surge, unavailable) = self.limits(cluster);
        let available = |station: &Station| self.is_available(cluster, station);
        let (mut missing, mut surging) = (0, 0);
        // Unready pods of old templates go at once; ready ones as far as the limits allow.
        let (mut at_once, mut candidates, mut make_at_once, mut make) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Post { node, here, .. } in self.posts(cluster).0.into_iter().filter(|post| post.wants.0) {
            let of =
                |updated: bool| here.iter().find(|(_, station)| station.active && self.is_updated(station) == updated);
            match (of(true), of(false)) {
                (None, Some((key, old))) if surge == 0 => {
                    if available(old) {
                        candidates.push((*key).clone());
                    } else {
                        missing += 1;
                        at_once.push((*key).clone());
                    }
                }
                (None, Some((_, old))) => {
                    if available(old) {
                        make.push(node.clone());
                    } else {
                        make_at_once.push(node.clone());
                    }
                }
                (Some((_, new)), Some((key, old))) => {
                    if available(new) || !available(old) {
                        at_once.push((*key).clone());
                    } else {
                        surging += 1;
                    }
                }
                (Some((_, new)), None) if available(new) => {}
                _ => missing += 1,
            }
        }
        if surge == 0 {
            let budget = unavailable.saturating_sub(missing);
            at_once.extend(candidates.into_iter().take(budget));
            return self.remove(cluster, &at_once);
        }
        make_at_once.extend(make.into_iter().take(surge.saturating_sub(surging)));
        self.remove(cluster, &at_once)?;
        self.make(cluster, &example, &make_at_once)
    }

    /// Writes the status. Gives how long until a pod will have been ready for long enough.
    fn report(&self, cluster: &mut Cluster, key: &ObjectKey) -> Option<Duration> {
        let (posts, gone) = self.posts(cluster);
        let (mut desired, mut current, mut strays, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0, 0);
        for Post { wants: (wants, _), here, .. } in &posts {
            if !wants {
                strays += i64::from(!here.is_empty());
                continue;
            }
            desired += 1;
            current += i64::from(!here.is_empty());
            // Of several, the oldest that is ready speaks for the node.
            let speaks = match here.as_slice() {
                [only] => Some(only),
                several => several.iter().min_by_key(|(key, station)| (!station.ready, station.pod.created(), *key)),
            };
            if let Some((_, station)) = speaks {
                ready += i64::from(station.ready);
                available += i64::from(self.is_available(cluster, station));
                updated += i64::from(self.is_updated(station));
            }
        }
        let (now, min_ready) = (cluster.now(), self.min_ready());
        let all = posts.iter().flat_map(|post| &post.here).chain(&gone).filter(|_| min_ready > 0);
        let wait =
            all.filter_map(|(_, station)| children::is_available(&station.pod, min_ready, now).err().flatten()).min();
        let generation = self.set.generation();
        let _ = CLIENT.update_status(cluster, key, |set| {
            set.set(&["status", "observedGeneration"], generation);
            set.set(&["status", "desiredNumberScheduled"], desired);
            set.set(&["status", "currentNumberScheduled"], current);
            set.set(&["status", "numberMisscheduled"], strays);
            set.set(&["status", "numberReady"], ready);
            set_count(set, &["status", "updatedNumberScheduled"], updated);
            set_count(set, &["status", "numberAvailable"], available);
            set_count(set, &["status", "numberUnavailable"], desired - available);
        });
        wait
    }

    fn forget(&self, cluster: &mut Cluster) {
        let kins = children::own_pods(cluster, &self.set).into_iter();
        let pods: Vec<Value> = kins.map(|(labels, _)| labels.at(&[history::REVISION_LABEL]).clone()).collect();
        history::clean_up(cluster, CLIENT, KIND, &self.set, &|revision| {
            let hash = revision.label(history::REVISION_LABEL);
            hash == Some(self.hash.as_str()) || pods.iter().any(|have| have.as_str() == hash)
        });
    }
}

/// All but the oldest, which stays.
fn surplus(pods: &[(&ObjectKey, &Station)]) -> Vec<ObjectKey> {
    let mut sorted = pods.to_vec();
    sorted.sort_by_key(|(key, station)| {
        (station.pod.at(&["spec", "nodeName"]).is_empty(), !station.ready, station.pod.created(), *key)
    });
    sorted.into_iter().skip(1).map(|(key, _)| key.clone()).collect()
}

/// Binds a pod to a node by its name, in place of all that the template requires of nodes: the controller has seen to it.
fn pin(pod: &mut Value, node: &Text) {
    let term = doc!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [(node.clone())]}]});
    let path = &["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    pod.set(path, doc!({"nodeSelectorTerms": [(term)]}));
}
