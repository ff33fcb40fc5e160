//! What lies below an object: `status`, `scale`, `eviction`, `binding`, `token`, `finalize`.
//!
//! Knows: what each reads and writes.
//! Does not know: connections; what needs a kubelet is refused, because nothing really runs here.

use super::Form;
use super::admission;
use super::call::{Answer, Content, PatchType, Verb};
use super::handle::{self, Request};
use super::registry::{self, Deletion, Part};
use super::status::{Cause, Status};
use super::table::{Include, Table};
use crate::cluster::Cluster;
use crate::doc;
use crate::labels;
use crate::object::ObjectKey;
use crate::schema::{GroupVersionKind, ScalePaths, Schema};
use crate::time;
use crate::value::Value;

/// Answers a call to a subresource.
pub(super) fn answer(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let on = &request.call.on;
    if request.resource.subresource(&on.subresource).is_none() {
        return Err(Status::new(404, "NotFound", "the server could not find the requested resource"));
    }
    match (on.subresource.as_str(), request.call.verb) {
        ("status" | "approval", verb) => own(cluster, request, verb, Part::Status),
        ("ephemeralcontainers", verb) => own(cluster, request, verb, Part::EphemeralContainers),
        ("resize", verb) => own(cluster, request, verb, Part::Resources),
        ("scale", verb) => scale(cluster, request, verb),
        ("eviction", Verb::Create) => evict(cluster, request),
        ("binding", Verb::Create) => bind(cluster, request),
        ("token", Verb::Create) => token(cluster, request),
        ("finalize", Verb::Update) => finalize(cluster, request),
        ("log", Verb::Get) => log(cluster, request),
        _ => connect(cluster, request),
    }
}

/// A pod's log. One that no node has taken on has said nothing yet; what others say nobody here has heard.
fn log(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let pod = request.stored(cluster)?;
    check_log(request.call)?;
    check_container(&pod, request.call)?;
    if pod.at(&["spec", "nodeName"]).is_empty() {
        let content = Content::Raw { content_type: "text/plain", bytes: bytes::Bytes::new() };
        return Ok(Answer { code: 204, content, warnings: Vec::new(), headers: Vec::new() });
    }
    Err(not_simulated("the containers of a simulated pod print nothing: there is no log"))
}

/// How much of a log is wanted is a number, and not too small a one.
fn check_log(call: &super::Call) -> Result<(), Status> {
    let asked = |name: &str| {
        let text = call.options.others.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str());
        text.filter(|text| !text.is_empty()).map(|text| {
            let why = || Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
            text.parse::<i64>().map_err(|_| why())
        })
    };
    let mut causes = Vec::new();
    for (name, least, why) in [
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ] {
        if let Some(number) = asked(name).transpose()?.filter(|number| *number < least) {
            causes.push(Cause::invalid(name, number, why));
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", &call.on.name, &causes)) }
}

/// A stream into a pod, a node or a service.
fn connect(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    admission::validate_connect(cluster, &request.key(), &stream_options(request), &request.writer())?;
    let object = request.stored(cluster)?;
    if request.key().is("pods") && request.call.on.subresource != "proxy" {
        if request.call.on.subresource != "portforward" {
            check_container(&object, request.call)?;
        }
        if object.at(&["spec", "nodeName"]).is_empty() {
            return Err(Status::bad_request(format!("pod {} does not have a host assigned", object.name())));
        }
    }
    Err(not_simulated("nothing really runs in a simulated pod: there is nothing to connect to"))
}

/// What a stream is opened with, as the document that its query stands for.
fn stream_options(request: &Request<'_>) -> Value {
    let Some(below) = request.resource.subresource(&request.call.on.subresource) else { return Value::Null };
    let mut options = doc!({"kind": (&below.kind.kind), "apiVersion": (below.kind.api_version())});
    if below.kind.kind == "PodExecOptions" {
        options.set(&["command"], Value::Null);
    }
    for (name, text) in &request.call.options.others {
        let list = matches!(name.as_str(), "command" | "ports");
        let value = match (name.as_str(), text.as_str()) {
            ("stdin" | "stdout" | "stderr" | "tty", "1" | "t" | "T" | "true" | "TRUE" | "True") => Value::from(true),
            ("ports", text) => text.parse::<i64>().map_or(Value::Null, Value::from),
            ("command" | "container" | "path", text) if !text.is_empty() => Value::from(text),
            _ => continue,
        };
        if list { options.make(&[name]).array().push(value) } else { options.set(&[name], value) }
    }
    options
}

/// Refuses a container that the pod has not, and none where it has several.
fn check_container(pod: &Value, call: &super::Call) -> Result<(), Status> {
    let names = |list: &str| -> Vec<&str> {
        pod.at(&["spec", list]).items().iter().map(|container| container.at(&["name"]).str_or_empty()).collect()
    };
    let (containers, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let asked = call.options.others.iter().find(|(key, _)| key == "container").map_or("", |(_, name)| name.as_str());
    if asked.is_empty() && containers.len() == 1 {
        return Ok(());
    }
    if [&containers, &init, &ephemeral].iter().any(|names| names.contains(&asked)) {
        return Ok(());
    }
    if !asked.is_empty() {
        return Err(Status::bad_request(format!("container {asked} is not valid for pod {}", pod.name())));
    }
    let mut message =
        format!("a container name must be specified for pod {}, choose one of: [{}]", pod.name(), containers.join(" "));
    if !init.is_empty() {
        message += &format!(" or one of the init containers: [{}]", init.join(" "));
    }
    if !ephemeral.is_empty() {
        message += &format!(" or one of the ephemeral containers: [{}]", ephemeral.join(" "));
    }
    Err(Status::bad_request(message))
}

fn not_simulated(message: &str) -> Status {
    Status::new(501, "NotImplemented", message)
}

/// Part of the object itself, read and written as the object is.
fn own(cluster: &mut Cluster, request: &Request<'_>, verb: Verb, part: Part) -> Result<Answer, Status> {
    match verb {
        Verb::Update => handle::update(cluster, request, part),
        Verb::Patch(kind) => handle::patch(cluster, request, kind, part),
        _ => {
            let object = request.stored(cluster)?;
            request.show(cluster, 200, &object)
        }
    }
}

/// Where a kind keeps what `scale` shows.
struct Paths {
    wanted: Vec<String>,
    have: Vec<String>,
    selector: Option<Vec<String>>,
}

fn paths(scale: Option<&ScalePaths>) -> Paths {
    let split = |path: &str| path.trim_start_matches('.').split('.').map(str::to_owned).collect();
    match scale {
        Some(paths) => Paths {
            wanted: split(&paths.spec),
            have: split(&paths.status),
            selector: paths.selector.as_ref().map(|path| split(path)),
        },
        None => Paths { wanted: split("spec.replicas"), have: split("status.replicas"), selector: None },
    }
}

fn at<'v>(object: &'v Value, path: &[String]) -> &'v Value {
    object.at(&path.iter().map(String::as_str).collect::<Vec<_>>())
}

fn scale(cluster: &mut Cluster, request: &Request<'_>, verb: Verb) -> Result<Answer, Status> {
    let sub = request.resource.subresource("scale").and_then(|sub| sub.scale.clone());
    let paths = paths(sub.as_ref());
    let stored = request.stored(cluster)?;
    let current = shown(&stored, &paths);
    let (wanted, warnings) = match verb {
        Verb::Get => return show_scale(cluster, request, &current),
        Verb::Update => (request.call.body.clone(), Vec::new()),
        Verb::Patch(PatchType::Apply) => return apply_scale(cluster, request, &stored, &paths),
        Verb::Patch(kind) => {
            handle::patched(cluster, request.call, kind, scale_type(request), &scale_kind(), &current)?
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let replicas = wanted.at(&["spec", "replicas"]).as_int().unwrap_or(0);
    if replicas < 0 {
        let cause = Cause::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", stored.name(), &[cause]));
    }
    if !wanted.uid().is_empty() && wanted.uid() != stored.uid() {
        return Err(handle::other_object(request, &request.key(), stored.uid(), wanted.uid()));
    }
    let mut object = stored.clone();
    object.set(&paths.wanted.iter().map(String::as_str).collect::<Vec<_>>(), replicas);
    let version = wanted.resource_version();
    if !version.is_empty() {
        object.set(&["metadata", "resourceVersion"], version);
    }
    let updated = registry::update(cluster, &request.key(), object, Part::Main, &request.writer())?;
    let scale = shown(&updated, &paths);
    let mut answer = show_scale(cluster, request, &scale)?;
    answer.warnings.extend(warnings);
    Ok(answer)
}

fn scale_kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

/// What a manager wants of a scale it wants of the object whose scale that is, and owns there.
fn apply_scale(cluster: &mut Cluster, request: &Request<'_>, stored: &Value, paths: &Paths) -> Result<Answer, Status> {
    let body = &request.call.body;
    let (said, kind) = (body.api_version(), scale_kind());
    if said != kind.api_version() || body.kind() != "Scale" {
        let (group, version) = crate::schema::split_api_version(said);
        return Err(Status::bad_request(format!("invalid object type: {group}/{version}, Kind={}", body.kind())));
    }
    let mut wanted = doc!({
        "apiVersion": (request.resource.api_version()), "kind": (&request.resource.kind),
        "metadata": {"name": (stored.name()), "namespace": (stored.namespace())},
    });
    if let Some(replicas) = body.find(&["spec", "replicas"]) {
        if replicas.as_int().is_some_and(|replicas| replicas < 0) {
            let cause = Cause::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(Status::invalid("autoscaling", "Scale", stored.name(), &[cause]));
        }
        wanted.set(&paths.wanted.iter().map(String::as_str).collect::<Vec<_>>(), replicas.clone());
    }
    let (_, written, warnings) = handle::applied(cluster, request, Some(stored), Part::Main, &wanted)?;
    let mut answer = show_scale(cluster, request, &shown(&written, paths))?;
    answer.warnings.extend(warnings);
    Ok(answer)
}

fn scale_type<'a>(request: &'a Request<'_>) -> crate::schema::Type<'a> {
    let sub = request.resource.subresource("scale");
    sub.map_or(crate::schema::Type::unknown(), crate::schema::Subresource::ty)
}

fn show_scale(cluster: &Cluster, request: &Request<'_>, scale: &Value) -> Result<Answer, Status> {
    if request.call.output.form == Form::Table {
        let table = Table::of_kind(&scale_kind()).one(scale, Include::parse(None)?, true, cluster.now());
        return Ok(Answer::document(200, table));
    }
    Ok(Answer::document(200, scale.clone()))
}

/// An object as the `scale` of its kind.
pub(crate) fn scale_of(object: &Value, scale: Option<&ScalePaths>) -> Value {
    shown(object, &paths(scale))
}

/// What policies are shown of an object whose scale is written.
pub(super) fn scale_in(schema: &Schema, resource: &str, object: &Value) -> Value {
    let sub = schema.stored(resource).and_then(|resource| resource.subresource("scale")?.scale.clone());
    scale_of(object, sub.as_ref())
}

/// Has something done to the scale of an object, and takes over what becomes of it.
///
/// # Errors
/// What is said against it.
pub(super) fn through_scale(
    cluster: &Cluster,
    resource: &str,
    object: &mut Value,
    change: impl FnOnce(&Cluster, &mut Value) -> Result<(), Status>,
) -> Result<(), Status> {
    let sub = cluster.schema.stored(resource).and_then(|resource| resource.subresource("scale")?.scale.clone());
    let paths = paths(sub.as_ref());
    let mut scale = shown(object, &paths);
    change(cluster, &mut scale)?;
    let wanted = scale.at(&["spec", "replicas"]).as_int().unwrap_or(0);
    if at(object, &paths.wanted).as_int().unwrap_or(0) != wanted {
        object.set(&paths.wanted.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    }
    Ok(())
}

/// An object as its `scale`.
fn shown(object: &Value, paths: &Paths) -> Value {
    let number = |path: &[String]| at(object, path).as_int().unwrap_or(0);
    let mut scale = doc!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": (object.name()), "namespace": (object.namespace()), "uid": (object.uid()),
            "resourceVersion": (object.resource_version()),
            "creationTimestamp": (object.at(&["metadata", "creationTimestamp"])),
        },
        "spec": {}, "status": {"replicas": (number(&paths.have))},
    });
    if number(&paths.wanted) != 0 {
        scale.set(&["spec", "replicas"], number(&paths.wanted));
    }
    let selector = match &paths.selector {
        Some(path) => at(object, path).str_or_empty().to_owned(),
        None => labels::print(object.at(&["spec", "selector"])),
    };
    if !selector.is_empty() {
        scale.set(&["status", "selector"], selector);
    }
    scale
}

/// `pkg/registry/core/pod/storage/eviction.go`: a delete that asks the pod's disruption budgets first.
fn evict(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let key = request.key();
    let body = &request.call.body;
    if body.name() != key.name.as_str() {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = body.at(&["deleteOptions"]);
    let deletion = Deletion {
        uid: options.at(&["preconditions", "uid"]).as_str().map(str::to_owned),
        resource_version: options.at(&["preconditions", "resourceVersion"]).as_str().map(str::to_owned),
        propagation: options.at(&["propagationPolicy"]).as_str().map(str::to_owned),
        grace_period_seconds: options.at(&["gracePeriodSeconds"]).as_int(),
    };
    let mut writer = request.writer();
    writer.dry_run |= options.at(&["dryRun"]).items().iter().any(|item| *item == "All");

    admission::validate_below(cluster, &key, body, &writer)?;
    let pod = request.stored(cluster)?;
    let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed" | "Pending");
    if !over && !pod.is_terminating() {
        allow_disruption(cluster, &key, &pod, writer.dry_run)?;
    }
    if !writer.dry_run {
        let now = time::format(cluster.now());
        let mut doomed = pod.clone();
        registry::set_condition(
            &mut doomed,
            &now,
            doc!({
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting", "observedGeneration": (pod.generation()),
            }),
        );
        registry::update(cluster, &key, doomed, Part::Status, &writer)?;
    }
    registry::delete(cluster, &key, &deletion, &writer)?;
    Ok(Answer::document(
        201,
        doc!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}

/// Takes one disruption from the budget that covers a pod, or says why there is none to take.
fn allow_disruption(cluster: &mut Cluster, key: &ObjectKey, pod: &Value, dry_run: bool) -> Result<(), Status> {
    const BUDGETS: &str = "poddisruptionbudgets.policy";
    let covering: Vec<(ObjectKey, Value)> = cluster
        .selecting(BUDGETS, &key.namespace, pod.labels())
        .map(|(key, budget)| (key.clone(), budget.clone()))
        .collect();
    let (budget_key, budget) = match covering.as_slice() {
        [] => return Ok(()),
        [one] => one,
        _ => {
            // The real server makes this one by hand, and gives no reason.
            return Err(Status::new(
                500,
                "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    let count = |field: &str| budget.at(&["status", field]).as_int().unwrap_or(0);
    let healthy = pod.condition_is_true("Ready");
    let policy = budget.at(&["spec", "unhealthyPodEvictionPolicy"]).str_or_empty();
    // A pod that is not ready protects nothing: it may go if its budget is satisfied without it, or always allows it.
    if !healthy
        && (policy == "AlwaysAllow"
            || (count("currentHealthy") >= count("desiredHealthy") && count("desiredHealthy") > 0))
    {
        return Ok(());
    }
    let refuse = |message: String, cause: String| {
        let cause = doc!({"reason": "DisruptionBudget", "message": (cause)});
        Status::new(429, "TooManyRequests", message).because(vec![cause])
    };
    if count("observedGeneration") < budget.generation() {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.".to_owned();
        let cause = format!("The disruption budget {} is still being processed by the server.", budget.name());
        return Err(refuse(message, cause).retry_after(10));
    }
    if count("disruptionsAllowed") <= 0 {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.".to_owned();
        // With more healthy pods than it needs, a budget refuses for what it does not know: who its pods belong to.
        let (name, have, need) = (budget.name(), count("currentHealthy"), count("desiredHealthy"));
        let failed = budget.condition("DisruptionAllowed").filter(|said| said.at(&["reason"]) == "SyncFailed");
        let cause = if let Some(failed) = failed {
            let why = failed.at(&["message"]).str_or_empty();
            format!("The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}")
        } else if have <= need {
            format!("The disruption budget {name} needs {need} healthy pods and has {have} currently")
        } else {
            format!("The disruption budget {name} does not allow evicting pods currently")
        };
        return Err(refuse(message, cause));
    }
    if !dry_run {
        let mut spent = budget.clone();
        spent.set(&["status", "disruptionsAllowed"], count("disruptionsAllowed") - 1);
        if count("disruptionsAllowed") == 1 {
            let now = time::format(cluster.now());
            registry::set_condition(
                &mut spent,
                &now,
                doc!({
                    "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
                    "observedGeneration": (count("observedGeneration")),
                }),
            );
        }
        spent.set(&["status", "disruptedPods", &key.name], time::format(cluster.now()));
        cluster.write(budget_key, Some(spent));
    }
    Ok(())
}

/// A binding is to a node, and names it. What it is told otherwise was never meant for clients.
fn check_binding(binding: &Value) -> Result<(), Status> {
    let (kind, name) = (binding.at(&["target", "kind"]).str_or_empty(), binding.at(&["target", "name"]));
    let mut faults = Vec::new();
    if !matches!(kind, "" | "Node") {
        faults.push(format!("target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""));
    }
    if name.is_empty() {
        faults.push("target.name: Required value".to_owned());
    }
    match faults.as_slice() {
        [] => Ok(()),
        [one] => Err(Status::new(500, "", one)),
        many => Err(Status::new(500, "", format!("[{}]", many.join(", ")))),
    }
}

/// A pod is put on a node. The pod is named in the path, or, under `bindings`, in the body.
pub(super) fn bind(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (on, body) = (&request.call.on, &request.call.body);
    let name = if on.name.is_empty() { body.name() } else { &on.name };
    if body.name() != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    check_binding(body)?;
    let key = ObjectKey::new("pods", on.namespace.clone(), name);
    admission::validate_below(cluster, &key, body, &request.writer())?;
    let mut pod = cluster.get(&key).cloned().ok_or_else(|| Status::not_found("pods", name))?;
    let node = body.at(&["target", "name"]).as_text().cloned().unwrap_or_default();
    let bound = pod.at(&["spec", "nodeName"]).str_or_empty();
    let why = if pod.is_terminating() {
        format!("pod {name} is being deleted, cannot be assigned to a host")
    } else if !bound.is_empty() {
        format!("pod {name} is already assigned to node {bound:?}")
    } else if !pod.at(&["spec", "schedulingGates"]).is_empty() {
        format!("pod {name} has non-empty .spec.schedulingGates")
    } else {
        String::new()
    };
    if !why.is_empty() {
        return Err(Status::conflict("pods/binding", name, &why));
    }
    for (annotation, text) in body.at(&["metadata", "annotations"]).entries() {
        pod.set(&["metadata", "annotations", annotation], text.clone());
    }
    pod.set(&["spec", "nodeName"], node);
    crate::scheduler::take_topology(cluster, &mut pod);
    let now = time::format(cluster.now());
    let generation = pod.generation();
    registry::set_condition(
        &mut pod,
        &now,
        doc!({"type": "PodScheduled", "status": "True", "observedGeneration": (generation)}),
    );
    if !request.call.options.dry_run {
        cluster.write(&key, Some(pod));
    }
    Ok(Answer::document(
        201,
        doc!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}

/// `serviceaccounts/token`: a credential for an account.
fn token(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let mut asked = request.call.body.clone();
    asked.set(&["kind"], "TokenRequest");
    asked.set(&["apiVersion"], "authentication.k8s.io/v1");
    admission::validate_below(cluster, &request.key(), &asked, &request.writer())?;
    let account = request.stored(cluster)?;
    for field in ["name", "namespace"] {
        let said = request.call.body.at(&["metadata", field]);
        if !said.is_empty() && said != account.at(&["metadata", field]) {
            let why = format!("must match the service account {field} if specified");
            let cause = Cause::invalid(format!("metadata.{field}"), said.clone(), &why);
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", account.name(), &[cause]));
        }
    }
    let seconds = request.call.body.at(&["spec", "expirationSeconds"]).as_int().unwrap_or(3600);
    check_expiry(seconds)?;
    check_bound(cluster, request)?;
    let until = cluster.now() + std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(3600));
    let mut answer = request.call.body.clone();
    answer.set(&["kind"], "TokenRequest");
    answer.set(&["apiVersion"], "authentication.k8s.io/v1");
    answer.set(&["metadata", "name"], &request.call.on.name);
    answer.set(&["metadata", "namespace"], &request.call.on.namespace);
    answer.set(&["metadata", "uid"], account.uid());
    answer.set(&["metadata", "creationTimestamp"], time::format(cluster.now()));
    answer.set(&["spec", "expirationSeconds"], seconds);
    if answer.at(&["spec", "audiences"]).is_empty() {
        answer.set(&["spec", "audiences"], doc!([(super::token::ISSUER)]));
    }
    if answer.find(&["spec", "boundObjectRef"]).is_none() {
        answer.set(&["spec", "boundObjectRef"], Value::Null);
    }
    let token = super::token::issue(cluster, &account, answer.at(&["spec", "audiences"]), until);
    answer.set(&["status"], doc!({"token": (token), "expirationTimestamp": (time::format(until))}));
    Ok(Answer::document(201, answer))
}

/// A token lives ten minutes at least.
fn check_expiry(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        ..600 => "may not specify a duration less than 10 minutes",
        4_294_967_297.. => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let cause = Cause::invalid("spec.expirationSeconds", seconds, why);
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &[cause]))
}

/// What a token is to die with is there, and is what is meant.
fn check_bound(cluster: &Cluster, request: &Request<'_>) -> Result<(), Status> {
    let bound = request.call.body.at(&["spec", "boundObjectRef"]);
    if bound.is_null() {
        return Ok(());
    }
    let on = &request.call.on;
    let (name, account) = (bound.at(&["name"]).str_or_empty(), on.name.as_str());
    let (resource, namespace) = match (bound.api_version(), bound.kind()) {
        ("v1", "Pod") => ("pods", on.namespace.as_str()),
        ("v1", "Secret") => ("secrets", on.namespace.as_str()),
        ("v1", "Node") => ("nodes", ""),
        (version, kind) => {
            let (group, version) = crate::schema::split_api_version(version);
            let message = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Status::bad_request(message));
        }
    };
    if name.is_empty() {
        return Err(Status::bad_request("Name parameter required."));
    }
    let Some(object) = cluster.get(&ObjectKey::new(resource, namespace, name)) else {
        return Err(Status::not_found(resource, name));
    };
    if resource == "pods" && object.at(&["spec", "serviceAccountName"]) != account {
        let message = format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        );
        return Err(Status::bad_request(message));
    }
    let uid = bound.at(&["uid"]).str_or_empty();
    if !uid.is_empty() && uid != object.uid() {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        );
        return Err(Status::conflict(bound.kind(), name, &why));
    }
    Ok(())
}

/// `namespaces/finalize`: who empties a namespace says that it is done.
fn finalize(cluster: &mut Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    handle::update(cluster, request, Part::Finalizers)
}
