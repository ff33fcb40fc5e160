//! What is wrong with admission policies and their bindings (`pkg/apis/admissionregistration/validation`).
//!
//! Knows: their fields, and of which types their expressions have to be.
//! Does not know: what policies do.

use cel::{Env, Type};

use super::faults::{At, Faults, quote};
use super::{names, selectors};
use crate::apiserver::policy;
use crate::value::Value;

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const CONDITIONS_MAX: usize = 64;
const ANNOTATIONS_MAX: usize = 20;
const ANNOTATION_BYTES_MAX: usize = 5 * 1024;

/// `ValidatingAdmissionPolicy`
pub(super) fn validating(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let env = policy::env(root.value, Type::Dyn, true);
    head(&spec, &env, faults);
    let variables = variables(root, &env, faults);
    let (validations, annotations) = (spec.field("validations"), spec.field("auditAnnotations"));
    if validations.value.is_empty() && annotations.value.is_empty() {
        for place in [validations, annotations] {
            faults.required(&place, "validations or auditAnnotations must contain at least one item");
        }
        return;
    }
    // A message may not depend on who may do what.
    let for_messages = policy::with_variables(root.value, &policy::env(root.value, Type::Dyn, false)).env;
    for validation in validations.items() {
        self::validation(&validation, &variables, &for_messages, faults);
    }
    if annotations.value.items().len() > ANNOTATIONS_MAX {
        faults.invalid(&annotations, &format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations"));
    }
    let mut keys: Vec<&str> = Vec::new();
    for annotation in annotations.items() {
        let key = annotation.field("key");
        let whole = Value::from(format!("{}/{}", root.value.name(), key.text()));
        for why in names::qualified(whole.str_or_empty()) {
            faults.invalid(&annotation.named("key", &whole), &why);
        }
        let expression = annotation.field("valueExpression");
        if expression.text().trim().is_empty() {
            faults.required(&expression, "valueExpression is not specified");
        } else if expression.text().trim().len() > ANNOTATION_BYTES_MAX {
            faults.required(&expression, &format!("must not exceed {ANNOTATION_BYTES_MAX} bytes in length"));
        } else {
            compiles(&expression, &variables, &[Type::String, Type::Null], faults);
        }
        if keys.contains(&key.text()) {
            faults.duplicate(&key);
        }
        keys.push(key.text());
    }
}

/// `MutatingAdmissionPolicy`
pub(super) fn mutating(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let env = policy::with_types(policy::env(root.value, Type::Dyn, true));
    head(&spec, &env, faults);
    // What goes away is not changed.
    for rule in spec.field("matchConstraints").field("resourceRules").items() {
        let operations = rule.field("operations");
        if operations.items().any(|operation| operation.text() == "DELETE") {
            let place = spec.field("matchConstraints").field("resourceRules");
            faults
                .unsupported(&place.named("operations", &Value::from("DELETE")), &["*", "CONNECT", "CREATE", "UPDATE"]);
        }
    }
    let variables = variables(root, &env, faults);
    let mutations = spec.field("mutations");
    if mutations.value.is_empty() {
        faults.required(&mutations, "mutations must contain at least one item");
    }
    for mutation in mutations.items() {
        let (object, patch) = (mutation.field("applyConfiguration"), mutation.field("jsonPatch"));
        let kind = mutation.field("patchType");
        let (wanted, other, ty) = match kind.text() {
            "ApplyConfiguration" => (object, patch, Type::open("Object")),
            "JSONPatch" => (patch, object, Type::list(Type::structure("JSONPatch", []))),
            "" => {
                faults.required(&kind, "");
                continue;
            }
            _ => {
                faults.unsupported(&kind, &["ApplyConfiguration", "JSONPatch"]);
                continue;
            }
        };
        if wanted.is_absent() {
            faults.required(&wanted, &format!("must be specified when patchType is {}", kind.text()));
        } else {
            let expression = wanted.field("expression");
            if expression.text().trim().is_empty() {
                faults.required(&expression, "");
            } else {
                compiles(&expression, &variables, &[ty], faults);
            }
        }
        if !other.is_absent() {
            let shown = if kind.text() == "JSONPatch" { "{applyConfiguration}" } else { "{jsonPatch}" };
            let why = format!("must not be specified when patchType is {}", kind.text());
            faults.invalid_as(&other, &quote(shown), &why);
        }
    }
    let again = spec.field("reinvocationPolicy");
    if again.is_absent() {
        faults.required(&again, "");
    } else {
        faults.one_of(&again, &["IfNeeded", "Never"]);
    }
}

/// What both kinds of policy begin with.
fn head(spec: &At<'_>, env: &Env, faults: &mut Faults) {
    let failure = spec.field("failurePolicy");
    if failure.is_absent() {
        faults.required(&failure, "");
    } else {
        faults.one_of(&failure, &["Fail", "Ignore"]);
    }
    let kind = spec.field("paramKind");
    if !kind.is_absent() {
        let (version, name) = (kind.field("apiVersion"), kind.field("kind"));
        if faults.some_text(&version) && version.text().matches('/').count() > 1 {
            faults.invalid(&version, &format!("unexpected GroupVersion string: {}", version.text()));
        }
        if faults.some_text(&name) {
            let why = names::label_1035(&name.text().to_lowercase());
            let mixed = |why: &String| format!("may have mixed case, but should otherwise match: {why}");
            faults.all(&name, why.iter().map(mixed).collect());
        }
    }
    let constraints = spec.field("matchConstraints");
    if constraints.is_absent() {
        faults.required(&constraints, "");
    } else {
        resources(&constraints, faults);
        let rules = constraints.field("resourceRules");
        if rules.value.is_empty() {
            faults.required(&rules, "");
        }
    }
    conditions(&spec.field("matchConditions"), env, faults);
}

fn conditions(conditions: &At<'_>, env: &Env, faults: &mut Faults) {
    let many = conditions.value.items().len();
    if many > CONDITIONS_MAX {
        faults.too_many(conditions, many, CONDITIONS_MAX);
    }
    let mut known: Vec<&str> = Vec::new();
    for condition in conditions.items() {
        let (name, expression) = (condition.field("name"), condition.field("expression"));
        if expression.text().trim().is_empty() {
            faults.required(&expression, "");
        } else {
            compiles(&expression, env, &[Type::Bool], faults);
        }
        if name.text().is_empty() {
            faults.required(&name, "");
            continue;
        }
        faults.all(&name, names::qualified(name.text()));
        if known.contains(&name.text()) {
            faults.duplicate(&name);
        }
        known.push(name.text());
    }
}

/// Checks the variables, and gives what expressions may speak of that may use them.
fn variables(root: &At<'_>, env: &Env, faults: &mut Faults) -> Env {
    let variables = policy::with_variables(root.value, env);
    let places = root.down(&["spec", "variables"]);
    for (variable, (_, program)) in places.items().zip(&variables.programs) {
        let (name, expression) = (variable.field("name"), variable.field("expression"));
        if name.text().trim().is_empty() {
            faults.required(&name, "name is not specified");
        } else if !is_identifier(name.text()) {
            faults.invalid(&name, "must be a valid CEL identifier");
        }
        if expression.text().trim().is_empty() {
            faults.required(&expression, "expression is not specified");
        } else if let Err(error) = program {
            faults.invalid(&expression, &format!("compilation failed: {error}"));
        }
    }
    variables.env
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(text, "true" | "false" | "null" | "in" | "as" | "break" | "const" | "continue" | "else" | "for")
        && !matches!(
            text,
            "function"
                | "if"
                | "import"
                | "let"
                | "loop"
                | "package"
                | "namespace"
                | "return"
                | "var"
                | "void"
                | "while"
        )
}

/// An expression that can be compiled, and is of one of these types.
fn compiles(at: &At<'_>, env: &Env, types: &[Type], faults: &mut Faults) {
    match env.compile(at.text()) {
        Err(error) if error.constant().is_some() => faults.internal(at, error.constant().unwrap_or_default()),
        Err(error) => faults.invalid(at, &format!("compilation failed: {error}")),
        Ok(program) if types.iter().any(|ty| ty.is(program.ty())) => {}
        Ok(program) => {
            let wanted = match types {
                [one] => one.to_string(),
                many => {
                    let many: Vec<String> = many.iter().map(Type::to_string).collect();
                    format!("one of [{}]", many.join(" "))
                }
            };
            faults.invalid(at, &format!("must evaluate to {wanted} but got {}", program.ty()));
        }
    }
}

fn validation(validation: &At<'_>, env: &Env, for_messages: &Env, faults: &mut Faults) {
    let (expression, message) = (validation.field("expression"), validation.field("message"));
    if expression.text().trim().is_empty() {
        faults.required(&expression, "expression is not specified");
    } else {
        compiles(&expression, env, &[Type::Bool], faults);
    }
    let made = validation.field("messageExpression");
    if !made.text().is_empty() && made.text().trim().is_empty() {
        faults.invalid(&made, "must be non-empty if specified");
    } else if !made.text().is_empty() {
        compiles(&made, for_messages, &[Type::String], faults);
    }
    // That an expression of several lines wants a message is in the real code too, but never comes true there.
    let lines = |text: &str| text.trim().contains(['\n', '\r']);
    if !message.text().is_empty() && message.text().trim().is_empty() {
        faults.invalid(&message, "message must be non-empty if specified");
    } else if lines(message.text()) {
        faults.invalid(&message, "must not contain line breaks");
    }
    faults.one_of(&validation.field("reason"), REASONS);
}

/// `MatchResources`
fn resources(at: &At<'_>, faults: &mut Faults) {
    let policy = at.field("matchPolicy");
    if policy.is_absent() {
        faults.required(&policy, "");
    } else {
        faults.one_of(&policy, &["Equivalent", "Exact"]);
    }
    for name in ["namespaceSelector", "objectSelector"] {
        let selector = at.field(name);
        if selector.is_absent() {
            faults.required(&selector, "");
        } else {
            selectors::label_selector(&selector, faults);
        }
    }
    for name in ["resourceRules", "excludeResourceRules"] {
        for rule in at.field(name).items() {
            self::rule(&rule, faults);
        }
    }
}

fn rule(rule: &At<'_>, faults: &mut Faults) {
    let mut known: Vec<&str> = Vec::new();
    for name in rule.field("resourceNames").items() {
        faults.all(&name, names::path_segment(name.text()));
        if known.contains(&name.text()) {
            faults.duplicate(&name);
        }
        known.push(name.text());
    }
    let operations = rule.field("operations");
    alone(&operations, "operations", faults);
    for operation in operations.items().filter(|operation| !OPERATIONS.contains(&operation.text())) {
        faults.unsupported(&operation, OPERATIONS);
    }
    alone(&rule.field("apiGroups"), "API groups", faults);
    let versions = rule.field("apiVersions");
    alone(&versions, "API versions", faults);
    for version in versions.items() {
        faults.some_text(&version);
    }
    wildcards(&rule.field("resources"), faults);
    faults.one_of(&rule.field("scope"), &["*", "Cluster", "Namespaced"]);
}

/// There is something in a list, and if it is everything, nothing else.
fn alone(list: &At<'_>, what: &str, faults: &mut Faults) {
    let items = list.value.items();
    if items.is_empty() {
        faults.required(list, "");
    } else if items.len() > 1 && items.iter().any(|item| *item == "*") {
        faults.invalid(list, &format!("if '*' is present, must not specify other {what}"));
    }
}

/// Resources and subresources, none of them covered by another.
fn wildcards(list: &At<'_>, faults: &mut Faults) {
    if list.value.is_empty() {
        faults.required(list, "");
    }
    let (mut all_below, mut below_all): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut everything, mut every, mut plain) = (false, false, false);
    for item in list.items() {
        let text = item.text();
        everything |= text == "*/*";
        every |= text == "*";
        let Some((resource, below)) = text.split_once('/') else {
            if faults.some_text(&item) {
                plain = text != "*";
            }
            continue;
        };
        if all_below.contains(&resource) {
            faults.invalid(&item, &format!("if '{resource}/*' is present, must not specify {text}"));
        }
        if below_all.contains(&below) {
            faults.invalid(&item, &format!("if '*/{below}' is present, must not specify {text}"));
        }
        if below == "*" {
            all_below.push(resource);
        }
        if resource == "*" {
            below_all.push(below);
        }
    }
    if list.value.items().len() > 1 && everything {
        faults.invalid(list, "if '*/*' is present, must not specify other resources");
    }
    if every && plain {
        faults.invalid(list, "if '*' is present, must not specify other resources without subresources");
    }
}

/// `ValidatingAdmissionPolicyBinding`, `MutatingAdmissionPolicyBinding`
pub(super) fn binding(root: &At<'_>, validating: bool, faults: &mut Faults) {
    let spec = root.field("spec");
    faults.text_of(&spec.field("policyName"), names::subdomain);
    let param = spec.field("paramRef");
    if !param.is_absent() {
        reference(&param, faults);
    }
    let matched = spec.field("matchResources");
    if !matched.is_absent() {
        // The real path has this letter too few.
        resources(&spec.named("matchResouces", matched.value), faults);
    }
    if validating {
        actions(&spec.field("validationActions"), faults);
    }
}

fn reference(param: &At<'_>, faults: &mut Faults) {
    const BOTH: &str = "name and selector are mutually exclusive";
    let (name, selector) = (param.field("name"), param.field("selector"));
    if !name.text().is_empty() {
        faults.all(&name, names::path_segment(name.text()));
        if !selector.is_absent() {
            faults.forbidden(&name, BOTH);
        }
    }
    if !selector.is_absent() {
        selectors::label_selector(&selector, faults);
        if !name.text().is_empty() {
            faults.forbidden(&selector, BOTH);
        }
    }
    if name.text().is_empty() && selector.is_absent() {
        faults.required(param, "one of name or selector must be specified");
    }
    let missing = param.field("parameterNotFoundAction");
    if missing.text().is_empty() {
        faults.required(&missing, "");
    } else {
        faults.one_of(&missing, &["Allow", "Deny"]);
    }
}

fn actions(actions: &At<'_>, faults: &mut Faults) {
    if actions.value.is_empty() {
        faults.required(actions, "at least one validation action is required");
    }
    let mut known: Vec<&str> = Vec::new();
    for action in actions.items() {
        faults.one_of(&action, &["Audit", "Deny", "Warn"]);
        if known.contains(&action.text()) {
            faults.duplicate_as(&action, &quote(action.text()));
        }
        known.push(action.text());
    }
    if known.contains(&"Deny") && known.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        faults.invalid(actions, why);
    }
}
