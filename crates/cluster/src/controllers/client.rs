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
    /// Who speaks: `deployment-controller`. Events say so too.
    pub name: &'static str,
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
        Self { name, program: "kube-controller-manager" }
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
        let namespace = if about.namespace().is_empty() { "default" } else { about.namespace() };
        let kind = match severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let now = time::format(cluster.now());
        // The name is a digest of all that makes two events the same, so that the same event finds its predecessor.
        let digest = fingerprint(&[about.uid(), self.name, kind, reason, message]);
        let name = format!("{}.{digest:016x}", about.name());
        let key = ObjectKey::new("events", Text::from(namespace), Text::from(name.as_str()));
        let seen = cluster.get(&key).and_then(|event| event.at(&["count"]).as_int());
        if let Some(count) = seen {
            let _ = self.update(cluster, &key, |event| {
                event.set(&["count"], count + 1);
                event.set(&["lastTimestamp"], now);
            });
            return;
        }
        let event = doc!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": (name), "namespace": (namespace)},
            "involvedObject": {
                "apiVersion": (about.api_version()), "kind": (about.kind()), "name": (about.name()),
                "namespace": (about.namespace()), "uid": (about.uid()), "resourceVersion": (about.resource_version()),
            },
            "reason": (reason),
            "message": (message),
            "type": (kind),
            "count": 1,
            "firstTimestamp": (&now),
            "lastTimestamp": (&now),
            "source": {"component": (self.name)},
            "reportingComponent": (self.name),
            "reportingInstance": "",
            "eventTime": null,
        });
        let _ = self.create(cluster, "events", event);
    }
}

/// FNV-1a over the parts, each ended by a zero: short, and the same everywhere.
fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
