//! What ValidatingAdmissionPolicies say of a request.
//!
//! Knows: in which order a policy's expressions are asked, what a failure of one means, what the refusal says.
//! Does not know: which policies a request is subject to.

use cel::{CompileError, Error, Meter, PER_CALL, Program};

use super::matching::{self, Matched};
use super::names::Compiled;
use super::request::Names;
use super::{Attempt, BUDGET, CONDITIONS_BUDGET, VALIDATING, VALIDATING_BINDINGS, params};
use crate::apiserver::status::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::value::Value;

/// A message that an expression makes is no longer than this, in bytes.
const MESSAGE_MAX: usize = 5 * 1024;

/// Asks every policy that a request is subject to.
///
/// # Errors
/// What the first that refuses says. What those say that only warn is kept with the writer.
pub(in crate::apiserver) fn validate(cluster: &Cluster, attempt: &Attempt<'_>) -> Result<(), Status> {
    let mut refusal: Option<Status> = None;
    for (policy, matched, bindings) in matching::subject(cluster, attempt, VALIDATING, VALIDATING_BINDINGS) {
        if let Some(why) = params::unknown_kind(cluster, policy) {
            if fails(policy) {
                let why = format!(
                    "ValidatingAdmissionPolicy '{}' denied request: failed to configure policy: {why}",
                    policy.name()
                );
                refusal.get_or_insert_with(|| refused(attempt, &why, ""));
            }
            continue;
        }
        for binding in bindings {
            let prefix = format!("ValidatingAdmissionPolicy '{}' with binding '{}'", policy.name(), binding.name());
            let mut refuse = |why: &str, reason: &str| {
                refusal.get_or_insert_with(|| refused(attempt, &format!("{prefix} denied request: {why}"), reason));
            };
            let found = match params::find(cluster, attempt, policy, binding) {
                Ok(found) => found,
                Err(why) => {
                    if fails(policy) {
                        refuse(&format!("failed to configure binding: {why}"), "");
                    }
                    continue;
                }
            };
            for param in found {
                let verdict = Verdict::of(cluster, attempt, policy, &matched, param.as_ref());
                for (why, reason) in &verdict.denials {
                    for action in binding.at(&["spec", "validationActions"]).items() {
                        match action.str_or_empty() {
                            "Deny" => refuse(why, reason),
                            "Warn" => {
                                let warning = format!("Validation failed for {prefix}: {why}");
                                attempt.writer.heard.borrow_mut().push(warning);
                            }
                            // Audit: there is no audit log here.
                            _ => {}
                        }
                    }
                }
                for why in &verdict.faults {
                    refuse(why, "");
                }
            }
        }
    }
    refusal.map_or(Ok(()), Err)
}

fn refused(attempt: &Attempt<'_>, message: &str, reason: &str) -> Status {
    // A call about a collection names none of its objects.
    let unnamed = attempt.writer.unnamed && attempt.object.is_none();
    let name = if unnamed { "Unknown" } else { attempt.key.name.as_str() };
    let mut status = Status::forbidden(&attempt.key.resource, name, message);
    (status.code, status.reason) = match reason {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    status.because(vec![doc!({"message": (message)})])
}

/// Whether what goes wrong refuses the request.
pub(super) fn fails(policy: &Value) -> bool {
    policy.at(&["spec", "failurePolicy"]) != "Ignore"
}

/// What one policy says, with one parameter.
#[derive(Default)]
struct Verdict {
    /// Why not, and for which reason; empty for the usual one.
    denials: Vec<(String, String)>,
    /// What went wrong with what is only noted: it refuses whatever the binding says.
    faults: Vec<String>,
}

impl Verdict {
    fn of(cluster: &Cluster, attempt: &Attempt<'_>, policy: &Value, matched: &Matched, param: Option<&Value>) -> Self {
        let mut verdict = Self::default();
        let compiled = Compiled::of(policy, |env| env);
        let names = Names::of(cluster, attempt, matched, attempt.object, param).with(&compiled.variables);
        match conditions_hold(policy, &compiled, &names) {
            Ok(true) => {}
            Ok(false) => return verdict,
            Err(why) => {
                if fails(policy) {
                    verdict.denials.push((why, String::new()));
                }
                return verdict;
            }
        }
        let mut budget = Budget(Some(BUDGET));
        for validation in policy.at(&["spec", "validations"]).items() {
            match budget.run(&compiled, &names, validation.at(&["expression"]).str_or_empty()) {
                Ok(cel::Value::Bool(true)) => {}
                Ok(_) => {
                    let message = message(validation, &mut budget, &compiled, &names);
                    verdict.denials.push((message, validation.at(&["reason"]).str_or_empty().to_owned()));
                }
                Err(why) if fails(policy) => verdict.denials.push((why, String::new())),
                Err(_) => {}
            }
        }
        let mut budget = Budget(Some(BUDGET));
        for annotation in policy.at(&["spec", "auditAnnotations"]).items() {
            let expression = annotation.at(&["valueExpression"]).str_or_empty();
            match budget.run(&compiled, &names, expression) {
                Ok(cel::Value::String(_) | cel::Value::Null) => {}
                Ok(other) if fails(policy) => verdict.faults.push(format!(
                    "valueExpression '{expression}' resulted in unsupported return type: {}. Return type must be either \
                     string or null.",
                    other.type_name()
                )),
                Err(why) if fails(policy) => verdict.faults.push(why),
                _ => {}
            }
        }
        verdict
    }
}

/// What may still be spent; none if nothing more may be asked.
pub(super) struct Budget(pub(super) Option<u64>);

impl Budget {
    /// Evaluates an expression.
    ///
    /// # Errors
    /// Why it comes to nothing, as the real server says it.
    pub(super) fn run(
        &mut self,
        compiled: &Compiled,
        names: &Names<'_>,
        expression: &str,
    ) -> Result<cel::Value, String> {
        self.run_program(&compiled.program(expression), names, expression)
    }

    fn run_program(
        &mut self,
        program: &Result<Program, CompileError>,
        names: &Names<'_>,
        expression: &str,
    ) -> Result<cel::Value, String> {
        const SPENT: &str =
            "validation failed due to running out of cost budget, no further validation rules will be run";
        let Some(left) = self.0 else { return Err(SPENT.to_owned()) };
        let program = program.as_ref().map_err(|error| format!("compilation error: compilation failed: {error}"))?;
        let mut meter = Meter::new(PER_CALL);
        let value = program.eval(names, &mut meter);
        self.0 = left.checked_sub(meter.spent());
        match value {
            Err(Error::TooCostly) => {
                self.0 = None;
                Err(format!("expression '{expression}' resulted in error: {}", Error::TooCostly))
            }
            _ if self.0.is_none() => Err(SPENT.to_owned()),
            value => value.map_err(|error| format!("expression '{expression}' resulted in error: {error}")),
        }
    }
}

/// Whether all of a policy's match conditions hold. One that does not decides, whatever goes wrong with others.
///
/// # Errors
/// What went wrong, if that refuses the request.
pub(super) fn conditions_hold(policy: &Value, compiled: &Compiled, names: &Names<'_>) -> Result<bool, String> {
    let (mut budget, mut wrong) = (Budget(Some(CONDITIONS_BUDGET)), Vec::new());
    for condition in policy.at(&["spec", "matchConditions"]).items() {
        match budget.run(compiled, names, condition.at(&["expression"]).str_or_empty()) {
            Ok(cel::Value::Bool(false)) => return Ok(false),
            Ok(_) => {}
            Err(why) => wrong.push(why),
        }
    }
    match wrong.as_slice() {
        [] => Ok(true),
        _ if !fails(policy) => Ok(false),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// What a validation that failed says: what its expression makes, what it has, or itself.
fn message(validation: &Value, budget: &mut Budget, compiled: &Compiled, names: &Names<'_>) -> String {
    let expression = validation.at(&["messageExpression"]).str_or_empty();
    if !expression.is_empty() {
        // A message may not depend on who may do what.
        let plain = compiled.message(expression);
        let program = if plain.is_ok() { compiled.program(expression) } else { plain };
        if let Ok(cel::Value::String(text)) = budget.run_program(&program, names, expression) {
            let text = text.trim();
            if !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n') {
                return text.to_owned();
            }
        }
    }
    match validation.at(&["message"]).str_or_empty().trim() {
        "" => format!("failed expression: {}", validation.at(&["expression"]).str_or_empty().trim()),
        message => message.to_owned(),
    }
}
