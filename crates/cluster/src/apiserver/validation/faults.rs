//! The vocabulary of validation: where something stands, and what is wrong with it.
//!
//! Knows: paths as Kubernetes writes them (`spec.containers[0].image`), and the sentences of `field.Error`.
//! Does not know: any kind.

use crate::apiserver::status::Cause;
use crate::value::{Text, Value};

/// A place in an object, and what stands there; `null` if nothing does.
#[derive(Clone)]
pub(super) struct At<'v> {
    path: String,
    pub(super) value: &'v Value,
}

impl<'v> At<'v> {
    /// The whole object.
    pub(super) fn root(value: &'v Value) -> Self {
        Self { path: String::new(), value }
    }

    /// A field of what stands here.
    pub(super) fn field(&self, name: &str) -> At<'v> {
        self.named(name, self.value.at(&[name]))
    }

    /// A field of a field.
    pub(super) fn down(&self, names: &[&str]) -> At<'v> {
        names.iter().fold(self.clone(), |at, name| at.field(name))
    }

    /// The same value under the name of a field that it is not in: some of the real paths are like that.
    pub(super) fn named(&self, name: &str, value: &'v Value) -> At<'v> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        At { path, value }
    }

    /// A place in the list that does not stand here, but should to the real paths.
    pub(super) fn element(&self, index: usize) -> At<'v> {
        At { path: format!("{}[{index}]", self.path), value: self.value }
    }

    /// The same value at another place.
    pub(super) fn moved(&self, path: &str) -> At<'v> {
        At { path: path.to_owned(), value: self.value }
    }

    /// What stands in a field, told of as if it stood here.
    pub(super) fn with(&self, name: &str) -> At<'v> {
        At { path: self.path.clone(), value: self.value.at(&[name]) }
    }

    /// Another value at the same place.
    pub(super) fn sibling(&self, value: &'v Value) -> At<'v> {
        At { path: self.path.clone(), value }
    }

    /// An entry of a map.
    pub(super) fn key(&self, key: &str) -> At<'v> {
        At { path: format!("{}[{key}]", self.path), value: self.value.at(&[key]) }
    }

    /// The elements of a list, each at its place.
    pub(super) fn items(&self) -> impl Iterator<Item = At<'v>> {
        let path = self.path.clone();
        let items = self.value.items().iter().enumerate();
        items.map(move |(index, value)| At { path: format!("{path}[{index}]"), value })
    }

    /// The entries of a map, each at its place.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'v Text, At<'v>)> {
        let path = self.path.clone();
        let entries = self.value.entries().iter();
        entries.map(move |(key, value)| (key, At { path: format!("{path}[{key}]"), value }))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether nothing stands here.
    pub(super) fn is_absent(&self) -> bool {
        self.value.is_null()
    }

    /// The text that stands here, or an empty one.
    pub(super) fn text(&self) -> &'v str {
        self.value.str_or_empty()
    }

    /// The whole number that stands here.
    pub(super) fn number(&self) -> Option<i64> {
        self.value.as_int()
    }

    fn cause(&self, reason: &'static str, message: String) -> Cause {
        Cause { reason, message, field: self.path.clone() }
    }
}

/// What is wrong so far, in the order in which it was found.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) causes: Vec<Cause>,
}

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.causes.len()
    }

    /// What stands here is wrong.
    pub(super) fn invalid(&mut self, at: &At<'_>, why: &str) {
        self.invalid_as(at, &shown(at.value), why);
    }

    /// What stands here is wrong, and is shown otherwise than it is written: as Go's own structs, for one.
    pub(super) fn invalid_as(&mut self, at: &At<'_>, shown: &str, why: &str) {
        self.causes.push(at.cause("FieldValueInvalid", format!("Invalid value: {shown}: {why}")));
    }

    /// What stands here is wrong, and is not shown.
    pub(super) fn invalid_bare(&mut self, at: &At<'_>, why: &str) {
        self.causes.push(at.cause("FieldValueInvalid", format!("Invalid value: {why}")));
    }

    /// What stands here cannot be used, for a reason that is not in how it is written.
    pub(super) fn internal(&mut self, at: &At<'_>, why: &str) {
        self.causes.push(at.cause("InternalError", format!("Internal error: {why}")));
    }

    /// Something has to stand here.
    pub(super) fn required(&mut self, at: &At<'_>, why: &str) {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        self.causes.push(at.cause("FieldValueRequired", message));
    }

    /// Nothing may stand here, or it may not become this.
    pub(super) fn forbidden(&mut self, at: &At<'_>, why: &str) {
        self.causes.push(at.cause("FieldValueForbidden", format!("Forbidden: {why}")));
    }

    /// What stands here stands elsewhere already.
    pub(super) fn duplicate(&mut self, at: &At<'_>) {
        self.duplicate_as(at, &shown(at.value));
    }

    pub(super) fn duplicate_as(&mut self, at: &At<'_>, shown: &str) {
        self.causes.push(at.cause("FieldValueDuplicate", format!("Duplicate value: {shown}")));
    }

    /// What is named here is not there.
    pub(super) fn not_found(&mut self, at: &At<'_>) {
        self.causes.push(at.cause("FieldValueNotFound", format!("Not found: {}", shown(at.value))));
    }

    /// The same of something that is shown otherwise, and why it should be there.
    pub(super) fn not_found_as(&mut self, at: &At<'_>, shown: &str, why: &str) {
        self.causes.push(at.cause("FieldValueNotFound", format!("Not found: {shown}: {why}")));
    }

    /// What stands here is none of the words that may.
    pub(super) fn unsupported(&mut self, at: &At<'_>, supported: &[&str]) {
        self.unsupported_as(at, &shown(at.value), supported);
    }

    pub(super) fn unsupported_as(&mut self, at: &At<'_>, shown: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|word| quote(word)).collect();
        let message = format!("Unsupported value: {shown}: supported values: {}", list.join(", "));
        self.causes.push(at.cause("FieldValueNotSupported", message));
    }

    pub(super) fn too_long(&mut self, at: &At<'_>, most: usize) {
        let message = format!("Too long: may not be more than {most} bytes");
        self.causes.push(at.cause("FieldValueTooLong", message));
    }

    pub(super) fn too_many(&mut self, at: &At<'_>, have: usize, most: usize) {
        let message = format!("Too many: {have}: must have at most {most} items");
        self.causes.push(at.cause("FieldValueTooMany", message));
    }

    /// Each of the sentences about what stands here.
    pub(super) fn all(&mut self, at: &At<'_>, why: Vec<String>) {
        for why in why {
            self.invalid(at, &why);
        }
    }

    // The checks that most kinds need.

    /// One of some words, if anything.
    pub(super) fn one_of(&mut self, at: &At<'_>, words: &[&str]) {
        if !at.is_absent() && !words.contains(&at.text()) {
            self.unsupported(at, words);
        }
    }

    /// Not below nothing, if anything.
    pub(super) fn not_negative(&mut self, at: &At<'_>) {
        if at.number().is_some_and(|number| number < 0) {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }

    /// Some text. Says whether there is any.
    pub(super) fn some_text(&mut self, at: &At<'_>) -> bool {
        if at.text().is_empty() {
            self.required(at, "");
        }
        !at.text().is_empty()
    }

    /// Something, be it text or a list.
    pub(super) fn something(&mut self, at: &At<'_>) {
        if at.value.is_empty() {
            self.required(at, "");
        }
    }

    /// Some text that is one of a few words.
    pub(super) fn some_of(&mut self, at: &At<'_>, words: &[&str]) {
        if self.some_text(at) {
            self.one_of(at, words);
        }
    }

    /// One of a few words, of which the empty one is none.
    pub(super) fn word(&mut self, at: &At<'_>, words: &[&str]) {
        if !words.contains(&at.text()) {
            self.unsupported_as(at, &quote(at.text()), words);
        }
    }

    /// Text of a form, if any.
    pub(super) fn optional(&mut self, at: &At<'_>, form: fn(&str) -> Vec<String>) {
        if !at.text().is_empty() {
            self.all(at, form(at.text()));
        }
    }

    /// Text of a form, which may be no text.
    pub(super) fn text_in(&mut self, at: &At<'_>, form: fn(&str) -> Vec<String>) {
        for why in form(at.text()) {
            self.invalid_as(at, &quote(at.text()), &why);
        }
    }

    /// A number within bounds, if any.
    pub(super) fn between(&mut self, at: &At<'_>, least: i64, most: i64, why: &str) {
        if at.number().is_some_and(|number| !(least..=most).contains(&number)) {
            self.invalid(at, why);
        }
    }

    /// Some text, of a form.
    pub(super) fn text_of(&mut self, at: &At<'_>, form: fn(&str) -> Vec<String>) {
        if self.some_text(at) {
            self.all(at, form(at.text()));
        }
    }

    /// The same as it was.
    pub(super) fn unchanged(&mut self, new: &At<'_>, old: &Value) {
        if new.value != old && !(new.value.is_empty() && old.is_empty()) {
            self.invalid(new, "field is immutable");
        }
    }
}

/// A value as `field.Invalid` shows it: as JSON; a quantity is text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        _ => value.to_json(),
    }
}

/// Text in quotes, as Go's `%q`.
pub(super) fn quote(text: &str) -> String {
    Value::from(text).to_json()
}

/// What changed, in the form of the diff with which the real sentence ends. Theirs is of Go's structs, ours of documents.
pub(super) fn diff(old: &Value, new: &Value) -> String {
    format!("\n@@ -1 +1 @@\n-{}\n+{}\n", old.to_json(), new.to_json())
}

/// A struct as Go shows one without JSON names: every field, by its own name, `null` where there is none.
pub(super) fn go_struct(value: &Value, fields: &[&str]) -> String {
    let shown: Vec<String> = fields
        .iter()
        .map(|name| {
            let key = json_name(name);
            format!("{}:{}", quote(name), capitalised(value.at(&[&key])))
        })
        .collect();
    format!("{{{}}}", shown.join(","))
}

/// `RunAsUser` as `runAsUser`, `SELinuxOptions` as `seLinuxOptions`, `APIGroup` as `apiGroup`.
fn json_name(name: &str) -> String {
    match name {
        "SELinuxOptions" => "seLinuxOptions".to_owned(),
        "APIGroup" => "apiGroup".to_owned(),
        _ => {
            let mut letters = name.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
    }
}

fn capitalised(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    let mut letters = key.chars();
                    let name: String =
                        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
                    format!("{}:{}", quote(&name), capitalised(value))
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(capitalised).collect();
            format!("[{}]", items.join(","))
        }
        _ => value.to_json(),
    }
}
