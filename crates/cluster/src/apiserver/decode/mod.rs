//! Bytes to a call: the only parser of what a client sent.
//!
//! Knows: HTTP requests as the Kubernetes API has them, down to the sentences with which it refuses them.
//! Does not know: what is in the cluster, or who asks.
//!
//! | file | reads |
//! |---|---|
//! | `path` | which object, collection or page is meant |
//! | `query` | with which options |
//! | `media` | in which form the answer is wanted and the body came |
//! | `body` | the document, and whether it fits the path |
//! | `lines` | where in YAML a key stands twice |
//! | `syntax` | what Go says of text that is no JSON |
//!
//! Everything that follows works on what was decoded, and what goes on to production is encoded from it. So what could
//! be read in two ways is refused here, even where the real server would choose one of them.

mod body;
mod lines;
mod media;
mod path;
mod query;
pub(crate) mod syntax;

pub(super) use body::{another_name, misfit};
pub use media::plain_output;

use super::call::{Call, Options, Subject, User, Verb};
use super::fields::Read;
use super::selector;
use super::status::Status;
use crate::schema::{Resource, Schema, Subresource};
use crate::value::Value;
use path::Target;
use query::Query;

/// A request as it came, its body whole and no longer compressed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`…
    pub method: &'a str,
    /// The path, as it came: still escaped.
    pub path: &'a str,
    /// What follows the question mark, as it came; empty if nothing does.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    fn header(&self, name: &str) -> Result<&'a str, Status> {
        let mut values = self.all(name);
        let value = values.next().unwrap_or_default();
        if values.next().is_some() {
            return Err(Status::bad_request(format!("the header {name:?} is given more than once")));
        }
        Ok(value)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes a request.
///
/// # Errors
/// What the API server would answer.
pub fn decode(schema: &Schema, request: &Request<'_>) -> Result<Call, Status> {
    body::check_size(request.body)?;
    let accept = request.all("accept").collect::<Vec<_>>().join(",");
    let mut call = Call {
        verb: Verb::Get,
        on: Subject::default(),
        options: Options::default(),
        body: Value::Null,
        faults: Vec::new(),
        output: media::plain_output(&accept),
        user_agent: request.header("user-agent")?.to_owned(),
        impersonate: impersonated(request)?,
    };
    let mut query = Query::parse(request.query)?;
    let (subject, watch_path) = match path::parse(request.path)? {
        Target::Page(subject) => {
            call.on = subject;
            return page(call, request, query);
        }
        Target::Resource { subject, watch } => (subject, watch),
    };
    let watch = query.take_truth("watch")?.unwrap_or(false);
    call.on = subject;
    let Some(resource) = schema.resource(&call.on.group, &call.on.version, &call.on.resource) else {
        return unknown(call, request, watch || watch_path);
    };
    let route = route(resource, &call.on, request, watch, watch_path)?;
    call.verb = route.verb;
    if route.verb == Verb::Connect {
        call.options.connect_method = Some(method(request.method)?.into());
    }
    call.output = media::output(&accept, call.verb, resource)?;
    if watch_path && !call.on.name.is_empty() {
        // A watch of one object is one of the collection that selects it.
        let name = std::mem::take(&mut call.on.name);
        call.options.field_selector = Some(format!("metadata.name={}", selector::escape(&name)));
    }
    let content_type = request.header("content-type")?;
    let deletes = matches!(call.verb, Verb::Delete | Verb::DeleteCollection);
    let delete_options = if deletes {
        body::delete_options(schema, media::input(content_type, resource)?, request.body)?
    } else {
        Value::Null
    };
    let selector = call.options.field_selector.take();
    let connect_method = call.options.connect_method.take();
    call.options = Options { connect_method, ..query::options(call.verb, query, &delete_options)? };
    if selector.is_some() {
        call.options.field_selector = selector;
    }
    let validation = call.options.field_validation;
    let read = match call.verb {
        Verb::Create | Verb::Update => {
            let encoding = media::input(content_type, resource)?;
            let kind = route.subresource.map_or_else(|| resource.gvk(), |below| below.kind.clone());
            let read = body::object(schema, resource, &kind, encoding, request.body, validation)?;
            body::check_path(&call.on, call.verb, &read.value)?;
            read
        }
        Verb::Patch(patch) => body::patch(patch, request.body, validation)?,
        // The body of a connect is a stream of its own. That of a read is nothing: no server looks at it.
        _ => Read::default(),
    };
    call.body = read.value;
    call.faults = read.faults;
    Ok(call)
}

/// A path that is no resource: it can only be read.
fn page(mut call: Call, request: &Request<'_>, query: Query) -> Result<Call, Status> {
    // The real server has nothing against other methods where nothing is. Here they may mean a resource that is not known yet,
    // and must not become a read.
    if !matches!(request.method, "GET" | "HEAD") {
        return Err(Status::method_not_allowed());
    }
    let first = call.on.path.split('/').nth(1).unwrap_or_default();
    media::page(first, &call.output.accept)?;
    call.options = query::options(Verb::Connect, query, &Value::Null)?;
    Ok(call)
}

/// A resource that nobody knows can be asked for, so that the answer is the one that its reader may get. It cannot be
/// written, for nobody knows what the body says.
fn unknown(mut call: Call, request: &Request<'_>, watch: bool) -> Result<Call, Status> {
    if request.method != "GET" {
        return Err(Status::no_such_path());
    }
    call.verb = match (call.on.name.is_empty(), watch) {
        (false, _) => Verb::Get,
        (true, false) => Verb::List,
        (true, true) => Verb::Watch,
    };
    Ok(call)
}

/// What a path and a method lead to.
struct Route<'a> {
    verb: Verb,
    subresource: Option<&'a Subresource>,
}

fn method(method: &str) -> Result<&'static str, Status> {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|known| *known == method).ok_or_else(Status::method_not_allowed)
}

/// A collection that can be read, but not followed.
fn not_watched(resource: &Resource) -> Status {
    let message = format!("watch is not supported on resources of kind {:?}", resource.plural.as_str());
    let mut status = Status::new(405, "MethodNotAllowed", message).about("", &resource.group, &resource.plural);
    status.warnings.extend(resource.deprecation.iter().map(ToString::to_string));
    status
}

fn route<'a>(
    resource: &'a Resource,
    on: &Subject,
    request: &Request<'_>,
    watch: bool,
    watch_path: bool,
) -> Result<Route<'a>, Status> {
    let method = method(request.method)?;
    let everywhere = resource.namespaced && on.namespace.is_empty();
    if !resource.namespaced && !on.namespace.is_empty() {
        return Err(Status::no_such_path());
    }
    let allowed = |verb: Verb, is: bool| {
        if is { Ok(Route { verb, subresource: None }) } else { Err(Status::method_not_allowed()) }
    };
    if watch_path {
        return if on.subresource.is_empty() {
            allowed(Verb::Watch, method == "GET" && resource.allows("watch"))
        } else {
            Err(Status::no_such_path())
        };
    }
    if on.name.is_empty() {
        return match method {
            "GET" if watch && resource.allows("list") && !resource.allows("watch") => Err(not_watched(resource)),
            "GET" if watch => allowed(Verb::Watch, resource.allows("watch")),
            "GET" => allowed(Verb::List, resource.allows("list")),
            "POST" => allowed(Verb::Create, resource.allows("create") && !everywhere),
            "DELETE" => allowed(Verb::DeleteCollection, resource.allows("deletecollection") && !everywhere),
            _ => Err(Status::method_not_allowed()),
        };
    }
    let has_items = ["get", "update", "patch", "delete"].into_iter().any(|verb| resource.allows(verb));
    if everywhere || (on.subresource.is_empty() && !has_items) {
        return Err(Status::no_such_path());
    }
    if on.subresource.is_empty() {
        // What is only ever made and never kept has no path for one of it.
        if !["get", "update", "patch", "delete"].iter().any(|verb| resource.allows(verb)) {
            return Err(Status::no_such_path());
        }
        return match method {
            "GET" => allowed(Verb::Get, resource.allows("get")),
            "PUT" => allowed(Verb::Update, resource.allows("update")),
            "PATCH" if resource.allows("patch") => {
                let patch = media::patch(request.header("content-type")?, resource)?;
                allowed(Verb::Patch(patch), true)
            }
            "DELETE" => allowed(Verb::Delete, resource.allows("delete")),
            _ => Err(Status::method_not_allowed()),
        };
    }
    let Some(below) = resource.subresource(&on.subresource) else {
        let unknown =
            if resource.custom { Status::not_found(&resource.id(), &on.name) } else { Status::no_such_path() };
        return Err(unknown);
    };
    // What is named by the options it takes is no document: a stream goes through it.
    if below.kind.kind.ends_with("Options") {
        return Ok(Route { verb: Verb::Connect, subresource: Some(below) });
    }
    if !on.path.is_empty() {
        return Err(Status::no_such_path());
    }
    let (name, verb) = match method {
        "GET" => ("get", Verb::Get),
        "POST" => ("create", Verb::Create),
        "PUT" => ("update", Verb::Update),
        "DELETE" => ("delete", Verb::Delete),
        _ => ("patch", Verb::Patch(media::patch(request.header("content-type")?, resource)?)),
    };
    if !below.allows(name) {
        return Err(Status::method_not_allowed());
    }
    Ok(Route { verb, subresource: Some(below) })
}

/// As whom a request is to be done.
fn impersonated(request: &Request<'_>) -> Result<Option<User>, Status> {
    const EXTRA: &str = "impersonate-extra-";
    let mut user = User {
        name: request.header("impersonate-user")?.to_owned(),
        uid: request.header("impersonate-uid")?.to_owned(),
        groups: request.all("impersonate-group").map(str::to_owned).collect(),
        extra: Vec::new(),
    };
    for (name, value) in request.headers {
        if let Some(key) = name.strip_prefix(EXTRA) {
            let key = path::decode_percent(key, false)
                .ok_or_else(|| Status::bad_request(format!("the header {name:?} is badly escaped")))?;
            match user.extra.iter_mut().find(|(have, _)| *have == key) {
                Some((_, values)) => values.push(value.clone()),
                None => user.extra.push((key, vec![value.clone()])),
            }
        }
    }
    if user == User::default() {
        return Ok(None);
    }
    if user.name.is_empty() {
        let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
        let groups =
            if groups.is_empty() { "[]string(nil)".to_owned() } else { format!("[]string{{{}}}", groups.join(", ")) };
        let mut extra: Vec<String> = user
            .extra
            .iter()
            .map(|(key, values)| {
                let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
                format!("{key:?}:[]string{{{}}}", values.join(", "))
            })
            .collect();
        extra.sort();
        let extra = if extra.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", extra.join(", ")) };
        let message = format!(
            "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:map[string][]string{extra}}} \
             without impersonating a user name",
            user.uid
        );
        return Err(Status::bad_request(message));
    }
    Ok(Some(user))
}
