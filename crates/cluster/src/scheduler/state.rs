//! What the scheduler keeps at hand: nodes summed up, and the pods that wait.
//!
//! Knows: how the write of a node, a pod or a volume changes both. Nothing is ever summed up anew.
//! Does not know: which node is good for which pod.
//!
//! It follows from the objects alone, but for the pauses after failures. Cloning is O(1).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use twin::Time;

use super::fit::{self, Resources};
use super::request::{self, is_live};
use super::{Plugin, Plugins};
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::value::{Text, Value};

/// The pause after the first failure of a pod; it doubles with each until [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A node, summed up.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// The node itself; `null` if only pods speak of it.
    pub(super) object: Value,
    pub(super) allocatable: Resources,
    pub(super) pods_max: i64,
    pub(super) pods: i64,
    pub(super) requested: Resources,
    /// Cpu and memory as scores see them: see [`fit::weighed_requests`].
    pub(super) weighed: (i64, i64),
    /// Ports of the host that are taken: protocol, address, port.
    pub(super) ports: Vec<Port>,
}

/// A port of the host.
pub(super) type Port = (Text, Text, i64);

/// Pods that wait, and what they wait for.
#[derive(Clone, Debug)]
struct Waiting {
    /// Whose refusal it was; only a change that could move one of them is worth another attempt.
    plugins: Plugins,
    /// How often it failed.
    attempts: u32,
    /// Until when it is not tried again.
    until: Time,
    /// What it asks for, to see cheaply whether a node has it now.
    request: Arc<Resources>,
}

/// A pod's turn: the more important first, then the one that came first.
type Turn = (Reverse<i64>, u64, ObjectKey);

/// Nodes and pods as the scheduler sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    nodes: OrdMap<Text, Arc<Node>>,
    /// The names of all nodes in the order in which they are tried, made when first asked for and shared by all forks since.
    order: Arc<OnceLock<Vec<Text>>>,
    /// Where in that order the next pod begins.
    turn: usize,
    /// How many of them have an object.
    count: usize,
    /// Tells the nodes, in what makes them suit one pod and not another, from what they were before or are in other clusters.
    faces: u64,
    /// Placed pods with affinity or anti-affinity to other pods, by key.
    particular: OrdSet<ObjectKey>,
    /// (node, pod that waits for its victims there to go)
    nominated: OrdSet<(Text, ObjectKey)>,
    turns: OrdMap<ObjectKey, Turn>,
    ready: OrdSet<Turn>,
    pausing: OrdSet<(Time, ObjectKey)>,
    waiting: OrdMap<ObjectKey, Arc<Waiting>>,
    arrivals: u64,
}

impl State {
    /// A node, summed up.
    pub(in crate::scheduler) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(&Text::from(name)).map(Arc::as_ref)
    }

    /// A node as it is kept.
    pub(crate) fn object(&self, name: &Text) -> Option<&Value> {
        self.nodes.get(name).map(|node| &node.object)
    }

    /// All nodes that have an object.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(|node| !node.object.is_null())
    }

    /// The nodes in the order in which a pod tries them: zone by zone in turn, from where the last pod stopped
    /// (`nodeTree`, `nextStartNodeIndex`).
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Arc<Node>> {
        let order = self.order.get_or_init(|| self.by_zones());
        let (done, rest) = order.split_at(if order.is_empty() { 0 } else { self.turn % order.len() });
        rest.iter().chain(done).filter_map(|name| self.nodes.get(name)).filter(|node| !node.object.is_null())
    }

    /// The next pod begins so many nodes further.
    pub(super) fn pass_on(&mut self, tried: usize) {
        self.turn = (self.turn + tried) % self.count.max(1);
    }

    fn by_zones(&self) -> Vec<Text> {
        let mut zones: BTreeMap<_, Vec<Text>> = BTreeMap::new();
        for (name, node) in self.nodes.iter().filter(|(_, node)| !node.object.is_null()) {
            zones.entry(zone(&node.object)).or_default().push(name.clone());
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or(0);
        (0..longest).flat_map(|at| zones.values().filter_map(move |names| names.get(at).cloned())).collect()
    }

    /// A number that changes whenever a node comes, goes, or changes its labels or taints, and is never given again.
    pub(crate) fn faces(&self) -> u64 {
        self.faces
    }

    /// How many nodes there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Placed pods that care for other pods.
    pub(super) fn particular(&self) -> impl Iterator<Item = &ObjectKey> {
        self.particular.iter()
    }

    /// Pods that were promised a place on a node.
    pub(super) fn nominated<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a ObjectKey> {
        let node = Text::from(node);
        self.nominated
            .range((node.clone(), ObjectKey::default())..)
            .take_while(move |(have, _)| *have == node)
            .map(|(_, key)| key)
    }

    /// Whether any pod was promised a place.
    pub(super) fn has_nominated(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// Whether a pod's turn has come, or will.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.pausing.is_empty()
    }

    /// When the next pause ends.
    pub(super) fn next(&self) -> Option<Time> {
        self.pausing.get_min().map(|(until, _)| *until)
    }

    /// Takes the pod whose turn it is.
    pub(super) fn take(&mut self, now: Time) -> Option<ObjectKey> {
        while let Some((until, key)) = self.pausing.get_min().cloned() {
            if until > now {
                break;
            }
            self.pausing.remove(&(until, key.clone()));
            if let Some(turn) = self.turns.get(&key) {
                self.ready.insert(turn.clone());
            }
        }
        let turn = self.ready.get_min().cloned()?;
        self.ready.remove(&turn);
        Some(turn.2)
    }

    /// Puts a pod aside that no node takes.
    pub(super) fn put_aside(&mut self, key: &ObjectKey, plugins: Plugins, request: Resources, now: Time) {
        let attempts = self.waiting.get(key).map_or(0, |waiting| waiting.attempts) + 1;
        let pause = PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(4)).min(PAUSE_MAX);
        let waiting = Waiting { plugins, attempts, until: now + pause, request: Arc::new(request) };
        self.waiting.insert(key.clone(), Arc::new(waiting));
    }

    /// Takes in a write of a pod.
    pub(crate) fn pod_changed(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        let (was, is) = (before.filter(|pod| takes_room(pod)), after.filter(|pod| takes_room(pod)));
        match (was, is) {
            (Some(was), Some(is))
                if was.at(&["spec"]).same(is.at(&["spec"])) || was.at(&["spec"]) == is.at(&["spec"]) =>
            {
                if was.labels() != is.labels() {
                    self.wake(|waiting| waiting.plugins.has(Plugin::Interpod) || waiting.plugins.has(Plugin::Spread));
                }
            }
            (None, None) => {}
            (was, is) => {
                if let Some(was) = was {
                    self.leave(key, was);
                }
                if let Some(is) = is {
                    self.come(key, is);
                }
            }
        }
        self.queue(key, before, after);
    }

    fn come(&mut self, key: &ObjectKey, pod: &Value) {
        let node = self.edit(pod);
        node.pods += 1;
        node.requested.add(&fit::requests(pod));
        let (cpu, memory) = fit::weighed_requests(pod);
        node.weighed = (node.weighed.0 + cpu, node.weighed.1 + memory);
        node.ports.extend(ports(pod));
        if is_particular(pod) {
            self.particular.insert(key.clone());
        }
        self.wake(|waiting| waiting.plugins.has(Plugin::Interpod) || waiting.plugins.has(Plugin::Spread));
    }

    fn leave(&mut self, key: &ObjectKey, pod: &Value) {
        let node = self.edit(pod);
        node.pods -= 1;
        node.requested.subtract(&fit::requests(pod));
        let (cpu, memory) = fit::weighed_requests(pod);
        node.weighed = (node.weighed.0 - cpu, node.weighed.1 - memory);
        for port in ports(pod) {
            if let Some(at) = node.ports.iter().position(|have| *have == port) {
                node.ports.swap_remove(at);
            }
        }
        let node = node.clone();
        if node.object.is_null() && node.pods == 0 {
            self.nodes.remove(&Text::from(pod.at(&["spec", "nodeName"]).str_or_empty()));
        }
        self.particular.remove(key);
        let others = [Plugin::Interpod, Plugin::Spread, Plugin::Ports, Plugin::Volumes];
        self.wake(|waiting| {
            others.iter().any(|plugin| waiting.plugins.has(*plugin))
                || (waiting.plugins.has(Plugin::Fit) && has_room(&node, &waiting.request))
        });
    }

    fn edit(&mut self, pod: &Value) -> &mut Node {
        let name = pod.at(&["spec", "nodeName"]).as_text().cloned().unwrap_or_default();
        Arc::make_mut(self.nodes.entry(name).or_default())
    }

    /// Takes in a write of a node.
    pub(crate) fn node_changed(&mut self, name: &Text, before: Option<&Value>, after: Option<&Value>) {
        self.count = self.count + usize::from(after.is_some()) - usize::from(before.is_some()).min(self.count);
        if before.map(zone) != after.map(zone) {
            self.order = Arc::default();
        }
        let matters = |node: &Value| {
            let spec = node.at(&["spec"]);
            (node.labels().clone(), spec.at(&["taints"]).clone(), spec.at(&["unschedulable"]).is_true())
        };
        let moved = before.map(matters) != after.map(matters);
        if moved {
            static FACES: AtomicU64 = AtomicU64::new(1);
            self.faces = FACES.fetch_add(1, Ordering::Relaxed);
        }
        let Some(after) = after else {
            let empty = self.nodes.get(name).is_none_or(|node| node.pods == 0);
            if empty {
                self.nodes.remove(name);
            } else {
                let node = Arc::make_mut(self.nodes.entry(name.clone()).or_default());
                (node.object, node.allocatable, node.pods_max) = (Value::Null, Resources::default(), 0);
            }
            return;
        };
        let grown =
            before.is_none_or(|before| before.at(&["status", "allocatable"]) != after.at(&["status", "allocatable"]));
        let node = Arc::make_mut(self.nodes.entry(name.clone()).or_default());
        node.object = after.clone();
        if grown {
            node.allocatable = Resources::of(&request::amounts(after.at(&["status", "allocatable"])));
            let pods = Quantity::or_zero(after.at(&["status", "allocatable", "pods"])).as_whole();
            node.pods_max = i64::try_from(pods).unwrap_or(i64::MAX);
        }
        let new = before.is_none();
        let node = node.clone();
        if moved || grown {
            self.wake(|waiting| {
                let only_fit = waiting.plugins == Plugins::of(Plugin::Fit);
                if new || moved {
                    !only_fit || has_room(&node, &waiting.request)
                } else {
                    waiting.plugins.has(Plugin::Fit) && has_room(&node, &waiting.request)
                }
            });
        }
    }

    /// Something about devices, or claims of them, changed.
    pub(crate) fn devices_changed(&mut self) {
        self.wake(|waiting| waiting.plugins.has(Plugin::Devices));
    }

    /// Something about volumes changed.
    pub(crate) fn volumes_changed(&mut self) {
        self.wake(|waiting| waiting.plugins.has(Plugin::Volumes));
    }

    /// Gives another turn to pods that wait for what has just changed.
    fn wake(&mut self, helps: impl Fn(&Waiting) -> bool) {
        if self.waiting.is_empty() {
            return;
        }
        let woken: Vec<(ObjectKey, Time)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| helps(waiting))
            .map(|(key, waiting)| (key.clone(), waiting.until))
            .collect();
        for (key, until) in woken {
            let Some(turn) = self.turns.get(&key) else { continue };
            if !self.ready.contains(turn) {
                self.pausing.insert((until, key));
            }
        }
    }

    fn queue(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        let nominee = |pod: &Value| {
            let node = pod.at(&["status", "nominatedNodeName"]).as_text().filter(|node| !node.is_empty())?;
            waits(pod).then(|| node.clone())
        };
        let (promised, promise) = (before.and_then(nominee), after.and_then(nominee));
        if promised != promise {
            if let Some(node) = promised {
                self.nominated.remove(&(node, key.clone()));
            }
            if let Some(node) = promise {
                self.nominated.insert((node, key.clone()));
            }
        }
        let Some(pod) = after.filter(|pod| waits(pod) && !is_gated(pod)) else {
            if let Some(turn) = self.turns.remove(key) {
                self.ready.remove(&turn);
                self.waiting.remove(key);
            }
            return;
        };
        let known = before.is_some_and(|before| {
            before.uid() == pod.uid() && before.at(&["spec"]) == pod.at(&["spec"]) && before.labels() == pod.labels()
        });
        if known && self.turns.contains_key(key) {
            return;
        }
        if let Some(turn) = self.turns.remove(key) {
            self.ready.remove(&turn);
        }
        self.waiting.remove(key);
        self.arrivals += 1;
        let priority = pod.at(&["spec", "priority"]).as_int().unwrap_or(0);
        let turn = (Reverse(priority), self.arrivals, key.clone());
        self.turns.insert(key.clone(), turn.clone());
        self.ready.insert(turn);
    }
}

/// Where a node stands.
fn zone(node: &Value) -> (Option<&str>, Option<&str>) {
    (node.label("topology.kubernetes.io/region"), node.label("topology.kubernetes.io/zone"))
}

fn has_room(node: &Node, request: &Resources) -> bool {
    fit::lacks(request, &node.requested, &node.allocatable, node.pods, node.pods_max).is_empty()
}

/// Whether a pod takes room on a node: it is bound and its containers have not all ended.
pub(super) fn takes_room(pod: &Value) -> bool {
    !pod.at(&["spec", "nodeName"]).is_empty() && is_live(pod)
}

/// Whether a pod waits for this scheduler.
fn waits(pod: &Value) -> bool {
    let scheduler = pod.at(&["spec", "schedulerName"]).as_str().unwrap_or(super::NAME);
    pod.at(&["spec", "nodeName"]).is_empty() && scheduler == super::NAME && !pod.is_terminating() && is_live(pod)
}

/// Whether a pod is not to be scheduled yet.
pub(super) fn is_gated(pod: &Value) -> bool {
    !pod.at(&["spec", "schedulingGates"]).is_empty()
}

fn is_particular(pod: &Value) -> bool {
    let affinity = pod.at(&["spec", "affinity"]);
    !affinity.at(&["podAffinity"]).is_empty() || !affinity.at(&["podAntiAffinity"]).is_empty()
}

/// The ports of the host that a pod takes.
pub(super) fn ports(pod: &Value) -> Vec<Port> {
    let lists = ["initContainers", "containers"].map(|list| pod.at(&["spec", list]).items());
    let containers = lists.into_iter().flatten().filter(|container| {
        // An init container that ends gives its ports back before they matter.
        container.at(&["restartPolicy"]) == "Always" || pod.at(&["spec", "containers"]).items().contains(container)
    });
    let ports = containers.flat_map(|container| container.at(&["ports"]).items());
    ports
        .filter_map(|port| {
            let host = port.at(&["hostPort"]).as_int().filter(|host| *host > 0)?;
            let text = |field: &str, default: &'static str| {
                port.at(&[field])
                    .as_text()
                    .filter(|text| !text.is_empty())
                    .cloned()
                    .unwrap_or_else(|| Text::from(default))
            };
            Some((text("protocol", "TCP"), text("hostIP", "0.0.0.0"), host))
        })
        .collect()
}
