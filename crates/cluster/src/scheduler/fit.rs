//! What pods ask for and what nodes have.
//!
//! Knows: amounts as small numbers that are quick to add and compare, what a node lacks, and how full it would be.
//! Does not know: how a pod's requests add up (`request`), or which node is best.

use std::collections::BTreeMap;

use super::request::{self, Amounts};
use crate::quantity::Quantity;
use crate::value::{Text, Value};

/// What a container counts for in scores if it asks for nothing: a tenth of a core and 200 MB.
const CPU_UNASKED_MILLI: i128 = 100;
const MEMORY_UNASKED: i64 = 200 * 1024 * 1024;

/// Amounts of resources: cpu in thousandths, all else in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    pub(super) cpu: i64,
    pub(super) memory: i64,
    pub(super) storage: i64,
    /// Extended resources and huge pages.
    pub(super) others: BTreeMap<Text, i64>,
}

impl Resources {
    /// From exact amounts. Pods are counted, not summed: what is said of them is left out.
    pub(super) fn of(amounts: &Amounts) -> Self {
        let small = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let mut resources = Self::default();
        for (name, amount) in amounts {
            match name.as_str() {
                "cpu" => resources.cpu = small(amount.as_milli()),
                "memory" => resources.memory = small(amount.as_whole()),
                "ephemeral-storage" => resources.storage = small(amount.as_whole()),
                "pods" => {}
                _ => {
                    resources.others.insert(name.clone(), small(amount.as_whole()));
                }
            }
        }
        resources
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.combine(more, |have, more| have.saturating_add(more));
    }

    pub(super) fn subtract(&mut self, less: &Self) {
        self.combine(less, |have, less| have.saturating_sub(less));
        self.others.retain(|_, amount| *amount != 0);
    }

    fn combine(&mut self, other: &Self, how: impl Fn(i64, i64) -> i64) {
        self.cpu = how(self.cpu, other.cpu);
        self.memory = how(self.memory, other.memory);
        self.storage = how(self.storage, other.storage);
        for (name, amount) in &other.others {
            let have = self.others.entry(name.clone()).or_insert(0);
            *have = how(*have, *amount);
        }
    }

    /// By name, for messages and scores.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, i64)> {
        let own = [("cpu", self.cpu), ("memory", self.memory), ("ephemeral-storage", self.storage)];
        own.into_iter().chain(self.others.iter().map(|(name, amount)| (name.as_str(), *amount)))
    }

    pub(super) fn named(&self, name: &str) -> i64 {
        self.each().find(|(have, _)| *have == name).map_or(0, |(_, amount)| amount)
    }
}

/// What a pod takes of its node.
pub(super) fn requests(pod: &Value) -> Resources {
    Resources::of(&request::of_pod(pod, "requests"))
}

/// The same for scores, where a container that asks for nothing counts for something: cpu in thousandths, and memory.
pub(super) fn weighed_requests(pod: &Value) -> (i64, i64) {
    let weighed = request::sum(pod, "requests", |container| {
        let mut asked = request::amounts(container.at(&["resources", "requests"]));
        asked.entry(Text::from("cpu")).or_insert(Quantity::milli(CPU_UNASKED_MILLI));
        asked.entry(Text::from("memory")).or_insert(Quantity::whole(MEMORY_UNASKED));
        asked
    });
    let weighed = Resources::of(&weighed);
    (weighed.cpu, weighed.memory)
}

/// What a node lacks for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Room for one more pod.
    Pods,
    /// Enough of a resource.
    Resource {
        name: Text,
        /// Whether even the empty node would not have enough.
        ever: bool,
    },
}

impl Lack {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Pods => "Too many pods".to_owned(),
            Self::Resource { name, .. } => format!("Insufficient {name}"),
        }
    }

    /// Whether no pod's leaving would help.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Resource { ever: true, .. })
    }
}

/// All that a node lacks for a request, given what is taken already.
pub(super) fn lacks(request: &Resources, taken: &Resources, have: &Resources, pods: i64, pods_max: i64) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if pods + 1 > pods_max {
        lacks.push(Lack::Pods);
    }
    for (name, wanted) in request.each() {
        if wanted > 0 && wanted > have.named(name) - taken.named(name) {
            lacks.push(Lack::Resource { name: Text::from(name), ever: wanted > have.named(name) });
        }
    }
    lacks
}

/// `nodeResourcesFit` with the strategy LeastAllocated: the emptier the node would be, the better, 0..=100.
pub(super) fn least_allocated(shares: [(i64, i64); 2]) -> i64 {
    let scores = shares
        .into_iter()
        .filter(|(_, have)| *have > 0)
        .map(|(taken, have)| if taken > have { 0 } else { (have - taken) * 100 / have });
    let (sum, count) = scores.fold((0, 0), |(sum, count), score| (sum + score, count + 1));
    if count == 0 { 0 } else { sum / count }
}

/// `nodeResourcesBalancedAllocation`: the more alike the shares taken of cpu and memory, the better, 0..=100.
pub(super) fn balanced(shares: [(i64, i64); 2]) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "as the real one computes it: in doubles")]
    let share = |(taken, have): (i64, i64)| (taken as f64 / have as f64).min(1.0);
    let shares: Vec<f64> = shares.into_iter().filter(|(_, have)| *have > 0).map(share).collect();
    let spread = match shares.as_slice() {
        [one, two] => ((one - two) / 2.0).abs(),
        _ => 0.0,
    };
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
    let score = ((1.0 - spread) * 100.0) as i64;
    score
}
