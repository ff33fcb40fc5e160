//! Who owns which field, and server-side apply
//! (`k8s.io/apimachinery/pkg/util/managedfields`, `sigs.k8s.io/structured-merge-diff/merge`).
//!
//! Knows: what an update takes over, what an apply merges, prunes and is refused.
//! Does not know: storage, admission, validation of values: what comes out is written like any other object.
//!
//! | file | does |
//! |---|---|
//! | `set` | sets of fields |
//! | `walk` | the fields of a document, the differences of two |
//! | `merge` | one document applied to another |
//! | `check` | whether a document fits its type |
//! | `entries` | `metadata.managedFields` |
//! | `kubectl` | what of `kubectl apply` an apply takes over |

mod check;
mod entries;
mod kubectl;
mod merge;
mod set;
mod walk;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use super::status::Status;
use crate::doc;
use crate::schema::{Resource, Schema, split_api_version};
use crate::value::{Text, Value};
use entries::{Entry, Operation};
use walk::Difference;

pub(crate) use entries::differ_in_times_only;
pub(super) use merge::merge;
pub(crate) use set::FieldSet;

/// Who owned what before anybody applied, if nobody kept account until then.
const BEFORE: &str = "before-first-apply";

/// What nobody owns, because the server alone writes it or because it says which object it is.
const NOBODYS: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// One write, as far as ownership goes.
pub(crate) struct Writing<'a> {
    pub(crate) schema: &'a Schema,
    /// The resource in the version that the writer speaks.
    pub(crate) resource: &'a Resource,
    /// Who writes; empty if it did not say.
    pub(crate) manager: &'a str,
    /// Through which subresource; empty for none.
    pub(crate) subresource: &'a str,
    /// Fields that this way of writing does not reach.
    pub(crate) unreached: FieldSet,
    /// The time, as entries have it.
    pub(crate) now: Text,
}

impl Writing<'_> {
    /// Has the writer own what it changes with an update, and nobody own what it takes away. `old` is none for a new
    /// object. Both are in the form in which they are kept.
    pub(crate) fn update(&self, old: Option<&Value>, new: &mut Value) {
        let mut have = if !self.subresource.is_empty() {
            old.map(entries::read).unwrap_or_default()
        } else if entries::is_reset(new) {
            Vec::new()
        } else {
            // A writer that knows nothing of managed fields must not lose them by leaving them out.
            let said = entries::read(new);
            if said.is_empty() { old.map(entries::read).unwrap_or_default() } else { said }
        };
        entries::take(new);
        if have.is_empty() && old.is_some() {
            // Nobody kept account of this object. That begins when it is first applied.
            return;
        }
        // What is written the way Go writes it differs only where something does.
        let typed = self.schema.of(new).and_then(|kept| kept.ty().as_go_read(new));
        self.own(old, typed.as_ref().unwrap_or(new), self.manager, &mut have);
        entries::put(new, have);
    }

    fn own(&self, old: Option<&Value>, new: &Value, manager: &str, have: &mut Vec<Entry>) {
        let empty = self.empty();
        let (old, new) = (bare(old.unwrap_or(&empty)), bare(new));
        let difference = self.difference(&self.resource.api_version(), &old, &new).unwrap_or_default();
        self.take_from(have, None, &old, &new, &difference, |_, _| {});
        let fields = difference.written().without_below(&self.unreached).difference(nobodys());
        if !fields.is_empty() {
            let entry = self.entry(if manager.is_empty() { "unknown" } else { manager }, Operation::Update, fields);
            match have.iter_mut().find(|other| other.is(&entry)) {
                Some(other) => {
                    other.fields = other.fields.union(&entry.fields);
                    other.time = entry.time;
                }
                None => have.push(entry),
            }
        }
        have.retain(|entry| !entry.fields.is_empty());
        entries::cap(have);
    }

    /// What the object is after `config` is applied to it; `live` is none if there is none yet. Both are in the version
    /// that the writer speaks.
    ///
    /// # Errors
    /// Other managers' fields, unless `force`; a document that does not fit its type.
    pub(crate) fn apply(&self, live: Option<&Value>, config: &Value, force: bool) -> Result<Value, Status> {
        self.check(config)?;
        let empty = self.empty();
        let mut have = live.map(entries::read).unwrap_or_default();
        if let (Some(live), true) = (live, have.is_empty()) {
            self.own(None, live, BEFORE, &mut have);
        }
        let live = bare(live.unwrap_or(&empty));
        let applied = match self.applied(&live, config, have.clone(), force) {
            Err(conflicts) if self.manager == kubectl::MANAGER => {
                let rest = conflicts.without(&kubectl::may_take(self.resource.ty(), &live));
                if !rest.is_empty() {
                    return Err(rest.refusal());
                }
                self.applied(&live, config, have, true)
            }
            other => other,
        };
        let (mut object, have) = applied.map_err(|conflicts| conflicts.refusal())?;
        if self.manager == kubectl::MANAGER {
            kubectl::remember(&mut object, config);
        }
        entries::put(&mut object, have);
        Ok(object)
    }

    fn applied(
        &self,
        live: &Value,
        config: &Value,
        mut have: Vec<Entry>,
        force: bool,
    ) -> Result<(Value, Vec<Entry>), Conflicts> {
        let ty = self.resource.ty();
        let fields = walk::fields(ty, config).without_below(&self.unreached);
        let mut own = self.entry(self.manager, Operation::Apply, fields);
        own.time = None;
        let last = have.iter().position(|entry| entry.is(&own)).map(|at| have.remove(at));
        let merged = merge(ty, live, config);
        let object = match &last {
            Some(last) => self.prune(&merged, &last.fields, &own, &have),
            None => merged,
        };

        let difference = self.difference(&self.resource.api_version(), live, &object).unwrap_or_default();
        let mut conflicts = Conflicts(Vec::new());
        self.take_from(&mut have, Some(&own), live, &object, &difference, |entry, fields| {
            conflicts.0.push((entry.clone(), fields));
        });
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        own.time = if object == *live { last.and_then(|last| last.time) } else { self.time() };
        own.fields = own.fields.difference(nobodys());
        have.push(own);
        have.retain(|entry| !entry.fields.is_empty());
        Ok((object, have))
    }

    /// Takes away what the manager applied last time and nobody wants any more.
    fn prune(&self, merged: &Value, last: &FieldSet, own: &Entry, others: &[Entry]) -> Value {
        let ty = self.resource.ty();
        let with_structs = |set: &FieldSet| walk::with_structs(ty, set);
        let wanted = others.iter().chain([own]).fold(FieldSet::default(), |wanted, entry| wanted.union(&entry.fields));
        let have = with_structs(&walk::fields(ty, merged));
        let gone = with_structs(last).intersection(&have).difference(&with_structs(&wanted));
        walk::without(ty, merged, &gone)
    }

    /// Has every entry lose what a write changes or removes; tells of what it changes first.
    fn take_from(
        &self,
        have: &mut Vec<Entry>,
        own: Option<&Entry>,
        old: &Value,
        new: &Value,
        difference: &Difference,
        mut conflict: impl FnMut(&Entry, FieldSet),
    ) {
        let spoken = self.resource.api_version();
        have.retain_mut(|entry| {
            if own.is_some_and(|own| own.is(entry)) {
                return true;
            }
            let translated;
            let difference = if entry.version == spoken {
                difference
            } else {
                // What is said in a version that is not served any more cannot be understood.
                let Some(other) = self.difference(&entry.version, old, new) else { return false };
                translated = other;
                &translated
            };
            let taken = entry.fields.intersection(&difference.written());
            if !taken.is_empty() {
                conflict(entry, taken.clone());
                entry.fields = entry.fields.difference(&taken);
            }
            entry.fields = entry.fields.difference(&difference.removed);
            true
        });
    }

    /// In which fields two documents differ, in the words of a version; none if that version is not served.
    fn difference(&self, version: &str, old: &Value, new: &Value) -> Option<Difference> {
        let (group, number) = split_api_version(version);
        let resource = match self.resource {
            spoken if spoken.group == group && spoken.version == number => spoken,
            spoken => self.schema.by_kind(group, number, &spoken.kind)?,
        };
        let said = |object: &Value| {
            if object.api_version() == version { object.clone() } else { self.schema.convert(object, &resource.gvk()) }
        };
        let difference = walk::compare(resource.ty(), &said(old), &said(new));
        Some(difference.filter(|set| set.without_below(&self.unreached)))
    }

    fn entry(&self, manager: &str, operation: Operation, fields: FieldSet) -> Entry {
        Entry {
            manager: manager.into(),
            operation,
            version: self.resource.api_version(),
            subresource: self.subresource.into(),
            time: self.time(),
            fields,
        }
    }

    /// When it is written. What is written through a scale is noted without.
    fn time(&self) -> Option<Text> {
        (self.subresource != "scale").then(|| self.now.clone())
    }

    /// An object of which nothing is said. Some of its fields have no absence, so nobody ever adds them.
    fn empty(&self) -> Value {
        let nothing = doc!({"apiVersion": (self.resource.api_version()), "kind": (&self.resource.kind)});
        self.resource.ty().as_go(&nothing).unwrap_or(nothing)
    }

    fn check(&self, config: &Value) -> Result<(), Status> {
        let said = config.api_version();
        let (group, version) = split_api_version(said);
        let gvk = format!("{group}/{version}, Kind={}", config.kind());
        if said != self.resource.api_version() || config.kind() != self.resource.kind.as_str() {
            return Err(Status::bad_request(format!("invalid object type: {gvk}")));
        }
        if !config.at(&["metadata", "managedFields"]).is_null() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let cannot = |why: String| {
            let message = format!(
                "failed to create typed patch object ({}/{}; {gvk}): {why}",
                config.namespace(),
                config.name(),
            );
            Status::new(500, "", message)
        };
        check::errors(self.resource.ty(), config).map_err(cannot)
    }
}

fn nobodys() -> &'static FieldSet {
    static SET: LazyLock<FieldSet> =
        LazyLock::new(|| NOBODYS.iter().fold(FieldSet::default(), |set, path| set.union(&FieldSet::path(path))));
    &SET
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    entries::take(&mut object);
    object
}

/// Fields that others own and an apply would change, by owner.
struct Conflicts(Vec<(Entry, FieldSet)>);

impl Conflicts {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn without(self, allowed: &FieldSet) -> Self {
        let rest = self.0.into_iter().map(|(entry, fields)| (entry, fields.difference(allowed)));
        Self(rest.filter(|(_, fields)| !fields.is_empty()).collect())
    }

    fn refusal(&self) -> Status {
        let each: Vec<(String, String)> = self
            .0
            .iter()
            .flat_map(|(entry, fields)| fields.paths().into_iter().map(|path| (entry.name(), path)))
            .collect();
        let message = match each.as_slice() {
            [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
            many => {
                let mut managers: Vec<&String> = many.iter().map(|(manager, _)| manager).collect();
                managers.sort();
                managers.dedup();
                let mut lines = Vec::new();
                for manager in managers {
                    lines.push(format!("conflicts with {manager}:"));
                    lines.extend(many.iter().filter(|(of, _)| of == manager).map(|(_, path)| format!("- {path}")));
                }
                format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
            }
        };
        let causes = each.iter().map(|(manager, path)| {
            doc!({"reason": "FieldManagerConflict", "message": (format!("conflict with {manager}")), "field": (path)})
        });
        Status::new(409, "Conflict", message).because(causes.collect())
    }
}
