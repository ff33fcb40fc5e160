//! One of the two that are compared: the cluster, or its twin.
//!
//! Knows: how a step of the suite becomes a request, how answers are read, and how time passes on either side.
//! Does not know: what is compared, or which of the two it is, but for the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::Schema;
use cluster::schema::{Resource, split_api_version};
use form_urlencoded::Serializer;
use http::{Request, header};
use serde_json::{Value, json};
use target_kubernetes::serve::Live;
use target_kubernetes::upstream::{PATIENCE, Unanswered, Upstream};

use super::normal::Normal;
use super::suite::{Ask, Verb};

/// The largest answer.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Who says so, where a step names no field manager.
const AGENT: &str = "lazaret-check";

/// Between two looks at whether anything still changes.
const LOOK: Duration = Duration::from_millis(300);

/// What is looked at to see whether anything still changes.
const LIVELY: &[&str] = &[
    "pods",
    "services",
    "persistentvolumeclaims",
    "resourcequotas",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "poddisruptionbudgets.policy",
    "endpointslices.discovery.k8s.io",
];

/// What holds names that are made up.
const NAMING: &[&str] = &["replicasets.apps", "controllerrevisions.apps", "pods"];

/// Why a step could not be done at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SideError {
    /// No answer.
    #[error("no answer to {asked}: {cause}")]
    Unanswered { asked: String, cause: Unanswered },
    /// The step says something that cannot be sent.
    #[error("{0}")]
    Step(String),
}

/// How time passes.
#[derive(Clone)]
pub(crate) enum Clock {
    /// By itself; what has not changed for so long has settled.
    Wall(Duration),
    /// As it is told to.
    Virtual(Arc<Live>),
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answered {
    /// As it is compared.
    pub(crate) fn shown(self, normal: &mut Normal) -> Value {
        let body = normal.answer(self.body);
        let warnings = normal.answer(json!(self.warnings));
        json!({"code": self.code, "body": body, "warnings": warnings})
    }
}

/// What is meant by a step: where it goes, and the rights that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    path: String,
}

impl Place {
    fn new(resource: &Resource, namespace: &str, name: &str, subresource: &str) -> Self {
        let root = if resource.group.is_empty() { "/api" } else { "/apis" };
        let mut path = format!("{root}/{}/namespaces/{namespace}/{}", resource.api_version(), resource.plural);
        for part in [name, subresource].into_iter().filter(|part| !part.is_empty()) {
            path.push('/');
            path.push_str(part);
        }
        Self {
            group: resource.group.to_string(),
            plural: resource.plural.to_string(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            path,
        }
    }

    /// As errors and RBAC name it: `deployments.apps`, `pods/eviction`.
    pub(crate) fn resource(&self) -> String {
        let id = if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) };
        if self.subresource.is_empty() { id } else { format!("{id}/{}", self.subresource) }
    }
}

/// Where a step goes. `None` if the cluster has no such resource.
pub(crate) fn place(schema: &Schema, ask: &Ask, namespace: &str) -> Result<Option<Place>, SideError> {
    if let Some(of) = &ask.of {
        let mut parts = of.splitn(3, '/');
        let id = parts.next().unwrap_or_default();
        let (plural, group) = id.split_once('.').unwrap_or((id, ""));
        let (name, subresource) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return Ok(schema.preferred(group, plural).map(|resource| Place::new(resource, namespace, name, subresource)));
    }
    let text = |path: &str| ask.body.as_ref().and_then(|body| body.pointer(path)?.as_str()).unwrap_or_default();
    let (group, version) = split_api_version(text("/apiVersion"));
    let kind = text("/kind");
    if kind.is_empty() {
        return Err(SideError::Step("a step that says neither a kind nor what it is of".to_owned()));
    }
    let name = if ask.verb == Verb::Create { "" } else { text("/metadata/name") };
    Ok(schema.by_kind(group, version, kind).map(|resource| Place::new(resource, namespace, name, "")))
}

/// One of the two, in the course of a case.
pub(crate) struct Side {
    upstream: Upstream,
    pub(crate) namespace: String,
    clock: Clock,
    /// What stands for something in the steps to come.
    pub(crate) kept: BTreeMap<String, Value>,
}

impl Side {
    /// Before the first step.
    pub(crate) fn new(upstream: Upstream, clock: Clock, namespace: &str, image: &str) -> Self {
        let kept = BTreeMap::from([("ns".to_owned(), json!(namespace)), ("image".to_owned(), json!(image))]);
        Self { upstream, namespace: namespace.to_owned(), clock, kept }
    }

    /// What stands for something, put in.
    pub(crate) fn fill(&self, node: &Value) -> Value {
        match node {
            Value::String(text) => match text.strip_prefix('$').and_then(|name| self.kept.get(name)) {
                Some(kept) => kept.clone(),
                None => self.fill_text(text).into(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (self.fill_text(key), self.fill(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    fn fill_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, kept) in self.kept.iter().rev() {
            let kept = kept.as_str().map_or_else(|| kept.to_string(), str::to_owned);
            text = text.replace(&format!("${name}"), &kept);
        }
        text
    }

    /// A request with everything put in.
    pub(crate) fn filled(&self, ask: &Ask) -> Ask {
        Ask {
            verb: ask.verb,
            of: ask.of.as_deref().map(|of| self.fill_text(of)),
            body: ask.body.as_ref().map(|body| self.fill(body)),
            query: ask.query.iter().map(|(name, value)| (name.clone(), self.fill_text(value))).collect(),
        }
    }

    /// Asks, and reads the answer.
    pub(crate) async fn ask(&self, place: &Place, ask: &Ask) -> Result<Answered, SideError> {
        let query = Serializer::new(String::new()).extend_pairs(&ask.query).finish();
        let separator = if query.is_empty() { "" } else { "?" };
        let asked = format!("{} {}{separator}{query}", ask.verb.method(), place.path);
        let accept = match ask.verb {
            Verb::Table => "application/json;as=Table;v=v1;g=meta.k8s.io",
            _ => "application/json",
        };
        let mut request = Request::builder()
            .method(ask.verb.method())
            .uri(format!("{}{separator}{query}", place.path))
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, AGENT);
        let body = match &ask.body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, ask.verb.content_type());
                body.as_str().map_or_else(|| body.to_string(), str::to_owned).into()
            }
        };
        let request = request.body(body).map_err(|error| SideError::Step(format!("{asked}: {error}")))?;
        let unanswered = |cause| SideError::Unanswered { asked: asked.clone(), cause };
        let answer = self.upstream.fetch(request, PATIENCE, BYTES_MAX).await.map_err(unanswered)?;
        let warnings = answer.headers().get_all(header::WARNING).iter();
        let warnings = warnings.map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned()).collect();
        let (code, bytes) = (answer.status().as_u16(), answer.into_body());
        let body = if ask.verb == Verb::Watch && code == 200 { events(&bytes) } else { document(&bytes) };
        Ok(Answered { code, body, warnings })
    }

    async fn get(&self, schema: &Schema, of: &str) -> Result<Option<Value>, SideError> {
        let ask = Ask { verb: Verb::List, of: Some(of.to_owned()), body: None, query: BTreeMap::new() };
        let Some(place) = place(schema, &ask, &self.namespace)? else { return Ok(None) };
        let answered = self.ask(&place, &ask).await?;
        // What may not be seen cannot be waited for.
        Ok((answered.code == 200).then_some(answered.body))
    }

    /// Waits until all is done, at most so long, and learns the names that were made up meanwhile.
    pub(crate) async fn settle(&self, schema: &Schema, limit: Duration, normal: &mut Normal) -> Result<(), SideError> {
        match &self.clock {
            Clock::Virtual(live) => {
                let live = live.clone();
                let settled = tokio::task::spawn_blocking(move || live.settle(limit)).await;
                settled.map_err(|error| SideError::Step(error.to_string()))?;
            }
            Clock::Wall(quiet) => self.rest(schema, limit, *quiet).await?,
        }
        for of in NAMING {
            if let Some(list) = self.get(schema, of).await? {
                for item in list.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
                    normal.learn(item);
                }
            }
        }
        Ok(())
    }

    async fn rest(&self, schema: &Schema, limit: Duration, quiet: Duration) -> Result<(), SideError> {
        let begin = Instant::now();
        let (mut last, mut since) = (None, begin);
        while begin.elapsed() < limit {
            let mut seen = Vec::new();
            for of in LIVELY {
                let list = self.get(schema, of).await?.unwrap_or_default();
                for item in list.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
                    seen.push((
                        item.pointer("/metadata/uid").cloned(),
                        item.pointer("/metadata/resourceVersion").cloned(),
                    ));
                }
            }
            if last.as_ref() != Some(&seen) {
                (last, since) = (Some(seen), Instant::now());
            } else if since.elapsed() >= quiet {
                break;
            }
            tokio::time::sleep(LOOK.min(quiet)).await;
        }
        Ok(())
    }

    /// Lets so much time pass.
    pub(crate) async fn pause(&self, time: Duration) -> Result<(), SideError> {
        match &self.clock {
            Clock::Wall(_) => tokio::time::sleep(time).await,
            Clock::Virtual(live) => {
                let live = live.clone();
                let passed = tokio::task::spawn_blocking(move || live.advance(time)).await;
                passed.map_err(|error| SideError::Step(error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// A field of an answer, by its path: `items.0.metadata.name`.
pub(crate) fn field<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |node, key| match node {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => node.get(key),
    })
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn events(bytes: &[u8]) -> Value {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).map(document).collect()
}
