//! What is wrong with a CustomResourceDefinition (`apiextensions-apiserver/pkg/apis/apiextensions/validation`).
//!
//! Knows: names, versions, subresources, columns.
//! Does not know: the schemas of its versions, which are `structure`'s.

use super::faults::{At, Faults};
use super::{names, structure};
use crate::value::Value;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const APPROVAL: &str = "api-approved.kubernetes.io";

/// `CustomResourceDefinition`
pub(super) fn check(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let name = format!("{}.{}", spec.down(&["names", "plural"]).text(), spec.field("group").text());
    if root.value.name() != name {
        faults.invalid(&root.down(&["metadata", "name"]), r#"must be spec.names.plural+"."+spec.group"#);
    }
    group(&spec.field("group"), faults);
    let scope = spec.field("scope");
    if faults.some_text(&scope) {
        faults.one_of(&scope, &["Cluster", "Namespaced"]);
    }
    versions(&spec.field("versions"), faults);
    all_names(&spec.field("names"), faults);
    approval(root, faults);
}

/// What may not change in one.
pub(super) fn update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let spec = root.field("spec");
    faults.unchanged(&spec.field("group"), old.at(&["spec", "group"]));
    faults.unchanged(&spec.down(&["names", "plural"]), old.at(&["spec", "names", "plural"]));
    if old.condition_is_true("Established") {
        faults.unchanged(&spec.field("scope"), old.at(&["spec", "scope"]));
        faults.unchanged(&spec.down(&["names", "kind"]), old.at(&["spec", "names", "kind"]));
    }
    let served: Vec<&str> = spec.field("versions").items().map(|version| version.field("name").text()).collect();
    for stored in root.down(&["status", "storedVersions"]).items() {
        let version = stored.text();
        if !served.contains(&version) {
            let why = format!(
                "missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {version} and removes {version} from \
                 status.storedVersions"
            );
            faults.invalid(&stored, &why);
        }
    }
}

fn joined(at: &At<'_>, why: Vec<String>, before: &str, faults: &mut Faults) {
    if !why.is_empty() {
        faults.invalid(at, &format!("{before}{}", why.join(",")));
    }
}

fn group(group: &At<'_>, faults: &mut Faults) {
    if !faults.some_text(group) {
        return;
    }
    let why = names::subdomain(group.text());
    if why.is_empty() && !group.text().contains('.') {
        faults.invalid(group, "should be a domain with at least one dot");
    }
    joined(group, why, "", faults);
}

fn all_names(at: &At<'_>, faults: &mut Faults) {
    const MIXED: &str = "may have mixed case, but should otherwise match: ";
    let (plural, singular) = (at.field("plural"), at.field("singular"));
    let (kind, list_kind) = (at.field("kind"), at.field("listKind"));
    for name in [&plural, &singular, &kind, &list_kind] {
        faults.some_text(name);
    }
    for name in [&plural, &singular].into_iter().filter(|name| !name.text().is_empty()) {
        joined(name, names::label_1035(name.text()), "", faults);
    }
    for name in [&kind, &list_kind].into_iter().filter(|name| !name.text().is_empty()) {
        joined(name, names::label_1035(&name.text().to_lowercase()), MIXED, faults);
    }
    for name in at.field("shortNames").items() {
        joined(&name, names::label_1035(name.text()), "", faults);
    }
    if !kind.text().is_empty() && kind.text() == list_kind.text() {
        faults.invalid(&list_kind, "kind and listKind may not be the same");
    }
    for category in at.field("categories").items() {
        joined(&category, names::label_1035(category.text()), "", faults);
    }
}

fn versions(versions: &At<'_>, faults: &mut Faults) {
    for version in versions.items() {
        let schema = version.down(&["schema", "openAPIV3Schema"]);
        if schema.is_absent() {
            faults.required(&schema, "schemas are required");
        }
    }
    let shared = Shared::of(versions.value.items());
    let (mut known, mut unique, mut storage): (Vec<&str>, bool, usize) = (Vec::new(), true, 0);
    for version in versions.items() {
        let name = version.field("name");
        unique &= !known.contains(&name.text());
        known.push(name.text());
        storage += usize::from(version.field("storage").value.is_true());
        joined(&name, names::label_1035(name.text()), "", faults);
        self::version(&version, &shared, known.len() == 1, faults);
    }
    if !unique {
        faults.invalid(versions, "must contain unique version names");
    }
    if storage != 1 {
        faults.invalid(versions, "must have exactly one version marked as storage version");
    }
}

/// What all versions say alike is looked at once, where it stood before there were versions.
struct Shared {
    schema: bool,
    subresources: bool,
    columns: bool,
}

impl Shared {
    fn of(versions: &[Value]) -> Self {
        let first = versions.first();
        let alike = |path: &[&str]| {
            let said = first.map_or(&Value::Null, |first| first.at(path));
            versions.iter().all(|version| version.at(path) == said)
        };
        Self {
            schema: alike(&["schema"]),
            subresources: alike(&["subresources"]),
            columns: alike(&["additionalPrinterColumns"]),
        }
    }
}

/// Where a part of a version is told to be; none if it was looked at with the first version.
fn part<'v>(at: &At<'v>, shared: bool, first: bool, path: &str) -> Option<At<'v>> {
    match (shared, first) {
        (true, true) => Some(At::root(at.value).named(path, at.value)),
        (true, false) => None,
        (false, _) => Some(at.clone()),
    }
}

fn version(version: &At<'_>, shared: &Shared, first: bool, faults: &mut Faults) {
    let schema = version.down(&["schema", "openAPIV3Schema"]);
    if let Some(schema) = part(&schema, shared.schema, first, "spec.validation.openAPIV3Schema")
        && !schema.is_absent()
    {
        structure::check(&schema, faults);
    }
    let scale = version.down(&["subresources", "scale"]);
    if let Some(scale) = part(&scale, shared.subresources, first, "spec.subresources.scale")
        && !scale.is_absent()
    {
        self::scale(&scale, faults);
    }
    let columns = version.field("additionalPrinterColumns");
    if let Some(columns) = part(&columns, shared.columns, first, "spec.additionalPrinterColumns") {
        for column in columns.items() {
            self::column(&column, faults);
        }
    }
    let (deprecated, warning) = (version.field("deprecated"), version.field("deprecationWarning"));
    if !warning.is_absent() && !deprecated.value.is_true() {
        faults.invalid(&warning, "can only be set for deprecated versions");
    } else if !warning.is_absent() && warning.text().is_empty() {
        faults.invalid(&warning, "must not be empty if specified");
    }
}

fn scale(scale: &At<'_>, faults: &mut Faults) {
    for (field, below) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let path = scale.field(field);
        if faults.some_text(&path) {
            if path.text().starts_with(below) {
                simple_path(&path, faults);
            } else {
                faults.invalid(&path, &format!("should be a json path under {}", below.trim_end_matches('.')));
            }
        }
    }
    let path = scale.field("labelSelectorPath");
    if !path.text().is_empty() {
        if path.text().starts_with(".spec.") || path.text().starts_with(".status.") {
            simple_path(&path, faults);
        } else {
            faults.invalid(&path, "should be a json path under either .status or .spec");
        }
    }
}

/// `.spec.replicas`: fields, no indexes.
fn simple_path(path: &At<'_>, faults: &mut Faults) {
    if path.text().contains(['[', ']', '*', '{']) {
        faults.invalid(path, "should be a simple json path: must not contain array notation");
    }
}

fn column(column: &At<'_>, faults: &mut Faults) {
    let (kind, format, path) = (column.field("type"), column.field("format"), column.field("jsonPath"));
    faults.some_text(&column.field("name"));
    if faults.some_text(&kind) && !COLUMN_TYPES.contains(&kind.text()) {
        faults.invalid(&kind, &format!("must be one of {}", COLUMN_TYPES.join(",")));
    }
    if !format.text().is_empty() && !COLUMN_FORMATS.contains(&format.text()) {
        faults.invalid(&format, &format!("must be one of {}", COLUMN_FORMATS.join(",")));
    }
    faults.some_text(&path);
}

/// Groups of Kubernetes' own are for those whom its reviewers let in.
fn approval(root: &At<'_>, faults: &mut Faults) {
    let group = root.down(&["spec", "group"]);
    let own = |suffix: &str| group.text() == suffix || group.text().ends_with(&format!(".{suffix}"));
    if (own("k8s.io") || own("kubernetes.io")) && root.value.annotation(APPROVAL).is_none() {
        let why = format!(
            "protected groups must have approval annotation {APPROVAL:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        faults.required(&root.down(&["metadata", "annotations"]).key(APPROVAL), &why);
    }
}
