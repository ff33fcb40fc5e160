//! What comes of a call.
//!
//! Knows: which part of the API server answers which call.
//! Does not know: how a call came in, or what controllers make of a change.

use std::sync::Arc;

use super::call::{Answer, Call, FieldValidation, PatchType, User, Verb};
use super::fields::{self, Sent};
use super::registry::{self, Deleted, Deletion, Heard, Part, Writer};
use super::status::{Cause, Status};
use super::watch::{Filter, View};
use super::{auth, custom, decode, discovery, list, patch, subresources};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::{GroupVersionKind, Resource, Type};
use crate::value::Value;

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
    let on = &call.on;
    let Some(resource) = cluster.schema.resource(&on.group, &on.version, &on.resource).cloned() else {
        // Only the server of built-in groups has words for what it has not.
        let built_in = cluster.schema.group(&on.group).is_some_and(|group| {
            group
                .versions
                .iter()
                .any(|version| cluster.schema.resources_of(&on.group, version).any(|have| !have.custom))
        });
        return if built_in { Err(Status::no_such_path()) } else { Ok(discovery::not_found()) };
    };
    let heard = Heard::new(resource.deprecation.iter().map(ToString::to_string).collect::<Vec<_>>().into());
    let mut result = dispatch(cluster, &Request { resource, call, user, heard: heard.clone() });
    let told = told(heard.take());
    warn(&mut result, &told);
    if matches!(call.verb, Verb::Create | Verb::Update) {
        let faults: Vec<String> = call.faults.iter().flat_map(|fault| each_line(fault)).collect();
        warn(&mut result, &faults);
    }
    result
}

/// So many letters a client is told at most, and of one thing so many if that is not enough for all.
const TOLD_MAX: usize = 4 * 1024;
const TOLD_EACH_MAX: usize = 256;

/// Warnings as a client gets them: none twice, and not too many.
fn told(heard: Vec<String>) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for warning in heard {
        if !told.contains(&warning) {
            told.push(warning);
        }
    }
    if told.iter().map(|warning| warning.chars().count()).sum::<usize>() <= TOLD_MAX {
        return told;
    }
    let mut length = 0;
    let short = told.into_iter().map(|warning| warning.chars().take(TOLD_EACH_MAX).collect::<String>());
    short
        .take_while(|warning| {
            length += warning.chars().count();
            length <= TOLD_MAX
        })
        .collect()
}

/// Puts warnings (what field validation has against a body, what policies do) before what else the client is told, whatever
/// the answer is.
fn warn(result: &mut Result<Answer, Status>, faults: &[String]) {
    let warnings = match result {
        Ok(answer) => &mut answer.warnings,
        Err(status) => &mut status.warnings,
    };
    warnings.splice(0..0, faults.iter().cloned());
}

fn dispatch(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let call = request.call;
    if !call.on.subresource.is_empty() {
        return subresources::answer(cluster, request);
    }
    match call.verb {
        Verb::Get => get(cluster, request),
        Verb::List => list::list(cluster, request),
        Verb::Watch => list::watch(cluster, request),
        Verb::Create if !request.resource.allows("list") && auth::is_review(&request.resource) => {
            auth::review(cluster, request)
        }
        Verb::Create if request.resource.id() == "bindings" => subresources::bind(cluster, request),
        Verb::Create => create(cluster, request),
        Verb::Update => update(cluster, request, Part::Main),
        Verb::Patch(kind) => patch(cluster, request, kind, Part::Main),
        Verb::Delete => delete(cluster, request),
        Verb::DeleteCollection => delete_collection(cluster, request),
        Verb::Connect => {
            Err(Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource"))
        }
    }
}

/// The options of a call in the fields of `CreateOptions`, `UpdateOptions` or `DeleteOptions`.
fn shown_options(call: &Call) -> Value {
    let options = &call.options;
    let mut shown = doc!({});
    if options.dry_run {
        shown.set(&["dryRun"], doc!(["All"]));
    }
    if matches!(call.verb, Verb::Delete | Verb::DeleteCollection) {
        if let Some(seconds) = options.grace_period_seconds {
            shown.set(&["gracePeriodSeconds"], seconds);
        }
        if let Some(orphan) = options.orphan_dependents {
            shown.set(&["orphanDependents"], orphan);
        }
        let preconditions = [("uid", &options.uid), ("resourceVersion", &options.if_resource_version)];
        for (name, wanted) in preconditions {
            if let Some(wanted) = wanted {
                shown.set(&["preconditions", name], wanted);
            }
        }
        if let Some(propagation) = &options.propagation {
            shown.set(&["propagationPolicy"], propagation);
        }
        return shown;
    }
    if let Some(manager) = &options.field_manager {
        shown.set(&["fieldManager"], manager);
    }
    if matches!(call.verb, Verb::Patch(PatchType::Apply)) {
        shown.set(&["force"], options.force);
    }
    shown
}

/// A call whose resource is known.
pub(super) struct Request<'a> {
    pub(super) resource: Arc<Resource>,
    pub(super) call: &'a Call,
    pub(super) user: &'a User,
    /// What policies have to say, though they do not refuse.
    heard: Heard,
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
        let key = self.key();
        let kept = cluster.get(&key).map(|kept| custom::as_read(cluster, &key.resource, kept));
        kept.ok_or_else(|| Status::not_found(&self.resource.id(), &self.call.on.name))
    }

    /// Who writes, and under which name.
    pub(super) fn writer(&self) -> Writer {
        let options = &self.call.options;
        // `managerOrUserAgent`: what the client calls itself, up to the first slash.
        let program = self.call.user_agent.split('/').next().unwrap_or("");
        Writer {
            user: self.user.clone(),
            manager: options.field_manager.clone().unwrap_or_else(|| program.to_owned()),
            version: self.resource.api_version(),
            subresource: self.call.on.subresource.clone(),
            applied: false,
            dry_run: options.dry_run,
            unnamed: self.call.on.name.is_empty() && self.call.verb == Verb::DeleteCollection,
            options: shown_options(self.call),
            heard: self.heard.clone(),
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
        self.document(cluster, &self.call.body)
    }

    /// A document as an object of the named resource, in the form in which it is kept.
    fn document(&self, cluster: &Cluster, body: &Value) -> Result<Value, Status> {
        let resource = &self.resource;
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
            if name.is_empty() && !self.call.on.subresource.is_empty() {
                object.set(&["metadata", "name"], &self.call.on.name);
            } else if name != self.call.on.name.as_str() {
                return Err(decode::another_name(&name, &self.call.on.name));
            }
        }
        read_by_go(resource.ty(), &mut object);
        Ok(cluster.schema.convert(&object, &resource.storage.kind))
    }
}

fn get(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    list::check_version(cluster, request.call.options.resource_version.as_deref())?;
    let object = request.stored(cluster)?;
    request.show(cluster, 200, &object)
}

fn create(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let object = request.body(cluster)?;
    let made = registry::create(cluster, &request.resource.storage.resource, object, &request.writer())?;
    request.show(cluster, 201, &made)
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
pub(super) fn other_object(request: &Request<'_>, key: &ObjectKey, have: &str, wanted: &str) -> Status {
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
    let stored = cluster.get(&key).map(|kept| custom::as_read(cluster, &key.resource, kept));
    if resource.custom && kind == PatchType::Strategic {
        let message = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        return Err(Status::new(415, "UnsupportedMediaType", message));
    }
    if kind == PatchType::Apply {
        return apply(cluster, request, stored.as_ref(), part);
    }
    let Some(stored) = stored else {
        return Err(Status::not_found(&resource.id(), &key.name));
    };
    let shown = cluster.schema.convert(&stored, &resource.gvk());
    let (patched, warnings) = patched(cluster, request.call, kind, resource.ty(), &resource.gvk(), &shown)?;
    let mut result = write(cluster, request, patched, &stored, part);
    warn(&mut result, &warnings);
    result
}

/// Makes a document what Go reads in it. To Go no managed fields are another thing than none at all: they ask that all be
/// forgotten.
fn read_by_go(ty: Type<'_>, object: &mut Value) {
    let path = ["metadata", "managedFields"];
    let none = object.find(&path).is_some_and(|fields| fields.as_array().is_some() && fields.is_empty());
    if let Some(typed) = ty.as_go_read(object) {
        *object = typed;
    }
    if none {
        object.set(&path, doc!([]));
    }
}

/// Writes what a patch made of an object.
fn write(
    cluster: &mut Cluster,
    request: &Request<'_>,
    mut patched: Value,
    stored: &Value,
    part: Part,
) -> Result<Answer, Status> {
    let (key, resource) = (request.key(), &request.resource);
    read_by_go(resource.ty(), &mut patched);
    if patched.namespace().is_empty() && !stored.namespace().is_empty() {
        patched.set(&["metadata", "namespace"], stored.namespace());
    }
    if patched.name() != stored.name() {
        return Err(decode::another_name(patched.name(), &key.name));
    }
    if patched.namespace() != stored.namespace() {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(message));
    }
    let patched = cluster.schema.convert(&patched, &resource.storage.kind);
    let updated = registry::update(cluster, &key, patched, part, &request.writer())?;
    request.show(cluster, 200, &updated)
}

/// What a patch makes of a document of this type, and what the client should be told of it.
pub(super) fn patched(
    cluster: &Cluster,
    call: &Call,
    kind: PatchType,
    ty: Type<'_>,
    expected: &GroupVersionKind,
    shown: &Value,
) -> Result<(Value, Vec<String>), Status> {
    let mut patched = patch::apply(kind, ty, shown, &call.body)?;
    let from_text = ty.is_go() && kind != PatchType::Strategic;
    if from_text && patched.kind().is_empty() {
        patched.set(&["kind"], &expected.kind);
    }
    // It is refused as a whole, in the form in which its reader saw it.
    let refuse = |why: String| {
        let seen = match kind {
            PatchType::Strategic => Value::from(patch::go_map(&call.body)),
            PatchType::Json => Value::from(fields::as_go_writes(ty, &patched, &patch::opened(&call.body))),
            _ => Value::from(fields::as_go_writes(ty, &patched, &call.body)),
        };
        Status::invalid("", "", "", &[Cause::invalid("patch", seen, &why)])
    };
    let read = match kind {
        PatchType::Strategic => fields::restore(ty, &patched),
        _ if from_text && patched.api_version().is_empty() => Ok(nothing_known(&patched)),
        _ if from_text && let Some(why) = decode::misfit(&cluster.schema, expected, &patched) => Err(why),
        _ => fields::read(ty, &patched, false, || Sent::from(&patched)),
    };
    let mut read = read.map_err(refuse)?;
    read.faults.splice(0..0, call.faults.iter().cloned());
    let warnings = fields::judge(call.options.field_validation, read.faults).map_err(refuse)?;
    Ok((read.value, warnings))
}

/// What does not say its version is read into the type that the server keeps to itself, whose fields have no names in JSON:
/// none of it is known.
fn nothing_known(document: &Value) -> fields::Read {
    let (own, strangers): (Vec<_>, Vec<_>) =
        document.entries().iter().cloned().partition(|(key, _)| matches!(key.as_str(), "kind" | "apiVersion"));
    fields::Read {
        value: Value::Object(own.into_iter().collect()),
        faults: strangers.iter().map(|(key, _)| format!("unknown field {:?}", key.as_str())).collect(),
    }
}

/// Server-side apply: it makes what is not there, except through a subresource.
fn apply(cluster: &mut Cluster, request: &Request<'_>, stored: Option<&Value>, part: Part) -> Result<Answer, Status> {
    let (key, resource, call) = (request.key(), &request.resource, request.call);
    if stored.is_none() && !call.on.subresource.is_empty() {
        return Err(Status::not_found(&resource.id(), &key.name));
    }
    let (code, written, warnings) = applied(cluster, request, stored, part, &call.body)?;
    let mut answer = request.show(cluster, code, &written)?;
    answer.warnings.extend(warnings);
    Ok(answer)
}

/// Applies what a manager wants of an object: the code to answer with, the object, and what the client should be told.
pub(super) fn applied(
    cluster: &mut Cluster,
    request: &Request<'_>,
    stored: Option<&Value>,
    part: Part,
    wanted: &Value,
) -> Result<(u16, Value, Vec<String>), Status> {
    let (key, resource, call) = (request.key(), &request.resource, request.call);
    let writer = Writer { applied: true, ..request.writer() };
    let live = stored.map(|stored| cluster.schema.convert(stored, &resource.gvk()));
    let Some(writing) = registry::writing(cluster, &key.resource, part, &writer) else {
        return Err(Status::not_found(&resource.id(), &key.name));
    };
    let applied = writing.apply(live.as_ref(), wanted, call.options.force)?;
    let warnings = twice(call)?;
    let object = request.document(cluster, &applied)?;
    let (code, written) = if stored.is_some() {
        (200, registry::update(cluster, &key, object, part, &writer)?)
    } else if object.uid().is_empty() {
        (201, registry::create(cluster, &key.resource, object, &writer)?)
    } else {
        // Whoever names a uid means an object that was there.
        let why = format!(
            "uid mismatch: the provided object specified uid {}, and no existing object was found",
            object.uid()
        );
        return Err(Status::conflict(&resource.id(), &key.name, &why));
    };
    Ok((code, written, warnings))
}

/// What field validation says of keys that stand twice in what is applied.
fn twice(call: &Call) -> Result<Vec<String>, Status> {
    match (call.options.field_validation, call.faults.first()) {
        (FieldValidation::Strict, Some(fault)) => {
            Err(Status::bad_request(format!("error strict decoding YAML: {fault}")))
        }
        _ => Ok(call.faults.iter().flat_map(|fault| each_line(fault)).collect()),
    }
}

/// What the reader of YAML says of several lines is told line by line.
fn each_line(fault: &str) -> Vec<String> {
    let mut lines = fault.lines();
    match lines.next() {
        Some(first) if first.ends_with("yaml: unmarshal errors:") => lines.map(|line| line.trim().to_owned()).collect(),
        _ => vec![fault.to_owned()],
    }
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

/// Who deletes jobs without a word about their pods is told that the pods stay.
fn say_what_stays(request: &Request<'_>) {
    let options = &request.call.options;
    if request.resource.id() == "jobs.batch" && options.propagation.is_none() && options.orphan_dependents.is_none() {
        let warning = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove \
                       them or set propagationPolicy=Orphan to suppress this warning";
        request.heard.borrow_mut().push(warning.to_owned());
    }
}

fn delete(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    say_what_stays(request);
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
    say_what_stays(request);
    let (call, resource) = (request.call, &request.resource);
    let filter = Filter::of(call, resource)?;
    let page = call.options.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let found: Vec<(ObjectKey, Value)> =
        filter.admitted(cluster, None).take(page).map(|(key, object)| (key.clone(), object.clone())).collect();
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
