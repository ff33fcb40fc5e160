//! The namespace that is filled, and left as it was found.
//!
//! Knows: what was there before, what we put there, and how to get rid of that and of nothing else.
//! Does not know: what it is filled with, or why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::Schema;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use target_kubernetes::upstream::{PATIENCE, Upstream};

use super::CheckError;
use super::side::Place;
use super::suite::Verb;

/// Says of a namespace that it is ours: a run that was killed left it, and the next takes it over.
const LABEL: &str = "lazaret.dev/scratch";

/// How long a new namespace may take until a pod can be made in it.
const FURNISH: Duration = Duration::from_secs(20);

/// How long what we made may take to go.
const CLEAN: Duration = Duration::from_secs(90);

/// What is no content: it comes with a namespace, or guards it.
const FURNITURE: &[&str] = &[
    "events",
    "events.events.k8s.io",
    "serviceaccounts",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "resourcequotas",
    "limitranges",
    "networkpolicies.networking.k8s.io",
];

/// Made by controllers out of what the suite makes; it goes by itself or, if it was orphaned, with our help.
const MADE_BY_OTHERS: &[&str] = &[
    "pods",
    "replicasets.apps",
    "controllerrevisions.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "persistentvolumeclaims",
    "jobs.batch",
];

/// What concerns everything in a namespace.
const WIDE: &[&str] = &["resourcequotas", "limitranges", "networkpolicies.networking.k8s.io"];

/// A namespace to work in.
pub(crate) struct Scratch {
    upstream: Upstream,
    schema: Schema,
    /// What it is called.
    pub(crate) namespace: String,
    /// Whether it goes when we go.
    ours: bool,
    /// Whether there is something in it that is not ours: then only what we made ourselves is touched.
    shared: bool,
    before: BTreeSet<(String, String)>,
    /// What we made, by resource, and the resources that it may have led to.
    made: BTreeMap<String, BTreeSet<String>>,
}

impl Scratch {
    /// A namespace that may be filled.
    ///
    /// # Errors
    /// If it cannot be made, is about to go, or holds something and `force` does not say that this is all right.
    pub(crate) async fn prepare(
        upstream: Upstream,
        schema: Schema,
        namespace: &str,
        force: bool,
    ) -> Result<Self, CheckError> {
        let mut scratch = Self {
            upstream,
            schema,
            namespace: namespace.to_owned(),
            ours: false,
            shared: false,
            before: BTreeSet::new(),
            made: BTreeMap::new(),
        };
        let (code, body) = scratch.send("GET", &scratch.root(), None).await?;
        match code {
            StatusCode::OK if body.pointer("/metadata/deletionTimestamp").is_some() => {
                return Err(CheckError::Refused(format!(
                    "namespace {namespace} is being deleted: try again when it is gone"
                )));
            }
            // A run that was killed left it.
            StatusCode::OK if body.pointer("/metadata/labels").is_some_and(|all| all.get(LABEL).is_some()) => {
                scratch.unmake().await?;
                scratch.make().await?;
            }
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => scratch.make().await?,
            // Who has rights in the namespace alone may not be allowed to look at the namespace itself.
            StatusCode::FORBIDDEN => {}
            _ => return Err(CheckError::Unreachable(format!("namespace {namespace}: {}", message(&body)))),
        }
        scratch.furnish().await?;
        let found = scratch.contents().await?;
        let held: Vec<String> = found.iter().filter(|(of, name)| is_content(of, name)).map(name_of).collect();
        if !scratch.ours && !held.is_empty() && !force {
            return Err(CheckError::Refused(format!(
                "namespace {namespace} holds {} objects, such as {}: name an empty one, or say --force",
                held.len(),
                held.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
            )));
        }
        scratch.shared = !held.is_empty();
        scratch.before = found;
        Ok(scratch)
    }

    fn root(&self) -> String {
        format!("/api/v1/namespaces/{}", self.namespace)
    }

    async fn make(&mut self) -> Result<(), CheckError> {
        let body = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {LABEL: "true"}},
        });
        let (code, body) = self.send("POST", "/api/v1/namespaces", Some(&body)).await?;
        if code != StatusCode::CREATED {
            let why = message(&body);
            return Err(CheckError::Refused(format!(
                "there is no namespace {}, and it cannot be made: {why}",
                self.namespace
            )));
        }
        self.ours = true;
        Ok(())
    }

    /// Waits until the namespace has what every pod needs.
    async fn furnish(&self) -> Result<(), CheckError> {
        let begin = Instant::now();
        for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
            let path = format!("{}/{path}", self.root());
            while begin.elapsed() < FURNISH {
                let (code, _) = self.send("GET", &path, None).await?;
                if code != StatusCode::NOT_FOUND {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// Everything in the namespace that may be seen.
    async fn contents(&self) -> Result<BTreeSet<(String, String)>, CheckError> {
        let mut resources: BTreeSet<String> = BTreeSet::new();
        for resource in self.schema.resources() {
            if let Some(stored) = self.schema.stored(&resource.id())
                && stored.namespaced
                && stored.allows("list")
            {
                resources.insert(stored.id().to_string());
            }
        }
        let mut found = BTreeSet::new();
        for of in resources {
            found.extend(self.list(&of).await?.into_iter().map(|item| (of.clone(), item.name)));
        }
        Ok(found)
    }

    async fn list(&self, of: &str) -> Result<Vec<Item>, CheckError> {
        let Some(path) = self.path(of) else { return Ok(Vec::new()) };
        let (code, body) = self.send("GET", &path, None).await?;
        if code != StatusCode::OK {
            return Ok(Vec::new()); // not allowed, or not there any more
        }
        let items = body.pointer("/items").and_then(Value::as_array);
        Ok(items.into_iter().flatten().map(Item::of).collect())
    }

    fn path(&self, of: &str) -> Option<String> {
        let (plural, group) = of.split_once('.').unwrap_or((of, ""));
        let resource = self.schema.preferred(group, plural)?;
        let root = if group.is_empty() { "/api" } else { "/apis" };
        Some(format!("{root}/{}/namespaces/{}/{plural}", resource.api_version(), self.namespace))
    }

    /// Why a step may not be taken here: it could touch what is not ours.
    pub(crate) fn forbids(&self, verb: Verb, place: &Place, body: Option<&Value>) -> Option<String> {
        if !self.shared || !verb.writes() {
            return None;
        }
        let (id, name) = made_by(place, body);
        if WIDE.contains(&id.as_str()) || verb == Verb::DeleteAll {
            return Some(format!("it would touch what else is in namespace {}", self.namespace));
        }
        let known = self.before.contains(&(id.clone(), name.clone()));
        known.then(|| format!("namespace {} has a {id} {name} that is not ours", self.namespace))
    }

    /// Notes, before it is sent, that something is about to be made: whatever interrupts us, it is known.
    pub(crate) fn will_make(&mut self, place: &Place, body: Option<&Value>) {
        let (id, name) = made_by(place, body);
        let made = self.made.entry(id).or_default();
        if !name.is_empty() {
            made.insert(name);
        }
    }

    /// Takes away whatever we made, and waits until it is gone.
    ///
    /// # Errors
    /// Names what is still there.
    pub(crate) async fn clean(&mut self) -> Result<(), CheckError> {
        let begin = Instant::now();
        let resources: BTreeSet<String> =
            self.made.keys().cloned().chain(MADE_BY_OTHERS.iter().map(|of| (*of).to_owned())).collect();
        loop {
            let mut left = Vec::new();
            let mut owners = BTreeSet::new();
            for of in &resources {
                for item in self.list(of).await? {
                    let key = (of.clone(), item.name.clone());
                    let made = self.made.get(of).is_some_and(|made| made.contains(&item.name));
                    let came_of_it = is_content(of, &item.name) && (!self.shared || self.follows(of, &item, &owners));
                    if self.before.contains(&key) || !made && !came_of_it {
                        continue;
                    }
                    owners.insert(item.uid.clone());
                    left.push(name_of(&key));
                    // The node of a pod that does not stop in time may not answer any more.
                    let stuck = of == "pods" && begin.elapsed() > CLEAN / 2;
                    self.remove(of, &item, stuck).await?;
                }
            }
            if left.is_empty() {
                self.made.clear();
                return Ok(());
            }
            if begin.elapsed() > CLEAN {
                let left = left.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                return Err(CheckError::Unclean(format!("{left} in namespace {} do not go", self.namespace)));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Whether something that we did not make ourselves came of what we did make.
    fn follows(&self, of: &str, item: &Item, owners: &BTreeSet<String>) -> bool {
        let claim = of == "persistentvolumeclaims"
            && self
                .made
                .get("statefulsets.apps")
                .into_iter()
                .flatten()
                .any(|set| item.name.contains(&format!("-{set}-")));
        claim || item.owners.iter().any(|owner| owners.contains(owner))
    }

    async fn remove(&self, of: &str, item: &Item, by_force: bool) -> Result<(), CheckError> {
        let Some(path) = self.path(of) else { return Ok(()) };
        let path = format!("{path}/{}", item.name);
        if item.finalizers {
            let free = json!({"metadata": {"finalizers": null}});
            let _ = self.send("PATCH", &path, Some(&free)).await?;
        }
        if !item.going || by_force {
            let mut options = json!({"propagationPolicy": "Background", "preconditions": {"uid": item.uid}});
            if by_force && let Some(options) = options.as_object_mut() {
                options.insert("gracePeriodSeconds".to_owned(), json!(0));
            }
            let _ = self.send("DELETE", &path, Some(&options)).await?;
        }
        Ok(())
    }

    /// Leaves: what we made goes, and the namespace too if we made it.
    ///
    /// # Errors
    /// Names what is still there.
    pub(crate) async fn leave(mut self) -> Result<(), CheckError> {
        self.clean().await?;
        if self.ours {
            self.unmake().await?;
        }
        Ok(())
    }

    async fn unmake(&self) -> Result<(), CheckError> {
        let _ = self.send("DELETE", &self.root(), None).await?;
        let begin = Instant::now();
        while begin.elapsed() < CLEAN {
            let (code, _) = self.send("GET", &self.root(), None).await?;
            if code == StatusCode::NOT_FOUND {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Err(CheckError::Unclean(format!("namespace {} is being deleted, and not gone yet", self.namespace)))
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), CheckError> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, kind)
            .body(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default())
            .map_err(|error| CheckError::Unreachable(error.to_string()))?;
        let answer = self.upstream.fetch(request, PATIENCE, 64 * 1024 * 1024).await;
        let answer = answer.map_err(|error| CheckError::Unreachable(format!("{method} {path}: {error}")))?;
        Ok((answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default()))
    }
}

/// The resource and name of what a step is about.
fn made_by(place: &Place, body: Option<&Value>) -> (String, String) {
    let id = if place.group.is_empty() { place.plural.clone() } else { format!("{}.{}", place.plural, place.group) };
    let text = |path: &str| body.and_then(|body| body.pointer(path)?.as_str()).unwrap_or_default();
    let name = if place.name.is_empty() { text("/metadata/name") } else { &place.name };
    (id, name.to_owned())
}

struct Item {
    name: String,
    uid: String,
    owners: Vec<String>,
    finalizers: bool,
    going: bool,
}

impl Item {
    fn of(object: &Value) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |path: &str| object.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
        // Those of Kubernetes itself see to it that something is done first, and do it.
        let foreign = |finalizer: &Value| finalizer.as_str().is_some_and(|name| name.starts_with("lazaret.dev/"));
        Self {
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            owners: list("/metadata/ownerReferences")
                .iter()
                .filter_map(|owner| owner.get("uid")?.as_str().map(str::to_owned))
                .collect(),
            finalizers: list("/metadata/finalizers").iter().any(foreign),
            going: object.pointer("/metadata/deletionTimestamp").is_some(),
        }
    }
}

fn is_content(of: &str, name: &str) -> bool {
    let certificates = of == "configmaps" && name.ends_with(".crt");
    // Tokens and pull secrets that old clusters, and OpenShift, give to service accounts.
    let credentials = of == "secrets" && (name.contains("-token-") || name.contains("-dockercfg-"));
    !FURNITURE.contains(&of) && !certificates && !credentials
}

fn name_of((of, name): &(String, String)) -> String {
    format!("{of}/{name}")
}

fn message(status: &Value) -> String {
    status.get("message").and_then(Value::as_str).unwrap_or("it did not say why").to_owned()
}
