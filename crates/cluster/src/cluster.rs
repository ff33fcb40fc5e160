//! A whole cluster at one instant of its virtual time.
//!
//! Knows: the objects, the indexes over them, what is due next, and how to let time pass.
//! Does not know: what the API server allows or what a controller does; they act on it from outside.
//!
//! A `Cluster` is a value: cloning it is a fork, costs O(1), and neither side sees what happens on the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use twin::{Compacted, Queue, Random, Store, Time};

use crate::controllers::{self, History, Next, Work};
use crate::index::Index;
use crate::kin::{Kin, Station};
use crate::labels;
use crate::object::ObjectKey;
use crate::schema::Schema;
use crate::value::{Text, Value};

/// One change to an object. `before` and `after` are whole objects.
pub type Change = twin::Change<ObjectKey, Value>;

/// How many changes are kept for watchers that lag.
const CHANGES_KEPT: usize = 200_000;

/// What one call to [`Cluster::advance`] may do at most. A cluster that has not settled by then is taken to run in circles.
const STEPS_MAX: usize = 5_000_000;

/// After how many steps to look whether anyone still waits.
const STEPS_BETWEEN_LOOKS: usize = 256;

/// Resources on which it depends where a pod with claims can go.
const STORAGE: [&str; 4] =
    ["persistentvolumes", "persistentvolumeclaims", "storageclasses.storage.k8s.io", "csinodes.storage.k8s.io"];

/// A cluster: all its objects, and what is about to happen to them.
#[derive(Clone)]
pub struct Cluster {
    /// The types that its API server knows.
    pub schema: Schema,
    /// How what is simulated behaves.
    pub settings: Arc<Settings>,
    store: Store<ObjectKey, Value>,
    index: Index,
    /// What the scheduler keeps at hand.
    pub(crate) scheduling: crate::scheduler::State,
    /// What autoscalers remember.
    autoscaling: OrdMap<ObjectKey, History>,
    /// Images on their way to nodes.
    pub(crate) pulls: crate::kubelet::Pulls,
    work: Queue<Work>,
    /// What has been worked on since [`Cluster::trace`], if anyone asked.
    worked: Option<OrdSet<ObjectKey>>,
    now: Time,
    random: Random,
}

/// How nodes and pods behave where nothing says otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From being bound to a node until the containers run.
    pub pod_start: Duration,
    /// From running until ready, where there is no probe that says otherwise.
    pub pod_ready: Duration,
    /// From being told to stop until gone.
    pub pod_stop: Duration,
    /// What one init container takes.
    pub pod_init: Duration,
    /// What a pod of a Job runs before it exits 0.
    pub job_pod_run: Duration,
    /// From its start until a container crashes that is told to.
    pub crash_after: Duration,
    /// What the registry that images come from gives to all nodes together; as much as they ask for if not said.
    pub registry_bytes_per_second: Option<u64>,
    /// What was learned of the load on services, by `namespace/name`: what a Service's own annotations about its load say, under
    /// the same names, where it has none.
    pub traffic: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pod_start: Duration::from_millis(800),
            pod_ready: Duration::ZERO,
            pod_stop: Duration::from_millis(300),
            pod_init: Duration::from_millis(300),
            job_pod_run: Duration::from_secs(2),
            crash_after: Duration::from_secs(1),
            registry_bytes_per_second: None,
            traffic: BTreeMap::new(),
        }
    }
}

/// What came of letting time pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Whether nothing more is due.
    pub settled: bool,
    /// When the last change was made; none if nothing changed.
    pub last_change: Option<Time>,
}

impl Cluster {
    /// An empty cluster at `now`, whose names and choices follow from `seed`.
    #[must_use]
    pub fn new(schema: Schema, now: Time, seed: u64) -> Self {
        Self {
            schema,
            settings: Arc::default(),
            store: Store::new(1, CHANGES_KEPT),
            index: Index::default(),
            scheduling: crate::scheduler::State::default(),
            autoscaling: OrdMap::new(),
            pulls: crate::kubelet::Pulls::default(),
            work: Queue::default(),
            worked: None,
            now,
            random: Random::new(seed),
        }
    }

    /// What every autoscaler remembers that has looked.
    pub(crate) fn autoscaling(&self) -> impl Iterator<Item = (&ObjectKey, &History)> {
        self.autoscaling.iter()
    }

    /// What one autoscaler remembers.
    pub(crate) fn autoscaling_of(&self, key: &ObjectKey) -> Option<&History> {
        self.autoscaling.get(key)
    }

    /// Has it remember something else, or (`None`) nothing.
    pub(crate) fn set_autoscaling(&mut self, key: &ObjectKey, history: Option<History>) {
        match history {
            Some(history) => self.autoscaling.insert(key.clone(), history),
            None => self.autoscaling.remove(key),
        };
    }

    /// What time it is here.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Sets the clock, before anything has happened.
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// The version of the newest change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.store.version()
    }

    /// The stream that every name and choice comes from.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The object under a key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Value> {
        self.store.get(key)
    }

    /// The objects of a resource, of one namespace or (`None`) of all, in the order of their keys.
    pub fn list<'a>(
        &'a self,
        resource: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
        let start = ObjectKey::new(resource, namespace.unwrap_or(""), "");
        self.store.range(start..).take_while(move |(key, _)| {
            key.resource == resource && namespace.is_none_or(|namespace| key.namespace == namespace)
        })
    }

    /// The objects from a key on, in the order of their keys.
    pub(crate) fn list_from(&self, start: ObjectKey) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.store.range(start..)
    }

    /// Every object, in the order of their keys.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.store.iter()
    }

    /// How many objects were looked at here and on the clusters that this one was forked from: what says that work is
    /// proportional to what it touches.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.store.reads()
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// How many objects there are of a resource.
    #[must_use]
    pub fn count(&self, resource: &str) -> usize {
        self.index.count(resource)
    }

    /// The objects that name the owner with this uid.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.dependents(uid))
    }

    /// The objects of a resource in a namespace that no controller manages.
    pub fn orphans(&self, resource: &str, namespace: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.orphans(resource, namespace))
    }

    /// The pods bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.bound(node))
    }

    /// The pods that are bound to no node.
    pub fn unplaced(&self) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.bound(""))
    }

    /// The pods of a namespace that have a node and whose containers have not started.
    pub(crate) fn starting(&self, namespace: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.starting(namespace))
    }

    /// The pods of a namespace that use a claim, in the order of their keys.
    pub fn users(&self, namespace: &str, claim: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.users(namespace, claim))
    }

    /// The Services that say they call one (`namespace/name`).
    pub(crate) fn callers(&self, service: &str) -> impl Iterator<Item = &ObjectKey> {
        self.index.callers(service)
    }

    /// The EndpointSlices that say they are a service's, in the order of their keys.
    pub fn slices(&self, namespace: &str, service: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.found(self.index.slices(namespace, service))
    }

    /// The pods of a namespace that a selector selects, a `LabelSelector` or a plain map, in the order of their keys.
    pub fn selected<'a>(
        &'a self,
        namespace: &str,
        selector: &Value,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> + use<'a> {
        self.members(self.index.kins().selected(namespace, selector))
    }

    /// The pods, of one namespace or (`None`) of all, whose labels are chosen, in the order of their keys. Pods that are
    /// labelled alike are asked after once.
    pub(crate) fn labelled(
        &self,
        namespace: Option<&str>,
        chooses: impl Fn(&Value) -> bool,
    ) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.members(self.index.kins().chosen(namespace, chooses).collect::<Vec<_>>())
    }

    /// The pods of a namespace that a selector selects, by what they have in common.
    pub(crate) fn kins_selected<'a>(&'a self, namespace: &str, selector: &Value) -> Vec<(&'a Value, &'a Kin)> {
        self.index.kins().selected(namespace, selector)
    }

    /// The pods that a controller has, by what else they have in common.
    pub(crate) fn kins_owned<'a>(&'a self, uid: &str) -> impl Iterator<Item = (&'a Value, &'a Kin)> + use<'a> {
        self.index.kins().owned(uid)
    }

    /// The pods that a DaemonSet has, by the nodes they are on.
    pub(crate) fn stations<'a>(
        &'a self,
        uid: &str,
    ) -> impl Iterator<Item = (&'a Text, &'a ObjectKey, &'a Station)> + use<'a> {
        self.index.kins().stations(uid)
    }

    /// The pods of some kins, in the order of their keys.
    pub(crate) fn members<'a>(
        &'a self,
        kins: Vec<(&'a Value, &'a Kin)>,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> + use<'a> {
        let mut members: Vec<(&ObjectKey, &Value)> = kins.into_iter().flat_map(|(_, kin)| kin.pods.iter()).collect();
        // Few sorts of pods are asked for, and each is in order already.
        members.sort_by(|one, two| one.0.cmp(two.0));
        members.into_iter().inspect(|_| self.store.saw_elsewhere())
    }

    /// The objects of a resource in a namespace (Services, PodDisruptionBudgets, workloads) whose selectors select these
    /// labels, in the order of their keys. A selector that demands nothing selects everything, save a Service's.
    pub fn selecting<'a>(
        &'a self,
        resource: &str,
        namespace: &str,
        labels: &'a Value,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
        let plain = matches!(resource, "services" | "replicationcontrollers");
        self.found(self.index.selecting(resource, namespace, labels)).filter(move |(_, object)| {
            let selector = object.at(&["spec", "selector"]);
            labels::matches(selector, labels) && !(plain && selector.is_empty())
        })
    }

    fn found<'a>(
        &'a self,
        keys: impl IntoIterator<Item = &'a ObjectKey>,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
        keys.into_iter().filter_map(|key| Some((key, self.store.get(key)?)))
    }

    /// The changes after a version, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] if some of them are no longer kept.
    pub fn changes_since(&self, version: u64) -> Result<impl Iterator<Item = &Change>, Compacted> {
        self.store.changes_since(version)
    }

    /// Takes an object in as a snapshot has it: believed whole, version included, and no controller is told.
    pub fn load(&mut self, key: ObjectKey, object: Value) {
        let version = object.resource_version().parse().unwrap_or(0);
        let before = self.store.get(&key).cloned();
        self.index(&key, before.as_ref(), Some(&object));
        self.store.load(key, object, version);
    }

    /// Takes an object out again that [`load`](Self::load) took in, and no controller is told.
    pub fn unload(&mut self, key: &ObjectKey) {
        if let Some(before) = self.store.unload(key) {
            self.index(key, Some(&before), None);
        }
    }

    /// Has every controller look at every object, as they do when they start.
    pub fn start_controllers(&mut self) {
        let keys: Vec<(ObjectKey, Value)> =
            self.store.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, object) in keys {
            let seen = Change { version: self.version(), at: self.now, key, before: None, after: Some(object) };
            controllers::notice(self, &seen);
        }
    }

    /// Has controllers look at what was under way when the snapshot was taken, and only at that: what has settled is left
    /// alone, so that all that then happens follows from what is done to the cluster.
    pub fn resume(&mut self) {
        let all: Vec<ObjectKey> = self.store.iter().map(|(key, _)| key.clone()).collect();
        self.resume_at(&all);
    }

    /// The same for some objects alone.
    pub fn resume_at(&mut self, keys: &[ObjectKey]) {
        for key in keys {
            let Some(object) = self.store.get(key).filter(|object| is_under_way(key, object)).cloned() else {
                continue;
            };
            let seen =
                Change { version: self.version(), at: self.now, key: key.clone(), before: None, after: Some(object) };
            controllers::notice(self, &seen);
        }
    }

    /// Writes an object as it is, or removes it (`None`), and tells the controllers. Gives the object with its new
    /// resourceVersion. This is etcd, not the API server: nothing is defaulted, checked or counted here.
    pub fn write(&mut self, key: &ObjectKey, object: Option<Value>) -> Option<Value> {
        let object = object.map(|mut object| {
            object.set(&["metadata", "resourceVersion"], self.store.next_version().to_string());
            object
        });
        let change = self.store.write(self.now, key.clone(), object)?;
        self.index(key, change.before.as_ref(), change.after.as_ref());
        controllers::notice(self, &change);
        change.after
    }

    fn index(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        self.index.change(key, before, after);
        if key.is("pods") {
            self.scheduling.pod_changed(key, before, after);
        } else if key.is("nodes") {
            self.scheduling.node_changed(&key.name, before, after);
        } else if STORAGE.contains(&key.resource.as_str()) {
            self.scheduling.volumes_changed();
        } else if key.resource.ends_with(".resource.k8s.io") {
            self.scheduling.devices_changed();
        }
    }

    /// The zone in which a node stands, if it is there and says so.
    pub(crate) fn zone_of(&self, node: &Text) -> Option<&str> {
        self.scheduling.object(node)?.label("topology.kubernetes.io/zone")
    }

    /// Has a controller look at an object after a while.
    pub fn enqueue(&mut self, work: Work, after: Duration) {
        self.work.add(self.now + after, work);
    }

    /// When something is due next.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.work.next()
    }

    /// Lets controllers do all that is due until `until`, and leaves the clock at the last thing done.
    pub fn settle(&mut self, until: Time) -> Advance {
        self.settle_unless(until, &AtomicBool::new(false))
    }

    /// The same, but gives up soon after `stop` is set: whoever asked does not wait any more.
    pub fn settle_unless(&mut self, until: Time, stop: &AtomicBool) -> Advance {
        let mut last_change = None;
        for step in 0..STEPS_MAX {
            if step % STEPS_BETWEEN_LOOKS == 0 && stop.load(Ordering::Relaxed) {
                break;
            }
            let Some((at, work)) = self.work.pop(until) else {
                return Advance { settled: self.work.is_empty(), last_change };
            };
            self.now = self.now.max(at);
            let version = self.version();
            if let Some(worked) = &mut self.worked {
                worked.insert(work.key.clone());
            }
            if let Next::After(pause) = controllers::reconcile(self, &work) {
                self.enqueue(work, pause.max(Duration::from_millis(1)));
            }
            if self.version() != version {
                last_change = Some(self.now);
            }
        }
        Advance { settled: false, last_change }
    }

    /// Lets all that is due until `until` be done, and the clock stand at `until` then.
    pub fn advance(&mut self, until: Time) -> Advance {
        let done = self.settle(until);
        self.now = self.now.max(until);
        done
    }

    /// Starts to note what is worked on, and gives what was noted so far: what a simulation depends on besides what it changes.
    pub fn trace(&mut self) -> OrdSet<ObjectKey> {
        self.worked.replace(OrdSet::new()).unwrap_or_default()
    }
}

/// Whether a controller or kubelet still has something to do about an object, as far as its own status tells.
fn is_under_way(key: &ObjectKey, object: &Value) -> bool {
    if object.is_terminating() {
        return true;
    }
    let status = object.at(&["status"]);
    let count = |path: &[&str]| object.at(path).as_int().unwrap_or(0);
    match key.resource.as_str() {
        "pods" => {
            let starting = matches!(status.at(&["phase"]).str_or_empty(), "" | "Pending" | "Running");
            let tried =
                object.condition("PodScheduled").is_some_and(|condition| *condition.at(&["status"]) == *"False");
            starting && !object.condition_is_true("Ready") && !tried
        }
        "deployments.apps" | "replicasets.apps" | "statefulsets.apps" => {
            let wanted = object.at(&["spec", "replicas"]).as_int().unwrap_or(1);
            count(&["status", "observedGeneration"]) != object.generation() || count(&["status", "replicas"]) != wanted
        }
        "daemonsets.apps" => count(&["status", "observedGeneration"]) != object.generation(),
        _ => false,
    }
}
