//! The suite: what is done to a cluster and to its twin, to see whether both answer alike.
//!
//! Knows: the form of the files in `suite/`, one for each area, and what each step sends.
//! Does not know: whom it is sent to, or what is answered.
//!
//! ```yaml
//! area: crud
//! about: one line for people
//! cases:
//! - name: what is shown
//!   needs: [nodes]                  # it means nothing if nodes cannot be seen
//!   owners: true                    # compare who owns which field, too
//!   steps:
//!   - create: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
//!     keep: {uid: metadata.uid}     # $uid stands for it in later steps
//!   - apply: {…}                    # as: manager, force: true
//!   - replace: {…}
//!   - merge: {…}                    # strategic, json: the other patches
//!     of: deployments.apps/web      # what is meant, where the body does not say so
//!   - get: configmaps/a             # table: the same as kubectl shows it
//!   - list: pods
//!     where: app=web
//!   - watch: configmaps             # since: $version
//!   - delete: configmaps/a          # options: {propagationPolicy: Orphan}; all: true for every one of a list
//!   - evict: pods/a
//!   - settle: 30                    # until all is done, at most so many seconds of the cluster's time
//!   - pause: 5                      # so many seconds of the cluster's time
//! ```
//!
//! `$ns` is the namespace, `$image` an image that stays up, and exits 0 at once when its argument is `-v`. A body that is a
//! text is sent as it is. `aside: true` is a step whose answer is not compared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Every area, in the order in which they are run and shown.
const FILES: &[(&str, &str)] = &[
    ("crud.yaml", include_str!("suite/crud.yaml")),
    ("defaulting.yaml", include_str!("suite/defaulting.yaml")),
    ("validation.yaml", include_str!("suite/validation.yaml")),
    ("patch.yaml", include_str!("suite/patch.yaml")),
    ("apply.yaml", include_str!("suite/apply.yaml")),
    ("fields.yaml", include_str!("suite/fields.yaml")),
    ("table.yaml", include_str!("suite/table.yaml")),
    ("watch.yaml", include_str!("suite/watch.yaml")),
    ("admission.yaml", include_str!("suite/admission.yaml")),
    ("rollout.yaml", include_str!("suite/rollout.yaml")),
    ("scale-down.yaml", include_str!("suite/scale-down.yaml")),
    ("statefulset.yaml", include_str!("suite/statefulset.yaml")),
    ("job.yaml", include_str!("suite/job.yaml")),
    ("daemonset.yaml", include_str!("suite/daemonset.yaml")),
    ("disruption.yaml", include_str!("suite/disruption.yaml")),
    ("endpoints.yaml", include_str!("suite/endpoints.yaml")),
    ("garbage.yaml", include_str!("suite/garbage.yaml")),
    ("scheduling.yaml", include_str!("suite/scheduling.yaml")),
];

/// A part of what Kubernetes does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Area {
    /// What it is called.
    pub(crate) area: String,
    /// What it is, for people.
    pub(crate) about: String,
    /// What is tried of it.
    pub(crate) cases: Vec<Case>,
}

/// Some steps that belong together, on nothing that others left.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// A sentence.
    pub(crate) name: String,
    /// What it means nothing without.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    /// Whether it is compared who owns which field.
    #[serde(default)]
    pub(crate) owners: bool,
    /// What is done.
    pub(crate) steps: Vec<Step>,
}

/// What a case may need besides rights in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Need {
    /// The cluster's nodes can be seen: what is tried depends on what they are.
    Nodes,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Step {
    /// What is done.
    pub(crate) act: Act,
    /// Names for fields of the answer.
    pub(crate) keep: BTreeMap<String, String>,
    /// Whether its answer is not compared.
    pub(crate) aside: bool,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Act {
    /// Asks the API server.
    Ask(Ask),
    /// Waits until all is done.
    Settle(Duration),
    /// Lets time pass.
    Pause(Duration),
}

/// A request, before what stands for something in it is put in.
#[derive(Debug)]
pub(crate) struct Ask {
    /// What is wanted.
    pub(crate) verb: Verb,
    /// `resource.group`, `resource.group/name` or `resource.group/name/subresource`; none where the body says it.
    pub(crate) of: Option<String>,
    /// What is sent.
    pub(crate) body: Option<Value>,
    /// What the query says.
    pub(crate) query: BTreeMap<String, String>,
}

/// What an API server can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Replace,
    Apply,
    Merge,
    Strategic,
    Json,
    Get,
    List,
    Table,
    Watch,
    Delete,
    DeleteAll,
}

impl Verb {
    /// Whether it changes anything.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Table | Self::Watch)
    }

    /// The method that it is sent with.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Create => "POST",
            Self::Replace => "PUT",
            Self::Apply | Self::Merge | Self::Strategic | Self::Json => "PATCH",
            Self::Get | Self::List | Self::Table | Self::Watch => "GET",
            Self::Delete | Self::DeleteAll => "DELETE",
        }
    }

    /// What its body is.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Apply => "application/apply-patch+yaml",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Json => "application/json-patch+json",
            _ => "application/json",
        }
    }

    /// What it is called in the files, and in what is printed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Apply => "apply",
            Self::Merge => "merge",
            Self::Strategic => "strategic",
            Self::Json => "json",
            Self::Get => "get",
            Self::List => "list",
            Self::Table => "table",
            Self::Watch => "watch",
            Self::Delete => "delete",
            Self::DeleteAll => "delete all",
        }
    }

    /// The rights that it takes.
    pub(crate) fn rights(self, named: bool) -> &'static [&'static str] {
        match self {
            Self::Create => &["create"],
            Self::Replace => &["update"],
            // What is applied is made if it is not there.
            Self::Apply => &["patch", "create"],
            Self::Merge | Self::Strategic | Self::Json => &["patch"],
            Self::Get => &["get"],
            Self::Table if named => &["get"],
            Self::List | Self::Table => &["list"],
            Self::Watch => &["watch"],
            Self::Delete => &["delete"],
            Self::DeleteAll => &["deletecollection"],
        }
    }
}

/// A step as it stands in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    create: Option<Value>,
    replace: Option<Value>,
    apply: Option<Value>,
    merge: Option<Value>,
    strategic: Option<Value>,
    json: Option<Value>,
    get: Option<String>,
    list: Option<String>,
    table: Option<String>,
    watch: Option<String>,
    delete: Option<String>,
    evict: Option<String>,
    settle: Option<u64>,
    pause: Option<u64>,
    of: Option<String>,
    r#as: Option<String>,
    r#where: Option<String>,
    since: Option<String>,
    options: Option<Value>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    keep: BTreeMap<String, String>,
    #[serde(default)]
    aside: bool,
}

impl TryFrom<Written> for Step {
    type Error = String;

    fn try_from(said: Written) -> Result<Self, String> {
        let mut query = said.query;
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                query.insert(name.to_owned(), value);
            }
        };
        put("fieldManager", said.r#as);
        put("labelSelector", said.r#where);
        put("resourceVersion", said.since);
        put("force", said.force.then(|| "true".to_owned()));
        if said.watch.is_some() {
            put("watch", Some("true".to_owned()));
            put("timeoutSeconds", Some("1".to_owned()));
        }
        let of = said.of;
        let with = |verb, body| Act::Ask(Ask { verb, of: of.clone(), body: Some(body), query: query.clone() });
        let about = |verb, of, body| Act::Ask(Ask { verb, of: Some(of), body, query: query.clone() });
        let evict = |of: String| {
            let name = of.split('/').nth(1).unwrap_or_default();
            let body = serde_json::json!({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "$ns"},
                "deleteOptions": said.options,
            });
            about(Verb::Create, format!("{of}/eviction"), Some(body))
        };
        let delete = if said.all { Verb::DeleteAll } else { Verb::Delete };
        let acts = [
            said.create.map(|body| with(Verb::Create, body)),
            said.replace.map(|body| with(Verb::Replace, body)),
            said.apply.map(|body| with(Verb::Apply, body)),
            said.merge.map(|body| with(Verb::Merge, body)),
            said.strategic.map(|body| with(Verb::Strategic, body)),
            said.json.map(|body| with(Verb::Json, body)),
            said.get.map(|of| about(Verb::Get, of, None)),
            said.list.map(|of| about(Verb::List, of, None)),
            said.table.map(|of| about(Verb::Table, of, None)),
            said.watch.map(|of| about(Verb::Watch, of, None)),
            said.evict.map(evict),
            said.delete.map(|of| about(delete, of, said.options.clone())),
            said.settle.map(|limit| Act::Settle(Duration::from_secs(limit))),
            said.pause.map(|time| Act::Pause(Duration::from_secs(time))),
        ];
        let mut acts = acts.into_iter().flatten();
        match (acts.next(), acts.next()) {
            (Some(act), None) => Ok(Self { act, keep: said.keep, aside: said.aside }),
            (None, _) => Err("a step that does nothing".to_owned()),
            (Some(_), Some(_)) => Err("a step that does two things".to_owned()),
        }
    }
}

/// The whole suite.
///
/// # Errors
/// Which file cannot be read, and why: they are part of the program, and a test reads them all.
pub(crate) fn suite() -> Result<Vec<Area>, String> {
    let read = |(file, text): &(&str, &str)| -> Result<Area, String> {
        serde_saphyr::from_str(text).map_err(|error| format!("suite/{file}: {error}"))
    };
    FILES.iter().map(read).collect()
}
