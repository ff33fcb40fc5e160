//! The numbered pods of an Indexed Job: which numbers are done, failed, under way or open.
//!
//! Knows: how ranges of numbers are written (`0-2,5`), and what a numbered pod looks like.
//! Does not know: when the Job is over.

use std::collections::{BTreeMap, BTreeSet};

use super::{Pods, has_failed, has_succeeded, outcome, replaces_only_failed};
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// The numbers of a Job.
pub(super) struct Indexes {
    completions: i64,
    done: BTreeSet<i64>,
    failed: BTreeSet<i64>,
    busy: BTreeSet<i64>,
    /// (number, failures so far) of each that failed and is tried again
    failures: Vec<(i64, i64)>,
    per_index: bool,
}

/// The number of a pod.
pub(super) fn of_pod(pod: &Value) -> Option<i64> {
    pod.annotation(INDEX)?.parse().ok()
}

impl Indexes {
    /// Those of a Job with its pods, if it is indexed.
    pub(super) fn of(job: &Value, pods: &Pods) -> Option<Self> {
        if job.at(&["spec", "completionMode"]) != "Indexed" {
            return None;
        }
        let limit = job.at(&["spec", "backoffLimitPerIndex"]).as_int();
        let completions = job.at(&["spec", "completions"]).as_int().unwrap_or(0);
        let mut this = Self {
            completions,
            done: parse(job.at(&["status", "completedIndexes"]).str_or_empty(), completions),
            failed: parse(job.at(&["status", "failedIndexes"]).str_or_empty(), completions),
            busy: BTreeSet::new(),
            failures: Vec::new(),
            per_index: limit.is_some(),
        };
        for (_, pod) in pods {
            let Some(index) = of_pod(pod).filter(|index| (0..completions).contains(index)) else { continue };
            if has_succeeded(pod) {
                this.done.insert(index);
            } else if has_failed(job, pod) {
                let before = pod.annotation(FAILURES).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
                let ignored = outcome::is_ignored(job, pod);
                if limit.is_some_and(|limit| before >= limit && !ignored) || outcome::fails_index(job, pod) {
                    this.failed.insert(index);
                }
                this.failures.push((index, before + i64::from(!ignored)));
            } else if !pod.is_terminating() || replaces_only_failed(job) {
                this.busy.insert(index);
            }
        }
        let done = this.done.clone();
        this.failed.retain(|index| !done.contains(index));
        Some(this)
    }

    pub(super) fn completed(&self) -> i64 {
        i64::try_from(self.done.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn failed(&self) -> i64 {
        i64::try_from(self.failed.len()).unwrap_or(i64::MAX)
    }

    /// The numbers that are done, of these (`0-2,5`) or of all.
    pub(super) fn done_of(&self, these: Option<&str>) -> i64 {
        let these = these.map(|these| parse(these, self.completions));
        let among = |index: &&i64| these.as_ref().is_none_or(|these| these.contains(*index));
        super::count(self.done.iter().filter(among))
    }

    /// How many numbers a range has.
    pub(super) fn size_of(&self, these: &str) -> i64 {
        super::count(parse(these, self.completions))
    }

    /// Whether nothing is left to try.
    pub(super) fn is_exhausted(&self) -> bool {
        self.completed() + self.failed() >= self.completions
    }

    /// The numbers for which no pod runs, though one should.
    pub(super) fn open(&self) -> impl Iterator<Item = i64> {
        (0..self.completions)
            .filter(|index| !self.done.contains(index) && !self.failed.contains(index) && !self.busy.contains(index))
    }

    /// Pods in the order in which they go when there are too many: first those whose number is not or no longer asked
    /// for, and all but one of each number; the others as they were.
    pub(super) fn superfluous_first<'a>(&self, pods: Vec<&'a (ObjectKey, Value)>) -> Vec<&'a (ObjectKey, Value)> {
        // Of several with one number the one that would go last stays.
        let mut stays: BTreeMap<i64, &ObjectKey> = BTreeMap::new();
        for (key, pod) in &pods {
            if let Some(index) = of_pod(pod).filter(|index| (0..self.completions).contains(index)) {
                stays.insert(index, key);
            }
        }
        let (kept, superfluous): (Vec<_>, Vec<_>) =
            pods.into_iter().partition(|(key, pod)| of_pod(pod).and_then(|index| stays.get(&index)) == Some(&key));
        superfluous.into_iter().chain(kept).collect()
    }

    /// A pod with its number.
    pub(super) fn pod(&self, job: &Value, mut pod: Value, index: i64) -> Value {
        let number = index.to_string();
        pod.set(&["metadata", "generateName"], format!("{}-{index}-", job.name()));
        pod.set(&["metadata", "annotations", INDEX], number.as_str());
        pod.set(&["metadata", "labels", INDEX], number.as_str());
        if self.per_index {
            let failures = self.failures.iter().filter(|(of, _)| *of == index).map(|(_, n)| *n).max().unwrap_or(0);
            pod.set(&["metadata", "annotations", FAILURES], failures.to_string());
        }
        pod.set(&["spec", "hostname"], format!("{}-{index}", job.name()));
        for list in ["initContainers", "containers"] {
            let Some(containers) = pod.find_mut(&["spec", list]).and_then(Value::as_array_mut) else { continue };
            for container in containers.edit() {
                let has = container.at(&["env"]).items().iter().any(|env| env.at(&["name"]) == "JOB_COMPLETION_INDEX");
                if !has {
                    container.make(&["env"]).array().push(doc!({
                        "name": "JOB_COMPLETION_INDEX",
                        "valueFrom": {"fieldRef": {"fieldPath": (format!("metadata.labels['{INDEX}']"))}},
                    }));
                }
            }
        }
        pod
    }

    /// Writes what is done and failed.
    pub(super) fn report(&self, job: &mut Value) {
        if !self.done.is_empty() {
            job.set(&["status", "completedIndexes"], print(&self.done));
        }
        if self.per_index {
            job.set(&["status", "failedIndexes"], print(&self.failed));
        }
    }
}

fn parse(text: &str, below: i64) -> BTreeSet<i64> {
    let mut numbers = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
            numbers.extend(first.max(0)..=last.min(below - 1));
        }
    }
    numbers
}

fn print(numbers: &BTreeSet<i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let text = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(",")
}
