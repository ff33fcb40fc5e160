//! Queries: the options of a call.
//!
//! Knows: which parameters each verb has, how Go reads their values, what is refused about them.
//! Does not know: what an option does.

use super::path::decode_percent;
use crate::apiserver::call::{FieldValidation, Options, PatchType, Verb};
use crate::apiserver::selector::FieldSelector;
use crate::apiserver::status::{Cause, Status};
use crate::labels;
use crate::value::Value;

/// The group that options belong to.
const META: &str = "meta.k8s.io";

/// The parameters of a query, in the order they came.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 if it is badly escaped.
    pub(super) fn parse(query: &str) -> Result<Self, Status> {
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decoded = decode_percent(key, true).zip(decode_percent(value, true));
            let Some(decoded) = decoded.filter(|_| !parameter.contains(';')) else {
                return Err(Status::bad_request(format!("the query parameter {parameter:?} is badly escaped")));
            };
            parameters.push(decoded);
        }
        Ok(Self(parameters))
    }

    /// Takes a parameter out that may be given once.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Status> {
        let mut values = self.take_all(name);
        let value = values.pop();
        if values.is_empty() {
            return Ok(value);
        }
        // The real server takes the first and ignores the others. Whoever reads along may take the last.
        Err(Status::bad_request(format!("the query parameter {name:?} is given more than once")))
    }

    fn take_all(&mut self, name: &str) -> Vec<String> {
        let (found, others) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key == name);
        self.0 = others;
        let found: Vec<(String, String)> = found;
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes a parameter out that counts only if it says something.
    fn take_text(&mut self, name: &str) -> Result<Option<String>, Status> {
        Ok(self.take(name)?.filter(|value| !value.is_empty()))
    }

    /// Takes a truth value out; everything but `false` and `0` is true.
    pub(super) fn take_truth(&mut self, name: &str) -> Result<Option<bool>, Status> {
        Ok(self.take(name)?.map(|value| !value.eq_ignore_ascii_case("false") && value != "0"))
    }

    /// Takes a whole number out.
    fn take_number(&mut self, name: &str) -> Result<Option<i64>, Status> {
        self.take(name)?.map(|value| parse_int(&value)).transpose()
    }

    /// All that was not taken.
    fn rest(self) -> Vec<(String, String)> {
        self.0
    }
}

/// A whole number as Go reads it.
fn parse_int(text: &str) -> Result<i64, Status> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let why = if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse() {
            Ok(number) => return Ok(number),
            Err(_) => "value out of range",
        }
    };
    Err(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}")))
}

/// The options that a verb takes from the query. `body` is that of a delete, which overrides the query.
///
/// # Errors
/// What the API server would answer.
pub(super) fn options(verb: Verb, mut query: Query, body: &Value) -> Result<Options, Status> {
    let mut options = Options { pretty: query.take_truth("pretty")?.unwrap_or(false), ..Options::default() };
    match verb {
        Verb::Get => {
            options.resource_version = query.take_text("resourceVersion")?;
            options.include_object = query.take_text("includeObject")?;
        }
        Verb::List | Verb::Watch => {
            options.include_object = query.take_text("includeObject")?;
            list(&mut options, &mut query, verb == Verb::Watch)?;
        }
        Verb::Create => write(&mut options, &mut query, "CreateOptions", None)?,
        Verb::Update => write(&mut options, &mut query, "UpdateOptions", None)?,
        Verb::Patch(patch) => write(&mut options, &mut query, "PatchOptions", Some(patch))?,
        Verb::Delete => delete(&mut options, &mut query, body)?,
        Verb::DeleteCollection => {
            list(&mut options, &mut query, false)?;
            delete(&mut options, &mut query, body)?;
        }
        Verb::Connect => {}
    }
    options.others = query.rest();
    Ok(options)
}

fn list(options: &mut Options, query: &mut Query, watch: bool) -> Result<(), Status> {
    options.label_selector = query.take_text("labelSelector")?;
    options.field_selector = query.take_text("fieldSelector")?;
    options.resource_version = query.take_text("resourceVersion")?;
    options.resource_version_match = query.take_text("resourceVersionMatch")?;
    options.limit = query.take_number("limit")?.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    options.continue_token = query.take_text("continue")?;
    options.timeout_seconds = query.take_number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    options.bookmarks = query.take_truth("allowWatchBookmarks")?.unwrap_or(false);
    options.initial_events = query.take_truth("sendInitialEvents")?;
    if let Some(selector) = &options.label_selector {
        labels::Selector::parse(selector).map_err(Status::bad_request)?;
    }
    if let Some(selector) = &options.field_selector {
        FieldSelector::parse(selector)?;
    }
    let causes = if watch { watch_causes(options) } else { list_causes(options) };
    refuse("ListOptions", &causes)
}

fn list_causes(options: &Options) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    if let Some(matching) = &options.resource_version_match {
        if options.resource_version.is_none() {
            causes
                .push(Cause::forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if options.continue_token.is_some() {
            causes.push(Cause::forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if matching != "Exact" && matching != "NotOlderThan" {
            causes.push(Cause::not_supported(field, matching, &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && options.resource_version.as_deref() == Some("0") {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(field, why));
        }
    }
    if options.initial_events.is_some() {
        causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

fn watch_causes(options: &Options) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    let matching = options.resource_version_match.as_deref();
    if options.initial_events.is_some() && matching != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(Cause::forbidden(field, why));
    }
    if let Some(matching) = matching {
        if options.initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(Cause::forbidden(field, why));
        }
        if matching != "NotOlderThan" {
            causes.push(Cause::not_supported(field, matching, &["NotOlderThan"]));
        }
    }
    if options.continue_token.is_some() {
        causes.push(Cause::forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
    }
    causes
}

fn write(options: &mut Options, query: &mut Query, kind: &str, patch: Option<PatchType>) -> Result<(), Status> {
    let mut causes = Vec::new();
    options.field_manager = query.take_text("fieldManager")?;
    if let Some(patch) = patch {
        let force = query.take_truth("force")?;
        match patch {
            PatchType::Apply if options.field_manager.is_none() => {
                causes.push(Cause::required("fieldManager", "is required for apply patch"));
            }
            PatchType::Apply => {}
            _ if force.is_some() => causes.push(Cause::forbidden("force", "may not be specified for non-apply patch")),
            _ => {}
        }
        options.force = force.unwrap_or(false);
    }
    if let Some(manager) = &options.field_manager {
        causes.extend(field_manager_cause(manager));
    }
    let dry_run = query.take_all("dryRun");
    options.dry_run = !dry_run.is_empty();
    causes.extend(dry_run_cause(dry_run.iter().map(String::as_str)));
    match query.take("fieldValidation")?.as_deref() {
        None | Some("" | "Warn") => options.field_validation = FieldValidation::Warn,
        Some("Ignore") => options.field_validation = FieldValidation::Ignore,
        Some("Strict") => options.field_validation = FieldValidation::Strict,
        Some(other) => {
            causes.push(Cause::not_supported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"]));
        }
    }
    refuse(kind, &causes)
}

/// A field manager is at most 128 bytes of printable characters.
fn field_manager_cause(manager: &str) -> Option<Cause> {
    const BYTES_MAX: usize = 128;
    if manager.len() > BYTES_MAX {
        return Some(Cause::too_long("fieldManager", BYTES_MAX));
    }
    let (at, character) = manager.char_indices().find(|(_, character)| character.is_control())?;
    let why = format!("invalid character U+{:04X} (at position {at})", u32::from(character));
    Some(Cause::invalid("fieldManager", manager, &why))
}

fn dry_run_cause<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Option<Cause> {
    let supported = values.clone().all(|value| value == "All");
    (!supported).then(|| Cause::not_supported("dryRun", values.collect::<Value>(), &["All"]))
}

/// As the real server does, the query counts only where there is no body.
fn delete(options: &mut Options, query: &mut Query, body: &Value) -> Result<(), Status> {
    let from_query = (
        query.take_all("dryRun"),
        query.take_text("propagationPolicy")?,
        query.take_truth("orphanDependents")?,
        query.take_number("gracePeriodSeconds")?,
        query.take_truth("ignoreStoreReadErrorWithClusterBreakingPotential")?,
    );
    let dry_run: Vec<String>;
    if body.is_null() {
        let ignore;
        (dry_run, options.propagation, options.orphan_dependents, options.grace_period_seconds, ignore) = from_query;
        options.ignore_read_error = ignore.unwrap_or(false);
    } else {
        let text = |path: &[&str]| body.at(path).as_str().map(str::to_owned);
        dry_run = body.at(&["dryRun"]).items().iter().map(|value| value.str_or_empty().to_owned()).collect();
        options.propagation = text(&["propagationPolicy"]);
        options.orphan_dependents = body.at(&["orphanDependents"]).as_bool();
        options.grace_period_seconds = body.at(&["gracePeriodSeconds"]).as_int();
        options.uid = text(&["preconditions", "uid"]);
        options.if_resource_version = text(&["preconditions", "resourceVersion"]);
        options.ignore_read_error = body.at(&["ignoreStoreReadErrorWithClusterBreakingPotential"]).is_true();
    }
    options.dry_run = !dry_run.is_empty();
    let mut causes = Vec::new();
    if let Some(policy) = &options.propagation {
        if options.orphan_dependents.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid("propagationPolicy", policy, why));
        }
        if !["Foreground", "Background", "Orphan"].contains(&policy.as_str()) {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::not_supported("propagationPolicy", policy, &supported));
        }
    }
    causes.extend(dry_run_cause(dry_run.iter().map(String::as_str)));
    refuse("DeleteOptions", &causes)
}

fn refuse(kind: &str, causes: &[Cause]) -> Result<(), Status> {
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(META, kind, "", causes)) }
}
