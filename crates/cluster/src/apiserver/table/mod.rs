//! Objects as a table, as `kubectl get` shows them.
//!
//! Knows: the form of a `meta.k8s.io/v1 Table`; how a column is described and computed.
//! Does not know: what time it is outside; ages are told from the time it is given.
//!
//! | file | does |
//! |---|---|
//! | `kinds` | which columns each built-in kind has: the one long table |
//! | `cells` | what stands in columns that are more than a field |
//! | `pods`, `autoscaler` | the status of a pod and the targets of an autoscaler: small languages of their own |
//! | `text` | ages, selectors, lists that are cut short: how things are written in a cell |
//! | `jsonpath` | which field a custom resource's column shows |
//!
//! A custom resource's columns come from its definition. What nobody has columns for is shown by name and birth, as
//! the real server does.

mod autoscaler;
mod cells;
mod jsonpath;
mod kinds;
mod pods;
mod text;

#[cfg(test)]
mod tests;

use twin::Time;

pub use text::human_duration;

use super::Status;
use crate::doc;
use crate::schema::{self, GroupVersionKind, Resource};
use crate::value::{Text, Value};
use jsonpath::JsonPath;

/// What of an object each row carries along: `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// From the query.
    ///
    /// # Errors
    /// Any other value, as the real server says it.
    pub fn parse(text: Option<&str>) -> Result<Self, Status> {
        match text {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be \
                 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// How the objects of one kind are shown.
#[derive(Debug)]
pub struct Table {
    columns: Columns,
}

#[derive(Debug)]
enum Columns {
    BuiltIn(&'static [Column]),
    Custom(Vec<(schema::Column, Option<JsonPath>)>),
}

/// One column of a built-in kind.
#[derive(Debug)]
struct Column {
    name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    kind: &'static str,
    /// `name` where it names the object.
    format: &'static str,
    /// 1 if it is shown on `-o wide` only.
    priority: i64,
    show: Show,
}

/// What stands in a cell. Paths are keys with dots between them.
#[derive(Debug)]
enum Show {
    /// The text at a path; the second text if there is none.
    Text(&'static str, &'static str),
    /// The number at a path, 0 if there is none.
    Number(&'static str),
    /// The truth at a path; the given one if there is none.
    Truth(&'static str, bool),
    /// How many elements or entries there are at a path.
    Count(&'static str),
    /// How long ago the time at a path was.
    Age(&'static str),
    /// A field of each element of the list at a path.
    Each(&'static str, &'static str),
    /// A label selector at a path.
    Selector(&'static str),
    /// Labels at a path.
    Labels(&'static str),
    /// Whatever a function makes of it.
    By(fn(&Row<'_>) -> Value),
}

/// What a cell is made of.
struct Row<'a> {
    object: &'a Value,
    now: Time,
}

/// What stands at a path of keys with dots between them; `null` if nothing does.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    static NOTHING: Value = Value::Null;
    path.split('.').try_fold(value, |value, key| value.get(key)).unwrap_or(&NOTHING)
}

impl<'a> Row<'a> {
    fn at(&self, path: &str) -> &'a Value {
        at(self.object, path)
    }

    fn text(&self, path: &str) -> &'a str {
        self.at(path).str_or_empty()
    }

    fn number(&self, path: &str) -> i64 {
        self.at(path).as_int().unwrap_or_default()
    }

    /// How long ago the time at a path was, as it is written.
    fn age(&self, path: &str) -> String {
        text::age(self.at(path), self.now)
    }

    fn cell(&self, show: &Show) -> Value {
        match show {
            Show::Text(path, otherwise) => match self.at(path) {
                Value::Null => Value::from(*otherwise),
                // An amount may be a number in the document; a table shows it as text.
                Value::String(text) if text.is_empty() => Value::from(*otherwise),
                Value::String(text) => Value::from(text),
                other => Value::from(other.to_json()),
            },
            Show::Number(path) => Value::from(self.number(path)),
            Show::Truth(path, otherwise) => Value::from(self.at(path).as_bool().unwrap_or(*otherwise)),
            Show::Count(path) => {
                let value = self.at(path);
                Value::from(value.items().len().saturating_add(value.entries().len()))
            }
            Show::Age(path) => Value::from(self.age(path)),
            Show::Each(path, field) => {
                let texts = self.at(path).items().iter().map(|item| at(item, field).str_or_empty());
                Value::from(texts.collect::<Vec<_>>().join(","))
            }
            Show::Selector(path) => Value::from(text::label_selector(self.at(path))),
            Show::Labels(path) => Value::from(text::labels(self.at(path))),
            Show::By(make) => make(self),
        }
    }
}

impl Table {
    /// How a resource's objects are shown.
    #[must_use]
    pub fn of(resource: &Resource) -> Self {
        if !resource.custom {
            return Self::of_kind(&resource.gvk());
        }
        let own = if resource.columns.is_empty() { &[age_column()][..] } else { &resource.columns };
        let columns = own.iter().map(|column| (column.clone(), JsonPath::parse(&column.path)));
        Self { columns: Columns::Custom(columns.collect()) }
    }

    /// How documents of a built-in kind are shown, resource or not: `Scale`, `Status`…
    #[must_use]
    pub fn of_kind(kind: &GroupVersionKind) -> Self {
        Self { columns: Columns::BuiltIn(kinds::columns(&kind.group, &kind.kind)) }
    }

    /// The table of a list. `metadata` is the list's. Without headers it is one of the later tables of a watch.
    #[must_use]
    pub fn list<'a>(
        &self,
        objects: impl IntoIterator<Item = &'a Value>,
        metadata: Value,
        include: Include,
        headers: bool,
        now: Time,
    ) -> Value {
        let rows: Vec<Value> = objects.into_iter().map(|object| self.row(object, include, now)).collect();
        doc!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1",
            "metadata": (if metadata.is_null() { doc!({}) } else { metadata }),
            "columnDefinitions": (headers.then(|| self.headers())), "rows": (rows),
        })
    }

    /// The table of one object.
    #[must_use]
    pub fn one(&self, object: &Value, include: Include, headers: bool, now: Time) -> Value {
        let mut metadata = doc!({});
        if !object.resource_version().is_empty() {
            metadata.set(&["resourceVersion"], object.resource_version());
        }
        self.list([object], metadata, include, headers, now)
    }

    fn headers(&self) -> Value {
        let header = |name: &str, kind: &str, format: &str, description: &str, priority: i64| doc!({"name": (name), "type": (kind), "format": (format), "description": (description), "priority": (priority)});
        match &self.columns {
            Columns::BuiltIn(columns) => columns
                .iter()
                .map(|column| header(column.name, column.kind, column.format, "", column.priority))
                .collect(),
            Columns::Custom(columns) => std::iter::once(header("Name", "string", "name", "", 0))
                .chain(columns.iter().map(|(column, _)| {
                    header(&column.name, &column.kind, &column.format, &column.description, column.priority)
                }))
                .collect(),
        }
    }

    fn row(&self, object: &Value, include: Include, now: Time) -> Value {
        let row = Row { object, now };
        let cells: Value = match &self.columns {
            Columns::BuiltIn(columns) => columns.iter().map(|column| row.cell(&column.show)).collect(),
            Columns::Custom(columns) => std::iter::once(Value::from(object.name()))
                .chain(columns.iter().map(|(column, path)| {
                    path.as_ref().map_or(Value::Null, |path| custom_cell(column, path, object, now))
                }))
                .collect(),
        };
        let carried = match include {
            Include::None => Value::Null,
            Include::Object => object.clone(),
            Include::Metadata => partial(object),
        };
        let mut document = doc!({"cells": (cells), "object": (carried)});
        if let Some(conditions) = pods::row_conditions(object) {
            document.set(&["conditions"], conditions);
        }
        document
    }
}

/// An object's metadata alone.
#[must_use]
pub fn partial(object: &Value) -> Value {
    doc!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": (object.at(&["metadata"]))})
}

/// What a custom resource without columns of its own shows.
fn age_column() -> schema::Column {
    schema::Column {
        name: "Age".into(),
        kind: "date".into(),
        format: Text::new(),
        description: Text::new(),
        priority: 0,
        path: ".metadata.creationTimestamp".into(),
    }
}

/// A cell of a custom resource: what the path finds, if it is of the column's type.
fn custom_cell(column: &schema::Column, path: &JsonPath, object: &Value, now: Time) -> Value {
    let found = path.find(object);
    let Some(&first) = found.first() else { return Value::Null };
    match (column.kind.as_str(), first) {
        ("string", _) => Value::from(found.iter().map(|value| jsonpath::print(value)).collect::<Vec<_>>().join(" ")),
        ("integer", Value::Int(number)) => Value::from(*number),
        #[expect(clippy::cast_possible_truncation, reason = "as Go converts it")]
        ("integer", Value::Float(number)) => Value::from(*number as i64),
        ("number", Value::Int(_) | Value::Float(_)) | ("boolean", Value::Bool(_)) => first.clone(),
        ("date", Value::String(time)) if crate::time::parse(time).is_none() => Value::from("<invalid>"),
        ("date", Value::String(_)) => Value::from(text::age(first, now)),
        _ => Value::Null,
    }
}
