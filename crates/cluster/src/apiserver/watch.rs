//! Following what changes.
//!
//! Knows: which changes a watcher sees as what, as the API server's watch cache has it.
//! Does not know: connections.

use std::sync::Arc;

use super::call::{Call, Form, Watch};
use super::custom;
use super::selector::FieldSelector;
use super::status::Status;
use super::table::{self, Include, Table};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::labels::Selector;
use crate::object::ObjectKey;
use crate::schema::{Resource, Schema};
use crate::value::{Text, Value};

/// What of a collection is wanted, read once.
pub(super) struct Filter {
    resource: Arc<Resource>,
    pub(super) namespace: Text,
    labels: Selector,
    fields: FieldSelector,
}

impl Filter {
    pub(super) fn new(
        resource: &Arc<Resource>,
        namespace: &Text,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, Status> {
        let fields = FieldSelector::parse(fields.unwrap_or(""))?;
        fields.check(resource)?;
        let labels = Selector::parse(labels.unwrap_or("")).map_err(Status::bad_request)?;
        Ok(Self { resource: resource.clone(), namespace: namespace.clone(), labels, fields })
    }

    pub(super) fn of(call: &Call, resource: &Arc<Resource>) -> Result<Self, Status> {
        let options = &call.options;
        Self::new(resource, &call.on.namespace, options.label_selector.as_deref(), options.field_selector.as_deref())
    }

    /// The objects it admits, in order, after a namespace and name. Pods of a node, or with some labels, are not looked for
    /// among all others.
    pub(super) fn admitted<'a>(
        &'a self,
        cluster: &'a Cluster,
        after: Option<(&Text, &Text)>,
    ) -> Box<dyn Iterator<Item = (&'a ObjectKey, &'a Value)> + 'a> {
        let resource = &self.resource.storage.resource;
        let namespace = (!self.namespace.is_empty()).then_some(self.namespace.as_str());
        let start = after.map(|(namespace, name)| ObjectKey::new(resource, namespace.clone(), name.clone()));
        let indexed: Option<Box<dyn Iterator<Item = (&'a ObjectKey, &'a Value)> + 'a>> = if !resource.eq("pods") {
            None
        } else if let Some(node) = self.fields.demands("spec.nodeName") {
            Some(Box::new(cluster.pods_on(node)))
        } else if self.labels.is_empty() {
            None
        } else {
            Some(Box::new(cluster.labelled(namespace, |labels| self.labels.matches(labels))))
        };
        let later = move |key: &ObjectKey| start.as_ref().is_none_or(|start| key > start);
        let found = match (indexed, after) {
            (Some(indexed), _) => indexed,
            (None, None) => Box::new(cluster.list(resource, namespace)),
            (None, Some((space, name))) => {
                let start = ObjectKey::new(resource, space.clone(), name.clone());
                Box::new(cluster.list_from(start).take_while(move |(key, _)| {
                    key.resource == *resource && namespace.is_none_or(|namespace| key.namespace == namespace)
                }))
            }
        };
        Box::new(found.filter(move |(key, object)| later(key) && self.admits(object)))
    }

    pub(super) fn admits(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || object.namespace() == self.namespace)
            && self.labels.matches(object.labels())
            && self.fields.matches(&self.resource, object)
    }
}

impl Watch {
    /// The events since the last look: whole watch events, in the order of the changes.
    ///
    /// # Errors
    /// 410 `Expired` if what came in between is no longer kept.
    pub fn poll(&mut self, cluster: &Cluster) -> Result<Vec<Value>, Status> {
        let (plural, group) = super::status::split(&self.resource);
        let known = cluster.schema.resource(group, &self.version, plural).cloned();
        let Some(resource) = known else {
            return Err(Status::new(404, "NotFound", "the server could not find the requested resource"));
        };
        let filter =
            Filter::new(&resource, &self.namespace, self.label_selector.as_deref(), self.field_selector.as_deref())?;
        let mut events = std::mem::take(&mut self.first);
        let changes = cluster.changes_since(self.since).map_err(|compacted| {
            expired(&format!("too old resource version: {} ({})", compacted.asked, compacted.oldest))
        })?;
        let view = View::of(&cluster.schema, &resource, self.output.form, self.include_object.as_deref())?;
        for change in changes.filter(|change| change.key.resource == resource.storage.resource) {
            if let Some((kind, object)) = seen(change, &filter) {
                // The column names come with the first table only.
                let headers = !self.headed;
                self.headed = true;
                events.push(doc!({"type": (kind), "object": (view.one(&object, headers, cluster))}));
            }
        }
        // A watch that begins in the future waits for it.
        self.since = self.since.max(cluster.version());
        Ok(events)
    }

    /// A bookmark: everything up to here was told. None for a watcher that does not want to know.
    #[must_use]
    pub fn bookmark(&self, cluster: &Cluster) -> Option<Value> {
        let (plural, group) = super::status::split(&self.resource);
        let resource = cluster.schema.resource(group, &self.version, plural)?;
        let (kind, api_version) = match self.output.form {
            Form::Object => (resource.kind.clone(), resource.api_version()),
            Form::Table => ("Table".into(), "meta.k8s.io/v1".into()),
            Form::Metadata => ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into()),
        };
        self.bookmarks.then(|| {
            doc!({"type": "BOOKMARK", "object": {
                "kind": (kind), "apiVersion": (api_version), "metadata": {"resourceVersion": (self.since.to_string())},
            }})
        })
    }
}

/// 410: list again and follow from there.
pub(super) fn expired(message: &str) -> Status {
    Status::new(410, "Expired", message)
}

/// What a change is to a watcher: an object that begins to match is added to what it sees, one that ceases to is deleted.
fn seen(change: &Change, filter: &Filter) -> Option<(&'static str, Value)> {
    let before = change.before.as_ref().filter(|object| filter.admits(object));
    let after = change.after.as_ref().filter(|object| filter.admits(object));
    match (before, after) {
        (None, None) => None,
        (None, Some(object)) => Some(("ADDED", object.clone())),
        (Some(_), Some(object)) => Some(("MODIFIED", object.clone())),
        (Some(object), None) => {
            // The object as it was last seen, at the version at which it went.
            let mut object = object.clone();
            object.set(&["metadata", "resourceVersion"], change.version.to_string());
            Some(("DELETED", object))
        }
    }
}

/// How objects of a resource are shown to a client.
pub(super) struct View<'a> {
    schema: &'a Schema,
    resource: &'a Resource,
    form: Form,
    table: Option<Table>,
    include: Include,
}

impl<'a> View<'a> {
    pub(super) fn of(
        schema: &'a Schema,
        resource: &'a Resource,
        form: Form,
        include: Option<&str>,
    ) -> Result<Self, Status> {
        let table = (form == Form::Table).then(|| Table::of(resource));
        Ok(Self { schema, resource, form, table, include: Include::parse(include)? })
    }

    /// One object, in the version that the client speaks of.
    pub(super) fn one(&self, object: &Value, headers: bool, cluster: &Cluster) -> Value {
        let kept = object;
        let object = self.shown(object, cluster);
        match (&self.table, self.form) {
            (Some(table), _) => {
                let shown = if self.resource.custom { &object } else { kept };
                self.carrying(table.one(shown, self.include, headers, cluster.now()), &[kept])
            }
            (None, Form::Metadata) => table::partial(&object),
            (None, _) => object,
        }
    }

    /// An object in the version that the client speaks of; one of a custom kind as its definition has it now.
    fn shown(&self, object: &Value, cluster: &Cluster) -> Value {
        let kind = self.resource.gvk();
        if self.resource.custom {
            let read = custom::as_read(cluster, &self.resource.storage.resource, object);
            return self.schema.convert(&read, &kind);
        }
        self.schema.convert(object, &kind)
    }

    /// A table of built-in objects. Its cells are told from them as they are kept, whatever version the client speaks; the
    /// objects that it carries are in that version.
    fn carrying(&self, mut table: Value, kept: &[&Value]) -> Value {
        if self.include == Include::Object
            && let Some(rows) = table.find_mut(&["rows"]).and_then(Value::as_array_mut)
        {
            for (row, kept) in rows.edit().iter_mut().zip(kept) {
                row.set(&["object"], self.schema.convert(kept, &self.resource.gvk()));
            }
        }
        table
    }

    /// A list, with its metadata.
    pub(super) fn list(&self, objects: &[Value], metadata: Value, cluster: &Cluster) -> Value {
        let convert = |object: &Value| self.shown(object, cluster);
        match (&self.table, self.form) {
            (Some(table), _) if self.resource.custom => {
                let objects: Vec<Value> = objects.iter().map(convert).collect();
                table.list(&objects, metadata, self.include, true, cluster.now())
            }
            (Some(table), _) => {
                let shown = table.list(objects, metadata, self.include, true, cluster.now());
                self.carrying(shown, &objects.iter().collect::<Vec<_>>())
            }
            (None, Form::Metadata) => doc!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": (metadata),
                "items": (objects.iter().map(|object| table::partial(&convert(object))).collect::<Value>()),
            }),
            (None, _) => {
                let bare = |object: &Value| {
                    let mut item = convert(object);
                    // Go's typed lists leave out what the list itself says; lists of custom resources are untyped.
                    if !self.resource.custom {
                        item.object().remove("kind");
                        item.object().remove("apiVersion");
                    }
                    item
                };
                doc!({
                    "kind": (&self.resource.list_kind), "apiVersion": (self.resource.api_version()), "metadata": (metadata),
                    "items": (objects.iter().map(bare).collect::<Value>()),
                })
            }
        }
    }
}
