//! How controllers speak to the API server.
//!
//! Knows: the registry, and the name of who speaks.
//! Does not know: what they are about.

use crate::apiserver::Status;
use crate::apiserver::registry::{self, Deletion, Part, Writer};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::{Text, Value};

/// A controller's client.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Who speaks: `deployment-controller`.
    pub name: &'static str,
    /// As whom it tells of events; most do so by their own name.
    pub source: &'static str,
    /// The program it runs in, which is its field manager: `kube-controller-manager`, `kube-scheduler`, `kubelet`.
    pub program: &'static str,
}

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As expected.
    Normal,
    /// Someone should look.
    Warning,
}

impl Client {
    /// A controller of `kube-controller-manager`.
    #[must_use]
    pub const fn controller(name: &'static str) -> Self {
        Self { name, source: name, program: "kube-controller-manager" }
    }

    /// One that tells of events by another name.
    #[must_use]
    pub const fn telling_as(self, source: &'static str) -> Self {
        Self { source, ..self }
    }

    fn writer(self) -> Writer {
        Writer::component(self.name, self.program)
    }

    /// Makes an object.
    ///
    /// # Errors
    /// What the API server would answer.
    pub fn create(self, cluster: &mut Cluster, resource: &str, object: Value) -> Result<Value, Status> {
        registry::create(cluster, resource, object, &self.writer())
    }

    /// Changes all but the status of an object; writes nothing if the edit changes nothing. A missing object is an error.
    ///
    /// # Errors
    /// What the API server would answer.
    pub fn update(
        self,
        cluster: &mut Cluster,
        key: &ObjectKey,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Value, Status> {
        self.change(cluster, key, Part::Main, edit)
    }

    /// Changes the status of an object; writes nothing if the edit changes nothing. A missing object is an error.
    ///
    /// # Errors
    /// What the API server would answer.
    pub fn update_status(
        self,
        cluster: &mut Cluster,
        key: &ObjectKey,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Value, Status> {
        self.change(cluster, key, Part::Status, edit)
    }

    fn change(
        self,
        cluster: &mut Cluster,
        key: &ObjectKey,
        part: Part,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Value, Status> {
        let Some(old) = cluster.get(key) else {
            return Err(Status::not_found(&key.resource, &key.name));
        };
        let mut new = old.clone();
        edit(&mut new);
        if new == *old {
            return Ok(new);
        }
        registry::update(cluster, key, new, part, &self.writer())
    }

    /// Tells an object to go.
    ///
    /// # Errors
    /// What the API server would answer.
    pub fn delete(self, cluster: &mut Cluster, key: &ObjectKey, deletion: &Deletion) -> Result<Value, Status> {
        registry::delete(cluster, key, deletion, &self.writer())
    }

    /// Tells people that something happened to an object. The same event again counts up, as `client-go/tools/record`
    /// correlates them. Events are for people: nothing depends on one, and a failure to write it is nobody's concern.
    pub fn event(self, cluster: &mut Cluster, about: &Value, severity: Severity, reason: &str, message: &str) {
        let now = time::format(cluster.now());
        let told = Told { about, severity, reason, message };
        let key = told.key(self);
        let seen = cluster.get(&key).and_then(|event| event.at(&["count"]).as_int());
        if let Some(count) = seen {
            let _ = self.update(cluster, &key, |event| {
                event.set(&["count"], count + 1);
                event.set(&["lastTimestamp"], now);
            });
            return;
        }
        let mut event = told.event(&key, self);
        event.set(&["count"], 1);
        event.set(&["firstTimestamp"], now.as_str());
        event.set(&["lastTimestamp"], now);
        event.set(&["source"], doc!({"component": (self.source)}));
        event.set(&["reportingInstance"], "");
        event.set(&["eventTime"], Value::Null);
        let _ = self.create(cluster, "events", event);
    }

    /// Tells it if it was not told before. The real controllers say some things at every look; once is enough for people, and
    /// a settled cluster stays settled.
    pub fn event_once(self, cluster: &mut Cluster, about: &Value, severity: Severity, reason: &str, message: &str) {
        let told = Told { about, severity, reason, message };
        if cluster.get(&told.key(self)).is_none() {
            self.event(cluster, about, severity, reason, message);
        }
    }

    /// The same, told in the newer way (`client-go/tools/events`), which says what was being done and counts a series; the
    /// scheduler alone does so.
    pub fn acted(
        self,
        cluster: &mut Cluster,
        about: &Value,
        severity: Severity,
        reason: &str,
        action: &str,
        message: &str,
    ) {
        let now = time::format_micro(cluster.now());
        let short = shortened(message);
        let told = Told { about, severity, reason, message: &short };
        let key = told.key(self);
        if let Some(event) = cluster.get(&key) {
            let count = event.at(&["series", "count"]).as_int().unwrap_or(1);
            let _ = self.update(cluster, &key, |event| {
                event.set(&["series"], doc!({"count": (count + 1), "lastObservedTime": (now)}));
            });
            return;
        }
        let mut event = told.event(&key, self);
        event.set(&["action"], action);
        event.set(&["eventTime"], now);
        event.set(&["source"], doc!({}));
        event.set(&["reportingInstance"], format!("{}-0", self.name));
        let _ = self.create(cluster, "events", event);
    }
}

/// What people are told.
struct Told<'a> {
    about: &'a Value,
    severity: Severity,
    reason: &'a str,
    message: &'a str,
}

impl Told<'_> {
    fn kind(&self) -> &'static str {
        match self.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }

    /// The name is a digest of all that makes two events the same, so that the same event finds its predecessor.
    fn key(&self, by: Client) -> ObjectKey {
        let namespace = if self.about.namespace().is_empty() { "default" } else { self.about.namespace() };
        let digest = fingerprint(&[self.about.uid(), by.name, self.kind(), self.reason, self.message]);
        ObjectKey::new("events", Text::from(namespace), Text::from(format!("{}.{digest:016x}", self.about.name())))
    }

    fn event(&self, key: &ObjectKey, by: Client) -> Value {
        let about = self.about;
        doc!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": (key.name.clone()), "namespace": (key.namespace.clone())},
            "involvedObject": {
                "apiVersion": (about.api_version()), "kind": (about.kind()), "name": (about.name()),
                "namespace": (about.namespace()), "uid": (about.uid()), "resourceVersion": (about.resource_version()),
            },
            "reason": (self.reason),
            "message": (self.message),
            "type": (self.kind()),
            "reportingComponent": (by.source),
        })
    }
}

/// As much of a message as a newer event may carry.
fn shortened(message: &str) -> String {
    const MESSAGE_MAX: usize = 1024;
    const REST: &str = " ...";
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let end = (0..=MESSAGE_MAX - REST.len()).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{REST}", message.get(..end).unwrap_or_default())
}

/// FNV-1a over the parts, each ended by a zero: short, and the same everywhere.
fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, pod};

    #[test]
    fn what_happens_again_is_counted_in_the_way_in_which_it_was_told_first() {
        let client = Client { name: "default-scheduler", source: "default-scheduler", program: "kube-scheduler" };
        let mut cluster = cluster(&[]);
        let about = create(&mut cluster, "pods", pod("a"));
        for _ in 0..3 {
            client.event(&mut cluster, &about, Severity::Normal, "Seen", "seen");
            client.acted(&mut cluster, &about, Severity::Warning, "Tried", "Trying", &"long ".repeat(400));
        }
        let events = cluster.list("events", Some("shop")).map(|(_, event)| {
            let count = |path: &[&str]| event.at(path).as_int().unwrap_or(0);
            let length = event.at(&["message"]).str_or_empty().len();
            let action = event.at(&["action"]).str_or_empty();
            format!("{action} {length} {} {}", count(&["count"]), count(&["series", "count"]))
        });
        let mut events: Vec<String> = events.collect();
        events.sort();
        assert_eq!(events, [" 4 3 0", "Trying 1024 0 3"]);
    }
}
