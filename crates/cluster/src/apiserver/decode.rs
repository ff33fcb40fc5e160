//! Bytes to a [`Call`]: the only parser of what a client sent.
//!
//! Knows: paths, queries, content types, and how `Accept` is negotiated, as `k8s.io/apiserver` does.
//! Does not know: what the call would do, or whether the client may.
//!
//! What could be read in two ways is refused: a gate judges what is decoded here, and production is sent what is encoded
//! from it.

use super::call::{Call, Encoding, FieldValidation, Form, Options, Output, PatchType, Subject, User, Verb};
use super::status::Status;
use crate::json;
use crate::schema::{Resource, Schema};
use crate::value::{Text, Value};

/// A request as it came in, its body already bounded and unzipped.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `PATCH`…
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// The query, still percent-encoded, without the question mark.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// Subresources that are streams.
const CONNECTS: &[&str] = &["exec", "attach", "portforward", "proxy"];

/// Decodes a request.
///
/// # Errors
/// What the API server would answer.
pub fn decode(schema: &Schema, request: &Request<'_>) -> Result<Call, Status> {
    let query = parameters(request.query)?;
    let path = segments(request.path)?;
    let (on, watch_prefix) = subject(&path, request.path);
    let mut options = options(&query)?;
    let watch = watch_prefix || query.iter().any(|(name, value)| name == "watch" && is_true(value));
    let verb = verb(request, &on, watch)?;
    let output = output(request)?;
    let mut call = Call {
        verb,
        on,
        options: Options::default(),
        body: Value::Null,
        duplicates: Vec::new(),
        output,
        user_agent: request.header("user-agent").unwrap_or("").to_owned(),
        impersonate: impersonation(request)?,
    };
    if !call.on.resource.is_empty() {
        let resource = resource(schema, &call)?;
        check_scope(resource, &call)?;
        check_verb(resource, &call)?;
    } else if !matches!(request.method, "GET" | "HEAD") {
        return Err(not_allowed());
    }
    let parsed = body(request, &call)?;
    if matches!(verb, Verb::Delete | Verb::DeleteCollection) {
        delete_options(&parsed.value, &mut options)?;
    } else {
        (call.body, call.duplicates) = (parsed.value, parsed.duplicates);
    }
    call.options = options;
    Ok(call)
}

/// `Impersonate-*` headers, as `k8s.io/apiserver/pkg/endpoints/filters/impersonation` reads them.
fn impersonation(request: &Request<'_>) -> Result<Option<User>, Status> {
    let mut user = User::default();
    let mut asked = false;
    for (name, value) in request.headers {
        let Some(what) = name.strip_prefix("impersonate-") else { continue };
        asked = true;
        match what {
            "user" => user.name.clone_from(value),
            "uid" => user.uid.clone_from(value),
            "group" => user.groups.push(value.clone()),
            other => {
                let key = other.strip_prefix("extra-").unwrap_or(other).to_owned();
                match user.extra.iter_mut().find(|(have, _)| *have == key) {
                    Some((_, values)) => values.push(value.clone()),
                    None => user.extra.push((key, vec![value.clone()])),
                }
            }
        }
    }
    if asked && user.name.is_empty() {
        return Err(Status::bad_request("a request impersonates groups or extras, but no user"));
    }
    Ok(asked.then_some(user))
}

fn not_found() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource")
}

fn not_allowed() -> Status {
    Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
}

/// The resource of a call.
pub(super) fn resource<'s>(schema: &'s Schema, call: &Call) -> Result<&'s Resource, Status> {
    let known = schema.resource(&call.on.group, &call.on.version, &call.on.resource);
    known.map(std::convert::AsRef::as_ref).ok_or_else(not_found)
}

fn check_scope(resource: &Resource, call: &Call) -> Result<(), Status> {
    let inside = !call.on.namespace.is_empty();
    match (resource.namespaced, inside) {
        (false, true) => Err(not_found()),
        (true, false) if !call.on.name.is_empty() => Err(not_found()),
        (true, false) if !matches!(call.verb, Verb::List | Verb::Watch) => {
            // Some namespaced kinds are asked about without a namespace, such as reviews; those say so themselves.
            Err(not_allowed())
        }
        _ => Ok(()),
    }
}

fn check_verb(resource: &Resource, call: &Call) -> Result<(), Status> {
    let (sub, verb) = (call.on.subresource.as_str(), call.verb.as_str());
    if sub.is_empty() {
        let named = !call.on.name.is_empty();
        let fits = match call.verb {
            Verb::Create => !named,
            Verb::Get | Verb::Update | Verb::Patch(_) | Verb::Delete => named,
            _ => true,
        };
        return if fits && resource.allows(verb) { Ok(()) } else { Err(not_allowed()) };
    }
    let below = resource.subresource(sub).ok_or_else(not_found)?;
    if call.verb == Verb::Connect || below.allows(verb) { Ok(()) } else { Err(not_allowed()) }
}

/// The path's parts, decoded. What a proxy on the way might read differently is refused.
fn segments(path: &str) -> Result<Vec<Text>, Status> {
    let bad = |why: &str| Status::bad_request(format!("the path {path:?} is ambiguous: {why}"));
    let Some(rest) = path.strip_prefix('/') else { return Err(bad("it does not begin with a slash")) };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split('/')
        .map(|part| {
            let part = percent(part, false).ok_or_else(|| bad("it is not percent-encoded UTF-8"))?;
            match part.as_str() {
                "" => Err(bad("it has an empty part")),
                "." | ".." => Err(bad("it has a part that climbs")),
                text if text.contains(['/', '\\', '\0']) || text.chars().any(char::is_control) => {
                    Err(bad("a part holds a separator or a control character"))
                }
                text => Ok(Text::from(text)),
            }
        })
        .collect()
}

/// `k8s.io/apiserver/pkg/endpoints/request.RequestInfoFactory`, and whether the old `watch` prefix was used.
fn subject(path: &[Text], raw: &str) -> (Subject, bool) {
    let text = |at: usize| path.get(at).cloned().unwrap_or_default();
    let other = || Subject { path: Text::from(raw), ..Subject::default() };
    let (group, version, mut rest) = match path.first().map(Text::as_str) {
        Some("api") if path.len() > 2 => (Text::default(), text(1), path.get(2..).unwrap_or_default()),
        Some("apis") if path.len() > 3 => (text(1), text(2), path.get(3..).unwrap_or_default()),
        _ => return (other(), false),
    };
    let watch = rest.first().is_some_and(|part| part == "watch") && rest.len() > 1;
    if watch {
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut on = Subject { group, version, ..Subject::default() };
    let is_namespaces = rest.first().is_some_and(|part| part == "namespaces");
    let of_namespace_itself =
        rest.len() <= 2 || (rest.len() == 3 && rest.get(2).is_some_and(|sub| sub == "status" || sub == "finalize"));
    if is_namespaces && !of_namespace_itself {
        on.namespace = rest.get(1).cloned().unwrap_or_default();
        rest = rest.get(2..).unwrap_or_default();
    }
    let part = |at: usize| rest.get(at).cloned().unwrap_or_default();
    (on.resource, on.name, on.subresource) = (part(0), part(1), part(2));
    if let Some(more) = rest.get(3..).filter(|more| !more.is_empty()) {
        on.path = Text::from(more.iter().map(Text::as_str).collect::<Vec<_>>().join("/"));
        // Only a proxy has anything below a subresource.
        if on.subresource != "proxy" {
            return (other(), false);
        }
    }
    (on, watch)
}

fn verb(request: &Request<'_>, on: &Subject, watch: bool) -> Result<Verb, Status> {
    // However it is dressed up: a GET that asks for an upgrade opens a stream.
    if CONNECTS.contains(&on.subresource.as_str()) || (request.header("upgrade").is_some() && !on.resource.is_empty()) {
        return Ok(Verb::Connect);
    }
    let named = !on.name.is_empty();
    Ok(match request.method {
        "GET" | "HEAD" if named || on.resource.is_empty() => Verb::Get,
        "GET" | "HEAD" if watch => Verb::Watch,
        "GET" | "HEAD" => Verb::List,
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch(patch_type(request)?),
        "DELETE" if named => Verb::Delete,
        "DELETE" => Verb::DeleteCollection,
        _ => return Err(not_allowed()),
    })
}

fn patch_type(request: &Request<'_>) -> Result<PatchType, Status> {
    let kinds = [PatchType::Json, PatchType::Merge, PatchType::Strategic, PatchType::Apply];
    let sent = media_type(request.header("content-type").unwrap_or(""));
    kinds.into_iter().find(|kind| kind.content_type() == sent).ok_or_else(|| {
        unsupported(&sent, "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml, application/apply-patch+cbor")
    })
}

fn unsupported(sent: &str, accepted: &str) -> Status {
    let _ = sent;
    Status::new(
        415,
        "UnsupportedMediaType",
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}"),
    )
}

fn media_type(header: &str) -> String {
    header.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn body(request: &Request<'_>, call: &Call) -> Result<json::Parsed, Status> {
    if request.body.is_empty() || call.verb.is_read() || call.verb == Verb::Connect {
        let needs = matches!(call.verb, Verb::Create | Verb::Update | Verb::Patch(_));
        if needs && matches!(call.verb, Verb::Patch(_)) {
            return Err(Status::bad_request("the patch is empty"));
        }
        return Ok(json::Parsed::default());
    }
    let kind = media_type(request.header("content-type").unwrap_or(""));
    match kind.as_str() {
        "application/apply-patch+yaml" | "application/yaml" => json::parse_yaml(request.body),
        ""
        | "application/json"
        | "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => json::parse(request.body),
        other => {
            return Err(unsupported(other, "application/json, application/yaml, application/vnd.kubernetes.protobuf"));
        }
    }
    .map_err(|error| Status::bad_request(format!("the body of the request cannot be read: {error}")))
}

/// The parameters of a query, decoded, in order.
fn parameters(query: &str) -> Result<Vec<(String, String)>, Status> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (percent(name, true), percent(value, true)) {
                (Some(name), Some(value)) => Ok((name, value)),
                _ => Err(Status::bad_request(format!("the parameter {pair:?} is not percent-encoded UTF-8"))),
            }
        })
        .collect()
}

fn percent(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn is_true(value: &str) -> bool {
    // As `runtime.Convert_Slice_string_To_bool`: present is true, unless it says otherwise.
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

fn options(query: &[(String, String)]) -> Result<Options, Status> {
    let mut options = Options::default();
    for (name, value) in query {
        let number = || {
            value
                .parse()
                .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: invalid syntax")))
        };
        let text = || Some(value.clone()).filter(|value| !value.is_empty());
        let count = |number: i64| u64::try_from(number).ok();
        match name.as_str() {
            "watch" => {}
            "dryRun" => {
                if value != "All" {
                    return Err(Status::bad_request(format!("invalid dryRun: {value:?}: it can only be All")));
                }
                options.dry_run = true;
            }
            "fieldManager" => options.field_manager = text(),
            "fieldValidation" => {
                options.field_validation = match value.as_str() {
                    "Strict" => FieldValidation::Strict,
                    "Warn" | "" => FieldValidation::Warn,
                    "Ignore" => FieldValidation::Ignore,
                    _ => return Err(Status::bad_request(format!("invalid fieldValidation {value:?}"))),
                }
            }
            "force" => options.force = is_true(value),
            "labelSelector" => options.label_selector = text(),
            "fieldSelector" => options.field_selector = text(),
            "resourceVersion" => options.resource_version = text(),
            "resourceVersionMatch" => options.resource_version_match = text(),
            "limit" => options.limit = count(number()?).filter(|limit| *limit > 0),
            "continue" => options.continue_token = text(),
            "timeoutSeconds" => options.timeout_seconds = count(number()?),
            "allowWatchBookmarks" => options.bookmarks = is_true(value),
            "sendInitialEvents" => options.initial_events = Some(is_true(value)),
            "includeObject" => options.include_object = text(),
            "propagationPolicy" => options.propagation = text(),
            "orphanDependents" => options.orphan_dependents = Some(is_true(value)),
            "gracePeriodSeconds" => options.grace_period_seconds = Some(number()?),
            "pretty" => options.pretty = is_true(value),
            _ => options.others.push((name.clone(), value.clone())),
        }
    }
    Ok(options)
}

/// What a delete says in its body counts over what it says in its query.
fn delete_options(body: &Value, options: &mut Options) -> Result<(), Status> {
    if body.is_null() {
        return Ok(());
    }
    let text = |path: &[&str]| body.at(path).as_str().map(str::to_owned);
    if let Some(policy) = text(&["propagationPolicy"]) {
        options.propagation = Some(policy);
    }
    if let Some(seconds) = body.at(&["gracePeriodSeconds"]).as_int() {
        options.grace_period_seconds = Some(seconds);
    }
    if let Some(orphan) = body.at(&["orphanDependents"]).as_bool() {
        options.orphan_dependents = Some(orphan);
    }
    options.uid = text(&["preconditions", "uid"]);
    options.if_resource_version = text(&["preconditions", "resourceVersion"]);
    for item in body.at(&["dryRun"]).items() {
        if *item != "All" {
            return Err(Status::bad_request("invalid dryRun: it can only be All"));
        }
        options.dry_run = true;
    }
    Ok(())
}

/// `k8s.io/apiserver/pkg/endpoints/handlers/negotiation`: the first acceptable media type.
fn output(request: &Request<'_>) -> Result<Output, Status> {
    let accept = request.header("accept").unwrap_or("");
    let mut output = Output { accept: accept.to_owned(), ..Output::default() };
    if accept.trim().is_empty() {
        return Ok(output);
    }
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("").to_ascii_lowercase();
        let mut form = Form::Object;
        let mut known = true;
        for part in parts {
            match part.split_once('=') {
                Some(("as", "Table")) => form = Form::Table,
                Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => form = Form::Metadata,
                Some(("as", "APIGroupDiscoveryList")) => {}
                Some(("as", _)) => known = false,
                _ => {}
            }
        }
        let encoding = match kind.as_str() {
            "application/json" | "*/*" | "application/*" | "text/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        if known {
            (output.form, output.encoding) = (form, encoding);
            return Ok(output);
        }
    }
    if request.path.starts_with("/api") {
        let message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
        return Err(Status::new(406, "NotAcceptable", message));
    }
    Ok(output)
}
