//! Answers without what no two clusters share.
//!
//! Knows: which values are made up anew each time (uids, versions, times, addresses, generated names, hashes), and what of a
//! pod's status is a matter of the machine that it runs on.
//! Does not know: which of two answers is right.
//!
//! What is made up is replaced by what it is, never dropped: an answer that lacks it differs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

/// Labels whose value follows from how a template is hashed.
const HASHES: &[&str] = &["pod-template-hash", "controller-revision-hash", "controller.kubernetes.io/hash"];

/// Columns of a table that show how long ago something was.
const AGES: &[&str] = &["Age", "Duration", "Last Schedule", "Last Seen", "First Seen", "LastSeen", "FirstSeen"];

/// Fields that hold a port out of a range.
const PORTS: &[&str] = &["nodePort", "healthCheckNodePort"];

/// Fields that say where a pod was placed; which of several equal nodes it is, is drawn.
const PLACES: &[&str] = &["topology.kubernetes.io/zone", "topology.kubernetes.io/region", "zone", "forZones"];

/// What one case has learned of the values that one side made up.
#[derive(Debug, Default)]
pub(crate) struct Normal {
    /// Whether it is compared who owns which field.
    owners: bool,
    names: BTreeMap<String, String>,
    versions: BTreeSet<String>,
}

impl Normal {
    /// Nothing is known yet.
    pub(crate) fn new(owners: bool) -> Self {
        Self { owners, ..Self::default() }
    }

    /// Finds out what was made up in an answer, so that it is known wherever else it stands.
    pub(crate) fn learn(&mut self, node: &Value) {
        match node {
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(map) => {
                if let Some(Value::Object(metadata)) = map.get("metadata") {
                    self.learn_of(map, metadata);
                }
                map.values().for_each(|value| self.learn(value));
            }
            _ => {}
        }
    }

    fn learn_of(&mut self, object: &Map<String, Value>, metadata: &Map<String, Value>) {
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(version) = metadata.get("resourceVersion").and_then(Value::as_str) {
            self.versions.insert(version.to_owned());
        }
        for hash in HASHES.iter().filter_map(|label| metadata.get("labels")?.get(label)?.as_str()) {
            self.hash(hash);
        }
        let status = object.get("status");
        for field in ["currentRevision", "updateRevision"] {
            if let Some(revision) = status.and_then(|status| status.get(field)?.as_str()) {
                self.hash(revision);
            }
        }
        if let Some(node) = object.get("spec").and_then(|spec| spec.get("nodeName")?.as_str()) {
            self.names.entry(node.to_owned()).or_insert_with(|| "<node>".to_owned());
        }
        let (name, base, uid) = (text("name"), text("generateName"), text("uid"));
        if name.is_empty() {
            return;
        }
        let mut shown = self.text(name);
        if object.get("kind").and_then(Value::as_str) == Some("ControllerRevision") {
            self.hash(name);
        } else if !base.is_empty() && name.starts_with(base) {
            shown = format!("{}*", self.text(base));
            self.names.entry(name.to_owned()).or_insert_with(|| shown.clone());
        }
        if !uid.is_empty() {
            self.names.entry(uid.to_owned()).or_insert_with(|| format!("<uid of {shown}>"));
        }
    }

    fn hash(&mut self, revision: &str) {
        let hash = revision.rsplit('-').next().unwrap_or(revision);
        if hash.len() >= 5 {
            self.names.entry(hash.to_owned()).or_insert_with(|| "<hash>".to_owned());
        }
    }

    /// An answer without what was made up.
    pub(crate) fn answer(&mut self, mut body: Value) -> Value {
        self.learn(&body);
        self.value(&mut body);
        body
    }

    fn value(&self, node: &mut Value) {
        match node {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => self.object(map),
            _ => {}
        }
    }

    fn object(&self, map: &mut Map<String, Value>) {
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            if !self.owners {
                metadata.remove("managedFields");
            }
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove("endpoints.kubernetes.io/last-change-trigger-time");
            }
            if metadata.get("annotations").is_some_and(|annotations| *annotations == json!({})) {
                metadata.remove("annotations");
            }
        }
        if is_pod(map)
            && let Some(status) = map.get_mut("status")
        {
            *status = pod_status(status);
        }
        ages(map);
        let slice = map.contains_key("addressType");
        if slice && let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            // How many changes of pods went into one write of the slice is a matter of timing.
            metadata.remove("generation");
        }
        let old = std::mem::take(map);
        for (key, mut value) in old {
            match &value {
                Value::String(_) if key == "resourceVersion" => value = json!("<version>"),
                Value::String(_) | Value::Array(_) if PLACES.contains(&key.as_str()) => value = json!("<place>"),
                Value::Number(_) if PORTS.contains(&key.as_str()) => value = json!("<port>"),
                _ => self.value(&mut value),
            }
            // In a list, and among a slice's endpoints, the order is that of names that were made up.
            if let Value::Array(items) = &mut value
                && (key == "items" || key == "rows" || (slice && key == "endpoints"))
            {
                items.sort_by_cached_key(Value::to_string);
            }
            map.insert(self.text(&key), value);
        }
    }

    /// A text without what was made up.
    fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut word = String::new();
        for letter in text.chars() {
            if letter.is_ascii_alphanumeric() || ".:-_".contains(letter) {
                word.push(letter);
            } else {
                self.word(&word, &mut shown);
                word.clear();
                shown.push(letter);
            }
        }
        self.word(&word, &mut shown);
        shown
    }

    fn word(&self, word: &str, shown: &mut String) {
        // A full stop or colon after it is not part of it.
        let core = word.trim_end_matches(['.', ':']);
        shown.push_str(&self.known(core));
        shown.push_str(word.get(core.len()..).unwrap_or_default());
    }

    fn known(&self, word: &str) -> String {
        if let Some(name) = self.names.get(word) {
            return name.clone();
        }
        if is_time(word) {
            return "<time>".to_owned();
        }
        if is_uid(word) {
            return "<uid>".to_owned();
        }
        if word.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_unspecified() && !address.is_loopback())
            || word.matches(':').count() > 1 && word.parse::<Ipv6Addr>().is_ok()
        {
            return "<address>".to_owned();
        }
        if word.len() > 2 && self.versions.contains(word) {
            return "<version>".to_owned();
        }
        if let Some(end) = word.strip_prefix("kube-api-access-")
            && end.len() == 5
        {
            return "kube-api-access-*".to_owned();
        }
        // A hash or a generated name within a longer one.
        let mut shown = word.to_owned();
        if word.contains('-') {
            let mut parts: Vec<&str> =
                word.split('-').map(|part| self.names.get(part).map_or(part, String::as_str)).collect();
            // A pod of a template whose hash is known, though the pod itself was never seen.
            if let [.., "<hash>", last] = parts.as_mut_slice()
                && last.len() == 5
            {
                *last = "*";
            }
            shown = parts.join("-");
        }
        shown
    }
}

fn is_pod(map: &Map<String, Value>) -> bool {
    map.get("spec").is_some_and(|spec| spec.get("containers").is_some()) && map.contains_key("status")
}

/// What of a pod's status is not a matter of its machine: what it is, whether it is ready and why not.
fn pod_status(status: &Value) -> Value {
    let mut shown = Map::new();
    for key in ["phase", "reason", "message", "qosClass", "nominatedNodeName"] {
        if let Some(value) = status.get(key) {
            shown.insert(key.to_owned(), value.clone());
        }
    }
    let part = |whole: &Value, keys: &[&str]| -> Value {
        keys.iter().filter_map(|key| Some(((*key).to_owned(), whole.get(key)?.clone()))).collect::<Map<_, _>>().into()
    };
    let list = |key: &str, keys: &[&str]| -> Option<Vec<Value>> {
        Some(status.get(key)?.as_array()?.iter().map(|item| part(item, keys)).collect())
    };
    if let Some(mut conditions) = list("conditions", &["type", "status", "reason", "message"]) {
        conditions.sort_by_cached_key(Value::to_string);
        shown.insert("conditions".to_owned(), conditions.into());
    }
    if let Some(containers) = list("containerStatuses", &["name", "ready", "restartCount"]) {
        shown.insert("containerStatuses".to_owned(), containers.into());
    }
    shown.into()
}

/// In a table: how long ago anything was.
fn ages(map: &mut Map<String, Value>) {
    let Some(Value::Array(columns)) = map.get_mut("columnDefinitions") else { return };
    // What a column is, in words out of the documentation, no client shows.
    columns.iter_mut().filter_map(Value::as_object_mut).for_each(|column| drop(column.remove("description")));
    let name = |column: &Value| column.get("name").and_then(Value::as_str).is_some_and(|name| AGES.contains(&name));
    let aged: Vec<bool> = columns.iter().map(name).collect();
    let Some(Value::Array(rows)) = map.get_mut("rows") else { return };
    for row in rows {
        let Some(Value::Array(cells)) = row.get_mut("cells") else { continue };
        for (cell, _) in cells.iter_mut().zip(&aged).filter(|(cell, aged)| **aged && is_age(cell)) {
            *cell = json!("<age>");
        }
    }
}

fn is_age(cell: &Value) -> bool {
    cell.as_str().is_some_and(|text| text.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// `2026-01-02T03:04:05Z`, with fractions of a second or without.
fn is_time(word: &str) -> bool {
    let shape = "0000-00-00T00:00:00";
    word.len() > shape.len()
        && word.ends_with('Z')
        && word
            .bytes()
            .zip(shape.bytes())
            .all(|(letter, like)| if like == b'0' { letter.is_ascii_digit() } else { letter == like })
}

fn is_uid(word: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = word.split('-').collect();
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|letter| letter.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_shown_as_what_it_is() {
        let pod = json!({
            "kind": "Pod",
            "metadata": {
                "name": "web-5d4f7c9b8-x7k2p", "generateName": "web-5d4f7c9b8-", "uid": "0b8f7a52-1111-2222-3333-444455556666",
                "resourceVersion": "4711", "labels": {"pod-template-hash": "5d4f7c9b8"}, "managedFields": [],
            },
            "spec": {"containers": [], "nodeName": "n7", "volumes": [{"name": "kube-api-access-2x4vz"}]},
            "status": {
                "phase": "Running", "podIP": "10.1.2.3", "startTime": "2026-01-02T03:04:05Z",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
            },
        });
        let mut normal = Normal::new(false);
        let shown = normal.answer(pod);
        assert_eq!(
            shown,
            json!({
                "kind": "Pod",
                "metadata": {
                    "name": "web-<hash>-*", "generateName": "web-<hash>-", "uid": "<uid of web-<hash>-*>",
                    "resourceVersion": "<version>", "labels": {"pod-template-hash": "<hash>"},
                },
                "spec": {"containers": [], "nodeName": "<node>", "volumes": [{"name": "kube-api-access-*"}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            })
        );
        for (said, shown) in [
            ("ReplicaSet \"web-5d4f7c9b8\" has timed out.", "ReplicaSet \"web-<hash>\" has timed out."),
            ("pods \"web-5d4f7c9b8-x7k2p\" not found", "pods \"web-<hash>-*\" not found"),
            ("pods \"web-5d4f7c9b8-other\" is forbidden", "pods \"web-<hash>-*\" is forbidden"),
            ("at 2026-01-02T03:04:05.123456Z: version 4711, 4712", "at <time>: version <version>, 4712"),
            ("10.96.0.1:443 is no address, fd00::1 is", "10.96.0.1:443 is no address, <address> is"),
            ("uid 99999999-1111-2222-3333-444455556666", "uid <uid>"),
        ] {
            assert_eq!(normal.text(said), shown);
        }
    }

    #[test]
    fn what_was_not_made_up_is_left_as_it_is() {
        let object = json!({"metadata": {"name": "a", "labels": {"x": "1.2.3"}}, "data": {"k": "a-b-c", "n": 7}});
        assert_eq!(Normal::new(true).answer(object.clone()), object);
    }
}
