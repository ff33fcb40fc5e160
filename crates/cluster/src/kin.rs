//! Pods that nobody can tell apart, kept and counted together.
//!
//! Knows: which pods of a namespace have the same labels and the same controller, and how many of them are in which state.
//! Does not know: who selects or owns them, or what for.
//!
//! The replicas of one template are one kin, however many they are. Whoever asks by labels or by owner asks each kin once and
//! not each pod, and whoever only counts looks at no pod at all: of a workload whose pods change one after another, each change
//! costs the same in a large one as in a small one. Cloning is O(1).

use std::cmp::Ordering;

use imbl::{OrdMap, OrdSet};

use crate::controllers::history::REVISION_LABEL as REVISION;
use crate::labels;
use crate::object::ObjectKey;
use crate::scheduler::affinity;
use crate::value::{Text, Value};

/// Pods of a namespace with the same labels and the same controller.
#[derive(Clone, Default)]
pub(crate) struct Kin {
    /// The pods themselves.
    pub(crate) pods: OrdMap<ObjectKey, Value>,
    /// How many there are of each sort.
    pub(crate) tally: Tally,
}

/// How many pods are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All.
    pub(crate) all: i64,
    /// Neither over nor told to go.
    pub(crate) active: i64,
    /// Active and ready.
    pub(crate) ready: i64,
    /// Ready and not told to go.
    pub(crate) up: i64,
    /// Told to go and not over.
    pub(crate) going: i64,
}

impl Tally {
    fn of(pod: &Value) -> Self {
        let going = pod.is_terminating();
        let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
        let ready = pod.condition_is_true("Ready");
        Self {
            all: 1,
            active: i64::from(!going && !over),
            ready: i64::from(!going && !over && ready),
            up: i64::from(!going && ready),
            going: i64::from(going && !over),
        }
    }

    fn each(self, other: Self, what: fn(i64, i64) -> i64) -> Self {
        Self {
            all: what(self.all, other.all),
            active: what(self.active, other.active),
            ready: what(self.ready, other.ready),
            up: what(self.up, other.up),
            going: what(self.going, other.going),
        }
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        self.each(more, |one, two| one + two)
    }
}

impl std::ops::Sub for Tally {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        self.each(less, |one, two| one - two)
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| sum + one)
    }
}

/// What the pods of a kin have in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    namespace: Text,
    labels: Labels,
    /// The uid of their controller; empty if they have none.
    owner: Text,
}

impl Sort {
    fn of(key: &ObjectKey, pod: &Value) -> Self {
        let owners = pod.at(&["metadata", "ownerReferences"]).items().iter();
        let owner =
            owners.filter(|owner| owner.at(&["controller"]).is_true()).find_map(|owner| owner.at(&["uid"]).as_text());
        let labels = Labels(pod.labels().clone());
        Self { namespace: key.namespace.clone(), labels, owner: owner.cloned().unwrap_or_default() }
    }
}

/// A pod of a DaemonSet, as it stands on its node.
#[derive(Clone)]
pub(crate) struct Station {
    pub(crate) pod: Value,
    /// Neither over nor told to go.
    pub(crate) active: bool,
    pub(crate) ready: bool,
    /// The revision of which it says it is.
    pub(crate) revision: Option<Text>,
}

impl Station {
    fn of(pod: &Value) -> Self {
        Self {
            pod: pod.clone(),
            active: Tally::of(pod).active > 0,
            ready: pod.condition_is_true("Ready"),
            revision: pod.labels().get(REVISION).and_then(Value::as_text).cloned(),
        }
    }

    /// Under which controller a pod has a station, and on which node: where it is bound, or pinned.
    fn place(key: &ObjectKey, pod: &Value) -> Option<(Text, Text, ObjectKey)> {
        let mut owners = pod.at(&["metadata", "ownerReferences"]).items().iter();
        let owner = owners.find(|owner| owner.at(&["controller"]).is_true() && owner.at(&["kind"]) == "DaemonSet")?;
        let node = match pod.at(&["spec", "nodeName"]).as_text().filter(|node| !node.is_empty()) {
            Some(node) => node.clone(),
            None => {
                affinity::pinned(pod).and_then(|names| names.first().map(|name| Text::from(*name))).unwrap_or_default()
            }
        };
        Some((owner.at(&["uid"]).as_text()?.clone(), node, key.clone()))
    }
}

/// Kins under a term.
type Filed = OrdSet<(Text, Sort)>;

/// All kins of a cluster.
#[derive(Clone, Default)]
pub(crate) struct Kins {
    /// Pods of DaemonSets by their controller's uid and their node.
    stations: OrdMap<(Text, Text, ObjectKey), Station>,
    kins: OrdMap<Sort, Kin>,
    /// By the uid of the controller.
    owned: Filed,
    /// By each of the labels: `app=web`.
    labelled: Filed,
}

impl Kins {
    /// Takes in what became of one pod.
    pub(crate) fn change(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        self.stand(key, before, after);
        let (was, is) = (before.map(|pod| Sort::of(key, pod)), after.map(|pod| Sort::of(key, pod)));
        if let (Some(was), Some(before)) = (&was, before) {
            let mut empty = false;
            if let Some(kin) = self.kins.get_mut(was) {
                kin.tally = kin.tally - Tally::of(before);
                if after.is_none() || Some(was) != is.as_ref() {
                    kin.pods.remove(key);
                    empty = kin.pods.is_empty();
                }
            }
            if empty {
                self.kins.remove(was);
                self.file(was, |index, place| drop(index.remove(&place)));
            }
        }
        if let (Some(is), Some(pod)) = (is, after) {
            if !self.kins.contains_key(&is) {
                self.file(&is, |index, place| drop(index.insert(place)));
            }
            let kin = self.kins.entry(is).or_default();
            kin.tally = kin.tally + Tally::of(pod);
            kin.pods.insert(key.clone(), pod.clone());
        }
    }

    fn stand(&mut self, key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) {
        let place = |pod: &Value| Station::place(key, pod);
        let (was, is) = (before.and_then(place), after.and_then(place));
        if let Some(was) = was.filter(|was| Some(was) != is.as_ref()) {
            self.stations.remove(&was);
        }
        if let (Some(is), Some(pod)) = (is, after) {
            self.stations.insert(is, Station::of(pod));
        }
    }

    /// The pods that a DaemonSet has, each with its node and in the order of their names.
    pub(crate) fn stations<'a>(
        &'a self,
        uid: &str,
    ) -> impl Iterator<Item = (&'a Text, &'a ObjectKey, &'a Station)> + use<'a> {
        let uid = Text::from(uid);
        self.stations
            .range((uid.clone(), Text::new(), ObjectKey::default())..)
            .take_while(move |((owner, ..), _)| *owner == uid)
            .map(|((_, node, key), station)| (node, key, station))
    }

    fn file(&mut self, sort: &Sort, how: fn(&mut Filed, (Text, Sort))) {
        if !sort.owner.is_empty() {
            how(&mut self.owned, (sort.owner.clone(), sort.clone()));
        }
        for (key, value) in sort.labels.0.entries() {
            how(&mut self.labelled, (pair(key, value), sort.clone()));
        }
    }

    /// The kins that a controller has, each with its labels.
    pub(crate) fn owned<'a>(&'a self, uid: &str) -> impl Iterator<Item = (&'a Value, &'a Kin)> + use<'a> {
        self.under(&self.owned, Text::from(uid), Text::new())
    }

    /// The kins, of one namespace or of all, whose labels are chosen, each with its labels.
    pub(crate) fn chosen<'a>(
        &'a self,
        namespace: Option<&str>,
        chooses: impl Fn(&Value) -> bool,
    ) -> impl Iterator<Item = (&'a Value, &'a Kin)> {
        let start = Sort {
            namespace: Text::from(namespace.unwrap_or_default()),
            labels: Labels(Value::Null),
            owner: Text::new(),
        };
        self.kins
            .range(start..)
            .take_while(move |(sort, _)| namespace.is_none_or(|namespace| sort.namespace == namespace))
            .filter(move |(sort, _)| chooses(&sort.labels.0))
            .map(|(sort, kin)| (&sort.labels.0, kin))
    }

    /// The kins of a namespace that a selector selects, a `LabelSelector` or a plain map, each with its labels.
    pub(crate) fn selected<'a>(&'a self, namespace: &str, selector: &Value) -> Vec<(&'a Value, &'a Kin)> {
        let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
        let demands = if structured { selector.at(&["matchLabels"]) } else { selector };
        match demands.entries().first() {
            // Few pods have the label that is demanded, wherever they are.
            Some((key, value)) => {
                let there = self.under(&self.labelled, pair(key, value), Text::from(namespace));
                there.filter(|(labels, _)| labels::matches(selector, labels)).collect()
            }
            None => self.chosen(Some(namespace), |labels| labels::matches(selector, labels)).collect(),
        }
    }

    /// The kins under a term, in a namespace or (the empty one) in any.
    fn under<'a>(
        &'a self,
        index: &'a Filed,
        term: Text,
        namespace: Text,
    ) -> impl Iterator<Item = (&'a Value, &'a Kin)> + use<'a> {
        let start = Sort { namespace: namespace.clone(), labels: Labels(Value::Null), owner: Text::new() };
        index
            .range((term.clone(), start)..)
            .take_while(move |(have, sort)| *have == term && (namespace.is_empty() || sort.namespace == namespace))
            .filter_map(|(_, sort)| Some((&sort.labels.0, self.kins.get(sort)?)))
    }
}

fn pair(key: &Text, value: &Value) -> Text {
    arcstr::format!("{key}={}", value.str_or_empty())
}

/// The labels of an object, in an order.
#[derive(Clone)]
struct Labels(Value);

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0.same(&other.0) {
            return Ordering::Equal;
        }
        fn pairs(labels: &Value) -> impl Iterator<Item = (&str, &str)> {
            labels.entries().iter().map(|(key, value)| (key.as_str(), value.str_or_empty()))
        }
        pairs(&self.0).cmp(pairs(&other.0))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Labels {}
