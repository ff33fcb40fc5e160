//! What is wrong with jobs, and with what makes them by the clock.
//!
//! Knows: `pkg/apis/batch/validation`, and the schedules of `robfig/cron`.
//! Does not know: the time zones of the world; it knows their regions.

use std::collections::BTreeSet;

use super::faults::{At, Faults, quote};
use super::selectors::label_selector;
use super::{internal, names, pod};
use crate::labels::matches;
use crate::value::Value;

/// A Job.
pub(super) fn job(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let selector = spec.field("selector");
    let manual = spec.field("manualSelector").value.is_true();
    let uid = root.value.uid();
    if !manual {
        let wanted = crate::doc!({"matchLabels": {"batch.kubernetes.io/controller-uid": (uid)}});
        let old_form = crate::doc!({"matchLabels": {"controller-uid": (uid)}});
        if *selector.value != wanted && *selector.value != old_form {
            faults.invalid(&selector, "`selector` not auto-generated");
        }
    }
    job_spec(&spec, faults);
}

fn job_spec(spec: &At<'_>, faults: &mut Faults) {
    body(spec, faults);
    let selector = spec.field("selector");
    if selector.is_absent() {
        faults.required(&selector, "");
    } else {
        label_selector(&selector, faults);
    }
    let labels = spec.down(&["template", "metadata", "labels"]);
    if !selector.is_absent() && !matches(selector.value, labels.value) {
        faults.invalid(&labels, "`selector` does not match template `labels`");
    }
}

/// What a job has in a template too.
fn body(spec: &At<'_>, faults: &mut Faults) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        faults.not_negative(&spec.field(field));
    }
    let manager = spec.field("managedBy");
    if !manager.is_absent() {
        faults.all(&manager, names::domain_path(manager.text()));
    }
    let mode = spec.field("completionMode");
    faults.one_of(&mode, &["NonIndexed", "Indexed"]);
    let indexed = mode.text() == "Indexed";
    if indexed && spec.field("completions").is_absent() {
        faults.required(&spec.field("completions"), "when completion mode is Indexed");
    }
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        let field = spec.field(field);
        faults.not_negative(&field);
        if !field.is_absent() && !indexed {
            faults.invalid(&field, "requires indexed completion mode");
        }
    }
    let policy = spec.field("podFailurePolicy");
    let replacement = spec.field("podReplacementPolicy");
    if policy.is_absent() {
        faults.one_of(&replacement, &["Failed", "TerminatingOrFailed"]);
    } else {
        faults.one_of(&replacement, &["Failed"]);
        failure_policy(&policy, faults);
    }
    let template = spec.field("template");
    pod::template(&template, &BTreeSet::new(), faults);
    let restart = template.down(&["spec", "restartPolicy"]);
    if !matches!(restart.text(), "OnFailure" | "Never") {
        faults.required(&restart, r#"valid values: "OnFailure", "Never""#);
    } else if !policy.is_absent() && restart.text() != "Never" {
        faults.invalid(&restart, r#"only "Never" is supported when podFailurePolicy is specified"#);
    }
}

fn failure_policy(at: &At<'_>, faults: &mut Faults) {
    for rule in at.field("rules").items() {
        let action = rule.field("action");
        if action.text().is_empty() {
            faults.required(&action, r#"valid values: "Count", "FailIndex", "FailJob", "Ignore""#);
        } else {
            faults.one_of(&action, &["Count", "FailIndex", "FailJob", "Ignore"]);
        }
        let codes = rule.field("onExitCodes");
        let conditions = rule.field("onPodConditions");
        if !codes.is_absent() {
            let operator = codes.field("operator");
            faults.one_of(&operator, &["In", "NotIn"]);
            let values = codes.field("values");
            if values.value.is_empty() {
                faults.invalid(&values, "at least one value is required");
            }
            for value in values.items() {
                if operator.text() == "In" && value.number() == Some(0) {
                    faults.invalid(&value, "must not be 0 for the In operator");
                }
            }
        }
        match (codes.is_absent(), conditions.value.is_empty()) {
            (true, true) => faults.invalid_bare(&rule, "specifying one of OnExitCodes and OnPodConditions is required"),
            (false, false) => {
                faults.invalid_bare(&rule, "specifying both OnExitCodes and OnPodConditions is not supported");
            }
            _ => {}
        }
    }
}

/// What may not change in a Job.
pub(super) fn job_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let (spec, was) = (root.field("spec"), old.at(&["spec"]));
    // The real server looks at the whole again before it compares.
    job_spec(&spec, faults);
    let completions = spec.field("completions");
    if spec.field("completionMode").text() != "Indexed" {
        faults.unchanged(&completions, was.at(&["completions"]));
    } else if completions.value != was.at(&["completions"]) && completions.value != spec.field("parallelism").value {
        faults.invalid(&completions, "can only be modified in tandem with spec.parallelism");
    }
    faults.unchanged(&spec.field("selector"), was.at(&["selector"]));
    let suspended = was.at(&["suspend"]).is_true() || spec.field("suspend").value.is_true();
    let fixed = |template: &Value| {
        let mut fixed = template.at(&["spec"]).clone();
        if suspended {
            // While it does not run, where its pods may run can still be decided.
            for field in ["nodeSelector", "tolerations", "affinity", "schedulingGates"] {
                fixed.object().remove(field);
            }
        }
        fixed
    };
    let template = spec.field("template");
    if fixed(template.value) != fixed(was.at(&["template"])) {
        let shown = internal::pod_spec(template.value.at(&["spec"]));
        faults.invalid_as(&template.field("spec"), &shown, "field is immutable");
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        faults.unchanged(&spec.field(field), was.at(&[field]));
    }
}

/// A CronJob.
pub(super) fn cron_job(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let schedule = spec.field("schedule");
    if faults.some_text(&schedule) {
        if schedule.text().contains("TZ") {
            faults.invalid(&schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        } else if let Err(why) = parse(schedule.text()) {
            faults.invalid(&schedule, &why);
        }
    }
    faults.not_negative(&spec.field("startingDeadlineSeconds"));
    time_zone(&spec.field("timeZone"), faults);
    let policy = spec.field("concurrencyPolicy");
    if policy.text().is_empty() {
        faults.required(&policy, "");
    } else {
        faults.one_of(&policy, &["Allow", "Forbid", "Replace"]);
    }
    let job = spec.down(&["jobTemplate", "spec"]);
    let manual = job.field("manualSelector");
    if manual.value.is_true() {
        faults.unsupported(&manual, &["nil", "false"]);
    }
    if !job.field("selector").is_absent() {
        faults.invalid(&job.field("selector"), "`selector` will be auto-generated");
    }
    body(&job, faults);
    faults.not_negative(&spec.field("successfulJobsHistoryLimit"));
    faults.not_negative(&spec.field("failedJobsHistoryLimit"));
}

/// The regions that time zones are named after.
const REGIONS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Brazil",
    "Canada",
    "Chile",
    "Etc",
    "Europe",
    "Indian",
    "Mexico",
    "Pacific",
    "US",
];

fn time_zone(at: &At<'_>, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    let name = at.text();
    if name.is_empty() {
        faults.invalid(at, "timeZone must be nil or non-empty string");
        return;
    }
    if name.eq_ignore_ascii_case("local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        faults.invalid(at, why);
    }
    let known = match name.split_once('/') {
        Some((region, _)) => REGIONS.contains(&region),
        None => name.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase()),
    };
    if !known {
        faults.invalid(at, &format!("unknown time zone {name}"));
    }
}

/// The five fields of a schedule: name of the least, the most, and words for numbers.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Whether a schedule can be read; if not, what the real parser says of it.
fn parse(schedule: &str) -> Result<(), String> {
    if let Some(descriptor) = schedule.strip_prefix('@') {
        let known =
            matches!(descriptor, "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly");
        if known || descriptor.strip_prefix("every ").is_some_and(|every| !every.is_empty()) {
            return Ok(());
        }
        return Err(format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (least, most, words)) in fields.iter().zip(FIELDS) {
        for range in field.split(',') {
            parse_range(range, least, most, words)?;
        }
    }
    Ok(())
}

fn parse_range(text: &str, least: u32, most: u32, words: &[&str]) -> Result<(), String> {
    let (range, step) = match text.split('/').collect::<Vec<_>>().as_slice() {
        [range] => (*range, None),
        [range, step] => (*range, Some(*step)),
        _ => return Err(format!("too many slashes: {text}")),
    };
    let number = |text: &str| -> Result<u32, String> {
        let word = words.iter().position(|word| text.eq_ignore_ascii_case(word));
        if let Some(at) = word.and_then(|at| u32::try_from(at).ok()) {
            return Ok(at + least.min(1));
        }
        text.parse().map_err(|_| {
            format!("failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax", quote(text))
        })
    };
    let (start, end) = if matches!(range, "*" | "?") {
        (least, most)
    } else {
        match range.split('-').collect::<Vec<_>>().as_slice() {
            [one] => {
                let one = number(one)?;
                (one, if step.is_some() { most.max(one) } else { one })
            }
            [start, end] => (number(start)?, number(end)?),
            _ => return Err(format!("too many hyphens: {text}")),
        }
    };
    if start < least {
        return Err(format!("beginning of range ({start}) below minimum ({least}): {text}"));
    }
    if end > most {
        return Err(format!("end of range ({end}) above maximum ({most}): {text}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    match step.map(number).transpose()? {
        Some(0) => Err(format!("step of range should be a positive number: {text}")),
        _ => Ok(()),
    }
}
