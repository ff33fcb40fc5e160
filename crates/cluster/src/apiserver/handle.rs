//! What comes of a call.
//!
//! Knows: which part of the API server answers which call.
//! Does not know: how a call came in, or what controllers make of a change.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::call::{Answer, Call, Content, Form, PatchType, User, Verb, Watch};
use super::registry::{self, Deleted, Deletion, Part, Writer};
use super::status::Status;
use super::watch::{Filter, View, expired};
use super::{auth, discovery, patch, subresources};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::Resource;
use crate::value::{Text, Value};

/// Answers a call, and changes the cluster if it says so.
///
/// # Errors
/// What the API server would answer instead.
pub fn handle(cluster: &mut Cluster, call: &Call, user: &User) -> Result<Answer, Status> {
    let user = &auth::acting(cluster, call, user)?;
    auth::authorize(cluster, call, user)?;
    if call.on.resource.is_empty() {
        return Ok(discovery::answer(cluster, call));
    }
    let known = cluster.schema.resource(&call.on.group, &call.on.version, &call.on.resource).cloned();
    let resource =
        known.ok_or_else(|| Status::new(404, "NotFound", "the server could not find the requested resource"))?;
    let request = Request { resource, call, user };
    if !call.on.subresource.is_empty() {
        return subresources::answer(cluster, &request);
    }
    match call.verb {
        Verb::Get => get(cluster, &request),
        Verb::List => list(cluster, &request),
        Verb::Watch => watch(cluster, &request),
        Verb::Create if !request.resource.allows("list") && auth::is_review(&request.resource) => {
            auth::review(cluster, &request)
        }
        Verb::Create => create(cluster, &request),
        Verb::Update => update(cluster, &request, Part::Main),
        Verb::Patch(kind) => patch(cluster, &request, kind, Part::Main),
        Verb::Delete => delete(cluster, &request),
        Verb::DeleteCollection => delete_collection(cluster, &request),
        Verb::Connect => {
            Err(Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource"))
        }
    }
}

/// A call whose resource is known.
pub(super) struct Request<'a> {
    pub(super) resource: Arc<Resource>,
    pub(super) call: &'a Call,
    pub(super) user: &'a User,
}

impl Request<'_> {
    /// Where the named object is kept.
    pub(super) fn key(&self) -> ObjectKey {
        let on = &self.call.on;
        ObjectKey::new(self.resource.storage.resource.clone(), on.namespace.clone(), on.name.clone())
    }

    /// A refusal that names the resource as the client does, where several show one storage.
    pub(super) fn named(&self, status: Status) -> Status {
        let (stored, shown) = (&self.resource.storage.resource, self.resource.id());
        if *stored == shown || status.code != 404 { status } else { Status::not_found(&shown, &self.call.on.name) }
    }

    /// The named object as it is kept.
    pub(super) fn stored(&self, cluster: &Cluster) -> Result<Value, Status> {
        cluster.get(&self.key()).cloned().ok_or_else(|| Status::not_found(&self.resource.id(), &self.call.on.name))
    }

    /// Who writes, and under which name.
    pub(super) fn writer(&self) -> Writer {
        let options = &self.call.options;
        // `managerOrUserAgent`: what the client calls itself, up to the first slash.
        let program = self.call.user_agent.split('/').next().unwrap_or("");
        Writer {
            user: self.user.clone(),
            manager: options.field_manager.clone().unwrap_or_else(|| program.to_owned()),
            dry_run: options.dry_run,
        }
    }

    /// An object as the client asked to see it.
    pub(super) fn show(&self, cluster: &Cluster, code: u16, object: &Value) -> Result<Answer, Status> {
        let view = View::of(
            &cluster.schema,
            &self.resource,
            self.call.output.form,
            self.call.options.include_object.as_deref(),
        )?;
        Ok(Answer::document(code, view.one(object, true, cluster)))
    }

    /// The body as an object of the named resource, in the form in which it is kept.
    pub(super) fn body(&self, cluster: &Cluster) -> Result<Value, Status> {
        let (body, resource) = (&self.call.body, &self.resource);
        if body.as_object().is_none() {
            return Err(Status::bad_request("the body of the request is no object"));
        }
        let shown = resource.api_version();
        for (said, want, field) in
            [(body.api_version(), shown.as_str(), "apiVersion"), (body.kind(), resource.kind.as_str(), "kind")]
        {
            if !said.is_empty() && said != want {
                let message = match field {
                    "kind" => format!(
                        "{} in version {:?} cannot be handled as a {}: converting ({}).{said} to ({}).{} is not possible",
                        said, resource.version, resource.kind, shown, shown, resource.kind
                    ),
                    _ => {
                        format!("the API version in the data ({said}) does not match the expected API version ({want})")
                    }
                };
                return Err(Status::bad_request(message));
            }
        }
        let mut object = body.clone();
        object.set(&["apiVersion"], &shown);
        object.set(&["kind"], &resource.kind);
        let namespace = object.namespace().to_owned();
        if resource.namespaced {
            if namespace.is_empty() {
                object.set(&["metadata", "namespace"], &self.call.on.namespace);
            } else if namespace != self.call.on.namespace.as_str() {
                return Err(Status::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
        }
        let name = object.name().to_owned();
        if !self.call.on.name.is_empty() {
            if name.is_empty() {
                object.set(&["metadata", "name"], &self.call.on.name);
            } else if name != self.call.on.name.as_str() {
                return Err(Status::bad_request(format!(
                    "the name of the object ({name}) does not match the name on the URL ({})",
                    self.call.on.name
                )));
            }
        }
        if let Some(typed) = resource.ty().as_go(&object) {
            object = typed;
        }
        Ok(cluster.schema.convert(&object, &resource.storage.kind))
    }
}

fn get(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let object = request.stored(cluster)?;
    request.show(cluster, 200, &object)
}

/// Where a page of a list ended.
fn token(version: u64, after: &ObjectKey) -> String {
    let place =
        doc!({"v": "meta.k8s.io/v1", "rv": (version), "start": (format!("{}/{}", after.namespace, after.name))});
    URL_SAFE_NO_PAD.encode(place.to_json())
}

fn from_token(text: &str) -> Result<(u64, Text, Text), Status> {
    let bad = || Status::bad_request("continue key is not valid: it was not made by this server");
    let place = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Value::from_json(&bytes).ok()).ok_or_else(bad)?;
    let version = place.at(&["rv"]).as_int().and_then(|version| u64::try_from(version).ok()).ok_or_else(bad)?;
    let (namespace, name) = place.at(&["start"]).as_str().and_then(|start| start.split_once('/')).ok_or_else(bad)?;
    Ok((version, Text::from(namespace), Text::from(name)))
}

fn list(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (call, resource) = (request.call, &request.resource);
    let filter = Filter::of(call, resource)?;
    let namespace = (!call.on.namespace.is_empty()).then_some(call.on.namespace.as_str());
    let (mut version, mut start) = (cluster.version(), None);
    if let Some(text) = &call.options.continue_token {
        let (at, namespace, name) = from_token(text)?;
        (version, start) = (at, Some((namespace, name)));
    }
    let stored = cluster.list(&resource.storage.resource, namespace);
    let mut matching = stored
        .filter(|(key, _)| {
            start.as_ref().is_none_or(|(namespace, name)| (&key.namespace, &key.name) > (namespace, name))
        })
        .filter(|(_, object)| filter.admits(object))
        .peekable();
    let limit = call.options.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut objects = Vec::new();
    let mut metadata = doc!({"resourceVersion": (version.to_string())});
    let mut last = None;
    while objects.len() < limit {
        let Some((key, object)) = matching.next() else { break };
        objects.push(object.clone());
        last = Some(key);
    }
    if let (Some(last), Some(_)) = (last, matching.peek()) {
        metadata.set(&["continue"], token(version, last));
        // How many remain is said only where nothing had to be looked at to know it.
        if call.options.label_selector.is_none() && call.options.field_selector.is_none() {
            metadata.set(&["remainingItemCount"], matching.count());
        }
    }
    let view = View::of(&cluster.schema, resource, call.output.form, call.options.include_object.as_deref())?;
    Ok(Answer::document(200, view.list(&objects, metadata, cluster)))
}

fn watch(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (call, resource) = (request.call, &request.resource);
    let filter = Filter::of(call, resource)?;
    let asked = call.options.resource_version.as_deref().unwrap_or("");
    let since: u64 = match asked {
        "" | "0" => cluster.version(),
        text => text.parse().map_err(|_| {
            Status::bad_request(format!(
                "invalid resource version \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
            ))
        })?,
    };
    let view = View::of(&cluster.schema, resource, call.output.form, call.options.include_object.as_deref())?;
    let mut first = Vec::new();
    // Without a version a watch begins with everything there is, unless told not to.
    let initial = call.options.initial_events.unwrap_or(matches!(asked, "" | "0"));
    if initial {
        let namespace = (!call.on.namespace.is_empty()).then_some(call.on.namespace.as_str());
        for (_, object) in
            cluster.list(&resource.storage.resource, namespace).filter(|(_, object)| filter.admits(object))
        {
            first.push(doc!({"type": "ADDED", "object": (view.one(object, first.is_empty(), cluster))}));
        }
    }
    if call.options.initial_events == Some(true) && call.options.bookmarks {
        first.push(doc!({"type": "BOOKMARK", "object": {
            "kind": (&resource.kind), "apiVersion": (resource.api_version()),
            "metadata": {
                "resourceVersion": (cluster.version().to_string()), "creationTimestamp": null,
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }}));
    }
    let since = if initial { cluster.version() } else { since };
    if let Err(compacted) = cluster.changes_since(since).map(|_| ()) {
        return Err(expired(&format!("too old resource version: {} ({})", compacted.asked, compacted.oldest)));
    }
    let watch = Watch {
        resource: resource.id(),
        version: resource.version.clone(),
        namespace: call.on.namespace.clone(),
        label_selector: call.options.label_selector.clone(),
        field_selector: call.options.field_selector.clone(),
        headed: !first.is_empty() && call.output.form == Form::Table,
        first,
        since,
        bookmarks: call.options.bookmarks,
        timeout_seconds: call.options.timeout_seconds,
        output: call.output.clone(),
        include_object: call.options.include_object.clone(),
    };
    Ok(Answer { code: 200, content: Content::Watch(watch), warnings: Vec::new(), headers: Vec::new() })
}

fn create(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let object = request.body(cluster)?;
    let made = registry::create(cluster, &request.resource.storage.resource, object, &request.writer())?;
    let mut answer = request.show(cluster, 201, &made)?;
    answer.warnings.extend(registry::warnings(cluster, &request.resource.storage.resource, &made));
    Ok(answer)
}

/// PUT. What is not there is made where the kind allows it.
pub(super) fn update(cluster: &mut Cluster, request: &Request<'_>, part: Part) -> Result<Answer, Status> {
    let object = request.body(cluster)?;
    let key = request.key();
    if cluster.get(&key).is_none() && part == Part::Main && registry::makes_on_update(&key.resource) {
        if !object.uid().is_empty() || !object.resource_version().is_empty() {
            return Err(Status::not_found(&request.resource.id(), &key.name));
        }
        let made = registry::create(cluster, &key.resource, object, &request.writer())?;
        return request.show(cluster, 201, &made);
    }
    if let Some(old) = cluster.get(&key).filter(|old| !object.uid().is_empty() && object.uid() != old.uid()) {
        return Err(other_object(request, &key, old.uid(), object.uid()));
    }
    let updated = registry::update(cluster, &key, object, part, &request.writer())?;
    request.show(cluster, 200, &updated)
}

/// A PUT that means an object of another uid is refused by the storage itself, in its own words.
fn other_object(request: &Request<'_>, key: &ObjectKey, have: &str, wanted: &str) -> Status {
    let (resource, plural) = (&request.resource, request.resource.plural.as_str());
    let place = match plural {
        _ if resource.custom => format!("{}/{plural}", resource.group),
        "nodes" => "minions".to_owned(),
        "services" | "endpoints" => format!("services/{}", if plural == "services" { "specs" } else { plural }),
        plural => plural.to_owned(),
    };
    let namespace = if key.namespace.is_empty() { String::new() } else { format!("/{}", key.namespace) };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{place}{namespace}/{}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {have}",
        key.name
    );
    Status::conflict(&resource.id(), &key.name, &why)
}

/// PATCH, of the object or its status.
pub(super) fn patch(
    cluster: &mut Cluster,
    request: &Request<'_>,
    kind: PatchType,
    part: Part,
) -> Result<Answer, Status> {
    let (key, resource) = (request.key(), &request.resource);
    let stored = cluster.get(&key).cloned();
    if resource.custom && kind == PatchType::Strategic {
        let message = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        return Err(Status::new(415, "UnsupportedMediaType", message));
    }
    let Some(stored) = stored else {
        if kind == PatchType::Apply && part == Part::Main {
            let object = request.body(cluster)?;
            let made = registry::create(cluster, &key.resource, object, &request.writer())?;
            return request.show(cluster, 201, &made);
        }
        return Err(Status::not_found(&resource.id(), &key.name));
    };
    let shown = cluster.schema.convert(&stored, &resource.gvk());
    let mut patched = patch::apply(kind, resource.ty(), &shown, &request.call.body)?;
    if let Some(typed) = resource.ty().as_go(&patched) {
        patched = typed;
    }
    if patched.name() != stored.name() {
        return Err(Status::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            patched.name(),
            key.name
        )));
    }
    let patched = cluster.schema.convert(&patched, &resource.storage.kind);
    let updated = registry::update(cluster, &key, patched, part, &request.writer())?;
    request.show(cluster, 200, &updated)
}

fn deletion(call: &Call) -> Deletion {
    let options = &call.options;
    let orphan = options.orphan_dependents.map(|orphan| if orphan { "Orphan" } else { "Background" }.to_owned());
    Deletion {
        uid: options.uid.clone(),
        resource_version: options.if_resource_version.clone(),
        propagation: options.propagation.clone().or(orphan),
        grace_period_seconds: options.grace_period_seconds,
    }
}

fn delete(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (key, resource) = (request.key(), &request.resource);
    let Deleted { object: deleted, gone } = registry::remove(cluster, &key, &deletion(request.call), &request.writer())
        .map_err(|status| request.named(status))?;
    // What is not gone yet, and what somebody wants to know the last state of, is answered with itself. It is only
    // accepted if the client wanted the dependents gone too, in the old way of saying so.
    if !gone || registry::answers_with_itself(&key.resource) {
        let accepted = !gone && request.call.options.orphan_dependents == Some(false);
        return request.show(cluster, if accepted { 202 } else { 200 }, &deleted);
    }
    let mut details = doc!({"name": (&key.name), "kind": (&resource.plural), "uid": (deleted.uid())});
    if !resource.group.is_empty() {
        details.set(&["group"], &resource.group);
    }
    Ok(Answer::document(
        200,
        doc!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": (details)}),
    ))
}

fn delete_collection(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (call, resource) = (request.call, &request.resource);
    let filter = Filter::of(call, resource)?;
    let namespace = (!call.on.namespace.is_empty()).then_some(call.on.namespace.as_str());
    let found: Vec<(ObjectKey, Value)> = cluster
        .list(&resource.storage.resource, namespace)
        .filter(|(_, object)| filter.admits(object))
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect();
    let (deletion, writer) = (deletion(call), request.writer());
    for (key, _) in &found {
        match registry::delete(cluster, key, &deletion, &writer) {
            Err(status) if status.code != 404 => return Err(status),
            _ => {}
        }
    }
    let version = doc!({"resourceVersion": (cluster.version().to_string())});
    let objects: Vec<Value> = found.into_iter().map(|(_, object)| object).collect();
    let view = View::of(&cluster.schema, resource, call.output.form, call.options.include_object.as_deref())?;
    Ok(Answer::document(200, view.list(&objects, version, cluster)))
}
