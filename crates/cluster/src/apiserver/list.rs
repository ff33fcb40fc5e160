//! Collections: whole, in pages, as they were, and as they change.
//!
//! Knows: what a resourceVersion asks for, how pages are continued, when a watch begins.
//! Does not know: which objects match a selector, or how they are shown.

use std::collections::BTreeMap;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};
use twin::Compacted;

use super::call::{Answer, Content, Form, Watch};
use super::decode::syntax;
use super::handle::Request;
use super::status::{Cause, Status};
use super::watch::{Filter, View};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::Resource;
use crate::value::{Text, Value};

/// The version that a read asks for; none if any will do.
fn version(text: Option<&str>) -> Result<Option<u64>, Cause> {
    match text {
        None | Some("" | "0") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let why = if digits { "value out of range" } else { "invalid syntax" };
            Cause::invalid("resourceVersion", text, &format!("strconv.ParseUint: parsing {text:?}: {why}"))
        }),
    }
}

/// What was asked for is nowhere yet.
fn too_large(asked: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let cause = doc!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    Status::new(504, "Timeout", message).because(vec![cause]).retry_after(1)
}

/// Says what a badly written version is told where it is no list.
fn unreadable(cause: &Cause) -> Status {
    Status::new(500, "", format!("{}: {}", cause.field, cause.message))
}

/// Refuses to read one object at a version that is not reached yet.
///
/// # Errors
/// As the API server says it.
pub(super) fn check_version(cluster: &Cluster, asked: Option<&str>) -> Result<(), Status> {
    match version(asked).map_err(|cause| unreadable(&cause))? {
        Some(asked) if asked > cluster.version() => Err(too_large(asked, cluster.version())),
        _ => Ok(()),
    }
}

/// Where a page ended: after which object, of the collection as it was at which version.
///
/// Its token is the real server's: where to go on is the first key that may follow, without what all keys of the
/// collection begin with.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// None if the rest may be as it is now.
    version: Option<u64>,
    namespace: Text,
    name: Text,
}

impl Place {
    /// The token; `within` is the namespace that is listed, empty for all.
    fn token(&self, within: &str) -> String {
        let version = self.version.map_or(-1, |version| i64::try_from(version).unwrap_or(i64::MAX));
        let start = if self.namespace == within {
            format!("{}\0", self.name)
        } else {
            format!("{}/{}\0", self.namespace, self.name)
        };
        URL_SAFE_NO_PAD.encode(doc!({"v": "meta.k8s.io/v1", "rv": (version), "start": (start)}).to_json())
    }

    fn parse(token: &str, resource: &Resource, within: &str) -> Result<Self, Status> {
        let unreadable =
            |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| unreadable(base64_words(error, token)))?;
        let place = Value::from_json(&bytes).map_err(|error| unreadable(syntax::error(&bytes).unwrap_or(error.0)))?;
        let spoken = place.at(&["v"]).str_or_empty();
        if spoken != "meta.k8s.io/v1" {
            return Err(unreadable(format!("server does not recognize this encoded version {spoken}")));
        }
        let version = match place.at(&["rv"]).as_int() {
            // Whatever is negative asks for the rest as it is now.
            Some(version) if version < 0 => None,
            Some(version) if version > 0 => u64::try_from(version).ok(),
            _ => {
                let why = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
                return Err(unreadable(why.to_owned()));
            }
        };
        let start = place.at(&["start"]).str_or_empty();
        if start.is_empty() {
            return Err(unreadable("encoded start key empty (version meta.k8s.io/v1)".to_owned()));
        }
        let key = start.strip_prefix('/').unwrap_or(start);
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(unreadable(start.to_owned()));
        }
        let key = key.trim_end_matches('\0');
        let (namespace, name) = match key.split_once('/') {
            Some(split) if resource.namespaced && within.is_empty() => split,
            _ => (within, key),
        };
        Ok(Self { version, namespace: namespace.into(), name: name.into() })
    }
}

/// What Go says of text that is no base64.
fn base64_words(error: DecodeError, token: &str) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
        _ => token.len(),
    };
    format!("illegal base64 data at input byte {at}")
}

/// What has changed in a resource since a version, as it was then.
fn changed_since<'a>(
    cluster: &'a Cluster,
    resource: &str,
    version: u64,
) -> Result<BTreeMap<&'a ObjectKey, Option<&'a Value>>, Compacted> {
    let mut then = BTreeMap::new();
    for change in cluster.changes_since(version)?.filter(|change| change.key.is(resource)) {
        then.entry(&change.key).or_insert(change.before.as_ref());
    }
    Ok(then)
}

/// Two lists in order as one.
fn merged<'a>(
    one: impl Iterator<Item = (&'a ObjectKey, &'a Value)>,
    two: impl Iterator<Item = (&'a ObjectKey, &'a Value)>,
) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
    let (mut one, mut two) = (one.peekable(), two.peekable());
    std::iter::from_fn(move || match (one.peek(), two.peek()) {
        (Some(first), Some(second)) if second.0 < first.0 => two.next(),
        (None, _) => two.next(),
        _ => one.next(),
    })
}

/// Answers a list.
///
/// # Errors
/// What the API server would answer.
pub(super) fn list(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (call, resource) = (request.call, &request.resource);
    let options = &call.options;
    let filter = Filter::of(call, resource)?;
    let view = View::of(&cluster.schema, resource, call.output.form, options.include_object.as_deref())?;
    let within = call.on.namespace.as_str();
    let place = options.continue_token.as_deref().map(|token| Place::parse(token, resource, within)).transpose()?;
    let asked = version(options.resource_version.as_deref()).map_err(|cause| {
        Status::bad_request(format!("invalid resource version: {}: {}", cause.field, cause.message))
    })?;
    if place.is_some() && asked.is_some() {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    if let Some(asked) = asked.filter(|asked| *asked > cluster.version()) {
        return Err(too_large(asked, cluster.version()));
    }
    // A version with a limit has meant exactly that version since before one could say so.
    let exact = match options.resource_version_match.as_deref() {
        Some(matching) => matching == "Exact",
        None => options.limit.is_some(),
    };
    let pinned = place.as_ref().map_or(asked.filter(|_| exact), |place| place.version);
    let shown = pinned.unwrap_or_else(|| cluster.version());
    let stored = &resource.storage.resource;
    let after = place.as_ref().map(|place| (&place.namespace, &place.name));
    // What is, but for what has changed since the version that is shown: of that, what was.
    let then = changed_since(cluster, stored, shown).map_err(|_| gone(place.as_ref(), within))?;
    let unchanged = filter.admitted(cluster, after).filter(|(key, _)| !then.contains_key(key));
    let changed = then
        .iter()
        .filter_map(|(key, object)| Some((*key, (*object)?)))
        .filter(|(key, object)| after.is_none_or(|after| (&key.namespace, &key.name) > after) && filter.admits(object));
    let mut matching = merged(unchanged, changed).peekable();
    // Whoever is content with any version gets all that the server has at hand, in one piece.
    let limit = options.limit.filter(|_| options.resource_version.as_deref() != Some("0"));
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut page = Vec::new();
    let mut metadata = doc!({"resourceVersion": (shown.to_string())});
    let mut last = None;
    while page.len() < limit {
        let Some((key, object)) = matching.next() else { break };
        page.push(object.clone());
        last = Some(key);
    }
    if let (Some(last), Some(_)) = (last, matching.peek()) {
        let place = Place { version: Some(shown), namespace: last.namespace.clone(), name: last.name.clone() };
        metadata.set(&["continue"], place.token(within));
        // How many remain is said only where nothing had to be looked at to know it.
        if options.label_selector.is_none() && options.field_selector.is_none() {
            let all = after.is_none() && call.on.namespace.is_empty() && then.is_empty();
            let remain = if all { cluster.count(stored).saturating_sub(page.len()) } else { matching.count() };
            metadata.set(&["remainingItemCount"], remain);
        }
    }
    Ok(Answer::document(200, view.list(&page, metadata, cluster)))
}

/// What was is forgotten. Who reads pages may go on with what is.
fn gone(place: Option<&Place>, within: &str) -> Status {
    let Some(place) = place else {
        return Status::new(410, "Expired", "The resourceVersion for the provided list is too old.");
    };
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    let rest = Place { version: None, namespace: place.namespace.clone(), name: place.name.clone() };
    Status::new(410, "Expired", message).to_continue(&rest.token(within))
}

/// Answers a watch: from where on, and what comes first.
///
/// # Errors
/// What the API server would answer.
pub(super) fn watch(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let (call, resource) = (request.call, &request.resource);
    let options = &call.options;
    let filter = Filter::of(call, resource)?;
    let asked = version(options.resource_version.as_deref()).map_err(|cause| unreadable(&cause))?;
    let view = View::of(&cluster.schema, resource, call.output.form, options.include_object.as_deref())?;
    let mut first = Vec::new();
    // Without a version a watch begins with everything there is, unless told not to.
    let initial = options.initial_events.unwrap_or(asked.is_none());
    if initial {
        for (_, object) in filter.admitted(cluster, None) {
            first.push(doc!({"type": "ADDED", "object": (view.one(object, first.is_empty(), cluster))}));
        }
    }
    let headed = !first.is_empty() && call.output.form == Form::Table;
    let since = if initial { cluster.version() } else { asked.unwrap_or(cluster.version()) };
    let mut watch = Watch {
        resource: resource.id(),
        version: resource.version.clone(),
        namespace: call.on.namespace.clone(),
        label_selector: options.label_selector.clone(),
        field_selector: options.field_selector.clone(),
        headed,
        first,
        since,
        bookmarks: options.bookmarks,
        timeout_seconds: options.timeout_seconds,
        output: call.output.clone(),
        include_object: options.include_object.clone(),
    };
    if options.initial_events == Some(true)
        && let Some(mut bookmark) = watch.bookmark(cluster)
    {
        bookmark.set(&["object", "metadata", "annotations"], doc!({"k8s.io/initial-events-end": "true"}));
        watch.first.push(bookmark);
    }
    Ok(Answer { code: 200, content: Content::Watch(watch), warnings: Vec::new(), headers: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is() {
        let schema = Schema::default();
        let pods = schema.resource("", "v1", "pods").unwrap();
        for (version, within) in [(None, ""), (Some(7), ""), (Some(7), "a")] {
            let place = Place { version, namespace: "a".into(), name: "b".into() };
            assert_eq!(Place::parse(&place.token(within), pods, within), Ok(place));
        }
        let refused = |token: &str| Place::parse(token, pods, "").unwrap_err().message;
        assert_eq!(
            refused("nonsense"),
            "invalid continue token: continue key is not valid: invalid character '\\x9e' looking for beginning of value"
        );
        assert!(refused("!!").ends_with("illegal base64 data at input byte 0"));
        let zero = URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a/b"}"#);
        assert!(refused(&zero).contains("incorrect encoded start resourceVersion"));
    }
}
